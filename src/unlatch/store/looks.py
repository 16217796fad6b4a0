"""Looks: each time a person saw, or asked to see, where a place is (A3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import class_row


@dataclass(frozen=True, slots=True, kw_only=True)
class LookRow:
    """One look, as the consignee is shown it."""

    id: str
    access_point_id: str
    stop_id: str | None
    who: str
    what: str
    at: datetime


async def insert_look(connection: AsyncConnection, look: LookRow) -> None:
    """Write a look down, in the transaction that shows what was looked at."""
    await connection.execute(
        "INSERT INTO look (id, access_point_id, stop_id, who, what, at) VALUES (%s, %s, %s, %s, %s, %s)",
        (look.id, look.access_point_id, look.stop_id, look.who, look.what, look.at),
    )


async def list_looks(
    connection: AsyncConnection, access_point_id: str, *, before: datetime, limit: int
) -> list[LookRow]:
    """The looks at one place, newest first."""
    async with connection.cursor(row_factory=class_row(LookRow)) as cursor:
        await cursor.execute(
            "SELECT * FROM look WHERE access_point_id = %s AND at < %s ORDER BY at DESC LIMIT %s",
            (access_point_id, before, limit),
        )
        return await cursor.fetchall()


async def list_looks_of_stop(connection: AsyncConnection, stop_id: str, *, limit: int) -> list[LookRow]:
    """The newest looks for one stop, in the order in which they were made."""
    async with connection.cursor(row_factory=class_row(LookRow)) as cursor:
        await cursor.execute(
            "SELECT * FROM (SELECT * FROM look WHERE stop_id = %s ORDER BY at DESC, id DESC LIMIT %s) newest "
            "ORDER BY at, id",
            (stop_id, limit),
        )
        return await cursor.fetchall()


async def count_looks_of_stop(connection: AsyncConnection, stop_id: str) -> int:
    """How many looks there were for one stop."""
    cursor = await connection.execute("SELECT count(*) FROM look WHERE stop_id = %s", (stop_id,))
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])
