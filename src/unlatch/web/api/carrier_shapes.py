"""What a carrier's back end sends and gets."""

from __future__ import annotations

from datetime import date, time
from typing import Annotated

from msgspec import Meta, Struct, field

from unlatch.domain.access import DEFAULT_RANGE_M, Fallback, PlaceKind
from unlatch.store.consignees import AccessPointRow, ConsigneeRow, VehicleRow
from unlatch.store.couriers import CourierRow
from unlatch.store.stops import ParcelRow, ShipmentRow
from unlatch.web.api.home_shapes import HomeShown, NewHome
from unlatch.web.parcel_shapes import ParcelAnnounced, ParcelAsked, show_announced
from unlatch.web.shapes import (
    Identifier,
    LabelShape,
    Language,
    Moment,
    Name,
    PositionGiven,
    PositionShown,
    Secret,
    Word,
)


class CarrierShown(Struct, kw_only=True):
    """A carrier, and by what it books."""

    id: Identifier
    name: str
    programme: str
    rules_version: Annotated[
        str | None, Meta(description="Null: your programme is not among the platform's rules any more")
    ]


Plans = Annotated[list[Word], Meta(max_length=20, examples=[["prime"]])]


class NewConsignee(Struct, kw_only=True, forbid_unknown_fields=True):
    """A consignee to register."""

    name: Name
    language: Language = "en"
    plans: Annotated[Plans, Meta(description="What they are a member of")] = []


class PlansBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """What a consignee is a member of."""

    plans: Plans


class Consignee(Struct, kw_only=True):
    """A consignee."""

    id: Identifier
    name: str
    language: str
    plans: list[str]
    created_at: Moment


class ConsigneeMade(Consignee, kw_only=True):
    """A new consignee and their key."""

    key: Annotated[str, Meta(description="Shown this once; hand it to the consignee's app")]


class NewVehicle(Struct, kw_only=True, forbid_unknown_fields=True):
    """A car, and what opens its maker's cloud to the platform."""

    maker: Annotated[Word, Meta(examples=["onstar"])]
    vin: Annotated[str, Meta(min_length=17, max_length=17, pattern="^[A-HJ-NPR-Z0-9]{17}$")]
    secrets: Annotated[
        dict[Word, Secret],
        Meta(max_length=10, description="What the maker's form asks for; kept encrypted, never shown again"),
    ]
    make: Word
    model: Word
    colour: Word
    plate: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=16,
            pattern=r"^[^\u0000-\u001f\u007f]*$",
            description="Shown to the courier in the window and near the place alone; never shown again here",
        ),
    ]
    model_year: Annotated[int, Meta(ge=1980, le=2100)] | None = None
    account_kind: Word | None = None
    picture_url: (
        Annotated[str, Meta(max_length=500, pattern=r"^https://[!-~]+$", description="Of the car")] | None
    ) = None
    has_service: (
        Annotated[bool, Meta(description="Whether its connected service is subscribed to; null: not known")]
        | None
    ) = None


class NewAccessPoint(Struct, kw_only=True, forbid_unknown_fields=True):
    """A place of a consignee where parcels may be put: the trunk of a car near an address, or their home there."""

    consignee_id: Identifier
    address: PositionGiven
    time_zone: Annotated[str, Meta(min_length=1, max_length=64, examples=["America/Los_Angeles"])]
    is_consent_given: bool
    vehicle: Annotated[NewVehicle | None, Meta(description="Of kind car")] = None
    home: Annotated[NewHome | None, Meta(description="Of kind home")] = None
    kind: PlaceKind = PlaceKind.CAR
    country: Annotated[str, Meta(pattern="^[A-Z]{2}$", max_length=2, examples=["US"])] = "US"
    name: Annotated[
        str,
        Meta(
            max_length=60,
            pattern=r"^[^\u0000-\u001f\u007f]*$",
            description="As its household calls it",
            examples=["Ada's Bolt"],
        ),
    ] = ""
    range_m: Annotated[
        float, Meta(ge=10, le=5000, description="How far from the address the car may stand, metres")
    ] = DEFAULT_RANGE_M
    allows_unseen_lock: Annotated[
        bool, Meta(description="Take a car whose lock can't be read: a weaker assurance, named everywhere")
    ] = False
    consent_ends_at: Moment | None = None
    from_local: Annotated[time, Meta(tz=False, description="Daily hours, by the address's clock")] | None = (
        None
    )
    until_local: Annotated[time, Meta(tz=False)] | None = None


class Vehicle(Struct, kw_only=True):
    """A car, without its VIN, plate and secrets."""

    maker: str
    account_kind: str | None
    make: str
    model: str
    model_year: int | None
    colour: str
    picture_url: str | None
    has_service: bool | None


class AccessPoint(Struct, kw_only=True):
    """A place where parcels may be put."""

    id: Identifier
    consignee_id: Identifier
    kind: PlaceKind
    name: str
    country: str
    address: PositionShown
    range_m: float
    time_zone: str
    allows_unseen_lock: bool
    is_consent_given: bool
    is_blocked: bool
    is_frozen: bool
    consent_ends_at: Moment | None
    from_local: time | None
    until_local: time | None
    vehicle: Annotated[Vehicle | None, Meta(description="Null: a home")]
    home: Annotated[HomeShown | None, Meta(description="Null: a car")]
    created_at: Moment


class NewCourier(Struct, kw_only=True, forbid_unknown_fields=True):
    """A courier to register."""

    first_name: Annotated[Name, Meta(description="All that a consignee ever sees of the name")]


class Courier(Struct, kw_only=True):
    """A courier."""

    id: Identifier
    first_name: str
    is_active: bool
    created_at: Moment


class DeviceInvitation(Struct, kw_only=True):
    """A phone's place, and the code that enrols it once."""

    device_id: Identifier
    code: Annotated[str, Meta(description="Shown this once", examples=["7KQ2M-XW9TB-4HRNE-PA5DZ"])]
    address: Annotated[
        str,
        Meta(description="The code as a link: shown as a QR code, it opens the app with the code in it"),
    ]
    code_expires_at: Moment


class DeviceRevoked(Struct, kw_only=True):
    """The phone's access has ended."""

    device_id: Identifier
    is_revoked: bool


class NewParcel(ParcelAsked, kw_only=True, forbid_unknown_fields=True):
    """A parcel to announce, with what is known of it."""

    label: LabelShape


class NewShipment(Struct, kw_only=True, forbid_unknown_fields=True):
    """What goes to one consignee together."""

    consignee_id: Identifier
    reference: Annotated[Name, Meta(description="Your own number for it")]
    parcels: Annotated[list[NewParcel], Meta(min_length=1, max_length=50)]


class Shipment(Struct, kw_only=True):
    """A shipment and its parcels."""

    id: Identifier
    consignee_id: Identifier
    reference: str
    parcels: list[ParcelAnnounced]
    created_at: Moment


class WindowAsked(Struct, kw_only=True, forbid_unknown_fields=True):
    """A window by the address's clock, as long as your programme's are."""

    day: Annotated[date, Meta(examples=["2026-11-27"])] = field(name="date")
    begins: Annotated[time, Meta(tz=False, examples=["16:00:00"])] = field(name="from")


class NewStop(Struct, kw_only=True, forbid_unknown_fields=True):
    """A stop to book. Its window is given in one of two ways."""

    access_point_id: Identifier
    shipment_id: Identifier
    fallback: Annotated[Fallback, Meta(description="Where the parcel goes if the place can't be opened")]
    later_fallbacks: Annotated[
        list[Fallback],
        Meta(
            max_length=len(Fallback),
            description="And if that can't be done either, in this order; `depot` is added unless the plan ends with "
            "it or with `tomorrow`",
        ),
    ] = []
    courier_id: Annotated[Identifier, Meta(description="Left out: not on a round yet")] | None = None
    window: WindowAsked | None = None
    window_from: Moment | None = None
    window_until: Moment | None = None
    expected_at: Annotated[Moment, Meta(description="When the courier is expected, in the window")] | None = (
        None
    )


def show_consignee(row: ConsigneeRow) -> Consignee:
    """The consignee of a row."""
    return Consignee(
        id=row.id, name=row.name, language=row.language, plans=row.plans, created_at=row.created_at
    )


def show_access_point(
    point: AccessPointRow, vehicle: VehicleRow, home: HomeShown | None = None
) -> AccessPoint:
    """The place of a row; `home`: what it is, if it is one."""
    return AccessPoint(
        id=point.id,
        consignee_id=point.consignee_id,
        kind=PlaceKind(point.kind),
        name=point.name,
        country=point.country,
        address=PositionShown(latitude=point.latitude, longitude=point.longitude),
        range_m=point.range_m,
        time_zone=point.time_zone,
        allows_unseen_lock=point.allows_unseen_lock,
        is_consent_given=point.is_consent_given,
        is_blocked=point.blocked_at is not None,
        is_frozen=point.is_frozen,
        consent_ends_at=point.consent_ends_at,
        from_local=point.from_local,
        until_local=point.until_local,
        vehicle=None
        if home is not None
        else Vehicle(
            maker=vehicle.maker,
            account_kind=vehicle.account_kind,
            make=vehicle.make,
            model=vehicle.model,
            model_year=vehicle.model_year,
            colour=vehicle.colour,
            picture_url=vehicle.picture_url,
            has_service=vehicle.has_service,
        ),
        home=home,
        created_at=point.created_at,
    )


def show_courier(row: CourierRow) -> Courier:
    """The courier of a row."""
    return Courier(id=row.id, first_name=row.first_name, is_active=row.is_active, created_at=row.created_at)


def show_shipment(row: ShipmentRow, parcels: list[ParcelRow]) -> Shipment:
    """The shipment of a row."""
    return Shipment(
        id=row.id,
        consignee_id=row.consignee_id,
        reference=row.reference,
        parcels=[show_announced(parcel) for parcel in parcels],
        created_at=row.created_at,
    )
