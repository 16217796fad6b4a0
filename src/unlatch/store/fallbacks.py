"""How a fallback ended: one end for each parcel of a stop that was not delivered (L4), and the photo of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import class_row

from unlatch.domain.parcel import ParcelPlace

HELD = "held"  # in `fallback`: by a person whom an operator has named

_END = """
    -- What was not delivered of this stop is in `place` from now on; each such parcel gets its one end here. What was
    -- delivered stays where it is.
    WITH ended AS (
        UPDATE parcel SET place = %(place)s, held_by = %(held_by)s
        WHERE stop_id = %(stop_id)s AND place IN ('with_carrier', 'with_courier')
        RETURNING id
    )
    INSERT INTO fallback_end (stop_id, parcel_id, fallback, told, courier_id, who, could_not, photo, at)
    SELECT %(stop_id)s, id, %(fallback)s, %(told)s, %(courier_id)s, %(who)s, %(could_not)s, %(photo)s, %(at)s
    FROM ended RETURNING parcel_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndRow:
    """Where a parcel of a stop went instead. `who`: a part and an id ("courier:cou_1")."""

    stop_id: str
    parcel_id: str
    fallback: str  # a Fallback, or HELD
    told: str
    courier_id: str | None
    who: str
    could_not: list[str]
    photo: bytes | None  # SHA-256
    at: datetime


async def end_parcels(
    connection: AsyncConnection,
    stop_id: str,
    *,
    place: ParcelPlace,
    held_by: str | None,
    fallback: str,
    told: str,
    courier_id: str | None,
    who: str,
    could_not: Sequence[str],
    photo: bytes | None,
    at: datetime,
) -> int:
    """Move what was not delivered of this stop, and write its ends; how many parcels. The stop must be locked."""
    values = {
        "stop_id": stop_id,
        "place": place,
        "held_by": held_by,
        "fallback": fallback,
        "told": told,
        "courier_id": courier_id,
        "who": who,
        "could_not": list(could_not),
        "photo": photo,
        "at": at,
    }
    cursor = await connection.execute(_END, values)
    return len(await cursor.fetchall())


async def list_ends(connection: AsyncConnection, stop_id: str) -> list[EndRow]:
    """The ends of a stop's parcels."""
    async with connection.cursor(row_factory=class_row(EndRow)) as cursor:
        await cursor.execute(
            "SELECT stop_id, parcel_id, fallback, told, courier_id, who, could_not, photo, at "
            "FROM fallback_end WHERE stop_id = %s ORDER BY parcel_id LIMIT 1000",
            (stop_id,),
        )
        return await cursor.fetchall()


async def insert_photo(
    connection: AsyncConnection,
    stop_id: str,
    *,
    sha256: bytes,
    media_type: str,
    content: bytes,
    at: datetime,
) -> None:
    """Keep the photo of where a parcel was left."""
    await connection.execute(
        "INSERT INTO fallback_photo (stop_id, sha256, media_type, content, taken_at) "
        "VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (stop_id, sha256, media_type, content, at),
    )


async def find_photo(connection: AsyncConnection, stop_id: str, sha256: bytes) -> tuple[str, bytes] | None:
    """A photo of this stop's fallback: its media type and content."""
    cursor = await connection.execute(
        "SELECT media_type, content FROM fallback_photo WHERE stop_id = %s AND sha256 = %s", (stop_id, sha256)
    )
    row = await cursor.fetchone()
    return None if row is None else (row[0], bytes(row[1]))
