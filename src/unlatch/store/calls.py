"""Calls: a person is asked to look."""

from __future__ import annotations

from datetime import datetime

from psycopg import AsyncConnection

from unlatch.domain.incident import Incident

_CALL = """
    -- One open call per visit and kind: calling again while it is open counts up, and may name a worse incident.
    INSERT INTO call (id, visit_id, kind, incident, opened_at) VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (visit_id, kind) WHERE closed_at IS NULL
    DO UPDATE SET times = call.times + 1, incident = excluded.incident
"""


async def open_call(
    connection: AsyncConnection, call_id: str, *, visit_id: str, kind: str, incident: Incident, now: datetime
) -> None:
    """Call `kind` (operator | consignee)."""
    await connection.execute(_CALL, (call_id, visit_id, kind, incident, now))


async def close_calls(connection: AsyncConnection, visit_id: str, closed_by: str, now: datetime) -> None:
    """The visit's open calls are answered."""
    await connection.execute(
        "UPDATE call SET closed_at = %s, closed_by = %s WHERE visit_id = %s AND closed_at IS NULL",
        (now, closed_by, visit_id),
    )


async def find_visit_id(connection: AsyncConnection, call_id: str, *, kind: str) -> str | None:
    """The visit that this call is about, open or not."""
    cursor = await connection.execute(
        "SELECT visit_id FROM call WHERE id = %s AND kind = %s", (call_id, kind)
    )
    row = await cursor.fetchone()
    return None if row is None else str(row[0])


async def close_call(connection: AsyncConnection, call_id: str, closed_by: str, now: datetime) -> None:
    """This call is answered; one that was closed already stays as it is."""
    await connection.execute(
        "UPDATE call SET closed_at = %s, closed_by = %s WHERE id = %s AND closed_at IS NULL",
        (now, closed_by, call_id),
    )
