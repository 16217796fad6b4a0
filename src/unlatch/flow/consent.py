"""The household's word over their own place: block, unblock; and the operator's: freeze, thaw.

Blocking locks the place's row, as a scan and the gate do: what commits first, counts (S4). What a word does at each
stage of a booking stands in `domain/booking.py`. Each leaves a deed, and the household is told; said again, it
changes nothing, but a visit that lives is stopped anew: the lock that was ordered before may not have held.
"""

from __future__ import annotations

from datetime import datetime

from psycopg import AsyncConnection

from unlatch.domain.booking import DEEDS, Part, Wish
from unlatch.domain.household import Right
from unlatch.domain.incident import Incident
from unlatch.domain.notice import NoticeEvent
from unlatch.domain.visit import Fact
from unlatch.errors import NotFound
from unlatch.flow import notifying
from unlatch.flow.duties import ask_for_rechecks
from unlatch.flow.household import require, require_unblock
from unlatch.flow.record import Happening, record_in
from unlatch.store import consignees, deeds, household, visits
from unlatch.store.consignees import AccessPointRow
from unlatch.store.visits import VisitRow


async def block(
    connection: AsyncConnection, access_point_id: str, *, consignee_id: str, now: datetime
) -> VisitRow | None:
    """Nothing is opened from now on, and what is open is locked; the visit that lives there. Raises NotFound."""
    who = f"{Part.CONSIGNEE}:{consignee_id}"
    point = (await require(connection, access_point_id, consignee_id, Right.BLOCK, is_locked=True)).point
    await household.add_blocker(connection, access_point_id, consignee_id)
    if point.blocked_at is None:
        await consignees.set_blocked(connection, access_point_id, now)
    stopped = await _end_live_visit(connection, access_point_id, who, now)
    if point.blocked_at is None or stopped is not None:
        await _leave(connection, point, Wish.BLOCK, who, stopped, now)
    if point.blocked_at is None:
        await _tell(connection, point, NoticeEvent.BLOCKED, now, consignee_id=consignee_id)
    return stopped


async def unblock(
    connection: AsyncConnection, access_point_id: str, *, consignee_id: str, now: datetime
) -> None:
    """Deliveries may open it again, as agreed before. Raises NotFound, and NotAllowed at the block of another."""
    point = (await require_unblock(connection, access_point_id, consignee_id)).point
    if point.blocked_at is None:
        return
    await household.clear_blockers(connection, access_point_id)
    await consignees.set_blocked(connection, access_point_id, None)
    await _leave(connection, point, Wish.UNBLOCK, f"{Part.CONSIGNEE}:{consignee_id}", None, now)
    if not point.is_frozen:  # else it stays shut, by the operator's word; the thaw is told
        await _tell(connection, point, NoticeEvent.UNBLOCKED, now, consignee_id=consignee_id)
    await ask_for_rechecks(connection, access_point_id, now)


async def freeze(
    connection: AsyncConnection, access_point_id: str, *, operator_id: str, now: datetime
) -> VisitRow | None:
    """An operator lets nothing open there any more; the visit that lives there is stopped. Raises NotFound."""
    who = f"{Part.OPERATOR}:{operator_id}"
    point = await _lock(connection, access_point_id)
    await consignees.set_frozen(connection, access_point_id, is_frozen=True)
    frozen = Incident.PLATFORM_PLACE_FROZEN  # the household has blocked nothing, and is not told that it has
    stopped = await _end_live_visit(connection, access_point_id, who, now, incident=frozen)
    if not point.is_frozen or stopped is not None:
        await _leave(connection, point, Wish.FREEZE, who, stopped, now)
    if not point.is_frozen:
        await _tell(connection, point, NoticeEvent.BLOCKED, now)
    return stopped


async def thaw(connection: AsyncConnection, access_point_id: str, *, operator_id: str, now: datetime) -> None:
    """The end of a freeze. Opens nothing by itself. Raises NotFound."""
    point = await _lock(connection, access_point_id)
    if not point.is_frozen:
        return
    await consignees.set_frozen(connection, access_point_id, is_frozen=False)
    await _leave(connection, point, Wish.THAW, f"{Part.OPERATOR}:{operator_id}", None, now)
    if point.blocked_at is None:  # else it stays shut, by the household's own word
        await _tell(connection, point, NoticeEvent.UNBLOCKED, now)
        await ask_for_rechecks(connection, access_point_id, now)


async def _lock(connection: AsyncConnection, access_point_id: str) -> AccessPointRow:
    point = await consignees.find_access_point(connection, access_point_id, is_locked=True)
    if point is None:
        raise NotFound("there is no such access point")
    return point


async def _end_live_visit(
    connection: AsyncConnection,
    access_point_id: str,
    who: str,
    now: datetime,
    *,
    incident: Incident | None = None,
) -> VisitRow | None:
    row = await visits.find_live_visit(connection, access_point_id)
    if row is None:
        return None
    return await record_in(connection, row, Happening(fact=Fact.BLOCKED, who=who, incident=incident), now)


async def _leave(
    connection: AsyncConnection,
    point: AccessPointRow,
    wish: Wish,
    who: str,
    stopped: VisitRow | None,
    now: datetime,
) -> None:
    """The deed; it names the visit that was stopped, if one was."""
    await deeds.insert_deed(
        connection,
        access_point_id=point.id,
        stop_id=None if stopped is None else stopped.stop_id,
        who=who,
        what=DEEDS[wish],
        body={} if stopped is None else {"visit": stopped.id},
        at=now,
    )


async def _tell(
    connection: AsyncConnection,
    point: AccessPointRow,
    event: NoticeEvent,
    now: datetime,
    *,
    consignee_id: str | None = None,
) -> None:
    """Everyone of the household, each time anew. `who`: the one of them who did it; left out for an operator."""
    facts = {}
    if consignee_id is not None:
        # Whoever it is of them, of whichever carrier: the household alone is told.
        facts = {"who": (await household.list_names(connection, [consignee_id]))[consignee_id]}
    key = f"{point.id}/{now.isoformat()}"
    await notifying.tell(connection, event, place_id=point.id, key=key, now=now, facts=facts)
