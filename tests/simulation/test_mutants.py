"""Each fault made by hand is caught, with the shortest story of how it does harm."""

from __future__ import annotations

import sys
import time

import pytest
from tests.simulation.mutants import MUTANTS, Mutant

from unlatch.model.search import search


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.name)
def test_mutant_is_caught(
    mutant: Mutant, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    began_s = time.process_time()
    with monkeypatch.context() as patch:
        mutant.patch(patch)
        found = search(mutant.variant)
    took_s = time.process_time() - began_s
    assert found.flaw is not None, f"{mutant.name}: survives all of {found.situations:,} situations"
    seen = f"{found.situations:,} situations, {took_s:.1f} s"
    with capfd.disabled():
        print(f"\n{mutant.name}: caught by {found.flaw.invariant} ({seen})\n{found.flaw}", file=sys.stderr)
    assert found.flaw.invariant in mutant.breaks, str(found.flaw)
    assert found.flaw.story, "a flaw is told as a story"
