"""A home: a door or garage door with a lock that its hub reaches, and what a courier must mind there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from enum import StrEnum, auto

from unlatch.domain.access import Consent
from unlatch.domain.wording import Language

MOST_DIRECTIONS = 500  # characters


class Form(StrEnum):
    """What opens there."""

    DOOR = auto()  # a door with a lock
    GARAGE = auto()  # a garage door, which its drive holds shut


FORM_TEXTS: Mapping[Form, tuple[str, str]] = {
    Form.DOOR: ("A door", "Une porte"),
    Form.GARAGE: ("A garage door", "Une porte de garage"),
}


def form_text(form: Form, language: Language) -> str:
    """What the courier looks for."""
    english, french = FORM_TEXTS[form]
    return french if language is Language.FRENCH else english


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
