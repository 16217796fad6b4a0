"""Registration and booking: consignees, their places and cars, shipments and stops.

Each function joins the caller's transaction, so that a request's answer and what it has made commit together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from functools import cache
from zoneinfo import available_timezones

from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation

from unlatch.devices.base import Maker
from unlatch.domain.access import Fallback, PlaceKind, Position
from unlatch.domain.label import FAULT_TEXTS, LabelFault, Symbol, read_label
from unlatch.domain.parcel import ParcelPlace
from unlatch.errors import BadInput, Conflict, NotFound
from unlatch.flow.enrolment import CONSIGNEE_KEY, Admitted, get_courier
from unlatch.flow.platform import Platform
from unlatch.store import consignees, stops, visits
from unlatch.store.consignees import AccessPointRow, ConsigneeRow, VehicleRow
from unlatch.store.ids import hash_key, make_id, make_key
from unlatch.store.stops import ParcelRow, ShipmentRow, StopRow, StopState

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
LONGEST_WINDOW = timedelta(hours=24)
VIN = re.compile(r"[A-HJ-NPR-Z0-9]{17}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CarGiven:
    """A car to link, as the carrier gives it."""

    maker: str
    account_kind: str | None
    vin: str
    secrets: Mapping[str, str]
    make: str
    model: str
    model_year: int | None
    colour: str
    plate: str
    picture_url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceGiven:
    """An access point to register, as the carrier gives it."""

    consignee_id: str
    kind: PlaceKind
    address: Position
    range_m: float
    time_zone: str
    allows_unseen_lock: bool
    is_consent_given: bool
    consent_ends_at: datetime | None
    from_local: time | None
    until_local: time | None
    car: CarGiven


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelGiven:
    """A parcel's label: typed, or as a scanner read it."""

    text: str
    symbology_identifier: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopGiven:
    """A stop to plan, as the carrier gives it."""

    courier_id: str
    access_point_id: str
    shipment_id: str
    window_from: datetime
    window_until: datetime
    fallback: Fallback


def check_moment(field: str, at: datetime) -> datetime:
    """`at` in UTC. Raises BadInput where it lies outside of what a calendar of deliveries needs."""
    try:
        moment = at.astimezone(UTC)
    except (OverflowError, ValueError):
        moment = EARLIEST - timedelta(days=1)
    if not EARLIEST <= moment < LATEST:
        raise BadInput(field, "give a moment between the years 2000 and 2200")
    return moment


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())


async def register_consignee(
    connection: AsyncConnection, *, carrier_id: str, name: str, language: str, now: datetime
) -> tuple[ConsigneeRow, Admitted]:
    """A new consignee, and their key, which is never shown again."""
    admitted = Admitted(id=make_id("con"), key=make_key(CONSIGNEE_KEY))
    row = ConsigneeRow(id=admitted.id, carrier_id=carrier_id, name=name, language=language, created_at=now)
    await consignees.insert_consignee(connection, row, hash_key(admitted.key))
    return row, admitted


async def get_consignee(connection: AsyncConnection, consignee_id: str, *, carrier_id: str) -> ConsigneeRow:
    """A consignee of this carrier. Raises NotFound."""
    row = await consignees.find_consignee(connection, consignee_id, carrier_id=carrier_id)
    if row is None:
        raise NotFound("there is no such consignee")
    return row


def _find_maker(platform: Platform, given: CarGiven) -> Maker:
    try:
        return platform.makers.maker(given.maker)
    except NotFound:
        known = ", ".join(sorted(platform.makers.makers))
        raise BadInput("vehicle.maker", f"give one of {known}") from None


def _check_car(maker: Maker, given: CarGiven) -> None:
    """The maker says what a link needs; raises BadInput for the first thing that does not fit."""
    fields = {field.name: field for field in maker.form_fields}
    for name in fields:
        if not given.secrets.get(name):
            raise BadInput(f"vehicle.secrets.{name}", f"{maker.label} needs it")
    for name, value in given.secrets.items():
        if name not in fields:
            wanted = ", ".join(fields)
            raise BadInput(f"vehicle.secrets.{name}", f"{maker.label} takes only {wanted}")
        if len(value) > fields[name].max_length:
            raise BadInput(f"vehicle.secrets.{name}", f"at most {fields[name].max_length} characters")
        if not (value.isascii() and value.isprintable()):
            raise BadInput(f"vehicle.secrets.{name}", "give printable ASCII alone")
    if given.account_kind is not None and given.account_kind not in maker.account_kinds:
        kinds = ", ".join(maker.account_kinds) or "none"
        raise BadInput("vehicle.account_kind", f"{maker.label} has {kinds}")
    if not VIN.fullmatch(given.vin):
        raise BadInput("vehicle.vin", "give 17 capital letters and digits, without I, O and Q")


async def register_access_point(
    platform: Platform,
    connection: AsyncConnection,
    given: PlaceGiven,
    *,
    carrier_id: str,
    now: datetime,
) -> tuple[AccessPointRow, VehicleRow]:
    """A new place with the car behind it, its secrets sealed. Raises BadInput, NotFound."""
    if given.kind is not PlaceKind.CAR:
        raise BadInput("kind", "give car: homes can't be registered yet")
    if given.time_zone not in _time_zones():
        raise BadInput("time_zone", "give a name of the IANA data base, like America/New_York")
    if (given.from_local is None) != (given.until_local is None):
        raise BadInput("from_local", "give both from_local and until_local, or neither")
    await get_consignee(connection, given.consignee_id, carrier_id=carrier_id)
    car = given.car
    _check_car(_find_maker(platform, car), car)
    ends_at = given.consent_ends_at
    point = AccessPointRow(
        id=make_id("acc"),
        carrier_id=carrier_id,
        consignee_id=given.consignee_id,
        kind=given.kind,
        latitude=given.address.latitude,
        longitude=given.address.longitude,
        range_m=given.range_m,
        time_zone=given.time_zone,
        allows_unseen_lock=given.allows_unseen_lock,
        is_consent_given=given.is_consent_given,
        blocked_at=None,
        consent_ends_at=None if ends_at is None else check_moment("consent_ends_at", ends_at),
        from_local=given.from_local,
        until_local=given.until_local,
        is_frozen=False,
        created_at=now,
    )
    vehicle = VehicleRow(
        access_point_id=point.id,
        maker=car.maker,
        account_kind=car.account_kind,
        sealed=platform.vault.seal({"vin": car.vin, **car.secrets}, point.id),
        closure_key=consignees.closure_key_of(platform.vault, car.maker, car.vin),
        make=car.make,
        model=car.model,
        model_year=car.model_year,
        colour=car.colour,
        plate=car.plate,
        picture_url=car.picture_url,
    )
    await consignees.insert_access_point(connection, point, vehicle)
    return point, vehicle


async def get_access_point(
    connection: AsyncConnection, access_point_id: str, *, carrier_id: str
) -> tuple[AccessPointRow, VehicleRow]:
    """A place that this carrier registered. Raises NotFound."""
    point = await consignees.find_access_point(connection, access_point_id)
    vehicle = await consignees.find_vehicle(connection, access_point_id)
    if point is None or vehicle is None or point.carrier_id != carrier_id:
        raise NotFound("there is no such access point")
    return point, vehicle


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
    labels: Sequence[LabelGiven],
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
    keys = [read_key(label, f"parcels[{number}].label") for number, label in enumerate(labels)]
    if len(set(keys)) != len(keys):
        raise BadInput("parcels", "two of these labels are the same parcel: name each once")
    parcels = [
        ParcelRow(
            id=make_id("par"),
            carrier_id=carrier_id,
            shipment_id=shipment.id,
            stop_id=None,
            label_key=key,
            place=ParcelPlace.WITH_CARRIER,
            held_by=None,
            created_at=now,
        )
        for key in keys
    ]
    try:
        await stops.insert_shipment(connection, shipment, parcels)
    except UniqueViolation:
        raise Conflict("a parcel with one of these labels is registered already") from None
    return shipment, parcels


async def get_shipment(
    connection: AsyncConnection, shipment_id: str, *, carrier_id: str
) -> tuple[ShipmentRow, list[ParcelRow]]:
    """A shipment of this carrier. Raises NotFound."""
    shipment = await stops.find_shipment(connection, shipment_id, carrier_id=carrier_id)
    if shipment is None:
        raise NotFound("there is no such shipment")
    return shipment, await stops.list_parcels(connection, shipment_id=shipment_id)


async def plan_stop(
    connection: AsyncConnection, given: StopGiven, *, carrier_id: str, now: datetime
) -> tuple[StopRow, list[ParcelRow]]:
    """A stop for a courier, with the shipment's parcels on it. Raises BadInput, NotFound, Conflict."""
    window_from = check_moment("window_from", given.window_from)
    window_until = check_moment("window_until", given.window_until)
    if not window_from < window_until <= window_from + LONGEST_WINDOW:
        raise BadInput("window_until", "must be after window_from, by at most 24 hours")
    await get_courier(connection, given.courier_id, carrier_id=carrier_id)
    point, _ = await get_access_point(connection, given.access_point_id, carrier_id=carrier_id)
    shipment, _ = await get_shipment(connection, given.shipment_id, carrier_id=carrier_id)
    if shipment.consignee_id != point.consignee_id:
        raise BadInput("access_point_id", "is another consignee's than the shipment")
    row = StopRow(
        id=make_id("stp"),
        carrier_id=carrier_id,
        courier_id=given.courier_id,
        access_point_id=given.access_point_id,
        shipment_id=given.shipment_id,
        window_from=window_from,
        window_until=window_until,
        fallback=given.fallback,
        state=StopState.OPEN,
        created_at=now,
    )
    if not await stops.insert_stop(connection, row):
        raise Conflict("every parcel of this shipment is delivered, or on another stop that is open")
    return row, await stops.list_parcels(connection, stop_id=row.id)


async def get_stop(
    connection: AsyncConnection, stop_id: str, *, carrier_id: str
) -> tuple[StopRow, list[ParcelRow]]:
    """A stop of this carrier. Raises NotFound."""
    row = await stops.find_stop(connection, stop_id, carrier_id=carrier_id)
    if row is None:
        raise NotFound("there is no such stop")
    return row, await stops.list_parcels(connection, stop_id=stop_id)


# Left somewhere, or taken back.
_PLACES: Mapping[Fallback, ParcelPlace] = {
    Fallback.TO_DOOR: ParcelPlace.AT_FALLBACK,
    Fallback.NEIGHBOUR: ParcelPlace.AT_FALLBACK,
    Fallback.PICKUP_POINT: ParcelPlace.AT_FALLBACK,
    Fallback.TOMORROW: ParcelPlace.RETURNED,
    Fallback.DEPOT: ParcelPlace.RETURNED,
}


async def end_with_fallback(
    connection: AsyncConnection, stop_id: str, *, courier_id: str, done: Fallback
) -> tuple[StopRow, list[ParcelRow]]:
    """The courier has carried out a fallback: the stop ends. Raises NotFound, Conflict."""
    seen = await stops.find_stop(connection, stop_id, courier_id=courier_id)
    if seen is None:
        raise NotFound("there is no such stop")
    # The place first, as a scan does: no visit can begin at this stop while it ends. Then the visit, and only then the
    # stop: a visit that is just ending holds its own row, and wants its parcels and stop.
    await consignees.find_access_point(connection, seen.access_point_id, is_locked=True)
    live = await visits.find_live_visit_of_stop(connection, stop_id, courier_id)
    row = await stops.find_stop(connection, stop_id, courier_id=courier_id, is_locked=True)
    if row is None or row.state not in (StopState.OPEN, StopState.FALLBACK_DUE):
        raise Conflict("this stop has ended already")
    if live is not None:
        raise Conflict("a visit is under way at this stop: finish it first, or say that you could not")
    await stops.end_stop_with_fallback(connection, stop_id, _PLACES[done])
    return replace(row, state=StopState.FALLBACK_DONE), await stops.list_parcels(connection, stop_id=stop_id)
