"""What is due when, by every clock on the wall; done late, or dropped, and never twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from tests.flow.day import (
    HOUR,
    MINUTE,
    get_facts,
    get_stop,
    list_duties,
    list_events,
    list_notices,
    make_due,
    plan,
    query,
    run_due,
    save_reading,
    set_window,
    states,
    take_jobs,
)
from tests.flow.stage import HERE, Stage, open_stage

from unlatch.domain.eligibility import Programme
from unlatch.domain.parcel import ParcelPlace
from unlatch.flow.due import do_due
from unlatch.flow.duties import RULES, moment_of, timetable_of, why_void
from unlatch.flow.preflight import carry_out_preflight
from unlatch.flow.rules import Rulebook
from unlatch.store import duties
from unlatch.store.consignees import AccessPointRow
from unlatch.store.database import Database
from unlatch.store.duties import DutyKind, DutyRow, DutyState
from unlatch.store.stops import StopRow, StopState

K = DutyKind


@pytest.fixture
async def stage(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(database, tmp_path, has_worker=False) as stage:
        yield stage


# ---- when, without a database


async def get_programme() -> Programme:
    return (await Rulebook().get()).get_programme(None)


def point_in(time_zone: str) -> AccessPointRow:
    values = dict.fromkeys(AccessPointRow.__slots__)
    return AccessPointRow(**{**values, "time_zone": time_zone})  # type: ignore[arg-type]


def stop_at(window_from: datetime, *, expected_at: datetime | None = None) -> StopRow:
    return StopRow(
        id="stp_1",
        carrier_id="car_1",
        courier_id=None,
        access_point_id="acc_1",
        shipment_id="shp_1",
        window_from=window_from,
        window_until=window_from + 4 * HOUR,
        fallback="to_door",
        state=StopState.OPEN,
        created_at=window_from - 24 * HOUR,
        expected_at=expected_at,
    )


@pytest.mark.parametrize(
    ("zone", "begins", "told_at"),
    [
        # An ordinary day; by the address's own clock, wherever the server is.
        ("America/New_York", "2026-11-26T16:00-05:00", "2026-11-26T08:00-05:00"),
        ("America/Los_Angeles", "2026-11-26T16:00-08:00", "2026-11-26T08:00-08:00"),
        ("Europe/Paris", "2026-11-26T09:00+01:00", "2026-11-26T08:00+01:00"),
        # Less than an hour before the window: the evening before.
        ("Europe/Paris", "2026-11-26T08:59+01:00", "2026-11-25T18:00+01:00"),
        ("America/New_York", "2026-11-26T08:00-05:00", "2026-11-25T18:00-05:00"),
        ("America/New_York", "2026-11-26T05:00-05:00", "2026-11-25T18:00-05:00"),
        # The window's day is another one in UTC.
        ("America/Los_Angeles", "2026-11-26T18:00-08:00", "2026-11-26T08:00-08:00"),
        ("Pacific/Auckland", "2026-11-26T09:00+13:00", "2026-11-26T08:00+13:00"),
        # The days on which the clocks change: eight in the morning stays eight.
        ("America/New_York", "2026-03-08T16:00-04:00", "2026-03-08T08:00-04:00"),
        ("America/New_York", "2026-11-01T16:00-05:00", "2026-11-01T08:00-05:00"),
        ("Europe/Paris", "2026-03-29T12:00+02:00", "2026-03-29T08:00+02:00"),
        ("Europe/Paris", "2026-10-25T12:00+01:00", "2026-10-25T08:00+01:00"),
        ("Australia/Lord_Howe", "2026-10-04T12:00+11:00", "2026-10-04T08:00+11:00"),
        # The evening before lies on the other side of the change.
        ("America/New_York", "2026-03-08T08:00-04:00", "2026-03-07T18:00-05:00"),
        ("America/New_York", "2026-11-01T08:00-05:00", "2026-10-31T18:00-04:00"),
    ],
)
async def test_the_morning_is_that_of_the_address(zone: str, begins: str, told_at: str) -> None:
    stop = stop_at(datetime.fromisoformat(begins).astimezone(UTC))
    table = timetable_of(stop, point_in(zone), await get_programme())
    assert table.morning_at == datetime.fromisoformat(told_at)
    assert table.morning_at.utcoffset() == timedelta()


@pytest.mark.parametrize(
    ("day", "local", "at"),
    [
        (date(2026, 3, 8), time(2, 30), "2026-03-08T03:30-04:00"),  # skipped: as long after midnight
        (date(2026, 11, 1), time(1, 30), "2026-11-01T01:30-04:00"),  # twice: the first
        (date(2026, 11, 1), time(2, 0), "2026-11-01T02:00-05:00"),
    ],
)
def test_a_time_that_a_change_skips_or_repeats(day: date, local: time, at: str) -> None:
    assert moment_of(day, local, ZoneInfo("America/New_York")) == datetime.fromisoformat(at)


@pytest.mark.parametrize(
    ("before_min", "first", "last"),
    [
        ((60, 30), 60, 30),
        ((30, 60), 60, 30),  # in whatever order they are written
        ((90, 60, 30), 60, 30),
        ((45,), None, 45),
        ((), None, None),
    ],
)
async def test_the_checks_are_the_programme_s(
    before_min: tuple[int, ...], first: int | None, last: int | None
) -> None:
    programme = replace(await get_programme(), preflight_before_s=tuple(60.0 * one for one in before_min))
    begins = datetime(2026, 11, 26, 21, tzinfo=UTC)
    expected_at = begins + 90 * MINUTE
    for stop, comes_at in (
        (stop_at(begins), begins),
        (stop_at(begins, expected_at=expected_at), expected_at),
    ):
        table = timetable_of(stop, point_in("America/New_York"), programme)
        assert table.first_at == (None if first is None else comes_at - first * MINUTE)
        assert table.last_at == (None if last is None else comes_at - last * MINUTE)
        drop_first = RULES[K.PREFLIGHT_1].drop(table)
        assert drop_first == (None if first is None else comes_at - 40 * MINUTE)
        assert RULES[K.PREFLIGHT_2].drop(table) == begins + 4 * HOUR - 10 * MINUTE


async def test_two_checks_that_lie_close_are_dropped_half_way() -> None:
    programme = replace(await get_programme(), preflight_before_s=(2100.0, 1800.0))
    begins = datetime(2026, 11, 26, 21, tzinfo=UTC)
    table = timetable_of(stop_at(begins), point_in("America/New_York"), programme)
    assert RULES[K.PREFLIGHT_1].drop(table) == begins - timedelta(seconds=1950)


def test_every_kind_has_its_rule_and_its_reason() -> None:
    assert set(RULES) == set(DutyKind)
    assert all(rule.why and rule.due_text and rule.drop_text for rule in RULES.values())


@pytest.mark.parametrize(
    ("state", "ruled", "is_of_old_plan", "morning", "over"),
    [
        ("open", None, False, None, None),
        ("open", "device_asleep", False, None, None),  # but for the morning, see below
        ("open", "consignee_redirected", False, "ruled_out", None),
        ("open", "carrier_cancelled", False, "ruled_out", None),
        ("fallback_due", None, False, "fallback_due", None),
        ("delivered", None, False, "stop_ended", "stop_ended"),
        ("fallback_done", None, False, "stop_ended", "stop_ended"),
        ("cancelled", None, False, "stop_ended", "stop_ended"),
        ("open", None, True, "replanned", "replanned"),
    ],
)
def test_what_makes_a_duty_void(
    state: str, ruled: str | None, is_of_old_plan: bool, morning: str | None, over: str | None
) -> None:
    now = datetime(2026, 11, 26, 21, tzinfo=UTC)
    plan_number = 2 if is_of_old_plan else 1
    stop = replace(stop_at(now), state=StopState(state), ruled_out=ruled, plan_number=plan_number)

    def why(kind: DutyKind) -> str | None:
        return why_void(
            DutyRow(stop_id="stp_1", plan_number=1, kind=kind, due_at=now, drop_at=None, next_at=now), stop
        )

    assert [why(kind) for kind in (K.PREFLIGHT_1, K.PREFLIGHT_2, K.HEADING)] == [morning] * 3
    # Nobody is asked to park for what they were told comes another way.
    assert why(K.MORNING_NOTICE) == (morning or ("ruled_out" if ruled else None))
    assert why(K.WINDOW_OVER) == over


# ---- done, late, dropped


async def test_all_is_planned_once_and_nothing_is_due_the_day_before(stage: Stage) -> None:
    stop = await stage.add_stop()
    row = await set_window(stage, stop, begins_in=40 * HOUR)
    for _ in range(3):
        await plan(stage, stop)
    assert set(await list_duties(stage, stop)) == {
        K.MORNING_NOTICE, K.PREFLIGHT_1, K.PREFLIGHT_2, K.WINDOW_OVER,
    }  # fmt: skip
    assert (await list_duties(stage, stop))[K.PREFLIGHT_1].due_at == row.window_from - HOUR
    assert await do_due(stage.platform, 100) == 0
    assert await list_notices(stage, stop) == []


async def test_the_morning_s_notice_says_when_and_how_near_and_is_told_once(stage: Stage) -> None:
    stop = await stage.add_stop()
    row = await set_window(stage, stop, begins_in=40 * HOUR)
    for _ in range(3):
        await make_due(stage, stop, K.MORNING_NOTICE)
        await run_due(stage)
    assert await list_notices(stage, stop) == [("consignee", "morning_of_delivery")]
    facts = await get_facts(stage, stop, "morning_of_delivery")
    told_from = datetime.fromisoformat(facts["window_from"])
    assert abs(told_from - row.window_from) < timedelta(seconds=1)
    assert facts["range_m"] == 200


async def test_what_is_booked_late_is_done_at_once_and_the_first_check_is_left_out(stage: Stage) -> None:
    stop = await stage.add_stop()
    await set_window(stage, stop, begins_in=20 * MINUTE)
    await run_due(stage)
    found = await states(stage, stop)
    assert found[K.PREFLIGHT_1] == ("dropped", "too_late")
    assert found[K.PREFLIGHT_2] == ("done", "well")
    assert found[K.MORNING_NOTICE] == ("done", "told")
    assert found[K.WINDOW_OVER] == ("due", None)


@pytest.mark.parametrize(("begun_min", "is_checked"), [(-1, True), (0, False), (60, False)])
async def test_what_is_planned_with_the_courier_at_the_door_is_not_looked_at_ahead(
    stage: Stage, begun_min: int, is_checked: bool
) -> None:
    """The scan looks at the car; a look a moment before it would stand in for that one, too early."""
    stop = await stage.add_stop()
    await query(stage, "UPDATE stop SET window_from = %s", [stage.platform.clock.now() - begun_min * MINUTE])
    await plan(stage, stop)
    planned = set(await list_duties(stage, stop))
    assert (K.PREFLIGHT_2 in planned) is (K.PREFLIGHT_1 in planned) is is_checked
    assert {K.MORNING_NOTICE, K.WINDOW_OVER} <= planned
    # Expected later in that window, it is looked at ahead of that.
    expected_at = stage.platform.clock.now() + HOUR
    await query(stage, "UPDATE stop SET plan_number = 2, expected_at = %s", [expected_at])
    await plan(stage, stop)
    assert (await list_duties(stage, stop))[K.PREFLIGHT_2].due_at == expected_at - 30 * MINUTE


async def test_in_a_window_that_has_begun_no_morning_is_told_any_more(stage: Stage) -> None:
    stop = await stage.add_stop()
    await set_window(stage, stop, begins_in=-HOUR)
    await run_due(stage)
    found = await states(stage, stop)
    assert found[K.MORNING_NOTICE] == found[K.PREFLIGHT_1] == ("dropped", "too_late")
    assert found[K.PREFLIGHT_2] == ("done", "well")
    assert await list_events(stage, stop) == []


async def test_of_a_day_without_workers_only_the_end_of_the_window_is_made_up_for(stage: Stage) -> None:
    stop = await stage.add_stop()
    await set_window(stage, stop, begins_in=-30 * HOUR)
    for _ in range(3):
        await run_due(stage)
    found = await states(stage, stop)
    assert {found[kind] for kind in (K.MORNING_NOTICE, K.PREFLIGHT_1, K.PREFLIGHT_2)} == {
        ("dropped", "too_late")
    }
    assert found[K.WINDOW_OVER][0] == "done"
    assert await list_notices(stage, stop) == [("consignee", "nobody_came"), ("carrier", "nobody_came")]
    row = await get_stop(stage, stop)
    assert (row.state, row.ruled_out) == (StopState.FALLBACK_DUE, "carrier_nobody_came")


async def test_the_last_check_is_not_made_when_nobody_could_mend_anything_any_more(stage: Stage) -> None:
    stop = await stage.add_stop()
    await set_window(stage, stop, begins_in=-4 * HOUR + 9 * MINUTE)
    await run_due(stage)
    assert (await states(stage, stop))[K.PREFLIGHT_2] == ("dropped", "too_late")
    assert await stage.town.whole_ledger(vin=stop.vin) == []


async def test_what_follows_from_an_older_plan_is_void(stage: Stage) -> None:
    stop = await stage.add_stop()
    await set_window(stage, stop, begins_in=20 * MINUTE)
    await do_due(stage.platform, 100)
    handed_over = await take_jobs(stage)
    await set_window(stage, stop, begins_in=40 * HOUR)  # planned anew while the job waits
    for payload in handed_over:
        await carry_out_preflight(stage.platform, payload)
    await run_due(stage)
    rows = await query(stage, "SELECT kind, state, outcome FROM duty WHERE plan_number = 2 ORDER BY kind")
    assert [(row["kind"], row["state"], row["outcome"]) for row in rows] == [
        ("morning_notice", "done", "told"),  # before it was planned anew
        ("preflight_1", "dropped", "too_late"),
        ("preflight_2", "dropped", "replanned"),
        ("window_over", "due", None),
    ]
    await query(stage, "UPDATE duty SET next_at = %s WHERE plan_number = 2", [stage.platform.clock.now()])
    await run_due(stage)
    rows = await query(stage, "SELECT outcome FROM duty WHERE plan_number = 2 AND kind = 'window_over'")
    assert rows == [{"outcome": "replanned"}]
    assert (await get_stop(stage, stop)).state == StopState.OPEN


async def test_a_stop_that_has_ended_hears_no_more(stage: Stage) -> None:
    stop = await stage.add_stop()
    await set_window(stage, stop, begins_in=20 * MINUTE, state="cancelled")
    await run_due(stage)
    await make_due(stage, stop, K.WINDOW_OVER)
    await run_due(stage)
    found = await states(stage, stop)
    assert (
        found[K.MORNING_NOTICE] == found[K.PREFLIGHT_2] == found[K.WINDOW_OVER] == ("dropped", "stop_ended")
    )
    assert await list_notices(stage, stop) == []


async def test_a_window_that_ends_during_a_visit_waits_for_its_end(stage: Stage) -> None:
    stop = await stage.add_stop()
    await save_reading(stage, stop, position=HERE)
    await stage.begin(stop)
    await plan(stage, stop)
    await make_due(stage, stop, K.WINDOW_OVER)
    await run_due(stage)
    duty = (await list_duties(stage, stop))[K.WINDOW_OVER]
    assert duty.state == DutyState.DUE
    assert duty.next_at > stage.platform.clock.now()
    assert (await get_stop(stage, stop)).state == StopState.OPEN
    await query(stage, "UPDATE visit SET ended_at = now()")
    await set_window(stage, stop, begins_in=-5 * HOUR)
    await run_due(stage)
    assert (await states(stage, stop))[K.WINDOW_OVER] == ("done", "over")
    rows = await query(stage, "SELECT place FROM parcel")
    assert [row["place"] for row in rows] == [
        ParcelPlace.WITH_COURIER
    ]  # the fallback is for its courier to take


# ---- any number of workers, killed at any moment


async def test_many_workers_at_once_do_each_thing_once(stage: Stage) -> None:
    coming = [await stage.add_stop() for _ in range(8)]
    over = [await stage.add_stop() for _ in range(8)]
    for stop in coming:
        await set_window(stage, stop, begins_in=20 * MINUTE)
    for stop in over:
        await set_window(stage, stop, begins_in=-30 * HOUR)
    await asyncio.gather(*(do_due(stage.platform, 100) for _ in range(6)))
    for stop in coming:
        assert (await states(stage, stop))[K.MORNING_NOTICE] == ("done", "told")
        assert await list_events(stage, stop) == ["morning_of_delivery"]
    for stop in over:
        assert (await states(stage, stop))[K.WINDOW_OVER] == ("done", "over")
        assert await list_events(stage, stop) == ["nobody_came"]
    jobs = await take_jobs(stage)
    assert len(jobs) == len(set(jobs)) == len(coming)


async def test_a_worker_that_dies_with_a_duty_in_hand_is_taken_over_and_nothing_is_done_twice(
    stage: Stage,
) -> None:
    stop = await stage.add_stop()
    await stage.town.move(stop.vin, 33.76, -84.388)
    await set_window(stage, stop, begins_in=20 * MINUTE)
    await do_due(stage.platform, 100)
    lost = await take_jobs(stage)  # the worker that took it is killed
    assert len(lost) == 1
    await do_due(stage.platform, 100)
    assert await take_jobs(stage) == []  # it is still thought to be at work
    await query(stage, "UPDATE duty SET next_at = %s WHERE state = 'taken'", [stage.platform.clock.now()])
    await do_due(stage.platform, 100)
    again = await take_jobs(stage)
    assert again == lost
    # The first worker was only paused: both carry it out, one after the other and at once.
    await asyncio.gather(*(carry_out_preflight(stage.platform, payload) for payload in again * 4))
    await carry_out_preflight(stage.platform, again[0])
    assert (await states(stage, stop))[K.PREFLIGHT_2] == ("done", "consignee_car_out_of_range")
    assert (await list_events(stage, stop)).count("ruled_out") == 1
    assert len(await query(stage, "SELECT 1 FROM preflight")) == 1


async def test_a_duty_that_can_not_be_done_keeps_no_other_waiting(stage: Stage) -> None:
    broken, whole = await stage.add_stop(), await stage.add_stop()
    await set_window(stage, broken, begins_in=20 * MINUTE)
    await set_window(stage, whole, begins_in=20 * MINUTE)
    await query(stage, "UPDATE stop SET ruled_out = 'of_a_later_release' WHERE id = %s", [broken.stop_id])
    with pytest.raises(ValueError, match="of_a_later_release"):
        await do_due(stage.platform, 100)
    assert (await states(stage, whole))[K.MORNING_NOTICE] == ("done", "told")
    assert (await states(stage, broken))[K.MORNING_NOTICE] == ("due", None)


async def test_asked_for_twice_it_is_done_again_only_after_its_end(stage: Stage) -> None:
    stop = await stage.add_stop()
    now = stage.platform.clock.now()
    row = DutyRow(
        stop_id=stop.stop_id, plan_number=1, kind=K.HEADING, due_at=now, drop_at=now + HOUR, next_at=now
    )
    async with stage.platform.database.connection() as connection:
        await duties.ask_again(connection, row)
        await do_due(stage.platform, 100)
        await duties.ask_again(connection, row)  # it is under way: that one will do
        assert (await list_duties(stage, stop))[K.HEADING].state == DutyState.TAKEN
        for payload in await take_jobs(stage):
            await carry_out_preflight(stage.platform, payload)
        assert (await list_duties(stage, stop))[K.HEADING].state == DutyState.DONE
        await duties.ask_again(connection, row)
    duty = (await list_duties(stage, stop))[K.HEADING]
    assert (duty.state, duty.outcome, duty.ended_at, duty.tries) == (DutyState.DUE, None, None, 0)


async def test_a_thousand_are_claimed_by_an_index_whatever_has_ended_before(stage: Stage) -> None:
    stop = await stage.add_stop()
    now = stage.platform.clock.now()
    fill = """
        INSERT INTO duty (stop_id, plan_number, kind, due_at, drop_at, next_at, state)
        SELECT %s, number, 'preflight_2', %s, %s, %s, CASE WHEN number <= 1000 THEN 'due' ELSE 'done' END
        FROM generate_series(1, 31000) number
    """
    await query(stage, fill, [stop.stop_id, now, now + HOUR, now - MINUTE])
    await query(stage, "ANALYZE duty")
    claim = (
        duties._TAKE.replace("%(now)s", "now()").replace("%(again_at)s", "now()").replace("%(limit)s", "100")
    )
    plan_text = await query(
        stage, f"EXPLAIN {claim.replace('%(kinds)s', chr(39) + '{preflight_2}' + chr(39))}"
    )
    assert "duty_next" in str(plan_text), plan_text
    claimed = []
    async with stage.platform.database.connection() as connection:
        while rows := await duties.take_due(
            connection, now, kinds=[K.PREFLIGHT_2], again_at=now + HOUR, limit=100
        ):
            claimed += [row.plan_number for row in rows]
    assert sorted(claimed) == list(range(1, 1001))
