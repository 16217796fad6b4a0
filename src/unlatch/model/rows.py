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


class Ledger(Visits):
    """What `record` does to the rows of a visit; every invariant of a fact is checked on the way."""

    def __init__(self, closure: Closure) -> None:
        super().__init__(closure)
        self._after: dict[tuple[Rows, Fact, int], Rows] = {}
        self._next: dict[tuple[int, bool, int, bool], tuple[Happening, ...]] = {}

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

    def state_of(self, number: int) -> State:
        return self.visits[number].state

    def is_live(self, number: int) -> bool:
        return self.visits[number].is_live

    def is_watched(self, number: int) -> bool:
        """Whether the tail of an ended visit says that an unlock may still take effect."""
        return self.visits[number].tail not in (Tail.NONE, Tail.OVER)

    def is_over(self, number: int) -> bool:
        """Whether visit and tail have ended."""
        return not self.is_live(number) and not self.is_watched(number)

    def can_be_late(self, number: int) -> bool:
        """Whether an unlock of ours may still take effect, as the protocol counts the time."""
        return self.visits[number].late_until == FAR

    def next_facts(self, rows: Rows, truth: int, *, is_read: bool = True) -> tuple[Happening, ...]:
        """What clock, readings and people may tell of this visit; `truth`: how the closure stands."""
        key = rows.visit, rows.unlock in GATED, truth, is_read
        known = self._next.get(key)
        if known is None:
            told = [*self._of_the_clock(rows.visit), *self._of_people(rows.visit)]
            if is_read and rows.unlock in GATED:
                told += self._of_readings(rows.visit, truth)
            known = self._next[key] = tuple(told)
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

    def _of_people(self, number: int) -> list[Happening]:
        told = [Happening(f"the courier says {fact}", fact, -1, False) for fact in WORDS]
        told.append(Happening("the car drives off", Fact.DROVE_OFF, -1, False))
        told += [Happening(f"the operator says {fact}", fact, -1, True) for fact in sorted(RULINGS)]
        changed = []
        for each in told:
            after, orders, _ = self.step(number, each.fact)
            if after != number or orders:
                changed.append(each)
        return changed


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
