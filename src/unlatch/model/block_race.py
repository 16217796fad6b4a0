"""The race of a block: whoever would stop an opening, against decision, gate, emission and lock.

Who may stop it: the household's block, an operator's freeze of the place, the carrier's cancellation, the household's
redirect, and a freeze that reaches further. All but the last lock the place's row, as scan and gate do; the last takes
an advisory lock alone, which the gate takes shared, and a worker sweeps up afterwards what had passed before. Scan,
gate, wide freeze and sweep are transactions in steps: between two steps of one, everything of the others may happen
that its locks allow. What becomes of a wish stands in the real table of `domain/booking.py`.

The two words over the place (block, freeze) are alike, and so are the two over the booking (cancel, redirect): each
pair is one, folded.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from unlatch.domain import booking
from unlatch.domain import visit as protocol
from unlatch.domain.access import Closure, Consent
from unlatch.domain.booking import Effect, StopState, Wish
from unlatch.domain.incident import Incident
from unlatch.domain.visit import Fact, State
from unlatch.model.exploring import Step
from unlatch.model.judging import judge
from unlatch.model.rows import TRUTH_MOVES, TRUTHS, Ledger, Rows, describe, effect_on, locked_by_us
from unlatch.model.situation import (
    DEAD,
    ENDED_NOT_SENT,
    ENDED_UNKNOWN,
    GATED,
    LOCK_INTENT,
    LOCK_NONE,
    NOTHING,
    NOW,
    PASSED,
    SENT,
    WAITING,
    BrokenError,
)

NOBODY = -1
OUTSIDE, AT_PLACE, HAS_READ = range(3)  # a scan, or the decision after a look
GATE_OUTSIDE, GATE_AT_PLACE, GATE_SHARES, GATE_HAS_READ = range(4)
BLOCKED, CANCELLED, FROZEN_WIDELY = 1, 2, 4  # what stands in the rows, committed
WITHDRAWN, NOT_GRANTED = 8, 16  # what else the gate may read: of the command, of the visit
# The wide freeze: not thought of; alone with the advisory lock; in force; listed by the sweep; swept.
THAWED, FREEZES, IN_FORCE, LISTED, SWEPT = range(5)
SWEEP_OUTSIDE, SWEEP_TO_STOP, SWEEP_AT_PLACE = range(3)


class Race(NamedTuple):
    """The rows, who holds which lock, what each has read, and the truth."""

    visit: int
    unlock: int
    lock: int
    rows: int  # BLOCKED, CANCELLED, FROZEN_WIDELY
    scan: int
    scan_read: int
    gate: int
    gate_read: int
    freeze: int
    sweep: int
    is_lock_owed: bool  # the wide freeze came after the gate, and nothing has been locked for it yet
    is_byte_late: bool  # the first byte's time is over
    pending: int
    truth: int


# --- what the product does; mutants replace these ------------------------------------------------------------------


def gate_locks() -> bool:
    """The gate locks access point, visit, grant and command: commit order on the place's row decides every race."""
    return True


def gate_reads_after_lock() -> bool:
    """What the gate asks again it reads once all of it is locked."""
    return True


def gate_shares_freeze_lock() -> bool:
    """Of a gate and a wide freeze, the first to commit counts."""
    return True


def gate_looks_at() -> int:
    """Which of the rows the gate asks again."""
    return BLOCKED | CANCELLED | FROZEN_WIDELY


def sweep_stops(state: State) -> bool:
    """Which of the visits that it reaches a wide freeze stops: whichever lives."""
    return state in protocol.LIVE


def block_reaches_visit() -> bool:
    """A block is told to the visit that lives, in the same transaction."""
    return True


def may_lock_leave(unlock: int, *, is_byte_late: bool) -> bool:
    """A lock waits while an unlock has passed its gate and its first byte may still leave."""
    return unlock != PASSED or is_byte_late


@cache
def _grants(rows: int) -> bool:
    return judge(
        consent=Consent(is_given=True, blocked_at=NOW if rows & BLOCKED else None),
        is_stop_open=not rows & CANCELLED,
        frozen=Incident.PLATFORM_FROZEN_WIDELY if rows & FROZEN_WIDELY else None,
    )


@cache
def _effect_of_cancelling(state: State | None) -> Effect:
    stage = booking.stage_of(StopState.OPEN, has_courier=True, is_heading=True, ruled_out=None, visit=state)
    effects = {booking.outcome_of(wish, stage).effect for wish in (Wish.CANCEL, Wish.REDIRECT)}
    if len(effects) > 1:
        raise BrokenError("S4", f"cancelling and redirecting differ in {state}")
    return effects.pop()


class BlockRace:
    """One place, one courier, one household, one operator."""

    def __init__(self, *, most_effects: int = 1) -> None:
        self.ledger = Ledger(Closure(reads_lock=True, reads_lid=True))
        self.begun = self.ledger.begin()
        self.most_effects = most_effects
        for each in (_grants, _effect_of_cancelling):
            each.cache_clear()

    def first(self) -> Race:
        if protocol.FIRST_BYTE_WITHIN_S >= 2:
            raise BrokenError("S4", "a lock that waits for the first byte's time leaves later than 2 s")
        return Race(NOBODY, NOTHING, LOCK_NONE, 0, 0, 0, 0, 0, 0, 0, False, False, 0, 0)

    def is_end(self, now: Race) -> bool:
        idle = (now.scan, now.gate, now.sweep) == (OUTSIDE, GATE_OUTSIDE, SWEEP_OUTSIDE)
        return idle and now.visit == NOBODY and now.freeze in (THAWED, SWEPT)

    def describe(self, now: Race) -> str:
        told = [describe(self.ledger, now.visit) if now.visit != NOBODY else "no visit"]
        names = ((BLOCKED, "blocked"), (CANCELLED, "cancelled"), (FROZEN_WIDELY, "frozen"))
        told += [name for bit, name in names if now.rows & bit]
        return f"{', '.join(told)}; in truth {TRUTHS[now.truth]}"

    # --- what may happen next --------------------------------------------------------------------------------------

    def steps(self, now: Race) -> Iterator[Step[Race]]:
        """All that may happen next."""
        yield from self._of_the_scan(now)
        yield from self._of_the_gate(now)
        yield from self._of_those_who_stop(now)
        yield from self._of_the_wide_freeze(now)
        for words, truth in TRUTH_MOVES[now.truth]:
            yield Step(words, now._replace(truth=truth), False)
        if now.visit == NOBODY:
            return
        yield from self._of_the_unlock(now)
        yield from self._of_the_lock(now)
        if now.gate != GATE_HAS_READ:  # else its row is locked
            yield from self._of_the_visit(now)

    def _is_place_free(self, now: Race) -> bool:
        first = GATE_AT_PLACE if gate_reads_after_lock() else GATE_HAS_READ
        is_gate_there = now.gate >= first and gate_locks()
        return now.scan == OUTSIDE and not is_gate_there and now.sweep != SWEEP_AT_PLACE

    def _rows(self, now: Race) -> Rows:
        return Rows(now.visit, now.unlock, now.lock)

    def _state(self, now: Race) -> State | None:
        """Of the visit that lives; None: none does."""
        if now.visit == NOBODY:
            return None
        known = self.ledger.known_of(now.visit)
        return known.state if known.is_live else None

    def _after(self, now: Race, rows: Rows) -> Race:
        """The situation with these rows of the visit; what is over is forgotten."""
        now, known = Race._make((*rows, *now[3:])), self.ledger.known_of(rows.visit)
        if now.is_lock_owed and (rows.lock != LOCK_NONE or not known.is_exposed):
            now = now._replace(is_lock_owed=False)
        is_gate_open = now.gate != GATE_OUTSIDE or now.scan != OUTSIDE
        if is_gate_open or not known.is_over:
            return now
        if now.pending or now.unlock == PASSED:
            raise BrokenError("L3", "nobody watches any more, and the unlock may still take effect")
        return now._replace(visit=NOBODY, unlock=NOTHING, lock=LOCK_NONE, is_byte_late=False)

    def _of_the_scan(self, now: Race) -> Iterator[Step[Race]]:
        """A scan where no visit is, or the decision after a look: lock, read, write."""
        is_scan = now.visit == NOBODY
        if now.scan == OUTSIDE:
            if self._is_place_free(now) and (is_scan or self._state(now) is State.REQUESTED):
                yield Step("a decision locks the place", now._replace(scan=AT_PLACE), not is_scan)
            return
        if now.scan == AT_PLACE:
            after = now._replace(scan=HAS_READ, scan_read=now.rows)
            yield Step("the decision reads how things stand", after, True)
            return
        done = now._replace(scan=OUTSIDE, scan_read=0)
        if is_scan:
            yield Step("the scan is rolled back", done, True)
            if _grants(now.scan_read):
                looks = done._replace(visit=self.begun)
                yield Step("the scan finds no fresh reading: look first", looks, True)
        elif self._state(now) is not State.REQUESTED:
            yield Step("it is decided already", self._after(done, self._rows(done)), True)
            return
        rows = Rows(self.begun if is_scan else now.visit, now.unlock, now.lock)
        fact = Fact.GRANTED if _grants(now.scan_read) else Fact.DENIED
        yield Step(
            f"the decision: {fact}, committed", self._after(done, self.ledger.record(rows, fact)), True
        )

    def _of_the_gate(self, now: Race) -> Iterator[Step[Race]]:
        """The gate: the place, the freezes' lock shared, all rows, commit."""
        if now.gate == GATE_OUTSIDE:
            if now.unlock != WAITING:
                return
            if not gate_reads_after_lock():
                after = now._replace(gate=GATE_AT_PLACE, gate_read=self._read_by_gate(now))
                yield Step("the gate reads all of it, and waits for the place", after, True)
            elif self._is_place_free(now) or not gate_locks():
                yield Step("the gate locks the place", now._replace(gate=GATE_AT_PLACE), True)
        elif now.gate == GATE_AT_PLACE:
            if now.freeze != FREEZES or not gate_shares_freeze_lock():
                yield Step("the gate shares the freezes' lock", now._replace(gate=GATE_SHARES), True)
        elif now.gate == GATE_SHARES:
            read = self._read_by_gate(now) if gate_reads_after_lock() else now.gate_read
            is_free = gate_reads_after_lock() or self._is_place_free(now)
            if is_free:
                after = now._replace(gate=GATE_HAS_READ, gate_read=read)
                yield Step("the gate locks the visit and reads all of it", after, True)
        else:
            out = now._replace(gate=GATE_OUTSIDE, gate_read=0)
            yield Step("the gate's worker dies: rolled back", self._after(out, self._rows(out)), True)
            yield self._commit_gate(now, out)

    def _read_by_gate(self, now: Race) -> int:
        """Why it would stay shut."""
        is_withdrawn = now.unlock != WAITING
        is_granted = self._state(now) is State.GRANTED
        read = now.rows & gate_looks_at()
        return read | (WITHDRAWN if is_withdrawn else 0) | (0 if is_granted else NOT_GRANTED)

    def _commit_gate(self, now: Race, out: Race) -> Step[Race]:
        rows = self._rows(now)
        if now.gate_read & WITHDRAWN:
            return Step("the gate: withdrawn already", self._after(out, rows), True)
        if now.gate_read:
            shut = self.ledger.record(rows._replace(unlock=DEAD), Fact.GATE_SHUT)
            return Step("the gate stays shut", self._after(out, shut), True)
        for bit, who in (
            (BLOCKED, "a block"),
            (CANCELLED, "a cancellation"),
            (FROZEN_WIDELY, "a wide freeze"),
        ):
            if now.rows & bit:
                raise BrokenError("S4", f"the gate opens after {who} was committed")
        if now.unlock != WAITING or self._state(now) is not State.GRANTED:
            raise BrokenError("S1", "the gate opens, and the grant is not alive any more")
        passed = self.ledger.record(rows._replace(unlock=PASSED), Fact.GATE_PASSED)
        return Step("the gate opens", self._after(out._replace(is_byte_late=False), passed), True)

    def _of_those_who_stop(self, now: Race) -> Iterator[Step[Race]]:
        """Each locks the place for one short transaction."""
        is_row_locked = now.gate == GATE_HAS_READ and gate_locks()
        if not self._is_place_free(now) or is_row_locked:
            return
        state = self._state(now)
        told = now
        if state is not None and block_reaches_visit():
            told = self._after(now, self.ledger.record(self._rows(now), Fact.BLOCKED))
        blocked = told._replace(rows=now.rows | BLOCKED)
        if self._owes(blocked):
            raise BrokenError("S4", f"blocked in {state}, and no lock is ordered")
        if blocked != now:
            yield Step("a block, or a freeze of the place, is committed", blocked, False)
        if now.rows & BLOCKED:
            yield Step("the block is taken back", now._replace(rows=now.rows & ~BLOCKED), False)
        if now.rows & CANCELLED:
            yield Step("it is planned anew", now._replace(rows=now.rows & ~CANCELLED), False)
            return
        effect = _effect_of_cancelling(state)
        if effect is Effect.STOPS_VISIT:
            stopped = self._after(now, self.ledger.record(self._rows(now), Fact.BLOCKED))
            after = stopped._replace(rows=now.rows | CANCELLED)
            yield Step("a cancellation, or a redirect, stops the visit", after, False)
        elif effect is Effect.DONE:
            after = now._replace(rows=now.rows | CANCELLED)
            yield Step("a cancellation, or a redirect, is committed", after, False)

    def _of_the_wide_freeze(self, now: Race) -> Iterator[Step[Race]]:
        is_shared = now.gate in (GATE_SHARES, GATE_HAS_READ) and gate_shares_freeze_lock()
        if now.freeze == THAWED and not is_shared:
            yield Step("a wide freeze has the freezes' lock alone", now._replace(freeze=FREEZES), False)
        elif now.freeze == FREEZES:
            after = now._replace(freeze=IN_FORCE, rows=now.rows | FROZEN_WIDELY, is_lock_owed=self._owes(now))
            yield Step("the wide freeze is committed", after, True)
        elif now.freeze == IN_FORCE and now.sweep == SWEEP_OUTSIDE:
            state = self._state(now)
            to_stop = SWEEP_OUTSIDE if state is None else SWEEP_TO_STOP
            after = now._replace(freeze=LISTED, sweep=to_stop)
            yield Step("a worker lists what the freeze reaches", after, True)
        if now.sweep != SWEEP_OUTSIDE:
            yield from self._of_the_sweep(now)
        elif now.freeze == LISTED:
            if now.is_lock_owed and self._owes(now):
                raise BrokenError(
                    "S4", "the freeze is swept, and what had passed the gate before is not locked"
                )
            yield Step("the freeze is swept", now._replace(freeze=SWEPT, is_lock_owed=False), True)
        if now.freeze in (IN_FORCE, LISTED, SWEPT):
            after = now._replace(freeze=THAWED, rows=now.rows & ~FROZEN_WIDELY, is_lock_owed=False)
            yield Step("the freeze is thawed", after, False)

    def _owes(self, now: Race) -> bool:
        """Whether something may stand open that has passed its gate before, and that nobody locks yet."""
        if now.lock != LOCK_NONE or now.unlock not in GATED or now.unlock == ENDED_NOT_SENT:
            return False
        return now.visit != NOBODY and self.ledger.known_of(now.visit).is_exposed

    def _of_the_sweep(self, now: Race) -> Iterator[Step[Race]]:
        if now.sweep == SWEEP_TO_STOP:
            if self._is_place_free(now):
                yield Step("the sweep locks the place", now._replace(sweep=SWEEP_AT_PLACE), True)
        elif now.gate != GATE_HAS_READ:  # else the visit's row is locked
            after, state = now._replace(sweep=SWEEP_OUTSIDE), self._state(now)
            dies = after._replace(freeze=IN_FORCE if now.freeze == LISTED else now.freeze)
            yield Step("the sweeping worker dies", dies, True)
            if state is not None and sweep_stops(state):
                after = self._after(after, self.ledger.record(self._rows(now), Fact.BLOCKED))
            yield Step("the sweep stops the visit", after, True)

    def _of_the_unlock(self, now: Race) -> Iterator[Step[Race]]:
        rows = self._rows(now)
        if now.unlock == PASSED:
            if not now.is_byte_late:
                yield Step("the first byte's time is over", now._replace(is_byte_late=True), True)
                for effects in range(self.most_effects + 1):
                    after = now._replace(unlock=SENT, pending=effects)
                    yield Step(f"the unlock leaves; it can take effect {effects} times", after, True)
            for unlock, fact in (
                (ENDED_NOT_SENT, Fact.UNLOCK_NOT_SENT),
                (ENDED_UNKNOWN, Fact.UNLOCK_UNKNOWN),
            ):
                if now.gate != GATE_HAS_READ and (fact is Fact.UNLOCK_NOT_SENT or now.is_byte_late):
                    ended = self.ledger.record(rows._replace(unlock=unlock), fact)
                    yield Step(f"no byte leaves: {fact}", self._after(now, ended), True)
        elif now.unlock == SENT and now.gate != GATE_HAS_READ:
            for fact in (Fact.UNLOCK_SAID_DONE, Fact.UNLOCK_REJECTED, Fact.UNLOCK_UNKNOWN):
                ended = self.ledger.record(rows._replace(unlock=ENDED_UNKNOWN), fact)
                yield Step(f"the unlock ends: {fact}", self._after(now, ended), True)
        if now.pending:
            after = now._replace(pending=now.pending - 1, truth=effect_on(now.truth))
            yield Step("the unlock takes effect", after, True)
        if self.ledger.known_of(now.visit).can_be_late and now.unlock != PASSED:
            rows = rows._replace(visit=self.ledger.without_late(now.visit))
            yield Step("a late unlock can't come any more", self._after(now._replace(pending=0), rows), True)

    def _of_the_lock(self, now: Race) -> Iterator[Step[Race]]:
        if now.lock != LOCK_INTENT or not may_lock_leave(now.unlock, is_byte_late=now.is_byte_late):
            return
        if now.unlock == PASSED and not now.is_byte_late:
            raise BrokenError("S4", "the lock overtakes the unlock that it is to undo")
        if now.gate == GATE_HAS_READ:
            return
        rows = self._rows(now)._replace(lock=LOCK_NONE)
        done = self.ledger.record(rows, Fact.LOCK_SAID_DONE)
        locked = self._after(now._replace(truth=locked_by_us(now.truth)), done)
        yield Step("the lock leaves, and locks", locked, True)
        failed = self.ledger.record(rows, Fact.LOCK_FAILED)
        yield Step("the lock leaves, and fails", self._after(now, failed), True)

    def _of_the_visit(self, now: Race) -> Iterator[Step[Race]]:
        rows = self._rows(now)
        for told in self.ledger.next_rows(rows, now.truth):
            yield Step(told.words, self._after(now, told.rows), told.is_ours)
