"""What is said over a recorder's socket: one JSON object a line, a request and its answer, told apart by `number`.

The socket is a file that its owner alone may open; users and passwords of cameras pass through it and are kept nowhere.
Moments on a monotonic clock are sent as ages, so that whoever receives them may count from the moment at which they
asked: what they then believe is never fresher than it was.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

from unlatch.cameras.base import Camera
from unlatch.cameras.board import CameraState, Event, Status
from unlatch.cameras.door_seen import Span
from unlatch.cameras.glances import Judgement, Method, Verdict
from unlatch.cameras.light import Pattern
from unlatch.cameras.proof import Proof, Refusal
from unlatch.cameras.recording import TakeFile
from unlatch.domain.clip import FIRST_LINK, Gap, Part

MAX_LINE_BYTES = 1024 * 1024
MAX_WAIT_S = 10.0
CameraId = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern="^[A-Za-z0-9_-]+$")]
Text = Annotated[str, msgspec.Meta(max_length=2048)]
Ago = Annotated[float, msgspec.Meta(ge=-60, le=3_600)]  # seconds; a little below 0: it has not begun yet
Pixels = Annotated[float, msgspec.Meta(ge=0, le=8_192)]


class Arm(msgspec.Struct, tag="arm", kw_only=True, forbid_unknown_fields=True):
    """Connect. `clock`: what `ClockReader.content` gave."""

    camera_id: CameraId
    maker: Annotated[str, msgspec.Meta(max_length=32)]
    address: Text
    secrets: Annotated[dict[str, Text], msgspec.Meta(max_length=8)] = {}
    allows_private: bool = False
    clock: dict[str, Any] | None = None

    def camera(self) -> Camera:
        """The camera it names."""
        return Camera(
            maker=self.maker,
            address=self.address,
            secrets=self.secrets,
            allows_private=self.allows_private,
        )


class Disarm(msgspec.Struct, tag="disarm", kw_only=True, forbid_unknown_fields=True):
    """Let go -> Takes."""

    camera_id: CameraId


class Start(msgspec.Struct, tag="start", kw_only=True, forbid_unknown_fields=True):
    """Record into an absolute folder."""

    camera_id: CameraId
    folder: Annotated[str, msgspec.Meta(max_length=1024, pattern="^/")]
    take: Annotated[int, msgspec.Meta(ge=1)] = 1
    part: Annotated[int, msgspec.Meta(ge=1)] = 1
    link: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)] = FIRST_LINK
    silent_since: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class Light(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A pattern that a lamp of the home has played, begun so long ago. `chips`: a letter each, 1 for on."""

    chips: Annotated[str, msgspec.Meta(min_length=6, max_length=64, pattern="^[01]+$")]
    chip_s: Annotated[float, msgspec.Meta(gt=0, le=2)]
    begun_ago_s: Ago

    @classmethod
    def of(cls, pattern: Pattern, now_s: float) -> Light:
        """As it is sent."""
        chips = "".join("1" if chip else "0" for chip in pattern.chips)
        return cls(chips=chips, chip_s=pattern.chip_s, begun_ago_s=now_s - pattern.begun_s)

    def pattern(self, now_s: float) -> Pattern:
        """As it is received."""
        chips = tuple(chip == "1" for chip in self.chips)
        return Pattern(chips=chips, chip_s=self.chip_s, begun_s=now_s - self.begun_ago_s)


class Prove(msgspec.Struct, tag="prove", kw_only=True, forbid_unknown_fields=True):
    """-> Proven or Refused. `light`: a proof may rest on it."""

    camera_id: CameraId
    light: Light | None = None


class Relax(msgspec.Struct, tag="relax", kw_only=True, forbid_unknown_fields=True):
    """Decode keyframes alone."""

    camera_id: CameraId


class Stop(msgspec.Struct, tag="stop", kw_only=True, forbid_unknown_fields=True):
    """End the recording -> Takes."""

    camera_id: CameraId


class Ask(msgspec.Struct, tag="state", kw_only=True, forbid_unknown_fields=True):
    """-> States, of one camera or of all."""

    camera_id: CameraId | None = None


class Listen(msgspec.Struct, tag="events", kw_only=True, forbid_unknown_fields=True):
    """-> Page of events."""

    after: Annotated[int, msgspec.Meta(ge=0)] = 0
    wait_s: Annotated[float, msgspec.Meta(ge=0, le=MAX_WAIT_S)] = 0.0


# ---- enrolment --------------------------------------------------------------------------------------------


class TakePicture(msgspec.Struct, tag="snapshot", kw_only=True, forbid_unknown_fields=True):
    """-> Picture."""

    camera_id: CameraId


class Learn(msgspec.Struct, tag="learn", kw_only=True, forbid_unknown_fields=True):
    """Learn the clock in this rectangle -> ClockLearnt, after half a minute."""

    camera_id: CameraId
    left: Pixels
    top: Pixels
    width: Pixels
    height: Pixels


class WatchDoor(msgspec.Struct, tag="watch_door", kw_only=True, forbid_unknown_fields=True):
    """Look at the door from now on."""

    camera_id: CameraId


class SentSpan(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A span, its ends so long ago."""

    from_ago_s: Ago
    until_ago_s: Ago

    @classmethod
    def of(cls, span: Span, now_s: float) -> SentSpan:
        """As it is sent."""
        return cls(from_ago_s=now_s - span.from_s, until_ago_s=now_s - span.until_s)

    def span(self, now_s: float) -> Span:
        """As it is received."""
        return Span(from_s=now_s - self.from_ago_s, until_s=now_s - self.until_ago_s)


class JudgeDoor(msgspec.Struct, tag="judge_door", kw_only=True, forbid_unknown_fields=True):
    """-> DoorJudged. See `door_seen.judge_door`."""

    camera_id: CameraId
    opened: SentSpan
    closed: SentSpan | None
    is_exact: bool = True


class ExpectLight(msgspec.Struct, tag="expect_light", kw_only=True, forbid_unknown_fields=True):
    """A lamp plays before it for so long from now on."""

    camera_id: CameraId
    for_s: Annotated[float, msgspec.Meta(ge=0, le=60)]


class LookFor(msgspec.Struct, tag="challenge", kw_only=True, forbid_unknown_fields=True):
    """-> LightSeen."""

    camera_id: CameraId
    light: Light


Do = (
    Arm | Disarm | Start | Prove | Relax | Stop | Ask | Listen
    | TakePicture | Learn | WatchDoor | JudgeDoor | ExpectLight | LookFor
)  # fmt: skip


class Request(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One request."""

    number: int
    do: Do


class Done(msgspec.Struct, tag="done", kw_only=True):
    """It was done."""


class Failed(msgspec.Struct, tag="failed", kw_only=True):
    """An error of the tree: its class and code."""

    error: str
    code: str
    message: str


class Proven(msgspec.Struct, tag="proven", kw_only=True):
    """A proof, so old."""

    age_s: float
    made_at: datetime
    take: int
    part: int
    frames: int
    sha256: bytes
    method: Method | None
    clock_apart_s: float | None

    @classmethod
    def of(cls, proof: Proof, now_s: float) -> Proven:
        """As it is sent."""
        return cls(
            age_s=now_s - proof.made_s, made_at=proof.made_at, take=proof.take, part=proof.part, frames=proof.frames,
            sha256=proof.sha256, method=proof.judgement.method, clock_apart_s=proof.clock_apart_s,
        )  # fmt: skip

    def proof(self, asked_s: float) -> Proof:
        """As it is received by someone who asked at `asked_s`."""
        return Proof(
            made_at=self.made_at, made_s=asked_s - self.age_s, take=self.take, part=self.part, frames=self.frames,
            sha256=self.sha256, judgement=Judgement(verdict=Verdict.LIVE, method=self.method),
            clock_apart_s=self.clock_apart_s,
        )  # fmt: skip


class Refused(msgspec.Struct, tag="refused", kw_only=True):
    """No proof, and why."""

    code: str
    verdict: Verdict | None

    @classmethod
    def of(cls, refusal: Refusal) -> Refused:
        """As it is sent."""
        return cls(code=refusal.code, verdict=refusal.judgement.verdict if refusal.judgement else None)

    def refusal(self) -> Refusal:
        """As it is received."""
        return Refusal(
            code=self.code, judgement=None if self.verdict is None else Judgement(verdict=self.verdict)
        )


class SentTake(msgspec.Struct, kw_only=True):
    """A take's file."""

    path: str
    number: int
    begun_at: datetime
    parts: list[Part]
    is_whole: bool

    @classmethod
    def of(cls, take: TakeFile) -> SentTake:
        """As it is sent."""
        return cls(
            path=str(take.path), number=take.number, begun_at=take.begun_at, parts=list(take.parts),
            is_whole=take.is_whole,
        )  # fmt: skip


class Takes(msgspec.Struct, tag="takes", kw_only=True):
    """What a recording came to."""

    takes: list[SentTake]


class State(msgspec.Struct, kw_only=True):
    """How a camera stands; spans in seconds."""

    state: CameraState
    code: str | None
    verdict: Verdict
    method: Method | None
    lease_left_s: float
    silent_s: float | None  # since the last frame; None: there was none
    take: int
    parts: int
    gaps: list[Gap]
    dropped: int

    @classmethod
    def of(cls, status: Status, now_s: float) -> State:
        """As it is sent."""
        return cls(
            state=status.state, code=status.code, verdict=status.judgement.verdict, method=status.judgement.method,
            lease_left_s=status.lease.left_s(now_s),
            silent_s=now_s - status.heard_s if status.heard_s > 0 else None,
            take=status.take, parts=status.parts, gaps=list(status.gaps), dropped=status.dropped,
        )  # fmt: skip


class States(msgspec.Struct, tag="states", kw_only=True):
    """By camera."""

    states: dict[str, State]


class Page(msgspec.Struct, tag="page", kw_only=True):
    """Events, each with its number."""

    events: list[tuple[int, Event]]
    cursor: int
    is_torn: bool


class Picture(msgspec.Struct, tag="picture", kw_only=True):
    """A snapshot."""

    jpeg: bytes
    width: int
    height: int
    full_width: int
    full_height: int


class ClockLearnt(msgspec.Struct, tag="clock_learnt", kw_only=True):
    """What `ClockReader.content` gave, or why there is none."""

    clock: dict[str, Any] | None
    code: str | None


class DoorJudged(msgspec.Struct, tag="door_judged", kw_only=True):
    """See `door_seen.DoorSeen`."""

    code: str | None
    cells: int
    opened_apart_s: float | None
    closed_apart_s: float | None


class LightSeen(msgspec.Struct, tag="light_seen", kw_only=True):
    """See `light.Seen`."""

    likeness: float
    swing: float
    delay_s: float


Outcome = (
    Done | Failed | Proven | Refused | Takes | States | Page | Picture | ClockLearnt | DoorJudged | LightSeen
)


class Answer(msgspec.Struct, kw_only=True):
    """The answer to the request of that number."""

    number: int
    outcome: Outcome
