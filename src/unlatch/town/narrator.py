"""What the demo says: plain lines, each with the town's time and who speaks. Colours on a terminal alone."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TextIO

from unlatch.clock import Clock

WHO_WIDTH = 10
_STYLES: Mapping[str, str] = {
    "title": "1",
    "faint": "2",
    "good": "32",
    "bad": "1;31",
    "courier": "36",
    "phone": "36",
    "consignee": "35",
    "operator": "33",
    "mechanic": "33",
    "car": "34",
    "camera": "34",
    "door": "34",
    "home": "34",
}


def may_colour(out: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether colours are wanted: a terminal that knows them, and nobody has said NO_COLOR (no-color.org)."""
    return out.isatty() and not environ.get("NO_COLOR") and environ.get("TERM", "dumb") != "dumb"


@dataclass(kw_only=True)
class Narrator:
    """Writes to `out`, a line at a time, at once."""

    out: TextIO = field(default_factory=lambda: sys.stdout)
    clock: Clock | None = None
    is_coloured: bool | None = None
    began_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if self.is_coloured is None:
            self.is_coloured = may_colour(self.out, os.environ)

    def line(self, text: str = "", style: str = "") -> None:
        """A line of its own."""
        code = _STYLES.get(style) if self.is_coloured else None
        self.out.write(f"\x1b[{code}m{text}\x1b[0m\n" if code and text else f"{text}\n")
        self.out.flush()

    def step(self, text: str) -> None:
        """A step of the set-up, with the real seconds since the beginning."""
        self.line(f"{time.monotonic() - self.began_s:5.1f} s  {text}")

    def title(self, text: str) -> None:
        """The head of a story."""
        self.line()
        self.line(text, "title")

    def say(self, who: str, text: str) -> None:
        """Someone does or hears something, at this moment of the town."""
        at = f"{self.clock.now():%H:%M:%S}" if self.clock else ""
        self.line(f"  {at}  {who:<{WHO_WIDTH}}{text}", who)

    def check(self, text: str, *, holds: bool) -> None:
        """Whether something that must hold does."""
        self.line(f"  {'holds ' if holds else 'BROKEN'}  {text}", "good" if holds else "bad")
