"""One car may stand behind two access points: what must be one at a time is the closure (S2, S6)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from psycopg.errors import UniqueViolation
from tests.flow.stage import HERE, Stage, Stop, open_stage

from unlatch.domain.incident import Incident
from unlatch.domain.reading import Reading
from unlatch.domain.visit import State, Tail
from unlatch.flow.gate import pass_gate
from unlatch.store import readings, visits
from unlatch.store.database import Database
from unlatch.store.ids import make_id


async def two_stops_at_one_car(stage: Stage) -> tuple[Stop, Stop]:
    one, other = await stage.add_stop(), await stage.add_stop()
    async with stage.platform.database.connection() as connection:
        await connection.execute(
            "UPDATE vehicle SET closure_key = %s WHERE access_point_id = ANY(%s)",
            (stage.platform.vault.digest("onstar", one.vin), [one.place_id, other.place_id]),
        )
    return one, other


async def test_a_visit_at_one_access_point_keeps_the_other_shut(database: Database, tmp_path: Path) -> None:
    async with open_stage(database, tmp_path, has_worker=False) as stage:
        one, other = await two_stops_at_one_car(stage)
        visit_id = await stage.begin(one)
        assert (await stage.get(visit_id)).visit.is_live
        result = await stage.scan(other)
        assert Incident.PLATFORM_PLACE_BUSY in result.reasons
        assert result.row is not None
        assert not result.row.visit.is_live


async def test_a_tail_at_one_access_point_keeps_the_other_shut(database: Database, tmp_path: Path) -> None:
    async with open_stage(database, tmp_path, has_worker=False) as stage:
        one, other = await two_stops_at_one_car(stage)
        visit_id = await stage.begin(one)
        async with database.connection() as connection:
            await connection.execute(
                "UPDATE visit SET state = 'undelivered', ended_at = journal_at, tail = 'watching' WHERE id = %s",
                (visit_id,),
            )
        result = await stage.scan(other)
        assert Incident.PLATFORM_PLACE_STILL_WATCHED in result.reasons


async def test_a_scan_that_knew_nothing_of_the_other_visit_is_stopped_at_its_gate(
    database: Database, tmp_path: Path
) -> None:
    """Two places share no row: a scan may read, and commit only when a visit at the other place has come and gone.

    `unlatch check-protocol --model place` tells the shortest way there.
    """
    async with open_stage(database, tmp_path, has_worker=False) as stage:
        one, other = await two_stops_at_one_car(stage)
        now = stage.platform.clock.now()
        reading = Reading(observed_at=now, is_locked=True, is_open=False, is_moving=False, position=HERE)
        async with database.connection() as connection:
            await readings.save_reading(connection, one.place_id, reading, now)
        row = await stage.get(await stage.begin(one))
        earlier = row.after(
            id=make_id("vis"),
            stop_id=other.stop_id,
            access_point_id=other.place_id,
            courier_id=other.courier_id,
            visit=replace(row.visit, state=State.UNDELIVERED, tail=Tail.WATCHING),
            ended_at=now,
        )
        async with database.connection() as connection:
            await visits.insert_visit(connection, earlier)
            cursor = await connection.execute("SELECT id FROM command WHERE visit_id = %s", (row.id,))
            found = await cursor.fetchone()
        assert found is not None
        assert await pass_gate(stage.platform, found[0], None) is None
        shut = await stage.get(row.id)
        assert (shut.visit.state, shut.incident) == (State.REFUSED, Incident.PLATFORM_PLACE_STILL_WATCHED)


async def test_the_database_itself_takes_one_live_visit_a_closure(database: Database, tmp_path: Path) -> None:
    async with open_stage(database, tmp_path, has_worker=False) as stage:
        one, other = await two_stops_at_one_car(stage)
        row = await stage.get(await stage.begin(one))
        twin = row.after(
            id=make_id("vis"),
            stop_id=other.stop_id,
            access_point_id=other.place_id,
            courier_id=other.courier_id,
        )
        async with database.connection() as connection:
            with pytest.raises(UniqueViolation, match="visit_live_at_closure"):
                await visits.insert_visit(connection, twin)
