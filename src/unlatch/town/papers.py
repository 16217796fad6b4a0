"""Numbers that look real and are good: of vehicles and of parcels."""

from __future__ import annotations

import random

_VIN_VALUES = dict(
    zip("ABCDEFGHJKLMNPRSTUVWXYZ0123456789", map(int, "123456781234579234567890123456789"), strict=True)
)  # ISO 3779
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def make_vin(front: str, lot: random.Random, *, year_letter: str = "J") -> str:
    """A vehicle identification number with a good check digit; `front` is its first eight characters.

    `year_letter` J is model year 2018, E is 2014.
    """
    text = f"{front}0{year_letter}{lot.choice('ABCDEFGH')}{lot.randrange(1_000_000):06d}"
    total = sum(_VIN_VALUES[letter] * weight for letter, weight in zip(text, _VIN_WEIGHTS, strict=True))
    digit = "0123456789X"[total % 11]
    return text[:8] + digit + text[9:]


def make_sscc(lot: random.Random) -> str:
    """A serial shipping container code with a good check digit."""
    digits = f"3401234{lot.randrange(10**10):010d}"
    total = sum(int(digit) * (3 if at % 2 == 0 else 1) for at, digit in enumerate(reversed(digits)))
    return digits + str(-total % 10)
