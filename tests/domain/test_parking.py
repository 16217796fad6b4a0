"""In range, out of range, or nobody can tell: at the edge of it, with every accuracy, all over the Earth."""

from __future__ import annotations

from math import asin, atan2, cos, degrees, pi, radians, sin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlatch.domain.access import EARTH_RADIUS_M, Position
from unlatch.domain.amount import read_length_mm
from unlatch.domain.parking import PARKING_TEXTS, Parking, parking_of, parking_text, shown_distance_m
from unlatch.domain.wording import Language

ADDRESS = Position(latitude=41.88, longitude=-87.63)
IN, OUT, UNSURE = Parking.IN_RANGE, Parking.OUT_OF_RANGE, Parking.UNSURE


def north(metres: float, accuracy_m: float = 0.0) -> Position:
    latitude = ADDRESS.latitude + metres / EARTH_RADIUS_M * 180 / pi
    return Position(latitude=latitude, longitude=ADDRESS.longitude, accuracy_m=accuracy_m)


@pytest.mark.parametrize(
    ("away_m", "accuracy_m", "parking"),
    [
        (199, 0, IN),
        (199, 0.9, IN),
        (199, 1.1, UNSURE),
        (199, 5, UNSURE),
        (199, 100, UNSURE),
        (201, 0, OUT),
        (201, 0.9, OUT),
        (201, 1.1, UNSURE),
        (201, 5, UNSURE),
        (201, 100, UNSURE),
        (194.9, 5, IN),
        (195.1, 5, UNSURE),
        (204.9, 5, UNSURE),
        (205.1, 5, OUT),
        (99.9, 100, IN),
        (100.1, 100, UNSURE),
        (299.9, 100, UNSURE),
        (300.1, 100, OUT),
        (0, 0, IN),
        (0, 200, IN),
        (0, 201, UNSURE),
    ],
)
@pytest.mark.parametrize("range_text", ["200 m", "656.168 ft"])
def test_only_what_is_sure_is_said(
    away_m: float, accuracy_m: float, parking: Parking, range_text: str
) -> None:
    range_m = float(read_length_mm(range_text) / 1000)
    assert parking_of(north(away_m, accuracy_m), ADDRESS, range_m) is parking


@pytest.mark.parametrize(("feet", "parking"), [(652.0, IN), (656.1, IN), (656.3, OUT), (660.0, OUT)])
def test_the_edge_in_feet(feet: float, parking: Parking) -> None:
    """656.168 ft are 200 m."""
    metres = float(read_length_mm(f"{feet} ft") / 1000)
    assert parking_of(north(metres), ADDRESS, 200.0) is parking


def test_a_car_that_does_not_tell_is_unknown() -> None:
    assert parking_of(None, ADDRESS, 200.0) is Parking.UNKNOWN
    assert shown_distance_m(None, ADDRESS) is None


@pytest.mark.parametrize(
    ("address", "car", "parking"),
    [
        # 199 and 201 m along the equator, across the antimeridian
        (Position(latitude=0, longitude=179.9995), Position(latitude=0, longitude=-179.99871), IN),
        (Position(latitude=0, longitude=179.9995), Position(latitude=0, longitude=-179.99869), OUT),
        # over the pole, to the opposite meridian: 2 x 99.5 m and 2 x 100.5 m
        (Position(latitude=89.999105, longitude=10), Position(latitude=89.999105, longitude=-170), IN),
        (Position(latitude=89.999096, longitude=10), Position(latitude=89.999096, longitude=-170), OUT),
        (Position(latitude=-90, longitude=0), Position(latitude=-89.9983, longitude=123), IN),
        (Position(latitude=-90, longitude=0), Position(latitude=-89.9981, longitude=123), OUT),
        (Position(latitude=90, longitude=0), Position(latitude=90, longitude=180), IN),
    ],
)
def test_at_the_antimeridian_and_the_poles(address: Position, car: Position, parking: Parking) -> None:
    assert parking_of(car, address, 200.0) is parking


@given(
    latitude=st.floats(-89.9, 89.9),
    longitude=st.floats(-180, 180),
    bearing=st.floats(0, 2 * pi),
    away_m=st.floats(0, 2000),
    accuracy_m=st.floats(0, 500),
)
def test_it_agrees_with_the_distance_that_was_walked(
    latitude: float, longitude: float, bearing: float, away_m: float, accuracy_m: float
) -> None:
    """The point so far away, found by another formula, is in, out or neither, wherever on Earth that is."""
    angle, start = away_m / EARTH_RADIUS_M, radians(latitude)
    rise = sin(start) * cos(angle) + cos(start) * sin(angle) * cos(bearing)
    there = asin(max(-1.0, min(1.0, rise)))
    turn = sin(bearing) * sin(angle) * cos(start), cos(angle) - sin(start) * sin(there)
    east = (longitude + degrees(atan2(*turn)) + 540) % 360 - 180
    car = Position(latitude=degrees(there), longitude=east, accuracy_m=accuracy_m)
    address = Position(latitude=latitude, longitude=longitude)
    found = parking_of(car, address, 200.0)
    slack_m = 0.01
    if away_m + accuracy_m < 200 - slack_m:
        assert found is IN
    elif away_m - accuracy_m > 200 + slack_m:
        assert found is OUT
    elif away_m + accuracy_m > 200 + slack_m and away_m - accuracy_m < 200 - slack_m:
        assert found is UNSURE


def test_a_distance_is_shown_in_tens() -> None:
    assert shown_distance_m(north(204), ADDRESS) == 200.0
    assert shown_distance_m(north(206), ADDRESS) == 210.0


def test_each_has_its_text_in_both_languages() -> None:
    assert set(PARKING_TEXTS) == set(Parking)
    texts = [parking_text(parking, language) for parking in Parking for language in Language]
    assert len(set(texts)) == len(texts)
    assert all(texts)
