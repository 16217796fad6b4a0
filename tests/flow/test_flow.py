"""The flow against a real town and a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.flow.stage import Stage, open_stage

from unlatch.domain.visit import Fact, State, Tail
from unlatch.flow.record import Happening, record_in
from unlatch.flow.scan import decide_after_look
from unlatch.store import journal, visits
from unlatch.store.database import Database


@pytest.fixture
async def stage(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(database, tmp_path) as stage:
        yield stage


@pytest.mark.parametrize("maker", ["onstar", "volvo"])
async def test_a_delivery_ends_as_delivered_and_its_tail_ends(stage: Stage, maker: str) -> None:
    stop = await stage.add_stop(maker)
    visit_id = await stage.deliver(stop)
    await stage.until_state(visit_id, State.DELIVERED)
    row = await stage.until(visit_id, lambda row: row.visit.tail is Tail.OVER)
    truth = await stage.town.state(stop.vin)
    assert truth.is_trunk_locked, await stage.story(visit_id)
    assert row.next_read_at is None
    print(await stage.story(visit_id))


async def test_the_journals_time_never_runs_back(stage: Stage) -> None:
    """A clock that is set back in mid-visit leaves the order of time as it was; the visit ends with its last entry."""
    stop = await stage.add_stop()
    visit_id = await stage.begin(stop)
    row = await stage.get(visit_id)
    async with stage.platform.database.transaction() as connection:
        locked = await visits.lock_visit(connection, row.id)
        earlier = stage.platform.clock.now() - timedelta(hours=1)
        happening = Happening(fact=Fact.COURIER_GAVE_UP, who="courier:x")
        await record_in(connection, locked, happening, earlier)
    async with stage.platform.database.connection() as connection:
        entries = await journal.list_entries(connection, visit_id)
    times = [kept.entry.at for kept in entries]
    assert len(times) >= 2
    assert times == sorted(times)
    assert (await stage.get(visit_id)).ended_at == times[-1]


async def test_a_scan_that_waited_too_long_for_its_look_is_not_granted(
    database: Database, tmp_path: Path
) -> None:
    """All workers were down: the look comes after the visit's own deadline, and the clock's fact is still to come."""
    async with open_stage(database, tmp_path, has_worker=False) as stage:
        visit_id = await stage.begin(await stage.add_stop())
        async with database.connection() as connection:
            await connection.execute(
                "UPDATE visit SET deadline_at = %s WHERE id = %s", (stage.platform.clock.now(), visit_id)
            )
        await decide_after_look(stage.platform, visit_id)
        assert (await stage.get(visit_id)).visit.state is State.REQUESTED
