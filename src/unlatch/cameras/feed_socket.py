"""From the server that hears a browser to the recorder that records it: a socket of this machine for each camera.

The recorder listens while it wants the camera's picture, and only then: whoever holds the other end sees by that
whether the browser is to film. What is said there:

| who | what | meaning |
|---|---|---|
| server | 8 bytes | when its feed began (nanoseconds since 1970): the newer of two wins |
| server | bytes | one fragmented MP4, as it grows |
| recorder | `=` | another feed of this camera is newer: don't come back |
| either | hangs up | it is over; the server may come back |

The folder belongs to the user of this machine who runs both, and nobody else may enter it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from unlatch.cameras.base import OPEN_S, SILENT_S
from unlatch.cameras.fed import Source
from unlatch.clock import monotonic_s
from unlatch.errors import CameraUnreachable

FOLDER = "feeds"  # of the data folder
LONGEST_SOCKET = 100  # bytes: the kernel takes 107
HELLO = struct.Struct(">Q")
HELLO_WITHIN_S = 0.5
REPLACED = b"="
WRITTEN_WITHIN_S = 2.0  # a recorder that does not read for so long has given the camera up
MAX_WAITING_BYTES = 4 * 1024 * 1024  # written and not read yet


def feed_path(data_dir: Path, camera_id: str) -> Path:
    """The socket of a camera's feed: the address of a camera of the maker `browser`."""
    return data_dir.absolute() / FOLDER / f"{camera_id}.sock"


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """A name for the socket that is short enough for the kernel: a long one is reached through its folder."""
    if len(os.fsencode(path)) <= LONGEST_SOCKET:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


# ---- the recorder's end -----------------------------------------------------------------------------------


class FeedSource(Source):
    """Waits for a feed, and gives what it brings. A newer feed ends it; an older one is turned away."""

    def __init__(self, path: Path, within_s: float = OPEN_S) -> None:
        """Listens, and waits for a feed. Raises CameraUnreachable."""
        self._path = path
        self._until_s: float | None = monotonic_s() + within_s  # until the head is here
        self._selector = selectors.DefaultSelector()
        self._listening = socket.socket(socket.AF_UNIX)
        self._feed: socket.socket | None = None
        self._began_ns = 0
        self._inode = 0
        try:
            self._listen()
            self._await_feed()
        except BaseException:
            self.close()
            raise

    def read(self, size: int) -> bytes:
        assert self._feed is not None
        is_open = self._until_s is None
        until_s = monotonic_s() + SILENT_S if self._until_s is None else self._until_s
        while True:
            ready = self._wait(until_s, "silent" if is_open else "unreachable")
            if self._listening in ready:
                self._meet_another()
            if self._feed in ready:
                try:
                    content = self._feed.recv(min(size, 65_536))
                except OSError:
                    content = b""
                if not content:
                    raise CameraUnreachable("the browser has hung up", code="cut")
                return content

    def opened(self) -> None:
        self._until_s = None

    def close(self) -> None:
        self._selector.close()
        self._listening.close()
        if self._feed is not None:
            self._feed.close()
        with contextlib.suppress(OSError):
            if self._inode and self._path.stat().st_ino == self._inode:  # not that of a recorder after us
                self._path.unlink()

    def _listen(self) -> None:
        former = os.umask(0o077)
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.unlink(missing_ok=True)
            with reachable(self._path) as name:
                self._listening.bind(name)
            self._inode = self._path.stat().st_ino
            self._listening.listen(4)
        except OSError as error:
            raise CameraUnreachable("the socket of the feed can't be made", code="unreachable") from error
        finally:
            os.umask(former)
        self._listening.setblocking(False)
        self._selector.register(self._listening, selectors.EVENT_READ)

    def _await_feed(self) -> None:
        assert self._until_s is not None
        while self._feed is None:
            self._wait(self._until_s, "unreachable")
            met = self._meet()
            if met is not None:
                self._feed, self._began_ns = met
                self._selector.register(self._feed, selectors.EVENT_READ)

    def _meet_another(self) -> None:
        """Somebody else comes with this camera's picture."""
        assert self._feed is not None
        met = self._meet()
        if met is None:
            return
        other, began_ns = met
        with other:
            if began_ns > self._began_ns:  # it comes back as soon as we listen again
                with contextlib.suppress(OSError):
                    self._feed.send(REPLACED)
                raise CameraUnreachable("another browser films in its place", code="cut")
            with contextlib.suppress(OSError):
                other.send(REPLACED)

    def _meet(self) -> tuple[socket.socket, int] | None:
        """Whoever knocks, and since when they film; None where it comes to nothing."""
        try:
            feed, _ = self._listening.accept()
        except OSError:
            return None
        try:
            feed.settimeout(HELLO_WITHIN_S)
            hello = feed.recv(HELLO.size, socket.MSG_WAITALL)
            feed.setblocking(False)
        except OSError:
            hello = b""
        if len(hello) == HELLO.size:
            return feed, int(HELLO.unpack(hello)[0])
        feed.close()
        return None

    def _wait(self, until_s: float, code: str) -> set[socket.socket]:
        """Who has something. Raises CameraUnreachable with that code when nobody had in time."""
        ready = self._selector.select(max(0.0, until_s - monotonic_s()))
        if not ready:
            text = (
                "no browser films for this camera" if code == "unreachable" else "the browser sends nothing"
            )
            raise CameraUnreachable(text, code=code)
        return {key.fileobj for key, _ in ready if isinstance(key.fileobj, socket.socket)}


# ---- the server's end -------------------------------------------------------------------------------------


class FeedLine:
    """A recorder wants the picture, and this leads to it. Used from one event loop."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._writer = writer
        self._over: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._listening = asyncio.create_task(self._listen(reader))

    @classmethod
    async def find(cls, path: Path, began_ns: int) -> Self | None:
        """The line to the recorder that listens there; None where none does."""
        try:
            with reachable(path) as name:
                reader, writer = await asyncio.open_unix_connection(name)
        except OSError:
            return None
        writer.transport.set_write_buffer_limits(high=MAX_WAITING_BYTES)
        writer.write(HELLO.pack(began_ns))
        return cls(reader, writer)

    async def write(self, content: bytes) -> bool:
        """Hand it over; False when the line is over."""
        if self._over.done():
            return False
        try:
            async with asyncio.timeout(WRITTEN_WITHIN_S):
                self._writer.write(content)
                await self._writer.drain()
        except (OSError, TimeoutError):
            return False
        return True

    async def ended(self) -> bool:
        """Wait for its end; True if another feed has taken this one's place."""
        return await asyncio.shield(self._over)

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        self._listening.cancel()
        await asyncio.wait({self._listening})

    async def _listen(self, reader: StreamReader) -> None:
        is_replaced = False
        try:
            is_replaced = await reader.read(1) == REPLACED
        except OSError:
            pass  # it is gone, that is all
        finally:
            self._over.set_result(is_replaced)
