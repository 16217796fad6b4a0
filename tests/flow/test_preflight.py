"""Pre-flight on a real town: each kind of car that fails, who is told what, and that no courier is sent to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.flow.day import (
    HOUR,
    MINUTE,
    SPENT,
    Break,
    consignee_of,
    fault,
    find_car,
    get_facts,
    go,
    let_a_minute_pass,
    list_duties,
    list_events,
    list_notices,
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
from tests.flow.stage import HERE, Stage, Stop, open_stage

from unlatch.domain.access import Fallback
from unlatch.domain.incident import Incident
from unlatch.domain.parking import Parking
from unlatch.domain.preflight import Remedy
from unlatch.domain.visit import State
from unlatch.errors import Conflict, NotFound
from unlatch.flow.duties import ask_for_rechecks
from unlatch.flow.preflight import check_now
from unlatch.store.database import Database
from unlatch.store.duties import DutyKind

I, R, K = Incident, Remedy, DutyKind  # noqa: E741
ACCURACY_M = 5.0  # what the town's cars are sure within


@pytest.fixture
async def stage(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(database, tmp_path, has_worker=False) as stage:
        yield stage


async def drop_vehicle(stage: Stage, stop: Stop) -> None:
    await query(stage, "DELETE FROM vehicle WHERE access_point_id = %s", [stop.place_id])


# Which car, how it fails, what that is called, what to do, and how often it is looked at before it counts.
FAILING: list[tuple[str, str, Break, Incident, Remedy, int]] = [
    ("onstar", "moved away", moved(300), I.CONSIGNEE_CAR_OUT_OF_RANGE, R.MOVE_CAR_NEARER, 1),
    ("volvo", "moved away", moved(300), I.CONSIGNEE_CAR_OUT_OF_RANGE, R.MOVE_CAR_NEARER, 1),
    ("onstar", "not surely in range", moved(199), I.CONSIGNEE_CAR_OUT_OF_RANGE, R.PARK_IN_THE_OPEN, 1),
    ("onstar", "drives", lambda stage, stop: stage.town.drive(stop.vin), I.CONSIGNEE_CAR_MOVING, R.WAIT_FOR_PARKING, 3),
    ("onstar", "unlocked", lambda stage, stop: stage.town.unlock_with_key(stop.vin), I.DEVICE_UNLOCKED_ON_ARRIVAL,
     R.CLOSE_AND_LOCK, 1),
    ("onstar", "consent withdrawn", fault("consent_withdrawn"), I.DEVICE_CONSENT_LOST, R.LINK_AGAIN, 1),
    ("volvo", "consent withdrawn", fault("consent_withdrawn", status=403), I.DEVICE_CONSENT_LOST, R.LINK_AGAIN, 1),
    ("onstar", "subscription", fault("subscription_lapsed"), I.DEVICE_SUBSCRIPTION_LAPSED, R.RENEW_SUBSCRIPTION, 1),
    ("onstar", "outage", fault("outage", status=503), I.DEVICE_CLOUD_OUTAGE, R.NOTHING_WE_ARE_ON_IT, 3),
    ("onstar", "blocked", row("access_point", "blocked_at = now()"), I.CONSIGNEE_BLOCKED, R.UNBLOCK, 1),
    ("onstar", "frozen", row("access_point", "is_frozen = true"), I.PLATFORM_PLACE_FROZEN, R.NOTHING_WE_ARE_ON_IT, 1),
    ("onstar", "consent ended", row("access_point", "consent_ends_at = now()"), I.CONSIGNEE_CONSENT_ENDED,
     R.GIVE_CONSENT, 1),
    ("onstar", "no hour", row("access_point", "from_local = '00:00:00', until_local = '00:00:00'"),
     I.CONSIGNEE_HOUR_NOT_ALLOWED, R.WIDEN_HOURS, 1),
    ("onstar", "no car", drop_vehicle, I.DEVICE_CONSENT_LOST, R.LINK_AGAIN, 1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("maker", "name", "break_it", "incident", "remedy", "looks"),
    FAILING,
    ids=[f"{one[0]} {one[1]}" for one in FAILING],
)
async def test_what_fails_is_told_in_time_and_then_rules_the_place_out(
    stage: Stage, maker: str, name: str, break_it: Break, incident: Incident, remedy: Remedy, looks: int
) -> None:
    stop = await stage.add_stop(maker)
    await break_it(stage, stop)
    await set_window(stage, stop, begins_in=59 * MINUTE)
    await run_due(stage, rounds=looks)
    assert (await states(stage, stop))[K.PREFLIGHT_1] == ("done", incident), name
    assert await ruled_out(stage, stop) is None
    assert await list_events(stage, stop) == ["morning_of_delivery", "preflight_failed"]
    facts = await get_facts(stage, stop, "preflight_failed")
    assert (facts["incident"], facts["remedy"]) == (incident, remedy)
    assert facts["until"] < facts["window_from"]

    await make_due(stage, stop, K.PREFLIGHT_2)
    await run_due(stage, rounds=looks)
    assert (await states(stage, stop))[K.PREFLIGHT_2] == ("done", incident)
    assert await ruled_out(stage, stop) is incident
    assert (await list_notices(stage, stop))[-2:] == [("consignee", "ruled_out"), ("carrier", "ruled_out")]
    facts = await get_facts(stage, stop, "ruled_out")
    assert (facts["incident"], facts["remedy"], facts["fallback"]) == (incident, remedy, "to_door")
    assert "latitude" not in str(facts)
    assert "ABC 123" not in str(facts)

    # No courier is sent there: neither by setting out, nor by looking for the car, nor by scanning.
    heading = await go(stage, stop)
    assert heading.reasons[0] is incident
    assert heading.fallbacks == (Fallback.TO_DOOR,)
    if name != "no car":
        await query(stage, "UPDATE stop SET window_from = now() - interval '1 hour'")
        located = await find_car(stage, stop)
        assert located.reasons[0] is incident
        assert located.vehicle is None
        scanned = await stage.scan(stop)
        assert scanned.row is not None
        assert scanned.row.visit.state is State.REFUSED
        assert incident in scanned.reasons
    assert "courier_on_the_way" not in await list_events(stage, stop)


async def test_a_car_that_is_never_heard_of_is_tried_again_and_then_ruled_out(
    database: Database, tmp_path: Path
) -> None:
    """Asleep: its cloud goes on telling what it last said."""
    async with open_stage(database, tmp_path, factor=240, has_worker=False) as stage:
        stop = await stage.add_stop("onstar")
        await stage.town.set_fault(stop.vin, "asleep")
        await stage.platform.clock.sleep(601)
        await set_window(stage, stop, begins_in=40 * MINUTE)
        await make_due(stage, stop, K.PREFLIGHT_2)
        await run_due(stage)
        duty = (await list_duties(stage, stop))[K.PREFLIGHT_2]
        assert (duty.state, duty.tries) == ("due", 1)
        await run_due(stage, rounds=3)
        assert await ruled_out(stage, stop) in (I.DEVICE_NO_READING, I.DEVICE_ASLEEP)
        assert (await get_facts(stage, stop, "ruled_out"))["remedy"] == R.START_CAR_ONCE


@pytest.mark.parametrize(
    ("away_m", "is_in"), [(199 - ACCURACY_M, True), (201 - ACCURACY_M, False), (199, False), (201, False)]
)
async def test_two_hundred_metres_given_the_accuracy_of_the_car(
    stage: Stage, away_m: float, is_in: bool
) -> None:
    """A car is in range if even the far end of its accuracy is; the scan has the same rule."""
    stop = await stage.add_stop("volvo")
    await moved(away_m)(stage, stop)
    accuracy = await _get_accuracy(stage, stop)
    if accuracy is not None and accuracy != ACCURACY_M:
        await moved(away_m + ACCURACY_M - accuracy)(stage, stop)
        await let_a_minute_pass(stage)
        await query(stage, "DELETE FROM reading")
    await set_window(stage, stop, begins_in=20 * MINUTE)
    await run_due(stage)
    assert await ruled_out(stage, stop) is (None if is_in else I.CONSIGNEE_CAR_OUT_OF_RANGE)


async def _get_accuracy(stage: Stage, stop: Stop) -> float | None:
    await set_window(stage, stop, begins_in=20 * MINUTE)
    await check_now(stage.platform, stop_id=stop.stop_id, consignee_id=consignee_of(stop))
    rows = await query(stage, "SELECT accuracy_m FROM reading")
    await query(stage, "UPDATE stop SET ruled_out = NULL")
    accuracy: float | None = rows[0]["accuracy_m"]
    return accuracy


async def test_all_well_tells_nobody_anything(stage: Stage) -> None:
    stop = await stage.add_stop()
    await set_window(stage, stop, begins_in=59 * MINUTE)
    await run_due(stage)
    await make_due(stage, stop, K.PREFLIGHT_2)
    await run_due(stage)
    found = await states(stage, stop)
    assert found[K.PREFLIGHT_1] == found[K.PREFLIGHT_2] == ("done", "well")
    assert await list_events(stage, stop) == ["morning_of_delivery"]
    # The two share a look, since they lie within five minutes here.
    assert len(await stage.town.whole_ledger(vin=stop.vin)) == 1


async def test_what_is_mended_between_the_checks_is_said_once(stage: Stage) -> None:
    stop = await stage.add_stop()
    await moved(500)(stage, stop)
    await set_window(stage, stop, begins_in=59 * MINUTE)
    await run_due(stage)
    await moved(0)(stage, stop)
    await let_a_minute_pass(stage)
    checked = await check_now(stage.platform, stop_id=stop.stop_id, consignee_id=consignee_of(stop))
    assert checked.finding.is_well
    assert (checked.finding.parking, checked.finding.distance_m) == (Parking.IN_RANGE, 0.0)
    await make_due(stage, stop, K.PREFLIGHT_2)
    await run_due(stage)
    assert (await states(stage, stop))[K.PREFLIGHT_2] == ("done", "well")
    assert await list_notices(stage, stop) == [
        ("consignee", "morning_of_delivery"),
        ("consignee", "preflight_failed"),
        ("consignee", "preflight_mended"),
        ("carrier", "preflight_mended"),
    ]


async def test_a_new_plan_remembers_what_was_told_of_the_one_before(stage: Stage) -> None:
    """The window is extended while the household is on its way to move the car."""
    stop = await stage.add_stop()
    await moved(500)(stage, stop)
    await set_window(stage, stop, begins_in=59 * MINUTE)
    await run_due(stage)
    assert (await list_events(stage, stop)).count("preflight_failed") == 1
    await set_window(stage, stop, begins_in=58 * MINUTE, lasts=5 * HOUR)
    await let_a_minute_pass(stage)
    await run_due(stage)
    assert (await states(stage, stop))[K.PREFLIGHT_1] == ("done", I.CONSIGNEE_CAR_OUT_OF_RANGE)
    assert (await list_events(stage, stop)).count("preflight_failed") == 1, "they know"
    await set_window(stage, stop, begins_in=20 * HOUR)
    await moved(0)(stage, stop)
    await let_a_minute_pass(stage)
    await check_now(stage.platform, stop_id=stop.stop_id, consignee_id=consignee_of(stop))
    assert (await list_events(stage, stop)).count("preflight_mended") == 1


async def test_what_is_still_so_long_after_is_told_again(stage: Stage) -> None:
    """The day after: who forgot to move the car is reminded."""
    stop = await stage.add_stop()
    await moved(500)(stage, stop)
    await set_window(stage, stop, begins_in=59 * MINUTE)
    await run_due(stage)
    await query(stage, "UPDATE preflight SET at = at - interval '1 day'")
    await set_window(stage, stop, begins_in=58 * MINUTE)
    await let_a_minute_pass(stage)
    await run_due(stage)
    assert (await list_events(stage, stop)).count("preflight_failed") == 2


async def test_another_place_is_not_mended_by_what_was_told_of_the_first(stage: Stage) -> None:
    stop, other = await stage.add_stop(), await stage.add_stop()
    await moved(500)(stage, stop)
    await set_window(stage, stop, begins_in=59 * MINUTE)
    await run_due(stage)
    await query(
        stage,
        "UPDATE access_point SET consignee_id = %s WHERE id = %s",
        [consignee_of(stop), other.place_id],
    )
    await set_window(stage, stop, begins_in=20 * HOUR, access_point_id=other.place_id)
    checked = await check_now(stage.platform, stop_id=stop.stop_id, consignee_id=consignee_of(stop))
    assert checked.finding.is_well
    assert "preflight_mended" not in await list_events(stage, stop)


async def test_a_good_answer_after_the_ruling_brings_the_parcel_to_the_car_after_all(stage: Stage) -> None:
    stop = await stage.add_stop()
    await moved(500)(stage, stop)
    await set_window(stage, stop, begins_in=20 * MINUTE)
    await run_due(stage)
    assert await ruled_out(stage, stop) is I.CONSIGNEE_CAR_OUT_OF_RANGE
    assert (await go(stage, stop)).reasons
    await moved(10)(stage, stop)
    await let_a_minute_pass(stage)
    await check_now(stage.platform, stop_id=stop.stop_id, consignee_id=consignee_of(stop))
    assert await ruled_out(stage, stop) is None
    assert not (await go(stage, stop)).reasons
    assert await list_events(stage, stop) == [
        "morning_of_delivery", "ruled_out", "preflight_mended", "courier_on_the_way",
    ]  # fmt: skip
    # And away again, after the last check: it is known, so nobody is sent there.
    await moved(500)(stage, stop)
    await let_a_minute_pass(stage)
    await check_now(stage.platform, stop_id=stop.stop_id, consignee_id=consignee_of(stop))
    assert await ruled_out(stage, stop) is I.CONSIGNEE_CAR_OUT_OF_RANGE
    assert (await list_events(stage, stop)).count("ruled_out") == 2


async def test_a_ruling_that_gives_way_to_another_fault_is_not_told_as_all_is_well(stage: Stage) -> None:
    """Un-linked and linked again, but the car stands too far away: before the last check that is to be mended."""
    stop = await stage.add_stop()
    await moved(500)(stage, stop)
    await set_window(stage, stop, begins_in=59 * MINUTE, ruled_out=I.DEVICE_CONSENT_LOST)
    await run_due(stage)
    assert (await states(stage, stop))[K.PREFLIGHT_1] == ("done", "consignee_car_out_of_range")
    assert await ruled_out(stage, stop) is None
    events = await list_events(stage, stop)
    assert "preflight_mended" not in events
    assert "preflight_failed" in events
    await moved(0)(stage, stop)
    await let_a_minute_pass(stage)
    await check_now(stage.platform, stop_id=stop.stop_id, consignee_id=consignee_of(stop))
    assert (await list_events(stage, stop)).count("preflight_mended") == 1


async def test_before_the_last_check_an_own_look_tells_and_rules_nothing(stage: Stage) -> None:
    stop = await stage.add_stop()
    await moved(500)(stage, stop)
    await set_window(stage, stop, begins_in=20 * HOUR)
    checked = await check_now(stage.platform, stop_id=stop.stop_id, consignee_id=consignee_of(stop))
    assert checked.finding.reasons == (I.CONSIGNEE_CAR_OUT_OF_RANGE,)
    assert await ruled_out(stage, stop) is None
    assert await list_events(stage, stop) == []
    await moved(0)(stage, stop)
    await let_a_minute_pass(stage)
    await check_now(stage.platform, stop_id=stop.stop_id, consignee_id=consignee_of(stop))
    assert await list_events(stage, stop) == []  # nobody was told that anything was wrong
    rows = await query(stage, "SELECT who, what FROM deed")
    assert [(one["who"], one["what"]) for one in rows] == [(f"consignee:{consignee_of(stop)}", "checked")] * 2


@pytest.mark.parametrize("by", [I.CARRIER_CANCELLED, I.CONSIGNEE_REDIRECTED, I.CARRIER_NOBODY_CAME])
async def test_what_people_have_decided_is_left_alone(stage: Stage, by: Incident) -> None:
    stop = await stage.add_stop()
    await moved(500)(stage, stop)
    await set_window(stage, stop, begins_in=20 * MINUTE, ruled_out=by)
    await run_due(stage)
    assert (await states(stage, stop))[K.PREFLIGHT_2] == ("dropped", "ruled_out")
    await check_now(stage.platform, stop_id=stop.stop_id, consignee_id=consignee_of(stop))
    await moved(0)(stage, stop)
    await let_a_minute_pass(stage)
    await check_now(stage.platform, stop_id=stop.stop_id, consignee_id=consignee_of(stop))
    assert await ruled_out(stage, stop) is by
    assert await list_events(stage, stop) == []
    assert (await go(stage, stop)).reasons[0] is by


async def test_a_lock_that_can_never_be_seen_rules_out_at_the_first_check(stage: Stage) -> None:
    stop = await stage.add_stop("onstar", is_older_account=True)
    await row("access_point", "allows_unseen_lock = false")(stage, stop)
    await save_reading(stage, stop, is_locked=None, is_open=None, position=HERE)
    await set_window(stage, stop, begins_in=59 * MINUTE)
    await run_due(stage)
    assert await ruled_out(stage, stop) is I.DEVICE_LOCK_NOT_READABLE
    assert await list_events(stage, stop) == ["morning_of_delivery", "ruled_out"]
    assert (await get_facts(stage, stop, "ruled_out"))["remedy"] == R.NOTHING_IN_TIME
    await make_due(stage, stop, K.PREFLIGHT_2)
    await run_due(stage)
    assert (await list_events(stage, stop)).count("ruled_out") == 1


async def test_a_stop_that_is_being_visited_is_not_checked(stage: Stage) -> None:
    stop = await stage.add_stop()
    await save_reading(stage, stop, position=HERE)
    await stage.begin(stop)
    await moved(500)(stage, stop)
    await set_window(stage, stop, begins_in=-HOUR)
    await run_due(stage)
    assert (await states(stage, stop))[K.PREFLIGHT_2] == ("dropped", "visited")
    assert await ruled_out(stage, stop) is None


# ---- what is over is looked at again


async def test_an_outage_that_is_over_in_a_moment_never_counts(stage: Stage) -> None:
    stop = await stage.add_stop()
    await stage.town.set_fault(stop.vin, "outage", status=503)
    await set_window(stage, stop, begins_in=20 * MINUTE)
    await run_due(stage)
    assert (await states(stage, stop))[K.PREFLIGHT_2] == ("due", None)
    await stage.town.clear_faults(stop.vin)
    await let_a_minute_pass(stage)
    await query(stage, "UPDATE duty SET next_at = %s WHERE tries > 0", [stage.platform.clock.now()])
    await run_due(stage)
    assert (await states(stage, stop))[K.PREFLIGHT_2] == ("done", "well")
    assert await list_events(stage, stop) == ["morning_of_delivery"]


async def test_a_block_that_is_lifted_is_looked_at_again(stage: Stage) -> None:
    stop = await stage.add_stop()
    await row("access_point", "blocked_at = now()")(stage, stop)
    await set_window(stage, stop, begins_in=20 * MINUTE)
    await run_due(stage)
    assert await ruled_out(stage, stop) is I.CONSIGNEE_BLOCKED
    await row("access_point", "blocked_at = NULL")(stage, stop)
    async with stage.platform.database.transaction() as connection:
        await ask_for_rechecks(connection, stop.place_id, stage.platform.clock.now())
    await run_due(stage)
    assert await ruled_out(stage, stop) is None
    assert (await list_events(stage, stop))[-2:] == ["ruled_out", "preflight_mended"]


async def test_a_ruling_by_our_own_rows_is_lifted_though_the_car_may_not_be_read_any_more(
    stage: Stage,
) -> None:
    stop = await stage.add_stop()
    await row("access_point", "is_frozen = true")(stage, stop)
    await set_window(stage, stop, begins_in=20 * MINUTE)
    await query(stage, SPENT, [stop.place_id])
    await run_due(stage)
    assert await ruled_out(stage, stop) is I.PLATFORM_PLACE_FROZEN
    await row("access_point", "is_frozen = false")(stage, stop)
    await check_now(stage.platform, stop_id=stop.stop_id, consignee_id=consignee_of(stop))
    assert await ruled_out(stage, stop) is None
    assert await stage.town.whole_ledger(vin=stop.vin) == []


# ---- whose it is


async def test_only_the_household_may_ask_and_only_while_it_is_open(stage: Stage) -> None:
    stop, other = await stage.add_stop(), await stage.add_stop()
    with pytest.raises(NotFound):
        await check_now(stage.platform, stop_id=stop.stop_id, consignee_id=consignee_of(other))
    with pytest.raises(NotFound):
        await check_now(stage.platform, stop_id="stp_none", consignee_id=consignee_of(stop))
    await query(
        stage, "INSERT INTO member VALUES (%s, %s, now(), NULL)", [stop.place_id, consignee_of(other)]
    )
    checked = await check_now(stage.platform, stop_id=stop.stop_id, consignee_id=consignee_of(other))
    assert checked.finding.is_well
    await query(stage, "UPDATE stop SET state = 'fallback_due'")
    with pytest.raises(Conflict):
        await check_now(stage.platform, stop_id=stop.stop_id, consignee_id=consignee_of(stop))


async def test_a_ruling_and_a_scan_at_the_same_moment_never_both_win(stage: Stage) -> None:
    """Either the visit was there first, and the check leaves it alone, or the scan is refused by the ruling."""
    for _ in range(5):
        stop = await stage.add_stop()
        await moved(500)(stage, stop)
        await set_window(stage, stop, begins_in=-HOUR)
        await save_reading(stage, stop, position=HERE)  # what the scan goes by
        await query(stage, "UPDATE reading SET tried_at = tried_at - interval '20 minutes' WHERE access_point_id = %s",
                    [stop.place_id])  # fmt: skip
        _, scanned = await asyncio.gather(run_due(stage), stage.scan(stop))
        assert scanned.row is not None
        if await ruled_out(stage, stop) is None:
            assert (await states(stage, stop))[K.PREFLIGHT_2] == ("dropped", "visited")
            assert scanned.row.visit.state is not State.REFUSED
        else:
            assert scanned.row.visit.state is State.REFUSED, await stage.story(scanned.row.id)
        await query(stage, "UPDATE visit SET ended_at = now()")
