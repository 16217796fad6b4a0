"""Notices: one event for one reader, written down in the transaction in which it happened."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from unlatch.domain.notice import NoticeEvent
from unlatch.store.household import PEOPLE

_NEW_ID = "'not_' || replace(gen_random_uuid()::text, '-', '')"
_COLUMNS = "id, reader, reader_id, event, key, access_point_id, stop_id, visit_id, facts, created_at"
_REST = "%(event)s, %(key)s, %(place_id)s, %(stop_id)s, %(visit_id)s, %(facts)s, %(now)s"
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
