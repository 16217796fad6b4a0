"""What recording costs, beside `ffmpeg -c copy` on the same streams at the same time, and how soon a proof is there.

The processor's time is that of the processes alone, so a busy machine disturbs it little (it makes everything dearer,
for both). The time that a proof takes does depend on the load, which is told with it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.cameras.test_recorder import recorder_process

from unlatch.cameras.base import Camera
from unlatch.cameras.finishing import finish
from unlatch.cameras.proof import Proof
from unlatch.cameras.recorder_client import RecorderClient
from unlatch.cameras.recording import TakeFile
from unlatch.domain.clip import find_touched
from unlatch.town.client import TownClient

CAMERAS = 25
MANY = 60
RECORDERS = 2  # for the many
WINDOWS = 5
WINDOW_S = 12.0
RECORD_S = 20.0
PROOFS = 40
APART = 8  # processes of one camera each, for comparison
FORM = {"width": 1280, "height": 720, "fps": 15, "bitrate": 1_500_000, "is_moving": True, "has_clock": False}
TICKS = os.sysconf("SC_CLK_TCK")
FRAGMENTS = (
    "-movflags",
    "frag_every_frame+empty_moov+default_base_moof",
)  # the kind of file that a kill leaves whole
RECORDER, ARMED, ONE_EACH = (
    "one recorder, relaxed",
    "one recorder, every frame decoded",
    "a process each, relaxed",
)
FFMPEG, PLAIN = "ffmpeg -c copy, fragments", "ffmpeg -c copy"
Figures = dict[str, Any]
Pids = dict[str, list[int]]


def processor_s(pid: int) -> float:
    """Seconds of processor of a process so far, its ended children not counted."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mb(pid: int) -> float:
    """Its share of memory (PSS)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


class Busy:
    """How busy the machine is from now on, all of it."""

    def __init__(self) -> None:
        self._before = self._read()

    @staticmethod
    def _read() -> tuple[int, int]:
        fields = [int(one) for one in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(fields), fields[3] + fields[4]

    def figures(self) -> Figures:
        """Percent of its processors, and the load."""
        whole, idle = (now - before for now, before in zip(self._read(), self._before, strict=True))
        return {"machine_busy_percent": round(100 - 100 * idle / whole), "load": round(os.getloadavg()[0], 1)}


# ---- a street of many -----------------------------------------------------------------------------------------


@contextmanager
def town_process() -> Iterator[str]:
    words = [sys.executable, "-m", "unlatch.town", "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().removeprefix("town: ").strip()
        finally:
            process.terminate()


Added = list[dict[str, Any]]


def on_a_street(count: int, measure: Callable[[Path, Added], Awaitable[Figures]]) -> Figures:
    """Measure with so many cameras of one film."""

    async def run(address: str) -> Figures:
        async with TownClient(address) as town:
            return await measure(folder, [await town.add_camera(f"c{one}", **FORM) for one in range(count)])

    folder = Path(tempfile.mkdtemp(prefix="unlatch-cameras-"))
    try:
        with town_process() as address:
            return asyncio.run(run(address))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def links_of(added: Added) -> dict[str, Camera]:
    return {
        one["camera_id"]: Camera(
            maker="rtsp",
            address=one["address"],
            secrets={"user": one["user"], "password": one["password"]},
            allows_private=True,
        )
        for one in added
    }


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


async def begin(stack: AsyncExitStack, folder: Path, links: dict[str, Camera]) -> tuple[int, RecorderClient]:
    """A recorder of its own, with these cameras armed."""
    process, socket = stack.enter_context(recorder_process(made(folder)))
    client = await stack.enter_async_context(RecorderClient(socket))
    for name, link in links.items():
        await client.arm(name, link)
    return process.pid, client


async def record(client: RecorderClient, folder: Path, names: list[str]) -> None:
    for name in names:
        await client.start(name, folder / name)
        await client.relax(name)


def copy_with_ffmpeg(stack: ExitStack, folder: Path, added: Added, *flags: str) -> list[int]:
    """The same streams, copied; a process for each."""
    folder.mkdir()
    processes = []
    for one in added:
        address = one["address"].replace("rtsp://", f"rtsp://{one['user']}:{one['password']}@")
        words = ["ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", address, "-c", "copy", *flags,
                 str(folder / f"{one['camera_id']}.mp4")]  # fmt: skip
        process = stack.enter_context(subprocess.Popen(words, stdin=subprocess.DEVNULL))
        stack.callback(process.kill)
        processes.append(process)
    return [process.pid for process in processes]


# ---- the proof ------------------------------------------------------------------------------------------------


def measure_proofs() -> Figures:
    """One armed camera; the recording is begun and a proof asked for, again and again."""
    return on_a_street(1, _measure_proofs)


async def _measure_proofs(folder: Path, added: Added) -> Figures:
    took: list[float] = []
    refused: list[str] = []
    async with AsyncExitStack() as stack:
        _, client = await begin(stack, folder / "proofs", links_of(added))
        await asyncio.sleep(6)
        busy = Busy()
        for number in range(PROOFS):
            await client.start("c0", folder / f"proof-{number}")
            begun_s = time.monotonic()
            proof = await client.prove("c0")
            if isinstance(proof, Proof):
                took.append(time.monotonic() - begun_s)
            else:
                refused.append(proof.code)
            await client.stop("c0")
            await asyncio.sleep(0.13)
    took.sort()
    return {
        "proofs": len(took), "refused": refused, "p50_s": round(statistics.median(took), 3),
        "p90_s": round(took[len(took) * 9 // 10], 3), "max_s": round(took[-1], 3), **busy.figures(),
    }  # fmt: skip


# ---- processor and memory -------------------------------------------------------------------------------------


def measure_cost() -> Figures:
    """25 cameras: a recorder beside ffmpeg, on the same streams at the same time; then other ways to record them."""
    return on_a_street(CAMERAS, _measure_cost)


async def _measure_cost(folder: Path, added: Added) -> Figures:
    links = links_of(added)
    async with AsyncExitStack() as stack:
        pid, client = await begin(stack, folder / "recorder", links)
        await record(client, folder, list(links))
        await asyncio.sleep(6)
        figures: Figures = {}
        for name, flags in ((FFMPEG, FRAGMENTS), (PLAIN, ())):
            with ExitStack() as beside:
                pids: Pids = {RECORDER: [pid]}
                if shutil.which("ffmpeg"):
                    pids[name] = copy_with_ffmpeg(beside, folder / name, added, *flags)
                    await asyncio.sleep(6)
                figures[f"beside {name}"] = await over(pids, WINDOWS)
        takes = {name: await client.stop(name) for name in links}
    figures.update(judge_takes(folder, takes))
    async with AsyncExitStack() as stack:
        pid, _ = await begin(stack, folder / "armed", links)
        each: list[int] = []
        for name, link in list(links.items())[:APART]:
            own, one = await begin(stack, folder / f"apart-{name}", {name: link})
            await record(one, folder / f"apart-{name}", [name])
            each.append(own)
        await asyncio.sleep(6)
        figures["the other ways"] = await over({ARMED: [pid], ONE_EACH: each}, 1)
    return figures


async def over(pids: Pids, windows: int) -> Figures:
    """What these processes take while some windows pass, and what the first of them takes more than each other."""

    def used_s() -> dict[str, float]:
        return {name: sum(map(processor_s, own)) for name, own in pids.items()}

    first, busy, begun_s = next(iter(pids)), Busy(), time.monotonic()
    looks = [used_s()]
    for _ in range(windows):
        await asyncio.sleep(WINDOW_S)
        looks.append(used_s())
    span_s = time.monotonic() - begun_s
    figures: Figures = {}
    for name, own in pids.items():
        used = [after[name] - before[name] for before, after in pairwise(looks)]
        firsts = [after[first] - before[first] for before, after in pairwise(looks)]
        figures[name] = {
            "processes": len(own),
            "processor_percent": round(100 * sum(used) / span_s, 1),
            "memory_mb": round(sum(map(memory_mb, own))),
            "the first, of this": round(sum(firsts) / sum(used), 2),
            "by window": [round(one / other, 2) for one, other in zip(firsts, used, strict=True)],
        }
    return {**figures, **busy.figures()}


# ---- whether anything is missing --------------------------------------------------------------------------------


def measure_sixty() -> Figures:
    """60 cameras at once, with two recorders."""
    return on_a_street(MANY, _measure_sixty)


async def _measure_sixty(folder: Path, added: Added) -> Figures:
    names = [one["camera_id"] for one in added]
    links, takes = links_of(added), dict[str, tuple[TakeFile, ...]]()
    async with AsyncExitStack() as stack:
        recorders = []
        for number in range(RECORDERS):
            own = names[number::RECORDERS]
            pid, client = await begin(
                stack, folder / f"recorder-{number}", {name: links[name] for name in own}
            )
            recorders.append((pid, client, own))
        await asyncio.sleep(10)
        for _, client, own in recorders:
            await record(client, folder, own)
        busy = Busy()
        await asyncio.sleep(RECORD_S)
        memory = round(sum(memory_mb(pid) for pid, _, _ in recorders))
        for _, client, own in recorders:
            takes.update({name: await client.stop(name) for name in own})
    return {"recorders": RECORDERS, "memory_mb": memory, **busy.figures(), **judge_takes(folder, takes)}


def judge_takes(folder: Path, takes: dict[str, tuple[TakeFile, ...]]) -> Figures:
    """How many are complete, and how many frames the poorest holds of those that were due by its own time.

    A busy town leaves some out itself.
    """
    shares = [share_of_frames(own) for own in takes.values() if own]
    return {
        "cameras": len(takes),
        "complete": sum(is_complete(own, folder / name) for name, own in takes.items()),
        "frames_of_those_due": round(min(shares), 3),
    }


def is_complete(takes: tuple[TakeFile, ...], folder: Path) -> bool:
    """One take without a gap, every part whole, and a clip of it."""
    if len(takes) != 1 or not finish(takes, folder):
        return False
    parts = takes[0].parts
    with takes[0].path.open("rb") as file:

        def read(offset: int, size: int) -> bytes:
            file.seek(offset)
            return file.read(size)

        return not find_touched(parts, read)


def share_of_frames(takes: tuple[TakeFile, ...]) -> float:
    """Of the frames that were due by the takes' own time, how many they hold."""
    spans_ms = [take.parts[-1].last_ms - take.parts[0].first_ms for take in takes if take.parts]
    due = sum(spans_ms) * int(FORM["fps"]) / 1000 + len(takes)
    return sum(part.frames for take in takes for part in take.parts) / due
