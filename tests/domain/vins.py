"""VINs made for tests, by a check digit of our own reckoning (49 CFR 565.15, table III)."""

from __future__ import annotations

_VALUES = {
    **{str(digit): digit for digit in range(10)},
    **dict(zip("ABCDEFGH", range(1, 9), strict=True)),
    **dict(zip("JKLMN", range(1, 6), strict=True)),
    "P": 7,
    "R": 9,
    **dict(zip("STUVWXYZ", range(2, 10), strict=True)),
}  # fmt: skip
_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def check_digit(vin: str) -> str:
    rest = sum(_VALUES[letter] * weight for letter, weight in zip(vin, _WEIGHTS, strict=True)) % 11
    return "X" if rest == 10 else str(rest)


def make_vin(start: str, year_letter: str, *, seventh: str = "A", serial: int = 100_001) -> str:
    """A VIN of this maker's code (three places) and year, with the right check digit."""
    draft = f"{start}BC5{seventh}T0{year_letter}F{serial:06d}"
    return draft[:8] + check_digit(draft) + draft[9:]


def break_check_digit(vin: str) -> str:
    """The same with a wrong check digit."""
    return vin[:8] + ("0" if vin[8] != "0" else "1") + vin[9:]
