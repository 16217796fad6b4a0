"""Sessions with cameras whose bytes come to us and not to libavformat: a browser, the stream of a home's hub.

Both send one fragmented MP4 as it grows. libavformat reads it through a `Source` and reaches neither network nor disk.
It gets box by box what was looked at, so that nothing but a fragmented MP4 of bounded parts ever passes.

Their frames come in bunches: a fragment lasts half a second, or a whole one. A frame that says that it was there with
twenty others at one moment would show nothing of how time passes in the picture. So each is dated by its distance from
the frame that came with the least delay lately, which is the last of its bunch: never later than it was here.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator

import av
from av.error import FFmpegError

from unlatch.cameras.base import MAX_FRAME_BYTES, Coded, Session, video_of
from unlatch.clock import monotonic_s
from unlatch.errors import CameraUnreachable

NO_PROBE = {"probesize": "32", "analyzeduration": "0"}  # the head says it all
DELAYS_KEPT_S = 3.0  # longer than two bunches; a delay that has grown for good is believed after that
READ_BYTES = 65_536
HEAD, LONG_HEAD = 8, 16  # bytes of a box's head
IS_LONG = b"\0\0\0\1"  # in place of its size: that comes behind its kind, in eight bytes
KIB = 1024
# The boxes of a fragmented MP4 that may come, and how many bytes each may have (ISO/IEC 14496-12, with those of
# segments: RFC 8216). What passes once is the head; what is not here ends the session.
ONCE = {b"ftyp": 4 * KIB, b"moov": 256 * KIB}
LIMITS = {
    **ONCE, b"moof": 1024 * KIB, b"mdat": 16 * 1024 * KIB, b"styp": 4 * KIB, b"sidx": 64 * KIB, b"prft": 4 * KIB,
    b"emsg": 64 * KIB, b"free": 64 * KIB, b"skip": 64 * KIB,
}  # fmt: skip


class Source(ABC):
    """Where the bytes of a session come from, for one thread."""

    @abstractmethod
    def read(self, size: int) -> bytes:
        """The next bytes, at least one and at most `size`; waits for them. Ends only by raising CameraUnreachable."""

    def opened(self) -> None:  # noqa: B027 - most sources wait as long for each of their bytes
        """The head is here, and the session begins."""

    @abstractmethod
    def close(self) -> None:
        """Let go. May be called twice."""


class Boxes:
    """Puts the outer boxes of a stream together as they come, and hands each on when it is whole. Trusts no length.

    libavformat takes a short read within a box for the end of it: its parser for what describes the codec does.
    """

    def __init__(self) -> None:
        self._passing = bytearray()  # the box that is coming
        self._size = 0  # of that box; 0: not known yet
        self._whole: deque[memoryview] = deque()
        self._seen: set[bytes] = set()

    def take(self, content: bytes) -> None:
        """What comes now. Raises CameraUnreachable (codec, too_large) where it may not pass."""
        view = memoryview(content)
        while view:
            wanted = self._size or (LONG_HEAD if self._passing[:4] == IS_LONG else HEAD)
            step = wanted - len(self._passing)
            self._passing += view[:step]
            view = view[step:]
            if len(self._passing) < wanted:
                return
            if not self._size and (self._passing[:4] != IS_LONG or wanted == LONG_HEAD):
                self._size = self._measure(self._passing)
            if len(self._passing) == self._size:
                self._whole.append(memoryview(bytes(self._passing)))
                self._passing.clear()
                self._size = 0

    def give(self, size: int) -> bytes:
        """Bytes of whole boxes, at most `size` and of one alone; none where none is whole."""
        if not self._whole:
            return b""
        box = self._whole[0]
        if len(box) <= size:
            self._whole.popleft()
        else:
            self._whole[0] = box[size:]
        return bytes(box[:size])

    def _measure(self, head: bytearray) -> int:
        """How long the box is that begins so."""
        size, kind = struct.unpack_from(">I4s", head)
        if size == 1:
            (size,) = struct.unpack_from(">Q", head, 8)
        is_first = not self._seen
        is_good = size >= len(head) and kind in LIMITS and is_first is (kind == b"ftyp")
        is_good = is_good and (b"moov" in self._seen or kind not in (b"moof", b"mdat"))
        if not is_good or (kind in ONCE and kind in self._seen):
            raise CameraUnreachable("what the camera sends is no fragmented MP4", code="codec")
        if size > LIMITS[kind]:
            raise CameraUnreachable("the camera's fragments are too large", code="too_large")
        self._seen.add(kind)
        return int(size)


class Dating:
    """Dates frames that come in bunches; see the module."""

    def __init__(self) -> None:
        self._delays: deque[tuple[float, float]] = deque()
        self._last_s = float("-inf")

    def date(self, shown_s: float, now_s: float) -> float:
        """When the frame of that moment of the stream counts as received; it is here now."""
        self._delays.append((now_s, now_s - shown_s))
        while now_s - self._delays[0][0] > DELAYS_KEPT_S:
            self._delays.popleft()
        least_s = min(delay_s for _, delay_s in self._delays)
        self._last_s = max(self._last_s, min(now_s, shown_s + least_s))
        return self._last_s


class _Watched:
    """What libavformat reads: whatever passes is looked at first, and why it ended is kept."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._boxes = Boxes()
        self.why: CameraUnreachable | None = None

    def read(self, size: int) -> bytes:
        if self.why is not None:
            return b""
        try:
            while not (content := self._boxes.give(size)):
                self._boxes.take(self._source.read(READ_BYTES))
        except CameraUnreachable as error:
            self.why = error
            return b""  # for libavformat the stream ends here
        return content


class FedSession(Session):
    """A session whose bytes come from a `Source`, which ends with it."""

    def __init__(self, source: Source) -> None:
        """Waits for the head and the first frame's beginning. Raises CameraUnreachable."""
        self._source = source
        self._watched = _Watched(source)
        self._dating = Dating()
        try:
            # The stub knows files by name alone; the library takes whatever can be read.
            self._container = av.open(self._watched, "r", format="mp4", options=dict(NO_PROBE))
        except FFmpegError:
            source.close()
            raise self._why("unreachable") from None
        try:
            self.video = video_of(self._container)
        except CameraUnreachable as error:
            self.close()
            raise self._watched.why or error from None
        source.opened()

    def read(self) -> Iterator[Coded]:
        has_key = False
        try:
            for packet in self._container.demux(self.video):
                if packet.size > MAX_FRAME_BYTES:
                    raise CameraUnreachable("the camera's frames are too large", code="too_large")
                has_key = has_key or packet.is_keyframe
                if not packet.size or not has_key or packet.dts is None or packet.time_base is None:
                    continue
                shown_s = float(packet.dts * packet.time_base)
                received_s = self._dating.date(shown_s, monotonic_s())
                yield Coded(packet=packet, received_s=received_s, taken_at=None)
        except FFmpegError:
            pass  # what ended it stands in `why`, or it was damaged on the way
        raise self._why("cut")

    def close(self) -> None:
        self._container.close()
        self._source.close()

    def _why(self, code: str) -> CameraUnreachable:
        return self._watched.why or CameraUnreachable(f"the camera's stream ended: {code}", code=code)
