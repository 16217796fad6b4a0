"""One recording as it grows, for all who watch it: its files are read once, whoever and however many they are.

What came last is kept in one ring that every viewer reads at their own pace. Who falls behind finds it overwritten and
goes on at the newest keyframe: a slow line costs its own viewer pictures, and nobody else anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum, auto
from pathlib import Path

from unlatch.cameras.following import Following, News, Passage, TakeHead
from unlatch.cameras.glances import AGAINST
from unlatch.clock import monotonic_s
from unlatch.errors import RecordingError
from unlatch.web.shelf import Shelf

log = logging.getLogger(__name__)

POLL_S = 0.08
AGAIN_AFTER_S = 1.0  # the disk refused
STALE_S = 1.5  # parts come five times a second: a newest picture that is older is not live
APART_FOR_S = 20.0
CLOSE_WITHIN_S = 2.0
RING_BYTES = 8 * 1024 * 1024
BEHIND_S = 2.5  # of the picture's own time: who is further behind goes on at the newest keyframe


class Liveness(StrEnum):
    """How a live picture stands, as its viewers are told."""

    LIVE = auto()
    GAP = auto()  # what is seen is not now, or can't be believed
    ENDED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A fragment in the ring."""

    number: int
    head: TakeHead
    passage: Passage
    data: bytes
    picture_at: datetime  # when its first picture was taken, as well as that is known


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveState:
    """How the picture stands at a moment."""

    liveness: Liveness
    picture_at: datetime | None  # the newest that came; None: none has
    code: str | None  # of a gap: silent, or what the recorder says of picture and camera


class Apart:
    """When a take's own time began, by our clock: no picture was taken after it was here, and the earliest word counts.

    Of the last twenty to forty seconds, since a camera's clock runs a little faster or slower than ours.
    """

    def __init__(self) -> None:
        self._take = 0
        self._words: list[datetime] = []  # the earliest of this span, and of the one before it
        self._since_s = 0.0

    def see(self, take: int, begun_at: datetime) -> None:
        """By a picture that has just come, its take would have begun then."""
        now_s = monotonic_s()
        if take != self._take:
            self._take, self._words, self._since_s = take, [begun_at], now_s
        elif now_s - self._since_s > APART_FOR_S:
            self._words, self._since_s = [begun_at, self._words[0]], now_s
        else:
            self._words[0] = min(self._words[0], begun_at)

    def find(self, take: int) -> datetime | None:
        """When it began; None: nothing of it has come while we looked."""
        return min(self._words) if take == self._take and self._words else None


class Source:
    """See the module. Used from one event loop; files are read in the threads of `executor`."""

    def __init__(self, recording_id: str, visit_id: str, folder: Path, executor: Executor) -> None:
        self.recording_id, self.visit_id = recording_id, visit_id
        self.shelf = Shelf()
        self.wanted_s = monotonic_s()  # when someone last asked for it
        self.is_over = False  # as the rows say
        self.doubt: str | None = None  # why the recorder does not believe the picture
        self.camera_code: str | None = None
        self._executor = executor
        self._following = Following(folder)
        self._ring: deque[Item] = deque()
        self._ring_bytes = 0
        self._next_number = 0
        self._newest_key: int | None = None
        self._is_live = False  # what was there when we came has been read
        self._waiting: list[Passage] = []  # until then: since the last keyframe
        self._apart = Apart()
        self._heads: dict[int, TakeHead] = {}
        self._newest_at: datetime | None = None
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._reading: asyncio.Future[tuple[News, list[bytes]]] | None = None

    def start(self) -> None:
        """Begin to read."""
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Read no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def state(self) -> LiveState:
        """How the picture stands now. *Live* is never said of one that has not come anew."""
        if self.is_over:
            return LiveState(liveness=Liveness.ENDED, picture_at=self._newest_at, code=None)
        # By the picture's own time: what a recorder writes when it gives a camera up is no sign of life.
        newest_at = self._newest_at
        is_fresh = newest_at is not None and (datetime.now(UTC) - newest_at).total_seconds() < STALE_S
        if is_fresh and self.doubt is None:
            return LiveState(liveness=Liveness.LIVE, picture_at=self._newest_at, code=None)
        code = self.doubt or self.camera_code or "silent"
        return LiveState(liveness=Liveness.GAP, picture_at=self._newest_at, code=code)

    def judge(self, *, is_over: bool, verdict: str | None, code: str | None) -> None:
        """Take in what the rows say."""
        self.is_over = is_over
        self.doubt = verdict if verdict in AGAINST else None
        self.camera_code = code
        if is_over:
            self.shelf.end()
        self._tell()

    def read_on(self, number: int | None) -> tuple[list[Item], bool]:
        """What comes at `number` or later, and whether something before it was left out. None: a viewer who is new."""
        if not self._ring:
            return [], False
        first, last = self._ring[0], self._ring[-1]
        if number is not None and number > last.number:
            return [], False
        is_lost = number is None or number < first.number
        if not is_lost:
            assert number is not None
            begin = self._ring[number - first.number]
            is_same_take = begin.head.take == last.head.take
            is_lost = is_same_take and last.passage.end_s - begin.passage.begin_s > BEHIND_S
        key = self._newest_key
        if is_lost and key is not None and key >= first.number and (number is None or key > number):
            return self._since(key), True
        if number is None or number < first.number:
            return [], False  # until the next keyframe
        return self._since(number), False

    async def wait(self, wait_s: float) -> None:
        """Until something has changed, or so long."""
        changed = self._changed
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await changed.wait()

    async def await_shelf(self, is_there: Callable[[], bool], wait_s: float) -> bool:
        """Wait for what a playlist is to tell of; whether it came."""
        ends_s = monotonic_s() + wait_s
        while not is_there() and not self.is_over:
            left_s = ends_s - monotonic_s()
            if left_s <= 0:
                return False
            await self.wait(left_s)
        return is_there()

    # ---- reading --------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while not self.is_over:
                self._reading = loop.run_in_executor(self._executor, self._read)
                try:
                    news, data = await asyncio.shield(self._reading)
                except RecordingError as error:
                    log.warning("a live picture waits for its recording: %s", error.code)
                    await asyncio.sleep(AGAIN_AFTER_S)
                    continue
                self._take_in(news, data)
                await asyncio.sleep(POLL_S if news.is_caught_up else 0)
        finally:
            # Not while a thread uses the file. One that the disk does not let go keeps it.
            if self._reading is None or (await asyncio.wait((self._reading,), timeout=CLOSE_WITHIN_S))[0]:
                self._following.close()

    def _read(self) -> tuple[News, list[bytes]]:
        """In a thread: what is new, and the content of what viewers are sent."""
        try:
            news = self._following.read()
            if not self._is_live:
                for passage in news.passages:
                    is_other = bool(self._waiting) and self._waiting[-1].take != passage.take
                    self._waiting = [passage] if passage.is_key or is_other else [*self._waiting, passage]
                wanted: Sequence[Passage] = self._waiting if news.is_caught_up else ()
            else:
                wanted = news.passages
            return news, self._following.load(wanted)
        except OSError as error:
            raise RecordingError("the recording can't be read", code="disk") from error

    def _take_in(self, news: News, data: list[bytes]) -> None:
        now, was_live, waiting = datetime.now(UTC), self._is_live, self._waiting
        if news.heads:
            self._heads = {head.take: head for head in news.heads}  # of the open take, and it alone
        if news.passages and news.is_caught_up:
            newest = news.passages[-1]
            was_here_at = now if was_live else min(now, news.written_at or now)
            self._apart.see(newest.take, was_here_at - timedelta(seconds=newest.end_s))
        for passage in news.passages:
            self.shelf.add(self._heads[passage.take], passage, self._picture_at(passage))
        if news.is_caught_up and not was_live:
            self._is_live, self._waiting = True, []
        if was_live or news.is_caught_up:
            for passage, content in zip(news.passages if was_live else waiting, data, strict=False):
                self._keep(passage, content, now)
        if news.passages:
            newest = news.passages[-1]
            self._newest_at = self._picture_at(newest, newest.end_s)
            self._tell()

    def _picture_at(self, passage: Passage, take_s: float | None = None) -> datetime | None:
        begun_at = self._apart.find(passage.take)
        if begun_at is None:
            return None
        return begun_at + timedelta(seconds=passage.begin_s if take_s is None else take_s)

    def _keep(self, passage: Passage, data: bytes, now: datetime) -> None:
        item = Item(
            number=self._next_number,
            head=self._heads[passage.take],
            passage=passage,
            data=data,
            picture_at=self._picture_at(passage) or now,
        )
        self._next_number += 1
        if passage.is_key:
            self._newest_key = item.number
        self._ring.append(item)
        self._ring_bytes += len(data)
        while len(self._ring) > 1 and (self._ring_bytes > RING_BYTES or self._is_old(self._ring[0])):
            self._ring_bytes -= len(self._ring.popleft().data)

    def _is_old(self, item: Item) -> bool:
        """Whether no viewer needs it any more: it stands before the newest keyframe, and long ago."""
        newest = self._ring[-1]
        is_before = self._newest_key is not None and item.number < self._newest_key
        is_long_ago = (
            item.head.take != newest.head.take or newest.passage.end_s - item.passage.end_s > 2 * BEHIND_S
        )
        return is_before and is_long_ago

    def _since(self, number: int) -> list[Item]:
        first = self._ring[0].number
        return [self._ring[at] for at in range(max(0, number - first), len(self._ring))]

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
