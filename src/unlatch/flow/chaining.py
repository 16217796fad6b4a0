"""The chain of a recording into its visit's journal: a link every two seconds, and at each end of a take or a gap.

Not each part, of which there are five a second: a link stands for all before it. The parts themselves are kept in a
file beside the takes, written by this process and not by the recorder, so that the death of the one loses at most what
the other has not yet fetched.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog

from unlatch.cameras.board import Event, EventKind
from unlatch.cameras.glances import AGAINST
from unlatch.cameras.recorder_client import RecorderClient
from unlatch.clock import monotonic_s
from unlatch.domain.clip import Part
from unlatch.domain.proof import Kind, text_of_time
from unlatch.errors import DatabaseDown
from unlatch.flow.platform import Platform
from unlatch.flow.record import Line, chain
from unlatch.store import cameras, journal, visits
from unlatch.store.cameras import RecordingRow

log = structlog.get_logger(__name__)

LINK_EVERY_S = 2.0  # so much of the chain may be missing from the journal after a kill
WAIT_S = 1.0
AGAIN_AFTER_S = 0.5
PARTS_FILE = "parts.jsonl"
AT_ONCE = frozenset({EventKind.TAKE_BEGUN, EventKind.GAP_BEGUN, EventKind.GAP_ENDED})
NAMES = {
    EventKind.PART: "recording_link",
    EventKind.TAKE_BEGUN: "recording_begun",
    EventKind.GAP_BEGUN: "recording_gap_begun",
    EventKind.GAP_ENDED: "recording_gap_ended",
    EventKind.VERDICT: "picture_doubted",
}


def append_parts(folder: Path, parts: Sequence[Part]) -> None:
    """Keep what was told of these parts; their frames are on the disk already."""
    lines = b"".join(msgspec.json.encode(part) + b"\n" for part in parts)
    file = os.open(folder / PARTS_FILE, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        os.write(file, lines)
    finally:
        os.close(file)


def sync_parts(folder: Path) -> None:
    """Wait until the parts are on the disk: the journal is told no link that a power cut could orphan."""
    try:
        file = os.open(folder / PARTS_FILE, os.O_WRONLY)
    except FileNotFoundError:
        return  # the recording has become a clip meanwhile
    try:
        os.fdatasync(file)
    finally:
        os.close(file)


def read_parts(folder: Path) -> dict[int, Part]:
    """The parts that were told, by number. A line that a crash has cut is left out."""
    parts: dict[int, Part] = {}
    try:
        lines = (folder / PARTS_FILE).read_bytes().splitlines()
    except FileNotFoundError:
        return parts
    for line in lines:
        try:
            part = msgspec.json.decode(line, type=Part)
        except msgspec.DecodeError:
            continue
        parts[part.number] = part
    return parts


async def note(platform: Platform, visit_id: str, line: Line) -> None:
    """Add an entry to a visit's journal that is no fact of it."""
    async with platform.database.pipelined_transaction() as connection:
        row = await visits.lock_visit(connection, visit_id)
        row, (entry, private) = chain(row, line, platform.clock.now())
        await visits.update_visit(connection, row)
        await journal.append_entry(connection, entry, private)


class Chaining:
    """Follows one recorder process from its first event on."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self.recordings: dict[str, RecordingRow] = {}  # by camera; whoever looks at the rows renews it
        self._latest: dict[str, tuple[Part, bytes]] = {}  # by recording: what the journal does not have yet
        self._linked_s: dict[str, float] = {}

    async def follow(self, recorder: RecorderClient, recorder_id: str) -> None:
        """Until cancelled, or the recorder is gone (RecordingError)."""
        cursor = 0
        while True:
            page = await recorder.events(cursor, WAIT_S)
            cursor = page.cursor
            if any(event.camera_id not in self.recordings for _, event in page.events):
                await self._find_recordings(recorder_id)
            for _, event in page.events:
                recording = self.recordings.get(event.camera_id)
                if recording is not None:
                    await self.take_in(recording, event)
            await self._link_due()

    async def _find_recordings(self, recorder_id: str) -> None:
        try:
            async with self._platform.database.connection() as connection:
                rows = await cameras.list_under_way(connection, recorder_id)
        except DatabaseDown:
            return
        self.recordings = {row.camera_id: row for row in rows}

    async def take_in(self, recording: RecordingRow, event: Event) -> None:
        """What a camera tells of itself goes into the journal of the visit that it records."""
        if event.kind is EventKind.PART:
            assert event.part is not None
            assert event.link is not None
            append_parts(Path(recording.folder), [event.part])
            self._latest[recording.id] = event.part, event.link
            self._linked_s.setdefault(recording.id, monotonic_s())
        elif event.kind in AT_ONCE:
            await self._link(recording)
            await self._note_surely(recording, event.kind, _body_of(event))
        elif event.kind is EventKind.VERDICT and event.verdict in AGAINST:
            await self._note_surely(recording, event.kind, {"verdict": str(event.verdict)})

    async def _link_due(self) -> None:
        now_s = monotonic_s()
        for recording in list(self.recordings.values()):
            if now_s - self._linked_s.get(recording.id, now_s) >= LINK_EVERY_S:
                await self._link(recording)

    async def _link(self, recording: RecordingRow) -> None:
        """The last link that is known, if the journal does not have it. One that can't be written is tried again."""
        latest = self._latest.pop(recording.id, None)
        self._linked_s[recording.id] = monotonic_s()
        if latest is None:
            return
        part, link = latest
        body = {"take": part.take, "part": part.number, "link": link.hex()}
        try:
            await asyncio.to_thread(sync_parts, Path(recording.folder))
            await self._note(recording, EventKind.PART, body)
            async with self._platform.database.connection() as connection:
                await cameras.note_link(connection, recording.id, parts=part.number, link=link)
        except DatabaseDown:
            self._latest.setdefault(recording.id, latest)

    async def _note_surely(self, recording: RecordingRow, kind: EventKind, body: dict[str, object]) -> None:
        """However long the database is away: what is recorded meanwhile waits in the recorder, and goes on."""
        while True:
            try:
                await self._note(recording, kind, body)
            except DatabaseDown:
                log.warning("the chain of a recording waits for its database", recording=recording.id)
                await asyncio.sleep(AGAIN_AFTER_S)
            else:
                return

    async def _note(self, recording: RecordingRow, kind: EventKind, body: dict[str, object]) -> None:
        line = Line(
            name=NAMES[kind],
            who=f"camera:{recording.camera_id}",
            kind=Kind.NOTE,
            body={"recording": recording.id, **body},
        )
        await note(self._platform, recording.visit_id, line)


def _body_of(event: Event) -> dict[str, object]:
    body: dict[str, object] = {"at": text_of_time(event.at)}
    if event.take is not None:
        body["take"] = event.take
    if event.gap is not None:
        body["code"] = event.gap.code
        body["begun_at"] = text_of_time(event.gap.begun_at)
        if event.gap.ended_at is not None:
            body["ended_at"] = text_of_time(event.gap.ended_at)
    return body
