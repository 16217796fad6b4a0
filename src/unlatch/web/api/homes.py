"""What the people of a household ask about their home: what a courier must mind there, and its cameras."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

from unlatch.domain.access import DEFAULT_RANGE_M, PlaceKind
from unlatch.domain.household import Right
from unlatch.flow import homes, registering, unlinking
from unlatch.flow.registering import PlaceGiven
from unlatch.store import consignees
from unlatch.store.consignees import AccessPointRow, VehicleRow
from unlatch.web.api.carrier_shapes import AccessPoint, show_access_point
from unlatch.web.api.home_shapes import (
    CameraRemoved,
    CameraShown,
    CamerasShown,
    HomeChange,
    HomeShown,
    NewCamera,
    NewHubLink,
    NewOwnHome,
    read_camera,
    show_camera,
    show_home,
)
from unlatch.web.api.home_shapes import read_home as read_new_home
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.problems import Trouble
from unlatch.web.signing_in import Reader

TABLE = EndpointTable("homes", "For the household of a home: Bearer with a consignee's key.")
CONSIGNEE = (Reader.CONSIGNEE,)
KEPT = Repeat.IN_TRANSACTION
PLACE = "/v1/me/access_points/{access_point_id}"


async def show_place(
    asked: Asked[Any], connection: AsyncConnection, point: AccessPointRow, vehicle: VehicleRow
) -> AccessPoint:
    """A place with what it is: a car, or a home."""
    view = await homes.view_home(asked.platform, connection, vehicle)
    home = None if view is None else show_home(view, asked.platform.clock.now())
    return show_access_point(point, vehicle, home)


async def _show_home(asked: Asked[Any], connection: AsyncConnection) -> HomeShown:
    vehicle = await consignees.find_vehicle(connection, asked.path["access_point_id"])
    view = None if vehicle is None else await homes.view_home(asked.platform, connection, vehicle)
    assert view is not None  # asked for before
    return show_home(view, asked.platform.clock.now())


async def check_own_home(asked: Asked[NewOwnHome]) -> None:
    """Whether what was typed leads where we may go. Asks name servers, before the transaction. Raises BadInput."""
    home = read_new_home(asked.body.home)
    await homes.check_addresses(asked.platform, home, home.cameras)


@TABLE.add(
    "POST",
    "/v1/me/homes",
    readers=CONSIGNEE,
    widens=True,
    summary="Make your home a place for parcels",
    takes=NewOwnHome,
    gives=AccessPoint,
    status=201,
    repeat=KEPT,
    troubles=(Trouble.CONFLICT,),
    ask_first=check_own_home,
)
async def register_own_home(asked: Asked[NewOwnHome]) -> AccessPoint:
    """Your carrier may deliver behind this door once you have enrolled one of its cameras. What opens hub and cameras
    is encrypted and never shown again. Nothing is asked of the hub yet.
    """
    body, carrier_id = asked.body, asked.asker.carrier_id
    assert carrier_id is not None  # a consignee always has one
    given = PlaceGiven(
        consignee_id=asked.asker.id,
        kind=PlaceKind.HOME,
        address=body.address.position(),
        range_m=DEFAULT_RANGE_M,
        time_zone=body.time_zone,
        allows_unseen_lock=False,
        is_consent_given=True,  # which is what asking for it says
        consent_ends_at=None,
        from_local=body.from_local,
        until_local=body.until_local,
        car=None,
        home=read_new_home(body.home),
        country=body.country,
        name=body.name,
    )
    point, vehicle = await registering.register_own_place(
        asked.platform, asked.connection, given, carrier_id=carrier_id, now=asked.platform.clock.now()
    )
    return await show_place(asked, asked.connection, point, vehicle)


async def check_hub(asked: Asked[NewHubLink]) -> None:
    """The same for a hub that is linked anew."""
    await homes.check_hub(asked.platform, asked.body.secrets)


@TABLE.add(
    "POST",
    f"{PLACE}/hub",
    readers=CONSIGNEE,
    widens=True,
    summary="Link a home's hub anew",
    takes=NewHubLink,
    gives=HomeShown,
    repeat=KEPT,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
    ask_first=check_hub,
)
async def link_hub_again(asked: Asked[NewHubLink]) -> HomeShown:
    """A new token, or another address or name of the door. Give all that the form asks for. Where the door is called
    otherwise, told of by another hub or another sensor, its cameras are to be enrolled anew. For the owner, and not
    while a visit is under way or its closure watched.
    """
    await homes.link_hub_again(
        asked.platform,
        asked.connection,
        asked.path["access_point_id"],
        consignee_id=asked.asker.id,
        entity=asked.body.entity,
        secrets=asked.body.secrets,
        now=asked.platform.clock.now(),
    )
    return await _show_home(asked, asked.connection)


@TABLE.add(
    "POST",
    f"{PLACE}/home/unlink",
    readers=CONSIGNEE,
    destroys=True,
    summary="Un-link a home",
    gives=HomeShown,
    repeat=KEPT,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
)
async def unlink_home(asked: Asked[None]) -> HomeShown:
    """From now on no parcel comes in: the consent ends, its cameras are removed, and what opens its hub and cameras is
    erased. Its household and history stay; link its hub again to begin anew. For the owner. Conflict while a visit is
    under way or its closure watched, and while deliveries are to come: redirect them first.
    """
    await unlinking.unlink_home(
        asked.platform,
        asked.connection,
        asked.path["access_point_id"],
        consignee_id=asked.asker.id,
        now=asked.platform.clock.now(),
    )
    return await _show_home(asked, asked.connection)


@TABLE.add(
    "GET",
    f"{PLACE}/home",
    readers=CONSIGNEE,
    summary="What a courier must mind at a home",
    gives=HomeShown,
    troubles=(Trouble.NOT_FOUND,),
)
async def read_home(asked: Asked[None]) -> HomeShown:
    """For everyone of its household. Not found where the place is a car."""
    async with asked.platform.database.connection() as connection:
        await homes.get_home(connection, asked.path["access_point_id"], asked.asker.id, Right.SEE)
        return await _show_home(asked, connection)


@TABLE.add(
    "POST",
    f"{PLACE}/home",
    readers=CONSIGNEE,
    widens=True,
    summary="Say what a courier must mind at a home",
    takes=HomeChange,
    gives=HomeShown,
    repeat=KEPT,
    troubles=(Trouble.NOT_FOUND,),
    examples=({"is_pet_loose": True}, {"quiet_from": "20:00:00", "quiet_until": "07:00:00"}),
)
async def change_home(asked: Asked[HomeChange]) -> HomeShown:
    """What is left out stays as it is. It counts from the next scan on: what was decided before is not decided again,
    so block the place to stop a visit that is under way.
    """
    await homes.change_home(
        asked.connection,
        asked.path["access_point_id"],
        consignee_id=asked.asker.id,
        changes=asked.body.changes(),
        now=asked.platform.clock.now(),
    )
    return await _show_home(asked, asked.connection)


@TABLE.add(
    "GET",
    f"{PLACE}/cameras",
    readers=CONSIGNEE,
    summary="The cameras of a home",
    gives=CamerasShown,
    troubles=(Trouble.NOT_FOUND,),
)
async def list_cameras(asked: Asked[None]) -> CamerasShown:
    """Each with whether it may be a witness: only such a camera's proof opens the door."""
    async with asked.platform.database.connection() as connection:
        rows = await homes.list_cameras(
            connection, asked.path["access_point_id"], consignee_id=asked.asker.id
        )
    now = asked.platform.clock.now()
    return CamerasShown(cameras=[show_camera(row, now) for row in rows])


async def check_camera(asked: Asked[NewCamera]) -> None:
    """The same for a camera."""
    await homes.check_addresses(asked.platform, None, [read_camera(asked.body)])


@TABLE.add(
    "POST",
    f"{PLACE}/cameras",
    readers=CONSIGNEE,
    widens=True,
    summary="Add a camera to a home",
    takes=NewCamera,
    gives=CameraShown,
    status=201,
    repeat=KEPT,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
    examples=({"maker": "rtsp", "name": "Hall", "address": "rtsps://camera.example/stream"},),
    ask_first=check_camera,
)
async def add_camera(asked: Asked[NewCamera]) -> CameraShown:
    """Its address and secrets are encrypted and never shown again. It records from now on, but opens no door until
    it is enrolled. At most 8 of one home.
    """
    row = await homes.add_camera(
        asked.platform,
        asked.connection,
        asked.path["access_point_id"],
        read_camera(asked.body),
        consignee_id=asked.asker.id,
        now=asked.platform.clock.now(),
    )
    return show_camera(row, asked.platform.clock.now())


@TABLE.add(
    "DELETE",
    f"{PLACE}/cameras/{{camera_id}}",
    readers=CONSIGNEE,
    summary="Remove a camera of a home",
    gives=CameraRemoved,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
)
async def remove_camera(asked: Asked[None]) -> CameraRemoved:
    """What opens it is destroyed; its clips stay as long as others. Not while a visit is under way there."""
    camera_id = asked.path["camera_id"]
    async with asked.platform.database.transaction() as connection:
        await homes.remove_camera(
            asked.platform,
            connection,
            asked.path["access_point_id"],
            camera_id,
            consignee_id=asked.asker.id,
            now=asked.platform.clock.now(),
        )
    return CameraRemoved(id=camera_id, is_removed=True)
