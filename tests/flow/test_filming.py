"""A home's visit with a real camera, a real recorder process, a real hub: proven, watched, kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.flow.filmed import Dwelling, add_home, open_street
from tests.flow.stage import Stage

from unlatch.domain.clip import find_touched, last_link
from unlatch.domain.incident import Incident
from unlatch.domain.visit import Fact, State
from unlatch.store import cameras, clips, journal
from unlatch.store.database import Database
from unlatch.store.journal import KeptEntry
from unlatch.town.camera import CameraFaultKind
from unlatch.town.home import HomeDeed
from unlatch.town.truth import count_openings_asked


@pytest.fixture
async def stage(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    (tmp_path / "clips").mkdir()
    async with open_street(database, tmp_path) as stage:
        yield stage


async def entries(stage: Stage, visit_id: str, name: str) -> list[KeptEntry]:
    async with stage.platform.database.connection() as connection:
        return [kept for kept in await journal.list_entries(connection, visit_id) if kept.entry.name == name]


async def until_noted(stage: Stage, visit_id: str, name: str, within_s: float = 20.0) -> KeptEntry:
    deadline = asyncio.get_running_loop().time() + within_s
    while not (found := await entries(stage, visit_id, name)):
        assert asyncio.get_running_loop().time() < deadline, await stage.story(visit_id)
        await asyncio.sleep(0.05)
    return found[-1]


async def open_door(stage: Stage, home: Dwelling, visit_id: str) -> None:
    await stage.until_state(visit_id, State.READY, State.UNLOCKED)
    while await stage.town.do_at_home(home.home_id, HomeDeed.OPEN_DOOR) != "done":
        assert (await stage.get(visit_id)).visit.state in (State.READY, State.UNLOCKED)
        await asyncio.sleep(0.05)
    await stage.say(home.stop, visit_id, Fact.COURIER_OPENED)
    await stage.until_state(visit_id, State.OPEN)


async def test_a_delivery_at_a_home_is_proven_recorded_and_kept(stage: Stage) -> None:
    home = await add_home(stage, rings_first=True)
    visit_id = await stage.begin(home.stop)
    await stage.until_state(visit_id, State.RINGING)
    await stage.say(home.stop, visit_id, Fact.COURIER_RANG)
    await open_door(stage, home, visit_id)
    assert [each.entry.name for each in await entries(stage, visit_id, "recording_proven")] == [
        "recording_proven"
    ]
    await stage.say(home.stop, visit_id, Fact.COURIER_DEPOSITED)
    await stage.town.do_at_home(home.home_id, HomeDeed.CLOSE_DOOR)
    await stage.say(home.stop, visit_id, Fact.COURIER_CLOSED)
    row = await stage.until_state(visit_id, State.DELIVERED)
    assert row.visit.is_clean
    kept = await until_noted(stage, visit_id, "clip_kept")
    links = await entries(stage, visit_id, "recording_link")
    assert links
    async with stage.platform.database.connection() as connection:
        found = await clips.list_clips(connection, visit_id)
    (clip,) = found
    assert clip.sealed_key is not None
    key = stage.platform.vault.open(clip.sealed_key, clip.id)
    content = clip.content()
    assert last_link(content.parts).hex() == kept.entry.body["link"]
    by_number = {part.number: last_link(content.parts[: part.number]) for part in content.parts}
    assert all(by_number[each.entry.body["part"]].hex() == each.entry.body["link"] for each in links)
    whole = stage.platform.clips.read(clip.id, key, 0, clip.size)
    assert len(whole) == clip.size
    assert find_touched(content.places, lambda offset, size: whole[offset : offset + size]) == ()


@pytest.mark.parametrize("kind", [CameraFaultKind.OFF, CameraFaultKind.FREEZE, CameraFaultKind.LOOP])
async def test_without_a_living_picture_nothing_is_unlocked(stage: Stage, kind: CameraFaultKind) -> None:
    home = await add_home(stage)
    await stage.town.break_camera(home.camera_id, kind)
    visit_id = await stage.begin(home.stop)
    row = await stage.until_state(visit_id, State.REFUSED)
    expected = (
        Incident.DEVICE_CAMERA_OFFLINE if kind is CameraFaultKind.OFF else Incident.DEVICE_CAMERA_NOT_PROVEN
    )
    assert row.incident is expected, await stage.story(visit_id)
    truth = await stage.town.home(home.home_id)
    assert truth.is_secured
    assert count_openings_asked(await stage.town.whole_ledger()) == 0


async def test_a_camera_that_is_lost_while_the_door_is_open_is_an_alarm(stage: Stage) -> None:
    home = await add_home(stage)
    visit_id = await stage.begin(home.stop)
    await open_door(stage, home, visit_id)
    begun_s = asyncio.get_running_loop().time()
    await stage.town.break_camera(home.camera_id, CameraFaultKind.FREEZE)
    row = await stage.until_state(visit_id, State.UNSECURED)
    assert asyncio.get_running_loop().time() - begun_s < 10
    assert row.incident is Incident.DEVICE_RECORDING_LOST
    assert not row.visit.is_clean
    await stage.say(home.stop, visit_id, Fact.COURIER_GAVE_UP)
    await stage.town.mend_camera(home.camera_id)
    await until_noted(stage, visit_id, "recording_back")
    await stage.town.do_at_home(home.home_id, HomeDeed.CLOSE_DOOR)  # nobody says so: the sensor tells
    row = await stage.until_state(visit_id, State.UNDELIVERED)
    assert not row.visit.is_clean
    assert (await stage.town.home(home.home_id)).is_secured


async def test_a_recorder_that_dies_is_replaced_and_its_takes_are_kept(stage: Stage, tmp_path: Path) -> None:
    home = await add_home(stage)
    visit_id = await stage.begin(home.stop)
    await open_door(stage, home, visit_id)
    await until_noted(stage, visit_id, "recording_link")
    async with stage.platform.database.connection() as connection:
        (recording,) = await cameras.list_recordings(connection, visit_id)
    killing = await asyncio.create_subprocess_exec(
        "pkill", "-9", "-f", f"recorder_process --socket {tmp_path}"
    )
    assert await killing.wait() == 0
    await stage.say(home.stop, visit_id, Fact.COURIER_DEPOSITED)
    await until_noted(stage, visit_id, "recording_begun")
    while len(await entries(stage, visit_id, "recording_begun")) < 2:
        await asyncio.sleep(0.05)
    await stage.town.do_at_home(home.home_id, HomeDeed.CLOSE_DOOR)
    await stage.say(home.stop, visit_id, Fact.COURIER_CLOSED)
    await stage.until_state(visit_id, State.DELIVERED)
    kept = await until_noted(stage, visit_id, "clip_kept")
    assert kept.entry.body["takes"] == 2
    async with stage.platform.database.connection() as connection:
        (clip,) = await clips.list_clips(connection, visit_id)
    parts = clip.content().parts
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    by_number = {part.number: last_link(parts[: part.number]) for part in parts}
    for each in await entries(stage, visit_id, "recording_link"):
        assert by_number[each.entry.body["part"]].hex() == each.entry.body["link"], await stage.story(
            visit_id
        )
    assert not await asyncio.to_thread(Path(recording.folder).exists)
