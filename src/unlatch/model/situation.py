"""The words of the model: what a situation is, and what may stand in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple

from unlatch.domain.access import Closure
from unlatch.domain.visit import Fact, State, Tail

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SOON = NOW + timedelta(seconds=1)  # sooner than every deadline of a state, so that patience always matters
FAR = NOW + timedelta(days=30)
AFTER_FAR = FAR + timedelta(seconds=1)
PAST = NOW - timedelta(seconds=100)
SECOND = timedelta(seconds=1)

# The unlock: its grant, its row, and the worker that holds it, as one word.
(
    NOTHING,
    WAITING,  # grant LIVE, row INTENT
    PASSED,  # grant USED, row SENT; no byte has left, less than 2 s ago
    PAUSED,  # the same, more than 2 s ago: the worker must give it up
    DIED_UNSENT,  # its worker died before the first byte; nobody can swear to it
    SENT,  # bytes out, the worker waits
    DIED_SENT,
    HOLDS_DONE,  # the worker holds an answer that it has not recorded
    HOLDS_REJECTED,
    ENDED_DONE,
    ENDED_REJECTED,
    ENDED_NOT_SENT,
    ENDED_UNKNOWN,
    UNKNOWN_PAUSED,  # another worker took it over while the first lives on
    UNKNOWN_SENT,
    UNKNOWN_HOLDS_DONE,
    UNKNOWN_HOLDS_REJECTED,
    ENDED_UNKNOWN_UNSENT,
    DEAD,  # the visit ended before the gate: grant DEAD
) = range(19)
GATED = frozenset(range(PASSED, DEAD))
EMITTED = frozenset(
    {SENT, DIED_SENT, HOLDS_DONE, HOLDS_REJECTED, ENDED_DONE, ENDED_REJECTED, ENDED_UNKNOWN}
    | {UNKNOWN_SENT, UNKNOWN_HOLDS_DONE, UNKNOWN_HOLDS_REJECTED}
)
LOCK_NONE, LOCK_INTENT, LOCK_SENT = range(3)
SHUT, AJAR, OPEN = range(3)  # the truth: locked | closed, not locked | open
BLOCKED, AGED = 1, 2  # what the gate looks at again
RECORDING, UNPROVEN, PROVEN, NOT_PROVEN = 12, 0, 4, 8
# A reading on its way: its kind, and what it is newer than.
LOCKED_KIND, CLOSED_KIND, OPEN_KIND, KIND = 0, 1, 2, 3
NEWER_THAN_USED, NEWER_THAN_COMMAND, NEWER_THAN_MARK, NEWER_THAN_WORD, AFTER_LATE = 4, 8, 16, 32, 64
NEWEST = NEWER_THAN_USED | NEWER_THAN_COMMAND | NEWER_THAN_MARK | NEWER_THAN_WORD

SEEN_LOCKED_STATES = frozenset({State.ACCOUNTING, State.REVIEW})
WATCHED_TAILS = frozenset({Tail.WATCHING, Tail.ALARM, Tail.BLIND})
RULINGS = frozenset({Fact.RULED_DELIVERED, Fact.RULED_UNDELIVERED})
OPENINGS = frozenset({Fact.COURIER_OPENED, Fact.COURIER_DEPOSITED})
COURIER_WORDS = (
    Fact.COURIER_OPENED,
    Fact.COURIER_DEPOSITED,
    Fact.COURIER_CLOSED,
    Fact.COURIER_PULLED_HANDLE,
    Fact.COURIER_GAVE_UP,
    Fact.COURIER_RANG,
    Fact.COURIER_MET_SOMEONE,
    Fact.COURIER_HANDED_OVER,
)


class Belief(NamedTuple):
    """What the platform has written down or is about to hear: all of a situation but the car."""

    visit: int  # which of the visits met so far
    unlock: int
    lock: int
    flags: int
    readings: tuple[int, ...]  # on their way, the oldest observation first


# The car, as one number: its truth, and how often the unlock may still take effect.
MOST_EFFECTS = 2  # 2: the cloud doubles it
CARS = 3 * (MOST_EFFECTS + 1)
Change = tuple[int, ...]  # what becomes of each car; -1: it can't happen to this one


def car_of(truth: int, pending: int) -> int:
    return truth * (MOST_EFFECTS + 1) + pending


def truth_of(car: int) -> int:
    return car // (MOST_EFFECTS + 1)


def pending_of(car: int) -> int:
    return car % (MOST_EFFECTS + 1)


SAME: Change = tuple(range(CARS))
WITH_PENDING: tuple[Change, ...] = tuple(
    tuple(car_of(truth_of(car), pending) for car in SAME) for pending in range(MOST_EFFECTS + 1)
)
ONLY_IF: tuple[Change, ...] = tuple(
    tuple(car if truth_of(car) == truth else -1 for car in SAME) for truth in (SHUT, AJAR, OPEN)
)
LOCKED_BY_US: Change = tuple(car_of(SHUT, pending_of(car)) if truth_of(car) == AJAR else -1 for car in SAME)


class Move(NamedTuple):
    """One thing that may happen next."""

    words: str
    after: Belief
    is_ours: bool  # by clock, cloud, worker or operator: needs neither courier nor resident
    car: Change = SAME


class CarMove(NamedTuple):
    """One thing that may happen to the car whatever the platform believes."""

    words: str
    after: int
    is_ours: bool


def _car_moves(car: int) -> tuple[CarMove, ...]:
    truth, pending = truth_of(car), pending_of(car)
    moves = []
    if pending:
        reached = AJAR if truth == SHUT else truth
        moves.append(CarMove("the unlock takes effect", car_of(reached, pending - 1), True))
    if truth == SHUT:
        moves.append(CarMove("the resident unlocks", car_of(AJAR, pending), False))
    elif truth == AJAR:
        moves.append(CarMove("the lid is opened", car_of(OPEN, pending), False))
        moves.append(CarMove("it is locked by hand or by itself", car_of(SHUT, pending), False))
    else:
        moves.append(CarMove("the lid is closed", car_of(AJAR, pending), False))
    return tuple(moves)


CAR_MOVES = tuple(_car_moves(car) for car in SAME)


class BrokenError(Exception):
    """An invariant does not hold."""

    def __init__(self, invariant: str, why: str) -> None:
        super().__init__(f"{invariant}: {why}")
        self.invariant = invariant
        self.why = why


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One kind of place, and how much may go on there at once."""

    name: str
    closure: Closure
    is_recorded: bool = False
    rings_first: bool = False
    most_readings: int = 1  # on their way at once


WORKER_MOVES = {
    PASSED: (
        ("the worker is paused for more than 2 s", PAUSED),
        ("the worker dies before the first byte", DIED_UNSENT),
    ),
    PAUSED: (("the worker dies before the first byte", DIED_UNSENT),),
    SENT: (
        ("the worker dies before the answer", DIED_SENT),
        ("the cloud says unlocked", HOLDS_DONE),
        ("the cloud says rejected", HOLDS_REJECTED),
    ),
    HOLDS_DONE: (("the worker dies with the answer", DIED_SENT),),
    HOLDS_REJECTED: (("the worker dies with the answer", DIED_SENT),),
    UNKNOWN_PAUSED: (("the paused worker gives up", ENDED_UNKNOWN_UNSENT),),
    UNKNOWN_SENT: (
        ("the first worker gives up", ENDED_UNKNOWN),
        ("the cloud says unlocked", UNKNOWN_HOLDS_DONE),
        ("the cloud says rejected", UNKNOWN_HOLDS_REJECTED),
    ),
}
TAKEN_OVER = {
    PAUSED: UNKNOWN_PAUSED,
    DIED_UNSENT: ENDED_UNKNOWN_UNSENT,
    SENT: UNKNOWN_SENT,
    DIED_SENT: ENDED_UNKNOWN,
    HOLDS_DONE: UNKNOWN_HOLDS_DONE,
    HOLDS_REJECTED: UNKNOWN_HOLDS_REJECTED,
}
RECORDED = {
    PASSED: ((Fact.UNLOCK_NOT_SENT, ENDED_NOT_SENT),),
    PAUSED: ((Fact.UNLOCK_NOT_SENT, ENDED_NOT_SENT),),
    SENT: ((Fact.UNLOCK_UNKNOWN, ENDED_UNKNOWN),),
    HOLDS_DONE: ((Fact.UNLOCK_SAID_DONE, ENDED_DONE),),
    HOLDS_REJECTED: ((Fact.UNLOCK_REJECTED, ENDED_REJECTED),),
    UNKNOWN_HOLDS_DONE: ((Fact.UNLOCK_SAID_DONE, ENDED_UNKNOWN),),
    UNKNOWN_HOLDS_REJECTED: ((Fact.UNLOCK_REJECTED, ENDED_UNKNOWN),),
}
DOUBLED = {
    ENDED_DONE: Fact.UNLOCK_SAID_DONE,
    ENDED_REJECTED: Fact.UNLOCK_REJECTED,
    ENDED_NOT_SENT: Fact.UNLOCK_NOT_SENT,
    ENDED_UNKNOWN: Fact.UNLOCK_UNKNOWN,
    ENDED_UNKNOWN_UNSENT: Fact.UNLOCK_UNKNOWN,
}


@cache
def describe_reading(reading: int) -> str:
    kind = ("locked", "closed, not locked", "open")[reading & KIND]
    older = [
        words
        for bit, words in (
            (NEWER_THAN_USED, "the last one used"),
            (NEWER_THAN_COMMAND, "our last command"),
            (NEWER_THAN_WORD, "the last news of an opening or order to lock"),
        )
        if not reading & bit
    ]
    if reading & KIND != LOCKED_KIND:
        older = older[:1] if not reading & NEWER_THAN_USED else []
    return f"{kind}, not newer than {' and '.join(older)}" if older else kind
