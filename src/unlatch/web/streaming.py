"""The journal as a live stream: one question to the database for all visits that someone watches.

A single task asks every POLL_S for what is new in all watched journals, only while someone watches; LISTEN and
NOTIFY are not used, since NOTIFY puts every commit of the installation in one line. Each reader has a queue of
its own with a bound; one that does not read is cut off and may resume where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec
from psycopg import AsyncConnection
from psycopg import Error as PsycopgError
from psycopg_pool import PoolTimeout, TooManyRequests

from unlatch.clock import monotonic_s
from unlatch.errors import DatabaseDown
from unlatch.store import household, lines
from unlatch.store.database import Database
from unlatch.store.lines import LineRow
from unlatch.web.board import Board
from unlatch.web.signing_in import Reader
from unlatch.web.visit_shapes import show_line

log = logging.getLogger(__name__)

POLL_S = 0.05
HEARTBEAT_S = 1.0
RETRY_MS = 1000
STREAM_LASTS_S = 300.0  # then its reader signs in again, unless revoked meanwhile, and resumes
MAX_STREAMS = 500
MAX_WAITING = 1000  # lines that a reader may be behind
LINES_AT_ONCE = 2000


class TooManyStreams(Exception):
    """This process has as many readers as it may."""


@dataclass(eq=False, slots=True)
class _Watcher:
    """One reader of one visit."""

    visit_id: str
    seen: int
    consignee_id: str | None = None  # who follows as one of a household
    queue: asyncio.Queue[LineRow | None] = field(default_factory=lambda: asyncio.Queue(MAX_WAITING))
    is_cut: bool = False


class Hub:
    """All streams of one process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watchers: set[_Watcher] = set()
        self._task: asyncio.Task[None] | None = None
        self.board = Board(database)

    @property
    def streams(self) -> int:
        """How many are open."""
        return len(self._watchers)

    def follow(
        self, visit_id: str, *, after: int, reader: Reader, language: str, consignee_id: str | None = None
    ) -> AsyncIterator[bytes]:
        """The stream of a visit's lines after number `after`. Raises TooManyStreams at once.

        `consignee_id`: of a consignee, who hears no line that came after they left the household.
        """
        if len(self._watchers) >= MAX_STREAMS:
            raise TooManyStreams
        watcher = _Watcher(visit_id=visit_id, seen=after, consignee_id=consignee_id)
        return self._tell(watcher, reader, language)

    async def _tell(self, watcher: _Watcher, reader: Reader, language: str) -> AsyncIterator[bytes]:
        self._watchers.add(watcher)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._poll())
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            ends_s = monotonic_s() + STREAM_LASTS_S
            while monotonic_s() < ends_s:
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        line = await watcher.queue.get()
                except TimeoutError:
                    if watcher.is_cut:
                        return
                    yield b": alive\n\n"
                    continue
                if line is None:
                    yield b"event: over\ndata: {}\n\n"
                    return
                shown = msgspec.json.encode(show_line(line, reader, language))
                yield f"id: {line.number}\nevent: line\ndata: ".encode() + shown + b"\n\n"
        finally:
            self._watchers.discard(watcher)

    async def _poll(self) -> None:
        """Ask for what is new until nobody watches any more."""
        while self._watchers:
            try:
                await self._read_once()
            except (DatabaseDown, PsycopgError, PoolTimeout, TooManyRequests) as error:
                log.warning("the live streams wait for the database: %s", type(error).__name__)
                await asyncio.sleep(HEARTBEAT_S)
            await asyncio.sleep(POLL_S)

    async def _read_once(self) -> None:
        watchers = [watcher for watcher in self._watchers if not watcher.is_cut]
        seen: dict[str, int] = {}
        for watcher in watchers:
            seen[watcher.visit_id] = min(watcher.seen, seen.get(watcher.visit_id, watcher.seen))
        if not seen:
            return
        async with self._database.connection() as connection:
            # First what is over, then what is new: a visit that is over by then has all its lines read.
            over = await lines.list_over(connection, list(seen))
            new = await lines.list_new_lines(connection, seen, limit=LINES_AT_ONCE)
            # Last: who was removed before a line was written is never told of it.
            if new or over:
                watchers = await self._list_entitled(
                    connection, watchers, {line.visit_id for line in new} | over
                )
        by_visit: dict[str, list[LineRow]] = {}
        for line in new:
            by_visit.setdefault(line.visit_id, []).append(line)
        for watcher in watchers:
            found = [line for line in by_visit.get(watcher.visit_id, ()) if line.number > watcher.seen]
            is_over = watcher.visit_id in over and len(new) < LINES_AT_ONCE
            self._hand_over(watcher, [*found, None] if is_over else found)

    @staticmethod
    async def _list_entitled(
        connection: AsyncConnection, watchers: list[_Watcher], touched: set[str]
    ) -> list[_Watcher]:
        """Those who may still hear of their visit, of which there is something to tell; the others are cut off."""
        pairs = {
            (watcher.visit_id, watcher.consignee_id)
            for watcher in watchers
            if watcher.consignee_id is not None and watcher.visit_id in touched
        }
        if not pairs:
            return watchers
        seen_by = await household.list_still_seen(connection, pairs)
        entitled = []
        for watcher in watchers:
            pair = (watcher.visit_id, watcher.consignee_id)
            if pair in pairs and pair not in seen_by:
                watcher.is_cut = True  # may not even learn that it is over
            else:
                entitled.append(watcher)
        return entitled

    @staticmethod
    def _hand_over(watcher: _Watcher, found: list[LineRow] | list[LineRow | None]) -> None:
        for line in found:
            try:
                watcher.queue.put_nowait(line)
            except asyncio.QueueFull:
                watcher.is_cut = True  # it reads what it has, and may resume behind that
                return
            if line is None:
                watcher.is_cut = True  # nothing more to ask for
            else:
                watcher.seen = line.number

    async def close(self) -> None:
        """End the tasks that ask."""
        await self.board.close()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
