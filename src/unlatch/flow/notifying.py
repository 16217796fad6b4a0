"""Telling people: the one way in for every part of the flow. Commits or vanishes with what happened."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from unlatch.domain.notice import READERS, NoticeEvent, NoticeReader
from unlatch.store import notices


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
