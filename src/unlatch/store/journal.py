"""The journal: append-only, hash-chained per visit; what may be forgotten stands beside it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from unlatch.domain.proof import Entry, Kind, Private
from unlatch.errors import NotFound

_INSERT = """
    INSERT INTO journal (visit_id, number, at, kind, name, who, body, private_digest, previous_hash, hash)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_INSERT_PRIVATE = "INSERT INTO journal_private (visit_id, number, salt, body) VALUES (%s, %s, %s, %s)"
_LIST = """
    -- One visit's journal in order, each entry with its private part where that is still kept.
    SELECT journal.*, salt, journal_private.body AS private_body
    FROM journal LEFT JOIN journal_private USING (visit_id, number)
    WHERE visit_id = %s AND number > %s ORDER BY number LIMIT %s
"""
_HEADS = """
    -- Journals that have grown since they were last anchored.
    SELECT id, journal_number, journal_hash FROM visit
    WHERE journal_number > anchored_number AND journal_at <= %s
    ORDER BY journal_at LIMIT %s
"""
_SET_ANCHORED = """
    -- A visit that someone has in hand is left for the next time, when its new head is anchored too.
    WITH free AS (
        SELECT visit.id, head.number
        FROM visit JOIN unnest(%s::text[], %s::int[]) AS head (id, number) USING (id)
        WHERE anchored_number < head.number
        FOR NO KEY UPDATE OF visit SKIP LOCKED
    )
    UPDATE visit SET anchored_number = free.number FROM free WHERE visit.id = free.id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEntry:
    """An entry and its private part; `private` is None where there is none or where it was forgotten."""

    entry: Entry
    private: Private | None


async def append_entry(connection: AsyncConnection, entry: Entry, private: Private | None) -> None:
    """Write an entry in the transaction of the state that it changed (A1)."""
    values = (
        entry.visit_id,
        entry.number,
        entry.at,
        entry.kind,
        entry.name,
        entry.who,
        Jsonb(entry.body),
        entry.private_digest,
        bytes.fromhex(entry.previous_hash) if entry.previous_hash else None,
        bytes.fromhex(entry.hash),
    )
    await connection.execute(_INSERT, values)
    if private is not None:
        await connection.execute(
            _INSERT_PRIVATE, (entry.visit_id, entry.number, private.salt, Jsonb(private.body))
        )


def _entry(row: dict[str, Any]) -> KeptEntry:
    entry = Entry(
        visit_id=row["visit_id"],
        number=row["number"],
        at=row["at"],
        kind=Kind(row["kind"]),
        name=row["name"],
        who=row["who"],
        body=row["body"],
        private_digest=row["private_digest"],
        previous_hash=row["previous_hash"].hex() if row["previous_hash"] else None,
        hash=row["hash"].hex(),
    )
    private = Private(salt=row["salt"], body=row["private_body"]) if row["salt"] else None
    return KeptEntry(entry=entry, private=private)


async def list_entries(
    connection: AsyncConnection, visit_id: str, *, after: int = 0, limit: int = 1000
) -> list[KeptEntry]:
    """The entries of a visit after number `after`, in order."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_LIST, (visit_id, after, limit))
        return [_entry(row) for row in await cursor.fetchall()]


async def is_photo_told(connection: AsyncConnection, visit_id: str, name: str) -> bool:
    """Whether an entry of this name has a photo, or says why there is none."""
    cursor = await connection.execute(
        "SELECT EXISTS (SELECT 1 FROM journal "
        "WHERE visit_id = %s AND name = %s AND body ?| ARRAY['photo', 'no_photo'])",
        (visit_id, name),
    )
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


async def get_first_entry(connection: AsyncConnection, visit_id: str) -> KeptEntry:
    """What the visit began with: the scan. Raises NotFound."""
    entries = await list_entries(connection, visit_id, limit=1)
    if not entries:
        raise NotFound("this visit has no journal")
    return entries[0]


async def list_unanchored_heads(
    connection: AsyncConnection, now: datetime, limit: int
) -> list[tuple[str, int, str]]:
    """Visit, number and hash of the heads that no anchor holds yet."""
    cursor = await connection.execute(_HEADS, (now, limit))
    return [(visit_id, number, head.hex()) for visit_id, number, head in await cursor.fetchall()]


async def set_anchored(connection: AsyncConnection, heads: list[tuple[str, int, str]]) -> None:
    """Note which heads an anchor holds now. Waits for nobody."""
    await connection.execute(_SET_ANCHORED, ([head[0] for head in heads], [head[1] for head in heads]))
