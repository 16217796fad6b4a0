"""Who asks: a carrier, a consignee or an operator by their key, a courier by their phone's key and token.

Keys are looked up by their SHA-256, so that nothing about a key can be learnt from the time that it takes.
A phone's token is good only with a proof of the phone's own key (`proof_of_possession.py`), used once.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable, Container, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum, auto
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from litestar import Request
from psycopg import AsyncConnection

from unlatch.flow.enrolment import (
    CARRIER_KEY,
    CONSIGNEE_KEY,
    OPERATOR_KEY,
    PHONE_TOKEN,
)
from unlatch.flow.platform import Platform
from unlatch.flow.sign_in import hash_token
from unlatch.store import carriers, proofs, sessions
from unlatch.store.carriers import KeyHolder
from unlatch.store.ids import hash_key
from unlatch.store.sessions import SessionRow
from unlatch.web.problems import ProblemError, Trouble
from unlatch.web.proof_of_possession import ALGORITHMS, Proof, ProofRefused, check_proof

MAX_CREDENTIAL_CHARACTERS = 512
# A browser's sessions: one for each kind of person, so that someone may be both in one browser.
COOKIES: Mapping[str, str] = MappingProxyType({"consignee": "unlatch", "operator": "unlatch_operator"})
CONSOLE = "/console"  # under it, an operator is meant
MAX_TOKEN_CHARACTERS = 200


class Reader(StrEnum):
    """The kinds of asker."""

    CARRIER = auto()
    CONSIGNEE = auto()
    OPERATOR = auto()
    COURIER = auto()
    NEWCOMER = auto()  # a phone that has a key of its own and is not enrolled yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks."""

    reader: Reader
    id: str
    carrier_id: str | None = None  # of a courier or consignee: theirs; of a carrier: itself
    device_id: str | None = None
    language: str | None = None
    session: SessionRow | None = (
        None  # of a browser: some of what it may do needs more, see `flow/sign_in.py`
    )

    @property
    def who(self) -> str:
        """As the journal names them."""
        return f"{self.reader}:{self.id}"


ANYONE = Asker(reader=Reader.NEWCOMER, id="anyone")
_Find = Callable[[AsyncConnection, bytes], Awaitable[KeyHolder | None]]
_BY_PREFIX: Mapping[str, tuple[Reader, _Find]] = MappingProxyType(
    {
        CARRIER_KEY: (Reader.CARRIER, carriers.find_carrier_by_key),
        CONSIGNEE_KEY: (Reader.CONSIGNEE, carriers.find_consignee_by_key),
        OPERATOR_KEY: (Reader.OPERATOR, carriers.find_operator_by_key),
    }
)


def _not_signed_in(detail: str, *, error: str | None = None, is_phone: bool = False) -> ProblemError:
    """Nobody that we know; says which ways of signing in there are (RFC 6750, RFC 9449)."""
    named = f', error="{error}"' if error else ""
    bearer, dpop = 'Bearer realm="unlatch"', f'DPoP algs="{" ".join(ALGORITHMS)}"'
    challenge = f"{dpop}{named}" if is_phone else f"{bearer}{named}, {dpop}"
    return ProblemError(Trouble.NOT_SIGNED_IN, detail, headers={"WWW-Authenticate": challenge})


async def sign_in(request: Request[Any, Any, Any], platform: Platform, readers: frozenset[Reader]) -> Asker:
    """Who asks. Raises ProblemError: 401 where that is not known, 403 where they are none of `readers`."""
    if Reader.NEWCOMER in readers:
        return await _sign_in_newcomer(request, platform)
    given = request.headers.getall("authorization", [])
    token = None if given else choose_token(request, readers)
    if token is not None:
        asker = await _sign_in_browser(request, platform, token)
        if asker.reader not in readers:
            raise ProblemError(Trouble.NOT_ALLOWED, f"this is not for a {asker.reader}")
        return asker
    if len(given) != 1 or len(given[0]) > MAX_CREDENTIAL_CHARACTERS:
        raise _not_signed_in("give one Authorization header")
    scheme, _, credential = given[0].partition(" ")
    credential = credential.strip()
    if scheme.lower() == "dpop":
        asker = await _sign_in_phone(request, platform, credential)
    elif scheme.lower() == "bearer":
        asker = await _sign_in_by_key(platform, credential)
    else:
        raise _not_signed_in("the scheme must be Bearer for a key, or DPoP for a courier's phone")
    if asker.reader not in readers:
        raise ProblemError(Trouble.NOT_ALLOWED, f"this is not for a {asker.reader}")
    return asker


def choose_token(request: Request[Any, Any, Any], readers: Container[str]) -> str | None:
    """The token of this browser's session: of a reader that is meant here, else of whoever is signed in."""
    path = request.scope["path"]
    is_console = path == CONSOLE or path.startswith(f"{CONSOLE}/")
    held = {reader: request.cookies.get(cookie, "") for reader, cookie in COOKIES.items()}
    order = sorted(held, key=lambda reader: (reader not in readers, (reader == "operator") != is_console))
    return next((held[reader] for reader in order if 0 < len(held[reader]) <= MAX_TOKEN_CHARACTERS), None)


async def _sign_in_browser(request: Request[Any, Any, Any], platform: Platform, token: str) -> Asker:
    """By the session of a page. What changes anything comes from our own pages alone, and bears the session's word."""
    async with platform.database.connection() as connection:
        session = await sessions.find_session(connection, hash_token(token), datetime.now(UTC))
        person = (
            await sessions.find_person(connection, session.reader, session.reader_id)
            if session is not None
            else None
        )
    if session is None or person is None:
        raise _not_signed_in("this session has ended")
    if request.method not in ("GET", "HEAD"):
        given = request.headers.get("x-unlatch-csrf", "")
        if not (
            is_own_origin(request, platform) and hmac.compare_digest(given.encode(), csrf_of(token).encode())
        ):
            raise ProblemError(Trouble.NOT_ALLOWED, "this was not sent by a page of ours")
    return Asker(
        reader=Reader(session.reader), id=person.id, carrier_id=person.carrier_id, language=person.language,
        session=session,
    )  # fmt: skip


def csrf_of(token: str) -> str:
    """A session's own word for its forms: follows from its token, and does not give it away."""
    return hmac.digest(token.encode(), b"form", "sha256").hex()


def is_own_origin(request: Request[Any, Any, Any], platform: Platform) -> bool:
    """Whether a request comes from a page of ours: browsers say where they stand."""
    public = urlsplit(platform.settings.public_url)
    origin = request.headers.get("origin")
    if origin is not None:
        return origin == f"{public.scheme}://{public.netloc}"
    return request.headers.get("sec-fetch-site") in ("same-origin", None)


async def _sign_in_by_key(platform: Platform, key: str) -> Asker:
    prefix = key.rpartition("_")[0]
    if prefix == PHONE_TOKEN:
        raise _not_signed_in(
            "a phone's token is bound to its key: send it as DPoP with a proof",
            error="invalid_token",
            is_phone=True,
        )
    reader_and_find = _BY_PREFIX.get(prefix)
    if reader_and_find is None:
        raise _not_signed_in("this is no key of Unlatch", error="invalid_token")
    reader, find = reader_and_find
    async with platform.database.connection() as connection:
        holder = await find(connection, hash_key(key))
    if holder is None:
        raise _not_signed_in("this key is not known", error="invalid_token")
    carrier_id = holder.id if reader is Reader.CARRIER else holder.carrier_id
    return Asker(reader=reader, id=holder.id, carrier_id=carrier_id, language=holder.language)


def _check_proof(request: Request[Any, Any, Any], platform: Platform, token: str | None) -> Proof:
    given = request.headers.getall("dpop", [])
    if len(given) != 1:
        raise _not_signed_in("give one DPoP header with a proof", error="invalid_dpop_proof", is_phone=True)
    raw_path = request.scope.get("raw_path") or request.scope["path"].encode()
    address = platform.settings.public_url + raw_path.decode("ascii", errors="replace")
    try:
        return check_proof(given[0], method=request.method, address=address, now_s=time.time(), token=token)
    except ProofRefused as refused:
        raise _not_signed_in(str(refused), error="invalid_dpop_proof", is_phone=True) from None


def _used_already() -> ProblemError:
    return _not_signed_in("this proof was used already", error="invalid_dpop_proof", is_phone=True)


async def _sign_in_phone(request: Request[Any, Any, Any], platform: Platform, token: str) -> Asker:
    if not token.startswith(PHONE_TOKEN + "_"):
        raise _not_signed_in("this is no phone's token", error="invalid_token", is_phone=True)
    proof = _check_proof(request, platform, token)
    async with platform.database.connection() as connection:
        phone = await proofs.find_phone(
            connection,
            token_hash=hash_key(token),
            thumbprint=proof.thumbprint,
            digest=proof.digest,
            expires_at=datetime.fromtimestamp(proof.expires_at_s, UTC),
        )
    if phone is None:
        raise _not_signed_in("this token is not known, or was revoked", error="invalid_token", is_phone=True)
    if phone.thumbprint != proof.thumbprint:
        raise _not_signed_in("this token is bound to another key", error="invalid_token", is_phone=True)
    if not phone.is_first_use:
        raise _used_already()
    return Asker(
        reader=Reader.COURIER, id=phone.courier_id, carrier_id=phone.carrier_id, device_id=phone.device_id
    )


async def _sign_in_newcomer(request: Request[Any, Any, Any], platform: Platform) -> Asker:
    """A phone that only proves which key it has."""
    proof = _check_proof(request, platform, None)
    async with platform.database.connection() as connection:
        is_first = await proofs.use_proof(
            connection, proof.digest, datetime.fromtimestamp(proof.expires_at_s, UTC)
        )
    if not is_first:
        raise _used_already()
    return Asker(reader=Reader.NEWCOMER, id=proof.thumbprint)
