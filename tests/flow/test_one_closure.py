"""One car may stand behind two access points: what must be one at a time is the closure (S2, S6)."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg.errors import UniqueViolation
from tests.flow.stage import Stage, Stop, open_stage

from unlatch.domain.incident import Incident
from unlatch.store import visits
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
