"""Faults made by hand in the models of several actors: in what each of them does, or in a table that they rest on.

Each is a small change of the running module (undone after the search), and names the promises of which one must be
found broken. A mutant that survives means that an invariant is too weak.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from unlatch.domain import booking, decision, reading, visit
from unlatch.domain.booking import Stage, Wish
from unlatch.domain.visit import BEFORE_GATE, Fact, State
from unlatch.model import block_race, inbox, two_couriers, two_workers
from unlatch.model.checking import MODELS
from unlatch.model.exploring import Found
from unlatch.model.two_couriers import Meeting

Patch = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, kw_only=True)
class ModelMutant:
    """One fault, in which search it is tried, and which promises it may break first."""

    name: str
    breaks: frozenset[str]
    search: Callable[[], Found]
    patch: Patch


MUTANTS: list[ModelMutant] = []


def quick(model: str, part: int = 0) -> Callable[[], Found]:
    run = MODELS[model].parts[part].quick
    assert run is not None
    return run


def mutant(name: str, breaks: str, search: Callable[[], Found]) -> Callable[[Patch], Patch]:
    """Put a patch on the list."""

    def add(patch: Patch) -> Patch:
        MUTANTS.append(ModelMutant(name=name, breaks=frozenset(breaks.split()), search=search, patch=patch))
        return patch

    return add


def turn(patch: pytest.MonkeyPatch, state: State, fact: Fact, target: State | None) -> None:
    row = {known: leads_to for known, leads_to in visit.TRANSITIONS[state].items() if known is not fact}
    tables: Any = visit.TRANSITIONS
    patch.setitem(tables, state, row if target is None else {**row, fact: target})


# --- several who want one place ----------------------------------------------------------------------------------

ONE_PLACE, ONE_CAR, ONE_COURIER = (quick("place", part) for part in range(3))


@mutant("a scan does not lock its place", "S2", ONE_PLACE)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(two_couriers, "locks_place", lambda meeting: False)


@mutant("a scan reads in the statement that waits for its place", "S2", ONE_PLACE)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(two_couriers, "reads_after_lock", lambda: False)


@mutant("the decision does not look at earlier unlocks", "S2", ONE_PLACE)
def _(patch: pytest.MonkeyPatch) -> None:
    name = "no earlier unlock may still act"
    patch.setattr(
        decision, "CHECKS", {each: check for each, check in decision.CHECKS.items() if each != name}
    )


@mutant("no index keeps two visits at one car apart", "S6", ONE_CAR)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(two_couriers, "index_refuses", lambda meeting: meeting is not Meeting.ONE_CAR)


@mutant("the gate does not look at the tail of another place's visit to the car", "S2", ONE_CAR)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(two_couriers, "gate_looks_at_tail", lambda: False)


@mutant("no index keeps two visits of one courier apart", "S6", ONE_COURIER)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(two_couriers, "index_refuses", lambda meeting: meeting is not Meeting.ONE_COURIER)


# --- one command, two workers --------------------------------------------------------------------------------------

WORK = quick("command")


@mutant("the gate locks no rows", "S2", WORK)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(two_workers, "locks_rows", lambda: False)


@mutant("whoever takes over sends the unlock again", "S2 L3", WORK)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(two_workers, "is_sent_again_by_taker", lambda: True)


@mutant("a worker paused past its time sends all the same", "S1", WORK)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(two_workers, "may_send", lambda time: True)


@mutant("whoever takes over calls it not sent", "S1", WORK)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(two_workers, "end_of_abandoned", lambda: Fact.UNLOCK_NOT_SENT)


@mutant("the gate does not look at the epoch", "S10", WORK)
def _(patch: pytest.MonkeyPatch) -> None:
    opens = two_workers.gate_opens
    patch.setattr(
        two_workers,
        "gate_opens",
        lambda state, *, is_aged, is_of_old_epoch: opens(state, is_aged=is_aged, is_of_old_epoch=False),
    )


@mutant("the gate takes a grant of any age", "S1", WORK)
def _(patch: pytest.MonkeyPatch) -> None:
    opens = two_workers.gate_opens
    patch.setattr(
        two_workers,
        "gate_opens",
        lambda state, *, is_aged, is_of_old_epoch: opens(
            state, is_aged=False, is_of_old_epoch=is_of_old_epoch
        ),
    )


@mutant("a lock does not wait for the unlock of another worker", "S4", WORK)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(two_workers, "may_lock_leave", lambda row, time: True)


# --- the inbox -----------------------------------------------------------------------------------------------------

RECEIVE = quick("inbox")


@mutant("a signature is not looked at", "S7", RECEIVE)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(inbox, "is_signed", lambda message: True)


@mutant("a message counts for whichever place", "S7", RECEIVE)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(inbox, "is_of_place", lambda message: True)


@mutant("an older message counts", "S7", RECEIVE)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(inbox, "is_newer", lambda message: True)


@mutant("the cloud's word that it is locked is believed", "S7", RECEIVE)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(inbox, "is_believed", lambda message: True)


@mutant("bad news waits for a reading of our own", "S7", RECEIVE)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(inbox, "is_believed", lambda message: message & inbox.ORIGIN == inbox.OWN)


@mutant("the judgement of readings forgets what was used", "S7", RECEIVE)
def _(patch: pytest.MonkeyPatch) -> None:
    sight_of = reading.sight_of
    patch.setattr(
        reading,
        "sight_of",
        lambda told, closure, *, last_used_at, last_command_at: sight_of(
            told, closure, last_used_at=None, last_command_at=last_command_at
        ),
    )


# --- the race of a block -------------------------------------------------------------------------------------------

BLOCK = quick("block")


@mutant("the gate takes no lock", "S4", BLOCK)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(block_race, "gate_locks", lambda: False)


@mutant("the gate reads before it locks", "S4", BLOCK)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(block_race, "gate_reads_after_lock", lambda: False)


@mutant("the gate does not share the freezes' lock", "S4", BLOCK)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(block_race, "gate_shares_freeze_lock", lambda: False)


@mutant("the gate does not look at a freeze again", "S4", BLOCK)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(block_race, "gate_looks_at", lambda: block_race.BLOCKED | block_race.CANCELLED)


@mutant("a sweep stops only what has not passed its gate", "S4", BLOCK)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(block_race, "sweep_stops", lambda state: state in BEFORE_GATE)


@mutant("a block is kept in the place's row alone", "S4", BLOCK)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(block_race, "block_reaches_visit", lambda: False)


@mutant("a block while an unlock is on its way orders nothing", "S4", BLOCK)
def _(patch: pytest.MonkeyPatch) -> None:
    turn(patch, State.UNLOCKING, Fact.BLOCKED, None)


@mutant("a cancellation before the gate leaves the visit alone, and the gate does not look", "S4", BLOCK)
def _(patch: pytest.MonkeyPatch) -> None:
    table: Any = booking.TABLE
    for wish in (Wish.CANCEL, Wish.REDIRECT):
        cells = {**booking.TABLE[wish], Stage.BEFORE_GATE: booking.DONE}
        table = {**table, wish: cells}
    patch.setattr(booking, "TABLE", table)
    patch.setattr(block_race, "gate_looks_at", lambda: block_race.BLOCKED | block_race.FROZEN_WIDELY)


@mutant("a lock overtakes the unlock that it is to undo", "S4", BLOCK)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(block_race, "may_lock_leave", lambda unlock, *, is_byte_late: True)


@mutant("the first byte may leave so late that a lock is late too", "S4", BLOCK)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(visit, "FIRST_BYTE_WITHIN_S", 2)
