"""What was tried, how often, and what held: `scripts/evidence` runs the layers and writes the manual's page of them.

    python -m tests.evidence [LAYER ...]      the named layers, or those of the hour; figures to var/evidence.json
    python -m tests.evidence --page           these into docs/reference/evidence.json, and evidence.md from it

The page is made from the figures that stand beside it in the repository; a test fails where it was edited by hand.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[1]
VAR = ROOT / "var" / "evidence"
FIGURES = ROOT / "var" / "evidence.json"
KEPT = ROOT / "docs" / "reference" / "evidence.json"
PAGE = ROOT / "docs" / "reference" / "evidence.md"
SIMULATED = 200_000
AT_ONCE = 2  # simulations side by side
SEED = 1_000_000
BADNESS = 1.5
POSITION_COUNTS = ("refused by the shape", "granted", "denied")


def _run(*words: str) -> int:
    return subprocess.run([sys.executable, *words], cwd=ROOT, check=False).returncode


def run_models(out: Path) -> bool:
    """Every situation of six models."""
    return _run("-m", "unlatch.main", "check-protocol", "--json", str(out)) == 0


def run_mutants(out: Path) -> bool:
    """Faults made by hand."""
    return _run("-m", "tests.simulation.report", str(out)) == 0


def run_simulation(out: Path) -> bool:
    """Simulated visits, in two processes with seeds of their own."""
    parts = [out.with_suffix(f".{number}.json") for number in range(AT_ONCE)]
    running = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "unlatch.main", "simulate", "--seed", str(SEED * (number + 1))),
                *("--visits", str(SIMULATED // AT_ONCE), "--badness", str(BADNESS), "--json", str(part)),
            ],
            cwd=ROOT,
        )
        for number, part in enumerate(parts)
    ]
    ends = [one.wait() for one in running]
    told = [json.loads(part.read_text(encoding="utf-8")) for part in parts if part.exists()]
    out.write_text(json.dumps(add_up(told), indent=1) + "\n", encoding="utf-8")
    return not any(ends) and len(told) == AT_ONCE


def add_up(told: list[dict[str, Any]]) -> dict[str, Any]:
    """The counts of several simulations as one; seeds and what broke side by side."""
    whole: dict[str, Any] = {
        "seeds": [one["seed"] for one in told],
        "badness": told[0]["badness"],
        "broken": [],
    }
    for one in told:
        whole["broken"] += one["broken"]
        for name in ("worlds", "visits", "unlocks", "locks"):
            whole[name] = whole.get(name, 0) + one[name]
        for name in ("faults", "hard_cases", "ends"):
            counts = whole.setdefault(name, {})
            for key, count in one[name].items():
                counts[key] = counts.get(key, 0) + count
    whole["seconds"] = max(one["seconds"] for one in told)
    return whole


def run_fuzz(out: Path) -> bool:
    """Bad input in bulk."""
    return _run("-m", "tests.fuzz", str(out)) == 0


def run_siege(out: Path) -> bool:
    """Six thousand deliveries over real processes that are killed, cut off, skewed and filled up; three ledgers."""
    return _run("-m", "tests.siege", str(out)) == 0


def run_contention(out: Path) -> bool:
    """Two thousand grants, each wanted thirty-two times at once."""
    return _run("-m", "tests.siege.contention", str(out)) == 0


def run_journeys(out: Path) -> bool:
    """What CI has no time for in a real browser: every test that is marked as long."""
    report = out.with_suffix(".xml")
    held = _run("-m", "pytest", "-n0", "-m", "long", f"--junitxml={report}", "tests") == 0
    told = [
        {"name": case.get("name"), "seconds": round(float(case.get("time", 0)))}
        for case in ET.parse(report).iter("testcase")
    ]
    out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return held and bool(told)


def run_day(out: Path) -> bool:
    """A day of 2,000 deliveries over real processes, ten of them killed."""
    return _run("-m", "unlatch.main", "day", "--json", str(out)) == 0


LAYERS: Mapping[str, Callable[[Path], bool]] = {
    "models": run_models,
    "mutants": run_mutants,
    "simulation": run_simulation,
    "fuzz": run_fuzz,
    "contention": run_contention,
    "siege": run_siege,
    "journeys": run_journeys,
    "day": run_day,
}
WITHIN_THE_HOUR = tuple(name for name in LAYERS if name not in ("journeys", "day"))


def find_commit() -> str:
    """Which code was tried; with a plus where files differ from it."""
    git = shutil.which("git") or "git"

    def ask(*words: str) -> str:
        return subprocess.run(
            [git, *words], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.strip()

    return (ask("rev-parse", "--short=12", "HEAD") or "unknown") + (
        "+" if ask("status", "--porcelain") else ""
    )


def run_layers(names: list[str]) -> int:
    """Run them one after the other; 0 where all of them held."""
    VAR.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Any] = {"layers": {}}
    commit, bad = find_commit(), []
    for name in names:
        began_s = time.monotonic()
        print(f"--- {name}", flush=True)
        out = VAR / f"{name}.json"
        out.unlink(missing_ok=True)
        held = LAYERS[name](out)
        told = json.loads(out.read_text(encoding="utf-8")) if out.exists() else None
        figures["layers"][name] = {
            "commit": commit,
            "held": held,
            "seconds": round(time.monotonic() - began_s),
            "figures": told,
        }
        FIGURES.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        if not held:
            bad.append(name)
    print(f"did not hold: {', '.join(bad)}" if bad else "everything held", flush=True)
    return 1 if bad else 0


# ---- the page -------------------------------------------------------------------------------------------------------


def make_page(figures: dict[str, Any]) -> str:
    """The manual's page of these figures."""
    parts = [
        "# What was tried, and what held",
        "",
        "Made by `scripts/evidence`, from `evidence.json` beside it: not to be edited by hand.",
        "",
        *_in_one_go(figures["layers"]),
    ]
    for name, layer in figures["layers"].items():
        parts += [
            *SECTIONS[name](layer["figures"]),
            f"Of commit `{layer['commit']}`; it took {layer['seconds']} s on the machine of that run.",
            "",
        ]
    return "\n".join(parts).rstrip() + "\n"


def _in_one_go(layers: Mapping[str, Any]) -> list[str]:
    """How long all took together, where one commit was tried in all."""
    ran = [layers[name] for name in WITHIN_THE_HOUR if name in layers]
    if len(ran) < len(WITHIN_THE_HOUR) or len({one["commit"] for one in ran}) > 1:
        return []
    held = "everything held" if all(one["held"] for one in ran) else "not everything held"
    minutes = sum(one["seconds"] for one in ran) / 60
    return [f"{', '.join(WITHIN_THE_HOUR)}: {minutes:.0f} minutes together on 2 cores; {held}.", ""]


def _models(lines: list[dict[str, Any]]) -> list[str]:
    situations = sum(line["situations"] for line in lines)
    return [
        "## Every situation of six models",
        "",
        f"{len({line['model'] for line in lines})} models, {situations:,} situations; every invariant in each, and",
        "from each a way to an end: `unlatch check-protocol`.",
        "",
        "| model | part | situations | transitions | deepest | broken |",
        "|---|---|---|---|---|---|",
        *(
            f"| {line['model']} | {line['part']} | {line['situations']:,} | {line['transitions']:,} "
            f"| {line['deepest']} | {line['broken'] or 'nothing'} |"
            for line in lines
        ),
        "",
    ]


def _mutants(lines: list[dict[str, Any]]) -> list[str]:
    killed = sum(bool(line["killed_by"]) for line in lines)
    return [
        "## Faults made by hand",
        "",
        f"{killed} of {len(lines)} were found: of the protocol's table by the exhaustive model (cases are situations),",
        "of the flow's own code by the simulation (cases are visits).",
        "",
        "| of | fault | found by | after |",
        "|---|---|---|---|",
        *(
            f"| {line['of']} | {line['name']} | {', '.join(line['killed_by']) or '**nothing**'} | {line['cases']:,} |"
            for line in lines
        ),
        "",
    ]


def _simulation(told: dict[str, Any]) -> list[str]:
    faults = sum(told["faults"].values())
    seeds = " and ".join(f"{seed:,}" for seed in told["seeds"])
    again = f"unlatch simulate --seed {told['seeds'][0]} --visits 1000 --badness {told['badness']}"
    return [
        "## The real flow in simulated worlds",
        "",
        f"{told['visits']:,} visits in {told['worlds']:,} worlds with {faults:,} faults.",
        f"{told['unlocks']:,} unlocks and {told['locks']:,} locks left. Invariants broken: {len(told['broken'])}.",
        f"Seeds from {seeds} on; again: `{again}`.",
        "",
        "| hard case | met |",
        "|---|---|",
        *(f"| {name} | {count:,} |" for name, count in told["hard_cases"].items()),
        "",
        "| fault | struck |",
        "|---|---|",
        *(f"| {name} | {count:,} |" for name, count in told["faults"].items()),
        "",
        "| end of a visit | how many |",
        "|---|---|",
        *(f"| `{name}` | {count:,} |" for name, count in told["ends"].items()),
        "",
        *(f"- **broken**: {what}" for what in told["broken"]),
    ]


def _fuzz(told: dict[str, Any]) -> list[str]:
    lines = []
    for name, one in told.items():
        counts = one.get("taken_for") or {key: value for key, value in one.items() if key in POSITION_COUNTS}
        words = ", ".join(f"{key} {count:,}" for key, count in counts.items())
        lines.append(f"| {name} | {one['count']:,} | {one['seed']} | {words} | {len(one['broken'])} |")
    return [
        "## Bad input",
        "",
        "Each ended in a value or a refusal in time. Nothing was taken for more than it said, and none led to a grant:",
        "[decision 0016](../decisions/0016-what-an-answer-says-is-heard-twice.md).",
        "",
        "| what | tried | seed | came of it | broken |",
        "|---|---|---|---|---|",
        *lines,
        "",
    ]


def _contention(told: dict[str, Any]) -> list[str]:
    twice = len(told["broken"]) or "none"
    return [
        "## Many who want one grant",
        "",
        f"{told['grants']:,} grants, and {told['attempts']:,} attempts at them by {told['processes']} processes:",
        f"{told['passed']:,} passages; {told['shut']:,} grants were shut before. Used twice: {twice}.",
        "",
    ]


def _siege(told: dict[str, Any]) -> list[str]:
    """Single figures as lines, counts by kind as tables."""
    parts = {
        "what was done to it": told["blows"],
        "where workers killed themselves": told["points"],
        "met by couriers": told["met by couriers"],
        "three ledgers": told["ledgers"],
        "after a backup of mid-visit was restored": told["restored"],
    }
    lines = [
        "## Real processes under siege",
        "",
        f"{told['errands']:,} deliveries (seed {told['seed']}), while server, workers and PostgreSQL were killed,",
        "lines cut and stalled, clocks wrong by seconds and a disk full. What couriers were told, what the journal",
        "holds and what clouds were asked, laid beside each other; what must be none is named so:",
        "[decision 0017](../decisions/0017-three-ledgers.md).",
        "",
    ]
    for name, part in parts.items():
        lines += [f"| {name} | |", "|---|---|"]
        lines += [f"| {key} | {_say(value)} |" for key, value in part.items()]
        lines.append("")
    return [*lines, *(f"- **broken**: {what}" for what in told["broken"])]


def _journeys(told: list[dict[str, Any]]) -> list[str]:
    return [
        "## Journeys in a browser for which CI has no time",
        "",
        *(f"- `{one['name']}`: {one['seconds']} s" for one in told),
        "",
    ]


def _say(value: Any) -> str:
    match value:
        case dict():
            return ", ".join(f"{key} {count:,}" for key, count in value.items())
        case list():
            return f"{len(value):,}" + (f": {', '.join(f'`{one}`' for one in value)}" if value else "")
        case int():
            return f"{value:,}"
    return str(value)


def _day(told: dict[str, Any]) -> list[str]:
    plain = {name: value for name, value in told.items() if isinstance(value, int | float | str)}
    return [
        "## A day over real processes",
        "",
        "See [a day of 2,000 deliveries](day.md) for what it is.",
        "",
        "| figure | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in plain.items()),
        "",
    ]


SECTIONS: Mapping[str, Callable[[Any], list[str]]] = {
    "models": _models,
    "mutants": _mutants,
    "simulation": _simulation,
    "fuzz": _fuzz,
    "contention": _contention,
    "siege": _siege,
    "journeys": _journeys,
    "day": _day,
}


def main(words: list[str]) -> int:
    """The command line."""
    if words == ["--page"]:
        kept = json.loads(KEPT.read_text(encoding="utf-8"))
        if FIGURES.exists():
            kept["layers"] |= json.loads(FIGURES.read_text(encoding="utf-8"))["layers"]
            KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(make_page(kept), encoding="utf-8")
        return 0
    if unknown := [word for word in words if word not in LAYERS]:
        print(f"there is no layer {', '.join(unknown)}: one of {', '.join(LAYERS)}", file=sys.stderr)
        return 2
    return run_layers(words or list(WITHIN_THE_HOUR))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
