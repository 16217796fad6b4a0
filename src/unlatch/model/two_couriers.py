"""Two who want one place, and what keeps them apart: the place's row, the unique indexes, the tail, the gate.

A scan is a transaction in steps: it locks the row of its place, then reads how things stand, then inserts its visit,
which a unique index may refuse. So is the decision after a look. Between the steps of one, everything of the others may
happen that its locks allow. Three kinds of meeting are searched:

- several couriers at one place: they share its row, and its index;
- two places with one car behind them: no row is shared, only the closure's index and what the gate looks at again;
- one courier with two phones at two places: only the courier's index.

Couriers between whom no one can tell are the same: the attempts of a situation are kept in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from functools import cache
from typing import NamedTuple

from unlatch.domain.access import Closure
from unlatch.domain.visit import Fact, State
from unlatch.model.exploring import Step
from unlatch.model.judging import judge
from unlatch.model.rows import TRUTH_MOVES, TRUTHS, Ledger, Rows, describe, effect_on, locked_by_us
from unlatch.model.situation import (
    DEAD,
    ENDED_NOT_SENT,
    ENDED_UNKNOWN,
    LOCK_INTENT,
    LOCK_NONE,
    MOST_EFFECTS,
    NOTHING,
    PASSED,
    SENT,
    WAITING,
    BrokenError,
)


class Meeting(Enum):
    """What the attempts have in common."""

    ONE_PLACE = auto()
    ONE_CAR = auto()  # behind two places
    ONE_COURIER = auto()  # with two phones, at two places


OUTSIDE, STARTED, HAS_READ = range(3)  # of a transaction that scans or decides
BUSY, WATCHED, COURIER_BUSY = 1, 2, 4  # what it has read
NOBODY = -1


class Attempt(NamedTuple):
    """One who wants to open: the transaction under way, what it has read, and the visit that came of it."""

    transaction: int
    seen: int
    visit: int
    unlock: int
    lock: int
    pending: int  # how often the unlock may still take effect
    truth: int  # of the own closure, where it is not shared


class Doors(NamedTuple):
    """How it stands with all of them."""

    truth: int
    attempts: tuple[Attempt, ...]


AWAY = Attempt(OUTSIDE, 0, NOBODY, NOTHING, LOCK_NONE, 0, 0)

# --- what the product does; mutants replace these ------------------------------------------------------------------


def locks_place(meeting: Meeting) -> bool:
    """Whether two scans wait for each other at the row of their place."""
    return meeting is Meeting.ONE_PLACE


def reads_after_lock() -> bool:
    """The rows are read by a statement of its own: one that waits goes on with what it saw before it waited."""
    return True


def index_refuses(meeting: Meeting) -> bool:
    """The three partial unique indexes on live visits: by place, by closure, by courier."""
    return True


def gate_looks_at_tail() -> bool:
    """Whether the gate asks again for an earlier unlock that may still take effect."""
    return True


@cache
def _grants(seen: int) -> bool:
    return judge(
        is_place_busy=bool(seen & BUSY),
        is_place_watched=bool(seen & WATCHED),
        is_courier_busy=bool(seen & COURIER_BUSY),
    )


class TwoCouriers:
    """A few attempts, each of which may be tried again when it has ended."""

    def __init__(self, meeting: Meeting, *, attempts: int = 2) -> None:
        self.meeting = meeting
        self.attempts = attempts
        self.has_one_closure = meeting is not Meeting.ONE_COURIER
        self.ledger = Ledger(Closure(reads_lock=True, reads_lid=True))
        self.begun = self.ledger.begin()
        _grants.cache_clear()

    def first(self) -> Doors:
        return Doors(0, (AWAY,) * self.attempts)

    def is_end(self, now: Doors) -> bool:
        return all(each.transaction == OUTSIDE and each.visit == NOBODY for each in now.attempts)

    def describe(self, now: Doors) -> str:
        told = [self._name(each) for each in now.attempts]
        if self.has_one_closure:
            told.append(f"in truth {TRUTHS[now.truth]}")
        return "; ".join(told)

    def _name(self, attempt: Attempt) -> str:
        scan = ("", "in a transaction", "has read")[attempt.transaction]
        visit = describe(self.ledger, attempt.visit) if attempt.visit != NOBODY else ""
        return ", ".join(filter(None, (scan, visit))) or "away"

    # --- what may happen next --------------------------------------------------------------------------------------

    def steps(self, now: Doors) -> Iterator[Step[Doors]]:
        """All that may happen next."""
        for index, attempt in enumerate(now.attempts):
            if index and attempt == now.attempts[index - 1]:
                continue  # the same as the one before
            yield from self._of_the_transaction(now, index, attempt)
            if attempt.visit != NOBODY:
                yield from self._of_the_gate(now, index, attempt)
                yield from self._of_the_worker(now, index, attempt)
                yield from self._of_the_visit(now, index, attempt)
        if self.has_one_closure:
            for words, truth in TRUTH_MOVES[now.truth]:
                yield Step(words, Doors(truth, now.attempts), False)

    def _with(
        self, now: Doors, index: int, attempt: Attempt, truth: int | None = None, **change: int
    ) -> Doors:
        """The situation with one attempt changed; what is over is forgotten, what is alike is put in order."""
        if change:
            attempt = attempt._replace(**change)
        if truth is not None and not self.has_one_closure:
            attempt, truth = attempt._replace(truth=truth), None
        if attempt.visit != NOBODY and attempt.transaction == OUTSIDE:
            attempt = self._forgotten(attempt)
        attempts = sorted((*now.attempts[:index], attempt, *now.attempts[index + 1 :]))
        after = Doors(now.truth if truth is None else truth, tuple(attempts))
        self._check(after)
        return after

    def _with_rows(
        self, now: Doors, index: int, attempt: Attempt, rows: Rows, truth: int | None = None
    ) -> Doors:
        """The situation with these rows of one visit."""
        changed = Attempt(attempt.transaction, attempt.seen, *rows, attempt.pending, attempt.truth)
        return self._with(now, index, changed, truth)

    def _forgotten(self, attempt: Attempt) -> Attempt:
        number = attempt.visit
        if self.ledger.known_of(number).is_over:
            if attempt.pending or attempt.unlock == PASSED:
                raise BrokenError("L3", "nobody watches any more, and the unlock may still take effect")
            return AWAY
        if not self.has_one_closure and not self.ledger.known_of(number).is_live:
            return AWAY  # its tail is of another place: nothing of it is asked here
        return attempt

    def _check(self, now: Doors) -> None:
        """S6, in every situation."""
        live = [
            each for each in now.attempts if each.visit != NOBODY and self.ledger.known_of(each.visit).is_live
        ]
        if len(live) > 1:
            what = ("access point", "car", "courier")[self.meeting.value - 1]
            raise BrokenError("S6", f"two visits live, of one {what}")

    def _others(self, now: Doors, index: int) -> tuple[Attempt, ...]:
        return now.attempts[:index] + now.attempts[index + 1 :]

    def _has_lock(self, attempt: Attempt) -> bool:
        return attempt.transaction == HAS_READ or (attempt.transaction == STARTED and reads_after_lock())

    def _is_place_free(self, now: Doors, index: int) -> bool:
        if not locks_place(self.meeting):
            return True
        return not any(self._has_lock(each) for each in self._others(now, index))

    def _read(self, now: Doors, index: int) -> int:
        """What the one query of the decision sees of the others, committed as it is."""
        seen = 0
        for other in self._others(now, index):
            if other.visit == NOBODY:
                continue
            if self.ledger.known_of(other.visit).is_live:
                seen |= COURIER_BUSY if self.meeting is Meeting.ONE_COURIER else BUSY
            elif self.ledger.known_of(other.visit).is_watched:
                seen |= WATCHED
        return seen

    def _of_the_transaction(self, now: Doors, index: int, attempt: Attempt) -> Iterator[Step[Doors]]:
        """A scan, or the decision after a look: lock, read, write."""
        is_scan = attempt.visit == NOBODY
        is_asking = is_scan or self.ledger.known_of(attempt.visit).state is State.REQUESTED
        what = "a scan" if is_scan else "the decision after a look"
        if attempt.transaction == OUTSIDE and is_asking:
            if not reads_after_lock():
                after = self._with(now, index, attempt, transaction=STARTED, seen=self._read(now, index))
                yield Step(f"{what} reads how things stand, and waits for the place", after, not is_scan)
            elif self._is_place_free(now, index):
                words = f"{what} locks its place"
                yield Step(words, self._with(now, index, attempt, transaction=STARTED), not is_scan)
        elif attempt.transaction == STARTED:
            if reads_after_lock():
                after = self._with(now, index, attempt, transaction=HAS_READ, seen=self._read(now, index))
                yield Step(f"{what} reads how things stand", after, True)
            elif self._is_place_free(now, index):
                after = self._with(now, index, attempt, transaction=HAS_READ)
                yield Step(f"{what} has its place locked", after, True)
        elif attempt.transaction == HAS_READ:
            yield Step(f"{what} is rolled back", self._with(now, index, attempt, transaction=0, seen=0), True)
            yield from self._write(now, index, attempt, is_scan=is_scan)

    def _write(self, now: Doors, index: int, attempt: Attempt, *, is_scan: bool) -> Iterator[Step[Doors]]:
        others = self._others(now, index)
        done = attempt._replace(transaction=OUTSIDE, seen=0)
        if not is_scan and self.ledger.known_of(attempt.visit).state is not State.REQUESTED:
            yield Step("the decision finds it decided already", self._with(now, index, done), True)
            return
        if is_scan:
            is_taken = any(
                each.visit != NOBODY and self.ledger.known_of(each.visit).is_live for each in others
            )
            done = done._replace(visit=self.begun)
            if is_taken and index_refuses(self.meeting):
                if attempt.seen & (BUSY | COURIER_BUSY):
                    refused = attempt._replace(transaction=OUTSIDE, seen=0)
                    yield Step("the scan is refused: busy", self._with(now, index, refused), True)
                else:
                    again = attempt._replace(transaction=OUTSIDE, seen=0)
                    words = "the unique index refuses the scan, which begins anew"
                    yield Step(words, self._with(now, index, again), True)
                return
            if _grants(attempt.seen):
                yield Step("the scan finds no fresh reading: look first", self._with(now, index, done), True)
        fact = Fact.GRANTED if _grants(attempt.seen) else Fact.DENIED
        if fact is Fact.GRANTED and self.meeting is Meeting.ONE_PLACE:
            self._check_earlier(others, "a grant is given")
        rows = self.ledger.record(Rows(done.visit, done.unlock, done.lock), fact)
        after = self._with_rows(now, index, done, rows)
        yield Step(f"the decision: {fact}, committed", after, True)

    def _check_earlier(self, others: tuple[Attempt, ...], what: str) -> None:
        if not self.has_one_closure:
            return
        for other in others:
            if other.visit == NOBODY:
                continue
            if other.pending or other.unlock == PASSED or self.ledger.known_of(other.visit).is_watched:
                raise BrokenError("S2", f"{what} while an earlier unlock may still take effect")

    def _of_the_gate(self, now: Doors, index: int, attempt: Attempt) -> Iterator[Step[Doors]]:
        if attempt.unlock != WAITING or not self._is_place_free(now, index):
            return
        others = self._others(now, index)
        is_watched = any(
            each.visit != NOBODY and self.ledger.known_of(each.visit).is_watched for each in others
        )
        rows = Rows(attempt.visit, attempt.unlock, attempt.lock)
        if is_watched and self.has_one_closure and gate_looks_at_tail():
            shut = self.ledger.record(rows._replace(unlock=DEAD), Fact.GATE_SHUT)
            words = "the gate stays shut: an earlier unlock may still take effect"
            yield Step(words, self._with_rows(now, index, attempt, shut), True)
            return
        self._check_earlier(others, "the gate opens")
        passed = self.ledger.record(rows._replace(unlock=PASSED), Fact.GATE_PASSED)
        yield Step("the gate opens", self._with_rows(now, index, attempt, passed), True)
        shut = self.ledger.record(rows._replace(unlock=DEAD), Fact.GATE_SHUT)
        yield Step("the gate stays shut", self._with_rows(now, index, attempt, shut), True)

    def _of_the_worker(self, now: Doors, index: int, attempt: Attempt) -> Iterator[Step[Doors]]:
        rows = Rows(attempt.visit, attempt.unlock, attempt.lock)
        if attempt.unlock == PASSED:
            for effects in range(MOST_EFFECTS + 1):
                words = f"the unlock leaves; it can take effect {effects} times"
                yield Step(words, self._with(now, index, attempt, unlock=SENT, pending=effects), True)
            for unlock, fact in (
                (ENDED_NOT_SENT, Fact.UNLOCK_NOT_SENT),
                (ENDED_UNKNOWN, Fact.UNLOCK_UNKNOWN),
            ):
                ended = self.ledger.record(rows._replace(unlock=unlock), fact)
                yield Step(f"no byte leaves: {fact}", self._with_rows(now, index, attempt, ended), True)
        elif attempt.unlock == SENT:
            for fact in (Fact.UNLOCK_SAID_DONE, Fact.UNLOCK_REJECTED, Fact.UNLOCK_UNKNOWN):
                ended = self.ledger.record(rows._replace(unlock=ENDED_UNKNOWN), fact)
                yield Step(f"the unlock ends: {fact}", self._with_rows(now, index, attempt, ended), True)
        if attempt.lock == LOCK_INTENT and attempt.unlock != PASSED:
            truth = now.truth if self.has_one_closure else attempt.truth
            unordered = rows._replace(lock=LOCK_NONE)
            done = self.ledger.record(unordered, Fact.LOCK_SAID_DONE)
            locked = self._with_rows(now, index, attempt, done, locked_by_us(truth))
            yield Step("the lock leaves, and locks", locked, True)
            failed = self.ledger.record(unordered, Fact.LOCK_FAILED)
            yield Step("the lock fails", self._with_rows(now, index, attempt, failed), True)

    def _of_the_visit(self, now: Doors, index: int, attempt: Attempt) -> Iterator[Step[Doors]]:
        truth = now.truth if self.has_one_closure else attempt.truth
        rows = Rows(attempt.visit, attempt.unlock, attempt.lock)
        if attempt.pending:
            after = self._with(now, index, attempt, effect_on(truth), pending=attempt.pending - 1)
            yield Step("the unlock takes effect", after, True)
        if self.ledger.known_of(attempt.visit).can_be_late and attempt.unlock != PASSED:
            after = self._with(now, index, attempt, visit=self.ledger.without_late(attempt.visit), pending=0)
            yield Step("a late unlock can't come any more", after, True)
        for told in self.ledger.next_rows(rows, truth):
            yield Step(told.words, self._with_rows(now, index, attempt, told.rows), told.is_ours)
        if not self._has_lock(attempt) and self._is_place_free(now, index):
            blocked = self.ledger.record(rows, Fact.BLOCKED)
            if blocked != rows:
                yield Step("the visit is blocked", self._with_rows(now, index, attempt, blocked), False)
        if not self.has_one_closure:
            for words, moved in TRUTH_MOVES[truth]:
                yield Step(words, self._with(now, index, attempt, moved), False)
