"""The small town that the demo shows: its streets, its homes, and ways along them. Pure.

The map counts metres to the east and to the north of its south-western corner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import atan2, cos, degrees, hypot, radians

from unlatch.domain.access import EARTH_RADIUS_M, Position

WIDTH_M, HEIGHT_M = 540.0, 340.0
AVENUES_M = (30.0, 150.0, 270.0, 390.0, 510.0)  # from south to north: how far east each lies
STREETS_M = (20.0, 120.0, 220.0, 320.0)  # from west to east: how far north
STREET_NAMES = ("Mill Street", "Elm Street", "Oak Street", "Hill Street")
CORNER = Position(latitude=33.7475, longitude=-84.3905, accuracy_m=5)
METRES_A_DEGREE = radians(1) * EARTH_RADIUS_M
METRES_A_DEGREE_EAST = METRES_A_DEGREE * cos(radians(CORNER.latitude))

LANE_M = 5.0  # from the middle of a road to where its right lane is driven, and cars park

Point = tuple[float, float]  # metres east and north of the corner

# Where a home stands, and what it is called there. Ann's is the one that is delivered to.
OWN_HOME = "elm-3"
HOMES: Mapping[str, tuple[str, Point]] = {
    OWN_HOME: ("Ann Lee, 3 Elm Street", (348, 148)),
    "elm-8": ("8 Elm Street", (118, 152)),
    "oak-2": ("2 Oak Street", (455, 246)),
    "oak-5": ("5 Oak Street", (210, 246)),
    "oak-9": ("9 Oak Street", (82, 194)),
    "mill-1": ("1 Mill Street", (210, 46)),
    "mill-6": ("6 Mill Street", (450, 46)),
}
OWN_DOOR: Point = (348, 130)  # where one stands before it
COURIERS_ROUND: Sequence[Point] = ((150, 120), (150, 220), (270, 220), (270, 120))
OTHER_ROUND: Sequence[Point] = ((390, 20), (390, 220), (510, 220), (510, 20))
OTHER_COURIER = "Kim"


def locate(point: Point) -> Position:
    """Where a point of the map lies on the Earth."""
    east, north = point
    return Position(
        latitude=CORNER.latitude + north / METRES_A_DEGREE,
        longitude=CORNER.longitude + east / METRES_A_DEGREE_EAST,
        accuracy_m=CORNER.accuracy_m,
    )


def draw(position: Position) -> Point:
    """The same the other way round."""
    return (
        (position.longitude - CORNER.longitude) * METRES_A_DEGREE_EAST,
        (position.latitude - CORNER.latitude) * METRES_A_DEGREE,
    )


@dataclass(frozen=True, slots=True)
class Way:
    """From point to point. A round comes back to its first."""

    points: Sequence[Position]
    is_round: bool = False

    @property
    def legs(self) -> list[tuple[Point, Point, float]]:
        """From where to where, and how long: metres. What has no length is left out."""
        points = [draw(one) for one in (*self.points, *(self.points[:1] if self.is_round else ()))]
        legs = [(one, other, hypot(other[0] - one[0], other[1] - one[1])) for one, other in pairwise(points)]
        return [leg for leg in legs if leg[2] > 0]

    @property
    def length_m(self) -> float:
        return sum(length_m for _, _, length_m in self.legs)

    def find(self, run_m: float) -> tuple[Position, float]:
        """Where one is after so many metres, and where one looks: degrees from the north, clockwise.

        A round is run again and again; any other way ends at its last point.
        """
        legs, heading_degrees = self.legs, 0.0
        if not legs:
            return self.points[-1], heading_degrees
        left_m = run_m % self.length_m if self.is_round else run_m
        for (east, north), (to_east, to_north), length_m in legs:
            heading_degrees = degrees(atan2(to_east - east, to_north - north)) % 360
            if left_m < length_m:
                part = left_m / length_m
                point = (east + part * (to_east - east), north + part * (to_north - north))
                return locate(point), heading_degrees
            left_m -= length_m
        return self.points[0 if self.is_round else -1], heading_degrees


def walk(begin: Position, end: Position) -> Way:
    """Along streets and at most one avenue."""
    (east, north), (to_east, to_north) = draw(begin), draw(end)
    street, to_street = _nearest(STREETS_M, north), _nearest(STREETS_M, to_north)
    avenue = _nearest(AVENUES_M, to_east) if street != to_street else to_east
    corners = ((east, street), (avenue, street), (avenue, to_street), (to_east, to_street))
    return Way((begin, *map(locate, corners), end))


def drive_round(begin: float, west: float, south: float, east: float, north: float) -> list[Point]:
    """The right lane around these roads, anticlockwise, from so far east on the southern one."""
    west, south, east, north = west - LANE_M, south - LANE_M, east + LANE_M, north + LANE_M
    return [(begin, south), (east, south), (east, north), (west, north), (west, south)]


def _nearest(lines_m: Sequence[float], to_m: float) -> float:
    return min(lines_m, key=lambda line_m: abs(line_m - to_m))
