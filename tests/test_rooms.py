"""Who may know whom: the contracts in pyproject.toml hold, and they do catch a line in the wrong room."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as run; run()",
            "--no-cache",
        ],
        cwd=root,
        env={"PYTHONPATH": str(root / "src"), "PATH": "/usr/bin:/bin", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_every_room_knows_only_whom_it_may() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("domain", "from unlatch.clock import Clock"),
        ("domain", "import random"),
        ("store", "import unlatch.flow"),
        ("devices", "import unlatch.store"),
        ("store", "import unlatch.devices"),
        ("town", "import unlatch.devices"),
        ("flow", "import unlatch.web"),
        ("flow", "import unlatch.town"),
        ("devices", "import unlatch.main"),
        ("model", "import unlatch.clock"),
        ("model", "import unlatch.store"),
        ("flow", "import unlatch.model"),
    ],
)
def test_a_line_in_the_wrong_room_is_caught(tmp_path: Path, room: str, line: str) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(
        ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
    )
    (tmp_path / "src" / "unlatch" / room / "misplaced.py").write_text(f"{line}\n")
    done = lint_imports(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"unlatch.{room}.misplaced" in done.stdout


def test_a_new_room_must_be_given_its_place(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "src" / "unlatch" / "attic").mkdir()
    (tmp_path / "src" / "unlatch" / "attic" / "__init__.py").write_text('"""Odds and ends."""\n')
    done = lint_imports(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "attic" in done.stdout
