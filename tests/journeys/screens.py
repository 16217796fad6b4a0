"""What the tests of the apps see: a page in Debian's Chromium, its complaints, and whether everyone can use it."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.async_api import BrowserContext, Page, ViewportSize, async_playwright, expect
from playwright.async_api import TimeoutError as BrowserTimeout

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
AXE = Path(__file__).parents[1] / "vendor" / "axe.min.js"
RUN_AXE = """
async () => {
  // What stands in frames is looked at as pages of their own.
  const runOnly = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
  const wide = await axe.run(document, { iframes: false, runOnly });
  // The main step is read in the sun: AAA.
  const step = document.querySelector(".step")
    ? await axe.run(".step", { runOnly: { type: "rule", values: ["color-contrast-enhanced"] } }) : { violations: [] };
  return [...wide.violations, ...step.violations].map((one) => `${one.id}: ${one.nodes.map((node) => node.html)}`);
}
"""
# Fingers: 48 pixels, and for a courier's gloves 64 where a main step is pressed. A link within a text may be smaller.
SMALL_TARGETS = """
() => [...document.querySelectorAll("main a, main button, main label.button, main .check")]
  .filter((one) => one.offsetParent && !one.closest(".leaflet-container"))
  .filter((one) => one.getBoundingClientRect().height < (one.matches("#screen .button") ? 64 : 48))
  .map((one) => one.textContent.trim())
"""
PATIENCE_MS = 30_000
PHONE: ViewportSize = {"width": 360, "height": 740}
CHROMIUM = shutil.which("chromium") or "chromium: scripts/browser installs it"
BARE = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


class Screen:
    """The app on one phone, and everything that it complained about."""

    def __init__(
        self, page: Page, context: BrowserContext, *, pictures: str = "", shown: Sequence[str] = ()
    ) -> None:
        self.page, self.context = page, context
        self.pictures, self.shown = pictures, shown
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self._hear(said.type, said.text))

    def _hear(self, kind: str, text: str) -> None:
        is_network = "net::ERR" in text or "status of 4" in text
        if kind in ("error", "warning") and not is_network:
            self.complaints.append(text)

    async def press(self, name: str) -> None:
        await (
            self.page.get_by_role("button", name=name, exact=True)
            .or_(self.page.get_by_role("link", name=name, exact=True))
            .click()
        )

    async def press_unless_told(self, name: str, text: str) -> None:
        """Press it, unless the screen says `text` before: a car's own word may be faster than a finger."""
        with suppress(BrowserTimeout):
            await self.page.get_by_role("button", name=name, exact=True).click(timeout=3000)
        await self.reads(text)

    async def reads(self, text: str, *, patience_ms: float = PATIENCE_MS) -> None:
        await expect(self.page.locator("#screen")).to_contain_text(text, timeout=patience_ms)

    async def look(self, name: str) -> None:
        """Whether everyone can use this screen: nothing is wider than the phone, no button small, axe finds nothing."""
        # Of an element: a page that has only just come has none yet, and a locator waits for it.
        wide = await self.page.locator("html").evaluate("(root) => root.scrollWidth")
        await self.page.wait_for_load_state("domcontentloaded")
        await self.page.evaluate("scrollTo(0, 0)")  # else a button may stand half under the bar that stays
        room = self.page.viewport_size or PHONE
        assert wide <= room["width"], f"{name} is {wide} wide"
        small = await self.page.evaluate(SMALL_TARGETS)
        assert small == [], f"{name}: {small}"
        await self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = await self.page.evaluate(RUN_AXE)
        assert found == [], f"{name}: {found}"
        if os.environ.get("PICTURES") == "yes" and name in self.shown:
            folder = PICTURES / self.pictures
            folder.mkdir(parents=True, exist_ok=True)
            picture = Image.open(io.BytesIO(await self.page.screenshot(full_page=True))).convert("RGB")
            picture.quantize(64).save(folder / f"{name}.png", optimize=True)


@asynccontextmanager
async def open_screen(
    *,
    locale: str = "en-US",
    viewport: ViewportSize = PHONE,
    args: Sequence[str] = (),
    pictures: str = "",
    shown: Sequence[str] = (),
    **more: Any,
) -> AsyncIterator[Screen]:
    """A new browser. `args`: further ones for Chromium; `more`: of its context. Complaints fail the test."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*BARE, *args])
        try:
            context = await browser.new_context(locale=locale, viewport=viewport, **more)
            context.set_default_timeout(PATIENCE_MS)
            screen = Screen(await context.new_page(), context, pictures=pictures, shown=shown)
            yield screen
            assert screen.complaints == [], screen.complaints
        finally:
            await browser.close()
