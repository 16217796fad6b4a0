"""A recording becomes clips: recovered, joined, encrypted, kept, and only then removed from the recorder's disk.

May be interrupted at any point and is begun anew: what it makes has the same names, and the takes stay until the clips
stand in a row.
"""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import structlog

from unlatch.cameras.finishing import Clip, describe, finish
from unlatch.cameras.recorder_client import RecorderClient
from unlatch.cameras.recording import TakeFile, list_take_paths, number_of, recover
from unlatch.cameras.storage import new_key
from unlatch.domain.clip import FIRST_LINK, Part, last_link
from unlatch.domain.clip_chain import CLIP_ERASED, CLIP_KEPT
from unlatch.domain.clip_parts import write_clip_parts
from unlatch.domain.proof import Kind
from unlatch.errors import DatabaseDown, NotFound, RecordingError
from unlatch.flow.chaining import append_parts, note, read_parts
from unlatch.flow.platform import Platform
from unlatch.flow.record import Line, chain
from unlatch.flow.retention import clip_days
from unlatch.store import cameras, clips, journal, stops, visits
from unlatch.store.cameras import RecordingRow, RecordingState
from unlatch.store.clips import ClipRow

log = structlog.get_logger(__name__)

TRIES = 8
AGAIN_AFTER_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """What comes next in a recording that a recorder before has begun."""

    take: int
    part: int
    link: bytes
    silent_since: datetime | None  # the last part that was told; None: none was


async def recover_left(platform: Platform, recorder_id: str) -> dict[str, Continuation]:
    """Before a recorder begins: cut what the one before has left to what is whole, and find how it goes on."""
    async with platform.database.connection() as connection:
        left = await cameras.list_under_way(connection, recorder_id)
    return {
        recording.id: after
        for recording in left
        if recording.state is not RecordingState.ENDING
        and (after := await find_continuation(recording)) is not None
    }


async def find_continuation(recording: RecordingRow) -> Continuation | None:
    """How a recording goes on that nobody writes any more. None: its takes are not what they were, or can't be read.

    Then nothing is recorded on top of them: the visit is told of the loss, and finishing them is left to a person.
    """
    try:
        takes = await asyncio.to_thread(recover_takes, Path(recording.folder))
    except (RecordingError, OSError) as error:
        log.error("a recording can't go on", recording=recording.id, why=type(error).__name__)  # noqa: TRY400
        return None
    parts = [part for take in takes for part in take.parts]
    written = [part.written_at for part in parts if part.written_at is not None]
    return Continuation(
        take=max((take.number for take in takes), default=0) + 1,
        part=len(parts) + 1,
        link=last_link(parts, FIRST_LINK),
        silent_since=max(written, default=None),
    )


def recover_takes(folder: Path, told: tuple[Part, ...] = ()) -> list[TakeFile]:
    """The takes of a recording that nobody writes any more, whole, and every part of them known. Blocks.

    Raises ClipDamaged where a part that was told is not what it was.
    """
    if not folder.is_dir():
        return []
    known = read_parts(folder)
    append_parts(folder, [part for part in told if part.number not in known])
    known |= {part.number: part for part in told}
    takes: list[TakeFile] = []
    next_part = 1
    for path in list_take_paths(folder):
        own = [known[number] for number in sorted(known) if known[number].take == number_of(path)]
        recovered = recover(path, own, next_part=next_part)
        append_parts(folder, recovered.found)
        takes.append(recovered.take)
        next_part += len(recovered.take.parts)
    return takes


async def finish_recording(platform: Platform, recorder: RecorderClient, recording: RecordingRow) -> None:
    """One that is ENDING becomes clips. What can't be done now is tried again, and at last left for a person."""
    if recording.again_at_real is not None and datetime.now(UTC) < recording.again_at_real:
        return
    try:
        await _finish(platform, recorder, recording)
    except DatabaseDown:
        raise
    except Exception as error:
        is_last = recording.tries + 1 >= TRIES
        log.exception(
            "a recording was not finished", recording=recording.id, is_last=is_last, why=type(error).__name__
        )
        state = RecordingState.FAILED if is_last else RecordingState.ENDING
        again_at = datetime.now(UTC) + timedelta(seconds=AGAIN_AFTER_S * 2**recording.tries)
        async with platform.database.connection() as connection:
            await cameras.end_recording(connection, recording.id, state, again_at_real=again_at)
        if is_last:
            body = {"recording": recording.id, "why": type(error).__name__}
            line = Line(name="clip_failed", who=f"camera:{recording.camera_id}", kind=Kind.NOTE, body=body)
            await note(platform, recording.visit_id, line)


async def _finish(platform: Platform, recorder: RecorderClient, recording: RecordingRow) -> None:
    folder, told = Path(recording.folder), tuple[Part, ...]()
    with suppress(NotFound):
        told = tuple(part for take in await recorder.stop(recording.camera_id) for part in take.parts)
    if recording.erased_at is not None:  # its household wanted no clip of it; the folder goes by itself
        async with platform.database.connection() as connection:
            await cameras.end_recording(connection, recording.id, RecordingState.ERASED)
        return
    days = await _find_days(platform, recording.visit_id)
    takes = await asyncio.to_thread(recover_takes, folder, told)
    made = await asyncio.to_thread(finish, takes, folder) if takes else ()
    rows = [
        await asyncio.to_thread(_keep, platform, recording, takes, clip, number, days)
        for number, clip in enumerate(made, start=1)
    ]
    async with platform.database.pipelined_transaction() as connection:
        row = await visits.lock_visit(connection, recording.visit_id)
        now = platform.clock.now()
        erased = await cameras.find_recording(connection, recording.id)  # while its clips were made
        for made_row in rows:
            kept = _without_key(made_row, erased)
            await clips.insert_clip(connection, kept)
            for line in _lines_of(recording, kept, takes):
                row, (entry, private) = chain(row, line, now)
                await journal.append_entry(connection, entry, private)
        await visits.update_visit(connection, row)
        state = RecordingState.KEPT if rows else RecordingState.EMPTY
        await cameras.end_recording(connection, recording.id, state)
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _without_key(kept: ClipRow, recording: RecordingRow | None) -> ClipRow:
    """The clip, as erased as its recording is: then it never has a key, and its file goes as any erased one's."""
    if recording is None or recording.erased_at is None:
        return kept
    return replace(
        kept, sealed_key=None, poster=None, erased_at=recording.erased_at, erased_by=recording.erased_by
    )


async def _find_days(platform: Platform, visit_id: str) -> int:
    """How many days the clips of this visit are kept: as the programme says by which it was booked."""
    rules = await platform.rules.get()
    async with platform.database.connection() as connection:
        visit = await visits.get_visit(connection, visit_id)
        stop = await stops.find_stop(connection, visit.stop_id)
    programme = rules.get_programme(None if stop is None else stop.programme)
    return clip_days(programme, platform.settings)


def _keep(
    platform: Platform, recording: RecordingRow, takes: list[TakeFile], clip: Clip, number: int, days: int
) -> ClipRow:
    """Encrypt and store one clip. Its id follows from the recording: done again, it replaces itself. Blocks."""
    clip_id = f"cli_{recording.id.partition('_')[2]}_{number}"
    described = describe(clip.path)
    key = new_key()
    platform.clips.put(clip_id, key, clip.path)
    numbers = {place.part for place in clip.places}
    parts = [part for take in takes for part in take.parts if part.number in numbers]
    now = platform.clock.now()
    return ClipRow(
        id=clip_id,
        recording_id=recording.id,
        visit_id=recording.visit_id,
        number=number,
        sealed_key=platform.vault.seal(key, clip_id),
        size=clip.size,
        sha256=described.sha256,
        length_ms=described.length_ms,
        poster=platform.vault.seal(described.poster, clips.poster_row(clip_id)),
        parts=write_clip_parts(parts, clip.places),
        made_at=now,
        keep_until=now + timedelta(days=days),
    )


def _lines_of(recording: RecordingRow, kept: ClipRow, takes: list[TakeFile]) -> list[Line]:
    """What the journal says of a clip: which it is, and the last link of the chain that it can be checked by.

    Of one that was erased before it was kept, that too.
    """
    parts = [part for take in takes for part in take.parts]
    body = {
        "recording": recording.id,
        "clip": kept.id,
        "sha256": kept.sha256.hex(),
        "size": kept.size,
        "length_ms": kept.length_ms,
        "takes": len(takes),
        "parts": len(parts),
        "link": last_link(parts).hex(),
        "parts_sha256": sha256(kept.parts).hexdigest(),  # of the document that each proof carries
    }
    lines = [Line(name=CLIP_KEPT, who=f"camera:{recording.camera_id}", kind=Kind.NOTE, body=body)]
    if kept.erased_by is not None:
        told = {"clip": kept.id, "recording": recording.id}
        lines.append(Line(name=CLIP_ERASED, who=kept.erased_by, kind=Kind.NOTE, body=told))
    return lines


async def go_on(recorder: RecorderClient, recording: RecordingRow, after: Continuation) -> bool:
    """Record on where the recorder before was cut off; whether the camera is there for it."""
    try:
        await recorder.start(
            recording.camera_id,
            Path(recording.folder),
            take=after.take,
            part=after.part,
            link=after.link,
            silent_since=after.silent_since,
        )
    except NotFound:
        return False
    except RecordingError as error:
        log.warning("a recording can't go on", recording=recording.id, why=error.code)
        return error.code != "closed"
    return True
