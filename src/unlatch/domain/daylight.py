"""Whether the sun is up at a place: what moves in a picture shows that it lives by day alone.

By the low-precision formulas of the Astronomical Almanac, to a hundredth of a degree for this century, without
refraction.
"""

from __future__ import annotations

from datetime import UTC, datetime
from math import asin, atan2, cos, degrees, radians, sin

J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)


def sun_elevation_deg(latitude: float, longitude: float, at: datetime) -> float:
    """How high the sun's middle stands over the horizon, degrees; below 0: it is down."""
    days = (at - J2000).total_seconds() / 86_400
    mean_anomaly = radians((357.528 + 0.9856003 * days) % 360)
    mean_longitude = (280.460 + 0.9856474 * days) % 360
    ecliptic = radians(mean_longitude + 1.915 * sin(mean_anomaly) + 0.020 * sin(2 * mean_anomaly))
    obliquity = radians(23.439 - 0.0000004 * days)
    declination = asin(sin(obliquity) * sin(ecliptic))
    ascension = degrees(atan2(cos(obliquity) * sin(ecliptic), cos(ecliptic)))
    sidereal = (280.46061837 + 360.98564736629 * days) % 360
    hour_angle = radians(sidereal + longitude - ascension)
    height = sin(radians(latitude)) * sin(declination)
    height += cos(radians(latitude)) * cos(declination) * cos(hour_angle)
    return degrees(asin(max(-1.0, min(1.0, height))))


def is_day(latitude: float, longitude: float, at: datetime) -> bool:
    """Whether the sun is up there."""
    return sun_elevation_deg(latitude, longitude, at) > 0
