"""`python -m tests.siege OUT.json`: besiege an installation, and compare three ledgers."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import uvloop
from tests.siege.restoring import run
from tests.siege.siege import Wishes


def tell(text: str) -> None:
    """A line for people."""
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.siege", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--visits", type=int, default=Wishes.visits)
    parser.add_argument("--per-s", type=float, default=Wishes.per_s)
    parser.add_argument(
        "--factor", type=float, default=Wishes.factor, help="seconds of the town in a real one"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=1.0, help="of the blows")
    given = parser.parse_args()
    blows = {kind: max(1, round(count * given.share)) for kind, count in Wishes().blows.items()}
    wishes = Wishes(visits=given.visits, per_s=given.per_s, factor=given.factor, seed=given.seed, blows=blows)
    told = uvloop.run(run(wishes, tell))
    given.out.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    tell("\n".join(told["broken"]) or "the three ledgers agree")
    return 1 if told["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
