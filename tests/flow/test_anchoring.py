"""The journals' heads stand outside the database, in a chain that a crash can't break."""

from __future__ import annotations

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
