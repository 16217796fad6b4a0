"""kill -9 at every labelled point, of worker, server and database, in the middle of a visit.

Afterwards: no unlock was sent twice or without its gate, nothing hangs, and every visit has come to its end.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.conftest import make_server_dir
from tests.journeys.front import Front, PhoneDoor, find_postmaster, fresh_database, open_front
from tests.journeys.playing import Play

from unlatch.clock import monotonic_s
from unlatch.domain.incident import Incident
from unlatch.domain.visit import State
from unlatch.flow.failpoint import Point
from unlatch.settings import Settings
from unlatch.store.database import use_server
from unlatch.store.embedded import Embedded
from unlatch.town.faults import FaultKind, Verb
from unlatch.town.installation import Member
from unlatch.town.truth import count_unlocks_asked

pytestmark = pytest.mark.asyncio(loop_scope="module")

BLOCK_WITHIN_S = 8.0  # real: longer than a transaction may idle, shorter than a request's patience

# Delivered, or given up: that depends on how many minutes of town time the next process takes to start here.
EITHER = {State.DELIVERED, State.UNDELIVERED}
# How a visit may end whose worker was killed there, and how many unlocks reach the cloud.
ENDS = {
    # The grant may be too old when another worker takes the order over.
    Point.BEFORE_GATE: (EITHER | {State.REFUSED}, {0, 1}),
    Point.AFTER_GATE: ({State.UNDELIVERED}, {0}),  # nobody can swear that nothing left; nothing is sent again
    Point.AFTER_LAST_BYTE: (EITHER, {1}),
    Point.AFTER_ANSWER: (EITHER, {1}),
    Point.AFTER_RECORD: (EITHER, {1}),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(
    server: Embedded, template_database: str, worker_id: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Front]:
    """An installation without a worker: each test starts those that it kills."""
    with fresh_database(server, template_database, f"kills_{worker_id}") as url:
        async with open_front(tmp_path_factory.mktemp("kills"), url, workers_at_start=0) as front:
            yield front


@pytest_asyncio.fixture(loop_scope="module")
async def no_worker(front: Front) -> AsyncIterator[None]:
    """No worker before, and none afterwards."""
    yield
    for worker in front.installation.workers:
        if worker.is_running:
            await worker.end(signal.SIGKILL)


async def die(worker: Member) -> None:
    assert await worker.wait_for_end() == -signal.SIGKILL


async def finish(play: Play, door: PhoneDoor, ends: set[State], unlocks: set[int]) -> None:
    """The courier goes on; the visit and its tail end, whole."""
    await play.go_on()
    await play.until(lambda seen: seen.is_over)
    (visit,) = await door.check()
    assert play.last.state in ends, visit.story()
    assert count_unlocks_asked(await door.town.whole_ledger(vin=door.vin)) in unlocks, visit.story()
    assert (await door.town.state(door.vin)).is_secured
    await door.front.check_all(may_begin_anew=True)


@pytest.mark.parametrize("point", list(ENDS))
async def test_a_worker_killed_there_is_taken_over(front: Front, no_worker: None, point: Point) -> None:
    killed = await front.installation.start_worker(fail_at=point.value)
    async with front.open_door("volvo") as door:
        play = Play(door=door)
        await door.scan()
        await die(killed)
        await front.installation.start_worker()
        ends, unlocks = ENDS[point]
        await finish(play, door, ends, unlocks)


async def test_a_block_while_the_worker_lies_dead_before_the_gate(front: Front, no_worker: None) -> None:
    killed = await front.installation.start_worker(fail_at=Point.BEFORE_GATE.value)
    async with front.open_door("onstar") as door:
        play = Play(door=door)
        await door.scan()
        await die(killed)
        await door.block()
        await front.installation.start_worker()
        await finish(play, door, {State.REFUSED}, {0})
        assert play.last.incident in (Incident.CONSIGNEE_BLOCKED, Incident.PLATFORM_TOO_SLOW)


async def test_a_block_while_the_worker_lies_dead_behind_the_last_byte(front: Front, no_worker: None) -> None:
    """The lock waits for a worker, not for the dead one's lease."""
    killed = await front.installation.start_worker(fail_at=Point.AFTER_LAST_BYTE.value)
    spare = await front.installation.start_worker()
    spare.send(signal.SIGSTOP)
    async with front.open_door("onstar") as door:
        play = Play(door=door, pulls_handle=False)
        await door.scan()
        await die(killed)
        spare.send(signal.SIGCONT)
        await door.block()
        await finish(play, door, {State.UNDELIVERED}, {1})


async def test_a_server_killed_in_the_middle(front: Front, no_worker: None) -> None:
    await front.installation.start_worker()
    async with front.open_door("onstar") as door:
        play = Play(door=door, at={State.OPEN: lambda _: front.installation.restart_server()})
        await door.scan()
        await finish(play, door, EITHER, {1})


async def test_a_worker_that_is_ended_gently_finishes_its_order(front: Front, no_worker: None) -> None:
    worker = await front.installation.start_worker()
    async with front.open_door("volvo") as door:
        await door.town.set_fault(door.vin, FaultKind.SLOW, verb=Verb.UNLOCK, after_s=45)
        play = Play(door=door)
        await door.scan()
        await play.until_state(State.UNLOCKING)
        worker.send(signal.SIGTERM)
        assert await worker.wait_for_end() == 0
        (visit,) = await door.check()
        assert visit.commands[0]["state"] == "done_says_cloud", visit.story()
        await front.installation.start_worker()
        await finish(play, door, EITHER, {1})


async def test_a_worker_asleep_at_the_gate_holds_nobody_up_and_sends_nothing(
    front: Front, no_worker: None
) -> None:
    """It gets the place's row and sleeps there. A block passes, and the sleeper awakes when all is over."""
    sleeper = await front.installation.start_worker()
    sleeper.send(signal.SIGSTOP)
    async with front.open_door("onstar") as door:
        play = Play(door=door)
        await door.tell_reading()  # so that the scan is granted at once, and the unlock waits for the worker
        await door.scan()
        async with front.hold_place(door.place_id):
            sleeper.send(signal.SIGCONT)
            await front.wait_for_lock()
            sleeper.send(signal.SIGSTOP)
        begun_s = monotonic_s()
        await door.block()
        assert monotonic_s() - begun_s < BLOCK_WITHIN_S
        await front.installation.start_worker()
        await play.until(lambda seen: seen.is_final)
        sleeper.send(signal.SIGCONT)
        await finish(play, door, {State.REFUSED}, {0})


async def test_a_database_killed_in_the_middle() -> None:
    """Our own PostgreSQL: its keeper starts it again, and everyone goes on."""
    folder = make_server_dir()
    settings = Settings(data_dir=folder)
    async with (
        use_server(settings) as dsn,
        open_front(folder, dsn, is_database_own=True) as front,
        front.open_door("onstar") as door,
    ):

        async def kill_database(_: Play) -> None:
            killed = find_postmaster(folder)
            assert killed is not None
            os.kill(killed, signal.SIGKILL)
            while find_postmaster(folder) in (killed, None):
                await asyncio.sleep(0.02)
            await front.wait_for_database()

        play = Play(door=door, at={State.OPEN: kill_database})
        await door.scan()
        await finish(play, door, EITHER, {1})
        assert not front.installation.list_dead()
    await asyncio.to_thread(Embedded(folder).remove)
    shutil.rmtree(folder)
