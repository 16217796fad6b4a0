"""Homes before the door: pre-flight by their hub and camera, the morning's letter, the bell, a scan at a real hub."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.flow.day import (
    MINUTE,
    get_facts,
    go,
    list_events,
    make_due,
    query,
    ruled_out,
    run_due,
    set_window,
    states,
)
from tests.flow.homes import HomeStop, add_home_stop, is_wanted, speaking
from tests.flow.stage import Stage, open_stage

from unlatch.domain.incident import Incident
from unlatch.domain.preflight import Remedy
from unlatch.domain.visit import State
from unlatch.flow.preflight import check_now
from unlatch.flow.ringing import ring
from unlatch.flow.scan import decide_after_look
from unlatch.store.database import Database
from unlatch.store.duties import DutyKind
from unlatch.town.home import HomeDeed

I, R, K = Incident, Remedy, DutyKind  # noqa: E741
Break = Callable[[Stage, HomeStop], Awaitable[Any]]


@pytest.fixture
async def stage(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr("unlatch.flow.filming.CONNECTED_WITHIN_S", 1.0)
    monkeypatch.setattr("unlatch.flow.filming.JUDGED_WITHIN_S", 0.5)
    async with open_stage(database, tmp_path, has_worker=False) as stage:
        yield stage


def by_hand(deed: HomeDeed) -> Break:
    return lambda stage, stop: stage.town.do_at_home(stop.home_id, deed)


def fault(kind: str, **how: Any) -> Break:
    return lambda stage, stop: stage.town.set_home_fault(stop.home_id, kind, **how)


def row(table: str, sets: str) -> Break:
    text = f"UPDATE {table} SET {sets} WHERE access_point_id = %s"
    return lambda stage, stop: query(stage, text, [stop.place_id])


async def leave_open(stage: Stage, stop: HomeStop) -> None:
    await stage.town.do_at_home(stop.home_id, HomeDeed.KEY_UNLOCK)
    await stage.town.do_at_home(stop.home_id, HomeDeed.OPEN_DOOR)


# How a home fails, what that is called, what to do, and how often it is looked at before it counts.
FAILING: list[tuple[str, Break, Incident, Remedy, int]] = [
    ("second bolt", by_hand(HomeDeed.THROW_SECOND_BOLT), I.CONSIGNEE_SECOND_BOLT, R.WITHDRAW_SECOND_BOLT, 1),
    ("alarm", by_hand(HomeDeed.ARM_ALARM), I.CONSIGNEE_ALARM_ARMED, R.DISARM_ALARM, 1),
    ("pet", by_hand(HomeDeed.LET_PET_OUT), I.CONSIGNEE_PET_LOOSE, R.SHUT_PET_AWAY, 1),
    ("pet, as its household says", row("home", "is_pet_loose = true"), I.CONSIGNEE_PET_LOOSE, R.SHUT_PET_AWAY, 1),
    ("unlocked", by_hand(HomeDeed.KEY_UNLOCK), I.DEVICE_UNLOCKED_ON_ARRIVAL, R.CLOSE_AND_LOCK_DOOR, 3),
    ("open", leave_open, I.DEVICE_OPEN_ON_ARRIVAL, R.CLOSE_AND_LOCK_DOOR, 3),
    ("token refused", fault("consent_withdrawn"), I.DEVICE_CONSENT_LOST, R.LINK_HUB_AGAIN, 1),
    ("never enrolled", row("camera", "methods = '{}'"), I.DEVICE_CAMERA_NOT_ENROLLED, R.ENROL_CAMERA, 1),
    ("check overdue", row("camera", "check_by = now()"), I.DEVICE_CAMERA_NOT_ENROLLED, R.ENROL_CAMERA, 1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "break_it", "incident", "remedy", "looks"), FAILING, ids=[one[0] for one in FAILING]
)
async def test_what_fails_at_a_home_is_told_in_time_and_then_rules_it_out(
    stage: Stage, name: str, break_it: Break, incident: Incident, remedy: Remedy, looks: int
) -> None:
    stop = await add_home_stop(stage, has_second_bolt=True, has_pet=True)
    await break_it(stage, stop)
    async with speaking(stage, stop):
        await set_window(stage, stop, begins_in=59 * MINUTE)
        await run_due(stage, rounds=looks)
        assert (await states(stage, stop))[K.PREFLIGHT_1] == ("done", incident), name
        assert await ruled_out(stage, stop) is None
        facts = await get_facts(stage, stop, "preflight_failed")
        assert (facts["incident"], facts["remedy"], facts["kind"]) == (incident, remedy, "home")
        await make_due(stage, stop, K.PREFLIGHT_2)
        await run_due(stage, rounds=looks)
    assert await ruled_out(stage, stop) is incident
    heading = await go(stage, stop)
    assert heading.reasons[0] is incident


@pytest.mark.parametrize(
    ("verdict", "incident", "remedy"),
    [
        (None, I.DEVICE_CAMERA_OFFLINE, R.PLUG_IN_CAMERA),
        ("frozen", I.DEVICE_CAMERA_NOT_PROVEN, R.CHECK_CAMERA),
        ("looping", I.DEVICE_CAMERA_NOT_PROVEN, R.CHECK_CAMERA),
    ],
)
async def test_a_camera_that_is_gone_or_shows_no_life_is_looked_at_again_and_then_counts(
    stage: Stage, verdict: str | None, incident: Incident, remedy: Remedy
) -> None:
    stop = await add_home_stop(stage)
    await set_window(stage, stop, begins_in=59 * MINUTE)
    if verdict is None:
        await run_due(stage, rounds=3)
    else:
        async with speaking(stage, stop, verdict):
            await run_due(stage, rounds=3)
    assert (await states(stage, stop))[K.PREFLIGHT_1] == ("done", incident)
    facts = await get_facts(stage, stop, "preflight_failed")
    assert (facts["incident"], facts["remedy"]) == (incident, remedy)


async def test_a_home_where_all_is_well_tells_nobody_anything_and_its_camera_is_let_go(stage: Stage) -> None:
    """Locked since this morning: what the hub says now counts, not when the door last moved."""
    stop = await add_home_stop(stage, has_second_bolt=True, has_pet=True)
    await stage.platform.clock.sleep(900)
    async with speaking(stage, stop):
        await set_window(stage, stop, begins_in=59 * MINUTE)
        await run_due(stage)
        assert (await states(stage, stop))[K.PREFLIGHT_1] == ("done", "well")
        assert await is_wanted(stage, stop)
    wanted = await query(
        stage, "SELECT wanted_until_real - now() < interval '31 seconds' AS soon FROM camera"
    )
    assert wanted == [{"soon": True}], "connected for a moment only"
    assert await list_events(stage, stop) == ["morning_of_delivery"]


@pytest.mark.parametrize("verdict", ["too_still_to_tell", "too_dark_to_tell"])
async def test_a_still_hall_is_no_fault_ahead(stage: Stage, verdict: str) -> None:
    """It is proven, or challenged, right before the unlock."""
    stop = await add_home_stop(stage)
    async with speaking(stage, stop, verdict):
        await set_window(stage, stop, begins_in=59 * MINUTE)
        await run_due(stage)
    assert (await states(stage, stop))[K.PREFLIGHT_1] == ("done", "well")


async def test_the_morning_of_a_home_says_what_to_mind_and_nothing_of_parking(stage: Stage) -> None:
    stop = await add_home_stop(stage)
    async with speaking(stage, stop):
        await set_window(stage, stop, begins_in=59 * MINUTE)
        await run_due(stage)
    facts = await get_facts(stage, stop, "morning_of_delivery")
    assert facts["kind"] == "home"
    assert "range_m" not in facts


async def test_the_household_asks_and_is_told_of_hub_and_camera(stage: Stage) -> None:
    stop = await add_home_stop(stage)
    await stage.town.do_at_home(stop.home_id, HomeDeed.ARM_ALARM)
    consignee_id = stop.place_id.replace("acc_", "con_")
    async with speaking(stage, stop):
        checked = await check_now(stage.platform, stop_id=stop.stop_id, consignee_id=consignee_id)
    assert checked.finding.reasons == (I.CONSIGNEE_ALARM_ARMED,)
    assert checked.finding.is_seen
    await stage.town.do_at_home(stop.home_id, HomeDeed.DISARM_ALARM)
    await query(stage, "DELETE FROM read_budget")
    await query(stage, "UPDATE reading SET tried_at = tried_at - interval '2 minutes'")
    async with speaking(stage, stop):
        checked = await check_now(stage.platform, stop_id=stop.stop_id, consignee_id=consignee_id)
    assert checked.finding.is_well, "an alarm that is disarmed is seen, though the door has not moved"


async def test_a_hub_that_can_not_be_reached_is_the_households_to_mend(stage: Stage) -> None:
    stop = await add_home_stop(stage)
    await stage.town.do_at_home(stop.home_id, HomeDeed.WIFI_DOWN)
    await set_window(stage, stop, begins_in=59 * MINUTE)
    async with speaking(stage, stop):
        await run_due(stage, rounds=3)
    facts = await get_facts(stage, stop, "preflight_failed")
    assert facts["remedy"] == R.LOOK_AT_HUB


# ---- at the door


async def test_a_scan_looks_at_the_hub_rings_and_waits(stage: Stage) -> None:
    stop = await add_home_stop(stage)
    await stage.platform.clock.sleep(900)  # the door has not moved for a while
    async with speaking(stage, stop):
        visit_id = await stage.begin(stop)
        assert (await stage.get(visit_id)).visit.state is State.REQUESTED, "nothing was read yet"
        await decide_after_look(stage.platform, visit_id)
        row = await stage.get(visit_id)
        assert row.visit.state is State.RINGING, await stage.story(visit_id)
        assert row.visit.is_recorded
        await ring(stage.platform, visit_id)
    assert (await stage.town.home(stop.home_id)).rung == 1
    assert await is_wanted(stage, stop)


@pytest.mark.parametrize(
    ("deed", "incident"),
    [
        (HomeDeed.THROW_SECOND_BOLT, I.CONSIGNEE_SECOND_BOLT),
        (HomeDeed.ARM_ALARM, I.CONSIGNEE_ALARM_ARMED),
        (HomeDeed.LET_PET_OUT, I.CONSIGNEE_PET_LOOSE),
        (HomeDeed.KEY_UNLOCK, I.DEVICE_UNLOCKED_ON_ARRIVAL),
    ],
)
async def test_what_the_hub_says_at_the_scan_keeps_the_door_shut(
    stage: Stage, deed: HomeDeed, incident: Incident
) -> None:
    stop = await add_home_stop(stage, has_second_bolt=True, has_pet=True)
    await stage.town.do_at_home(stop.home_id, deed)
    async with speaking(stage, stop):
        visit_id = await stage.begin(stop)
        await decide_after_look(stage.platform, visit_id)
    row = await stage.get(visit_id)
    assert (row.visit.state, row.incident) == (State.REFUSED, incident)
    assert (await stage.town.home(stop.home_id)).is_secured is (deed is not HomeDeed.KEY_UNLOCK)


async def test_a_visit_that_no_longer_waits_rings_at_nobody(stage: Stage) -> None:
    stop = await add_home_stop(stage)
    async with speaking(stage, stop):
        visit_id = await stage.begin(stop)
        await ring(stage.platform, visit_id)
    assert (await stage.town.home(stop.home_id)).rung == 0
