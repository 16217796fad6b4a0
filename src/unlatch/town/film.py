"""What a camera of the town sends: pictures encoded once as H.264, and given to everyone who watches.

A film is a thread of its own. Cameras that see the same share one, so that twenty-five of them cost one encoder;
the thread ends when nobody has watched for a while, and begins again with the next who does.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from unlatch.clock import monotonic_s
from unlatch.town.hall import Hall, Picture, View

RTP_HZ = 90_000
IDLE_S = 3.0  # without a viewer
KEPT_S = 12.0  # of what was sent, for a loop
IDR, SPS, PPS = 5, 7, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """Size, rate and weight of a film."""

    width: int = 640
    height: int = 360
    fps: int = 15
    bitrate: int = 600_000
    keyframe_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One coded picture (an access unit): its NAL units without start codes."""

    nals: tuple[bytes, ...]
    is_key: bool
    taken_s: float  # monotonic: when the picture was taken

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(len, self.nals))


def split_nals(coded: bytes) -> list[bytes]:
    """The NAL units of a byte stream with start codes (H.264, annex B)."""
    pieces = coded.split(b"\x00\x00\x01")[1:]
    last = len(pieces) - 1
    # The fourth zero of a long start code stands at the end of the piece before it.
    return [piece.rstrip(b"\x00") if number < last else piece for number, piece in enumerate(pieces) if piece]


def kind_of(nal: bytes) -> int:
    """The kind of a NAL unit."""
    return nal[0] & 31


class Coder:
    """H.264 as cameras make it: no pictures of two directions, a keyframe now and then."""

    def __init__(self, form: Format) -> None:
        coder = av.CodecContext.create("libx264", "w")
        assert isinstance(coder, VideoCodecContext)
        coder.width, coder.height, coder.pix_fmt = form.width, form.height, "yuv420p"
        coder.time_base, coder.framerate = Fraction(1, RTP_HZ), Fraction(form.fps, 1)
        coder.bit_rate = form.bitrate
        coder.options = {
            "preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "threads": "1",
            "g": str(max(1, round(form.keyframe_s * form.fps))), "sc_threshold": "0",
            "maxrate": str(form.bitrate), "bufsize": str(form.bitrate),
        }  # fmt: skip
        self._coder = coder
        self._count = 0
        self._step = RTP_HZ // form.fps

    def encode(self, picture: Picture, taken_s: float, *, is_key: bool = False) -> Unit:
        """One picture."""
        frame = VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts, frame.time_base = self._count * self._step, Fraction(1, RTP_HZ)
        self._count += 1
        if is_key:
            frame.pict_type = PictureType.I
        (packet,) = self._coder.encode(frame)
        nals = tuple(split_nals(bytes(packet)))
        return Unit(nals=nals, is_key=any(kind_of(nal) == IDR for nal in nals), taken_s=taken_s)


def decode(units: Sequence[Unit]) -> Iterator[Picture]:
    """The pictures of a run of units that begins with a keyframe."""
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, VideoCodecContext)
    packets = [av.Packet(b"".join(b"\x00\x00\x00\x01" + nal for nal in unit.nals)) for unit in units]
    for packet in [*packets, None]:
        for frame in decoder.decode(packet):
            yield frame.to_ndarray(format="yuv420p").astype("uint8", copy=False)


Shot = Callable[[float], Picture]  # the picture of a moment (monotonic seconds)


def shoot(hall: Hall, look: Callable[[], View], clock_offset_s: float = 0.0) -> Shot:
    """Live pictures of a hall."""

    def paint(taken_s: float) -> Picture:
        shown_at = datetime.now(UTC) + timedelta(seconds=clock_offset_s)
        return hall.paint(look(), shown_at, taken_s)

    return paint


class Film:
    """Encodes what `shot` gives, at the pace of its format, for every listener, while someone watches."""

    def __init__(self, form: Format, shot: Shot) -> None:
        self.form = form
        self._shot = shot
        self._listeners: dict[object, Callable[[Unit], None]] = {}
        self._kept: deque[Unit] = deque(maxlen=int(KEPT_S * form.fps))
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wants_key = False
        first = Coder(form).encode(shot(monotonic_s()), monotonic_s(), is_key=True)
        self.sps = next(nal for nal in first.nals if kind_of(nal) == SPS)
        self.pps = next(nal for nal in first.nals if kind_of(nal) == PPS)

    def listen(self, who: object, hear: Callable[[Unit], None]) -> None:
        """Give every unit to `hear`, in the film's thread, from the next on, which is a keyframe."""
        with self._guard:
            self._listeners[who] = hear
            self._wants_key = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="film", daemon=True)
                self._thread.start()

    def leave(self, who: object) -> None:
        """No more of it."""
        with self._guard:
            self._listeners.pop(who, None)

    def kept(self) -> list[Unit]:
        """What was sent lately, from a keyframe on."""
        with self._guard:
            units = list(self._kept)
        while units and not units[0].is_key:
            units.pop(0)
        return units

    def _run(self) -> None:
        coder, begun_s, number, heard_s = Coder(self.form), monotonic_s(), 0, monotonic_s()
        while True:
            due_s = begun_s + number / self.form.fps
            number += 1
            now_s = monotonic_s()
            if now_s - due_s > 1.0:  # this machine was busy: a camera leaves pictures out, too
                begun_s, number, due_s = now_s, 1, now_s
            time.sleep(max(0.0, due_s - now_s))
            with self._guard:
                listeners, is_key, self._wants_key = (
                    list(self._listeners.values()),
                    self._wants_key,
                    False,
                )
                heard_s = due_s if listeners else heard_s
                if due_s - heard_s > IDLE_S:
                    self._thread = None
                    self._kept.clear()
                    return
            taken_s = monotonic_s()
            unit = coder.encode(self._shot(taken_s), taken_s, is_key=is_key)
            with self._guard:
                self._kept.append(unit)
            for hear in listeners:
                hear(unit)
