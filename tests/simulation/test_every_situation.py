"""Every situation that a visit can come into: safety in each, and from each a way to an end."""

from __future__ import annotations

import sys
import time

import pytest

from unlatch.model.search import search
from unlatch.model.situation import Variant
from unlatch.model.variants import VARIANTS

# A search that sees less than this has lost a part of the world: then it proves nothing.
AT_LEAST = dict(
    zip((each.name for each in VARIANTS), (300_000, 280_000, 270_000, 28_000, 550_000, 550_000), strict=True)
)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda each: each.name)
def test_no_situation_breaks_an_invariant(variant: Variant, capfd: pytest.CaptureFixture[str]) -> None:
    began_s = time.process_time()
    found = search(variant)
    took_s = time.process_time() - began_s
    line = (
        f"{variant.name}: {found.situations:,} situations, {found.moves:,} moves, {took_s:.1f} s of one core"
    )
    with capfd.disabled():  # standard error: it reaches the terminal from a worker of pytest-xdist too
        print(f"\n{line}", file=sys.stderr)
    assert found.flaw is None, str(found.flaw)
    assert found.situations >= AT_LEAST[variant.name], line
