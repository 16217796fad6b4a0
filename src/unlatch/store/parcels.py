"""Where each parcel is: in exactly one place, and changed only together with the visit or stop that moved it (L4)."""

from __future__ import annotations

from psycopg import AsyncConnection

from unlatch.domain.parcel import ParcelPlace

_SETTLE = """
    -- A visit has ended. A stop that is done or cancelled, or where another visit lives, is left alone with its
    -- parcels, and so is another courier's: their refused scan moves nothing. A stop is delivered when the last of its
    -- parcels is.
    WITH settled AS (
        UPDATE parcel SET place = %(place)s, held_by = %(held_by)s
        WHERE id IN (SELECT parcel_id FROM visit_parcel WHERE visit_id = %(visit_id)s)
          AND place IN ('with_carrier', 'with_courier')
          AND NOT EXISTS (SELECT 1 FROM visit other WHERE other.stop_id = %(stop_id)s
                          AND other.id <> %(visit_id)s AND other.ended_at IS NULL)
          AND EXISTS (SELECT 1 FROM stop WHERE stop.id = %(stop_id)s AND stop.courier_id = %(courier_id)s
                      AND stop.state IN ('open', 'fallback_due'))
        RETURNING id
    )
    UPDATE stop SET state = CASE
        WHEN %(is_delivered)s AND EXISTS (SELECT 1 FROM parcel WHERE parcel.stop_id = stop.id
            AND place IN ('with_carrier', 'with_courier') AND parcel.id NOT IN (SELECT id FROM settled))
            THEN 'open'
        WHEN %(is_delivered)s THEN 'delivered'
        WHEN %(may_try_again)s THEN stop.state
        ELSE 'fallback_due' END
    WHERE id = %(stop_id)s AND state IN ('open', 'fallback_due') AND EXISTS (SELECT 1 FROM settled)
"""


async def insert_visit_parcel(connection: AsyncConnection, visit_id: str, parcel_id: str) -> None:
    """This parcel was scanned for this visit; scanning it twice is no error."""
    await connection.execute(
        "INSERT INTO visit_parcel (visit_id, parcel_id) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (visit_id, parcel_id),
    )


async def has_visit_parcel(connection: AsyncConnection, visit_id: str, parcel_id: str) -> bool:
    """Whether this parcel was scanned for this visit."""
    cursor = await connection.execute(
        "SELECT 1 FROM visit_parcel WHERE visit_id = %s AND parcel_id = %s", (visit_id, parcel_id)
    )
    return await cursor.fetchone() is not None


async def settle_stop(
    connection: AsyncConnection,
    visit_id: str,
    *,
    stop_id: str,
    courier_id: str,
    place: ParcelPlace,
    may_try_again: bool,
) -> None:
    """A visit of this courier has ended: its parcels are in `place`, the stop is done or has its fallback before it.

    `may_try_again`: nothing is given up, and what is due for the stop before its courier asks again stays due.
    """
    values = {
        "visit_id": visit_id,
        "stop_id": stop_id,
        "courier_id": courier_id,
        "place": place,
        "held_by": courier_id if place is ParcelPlace.WITH_COURIER else None,
        "is_delivered": place in (ParcelPlace.IN_PLACE, ParcelPlace.HANDED_OVER),
        "may_try_again": may_try_again,
    }
    await connection.execute(_SETTLE, values)


async def give_back(connection: AsyncConnection, stop_id: str) -> None:
    """The stop is cancelled: what its courier held of it is with the carrier again. The stop must be locked."""
    await connection.execute(
        "UPDATE parcel SET place = 'with_carrier', held_by = NULL WHERE stop_id = %s AND place = 'with_courier'",
        (stop_id,),
    )


async def hand_over(connection: AsyncConnection, stop_id: str, courier_id: str) -> None:
    """Another courier has the stop: what the one before held of it, they hold. The stop must be locked."""
    await connection.execute(
        "UPDATE parcel SET held_by = %s WHERE stop_id = %s AND place = 'with_courier'", (courier_id, stop_id)
    )


async def is_any_delivered(connection: AsyncConnection, stop_id: str) -> bool:
    """Whether a parcel of this stop has been put into its place."""
    cursor = await connection.execute(
        "SELECT 1 FROM parcel WHERE stop_id = %s AND place = 'in_place' LIMIT 1", (stop_id,)
    )
    return await cursor.fetchone() is not None


async def list_label_keys(connection: AsyncConnection, stop_id: str) -> frozenset[str]:
    """The labels that are expected at a stop."""
    cursor = await connection.execute("SELECT label_key FROM parcel WHERE stop_id = %s LIMIT 100", (stop_id,))
    return frozenset(row[0] for row in await cursor.fetchall())
