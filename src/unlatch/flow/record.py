"""The only door through which a visit changes: one fact, one transaction.

    fact -> step() -> journal + state + what the orders need (commands, calls, parcels)

All of it commits together or not at all. What must then happen outside (a command to a cloud) is a row and a
job of the same transaction, so that a crash at any point is healed by doing the saved order again.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from unlatch.domain.booking import may_try_again
from unlatch.domain.decision import POLICY_VERSION
from unlatch.domain.incident import Incident, incident_of, incident_of_tail
from unlatch.domain.parcel import ParcelPlace
from unlatch.domain.proof import SALT_BYTES, Entry, Kind, Private, next_entry, seal_private
from unlatch.domain.visit import BEFORE_GATE, Fact, Order, State, Tail, Visit, step
from unlatch.flow.platform import Platform
from unlatch.flow.telling import tell_of_visit
from unlatch.store import calls, cameras, commands, jobs, journal, parcels, visits
from unlatch.store.database import pipelined
from unlatch.store.ids import make_id
from unlatch.store.visits import VisitRow

# After these, what the closure says now is worth an extra look.
_LOOK_AFTER = frozenset(
    {
        Fact.GATE_PASSED,
        Fact.UNLOCK_SAID_DONE,
        Fact.UNLOCK_REJECTED,
        Fact.UNLOCK_UNKNOWN,
        Fact.LOCK_SAID_DONE,
        Fact.LOCK_FAILED,
        Fact.COURIER_OPENED,
        Fact.COURIER_PULLED_HANDLE,
    }
)
FIRST_LOOK_S = 1.0  # after the gate: a car takes that long at least
TAIL_LOOK_S = 30.0  # while a late unlock may come
LINGERS_FOR = timedelta(seconds=20)  # real: a home's cameras, for a courier who scans again at once
TAIL_LOOK_DONE_S = 60.0  # the same, where the unlock was seen to have had its effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """A fact and what is known about it."""

    fact: Fact
    who: str  # "courier:cou_1", "cloud:onstar", "clock", "consignee:con_1", "operator:ope_1"
    kind: Kind = Kind.FACT
    body: Mapping[str, Any] = field(default_factory=dict)  # public; no floats
    private: Mapping[str, Any] | None = None  # positions and such: may be forgotten one day
    incident: Incident | None = None  # where the fact alone does not tell
    observed_at: datetime | None = None  # of the reading that this fact comes from


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One entry of the journal, before it is chained."""

    name: str
    who: str
    kind: Kind
    body: Mapping[str, Any]
    private: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one fact (or the first few of a new visit) does to a visit, not yet saved."""

    before: Visit
    after: VisitRow
    orders: tuple[Order, ...]
    entries: tuple[tuple[Entry, Private | None], ...]


async def record(platform: Platform, visit_id: str, happening: Happening) -> VisitRow:
    """Record one fact of a visit; the visit afterwards. Raises NotFound."""
    async with platform.database.pipelined_transaction() as connection:
        row = await visits.lock_visit(connection, visit_id)
        return await record_in(connection, row, happening, platform.clock.now())


async def record_in(
    connection: AsyncConnection, row: VisitRow, happening: Happening, now: datetime
) -> VisitRow:
    """Record one fact of a visit that this transaction has locked.

    A fact that changes nothing is written down all the same, unless it is a reading: those repeat.
    """
    change = change_of(row, happening, now)
    if change is None:
        return row
    async with pipelined(connection):
        await visits.update_visit(connection, change.after)
        await save_change(connection, change, now)
    return change.after


def change_of(row: VisitRow, happening: Happening, now: datetime) -> Change | None:
    """What this fact does; None: it is a reading that says nothing new. No I/O."""
    visit, orders = step(row.visit, happening.fact, now)
    if visit == row.visit and not orders and happening.kind is Kind.READING:
        return None
    incident = happening.incident or _incident(row.visit, happening.fact, visit)
    after = replace(
        row,
        visit=visit,
        incident=incident or row.incident,
        ended_at=row.ended_at or (None if visit.is_live else _time_of_entry(row, now)),
        last_observed_at=happening.observed_at or row.last_observed_at,
        next_read_at=_next_read_at(row, visit, happening.fact, now),
    )
    body: dict[str, Any] = {**happening.body, "state": visit.state.value}
    if visit.tail is not Tail.NONE:
        body["tail"] = visit.tail.value
    if incident is not None and "reasons" not in body:
        body["incident"] = incident.value
    if orders:
        body["orders"] = [order.value for order in orders]
    line = Line(
        name=happening.fact.value,
        who=happening.who,
        kind=happening.kind,
        body=body,
        private=happening.private,
    )
    after, entry = chain(after, line, now)
    return Change(before=row.visit, after=after, orders=orders, entries=(entry,))


def chain(row: VisitRow, line: Line, now: datetime) -> tuple[VisitRow, tuple[Entry, Private | None]]:
    """The next entry of the visit's journal, and the visit with its new head. No I/O."""
    private = None
    if line.private is not None:
        private = Private(salt=secrets.token_bytes(SALT_BYTES), body=line.private)
    at = _time_of_entry(row, now)
    entry = next_entry(
        row.id,
        (row.journal_number, row.journal_hash) if row.journal_hash is not None else None,
        at,
        kind=line.kind,
        name=line.name,
        who=line.who,
        body=line.body,
        private_digest=seal_private(private.body, private.salt) if private else None,
    )
    after = row.after(journal_number=entry.number, journal_hash=entry.hash, journal_at=at)
    return after, (entry, private)


def _time_of_entry(row: VisitRow, now: datetime) -> datetime:
    """A clock that was set back, or a fact that waited for the row, must not turn the order of time around."""
    return now if row.journal_at is None else max(now, row.journal_at)


async def save_change(connection: AsyncConnection, change: Change, now: datetime) -> None:
    """Write the entries and what the orders need; the visit's own row is saved by the caller."""
    for entry, private in change.entries:
        await journal.append_entry(connection, entry, private)
    was_waiting = change.before.state in BEFORE_GATE
    if was_waiting and change.after.visit.state not in (*BEFORE_GATE, State.UNLOCKING):
        # a grant that was not used is dead, and its unlock withdrawn
        await commands.end_grant(connection, change.after.id, commands.GrantState.DEAD, now)
        await commands.withdraw_unlock(connection, change.after.id, now)
    await _carry_into_rows(connection, change.after, change.orders, now)
    await tell_of_visit(connection, change.before, change.after, now)


def _incident(before: Visit, fact: Fact, after: Visit) -> Incident | None:
    """What went wrong, where the fact has turned the visit; a repeated or late fact is no incident."""
    if before.is_live:
        return incident_of(before.state, fact) if after != before else None
    return incident_of_tail(after.tail) if after != before else None


def _next_read_at(row: VisitRow, visit: Visit, fact: Fact, now: datetime) -> datetime | None:
    """When the watch looks next (it sets the pace itself once it has looked)."""
    can_read = visit.closure.reads_lock or visit.closure.reads_lid
    if not visit.is_watched or not can_read:
        return None
    if not visit.is_live and row.visit.is_live:
        return min(now + timedelta(seconds=tail_look_s(visit)), visit.late_until or now)
    wanted_at = row.next_read_at or now
    if fact in _LOOK_AFTER:
        wait_s = FIRST_LOOK_S if fact is Fact.GATE_PASSED else 0.0
        wanted_at = min(wanted_at, now + timedelta(seconds=wait_s)) if row.next_read_at else now
    return wanted_at


def tail_look_s(visit: Visit) -> float:
    """How long until the next look at a closure whose visit has ended."""
    return TAIL_LOOK_DONE_S if visit.has_opened else TAIL_LOOK_S


async def _carry_into_rows(
    connection: AsyncConnection, row: VisitRow, orders: Sequence[Order], now: datetime
) -> None:
    """What each order needs in the same transaction: rows, and a job where something must happen outside."""
    for order in orders:
        if order in (Order.UNLOCK, Order.LOCK):
            await _order_command(connection, row, order, now)
        elif order is Order.LOOK:
            await jobs.enqueue(connection, jobs.Job.DECIDE, row.id, priority=jobs.PRIORITY["unlock"])
        elif order in (Order.CALL_OPERATOR, Order.CALL_CONSIGNEE):
            kind = "operator" if order is Order.CALL_OPERATOR else "consignee"
            await calls.open_call(
                connection,
                make_id("cal"),
                visit_id=row.id,
                kind=kind,
                incident=row.incident or Incident.DEVICE_NOT_SEEN_LOCKED,
                now=now,
            )
        elif order in (Order.ISSUE_PROOF, Order.TAKE_FALLBACK):
            await parcels.settle_stop(
                connection,
                row.id,
                stop_id=row.stop_id,
                courier_id=row.courier_id,
                place=_place_of(row.visit.state, order),
                may_try_again=may_try_again(row.visit.state, row.incident),
            )
        elif order is Order.PROVE_RECORDING:
            await jobs.enqueue(connection, jobs.Job.PROVE, row.id, priority=jobs.PRIORITY["unlock"])
        elif order is Order.RING:
            await jobs.enqueue(connection, jobs.Job.RING, row.id, priority=jobs.PRIORITY["unlock"])
        elif order is Order.STOP_RECORDING:
            await cameras.end_recordings(connection, row.id, now)
            await cameras.let_be(connection, row.access_point_id, datetime.now(UTC) + LINGERS_FOR)
        # WATCH: the row's next_read_at. REMIND_COURIER: the journal entry itself, which the courier is streamed.


def _place_of(state: State, order: Order) -> ParcelPlace:
    """Where the parcels of a visit are that ends so."""
    if order is Order.TAKE_FALLBACK:
        return ParcelPlace.WITH_COURIER
    return ParcelPlace.HANDED_OVER if state is State.HANDED_OVER else ParcelPlace.IN_PLACE


async def _order_command(connection: AsyncConnection, row: VisitRow, order: Order, now: datetime) -> None:
    grant_id = None
    if order is Order.UNLOCK:
        grant_id = make_id("gra")
        granted_at = row.visit.decided_at or now  # a grant is as old as the decision that it rests on (S1)
        await commands.insert_grant(connection, grant_id, row.id, POLICY_VERSION, granted_at)
    command_id = make_id("com")
    await commands.insert_command(
        connection, command_id, visit_id=row.id, verb=order.value, grant_id=grant_id, now=now
    )
    job = jobs.Job.UNLOCK if order is Order.UNLOCK else jobs.Job.LOCK
    await jobs.enqueue(connection, job, command_id, priority=jobs.PRIORITY[order.value])
