"""The consignee's word over their own place: block, unblock; and the operator's: freeze, thaw.

Blocking locks the place's row, as a scan and the gate do: what commits first, counts (S4).
"""

from __future__ import annotations

from datetime import datetime

from psycopg import AsyncConnection

from unlatch.domain.household import Right
from unlatch.domain.visit import Fact
from unlatch.errors import NotFound
from unlatch.flow.household import require, require_unblock
from unlatch.flow.record import Happening, record_in
from unlatch.store import consignees, household, visits
from unlatch.store.consignees import AccessPointRow
from unlatch.store.visits import VisitRow


async def block(
    connection: AsyncConnection, access_point_id: str, *, consignee_id: str, now: datetime
) -> VisitRow | None:
    """Nothing is opened from now on, and what is open is locked; the visit that lives there. Raises NotFound."""
    await require(connection, access_point_id, consignee_id, Right.BLOCK, is_locked=True)
    await household.add_blocker(connection, access_point_id, consignee_id)
    await consignees.set_blocked(connection, access_point_id, now)
    return await _end_live_visit(connection, access_point_id, f"consignee:{consignee_id}", now)


async def unblock(connection: AsyncConnection, access_point_id: str, *, consignee_id: str) -> None:
    """Deliveries may open it again, as agreed before. Raises NotFound, and NotAllowed at the block of another."""
    await require_unblock(connection, access_point_id, consignee_id)
    await household.clear_blockers(connection, access_point_id)
    await consignees.set_blocked(connection, access_point_id, None)


async def freeze(
    connection: AsyncConnection, access_point_id: str, *, operator_id: str, now: datetime
) -> VisitRow | None:
    """An operator lets nothing open there any more; the visit that lives there is stopped. Raises NotFound."""
    await _lock(connection, access_point_id)
    await consignees.set_frozen(connection, access_point_id, is_frozen=True)
    return await _end_live_visit(connection, access_point_id, f"operator:{operator_id}", now)


async def thaw(connection: AsyncConnection, access_point_id: str) -> None:
    """The end of a freeze. Opens nothing by itself. Raises NotFound."""
    await _lock(connection, access_point_id)
    await consignees.set_frozen(connection, access_point_id, is_frozen=False)


async def _lock(connection: AsyncConnection, access_point_id: str) -> AccessPointRow:
    point = await consignees.find_access_point(connection, access_point_id, is_locked=True)
    if point is None:
        raise NotFound("there is no such access point")
    return point


async def _end_live_visit(
    connection: AsyncConnection, access_point_id: str, who: str, now: datetime
) -> VisitRow | None:
    row = await visits.find_live_visit(connection, access_point_id)
    if row is None:
        return None
    return await record_in(connection, row, Happening(fact=Fact.BLOCKED, who=who), now)
