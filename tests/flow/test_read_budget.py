"""How often a car is read: never more than its budget, whoever asks, by the town's own ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.flow.day import (
    HOUR,
    MINUTE,
    SPENT,
    consignee_of,
    list_duties,
    moved,
    query,
    ruled_out,
    run_due,
    save_reading,
    set_window,
    states,
)
from tests.flow.stage import Stage, Stop, open_stage

from unlatch.domain.incident import Incident
from unlatch.domain.parking import Parking
from unlatch.domain.preflight import Remedy
from unlatch.flow.platform import Platform
from unlatch.flow.preflight import carry_out_preflight, check_now
from unlatch.store import preflights
from unlatch.store.database import Database
from unlatch.store.duties import DutyKind
from unlatch.store.read_budget import Spending, spend_reading

I, R, K = Incident, Remedy, DutyKind  # noqa: E741


@pytest.fixture
async def stage(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(database, tmp_path, has_worker=False) as stage:
        yield stage


async def test_where_the_budget_is_used_up_nothing_is_guessed(stage: Stage) -> None:
    stop = await stage.add_stop()
    await moved(500)(stage, stop)
    await set_window(stage, stop, begins_in=20 * MINUTE)
    await query(stage, SPENT, [stop.place_id])  # fmt: skip
    await run_due(stage)
    assert (await states(stage, stop))[K.PREFLIGHT_2] == ("done", "not_seen")
    assert await ruled_out(stage, stop) is None
    async with stage.platform.database.connection() as connection:
        found = await preflights.find_latest(connection, stop.stop_id, 2)
    assert found is not None
    assert (found.is_seen, found.parking, found.reasons) == (False, Parking.UNKNOWN, [])
    assert await stage.town.whole_ledger(vin=stop.vin) == []
    # What was read in the last half hour still counts.
    await save_reading(stage, stop, age=25 * MINUTE, position=None)
    checked = await check_now(stage.platform, stop_id=stop.stop_id, consignee_id=consignee_of(stop))
    assert checked.finding.reasons == (I.DEVICE_POSITION_UNKNOWN,)
    await query(stage, "UPDATE reading SET observed_at = observed_at - interval '6 minutes'")
    checked = await check_now(stage.platform, stop_id=stop.stop_id, consignee_id=consignee_of(stop))
    assert checked.finding.is_well
    assert not checked.finding.is_seen


async def test_two_hundred_questions_cost_a_car_no_more_than_its_budget(
    database: Database, tmp_path: Path
) -> None:
    """Whoever asks: the household, the checks, the courier who looks for the car. By the town's own ledger."""
    async with open_stage(database, tmp_path, factor=3600, has_worker=False) as stage:
        stop = await stage.add_stop("onstar")
        await set_window(stage, stop, begins_in=40 * HOUR, lasts=48 * HOUR)
        most = (await stage.platform.rules.get()).get_programme(None).reads_a_day
        begun_at = stage.platform.clock.now()

        async def ask(number: int) -> None:
            await check_now(stage.platform, stop_id=stop.stop_id, consignee_id=consignee_of(stop))
            await stage.platform.clock.sleep(number % 7 * 30)

        for start in range(0, 200, 20):
            await asyncio.gather(*(ask(start + number) for number in range(20)))
        days = (stage.platform.clock.now() - begun_at) // timedelta(days=1) + 2
        reads = await stage.town.whole_ledger(vin=stop.vin)
        assert 1 <= len(reads) <= most * days
        spent = await query(stage, "SELECT spent FROM read_budget")
        assert spent[0]["spent"] <= most


async def test_two_hundred_at_once_cost_one_reading_a_minute(stage: Stage) -> None:
    stop = await stage.add_stop("onstar")
    await set_window(stage, stop, begins_in=40 * HOUR)
    begun_at = stage.platform.clock.now()
    answers = await asyncio.gather(
        *(
            check_now(stage.platform, stop_id=stop.stop_id, consignee_id=consignee_of(stop))
            for _ in range(200)
        )
    )
    minutes = (stage.platform.clock.now() - begun_at) // MINUTE
    assert 1 <= len(await stage.town.whole_ledger(vin=stop.vin)) <= 1 + minutes
    assert any(answer.finding.is_well and answer.finding.is_seen for answer in answers)
    assert all(
        answer.finding.is_well for answer in answers
    )  # whoever came too early for the reading was told no tales
    assert len(await query(stage, "SELECT 1 FROM deed")) <= 1 + minutes


async def test_stops_at_one_place_share_a_look(stage: Stage) -> None:
    first, second = await stage.add_stop(), await stage.add_stop()
    # Another stop at the first one's place.
    await query(stage, "UPDATE stop SET access_point_id = %s WHERE id = %s", [first.place_id, second.stop_id])
    for stop in (first, second):
        await set_window(stage, stop, begins_in=20 * MINUTE)
    await run_due(stage)
    await query(stage, "UPDATE duty SET next_at = %s WHERE state = 'due' AND kind = 'preflight_2'",
                [stage.platform.clock.now()])  # fmt: skip
    await run_due(stage)
    for stop in (first, second):
        assert (await states(stage, stop))[K.PREFLIGHT_2] == ("done", "well")
    assert len(await stage.town.whole_ledger(vin=first.vin)) == 1
    assert await stage.town.whole_ledger(vin=second.vin) == []


async def two_stops_of_a_slow_car(stage: Stage) -> tuple[Stop, Stop]:
    """Two stops at one place, both last checks due; its car's maker is polled for as long as we have patience."""
    first, second = await stage.add_stop(is_older_account=True), await stage.add_stop()
    await query(stage, "UPDATE stop SET access_point_id = %s WHERE id = %s", [first.place_id, second.stop_id])
    await stage.town.set_fault(first.vin, "slow", verb="read", after_s=90)
    for stop in (first, second):
        await set_window(stage, stop, begins_in=20 * MINUTE)
    await query(
        stage,
        "UPDATE duty SET state = 'taken', next_at = next_at + interval '1 hour' WHERE kind = 'preflight_2'",
    )
    return first, second


async def check(platform: Platform, stop: Stop) -> None:
    """What a worker does with the last check of this stop's present plan, once it has taken the duty."""
    await carry_out_preflight(platform, f"{stop.stop_id} 2 {K.PREFLIGHT_2}")


async def until_spent(stage: Stage, spent: int) -> None:
    """Until the budget of the one car shows that many readings."""
    async with asyncio.timeout(10):
        while [row["spent"] for row in await query(stage, "SELECT spent FROM read_budget")] != [spent]:
            await asyncio.sleep(0.01)


async def hears(stage: Stage, stop: Stop) -> None:
    """Once it has ended, the check goes by what came of the reading: no answer in time, which is tried again."""
    await query(stage, "UPDATE duty SET state = 'taken' WHERE state = 'due' AND stop_id = %s", [stop.stop_id])
    await check(stage.platform, stop)
    duty = (await list_duties(stage, stop))[K.PREFLIGHT_2]
    assert (duty.state, duty.tries) == ("due", 1)


async def test_a_worker_whose_clock_is_behind_waits_for_the_reading_of_another(stage: Stage) -> None:
    """It was asked for later than it is here: on another machine, or while this one waited for a connection."""
    first, second = await two_stops_of_a_slow_car(stage)
    clock = stage.platform.clock
    behind = replace(clock, anchor_at=clock.anchor_at + timedelta(seconds=0.7))
    assert clock.now() - behind.now() < timedelta(seconds=21)
    reading = asyncio.create_task(check(stage.platform, first))
    await until_spent(stage, 1)
    await check(replace(stage.platform, clock=behind), second)
    assert not reading.done()
    assert (await states(stage, second))[K.PREFLIGHT_2] == ("due", None)
    await reading
    await hears(stage, second)


async def test_a_reading_that_takes_longer_than_a_minute_is_waited_for_by_whoever_may_not_read_again(
    stage: Stage,
) -> None:
    """It was the last of the day: whoever comes after a minute gets none of their own, and this one is still coming."""
    first, second = await two_stops_of_a_slow_car(stage)
    most = (await stage.platform.rules.get()).get_programme(None).reads_a_day
    await query(
        stage,
        "INSERT INTO read_budget VALUES (%s, current_date + 9, %s, now() - interval '1 day')",
        [first.place_id, most - 1],
    )
    reading = asyncio.create_task(check(stage.platform, first))
    await until_spent(stage, most)
    await stage.platform.clock.sleep(65)
    await check(stage.platform, second)
    assert not reading.done()
    assert (await states(stage, second))[K.PREFLIGHT_2] == ("due", None)
    await reading
    await hears(stage, second)


async def test_the_budget_s_edges(database: Database) -> None:
    from datetime import UTC, date, datetime

    at, day = datetime(2026, 11, 26, 12, tzinfo=UTC), date(2026, 11, 26)

    async def take(after_s: float, *, days: int = 0, most: int = 2) -> Spending:
        now = at + timedelta(seconds=after_s)
        async with database.transaction() as connection:
            return await spend_reading(connection, "car", day=day + timedelta(days=days), most=most, now=now)

    assert not (await take(0, most=0)).is_granted  # a programme that reads no car at all
    assert (await take(0)).is_granted
    refused = await take(59)
    assert (refused.is_granted, refused.last_at) == (False, at)
    assert refused.is_under_way(at + timedelta(seconds=59), None)
    assert not refused.is_under_way(at + timedelta(seconds=59), at)
    assert refused.is_under_way(at - timedelta(seconds=1), None)  # asked for by a clock that is ahead
    assert refused.is_under_way(at + timedelta(seconds=179), None)
    assert not refused.is_under_way(at + timedelta(seconds=180), None)
    assert (await take(60)).is_granted
    assert not (await take(121)).is_granted  # both of the day are spent
    assert (await take(120, days=1)).is_granted  # a new day at the address
    assert (
        await take(180, days=0)
    ).is_granted  # another address of the same car, where it is still yesterday
    assert not (await take(240, days=0)).is_granted  # begins nothing anew
    assert not (await take(300, days=1)).is_granted
    assert (await take(-86_400, days=2)).is_granted  # the clock was set back by a day


async def test_two_places_of_one_car_have_one_budget(stage: Stage) -> None:
    home, work = await stage.add_stop(), await stage.add_stop()
    await query(stage, "UPDATE vehicle SET closure_key = %s", [b"one car"])
    for stop in (home, work):
        await check_now(stage.platform, stop_id=stop.stop_id, consignee_id=consignee_of(stop))
    rows = await query(stage, "SELECT car, spent FROM read_budget")
    assert [(one["car"], one["spent"]) for one in rows] == [(b"one car".hex(), 1)]
    assert len(await stage.town.whole_ledger()) == 1
