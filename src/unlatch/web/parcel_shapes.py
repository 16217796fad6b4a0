"""What a parcel is, as it is told and shown: in metric or imperial units in, in grams and millimetres out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from msgspec import Meta, Struct

from unlatch.domain.amount import read_box_mm, read_money, read_weight_g
from unlatch.domain.eligibility import ParcelDescription
from unlatch.store.stops import ParcelRow
from unlatch.web.problems import bad_input
from unlatch.web.shapes import ParcelShown, show_parcel

Amount = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[0-9A-Za-z.\u00d7 ]+$")]
Value = TypeVar("Value")


class ParcelAsked(Struct, kw_only=True, forbid_unknown_fields=True):
    """A parcel, measured in metric or imperial units. What is left out is not known."""

    weight: Annotated[Amount, Meta(examples=["12.5 lb", "5.7 kg"])] | None = None
    dimensions: Annotated[Amount, Meta(examples=["26 x 21 x 16 in"])] | None = None
    value: Annotated[Amount, Meta(examples=["49.90 USD"])] | None = None
    needs_signature: bool | None = None
    is_sold_by_merchant: bool | None = None
    is_dangerous: bool | None = None


class ParcelAnnounced(ParcelShown, kw_only=True):
    """A parcel with what was told of it; null: not told."""

    weight_g: Annotated[float | None, Meta(description="Kept exactly, shown to 15 digits")]
    dimensions_mm: list[float] | None
    value: Annotated[str | None, Meta(examples=["49.90 USD"])]
    needs_signature: bool | None
    is_sold_by_merchant: bool | None
    is_dangerous: bool | None


def read_parcel(given: ParcelAsked, field: str) -> ParcelDescription:
    """The parcel that is described in this field. Raises ProblemError naming what can't be read."""
    value = _read(f"{field}.value", given.value, read_money)
    return ParcelDescription(
        weight_g=_read(f"{field}.weight", given.weight, read_weight_g),
        sides_mm=_read(f"{field}.dimensions", given.dimensions, read_box_mm),
        value_cents=value[0] if value else None,
        currency=value[1] if value else None,
        needs_signature=given.needs_signature,
        is_sold_by_merchant=given.is_sold_by_merchant,
        is_dangerous=given.is_dangerous,
    )


def _read(field: str, text: str | None, read: Callable[[str], Value]) -> Value | None:
    try:
        return None if text is None else read(text)
    except ValueError as error:
        raise bad_input(field, str(error)) from None


def show_announced(row: ParcelRow) -> ParcelAnnounced:
    """The parcel of a row, for its carrier."""
    shown = show_parcel(row)
    cents = row.value_cents
    return ParcelAnnounced(
        id=shown.id,
        label=shown.label,
        place=shown.place,
        stop_id=shown.stop_id,
        weight_g=None if row.weight_g is None else float(row.weight_g),
        dimensions_mm=None if row.sides_mm is None else [float(side) for side in row.sides_mm],
        value=None if cents is None else f"{cents // 100}.{cents % 100:02} {row.currency}",
        needs_signature=row.needs_signature,
        is_sold_by_merchant=row.is_sold_by_merchant,
        is_dangerous=row.is_dangerous,
    )
