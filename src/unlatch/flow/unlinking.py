"""Un-linking: the owner takes back what they had let us do.

It takes effect at once for every opening. Closings keep their tokens until the visit and its tail are over; then the
maker is told and the tokens are destroyed (`flow/refreshing.py`).
"""

from __future__ import annotations

from datetime import datetime

from psycopg import AsyncConnection

from unlatch.domain.incident import Incident
from unlatch.domain.linking import AccountState
from unlatch.domain.notice import NoticeEvent
from unlatch.domain.visit import Fact
from unlatch.errors import Conflict
from unlatch.flow import notifying
from unlatch.flow.linking import get_account, write_deed
from unlatch.flow.record import Happening, record_in
from unlatch.store import consignees, maker_accounts, stops, visits
from unlatch.store.maker_accounts import MakerAccountRow


async def unlink(
    connection: AsyncConnection, account_id: str, *, consignee_id: str, now: datetime
) -> MakerAccountRow:
    """Nothing is opened through this account from now on; what is open there is locked. Raises NotFound, Conflict."""
    account = await get_account(connection, account_id, consignee_id=consignee_id)
    places = await maker_accounts.list_places(connection, account_id)
    for place in places:
        await consignees.find_access_point(connection, place.access_point_id, is_locked=True)
    locked = await maker_accounts.find_account(
        connection, account_id, consignee_id=consignee_id, is_locked=True
    )
    if locked is None or locked.state not in (AccountState.LIVE, AccountState.LOST):
        return locked or account  # un-linked already: saying it twice changes nothing
    if await maker_accounts.list_places(connection, account_id) != places:
        raise Conflict("a car was just linked through this account: try again")
    for place in places:
        await _close_place(connection, place.access_point_id, consignee_id, now)
    await maker_accounts.unlink(connection, account_id, now=now)
    return await get_account(connection, account_id, consignee_id=consignee_id)


async def _close_place(
    connection: AsyncConnection, access_point_id: str, consignee_id: str, now: datetime
) -> None:
    """The place's consent ends, with the visit and the stops that rested on it. Its row is locked."""
    who = f"consignee:{consignee_id}"
    await maker_accounts.set_consent(connection, access_point_id, is_given=False)
    visit = await visits.find_live_visit(connection, access_point_id)
    if visit is not None:
        await record_in(connection, visit, Happening(fact=Fact.BLOCKED, who=who), now)
    incident = Incident.DEVICE_CONSENT_LOST
    for stop in await stops.rule_out_stops(connection, access_point_id, incident=incident, now=now):
        facts = {"incident": incident.value, "fallback": stop.fallback}
        await notifying.tell_of_stop(
            connection, NoticeEvent.RULED_OUT, stop, now, facts, place_id=access_point_id
        )
    await write_deed(connection, access_point_id, consignee_id, "unlinked", now)
