"""The whole matrix of camera faults and states, and its figures: `scripts/evidence_homes OUT.json`. Ends by itself.

Real server, worker, recorder, PostgreSQL, hub and RTSP cameras; some eighty visits, a dozen at once. What did not hold
is printed with its journal and fails it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.conftest import make_server_dir
from tests.journeys.camera_faults import MATRIX, MORE_CELLS, Cell, Found, play_cell
from tests.journeys.front import Front
from tests.journeys.home_front import FACTOR, open_home_front

from unlatch.settings import PREFIX, Settings
from unlatch.store.database import connect, use_server
from unlatch.store.embedded import Embedded
from unlatch.store.migrate import migrate
from unlatch.town.installation import LOGS

AT_ONCE = 12
WITHIN_S = 1_200.0
Figures = dict[str, Any]


async def play_all(front: Front, cells: Sequence[Cell], at_once: int) -> list[tuple[Cell, Found | str]]:
    """Each cell, and what came of it: its figures, or what did not hold."""
    room = asyncio.Semaphore(at_once)

    async def play(cell: Cell) -> tuple[Cell, Found | str]:
        async with room:
            try:
                found = await play_cell(front, cell)
            except Exception as error:  # noqa: BLE001 - one cell's failure is a line of the table
                print(f"BROKEN  {cell.name}\n{error!r}\n{error}\n", flush=True)
                return cell, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            print(f"held    {cell.name}: {found.end}, alarm {found.alarm_s}", flush=True)
            return cell, found

    return await asyncio.gather(*(play(cell) for cell in cells))


def sum_up(ends: Sequence[tuple[Cell, Found | str]], took_s: float, at_once: int) -> Figures:
    """The figures, as they are kept."""
    held = [found for _, found in ends if isinstance(found, Found)]
    alarms = sorted(found.alarm_s for found in held if found.alarm_s is not None)
    return {
        "cells": len(ends),
        "held": len(held),
        "took_s": round(took_s, 1),
        "at_once": at_once,
        "factor": FACTOR,
        "load": os.getloadavg(),
        "openings": sum(found.openings for found in held),
        "alarms": len(alarms),
        "alarm_s": {
            "p50": round(alarms[len(alarms) // 2], 2) if alarms else None,
            "max": round(alarms[-1], 2) if alarms else None,
        },
        "ends": dict(Counter(found.end.value for found in held)),
        "each": [_row(cell, found) for cell, found in ends],
    }


def _row(cell: Cell, found: Found | str) -> Figures:
    row: Figures = {"fault": cell.trouble, "state": cell.state.value}
    if isinstance(found, str):
        return {**row, "broken": found}
    return {
        **row,
        "struck_in": found.struck_in.value,
        "end": found.end.value,
        "incident": found.incident,
        "is_clean": found.is_clean,
        "openings": found.openings,
        "alarm_s": None if found.alarm_s is None else round(found.alarm_s, 2),
        "proof_before_fault_s": None if found.proof_before_s is None else round(found.proof_before_s, 2),
        "recording": list(found.seen),
    }


async def measure(cells: Sequence[Cell], at_once: int, logs: Path) -> Figures:
    """An installation of its own, from its first start to its end; its logs go to `logs`."""
    folder = make_server_dir()
    settings = Settings(data_dir=folder)
    try:
        async with use_server(settings) as dsn:
            async with connect(dsn, name="evidence") as connection:
                await migrate(connection, tell=lambda _: None)
            async with open_home_front(folder, dsn, is_database_own=True) as front:
                begun_s = time.monotonic()
                async with asyncio.timeout(WITHIN_S):
                    ends = await play_all(front, cells, at_once)
                figures = sum_up(ends, time.monotonic() - begun_s, at_once)
                figures["processes_that_ended"] = [one.name for one in front.installation.list_dead()]
                return figures
    finally:
        shutil.rmtree(logs, ignore_errors=True)
        shutil.copytree(folder / LOGS, logs)
        await asyncio.to_thread(Embedded(folder).remove)
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """The command line; 1 where something did not hold."""
    parser = argparse.ArgumentParser(prog="scripts/evidence_homes", description=__doc__)
    parser.add_argument("out", type=Path, nargs="?", default=Path("var/evidence-homes.json"))
    parser.add_argument("--only", default="", help="cells whose name has this in it")
    parser.add_argument("--at-once", type=int, default=AT_ONCE)
    arguments = parser.parse_args()
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]  # this is not about this shell's own installation
    cells = [cell for cell in (*MATRIX, *MORE_CELLS) if arguments.only in cell.name]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    figures = asyncio.run(measure(cells, arguments.at_once, arguments.out.with_suffix(".logs")))
    arguments.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: value for name, value in figures.items() if name != "each"}, indent=1))
    return 0 if figures["held"] == figures["cells"] and not figures["processes_that_ended"] else 1


if __name__ == "__main__":
    sys.exit(main())
