"""How often enrolment errs: `scripts/evidence_enrolment OUT.json`, some minutes. Ends by itself.

The door: films of a hall while its door is opened, and of all that is no such thing, over several halls and wherever
the looks at its sensor fall. The light: patterns that were never played, looked for in pictures that are no live ones,
among them one that shows an older pattern again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from tests.cameras.doors import (
    ALL_S,
    CLOSED_S,
    KINDS,
    OPENED_S,
    Kind,
    door,
    judge,
    shoot,
    shut,
    told,
    with_walker,
)
from tests.cameras.evidence import kinds_of_film
from tests.cameras.street import FPS
from tests.cameras.test_glances import NO_CLOCK, NO_CLOCK_MOVING, glances_of, lit

from unlatch.cameras.door_seen import judge_door
from unlatch.cameras.light import draw_pattern, look_for
from unlatch.town.hall import View

HALLS = 6
LOOKS = 10  # at each film, with the sensor's looks elsewhere
PATTERNS = 200
Figures = dict[str, Any]


def standing(at_s: float) -> View:
    """What is taken for a door, as `door_seen.py` says."""
    before, after = at_s - OPENED_S + 0.5, at_s - CLOSED_S + 0.5
    share = 0.5 * (min(1.0, max(0.0, before)) + min(1.0, max(0.0, after)))
    return View(walker=share if 0 < share < 1 else None)


def more_kinds(chance: Random) -> dict[str, Kind]:
    """What happens by chance: who walks by does so at some time, as fast as they like."""
    begin_s, lasts_s = chance.uniform(OPENED_S - 3, CLOSED_S), chance.uniform(1.5, 7.0)
    walks = (begin_s, begin_s + lasts_s)
    return {
        "someone steps in with it, stands still, steps out with it": Kind(shows_door=False, view_at=standing),
        "someone walks by at some time": Kind(shows_door=False, view_at=with_walker(shut(), *walks)),
        "the door, someone walks by at some time": Kind(shows_door=True, view_at=with_walker(door(), *walks)),
        "a door of some width, in some light": Kind(
            shows_door=True,
            view_at=door(
                chance.uniform(0.2, 1.0),
                behind_s=chance.uniform(0.0, 1.2),
                view=View(light=chance.uniform(-110, 40), noise=chance.uniform(1.0, 6.0)),
            ),
        ),
    }


def door_rates() -> Figures:
    """Of each kind of film: in how many of its windows the door was seen."""
    figures: Figures = {}
    for seed in range(HALLS):
        chance = Random(seed)
        for name, kind in {**KINDS, **more_kinds(chance)}.items():
            kept = shoot(kind.view_at, seed=seed)
            row = figures.setdefault(
                name, {"shows the door": kind.shows_door, "seen": 0, "of": 0, "codes": {}}
            )
            for _ in range(LOOKS):
                seen = judge(kept, chance)
                row["seen"] += seen.is_seen
                row["of"] += 1
                code = seen.code or "seen"
                row["codes"][code] = row["codes"].get(code, 0) + 1
    figures["another moment"] = shifted()
    return figures


def shifted() -> Figures:
    """The door was opened so many seconds before or after what we were told."""
    figures: Figures = {}
    kept = [shoot(door(), seed=seed) for seed in range(HALLS)]
    for by_s in (0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0):
        seen = [
            judge_door(
                one, told(OPENED_S + sign * by_s, chance), told(CLOSED_S + sign * by_s, chance)
            ).is_seen
            for one in kept
            for sign in (-1, 1)
            for chance in (Random(number) for number in range(LOOKS))
        ]
        figures[f"{by_s:g} s"] = {"seen": sum(seen), "of": len(seen)}
    assert ALL_S > CLOSED_S + 4.0 + 4.0
    return figures


def light_rates() -> Figures:
    """A pattern that was drawn now, looked for in pictures that can't show it: how often it was taken for seen."""
    figures: Figures = {}
    films = {
        "live, still": glances_of(kinds_of_film(NO_CLOCK, 12.0)["live"]),
        **{
            f"{name}, {title}": glances_of(pictures)
            for title, view in (("still hall", NO_CLOCK), ("something moves", NO_CLOCK_MOVING))
            for name, pictures in kinds_of_film(view, 12.0).items()
            if name.startswith(("frozen", "loop"))
        },
    }
    moving = glances_of(kinds_of_film(NO_CLOCK_MOVING, 4.2)["live"])
    again = [replace(one, at_s=one.at_s + 4.0 * turn) for turn in range(3) for one in moving]
    films["the very same coded pictures again"] = again
    films["one coded picture again and again"] = [
        replace(moving[20], at_s=number / FPS) for number in range(12 * FPS)
    ]
    older = draw_pattern(2.0)
    films["an older pattern of ours, played again"] = glances_of(lit(older, NO_CLOCK, seconds=12.0))
    for name, glances in films.items():
        drawn = (draw_pattern(2.0 + (number % 20) / 20) for number in range(PATTERNS))
        figures[name] = {
            "taken for ours": sum(
                look_for(one, glances).is_ours for one in drawn if one.chips != older.chips
            ),
            "of": PATTERNS,
        }
    return figures


def main() -> None:
    out, *names = sys.argv[1:]
    doing: dict[str, Callable[[], Figures]] = {"door": door_rates, "light": light_rates}
    figures: Figures = {}
    for name in names or doing:
        figures[name] = doing[name]()
        for kind, row in figures[name].items():
            print(f"{name}: {kind}: {json.dumps(row)}", flush=True)
    Path(out).write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
