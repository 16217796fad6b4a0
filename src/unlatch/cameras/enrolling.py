"""What a recorder does for the enrolment of a camera that it holds: a picture of it, and its clock learnt.

That the door is seen (`door_seen.py`) and that our light is (`light.py`) is judged here too, beside the frames. The
picture of a home leaves the recorder for its household alone: whoever asks for it writes that down.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from av.video.frame import VideoFrame
from PIL import Image

from unlatch.cameras.armed import ArmedCamera
from unlatch.cameras.base import SNAPSHOT_S
from unlatch.cameras.board import CameraState, Onlooker
from unlatch.cameras.clock_marking import LEARN_S, ClockLooks, Mark
from unlatch.cameras.glances import Glance, Method
from unlatch.cameras.shown_clock import ClockReader, NoClock
from unlatch.clock import monotonic_s
from unlatch.errors import CameraUnreachable

LOOK_EVERY_S = 0.1
LEARN_WITHIN_S = LEARN_S + 8.0
READ_WITHIN_S = 8.0  # until the verdict rests on a clock that was just learnt
SHOWN_WIDTH = 960  # of a picture for a person
MOST_JPEG_BYTES = 200 * 1024
QUALITIES = (85, 70, 50, 30, 15)
HEARD = (CameraState.ARMED, CameraState.RECORDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One picture as JPEG, without metadata, and the size of the camera's own."""

    jpeg: bytes
    width: int
    height: int
    full_width: int
    full_height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """What came of learning a clock: its reader, or a word for why not (`NoClock.code`, or no_picture)."""

    reader: ClockReader | None
    code: str | None = None


class FirstFrame:
    """An onlooker: takes the first frame that it is shown."""

    def __init__(self) -> None:
        self.has_seen = threading.Event()
        self.frame: VideoFrame | None = None

    def see(self, frame: VideoFrame, glance: Glance) -> None:
        """A frame."""
        if self.frame is None:
            self.frame = frame
            self.has_seen.set()


def picture_of(frame: VideoFrame) -> Snapshot:
    """A frame as a person is shown it, small enough to be sealed in a row."""
    image = Image.fromarray(frame.to_ndarray(format="rgb24"))
    image.thumbnail((SHOWN_WIDTH, SHOWN_WIDTH))
    jpeg = b""
    for quality in QUALITIES:
        out = io.BytesIO()
        image.save(out, "JPEG", quality=quality)
        jpeg = out.getvalue()
        if len(jpeg) <= MOST_JPEG_BYTES:
            break
    width, height = image.size
    return Snapshot(jpeg=jpeg, width=width, height=height, full_width=frame.width, full_height=frame.height)


def take_snapshot(armed: ArmedCamera) -> Snapshot:
    """A picture of now. Blocks for at most SNAPSHOT_S. Raises CameraUnreachable."""
    first = FirstFrame()
    armed.show(first)
    try:
        first.has_seen.wait(SNAPSHOT_S)
    finally:
        armed.hide(first)
    if first.frame is None:
        raise CameraUnreachable("no picture came", code=armed.status.code or "silent")
    return picture_of(first.frame)


def learn_clock(armed: ArmedCamera, mark: Mark) -> Learnt:
    """Learn the clock that was marked, and see that the verdict rests on it. Blocks for half a minute.

    What was learnt is what the camera's clock is read by from then on; where it fails, all is as before.
    """
    try:
        looks = ClockLooks(mark)
        if not _look(armed, looks, lambda: looks.span_s >= LEARN_S, LEARN_WITHIN_S):
            return Learnt(reader=None, code="no_picture")
        reader = looks.learn()
    except NoClock as error:
        return Learnt(reader=None, code=error.code)
    former = armed.reader
    armed.read_clock_by(reader)
    until_s = monotonic_s() + READ_WITHIN_S
    while monotonic_s() < until_s:
        judgement = armed.status.judgement
        if judgement.is_live and judgement.method is Method.CLOCK:
            return Learnt(reader=reader)
        time.sleep(LOOK_EVERY_S)
    armed.read_clock_by(former)
    return Learnt(reader=None, code="no_time")


def _look(armed: ArmedCamera, onlooker: Onlooker, is_enough: Callable[[], bool], within_s: float) -> bool:
    """Show it frames until it has enough; False where the camera is lost or it takes too long."""
    until_s = monotonic_s() + within_s
    armed.show(onlooker)
    try:
        while not is_enough():
            if monotonic_s() > until_s or armed.status.state not in HEARD:
                return False
            time.sleep(LOOK_EVERY_S)
    finally:
        armed.hide(onlooker)
    return True
