"""Each fault of a camera in each state of a home's visit: how it is played, and what must hold whatever comes of it.

Time stands in real seconds where cameras are concerned, and in the town's where doors and couriers are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum, auto
from typing import Any

from tests import invariants
from tests.journeys.front import Front
from tests.journeys.home_front import HomeDoor, HomePlay, open_home
from tests.journeys.playing import Moment, Play

from unlatch.domain.incident import Incident
from unlatch.domain.proof import time_of_text
from unlatch.domain.visit import FINAL, Fact, State
from unlatch.store.cameras import RecordingState
from unlatch.town.camera import CameraFaultKind
from unlatch.town.faults import FaultKind, Verb
from unlatch.town.truth import count_openings_asked

ALARM_WITHIN_S = 10.0  # real: S3, from the fault's beginning
SEEN_WITHIN_S = 4.0  # real: so old may a false picture be that was taken for a live one
HELD_S = 3.3  # real: the gate waits so long, while the proof that it would rest on grows stale
SLOW_LOCK_S = 45.0  # town: so that the door stays unlocked for long enough to be an alarm
PATIENT_S = 12.0  # real: a courier who waits for the alarm
HARMLESS_S = 2.0  # real: after what is no loss
SAY_AGAIN_S = 3.0  # real: a courier says "closed" and waits
ENDS_WITHIN_S = 100.0
KEPT_WITHIN_S = 40.0
TRIES = 3


class Outcome(StrEnum):
    """What a fault does to what is recorded."""

    LOST = auto()  # nobody can swear to what happens at the door any more
    GAP = auto()  # a moment is missing, and then it is recorded again
    NOTHING = auto()  # the picture is another, and lives


@dataclass(frozen=True, kw_only=True)
class CameraTrouble:
    """A fault as the town sets it."""

    kind: CameraFaultKind
    outcome: Outcome = Outcome.LOST
    how: Mapping[str, Any] = field(default_factory=dict)


K = CameraFaultKind
TROUBLES: Mapping[str, CameraTrouble] = {
    "stall": CameraTrouble(kind=K.STALL),
    "drop": CameraTrouble(kind=K.DROP, outcome=Outcome.GAP),
    "freeze": CameraTrouble(kind=K.FREEZE, how={"is_encoded_anew": True, "is_noisy": True}),
    "loop": CameraTrouble(kind=K.LOOP, how={"is_encoded_anew": True}),
    "late": CameraTrouble(kind=K.LATE, how={"by_s": 8}),
    "clock_shift": CameraTrouble(kind=K.CLOCK_SHIFT, how={"by_s": 8}),
    "light_change": CameraTrouble(kind=K.LIGHT_CHANGE, outcome=Outcome.NOTHING, how={"by_levels": -150}),
    "off": CameraTrouble(kind=K.OFF),
}
MORE_TROUBLES: Mapping[str, CameraTrouble] = {
    "freeze, its very bytes": CameraTrouble(kind=K.FREEZE),
    "loop, its very bytes": CameraTrouble(kind=K.LOOP),
    "clock_shift back": CameraTrouble(kind=K.CLOCK_SHIFT, how={"by_s": -8}),
}
STATES = (
    State.REQUESTED,
    State.RINGING,
    State.PROVING,
    State.GRANTED,
    State.UNLOCKING,
    State.UNLOCKED,
    State.OPEN,
    State.CLOSED,
    State.LOCKING,
)
WELL_BEFORE_PROOF = frozenset({State.REQUESTED, State.RINGING})
CAMERA_REFUSALS = frozenset(
    {
        Incident.DEVICE_CAMERA_NOT_PROVEN,
        Incident.DEVICE_CAMERA_OFFLINE,
        Incident.DEVICE_RECORDING_LOST,
        Incident.PLATFORM_TOO_SLOW,  # the proof took so long that the grant is too old
    }
)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One fault in one state."""

    trouble: str
    state: State

    @property
    def name(self) -> str:
        return f"{self.trouble} when {self.state}"

    @property
    def fault(self) -> CameraTrouble:
        return TROUBLES.get(self.trouble) or MORE_TROUBLES[self.trouble]


MATRIX = [Cell(trouble=trouble, state=state) for state in STATES for trouble in TROUBLES]
MORE_CELLS = [
    Cell(trouble=trouble, state=state) for state in (State.RINGING, State.OPEN) for trouble in MORE_TROUBLES
]
SLICE = [
    Cell(trouble="freeze", state=State.OPEN),  # the four worst
    Cell(trouble="off", state=State.LOCKING),
    Cell(trouble="loop", state=State.GRANTED),
    Cell(trouble="stall", state=State.CLOSED),
    Cell(trouble="late", state=State.REQUESTED),  # and each of the others once, each state once
    Cell(trouble="freeze", state=State.RINGING),
    Cell(trouble="clock_shift", state=State.UNLOCKED),
    Cell(trouble="drop", state=State.UNLOCKING),
    Cell(trouble="light_change", state=State.PROVING),
]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What came of one cell: the figures of the evidence."""

    cell: Cell
    struck_in: State
    end: State
    incident: str | None
    is_clean: bool
    openings: int
    alarm_s: float | None
    proof_before_s: float | None  # how long before the fault the proof was made by which it was opened
    seen: Sequence[str]  # what the journal says of the recording


class Dawdler(HomePlay):
    """A courier who says "closed" once, and then waits for what comes of it."""

    async def _close(self) -> bool:
        before = await self.look()
        if not await super()._close():
            return False
        deadline_s = asyncio.get_running_loop().time() + SAY_AGAIN_S
        while (now := await self.look()).state is before.state and now.incident is before.incident:
            if asyncio.get_running_loop().time() > deadline_s:
                break
            await asyncio.sleep(0.05)
        return True


def strike(cell: Cell) -> Moment:
    """Break the camera, once; then wait for the alarm, or for as long as shows that there is none."""

    async def do(play: Play) -> None:
        assert isinstance(play, HomePlay)
        if "struck_in" in play.notes:
            return
        play.notes |= {
            "struck_in": play.last.state,
            "struck_at": play.door.clock.now(),
            "struck_real_at": datetime.now(UTC),
        }
        await play.door.strike(cell.fault.kind, **cell.fault.how)
        if play.last.state not in (State.REQUESTED, State.RINGING, State.PROVING, State.GRANTED):
            await _wait_for_alarm(play, cell.fault.outcome)

    return do


async def _wait_for_alarm(play: HomePlay, outcome: Outcome) -> None:
    """The courier does nothing, and the door stays as it is."""
    patient_s = PATIENT_S if outcome is Outcome.LOST else HARMLESS_S
    deadline_s = asyncio.get_running_loop().time() + patient_s
    while asyncio.get_running_loop().time() < deadline_s:
        seen = await play.look()
        if seen.incident is Incident.DEVICE_RECORDING_LOST or seen.is_final:
            return
        await asyncio.sleep(0.05)


def at_gate(cell: Cell) -> Moment:
    """The proof is made; while the gate waits for the place's row, the camera breaks."""
    hit = strike(cell)

    async def do(play: Play) -> None:
        assert isinstance(play, HomePlay)
        async with play.door.front.hold_place(play.door.place_id):
            seen = await play.until(lambda one: one.state is not State.PROVING, 12)
            if seen.state is State.GRANTED:
                await hit(play)
                await asyncio.sleep(HELD_S)
        play.notes["was_held"] = "struck_in" in play.notes

    return do


async def shut_silently(play: Play) -> None:
    """The parcel is inside, the door is shut, and nobody says so."""
    play.is_inside = True
    await play.door.say(Fact.COURIER_DEPOSITED)
    while not await play.shut():
        await asyncio.sleep(0.1)
    await play.until(lambda seen: seen.state is not State.OPEN, 30)


async def slow_lock(play: Play) -> None:
    await play.town.set_home_fault(play.vin, FaultKind.SLOW, verb=Verb.LOCK, after_s=SLOW_LOCK_S)


def moments_of(cell: Cell) -> dict[State, Moment]:
    """When it is struck: in its state, or in the next that was seen where that one is over in no time."""
    hit, state = strike(cell), cell.state
    match state:
        case State.GRANTED:
            return {State.PROVING: at_gate(cell), State.GRANTED: hit, State.UNLOCKING: hit}
        case State.PROVING:
            return {State.PROVING: hit, State.GRANTED: hit, State.UNLOCKING: hit}
        case State.UNLOCKING:
            return {State.UNLOCKING: hit, State.UNLOCKED: hit}
        case State.UNLOCKED:
            return {State.UNLOCKED: hit, State.READY: hit}
        case State.CLOSED:
            return {State.OPEN: shut_silently, State.CLOSED: hit, State.LOCKING: hit}
    return {state: hit}


class TooSlow(AssertionError):
    """This machine did not get the unlock on its way in time, as it must then be given up: nothing came of the cell."""


async def play_cell(front: Front, cell: Cell) -> Found:
    """Play one cell and hold it against everything that must be so. Raises AssertionError."""
    for _ in range(TRIES - 1):
        try:
            return await _play_cell(front, cell)
        except TooSlow:
            continue
    return await _play_cell(front, cell)


async def _play_cell(front: Front, cell: Cell) -> Found:
    async with open_home(front, rings_first=cell.state in WELL_BEFORE_PROOF) as door:
        play = Dawdler(door=door, at=moments_of(cell))
        await door.arm()
        if cell.state in (State.CLOSED, State.LOCKING):
            await slow_lock(play)
        await door.scan()
        try:
            await play.go_on(ENDS_WITHIN_S)
        except AssertionError as error:
            raise AssertionError(f"{cell.name}: {error}\n{(await door.tell()).story()}") from None
        return await judge(cell, play, door)


# ---- what must hold ---------------------------------------------------------------------------------------


async def judge(cell: Cell, play: HomePlay, door: HomeDoor) -> Found:
    """Against the town's truth and ledger, the journal, the calls, the notices and the recording."""
    told = await door.tell()
    await _wait_for_clip(door, told)
    (told,) = await door.check()
    try:
        found = await _judge(cell, play, door, told)
        await door.front.check_all(may_begin_anew=True)
    except TooSlow:
        raise
    except AssertionError as error:
        raise AssertionError(f"{cell.name}, struck at {play.notes}: {error}\n{told.story()}") from None
    return found


async def _wait_for_clip(door: HomeDoor, told: invariants.Told) -> None:
    """What was recorded becomes a clip."""
    done = (RecordingState.KEPT, RecordingState.EMPTY, RecordingState.FAILED)
    async with asyncio.timeout(KEPT_WITHIN_S):
        while any(one.state not in done for one in await door.list_recordings()):
            await asyncio.sleep(0.1)
    recordings = await door.list_recordings()
    assert not any(one.state is RecordingState.FAILED for one in recordings), recordings
    if told.entries_named("gate_passed"):
        assert any(one.state is RecordingState.KEPT for one in recordings), recordings


async def _judge(cell: Cell, play: HomePlay, door: HomeDoor, told: invariants.Told) -> Found:
    notes, factor = play.notes, door.clock.factor
    if "struck_in" not in notes and told.entries_named("unlock_not_sent"):
        raise TooSlow(cell.name)
    assert "struck_in" in notes, "the moment for it never came"
    struck_at, struck_real_at = notes["struck_at"], notes["struck_real_at"]
    visit = told.row.visit
    assert visit.state in FINAL
    openings = count_openings_asked(await door.town.whole_ledger(vin=door.vin))
    truth = await door.town.home(door.vin)
    assert truth.is_secured, truth
    gates = told.entries_named("gate_passed")
    assert openings == len(gates) <= 1
    proof_before_s = None
    if gates:
        made_at = time_of_text(gates[0].entry.body["proof_made_at"])
        proof_before_s = (struck_real_at - made_at).total_seconds()
        if cell.fault.outcome is Outcome.LOST:
            assert -proof_before_s <= SEEN_WITHIN_S, "a false picture was taken for a live one"
    elif visit.state is State.REFUSED:
        assert told.row.incident in CAMERA_REFUSALS, told.row.incident
    if cell.fault.outcome is Outcome.LOST and (cell.state in WELL_BEFORE_PROOF or notes.get("was_held")):
        assert visit.state is State.REFUSED
        assert openings == 0
    lost = [one.entry for one in told.entries_named("recording_lost") if one.entry.at >= struck_at]
    alarm_s = (lost[0].at - struck_at).total_seconds() / factor if lost else None
    if gates and cell.fault.outcome is Outcome.LOST:
        _judge_alarm(told, struck_at, alarm_s, factor)
    if gates and cell.fault.outcome is Outcome.NOTHING:
        assert not lost
        assert visit.is_clean
    if lost and gates:
        await _judge_told(door, told, lost[0].at)
    if gates and cell.fault.outcome is not Outcome.NOTHING:
        _judge_written(told, struck_at)
    return Found(
        cell=cell,
        struck_in=notes["struck_in"],
        end=visit.state,
        incident=None if told.row.incident is None else told.row.incident.value,
        is_clean=visit.is_clean,
        openings=openings,
        alarm_s=alarm_s,
        proof_before_s=proof_before_s,
        seen=_names_of_recording(told),
    )


def _judge_alarm(told: invariants.Told, struck_at: datetime, alarm_s: float | None, factor: float) -> None:
    """S3: within 10 s of the fault, unless it was seen locked before that."""
    locked = [one.entry.at for one in told.entries_named("seen_locked") if one.entry.at >= struck_at]
    open_s = (locked[0] - struck_at).total_seconds() / factor if locked else float("inf")
    if open_s > ALARM_WITHIN_S:
        assert alarm_s is not None, f"it stood unlocked for {open_s:.1f} s, and no alarm came"
        assert alarm_s <= ALARM_WITHIN_S, f"the alarm came {alarm_s:.1f} s after the fault"
    if alarm_s is not None and alarm_s < open_s:
        assert not told.row.visit.is_clean


async def _judge_told(door: HomeDoor, told: invariants.Told, lost_at: datetime) -> None:
    """Operator and consignee are called, and everyone has a notice, if the door was not seen locked before."""
    if any(one.entry.at <= lost_at for one in told.entries_named("seen_locked")):
        return
    called = {one["kind"] for one in told.calls if one["opened_at"] >= lost_at}
    assert called == {"operator", "consignee"}, told.calls
    async with door.front.database.connection() as connection:
        cursor = await connection.execute(
            "SELECT DISTINCT reader FROM notice WHERE visit_id = %s AND event = 'recording_lost'",
            (told.row.id,),
        )
        readers = {row[0] for row in await cursor.fetchall()}
    assert readers == {"consignee", "carrier", "operator"}, readers  # the courier is told by the stream


def _judge_written(told: invariants.Told, struck_at: datetime) -> None:
    """The journal says when nothing was recorded, or that the picture was no live one."""
    locked = [one.entry.at for one in told.entries_named("seen_locked") if one.entry.at >= struck_at]
    if locked and (locked[0] - struck_at).total_seconds() < SEEN_WITHIN_S:
        return  # over before anyone could see it
    begun = told.entries_named("recording_begun")
    if not begun or begun[0].entry.at > struck_at:
        return  # nothing was recorded yet
    written = told.entries_named("recording_gap_begun", "picture_doubted", "recording_lost")
    assert any(one.entry.at >= struck_at for one in written), "no gap was written down"
    for one in told.entries_named("recording_lost"):
        assert "since" in one.entry.body, one


def _names_of_recording(told: invariants.Told) -> list[str]:
    """The lines about the recording, without the links of its chain."""
    names = []
    for kept in told.entries:
        name, body = kept.entry.name, kept.entry.body
        if name == "recording_link" or not name.startswith(("recording", "picture", "clip")):
            continue
        names.append(f"{name}: {body[key]}" if (key := _key_of(name)) in body else name)
    return names


def _key_of(name: str) -> str:
    return {"picture_doubted": "verdict", "recording_gap_begun": "code"}.get(name, "")
