"""Eligibility: which places may this parcel be put into? Each is offered, or not, with every reason.

Asked before booking, and by anyone who wants to know whether a car and an address would do. The rules are values:
an operator edits them as data (`flow/rules.py` reads them). Several programmes stand side by side, and each question is
asked by one of them. Every rule is asked, and each that fails is listed.
What was not told is a reason of its own (`NOT_TOLD`), never a guess: where nothing else stands against a place, the
answer depends on it.

Not asked here, since they change by the hour: where the car stands, whether it sleeps, what its owner has blocked.
That is for pre-flight and for the decision at the scan.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time
from enum import StrEnum, auto
from typing import Protocol

from unlatch.domain.access import Assurance, PlaceKind, Position
from unlatch.domain.amount import Exact
from unlatch.domain.photo import PhotoRule
from unlatch.domain.vin import VinFault, VinReading, read_vin


class Reason(StrEnum):
    """Why a place is not offered. What it is about stands in front."""

    MEMBER_PLAN_MISSING = auto()
    MEMBER_PLAN_NOT_TOLD = auto()
    ADDRESS_COUNTRY_NOT_SERVED = auto()
    ADDRESS_POSITION_UNKNOWN = auto()  # the postcode is not known, and no position was given
    ADDRESS_AREA_NOT_SERVED = auto()
    PLACE_KIND_NOT_SERVED = auto()
    PLACE_RANGE_TOO_WIDE = auto()  # the car may stand farther away than the programme wants
    PLACE_LOCK_NOT_ALLOWED = auto()  # its lock can't be read, and its household has not allowed that
    PARCEL_TOO_HEAVY = auto()
    PARCEL_TOO_LARGE = auto()
    PARCEL_NOT_MEASURED = auto()  # weight or sides not told
    PARCEL_TOO_VALUABLE = auto()
    PARCEL_OTHER_CURRENCY = auto()
    PARCEL_VALUE_NOT_TOLD = auto()
    PARCEL_NEEDS_SIGNATURE = auto()
    PARCEL_OF_OTHER_SELLER = auto()
    PARCEL_DANGEROUS = auto()
    PARCEL_NOT_DECLARED = auto()  # signature, seller or dangerous goods not told
    VEHICLE_NOT_TOLD = auto()  # neither a make nor a VIN that tells it
    VEHICLE_MAKE_NOT_SERVED = auto()
    VEHICLE_TOO_OLD = auto()
    VEHICLE_TOO_NEW = auto()
    VEHICLE_YEAR_NOT_TOLD = auto()
    VEHICLE_SERVICE_MISSING = auto()
    VEHICLE_SERVICE_NOT_TOLD = auto()
    VEHICLE_NOT_CONNECTED = auto()  # this installation has no way to this make's cloud
    VEHICLE_LOCK_NOT_READABLE = auto()
    VEHICLE_LOCK_NOT_TOLD = auto()
    HOME_CAMERA_NOT_ENROLLED = auto()  # no camera there was shown to see the door
    HOME_CAMERA_CHECK_OVERDUE = auto()  # one was, more than a month ago
    HOME_LOCK_TOO_WEAK = auto()  # the door can't show as well as the programme wants that it is locked
    VIN_NOT_WELL_FORMED = auto()
    VIN_CHECK_DIGIT_WRONG = auto()
    VIN_OF_OTHER_MAKE = auto()
    VIN_OF_OTHER_YEAR = auto()


R = Reason

NOT_TOLD: frozenset[Reason] = frozenset(
    {
        R.MEMBER_PLAN_NOT_TOLD,
        R.PARCEL_NOT_MEASURED,
        R.PARCEL_VALUE_NOT_TOLD,
        R.PARCEL_NOT_DECLARED,
        R.VEHICLE_NOT_TOLD,
        R.VEHICLE_YEAR_NOT_TOLD,
        R.VEHICLE_SERVICE_NOT_TOLD,
        R.VEHICLE_LOCK_NOT_TOLD,
    }
)


class Verdict(StrEnum):
    """The answer in one word."""

    OFFERED = auto()
    DEPENDS = auto()  # nothing stands against it but what was not told
    NOT_OFFERED = auto()


# ---- the rules


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelLimits:
    """What a parcel may be at most; each bound itself is still taken. None: no limit."""

    max_weight_g: Exact | None = None
    max_sides_mm: tuple[Exact, Exact, Exact] | None = None  # in any orientation
    max_value_cents: int | None = None
    currency: str | None = None  # of the value
    takes_signature: bool = False
    takes_other_sellers: bool = False
    takes_dangerous_goods: bool = False
    takes_undeclared: bool = False  # what was not told of these three is taken for a no

    def __post_init__(self) -> None:
        if (self.max_value_cents is None) != (self.currency is None):
            raise ValueError("a value needs a currency, and a currency a value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Programme:
    """Who may use the service, and for what; and how a day goes. Times of day are by the address's clock."""

    name: str
    countries: frozenset[str]  # ISO 3166-1, two letters; empty: anywhere
    areas: frozenset[str] | None  # names of the coverage's files; None: everywhere
    plans: frozenset[str]  # one of these is needed; empty: none
    places: frozenset[PlaceKind]
    takes_any_vehicle: bool  # that a connector reaches; False: those that the rules list
    window_s: float  # at most so long, by the address's clock
    windows: tuple[time, ...]  # when they may begin; empty: at any time
    range_m: float  # the most that a place may have
    takes_unseen_lock: bool  # closures whose lock can't be read, where the place allows it too
    home_locks: frozenset[Assurance]  # how well the door of a home must be able to show that it is locked
    morning_at: time  # when the day's deliveries are told
    preflight_before_s: tuple[float, ...]  # how long ahead the car is looked at, the longest first
    reads_a_day: int  # of a car, outside of visits
    parcel: ParcelLimits
    clip_days: int | None = None  # how long a home's clips are kept; None: as the installation says
    photos: PhotoRule = PhotoRule.NONE  # which the courier has to take


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """A part of the coverage."""

    name: str
    country: str
    is_confirmed: bool  # a source names it; False: an assumption
    source: str
    coverage: str = ""  # the name of the file that it stands in


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleRule:
    """One make."""

    make: str
    from_year: int  # model year
    until_year: int | None
    service: str  # the connected service whose subscription is needed
    connector: str | None  # the maker's name in devices; None: this release can't reach its cars
    vin_makers: frozenset[str]  # how a VIN of this make may be read
    vin_groups: frozenset[str]  # makers that neither confirm nor contradict it


DEFAULT_PROGRAMME = "open"  # always there


class FindArea(Protocol):
    """The first area in which a position lies, of these files of the coverage; None: of all."""

    def __call__(self, position: Position, coverages: frozenset[str] | None = None, /) -> Area | None: ...


def fold(name: str) -> str:
    """A make's name without its case, blanks and signs: "Mercedes-Benz" is "mercedesbenz"."""
    return "".join(filter(str.isalnum, name.casefold()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All rules of one version."""

    version: str
    programmes: Mapping[str, Programme]  # by name; DEFAULT_PROGRAMME is among them
    vehicles: Mapping[str, VehicleRule]  # by folded name, aliases too
    find_area: FindArea

    def get_programme(self, name: str | None) -> Programme:
        """The programme of this name; the default one where there is none, or none any more."""
        return self.programmes.get(name or DEFAULT_PROGRAMME) or self.programmes[DEFAULT_PROGRAMME]

    def find_vehicle_rule(self, vehicle: Vehicle) -> VehicleRule | None:
        """The rule of its make, as claimed, else as its VIN tells."""
        if vehicle.make is not None:
            return self.vehicles.get(fold(vehicle.make))
        maker = read_vin(vehicle.vin).maker if vehicle.vin is not None else None
        return next((rule for rule in self.vehicles.values() if maker in rule.vin_makers), None)


# ---- what they are asked about; None: not told


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelDescription:
    """A parcel as its carrier describes it."""

    weight_g: Exact | None = None
    sides_mm: tuple[Exact, Exact, Exact] | None = None
    value_cents: int | None = None
    currency: str | None = None
    needs_signature: bool | None = None
    is_sold_by_merchant: bool | None = None
    is_dangerous: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the consignee wants it. A position that nobody knows is None."""

    country: str
    position: Position | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """A car, as its owner describes it or its link tells."""

    make: str | None = None
    model_year: int | None = None
    vin: str | None = None
    has_service: bool | None = None  # an active subscription of the connected service
    reads_lock: bool | None = None  # whether its lock can be seen: see Closure.reads_lock
    connector: str | None = None  # the maker's name in devices through which it is linked; None: it is not


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A home, as its link and its cameras tell."""

    assurance: Assurance
    has_witness: bool  # a camera is enrolled, and its monthly check is not overdue
    was_witnessed: bool  # one is enrolled, be its check overdue


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceDescription:
    """An access point, or one that might become one."""

    id: str
    kind: PlaceKind
    vehicle: Vehicle | None = None  # of a car
    home: Home | None = None  # of a home
    allows_unseen_lock: bool = True  # as its household says; one that is only asked about has not said no
    range_m: float | None = None  # None: that of the programme


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The answer for one place: offered where `reasons` is empty. Keeps the version of the rules that gave it."""

    place_id: str
    reasons: tuple[Reason, ...]
    area: Area | None
    programme: str
    rules_version: str
    assurance: Assurance | None = None  # None: not known
    # Of several parcels: which of them, counted from 0, a reason is about. Reasons that are not listed concern all.
    parcels: Mapping[Reason, tuple[int, ...]] = field(default_factory=dict)

    @property
    def is_offered(self) -> bool:
        return not self.reasons

    @property
    def verdict(self) -> Verdict:
        if not self.reasons:
            return Verdict.OFFERED
        return Verdict.DEPENDS if NOT_TOLD.issuperset(self.reasons) else Verdict.NOT_OFFERED


# ---- the rules at work


def find_offers(
    rules: Rules,
    programme: Programme,
    *,
    address: Address,
    plans: frozenset[str] | None,
    places: Sequence[PlaceDescription],
    parcels: Sequence[ParcelDescription],
) -> tuple[Offer, ...]:
    """One offer for each place at this address, in their order: offered where every parcel may be put there.

    No parcel at all: asked in general.
    """
    area = rules.find_area(address.position, programme.areas) if address.position is not None else None
    by_parcel = _ask_parcels(programme.parcel, parcels)
    common = [*_ask_member(programme, plans), *_ask_address(programme, address, area), *by_parcel]
    some = {reason: which for reason, which in by_parcel.items() if len(which) < len(parcels)}
    return tuple(
        Offer(
            place_id=place.id,
            reasons=tuple(dict.fromkeys([*common, *_ask_place(rules, programme, place)])),
            area=area,
            programme=programme.name,
            rules_version=rules.version,
            assurance=_find_assurance(place),
            parcels=some,
        )
        for place in places
    )


def _find_assurance(place: PlaceDescription) -> Assurance | None:
    if place.home is not None:
        return place.home.assurance
    reads_lock = place.vehicle.reads_lock if place.vehicle is not None else None
    return None if reads_lock is None else Assurance.SEEN if reads_lock else Assurance.SAID


def _ask_member(programme: Programme, plans: frozenset[str] | None) -> Iterator[Reason]:
    if not programme.plans:
        return
    if plans is None:
        yield R.MEMBER_PLAN_NOT_TOLD
    elif programme.plans.isdisjoint(plans):
        yield R.MEMBER_PLAN_MISSING


def _ask_address(programme: Programme, address: Address, area: Area | None) -> Iterator[Reason]:
    if programme.countries and address.country not in programme.countries:
        yield R.ADDRESS_COUNTRY_NOT_SERVED
    if programme.areas is None:
        return
    if address.position is None:
        yield R.ADDRESS_POSITION_UNKNOWN
    elif area is None:
        yield R.ADDRESS_AREA_NOT_SERVED


def fits(sides: Iterable[Exact], most: Iterable[Exact]) -> bool:
    """Whether a box goes into another, square on, in any of the six ways; equal sides fit."""
    return all(side <= room for side, room in zip(sorted(sides), sorted(most), strict=True))


def _ask_parcels(
    limits: ParcelLimits, parcels: Sequence[ParcelDescription]
) -> Mapping[Reason, tuple[int, ...]]:
    """Every reason of every parcel, with the parcels that it is about."""
    found: dict[Reason, list[int]] = {}
    for number, parcel in enumerate(parcels):
        for reason in dict.fromkeys(_ask_parcel(limits, parcel)):
            found.setdefault(reason, []).append(number)
    return {reason: tuple(numbers) for reason, numbers in found.items()}


def _ask_parcel(limits: ParcelLimits, parcel: ParcelDescription) -> Iterator[Reason]:
    if limits.max_weight_g is not None:
        if parcel.weight_g is None:
            yield R.PARCEL_NOT_MEASURED
        elif parcel.weight_g > limits.max_weight_g:
            yield R.PARCEL_TOO_HEAVY
    if limits.max_sides_mm is not None:
        if parcel.sides_mm is None:
            yield R.PARCEL_NOT_MEASURED
        elif not fits(parcel.sides_mm, limits.max_sides_mm):
            yield R.PARCEL_TOO_LARGE
    yield from _ask_value(limits, parcel)
    declared = (
        (limits.takes_signature, parcel.needs_signature, R.PARCEL_NEEDS_SIGNATURE),
        (limits.takes_other_sellers, _opposite(parcel.is_sold_by_merchant), R.PARCEL_OF_OTHER_SELLER),
        (limits.takes_dangerous_goods, parcel.is_dangerous, R.PARCEL_DANGEROUS),
    )
    for is_taken, is_so, reason in declared:
        if is_taken or is_so is False or (is_so is None and limits.takes_undeclared):
            continue
        yield R.PARCEL_NOT_DECLARED if is_so is None else reason


def _opposite(told: bool | None) -> bool | None:
    return None if told is None else not told


def _ask_value(limits: ParcelLimits, parcel: ParcelDescription) -> Iterator[Reason]:
    if limits.max_value_cents is None:
        return
    if parcel.value_cents is None or parcel.currency is None:
        yield R.PARCEL_VALUE_NOT_TOLD
    elif parcel.currency != limits.currency:
        yield R.PARCEL_OTHER_CURRENCY  # no rate of exchange is known here
    elif parcel.value_cents > limits.max_value_cents:
        yield R.PARCEL_TOO_VALUABLE


def _ask_place(rules: Rules, programme: Programme, place: PlaceDescription) -> Iterator[Reason]:
    if place.kind not in programme.places:
        yield R.PLACE_KIND_NOT_SERVED
    if place.kind is PlaceKind.HOME:
        yield from _ask_home(programme, place.home)
        return
    if place.range_m is not None and place.range_m > programme.range_m:
        yield R.PLACE_RANGE_TOO_WIDE
    vehicle = place.vehicle or Vehicle()
    rule = rules.find_vehicle_rule(vehicle)
    if programme.takes_any_vehicle:
        yield from _ask_reach(vehicle, rule)
    else:
        yield from _ask_vehicle(rules, vehicle, rule)
    if vehicle.connector is not None or (rule is not None and rule.connector is not None):
        yield from _ask_lock(programme, place, vehicle)


def _ask_home(programme: Programme, home: Home | None) -> Iterator[Reason]:
    """No door is opened without a camera that was shown to see it."""
    if home is None or not home.was_witnessed:
        yield R.HOME_CAMERA_NOT_ENROLLED
    elif not home.has_witness:
        yield R.HOME_CAMERA_CHECK_OVERDUE
    if home is not None and home.assurance not in programme.home_locks:
        yield R.HOME_LOCK_TOO_WEAK


def _ask_reach(vehicle: Vehicle, rule: VehicleRule | None) -> Iterator[Reason]:
    """Any car will do that can be reached. One that is linked is, whatever its papers say."""
    if vehicle.connector is None and (rule is None or rule.connector is None):
        yield R.VEHICLE_NOT_CONNECTED if rule is not None or _is_told(vehicle) else R.VEHICLE_NOT_TOLD
    if vehicle.has_service is False:
        yield R.VEHICLE_SERVICE_MISSING


def _ask_lock(programme: Programme, place: PlaceDescription, vehicle: Vehicle) -> Iterator[Reason]:
    """A lock that can't be read is taken where programme and household both take it."""
    if vehicle.reads_lock or (programme.takes_unseen_lock and place.allows_unseen_lock):
        return
    if vehicle.reads_lock is None:
        yield R.VEHICLE_LOCK_NOT_TOLD
    elif programme.takes_unseen_lock:
        yield R.PLACE_LOCK_NOT_ALLOWED
    else:
        yield R.VEHICLE_LOCK_NOT_READABLE


def _is_told(vehicle: Vehicle) -> bool:
    """Whether anything names its make, be it one that nobody here knows."""
    return vehicle.make is not None or (vehicle.vin is not None and read_vin(vehicle.vin).maker is not None)


def _ask_vehicle(rules: Rules, vehicle: Vehicle, rule: VehicleRule | None) -> Iterator[Reason]:
    number = read_vin(vehicle.vin) if vehicle.vin is not None else None
    if number is not None and number.fault is not None:
        is_typing_error = number.fault is VinFault.CHECK_DIGIT_WRONG
        yield R.VIN_CHECK_DIGIT_WRONG if is_typing_error else R.VIN_NOT_WELL_FORMED
    if number is not None and vehicle.make is not None and _is_of_other_make(rules, rule, number):
        yield R.VIN_OF_OTHER_MAKE
    claimed, years = vehicle.model_year, number.years if number is not None else ()
    if claimed is not None and years and claimed not in years:
        yield R.VIN_OF_OTHER_YEAR
    if rule is None:
        yield R.VEHICLE_MAKE_NOT_SERVED if _is_told(vehicle) else R.VEHICLE_NOT_TOLD
        return
    yield from _ask_year(rule, (claimed,) if claimed is not None else years)
    if not vehicle.has_service:
        is_unknown = vehicle.has_service is None
        yield R.VEHICLE_SERVICE_NOT_TOLD if is_unknown else R.VEHICLE_SERVICE_MISSING
    if vehicle.connector is None and rule.connector is None:
        yield R.VEHICLE_NOT_CONNECTED


def _is_of_other_make(rules: Rules, rule: VehicleRule | None, number: VinReading) -> bool:
    """Whether the VIN speaks of a maker that can't be that of the claimed make. An unknown maker contradicts none."""
    if number.maker is None:
        return False
    if rule is None:
        return any(number.maker in other.vin_makers for other in rules.vehicles.values())
    return number.maker not in rule.vin_makers | rule.vin_groups


def _ask_year(rule: VehicleRule, years: Sequence[int]) -> Iterator[Reason]:
    """All of the possible years must do; where some do and some don't, the year must be told."""
    wrong = {reason for year in years if (reason := _year_reason(rule, year)) is not None}
    does_any = any(_year_reason(rule, year) is None for year in years)
    if not years or (does_any and wrong):
        yield R.VEHICLE_YEAR_NOT_TOLD
    else:
        yield from sorted(wrong)


def _year_reason(rule: VehicleRule, year: int) -> Reason | None:
    if year < rule.from_year:
        return R.VEHICLE_TOO_OLD
    if rule.until_year is not None and year > rule.until_year:
        return R.VEHICLE_TOO_NEW
    return None
