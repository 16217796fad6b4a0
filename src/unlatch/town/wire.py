"""The least HTTP that the town's clouds need: one request read whole, one answer sent, or the connection cut.

A raw ASGI application, since the town runs on the machine that it measures and a visit costs it about eight
requests. Limits: 64 KiB of body, 2 KiB of path and query, 32 parts of a path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from unlatch.clock import Clock

MAX_BODY = 65_536
MAX_PATH = 2_048
MAX_PARTS = 32
CUT = "unlatch.cut"  # in the scope's extensions: closes the connection at once

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Body = TypeVar("Body")

encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, a body that msgspec can encode (None: empty), further headers. `is_cut`: no answer at all.

    `text` is a page of HTML instead of a body; `content` any bytes, whose media type stands in `headers`.
    """

    status: int
    body: object = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    is_cut: bool = False
    text: str | None = None
    content: bytes | None = None


CUT_OFF = Answer(0, is_cut=True)


class Refused(Exception):
    """Another answer than the asked one."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(str(answer.status))
        self.answer = answer


class Request:
    """One request, its body read whole."""

    __slots__ = ("_receive", "_scope", "body", "method", "parts")

    def __init__(self, scope: Any, receive: Receive, parts: list[str], body: bytes) -> None:
        self._scope = scope
        self._receive = receive
        self.method: str = scope["method"]
        self.parts = parts
        self.body = body

    def header(self, name: bytes) -> str:
        """A header's value, or the empty text."""
        for key, value in self._scope["headers"]:
            if key == name:
                return bytes(value).decode("latin-1")
        return ""

    @property
    def trace(self) -> str:
        """The caller's X-Request-Id, for the ledger."""
        return self.header(b"x-request-id")[:64]

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; the last one of each name."""
        raw = self._scope["query_string"].decode("latin-1")
        try:
            return {key: values[-1] for key, values in parse_qs(raw, max_num_fields=32).items()}
        except ValueError:
            raise Refused(Answer(400, {"error": "too many fields in the query"})) from None

    @property
    def form(self) -> dict[str, str]:
        """The body's fields; none may come twice (RFC 6749, 3.2)."""
        media_type = self.header(b"content-type").partition(";")[0].strip().lower()
        if media_type != "application/x-www-form-urlencoded":
            raise Refused(Answer(400, {"error": "invalid_request", "error_description": "send a form"}))
        try:
            fields = parse_qs(self.body.decode(), keep_blank_values=True, max_num_fields=32)
        except (ValueError, UnicodeDecodeError):
            fields = {"": ["", ""]}
        if any(len(values) > 1 for values in fields.values()):
            raise Refused(Answer(400, {"error": "invalid_request", "error_description": "not a good form"}))
        return {name: values[0] for name, values in fields.items()}

    @property
    def address(self) -> str:
        """Where the caller reached us, such as http://127.0.0.1:8080."""
        return f"http://{self.header(b'host') or '127.0.0.1'}"

    def read(self, kind: type[Body]) -> Body:
        """The body as `kind`; an empty body is an empty object. One that does not fit is refused with 400."""
        try:
            return msgspec.json.decode(self.body or b"{}", type=kind)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise Refused(Answer(400, {"error": str(error)})) from None

    async def stays_until(self, clock: Clock, at: datetime) -> bool:
        """Wait until the clock shows `at`; False as soon as the caller has hung up."""
        while (left_s := (at - clock.now()).total_seconds()) > 0:
            try:
                async with asyncio.timeout(clock.real_s(left_s) + 0.0005):
                    while (await self._receive())["type"] != "http.disconnect":
                        pass
            except TimeoutError:
                continue
            else:
                return False
        return True


Endpoint = Callable[[Request], Awaitable[Answer]]


class CuttingProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, which also lets the application cut the connection (no ASGI server offers that)."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {CUT: {"cut": self.transport.abort}}


class CuttingWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, likewise."""

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if hasattr(
            self, "scope"
        ):  # the handshake was well formed: the application starts on the loop's next turn
            self.scope["extensions"] = {CUT: {"cut": self.transport.abort}}


async def read_body(receive: Receive) -> bytes | None:
    """The whole body; None when it is too long or the caller hung up."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            return None
    return None if message["type"] == "http.disconnect" or len(body) > MAX_BODY else body


def split(scope: Any) -> list[str] | None:
    """The path's parts; None when it is too long. Parts are decoded one by one: %2F stays inside its part."""
    raw = scope["raw_path"] or b""
    if len(raw) + len(scope["query_string"]) > MAX_PATH:
        return None
    parts = raw.decode("latin-1").strip("/").split("/")
    return None if len(parts) > MAX_PARTS else [unquote(part) if "%" in part else part for part in parts]


async def send_answer(send: Send, answer: Answer) -> None:
    """Write one answer with its length."""
    body = b"" if answer.body is None else encode(answer.body)
    media_type = b"application/json"
    if answer.text is not None:
        body, media_type = answer.text.encode(), b"text/html; charset=utf-8"
    headers = [(b"content-type", media_type), *answer.headers]
    if answer.content is not None:
        body, headers = answer.content, list(answer.headers)
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def cut(scope: Any, receive: Receive, send: Send) -> None:
    """Close the connection without an answer. On a server that can't, an answer that never ends its body."""
    extension = (scope.get("extensions") or {}).get(CUT)
    if extension is None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        return
    extension["cut"]()
    while (await receive())["type"] != "http.disconnect":
        pass
