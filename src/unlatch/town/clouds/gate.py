"""What both clouds do at their door: whose token, whose car, which faults strike before anything is taken on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from unlatch.clock import monotonic_s
from unlatch.town.car import Maker
from unlatch.town.faults import Fault, FaultKind, Verb, after_s
from unlatch.town.wire import CUT_OFF, Answer, Refused, Request
from unlatch.town.world import Account, Citizen, Town

Say = Callable[[int, str, str], object]  # status, word, description -> the maker's own error body

HELD_S = 600.0  # a request that is never answered is held this long (town), then its connection is cut


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who asks for which car, and the faults that strike this request."""

    account: Account
    citizen: Citizen
    drawn: dict[FaultKind, Fault]


def account_of(town: Town, maker: Maker, request: Request, say: Say) -> Account:
    """The account of the bearer token; 401 without one."""
    scheme, _, token = request.header(b"authorization").partition(" ")
    account = town.by_token.get(token.strip()) if scheme.lower() == "bearer" else None
    if account is None or account.maker is not maker:
        raise Refused(
            Answer(401, say(401, "UNAUTHORIZED", "the access token is missing, expired or invalid"))
        )
    return account


def let_in(town: Town, maker: Maker, request: Request, vin: str, verb: Verb, what: str, say: Say) -> Visitor:
    """Let a request pass, or refuse it in the maker's own words. Writes the request into the ledger first."""
    citizen = town.citizens.get(vin)
    is_ours = citizen is not None and citizen.car.maker is maker
    town.ledger.add(
        "request",
        at=town.clock.now(),
        monotonic_s=monotonic_s(),
        vin=vin[:32] if is_ours else "",
        what=what,
        trace=request.trace,
    )
    drawn = town.draw(maker, citizen if is_ours else None, verb)
    if (outage := drawn.get(FaultKind.OUTAGE)) is not None:
        status = outage.status or 503
        raise Refused(Answer(status, say(status, "SERVICE_UNAVAILABLE", "the service is down")))
    if (cut := drawn.get(FaultKind.CONNECTION_CUT)) is not None and not cut.acts:
        raise Refused(CUT_OFF)
    account = account_of(town, maker, request, say)
    if (consent := drawn.get(FaultKind.CONSENT_WITHDRAWN)) is not None:
        status = consent.status or 401
        word = "UNAUTHORIZED" if status == 401 else "FORBIDDEN"
        raise Refused(Answer(status, say(status, word, "the owner has withdrawn the consent")))
    if FaultKind.SUBSCRIPTION_LAPSED in drawn:
        raise Refused(Answer(403, say(403, "FORBIDDEN", "the subscription of the vehicle has lapsed")))
    if (limit := drawn.get(FaultKind.RATE_LIMIT)) is not None:
        raise Refused(too_many(after_s(limit), say))
    if citizen is None or vin not in account.vins:
        raise Refused(Answer(404, say(404, "NOT_FOUND", "no such vehicle in this account")))
    return Visitor(account=account, citizen=citizen, drawn=drawn)


def too_many(wait_s: float, say: Say) -> Answer:
    """429; Retry-After is in whole town seconds, never 0."""
    seconds = max(1, math.ceil(wait_s))
    return Answer(
        429, say(429, "TOO_MANY_REQUESTS", "rate limit exceeded"), ((b"retry-after", b"%d" % seconds),)
    )


async def hold(town: Town, request: Request) -> Answer:
    """Never answer: wait until the caller hangs up, or for `HELD_S`, then cut."""
    await request.stays_for(town.clock.real_s(HELD_S))
    return CUT_OFF
