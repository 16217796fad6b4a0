"""The contact sheet: every page at three widths, light and dark, in English and French, as a real browser shows it.

    scripts/contact-sheet            writes docs/pictures/pages/*.jpg and docs/reference/pages.md

Fails where a page is wider than its window, says nothing in the language that was asked for, or complains.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.async_api import Page, async_playwright
from tests.conftest import make_server_dir
from tests.journeys.front import Front, open_front
from tests.journeys.playing import Play
from tests.journeys.screens import BARE, CHROMIUM

from unlatch.domain.visit import State
from unlatch.settings import PREFIX, Settings
from unlatch.store.database import connect, use_server
from unlatch.store.embedded import Embedded
from unlatch.store.migrate import migrate

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures" / "pages"
LIST = ROOT / "docs" / "reference" / "pages.md"
WIDTHS = {360: 740, 768: 1024, 1440: 900}
THUMB = 250  # pixels wide, each
CUT = 1.9  # as many times as wide: what is longer is cut


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One page."""

    name: str
    path: str
    reader: str = ""  # whose session: consignee, operator, or nobody's


def list_shown(stop_id: str, place_id: str, visit_id: str) -> Sequence[Shown]:
    """All pages but those that a form leads to, and the courier's (docs/pictures/courier)."""
    mine, desk = "consignee", "operator"
    return (
        Shown(name="entrance", path="/"),
        Shown(name="sign-in", path="/sign-in"),
        Shown(name="link-by-mail", path="/sign-in/link"),
        Shown(name="courier-not-enrolled", path="/courier"),
        Shown(name="today", path="/me", reader=mine),
        Shown(name="delivery", path=f"/me/deliveries/{stop_id}", reader=mine),
        Shown(name="places", path="/me/places", reader=mine),
        Shown(name="place", path=f"/me/places/{place_id}", reader=mine),
        Shown(name="notices", path="/me/notices", reader=mine),
        Shown(name="history", path="/me/history", reader=mine),
        Shown(name="devices", path="/devices", reader=mine),
        Shown(name="step-up", path="/step-up?to=/me", reader=mine),
        Shown(name="no-such-page", path="/me/places/acc_0", reader=mine),
        Shown(name="console", path="/console", reader=desk),
        Shown(name="console-visit", path=f"/console/visits/{visit_id}", reader=desk),
        Shown(name="console-clouds", path="/console/clouds", reader=desk),
    )


async def sign_in(page: Page, url: str, key: str) -> None:
    """With a key, as someone does who has no passkey yet."""
    await page.goto(f"{url}/sign-in")
    await page.locator("details summary").click()
    await page.locator("input[name=key]").fill(key)
    await page.locator("form[action='/sign-in/key'] button").click()
    await page.wait_for_url(lambda where: "/sign-in" not in where)


async def take(front: Front, shown: Sequence[Shown], keys: dict[str, str]) -> list[str]:
    """A sheet per page; what was wrong."""
    wrong: list[str] = []
    url = front.installation.server_url
    PICTURES.mkdir(parents=True, exist_ok=True)
    sheets: dict[str, list[list[Image.Image]]] = {one.name: [] for one in shown}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(BARE))
        for language in ("en", "fr"):
            for theme in ("light", "dark"):
                for reader in ("", *keys):
                    context = await browser.new_context(locale=language, color_scheme=theme)
                    await context.add_cookies([{"name": "unlatch_language", "value": language, "url": url}])
                    page = await context.new_page()
                    page.on("pageerror", lambda error: wrong.append(str(error)))
                    if reader:
                        await sign_in(page, url, keys[reader])
                        await page.locator(f"button[name=language][value={language}]").click()
                    for one in shown:
                        if one.reader == reader:
                            row = await take_page(page, f"{url}{one.path}", language, wrong)
                            sheets[one.name].append(row)
                    await context.close()
        await browser.close()
    for name, rows in sheets.items():
        paste(rows).save(PICTURES / f"{name}.jpg", quality=70, optimize=True)
    return wrong


async def take_page(page: Page, address: str, language: str, wrong: list[str]) -> list[Image.Image]:
    """One page at each width."""
    row = []
    for width, height in WIDTHS.items():
        await page.set_viewport_size({"width": width, "height": height})
        await page.goto(address)
        spoken = await page.locator("html").get_attribute("lang")
        wide = await page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            wrong.append(f"{address} is {wide} wide at {width}")
        if spoken != language:
            wrong.append(f"{address} speaks {spoken}, not {language}")
        picture = Image.open(io.BytesIO(await page.screenshot(full_page=True))).convert("RGB")
        picture = picture.crop((0, 0, width, min(picture.height, int(width * CUT))))
        row.append(picture.resize((THUMB, round(picture.height * THUMB / width)), Image.Resampling.LANCZOS))
    return row


def paste(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """A line per language and theme, a column per width."""
    gap = 8
    heights = [max(one.height for one in row) for row in rows]
    pairs = [rows[at] + list(rows[at + 1]) for at in range(0, len(rows), 2)] if len(rows) > 1 else rows  # type: ignore[operator]
    heights = [max(one.height for one in row) for row in pairs]
    sheet = Image.new(
        "RGB", (len(pairs[0]) * (THUMB + gap) + gap, sum(heights) + gap * (len(pairs) + 1)), (128, 128, 128)
    )
    y = gap
    for row, height in zip(pairs, heights, strict=True):
        for number, one in enumerate(row):
            sheet.paste(one, (gap + number * (THUMB + gap), y))
        y += height + gap
    return sheet


def write_list(shown: Sequence[Shown]) -> None:
    """The page of the documentation."""
    said = (
        "Made by `scripts/contact-sheet`. Each sheet: English above, French below; light at the left, dark at "
        "the right; 360, 768 and 1440 pixels wide. Long pages are cut. The courier's: docs/pictures/courier."
    )
    parts = ["# Every page, as a browser shows it", said]
    for one in shown:
        path = re.sub(r"[a-z]+_[0-9a-f]+$", "{id}", one.path.partition("?")[0])
        parts.append(f"## {one.name}\n\n`{path}`\n\n![{one.name}](../pictures/pages/{one.name}.jpg)")
    LIST.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


async def run() -> int:
    """All of it, on a town of its own."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]  # this is not about this shell's own installation
    folder = make_server_dir()
    try:
        async with use_server(Settings(data_dir=folder)) as dsn:
            async with connect(dsn, name="evidence") as connection:
                await migrate(connection, tell=lambda _: None)
            async with open_front(folder, dsn, is_database_own=True, factor=15.0) as front:
                return await run_on(front)
    finally:
        await asyncio.to_thread(Embedded(folder).remove)
        shutil.rmtree(folder, ignore_errors=True)


async def run_on(front: Front) -> int:
    """A delivery that has ended, a trunk that was left open, and then the pages."""
    async with front.open_door("onstar") as door:

        async def leave(play: Play) -> None:
            play.is_inside = play.is_gone = True

        async with front.open_door("volvo", beside=None) as other:
            await other.scan()
            await Play(door=other).go_on()
        await door.scan()
        play = Play(door=door, at={State.OPEN: leave})
        watching = asyncio.create_task(play.go_on(real_s=240))
        await asyncio.wait_for(_until_called(front), 120)
        shown = list_shown(door.stop_id, door.place_id, door.visit_id)
        keys = {"consignee": door.consignee.key, "operator": front.operator.key}
        wrong = await take(front, shown, keys)
        write_list(shown)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    for line in wrong:
        print("WRONG", line)
    print(f"{len(shown)} pages, {len(wrong)} complaints: {LIST.relative_to(ROOT)}")
    return 1 if wrong else 0


async def _until_called(front: Front) -> None:
    while not await front.operator.calls():
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    sys.exit(asyncio.run(run()))
