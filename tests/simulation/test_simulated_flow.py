"""The real flow in a simulated world: nothing breaks, what must be met is met, and faults made by hand are found."""

from __future__ import annotations

import sys

import pytest
from tests.simulation.flow_mutants import FLOW_MUTANTS, FlowMutant

from unlatch.main import main
from unlatch.simulation.run import HARD_CASES, run, run_world

VISITS = 400
MUTANT_VISITS = 4000


def test_a_slice_of_bad_days_breaks_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    outcome, story = run(1, VISITS, badness=2.0)
    assert outcome.broken == [], story
    assert outcome.visits >= VISITS
    missed = sorted(set(HARD_CASES) - set(outcome.hits))
    with capfd.disabled():
        print(
            f"\n{outcome.visits} visits, {sum(outcome.faults.values())} faults, not met: {missed}",
            file=sys.stderr,
        )
    assert len(missed) < len(HARD_CASES) / 3  # all of them are met in the full run


def test_without_bad_luck_every_parcel_that_is_put_in_is_delivered() -> None:
    outcome, story = run(1, 60, badness=0.0)
    assert outcome.broken == [], story
    assert sum(outcome.faults.values()) == 0
    assert outcome.ends["delivered"] > 20


def test_a_seed_gives_the_same_world_again() -> None:
    first, again = (run_world(7, badness=3.0, tells_story=True) for _ in range(2))
    assert first[1] == again[1]
    assert first[0] == again[0]
    assert first[1] != run_world(8, badness=3.0, tells_story=True)[1]


@pytest.mark.parametrize("mutant", FLOW_MUTANTS, ids=lambda each: each.name)
def test_a_fault_in_the_flow_is_found(
    mutant: FlowMutant, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        mutant.patch(patch)
        outcome, story = run(mutant.seed, MUTANT_VISITS, badness=mutant.badness)
    assert outcome.broken, f"{mutant.name}: survives {outcome.visits} visits"
    named = {what.partition(":")[0] for _, what in outcome.broken}
    with capfd.disabled():
        print(f"\n{mutant.name}: found by {sorted(named)} after {outcome.visits} visits", file=sys.stderr)
    assert named & mutant.breaks, outcome.broken
    assert "EMITTED" in story or "scanned" in story


def test_the_command_says_what_was_tried_and_how_to_see_it_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["simulate", "--seed", "1", "--visits", "20"]) == 0
    assert "nothing has broken" in capsys.readouterr().out
    with monkeypatch.context() as patch:
        FLOW_MUTANTS[0].patch(patch)
        assert main(["simulate", "--seed", "1", "--visits", "2000", "--badness", "2"]) == 1
    told = capsys.readouterr().out
    assert "unlatch simulate --seed" in told
    assert "S4" in told
