"""A home visit in a real browser: the household watches live while the door is open, and the recording afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect
from tests.journeys.front import Front
from tests.journeys.home_front import HomePlay, open_home, open_home_front
from tests.journeys.playing import Play
from tests.journeys.screens import PATIENCE_MS, open_screen
from tests.journeys.test_consignee_browser import WORDS, says, sign_in

from unlatch.domain.visit import State

LIVE = {"en-US": "Watch live", "fr-FR": "Regarder en direct"}
CLIP = {"en-US": "Watch the recording", "fr-FR": "Regarder l'enregistrement"}


@pytest.fixture
async def front(database_url: str, tmp_path: Path) -> AsyncIterator[Front]:
    async with open_home_front(tmp_path, database_url, factor=2.0) as front:
        yield front


@pytest.mark.parametrize("locale", ["en-US", "fr-FR"])
async def test_a_home_visit_is_watched_live(front: Front, locale: str) -> None:
    words = WORDS[locale]
    async with open_home(front, rings_first=False) as door, open_screen(locale=locale) as screen:
        page = screen.page
        await door.arm()
        await sign_in(screen, front, door.consignee.key, words)
        if locale == "fr-FR":
            await page.get_by_role("button", name="FR").click()
        await screen.press(words["see"])

        async def watch(play: Play) -> None:
            await page.get_by_role("button", name=LIVE[locale]).click(timeout=PATIENCE_MS)
            await page.locator("#badge").wait_for(state="visible", timeout=PATIENCE_MS)
            at = await page.evaluate("document.getElementById('picture').currentTime")
            await page.wait_for_function(
                "at => document.getElementById('picture').currentTime > at + 1", arg=at, timeout=PATIENCE_MS
            )

        await door.scan()
        play = HomePlay(door=door, at={State.OPEN: watch})
        await play.go_on()
        assert play.last.state is State.DELIVERED
        await page.goto(f"{front.installation.server_url}/me/deliveries/{door.stop_id}")
        await says(screen, words["story"])
        await screen.look("home-delivered")
        await expect(page.get_by_role("button", name=CLIP[locale])).to_be_visible()
        consignee_id = await front._consignee_of(door.place_id)
        async with front.database.connection() as connection:
            cursor = await connection.execute("SELECT DISTINCT who FROM look WHERE what LIKE 'live%%'")
            assert await cursor.fetchall() == [
                (f"consignee:{consignee_id}",)
            ]  # as the household's history says
