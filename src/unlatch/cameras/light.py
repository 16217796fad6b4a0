"""The challenge by light: a lamp of the home plays a pattern that was drawn by lot, and the picture has to show it.

What was recorded before can't show it, and what is played into the camera's link can't know it. The lamp may be slow:
the pattern is looked for with any delay up to `MAX_DELAY_S`. How often another pattern would be taken for ours depends
on its length, and is measured (docs/reference/cameras.md).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from unlatch.cameras.glances import Glance

CHIP_S = 0.25
CHIPS = 16
MAX_DELAY_S = 1.2
DELAY_STEP_S = 0.05
LEAST_LIKENESS = 0.8
LEAST_SWING = 1.0  # grey levels of the whole picture: below that no lamp was seen
MOST_LEVELS = 12.0  # that one cell may say


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """What the lamp plays from `begun_s` on."""

    chips: tuple[bool, ...]
    begun_s: float
    chip_s: float = CHIP_S

    @property
    def ended_s(self) -> float:
        """When it has been played and, with the slowest lamp, been seen."""
        return self.begun_s + len(self.chips) * self.chip_s + MAX_DELAY_S


def draw_pattern(begun_s: float, chips: int = CHIPS, chip_s: float = CHIP_S) -> Pattern:
    """A pattern by lot, as often on as off, that is no regular blinking."""
    if chips < 6 or chips % 2:
        raise ValueError("a pattern has an even number of chips, six at least")
    while True:
        drawn = [True] * (chips // 2) + [False] * (chips // 2)
        for place in range(chips - 1, 0, -1):
            other = secrets.randbelow(place + 1)
            drawn[place], drawn[other] = drawn[other], drawn[place]
        turns = sum(one != other for one, other in pairwise(drawn))
        if 3 <= turns <= chips - 3:
            return Pattern(chips=tuple(drawn), begun_s=begun_s, chip_s=chip_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """How well a pattern was seen: likeness from -1 to 1, grey levels it swung by, and the lamp's delay."""

    likeness: float
    swing: float
    delay_s: float

    @property
    def is_ours(self) -> bool:
        """Taken for the pattern that was played."""
        return self.likeness >= LEAST_LIKENESS and self.swing >= LEAST_SWING


def look_for(pattern: Pattern, glances: list[Glance]) -> Seen:
    """How well these glances show the pattern, at the delay that shows it best."""
    best = Seen(likeness=-1.0, swing=0.0, delay_s=0.0)
    length_s = len(pattern.chips) * pattern.chip_s
    own = [
        glance
        for glance in glances
        if pattern.begun_s <= glance.at_s <= pattern.begun_s + length_s + MAX_DELAY_S
    ]
    if len(own) < len(pattern.chips):
        return best
    times = np.array([glance.at_s - pattern.begun_s for glance in own])
    levels = np.stack([glance.levels for glance in own]).reshape(len(own), -1).astype(np.float32)
    apart = levels - np.median(levels, axis=0)
    course = np.clip(apart, -MOST_LEVELS, MOST_LEVELS).mean(axis=1)  # what moves is a small part, and bounded
    chips = np.array(pattern.chips, np.float32)
    for delay_s in np.arange(0.0, MAX_DELAY_S + DELAY_STEP_S / 2, DELAY_STEP_S):
        is_within = (times >= delay_s) & (times < delay_s + length_s)
        if is_within.sum() < len(chips):
            continue
        number = ((times[is_within] - delay_s) / pattern.chip_s).astype(int).clip(0, len(chips) - 1)
        wanted = chips[number] - chips[number].mean()
        seen = course[is_within] - course[is_within].mean()
        swing = float(wanted @ seen) / max(1e-6, float((wanted**2).sum()))  # by least squares
        norm = float(np.sqrt((seen**2).sum() * (wanted**2).sum()))
        likeness = float(seen @ wanted) / norm if norm > 0 else 0.0
        if likeness > best.likeness:
            best = Seen(likeness=likeness, swing=swing, delay_s=round(float(delay_s), 3))
    return best
