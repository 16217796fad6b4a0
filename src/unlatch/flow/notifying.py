"""Telling people: the one way in for every part of the flow. Commits or vanishes with what happened."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from unlatch.domain.notice import READERS, NoticeEvent, NoticeReader
from unlatch.domain.proof import text_of_time
from unlatch.store import notices
from unlatch.store.stops import StopRow


async def tell(
    connection: AsyncConnection,
    event: NoticeEvent,
    *,
    place_id: str,
    key: str,
    now: datetime,
    stop_id: str | None = None,
    visit_id: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Tell everyone whom `event` concerns, each once for this `key`, in the caller's transaction.

    `key` says what it is about: what may be told again of the same stop has another key ("stp_1/2": its second
    plan). `facts` are what the text is made with, as JSON; see `domain/notice_texts.py` for the names. No plate and no
    position may be among them.
    """
    wanted = READERS[event]
    await notices.insert_notices(
        connection,
        event,
        readers={
            "for_consignee": NoticeReader.CONSIGNEE in wanted,
            "for_carrier": NoticeReader.CARRIER in wanted,
            "for_operator": NoticeReader.OPERATOR in wanted,
        },
        place_id=place_id,
        key=key,
        stop_id=stop_id,
        visit_id=visit_id,
        facts=facts or {},
        now=now,
    )


async def tell_person(
    connection: AsyncConnection,
    event: NoticeEvent,
    *,
    consignee_id: str,
    key: str,
    now: datetime,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Tell one consignee what is about no place of theirs. Who was told with this `key` already is not told again."""
    await notices.insert_personal(
        connection, event, consignee_id=consignee_id, key=key, facts=facts or {}, now=now
    )


def window_facts(stop: StopRow) -> dict[str, Any]:
    """The window, as notices and deeds hold it."""
    return {
        "window_from": text_of_time(stop.window_from),
        "window_until": text_of_time(stop.window_until),
    }


async def tell_of_stop(
    connection: AsyncConnection,
    event: NoticeEvent,
    stop: StopRow,
    now: datetime,
    facts: Mapping[str, Any] | None = None,
    *,
    place_id: str | None = None,
) -> None:
    """Tell of a stop, once for each of its plans. Its window is among the facts.

    `place_id`: whose household is told, where that is not the one of the stop's present place.
    """
    await tell(
        connection,
        event,
        place_id=place_id or stop.access_point_id,
        key=f"{stop.id}/{stop.plan_number}",
        now=now,
        stop_id=stop.id,
        facts={**window_facts(stop), **(facts or {})},
    )
