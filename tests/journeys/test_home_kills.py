"""kill -9 of whoever records or works, in the middle of a home's visit; and a second camera, a second recorder.

Afterwards: nothing was opened without a living picture, whoever had to be called was, and what was recorded is a clip.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from tests import invariants
from tests.conftest import make_server_dir
from tests.journeys.camera_faults import ALARM_WITHIN_S, Dawdler
from tests.journeys.front import Front, find_postmaster, fresh_database
from tests.journeys.home_front import HomeDoor, HomePlay, open_home, open_home_front
from tests.journeys.playing import Play

from unlatch.domain.incident import Incident
from unlatch.domain.visit import State
from unlatch.settings import Settings
from unlatch.store.cameras import RecordingState
from unlatch.store.database import use_server
from unlatch.store.embedded import Embedded
from unlatch.town.bench_meters import list_children
from unlatch.town.installation import Member
from unlatch.town.truth import count_openings_asked

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

EITHER = {State.DELIVERED, State.UNDELIVERED}
KEPT_WITHIN_S = 40.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(
    server: Embedded, template_database: str, worker_id: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Front]:
    """An installation without worker and recorder: each test starts those that it kills."""
    with fresh_database(server, template_database, f"home_kills_{worker_id}") as url:
        folder = tmp_path_factory.mktemp("home_kills")
        async with open_home_front(folder, url, workers_at_start=0, recorders_at_start=0) as front:
            yield front


@pytest_asyncio.fixture(loop_scope="module")
async def nobody(front: Front) -> AsyncIterator[None]:
    """Neither worker nor recorder before, and none afterwards."""
    yield
    for member in (*front.installation.workers, *front.installation.recorders):
        if member.is_running:
            await member.end(signal.SIGKILL)


async def kill(member: Member) -> None:
    member.send(signal.SIGKILL)
    assert await member.wait_for_end() == -signal.SIGKILL


def find_recorder_process(member: Member) -> int:
    """The process in which the cameras of this `unlatch record` live."""
    (pid,) = list_children(member.pid)
    return pid


async def until(is_so: Callable[[invariants.Told], bool], door: HomeDoor, within_s: float = 30.0) -> None:
    """Wait for something in the visit's journal."""
    deadline_s = asyncio.get_running_loop().time() + within_s
    while not is_so(told := await door.tell()):
        assert asyncio.get_running_loop().time() < deadline_s, told.story()
        await asyncio.sleep(0.1)


def has(name: str, count: int = 1) -> Callable[[invariants.Told], bool]:
    return lambda told: len(told.entries_named(name)) >= count


async def finish(
    play: HomePlay, ends: set[State], unlocks: set[int], *, may_complain: bool = False
) -> invariants.Told:
    """The courier goes on, the visit ends, what was recorded is kept, and everything holds."""
    door = play.door
    await play.go_on(100)
    done = (RecordingState.KEPT, RecordingState.EMPTY)
    async with asyncio.timeout(KEPT_WITHIN_S):
        while any(one.state not in done for one in await door.list_recordings()):
            await asyncio.sleep(0.1)
    (told,) = await door.check()
    assert play.last.state in ends, told.story()
    assert count_openings_asked(await door.town.whole_ledger(vin=door.vin)) in unlocks, told.story()
    assert (await door.town.home(door.vin)).is_secured
    if told.entries_named("gate_passed"):
        assert told.entries_named("clip_kept"), told.story()
    if not may_complain:
        await door.front.check_all(may_begin_anew=True)
    return told


async def test_a_recorder_process_killed_while_it_is_open(front: Front, nobody: None) -> None:
    """Another is started within moments and records on; the gap counts from the last part that was told."""
    recorder = await front.installation.start_recorder()
    await front.installation.start_worker()
    async with open_home(front, rings_first=False) as door:

        async def kill_it(play: Play) -> None:
            await until(has("recording_link"), door)
            os.kill(find_recorder_process(recorder), signal.SIGKILL)
            await until(has("recording_begun", 2), door)

        await door.arm()
        play = Dawdler(door=door, at={State.OPEN: kill_it})
        await door.scan()
        told = await finish(play, {State.DELIVERED}, {1})
        assert recorder.is_running
        (gap,) = told.entries_named("recording_gap_begun")
        assert gap.entry.body["code"] == "recorder_gone"
        begun, again = (kept.entry for kept in told.entries_named("recording_begun"))
        assert begun.body["at"] < gap.entry.body["begun_at"] < again.body["at"]
        assert told.entries_named("recording_gap_ended")
        (kept,) = told.entries_named("clip_kept")
        assert kept.entry.body["takes"] == 2


async def test_unlatch_record_killed_while_it_is_open(front: Front, nobody: None) -> None:
    """Its recorder dies with it: an alarm. One that is started goes on with what it finds."""
    killed = await front.installation.start_recorder()
    await front.installation.start_worker()
    async with open_home(front, rings_first=False) as door:

        async def kill_it(play: Play) -> None:
            await until(has("recording_link"), door)
            begun_s = asyncio.get_running_loop().time()
            await kill(killed)
            await play.until(lambda seen: seen.incident is Incident.DEVICE_RECORDING_LOST, ALARM_WITHIN_S)
            assert asyncio.get_running_loop().time() - begun_s <= ALARM_WITHIN_S
            await front.installation.start_recorder()
            await until(has("recording_back"), door)

        await door.arm()
        play = Dawdler(door=door, at={State.OPEN: kill_it})
        await door.scan()
        told = await finish(play, EITHER, {1})
        assert not told.row.visit.is_clean
        (lost,) = told.entries_named("recording_lost")
        assert lost.entry.body["cameras"] == {door.camera_ids[0]: "recorder_gone"}
        assert {one["kind"] for one in told.calls} == {"operator", "consignee"}


async def test_another_recorder_goes_on_with_what_a_dead_one_has_left(front: Front, nobody: None) -> None:
    killed = await front.installation.start_recorder()
    await front.installation.start_worker()
    async with open_home(front, rings_first=False) as door:

        async def kill_it(play: Play) -> None:
            await front.installation.start_recorder()  # it finds nothing to do
            await until(has("recording_link"), door)
            await kill(killed)
            await until(has("recording_begun", 2), door)

        await door.arm()
        play = Dawdler(door=door, at={State.OPEN: kill_it})
        await door.scan()
        told = await finish(play, EITHER, {1})
        (kept,) = told.entries_named("clip_kept")
        assert kept.entry.body["takes"] == 2


async def test_a_worker_killed_while_a_camera_proves_itself(front: Front, nobody: None) -> None:
    """Another one lets it be proven anew, or nothing is opened."""
    await front.installation.start_recorder()
    killed = await front.installation.start_worker()
    async with open_home(front, rings_first=True) as door:

        async def kill_it(_: Play) -> None:
            await kill(killed)
            await front.installation.start_worker()

        await door.arm()
        play = Dawdler(door=door, at={State.PROVING: kill_it})
        await door.scan()
        await finish(play, EITHER | {State.REFUSED}, {0, 1})


async def test_a_worker_killed_while_it_is_open_and_the_camera_freezes(front: Front, nobody: None) -> None:
    """The alarm hangs on no worker."""
    await front.installation.start_recorder()
    killed = await front.installation.start_worker()
    async with open_home(front, rings_first=False) as door:

        async def kill_it(play: Play) -> None:
            spare = await front.installation.start_worker()
            begun_s = asyncio.get_running_loop().time()
            await door.strike("freeze", is_encoded_anew=True, is_noisy=True)
            await kill(killed)
            assert spare.is_running
            await play.until(lambda seen: seen.incident is Incident.DEVICE_RECORDING_LOST, ALARM_WITHIN_S)
            assert asyncio.get_running_loop().time() - begun_s <= ALARM_WITHIN_S

        await door.arm()
        play = Dawdler(door=door, at={State.OPEN: kill_it})
        await door.scan()
        told = await finish(play, EITHER, {1})
        assert not told.row.visit.is_clean


async def test_a_second_camera_holds_the_lease_when_the_first_dies(front: Front, nobody: None) -> None:
    await front.installation.start_recorder()
    await front.installation.start_worker()
    async with open_home(front, cameras=2, rings_first=False) as door:

        async def lose_one_then_both(play: Play) -> None:
            await door.strike("off", number=0)
            await until(has("recording_gap_begun"), door)
            await asyncio.sleep(ALARM_WITHIN_S)  # for as long as an alarm may take
            assert not (await door.tell()).entries_named("recording_lost")
            await door.strike("stall", number=1)
            await play.until(lambda seen: seen.incident is Incident.DEVICE_RECORDING_LOST, ALARM_WITHIN_S)

        await door.arm()
        play = Dawdler(door=door, at={State.OPEN: lose_one_then_both})
        await door.scan()
        told = await finish(play, EITHER, {1})
        (proven,) = told.entries_named("recording_proven")
        assert [one["camera"] for one in proven.entry.body["others"]] == [door.camera_ids[1]]
        (lost,) = told.entries_named("recording_lost")
        assert set(lost.entry.body["cameras"]) == set(door.camera_ids)
        assert len(told.entries_named("clip_kept")) == 2


async def test_a_take_that_was_tampered_with_keeps_no_other_camera_from_being_recorded(
    front: Front, nobody: None
) -> None:
    recorder = await front.installation.start_recorder()
    await front.installation.start_worker()
    async with (
        open_home(front, rings_first=False) as touched,
        open_home(front, rings_first=False) as door,
    ):

        async def flip_a_bit_and_kill(_: Play) -> None:
            await until(has("recording_link"), touched)
            (recording,) = await touched.list_recordings()
            (take,) = touched.list_takes(recording)
            with take.open("r+b") as file:
                file.seek(2000)
                byte = file.read(1)[0]
                file.seek(2000)
                file.write(bytes([byte ^ 1]))
            os.kill(find_recorder_process(recorder), signal.SIGKILL)
            await is_done.wait()  # the courier stays, and so does the visit

        is_done = asyncio.Event()
        for one in (touched, door):
            await one.arm()
        first = Dawdler(door=touched, at={State.OPEN: flip_a_bit_and_kill})
        await touched.scan()
        await first.until_state(State.OPEN, State.READY, State.UNLOCKED)
        going = asyncio.create_task(first.go_on(100))
        await until(has("recording_lost"), touched, 60)
        second = Dawdler(door=door)
        await door.arm()
        await door.scan()
        told = await finish(second, {State.DELIVERED}, {1}, may_complain=True)
        assert told.row.visit.is_clean
        is_done.set()
        await going
        assert not (await touched.tell()).row.visit.is_clean


async def test_a_database_killed_while_it_is_open_ends_no_recording() -> None:
    """Our own PostgreSQL: the recorder records on, and its chain follows when the database is back."""
    folder = make_server_dir()
    settings = Settings(data_dir=folder)
    async with (
        use_server(settings) as dsn,
        open_home_front(folder, dsn, is_database_own=True) as front,
        open_home(front, rings_first=False) as door,
    ):
        recorder_pid = find_recorder_process(front.installation.recorders[0])

        async def kill_database(_: Play) -> None:
            await until(has("recording_link"), door)
            killed = find_postmaster(folder)
            assert killed is not None
            await door.strike("drop")  # what the camera tells of meanwhile must wait
            os.kill(killed, signal.SIGKILL)
            while find_postmaster(folder) in (killed, None):
                await asyncio.sleep(0.02)
            await front.wait_for_database()
            await until(has("recording_begun", 2), door)

        await door.arm()
        play = Dawdler(door=door, at={State.OPEN: kill_database})
        await door.scan()
        told = await finish(play, EITHER, {1})
        assert find_recorder_process(front.installation.recorders[0]) == recorder_pid
        assert told.entries_named("recording_gap_begun")
        assert not front.installation.list_dead()
    await asyncio.to_thread(Embedded(folder).remove)
    shutil.rmtree(folder)
