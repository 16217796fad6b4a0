"""The operator's rules as the town plays by them: the shipped ones, edited as an operator edits them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from unlatch.errors import UnlatchError

SHIPPED = Path(__file__).parents[1] / "data"


def make_rules(data_dir: Path, checks: tuple[str, str]) -> Path:
    """A folder of rules whose programmes look at a car so long before the courier, and let windows begin at any time.

    One that is there already is written anew.
    """
    folder = data_dir / "rules"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(SHIPPED, folder, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    for path in sorted((folder / "programmes").glob("*.toml")):
        text = path.read_text(encoding="utf-8")
        nearer = f'preflight = ["{checks[0]}", "{checks[1]}"]'
        edited, count = re.subn(r"^preflight = \[[^]]*\]", nearer, text, flags=re.MULTILINE)
        if count != 1:
            raise UnlatchError(f"{path} names its checks otherwise than expected")
        path.write_text(re.sub(r"^windows = .*\n", "", edited, flags=re.MULTILINE), encoding="utf-8")
    return folder
