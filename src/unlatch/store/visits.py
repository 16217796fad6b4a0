"""Visits: the protocol's state of each attempt, and what the shell keeps beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from unlatch.domain.access import Closure
from unlatch.domain.incident import Incident
from unlatch.domain.visit import State, Tail, Visit, Whereabouts
from unlatch.errors import NotFound

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitRow:
    """One row of `visit`: the protocol's Visit, and what the shell needs around it."""

    id: str
    stop_id: str
    access_point_id: str
    courier_id: str
    carrier_id: str
    closure_key: bytes | None  # the same for every access point of one car
    visit: Visit
    incident: Incident | None
    begun_at: datetime
    ended_at: datetime | None
    last_observed_at: datetime | None  # of the last reading used (S7)
    last_command_at: datetime | None  # when our last command may have left (S5)
    next_read_at: datetime | None
    journal_number: int
    journal_hash: str | None  # hexadecimal
    journal_at: datetime | None  # of the last entry: the next is never older, whatever our clock does

    def after(self, **changes: Any) -> VisitRow:
        """This row with some of its values changed."""
        return replace(self, **changes)


# What identifies an attempt, and what a fact may change.
_FIXED = (
    "id", "stop_id", "access_point_id", "courier_id", "carrier_id", "closure", "is_recorded", "begun_at",
    "closure_key", "rings_first",
)  # fmt: skip
_CHANGING = (
    "state", "deadline_at", "whereabouts", "has_opened", "is_clean", "is_called", "secure_by", "late_until",
    "stands_open", "decided_at", "locked_counts_after", "tail", "incident", "ended_at", "last_observed_at",
    "last_command_at", "next_read_at", "journal_number", "journal_hash", "journal_at",
)  # fmt: skip
_COLUMNS = ", ".join(_FIXED + _CHANGING)


def visit_row(row: Row) -> VisitRow:
    """Our words from a row of the table."""
    visit = Visit(
        closure=msgspec.convert(row["closure"], Closure),
        is_recorded=row["is_recorded"],
        rings_first=row["rings_first"],
        state=State(row["state"]),
        deadline_at=row["deadline_at"],
        whereabouts=Whereabouts(row["whereabouts"]),
        has_opened=row["has_opened"],
        stands_open=row["stands_open"],
        decided_at=row["decided_at"],
        is_clean=row["is_clean"],
        is_called=row["is_called"],
        secure_by=row["secure_by"],
        late_until=row["late_until"],
        locked_counts_after=row["locked_counts_after"],
        tail=Tail(row["tail"]),
    )
    return VisitRow(
        id=row["id"],
        stop_id=row["stop_id"],
        access_point_id=row["access_point_id"],
        courier_id=row["courier_id"],
        carrier_id=row["carrier_id"],
        closure_key=row["closure_key"],
        visit=visit,
        incident=Incident(row["incident"]) if row["incident"] else None,
        begun_at=row["begun_at"],
        ended_at=row["ended_at"],
        last_observed_at=row["last_observed_at"],
        last_command_at=row["last_command_at"],
        next_read_at=row["next_read_at"],
        journal_number=row["journal_number"],
        journal_hash=row["journal_hash"].hex() if row["journal_hash"] else None,
        journal_at=row["journal_at"],
    )


# A new attempt. The two unique indexes on live visits may refuse it (S6).
_INSERT = (
    f"INSERT INTO visit ({', '.join(_FIXED + _CHANGING)}) "
    f"VALUES ({', '.join(f'%({name})s' for name in _FIXED + _CHANGING)})"
).encode()
# What one fact has changed.
_UPDATE = (
    f"UPDATE visit SET {', '.join(f'{name} = %({name})s' for name in _CHANGING)} WHERE id = %(id)s"
).encode()


def _values(row: VisitRow) -> Row:
    visit = row.visit
    return {
        "id": row.id,
        "stop_id": row.stop_id,
        "access_point_id": row.access_point_id,
        "courier_id": row.courier_id,
        "carrier_id": row.carrier_id,
        "closure_key": row.closure_key,
        "closure": Jsonb(visit.closure, dumps=msgspec.json.encode),
        "is_recorded": visit.is_recorded,
        "rings_first": visit.rings_first,
        "begun_at": row.begun_at,
        "state": visit.state,
        "deadline_at": visit.deadline_at,
        "whereabouts": visit.whereabouts,
        "has_opened": visit.has_opened,
        "stands_open": visit.stands_open,
        "decided_at": visit.decided_at,
        "is_clean": visit.is_clean,
        "is_called": visit.is_called,
        "secure_by": visit.secure_by,
        "late_until": visit.late_until,
        "locked_counts_after": visit.locked_counts_after,
        "tail": visit.tail,
        "incident": row.incident,
        "ended_at": row.ended_at,
        "last_observed_at": row.last_observed_at,
        "last_command_at": row.last_command_at,
        "next_read_at": row.next_read_at,
        "journal_number": row.journal_number,
        "journal_hash": bytes.fromhex(row.journal_hash) if row.journal_hash else None,
        "journal_at": row.journal_at,
    }


async def insert_visit(connection: AsyncConnection, row: VisitRow) -> None:
    """Add an attempt. Raises psycopg.errors.UniqueViolation where another one lives (S6)."""
    await connection.execute(_INSERT, _values(row))


async def update_visit(connection: AsyncConnection, row: VisitRow) -> None:
    """Save what a fact has changed."""
    await connection.execute(_UPDATE, _values(row))


async def _find(connection: AsyncConnection, where: str, values: Sequence[Any]) -> VisitRow | None:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(f"SELECT {_COLUMNS} FROM visit WHERE {where}".encode(), values)
        row = await cursor.fetchone()
    return visit_row(row) if row else None


async def get_visit(connection: AsyncConnection, visit_id: str) -> VisitRow:
    """The visit as it stands, unlocked. Raises NotFound."""
    if (row := await _find(connection, "id = %s", (visit_id,))) is None:
        raise NotFound("there is no such visit")
    return row


async def lock_visit(connection: AsyncConnection, visit_id: str) -> VisitRow:
    """The visit, locked until the end of this transaction. Raises NotFound."""
    if (row := await _find(connection, "id = %s FOR NO KEY UPDATE", (visit_id,))) is None:
        raise NotFound("there is no such visit")
    return row


async def find_live_visit(connection: AsyncConnection, access_point_id: str) -> VisitRow | None:
    """The one visit that lives at this place, locked; None: none does."""
    where = "access_point_id = %s AND ended_at IS NULL FOR NO KEY UPDATE"
    return await _find(connection, where, (access_point_id,))


async def find_live_visit_of_stop(
    connection: AsyncConnection, stop_id: str, courier_id: str
) -> VisitRow | None:
    """The visit that this courier has under way at this stop, locked."""
    where = "stop_id = %s AND courier_id = %s AND ended_at IS NULL FOR NO KEY UPDATE"
    return await _find(connection, where, (stop_id, courier_id))


async def find_live_visit_state(connection: AsyncConnection, stop_id: str) -> State | None:
    """How the visit stands that lives at this stop, unlocked; None: none does."""
    cursor = await connection.execute(
        "SELECT state FROM visit WHERE stop_id = %s AND ended_at IS NULL", (stop_id,)
    )
    row = await cursor.fetchone()
    return None if row is None else State(row[0])


async def has_asked(connection: AsyncConnection, stop_id: str, *, since: datetime) -> bool:
    """Whether a courier has asked to open for this stop from then on."""
    cursor = await connection.execute(
        "SELECT 1 FROM visit WHERE stop_id = %s AND begun_at >= %s LIMIT 1", (stop_id, since)
    )
    return await cursor.fetchone() is not None


async def lock_next_due_visit(
    connection: AsyncConnection, now: datetime, *, passing_over: int = 0
) -> VisitRow | None:
    """The visit whose deadline passed longest ago and that nobody else has in hand, locked.

    The first `passing_over` of them are left alone: the caller has failed with them.
    """
    where = "deadline_at <= %s ORDER BY deadline_at LIMIT 1 OFFSET %s FOR NO KEY UPDATE SKIP LOCKED"
    return await _find(connection, where, (now, passing_over))


_CLAIM_READS = f"""
    -- Visits whose closure is to be read now. Claiming moves the next reading on, so that a worker that dies
    -- delays one reading and loses none. It does not wait for the disk: a claim that a crash forgets is made again.
    WITH no_wait AS (SELECT set_config('synchronous_commit', 'off', true))
    UPDATE visit SET next_read_at = %(again_at)s FROM no_wait
    WHERE id IN (SELECT id FROM visit WHERE next_read_at <= %(now)s
                 ORDER BY next_read_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED)
    RETURNING {_COLUMNS}
""".encode()


async def claim_reads(
    connection: AsyncConnection, now: datetime, again_at: datetime, limit: int
) -> list[VisitRow]:
    """Up to `limit` visits to read now, the longest waiting first."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_CLAIM_READS, {"now": now, "again_at": again_at, "limit": limit})
        return [visit_row(row) for row in await cursor.fetchall()]


async def set_next_read(connection: AsyncConnection, visit_id: str, at: datetime | None) -> None:
    """When the watch reads next, if it still watches at all."""
    await connection.execute(
        "UPDATE visit SET next_read_at = %s WHERE id = %s AND next_read_at IS NOT NULL", (at, visit_id)
    )


async def set_last_command(connection: AsyncConnection, visit_id: str, at: datetime) -> None:
    """A command to this visit's closure may leave from now on: a reading must be newer to be good news (S5)."""
    await connection.execute(
        "UPDATE visit SET last_command_at = greatest(last_command_at, %s) WHERE id = %s", (at, visit_id)
    )


async def set_last_observed(connection: AsyncConnection, visit_id: str, at: datetime) -> None:
    """A reading was used, though it changed nothing: an older one changes nothing any more either (S7)."""
    await connection.execute(
        "UPDATE visit SET last_observed_at = greatest(last_observed_at, %s) WHERE id = %s", (at, visit_id)
    )


async def list_live_visits_of_stops(connection: AsyncConnection, stop_ids: Sequence[str]) -> list[VisitRow]:
    """The visits that are under way for these stops."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        query = f"SELECT {_COLUMNS} FROM visit WHERE stop_id = ANY(%s) AND ended_at IS NULL"
        await cursor.execute(query.encode(), (list(stop_ids),))
        return [visit_row(row) for row in await cursor.fetchall()]


async def list_visits_of_stop(connection: AsyncConnection, stop_id: str, limit: int) -> list[VisitRow]:
    """The attempts at one stop, newest first."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        query = f"SELECT {_COLUMNS} FROM visit WHERE stop_id = %s ORDER BY begun_at DESC LIMIT %s"
        await cursor.execute(query.encode(), (stop_id, limit))
        return [visit_row(row) for row in await cursor.fetchall()]


async def count_visits_of_stop(connection: AsyncConnection, stop_id: str) -> int:
    """How many attempts there were at one stop."""
    cursor = await connection.execute("SELECT count(*) FROM visit WHERE stop_id = %s", (stop_id,))
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def list_visits_of_place(
    connection: AsyncConnection, access_point_id: str, limit: int
) -> list[VisitRow]:
    """The attempts at one place, newest first."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        query = f"SELECT {_COLUMNS} FROM visit WHERE access_point_id = %s ORDER BY begun_at DESC LIMIT %s"
        await cursor.execute(query.encode(), (access_point_id, limit))
        return [visit_row(row) for row in await cursor.fetchall()]


async def count_other_photos(connection: AsyncConnection, visit_id: str, sha256: bytes) -> int:
    """How many photos of this visit are kept besides this one."""
    cursor = await connection.execute(
        "SELECT count(*) FROM photo WHERE visit_id = %s AND sha256 <> %s", (visit_id, sha256)
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def insert_photo(
    connection: AsyncConnection,
    visit_id: str,
    *,
    sha256: bytes,
    media_type: str,
    content: bytes,
    at: datetime,
) -> None:
    """Keep a photo beside the visit whose journal names its digest; the same one twice is kept once."""
    await connection.execute(
        "INSERT INTO photo (sha256, visit_id, media_type, content, taken_at) VALUES (%s, %s, %s, %s, %s) "
        "ON CONFLICT DO NOTHING",
        (sha256, visit_id, media_type, content, at),
    )
