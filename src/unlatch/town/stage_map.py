"""What the map of the town's own page shows: cars, homes and couriers as they truly are now."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import islice

import msgspec

from unlatch.town.courier import Courier
from unlatch.town.homes import Dwelling
from unlatch.town.stage_scene import Target
from unlatch.town.streets import HOMES, draw
from unlatch.town.world import Citizen, Town

MOST_OF_EACH = 50


class CarMark(msgspec.Struct, kw_only=True, frozen=True):
    """A car: metres on the map, where its front looks in degrees, and what hands would find at its trunk."""

    id: str
    name: str
    east: float
    north: float
    heading: float
    is_moving: bool
    is_open: bool
    is_locked: bool
    faults: list[str]


class HomeMark(msgspec.Struct, kw_only=True, frozen=True):
    """A home. `camera_id` None: no camera hangs in its hall."""

    id: str
    name: str
    east: float
    north: float
    is_open: bool
    is_locked: bool
    is_wifi_up: bool
    camera_id: str | None
    is_watched: bool
    camera_fault: str
    faults: list[str]


class CourierMark(msgspec.Struct, kw_only=True, frozen=True):
    """A courier. `latitude`, `longitude`: what their phone is told."""

    id: str
    name: str
    east: float
    north: float
    latitude: float
    longitude: float
    is_sent: bool
    is_there: bool


class TownMap(msgspec.Struct, kw_only=True, frozen=True):
    """All of it, at most MOST_OF_EACH of each; the parcel that is to be delivered, and where others may go."""

    cars: list[CarMark]
    homes: list[HomeMark]
    couriers: list[CourierMark]
    label: str
    target: Target
    targets: list[Target]


def mark_cars(town: Town) -> list[CarMark]:
    """Its cars as they are now."""
    return [_mark_car(town, one) for one in islice(town.citizens.values(), MOST_OF_EACH)]


def _mark_car(town: Town, citizen: Citizen) -> CarMark:
    car = town.look(citizen)
    east, north = draw(car.position_at(car.now))
    return CarMark(
        id=car.vin,
        name=f"{citizen.make} {citizen.model}, {citizen.plate}",
        east=round(east, 1),
        north=round(north, 1),
        heading=round(car.heading_at(car.now)),
        is_moving=car.is_moving,
        is_open=car.is_lid_open,
        is_locked=car.is_trunk_locked,
        faults=[one.fault.kind for one in citizen.faults],
    )


def mark_homes(town: Town) -> list[HomeMark]:
    """Those of its homes that the plan of the town knows."""
    known = (one for one in town.homes.dwellings.values() if one.home.home_id in HOMES)
    return [_mark_home(town, one) for one in islice(known, MOST_OF_EACH)]


def _mark_home(town: Town, dwelling: Dwelling) -> HomeMark:
    home = town.homes.look(dwelling)
    name, (east, north) = HOMES[home.home_id]
    camera = dwelling.cameras[0] if dwelling.cameras else None
    return HomeMark(
        id=home.home_id,
        name=name,
        east=east,
        north=north,
        is_open=home.is_open,
        is_locked=home.is_thrown,
        is_wifi_up=home.is_wifi_up,
        camera_id=camera.camera_id if camera is not None else None,
        is_watched=camera is not None and camera.is_watched,
        camera_fault=camera.fault_kind if camera is not None else "",
        faults=[one.fault.kind for one in dwelling.faults],
    )


def mark_couriers(couriers: Iterable[Courier], now: datetime) -> list[CourierMark]:
    """Where they are now."""
    return [_mark_courier(one, now) for one in islice(couriers, MOST_OF_EACH)]


def _mark_courier(courier: Courier, now: datetime) -> CourierMark:
    position = courier.position_at(now)
    east, north = draw(position)
    return CourierMark(
        id=courier.name,
        name=courier.name,
        east=round(east, 1),
        north=round(north, 1),
        latitude=position.latitude,
        longitude=position.longitude,
        is_sent=courier.end is not None,
        is_there=courier.is_there(now),
    )
