"""Lines that can be cut and stalled: proxies between processes that know nothing of them.

They live in a process of their own, `python -m tests.siege.proxy`: what passes is seen when it passes, however busy
the load generator is. It is asked by lines of JSON, `[number, verb, words]`, answers `[number, answer]`, and ends with
its standard input. `Lines` is the asking side.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, cast

import uvloop

COMMAND = re.compile(rb"com_[0-9a-f]{32}")
HIGH_BYTES = 256 * 1024  # that wait for a reader; then the other side is not read any more
LOOKS_EVERY_S = 0.02
BLIND_AFTER_S = 0.1
# At most, while it is not blind: it takes a connection, reads, and notes, each in a turn.
SEEN_LATE_S = 3 * BLIND_AFTER_S
MAX_ANSWER_BYTES = 64 * 1024 * 1024
ANSWER_WITHIN_S = 30.0

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
        loop, where = asyncio.get_running_loop(), self.line.target
        try:
            if where is None:
                raise ConnectionRefusedError
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
    """Listens, and passes on to `target`.

    `heard`: when a command's id was first said on it (Unix seconds). What is stalled here has been said all the same.
    """

    target: Where | None = None
    heard: dict[str, float] = field(default_factory=dict)
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
            self.heard.setdefault(found.decode(), time.time())

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


class _Switchboard:
    """All lines of one process, and what is asked of them."""

    def __init__(self) -> None:
        self.lines: dict[str, Line] = {}
        # When this process was too late to see what passed; Unix seconds.
        self.blind: list[tuple[float, float]] = []

    async def watch_itself(self) -> None:
        while True:
            at_s = time.time()
            await asyncio.sleep(LOOKS_EVERY_S)
            if time.time() - at_s > BLIND_AFTER_S:
                self.blind.append((at_s, time.time()))

    async def do(self, verb: str, words: list[Any]) -> Any:
        match verb, words:
            case "open", [name, target, path]:
                self.lines[name] = Line(target=_where(target))
                return await self.lines[name].open(path)
            case "aim", [name, target]:
                self.lines[name].target = _where(target)
            case "cut", [name, share, seed]:
                return self.lines[name].cut(share, random.Random(seed))
            case "stall", [name, for_s]:
                await self.lines[name].stall(for_s)
            case "tell", [name]:
                return {"heard": self.lines[name].heard, "blind": self.blind}
            case _:
                raise ValueError(f"there is no {verb} of {len(words)} words")
        return None


def _where(target: Any) -> Where | None:
    return (target[0], target[1]) if isinstance(target, list) else cast("str | None", target)


async def serve() -> None:
    """Do what is asked on standard input, several at a time, until it ends."""
    loop, board = asyncio.get_running_loop(), _Switchboard()
    asked = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(asked), sys.stdin)

    async def answer(number: int, verb: str, words: list[Any]) -> None:
        print(json.dumps([number, await board.do(verb, words)]), flush=True)

    async with asyncio.TaskGroup() as group:  # what fails ends this process, and so all who wait for it
        watching = group.create_task(board.watch_itself())
        while text := await asked.readline():
            group.create_task(answer(*json.loads(text)))
        watching.cancel()


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a line has heard, and when nobody listened; Unix seconds."""

    heard: Mapping[str, float]
    blind: list[tuple[float, float]]

    @property
    def blind_s(self) -> float:
        """For how long nobody listened, in all."""
        return sum(ended - began for began, ended in self.blind)

    def left_at(self) -> dict[str, float]:
        """When each command left, at the latest: while nobody listened, it may have left at once."""
        return {
            command_id: min(
                [at, *(began for began, ended in self.blind if began <= at <= ended + BLIND_AFTER_S)]
            )
            for command_id, at in self.heard.items()
        }


class Lines:
    """The lines of one siege: `name` is one of those that were opened."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.names: list[str] = []
        self._process = process
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._is_over = False

    async def open(self, name: str, target: Where | None = None, *, path: str | None = None) -> str:
        """One more line, at a free port or at a unix socket of that path; its address."""
        self.names.append(name)
        return str(await self._ask("open", name, target, path))

    async def aim(self, name: str, target: Where) -> None:
        """Where it leads. Until then whoever comes is turned away."""
        await self._ask("aim", name, target)

    async def cut(self, name: str, share: float, seed: int) -> int:
        """Cut that share of what passes; how many ends."""
        return int(await self._ask("cut", name, share, seed))

    async def stall(self, name: str, for_s: float) -> None:
        """Nothing passes for so long, and nobody is told."""
        await self._ask("stall", name, for_s)

    async def tell(self, name: str) -> Told:
        """What it has heard so far."""
        told = await self._ask("tell", name)
        return Told(heard=told["heard"], blind=[(began, ended) for began, ended in told["blind"]])

    async def _ask(self, verb: str, *words: Any) -> Any:
        assert self._process.stdin is not None
        if self._is_over:
            raise ConnectionError("the process of the lines has ended")
        number = next(self._numbers)
        self._waiting[number] = answered = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps([number, verb, words]).encode() + b"\n")
        async with asyncio.timeout(ANSWER_WITHIN_S):
            return await answered

    async def listen(self) -> None:
        """Hand answers to who waits for them; at the end of that process nobody waits any more."""
        assert self._process.stdout is not None
        try:
            while text := await self._process.stdout.readline():
                number, answer = json.loads(text)
                if not (answered := self._waiting.pop(number)).done():
                    answered.set_result(answer)
        finally:
            self._is_over = True
            for answered in self._waiting.values():
                if not answered.done():
                    answered.set_exception(ConnectionError("the process of the lines has ended"))


@asynccontextmanager
async def use_lines() -> AsyncIterator[Lines]:
    """A process for the lines of one siege."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.siege.proxy"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=MAX_ANSWER_BYTES,
    )
    lines = Lines(process)
    listening = asyncio.create_task(lines.listen())
    try:
        yield lines
    finally:
        assert process.stdin is not None
        process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 5.0)
        if process.returncode is None:
            process.kill()
            await process.wait()
        await listening


if __name__ == "__main__":
    uvloop.run(serve())
