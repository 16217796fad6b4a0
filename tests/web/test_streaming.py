"""The live stream over a real socket: it tells each line once, resumes after a cut, and ends with the visit."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import httpx
import msgspec
import pytest
import uvicorn
from tests.web.conftest import Caller, Tenant, make_platform, make_tenant
from tests.web.test_visits import save_reading, scan, tell

from unlatch.domain.visit import Fact
from unlatch.flow.platform import Platform
from unlatch.store.database import Database
from unlatch.web import streaming
from unlatch.web.app import create_app
from unlatch.web.signing_in import Reader
from unlatch.web.streaming import Hub, TooManyStreams

PATIENCE_S = 10


@dataclass(frozen=True, slots=True)
class Event:
    id: int | None
    event: str
    data: dict[str, object]


@pytest.fixture
async def served(database: Database) -> AsyncIterator[tuple[Platform, httpx.AsyncClient]]:
    """A real server on a free port."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    platform = make_platform(database, address)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(platform), log_config=None, server_header=False, timeout_graceful_shutdown=1
        )
    )
    task = asyncio.create_task(server.serve(sockets=[listener]))
    async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=PATIENCE_S) as client:
        yield platform, client
    server.should_exit = True
    await task
    listener.close()
    await platform.makers.close()


@asynccontextmanager
async def follow(
    caller: Caller, visit_id: str, after: int | None = None
) -> AsyncIterator[AsyncIterator[Event]]:
    path = f"/v1/visits/{visit_id}/events"
    headers = caller.headers("GET", path) | ({} if after is None else {"Last-Event-ID": str(after)})
    async with caller.http.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield read_events(answer)


async def read_events(answer: httpx.Response) -> AsyncIterator[Event]:
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line.startswith(":"):
            fields["comment"] = line
        elif line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            number = int(fields["id"]) if "id" in fields else None
            yield Event(number, fields["event"], msgspec.json.decode(fields["data"]))
            fields = {}
        else:
            if "comment" in fields:
                yield Event(None, "alive", {})
            fields = {}


async def take(events: AsyncIterator[Event], count: int) -> list[Event]:
    """The next lines, whatever heartbeats come between."""
    found: list[Event] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(found) < count:
            event = await anext(events)
            if event.event != "alive":
                found.append(event)
    return found


@pytest.fixture
async def visit(served: tuple[Platform, httpx.AsyncClient]) -> tuple[Platform, Tenant, str]:
    platform, client = served
    tenant = await make_tenant(platform, client)
    await save_reading(platform, tenant.access_point_id)
    return platform, tenant, (await scan(tenant))["id"]


async def test_a_cut_stream_goes_on_where_it_ended_and_ends_with_the_visit(
    visit: tuple[Platform, Tenant, str],
) -> None:
    platform, tenant, visit_id = visit
    async with follow(tenant.consignee, visit_id) as events:
        first = await take(events, 2)
        assert [event.data["name"] for event in first] == ["scanned", "granted"]
    await tell(platform, visit_id, Fact.GATE_PASSED)
    async with follow(tenant.consignee, visit_id, after=first[-1].id) as events:
        assert [event.data["name"] for event in await take(events, 1)] == ["gate_passed"]
        await tell(platform, visit_id, Fact.UNLOCK_NOT_SENT)
        last = await take(events, 2)
        assert [event.event for event in last] == ["line", "over"]
        assert last[0].data["state"] == "undelivered"
        assert [event async for event in events] == []


async def test_the_line_is_alive_while_nothing_happens(visit: tuple[Platform, Tenant, str]) -> None:
    _, tenant, visit_id = visit
    async with follow(tenant.courier, visit_id, after=99) as events, asyncio.timeout(PATIENCE_S):
        assert [(await anext(events)).event for _ in range(2)] == ["alive", "alive"]


async def test_each_reader_sees_what_is_theirs(visit: tuple[Platform, Tenant, str]) -> None:
    _, tenant, visit_id = visit
    for reader, who in (
        (tenant.carrier, f"courier:{tenant.courier.id}"),
        (tenant.consignee, "courier"),
        (tenant.courier, "courier"),
    ):
        async with follow(reader, visit_id) as events:
            scanned = (await take(events, 1))[0]
            assert scanned.data["who"] == who
            assert "latitude" not in str(scanned.data)
            assert ("body" in scanned.data) is (reader is tenant.carrier)


async def test_who_may_not_see_the_visit_may_not_follow_it(
    visit: tuple[Platform, Tenant, str], served: tuple[Platform, httpx.AsyncClient]
) -> None:
    platform, tenant, visit_id = visit
    other = await make_tenant(platform, served[1], "Other Post")
    path = f"/v1/visits/{visit_id}/events"
    assert (await other.consignee.get(path)).status_code == 404
    assert (await replace(tenant.carrier, key="").get(path)).status_code == 401
    for last in ("-1", "x", "1" * 10):
        answer = await tenant.carrier.get(path, headers={"Last-Event-ID": last})
        assert answer.status_code == 400


async def test_a_reader_who_left_is_forgotten_and_nobody_is_asked_for_nothing(
    platform: Platform, tenant: Tenant
) -> None:
    await save_reading(platform, tenant.access_point_id)
    visit_id = (await scan(tenant))["id"]
    hub = Hub(platform.database)
    stream = hub.follow(visit_id, after=0, reader=Reader.CARRIER, language="en")
    async with asyncio.timeout(PATIENCE_S):
        assert [(await anext(stream))[:5] for _ in range(3)] == [b"retry", b"id: 1", b"id: 2"]
    assert hub.streams == 1
    await stream.aclose()  # type: ignore[attr-defined]
    assert hub.streams == 0
    assert hub._task is not None
    async with asyncio.timeout(PATIENCE_S):
        await hub._task


async def test_streams_and_queues_have_a_limit(
    platform: Platform, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    await save_reading(platform, tenant.access_point_id)
    visit_id = (await scan(tenant))["id"]
    monkeypatch.setattr(streaming, "MAX_STREAMS", 1)
    monkeypatch.setattr(streaming, "MAX_WAITING", 1)
    hub = Hub(platform.database)
    stream = hub.follow(visit_id, after=0, reader=Reader.CARRIER, language="en")
    async with asyncio.timeout(PATIENCE_S):
        assert (await anext(stream)).startswith(b"retry")
        with pytest.raises(TooManyStreams):
            hub.follow(visit_id, after=0, reader=Reader.CARRIER, language="en")
        # Two lines and room for one: the reader gets the first and is then cut off.
        told = [part async for part in stream]
    assert [part[:5] for part in told] == [b"id: 1"]
    await hub.close()


async def test_a_stream_ends_in_time_for_its_reader_to_sign_in_again(
    platform: Platform, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key or phone that is revoked while it listens hears no more than this."""
    await save_reading(platform, tenant.access_point_id)
    visit_id = (await scan(tenant))["id"]
    monkeypatch.setattr(streaming, "STREAM_LASTS_S", 0.5)
    monkeypatch.setattr(streaming, "HEARTBEAT_S", 0.1)
    hub = Hub(platform.database)
    async with asyncio.timeout(PATIENCE_S):
        told = [part async for part in hub.follow(visit_id, after=0, reader=Reader.CARRIER, language="en")]
    assert b"event: line" in b"".join(told)
    assert not any(part.startswith(b"event: over") for part in told)
    assert hub.streams == 0
    await hub.close()


async def test_two_readers_of_one_visit_each_get_what_they_have_not_seen(
    visit: tuple[Platform, Tenant, str],
) -> None:
    platform, tenant, visit_id = visit
    async with follow(tenant.carrier, visit_id, after=2) as late, follow(tenant.carrier, visit_id) as early:
        assert [event.id for event in await take(early, 2)] == [1, 2]
        await tell(platform, visit_id, Fact.GATE_PASSED)
        assert [event.id for event in await take(late, 1)] == [3]
        assert [event.id for event in await take(early, 1)] == [3]
        async with follow(tenant.carrier, visit_id, after=1) as third:
            assert [event.id for event in await take(third, 2)] == [2, 3]
            await tell(platform, visit_id, Fact.UNLOCK_NOT_SENT)
            assert [event.id for event in await take(late, 2)] == [4, None]
            assert [event.id for event in await take(third, 2)] == [4, None]
