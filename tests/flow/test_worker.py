"""What breaks in one part of a worker, or with one visit, breaks nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec import ValidationError
from tests.flow.stage import open_stage

from unlatch.domain.visit import State
from unlatch.flow.deadlines import record_due
from unlatch.flow.worker import work
from unlatch.store.database import Database


async def test_anchors_that_can_not_be_written_stop_no_order(database: Database, tmp_path: Path) -> None:
    """As with a full disk: the journal's heads wait, the visit goes on."""
    (tmp_path / "anchors.jsonl").mkdir()
    async with open_stage(database, tmp_path, has_worker=False) as stage:
        visit_id = await stage.begin(await stage.add_stop("onstar"))  # its head waits to be anchored
        stop = asyncio.Event()
        working = asyncio.create_task(work(stage.platform, stop))
        try:
            await stage.until_state(visit_id, State.READY, State.UNLOCKED, real_s=10)
        finally:
            stop.set()
            await working


async def test_a_visit_that_can_not_be_read_keeps_no_other_from_its_deadline(
    database: Database, tmp_path: Path
) -> None:
    async with open_stage(database, tmp_path, has_worker=False) as stage:
        first, second, third = [await stage.begin(await stage.add_stop("onstar")) for _ in range(3)]
        async with database.connection() as connection:
            long_ago = stage.platform.clock.now().replace(year=2020)
            for visit_id in (first, second, third):
                query = "UPDATE visit SET deadline_at = %s WHERE id = %s"
                await connection.execute(query, (long_ago, visit_id))
            # As one that a later release wrote and an older worker meets.
            await connection.execute("UPDATE visit SET closure = '{}' WHERE id = %s", (first,))
        with pytest.raises(ValidationError):
            await record_due(stage.platform, 100)
        assert (await stage.get(second)).visit.state is State.REFUSED
        assert (await stage.get(third)).visit.state is State.REFUSED
