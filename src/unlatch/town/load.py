"""Load: couriers who deliver over real HTTP, each at its own intended moment, whatever the platform does.

Open loop: a visit begins when its time has come, and its latency counts from that intended moment, so that a
platform that stalls can't hide it by keeping couriers waiting (coordinated omission). The client is lean, since
it shares the machine with what it measures: bare sockets, httptools, one proof signed per request.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import httptools
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from unlatch.clock import monotonic_s
from unlatch.domain.visit import FINAL, State
from unlatch.town.car import WENT_WELL
from unlatch.town.car import Outcome as Deed
from unlatch.town.control import Hand

LONGEST_ANSWER_S = 15.0
LONGEST_VISIT_S = 30.0
LONGEST_IDLE_S = 2.0
MAX_ANSWER_BYTES = 1 << 20
TAKEN = frozenset({200, 201})
HANDLE_TRIES = 20
HANDLE_PAUSE_S = 0.05
MAY_OPEN = frozenset({State.READY, State.UNLOCKED, State.OPEN})


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


class Phone:
    """A courier's phone: its key, its token, and a proof for each request (RFC 9449)."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.private_key = ec.generate_private_key(ec.SECP256R1())
        numbers = self.private_key.public_key().public_numbers()
        x, y = (_encode(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
        jwk = {"crv": "P-256", "kty": "EC", "x": x, "y": y}
        self.thumbprint = _encode(hashlib.sha256(msgspec.json.encode(jwk)).digest())
        head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}
        self._head = _encode(msgspec.json.encode(head))
        self._token_hash = _encode(hashlib.sha256(token.encode()).digest())

    def prove(self, method: str, address: str) -> str:
        """A proof for one request to `address`."""
        claims = {
            "htm": method,
            "htu": address,
            "iat": int(time.time()),
            "jti": secrets.token_hex(12),
            "ath": self._token_hash,
        }
        signed = f"{self._head}.{_encode(msgspec.json.encode(claims))}"
        r, s = decode_dss_signature(self.private_key.sign(signed.encode(), ec.ECDSA(SHA256())))
        return f"{signed}.{_encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """One delivery to make."""

    number: int
    stop_id: str
    vin: str
    label: str
    phone: Phone


@dataclass(slots=True, kw_only=True)
class Outcome:
    """How one delivery went. Times are monotonic seconds; `why`: what stood in its way, empty if nothing did."""

    errand: Errand
    intended_s: float
    visit_id: str = ""
    finished_s: float | None = None
    state: str = ""
    why: str = ""

    @property
    def is_delivered(self) -> bool:
        return self.state == State.DELIVERED


class _Line(msgspec.Struct):
    """What we read of a line of the journal's stream."""

    state: str | None = None


class _Visit(msgspec.Struct):
    """What we read of an answer that shows a visit."""

    id: str
    state: str


class _Done(msgspec.Struct):
    """What we read of the town's answer to a hand."""

    outcome: Deed


_lines = msgspec.json.Decoder(_Line)
_visits = msgspec.json.Decoder(_Visit)
_done = msgspec.json.Decoder(_Done)


class Refused(Exception):
    """An answer that ends the errand; the message says which."""


class _Exchange(asyncio.Protocol):
    """One connection, one request at a time; keeps the body, or hands a stream's events on."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.state = ""  # of the visit that is streamed
        self.status = 0
        self.is_closed = False
        self.idle_since_s = 0.0
        self._is_stream = False
        self._body = b""
        self._answer: asyncio.Future[bytes] | None = None
        self._changed: asyncio.Future[None] | None = None
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by class

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._end(ConnectionError(f"not HTTP: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        self._end(ConnectionError("the connection was closed"))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, chunk: bytes) -> None:
        self._body += chunk
        if len(self._body) > MAX_ANSWER_BYTES:
            self._end(ConnectionError("the answer is too long"))
        if self._is_stream and self.status == 200:
            *events, self._body = self._body.split(b"\n\n")
            for event in events:
                self._hear(event)

    def on_message_complete(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(self._body)
        elif self._is_stream:
            self._end(ConnectionError("the stream has ended"))
        if not self._parser.should_keep_alive():
            self.close()

    def _hear(self, event: bytes) -> None:
        _, _, data = event.partition(b"data: ")
        if data and (state := _lines.decode(data).state):
            self.state = state
            if self._changed is not None and not self._changed.done():
                self._changed.set_result(None)

    def _end(self, error: Exception) -> None:
        for future in (self._answer, self._changed):
            if future is not None and not future.done():
                future.set_exception(error)
        self.close()

    def ask(self, request: bytes) -> asyncio.Future[bytes]:
        """The body of the answer."""
        assert self.transport is not None
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._answer

    def follow(self, request: bytes) -> None:
        """Begin to hear a visit's stream."""
        assert self.transport is not None
        self._is_stream = True
        self.transport.write(request)

    async def wait_for(self, wanted: frozenset[State]) -> str:
        """The state, once it is one of these or final. Raises ConnectionError where the stream breaks."""
        while self.state not in wanted and self.state not in FINAL:
            if self.is_closed:
                raise ConnectionError("the stream was closed")
            self._changed = asyncio.get_running_loop().create_future()
            await self._changed
        return self.state

    def close(self) -> None:
        self.is_closed = True
        if self.transport is not None:
            self.transport.close()


class Client:
    """Requests to one address, over connections that are kept."""

    def __init__(self, address: str) -> None:
        self.address = address
        parts = urlsplit(address)
        self._host, self._port, self._netloc = parts.hostname or "127.0.0.1", parts.port or 80, parts.netloc
        self._idle: list[_Exchange] = []

    async def _take(self) -> _Exchange:
        """A connection that was just in use, or a new one: the server may be closing one that was idle for long."""
        while self._idle:
            exchange = self._idle.pop()
            if not exchange.is_closed and monotonic_s() - exchange.idle_since_s < LONGEST_IDLE_S:
                return exchange
            exchange.close()
        return await self._connect()

    def _write(self, method: str, path: str, phone: Phone | None, body: bytes | None) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"host: {self._netloc}"]
        if phone is not None:
            lines.append(f"authorization: DPoP {phone.token}")
            lines.append(f"dpop: {phone.prove(method, self.address + path)}")
        if body is not None:
            lines += ["content-type: application/json", f"content-length: {len(body)}"]
            lines.append(f"idempotency-key: {secrets.token_hex(8)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")

    async def _connect(self) -> _Exchange:
        loop = asyncio.get_running_loop()
        _, exchange = await loop.create_connection(_Exchange, self._host, self._port)
        return exchange

    async def post(
        self, path: str, phone: Phone | None, body: Any, *, taken: frozenset[int] = TAKEN
    ) -> bytes:
        """Post; the answer's body. Raises Refused for any status but those `taken`."""
        request = self._write("POST", path, phone, msgspec.json.encode(body))
        exchange = await self._take()
        async with asyncio.timeout(LONGEST_ANSWER_S):
            answer = await exchange.ask(request)
        if not exchange.is_closed:
            exchange.idle_since_s = monotonic_s()
            self._idle.append(exchange)
        if exchange.status not in taken:
            raise Refused(
                f"{exchange.status} {path.rpartition('/')[2]}: {answer[:200].decode(errors='replace')}"
            )
        return answer

    async def follow(self, path: str, phone: Phone) -> _Exchange:
        """A stream of its own connection."""
        exchange = await self._connect()
        exchange.follow(self._write("GET", path, phone, None))
        return exchange

    def close(self) -> None:
        for exchange in self._idle:
            exchange.close()
        self._idle.clear()


@dataclass(kw_only=True)
class Round:
    """Couriers at work against one installation."""

    server: Client
    town: Client
    latitude: float
    longitude: float
    outcomes: list[Outcome] = field(default_factory=list)

    async def run(self, errands: Sequence[Errand], at_s: Sequence[float]) -> list[Outcome]:
        """Deliver each at its moment (seconds from now); the outcomes, when all have ended or given up."""
        begun_s = monotonic_s()
        tasks = []
        for errand, after_s in zip(errands, at_s, strict=True):
            intended_s = begun_s + after_s
            await asyncio.sleep(max(0.0, intended_s - monotonic_s()))
            tasks.append(asyncio.create_task(self._deliver(Outcome(errand=errand, intended_s=intended_s))))
        return list(await asyncio.gather(*tasks))

    async def _deliver(self, outcome: Outcome) -> Outcome:
        try:
            async with asyncio.timeout(LONGEST_VISIT_S):
                await self._visit(outcome)
        except Refused as refused:
            outcome.why = str(refused)
        except TimeoutError:
            outcome.why = f"not over in time, {outcome.state or 'no visit'}"
        except OSError as error:
            outcome.why = f"connection: {error}"
        self.outcomes.append(outcome)
        return outcome

    async def _visit(self, outcome: Outcome) -> None:
        errand = outcome.errand
        phone = errand.phone
        position = {"latitude": self.latitude, "longitude": self.longitude, "accuracy_m": 5}
        label = {"text": f"00{errand.label}", "symbology_identifier": "]C1"}
        path = f"/v1/courier/stops/{errand.stop_id}/scan"
        visit = _visits.decode(await self.server.post(path, phone, {"label": label, "position": position}))
        outcome.visit_id, outcome.state = visit.id, visit.state
        if visit.state in FINAL:
            raise Refused(f"the visit is {visit.state} at once")
        stream = await self.server.follow(f"/v1/visits/{visit.id}/events", phone)
        try:
            outcome.state = await stream.wait_for(MAY_OPEN)
            if outcome.state not in MAY_OPEN:
                raise Refused(f"the visit has ended as {outcome.state}")
            await self._pull_handle(errand)
            await self.server.post(f"/v1/courier/visits/{visit.id}/opened", phone, {})
            await self.server.post(f"/v1/courier/visits/{visit.id}/deposited", phone, {})
            await self.town.post(f"/town/cars/{errand.vin}/{Hand.CLOSE_TRUNK}", None, {})
            await self.server.post(f"/v1/courier/visits/{visit.id}/closed", phone, {})
            outcome.state = await stream.wait_for(FINAL)
            outcome.finished_s = monotonic_s()
        finally:
            outcome.state = stream.state or outcome.state
            stream.close()

    async def _pull_handle(self, errand: Errand) -> None:
        """Until it opens: the cloud may have said done a moment before the latch moved."""
        for _ in range(HANDLE_TRIES):
            answer = await self.town.post(
                f"/town/cars/{errand.vin}/{Hand.OPEN_TRUNK}", None, {}, taken=TAKEN | {409}
            )
            if _done.decode(answer).outcome in WENT_WELL:
                return
            await asyncio.sleep(HANDLE_PAUSE_S)
        raise Refused("the trunk did not open")
