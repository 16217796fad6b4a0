"""HTTP/1.1 to one address, knowing of every request whether its first byte has left this process.

Why not an HTTP library: they hide that moment. Between httpcore's trace event and the write lies a turn of
the event loop, and several retry by themselves. Here the deadline is looked at and the bytes are handed to
the socket in one step of the loop, nothing is ever retried, and no redirect is followed. It also costs a
fraction of the processor time, which matters with a dozen requests a visit. Answers are parsed by httptools.
"""

from __future__ import annotations

import asyncio
import select
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Protocol, TypeVar, cast
from urllib.parse import urlsplit

import httptools

LARGEST_ANSWER_BYTES = 256 * 1024  # headers and body together
LONGEST_IDLE_S = 2.0  # a connection idle for longer may be just closing: bytes sent into that are lost
MOST_IDLE = 32
LONGEST_CONNECT_S = 5.0

Spoken = TypeVar("Spoken", bound=asyncio.BaseProtocol)


class Cut(StrEnum):
    """Why there is no whole answer."""

    NO_CONNECTION = auto()
    TOO_LATE = auto()  # the caller's time for the first byte had passed
    BAD_REQUEST = auto()  # a header or path that can't be written down
    NO_ANSWER = auto()  # in time
    CLOSED = auto()  # the other side closed before the end of the answer
    GARBAGE = auto()  # not HTTP
    TOO_LARGE = auto()


class WireError(Exception):
    """No whole answer. `has_left`: whether any byte of the request may have left."""

    def __init__(self, cut: Cut, *, has_left: bool) -> None:
        super().__init__(cut.value)
        self.cut = cut
        self.has_left = has_left


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A whole HTTP answer; header names in lower case. Its text never shows what it holds."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"Answered({self.status})"


class Finder(Protocol):
    """Who resolves the name in our stead, anew for each connection (see devices/hubs.py)."""

    async def find_hosts(self) -> Sequence[str]:
        """Numeric addresses to try, in order, at least one. Raises OSError."""

    def forget(self) -> None:
        """Nobody answered there."""


class _Connection(asyncio.Protocol):
    """One connection, one request at a time. It is thrown away after anything but a clean answer."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.idle_since_s = 0.0
        self._answer: asyncio.Future[Answered] | None = None
        self._on_sent: Callable[[], None] | None = None
        self._is_written = False
        self._start_anew()

    def _start_anew(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._chunks: list[bytes] = []
        self._size = 0
        self._has_headers = False

    # --- what asyncio tells us

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's does not derive from asyncio's
        self.transport.set_write_buffer_limits(high=0)

    def resume_writing(self) -> None:
        self._written()

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.abort()  # speaks without being asked: not to be trusted with the next request
            return
        self._size += len(data)
        if self._size > LARGEST_ANSWER_BYTES:
            self._fail(Cut.TOO_LARGE)
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(Cut.GARBAGE)

    def eof_received(self) -> bool:
        has_length = "content-length" in self._headers or "transfer-encoding" in self._headers
        if self._has_headers and not has_length and self._answer is not None and not self._answer.done():
            self._finish()
        self._fail(Cut.CLOSED)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(Cut.CLOSED)

    # --- what the parser tells us

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._has_headers = True

    def on_body(self, chunk: bytes) -> None:
        self._chunks.append(chunk)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:  # "100 Continue" and the like announce the answer proper
            self._headers, self._has_headers = {}, False
            return
        self._finish()

    # --- what the wire asks of us

    def is_closed(self) -> bool:
        """Whether nothing can be written any more."""
        return self.transport is None or self.transport.is_closing()

    def is_usable(self) -> bool:
        """Open, not idle for too long, and nothing to read (which would be the other side's farewell)."""
        if self.transport is None or self.transport.is_closing():
            return False
        if time.monotonic() - self.idle_since_s > LONGEST_IDLE_S:
            return False
        descriptor = self.transport.get_extra_info("socket").fileno()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return not poll.poll(0)

    def ask(self, request: bytes, on_sent: Callable[[], None] | None) -> asyncio.Future[Answered]:
        """Hand `request` to the socket at once; the future holds the answer or a `WireError`."""
        assert self.transport is not None
        self._start_anew()
        self._answer = asyncio.get_running_loop().create_future()
        self._on_sent, self._is_written = on_sent, False
        self.transport.write(request)
        if not self.transport.get_write_buffer_size():
            self._written()
        return self._answer

    def abort(self) -> None:
        """Close without a farewell."""
        if self.transport is not None:
            self.transport.abort()

    def _written(self) -> None:
        if not self._is_written and self.transport is not None and not self.transport.is_closing():
            self._is_written = True
            if self._on_sent is not None:
                self._on_sent()

    def _finish(self) -> None:
        assert self.transport is not None
        if self._answer is None or self._answer.done():
            self.abort()  # a second answer to one request
            return
        status = self._parser.get_status_code()
        self._answer.set_result(Answered(status=status, headers=self._headers, body=b"".join(self._chunks)))
        if not self._parser.should_keep_alive():
            self.transport.close()

    def _fail(self, cut: Cut) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(WireError(cut, has_left=True))
        self.abort()


class Wire:
    """The connections to one address ("https://host[:port][/prefix]"). Used from one event loop."""

    def __init__(self, address: str, *, finder: Finder | None = None) -> None:
        """Raises ValueError where that is no such address."""
        parts = urlsplit(address)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.query
            or parts.fragment
            or "@" in parts.netloc
        ):
            raise ValueError("an address must look like https://host[:port][/prefix]")
        self.origin = f"{parts.scheme}://{parts.netloc}".lower()
        self.prefix = parts.path.rstrip("/")
        self.host = parts.hostname
        self._finder = finder
        self._host_header = parts.netloc
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()

    async def ask(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        answer_within_s: float,
        first_byte_by_s: float | None = None,
        on_sent: Callable[[], None] | None = None,
    ) -> Answered:
        """One request, once. `target` begins with a slash; times are real seconds. Raises `WireError`."""
        request = self._written_down(method, target, headers, body)
        connection = await self._connected(first_byte_by_s)
        # From here to the write there is no await: what is true now is true when the first byte leaves.
        if connection.is_closed():
            raise WireError(Cut.NO_CONNECTION, has_left=False)
        if first_byte_by_s is not None and time.monotonic() > first_byte_by_s:
            self._put_back(connection)
            raise WireError(Cut.TOO_LATE, has_left=False)
        self._busy.add(connection)
        try:
            async with asyncio.timeout(answer_within_s):
                answered = await connection.ask(request, on_sent)
        except TimeoutError:
            connection.abort()
            raise WireError(Cut.NO_ANSWER, has_left=True) from None
        except BaseException:
            connection.abort()
            raise
        finally:
            self._busy.discard(connection)
        connection.idle_since_s = time.monotonic()
        self._put_back(connection)
        return answered

    async def close(self) -> None:
        """Close every connection; requests under way end as `WireError`."""
        for connection in [*self._idle, *self._busy]:
            connection.abort()
        self._idle.clear()
        await asyncio.sleep(0)  # transports close on the loop's next turn

    def _written_down(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> bytes:
        lines = [f"{method} {self.prefix}{target} HTTP/1.1", f"host: {self._host_header}"]
        lines.append("accept: application/json")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body is not None:
            if "content-type" not in headers:
                lines.append("content-type: application/json")
            lines.append(f"content-length: {len(body)}")
        text = "\r\n".join(lines)
        is_clean = text.isascii() and all(line.isprintable() for line in lines) and " " not in target
        if not is_clean:
            raise WireError(Cut.BAD_REQUEST, has_left=False)
        return text.encode("ascii") + b"\r\n\r\n" + (body or b"")

    async def _connected(self, first_byte_by_s: float | None) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable():
                return connection
            connection.abort()
        within_s = LONGEST_CONNECT_S
        if first_byte_by_s is not None:
            within_s = min(within_s, first_byte_by_s - time.monotonic())
            if within_s <= 0:
                raise WireError(Cut.TOO_LATE, has_left=False)
        connection = await self.connect(_Connection, within_s=within_s)
        connection.idle_since_s = time.monotonic()
        return connection

    async def connect(self, make: Callable[[], Spoken], *, within_s: float) -> Spoken:
        """A new connection to the address, spoken over by `make`'s protocol. Raises `WireError` NO_CONNECTION."""
        try:
            async with asyncio.timeout(within_s):
                hosts = [self.host] if self._finder is None else await self._finder.find_hosts()
                for host in hosts[:-1]:
                    try:
                        return await self._connect_to(host, make)
                    except OSError:
                        continue  # another of its addresses may answer
                return await self._connect_to(hosts[-1], make)
        except (OSError, TimeoutError, ssl.CertificateError):  # OSError covers ssl.SSLError
            if self._finder is not None:
                self._finder.forget()
            raise WireError(Cut.NO_CONNECTION, has_left=False) from None

    def drop_idle(self) -> None:
        """Close the connections over which nothing is under way."""
        for connection in self._idle:
            connection.abort()
        self._idle.clear()

    async def _connect_to(self, host: str, make: Callable[[], Spoken]) -> Spoken:
        name = (
            self.host if self._tls is not None else None
        )  # the certificate is for the name, whatever the host
        _, protocol = await asyncio.get_running_loop().create_connection(
            make, host, self._port, ssl=self._tls, server_hostname=name
        )
        return protocol

    def _put_back(self, connection: _Connection) -> None:
        if connection.is_closed() or len(self._idle) >= MOST_IDLE:
            connection.abort()
        else:
            self._idle.append(connection)
