"""Overload sheds openings, never closings (L5): a lock has connections that nothing else may use."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from psycopg import AsyncConnection
from tests.flow.stage import open_stage
from tests.flow.test_carry_out import begin_locking

from unlatch.flow.worker import work
from unlatch.store.database import Database


async def use_up(database: Database, connections: int, stack: AsyncExitStack) -> None:
    """As requests do that all wait for one row."""
    for _ in range(connections):
        await stack.enter_async_context(database.connection())


async def test_a_lock_leaves_and_a_deadline_is_kept_though_no_connection_is_left(
    database_url: str, tmp_path: Path
) -> None:
    database = Database(database_url, name="full", connections_max=3)
    await database.open()
    async with open_stage(database, tmp_path, has_worker=False) as stage:
        _, _, lock_id = await begin_locking(stage)
        _, overdue_id, _ = await begin_locking(stage)
        long_ago = stage.platform.clock.now() - timedelta(hours=1)
        async with database.connection() as connection:
            query = "UPDATE visit SET deadline_at = %s WHERE id = %s"
            await connection.execute(query, (long_ago, overdue_id))
        stop = asyncio.Event()
        async with AsyncExitStack() as stack, asyncio.timeout(9):  # the pool itself gives up after 10
            await use_up(database, 3, stack)
            working = asyncio.create_task(work(stage.platform, stop))
            async with database.closings.connection() as connection:
                while await ask(connection, "SELECT state FROM command WHERE id = %s", lock_id) in (
                    "intent",
                    "sent",
                ):
                    await asyncio.sleep(0.05)
                while await ask(connection, "SELECT state FROM visit WHERE id = %s", overdue_id) == "locking":
                    await asyncio.sleep(0.05)
        stop.set()
        await working
    await database.close()


async def ask(connection: AsyncConnection, query: str, value: str) -> str:
    cursor = await connection.execute(query.encode(), (value,))
    row = await cursor.fetchone()
    assert row is not None
    return str(row[0])


async def test_a_closing_outlasts_whatever_it_waits_for(database: Database) -> None:
    """A block that waits for a paused process's row must not end with it (S4)."""

    async def limit_of(one: Database) -> int:
        async with one.connection() as connection:
            query = "SELECT setting::int FROM pg_settings WHERE name = 'transaction_timeout'"
            row = await (await connection.execute(query)).fetchone()
        assert row is not None
        return int(row[0])

    assert await limit_of(database.closings) >= await limit_of(database) + 2_000
