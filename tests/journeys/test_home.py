"""A home's visit, with real processes: a hub, an RTSP camera, a recorder, a worker, a courier."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.journeys.camera_faults import ALARM_WITHIN_S, Dawdler
from tests.journeys.front import Front, fresh_database
from tests.journeys.home_front import HomeDoor, HomePlay, open_home, open_home_front
from tests.journeys.playing import Play

from unlatch.domain.visit import Fact, State
from unlatch.store.cameras import RecordingState
from unlatch.store.embedded import Embedded
from unlatch.town.home import HomeDeed
from unlatch.town.truth import count_openings_asked

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

KEPT_WITHIN_S = 30.0
CUT_OFF_S = 4.0  # real: behind the call, while nobody can see the door


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(
    server: Embedded, template_database: str, worker_id: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Front]:
    with fresh_database(server, template_database, f"home_{worker_id}") as url:
        async with open_home_front(tmp_path_factory.mktemp("home"), url) as front:
            yield front


async def wait_for_clip(door: HomeDoor) -> None:
    async with asyncio.timeout(KEPT_WITHIN_S):
        while any(one.state is not RecordingState.KEPT for one in await door.list_recordings()):
            await asyncio.sleep(0.1)


async def test_a_delivery_from_the_bell_to_the_clip(front: Front) -> None:
    async with open_home(front) as door:
        await door.arm()
        play = HomePlay(door=door)
        await door.scan()
        await play.go_on()
        await wait_for_clip(door)
        (told,) = await door.check()
        assert play.last.state is State.DELIVERED, told.story()
        assert told.row.visit.is_clean
        assert State.RINGING in play.states
        assert told.entries_named("clip_kept")
        async with asyncio.timeout(30):  # nobody looks into a home for longer than its visit lasts
            while (await door.town.camera(door.town_camera_ids[0]))["viewers"]:
                await asyncio.sleep(0.1)
        assert (await front.town.home(door.vin)).is_secured


async def test_someone_who_comes_to_the_door_is_handed_the_parcel(front: Front) -> None:
    async with open_home(front) as door:
        await door.arm()

        async def meet(play: Play) -> None:
            await door.phone.met_someone(door.visit_id)
            await play.until_state(State.ANSWERED)
            await door.phone.handed_over(door.visit_id)

        play = HomePlay(door=door, at={State.RINGING: meet})
        await door.scan()
        await play.go_on()
        (told,) = await door.check()
        assert play.last.state is State.HANDED_OVER, told.story()
        assert count_openings_asked(await front.town.whole_ledger(vin=door.vin)) == 0
        assert await door.where_parcel_is() == "handed_over"


@pytest.mark.parametrize("locks_itself_after_s", [None, 15])
async def test_cut_off_at_the_moment_of_leaving(front: Front, locks_itself_after_s: float | None) -> None:
    """Hub and camera are gone together, and the courier says closed. Whether it is locked or not, nobody sees it."""
    async with open_home(front, rings_first=False, locks_itself_after_s=locks_itself_after_s) as door:

        async def leave(play: Play) -> None:
            play.is_inside = True
            await door.say(Fact.COURIER_DEPOSITED)
            await front.town.do_at_home(door.vin, HomeDeed.WIFI_DOWN)
            begun_s = asyncio.get_running_loop().time()
            assert await play.shut()
            await door.say(Fact.COURIER_CLOSED)
            await play.until_state(State.UNSECURED)
            assert asyncio.get_running_loop().time() - begun_s <= ALARM_WITHIN_S
            await play.door.clock.sleep(CUT_OFF_S * play.door.clock.factor)
            told, truth = await door.tell(), await front.town.home(door.vin)
            assert told.row.visit.state is State.UNSECURED, told.story()
            assert truth.is_secured is (locks_itself_after_s is not None)
            assert {one["kind"] for one in told.calls} == {"operator", "consignee"}
            assert not told.row.visit.is_clean
            play.is_gone = True  # and never says anything again
            await front.town.do_at_home(door.vin, HomeDeed.WIFI_UP)

        play = Dawdler(door=door, at={State.OPEN: leave})
        await door.arm()
        await door.scan()
        await play.go_on(120)
        await wait_for_clip(door)
        (told,) = await door.check()
        assert play.last.state is State.DELIVERED, told.story()
        assert not told.row.visit.is_clean
        assert (await front.town.home(door.vin)).is_secured
        await front.check_all(may_begin_anew=True)
