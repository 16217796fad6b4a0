"""An operator answers calls, and rules where the parcel is, or that a late alarm was harmless.

Nobody here can unlock (S8).
"""

from __future__ import annotations

from datetime import datetime

from psycopg import AsyncConnection

from unlatch.domain.visit import Fact
from unlatch.errors import Conflict, NotFound
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


async def close_call(connection: AsyncConnection, call_id: str, *, operator_id: str, now: datetime) -> None:
    """A person has looked, and what they were called for is over. Again is no error.

    Raises NotFound, and Conflict while the closure was not seen locked or a ruling is waited for.
    """
    visit_id = await calls.find_visit_id(connection, call_id, kind="operator")
    if visit_id is None:
        raise NotFound("there is no such call")
    row = await visits.lock_visit(connection, visit_id)
    if row.visit.waits_for_person:
        raise Conflict("what this call is about is not over: see it locked, or rule")
    await calls.close_call(connection, call_id, f"operator:{operator_id}", now)
