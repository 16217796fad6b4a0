"""The WebSocket, byte by byte: what has left and what has not, and what a hub may say that is none."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.devices.canned import canned_cloud, listening, read_request
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from unlatch.clock import monotonic_s
from unlatch.devices.base import Reply
from unlatch.devices.websocket import LARGEST_MESSAGE_BYTES, MOST_WAITING, WebSocket, open_websocket
from unlatch.devices.wire import Cut, Wire, WireError

OPENED = Reply(to="GET /ws", status=101, body=[{"hello": 1}])


@asynccontextmanager
async def opened(address: str) -> AsyncIterator[WebSocket]:
    socket = await open_websocket(Wire(address), "/ws", headers={"x-request-id": "t"}, within_s=2.0)
    try:
        yield socket
    finally:
        socket.close()


async def test_it_greets_says_and_hears() -> None:
    replies = [OPENED, Reply(to="WS ask", body=[{"one": 1}, {"two": "x" * 70_000}])]
    async with canned_cloud(replies) as cloud, opened(cloud.base) as socket:
        assert await socket.receive(2.0) == b'{"hello": 1}'
        order: list[str] = []
        socket.send(b'{"type": "ask"}', on_sent=lambda: order.append("sent"))
        assert order == ["sent"], "told when the last byte was handed over, before any answer"
        assert await socket.receive(2.0) == b'{"one": 1}'
        assert len(await socket.receive(2.0)) > 70_000
        assert b"x-request-id: t" in cloud.raw[0].lower()


async def test_past_its_time_no_byte_leaves() -> None:
    async with canned_cloud([OPENED]) as cloud, opened(cloud.base) as socket:
        with pytest.raises(WireError) as caught:
            socket.send(b'{"type": "ask"}', first_byte_by_s=monotonic_s() - 0.001)
        assert (caught.value.cut, caught.value.has_left) == (Cut.TOO_LATE, False)
        socket.send(b'{"type": "later"}', first_byte_by_s=monotonic_s() + 5.0)
        while "WS later" not in cloud.asked:
            await asyncio.sleep(0.001)
        assert "WS ask" not in cloud.asked


async def test_a_silence_is_waited_for_as_long_as_said() -> None:
    async with canned_cloud([OPENED]) as cloud, opened(cloud.base) as socket:
        await socket.receive(2.0)
        with pytest.raises(WireError) as caught:
            await socket.receive(0.05)
        assert (caught.value.cut, caught.value.has_left) == (Cut.NO_ANSWER, True)


REFUSALS = {
    "another status": (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", Cut.GARBAGE),
    "a redirect": (
        b"HTTP/1.1 302 Go\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
        Cut.GARBAGE,
    ),
    "no upgrade": (b"HTTP/1.1 101 Switching\r\n\r\n", Cut.GARBAGE),
    "another's key": (
        b"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: x\r\n\r\n",
        Cut.GARBAGE,
    ),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Cut.GARBAGE),
    "closed": (b"", Cut.CLOSED),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_greeting_that_is_refused_has_sent_nothing(name: str) -> None:
    answer, cut = REFUSALS[name]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)
        await writer.drain()

    async with listening(serve) as base:
        with pytest.raises(WireError) as caught:
            await open_websocket(Wire(base), "/ws", headers={}, within_s=2.0)
        assert (caught.value.cut, caught.value.has_left) == (cut, False)


async def test_a_greeting_that_is_never_answered_costs_no_more_than_said() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(serve) as base:
        started_s = monotonic_s()
        with pytest.raises(WireError) as caught:
            await open_websocket(Wire(base), "/ws", headers={}, within_s=0.2)
        assert (caught.value.cut, caught.value.has_left) == (Cut.NO_ANSWER, False)
        assert monotonic_s() - started_s < 2.0


async def test_a_header_that_is_none_is_never_sent() -> None:
    async with canned_cloud([OPENED]) as cloud:
        with pytest.raises(WireError) as caught:
            await open_websocket(Wire(cloud.base), "/ws", headers={"x": "a\r\nb: c"}, within_s=2.0)
        assert caught.value.cut is Cut.BAD_REQUEST
        assert cloud.asked == []


class Speaker:
    """A server that greets well and then sends these frames, and perhaps bytes that are none."""

    def __init__(self, *frames: Frame, raw: bytes = b"", closes: bool = False) -> None:
        self.frames, self.raw, self.closes = frames, raw, closes
        self.heard: list[Frame] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, raw = await read_request(reader)
        protocol = ServerProtocol()
        protocol.receive_data(raw)
        (request,) = protocol.events_received()
        assert isinstance(request, Request)
        protocol.send_response(protocol.accept(request))
        writer.write(b"".join(protocol.data_to_send()))
        for frame in self.frames:
            writer.write(frame.serialize(mask=False))
        writer.write(self.raw)
        await writer.drain()
        while not self.closes and (data := await reader.read(65_536)):
            protocol.receive_data(data)
            self.heard += [one for one in protocol.events_received() if isinstance(one, Frame)]


def text(data: bytes, *, fin: bool = True, opcode: Opcode = Opcode.TEXT) -> Frame:
    return Frame(opcode, data, fin=fin)


async def test_pieces_are_put_together_and_pings_are_answered() -> None:
    speaker = Speaker(
        text(b"one ", fin=False), Frame(Opcode.PING, b"p"), text(b"two", opcode=Opcode.CONT), text(b"three")
    )
    async with listening(speaker) as base, opened(base) as socket:
        assert await socket.receive(2.0) == b"one two"
        assert await socket.receive(2.0) == b"three"
        while not any(frame.opcode is Opcode.PONG for frame in speaker.heard):
            await asyncio.sleep(0.001)


SPOILT = {
    "closed in the middle": (Speaker(text(b"one", fin=False), closes=True), Cut.CLOSED),
    "a farewell": (Speaker(Frame(Opcode.CLOSE, b"\x03\xe8")), Cut.CLOSED),
    "no frame": (Speaker(raw=b"\xff\xff\xff\xff"), Cut.GARBAGE),
    "huge": (Speaker(raw=b"\x81\x7f" + (LARGEST_MESSAGE_BYTES + 1).to_bytes(8, "big")), Cut.GARBAGE),
    "huge in pieces": (
        Speaker(
            *[
                text(b"x" * 60_000, fin=False, opcode=Opcode.TEXT if number == 0 else Opcode.CONT)
                for number in range(6)
            ]
        ),
        Cut.GARBAGE,
    ),
}


@pytest.mark.parametrize("name", SPOILT)
async def test_what_is_no_conversation_ends_it(name: str) -> None:
    speaker, cut = SPOILT[name]
    async with listening(speaker) as base, opened(base) as socket:
        with pytest.raises(WireError) as caught:
            await socket.receive(2.0)
        assert (caught.value.cut, caught.value.has_left) == (cut, True)
        with pytest.raises(WireError) as again:
            socket.send(b"more")
        assert not again.value.has_left


async def test_more_messages_than_anyone_reads_end_it_and_what_came_before_is_kept() -> None:
    speaker = Speaker(*[text(b"%d" % number) for number in range(MOST_WAITING + 10)])
    async with listening(speaker) as base, opened(base) as socket:
        while not socket.is_closed():
            await asyncio.sleep(0.001)
        assert await socket.receive(0.0) == b"0"
        for _ in range(MOST_WAITING - 1):
            await socket.receive(0.0)
        with pytest.raises(WireError) as caught:
            await socket.receive(0.0)
        assert caught.value.cut is Cut.TOO_LARGE


async def test_one_that_is_lost_before_anybody_waits_for_it_leaves_nothing_unheard() -> None:
    """Whoever wanted it has left, out of time, while it was being connected."""
    unheard: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: unheard.append(told["message"]))
    socket = WebSocket(ClientProtocol(parse_uri("ws://127.0.0.1/ws")))
    socket.connection_lost(None)
    del socket
    gc.collect()
    assert unheard == []
