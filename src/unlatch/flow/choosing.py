"""The cars of an owner's account: which there are, which one becomes a place, and through which account it is reached.

What goes out to a maker goes out between transactions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection

from unlatch.devices.base import LinkedCar
from unlatch.domain.access import DEFAULT_RANGE_M, PlaceKind, Position
from unlatch.domain.eligibility import fold
from unlatch.domain.household import Right
from unlatch.domain.linking import NEEDED, AccountState
from unlatch.domain.vin import VinFault, read_vin
from unlatch.errors import BadInput, Conflict, ConsentLost, DeviceError, NotFound, TooOften
from unlatch.flow import refreshing, registering
from unlatch.flow.duties import ask_for_rechecks
from unlatch.flow.household import require
from unlatch.flow.linking import get_account, powers_of, write_deed
from unlatch.flow.platform import Platform
from unlatch.store import consignees, links, maker_accounts
from unlatch.store.consignees import AccessPointRow, VehicleRow
from unlatch.store.ids import make_id
from unlatch.store.maker_accounts import MakerAccountRow

ASK_AGAIN_AFTER_S = 10
_CHOSEN = (
    "latitude", "longitude", "range_m", "time_zone", "allows_unseen_lock", "is_consent_given", "country", "name",
)  # fmt: skip


class MakerSilent(Conflict):
    """The maker could not be asked just now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenCar:
    """A car of an account, and the place that it becomes."""

    account_id: str
    vin: str
    address: Position
    country: str
    time_zone: str
    name: str
    plate: str
    colour: str | None  # None: as the maker tells
    range_m: float = DEFAULT_RANGE_M
    allows_unseen_lock: bool = False


async def list_cars(platform: Platform, account_id: str, *, consignee_id: str) -> list[LinkedCar]:
    """The cars of an account, as its maker tells now. Raises NotFound, Conflict, TooOften."""
    async with platform.database.connection() as connection:
        account = await get_account(connection, account_id, consignee_id=consignee_id)
    if account.state is not AccountState.LIVE:
        raise Conflict("this account is not linked any more: link it again")
    if not platform.asking.lets_through(consignee_id):
        raise TooOften(
            "the maker was asked often of late: try again in a moment", retry_after_s=ASK_AGAIN_AFTER_S
        )
    maker = platform.makers.maker(account.maker)
    opened = refreshing.open_account(account)
    for is_refused in (False, True):
        opened = await refreshing.freshen_account(platform, opened, account.maker, is_refused=is_refused)
        if opened.sealed is None or not opened.is_open:
            raise Conflict("the maker no longer lets us in: link the account again")
        secrets_given = platform.secrets_of(
            account.maker, platform.vault.open_mapping(opened.sealed, opened.id)
        )
        try:
            return await maker.list_cars(secrets_given)
        except ConsentLost as error:
            if error.code != "auth_expired" or is_refused:
                raise MakerSilent(f"{maker.label} does not show the cars of this account") from error
        except DeviceError as error:
            raise MakerSilent(f"{maker.label} can't be asked just now: try again in a moment") from error
    raise AssertionError  # the second time round it returns or raises


async def choose_car(
    platform: Platform, chosen: ChosenCar, *, consignee_id: str, carrier_id: str, now: datetime
) -> tuple[AccessPointRow, VehicleRow]:
    """The car becomes a place for this consignee's parcels. Raises BadInput, NotFound, Conflict, TooOften."""
    registering.check_time_zone(chosen.time_zone)
    car = await _find_car(platform, chosen.account_id, chosen.vin, consignee_id=consignee_id)
    await _check_vin(platform, car)
    point = AccessPointRow(
        id=make_id("acc"),
        carrier_id=carrier_id,
        consignee_id=consignee_id,
        kind=PlaceKind.CAR,
        latitude=chosen.address.latitude,
        longitude=chosen.address.longitude,
        range_m=chosen.range_m,
        time_zone=chosen.time_zone,
        allows_unseen_lock=chosen.allows_unseen_lock,
        is_consent_given=True,  # which is what choosing says
        blocked_at=None,
        consent_ends_at=None,
        from_local=None,
        until_local=None,
        is_frozen=False,
        created_at=now,
        country=chosen.country,
        name=chosen.name,
    )
    async with platform.database.transaction() as connection:
        account = await _lock_live(connection, chosen.account_id, consignee_id=consignee_id)
        _check_powers(platform, account, car)
        places = await consignees.list_access_points(connection, consignee_id, limit=registering.MOST_PLACES)
        if (same := await _find_same(platform, connection, places, point, chosen, account)) is not None:
            return same
        if len(places) >= registering.MOST_PLACES:
            raise Conflict(f"at most {registering.MOST_PLACES} places")
        vehicle = VehicleRow(
            access_point_id=point.id,
            maker=account.maker,
            account_kind=car.account_kind,
            sealed=platform.vault.seal({"vin": car.vin}, point.id),
            closure_key=consignees.closure_key_of(platform.vault, account.maker, car.vin),
            make=car.make or platform.makers.maker(account.maker).label,
            model=car.model or "",
            model_year=car.model_year,
            colour=chosen.colour or car.colour or "",
            plate=chosen.plate,
            picture_url=None,
        )
        await consignees.insert_access_point(connection, point, vehicle)
        await _hang(platform, connection, account, point.id, car)
        await write_deed(connection, point.id, consignee_id, "linked", now)
    return point, vehicle


async def _find_same(
    platform: Platform,
    connection: AsyncConnection,
    places: list[AccessPointRow],
    point: AccessPointRow,
    chosen: ChosenCar,
    account: MakerAccountRow,
) -> tuple[AccessPointRow, VehicleRow] | None:
    """The place that this very choice has made already: a server may have died before it had said so."""
    key = consignees.closure_key_of(platform.vault, account.maker, chosen.vin)
    hung = await links.list_places(connection, account.id)
    of_car = {place.access_point_id for place in hung if place.closure_key == key}
    for one in places:
        if one.id in of_car and all(getattr(one, name) == getattr(point, name) for name in _CHOSEN):
            vehicle = await consignees.find_vehicle(connection, one.id)
            if vehicle is not None and vehicle.plate == chosen.plate:
                return one, vehicle
    return None


async def relink(
    platform: Platform, access_point_id: str, *, account_id: str, consignee_id: str, now: datetime
) -> AccessPointRow:
    """A place's car is reached through this account from now on: the same car alone.

    Linking again is consent given again, where un-linking had ended it. Raises NotFound, Conflict, TooOften.
    """
    async with platform.database.connection() as connection:
        await _get_own_place(connection, access_point_id, consignee_id=consignee_id)
        vehicle = await consignees.find_vehicle(connection, access_point_id)
        account = await get_account(connection, account_id, consignee_id=consignee_id)
    if vehicle is None or vehicle.maker != account.maker:
        raise Conflict("this account is at another maker than the place's car")
    vin = platform.vault.open_mapping(vehicle.sealed, access_point_id)["vin"]
    try:
        car = await _find_car(platform, account_id, vin, consignee_id=consignee_id)
    except BadInput:
        raise Conflict("the car of this place is not in that account") from None
    async with platform.database.transaction() as connection:
        point = await _get_own_place(connection, access_point_id, consignee_id=consignee_id, is_locked=True)
        account = await _lock_live(connection, account_id, consignee_id=consignee_id)
        _check_powers(platform, account, car)
        await _hang(platform, connection, account, access_point_id, car)
        await links.set_consent(connection, access_point_id, is_given=True)
        await write_deed(connection, access_point_id, consignee_id, "linked_again", now)
        await ask_for_rechecks(connection, access_point_id, now)
    return point


async def _find_car(platform: Platform, account_id: str, vin: str, *, consignee_id: str) -> LinkedCar:
    listed = await list_cars(platform, account_id, consignee_id=consignee_id)
    car = next((one for one in listed if one.vin == vin), None)
    if car is None:
        raise BadInput("vin", "is none of the cars of this account")
    return car


async def _check_vin(platform: Platform, car: LinkedCar) -> None:
    """What the number tells must fit what the maker tells. Raises BadInput."""
    number = read_vin(car.vin)
    if number.fault is not None:
        is_wrong = number.fault is VinFault.CHECK_DIGIT_WRONG
        raise BadInput("vin", "its check digit is wrong" if is_wrong else "is no number of a car")
    rules = await platform.rules.get()
    rule = next((one for name, one in rules.vehicles.items() if car.make and name == fold(car.make)), None)
    if (
        rule is not None
        and number.maker is not None
        and number.maker not in rule.vin_makers | rule.vin_groups
    ):
        raise BadInput("vin", f"is not one of a {rule.make}, which the account says that it is")
    if car.model_year is not None and number.years and car.model_year not in number.years:
        raise BadInput("vin", f"is not one of model year {car.model_year}, which the account says that it is")


def _check_powers(platform: Platform, account: MakerAccountRow, car: LinkedCar) -> None:
    if not powers_of(platform, account) >= NEEDED:
        raise Conflict(
            "the owner has not agreed that we open and lock: link the account again and agree to both"
        )
    if car.powers is not None and not car.powers >= NEEDED:
        raise Conflict("this car can't be opened and locked from afar")


async def _hang(
    platform: Platform,
    connection: AsyncConnection,
    account: MakerAccountRow,
    access_point_id: str,
    car: LinkedCar,
) -> None:
    await links.hang_car(
        connection,
        access_point_id,
        account_id=account.id,
        account_kind=car.account_kind,
        sealed=platform.vault.seal({"vin": car.vin}, access_point_id),
        closure_key=consignees.closure_key_of(platform.vault, account.maker, car.vin),
        powers=car.powers,
        has_service=car.has_service,
    )


async def _lock_live(connection: AsyncConnection, account_id: str, *, consignee_id: str) -> MakerAccountRow:
    """The account, locked, so that it is not un-linked while a car is hung on it."""
    account = await maker_accounts.find_account(
        connection, account_id, consignee_id=consignee_id, is_locked=True
    )
    if account is None:
        raise NotFound("there is no such account")
    if account.state is not AccountState.LIVE:
        raise Conflict("this account is not linked any more: link it again")
    return account


async def _get_own_place(
    connection: AsyncConnection, access_point_id: str, *, consignee_id: str, is_locked: bool = False
) -> AccessPointRow:
    """A place that this consignee owns: a member of its household links nothing there. Raises NotFound, NotAllowed."""
    standing = await require(connection, access_point_id, consignee_id, Right.LINK, is_locked=is_locked)
    return standing.point
