"""A browser that films for a camera: the link that lets it in, and the WebSocket by which its picture comes.

| who | what is said at /v1/camera-feed | meaning |
|---|---|---|
| page | `{"say": "hello", "credential"}` | first, within 5 s: the link, once, or the key that it was traded for |
| server | `{"say": "welcome", "name", "key"}` | the camera's name; `key` where it came with a link |
| server | `{"say": "film"}` | a recorder wants the picture |
| page | `{"say": "begin", "mime"}`, then bytes | a fragmented MP4 from its first byte on, a chunk a message |
| server | `{"say": "rest"}` | nobody wants it any more |
| page | `{"say": "alive"}` | at least each `IDLE_S` something is said |

It is closed with 4401 (not let in, or no more), 4408 (nothing was said), 4409 (another browser films in its place),
4413 (too much), 4415 (no H.264 in MP4), 4400 (not understood) or 1013 (no room here: come again).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import WebSocket
from litestar.handlers import WebsocketRouteHandler
from msgspec import Meta, Struct

from unlatch.clock import monotonic_s
from unlatch.errors import DatabaseDown
from unlatch.flow import camera_feeds
from unlatch.flow.camera_feeds import Feed, FeedLine, Feeds, LetIn, TooManyFeeds
from unlatch.flow.platform import Platform
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.problems import Trouble
from unlatch.web.signing_in import Reader

TABLE = EndpointTable("camera feeds", "For the household of a home: Bearer with a consignee's key.")
HELLO_WITHIN_S = 5.0
IDLE_S = 15.0
CHECK_EVERY_S = 10.0  # that the browser may still film
MOST_TEXT = 2_048
MOST_CHUNK = 4 * 1024 * 1024
BURST_BYTES = 8 * 1024 * 1024
BYTES_A_SECOND = 1024 * 1024  # on the average
TEXT_COSTS = 16_384  # bytes of that: who says much is not heard for ever
MIME = re.compile(r"video/mp4;\s*codecs=\"?avc[13](\.[0-9A-Fa-f]{6})?\"?", re.IGNORECASE)
NOT_UNDERSTOOD, NOT_LET_IN, IDLE, REPLACED, TOO_MUCH, WRONG_KIND, NO_ROOM = (
    4400,
    4401,
    4408,
    4409,
    4413,
    4415,
    1013,
)


class FeedLink(Struct, kw_only=True):
    """For the browser that is to film. Good once."""

    url: Annotated[str, Meta(description="Open it there. Shown this once")]
    expires_at: Annotated[datetime, Meta(description="If it was not opened by then; real time")]


@TABLE.add(
    "POST",
    "/v1/me/access_points/{access_point_id}/cameras/{camera_id}/feed_link",
    readers=(Reader.CONSIGNEE,),
    widens=True,
    summary="Let a browser film for a camera",
    gives=FeedLink,
    status=201,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
)
async def make_feed_link(asked: Asked[None]) -> FeedLink:
    """For a camera of the kind `browser`: any old phone that stays where it sees the door. Whoever opens the link
    first, within a quarter of an hour, is that camera from then on, in place of the browser of before. Everyone of the
    household sees in the timeline that it was made.
    """
    made = await camera_feeds.make_feed_link(
        asked.platform,
        asked.connection,
        asked.path["access_point_id"],
        asked.path["camera_id"],
        consignee_id=asked.asker.id,
        now=asked.platform.clock.now(),
    )
    return FeedLink(url=made.url, expires_at=made.expires_at)


# ---- the WebSocket ----------------------------------------------------------------------------------------


class FromPage(Struct, forbid_unknown_fields=True):
    """What a page says in words."""

    say: Literal["hello", "begin", "alive"]
    credential: Annotated[str, Meta(max_length=200)] = ""
    mime: Annotated[str, Meta(max_length=100)] = ""


class _Closed(Exception):
    """It is over. `code`: why we end it; None: the page has hung up."""

    def __init__(self, code: int | None) -> None:
        super().__init__(str(code))
        self.code = code


class _Allowance:
    """How many bytes may still come now."""

    def __init__(self) -> None:
        self._left, self._at_s = float(BURST_BYTES), monotonic_s()

    def spend(self, count: int) -> None:
        """Raises _Closed."""
        now_s = monotonic_s()
        self._left = min(BURST_BYTES, self._left + (now_s - self._at_s) * BYTES_A_SECOND) - count
        self._at_s = now_s
        if self._left < 0 or count > MOST_CHUNK:
            raise _Closed(TOO_MUCH)


class _Talk:
    """One page on one WebSocket."""

    def __init__(self, socket: WebSocket[Any, Any, Any], platform: Platform, feeds: Feeds) -> None:
        self._socket, self._platform, self._feeds = socket, platform, feeds
        self._allowance = _Allowance()
        self._decoder = msgspec.json.Decoder(FromPage)
        self._line: FeedLine | None = None
        self._has_begun = False

    async def run(self) -> int | None:
        """Until it is over; the code to close with, None where the page has hung up."""
        try:
            entered = await self._let_in()
            feed = self._feeds.enter(entered.camera_id)
        except _Closed as closed:
            return closed.code
        except (TooManyFeeds, DatabaseDown):
            return NO_ROOM
        try:
            return await self._first_of(
                lambda: self._say(say="welcome", name=entered.name, key=entered.key),
                self._hear,
                lambda: self._film(feed),
                lambda: self._look_after(feed, entered),
            )
        finally:
            self._feeds.leave(entered.camera_id, feed)
            if self._line is not None:
                await self._line.close()

    async def _first_of(
        self, welcome: Callable[[], Awaitable[None]], *parts: Callable[[], Any]
    ) -> int | None:
        """Run them side by side; why the first that ended did."""
        try:
            await welcome()
        except OSError:
            return None
        tasks = [asyncio.ensure_future(part()) for part in parts]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        first = ends[tasks.index(done.pop())]
        if isinstance(first, _Closed):
            return first.code
        if isinstance(first, OSError):
            return None  # it has hung up while we spoke
        assert isinstance(first, BaseException), "none of them ends but by raising"
        raise first

    async def _let_in(self) -> LetIn:
        said = await self._receive(HELLO_WITHIN_S)
        if not isinstance(said, FromPage) or said.say != "hello":
            raise _Closed(NOT_UNDERSTOOD)
        entered = await camera_feeds.let_in(self._platform, said.credential)
        if entered is None:
            raise _Closed(NOT_LET_IN)
        return entered

    async def _hear(self) -> None:
        while True:
            said = await self._receive(IDLE_S)
            if isinstance(said, bytes):
                if self._line is not None and self._has_begun and not await self._line.write(said):
                    self._has_begun = False  # `_film` sees the end of the line, too
            elif said.say == "begin":
                if not MIME.fullmatch(said.mime):
                    raise _Closed(WRONG_KIND)
                self._has_begun = True

    async def _film(self, feed: Feed) -> None:
        """Lead the picture to whichever recorder wants it, one after the other."""
        while True:
            line = await feed.await_recorder()
            self._line, self._has_begun = line, False
            try:
                await self._say(say="film")
                if await line.ended():
                    raise _Closed(REPLACED)
            finally:
                self._line, self._has_begun = None, False
                await line.close()
            await self._say(say="rest")

    async def _look_after(self, feed: Feed, entered: LetIn) -> None:
        """End it when another browser comes, or when this one may film no more."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_EVERY_S):
                    await feed.replaced.wait()
                    raise _Closed(REPLACED)
            with contextlib.suppress(DatabaseDown):  # what is recorded goes on without it
                if not await camera_feeds.is_let_in(self._platform, entered):
                    raise _Closed(NOT_LET_IN)

    async def _receive(self, within_s: float) -> FromPage | bytes:
        """The next message: words, or a chunk. Raises _Closed."""
        try:
            async with asyncio.timeout(within_s):
                message: Any = await self._socket.receive()
        except TimeoutError:
            raise _Closed(IDLE) from None
        if message["type"] != "websocket.receive":
            raise _Closed(None)
        chunk = message.get("bytes")
        if chunk is not None:
            self._allowance.spend(len(chunk))
            return bytes(chunk)
        text = str(message.get("text") or "")
        self._allowance.spend(TEXT_COSTS)
        try:
            return self._decoder.decode(text if len(text) <= MOST_TEXT else "")
        except (msgspec.DecodeError, msgspec.ValidationError):
            raise _Closed(NOT_UNDERSTOOD) from None

    async def _say(self, **words: str | None) -> None:
        text = msgspec.json.encode({name: word for name, word in words.items() if word is not None})
        await self._socket.send_data(text.decode(), mode="text")


def make_feed_handler(platform: Platform) -> WebsocketRouteHandler:
    """The route of the WebSocket."""
    feeds = Feeds(platform.settings.data_dir)

    async def hear_browser(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        code = await _Talk(socket, platform, feeds).run()
        if code is not None:
            with contextlib.suppress(OSError, RuntimeError):  # it has hung up meanwhile
                await socket.close(code=code)

    return WebsocketRouteHandler("/v1/camera-feed", name="hear_browser")(hear_browser)
