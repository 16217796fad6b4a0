"""Un-linking: the owner takes back what they had let us do.

It takes effect at once for every opening. Closings keep their tokens until the visit and its tail are over; then the
maker is told and the tokens are destroyed (`flow/refreshing.py`).

A home is un-linked as a whole, and only in peace: its hub has no maker who would be told, so all that opens lock and
cameras is overwritten at once, and nothing could be locked with it afterwards.

And: a place that got another owner is no longer reached through the former owner's account once its time is up. The
account itself is theirs, and stays.
"""

from __future__ import annotations

from datetime import datetime

from psycopg import AsyncConnection

from unlatch.domain.deed import Deed
from unlatch.domain.household import Right
from unlatch.domain.incident import Incident
from unlatch.domain.linking import AccountState
from unlatch.domain.notice import NoticeEvent
from unlatch.domain.visit import Fact
from unlatch.errors import Conflict, DatabaseDown
from unlatch.flow import homes, notifying
from unlatch.flow.linking import get_account
from unlatch.flow.platform import Platform
from unlatch.flow.record import Happening, record_in
from unlatch.store import (
    cameras,
    consignees,
    deeds,
    erasures,
    links,
    maker_accounts,
    readings,
    stops,
    visits,
)
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


async def unlink_home(
    platform: Platform, connection: AsyncConnection, access_point_id: str, *, consignee_id: str, now: datetime
) -> None:
    """The consent for a home ends, its cameras go, and what opens either is destroyed. Its household and history stay.

    Saying it twice changes nothing. Raises NotFound, NotAllowed, Conflict.
    """
    await homes.get_home(connection, access_point_id, consignee_id, Right.LINK, is_locked=True)
    hub = await consignees.find_vehicle(connection, access_point_id)
    assert hub is not None  # a home has one
    if not homes.is_linked(platform, hub):
        return
    if await consignees.is_under_watch(connection, access_point_id):
        raise Conflict("a visit is under way, or was a moment ago: un-link this home when its watch is over")
    if coming := await erasures.list_stops_to_come(connection, [access_point_id], now):
        raise Conflict(f"{len(coming)} deliveries are to come here: redirect them, then un-link this home")
    await links.set_consent(connection, access_point_id, is_given=False)
    for camera in await cameras.list_cameras(connection, access_point_id):
        await cameras.remove_camera(connection, camera.id, now, platform.vault.seal({}, camera.id))
    name = platform.vault.open_mapping(hub.sealed, access_point_id)["vin"]  # of the door: it opens nothing
    sealed = platform.vault.seal({"vin": name}, access_point_id)
    await consignees.set_hub(connection, access_point_id, sealed=sealed, closure_key=hub.closure_key)
    await readings.forget_reading(connection, access_point_id)
    who = f"consignee:{consignee_id}"
    await deeds.insert_deed(
        connection, access_point_id=access_point_id, stop_id=None, who=who, what=Deed.HOME_UNLINKED, at=now
    )


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
