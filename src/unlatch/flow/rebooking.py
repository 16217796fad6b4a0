"""What people change of a booking: re-plan, cancel, hand over; redirect, keep, extend; and the end of its window.

Each wish is one function, in one transaction: `domain/booking.py` says what becomes of it, `flow/wishes.py` locks,
saves and tells. A wish that comes again changes nothing, and answers the same. Blocks and freezes stand in
`flow/consent.py`, the fallback's ends in `flow/fallback.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from unlatch.domain.access import Fallback
from unlatch.domain.booking import (
    NOTHING,
    Part,
    Refusal,
    Stage,
    StopState,
    Wish,
    latest_end,
    outcome_of,
    refuse,
)
from unlatch.domain.fallback import plan_of, redirected_plan
from unlatch.domain.incident import Incident
from unlatch.domain.notice import NoticeEvent
from unlatch.domain.proof import text_of_time
from unlatch.domain.visit import Fact
from unlatch.errors import BadInput, NotFound
from unlatch.flow.enrolment import get_courier
from unlatch.flow.platform import Platform
from unlatch.flow.record import Happening, record_in
from unlatch.flow.wishes import Booking, Changed, Wisher, lock_booking, next_plan, save_plan, tell
from unlatch.store import household, parcels, stops
from unlatch.store.stops import StopRow
from unlatch.store.visits import VisitRow

LONGEST_WINDOW = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPlan:
    """What a carrier changes of a plan. None: stays as it is."""

    window_from: datetime | None = None
    window_until: datetime | None = None
    access_point_id: str | None = None
    courier_id: str | None = None
    expected_at: datetime | None = None


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
    planned = replace(next_plan(planned), extended_at=None, before_redirect=None)
    await save_plan(connection, booking, planned, Wish.REPLAN, wisher, now, event=NoticeEvent.BOOKING_CHANGED)
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
    cancelled = next_plan(cancelled)
    await save_plan(
        connection, booking, cancelled, Wish.CANCEL, wisher, now, event=NoticeEvent.BOOKING_CANCELLED
    )
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
        handed, event = next_plan(handed), NoticeEvent.BOOKING_CHANGED
    body = {"courier": courier_id}
    await save_plan(connection, booking, handed, wish, wisher, now, event=event, body=body)
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
    redirected = next_plan(redirected)
    body = {"fallback": chosen.value}
    await save_plan(
        connection, booking, redirected, wish, wisher, now, event=NoticeEvent.REDIRECTED, body=body
    )
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
    moved = next_plan(moved)
    await save_plan(connection, booking, moved, wish, wisher, now, event=NoticeEvent.BOOKING_CHANGED)
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
    kept = next_plan(kept)
    await save_plan(connection, booking, kept, wish, wisher, now, event=NoticeEvent.BOOKING_CHANGED)
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
    await save_plan(connection, booking, extended, wish, wisher, now, event=NoticeEvent.BOOKING_CHANGED)
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
        await tell(connection, NoticeEvent.NOBODY_CAME, over, now)
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
