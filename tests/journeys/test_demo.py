"""`unlatch demo` as anyone runs it: its stories, each with its proof; and what it does when something is wrong."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from unlatch.town.ledger import LedgerRow
from unlatch.town.papers import make_sscc, make_vin
from unlatch.town.proving import change_a_byte
from unlatch.town.truth import count_unlocks_asked, was_secured
from unlatch.verify import verify

DEMO = (sys.executable, "-m", "unlatch.main", "demo")
ENDS_WITHIN_S = 300  # two cores, shared with every other test
PLAYED_WITHIN_S = 240
TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial" / "first-delivery.md"


def list_steps(text: str) -> list[str]:
    """What people do and what is checked, without times and numbers of a single run."""
    steps = re.findall(r"^  (?:\d\d:\d\d:\d\d  [a-z]|holds ).*$", text, re.MULTILINE)
    return [re.sub(r"\d+", "0", step) for step in steps]


@pytest.mark.timeout(ENDS_WITHIN_S + 30)
def test_the_thirteen_stories_hold_and_each_proof_can_be_verified(tmp_path: Path) -> None:
    done = subprocess.run(
        [*DEMO, "--once", "--data-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert re.findall(r"^\((.)\) ", done.stdout, re.MULTILINE) == list("abcdefghijklm")
    assert "BROKEN" not in done.stdout
    assert "\x1b" not in done.stdout  # no colours where there is no terminal
    played = re.search(r"13 stories in ([0-9.]+) s: everything held", done.stdout)
    assert played is not None
    assert float(played[1]) < PLAYED_WITHIN_S
    for letter in "abcde":
        assert re.search(rf"unlatch verify {letter}\.unlatch-proof, exported by .*: good", done.stdout)
        assert re.search(
            rf"unlatch verify {letter}-changed\.unlatch-proof, byte \d+ of .*:\n +line \d+, row \d+: ",
            done.stdout,
        )
        assert verify((tmp_path / "proofs" / f"{letter}.unlatch-proof").read_bytes()).is_good
        assert (tmp_path / "labels" / f"{letter}.png").read_bytes().startswith(b"\x89PNG")
    for letter in "hijklm":
        assert re.search(rf"unlatch verify {letter}\.unlatch-proof, exported by .*: good", done.stdout)
        assert verify((tmp_path / "homes" / "proofs" / f"{letter}.unlatch-proof").read_bytes()).is_good
    assert (
        len(re.findall(r"^    \d\d:\d\d:\d\d\.\d{3}  courier       scanned", done.stdout, re.MULTILINE)) == 11
    )


def test_it_stays_up_until_ctrl_c_and_can_be_run_again_in_the_same_folder(tmp_path: Path) -> None:
    for _ in range(2):
        with subprocess.Popen(
            [*DEMO, "--story", "d", "--data-dir", str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "UNLATCH_HTTP_PORT": "not even a port"},  # this shell's settings don't count
        ) as process:
            assert process.stdout is not None
            said = []
            for line in process.stdout:
                said.append(line)
                if "stays up until ctrl-C" in line:
                    process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 0, "".join(said)
        assert any("1 story in" in line and "everything held" in line for line in said), "".join(said)


def test_a_promise_that_does_not_hold_fails_the_demo(tmp_path: Path) -> None:
    """The same demo on a platform that forgets to lock: the truth tells."""
    program = (
        "import unlatch.town.demo as demo, unlatch.town.truth as truth\n"
        "demo.was_secured = lambda rows, at: not truth.was_secured(rows, at)\n"
        "from unlatch.main import main\n"
        f"raise SystemExit(main(['demo', '--once', '--story', 'd', '--data-dir', {str(tmp_path)!r}]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN  the trunk was closed and locked when the visit ended" in done.stdout
    assert "NOT everything held" in done.stdout


def test_a_demo_that_cannot_start_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "file"
    folder.write_text("in the way")
    began_s = time.monotonic()
    done = subprocess.run(
        [*DEMO, "--once", "--data-dir", str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("unlatch demo: ")
    assert str(folder) in done.stderr
    assert time.monotonic() - began_s < 30


def row(number: int, at_s: float, what: str, *, kind: str = "happening", outcome: str = "done") -> LedgerRow:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=at_s)
    return LedgerRow(
        number=number, kind=kind, at=at, monotonic_s=0.0, vin="V", what=what, outcome=outcome, command_id="c"
    )


def test_the_truth_is_read_off_the_ledger() -> None:
    rows = [
        row(1, 0, "unlockTrunk", kind="request", outcome="taken"),
        row(2, 8, "unlock_trunk"),
        row(3, 9, "open_trunk"),
        row(4, 20, "close_trunk"),
        row(5, 30, "lock_trunk", outcome="jammed"),
        row(6, 40, "lock_trunk"),
    ]
    assert count_unlocks_asked(rows) == 1
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    secured = [was_secured(rows, begin + timedelta(seconds=at_s)) for at_s in (7, 8, 9, 25, 35, 40)]
    assert secured == [True, False, False, False, False, True]


def test_numbers_of_cars_and_parcels_have_good_check_digits() -> None:
    lot = random.Random(7)
    for _ in range(100):
        number = make_sscc(lot)
        assert len(number) == 18
        assert sum(int(digit) * (1, 3)[at % 2] for at, digit in enumerate(reversed(number))) % 10 == 0
        assert len(make_vin("1G1ZD5ST", lot)) == 17
    assert make_vin("1M8GDM9A", lot)[8] in "0123456789X"


def test_one_digit_is_changed_and_no_more() -> None:
    content = b'{"a":1}\n{"b":2}\n{"c":3}\n'
    other, what = change_a_byte(content, random.Random(1))
    assert other == b'{"a":1}\n{"b":3}\n{"c":3}\n'
    assert what == "byte 13 of 24 changed from 2 to 3"
