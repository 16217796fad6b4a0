"""The courier sets out, looks for the car and arrives: told once, and refused where nobody is to be sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.flow.day import (
    HOUR,
    MINUTE,
    Break,
    find_car,
    get_facts,
    go,
    list_events,
    make_due,
    moved,
    query,
    row,
    ruled_out,
    run_due,
    save_reading,
    set_window,
    states,
)
from tests.flow.stage import HERE, Stage, open_stage

from unlatch.domain.incident import Incident
from unlatch.domain.preflight import Remedy
from unlatch.store.database import Database
from unlatch.store.duties import DutyKind

I, R, K = Incident, Remedy, DutyKind  # noqa: E741


@pytest.fixture
async def stage(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(database, tmp_path, has_worker=False) as stage:
        yield stage


async def test_setting_out_asks_not_to_move_the_car_once_a_plan(stage: Stage) -> None:
    stop = await stage.add_stop()
    await set_window(stage, stop, begins_in=20 * MINUTE)
    expected_at = stage.platform.clock.now() + HOUR
    for _ in range(3):
        heading = await go(stage, stop, expected_at=expected_at)
        assert not heading.reasons
        assert heading.is_being_checked  # nothing was found yet
    assert await list_events(stage, stop) == ["courier_on_the_way"]
    facts = await get_facts(stage, stop, "courier_on_the_way")
    assert facts["courier"] == "Bo"
    assert facts["at"][:16] == expected_at.isoformat()[:16]
    await run_due(stage)
    assert (await states(stage, stop))[K.HEADING] == ("done", "well")
    assert not (await go(stage, stop)).is_being_checked  # the finding is fresh
    await query(stage, "UPDATE preflight SET at = at - interval '16 minutes'")
    assert (await go(stage, stop)).is_being_checked
    await set_window(stage, stop, begins_in=20 * MINUTE, heading_at=None)
    await go(stage, stop)
    assert (await list_events(stage, stop)).count("courier_on_the_way") == 2


async def test_what_is_found_once_the_courier_has_set_out_reaches_them(stage: Stage) -> None:
    stop = await stage.add_stop()
    await moved(500)(stage, stop)
    await set_window(stage, stop, begins_in=50 * MINUTE)
    assert (await go(stage, stop)).is_being_checked
    await make_due(stage, stop, K.HEADING)
    await run_due(stage)
    assert await ruled_out(stage, stop) is I.CONSIGNEE_CAR_OUT_OF_RANGE
    heading = await go(stage, stop)
    assert heading.reasons == (I.CONSIGNEE_CAR_OUT_OF_RANGE,)
    assert heading.heading_at is not None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (row("access_point", "blocked_at = now()"), I.CONSIGNEE_BLOCKED),
        (row("access_point", "is_frozen = true"), I.PLATFORM_PLACE_FROZEN),
        (row("access_point", "consent_ends_at = now() - interval '1 hour'"), I.CONSIGNEE_CONSENT_ENDED),
        (row("access_point", "is_consent_given = false"), I.CONSIGNEE_CONSENT_ENDED),
        (row("stop", "state = 'delivered'"), I.CARRIER_STOP_ENDED),
        (row("stop", "window_until = now()"), I.COURIER_TOO_LATE),
        (row("stop", "window_from = now() + interval '2 hours'"), I.COURIER_TOO_EARLY),
    ],
)
async def test_nobody_sets_out_for_what_is_blocked_frozen_over_or_too_early(
    stage: Stage, change: Break, reason: Incident
) -> None:
    stop = await stage.add_stop()
    await change(stage, stop)
    assert (await go(stage, stop)).reasons == (reason,)
    assert await list_events(stage, stop) == []


async def test_a_courier_who_is_not_active_does_not_set_out(stage: Stage) -> None:
    stop = await stage.add_stop()
    await query(stage, "UPDATE courier SET is_active = false")
    assert (await go(stage, stop)).reasons == (I.COURIER_NOT_ACTIVE,)


async def test_the_first_time_the_car_is_shown_the_courier_is_arriving(stage: Stage) -> None:
    stop = await stage.add_stop()
    await save_reading(stage, stop, position=HERE)
    shown = await asyncio.gather(*(find_car(stage, stop) for _ in range(5)))
    assert all(not one.reasons for one in shown)
    assert await list_events(stage, stop) == ["courier_arriving"]
    await find_car(stage, stop)
    assert await list_events(stage, stop) == ["courier_arriving"]


async def test_a_look_for_the_car_is_paid_from_its_budget(stage: Stage) -> None:
    stop = await stage.add_stop()
    assert (await find_car(stage, stop)).is_being_read
    assert (await find_car(stage, stop)).is_being_read  # the same reading, still on its way
    assert len(await query(stage, "SELECT 1 FROM pgqueuer WHERE entrypoint = 'read_place'")) == 1
    await query(stage, "DELETE FROM pgqueuer")
    await save_reading(stage, stop, age=2 * MINUTE, position=HERE)
    await query(stage, "UPDATE read_budget SET spent = 9999, last_at = last_at - interval '2 minutes'")
    located = await find_car(stage, stop)
    assert not located.is_being_read
    assert located.reading is not None  # the last one, with its time
    assert await query(stage, "SELECT 1 FROM pgqueuer") == []
