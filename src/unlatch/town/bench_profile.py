"""Where the processor time of server and worker goes: py-spy's samples, by room and by function.

py-spy looks at a process from outside a hundred times a second. It is a tool for developers: where it is not
installed, or the system does not let it look, the profile says so and the bench goes on.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SAMPLES_A_SECOND = 100
LINES = 15
MAX_OUTPUT_BYTES = 50_000_000
_FRAME = re.compile(r"(?P<function>.+) \((?P<file>[^()]+?)(?::\d+)?\)$")
_WAITING = ("select (selectors.py", "wait (threading.py", "poll (", "epoll")


async def profile(pids: Mapping[str, int], for_s: float, folder: Path) -> dict[str, Any]:
    """Watch these processes for so long; where their time went, by their names."""
    program = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if program is None:
        return {"missing": "py-spy is not installed: pip install py-spy"}
    found = await asyncio.gather(
        *(_watch(program, pid, for_s, folder / f"profile-{name}.txt") for name, pid in pids.items())
    )
    return dict(zip(pids, found, strict=True))


async def _watch(program: str, pid: int, for_s: float, path: Path) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        program, "record", "--pid", str(pid), "--duration", str(max(1, int(for_s))), "--format", "raw",
        "--rate", str(SAMPLES_A_SECOND), "--nonblocking", "--output", str(path),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(for_s + 30):
            _, complaint = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return {"missing": "py-spy did not end"}
    if process.returncode != 0:
        return {"missing": complaint.decode(errors="replace")[-300:]}
    return await asyncio.to_thread(_read_profile, path)


def _read_profile(path: Path) -> dict[str, Any]:
    with path.open(encoding="utf-8", errors="replace") as file:
        return summarise(file.read(MAX_OUTPUT_BYTES))


def summarise(collapsed: str) -> dict[str, Any]:
    """Shares of the busy samples, in percent: by library at the innermost frame, and by our innermost function."""
    by_room: Counter[str] = Counter()
    by_place: Counter[str] = Counter()
    by_ours: Counter[str] = Counter()
    total = 0
    for line in collapsed.splitlines():
        stack, _, count_text = line.rpartition(" ")
        frames = stack.split(";")
        if not count_text.isdigit() or any(word in frames[-1] for word in _WAITING):
            continue
        count = int(count_text)
        total += count
        by_place[_place(frames[-1])] += count
        by_room[_room(frames[-1])] += count
        ours = next((frame for frame in reversed(frames) if "unlatch/" in frame), None)
        by_ours[_place(ours) if ours else f"none of ours, from {_room(frames[-1])}"] += count
    return {
        "samples": total,
        "by_room": _shares(by_room, total),
        "innermost": _shares(by_place, total),
        "of_ours": _shares(by_ours, total),
    }


def _shares(counted: Counter[str], total: int) -> dict[str, float]:
    return {name: round(100 * count / total, 1) for name, count in counted.most_common(LINES)}


def _file(frame: str) -> tuple[str, str]:
    found = _FRAME.match(frame)
    return (found["file"], found["function"]) if found else ("?", frame)


def _room(frame: str) -> str:
    """`unlatch/flow`, or the library."""
    file, _ = _file(frame)
    if "unlatch/" in file:
        parts = file.partition("unlatch/")[2].split("/")
        return f"unlatch/{parts[0].removesuffix('.py')}"
    parts = file.split("/")
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1].removesuffix(".py")
    return (
        parts[0] if len(parts) > 1 and not file.startswith("/") else f"python/{parts[-1].removesuffix('.py')}"
    )


def _place(frame: str) -> str:
    file, function = _file(frame)
    if "unlatch/" in file:
        return f"{file.partition('unlatch/')[2]}:{function}"
    return f"{'/'.join(file.split('/')[-2:])}:{function}"
