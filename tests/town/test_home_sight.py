"""What a home's cameras see of it: its door, and that they lose the network with its hub."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.town.conftest import Driver

from unlatch.town.car import Outcome
from unlatch.town.home import HomeDeed

SMALL = {"width": 320, "height": 180, "fps": 10, "bitrate": 200_000}


@asynccontextmanager
async def knock(address: str) -> AsyncIterator[asyncio.StreamReader]:
    """Ask the camera at this address what it can do."""
    found = re.fullmatch(r"rtsp://([\d.]+):(\d+)/.*", address)
    assert found is not None
    reader, writer = await asyncio.open_connection(found[1], int(found[2]))
    try:
        writer.write(f"OPTIONS {address} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
        yield reader
    finally:
        writer.close()


async def answers(address: str, within_s: float) -> bool:
    async with knock(address) as reader:
        try:
            async with asyncio.timeout(within_s):
                return (await reader.read(2000)).startswith(b"RTSP/1.0 200")
        except TimeoutError:
            return False


async def test_its_cameras_see_the_door_open_and_close(driver: Driver) -> None:
    town = driver.town
    home, cameras = await town.furnish_home("home-1", cameras=2, picture=SMALL)
    assert [one["camera_id"] for one in cameras] == ["home-1-1", "home-1-2"]
    assert cameras[0]["address"] != cameras[1]["address"]
    assert await town.do_at_home(home.home_id, HomeDeed.OPEN_DOOR) is Outcome.IS_LOCKED
    assert (await town.camera("home-1-1"))["door_open"] == 0
    await town.do_at_home(home.home_id, HomeDeed.KEY_UNLOCK)
    await town.do_at_home(home.home_id, HomeDeed.OPEN_DOOR)
    assert [(await town.camera(one["camera_id"]))["door_open"] for one in cameras] == [1, 1]
    await town.show_camera("home-1-1", light=-20.0)
    await town.do_at_home(home.home_id, HomeDeed.CLOSE_DOOR)
    assert (await town.camera("home-1-1"))["door_open"] == 0


async def test_a_home_without_cameras_has_none(driver: Driver) -> None:
    home, cameras = await driver.town.furnish_home("home-1", cameras=0)
    assert not cameras
    await driver.town.do_at_home(home.home_id, HomeDeed.KEY_UNLOCK)
    assert await driver.town.do_at_home(home.home_id, HomeDeed.OPEN_DOOR) is Outcome.DONE


async def test_without_wifi_neither_hub_nor_camera_answers(driver: Driver) -> None:
    town = driver.town
    home, (camera,) = await town.furnish_home("home-1", picture=SMALL)
    assert await answers(camera["address"], 5)
    await town.do_at_home(home.home_id, HomeDeed.WIFI_DOWN)
    assert not (await town.camera("home-1-1"))["has_network"]
    assert not await answers(camera["address"], 0.3)
    assert not (await town.home(home.home_id)).is_wifi_up
    await town.do_at_home(home.home_id, HomeDeed.WIFI_UP)
    assert await answers(camera["address"], 5)
    assert (await town.camera("home-1-1"))["fault"] is None
