"""A maker's authorization server: the page on which a car's owner says yes, and the token endpoint.

RFC 6749 with PKCE (7636, S256 alone), revocation (7009) and the issuer in the answer (9207). Volvo's paths are its
documented ones; GM's are assumed but for the token's, which unofficial clients know. Whoever names an account is
taken for its owner: the town has no passwords.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from html import escape
from urllib.parse import unquote_plus, urlencode

from unlatch.town.car import Maker
from unlatch.town.faults import FaultKind, Verb, after_s
from unlatch.town.grants import Client, GrantRefused, Grants, Pair
from unlatch.town.wire import CUT_OFF, Answer, Refused, Request
from unlatch.town.world import Town

SLOW_TOKEN_S = 30.0
HELD_S = 600.0
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
NO_STORE = ((b"cache-control", b"no-store"), (b"pragma", b"no-cache"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Where the server is to be found, and which scopes there are."""

    authorize: str
    token: str
    revoke: str
    scopes: frozenset[str]


PATHS: Mapping[Maker, Paths] = {
    Maker.VOLVO: Paths(
        authorize="/as/authorization.oauth2",
        token="/as/token.oauth2",  # noqa: S106 - a path
        revoke="/as/revoke_token.oauth2",
        scopes=frozenset(
            {
                "openid",
                "conve:command_accessibility",
                "conve:commands",
                "conve:doors_status",
                "conve:engine_status",
                "conve:honk_flash",
                "conve:lock",
                "conve:lock_status",
                "conve:odometer_status",
                "conve:unlock",
                "conve:vehicle_relation",
                "location:read",
            }
        ),
    ),
    Maker.ONSTAR: Paths(  # the scopes are assumed too
        authorize="/sec/authz/v3/oauth/authorize",
        token="/sec/authz/v3/oauth/token",  # noqa: S106 - a path
        revoke="/sec/authz/v3/oauth/revoke",
        scopes=frozenset(
            {
                "vehicles",
                "trunk:unlock",
                "trunk:lock",
                "vehicle:status",
                "vehicle:location",
                "vehicle:alert",
                "doors",
            }
        ),
    ),
}


def refuse(status: int, word: str, description: str, *headers: tuple[bytes, bytes]) -> Refused:
    """An error of the token endpoint (RFC 6749, 5.2)."""
    body = {"error": word, "error_description": description}
    return Refused(Answer(status, body, (*NO_STORE, *headers)))


class AuthorizationServer:
    """One maker's."""

    def __init__(self, town: Town, maker: Maker) -> None:
        self.town = town
        self.maker = maker
        self.paths = PATHS[maker]

    @property
    def _grants(self) -> Grants:
        return self.town.grants[self.maker]

    async def serve(self, request: Request) -> Answer:
        """Find the endpoint."""
        path = "/" + "/".join(request.parts)
        match (request.method, path):
            case ("GET", self.paths.authorize):
                return self._ask_owner(request, request.query)
            case ("POST", self.paths.authorize):
                return self._hear_owner(request, request.form)
            case ("POST", self.paths.token):
                return await self._token(request)
            case ("POST", self.paths.revoke):
                return await self._revoke(request)
        raise refuse(404, "invalid_request", "no such resource")

    # ---- the owner's browser ----------------------------------------------------------------------------

    def _check(self, request: Request, asked: Mapping[str, str]) -> Answer | None:
        """What is wrong with a request for authorization, as the answer to it; None: nothing.

        Where client or address are wrong, the browser is led nowhere (RFC 6749, 4.1.2.1).
        """
        client = self._grants.clients.get(asked.get("client_id", ""))
        if client is None or asked.get("redirect_uri") not in client.redirect_uris:
            return Answer(400, text=page("This application is not known here, or not with this address."))
        scopes = frozenset(asked.get("scope", "").split())
        wrong = None
        if asked.get("response_type") != "code":
            wrong = "unsupported_response_type"
        elif not scopes or not scopes <= self.paths.scopes:
            wrong = "invalid_scope"
        elif asked.get("code_challenge_method") != "S256" or not CHALLENGE.fullmatch(
            asked.get("code_challenge", "")
        ):
            wrong = "invalid_request"
        return None if wrong is None else self._lead_back(request, asked, error=wrong)

    def _ask_owner(self, request: Request, asked: Mapping[str, str]) -> Answer:
        if (wrong := self._check(request, asked)) is not None:
            return wrong
        hidden = "".join(
            f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
            for name, value in asked.items()
        )
        scopes = "".join(f"<li>{escape(scope)}</li>" for scope in sorted(asked["scope"].split()))
        form = (
            f"<p>{escape(asked['client_id'])} asks for:</p><ul>{scopes}</ul>"
            f'<form method="post">{hidden}<label>Account <input name="account"></label>'
            '<button name="decision" value="approve">Approve</button>'
            '<button name="decision" value="deny">Deny</button></form>'
        )
        return Answer(200, text=page(f"{self.maker.value} account", form))

    def _hear_owner(self, request: Request, asked: Mapping[str, str]) -> Answer:
        if (wrong := self._check(request, asked)) is not None:
            return wrong
        if asked.get("decision") != "approve":
            return self._lead_back(request, asked, error="access_denied")
        if f"{self.maker}:{asked.get('account', '')}" not in self.town.accounts:
            return Answer(401, text=page("There is no such account."))
        code = self._grants.give_code(
            account_id=asked["account"],
            client_id=asked["client_id"],
            redirect_uri=asked["redirect_uri"],
            scopes=frozenset(asked["scope"].split()),
            challenge=asked["code_challenge"],
        )
        return self._lead_back(request, asked, code=code)

    def _lead_back(self, request: Request, asked: Mapping[str, str], **told: str) -> Answer:
        if asked.get("state"):
            told["state"] = asked["state"]
        told["iss"] = request.address
        address = asked["redirect_uri"]
        location = f"{address}{'&' if '?' in address else '?'}{urlencode(told)}"
        return Answer(302, headers=((b"location", location.encode()), *NO_STORE))

    # ---- tokens -----------------------------------------------------------------------------------------

    async def _token(self, request: Request) -> Answer:
        fault = await self._strike(request)
        if fault is not None and not fault.is_after:
            return fault.answer
        asked = request.form
        client = self._client_of(request, asked)
        try:
            pair = self._give(client, asked)
        except GrantRefused as refused:
            raise refuse(400, "invalid_grant", str(refused)) from None
        if fault is not None:
            return await fault.answer_after(request, self.town)
        body = {
            "access_token": pair.access_token,
            "token_type": "Bearer",
            "expires_in": pair.expires_in_s,
            "refresh_token": pair.refresh_token,
            "scope": " ".join(sorted(pair.scopes)),
        }
        return Answer(200, body, NO_STORE)

    def _give(self, client: Client, asked: Mapping[str, str]) -> Pair:
        kind = asked.get("grant_type")
        if kind == "authorization_code":
            if not asked.get("code") or not VERIFIER.fullmatch(asked.get("code_verifier", "")):
                raise refuse(400, "invalid_request", "code and code_verifier are needed")
            return self._grants.redeem(
                asked["code"],
                client_id=client.client_id,
                redirect_uri=asked.get("redirect_uri", ""),
                verifier=asked["code_verifier"],
            )
        if kind == "refresh_token":
            if not asked.get("refresh_token"):
                raise refuse(400, "invalid_request", "refresh_token is needed")
            scopes = frozenset(asked["scope"].split()) if asked.get("scope") else None
            return self._grants.refresh(asked["refresh_token"], client_id=client.client_id, scopes=scopes)
        raise refuse(400, "unsupported_grant_type", "authorization_code or refresh_token")

    async def _revoke(self, request: Request) -> Answer:
        fault = await self._strike(request)
        if fault is not None and not fault.is_after:
            return fault.answer
        asked = request.form
        client = self._client_of(request, asked)
        if not asked.get("token"):
            raise refuse(400, "invalid_request", "token is needed")
        self._grants.revoke(asked["token"], client_id=client.client_id)
        if fault is not None:
            return await fault.answer_after(request, self.town)
        return Answer(200, headers=NO_STORE)

    def _client_of(self, request: Request, asked: Mapping[str, str]) -> Client:
        """Who asks: HTTP Basic, or in the body, and never both (RFC 6749, 2.3.1)."""
        scheme, _, rest = request.header(b"authorization").partition(" ")
        if scheme.lower() == "basic":
            try:
                name, _, secret = base64.b64decode(rest, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                name = secret = ""
            if "client_secret" in asked:
                raise refuse(400, "invalid_request", "one way to authenticate is enough")
            client_id, client_secret = unquote_plus(name), unquote_plus(secret)
        else:
            client_id, client_secret = asked.get("client_id", ""), asked.get("client_secret", "")
        client = self._grants.clients.get(client_id)
        if client is None or client.client_secret != client_secret:
            challenge = (b"www-authenticate", b'Basic realm="token"')
            raise refuse(401, "invalid_client", "this client is not known", challenge)
        return client

    async def _strike(self, request: Request) -> Struck | None:
        """The fault of the whole cloud that strikes here, if one does."""
        drawn = self.town.draw(self.maker, None, Verb.TOKEN)
        if (outage := drawn.get(FaultKind.OUTAGE)) is not None:
            body = {"error": "temporarily_unavailable", "error_description": "the service is down"}
            return Struck(answer=Answer(outage.status or 503, body, NO_STORE))
        if (limit := drawn.get(FaultKind.RATE_LIMIT)) is not None:
            wait = (b"retry-after", b"%d" % max(1, round(after_s(limit))))
            return Struck(answer=Answer(429, {"error": "slow_down"}, (wait,)))
        if (cut := drawn.get(FaultKind.CONNECTION_CUT)) is not None:
            return Struck(answer=CUT_OFF, is_after=cut.acts)
        if (silent := drawn.get(FaultKind.SILENT)) is not None:
            if not silent.acts:
                await request.stays_until(self.town.clock, self.town.clock.now() + timedelta(seconds=HELD_S))
            return Struck(answer=CUT_OFF, is_after=silent.acts, held_s=HELD_S)
        if (slow := drawn.get(FaultKind.SLOW)) is not None:
            wait_s = SLOW_TOKEN_S if slow.after_s is None else slow.after_s
            await request.stays_until(self.town.clock, self.town.clock.now() + timedelta(seconds=wait_s))
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """A fault of the token endpoint. `is_after`: what was asked for was done, and its answer is lost."""

    answer: Answer
    is_after: bool = False
    held_s: float = 0.0

    async def answer_after(self, request: Request, town: Town) -> Answer:
        """Nothing, late or at once."""
        await request.stays_until(town.clock, town.clock.now() + timedelta(seconds=self.held_s))
        return self.answer


def page(title: str, body: str = "") -> str:
    """A page for a person."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<h1>{escape(title)}</h1>{body}</html>"
    )
