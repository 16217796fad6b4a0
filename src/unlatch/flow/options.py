"""Options: into which places of a consignee may these parcels be put, and in which windows?

Asked before booking by the carrier, and once more by booking itself, in its transaction: a stop is booked only where it
is offered, by the rules of that moment, whose version it keeps. What is known of a place is asked of the rows: its
address and range, what its household allows, its car as it was linked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from psycopg import AsyncConnection

from unlatch.devices.base import Car
from unlatch.domain.access import PlaceKind, Position
from unlatch.domain.eligibility import (
    Address,
    Home,
    Offer,
    ParcelDescription,
    PlaceDescription,
    Programme,
    Rules,
    Vehicle,
    find_offers,
)
from unlatch.domain.window import (
    Window,
    WindowFault,
    WindowSpan,
    check_span,
    find_span,
    list_windows,
)
from unlatch.errors import BadInput, Conflict, NotFound
from unlatch.flow.homes import closure_of
from unlatch.flow.platform import Platform
from unlatch.store import cameras, carriers, consignees, stops
from unlatch.store.consignees import AccessPointRow, VehicleRow
from unlatch.store.stops import ParcelRow

WINDOWS_SHOWN = 12
LONGEST_S = 25 * 3600  # of any window as instants: a day by the clock on the wall, when the clock is put back


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowGiven:
    """A window as a carrier gives it: two instants, or a day and a time by the address's clock."""

    window_from: datetime | None = None
    window_until: datetime | None = None
    day: date | None = None
    begins: time | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One place, the answer for it, and if it is offered, its next windows; none where they may begin at any time."""

    point: AccessPointRow
    vehicle: VehicleRow | None
    offer: Offer
    windows: tuple[tuple[Window, WindowSpan], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """All places of a consignee, and by what they were judged."""

    consignee_id: str
    programme: Programme
    rules_version: str
    options: tuple[Option, ...]


async def get_rules_of(
    platform: Platform, connection: AsyncConnection, carrier_id: str
) -> tuple[Rules, Programme]:
    """By what this carrier books. Raises Conflict where its programme is no longer among the rules.

    It is not replaced by the default one, which may be laxer than what was agreed.
    """
    rules = await platform.rules.get()
    name = (await carriers.get_carrier(connection, carrier_id)).programme
    programme = rules.programmes.get(name)
    if programme is None:
        raise Conflict(
            f"your programme {name} is not among the platform's rules: ask whoever runs the platform"
        )
    return rules, programme


def describe_parcel(row: ParcelRow) -> ParcelDescription:
    """What its carrier told of a parcel, exactly."""
    sides = row.sides_mm
    return ParcelDescription(
        weight_g=row.weight_g,
        sides_mm=None if sides is None else (sides[0], sides[1], sides[2]),
        value_cents=row.value_cents,
        currency=row.currency,
        needs_signature=row.needs_signature,
        is_sold_by_merchant=row.is_sold_by_merchant,
        is_dangerous=row.is_dangerous,
    )


async def judge_place(
    platform: Platform,
    connection: AsyncConnection,
    rules: Rules,
    programme: Programme,
    point: AccessPointRow,
    vehicle: VehicleRow | None,
    *,
    plans: Iterable[str],
    parcels: Sequence[ParcelDescription],
    now: datetime,
) -> Offer:
    """The offer for one place, as its rows stand. `plans`: of whoever the parcels are for."""
    hub = vehicle if point.kind == PlaceKind.HOME else None
    (offer,) = find_offers(
        rules,
        programme,
        address=Address(
            country=point.country,
            position=Position(latitude=point.latitude, longitude=point.longitude),
        ),
        plans=frozenset(plans),
        places=[
            PlaceDescription(
                id=point.id,
                kind=PlaceKind(point.kind),
                vehicle=None
                if vehicle is None or hub is not None
                else _describe_vehicle(platform, programme, vehicle),
                home=None if hub is None else await _describe_home(platform, connection, hub, now),
                allows_unseen_lock=point.allows_unseen_lock,
                range_m=point.range_m,
            )
        ],
        parcels=parcels,
    )
    return offer


def _describe_vehicle(platform: Platform, programme: Programme, row: VehicleRow) -> Vehicle:
    """The car as it was linked. Its VIN is unsealed only where the programme asks for it. Raises SealBroken."""
    vin = None
    if not programme.takes_any_vehicle:
        vin = platform.vault.open_mapping(row.sealed, row.access_point_id).get("vin")
    try:
        maker = platform.makers.maker(row.maker)
    except NotFound:  # a connector of an earlier release
        connector, reads_lock = None, None
    else:
        car = Car(maker=row.maker, vin="", secrets={}, account_kind=row.account_kind)
        connector, reads_lock = row.maker, maker.closure(car).reads_lock
    return Vehicle(
        make=row.make,
        model_year=row.model_year,
        vin=vin,
        has_service=row.has_service,
        reads_lock=reads_lock,
        connector=connector,
    )


async def _describe_home(
    platform: Platform, connection: AsyncConnection, hub: VehicleRow, now: datetime
) -> Home | None:
    """The home as it was linked, with its cameras. Raises SealBroken."""
    known = await cameras.list_cameras(connection, hub.access_point_id)
    try:
        assurance = closure_of(platform, hub).assurance
    except NotFound:  # a connector of an earlier release
        return None
    return Home(
        assurance=assurance,
        has_witness=any(row.is_witness(now) for row in known),
        was_witnessed=any(row.sees_door and row.methods for row in known),
    )


async def find_options(
    platform: Platform,
    connection: AsyncConnection,
    *,
    carrier_id: str,
    consignee_id: str,
    parcels: Sequence[ParcelDescription],
    now: datetime,
) -> Options:
    """The places of this carrier that a consignee owns or shares, oldest first. Raises NotFound, Conflict."""
    consignee = await consignees.find_consignee(connection, consignee_id, carrier_id=carrier_id)
    if consignee is None:
        raise NotFound("there is no such consignee")
    rules, programme = await get_rules_of(platform, connection, carrier_id)
    options = []
    places = await consignees.list_places_of_household(connection, consignee_id, carrier_id=carrier_id)
    for point, vehicle in places:
        offer = await judge_place(
            platform,
            connection,
            rules,
            programme,
            point,
            vehicle,
            plans=consignee.plans,
            parcels=parcels,
            now=now,
        )
        windows = _list_windows(programme, point, now) if offer.is_offered else ()
        options.append(Option(point=point, vehicle=vehicle, offer=offer, windows=windows))
    return Options(
        consignee_id=consignee_id,
        programme=programme,
        rules_version=rules.version,
        options=tuple(options),
    )


async def find_options_of_shipment(
    platform: Platform, connection: AsyncConnection, *, carrier_id: str, shipment_id: str, now: datetime
) -> Options:
    """The same for a shipment that is announced. Raises NotFound, Conflict."""
    shipment = await stops.find_shipment(connection, shipment_id, carrier_id=carrier_id)
    if shipment is None:
        raise NotFound("there is no such shipment")
    rows = await stops.list_parcels(connection, shipment_id=shipment_id)
    return await find_options(
        platform,
        connection,
        carrier_id=carrier_id,
        consignee_id=shipment.consignee_id,
        parcels=[describe_parcel(row) for row in rows],
        now=now,
    )


def _list_windows(
    programme: Programme, point: AccessPointRow, now: datetime
) -> tuple[tuple[Window, WindowSpan], ...]:
    zone = ZoneInfo(point.time_zone)
    return tuple(list_windows(programme.windows, programme.window_s, zone, after=now, limit=WINDOWS_SHOWN))


# ---- a window that was chosen


def read_window(given: WindowGiven, programme: Programme, zone: ZoneInfo) -> WindowSpan:
    """The window as instants, checked against the programme. Raises BadInput naming the field and the remedy."""
    if given.day is not None and given.begins is not None:
        return _read_local(given.day, given.begins, programme, zone)
    if given.window_from is None or given.window_until is None:
        raise BadInput("window", "give either window, or both window_from and window_until")
    span = WindowSpan(from_at=given.window_from, until_at=given.window_until)
    if not timedelta(0) < span.until_at - span.from_at <= timedelta(seconds=LONGEST_S):
        raise BadInput("window_until", "must be after window_from, by at most a day")
    fault = check_span(span, programme.windows, programme.window_s, zone)
    if fault is WindowFault.TOO_LONG:
        raise BadInput(
            "window_until", f"a window of {programme.name} is at most {programme.window_s / 3600:g} h long"
        )
    if fault is not None:
        raise BadInput("window_from", _name_begins(programme, zone))
    return span


def _read_local(day: date, begins: time, programme: Programme, zone: ZoneInfo) -> WindowSpan:
    if programme.windows and begins not in programme.windows:
        raise BadInput("window.from", _name_begins(programme, zone))
    span = find_span(Window(day=day, begins=begins, length_s=programme.window_s), zone)
    if isinstance(span, WindowFault):
        raise BadInput("window.from", f"the clock in {zone.key} leaves this time out on that day")
    return span


def _name_begins(programme: Programme, zone: ZoneInfo) -> str:
    begins = ", ".join(f"{each:%H:%M}" for each in programme.windows)
    return f"windows of {programme.name} begin at {begins} by the clock in {zone.key}"
