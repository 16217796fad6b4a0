"""Un-linking: the owner takes back what they had let us do.

It takes effect at once for every opening. Closings keep their tokens until the visit and its tail are over; then the
maker is told and the tokens are destroyed (`flow/refreshing.py`).

And: a place that got another owner is no longer reached through the former owner's account once its time is up. The
account itself is theirs, and stays.
"""

from __future__ import annotations

from datetime import datetime

from psycopg import AsyncConnection

from unlatch.domain.deed import Deed
from unlatch.domain.incident import Incident
from unlatch.domain.linking import AccountState
from unlatch.domain.notice import NoticeEvent
from unlatch.domain.visit import Fact
from unlatch.errors import Conflict, DatabaseDown
from unlatch.flow import notifying
from unlatch.flow.linking import get_account
from unlatch.flow.platform import Platform
from unlatch.flow.record import Happening, record_in
from unlatch.store import consignees, deeds, links, maker_accounts, stops, visits
from unlatch.store.maker_accounts import MakerAccountRow

LINKS_AT_ONCE = 100


async def unlink(
    connection: AsyncConnection, account_id: str, *, consignee_id: str, now: datetime
) -> MakerAccountRow:
    """Nothing is opened through this account from now on; what is open there is locked. Raises NotFound, Conflict."""
    account = await get_account(connection, account_id, consignee_id=consignee_id)
    places = await links.list_places(connection, account_id)
    for place in places:
        await consignees.find_access_point(connection, place.access_point_id, is_locked=True)
    locked = await maker_accounts.find_account(
        connection, account_id, consignee_id=consignee_id, is_locked=True
    )
    if locked is None or locked.state not in (AccountState.LIVE, AccountState.LOST):
        return locked or account  # un-linked already: saying it twice changes nothing
    if await links.list_places(connection, account_id) != places:
        raise Conflict("a car was just linked through this account: try again")
    for place in places:
        await _close_place(connection, place.access_point_id, f"consignee:{consignee_id}", now)
    await maker_accounts.unlink(connection, account_id, now=now)
    return await get_account(connection, account_id, consignee_id=consignee_id)


async def _close_place(connection: AsyncConnection, access_point_id: str, who: str, now: datetime) -> None:
    """The place's consent ends, with the visit and the stops that rested on it. Its row is locked."""
    await links.set_consent(connection, access_point_id, is_given=False)
    visit = await visits.find_live_visit(connection, access_point_id)
    if visit is not None:
        await record_in(connection, visit, Happening(fact=Fact.BLOCKED, who=who), now)
    incident = Incident.DEVICE_CONSENT_LOST
    for stop in await stops.rule_out_stops(connection, access_point_id, incident=incident, now=now):
        facts = {"incident": incident.value, "fallback": stop.fallback}
        await notifying.tell_of_stop(
            connection, NoticeEvent.RULED_OUT, stop, now, facts, place_id=access_point_id
        )
    await deeds.insert_deed(
        connection, access_point_id=access_point_id, stop_id=None, who=who, what=Deed.UNLINKED, at=now
    )


async def end_links(platform: Platform, limit: int = LINKS_AT_ONCE) -> int:
    """End the links of places that got another owner, where their time is up. How many there were.

    One that can't be ended keeps no other waiting; its error is raised once all are done.
    """
    now, broken, count = platform.clock.now(), [], 0
    async with platform.database.connection() as connection:
        due = await links.list_links_due(connection, now=now, limit=limit)
    for access_point_id in due:
        try:
            count += await _end_link(platform, access_point_id)
        except DatabaseDown:
            raise
        except Exception as error:  # noqa: BLE001 - raised below
            broken.append(error)
    if broken:
        raise broken[0]
    return count


async def _end_link(platform: Platform, access_point_id: str) -> bool:
    """False: a visit has begun there, its owner has linked it, or another worker was faster."""
    now = platform.clock.now()
    async with platform.database.transaction() as connection:
        point = await consignees.find_access_point(connection, access_point_id, is_locked=True)
        if point is None or not await links.list_links_due(
            connection, now=now, access_point_id=access_point_id
        ):
            return False
        await _close_place(connection, access_point_id, "clock", now)
        await links.unhang_car(connection, access_point_id)
        facts = {"place": point.name} if point.name else {}
        key = f"{access_point_id}/{now.isoformat()}"
        await notifying.tell(
            connection, NoticeEvent.LINK_ENDED, place_id=access_point_id, key=key, now=now, facts=facts
        )
    return True
