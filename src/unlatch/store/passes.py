"""Passes: who outside the household may see the clips of a visit, until when, and by whose word."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import class_row

MOST_OF_VISIT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class PassRow:
    """One pass. `operator_id` None: for anyone on staff (or, where `reader` says so, for the carrier of the visit)."""

    id: str
    visit_id: str
    reader: str  # operator | carrier
    operator_id: str | None
    how: str  # consent | break_glass
    who: str  # who gave it
    reason: str
    at: datetime
    until: datetime
    ended_at: datetime | None

    def is_live(self, now: datetime) -> bool:
        """Whether it lets anyone see anything now."""
        return self.ended_at is None and self.at <= now < self.until


_NAMES = PassRow.__slots__
_COLUMNS = ", ".join(f"clip_pass.{name}" for name in _NAMES)
_MAY_STAFF = """
    -- One pass that lives, for all of the staff or for this one of them.
    SELECT EXISTS (SELECT 1 FROM clip_pass WHERE visit_id = %(visit_id)s AND reader = 'operator'
        AND (operator_id IS NULL OR operator_id = %(operator_id)s)
        AND ended_at IS NULL AND at <= %(now)s AND until > %(now)s)
"""
_MAY_CARRIER = """
    -- One pass that lives for the carrier of this visit; no other carrier has anything to do with it.
    SELECT EXISTS (SELECT 1 FROM clip_pass JOIN visit ON visit.id = clip_pass.visit_id
        WHERE visit_id = %(visit_id)s AND reader = 'carrier' AND visit.carrier_id = %(carrier_id)s
        AND clip_pass.ended_at IS NULL AND clip_pass.at <= %(now)s AND clip_pass.until > %(now)s)
"""


async def insert_pass(connection: AsyncConnection, row: PassRow) -> None:
    """Let someone in."""
    query = (
        f"INSERT INTO clip_pass ({', '.join(_NAMES)}) VALUES ({', '.join(f'%({name})s' for name in _NAMES)})"
    )
    await connection.execute(query.encode(), {name: getattr(row, name) for name in _NAMES})


async def find_pass(connection: AsyncConnection, pass_id: str) -> PassRow | None:
    """One pass."""
    async with connection.cursor(row_factory=class_row(PassRow)) as cursor:
        await cursor.execute(f"SELECT {_COLUMNS} FROM clip_pass WHERE id = %s".encode(), (pass_id,))
        return await cursor.fetchone()


async def list_passes(connection: AsyncConnection, visit_id: str) -> list[PassRow]:
    """The passes of a visit, those that have ended too, the latest first."""
    async with connection.cursor(row_factory=class_row(PassRow)) as cursor:
        query = f"SELECT {_COLUMNS} FROM clip_pass WHERE visit_id = %s ORDER BY at DESC, id DESC LIMIT %s"
        await cursor.execute(query.encode(), (visit_id, MOST_OF_VISIT))
        return await cursor.fetchall()


async def end_passes(
    connection: AsyncConnection, visit_id: str, now: datetime, *, pass_id: str | None = None, reader: str = ""
) -> list[str]:
    """End one pass, or all by consent for this reader; which of them still lived."""
    cursor = await connection.execute(
        "UPDATE clip_pass SET ended_at = %(now)s WHERE visit_id = %(visit_id)s AND ended_at IS NULL "
        "AND until > %(now)s AND (id = %(pass_id)s OR (%(pass_id)s::text IS NULL AND how = 'consent' "
        "AND reader = %(reader)s)) RETURNING id",
        {"visit_id": visit_id, "now": now, "pass_id": pass_id, "reader": reader},
    )
    return [row[0] for row in await cursor.fetchall()]


async def may_staff(connection: AsyncConnection, *, operator_id: str, visit_id: str, now: datetime) -> bool:
    """Whether a pass lets this operator see the clips of this visit now."""
    return await _is_so(
        connection, _MAY_STAFF, {"operator_id": operator_id, "visit_id": visit_id, "now": now}
    )


async def may_carrier(connection: AsyncConnection, *, carrier_id: str, visit_id: str, now: datetime) -> bool:
    """Whether a pass lets this carrier see the clips of this visit of its own now."""
    return await _is_so(
        connection, _MAY_CARRIER, {"carrier_id": carrier_id, "visit_id": visit_id, "now": now}
    )


async def _is_so(connection: AsyncConnection, query: str, values: dict[str, object]) -> bool:
    cursor = await connection.execute(query.encode(), values)
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


async def find_broken_glass(
    connection: AsyncConnection, *, operator_id: str, visit_id: str, now: datetime
) -> PassRow | None:
    """The pass that this operator has given themselves and that still lives."""
    async with connection.cursor(row_factory=class_row(PassRow)) as cursor:
        query = (
            f"SELECT {_COLUMNS} FROM clip_pass WHERE visit_id = %s AND operator_id = %s AND how = 'break_glass' "
            "AND ended_at IS NULL AND until > %s ORDER BY at DESC LIMIT 1"
        )
        await cursor.execute(query.encode(), (visit_id, operator_id, now))
        return await cursor.fetchone()


async def count_broken_glass(connection: AsyncConnection, operator_id: str, since: datetime) -> int:
    """How often this operator has let themselves in since then, at any visit."""
    cursor = await connection.execute(
        "SELECT count(*) FROM clip_pass WHERE operator_id = %s AND how = 'break_glass' AND at > %s",
        (operator_id, since),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def lock_operator(connection: AsyncConnection, operator_id: str) -> str:
    """The operator's name, their row locked: so that two at once are counted one after the other."""
    cursor = await connection.execute(
        "SELECT name FROM operator WHERE id = %s FOR NO KEY UPDATE", (operator_id,)
    )
    row = await cursor.fetchone()
    assert row is not None  # they have signed in
    return str(row[0])
