"""Carriers and operators: who speaks to the API with a key of their own. Only a key's SHA-256 is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import class_row

from unlatch.errors import NotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHolder:
    """A carrier, an operator or a consignee, as found by their key."""

    id: str
    name: str
    carrier_id: str | None = None  # of a consignee: who registered them
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierRow:
    """A carrier, without its key."""

    id: str
    name: str
    programme: str  # by which it books; a name in the rules


async def insert_carrier(
    connection: AsyncConnection, carrier_id: str, *, name: str, programme: str, key_hash: bytes, at: datetime
) -> None:
    """A new carrier."""
    await connection.execute(
        "INSERT INTO carrier (id, name, programme, key_hash, created_at) VALUES (%s, %s, %s, %s, %s)",
        (carrier_id, name, programme, key_hash, at),
    )


async def get_carrier(connection: AsyncConnection, carrier_id: str) -> CarrierRow:
    """A carrier that is there: who asks, or whose a row is."""
    async with connection.cursor(row_factory=class_row(CarrierRow)) as cursor:
        await cursor.execute("SELECT id, name, programme FROM carrier WHERE id = %s", (carrier_id,))
        row = await cursor.fetchone()
    if row is None:
        raise NotFound("there is no such carrier")
    return row


async def set_programme(connection: AsyncConnection, carrier_id: str, programme: str) -> None:
    """By what this carrier books from now on."""
    await connection.execute("UPDATE carrier SET programme = %s WHERE id = %s", (programme, carrier_id))


async def insert_operator(
    connection: AsyncConnection, operator_id: str, *, name: str, key_hash: bytes, at: datetime
) -> None:
    """One more of the platform's own people."""
    await connection.execute(
        "INSERT INTO operator (id, name, key_hash, created_at) VALUES (%s, %s, %s, %s)",
        (operator_id, name, key_hash, at),
    )


async def find_carrier_by_key(connection: AsyncConnection, key_hash: bytes) -> KeyHolder | None:
    """Whose key this is."""
    cursor = await connection.execute("SELECT id, name FROM carrier WHERE key_hash = %s", (key_hash,))
    row = await cursor.fetchone()
    return None if row is None else KeyHolder(id=row[0], name=row[1])


async def find_operator_by_key(connection: AsyncConnection, key_hash: bytes) -> KeyHolder | None:
    """Whose key this is."""
    cursor = await connection.execute("SELECT id, name FROM operator WHERE key_hash = %s", (key_hash,))
    row = await cursor.fetchone()
    return None if row is None else KeyHolder(id=row[0], name=row[1])


async def find_consignee_by_key(connection: AsyncConnection, key_hash: bytes) -> KeyHolder | None:
    """Whose key this is."""
    cursor = await connection.execute(
        "SELECT id, name, carrier_id, language FROM consignee WHERE key_hash = %s", (key_hash,)
    )
    row = await cursor.fetchone()
    return None if row is None else KeyHolder(id=row[0], name=row[1], carrier_id=row[2], language=row[3])
