"""The way to PostgreSQL: one pool of connections per process, on our own server or on the one that is set.

A connection is in autocommit: a statement alone is its own transaction, and `database.transaction()` groups
several. Rows come as tuples unless the query says otherwise (`connection.cursor(row_factory=...)`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import PipelineStatus
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from unlatch.errors import DatabaseDown, SettingsError, StoreError
from unlatch.settings import Settings
from unlatch.store.embedded import Embedded
from unlatch.store.migrate import check_schema

OLDEST_SERVER = 17
CONNECT_TIMEOUT_S = 10
WAIT_FOR_CONNECTION_S = 10.0
WAITING_MAX = 1000
CLOSINGS_MAX = 4
# A process that is paused in a transaction may hold a place's row: a block, which waits for it, must still get through.
# In the middle of a pipeline it does not count as idle, so the transaction as a whole has its limit too.
IDLE_IN_TRANSACTION_MS = 5_000
LONGEST_TRANSACTION_MS = 6_000
LONGEST_CLOSING_MS = 9_000  # longer than what it may have to wait for, else both end together
PREPARE_AFTER_USES = 0  # at once: our statements are few, and each is used again
PREPARED_MAX = 500


@asynccontextmanager
async def use_server(settings: Settings) -> AsyncIterator[str]:
    """How to connect to the server of this installation, which is our own if none is set."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    embedded = Embedded(settings.data_dir)
    dsn = await asyncio.to_thread(embedded.start)
    try:
        yield dsn
    finally:
        await asyncio.to_thread(embedded.stop)


def complete_dsn(dsn: str, *, name: str, statement_timeout_s: float, transaction_timeout_ms: int = 0) -> str:
    """The address with what each connection of ours needs. Raises `SettingsError` without repeating it.

    A statement that takes too long, a lock that is not had and a transaction that is left open all end by
    themselves; a peer that has vanished is noticed. What the address says of these itself stays as it is.
    """
    try:
        given = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        raise SettingsError(
            "UNLATCH_DATABASE_URL can't be read: give it like postgresql://user:password@host/database"
        ) from None
    statement_timeout_ms = int(statement_timeout_s * 1000)
    wanted: dict[str, Any] = {
        "application_name": f"unlatch {name}",
        "connect_timeout": CONNECT_TIMEOUT_S,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
    }
    options = " ".join(
        (
            f"-c statement_timeout={statement_timeout_ms} -c lock_timeout={statement_timeout_ms}",
            f"-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_MS} -c timezone=UTC",
            f"-c transaction_timeout={transaction_timeout_ms}",
            str(given.get("options") or ""),
        )
    )
    return make_conninfo("", **(wanted | given | {"options": options.strip()}))


@asynccontextmanager
async def connect(
    dsn: str, *, name: str, statement_timeout_s: float = 10
) -> AsyncIterator[AsyncConnection[TupleRow]]:
    """One connection outside the pool, in autocommit; 0 s means no limit. Raises `DatabaseDown`."""
    complete = complete_dsn(dsn, name=name, statement_timeout_s=statement_timeout_s)
    try:
        connection = await AsyncConnection.connect(complete, autocommit=True)
    except psycopg.OperationalError as error:
        raise DatabaseDown(f"PostgreSQL can't be reached: {error}") from error
    async with connection:
        refuse_old_server(connection)
        yield connection


def refuse_old_server(connection: AsyncConnection[Any]) -> None:
    """Raises `DatabaseDown` on a server that is too old for our SQL."""
    version = connection.info.server_version // 10_000
    if version < OLDEST_SERVER:
        raise DatabaseDown(
            f"the server is PostgreSQL {version}, and Unlatch needs {OLDEST_SERVER} or newer: upgrade it, or "
            "leave UNLATCH_DATABASE_URL out to use the one that Unlatch brings"
        )


@asynccontextmanager
async def pipelined(connection: AsyncConnection[Any]) -> AsyncIterator[None]:
    """Send what follows without waiting for each answer; errors are raised at the end at the latest."""
    if connection.info.pipeline_status == PipelineStatus.ON:
        yield  # whoever opened it sends it, and a second one inside would wait for its own end
        return
    async with connection.pipeline():
        yield


class Database:
    """A pool of connections, for one event loop, and a small one beside it that closings alone may use (L5)."""

    def __init__(
        self,
        dsn: str,
        *,
        name: str,
        connections_max: int = 20,
        statement_timeout_s: float = 10,
        is_for_closings: bool = False,
    ) -> None:
        self.closings = self
        if not is_for_closings:
            self.closings = Database(
                dsn,
                name=f"{name} closings",
                connections_max=CLOSINGS_MAX,
                statement_timeout_s=statement_timeout_s,
                is_for_closings=True,
            )
        self.dsn = complete_dsn(
            dsn,
            name=name,
            statement_timeout_s=statement_timeout_s,
            transaction_timeout_ms=LONGEST_CLOSING_MS if is_for_closings else LONGEST_TRANSACTION_MS,
        )
        self._pool: AsyncConnectionPool[AsyncConnection[TupleRow]] = AsyncConnectionPool(
            self.dsn,
            name=name,
            min_size=1 if is_for_closings else min(2, connections_max),
            max_size=connections_max,
            max_waiting=WAITING_MAX,
            timeout=WAIT_FOR_CONNECTION_S,
            reconnect_timeout=WAIT_FOR_CONNECTION_S,
            open=False,
            kwargs={"autocommit": True, "prepare_threshold": PREPARE_AFTER_USES},
            configure=self._configure,
        )

    @staticmethod
    async def _configure(connection: AsyncConnection[TupleRow]) -> None:
        connection.prepared_max = PREPARED_MAX

    async def open(self) -> None:
        """Connect. Raises `DatabaseDown` on a server that can't be reached or is too old."""
        # A connection of its own says why it can't be had; the pool would only say that time ran out.
        async with connect(self.dsn, name="opening"):
            pass
        await self._pool.open(wait=False)
        if self.closings is not self:
            await self.closings.open()

    async def close(self) -> None:
        """Close all connections; those in use get a moment to come back."""
        await self._pool.close(timeout=5)
        if self.closings is not self:
            await self.closings.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection[TupleRow]]:
        """A connection, given back at the end. Raises `DatabaseDown` if there is none, or if it is lost.

        A connection that is lost in a commit leaves it unknown whether that took place.
        """
        try:
            connection = await self._pool.getconn()
        except psycopg.OperationalError as error:
            raise DatabaseDown(f"no connection to PostgreSQL: {error}") from error
        try:
            yield connection
        except psycopg.OperationalError as error:
            if not connection.broken:  # a time-out or a conflict, for the caller to judge
                raise
            await self._drop_lost_connections()
            raise DatabaseDown(f"the connection to PostgreSQL was lost: {error}") from error
        finally:
            await self._pool.putconn(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection[TupleRow]]:
        """A connection inside one transaction: committed at the end, rolled back on any exception."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def pipelined_transaction(self) -> AsyncIterator[AsyncConnection[TupleRow]]:
        """The same for a hot path, in half the round trips: statements are sent with the next one that is read.

        BEGIN goes out with the first SELECT, and COMMIT with what was written last; if any of that fails,
        PostgreSQL passes over the COMMIT, and the error is raised here at the end, or at the next read. So what
        a statement has done (`rowcount`) is not known before something is fetched.
        """
        async with self.connection() as connection:
            try:
                async with connection.pipeline():
                    await connection.execute("BEGIN")
                    yield connection
                    commit = await connection.execute("COMMIT")
            except BaseException:
                if not connection.closed:
                    await connection.rollback()
                raise
            if commit.statusmessage != "COMMIT":
                # Someone inside has caught the error of a statement and gone on.
                raise StoreError("the transaction had failed before its end, and was rolled back")

    async def _drop_lost_connections(self) -> None:
        """Where one connection is lost the others mostly are too: let none of them fail another caller."""
        with contextlib.suppress(psycopg.OperationalError):
            await self._pool.check()


@asynccontextmanager
async def open_database(
    settings: Settings, *, name: str, connections_max: int = 20
) -> AsyncIterator[Database]:
    """The database of this installation, its server running and its schema the one that this release knows.

    `name` tells the processes apart in PostgreSQL's own views. Raises `DatabaseDown`, `UnknownSchema`.
    """
    async with use_server(settings) as dsn:
        database = Database(dsn, name=name, connections_max=connections_max)
        await database.open()
        try:
            async with database.connection() as connection:
                await check_schema(connection)
            yield database
        finally:
            await database.close()
