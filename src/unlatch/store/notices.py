"""Notices: one event for one reader, written down in the transaction in which it happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from unlatch.domain.notice import NoticeEvent
from unlatch.store.household import PEOPLE
from unlatch.store.visits import VisitRow

_NEW_ID = "'not_' || replace(gen_random_uuid()::text, '-', '')"
_COLUMNS = "id, reader, reader_id, event, key, access_point_id, stop_id, visit_id, facts, created_at"
# A home is spoken of otherwise than a car: that it is one is among the facts.
_OF_HOME = """coalesce((SELECT jsonb_build_object('kind', kind) FROM access_point
        WHERE access_point.id = %(place_id)s AND kind = 'home'), '{}'::jsonb)"""
_REST = (
    f"%(event)s, %(key)s, %(place_id)s, %(stop_id)s, %(visit_id)s, %(facts)s::jsonb || {_OF_HOME}, %(now)s"
)
_TELL = f"""
    -- Everyone whom the event concerns; whoever has been told of it already is not told again.
    INSERT INTO notice ({_COLUMNS})
    SELECT {_NEW_ID}, 'consignee', people.consignee_id, {_REST}
    FROM ({PEOPLE}) people WHERE %(for_consignee)s
    UNION ALL
    SELECT {_NEW_ID}, 'carrier', access_point.carrier_id, {_REST}
    FROM access_point WHERE access_point.id = %(place_id)s AND %(for_carrier)s
    UNION ALL
    SELECT {_NEW_ID}, 'operator', 'desk', {_REST} WHERE %(for_operator)s
    ON CONFLICT (reader, reader_id, event, key) DO NOTHING
"""


_TELL_OF_VISIT = f"""
    -- The same of a visit, with what every text about it may need. `is_of_plan`: the key is about the stop's present
    -- plan, not about the visit alone, so that a second scan with the same end is not told again.
    WITH fresh AS (
        SELECT %(facts)s::jsonb || {_OF_HOME} || jsonb_strip_nulls(jsonb_build_object(
                'courier', courier.first_name, 'fallback', stop.fallback,
                'window_from', to_char(stop.window_from AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                'window_until', to_char(stop.window_until AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))) AS facts,
            CASE WHEN %(is_of_plan)s THEN stop.id || '/' || stop.plan_number || '/' || %(key)s ELSE %(key)s END AS key
        FROM stop JOIN courier ON courier.id = %(courier_id)s WHERE stop.id = %(stop_id)s
    )
    INSERT INTO notice ({_COLUMNS})
    SELECT {_NEW_ID}, reader, reader_id, %(event)s, key, %(place_id)s, %(stop_id)s, %(visit_id)s, facts, %(now)s
    FROM fresh CROSS JOIN (
        SELECT 'consignee' AS reader, people.consignee_id AS reader_id
        FROM ({PEOPLE}) people WHERE %(for_consignee)s
        UNION ALL
        SELECT 'carrier', %(carrier_id)s WHERE %(for_carrier)s
        UNION ALL
        SELECT 'operator', 'desk' WHERE %(for_operator)s
    ) readers
    ON CONFLICT (reader, reader_id, event, key) DO NOTHING
"""
_SHOWN = """
    SELECT notice.id, reader, event, facts, notice.access_point_id, stop_id, visit_id, notice.created_at, posted_at,
        seen_at, access_point.time_zone AS place_zone
    FROM notice LEFT JOIN access_point ON access_point.id = notice.access_point_id
    WHERE reader = %(reader)s AND reader_id = %(reader_id)s
        AND (notice.created_at, notice.id) < (%(before)s, %(before_id)s)
    ORDER BY notice.created_at DESC, notice.id DESC LIMIT %(limit)s
"""
_FORGET = """
    -- The oldest that were told, with how they fared on each channel, unless there is an open claim about their stop.
    WITH old AS MATERIALIZED (
        SELECT id FROM notice
        WHERE created_at < %(before)s AND posted_at IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM dispatch WHERE notice_id = notice.id AND state IN ('due', 'taken'))
          AND NOT EXISTS (SELECT 1 FROM claim WHERE claim.stop_id = notice.stop_id AND claim.ended_at IS NULL)
        ORDER BY created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    ),
    fared AS (DELETE FROM dispatch USING old WHERE notice_id = old.id)
    DELETE FROM notice USING old WHERE notice.id = old.id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeRow:
    """One event for one reader."""

    id: str
    reader: str
    event: str
    facts: dict[str, Any]
    access_point_id: str | None
    stop_id: str | None
    visit_id: str | None
    created_at: datetime
    posted_at: datetime | None
    seen_at: datetime | None
    place_zone: str | None


async def insert_notices(
    connection: AsyncConnection,
    event: NoticeEvent,
    *,
    readers: Mapping[str, bool],
    place_id: str,
    key: str,
    stop_id: str | None,
    visit_id: str | None,
    facts: Mapping[str, Any],
    now: datetime,
) -> None:
    """One notice for each reader of this place. `readers`: for_consignee, for_carrier, for_operator."""
    values = {
        "event": event.value,
        "key": key,
        "place_id": place_id,
        "stop_id": stop_id,
        "visit_id": visit_id,
        "facts": Jsonb(dict(facts)),
        "now": now,
        **readers,
    }
    await connection.execute(_TELL.encode(), values)


async def insert_visit_notices(
    connection: AsyncConnection,
    event: NoticeEvent,
    *,
    readers: Mapping[str, bool],
    visit: VisitRow,
    key: str,
    is_of_plan: bool,
    facts: Mapping[str, Any],
    now: datetime,
) -> None:
    """The same about a visit; its courier's first name, the stop's window and fallback are added to the facts."""
    values = {
        "event": event.value,
        "key": key,
        "is_of_plan": is_of_plan,
        "place_id": visit.access_point_id,
        "stop_id": visit.stop_id,
        "visit_id": visit.id,
        "courier_id": visit.courier_id,
        "carrier_id": visit.carrier_id,
        "facts": Jsonb(dict(facts)),
        "now": now,
        **readers,
    }
    await connection.execute(_TELL_OF_VISIT.encode(), values)


async def list_notices(
    connection: AsyncConnection,
    reader: str,
    reader_id: str,
    *,
    before: tuple[datetime, str],
    limit: int,
) -> list[NoticeRow]:
    """A reader's notices, newest first, from the first one behind `before` (moment and id)."""
    values = {
        "reader": reader,
        "reader_id": reader_id,
        "before": before[0],
        "before_id": before[1],
        "limit": limit,
    }
    async with connection.cursor(row_factory=class_row(NoticeRow)) as cursor:
        await cursor.execute(_SHOWN, values)
        return await cursor.fetchall()


async def set_seen(
    connection: AsyncConnection, reader: str, reader_id: str, *, until: datetime, now: datetime
) -> None:
    """This reader has seen all that they were told until then."""
    await connection.execute(
        "UPDATE notice SET seen_at = %s WHERE reader = %s AND reader_id = %s AND created_at <= %s AND seen_at IS NULL",
        (now, reader, reader_id, until),
    )


async def count_unseen(connection: AsyncConnection, reader: str, reader_id: str, *, most: int) -> int:
    """How many notices this reader has not seen; counting ends at `most`."""
    cursor = await connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM notice WHERE reader = %s AND reader_id = %s AND seen_at IS NULL "
        "LIMIT %s) unseen",
        (reader, reader_id, most),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def forget_old(connection: AsyncConnection, before: datetime, *, limit: int) -> int:
    """Delete notices that were written before then, and how they fared; how many notices."""
    cursor = await connection.execute(_FORGET, {"before": before, "limit": limit})
    return cursor.rowcount
