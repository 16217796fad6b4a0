"""Someone who has a keyboard alone: what they reach with Tab, whether they see where they are, what they press."""

from __future__ import annotations

from typing import Any

from tests.journeys.screens import Screen

STOPS_MAX = 60  # of Tab, before what is wanted must have come
# Where the focus is: its name, and what hides it. `main` is given the focus by the skip link; nobody has to see that.
HELD = """
() => {
  const one = document.activeElement;
  if (!one || one === document.body) return null;
  const label = one.labels?.[0]?.textContent;
  const name = (one.getAttribute("aria-label") ?? label ?? one.textContent).trim().replace(/\\s+/g, " ");
  if (one.matches("main")) return { name: "main", faults: [] };
  const mark = one.matches(".visually-hidden") ? one.closest("label") : one;
  const style = getComputedStyle(mark), width = parseFloat(style.outlineWidth), off = parseFloat(style.outlineOffset);
  const faults = [];
  if (style.outlineStyle === "none" || width < 2) faults.push("no outline");
  const box = mark.getBoundingClientRect(), ring = Math.max(0, width + off - 0.5);
  for (let around = mark.parentElement; around; around = around.parentElement) {
    if (around === document.documentElement || getComputedStyle(around).overflowX === "visible") continue;
    const pane = around.getBoundingClientRect();
    const isWhole = box.left - ring >= pane.left && box.right + ring <= pane.right
      && box.top - ring >= pane.top && box.bottom + ring <= pane.bottom;
    if (!isWhole) faults.push(`its outline is cut off by ${around.className || around.localName}`);
  }
  const left = Math.max(box.left, 0), right = Math.min(box.right, innerWidth);
  const top = Math.max(box.top, 0), bottom = Math.min(box.bottom, innerHeight);
  if (left >= right || top >= bottom) faults.push("outside of the window");
  else {
    const above = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
    const isSeen = above && (mark.contains(above) || above.contains(mark));
    if (!isSeen) faults.push(`covered by ${above?.outerHTML.slice(0, 80)}`);
  }
  return { name, faults };
}
"""


class Keyboard:
    """One screen, without a mouse."""

    def __init__(self, screen: Screen) -> None:
        self.screen, self.page = screen, screen.page

    async def held(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = await self.page.evaluate(HELD)
        return found

    async def reach(self, name: str) -> None:
        """Tab until it is there; each stop on the way must be seen."""
        passed = []
        for _ in range(STOPS_MAX):
            await self.page.keyboard.press("Tab")
            if (held := await self.held()) is None:  # past the end: from the beginning again
                continue
            assert held["faults"] == [], f"{self.page.url}: {held}"
            if held["name"].startswith(name):
                return
            passed.append(held["name"][:40])
        raise AssertionError(f"{self.page.url}: no {name!r} among {passed}")

    async def press(self, name: str, key: str = "Enter") -> None:
        await self.reach(name)
        await self.page.keyboard.press(key)

    async def write(self, label: str, words: str) -> None:
        await self.reach(label)
        await self.page.keyboard.type(words)

    async def skip(self) -> None:
        """From the top of a new page to its content."""
        await self.press("Skip to the content")
        held = await self.held()
        assert held is not None
        assert held["name"] == "main"

    async def go_back_to_the_top(self) -> None:
        """From the end of a page, each stop seen: under a bar that stays, too."""
        await self.page.evaluate("document.activeElement.blur(); scrollTo(0, document.body.scrollHeight)")
        for _ in range(STOPS_MAX):
            await self.page.keyboard.press("Shift+Tab")
            if (held := await self.held()) is not None:
                assert held["faults"] == [], f"{self.page.url}: {held}"
                if held["name"] == "Skip to the content":
                    return
        raise AssertionError(f"{self.page.url}: no way back to the top")

    async def is_on(self, name: str) -> None:
        """What has changed by itself has left the focus where it was."""
        held = await self.held()
        assert held is not None, f"{self.page.url}: the focus was lost; it was on {name!r}"
        assert held["name"].startswith(name), held

    async def is_somewhere(self) -> None:
        """What was pressed has gone, and the focus went on to what has come: not back to the page's beginning."""
        assert await self.held() is not None, f"{self.page.url}: the focus was lost"
