"""What the forms of homes and cameras ask for, field by field, and how a refusal of the API is named at its field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from unlatch.errors import BadInput, Conflict
from unlatch.web.pages.page import Seen
from unlatch.web.pages.refusals import said
from unlatch.web.problems import ProblemError

REFUSALS = (ProblemError, BadInput, Conflict)  # those that are shown beside the form that they are about
CHOICES = "opening"  # the one field of a hub that is chosen, not typed


class Asked(Protocol):
    """A field that a maker of hubs or cameras asks for."""

    @property
    def name(self) -> str: ...

    @property
    def is_secret(self) -> bool: ...

    @property
    def is_required(self) -> bool: ...

    @property
    def max_length(self) -> int: ...

    @property
    def meaning(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One field of a form, as it is drawn."""

    name: str
    label: str
    hint: str = ""
    kind: str = "text"
    is_required: bool = False
    max_length: int = 100
    choices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a form was not taken: at its fields, or as a whole."""

    status: int = 400
    at: Mapping[str, str] = field(default_factory=dict)
    text: str = ""


def hub_lines(seen: Seen, fields: Iterable[Asked]) -> list[Line]:
    """What a hub's maker asks for. A secret is never shown again, and therefore typed again."""
    say = seen.say
    texts = {
        "address": (say("Address of your hub"), say("Where Home Assistant is reached from outside, by https.")),
        "access_token": (
            say("Access token"),
            say("A long-lived token of a user of the hub who may control this door alone. It is kept encrypted."),
        ),
        "contact": (
            say("Contact sensor of the door"),
            say("Like binary_sensor.front_door. With it a door that stands open is seen."),
        ),
        "second_bolt": (say("Second bolt"), say("With it thrown from inside, nothing is opened.")),
        "alarm": (say("Alarm"), say("While it is armed, nothing is opened.")),
        "pet": (say("Sensor for an animal"), say("While it is on, nothing is opened.")),
        "bell": (say("Bell"), say("It is rung when a courier stands at the door.")),
        "opening": (say("How the lock opens"), ""),
        "locks_itself_after_s": (say("Locks by itself after so many seconds"), say("Leave it empty if it does not.")),
        "lamp": (say("A lamp that the camera sees"), say("It plays a pattern, to show that the picture lives.")),
    }  # fmt: skip
    return [_line(seen, one, texts) for one in fields]


def camera_lines(seen: Seen, fields: Iterable[Asked], schemes: tuple[str, ...]) -> list[Line]:
    """What a camera's maker asks for, its name and address first."""
    say = seen.say
    texts = {
        "user": (say("User of the camera"), ""),
        "password": (say("Password of the camera"), say("It is kept encrypted, and never shown again.")),
        "access_token": (
            say("Access token"),
            say(
                "A long-lived token of a user of the hub who may see this camera alone. It is kept encrypted."
            ),
        ),
        "entity": (say("Camera, as your hub calls it"), say("Like camera.hall.")),
    }
    name = Line(name="name", label=say("What you call it"), is_required=True)
    lines = [name, *(_line(seen, one, texts) for one in fields)]
    if schemes:
        if schemes[0].startswith("rtsp"):
            label, hint = (
                say("Address of its stream"),
                say("Like %(scheme)s://camera.example/stream", scheme=schemes[0]),
            )
        else:
            label, hint = (
                say("Address of your hub"),
                say("Where Home Assistant is reached from outside, by https."),
            )
        lines.insert(1, Line(name="address", label=label, hint=hint, is_required=True, max_length=2048))
    return lines


def _line(seen: Seen, asked: Asked, texts: Mapping[str, tuple[str, str]]) -> Line:
    label, hint = texts.get(asked.name, (asked.name, asked.meaning))
    choices: tuple[tuple[str, str], ...] = ()
    if asked.name == CHOICES:
        choices = (
            ("", seen.say("It withdraws its bolt")),
            ("latch", seen.say("It also pulls the latch, so that the door springs open")),
        )
    return Line(
        name=asked.name,
        label=label,
        hint=hint,
        kind="password" if asked.is_secret else "text",
        is_required=asked.is_required,
        max_length=asked.max_length,
        choices=choices,
    )


def door_line(seen: Seen, *, is_required: bool) -> Line:
    """Which door of the hub it is."""
    say = seen.say
    hint = say("Like lock.front_door; a garage door's begins with cover.")
    if not is_required:
        hint = say("Leave it empty if it is the same as before.")
    return Line(
        name="entity",
        label=say("Lock, as your hub calls it"),
        hint=hint,
        is_required=is_required,
        max_length=200,
    )


def hour_lines(seen: Seen) -> list[Line]:
    """Of a new home: when couriers may come at all, and its picture."""
    say = seen.say
    return [
        Line(name="from_local", label=say("Couriers may come from"), kind="time"),
        Line(name="until_local", label=say("Couriers may come until"), kind="time",
             hint=say("Each day, by the clock there. Leave both empty for the whole day.")),
        Line(name="picture_url", label=say("Address of a picture of the door"), max_length=500,
             hint=say("By https. The courier near it is shown it.")),
    ]  # fmt: skip


# ---- refusals -----------------------------------------------------------------------------------------------


def text(message: str) -> str:
    """A text of the API that a page says in the reader's language."""
    return message


KNOWN = frozenset(  # what homes, hubs and cameras are refused for, where the words alone say what to do
    {
        text("give the address of the hub, like https://home.example:8123"),
        text("this network address may not be used"),
        text("a hub on this machine needs the setting UNLATCH_PRIVATE_HUBS"),
        text("a camera on this machine needs the setting UNLATCH_PRIVATE_HUBS"),
        text("give an address by https: the token must not travel in the open"),
        text("give user and password as secrets of their own"),
        text("this name leads to an address that may not be used"),
        text("no such name is known now"),
        text("give printable ASCII alone"),
        text("at most 100 places"),
        text("this home has 8 cameras, and takes no more"),
        text("a visit is under way, or was a moment ago: link the hub again when its watch is over"),
        text("a visit is under way: a camera can be removed when it has ended"),
        text("a visit is under way: a camera can be enrolled when it has ended"),
        text("cameras were enrolled here too often today: try again tomorrow"),
        text("no enrolment of this camera is under way: begin one"),
        text("the camera's picture is not here yet: wait for it, or begin again"),
        text("another step is under way: wait for its end"),
        text("this home has told of no lamp that its hub can play"),
        text("this was tried too often: begin again in some minutes"),
        text("the camera's clock was learnt already"),
        text("mark a part of the picture that was shown"),
    }
)
AS_PAGES_SAY = {  # what names a field of the API, which a page calls otherwise
    "give both quiet_from and quiet_until, or neither": text("Give both hours, or neither."),
    "must differ from quiet_from: say with rings_first that nobody rings": text(
        "The two hours are the same. If nobody is ever to ring, say so above."
    ),
}


def refusal_of(seen: Seen, error: Exception) -> Refusal:
    """Where a refusal belongs, in words of the page: by the last part of the field that the API names."""
    if isinstance(error, ProblemError) and error.errors:
        return Refusal(at={_name(one.field): _say(seen, one.field, one.remedy) for one in error.errors})
    if isinstance(error, BadInput):
        return Refusal(at={_name(error.field): _say(seen, error.field, error.remedy)})
    return Refusal(status=409, text=_sentence(said(seen.speech, str(error))))


def _sentence(said: str) -> str:
    return said[:1].upper() + said[1:]


def _name(at: str) -> str:
    return at.rpartition(".")[2]


def _say(seen: Seen, at: str, remedy: str) -> str:
    """What the API says where that is plain, else what the field wants."""
    if remedy in KNOWN or remedy in AS_PAGES_SAY:
        return _sentence(seen.say(AS_PAGES_SAY.get(remedy, remedy)))
    if remedy.startswith(camera_stream := "give the address of its stream, like "):
        return seen.say(
            "Give the address of its stream, like %(example)s", example=remedy.removeprefix(camera_stream)
        )
    return _wants(seen).get(_name(at)) or said(seen.speech, remedy)


def _wants(seen: Seen) -> dict[str, str]:
    say = seen.say
    hour = say("Give an hour, like 21:00.")
    mark = say("Mark hours, minutes and seconds in the picture.")
    return {
        "address": say("The address is needed."),
        "access_token": say("The token is needed: at most 4,096 characters, without line breaks."),
        "entity": say(
            "Give its name in the hub: lock., cover. or camera., then small letters, digits and _."
        ),
        "contact": say("Give a name like binary_sensor.front_door."),
        "second_bolt": say("Give a name like lock.second_bolt or binary_sensor.second_bolt."),
        "alarm": say("Give a name like alarm_control_panel.home."),
        "pet": say("Give a name like binary_sensor.dog or input_boolean.dog."),
        "bell": say("Give a name like button.bell or script.bell."),
        "opening": say("Choose one of the two."),
        "form": say("Choose one of the two."),
        "locks_itself_after_s": say("Give seconds, from 1 to 9999."),
        "lamp": say("Give a name like light.hall."),
        "name": say("Give a name of at most 100 characters."),
        "latitude": say("Give degrees from -90 to 90, like 47.6205."),
        "longitude": say("Give degrees from -180 to 180, like -122.3493."),
        "time_zone": say("Give a name like America/New_York."),
        "from_local": say("Give both hours, or neither."),
        "until_local": hour,
        "quiet_from": hour,
        "quiet_until": hour,
        "directions": say("At most 500 characters."),
        "picture_url": say("Give an address that begins with https://."),
        "maker": say("Choose one of the kinds."),
        "user": say("At most 256 characters."),
        "password": say("At most 256 characters."),
        "left": mark,
        "top": mark,
        "width": mark,
        "height": mark,
    }
