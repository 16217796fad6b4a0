"""What a maker's authorization server keeps: clients, codes, and families of tokens. Knows nothing of HTTP.

The shapes of RFC 6749 (codes, refresh), 7636 (PKCE) and 7009 (revocation). A refresh token is good once; for
`reuse_grace_s` after its use it may be asked with again, as long as what it gave was not used yet, and then gives
another pair in place of the lost one. Any other second use revokes the whole family (RFC 9700, 4.14.2).

Tokens live by the town's clock, as cars do; a code lives a real minute, since a person's browser carries it.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from base64 import urlsafe_b64encode
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from unlatch.clock import Clock

MAX_CLIENTS = 100
MAX_TOKENS = 200_000  # of each kind remembered; the oldest is forgotten first, and then unknown
CODE_FOR_S = 60.0  # real

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(slots=True, kw_only=True)
class Habits:
    """How this maker's tokens behave, settable by hand. Town seconds; a grace of None: no second use at all."""

    access_for_s: float = 1800.0
    refresh_for_s: float = 7 * 86_400.0  # unused; each use gives a new one
    reuse_grace_s: float | None = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """An application that the maker knows."""

    client_id: str
    client_secret: str
    redirect_uris: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Family:
    """Everything that came of one consent."""

    account_id: str
    client_id: str
    scopes: frozenset[str]
    is_revoked: bool = False


@dataclass(slots=True, kw_only=True)
class Code:
    """An authorization code."""

    family: Family
    redirect_uri: str
    challenge: str
    expires_at_s: float  # of time.monotonic()
    is_used: bool = False


@dataclass(slots=True, kw_only=True)
class AccessToken:
    """A bearer token."""

    family: Family
    expires_at: datetime


@dataclass(slots=True, kw_only=True)
class RefreshToken:
    """A refresh token. `successor` is what its last use gave."""

    family: Family
    expires_at: datetime
    used_at: datetime | None = None
    is_replaced: bool = False  # its parent was asked with again: this one was lost on its way
    successor: RefreshToken | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What the token endpoint gives."""

    access_token: str
    refresh_token: str
    expires_in_s: int
    scopes: frozenset[str]


class GrantRefused(Exception):
    """The token endpoint's `invalid_grant`."""


@dataclass(slots=True, kw_only=True)
class Grants:
    """One maker's clients, codes and tokens. Every method is quick and synchronous."""

    clock: Clock
    habits: Habits = field(default_factory=Habits)
    clients: dict[str, Client] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    _codes: OrderedDict[str, Code] = field(default_factory=OrderedDict)
    _access: OrderedDict[str, AccessToken] = field(default_factory=OrderedDict)
    _refresh: OrderedDict[str, RefreshToken] = field(default_factory=OrderedDict)

    def reset(self) -> None:
        """As new."""
        for kept in (self.clients, self.counts, self._codes, self._access, self._refresh):
            kept.clear()
        self.habits = Habits()

    def give_code(
        self, *, account_id: str, client_id: str, redirect_uri: str, scopes: frozenset[str], challenge: str
    ) -> str:
        """The owner has said yes."""
        code = secrets.token_urlsafe(24)
        family = Family(account_id=account_id, client_id=client_id, scopes=scopes)
        _keep(
            self._codes,
            code,
            Code(
                family=family,
                redirect_uri=redirect_uri,
                challenge=challenge,
                expires_at_s=time.monotonic() + CODE_FOR_S,
            ),
        )
        self.counts["codes"] += 1
        return code

    def redeem(self, text: str, *, client_id: str, redirect_uri: str, verifier: str) -> Pair:
        """A code for tokens. Raises GrantRefused; a code that comes twice also ends what it had given."""
        code = self._codes.get(text)
        if code is None or code.family.client_id != client_id:
            raise GrantRefused("unknown code")
        if code.is_used:
            code.family.is_revoked = True
            raise GrantRefused("this code was used already")
        code.is_used = True  # whatever comes next: nobody tries verifiers
        if time.monotonic() > code.expires_at_s:
            raise GrantRefused("this code has expired")
        if code.redirect_uri != redirect_uri:
            raise GrantRefused("redirect_uri is not that of the authorization")
        if challenge_of(verifier) != code.challenge:
            raise GrantRefused("code_verifier does not fit code_challenge")
        self.counts["exchanges"] += 1
        return self._pair(code.family)[0]

    def refresh(self, text: str, *, client_id: str, scopes: frozenset[str] | None = None) -> Pair:
        """A refresh token for a new pair. Raises GrantRefused."""
        token, now = self._refresh.get(text), self.clock.now()
        if token is None or token.family.client_id != client_id:
            raise GrantRefused("unknown, invalid, or expired refresh token")
        if token.family.is_revoked or now >= token.expires_at:
            raise GrantRefused("unknown, invalid, or expired refresh token")
        if scopes is not None and not scopes <= token.family.scopes:
            raise GrantRefused("more scopes than the owner agreed to")
        if token.used_at is not None or token.is_replaced:
            self._use_again(token, now)
        token.used_at = token.used_at or now
        self.counts["refreshes"] += 1
        pair, token.successor = self._pair(token.family)
        return pair

    def _use_again(self, token: RefreshToken, now: datetime) -> None:
        grace_s, successor = self.habits.reuse_grace_s, token.successor
        is_in_grace = (
            grace_s is not None
            and token.used_at is not None
            and (now - token.used_at).total_seconds() <= grace_s
        )
        if token.is_replaced or not is_in_grace or successor is None or successor.used_at is not None:
            token.family.is_revoked = True
            self.counts["reuses"] += 1
            raise GrantRefused("unknown, invalid, or expired refresh token")
        successor.is_replaced = True
        self.counts["reuses_in_grace"] += 1

    def revoke(self, text: str, *, client_id: str) -> None:
        """End the whole consent that this token came of; an unknown token is nobody's business (RFC 7009, 2.2)."""
        token = self._refresh.get(text) or self._access.get(text)
        if token is not None and token.family.client_id == client_id and not token.family.is_revoked:
            token.family.is_revoked = True
            self.counts["revocations"] += 1

    def withdraw(self, account_id: str) -> int:
        """The owner ends every consent of their account; how many there were."""
        families = {
            id(token.family): token.family
            for token in self._refresh.values()
            if token.family.account_id == account_id and not token.family.is_revoked
        }
        for family in families.values():
            family.is_revoked = True
        return len(families)

    def find_family(self, access_token: str) -> Family | None:
        """Whose access token this is; None: unknown, ended or expired."""
        token = self._access.get(access_token)
        if token is None or token.family.is_revoked or self.clock.now() >= token.expires_at:
            return None
        return token.family

    def _pair(self, family: Family) -> tuple[Pair, RefreshToken]:
        now, habits = self.clock.now(), self.habits
        access, refresh = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        kept = RefreshToken(family=family, expires_at=now + timedelta(seconds=habits.refresh_for_s))
        _keep(self._refresh, refresh, kept)
        expires_at = now + timedelta(seconds=habits.access_for_s)
        _keep(self._access, access, AccessToken(family=family, expires_at=expires_at))
        pair = Pair(
            access_token=access,
            refresh_token=refresh,
            expires_in_s=max(1, int(habits.access_for_s)),
            scopes=family.scopes,
        )
        return pair, kept


def challenge_of(verifier: str) -> str:
    """S256 of RFC 7636, 4.2."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _keep(kept: OrderedDict[Key, Value], key: Key, value: Value) -> None:
    kept[key] = value
    if len(kept) > MAX_TOKENS:
        kept.popitem(last=False)
