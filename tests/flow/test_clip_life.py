"""The life of a clip at a real home: recorded, kept, proven, erased by its owner, gone from every disk."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.flow.filmed import Dwelling, add_home, open_street
from tests.flow.stage import Stage
from tests.flow.test_filming import entries, open_door, until_noted

from unlatch.domain.visit import Fact, State
from unlatch.flow import retention
from unlatch.flow.exporting import export_visit, find_signer
from unlatch.store import clips
from unlatch.store.clips import ClipRow
from unlatch.store.database import Database
from unlatch.town.home import HomeDeed
from unlatch.verify import main as verify_files

FLIPS = 24


@pytest.fixture
async def stage(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    (tmp_path / "clips").mkdir()
    async with open_street(database, tmp_path) as stage:
        yield stage


async def deliver(stage: Stage, home: Dwelling) -> str:
    visit_id = await stage.begin(home.stop)
    await open_door(stage, home, visit_id)
    await until_noted(stage, visit_id, "recording_link")
    await stage.say(home.stop, visit_id, Fact.COURIER_DEPOSITED)
    await stage.town.do_at_home(home.home_id, HomeDeed.CLOSE_DOOR)
    await stage.say(home.stop, visit_id, Fact.COURIER_CLOSED)
    await stage.until_state(visit_id, State.DELIVERED)
    await until_noted(stage, visit_id, "clip_kept")
    return visit_id


async def get_clip(stage: Stage, visit_id: str) -> ClipRow:
    async with stage.platform.database.connection() as connection:
        (clip,) = await clips.list_clips(connection, visit_id)
    return clip


async def until(is_so: Callable[[], Awaitable[bool]], within_s: float = 30.0) -> None:
    async with asyncio.timeout(within_s):
        while not await is_so():
            await asyncio.sleep(0.05)


async def ask(stage: Stage, query: str) -> list[tuple[Any, ...]]:
    async with stage.platform.database.connection() as connection:
        return await (await connection.execute(query.encode())).fetchall()


async def test_one_flipped_bit_is_named_and_what_its_owner_erases_is_gone_from_every_disk(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = await add_home(stage)
    visit_id = await deliver(stage, home)
    row = await get_clip(stage, visit_id)
    assert row.sealed_key is not None
    key = stage.platform.vault.open(row.sealed_key, row.id)
    whole = stage.platform.clips.read(row.id, key, 0, row.size)
    proof, clip = tmp_path / "visit.proof", tmp_path / "clip.mp4"

    async def write_proof() -> None:
        content = await export_visit(
            stage.platform, await stage.get(visit_id), made_for="carrier:car_1", may_see_private=False
        )
        await asyncio.to_thread(proof.write_bytes, content)

    def check(content: bytes | None) -> tuple[int, dict[str, Any]]:
        more = []
        if content is not None:
            clip.write_bytes(content)
            more = ["--clip", str(clip)]
        key_text = find_signer(stage.platform).public_key.hex()
        code = verify_files([str(proof), "--key", key_text, "--json", *more])
        (found,) = json.loads(capsys.readouterr().out)["clips"]
        return code, found

    await write_proof()
    code, found = await asyncio.to_thread(check, whole)
    assert (code, found["state"]) == (0, "whole"), await stage.story(visit_id)
    places = row.content().places
    lot = random.Random(7)
    for place in lot.sample(places, min(FLIPS, len(places))):
        changed = bytearray(whole)
        changed[lot.randrange(place.offset, place.offset + place.size)] ^= 1 << lot.randrange(8)
        code, found = await asyncio.to_thread(check, bytes(changed))
        assert code == 1
        assert [(run["first_part"], run["last_part"]) for run in found["touched"]] == [
            (place.part, place.part)
        ]
        assert found["touched"][0]["from_ms"] == place.first_ms

    ((consignee_id,),) = await ask(
        stage, f"SELECT consignee_id FROM access_point WHERE id = '{home.stop.place_id}'"
    )
    async with stage.platform.database.transaction() as connection:
        erased = await retention.erase_at_once(
            connection, visit_id, consignee_id=consignee_id, now=stage.platform.clock.now()
        )
    assert erased == 1

    # The worker removes the file, the recorder sees that nothing is left on its disk.
    async def is_gone() -> bool:
        return await ask(
            stage, "SELECT 1 FROM clip JOIN recording ON recording_id = recording.id "
            "WHERE removed_at IS NOT NULL AND swept_at IS NOT NULL"
        ) == [(1,)]  # fmt: skip

    await until(is_gone)
    retained = await retention.read_retained(stage.platform, visit_id)
    assert [one.is_proven_erased for one in retained.clips] == [True]
    assert retained.does_chain_hold
    left = await asyncio.to_thread(
        lambda: [path for path in tmp_path.rglob("*") if path.suffix in (".clip", ".jsonl")]
    )
    assert left == []
    await write_proof()
    code, found = await asyncio.to_thread(check, None)
    assert (code, found["state"], found["erased_by"]) == (0, "erased", f"consignee:{consignee_id}")
    assert len(await entries(stage, visit_id, "clip_erased")) == 1
