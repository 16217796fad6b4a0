"""A slice of the matrix of camera faults and states, on real processes; `scripts/evidence_homes` plays all of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.journeys.camera_faults import SLICE, Cell, Found, play_cell
from tests.journeys.front import Front, fresh_database
from tests.journeys.home_front import open_home_front

from unlatch.store.embedded import Embedded

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(
    server: Embedded, template_database: str, worker_id: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Front]:
    with fresh_database(server, template_database, f"cameras_{worker_id}") as url:
        async with open_home_front(tmp_path_factory.mktemp("cameras"), url) as front:
            yield front


async def test_a_slice_of_faults_and_states(front: Front, subtests: pytest.Subtests) -> None:
    """Each cell is a test of its own."""

    async def play(cell: Cell) -> Found:
        return await play_cell(front, cell)

    ends = await asyncio.gather(*(play(cell) for cell in SLICE), return_exceptions=True)
    for cell, end in zip(SLICE, ends, strict=True):
        with subtests.test(msg=cell.name):
            if isinstance(end, BaseException):
                raise end
    assert not front.installation.list_dead()
