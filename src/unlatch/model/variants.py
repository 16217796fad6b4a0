"""The kinds of places that are searched."""

from __future__ import annotations

from unlatch.domain.access import Closure
from unlatch.model.situation import Variant

STRONG = Variant(
    name="a trunk whose lock and lid can be read",
    closure=Closure(reads_lock=True, reads_lid=True),
)
STRONG_WITHOUT_LID = Variant(
    name="a trunk whose lock alone can be read",
    closure=Closure(reads_lock=True, reads_lid=False),
)
WEAK = Variant(
    name="a trunk whose lid alone can be read",
    closure=Closure(reads_lock=False, reads_lid=True),
)
BLIND = Variant(
    name="a trunk that tells nothing",
    closure=Closure(reads_lock=False, reads_lid=False),
)
HOME = Variant(
    name="a home, recorded",
    closure=Closure(reads_lock=True, reads_lid=True),
    is_recorded=True,
)
HOME_THAT_ANSWERS = Variant(
    name="a home, recorded, where the courier rings first",
    closure=Closure(reads_lock=True, reads_lid=True),
    is_recorded=True,
    rings_first=True,
)
VARIANTS = (STRONG, STRONG_WITHOUT_LID, WEAK, BLIND, HOME, HOME_THAT_ANSWERS)
