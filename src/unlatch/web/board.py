"""What is under way, told to every console that looks: one question to the database for all of them.

While someone looks, a single task asks each POLL_S for the visits under way and the open calls (`store/console.py`,
both bounded), compares with what it had, and hands each watcher what has changed. A watcher that does not read is not
told each step: what it gets next is the difference to what it was told last.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from psycopg import Error as PsycopgError
from psycopg_pool import PoolTimeout, TooManyRequests

from unlatch.clock import monotonic_s
from unlatch.errors import DatabaseDown
from unlatch.store import console
from unlatch.store.console import Called, UnderWay
from unlatch.store.database import Database

log = logging.getLogger(__name__)

POLL_S = 0.04
HEARTBEAT_S = 1.0
LASTS_S = 300.0  # then its reader signs in again, unless revoked meanwhile
MAX_WATCHERS = 50
VISITS_SHOWN = 300
CALLS_SHOWN = 100


class TooManyWatchers(Exception):
    """As many consoles follow this process as may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that is under way at one moment: visits by id, the newest first; calls, the most urgent first."""

    visits: dict[str, UnderWay]
    calls: list[Called]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """From what was told before. `calls` None: as they were."""

    changed: list[UnderWay]  # the oldest first, so that each new one goes on top
    gone: list[str]
    calls: list[Called] | None
    count: int

    @property
    def is_empty(self) -> bool:
        return not self.changed and not self.gone and self.calls is None


def difference(before: Seen | None, now: Seen) -> Difference:
    """What has changed; all of it where nothing was told yet."""
    known = before.visits if before is not None else {}
    return Difference(
        changed=[one for one in reversed(now.visits.values()) if known.get(one.id) != one],
        gone=[visit_id for visit_id in known if visit_id not in now.visits],
        calls=now.calls if before is None or before.calls != now.calls else None,
        count=len(now.visits),
    )


@dataclass(eq=False, slots=True)
class _Watcher:
    told: Seen | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)


class Board:
    """All consoles that look, of one process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watchers: set[_Watcher] = set()
        self._now: Seen | None = None
        self._task: asyncio.Task[None] | None = None

    def follow(self) -> AsyncIterator[Difference | None]:
        """What is under way, then each change; None for a second without one. Raises TooManyWatchers at once."""
        if len(self._watchers) >= MAX_WATCHERS:
            raise TooManyWatchers
        return self._tell(_Watcher())

    async def _tell(self, watcher: _Watcher) -> AsyncIterator[Difference | None]:
        self._watchers.add(watcher)
        if self._task is None or self._task.done():
            self._now = None  # of who looked before
            self._task = asyncio.create_task(self._poll())
        elif self._now is not None:
            watcher.news.set()
        try:
            ends_s = monotonic_s() + LASTS_S
            while monotonic_s() < ends_s:
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        await watcher.news.wait()
                except TimeoutError:
                    yield None
                    continue
                watcher.news.clear()
                now = self._now
                if now is None:
                    continue
                found = difference(watcher.told, now)
                is_first, watcher.told = watcher.told is None, now
                if is_first or not found.is_empty:
                    yield found
        finally:
            self._watchers.discard(watcher)

    async def _poll(self) -> None:
        """Ask until nobody looks any more."""
        while self._watchers:
            try:
                async with self._database.connection() as connection:
                    visits = await console.list_under_way(connection, limit=VISITS_SHOWN)
                    calls = await console.list_called(connection, limit=CALLS_SHOWN)
                now = Seen(visits={one.id: one for one in visits}, calls=calls)
                if now != self._now:
                    self._now = now
                    for watcher in self._watchers:
                        watcher.news.set()
            except (DatabaseDown, PsycopgError, PoolTimeout, TooManyRequests) as error:
                log.warning("the consoles wait for the database: %s", type(error).__name__)
                await asyncio.sleep(HEARTBEAT_S)
            await asyncio.sleep(POLL_S)

    async def close(self) -> None:
        """End the task that asks."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
