"""A consignee lets us into their account at a car's maker.

Begin -> the maker's page -> back to us with a code -> tokens. The `state` alone says which link the browser that comes
back belongs to, so that browser is first shown whose it is: else someone might have a stranger say yes for a link of
theirs. What goes out to a maker goes out between transactions.

How a car is chosen: `flow/choosing.py`. How it is all taken back: `flow/unlinking.py`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from psycopg import AsyncConnection

from unlatch.devices.oauth import Desk, Tokens, challenge_of, make_verifier
from unlatch.domain.linking import NEEDED, AccountState, LinkPage, Power
from unlatch.domain.notice import NoticeEvent
from unlatch.errors import BadInput, Conflict, DeviceError, NotFound, TooOften
from unlatch.flow import notifying, refreshing
from unlatch.flow.duties import ask_for_rechecks
from unlatch.flow.platform import Platform
from unlatch.store import consignees, deeds, links, maker_accounts
from unlatch.store.ids import hash_key, make_id
from unlatch.store.maker_accounts import LinkRequestRow, MakerAccountRow

log = structlog.get_logger(__name__)

LINK_FOR = timedelta(minutes=10)  # real
MOST_LINKS_AN_HOUR = 20
LINK_AGAIN_AFTER_S = 600
MOST_ACCOUNTS = 20
CALLBACK = "/v1/links/callback"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkBegun:
    """Where the owner is to go. Its text does not show the state."""

    authorize_url: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"LinkBegun({self.expires_at})"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkShown:
    """What the owner's browser is asked before anything is linked."""

    who: str
    carrier: str
    maker: str  # its label
    language: str


# ---- linking an account


async def begin(
    platform: Platform,
    connection: AsyncConnection,
    *,
    consignee_id: str,
    maker: str,
    account_id: str | None = None,
) -> LinkBegun:
    """The owner is about to let us in. `account_id`: an account to link again.

    Raises BadInput, NotFound, Conflict, TooOften.
    """
    desk = _find_desk(platform, maker)
    await maker_accounts.lock_owner(connection, consignee_id)
    real_now = datetime.now(UTC)
    if account_id is not None:
        account = await get_account(connection, account_id, consignee_id=consignee_id)
        if account.maker != maker:
            raise BadInput("maker", f"this account is one at {account.maker}")
        if account.state not in (AccountState.LIVE, AccountState.LOST):
            raise Conflict("this account was un-linked: begin without naming it")
    elif await maker_accounts.count_open_accounts(connection, consignee_id) >= MOST_ACCOUNTS:
        raise Conflict(f"at most {MOST_ACCOUNTS} accounts can be linked: un-link one first")
    since = real_now - timedelta(hours=1)
    if await maker_accounts.count_requests(connection, consignee_id, since=since) >= MOST_LINKS_AN_HOUR:
        raise TooOften("too many links were begun within the last hour", retry_after_s=LINK_AGAIN_AFTER_S)
    state, verifier, request_id = secrets.token_urlsafe(32), make_verifier(), make_id("lnk")
    row = LinkRequestRow(
        id=request_id,
        consignee_id=consignee_id,
        account_id=account_id,
        maker=maker,
        sealed=platform.vault.seal({"verifier": verifier}, request_id),
        expires_at=real_now + LINK_FOR,
        used_at=None,
    )
    await maker_accounts.insert_request(connection, row, state_hash=hash_key(state), real_now=real_now)
    url = desk.authorize_url(
        state=state, challenge=challenge_of(verifier), redirect_uri=_redirect_uri(platform)
    )
    return LinkBegun(authorize_url=url, expires_at=row.expires_at)


async def find_link(platform: Platform, state: str) -> LinkShown | None:
    """Whose link this is; None: it can't be used any more. Changes nothing."""
    async with platform.database.connection() as connection:
        found = await maker_accounts.find_request(connection, hash_key(state), real_now=datetime.now(UTC))
    if found is None:
        return None
    request, who, language, carrier = found
    label = platform.makers.maker(request.maker).label
    return LinkShown(who=who, carrier=carrier, maker=label, language=language)


async def deny(platform: Platform, state: str) -> None:
    """The owner has not agreed: the link can't be used any more."""
    async with platform.database.connection() as connection:
        await maker_accounts.use_request(connection, hash_key(state), real_now=datetime.now(UTC))


async def finish(platform: Platform, *, state: str, code: str, issuer: str | None) -> LinkPage:
    """The owner has come back with a code, once. What their browser is to be shown."""
    async with platform.database.connection() as connection:
        request = await maker_accounts.use_request(connection, hash_key(state), real_now=datetime.now(UTC))
    if request is None or request.sealed is None:
        return LinkPage.STALE
    desk = platform.makers.desks.get(request.maker)
    if desk is None or (issuer is not None and not desk.is_own_issuer(issuer)):
        return LinkPage.FAILED
    verifier = platform.vault.open_mapping(request.sealed, request.id)["verifier"]
    try:
        tokens = await desk.exchange(code, verifier=verifier, redirect_uri=_redirect_uri(platform))
    except DeviceError as error:
        log.warning("an owner's code was not taken", maker=request.maker, why=error.code)
        return LinkPage.FAILED
    if request.account_id is not None:
        return await _link_again(platform, desk, request, request.account_id, tokens)
    now = platform.clock.now()
    account_id = make_id("mak")
    sealed = refreshing.seal_tokens(platform, desk, account_id, tokens)
    row = MakerAccountRow(
        id=account_id,
        consignee_id=request.consignee_id,
        maker=request.maker,
        state=AccountState.LIVE,
        sealed=sealed.sealed,
        scopes=_scopes(desk, tokens),
        generation=1,
        access_expires_at=sealed.access_expires_at,
        refresh_at=sealed.refresh_at,
        keep_alive_at=sealed.keep_alive_at,
        spent_at=None,
        held_by=None,
        held_until=None,
        again_at=None,
        linked_at=now,
        lost_at=None,
        unlinked_at=None,
        ended_at=None,
        is_revoked=False,
    )
    async with platform.database.transaction() as connection:
        # Asked again, behind the others of this owner: whoever began several at once was within the limit each time.
        await maker_accounts.lock_owner(connection, request.consignee_id)
        open_accounts = await maker_accounts.count_open_accounts(connection, request.consignee_id)
        if open_accounts < MOST_ACCOUNTS:
            await maker_accounts.insert_account(connection, row)
            return LinkPage.LINKED
    await _give_back(desk, tokens)
    return LinkPage.TOO_MANY


async def _link_again(
    platform: Platform, desk: Desk, request: LinkRequestRow, account_id: str, tokens: Tokens
) -> LinkPage:
    """New tokens for an account of before, if it is the one that has its cars."""
    maker = platform.makers.maker(request.maker)
    try:
        listed = await maker.list_cars(
            platform.secrets_of(request.maker, {"access_token": tokens.access_token})
        )
    except DeviceError as error:
        log.warning("an account's cars could not be listed", maker=request.maker, why=error.code)
        return LinkPage.FAILED
    vins, now = {car.vin for car in listed}, platform.clock.now()
    scopes = _scopes(desk, tokens)
    sealed = refreshing.seal_tokens(platform, desk, account_id, tokens)
    async with platform.database.transaction() as connection:
        places = await links.list_places(connection, account_id)
        for place in places:  # the places first, as who un-links does
            await consignees.find_access_point(connection, place.access_point_id, is_locked=True)
        wanted = {platform.vault.open_mapping(one.sealed, one.access_point_id)["vin"] for one in places}
        is_same = wanted <= vins
        is_linked = is_same and await maker_accounts.link_again(
            connection,
            account_id,
            tokens=sealed,
            scopes=scopes,
            now=now,
        )
        is_enough = platform.powers_of(request.maker, scopes) >= NEEDED
        if is_linked:
            for place in places:
                await write_deed(connection, place.access_point_id, request.consignee_id, "linked_again", now)
                await ask_for_rechecks(connection, place.access_point_id, now)
                if not is_enough:
                    await _tell_narrowed(connection, place.access_point_id, request, now)
    if is_linked:
        return LinkPage.LINKED if is_enough or not places else LinkPage.NARROWED
    await _give_back(desk, tokens)
    return LinkPage.STALE if is_same else LinkPage.OTHER_ACCOUNT


async def _tell_narrowed(
    connection: AsyncConnection, access_point_id: str, request: LinkRequestRow, now: datetime
) -> None:
    """Its household may have parcels on the way there. Whether a stop is ruled out by it, pre-flight says."""
    point = await consignees.find_access_point(connection, access_point_id)
    facts = {"place": point.name} if point is not None and point.name else {}
    await notifying.tell(
        connection,
        NoticeEvent.ACCOUNT_NARROWED,
        place_id=access_point_id,
        key=f"{access_point_id}/{request.id}",
        now=now,
        facts=facts,
    )


async def _give_back(desk: Desk, tokens: Tokens) -> None:
    """We have no use for what the owner has just given us. Best effort: unused, it dies by itself."""
    try:
        await desk.revoke(tokens.refresh_token or tokens.access_token)
    except DeviceError as error:
        log.warning("tokens without use were not given back", maker=desk.name, why=error.code)


def _find_desk(platform: Platform, maker: str) -> Desk:
    desk = platform.makers.desks.get(maker)
    if desk is None:
        known = (
            ", ".join(sorted(platform.makers.desks)) or "none: this installation is registered at no maker"
        )
        raise BadInput("maker", f"give one that can be linked here ({known})")
    return desk


def _redirect_uri(platform: Platform) -> str:
    return f"{platform.settings.public_url}{CALLBACK}"


def _scopes(desk: Desk, tokens: Tokens) -> list[str]:
    """What the owner agreed to, of what we asked for."""
    asked = desk.authorization.scopes
    return sorted(asked if tokens.scopes is None else tokens.scopes & set(asked))


# ---- accounts


async def get_account(connection: AsyncConnection, account_id: str, *, consignee_id: str) -> MakerAccountRow:
    """An account of this consignee. Raises NotFound."""
    account = await maker_accounts.find_account(connection, account_id, consignee_id=consignee_id)
    if account is None:
        raise NotFound("there is no such account")
    return account


def powers_of(platform: Platform, account: MakerAccountRow) -> frozenset[Power]:
    """What the owner has let us do."""
    return platform.powers_of(account.maker, account.scopes)


async def write_deed(
    connection: AsyncConnection, access_point_id: str, consignee_id: str, what: str, now: datetime
) -> None:
    """What an owner did to the link of one of their places."""
    await deeds.insert_deed(
        connection,
        access_point_id=access_point_id,
        stop_id=None,
        who=f"consignee:{consignee_id}",
        what=what,
        at=now,
    )
