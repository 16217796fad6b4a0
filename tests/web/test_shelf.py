"""The playlist of a growing recording, without a recording."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from unlatch.cameras.following import Passage, TakeHead
from unlatch.web.shelf import EVEN_S, PART_TARGET_S, SEGMENTS_KEPT, TARGET_S, Shelf

AT = datetime(2026, 11, 26, 8, tzinfo=UTC)


def head(take: int) -> TakeHead:
    return TakeHead(
        take=take, path=Path("take"), begun_at=AT, content=b"h" * 700, timescale=90_000, codec="avc1.42c00c"
    )


def fill(
    shelf: Shelf,
    *,
    take: int = 1,
    frames: int = 100,
    fps: float = 10,
    key_every: int = 20,
    frames_each: int = 1,
) -> None:
    """Fragments of 1000 bytes each."""
    for number in range(frames // frames_each):
        first = number * frames_each
        shelf.add(
            head(take),
            Passage(
                take=take,
                offset=700 + 1000 * number,
                size=1000,
                is_key=first % key_every == 0,
                begin_s=first / fps,
                end_s=(first + frames_each) / fps,
            ),
            AT,
        )


def test_segments_begin_with_keyframes_and_bytes_follow_each_other() -> None:
    shelf = Shelf()
    fill(shelf)
    assert [segment.number for segment in shelf.segments] == [0, 1, 2, 3, 4]
    at = 700
    for segment in shelf.segments:
        assert segment.pieces[0].is_key
        for piece in segment.pieces:
            assert piece.offset == at
            at += piece.size
    assert [round(segment.length_s, 3) for segment in list(shelf.segments)[:4]] == [2.0] * 4


def test_parts_are_no_longer_than_is_said_and_not_much_shorter() -> None:
    for fps, each in ((10, 1), (15, 1), (12, 1), (25, 1), (5, 1), (15, 3), (10, 2), (20, 4)):
        shelf = Shelf()
        fill(shelf, frames=int(fps * 30), fps=fps, key_every=int(fps * 4), frames_each=each)
        for segment in list(shelf.segments)[:-1]:
            lengths = [piece.length_s for piece in segment.pieces]
            assert max(lengths) <= PART_TARGET_S + EVEN_S, (fps, each)
            assert min(lengths[:-1]) >= 0.85 * PART_TARGET_S, (fps, each, lengths)


def test_a_camera_that_gives_few_keyframes_still_gives_segments_that_are_short_enough() -> None:
    shelf = Shelf()
    fill(shelf, frames=300, key_every=250)
    assert all(segment.length_s <= TARGET_S for segment in shelf.segments)
    pieces = [piece for segment in shelf.segments for piece in segment.pieces]
    assert [piece.is_key for piece in pieces].count(True) == 2
    assert (
        shelf.write(is_over=False).count("INDEPENDENT=YES") == 1
    )  # the older one stands in a segment of long ago


def test_numbers_go_on_while_old_segments_leave_and_so_do_discontinuities() -> None:
    shelf = Shelf()
    fill(shelf, frames=100)
    fill(shelf, take=2, frames=100)
    text = shelf.write(is_over=False)
    assert text.count("#EXT-X-DISCONTINUITY\n") == 1
    assert text.count("#EXT-X-MAP") == 2
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:0" in text
    fill(shelf, take=3, frames=20 * (SEGMENTS_KEPT + 3))
    text = shelf.write(is_over=False)
    assert len(shelf.segments) == SEGMENTS_KEPT
    first = shelf.segments[0].number
    assert f"#EXT-X-MEDIA-SEQUENCE:{first}\n" in text
    assert first == shelf.last_number - SEGMENTS_KEPT + 1
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:2\n" in text
    assert "#EXT-X-DISCONTINUITY\n" not in text
    assert list(shelf.heads) == [3]
    assert text.count("#EXT-X-MAP") == 1  # whoever comes now needs it too


def test_what_can_be_waited_for() -> None:
    shelf = Shelf()
    assert shelf.is_empty
    assert not shelf.has(0, 0)
    fill(shelf, frames=28)
    last = shelf.last_number
    assert last == 1
    assert shelf.has(0, None)
    assert shelf.has(0, 99)  # a part behind its segment's last: the next segment is there
    assert not shelf.has(last, None)
    open_parts = len(shelf.segments[-1].pieces)
    assert shelf.has(last, open_parts - 1)
    assert not shelf.has(last, open_parts)
    shelf.end()
    assert shelf.has(last, None)
    text = shelf.write(is_over=True)
    assert text.endswith("#EXT-X-ENDLIST\n")
    assert len(re.findall(r"^#EXTINF", text, re.MULTILINE)) == 2
