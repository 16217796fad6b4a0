"""How every request is answered: sign in, read and check, do it once, write the answer.

    who asks -> path -> query -> body -> idempotency key -> the endpoint's own function -> JSON

In that order, so that nobody who is not signed in learns anything, not even what a body should look like.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Request, Response
from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation

from unlatch.errors import StoreError, UnlatchError
from unlatch.flow.platform import Platform
from unlatch.flow.sign_in import is_settled, needs_step_up
from unlatch.store import idempotency
from unlatch.store.idempotency import KeptAnswer
from unlatch.store.ids import make_id
from unlatch.store.sessions import SessionRow
from unlatch.web.cinema import Cinema
from unlatch.web.darkroom import Darkroom
from unlatch.web.endpoints import Asked, Endpoint, Repeat
from unlatch.web.problems import ProblemError, Trouble, bad_input, problem_of
from unlatch.web.signing_in import ANYONE, sign_in
from unlatch.web.streaming import Hub

ID = re.compile(r"[a-z]{2,12}_[0-9a-z_]{1,48}")
DIGEST = re.compile(r"[0-9a-f]{64}")
IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")
HASH_IN_THREAD_FROM_BYTES = 256 * 1024

Handler = Callable[[Request[Any, Any, Any]], Awaitable[Response[Any]]]


def _require_shown(session: SessionRow, endpoint: Endpoint) -> None:
    """What a page asks of a browser before it widens or destroys anything holds for the API by its cookie.

    Raises ProblemError.
    """
    real_now = datetime.now(UTC)
    if (endpoint.widens or endpoint.destroys) and needs_step_up(session, real_now):
        raise ProblemError(Trouble.NOT_ALLOWED, "show once more who you are, at /step-up")
    if endpoint.widens and not is_settled(session, real_now):
        raise ProblemError(Trouble.NOT_ALLOWED, "this browser is too new to widen access")


def make_handler(
    endpoint: Endpoint, platform: Platform, hub: Hub, darkroom: Darkroom, cinema: Cinema
) -> Handler:
    """The function that answers this endpoint's requests."""
    decoder = msgspec.json.Decoder(endpoint.takes) if endpoint.takes else None
    if endpoint.is_closing:
        platform = platform.for_closings()

    async def answer(request: Request[Any, Any, Any]) -> Response[Any]:
        asker = await sign_in(request, platform, endpoint.readers) if endpoint.readers else ANYONE
        if asker.session is not None:
            _require_shown(asker.session, endpoint)
        asked: Asked[Any] = Asked(
            platform=platform,
            asker=asker,
            path=_read_path(request),
            query=_read_query(request, endpoint.query),
            body=await _read_body(request, endpoint, decoder),
            request=request,
            hub=hub,
            darkroom=darkroom,
            cinema=cinema,
        )
        try:
            if endpoint.repeat is Repeat.FREE:
                return _respond(endpoint, await endpoint.run(asked))
            key = _read_key(request)
            if endpoint.repeat is Repeat.BY_NATURE:
                return _respond(endpoint, await endpoint.run(asked))
            once = _Once(endpoint, asked, key, await _hash_request(request))
            run = once.in_transaction if endpoint.repeat is Repeat.IN_TRANSACTION else once.claimed
            return await run()
        except UnlatchError as error:
            if isinstance(error, StoreError):
                raise  # logged by whoever answers it
            raise problem_of(error) from error

    return answer


class _Once:
    """One request that is to be done once, however often it comes."""

    def __init__(self, endpoint: Endpoint, asked: Asked[Any], key: str, request_hash: bytes) -> None:
        self.endpoint = endpoint
        self.asked = asked
        self.vault = asked.platform.vault
        self.database = asked.platform.database
        self.principal = asked.asker.who
        self.key = key
        self.request_hash = request_hash

    @property
    def _row(self) -> str:
        return f"{self.principal} {self.key}"

    async def in_transaction(self) -> Response[Any]:
        """The work and its kept answer are one transaction. What is asked of the world outside comes before it; a
        refusal by that is told only if the request was not answered before.
        """
        refusal = None
        if self.endpoint.ask_first is not None:
            try:
                await self.endpoint.ask_first(self.asked)
            except UnlatchError as error:
                refusal = error
        try:
            async with self.database.transaction() as connection:
                kept = await idempotency.find_answer(connection, self.principal, self.key)
                if kept is not None:
                    return self._repeat(kept)
                if refusal is not None:
                    raise refusal
                content = _encode(await self.endpoint.run(replace(self.asked, transaction=connection)))
                await self._keep(connection, content)
        except UniqueViolation as error:
            if error.diag.constraint_name != "idempotency_pkey":
                raise
            raise _under_way() from None
        return _json(content, self.endpoint.status)

    async def _keep(self, connection: AsyncConnection, content: bytes) -> None:
        await idempotency.insert_answer(
            connection,
            self.principal,
            self.key,
            request_hash=self.request_hash,
            status=self.endpoint.status,
            answer=self.vault.seal(content, self._row),
            real_now=datetime.now(UTC),
        )

    async def claimed(self) -> Response[Any]:
        """Claim the key, do the work (which has its own transactions), keep the answer."""
        async with self.database.connection() as connection:
            claimed = await idempotency.claim_key(
                connection,
                self.principal,
                self.key,
                request_hash=self.request_hash,
                makes=make_id(self.endpoint.makes),
                real_now=datetime.now(UTC),
            )
        if isinstance(claimed, KeptAnswer):
            return self._repeat(claimed)
        try:
            content = _encode(await self.endpoint.run(replace(self.asked, claimed=claimed)))
        except BaseException as error:
            is_refusal = isinstance(error, ProblemError | UnlatchError) and not isinstance(error, StoreError)
            is_nothing_made = is_refusal and not claimed.is_taken_over
            let_go = idempotency.drop_claim if is_nothing_made else idempotency.leave_claim
            async with self.database.connection() as connection:
                await let_go(connection, claimed)
            raise
        async with self.database.connection() as connection:
            await idempotency.finish_claim(
                connection,
                claimed,
                status=self.endpoint.status,
                answer=self.vault.seal(content, self._row),
            )
        return _json(content, self.endpoint.status)

    def _repeat(self, kept: KeptAnswer) -> Response[Any]:
        if kept.request_hash is not None and kept.request_hash != self.request_hash:
            raise ProblemError(Trouble.KEY_REUSED, "take a new key for another request")
        if kept.status is None or kept.answer is None:
            raise _under_way()
        content = self.vault.open(kept.answer, self._row)
        return _json(content, kept.status, {"Idempotency-Replayed": "true"})


def _under_way() -> ProblemError:
    return ProblemError(
        Trouble.UNDER_WAY, "ask again in a moment, with the same key", headers={"Retry-After": "1"}
    )


def _json(content: bytes, status: int, headers: dict[str, str] | None = None) -> Response[Any]:
    return Response(content, status_code=status, media_type="application/json", headers=headers)


def _encode(given: Any) -> bytes:
    return b"" if given is None else msgspec.json.encode(given)


def _respond(endpoint: Endpoint, given: Any) -> Response[Any]:
    if isinstance(given, Response):
        return given
    if given is None:
        return Response(b"", status_code=endpoint.status)
    return _json(_encode(given), endpoint.status)


def _read_path(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The identifiers in the address; one that can't be an identifier names nothing."""
    path: dict[str, str] = request.path_params
    if not all((DIGEST if name == "sha256" else ID).fullmatch(path[name]) for name in path):
        raise ProblemError(Trouble.NOT_FOUND)
    return path


def _read_query(request: Request[Any, Any, Any], shape: type[msgspec.Struct] | None) -> Any:
    pairs = list(request.query_params.multi_items())
    if shape is None:
        return None  # what nobody asked for is passed over, as by every server
    if len(dict(pairs)) != len(pairs):
        raise bad_input("query", "give each parameter once")
    try:
        return msgspec.convert(dict(pairs), shape, strict=False)
    except msgspec.ValidationError as error:
        raise problem_of_validation(error) from None


async def _read_body(
    request: Request[Any, Any, Any], endpoint: Endpoint, decoder: msgspec.json.Decoder[Any] | None
) -> Any:
    if endpoint.method != "POST":
        return None
    raw = await request.body()
    if decoder is None:
        if raw.strip() not in (b"", b"{}"):
            raise bad_input("body", "leave it out")
        return None
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ProblemError(Trouble.WRONG_MEDIA_TYPE)
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise problem_of_validation(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise bad_input("body", "send well-formed JSON in UTF-8") from None
    except RecursionError:
        raise bad_input("body", "send JSON that is less deeply nested") from None


def problem_of_validation(error: msgspec.ValidationError) -> ProblemError:
    """Field and remedy out of msgspec's message: "Expected `float` <= 90.0 - at `$.position.latitude`"."""
    message, _, place = str(error).partition(" - at `$")
    named = re.search(r"field `(.*)`", message, re.DOTALL)
    inner = f".{named[1]}" if named else ""
    field = f"{place.rstrip('`')}{inner}".lstrip(".") or "body"
    remedy = message
    if message.startswith("Object missing"):
        remedy = "is required"
    elif message.startswith("Object contains unknown"):
        remedy = "is not known here: leave it out"
    return bad_input(field, remedy.replace("`", ""))


def _read_key(request: Request[Any, Any, Any]) -> str:
    given = request.headers.getall("idempotency-key", [])
    if len(given) != 1 or not IDEMPOTENCY_KEY.fullmatch(given[0]):
        raise bad_input(
            "Idempotency-Key", "give this header with 1 to 255 visible characters, new for each new request"
        )
    return given[0]


async def _hash_request(request: Request[Any, Any, Any]) -> bytes:
    raw = await request.body()
    head = f"{request.method}\n{request.scope['path']}\n".encode()
    if len(raw) < HASH_IN_THREAD_FROM_BYTES:
        return hashlib.sha256(head + raw).digest()
    return await asyncio.to_thread(lambda: hashlib.sha256(head + raw).digest())
