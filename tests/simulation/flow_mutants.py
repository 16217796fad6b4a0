"""Faults made by hand in the flow's own code, each of which the simulation must find."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from unlatch.cameras.proof import LEASE_S, Lease, Proof, Refusal
from unlatch.devices.base import Car, Sending
from unlatch.domain import visit as protocol
from unlatch.domain.reading import Sight, sight_of
from unlatch.domain.visit import Fact, State, Tail
from unlatch.errors import CommandUnknown
from unlatch.flow import carry_out, challenging, consent, deadlines, filming, freezing, gate, record, watch
from unlatch.simulation import run
from unlatch.store import commands, visits
from unlatch.store.commands import CommandState

Patch = Callable[[pytest.MonkeyPatch], None]
FLOW_MUTANTS: list[FlowMutant] = []


@dataclass(frozen=True, kw_only=True)
class FlowMutant:
    """One fault. `breaks`: the invariants that may name it. `seed`: from where the search begins."""

    name: str
    breaks: frozenset[str]
    patch: Patch
    badness: float
    seed: int = 1


def mutant(name: str, breaks: str, badness: float = 2.0, seed: int = 1) -> Callable[[Patch], Patch]:
    """Add one to the list."""

    def add(patch: Patch) -> Patch:
        FLOW_MUTANTS.append(
            FlowMutant(name=name, breaks=frozenset(breaks.split()), patch=patch, badness=badness, seed=seed)
        )
        return patch

    return add


def change_view(patch: pytest.MonkeyPatch, **changes: Any) -> None:
    """What the gate sees, changed."""
    honest = commands.lock_gate

    async def lock_gate(connection: Any, command_id: str) -> Any:
        view = await honest(connection, command_id)
        return None if view is None else replace(view, **changes)

    patch.setattr(commands, "lock_gate", lock_gate)


@mutant("a block ends no visit, and the gate takes no notice of it", "S4")
def _(patch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any, **__: Any) -> None:
        return None

    patch.setattr(consent, "_end_live_visit", nothing)
    change_view(patch, is_blocked=False, is_frozen=False)


@mutant("a block locks nothing that is open already", "S4")
def _(patch: pytest.MonkeyPatch) -> None:
    honest = consent._end_live_visit

    async def before_the_gate_alone(connection: Any, access_point_id: str, *rest: Any, **more: Any) -> Any:
        row = await visits.find_live_visit(connection, access_point_id)
        if row is None or row.visit.state not in protocol.BEFORE_GATE:
            return None
        return await honest(connection, access_point_id, *rest, **more)

    patch.setattr(consent, "_end_live_visit", before_the_gate_alone)


@mutant("the gate takes no notice of a wide freeze", "S4")
def _(patch: pytest.MonkeyPatch) -> None:
    change_view(patch, frozen=None)


@mutant("the gate lets a command pass that has left already", "S1 S2 A1")
def _(patch: pytest.MonkeyPatch) -> None:
    honest = gate._why_not
    change_view(patch, command_state=CommandState.INTENT)

    def why_not(view: Any, state: State, now: Any) -> Any:
        if state in protocol.LIVE - protocol.BEFORE_GATE:
            return None
        return honest(view, state, now)

    patch.setattr(gate, "_why_not", why_not)


@mutant("the first byte may leave at any time", "S1")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(gate, "FIRST_BYTE_WITHIN_S", 1e9)


@mutant("an unlock whose end is unknown is sent again", "S2")
def _(patch: pytest.MonkeyPatch) -> None:
    honest = carry_out._send

    async def send(verb: Any, car: Car, sending: Sending) -> Any:
        async def twice(car: Car, sending: Sending) -> Any:
            try:
                return await verb(car, sending)
            except CommandUnknown:
                return await verb(car, replace(sending, first_byte_by_s=None))

        return await honest(twice, car, sending)

    patch.setattr(carry_out, "_send", send)


@mutant("nobody looks after deadlines", "L1 L2 L3")
def _(patch: pytest.MonkeyPatch) -> None:
    async def record_due(*_: Any) -> int:
        return 0

    patch.setattr(deadlines, "record_due", record_due)


@mutant("a command of a lost worker is waited for for ever", "L2")
def _(patch: pytest.MonkeyPatch) -> None:
    async def record_abandoned(*_: Any) -> int:
        return 0

    patch.setattr(deadlines, "record_abandoned", record_abandoned)


@mutant("an older reading counts", "S5 S7 L1 L3 S2")
def _(patch: pytest.MonkeyPatch) -> None:
    honest = sight_of

    def see(reading: Any, closure: Any, **_: Any) -> Sight:
        return honest(reading, closure, last_used_at=None, last_command_at=None)

    patch.setattr(watch, "sight_of", see)
    patch.setattr(watch, "fact_of_sight", lambda _, sight, __: {
        Sight.LOCKED: Fact.SEEN_LOCKED, Sight.CLOSED: Fact.SEEN_CLOSED, Sight.OPEN: Fact.SEEN_OPEN,
    }.get(sight))  # fmt: skip


@mutant("what can't be read counts as locked", "S5")
def _(patch: pytest.MonkeyPatch) -> None:
    honest = sight_of

    def see(reading: Any, closure: Any, **times: Any) -> Sight:
        sight = honest(reading, closure, **times)
        return Sight.LOCKED if sight is Sight.CLOSED else sight

    patch.setattr(watch, "sight_of", see)


@mutant("a failover raises no fence", "S1 S2 S10 A1 L1 L2 L3", badness=15.0, seed=380)
def _(patch: pytest.MonkeyPatch) -> None:
    async def raise_fence(*_: Any) -> str:
        return "raised"

    patch.setattr(run, "raise_fence", raise_fence)


@mutant("no tail: nothing is watched after the end", "S2 L3")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(protocol, "_begin_tail", lambda visit, _: replace(visit, tail=Tail.NONE, deadline_at=None))


@mutant("what was frozen is not swept", "S4 L1")
def _(patch: pytest.MonkeyPatch) -> None:
    async def sweep(*_: Any) -> int:
        return 0

    patch.setattr(freezing, "sweep", sweep)


@mutant("a dead grant's unlock is not withdrawn", "L2 S1")
def _(patch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any) -> None:
        return None

    patch.setattr(commands, "withdraw_unlock", nothing)


@mutant("an unlock that nobody can swear to is called not sent", "S1")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        carry_out, "UNLOCK_FACTS", {**carry_out.UNLOCK_FACTS, CommandState.UNKNOWN: Fact.UNLOCK_NOT_SENT}
    )
    honest = carry_out.end_command

    async def end_command(
        platform: Any, command_id: str, visit_id: str, verb: str, state: Any, *rest: Any
    ) -> None:
        state = CommandState.NOT_SENT if (verb, state) == ("unlock", CommandState.UNKNOWN) else state
        await honest(platform, command_id, visit_id, verb, state, *rest)

    patch.setattr(carry_out, "end_command", end_command)


@mutant("a picture that stands still counts as a proof, and as a lease", "S3")
def _(patch: pytest.MonkeyPatch) -> None:
    def check(answer: Proof | Refusal, *_: Any) -> Proof:
        if isinstance(answer, Proof):
            return answer
        assert answer.judgement is not None
        return Proof(
            made_at=datetime.now(UTC), made_s=asyncio.get_running_loop().time(), take=1, part=1, frames=3,
            sha256=bytes(32), judgement=answer.judgement, clock_apart_s=None,
        )  # fmt: skip

    async def find_hold(platform: Any, visit_id: str) -> Any:
        hold = await filming.find_hold(platform, visit_id)
        return hold and replace(hold, lease=Lease(until_s=asyncio.get_running_loop().time() + LEASE_S))

    patch.setattr(challenging, "check", check)
    patch.setattr(carry_out, "find_hold", find_hold)


@mutant("a proof never grows old", "S3")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Proof, "is_fresh", lambda *_: True)


@mutant("nobody is told that the recording was lost", "S3")
def _(patch: pytest.MonkeyPatch) -> None:
    async def tell_turned(*_: Any) -> int:
        return 0

    patch.setattr(filming, "tell_turned", tell_turned)


@mutant("a lost recording is written down and calls nobody", "S3")
def _(patch: pytest.MonkeyPatch) -> None:
    async def record_in(connection: Any, row: Any, happening: Any, now: Any) -> Any:
        if happening.fact is Fact.RECORDING_LOST:
            return row
        return await record.record_in(connection, row, happening, now)

    patch.setattr(filming, "record_in", record_in)
