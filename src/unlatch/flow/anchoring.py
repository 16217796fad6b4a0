"""Anchor the journals' heads outside the database, so that not even its owner can rewrite the past unnoticed (A1).

One file per machine, `anchors.jsonl` in the data folder, itself a chain. It is worth as much as the place where
copies of it are kept: `docs/howto/keep-anchors.md`.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

import msgspec

from unlatch.domain.anchor import anchor_line
from unlatch.flow.platform import Platform
from unlatch.store import journal

HEADS_AT_ONCE = 10_000
TAIL_BYTES = 2_000_000  # the last line is shorter than this: HEADS_AT_ONCE heads of about 120 bytes


async def anchor_heads(platform: Platform) -> int:
    """Anchor what has grown since the last time; how many journals. Safe to run in many processes at once.

    No row is locked while the file is written: a slow disk must not keep a block from its visit.
    """
    path = platform.settings.data_dir / "anchors.jsonl"
    async with platform.database.connection() as connection:
        heads = await journal.list_unanchored_heads(connection, platform.clock.now(), HEADS_AT_ONCE)
    if not heads:
        return 0
    # The file first: a head that is anchored twice does no harm, one that never is would.
    await asyncio.to_thread(_append, path, platform, heads)
    async with platform.database.connection() as connection:
        await journal.set_anchored(connection, heads)
    return len(heads)


def _append(path: Path, platform: Platform, heads: list[tuple[str, int, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - TAIL_BYTES))
        text = file.read()
        whole = text.rfind(b"\n") + 1
        if whole < len(text):  # a line that a crash cut off: nothing of it counts
            file.truncate(end - (len(text) - whole))
        lines = text[:whole].splitlines()
        previous_hash = str(msgspec.json.decode(lines[-1])["hash"]) if lines else None
        file.write(anchor_line(previous_hash, platform.clock.now(), heads).text)
        file.flush()
        os.fsync(file.fileno())
