"""The town's own page in a real browser: a first delivery by someone's own hands, timed, its clicks counted.

With PICTURES=yes the pictures of docs/pictures/town are made anew by the way.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from playwright.async_api import FrameLocator, Locator, Position, ViewportSize, expect
from playwright.async_api import TimeoutError as BrowserTimeout
from tests.journeys.screens import PATIENCE_MS, open_screen

from unlatch.town.stage_demo import OpenStage, open_stage
from unlatch.town.stage_scene import Target
from unlatch.town.streets import HEIGHT_M, HOMES, OWN_HOME, WIDTH_M

DESK: ViewportSize = {"width": 1440, "height": 900}
MOST_CLICKS, WITHIN_S = 12, 120
WORDS = {
    "en-US": {
        "go_on": "Go on", "enrol": "Enrol this phone", "here": "I am here: scan the parcel", "use": "Use this number",
        "type": "Or type the number under the barcode", "open": "Open the trunk", "inside": "Inside, without a photo",
        "close": "Close the trunk", "closed": "I have closed it", "proof": "Keep the proof",
        "still": "Please don't move the car.", "live": "Under way", "done": "Delivered.",
        "there": "Bo: at the stop", "another": "into her car", "counted": "5 cars, 2 of them driving",
    },
    "fr-FR": {
        "go_on": "Continuer", "enrol": "Inscrire ce téléphone", "here": "J'y suis : scanner le colis",
        "use": "Utiliser ce numéro", "type": "Ou saisissez le numéro sous le code-barres", "open": "Ouvrir le coffre",
        "inside": "Dedans, sans photo", "close": "Fermer le coffre", "closed": "J'ai refermé",
        "proof": "Garder la preuve", "still": "Ne déplacez pas la voiture, s'il vous plaît.", "live": "En cours",
        "done": "Livré.", "there": "Bo : sur place", "another": "dans sa voiture",
        "counted": "5 voitures, dont 2 en route",
    },
}  # fmt: skip


@pytest.fixture
async def stage(database_url: str, tmp_path: Path) -> AsyncIterator[OpenStage]:
    async with open_stage(tmp_path, has_home=False, database_url=database_url) as stage:
        yield stage


class Hand:
    """A person's: its clicks are counted."""

    def __init__(self) -> None:
        self.clicks = 0

    async def click(self, what: Locator, *, within_ms: float = PATIENCE_MS) -> None:
        await what.click(timeout=within_ms)
        self.clicks += 1


def button(within: FrameLocator, name: str) -> Locator:
    return within.get_by_role("button", name=name, exact=True).or_(
        within.get_by_role("link", name=name, exact=True)
    )


@pytest.mark.parametrize("locale", ["en-US", "fr-FR"])
async def test_a_first_delivery_takes_two_minutes_and_twelve_clicks(stage: OpenStage, locale: str) -> None:
    words, hand = WORDS[locale], Hand()
    async with open_screen(locale=locale, viewport=DESK, pictures="town", shown=("delivered",)) as screen:
        page = screen.page
        began_s = time.monotonic()
        await page.goto(stage.address)
        courier, consignee, operator = (
            page.frame_locator(f"iframe[name={name}]") for name in ("courier", "consignee", "operator")
        )
        await hand.click(button(consignee, words["go_on"]))
        await hand.click(button(operator, words["go_on"]))
        await hand.click(button(courier, words["enrol"]))
        await hand.click(courier.get_by_text("Ann Lee"))
        await expect(page.locator("#counted")).to_contain_text(words["counted"])
        await expect(page.locator("[data-words=couriers]")).to_contain_text(
            words["there"], timeout=PATIENCE_MS
        )
        await hand.click(button(courier, words["here"]))
        await courier.get_by_label(words["type"]).fill(stage.scene.label)
        await hand.click(button(courier, words["use"]))
        # Seen by the customer and at the desk while it happens.
        await expect(page.locator("#badges .badge-warn")).to_have_count(1, timeout=PATIENCE_MS)
        await hand.click(page.get_by_role("button", name=words["open"]))
        await expect(page.locator("[data-guide=cars] [data-step=put]")).to_have_attribute(
            "aria-current", "step"
        )
        await expect(operator.locator("tbody tr")).to_have_count(1, timeout=PATIENCE_MS)
        await hand.click(button(courier, words["inside"]))
        await expect(consignee.locator(".note-good")).to_be_visible(timeout=PATIENCE_MS)
        await hand.click(page.get_by_role("button", name=words["close"]))
        with suppress(BrowserTimeout):  # the car's own word may be faster than a finger
            await hand.click(button(courier, words["closed"]), within_ms=3000)
        await expect(page.locator("[data-guide=cars] [data-step=done]")).to_have_attribute(
            "aria-current", "step", timeout=PATIENCE_MS
        )
        took_s = time.monotonic() - began_s
        async with httpx.AsyncClient() as http:
            state = (await http.get(f"{stage.installation.town_url}/town/cars/{stage.scene.vin}")).json()
        assert state["is_trunk_locked"]
        assert not state["is_lid_open"]
        assert hand.clicks <= MOST_CLICKS
        assert took_s < WITHIN_S
        print(f"first delivery: {took_s:.1f} s, {hand.clicks} clicks")
        await page.evaluate("scrollTo(0, 0)")  # else its picture has the bar in the middle
        await screen.look("delivered")
        await page.get_by_role("button", name=words["another"]).click()
        await expect(page.locator("#label")).not_to_have_text(stage.scene.label, timeout=PATIENCE_MS)
        await expect(page.locator("[data-guide=cars] [data-step=scan]")).to_have_attribute(
            "aria-current", "step"
        )


async def test_any_fault_is_pulled_by_hand_from_the_map(stage: OpenStage) -> None:
    async with (
        open_screen(viewport=DESK, reduced_motion="reduce") as screen,
        httpx.AsyncClient(base_url=stage.installation.town_url) as http,
    ):
        page = screen.page
        await page.goto(stage.address)
        cars, homes = page.locator("[data-panel=cars]"), page.locator("[data-panel=homes]")
        await cars.get_by_text("Make it hard").click()
        await cars.get_by_label("the lock is jammed").check()
        await expect(page.locator("[data-words=cars]")).to_contain_text(
            "KEY 2018: parked, trunk closed, locked, 1 fault"
        )
        await page.get_by_role("button", name="Open the trunk").click()
        await expect(page.locator("#could-not")).to_contain_text("is locked")
        # A finger that comes down near the home chooses it; its camera is broken, then another fault takes its place.
        east, north = HOMES[OWN_HOME][1]
        drawn = await page.locator("#town").bounding_box()
        assert drawn is not None
        px_a_metre = drawn["width"] / WIDTH_M
        beside: Position = {"x": (east + 9) * px_a_metre, "y": (HEIGHT_M - north - 9) * px_a_metre}
        await page.locator("#town").click(position=beside)
        await expect(page.get_by_label("Your hands at")).to_have_value("homes elm-3")
        await homes.get_by_text("Make it hard").click()
        await homes.get_by_label("the hub is dead").check()
        await homes.get_by_label("its plug is pulled").check()
        await homes.get_by_label("one picture for ever").check()
        await expect(homes.get_by_label("its plug is pulled")).not_to_be_checked()
        await expect(page.locator("#badges")).to_contain_text("camera faulty")
        shown = (await http.get("/stage/map")).json()
        assert [car["faults"] for car in shown["cars"] if car["id"] == stage.scene.vin] == [["jammed"]]
        (home,) = (home for home in shown["homes"] if home["id"] == "elm-3")
        assert (home["faults"], home["camera_fault"]) == (["hub_gone"], "freeze")
        # By keyboard alone: a courier is chosen and sent.
        await page.get_by_label("Your hands at").select_option("Kim")
        await page.get_by_role("button", name="Send to her car").press("Enter")
        await expect(page.locator("[data-words=couriers]")).to_contain_text("Kim: on the way to the stop")
        # A home whose camera is not enrolled takes no parcel; what the platform refuses is said.
        to_home = page.get_by_role("button", name="to her home", exact=True)
        await expect(to_home).to_be_disabled()
        await stage.installation.town.admit_place(Target.HOME, "acc_of_nobody")
        await to_home.click()
        await expect(page.locator("#not-booked")).to_contain_text("That can't be done now:")
        await page.set_viewport_size({"width": 768, "height": 1024})
        await screen.look("tablet")
        await page.set_viewport_size({"width": 360, "height": 740})
        await screen.look("phone")
