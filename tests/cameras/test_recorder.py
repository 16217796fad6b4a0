"""A recorder of 32: in this process, and as a process of its own that is killed, ended, and asked nonsense."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest
from tests.cameras.street import Street, wait_until
from tests.cameras.test_armed import SLOW_S, Bad

from unlatch.cameras.base import Camera, CameraMaker
from unlatch.cameras.board import CameraState, EventKind
from unlatch.cameras.boxes import read_outline
from unlatch.cameras.catalogue import get_camera_maker
from unlatch.cameras.finishing import finish
from unlatch.cameras.proof import Proof, Refusal
from unlatch.cameras.recorder import MAX_CAMERAS, Recorder
from unlatch.cameras.recorder_client import RecorderClient
from unlatch.cameras.recorder_process import READY
from unlatch.cameras.recording import list_take_paths, recover
from unlatch.clock import monotonic_s
from unlatch.domain.clip import Part, last_link
from unlatch.errors import NotFound, RecordingError
from unlatch.town.film import Unit

FPS = 15


def maker_of(name: str) -> CameraMaker:
    return Bad() if name == "bad" else get_camera_maker(name)


def test_the_33rd_is_refused() -> None:
    recorder = Recorder(maker_of)
    for number in range(MAX_CAMERAS):
        recorder.arm(f"c{number}", Camera(maker="bad", address="unreachable"))
    recorder.arm("c0", Camera(maker="bad", address="unreachable"))  # the same again is not another
    with pytest.raises(RecordingError) as busy:
        recorder.arm("one-more", Camera(maker="bad", address="unreachable"))
    assert busy.value.code == "busy"
    recorder.disarm("c7")
    assert recorder.disarm("c7") == ()
    recorder.arm("one-more", Camera(maker="bad", address="unreachable"))
    assert len(recorder.statuses()) == MAX_CAMERAS
    recorder.close()
    with pytest.raises(RecordingError) as closed:
        recorder.arm("after", Camera(maker="bad", address="unreachable"))
    assert closed.value.code == "closed"


def test_what_one_camera_brings_touches_no_other(street: Street, tmp_path: Path) -> None:
    recorder = Recorder(maker_of)
    name = street.add()
    for number in range(8):
        recorder.arm(f"bad{number}", Camera(maker="bad", address="hangs" if number % 2 else "crashes"))
        recorder.start(f"bad{number}", tmp_path / f"bad{number}")
    recorder.arm("good", street.link(name))
    recorder.start("good", tmp_path / "good")
    wait_until(lambda: recorder.status("good").parts > 8, SLOW_S)
    begun_s = time.monotonic()
    assert recorder.status("bad1").state is not CameraState.ARMED
    refusal = recorder.prove("bad0")
    assert isinstance(refusal, Refusal)
    assert time.monotonic() - begun_s < 4
    (take,) = recorder.stop("good")
    assert take.parts
    for verb in (recorder.stop, recorder.prove, recorder.relax, recorder.status):
        with pytest.raises(NotFound):
            verb("nobody")
    with pytest.raises(RecordingError):
        (tmp_path / "file").write_bytes(b"")
        recorder.start("good", tmp_path / "file" / "below")
    closing = threading.Thread(target=recorder.close)
    closing.start()
    closing.join(20)
    assert not closing.is_alive()


def test_events_are_numbered_and_fetched_page_by_page(
    street: Street, recorder: Recorder, tmp_path: Path
) -> None:
    name = street.add()
    assert recorder.events(0, 0.0).events == ()
    recorder.arm(name, street.link(name))
    recorder.start(name, tmp_path)
    wait_until(lambda: recorder.status(name).parts > 5, SLOW_S)
    page = recorder.events(0, 5.0)
    assert [number for number, _ in page.events] == list(range(1, page.cursor + 1))
    parts = [event.part for _, event in page.events if event.kind is EventKind.PART]
    links = [event.link for _, event in page.events if event.kind is EventKind.PART]
    assert links[-1] == last_link(part for part in parts if part is not None)
    after = recorder.events(page.cursor, 5.0)
    assert after.events[0][0] == page.cursor + 1
    assert not after.is_torn


# ---- as a process -----------------------------------------------------------------------------------------


@contextmanager
def recorder_process(folder: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    socket = folder / "recorder.socket"
    words = [sys.executable, "-m", "unlatch.cameras.recorder_process", "--socket", str(socket)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == READY
            assert socket.stat().st_mode & 0o777 == 0o700
            yield process, socket
        finally:
            process.kill()


async def parts_told(client: RecorderClient, at_least: int) -> list[Part]:
    parts: list[Part] = []
    cursor = 0
    async with asyncio.timeout(40):
        while len(parts) < at_least:
            page = await client.events(cursor, 5.0)
            cursor = page.cursor
            parts += [event.part for _, event in page.events if event.part is not None]
    return parts


@pytest.mark.parametrize("is_relaxed", [False, True], ids=["eager", "relaxed"])
async def test_kill_9_loses_half_a_second_at_most(street: Street, tmp_path: Path, is_relaxed: bool) -> None:
    name = street.add(fps=FPS)
    units: list[Unit] = []
    street.do(lambda control: control.cameras[name].watch("test", units.append, lambda: None))
    with recorder_process(tmp_path) as (process, socket):
        client = RecorderClient(socket)
        await client.open()
        await client.arm(name, street.link(name))
        await client.start(name, tmp_path / "takes")
        if is_relaxed:
            await client.relax(name)
        known = await parts_told(client, 12)
        killed_s = monotonic_s()
        process.kill()
        process.wait(10)
        await client.close()
    (path,) = list_take_paths(tmp_path / "takes")
    size = path.stat().st_size
    recovered = recover(path, known)
    assert recovered.take.parts[: len(known)] == tuple(known)
    with path.open("rb") as file:
        last = read_outline(file, size).fragments[-1]
        file.seek(last.data_offset)
        frame = file.read(last.data_size)
    (kept,) = [unit for unit in units if frame.endswith(unit.nals[-1])]
    lost = [unit for unit in units if kept.taken_s < unit.taken_s <= killed_s]
    assert (
        len(lost) <= 0.5 * FPS + 1
    )  # a camera that others keep waiting sends its pictures late, but sends them
    assert finish([recovered.take], tmp_path)[0].places[-1].part == recovered.take.parts[-1].number


async def test_a_process_is_asked_and_ended(street: Street, tmp_path: Path) -> None:
    name = street.add(has_clock=False, is_moving=True)
    with recorder_process(tmp_path) as (process, socket):
        async with RecorderClient(socket) as client:
            await client.arm(name, street.link(name))
            refusal = await client.prove(name)
            assert isinstance(refusal, Refusal)
            assert refusal.code == "not_recording"
            await client.start(name, tmp_path / "takes")
            async with asyncio.timeout(40):
                while not isinstance(proof := await client.prove(name), Proof):
                    await asyncio.sleep(0.1)
            assert proof.made_s <= monotonic_s()
            asked_s = monotonic_s()
            state, lease = await client.state(name)
            assert state.state is CameraState.RECORDING
            assert lease.until_s <= asked_s + 2.1
            await client.relax(name)
            with pytest.raises(NotFound):
                await client.stop("nobody")
            with pytest.raises(RecordingError, match="already"):
                await client.start(name, tmp_path / "elsewhere")
            with pytest.raises(NotFound):
                await client.arm("x", Camera(maker="none", address="rtsp://x/"))
            assert list(await client.states()) == [name]
            takes = await client.stop(name)
            assert [take.number for take in takes] == [1]
            assert takes[0].path.parent == tmp_path / "takes"
            assert takes[0].begun_at.tzinfo is not None
            await client.start(name, tmp_path / "takes-2")
            await parts_told(client, len(takes[0].parts) + 3)
            os.kill(process.pid, signal.SIGTERM)  # it ends its recordings by itself
            assert await asyncio.to_thread(process.wait, 20) == 0
            with pytest.raises(RecordingError):
                await client.states()
        (path,) = list_take_paths(tmp_path / "takes-2")
        assert recover(path).lost_bytes == 0
        assert not socket.exists()
    with pytest.raises(RecordingError, match="not there"):
        await RecorderClient(socket).open()


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b'{"number":1,"do":{"type":"fly"}}\n',
        b'{"number":1,"do":{"type":"start","camera_id":"../x","folder":"/x"}}\n',
        b'{"number":1,"do":{"type":"start","camera_id":"x","folder":"relative"}}\n',
        b'{"number":1,"do":{"type":"events","wait_s":9999}}\n',
        b"x" * 1_100_000 + b"\n",
    ],
    ids=["no json", "no verb", "no name", "no folder", "too long a wait", "too long a line"],
)
async def test_nonsense_ends_the_link_and_nothing_else(process_socket: Path, line: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(str(process_socket))
    writer.write(line)
    with contextlib.suppress(ConnectionError):  # hung up, while some of the line was still under way
        await writer.drain()
        async with asyncio.timeout(10):
            assert await reader.read(100) == b""
    writer.close()
    async with RecorderClient(process_socket) as client:
        assert await client.states() == {}


@pytest.fixture(scope="module")
def process_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with recorder_process(tmp_path_factory.mktemp("recorder")) as (_, socket):
        yield socket


async def test_every_camera_may_be_asked_for_over_a_link_of_its_own(process_socket: Path) -> None:
    """Each visit speaks over its own, and all of a recorder's cameras may be wanted at once."""
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(RecorderClient(process_socket)) for _ in range(MAX_CAMERAS + 1)
        ]
        assert await asyncio.gather(*(client.states() for client in clients)) == [{}] * len(clients)
