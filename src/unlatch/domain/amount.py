"""Weights, lengths, durations, times of day and money as people write them: "50 lb", "26 x 21 x 16 in", "1300.00 USD".

Read exactly: a pound is 453.59237 g and an inch 25.4 mm, so that 50 lb is at most 50 lb and 22,680 g is more.
A text that can't be read raises ValueError with the remedy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import time
from decimal import Decimal

Exact = Decimal | int

GRAMS: Mapping[str, Decimal] = {
    "g": Decimal(1),
    "kg": Decimal(1000),
    "oz": Decimal("28.349523125"),
    "lb": Decimal("453.59237"),
}
MILLIMETRES: Mapping[str, Decimal] = {
    "mm": Decimal(1),
    "cm": Decimal(10),
    "m": Decimal(1000),
    "in": Decimal("25.4"),
    "ft": Decimal("304.8"),
}
SECONDS: Mapping[str, Decimal] = {"s": Decimal(1), "min": Decimal(60), "h": Decimal(3600)}
MAX_CHARACTERS = 60
MAX_NUMBER = Decimal(1_000_000_000)
CENTS = 2  # decimals of money

_NUMBER = r"\d{1,10}(?:\.\d{1,6})?"
_WITH_UNIT = re.compile(rf"({_NUMBER}) ?([A-Za-z]{{1,3}})", re.ASCII)
_BOX = re.compile(
    rf"({_NUMBER}) ?[x\u00d7] ?({_NUMBER}) ?[x\u00d7] ?({_NUMBER}) ?([A-Za-z]{{1,3}})", re.ASCII
)
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)


def _read(text: str, pattern: re.Pattern[str], example: str) -> tuple[str, ...]:
    found = pattern.fullmatch(text.strip()) if len(text) <= MAX_CHARACTERS else None
    if found is None:
        raise ValueError(f'write it like "{example}"')
    return found.groups()


def _scale(number: str, unit: str, units: Mapping[str, Decimal]) -> Decimal:
    if unit not in units:
        raise ValueError(f"the unit must be one of {', '.join(units)}")
    amount = Decimal(number)
    if amount > MAX_NUMBER:
        raise ValueError(f"the number must be at most {MAX_NUMBER}")
    return amount * units[unit]


def read_weight_g(text: str) -> Decimal:
    """Grams, exactly."""
    number, unit = _read(text, _WITH_UNIT, "50 lb")
    return _scale(number, unit, GRAMS)


def read_length_mm(text: str) -> Decimal:
    """Millimetres, exactly."""
    number, unit = _read(text, _WITH_UNIT, "200 m")
    return _scale(number, unit, MILLIMETRES)


def read_box_mm(text: str) -> tuple[Decimal, Decimal, Decimal]:
    """Three sides in millimetres, exactly, in the order in which they were written."""
    first, second, third, unit = _read(text, _BOX, "26 x 21 x 16 in")
    return (
        _scale(first, unit, MILLIMETRES),
        _scale(second, unit, MILLIMETRES),
        _scale(third, unit, MILLIMETRES),
    )


def read_duration_s(text: str) -> Decimal:
    """Seconds."""
    number, unit = _read(text, _WITH_UNIT, "4 h")
    return _scale(number, unit, SECONDS)


def read_time_of_day(text: str) -> time:
    """Hours and minutes of a clock: "08:00"."""
    (hours, minutes) = _read(text, _CLOCK, "08:00")
    return time(int(hours), int(minutes))


def read_money(text: str) -> tuple[int, str]:
    """Hundredths of the currency, and its code of three letters (ISO 4217)."""
    number, currency = _read(text, _WITH_UNIT, "1300.00 USD")
    cents = Decimal(number).scaleb(CENTS)
    if cents != cents.to_integral_value() or not re.fullmatch(r"[A-Z]{3}", currency):
        raise ValueError('write it like "1300.00 USD", with two decimals at most')
    return int(cents), currency
