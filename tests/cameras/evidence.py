"""The figures of docs/reference/cameras.md, measured anew: `scripts/evidence_cameras OUT.json`. Ends by itself.

Read the ratios: what is compared ran in one run, on the same streams. The load of the machine stands beside it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.cameras.street import FPS, clock_reader, hall, paint
from tests.cameras.test_glances import NO_CLOCK, NO_CLOCK_MOVING, STILL, glances_of, lit
from tests.cameras.test_recorder import recorder_process

from unlatch.cameras.base import Camera
from unlatch.cameras.finishing import finish
from unlatch.cameras.glances import Method, Rolling, Verdict
from unlatch.cameras.light import draw_pattern, look_for
from unlatch.cameras.proof import Proof
from unlatch.cameras.recorder_client import RecorderClient
from unlatch.cameras.recording import TakeFile
from unlatch.domain.clip import find_touched
from unlatch.town.client import TownClient
from unlatch.town.hall import Picture, View

CAMERAS = 25
RECORD_S = 15.0
PROOFS = 25
APART = 8  # processes of one camera each, for comparison
FORM = {"width": 1280, "height": 720, "fps": 15, "bitrate": 1_500_000, "is_moving": True, "has_clock": False}
TICKS = os.sysconf("SC_CLK_TCK")
Figures = dict[str, Any]


# ---- rates --------------------------------------------------------------------------------------------------


def kinds_of_film(view: View, seconds: float) -> dict[str, list[Picture]]:
    """A live film, and each way to counterfeit it."""
    count, begin = round(seconds * FPS), 40
    live = [paint(number, view) for number in range(count)]
    still = live[begin]
    loop = live[:begin]
    rest = range(count - begin)
    return {
        "live": live,
        "live, light changes": [paint(n, replace(view, light=0.3 * n)) for n in range(count)],
        "live, dark": [paint(n, replace(view, light=-110)) for n in range(count)],
        "frozen, encoded anew": live[:begin] + [still for _ in rest],
        "frozen, encoded anew, fresh noise": live[:begin] + [hall().grain(still, view.noise) for _ in rest],
        "loop, encoded anew": loop + [loop[n % begin] for n in rest],
        "loop, encoded anew, fresh noise": loop + [hall().grain(loop[n % begin], 1.0) for n in rest],
    }


def judge_rates(seconds: float = 12.0) -> Figures:
    """Of each method and each film: how many of its windows were taken for live, for false, and neither."""
    figures: Figures = {}
    methods: list[tuple[str, Method, View, Any]] = [
        ("clock, still hall", Method.CLOCK, STILL, clock_reader()),
        ("clock, something moves", Method.CLOCK, replace(STILL, is_moving=True), clock_reader()),
        ("motion, something moves", Method.MOTION, NO_CLOCK_MOVING, None),
        ("motion, still hall", Method.MOTION, NO_CLOCK, None),
    ]
    for title, _, view, reader in methods:
        for name, pictures in kinds_of_film(view, seconds).items():
            rolling, counts = Rolling(reader), {"live": 0, "against": 0, "can't tell": 0}
            for number, glance in enumerate(glances_of(pictures, reader)):
                rolling.add(glance)
                if glance.at_s < 7.0 or number % 2:  # of which the counterfeit has had 3 s to be found
                    continue
                judged = rolling.judge(glance.at_s + 0.01)
                key = "live" if judged.is_live else "against" if judged.is_against else "can't tell"
                counts[key] += 1
            figures.setdefault(title, {})[name] = counts
    figures["exact repeats of coded frames"] = exact_repeats()
    return figures


def exact_repeats() -> Figures:
    """A loop of the very same coded frames, without clock: told by their bytes."""
    glances = glances_of([paint(number, NO_CLOCK_MOVING) for number in range(60)])
    rolling, found = Rolling(), []
    for number, glance in enumerate([*glances, *glances[20:], *glances[20:]]):
        rolling.add(replace(glance, at_s=number / FPS))
        if number >= 64:
            found.append(rolling.judge(number / FPS).verdict)
    return {"windows": len(found), "found": sum(one in (Verdict.LOOPING, Verdict.FROZEN) for one in found)}


def light_rates(tries: int = 270) -> Figures:
    """Of each length of pattern: seen when it was ours; taken for ours when another one, or none, was played."""
    figures: Figures = {}
    for chips in (8, 12, 16):
        seen, others = [], 0
        for view in (STILL, NO_CLOCK_MOVING, replace(NO_CLOCK, light=-150)):
            for delay_s in (0.1, 0.5, 1.0):
                pattern = draw_pattern(2.0, chips)
                glances = glances_of(lit(pattern, view, delay_s=delay_s, seconds=2 + chips / 4 + 1.5))
                seen.append(look_for(pattern, glances).is_ours)
                drawn = (draw_pattern(2.0, chips) for _ in range(tries // 9))
                others += sum(look_for(one, glances).is_ours for one in drawn if one.chips != pattern.chips)
        none = glances_of([paint(number, NO_CLOCK_MOVING) for number in range(90)])
        by_chance = sum(look_for(draw_pattern(2.0, chips), none).is_ours for _ in range(200))
        figures[f"{chips} chips"] = {
            "false rejects": f"{seen.count(False)} of {len(seen)}",
            "another pattern taken for ours": f"{others} of {tries // 9 * 9}",
            "no pattern taken for ours": f"{by_chance} of 200",
        }
    return figures


# ---- cost ---------------------------------------------------------------------------------------------------


def processor_s(pid: int) -> float:
    """Seconds of processor of a process so far, its ended children not counted."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mb(pid: int) -> float:
    """Its share of memory (PSS)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


@contextmanager
def town_process() -> Any:
    words = [sys.executable, "-m", "unlatch.town", "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().removeprefix("town: ").strip()
        finally:
            process.terminate()


async def measure(folder: Path, address: str) -> Figures:
    async with TownClient(address) as town:
        added = [await town.add_camera(f"c{number}", **FORM) for number in range(CAMERAS)]
        links = {
            one["camera_id"]: Camera(
                maker="rtsp",
                address=one["address"],
                secrets={"user": one["user"], "password": one["password"]},
                allows_private=True,
            )
            for one in added
        }
        figures: Figures = {"proof": await measure_proofs(folder, links["c0"])}
        figures["recorder"] = await measure_recorder(folder, links)
        figures["a process for each camera"] = await measure_apart(folder, links)
        figures["ffmpeg -c copy"] = await measure_ffmpeg(folder, added)
        return figures


async def measure_proofs(folder: Path, link: Camera) -> Figures:
    """One armed camera; a proof each now and then."""
    with recorder_process(folder) as (_, socket):
        async with RecorderClient(socket) as client:
            await client.arm("one", link)
            await asyncio.sleep(6)
            took: list[float] = []
            refused: list[str] = []
            for number in range(PROOFS):
                await client.start("one", folder / f"proof-{number}")
                begun_s = time.monotonic()
                proof = await client.prove("one")
                if isinstance(proof, Proof):
                    took.append(time.monotonic() - begun_s)
                else:
                    refused.append(proof.code)
                await client.stop("one")
                await asyncio.sleep(0.13)
    took.sort()
    return {
        "proofs": len(took), "refused": refused, "p50_s": round(statistics.median(took), 3),
        "p90_s": round(took[len(took) * 9 // 10], 3), "max_s": round(took[-1], 3),
    }  # fmt: skip


async def over(pids: list[int]) -> Figures:
    """What these processes take while RECORD_S pass."""
    before, begun_s = sum(map(processor_s, pids)), time.monotonic()
    await asyncio.sleep(RECORD_S)
    span_s = time.monotonic() - begun_s
    used = sum(map(processor_s, pids)) - before
    return {
        "cameras": 0, "processor_percent": round(100 * used / span_s, 1),
        "memory_mb": round(sum(map(memory_mb, pids)), 1), "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip


async def measure_recorder(folder: Path, links: dict[str, Camera]) -> Figures:
    """25 cameras in one recorder: recording, keyframes decoded; then armed, every frame decoded."""
    with recorder_process(folder) as (process, socket):
        async with RecorderClient(socket) as client:
            for name, link in links.items():
                await client.arm(name, link)
            await asyncio.sleep(8)
            armed = await over([process.pid])
            for name in links:
                await client.start(name, folder / name)
                await client.relax(name)
            await asyncio.sleep(3)
            figures = await over([process.pid])
            figures["cameras"] = armed["cameras"] = len(links)
            takes = {name: await client.stop(name) for name in links}
    figures["complete"] = sum(is_complete(takes[name], folder / name) for name in links)
    figures["frames_of_those_due"] = round(min(share_of_frames(takes[name]) for name in links), 3)
    figures["armed, every frame decoded"] = armed
    return figures


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
    """Of the frames that were due by the take's own time, how many it holds: a busy town leaves some out itself."""
    spans_ms = [take.parts[-1].last_ms - take.parts[0].first_ms for take in takes]
    due = sum(spans_ms) * int(FORM["fps"]) / 1000 + len(takes)
    return sum(part.frames for take in takes for part in take.parts) / due


async def measure_apart(folder: Path, links: dict[str, Camera]) -> Figures:
    """The same with a process for each camera."""
    with ExitStack() as stack:
        pids = []
        for number, (name, link) in enumerate(list(links.items())[:APART]):
            own = folder / f"apart-{number}"
            own.mkdir()
            process, socket = stack.enter_context(recorder_process(own))
            pids.append(process.pid)
            async with RecorderClient(socket) as client:
                await client.arm(name, link)
                await client.start(name, own / "takes")
                await client.relax(name)
        await asyncio.sleep(3)
        figures = await over(pids)
    return {**figures, "cameras": APART}


async def measure_ffmpeg(folder: Path, added: list[dict[str, Any]]) -> Figures | str:
    """The same streams, copied by ffmpeg to the same kind of file; a process for each camera."""
    if shutil.which("ffmpeg") is None:
        return "not there: apt install ffmpeg"
    with ExitStack() as stack:
        processes = []
        for one in added:
            address = one["address"].replace("rtsp://", f"rtsp://{one['user']}:{one['password']}@")
            target = folder / f"ffmpeg-{one['camera_id']}.mp4"
            words = ["ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", address, "-c", "copy",
                     "-movflags", "frag_every_frame+empty_moov+default_base_moof", str(target)]  # fmt: skip
            process = stack.enter_context(subprocess.Popen(words, stdin=subprocess.DEVNULL))  # noqa: ASYNC220
            stack.callback(process.kill)
            processes.append(process)
        await asyncio.sleep(8)
        figures = await over([process.pid for process in processes])
    return {**figures, "cameras": len(added)}


def measure_cost() -> Figures:
    folder = Path(tempfile.mkdtemp(prefix="unlatch-cameras-"))
    try:
        with town_process() as address:
            return asyncio.run(measure(folder, address))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    out, *names = sys.argv[1:]
    figures: Figures = {"load_before": round(os.getloadavg()[0], 1), "processors": os.cpu_count()}
    doing: dict[str, Callable[[], Figures]] = {
        "cost": measure_cost,
        "rates": judge_rates,
        "light": light_rates,
    }
    for name in names or doing:
        figures[name] = doing[name]()
        print(f"{name}: {json.dumps(figures[name])}", flush=True)
    figures["load_after"] = round(os.getloadavg()[0], 1)
    Path(out).write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
