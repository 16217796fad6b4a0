"""A carrier is given another programme, unless one of its open bookings forbids that.

A booking keeps the programme by which it was made. But whoever plans it anew, or sends it to another place, is judged
by the carrier's: an open booking that the new one does not offer could not be changed any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from psycopg import AsyncConnection

from unlatch.domain.eligibility import Programme, Rules
from unlatch.domain.parcel import ParcelPlace
from unlatch.domain.window import WindowSpan, check_span
from unlatch.errors import BadInput
from unlatch.flow import options
from unlatch.flow.platform import Platform
from unlatch.store import carriers, consignees, stops
from unlatch.store.stops import StopRow

AT_ONCE = 200
MOST_NAMED = 20  # of the bookings that forbid it: as many as a person reads
WINDOW = "window"  # the reason of one whose window the programme does not have


@dataclass(frozen=True, slots=True, kw_only=True)
class Forbidding:
    """An open booking that the other programme does not offer, and why."""

    stop_id: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgrammeSet:
    """What became of the wish: done, where nothing forbids it."""

    was: str
    forbidding: tuple[Forbidding, ...]  # the first MOST_NAMED, those that end soonest


async def set_programme(platform: Platform, carrier_id: str, name: str) -> ProgrammeSet:
    """By this programme the carrier books from now on. Raises NotFound, BadInput where there is no such programme."""
    rules = await platform.rules.get()
    programme = rules.programmes.get(name)
    if programme is None:
        raise BadInput("programme", f"must be one of {', '.join(sorted(rules.programmes))}")
    async with platform.database.connection() as connection:
        was = (await carriers.get_carrier(connection, carrier_id)).programme
        if was == name:
            return ProgrammeSet(was=was, forbidding=())
        forbidding = await _list_forbidding(platform, connection, rules, programme, carrier_id)
        if not forbidding:
            await carriers.set_programme(connection, carrier_id, name)
    return ProgrammeSet(was=was, forbidding=tuple(forbidding))


async def _list_forbidding(
    platform: Platform, connection: AsyncConnection, rules: Rules, programme: Programme, carrier_id: str
) -> list[Forbidding]:
    found: list[Forbidding] = []
    after: tuple[datetime, str] = (platform.clock.now(), "")
    while True:
        page = await stops.list_open_of_carrier(connection, carrier_id, after=after, limit=AT_ONCE)
        for stop in page:
            if reasons := await _judge(platform, connection, rules, programme, stop):
                found.append(Forbidding(stop_id=stop.id, reasons=reasons))
            if len(found) == MOST_NAMED:
                return found
        if len(page) < AT_ONCE:
            return found
        after = (page[-1].window_until, page[-1].id)


async def _judge(
    platform: Platform, connection: AsyncConnection, rules: Rules, programme: Programme, stop: StopRow
) -> tuple[str, ...]:
    """Why this programme does not offer what is left of a booking; empty: it does."""
    point = await consignees.find_access_point(connection, stop.access_point_id)
    shipment = await stops.find_shipment(connection, stop.shipment_id, carrier_id=stop.carrier_id)
    assert point is not None  # rows of places and shipments are never deleted
    assert shipment is not None
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
    span = WindowSpan(from_at=stop.window_from, until_at=stop.planned_until or stop.window_until)
    fault = check_span(span, programme.windows, programme.window_s, ZoneInfo(point.time_zone))
    return (*(reason.value for reason in offer.reasons), *((WINDOW,) if fault is not None else ()))
