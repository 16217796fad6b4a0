"""Watching a visit, live or later: who may, by what ticket, and what is written down of it.

`may_watch` is the one place that decides. It is asked when a stream is opened and every few seconds of it, for each
piece of a playlist, and for each range of a clip: whoever may not any more sees nothing more.

A browser can't send a key when it opens a stream, a player none with each piece that it fetches. So a key buys a
*ticket*, which stands in the address: bound to one visit, one person and the key or browser's session it was bought
with, good once, or for an hour of playing. It never outlives the right that it rests on.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from psycopg import AsyncConnection

from unlatch.domain.deed import Deed
from unlatch.domain.household import Right
from unlatch.domain.household import may_watch as may_role_watch
from unlatch.errors import ClipDamaged, Conflict, NotAllowed, NotFound
from unlatch.flow.household import require
from unlatch.flow.passes import may_carrier_watch, may_staff_watch
from unlatch.flow.platform import Platform
from unlatch.store import clips, deeds, looks, viewing, visits
from unlatch.store.ids import hash_key, make_id
from unlatch.store.looks import LookRow
from unlatch.store.viewing import Filmed, KeptClip, TicketKind, TicketRow
from unlatch.store.visits import VisitRow

TICKET = "tik"
TICKET_BYTES = 24  # 192 random bits, which fit into an identifier of an address
TICKET_LASTS: Mapping[TicketKind, timedelta] = MappingProxyType(
    {
        TicketKind.PAGE: timedelta(minutes=5),
        TicketKind.LIVE: timedelta(seconds=30),
        TicketKind.PLAYER: timedelta(hours=1),
    }
)
MOST_TICKETS = 100  # of one person for one visit that have not ended
SAME_LOOK = timedelta(minutes=10)
STEP_BYTES = 1024 * 1024  # of a clip, decrypted at once


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTicket:
    """A ticket with its secret, which is never shown again."""

    secret: str = field(repr=False)
    kind: TicketKind
    until: datetime  # real time


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
    """Someone who may watch this visit, as was found a moment ago."""

    who: str
    visit: VisitRow
    language: str
    key_hash: bytes | None = None  # of a ticket: the key of the moment in which it was asked for
    session_id: str | None = None  # the browser that asked for it


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenClip:
    """A clip that may be read, and whose look is written down."""

    clip: KeptClip
    key: bytes = field(repr=False)


# ---- who may ------------------------------------------------------------------------------------------------


async def may_watch(
    connection: AsyncConnection, who: str, visit: VisitRow, *, now: datetime | None = None
) -> bool:
    """Whether they may see what the cameras see, or saw, of this visit. `who`: as journals name them.

    The household by its owner's leave. Staff and the visit's carrier by a pass alone, which is asked for where `now` is
    given (clips, not live pictures). A courier learns that a clip exists, never what it shows.
    """
    part, _, name = who.partition(":")
    if part == "operator" and now is not None:
        return await may_staff_watch(connection, name, visit.id, now)
    if part == "carrier" and now is not None:
        return await may_carrier_watch(connection, name, visit.id, now)
    if part != "consignee":
        return False
    found = await viewing.find_watcher(connection, visit.access_point_id, name)
    return found is not None and may_role_watch(found[0], is_let=found[1])


async def require_watch(
    connection: AsyncConnection, who: str, visit: VisitRow, *, now: datetime | None = None
) -> None:
    """Raises NotAllowed."""
    if not await may_watch(connection, who, visit, now=now):
        raise NotAllowed("only those whom the place's owner lets may watch: the household, others by a pass")


async def still_may_watch(connection: AsyncConnection, watcher: Watcher) -> bool:
    """The same for someone who watches already, and whether their session or key is still good."""
    part, _, name = watcher.who.partition(":")
    if (
        part == "consignee"
        and watcher.key_hash is not None
        and not await viewing.is_signed_in(
            connection,
            name,
            key_hash=watcher.key_hash,
            session_id=watcher.session_id,
            real_now=datetime.now(UTC),
        )
    ):
        return False
    return await may_watch(connection, watcher.who, watcher.visit)


async def let_watch(
    connection: AsyncConnection,
    access_point_id: str,
    *,
    member_id: str,
    consignee_id: str,
    is_let: bool,
    now: datetime,
) -> None:
    """The owner lets a member watch, or no more. Raises NotFound, NotAllowed."""
    await require(connection, access_point_id, consignee_id, Right.LET_WATCH, is_locked=True)
    if not await viewing.set_may_watch(connection, access_point_id, member_id, may_watch=is_let):
        raise NotFound("there is no such member")
    await deeds.insert_deed(
        connection,
        access_point_id=access_point_id,
        stop_id=None,
        who=f"consignee:{consignee_id}",
        what=Deed.WATCHING_LET if is_let else Deed.WATCHING_ENDED,
        body={"member_id": member_id},
        at=now,
    )


# ---- tickets --------------------------------------------------------------------------------------------------


async def make_ticket(
    connection: AsyncConnection, kind: TicketKind, *, who: str, visit: VisitRow, session_id: str | None
) -> NewTicket:
    """A ticket for one of the household. `session_id`: of the browser that asks; None: it asks with a key.

    Raises NotAllowed, and Conflict where they have too many.
    """
    await require_watch(connection, who, visit)
    real_now = datetime.now(UTC)
    secret = f"{TICKET}_{secrets.token_hex(TICKET_BYTES)}"
    until_real = real_now + TICKET_LASTS[kind]
    is_kept = await viewing.insert_ticket(
        connection,
        hash_key(secret),
        kind,
        visit_id=visit.id,
        consignee_id=who.partition(":")[2],
        session_id=session_id,
        until_real=until_real,
        real_now=real_now,
        most=MOST_TICKETS,
    )
    if not is_kept:
        raise Conflict(f"you have {MOST_TICKETS} tickets for this visit: wait until one ends")
    return NewTicket(secret=secret, kind=kind, until=until_real)


async def use_ticket(connection: AsyncConnection, secret: str, kind: TicketKind, visit_id: str) -> Watcher:
    """Use up a ticket for this visit. Raises NotFound, whatever is wrong with it."""
    row = await viewing.use_ticket(connection, hash_key(secret), kind, datetime.now(UTC))
    if row is None or row.visit_id != visit_id:
        raise NotFound("this ticket is not good, or not any more: ask for a new one")
    return await _watcher_of(connection, row)


async def find_player(connection: AsyncConnection, secret: str) -> Watcher:
    """Who plays by this ticket. Raises NotFound, whatever is wrong with it."""
    row = await viewing.find_ticket(connection, hash_key(secret), TicketKind.PLAYER, datetime.now(UTC))
    if row is None:
        raise NotFound("this ticket is not good, or not any more: ask for a new one")
    return await _watcher_of(connection, row)


async def _watcher_of(connection: AsyncConnection, row: TicketRow) -> Watcher:
    visit = await visits.get_visit(connection, row.visit_id)
    if not await may_watch(connection, row.who, visit):
        raise NotFound("this ticket is not good, or not any more: ask for a new one")
    return Watcher(
        who=row.who,
        visit=visit,
        language=row.language,
        key_hash=row.key_hash,
        session_id=row.session_id,
    )


# ---- live -----------------------------------------------------------------------------------------------------


async def find_filmed(connection: AsyncConnection, visit: VisitRow, camera_id: str | None) -> Filmed | None:
    """What this camera, or the best one, records of a visit that lives; None: there is nothing to see live."""
    if not visit.visit.is_live:
        return None
    under_way = [one for one in await viewing.list_filmed(connection, visit.id) if one.is_under_way]
    return next((one for one in under_way if camera_id in (None, one.camera_id)), None)


async def write_look(connection: AsyncConnection, watcher: Watcher, what: str, now: datetime) -> None:
    """Write down that someone begins to watch (`live:` and the camera), or has ended it (`live_ended:`)."""
    await looks.insert_look(connection, _look(watcher.who, watcher.visit, what, now))


def _look(who: str, visit: VisitRow, what: str, at: datetime) -> LookRow:
    return LookRow(
        id=make_id("loo"),
        access_point_id=visit.access_point_id,
        stop_id=visit.stop_id,
        who=who,
        what=what,
        at=at,
    )


# ---- clips ----------------------------------------------------------------------------------------------------


async def get_clip(connection: AsyncConnection, visit_id: str, clip_id: str) -> KeptClip:
    """What is told of one clip. Raises NotFound, for one that was erased too."""
    clip = await viewing.find_kept_clip(connection, visit_id, clip_id)
    if clip is None:
        raise NotFound("there is no such clip")
    if clip.erased_at is not None:
        raise NotFound("this clip was erased")
    return clip


async def open_clip(platform: Platform, watcher: Watcher, clip_id: str) -> OpenClip:
    """A clip to be read, the look written down first. Raises NotFound, SealBroken."""
    sealed, _ = await _look_at(platform, watcher, clip_id)
    async with platform.database.connection() as connection:
        clip = await get_clip(connection, watcher.visit.id, clip_id)
    return OpenClip(clip=clip, key=platform.vault.open(sealed, clip_id))


async def read_poster(platform: Platform, watcher: Watcher, clip_id: str) -> bytes:
    """One picture of a clip as JPEG: seeing it is a look like any other. Raises NotFound, SealBroken."""
    _, poster = await _look_at(platform, watcher, clip_id)
    if poster is None:
        raise NotFound("there is no picture of this clip")
    return platform.vault.open(poster, f"{clip_id}/poster")


async def _look_at(platform: Platform, watcher: Watcher, clip_id: str) -> tuple[bytes, bytes | None]:
    """Key and poster, sealed, in the transaction that writes the look: one a clip, person and ten minutes."""
    async with platform.database.transaction() as connection:
        await get_clip(connection, watcher.visit.id, clip_id)
        look = _look(watcher.who, watcher.visit, f"clip:{clip_id}", platform.clock.now())
        await viewing.insert_look_once(connection, look, SAME_LOOK)
        sealed, poster = await viewing.find_sealed(connection, clip_id)
        if sealed is None:
            raise NotFound("this clip was erased")
        return sealed, poster


async def read_clip(
    platform: Platform, opened: OpenClip, offset: int, size: int, executor: Executor
) -> bytes:
    """A piece of a clip, at most STEP_BYTES of it, decrypted in a thread. Raises ClipDamaged, which names the parts."""
    loop = asyncio.get_running_loop()
    clip_id, size = opened.clip.id, min(size, STEP_BYTES)
    try:
        return await loop.run_in_executor(executor, platform.clips.read, clip_id, opened.key, offset, size)
    except ClipDamaged:
        # Only now is it worth while to unpack where each part stands.
        async with platform.database.connection() as connection:
            row = await clips.find_clip(connection, clip_id)
        if row is None:
            raise
        places = row.content().places
        return await loop.run_in_executor(
            executor, platform.clips.read, clip_id, opened.key, offset, size, places
        )
