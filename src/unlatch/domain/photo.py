"""Which photos a programme wants of a courier, and why one may be missing.

A photo is never what a lock waits for: *closed* is taken without one and locks, and the photo is asked for after it.
*Deposited* is not taken without the photo that is wanted, but with a reason why there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum, auto
from types import MappingProxyType

from unlatch.domain.visit import Fact


class PhotoRule(StrEnum):
    """What a programme wants. A courier may take either photo in any case."""

    NONE = auto()
    DEPOSIT = auto()  # of the parcel inside
    DEPOSIT_AND_CLOSED = auto()  # and of what was closed


class NoPhoto(StrEnum):
    """Why a courier has none."""

    CAMERA_BROKEN = auto()
    TOO_DARK = auto()
    NOT_SAFE = auto()
    SOMEONE_REFUSED = auto()
    OTHER = auto()


_WANTED_BY: Mapping[Fact, frozenset[PhotoRule]] = MappingProxyType(
    {
        Fact.COURIER_DEPOSITED: frozenset({PhotoRule.DEPOSIT, PhotoRule.DEPOSIT_AND_CLOSED}),
        Fact.COURIER_CLOSED: frozenset({PhotoRule.DEPOSIT_AND_CLOSED}),
    }
)


def is_photo_wanted(rule: PhotoRule, word: Fact) -> bool:
    """Whether this word of the courier is to come with a photo."""
    return rule in _WANTED_BY.get(word, ())
