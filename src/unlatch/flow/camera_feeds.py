"""A browser films for a camera of a home: who let it in, and the way of its picture to the recorder.

The household makes a link for one camera; whoever opens it first is the camera from then on, with a key that the
browser keeps. Another link, once it is opened, ends that. The server that hears the browser hands the picture to the
recorder over a socket of this machine (cameras/feed_socket.py), while the recorder wants it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from psycopg import AsyncConnection

from unlatch.cameras.feed_socket import FeedLine, feed_path
from unlatch.cameras.makers.browser import BrowserCamera
from unlatch.domain.deed import Deed
from unlatch.domain.household import Right
from unlatch.errors import Conflict, NotFound
from unlatch.flow import homes
from unlatch.flow.platform import Platform
from unlatch.store import camera_feeds, cameras, deeds
from unlatch.store.ids import hash_key, make_key

__all__ = [
    "Feed",
    "FeedLine",
    "Feeds",
    "LetIn",
    "NewFeedLink",
    "TooManyFeeds",
    "is_let_in",
    "let_in",
    "make_feed_link",
]

FEED_LINK = "unlatch_link"
FEED_KEY = "unlatch_feed"
LINK_LASTS = timedelta(minutes=15)  # real
LOOK_EVERY_S = 0.25  # whether a recorder listens
MOST_FEEDS = 256  # that one server hears


class TooManyFeeds(Exception):
    """This server hears as many browsers as it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFeedLink:
    """Where the browser that is to film opens its page. Shown this once."""

    url: str
    expires_at: datetime  # real


@dataclass(frozen=True, slots=True, kw_only=True)
class LetIn:
    """A browser that may film. `key`: its own from now on; None where it had one."""

    camera_id: str
    name: str
    key: str | None
    key_hash: bytes


async def make_feed_link(
    platform: Platform,
    connection: AsyncConnection,
    access_point_id: str,
    camera_id: str,
    *,
    consignee_id: str,
    now: datetime,
) -> NewFeedLink:
    """A link for one camera of a home. Raises NotFound, NotAllowed, Conflict (a camera of another kind)."""
    await homes.get_home(connection, access_point_id, consignee_id, Right.SET_CAMERAS, is_locked=True)
    row = await cameras.find_camera(connection, camera_id)
    if row is None or row.access_point_id != access_point_id:
        raise NotFound("there is no such camera")
    if row.maker != BrowserCamera.name:
        raise Conflict("this camera films by itself: only one of the kind browser takes a link")
    link = make_key(FEED_LINK)
    expires_at = datetime.now(UTC) + LINK_LASTS
    await camera_feeds.save_link(connection, camera_id, link_hash=hash_key(link), until_real=expires_at)
    await deeds.insert_deed(
        connection,
        access_point_id=access_point_id,
        stop_id=None,
        who=f"consignee:{consignee_id}",
        what=Deed.FEED_OFFERED,
        body={"camera": row.name},
        at=now,
    )
    # Behind the #: a browser sends that part to no server, so it stands in nobody's log.
    return NewFeedLink(url=f"{platform.settings.public_url}/camera#{link}", expires_at=expires_at)


async def let_in(platform: Platform, credential: str) -> LetIn | None:
    """Who comes with this link or key; None: nobody whom we know, or no more."""
    async with platform.database.connection() as connection:
        if credential.startswith(FEED_KEY):
            key_hash = hash_key(credential)
            known = await camera_feeds.find_by_key(connection, key_hash)
            if known is None:
                return None
            return LetIn(camera_id=known.id, name=known.name, key=None, key_hash=key_hash)
        key = make_key(FEED_KEY)
        found = await camera_feeds.use_link(
            connection, link_hash=hash_key(credential), key_hash=hash_key(key), real_now=datetime.now(UTC)
        )
    if found is None:
        return None
    return LetIn(camera_id=found.id, name=found.name, key=key, key_hash=hash_key(key))


async def is_let_in(platform: Platform, entered: LetIn) -> bool:
    """Whether it still may film. Raises DatabaseDown."""
    async with platform.database.connection() as connection:
        found = await camera_feeds.find_by_key(connection, entered.key_hash)
    return found is not None and found.id == entered.camera_id


class Feed:
    """One browser that may film, from its hello to its end. Used from one event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._began_ns = time.time_ns()
        self.replaced = asyncio.Event()  # another browser films in its place

    async def await_recorder(self) -> FeedLine:
        """Wait until a recorder wants the picture."""
        while True:  # a file that another process makes: nothing tells of it
            line = await FeedLine.find(self._path, self._began_ns)
            if line is not None:
                return line
            await asyncio.sleep(LOOK_EVERY_S)


class Feeds:
    """The browsers that one server hears: of each camera one, the newer in place of the older."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._feeds: dict[str, Feed] = {}

    def enter(self, camera_id: str) -> Feed:
        """A browser comes. Raises TooManyFeeds."""
        before = self._feeds.get(camera_id)
        if before is None and len(self._feeds) >= MOST_FEEDS:
            raise TooManyFeeds
        if before is not None:
            before.replaced.set()
        feed = self._feeds[camera_id] = Feed(feed_path(self._data_dir, camera_id))
        return feed

    def leave(self, camera_id: str, feed: Feed) -> None:
        """It has gone."""
        if self._feeds.get(camera_id) is feed:
            del self._feeds[camera_id]
