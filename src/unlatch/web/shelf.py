"""A growing recording as a playlist of Low-Latency HLS (draft-pantos-hls-rfc8216bis), for players that know no other.

Nothing is copied: segments and parts are ranges of bytes of the takes' own files. A segment begins with a keyframe
where the camera gives one in time; a take begins with a discontinuity and a head of its own. How long a frame lasts is
known when the next one is there, so a part is told one frame late.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from unlatch.cameras.following import Passage, TakeHead

PART_TARGET_S = 0.7  # three fragments of a recorder's part: no part is much shorter, none is longer
LEAST_SEGMENT_S = 2.0
TARGET_S = 6
SEGMENTS_KEPT = 12
PARTS_SHOWN_S = 3 * TARGET_S
HOLD_BACK_S = 3 * PART_TARGET_S
EVEN_S = 0.005  # frames are not that even: a part may be so much longer by its frames than by its count


@dataclass(slots=True, kw_only=True)
class Piece:
    """A part: some fragments of one take, one behind the other."""

    offset: int
    size: int
    begin_s: float
    end_s: float
    is_key: bool

    @property
    def length_s(self) -> float:
        """How long it plays."""
        return max(0.001, self.end_s - self.begin_s)

    def take_in(self, passage: Passage) -> None:
        """One more fragment at its end."""
        self.size = passage.offset + passage.size - self.offset
        self.end_s = passage.end_s


@dataclass(slots=True, kw_only=True)
class Segment:
    """Parts that are told of as one when they are done."""

    number: int
    head: TakeHead
    begins_take: bool
    picture_at: datetime | None
    pieces: list[Piece] = field(default_factory=list)
    is_done: bool = False

    @property
    def length_s(self) -> float:
        """How long it plays, so far."""
        return sum(piece.length_s for piece in self.pieces)


class Shelf:
    """The last segments of one recording. Their numbers follow from the recording alone, whoever reads it."""

    def __init__(self) -> None:
        self.segments: deque[Segment] = deque()
        self.heads: dict[int, TakeHead] = {}
        self.sizes: dict[int, int] = {}  # so much of a take is whole
        self._open: Piece | None = None
        self._next_number = 0
        self._takes_gone = 0  # discontinuities that have left the list

    def add(self, head: TakeHead, passage: Passage, picture_at: datetime | None) -> None:
        """One more fragment."""
        last = self.segments[-1] if self.segments else None
        begins_take = last is None or last.head.take != head.take
        if self._open is not None:
            lasts_s = passage.end_s - self._open.begin_s
            if begins_take or passage.is_key or lasts_s > PART_TARGET_S + EVEN_S:
                if not begins_take:
                    self._open.end_s = passage.begin_s  # now it is known
                self._close_piece()
        if begins_take or (last is not None and self._is_full(last, passage)):
            self._begin_segment(head, picture_at, begins_take=begins_take)
        if self._open is None:
            self._open = Piece(
                offset=passage.offset,
                size=passage.size,
                begin_s=passage.begin_s,
                end_s=passage.end_s,
                is_key=passage.is_key,
            )
        else:
            self._open.take_in(passage)
        self.heads[head.take] = head
        self.sizes[head.take] = passage.offset + passage.size

    def end(self) -> None:
        """Nothing more comes."""
        self._close_piece()
        if self.segments:
            self.segments[-1].is_done = True

    def has(self, number: int, part: int | None) -> bool:
        """Whether this segment, or this part of it, can be told of by now."""
        if not self.segments:
            return False
        last = self.segments[-1]
        if last.number != number:
            return last.number > number
        return last.is_done or (part is not None and len(last.pieces) > part)

    @property
    def last_number(self) -> int:
        """The number of the newest segment; -1: there is none."""
        return self._next_number - 1

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to play yet."""
        return not any(segment.pieces for segment in self.segments)

    def write(self, *, is_over: bool) -> str:
        """The playlist."""
        shown = [segment for segment in self.segments if segment.pieces]
        lines = [
            "#EXTM3U",
            "#EXT-X-VERSION:9",
            f"#EXT-X-TARGETDURATION:{TARGET_S}",
            f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={HOLD_BACK_S:.3f}",
            f"#EXT-X-PART-INF:PART-TARGET={PART_TARGET_S + EVEN_S:.3f}",
            f"#EXT-X-MEDIA-SEQUENCE:{shown[0].number if shown else 0}",
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{self._takes_gone}",
        ]
        left_s = sum(segment.length_s for segment in shown)
        for number, segment in enumerate(shown):
            lines += _write_segment(segment, is_first=not number, has_parts=left_s <= PARTS_SHOWN_S)
            left_s -= segment.length_s
        if is_over:
            lines.append("#EXT-X-ENDLIST")
        return "\n".join(lines) + "\n"

    def _is_full(self, segment: Segment, passage: Passage) -> bool:
        """Whether this fragment begins another segment."""
        if self._open is not None:
            return False  # within a part
        length_s = segment.length_s
        return length_s + PART_TARGET_S > TARGET_S or (passage.is_key and length_s >= LEAST_SEGMENT_S)

    def _begin_segment(self, head: TakeHead, picture_at: datetime | None, *, begins_take: bool) -> None:
        if self.segments:
            self.segments[-1].is_done = True
        self.segments.append(
            Segment(number=self._next_number, head=head, begins_take=begins_take, picture_at=picture_at)
        )
        self._next_number += 1
        while len(self.segments) > SEGMENTS_KEPT:
            gone = self.segments.popleft()
            self._takes_gone += self.segments[0].begins_take
            if self.segments[0].head.take != gone.head.take:
                self.heads.pop(gone.head.take, None)
                self.sizes.pop(gone.head.take, None)

    def _close_piece(self) -> None:
        if self._open is not None and self.segments:
            self.segments[-1].pieces.append(self._open)
        self._open = None


def _write_segment(segment: Segment, *, is_first: bool, has_parts: bool) -> list[str]:
    address = f"takes/take_{segment.head.take}/media.mp4"
    lines = []
    if segment.begins_take and not is_first:
        lines.append("#EXT-X-DISCONTINUITY")
    if segment.begins_take or is_first:
        lines.append(f'#EXT-X-MAP:URI="{address}",BYTERANGE="{len(segment.head.content)}@0"')
    if segment.picture_at is not None:
        at = segment.picture_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{at}")
    if has_parts or not segment.is_done:
        for piece in segment.pieces:
            independent = ",INDEPENDENT=YES" if piece.is_key else ""
            lines.append(
                f'#EXT-X-PART:DURATION={piece.length_s:.5f},URI="{address}",'
                f'BYTERANGE="{piece.size}@{piece.offset}"{independent}'
            )
    if segment.is_done:
        first, last = segment.pieces[0], segment.pieces[-1]
        size = last.offset + last.size - first.offset
        lines += [
            f"#EXTINF:{segment.length_s:.5f},",
            f"#EXT-X-BYTERANGE:{size}@{first.offset}",
            address,
        ]
    return lines
