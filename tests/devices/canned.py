"""A cloud that answers by rote over real HTTP: for the makers' EXAMPLES, and, byte by byte, for the wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from unlatch.devices.base import Reply

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[str]:
    """A TCP server on a free port; yields its address."""

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client hung up
        finally:
            writer.close()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def read_request(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    """The request line without its version, and everything that came."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return head.split(b" HTTP/1.1")[0].decode(), head + await reader.readexactly(length)


class Canned:
    """Serves an example's replies: each once, in order, for the requests that match; the last one again."""

    def __init__(self, replies: Sequence[Reply]) -> None:
        self.replies = list(replies)
        self.asked: list[str] = []
        self.raw: list[bytes] = []
        self.base = ""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            line, raw = await read_request(reader)
            self.asked.append(line)
            self.raw.append(raw)
            reply = self._find(line)
            if reply is not None and reply.status == 101:
                await self._talk(raw, reply, reader, writer)
                return
            writer.write(self._answer(reply))
            await writer.drain()

    async def _talk(
        self, raw: bytes, opened: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """A WebSocket: what `opened` says first, then the replies to each message, by its type."""
        protocol = ServerProtocol()
        protocol.receive_data(raw)
        (request,) = protocol.events_received()
        assert isinstance(request, Request)
        protocol.send_response(protocol.accept(request))
        self._say(protocol, opened)
        while True:
            writer.write(b"".join(protocol.data_to_send()))
            await writer.drain()
            if protocol.state is not State.OPEN or not (data := await reader.read(65_536)):
                return
            protocol.receive_data(data)
            for frame in protocol.events_received():
                if isinstance(frame, Frame) and frame.opcode is Opcode.TEXT:
                    line = f"WS {json.loads(bytes(frame.data))['type']}"
                    self.asked.append(line)
                    if (reply := self._find(line)) is not None:
                        self._say(protocol, reply)

    def _say(self, protocol: ServerProtocol, reply: Reply) -> None:
        for message in reply.body:
            protocol.send_text(json.dumps(message).encode())

    def _find(self, line: str) -> Reply | None:
        matching = [reply for reply in self.replies if line.startswith(reply.to)]
        if len(matching) > 1:
            self.replies.remove(matching[0])
        return matching[0] if matching else None

    def _answer(self, reply: Reply | None) -> bytes:
        if reply is None:
            return b"HTTP/1.1 599 Unexpected\r\ncontent-length: 0\r\n\r\n"
        text = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
        body = text.replace("{base}", self.base).encode()
        headers = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
        return f"HTTP/1.1 {reply.status} X\r\ncontent-length: {len(body)}\r\n{headers}\r\n".encode() + body


@asynccontextmanager
async def canned_cloud(replies: Sequence[Reply]) -> AsyncIterator[Canned]:
    """A canned cloud that listens at `.base`."""
    canned = Canned(replies)
    async with listening(canned) as base:
        canned.base = base
        yield canned
