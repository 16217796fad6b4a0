"""A day of deliveries before it is lived: who gets what where, when the courier is expected, and what is wrong.

Everything is drawn by lot from one seed, so that a day can be lived again.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum, auto
from math import cos, radians
from pathlib import Path

import shapely
from shapely.geometry import Point, shape

import unlatch
from unlatch.domain.access import Position
from unlatch.town.car import Maker
from unlatch.town.papers import make_sscc, make_vin

COVERAGE = Path(unlatch.__file__ or __file__).parent / "data" / "coverage" / "launch-2018.geojson"
DEGREE_M = 111_195.0  # of latitude
PARKED_WITHIN_M = 120.0
FAR_OFF_M = 900.0
TRIES_FOR_A_POINT = 1000

# The clock on the wall of each area of the launch (IANA).
ZONES: Mapping[str, str] = {
    "Atlanta": "America/New_York",
    "Austin": "America/Chicago",
    "Baltimore": "America/New_York",
    "Boston": "America/New_York",
    "Charlotte": "America/New_York",
    "Chicago": "America/Chicago",
    "Cincinnati": "America/New_York",
    "Cleveland": "America/New_York",
    "Columbus": "America/New_York",
    "Dallas": "America/Chicago",
    "Denver": "America/Denver",
    "Detroit": "America/Detroit",
    "Fresno": "America/Los_Angeles",
    "Houston": "America/Chicago",
    "Indianapolis": "America/Indiana/Indianapolis",
    "Kansas City": "America/Chicago",
    "Los Angeles": "America/Los_Angeles",
    "Miami": "America/New_York",
    "Milwaukee": "America/Chicago",
    "Minneapolis-St Paul": "America/Chicago",
    "Nashville": "America/Chicago",
    "Orlando": "America/New_York",
    "Philadelphia": "America/New_York",
    "Phoenix": "America/Phoenix",
    "Pittsburgh": "America/New_York",
    "Portland": "America/Los_Angeles",
    "Raleigh": "America/New_York",
    "Sacramento": "America/Los_Angeles",
    "Salt Lake City": "America/Denver",
    "San Antonio": "America/Chicago",
    "San Diego": "America/Los_Angeles",
    "San Francisco": "America/Los_Angeles",
    "San Jose": "America/Los_Angeles",
    "Seattle-Tacoma": "America/Los_Angeles",
    "St Louis": "America/Chicago",
    "Tampa": "America/New_York",
    "Washington DC": "America/New_York",
}


class Trouble(StrEnum):
    """What is wrong with a car before the courier comes; each can be mended by its owner, or is not."""

    TOO_FAR = auto()
    ASLEEP = auto()
    OFFLINE = auto()  # no reception, as in a garage below ground
    LEFT_UNLOCKED = auto()
    LEFT_OPEN = auto()
    CONSENT_WITHDRAWN = auto()
    SUBSCRIPTION_LAPSED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """One delivery of the day."""

    number: int
    area: str
    time_zone: str
    address: Position
    parked_at: Position  # where the car stands when all is well
    maker: Maker
    vin: str
    label: str
    courier: int  # which of the couriers
    expected_at: datetime
    trouble: Trouble | None
    is_mended: bool  # by the consignee, once they are told

    @property
    def mail(self) -> str:
        """Where its consignee is told."""
        return f"consignee-{self.number}@town.example"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """What the day is made of."""

    stops: int = 2000
    areas: int = 37
    stops_a_courier: int = 12
    seed: int = 0
    troubled: float = 0.08  # of all cars
    mended: float = 0.5  # of the troubled ones
    kinds: tuple[Trouble, ...] = tuple(Trouble)
    begins_at: Mapping[str, datetime] = field(default_factory=dict)  # of the window, by time zone
    window_s: float = 4 * 3600.0
    last_before_end_s: float = 900.0  # the last courier is expected so long before the window ends


def draw_errands(shift: Shift) -> list[Errand]:
    """The day's errands, spread evenly over areas and couriers."""
    lot = random.Random(shift.seed)
    names, polygons = _read_areas()
    chosen = names if shift.areas >= len(names) else sorted(lot.sample(names, shift.areas))
    troubled = set(lot.sample(range(shift.stops), round(shift.stops * shift.troubled)))
    mended = set(lot.sample(sorted(troubled), round(len(troubled) * shift.mended)))
    errands: list[Errand] = []
    couriers = 0
    for at, area in enumerate(chosen):
        count = shift.stops // len(chosen) + (at < shift.stops % len(chosen))
        for index in range(count):
            number = len(errands)
            courier = couriers + index // shift.stops_a_courier
            place = index % shift.stops_a_courier
            begins_at = shift.begins_at[ZONES[area]]
            spread_s = shift.window_s - shift.last_before_end_s
            waits_s = spread_s * (place + lot.uniform(0.1, 0.9)) / shift.stops_a_courier
            address = _draw_point(polygons[area], lot)
            maker = lot.choice(list(Maker))
            errands.append(
                Errand(
                    number=number,
                    area=area,
                    time_zone=ZONES[area],
                    address=address,
                    parked_at=step_aside(address, lot.uniform(0, PARKED_WITHIN_M), lot.uniform(0, 360)),
                    maker=maker,
                    vin=make_vin("YV1A22RK" if maker is Maker.VOLVO else "1G1ZD5ST", lot),
                    label=make_sscc(lot),
                    courier=courier,
                    expected_at=begins_at + timedelta(seconds=waits_s),
                    trouble=lot.choice(shift.kinds) if number in troubled else None,
                    is_mended=number in mended,
                )
            )
        couriers = errands[-1].courier + 1
    return errands


def step_aside(start: Position, distance_m: float, bearing_degrees: float) -> Position:
    """A point that far from `start`; good for a few kilometres."""
    north_m = distance_m * cos(radians(bearing_degrees))
    east_m = distance_m * cos(radians(bearing_degrees - 90))
    return Position(
        latitude=start.latitude + north_m / DEGREE_M,
        longitude=start.longitude + east_m / (DEGREE_M * cos(radians(start.latitude))),
        accuracy_m=5,
    )


def _read_areas() -> tuple[list[str], dict[str, shapely.Geometry]]:
    features = json.loads(COVERAGE.read_text(encoding="utf-8"))["features"]
    polygons = {each["properties"]["name"]: shape(each["geometry"]) for each in features}
    return sorted(polygons), polygons


def _draw_point(polygon: shapely.Geometry, lot: random.Random) -> Position:
    west, south, east, north = polygon.bounds
    for _ in range(TRIES_FOR_A_POINT):
        longitude, latitude = lot.uniform(west, east), lot.uniform(south, north)
        if polygon.contains(Point(longitude, latitude)):
            return Position(latitude=round(latitude, 6), longitude=round(longitude, 6))
    raise ValueError("an area has no inside")


def list_couriers(errands: Sequence[Errand]) -> list[int]:
    """The couriers of these errands."""
    return sorted({errand.courier for errand in errands})
