"""The table of what may be done to a booking, played cell by cell on a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from psycopg import AsyncConnection
from tests.flow.scene import Scene, open_scene
from tests.journeys.front import fresh_database

from unlatch.domain.access import Fallback
from unlatch.domain.booking import DEEDS, Effect, Stage, StopState, Wish, outcome_of
from unlatch.domain.incident import Incident
from unlatch.domain.notice import NoticeEvent
from unlatch.domain.visit import State
from unlatch.errors import NotFound
from unlatch.flow import consent, fallback, rebooking
from unlatch.flow.fallback import FallbackGiven, Settlement
from unlatch.flow.gate import pass_gate
from unlatch.flow.options import WindowGiven
from unlatch.flow.rebooking import NewPlan
from unlatch.flow.wishes import Changed
from unlatch.store.database import Database
from unlatch.store.embedded import Embedded

HOUR = timedelta(hours=1)
OF_A_PLACE = {Wish.BLOCK, Wish.UNBLOCK, Wish.FREEZE, Wish.THAW}


@pytest.fixture(scope="module")
def url(server: Embedded, template_database: str, worker_id: str) -> Iterator[str]:
    """One database for all cells: each plays with rows of its own."""
    with fresh_database(server, template_database, f"cells_{worker_id}") as url:
        yield url


@pytest.fixture
async def scene(url: str) -> AsyncIterator[Scene]:
    database = Database(url, name="cells")
    await database.open()
    scene = await open_scene(database)
    yield scene
    await scene.platform.makers.close()
    await database.close()


def window_in(scene: Scene, hours: float, length: float = 4) -> WindowGiven:
    begins = scene.now.replace(microsecond=0) + hours * HOUR
    return WindowGiven(window_from=begins, window_until=begins + length * HOUR)


async def wish_it(scene: Scene, wish: Wish, connection: AsyncConnection, plan: NewPlan) -> Any:
    """This wish by whoever may have it."""
    platform, stop_id = scene.platform, scene.stop_id
    by_id: dict[str, Any] = {"consignee_id": scene.consignee.id, "now": scene.now}
    by_desk: dict[str, Any] = {"operator_id": scene.operator.id, "now": scene.now}
    stop = await scene.stop()
    if wish is Wish.REPLAN:
        return await rebooking.replan(platform, connection, stop_id, scene.carrier, plan)
    if wish is Wish.CANCEL:
        return await rebooking.cancel(platform, connection, stop_id, scene.carrier)
    if wish is Wish.HAND_OVER:
        courier_id = scene.other_courier_id
        return await rebooking.hand_over(platform, connection, stop_id, scene.carrier, courier_id)
    if wish is Wish.REDIRECT:
        return await rebooking.redirect(
            platform, connection, stop_id, scene.consignee, fallback=Fallback.PICKUP_POINT
        )
    if wish is Wish.KEEP:
        return await rebooking.keep(platform, connection, stop_id, scene.consignee)
    if wish is Wish.EXTEND:
        until = stop.window_until if stop.extended_at else stop.window_until + HOUR
        return await rebooking.extend(platform, connection, stop_id, scene.consignee, until)
    if wish is Wish.BLOCK:
        return await consent.block(connection, scene.place_id, **by_id)
    if wish is Wish.UNBLOCK:
        return await consent.unblock(connection, scene.place_id, **by_id)
    if wish is Wish.FREEZE:
        return await consent.freeze(connection, scene.place_id, **by_desk)
    if wish is Wish.THAW:
        return await consent.thaw(connection, scene.place_id, **by_desk)
    if wish is Wish.SETTLE:
        given = Settlement(done=None, held_by="Olga", told="the van broke down")
        return await fallback.settle(platform, connection, stop_id, scene.operator, given)
    taken = FallbackGiven(done=Fallback.DEPOT)
    return await fallback.take_fallback(platform, connection, stop_id, scene.courier, taken)


# Where a wish that is done leaves the stop; None: as it was.
LEADS_TO = {
    Wish.REPLAN: StopState.OPEN,
    Wish.CANCEL: StopState.CANCELLED,
    Wish.REDIRECT: StopState.FALLBACK_DUE,
    Wish.KEEP: StopState.OPEN,
    Wish.SETTLE: StopState.FALLBACK_DONE,
    Wish.TAKE_FALLBACK: StopState.FALLBACK_DONE,
}


@pytest.mark.parametrize(("wish", "stage"), list(product(Wish, Stage)))
async def test_each_cell_of_the_table_is_what_happens(scene: Scene, wish: Wish, stage: Stage) -> None:
    visit_id = await scene.bring_to(stage)
    if wish in (
        Wish.UNBLOCK,
        Wish.THAW,
    ):  # there must be something to take back; a visit would not survive it
        column = "blocked_at = now()" if wish is Wish.UNBLOCK else "is_frozen = true"
        await scene.ask(f"UPDATE access_point SET {column} WHERE id = %s", scene.place_id)
    outcome, before, was = outcome_of(wish, stage), await scene.snapshot(), await scene.stop()
    plan = NewPlan(window=window_in(scene, 1))
    if wish is Wish.TAKE_FALLBACK and stage is Stage.BOOKED:
        with pytest.raises(NotFound):  # nobody's yet
            async with scene.database.transaction() as connection:
                await wish_it(scene, wish, connection, plan)
        return
    if wish is Wish.TAKE_FALLBACK and stage is Stage.FALLBACK_DONE:  # else it is the same said twice
        await scene.ask("UPDATE fallback_end SET fallback = 'to_door' WHERE stop_id = %s", scene.stop_id)
        before = await scene.snapshot()
    async with scene.database.transaction() as connection:
        changed = await wish_it(scene, wish, connection, plan)
    if isinstance(changed, Changed):
        assert changed.outcome == outcome
        assert changed.stop == await scene.stop()
    if outcome.effect in (Effect.NOT_ANY_MORE, Effect.CHANGES_NOTHING):
        assert await scene.snapshot() == before
        return
    await check_done(scene, wish, stage, before)
    if visit_id is not None:
        await check_visit(scene, wish, outcome.effect, visit_id)
    stop = await scene.stop()
    assert stop.state is (was.state if wish in OF_A_PLACE else LEADS_TO.get(wish, was.state)) or (
        wish in OF_A_PLACE and outcome.effect is Effect.STOPS_VISIT
    )
    await check_again(scene, wish, plan, visit_id)


# What the household is told of it.
TELLS = {
    Wish.REPLAN: {NoticeEvent.BOOKING_CHANGED},
    Wish.CANCEL: {NoticeEvent.BOOKING_CANCELLED},
    Wish.REDIRECT: {NoticeEvent.REDIRECTED},
    Wish.KEEP: {NoticeEvent.BOOKING_CHANGED},
    Wish.EXTEND: {NoticeEvent.BOOKING_CHANGED},
    Wish.BLOCK: {NoticeEvent.BLOCKED},
    Wish.UNBLOCK: {NoticeEvent.UNBLOCKED},
    Wish.FREEZE: {NoticeEvent.BLOCKED},
    Wish.THAW: {NoticeEvent.UNBLOCKED},
    Wish.SETTLE: {NoticeEvent.FALLBACK_DONE},
    Wish.TAKE_FALLBACK: {NoticeEvent.FALLBACK_DONE},
}


async def check_done(scene: Scene, wish: Wish, stage: Stage, before: dict[str, Any]) -> None:
    """One deed, and those who are to hear of it have heard of it once."""
    known = {deed["id"] for deed in before["deed"]}
    after = await scene.snapshot()
    deeds = [deed for deed in after["deed"] if deed["id"] not in known]
    assert [deed["what"] for deed in deeds] == [DEEDS[wish]], (wish, stage)
    heard = {one["id"] for one in before["notice"]}
    new = [one for one in after["notice"] if one["id"] not in heard]
    told = [one["event"] for one in new if one["reader"] == "consignee"]
    wants = TELLS.get(wish, set())
    if wish is Wish.HAND_OVER and stage is Stage.UNDER_WAY:
        wants = {NoticeEvent.BOOKING_CHANGED}
    if wish in (Wish.BLOCK, Wish.FREEZE) and stage is Stage.BEFORE_GATE:
        wants = {*wants, NoticeEvent.NOT_DELIVERED}  # and what happens to the parcel now
    assert sorted(told) == sorted([*wants, *wants]), "both of the household, each once"


async def check_visit(scene: Scene, wish: Wish, effect: Effect, visit_id: str) -> None:
    """S4: before the gate nothing leaves any more; after it a lock is ordered."""
    row = await scene.get_visit(visit_id)
    if effect is Effect.STOPS_VISIT:
        assert row.visit.state is State.REFUSED
        wanted = {
            Wish.CANCEL: Incident.CARRIER_CANCELLED,
            Wish.REDIRECT: Incident.CONSIGNEE_REDIRECTED,
            Wish.FREEZE: Incident.PLATFORM_PLACE_FROZEN,
        }
        assert row.incident is wanted.get(wish, Incident.CONSIGNEE_BLOCKED)
        assert await pass_gate(scene.platform, await scene.unlock_id(visit_id), None) is None
        assert await scene.ask("SELECT state FROM grant_ WHERE visit_id = %s", visit_id) == [
            {"state": "dead"}
        ]
        commands = await scene.ask("SELECT state FROM command WHERE visit_id = %s", visit_id)
        assert commands == [{"state": "not_sent"}]
    elif effect is Effect.LOCKS_VISIT:
        assert row.visit.state is State.LOCKING
        locks = "SELECT 1 FROM command WHERE verb = 'lock' AND state = 'intent' AND visit_id = %s"
        assert len(await scene.ask(locks, visit_id)) == 1


async def check_again(scene: Scene, wish: Wish, plan: NewPlan, visit_id: str | None) -> None:
    """The same wish again changes nothing (a block at a visit that lives is the one exception: it locks anew)."""
    before = await scene.snapshot()
    async with scene.database.transaction() as connection:
        again = await wish_it(scene, wish, connection, plan)
    if isinstance(again, Changed) and wish is not Wish.SETTLE:
        assert again.outcome.effect is Effect.CHANGES_NOTHING, again
    if wish in (Wish.BLOCK, Wish.FREEZE) and visit_id is not None and again is not None:
        assert again.visit.state is State.LOCKING
        return
    assert await scene.snapshot() == before
