"""A short day of deliveries while server and worker are killed: the long one is `scripts/evidence`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ENDS_WITHIN_S = 400  # two cores, shared with every other test


@pytest.mark.timeout(ENDS_WITHIN_S + 30)
def test_a_short_day_keeps_its_promises_while_server_and_worker_are_killed(tmp_path: Path) -> None:
    figures = tmp_path / "day.json"
    done = subprocess.run(
        [
            sys.executable, "-m", "unlatch.main", "day", "--short", "--stops", "12", "--kills", "2", "--seed", "3",
            "--data-dir", str(tmp_path / "data"), "--json", str(figures),
        ],
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN_S,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(figures.read_text())
    assert told["broken"] == []
    assert told["kills"] == {"server": 1, "worker": 1}
    assert told["delivered"] + told["fallback"] == told["stops"] == 12
    assert told["troubled"] == 1
    assert told["unlocks"] >= told["delivered"]
