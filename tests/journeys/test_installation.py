"""The installation that demo, journeys and bench stand on."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from unlatch.errors import SettingsError
from unlatch.town.installation import Installation, NotRunning, choose_clock

STARTS_AND_WAITS = """
import asyncio, sys
from pathlib import Path
from unlatch.town.installation import Installation

async def main():
    async with Installation(data_dir=Path(sys.argv[1]), database_url=sys.argv[2]) as installation:
        print(installation.server.pid, installation.workers[0].pid, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_all_of_it_answers_and_single_ones_come_and_go(installation: Installation) -> None:
    async with httpx.AsyncClient(base_url=installation.server_url, trust_env=False) as http:
        assert (await http.get("/readyz")).status_code == 200
        await installation.restart_server()
        assert (await http.get("/readyz")).status_code == 200
    assert await installation.town.is_up()
    killed = await installation.kill_worker()
    assert killed.process.returncode == -signal.SIGKILL
    with pytest.raises(NotRunning):
        await installation.kill_worker()
    worker = await installation.start_worker(fail_at="before_gate")
    assert worker.is_running
    key = await installation.admit_operator("Olga")
    assert key.startswith("unlatch_operator_")
    assert await installation.try_to_run("operator", "add", " ") == (
        1,
        "",
        "unlatch operator: NAME: give 1 to 100 characters that can be printed\n",
    )


async def test_a_process_that_does_not_start_is_named_with_its_log(tmp_path: Path) -> None:
    nowhere = Installation(data_dir=tmp_path, database_url="host=127.0.0.1 port=9 dbname=none")
    with pytest.raises(NotRunning, match="PostgreSQL can't be reached"):
        async with nowhere:
            raise AssertionError("it started")
    assert all(not member.is_running for member in nowhere.list_dead())


async def test_nothing_outlives_a_parent_that_is_killed(database_url: str, tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STARTS_AND_WAITS, str(tmp_path), database_url),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert parent.stdout is not None
    pids = [int(word) for word in (await parent.stdout.readline()).split()]
    assert [is_alive(pid) for pid in pids] == [True, True]
    parent.kill()
    await parent.wait()
    deadline = time.monotonic() + 10
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "still there"
        await asyncio.sleep(0.01)


def test_the_clock_of_a_data_folder_never_runs_back(tmp_path: Path) -> None:
    first = choose_clock(tmp_path, 30)
    assert choose_clock(tmp_path, 30) == first
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    (tmp_path / "clock.json").write_text(f'{{"factor": 30.0, "anchor_at": "{long_ago.isoformat()}"}}')
    before = choose_clock(tmp_path, 30).now()
    slower = choose_clock(tmp_path, 10)
    assert slower.factor == 10
    assert timedelta(0) <= slower.now() - before < timedelta(seconds=30)
    with pytest.raises(SettingsError, match="factor above 1"):
        choose_clock(tmp_path, 1)
