"""A home: a door or garage door with a lock that its hub reaches, and what a courier must mind there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time
from enum import StrEnum, auto

from unlatch.domain.access import Consent

MOST_DIRECTIONS = 500  # characters


class Form(StrEnum):
    """What opens there."""

    DOOR = auto()  # a door with a lock
    GARAGE = auto()  # a garage door, which its drive holds shut


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeSettings:
    """What its household says of it. Any of them may change it at any time."""

    form: Form
    rings_first: bool = True  # the courier rings or knocks, and waits, before anything opens
    quiet_from: time | None = (
        None  # daily hours by the address's clock in which nobody rings; both or neither
    )
    quiet_until: time | None = None
    is_pet_loose: bool = False  # an animal could run out: nothing is opened
    directions: str = ""  # how to find the door: shown to the courier near it, in the window

    def is_quiet(self, local: time) -> bool:
        """Whether nobody rings at this time of the day; the hours may run across midnight."""
        if self.quiet_from is None:
            return False
        hours = Consent(is_given=True, from_local=self.quiet_from, until_local=self.quiet_until)
        return hours.has_hour(local)
