"""A recorder at work: `unlatch record` runs one recorder process and does what the rows say of its cameras.

Cameras that are wanted are connected, and let go when nobody wants them any more. How they stand, and until when each
holds its lease, is written down twice a second; the chain of what they record goes into the visits' journals every two
seconds and at each end of a take. The recorder process may die: then another is started, takes that it left behind are
recovered, and the recording goes on with the next take. This process may die: then its recorder ends with it, its
leases run out, and every worker sees that; another recorder of this machine goes on with its cameras and takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from unlatch.cameras.board import CameraState
from unlatch.cameras.recorder import MAX_CAMERAS
from unlatch.cameras.recorder_client import RecorderClient
from unlatch.cameras.recorder_process import READY
from unlatch.cameras.shown_clock import ClockReader
from unlatch.errors import DatabaseDown, RecordingError, SealBroken, UnlatchError
from unlatch.flow import keeping, retention
from unlatch.flow.chaining import Chaining
from unlatch.flow.filming import camera_of
from unlatch.flow.keeping import Continuation
from unlatch.flow.platform import Platform
from unlatch.store import adopting, cameras
from unlatch.store.cameras import CameraRow, RecordingState, Said

log = structlog.get_logger(__name__)

SLOTS = "recorders"  # folder of the data folder: a lock and a socket for each recorder of this machine
MOST_SLOTS = 64
LONGEST_SOCKET = 100  # bytes: the kernel takes 107
READY_WITHIN_S = 30.0
RESTART_AFTER_S = 0.5
LOOK_EVERY_S = 0.25
SAY_EVERY_S = 0.5
ALIVE_FOR = timedelta(seconds=4)
END_WITHIN_S = 10.0
SWEEP_EVERY_S = 5.0
BEATS_BETWEEN_KEPT = 4  # looks between two questions which cameras are still wanted


class NoSlot(UnlatchError):
    """As many recorders as may run on this data folder run already."""


@contextmanager
def take_slot(data_dir: Path) -> Iterator[tuple[str, Path]]:
    """A recorder's lasting name on this machine and its socket, while no other process has it. Raises NoSlot.

    The name lasts, so that a recorder that was killed finds again what it had begun.
    """
    folder = data_dir / SLOTS
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest = hashlib.sha256(f"{socket.gethostname()}\0{data_dir.absolute()}".encode()).hexdigest()[:16]
    for number in range(1, MOST_SLOTS + 1):
        lock = os.open(folder / f"{number}.lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        try:
            path = (folder / f"{number}.sock").absolute()
            if len(os.fsencode(path)) > LONGEST_SOCKET:
                path = Path(tempfile.mkdtemp(prefix="unlatch-")) / f"{number}.sock"
            yield f"rcr_{digest}_{number}", path
        finally:
            os.close(lock)
        return
    raise NoSlot(f"at most {MOST_SLOTS} recorders run on one machine")


async def record(platform: Platform, stop: asyncio.Event) -> None:
    """Run a recorder until `stop` is set; one that dies is started anew."""
    with take_slot(platform.settings.data_dir) as (recorder_id, path):
        while not stop.is_set():
            try:
                await RecorderKeeper(platform, recorder_id, path).run(stop)
            except* Exception as group:  # noqa: BLE001 - whatever broke, these cameras want a recorder
                log.warning("a recorder begins anew", why=[repr(error)[:200] for error in group.exceptions])
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RESTART_AFTER_S):
                        await stop.wait()


class RecorderKeeper:
    """One recorder process, from its start to its end."""

    def __init__(self, platform: Platform, recorder_id: str, path: Path) -> None:
        self._platform, self._id, self._path = platform, recorder_id, path
        self._held: set[str] = set()
        self._chaining = Chaining(platform)
        self._left: dict[str, Continuation] = {}  # what a recorder before has begun, by recording
        self._beat = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set, or the process ends (RecordingError)."""
        self._left = await keeping.recover_left(self._platform, self._id)
        async with self._process() as process, RecorderClient(self._path) as recorder:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._repeat(LOOK_EVERY_S, lambda: self._look(recorder))),
                    group.create_task(self._repeat(SAY_EVERY_S, lambda: self._say(recorder))),
                    group.create_task(self._chaining.follow(recorder, self._id)),
                    group.create_task(self._repeat(SAY_EVERY_S, lambda: self._finish(recorder))),
                    group.create_task(self._repeat(SWEEP_EVERY_S, self._sweep)),
                    group.create_task(self._notice_end(process)),
                ]
                await stop.wait()
                for task in tasks:
                    task.cancel()
            await self._let_go_of_all()

    @asynccontextmanager
    async def _process(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """The recorder process. It ends when we do: it reads our pipe, and nobody else writes there."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "unlatch.cameras.recorder_process", "--socket", str(self._path), "--tied",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            async with asyncio.timeout(READY_WITHIN_S):
                said = await process.stdout.readline()
            if said.decode().strip() != READY:
                raise RecordingError("the recorder did not start", code="closed")
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
                try:
                    async with asyncio.timeout(END_WITHIN_S):
                        await process.wait()
                except TimeoutError:
                    process.kill()
                    await process.wait()

    async def _notice_end(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        raise RecordingError(f"the recorder has ended with {code}", code="closed")

    async def _repeat(self, every_s: float, run: Callable[[], Awaitable[None]]) -> None:
        """Again and again: whatever the database makes of one round does not end what is being recorded."""
        while True:
            try:
                await run()
            except RecordingError:
                raise  # the recorder itself is gone
            except DatabaseDown:
                log.warning("a recorder waits for its database")
            except Exception as error:
                log.exception("a round of a recorder failed", why=type(error).__name__)
            await asyncio.sleep(every_s)

    # ---- which cameras ------------------------------------------------------------------------------------

    async def _look(self, recorder: RecorderClient) -> None:
        real_now = datetime.now(UTC)
        async with self._platform.database.connection() as connection:
            if self._beat % BEATS_BETWEEN_KEPT == 0:
                await cameras.save_recorder(
                    connection,
                    self._id,
                    socket=str(self._path),
                    room=MAX_CAMERAS,
                    alive_until_real=real_now + ALIVE_FOR,
                )
                kept = await cameras.list_kept(connection, self._id, sorted(self._held), real_now)
                dropped = self._held - set(kept)
            else:
                dropped = set[str]()
            claimed = await cameras.claim_cameras(
                connection,
                self._id,
                held=sorted(self._held),
                room=MAX_CAMERAS - len(self._held) + len(dropped),
                real_now=real_now,
            )
            adopted = await adopting.adopt_recordings(
                connection, self._id, machine=self._id.rpartition("_")[0] + "_", real_now=real_now
            )
            under_way = await cameras.list_under_way(connection, self._id)
        self._beat += 1
        for recording in adopted:
            if recording.state is not RecordingState.ENDING:
                after = await keeping.find_continuation(recording)
                if after is not None:
                    self._left[recording.id] = after
        self._chaining.recordings = {row.camera_id: row for row in under_way}
        busy = {row.camera_id for row in under_way}
        for camera_id in sorted(dropped - busy):
            await recorder.disarm(camera_id)
            self._held.discard(camera_id)
            async with self._platform.database.connection() as connection:
                await cameras.let_go(connection, self._id, [camera_id])
        for row in claimed:
            await self._arm(recorder, row)
        for recording in under_way:
            after = self._left.get(recording.id)
            if after is None or recording.camera_id not in self._held:
                continue
            if recording.state is RecordingState.ENDING or await keeping.go_on(recorder, recording, after):
                del self._left[recording.id]

    async def _arm(self, recorder: RecorderClient, row: CameraRow) -> None:
        """Connect. A camera that can't even be tried stands in its row with why."""
        code = ""
        try:
            reader = None if row.clock is None else ClockReader.of_content(dict(row.clock))
            await recorder.arm(row.id, camera_of(self._platform, row), reader)
        except (SealBroken, ValueError):
            code = "damaged"
        except RecordingError as error:
            if error.code == "closed":
                raise
            code = error.code
        if not code:
            self._held.add(row.id)
            return
        async with self._platform.database.connection() as connection:
            said = Said(
                camera_id=row.id, state=CameraState.LOST, verdict=None, code=code, heard_at_real=None,
                lease_until_real=None,
            )  # fmt: skip
            await cameras.say(connection, self._id, [said])

    async def _let_go_of_all(self) -> None:
        with contextlib.suppress(DatabaseDown):
            async with self._platform.database.connection() as connection:
                await cameras.let_go(connection, self._id, sorted(self._held))

    # ---- how they stand -----------------------------------------------------------------------------------

    async def _say(self, recorder: RecorderClient) -> None:
        """Ages become moments as of *before* we asked: what is said is never fresher than it was."""
        asked_at = datetime.now(UTC)
        states = await recorder.states()
        if not states:
            return
        said = [
            Said(
                camera_id=camera_id,
                state=state.state,
                verdict=state.verdict if state.state in (CameraState.ARMED, CameraState.RECORDING) else None,
                code=state.code,
                heard_at_real=None
                if state.silent_s is None
                else asked_at - timedelta(seconds=min(state.silent_s, 86_400.0)),
                lease_until_real=asked_at + timedelta(seconds=state.lease_left_s)
                if state.lease_left_s
                else None,
            )
            for camera_id, state in states.items()
        ]
        async with self._platform.database.connection() as connection:
            await cameras.say(connection, self._id, said, asked_at=asked_at)

    async def _sweep(self) -> None:
        """What lies on this disk of recordings that are clips by now, or are to be none, goes."""
        await retention.sweep(self._platform, self._id)

    async def _finish(self, recorder: RecorderClient) -> None:
        """Recordings whose visit has ended become clips, one after the other."""
        for recording in list(self._chaining.recordings.values()):
            if recording.state is RecordingState.ENDING:
                await keeping.finish_recording(self._platform, recorder, recording)
