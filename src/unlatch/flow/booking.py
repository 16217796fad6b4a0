"""Booking: shipments are announced, and stops are booked for them.

Each function joins the caller's transaction, so that a request's answer and what it has made commit together. A stop is
booked only where `flow/options.py` offers the place, by the rules of that moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation

from unlatch.domain.access import Fallback
from unlatch.domain.amount import Exact
from unlatch.domain.eligibility import Offer, ParcelDescription, Programme
from unlatch.domain.label import FAULT_TEXTS, LabelFault, Symbol, read_label
from unlatch.domain.notice import NoticeEvent
from unlatch.domain.parcel import ParcelPlace
from unlatch.domain.window import WindowSpan
from unlatch.errors import BadInput, Conflict, NotFound
from unlatch.flow import options
from unlatch.flow.duties import plan_duties
from unlatch.flow.enrolment import get_active_courier
from unlatch.flow.notifying import tell_of_stop, window_facts
from unlatch.flow.options import WindowGiven
from unlatch.flow.platform import Platform
from unlatch.flow.registering import EARLIEST, LATEST, check_moment, get_consignee
from unlatch.store import carriers, consignees, stops
from unlatch.store.consignees import AccessPointRow
from unlatch.store.deeds import insert_deed
from unlatch.store.household import is_of_household
from unlatch.store.ids import make_id
from unlatch.store.stops import ParcelRow, ShipmentRow, StopRow, StopState

CERTAIN = frozenset({Fallback.TOMORROW, Fallback.DEPOT})  # can be carried out whoever is at home


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelGiven:
    """A parcel's label: typed, or as a scanner read it."""

    text: str
    symbology_identifier: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelGiven:
    """A parcel to announce: its label, and what is told of it."""

    label: LabelGiven
    description: ParcelDescription = ParcelDescription()  # noqa: RUF009 - frozen


@dataclass(frozen=True, slots=True, kw_only=True)
class StopGiven:
    """A stop to book, as the carrier gives it."""

    courier_id: str | None  # None: it is not on a round yet
    access_point_id: str
    shipment_id: str
    window: WindowGiven
    fallback: Fallback
    later_fallbacks: Sequence[Fallback] = ()
    expected_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """A stop, with what is on it."""

    stop: StopRow
    parcels: list[ParcelRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotOffered:
    """The place is not offered for this shipment, or that depends on what was not told: nothing is booked."""

    offer: Offer


def read_key(given: LabelGiven, field: str) -> str:
    """The key of a label. Raises BadInput with the remedy where it names no parcel."""
    label = read_label(Symbol(data=given.text, symbology_identifier=given.symbology_identifier))
    if isinstance(label, LabelFault):
        words = FAULT_TEXTS[label]
        raise BadInput(field, f"{words.text_en} {words.remedy_en}")
    return label.key


async def register_shipment(
    connection: AsyncConnection,
    *,
    carrier_id: str,
    consignee_id: str,
    reference: str,
    parcels: Sequence[ParcelGiven],
    now: datetime,
) -> tuple[ShipmentRow, list[ParcelRow]]:
    """A shipment and its parcels. Raises BadInput, NotFound, Conflict where a label is known already."""
    await get_consignee(connection, consignee_id, carrier_id=carrier_id)
    shipment = ShipmentRow(
        id=make_id("shp"),
        carrier_id=carrier_id,
        consignee_id=consignee_id,
        reference=reference,
        created_at=now,
    )
    keys = [read_key(given.label, f"parcels[{number}].label") for number, given in enumerate(parcels)]
    if len(set(keys)) != len(keys):
        raise BadInput("parcels", "two of these labels are the same parcel: name each once")
    rows = [
        ParcelRow(
            id=make_id("par"),
            carrier_id=carrier_id,
            shipment_id=shipment.id,
            stop_id=None,
            label_key=key,
            place=ParcelPlace.WITH_CARRIER,
            held_by=None,
            created_at=now,
            weight_g=_exactly(given.description.weight_g),
            sides_mm=_all_exactly(given.description.sides_mm),
            value_cents=given.description.value_cents,
            currency=given.description.currency,
            needs_signature=given.description.needs_signature,
            is_sold_by_merchant=given.description.is_sold_by_merchant,
            is_dangerous=given.description.is_dangerous,
        )
        for key, given in zip(keys, parcels, strict=True)
    ]
    try:
        await stops.insert_shipment(connection, shipment, rows)
    except UniqueViolation:
        raise Conflict("a parcel with one of these labels is registered already") from None
    return shipment, rows


def _exactly(amount: Exact | None) -> Decimal | None:
    return None if amount is None else Decimal(amount)


def _all_exactly(amounts: Sequence[Exact] | None) -> list[Decimal] | None:
    return None if amounts is None else [Decimal(amount) for amount in amounts]


async def get_shipment(
    connection: AsyncConnection, shipment_id: str, *, carrier_id: str
) -> tuple[ShipmentRow, list[ParcelRow]]:
    """A shipment of this carrier. Raises NotFound."""
    shipment = await stops.find_shipment(connection, shipment_id, carrier_id=carrier_id)
    if shipment is None:
        raise NotFound("there is no such shipment")
    return shipment, await stops.list_parcels(connection, shipment_id=shipment_id)


async def book_stop(
    platform: Platform, connection: AsyncConnection, given: StopGiven, *, carrier_id: str, now: datetime
) -> Booked | NotOffered:
    """A stop with the shipment's parcels on it. Raises BadInput, NotFound, Conflict.

    Locks the place first, as a scan and a block do, and then the shipment, so that two stops can't both take it.
    """
    fallbacks = plan_fallbacks(given.fallback, given.later_fallbacks)
    point = await consignees.find_access_point(connection, given.access_point_id, is_locked=True)
    if point is None or point.carrier_id != carrier_id:
        raise NotFound("there is no such access point")
    shipment = await stops.find_shipment(connection, given.shipment_id, carrier_id=carrier_id, is_locked=True)
    if shipment is None:
        raise NotFound("there is no such shipment")
    if not await is_of_household(connection, point.id, shipment.consignee_id):
        raise BadInput("access_point_id", "is another consignee's than the shipment")
    if given.courier_id is not None:
        await get_active_courier(connection, given.courier_id, carrier_id=carrier_id)
    rules, programme = await options.get_rules_of(platform, connection, carrier_id)
    window = _read_window(given, programme, point, now)
    offer = await options.judge_place(
        platform,
        connection,
        rules,
        programme,
        point,
        await consignees.find_vehicle(connection, point.id),
        plans=(await get_consignee(connection, shipment.consignee_id, carrier_id=carrier_id)).plans,
        parcels=[
            options.describe_parcel(row)
            for row in await stops.list_parcels(connection, shipment_id=shipment.id)
        ],
        now=now,
    )
    if not offer.is_offered:
        return NotOffered(offer=offer)
    row = StopRow(
        id=make_id("stp"),
        carrier_id=carrier_id,
        courier_id=given.courier_id,
        access_point_id=point.id,
        shipment_id=shipment.id,
        window_from=window.from_at,
        window_until=window.until_at,
        fallback=fallbacks[0],
        state=StopState.OPEN,
        created_at=now,
        programme=programme.name,
        rules_version=rules.version,
        expected_at=_read_expected(given.expected_at, window),
        later_fallbacks=[*fallbacks[1:]],
    )
    if not await stops.insert_stop(connection, row):
        raise Conflict("every parcel of this shipment is delivered, or on another stop that has not ended")
    await _say_booked(connection, row, point, now)
    await plan_duties(connection, row, point, programme, now)
    return Booked(stop=row, parcels=await stops.list_parcels(connection, stop_id=row.id))


def plan_fallbacks(first: Fallback, later: Sequence[Fallback]) -> tuple[Fallback, ...]:
    """The whole plan, in order; it ends with a fallback that can always be carried out. Raises BadInput."""
    plan = (first, *later)
    if len(set(plan)) != len(plan):
        raise BadInput("later_fallbacks", "name each fallback once, and not the first one again")
    if Fallback.DEPOT in plan[:-1]:
        raise BadInput("later_fallbacks", "end with depot: nothing comes after it")
    return plan if plan[-1] in CERTAIN else (*plan, Fallback.DEPOT)


def _read_window(given: StopGiven, programme: Programme, point: AccessPointRow, now: datetime) -> WindowSpan:
    wanted = given.window
    if wanted.window_from is not None and wanted.window_until is not None:
        wanted = replace(
            wanted,
            window_from=check_moment("window_from", wanted.window_from),
            window_until=check_moment("window_until", wanted.window_until),
        )
    if wanted.day is not None and not EARLIEST.year <= wanted.day.year < LATEST.year:
        raise BadInput("window.date", "give a day between the years 2000 and 2200")
    window = options.read_window(wanted, programme, ZoneInfo(point.time_zone))
    if window.until_at <= now:
        raise BadInput("window_until" if wanted.day is None else "window.date", "is over already")
    return window


def _read_expected(at: datetime | None, window: WindowSpan) -> datetime | None:
    if at is None:
        return None
    moment = check_moment("expected_at", at)
    if not window.has(moment):
        raise BadInput("expected_at", "must lie in the window")
    return moment


async def _say_booked(
    connection: AsyncConnection, row: StopRow, point: AccessPointRow, now: datetime
) -> None:
    """Written down as the carrier's deed, and told to everyone whom it concerns."""
    carrier = await carriers.get_carrier(connection, row.carrier_id)
    await insert_deed(
        connection,
        access_point_id=row.access_point_id,
        stop_id=row.id,
        who=f"carrier:{row.carrier_id}",
        what="booked",
        body={**window_facts(row), "fallbacks": [row.fallback, *row.later_fallbacks]},
        at=now,
    )
    facts = {"fallback": row.fallback, "carrier": carrier.name, "place": point.name}
    await tell_of_stop(connection, NoticeEvent.BOOKED, row, now, facts)


async def get_stop(
    connection: AsyncConnection, stop_id: str, *, carrier_id: str
) -> tuple[StopRow, list[ParcelRow]]:
    """A stop of this carrier. Raises NotFound."""
    row = await stops.find_stop(connection, stop_id, carrier_id=carrier_id)
    if row is None:
        raise NotFound("there is no such stop")
    return row, await stops.list_parcels(connection, stop_id=stop_id)
