"""The contact sheet: every page at three widths, light and dark, in English and French, as a real browser shows it.

    scripts/contact-sheet [NAME ...]  writes docs/pictures/pages/*.jpg and docs/reference/pages.md

Fails where a page is wider than its window, says nothing in the language that was asked for, or complains.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from playwright.async_api import Page, async_playwright
from tests.conftest import make_server_dir
from tests.journeys.front import HERE, Front, PhoneDoor
from tests.journeys.home_front import HomeDoor, open_home, open_home_front
from tests.journeys.playing import Play
from tests.journeys.screens import BARE, CHROMIUM

from unlatch.domain.visit import State
from unlatch.flow.erasing import make_receipt
from unlatch.settings import PREFIX, Settings
from unlatch.store.database import connect, use_server
from unlatch.store.embedded import Embedded
from unlatch.store.migrate import migrate

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures" / "pages"
LIST = ROOT / "docs" / "reference" / "pages.md"
WIDTHS = {360: 740, 768: 1024, 1440: 900}
THUMB = 250  # pixels wide, each
FACTOR = 8.0  # town seconds in a real one: the courier's stop must last for all pictures
LASTS_S = 1500.0  # real
CAR: dict[str, Any] = {"make": "Chevrolet", "model": "Malibu", "colour": "blue", "plate": "ABC 123"}
PLAYS = "() => [...document.querySelectorAll('video')].every((one) => one.readyState >= 2)"
CUT = 4.0  # as many times as wide: what is longer is cut


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One page."""

    name: str
    path: str
    reader: str = ""  # whose browser: a name of `Readers`, or nobody's
    press: str = ""  # what is pressed there first, where it is to be seen
    await_for: str = ""  # what is there when the page is whole
    is_unfolded: bool = False  # with all that stands behind a word


@dataclass(frozen=True, kw_only=True)
class Readers:
    """Who looks: keys to sign in with, and couriers, whose phones are enrolled."""

    keys: Mapping[str, str]
    couriers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What there is to be seen."""

    door: PhoneDoor  # a trunk that was left open
    next: PhoneDoor  # a stop to come
    home: HomeDoor
    receipt: str


def list_shown(scene: Scene) -> Sequence[Shown]:
    """All pages but those that a form leads to."""
    return (
        *_of_anyone(scene),
        *_of_consignees(scene),
        *_of_homes(scene),
        *_of_console(scene),
        *_of_couriers(scene),
    )


def _of_anyone(scene: Scene) -> Sequence[Shown]:
    return (
        Shown(name="entrance", path="/"),
        Shown(name="sign-in", path="/sign-in"),
        Shown(name="link-by-mail", path="/sign-in/link"),
        Shown(name="check", path="/check"),
        Shown(name="erased", path=f"/erased/{scene.receipt}"),
        Shown(name="courier-not-enrolled", path="/courier", await_for="[data-form=enrol]"),
    )


def _of_consignees(scene: Scene) -> Sequence[Shown]:
    mine = "consignee"
    return (
        Shown(name="today", path="/me", reader=mine),
        Shown(name="delivery", path=f"/me/deliveries/{scene.door.stop_id}", reader=mine),
        Shown(name="places", path="/me/places", reader=mine),
        Shown(name="place", path=f"/me/places/{scene.door.place_id}", reader=mine),
        Shown(name="notices", path="/me/notices", reader=mine),
        Shown(name="history", path="/me/history", reader=mine),
        Shown(name="erasure", path="/me/data", reader=mine, is_unfolded=True),
        Shown(name="devices", path="/devices", reader=mine),
        Shown(name="step-up", path="/step-up?to=/me", reader=mine),
        Shown(name="no-such-page", path="/me/places/acc_0", reader=mine),
    )


def _of_homes(scene: Scene) -> Sequence[Shown]:
    mine, place = "household", f"/me/places/{scene.home.place_id}"
    return (
        Shown(name="home-new", path="/me/homes/new", reader=mine, is_unfolded=True),
        Shown(name="home", path=place, reader=mine, is_unfolded=True),
        Shown(name="home-settings", path=f"{place}/home", reader=mine),
        Shown(name="home-hub", path=f"{place}/hub", reader=mine),
        Shown(name="camera", path=f"{place}/cameras/{scene.home.camera_ids[0]}", reader=mine),
        Shown(name="camera-new", path=f"{place}/cameras/new", reader=mine),
    )


def _of_console(scene: Scene) -> Sequence[Shown]:
    desk = "operator"
    return (
        Shown(name="console", path="/console", reader=desk),
        Shown(
            name="console-map", path="/console/map", reader=desk, press="#map-show", await_for="#map-legend"
        ),
        Shown(name="console-visit", path=f"/console/visits/{scene.door.visit_id}", reader=desk),
        Shown(name="console-freezes", path="/console/freezes", reader=desk, is_unfolded=True),
        Shown(name="console-couriers", path="/console/couriers", reader=desk),
        Shown(name="console-clouds", path="/console/clouds", reader=desk),
        Shown(name="console-rules", path="/console/rules", reader=desk),
        Shown(
            name="console-areas",
            path="/console/rules/file?file=coverage/launch-2018.geojson",
            reader=desk,
            press="[data-part=draw]",
            await_for="[data-part=drawing]:not([hidden])",
        ),
        Shown(name="console-audit", path=f"/console/audit?of={scene.door.stop_id}", reader=desk),
    )


def _of_couriers(scene: Scene) -> Sequence[Shown]:
    free, held = "courier", "courier-at-car"
    stop, open_stop = f"/courier#/stop/{scene.next.stop_id}", f"/courier#/stop/{scene.door.stop_id}"
    return (
        Shown(name="courier-stops", path="/courier#/", reader=free, await_for="#screen .row"),
        Shown(
            name="courier-stop",
            path=stop,
            reader=free,
            press="[data-do=locate]",
            await_for="[data-if=may_scan]",
        ),
        Shown(name="courier-scan", path=f"{stop}/scan", reader=free, await_for="#screen video"),
        Shown(name="courier-unsafe", path=f"{stop}/unsafe", reader=free, await_for="#screen h1"),
        Shown(
            name="courier-fallback", path=f"{stop}/fallback", reader=free, await_for="[data-form=fallback]"
        ),
        Shown(name="courier-card", path="/courier#/card", reader=free, await_for="img.qr:not([hidden])"),
        Shown(
            name="courier-visit",
            path=open_stop,
            reader=held,
            press="[data-do=take_up]",
            await_for="[data-list=acts]",
        ),
        Shown(name="courier-could-not", path=f"{open_stop}/could_not", reader=held, await_for="#screen h1"),
        Shown(name="courier-held", path="/courier#/", reader=held, await_for="#screen .row"),
    )


async def sign_in(page: Page, url: str, key: str) -> None:
    """With a key, as someone does who has no passkey yet."""
    await page.goto(f"{url}/sign-in")
    await page.locator("details summary").click()
    await page.locator("input[name=key]").fill(key)
    await page.locator("form[action='/sign-in/key'] button").click()
    await page.wait_for_url(lambda where: "/sign-in" not in where)


async def enrol(page: Page, front: Front, courier_id: str) -> None:
    """A phone of this courier, as the app enrols one."""
    code = await front.carrier.invite_phone(courier_id)
    await page.goto(f"{front.installation.server_url}/courier#enrol={code}")
    await page.locator("[data-form=enrol] button:not([data-do])").click()
    await page.locator("#screen .row").first.wait_for()


async def enter(page: Page, front: Front, readers: Readers, reader: str, language: str) -> None:
    """As this reader, in this language."""
    if reader in readers.keys:
        await sign_in(page, front.installation.server_url, readers.keys[reader])
        async with front.database.connection() as connection:  # a form that widens is shown to no new browser
            await connection.execute("UPDATE session SET settles_at = created_at")
        await page.locator(f"button[name=language][value={language}]").click()
    elif reader in readers.couriers:
        await enrol(page, front, readers.couriers[reader])


async def take(front: Front, shown: Sequence[Shown], readers: Readers) -> list[str]:
    """A sheet per page; what was wrong."""
    wrong: list[str] = []
    url = front.installation.server_url
    PICTURES.mkdir(parents=True, exist_ok=True)
    sheets: dict[str, list[list[Image.Image]]] = {one.name: [] for one in shown}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(BARE))
        for language in ("en", "fr"):
            for theme in ("light", "dark"):
                for reader in dict.fromkeys(one.reader for one in shown):
                    context = await browser.new_context(
                        locale=language, color_scheme=theme, permissions=["geolocation", "camera"],
                        geolocation={"latitude": HERE.latitude, "longitude": HERE.longitude, "accuracy": 5},
                    )  # fmt: skip
                    await context.add_cookies([{"name": "unlatch_language", "value": language, "url": url}])
                    page = await context.new_page()
                    page.on("pageerror", lambda error: wrong.append(str(error)))
                    await enter(page, front, readers, reader, language)
                    for one in shown:
                        if one.reader == reader:
                            sheets[one.name].append(await take_page(page, url, one, language, wrong))
                    await context.close()
        await browser.close()
    for name, rows in sheets.items():
        paste(rows).save(PICTURES / f"{name}.jpg", quality=70, optimize=True)
    return wrong


async def take_page(page: Page, url: str, shown: Shown, language: str, wrong: list[str]) -> list[Image.Image]:
    """One page at each width."""
    row, address = [], f"{url}{shown.path}"
    for width, height in WIDTHS.items():
        await page.set_viewport_size({"width": width, "height": height})
        await page.goto(address)
        await _make_whole(page, shown)
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


async def _make_whole(page: Page, shown: Shown) -> None:
    """All that there is to be seen of it."""
    if shown.press:
        await page.locator(f"{shown.press}, {shown.await_for}").first.wait_for()
        if await page.locator(shown.press).is_visible():
            await page.locator(shown.press).click()
    if shown.await_for:
        await page.locator(shown.await_for).first.wait_for()
    await page.wait_for_function(PLAYS)
    await page.mouse.move(0, 0)  # nothing is drawn as if a finger were on it
    if shown.is_unfolded:
        await page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")


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
        "the right; 360, 768 and 1440 pixels wide. Long pages are cut."
    )
    parts = ["# Every page, as a browser shows it", said]
    for one in shown:
        path = re.sub(r"[a-z]{3}_[0-9a-f]+", "{id}", one.path.partition("?")[0])
        parts.append(f"## {one.name}\n\n`{path}`\n\n![{one.name}](../pictures/pages/{one.name}.jpg)")
    LIST.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


async def run(only: Sequence[str]) -> int:
    """All of it, or the pages of these names, on a town of its own."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]  # this is not about this shell's own installation
    folder = make_server_dir()
    try:
        async with use_server(Settings(data_dir=folder)) as dsn:
            async with connect(dsn, name="evidence") as connection:
                await migrate(connection, tell=lambda _: None)
            async with open_home_front(folder, dsn, is_database_own=True, factor=FACTOR) as front:
                return await run_on(front, only)
    finally:
        await asyncio.to_thread(Embedded(folder).remove)
        shutil.rmtree(folder, ignore_errors=True)


async def run_on(front: Front, only: Sequence[str]) -> int:
    """A delivery that has ended, a trunk that was left open, a stop to come, a home; and then the pages."""
    async with (
        front.open_door("onstar") as door,
        front.open_door("onstar", **CAR) as coming,
        open_home(front, directions="The green door behind the fountain") as home,
    ):

        async def leave(play: Play) -> None:
            play.is_inside = play.is_gone = True

        async with front.open_door("volvo", beside=None) as other:
            await other.scan()
            await Play(door=other).go_on()
        await door.scan()
        play = Play(door=door, at={State.OPEN: leave})
        watching = asyncio.create_task(play.go_on(real_s=LASTS_S))
        await asyncio.wait_for(_until_called(front), 240)
        scene = Scene(door=door, next=coming, home=home, receipt=await erase_someone(front))
        shown = list_shown(scene)
        readers = Readers(
            keys={
                "consignee": door.consignee.key, "household": home.consignee.key, "operator": front.operator.key
            },
            couriers={"courier": coming.phone.courier_id, "courier-at-car": door.phone.courier_id},
        )  # fmt: skip
        wrong = await take(front, [one for one in shown if not only or one.name in only], readers)
        write_list(shown)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    for line in wrong:
        print("WRONG", line)
    print(f"{len(shown)} pages, {len(wrong)} complaints: {LIST.relative_to(ROOT)}")
    return 1 if wrong else 0


async def erase_someone(front: Front) -> str:
    """Somebody who wants to be no more; the name of their receipt."""
    made = await front.carrier.register_consignee("Zoe Gone")
    receipt = make_receipt()
    headers = {"Authorization": f"Bearer {made.key}", "Idempotency-Key": receipt}
    async with httpx.AsyncClient(base_url=front.installation.server_url, headers=headers) as http:
        (await http.post("/v1/me/erasure", json={"receipt": receipt})).raise_for_status()
    return receipt


async def _until_called(front: Front) -> None:
    while not await front.operator.calls():
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    sys.exit(asyncio.run(run(sys.argv[1:])))
