"""What people change of a booking: re-plan, cancel, hand over; redirect, keep, extend; and the end of its window.

Each wish is one function, in one transaction: `domain/booking.py` says what becomes of it, `flow/wishes.py` locks,
saves and tells. A wish that comes again changes nothing, and answers the same. Blocks and freezes stand in
`flow/consent.py`, the fallback's ends in `flow/fallback.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import AsyncConnection

from unlatch.domain.access import Fallback
from unlatch.domain.booking import (
    DEEDS,
    NOTHING,
    Refusal,
    Stage,
    StopState,
    Wish,
    latest_end,
    outcome_of,
    refuse,
)
from unlatch.domain.eligibility import Offer, Programme
from unlatch.domain.fallback import plan_of, redirected_plan
from unlatch.domain.incident import Incident
from unlatch.domain.notice import NoticeEvent
from unlatch.domain.parcel import ParcelPlace
from unlatch.domain.preflight import is_by_preflight
from unlatch.domain.proof import text_of_time
from unlatch.domain.visit import Fact
from unlatch.domain.window import WindowSpan
from unlatch.errors import BadInput, NotFound
from unlatch.flow import notifying, options
from unlatch.flow.duties import ask_for_check, plan_duties_of
from unlatch.flow.enrolment import get_active_courier
from unlatch.flow.options import WindowGiven
from unlatch.flow.platform import Platform
from unlatch.flow.record import Happening, record_in
from unlatch.flow.wishes import (
    Booking,
    Changed,
    Wisher,
    find_name,
    lock_booking,
    next_plan,
    tell,
)
from unlatch.store import consignees, deeds, household, parcels, stops
from unlatch.store.duties import DutyKind
from unlatch.store.stops import StopRow
from unlatch.store.visits import VisitRow


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPlan:
    """What a carrier changes of a plan. None: stays as it is."""

    window: WindowGiven | None = None
    access_point_id: str | None = None
    courier_id: str | None = None
    expected_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """Whether a place is offered for what is left of a stop, and by which rules."""

    offer: Offer
    programme: Programme
    rules_version: str


async def replan(
    platform: Platform, connection: AsyncConnection, stop_id: str, wisher: Wisher, plan: NewPlan
) -> Changed:
    """Another window, place or courier; what pre-flight found of the old plan is void. Raises BadInput, NotFound.

    A new window or place is asked for anew: it is planned only where it is offered, by the rules of this moment.
    """
    booking = await lock_booking(connection, stop_id, wisher, other_place_id=plan.access_point_id)
    now, stop, wish = platform.clock.now(), booking.stop, Wish.REPLAN
    outcome = outcome_of(wish, booking.stage)
    if outcome.is_refused:
        return Changed(wish=wish, outcome=outcome, stop=stop)
    await _check_courier(connection, stop, plan.courier_id)
    judged = None
    if booking.other is not None or plan.window is not None:
        judged = await _judge(platform, connection, booking)
    planned = replace(
        stop,
        **_window_of(booking, plan, judged, now),
        access_point_id=(booking.other or booking.point).id,
        courier_id=plan.courier_id or stop.courier_id,
        state=StopState.OPEN,
        ruled_out=None,
        ruled_out_at=None,
    )
    if planned == stop:
        return Changed(wish=wish, outcome=NOTHING, stop=stop)
    if judged is not None:
        if not judged.offer.is_offered:
            refused = refuse(Refusal.NOT_OFFERED)
            return Changed(wish=wish, outcome=refused, stop=stop, offer=judged.offer)
        planned = replace(planned, programme=judged.programme.name, rules_version=judged.rules_version)
    if planned.courier_id is not None and planned.courier_id != stop.courier_id:
        await parcels.hand_over(connection, stop_id, planned.courier_id)
    planned = replace(next_plan(planned), extended_at=None, before_redirect=None)
    await _save(platform, connection, booking, planned, wish, wisher, now, event=NoticeEvent.BOOKING_CHANGED)
    return Changed(wish=wish, outcome=outcome, stop=planned)


def _window_of(booking: Booking, plan: NewPlan, judged: _Judged | None, now: datetime) -> dict[str, Any]:
    """The window that is planned, and when the courier is expected in it. Raises BadInput."""
    stop = booking.stop
    window = WindowSpan(from_at=stop.window_from, until_at=stop.window_until)
    if plan.window is not None and judged is not None:
        zone = ZoneInfo((booking.other or booking.point).time_zone)
        read = options.read_window(plan.window, judged.programme, zone)
        window = WindowSpan(from_at=read.from_at.astimezone(UTC), until_at=read.until_at.astimezone(UTC))
    if window.until_at <= now:
        is_by_day = plan.window is not None and plan.window.day is not None
        raise BadInput("window.date" if is_by_day else "window_until", "is over already: give a later window")
    is_same = (window.from_at, window.until_at) == (stop.window_from, stop.window_until)
    # What a courier said on setting out may lie before the window, and is not the carrier's to mend.
    if plan.expected_at is not None and not window.has(plan.expected_at):
        raise BadInput("expected_at", "must lie in the window")
    return {
        "window_from": window.from_at,
        "window_until": window.until_at,
        "expected_at": plan.expected_at or (stop.expected_at if is_same else None),
        "planned_until": stop.planned_until if is_same else None,
    }


async def _check_courier(connection: AsyncConnection, stop: StopRow, courier_id: str | None) -> None:
    if courier_id is None or courier_id == stop.courier_id:
        return
    await get_active_courier(connection, courier_id, carrier_id=stop.carrier_id)


async def _judge(platform: Platform, connection: AsyncConnection, booking: Booking) -> _Judged:
    """Whether the place that the stop is to go to is offered. Raises BadInput where it is not the recipient's."""
    stop, point = booking.stop, booking.other or booking.point
    shipment = await stops.find_shipment(connection, stop.shipment_id, carrier_id=stop.carrier_id)
    assert shipment is not None
    if not await household.is_of_household(connection, point.id, shipment.consignee_id):
        raise BadInput("access_point_id", "is another consignee's than the shipment")
    rules, programme = await options.get_rules_of(platform, connection, stop.carrier_id)
    recipient = await consignees.find_consignee(connection, shipment.consignee_id, carrier_id=stop.carrier_id)
    assert recipient is not None
    offer = await options.judge_place(
        platform,
        connection,
        rules,
        programme,
        point,
        await consignees.find_vehicle(connection, point.id),
        plans=recipient.plans,
        parcels=[
            options.describe_parcel(row)
            for row in await stops.list_parcels(connection, stop_id=stop.id)
            if row.place in (ParcelPlace.WITH_CARRIER, ParcelPlace.WITH_COURIER)
        ],
        now=platform.clock.now(),
    )
    return _Judged(offer=offer, programme=programme, rules_version=rules.version)


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
    await _save(
        platform,
        connection,
        booking,
        cancelled,
        Wish.CANCEL,
        wisher,
        now,
        event=NoticeEvent.BOOKING_CANCELLED,
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
    if stop.heading_at is not None:
        handed = next_plan(handed)
        # Of one that is ruled out, or goes another way by now, they have heard more than that.
        event = NoticeEvent.BOOKING_CHANGED if booking.stage is Stage.UNDER_WAY else None
    body = {"courier": courier_id}
    await _save(platform, connection, booking, handed, wish, wisher, now, event=event, body=body)
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
        first, *later = redirected_plan(chosen, _first_plan(was), tries=was.tries)
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
    await _save(
        platform, connection, booking, redirected, wish, wisher, now, event=NoticeEvent.REDIRECTED, body=body
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
    judged = await _judge(platform, connection, booking)
    if not judged.offer.is_offered:
        refused = refuse(Refusal.NOT_OFFERED)
        return Changed(wish=wish, outcome=refused, stop=was, offer=judged.offer)
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
        programme=judged.programme.name,
        rules_version=judged.rules_version,
    )
    moved = next_plan(moved)
    await _save(platform, connection, booking, moved, wish, wisher, now, event=NoticeEvent.BOOKING_CHANGED)
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
    await _save(platform, connection, booking, kept, wish, wisher, now, event=NoticeEvent.BOOKING_CHANGED)
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
    until = until.astimezone(UTC)
    latest = latest_end(stop.window_from, stop.window_until, booking.point.time_zone)
    if not stop.window_until < until <= latest:
        raise BadInput(
            "until",
            f"give a moment after {text_of_time(stop.window_until)}, and at the latest {text_of_time(latest)}"
            if latest > stop.window_until
            else "this window can't be extended: it ends at 23:00 or later",
        )
    extended = replace(
        stop,
        window_until=until,
        extended_at=now,
        planned_until=stop.planned_until or stop.window_until,
        plan_number=stop.plan_number + 1,
    )  # the courier who has set out is still on the way
    await _save(platform, connection, booking, extended, wish, wisher, now, event=NoticeEvent.BOOKING_CHANGED)
    return Changed(wish=wish, outcome=outcome, stop=extended)


def _first_plan(stop: StopRow) -> tuple[Fallback, ...]:
    """The fallback as it was booked, whatever the household has chosen since."""
    was = stop.before_redirect or _memory(stop)
    return plan_of(was["fallback"], was["later_fallbacks"], tries=stop.tries)


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


async def _save(
    platform: Platform,
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
        told |= notifying.window_facts(after)
    if after.access_point_id != before.access_point_id:
        told["moved_to"] = after.access_point_id
    await deeds.insert_deed(
        connection,
        access_point_id=before.access_point_id,
        stop_id=after.id,
        who=wisher.who,
        what=DEEDS[wish],
        body=told,
        at=now,
    )
    if event is not None:
        person = await find_name(connection, wisher, booking.point)
        facts = {"who": person} if person else {}
        await tell(connection, event, after, now, facts=facts, old_place_id=before.access_point_id)
    if after.plan_number != before.plan_number and after.state in (StopState.OPEN, StopState.FALLBACK_DUE):
        await plan_duties_of(platform, connection, after, now)
        # A look that the plan before had asked for is void, and what was found for it may be over.
        if after.state == StopState.OPEN and after.ruled_out and is_by_preflight(Incident(after.ruled_out)):
            await ask_for_check(connection, after, DutyKind.RECHECK, now)
