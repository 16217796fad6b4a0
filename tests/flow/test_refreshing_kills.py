"""kill -9 of a real worker between taking hold of a refresh token and keeping what it gave."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.flow.link_stage import CLIENTS, PUBLIC_URL, Linked, LinkStage, open_link_stage

from unlatch.domain.incident import Incident
from unlatch.domain.linking import AccountState
from unlatch.flow.carry_out import read_place
from unlatch.flow.failpoint import Point
from unlatch.store.database import Database

FACTOR = 2.0


@pytest.fixture
async def links(database: Database, tmp_path: Path) -> AsyncIterator[LinkStage]:
    async with open_link_stage(database, tmp_path, factor=FACTOR) as links:
        yield links


@asynccontextmanager
async def run_worker(
    links: LinkStage, database_url: str, fail_at: Point | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`unlatch work` as a process of its own."""
    settings = links.platform.settings
    given = {
        "UNLATCH_DATA_DIR": str(settings.data_dir),
        "UNLATCH_DATABASE_URL": database_url,
        "UNLATCH_SECRET_KEY": base64.b64encode(b"k" * 32).decode(),
        "UNLATCH_TIME_FACTOR": repr(settings.time_factor),
        "UNLATCH_TIME_ANCHOR": settings.time_anchor_at.isoformat(),
        "UNLATCH_PUBLIC_URL": PUBLIC_URL,
    }
    for maker, client in CLIENTS.items():
        given |= {
            f"UNLATCH_CLOUD_{maker.upper()}": links.stage.town_url,
            f"UNLATCH_OAUTH_{maker.upper()}_ID": client.client_id,
            f"UNLATCH_OAUTH_{maker.upper()}_SECRET": client.client_secret,
            f"UNLATCH_OAUTH_{maker.upper()}_KEY": client.api_key,
        }
    if fail_at is not None:
        given["UNLATCH_FAIL_AT"] = fail_at.value
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "unlatch.main",
        "work",
        env={**os.environ, **given},
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def kill_at(links: LinkStage, database_url: str, linked: Linked, point: Point) -> None:
    await links.make_due(linked)
    async with run_worker(links, database_url, point) as worker, asyncio.timeout(30):
        assert await worker.wait() == -signal.SIGKILL
    row = await links.account(linked.account_id)
    assert (row.state, row.generation) == (AccountState.LIVE, 1)
    assert row.held_by is not None
    assert row.spent_at is not None, "the intent outlives the worker"


# whether the maker had heard of it, whether its grace still lasts, and how it must end
CASES = [
    (Point.BEFORE_REFRESH, True, AccountState.LIVE, 1),
    (Point.BEFORE_REFRESH, False, AccountState.LIVE, 1),
    (Point.AFTER_REFRESH_ANSWER, True, AccountState.LIVE, 2),
    (Point.AFTER_REFRESH_ANSWER, False, AccountState.LOST, 1),
]


@pytest.mark.parametrize(("point", "has_grace", "state", "refreshes"), CASES)
async def test_who_takes_over_gets_what_the_maker_still_gives(
    links: LinkStage, database_url: str, point: Point, has_grace: bool, state: AccountState, refreshes: int
) -> None:
    linked = await links.link()
    await links.stage.town.set_habits("volvo", reuse_grace_s=3600 if has_grace else 0)
    await kill_at(links, database_url, linked, point)
    async with run_worker(links, database_url), run_worker(links, database_url), asyncio.timeout(60):
        while (row := await links.account(linked.account_id)).spent_at is not None:
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.2)  # the other worker has looked too, and changed nothing
    assert row.state is state
    counts = await links.stage.town.count_oauth("volvo")
    assert counts["refreshes"] == refreshes
    told = await links.notices("account_lost")
    if state is AccountState.LIVE:
        assert row.generation == 2
        assert counts.get("reuses", 0) == 0
        assert await read_place(links.platform, await links.place(linked)) is None
        assert told == []
        await links.refresh_now(linked)
        assert (await links.account(linked.account_id)).generation == 3, "the kept pair is the good one"
    else:
        assert counts["reuses"] == 1
        assert await read_place(links.platform, await links.place(linked)) is Incident.DEVICE_CONSENT_LOST
        assert len(told) == 1
