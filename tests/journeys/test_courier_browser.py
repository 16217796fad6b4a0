"""A courier's day in a real browser: the app on a phone, its camera before a real label, a server and a town behind.

With PICTURES=yes the pictures of docs/pictures/courier are made anew by the way.
"""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.async_api import expect
from tests.journeys.front import HERE, Front, PhoneDoor, open_front
from tests.journeys.screens import PATIENCE_MS, Screen, open_screen

from unlatch.town.labels import print_label

SHOWN = ("stops", "stop", "open", "no-network", "ouvrir", "carte")  # those that the documentation has
# While the phone's camera is before the app, another screen is drawn, as news of the car may do it.
OTHER_SCREEN_MEANWHILE = """
async () => {
  const [before, there] = [document.querySelector(".step"), location.hash];
  for (const hash of ["#/card", there]) {
    const drawn = new Promise((done) => addEventListener("hashchange", done, { once: true }));
    location.hash = hash;
    await drawn;
  }
  return before.isConnected;
}
"""
FACTOR = 2.0  # a slow machine must still be faster than the protocol's deadlines
FRAME = (1280, 720)
WORDS = {
    "en-US": {
        "enrol": "Enrol this phone", "set_out": "I set out for this one", "asked": "asked not to move the car",
        "where": "Show me where it is", "far": "40 ft", "map": "Map", "scan": "I am here: scan the parcel",
        "handle": "Try the handle and open.", "first": "Finish your visit first", "is_open": "It is open",
        "put_in": "Put the parcel in and take a photo.", "photo": "Parcel inside: take the photo",
        "inside": "The parcel is inside", "close": "Please close it now.", "closed": "I have closed it",
        "stay": "Stay here: nobody has heard it yet.", "go_on": "Go on to the next stop.", "next": "To the next stop",
        "nothing": "Nothing more to do here.", "locked": r"\blocked",
    },
    "fr-FR": {
        "enrol": "Inscrire ce téléphone", "set_out": "Je pars vers cet arrêt",
        "asked": "prié de ne pas déplacer la voiture", "where": "Me montrer où c'est", "far": "10 m", "map": "Carte",
        "scan": "J'y suis : scanner le colis", "handle": "Essayez la poignée et ouvrez.",
        "first": "Terminez d'abord votre visite", "is_open": "C'est ouvert",
        "put_in": "Déposez le colis et prenez une photo.", "photo": "Colis dedans : prendre la photo",
        "inside": "Le colis est dedans", "close": "Veuillez refermer maintenant.", "closed": "J'ai refermé",
        "stay": "Restez ici : personne ne l'a encore reçu.", "go_on": "Passez à l'arrêt suivant.",
        "next": "À l'arrêt suivant", "nothing": "Plus rien à faire ici.", "locked": r"\bverrouillée?\b",
    },
}  # fmt: skip


class BrowserPhone:
    """What `Front.open_door` must know of a phone that lives in a browser."""

    def __init__(self, courier_id: str) -> None:
        self.courier_id = courier_id

    async def close(self) -> None:
        """Nothing of it is open here."""


def film(folder: Path, number: str | None) -> Path:
    """What the phone's camera sees: a desk, again and again, and on it a printed label, if there is one."""
    desk = Image.new("RGB", FRAME, (150, 140, 130))
    if number is not None:
        desk.paste(_print(number), (40, 10))
    frame = io.BytesIO()
    desk.save(frame, "JPEG", quality=90)
    path = folder / "camera.mjpeg"
    path.write_bytes(frame.getvalue() * 2)
    return path


def _print(number: str) -> Image.Image:
    label = Image.open(
        io.BytesIO(print_label(f"sscc:{number}", sender="Shop", recipient="Ann Lee", size=(1200, 700)))
    )
    return label.convert("RGB")


@asynccontextmanager
async def open_phone(seen: Path, *, locale: str = "en-US", **more: Any) -> AsyncIterator[Screen]:
    """A new phone whose camera sees this film, where the car stands."""
    async with open_screen(
        locale=locale, args=[f"--use-file-for-fake-video-capture={seen}"], pictures="courier", shown=SHOWN,
        permissions=["geolocation", "camera"], has_touch=True, is_mobile=True, timezone_id="America/New_York",
        geolocation={"latitude": HERE.latitude + 0.0001, "longitude": HERE.longitude, "accuracy": 5}, **more,
    ) as screen:  # fmt: skip
        yield screen


@pytest.fixture
async def front(database_url: str, tmp_path: Path) -> AsyncIterator[Front]:
    async with open_front(tmp_path, database_url, factor=FACTOR) as front:
        yield front


@asynccontextmanager
async def open_round(front: Front) -> AsyncIterator[tuple[PhoneDoor, str]]:
    """A stop at a parked car on a new courier's round, and the code of the courier's phone."""
    courier = await front.carrier.register_courier("Bo")
    phone: Any = BrowserPhone(courier.id)
    papers: dict[str, Any] = {"make": "Chevrolet", "model": "Malibu", "colour": "blue", "plate": "ABC 123"}
    async with front.open_door("onstar", phone=phone, **papers) as door:
        yield door, await front.carrier.invite_phone(courier.id)


async def enrol(screen: Screen, front: Front, code: str, button: str) -> None:
    await screen.page.goto(f"{front.installation.server_url}/courier#enrol={code}")
    await screen.press(button)
    await screen.reads("Ann Lee")


async def pull_handle(front: Front, vin: str) -> None:
    async with asyncio.timeout(30):
        while not await front.town.can_open_trunk(vin):
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("locale", ["en-US", pytest.param("fr-FR", marks=pytest.mark.long)])
async def test_a_delivery_with_a_dead_spot_between_open_and_close(
    front: Front, tmp_path: Path, locale: str
) -> None:
    words = WORDS[locale]
    async with (
        open_round(front) as (door, code),
        open_phone(film(tmp_path, door.label), locale=locale) as screen,
    ):
        page = screen.page
        await enrol(screen, front, code, words["enrol"])
        await screen.look("stops")
        await page.get_by_text("Ann Lee").click()
        await screen.press(words["set_out"])
        await screen.reads(words["asked"])
        await screen.press(words["where"])
        await screen.reads("blue Chevrolet Malibu")
        await screen.reads("ABC 123")
        await screen.reads(
            words["far"], patience_ms=3 * PATIENCE_MS
        )  # a car takes up to a minute to say where it is
        await screen.press(words["map"])
        await expect(page.locator(".map canvas")).to_be_visible()
        await screen.look("stop")
        await screen.press(words["scan"])
        await screen.reads(words["handle"])
        assert await page.locator("video").count() == 0
        await screen.look("open")
        # The other stops are shut while this visit lives.
        await page.goto(f"{front.installation.server_url}/courier#/")
        await screen.reads(words["first"])
        await screen.look("held")
        await page.get_by_text("Ann Lee").click()
        await pull_handle(front, door.vin)
        await screen.press_unless_told(words["is_open"], words["put_in"])

        await screen.context.set_offline(True)
        await expect(page.locator("#lost")).to_be_visible(timeout=3000)
        photo = print_label(f"sscc:{door.label}", sender="a", recipient="b")
        async with page.expect_file_chooser() as choosing:
            await page.get_by_text(words["photo"]).click()
        assert await page.evaluate(OTHER_SCREEN_MEANWHILE) is False
        await (await choosing.value).set_files({"name": "in.png", "mimeType": "image/png", "buffer": photo})
        await expect(page.locator("#waiting")).to_contain_text(words["inside"])
        await screen.reads(words["close"])
        assert (await front.town.close_trunk(door.vin)).value in ("done", "already_so")
        await screen.press(words["closed"])
        await screen.reads(words["stay"])
        assert not re.search(
            words["locked"], await page.locator("[data-fill=state]").inner_text(), re.IGNORECASE
        )
        await screen.look("no-network")
        # The phone dies in the dead spot, and is started again there.
        await page.reload()
        await screen.reads(words["stay"])
        for said in (words["inside"], words["closed"]):
            await expect(page.locator("#waiting li").filter(has_text=said)).to_have_count(1)

        await screen.context.set_offline(False)
        await screen.reads(words["go_on"])
        await expect(page.locator("#waiting")).to_be_hidden()
        await expect(page.locator("#lost")).to_be_hidden()
        await screen.look("locked")
        await screen.press(words["next"])
        await screen.reads(words["nothing"])
        assert await door.where_parcel_is() == "in_place"
        assert (await front.town.state(door.vin)).is_secured


async def test_who_could_not_takes_the_fallback(front: Front, tmp_path: Path) -> None:
    async with (
        open_round(front) as (door, code),
        open_phone(film(tmp_path, None), locale="fr-FR", color_scheme="dark") as screen,
    ):
        page = screen.page
        await page.goto(f"{front.installation.server_url}/courier#enrol=AAAAA-AAAAA-AAAAA-AAAAA")
        await screen.press("Inscrire ce téléphone")
        await screen.reads("demandez-en un autre à votre transporteur")
        await page.goto("about:blank")
        await enrol(screen, front, code, "Inscrire ce téléphone")
        await page.get_by_text("Ann Lee").click()
        await screen.press("J'y suis : scanner le colis")
        await screen.look("scanner")
        await page.get_by_label("Ou saisissez le numéro").fill("(00)123")
        await screen.press("Utiliser ce numéro")
        await screen.reads("Ce n'est pas un numéro de colis")
        await page.get_by_label("Ou saisissez le numéro").fill(f"(00){door.label}")
        await screen.press("Utiliser ce numéro")
        await screen.reads("Essayez la poignée")
        await screen.look("ouvrir")
        await screen.press("Je n'ai pas pu")
        await screen.look("pourquoi")
        await screen.press("La poignée ne s'ouvre pas")
        await screen.press("Que faire à la place")
        await screen.look("repli")
        await screen.press("C'est fait")
        await screen.reads("Plus rien à faire ici.")
        assert await door.where_parcel_is() == "at_fallback"
        assert (await front.town.state(door.vin)).is_secured
        await screen.press("Qui je suis")
        await screen.reads("Je suis Bo, et je livre pour Carrier")
        await expect(page.locator(".qr")).to_be_visible()
        await screen.look("carte")
        await screen.context.set_offline(True)
        await page.reload()  # the shell is kept
        await screen.reads("Sans réseau, cette carte ne peut pas être vérifiée.")
        await screen.context.set_offline(False)
        await revoke(front, door)
        await page.goto(f"{front.installation.server_url}/courier#/")
        await screen.reads("a mis fin à l'accès")
        await screen.look("fini")


async def revoke(front: Front, door: PhoneDoor) -> None:
    """The carrier ends the phone's access."""
    async with front.database.connection() as connection:
        query = "SELECT id FROM device WHERE courier_id = %s"
        row = await (await connection.execute(query, (door.phone.courier_id,))).fetchone()
    assert row is not None
    headers = {"Authorization": f"Bearer {front.carrier.key}"}
    async with httpx.AsyncClient(base_url=front.carrier.base_url, headers=headers) as http:
        answer = await http.delete(f"/v1/devices/{row[0]}")
    assert answer.status_code == 200
