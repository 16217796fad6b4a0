"""The day of a stop: what is due at which moment, and what becomes of it where nobody was there to do it.

A duty is a row (`store/duties.py`), written with the plan that it follows from; `flow/due.py` does those that are due.
What was missed while no worker ran is done when one is back, late or not at all, as `RULES` say, and never twice.
Whatever follows from an older plan of the stop is void.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from psycopg import AsyncConnection

from unlatch.domain.eligibility import Programme
from unlatch.domain.incident import Incident
from unlatch.domain.preflight import is_by_preflight
from unlatch.errors import Conflict
from unlatch.flow.platform import Platform
from unlatch.store import consignees, duties, preflights, stops
from unlatch.store.consignees import AccessPointRow
from unlatch.store.duties import DutyKind, DutyRow
from unlatch.store.stops import StopRow, StopState

NOTICE_AHEAD = timedelta(hours=1)  # a morning's notice that comes later than this before the window is no use
EVENING = time(18)  # by the address's clock: then the notice for an early window is told, the day before
APART_AT_MOST = timedelta(minutes=10)  # the first check is not made so shortly before the last one
NO_USE_BEFORE_END = timedelta(minutes=10)  # of the window: nobody mends anything, or drives there, in less


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """The moments of one plan of a stop. None: its programme has no such check."""

    morning_at: datetime
    first_at: datetime | None
    last_at: datetime | None
    comes_at: datetime  # when the courier is expected
    window_from: datetime
    window_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyRule:
    """When one kind is due, from when on it is too late for it, and why. `due` None: when somebody asks."""

    due: Callable[[Timetable], datetime | None] | None
    drop: Callable[[Timetable], datetime | None]
    needs_car: bool
    due_text: str
    drop_text: str
    why: str


def _too_late_to_mend(table: Timetable) -> datetime:
    return table.window_until - NO_USE_BEFORE_END


def _before_last(table: Timetable) -> datetime | None:
    """So long before the last check that it is not made right after the first."""
    if table.first_at is None or table.last_at is None:
        return None
    return table.last_at - min(APART_AT_MOST, (table.last_at - table.first_at) / 2)


_WHILE_USEFUL = "10 minutes before the window ends"
RULES: Mapping[DutyKind, DutyRule] = {
    DutyKind.MORNING_NOTICE: DutyRule(
        due=lambda table: table.morning_at,
        drop=lambda table: table.window_from,
        needs_car=False,
        due_text="in the morning of the window's day, by the address's clock; the evening before (18:00) where the "
        "window begins less than an hour after that",
        drop_text="the window begins",
        why="where to park is of use until the courier may come; after that it says nothing that the booking has not",
    ),
    DutyKind.PREFLIGHT_1: DutyRule(
        due=lambda table: table.first_at,
        drop=_before_last,
        needs_car=True,
        due_text="60 minutes before the courier is expected (the programme says how many)",
        drop_text="10 minutes before the last check (half-way to it, where they lie closer)",
        why="the last check asks the same: two in a row would only cost the car a reading",
    ),
    DutyKind.PREFLIGHT_2: DutyRule(
        due=lambda table: table.last_at,
        drop=_too_late_to_mend,
        needs_car=True,
        due_text="30 minutes before the courier is expected (the programme says how many); neither of the two where "
        "the plan itself is made after that moment: the courier may stand there, and the scan looks at the car",
        drop_text=_WHILE_USEFUL,
        why="late is better than not at all: the courier may come at any moment of the window",
    ),
    DutyKind.HEADING: DutyRule(
        due=None,
        drop=_too_late_to_mend,
        needs_car=True,
        due_text="the courier sets out, and the last finding is older than 15 minutes",
        drop_text=_WHILE_USEFUL,
        why="the scan itself looks at the car",
    ),
    DutyKind.RECHECK: DutyRule(
        due=None,
        drop=_too_late_to_mend,
        needs_car=True,
        due_text="a block or a freeze of a place that had ruled a stop out is over",
        drop_text=_WHILE_USEFUL,
        why="the courier is on the way to the fallback",
    ),
    DutyKind.WINDOW_OVER: DutyRule(
        due=lambda table: table.window_until,
        drop=lambda _: None,
        needs_car=False,
        due_text="the window ends; while a visit lives, a minute later",
        drop_text="never",
        why="each parcel must end somewhere, however late that is written down",
    ),
}
OF_CAR = tuple(kind for kind, rule in RULES.items() if rule.needs_car)
OF_ROWS = tuple(kind for kind, rule in RULES.items() if not rule.needs_car)


def moment_of(day: date, local: time, zone: ZoneInfo) -> datetime:
    """The instant of a local time. Of one that exists twice the first; one that a change skips is moved on by it."""
    return datetime.combine(day, local, tzinfo=zone).astimezone(ZoneInfo("UTC"))


def timetable_of(stop: StopRow, point: AccessPointRow, programme: Programme) -> Timetable:
    """The moments of a stop's present plan."""
    zone = ZoneInfo(point.time_zone)
    day = stop.window_from.astimezone(zone).date()
    morning_at = moment_of(day, programme.morning_at, zone)
    if morning_at > stop.window_from - NOTICE_AHEAD:
        morning_at = moment_of(day - timedelta(days=1), EVENING, zone)
    comes_at = stop.expected_at or stop.window_from
    # Of more than two checks, those nearest to the courier's coming.
    ahead = sorted(programme.preflight_before_s)[:2]
    checks = [comes_at - timedelta(seconds=before_s) for before_s in ahead]
    return Timetable(
        morning_at=morning_at,
        first_at=checks[1] if len(checks) > 1 else None,
        last_at=checks[0] if checks else None,
        comes_at=comes_at,
        window_from=stop.window_from,
        window_until=stop.window_until,
    )


async def plan_duties(
    connection: AsyncConnection, stop: StopRow, point: AccessPointRow, programme: Programme, now: datetime
) -> None:
    """Write down what is due for a stop's present plan, in the transaction that makes the plan.

    What was due earlier than now is due at once, or dropped, as `RULES` say: the worker decides. The duties of an
    older plan are left alone: `plan_number` makes them void.
    """
    table = timetable_of(stop, point, programme)
    due = {kind: rule.due(table) for kind, rule in RULES.items() if rule.due is not None}
    if stop.plan_number > 1 and table.morning_at <= now:
        del due[DutyKind.MORNING_NOTICE]  # the change is told, and its window with it
    if now >= table.comes_at:
        # Planned with the courier at the door: a look now would only be the scan's own, a moment too early.
        due = {kind: at for kind, at in due.items() if not RULES[kind].needs_car}
    await duties.plan(
        connection,
        [
            DutyRow(
                stop_id=stop.id,
                plan_number=stop.plan_number,
                kind=kind,
                due_at=at,
                drop_at=RULES[kind].drop(table),
                next_at=max(at, now) if RULES[kind].drop(table) is None else at,
            )
            for kind, at in due.items()
            if at is not None
        ],
    )


async def plan_duties_of(
    platform: Platform, connection: AsyncConnection, stop: StopRow, now: datetime
) -> None:
    """The same for a stop whose plan has changed; nothing is due for one that has ended. Its place is locked."""
    point = await consignees.find_access_point(connection, stop.access_point_id)
    assert point is not None
    programme = (await platform.rules.get()).get_programme(stop.programme)
    await plan_duties(connection, stop, point, programme, now)


async def ask_for_check(connection: AsyncConnection, stop: StopRow, kind: DutyKind, now: datetime) -> bool:
    """Have the car looked at for this stop as soon as a worker can; False: it is too late for that."""
    drop_at = stop.window_until - NO_USE_BEFORE_END
    if now >= drop_at:
        return False
    await duties.ask_again(
        connection,
        DutyRow(
            stop_id=stop.id,
            plan_number=stop.plan_number,
            kind=kind,
            due_at=now,
            drop_at=drop_at,
            next_at=now,
        ),
    )
    return True


async def ask_for_rechecks(connection: AsyncConnection, access_point_id: str, now: datetime) -> None:
    """Something that may have ruled stops out at this place is over (a block, a freeze): look again at each of them."""
    for stop_id in await preflights.list_ruled_out(connection, access_point_id, now):
        stop = await stops.find_stop(connection, stop_id)
        if stop is not None and stop.ruled_out and is_by_preflight(Incident(stop.ruled_out)):
            await ask_for_check(connection, stop, DutyKind.RECHECK, now)


def why_void(duty: DutyRow, stop: StopRow) -> str | None:
    """Why a duty is not to be done any more, however early it is; None: it is."""
    if duty.plan_number != stop.plan_number:
        return "replanned"
    if stop.state not in (StopState.OPEN, StopState.FALLBACK_DUE):
        return "stop_ended"
    if duty.kind == DutyKind.WINDOW_OVER:
        return None
    if stop.state != StopState.OPEN:
        return "fallback_due"
    ruled_out = Incident(stop.ruled_out) if stop.ruled_out else None
    if duty.kind == DutyKind.MORNING_NOTICE and ruled_out is not None:
        return "ruled_out"  # told to go another way; what mends it is told with its window
    return None if is_by_preflight(ruled_out) else "ruled_out"


async def lock_stop(connection: AsyncConnection, stop_id: str) -> StopRow:
    """A stop with its place, both locked, the place first, as a scan does. Raises Conflict where it moves meanwhile."""
    seen = await stops.find_stop(connection, stop_id)
    assert seen is not None  # a duty and a finding belong to a stop, and stops are kept
    await consignees.find_access_point(connection, seen.access_point_id, is_locked=True)
    stop = await stops.find_stop(connection, stop_id, is_locked=True)
    assert stop is not None
    if stop.access_point_id != seen.access_point_id:
        raise Conflict("the stop was just planned anew, at another place: try again")
    return stop
