"""Watching a visit: who may, by what ticket; which cameras film it, which clips there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum, auto

from psycopg import AsyncConnection
from psycopg.rows import class_row

from unlatch.domain.household import Role
from unlatch.store.looks import LookRow

MOST_SHOWN = 64  # cameras or clips of a visit


class TicketKind(StrEnum):
    """What a ticket opens."""

    PAGE = auto()  # the page, once
    LIVE = auto()  # one live stream, once
    PLAYER = auto()  # playlists, takes and clips, until it ends


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketRow:
    """A ticket that is good, without its secret."""

    visit_id: str
    consignee_id: str
    key_hash: bytes
    session_id: str | None  # of the browser that asked for it; None: it was asked for with the key
    until_real: datetime
    language: str  # of the consignee

    @property
    def who(self) -> str:
        """As looks name them."""
        return f"consignee:{self.consignee_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filmed:
    """What one camera records of a visit, and how the camera stands, as its recorder told last."""

    recording_id: str
    camera_id: str
    camera_name: str
    folder: str
    is_under_way: bool
    is_witness: bool
    camera_state: str
    verdict: str | None
    code: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether a recording is still under way, and what its recorder says of the picture."""

    recording_id: str
    visit_state: str
    is_under_way: bool
    verdict: str | None
    code: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptClip:
    """A clip without its content: what may be told of it to whoever may watch it."""

    id: str
    visit_id: str
    camera_id: str
    camera_name: str
    number: int
    made_at: datetime
    length_ms: int
    size: int
    sha256: bytes
    keep_until: datetime
    erased_at: datetime | None


# Whether what a ticket was asked for with, a browser's session or a key, is still good: in other statements, with
# `ticket` and `consignee` and %(real_now)s.
_IS_SIGNED_IN = """
    CASE WHEN ticket.session_id IS NULL THEN consignee.key_hash = ticket.key_hash
    ELSE EXISTS (SELECT FROM session WHERE session.id = ticket.session_id AND reader = 'consignee'
        AND reader_id = consignee.id AND ended_at IS NULL AND expires_at > %(real_now)s) END
"""
_INSERT_TICKET = """
    -- A ticket, unless this person has as many for this visit as they may. It dies with the session, or with the key
    -- of this moment.
    INSERT INTO ticket (digest, kind, visit_id, consignee_id, key_hash, session_id, until_real)
    SELECT %(digest)s, %(kind)s, %(visit_id)s, id, key_hash, %(session_id)s, %(until_real)s FROM consignee
    WHERE id = %(consignee_id)s AND (
        SELECT count(*) FROM ticket WHERE visit_id = %(visit_id)s AND consignee_id = %(consignee_id)s
            AND until_real > %(real_now)s) < %(most)s
"""
_TICKET = "visit_id, consignee_id, ticket.key_hash, session_id, until_real, language"
_USE_TICKET = f"""
    -- Of two who come with one ticket at once, one is let in.
    UPDATE ticket SET used_at_real = %(real_now)s FROM consignee
    WHERE digest = %(digest)s AND kind = %(kind)s AND used_at_real IS NULL AND until_real > %(real_now)s
        AND consignee.id = consignee_id AND {_IS_SIGNED_IN}
    RETURNING {_TICKET}
"""
_FIND_TICKET = f"""
    SELECT {_TICKET} FROM ticket JOIN consignee ON consignee.id = consignee_id
    WHERE digest = %(digest)s AND kind = %(kind)s AND until_real > %(real_now)s AND {_IS_SIGNED_IN}
"""
_ASK_SIGNED_IN = f"""
    SELECT 1 FROM consignee, (SELECT %(key_hash)s::bytea AS key_hash, %(session_id)s::text AS session_id) AS ticket
    WHERE consignee.id = %(consignee_id)s AND {_IS_SIGNED_IN}
"""
_FIND_WATCHER = """
    -- What this person is to the place, and whether its owner lets them watch.
    SELECT 'owner' AS role, true AS is_let FROM access_point
    WHERE id = %(place_id)s AND consignee_id = %(consignee_id)s
    UNION ALL
    SELECT 'member', may_watch FROM member
    WHERE access_point_id = %(place_id)s AND consignee_id = %(consignee_id)s AND left_at IS NULL
    LIMIT 1
"""
_LIST_FILMED = """
    -- What the cameras record of a visit; one whose proof opened the door comes first.
    SELECT recording.id AS recording_id, camera.id AS camera_id, camera.name AS camera_name, folder,
        recording.state IN ('wanted', 'recording') AS is_under_way, is_witness,
        camera.state AS camera_state, verdict, code
    FROM recording JOIN camera ON camera.id = recording.camera_id
    WHERE visit_id = %(visit_id)s ORDER BY is_witness DESC, recording.id LIMIT %(limit)s
"""
_LIST_STANDINGS = """
    SELECT recording.id AS recording_id, visit.state AS visit_state,
        recording.state IN ('wanted', 'recording') AS is_under_way, verdict, code
    FROM recording JOIN visit ON visit.id = recording.visit_id JOIN camera ON camera.id = recording.camera_id
    WHERE recording.id = ANY(%s)
"""
_CLIP = """
    clip.id, clip.visit_id, camera.id AS camera_id, camera.name AS camera_name, clip.number, clip.made_at,
    clip.length_ms, clip.size, clip.sha256, clip.keep_until, clip.erased_at
    FROM clip JOIN recording ON recording.id = clip.recording_id JOIN camera ON camera.id = recording.camera_id
"""
_INSERT_LOOK_ONCE = """
    -- A look, unless the same person had the same one a moment ago.
    INSERT INTO look (id, access_point_id, stop_id, who, what, at)
    SELECT %(id)s, %(place_id)s, %(stop_id)s, %(who)s, %(what)s, %(at)s
    WHERE NOT EXISTS (SELECT 1 FROM look WHERE access_point_id = %(place_id)s AND who = %(who)s
        AND what = %(what)s AND at > %(since)s)
"""


# ---- who may ----------------------------------------------------------------------------------------------


async def find_watcher(
    connection: AsyncConnection, access_point_id: str, consignee_id: str
) -> tuple[Role, bool] | None:
    """What someone is to a place, and whether its owner lets them watch; None: they are not of its household."""
    cursor = await connection.execute(
        _FIND_WATCHER, {"place_id": access_point_id, "consignee_id": consignee_id}
    )
    row = await cursor.fetchone()
    return None if row is None else (Role(row[0]), row[1])


async def set_may_watch(
    connection: AsyncConnection, access_point_id: str, consignee_id: str, *, may_watch: bool
) -> bool:
    """Let a member watch, or no more; False where they are no member. The place's row must be locked."""
    cursor = await connection.execute(
        "UPDATE member SET may_watch = %s WHERE access_point_id = %s AND consignee_id = %s AND left_at IS NULL",
        (may_watch, access_point_id, consignee_id),
    )
    return cursor.rowcount > 0


# ---- tickets ----------------------------------------------------------------------------------------------


async def insert_ticket(
    connection: AsyncConnection,
    digest: bytes,
    kind: TicketKind,
    *,
    visit_id: str,
    consignee_id: str,
    session_id: str | None,
    until_real: datetime,
    real_now: datetime,
    most: int,
) -> bool:
    """Keep a ticket; False where this person has `most` for this visit that have not ended."""
    values = {
        "digest": digest,
        "kind": kind,
        "visit_id": visit_id,
        "consignee_id": consignee_id,
        "session_id": session_id,
        "until_real": until_real,
        "real_now": real_now,
        "most": most,
    }
    cursor = await connection.execute(_INSERT_TICKET, values)
    return cursor.rowcount > 0


async def use_ticket(
    connection: AsyncConnection, digest: bytes, kind: TicketKind, real_now: datetime
) -> TicketRow | None:
    """Use a ticket up; None where it is not good, or not any more."""
    async with connection.cursor(row_factory=class_row(TicketRow)) as cursor:
        await cursor.execute(_USE_TICKET.encode(), {"digest": digest, "kind": kind, "real_now": real_now})
        return await cursor.fetchone()


async def find_ticket(
    connection: AsyncConnection, digest: bytes, kind: TicketKind, real_now: datetime
) -> TicketRow | None:
    """A ticket that is good now, and stays so."""
    async with connection.cursor(row_factory=class_row(TicketRow)) as cursor:
        await cursor.execute(_FIND_TICKET.encode(), {"digest": digest, "kind": kind, "real_now": real_now})
        return await cursor.fetchone()


async def is_signed_in(
    connection: AsyncConnection,
    consignee_id: str,
    *,
    key_hash: bytes,
    session_id: str | None,
    real_now: datetime,
) -> bool:
    """Whether the session, or the key, with which a ticket was asked for is still good."""
    values = {
        "consignee_id": consignee_id,
        "key_hash": key_hash,
        "session_id": session_id,
        "real_now": real_now,
    }
    cursor = await connection.execute(_ASK_SIGNED_IN.encode(), values)
    return await cursor.fetchone() is not None


async def forget_old_tickets(connection: AsyncConnection, real_now: datetime, *, limit: int) -> int:
    """Delete tickets that have ended; how many."""
    cursor = await connection.execute(
        "DELETE FROM ticket WHERE digest IN (SELECT digest FROM ticket WHERE until_real < %s LIMIT %s)",
        (real_now, limit),
    )
    return cursor.rowcount


# ---- what there is to see -----------------------------------------------------------------------------------


async def list_filmed(connection: AsyncConnection, visit_id: str) -> list[Filmed]:
    """What the cameras record of a visit, or have recorded."""
    async with connection.cursor(row_factory=class_row(Filmed)) as cursor:
        await cursor.execute(_LIST_FILMED, {"visit_id": visit_id, "limit": MOST_SHOWN})
        return await cursor.fetchall()


async def list_standings(connection: AsyncConnection, recording_ids: Sequence[str]) -> dict[str, Standing]:
    """How these recordings stand, by their ids."""
    async with connection.cursor(row_factory=class_row(Standing)) as cursor:
        await cursor.execute(_LIST_STANDINGS, (list(recording_ids),))
        return {row.recording_id: row for row in await cursor.fetchall()}


async def list_kept_clips(connection: AsyncConnection, visit_id: str) -> list[KeptClip]:
    """The clips of a visit, camera by camera, erased ones too."""
    async with connection.cursor(row_factory=class_row(KeptClip)) as cursor:
        query = f"SELECT {_CLIP} WHERE clip.visit_id = %s ORDER BY recording_id, clip.number LIMIT %s"
        await cursor.execute(query.encode(), (visit_id, MOST_SHOWN))
        return await cursor.fetchall()


async def find_kept_clip(connection: AsyncConnection, visit_id: str, clip_id: str) -> KeptClip | None:
    """One clip of that visit, erased or not."""
    async with connection.cursor(row_factory=class_row(KeptClip)) as cursor:
        query = f"SELECT {_CLIP} WHERE clip.visit_id = %s AND clip.id = %s"
        await cursor.execute(query.encode(), (visit_id, clip_id))
        return await cursor.fetchone()


async def find_sealed(connection: AsyncConnection, clip_id: str) -> tuple[bytes | None, bytes | None]:
    """What makes a clip readable, and its poster, both sealed; None: erased."""
    cursor = await connection.execute("SELECT sealed_key, poster FROM clip WHERE id = %s", (clip_id,))
    row = await cursor.fetchone()
    return (None, None) if row is None else (row[0], row[1])


# ---- looks --------------------------------------------------------------------------------------------------


async def insert_look_once(connection: AsyncConnection, look: LookRow, within: timedelta) -> None:
    """Write a look down, unless the same person had the same one within that time. Within a transaction.

    Requests for one clip come by the dozen: they wait for each other, and each sees what the one before it wrote.
    """
    values = {
        "id": look.id,
        "place_id": look.access_point_id,
        "stop_id": look.stop_id,
        "who": look.who,
        "what": look.what,
        "at": look.at,
        "since": look.at - within,
    }
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 7))", (f"{look.who} {look.what}",)
    )
    await connection.execute(_INSERT_LOOK_ONCE, values)
