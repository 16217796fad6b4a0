"""A household's timeline: visits, deeds and looks at its places as one list, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import class_row

from unlatch.store.deeds import DeedRow
from unlatch.store.household import PLACES
from unlatch.store.looks import LookRow


@dataclass(frozen=True, slots=True, kw_only=True)
class HappeningRow:
    """One entry of a timeline, by name only."""

    kind: str  # visit | deed | look
    id: str
    at: datetime


def _newest(kind: str, at: str) -> str:
    """The newest of one kind at a place that are older than the page before."""
    return f"""(
        SELECT '{kind}' AS kind, {kind}.id, {kind}.{at} AS at FROM {kind}
        WHERE {kind}.access_point_id = place.id
          AND ({kind}.{at}, {kind}.id) < (coalesce(%(before_at)s::timestamptz, 'infinity'), %(before_id)s)
        ORDER BY {kind}.{at} DESC, {kind}.id DESC LIMIT %(limit)s
    )"""


_LIST = f"""
    -- What happened at the places of one consignee. Of each place and kind no more is read than a page holds.
    SELECT happening.kind, happening.id, happening.at
    FROM ({PLACES}) place
    CROSS JOIN LATERAL (
        {_newest("visit", "begun_at")} UNION ALL {_newest("deed", "at")} UNION ALL {_newest("look", "at")}
    ) happening
    ORDER BY happening.at DESC, happening.id DESC LIMIT %(limit)s
"""


async def list_happenings(
    connection: AsyncConnection,
    consignee_id: str,
    *,
    before: tuple[datetime, str] | None,
    limit: int,
) -> list[HappeningRow]:
    """What happened at the places that this consignee owns or shares, before the entry named, newest first."""
    before_at, before_id = before or (None, "")
    values = {
        "consignee_id": consignee_id,
        "before_at": before_at,
        "before_id": before_id,
        "limit": limit,
    }
    async with connection.cursor(row_factory=class_row(HappeningRow)) as cursor:
        await cursor.execute(_LIST.encode(), values)
        return await cursor.fetchall()


async def list_deeds_by_id(connection: AsyncConnection, ids: list[str]) -> dict[str, DeedRow]:
    """These deeds."""
    async with connection.cursor(row_factory=class_row(DeedRow)) as cursor:
        await cursor.execute("SELECT * FROM deed WHERE id = ANY(%s)", (ids,))
        return {row.id: row for row in await cursor.fetchall()}


async def list_looks_by_id(connection: AsyncConnection, ids: list[str]) -> dict[str, LookRow]:
    """These looks."""
    async with connection.cursor(row_factory=class_row(LookRow)) as cursor:
        await cursor.execute("SELECT * FROM look WHERE id = ANY(%s)", (ids,))
        return {row.id: row for row in await cursor.fetchall()}
