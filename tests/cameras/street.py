"""A street of town cameras with a real RTSP server, in a thread of its own, for tests that are not about the town."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import av
from av.video.stream import VideoStream

from unlatch.cameras.base import Camera, Coded
from unlatch.cameras.shown_clock import ClockFace, ClockReader, learn
from unlatch.clock import monotonic_s
from unlatch.town.camera import CameraFault, CameraFaultKind, TownCamera
from unlatch.town.camera_control import CameraControl, CameraState, NewCamera
from unlatch.town.film import Coder, Format, decode
from unlatch.town.hall import Hall, Picture, View, clock_place

WIDTH, HEIGHT, FPS = 320, 180, 10
FORM = Format(width=WIDTH, height=HEIGHT, fps=FPS, bitrate=300_000, keyframe_s=1.0)
PLACE = clock_place(WIDTH, HEIGHT)
FACE = ClockFace(left=PLACE.left, top=PLACE.top, cell_width=PLACE.cell_width, cell_height=PLACE.cell_height)
Value = TypeVar("Value")


class Street:
    """Cameras, and what befalls them. Its methods may be called from any thread but its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.control = CameraControl()
        self._numbers = count(1)

    def close(self) -> None:
        self._wait(self.control.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def add(self, **fields: Any) -> str:
        """A camera of a small picture; its name."""
        name = f"camera-{next(self._numbers)}"
        new: dict[str, Any] = {
            "width": WIDTH, "height": HEIGHT, "fps": FPS, "bitrate": FORM.bitrate, "keyframe_s": FORM.keyframe_s,
            **fields,
        }  # fmt: skip
        self._wait(self.control._add(NewCamera(camera_id=name, **new)))
        return name

    def town_camera(self, name: str) -> TownCamera:
        return self.control.cameras[name]

    def state(self, name: str) -> CameraState:
        return self._do(lambda: self.control._state(self.control.cameras[name]))

    def link(self, name: str, **secrets: str) -> Camera:
        """As a consignee links it."""
        state = self.state(name)
        given = {"user": state.user, "password": state.password, **secrets}
        return Camera(maker="rtsp", address=state.address, secrets=given, allows_private=True)

    def strike(self, name: str, kind: CameraFaultKind | None, **how: Any) -> None:
        fault = None if kind is None else CameraFault(kind=kind, **how)
        self._do(lambda: self.control.cameras[name].strike(fault))

    def do(self, what: Callable[[CameraControl], Value]) -> Value:
        """In the street's own thread."""
        return self._do(lambda: what(self.control))

    def _do(self, what: Callable[[], Value]) -> Value:
        async def run() -> Value:
            return what()

        return self._wait(run())

    def _wait(self, doing: Awaitable[Value]) -> Value:
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result(10)  # type: ignore[arg-type]


def wait_until(is_so: Callable[[], Any], within_s: float = 10.0, what: str = "") -> float:
    """Wait for it; how long that took."""
    begun_s = time.monotonic()
    while not is_so():
        assert time.monotonic() - begun_s < within_s, what or "it never came to that"
        time.sleep(0.01)
    return time.monotonic() - begun_s


# ---- films without a wire ---------------------------------------------------------------------------------


def paint(
    number: int, view: View | None = None, *, seed: int = 0, behind_s: float = 0.0, fps: int = FPS
) -> Picture:
    """Picture `number` of a hall; its clock shows the moment `moment(number)`."""
    hall = _hall(seed)
    at = moment(number - behind_s * fps, fps)
    return hall.paint(view or View(), at, number / fps)


_HALLS: dict[int, Hall] = {}


def _hall(seed: int) -> Hall:
    return _HALLS.setdefault(seed, Hall(WIDTH, HEIGHT, seed))


def hall() -> Hall:
    return _hall(0)


def moment(number: float, fps: int = FPS) -> datetime:
    return datetime.fromtimestamp(1_800_000_000 + number / fps, UTC)


@contextmanager
def reel(
    pictures: list[Picture], folder: Path, form: Format = FORM
) -> Iterator[tuple[VideoStream, list[Coded]]]:
    """The coded frames of these pictures, as a session would give them: all at once, without a wire."""
    coder = Coder(form)
    units = [coder.encode(picture, number / form.fps) for number, picture in enumerate(pictures)]
    path = folder / "reel.h264"
    path.write_bytes(b"".join(b"\0\0\0\1" + nal for unit in units for nal in unit.nals))
    with av.open(str(path), "r", format="h264") as source:
        video = source.streams.video[0]
        frames: list[Coded] = []
        for packet in source.demux(video):
            if packet.size:
                packet.pts = packet.dts = round(len(frames) / form.fps / packet.time_base)
                frames.append(Coded(packet=packet, received_s=monotonic_s(), taken_at=None))
        assert len(frames) == len(pictures)
        yield video, frames


_READER: list[ClockReader] = []


def clock_reader() -> ClockReader:
    """A reader that has learnt the town's clock."""
    if not _READER:
        coder = Coder(FORM)
        units = [coder.encode(paint(number), 0.0) for number in range(220)]
        looks = [(picture[:HEIGHT], moment(number)) for number, picture in enumerate(decode(units))]
        _READER.append(learn(FACE, looks))
    return _READER[0]
