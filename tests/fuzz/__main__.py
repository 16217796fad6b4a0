"""Bad input in bulk: `python -m tests.fuzz OUT.json [SEED]`: a million barcodes, 200,000 positions, 200,000 answers of
clouds, and every endpoint 240 times.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from tests.fuzz.answers import try_answers
from tests.fuzz.barcodes import try_barcodes
from tests.fuzz.endpoints import CASES, try_endpoints_anew
from tests.fuzz.positions import try_positions

KINDS = (
    ("barcodes", try_barcodes, 1_000_000),
    ("positions", try_positions, 200_000),
    ("answers of clouds", try_answers, 200_000),
    ("requests", try_endpoints_anew, CASES),
)


def main() -> int:
    """The command line."""
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    told: dict[str, Any] = {}
    for name, run, count in KINDS:
        begun_s = time.monotonic()
        told[name] = {**run(seed, count), "seconds": round(time.monotonic() - begun_s)}
        one = told[name]
        print(
            f"{name}: {one['count']:,} in {one['seconds']} s, broken: {len(one['broken'])}", file=sys.stderr
        )
        Path(sys.argv[1]).write_text(json.dumps(told, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")
    return 1 if any(one["broken"] for one in told.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
