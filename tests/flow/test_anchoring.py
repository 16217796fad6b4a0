"""The journals' heads stand outside the database, in a chain that a crash can't break."""

from __future__ import annotations

import asyncio
import fcntl
from pathlib import Path

import pytest
from tests.flow.stage import Stage, open_stage

from unlatch.domain.anchor import read_anchors
from unlatch.flow.anchoring import anchor_heads
from unlatch.store.database import Database


@pytest.fixture
def anchors_file(tmp_path: Path) -> Path:
    return tmp_path / "anchors.jsonl"


def read(file: Path) -> bytes:
    return file.read_bytes()


async def grow(stage: Stage) -> str:
    """One more visit, refused or not: a journal that no anchor holds yet."""
    return await stage.begin(await stage.add_stop())


async def test_each_head_is_anchored_once_and_the_chain_goes_on(
    database: Database, tmp_path: Path, anchors_file: Path
) -> None:
    async with open_stage(database, tmp_path, has_worker=False) as stage:
        first = await grow(stage)
        assert await anchor_heads(stage.platform) == 1
        assert await anchor_heads(stage.platform) == 0, "nothing has grown"
        second = await grow(stage)
        assert await anchor_heads(stage.platform) == 1
        row = await stage.get(first)
        anchors = read_anchors(read(anchors_file), {first, second})
        assert not anchors.faults
        assert anchors.lines == 2
        assert {head.visit_id for head in anchors.heads} == {first, second}
        assert (row.journal_number, row.journal_hash) in {(head.number, head.hash) for head in anchors.heads}


async def test_a_line_that_a_crash_cut_off_does_not_break_the_chain(
    database: Database, tmp_path: Path, anchors_file: Path
) -> None:
    async with open_stage(database, tmp_path, has_worker=False) as stage:
        await grow(stage)
        await anchor_heads(stage.platform)
        with anchors_file.open("ab") as file:
            file.write(b'{"at":"2026-')
        second = await grow(stage)
        await anchor_heads(stage.platform)
        anchors = read_anchors(read(anchors_file), {second})
        assert not anchors.faults
        assert anchors.lines == 2


async def test_a_file_that_can_not_be_written_yet_holds_no_visit(
    database: Database, tmp_path: Path, anchors_file: Path
) -> None:
    """A disk that hangs must not keep a block, a gate or a lock waiting for the visit's row."""
    async with open_stage(database, tmp_path, has_worker=False) as stage:
        visit_id = await grow(stage)
        with anchors_file.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            anchoring = asyncio.create_task(anchor_heads(stage.platform))
            have_been_read = (
                "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                "AND query LIKE '%journal_number > anchored_number%' AND state LIKE 'idle%'"
            )
            async with database.connection() as connection:
                while await (await connection.execute(have_been_read)).fetchone() == (0,):
                    await asyncio.sleep(0.01)
                await connection.execute("SET lock_timeout = '1s'")
                locking = "SELECT 1 FROM visit WHERE id = %s FOR NO KEY UPDATE"
                await connection.execute(locking, (visit_id,))
        assert await anchoring == 1
        assert await anchor_heads(stage.platform) == 0
