"""What a carrier's back end asks: registering, booking, following."""

from __future__ import annotations

from unlatch.domain.access import PlaceKind
from unlatch.flow import booking, enrolment
from unlatch.flow.booking import CarGiven, LabelGiven, PlaceGiven, StopGiven
from unlatch.web.api.carrier_shapes import (
    AccessPoint,
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
    Shipment,
    show_access_point,
    show_consignee,
    show_courier,
    show_shipment,
)
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.problems import Trouble
from unlatch.web.shapes import StopShown, show_stop
from unlatch.web.signing_in import Reader

TABLE = EndpointTable("carrier", "For a carrier's back end: Bearer with the carrier's key.")
CARRIER = (Reader.CARRIER,)
KEPT = Repeat.IN_TRANSACTION


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
    row, admitted = await booking.register_consignee(
        asked.connection,
        carrier_id=asked.asker.id,
        name=asked.body.name,
        language=asked.body.language,
        now=asked.platform.clock.now(),
    )
    return ConsigneeMade(
        id=row.id, name=row.name, language=row.language, created_at=row.created_at, key=admitted.key
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
            await booking.get_consignee(connection, asked.path["consignee_id"], carrier_id=asked.asker.id)
        )


@TABLE.add(
    "POST",
    "/v1/access_points",
    readers=CARRIER,
    summary="Register a place and link its car",
    takes=NewAccessPoint,
    gives=AccessPoint,
    status=201,
    repeat=KEPT,
    troubles=(Trouble.NOT_FOUND,),
)
async def create_access_point(asked: Asked[NewAccessPoint]) -> AccessPoint:
    """Registers a place of a consignee and the car behind it. The car's VIN and secrets are encrypted with a
    key of their own and never shown again. Nothing is asked of the car yet.
    """
    body = asked.body
    car = CarGiven(
        maker=body.vehicle.maker,
        account_kind=body.vehicle.account_kind,
        vin=body.vehicle.vin,
        secrets=body.vehicle.secrets,
        make=body.vehicle.make,
        model=body.vehicle.model,
        model_year=body.vehicle.model_year,
        colour=body.vehicle.colour,
        plate=body.vehicle.plate,
        picture_url=body.vehicle.picture_url,
    )
    given = PlaceGiven(
        consignee_id=body.consignee_id,
        kind=PlaceKind(body.kind),
        address=body.address.position(),
        range_m=body.range_m,
        time_zone=body.time_zone,
        allows_unseen_lock=body.allows_unseen_lock,
        is_consent_given=body.is_consent_given,
        consent_ends_at=body.consent_ends_at,
        from_local=body.from_local,
        until_local=body.until_local,
        car=car,
    )
    point, vehicle = await booking.register_access_point(
        asked.platform,
        asked.connection,
        given,
        carrier_id=asked.asker.id,
        now=asked.platform.clock.now(),
    )
    return show_access_point(point, vehicle)


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
        return show_access_point(
            *await booking.get_access_point(
                connection, asked.path["access_point_id"], carrier_id=asked.asker.id
            )
        )


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
        device_id=invitation.device_id, code=invitation.code, code_expires_at=invitation.expires_at
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
    Amazon TBA. A label that names no parcel is refused with its fault.
    """
    labels = [
        LabelGiven(text=parcel.label.text, symbology_identifier=parcel.label.symbology_identifier)
        for parcel in asked.body.parcels
    ]
    shipment, parcels = await booking.register_shipment(
        asked.connection,
        carrier_id=asked.asker.id,
        consignee_id=asked.body.consignee_id,
        reference=asked.body.reference,
        labels=labels,
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
    summary="Plan a stop",
    takes=NewStop,
    gives=StopShown,
    status=201,
    repeat=KEPT,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
)
async def create_stop(asked: Asked[NewStop]) -> StopShown:
    """Gives a courier a stop: which shipment, to which place, in which window, and the fallback."""
    given = StopGiven(
        courier_id=asked.body.courier_id,
        access_point_id=asked.body.access_point_id,
        shipment_id=asked.body.shipment_id,
        window_from=asked.body.window_from,
        window_until=asked.body.window_until,
        fallback=asked.body.fallback,
    )
    row, parcels = await booking.plan_stop(
        asked.connection, given, carrier_id=asked.asker.id, now=asked.platform.clock.now()
    )
    return show_stop(row, parcels)


@TABLE.add(
    "GET",
    "/v1/stops/{stop_id}",
    readers=CARRIER,
    summary="Read a stop",
    gives=StopShown,
    troubles=(Trouble.NOT_FOUND,),
)
async def read_stop(asked: Asked[None]) -> StopShown:
    """A stop of yours, and where its parcels are."""
    async with asked.platform.database.connection() as connection:
        return show_stop(
            *await booking.get_stop(connection, asked.path["stop_id"], carrier_id=asked.asker.id)
        )
