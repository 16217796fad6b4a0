"""PostgreSQL as far as the flow may count on it: row locks, statements that see what is committed, ordered commits.

Nothing kinder. A statement that waits for a row goes on with what it saw of all others before it waited (READ
COMMITTED). A commit whose connection is lost may have taken place. A transaction that takes too long is ended by the
server. A unique index waits for whoever is about to break it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import psycopg
from psycopg.pq import PipelineStatus
from psycopg.rows import dict_row

from unlatch.errors import DatabaseDown
from unlatch.store.database import LONGEST_CLOSING_MS

if TYPE_CHECKING:
    from unlatch.simulation.world import Process

Row = dict[str, Any]
Key = tuple[str, Any]
LONGEST_TRANSACTION_S = LONGEST_CLOSING_MS / 1000
VERSIONS_KEPT = 4
_PIPELINE = SimpleNamespace(pipeline_status=PipelineStatus.ON)


class Store:
    """What is committed, who holds which row, and what was committed before."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[Any, Row]] = {}
        self._versions: dict[Key, list[tuple[int, Row | None]]] = {}
        self.number = 0  # of the last commit
        self.locks: dict[Key, Transaction] = {}
        self.open: dict[Transaction, None] = {}
        self.waiting: list[asyncio.Future[None]] = []
        self.sharing: set[Transaction] = set()  # of the one advisory lock
        self.alone: Transaction | None = None
        self.wishing_alone = 0
        self.commits: list[
            dict[Key, Row | None]
        ] = []  # what each commit replaced, for a failover that loses some
        self.on_commit: list[Callable[[], None]] = []
        self.cameras: dict[str, Any] = {}  # of homes, as their recorders see them (`homes.py`)

    def table(self, name: str) -> dict[Any, Row]:
        return self.tables.setdefault(name, {})

    def read(self, table: str, key: Any, at: int) -> Row | None:
        """As it was committed at that moment."""
        versions = self._versions.get((table, key))
        if versions is None:
            return self.table(table).get(key)
        for number, row in reversed(versions):
            if number <= at:
                return row
        return None

    def commit(self, writes: dict[Key, Row | None]) -> None:
        if not writes:
            return
        self.number += 1
        replaced: dict[Key, Row | None] = {}
        for (table, key), row in writes.items():
            rows = self.table(table)
            replaced[table, key] = rows.get(key)
            versions = self._versions.setdefault((table, key), [(0, rows.get(key))])
            versions.append((self.number, row))
            del versions[:-VERSIONS_KEPT]
            if row is None:
                rows.pop(key, None)
            else:
                rows[key] = row
        self.commits.append(replaced)
        del self.commits[:-200]
        for tell in self.on_commit:
            tell()

    def lose(self, count: int) -> int:
        """A failover to a replica that did not have the last commits: how many are gone."""
        lost = 0
        while self.commits and lost < count:
            replaced = self.commits.pop()
            self.number += 1
            for (table, key), row in replaced.items():
                self._versions.setdefault((table, key), []).append((self.number, row))
                if row is None:
                    self.table(table).pop(key, None)
                else:
                    self.table(table)[key] = row
            lost += 1
        return lost

    def wake(self) -> None:
        """Someone has let go of something."""
        waiting, self.waiting = self.waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)

    async def wait(self) -> None:
        one = asyncio.get_running_loop().create_future()
        self.waiting.append(one)
        await one


class Transaction:
    """One transaction, or one statement by itself."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.writes: dict[Key, Row | None] = {}
        self.seen = store.number  # what the present statement sees
        self.is_open = True
        store.open[self] = None
        self.limit = asyncio.get_running_loop().call_later(LONGEST_TRANSACTION_S, self.end)

    def get(self, table: str, key: Any) -> Row | None:
        """A row as this statement sees it."""
        if (table, key) in self.writes:
            return self.writes[table, key]
        return self.store.read(table, key, self.seen)

    def newest(self, table: str, key: Any) -> Row | None:
        """A row that this transaction has locked, or as it is committed now."""
        if (table, key) in self.writes:
            return self.writes[table, key]
        return self.store.table(table).get(key)

    def all(self, table: str) -> list[Row]:
        """All rows as this statement sees them."""
        keys = dict.fromkeys(self.store.table(table))
        keys.update(dict.fromkeys(key for name, key in self.writes if name == table))
        return [row for key in keys if (row := self.get(table, key)) is not None]

    def put(self, table: str, key: Any, row: Row | None) -> None:
        self.check()
        self.writes[table, key] = row

    def change(self, table: str, key: Any, **values: Any) -> None:
        row = self.newest(table, key)
        if row is not None:
            self.put(table, key, {**row, **values})

    async def lock(self, table: str, key: Any) -> Row | None:
        """Wait for the row, and hold it until the end; as it is then."""
        while self.store.locks.get((table, key)) not in (None, self):
            await self.store.wait()
            self.check()
        self.store.locks[table, key] = self
        return self.newest(table, key)

    def try_lock(self, table: str, key: Any) -> bool:
        """SKIP LOCKED."""
        if self.store.locks.get((table, key)) not in (None, self):
            return False
        self.store.locks[table, key] = self
        return True

    async def share(self) -> None:
        """The advisory lock that gates share. Whoever waits for it alone comes first."""
        while self.store.alone not in (None, self) or (
            self.store.wishing_alone and self not in self.store.sharing
        ):
            await self.store.wait()
            self.check()
        self.store.sharing.add(self)

    async def be_alone(self) -> None:
        self.store.wishing_alone += 1
        try:
            while self.store.alone not in (None, self) or self.store.sharing - {self}:
                await self.store.wait()
                self.check()
            self.store.alone = self
        finally:
            self.store.wishing_alone -= 1

    def others_writing(self, table: str) -> list[Row]:
        """Rows that others are about to commit: a unique index waits for them."""
        return [
            row
            for other in self.store.open
            if other is not self
            for (name, _), row in other.writes.items()
            if name == table and row is not None
        ]

    def check(self) -> None:
        if not self.is_open:
            raise psycopg.OperationalError("terminating connection due to transaction timeout")

    def commit(self) -> None:
        self.check()
        self.store.commit(self.writes)
        self.end()

    def end(self) -> None:
        """Let go of all; what is not committed never was."""
        if not self.is_open:
            return
        self.is_open = False
        self.limit.cancel()
        self.store.open.pop(self, None)
        self.store.sharing.discard(self)
        if self.store.alone is self:
            self.store.alone = None
        self.store.locks = {key: holder for key, holder in self.store.locks.items() if holder is not self}
        self.store.wake()


Handler = Callable[[Transaction, Any], Awaitable[list[Row]]]


class Cursor:
    """The rows of a statement."""

    def __init__(self, connection: Connection, row_factory: Any = None) -> None:
        self._connection, self._factory = connection, row_factory
        self._rows: list[Row] = []
        self._at = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def execute(self, query: str | bytes, values: Any = None) -> Cursor:
        self._rows, self._at = await self._connection.run(query, values), 0
        return self

    @property
    def rowcount(self) -> int:
        return len(self._rows)

    def _shape(self, row: Row) -> Any:
        if self._factory is dict_row:
            return dict(row)
        if self._factory is None:
            return tuple(row.values())
        cells = (cell.cell_contents for cell in self._factory.__closure__ or ())
        kind = next(cell for cell in cells if isinstance(cell, type))
        return kind(**row)

    async def fetchone(self) -> Any:
        await self._connection.breathe()
        if self._at >= len(self._rows):
            return None
        self._at += 1
        return self._shape(self._rows[self._at - 1])

    async def fetchall(self) -> list[Any]:
        await self._connection.breathe()
        return [self._shape(row) for row in self._rows[self._at :]]


class Connection:
    """What the flow takes for psycopg's. Statements are pipelined: only what is read is waited for."""

    info = _PIPELINE

    def __init__(self, process: Process, find: Callable[[str | bytes], Handler]) -> None:
        self.process, self._find = process, find
        self.transaction: Transaction | None = None
        self.broken = self.closed = False

    def cursor(self, row_factory: Any = None) -> Cursor:
        return Cursor(self, row_factory)

    async def execute(self, query: str | bytes, values: Any = None) -> Cursor:
        return await Cursor(self).execute(query, values)

    async def breathe(self) -> None:
        """The way to the server and back; on it the connection may be lost."""
        await self.process.breathe()
        if self.process.has_luck_against("connection lost"):
            self.lose()

    def lose(self) -> None:
        self.broken = self.closed = True
        if self.transaction is not None:
            self.transaction.end()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    async def run(self, query: str | bytes, values: Any) -> list[Row]:
        self.process.check()
        handler = self._find(query)
        transaction = self.transaction
        if transaction is None:
            transaction = Transaction(self.process.world.store)
            try:
                rows = await handler(transaction, values)
                transaction.commit()
            finally:
                transaction.end()
            return rows
        transaction.check()
        transaction.seen = self.process.world.store.number
        return await handler(transaction, values)


class SimulatedDatabase:
    """What the flow takes for `store.database.Database`."""

    def __init__(self, process: Process, find: Callable[[str | bytes], Handler]) -> None:
        self.process, self._find = process, find
        self.closings = self

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        connection = Connection(self.process, self._find)
        try:
            yield connection
        except psycopg.OperationalError as error:
            if (
                not connection.broken
                and self.process.is_alive
                and (connection.transaction is None or connection.transaction.is_open)
            ):
                raise
            raise DatabaseDown(f"the connection to PostgreSQL was lost: {error}") from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        async with self.connection() as connection:
            connection.transaction = Transaction(self.process.world.store)
            try:
                yield connection
                await self._commit(connection)
            finally:
                connection.transaction.end()

    pipelined_transaction = transaction

    async def _commit(self, connection: Connection) -> None:
        assert connection.transaction is not None
        await connection.breathe()
        if self.process.has_luck_against("commit unknown"):
            if self.process.world.lot.random() < 0.5:
                connection.transaction.commit()
                self.process.world.count("commit unknown, and done")
            else:
                self.process.world.count("commit unknown, and not done")
            connection.lose()
        connection.transaction.commit()
