"""A low-latency HLS playlist of Home Assistant's (RFC 8216 and its second edition), and the bytes that it leads to.

Part for part, as each is there: the playlist is asked for with the number of the part that is wanted next, and the hub
answers when that exists. A stream that has no parts comes by whole segments, seconds late, and is of no use at a door.
"""

from __future__ import annotations

import re
import time
from collections import deque
from dataclasses import dataclass

from unlatch.cameras.base import SILENT_S
from unlatch.cameras.fed import Source
from unlatch.cameras.hub_line import HubLine
from unlatch.clock import monotonic_s
from unlatch.errors import CameraUnreachable

MOST_PLAYLIST_BYTES = 64 * 1024
MOST_HEAD_BYTES = 256 * 1024
MOST_PART_BYTES = 8 * 1024 * 1024
MOST_PARTS = 256  # of one playlist that are looked at
PART = re.compile(r'#EXT-X-PART:(?=.*\bURI="(?:\./)?segment/(\d{1,9})\.(\d{1,4})\.m4s")(.*)')
AGAIN_S = 0.05  # a hub that answers at once and brings nothing new is not asked more often


@dataclass(frozen=True, slots=True, kw_only=True)
class PartOfStream:
    """A part of a segment, by numbers. `is_broken_off`: it is the first after a break of the stream."""

    segment: int
    number: int
    has_key: bool = False
    is_broken_off: bool = False

    @property
    def path(self) -> str:
        """Where it is, from the playlist on."""
        return f"segment/{self.segment}.{self.number}.m4s"

    def is_after(self, other: PartOfStream) -> bool:
        """Whether it comes later."""
        return (self.segment, self.number) > (other.segment, other.number)

    def follows(self, other: PartOfStream) -> bool:
        """Whether nothing lies between the two."""
        if self.segment == other.segment:
            return self.number == other.number + 1
        return self.segment == other.segment + 1 and self.number == 0


def read_playlist(text: str) -> tuple[PartOfStream, ...]:
    """The parts of a playlist, in order. Raises CameraUnreachable where it is none, or has none."""
    lines = text.splitlines()
    if not lines or lines[0].strip() != "#EXTM3U":
        raise CameraUnreachable("what the hub sends is no stream", code="codec")
    if not any(line.startswith("#EXT-X-PART-INF:") for line in lines):
        raise CameraUnreachable(
            "the hub's stream comes too late: turn on its low-latency HLS", code="too_slow"
        )
    parts: list[PartOfStream] = []
    is_broken_off = False
    for line in lines:
        if line.startswith("#EXT-X-DISCONTINUITY") and not line.startswith("#EXT-X-DISCONTINUITY-SEQUENCE"):
            is_broken_off = True
        elif (found := PART.match(line)) is not None and len(parts) < MOST_PARTS:
            part = PartOfStream(
                segment=int(found[1]),
                number=int(found[2]),
                has_key="INDEPENDENT=YES" in found[3],
                is_broken_off=is_broken_off,
            )
            parts.append(part)
            is_broken_off = False
    return tuple(parts)


class HlsSource(Source):
    """The head of a stream and its parts, from the newest with a keyframe on. Ends where the stream breaks off."""

    def __init__(self, line: HubLine, folder: str, until_s: float) -> None:
        """`folder`: of the playlist, with its token; nothing of it stands in any message."""
        self._line, self._folder = line, folder
        self._until_s: float | None = until_s  # until the head is here
        self._heard_s = monotonic_s()
        self._ready: deque[bytes] = deque()
        self._waiting: deque[PartOfStream] = deque()
        self._last: PartOfStream | None = None

    def read(self, size: int) -> bytes:
        if not self._ready:
            self._ready.append(self._fetch())
            self._heard_s = monotonic_s()
        content = self._ready.popleft()
        if len(content) > size:
            self._ready.appendleft(content[size:])
        return content[:size]

    def opened(self) -> None:
        self._until_s = None

    def close(self) -> None:
        self._line.close()

    @property
    def _deadline_s(self) -> float:
        return self._heard_s + SILENT_S if self._until_s is None else self._until_s

    def _fetch(self) -> bytes:
        """The head, or the next part."""
        if self._last is None and not self._waiting:
            parts = self._ask(
                "_HLS_msn=0&_HLS_part=0"
            )  # answered at once, or as soon as there is a first part
            if not parts:
                raise CameraUnreachable("the hub's stream has not begun", code="unreachable")
            first = max((number for number, one in enumerate(parts) if one.has_key), default=len(parts) - 1)
            self._waiting.extend(parts[first:])
            return self._get("init.mp4", MOST_HEAD_BYTES)
        while not self._waiting:
            self._await_next()
        part = self._waiting.popleft()
        if self._last is not None and part.is_broken_off:
            raise CameraUnreachable("the hub has begun its stream anew", code="cut")
        self._last = part
        return self._get(part.path, MOST_PART_BYTES)

    def _await_next(self) -> None:
        last = self._last
        assert last is not None
        asked_s = monotonic_s()
        parts = self._ask(f"_HLS_msn={last.segment}&_HLS_part={last.number + 1}")
        newer = [one for one in parts if one.is_after(last)]
        if newer and not newer[0].follows(last):
            raise CameraUnreachable("parts of the hub's stream are missing: we were too slow", code="cut")
        self._waiting.extend(newer)
        if not newer:
            if monotonic_s() >= self._deadline_s:
                raise CameraUnreachable("the hub's stream stands still", code=self._code("silent"))
            time.sleep(max(0.0, AGAIN_S - (monotonic_s() - asked_s)))

    def _ask(self, query: str) -> tuple[PartOfStream, ...]:
        content = self._get(f"playlist.m3u8?{query}", MOST_PLAYLIST_BYTES)
        return read_playlist(content.decode("utf-8", errors="replace"))

    def _get(self, path: str, most_bytes: int) -> bytes:
        place = f"{self._folder}/{path}"
        try:
            status, content = self._line.get(place, most_bytes=most_bytes, until_s=self._deadline_s)
        except CameraUnreachable as error:
            raise CameraUnreachable(str(error), code=self._code(error.code)) from None
        if status == 200 and content:
            return content
        is_late = monotonic_s() - self._heard_s > SILENT_S / 2
        # It waited for the next part in vain, or the stream is gone.
        code = self._code("silent" if status == 404 and is_late else "cut")
        raise CameraUnreachable(f"the hub has no stream of this camera: {code}", code=code)

    def _code(self, code: str) -> str:
        """Before the first frame there is nothing that could be cut or fall silent."""
        return "unreachable" if self._until_s is not None and code in ("cut", "silent") else code
