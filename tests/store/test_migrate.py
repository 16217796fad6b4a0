"""Migrations: in order, once, whole, recorded; and what a process says to a schema that it does not know."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

import unlatch
from unlatch.errors import StoreError, UnknownSchema
from unlatch.main import main
from unlatch.store.database import Database, connect
from unlatch.store.embedded import Embedded
from unlatch.store.migrate import (
    MIGRATIONS,
    Migration,
    check_schema,
    list_migrations,
    migrate,
    read_schema_state,
)

Connection = AsyncConnection[TupleRow]

FIRST = Migration(name="2026-01-01-0000_first", sql="CREATE TABLE book (id integer);")
SECOND = Migration(
    name="2026-01-02-0000_second", sql="ALTER TABLE book ADD title text; INSERT INTO book VALUES (1, '%');"
)
THIRD = Migration(name="2026-01-03-0000_third", sql="CREATE INDEX book_title ON book (title);")
# Its first half would stand if it were not one transaction.
BROKEN = Migration(name="2026-01-03-0000_broken", sql="CREATE TABLE half (id integer); SELECT 1 / 0;")


@pytest.fixture
async def empty_url(server: Embedded, database_url: str) -> str:
    """A database with no schema at all; it goes with the test's own."""
    async with connect(database_url, name="test") as connection:
        await connection.execute("DROP SCHEMA public CASCADE")
        await connection.execute("CREATE SCHEMA public")
    return database_url


@pytest.fixture
async def empty(empty_url: str) -> AsyncIterator[Connection]:
    async with connect(empty_url, name="test") as connection:
        yield connection


async def tables(connection: Connection) -> set[str]:
    cursor = await connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {row[0] for row in await cursor.fetchall()}


async def test_applies_in_order_once_and_records_the_hash(empty: Connection) -> None:
    told: list[str] = []
    assert await migrate(empty, [FIRST, SECOND], told.append) == 2
    assert [line.split()[1] for line in told] == [FIRST.name, SECOND.name]
    assert await migrate(empty, [FIRST, SECOND, THIRD], told.append) == 1
    assert await migrate(empty, [FIRST, SECOND, THIRD], told.append) == 0
    await check_schema(empty, [FIRST, SECOND, THIRD])
    cursor = await empty.execute("SELECT name, sha256 FROM migration ORDER BY name")
    assert await cursor.fetchall() == [(each.name, each.sha256) for each in (FIRST, SECOND, THIRD)]


async def test_empty_and_older_schemas_are_refused_with_the_remedy(empty: Connection) -> None:
    with pytest.raises(UnknownSchema, match=rf"empty.*{FIRST.name}.*`unlatch migrate`"):
        await check_schema(empty, [FIRST])
    await migrate(empty, [FIRST], print)
    with pytest.raises(UnknownSchema, match=rf"older.*{SECOND.name} not applied.*`unlatch migrate`"):
        await check_schema(empty, [FIRST, SECOND])


async def test_a_newer_schema_is_refused_by_name_and_left_alone(empty: Connection) -> None:
    await migrate(empty, [FIRST, SECOND], print)
    with pytest.raises(UnknownSchema, match=rf"newer than this release.*{SECOND.name}"):
        await check_schema(empty, [FIRST])
    with pytest.raises(UnknownSchema, match="newer"):
        await migrate(empty, [FIRST, THIRD], print)
    assert (await read_schema_state(empty, [FIRST, SECOND])).applied == (FIRST.name, SECOND.name)


async def test_an_edited_migration_is_refused_by_name(empty: Connection) -> None:
    await migrate(empty, [FIRST], print)
    edited = Migration(name=FIRST.name, sql=FIRST.sql + " -- nothing but a comment")
    for ask in (check_schema(empty, [edited]), migrate(empty, [edited, SECOND], print)):
        with pytest.raises(UnknownSchema, match=rf"{FIRST.name} was changed after"):
            await ask


async def test_a_migration_dated_before_an_applied_one_is_refused(empty: Connection) -> None:
    await migrate(empty, [FIRST, THIRD_ALONE], print)
    with pytest.raises(UnknownSchema, match=rf"{SECOND.name} is dated before {THIRD_ALONE.name}"):
        await migrate(empty, [FIRST, SECOND, THIRD_ALONE], print)


THIRD_ALONE = Migration(name=THIRD.name, sql="CREATE TABLE shelf (id integer);")


async def test_one_that_fails_leaves_nothing_half_and_those_before_it_stand(empty: Connection) -> None:
    with pytest.raises(StoreError, match=rf"{BROKEN.name} failed, and nothing of it was applied.*zero"):
        await migrate(empty, [FIRST, BROKEN], print)
    assert await tables(empty) == {"book", "migration"}
    assert (await read_schema_state(empty, [FIRST, BROKEN])).pending == (BROKEN.name,)
    assert await migrate(empty, [FIRST, THIRD_ALONE], print) == 1


APPLY_SLOWLY = """
import asyncio, sys
from unlatch.store.database import connect
from unlatch.store.migrate import Migration, migrate

async def run():
    slow = Migration(name="2026-01-02-0000_slow", sql="CREATE TABLE half (id integer); SELECT pg_sleep(60);")
    async with connect(sys.argv[1], name="migrate") as connection:
        await migrate(connection, [slow])

asyncio.run(run())
"""


async def wait_for(connection: Connection, query: str) -> None:
    async with asyncio.timeout(20):
        while await (await connection.execute(query)).fetchone() is None:
            await asyncio.sleep(0.01)


SLEEPS = """
SELECT FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'unlatch migrate' AND wait_event = 'PgSleep'
"""
IS_GONE = """
SELECT WHERE NOT EXISTS (
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'unlatch migrate'
)
"""


async def test_kill_in_the_middle_leaves_nothing_half(empty: Connection, empty_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", APPLY_SLOWLY, empty_url,
        env={**os.environ, "PYTHONPATH": str(Path(unlatch.__file__).parents[1])},
    )  # fmt: skip
    await wait_for(empty, SLEEPS)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    # PostgreSQL looks after its client only when it writes to it: end the sleep as it would end by itself.
    await empty.execute(
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'unlatch migrate'"
    )
    await wait_for(empty, IS_GONE)
    assert "half" not in await tables(empty)
    assert await migrate(empty, [FIRST], print) == 1


async def test_of_two_at_once_one_applies_and_the_other_finds_it_done(empty_url: str) -> None:
    told: list[str] = []

    async def run() -> int:
        async with connect(empty_url, name="migrate") as connection:
            return await migrate(connection, [FIRST, SECOND], told.append)

    assert sorted(await asyncio.gather(run(), run(), run())) == [0, 0, 2]


async def test_waiting_for_a_running_process_ends_with_the_remedy(
    empty: Connection, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate(empty, [FIRST], print)
    monkeypatch.setattr("unlatch.store.migrate.LOCK_TIMEOUT_S", 0.1)
    async with connect(empty_url, name="reader") as reader, reader.transaction():
        await reader.execute("SELECT FROM book")
        with pytest.raises(
            StoreError, match=r"waited .* nothing of it was applied: run `unlatch migrate` again"
        ):
            await migrate(empty, [FIRST, SECOND], print)
    assert await migrate(empty, [FIRST, SECOND], print) == 1


@pytest.mark.parametrize(
    "name", ["0001_first", "2026-01-01_first", "2026-01-01-0000-first", "2026-01-01-0000_First"]
)
def test_a_file_with_another_kind_of_name_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.sql").write_text("SELECT 1;")
    with pytest.raises(StoreError, match=f"{name}.sql is not named like"):
        list_migrations(tmp_path)


@pytest.mark.parametrize("line", ["COMMIT;", "  rollback work ;", "End;"])
def test_a_file_that_ends_its_transaction_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "2026-01-01-0000_first.sql").write_text(f"CREATE TABLE a ();\n{line}\nCREATE TABLE b ();")
    with pytest.raises(StoreError, match="ends its transaction itself"):
        list_migrations(tmp_path)


def test_the_files_are_listed_by_date(tmp_path: Path) -> None:
    for name in ("2026-02-01-0000_b", "2026-01-01-0000_c", "2026-01-01-0900_a"):
        (tmp_path / f"{name}.sql").write_text("SELECT 1;")
    assert [each.name[-1] for each in list_migrations(tmp_path)] == ["c", "a", "b"]


def test_the_job_tables_are_those_of_the_locked_pgqueuer() -> None:
    """A new pgqueuer that wants other tables needs a new migration (docs/decisions/0002-jobs-schema.md)."""
    text = (MIGRATIONS / "2026-11-22-2000_jobs.sql").read_text()
    assert text.split("\n\n", 1)[1].strip() == QueryBuilderEnvironment().build_install_query().strip()


async def test_the_database_of_a_test_has_this_release_s_schema(database: Database) -> None:
    async with database.connection() as connection:
        await check_schema(connection)


def test_the_command_line_migrates_shows_and_repeats(
    empty_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNLATCH_DATABASE_URL", empty_url)
    names = [each.name for each in list_migrations()]
    assert main(["migrate", "--status"]) == 1
    assert capsys.readouterr().out.splitlines() == [f"pending  {name}" for name in names]
    assert main(["migrate"]) == 0
    assert f"{len(names)} applied" in capsys.readouterr().out
    assert main(["migrate"]) == 0
    assert "nothing to apply" in capsys.readouterr().out
    assert main(["migrate", "--status"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"applied  {name}" for name in names]
