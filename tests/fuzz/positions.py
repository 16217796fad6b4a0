"""Positions from everywhere: poles, the antimeridian, no numbers. None opens what another way of reckoning forbids."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import msgspec
from tests.domain.test_decision import reading, situation

from unlatch.domain.access import EARTH_RADIUS_M, Position, distance_m
from unlatch.domain.decision import REACH_M, WORST_ACCURACY_M, decide
from unlatch.web.shapes import PositionGiven

ODD = (
    math.nan,
    math.inf,
    -math.inf,
    1e308,
    -1e308,
    5e-324,
    -0.0,
    90.0,
    -90.0,
    180.0,
    -180.0,
    90.0000001,
    -180.0000001,
    0.0,
)
SLACK_M = 0.5  # of two ways to reckon the same distance


def chord_m(one: Position, other: Position) -> float:
    """The same distance through the Earth, then back onto its surface: another way than the product's."""

    def point(where: Position) -> tuple[float, float, float]:
        lat, lon = math.radians(where.latitude), math.radians(where.longitude)
        return math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)

    through = math.dist(point(one), point(other))
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, through / 2))


def draw(lot: random.Random) -> tuple[float, float, float]:
    """Somewhere, surely enough or not; now and then what no phone tells."""
    if lot.random() < 0.2:
        return lot.choice(ODD), lot.choice(ODD), lot.choice((*ODD, -1.0, 1e9))
    latitude = lot.choice((lot.uniform(-90, 90), lot.uniform(89.99, 90), lot.uniform(-90, -89.99)))
    longitude = lot.choice((lot.uniform(-180, 180), lot.uniform(179.99, 180), lot.uniform(-180, -179.99)))
    return latitude, longitude, lot.choice((0.0, 5.0, 99.9, 100.1, lot.uniform(0, 5000)))


def near(lot: random.Random, to: Position) -> tuple[float, float, float]:
    """Some metres to some kilometres off."""
    far_m = lot.choice((0, 30, 49, 51, 120, 199, 201, 260, 5_000)) * lot.uniform(0.9, 1.1)
    turn = lot.uniform(0, 2 * math.pi)
    latitude = to.latitude + math.degrees(far_m * math.cos(turn) / EARTH_RADIUS_M)
    wide = max(1e-9, math.cos(math.radians(to.latitude)))
    longitude = to.longitude + math.degrees(far_m * math.sin(turn) / EARTH_RADIUS_M / wide)
    longitude = (longitude + 180) % 360 - 180
    return max(-90.0, min(90.0, latitude)), longitude, lot.choice((0.0, 5.0, 60.0, 100.0, 150.0))


def try_positions(seed: int, count: int) -> dict[str, Any]:
    """Decide on so many; how many were granted, and what went wrong."""
    lot = random.Random(seed)
    broken: list[str] = []
    counts = {"refused by the shape": 0, "granted": 0, "denied": 0}
    for number in range(count):
        given = draw(lot)
        address = _make(given, broken, number)
        if address is None:
            counts["refused by the shape"] += 1
            continue
        car, phone = (_make(near(lot, address), broken, number) for _ in range(2))
        if car is None or phone is None:
            continue
        decision = decide(
            situation(address=address, courier_position=phone, reading=replace(reading(), position=car))
        )
        counts["granted" if decision.is_granted else "denied"] += 1
        broken += _judge(number, address, car, phone, is_granted=decision.is_granted)
    return {"seed": seed, "count": count, **counts, "broken": broken}


def _make(given: tuple[float, float, float], broken: list[str], number: int) -> Position | None:
    """By the API's own shape and then the domain's; both take the same."""
    latitude, longitude, accuracy_m = given
    body = {"latitude": latitude, "longitude": longitude, "accuracy_m": accuracy_m}
    try:
        shape = msgspec.convert(body, PositionGiven)
    except msgspec.ValidationError:
        shape = None
    try:
        position = Position(latitude=latitude, longitude=longitude, accuracy_m=accuracy_m)
    except ValueError:
        if shape is not None:
            broken.append(f"{number}: {given} passes the shape and no position can be made of it")
        return None
    return position


def _judge(number: int, address: Position, car: Position, phone: Position, *, is_granted: bool) -> list[str]:
    wrong = []
    if abs(distance_m(car, phone) - distance_m(phone, car)) > 1e-6:
        wrong.append(f"{number}: there and back differ: {car} {phone}")
    if abs(distance_m(car, phone) - chord_m(car, phone)) > SLACK_M:
        wrong.append(
            f"{number}: {distance_m(car, phone)} m, reckoned otherwise {chord_m(car, phone)} m: {car} {phone}"
        )
    reach_m = REACH_M + min(phone.accuracy_m, WORST_ACCURACY_M) + min(car.accuracy_m, WORST_ACCURACY_M)
    is_out = chord_m(car, address) + car.accuracy_m > 200.0 + SLACK_M
    is_far = chord_m(phone, car) > reach_m + SLACK_M
    if is_granted and (is_out or is_far or phone.accuracy_m > WORST_ACCURACY_M):
        wrong.append(
            f"{number}: granted, and it is {'out of range' if is_out else 'too far'}: {address} {car} {phone}"
        )
    return wrong
