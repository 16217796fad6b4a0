"""The kinds of places that are searched."""

from __future__ import annotations

import os

from tests.simulation.situation import Variant

from unlatch.domain.access import Closure

MOST_READINGS = int(os.environ.get("CHECK_READINGS", "1"))  # on their way at once; 2 takes minutes

STRONG = Variant(
    name="a trunk whose lock and lid can be read",
    closure=Closure(reads_lock=True, reads_lid=True),
    most_readings=MOST_READINGS,
)
STRONG_WITHOUT_LID = Variant(
    name="a trunk whose lock alone can be read",
    closure=Closure(reads_lock=True, reads_lid=False),
    most_readings=MOST_READINGS,
)
WEAK = Variant(
    name="a trunk whose lid alone can be read",
    closure=Closure(reads_lock=False, reads_lid=True),
    most_readings=MOST_READINGS,
)
BLIND = Variant(
    name="a trunk that tells nothing",
    closure=Closure(reads_lock=False, reads_lid=False),
    most_readings=MOST_READINGS,
)
HOME = Variant(
    name="a home, recorded",
    closure=Closure(reads_lock=True, reads_lid=True),
    is_recorded=True,
    most_readings=MOST_READINGS,
)
HOME_THAT_ANSWERS = Variant(
    name="a home, recorded, where the courier rings first",
    closure=Closure(reads_lock=True, reads_lid=True),
    is_recorded=True,
    rings_first=True,
    most_readings=MOST_READINGS,
)
VARIANTS = (STRONG, STRONG_WITHOUT_LID, WEAK, BLIND, HOME, HOME_THAT_ANSWERS)
