"""Whole installations for the journeys: real processes, a fresh database on the test server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from unlatch.town.installation import Installation


@pytest.fixture
async def installation(database_url: str, tmp_path: Path) -> AsyncIterator[Installation]:
    """A town, a server and one worker, each a process of its own; town time runs 30 times as fast."""
    async with Installation(data_dir=tmp_path, database_url=database_url) as installation:
        yield installation
