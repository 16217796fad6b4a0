"""The API of Unlatch as its users' programs call it: over HTTP, each request repeated until it is answered.

Nothing of the server's own code is used here: what these clients know of it is what docs/reference/api.md says.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

import httpx
import msgspec

from unlatch.errors import UnlatchError

TIMEOUT_S = 15.0
SILENT_STREAM_S = 10.0  # a stream that says nothing for so long is cut: it says each second that it lives
KEEP_TRYING_S = 30.0  # real seconds, while the server does not answer
PAUSE_S = 0.2  # before asking again, at first
PAUSE_MOST_S = 1.0
MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_EVENT_BYTES = 1024 * 1024
TRY_AGAIN = frozenset({429, 503})

Body = TypeVar("Body")


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One reason of a refusal."""

    code: str
    text: str


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """A visit as the API shows it."""

    id: str
    stop_id: str
    state: str
    state_text: str
    is_live: bool
    next_step: str
    next_step_text: str
    incident: str | None
    reasons: list[Reason]
    whereabouts: str
    tail: str
    begun_at: datetime
    ended_at: datetime | None
    recording: str = "none"
    is_clean: bool = True


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a visit's journal, as its stream tells it. `body` is shown to carriers and operators alone."""

    visit_id: str
    number: int
    at: datetime
    kind: str
    name: str
    who: str
    text: str
    state: str | None = None
    incident: str | None = None
    body: dict[str, Any] | None = None


class Problem(UnlatchError):
    """The API refuses, with a problem document (RFC 9457)."""

    def __init__(self, status: int, document: dict[str, Any]) -> None:
        self.status = status
        self.trouble = str(document.get("type", "")).rpartition("problem-")[2]
        self.detail = str(document.get("detail") or document.get("title") or "")[:500]
        self.reasons = [str(reason.get("code")) for reason in document.get("reasons") or []]
        super().__init__(f"{status} {self.trouble}: {self.detail}")


def _pauses() -> Iterator[float]:
    """Seconds: growing, and drawn by lot, so that those whom one cut has hit don't all come back at once."""
    pause_s = PAUSE_S
    while True:
        yield pause_s * random.uniform(0.5, 1.0)
        pause_s = min(2 * pause_s, PAUSE_MOST_S)


class Caller:
    """Someone who asks the API with a key of their own. Not answered: asks again, with the same idempotency key.

    Errors: Problem (the API refuses), UnlatchError (it did not answer within `keep_trying_s`).
    """

    def __init__(self, base_url: str, key: str = "", *, http: httpx.AsyncClient | None = None) -> None:
        self.base_url = base_url.rstrip("/")
        self.key = key
        self._is_ours = http is None
        self._http = http or httpx.AsyncClient(
            timeout=TIMEOUT_S, trust_env=False, verify=self.base_url.startswith("https:")
        )
        self.keep_trying_s = KEEP_TRYING_S
        self._seen: dict[str, int] = {}  # of each visit: the last line that was read

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections, unless they were lent."""
        if self._is_ours:
            await self._http.aclose()

    def sign(self, method: str, path: str) -> dict[str, str]:
        """The headers that say who asks; new for each attempt."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    async def ask(
        self, method: str, path: str, body: Any = None, *, idempotency_key: str | None = None
    ) -> bytes:
        """One request, repeated until it is answered; what the answer holds."""
        content = None if body is None else msgspec.json.encode(body)
        more = {"Content-Type": "application/json"} if content is not None else {}
        if method == "POST":
            more["Idempotency-Key"] = idempotency_key or str(uuid4())
        deadline = asyncio.get_running_loop().time() + self.keep_trying_s
        pauses = _pauses()
        while True:
            is_last = asyncio.get_running_loop().time() > deadline
            try:
                answer = await self._http.request(
                    method,
                    self.base_url + path,
                    content=content,
                    headers={**self.sign(method, path.partition("?")[0]), **more},
                )
            except httpx.TransportError as error:
                if is_last:
                    raise UnlatchError(f"{self.base_url} does not answer: {error!r}") from error
            else:
                if len(answer.content) > MAX_ANSWER_BYTES:
                    raise UnlatchError(f"the answer to {method} {path} is too long")
                if answer.is_success:
                    return answer.content
                problem = problem_of(answer.status_code, answer.content)
                is_under_way = problem.trouble == "under_way"
                if is_last or not (is_under_way or answer.status_code in TRY_AGAIN):
                    raise problem
            await asyncio.sleep(next(pauses))

    async def get(self, path: str, kind: type[Body]) -> Body:
        """What stands there."""
        return msgspec.json.decode(await self.ask("GET", path), type=kind)

    async def post(
        self, path: str, body: Any, kind: type[Body], *, idempotency_key: str | None = None
    ) -> Body:
        """Do it, once."""
        content = await self.ask("POST", path, body, idempotency_key=idempotency_key)
        return msgspec.json.decode(content, type=kind)

    # ---- visits: for everyone entitled ------------------------------------------------------------------

    async def visit(self, visit_id: str) -> Visit:
        """How it stands."""
        return await self.get(f"/v1/visits/{visit_id}", Visit)

    async def export_proof(self, visit_id: str) -> bytes:
        """Its whole journal as a file for `unlatch verify`."""
        return await self.ask("GET", f"/v1/visits/{visit_id}/proof")

    async def follow(self, visit_id: str, *, after: int = 0) -> AsyncGenerator[Line, None]:
        """Its journal behind line `after`, as it grows, until it is over. A cut stream is resumed."""
        path = f"/v1/visits/{visit_id}/events"
        deadline = asyncio.get_running_loop().time() + self.keep_trying_s
        pauses = _pauses()
        while True:
            headers = {**self.sign("GET", path), "Last-Event-ID": str(after)}
            try:
                async with self._http.stream(
                    "GET", self.base_url + path, headers=headers, timeout=SILENT_STREAM_S
                ) as answer:
                    if not answer.is_success:
                        raise problem_of(answer.status_code, await answer.aread())
                    async for event, data in read_events(answer.aiter_lines()):
                        if event == "over":
                            return
                        line = msgspec.json.decode(data, type=Line)
                        after = line.number
                        deadline = asyncio.get_running_loop().time() + self.keep_trying_s
                        pauses = _pauses()
                        yield line
            except httpx.TransportError as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise UnlatchError(f"the stream of {visit_id} can't be resumed: {error!r}") from error
            except Problem as problem:
                is_late = asyncio.get_running_loop().time() > deadline
                if is_late or problem.status not in TRY_AGAIN:
                    raise
            await asyncio.sleep(next(pauses))

    async def find_line(self, visit_id: str, name: str, *, timeout_s: float = 60.0) -> Line:
        """The first line of this name in its journal, once there is one. Raises TimeoutError (real seconds)."""
        try:
            async with asyncio.timeout(timeout_s), aclosing(self.follow(visit_id)) as lines:
                async for line in lines:
                    if line.name == name:
                        return line
        except TimeoutError:
            pass
        raise TimeoutError(f"{visit_id} never came to a line {name}")

    async def wait_for(self, visit_id: str, *states: str, timeout_s: float = 60.0) -> Line:
        """The next line, behind those that were waited for already, that names one of these states.

        Raises TimeoutError (real seconds) with what came instead.
        """
        came: list[str] = []
        try:
            # Closed here and now: a stream that is left in the middle would keep its connection until it is collected.
            following = aclosing(self.follow(visit_id, after=self._seen.get(visit_id, 0)))
            async with asyncio.timeout(timeout_s), following as lines:
                async for line in lines:
                    self._seen[visit_id] = line.number
                    came.append(f"{line.name} -> {line.state}")
                    if line.state in states:
                        return line
        except TimeoutError:
            pass
        raise TimeoutError(f"{visit_id} never came to {' or '.join(states)}; it went {', '.join(came[-8:])}")


def problem_of(status: int, content: bytes) -> Problem:
    """The problem of an answer, whatever it holds."""
    try:
        document = msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.DecodeError:
        document = {"title": content[:200].decode(errors="replace")}
    return Problem(status, document)


async def read_events(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, str]]:
    """Server-sent events (WHATWG HTML, 9.2): each with its kind and data; comments are passed over."""
    data: list[str] = []
    event, size = "message", 0
    async for line in lines:
        size += len(line)
        if size > MAX_EVENT_BYTES:
            raise UnlatchError("an event of the stream is too long")
        if not line:
            if data:
                yield event, "\n".join(data)
            event, data, size = "message", [], 0
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            event = value
        elif name == "data":
            data.append(value)
