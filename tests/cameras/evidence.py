"""The figures of docs/reference/cameras.md, measured anew: `scripts/evidence_cameras OUT.json`. Ends by itself.

Read the ratios: what is compared ran at the same time, on the same streams. How busy the machine was stands beside it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.cameras.costs import Figures, measure_cost, measure_proofs, measure_sixty
from tests.cameras.street import FPS, clock_reader, hall, paint
from tests.cameras.test_glances import NO_CLOCK, NO_CLOCK_MOVING, STILL, glances_of, lit

from unlatch.cameras.glances import Method, Rolling, Verdict
from unlatch.cameras.light import draw_pattern, look_for
from unlatch.town.hall import Picture, View

# ---- rates --------------------------------------------------------------------------------------------------


def kinds_of_film(view: View, seconds: float) -> dict[str, list[Picture]]:
    """A live film, and each way to counterfeit it."""
    count, begin = round(seconds * FPS), 40
    live = [paint(number, view) for number in range(count)]
    still = live[begin]
    loop = live[:begin]
    rest = range(count - begin)
    return {
        "live": live,
        "live, light changes": [paint(n, replace(view, light=0.3 * n)) for n in range(count)],
        "live, dark": [paint(n, replace(view, light=-110)) for n in range(count)],
        "frozen, encoded anew": live[:begin] + [still for _ in rest],
        "frozen, encoded anew, fresh noise": live[:begin] + [hall().grain(still, view.noise) for _ in rest],
        "loop, encoded anew": loop + [loop[n % begin] for n in rest],
        "loop, encoded anew, fresh noise": loop + [hall().grain(loop[n % begin], 1.0) for n in rest],
    }


def judge_rates(seconds: float = 12.0) -> Figures:
    """Of each method and each film: how many of its windows were taken for live, for false, and neither."""
    figures: Figures = {}
    methods: list[tuple[str, Method, View, Any]] = [
        ("clock, still hall", Method.CLOCK, STILL, clock_reader()),
        ("clock, something moves", Method.CLOCK, replace(STILL, is_moving=True), clock_reader()),
        ("motion, something moves", Method.MOTION, NO_CLOCK_MOVING, None),
        ("motion, still hall", Method.MOTION, NO_CLOCK, None),
    ]
    for title, _, view, reader in methods:
        for name, pictures in kinds_of_film(view, seconds).items():
            rolling, counts = Rolling(reader), {"live": 0, "against": 0, "can't tell": 0}
            for number, glance in enumerate(glances_of(pictures, reader)):
                rolling.add(glance)
                if glance.at_s < 7.0 or number % 2:  # of which the counterfeit has had 3 s to be found
                    continue
                judged = rolling.judge(glance.at_s + 0.01)
                key = "live" if judged.is_live else "against" if judged.is_against else "can't tell"
                counts[key] += 1
            figures.setdefault(title, {})[name] = counts
    figures["exact repeats of coded frames"] = exact_repeats()
    return figures


def exact_repeats() -> Figures:
    """A loop of the very same coded frames, without clock: told by their bytes."""
    glances = glances_of([paint(number, NO_CLOCK_MOVING) for number in range(60)])
    rolling, found = Rolling(), []
    for number, glance in enumerate([*glances, *glances[20:], *glances[20:]]):
        rolling.add(replace(glance, at_s=number / FPS))
        if number >= 64:
            found.append(rolling.judge(number / FPS).verdict)
    return {"windows": len(found), "found": sum(one in (Verdict.LOOPING, Verdict.FROZEN) for one in found)}


def light_rates(tries: int = 270) -> Figures:
    """Of each length of pattern: seen when it was ours; taken for ours when another one, or none, was played."""
    figures: Figures = {}
    for chips in (8, 12, 16):
        seen, others = [], 0
        for view in (STILL, NO_CLOCK_MOVING, replace(NO_CLOCK, light=-150)):
            for delay_s in (0.1, 0.5, 1.0):
                pattern = draw_pattern(2.0, chips)
                glances = glances_of(lit(pattern, view, delay_s=delay_s, seconds=2 + chips / 4 + 1.5))
                seen.append(look_for(pattern, glances).is_ours)
                drawn = (draw_pattern(2.0, chips) for _ in range(tries // 9))
                others += sum(look_for(one, glances).is_ours for one in drawn if one.chips != pattern.chips)
        none = glances_of([paint(number, NO_CLOCK_MOVING) for number in range(90)])
        by_chance = sum(look_for(draw_pattern(2.0, chips), none).is_ours for _ in range(200))
        figures[f"{chips} chips"] = {
            "false rejects": f"{seen.count(False)} of {len(seen)}",
            "another pattern taken for ours": f"{others} of {tries // 9 * 9}",
            "no pattern taken for ours": f"{by_chance} of 200",
        }
    return figures


def main() -> None:
    out, *names = sys.argv[1:]
    figures: Figures = {"load_before": round(os.getloadavg()[0], 1), "processors": os.cpu_count()}
    doing: dict[str, Callable[[], Figures]] = {
        "proof": measure_proofs,
        "cost": measure_cost,
        "sixty": measure_sixty,
        "rates": judge_rates,
        "light": light_rates,
    }
    for name in names or doing:
        figures[name] = doing[name]()
        print(f"{name}: {json.dumps(figures[name])}", flush=True)
    figures["load_after"] = round(os.getloadavg()[0], 1)
    Path(out).write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
