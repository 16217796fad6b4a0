"""Pre-flight at work: look at the car if its read budget allows, ask the table, and draw the consequence.

What a check finds, what follows from it for the stop, and who is told of it commit together, while the place's row is
held: a scan that comes at that moment waits, and sees the one or the other. What people have decided about a stop is
never touched.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from psycopg import AsyncConnection

from unlatch.domain.access import PlaceKind
from unlatch.domain.eligibility import Programme
from unlatch.domain.incident import Incident
from unlatch.domain.notice import NoticeEvent
from unlatch.domain.preflight import (
    IN_OUR_ROWS,
    TRIES,
    USABLE_FOR_S,
    Finding,
    Picture,
    ask,
    is_by_preflight,
)
from unlatch.domain.proof import text_of_time
from unlatch.errors import Conflict, NotFound
from unlatch.flow.carry_out import read_place
from unlatch.flow.duties import lock_stop, timetable_of, why_void
from unlatch.flow.filming import look_at_cameras
from unlatch.flow.notifying import tell, window_facts
from unlatch.flow.platform import Platform
from unlatch.store import deeds, duties, preflights
from unlatch.store.consignees import AccessPointRow, VehicleRow
from unlatch.store.duties import DutyKind, DutyRow, DutyState
from unlatch.store.household import is_of_household
from unlatch.store.preflights import Case, PreflightRow
from unlatch.store.read_budget import APART, Spending, car_of, spend_reading
from unlatch.store.stops import StopState

log = structlog.get_logger(__name__)

SHARED_FOR = timedelta(minutes=5)  # one look at a car serves every stop there for so long
KNOWN_FOR = timedelta(
    hours=2
)  # what was told is not told again for so long, however often the stop is planned anew
UNDER_WAY = timedelta(seconds=30)  # another's reading is awaited this long before it is asked for again
ASKED = "asked"  # the kind of a finding that a consignee asked for
ANSWER_WITHIN_S = 15.0  # real seconds that a consignee waits for the car
LAST_CHECKS = frozenset({DutyKind.PREFLIGHT_2, DutyKind.HEADING, DutyKind.RECHECK})


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What came of the wish to look at a car now."""

    is_looked_at: bool  # asked lately; False: the read budget did not allow it
    refused: Incident | None = None  # why the last try failed
    is_read: bool = False  # this look has cost a reading
    is_under_way: bool = False  # somebody else's reading is still on its way
    picture: Picture | None = (
        None  # what the cameras of a home show; None: a car, or none that may be a witness
    )


async def spend(
    connection: AsyncConnection,
    point: AccessPointRow,
    vehicle: VehicleRow | None,
    programme: Programme,
    now: datetime,
    zone: Any,
) -> Spending:
    """Take one reading from the budget of the car behind a place."""
    return await spend_reading(
        connection,
        car_of(point.id, vehicle),
        day=now.astimezone(zone).date(),
        most=programme.reads_a_day,
        now=now,
    )


async def look(platform: Platform, case: Case, programme: Programme, *, shared_for: timedelta) -> Looked:
    """Read the car or the hub behind a stop, unless that was done less than `shared_for` ago or its budget is used up.

    The cameras of a home are looked at each time: that costs no battery.
    """
    if case.kind is not PlaceKind.HOME:
        return await _read(platform, case, programme, shared_for=shared_for)
    looked, picture = await asyncio.gather(
        _read(platform, case, programme, shared_for=shared_for),
        look_at_cameras(platform, case.point.id),
    )
    return replace(looked, picture=picture)


async def _read(platform: Platform, case: Case, programme: Programme, *, shared_for: timedelta) -> Looked:
    place = case.place
    if place is None:
        return Looked(is_looked_at=True)  # no car is linked: that is what is found
    now = platform.clock.now()
    if _is_within(case.tried_at, now, shared_for):
        return Looked(is_looked_at=True, refused=case.refused)
    async with platform.database.connection() as connection:
        spending = await spend(connection, case.point, case.vehicle, programme, now, case.zone)
    if not spending.is_granted:
        is_recent = _is_within(case.tried_at, now, timedelta(seconds=USABLE_FOR_S))
        return Looked(
            is_looked_at=_is_within(case.tried_at, now, APART),
            refused=case.refused if is_recent else None,
            is_under_way=spending.is_under_way(now, case.tried_at),
        )
    return Looked(is_looked_at=True, refused=await read_place(platform, place, is_ahead=True), is_read=True)


def _is_within(at: datetime | None, now: datetime, span: timedelta) -> bool:
    """Less than `span` ago; or ahead by less, as a clock on another machine may be."""
    return at is not None and abs(now - at) < span


async def carry_out_preflight(platform: Platform, duty_text: str) -> None:
    """The job behind a duty that needs the car. Safe to call again at any time, by any worker."""
    stop_id, plan_number, kind = duty_text.split()
    rules = await platform.rules.get()
    async with platform.database.connection() as connection:
        duty = await duties.find(connection, stop_id, int(plan_number), DutyKind(kind))
        case = await preflights.find_case(connection, stop_id)
        if duty is None or case is None or duty.state != DutyState.TAKEN:
            return
        reason = why_void(duty, case.stop)
        if reason is not None:
            await duties.end(connection, duty, DutyState.DROPPED, reason, platform.clock.now())
            return
    programme = rules.get_programme(case.stop.programme)
    # What failed a moment ago is not shared, but tried again.
    looked = await look(platform, case, programme, shared_for=timedelta() if duty.tries else SHARED_FOR)
    if looked.is_under_way:
        async with platform.database.connection() as connection:
            await duties.postpone(connection, duty, platform.clock.now() + UNDER_WAY, tries=0)
        return
    async with platform.database.transaction() as connection:
        stop = await lock_stop(connection, stop_id)
        now = platform.clock.now()
        held = await duties.find(connection, stop_id, int(plan_number), DutyKind(kind), is_locked=True)
        if held is None or held.ended_at is not None:
            return  # another worker was faster; one that only put it off, for this one's reading, was not
        reason = why_void(held, stop)
        if reason is None and held.drop_at is not None and now >= held.drop_at:
            reason = "too_late"
        if reason is not None:
            await duties.end(connection, held, DutyState.DROPPED, reason, now)
            return
        case = await preflights.find_case(connection, stop_id)
        assert case is not None
        if case.is_visited:
            await duties.end(
                connection, held, DutyState.DROPPED, "visited", now
            )  # the courier is there already
            return
        finding = find(platform, case, looked, now)
        if _is_tried_again(held, finding, now):
            assert finding.again_after_s is not None
            await duties.postpone(connection, held, now + timedelta(seconds=finding.again_after_s), tries=1)
            return
        last_at = timetable_of(case.stop, case.point, programme).last_at
        occasion = Occasion(
            kind=kind,
            is_last=DutyKind(kind) in LAST_CHECKS,
            at=now,
            mend_by=last_at,
            rules_version=rules.version,
        )
        await draw_consequence(connection, case, finding, occasion)
        await duties.end(connection, held, DutyState.DONE, outcome_of(finding), now)


def _is_tried_again(duty: DutyRow, finding: Finding, now: datetime) -> bool:
    """Whether what was found may pass by itself, and there is time to see."""
    wait_s = finding.again_after_s
    if wait_s is None or duty.tries + 1 >= TRIES:
        return False
    return duty.drop_at is None or now + timedelta(seconds=wait_s) < duty.drop_at


def outcome_of(finding: Finding) -> str:
    """In one word, for the duty's row."""
    if finding.reasons:
        return finding.reasons[0].value
    return "well" if finding.is_seen else "not_seen"


def find(platform: Platform, case: Case, looked: Looked, now: datetime) -> Finding:
    """Ask the table about a stop as it is now."""
    closure = obstacle = None
    if case.place is not None:
        maker, car = platform.car_at(case.place)
        closure, obstacle = maker.closure(car), platform.find_obstacle(maker, car)
    return ask(
        case.situation(
            now=now,
            closure=closure,
            obstacle=obstacle,
            refused=looked.refused,
            is_looked_at=looked.is_looked_at,
            picture=looked.picture,
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """One pre-flight. `is_last`: nobody would be sent back for what is mended after it."""

    kind: str
    is_last: bool
    at: datetime
    mend_by: datetime | None  # when the last check is made, if it is still to come
    rules_version: str


async def draw_consequence(
    connection: AsyncConnection, case: Case, finding: Finding, occasion: Occasion
) -> None:
    """Keep a finding, rule the place out or no longer, and tell. Place and stop must be locked."""
    stop = case.stop
    before = await preflights.find_told(connection, stop.id, stop.plan_number, stop.access_point_id)
    was_alarming = before is not None and before.is_alarming
    was = Incident(stop.ruled_out) if stop.ruled_out else None
    event: NoticeEvent | None = None
    if is_by_preflight(was):
        ruling = finding.find_ruling(is_last=occasion.is_last)
        may_clear = finding.is_seen or was in IN_OUR_ROWS
        if ruling is not None:
            if was is not ruling:
                await preflights.set_ruling(connection, stop.id, ruling, occasion.at)
            event = NoticeEvent.RULED_OUT if was is None else None
        elif was is not None and may_clear:
            await preflights.set_ruling(connection, stop.id, None, occasion.at)
            # What would rule it out at the last check is to be mended yet: all is not well.
            is_mended = finding.find_ruling(is_last=True) is None
            event = NoticeEvent.PREFLIGHT_MENDED if is_mended else NoticeEvent.PREFLIGHT_FAILED
        elif was is None and not finding.is_well:
            is_news = occasion.kind == DutyKind.PREFLIGHT_1 and not _is_known(before, finding, occasion)
            event = NoticeEvent.PREFLIGHT_FAILED if is_news else None
        elif was is None and was_alarming and finding.is_seen:
            event = NoticeEvent.PREFLIGHT_MENDED
    is_alarming = was_alarming if event is None else event is not NoticeEvent.PREFLIGHT_MENDED
    await preflights.keep(
        connection,
        PreflightRow(
            stop_id=stop.id,
            plan_number=stop.plan_number,
            kind=occasion.kind,
            at=occasion.at,
            reasons=[reason.value for reason in finding.reasons],
            is_seen=finding.is_seen,
            parking=finding.parking,
            distance_m=finding.distance_m,
            observed_at=finding.observed_at,
            is_alarming=is_alarming,
            rules_version=occasion.rules_version,
            access_point_id=stop.access_point_id,
        ),
    )
    if event is not None:
        await _tell(connection, case, finding, occasion, event)


def _is_known(before: PreflightRow | None, finding: Finding, occasion: Occasion) -> bool:
    """Whether the household was told the very same a while ago, before the stop was planned anew."""
    if before is None or not before.is_alarming or not _is_within(before.at, occasion.at, KNOWN_FOR):
        return False
    return before.reasons == [reason.value for reason in finding.reasons]


async def _tell(
    connection: AsyncConnection, case: Case, finding: Finding, occasion: Occasion, event: NoticeEvent
) -> None:
    """Each turn of events is told once: it commits with the turn, and bears its moment."""
    stop, facts = case.stop, window_facts(case.stop)
    if finding.reasons and event is not NoticeEvent.PREFLIGHT_MENDED:
        ruling = finding.find_ruling(is_last=occasion.is_last) if event is NoticeEvent.RULED_OUT else None
        reason = ruling or finding.reasons[0]
        facts |= {"incident": reason.value, "remedy": finding.remedies()[reason].value}
    if (
        event is NoticeEvent.PREFLIGHT_FAILED
        and occasion.mend_by is not None
        and occasion.mend_by > occasion.at
    ):
        facts["until"] = text_of_time(occasion.mend_by)
    if event in (NoticeEvent.PREFLIGHT_FAILED, NoticeEvent.RULED_OUT):
        facts["fallback"] = stop.fallback
    await tell(
        connection,
        event,
        place_id=stop.access_point_id,
        key=f"{stop.id}/{stop.plan_number}/{occasion.kind}/{occasion.at.isoformat()}",
        now=occasion.at,
        stop_id=stop.id,
        facts=facts,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a consignee is answered who asks now."""

    case: Case
    finding: Finding
    is_being_read: bool  # a reading is on its way: ask again in a moment


async def check_now(platform: Platform, *, stop_id: str, consignee_id: str) -> Checked:
    """Look at the car for one of the household, if its budget allows, and draw the consequence.

    Raises NotFound where the stop is not at a place of theirs, Conflict where it no longer goes to the car.
    """
    rules = await platform.rules.get()
    async with platform.database.connection() as connection:
        case = await preflights.find_case(connection, stop_id)
        if case is None or not await is_of_household(connection, case.point.id, consignee_id):
            raise NotFound("there is no such delivery")
    _refuse_ended(case)
    programme = rules.get_programme(case.stop.programme)
    looked = await _look_in_time(platform, case, programme)
    async with platform.database.transaction() as connection:
        await lock_stop(connection, stop_id)
        now = platform.clock.now()
        case = await preflights.find_case(connection, stop_id)
        assert case is not None
        _refuse_ended(case)
        finding = find(platform, case, looked, now)
        if looked.is_read:
            await deeds.insert_deed(
                connection,
                access_point_id=case.point.id,
                stop_id=stop_id,
                who=f"consignee:{consignee_id}",
                what="checked",
                at=now,
            )
        # What may pass by itself does not count by this one look, and one that is still under way says nothing.
        if not looked.is_under_way and finding.again_after_s is None and not case.is_visited:
            last_at = timetable_of(case.stop, case.point, programme).last_at
            occasion = Occasion(
                kind=ASKED,
                is_last=last_at is not None and now >= last_at,
                at=now,
                mend_by=last_at,
                rules_version=rules.version,
            )
            await draw_consequence(connection, case, finding, occasion)
            case = await preflights.find_case(connection, stop_id)
            assert case is not None
    return Checked(case=case, finding=finding, is_being_read=looked.is_under_way)


def _refuse_ended(case: Case) -> None:
    if case.stop.state != StopState.OPEN:
        raise Conflict("this delivery has ended, or goes another way already")


async def _look_in_time(platform: Platform, case: Case, programme: Programme) -> Looked:
    """A person waits: a car that does not answer in time counts as one whose reading is still under way."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            return await look(platform, case, programme, shared_for=APART)
    except TimeoutError:
        log.info("a car did not answer in time", stop=case.stop.id)
        return Looked(is_looked_at=False, is_read=True, is_under_way=True)
