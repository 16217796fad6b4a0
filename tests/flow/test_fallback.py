"""The fallback as a plan: its steps, its ends, and each parcel in exactly one place (L4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from tests.flow.scene import DELIVERED, Scene, open_scene

from unlatch.domain.access import Fallback
from unlatch.domain.booking import Effect, Refusal, Stage, StopState
from unlatch.domain.fallback import NEEDS_WORDS, PLACES, TRIES_MAX
from unlatch.domain.parcel import ParcelPlace
from unlatch.domain.visit import State
from unlatch.errors import BadInput, Conflict
from unlatch.flow import fallback, rebooking
from unlatch.flow.booking import StopGiven, book_stop
from unlatch.flow.fallback import FallbackGiven, Settlement
from unlatch.flow.options import WindowGiven
from unlatch.flow.rebooking import NewPlan
from unlatch.flow.wishes import Changed, Wisher
from unlatch.flow.words import Photo
from unlatch.store import stops
from unlatch.store.database import Database
from unlatch.store.stops import StopRow

DAY = timedelta(days=1)
PHOTO = Photo(sha256=b"s" * 32, media_type="image/jpeg", content=b"a picture")


@pytest.fixture
async def scene(database: Database) -> AsyncIterator[Scene]:
    scene = await open_scene(database, parcels=2)
    await scene.set_stop(fallback="to_door", later_fallbacks=["neighbour", "tomorrow"])
    yield scene
    await scene.platform.makers.close()


async def take(scene: Scene, stop_id: str | None = None, by: Wisher | None = None, **given: Any) -> Changed:
    async with scene.database.transaction() as connection:
        return await fallback.take_fallback(
            scene.platform, connection, stop_id or scene.stop_id, by or scene.courier, FallbackGiven(**given)
        )


async def settle(scene: Scene, **given: Any) -> Changed:
    values = {"done": None, "held_by": None, "told": "the van broke down", **given}
    async with scene.database.transaction() as connection:
        return await fallback.settle(
            scene.platform, connection, scene.stop_id, scene.operator, Settlement(**values)
        )


async def ends(scene: Scene) -> list[dict[str, Any]]:
    return await scene.ask("SELECT * FROM fallback_end ORDER BY stop_id, parcel_id")


async def places(scene: Scene) -> list[str]:
    return [one["place"] for one in await scene.ask("SELECT place FROM parcel ORDER BY id")]


async def find_next(scene: Scene, stop_id: str) -> StopRow:
    async with scene.database.connection() as connection:
        found = await stops.find_next_stop(connection, stop_id)
        assert found is not None
        row = await stops.find_stop(connection, found)
    assert row is not None
    return row


@pytest.mark.parametrize("done", Fallback)
async def test_each_step_ends_the_stop_and_says_where_its_parcels_are(scene: Scene, done: Fallback) -> None:
    order = ["to_door", "neighbour", "pickup_point", "depot"]
    if done is Fallback.TOMORROW:
        order[-1] = "tomorrow"
    await scene.set_stop(fallback=order[0], later_fallbacks=order[1:])
    told = "with Mr Noor, no. 14" if done in NEEDS_WORDS else ""
    changed = await take(scene, done=done, told=told)
    assert (changed.outcome.effect, changed.stop.state) == (Effect.DONE, StopState.FALLBACK_DONE)
    assert await places(scene) == [PLACES[done]] * 2
    assert await scene.ask("SELECT DISTINCT held_by FROM parcel") == [{"held_by": None}]
    found = await ends(scene)
    assert {(one["fallback"], one["told"], one["who"]) for one in found} == {(done, told, scene.courier.who)}
    assert len({one["parcel_id"] for one in found}) == len(found) == 2
    notices = await scene.ask("SELECT facts FROM notice WHERE event = 'fallback_done'")
    assert len(notices) == 3  # two of the household, and the carrier
    facts = notices[0]["facts"]
    assert (facts["fallback"], facts["told"], facts["courier"]) == (done, told, "Bo")
    assert facts["at"].endswith("Z")


BAD: list[tuple[dict[str, Any], str]] = [
    ({"done": Fallback.PICKUP_POINT, "told": "the shop"}, "done"),  # of no step of the plan
    ({"done": Fallback.DEPOT}, "done"),  # the plan ends with tomorrow
    ({"done": Fallback.NEIGHBOUR}, "told"),
    ({"done": Fallback.NEIGHBOUR, "told": "   "}, "told"),
    ({"done": Fallback.TO_DOOR, "could_not": [Fallback.NEIGHBOUR]}, "could_not"),
    ({"done": Fallback.NEIGHBOUR, "told": "x", "could_not": [Fallback.NEIGHBOUR]}, "could_not"),
    ({"done": Fallback.TOMORROW, "could_not": [Fallback.DEPOT]}, "could_not"),
]


@pytest.mark.parametrize(("given", "field"), BAD)
async def test_what_is_not_of_the_plan_is_refused_by_its_field(
    scene: Scene, given: dict[str, Any], field: str
) -> None:
    before = await scene.snapshot()
    with pytest.raises(BadInput) as caught:
        await take(scene, **given)
    assert caught.value.field == field
    assert await scene.snapshot() == before


async def test_the_steps_that_failed_are_written_down(scene: Scene) -> None:
    failed: Sequence[Fallback] = (Fallback.TO_DOOR, Fallback.NEIGHBOUR)
    await take(scene, done=Fallback.TOMORROW, could_not=failed)
    assert [one["could_not"] for one in await ends(scene)] == [["to_door", "neighbour"]] * 2


async def test_a_later_step_may_be_taken_at_once(scene: Scene) -> None:
    changed = await take(scene, done=Fallback.NEIGHBOUR, told="with the porter", photo=PHOTO)
    assert changed.outcome.effect is Effect.DONE
    assert {bytes(one["photo"]) for one in await ends(scene)} == {PHOTO.sha256}
    kept = await scene.ask("SELECT content FROM fallback_photo")
    assert [bytes(one["content"]) for one in kept] == [PHOTO.content]


async def test_said_twice_it_is_done_once_and_otherwise_it_is_refused(scene: Scene) -> None:
    given: dict[str, Any] = {"done": Fallback.NEIGHBOUR, "told": "with Mr Noor"}
    results = await asyncio.gather(*(take(scene, **given) for _ in range(5)))
    effects = sorted(one.outcome.effect for one in results)
    assert effects == [*[Effect.CHANGES_NOTHING] * 4, Effect.DONE]
    assert len(await ends(scene)) == 2
    other = await take(scene, done=Fallback.NEIGHBOUR, told="with Mrs Noor")
    assert other.outcome.refusal is Refusal.FALLBACK_TAKEN
    assert {one["told"] for one in await ends(scene)} == {"with Mr Noor"}


async def test_what_was_delivered_stays_in_its_place(scene: Scene) -> None:
    visit = await scene.begin()
    await scene.tell(visit.id, *DELIVERED)
    changed = await take(scene, done=Fallback.TO_DOOR)
    assert changed.outcome.effect is Effect.DONE
    assert await places(scene) == ["in_place", "at_fallback"]
    assert len(await ends(scene)) == 1


async def test_again_tomorrow_is_booked_at_once(scene: Scene) -> None:
    was = await scene.stop()
    await take(scene, done=Fallback.TOMORROW)
    again = await find_next(scene, scene.stop_id)
    assert (again.window_from, again.window_until) == (was.window_from + DAY, was.window_until + DAY)
    assert (again.courier_id, again.state, again.tries) == (None, "open", 2)
    assert (again.fallback, again.later_fallbacks) == (was.fallback, was.later_fallbacks)
    assert (again.access_point_id, again.shipment_id) == (was.access_point_id, was.shipment_id)
    assert await scene.ask("SELECT DISTINCT stop_id, place FROM parcel") == [
        {"stop_id": again.id, "place": ParcelPlace.WITH_CARRIER}
    ]
    booked = await scene.ask("SELECT DISTINCT stop_id, event FROM notice WHERE event = 'booked'")
    assert booked == [{"stop_id": again.id, "event": "booked"}]
    deeds = await scene.ask("SELECT stop_id, what FROM deed ORDER BY id")
    assert {(one["stop_id"], one["what"]) for one in deeds} == {
        (scene.stop_id, "fallback_done"), (again.id, "booked"),
    }  # fmt: skip
    # said again, no third stop comes of it
    repeated = await take(scene, done=Fallback.TOMORROW)
    assert repeated.outcome.effect is Effect.CHANGES_NOTHING
    assert await scene.ask("SELECT count(*) FROM stop") == [{"count": 2}]


async def test_the_next_try_has_the_window_that_was_planned_and_not_what_it_was_extended_to(
    scene: Scene,
) -> None:
    was = await scene.stop()
    async with scene.database.transaction() as connection:
        changed = await rebooking.extend(
            scene.platform, connection, scene.stop_id, scene.consignee, was.window_until + timedelta(hours=1)
        )
    assert changed.stop.window_until == was.window_until + timedelta(hours=1)
    await take(scene, done=Fallback.TOMORROW)
    again = await find_next(scene, scene.stop_id)
    assert (again.window_from, again.window_until) == (was.window_from + DAY, was.window_until + DAY)


async def test_after_three_days_in_a_row_it_goes_to_the_depot(scene: Scene) -> None:
    stop_id = scene.stop_id
    for number in range(1, TRIES_MAX):
        await take(scene, stop_id, done=Fallback.TOMORROW)
        again = await find_next(scene, stop_id)
        assert again.tries == number + 1
        stop_id = again.id
        async with scene.database.transaction() as connection:
            await rebooking.hand_over(scene.platform, connection, stop_id, scene.carrier, scene.courier_id)
    with pytest.raises(BadInput) as caught:
        await take(scene, stop_id, done=Fallback.TOMORROW)
    assert caught.value.field == "done"
    await take(scene, stop_id, done=Fallback.DEPOT)
    assert await places(scene) == ["returned"] * 2
    assert await scene.ask("SELECT count(*) FROM stop") == [{"count": TRIES_MAX}]
    assert len(await ends(scene)) == 2 * TRIES_MAX, "one end for each parcel and stop"


async def test_the_last_day_promises_no_other(scene: Scene) -> None:
    """What is told of a stop is told by its row: its plan names no step that is none any more."""
    await scene.set_stop(fallback="tomorrow", later_fallbacks=[], tries=TRIES_MAX - 1)
    await take(scene, done=Fallback.TOMORROW)
    last = await find_next(scene, scene.stop_id)
    assert (last.tries, last.fallback, last.later_fallbacks) == (TRIES_MAX, "depot", [])
    told = await scene.ask(
        "SELECT DISTINCT facts->>'fallback' AS fallback FROM notice WHERE stop_id = %s", last.id
    )
    assert told == [{"fallback": "depot"}]


async def test_the_next_try_is_delivered_like_any_other(scene: Scene) -> None:
    await take(scene, done=Fallback.TOMORROW)
    again = await find_next(scene, scene.stop_id)
    async with scene.database.transaction() as connection:
        await rebooking.hand_over(scene.platform, connection, again.id, scene.carrier, scene.courier_id)
    await scene.ask("UPDATE stop SET window_from = now() - interval '1 hour' WHERE id = %s", again.id)
    old = await scene.scan()
    assert old.visit.state is State.REFUSED, "the stop before has ended"
    assert await places(scene) == ["with_carrier"] * 2


async def test_what_the_household_chose_is_not_carried_into_the_next_try(scene: Scene) -> None:
    async with scene.database.transaction() as connection:
        await rebooking.redirect(
            scene.platform, connection, scene.stop_id, scene.consignee, fallback=Fallback.TOMORROW
        )
    await take(scene, done=Fallback.TOMORROW)
    again = await find_next(scene, scene.stop_id)
    assert (again.fallback, again.ruled_out) == ("to_door", None)


async def test_with_nothing_left_to_deliver_tomorrow_books_nothing(scene: Scene) -> None:
    await scene.ask("UPDATE parcel SET place = 'in_place'")
    await take(scene, done=Fallback.TOMORROW)
    assert await scene.ask("SELECT count(*) FROM stop") == [{"count": 1}]
    assert await ends(scene) == []


async def test_an_operator_names_who_holds_them(scene: Scene) -> None:
    await scene.bring_to(Stage.FALLBACK_DUE)
    changed = await settle(scene, held_by="Olga at the desk")
    assert changed.stop.state is StopState.FALLBACK_DONE
    held = await scene.ask("SELECT DISTINCT place, held_by FROM parcel")
    assert held == [{"place": "held", "held_by": "Olga at the desk"}]
    assert {(one["fallback"], one["who"]) for one in await ends(scene)} == {("held", scene.operator.who)}
    assert (await settle(scene, held_by="Someone else")).outcome.refusal is Refusal.FALLBACK_TAKEN


async def test_an_operator_says_one_of_the_ways(scene: Scene) -> None:
    for given in ({}, {"done": Fallback.DEPOT, "held_by": "Olga"}):
        with pytest.raises(BadInput):
            await settle(scene, **given)
    await scene.set_stop(tries=TRIES_MAX)
    with pytest.raises(BadInput):
        await settle(scene, done=Fallback.TOMORROW)
    await settle(scene, done=Fallback.PICKUP_POINT)
    assert await places(scene) == ["at_fallback"] * 2


async def test_a_courier_and_a_new_plan_at_once_leave_one_end(scene: Scene) -> None:
    """Whichever commits first: the fallback ends the stop, or the plan goes on and the fallback ends that."""
    plan = NewPlan(courier_id=scene.other_courier_id)

    async def replan() -> Changed | None:
        async with scene.database.transaction() as connection:
            return await rebooking.replan(scene.platform, connection, scene.stop_id, scene.carrier, plan)

    taken, planned = await asyncio.gather(
        take(scene, done=Fallback.TO_DOOR), replan(), return_exceptions=True
    )
    stop = await scene.stop()
    if isinstance(taken, Changed):
        assert stop.state is StopState.FALLBACK_DONE
        assert isinstance(planned, Changed)
        assert planned.outcome.refusal is Refusal.FALLBACK_TAKEN
        assert len(await ends(scene)) == 2
    else:
        assert stop.courier_id == scene.other_courier_id
        assert await ends(scene) == []


async def test_what_waits_for_its_fallback_is_not_booked_away_from_under_the_courier(scene: Scene) -> None:
    """Who carries out the plan of a stop holds its parcels: another booking of them ended the stop with nothing."""
    await scene.bring_to(Stage.FALLBACK_DUE)
    (shipment,) = await scene.ask("SELECT shipment_id FROM stop WHERE id = %s", scene.stop_id)
    given = StopGiven(
        courier_id=None,
        access_point_id=scene.other_place_id,
        shipment_id=shipment["shipment_id"],
        window=WindowGiven(window_from=scene.now, window_until=scene.now + timedelta(hours=2)),
        fallback=Fallback.DEPOT,
    )
    with pytest.raises(Conflict):
        async with scene.database.transaction() as connection:
            await book_stop(
                scene.platform, connection, given, carrier_id=scene.carrier.id, now=scene.platform.clock.now()
            )
    await take(scene, done=Fallback.TO_DOOR)
    assert len(await ends(scene)) == 2
    assert await places(scene) == ["at_fallback"] * 2
