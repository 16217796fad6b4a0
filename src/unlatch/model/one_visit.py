"""A model of one place: the real visit protocol between a gate, a worker, a cloud, a car and people.

The visit is the real one (`folding.py`). What is modelled is all around it: the gate and the worker that may die or be
paused at every point, the cloud that lies, a car that is late or moves by itself, a courier who says anything, readings
that are old, doubled and out of order.
"""

from __future__ import annotations

from collections.abc import Iterator

from unlatch.domain.visit import Fact, Order, State, Visit
from unlatch.model.folding import Visits
from unlatch.model.invariants import check_fact, check_gate
from unlatch.model.situation import (
    AFTER_FAR,
    AFTER_LATE,
    AGED,
    AJAR,
    BLOCKED,
    CLOSED_KIND,
    COURIER_WORDS,
    DEAD,
    DOUBLED,
    ENDED_UNKNOWN,
    FAR,
    GATED,
    KIND,
    LOCK_INTENT,
    LOCK_NONE,
    LOCK_SENT,
    LOCKED_BY_US,
    LOCKED_KIND,
    NEWER_THAN_COMMAND,
    NEWER_THAN_MARK,
    NEWER_THAN_USED,
    NEWER_THAN_WORD,
    NEWEST,
    NOT_PROVEN,
    NOTHING,
    ONLY_IF,
    OPEN,
    OPEN_KIND,
    PASSED,
    PAST,
    PROVEN,
    RECORDED,
    RECORDING,
    RULINGS,
    SENT,
    SHUT,
    TAKEN_OVER,
    UNPROVEN,
    WAITING,
    WATCHED_TAILS,
    WITH_PENDING,
    WORKER_MOVES,
    Belief,
    BrokenError,
    Move,
    Variant,
    describe_reading,
)

# --- what `flow` does, in the words of the protocol; mutants replace these -----------------------------------


def gate_opens(visit: Visit, unlock: int, flags: int) -> bool:
    """The one transaction that checks again what may have changed."""
    if unlock != WAITING or visit.state is not State.GRANTED:
        return False
    if flags & (BLOCKED | AGED):
        return False
    return not visit.is_recorded or flags & RECORDING == PROVEN


def may_send(unlock: int) -> bool:
    """The worker looks at its monotonic clock before the first byte."""
    return unlock == PASSED


def is_sent_again(unlock: int) -> bool:
    """Whether a worker that takes over an unlock without an end sends it again. Never."""
    return False


def may_lock_leave(unlock: int) -> bool:
    """A lock waits while an unlock has passed its gate and its first byte may still leave."""
    return unlock != PASSED


def counts_as_used(has_changed: bool) -> bool:
    """Whether no older reading may count after this one. Always, also where it has changed nothing."""
    return True


def may_grant_again(visit: Visit) -> bool:
    """The decision's check of earlier visits at the same place."""
    return not visit.is_live and visit.tail not in WATCHED_TAILS


def may_begin_again(visit: Visit) -> bool:
    """The unique index: one live visit per access point."""
    return not visit.is_live


def tells_of_opening(before: Visit, after: Visit, fact: Fact) -> bool:
    """Whether the courier's word is news of an opening (`deposited` is, where no opening was known)."""
    if fact is Fact.COURIER_OPENED:
        return before.is_live and before.late_until is not None
    return fact is Fact.COURIER_DEPOSITED and after.has_opened and not before.has_opened


class Place(Visits):
    """One place of one variant: which moves a belief allows, and what must hold of each."""

    def __init__(self, variant: Variant) -> None:
        super().__init__(variant.closure)
        self.variant = variant
        self._judged: dict[tuple[int, int, int, int, Fact, int], tuple[int, int, int, int]] = {}

    def first(self) -> Belief:
        """Where it begins: the label is read, nothing else has happened."""
        visit = self.begin(is_recorded=self.variant.is_recorded, rings_first=self.variant.rings_first)
        return Belief(visit, NOTHING, LOCK_NONE, 0, ())

    # --- one fact, and what must hold of it ------------------------------------------------------------------

    def _advance(self, belief: Belief, fact: Fact, reading: int = -1) -> Belief:
        """The belief after `record` has taken in one fact: visit, rows and grant in one transaction."""
        number, unlock, lock, flags, readings = belief
        key = number, unlock, lock, flags & RECORDING, fact, reading
        judged = self._judged.get(key)
        if judged is None:
            judged = self._judged[key] = self._judge(number, unlock, lock, flags, fact, reading)
        after, unlock, lock, taken_away = judged
        if taken_away and readings:
            readings = tuple([self._folded(each & ~taken_away) for each in readings])
        return Belief(after, unlock, lock, flags, readings)

    def _judge(
        self, number: int, unlock: int, lock: int, flags: int, fact: Fact, reading: int
    ) -> tuple[int, int, int, int]:
        """Visit, unlock and lock after a fact, and what no reading on its way is newer than any more."""
        after_number, orders, is_marked = self.step(number, fact)
        before, after = self.visits[number], self.visits[after_number]
        check_fact(before, after, fact, orders, unlock, lock, reading)
        if Order.UNLOCK in orders:
            if unlock != NOTHING:
                raise BrokenError("S2", f"a second unlock is ordered by {fact} in {before.state}")
            if after.is_recorded and flags & RECORDING == UNPROVEN:
                raise BrokenError("S3", "an unlock is ordered before the camera has proven that it records")
            unlock = WAITING
        if not after.is_live and unlock == WAITING:
            unlock = DEAD
        taken_away = NEWER_THAN_MARK if is_marked else 0
        if tells_of_opening(before, after, fact):
            taken_away |= NEWER_THAN_WORD
        if Order.LOCK in orders:
            lock = LOCK_INTENT if lock == LOCK_NONE else lock
            taken_away |= NEWER_THAN_WORD
        return after_number, unlock, lock, taken_away

    def _folded(self, reading: int) -> int:
        """Readings between which no one can tell are the same."""
        if reading & KIND != LOCKED_KIND:
            return reading & (KIND | NEWER_THAN_USED)
        if not reading & NEWER_THAN_USED:
            return reading & AFTER_LATE | NEWEST & ~NEWER_THAN_USED
        if not reading & NEWER_THAN_COMMAND:
            return reading & AFTER_LATE | NEWEST & ~NEWER_THAN_COMMAND
        return reading

    # --- what may happen next ----------------------------------------------------------------------------------

    def moves(self, now: Belief) -> Iterator[Move]:
        """All that may happen next. Raises `BrokenError` if some of it breaks an invariant."""
        visit = self.visits[now.visit]
        yield from self._before_the_gate(visit, now)
        yield from self._of_the_worker(visit, now)
        yield from self._of_the_lock(now)
        yield from self._of_the_clock(visit, now)
        yield from self._of_readings(now)
        yield from self._of_people(visit, now)

    def _told(
        self, words: str, now: Belief, fact: Fact, *, is_ours: bool, noted: Belief | None = None
    ) -> Iterator[Move]:
        """The move that `fact` makes, if it makes any; `noted`: what else is written down with it."""
        after = self._advance(noted or now, fact)
        if after != now:
            yield Move(words, after, is_ours)

    def _before_the_gate(self, visit: Visit, now: Belief) -> Iterator[Move]:
        unlock, flags = now.unlock, now.flags
        if visit.state is State.REQUESTED:
            if not flags & BLOCKED:
                yield from self._told("the decision grants", now, Fact.GRANTED, is_ours=True)
            yield from self._told("the decision denies", now, Fact.DENIED, is_ours=True)
        if unlock in GATED or not visit.is_live:
            if gate_opens(visit, unlock, flags):
                raise BrokenError("S2", "the gate opens a second time for one grant")
            return
        yield from self._of_a_restore(now)
        if visit.is_recorded:
            proven = now._replace(flags=flags & ~RECORDING | PROVEN)
            fact = Fact.RECORDING_PROVEN
            yield from self._told("the camera proves that it records", now, fact, is_ours=True, noted=proven)
            stale = now._replace(flags=flags & ~RECORDING | NOT_PROVEN)
            fact = Fact.RECORDING_NOT_PROVEN
            yield from self._told(
                "the camera can't prove that it records", now, fact, is_ours=True, noted=stale
            )
            if flags & RECORDING == PROVEN:
                yield Move("the proof of recording grows old", stale, True)
        if unlock != WAITING:
            return
        if not flags & AGED:
            yield Move("the grant grows older than 60 s", now._replace(flags=flags | AGED), True)
        dead = now._replace(unlock=DEAD)
        yield from self._told(
            "the car can't be asked: not sent", now, Fact.UNLOCK_NOT_SENT, is_ours=True, noted=dead
        )
        if not gate_opens(visit, unlock, flags):
            yield from self._told("the gate stays shut", now, Fact.GATE_SHUT, is_ours=True, noted=dead)
            return
        check_gate(visit, flags)
        readings = tuple(self._folded(each & ~NEWER_THAN_COMMAND) for each in now.readings)
        passed = now._replace(unlock=PASSED, flags=0, readings=readings)
        after = self._advance(passed, Fact.GATE_PASSED)
        yield Move("the gate opens: grant USED, command SENT", after, True)

    def _of_a_restore(self, now: Belief) -> Iterator[Move]:
        """A backup is restored and the fence raised: what came after it is lost, perhaps an unlock that has left."""
        doubted = self._advance(now._replace(unlock=ENDED_UNKNOWN), Fact.RESTORED)
        for effects, change in enumerate(WITH_PENDING):
            words = f"a backup is restored; an unlock that nobody knows of can take effect {effects} times"
            yield Move(words, doubted, False, change)

    def _of_the_worker(self, visit: Visit, now: Belief) -> Iterator[Move]:
        unlock = now.unlock
        if unlock not in GATED:
            return
        for words, reached in WORKER_MOVES.get(unlock, ()):
            yield Move(words, now._replace(unlock=reached), True)
        if may_send(unlock):
            if unlock != PASSED:
                raise BrokenError("S1", "the first byte leaves more than 2 s after the gate")
            sent = now._replace(unlock=SENT)
            for effects, change in enumerate(WITH_PENDING):
                yield Move(f"the unlock leaves; it can take effect {effects} times", sent, True, change)
        if unlock in TAKEN_OVER:
            if is_sent_again(unlock):
                raise BrokenError("S2", "the worker that takes over sends the unlock a second time")
            taken = now._replace(unlock=TAKEN_OVER[unlock])
            words = "another worker takes over: the end of the unlock is unknown"
            yield Move(words, self._advance(taken, Fact.UNLOCK_UNKNOWN), True)
        for fact, reached in RECORDED.get(unlock, ()):
            ended = now._replace(unlock=reached)
            yield Move(f"the worker records {fact}", self._advance(ended, fact), True)
        if unlock in DOUBLED:
            yield from self._told(f"{DOUBLED[unlock]} is told again", now, DOUBLED[unlock], is_ours=True)

    def _of_the_lock(self, now: Belief) -> Iterator[Move]:
        if now.lock == LOCK_INTENT and may_lock_leave(now.unlock):
            if now.unlock == PASSED:
                raise BrokenError("S4", "the lock overtakes the unlock that it is to undo")
            readings = tuple(self._folded(each & ~NEWER_THAN_COMMAND) for each in now.readings)
            yield Move("the lock leaves", now._replace(lock=LOCK_SENT, readings=readings), True)
        if now.lock != LOCK_SENT:
            return
        yield Move("the lock takes effect", now, True, LOCKED_BY_US)
        ended = now._replace(lock=LOCK_NONE)
        yield Move("the lock ends unknown", ended, True)
        yield Move("the cloud says locked", self._advance(ended, Fact.LOCK_SAID_DONE), True)
        yield Move("the cloud says that the lock failed", self._advance(ended, Fact.LOCK_FAILED), True)

    def _of_the_clock(self, visit: Visit, now: Belief) -> Iterator[Move]:
        if visit.late_until == FAR and now.unlock != PASSED:
            passed = self.without_late(now.visit)
            words = "a late unlock can't come any more"
            yield Move(words, now._replace(visit=passed), True, WITH_PENDING[0])
        if visit.is_live and visit.secure_by is not None and not visit.is_called:
            due = self.due_fact(now.visit, is_patience=True)
            if due is None:
                raise BrokenError(
                    "L1", f"390 s have passed in {visit.state} and the clock has nothing to say"
                )
            after = self._advance(now, due)
            if not self.visits[after.visit].is_called:
                raise BrokenError("L1", f"{due} in {visit.state}: 390 s have passed and nobody is called")
            yield Move("390 s have passed", after, True)
        if visit.deadline_at is None or (visit.deadline_at == AFTER_FAR and visit.late_until == FAR):
            return
        due = self.due_fact(now.visit, is_patience=False)
        if due is not Fact.CLOCK_RAN_OUT:
            raise BrokenError(
                "L2", f"the deadline of {visit.state}/{visit.tail} passes and the clock says {due}"
            )
        after = self._advance(now, due)
        if after.visit == now.visit and not self.step(now.visit, due)[1]:
            raise BrokenError("L2", f"the deadline of {visit.state}/{visit.tail} passes and nothing happens")
        yield Move("the deadline passes", after, True)

    def _of_readings(self, now: Belief) -> Iterator[Move]:
        readings, closure = now.readings, self.variant.closure
        if len(readings) < self.variant.most_readings and (closure.reads_lock or closure.reads_lid):
            late = AFTER_LATE if self.visits[now.visit].late_until == PAST else 0
            for truth, kind in ((SHUT, LOCKED_KIND), (AJAR, CLOSED_KIND), (OPEN, OPEN_KIND)):
                seen = now._replace(readings=(*readings, self._folded(kind | NEWEST | late)))
                yield Move("the closure looks at itself", seen, True, ONLY_IF[truth])
        for index, reading in enumerate(readings):
            fact = self.fact_of(now.visit, reading)
            words = f"a reading arrives: {describe_reading(reading)}"
            rest = readings[:index] + readings[index + 1 :]
            if fact is None:
                yield Move(words, now._replace(readings=rest), True)
                continue
            step = self.step(now.visit, fact)
            outdated = NEWER_THAN_USED if counts_as_used(step[0] != now.visit or bool(step[1])) else 0
            if reading & KIND != LOCKED_KIND and reading & NEWER_THAN_USED:
                outdated |= NEWER_THAN_WORD
            older = tuple(self._folded(each & ~outdated) for each in readings[:index])
            newer = readings[index + 1 :]
            after = self._advance(now._replace(readings=older + newer), fact, reading)
            yield Move(words, after, True)
            if reading & KIND == LOCKED_KIND:
                again = (*older, self._folded(reading & ~NEWER_THAN_USED), *newer)
                doubled = self._advance(now._replace(readings=again), fact, reading)
                yield Move(f"{words}; it will come again", doubled, True)

    def _of_people(self, visit: Visit, now: Belief) -> Iterator[Move]:
        for fact in COURIER_WORDS:
            yield from self._told(f"the courier says {fact}", now, fact, is_ours=False)
        yield from self._told("the car drives off", now, Fact.DROVE_OFF, is_ours=False)
        for fact in RULINGS:
            yield from self._told(f"the operator says {fact}", now, fact, is_ours=True)
        is_before = now.unlock not in GATED and visit.is_live
        if visit.is_recorded:
            lost = now._replace(flags=now.flags & ~RECORDING | NOT_PROVEN) if is_before else now
            fact = Fact.RECORDING_LOST
            yield from self._told("the recording is lost", now, fact, is_ours=False, noted=lost)
        blocked = now._replace(flags=now.flags | BLOCKED) if is_before else now
        yield from self._told("the consignee blocks", now, Fact.BLOCKED, is_ours=False, noted=blocked)
