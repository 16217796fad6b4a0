"""The journal as it is shown: lines of many visits at once, and the photos that they name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row

_NEW_LINES = """
    -- What each of these journals holds after the number that its readers have seen.
    SELECT journal.visit_id, number, at, kind, name, who, body
    FROM unnest(%s::text[], %s::int[]) AS seen (visit_id, last_number)
    JOIN journal ON journal.visit_id = seen.visit_id AND number > last_number AND NOT name = ANY(%s)
    ORDER BY visit_id, number LIMIT %s
"""
_OVER = """
    -- Of these visits, those about which nothing more can be heard: ended, and not watched any more.
    SELECT id FROM visit WHERE id = ANY(%s) AND ended_at IS NOT NULL AND tail IN ('none', 'over')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRow:
    """One line of a journal, without what may be forgotten."""

    visit_id: str
    number: int
    at: datetime
    kind: str
    name: str
    who: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoRow:
    """A photo as it was re-encoded."""

    sha256: bytes
    media_type: str
    content: bytes


async def list_new_lines(
    connection: AsyncConnection, seen: Mapping[str, int], *, limit: int, without: Sequence[str] = ()
) -> list[LineRow]:
    """The lines of these visits after the numbers given, by visit and number; at most `limit`, but for those
    that are called as in `without`.
    """
    async with connection.cursor(row_factory=class_row(LineRow)) as cursor:
        await cursor.execute(_NEW_LINES, (list(seen), list(seen.values()), list(without), limit))
        return await cursor.fetchall()


async def list_over(connection: AsyncConnection, visit_ids: list[str]) -> set[str]:
    """Those of these visits about which nothing more can be heard."""
    cursor = await connection.execute(_OVER, (visit_ids,))
    return {row[0] for row in await cursor.fetchall()}


async def list_photos(connection: AsyncConnection, visit_id: str) -> list[PhotoRow]:
    """The photos of a visit."""
    async with connection.cursor(row_factory=class_row(PhotoRow)) as cursor:
        await cursor.execute(
            "SELECT sha256, media_type, content FROM photo WHERE visit_id = %s ORDER BY sha256", (visit_id,)
        )
        return await cursor.fetchall()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRow:
    """An open call and the visit that it is about."""

    id: str
    visit_id: str
    access_point_id: str
    courier_id: str
    state: str
    incident: str
    opened_at: datetime
    times: int


async def list_open_calls(connection: AsyncConnection, *, kind: str, limit: int) -> list[CallRow]:
    """The open calls of this kind (operator | consignee), the longest open first."""
    async with connection.cursor(row_factory=class_row(CallRow)) as cursor:
        await cursor.execute(
            "SELECT call.id, visit_id, access_point_id, courier_id, visit.state, call.incident, opened_at, times "
            "FROM call JOIN visit ON visit.id = call.visit_id "
            "WHERE kind = %s AND closed_at IS NULL ORDER BY opened_at, call.id LIMIT %s",
            (kind, limit),
        )
        return await cursor.fetchall()
