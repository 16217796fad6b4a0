"""Where a postcode is. ZIP codes of the United States alone, from the package `zipcodes`.

The position is the middle of the postcode's area: at an area's border the address itself may lie on the other side,
so a position is better where there is one.
"""

from __future__ import annotations

import re
from functools import lru_cache

import zipcodes

from unlatch.domain.access import Position

COUNTRY = "US"
_ZIP = re.compile(r"(\d{5})(?:-\d{4})?", re.ASCII)


def find_position(country: str, postcode: str) -> Position | None:
    """The middle of that postcode; None where it is not known. The first question of a process takes long."""
    found = _ZIP.fullmatch(postcode.strip())
    return _find_zip(found[1]) if country == COUNTRY and found is not None else None


@lru_cache(maxsize=4096)
def _find_zip(code: str) -> Position | None:
    for row in zipcodes.matching(code):
        latitude, longitude = float(row["lat"] or 0), float(row["long"] or 0)
        if (latitude, longitude) != (0.0, 0.0):  # a field post office has no place
            return Position(latitude=latitude, longitude=longitude)
    return None
