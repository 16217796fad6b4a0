"""`python -m tests.siege OUT.json`: besiege an installation, and compare three ledgers."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import uvloop
from tests.siege.ledgers import Verdict, compare
from tests.siege.restoring import restore_in_mid_visit
from tests.siege.siege import Siege, Wishes, besiege

from unlatch.clock import monotonic_s


def tell(text: str) -> None:
    """A line for people."""
    print(text, file=sys.stderr, flush=True)


def sum_up(siege: Siege, verdict: Verdict) -> dict[str, Any]:
    """The figures of one siege."""
    counts = siege.crew.counts
    return {
        "seed": siege.wishes.seed,
        "errands": len(siege.crew.accounts),
        "blows": dict(sorted(siege.blows.items())),
        "points": dict(sorted(siege.points.items())),
        "met by couriers": dict(sorted(counts.items())),
        "ledgers": verdict.figures,
        "broken": verdict.broken,
    }


async def run(wishes: Wishes) -> dict[str, Any]:
    """One siege, to its figures."""
    began_s = monotonic_s()
    async with besiege(wishes, tell) as siege:
        await siege.run()
        tell("comparing the ledgers")
        told = sum_up(siege, await compare(siege))
        tell("a backup is restored while couriers are out")
        restored = await restore_in_mid_visit(siege, wishes.visits_restored, wishes.per_s)
        return {
            **told,
            "restored": restored.figures,
            "broken": told["broken"] + restored.broken,
            "seconds": round(monotonic_s() - began_s),
        }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.siege", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--visits", type=int, default=Wishes.visits)
    parser.add_argument("--per-s", type=float, default=Wishes.per_s)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=1.0, help="of the blows")
    given = parser.parse_args()
    blows = {kind: max(1, round(count * given.share)) for kind, count in Wishes().blows.items()}
    told = uvloop.run(run(Wishes(visits=given.visits, per_s=given.per_s, seed=given.seed, blows=blows)))
    given.out.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    tell("\n".join(told["broken"]) or "the three ledgers agree")
    return 1 if told["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
