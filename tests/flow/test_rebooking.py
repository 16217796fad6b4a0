"""Changes of a booking on a real database: what each leaves, who may, the races. The table: test_booking_cells.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from psycopg import AsyncConnection
from tests.flow.scene import DELIVERED, HERE, OPENED, Scene, open_scene
from tests.flow.test_booking_cells import window_in, wish_it

from unlatch.domain.access import Fallback
from unlatch.domain.booking import Effect, Refusal, Stage, StopState, Wish, outcome_of
from unlatch.domain.incident import Incident
from unlatch.domain.notice import NoticeEvent
from unlatch.domain.visit import Fact, State
from unlatch.errors import BadInput, NotFound
from unlatch.flow import consent, fallback, rebooking
from unlatch.flow.fallback import FallbackGiven
from unlatch.flow.gate import pass_gate
from unlatch.flow.rebooking import NewPlan
from unlatch.flow.window_over import end_of_window
from unlatch.flow.wishes import Changed, Wisher
from unlatch.store.database import Database

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
OF_A_PLACE = {Wish.BLOCK, Wish.UNBLOCK, Wish.FREEZE, Wish.THAW}
ENDED = {Stage.DELIVERED, Stage.FALLBACK_DONE, Stage.CANCELLED}
Do = Callable[[AsyncConnection], Awaitable[Any]]


@pytest.fixture
async def scene(database: Database) -> AsyncIterator[Scene]:
    scene = await open_scene(database)
    yield scene
    await scene.platform.makers.close()


async def do(scene: Scene, what: Callable[..., Awaitable[Changed]], *values: Any, **named: Any) -> Changed:
    async with scene.database.transaction() as connection:
        return await what(scene.platform, connection, scene.stop_id, *values, **named)


# ---- the plan


async def test_a_new_plan_is_a_clean_sheet(scene: Scene) -> None:
    await scene.set_stop(
        ruled_out=Incident.DEVICE_ASLEEP, ruled_out_at=scene.now, heading_at=scene.now, arriving_at=scene.now,
        extended_at=scene.now,
    )  # fmt: skip
    window = window_in(scene, 2)
    expected_at = scene.now + 3 * HOUR
    plan = NewPlan(window=window, courier_id=scene.other_courier_id, expected_at=expected_at)
    changed = await do(scene, rebooking.replan, scene.carrier, plan)
    stop = changed.stop
    assert (stop.window_from, stop.window_until) == (window.window_from, window.window_until)
    assert (stop.plan_number, stop.courier_id, stop.expected_at) == (2, scene.other_courier_id, expected_at)
    assert (stop.ruled_out, stop.heading_at, stop.arriving_at, stop.extended_at) == (None, None, None, None)
    assert stop.programme == "open"
    assert stop.rules_version is not None
    assert await scene.ask("SELECT held_by FROM parcel") == [{"held_by": scene.other_courier_id}]
    told = await scene.ask("SELECT DISTINCT event, key, facts->>'window_from' AS begins FROM notice")
    assert [(one["event"], one["key"]) for one in told] == [("booking_changed", f"{scene.stop_id}/2")]
    assert told[0]["begins"]


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        (lambda s: NewPlan(window=window_in(s, -6)), "window_until"),
        (lambda s: NewPlan(window=window_in(s, 1, 26)), "window_until"),
        (lambda s: NewPlan(window=window_in(s, 1, -1)), "window_until"),
        (lambda s: NewPlan(window=window_in(s, 1), expected_at=s.now + 9 * HOUR), "expected_at"),
        (lambda s: NewPlan(expected_at=s.now - 9 * HOUR), "expected_at"),
    ],
)
async def test_a_plan_that_can_t_be_names_its_field(
    scene: Scene, plan: Callable[[Scene], NewPlan], field: str
) -> None:
    before = await scene.snapshot()
    with pytest.raises(BadInput) as caught:
        await do(scene, rebooking.replan, scene.carrier, plan(scene))
    assert caught.value.field == field
    assert await scene.snapshot() == before


async def test_a_courier_who_was_expected_before_the_window_keeps_no_plan_from_changing(scene: Scene) -> None:
    """They may set out an hour ahead, and say when they will be there."""
    await scene.set_stop(
        window_from=scene.now + HOUR / 2, heading_at=scene.now, expected_at=scene.now + MINUTE
    )
    changed = await do(scene, rebooking.replan, scene.carrier, NewPlan(courier_id=scene.other_courier_id))
    assert (changed.outcome.effect, changed.stop.courier_id) == (Effect.DONE, scene.other_courier_id)


async def test_a_window_that_is_over_needs_a_new_one(scene: Scene) -> None:
    await scene.set_stop(window_until=scene.now - MINUTE)
    with pytest.raises(BadInput) as caught:
        await do(scene, rebooking.replan, scene.carrier, NewPlan(courier_id=scene.other_courier_id))
    assert caught.value.field == "window_until"


async def test_a_plan_goes_to_another_place_of_the_recipient_alone(scene: Scene) -> None:
    there = NewPlan(access_point_id=scene.other_place_id)
    changed = await do(scene, rebooking.replan, scene.carrier, there)
    assert changed.stop.access_point_id == scene.other_place_id
    # the household of the place that was left hears of it as well: Max shares only that one
    told = await scene.ask("SELECT reader_id FROM notice WHERE reader = 'consignee' ORDER BY reader_id")
    assert {one["reader_id"] for one in told} == {scene.consignee.id, scene.member.id}
    await scene.ask(
        "UPDATE access_point SET consignee_id = %s WHERE id = %s", scene.stranger.id, scene.place_id
    )
    with pytest.raises(BadInput) as caught:
        await do(scene, rebooking.replan, scene.carrier, NewPlan(access_point_id=scene.place_id))
    assert caught.value.field == "access_point_id"
    with pytest.raises(NotFound):
        await do(scene, rebooking.replan, scene.carrier, NewPlan(access_point_id="acc_nowhere"))


async def test_a_place_that_is_not_offered_is_not_planned(scene: Scene) -> None:
    await scene.ask("UPDATE parcel SET is_dangerous = true")
    before = await scene.snapshot()
    for plan in (NewPlan(access_point_id=scene.other_place_id), NewPlan(window=window_in(scene, 1))):
        changed = await do(scene, rebooking.replan, scene.carrier, plan)
        assert changed.outcome.refusal is Refusal.NOT_OFFERED
        assert changed.offer is not None
        assert changed.offer.reasons
    redirected = await do(scene, rebooking.redirect, scene.consignee, access_point_id=scene.other_place_id)
    assert redirected.outcome.refusal is Refusal.NOT_OFFERED
    assert await scene.snapshot() == before


async def test_a_courier_who_is_not_active_or_another_s_gets_nothing(
    scene: Scene, database: Database
) -> None:
    await scene.ask("UPDATE courier SET is_active = false WHERE id = %s", scene.other_courier_id)
    with pytest.raises(BadInput) as caught:
        await do(scene, rebooking.hand_over, scene.carrier, scene.other_courier_id)
    assert caught.value.field == "courier_id"
    foreign = await open_scene(database)
    await foreign.platform.makers.close()
    with pytest.raises(NotFound):
        await do(scene, rebooking.hand_over, scene.carrier, foreign.courier_id)
    with pytest.raises(NotFound):
        await do(scene, rebooking.replan, scene.carrier, NewPlan(courier_id=foreign.courier_id))


async def test_a_hand_over_under_way_is_a_new_plan_and_what_was_in_the_van_goes_along(scene: Scene) -> None:
    await scene.bring_to(Stage.UNDER_WAY)
    changed = await do(scene, rebooking.hand_over, scene.carrier, scene.other_courier_id)
    assert (changed.stop.plan_number, changed.stop.heading_at) == (2, None)
    assert await scene.ask("SELECT held_by FROM parcel") == [{"held_by": scene.other_courier_id}]
    assert (await scene.scan()).visit.state is State.REFUSED  # the one before drives there in vain


async def test_a_hand_over_of_a_stop_that_was_ruled_out_on_the_way_lets_the_next_courier_set_out(
    scene: Scene,
) -> None:
    """Else the household never hears of the one who comes once it is mended."""
    await scene.set_stop(heading_at=scene.now, arriving_at=scene.now, ruled_out=Incident.DEVICE_ASLEEP)
    handed = (await do(scene, rebooking.hand_over, scene.carrier, scene.other_courier_id)).stop
    assert (handed.heading_at, handed.arriving_at, handed.plan_number) == (None, None, 2)
    assert handed.ruled_out == Incident.DEVICE_ASLEEP
    assert await scene.ask("SELECT 1 FROM notice WHERE event = 'booking_changed'") == []


async def test_a_cancelled_stop_gives_its_parcels_back_and_stays_cancelled(scene: Scene) -> None:
    visit = await scene.begin()
    changed = await do(scene, rebooking.cancel, scene.carrier)
    assert changed.outcome.effect is Effect.STOPS_VISIT
    assert changed.stopped is not None
    assert changed.stopped.id == visit.id
    assert await scene.ask("SELECT place, held_by FROM parcel") == [
        {"place": "with_carrier", "held_by": None}
    ]
    row = await scene.scan()  # and scanning there again moves nothing
    assert row.visit.state is State.REFUSED
    assert row.incident in (Incident.CARRIER_STOP_ENDED, Incident.CARRIER_CANCELLED)
    assert (await scene.stop()).state is StopState.CANCELLED
    assert await scene.ask("SELECT place, held_by FROM parcel") == [
        {"place": "with_carrier", "held_by": None}
    ]


async def test_what_was_delivered_before_a_cancellation_stays_in_its_place(database: Database) -> None:
    scene = await open_scene(database, parcels=2)
    visit = await scene.begin()
    await scene.tell(visit.id, *DELIVERED)
    assert (await scene.stop()).state is StopState.OPEN
    await do(scene, rebooking.cancel, scene.carrier)
    places = await scene.ask("SELECT place FROM parcel ORDER BY id")
    assert [one["place"] for one in places] == ["in_place", "with_carrier"]
    await scene.platform.makers.close()


# ---- the household's way


async def test_a_redirect_shows_the_courier_the_chosen_way_and_shuts_the_place(scene: Scene) -> None:
    changed = await do(scene, rebooking.redirect, scene.member, fallback=Fallback.NEIGHBOUR)
    stop = changed.stop
    assert (stop.fallback, stop.later_fallbacks) == ("neighbour", ["to_door", "depot"])
    assert (stop.state, stop.ruled_out) == (StopState.FALLBACK_DUE, Incident.CONSIGNEE_REDIRECTED)
    row = await scene.scan()
    assert (row.visit.state, row.incident) == (State.REFUSED, Incident.CONSIGNEE_REDIRECTED)
    assert await scene.stage() is Stage.REDIRECTED
    told = await scene.ask("SELECT reader, facts FROM notice WHERE event = 'redirected' ORDER BY reader")
    assert [one["reader"] for one in told] == ["carrier", "consignee", "consignee"]
    assert {one["facts"]["who"] for one in told} == {"Max Lee"}
    assert {one["facts"]["fallback"] for one in told} == {"neighbour"}


@pytest.mark.parametrize("stage", [Stage.BOOKED, Stage.PLANNED, Stage.RULED_OUT, Stage.BEFORE_GATE])
async def test_a_redirect_that_is_taken_back_leaves_it_as_it_was(scene: Scene, stage: Stage) -> None:
    await scene.bring_to(stage)
    was = await scene.stop()
    await do(scene, rebooking.redirect, scene.consignee, fallback=Fallback.NEIGHBOUR)
    await do(scene, rebooking.redirect, scene.consignee, fallback=Fallback.TOMORROW)
    changed = await do(scene, rebooking.redirect, scene.consignee, access_point_id=scene.place_id)
    kept = changed.stop
    assert changed.wish is Wish.KEEP
    assert (kept.state, kept.fallback, kept.later_fallbacks) == (was.state, was.fallback, was.later_fallbacks)
    assert kept.ruled_out == was.ruled_out, "what pre-flight had found holds until it looks anew"
    assert kept.plan_number == was.plan_number + 3
    if stage in (Stage.PLANNED, Stage.BEFORE_GATE):
        assert (await scene.scan()).visit.state is State.GRANTED


async def test_a_block_that_ended_during_a_redirect_rules_nothing_out_once_it_is_taken_back(
    scene: Scene,
) -> None:
    """The stop waits for a look that nobody would otherwise make: its courier is expected by now."""
    await scene.set_stop(ruled_out=Incident.CONSIGNEE_BLOCKED, ruled_out_at=scene.now)
    await scene.ask("UPDATE access_point SET blocked_at = %s WHERE id = %s", scene.now, scene.place_id)
    await do(scene, rebooking.redirect, scene.consignee, fallback=Fallback.NEIGHBOUR)
    async with scene.database.transaction() as connection:
        await consent.unblock(connection, scene.place_id, consignee_id=scene.consignee.id, now=scene.now)
    kept = (await do(scene, rebooking.keep, scene.consignee)).stop
    assert kept.ruled_out == Incident.CONSIGNEE_BLOCKED
    kinds = await scene.ask(
        "SELECT kind FROM duty WHERE stop_id = %s AND plan_number = %s", scene.stop_id, kept.plan_number
    )
    assert {one["kind"] for one in kinds} == {"window_over", "recheck"}


async def test_a_redirect_can_t_be_taken_back_when_the_window_is_over(scene: Scene) -> None:
    await scene.bring_to(Stage.REDIRECTED)
    await scene.set_stop(window_until=scene.now - MINUTE)
    assert (await do(scene, rebooking.keep, scene.consignee)).outcome.refusal is Refusal.WINDOW_OVER
    moved = await do(scene, rebooking.redirect, scene.consignee, access_point_id=scene.other_place_id)
    assert moved.outcome.refusal is Refusal.WINDOW_OVER


@pytest.mark.parametrize(
    "stage",
    [Stage.BOOKED, Stage.PLANNED, Stage.UNDER_WAY, Stage.RULED_OUT, Stage.REDIRECTED, Stage.FALLBACK_DUE,
     Stage.BEFORE_GATE],
)  # fmt: skip
async def test_it_goes_to_another_place_of_theirs_in_the_same_window(scene: Scene, stage: Stage) -> None:
    visit_id = await scene.bring_to(stage)
    was = await scene.stop()
    changed = await do(scene, rebooking.redirect, scene.consignee, access_point_id=scene.other_place_id)
    assert changed.outcome == outcome_of(Wish.REDIRECT, stage)
    stop = changed.stop
    assert (stop.access_point_id, stop.state, stop.ruled_out) == (scene.other_place_id, StopState.OPEN, None)
    assert (stop.window_from, stop.window_until) == (was.window_from, was.window_until)
    assert stop.fallback == "to_door", "a redirect before it has gone with the place"
    if visit_id is not None:
        assert (await scene.get_visit(visit_id)).incident is Incident.CONSIGNEE_REDIRECTED
        assert await pass_gate(scene.platform, await scene.unlock_id(visit_id), None) is None
    if stop.courier_id is not None:
        row = await scene.scan()
        assert (row.visit.state, row.access_point_id) == (State.GRANTED, scene.other_place_id)


async def test_a_member_sends_nothing_into_a_place_that_is_not_theirs_too(scene: Scene) -> None:
    with pytest.raises(NotFound):
        await do(scene, rebooking.redirect, scene.member, access_point_id=scene.other_place_id)
    assert (await scene.stop()).access_point_id == scene.place_id
    # nor the recipient's parcel into a car of their own
    await scene.ask(
        "UPDATE access_point SET consignee_id = %s WHERE id = %s", scene.member.id, scene.other_place_id
    )
    with pytest.raises(BadInput) as caught:
        await do(scene, rebooking.redirect, scene.member, access_point_id=scene.other_place_id)
    assert caught.value.field == "access_point_id"


async def test_a_redirect_names_one_way(scene: Scene) -> None:
    for both in ({}, {"fallback": Fallback.DEPOT, "access_point_id": scene.other_place_id}):
        with pytest.raises(BadInput):
            await do(scene, rebooking.redirect, scene.consignee, **both)
    await scene.set_stop(tries=3)
    with pytest.raises(BadInput) as caught:
        await do(scene, rebooking.redirect, scene.consignee, fallback=Fallback.TOMORROW)
    assert caught.value.field == "fallback"


async def test_a_window_is_extended_once_and_not_into_the_night(scene: Scene) -> None:
    stop = await scene.stop()
    for until in (stop.window_until, stop.window_until - MINUTE, stop.window_until + 4 * HOUR + MINUTE):
        with pytest.raises(BadInput) as caught:
            await do(scene, rebooking.extend, scene.consignee, until)
        assert caught.value.field == "until"
    later = stop.window_until + 2 * HOUR
    await scene.set_stop(heading_at=scene.now)
    changed = await do(scene, rebooking.extend, scene.member, later)
    assert (changed.stop.window_until, changed.stop.plan_number) == (later, 2)
    assert changed.stop.heading_at is not None, "the courier is still on the way"
    more = await do(scene, rebooking.extend, scene.consignee, later + HOUR)
    assert more.outcome.refusal is Refusal.EXTENDED_ALREADY
    await do(scene, rebooking.replan, scene.carrier, NewPlan(window=window_in(scene, 0.5, 2)))
    fresh = await do(scene, rebooking.extend, scene.consignee, scene.now + 3 * HOUR)
    assert fresh.outcome.effect is Effect.DONE


async def test_23_00_is_the_latest_by_the_clock_of_the_address(scene: Scene) -> None:
    places = await scene.ask("SELECT time_zone FROM access_point WHERE id = %s", scene.place_id)
    zone = ZoneInfo(places[0]["time_zone"])
    eleven = scene.now.astimezone(zone).replace(hour=23, minute=0, second=0, microsecond=0)
    await scene.set_stop(window_until=eleven - HOUR)
    with pytest.raises(BadInput):
        await do(scene, rebooking.extend, scene.consignee, eleven + timedelta(seconds=1))
    assert (await do(scene, rebooking.extend, scene.consignee, eleven)).outcome.effect is Effect.DONE


async def test_a_window_that_is_over_is_not_extended(scene: Scene) -> None:
    await scene.set_stop(window_until=scene.now - MINUTE)
    changed = await do(scene, rebooking.extend, scene.consignee, scene.now + HOUR)
    assert changed.outcome.refusal is Refusal.WINDOW_OVER


async def test_each_choice_stands_in_front_of_the_plan_that_was_booked(scene: Scene) -> None:
    await scene.set_stop(fallback="to_door", later_fallbacks=["neighbour", "tomorrow"])
    for chosen, later in (
        (Fallback.DEPOT, []),
        (Fallback.NEIGHBOUR, ["to_door", "tomorrow"]),
        (Fallback.TOMORROW, []),
        (Fallback.PICKUP_POINT, ["to_door", "neighbour", "tomorrow"]),
    ):
        stop = (await do(scene, rebooking.redirect, scene.consignee, fallback=chosen)).stop
        assert (stop.fallback, stop.later_fallbacks) == (chosen, later)


# ---- who may


async def test_nobody_else_may(scene: Scene, database: Database) -> None:
    other = await open_scene(database)
    await other.platform.makers.close()
    before = await scene.snapshot()
    wishes: list[tuple[Callable[..., Awaitable[Changed]], tuple[Any, ...]]] = [
        (rebooking.replan, (other.carrier, NewPlan(window=window_in(scene, 1)))),
        (rebooking.cancel, (other.carrier,)),
        (rebooking.hand_over, (other.carrier, other.courier_id)),
        (rebooking.keep, (scene.stranger,)),
        (rebooking.keep, (other.consignee,)),
        (rebooking.extend, (scene.stranger, scene.now + 4 * HOUR)),
        (fallback.take_fallback, (other.courier, FallbackGiven(done=Fallback.DEPOT))),
        (fallback.take_fallback,
         (Wisher(part=scene.courier.part, id=scene.other_courier_id), FallbackGiven(done=Fallback.DEPOT))),
    ]  # fmt: skip
    for what, values in wishes:
        with pytest.raises(NotFound):
            await do(scene, what, *values)
    with pytest.raises(NotFound):
        await do(scene, rebooking.redirect, scene.stranger, fallback=Fallback.DEPOT)
    async with scene.database.transaction() as connection:
        with pytest.raises(NotFound):
            await consent.block(connection, scene.place_id, consignee_id=scene.stranger.id, now=scene.now)
    assert await scene.snapshot() == before


async def test_one_who_has_left_the_household_may_no_more(scene: Scene) -> None:
    await scene.ask("UPDATE member SET left_at = joined_at")
    with pytest.raises(NotFound):
        await do(scene, rebooking.redirect, scene.member, fallback=Fallback.DEPOT)


async def test_a_member_s_block_stands_among_the_deeds_under_their_name(scene: Scene) -> None:
    async with scene.database.transaction() as connection:
        await consent.block(connection, scene.place_id, consignee_id=scene.member.id, now=scene.now)
    deeds = await scene.ask("SELECT who, what FROM deed")
    assert deeds == [{"who": scene.member.who, "what": "blocked"}]
    told = await scene.ask("SELECT reader_id, facts->>'who' AS who FROM notice ORDER BY reader_id")
    assert {(one["reader_id"], one["who"]) for one in told} == {
        (scene.consignee.id, "Max Lee"), (scene.member.id, "Max Lee"),
    }  # fmt: skip


async def test_the_end_of_a_block_does_not_say_that_a_frozen_place_is_open_again(scene: Scene) -> None:
    async with scene.database.transaction() as connection:
        await consent.block(connection, scene.place_id, consignee_id=scene.consignee.id, now=scene.now)
        await consent.freeze(connection, scene.place_id, operator_id="ope_1", now=scene.now)
        await consent.unblock(connection, scene.place_id, consignee_id=scene.consignee.id, now=scene.now)
    told = "SELECT 1 FROM notice WHERE access_point_id = %s AND event = 'unblocked'"
    assert await scene.ask(told, scene.place_id) == []
    async with scene.database.transaction() as connection:
        await consent.thaw(connection, scene.place_id, operator_id="ope_1", now=scene.now)
    assert await scene.ask(told, scene.place_id) != []


async def test_a_thaw_does_not_say_that_a_blocked_place_is_open_again(scene: Scene) -> None:
    async with scene.database.transaction() as connection:
        await consent.block(connection, scene.place_id, consignee_id=scene.consignee.id, now=scene.now)
        await consent.freeze(connection, scene.place_id, operator_id="ope_1", now=scene.now + MINUTE)
        await consent.thaw(connection, scene.place_id, operator_id="ope_1", now=scene.now + 2 * MINUTE)
    events = {one["event"] for one in await scene.ask("SELECT event FROM notice")}
    assert events == {NoticeEvent.BLOCKED}


# ---- races: what commits first, counts


async def until_someone_waits(scene: Scene) -> None:
    while await scene.ask("SELECT count(*) FROM pg_locks WHERE NOT granted") == [{"count": 0}]:
        await asyncio.sleep(0.01)


STOPPING = {
    Wish.CANCEL: Incident.CARRIER_CANCELLED,
    Wish.REDIRECT: Incident.CONSIGNEE_REDIRECTED,
    Wish.BLOCK: Incident.CONSIGNEE_BLOCKED,
    Wish.FREEZE: Incident.PLATFORM_PLACE_FROZEN,
}


@pytest.mark.parametrize("wish", STOPPING)
async def test_a_wish_that_commits_before_the_gate_stops_the_unlock(scene: Scene, wish: Wish) -> None:
    visit = await scene.begin()
    unlock_id = await scene.unlock_id(visit.id)
    async with scene.database.transaction() as connection:
        await wish_it(scene, wish, connection, NewPlan())
        passing = asyncio.create_task(pass_gate(scene.platform, unlock_id, None))
        await until_someone_waits(scene)
    assert await passing is None
    row = await scene.get_visit(visit.id)
    assert (row.visit.state, row.incident) == (State.REFUSED, STOPPING[wish])
    assert await scene.ask("SELECT state FROM command") == [{"state": "not_sent"}]


@pytest.mark.parametrize("wish", STOPPING)
async def test_a_wish_that_comes_after_the_gate_finds_it_passed(scene: Scene, wish: Wish) -> None:
    visit = await scene.begin()
    unlock_id = await scene.unlock_id(visit.id)
    place = "SELECT 1 FROM access_point WHERE id = %s FOR NO KEY UPDATE"

    async def wish_later() -> Any:
        async with scene.database.transaction() as connection:
            return await wish_it(scene, wish, connection, NewPlan())

    async with scene.database.transaction() as connection:
        await connection.execute(place, (scene.place_id,))
        passing = asyncio.create_task(pass_gate(scene.platform, unlock_id, None))
        await until_someone_waits(scene)
        wishing = asyncio.create_task(wish_later())
        while await scene.ask("SELECT count(*) FROM pg_locks WHERE NOT granted") != [{"count": 2}]:
            await asyncio.sleep(0.01)
    assert await passing is not None
    changed = await wishing
    if isinstance(changed, Changed):
        assert changed.outcome.refusal is Refusal.OPENED_ALREADY
        assert (await scene.get_visit(visit.id)).visit.state is State.UNLOCKING
        assert (await scene.stop()).state is StopState.OPEN
    else:
        assert (await scene.get_visit(visit.id)).visit.state is State.LOCKING


@pytest.mark.parametrize("wish", [Wish.CANCEL, Wish.REDIRECT])
async def test_a_scan_that_waited_for_such_a_wish_is_refused_by_it(scene: Scene, wish: Wish) -> None:
    async with scene.database.transaction() as connection:
        await wish_it(scene, wish, connection, NewPlan())
        scanning = asyncio.create_task(scene.scan())
        await until_someone_waits(scene)
    row = await scanning
    assert row.visit.state is State.REFUSED
    denied = await scene.ask("SELECT body->'reasons' AS reasons FROM journal WHERE name = 'denied'")
    assert STOPPING[wish] in denied[0]["reasons"]


async def test_a_wish_that_waited_for_a_scan_stops_its_visit(scene: Scene) -> None:
    place = "SELECT 1 FROM access_point WHERE id = %s FOR NO KEY UPDATE"

    async def cancel() -> Changed:
        return await do(scene, rebooking.cancel, scene.carrier)

    async with scene.database.transaction() as connection:
        await connection.execute(place, (scene.place_id,))
        scanning = asyncio.create_task(scene.scan())
        await until_someone_waits(scene)
        cancelling = asyncio.create_task(cancel())
        while await scene.ask("SELECT count(*) FROM pg_locks WHERE NOT granted") != [{"count": 2}]:
            await asyncio.sleep(0.01)
    row = await scanning
    changed = await cancelling
    assert changed.outcome.effect is Effect.STOPS_VISIT
    assert (await scene.get_visit(row.id)).incident is Incident.CARRIER_CANCELLED


async def test_the_gate_itself_looks_at_the_stop(scene: Scene) -> None:
    """Whatever has written it there, a stop that is ruled out or has ended opens nothing."""
    for values, incident in (
        ({"ruled_out": "device_asleep"}, Incident.DEVICE_ASLEEP),
        ({"ruled_out": None, "state": "cancelled"}, Incident.CARRIER_STOP_ENDED),
        ({"state": "open", "access_point_id": scene.other_place_id}, Incident.CARRIER_STOP_ENDED),
    ):
        await scene.set_stop(state="open", ruled_out=None, access_point_id=scene.place_id)
        visit = await scene.begin()
        await scene.set_stop(**values)
        assert await pass_gate(scene.platform, await scene.unlock_id(visit.id), None) is None
        row = await scene.get_visit(visit.id)
        assert (row.visit.state, row.incident) == (State.REFUSED, incident)


async def test_two_who_send_stops_to_each_other_s_place_both_get_through(
    scene: Scene, database: Database
) -> None:
    """Both lock both places: in one order, or PostgreSQL ends one of them."""
    await scene.ask(
        "INSERT INTO stop SELECT 'stq_' || %s::text, carrier_id, courier_id, %s, shipment_id, window_from, "
        "window_until, fallback, state, created_at FROM stop WHERE id = %s",
        str(scene.n), scene.other_place_id, scene.stop_id,
    )  # fmt: skip

    async def move(stop_id: str, place_id: str) -> Changed:
        async with scene.database.transaction() as connection:
            plan = NewPlan(access_point_id=place_id)
            return await rebooking.replan(scene.platform, connection, stop_id, scene.carrier, plan)

    for _ in range(10):
        there = await asyncio.gather(
            move(scene.stop_id, scene.other_place_id), move(f"stq_{scene.n}", scene.place_id)
        )
        back = await asyncio.gather(
            move(scene.stop_id, scene.place_id), move(f"stq_{scene.n}", scene.other_place_id)
        )
        assert {one.outcome.effect for one in (*there, *back)} == {Effect.DONE}


async def test_of_two_wishes_at_once_the_second_sees_the_first(scene: Scene) -> None:
    results = await asyncio.gather(
        *(do(scene, rebooking.cancel, scene.carrier) for _ in range(5)),
        *(do(scene, rebooking.redirect, scene.consignee, fallback=Fallback.DEPOT) for _ in range(5)),
    )
    stop = await scene.stop()
    assert stop.state is StopState.CANCELLED, "a redirect does not undo it, and it overrules a redirect"
    assert [one.outcome.effect for one in results[:5]].count(Effect.DONE) == 1
    assert len(await scene.ask("SELECT 1 FROM deed WHERE what = 'cancelled'")) == 1


# ---- nobody came


async def over(scene: Scene) -> bool:
    async with scene.database.transaction() as connection:
        return await end_of_window(connection, scene.stop_id, scene.now)


async def test_when_nobody_came_the_fallback_is_due_and_it_is_told_once(scene: Scene) -> None:
    assert not await over(scene), "the window is not over"
    await scene.set_stop(window_until=scene.now - MINUTE)
    assert await over(scene)
    assert not await over(scene)
    stop = await scene.stop()
    assert (stop.state, stop.ruled_out) == (StopState.FALLBACK_DUE, Incident.CARRIER_NOBODY_CAME)
    told = await scene.ask(
        "SELECT reader, facts->>'fallback' AS fallback FROM notice WHERE event = 'nobody_came'"
    )
    assert len(told) == 3
    assert {one["fallback"] for one in told} == {"to_door"}
    changed = await do(scene, rebooking.replan, scene.carrier, NewPlan(window=window_in(scene, 1)))
    assert (changed.stop.state, changed.stop.ruled_out) == (StopState.OPEN, None)


async def test_a_scan_that_came_too_early_takes_nothing_from_the_day(scene: Scene) -> None:
    """The courier comes back in the window, so the household still hears of its morning, and the car is looked at."""
    await scene.set_stop(window_from=scene.now + MINUTE)
    assert (await scene.scan()).incident is Incident.COURIER_TOO_EARLY
    stop = await scene.stop()
    assert (stop.state, await scene.stage()) == (StopState.OPEN, Stage.PLANNED)
    (parcel,) = await scene.ask("SELECT place, held_by FROM parcel")
    assert parcel == {"place": "with_courier", "held_by": scene.courier_id}
    await scene.set_stop(window_from=scene.now - HOUR, window_until=scene.now - MINUTE)
    assert await over(scene)
    assert (await scene.stop()).state is StopState.FALLBACK_DUE


async def test_a_courier_who_asked_in_the_window_did_come(scene: Scene) -> None:
    visit = await scene.scan(position=replace(HERE, latitude=HERE.latitude + 0.002))
    assert visit.incident is Incident.COURIER_TOO_FAR
    assert (await scene.stop()).state is StopState.OPEN
    await scene.set_stop(window_until=scene.now - MINUTE)
    assert await over(scene)
    stop = await scene.stop()
    assert (stop.state, stop.ruled_out) == (StopState.FALLBACK_DUE, None)
    assert await scene.ask("SELECT 1 FROM notice WHERE event = 'nobody_came'") == []


@pytest.mark.parametrize("stage", [Stage.BEFORE_GATE, Stage.OPEN_NOW])
async def test_a_visit_that_lives_is_somebody(scene: Scene, stage: Stage) -> None:
    await scene.bring_to(stage)
    await scene.set_stop(window_until=scene.now - MINUTE)
    assert not await over(scene)
    assert await scene.stage() is stage


@pytest.mark.parametrize("stage", [Stage.REDIRECTED, *sorted(ENDED), Stage.FALLBACK_DUE])
async def test_what_has_ended_or_is_decided_is_left_alone(scene: Scene, stage: Stage) -> None:
    await scene.bring_to(stage)
    await scene.set_stop(window_until=scene.now - MINUTE)
    before = await scene.snapshot()
    assert not await over(scene)
    assert await scene.snapshot() == before


async def test_what_pre_flight_ruled_out_keeps_its_reason(scene: Scene) -> None:
    await scene.bring_to(Stage.RULED_OUT)
    await scene.set_stop(window_until=scene.now - MINUTE)
    assert await over(scene)
    stop = await scene.stop()
    assert (stop.state, stop.ruled_out) == (StopState.FALLBACK_DUE, Incident.CONSIGNEE_CAR_OUT_OF_RANGE)
    assert await scene.ask("SELECT 1 FROM notice") == []


async def test_who_delivered_one_parcel_of_two_did_come(database: Database) -> None:
    scene = await open_scene(database, parcels=2)
    visit = await scene.begin()
    await scene.tell(visit.id, *DELIVERED)
    await scene.set_stop(window_until=scene.now - MINUTE)
    assert await over(scene)
    stop = await scene.stop()
    assert (stop.state, stop.ruled_out) == (StopState.FALLBACK_DUE, None)
    assert await scene.ask("SELECT 1 FROM notice WHERE event = 'nobody_came'") == []
    await scene.platform.makers.close()


async def test_a_visit_that_was_stopped_ends_no_later_than_that(scene: Scene) -> None:
    """Facts that come late for a visit that a redirect has stopped move neither stop nor parcel."""
    visit = await scene.begin()
    await do(scene, rebooking.redirect, scene.consignee, fallback=Fallback.NEIGHBOUR)
    before = await scene.stop()
    await scene.tell(visit.id, *OPENED, Fact.COURIER_DEPOSITED, Fact.SEEN_LOCKED)
    assert await scene.stop() == before
    assert await scene.ask("SELECT place FROM parcel") == [{"place": "with_courier"}]
