"""What a carrier's back end asks: registering, booking, following."""

from __future__ import annotations

from unlatch.domain.access import PlaceKind
from unlatch.domain.wording import Language
from unlatch.flow import booking, enrolment, homes, registering
from unlatch.flow.booking import LabelGiven, NotOffered, ParcelGiven, StopGiven
from unlatch.flow.options import WindowGiven
from unlatch.flow.registering import CarGiven, PlaceGiven
from unlatch.store import carriers
from unlatch.web.api.carrier_shapes import (
    AccessPoint,
    CarrierShown,
    Consignee,
    ConsigneeMade,
    Courier,
    DeviceInvitation,
    DeviceRevoked,
    NewAccessPoint,
    NewConsignee,
    NewCourier,
    NewShipment,
    NewStop,
    NewVehicle,
    PlansBody,
    Shipment,
    show_consignee,
    show_courier,
    show_shipment,
)
from unlatch.web.api.home_shapes import read_home
from unlatch.web.api.homes import show_place
from unlatch.web.api.options import show_offer_reasons
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.parcel_shapes import read_parcel
from unlatch.web.problems import ProblemError, Trouble, bad_input
from unlatch.web.reading_room import language_of
from unlatch.web.shapes import StopShown, show_stop
from unlatch.web.signing_in import Reader

TABLE = EndpointTable("carrier", "For a carrier's back end: Bearer with the carrier's key.")
CARRIER = (Reader.CARRIER,)
KEPT = Repeat.IN_TRANSACTION


@TABLE.add(
    "GET",
    "/v1/carrier",
    readers=CARRIER,
    summary="Read who you are",
    gives=CarrierShown,
)
async def read_carrier(asked: Asked[None]) -> CarrierShown:
    """Your name here, the programme by which you book, and the version of the platform's rules."""
    async with asked.platform.database.connection() as connection:
        row = await carriers.get_carrier(connection, asked.asker.id)
    rules = await asked.platform.rules.get()
    return CarrierShown(
        id=row.id,
        name=row.name,
        programme=row.programme,
        rules_version=rules.version if row.programme in rules.programmes else None,
    )


@TABLE.add(
    "POST",
    "/v1/consignees",
    readers=CARRIER,
    summary="Register a consignee",
    takes=NewConsignee,
    gives=ConsigneeMade,
    status=201,
    repeat=KEPT,
)
async def create_consignee(asked: Asked[NewConsignee]) -> ConsigneeMade:
    """Registers one who receives parcels. The answer holds the consignee's own key, which is shown once."""
    row, admitted = await registering.register_consignee(
        asked.connection,
        carrier_id=asked.asker.id,
        name=asked.body.name,
        language=asked.body.language,
        plans=asked.body.plans,
        now=asked.platform.clock.now(),
    )
    return ConsigneeMade(
        id=row.id,
        name=row.name,
        language=row.language,
        plans=row.plans,
        created_at=row.created_at,
        key=admitted.key,
    )


@TABLE.add(
    "GET",
    "/v1/consignees/{consignee_id}",
    readers=CARRIER,
    summary="Read a consignee",
    gives=Consignee,
    troubles=(Trouble.NOT_FOUND,),
)
async def read_consignee(asked: Asked[None]) -> Consignee:
    """A consignee whom you registered."""
    async with asked.platform.database.connection() as connection:
        return show_consignee(
            await registering.get_consignee(connection, asked.path["consignee_id"], carrier_id=asked.asker.id)
        )


@TABLE.add(
    "POST",
    "/v1/consignees/{consignee_id}/plans",
    readers=CARRIER,
    summary="Set what a consignee is a member of",
    takes=PlansBody,
    gives=Consignee,
    repeat=KEPT,
    troubles=(Trouble.NOT_FOUND,),
)
async def set_plans(asked: Asked[PlansBody]) -> Consignee:
    """Replaces the consignee's plans. Stops that are booked already stay booked."""
    return show_consignee(
        await registering.set_plans(
            asked.connection,
            asked.path["consignee_id"],
            carrier_id=asked.asker.id,
            plans=asked.body.plans,
        )
    )


async def _check_addresses(asked: Asked[NewAccessPoint]) -> None:
    if asked.body.home is not None:
        home = read_home(asked.body.home)
        await homes.check_addresses(asked.platform, home, home.cameras)


@TABLE.add(
    "POST",
    "/v1/access_points",
    readers=CARRIER,
    summary="Register a place and link its car, or the hub of the home",
    takes=NewAccessPoint,
    gives=AccessPoint,
    status=201,
    repeat=KEPT,
    troubles=(Trouble.NOT_FOUND,),
    ask_first=_check_addresses,
)
async def create_access_point(asked: Asked[NewAccessPoint]) -> AccessPoint:
    """Registers a place of a consignee and the car behind it, or with `kind` home, the hub of the home and its cameras.
    The car's VIN or the door's name, and all secrets, are encrypted with a key of their own and never shown again.
    Nothing is asked of the car or the hub yet. A home is offered once its household has enrolled one of its cameras.
    """
    body = asked.body
    _check_kind(body)
    given = PlaceGiven(
        consignee_id=body.consignee_id,
        kind=body.kind,
        address=body.address.position(),
        range_m=body.range_m,
        time_zone=body.time_zone,
        allows_unseen_lock=body.allows_unseen_lock,
        is_consent_given=body.is_consent_given,
        consent_ends_at=body.consent_ends_at,
        from_local=body.from_local,
        until_local=body.until_local,
        car=None if body.vehicle is None else _read_car(body.vehicle),
        home=None if body.home is None else read_home(body.home),
        country=body.country,
        name=body.name,
    )
    point, vehicle = await registering.register_access_point(
        asked.platform,
        asked.connection,
        given,
        carrier_id=asked.asker.id,
        now=asked.platform.clock.now(),
    )
    return await show_place(asked, asked.connection, point, vehicle)


def _check_kind(body: NewAccessPoint) -> None:
    """A place is one thing alone."""
    is_home = body.kind is PlaceKind.HOME
    if is_home and body.vehicle is not None:
        raise bad_input("vehicle", "leave it out: a home has none")
    if not is_home and body.home is not None:
        raise bad_input("home", "give kind home with it")
    if is_home and body.home is None:
        raise bad_input("home", "is required for kind home")
    if not is_home and body.vehicle is None:
        raise bad_input("vehicle", "is required for kind car")


def _read_car(body: NewVehicle) -> CarGiven:
    return CarGiven(
        maker=body.maker,
        account_kind=body.account_kind,
        vin=body.vin,
        secrets=body.secrets,
        make=body.make,
        model=body.model,
        model_year=body.model_year,
        colour=body.colour,
        plate=body.plate,
        picture_url=body.picture_url,
        has_service=body.has_service,
    )


@TABLE.add(
    "GET",
    "/v1/access_points/{access_point_id}",
    readers=CARRIER,
    summary="Read a place",
    gives=AccessPoint,
    troubles=(Trouble.NOT_FOUND,),
)
async def read_access_point(asked: Asked[None]) -> AccessPoint:
    """A place that you registered."""
    async with asked.platform.database.connection() as connection:
        point, vehicle = await registering.get_access_point(
            connection, asked.path["access_point_id"], carrier_id=asked.asker.id
        )
        return await show_place(asked, connection, point, vehicle)


@TABLE.add(
    "POST",
    "/v1/couriers",
    readers=CARRIER,
    summary="Register a courier",
    takes=NewCourier,
    gives=Courier,
    status=201,
    repeat=KEPT,
)
async def create_courier(asked: Asked[NewCourier]) -> Courier:
    """Registers one who delivers. They can do nothing until a phone of theirs is enrolled."""
    return show_courier(
        await enrolment.register_courier(
            asked.connection,
            carrier_id=asked.asker.id,
            first_name=asked.body.first_name,
            now=asked.platform.clock.now(),
        )
    )


@TABLE.add(
    "GET",
    "/v1/couriers/{courier_id}",
    readers=CARRIER,
    summary="Read a courier",
    gives=Courier,
    troubles=(Trouble.NOT_FOUND,),
)
async def read_courier(asked: Asked[None]) -> Courier:
    """A courier of yours."""
    async with asked.platform.database.connection() as connection:
        return show_courier(
            await enrolment.get_courier(connection, asked.path["courier_id"], carrier_id=asked.asker.id)
        )


async def _set_active(asked: Asked[None], *, is_active: bool) -> Courier:
    return show_courier(
        await enrolment.set_courier_active(
            asked.connection,
            asked.path["courier_id"],
            carrier_id=asked.asker.id,
            is_active=is_active,
        )
    )


@TABLE.add(
    "POST",
    "/v1/couriers/{courier_id}/deactivate",
    readers=CARRIER,
    summary="Stop a courier",
    gives=Courier,
    repeat=KEPT,
    troubles=(Trouble.NOT_FOUND,),
)
async def deactivate_courier(asked: Asked[None]) -> Courier:
    """The courier's scans are refused from now on. What is open now can still be closed and locked."""
    return await _set_active(asked, is_active=False)


@TABLE.add(
    "POST",
    "/v1/couriers/{courier_id}/activate",
    readers=CARRIER,
    summary="Let a courier deliver again",
    gives=Courier,
    repeat=KEPT,
    troubles=(Trouble.NOT_FOUND,),
)
async def activate_courier(asked: Asked[None]) -> Courier:
    """The courier's scans are decided again as any other's."""
    return await _set_active(asked, is_active=True)


@TABLE.add(
    "POST",
    "/v1/couriers/{courier_id}/devices",
    readers=CARRIER,
    summary="Invite a courier's phone",
    gives=DeviceInvitation,
    status=201,
    repeat=KEPT,
    troubles=(Trouble.NOT_FOUND,),
)
async def invite_device(asked: Asked[None]) -> DeviceInvitation:
    """Gives a code that enrols one phone, once, within 15 minutes."""
    invitation = await enrolment.invite_phone(
        asked.connection,
        asked.path["courier_id"],
        carrier_id=asked.asker.id,
        now=asked.platform.clock.now(),
    )
    return DeviceInvitation(
        device_id=invitation.device_id,
        code=invitation.code,
        # Behind the hash: a browser keeps it to itself, and no log ever has it.
        address=f"{asked.platform.settings.public_url}/courier#enrol={invitation.code}",
        code_expires_at=invitation.expires_at,
    )


@TABLE.add(
    "DELETE",
    "/v1/devices/{device_id}",
    readers=CARRIER,
    summary="Revoke a courier's phone",
    gives=DeviceRevoked,
    troubles=(Trouble.NOT_FOUND,),
)
async def revoke_device(asked: Asked[None]) -> DeviceRevoked:
    """Ends the phone's access at once and for good; a lost phone's code or token is worth nothing any more."""
    device_id = asked.path["device_id"]
    async with asked.platform.database.transaction() as connection:
        await enrolment.revoke_phone(
            connection, device_id, carrier_id=asked.asker.id, now=asked.platform.clock.now()
        )
    return DeviceRevoked(device_id=device_id, is_revoked=True)


@TABLE.add(
    "POST",
    "/v1/shipments",
    readers=CARRIER,
    summary="Announce a shipment",
    takes=NewShipment,
    gives=Shipment,
    status=201,
    repeat=KEPT,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
)
async def create_shipment(asked: Asked[NewShipment]) -> Shipment:
    """Announces parcels by what stands on their labels: SSCC (GS1-128, Digital Link), UPS, FedEx, USPS, UPU S10,
    Amazon TBA. A label that names no parcel is refused with its fault. What else is told of a parcel decides into
    which places it may be put.
    """
    given = [
        ParcelGiven(
            label=LabelGiven(text=parcel.label.text, symbology_identifier=parcel.label.symbology_identifier),
            description=read_parcel(parcel, f"parcels[{number}]"),
        )
        for number, parcel in enumerate(asked.body.parcels)
    ]
    shipment, parcels = await booking.register_shipment(
        asked.connection,
        carrier_id=asked.asker.id,
        consignee_id=asked.body.consignee_id,
        reference=asked.body.reference,
        parcels=given,
        now=asked.platform.clock.now(),
    )
    return show_shipment(shipment, parcels)


@TABLE.add(
    "GET",
    "/v1/shipments/{shipment_id}",
    readers=CARRIER,
    summary="Read a shipment",
    gives=Shipment,
    troubles=(Trouble.NOT_FOUND,),
)
async def read_shipment(asked: Asked[None]) -> Shipment:
    """A shipment of yours, and where its parcels are."""
    async with asked.platform.database.connection() as connection:
        return show_shipment(
            *await booking.get_shipment(connection, asked.path["shipment_id"], carrier_id=asked.asker.id)
        )


@TABLE.add(
    "POST",
    "/v1/stops",
    readers=CARRIER,
    summary="Book a stop",
    takes=NewStop,
    gives=StopShown,
    status=201,
    repeat=KEPT,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT, Trouble.NOT_OFFERED),
)
async def create_stop(asked: Asked[NewStop]) -> StopShown:
    """Books a stop: which shipment, to which place, in which window, with which fallback, and if it is known already,
    for which courier. Refused with every reason where your programme does not offer the place, and where that depends
    on what was not told. The stop keeps the programme and the version of the rules.
    """
    body = asked.body
    window = WindowGiven(window_from=body.window_from, window_until=body.window_until)
    if body.window is not None:
        if body.window_from is not None or body.window_until is not None:
            raise bad_input("window", "give either window, or both window_from and window_until")
        window = WindowGiven(day=body.window.day, begins=body.window.begins)
    given = StopGiven(
        courier_id=body.courier_id,
        access_point_id=body.access_point_id,
        shipment_id=body.shipment_id,
        window=window,
        fallback=body.fallback,
        later_fallbacks=body.later_fallbacks,
        expected_at=body.expected_at,
    )
    booked = await booking.book_stop(
        asked.platform,
        asked.connection,
        given,
        carrier_id=asked.asker.id,
        now=asked.platform.clock.now(),
    )
    if isinstance(booked, NotOffered):
        reasons = show_offer_reasons(booked.offer, Language(language_of(asked)))
        raise ProblemError(Trouble.NOT_OFFERED, " ".join(reason.text for reason in reasons), reasons=reasons)
    return show_stop(booked.stop, booked.parcels)
