"""An operator at a desk in a real browser: a trunk is left open, a call comes by itself, and is looked after.

With PICTURES=yes the pictures of docs/pictures/console are made anew by the way.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import ViewportSize, expect
from tests.journeys.front import Front, PhoneDoor, open_front
from tests.journeys.keyboard import Keyboard
from tests.journeys.playing import Play
from tests.journeys.screens import PATIENCE_MS, Screen, open_screen

from unlatch.domain.visit import State

DESK: ViewportSize = {"width": 1440, "height": 900}
SHOWN = ("calls", "visit", "appels")
FACTOR = 15.0  # who waits is the courier who has left; nobody here has to be fast
WORDS = {
    "en-US": {
        "given": "I was given a key", "key": "Key", "by_key": "Sign in with the key",
        "nobody": "Nobody is to be looked after.", "way": "Under way", "locked": "To be seen locked within",
        "file": "The file", "no_geojson": "The text is no GeoJSON now", "draw": "Draw an area",
        "called": "What the area is called", "corner_back": "Take the last corner back",
        "close_area": "Close the area", "check": "Check it, and see whom it affects",
        "effect": "What it would do", "away": "Take this area away:",
        "inside": "Inside: delivered", "how": "How do you know?", "rule": "Rule so", "left": "Unlock",
        "freeze": "Freeze this place: nothing opens there", "thaw": "End the freeze of this place",
        "clouds": "Clouds", "nine": "Nine of ten within", "map": "Map", "show": "Show the map",
    },
    "fr-FR": {
        "given": "On m'a donné une clé", "key": "Clé", "by_key": "Se connecter avec la clé",
        "nobody": "Personne n'attend d'aide.", "way": "En cours", "locked": "Doit être vu verrouillé dans",
        "file": "Le fichier", "no_geojson": "Le texte n'est pas du GeoJSON", "draw": "Dessiner une zone",
        "called": "Le nom de la zone", "corner_back": "Retirer le dernier sommet",
        "close_area": "Fermer la zone", "check": "Vérifier, et voir qui est concerné",
        "effect": "Ce que cela ferait", "away": "Retirer cette zone :",
        "inside": "À l'intérieur : livré", "how": "Comment le savez-vous ?", "rule": "En décider ainsi",
        "left": "Déverrouiller",
        "freeze": "Geler ce lieu : rien ne s'y ouvre", "thaw": "Mettre fin au gel de ce lieu",
        "clouds": "Constructeurs", "nine": "Neuf sur dix en", "map": "Carte", "show": "Montrer la carte",
    },
}  # fmt: skip


@pytest.fixture
async def front(database_url: str, tmp_path: Path) -> AsyncIterator[Front]:
    async with open_front(tmp_path, database_url, factor=FACTOR) as front:
        yield front


async def says(screen: Screen, text: str) -> None:
    await expect(screen.page.locator("main")).to_contain_text(text, timeout=PATIENCE_MS)


@pytest.mark.parametrize("locale", ["en-US", "fr-FR"])
async def test_a_trunk_left_open_is_looked_after(front: Front, locale: str) -> None:
    words, is_english = WORDS[locale], locale == "en-US"
    async with (
        front.open_door("onstar") as door,
        open_screen(locale=locale, viewport=DESK, pictures="console", shown=SHOWN) as screen,
    ):
        page, keys = screen.page, Keyboard(screen)
        await page.goto(f"{front.installation.server_url}/sign-in?to=/console")
        await page.get_by_text(words["given"]).click()
        await page.get_by_label(words["key"], exact=True).fill(front.operator.key)
        await screen.press(words["by_key"])
        if not is_english:
            await page.get_by_role("button", name="FR").click()
        await says(screen, words["nobody"])
        await screen.look("quiet")

        async def leave(play: Play) -> None:
            """The parcel is in the trunk, and the courier is gone, without a word, the lid up."""
            play.is_inside = play.is_gone = True

        async def look_after(play: Play) -> None:
            link = page.locator("ol.rows a").first
            await expect(link).to_be_visible(timeout=PATIENCE_MS)  # by itself
            clock = page.locator("ol.rows [data-until]").first
            before = await clock.text_content()
            await expect(clock).not_to_have_text(before or "", timeout=3000)
            await screen.look("calls" if is_english else "appels")
            if is_english:  # without a mouse
                await keys.press(await link.inner_text())
            else:
                await link.click()
            await expect(page.locator("[aria-current=step]")).to_have_attribute("data-state", "unsecured")
            await says(screen, words["left"])
            await screen.look("visit")
            await page.get_by_role("link", name=words["map"], exact=True).click()
            await expect(page.locator("#console-map")).to_be_hidden()  # nobody has looked yet
            await screen.press(words["show"])
            await expect(page.locator("#console-map")).to_have_attribute(
                "data-shown", "1", timeout=PATIENCE_MS
            )
            await screen.look("map")
            assert await count_looks(front, door) == 1
            await page.goto(f"{front.installation.server_url}/console/visits/{door.visit_id}")
            await play.town.close_trunk(play.vin)  # a passer-by, whom the operator has on the phone

        async def rule(play: Play) -> None:
            await expect(page.get_by_label(words["inside"])).to_be_visible(timeout=PATIENCE_MS)
            if is_english:
                await keys.press(words["inside"], "Space")
                await keys.write(words["how"], "I spoke with the neighbour who closed it")
                await keys.press(words["rule"])
            else:
                await page.get_by_label(words["inside"]).check()
                await page.get_by_label(words["how"]).fill("I spoke with the neighbour who closed it")
                await screen.press(words["rule"])
            await expect(page.locator("[aria-current=step]")).to_have_attribute(
                "data-state", "ruled_delivered"
            )
            play.has_ruled = True

        await door.scan()
        play = Play(door=door, at={State.OPEN: leave, State.UNSECURED: look_after, State.REVIEW: rule})
        await play.go_on(real_s=120)
        assert play.last.state is State.RULED_DELIVERED
        if is_english:
            await keys.go_back_to_the_top()
        await screen.press(words["freeze"])
        await screen.press(words["thaw"])
        await says(screen, words["freeze"])
        await page.get_by_role("link", name=words["clouds"]).click()
        await says(screen, words["nine"])
        await expect(page.locator("[data-chart] canvas")).to_have_count(2, timeout=PATIENCE_MS)
        await screen.look("clouds")
        for path in ("freezes", "couriers", "rules", "rules/file?file=programmes/open.toml", "audit"):
            await page.goto(f"{front.installation.server_url}/console/{path}")
            await screen.look(path.partition("?")[0].replace("/", "-"))
        await draw_area(screen, front, words)
        await page.goto(f"{front.installation.server_url}/console")
        await says(screen, words["nobody"])
        await page.set_viewport_size({"width": 360, "height": 740})
        await screen.look("on-a-phone")


async def count_looks(front: Front, door: PhoneDoor) -> int:
    """How many looks on a map its household is told of, however long the operator went on looking."""
    async with front.database.connection() as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM look JOIN visit USING (access_point_id) WHERE visit.id = %s AND what = 'map'",
            (door.visit_id,),
        )
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def draw_area(screen: Screen, front: Front, words: dict[str, str]) -> None:
    """One more area, which the server reads, and taken away again: the text has it each time."""
    page, map_ = screen.page, screen.page.locator("[data-part=map]")
    await page.goto(f"{front.installation.server_url}/console/rules/file?file=coverage/launch-2018.geojson")
    await expect(map_).to_have_attribute("data-shown", "37", timeout=PATIENCE_MS)
    text = page.get_by_label(words["file"])
    before = json.loads(await text.input_value())
    await text.fill("{")
    await expect(page.get_by_text(words["no_geojson"])).to_be_visible()
    await text.fill(json.dumps(before))
    await expect(page.get_by_text(words["no_geojson"])).to_be_hidden()
    await screen.press(words["draw"])
    await page.get_by_label(words["called"]).fill("Atlanta")
    for x, y in ((400, 100), (520, 100), (520, 190), (300, 300)):  # with the clock, as no ring may turn
        await map_.click(position={"x": x, "y": y})
    await screen.press(words["corner_back"])
    await expect(map_).to_have_attribute("data-corners", "3")
    await screen.look("areas")
    await screen.press(words["close_area"])
    assert json.loads(await text.input_value()) == before, "that name is taken"
    await page.get_by_label(words["called"]).fill("Somewhere")
    await screen.press(words["close_area"])
    await expect(map_).to_have_attribute("data-shown", "38")
    *kept, drawn = json.loads(await text.input_value())["features"]
    assert kept == before["features"]
    ((first, second, third, last),) = drawn["geometry"]["coordinates"]
    assert first == last
    assert (second[0] - first[0]) * (third[1] - first[1]) > (third[0] - first[0]) * (second[1] - first[1]), (
        "a ring turns against the clock"
    )
    await screen.press(words["check"])
    await says(screen, words["effect"])
    await expect(map_).to_have_attribute("data-shown", "38", timeout=PATIENCE_MS)
    await page.evaluate("document.querySelector('[data-part=map]').scrollIntoView({ block: 'center' })")
    await map_.click(position={"x": 500, "y": 125})
    await screen.press(f"{words['away']} Somewhere")
    await expect(map_).to_have_attribute("data-shown", "37")
    assert json.loads(await text.input_value()) == before
