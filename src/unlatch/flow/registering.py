"""Registration: consignees, and their places with the cars behind them.

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

from unlatch.devices.base import Maker
from unlatch.domain.access import PlaceKind, Position
from unlatch.errors import BadInput, Conflict, NotFound
from unlatch.flow import homes
from unlatch.flow.enrolment import CONSIGNEE_KEY, Admitted
from unlatch.flow.forms import check_form
from unlatch.flow.homes import HomeGiven
from unlatch.flow.platform import Platform
from unlatch.store import consignees, maker_accounts
from unlatch.store.consignees import AccessPointRow, ConsigneeRow, VehicleRow
from unlatch.store.ids import hash_key, make_id, make_key

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
MOST_PLACES = 100  # of one owner: as many as a list of them holds
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
    has_service: bool | None = None  # None: not told


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
    car: CarGiven | None  # of a place of kind car
    home: HomeGiven | None  # of kind home
    country: str
    name: str


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


def check_time_zone(name: str) -> None:
    """Raises BadInput where there is no such time zone."""
    if name not in _time_zones():
        raise BadInput("time_zone", "give a name of the IANA data base, like America/New_York")


async def register_consignee(
    connection: AsyncConnection,
    *,
    carrier_id: str,
    name: str,
    language: str,
    plans: Sequence[str] = (),
    now: datetime,
) -> tuple[ConsigneeRow, Admitted]:
    """A new consignee, and their key, which is never shown again."""
    admitted = Admitted(id=make_id("con"), key=make_key(CONSIGNEE_KEY))
    row = ConsigneeRow(
        id=admitted.id,
        carrier_id=carrier_id,
        name=name,
        language=language,
        created_at=now,
        plans=list(dict.fromkeys(plans)),
    )
    await consignees.insert_consignee(connection, row, hash_key(admitted.key))
    return row, admitted


async def set_plans(
    connection: AsyncConnection, consignee_id: str, *, carrier_id: str, plans: Sequence[str]
) -> ConsigneeRow:
    """What a consignee of this carrier is a member of from now on. Raises NotFound."""
    row = await get_consignee(connection, consignee_id, carrier_id=carrier_id)
    changed = list(dict.fromkeys(plans))
    await consignees.set_plans(connection, consignee_id, carrier_id=carrier_id, plans=changed)
    return replace(row, plans=changed)


async def get_consignee(connection: AsyncConnection, consignee_id: str, *, carrier_id: str) -> ConsigneeRow:
    """A consignee of this carrier who is not erased. Raises NotFound."""
    row = await consignees.find_consignee(connection, consignee_id, carrier_id=carrier_id)
    if row is None or row.erased_at is not None:
        raise NotFound("there is no such consignee")
    return row


def _find_maker(platform: Platform, given: CarGiven) -> Maker:
    known = {name: maker for name, maker in platform.makers.makers.items() if not maker.has_own_hub}
    if given.maker not in known:
        raise BadInput("vehicle.maker", f"give one of {', '.join(sorted(known))}")
    return known[given.maker]


def _check_car(maker: Maker, given: CarGiven) -> None:
    """The maker says what a link needs; raises BadInput for the first thing that does not fit."""
    check_form(maker.label, maker.form_fields, given.secrets, path="vehicle.secrets")
    if given.account_kind is not None and given.account_kind not in maker.account_kinds:
        kinds = ", ".join(maker.account_kinds) or "none"
        raise BadInput("vehicle.account_kind", f"{maker.label} has {kinds}")
    if not VIN.fullmatch(given.vin):
        raise BadInput("vehicle.vin", "give 17 capital letters and digits, without I, O and Q")


def _make_vehicle(platform: Platform, access_point_id: str, car: CarGiven) -> VehicleRow:
    _check_car(_find_maker(platform, car), car)
    return VehicleRow(
        access_point_id=access_point_id,
        maker=car.maker,
        account_kind=car.account_kind,
        sealed=platform.vault.seal({"vin": car.vin, **car.secrets}, access_point_id),
        closure_key=consignees.closure_key_of(platform.vault, car.maker, car.vin),
        make=car.make,
        model=car.model,
        model_year=car.model_year,
        colour=car.colour,
        plate=car.plate,
        picture_url=car.picture_url,
        has_service=car.has_service,
    )


async def register_access_point(
    platform: Platform,
    connection: AsyncConnection,
    given: PlaceGiven,
    *,
    carrier_id: str,
    now: datetime,
) -> tuple[AccessPointRow, VehicleRow]:
    """A new place with the car or the hub behind it, its secrets sealed. Raises BadInput, NotFound."""
    check_time_zone(given.time_zone)
    if (given.from_local is None) != (given.until_local is None):
        raise BadInput("from_local", "give both from_local and until_local, or neither")
    await get_consignee(connection, given.consignee_id, carrier_id=carrier_id)
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
        country=given.country,
        name=given.name,
    )
    if given.home is not None:
        hub = homes.make_hub(platform, point.id, given.home)
        await consignees.insert_access_point(connection, point, hub)
        await homes.insert_home(platform, connection, point.id, given.home, now)
        return point, hub
    assert given.car is not None  # one of them is given
    vehicle = _make_vehicle(platform, point.id, given.car)
    await consignees.insert_access_point(connection, point, vehicle)
    return point, vehicle


async def register_own_place(
    platform: Platform, connection: AsyncConnection, given: PlaceGiven, *, carrier_id: str, now: datetime
) -> tuple[AccessPointRow, VehicleRow]:
    """The same by its owner, who has at most `MOST_PLACES`. Raises BadInput, Conflict."""
    await maker_accounts.lock_owner(
        connection, given.consignee_id
    )  # two at once are counted one after the other
    places = await consignees.list_access_points(connection, given.consignee_id, limit=MOST_PLACES)
    if len(places) >= MOST_PLACES:
        raise Conflict(f"at most {MOST_PLACES} places")
    return await register_access_point(platform, connection, given, carrier_id=carrier_id, now=now)


async def get_access_point(
    connection: AsyncConnection, access_point_id: str, *, carrier_id: str
) -> tuple[AccessPointRow, VehicleRow]:
    """A place that this carrier registered. Raises NotFound."""
    point = await consignees.find_access_point(connection, access_point_id)
    vehicle = await consignees.find_vehicle(connection, access_point_id)
    if point is None or vehicle is None or point.carrier_id != carrier_id:
        raise NotFound("there is no such access point")
    return point, vehicle
