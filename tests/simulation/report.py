"""Every fault made by hand, by what it was found, after how many cases: python -m tests.simulation.report OUT.json"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.simulation.flow_mutants import FLOW_MUTANTS
from tests.simulation.model_mutants import MUTANTS as MODEL_MUTANTS
from tests.simulation.mutants import MUTANTS

from unlatch.model.search import search
from unlatch.simulation.run import run

MOST_VISITS = 4000


def try_all() -> list[dict[str, Any]]:
    """One line for each: of the protocol's table (situations), of the flow's code (visits)."""
    lines = []
    for mutant in MUTANTS:
        began_s = time.monotonic()
        with pytest.MonkeyPatch.context() as patch:
            mutant.patch(patch)
            found = search(mutant.variant)
        lines.append(
            {
                "of": "protocol",
                "name": mutant.name,
                "killed_by": [] if found.flaw is None else [found.flaw.invariant],
                "cases": found.situations,
                "seconds": round(time.monotonic() - began_s, 1),
            }
        )
        print(f"{mutant.name}: {lines[-1]['killed_by']}", file=sys.stderr, flush=True)
    for model_mutant in MODEL_MUTANTS:
        began_s = time.monotonic()
        with pytest.MonkeyPatch.context() as patch:
            model_mutant.patch(patch)
            found = model_mutant.search()
        lines.append(
            {
                "of": "models",
                "name": model_mutant.name,
                "killed_by": [] if found.flaw is None else [found.flaw.invariant],
                "cases": found.situations,
                "seconds": round(time.monotonic() - began_s, 1),
            }
        )
        print(f"{model_mutant.name}: {lines[-1]['killed_by']}", file=sys.stderr, flush=True)
    for flow_mutant in FLOW_MUTANTS:
        began_s = time.monotonic()
        with pytest.MonkeyPatch.context() as patch:
            flow_mutant.patch(patch)
            outcome, _ = run(flow_mutant.seed, MOST_VISITS, badness=flow_mutant.badness)
        lines.append(
            {
                "of": "flow",
                "name": flow_mutant.name,
                "killed_by": sorted({what.partition(":")[0] for _, what in outcome.broken}),
                "cases": outcome.visits,
                "seconds": round(time.monotonic() - began_s, 1),
            }
        )
        print(f"{flow_mutant.name}: {lines[-1]['killed_by']}", file=sys.stderr, flush=True)
    return lines


def main() -> int:
    """The command line."""
    lines = try_all()
    Path(sys.argv[1]).write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")
    return 0 if all(line["killed_by"] for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
