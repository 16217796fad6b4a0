"""Is the car parked in range of its address? One rule for the scan, for pre-flight and for what a consignee is shown.

A car knows where it stands only to within its accuracy. It is in range if even the far end of that lies within, and
out of range only if even the near end does not: between the two nobody can tell, and nothing is opened on a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum, auto

from unlatch.domain.access import Position, distance_m
from unlatch.domain.wording import Language

SHOWN_TO_M = 10.0  # a distance is shown in whole tens of metres: nobody parks by the metre


class Parking(StrEnum):
    """Where a car stands, as seen from its address."""

    IN_RANGE = auto()
    OUT_OF_RANGE = auto()
    UNSURE = auto()  # its position is too inaccurate to tell
    UNKNOWN = auto()  # it does not tell where it is, or has not for too long


PARKING_TEXTS: Mapping[Parking, tuple[str, str]] = {
    Parking.IN_RANGE: ("Your car is in range.", "Votre voiture est à portée."),
    Parking.OUT_OF_RANGE: ("Your car is too far away.", "Votre voiture est trop loin."),
    Parking.UNSURE: (
        "Your car can't tell exactly enough where it is.",
        "Votre voiture n'indique pas assez précisément où elle est.",
    ),
    Parking.UNKNOWN: (
        "We don't know where your car is now.",
        "Nous ne savons pas où est votre voiture en ce moment.",
    ),
}


def parking_of(car: Position | None, address: Position, range_m: float) -> Parking:
    """Whether a car that says it is at `car` is parked in range. A distance of exactly `range_m` is in range."""
    if car is None:
        return Parking.UNKNOWN
    away_m = distance_m(car, address)
    if away_m + car.accuracy_m <= range_m:
        return Parking.IN_RANGE
    return Parking.OUT_OF_RANGE if away_m - car.accuracy_m > range_m else Parking.UNSURE


def parking_text(parking: Parking, language: Language) -> str:
    """For the consignee, whose car it is."""
    english, french = PARKING_TEXTS[parking]
    return french if language is Language.FRENCH else english


def shown_distance_m(car: Position | None, address: Position) -> float | None:
    """How far the car is from the address, as it may be shown; None: not known."""
    return None if car is None else round(distance_m(car, address) / SHOWN_TO_M) * SHOWN_TO_M
