"""The shapes that several endpoints share, each with its limits; OpenAPI prints them as they stand here."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from unlatch.domain.access import Fallback, Position
from unlatch.domain.fallback import plan_of, step_text
from unlatch.domain.parcel import ParcelPlace
from unlatch.domain.wording import Language as Words
from unlatch.store.stops import ParcelRow, StopRow, StopState

# No control character: none is part of a name, and PostgreSQL can't keep a NUL.
PRINTABLE = r"^[^\u0000-\u001f\u007f]*$"

Identifier = Annotated[
    str,
    Meta(
        pattern=r"^[a-z]{2,12}_[0-9a-z_]{1,48}$",
        max_length=64,
        examples=["stp_019ab2f4c1d27a3b8e4f5061728394a5"],
    ),
]
Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=PRINTABLE)]
Word = Annotated[str, Meta(min_length=1, max_length=40, pattern=PRINTABLE)]
Secret = Annotated[str, Meta(min_length=1, max_length=4096)]
Moment = Annotated[
    datetime,
    Meta(tz=True, description="RFC 3339, with an offset", examples=["2026-11-23T09:00:00Z"]),
]
Language = Literal["en", "fr"]
Cursor = Annotated[
    str, Meta(max_length=200, pattern=r"^[0-9A-Za-z_:.|+-]*$", description="`next` of the page before")
]
Limit = Annotated[int, Meta(ge=1, le=100, description="At most so many on one page")]


class PositionGiven(Struct, kw_only=True, forbid_unknown_fields=True):
    """A point on the Earth (WGS 84) and the radius it is sure within."""

    latitude: Annotated[float, Meta(ge=-90, le=90, description="Degrees", examples=[47.6205])]
    longitude: Annotated[float, Meta(ge=-180, le=180, description="Degrees", examples=[-122.3493])]
    accuracy_m: Annotated[
        float, Meta(ge=0, le=100_000, description="Metres: where it may be wrong by", examples=[8.0])
    ] = 0.0

    def position(self) -> Position:
        """As the domain knows it."""
        return Position(latitude=self.latitude, longitude=self.longitude, accuracy_m=self.accuracy_m)


class PositionShown(Struct, kw_only=True):
    """A point on the Earth (WGS 84)."""

    latitude: float
    longitude: float
    accuracy_m: float | None = None


class LabelShape(Struct, kw_only=True, forbid_unknown_fields=True):
    """A parcel's label: typed, or as a scanner read it."""

    text: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=512,
            description="The number under the barcode, or what the scanner gave, FNC1 as U+001D",
            examples=["(00)340123450000000017", "1Z5R89390357567127"],
        ),
    ]
    symbology_identifier: (
        Annotated[
            str,
            Meta(
                pattern=r"^\][A-Za-z][0-9A-Za-z]$",
                max_length=3,
                description="ISO/IEC 15424, of a scanner that gives it",
                examples=["]C1"],
            ),
        ]
        | None
    ) = None


class ParcelShown(Struct, kw_only=True):
    """A parcel, and the one place where it is."""

    id: Identifier
    label: Annotated[str, Meta(description="As we read it", examples=["sscc:340123450000000017"])]
    place: ParcelPlace
    stop_id: Identifier | None


class FallbackStep(Struct, kw_only=True):
    """One step of a stop's fallback."""

    fallback: Fallback
    text: Annotated[str, Meta(description="What the courier does, in the reader's language")]


class StopShown(Struct, kw_only=True):
    """A stop of a courier's round."""

    id: Identifier
    courier_id: Annotated[Identifier | None, Meta(description="Null: booked, not on a round yet")]
    access_point_id: Identifier
    shipment_id: Identifier
    window_from: Moment
    window_until: Moment
    expected_at: Annotated[
        Moment | None, Meta(description="When the courier is expected; null: as the window begins")
    ]
    fallback: Annotated[str, Meta(description="The first of its plan")]
    later_fallbacks: Annotated[list[str], Meta(description="The rest of its plan, in order")]
    programme: Annotated[str | None, Meta(description="By which the place was offered")]
    rules_version: str | None
    state: StopState
    parcels: list[ParcelShown]
    created_at: Moment


def show_parcel(row: ParcelRow) -> ParcelShown:
    """The parcel of a row."""
    return ParcelShown(id=row.id, label=row.label_key, place=ParcelPlace(row.place), stop_id=row.stop_id)


def show_plan(row: StopRow, language: str) -> list[FallbackStep]:
    """The fallback of a stop: its steps in order, worded."""
    plan = plan_of(row.fallback, row.later_fallbacks, tries=row.tries)
    return [FallbackStep(fallback=step, text=step_text(step, Words(language))) for step in plan]


def show_stop(row: StopRow, parcels: list[ParcelRow]) -> StopShown:
    """The stop of a row."""
    return StopShown(
        id=row.id,
        courier_id=row.courier_id,
        access_point_id=row.access_point_id,
        shipment_id=row.shipment_id,
        window_from=row.window_from,
        window_until=row.window_until,
        expected_at=row.expected_at,
        fallback=row.fallback,
        later_fallbacks=row.later_fallbacks,
        programme=row.programme,
        rules_version=row.rules_version,
        state=StopState(row.state),
        parcels=[show_parcel(parcel) for parcel in parcels],
        created_at=row.created_at,
    )


def say_language(accepted: str | None, usual: str = "en") -> Language:
    """The language of ours that a reader prefers (RFC 9110, 12.5.4); the usual one where none fits."""
    best, best_weight = usual, 0.0
    for part in (accepted or "")[:200].split(","):
        tag, _, parameters = part.strip().partition(";")
        language = tag.strip().lower().partition("-")[0]
        weight_text = parameters.strip().removeprefix("q=").strip() or "1"
        try:
            weight = float(weight_text)
        except ValueError:
            continue
        if language in ("en", "fr") and best_weight < weight <= 1:
            best, best_weight = language, weight
    return "fr" if best == "fr" else "en"
