"""Where each parcel is: in exactly one place, and changed only together with the visit or stop that moved it (L4)."""

from __future__ import annotations

from psycopg import AsyncConnection

from unlatch.domain.parcel import ParcelPlace

_SETTLE_PARCELS = """
    UPDATE parcel SET place = %s, held_by = %s
    WHERE id IN (SELECT parcel_id FROM visit_parcel WHERE visit_id = %s)
      AND place IN ('with_carrier', 'with_courier')
"""


async def insert_visit_parcel(connection: AsyncConnection, visit_id: str, parcel_id: str) -> None:
    """This parcel was scanned for this visit; scanning it twice is no error."""
    await connection.execute(
        "INSERT INTO visit_parcel (visit_id, parcel_id) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (visit_id, parcel_id),
    )


async def settle_stop(
    connection: AsyncConnection,
    visit_id: str,
    *,
    stop_id: str,
    stop_state: str,
    place: ParcelPlace,
    held_by: str | None,
) -> None:
    """A visit has ended: its parcels are in `place`, and the stop is done or has its fallback before it."""
    await connection.execute(_SETTLE_PARCELS, (place, held_by, visit_id))
    await connection.execute("UPDATE stop SET state = %s WHERE id = %s", (stop_state, stop_id))


async def list_label_keys(connection: AsyncConnection, stop_id: str) -> frozenset[str]:
    """The labels that are expected at a stop."""
    cursor = await connection.execute("SELECT label_key FROM parcel WHERE stop_id = %s LIMIT 100", (stop_id,))
    return frozenset(row[0] for row in await cursor.fetchall())
