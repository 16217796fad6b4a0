"""The steps of an enrolment at work, by a worker beside the recorder that holds the camera.

Each may be begun anew at any time by any worker: what it shows, it shows within itself, and only the turn that is under
way in the row may end it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from psycopg import AsyncConnection

from unlatch.cameras.clock_marking import Mark
from unlatch.cameras.door_seen import QUIET_S, Span
from unlatch.cameras.glances import AGAINST, Method, Verdict
from unlatch.cameras.recorder_client import RecorderClient
from unlatch.clock import monotonic_s
from unlatch.devices.base import Car, Maker
from unlatch.domain.camera_enrolment import EnrolmentEnd, EnrolmentStep, Phase, StepState
from unlatch.domain.daylight import is_day
from unlatch.domain.reading import Reading
from unlatch.errors import DatabaseDown, DeviceError, NotFound, RecordingError, SealBroken
from unlatch.flow.challenging import play_pattern
from unlatch.flow.enrolling import settle
from unlatch.flow.platform import Platform
from unlatch.flow.refreshing import ask
from unlatch.store import cameras, consignees, enrolments, readings
from unlatch.store.cameras import CameraRow, Held
from unlatch.store.enrolments import EnrolmentRow, StepRow
from unlatch.store.readings import Place

log = structlog.get_logger(__name__)

CONNECTED_WITHIN_S = 20.0  # real: a recorder claims the camera, and the camera lets us in
WATCHED_S = 8.0  # real: until the verdict is asked whether anything moves
LOOK_EVERY_S = 0.25
LIGHT_TRIES = 2
READ_EVERY_S = 1.0  # real: the door, while it is opened
OPENED_WITHIN_S = 90.0
CLOSED_WITHIN_S = 90.0
BLIND_S = 10.0  # without any reading of the door
FOR_GOOD = frozenset(
    {"not_let_in", "not_found", "no_video", "codec", "too_large"}
)  # waiting mends none of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a step has shown. `code`: why that is not enough; None: it is."""

    code: str | None = None
    told: Mapping[str, Any] | None = None  # what was measured
    clock: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn of one step."""

    platform: Platform
    enrolment: EnrolmentRow
    camera: CameraRow
    step: StepRow

    async def is_current(self) -> bool:
        """Whether it is still waited for."""
        async with self.platform.database.connection() as connection:
            return await _is_current(
                self, await enrolments.find_enrolment(connection, self.enrolment.id), connection
            )

    async def say(self, phase: Phase) -> None:
        """What the household does now."""
        async with self.platform.database.connection() as connection:
            await enrolments.set_phase(
                connection, self.enrolment.id, EnrolmentStep(self.step.step), self.step.turn, phase.value
            )


async def carry_out_step(platform: Platform, payload: str) -> None:
    """The job behind a step. Safe to call again at any time, by any worker."""
    enrolment_id, step_word, turn_word = payload.split()
    step = EnrolmentStep(step_word)
    async with platform.database.connection() as connection:
        enrolment = await enrolments.find_enrolment(connection, enrolment_id)
        if enrolment is None:
            return
        row = (await enrolments.list_steps(connection, enrolment_id))[step]
        camera = await cameras.find_camera(connection, enrolment.camera_id)
        if camera is None:
            await enrolments.end_enrolment(
                connection, enrolment_id, EnrolmentEnd.GIVEN_UP, platform.clock.now()
            )
            return
    if row.turn != int(turn_word) or row.state != StepState.UNDER_WAY:
        return
    if not enrolment.is_under_way(datetime.now(UTC)):
        return
    turn = Turn(platform=platform, enrolment=enrolment, camera=camera, step=row)
    try:
        shown = await _STEPS[step](turn)
    except RecordingError as error:
        shown = Shown(code=error.code)
    except NotFound:
        shown = Shown(code="no_picture")  # its recorder holds it no more
    except DatabaseDown:
        raise
    except (DeviceError, SealBroken) as error:
        log.warning("a step of an enrolment broke", enrolment=enrolment_id, why=type(error).__name__)
        shown = Shown(code="broken")
    await _end(turn, step, shown)


async def _end(turn: Turn, step: EnrolmentStep, shown: Shown) -> None:
    """Keep what was shown, unless nobody waits for it any more."""
    platform, now = turn.platform, turn.platform.clock.now()
    async with platform.database.transaction() as connection:
        row = await enrolments.find_enrolment(connection, turn.enrolment.id, is_locked=True)
        if not await _is_current(turn, row, connection):
            return
        if shown.clock is not None:
            await enrolments.keep_clock(connection, turn.enrolment.id, shown.clock)
        state = StepState.PASSED if shown.code is None else StepState.FAILED
        await enrolments.end_step(
            connection, turn.enrolment.id, step, state, now, code=shown.code, shown=shown.told
        )
        await settle(connection, turn.enrolment, now)


async def _is_current(turn: Turn, row: EnrolmentRow | None, connection: AsyncConnection) -> bool:
    if row is None or not row.is_under_way(datetime.now(UTC)):
        return False
    step = (await enrolments.list_steps(connection, row.id))[EnrolmentStep(turn.step.step)]
    return step.turn == turn.step.turn and step.state == StepState.UNDER_WAY


# ---- the camera ---------------------------------------------------------------------------------------------


async def _find_held(turn: Turn) -> Held | None:
    async with turn.platform.database.connection() as connection:
        held = await cameras.list_held(connection, turn.camera.access_point_id, datetime.now(UTC))
    return next((one for one in held if one.camera.id == turn.camera.id), None)


@asynccontextmanager
async def _recorder(turn: Turn) -> AsyncIterator[RecorderClient]:
    """The recorder that holds the camera. Raises RecordingError."""
    held = await _find_held(turn)
    if held is None or held.socket is None:
        raise RecordingError("no recorder holds this camera", code="no_picture")
    async with RecorderClient(Path(held.socket)) as recorder:
        yield recorder


async def _await_picture(turn: Turn) -> str | None:
    """Wait until the camera is heard; why not, in a word."""
    until_s = monotonic_s() + CONNECTED_WITHIN_S
    held: Held | None = None
    while monotonic_s() < until_s:
        held = await _find_held(turn)
        if held is not None and held.socket is not None and held.camera.state in ("armed", "recording"):
            return None
        if held is not None and held.camera.state == "lost" and held.camera.code in FOR_GOOD:
            return held.camera.code
        await asyncio.sleep(LOOK_EVERY_S)
    if held is None or (held.socket is None and held.camera.code is None):
        return "no_recorder"
    return held.camera.code or "unreachable"


async def show_picture(turn: Turn) -> Shown:
    """Reach the camera, keep a picture of it for its household, and see whether anything shows that it lives."""
    code = await _await_picture(turn)
    if code is not None:
        return Shown(code=code)
    platform, enrolment = turn.platform, turn.enrolment
    async with _recorder(turn) as recorder:
        taken = await recorder.snapshot(turn.camera.id)
        verdicts = await _watch(recorder, turn.camera.id)
    if verdicts and all(verdict in AGAINST for verdict, _ in verdicts[-4:]):
        return Shown(code="not_live")
    async with platform.database.transaction() as connection:
        row = await enrolments.find_enrolment(connection, enrolment.id, is_locked=True)
        if not await _is_current(turn, row, connection):
            return Shown()
        point = await consignees.find_access_point(connection, turn.camera.access_point_id)
        assert point is not None  # a camera has a place
        now = platform.clock.now()
        has_moved = any(verdict is Verdict.LIVE and method is Method.MOTION for verdict, method in verdicts)
        await enrolments.keep_picture(
            connection,
            enrolment.id,
            picture=platform.vault.seal(taken.jpeg, enrolment.id),
            shown=(taken.width, taken.height),
            full=(taken.full_width, taken.full_height),
            has_moved=has_moved and is_day(point.latitude, point.longitude, now),
        )
        # A clock that was learnt before and still goes with ours need not be marked again.
        goes = any(verdict is Verdict.LIVE and method is Method.CLOCK for verdict, method in verdicts)
        if goes and turn.camera.clock is not None:
            await enrolments.keep_clock(connection, enrolment.id, turn.camera.clock)
            await enrolments.end_step(connection, enrolment.id, EnrolmentStep.CLOCK, StepState.PASSED, now)
    return Shown(told={"width": taken.full_width, "height": taken.full_height})


async def _watch(recorder: RecorderClient, camera_id: str) -> list[tuple[Verdict, Method | None]]:
    """The verdicts of some seconds."""
    found: list[tuple[Verdict, Method | None]] = []
    until_s = monotonic_s() + WATCHED_S
    while monotonic_s() < until_s:
        state, _ = await recorder.state(camera_id)
        found.append((state.verdict, state.method))
        await asyncio.sleep(LOOK_EVERY_S)
    return found


async def show_clock(turn: Turn) -> Shown:
    """Learn the clock that was marked."""
    mark = turn.step.mark
    assert mark is not None  # a turn of the clock begins with a mark
    async with _recorder(turn) as recorder:
        learnt = await recorder.learn(
            turn.camera.id,
            Mark(left=mark["left"], top=mark["top"], width=mark["width"], height=mark["height"]),
        )
    if learnt.reader is None:
        return Shown(code=learnt.code or "no_time")
    clock = learnt.reader.content()
    return Shown(clock=clock, told={"face": clock["face"], "zone_s": clock["zone_s"]})


async def show_light(turn: Turn) -> Shown:
    """Play a pattern and look for it; once more where it was not seen, since a hub may be slow to begin."""
    shown = Shown(code="not_seen")
    for _ in range(LIGHT_TRIES):
        try:
            pattern = await play_pattern(turn.platform, turn.camera.access_point_id)
        except (DeviceError, NotFound) as error:
            log.warning("a lamp was not played", enrolment=turn.enrolment.id, why=type(error).__name__)
            shown = Shown(code="not_reached")
            continue
        async with _recorder(turn) as recorder:
            seen = await recorder.look_for(turn.camera.id, pattern)
        told = {
            "likeness": round(seen.likeness, 3), "levels": round(seen.swing, 1), "delay_s": round(seen.delay_s, 2)
        }  # fmt: skip
        if seen.is_ours:
            return Shown(told=told)
        shown = Shown(code="not_seen", told=told)
    return shown


# ---- the door -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorReader:
    """Reads the door every second, and tells between which two looks it turned."""

    platform: Platform
    place: Place
    is_exact: bool  # a contact sensor tells (or a cover itself); else the bolt does

    @classmethod
    def of(cls, platform: Platform, place: Place) -> DoorReader:
        """The reader of a home's door. Raises SealBroken."""
        maker, hub = platform.car_at(place)
        return cls(platform=platform, place=place, is_exact=maker.closure(hub).reads_lid)

    async def read(self) -> bool | None:
        """Whether it is open (or, where nothing tells that, not locked); None: not known."""

        async def look(maker: Maker, hub: Car) -> Reading:
            return await maker.read(hub)

        try:
            reading = await ask(self.platform, self.place, look)
        except DeviceError:
            return None
        if self.is_exact:
            return reading.is_open
        return None if reading.is_locked is None else not reading.is_locked

    async def stays_closed(self, for_s: float) -> bool:
        """Whether it was not seen open for so long."""
        until_s = monotonic_s() + for_s
        while (left_s := until_s - monotonic_s()) > 0:
            if await self.read():
                return False
            await asyncio.sleep(min(READ_EVERY_S, left_s))
        return True

    async def await_turn(self, turn: Turn, *, is_open: bool, within_s: float) -> Span | str:
        """Between which moments it has become so; or why not, in a word."""
        until_s = monotonic_s() + within_s
        former_s = heard_s = monotonic_s()
        while True:
            begun_s = monotonic_s()
            state = await self.read()
            if state is is_open:
                return Span(from_s=former_s, until_s=monotonic_s())
            if state is not None:
                former_s = heard_s = begun_s
            if begun_s - heard_s > BLIND_S:
                return "not_read"
            if begun_s > until_s or not await turn.is_current():
                return "not_opened" if is_open else "not_closed"
            await asyncio.sleep(max(0.0, READ_EVERY_S - (monotonic_s() - begun_s)))


async def show_door(turn: Turn) -> Shown:
    """Have the door opened and closed once, and see whether the picture turns with it."""
    async with turn.platform.database.connection() as connection:
        place = await readings.find_place(connection, turn.camera.access_point_id)
    if place is None:
        return Shown(code="not_read")
    door = DoorReader.of(turn.platform, place)
    async with _recorder(turn) as recorder:
        state = await door.read()
        if state is not False:
            return Shown(code="not_read" if state is None else "open_already")
        await turn.say(Phase.KEEP_CLOSED)
        await recorder.watch_door(turn.camera.id)
        if not await door.stays_closed(QUIET_S + 1.0):
            return Shown(code="open_already")
        await turn.say(Phase.OPEN_IT)
        opened = await door.await_turn(turn, is_open=True, within_s=OPENED_WITHIN_S)
        if isinstance(opened, str):
            return Shown(code=opened)
        await turn.say(Phase.CLOSE_IT)
        closed = await door.await_turn(turn, is_open=False, within_s=CLOSED_WITHIN_S)
        if isinstance(closed, str):
            return Shown(code=closed)
        await turn.say(Phase.STEP_AWAY)
        await asyncio.sleep(QUIET_S + 1.0)
        seen = await recorder.judge_door(turn.camera.id, opened, closed, is_exact=door.is_exact)
    told = {
        "cells": seen.cells,
        "opened_apart_s": seen.opened_apart_s,
        "closed_apart_s": seen.closed_apart_s,
        "told_by": "contact" if door.is_exact else "bolt",
    }
    return Shown(code=seen.code, told=told)


_STEPS: Mapping[EnrolmentStep, Callable[[Turn], Awaitable[Shown]]] = {
    EnrolmentStep.PICTURE: show_picture,
    EnrolmentStep.CLOCK: show_clock,
    EnrolmentStep.LIGHT: show_light,
    EnrolmentStep.DOOR: show_door,
}
