"""The flow against a real town and a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.flow.stage import Stage, open_stage

from unlatch.domain.visit import State, Tail
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
