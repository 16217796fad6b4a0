"""How long clips live: what is due is erased, what is claimed or held is kept, and an erasure proves itself.

Erasing is one transaction: the keys of a visit's clips are destroyed, and the visit's journal says so. From that commit
on nobody can read them, wherever copies lie. Then the files go, which is tried until each was seen to be gone; and on
each recorder's disk the folders of what is a clip by now, or is to be none.

The transaction locks the visit, then its stop, so that no claim can be opened in between (a claim's row needs the
stop's): what commits first, counts.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import structlog
from psycopg import AsyncConnection

from unlatch.cameras.storage import ClipStore
from unlatch.domain.clip_chain import CLIP_ERASED, find_broken_links
from unlatch.domain.deed import Deed
from unlatch.domain.eligibility import Programme
from unlatch.domain.household import Right
from unlatch.domain.proof import Entry, Kind, find_unchained, text_of_time
from unlatch.errors import Conflict, NotFound, RecordingError
from unlatch.flow.aftermath import get_visit_of_household
from unlatch.flow.deadlines import do_each
from unlatch.flow.filming import RECORDINGS
from unlatch.flow.platform import Platform
from unlatch.flow.record import Line, chain
from unlatch.settings import Settings
from unlatch.store import aftermath, clips, deeds, journal, retention, visits
from unlatch.store.ids import make_id
from unlatch.store.retention import ClipHoldRow, KeptRow, TakesRow
from unlatch.store.visits import VisitRow

log = structlog.get_logger(__name__)

ERASE_EVERY_S = 60.0  # real
REMOVE_EVERY_S = 5.0  # real
AT_ONCE = 50
CLOCK = "clock"
SHORTEST_REASON = 10  # characters
HOLD_DAYS_MOST = 365
ENTRIES_AT_ONCE = 1000
MAX_ENTRIES = 20_000
WHY_HELD = (
    "an open claim holds the recording of this visit: it can be erased when the claim is settled or withdrawn"
)


def clip_days(programme: Programme, settings: Settings) -> int:
    """How many days the clips of this programme's visits are kept."""
    return settings.clip_days if programme.clip_days is None else programme.clip_days


# ---- what the clock erases --------------------------------------------------------------------------------


async def erase_due(platform: Platform, limit: int = AT_ONCE) -> int:
    """Erase what has been kept long enough, of up to `limit` visits, the longest overdue first. How many there were.

    One that can't be erased keeps no other waiting; its error is raised once all are done.
    """
    done = await do_each(limit, lambda failed: _erase_next(platform, passing_over=failed))
    rules = await platform.rules.get()
    days = {one.name: clip_days(one, platform.settings) for one in rules.programmes.values()}
    default_days = clip_days(rules.get_programme(None), platform.settings)
    return done + await do_each(
        limit - done,
        lambda failed: _erase_next_takes(platform, days, default_days, passing_over=failed),
    )


async def _erase_next(platform: Platform, *, passing_over: int) -> bool:
    now = platform.clock.now()
    async with platform.database.transaction() as connection:
        visit_id = await retention.lock_next_due(connection, now, passing_over=passing_over)
        if visit_id is None:
            return False
        row = await _lock(connection, visit_id)
        if not await _find_why_held(connection, visit_id, now):
            await _erase(connection, row, now, by=CLOCK, is_all=False)
    return True


async def _erase_next_takes(
    platform: Platform, days: dict[str, int], default_days: int, *, passing_over: int
) -> bool:
    now = platform.clock.now()
    async with platform.database.transaction() as connection:
        visit_id = await retention.lock_next_due_takes(
            connection, now, days=days, default_days=default_days, passing_over=passing_over
        )
        if visit_id is None:
            return False
        row = await _lock(connection, visit_id)
        if not await _find_why_held(connection, visit_id, now):
            await _erase_takes(connection, row, now, by=CLOCK)
    return True


async def _lock(connection: AsyncConnection, visit_id: str) -> VisitRow:
    """The visit, locked; and no claim about it can be opened until this transaction has ended."""
    row = await visits.lock_visit(connection, visit_id)
    await retention.lock_claims_of(connection, row.stop_id)
    return row


async def _find_why_held(connection: AsyncConnection, visit_id: str, now: datetime) -> str | None:
    """Why nothing of this visit may be erased now, for who asked; None: it may."""
    if await aftermath.is_held(connection, visit_id):
        return WHY_HELD
    hold = await retention.find_hold(connection, visit_id, now)
    if hold is not None:
        return f"the operator keeps the recording of this visit until {hold.until:%Y-%m-%d}: {hold.reason}"
    return None


async def _erase(
    connection: AsyncConnection, row: VisitRow, now: datetime, *, by: str, is_all: bool
) -> tuple[VisitRow, int]:
    """Destroy the keys and write it down; the visit, and how many clips that were."""
    erased = await retention.erase_clips(connection, row.id, now, by=by, is_all=is_all)
    lines = [
        Line(name=CLIP_ERASED, who=by, kind=Kind.NOTE, body={"clip": clip_id, "recording": recording_id})
        for clip_id, recording_id in sorted(erased)
    ]
    return await write_lines(connection, row, lines, now), len(erased)


async def _erase_takes(
    connection: AsyncConnection, row: VisitRow, now: datetime, *, by: str
) -> tuple[VisitRow, int]:
    erased = await retention.erase_takes(connection, row.id, now, by=by)
    lines = [
        Line(name="takes_erased", who=by, kind=Kind.NOTE, body={"recording": recording_id})
        for recording_id in sorted(erased)
    ]
    return await write_lines(connection, row, lines, now), len(erased)


async def write_lines(
    connection: AsyncConnection, row: VisitRow, lines: Sequence[Line], now: datetime
) -> VisitRow:
    """Add these to the journal of a visit that this transaction has locked; the visit afterwards."""
    for line in lines:
        row, (entry, private) = chain(row, line, now)
        await journal.append_entry(connection, entry, private)
    if lines:
        await visits.update_visit(connection, row)
    return row


# ---- what people want -------------------------------------------------------------------------------------


async def erase_at_once(
    connection: AsyncConnection, visit_id: str, *, consignee_id: str, now: datetime
) -> int:
    """Erase all that was recorded of a visit; how many clips and recordings. Said again, there is nothing left.

    Raises NotFound, NotAllowed, and Conflict while the visit is under way or something holds it, with why.
    """
    await get_visit_of_household(connection, visit_id, consignee_id=consignee_id, right=Right.ERASE_CLIPS)
    row = await _lock(connection, visit_id)
    if row.ended_at is None:
        raise Conflict("this visit is still under way: its recording can be erased when it has ended")
    why = await _find_why_held(connection, visit_id, now)
    if why is not None:
        raise Conflict(why)
    return await _erase_whole(connection, row, f"consignee:{consignee_id}", now)


async def erase_if_free(connection: AsyncConnection, visit_id: str, *, who: str, now: datetime) -> int | None:
    """The same for who is erased as a person; None: it is under way, or something holds what was recorded."""
    row = await _lock(connection, visit_id)
    if row.ended_at is None or await _find_why_held(connection, visit_id, now):
        return None
    return await _erase_whole(connection, row, who, now)


async def _erase_whole(connection: AsyncConnection, row: VisitRow, who: str, now: datetime) -> int:
    row, count = await _erase(connection, row, now, by=who, is_all=True)
    row, count_of_takes = await _erase_takes(connection, row, now, by=who)
    if count or count_of_takes:
        await _leave_deed(connection, row, who, Deed.CLIPS_ERASED, now)
    return count + count_of_takes


async def hold(
    connection: AsyncConnection, visit_id: str, *, operator_id: str, reason: str, days: int, now: datetime
) -> ClipHoldRow:
    """Keep what was recorded of a visit beyond its time. Lets nobody see it. Raises NotFound, Conflict."""
    row = await _lock(connection, visit_id)
    _, left = await retention.count_recordings(connection, visit_id)
    if not left:
        raise Conflict("nothing of this visit is kept that could be held")
    kept = ClipHoldRow(
        id=make_id("hol"),
        visit_id=visit_id,
        operator_id=operator_id,
        reason=reason,
        at=now,
        until=now + timedelta(days=min(days, HOLD_DAYS_MOST)),
        ended_at=None,
    )
    if not await retention.insert_hold(connection, kept):
        raise Conflict("the recording of this visit is held already: release it first")
    who = f"operator:{operator_id}"
    # What a person writes may name people: it stands beside the chain, and can be forgotten.
    line = Line(
        name="clip_hold_begun",
        who=who,
        kind=Kind.NOTE,
        body={"hold": kept.id, "until": text_of_time(kept.until)},
        private={"reason": reason},
    )
    row = await write_lines(connection, row, [line], now)
    await _leave_deed(connection, row, who, Deed.CLIPS_HELD, now)
    return kept


async def release(connection: AsyncConnection, visit_id: str, *, operator_id: str, now: datetime) -> None:
    """End the hold: what is overdue is erased in the next minute. Raises NotFound."""
    row = await _lock(connection, visit_id)
    kept = await retention.find_hold(connection, visit_id, now)
    if kept is None:
        raise NotFound("the recording of this visit is not held")
    await retention.end_hold(connection, kept.id, now)
    who = f"operator:{operator_id}"
    line = Line(name="clip_hold_ended", who=who, kind=Kind.NOTE, body={"hold": kept.id})
    row = await write_lines(connection, row, [line], now)
    await _leave_deed(connection, row, who, Deed.CLIPS_RELEASED, now)


async def _leave_deed(
    connection: AsyncConnection, row: VisitRow, who: str, what: Deed, now: datetime
) -> None:
    await deeds.insert_deed(
        connection,
        access_point_id=row.access_point_id,
        stop_id=row.stop_id,
        who=who,
        what=what,
        body={"visit_id": row.id},
        at=now,
    )


# ---- the files go -----------------------------------------------------------------------------------------


async def remove_erased(platform: Platform, limit: int = AT_ONCE) -> int:
    """Remove the files of up to `limit` erased clips; how many were tried. One that is still there is tried again."""
    async with platform.database.connection() as connection:
        claimed = await retention.claim_removals(connection, datetime.now(UTC), limit)
    for clip_id in claimed:
        try:
            is_gone = await asyncio.to_thread(_remove, platform.clips, clip_id)
        except RecordingError as error:
            log.warning("an erased clip was not removed", clip=clip_id, why=error.code)
            continue
        if is_gone:
            async with platform.database.connection() as connection:
                await retention.set_removed(connection, clip_id, platform.clock.now())
    return len(claimed)


def _remove(store: ClipStore, clip_id: str) -> bool:
    """Whether it is gone, as a look afterwards tells. Blocks."""
    store.forget(clip_id)
    return not store.exists(clip_id)


async def sweep(platform: Platform, recorder_id: str, limit: int = AT_ONCE) -> int:
    """Remove the folders of this recorder's recordings that are clips by now, or are to be none. How many are gone.

    By the recorder alone: its disk is another machine's. One that can't be removed is tried again.
    """
    async with platform.database.connection() as connection:
        rows = await retention.list_to_sweep(connection, recorder_id, limit)
    gone = []
    for row in rows:
        folder = Path(row.folder)
        if folder.parent.name != RECORDINGS or folder.name != row.id:
            log.error("a recording's folder is none of ours", recording=row.id)
            continue
        if await asyncio.to_thread(_remove_folder, folder):
            gone.append(row.id)
        else:
            log.warning("the folder of a recording was not removed", recording=row.id)
    if gone:
        async with platform.database.connection() as connection:
            await retention.set_swept(connection, gone, platform.clock.now())
    return len(gone)


def _remove_folder(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


# ---- the proof of it --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipKept:
    """A clip: how long it is kept, or what shows that it is erased."""

    row: KeptRow
    is_key_gone: bool
    is_file_gone: bool | None  # None: its store does not answer

    @property
    def is_proven_erased(self) -> bool:
        return self.row.erased_at is not None and self.is_key_gone and self.is_file_gone is True


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """All that was recorded of a visit, and what became of it."""

    clips: tuple[ClipKept, ...]
    takes: tuple[TakesRow, ...]
    is_claimed: bool
    hold: ClipHoldRow | None
    does_chain_hold: bool


async def read_retained(platform: Platform, visit_id: str) -> Retained:
    """What there is, and whether what is erased is gone: looked up in row, store and journal, now."""
    now = platform.clock.now()
    async with platform.database.transaction() as connection:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        kept = await retention.list_kept(connection, visit_id)
        takes = await retention.list_takes(connection, visit_id)
        is_claimed = await aftermath.is_held(connection, visit_id)
        held = await retention.find_hold(connection, visit_id, now)
        documents = await clips.list_documents(connection, visit_id)
        entries = await _list_entries(connection, visit_id)
    looked = [await asyncio.to_thread(_look, platform.clips, row) for row in kept]
    does_hold = await asyncio.to_thread(_does_chain_hold, entries, [content for _, content in documents])
    return Retained(
        clips=tuple(looked),
        takes=tuple(takes),
        is_claimed=is_claimed,
        hold=held,
        does_chain_hold=does_hold,
    )


def _look(store: ClipStore, row: KeptRow) -> ClipKept:
    try:
        is_file_gone: bool | None = not store.exists(row.id)
    except RecordingError:
        is_file_gone = None
    return ClipKept(row=row, is_key_gone=not (row.has_key or row.has_poster), is_file_gone=is_file_gone)


async def _list_entries(connection: AsyncConnection, visit_id: str) -> list[Entry]:
    entries: list[Entry] = []
    while len(entries) < MAX_ENTRIES:
        page = await journal.list_entries(connection, visit_id, after=len(entries), limit=ENTRIES_AT_ONCE)
        entries += [kept.entry for kept in page]
        if len(page) < ENTRIES_AT_ONCE:
            break
    return entries


def _does_chain_hold(entries: Sequence[Entry], documents: Sequence[bytes]) -> bool:
    """The journal's own chain, and that of the parts of each clip, erased or not."""
    by_digest = {sha256(document).hexdigest(): document for document in documents}
    return find_unchained(entries) is None and not find_broken_links(entries, by_digest)
