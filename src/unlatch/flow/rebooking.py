"""What people change of a booking: re-plan, cancel, hand over; redirect, keep, extend; and the end of its window.

Each wish is one function in one transaction: the place's row is locked first, as by a scan, a block and the gate, then
the visit, then the stop; `domain/booking.py` says what becomes of it; the change, its deed and its notices commit
together. A wish that comes again changes nothing, and answers the same. Blocks and freezes stand in `flow/consent.py`,
the fallback's ends in `flow/fallback.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from unlatch.domain.access import Fallback
from unlatch.domain.booking import (
    NOTHING,
    Outcome,
    Part,
    Refusal,
    Stage,
    StopState,
    Wish,
    latest_end,
    outcome_of,
    refuse,
    stage_of,
)
from unlatch.domain.fallback import plan_of, redirected_plan
from unlatch.domain.incident import Incident
from unlatch.domain.notice import NoticeEvent
from unlatch.domain.proof import text_of_time
from unlatch.domain.visit import Fact
from unlatch.errors import BadInput, Conflict, NotFound
from unlatch.flow import notifying
from unlatch.flow.enrolment import get_courier
from unlatch.flow.platform import Platform
from unlatch.flow.record import Happening, record_in
from unlatch.store import consignees, deeds, household, parcels, stops, visits
from unlatch.store.consignees import AccessPointRow
from unlatch.store.stops import StopRow
from unlatch.store.visits import VisitRow

LONGEST_WINDOW = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wisher:
    """Who wishes something. A carrier may for its own stops, a consignee for those at a place of theirs."""

    part: Part
    id: str

    @property
    def who(self) -> str:
        return f"{self.part}:{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """A stop with its place and the visit that lives at it, all of them locked by this transaction."""

    point: AccessPointRow
    stop: StopRow
    live: VisitRow | None
    other: AccessPointRow | None = None  # the place that it is to go to, locked as well

    @property
    def stage(self) -> Stage:
        return stage_of(
            StopState(self.stop.state),
            has_courier=self.stop.courier_id is not None,
            is_heading=self.stop.heading_at is not None,
            ruled_out=Incident(self.stop.ruled_out) if self.stop.ruled_out else None,
            visit=None if self.live is None else self.live.visit.state,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What became of a wish, and the stop afterwards."""

    wish: Wish
    outcome: Outcome
    stop: StopRow
    stopped: VisitRow | None = None  # the visit that was stopped for it


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPlan:
    """What a carrier changes of a plan. None: stays as it is."""

    window_from: datetime | None = None
    window_until: datetime | None = None
    access_point_id: str | None = None
    courier_id: str | None = None
    expected_at: datetime | None = None


async def lock_booking(
    connection: AsyncConnection, stop_id: str, wisher: Wisher, *, other_place_id: str | None = None
) -> Booking:
    """Lock the place (and the other one), the visit, the stop, in this order. Raises NotFound, Conflict.

    Two places are locked in the order of their names, so that two who swap places don't wait for each other.
    """
    seen = await stops.find_stop(connection, stop_id)
    if seen is None:
        raise NotFound("there is no such stop")
    wanted = {seen.access_point_id, *((other_place_id,) if other_place_id else ())}
    points = {
        place_id: await consignees.find_access_point(connection, place_id, is_locked=True)
        for place_id in sorted(wanted)
    }
    live = await visits.find_live_visit(connection, seen.access_point_id)
    stop = await stops.find_stop(connection, stop_id, is_locked=True)
    point = points[seen.access_point_id]
    assert stop is not None  # rows of stops and places are never deleted
    assert point is not None
    if not await _may(connection, stop, wisher):
        raise NotFound("there is no such stop")
    if stop.access_point_id != seen.access_point_id:
        raise Conflict("this stop has just been moved to another place: look again")
    if live is not None and live.stop_id != stop_id:
        live = None
    other = None
    if other_place_id is not None and other_place_id != point.id:
        other = points[other_place_id]
        if other is None or other.carrier_id != stop.carrier_id:
            raise NotFound("there is no such access point")
    return Booking(point=point, stop=stop, live=live, other=other)


async def _may(connection: AsyncConnection, stop: StopRow, wisher: Wisher) -> bool:
    if wisher.part is Part.CARRIER:
        return stop.carrier_id == wisher.id
    if wisher.part is Part.COURIER:
        return stop.courier_id == wisher.id
    if wisher.part is Part.CONSIGNEE:
        return await household.is_of_household(connection, stop.access_point_id, wisher.id)
    return True


async def replan(
    platform: Platform, connection: AsyncConnection, stop_id: str, wisher: Wisher, plan: NewPlan
) -> Changed:
    """Another window, place or courier; what pre-flight found of the old plan is void. Raises BadInput, NotFound."""
    booking = await lock_booking(connection, stop_id, wisher, other_place_id=plan.access_point_id)
    now, stop = platform.clock.now(), booking.stop
    outcome = outcome_of(Wish.REPLAN, booking.stage)
    if outcome.is_refused:
        return Changed(wish=Wish.REPLAN, outcome=outcome, stop=stop)
    await _check_courier(connection, stop, plan.courier_id)
    await _check_other_place(connection, booking)
    planned = replace(
        stop,
        **_window_of(stop, plan, now),
        access_point_id=(booking.other or booking.point).id,
        courier_id=plan.courier_id or stop.courier_id,
        state=StopState.OPEN,
        ruled_out=None,
        ruled_out_at=None,
    )
    if planned == stop:
        return Changed(wish=Wish.REPLAN, outcome=NOTHING, stop=stop)
    if planned.courier_id is not None and planned.courier_id != stop.courier_id:
        await parcels.hand_over(connection, stop_id, planned.courier_id)
    planned = replace(_next_plan(planned), extended_at=None, before_redirect=None)
    await _save(connection, booking, planned, Wish.REPLAN, wisher, now, event=NoticeEvent.BOOKING_CHANGED)
    return Changed(wish=Wish.REPLAN, outcome=outcome, stop=planned)


def _window_of(stop: StopRow, plan: NewPlan, now: datetime) -> dict[str, Any]:
    """The window that is planned, and when the courier is expected in it."""
    if (plan.window_from is None) != (plan.window_until is None):
        raise BadInput("window_from", "give both window_from and window_until, or neither")
    begins, ends = plan.window_from or stop.window_from, plan.window_until or stop.window_until
    if not begins < ends <= begins + LONGEST_WINDOW:
        raise BadInput("window_until", "must be after window_from, by at most 24 hours")
    if ends <= now:
        raise BadInput("window_until", "this window is over: give one that is not")
    is_same = (begins, ends) == (stop.window_from, stop.window_until)
    expected_at = plan.expected_at or (stop.expected_at if is_same else None)
    if expected_at is not None and not begins <= expected_at < ends:
        raise BadInput("expected_at", "must lie in the window")
    return {"window_from": begins, "window_until": ends, "expected_at": expected_at}


async def _check_courier(connection: AsyncConnection, stop: StopRow, courier_id: str | None) -> None:
    if courier_id is None or courier_id == stop.courier_id:
        return
    courier = await get_courier(connection, courier_id, carrier_id=stop.carrier_id)
    if not courier.is_active:
        raise BadInput("courier_id", "this courier is not active")


async def _check_other_place(connection: AsyncConnection, booking: Booking) -> None:
    """The other place must be one of those to whom the parcels go."""
    if booking.other is None:
        return
    stop = booking.stop
    shipment = await stops.find_shipment(connection, stop.shipment_id, carrier_id=stop.carrier_id)
    assert shipment is not None
    if not await household.is_of_household(connection, booking.other.id, shipment.consignee_id):
        raise BadInput("access_point_id", "is another consignee's than the shipment")
    # options: wired by the lead: refuse with its reasons a place that is not offered for these parcels


async def cancel(platform: Platform, connection: AsyncConnection, stop_id: str, wisher: Wisher) -> Changed:
    """The carrier takes the stop back, with every parcel that was not delivered. Raises NotFound."""
    booking = await lock_booking(connection, stop_id, wisher)
    now = platform.clock.now()
    outcome = outcome_of(Wish.CANCEL, booking.stage)
    if outcome.is_refused or outcome is NOTHING:
        return Changed(wish=Wish.CANCEL, outcome=outcome, stop=booking.stop)
    booking, stopped = await _stop_visit(connection, booking, Incident.CARRIER_CANCELLED, wisher, now)
    cancelled = replace(
        booking.stop, state=StopState.CANCELLED, ruled_out=Incident.CARRIER_CANCELLED, ruled_out_at=now
    )
    await parcels.give_back(connection, stop_id)
    cancelled = _next_plan(cancelled)
    await _save(connection, booking, cancelled, Wish.CANCEL, wisher, now, event=NoticeEvent.BOOKING_CANCELLED)
    return Changed(wish=Wish.CANCEL, outcome=outcome, stop=cancelled, stopped=stopped)


async def hand_over(
    platform: Platform, connection: AsyncConnection, stop_id: str, wisher: Wisher, courier_id: str
) -> Changed:
    """Another courier of the carrier has the stop, or a booked one its first. Raises BadInput, NotFound.

    The household is told only where they had been told of the courier before: then the plan is a new one.
    """
    booking = await lock_booking(connection, stop_id, wisher)
    now, stop, wish = platform.clock.now(), booking.stop, Wish.HAND_OVER
    outcome = outcome_of(wish, booking.stage)
    if outcome.is_refused:
        return Changed(wish=wish, outcome=outcome, stop=stop)
    await _check_courier(connection, stop, courier_id)
    if courier_id == stop.courier_id:
        return Changed(wish=wish, outcome=NOTHING, stop=stop)
    await parcels.hand_over(connection, stop_id, courier_id)
    handed = replace(stop, courier_id=courier_id)
    event = None
    if booking.stage is Stage.UNDER_WAY:
        handed, event = _next_plan(handed), NoticeEvent.BOOKING_CHANGED
    body = {"courier": courier_id}
    await _save(connection, booking, handed, wish, wisher, now, event=event, body=body)
    return Changed(wish=wish, outcome=outcome, stop=handed)


async def redirect(
    platform: Platform,
    connection: AsyncConnection,
    stop_id: str,
    wisher: Wisher,
    *,
    fallback: Fallback | None = None,
    access_point_id: str | None = None,
) -> Changed:
    """The household sends the parcel another way, or to another place of theirs. Raises BadInput, NotFound."""
    if (fallback is None) == (access_point_id is None):
        raise BadInput("fallback", "give either fallback or access_point_id")
    booking = await lock_booking(connection, stop_id, wisher, other_place_id=access_point_id)
    if fallback is not None:
        return await _redirect_to_fallback(platform, connection, booking, wisher, fallback)
    if booking.other is None:
        return await _keep(platform, connection, booking, wisher)
    return await _redirect_to_place(platform, connection, booking, wisher)


async def _redirect_to_fallback(
    platform: Platform, connection: AsyncConnection, booking: Booking, wisher: Wisher, chosen: Fallback
) -> Changed:
    now, wish, was = platform.clock.now(), Wish.REDIRECT, booking.stop
    is_redirected = booking.stage is Stage.REDIRECTED
    outcome = outcome_of(wish, booking.stage)
    if outcome.is_refused:
        return Changed(wish=wish, outcome=outcome, stop=was)
    if is_redirected and was.fallback == chosen:
        return Changed(wish=wish, outcome=NOTHING, stop=was)
    try:
        first, *later = redirected_plan(chosen, _plan(was), tries=was.tries)
    except ValueError as error:
        raise BadInput("fallback", f"choose another one: {error}") from None
    booking, stopped = await _stop_visit(connection, booking, Incident.CONSIGNEE_REDIRECTED, wisher, now)
    redirected = replace(
        booking.stop,
        state=StopState.FALLBACK_DUE,
        fallback=first,
        later_fallbacks=[step.value for step in later],
        ruled_out=Incident.CONSIGNEE_REDIRECTED,
        ruled_out_at=now,
        before_redirect=was.before_redirect if is_redirected else _memory(was),
    )
    redirected = _next_plan(redirected)
    body = {"fallback": chosen.value}
    await _save(connection, booking, redirected, wish, wisher, now, event=NoticeEvent.REDIRECTED, body=body)
    return Changed(wish=wish, outcome=outcome, stop=redirected, stopped=stopped)


async def _redirect_to_place(
    platform: Platform, connection: AsyncConnection, booking: Booking, wisher: Wisher
) -> Changed:
    now, wish, was = platform.clock.now(), Wish.REDIRECT, booking.stop
    outcome = outcome_of(wish, booking.stage)
    if not outcome.is_refused and was.window_until <= now:
        outcome = refuse(Refusal.WINDOW_OVER)
    if outcome.is_refused:
        return Changed(wish=wish, outcome=outcome, stop=was)
    assert booking.other is not None
    if not await household.is_of_household(connection, booking.other.id, wisher.id):
        raise NotFound("there is no such access point")
    await _check_other_place(connection, booking)
    memory = _memory(was) if was.before_redirect is None else was.before_redirect
    booking, stopped = await _stop_visit(connection, booking, Incident.CONSIGNEE_REDIRECTED, wisher, now)
    assert booking.other is not None
    moved = replace(
        booking.stop,
        access_point_id=booking.other.id,
        state=StopState.OPEN,
        fallback=memory["fallback"],
        later_fallbacks=memory["later_fallbacks"],
        ruled_out=None,
        ruled_out_at=None,
        before_redirect=None,
    )
    moved = _next_plan(moved)
    await _save(connection, booking, moved, wish, wisher, now, event=NoticeEvent.BOOKING_CHANGED)
    return Changed(wish=wish, outcome=outcome, stop=moved, stopped=stopped)


async def keep(platform: Platform, connection: AsyncConnection, stop_id: str, wisher: Wisher) -> Changed:
    """The household takes a redirect back, while the courier has not carried it out. Raises NotFound."""
    booking = await lock_booking(connection, stop_id, wisher)
    return await _keep(platform, connection, booking, wisher)


async def _keep(platform: Platform, connection: AsyncConnection, booking: Booking, wisher: Wisher) -> Changed:
    """What the redirect had replaced holds again: the plan, and what pre-flight had found, until it looks anew."""
    now, wish, stop = platform.clock.now(), Wish.KEEP, booking.stop
    outcome = outcome_of(wish, booking.stage)
    if not outcome.is_refused and outcome is not NOTHING and stop.window_until <= now:
        outcome = refuse(Refusal.WINDOW_OVER)
    if outcome.is_refused or outcome is NOTHING:
        return Changed(wish=wish, outcome=outcome, stop=stop)
    was = stop.before_redirect or _memory(replace(stop, state=StopState.OPEN, ruled_out=None))
    kept = replace(
        stop,
        state=StopState(was["state"]),
        fallback=was["fallback"],
        later_fallbacks=was["later_fallbacks"],
        ruled_out=was["ruled_out"],
        ruled_out_at=now if was["ruled_out"] else None,
        before_redirect=None,
    )
    kept = _next_plan(kept)
    await _save(connection, booking, kept, wish, wisher, now, event=NoticeEvent.BOOKING_CHANGED)
    return Changed(wish=wish, outcome=outcome, stop=kept)


async def extend(
    platform: Platform, connection: AsyncConnection, stop_id: str, wisher: Wisher, until: datetime
) -> Changed:
    """The courier may come until later, once a plan. Raises BadInput for a moment too late, NotFound."""
    booking = await lock_booking(connection, stop_id, wisher)
    now, wish, stop = platform.clock.now(), Wish.EXTEND, booking.stop
    outcome = outcome_of(wish, booking.stage)
    if not outcome.is_refused and stop.window_until <= now:
        outcome = refuse(Refusal.WINDOW_OVER)
    elif not outcome.is_refused and stop.extended_at is not None:
        outcome = NOTHING if until == stop.window_until else refuse(Refusal.EXTENDED_ALREADY)
    if outcome.is_refused or outcome is NOTHING:
        return Changed(wish=wish, outcome=outcome, stop=stop)
    latest = latest_end(stop.window_from, stop.window_until, booking.point.time_zone)
    if not stop.window_until < until <= latest:
        raise BadInput(
            "until",
            f"give a moment after {text_of_time(stop.window_until)}, and at the latest {text_of_time(latest)}"
            if latest > stop.window_until
            else "this window can't be extended: it ends at 23:00 or later",
        )
    extended = replace(
        stop, window_until=until, extended_at=now, plan_number=stop.plan_number + 1
    )  # the courier who has set out is still on the way
    await _save(connection, booking, extended, wish, wisher, now, event=NoticeEvent.BOOKING_CHANGED)
    return Changed(wish=wish, outcome=outcome, stop=extended)


async def end_of_window(connection: AsyncConnection, stop_id: str, now: datetime) -> bool:
    """The window is over, and nobody asked to open: the fallback is due. False: there was nothing to do.

    Where a parcel of the stop has been delivered, or pre-flight had ruled it out, that tells more than "nobody came".
    """
    booking = await lock_booking(connection, stop_id, Wisher(part=Part.OPERATOR, id="clock"))
    stop = booking.stop
    if stop.state != StopState.OPEN or booking.live is not None or now < stop.window_until:
        return False
    over = replace(stop, state=StopState.FALLBACK_DUE)
    if stop.ruled_out is None and not await parcels.is_any_delivered(connection, stop_id):
        over = replace(over, ruled_out=Incident.CARRIER_NOBODY_CAME, ruled_out_at=now)
        await _tell(connection, NoticeEvent.NOBODY_CAME, over, now)
    await stops.update_stop(connection, over)
    return True


def _plan(stop: StopRow) -> tuple[Fallback, ...]:
    return plan_of(stop.fallback, stop.later_fallbacks, tries=stop.tries)


def _memory(stop: StopRow) -> dict[str, Any]:
    """What a redirect replaces, as it is kept."""
    return {
        "state": stop.state,
        "ruled_out": stop.ruled_out,
        "fallback": stop.fallback,
        "later_fallbacks": list(stop.later_fallbacks),
    }


def _next_plan(stop: StopRow) -> StopRow:
    """What follows from the plan before is void, and no courier is on the way by this one yet."""
    return replace(stop, plan_number=stop.plan_number + 1, heading_at=None, arriving_at=None)


async def _stop_visit(
    connection: AsyncConnection, booking: Booking, incident: Incident, wisher: Wisher, now: datetime
) -> tuple[Booking, VisitRow | None]:
    """End the visit that lives before its gate; the booking as that leaves it."""
    if booking.live is None:
        return booking, None
    happening = Happening(fact=Fact.BLOCKED, who=wisher.who, incident=incident)
    stopped = await record_in(connection, booking.live, happening, now)
    stop = await stops.find_stop(connection, booking.stop.id, is_locked=True)
    assert stop is not None
    return replace(booking, stop=stop, live=None), stopped


async def _save(
    connection: AsyncConnection,
    booking: Booking,
    after: StopRow,
    wish: Wish,
    wisher: Wisher,
    now: datetime,
    *,
    event: NoticeEvent | None,
    body: Mapping[str, Any] | None = None,
) -> None:
    """The change, its deed, its notices, and what is due for the new plan: all in this transaction."""
    before = booking.stop
    await stops.update_stop(connection, after)
    told: dict[str, Any] = {"plan": after.plan_number, **(body or {})}
    if (after.window_from, after.window_until) != (before.window_from, before.window_until):
        told |= _window_facts(after)
    if after.access_point_id != before.access_point_id:
        told["moved_to"] = after.access_point_id
    for place_id in dict.fromkeys((before.access_point_id, after.access_point_id)):
        await deeds.insert_deed(
            connection,
            access_point_id=place_id,
            stop_id=after.id,
            who=wisher.who,
            what=wish,
            body=told,
            at=now,
        )
    if event is not None:
        person = await _find_name(connection, wisher, booking.point)
        facts = {"who": person} if person else {}
        await _tell(connection, event, after, now, facts=facts, old_place_id=before.access_point_id)
    # duties: wired by the lead (for an open stop whose plan_number is a new one; its place: booking.other or .point)


async def _find_name(connection: AsyncConnection, wisher: Wisher, point: AccessPointRow) -> str | None:
    if wisher.part is not Part.CONSIGNEE:
        return None
    person = await consignees.find_consignee(connection, wisher.id, carrier_id=point.carrier_id)
    return None if person is None else person.name


def _window_facts(stop: StopRow) -> dict[str, Any]:
    return {
        "window_from": text_of_time(stop.window_from),
        "window_until": text_of_time(stop.window_until),
    }


async def _tell(
    connection: AsyncConnection,
    event: NoticeEvent,
    stop: StopRow,
    now: datetime,
    *,
    facts: Mapping[str, Any] | None = None,
    old_place_id: str | None = None,
) -> None:
    """Once a plan; where the stop has moved, the household of the place that it has left is told too."""
    for place_id in dict.fromkeys((stop.access_point_id, old_place_id or stop.access_point_id)):
        await notifying.tell(
            connection,
            event,
            place_id=place_id,
            key=f"{stop.id}/{stop.plan_number}",
            now=now,
            stop_id=stop.id,
            facts={**_window_facts(stop), "fallback": stop.fallback, **(facts or {})},
        )
