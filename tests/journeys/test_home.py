"""A home's delivery, with real processes: a hub, an RTSP camera, a recorder, a worker, a courier."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.journeys.front import Front, fresh_database
from tests.journeys.home_front import HomePlay, open_home, open_home_front

from unlatch.domain.visit import State
from unlatch.store.cameras import RecordingState
from unlatch.store.embedded import Embedded

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(
    server: Embedded, template_database: str, worker_id: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Front]:
    with fresh_database(server, template_database, f"home_{worker_id}") as url:
        folder = tmp_path_factory.mktemp("home")
        async with open_home_front(folder, url) as front:
            yield front


async def test_a_home_delivery_is_proven_recorded_and_kept(front: Front) -> None:
    async with open_home(front) as door:
        play = HomePlay(door=door)
        await door.arm()
        await door.scan()
        await play.go_on()
        told = await door.tell()
        print(told.story())
        (told,) = await door.check()
        assert play.last.state is State.DELIVERED, told.story()
        assert told.row.visit.is_clean
        (recording,) = await door.list_recordings()
        assert recording.state in (RecordingState.ENDING, RecordingState.KEPT)
