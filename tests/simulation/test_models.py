"""The models of several actors: each small world searched to the end, each fault made by hand caught with a story."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

import pytest
from tests.simulation.model_mutants import MUTANTS, ModelMutant

from unlatch.main import main
from unlatch.model import checking, two_workers
from unlatch.model.checking import MODELS, Outcome, Part, check, measure
from unlatch.model.exploring import Found

# A search that sees less than this has lost a part of the world: then it proves nothing.
AT_LEAST = {
    "several couriers at one place": 28_000,
    "several couriers at two places with one car": 120_000,
    "one courier with two phones at two places": 82_000,
    "an unlock and a lock": 220_000,
    "messages on their way beside our own readings": 239_000,
    "one place, one courier": 374_000,
}
PARTS = [part for name in ("place", "command", "inbox", "block") for part in MODELS[name].parts]


@pytest.mark.parametrize("part", PARTS, ids=lambda each: each.name)
def test_no_situation_breaks_an_invariant(part: Part, capfd: pytest.CaptureFixture[str]) -> None:
    assert part.quick is not None
    outcome = measure(part.quick)
    found = outcome.found
    line = f"{part.name}: {found.situations:,} situations, {found.moves:,} moves, {outcome.took_s:.1f} s"
    with capfd.disabled():  # standard error: it reaches the terminal from a worker of pytest-xdist too
        print(f"\n{line}", file=sys.stderr)
    assert found.flaw is None, str(found.flaw)
    assert found.situations >= AT_LEAST[part.name], line


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.name)
def test_mutant_is_caught(
    mutant: ModelMutant, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        mutant.patch(patch)
        found = mutant.search()
    assert found.flaw is not None, f"{mutant.name}: survives all of {found.situations:,} situations"
    with capfd.disabled():
        print(f"\n{mutant.name}: caught after {found.situations:,}\n{found.flaw}", file=sys.stderr)
    assert found.flaw.invariant in mutant.breaks, str(found.flaw)
    assert found.flaw.story, "a flaw is told as a story"


def test_there_are_six_models() -> None:
    assert list(MODELS) == ["car", "home", "place", "command", "inbox", "block"]
    assert all(model.parts[0].quick is not None for model in MODELS.values())


def test_a_search_apart_finds_the_same_and_says_what_it_cost() -> None:
    blind = MODELS["car"].parts[-1]
    apart = checking.measure_apart(blind.full)
    assert apart.found == blind.full()
    assert apart.peak_mb > 20


def test_the_command_tells_that_every_invariant_held(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def small(run: Callable[[], Found]) -> Outcome:
        return Outcome(
            found=Found(situations=1_234, moves=5_678, deepest=9, flaw=None), took_s=1.25, peak_mb=77
        )

    monkeypatch.setattr(checking, "check", partial(check, measure=small))
    assert main(["check-protocol", "--model", "command", "--model", "inbox"]) == 0
    told = capsys.readouterr().out
    assert "an unlock and a lock: 1,234 situations, 5,678 transitions, 9 deep, 1.2 s, 77 MB" in told
    assert told.endswith("2 models, 2,468 situations, 2 s of one core: every invariant held\n")


def test_the_command_fails_with_the_story_of_a_broken_invariant(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(two_workers, "may_send", lambda time: True)
    in_here = partial(check, measure=measure)  # what a test has changed holds in no other process
    monkeypatch.setattr(checking, "check", in_here)
    assert main(["check-protocol", "--model", "command", "--quick"]) == 1
    told = capsys.readouterr().out
    assert "S1 does not hold: the first byte leaves more than 2 s after the gate" in told
    assert "1. a worker is handed the unlock" in told
    assert "every invariant held" not in told
