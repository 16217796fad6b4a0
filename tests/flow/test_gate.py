"""The gate looks at the world as it is when it opens, however long it had to wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from tests.flow.stage import HERE, Stage, Stop, open_stage

from unlatch.clock import monotonic_s
from unlatch.domain.access import Fallback
from unlatch.domain.booking import Part
from unlatch.domain.decision import GRANT_MAX_AGE_S
from unlatch.domain.incident import Incident
from unlatch.domain.reading import Reading
from unlatch.domain.visit import FIRST_BYTE_WITHIN_S, State
from unlatch.flow.fallback import FallbackGiven, take_fallback
from unlatch.flow.gate import pass_gate
from unlatch.flow.wishes import Wisher
from unlatch.store import readings
from unlatch.store.database import Database


@pytest.fixture
async def stage(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(database, tmp_path, factor=60, has_worker=False) as stage:
        yield stage


@asynccontextmanager
async def hold_place(stage: Stage, stop: Stop) -> AsyncIterator[None]:
    """Keep the place's row locked, as a scan or a block does for a moment."""
    async with stage.platform.database.transaction() as connection:
        query = "SELECT 1 FROM access_point WHERE id = %s FOR NO KEY UPDATE"
        await connection.execute(query, (stop.place_id,))
        yield


async def wait_until_gate_waits(stage: Stage) -> None:
    async with stage.platform.database.connection() as connection:
        while True:
            cursor = await connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if await cursor.fetchone() != (0,):
                return
            await asyncio.sleep(0.01)


async def test_a_grant_that_grew_old_at_the_gate_is_not_used(stage: Stage) -> None:
    stop, visit_id, command_id = await stage.grant()
    async with hold_place(stage, stop):
        passing = asyncio.create_task(pass_gate(stage.platform, command_id, None))
        await wait_until_gate_waits(stage)
        await stage.platform.clock.sleep(GRANT_MAX_AGE_S + 1)
    assert await passing is None
    row = await stage.get(visit_id)
    assert (row.visit.state, row.incident) == (State.REFUSED, Incident.PLATFORM_TOO_SLOW)


async def test_a_consent_that_ended_at_the_gate_shuts_it(stage: Stage) -> None:
    stop, visit_id, command_id = await stage.grant()
    ends_at = stage.platform.clock.now() + timedelta(seconds=20)
    async with stage.platform.database.connection() as connection:
        query = "UPDATE access_point SET consent_ends_at = %s WHERE id = %s"
        await connection.execute(query, (ends_at, stop.place_id))
    async with hold_place(stage, stop):
        passing = asyncio.create_task(pass_gate(stage.platform, command_id, None))
        await wait_until_gate_waits(stage)
        await stage.platform.clock.sleep_until(ends_at)
    assert await passing is None
    assert (await stage.get(visit_id)).incident is Incident.CONSIGNEE_CONSENT_ENDED


async def test_the_gates_own_time_is_that_of_its_opening(stage: Stage) -> None:
    """A lock waits until the unlock's time for its first byte is over: both must count from the same moment."""
    stop, visit_id, command_id = await stage.grant()
    async with hold_place(stage, stop):
        passing = asyncio.create_task(pass_gate(stage.platform, command_id, None))
        await wait_until_gate_waits(stage)
        await stage.platform.clock.sleep(30)
        opened_at, opened_s = stage.platform.clock.now(), monotonic_s()
    passage = await passing
    assert passage is not None
    assert passage.first_byte_by_s >= opened_s + FIRST_BYTE_WITHIN_S
    row = await stage.get(visit_id)
    assert row.last_command_at is not None
    assert row.last_command_at >= opened_at


async def test_a_scan_that_waited_for_the_place_sees_what_it_waited_for(stage: Stage) -> None:
    """The stop ends with its fallback while the scan waits: nothing may open for a parcel that has gone back."""
    stop = await stage.add_stop("onstar")
    now = stage.platform.clock.now()
    reading = Reading(observed_at=now, is_locked=True, is_open=False, is_moving=False, position=HERE)
    async with stage.platform.database.connection() as connection:
        await readings.save_reading(connection, stop.place_id, reading, now)
    async with stage.platform.database.transaction() as connection:
        courier = Wisher(part=Part.COURIER, id=stop.courier_id)
        given = FallbackGiven(done=Fallback.DEPOT)
        await take_fallback(stage.platform, connection, stop.stop_id, courier, given)
        scanning = asyncio.create_task(stage.scan(stop))
        await wait_until_gate_waits(stage)
    result = await scanning
    assert Incident.CARRIER_STOP_ENDED in result.reasons


async def test_a_scan_that_waited_for_the_place_is_decided_on_by_the_time_it_is_then(stage: Stage) -> None:
    stop = await stage.add_stop("onstar")
    now = stage.platform.clock.now()
    ends_at = now + timedelta(seconds=20)
    reading = Reading(observed_at=now, is_locked=True, is_open=False, is_moving=False, position=HERE)
    async with stage.platform.database.connection() as connection:
        await readings.save_reading(connection, stop.place_id, reading, now)
        query = "UPDATE stop SET window_until = %s WHERE id = %s"
        await connection.execute(query, (ends_at, stop.stop_id))
    async with hold_place(stage, stop):
        scanning = asyncio.create_task(stage.scan(stop))
        await wait_until_gate_waits(stage)
        await stage.platform.clock.sleep_until(ends_at)
    result = await scanning
    assert result.row is not None
    assert (result.row.visit.state, result.row.incident) == (State.REFUSED, Incident.COURIER_TOO_LATE)
