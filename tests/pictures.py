"""The README's picture: what the demo printed, as an SVG. `scripts/pictures` feeds it the real output.

A dark card of its own, so that it can be read on a light page and on a dark one; text, so that it can be searched.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

LINE_PX, LETTER_PX, MARGIN_PX = 18.0, 7.9, 16.0
MOST_LETTERS = 120
COLOURS = {"plain": "#d6deeb", "quiet": "#8b9bb4", "good": "#7fd88f", "bad": "#ff9e8f", "head": "#ffffff"}
ALARMS = re.compile(
    r"jams|did not close|not seen locked|is called|lock_failed|unsecured|this row was changed", re.IGNORECASE
)


def choose_story(lines: Iterable[str]) -> list[str]:
    """One story, from its title to the last thing that holds: no address and no folder of the machine it ran on."""
    story: list[str] = []
    for line in lines:
        if story and not line.strip():
            break
        if story or re.match(r"\([a-g]\) ", line):
            story.append(line.rstrip("\n"))
    return story


def _colour(line: str) -> str:
    if line.startswith("("):
        return "head"
    if line.lstrip().startswith("holds"):
        return "good"
    if ALARMS.search(line):
        return "bad"
    return "quiet" if line.startswith("    ") else "plain"


def draw_picture(lines: Sequence[str]) -> str:
    """The lines as an SVG; what is longer than MOST_LETTERS ends in an ellipsis."""
    shown = [line if len(line) <= MOST_LETTERS else line[: MOST_LETTERS - 1] + "…" for line in lines]
    width = max(map(len, shown)) * LETTER_PX + 2 * MARGIN_PX
    height = len(shown) * LINE_PX + 2 * MARGIN_PX
    texts = []
    for at, line in enumerate(shown):
        colour, y = _colour(line), MARGIN_PX + LINE_PX * (at + 0.75)
        weight = ' font-weight="700"' if colour == "head" else ""
        texts.append(
            f'<text x="{MARGIN_PX:g}" y="{y:g}" fill="{COLOURS[colour]}"{weight}>{escape(line)}</text>'
        )
    fonts = "ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="What the demo prints" font-family="{fonts}" font-size="13" xml:space="preserve" '
        'style="white-space:pre">'
    )
    card = f'<rect width="{width:g}" height="{height:g}" rx="8" fill="#131a26"/>'
    return "\n".join((head, card, *texts, "</svg>\n"))


if __name__ == "__main__":
    story = choose_story(sys.stdin)
    if not any(line.lstrip().startswith("holds") for line in story):
        sys.exit("pictures: the demo did not play a whole story")
    Path(sys.argv[1]).write_text(draw_picture(story), encoding="utf-8")
