"""Every way in which a car, a home or a maker's cloud is known to fail, switchable per car or home, by count and by
chance.

A fault is set on one car or home (or on a whole cloud) and drawn at each request that it fits: it fits a verb,
may be limited to the next `count` draws, and may strike with a `chance` (from the town's seed, so a run
can be repeated). Physical faults (asleep, offline, jammed, will not close, drives off) change the car
itself at once.

`plan_command` is pure: given the faults drawn, how this one command will go.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Annotated

import msgspec

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]


class FaultKind(StrEnum):
    ASLEEP = auto()  # the modem sleeps: no command is taken, readings are old
    OFFLINE = auto()  # no reception: likewise
    SLOW = auto()  # the command ends only after `after_s` (94 s, the longest seen, if not given)
    SILENT = auto()  # never answers (Volvo), never finishes (OnStar); the car acts only with `acts`
    SAYS_DONE_BUT_NOTHING_MOVED = auto()
    SAYS_FAILED_BUT_IT_MOVED = auto()
    LATE_UNLOCK = auto()  # the car acts (again, with first=normal) `after_s` later
    JAMMED = auto()  # lock commands do nothing, `count` times or until cleared
    WILL_NOT_CLOSE = auto()  # the lid springs open, `count` times or until cleared
    DRIVES_OFF = auto()  # `after_s` after `trigger`
    RATE_LIMIT = auto()  # 429 with Retry-After: `after_s`
    CONSENT_WITHDRAWN = auto()  # `status` 401 or 403 on everything
    SUBSCRIPTION_LAPSED = auto()  # 403 on everything
    DUPLICATE_ANSWERS = (
        auto()
    )  # OnStar: success, then in progress again; Volvo: every other reading is a stale copy
    OUTAGE = auto()  # `status` 5xx on everything
    CONNECTION_CUT = auto()  # TCP closed; with `acts` after the command was taken on, else before
    ANSWERS_AT_ONCE = (
        auto()
    )  # home: the hub hands the command to a broker and says done; it acts with `acts` alone
    HUB_GONE = auto()  # home: the hub is dead; nobody answers at its address
    LYING_STATE = auto()  # home: the hub goes on showing what it showed when this began


class Verb(StrEnum):
    """What a fault may be limited to."""

    ANY = auto()
    UNLOCK = auto()
    LOCK = auto()
    ALERT = auto()
    READ = auto()
    TOKEN = auto()  # the token endpoint; only faults of a whole cloud strike there


class Trigger(StrEnum):
    """When a car drives off."""

    NOW = auto()
    UNLOCKED = auto()
    OPENED = auto()


class First(StrEnum):
    """What a late unlock does at first."""

    NOTHING = auto()  # nothing; the command's end stays unknown
    NORMAL = auto()  # what it should; the late one comes on top


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault as it is set. `after_s` None: the kind's own default."""

    kind: FaultKind
    verb: Verb = Verb.ANY
    count: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None  # None: until cleared
    chance: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    after_s: Seconds | None = None
    first: First = First.NOTHING
    acts: bool = False
    hangs: bool = False  # SILENT at OnStar: not even the request is answered
    trigger: Trigger = Trigger.NOW
    status: Annotated[int, msgspec.Meta(ge=400, le=599)] | None = None


DEFAULT_AFTER_S = {
    FaultKind.SLOW: 94.0,
    FaultKind.LATE_UNLOCK: 120.0,
    FaultKind.RATE_LIMIT: 30.0,
    FaultKind.DRIVES_OFF: 0.0,
    FaultKind.ANSWERS_AT_ONCE: 0.4,
}
ONLY_UNLOCK = frozenset({FaultKind.LATE_UNLOCK})
ONLY_COMMANDS = frozenset(
    {
        FaultKind.SLOW,
        FaultKind.SILENT,
        FaultKind.SAYS_DONE_BUT_NOTHING_MOVED,
        FaultKind.SAYS_FAILED_BUT_IT_MOVED,
        FaultKind.LATE_UNLOCK,
        FaultKind.ANSWERS_AT_ONCE,
    }
)
OF_HOMES = frozenset({FaultKind.ANSWERS_AT_ONCE, FaultKind.HUB_GONE, FaultKind.LYING_STATE})  # alone
NOT_OF_HOMES = frozenset({FaultKind.ASLEEP, FaultKind.DRIVES_OFF, FaultKind.SUBSCRIPTION_LAPSED})
OF_THE_HOME = frozenset(
    {
        FaultKind.OFFLINE,
        FaultKind.JAMMED,
        FaultKind.WILL_NOT_CLOSE,
        FaultKind.HUB_GONE,
        FaultKind.LYING_STATE,
    }
)
OF_THE_CAR = frozenset(
    {
        FaultKind.ASLEEP,
        FaultKind.OFFLINE,
        FaultKind.JAMMED,
        FaultKind.WILL_NOT_CLOSE,
        FaultKind.DRIVES_OFF,
    }
)


def after_s(fault: Fault) -> float:
    """The fault's delay in town seconds."""
    return fault.after_s if fault.after_s is not None else DEFAULT_AFTER_S.get(fault.kind, 0.0)


def fits(fault: Fault, verb: Verb) -> bool:
    """Whether `fault` is to be drawn at a request of this verb."""
    if fault.kind in OF_THE_CAR or fault.kind in OF_THE_HOME:
        return False
    if fault.kind in ONLY_UNLOCK and verb is not Verb.UNLOCK:
        return False
    if fault.kind in ONLY_COMMANDS and verb in (Verb.READ, Verb.TOKEN) and fault.verb is not verb:
        return False
    return fault.verb in (Verb.ANY, verb)


@dataclass(slots=True, kw_only=True)
class Standing:
    """A fault that is set, and how often it may still strike."""

    fault: Fault
    left: int | None


def draw(standing: list[Standing], verb: Verb, chance: random.Random, drawn: dict[FaultKind, Fault]) -> None:
    """Put those faults into `drawn` that strike a request of this verb; each draw is counted."""
    spent = False
    for one in standing:
        if one.left == 0 or not fits(one.fault, verb):
            continue
        if one.fault.chance < 1.0 and chance.random() >= one.fault.chance:
            continue
        drawn.setdefault(one.fault.kind, one.fault)
        if one.left is not None:
            one.left -= 1
            spent = spent or one.left == 0
    if spent:
        standing[:] = [one for one in standing if one.left != 0]


class Ending(StrEnum):
    """What the cloud will say of a command."""

    TRUE = auto()  # what really happened
    SAYS_DONE = auto()
    SAYS_FAILED = auto()
    TIMES_OUT = auto()  # Volvo: TIMEOUT; OnStar: in progress for good
    NEVER = auto()  # nothing, ever


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """How one command will go. Delays are in town seconds from the moment it was taken on."""

    ends_after_s: float
    ending: Ending = Ending.TRUE
    acts_after_s: tuple[float, ...] = ()
    is_doubled: bool = False


def plan_command(drawn: dict[FaultKind, Fault], latency_s: float) -> Course:
    """How a command goes under the faults drawn for it; without any it acts and ends after `latency_s`."""
    ends_after_s = latency_s
    if (slow := drawn.get(FaultKind.SLOW)) is not None:
        ends_after_s = max(latency_s, after_s(slow))
    acts: tuple[float, ...] = (ends_after_s,)
    ending = Ending.TRUE
    if FaultKind.SAYS_DONE_BUT_NOTHING_MOVED in drawn:
        acts, ending = (), Ending.SAYS_DONE
    elif FaultKind.SAYS_FAILED_BUT_IT_MOVED in drawn:
        ending = Ending.SAYS_FAILED
    elif (silent := drawn.get(FaultKind.SILENT)) is not None:
        acts, ending = (acts if silent.acts else ()), Ending.NEVER
    if (late := drawn.get(FaultKind.LATE_UNLOCK)) is not None:
        if late.first is First.NOTHING:
            acts, ending = (after_s(late),), Ending.TIMES_OUT
        else:
            acts = (*acts, after_s(late))
    return Course(
        ends_after_s=ends_after_s,
        ending=ending,
        acts_after_s=acts,
        is_doubled=FaultKind.DUPLICATE_ANSWERS in drawn,
    )
