"""A lock that was ordered leaves, whatever the clock, an earlier lock or another visit's rows do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import ValidationError
from tests.flow.stage import Stage, Stop, open_stage

from unlatch.devices.base import Car, Maker, Verb
from unlatch.domain.visit import FIRST_BYTE_WITHIN_S, Fact, State
from unlatch.flow.carry_out import call_abandoned_unknown, carry_out_command
from unlatch.flow.gate import pass_gate
from unlatch.flow.record import Happening, record
from unlatch.store import readings
from unlatch.store.database import Database


@pytest.fixture
async def stage(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(database, tmp_path, has_worker=False) as stage:
        yield stage


async def begin_locking(stage: Stage) -> tuple[Stop, str, str]:
    """The gate was passed, and the consignee has blocked since: stop, visit, and the lock that is ordered."""
    stop, visit_id, command_id = await stage.grant()
    assert await pass_gate(stage.platform, command_id, None) is not None
    row = await record(stage.platform, visit_id, Happening(fact=Fact.BLOCKED, who="consignee:x"))
    assert row.visit.state is State.LOCKING
    lock_id, _ = await find_lock(stage, visit_id)
    return stop, visit_id, lock_id


async def find_lock(stage: Stage, visit_id: str) -> tuple[str, str]:
    """Id and state of the only lock."""
    async with stage.platform.database.connection() as connection:
        query = "SELECT id, state FROM command WHERE visit_id = %s AND verb = 'lock'"
        rows = await (await connection.execute(query, (visit_id,))).fetchall()
    assert len(rows) == 1
    return rows[0][0], rows[0][1]


async def find_car(stage: Stage, stop: Stop) -> tuple[Maker, Car]:
    async with stage.platform.database.connection() as connection:
        place = await readings.find_place(connection, stop.place_id)
    assert place is not None
    return stage.platform.car_at(place)


async def test_a_clock_that_goes_back_holds_no_lock(stage: Stage) -> None:
    """The unlock seems to have passed its gate in an hour's time; a second from now it has left all the same."""
    _, visit_id, lock_id = await begin_locking(stage)
    async with stage.platform.database.connection() as connection:
        query = "UPDATE command SET sent_at = sent_at + interval '1 hour' WHERE visit_id = %s"
        await connection.execute(query, (visit_id,))
    async with asyncio.timeout(FIRST_BYTE_WITHIN_S + 10):
        await carry_out_command(stage.platform, lock_id)
    assert (await find_lock(stage, visit_id))[1] == "done_says_cloud"


async def test_a_lock_ordered_while_another_is_on_its_way_leaves_after_it(stage: Stage) -> None:
    """The other may have acted before the trunk was opened again: its end does not answer this order."""
    stop, visit_id, lock_id = await begin_locking(stage)
    maker, car = await find_car(stage, stop)
    async with maker.link.command(car, Verb.LOCK):
        locking = asyncio.create_task(carry_out_command(stage.platform, lock_id))
        while (await find_lock(stage, visit_id))[1] == "intent":
            await asyncio.sleep(0.01)
        done, _ = await asyncio.wait({locking}, timeout=1)
        assert not done, f"given up as {await find_lock(stage, visit_id)}"
    async with asyncio.timeout(20):
        await locking
    assert (await find_lock(stage, visit_id))[1] == "done_says_cloud"


async def test_a_lock_that_is_wanted_no_more_does_not_follow_another(stage: Stage) -> None:
    stop, visit_id, lock_id = await begin_locking(stage)
    maker, car = await find_car(stage, stop)
    async with maker.link.command(car, Verb.LOCK):
        locking = asyncio.create_task(carry_out_command(stage.platform, lock_id))
        while (await find_lock(stage, visit_id))[1] == "intent":
            await asyncio.sleep(0.01)
        await record(stage.platform, visit_id, Happening(fact=Fact.COURIER_GAVE_UP, who="courier:x"))
        row = await record(stage.platform, visit_id, Happening(fact=Fact.SEEN_LOCKED, who="cloud:x"))
        assert not row.visit.is_live
        async with asyncio.timeout(10):
            await locking
    assert (await find_lock(stage, visit_id))[1] == "not_sent"


async def test_a_visit_that_can_not_be_read_keeps_no_other_command_from_its_end(stage: Stage) -> None:
    (_, broken_id, _), (_, visit_id, _) = await begin_locking(stage), await begin_locking(stage)
    now = stage.platform.clock.now()
    async with stage.platform.database.connection() as connection:
        query = "UPDATE command SET state = 'sent', lease_until = %s, sent_at = %s WHERE verb = 'unlock'"
        await connection.execute(query, (now, now))
        await connection.execute("UPDATE visit SET closure = '{}' WHERE id = %s", (broken_id,))
    with pytest.raises(ValidationError):
        await call_abandoned_unknown(stage.platform, stage.platform.clock.now(), 100)
    async with stage.platform.database.connection() as connection:
        query = "SELECT state FROM command WHERE visit_id = %s AND verb = 'unlock'"
        assert await (await connection.execute(query, (visit_id,))).fetchall() == [("unknown",)]
