"""Recorded answers of a cloud, spoilt in values, text, HTTP and order; and a cloud that gives them.

An answer is spoilt before anyone asks, so that the same lot gives the same bytes in whatever order they are asked for.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from tests.devices.canned import Canned, read_request
from websockets.protocol import State
from websockets.server import ServerProtocol

from unlatch.devices.base import Reply

# Words that mean something to some maker: where one is said and was not, it may be believed, and only there.
WORDS = (
    "LOCKED", "UNLOCKED", "CLOSED", "OPEN", "AJAR", "STOPPED", "RUNNING", "COMPLETED", "DELIVERED", "REJECTED",
    "TIMEOUT", "CAR_IN_SLEEP_MODE", "success", "SUCCESS", "failure", "IN_PROGRESS", "inProgress", "ONS-216",
    "locked", "unlocked", "unlocking", "jammed", "closed", "open", "opening", "on", "off", "disarmed",
    "unavailable", "unknown", "01JOURS", "not_found", "result", "event", "auth_ok", "Bearer", "invalid_grant",
    "invalid_client", "{base}/", "UNAVAILABLE",
)  # fmt: skip
TEXTS = (
    "", " ", "\x00", "\ud800", "\u202e", "\uff2c\uff2f\uff23\uff2b\uff25\uff24", "LOCKED\x00", "null", "true", "0",
    "-1", "a" * 101, "b" * 5000, "http://[", "//x]/", "http://elsewhere.invalid/1", "{base}/../..", "{base}/a b",
    "{base}/\xe9", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-11-22", "20261122T100000Z",
    "2026-02-30T00:00:00Z", "2999-01-01T00:00:00Z", "1e999", "\u0661", "0_0",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 0.0, -0.0, 0.5, 91.0, 181, 1e308, -1e308, 5e-324, 2**31, 2**63, 2**64, 10**400,
    -(10**400), float("nan"), float("inf"), float("-inf"), [], {}, [[]], [{}], {"": ""}, [None] * 300, "",
)  # fmt: skip
NUMBERS = (
    b"9" * 5000,
    b"1e999",
    b"-0",
    b"01",
    b"0x1",
    b"1_000",
    b"+1",
    b"NaN",
    b"-Infinity",
    b"1.",
    b".5",
    b"1e-400",
)
DEEP = (
    b"[" * 30_000,
    b"[" * 900 + b"]" * 900,
    b'{"a":' * 900 + b"0" + b"}" * 900,
    b"[" * 60_000 + b"]" * 60_000,
)
CHARSETS = ("utf-16", "utf-16-be", "utf-32", "utf-8-sig", "latin-1", "utf-7", "cp037")
STATUSES = (
    0, 99, 100, 101, 102, 103, 199, 200, 200, 201, 202, 203, 204, 205, 206, 207, 226, 300, 301, 302, 304, 307, 308,
    400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 412, 418, 422, 423, 425, 426, 429, 451, 499, 500, 501, 502,
    503, 504, 520, 599, 600, 999,
)  # fmt: skip
HEADERS = (
    "content-type: text/html", "content-type: application/json; charset=utf-16", "content-type: \xff\xfe",
    "content-type:", "content-encoding: gzip", "content-length: 0", "content-length: 7",
    "content-length: 99999999999999999999", "content-length: -1", "content-length: x", "transfer-encoding: chunked",
    "transfer-encoding: gzip, chunked", "connection: close", "connection: upgrade\r\nupgrade: h2c",
    "location: http://elsewhere.invalid/", "retry-after: 0", "retry-after: -5", "retry-after: 1e9",
    "retry-after: \u00b2", "retry-after: Sun, 22 Nov 99999999999 10:00:00 GMT",
    "date: Fri, 31 Dec 9999 23:59:59 GMT", "date: Mon, 01 Jan 0001 00:00:00 +2359", "date: yesterday", ": nameless",
    "no colon", " folded: once", "x: " + "y" * 70_000, "set-cookie: a=b", "\x00: \x00",
)  # fmt: skip
BEFORE = (
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n",
    b"\r\n\r\n",
    b"\x16\x03\x01",
    b"<",
)
TWICE = "\x01"  # at the end of a name: written without it, so that the name comes twice


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoilt(Reply):
    """A reply as bytes. Of a WebSocket `messages` are what is sent: a kind of frame, and what is in it."""

    raw: bytes = b""
    lines: tuple[str, ...] = ()
    before: bytes = b""
    has_length: bool = True
    keeps: float = 1.0  # how much of it is sent before the connection is cut
    messages: tuple[tuple[str, bytes], ...] = ()


def spoil(lot: random.Random, replies: Sequence[Reply]) -> list[Spoilt]:
    """Up to four accidents; with none of them the answers are what was recorded."""
    kept = deepcopy(list(replies))
    accidents = lot.choices(("values", "text", "http", "order"), (60, 14, 16, 10), k=lot.randint(0, 4))
    for _ in range(accidents.count("order")):
        _reorder(lot, kept)
    if not kept:
        return []
    for _ in range(accidents.count("values")):
        at = lot.randrange(len(kept))
        kept[at] = replace(kept[at], body=_spoil_value(lot, kept[at].body))
    written = [_write(one) for one in kept]
    for name, change in (("text", _spoil_text), ("http", _spoil_http)):
        for _ in range(accidents.count(name)):
            at = lot.randrange(len(written))
            written[at] = change(lot, written[at])
    return written


# ---- order ----------------------------------------------------------------------------------------------------------


def _reorder(lot: random.Random, many: list[Any]) -> None:
    """Leave one out, say one twice, or let two change places; of the answers, or of one WebSocket's messages."""
    talks = [one.body for one in many if isinstance(one, Reply) and isinstance(one.body, list)]
    line = lot.choice(talks) if talks and lot.random() < 0.8 else many
    if not line:
        return
    at, to = lot.randrange(len(line)), lot.randrange(len(line))
    match lot.randrange(3):
        case 0:
            del line[at]
        case 1:
            line.insert(to, deepcopy(line[at]))
        case _:
            line[at], line[to] = line[to], line[at]


# ---- values ---------------------------------------------------------------------------------------------------------


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in `value` and each key of it."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield value, key
        yield from _places(inner)


def _spoil_value(lot: random.Random, value: Any) -> Any:
    """One place of it: another value, none, another's, another name, a name twice, wrapped up."""
    places = list(_places(value))
    if not places or lot.random() < 0.03:
        return _another(lot, value)
    holder, key = lot.choice(places)
    match lot.randrange(8):
        case 0:
            del holder[key]
        case 1:
            other, of = lot.choice(places)
            holder[key], other[of] = deepcopy(other[of]), deepcopy(holder[key])
        case 2 if isinstance(holder, dict):
            holder[_accident(lot, key)] = holder.pop(key)
        case 3 if isinstance(holder, dict):
            holder[key + TWICE] = _another(lot, holder[key])
        case 4:
            holder[key] = lot.choice(
                ([holder[key]], {"value": holder[key]}, [holder[key]] * 3, {str(key): holder[key]})
            )
        case 5:
            holder[key] = deepcopy(lot.choice(places)[0])
        case _:
            holder[key] = _another(lot, holder[key])
    return value


def _another(lot: random.Random, value: Any) -> Any:
    if isinstance(value, str) and lot.random() < 0.4:
        return _accident(lot, value)
    return deepcopy(lot.choice(lot.choice((WORDS, TEXTS, VALUES))))


def _accident(lot: random.Random, text: str) -> str:
    """Cut, longer, of other letters."""
    at = lot.randint(0, len(text))
    return lot.choice((
        text[:at], text[at:], text.swapcase(), f" {text}", f"{text}\n", text * 2,
        text[:at] + lot.choice("\x00\u00e9\ud83d\u0130Z0 ") + text[at:],
        text.translate(str.maketrans("OEKTaeo", "\u041e\u0415\u039a\u03a4\u0430\u0435\u043e")),
    ))  # fmt: skip


# ---- text and HTTP --------------------------------------------------------------------------------------------------


def _encoded(value: Any) -> bytes:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.replace('\\u0001"', '"').encode("utf-8", "surrogatepass")


def _write(reply: Reply) -> Spoilt:
    lines = tuple(f"{name}: {value}" for name, value in reply.headers.items())
    if reply.status == 101 or reply.to.startswith("WS "):
        body = reply.body if isinstance(reply.body, list) else [reply.body]
        messages = tuple(("text", _encoded(one)) for one in body)
        return Spoilt(to=reply.to, status=reply.status, lines=lines, messages=messages)
    return Spoilt(to=reply.to, status=reply.status, lines=lines, raw=_encoded(reply.body))


def _spoil_text(lot: random.Random, reply: Spoilt) -> Spoilt:
    if not reply.messages:
        return replace(reply, raw=_spoil_bytes(lot, reply.raw))
    messages = list(reply.messages)
    at = lot.randrange(len(messages))
    kind, data = messages[at]
    if lot.random() < 0.3:
        kind = lot.choice(("binary", "parts", "ping", "close"))
    else:
        data = _spoil_bytes(lot, data)
    messages[at] = kind, data
    return replace(reply, messages=tuple(messages))


def _spoil_bytes(lot: random.Random, raw: bytes) -> bytes:
    at = lot.randint(0, len(raw))
    match lot.randrange(7):
        case 0:
            return raw[:at]
        case 1:
            return raw[:at] + bytes([lot.randrange(256)]) + raw[at + 1 :]
        case 2:
            return raw + lot.choice((raw, b" ", b"\x00", b",", b"\n{}", b"}", b"\xff"))
        case 3:
            return raw.decode("utf-8", "replace").encode(lot.choice(CHARSETS), "replace")
        case 4:
            return re.sub(rb"\d+(\.\d+)?", lambda _: lot.choice(NUMBERS), raw, count=lot.randint(1, 3))
        case 5:
            return re.sub(rb'"[^"]*"(?!:)', lambda _: lot.choice(DEEP), raw, count=1)
        case _:
            return lot.choice(
                (b"", b"<html>", b"null", b"[]", b"{}", b"0", *DEEP, b" " * 300_000, bytes(range(256)))
            )


def _spoil_http(lot: random.Random, reply: Spoilt) -> Spoilt:
    match lot.randrange(8):
        case 0 | 1 | 2:
            return replace(reply, status=lot.choice(STATUSES))
        case 3 | 4:
            return replace(reply, lines=(*reply.lines, lot.choice(HEADERS)))
        case 5:
            return replace(reply, keeps=lot.random())
        case 6:
            return replace(reply, before=lot.choice(BEFORE))
        case _:
            return replace(reply, has_length=False)


# ---- the cloud ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    """What the cloud answered to a request, or said on a WebSocket (status 200)."""

    line: str
    status: int
    raw: bytes


class Liar(Canned):
    """Gives spoilt answers, and keeps what it said."""

    def __init__(self, replies: Sequence[Spoilt]) -> None:
        super().__init__(replies)
        self.said: list[Said] = []
        self.talks: set[asyncio.Task[Any]] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk is not None
        self.talks.add(talk)
        talk.add_done_callback(self.talks.discard)
        while True:
            line, raw = await read_request(reader)
            self.asked.append(line)
            self.raw.append(raw)
            reply = self._find(line)
            if reply is not None and reply.status == 101 and "/api/websocket" in line:
                await self._talk(raw, reply, reader, writer)
                return
            writer.write(self._answer(reply))
            if isinstance(reply, Spoilt) and (reply.keeps < 1.0 or not reply.has_length):
                return  # which hangs up
            await writer.drain()

    def _based(self, raw: bytes) -> bytes:
        return raw.replace(b"{base}", self.base.encode())

    def _answer(self, reply: Reply | None) -> bytes:
        if not isinstance(reply, Spoilt):
            self.said.append(Said(self.asked[-1], 599, b""))
            return super()._answer(None)
        body = self._based(reply.raw)
        lines = [f"HTTP/1.1 {reply.status:03} X", *reply.lines]
        lines += [f"content-length: {len(body)}"] * reply.has_length
        head = "".join(f"{line}\r\n" for line in lines).encode("latin-1", "replace")
        answer = reply.before + head + b"\r\n" + body
        kept = int(len(answer) * reply.keeps)
        is_whole = (
            kept == len(answer) or not reply.has_length
        )  # without a length its end is where the other hangs up
        body = body[: max(0, kept - len(answer) + len(body))]
        self.said.append(
            Said(self.asked[-1], reply.status, body) if is_whole else Said(self.asked[-1], 599, b"")
        )
        return answer[:kept]

    def _say(self, protocol: ServerProtocol, reply: Reply) -> None:
        assert isinstance(reply, Spoilt)
        for kind, raw in reply.messages if protocol.state is State.OPEN else ():
            data = self._based(raw)
            match kind:
                case "binary":
                    protocol.send_binary(data)
                case "ping":
                    protocol.send_ping(data[:125])
                case "close":
                    protocol.send_close(1001, "bye")
                    return
                case "parts":
                    protocol.send_text(data[:5], fin=False)
                    protocol.send_continuation(data[5:], fin=True)
                case _:
                    protocol.send_text(data)
            if kind in ("text", "parts"):
                self.said.append(Said(self.asked[-1], 200, data))
