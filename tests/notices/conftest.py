"""A town with its post office on free ports, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from unlatch.clock import Clock
from unlatch.domain.wording import Language
from unlatch.notices.base import Letter
from unlatch.notices.outward import Outward
from unlatch.notices.senders.webpush import VapidKey
from unlatch.town.app import create_server, create_town, listen
from unlatch.town.client import TownClient


@pytest.fixture(scope="module")
def town_url() -> Iterator[str]:
    listening, for_mail = listen("127.0.0.1", 0), listen("127.0.0.1", 0)
    server = create_server(create_town(Clock()), for_mail=for_mail)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(5)
    assert not thread.is_alive()
    listening.close()
    for_mail.close()


@pytest.fixture
async def town(town_url: str) -> AsyncIterator[TownClient]:
    async with TownClient(town_url) as town:
        await town.reset()
        yield town


@pytest.fixture
async def outward() -> AsyncIterator[Outward]:
    """Allowed to speak to the loopback."""
    outward = Outward(may_be_private=True)
    yield outward
    await outward.close()


@pytest.fixture
def vapid() -> VapidKey:
    return VapidKey(b"v" * 32)


def letter(**changes: Any) -> Letter:
    return Letter(
        **{
            "notice_id": "not_1",
            "channel_id": "chn_1",
            "event": "delivered",
            "is_urgent": False,
            "language": Language.ENGLISH,
            "subject": "Delivered and locked",
            "body": "Bo has put your parcel in. It was seen locked at 17:03:07 on Thursday 26 November.",
            "told_at": datetime(2026, 11, 26, 22, 3, 7, tzinfo=UTC),
            "data": {"stop_id": "stp_1"},
            **changes,
        }
    )
