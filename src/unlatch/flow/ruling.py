"""An operator rules where the parcel is, or that a late alarm was harmless. Nobody here can unlock (S8)."""

from __future__ import annotations

from datetime import datetime

from psycopg import AsyncConnection

from unlatch.domain.visit import Fact
from unlatch.errors import Conflict
from unlatch.flow.record import Happening, record_in
from unlatch.store import calls, visits
from unlatch.store.visits import VisitRow

RULINGS = frozenset({Fact.RULED_DELIVERED, Fact.RULED_UNDELIVERED})


async def rule(
    connection: AsyncConnection, visit_id: str, *, fact: Fact, operator_id: str, why: str, now: datetime
) -> VisitRow:
    """Record a ruling and close the visit's calls. Raises NotFound, and Conflict where nothing waits for one."""
    if fact not in RULINGS:
        raise ValueError(f"{fact} is no ruling")
    row = await visits.lock_visit(connection, visit_id)
    who = f"operator:{operator_id}"
    # What a person writes may name people: it can be forgotten, and the chain still holds.
    after = await record_in(connection, row, Happening(fact=fact, who=who, private={"why": why}), now)
    if after.visit == row.visit:
        raise Conflict("this visit waits for no ruling now")
    await calls.close_calls(connection, visit_id, who, now)
    return after
