"""Where and when: distances over the whole Earth, and the consent with its hours."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from math import pi

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlatch.domain.access import EARTH_RADIUS_M, Consent, Position, distance_m

NOW = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)
HALF_ROUND_M = pi * EARTH_RADIUS_M
ONE_DEGREE_M = HALF_ROUND_M / 180

positions = st.builds(Position, latitude=st.floats(-90, 90), longitude=st.floats(-180, 180))


def at(latitude: float, longitude: float) -> Position:
    return Position(latitude=latitude, longitude=longitude)


@pytest.mark.parametrize(
    ("one", "other", "metres"),
    [
        (at(0, 0), at(0, 1), ONE_DEGREE_M),
        (at(0, 0), at(1, 0), ONE_DEGREE_M),
        (at(60, 0), at(60, 0.001), ONE_DEGREE_M * 0.001 / 2),
        (at(0, 179.9995), at(0, -179.9995), ONE_DEGREE_M * 0.001),  # across the antimeridian
        (at(41, 180), at(41, -180), 0),
        (at(90, 0), at(90, 135), 0),  # the pole is one point
        (at(-90, 12), at(-90, -170), 0),
        (at(89.9995, 0), at(89.9995, 180), ONE_DEGREE_M * 0.001),  # over the pole
        (at(90, 0), at(-90, 0), HALF_ROUND_M),
        (at(0, 0), at(0, 180), HALF_ROUND_M),
    ],
)
def test_distances_that_can_be_told_by_hand(one: Position, other: Position, metres: float) -> None:
    assert distance_m(one, other) == pytest.approx(metres, abs=0.001, rel=1e-9)


def test_a_known_pair_of_cities() -> None:
    """Chicago to Boston, by the great circle: 1,367 km."""
    assert distance_m(at(41.8781, -87.6298), at(42.3601, -71.0589)) == pytest.approx(1_366_000, rel=0.005)


@given(positions, positions)
def test_distance_is_the_same_both_ways_and_at_most_half_round(one: Position, other: Position) -> None:
    there = distance_m(one, other)
    assert there == pytest.approx(distance_m(other, one), abs=1e-6)
    assert 0 <= there <= HALF_ROUND_M * (1 + 1e-12)
    assert distance_m(one, one) == 0


@given(positions, positions, positions)
def test_no_detour_is_shorter(one: Position, other: Position, third: Position) -> None:
    """Close to half round the Earth the haversine is sure to a few metres only."""
    assert distance_m(one, other) <= distance_m(one, third) + distance_m(third, other) + 5


@pytest.mark.parametrize(
    ("latitude", "longitude", "accuracy_m"),
    [(90.1, 0, 0), (-90.1, 0, 0), (0, 180.1, 0), (0, -180.1, 0), (0, 0, -1), (0, 0, EARTH_RADIUS_M),
     (float("nan"), 0, 0), (0, float("inf"), 0), (0, 0, float("nan"))],
)  # fmt: skip
def test_a_place_that_does_not_exist_is_no_position(
    latitude: float, longitude: float, accuracy_m: float
) -> None:
    with pytest.raises(ValueError, match="must"):
        Position(latitude=latitude, longitude=longitude, accuracy_m=accuracy_m)


@pytest.mark.parametrize(
    ("consent", "is_alive"),
    [
        (Consent(is_given=True), True),
        (Consent(is_given=False), False),
        (Consent(is_given=True, blocked_at=NOW + timedelta(days=1)), False),  # blocked is blocked, whenever
        (Consent(is_given=True, blocked_at=NOW - timedelta(days=400)), False),
        (Consent(is_given=True, ends_at=NOW + timedelta(microseconds=1)), True),
        (Consent(is_given=True, ends_at=NOW), False),
    ],
)
def test_consent_lives_until_its_end_or_a_block(consent: Consent, is_alive: bool) -> None:
    assert consent.is_alive(NOW) is is_alive


@pytest.mark.parametrize(
    ("begin", "end", "local", "has_hour"),
    [
        (None, None, time(3), True),
        (time(8), None, time(3), True),
        (time(8), time(18), time(8), True),
        (time(8), time(18), time(17, 59, 59, 999_999), True),
        (time(8), time(18), time(18), False),
        (time(8), time(18), time(7, 59, 59, 999_999), False),
        (time(22), time(6), time(22), True),  # across midnight
        (time(22), time(6), time(23, 59, 59, 999_999), True),
        (time(22), time(6), time(0), True),
        (time(22), time(6), time(5, 59, 59), True),
        (time(22), time(6), time(6), False),
        (time(22), time(6), time(21, 59, 59), False),
        (time(0), time(0), time(0), False),  # no hour at all
        (time(0), time(0), time(12), False),
    ],
)
def test_the_daily_hours(begin: time | None, end: time | None, local: time, has_hour: bool) -> None:
    assert Consent(is_given=True, from_local=begin, until_local=end).has_hour(local) is has_hour


@given(st.times(), st.times(), st.times())
def test_hours_and_the_hours_turned_round_share_the_day(begin: time, end: time, local: time) -> None:
    one = Consent(is_given=True, from_local=begin, until_local=end)
    other = Consent(is_given=True, from_local=end, until_local=begin)
    if begin != end:
        assert one.has_hour(local) is not other.has_hour(local)
