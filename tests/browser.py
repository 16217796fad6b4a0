"""A real browser for the tests of pages: Debian's Chromium, driven by Playwright, without a network of its own."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Page, ViewportSize, async_playwright

REMEDY = "these tests look at pages in Debian's Chromium, which is not here: scripts/browser installs it"
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip
PHONE = ViewportSize(width=360, height=740)


class Watched:
    """A page, and everything that it complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self._hear(said.type, said.text))

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)


@asynccontextmanager
async def open_page(*, locale: str = "en-US", **options: Any) -> AsyncIterator[Watched]:
    """A page of a new browser, as a small phone shows it."""
    path = shutil.which("chromium")
    assert path is not None, REMEDY
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=[*QUIET])
        try:
            context = await browser.new_context(locale=locale, viewport=PHONE, **options)
            yield Watched(await context.new_page())
        finally:
            await browser.close()
