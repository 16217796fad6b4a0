"""The schema's history: forward-only migrations, each applied once, whole, and recorded with its hash.

A migration is a file `migrations/YYYY-MM-DD-HHMM_what.sql`. It is never changed after a release, and must be
safe while the processes of the last release still run.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import AsyncConnection

from unlatch.errors import StoreError, UnknownSchema

MIGRATIONS = Path(__file__).parent / "migrations"
NAME = re.compile(r"\d{4}-\d{2}-\d{2}-\d{4}_[a-z0-9_]+")
ENDS_TRANSACTION = re.compile(
    r"^\s*(commit|rollback|end)\s*(work|transaction)?\s*;", re.IGNORECASE | re.MULTILINE
)
DOLLAR_QUOTED = re.compile(r"(\$\w*\$).*?\1", re.DOTALL)
ADVISORY_LOCK = 0x756E6C61  # any number that nobody else uses: "unla"
LOCK_TIMEOUT_S = 15

CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS migration (
    name       text PRIMARY KEY,
    sha256     text NOT NULL, -- of the file as it was applied
    applied_at timestamptz NOT NULL DEFAULT now(),
    took_ms    integer NOT NULL
)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step of the schema."""

    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """The hash of its text, in hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaState:
    """How a database stands to this release's migrations; all names in order."""

    applied: tuple[str, ...]
    pending: tuple[str, ...]
    unknown: tuple[str, ...]  # applied, and not in this release
    edited: tuple[str, ...]  # applied, and different in this release
    late: tuple[str, ...]  # pending, though a later one is applied

    def refusal(self) -> str | None:
        """Why nothing may be built on this schema, not even by migrating it; with the remedy."""
        if self.unknown:
            return (
                f"the database is newer than this release, which does not know {', '.join(self.unknown)}: "
                "run the release that made it, or a newer one"
            )
        if self.edited:
            return (
                f"{', '.join(self.edited)} was changed after it had been applied: bring the file back as it "
                "was, and put the change into a new migration"
            )
        if self.late:
            return (
                f"{', '.join(self.late)} is dated before {self.applied[-1]}, which is applied already: give "
                "it a later date"
            )
        return None


def list_migrations(folder: Path = MIGRATIONS) -> tuple[Migration, ...]:
    """The migrations in the folder, in order; raises `StoreError` naming a file that can't be one."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        if not NAME.fullmatch(path.stem):
            raise StoreError(f"{path.name} is not named like YYYY-MM-DD-HHMM_what.sql")
        sql = path.read_text(encoding="utf-8")
        if ENDS_TRANSACTION.search(DOLLAR_QUOTED.sub("", sql)):
            raise StoreError(f"{path.name} ends its transaction itself, so it could be applied by half")
        found.append(Migration(name=path.stem, sql=sql))
    return tuple(found)


async def read_schema_state(
    connection: AsyncConnection[Any], migrations: Sequence[Migration] | None = None
) -> SchemaState:
    """Compare what the database records with this release's migrations (or those given)."""
    known = {each.name: each for each in (list_migrations() if migrations is None else migrations)}
    applied: dict[str, str] = {}
    cursor = await connection.execute("SELECT to_regclass('migration') IS NOT NULL")
    if await cursor.fetchone() == (True,):
        cursor = await connection.execute("SELECT name, sha256 FROM migration ORDER BY name")
        applied = dict(await cursor.fetchall())
    last = max(applied, default="")
    return SchemaState(
        applied=tuple(applied),
        pending=tuple(name for name in known if name not in applied),
        unknown=tuple(name for name in applied if name not in known),
        edited=tuple(name for name in known if name in applied and known[name].sha256 != applied[name]),
        late=tuple(name for name in known if name not in applied and name < last),
    )


async def check_schema(
    connection: AsyncConnection[Any], migrations: Sequence[Migration] | None = None
) -> None:
    """Raises `UnknownSchema` unless exactly this release's migrations are applied. Every process asks it."""
    state = await read_schema_state(connection, migrations)
    if refusal := state.refusal():
        raise UnknownSchema(refusal)
    if state.pending:
        what = "is older than this release" if state.applied else "is empty"
        raise UnknownSchema(
            f"the database {what}; {', '.join(state.pending)} not applied: run `unlatch migrate`"
        )


async def migrate(
    connection: AsyncConnection[Any],
    migrations: Sequence[Migration] | None = None,
    tell: Callable[[str], None] = print,
) -> int:
    """Apply what is pending, each migration whole or not at all; gives back how many. May be repeated.

    The connection is in autocommit. Of several processes at once one does it and the others wait and find it
    done. Raises `UnknownSchema` where it would make things worse, `StoreError` where a migration fails.
    """
    cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", (ADVISORY_LOCK,))
    if await cursor.fetchone() == (False,):
        tell("another process is migrating this database; waiting for it")
        await connection.execute("SET statement_timeout = 0; SET lock_timeout = 0")
        await connection.execute("SELECT pg_advisory_lock(%s)", (ADVISORY_LOCK,))
    try:
        return await _apply_pending(connection, migrations, tell)
    finally:
        if not connection.broken:
            await connection.execute("SELECT pg_advisory_unlock(%s)", (ADVISORY_LOCK,))


async def _apply_pending(
    connection: AsyncConnection[Any],
    migrations: Sequence[Migration] | None,
    tell: Callable[[str], None],
) -> int:
    known = list_migrations() if migrations is None else migrations
    state = await read_schema_state(connection, known)
    if refusal := state.refusal():
        raise UnknownSchema(refusal)
    # A migration may take long, but must not make the running release wait long behind it for a table's lock.
    await connection.execute(f"SET statement_timeout = 0; SET lock_timeout = '{LOCK_TIMEOUT_S}s'")
    await connection.execute(CREATE_TABLE)
    for migration in known:
        if migration.name in state.pending:
            took_ms = await _apply(connection, migration)
            tell(f"applied {migration.name} in {took_ms} ms")
    return len(state.pending)


async def _apply(connection: AsyncConnection[Any], migration: Migration) -> int:
    """Apply one migration and record it, in one transaction; gives back the milliseconds it took."""
    begun_s = time.monotonic()
    try:
        async with connection.transaction():
            await connection.execute(migration.sql.encode(), prepare=False)
            took_ms = round((time.monotonic() - begun_s) * 1000)
            await connection.execute(
                "INSERT INTO migration (name, sha256, took_ms) VALUES (%s, %s, %s)",
                (migration.name, migration.sha256, took_ms),
            )
    except psycopg.errors.LockNotAvailable as error:
        raise StoreError(
            f"{migration.name} waited {LOCK_TIMEOUT_S} s for a lock that a running process holds; nothing of "
            "it was applied: run `unlatch migrate` again when there is less to do"
        ) from error
    except psycopg.Error as error:
        raise StoreError(f"{migration.name} failed, and nothing of it was applied: {error}") from error
    return took_ms
