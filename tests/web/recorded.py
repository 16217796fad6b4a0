"""Visits with something recorded of them: real takes on a real disk, made clips of as a recorder's keeper does."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from tests.cameras.test_recording import record
from tests.web.conftest import Tenant
from tests.web.people import deliver, fetch

from unlatch.cameras.recorder import Recorder
from unlatch.cameras.recorder_client import RecorderClient
from unlatch.cameras.recorder_process import RecorderServer
from unlatch.cameras.recorder_wire import MAX_LINE_BYTES
from unlatch.cameras.recording import TakeFile
from unlatch.cameras.storage import ClipStore, open_store
from unlatch.domain.clip import last_link
from unlatch.domain.proof import Kind
from unlatch.flow.chaining import append_parts, note
from unlatch.flow.filming import RECORDINGS
from unlatch.flow.keeping import finish_recording
from unlatch.flow.platform import Platform
from unlatch.flow.record import Line
from unlatch.store import cameras
from unlatch.store.cameras import CameraRow, RecordingRow
from unlatch.store.ids import make_id
from unlatch.store.retention import KeptRow, list_kept

RECORDER = "rcr_test_1"


@cache
def _film() -> TakeFile:
    """A take of 2.4 seconds, made once a run."""
    return record(Path(mkdtemp(prefix="unlatch-test-film-")), 24)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A platform whose clips lie in a folder, a recorder beside it, and what is done to visits there."""

    platform: Platform
    recorder: RecorderClient
    folder: Path

    async def begin(self, tenant: Tenant, visit_id: str) -> RecordingRow:
        """A recording that has ended and is no clip yet: its takes lie on the recorder's disk."""
        now = self.platform.clock.now()
        camera = CameraRow(
            id=make_id("cam"), access_point_id=tenant.access_point_id, maker="rtsp", name="hall", sealed=b"",
            clock=None, methods=[], sees_door=True, enrolled_at=now, check_by=None, created_at=now,
            removed_at=None, recorder_id=RECORDER,
        )  # fmt: skip
        recording_id = make_id("rec")
        folder = self.folder / RECORDINGS / recording_id
        folder.mkdir(parents=True)
        take = _film()
        shutil.copy(take.path, folder / take.path.name)
        append_parts(folder, take.parts)
        async with self.platform.database.transaction() as connection:
            await cameras.save_recorder(
                connection, RECORDER, socket="none", room=32, alive_until_real=now + timedelta(days=1)
            )
            await cameras.insert_camera(connection, camera)
            await cameras.want_recording(
                connection, recording_id, visit_id=visit_id, held=camera, folder=str(folder), now=now
            )
            await cameras.end_recordings(connection, visit_id, now)
        for number in (5, 10):
            body = {
                "recording": recording_id,
                "take": 1,
                "part": number,
                "link": last_link(take.parts[:number]).hex(),
            }
            line = Line(name="recording_link", who=f"camera:{camera.id}", kind=Kind.NOTE, body=body)
            await note(self.platform, visit_id, line)
        return await self.get(recording_id)

    async def get(self, recording_id: str) -> RecordingRow:
        async with self.platform.database.connection() as connection:
            row = await cameras.find_recording(connection, recording_id)
        assert row is not None
        return row

    async def finish(self, recording: RecordingRow) -> RecordingRow:
        """Its recorder's keeper makes clips of it."""
        await finish_recording(self.platform, self.recorder, recording)
        return await self.get(recording.id)

    async def deliver(self, tenant: Tenant) -> str:
        """A visit that ended well and of which there is one clip."""
        visit_id = await deliver(self.platform, tenant)
        await self.finish(await self.begin(tenant, visit_id))
        return visit_id

    async def list_kept(self, visit_id: str) -> list[KeptRow]:
        async with self.platform.database.connection() as connection:
            return await list_kept(connection, visit_id)

    async def lines(self, visit_id: str, *names: str) -> list[tuple[str, str]]:
        """Name and author of the journal's lines of these names."""
        query = "SELECT name, who FROM journal WHERE visit_id = %s AND name = ANY(%s) ORDER BY number"
        return [(row[0], row[1]) for row in await fetch(self.platform, query, visit_id, list(names))]

    def left_on_disk(self, recording: RecordingRow) -> list[str]:
        """The kinds of file that a recording has left on its recorder's disk."""
        return sorted(path.suffix for path in Path(recording.folder).glob("*"))

    def damage(self, recording: RecordingRow) -> None:
        """No clip can be made of its takes any more."""
        next(Path(recording.folder).glob("*.mp4")).write_bytes(b"\xff" * 5000)

    def files(self) -> list[str]:
        """What lies in the store of clips."""
        return sorted(path.name for path in (self.folder / "clips").rglob("*") if path.is_file())

    async def age(self, visit_id: str, days: float) -> None:
        """As if all of it had been recorded so much earlier."""
        for statement in (
            "UPDATE clip SET keep_until = keep_until - %s, made_at = made_at - %s WHERE visit_id = %s RETURNING 1",
            "UPDATE recording SET begun_at = begun_at - %s, ended_at = ended_at - %s WHERE visit_id = %s RETURNING 1",
        ):
            await fetch(self.platform, statement, timedelta(days=days), timedelta(days=days), visit_id)


@asynccontextmanager
async def open_recorded(platform: Platform, folder: Path) -> AsyncIterator[Recorded]:
    """On a platform, with a recorder that holds no camera, in this process."""
    own = replace(
        platform,
        settings=replace(platform.settings, data_dir=folder),
        clips=ClipStore(open_store(folder / "clips")),
    )
    recorder, socket = Recorder(), folder / "r.sock"
    server = await asyncio.start_unix_server(
        RecorderServer(recorder).serve, str(socket), limit=MAX_LINE_BYTES
    )
    try:
        async with RecorderClient(socket) as client:
            yield Recorded(platform=own, recorder=client, folder=folder)
    finally:
        server.close()
        await asyncio.to_thread(recorder.close)
