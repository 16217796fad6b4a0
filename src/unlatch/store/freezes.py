"""Freezes wider than one place: what is in force, and where it reaches.

They are few (`domain/freeze.py`), and asked by the decision and by the gate inside the query that they make anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import class_row

from unlatch.domain.access import EARTH_RADIUS_M
from unlatch.domain.freeze import Scope
from unlatch.domain.incident import Incident
from unlatch.store.ids import make_id

# Whether `freeze` reaches a courier at an access point with its vehicle; the distance is the domain's `distance_m`.
_REACHES = f"""(
    freeze_.scope = 'everything'
    OR (freeze_.scope = 'courier' AND freeze_.subject = {{courier}})
    OR (freeze_.scope = 'cloud' AND freeze_.subject = vehicle.maker)
    OR (freeze_.scope = 'area' AND freeze_.radius_m >= 2 * {EARTH_RADIUS_M} * asin(least(1, sqrt(
        sin(radians(freeze_.latitude - access_point.latitude) / 2) ^ 2
        + cos(radians(freeze_.latitude)) * cos(radians(access_point.latitude))
        * sin(radians(freeze_.longitude - access_point.longitude) / 2) ^ 2)))))"""


def frozen_widely(courier: str) -> str:
    """SQL: the incident of a freeze that reaches this row's place and courier, or NULL.

    `courier`: the expression of the courier's id, from our own code alone. Needs access_point and vehicle in the row.
    """
    return (
        f"(SELECT CASE freeze_.scope WHEN 'courier' THEN '{Incident.PLATFORM_COURIER_FROZEN}' "
        f"ELSE '{Incident.PLATFORM_FROZEN_WIDELY}' END FROM freeze_ WHERE freeze_.thawed_at IS NULL "
        f"AND {_REACHES.format(courier=courier)} ORDER BY freeze_.scope = 'courier' DESC LIMIT 1)"
    )


# A gate holds it shared, whoever freezes holds it alone: so the order of their commits decides, as it does at a place.
_LOCK = 7_301_554_421
LOCK_SHARED = f"SELECT pg_advisory_xact_lock_shared({_LOCK})"
_LOCK_ALONE = f"SELECT pg_advisory_xact_lock({_LOCK})"

_FIND = f"""
    SELECT {frozen_widely("%(courier_id)s::text")} FROM access_point
    LEFT JOIN vehicle ON vehicle.access_point_id = access_point.id WHERE access_point.id = %(access_point_id)s
"""
_LIVE = f"""
    -- Visits under way where a freeze reaches.
    SELECT visit.id, visit.access_point_id FROM freeze_, visit
    JOIN access_point ON access_point.id = visit.access_point_id
    LEFT JOIN vehicle ON vehicle.access_point_id = visit.access_point_id
    WHERE freeze_.id = %s AND visit.ended_at IS NULL AND {_REACHES.format(courier="visit.courier_id")}
    ORDER BY visit.begun_at
"""
_RULED_OUT = f"""
    -- Stops that a freeze has ruled out and that can still be driven to.
    SELECT stop.id FROM freeze_, stop
    JOIN access_point ON access_point.id = stop.access_point_id
    LEFT JOIN vehicle ON vehicle.access_point_id = stop.access_point_id
    WHERE freeze_.id = %(id)s AND stop.ruled_out = '{Incident.PLATFORM_FROZEN_WIDELY}' AND stop.window_until > %(now)s
        AND stop.state IN ('open', 'fallback_due') AND {_REACHES.format(courier="stop.courier_id")}
    ORDER BY stop.window_until, stop.id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeRow:
    """One freeze. `subject`: courier, maker or the area's name; empty for everything. Metres and degrees."""

    id: str
    scope: str
    subject: str
    latitude: float | None
    longitude: float | None
    radius_m: float | None
    why: str
    frozen_by: str
    frozen_at: datetime
    thawed_by: str | None = None
    thawed_at: datetime | None = None
    stopped_at: datetime | None = None
    swept_at: datetime | None = None


async def lock_alone(connection: AsyncConnection) -> None:
    """Wait for the gates that are passing; those that come wait for this transaction's end."""
    await connection.execute(_LOCK_ALONE.encode())


async def find_in_force(connection: AsyncConnection, scope: Scope, subject: str) -> FreezeRow | None:
    """The freeze of this subject, where it is frozen."""
    async with connection.cursor(row_factory=class_row(FreezeRow)) as cursor:
        await cursor.execute(
            "SELECT * FROM freeze_ WHERE scope = %s AND subject = %s AND thawed_at IS NULL", (scope, subject)
        )
        return await cursor.fetchone()


async def find_freeze(connection: AsyncConnection, freeze_id: str) -> FreezeRow | None:
    """One freeze, locked."""
    async with connection.cursor(row_factory=class_row(FreezeRow)) as cursor:
        await cursor.execute("SELECT * FROM freeze_ WHERE id = %s FOR NO KEY UPDATE", (freeze_id,))
        return await cursor.fetchone()


async def count_in_force(connection: AsyncConnection) -> int:
    """How many freezes are in force."""
    cursor = await connection.execute("SELECT count(*) FROM freeze_ WHERE thawed_at IS NULL")
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def list_freezes(connection: AsyncConnection, *, limit: int) -> list[FreezeRow]:
    """Those in force first, then those that have ended; the newest first."""
    async with connection.cursor(row_factory=class_row(FreezeRow)) as cursor:
        await cursor.execute(
            "(SELECT * FROM freeze_ WHERE thawed_at IS NULL ORDER BY frozen_at DESC, id DESC LIMIT %(limit)s) "
            "UNION ALL "
            "(SELECT * FROM freeze_ WHERE thawed_at IS NOT NULL ORDER BY frozen_at DESC, id DESC LIMIT %(limit)s) "
            "LIMIT %(limit)s",
            {"limit": limit},
        )
        return await cursor.fetchall()


async def insert_freeze(
    connection: AsyncConnection,
    *,
    scope: Scope,
    subject: str,
    latitude: float | None,
    longitude: float | None,
    radius_m: float | None,
    why: str,
    who: str,
    now: datetime,
) -> FreezeRow:
    """Put a freeze in force, in a transaction that has it alone. A unique index keeps two of one subject apart."""
    row = FreezeRow(
        id=make_id("fre"), scope=scope, subject=subject, latitude=latitude, longitude=longitude,
        radius_m=radius_m, why=why, frozen_by=who, frozen_at=now,
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO freeze_ (id, scope, subject, latitude, longitude, radius_m, why, frozen_by, frozen_at) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (row.id, scope, subject, latitude, longitude, radius_m, why, who, now),
    )
    return row


async def end_freeze(connection: AsyncConnection, freeze_id: str, who: str, now: datetime) -> None:
    """Thaw; a worker will ask again about the stops that it had ruled out."""
    await connection.execute(
        "UPDATE freeze_ SET thawed_by = %s, thawed_at = %s, swept_at = NULL WHERE id = %s AND thawed_at IS NULL",
        (who, now, freeze_id),
    )


async def ask_for_sweep(connection: AsyncConnection, freeze_id: str) -> None:
    """Have it followed up once more."""
    await connection.execute(
        "UPDATE freeze_ SET swept_at = NULL, stopped_at = NULL WHERE id = %s", (freeze_id,)
    )


async def list_to_sweep(connection: AsyncConnection, *, limit: int) -> list[FreezeRow]:
    """Freezes put in force or ended that no worker has followed up yet, the oldest first."""
    async with connection.cursor(row_factory=class_row(FreezeRow)) as cursor:
        await cursor.execute(
            "SELECT * FROM freeze_ WHERE swept_at IS NULL ORDER BY frozen_at LIMIT %s", (limit,)
        )
        return await cursor.fetchall()


async def set_swept(connection: AsyncConnection, row: FreezeRow, now: datetime) -> None:
    """What was under way has been stopped; nothing is left to follow up, unless it was thawed meanwhile."""
    await connection.execute(
        "UPDATE freeze_ SET stopped_at = coalesce(stopped_at, %s), "
        "swept_at = CASE WHEN thawed_at IS NOT DISTINCT FROM %s THEN %s::timestamptz END WHERE id = %s",
        (now, row.thawed_at, now, row.id),
    )


async def list_live_visits(connection: AsyncConnection, freeze_id: str) -> list[tuple[str, str]]:
    """Visits under way where this freeze reaches, and their places. As many as couriers stand at doors: not cut."""
    cursor = await connection.execute(_LIVE.encode(), (freeze_id,))
    return [(row[0], row[1]) for row in await cursor.fetchall()]


async def list_ruled_out(connection: AsyncConnection, freeze_id: str, now: datetime) -> list[str]:
    """Ids of stops ruled out by a wide freeze, where this one reached."""
    cursor = await connection.execute(_RULED_OUT.encode(), {"id": freeze_id, "now": now})
    return [row[0] for row in await cursor.fetchall()]


async def find_frozen(
    connection: AsyncConnection, access_point_id: str, courier_id: str | None
) -> Incident | None:
    """The incident of a wide freeze that reaches this courier at this place."""
    cursor = await connection.execute(
        _FIND.encode(), {"access_point_id": access_point_id, "courier_id": courier_id}
    )
    row = await cursor.fetchone()
    return Incident(row[0]) if row and row[0] else None
