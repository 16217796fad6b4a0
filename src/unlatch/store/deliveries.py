"""The coming deliveries of a household."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from unlatch.domain.access import PlaceKind
from unlatch.store.household import PLACES
from unlatch.store.preflights import PreflightRow
from unlatch.store.stops import StopRow

_COMING = f"""
    -- Stops at places that this consignee owns or shares which have not ended, the next first, with what was found last
    -- of their present plan. The courier's name once they are on their way, and no earlier.
    SELECT {", ".join(f"stop.{name} AS stop_{name}" for name in StopRow.__slots__)},
        {", ".join(f"found.{name} AS found_{name}" for name in PreflightRow.__slots__)},
        access_point.kind, access_point.time_zone, access_point.range_m,
        (SELECT count(*) FROM parcel WHERE parcel.stop_id = stop.id) AS parcel_count,
        (SELECT min(duty.next_at) FROM duty WHERE duty.stop_id = stop.id AND duty.plan_number = stop.plan_number
            AND duty.kind LIKE 'preflight%%' AND duty.state IN ('due', 'taken')) AS next_check_at,
        CASE WHEN stop.heading_at IS NOT NULL THEN courier.first_name END AS courier_first_name
    FROM stop
    JOIN access_point ON access_point.id = stop.access_point_id
    LEFT JOIN courier ON courier.id = stop.courier_id
    LEFT JOIN LATERAL (SELECT * FROM preflight WHERE preflight.stop_id = stop.id
        AND preflight.plan_number = stop.plan_number ORDER BY at DESC LIMIT 1) found ON true
    WHERE stop.access_point_id IN ({PLACES}) AND stop.state IN ('open', 'fallback_due')
      AND (stop.window_from, stop.id) > (%(after_from)s, %(after_id)s)
    ORDER BY stop.window_from, stop.id LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """One coming delivery."""

    stop: StopRow
    found: PreflightRow | None
    kind: PlaceKind
    time_zone: str
    range_m: float
    parcel_count: int
    next_check_at: datetime | None
    courier_first_name: str | None


async def list_coming(
    connection: AsyncConnection, consignee_id: str, *, after: tuple[datetime, str], limit: int
) -> list[DeliveryRow]:
    """What is still to come to this consignee's places, behind the one named."""
    values = {
        "consignee_id": consignee_id,
        "after_from": after[0],
        "after_id": after[1],
        "limit": limit,
    }
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_COMING.encode(), values)
        return [_delivery(row) for row in await cursor.fetchall()]


def _delivery(row: dict[str, Any]) -> DeliveryRow:
    found = None
    if row["found_stop_id"] is not None:
        found = PreflightRow(**{name: row[f"found_{name}"] for name in PreflightRow.__slots__})
    return DeliveryRow(
        stop=StopRow(**{name: row[f"stop_{name}"] for name in StopRow.__slots__}),
        found=found,
        kind=PlaceKind(row["kind"]),
        time_zone=row["time_zone"],
        range_m=row["range_m"],
        parcel_count=row["parcel_count"],
        next_check_at=row["next_check_at"],
        courier_first_name=row["courier_first_name"],
    )
