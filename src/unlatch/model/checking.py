"""The six models by name, and the command that searches them: `unlatch check-protocol`.

Each part is searched in a process of its own: its memory is given back, and its peak is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType

from unlatch.model.block_race import BlockRace
from unlatch.model.exploring import Found, explore
from unlatch.model.inbox import Inbox
from unlatch.model.search import search, search_place
from unlatch.model.two_couriers import Meeting, TwoCouriers
from unlatch.model.two_workers import TwoWorkers
from unlatch.model.variants import (
    BLIND,
    HOME,
    HOME_THAT_ANSWERS,
    STRONG,
    STRONG_WITHOUT_LID,
    WEAK,
)

EXIT_FAILED = 1
KB_IN_MB = 1024


@dataclass(frozen=True, kw_only=True)
class Part:
    """One search of a model. `quick`: a smaller world of the same kind; None: left out."""

    name: str
    full: Callable[[], Found]
    quick: Callable[[], Found] | None = None


@dataclass(frozen=True, kw_only=True)
class Model:
    """One question to the protocol, asked of every situation."""

    name: str
    question: str
    parts: Sequence[Part]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one search has found, and what it has cost."""

    found: Found
    took_s: float  # of one core
    peak_mb: int


def _one_visit(variants: Sequence[tuple[str, Callable[[], Found]]]) -> tuple[Part, ...]:
    """The first of them is the quick one."""
    return tuple(
        Part(name=name, full=run, quick=run if not index else None)
        for index, (name, run) in enumerate(variants)
    )


def _meet(meeting: Meeting, attempts: int) -> Found:
    return explore(TwoCouriers(meeting, attempts=attempts))


def _work(most_effects: int) -> Found:
    return explore(TwoWorkers(most_effects=most_effects))


def _receive(most_messages: int) -> Found:
    return search_place(Inbox(STRONG, most_messages=most_messages))


def _block(most_effects: int) -> Found:
    return explore(BlockRace(most_effects=most_effects))


_ALL = (
    Model(
        name="car",
        question="one visit to a car: gate, worker, cloud, late and lying readings, a courier who says anything",
        parts=_one_visit(
            [(each.name, partial(search, each)) for each in (STRONG, STRONG_WITHOUT_LID, WEAK, BLIND)]
        ),
    ),
    Model(
        name="home",
        question="one visit to a home: the same, with its camera and someone who may come to the door",
        parts=_one_visit([(each.name, partial(search, each)) for each in (HOME, HOME_THAT_ANSWERS)]),
    ),
    Model(
        name="place",
        question="several who want one place: scans in steps, unique indexes, the tail of an earlier visit",
        parts=(
            Part(
                name="several couriers at one place",
                full=partial(_meet, Meeting.ONE_PLACE, 3),
                quick=partial(_meet, Meeting.ONE_PLACE, 2),
            ),
            Part(
                name="several couriers at two places with one car",
                full=partial(_meet, Meeting.ONE_CAR, 3),
                quick=partial(_meet, Meeting.ONE_CAR, 2),
            ),
            Part(
                name="one courier with two phones at two places",
                full=partial(_meet, Meeting.ONE_COURIER, 2),
                quick=partial(_meet, Meeting.ONE_COURIER, 2),
            ),
        ),
    ),
    Model(
        name="command",
        question="one unlock and two workers: pauses, deaths, a take-over by lease, a lossy failover",
        parts=(Part(name="an unlock and a lock", full=partial(_work, 2), quick=partial(_work, 0)),),
    ),
    Model(
        name="inbox",
        question="what a cloud sends by itself: late, double, reordered, forged, of another place, wrong",
        parts=(
            Part(
                name="messages on their way beside our own readings",
                full=partial(_receive, 2),
                quick=partial(_receive, 1),
            ),
        ),
    ),
    Model(
        name="block",
        question="the race of a block, a cancellation, a freeze against decision, gate, emission and lock",
        parts=(Part(name="one place, one courier", full=partial(_block, 2), quick=partial(_block, 0)),),
    ),
)
MODELS: Mapping[str, Model] = MappingProxyType({each.name: each for each in _ALL})


def measure(run: Callable[[], Found]) -> Outcome:
    """Search, and what it has cost this process."""
    began_s = time.process_time()
    found = run()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // KB_IN_MB
    return Outcome(found=found, took_s=time.process_time() - began_s, peak_mb=peak_mb)


def measure_apart(run: Callable[[], Found]) -> Outcome:
    """The same in a process of its own, one after the other."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, run).result()


def check(
    models: Sequence[Model],
    *,
    is_quick: bool,
    measure: Callable[[Callable[[], Found]], Outcome] = measure_apart,
) -> Iterator[tuple[Model, Part, Outcome]]:
    """Search them, one after the other; ends with the first flaw."""
    for model in models:
        for part in model.parts:
            run = part.quick if is_quick else part.full
            if run is None:
                continue
            outcome = measure(run)
            yield model, part, outcome
            if outcome.found.flaw is not None:
                return


def run(arguments: argparse.Namespace) -> int:
    """Search and print; the exit code is 1 where an invariant is broken."""
    models = [MODELS[name] for name in arguments.model or MODELS]
    situations, took_s, shown = 0, 0.0, ""
    told = []
    for model, part, outcome in check(models, is_quick=arguments.quick):
        if model.name != shown:
            print(f"{model.name}: {model.question}")
            shown = model.name
        found = outcome.found
        print(
            f"  {part.name}: {found.situations:,} situations, {found.moves:,} transitions, {found.deepest} deep, "
            f"{outcome.took_s:.1f} s, {outcome.peak_mb:,} MB",
            flush=True,
        )
        told.append(
            {
                "model": model.name,
                "part": part.name,
                "situations": found.situations,
                "transitions": found.moves,
                "deepest": found.deepest,
                "seconds": round(outcome.took_s, 1),
                "peak_mb": outcome.peak_mb,
                "broken": None if found.flaw is None else found.flaw.invariant,
            }
        )
        if arguments.json:
            Path(arguments.json).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        if found.flaw is not None:
            print(found.flaw)
            print(f"{found.flaw.invariant} does not hold: {found.flaw.why}", file=sys.stderr)
            return EXIT_FAILED
        print("  every invariant held", flush=True)
        situations += found.situations
        took_s += outcome.took_s
    print(
        f"{len(models)} models, {situations:,} situations, {took_s:.0f} s of one core: every invariant held"
    )
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `unlatch check-protocol` takes."""
    parser.add_argument(
        "--model", action="append", choices=list(MODELS), help="this model alone; may be repeated"
    )
    parser.add_argument("--json", metavar="FILE", help="where the counts go")
    parser.add_argument("--quick", action="store_true", help="smaller worlds: a minute instead of five")
