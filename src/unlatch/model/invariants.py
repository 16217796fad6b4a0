"""What must hold: S1 to S7 and L1 to L3 of the protocol, asked of every fact and of every situation."""

from __future__ import annotations

from unlatch.domain.visit import Fact, Order, State, Tail, Visit, Whereabouts
from unlatch.model.situation import (
    AFTER_LATE,
    AGED,
    BLOCKED,
    ENDED_NOT_SENT,
    GATED,
    KIND,
    LOCK_NONE,
    LOCKED_KIND,
    NEWER_THAN_COMMAND,
    NEWER_THAN_USED,
    NEWER_THAN_WORD,
    PASSED,
    PAST,
    PROVEN,
    RECORDING,
    RULINGS,
    SEEN_LOCKED_STATES,
    WATCHED_TAILS,
    BrokenError,
)

ALARM_ORDERS = frozenset({Order.LOCK, Order.CALL_OPERATOR, Order.CALL_CONSIGNEE})
WEAK_ENDS = frozenset({State.DELIVERED_LOCK_NOT_SEEN, State.UNDELIVERED_LOCK_NOT_SEEN})
STRONG_ENDS = frozenset({State.DELIVERED, State.UNDELIVERED})
RULED_ENDS = frozenset({State.RULED_DELIVERED, State.RULED_UNDELIVERED})
PARCEL_WORDS = frozenset({Fact.COURIER_DEPOSITED, Fact.COURIER_GAVE_UP})


def check_gate(visit: Visit, flags: int) -> None:
    """What must hold when the gate opens."""
    if visit.state is not State.GRANTED:
        raise BrokenError("S1", f"the gate opens in {visit.state}")
    if flags & BLOCKED:
        raise BrokenError("S4", "the gate opens after the consignee has blocked")
    if flags & AGED:
        raise BrokenError("S1", "the gate opens on a grant older than 60 s")
    if visit.is_recorded and flags & RECORDING != PROVEN:
        raise BrokenError("S3", "the gate opens without a fresh proof of recording")


def check_rest(
    visit: Visit, *, unlock: int, pending: int, may_grant_again: bool, may_begin_again: bool
) -> None:
    """What must hold of a situation, whatever led to it."""
    if visit.is_live and may_begin_again:
        raise BrokenError("S6", "a second visit may begin while one lives at the same place")
    if may_grant_again and (pending or unlock == PASSED):
        raise BrokenError("S2", "a new grant is possible while the earlier unlock may still take effect")


def check_fact(
    before: Visit, after: Visit, fact: Fact, orders: frozenset[Order], unlock: int, lock: int, reading: int
) -> None:
    """What must hold of one fact. `unlock`, `lock`: as they stood when it came; `reading`: -1 if it is none."""
    has_left = unlock in GATED and unlock != ENDED_NOT_SENT
    if reading >= 0 and (before != after or orders):
        _check_reading(reading)
    elif reading >= 0 and reading & NEWER_THAN_USED and reading & KIND != LOCKED_KIND:
        _check_bad_news(before, fact)
    if after.state is not before.state:
        _check_end(before, after, fact, reading, has_left=has_left)
    _check_recording(before, after, fact, orders, unlock)
    was_exposed = before.is_live and before.state not in SEEN_LOCKED_STATES
    has_lock = lock != LOCK_NONE or Order.LOCK in orders
    if fact is Fact.BLOCKED and has_left and was_exposed and not has_lock:
        raise BrokenError("S4", f"blocked in {before.state}: no lock is on its way and none is ordered")
    is_exposed = after.is_live and unlock in GATED and after.state not in SEEN_LOCKED_STATES
    if is_exposed and after.secure_by is None and not after.is_called:
        raise BrokenError("L1", f"{after.state}: it may be open, no patience runs and nobody is called")
    if after.is_called and not before.is_called and Order.CALL_OPERATOR not in orders:
        raise BrokenError("L1", f"{fact} in {before.state} counts as a call, but nobody is called")
    if before.tail is not after.tail or before.is_live is not after.is_live:
        _check_tail(before, after, fact, reading, has_left=has_left)


def _check_bad_news(before: Visit, fact: Fact) -> None:
    """S7: open or unlocked is believed at once where we thought the closure locked."""
    if before.state in SEEN_LOCKED_STATES or before.tail in (Tail.WATCHING, Tail.BLIND):
        where = before.state if before.is_live else f"the tail {before.tail}"
        raise BrokenError("S7", f"{fact} changes nothing in {where}: bad news is not believed")


def _check_reading(reading: int) -> None:
    if not reading & NEWER_THAN_USED:
        raise BrokenError("S7", "a reading not newer than the last one used changes the visit")
    if reading & KIND == LOCKED_KIND and not reading & NEWER_THAN_COMMAND:
        raise BrokenError("S7", "locked counts although it was observed before our last command")


def _check_end(before: Visit, after: Visit, fact: Fact, reading: int, *, has_left: bool) -> None:
    """S5: where the visit ends, or waits for the parcel's whereabouts only, the closure was seen locked."""
    state, can_see = after.state, after.closure.reads_lock
    if state is State.HANDED_OVER and has_left:
        raise BrokenError("S5", "handed over at the door, although an unlock of ours has left")
    if after.is_live and state not in SEEN_LOCKED_STATES:
        return
    if state in RULED_ENDS:
        if fact not in RULINGS:
            raise BrokenError("S5", f"{state} without a ruling")
        return
    if (
        state in (State.DELIVERED, State.DELIVERED_LOCK_NOT_SEEN)
        and after.whereabouts is not Whereabouts.INSIDE
    ):
        raise BrokenError("S5", f"{state} although nobody has said that the parcel is inside")
    if (
        not has_left or fact is Fact.RESTORED
    ):  # that end claims nothing of the closure: it is watched all the same (L3)
        return
    if state is State.REFUSED or (state in STRONG_ENDS and not can_see) or (state in WEAK_ENDS and can_see):
        raise BrokenError("S5", f"{fact} in {before.state} ends as {state}, which says more than is known")
    if before.state in SEEN_LOCKED_STATES and (fact in PARCEL_WORDS or state is State.REVIEW):
        if after.has_opened and not before.has_opened:
            raise BrokenError(
                "S5", f"{fact} is the first news of an opening, and {state} does not look again"
            )
        return  # seen locked before, and nothing has opened it since
    if not can_see:
        if fact is not Fact.COURIER_PULLED_HANDLE:
            raise BrokenError("S5", f"{fact} in {before.state} ends as {state}, and nobody pulled the handle")
        return
    if reading < 0 or reading & KIND != LOCKED_KIND:
        raise BrokenError("S5", f"{fact} in {before.state} ends as {state}, and nobody has seen it locked")
    if not reading & NEWER_THAN_WORD:
        why = "was observed before the opening was heard of, or before the lock was ordered"
        raise BrokenError("S5", f"{state}: the reading of locked {why}")


def _check_recording(before: Visit, after: Visit, fact: Fact, orders: frozenset[Order], unlock: int) -> None:
    if after.is_clean and not before.is_clean:
        raise BrokenError("S3", "a gap in the recording is forgotten")
    if fact is not Fact.RECORDING_LOST or unlock not in GATED:
        return
    if not before.is_live or before.state in SEEN_LOCKED_STATES:
        return
    if after.is_clean:
        raise BrokenError(
            "S3", f"the recording is lost in {before.state} and the visit may still end as clean"
        )
    if not orders >= ALARM_ORDERS:
        raise BrokenError("S3", f"the recording is lost in {before.state} and it is no alarm")


def _check_tail(before: Visit, after: Visit, fact: Fact, reading: int, *, has_left: bool) -> None:
    """L3: the tail is over only when no unlock of ours can come any more, and it was seen locked after that."""
    if before.is_live:
        if has_left and after.tail not in WATCHED_TAILS:
            raise BrokenError("L3", f"the visit ends by {fact} and nobody watches for a late unlock")
        return
    if after.tail is not Tail.OVER:
        return
    if after.late_until != PAST:
        raise BrokenError("L3", "the tail is over although a late unlock may still come")
    if fact in RULINGS or not after.closure.reads_lock:
        return
    wanted = NEWER_THAN_USED | NEWER_THAN_COMMAND | AFTER_LATE
    if reading < 0 or reading & KIND != LOCKED_KIND or reading & wanted != wanted:
        raise BrokenError("L3", "the tail is over without a reading of locked after the last late unlock")
