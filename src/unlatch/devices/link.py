"""The link to one maker's cloud: what is known of every request's end, and who may send one now.

A command is posted once and never again by itself. What is known about its end is decided by bytes: before
the first has left, `CommandNotSent`; afterwards, unless an answer tells more, `CommandUnknown`. Messages and
logs name the maker, the verb and a code, never a VIN, token, position or address.

Times: waiting for the physical world is on the clock (town time); sockets are real, so each wait for an
answer is the town's wait in real seconds, but never less than `least_answer_s`: below it a busy machine would
take its own slowness for the cloud's.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from unlatch.clock import Clock
from unlatch.devices.base import Car, Sending, Verb
from unlatch.devices.body import read_http_date, read_json, read_number, read_time
from unlatch.devices.capacity import Breaker, Budgets, Ceilings, Purpose, Room
from unlatch.devices.websocket import WebSocket, open_websocket
from unlatch.devices.wire import Answered, Cut, Finder, Wire, WireError
from unlatch.errors import (
    CommandNotSent,
    CommandRejected,
    CommandUnknown,
    ConsentLost,
    DeviceError,
    DeviceUnsupported,
)

PURPOSES = {
    Verb.UNLOCK: Purpose.OPENING,
    Verb.FLASH: Purpose.OPENING,  # shed like one, since it can wait
    Verb.PLAY: Purpose.OPENING,  # without it the door stays shut
    Verb.RING: Purpose.OPENING,  # the courier rings anyway
    Verb.LOCK: Purpose.CLOSING,
    Verb.READ: Purpose.READING,
}
OPEN_4XX = (408, 422, 425)  # of a refusal these alone leave open how far the request came
LONGEST_RETRY_AFTER_S = 86_400.0
READ_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the cloud answered: status, headers, and the JSON value of the body (None if it is none)."""

    status: int
    headers: Mapping[str, str]
    json: Any

    def __repr__(self) -> str:
        return f"Heard({self.status})"

    def find(self, *path: str | int) -> Any:
        """The value at `path` of the body, or None; nothing about the body's shape is taken on trust."""
        value = self.json
        for step in path:
            if isinstance(value, dict) and isinstance(step, str):
                value = value.get(step)
            elif isinstance(value, list) and isinstance(step, int) and -len(value) <= step < len(value):
                value = value[step]
            else:
                return None
        return value

    def find_word(self, *path: str | int) -> str | None:
        """The text at `path`, if it is one of at most 100 characters."""
        value = self.find(*path)
        return value if isinstance(value, str) and 0 < len(value) <= 100 else None

    def find_number(self, *path: str | int) -> float | None:
        """The number at `path`, if it is one."""
        return read_number(self.find(*path))

    def find_time(self, *path: str | int) -> datetime | None:
        """The ISO 8601 time at `path`, in UTC; a time without a zone is taken for UTC."""
        word = self.find_word(*path)
        return None if word is None else read_time(word)


def quoted(text: str) -> str:
    """`text` as one step of a path."""
    return quote(text, safe="")


class Link:
    """One cloud: its connections, its room, its breaker, its cars' budgets. Used from one event loop."""

    def __init__(
        self,
        *,
        name: str,
        address: str,
        clock: Clock,
        commands_a_minute: int | None = None,
        ceilings: Ceilings | None = None,
        least_answer_s: float = 0.5,
        finder: Finder | None = None,
    ) -> None:
        self.name = name
        self.clock = clock
        self.least_answer_s = least_answer_s
        self.wire = Wire(address, finder=finder)
        self.room = Room(ceilings or Ceilings())
        self.breaker = Breaker(self._now_s)
        self.budgets = Budgets(self._now_s, commands_a_minute)
        self._commands: dict[tuple[str, Purpose], Verb] = {}  # one command in flight per car and purpose

    async def close(self) -> None:
        """Close every connection."""
        await self.wire.close()

    @property
    def is_idle(self) -> bool:
        """Nothing of ours is under way on it."""
        return not self._commands and self.room.taken == 0

    def find_obstacle(self, car: Car) -> str | None:
        """Why an opening of `car` would be refused here and now, as a code; None: it would leave."""
        if any((car.vin, purpose) in self._commands for purpose in (Purpose.OPENING, Purpose.CLOSING)):
            return "in_flight"
        if self.breaker.is_open():
            return "outage"
        if not self.room.has_room(Purpose.OPENING):
            return "busy"
        if self.budgets.wait_s(car.vin) > 0:
            return "quota"
        return None

    @asynccontextmanager
    async def command(self, car: Car, verb: Verb) -> AsyncIterator[None]:
        """Hold the car for one command, from before its POST until its end is known.

        An opening is refused if anything is in flight for the car, and shed first when the cloud is slow or
        the budget low. A lock is refused only while another lock is in flight: it passes an unlock still
        under way, since a block must be on the wire within 2 s (protocol S4).
        """
        purpose = PURPOSES[verb]
        held = (car.vin, purpose)
        if purpose is Purpose.OPENING:
            if (obstacle := self.find_obstacle(car)) is not None:
                retry_after_s = self.budgets.wait_s(car.vin) if obstacle == "quota" else None
                raise self.not_sent(verb, obstacle, retry_after_s=retry_after_s)
            self.breaker.try_one()
        elif held in self._commands:
            raise self.not_sent(verb, "in_flight")
        self._commands[held] = verb
        try:
            yield
        finally:
            del self._commands[held]

    async def post(
        self,
        car: Car,
        verb: Verb,
        target: str,
        *,
        headers: Mapping[str, str],
        json: Any = None,
        sending: Sending,
        answer_within_s: float,
    ) -> Heard:
        """Send a command's bytes, once. Raises `CommandNotSent` or `CommandUnknown`; any status returns."""
        self._check_let_in(car, verb)
        body = b"" if json is None else msgspec.json.encode(json)
        if sending.trace_id is not None:
            headers = {**headers, "x-request-id": sending.trace_id}
        self.budgets.spend(car.vin)
        purpose = PURPOSES[verb]
        await self._enter(verb, purpose)
        try:
            answered = await self.wire.ask(
                "POST",
                target,
                headers=headers,
                body=body,
                answer_within_s=self.real_wait_s(answer_within_s),
                first_byte_by_s=sending.first_byte_by_s,
                on_sent=sending.on_sent,
            )
        except WireError as error:
            raise self.lost(car, verb, error) from None
        finally:
            self.room.leave()
        return self._heard(car, answered)

    async def get(self, car: Car, target: str, *, headers: Mapping[str, str]) -> Heard:
        """Read. Tried once more after a short pause if the connection failed. Any status returns."""
        self._check_let_in(car, Verb.READ)
        tries_left = 2
        while True:
            tries_left -= 1
            await self._enter(Verb.READ, Purpose.READING)
            try:
                answered = await self.wire.ask(
                    "GET", target, headers=headers, answer_within_s=self.real_wait_s(READ_WITHIN_S)
                )
                return self._heard(car, answered)
            except WireError as error:
                self._note_failure(car, error)
                if error.cut not in (Cut.NO_CONNECTION, Cut.CLOSED) or not tries_left:
                    raise self.not_sent(Verb.READ, CODES_OF_CUT[error.cut]) from None
            finally:
                self.room.leave()
            await self.clock.sleep(random.uniform(0.2, 1.0))

    @asynccontextmanager
    async def conversation(
        self, car: Car, verb: Verb, target: str, *, within_s: float, trace_id: str | None = None
    ) -> AsyncIterator[WebSocket]:
        """A WebSocket of its own, for one command and what comes of it; `within_s` real seconds to open it.

        Raises `WireError` when it can't be opened; what is said on it, and what that means, is the maker's.
        """
        self._check_let_in(car, verb)
        await self._enter(verb, PURPOSES[verb])
        try:
            socket = await self._open_websocket(car, target, within_s, trace_id)
            try:
                yield socket
            finally:
                socket.close()
        finally:
            self.room.leave()

    async def _open_websocket(
        self, car: Car, target: str, within_s: float, trace_id: str | None
    ) -> WebSocket:
        headers = {} if trace_id is None else {"x-request-id": trace_id}
        try:
            socket = await open_websocket(self.wire, target, headers=headers, within_s=within_s)
        except WireError as error:
            self._note_failure(car, error)
            raise
        self.breaker.succeeded()
        return socket

    def lost(self, car: Car, verb: Verb, error: WireError) -> DeviceError:
        """What is known of a command after its connection failed so; it is counted against the cloud."""
        self._note_failure(car, error)
        code = CODES_OF_CUT[error.cut]
        return self.unknown(verb, code) if error.has_left else self.not_sent(verb, code)

    def real_wait_s(self, town_s: float) -> float:
        """How long to wait for the cloud, in real seconds, where the town's wait is `town_s`."""
        return max(self.least_answer_s, self.clock.real_s(town_s))

    def find_own_target(self, url: str | None) -> str | None:
        """The path and query of a URL that the cloud gave us, if it leads to the same cloud; else None.

        Anywhere else we would hand the owner's token to a stranger.
        """
        if url is None or len(url) > 2000:
            return None
        try:
            parts = urlsplit(url)
        except ValueError:
            return None
        if parts.netloc and f"{parts.scheme}://{parts.netloc}".lower() != self.wire.origin:
            return None
        if not parts.path.startswith(f"{self.wire.prefix}/") or parts.path.startswith("//"):
            return None
        return parts.path.removeprefix(self.wire.prefix) + (f"?{parts.query}" if parts.query else "")

    def refusal(self, car: Car, verb: Verb, heard: Heard) -> DeviceError | None:
        """What an HTTP status that no maker treats otherwise says of a command or a reading; None for a 2xx.

        4xx: the cloud did not take it on. 3xx and 5xx: nobody can tell (we follow no redirect).
        """
        status = heard.status
        if 200 <= status < 300:
            return None
        if status == 401:
            return ConsentLost(self.text(verb, "auth_expired"), code="auth_expired")
        if status == 403:
            return self._forbidden(verb, heard)
        if status in (404, 405, 410, 501):
            return DeviceUnsupported(self.text(verb, "not_supported"), code="not_supported")
        if status == 429:
            retry_after_s = self._retry_after_s(heard)
            self.budgets.refused(car.vin, for_s=retry_after_s or 10.0)
            return self.not_sent(verb, "rate_limited", retry_after_s=retry_after_s)
        if status == 409 and verb is Verb.READ:
            return self.not_sent(verb, "unsafe_state")  # no reading is ever rejected
        if status == 409:
            return CommandRejected(self.text(verb, "unsafe_state"), code="unsafe_state")
        if 400 <= status < 500 and status not in OPEN_4XX:
            return self.not_sent(verb, "bad_request")
        return self.unknown(verb, "vendor_down" if status >= 500 else "unexpected_answer")

    def text(self, verb: Verb, code: str) -> str:
        """A message that names nobody."""
        return f"{self.name} {verb}: {code}"

    def not_sent(self, verb: Verb, code: str, *, retry_after_s: float | None = None) -> CommandNotSent:
        """Surely not done."""
        return CommandNotSent(self.text(verb, code), code=code, retry_after_s=retry_after_s)

    def unknown(self, verb: Verb, code: str) -> CommandUnknown:
        """It may have happened."""
        return CommandUnknown(self.text(verb, code), code=code)

    def _check_let_in(self, car: Car, verb: Verb) -> None:
        """Without the owner's consent nothing is asked: not even whether it has come back."""
        if not car.is_let_in:
            raise ConsentLost(self.text(verb, "consent_missing"), code="consent_missing")

    async def _enter(self, verb: Verb, purpose: Purpose) -> None:
        if purpose is Purpose.OPENING and not self.room.has_room(purpose):
            raise self.not_sent(verb, "busy")
        try:
            async with asyncio.timeout(self.real_wait_s(READ_WITHIN_S)):
                await self.room.enter(purpose)
        except TimeoutError:
            raise self.not_sent(verb, "busy") from None

    def _heard(self, car: Car, answered: Answered) -> Heard:
        if answered.status >= 500:
            self.breaker.failed(car.vin, has_connected=True)
        else:
            self.breaker.succeeded()
        return Heard(status=answered.status, headers=answered.headers, json=read_json(answered.body))

    def _forbidden(self, verb: Verb, heard: Heard) -> DeviceError:
        """A 403 has many causes; only its prose tells them apart."""
        prose = str(heard.json)[:2000].lower()
        for word, code in _CAUSES_OF_403.items():
            if word in prose:
                return ConsentLost(self.text(verb, code), code=code)
        if "quota" in prose:
            return self.not_sent(verb, "quota")
        return ConsentLost(self.text(verb, "consent_missing"), code="consent_missing")

    def _note_failure(self, car: Car, error: WireError) -> None:
        if error.cut not in (Cut.TOO_LATE, Cut.BAD_REQUEST):
            self.breaker.failed(car.vin, has_connected=error.cut is not Cut.NO_CONNECTION)

    def _retry_after_s(self, heard: Heard) -> float | None:
        word = heard.headers.get("retry-after", "")
        if word.isdecimal() and len(word) < 9:
            return min(float(word), LONGEST_RETRY_AFTER_S)
        at = read_http_date(word)
        if at is None:
            return None
        wait_s = (at - self.clock.now()).total_seconds()
        return min(max(0.0, wait_s), LONGEST_RETRY_AFTER_S)

    def _now_s(self) -> float:
        return self.clock.now().timestamp()


_CAUSES_OF_403 = {"subscription": "subscription", "privacy": "privacy_mode"}
CODES_OF_CUT = {
    Cut.NO_CONNECTION: "vendor_down",
    Cut.TOO_LATE: "too_late",
    Cut.BAD_REQUEST: "bad_request",
    Cut.NO_ANSWER: "timeout",
    Cut.CLOSED: "connection_cut",
    Cut.GARBAGE: "unexpected_answer",
    Cut.TOO_LARGE: "unexpected_answer",
}
