"""A recorder: at most 32 cameras, each with a thread of its own, and one timer over them all.

Why threads: what a camera costs is spent in libav, which lets other threads run meanwhile; a process for each would
cost several times the memory (measured, docs/reference/cameras.md). Beyond 32 the threads begin to wait for one
another; then another recorder is started. A recorder is a process of its own (`recorder_process.py`), so that the worst
that a camera can bring, the death of the process, touches no lock, no server and no other recorder.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from unlatch.cameras.armed import ArmedCamera, as_it_is
from unlatch.cameras.base import Camera, CameraMaker
from unlatch.cameras.board import Event, Status
from unlatch.cameras.catalogue import get_camera_maker
from unlatch.cameras.clock_marking import Mark
from unlatch.cameras.door_seen import DoorLooks, DoorSeen, Span
from unlatch.cameras.enrolling import Learnt, Snapshot, learn_clock, take_snapshot
from unlatch.cameras.light import Pattern, Seen, look_for
from unlatch.cameras.proof import Proof, Refusal, judge_by_light
from unlatch.cameras.recording import TakeFile
from unlatch.cameras.shown_clock import ClockReader
from unlatch.clock import monotonic_s
from unlatch.domain.clip import FIRST_LINK
from unlatch.errors import NotFound, RecordingError

MAX_CAMERAS = 32
CHECK_EVERY_S = 0.25
MAX_EVENTS = 20_000  # some two minutes of 32 cameras, if nobody fetches them
MAX_PAGE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Events behind a cursor. `is_torn`: some before the first here are gone; the takes' files tell the same."""

    events: tuple[tuple[int, Event], ...]  # each with its number
    cursor: int
    is_torn: bool


class Recorder:
    """The cameras of one process. Every method may be called from any thread."""

    def __init__(self, maker_of: Callable[[str], CameraMaker] = get_camera_maker) -> None:
        self._maker_of = maker_of
        self._cameras: dict[str, ArmedCamera] = {}
        self._doors: dict[str, DoorLooks] = {}  # cameras that look at their door being opened, for enrolment
        self._guard = threading.Lock()
        self._events: deque[tuple[int, Event]] = deque(maxlen=MAX_EVENTS)
        self._number = 0
        self._has_news = threading.Condition()
        self._is_over = threading.Event()
        self._timer = threading.Thread(target=self._check, name="recorder", daemon=True)
        self._timer.start()

    def arm(self, camera_id: str, camera: Camera, reader: ClockReader | None = None) -> None:
        """Connect to it. Armed already: nothing happens. Raises RecordingError (busy) for the 33rd, NotFound."""
        maker = self._maker_of(camera.maker)
        with self._guard:
            if self._is_over.is_set():
                raise RecordingError("this recorder has ended", code="closed")
            if camera_id in self._cameras:
                return
            if len(self._cameras) >= MAX_CAMERAS:
                raise RecordingError(
                    f"a recorder has at most {MAX_CAMERAS} cameras: start another", code="busy"
                )
            armed = ArmedCamera(camera_id, camera, maker, reader=reader, tell=self._tell)
            self._cameras[camera_id] = armed
        armed.arm()

    def disarm(self, camera_id: str) -> tuple[TakeFile, ...]:
        """Let go; the takes, if it was recording. Not armed: nothing happens."""
        with self._guard:
            armed = self._cameras.pop(camera_id, None)
            self._doors.pop(camera_id, None)
        if armed is None:
            return ()
        takes = armed.stop()
        armed.disarm()
        return takes

    def start(
        self,
        camera_id: str,
        folder: Path,
        *,
        take: int = 1,
        part: int = 1,
        link: bytes = FIRST_LINK,
        silent_since: datetime | None = None,
    ) -> None:
        """Record into `folder`, which is made; see `ArmedCamera.start`. Raises NotFound, RecordingError."""
        armed = self._get(camera_id)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise RecordingError("the folder of the recording can't be made", code="disk") from error
        armed.start(folder, take=take, part=part, link=link, silent_since=silent_since)

    def prove(self, camera_id: str, light: Pattern | None = None) -> Proof | Refusal:
        """Prove that it records; `light`: a pattern that was just played before it counts, too. Raises NotFound."""
        armed = self._get(camera_id)
        if light is None:
            return armed.prove(judge=as_it_is)
        return armed.prove(
            judge=lambda judgement: judge_by_light(
                judgement, light, armed.glances(light.begun_s), monotonic_s()
            )
        )

    def relax(self, camera_id: str) -> None:
        """Decode keyframes alone from now on. Raises NotFound."""
        self._get(camera_id).relax()

    def stop(self, camera_id: str) -> tuple[TakeFile, ...]:
        """End the recording; it stays armed. Raises NotFound."""
        return self._get(camera_id).stop()

    # ---- enrolment --------------------------------------------------------------------------------------

    def snapshot(self, camera_id: str) -> Snapshot:
        """A picture of now. Raises NotFound, CameraUnreachable."""
        return take_snapshot(self._get(camera_id))

    def learn(self, camera_id: str, mark: Mark) -> Learnt:
        """Learn the clock that was marked in its picture; takes half a minute. Raises NotFound."""
        return learn_clock(self._get(camera_id), mark)

    def watch_door(self, camera_id: str) -> None:
        """Look at the door from now on, until `judge_door` or for three minutes. Raises NotFound."""
        armed, looks = self._get(camera_id), DoorLooks()
        with self._guard:
            self._doors[camera_id] = looks
        armed.show(looks)

    def judge_door(
        self, camera_id: str, opened: Span, closed: Span | None, *, is_exact: bool = True
    ) -> DoorSeen:
        """Whether it saw the door that was opened and closed then. Raises NotFound: it does not look at it."""
        armed = self._get(camera_id)
        with self._guard:
            looks = self._doors.pop(camera_id, None)
        if looks is None:
            raise NotFound(f"camera {camera_id} does not look at its door")
        armed.hide(looks)
        return looks.judge(opened, closed, is_exact=is_exact)

    def expect_light(self, camera_id: str, for_s: float) -> None:
        """A lamp of ours plays before it for so long from now on. Raises NotFound."""
        self._get(camera_id).expect_light(for_s)

    def look_for(self, camera_id: str, light: Pattern) -> Seen:
        """How well it saw the pattern of a lamp. Raises NotFound."""
        return look_for(light, self._get(camera_id).glances(light.begun_s))

    # ---- how they stand ---------------------------------------------------------------------------------

    def status(self, camera_id: str) -> Status:
        """How it stands; never waits. Raises NotFound."""
        return self._get(camera_id).status

    def statuses(self) -> dict[str, Status]:
        """How all of them stand."""
        with self._guard:
            return {camera_id: armed.status for camera_id, armed in self._cameras.items()}

    def events(self, after: int = 0, wait_s: float = 0.0) -> EventPage:
        """Events numbered above `after`, MAX_PAGE at most; waits for the first of them."""
        with self._has_news:
            self._has_news.wait_for(lambda: self._number > after or self._is_over.is_set(), wait_s)
            first = self._number - len(self._events) + 1
            events = tuple(one for one in self._events if one[0] > after)[:MAX_PAGE]
        cursor = events[-1][0] if events else max(after, first - 1)
        return EventPage(events=events, cursor=cursor, is_torn=after + 1 < first)

    def close(self) -> None:
        """Let go of everything, the recordings ended."""
        self._is_over.set()
        with self._guard:
            names = list(self._cameras)
        enders = [threading.Thread(target=self.disarm, args=(name,), daemon=True) for name in names]
        for ender in enders:
            ender.start()
        for ender in enders:
            ender.join()
        with self._has_news:
            self._has_news.notify_all()
        self._timer.join()

    def _get(self, camera_id: str) -> ArmedCamera:
        with self._guard:
            armed = self._cameras.get(camera_id)
        if armed is None:
            raise NotFound(f"no camera {camera_id} is armed here")
        return armed

    def _tell(self, event: Event) -> None:
        with self._has_news:
            self._number += 1
            self._events.append((self._number, event))
            self._has_news.notify_all()

    def _check(self) -> None:
        while not self._is_over.wait(CHECK_EVERY_S):
            with self._guard:
                cameras = list(self._cameras.values())
            now_s = monotonic_s()
            for armed in cameras:
                armed.check(now_s)
