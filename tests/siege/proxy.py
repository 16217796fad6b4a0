"""A line that can be cut and stalled: a proxy between two processes that know nothing of it."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

COMMAND = re.compile(rb"com_[0-9a-f]{32}")
HIGH_BYTES = 256 * 1024  # that wait for a reader; then the other side is not read any more

Where = str | tuple[str, int]  # a unix socket's path, or host and port


class _End(asyncio.Protocol):
    """One end of one connection that passes through. Both ends live and die together."""

    def __init__(self, line: Line, other: _End | None = None) -> None:
        self.line, self.other = line, other
        self.transport: asyncio.Transport | None = None
        self._early: list[bytes] = []  # what came before there was another end, or while nothing passes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=HIGH_BYTES)
        self.line.ends.add(self)
        if self.other is None:
            self.line.hold(asyncio.ensure_future(self._reach()))

    async def _reach(self) -> None:
        """Connect to what lies behind."""
        loop, where = asyncio.get_running_loop(), self.line.find_target()
        try:
            if isinstance(where, str):
                _, end = await loop.create_unix_connection(lambda: _End(self.line, self), where)
            else:
                _, end = await loop.create_connection(lambda: _End(self.line, self), *where)
        except OSError:
            self.abort()
            return
        self.other = end
        if self.transport is None or self.transport.is_closing():
            end.abort()
            return
        if not self.line.is_stalled:
            self.pass_on()

    def data_received(self, data: bytes) -> None:
        self.line.note(data)
        if self.other is None or self.line.is_stalled:
            self._early.append(data)
        else:
            self.other.write(data)

    def pass_on(self) -> None:
        """What came while there was no way on."""
        early, self._early = self._early, []
        if self.other is not None:
            for data in early:
                self.other.write(data)

    def eof_received(self) -> bool:
        return False  # closes; the other end follows

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.line.ends.discard(self)
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def abort(self) -> None:
        """Cut, in the middle of whatever is said."""
        if self.transport is not None:
            self.transport.abort()


@dataclass(kw_only=True, eq=False)
class Line:
    """Listens, and passes on to `find_target()`, which is asked for each connection.

    `heard`: when a command's id was first said on it, by `now`. What is stalled here has been said all the same.
    """

    name: str
    find_target: Callable[[], Where]
    now: Callable[[], datetime]
    heard: dict[str, datetime] = field(default_factory=dict)
    ends: set[_End] = field(default_factory=set)
    is_stalled: bool = False
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Future[None]] = field(default_factory=set)

    async def open(self, path: str | None = None) -> str:
        """Listen at a free port, or at a unix socket of that path; the address."""
        loop = asyncio.get_running_loop()
        if path is not None:
            self._server = await loop.create_unix_server(lambda: _End(self), path)
            return path
        self._server = await loop.create_server(lambda: _End(self), "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def note(self, data: bytes) -> None:
        """Remember the commands that are named here for the first time."""
        for found in COMMAND.findall(data):
            self.heard.setdefault(found.decode(), self.now())

    def hold(self, task: asyncio.Future[None]) -> None:
        """Keep a task until it is done."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cut(self, share: float, lot: random.Random) -> int:
        """Cut that share of what passes; how many ends."""
        chosen = [end for end in list(self.ends) if lot.random() < share]
        for end in chosen:
            end.abort()
        return len(chosen)

    async def stall(self, for_s: float) -> None:
        """Nothing passes for so long, and nobody is told."""
        self.is_stalled = True
        await asyncio.sleep(for_s)
        self.is_stalled = False
        for end in list(self.ends):
            end.pass_on()

    async def close(self) -> None:
        """Listen no more, and cut all."""
        if self._server is not None:
            self._server.close()
        for end in list(self.ends):
            end.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
