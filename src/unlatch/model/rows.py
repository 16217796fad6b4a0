"""A visit with its rows: what one transaction of `record` writes, and what may happen to it next.

For the models of several actors. Here readings are fresh and lose no time; late, doubled and reordered ones are the
models' of one visit and of the inbox.
"""

from __future__ import annotations

from typing import NamedTuple

from unlatch.domain.access import Closure
from unlatch.domain.visit import Fact, Order, State, Tail
from unlatch.model.folding import Visits
from unlatch.model.invariants import check_fact
from unlatch.model.situation import (
    AFTER_FAR,
    AFTER_LATE,
    CLOSED_KIND,
    DEAD,
    FAR,
    GATED,
    LOCK_INTENT,
    LOCK_NONE,
    LOCKED_KIND,
    NEWEST,
    NOTHING,
    OPEN_KIND,
    PAST,
    RULINGS,
    SEEN_LOCKED_STATES,
    WAITING,
    BrokenError,
)

WORDS = (Fact.COURIER_OPENED, Fact.COURIER_DEPOSITED, Fact.COURIER_CLOSED, Fact.COURIER_GAVE_UP)
KIND_OF_TRUTH = (LOCKED_KIND, CLOSED_KIND, OPEN_KIND)  # locked | closed, not locked | open
TRUTHS = ("locked", "unlocked", "open")
TRUTH_MOVES = (  # by people or by itself
    (("the resident unlocks", 1),),
    (("the lid is opened", 2), ("it is locked by hand or by itself", 0)),
    (("the lid is closed", 1),),
)


class Rows(NamedTuple):
    """One visit as the database holds it."""

    visit: int  # which of the visits met so far
    unlock: int  # its grant, its row and its worker, as one word of `situation.py`
    lock: int


class Happening(NamedTuple):
    """A fact that may come next."""

    words: str
    fact: Fact
    reading: int  # -1: it is none
    is_ours: bool


class Next(NamedTuple):
    """The rows after such a fact."""

    words: str
    rows: Rows
    is_ours: bool


class Known(NamedTuple):
    """What a visit says of itself."""

    state: State
    is_live: bool
    is_watched: bool  # its tail says that an unlock may still take effect
    is_over: bool  # visit and tail have ended
    is_exposed: bool  # it lives, and the closure was not seen locked again
    can_be_late: bool  # an unlock of ours may still take effect, as the protocol counts the time


class Ledger(Visits):
    """What `record` does to the rows of a visit; every invariant of a fact is checked on the way."""

    def __init__(self, closure: Closure) -> None:
        super().__init__(closure)
        self._after: dict[tuple[Rows, Fact, int], Rows] = {}
        self._next: dict[tuple[Rows, int], tuple[Next, ...]] = {}
        self._known: dict[int, Known] = {}

    def record(self, rows: Rows, fact: Fact, reading: int = -1) -> Rows:
        """Visit, commands and grant after one fact, in one transaction."""
        key = rows, fact, reading
        known = self._after.get(key)
        if known is None:
            known = self._after[key] = self._record(rows, fact, reading)
        return known

    def _record(self, rows: Rows, fact: Fact, reading: int) -> Rows:
        number, unlock, lock = rows
        after_number, orders, _ = self.step(number, fact)
        before, after = self.visits[number], self.visits[after_number]
        check_fact(before, after, fact, orders, unlock, lock, reading)
        if Order.UNLOCK in orders:
            if unlock != NOTHING:
                raise BrokenError("S2", f"a second unlock is ordered by {fact} in {before.state}")
            unlock = WAITING
        if not after.is_live and unlock == WAITING:
            unlock = DEAD
        if Order.LOCK in orders and lock == LOCK_NONE:
            lock = LOCK_INTENT
        return Rows(after_number, unlock, lock)

    def known_of(self, number: int) -> Known:
        """What is asked of a visit again and again."""
        known = self._known.get(number)
        if known is None:
            visit = self.visits[number]
            is_watched = not visit.is_live and visit.tail not in (Tail.NONE, Tail.OVER)
            known = self._known[number] = Known(
                state=visit.state,
                is_live=visit.is_live,
                is_watched=is_watched,
                is_over=not visit.is_live and not is_watched,
                is_exposed=visit.is_live and visit.state not in SEEN_LOCKED_STATES,
                can_be_late=visit.late_until == FAR,
            )
        return known

    def next_rows(self, rows: Rows, truth: int) -> tuple[Next, ...]:
        """What clock, readings and people may tell of this visit that changes it; `truth`: how the closure stands."""
        key = rows, truth
        known = self._next.get(key)
        if known is None:
            told = [*self._of_the_clock(rows.visit), *self._of_people()]
            if rows.unlock in GATED:
                told += self._of_readings(rows.visit, truth)
            after = [(each, self.record(rows, each.fact, each.reading)) for each in told]
            known = self._next[key] = tuple(
                Next(each.words, recorded, each.is_ours) for each, recorded in after if recorded != rows
            )
        return known

    def _of_the_clock(self, number: int) -> list[Happening]:
        visit, told = self.visits[number], []
        if visit.is_live and visit.secure_by is not None and not visit.is_called:
            due = self.due_fact(number, is_patience=True)
            if due is None:
                raise BrokenError("L1", f"390 s have passed in {visit.state} and the clock says nothing")
            told.append(Happening("390 s have passed", due, -1, True))
        is_waiting = visit.deadline_at == AFTER_FAR and visit.late_until == FAR
        if visit.deadline_at is not None and not is_waiting:
            due = self.due_fact(number, is_patience=False)
            if due is None:
                raise BrokenError("L2", f"the deadline of {visit.state} passes and the clock says nothing")
            told.append(Happening("the deadline passes", due, -1, True))
        return told

    def _of_readings(self, number: int, truth: int) -> list[Happening]:
        late = AFTER_LATE if self.visits[number].late_until == PAST else 0
        reading = KIND_OF_TRUTH[truth] | NEWEST | late
        fact = self.fact_of(number, reading)
        if fact is None:
            return []
        return [Happening(f"it is read: {TRUTHS[truth]}", fact, reading, True)]

    def _of_people(self) -> list[Happening]:
        told = [Happening(f"the courier says {fact}", fact, -1, False) for fact in WORDS]
        told.append(Happening("the car drives off", Fact.DROVE_OFF, -1, False))
        told += [Happening(f"the operator says {fact}", fact, -1, True) for fact in sorted(RULINGS)]
        return told


def locked_by_us(truth: int) -> int:
    """What becomes of a closure to which a lock comes: a lid that stands open can't be locked."""
    return 0 if truth == 1 else truth


def effect_on(truth: int) -> int:
    """What becomes of a closure in which an unlock takes effect."""
    return 1 if truth == 0 else truth


def describe(ledger: Ledger, number: int) -> str:
    """How a visit stands, for a story."""
    visit = ledger.visits[number]
    return visit.state.name if visit.is_live else f"{visit.state.name}, tail {visit.tail.name}"
