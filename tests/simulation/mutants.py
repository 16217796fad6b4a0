"""Faults made by hand: in the protocol's tables, in its judgement of readings, at the gate, in the worker.

Each is a small change of the running module (undone after the search), and names the promises of which one must
be found broken. A mutant that survives means that an invariant is too weak.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pytest

from unlatch.domain import reading, visit
from unlatch.domain.visit import Fact, Order, State, Tail, Turn, Visit
from unlatch.model import one_visit
from unlatch.model.situation import (
    AGED,
    BLOCKED,
    ENDED_UNKNOWN,
    PASSED,
    PAUSED,
    PROVEN,
    RECORDING,
    Variant,
)
from unlatch.model.variants import BLIND, HOME, STRONG, WEAK

Patch = Callable[[pytest.MonkeyPatch], None]
F, O, S, T = Fact, Order, State, Tail  # noqa: E741


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One fault, where it is tried, and which promises it may break first."""

    name: str
    breaks: frozenset[str]
    patch: Patch
    variant: Variant = STRONG


MUTANTS: list[Mutant] = []


def mutant(name: str, breaks: str, variant: Variant = STRONG) -> Callable[[Patch], Patch]:
    """Put a patch on the list."""

    def add(patch: Patch) -> Patch:
        MUTANTS.append(Mutant(name=name, breaks=frozenset(breaks.split()), patch=patch, variant=variant))
        return patch

    return add


def turn(patch: pytest.MonkeyPatch, state: State, fact: Fact, target: State | Turn | None) -> None:
    """Let `fact` lead from `state` to `target`; None: let it change nothing."""
    _turn(patch, visit.TRANSITIONS, state, fact, target)


def turn_tail(patch: pytest.MonkeyPatch, tail: Tail, fact: Fact, target: Tail | None) -> None:
    """The same for the tail."""
    _turn(patch, visit.TAIL_TRANSITIONS, tail, fact, target)


def _turn(patch: pytest.MonkeyPatch, tables: Any, place: Any, fact: Fact, target: Any) -> None:
    """A row is replaced, not changed: undone, it has its old order again, which the diagram shows."""
    row = {known: leads_to for known, leads_to in tables[place].items() if known is not fact}
    patch.setitem(tables, place, row if target is None else {**row, fact: target})


# --- one unlock, once ------------------------------------------------------------------------------------------


@mutant("an unlock without an answer is tried again", "S2")
def _(patch: pytest.MonkeyPatch) -> None:
    turn(patch, S.IN_DOUBT, F.CLOCK_RAN_OUT, S.GRANTED)


@mutant("a rejected unlock is tried again", "S2")
def _(patch: pytest.MonkeyPatch) -> None:
    turn(patch, S.UNLOCKING, F.UNLOCK_REJECTED, S.GRANTED)


@mutant("the worker that takes over sends the unlock again", "S2")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(one_visit, "is_sent_again", lambda unlock: True)


@mutant("the gate leaves the grant alive", "S2")
def _(patch: pytest.MonkeyPatch) -> None:
    is_open = one_visit.gate_opens
    patch.setattr(
        one_visit,
        "gate_opens",
        lambda now, unlock, flags: unlock == ENDED_UNKNOWN or is_open(now, unlock, flags),
    )


@mutant("a new grant while the tail still watches", "S2")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(one_visit, "may_grant_again", lambda now: not now.is_live)


@mutant("an unlock is ordered with the first look", "S1")
def _(patch: pytest.MonkeyPatch) -> None:
    orders: Any = visit.ORDERS
    patch.setitem(orders, S.REQUESTED, (O.LOOK, O.UNLOCK))


@mutant("the gate does not look at the grant's age", "S1")
def _(patch: pytest.MonkeyPatch) -> None:
    is_open = one_visit.gate_opens
    patch.setattr(one_visit, "gate_opens", lambda now, unlock, flags: is_open(now, unlock, flags & ~AGED))


@mutant("a worker that was paused sends all the same", "S1")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(one_visit, "may_send", lambda unlock: unlock in (PASSED, PAUSED))


@mutant("two visits may live at one place", "S6")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(one_visit, "may_begin_again", lambda now: True)


@mutant("a lock may overtake its unlock", "S4")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(one_visit, "may_lock_leave", lambda unlock: True)


# --- recording -------------------------------------------------------------------------------------------------


@mutant("a home is unlocked before its camera has proven anything", "S3", HOME)
def _(patch: pytest.MonkeyPatch) -> None:
    turn(patch, S.REQUESTED, F.GRANTED, S.GRANTED)


@mutant("the gate does not look at the recording", "S3", HOME)
def _(patch: pytest.MonkeyPatch) -> None:
    is_open = one_visit.gate_opens
    patch.setattr(
        one_visit, "gate_opens", lambda now, unlock, flags: is_open(now, unlock, flags & ~RECORDING | PROVEN)
    )


@mutant("a recording lost while open is no alarm", "S3", HOME)
def _(patch: pytest.MonkeyPatch) -> None:
    turn(patch, S.OPEN, F.RECORDING_LOST, None)


@mutant("a recording lost while unsecured is not noted", "S3", HOME)  # the protocol's own first version
def _(patch: pytest.MonkeyPatch) -> None:
    turn(patch, S.UNSECURED, F.RECORDING_LOST, None)


# --- blocks ----------------------------------------------------------------------------------------------------


@mutant("a block before the gate is seen by nobody", "S4")
def _(patch: pytest.MonkeyPatch) -> None:
    turn(patch, S.GRANTED, F.BLOCKED, None)
    is_open = one_visit.gate_opens
    patch.setattr(one_visit, "gate_opens", lambda now, unlock, flags: is_open(now, unlock, flags & ~BLOCKED))


@mutant("a block while open orders no lock", "S4")
def _(patch: pytest.MonkeyPatch) -> None:
    turn(patch, S.OPEN, F.BLOCKED, None)


@mutant("a block while locking orders nothing although the lock has ended", "S4")  # the first version
def _(patch: pytest.MonkeyPatch) -> None:
    turn(patch, S.LOCKING, F.BLOCKED, None)


# --- what counts as locked -------------------------------------------------------------------------------------


@mutant("a stale reading is trusted", "S7")
def _(patch: pytest.MonkeyPatch) -> None:
    sight_of = reading.sight_of
    patch.setattr(
        reading,
        "sight_of",
        lambda told, closure, *, last_used_at, last_command_at: sight_of(
            told, closure, last_used_at=None, last_command_at=last_command_at
        ),
    )


@mutant("locked counts from before our last command", "S7")
def _(patch: pytest.MonkeyPatch) -> None:
    sight_of = reading.sight_of
    patch.setattr(
        reading,
        "sight_of",
        lambda told, closure, *, last_used_at, last_command_at: sight_of(
            told, closure, last_used_at=last_used_at, last_command_at=None
        ),
    )


@mutant("locked counts from before the courier reported the opening", "S5")  # the first version
def _(patch: pytest.MonkeyPatch) -> None:
    fact_of_sight = visit.fact_of_sight

    def forgetful(now: Visit, sight: reading.Sight, observed_at: datetime) -> Fact | None:
        return fact_of_sight(replace(now, locked_counts_after=None), sight, observed_at)

    patch.setattr(visit, "fact_of_sight", forgetful)


@mutant("open is not believed while the parcel is asked for", "S7")
def _(patch: pytest.MonkeyPatch) -> None:
    turn(patch, S.ACCOUNTING, F.SEEN_OPEN, None)


@mutant("a late first word of an opening is not looked into", "S5")
def _(patch: pytest.MonkeyPatch) -> None:
    turn(patch, S.ACCOUNTING, F.COURIER_DEPOSITED, S.DELIVERED)


@mutant(
    "a reading that changes nothing does not make older ones stale", "S5", replace(STRONG, most_readings=2)
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(one_visit, "counts_as_used", lambda has_changed: has_changed)


@mutant("the lock's answer counts as locked", "S5")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(visit, "WEAK_ONLY", frozenset())
    turn(patch, S.LOCKING, F.LOCK_SAID_DONE, Turn.SETTLE)


@mutant("delivered when time is up", "S5")
def _(patch: pytest.MonkeyPatch) -> None:
    turn(patch, S.OPEN_LONG, F.CLOCK_RAN_OUT, S.DELIVERED)


@mutant("closed counts as locked", "S5")
def _(patch: pytest.MonkeyPatch) -> None:
    turn(patch, S.OPEN, F.SEEN_CLOSED, Turn.SETTLE)


@mutant("a rejection is believed", "S5")
def _(patch: pytest.MonkeyPatch) -> None:
    turn(patch, S.UNLOCKING, F.UNLOCK_REJECTED, S.REFUSED)


@mutant("silence of the cloud is taken for a refusal", "S5")
def _(patch: pytest.MonkeyPatch) -> None:
    turn(patch, S.IN_DOUBT, F.CLOCK_RAN_OUT, S.UNDELIVERED)


@mutant("a lock that can't be read ends as delivered", "S5", WEAK)
def _(patch: pytest.MonkeyPatch) -> None:
    settled = visit._settled

    def boastful(now: Visit) -> State:
        end = settled(now)
        return S.DELIVERED if end is S.DELIVERED_LOCK_NOT_SEEN else end

    patch.setattr(visit, "_settled", boastful)


@mutant("delivered though nobody has said where the parcel is", "S5")
def _(patch: pytest.MonkeyPatch) -> None:
    settled = visit._settled
    patch.setattr(
        visit, "_settled", lambda now: S.DELIVERED if settled(now) is S.ACCOUNTING else settled(now)
    )


# --- clocks ----------------------------------------------------------------------------------------------------


@mutant("a state without a deadline", "L2")
def _(patch: pytest.MonkeyPatch) -> None:
    deadlines: Any = visit.DEADLINES_S
    patch.delitem(deadlines, S.LOCKING)


@mutant("a deadline without an answer", "L2")
def _(patch: pytest.MonkeyPatch) -> None:
    turn(patch, S.STUCK, F.CLOCK_RAN_OUT, None)


@mutant("patience is forgotten while open", "L1")
def _(patch: pytest.MonkeyPatch) -> None:
    turn(patch, S.OPEN, F.PATIENCE_RAN_OUT, None)


@mutant("the clock knows no patience", "L1 L2")
def _(patch: pytest.MonkeyPatch) -> None:
    due_fact = visit.due_fact
    patch.setattr(visit, "due_fact", lambda now, at: due_fact(replace(now, secure_by=None), at))


@mutant("a deadline may lie after the patience", "L1")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(visit, "min", max, raising=False)


@mutant("the gate starts no patience", "L1")
def _(patch: pytest.MonkeyPatch) -> None:
    note = visit._note
    patch.setattr(visit, "_note", lambda now, fact, at: replace(note(now, fact, at), secure_by=None))


@mutant("unsecured calls nobody", "L1 L2 S3")
def _(patch: pytest.MonkeyPatch) -> None:
    orders: Any = visit.ORDERS
    patch.setitem(orders, S.UNSECURED, (O.LOCK,))


@mutant("the review waits in silence", "L2")
def _(patch: pytest.MonkeyPatch) -> None:
    orders: Any = visit.ORDERS
    patch.setitem(orders, S.REVIEW, ())


@mutant("no one can rule where nothing can be seen", "L2", BLIND)
def _(patch: pytest.MonkeyPatch) -> None:
    for state in (S.UNSECURED, S.HANDLE_CHECK):
        turn(patch, state, F.RULED_DELIVERED, None)
        turn(patch, state, F.RULED_UNDELIVERED, None)


# --- the tail --------------------------------------------------------------------------------------------------


@mutant("no tail", "L3")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(visit, "_begin_tail", lambda now, at: replace(now, deadline_at=None, tail=T.NONE))


@mutant("the tail ends with its time, unseen", "L3")
def _(patch: pytest.MonkeyPatch) -> None:
    turn_tail(patch, T.WATCHING, F.CLOCK_RAN_OUT, T.OVER)


@mutant("the tail ends with the first reading of locked", "L3")
def _(patch: pytest.MonkeyPatch) -> None:
    turn_tail(patch, T.WATCHING, F.SEEN_LOCKED, T.OVER)


@mutant("the tail takes no notice of an unlocked trunk", "S7")
def _(patch: pytest.MonkeyPatch) -> None:
    turn_tail(patch, T.WATCHING, F.SEEN_CLOSED, None)


@mutant("a ruling ends the tail while a late unlock may still come", "L3")
def _(patch: pytest.MonkeyPatch) -> None:
    turn_tail(patch, T.ALARM, F.RULED_DELIVERED, T.OVER)


@mutant("the tail is blind and calls nobody", "L2")
def _(patch: pytest.MonkeyPatch) -> None:
    orders: Any = visit.TAIL_ORDERS
    patch.delitem(orders, T.BLIND)


@mutant("a restore takes the unlock for not sent", "L3 S2")
def _(patch: pytest.MonkeyPatch) -> None:
    note = visit._note

    def forgetful(now: Visit, fact: Fact, at: datetime) -> Visit:
        return now if fact is F.RESTORED else note(now, fact, at)

    patch.setattr(visit, "_note", forgetful)


@mutant("after a restore the visit goes on", "L1 S2")
def _(patch: pytest.MonkeyPatch) -> None:
    for state in visit.BEFORE_GATE:
        turn(patch, state, F.RESTORED, S.GRANTED)
