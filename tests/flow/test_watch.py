"""What the watch makes of one reading that says several things at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.flow.stage import HERE, Stage, open_stage

from unlatch.domain.reading import Reading
from unlatch.domain.visit import Fact, State
from unlatch.flow.gate import pass_gate
from unlatch.flow.watch import record_reading
from unlatch.store import readings
from unlatch.store.database import Database
from unlatch.store.visits import VisitRow


@pytest.fixture
async def stage(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(database, tmp_path, has_worker=False) as stage:
        yield stage


async def begin_past_gate(stage: Stage) -> str:
    """A visit whose unlock may have left; nobody else works on it."""
    stop = await stage.add_stop("onstar")
    parked = read(stage, is_locked=True, is_open=False, is_moving=False)
    async with stage.platform.database.connection() as connection:
        await readings.save_reading(connection, stop.place_id, parked, stage.platform.clock.now())
    visit_id = await stage.begin(stop)
    async with stage.platform.database.connection() as connection:
        cursor = await connection.execute("SELECT id FROM command WHERE visit_id = %s", (visit_id,))
        found = await cursor.fetchone()
    assert found is not None
    assert await pass_gate(stage.platform, found[0], None) is not None
    return visit_id


def read(stage: Stage, *, is_locked: bool, is_open: bool, is_moving: bool) -> Reading:
    return Reading(
        observed_at=stage.platform.clock.now() - timedelta(seconds=1),
        is_locked=is_locked,
        is_open=is_open,
        is_moving=is_moving,
        position=HERE,
    )


async def tell(stage: Stage, visit_id: str, *, is_locked: bool, is_open: bool) -> VisitRow:
    """The cloud tells of a car that is on the move."""
    await stage.platform.clock.sleep(2)
    reading = read(stage, is_locked=is_locked, is_open=is_open, is_moving=True)
    return await record_reading(stage.platform, visit_id, reading, "cloud:onstar")


async def test_a_car_that_drives_off_open_is_an_alarm_at_once(stage: Stage) -> None:
    visit_id = await begin_past_gate(stage)
    row = await tell(stage, visit_id, is_locked=False, is_open=True)
    assert row.visit.state is State.UNSECURED, await stage.story(visit_id)


async def test_a_car_that_drives_off_seen_locked_calls_nobody(stage: Stage) -> None:
    visit_id = await begin_past_gate(stage)
    stop = stage.stops[0]
    await stage.say(stop, visit_id, Fact.COURIER_OPENED)
    await stage.say(stop, visit_id, Fact.COURIER_DEPOSITED)
    row = await tell(stage, visit_id, is_locked=True, is_open=False)
    assert row.visit.state is State.DELIVERED, await stage.story(visit_id)
    async with stage.platform.database.connection() as connection:
        cursor = await connection.execute("SELECT count(*) FROM call")
        assert await cursor.fetchone() == (0,)


async def test_a_reading_from_before_the_lock_was_ordered_does_not_settle(stage: Stage) -> None:
    """The reading that has the lock ordered can't be the one that shows that it has locked (S5)."""
    visit_id = await begin_past_gate(stage)
    row = await tell(stage, visit_id, is_locked=False, is_open=False)
    assert row.visit.state is State.LOCKING, await stage.story(visit_id)
    before = read(stage, is_locked=True, is_open=False, is_moving=False)
    row = await record_reading(stage.platform, visit_id, before, "cloud:onstar")
    assert row.visit.state is State.LOCKING, await stage.story(visit_id)
