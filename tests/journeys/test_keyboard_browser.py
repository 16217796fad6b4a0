"""Without a mouse, at 200 % zoom and in tabs that nobody looks at: a delivery as its three people live it.

The consignee and the operator have a window of 1440 pixels at 200 %, the courier a narrow phone with a keyboard.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Geolocation, Page, ViewportSize, expect
from tests.journeys.front import HERE, Front, PhoneDoor, open_front
from tests.journeys.keyboard import Keyboard
from tests.journeys.screens import Screen, open_screen
from tests.journeys.test_courier_browser import open_round, pull_handle

ZOOMED: ViewportSize = {"width": 720, "height": 450}  # 1440 x 900 at 200 %
NARROW: ViewportSize = {"width": 320, "height": 256}  # 1280 x 1024 at 400 %: WCAG 1.4.10
SLIM: ViewportSize = {"width": 320, "height": 640}
SOON_MS = 5000
BESIDE: Geolocation = {"latitude": HERE.latitude, "longitude": HERE.longitude, "accuracy": 5}
OF_ANN = ("/me", "/me/places", "/me/notices", "/me/history", "/me/data", "/devices", "/check", "/")
OF_OLGA = tuple(
    f"/console{path}" for path in ("", "/map", "/clouds", "/freezes", "/couriers", "/rules", "/audit")
)


@pytest.fixture
async def front(database_url: str, tmp_path: Path) -> AsyncIterator[Front]:
    async with open_front(tmp_path, database_url, factor=2.0) as front:
        yield front


async def fits(page: Page) -> None:
    """Nothing scrolls sideways."""
    room = page.viewport_size
    assert room is not None
    assert await page.evaluate("document.documentElement.scrollWidth") <= room["width"], (
        f"{page.url} at {room['width']}"
    )


async def all_fit(screen: Screen, front: Front, *paths: str) -> None:
    await screen.page.set_viewport_size(NARROW)
    for path in paths:
        await screen.page.goto(f"{front.installation.server_url}{path}")
        await fits(screen.page)
    await screen.page.set_viewport_size(ZOOMED)


async def enter(keys: Keyboard, front: Front, key: str, to: str) -> None:
    await keys.page.goto(f"{front.installation.server_url}/sign-in?to={to}")
    await keys.skip()
    await keys.press("I was given a key")
    await keys.write("Key", key)
    await keys.press("Sign in with the key")
    await keys.page.wait_for_url(f"**{to}")
    await fits(keys.page)


@asynccontextmanager
async def put_away(page: Page) -> AsyncIterator[None]:
    """A tab that is not looked at, and shown again: meanwhile it runs nothing, as where a phone has put it to sleep."""
    session = await page.context.new_cdp_session(page)
    asleep = asyncio.Event()
    session.on("Debugger.paused", lambda _: asleep.set())
    await session.send("Debugger.enable")
    await session.send("Debugger.pause")
    await asyncio.wait_for(asleep.wait(), 10)
    yield
    await session.send("Debugger.resume")
    await session.detach()
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


@asynccontextmanager
async def drawn_anew(page: Page) -> AsyncIterator[None]:
    """What has the focus is drawn anew in the end, as the page is looked at again."""
    await page.evaluate("document.activeElement.setAttribute('before', '')")
    yield
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(page.locator("[before]")).to_have_count(0)


@asynccontextmanager
async def held_down(page: Page, button: str) -> AsyncIterator[None]:
    """A button under a finger is not drawn anew, or the press would be lost. The finger goes up elsewhere."""
    await page.get_by_role("button", name=button).hover()
    await page.mouse.down()
    yield
    for _ in range(2):  # the second is asked for once the first is drawn
        async with page.expect_response("**/me"):
            await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    assert await page.locator("[before]").count() == 1
    await page.mouse.move(0, 0)
    await page.mouse.up()


async def test_a_delivery_by_keyboard_alone(front: Front) -> None:
    async with (
        open_round(front) as (door, code),
        open_screen(viewport=ZOOMED) as household,
        open_screen(viewport=SLIM, permissions=["geolocation"], geolocation=BESIDE) as phone,
        open_screen(viewport=ZOOMED) as desk,
    ):
        ann, bo, olga = Keyboard(household), Keyboard(phone), Keyboard(desk)
        await enter(ann, front, door.consignee.key, "/me")
        await enter(olga, front, front.operator.key, "/console")
        await ann.skip()
        await ann.reach("Block: nobody opens it")
        async with drawn_anew(ann.page), held_down(ann.page, "Block: nobody opens it"):
            await set_out(bo, front, code)
        await expect(ann.page.locator("main")).to_contain_text("is on the way.")
        await ann.is_on("Block: nobody opens it")
        await ann.press("See and change")
        await ann.page.wait_for_url("**/me/deliveries/*")
        await fits(ann.page)
        async with put_away(ann.page), put_away(olga.page):
            await deliver(bo, front, door)
        await expect(ann.page.get_by_role("link", name="Keep the proof")).to_be_visible(timeout=SOON_MS)
        await look_into(olga)
        await all_fit(
            household, front, f"/me/deliveries/{door.stop_id}", f"/me/places/{door.place_id}", *OF_ANN
        )
        await all_fit(desk, front, f"/console/visits/{olga.page.url.rpartition('/')[2]}", *OF_OLGA)


async def set_out(bo: Keyboard, front: Front, code: str) -> None:
    await bo.page.goto(f"{front.installation.server_url}/courier#enrol={code}")
    await bo.press("Enrol this phone")
    await bo.screen.reads("Ann Lee")
    await bo.is_somewhere()
    await fits(bo.page)
    await bo.reach("Ann Lee")
    async with drawn_anew(bo.page):
        pass
    await bo.is_on("Ann Lee")
    await bo.page.keyboard.press("Enter")
    await bo.press("I set out for this one")
    await expect(bo.page.get_by_text("The household is asked not to move the car.")).to_be_visible()
    await bo.is_somewhere()
    await fits(bo.page)


async def deliver(bo: Keyboard, front: Front, door: PhoneDoor) -> None:
    await bo.press("I am here: scan the parcel")
    await fits(bo.page)
    await bo.write("Or type the number under the barcode", f"(00){door.label}")
    await bo.page.keyboard.press("Enter")
    await bo.screen.reads("Try the handle and open.")
    await bo.is_somewhere()
    await fits(bo.page)
    await pull_handle(front, door.vin)
    await bo.press("It is open")
    await bo.screen.reads("Put the parcel in and take a photo.")
    await bo.is_somewhere()
    await bo.press("Inside, without a photo", "Space")
    await bo.screen.reads("Please close it now.")
    await bo.is_somewhere()
    await front.town.close_trunk(door.vin)
    await bo.press("I have closed it")
    await bo.screen.reads("Go on to the next stop.")
    await bo.is_somewhere()
    await bo.press("To the next stop")
    await bo.screen.reads("Nothing more to do here.")
    await bo.is_somewhere()


async def look_into(olga: Keyboard) -> None:
    """What the board has heard of meanwhile leads to the visit; its place is frozen, and let go."""
    link = olga.page.locator("#board-rows a")
    await expect(link).to_have_text("Delivered; seen locked", timeout=SOON_MS)
    await olga.press("Delivered; seen locked")
    await olga.page.wait_for_url("**/console/visits/*")
    await fits(olga.page)
    for button in ("Freeze this place", "End the freeze of this place"):
        await olga.press(button)
        await expect(olga.page.get_by_role("button", name=button)).to_have_count(0)
