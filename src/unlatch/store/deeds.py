"""What people did to a place or a stop, for everyone whom it concerns to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from unlatch.domain.deed import Deed
from unlatch.store.ids import make_id


@dataclass(frozen=True, slots=True, kw_only=True)
class DeedRow:
    """One deed. `who` is a part and an id ("consignee:con_1"); `body` holds no position and no plate."""

    id: str
    access_point_id: str
    stop_id: str | None
    who: str
    what: str
    body: dict[str, Any]
    at: datetime


async def insert_deed(
    connection: AsyncConnection,
    *,
    access_point_id: str,
    stop_id: str | None,
    who: str,
    what: str,
    body: Mapping[str, Any] | None = None,
    at: datetime,
) -> None:
    """Write a deed down, in the transaction that does it. Raises ValueError at a word that nobody could read."""
    await connection.execute(
        "INSERT INTO deed (id, access_point_id, stop_id, who, what, body, at) VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (make_id("dee"), access_point_id, stop_id, who, Deed(what), Jsonb(dict(body or {})), at),
    )


async def list_deeds(
    connection: AsyncConnection, access_point_id: str, *, before: datetime, limit: int
) -> list[DeedRow]:
    """The deeds at one place, newest first."""
    async with connection.cursor(row_factory=class_row(DeedRow)) as cursor:
        await cursor.execute(
            "SELECT * FROM deed WHERE access_point_id = %s AND at < %s ORDER BY at DESC, id DESC LIMIT %s",
            (access_point_id, before, limit),
        )
        return await cursor.fetchall()


async def list_deeds_of_stop(connection: AsyncConnection, stop_id: str, *, limit: int) -> list[DeedRow]:
    """The newest deeds at one stop, in the order in which they were done."""
    async with connection.cursor(row_factory=class_row(DeedRow)) as cursor:
        await cursor.execute(
            "SELECT * FROM (SELECT * FROM deed WHERE stop_id = %s ORDER BY at DESC, id DESC LIMIT %s) newest "
            "ORDER BY at, id",
            (stop_id, limit),
        )
        return await cursor.fetchall()


async def count_deeds_of_stop(connection: AsyncConnection, stop_id: str) -> int:
    """How many deeds there are at one stop."""
    cursor = await connection.execute("SELECT count(*) FROM deed WHERE stop_id = %s", (stop_id,))
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])
