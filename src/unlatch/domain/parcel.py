"""A parcel, and the one place where it is.

A parcel is known by its `key`: the normalised number of its label, as `domain.label` reads it
("sscc:340123450000000017", "ups:1Z5R89390357567127"). The key is the same whether the number came from a
barcode, a Digital Link or a courier's keyboard.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, auto

MAX_KEY_LENGTH = 64  # characters; the longest key that a label gives has 31


class ParcelPlace(StrEnum):
    """Each parcel is in exactly one of these at any time (L4 of the visit protocol)."""

    WITH_CARRIER = auto()  # announced, not yet loaded by the courier
    WITH_COURIER = auto()  # on the round
    IN_PLACE = auto()  # delivered into the access point
    HANDED_OVER = auto()  # to someone at the door of the place
    AT_FALLBACK = auto()  # left at the door, with the neighbour or at the pick-up point
    RETURNED = auto()  # back at the depot
    HELD = auto()  # by a person whom an operator has named, until it is settled


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One parcel of a shipment. What the carrier did not tell is None."""

    key: str
    shipment_id: str
    weight_g: int | None = None
    dimensions_mm: tuple[int, int, int] | None = None  # length, width, height
    value_cents: int | None = None  # hundredths of `currency`
    currency: str | None = None  # ISO 4217

    def __post_init__(self) -> None:
        if ":" not in self.key or len(self.key) > MAX_KEY_LENGTH:
            raise ValueError(f"key must be a label's key of at most {MAX_KEY_LENGTH} characters")
        if self.weight_g is not None and self.weight_g <= 0:
            raise ValueError("weight_g must be more than 0 grams")
        if self.dimensions_mm is not None and min(self.dimensions_mm) <= 0:
            raise ValueError("dimensions_mm must each be more than 0 millimetres")
        if self.value_cents is not None and (self.value_cents < 0 or self.currency is None):
            raise ValueError("value_cents must be 0 or more and have a currency")
