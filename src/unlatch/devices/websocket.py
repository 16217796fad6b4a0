"""A WebSocket to one address, knowing of each message whether its first byte has left this process.

The handshake, the framing and the masking are `websockets`' (its part without input and output); the bytes are ours,
for the reason that devices/wire.py gives: the deadline is looked at and the message is handed to the socket in one
step of the event loop. Messages are text; nothing is compressed, so that no small frame becomes a huge message.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidState, InvalidURI
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from unlatch.devices.wire import Cut, Wire, WireError

LARGEST_MESSAGE_BYTES = 256 * 1024
MOST_WAITING = 256  # messages that nobody has read yet


class WebSocket(asyncio.Protocol):
    """One connection. Used from one event loop by one reader; thrown away after one conversation."""

    def __init__(self, talk: ClientProtocol) -> None:
        self.transport: asyncio.Transport | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._talk = talk
        self._messages: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._chunks: list[bytes] = []
        self._cut: Cut | None = None
        self._on_sent: Callable[[], None] | None = None

    # --- what asyncio tells us

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's does not derive from asyncio's
        self.transport.set_write_buffer_limits(high=0)

    def resume_writing(self) -> None:
        self._written()

    def data_received(self, data: bytes) -> None:
        self._talk.receive_data(data)
        self._go_on()

    def eof_received(self) -> bool:
        self._fail(Cut.CLOSED)  # without a farewell, or after it
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(Cut.CLOSED)

    # --- what the maker asks of us

    def greet(self, headers: Mapping[str, str]) -> None:
        """Ask for the upgrade; `opened` tells the end."""
        request = self._talk.connect()
        for name, value in headers.items():
            if not (value.isascii() and value.isprintable()):
                raise WireError(Cut.BAD_REQUEST, has_left=False)
            request.headers[name] = value
        self._talk.send_request(request)
        self._flush()

    def send(
        self,
        message: bytes,
        *,
        first_byte_by_s: float | None = None,
        on_sent: Callable[[], None] | None = None,
    ) -> None:
        """Hand one text message to the socket at once. Raises `WireError`, and then no byte of it has left.

        `first_byte_by_s` and `on_sent` are those of `base.Sending`.
        """
        if self.is_closed():
            raise WireError(self._cut or Cut.CLOSED, has_left=False)
        if first_byte_by_s is not None and time.monotonic() > first_byte_by_s:
            raise WireError(Cut.TOO_LATE, has_left=False)
        try:
            self._talk.send_text(message)
        except InvalidState:  # the other side has said goodbye
            raise WireError(Cut.CLOSED, has_left=False) from None
        self._on_sent = on_sent
        self._flush()
        assert self.transport is not None
        if not self.transport.get_write_buffer_size():
            self._written()

    async def receive(self, within_s: float) -> bytes:
        """The next text message. Raises `WireError` NO_ANSWER when none came in time, else why none will come."""
        try:
            async with asyncio.timeout(max(0.0, within_s)):
                while not self._messages and self._cut is None:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise WireError(Cut.NO_ANSWER, has_left=True) from None
        if self._messages:
            return self._messages.popleft()
        raise WireError(self._cut or Cut.CLOSED, has_left=True)

    def is_closed(self) -> bool:
        """Whether nothing can be written any more."""
        return self._cut is not None or self.transport is None or self.transport.is_closing()

    def close(self) -> None:
        """Say goodbye, and don't wait for the answer."""
        if self.transport is None:
            return
        if not self.is_closed():
            try:
                self._talk.send_close()
                self._flush()
            except InvalidState:
                pass  # there is nobody left to say it to
        if self.transport.get_write_buffer_size():
            self.transport.abort()  # whoever does not read now is not waited for
        else:
            self.transport.close()

    # --- between the two

    def _go_on(self) -> None:
        for event in self._talk.events_received():
            if isinstance(event, Response):
                self._greeted(event)
            elif isinstance(event, Frame):
                self._heard(event)
        if self._talk.handshake_exc is not None and not self.opened.done():
            self._fail(Cut.GARBAGE)
        self._flush()  # pongs, and the answer to a goodbye
        if self._talk.parser_exc is not None:
            self._fail(Cut.GARBAGE)

    def _greeted(self, response: Response) -> None:
        if self._talk.handshake_exc is not None or response.status_code != 101:
            self._fail(Cut.GARBAGE)
        elif not self.opened.done():
            self.opened.set_result(None)

    def _heard(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            self._fail(Cut.CLOSED)
        if frame.opcode not in (Opcode.TEXT, Opcode.CONT):
            return  # a ping is answered by `_talk`; binary messages mean nothing here
        self._chunks.append(bytes(frame.data))
        if not frame.fin:
            return
        if len(self._messages) >= MOST_WAITING:
            self._fail(Cut.TOO_LARGE)
            return
        self._messages.append(b"".join(self._chunks))
        self._chunks.clear()
        self._news.set()

    def _flush(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            data = b"".join(self._talk.data_to_send())
            if data:
                self.transport.write(data)

    def _written(self) -> None:
        if self._on_sent is not None and self.transport is not None and not self.transport.is_closing():
            told, self._on_sent = self._on_sent, None
            told()

    def _fail(self, cut: Cut) -> None:
        if self._cut is None:
            self._cut = cut
        if not self.opened.done():
            self.opened.set_exception(WireError(cut, has_left=False))
            self.opened.exception()  # heard: whoever wanted it may have left, out of time
        self._news.set()
        if self.transport is not None and cut is Cut.CLOSED:
            self.transport.close()
        elif self.transport is not None:
            self.transport.abort()


async def open_websocket(
    wire: Wire, target: str, *, headers: Mapping[str, str], within_s: float
) -> WebSocket:
    """A WebSocket at the wire's address. Raises `WireError`: no command has left, whatever it says."""
    try:
        uri = parse_uri(f"{wire.origin.replace('http', 'ws', 1)}{wire.prefix}{target}")
    except InvalidURI:
        raise WireError(Cut.BAD_REQUEST, has_left=False) from None
    until_s = time.monotonic() + within_s

    def make() -> WebSocket:
        return WebSocket(ClientProtocol(uri, max_size=LARGEST_MESSAGE_BYTES))

    socket = await wire.connect(make, within_s=within_s)
    try:
        async with asyncio.timeout(max(0.0, until_s - time.monotonic())):
            socket.greet(headers)
            await socket.opened
    except TimeoutError:
        socket.close()
        raise WireError(Cut.NO_ANSWER, has_left=False) from None
    except BaseException:
        socket.close()
        raise
    return socket
