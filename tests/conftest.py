"""A real PostgreSQL for whoever asks: one server for the whole run, a fresh migrated database a test."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from xdist.scheduler import LoadScopeScheduling

from unlatch.errors import DatabaseDown
from unlatch.store.database import Database, connect
from unlatch.store.embedded import Embedded
from unlatch.store.migrate import migrate

SERVER_DIR = pytest.StashKey[Path]()
NUMBERS = count(1)
ENOUGH_MEMORY_BYTES = 2_000_000_000
LONGEST_FIRST = ("tests/journeys/", "tests/simulation/", "tests/web/", "tests/cameras/", "tests/flow/")

hypothesis.settings.register_profile("unlatch", database=None, deadline=None, print_blob=True)
hypothesis.settings.load_profile("unlatch")


def make_server_dir() -> Path:
    """A folder for the test server: in memory if there is enough, where fsync (which stays on) is free."""
    memory = Path("/dev/shm")
    has_room = memory.is_dir() and shutil.disk_usage(memory).free > ENOUGH_MEMORY_BYTES
    folder = Path(tempfile.mkdtemp(prefix="unlatch-test-", dir=memory if has_room else None))
    folder.chmod(0o711)  # as root, PostgreSQL's own user must pass through it
    return folder


def pytest_configure(config: pytest.Config) -> None:
    for name in list(os.environ):
        if name.startswith("UNLATCH_"):  # the tests are not about this shell's own installation
            del os.environ[name]
    given = getattr(config, "workerinput", {}).get("server_dir")
    config.stash[SERVER_DIR] = Path(given) if given else make_server_dir()


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out whole files, so that what a file opens is opened once; journeys to two workers and no more.

    A journey runs an installation of five processes and more: four at once on two cores would be late everywhere.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return f"journeys {zlib.crc32(file.encode()) % 2}" if file.startswith(LONGEST_FIRST[0]) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first; what is short fills the gaps in the end."""

    def rank(item: pytest.Item) -> int:
        ranks = (at for at, folder in enumerate(LONGEST_FIRST) if item.nodeid.startswith(folder))
        return next(ranks, len(LONGEST_FIRST))

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """What is there by now stays until the end: whoever collects garbage need not look at it again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["server_dir"] = str(node.config.stash[SERVER_DIR])


def pytest_unconfigure(config: pytest.Config) -> None:
    folder = config.stash.get(SERVER_DIR, None)
    if folder is None or hasattr(config, "workerinput"):
        return
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(
            DatabaseDown
        ):  # a worker that was killed has left its use to the keeper to notice
            Embedded(folder).remove()
            break
        time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server(pytestconfig: pytest.Config) -> Iterator[Embedded]:
    """The PostgreSQL of this run; all workers share it."""
    with Embedded(pytestconfig.stash[SERVER_DIR]) as embedded:
        yield embedded


@pytest.fixture(scope="session")
def template_database(server: Embedded, worker_id: str) -> str:
    """The name of a migrated database that is copied for each test."""
    name = f"template_{worker_id}"
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    async def fill() -> None:
        async with connect(server.dsn(name), name="test template") as connection:
            await migrate(connection, tell=lambda _: None)

    asyncio.run(fill())
    return name


def drop_database(connection: psycopg.Connection[Any], name: str) -> None:
    """Drop a test's database. PostgreSQL's own vacuum may be at work in it, and can't be thrown out: it ends soon."""
    deadline = time.monotonic() + 30
    while True:
        try:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        except psycopg.errors.InsufficientPrivilege:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def database_url(server: Embedded, template_database: str, worker_id: str) -> Iterator[str]:
    """How to reach a fresh, migrated database; fit for UNLATCH_DATABASE_URL."""
    name = f"test_{worker_id}_{next(NUMBERS)}"
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template_database)
            )
        )
        yield make_conninfo(server.dsn(), dbname=name)
        drop_database(connection, name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A fresh, migrated database, its pool open."""
    database = Database(database_url, name="test")
    await database.open()
    yield database
    await database.close()
