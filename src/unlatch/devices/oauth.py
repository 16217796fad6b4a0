"""A maker's authorization server: codes and refresh tokens into access tokens, by RFC 6749, 7636 and 7009.

A refresh token that rotates is good once, so what is known of a request's end matters as it does for a command:

| end | how it is told | may the same token be sent again? |
|---|---|---|
| tokens | returns `Tokens` | no: the new one |
| surely not used: never sent, or refused for another reason | raises `CommandNotSent` | yes |
| may have been used | raises `CommandUnknown` | within the maker's `reuse_grace_s`; later it may end the consent |
| dead: invalid_grant | raises `ConsentLost` | no: the owner must link again |

Bytes are counted as `wire.py` counts them (decision 0006). Messages name the maker and a code, never a token.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

from unlatch.clock import Clock
from unlatch.devices.base import Authorization, ClientSends
from unlatch.devices.body import read_json
from unlatch.devices.link import CODES_OF_CUT, OPEN_4XX, Heard
from unlatch.devices.wire import Wire, WireError
from unlatch.errors import CommandNotSent, CommandUnknown, ConsentLost, DeviceError
from unlatch.settings import OAuthClient

ANSWER_WITHIN_S = 10.0
LONGEST_TOKEN = 4096
LONGEST_LIFE_S = 366 * 86_400.0
USUAL_LIFE_S = 300.0  # of an access token whose server does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What opens an account. Its text shows neither."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)  # None: the one that was used stays good
    expires_in_s: float
    scopes: frozenset[str] | None  # None: those that were asked for


def make_verifier() -> str:
    """A code verifier of 256 random bits (RFC 7636, 4.1)."""
    return secrets.token_urlsafe(32)


def challenge_of(verifier: str) -> str:
    """What goes with the owner's browser instead of the verifier: S256."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


class Desk:
    """Where one maker gives out tokens. Used from one event loop."""

    def __init__(
        self,
        *,
        name: str,
        authorization: Authorization,
        address: str,
        client: OAuthClient,
        clock: Clock,
        least_answer_s: float = 0.5,
    ) -> None:
        self.name = name
        self.authorization = authorization
        self.client = client
        self.clock = clock
        self.least_answer_s = least_answer_s
        self.wire = Wire(address)

    async def close(self) -> None:
        """Close every connection."""
        await self.wire.close()

    @property
    def answer_within_s(self) -> float:
        """How long an answer is waited for, real seconds."""
        return max(self.least_answer_s, self.clock.real_s(ANSWER_WITHIN_S))

    def authorize_url(self, *, state: str, challenge: str, redirect_uri: str) -> str:
        """Where the owner's browser goes to say yes."""
        asked = {
            "response_type": "code",
            "client_id": self.client.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self.authorization.scopes),
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{self.wire.origin}{self.wire.prefix}{self.authorization.authorize_path}?{urlencode(asked)}"

    def is_own_issuer(self, issuer: str) -> bool:
        """Whether an answer's `iss` (RFC 9207) is this server: else another one's code is being slipped to us."""
        try:
            parts = urlsplit(issuer)
        except ValueError:
            return False
        return f"{parts.scheme}://{parts.netloc}".lower() == self.wire.origin

    async def exchange(self, code: str, *, verifier: str, redirect_uri: str) -> Tokens:
        """The owner's code for tokens."""
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        tokens = self._tokens("exchange", await self._post("exchange", self.authorization.token_path, fields))
        if tokens.refresh_token is None:
            raise self._unknown("exchange", "unexpected_answer")
        return tokens

    async def refresh(self, refresh_token: str, *, first_byte_by_s: float) -> Tokens:
        """New tokens for the old; see the table above. Its first byte leaves by then (`monotonic_s()`) or never."""
        fields = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        path = self.authorization.token_path
        return self._tokens("refresh", await self._post("refresh", path, fields, first_byte_by_s))

    async def revoke(self, token: str) -> None:
        """End the consent that this token came of. Twice does no harm."""
        path = self.authorization.revoke_path
        if path is None:
            return
        heard = await self._post("revoke", path, {"token": token, "token_type_hint": "refresh_token"})
        if heard.status != 200:
            raise self._refusal("revoke", heard)

    async def _post(
        self, what: str, path: str, fields: Mapping[str, str], first_byte_by_s: float | None = None
    ) -> Heard:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        client = self.client
        match self.authorization.client_sends:
            case ClientSends.BASIC:
                pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
                headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
            case ClientSends.POST:
                fields = {**fields, "client_id": client.client_id, "client_secret": client.client_secret}
            case ClientSends.NOTHING:
                fields = {**fields, "client_id": client.client_id}
        try:
            answered = await self.wire.ask(
                "POST",
                path,
                headers=headers,
                body=urlencode(fields).encode(),
                answer_within_s=self.answer_within_s,
                first_byte_by_s=first_byte_by_s,
            )
        except WireError as error:
            kind = self._unknown if error.has_left else self._not_sent
            raise kind(what, CODES_OF_CUT[error.cut]) from None
        return Heard(status=answered.status, headers=answered.headers, json=read_json(answered.body))

    def _tokens(self, what: str, heard: Heard) -> Tokens:
        if heard.status != 200:
            raise self._refusal(what, heard)
        access, refresh = heard.find("access_token"), heard.find("refresh_token")
        kind, scope = heard.find("token_type"), heard.find("scope")
        life_s = heard.find_number("expires_in")
        is_bearer = isinstance(kind, str) and kind.lower() == "bearer"
        if not (is_bearer and _is_token(access) and (refresh is None or _is_token(refresh))):
            raise self._unknown(
                what, "unexpected_answer"
            )  # the old token is spent, and we can't read the new
        return Tokens(
            access_token=access,
            refresh_token=refresh,
            expires_in_s=min(max(life_s, 0.0), LONGEST_LIFE_S) if life_s is not None else USUAL_LIFE_S,
            scopes=frozenset(scope.split()[:100]) if isinstance(scope, str) and len(scope) <= 4096 else None,
        )

    def _refusal(self, what: str, heard: Heard) -> DeviceError:
        if heard.find("access_token") is not None:
            return self._unknown(what, "contradiction")  # refused by its status, and yet it gives tokens
        word = heard.find_word("error")
        if heard.status in (400, 401) and word == "invalid_grant":
            return ConsentLost(self._text(what, "auth_expired"), code="auth_expired")
        if word in ("invalid_client", "unauthorized_client"):
            return self._not_sent(what, "client_refused")
        if heard.status == 429:
            return self._not_sent(what, "rate_limited")
        if 400 <= heard.status < 500 and heard.status not in OPEN_4XX:
            return self._not_sent(what, "bad_request")
        return self._unknown(what, "vendor_down" if heard.status >= 500 else "unexpected_answer")

    def _text(self, what: str, code: str) -> str:
        return f"{self.name} {what}: {code}"

    def _not_sent(self, what: str, code: str) -> DeviceError:
        return CommandNotSent(self._text(what, code), code=code)

    def _unknown(self, what: str, code: str) -> DeviceError:
        return CommandUnknown(self._text(what, code), code=code)


def _is_token(value: Any) -> bool:
    """What can stand in a header and be kept."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= LONGEST_TOKEN
        and value.isascii()
        and value.isprintable()
        and " " not in value
    )
