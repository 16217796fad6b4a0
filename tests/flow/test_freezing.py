"""Freezes that reach further than one place: nothing opens, locks go on, and the first of gate and freeze counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.flow.stage import HERE, Stage, Stop, open_stage
from tests.flow.test_gate import wait_until_gate_waits

from unlatch.domain.access import Position, distance_m
from unlatch.domain.freeze import Scope
from unlatch.domain.incident import Incident
from unlatch.domain.visit import State
from unlatch.errors import BadInput, Conflict
from unlatch.flow import freezing
from unlatch.flow.freezing import Circle
from unlatch.flow.gate import pass_gate
from unlatch.store import freezes
from unlatch.store.database import Database
from unlatch.store.freezes import FreezeRow

NEAR = Circle(latitude=HERE.latitude, longitude=HERE.longitude, radius_m=2_000)
FAR = Circle(latitude=HERE.latitude + 1, longitude=HERE.longitude, radius_m=2_000)


@pytest.fixture
async def stage(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(database, tmp_path, factor=60, has_worker=False) as stage:
        yield stage


@pytest.fixture
async def working(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(database, tmp_path) as stage:
        yield stage


async def freeze(stage: Stage, scope: Scope, subject: str = "", circle: Circle | None = None) -> FreezeRow:
    async with stage.platform.database.transaction() as connection:
        return await freezing.freeze(
            stage.platform,
            connection,
            scope=scope,
            subject=subject,
            circle=circle,
            why="a test",
            operator_id="ope_1",
            now=stage.platform.clock.now(),
        )


def reach(stop: Stop, scope: Scope) -> tuple[str, Circle | None]:
    """What is to be frozen so that this stop is."""
    subject = {Scope.COURIER: stop.courier_id, Scope.CLOUD: "onstar", Scope.AREA: "the river"}.get(scope, "")
    return subject, NEAR if scope is Scope.AREA else None


def incident(scope: Scope) -> Incident:
    return Incident.PLATFORM_COURIER_FROZEN if scope is Scope.COURIER else Incident.PLATFORM_FROZEN_WIDELY


@pytest.mark.parametrize("scope", Scope)
async def test_a_scan_is_refused_while_it_is_in_force_and_no_longer(stage: Stage, scope: Scope) -> None:
    stop = await stage.add_stop("onstar")
    row = await freeze(stage, scope, *reach(stop, scope))
    assert incident(scope) in (await stage.scan(stop)).reasons
    async with stage.platform.database.transaction() as connection:
        await freezing.thaw(connection, row.id, operator_id="ope_2", now=stage.platform.clock.now())
    assert incident(scope) not in (await stage.scan(stop)).reasons


@pytest.mark.parametrize(
    ("scope", "subject", "circle"),
    [(Scope.CLOUD, "volvo", None), (Scope.AREA, "far", FAR), (Scope.COURIER, "another", None)],
)
async def test_what_it_does_not_reach_goes_on(
    stage: Stage, scope: Scope, subject: str, circle: Circle | None
) -> None:
    stop, other = await stage.add_stop("onstar"), await stage.add_stop("onstar")
    await freeze(stage, scope, other.courier_id if subject == "another" else subject, circle)
    assert not {Incident.PLATFORM_COURIER_FROZEN, Incident.PLATFORM_FROZEN_WIDELY} & set(
        (await stage.scan(stop)).reasons
    )


@pytest.mark.parametrize("scope", Scope)
async def test_a_freeze_between_the_decision_and_the_gate_shuts_the_gate(stage: Stage, scope: Scope) -> None:
    stop, visit_id, command_id = await stage.grant()
    await freeze(stage, scope, *reach(stop, scope))
    assert await pass_gate(stage.platform, command_id, None) is None
    row = await stage.get(visit_id)
    assert (row.visit.state, row.incident) == (State.REFUSED, incident(scope))


async def test_a_gate_that_waits_for_a_freeze_sees_it(stage: Stage) -> None:
    """The first to commit counts: a gate that begins while a freeze is being written waits for it."""
    _, visit_id, command_id = await stage.grant()
    async with stage.platform.database.transaction() as connection:
        await freezing.freeze(
            stage.platform, connection, scope=Scope.EVERYTHING, subject="", circle=None, why="a test",
            operator_id="ope_1", now=stage.platform.clock.now(),
        )  # fmt: skip
        passing = asyncio.create_task(pass_gate(stage.platform, command_id, None))
        await wait_until_gate_waits(stage)
    assert await passing is None
    assert (await stage.get(visit_id)).incident is Incident.PLATFORM_FROZEN_WIDELY


async def test_a_freeze_waits_for_the_gate_that_is_passing(stage: Stage) -> None:
    async with stage.platform.database.transaction() as connection:
        await connection.execute(
            freezes.LOCK_SHARED.encode()
        )  # a gate that has looked, and not yet committed
        freezing_it = asyncio.create_task(freeze(stage, Scope.EVERYTHING))
        await wait_until_gate_waits(stage)
        assert not freezing_it.done()
    assert (await freezing_it).scope == Scope.EVERYTHING


async def test_what_had_passed_the_gate_before_is_locked(stage: Stage) -> None:
    _, visit_id, command_id = await stage.grant()
    assert await pass_gate(stage.platform, command_id, None) is not None
    row = await freeze(stage, Scope.EVERYTHING)
    assert await freezing.sweep(stage.platform) == 1
    visit = await stage.get(visit_id)
    assert visit.visit.wants_lock, visit.visit
    assert row.id in await stage.story(visit_id)


@pytest.mark.parametrize("scope", Scope)
async def test_what_is_open_is_locked(working: Stage, scope: Scope) -> None:
    stop = await working.add_stop("onstar")
    visit_id = await working.begin(stop)
    await working.until_state(visit_id, State.READY, State.UNLOCKED)
    await freeze(working, scope, *reach(stop, scope))
    await working.until_state(
        visit_id, State.ACCOUNTING
    )  # seen locked; the courier is asked where the parcel is
    assert (await working.town.state(stop.vin)).is_secured


async def test_a_frozen_courier_is_not_stopped_at_the_visit_of_another(working: Stage) -> None:
    stop, other = await working.add_stop("onstar"), await working.add_stop("onstar")
    visit_id = await working.begin(stop)
    await working.until_state(visit_id, State.READY, State.UNLOCKED)
    row = await freeze(working, Scope.COURIER, other.courier_id)
    async with asyncio.timeout(20):
        while not await is_swept(working, row):
            await asyncio.sleep(0.02)
    assert row.id not in await working.story(visit_id)


async def is_swept(stage: Stage, row: FreezeRow) -> bool:
    async with stage.platform.database.connection() as connection:
        found = await freezes.find_freeze(connection, row.id)
    return found is not None and found.swept_at is not None


async def test_a_visit_that_cannot_be_recorded_keeps_no_other_waiting(stage: Stage) -> None:
    """The broken one is tried again, and the other is stopped at once."""
    _, broken, _ = await stage.grant()
    _, sound, _ = await stage.grant()
    async with stage.platform.database.connection() as connection:
        await connection.execute("UPDATE visit SET state = 'nonsense' WHERE id = %s", (broken,))
    row = await freeze(stage, Scope.EVERYTHING)
    with pytest.raises(ValueError, match="nonsense"):
        await freezing.sweep(stage.platform)
    assert (await stage.get(sound)).visit.state is State.REFUSED
    assert not await is_swept(stage, row)
    async with stage.platform.database.connection() as connection:
        await connection.execute("UPDATE visit SET state = 'granted' WHERE id = %s", (broken,))
    assert await freezing.sweep(stage.platform) == 1
    assert (await stage.get(broken)).visit.state is State.REFUSED
    assert await is_swept(stage, row)


async def test_a_freeze_that_is_thawed_before_anyone_has_swept_it_still_stops_what_had_passed(
    stage: Stage,
) -> None:
    _, visit_id, command_id = await stage.grant()
    assert await pass_gate(stage.platform, command_id, None) is not None
    row = await freeze(stage, Scope.EVERYTHING)
    async with stage.platform.database.transaction() as connection:
        await freezing.thaw(connection, row.id, operator_id="ope_2", now=stage.platform.clock.now())
    assert await freezing.sweep(stage.platform) == 1
    assert (await stage.get(visit_id)).visit.wants_lock


async def test_said_twice_it_is_one_freeze_that_is_swept_again(stage: Stage) -> None:
    row = await freeze(stage, Scope.CLOUD, "onstar")
    assert await freezing.sweep(stage.platform) == 1
    assert (await freeze(stage, Scope.CLOUD, "onstar")).id == row.id
    assert await freezing.sweep(stage.platform) == 1
    assert await freezing.sweep(stage.platform) == 0


async def test_what_can_not_be_frozen_is_told(stage: Stage) -> None:
    with pytest.raises(BadInput, match="no maker"):
        await freeze(stage, Scope.CLOUD, "dacia")
    with pytest.raises(BadInput, match="no such courier"):
        await freeze(stage, Scope.COURIER, "cou_nobody")
    with pytest.raises(BadInput, match="circle"):
        await freeze(stage, Scope.AREA, "here")
    with pytest.raises(BadInput, match="metres"):
        await freeze(stage, Scope.AREA, "here", Circle(latitude=0, longitude=0, radius_m=1e9))
    await freeze(stage, Scope.AREA, "here", NEAR)
    with pytest.raises(Conflict, match="another name"):
        await freeze(stage, Scope.AREA, "here", FAR)


POINTS = [
    Position(latitude=89.99, longitude=170), Position(latitude=-90, longitude=0), Position(latitude=0, longitude=180),
    Position(latitude=0.01, longitude=-179.99), Position(latitude=45, longitude=7), HERE,
]  # fmt: skip


@pytest.mark.parametrize("middle", POINTS)
@pytest.mark.parametrize("factor", [0.999, 1.001])
async def test_the_area_is_measured_as_everywhere_else(stage: Stage, middle: Position, factor: float) -> None:
    stop = await stage.add_stop("onstar")
    at = Position(latitude=max(-89.9, middle.latitude - 0.5), longitude=middle.longitude)
    async with stage.platform.database.connection() as connection:
        await connection.execute(
            "UPDATE access_point SET latitude = %s, longitude = %s WHERE id = %s",
            (at.latitude, at.longitude, stop.place_id),
        )
    radius_m = distance_m(middle, at) * factor
    circle = Circle(latitude=middle.latitude, longitude=middle.longitude, radius_m=radius_m)
    await freeze(stage, Scope.AREA, "there", circle)
    async with stage.platform.database.connection() as connection:
        found = await freezes.find_frozen(connection, stop.place_id, None)
    assert (found is not None) == (factor > 1)


async def test_setting_out_and_the_cars_position_are_refused_too(stage: Stage) -> None:
    stop = await stage.add_stop("onstar")
    await freeze(stage, Scope.COURIER, stop.courier_id)
    async with stage.platform.database.connection() as connection:
        assert await freezes.find_frozen(connection, stop.place_id, stop.courier_id) is (
            Incident.PLATFORM_COURIER_FROZEN
        )
        assert await freezes.find_frozen(connection, stop.place_id, "cou_other") is None


async def test_a_thaw_has_the_stops_looked_at_again_that_it_had_ruled_out(stage: Stage) -> None:
    stop = await stage.add_stop("onstar")
    row = await freeze(stage, Scope.CLOUD, "onstar")
    async with stage.platform.database.connection() as connection:
        await connection.execute(
            "UPDATE stop SET ruled_out = 'platform_frozen_widely' WHERE id = %s", (stop.stop_id,)
        )
    assert await freezing.sweep(stage.platform) == 1
    async with stage.platform.database.transaction() as connection:
        await freezing.thaw(connection, row.id, operator_id="ope_2", now=stage.platform.clock.now())
    assert await freezing.sweep(stage.platform) == 1
    async with stage.platform.database.connection() as connection:
        cursor = await connection.execute("SELECT kind FROM duty WHERE stop_id = %s", (stop.stop_id,))
        assert ("recheck",) in await cursor.fetchall()
