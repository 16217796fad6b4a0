"""The pool on a real server: what it says when the server is away, too old, slow, or killed under it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.conftest import make_server_dir

from unlatch.errors import DatabaseDown, SettingsError, UnknownSchema
from unlatch.settings import read_settings
from unlatch.store.database import Database, connect, open_database, refuse_old_server, use_server
from unlatch.store.embedded import Embedded
from unlatch.store.migrate import migrate


@pytest.fixture
def data_dir() -> Iterator[Path]:
    folder = make_server_dir()
    yield folder
    Embedded(folder).remove()
    shutil.rmtree(folder)


async def numbers(database: Database) -> list[Any]:
    async with database.connection() as connection:
        return await (await connection.execute("SELECT number FROM kept")).fetchall()


async def test_a_transaction_is_whole_and_a_connection_alone_commits_each_statement(
    database: Database,
) -> None:
    async with database.connection() as connection:
        await connection.execute("CREATE TABLE kept (number integer)")
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO kept VALUES (1)")
            raise ZeroDivisionError
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO kept VALUES (2)")
    assert await numbers(database) == [(2,)]


async def test_each_connection_has_its_limits_and_its_name(database_url: str) -> None:
    async with connect(database_url, name="work", statement_timeout_s=0.05) as connection:
        cursor = await connection.execute(
            "SELECT current_setting('application_name'), current_setting('timezone')"
        )
        assert await cursor.fetchone() == ("unlatch work", "UTC")
        with pytest.raises(psycopg.errors.QueryCanceled):
            await connection.execute("SELECT pg_sleep(5)")


async def test_a_statement_that_takes_too_long_is_the_callers_to_judge(database_url: str) -> None:
    database = Database(database_url, name="test", connections_max=1, statement_timeout_s=0.05)
    await database.open()
    try:
        with pytest.raises(psycopg.errors.QueryCanceled):
            async with database.connection() as connection:
                await connection.execute("SELECT pg_sleep(5)")
        async with database.connection() as connection:
            assert await (await connection.execute("SELECT 1")).fetchone() == (1,)
    finally:
        await database.close()


async def test_a_server_that_is_away_is_named_without_the_password(tmp_path: Path) -> None:
    database = Database(f"postgresql://me:geheim@/d?host={tmp_path}", name="test")
    with pytest.raises(DatabaseDown) as down:
        await database.open()
    assert str(tmp_path) in str(down.value)
    assert "geheim" not in str(down.value)


def test_an_address_that_cannot_be_read_is_not_repeated() -> None:
    with pytest.raises(SettingsError) as wrong:
        Database("postgresql://me:geheim@h:port:port/d?x", name="test")
    assert "UNLATCH_DATABASE_URL" in str(wrong.value)
    assert "geheim" not in str(wrong.value)


def test_a_server_before_17_is_refused() -> None:
    def server(version: int) -> psycopg.AsyncConnection[Any]:
        info = SimpleNamespace(server_version=version)
        return cast("psycopg.AsyncConnection[Any]", SimpleNamespace(info=info))

    refuse_old_server(server(170_000))
    with pytest.raises(DatabaseDown, match="is PostgreSQL 16, and Unlatch needs 17"):
        refuse_old_server(server(160_011))


async def test_our_own_server_is_used_where_none_is_set_and_its_schema_is_checked(data_dir: Path) -> None:
    settings = read_settings({"UNLATCH_DATA_DIR": str(data_dir)})
    with pytest.raises(UnknownSchema, match="`unlatch migrate`"):
        async with open_database(settings, name="test"):
            pass
    async with use_server(settings) as dsn, connect(dsn, name="migrate") as connection:
        await migrate(connection, tell=lambda _: None)
    async with open_database(settings, name="test") as database, database.connection() as connection:
        cursor = await connection.execute("SELECT current_database(), current_user")
        assert await cursor.fetchone() == ("unlatch", "unlatch")


async def test_after_a_crash_of_the_server_the_pool_finds_it_again(data_dir: Path) -> None:
    with Embedded(data_dir) as server:
        database = Database(server.dsn(), name="test", connections_max=4)
        await database.open()
        try:
            pid_file = data_dir / "postgresql" / "data" / "postmaster.pid"
            with pytest.raises(DatabaseDown, match="was lost"):
                async with database.connection() as connection:
                    os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
                    await connection.execute("SELECT pg_sleep(10)")
            async with asyncio.timeout(20):
                while not await can_answer(database):
                    await asyncio.sleep(0.01)
            assert [await can_answer(database) for _ in range(8)] == [True] * 8
        finally:
            await database.close()


async def can_answer(database: Database) -> bool:
    try:
        async with database.connection() as connection:
            await connection.execute("SELECT 1")
    except DatabaseDown:
        return False
    return True


async def test_one_who_asks_while_all_are_in_use_is_told(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unlatch.store.database.WAIT_FOR_CONNECTION_S", 0.05)
    database = Database(make_conninfo(database_url), name="test", connections_max=1)
    await database.open()
    try:
        async with database.connection():
            with pytest.raises(DatabaseDown, match="no connection to PostgreSQL"):
                async with database.connection():
                    pass
    finally:
        await database.close()


async def count_notes(database: Database) -> int:
    async with database.connection() as connection:
        row = await (await connection.execute("SELECT count(*) FROM note")).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
async def notes(database: Database) -> Database:
    """A database with a table of numbers, each once."""
    async with database.connection() as connection:
        await connection.execute("CREATE TABLE note (number integer PRIMARY KEY)")
    return database


async def test_a_pipelined_transaction_commits_what_was_written_last(notes: Database) -> None:
    async with notes.pipelined_transaction() as connection:
        await connection.execute("INSERT INTO note VALUES (1)")
        row = await (await connection.execute("SELECT number FROM note")).fetchone()
        assert row == (1,)
        await connection.execute("INSERT INTO note VALUES (2)")
    assert await count_notes(notes) == 2


async def test_an_error_of_the_last_statement_of_a_pipelined_transaction_undoes_all(notes: Database) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):
        async with notes.pipelined_transaction() as connection:
            await connection.execute("INSERT INTO note VALUES (1)")
            await connection.execute("INSERT INTO note VALUES (1)")
    assert await count_notes(notes) == 0
    async with notes.pipelined_transaction() as connection:  # the connection is good for another one
        await connection.execute("INSERT INTO note VALUES (1)")
    assert await count_notes(notes) == 1


async def test_an_exception_in_a_pipelined_transaction_undoes_all(notes: Database) -> None:
    with pytest.raises(ValueError, match="changed my mind"):
        async with notes.pipelined_transaction() as connection:
            await connection.execute("INSERT INTO note VALUES (1)")
            raise ValueError("changed my mind")
    assert await count_notes(notes) == 0


async def test_an_error_that_was_caught_inside_does_not_pass_for_a_commit(notes: Database) -> None:
    with pytest.raises(psycopg.errors.PipelineAborted):
        async with notes.pipelined_transaction() as connection:
            await connection.execute("INSERT INTO note VALUES (1)")
            with contextlib.suppress(psycopg.errors.DivisionByZero):
                await (await connection.execute("SELECT 1 / 0")).fetchone()
    assert await count_notes(notes) == 0
