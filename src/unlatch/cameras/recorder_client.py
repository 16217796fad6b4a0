"""A recorder from another process: the same verbs, over its socket."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from unlatch.cameras.base import Camera
from unlatch.cameras.clock_marking import Mark
from unlatch.cameras.door_seen import DoorSeen, Span
from unlatch.cameras.enrolling import Learnt, Snapshot
from unlatch.cameras.light import Pattern, Seen
from unlatch.cameras.proof import Lease, Proof, Refusal
from unlatch.cameras.recorder_wire import (
    MAX_LINE_BYTES,
    Answer,
    Arm,
    Ask,
    ClockLearnt,
    Disarm,
    Do,
    Done,
    DoorJudged,
    ExpectLight,
    Failed,
    JudgeDoor,
    Learn,
    Light,
    LightSeen,
    Listen,
    LookFor,
    Outcome,
    Page,
    Picture,
    Prove,
    Proven,
    Refused,
    Relax,
    Request,
    SentSpan,
    Start,
    State,
    States,
    Stop,
    TakePicture,
    Takes,
    WatchDoor,
)
from unlatch.cameras.recording import TakeFile
from unlatch.cameras.shown_clock import ClockReader
from unlatch.clock import monotonic_s
from unlatch.domain.clip import FIRST_LINK
from unlatch.errors import CameraUnreachable, ClipDamaged, NotFound, RecordingError

TIMEOUT_S = 15.0
LEARN_TIMEOUT_S = 60.0  # learning a clock takes half a minute
MAX_ANSWER_BYTES = 64 * MAX_LINE_BYTES  # the parts of an hour
Kind = TypeVar("Kind", bound=Outcome)


class RecorderClient:
    """One recorder's socket. Errors: those of the recorder, and RecordingError (closed) where it does not answer."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Outcome]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Connect."""
        try:
            reader, self._writer = await asyncio.open_unix_connection(
                str(self._socket), limit=MAX_ANSWER_BYTES
            )
        except OSError as error:
            raise RecordingError("the recorder is not there", code="closed") from error
        self._reading = asyncio.create_task(self._read(reader))

    async def close(self) -> None:
        """Hang up."""
        if self._writer is not None:
            self._writer.close()
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading

    async def arm(self, camera_id: str, camera: Camera, reader: ClockReader | None = None) -> None:
        """See `Recorder.arm`; so for all below."""
        clock = None if reader is None else reader.content()
        secrets = dict(camera.secrets)
        do = Arm(
            camera_id=camera_id,
            maker=camera.maker,
            address=camera.address,
            secrets=secrets,
            allows_private=camera.allows_private,
            clock=clock,
        )
        await self._ask(do, Done)

    async def disarm(self, camera_id: str) -> tuple[TakeFile, ...]:
        return _takes(await self._ask(Disarm(camera_id=camera_id), Takes))

    async def start(
        self,
        camera_id: str,
        folder: Path,
        *,
        take: int = 1,
        part: int = 1,
        link: bytes = FIRST_LINK,
        silent_since: datetime | None = None,
    ) -> None:
        start = Start(
            camera_id=camera_id,
            folder=str(folder),
            take=take,
            part=part,
            link=link,
            silent_since=silent_since,
        )
        await self._ask(start, Done)

    async def prove(self, camera_id: str, light: Pattern | None = None) -> Proof | Refusal:
        """The proof is dated as of the moment at which it was asked for."""
        asked_s = monotonic_s()
        sent = None if light is None else Light.of(light, asked_s)
        outcome = await self._say(Prove(camera_id=camera_id, light=sent))
        match outcome:
            case Proven():
                return outcome.proof(asked_s)
            case Refused():
                return outcome.refusal()
        raise RecordingError("the recorder answered something else", code="closed")

    async def relax(self, camera_id: str) -> None:
        await self._ask(Relax(camera_id=camera_id), Done)

    async def stop(self, camera_id: str) -> tuple[TakeFile, ...]:
        return _takes(await self._ask(Stop(camera_id=camera_id), Takes))

    async def state(self, camera_id: str) -> tuple[State, Lease]:
        """How it stands, and the lease, counted from the moment at which it was asked for."""
        asked_s = monotonic_s()
        state = (await self._ask(Ask(camera_id=camera_id), States)).states[camera_id]
        return state, Lease(until_s=asked_s + state.lease_left_s)

    async def states(self) -> dict[str, State]:
        return (await self._ask(Ask(), States)).states

    async def events(self, after: int = 0, wait_s: float = 0.0) -> Page:
        return await self._ask(Listen(after=after, wait_s=wait_s), Page)

    # ---- enrolment --------------------------------------------------------------------------------------

    async def snapshot(self, camera_id: str) -> Snapshot:
        taken = await self._ask(TakePicture(camera_id=camera_id), Picture)
        return Snapshot(
            jpeg=taken.jpeg, width=taken.width, height=taken.height, full_width=taken.full_width,
            full_height=taken.full_height,
        )  # fmt: skip

    async def learn(self, camera_id: str, mark: Mark) -> Learnt:
        do = Learn(camera_id=camera_id, left=mark.left, top=mark.top, width=mark.width, height=mark.height)
        learnt = await self._ask(do, ClockLearnt, timeout_s=LEARN_TIMEOUT_S)
        try:
            reader = None if learnt.clock is None else ClockReader.of_content(learnt.clock)
        except ValueError as error:
            raise RecordingError("the recorder answered with no clock", code="closed") from error
        return Learnt(reader=reader, code=learnt.code)

    async def watch_door(self, camera_id: str) -> None:
        await self._ask(WatchDoor(camera_id=camera_id), Done)

    async def judge_door(
        self, camera_id: str, opened: Span, closed: Span | None, *, is_exact: bool = True
    ) -> DoorSeen:
        now_s = monotonic_s()
        do = JudgeDoor(
            camera_id=camera_id, opened=SentSpan.of(opened, now_s),
            closed=None if closed is None else SentSpan.of(closed, now_s), is_exact=is_exact,
        )  # fmt: skip
        judged = await self._ask(do, DoorJudged)
        return DoorSeen(
            code=judged.code, cells=judged.cells, opened_apart_s=judged.opened_apart_s,
            closed_apart_s=judged.closed_apart_s,
        )  # fmt: skip

    async def expect_light(self, camera_id: str, for_s: float) -> None:
        await self._ask(ExpectLight(camera_id=camera_id, for_s=for_s), Done)

    async def look_for(self, camera_id: str, light: Pattern) -> Seen:
        do = LookFor(camera_id=camera_id, light=Light.of(light, monotonic_s()))
        seen = await self._ask(do, LightSeen)
        return Seen(likeness=seen.likeness, swing=seen.swing, delay_s=seen.delay_s)

    # ---- the link ---------------------------------------------------------------------------------------

    async def _ask(self, do: Do, kind: type[Kind], *, timeout_s: float = TIMEOUT_S) -> Kind:
        outcome = await self._say(do, timeout_s)
        if not isinstance(outcome, kind):
            raise RecordingError("the recorder answered something else", code="closed")
        return outcome

    async def _say(self, do: Do, timeout_s: float = TIMEOUT_S) -> Outcome:
        if self._writer is None or self._reading is None or self._reading.done():
            raise RecordingError("the recorder is not there", code="closed")
        number = next(self._numbers)
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            async with asyncio.timeout(timeout_s):
                self._writer.write(msgspec.json.encode(Request(number=number, do=do)) + b"\n")
                await self._writer.drain()
                outcome = await answer
        except (ConnectionError, TimeoutError) as error:
            raise RecordingError("the recorder does not answer", code="closed") from error
        finally:
            self._waiting.pop(number, None)
        if isinstance(outcome, Failed):
            raise _error_of(outcome)
        return outcome

    async def _read(self, reader: asyncio.StreamReader) -> None:
        decoder = msgspec.json.Decoder(Answer)
        try:
            while line := await reader.readline():
                answer = decoder.decode(line)
                waiting = self._waiting.get(answer.number)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer.outcome)
        except (msgspec.DecodeError, msgspec.ValidationError, ValueError, ConnectionError):
            pass
        finally:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionResetError("the recorder has hung up"))


def _takes(takes: Takes) -> tuple[TakeFile, ...]:
    return tuple(
        TakeFile(
            path=Path(take.path),
            number=take.number,
            begun_at=_aware(take.begun_at),
            parts=tuple(take.parts),
            is_whole=take.is_whole,
        )
        for take in takes.takes
    )


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise RecordingError("the recorder answered with a moment without its offset", code="closed")
    return at


def _error_of(failed: Failed) -> Exception:
    match failed.error:
        case "NotFound":
            return NotFound(failed.message)
        case "CameraUnreachable":
            return CameraUnreachable(failed.message, code=failed.code)
        case "ClipDamaged":
            return ClipDamaged(failed.message)
    return RecordingError(failed.message, code=failed.code or "closed")
