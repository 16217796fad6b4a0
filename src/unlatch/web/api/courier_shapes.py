"""What a courier's phone sends and gets."""

from __future__ import annotations

from enum import StrEnum, auto
from typing import Annotated

from msgspec import Meta, Struct

from unlatch.domain.access import Fallback, PlaceKind
from unlatch.domain.booking import Advice, Stage, StopState
from unlatch.domain.home import Form
from unlatch.domain.incident import Incident
from unlatch.domain.photo import NoPhoto, PhotoRule
from unlatch.web.shapes import (
    PRINTABLE,
    Cursor,
    FallbackStep,
    Identifier,
    LabelShape,
    Limit,
    Moment,
    PositionGiven,
    PositionShown,
)

MAX_PHOTO_BYTES = 8_000_000
MAX_BODY_WITH_PHOTO_BYTES = 10_800_000  # base64 of it, and the rest

PhotoGiven = Annotated[
    bytes, Meta(max_length=MAX_PHOTO_BYTES, description="A PNG or JPEG in base64, at most 8 MB of picture")
]
Told = Annotated[str, Meta(max_length=200, pattern=PRINTABLE, examples=["with Mr Noor, no. 14"])]
PhoneTime = Annotated[Moment, Meta(description="By the phone's clock: written down, never believed")]


class CourierStop(Struct, kw_only=True):
    """A stop in the courier's list. Where the car stands is asked for separately, when it is near."""

    id: Identifier
    kind: PlaceKind
    consignee_name: str
    window_from: Moment
    window_until: Moment
    fallback: str
    fallback_plan: Annotated[
        list[FallbackStep], Meta(description="Step after step, if the place is not opened")
    ]
    state: StopState
    stage: Annotated[Stage, Meta(description="See the table of bookings")]
    advice: Annotated[Advice, Meta(description="What to do at this stop now")]
    advice_text: str
    reason: Annotated[Incident | None, Meta(description="Why the fallback is to be taken")]
    reason_text: str | None
    labels: list[str]
    photos: Annotated[PhotoRule, Meta(description="Which photos you have to take here")]


class CourierStops(Struct, kw_only=True):
    """One page of a round."""

    stops: list[CourierStop]
    next: str | None


class StopQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which page."""

    cursor: Cursor | None = None
    limit: Limit = 50


class LocateBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Where the courier is."""

    position: PositionGiven


class DoorShown(Struct, kw_only=True):
    """The door to look for."""

    form: Form
    form_text: Annotated[str, Meta(description="In the courier's language")]
    directions: Annotated[str, Meta(description="As its household wrote them; may be empty")]
    rings_first: Annotated[
        bool, Meta(description="Ring or knock, and wait; false: in its quiet hours too, don't ring")
    ]


class PlaceLocated(Struct, kw_only=True):
    """The car, or the door, to look for. `position` is null where the car has not told it."""

    kind: PlaceKind
    make: Annotated[str | None, Meta(description="Of a car; null: a home")]
    model: str | None
    colour: str | None
    plate: str | None
    door: Annotated[DoorShown | None, Meta(description="Of a home; null: a car")]
    picture_url: str | None
    position: Annotated[PositionShown | None, Meta(description="Of the car; of a home: its address")]
    observed_at: Annotated[Moment | None, Meta(description="When the car itself saw where it was")]
    is_being_read: Annotated[bool, Meta(description="A fresh reading was asked for: ask again in a moment")]


class ScanBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """The parcel's label, typed or scanned or as a photo, and where the courier is."""

    label: LabelShape | None = None
    photo: PhotoGiven | None = None
    position: PositionGiven | None = None
    phone_at: PhoneTime | None = None


class WordBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """When it happened."""

    phone_at: PhoneTime | None = None


class HandedOverBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Someone took the parcel; with a photo, if there is one."""

    photo: PhotoGiven | None = None
    phone_at: PhoneTime | None = None


class PhotoBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """A photo, if there is one; where the stop wants one and there is none, why."""

    photo: PhotoGiven | None = None
    no_photo: Annotated[NoPhoto | None, Meta(description="Why there is none where one is wanted")] = None
    phone_at: PhoneTime | None = None


class CouldNot(StrEnum):
    """Why a courier gives up."""

    CAR_NOT_FOUND = auto()
    DOOR_NOT_FOUND = auto()
    ANIMAL_LOOSE = auto()
    HANDLE_DID_NOT_OPEN = auto()
    PARCEL_DOES_NOT_FIT = auto()
    NO_ROOM_LEFT = auto()
    PARCEL_DAMAGED = auto()
    NOT_SAFE = auto()
    SOMEONE_REFUSED = auto()
    OTHER = auto()


class CouldNotBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """The parcel stays with the courier, and why."""

    reason: CouldNot
    phone_at: PhoneTime | None = None


class FallbackBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Where the parcel is now."""

    done: Annotated[
        Fallback, Meta(description="A step of the stop's plan; the steps before it count as tried")
    ]
    told: Annotated[Told, Meta(description="With whom, or where: needed for neighbour and pickup_point")] = ""
    could_not: Annotated[
        list[Fallback], Meta(max_length=5, description="Steps of the plan before it, tried in vain")
    ] = []
    photo: PhotoGiven | None = None
