"""Bad input in bulk: `python -m tests.fuzz OUT.json [SEED]`: a million barcodes, 200,000 positions."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from tests.fuzz.barcodes import try_barcodes
from tests.fuzz.positions import try_positions

BARCODES, POSITIONS = 1_000_000, 200_000


def main() -> int:
    """The command line."""
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    told: dict[str, Any] = {}
    for name, run, count in (("barcodes", try_barcodes, BARCODES), ("positions", try_positions, POSITIONS)):
        begun_s = time.monotonic()
        told[name] = {**run(seed, count), "seconds": round(time.monotonic() - begun_s)}
        print(
            f"{name}: {count:,} in {told[name]['seconds']} s, broken: {len(told[name]['broken'])}",
            file=sys.stderr,
        )
        Path(sys.argv[1]).write_text(json.dumps(told, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")
    return 1 if any(one["broken"] for one in told.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
