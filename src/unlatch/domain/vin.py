"""What a vehicle identification number (VIN) tells: its maker, its possible model years, whether it is well formed.

The check digit binds in North America alone (49 CFR 565); elsewhere its place holds anything, so it is not asked. A
car built elsewhere for that market bears one too, but its VIN does not say for which market it was built.

The year's letter comes again every 30 years. In North America the seventh place tells which turn it is: a letter
since model year 2010, a digit before (binding up to 10,000 lb, as all cars here are). Elsewhere both turns stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, auto

from vininfo import Vin
from vininfo.common import UnsupportedBrand
from vininfo.exceptions import ValidationError

VIN_CHARACTERS = 17
YEAR_LETTERS = "ABCDEFGHJKLMNPRSTVWXY123456789"
FIRST_YEAR = 1980
SECOND_TURN_YEAR = FIRST_YEAR + len(YEAR_LETTERS)
_NORTH_AMERICA = frozenset("12345")
_SEVENTH = "FGHJKLMNPRSTUVWXYZ0123456789"  # after the 7: United States (ISO 3780); 7A to 7E is New Zealand


class VinFault(StrEnum):
    """What is wrong with a VIN."""

    NOT_WELL_FORMED = auto()  # not 17 of the letters and digits that there are
    CHECK_DIGIT_WRONG = auto()  # in North America: surely a typing error


@dataclass(frozen=True, slots=True, kw_only=True)
class VinReading:
    """What the number alone tells. Of one that is not well formed, nothing."""

    fault: VinFault | None
    maker: str | None = None  # as vininfo calls it; None: not in its list
    years: tuple[int, ...] = ()  # the possible model years, oldest first; none: its place holds no year
    is_north_american: bool = False


def read_vin(text: str) -> VinReading:
    """Read a VIN; spaces around it and small letters are forgiven. Makes no request and never raises."""
    vin = text.strip().upper()
    if len(vin) != VIN_CHARACTERS or not vin.isascii():
        return VinReading(fault=VinFault.NOT_WELL_FORMED)
    try:
        read = Vin(vin)
    except ValidationError:
        return VinReading(fault=VinFault.NOT_WELL_FORMED)
    is_north_american = vin[0] in _NORTH_AMERICA or (vin[0] == "7" and vin[1] in _SEVENTH)
    is_wrong = is_north_american and not read.verify_checksum(check_year=False)
    is_known = not isinstance(read.assembler, UnsupportedBrand)
    return VinReading(
        fault=VinFault.CHECK_DIGIT_WRONG if is_wrong else None,
        maker=str(read.manufacturer) if is_known else None,
        years=_find_years(vin, is_north_american=is_north_american),
        is_north_american=is_north_american,
    )


def _find_years(vin: str, *, is_north_american: bool) -> tuple[int, ...]:
    """The model years that the tenth place may mean, up to 2039."""
    turn = YEAR_LETTERS.find(vin[9])
    if turn < 0:
        return ()
    first, second = FIRST_YEAR + turn, SECOND_TURN_YEAR + turn
    if not is_north_american:
        return first, second
    return (first,) if vin[6].isdigit() else (second,)
