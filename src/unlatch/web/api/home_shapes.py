"""What is sent and shown of homes and their cameras."""

from __future__ import annotations

from datetime import datetime, time
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from unlatch.domain.access import Assurance
from unlatch.domain.home import MOST_DIRECTIONS, Form, HomeSettings
from unlatch.flow.homes import CameraGiven, HomeGiven, HomeView
from unlatch.store.cameras import MOST_CAMERAS, CameraRow
from unlatch.web.shapes import Identifier, Moment, Name, PositionGiven, Secret, Word

MULTI_LINE = r"^[^\u0000-\u0009\u000b-\u001f\u007f]*$"  # line breaks alone

Hour = Annotated[time, Meta(tz=False, examples=["21:00:00"])]
Directions = Annotated[
    str,
    Meta(
        max_length=MOST_DIRECTIONS,
        pattern=MULTI_LINE,
        description="How to find the door: shown to the courier near it, in the window alone",
        examples=["The green door behind the fountain"],
    ),
]
HomePicture = Annotated[str, Meta(max_length=500, pattern=r"^https://[!-~]+$", description="Of the door")]
Entity = Annotated[
    str,
    Meta(min_length=1, max_length=200, description="Of the door, at its hub", examples=["lock.front_door"]),
]
HubSecrets = Annotated[
    dict[Word, Secret],
    Meta(
        max_length=20,
        description="What the maker's form asks for, `address` of the hub and `access_token` among it; "
        "kept encrypted, never shown again",
    ),
]
CameraSecrets = Annotated[
    dict[Word, Secret],
    Meta(max_length=10, description="What its maker's form asks for; kept encrypted, never shown again"),
]


class NewCamera(Struct, kw_only=True, forbid_unknown_fields=True):
    """A camera that sees the door from inside. It opens no door until it is enrolled."""

    maker: Annotated[Word, Meta(examples=["rtsp"])]
    name: Annotated[Name, Meta(description="As its household calls it", examples=["Hall"])]
    address: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=2048,
                description="Of its stream, without user and password; kept encrypted, never shown again",
                examples=["rtsps://camera.example/stream"],
            ),
        ]
        | None
    ) = None
    secrets: CameraSecrets = {}


class NewHome(Struct, kw_only=True, forbid_unknown_fields=True):
    """A door or garage door of a home, and what opens its hub to the platform."""

    maker: Annotated[Word, Meta(examples=["home_assistant"])]
    entity: Entity
    secrets: HubSecrets
    form: Form = Form.DOOR
    rings_first: Annotated[
        bool, Meta(description="The courier rings or knocks, and waits, before anything opens")
    ] = True
    quiet_from: Annotated[
        Hour | None, Meta(description="Daily hours by the address's clock in which nobody rings")
    ] = None
    quiet_until: Hour | None = None
    is_pet_loose: Annotated[bool, Meta(description="An animal could run out: nothing is opened")] = False
    directions: Directions = ""
    picture_url: HomePicture | None = None
    cameras: Annotated[list[NewCamera], Meta(max_length=MOST_CAMERAS)] = []


class NewHubLink(Struct, kw_only=True, forbid_unknown_fields=True):
    """What opens the hub from now on: all that its maker's form asks for."""

    secrets: HubSecrets
    entity: Entity | None = None  # left out: the door is called as before


class NewOwnHome(Struct, kw_only=True, forbid_unknown_fields=True):
    """A home of yours. Asking for it is your consent to have its door opened for parcels."""

    home: NewHome
    address: Annotated[PositionGiven, Meta(description="Where it stands")]
    time_zone: Annotated[str, Meta(min_length=1, max_length=64, examples=["America/Los_Angeles"])]
    name: Annotated[Name, Meta(description="As your household calls it", examples=["Our front door"])]
    country: Annotated[str, Meta(pattern="^[A-Z]{2}$", max_length=2, examples=["US"])] = "US"
    from_local: Annotated[Hour | None, Meta(description="Daily hours, by the address's clock")] = None
    until_local: Hour | None = None


class HomeChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """What a courier must mind from now on. What is left out stays as it is; null ends the quiet hours."""

    form: Form | UnsetType = UNSET
    rings_first: bool | UnsetType = UNSET
    quiet_from: Hour | UnsetType | None = UNSET
    quiet_until: Hour | UnsetType | None = UNSET
    is_pet_loose: bool | UnsetType = UNSET
    directions: Directions | UnsetType = UNSET

    def changes(self) -> dict[str, Any]:
        """What was given."""
        given = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: value for name, value in given.items() if value is not UNSET}


class HomeShown(Struct, kw_only=True):
    """A home, without its door's name, its hub's address and its secrets."""

    maker: str
    form: Form
    rings_first: bool
    quiet_from: time | None
    quiet_until: time | None
    is_pet_loose: bool
    directions: str
    picture_url: str | None
    assurance: Annotated[
        Assurance,
        Meta(
            description="How well it can show that it is locked: `seen`; `bolt_alone` without a contact sensor; "
            "`lid_alone`: a garage door"
        ),
    ]
    is_linked: Annotated[bool, Meta(description="false: it was un-linked; link its hub again")]
    cameras: Annotated[int, Meta(description="How many")]
    has_witness: Annotated[
        bool, Meta(description="Whether one of them is enrolled; the place is not offered without")
    ]


class CameraShown(Struct, kw_only=True):
    """A camera of a home, without its address and secrets."""

    id: Identifier
    maker: str
    name: str
    is_witness: Annotated[bool, Meta(description="Enrolled, and its monthly check not overdue")]
    methods: Annotated[
        list[str], Meta(description="By which its picture can be proven to live", examples=[["clock"]])
    ]
    sees_door: bool
    enrolled_at: Moment | None
    check_by: Annotated[Moment | None, Meta(description="Until then it is to be enrolled again")]
    created_at: Moment


class CamerasShown(Struct, kw_only=True):
    """The cameras of a home, oldest first."""

    cameras: list[CameraShown]


class CameraRemoved(Struct, kw_only=True):
    """What opened the camera is destroyed; its clips stay."""

    id: Identifier
    is_removed: bool


def read_camera(body: NewCamera) -> CameraGiven:
    """As the flow takes it."""
    return CameraGiven(maker=body.maker, name=body.name, address=body.address, secrets=body.secrets)


def read_home(body: NewHome) -> HomeGiven:
    """As the flow takes it."""
    names = HomeSettings.__slots__
    return HomeGiven(
        maker=body.maker,
        entity=body.entity,
        secrets=body.secrets,
        settings=HomeSettings(**{name: getattr(body, name) for name in names}),
        picture_url=body.picture_url,
        cameras=[read_camera(camera) for camera in body.cameras],
    )


def show_home(view: HomeView, now: datetime) -> HomeShown:
    """The home of a view."""
    settings = view.settings
    return HomeShown(
        maker=view.hub.maker,
        form=settings.form,
        rings_first=settings.rings_first,
        quiet_from=settings.quiet_from,
        quiet_until=settings.quiet_until,
        is_pet_loose=settings.is_pet_loose,
        directions=settings.directions,
        picture_url=view.hub.picture_url,
        assurance=view.assurance,
        is_linked=view.is_linked,
        cameras=len(view.cameras),
        has_witness=any(row.is_witness(now) for row in view.cameras),
    )


def show_camera(row: CameraRow, now: datetime) -> CameraShown:
    """The camera of a row."""
    return CameraShown(
        id=row.id,
        maker=row.maker,
        name=row.name,
        is_witness=row.is_witness(now),
        methods=list(row.methods),
        sees_door=row.sees_door,
        enrolled_at=row.enrolled_at,
        check_by=row.check_by,
        created_at=row.created_at,
    )
