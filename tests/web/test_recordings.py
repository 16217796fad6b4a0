"""A lost recording: when a visit is told of it, and that it is told once. By rows alone, without a recorder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier
from structlog.testing import capture_logs
from tests.web.conftest import Tenant
from tests.web.homes import add_home, add_home_stop, witness

from unlatch.cameras.board import CameraState, Event, EventKind
from unlatch.domain.clip import Gap
from unlatch.flow import filming
from unlatch.flow.chaining import Chaining
from unlatch.flow.platform import Platform
from unlatch.store import cameras, journal, visits
from unlatch.store.cameras import Said
from unlatch.store.embedded import Embedded

RECORDER = "rec_test"


async def begin_recording(tenant: Tenant, platform: Platform) -> tuple[str, str]:
    """A visit at a home that one camera records and has proven; visit and camera."""
    place_id = (await add_home(tenant))["id"]
    camera_id = await witness(platform, place_id)
    stop = await add_home_stop(platform, tenant, place_id)
    visit_id = (await stop.scan(platform))["id"]
    async with platform.database.connection() as connection:
        held = await cameras.find_camera(connection, camera_id)
        assert held is not None
        row = await cameras.want_recording(
            connection, "rec_1", visit_id=visit_id, held=held, folder="/nowhere", now=platform.clock.now()
        )
        await cameras.set_recording(connection, row.id)
        real_now = datetime.now(UTC)
        await cameras.set_proved(
            connection, row.id, proved_at_real=real_now, lease_until_real=real_now + timedelta(seconds=2)
        )
    return visit_id, camera_id


async def say(platform: Platform, camera_id: str, left_s: float, *, ago_s: float = 0.0) -> None:
    """What a recorder says of that camera, `ago_s` ago."""
    asked_at = datetime.now(UTC) - timedelta(seconds=ago_s)
    said = Said(
        camera_id=camera_id,
        state=CameraState.RECORDING if left_s else CameraState.LOST,
        verdict=None,
        code=None if left_s else "silent",
        heard_at_real=None,
        lease_until_real=asked_at + timedelta(seconds=left_s) if left_s else None,
    )
    async with platform.database.connection() as connection:
        await cameras.say(connection, RECORDER, [said], asked_at=asked_at)


async def names_of(platform: Platform, visit_id: str) -> list[str]:
    async with platform.database.connection() as connection:
        return [kept.entry.name for kept in await journal.list_entries(connection, visit_id)]


async def test_a_lease_that_has_ended_keeps_its_end_however_often_that_is_said(
    tenant: Tenant, platform: Platform
) -> None:
    visit_id, camera_id = await begin_recording(tenant, platform)
    await say(platform, camera_id, 2.0, ago_s=4.0)
    for _ in range(3):
        await say(platform, camera_id, 0.0)
    assert await filming.tell_turned(platform) == 0, "two seconds behind the end of its lease"
    async with platform.database.connection() as connection:
        real_now = datetime.now(UTC) + cameras.LOST_AFTER - timedelta(seconds=1)
        assert await cameras.list_turned(connection, real_now, 10) == [(visit_id, True)]


async def test_a_loss_is_told_once_with_since_when_and_why(tenant: Tenant, platform: Platform) -> None:
    visit_id, camera_id = await begin_recording(tenant, platform)
    await say(platform, camera_id, 2.0)
    assert await filming.tell_turned(platform) == 0
    await say(
        platform, camera_id, 0.0, ago_s=7.0
    )  # its lease was cut then: the picture was known to be false
    for _ in range(3):
        await say(platform, camera_id, 0.0)
    assert await filming.tell_turned(platform) == 1
    assert await filming.tell_turned(platform) == 0
    async with platform.database.connection() as connection:
        row = await visits.get_visit(connection, visit_id)
        entries = await journal.list_entries(connection, visit_id)
    (lost,) = [kept.entry for kept in entries if kept.entry.name == "recording_lost"]
    assert lost.body["cameras"] == {camera_id: "silent"}
    since = datetime.fromisoformat(lost.body["since"])
    assert 6.5 < (datetime.now(UTC) - since).total_seconds() < 60
    assert not row.visit.is_clean
    assert not row.visit.is_live  # nothing had left: it is refused


async def test_what_a_camera_tells_while_the_database_is_away_is_written_when_it_is_back(
    tenant: Tenant, platform: Platform, server: Embedded
) -> None:
    visit_id, camera_id = await begin_recording(tenant, platform)
    async with platform.database.connection() as connection:
        (recording,) = await cameras.list_recordings(connection, visit_id)
    chaining = Chaining(platform)
    begun_at = datetime.now(UTC)
    gap = Gap(after_take=1, begun_at=begun_at, ended_at=None, code="cut")
    event = Event(camera_id=camera_id, at=begun_at, kind=EventKind.GAP_BEGUN, gap=gap)
    with capture_logs() as logs:
        async with locked_out(server, platform):
            taking = asyncio.create_task(chaining.take_in(recording, event))
            async with asyncio.timeout(30):
                while not any("waits for its database" in one["event"] for one in logs):
                    await asyncio.sleep(0.05)
            assert not taking.done()
        async with asyncio.timeout(30):
            await taking
    assert "recording_gap_begun" in await names_of(platform, visit_id)


async def test_how_a_camera_stands_is_said_past_rows_that_others_have(
    tenant: Tenant, platform: Platform
) -> None:
    """Nobody waits for it, and it waits for nobody: a visit that ends takes recording and camera in this order."""
    visit_id, camera_id = await begin_recording(tenant, platform)
    async with platform.database.transaction() as connection:
        await connection.execute("SELECT FROM recording WHERE visit_id = %s FOR UPDATE", (visit_id,))
        async with asyncio.timeout(5):
            await say(platform, camera_id, 0.0)
        row = await cameras.find_camera(connection, camera_id)
        assert row is not None
        assert row.code == "silent"
        await connection.execute("SELECT FROM camera WHERE id = %s FOR UPDATE", (camera_id,))
        async with asyncio.timeout(5):
            await say(platform, camera_id, 2.0)
    await say(platform, camera_id, 2.0)
    async with platform.database.connection() as connection:
        row = await cameras.find_camera(connection, camera_id)
    assert row is not None
    assert row.code is None


@asynccontextmanager
async def locked_out(server: Embedded, platform: Platform) -> AsyncIterator[None]:
    """Nobody gets a connection to this test's database."""
    name = conninfo_to_dict(platform.database.dsn)["dbname"]
    assert isinstance(name, str)
    async with await psycopg.AsyncConnection.connect(server.dsn(), autocommit=True) as connection:
        allow = "ALTER DATABASE {} ALLOW_CONNECTIONS {}"
        await connection.execute(SQL(allow).format(Identifier(name), SQL("false")))
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        await connection.execute(ended, (name,))
        try:
            yield
        finally:
            await connection.execute(SQL(allow).format(Identifier(name), SQL("true")))
