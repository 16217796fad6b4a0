"""Without a mouse, at 200 % zoom: a car is linked and a home with its camera, as far as what only hands can show."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect
from tests.journeys.front import HERE, Front
from tests.journeys.home_front import PICTURE, open_home_front
from tests.journeys.keyboard import Keyboard
from tests.journeys.screens import open_screen
from tests.journeys.test_consignee_browser import VIN
from tests.journeys.test_keyboard_browser import ZOOMED, enter, fits
from tests.web.enrolling import MARK

HOME = "home-ada"
EDGES = {"Left": "left", "Top": "top", "Width": "width", "Height": "height"}


@pytest.fixture
async def front(database_url: str, tmp_path: Path) -> AsyncIterator[Front]:
    async with open_home_front(tmp_path, database_url, factor=1.0) as front:
        yield front


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_a_car_and_a_home_are_linked_by_keyboard_alone(front: Front) -> None:
    await front.town.add_car("volvo", VIN, account_id="ada", make="Volvo", model="XC60", model_year=2021)
    made = await front.carrier.register_consignee("Ada", "en")
    async with open_screen(
        viewport=ZOOMED,
        permissions=["geolocation"],
        timezone_id="America/New_York",
        geolocation={"latitude": HERE.latitude, "longitude": HERE.longitude},
    ) as screen:
        ada = Keyboard(screen)
        await enter(ada, front, made.key, "/me/places")
        await link_car(ada, front)
        await ada.page.goto(f"{front.installation.server_url}/me/places")
        place = await link_home(ada, front)
        await add_camera(ada, front)
        await ada.page.goto(place)
        await change_settings(ada)


async def go(ada: Keyboard, name: str) -> None:
    """Press what leads to another page."""
    async with ada.page.expect_navigation():
        await ada.press(name)


async def link_car(ada: Keyboard, front: Front) -> None:
    await go(ada, "Volvo")
    await go(ada, "Go on at the maker")
    await ada.page.locator("input[name=account]").fill("ada")  # the maker's page, not ours
    async with ada.page.expect_navigation(url=f"{front.installation.server_url}/**"):
        await ada.page.locator("button[value=approve]").press("Enter")
    await go(ada, "Yes, that is me: link it")
    await go(ada, "Back to my places")
    await go(ada, "Choose a car")
    await fits(ada.page)
    await ada.press("Where I am now")
    await expect(ada.page.locator("input[name=latitude]")).to_have_value("33.74900")
    await ada.write("Plate", "ABC 123")
    await go(ada, "I agree: deliver into this car")
    await ada.page.wait_for_url("**/me/places/acc_*")
    await fits(ada.page)


async def link_home(ada: Keyboard, front: Front) -> str:
    """Its address. What is wrong at first is said where it stands, and corrected there."""
    home = await front.town.add_home(HOME)
    await go(ada, "Link my home")
    await fits(ada.page)
    await ada.write("Address of your hub", front.installation.town_url + home.path)
    await ada.write("Access token", "   ")
    await ada.write("Lock, as your hub calls it", home.entity)
    await ada.write("Contact sensor", home.contact or "")
    await ada.press("Where I am now")
    await expect(ada.page.locator("input[name=latitude]")).to_have_value("33.74900")
    await go(ada, "I agree: deliver behind this door")
    await expect(ada.page.locator("main")).to_contain_text("The token is needed")
    await fits(ada.page)
    await ada.write("Access token", home.token)
    await go(ada, "I agree: deliver behind this door")
    await expect(ada.page.locator("main")).to_contain_text("No parcel comes in here yet")
    await fits(ada.page)
    return ada.page.url


async def add_camera(ada: Keyboard, front: Front) -> None:
    """Up to the clock in its picture, whose edges are typed while the page renews itself."""
    hung = await front.town.add_camera(f"{HOME}-hall", **PICTURE, home_id=HOME)
    await go(ada, "Add a camera")
    await go(ada, "A network camera (RTSP, ONVIF)")
    await ada.write("What you call it", "Hall")
    await ada.write("Address of its stream", hung["address"])
    await ada.write("User of the camera", hung["user"])
    await ada.write("Password of the camera", hung["password"])
    await go(ada, "Add it")
    await fits(ada.page)
    await go(ada, "Enrol it now")
    await expect(ada.page.locator(".marking img")).to_be_visible(timeout=60_000)
    await fits(ada.page)
    for label, name in EDGES.items():
        await ada.write(label, str(MARK[name]))
    await expect(ada.page.locator(".marking-box")).to_be_visible()
    await go(ada, "This is the time")
    await expect(ada.page.get_by_role("button", name="I am ready")).to_be_visible(timeout=60_000)
    await ada.reach("I am ready")


async def change_settings(ada: Keyboard) -> None:
    await go(ada, "Change this")
    await ada.press("An animal could run out: open nothing", "Space")
    await ada.write("How to find the door", "The green door")
    await go(ada, "Keep")
    for text in ("could run out: nothing is opened", "The green door"):
        await expect(ada.page.locator("main")).to_contain_text(text)
    await fits(ada.page)
