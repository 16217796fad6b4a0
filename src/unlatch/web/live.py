"""Live pictures: who watches which recording, for how long they still may, and what goes over their WebSocket.

    text    {"kind": "run", ...}    what follows: the take, its codec, where it begins, when its picture was taken
    binary  ftyp and moov           of that take
    binary  moof, mdat, ...         whole fragments, from a keyframe on
    text    {"kind": "live" | "gap" | "ended", "at": ..., "picture_at": ..., "code": ...}   twice a second

A new run comes with a new take, and where a slow viewer had to leave something out. The state is told whether bytes
come or not: a viewer who hears nothing for a second knows that they are not shown what is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum, auto
from pathlib import Path
from typing import Any

import msgspec
from psycopg import Error as PsycopgError
from psycopg_pool import PoolTimeout, TooManyRequests

from unlatch.clock import monotonic_s
from unlatch.domain.proof import text_of_time
from unlatch.domain.visit import LIVE, State
from unlatch.errors import DatabaseDown
from unlatch.flow.platform import Platform
from unlatch.flow.viewing import Watcher, still_may_watch, write_look
from unlatch.store import viewing
from unlatch.store.viewing import Filmed
from unlatch.web.source import Item, Liveness, LiveState, Source

log = logging.getLogger(__name__)

MAX_SOURCES = 64
MAX_VIEWERS = 200
MAX_OF_VISIT = 16
MAX_OF_PERSON = 6
LINGERS_S = 15.0  # a source that nobody asks for
JUDGE_EVERY_S = 1.0
CHECK_EVERY_S = 3.0  # whether each viewer still may
CHECK_WITHIN_S = 3.0
UNCHECKED_S = 8.0  # a viewer of whom that can't be said for so long is cut off: within ten seconds in all
SAY_EVERY_S = 0.5
SEND_WITHIN_S = 5.0  # a viewer who takes nothing for so long is gone
MESSAGE_BYTES = 256 * 1024

# What is known of a database that does not answer, or not in time.
NOT_NOW = (DatabaseDown, PsycopgError, PoolTimeout, TooManyRequests, TimeoutError)

Say = Callable[[str], Awaitable[None]]
Send = Callable[[bytes], Awaitable[None]]


class End(StrEnum):
    """Why a live stream has ended."""

    OVER = auto()  # the visit, or its recording
    LEFT = auto()  # by the viewer
    SLOW = auto()  # the viewer took nothing any more
    NOT_ALLOWED = auto()
    UNCHECKED = auto()  # the database does not say whether they still may
    CLOSING = auto()  # the server


class TooManyViewers(Exception):
    """As many watch this visit, by this person or on this server as may."""


@dataclass(eq=False, slots=True, kw_only=True)
class Viewer:
    """One who watches one camera."""

    watcher: Watcher
    camera_id: str
    is_noted: bool = False  # their look is written down
    checked_s: float = field(default_factory=monotonic_s)
    asked_s: float | None = None  # of a player: when it last asked for a piece
    source: Source | None = None  # of a player
    ended: asyncio.Future[End] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def end(self, why: End) -> None:
        """Cut them off."""
        if not self.ended.done():
            self.ended.set_result(why)


class LiveHub:
    """All live pictures of one process."""

    def __init__(self, platform: Platform, executor: Executor) -> None:
        self._platform, self._executor = platform, executor
        self._sources: dict[str, Source] = {}
        self._viewers: set[Viewer] = set()
        self._players: dict[tuple[str, str], Viewer] = {}  # by ticket and camera
        self._task: asyncio.Task[None] | None = None

    @property
    def viewers(self) -> int:
        """How many watch."""
        return len(self._viewers)

    def source(self, filmed: Filmed, visit_id: str) -> Source:
        """What is read of that recording, for everyone who watches it. Raises TooManyViewers."""
        source = self._sources.get(filmed.recording_id)
        if source is None:
            if len(self._sources) >= MAX_SOURCES:
                raise TooManyViewers
            source = Source(filmed.recording_id, visit_id, Path(filmed.folder), self._executor)
            source.judge(is_over=not filmed.is_under_way, verdict=filmed.verdict, code=filmed.code)
            source.start()
            self._sources[filmed.recording_id] = source
        source.wanted_s = monotonic_s()
        self._keep_watch()
        return source

    # ---- over a WebSocket -----------------------------------------------------------------------------------

    async def show(
        self, watcher: Watcher, filmed: Filmed, say: Say, send: Send, leaving: asyncio.Future[None]
    ) -> End:
        """Show a camera live until it ends, or they leave; why it ended. Raises TooManyViewers."""
        viewer = Viewer(watcher=watcher, camera_id=filmed.camera_id)
        source = self.source(filmed, watcher.visit.id)
        await self._admit(viewer)
        showing = asyncio.create_task(_show(source, say, send))
        try:
            while True:
                done, _ = await asyncio.wait(
                    (showing, viewer.ended, leaving),
                    timeout=JUDGE_EVERY_S,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if viewer.ended in done:
                    return viewer.ended.result()
                if done:
                    return showing.result() if showing in done else End.LEFT
                # By this viewer's own watch, whatever holds up the one that asks for all.
                if monotonic_s() - viewer.checked_s > UNCHECKED_S:
                    return End.UNCHECKED
        finally:
            showing.cancel()
            await asyncio.wait((showing,))
            await self._let_go(viewer)

    async def _admit(self, viewer: Viewer) -> None:
        """Count them in, and write their look down before they see anything."""
        await self._drop_idle_players()
        visit_id, who = viewer.watcher.visit.id, viewer.watcher.who
        of_visit = [one for one in self._viewers if one.watcher.visit.id == visit_id]
        of_person = [one for one in self._viewers if one.watcher.who == who]
        if (
            len(self._viewers) >= MAX_VIEWERS
            or len(of_visit) >= MAX_OF_VISIT
            or len(of_person) >= MAX_OF_PERSON
        ):
            raise TooManyViewers
        self._viewers.add(viewer)
        try:
            await self._write_look(viewer, "live")
        except BaseException:
            self._viewers.discard(viewer)
            raise
        viewer.is_noted = True

    async def _let_go(self, viewer: Viewer) -> None:
        """They watch no more; that is written down as well, if it can be."""
        self._viewers.discard(viewer)
        if viewer.is_noted:
            viewer.is_noted = False
            try:
                async with asyncio.timeout(CHECK_WITHIN_S):
                    await self._write_look(viewer, "live_ended")
            except NOT_NOW as error:
                log.warning("the end of a look was not written down: %s", type(error).__name__)

    async def _write_look(self, viewer: Viewer, how: str) -> None:
        async with self._platform.database.connection() as connection:
            await write_look(
                connection, viewer.watcher, f"{how}:{viewer.camera_id}", self._platform.clock.now()
            )

    # ---- by playlist ----------------------------------------------------------------------------------------

    async def note_player(self, ticket: str, watcher: Watcher, filmed: Filmed) -> Source:
        """A player asks for a piece: one look for as long as it goes on asking. Raises TooManyViewers."""
        source = self.source(filmed, watcher.visit.id)
        key = (ticket, filmed.camera_id)
        viewer = self._players.get(key)
        if viewer is None or viewer not in self._viewers:
            viewer = Viewer(watcher=watcher, camera_id=filmed.camera_id, asked_s=monotonic_s(), source=source)
            self._players[key] = viewer
            await self._admit(viewer)
        viewer.asked_s = viewer.checked_s = monotonic_s()
        return source

    def find_ended(self, ticket: str, camera_id: str) -> Source | None:
        """What a player played until a moment ago, and has to be told the end of."""
        viewer = self._players.get((ticket, camera_id))
        return None if viewer is None or viewer.source is None or not viewer.source.is_over else viewer.source

    async def _drop_idle_players(self) -> None:
        now_s = monotonic_s()
        for key, viewer in list(self._players.items()):
            if viewer.asked_s is not None and now_s - viewer.asked_s > LINGERS_S:
                self._players.pop(key, None)
                await self._let_go(viewer)

    # ---- whether they still may -----------------------------------------------------------------------------

    def _keep_watch(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        """Look after sources and viewers until there are none."""
        checked_s = monotonic_s()
        while self._sources or self._viewers:
            await asyncio.sleep(JUDGE_EVERY_S)
            await self._drop_idle_players()
            await self._drop_idle_sources()
            try:
                async with asyncio.timeout(CHECK_WITHIN_S):
                    await self._judge()
                    if monotonic_s() - checked_s >= CHECK_EVERY_S:
                        checked_s = monotonic_s()
                        await self._check()
            except NOT_NOW as error:
                log.warning("the live pictures wait for the database: %s", type(error).__name__)

    async def _judge(self) -> None:
        """What the rows say of each recording."""
        if not self._sources:
            return
        async with self._platform.database.connection() as connection:
            standings = await viewing.list_standings(connection, list(self._sources))
        for recording_id, source in self._sources.items():
            standing = standings.get(recording_id)
            is_live = standing is not None and State(standing.visit_state) in LIVE
            source.judge(
                is_over=standing is None or not (is_live and standing.is_under_way),
                verdict=None if standing is None else standing.verdict,
                code=None if standing is None else standing.code,
            )

    async def _check(self) -> None:
        """Ask of each viewer whether they still may; who may not sees nothing more."""
        asked_s = monotonic_s()
        async with self._platform.database.connection() as connection:
            for viewer in list(self._viewers):
                if await still_may_watch(connection, viewer.watcher):
                    viewer.checked_s = max(viewer.checked_s, asked_s)
                else:
                    viewer.end(End.NOT_ALLOWED)

    async def _drop_idle_sources(self) -> None:
        for recording_id, source in list(self._sources.items()):
            if monotonic_s() - source.wanted_s > LINGERS_S:
                del self._sources[recording_id]
                await source.close()

    async def close(self) -> None:
        """End everything."""
        for viewer in self._viewers:
            viewer.end(End.CLOSING)
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for viewer in self._players.values():
            await self._let_go(viewer)
        for source in self._sources.values():
            await source.close()
        self._sources.clear()


async def _show(source: Source, say: Say, send: Send) -> End:
    """What one viewer is sent, until it is over or they take nothing any more."""
    number: int | None = None
    take: int | None = None
    said: LiveState | None = None
    said_s = float("-inf")
    try:
        while True:
            items, is_jump = source.read_on(number)
            if items and (is_jump or items[0].head.take != take):
                why = "begin" if number is None else "skip" if items[0].head.take == take else "take"
                async with asyncio.timeout(SEND_WITHIN_S):
                    await say(_write_run(items[0], why))
                    await send(items[0].head.content)
                take = items[0].head.take
            items = [item for item in items if item.head.take == take]
            for message in _join(items):
                async with asyncio.timeout(SEND_WITHIN_S):
                    await send(message)
            if items:
                number = items[-1].number + 1
            state = source.state()
            source.wanted_s = now_s = monotonic_s()
            is_other = said is None or (state.liveness, state.code) != (said.liveness, said.code)
            if is_other or now_s - said_s >= SAY_EVERY_S:
                async with asyncio.timeout(SEND_WITHIN_S):
                    await say(_write_state(state))
                said, said_s = state, now_s
            if state.liveness is Liveness.ENDED:
                return End.OVER
            if not items:
                await source.wait(SAY_EVERY_S / 2)
    except TimeoutError:
        return End.SLOW
    except OSError:
        return End.LEFT


def _join(items: list[Item]) -> list[bytes]:
    """Messages of whole fragments, none much longer than it need be."""
    messages: list[list[bytes]] = []
    size = 0
    for item in items:
        if not messages or size + len(item.data) > MESSAGE_BYTES:
            messages.append([])
            size = 0
        messages[-1].append(item.data)
        size += len(item.data)
    return [b"".join(message) for message in messages]


def _write_run(item: Item, why: str) -> str:
    return _write(
        {
            "kind": "run",
            "why": why,
            "take": item.head.take,
            "codec": f'video/mp4; codecs="{item.head.codec}"',
            "begins_s": item.passage.begin_s,
            "picture_at": text_of_time(item.picture_at),
        }
    )


def _write_state(state: LiveState) -> str:
    told: dict[str, Any] = {"kind": state.liveness, "at": text_of_time(datetime.now(UTC))}
    if state.picture_at is not None:
        told["picture_at"] = text_of_time(state.picture_at)
    if state.code is not None:
        told["code"] = state.code
    return _write(told)


def _write(told: dict[str, Any]) -> str:
    return msgspec.json.encode(told).decode()
