"""One unlock and two workers: a gate, a pause, a death, a take-over by lease, a commit of which nobody hears.

The job of an unlock is handed over at least once, so both workers may hold it at the same time. Each goes its own way
in steps: it finds the command, locks its rows, commits the gate, sends, waits, holds an answer, records it; between two
steps it may be paused for any time, or die and begin anew with nothing in its head. Time since the gate is folded: the
first byte's time runs; it is over; the lease is over too. Once, the database may fail over to a copy that has not the
gate's commit: then the fence has risen.

Workers between whom no one can tell are the same: the two are kept in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from unlatch.domain.access import Closure
from unlatch.domain.visit import Fact, State
from unlatch.model.exploring import Step
from unlatch.model.rows import TRUTH_MOVES, TRUTHS, Ledger, Rows, describe, effect_on, locked_by_us
from unlatch.model.situation import (
    DEAD,
    ENDED_NOT_SENT,
    ENDED_UNKNOWN,
    GATED,
    LOCK_INTENT,
    LOCK_NONE,
    LOCK_SENT,
    MOST_EFFECTS,
    NOTHING,
    PASSED,
    WAITING,
    BrokenError,
)

INTENT, SENT, ENDED = range(3)  # the command's row; how it has ended stands in `Rows.unlock`
NO_GATE, FIRST_BYTE, LEASED, LEASE_OVER = range(4)  # the time since the gate
(
    IDLE,
    FOUND,  # has read the command, unlocked: INTENT
    AT_GATE,  # holds the rows; as it has read them, the gate opens
    AT_GATE_SHUT,  # holds the rows; as it has read them, the gate stays shut
    AT_GATE_LATE,  # holds the rows, and has read that it is not INTENT any more
    THROUGH,  # the gate is committed and it knows; no byte has left
    ASKING,  # bytes out
    HOLDS_DONE,  # an end that it has not recorded
    HOLDS_REJECTED,
    HOLDS_NOT_SENT,
    HOLDS_UNKNOWN,
) = range(11)
NAMES = (
    "idle", "has found the command", "at the gate", "at the gate, which stays shut", "at the gate too late",
    "through the gate", "waits for the cloud", "holds: done", "holds: rejected", "holds: not sent", "holds: unknown",
)  # fmt: skip
GATES = (AT_GATE, AT_GATE_SHUT, AT_GATE_LATE)
HELD = {
    HOLDS_DONE: Fact.UNLOCK_SAID_DONE,
    HOLDS_REJECTED: Fact.UNLOCK_REJECTED,
    HOLDS_NOT_SENT: Fact.UNLOCK_NOT_SENT,
    HOLDS_UNKNOWN: Fact.UNLOCK_UNKNOWN,
}


class Desk(NamedTuple):
    """The rows, the clock, both workers, and the truth that none of them knows."""

    visit: int
    unlock: int
    lock: int
    row: int
    time: int
    workers: tuple[int, int]
    emissions: int
    pending: int  # how often what was emitted may still take effect
    truth: int
    is_aged: bool  # the grant is older than 60 s
    is_restored: bool  # an epoch ago; a person looks at the place


# --- what the product does; mutants replace these ------------------------------------------------------------------


def locks_rows() -> bool:
    """The gate locks access point, visit, grant and command before it reads them."""
    return True


def may_send(time: int) -> bool:
    """The worker looks at its monotonic clock before the first byte."""
    return time == FIRST_BYTE


def gate_opens(state: State, *, is_aged: bool, is_of_old_epoch: bool) -> bool:
    """What the gate asks of visit and grant."""
    return state is State.GRANTED and not is_aged and not is_of_old_epoch


def is_sent_again_by_taker() -> bool:
    """Whether a worker that finds an unlock SENT and its lease over sends it. Never."""
    return False


def end_of_abandoned() -> Fact:
    """What is recorded where a worker never told the end: nobody can swear."""
    return Fact.UNLOCK_UNKNOWN


def may_lock_leave(row: int, time: int) -> bool:
    """A lock waits while an unlock is SENT and its first byte may still leave."""
    return row != SENT or time != FIRST_BYTE


class TwoWorkers:
    """One visit from its scan to the end of its tail, and whoever carries out its unlock."""

    def __init__(self, *, most_effects: int = MOST_EFFECTS) -> None:
        self.ledger = Ledger(Closure(reads_lock=True, reads_lid=True))
        self.most_effects = most_effects
        begun = Rows(self.ledger.begin(), NOTHING, LOCK_NONE)
        self.granted = self.ledger.record(begun, Fact.GRANTED)

    def first(self) -> Desk:
        return Desk(*self.granted, INTENT, NO_GATE, (IDLE, IDLE), 0, 0, 0, False, False)

    def is_end(self, now: Desk) -> bool:
        return self.ledger.known_of(now.visit).is_over and now.workers == (IDLE, IDLE)

    def describe(self, now: Desk) -> str:
        row = ("INTENT", "SENT", "ended")[now.row]
        workers = " | ".join(NAMES[each] for each in now.workers)
        return f"{describe(self.ledger, now.visit)}; {row}; {workers}; in truth {TRUTHS[now.truth]}"

    # --- what may happen next --------------------------------------------------------------------------------------

    def steps(self, now: Desk) -> Iterator[Step[Desk]]:
        """All that may happen next."""
        self._check(now)
        first, second = now.workers
        yield from self._of_a_worker(now, first, second)
        if second != first:
            yield from self._of_a_worker(now, second, first)
        yield from self._of_time(now)
        yield from self._of_the_lock(now)
        yield from self._of_the_world(now)

    def _check(self, now: Desk) -> None:
        """What must hold of every situation."""
        if now.emissions > 1:
            raise BrokenError("S2", "two emissions for one grant")
        if self.ledger.known_of(now.visit).is_over and not now.is_restored:
            if now.pending:
                raise BrokenError("L3", "nobody watches any more, and the unlock may still take effect")
            if THROUGH in now.workers and may_send(now.time):
                raise BrokenError("L3", "nobody watches any more, and the unlock may still leave")
        if now.unlock == ENDED_NOT_SENT and now.emissions:
            raise BrokenError("S1", "the command ends NOT_SENT, and its bytes have left")

    def _rows(self, now: Desk) -> Rows:
        return Rows(now.visit, now.unlock, now.lock)

    def _with(self, now: Desk, worker: int, other: int, **change: Any) -> Desk:
        workers = (worker, other) if worker <= other else (other, worker)
        return now._replace(workers=workers, **change)

    def _of_a_worker(self, now: Desk, worker: int, other: int) -> Iterator[Step[Desk]]:
        is_held = locks_rows() and other in GATES
        if worker != IDLE:
            yield Step("a worker dies, and begins anew", self._with(now, IDLE, other), True)
        if worker == IDLE and now.row == INTENT:
            yield Step("a worker is handed the unlock", self._with(now, FOUND, other), True)
        elif worker == FOUND and not is_held:
            yield Step("a worker locks the rows of the gate", self._with(now, self._view(now), other), True)
        elif worker == AT_GATE_LATE:
            yield Step("the gate: it is in other hands", self._with(now, IDLE, other), True)
        elif worker == AT_GATE_SHUT:
            shut = self.ledger.record(self._rows(now)._replace(unlock=DEAD), Fact.GATE_SHUT)
            after = self._with(now, IDLE, other, **shut._asdict(), row=ENDED)
            yield Step("the gate stays shut", after, True)
        elif worker == AT_GATE:
            yield from self._at_the_gate(now, other)
        elif worker == THROUGH:
            yield from self._through_the_gate(now, other)
        elif worker == ASKING:
            for words, held in (
                ("the cloud says unlocked", HOLDS_DONE),
                ("the cloud says rejected", HOLDS_REJECTED),
                ("the cloud says nothing", HOLDS_UNKNOWN),
            ):
                yield Step(words, self._with(now, held, other), True)
        elif worker in HELD and not is_held:
            yield self._recorded(now, HELD[worker], self._with(now, IDLE, other), "the worker records")

    def _view(self, now: Desk) -> int:
        """What the gate has read, once all of it is locked."""
        if now.row != INTENT:
            return AT_GATE_LATE
        state = self.ledger.known_of(now.visit).state
        opens = gate_opens(state, is_aged=now.is_aged, is_of_old_epoch=now.is_restored)
        return AT_GATE if opens else AT_GATE_SHUT

    def _at_the_gate(self, now: Desk, other: int) -> Iterator[Step[Desk]]:
        self._check_gate(now, self.ledger.known_of(now.visit).state)
        passed = self.ledger.record(self._rows(now)._replace(unlock=PASSED), Fact.GATE_PASSED)
        change = {**passed._asdict(), "row": SENT, "time": FIRST_BYTE}
        yield Step("the gate opens: USED, SENT", self._with(now, THROUGH, other, **change), True)
        words = "the gate opens, and its worker never hears of it"
        yield Step(words, self._with(now, IDLE, other, **change), True)

    def _check_gate(self, now: Desk, state: State) -> None:
        if now.unlock in GATED or now.row != INTENT:
            raise BrokenError("S2", "the gate opens a second time for one grant")
        if state is not State.GRANTED:
            raise BrokenError("S1", f"the gate opens in {state}")
        if now.is_aged:
            raise BrokenError("S1", "the gate opens on a grant older than 60 s")
        if now.is_restored:
            raise BrokenError("S10", "the gate opens on a grant from before the fence has risen")

    def _through_the_gate(self, now: Desk, other: int) -> Iterator[Step[Desk]]:
        yield Step("no byte can leave", self._with(now, HOLDS_NOT_SENT, other), True)
        if not may_send(now.time):
            return
        if now.time != FIRST_BYTE:
            raise BrokenError("S1", "the first byte leaves more than 2 s after the gate")
        for effects in range(self.most_effects + 1):
            after = self._with(now, ASKING, other, emissions=now.emissions + 1, pending=effects)
            yield Step(f"the unlock leaves; it can take effect {effects} times", after, True)

    def _recorded(self, now: Desk, fact: Fact, after: Desk, who: str) -> Step[Desk]:
        """The end of the unlock. The first end counts for the row; the fact is told to the visit all the same."""
        rows = self._rows(now)
        if now.row == SENT:
            is_not_sent = fact is Fact.UNLOCK_NOT_SENT
            rows = rows._replace(unlock=ENDED_NOT_SENT if is_not_sent else ENDED_UNKNOWN)
            after = after._replace(row=ENDED)
        if now.row == INTENT and not now.is_restored:
            raise BrokenError("S1", f"{fact} is recorded of an unlock that has not passed its gate")
        rows = self.ledger.record(rows, fact)
        return Step(f"{who} {fact}", after._replace(**rows._asdict()), True)

    def _of_time(self, now: Desk) -> Iterator[Step[Desk]]:
        if now.time == FIRST_BYTE:
            yield Step("the first byte's time is over", now._replace(time=LEASED), True)
        if now.time == LEASED:
            yield Step("the lease is over", now._replace(time=LEASE_OVER), True)
        if now.row == SENT and now.time == LEASE_OVER and not self._is_gate_held(now):
            yield self._recorded(now, end_of_abandoned(), now, "whoever takes over records")
            if is_sent_again_by_taker() and IDLE in now.workers:
                first, second = now.workers
                again = self._with(now, THROUGH, second if first == IDLE else first, time=FIRST_BYTE)
                yield Step("whoever takes over sends it again", again, True)
        if now.unlock == WAITING and not now.is_aged and not any(each in GATES for each in now.workers):
            yield Step("the grant grows older than 60 s", now._replace(is_aged=True), True)
        if now.time >= FIRST_BYTE and not now.is_restored and now.unlock in GATED:
            shut = self._restored(now)
            yield Step("a failover loses the gate's commit; the fence rises, a person is called", shut, True)

    def _is_gate_held(self, now: Desk) -> bool:
        return locks_rows() and any(each in GATES for each in now.workers)

    def _restored(self, now: Desk) -> Desk:
        """The rows as they were before the gate; what was sent and what workers know is as it is."""
        first, second = (IDLE if each in GATES else each for each in now.workers)
        before = self._with(now, first, second, **self.granted._asdict(), row=INTENT)
        return before._replace(is_aged=False, is_restored=True)

    def _of_the_lock(self, now: Desk) -> Iterator[Step[Desk]]:
        if now.lock == LOCK_INTENT and may_lock_leave(now.row, now.time):
            if now.row == SENT and now.time == FIRST_BYTE:
                raise BrokenError("S4", "the lock overtakes the unlock that it is to undo")
            yield Step("the lock leaves", now._replace(lock=LOCK_SENT), True)
        if now.lock != LOCK_SENT or self._is_gate_held(now):
            return
        if now.truth == 1:
            locked = now._replace(truth=locked_by_us(now.truth))
            yield Step("the lock takes effect; its worker dies, and it is sent again", locked, True)
        for fact in (Fact.LOCK_SAID_DONE, Fact.LOCK_FAILED):
            rows = self.ledger.record(self._rows(now)._replace(lock=LOCK_NONE), fact)
            yield Step(f"the lock ends: {fact}", now._replace(**rows._asdict()), True)

    def _of_the_world(self, now: Desk) -> Iterator[Step[Desk]]:
        if now.pending:
            after = now._replace(pending=now.pending - 1, truth=effect_on(now.truth))
            yield Step("the unlock takes effect", after, True)
        for words, truth in TRUTH_MOVES[now.truth]:
            yield Step(words, now._replace(truth=truth), False)
        if self.ledger.known_of(now.visit).can_be_late and now.time != FIRST_BYTE:
            after = now._replace(visit=self.ledger.without_late(now.visit), pending=0)
            yield Step("a late unlock can't come any more", after, True)
        if self._is_gate_held(now):
            return  # the visit's row is locked
        rows = self._rows(now)
        for told in self.ledger.next_rows(rows, now.truth):
            yield Step(told.words, self._noted(now, told.rows), told.is_ours)
        blocked = self.ledger.record(rows, Fact.BLOCKED)
        if blocked != rows:
            yield Step("the consignee blocks", self._noted(now, blocked), False)

    def _noted(self, now: Desk, rows: Rows) -> Desk:
        """A visit that ends before its gate takes its unlock with it."""
        row = ENDED if rows.unlock == DEAD else now.row
        return Desk._make((*rows, row, *now[4:]))
