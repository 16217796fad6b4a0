"""The visit protocol: what may happen at the door, and in which order.

A *visit* is one attempt by one courier to deliver to one access point. It advances only by *facts* (past
tense) and answers with *orders* (imperative). This module does no I/O and reads no clock: it is told the
facts and the time, and others carry out the orders.

Rule 1: every rule about the order of events at the door stands in this file.
Rule 2: only a reading moves the door. That a command was accepted moves nothing but our patience.
Rule 3: in doubt, lock; if still in doubt, call a person.
Rule 4: orders depend on the state entered alone, so a crash is healed by doing a saved order again.
        Only UNLOCK is never done twice: its gate (`flow/gate.py`) opens once per grant.

Happy path:

    REQUESTED -> GRANTED -> UNLOCKING -> READY -> UNLOCKED -> OPEN -> CLOSED -> LOCKING -> DELIVERED
    at a home:  REQUESTED -> RINGING -> PROVING -> GRANTED -> ... (or RINGING -> ANSWERED -> HANDED_OVER)

and then the *tail*: the closure stays watched until a late unlock can't come any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum, auto

from unlatch.domain.access import Closure
from unlatch.domain.reading import Sight


class State(StrEnum):
    REQUESTED = auto()  # label read; waiting for a fresh reading, then for the decision
    RINGING = auto()  # homes: all checks passed; the courier rings or knocks, and waits for someone to come
    ANSWERED = auto()  # homes: someone opened the door themselves; nothing of ours opens it any more
    PROVING = auto()  # homes: granted, if the camera proves that it records
    GRANTED = auto()  # a live grant; the unlock has not passed its gate
    UNLOCKING = auto()  # the gate has passed: an unlock may be on its way
    IN_DOUBT = auto()  # the cloud says failed, or nothing: the closure may open all the same
    READY = auto()  # the cloud says unlocked; not seen yet
    UNLOCKED = auto()  # seen unlocked, not seen open
    OPEN = auto()  # seen open, or the courier says so
    OPEN_LONG = auto()  # open for longer than it should be; the courier is reminded
    CLOSED = auto()  # seen closed again, not yet locked
    LOCKING = auto()  # lock ordered, not yet seen locked
    STUCK = auto()  # the lock failed: the courier is asked to close firmly and to pull the handle
    LOCKING_AGAIN = auto()  # lock ordered a second time
    HANDLE_CHECK = auto()  # weak closures: the cloud says locked; the courier pulls the handle
    UNSECURED = auto()  # not seen locked in time: operator and consignee are called
    ACCOUNTING = auto()  # locked again, but nobody has said where the parcel is
    REVIEW = auto()  # an operator is asked to rule where the parcel is
    REFUSED = auto()  # final: no unlock left
    HANDED_OVER = auto()  # final: someone at home took the parcel; no unlock left
    DELIVERED = auto()  # final: opened, parcel inside, seen locked
    DELIVERED_LOCK_NOT_SEEN = auto()  # final: the same at a closure whose lock can't be read
    UNDELIVERED = (
        auto()
    )  # final: the parcel is with the courier, the closure was seen locked (or never touched)
    UNDELIVERED_LOCK_NOT_SEEN = auto()  # final: the same at a closure whose lock can't be read
    RULED_DELIVERED = auto()  # final: a person ruled so
    RULED_UNDELIVERED = auto()  # final: a person ruled so


class Fact(StrEnum):
    GRANTED = auto()  # decision
    DENIED = auto()
    RECORDING_PROVEN = auto()  # camera (homes)
    RECORDING_NOT_PROVEN = auto()
    RECORDING_LOST = auto()
    GATE_PASSED = auto()  # gate: grant USED and command SENT, committed
    GATE_SHUT = auto()
    RESTORED = auto()  # the fence was raised: what was recorded last may be lost, and an unlock may have left
    UNLOCK_SAID_DONE = auto()  # the four ends of the unlock
    UNLOCK_REJECTED = auto()
    UNLOCK_NOT_SENT = auto()
    UNLOCK_UNKNOWN = auto()
    LOCK_SAID_DONE = auto()  # the ends of a lock
    LOCK_FAILED = auto()
    SEEN_LOCKED = auto()  # reading
    SEEN_CLOSED = auto()  # closed, but not locked
    SEEN_OPEN = auto()
    SEEN_LOCKED_FOR_GOOD = auto()  # locked, observed after a late unlock could still come
    DROVE_OFF = auto()  # the car moves or has left its place
    COURIER_RANG = auto()  # courier
    COURIER_MET_SOMEONE = auto()  # homes: someone came to the door
    COURIER_HANDED_OVER = auto()  # homes: they took the parcel
    COURIER_OPENED = auto()
    COURIER_DEPOSITED = auto()
    COURIER_CLOSED = auto()
    COURIER_PULLED_HANDLE = auto()
    COURIER_GAVE_UP = auto()  # could not: the parcel stays with the courier
    BLOCKED = auto()  # consignee, or an operator who revokes
    CLOCK_RAN_OUT = auto()  # clock: the state's deadline
    PATIENCE_RAN_OUT = auto()  # clock: 390 s after the gate, not seen locked, nobody called
    RULED_DELIVERED = auto()  # operator
    RULED_UNDELIVERED = auto()


class Order(StrEnum):
    LOOK = auto()  # read the closure once, for the decision
    RING = auto()  # homes: the bell, where we can; else the courier is told to
    PROVE_RECORDING = auto()  # homes
    UNLOCK = auto()
    WATCH = auto()  # keep reading the closure until visit and tail are over
    LOCK = auto()
    REMIND_COURIER = auto()
    CALL_OPERATOR = auto()
    CALL_CONSIGNEE = auto()
    STOP_RECORDING = auto()  # homes
    ISSUE_PROOF = auto()
    TAKE_FALLBACK = auto()


class Tail(StrEnum):
    """The watch over the closure after the visit has ended."""

    NONE = auto()  # nothing was sent, or the visit still lives
    WATCHING = auto()
    ALARM = auto()  # seen unlocked or open after the visit: locked again, people called
    BLIND = auto()  # could not be read when a late unlock was no longer possible
    OVER = auto()


class Whereabouts(StrEnum):
    """Where the parcel is, by the courier's latest word."""

    UNSAID = auto()
    INSIDE = auto()
    WITH_COURIER = auto()


class Turn(StrEnum):
    """Targets of the table that depend on more than the state."""

    STAY = auto()  # noted; neither deadline nor orders change
    PREPARE = (
        auto()
    )  # RINGING where someone may be at home, PROVING where a recording is needed, else GRANTED
    RELOCK = auto()  # closed again: a lock that was tried in vain while it stood open must follow the closing
    SETTLE = auto()  # locked again: which end it is depends on the parcel and on what can be seen


Arrows = Mapping[Fact, State | Turn]
S, F, O, T, W = State, Fact, Order, Tail, Whereabouts  # noqa: E741
STAY, PREPARE, RELOCK, SETTLE = Turn.STAY, Turn.PREPARE, Turn.RELOCK, Turn.SETTLE

# Before the gate: whatever goes wrong, nothing has left, and nothing leaves any more.
_NOTHING_LEFT: Arrows = {
    F.RECORDING_LOST: S.REFUSED,
    F.BLOCKED: S.REFUSED,
    F.COURIER_GAVE_UP: S.REFUSED,
    F.CLOCK_RAN_OUT: S.REFUSED,
    F.RESTORED: S.REFUSED,
}
# Someone at home was faster than we.
_SOMEONE_CAME: Arrows = {
    F.COURIER_MET_SOMEONE: S.ANSWERED,
    F.COURIER_HANDED_OVER: S.HANDED_OVER,
    F.SEEN_OPEN: S.ANSWERED,
    F.SEEN_CLOSED: S.ANSWERED,
}
# A closure that was opened, or may be: what always counts, whichever of these states it is in.
_ALARMS: Arrows = {F.DROVE_OFF: S.UNSECURED, F.RECORDING_LOST: S.UNSECURED, F.PATIENCE_RAN_OUT: S.UNSECURED}
_OPENED: Arrows = {F.SEEN_OPEN: S.OPEN, F.COURIER_OPENED: S.OPEN, F.COURIER_DEPOSITED: S.OPEN}
_WORDS: Arrows = {F.COURIER_DEPOSITED: STAY, F.COURIER_GAVE_UP: STAY}
_NOT_YET_OPEN: Arrows = {
    **_ALARMS,
    **_OPENED,
    F.DROVE_OFF: S.LOCKING,
    F.COURIER_GAVE_UP: S.LOCKING,
    F.BLOCKED: S.LOCKING,
}
_WIDE_OPEN: Arrows = {
    **_ALARMS,
    **_WORDS,
    F.COURIER_OPENED: STAY,  # opened again, maybe: locked must be seen after this word
    F.SEEN_CLOSED: S.CLOSED,
    F.SEEN_LOCKED: SETTLE,
    F.COURIER_CLOSED: S.LOCKING,
    F.BLOCKED: S.LOCKING,
}
_BEING_LOCKED: Arrows = {
    **_ALARMS,
    **_WORDS,
    F.SEEN_OPEN: S.OPEN,
    F.COURIER_OPENED: S.OPEN,
    F.SEEN_LOCKED: SETTLE,
    F.LOCK_SAID_DONE: S.HANDLE_CHECK,
}
_RULINGS: Arrows = {
    F.RULED_DELIVERED: S.RULED_DELIVERED,
    F.RULED_UNDELIVERED: S.RULED_UNDELIVERED,
}
_UNACCOUNTED: Arrows = {
    **_RULINGS,
    F.COURIER_DEPOSITED: SETTLE,
    F.COURIER_GAVE_UP: SETTLE,
    F.SEEN_OPEN: S.OPEN,
    F.COURIER_OPENED: S.OPEN,
    F.SEEN_CLOSED: S.CLOSED,
}

# What each state makes of each fact. A fact not listed changes nothing: facts repeat and come late.
TRANSITIONS: Mapping[State, Arrows] = {
    S.REQUESTED: {**_NOTHING_LEFT, F.GRANTED: PREPARE, F.DENIED: S.REFUSED},
    S.RINGING: {**_NOTHING_LEFT, **_SOMEONE_CAME, F.COURIER_RANG: STAY, F.CLOCK_RAN_OUT: S.PROVING},
    S.ANSWERED: {**_NOTHING_LEFT, F.COURIER_HANDED_OVER: S.HANDED_OVER},
    S.PROVING: {
        **_NOTHING_LEFT,
        **_SOMEONE_CAME,
        F.RECORDING_PROVEN: S.GRANTED,
        F.RECORDING_NOT_PROVEN: S.REFUSED,
    },
    S.GRANTED: {
        **_NOTHING_LEFT,
        F.COURIER_MET_SOMEONE: S.ANSWERED,
        F.COURIER_HANDED_OVER: S.HANDED_OVER,
        F.GATE_PASSED: S.UNLOCKING,
        F.GATE_SHUT: S.REFUSED,
        F.UNLOCK_NOT_SENT: S.REFUSED,
        F.SEEN_OPEN: S.REFUSED,  # the resident was faster: nothing of ours may follow
        F.SEEN_CLOSED: S.REFUSED,
        F.DROVE_OFF: S.REFUSED,
    },
    S.UNLOCKING: {
        **_NOT_YET_OPEN,
        F.UNLOCK_SAID_DONE: S.READY,
        F.UNLOCK_NOT_SENT: S.UNDELIVERED,
        F.UNLOCK_REJECTED: S.IN_DOUBT,
        F.UNLOCK_UNKNOWN: S.IN_DOUBT,
        F.SEEN_CLOSED: S.UNLOCKED,
        F.CLOCK_RAN_OUT: S.IN_DOUBT,
    },
    S.IN_DOUBT: {
        **_NOT_YET_OPEN,
        F.UNLOCK_SAID_DONE: S.READY,
        F.SEEN_CLOSED: S.UNLOCKED,
        F.CLOCK_RAN_OUT: S.LOCKING,
    },
    S.READY: {**_NOT_YET_OPEN, F.SEEN_CLOSED: S.UNLOCKED, F.CLOCK_RAN_OUT: S.LOCKING},
    # Seen locked there: it relocked by itself, unopened.
    S.UNLOCKED: {**_NOT_YET_OPEN, F.SEEN_LOCKED: SETTLE, F.CLOCK_RAN_OUT: S.LOCKING},
    S.OPEN: {**_WIDE_OPEN, F.CLOCK_RAN_OUT: S.OPEN_LONG},
    S.OPEN_LONG: {**_WIDE_OPEN, F.CLOCK_RAN_OUT: S.UNSECURED},
    S.CLOSED: {
        **_ALARMS,
        **_WORDS,
        F.SEEN_OPEN: S.OPEN,
        F.COURIER_OPENED: S.OPEN,
        F.SEEN_LOCKED: SETTLE,
        F.COURIER_CLOSED: S.LOCKING,
        F.BLOCKED: S.LOCKING,
        F.CLOCK_RAN_OUT: S.LOCKING,
    },
    # A block orders the lock anew: the one before may have ended, and not have held (S4).
    S.LOCKING: {**_BEING_LOCKED, F.BLOCKED: S.LOCKING, F.LOCK_FAILED: S.STUCK, F.CLOCK_RAN_OUT: S.STUCK},
    S.STUCK: {
        **_BEING_LOCKED,
        F.COURIER_CLOSED: S.LOCKING_AGAIN,
        F.BLOCKED: S.LOCKING_AGAIN,
        F.CLOCK_RAN_OUT: S.LOCKING_AGAIN,
    },
    S.LOCKING_AGAIN: {
        **_BEING_LOCKED,
        F.BLOCKED: S.LOCKING_AGAIN,
        F.LOCK_FAILED: S.UNSECURED,
        F.CLOCK_RAN_OUT: S.UNSECURED,
    },
    S.HANDLE_CHECK: {
        **_ALARMS,
        **_WORDS,
        **_RULINGS,  # once a person was called: whose courier has gone, no handle is ever pulled
        F.COURIER_PULLED_HANDLE: SETTLE,
        F.SEEN_OPEN: S.OPEN,
        F.COURIER_OPENED: S.OPEN,
        F.BLOCKED: S.LOCKING,
        F.CLOCK_RAN_OUT: S.UNSECURED,
    },
    S.UNSECURED: {
        **_WORDS,
        **_RULINGS,
        F.SEEN_OPEN: STAY,
        F.COURIER_OPENED: STAY,
        F.SEEN_CLOSED: RELOCK,
        F.SEEN_LOCKED: SETTLE,
        F.LOCK_SAID_DONE: S.HANDLE_CHECK,
        F.COURIER_CLOSED: S.UNSECURED,
        F.BLOCKED: S.UNSECURED,
        F.RECORDING_LOST: S.UNSECURED,  # S3: people are called already, but not about this
        F.CLOCK_RAN_OUT: S.UNSECURED,
    },
    S.ACCOUNTING: {**_UNACCOUNTED, F.CLOCK_RAN_OUT: S.REVIEW},
    S.REVIEW: {**_UNACCOUNTED, F.CLOCK_RAN_OUT: S.REVIEW},
}

# Only where the lock can't be read does a command's answer count at all (S5).
WEAK_ONLY = frozenset({(state, F.LOCK_SAID_DONE) for state in State})

# After the end: what the tail makes of each fact. An operator may rule "it is the owner at their car": but while a
# late unlock may still come, the watch goes on.
_TAIL_ALARMS: Mapping[Fact, Tail] = {F.SEEN_OPEN: T.ALARM, F.SEEN_CLOSED: T.ALARM}
_TAIL_RULED: Mapping[Fact, Tail] = {F.RULED_DELIVERED: T.OVER, F.RULED_UNDELIVERED: T.OVER}
TAIL_TRANSITIONS: Mapping[Tail, Mapping[Fact, Tail]] = {
    T.WATCHING: {**_TAIL_ALARMS, F.SEEN_LOCKED_FOR_GOOD: T.OVER, F.CLOCK_RAN_OUT: T.BLIND},
    T.ALARM: {
        F.SEEN_LOCKED: T.WATCHING,
        F.SEEN_LOCKED_FOR_GOOD: T.OVER,
        F.RULED_DELIVERED: T.WATCHING,
        F.RULED_UNDELIVERED: T.WATCHING,
        F.CLOCK_RAN_OUT: T.ALARM,
    },
    T.BLIND: {**_TAIL_ALARMS, **_TAIL_RULED, F.SEEN_LOCKED_FOR_GOOD: T.OVER, F.CLOCK_RAN_OUT: T.BLIND},
}

# What is ordered on entering a state. Nothing else is ever ordered.
ORDERS: Mapping[State, tuple[Order, ...]] = {
    S.REQUESTED: (O.LOOK,),
    S.RINGING: (O.RING,),
    S.ANSWERED: (O.STOP_RECORDING,),
    S.PROVING: (O.PROVE_RECORDING,),
    S.GRANTED: (O.UNLOCK,),
    S.UNLOCKING: (O.WATCH,),
    S.OPEN_LONG: (O.REMIND_COURIER,),
    S.LOCKING: (O.LOCK,),
    S.STUCK: (O.REMIND_COURIER,),
    S.LOCKING_AGAIN: (O.LOCK,),
    S.UNSECURED: (O.LOCK, O.CALL_OPERATOR, O.CALL_CONSIGNEE),
    S.ACCOUNTING: (O.REMIND_COURIER,),
    S.REVIEW: (O.CALL_OPERATOR,),
    S.REFUSED: (O.STOP_RECORDING, O.TAKE_FALLBACK),
    S.HANDED_OVER: (O.STOP_RECORDING, O.ISSUE_PROOF),
    S.DELIVERED: (O.STOP_RECORDING, O.ISSUE_PROOF),
    S.DELIVERED_LOCK_NOT_SEEN: (O.STOP_RECORDING, O.ISSUE_PROOF, O.CALL_CONSIGNEE),
    S.UNDELIVERED: (O.STOP_RECORDING, O.TAKE_FALLBACK),
    S.UNDELIVERED_LOCK_NOT_SEEN: (O.STOP_RECORDING, O.TAKE_FALLBACK, O.CALL_CONSIGNEE),
    S.RULED_DELIVERED: (O.STOP_RECORDING, O.ISSUE_PROOF),
    S.RULED_UNDELIVERED: (O.STOP_RECORDING, O.TAKE_FALLBACK),
}
TAIL_ORDERS: Mapping[Tail, tuple[Order, ...]] = {
    T.ALARM: (O.LOCK, O.CALL_CONSIGNEE, O.CALL_OPERATOR),
    T.BLIND: (O.LOCK, O.CALL_CONSIGNEE, O.CALL_OPERATOR),  # in doubt, lock
}
CAMERA_ORDERS = frozenset({O.PROVE_RECORDING, O.STOP_RECORDING})

WANT_LOCK = frozenset({S.LOCKING, S.STUCK, S.LOCKING_AGAIN, S.HANDLE_CHECK, S.UNSECURED})
BEFORE_GATE = frozenset({S.REQUESTED, S.RINGING, S.ANSWERED, S.PROVING, S.GRANTED})

# How long a state may last, in seconds. No state waits for ever.
DEADLINES_S: Mapping[State, int] = {
    S.REQUESTED: 120,  # a slow cloud takes up to 94 s for a reading
    S.RINGING: 20,  # this, PROVING and the gate must fit into the 60 s of a decision (S1)
    S.ANSWERED: 180,
    S.PROVING: 15,
    S.GRANTED: 60,  # S1: a grant is at most 60 s old
    S.UNLOCKING: 120,
    S.IN_DOUBT: 45,
    S.READY: 120,
    S.UNLOCKED: 150,  # Volvo relocks itself after 120 s: let it be seen
    S.OPEN: 150,
    S.OPEN_LONG: 150,
    S.CLOSED: 20,
    S.LOCKING: 100,
    S.STUCK: 30,
    S.LOCKING_AGAIN: 100,
    S.HANDLE_CHECK: 90,
    S.UNSECURED: 120,
    S.ACCOUNTING: 180,
    S.REVIEW: 3600,
}
# WATCHING: after late_until. With Volvo's and OnStar's 300 s, people are called within 390 s of the gate (L1).
TAIL_DEADLINES_S: Mapping[Tail, int] = {T.WATCHING: 80, T.ALARM: 60, T.BLIND: 600}
LIVE = frozenset(DEADLINES_S)  # what may wait has a deadline; what has none is final
FINAL = frozenset(State) - LIVE
SECURE_WITHIN_S = 390  # L1: from the gate to seen locked, or a person is called
FIRST_BYTE_WITHIN_S = 1  # S1 allows 2: a lock that follows a block waits for this, and must leave within 2 s


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """All that the protocol knows of one attempt. Times are aware UTC; None: does not apply (yet)."""

    closure: Closure
    is_recorded: bool  # homes: no unlock without a proof of recording
    rings_first: bool = False  # homes: someone may be at home, and wants to be asked
    state: State = State.REQUESTED
    deadline_at: datetime | None = None  # of the state, or of the tail once the state is final
    whereabouts: Whereabouts = Whereabouts.UNSAID
    has_opened: bool = False
    stands_open: bool = False  # by the latest news of it
    decided_at: datetime | None = None  # when every check had passed: no grant is younger (S1)
    is_clean: bool = True  # False: the recording had a gap
    is_called: bool = False  # a person was called for the present opening
    secure_by: datetime | None = None  # runs from the gate until the closure was seen locked
    late_until: datetime | None = None  # until then an unlock of ours may still take effect
    locked_counts_after: datetime | None = None  # an opening was reported, or a lock ordered, then: look anew
    tail: Tail = Tail.NONE

    @property
    def is_live(self) -> bool:
        """Not yet ended (its tail may still be watched afterwards)."""
        return self.state in LIVE

    @property
    def waits_for_person(self) -> bool:
        """Whether an operator was called whose ruling ends it; such a call can't be closed before."""
        if not self.is_live:
            return self.tail in (T.ALARM, T.BLIND)
        return self.state in (S.UNSECURED, S.REVIEW) or (self.state is S.HANDLE_CHECK and self.is_called)

    @property
    def is_watched(self) -> bool:
        """Whether the closure must be read from time to time."""
        if self.is_live:
            is_waiting = self.state in (S.RINGING, S.PROVING)  # someone may come and open
            return is_waiting or self.late_until is not None or self.secure_by is not None
        return self.tail in TAIL_TRANSITIONS

    @property
    def wants_lock(self) -> bool:
        """Whether a lock that was ordered is still worth sending, though another was on its way first."""
        if self.is_live:
            return self.state in WANT_LOCK
        return O.LOCK in TAIL_ORDERS.get(self.tail, ()) or (
            self.tail is T.OVER and not self.closure.reads_lock
        )


def begin(
    closure: Closure, *, is_recorded: bool, rings_first: bool = False, now: datetime
) -> tuple[Visit, tuple[Order, ...]]:
    """A new visit and its first orders. `rings_first`: of places that are recorded alone."""
    visit = Visit(closure=closure, is_recorded=is_recorded, rings_first=rings_first and is_recorded)
    return _enter(visit, State.REQUESTED, now)


def step(visit: Visit, fact: Fact, now: datetime) -> tuple[Visit, tuple[Order, ...]]:
    """The visit after `fact`, and the orders to carry out. The same visit where the fact changes nothing."""
    if not visit.is_live:
        return _step_tail(visit, fact, now)
    target = TRANSITIONS[visit.state].get(fact)
    if target is None or (visit.closure.reads_lock and (visit.state, fact) in WEAK_ONLY):
        return visit, ()
    if fact in _RULINGS and visit.state is S.HANDLE_CHECK and not visit.is_called:
        return visit, ()  # the courier is asked first
    had_opened, stood_open = visit.has_opened, visit.stands_open
    visit = _note(visit, fact, now)
    if target is STAY:
        return visit, ()
    if target is PREPARE:
        target = S.RINGING if visit.rings_first else S.PROVING if visit.is_recorded else S.GRANTED
    elif target is RELOCK:
        if not stood_open:
            return visit, ()
        target = S.UNSECURED
    elif target is SETTLE:
        # Where the courier's word is the first news of an opening, it may be newer than what was seen (S5).
        is_news = visit.has_opened and not had_opened
        target = State.LOCKING if is_news else _settled(visit)
    return _enter(visit, State(target), now)


def due_fact(visit: Visit, now: datetime) -> Fact | None:
    """What the clock has to say about this visit, if anything."""
    if visit.is_live and not visit.is_called and visit.secure_by is not None and now >= visit.secure_by:
        return Fact.PATIENCE_RAN_OUT
    if visit.deadline_at is not None and now >= visit.deadline_at:
        return Fact.CLOCK_RAN_OUT
    return None


def fact_of_sight(visit: Visit, sight: Sight, observed_at: datetime) -> Fact | None:
    """Which fact of this visit a reading is; None where it says nothing.

    An unlock that has left may take effect long after. So *locked*, observed before the courier reported the
    opening or before we ordered the lock, says nothing about now, though it is newer than our last command (S5).
    """
    counts_after = visit.locked_counts_after
    if sight is Sight.LOCKED and counts_after is not None and observed_at <= counts_after:
        return None
    if sight is Sight.LOCKED and not visit.is_live and visit.late_until and observed_at >= visit.late_until:
        return Fact.SEEN_LOCKED_FOR_GOOD
    return {
        Sight.LOCKED: Fact.SEEN_LOCKED,
        Sight.CLOSED: Fact.SEEN_CLOSED,
        Sight.OPEN: Fact.SEEN_OPEN,
    }.get(sight)


def _note(visit: Visit, fact: Fact, now: datetime) -> Visit:
    """What a fact leaves behind, whatever the state it leads to."""
    if fact is F.GRANTED:
        return replace(visit, decided_at=now)
    if fact is F.COURIER_HANDED_OVER:
        return replace(visit, whereabouts=W.INSIDE)
    if fact is F.SEEN_OPEN:
        return replace(visit, has_opened=True, stands_open=True)
    if fact in (F.SEEN_CLOSED, F.SEEN_LOCKED, F.COURIER_CLOSED):
        return replace(visit, stands_open=False)
    if fact is F.COURIER_OPENED:
        return replace(visit, has_opened=True, stands_open=True, locked_counts_after=now)
    if fact is F.COURIER_DEPOSITED:
        # The word may be late, from a dead spot. It tells of an opening only where we knew of none.
        counts_after = visit.locked_counts_after if visit.has_opened else now
        return replace(visit, has_opened=True, whereabouts=W.INSIDE, locked_counts_after=counts_after)
    if fact is F.COURIER_GAVE_UP:
        return replace(visit, whereabouts=W.WITH_COURIER)
    if (
        fact is F.RESTORED
    ):  # what it cannot rule out, it watches: no other opening there until that is over (S2, L3)
        late_s = FIRST_BYTE_WITHIN_S + visit.closure.late_effect_s
        return replace(visit, late_until=now + timedelta(seconds=late_s))
    if fact is F.GATE_PASSED:
        late_s = FIRST_BYTE_WITHIN_S + visit.closure.late_effect_s  # the cloud counts from when it was sent
        secure_by = now + timedelta(seconds=SECURE_WITHIN_S)
        return replace(visit, secure_by=secure_by, late_until=now + timedelta(seconds=late_s))
    if fact is F.UNLOCK_NOT_SENT:
        return replace(visit, secure_by=None, late_until=None)
    if fact is F.RECORDING_LOST:
        return replace(visit, is_clean=False)
    return visit


def _settled(visit: Visit) -> State:
    """Locked again: seen so, or as well as such a closure can show. Which end is it?

    Never seen open proves nothing: a lid may open and close between two readings, and the courier's word may be
    under way from a dead spot. So the courier is asked wherever they have not said it (L4).
    """
    can_see = visit.closure.reads_lock
    if visit.whereabouts is W.UNSAID:
        return S.ACCOUNTING
    if visit.whereabouts is W.INSIDE:
        return S.DELIVERED if can_see else S.DELIVERED_LOCK_NOT_SEEN
    return S.UNDELIVERED if can_see else S.UNDELIVERED_LOCK_NOT_SEEN


def _enter(visit: Visit, state: State, now: datetime) -> tuple[Visit, tuple[Order, ...]]:
    """Enter (or re-enter) a state: its deadline, and its orders."""
    orders = tuple(
        order for order in ORDERS.get(state, ()) if visit.is_recorded or order not in CAMERA_ORDERS
    )
    if state in FINAL:
        return _begin_tail(replace(visit, state=state, secure_by=None), now), orders
    if O.LOCK in orders:
        visit = replace(visit, locked_counts_after=now)
    secure_by, is_called = visit.secure_by, visit.is_called or O.CALL_OPERATOR in orders
    if state is S.ACCOUNTING:  # locked again: this opening is over
        secure_by, is_called = None, False
    elif secure_by is None and visit.state in (S.ACCOUNTING, S.REVIEW) and state is not S.REVIEW:
        secure_by, is_called = now + timedelta(seconds=SECURE_WITHIN_S), False  # a new opening
    deadline_at = now + timedelta(seconds=DEADLINES_S[state])
    if secure_by is not None and not is_called:
        deadline_at = min(deadline_at, secure_by)
    after = replace(visit, state=state, deadline_at=deadline_at, secure_by=secure_by, is_called=is_called)
    return after, orders


def _begin_tail(visit: Visit, now: datetime) -> Visit:
    """The visit has ended; its closure stays watched while an unlock of ours may still take effect."""
    if visit.late_until is None:
        return replace(visit, deadline_at=None, tail=T.NONE)
    return _enter_tail(visit, T.WATCHING, now)


def _enter_tail(visit: Visit, tail: Tail, now: datetime) -> Visit:
    if tail is T.OVER:
        return replace(visit, tail=tail, deadline_at=None)
    starts_at = now
    if tail is T.WATCHING and visit.late_until is not None:
        starts_at = max(now, visit.late_until)
    return replace(visit, tail=tail, deadline_at=starts_at + timedelta(seconds=TAIL_DEADLINES_S[tail]))


def _step_tail(visit: Visit, fact: Fact, now: datetime) -> tuple[Visit, tuple[Order, ...]]:
    tail = TAIL_TRANSITIONS.get(visit.tail, {}).get(fact)
    if tail is None:
        return visit, ()
    # Where nobody can see whether a late unlock came, the consignee was asked to look when the visit ended, and what
    # may have opened since then is locked now, when nothing of ours can open it any more.
    is_unseeable = tail is T.BLIND and not visit.closure.reads_lock
    is_ruled = fact in _RULINGS and visit.late_until is not None and now >= visit.late_until
    if is_unseeable or is_ruled:
        tail = T.OVER
    orders = (O.LOCK,) if is_unseeable else TAIL_ORDERS.get(tail, ())
    if O.LOCK in orders:
        visit = replace(visit, locked_counts_after=now)
    return _enter_tail(visit, tail, now), orders
