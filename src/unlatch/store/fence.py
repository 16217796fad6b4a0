"""The fence: a number that rises after a restore or a failover that may have lost commits (S10)."""

from __future__ import annotations

from datetime import datetime

from psycopg import AsyncConnection

from unlatch.domain.visit import BEFORE_GATE

_WAITING = """
    -- Visits that have not passed their gate, as far as this database knows.
    SELECT id, access_point_id FROM visit
    WHERE ended_at IS NULL AND state = ANY(%s)
    ORDER BY access_point_id
"""


async def raise_epoch(connection: AsyncConnection) -> int:
    """The new epoch; grants of an older one never pass the gate again."""
    cursor = await connection.execute("UPDATE fence SET epoch = epoch + 1 RETURNING epoch")
    row = await cursor.fetchone()
    assert row is not None  # the first migration has put it there
    return int(row[0])


async def list_waiting_visits(connection: AsyncConnection) -> list[tuple[str, str]]:
    """Visits before their gate, and their places, in the order in which the places are to be locked."""
    cursor = await connection.execute(_WAITING, (sorted(BEFORE_GATE),))
    return [(row[0], row[1]) for row in await cursor.fetchall()]


async def end_live_grants(connection: AsyncConnection, now: datetime) -> None:
    """Live -> dead, for every grant there is."""
    await connection.execute("UPDATE grant_ SET state = 'dead', ended_at = %s WHERE state = 'live'", (now,))
