"""Edits of the rules' files by operators, and the places that such an edit is tried on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row

from unlatch.store.consignees import AccessPointRow, VehicleRow
from unlatch.store.ids import make_id

_POINT, _VEHICLE = AccessPointRow.__slots__, VehicleRow.__slots__
_PLACES = f"""
    -- The newest places, each with its car, its owner's plans, its carrier's programme, and how many deliveries come.
    SELECT {", ".join(f"access_point.{name}" for name in _POINT)},
        {", ".join(f"vehicle.{name} AS vehicle_{name}" for name in _VEHICLE)}, consignee.plans, carrier.programme,
        (SELECT count(*) FROM stop WHERE stop.access_point_id = access_point.id AND stop.state = 'open'
            AND stop.window_until > %(now)s) AS coming
    FROM access_point
    JOIN consignee ON consignee.id = access_point.consignee_id
    JOIN carrier ON carrier.id = access_point.carrier_id
    LEFT JOIN vehicle ON vehicle.access_point_id = access_point.id
    ORDER BY access_point.id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleEdit:
    """One edit of one file. `before` None: the file was not there."""

    id: str
    file: str
    before: str | None
    after: str
    version_before: str
    version_after: str
    why: str
    who: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedPlace:
    """A place that rules can be tried on."""

    point: AccessPointRow
    vehicle: VehicleRow | None
    plans: list[str]
    programme: str
    coming: int  # deliveries that are open and whose window has not passed


async def insert_edit(
    connection: AsyncConnection,
    *,
    file: str,
    before: str | None,
    after: str,
    version_before: str,
    version_after: str,
    why: str,
    who: str,
    now: datetime,
) -> None:
    """Write an edit down, in the transaction in which the file is written."""
    await connection.execute(
        "INSERT INTO rule_edit (id, file, before, after, version_before, version_after, why, who, at) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (make_id("red"), file, before, after, version_before, version_after, why, who, now),
    )


async def list_edits(connection: AsyncConnection, *, limit: int) -> list[RuleEdit]:
    """The newest first."""
    async with connection.cursor(row_factory=class_row(RuleEdit)) as cursor:
        await cursor.execute("SELECT * FROM rule_edit ORDER BY at DESC, id DESC LIMIT %s", (limit,))
        return await cursor.fetchall()


async def list_places(connection: AsyncConnection, now: datetime, *, limit: int) -> list[TriedPlace]:
    """The newest places."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_PLACES.encode(), {"now": now, "limit": limit})
        rows = await cursor.fetchall()
    return [
        TriedPlace(
            point=AccessPointRow(**{name: row[name] for name in _POINT}),
            vehicle=VehicleRow(**{name: row[f"vehicle_{name}"] for name in _VEHICLE})
            if row["vehicle_access_point_id"] is not None
            else None,
            plans=row["plans"],
            programme=row["programme"],
            coming=row["coming"],
        )
        for row in rows
    ]
