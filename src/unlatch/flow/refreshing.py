"""Tokens of owners' accounts: kept fresh, each refresh token spent once, however many workers there are.

A refresh token that rotates is good once. So, in this order:

1. Who spends it, and which generation, is committed (`maker_accounts.hold`). Whoever wants the same meanwhile waits
   for the next generation, or goes on with what is still good.
2. It leaves within `FIRST_BYTE_WITHIN_S` of the moment before 1 or never: a process that slept meanwhile sends nothing.
3. The answer is kept, but only by who holds the row still.

If the one who holds it is lost between 1 and 3, nobody knows whether the token was used. The next one asks with the
same token: within the maker's grace that gives tokens again, and where nothing had left it gives them too. Only the
maker's word (invalid_grant) makes an account lost. One exception: where the grace may be over, a second use can end the
whole consent, so while a visit still lives there and its access token is good, nobody asks.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import structlog

from unlatch.clock import monotonic_s
from unlatch.devices.base import Car, Maker
from unlatch.devices.oauth import Desk, Tokens
from unlatch.domain.linking import AccountState
from unlatch.domain.notice import NoticeEvent
from unlatch.errors import CommandNotSent, ConsentLost, DatabaseDown, DeviceError
from unlatch.flow import notifying
from unlatch.flow.failpoint import Point, reach
from unlatch.flow.platform import Platform
from unlatch.store import links, maker_accounts
from unlatch.store.maker_accounts import MakerAccountRow, SealedTokens
from unlatch.store.readings import OpenAccount, Place

log = structlog.get_logger(__name__)

MARGIN = timedelta(seconds=150)  # physical: longer than a command and its polls take
LEAST = timedelta(seconds=5)  # physical: with less left, a lock or a reading waits for the next token
AHEAD = timedelta(seconds=600)  # physical: before a window begins
FIRST_BYTE_WITHIN_S = 2.0  # real
HOLD_SLACK_S = 1.0  # real, for keeping the answer
WAIT_S = 6.0  # real: how long a command or a reading waits for a token
LOOK_EVERY_S = 0.1
AGAIN_AFTER_UNKNOWN_S = 0.5  # real: soon, while the maker's grace lasts
AGAIN_AFTER_REFUSAL_S = 5.0
AGAIN_WHILE_IN_USE_S = 2.0
AGAIN_AFTER_REVOKE_S = 30.0
REVOKE_FOR = timedelta(
    days=7
)  # physical: then the tokens are destroyed, whether the maker has heard of it or not
AT_ONCE = 16
DUE_AT_ONCE = 200

Value = TypeVar("Value")


def open_account(row: MakerAccountRow) -> OpenAccount:
    """What is needed to ask for the cars of this account."""
    return OpenAccount(
        id=row.id,
        is_open=row.state in (AccountState.LIVE, AccountState.ENDING) and row.sealed is not None,
        sealed=row.sealed,
        generation=row.generation,
        access_expires_at=row.access_expires_at,
        refresh_at=row.refresh_at,
        scopes=tuple(row.scopes),
    )


async def ask(platform: Platform, place: Place, question: Callable[[Maker, Car], Awaitable[Value]]) -> Value:
    """Ask a car. A token that has ended is refreshed first; where the maker takes it no more, the car is asked twice.

    Not for an unlock: its bytes leave once (S2). Raises what the question raises.
    """
    place = await freshen(platform, place)
    try:
        return await question(*platform.car_at(place))
    except ConsentLost as error:
        if error.code != "auth_expired" or place.account is None:
            raise
        renewed = await freshen(platform, place, is_refused=True)
        if renewed.account is None or renewed.account.generation == place.account.generation:
            raise
    return await question(*platform.car_at(renewed))


async def freshen(
    platform: Platform, place: Place, *, is_refused: bool = False, is_for_unlock: bool = False
) -> Place:
    """The place with tokens that are good for a while, as far as they can be had. Costs nothing where they are."""
    if place.account is None:
        return place
    account = await freshen_account(
        platform, place.account, place.maker, is_refused=is_refused, is_for_unlock=is_for_unlock
    )
    return place if account is place.account else replace(place, account=account)


async def freshen_account(
    platform: Platform,
    account: OpenAccount,
    maker: str,
    *,
    is_refused: bool = False,
    is_for_unlock: bool = False,
) -> OpenAccount:
    """The same for an account. Waits for whoever refreshes it, up to `WAIT_S`; then it is given as it stands.

    An unlock begins with a token that outlives it; the rest waits only where there is nothing left to begin with.
    """
    if not account.is_open or maker not in platform.makers.desks:
        return account
    ends_at = account.refresh_at if is_for_unlock else account.access_expires_at - LEAST
    if not is_refused and platform.clock.now() < ends_at:
        return account
    deadline_s = monotonic_s() + WAIT_S
    while True:
        await _refresh(platform, account.id, account.generation)
        async with platform.database.connection() as connection:
            row = await maker_accounts.find_account(connection, account.id)
        if row is None:
            return replace(account, is_open=False)
        now = open_account(row)
        is_good = not is_refused and now.access_expires_at > platform.clock.now()
        if now.generation != account.generation or not now.is_open or is_good or monotonic_s() > deadline_s:
            return now
        await asyncio.sleep(LOOK_EVERY_S)


async def refresh_due(platform: Platform, limit: int = DUE_AT_ONCE) -> int:
    """Refresh what is needed soon, or dies of never being used. How many there were.

    One account that can't be refreshed keeps no other waiting; its error is raised once all are done.
    """
    now = platform.clock.now()
    async with platform.database.connection() as connection:
        due = await maker_accounts.list_due(
            connection,
            now=now,
            real_now=datetime.now(UTC),
            ahead=now + AHEAD,
            limit=limit,
        )
    return await _each(due, lambda one: _refresh(platform, *one))


async def end_unlinked(platform: Platform, limit: int = DUE_AT_ONCE) -> int:
    """Tell the makers of accounts that were un-linked, and destroy their tokens. How many there were."""
    async with platform.database.connection() as connection:
        ending = await maker_accounts.list_ending(connection, real_now=datetime.now(UTC), limit=limit)
    return await _each(ending, lambda one: _end(platform, *one))


async def _each(accounts: list[tuple[str, int]], run: Callable[[tuple[str, int]], Awaitable[None]]) -> int:
    turns = asyncio.Semaphore(AT_ONCE)

    async def run_one(account: tuple[str, int]) -> None:
        async with turns:
            await run(account)

    ends = await asyncio.gather(*(run_one(one) for one in accounts), return_exceptions=True)
    broken = [end for end in ends if isinstance(end, BaseException)]
    if broken:
        raise next((error for error in broken if isinstance(error, DatabaseDown)), broken[0])
    return len(accounts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """An account of which this try, and nobody else, may use the refresh token."""

    row: MakerAccountRow
    holder: str
    now: datetime  # when it took hold
    desk: Desk | None  # None: we are registered there no more
    refresh_token: str | None  # None: there is none left


async def _take_hold(
    platform: Platform, account_id: str, generation: int, *, begins_within_s: float, is_spending: bool
) -> _Held | None:
    """Hold an account for as long as one request to its maker can take; None: another one is at it.

    `begins_within_s`: by when, from now on, the request has left. Raises SealBroken.
    """
    holder, now = f"{platform.name}/{secrets.token_hex(6)}", platform.clock.now()
    longest_s = max((desk.answer_within_s for desk in platform.makers.desks.values()), default=0.0)
    async with platform.database.connection() as connection:
        row = await maker_accounts.hold(
            connection,
            account_id,
            generation=generation,
            holder=holder,
            now=now,
            real_now=datetime.now(UTC),
            held_for_s=begins_within_s + longest_s + HOLD_SLACK_S,
            is_spending=is_spending,
        )
    if row is None:
        return None
    tokens = {} if row.sealed is None else platform.vault.open_mapping(row.sealed, row.id)
    return _Held(
        row=row,
        holder=holder,
        now=now,
        desk=platform.makers.desks.get(row.maker),
        refresh_token=tokens.get("refresh_token"),
    )


async def _refresh(platform: Platform, account_id: str, generation: int) -> None:
    """One try at the next generation; nothing happens where another one is at it, or was a moment ago."""
    first_byte_by_s = monotonic_s() + FIRST_BYTE_WITHIN_S
    held = await _take_hold(
        platform, account_id, generation, begins_within_s=FIRST_BYTE_WITHIN_S, is_spending=True
    )
    if held is None:
        return
    row, holder, now, desk = held.row, held.holder, held.now, held.desk
    is_first = row.spent_at == now
    if desk is None or held.refresh_token is None:
        await _let_go(platform, row, holder, AGAIN_AFTER_REVOKE_S, None if is_first else row.spent_at)
        return
    if not is_first and await _is_better_left(platform, desk, row, now):
        await _let_go(platform, row, holder, AGAIN_WHILE_IN_USE_S, row.spent_at)
        return
    reach(platform.settings, Point.BEFORE_REFRESH)
    try:
        given = await desk.refresh(held.refresh_token, first_byte_by_s=first_byte_by_s)
    except ConsentLost:
        await _lose(platform, row, holder)
    except CommandNotSent as error:
        log.warning("an account could not be refreshed", account=row.id, why=error.code)
        await _let_go(platform, row, holder, AGAIN_AFTER_REFUSAL_S, None if is_first else row.spent_at)
    except DeviceError as error:
        log.warning("nobody knows whether an account was refreshed", account=row.id, why=error.code)
        await _let_go(platform, row, holder, AGAIN_AFTER_UNKNOWN_S, row.spent_at)
    else:
        reach(platform.settings, Point.AFTER_REFRESH_ANSWER)
        await _keep(platform, desk, row, holder, given, held.refresh_token)


async def _is_better_left(platform: Platform, desk: Desk, row: MakerAccountRow, now: datetime) -> bool:
    """Whether asking with a token that may have been used could take away what a visit there still needs."""
    grace_s = desk.authorization.reuse_grace_s or 0.0
    assert row.spent_at is not None
    is_in_grace = (now - row.spent_at).total_seconds() <= grace_s
    if is_in_grace or not desk.authorization.rotates or now >= row.access_expires_at:
        return False
    async with platform.database.connection() as connection:
        return await maker_accounts.is_in_use(connection, row.id)


async def _keep(
    platform: Platform, desk: Desk, row: MakerAccountRow, holder: str, given: Tokens, used: str
) -> None:
    sealed = seal_tokens(platform, desk, row.id, given, used)
    async with platform.database.connection() as connection:
        is_kept = await maker_accounts.keep_tokens(
            connection,
            row.id,
            holder=holder,
            tokens=sealed,
        )
    if not is_kept:
        log.warning("an account's new tokens came too late to be kept", account=row.id)


def seal_tokens(
    platform: Platform, desk: Desk, account_id: str, given: Tokens, used: str | None = None
) -> SealedTokens:
    """The tokens as they are kept, with the times by which to renew them."""
    refresh_token = given.refresh_token or used
    assert refresh_token is not None  # an exchange without one is no exchange
    now = platform.clock.now()
    life_s = desk.authorization.refresh_for_s
    access_life = timedelta(seconds=given.expires_in_s)
    return SealedTokens(
        sealed=platform.vault.seal(
            {"access_token": given.access_token, "refresh_token": refresh_token}, account_id
        ),
        access_expires_at=now + access_life,
        refresh_at=now + max(access_life - MARGIN, access_life / 2),
        keep_alive_at=None if life_s is None else now + timedelta(seconds=life_s / 2),
    )


async def _let_go(
    platform: Platform, row: MakerAccountRow, holder: str, after_s: float, was_spent_at: datetime | None
) -> None:
    again_at = datetime.now(UTC) + timedelta(seconds=after_s)
    async with platform.database.connection() as connection:
        await maker_accounts.let_go(
            connection, row.id, holder=holder, again_at=again_at, was_spent_at=was_spent_at
        )


async def _lose(platform: Platform, row: MakerAccountRow, holder: str) -> None:
    """The maker has said no: its owner and the households of its places are told once. Linking again is one tap."""
    now = platform.clock.now()
    async with platform.database.transaction() as connection:
        if not await maker_accounts.lose(connection, row.id, holder=holder, now=now):
            return
        if row.state is AccountState.ENDING:
            return
        event, key = NoticeEvent.ACCOUNT_LOST, f"{row.id}/{row.generation}"
        for place in await links.list_places(connection, row.id):
            await notifying.tell(connection, event, place_id=place.access_point_id, key=key, now=now)
        # Of a place they have heard just now; without one, nobody has.
        await notifying.tell_person(connection, event, consignee_id=row.consignee_id, key=key, now=now)
    log.warning("an account was lost: its maker no longer lets us in", account=row.id)


async def _end(platform: Platform, account_id: str, generation: int) -> None:
    """Revoke, and destroy. A maker that can't be reached is told later; one that never can is given up."""
    held = await _take_hold(
        platform, account_id, generation, begins_within_s=2 * FIRST_BYTE_WITHIN_S, is_spending=False
    )
    if held is None or held.row.state is not AccountState.ENDING:
        return
    row, holder, now, desk = held.row, held.holder, held.now, held.desk
    is_revoked = held.refresh_token is None
    if held.refresh_token is not None and desk is not None and desk.authorization.revoke_path is not None:
        try:
            await desk.revoke(held.refresh_token)
            is_revoked = True
        except DeviceError as error:
            log.warning("a maker was not told of an un-linked account", account=row.id, why=error.code)
            if row.unlinked_at is None or now - row.unlinked_at < REVOKE_FOR:
                await _let_go(platform, row, holder, AGAIN_AFTER_REVOKE_S, row.spent_at)
                return
    async with platform.database.connection() as connection:
        await maker_accounts.end(connection, row.id, holder=holder, is_revoked=is_revoked, now=now)
