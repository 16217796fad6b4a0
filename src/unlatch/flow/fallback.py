"""The fallback's ends: the courier says where the parcels are, or an operator for a courier who never did.

Each parcel of the stop that was not delivered gets one end, in the transaction that ends the stop; what was delivered
stays in its place (L4). "Again tomorrow" books the next stop at once, so that no parcel waits to be thought of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from unlatch.domain.access import Fallback
from unlatch.domain.booking import DEEDS, NOTHING, Stage, StopState, Wish, outcome_of, same_window_later
from unlatch.domain.fallback import NEEDS_WORDS, PLACES, plan_of
from unlatch.domain.notice import NoticeEvent
from unlatch.domain.parcel import ParcelPlace
from unlatch.domain.proof import text_of_time
from unlatch.errors import BadInput
from unlatch.flow.duties import plan_duties_of
from unlatch.flow.notifying import tell_of_stop
from unlatch.flow.platform import Platform
from unlatch.flow.wishes import Booking, Changed, Wisher, lock_booking
from unlatch.flow.words import Photo
from unlatch.store import couriers, deeds, fallbacks, stops
from unlatch.store.fallbacks import HELD, EndRow
from unlatch.store.ids import make_id
from unlatch.store.stops import StopRow


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackGiven:
    """What the courier says: the step that was carried out, the words on it, and the steps that failed before it."""

    done: Fallback
    told: str = ""
    could_not: Sequence[Fallback] = ()
    photo: Photo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What an operator found out: one of the ways, or who holds the parcels."""

    done: Fallback | None
    held_by: str | None
    told: str


async def take_fallback(
    platform: Platform, connection: AsyncConnection, stop_id: str, wisher: Wisher, given: FallbackGiven
) -> Changed:
    """The courier has carried out a step of the plan: the stop ends. Raises BadInput, NotFound."""
    booking = await lock_booking(connection, stop_id, wisher)
    wish, stop = Wish.TAKE_FALLBACK, booking.stop
    outcome = outcome_of(wish, booking.stage)
    if booking.stage is Stage.FALLBACK_DONE and await _was_said(connection, stop, wisher, given):
        return Changed(wish=wish, outcome=NOTHING, stop=stop)
    if outcome.is_refused:
        return Changed(wish=wish, outcome=outcome, stop=stop)
    plan = plan_of(stop.fallback, stop.later_fallbacks, tries=stop.tries)
    _check_given(given, plan)
    if given.photo is not None:
        photo = given.photo
        await fallbacks.insert_photo(
            connection,
            stop_id,
            sha256=photo.sha256,
            media_type=photo.media_type,
            content=photo.content,
            at=platform.clock.now(),
        )
    end = _End(
        fallback=given.done,
        place=PLACES[given.done],
        held_by=None,
        told=given.told,
        could_not=tuple(given.could_not),
        photo=None if given.photo is None else given.photo.sha256,
        courier_id=wisher.id,
    )
    ended = await _end(platform, connection, booking, wish, wisher, end)
    return Changed(wish=wish, outcome=outcome, stop=ended)


async def settle(
    platform: Platform, connection: AsyncConnection, stop_id: str, wisher: Wisher, given: Settlement
) -> Changed:
    """An operator ends a stop whose courier never did. Raises BadInput, NotFound."""
    if (given.done is None) == (given.held_by is None):
        raise BadInput("done", "give either done or held_by")
    booking = await lock_booking(connection, stop_id, wisher)
    wish, stop = Wish.SETTLE, booking.stop
    outcome = outcome_of(wish, booking.stage)
    if outcome.is_refused:
        return Changed(wish=wish, outcome=outcome, stop=stop)
    if given.done is Fallback.TOMORROW and given.done not in plan_of(given.done, (), tries=stop.tries):
        raise BadInput("done", "it was tried as many days in a row as may be: choose another one")
    end = _End(
        fallback=given.done or HELD,
        place=ParcelPlace.HELD if given.done is None else PLACES[given.done],
        held_by=given.held_by,
        told=given.told,
        could_not=(),
        photo=None,
        courier_id=stop.courier_id,
    )
    ended = await _end(platform, connection, booking, wish, wisher, end)
    return Changed(wish=wish, outcome=outcome, stop=ended)


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """The one end of every parcel of the stop that was not delivered."""

    fallback: str
    place: ParcelPlace
    held_by: str | None
    told: str
    could_not: tuple[Fallback, ...]
    photo: bytes | None
    courier_id: str | None


def _check_given(given: FallbackGiven, plan: Sequence[Fallback]) -> None:
    """A step of the plan; the steps before it count as tried. Raises BadInput."""
    if given.done not in plan:
        raise BadInput("done", f"give a step of this stop's plan: {', '.join(plan)}")
    earlier = plan[: plan.index(given.done)]
    if not set(given.could_not) <= set(earlier):
        known = ", ".join(earlier) or "there is none"
        raise BadInput("could_not", f"give steps of the plan before {given.done}: {known}")
    if given.done in NEEDS_WORDS and not given.told.strip():
        raise BadInput("told", "say with whom, or where exactly, the parcel is")


async def _was_said(connection: AsyncConnection, stop: StopRow, wisher: Wisher, given: FallbackGiven) -> bool:
    """Whether this courier has ended the stop in just this way before: their phone did not hear the answer."""
    ends = await fallbacks.list_ends(connection, stop.id)
    return bool(ends) and all(_is_same(end, wisher, given) for end in ends)


def _is_same(end: EndRow, wisher: Wisher, given: FallbackGiven) -> bool:
    return end.who == wisher.who and (end.fallback, end.told) == (given.done, given.told)


async def _end(
    platform: Platform, connection: AsyncConnection, booking: Booking, wish: Wish, wisher: Wisher, end: _End
) -> StopRow:
    """The parcels' ends, the stop's end, its deed and notice, and the next try where there is one."""
    stop, now = booking.stop, platform.clock.now()
    ended = replace(stop, state=StopState.FALLBACK_DONE)
    moved = await fallbacks.end_parcels(
        connection,
        stop.id,
        place=end.place,
        held_by=end.held_by,
        fallback=end.fallback,
        told=end.told,
        courier_id=end.courier_id,
        who=wisher.who,
        could_not=[step.value for step in end.could_not],
        photo=end.photo,
        at=now,
    )
    await stops.update_stop(connection, ended)
    facts: dict[str, Any] = {"fallback": end.fallback, "told": end.told, "at": text_of_time(now)}
    name = await _find_first_name(connection, stop)
    if name is not None:
        facts["courier"] = name
    body = {"fallback": end.fallback, "could_not": [step.value for step in end.could_not]}
    await deeds.insert_deed(
        connection,
        access_point_id=stop.access_point_id,
        stop_id=stop.id,
        who=wisher.who,
        what=DEEDS[wish],
        body=body,
        at=now,
    )
    await tell_of_stop(connection, NoticeEvent.FALLBACK_DONE, ended, now, facts)
    if end.fallback == Fallback.TOMORROW and moved:
        await _book_again(platform, connection, booking, wisher, now)
    return ended


async def _find_first_name(connection: AsyncConnection, stop: StopRow) -> str | None:
    if stop.courier_id is None:
        return None
    courier = await couriers.find_courier(connection, stop.courier_id, carrier_id=stop.carrier_id)
    return None if courier is None else courier.first_name


async def _book_again(
    platform: Platform, connection: AsyncConnection, booking: Booking, wisher: Wisher, now: datetime
) -> StopRow:
    """The window as it was planned, on the next day, by the same rules, without a courier yet."""
    stop = booking.stop
    window_from, window_until = same_window_later(
        stop.window_from, stop.planned_until or stop.window_until, booking.point.time_zone, now=now
    )
    memory = stop.before_redirect or {"fallback": stop.fallback, "later_fallbacks": stop.later_fallbacks}
    tries = stop.tries + 1
    # Notices and the courier's list name what the row says: on the last day, no other.
    first, *later = plan_of(memory["fallback"], memory["later_fallbacks"], tries=tries)
    again = StopRow(
        id=make_id("stp"),
        carrier_id=stop.carrier_id,
        courier_id=None,
        access_point_id=stop.access_point_id,
        shipment_id=stop.shipment_id,
        window_from=window_from,
        window_until=window_until,
        fallback=first,
        later_fallbacks=[step.value for step in later],
        state=StopState.OPEN,
        created_at=now,
        programme=stop.programme,
        rules_version=stop.rules_version,
        again_of=stop.id,
        tries=tries,
    )
    await stops.insert_next_stop(connection, again)
    await deeds.insert_deed(
        connection,
        access_point_id=again.access_point_id,
        stop_id=again.id,
        who=wisher.who,
        what="booked",
        body={"again_of": stop.id, "tries": again.tries},
        at=now,
    )
    await tell_of_stop(connection, NoticeEvent.BOOKED, again, now, {"fallback": again.fallback})
    await plan_duties_of(platform, connection, again, now)
    return again
