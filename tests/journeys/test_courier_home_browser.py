"""The courier's app at a home, in a real browser: nobody comes and the door opens; someone comes and is handed it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect
from tests.journeys.front import Front
from tests.journeys.home_front import HomeDoor, open_home, open_home_front
from tests.journeys.screens import Screen
from tests.journeys.test_courier_browser import BrowserPhone, enrol, film, open_phone

from unlatch.town.car import WENT_WELL
from unlatch.town.home import HomeDeed
from unlatch.town.labels import print_label
from unlatch.town.truth import count_openings_asked

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
async def front(database_url: str, tmp_path: Path) -> AsyncIterator[Front]:
    async with open_home_front(tmp_path, database_url, factor=2.0) as front:
        yield front


@asynccontextmanager
async def open_round(front: Front) -> AsyncIterator[tuple[HomeDoor, str]]:
    """A stop at a home on a new courier's round, and the code of the courier's phone."""
    courier = await front.carrier.register_courier("Bo")
    phone: Any = BrowserPhone(courier.id)
    async with open_home(front, phone=phone, directions="The green door") as door:
        yield door, await front.carrier.invite_phone(courier.id)


async def scan(screen: Screen, door: HomeDoor, field: str, button: str) -> None:
    """By its number: what the camera sees is tried at a car."""
    await screen.page.get_by_label(field).fill(f"(00){door.label}")
    await screen.press(button)


async def find_visit(door: HomeDoor) -> str:
    """The one visit that the app has begun there."""
    async with door.front.database.connection() as connection:
        cursor = await connection.execute("SELECT id FROM visit WHERE stop_id = %s", (door.stop_id,))
        ((visit_id,),) = await cursor.fetchall()
    return str(visit_id)


async def open_by_hand(door: HomeDoor) -> None:
    """As soon as it is unlocked."""
    async with asyncio.timeout(30):
        while await door.town.do_at_home(door.vin, HomeDeed.OPEN_DOOR) not in WENT_WELL:
            await asyncio.sleep(0.1)


async def test_nobody_comes_and_the_parcel_is_put_behind_the_door(front: Front, tmp_path: Path) -> None:
    async with open_round(front) as (door, code), open_phone(film(tmp_path, None)) as screen:
        page = screen.page
        await door.arm()
        await enrol(screen, front, code, "Enrol this phone")
        await page.get_by_text("Ann Lee").click()
        await screen.press("I set out for this one")
        await screen.press("Show me where it is")
        await screen.reads("The green door")
        await screen.reads("A door")
        await expect(page.get_by_text("The household is asked not to move the car.")).to_be_hidden()
        await screen.look("home-stop")
        await screen.press("I am here: scan the parcel")
        await scan(screen, door, "Or type the number", "Use this number")
        await screen.reads("Ring or knock")
        await screen.look("home-ring")
        await screen.press("I have rung or knocked")
        await screen.reads(
            "Try the handle and open."
        )  # nobody came in time, and the camera was proven to record
        await screen.look("home-open")
        await open_by_hand(door)
        await screen.press_unless_told("It is open", "Put the parcel in and take a photo.")
        photo = print_label(f"sscc:{door.label}", sender="a", recipient="b")
        async with page.expect_file_chooser() as choosing:
            await page.get_by_text("Parcel inside: take the photo").click()
        await (await choosing.value).set_files({"name": "in.png", "mimeType": "image/png", "buffer": photo})
        await screen.reads("Please close it now.")
        assert await front.town.do_at_home(door.vin, HomeDeed.CLOSE_DOOR) in WENT_WELL
        await screen.press("I have closed it")
        await screen.reads("Go on to the next stop.")
        await screen.look("home-locked")
        await screen.press("To the next stop")
        await screen.reads("Nothing more to do here.")
        assert await door.where_parcel_is() == "in_place"
        assert (await front.town.home(door.vin)).is_secured
        door.visit_id = await find_visit(door)
        told = await door.tell()
        assert told.entries_named("courier_rang"), told.story()
        assert told.entries_named("recording_proven"), told.story()


async def test_someone_comes_to_the_door_and_is_handed_the_parcel(front: Front, tmp_path: Path) -> None:
    async with open_round(front) as (door, code), open_phone(film(tmp_path, None), locale="fr-FR") as screen:
        await door.arm()
        await enrol(screen, front, code, "Inscrire ce téléphone")
        await screen.page.get_by_text("Ann Lee").click()
        await screen.press("J'y suis : scanner le colis")
        await scan(screen, door, "Ou saisissez le numéro", "Utiliser ce numéro")
        await screen.reads("Sonnez ou frappez")
        await screen.look("domicile-sonner")
        await screen.press("Quelqu'un est venu à la porte")
        await screen.press("Je l'ai remis")
        await screen.reads("Passez à l'arrêt suivant.")
        await screen.look("domicile-remis")
        await screen.press("À l'arrêt suivant")
        await screen.reads("Plus rien à faire ici.")
        assert await door.where_parcel_is() == "handed_over"
        assert count_openings_asked(await front.town.whole_ledger(vin=door.vin)) == 0
        assert (await front.town.home(door.vin)).is_secured
