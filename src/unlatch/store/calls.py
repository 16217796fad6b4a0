"""Calls: a person is asked to look."""

from __future__ import annotations

from datetime import datetime

from psycopg import AsyncConnection

from unlatch.domain.incident import Incident
from unlatch.domain.notice import NoticeEvent
from unlatch.store.notices import DESK, NEW_ID

_CALL = f"""
    -- One open call per visit and kind: calling again while it is open counts up, and may name a worse incident. The
    -- desk is told once of a call, and again of each other incident that it comes to be about.
    WITH called AS (
        INSERT INTO call (id, visit_id, kind, incident, opened_at)
        VALUES (%(id)s, %(visit_id)s, %(kind)s, %(incident)s, %(now)s)
        ON CONFLICT (visit_id, kind) WHERE closed_at IS NULL
        DO UPDATE SET times = call.times + 1, incident = excluded.incident
        RETURNING id, visit_id, kind, incident
    )
    INSERT INTO notice (id, reader, reader_id, event, key, access_point_id, stop_id, visit_id, facts, created_at)
    SELECT {NEW_ID}, 'operator', '{DESK}', '{NoticeEvent.CALLED}', called.id || '/' || called.incident,
        visit.access_point_id, visit.stop_id, visit.id, jsonb_build_object('incident', called.incident), %(now)s
    FROM called JOIN visit ON visit.id = called.visit_id WHERE called.kind = 'operator'
    ON CONFLICT (reader, reader_id, event, key) DO NOTHING
"""


async def open_call(
    connection: AsyncConnection, call_id: str, *, visit_id: str, kind: str, incident: Incident, now: datetime
) -> None:
    """Call `kind` (operator | consignee). Operators are told over their channels."""
    values = {"id": call_id, "visit_id": visit_id, "kind": kind, "incident": incident, "now": now}
    await connection.execute(_CALL.encode(), values)


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
