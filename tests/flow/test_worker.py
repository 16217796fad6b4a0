"""What breaks in one part of a worker, or with one visit, breaks nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec import ValidationError
from tests.flow.stage import Stage, open_stage

from unlatch.domain.visit import State
from unlatch.flow.deadlines import record_due
from unlatch.flow.worker import work
from unlatch.store.database import Database


async def test_anchors_that_can_not_be_written_stop_no_order(database: Database, tmp_path: Path) -> None:
    """As with a full disk: the journal's heads wait, the visit goes on."""
    (tmp_path / "anchors.jsonl").mkdir()
    async with open_stage(database, tmp_path, has_worker=False) as stage:
        visit_id = await stage.begin(await stage.add_stop("onstar"))  # its head waits to be anchored
        stop = asyncio.Event()
        working = asyncio.create_task(work(stage.platform, stop))
        try:
            await stage.until_state(visit_id, State.READY, State.UNLOCKED, real_s=10)
        finally:
            stop.set()
            await working


async def test_a_visit_that_can_not_be_read_keeps_no_other_from_its_deadline(
    database: Database, tmp_path: Path
) -> None:
    async with open_stage(database, tmp_path, has_worker=False) as stage:
        first, second, third = [await stage.begin(await stage.add_stop("onstar")) for _ in range(3)]
        async with database.connection() as connection:
            long_ago = stage.platform.clock.now().replace(year=2020)
            for visit_id in (first, second, third):
                query = "UPDATE visit SET deadline_at = %s WHERE id = %s"
                await connection.execute(query, (long_ago, visit_id))
            # As one that a later release wrote and an older worker meets.
            await connection.execute("UPDATE visit SET closure = '{}' WHERE id = %s", (first,))
        with pytest.raises(ValidationError):
            await record_due(stage.platform, 100)
        assert (await stage.get(second)).visit.state is State.REFUSED
        assert (await stage.get(third)).visit.state is State.REFUSED


# A disk without room: what reads is answered, what writes is not. Sequences count over what was rolled back.
FULL_DISK = """
    CREATE SEQUENCE order_refused;
    CREATE SEQUENCE again_refused;
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM nextval(TG_ARGV[0]);
        RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full';
    END $$;
    CREATE TRIGGER refuse BEFORE UPDATE ON visit FOR EACH ROW EXECUTE FUNCTION refuse('order_refused');
    CREATE TRIGGER refuse BEFORE UPDATE ON pgqueuer FOR EACH ROW WHEN (NEW.status = 'queued')
        EXECUTE FUNCTION refuse('again_refused')
"""
NO_ROOM_FOR_READINGS = """
    CREATE OR REPLACE TRIGGER refuse BEFORE UPDATE ON visit FOR EACH ROW
        WHEN (NEW.last_observed_at IS DISTINCT FROM OLD.last_observed_at) EXECUTE FUNCTION refuse('order_refused')
"""
ROOM_AGAIN = "DROP TRIGGER refuse ON visit; DROP TRIGGER refuse ON pgqueuer"


async def count(stage: Stage, sequence: str) -> int:
    """How often that was refused."""
    async with stage.platform.database.connection() as connection:
        cursor = await connection.execute(f"SELECT last_value FROM {sequence} WHERE is_called".encode())
        row = await cursor.fetchone()
    return int(row[0]) if row is not None else 0


async def test_a_reading_for_which_there_is_no_room_is_heard_of_and_made_again(
    database: Database, tmp_path: Path
) -> None:
    unheard: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: unheard.append(told["message"]))
    async with open_stage(database, tmp_path, factor=20.0) as stage:
        async with database.connection() as connection:
            await connection.execute(FULL_DISK, prepare=False)
            await connection.execute(NO_ROOM_FOR_READINGS, prepare=False)
        visit_id = await stage.begin(await stage.add_stop("onstar"))
        async with asyncio.timeout(30):
            while await count(stage, "order_refused") < 1:
                await asyncio.sleep(0.02)
        async with database.connection() as connection:
            await connection.execute(ROOM_AGAIN, prepare=False)
        await stage.until(visit_id, lambda row: row.last_observed_at is not None, 15)
    assert unheard == []


async def test_no_order_is_given_up_while_there_is_no_room_to_note_its_next_attempt(
    database: Database, tmp_path: Path
) -> None:
    async with open_stage(database, tmp_path, factor=5.0, has_worker=False) as stage:
        visit_id = await stage.begin(await stage.add_stop("onstar"))
        async with database.connection() as connection:
            await connection.execute(FULL_DISK, prepare=False)
        stop = asyncio.Event()
        working = asyncio.create_task(work(stage.platform, stop))
        try:
            async with asyncio.timeout(30):
                while await count(stage, "again_refused") < 1:
                    await asyncio.sleep(0.02)
            assert await count(stage, "order_refused") >= 1
            async with database.connection() as connection:
                await connection.execute(ROOM_AGAIN, prepare=False)
            await stage.until_state(visit_id, State.READY, State.UNLOCKED, real_s=15)
            async with database.connection() as connection:
                cursor = await connection.execute("SELECT count(*) FROM pgqueuer WHERE status = 'failed'")
                assert await cursor.fetchone() == (0,)
        finally:
            stop.set()
            await working
