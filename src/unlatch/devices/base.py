"""The contract between Unlatch and a car maker's cloud.

A command ends in one of four ways, and each says what is known about the world:

| end | how it is told | may the command be sent again? |
|---|---|---|
| done, says the cloud | returns an `Answer` | no; read the closure |
| rejected | raises `CommandRejected` | no; read the closure |
| surely not done: never sent or never taken on | raises `CommandNotSent` or a kind of it | yes |
| may have happened | raises `CommandUnknown` | never; read the closure |

The kinds of `CommandNotSent` are `DeviceAsleep`, `ConsentLost` and `DeviceUnsupported`.

The code of an error is one of these words: auth_expired, consent_missing, subscription, privacy_mode (the owner);
asleep, offline, unsafe_state (moving or in use), door_open, jammed, car_error, window_passed, rejected (the car);
vendor_down, timeout, connection_cut, pending, unknown, unexpected_answer, contradiction, rate_limited, not_supported
(the cloud); client_refused, quota, busy, outage, in_flight, too_late, older_api, bad_request (this side of the link).

An answer is never the truth about a bolt: only a `Reading` is. A reading that could not be had raises a
`CommandNotSent` or `CommandUnknown` too; neither moves anything, since a reading is no command.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum, auto
from typing import TYPE_CHECKING, Any, ClassVar

from unlatch.domain.access import Closure
from unlatch.domain.linking import Power
from unlatch.domain.reading import Reading
from unlatch.errors import DeviceUnsupported

if TYPE_CHECKING:
    from unlatch.devices.link import Link


class Verb(StrEnum):
    """What a car can be asked."""

    UNLOCK = auto()  # free the trunk (the least that this maker can free)
    LOCK = auto()
    READ = auto()
    FLASH = auto()  # so that the courier finds the car
    PLAY = auto()  # a lamp of the home plays a pattern
    RING = auto()  # the bell of the home


class Evidence(StrEnum):
    """Whose word a command's answer is. Neither is a reading."""

    CLOUD_SAYS = auto()  # the cloud passed it on, or accepted it
    DEVICE_SAYS = auto()  # the cloud says that the car itself confirmed it


class End(StrEnum):
    """The four ends of a command, as a word; the contract itself tells them by value and exceptions."""

    DONE = auto()
    REJECTED = auto()
    NOT_SENT = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Car:
    """A linked car and what opens its maker's cloud to us. Its text never shows VIN or secrets."""

    maker: str
    vin: str = field(repr=False)
    secrets: Mapping[str, str] = field(repr=False)  # access_token, api_key ...: see the maker's form_fields
    account_kind: str | None = None  # one of the maker's account_kinds; None: the one that promises least
    is_let_in: bool = (
        True  # False: the owner's account has ended or was lost, and nothing is asked of the cloud
    )
    may_be_opened: bool = True  # False: its owner lets us in, but no longer so that we open and lock


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedCar:
    """A car in an owner's account, as the maker describes it. What is not told is None."""

    vin: str = field(repr=False)
    make: str | None = None
    model: str | None = None
    model_year: int | None = None
    colour: str | None = None
    account_kind: str | None = None
    powers: frozenset[Power] | None = None  # what it can do from afar; None: not told
    has_service: bool | None = None  # an active subscription of the connected service


class ClientSends(StrEnum):
    """How an application shows the authorization server who it is (RFC 6749, 2.3)."""

    BASIC = auto()
    POST = auto()
    NOTHING = auto()  # a public client: its id alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """How an owner lets us in: the OAuth 2 code flow with PKCE. `source` says where that is written.

    `scopes` are the least that deliveries need, each with what it allows. Paths are of `address`, which is the
    cloud's own where it is None.
    """

    authorize_path: str
    token_path: str
    revoke_path: str | None  # None: the maker has none; the owner withdraws there
    client_sends: ClientSends
    scopes: Mapping[str, tuple[Power, ...]]
    rotates: bool  # a refresh token is good once
    reuse_grace_s: float | None  # how long a used one may be sent once more; None: not documented
    refresh_for_s: float | None  # how long an unused one lives; None: not documented
    source: str
    address: str | None = None
    needs_api_key: bool = False  # the application has a key of its own besides, kept as `api_key`


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The cloud says that the command is done."""

    evidence: Evidence
    answered_at: datetime  # on our clock, when the last byte of the answer was here
    reference: str | None = None  # the cloud's own name for the command, for its support desk
    handle_until: datetime | None = None  # the unlock only frees the handle, until then; None: no such window


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """What the caller lays down about the bytes of one command.

    `first_byte_by_s` is a time of `clock.monotonic_s()`: if the first byte has not left by then it never
    leaves, and the command ends as `CommandNotSent(code="too_late")`. `on_sent` is called right after the
    last byte of the command was handed to the socket; it must be quick and must not raise. `trace_id` goes
    along as X-Request-Id, so that the cloud's own record of commands can be laid beside ours.
    """

    first_byte_by_s: float | None = None
    on_sent: Callable[[], None] | None = None
    trace_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """One thing that a vehicle link must carry for this maker, kept in `Car.secrets` under `name`."""

    name: str
    is_secret: bool = True  # secret: encrypted at rest, never shown again
    max_length: int = 4096
    is_required: bool = True
    pattern: str | None = None  # what the whole value must match; None: any printable text
    meaning: str = ""  # for whoever fills in the form, where the name alone does not say it


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a maker's cloud answers to a request whose method and path begin with `to`.

    `body` is sent as JSON, a str as it stands. `{base}` in any text becomes the cloud's own address.

    `to` may also be "WS " and the type of a message on a WebSocket (which a Reply with status 101 opens): `body` is
    then the list of messages that come back.
    """

    to: str  # "POST /veh/cmd/v3/unlockTrunk/"
    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What the maker sends, and what it means: a line of the documentation that is also a test.

    Each reply is used once, in order, for the requests that match it; the last that matches is repeated.
    """

    title: str
    verb: Verb
    replies: tuple[Reply, ...]
    end: End = End.DONE
    code: str | None = None  # the error's code, if the end is not DONE
    reading: Reading | None = None  # what a READ must give
    account_kind: str | None = None
    name: str | None = None  # what stands for the VIN, where the maker knows none: a door's entity
    told: Mapping[str, str] = field(default_factory=dict)  # further fields of the form, beside those required
    wants_position: bool = False  # of a READ
    source: str  # where the maker says so


class Maker(ABC):
    """One car maker's cloud. Subclasses live one per file in `makers/` and take nothing but a `Link`."""

    name: ClassVar[str]  # the word in settings, rows and addresses: "onstar"
    label: ClassVar[str]  # as people know it: "OnStar"
    default_address: ClassVar[str]  # the live cloud; settings may name another
    has_own_hub: ClassVar[bool] = False  # each place has a hub at an address of its own: its secret `address`
    name_pattern: ClassVar[str | None] = None  # what stands in a `Car` for the VIN; None: a VIN
    form_fields: ClassVar[tuple[FormField, ...]]
    account_kinds: ClassVar[tuple[str, ...]] = ()  # the first promises least
    commands_a_minute: ClassVar[int | None] = None  # the maker's limit per car; None: none known
    authorization: ClassVar[Authorization | None] = None  # None: owners can't link their cars themselves
    examples: ClassVar[tuple[Example, ...]]

    def __init__(self, link: Link) -> None:
        self.link = link

    @abstractmethod
    def closure(self, car: Car) -> Closure:
        """What this car's trunk can tell and how its cloud behaves. Static: no request is made."""

    @abstractmethod
    async def unlock(self, car: Car, sending: Sending) -> Answer:
        """Free the trunk. One command in flight per car; see the module's table for the ends."""

    @abstractmethod
    async def lock(self, car: Car, sending: Sending) -> Answer:
        """Lock the car. Is never shed in favour of an unlock, and may pass one that is still under way."""

    @abstractmethod
    async def read(self, car: Car, *, wants_position: bool = False) -> Reading:
        """What the car says of its trunk now and, if wanted, where it stands; of a home, what stands inside. What is
        not told is None.
        """

    async def flash(self, car: Car) -> Answer:
        """Flash the lamps. Raises `DeviceUnsupported` where the maker has no such command."""
        raise DeviceUnsupported(f"{self.label} can't flash this car", code="not_supported")

    async def ring(self, car: Car) -> None:
        """Ring the bell of a home. Raises `DeviceUnsupported` where there is none that could be rung from afar."""
        raise DeviceUnsupported(f"{self.label} can't ring here", code="not_supported")

    async def play(self, car: Car, chips: Sequence[bool], chip_s: float) -> float:
        """Let a lamp of the home play a pattern, on and off, a chip after the other; then it is as it was.

        Returns when all is played: the moment (`clock.monotonic_s()`) at which the first chip left. Both it and the
        chips' length are real time, as a camera's picture is. Raises `DeviceUnsupported` where there is no lamp, and
        any DeviceError where the pattern was not, or not wholly, played.
        """
        raise DeviceUnsupported(f"{self.label} can't play a lamp here", code="not_supported")

    async def list_cars(self, secrets: Mapping[str, str]) -> list[LinkedCar]:
        """The cars of the account that these tokens open, with what each can do. Raises DeviceError."""
        raise DeviceUnsupported(f"{self.label} lists no cars", code="not_supported")

    async def probe(self, car: Car) -> None:  # noqa: B027 - most clouds tell nothing
        """Raise DeviceAsleep or CommandNotSent (offline) where the cloud says that the car would take no command now.

        A cloud that does not tell says nothing. Asked ahead of a visit, while its owner can still wake the car.
        """

    def find_obstacle(self, car: Car) -> str | None:
        """Why an unlock would not leave now (outage, busy, quota, in_flight), or None. Makes no request."""
        return self.link.find_obstacle(car)
