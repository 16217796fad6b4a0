"""What both clouds do at their door: whose token, whose car, which faults strike before it is taken on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from unlatch.clock import monotonic_s
from unlatch.town.car import MAX_AHEAD, Maker
from unlatch.town.faults import Fault, FaultKind, Verb, after_s
from unlatch.town.wire import CUT_OFF, Answer, Refused, Request
from unlatch.town.world import Account, Citizen, Town

HELD_S = 600.0  # a request that is never answered is held this long (town), then its connection is cut
SLOW_READ_S = 30.0

Say = Callable[[int, str, str], object]  # status, word, description -> the maker's own error body


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who asks for which car, and the faults that strike this request."""

    account: Account
    citizen: Citizen
    drawn: dict[FaultKind, Fault]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Whose token it is, and what it is good for. `scopes` None: all, as for tokens handed out by hand."""

    account: Account
    scopes: frozenset[str] | None


class Gate:
    """The door of one maker's cloud."""

    def __init__(self, town: Town, maker: Maker, say: Say) -> None:
        self.town = town
        self.maker = maker
        self.say = say

    def refuse(self, status: int, word: str, description: str) -> Refused:
        """A refusal in the maker's own words."""
        return Refused(Answer(status, self.say(status, word, description)))

    def account_of(self, request: Request, scopes: tuple[str, ...] = ()) -> Account:
        """The account of the bearer token; 401 without one, 403 where the token lacks one of `scopes`."""
        scheme, _, token = request.header(b"authorization").partition(" ")
        bearer = self._find_bearer(token.strip()) if scheme.lower() == "bearer" else None
        if bearer is None:
            raise self.refuse(401, "UNAUTHORIZED", "the access token is missing, expired or invalid")
        if bearer.scopes is not None and (missing := set(scopes) - bearer.scopes):
            raise self.refuse(403, "FORBIDDEN", f"the access token lacks {' '.join(sorted(missing))}")
        return bearer.account

    def _find_bearer(self, token: str) -> Bearer | None:
        account = self.town.by_token.get(token)
        if account is not None:
            return Bearer(account=account, scopes=None) if account.maker is self.maker else None
        family = self.town.grants[self.maker].find_family(token)
        account = self.town.accounts.get(f"{self.maker}:{family.account_id}") if family is not None else None
        if family is None or account is None:
            return None
        return Bearer(account=account, scopes=family.scopes)

    def let_in(
        self,
        request: Request,
        vin: str,
        verb: Verb,
        *,
        what: str,
        scopes: tuple[str, ...] = (),
        further: Callable[[Visitor], None] | None = None,
    ) -> Visitor:
        """Let a request pass, or raise Refused. Either way it is written into the ledger, with its fate.

        `scopes` are those that the token must have. `further` is one more check, which may raise Refused too.
        """
        citizen = self.town.citizens.get(vin)
        if citizen is not None and citizen.car.maker is not self.maker:
            citizen = None
        fate = "taken"
        try:
            visitor = self._judge(request, vin, verb, citizen, scopes)
            if further is not None:
                further(visitor)
        except Refused as refused:
            fate = "cut" if refused.answer.is_cut else str(refused.answer.status)
            raise
        finally:
            self.town.ledger.add(
                "request",
                at=self.town.clock.now(),
                monotonic_s=monotonic_s(),
                vin="" if citizen is None else vin,
                what=what,
                outcome=fate,
                trace=request.trace,
            )
        return visitor

    def _judge(
        self, request: Request, vin: str, verb: Verb, citizen: Citizen | None, scopes: tuple[str, ...]
    ) -> Visitor:
        drawn = self.town.draw(self.maker, citizen, verb)
        if (outage := drawn.get(FaultKind.OUTAGE)) is not None:
            raise self.refuse(outage.status or 503, "SERVICE_UNAVAILABLE", "the service is down")
        if (cut := drawn.get(FaultKind.CONNECTION_CUT)) is not None and not cut.acts:
            raise Refused(CUT_OFF)
        account = self.account_of(request, scopes)
        if (consent := drawn.get(FaultKind.CONSENT_WITHDRAWN)) is not None:
            word = "FORBIDDEN" if consent.status == 403 else "UNAUTHORIZED"
            raise self.refuse(consent.status or 401, word, "the owner has withdrawn the consent")
        if FaultKind.SUBSCRIPTION_LAPSED in drawn:
            raise self.refuse(403, "FORBIDDEN", "the subscription of the vehicle has lapsed")
        if (limit := drawn.get(FaultKind.RATE_LIMIT)) is not None:
            raise self.too_many(after_s(limit))
        if citizen is None or vin not in account.vins:
            raise self.refuse(404, "NOT_FOUND", "no such vehicle in this account")
        if verb is not Verb.READ and len(citizen.car.ahead) > MAX_AHEAD - 4:
            raise self.refuse(409, "CONFLICT", "too many commands are under way")
        return Visitor(account=account, citizen=citizen, drawn=drawn)

    def too_many(self, wait_s: float) -> Refused:
        """429; Retry-After is in whole town seconds, never 0."""
        body = self.say(429, "TOO_MANY_REQUESTS", "rate limit exceeded")
        return Refused(Answer(429, body, ((b"retry-after", b"%d" % max(1, math.ceil(wait_s))),)))

    async def hold(self, request: Request) -> Answer:
        """Never answer: wait until the caller hangs up, or for `HELD_S`, then cut."""
        clock = self.town.clock
        await request.stays_until(clock, clock.now() + timedelta(seconds=HELD_S))
        return CUT_OFF

    async def held(self, request: Request, visitor: Visitor) -> Answer | None:
        """A read that is silent, slow or cut after it was taken; None when it may be answered."""
        if FaultKind.SILENT in visitor.drawn:
            return await self.hold(request)
        if (slow := visitor.drawn.get(FaultKind.SLOW)) is not None:
            clock = self.town.clock
            wait_s = SLOW_READ_S if slow.after_s is None else slow.after_s
            await request.stays_until(clock, clock.now() + timedelta(seconds=wait_s))
        return CUT_OFF if FaultKind.CONNECTION_CUT in visitor.drawn else None
