"""What is known of one armed camera, and what is wanted of it: where its thread and everyone else meet.

Whoever changes something holds `changed`, for no longer than that takes: never while anything is read, written or
decoded. `status` may be looked at without it, since it is a value that is replaced as a whole.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum, auto
from pathlib import Path
from typing import Protocol

from av.video.frame import VideoFrame

from unlatch.cameras.glances import Glance, Judgement, Rolling, Verdict
from unlatch.cameras.proof import Lease, Material, Run
from unlatch.cameras.recording import TakeFile
from unlatch.cameras.shown_clock import ClockReader
from unlatch.clock import monotonic_s
from unlatch.domain.clip import FIRST_LINK, Gap, Part, link_of

LONGEST_SILENCE_S = 60.0  # that a gap is dated back by


class CameraState(StrEnum):
    """How a camera stands."""

    CONNECTING = auto()
    ARMED = auto()  # frames come, nothing is kept
    RECORDING = auto()
    LOST = auto()  # no frame comes; it is tried again
    STUCK = auto()  # given up: its threads do not come back
    OFF = auto()  # let go


class EventKind(StrEnum):
    """What a camera tells of itself, for the visit's journal."""

    PART = auto()  # `part` is on the disk, and `link` is the chain's
    TAKE_BEGUN = auto()
    GAP_BEGUN = auto()
    GAP_ENDED = auto()
    VERDICT = auto()  # another than before
    STATE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One of them. Fields that a kind does not have are None."""

    camera_id: str
    at: datetime
    kind: EventKind
    part: Part | None = None
    link: bytes | None = None
    take: int | None = None
    gap: Gap | None = None
    verdict: Verdict | None = None
    state: CameraState | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What is known of a camera now."""

    state: CameraState
    code: str | None  # of the last error
    judgement: Judgement
    lease: Lease
    heard_s: float  # monotonic: when the last frame came
    take: int
    parts: int
    gaps: tuple[Gap, ...]
    dropped: int  # frames that did not come after the one before


class Onlooker(Protocol):
    """Who looks at each decoded frame for a while, in the camera's own thread: must be quick and must not raise."""

    def see(self, frame: VideoFrame, glance: Glance) -> None: ...


class Board:
    """See the module. Methods are called with `changed` held."""

    def __init__(self, camera_id: str, reader: ClockReader | None, tell: Callable[[Event], None]) -> None:
        self.camera_id = camera_id
        self.changed = threading.Condition()
        self.rolling = Rolling(reader)  # written by the thread alone
        self.generation = 0  # of the thread that counts
        self.sign_s = monotonic_s()  # of the thread's life
        self.heard_s = float("-inf")  # when the last frame came; too often another for a status of its own
        self.folder: Path | None = None  # wanted: to record there
        self.is_eager = True  # wanted: to decode every frame
        self.onlooker: Onlooker | None = None  # wanted: to show it every frame that is decoded
        self.asked_s: float | None = None  # wanted: a proof, of frames after that
        self.material: Material | None = None
        self.run: Run | None = None  # of the take that the thread has open
        self.parts: list[Part] = []
        self.takes: list[TakeFile] = []
        self.writing = 0  # the number of the take that the thread has open
        self.first_take = self.first_part = 1  # of this recording: a recorder before may have begun it
        self._tell = tell
        self._link = FIRST_LINK
        self._gap: Gap | None = None
        self.status = Status(
            state=CameraState.OFF, code=None, judgement=Judgement(verdict=Verdict.STALLED), lease=Lease(),
            heard_s=float("-inf"), take=0, parts=0, gaps=(), dropped=0,
        )  # fmt: skip

    def publish(self, **changes: object) -> None:
        """Replace fields of the status, and tell of what is another state or verdict by it."""
        before, now = self.status, datetime.now(UTC)
        self.status = replace(before, heard_s=self.heard_s, **changes)  # type: ignore[arg-type]
        if self.status.state is not before.state:
            self.say(now, EventKind.STATE, state=self.status.state, code=self.status.code)
        if self.status.judgement.verdict is not before.judgement.verdict:
            self.say(now, EventKind.VERDICT, verdict=self.status.judgement.verdict)
        self.changed.notify_all()

    def say(self, at: datetime, kind: EventKind, **fields: object) -> None:
        """Tell of something."""
        self._tell(Event(camera_id=self.camera_id, at=at, kind=kind, **fields))  # type: ignore[arg-type]

    def lose(self, code: str) -> None:
        """No frame comes any more. A gap counts from the last that did."""
        status = self.status
        if status.state in (CameraState.ARMED, CameraState.RECORDING) and self.folder is not None:
            silent_s = min(LONGEST_SILENCE_S, max(0.0, monotonic_s() - self.heard_s))
            self.open_gap(datetime.now(UTC) - timedelta(seconds=silent_s), code)
        stalled = Judgement(verdict=Verdict.STALLED)
        self.publish(state=CameraState.LOST, code=code, judgement=stalled, lease=Lease())

    def open_gap(self, at: datetime, code: str) -> None:
        """Nothing is recorded from then on; nothing happens where nothing was before."""
        if self._gap is None:
            self._gap = Gap(after_take=self.status.take, begun_at=at, ended_at=None, code=code)
            self.publish(gaps=(*self.status.gaps, self._gap))
            self.say(at, EventKind.GAP_BEGUN, gap=self._gap)

    def go_on(self, *, take: int, part: int, link: bytes) -> None:
        """The recording was begun by a recorder before: its next take and part have these numbers."""
        self.first_take, self.first_part, self._link = take, part, link

    def close_gap(self, at: datetime) -> None:
        """It is recorded again, or no longer wanted."""
        if self._gap is not None:
            ended = replace(self._gap, ended_at=at)
            self._gap = None
            self.publish(gaps=(*self.status.gaps[:-1], ended))
            self.say(at, EventKind.GAP_ENDED, gap=ended)

    def told(self, parts: Iterable[Part]) -> None:
        """Parts are on the disk."""
        for part in parts:
            self.parts.append(part)
            self._link = link_of(self._link, part)
            self.say(
                part.written_at or datetime.now(UTC),
                EventKind.PART,
                part=part,
                link=self._link,
                take=part.take,
            )
        lease = self.status.lease.renewed(monotonic_s(), self.status.judgement)
        self.publish(parts=len(self.parts), lease=lease)

    def keep_take(self, take: TakeFile) -> None:
        """A take has ended."""
        self.takes.append(take)
        self.writing, self.run = 0, None
        self.changed.notify_all()

    def keep_cut_take(self, folder: Path | None) -> None:
        """The take that was being written is left where it is: its thread does not come back."""
        number, self.writing, self.run = self.writing, 0, None
        if not number or folder is None:
            return
        for path in folder.glob(f"take-{number:04d}-*.mp4"):
            parts = tuple(part for part in self.parts if part.take == number)
            begun_at = parts[0].written_at if parts else None
            self.keep_take(
                TakeFile(
                    path=path,
                    number=number,
                    begun_at=begun_at or datetime.now(UTC),
                    parts=parts,
                    is_whole=False,
                )
            )

    def wait_for_run(self, until_s: float) -> Run | None:
        """The run that is being written; None: there was none in time. Not with `changed` held."""
        with self.changed:
            self.changed.wait_for(lambda: self.run is not None, max(0.0, until_s - monotonic_s()))
            return self.run

    def wait_for_parts(self, run: Run, until_s: float) -> Iterator[Part]:
        """The parts of a run as they are told. Not with `changed` held.

        Ends with the last of what was asked for, with the take, or when the time is over.
        """
        number = run.part

        def is_there() -> bool:
            return number < self.first_part + len(self.parts)  # they are counted through all takes

        def is_over() -> bool:
            if self.material is not None and number > self.material.part:
                return True
            if is_there():
                return self.parts[number - self.first_part].take != run.take
            return self.run is None or self.run.take != run.take

        while True:
            with self.changed:
                left_s = max(0.0, until_s - monotonic_s())
                self.changed.wait_for(lambda: is_over() or is_there(), left_s)
                if is_over() or not is_there():
                    return
                part = self.parts[number - self.first_part]
            yield part
            number += 1

    def take_out(self) -> tuple[TakeFile, ...]:
        """The takes; the board is as if nothing had been recorded."""
        takes, self.takes, self.parts, self._link = tuple(self.takes), [], [], FIRST_LINK
        self.first_take = self.first_part = 1
        self.publish(lease=Lease(), gaps=(), parts=0, take=0)
        return takes
