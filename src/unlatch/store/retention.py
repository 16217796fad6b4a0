"""How long recordings are kept: what is due to be erased, what is held, what is still to be removed.

Erasing is destroying the key (`clip.sealed_key`); that the file goes too is tried until it has gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import class_row

from unlatch.store.aftermath import HELD_BY_CLAIM
from unlatch.store.clips import MOST_OF_VISIT

REMOVE_AGAIN_AFTER_S = 5  # real: doubled with each try, up to about an hour
MOST_DOUBLINGS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipHoldRow:
    """An operator's hold on the recordings of a visit."""

    id: str
    visit_id: str
    operator_id: str
    reason: str
    at: datetime
    until: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweptRow:
    """A recording whose folder is to go from its recorder's disk."""

    id: str
    folder: str


# An open claim, or an operator's hold, on the row `visit`.
HELD = f"""
    {HELD_BY_CLAIM}
    OR EXISTS (SELECT 1 FROM clip_hold WHERE clip_hold.visit_id = visit.id AND clip_hold.ended_at IS NULL
        AND clip_hold.until > %(now)s)
"""
_LOCK_DUE = f"""
    -- The visit whose clip has been due the longest and that nobody holds, nor has in hand.
    SELECT visit.id FROM clip JOIN visit ON visit.id = clip.visit_id
    WHERE clip.erased_at IS NULL AND clip.keep_until <= %(now)s AND NOT ({HELD})
    ORDER BY clip.keep_until LIMIT 1 OFFSET %(passing_over)s FOR NO KEY UPDATE OF visit SKIP LOCKED
"""
_LOCK_DUE_TAKES = f"""
    -- The same for recordings that never became a clip: so many days after they began, as their programme says.
    SELECT visit.id FROM recording JOIN visit ON visit.id = recording.visit_id JOIN stop ON stop.id = visit.stop_id
        LEFT JOIN unnest(%(programmes)s::text[], %(days)s::int[]) AS kept (programme, days)
            ON kept.programme = stop.programme
    WHERE recording.state IN ('ending', 'failed') AND recording.erased_at IS NULL AND visit.ended_at IS NOT NULL
        AND recording.begun_at + make_interval(days => coalesce(kept.days, %(default_days)s)) <= %(now)s
        AND NOT ({HELD})
    ORDER BY recording.begun_at LIMIT 1 OFFSET %(passing_over)s FOR NO KEY UPDATE OF visit SKIP LOCKED
"""
_ERASE = """
    -- The key goes, and the one picture with it: what lies in the store can't be read by anyone any more.
    UPDATE clip SET sealed_key = NULL, poster = NULL, erased_at = %(now)s, erased_by = %(by)s
    WHERE visit_id = %(visit_id)s AND erased_at IS NULL AND (%(is_all)s OR keep_until <= %(now)s)
    RETURNING id, recording_id
"""
_ERASE_TAKES = """
    -- What is not a clip yet will be none; its recorder removes what lies on its disk.
    UPDATE recording SET erased_at = %(now)s, erased_by = %(by)s,
        state = CASE WHEN state = 'failed' THEN 'erased' ELSE state END
    WHERE visit_id = %(visit_id)s AND state IN ('ending', 'failed') AND erased_at IS NULL
    RETURNING id
"""
_CLAIM_REMOVALS = f"""
    -- Erased clips whose file may still be there, the longest erased first; one that failed waits, and no other for it.
    UPDATE clip SET remove_tries = remove_tries + 1, remove_again_at_real = %(real_now)s + make_interval(
        secs => {REMOVE_AGAIN_AFTER_S} * power(2, least(remove_tries, {MOST_DOUBLINGS})))
    WHERE id IN (SELECT id FROM clip WHERE erased_at IS NOT NULL AND removed_at IS NULL
            AND (remove_again_at_real IS NULL OR remove_again_at_real <= %(real_now)s)
        ORDER BY erased_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED)
    RETURNING id
"""


async def _find_id(connection: AsyncConnection, query: str, values: Mapping[str, object]) -> str | None:
    cursor = await connection.execute(query.encode(), values)
    row = await cursor.fetchone()
    return None if row is None else str(row[0])


async def lock_next_due(connection: AsyncConnection, now: datetime, *, passing_over: int = 0) -> str | None:
    """A visit with clips whose time is up, locked; None: none is due, or another has it in hand."""
    return await _find_id(connection, _LOCK_DUE, {"now": now, "passing_over": passing_over})


async def lock_next_due_takes(
    connection: AsyncConnection,
    now: datetime,
    *,
    days: Mapping[str, int],
    default_days: int,
    passing_over: int = 0,
) -> str | None:
    """A visit with recordings that are no clips and whose time is up, locked. `days`: by programme."""
    values = {
        "now": now,
        "programmes": list(days),
        "days": list(days.values()),
        "default_days": default_days,
        "passing_over": passing_over,
    }
    return await _find_id(connection, _LOCK_DUE_TAKES, values)


async def lock_claims_of(connection: AsyncConnection, stop_id: str) -> None:
    """Let nobody open a claim about this stop before this transaction ends: a claim's row needs the stop's.

    Whoever is opening one is waited for. The visit must have been locked before, as everywhere.
    """
    await connection.execute("SELECT 1 FROM stop WHERE id = %s FOR UPDATE", (stop_id,))


async def erase_clips(
    connection: AsyncConnection, visit_id: str, now: datetime, *, by: str, is_all: bool
) -> list[tuple[str, str]]:
    """Destroy the keys of a visit's clips, all or those whose time is up; clip and recording of each."""
    values = {"visit_id": visit_id, "now": now, "by": by, "is_all": is_all}
    cursor = await connection.execute(_ERASE, values)
    return [(row[0], row[1]) for row in await cursor.fetchall()]


async def erase_takes(connection: AsyncConnection, visit_id: str, now: datetime, *, by: str) -> list[str]:
    """The recordings of a visit that are no clips will be none; which they are."""
    cursor = await connection.execute(_ERASE_TAKES, {"visit_id": visit_id, "now": now, "by": by})
    return [row[0] for row in await cursor.fetchall()]


async def count_recordings(connection: AsyncConnection, visit_id: str) -> tuple[int, int]:
    """How many recordings a visit has, and how many of them (or of their clips) are not erased."""
    cursor = await connection.execute(
        """
        SELECT count(*), count(*) FILTER (WHERE EXISTS
                (SELECT 1 FROM clip WHERE clip.recording_id = recording.id AND clip.erased_at IS NULL)
            OR (state IN ('wanted', 'recording', 'ending', 'failed') AND erased_at IS NULL))
        FROM recording WHERE visit_id = %s
        """,
        (visit_id,),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


# ---- removing files ---------------------------------------------------------------------------------------


async def claim_removals(connection: AsyncConnection, real_now: datetime, limit: int) -> list[str]:
    """Erased clips whose file is to be removed now; each comes again later, unless `set_removed` says it is gone."""
    cursor = await connection.execute(_CLAIM_REMOVALS.encode(), {"real_now": real_now, "limit": limit})
    return [row[0] for row in await cursor.fetchall()]


async def set_removed(connection: AsyncConnection, clip_id: str, now: datetime) -> None:
    """Its file was seen to be gone."""
    await connection.execute(
        "UPDATE clip SET removed_at = %s WHERE id = %s AND erased_at IS NOT NULL", (now, clip_id)
    )


async def list_to_sweep(connection: AsyncConnection, recorder_id: str, limit: int) -> list[SweptRow]:
    """Recordings of this recorder whose folder is not needed any more and was not seen to be gone."""
    async with connection.cursor(row_factory=class_row(SweptRow)) as cursor:
        await cursor.execute(
            "SELECT id, folder FROM recording WHERE recorder_id = %s AND swept_at IS NULL "
            "AND (state IN ('kept', 'empty', 'erased') OR (state = 'failed' AND erased_at IS NOT NULL)) "
            "ORDER BY id LIMIT %s",
            (recorder_id, limit),
        )
        return await cursor.fetchall()


async def set_swept(connection: AsyncConnection, recording_ids: Sequence[str], now: datetime) -> None:
    """Their folders are gone."""
    await connection.execute(
        "UPDATE recording SET swept_at = %s WHERE id = ANY(%s)", (now, list(recording_ids))
    )


# ---- holds ------------------------------------------------------------------------------------------------


async def insert_hold(connection: AsyncConnection, row: ClipHoldRow) -> bool:
    """Hold the recordings of a visit; False: a hold is on them already. One that has lapsed makes way."""
    await connection.execute(
        "UPDATE clip_hold SET ended_at = until WHERE visit_id = %s AND ended_at IS NULL AND until <= %s",
        (row.visit_id, row.at),
    )
    cursor = await connection.execute(
        "INSERT INTO clip_hold (id, visit_id, operator_id, reason, at, until) VALUES (%s, %s, %s, %s, %s, %s) "
        "ON CONFLICT DO NOTHING RETURNING id",
        (row.id, row.visit_id, row.operator_id, row.reason, row.at, row.until),
    )
    return await cursor.fetchone() is not None


async def find_hold(connection: AsyncConnection, visit_id: str, now: datetime) -> ClipHoldRow | None:
    """The hold that is on a visit's recordings now."""
    async with connection.cursor(row_factory=class_row(ClipHoldRow)) as cursor:
        await cursor.execute(
            "SELECT * FROM clip_hold WHERE visit_id = %s AND ended_at IS NULL AND until > %s", (visit_id, now)
        )
        return await cursor.fetchone()


async def end_hold(connection: AsyncConnection, hold_id: str, now: datetime) -> None:
    """It holds no more."""
    await connection.execute("UPDATE clip_hold SET ended_at = %s WHERE id = %s", (now, hold_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRow:
    """A clip as far as its being kept or erased goes: whether there is a key, not which."""

    id: str
    recording_id: str
    sha256: bytes
    made_at: datetime
    keep_until: datetime
    has_key: bool
    has_poster: bool
    erased_at: datetime | None
    erased_by: str | None
    removed_at: datetime | None


async def list_kept(connection: AsyncConnection, visit_id: str) -> list[KeptRow]:
    """The clips of a visit, erased or not, camera by camera."""
    async with connection.cursor(row_factory=class_row(KeptRow)) as cursor:
        await cursor.execute(
            "SELECT id, recording_id, sha256, made_at, keep_until, sealed_key IS NOT NULL AS has_key, "
            "poster IS NOT NULL AS has_poster, erased_at, erased_by, removed_at "
            "FROM clip WHERE visit_id = %s ORDER BY recording_id, number LIMIT %s",
            (visit_id, MOST_OF_VISIT),
        )
        return await cursor.fetchall()


@dataclass(frozen=True, slots=True, kw_only=True)
class TakesRow:
    """A recording that is no clip: not yet, or never."""

    id: str
    state: str
    begun_at: datetime
    erased_at: datetime | None
    erased_by: str | None
    swept_at: datetime | None


async def list_takes(connection: AsyncConnection, visit_id: str) -> list[TakesRow]:
    """The recordings of a visit of which there is no clip, and something may lie on a recorder's disk."""
    async with connection.cursor(row_factory=class_row(TakesRow)) as cursor:
        await cursor.execute(
            "SELECT id, state, begun_at, erased_at, erased_by, swept_at FROM recording "
            "WHERE visit_id = %s AND state NOT IN ('kept', 'empty') ORDER BY id LIMIT %s",
            (visit_id, MOST_OF_VISIT),
        )
        return await cursor.fetchall()
