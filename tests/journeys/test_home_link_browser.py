"""A household's phone in a real browser: its home linked behind the town's hub, and a camera enrolled to the end.

With PICTURES=yes its pictures in docs/pictures/consignee are made anew by the way.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect
from tests.journeys.front import HERE, Front
from tests.journeys.home_front import PICTURE, open_home_front
from tests.journeys.screens import PATIENCE_MS, PHONE, Screen, open_screen
from tests.journeys.test_consignee_browser import WORDS as COMMON
from tests.journeys.test_consignee_browser import says, sign_in
from tests.web.enrolling import MARK

from unlatch.town.home import HomeDeed
from unlatch.town.home_control import AddedHome

SHOWN = ("home", "lamp", "clock", "door", "witness", "domicile")
OPEN_FOR_S = 5.0  # as the page asks: what a camera sees of a door takes its time
WIDTHS = (768, 1440)
WORDS = {
    "en-US": {
        "link": "Link my home", "hub": "Address of your hub", "token": "Access token", "contact": "Contact sensor",
        "lock": "Lock, as your hub calls it", "more": "More, if you have it", "lamp": "A lamp that the camera sees",
        "agree": "I agree: deliver behind this door", "wrong": "The token is needed",
        "none": "No parcel comes in here yet",
        "change": "Change this", "pet": "An animal could run out: open nothing", "how": "How to find the door",
        "keep": "Keep", "could": "could run out: nothing is opened", "again": "Link the hub again", "it": "Link it",
        "add": "Add a camera", "kind": "A network camera (RTSP, ONVIF)", "call": "What you call it",
        "stream": "Address of its stream", "user": "User of the camera", "password": "Password of the camera",
        "add_it": "Add it", "enrol": "Enrol it now", "play": "Play the lamp", "time": "This is the time",
        "ready": "I am ready", "open": "Now open the door wide", "close": "then close it",
        "enrolled": "This camera is enrolled.", "witness": "A witness until", "phone": "An old phone",
        "make": "Make a link for the phone", "film": "Open this on the phone that is to film.",
        "remove": "Remove this camera", "yes": "Remove", "back": "Back",
    },
    "fr-FR": {
        "link": "Lier mon domicile", "hub": "Adresse de votre centrale", "token": "Jeton d'accès",
        "contact": "Capteur d'ouverture", "lock": "Serrure, telle que votre centrale la nomme",
        "more": "Davantage, si vous l'avez", "lamp": "Une lampe que voit la caméra",
        "agree": "J'accepte : livrez derrière cette porte", "wrong": "Le jeton est nécessaire",
        "none": "Aucun colis n'entre encore ici", "change": "Modifier cela",
        "pet": "Un animal pourrait sortir : ne rien ouvrir", "how": "Comment trouver la porte", "keep": "Garder",
        "could": "pourrait sortir : rien n'est ouvert", "again": "Lier la centrale à nouveau", "it": "La lier",
        "add": "Ajouter une caméra", "kind": "Une caméra réseau (RTSP, ONVIF)", "call": "Comment vous l'appelez",
        "stream": "Adresse de son flux", "user": "Identifiant de la caméra", "password": "Mot de passe de la caméra",
        "add_it": "L'ajouter", "enrol": "L'enregistrer maintenant", "play": "Jouer la lampe", "time": "C'est l'heure",
        "ready": "Je suis prêt", "open": "Ouvrez maintenant la porte en grand", "close": "puis fermez-la",
        "enrolled": "Cette caméra est enregistrée.", "witness": "Témoin jusqu'au", "phone": "Un vieux téléphone",
        "make": "Créer un lien pour le téléphone", "film": "Ouvrez ceci sur le téléphone qui doit filmer.",
        "remove": "Retirer cette caméra", "yes": "Retirer", "back": "Retour",
    },
}  # fmt: skip


@pytest.fixture
async def front(database_url: str, tmp_path: Path) -> AsyncIterator[Front]:
    """At the pace of real time: hub and camera are to tell of the door at the same moment."""
    async with open_home_front(tmp_path, database_url, factor=1.0) as front:
        yield front


async def look(screen: Screen, name: str) -> None:
    """On the phone, and at a desk."""
    for width in WIDTHS:
        await screen.page.set_viewport_size({"width": width, "height": 900})
        await screen.look(f"{name}-{width}")
    await screen.page.set_viewport_size(PHONE)
    await screen.look(name)


async def link_home(screen: Screen, front: Front, home: AddedHome, words: dict[str, str]) -> None:
    page = screen.page
    await screen.press(words["link"])
    await look(screen, "link-home")
    await page.get_by_label(words["hub"]).fill(front.installation.town_url + home.path)
    await page.get_by_label(words["token"]).fill("   ")
    await page.get_by_label(words["lock"]).fill(home.entity)
    await page.get_by_label(words["contact"]).fill(home.contact or "")
    if home.lamp is not None:
        await page.get_by_text(words["more"]).click()
        await page.get_by_label(words["lamp"]).fill(home.lamp)
    await page.locator("[data-locate]").click()
    await expect(page.locator("input[name=latitude]")).to_have_value("33.74900")
    await expect(page.locator("input[name=time_zone]")).to_have_value("America/New_York")
    await screen.press(words["agree"])
    await says(screen, words["wrong"])  # at its field; all else stands as it was
    await look(screen, "link-home-refused")
    await page.get_by_label(words["token"]).fill(home.token)
    await screen.press(words["agree"])
    await says(screen, words["none"])
    await look(screen, "home-without-camera")


async def change_settings(screen: Screen, front: Front, home: AddedHome, words: dict[str, str]) -> None:
    page = screen.page
    await screen.press(words["change"])
    await page.get_by_label(words["pet"]).check()
    await page.get_by_label(words["how"]).fill("The green door")
    await look(screen, "home-settings")
    await screen.press(words["keep"])
    await says(screen, words["could"])
    await says(screen, "The green door")
    await screen.press(words["change"])
    await page.get_by_label(words["pet"]).uncheck()
    await screen.press(words["keep"])
    await expect(page.get_by_text(words["could"])).to_be_hidden()
    await screen.press(words["again"])
    await page.get_by_label(words["hub"]).fill(front.installation.town_url + home.path)
    await page.get_by_label(words["token"]).fill(home.token)
    await page.get_by_label(words["contact"]).fill(home.contact or "")
    if home.lamp is not None:
        await page.get_by_text(words["more"]).click()
        await page.get_by_label(words["lamp"]).fill(home.lamp)
    await look(screen, "hub-again")
    await screen.press(words["it"])
    await says(screen, words["none"])


async def add_camera(screen: Screen, front: Front, home_id: str, words: dict[str, str]) -> None:
    page = screen.page
    hung = await front.town.add_camera(f"{home_id}-hall", **PICTURE, home_id=home_id)
    await screen.press(words["add"])
    await look(screen, "which-kind")
    await page.get_by_text(words["kind"]).click()
    await page.get_by_label(words["call"]).fill("Hall")
    await page.get_by_label(words["stream"]).fill(hung["address"])
    await page.get_by_label(words["user"]).fill(hung["user"])
    await page.get_by_label(words["password"]).fill(hung["password"])
    await look(screen, "add-camera")
    await screen.press(words["add_it"])
    await look(screen, "camera")


async def show_that_it_lives(screen: Screen, words: dict[str, str], *, has_lamp: bool) -> None:
    page = screen.page
    await screen.press(words["enrol"])
    if has_lamp:
        await expect(page.get_by_role("button", name=words["play"])).to_be_visible(timeout=PATIENCE_MS)
        await look(screen, "lamp")
        await screen.press(words["play"])
        return
    picture = page.locator(".marking img")
    await expect(picture).to_be_visible(timeout=PATIENCE_MS)
    await picture.scroll_into_view_if_needed()
    frame = await picture.bounding_box()
    assert frame is not None
    scale = frame["width"] / PICTURE["width"]
    left, top = frame["x"] + MARK["left"] * scale, frame["y"] + MARK["top"] * scale
    await page.mouse.move(left, top)
    await page.mouse.down()
    await page.mouse.move(left + MARK["width"] * scale / 2, top + 2)
    await page.mouse.move(left + MARK["width"] * scale, top + MARK["height"] * scale)
    await page.mouse.up()
    await expect(page.locator(".marking-box")).to_be_visible()
    drawn = {name: float(await page.locator(f"input[name={name}]").input_value()) for name in MARK}
    assert {name: abs(drawn[name] - MARK[name]) < 2 for name in MARK} == dict.fromkeys(MARK, True), drawn
    await look(screen, "clock")
    await screen.press(words["time"])


async def show_door(screen: Screen, front: Front, home_id: str, words: dict[str, str]) -> None:
    """By the household's hands, as the page says: it renews itself."""
    page = screen.page
    await expect(page.get_by_role("button", name=words["ready"])).to_be_visible(timeout=60_000)
    await look(screen, "door")
    await screen.press(words["ready"])
    await says(screen, words["open"])
    await front.town.do_at_home(home_id, HomeDeed.KEY_UNLOCK)
    await front.town.do_at_home(home_id, HomeDeed.OPEN_DOOR)
    await says(screen, words["close"])
    await asyncio.sleep(OPEN_FOR_S)
    await front.town.do_at_home(home_id, HomeDeed.CLOSE_DOOR)
    await front.town.do_at_home(home_id, HomeDeed.KEY_LOCK)
    await says(screen, words["enrolled"])
    await says(screen, words["witness"])
    await look(screen, "witness")


@pytest.mark.timeout(300)
async def test_a_home_is_linked_and_its_camera_becomes_a_witness(front: Front) -> None:
    """Two households at once: one by a lamp, in English; one by the time that is marked on the picture, in French."""
    await asyncio.gather(play(front, "en-US", has_lamp=True), play(front, "fr-FR", has_lamp=False))


async def play(front: Front, locale: str, *, has_lamp: bool) -> None:
    """One household, from its first page to a camera that may be a witness."""
    words, home_id = WORDS[locale], f"home-{locale.lower()}"
    home = await front.town.add_home(home_id, has_lamp=has_lamp)
    made = await front.carrier.register_consignee("Ada", locale[:2])
    async with open_screen(
        locale=locale, pictures="consignee", shown=SHOWN, permissions=["geolocation"], has_touch=True, is_mobile=True,
        timezone_id="America/New_York", geolocation={"latitude": HERE.latitude, "longitude": HERE.longitude},
    ) as screen:  # fmt: skip
        page = screen.page
        await sign_in(screen, front, made.key, COMMON[locale], "/me/places")
        await link_home(screen, front, home, words)
        place = page.url
        await change_settings(screen, front, home, words)
        await add_camera(screen, front, home_id, words)
        await show_that_it_lives(screen, words, has_lamp=has_lamp)
        await show_door(screen, front, home_id, words)
        await page.goto(place)
        await says(screen, words["witness"])
        await expect(page.get_by_text(words["none"])).to_be_hidden()
        await look(screen, "home" if has_lamp else "domicile")
        if not has_lamp:
            await let_old_phone_film(screen, words)
        assert (await front.town.home(home_id)).is_secured
        async with front.database.connection() as connection:
            query = "SELECT methods FROM camera WHERE access_point_id = %s AND enrolled_at IS NOT NULL"
            rows = await (await connection.execute(query, (place.rpartition("/")[2],))).fetchall()
            assert rows == [(["light"] if has_lamp else ["clock"],)]
            query = "SELECT count(*) FROM look WHERE access_point_id = %s AND what = 'camera_picture'"
            looks = await (await connection.execute(query, (place.rpartition("/")[2],))).fetchall()
        assert looks == [(0 if has_lamp else 1,)], (
            "each look at the home is a row: a page that renews itself looks once"
        )


async def let_old_phone_film(screen: Screen, words: dict[str, str]) -> None:
    page = screen.page
    await screen.press(words["add"])
    await page.get_by_text(words["phone"]).click()
    await page.get_by_label(words["call"]).fill("Téléphone")
    await screen.press(words["add_it"])
    camera = page.url
    async with page.expect_response(lambda answer: answer.url == camera and answer.request.method == "GET"):
        await screen.press(words["make"])  # what answers a form renews itself, too
    await says(screen, words["film"])
    await expect(page.locator("main .mono")).to_contain_text(re.compile(r"/camera#unlatch_link_\w+"))
    await look(screen, "phone")
    await page.get_by_text(words["remove"]).click()
    await page.get_by_role("button", name=words["yes"], exact=True).click()
    await expect(page.get_by_text("Téléphone")).to_be_hidden()
