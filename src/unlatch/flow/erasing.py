"""A person is erased as a whole, by their own word, in steps that may be broken off and done again at any point.

The word shuts the way in at once: sign-ins and keys end in its transaction. A worker then goes through the steps of
`domain/erasure.py`, each in transactions that are bounded and change nothing where they have been before. What is held
(a visit under way, an open claim ...) is passed over; the worker comes back until nothing is, and that is the end.

A hash chain is never touched: of an entry's private part the digest stays, so a proof still verifies
(docs/decisions/0015). Whose place has a member who has agreed to that is handed to them, and all that is of it stays.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import structlog
from psycopg import AsyncConnection

from unlatch.domain.deed import Deed
from unlatch.domain.erasure import RECEIPT_DAYS, Held, Step
from unlatch.domain.household import Role
from unlatch.domain.incident import Incident
from unlatch.domain.linking import AccountState
from unlatch.domain.notice import NoticeEvent
from unlatch.errors import Conflict, DatabaseDown, NotFound
from unlatch.flow import notifying, retention, unlinking
from unlatch.flow.household import first_name, give_up, leave
from unlatch.flow.platform import Platform
from unlatch.store import (
    cameras,
    consignees,
    deeds,
    erasures,
    household,
    links,
    maker_accounts,
    stops,
    visits,
)
from unlatch.store.erasures import ErasureRow, HeldRow, StepRow
from unlatch.store.household import HeldPlaceRow
from unlatch.store.ids import hash_key, make_id

log = structlog.get_logger(__name__)

GO_ON_EVERY_S = 1.0  # real
AT_ONCE = 4  # people
ROWS_AT_ONCE = 200  # of one transaction
VISITS_AT_ONCE = 20
TURNS_AT_MOST = 50  # of one step, then another person's turn comes
LEASE = timedelta(seconds=60)  # real: who was lost with one is followed by another
AGAIN_AFTER = timedelta(seconds=10)  # real: what holds it may have ended
RECEIPT_KEY = "erd"
RECEIPT_BYTES = 24  # random, as long as an identifier may be
GONE = ""  # what a name reads that is forgotten


@dataclass(frozen=True, slots=True, kw_only=True)
class ToCome:
    """A delivery that is still to be brought to a place that closes."""

    stop_id: str
    place: str
    window_from: datetime
    window_until: datetime
    fallback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacePlan:
    """What becomes of a place of theirs."""

    row: HeldPlaceRow
    heir: str | None  # who is its owner then; None: it closes, or is another's

    @property
    def becomes(self) -> str:
        """In one word."""
        if self.row.role == Role.MEMBER:
            return "left"
        return "closed" if self.heir is None else "handed_over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would happen, were it asked for now."""

    places: tuple[PlacePlan, ...]
    held: tuple[HeldRow, ...]
    to_come: tuple[ToCome, ...]  # sent to their fallbacks, if that is confirmed


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """How far an erasure is."""

    row: ErasureRow
    steps: Mapping[Step, StepRow]
    held: tuple[HeldRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one transaction of a step came to."""

    count: int
    is_more: bool = False  # there is more to be erased at once
    is_held: bool = False  # something is left that can't be erased now


# ---- what would happen, and the word ----------------------------------------------------------------------


async def read_plan(connection: AsyncConnection, consignee_id: str, now: datetime) -> Plan:
    """What would be erased of this person, held, and handed on. Changes nothing."""
    rows = await household.list_held_places(connection, consignee_id)
    heirs = await household.list_heirs(connection, consignee_id)
    names = await household.list_names(connection, heirs.values())
    closing = [row.id for row in rows if row.role == Role.OWNER and row.id not in heirs]
    to_come = await erasures.list_stops_to_come(connection, closing, now)
    pending = {stop_id for stop_id, *_ in to_come}
    held = await erasures.list_held(connection, consignee_id, closing, now)
    called = {row.id: row.name for row in rows}
    return Plan(
        places=tuple(
            PlacePlan(row=row, heir=first_name(names[heirs[row.id]]) if row.id in heirs else None)
            for row in rows
        ),
        held=tuple(one for one in held if one.why is not Held.DELIVERY or one.id not in pending),
        to_come=tuple(
            ToCome(
                stop_id=stop_id,
                place=called[place_id],
                window_from=window_from,
                window_until=window_until,
                fallback=fallback,
            )
            for stop_id, place_id, window_from, window_until, fallback in to_come
        ),
    )


async def ask(
    connection: AsyncConnection,
    consignee_id: str,
    *,
    receipt: str,
    sends_deliveries_away: bool,
    now: datetime,
) -> None:
    """The person's word: from this commit on nobody is signed in as them.

    `receipt`: by which they will find it, known to them before, since they can't ask again (docs/decisions/0019).
    Raises Conflict while deliveries are to come and it is not confirmed that they go to their fallbacks.
    """
    plan = await read_plan(connection, consignee_id, now)
    if plan.to_come and not sends_deliveries_away:
        raise Conflict(
            f"{len(plan.to_come)} deliveries are to come: redirect them, or confirm that they go to their fallbacks"
        )
    row = ErasureRow(
        id=make_id("era"), consignee_id=consignee_id, asked_at=now, ended_at=None, link_until_real=None
    )
    if not await erasures.insert_erasure(connection, row, hash_key(receipt), datetime.now(UTC)):
        raise Conflict(
            "this was asked for already, or another receipt is called so: read it, or give a new name"
        )
    count = await _end_access(connection, consignee_id, now)
    await erasures.note_step(connection, row.id, Step.ACCESS, count=count, now=now)


def make_receipt() -> str:
    """A name for a receipt that nobody guesses."""
    return f"{RECEIPT_KEY}_{secrets.token_hex(RECEIPT_BYTES)}"


async def read_receipt(connection: AsyncConnection, token: str, now: datetime) -> Receipt:
    """What was erased when, and what is held. Raises NotFound."""
    row = await erasures.find_by_token(connection, hash_key(token), datetime.now(UTC))
    if row is None:
        raise NotFound("there is no such receipt, or no longer")
    places = await _list_own(connection, row.consignee_id)
    held = [] if row.ended_at else await erasures.list_held(connection, row.consignee_id, places, now)
    return Receipt(row=row, steps=await erasures.list_steps(connection, row.id), held=tuple(held))


# ---- the worker's part ------------------------------------------------------------------------------------


async def go_on(platform: Platform, limit: int = AT_ONCE) -> int:
    """Go on with up to `limit` people's erasures; how many there were. One that fails keeps no other waiting."""
    real_now = datetime.now(UTC)
    async with platform.database.connection() as connection:
        rows = await erasures.claim_due(connection, real_now, again_at=real_now + LEASE, limit=limit)
    for row in rows:
        try:
            await _erase(platform, row)
        except DatabaseDown:
            raise
        except Exception as error:  # noqa: BLE001 - it comes again when its lease is over
            log.warning("an erasure was broken off", erasure=row.id, why=type(error).__name__)
    return len(rows)


async def _erase(platform: Platform, row: ErasureRow) -> None:
    is_held = is_more = False
    for step in Step:
        turn = await _do_step(platform, row, step)
        is_held |= turn.is_held
        is_more |= turn.is_more
    real_now = datetime.now(UTC)
    async with platform.database.transaction() as connection:
        if is_held or is_more:
            again_at = real_now if is_more else real_now + AGAIN_AFTER
            await erasures.set_next(connection, row.id, again_at)
            return
        await erasures.end_erasure(
            connection,
            row.id,
            now=platform.clock.now(),
            link_until_real=real_now + timedelta(days=RECEIPT_DAYS),
        )


async def _do_step(platform: Platform, row: ErasureRow, step: Step) -> Turn:
    """One step, as far as it goes now; what its last transaction came to."""
    turn = Turn(count=0)
    for _ in range(TURNS_AT_MOST):
        now = platform.clock.now()
        async with platform.database.transaction() as connection:
            turn = await STEPS[step](platform, connection, row.consignee_id, now)
            await erasures.note_step(connection, row.id, step, count=turn.count, now=now)
        if not turn.is_more:
            break
    return turn


async def _list_own(connection: AsyncConnection, consignee_id: str) -> list[str]:
    """Places that are still this person's: those that close, or are closed."""
    return [one.id for one in await consignees.list_access_points(connection, consignee_id)]


async def _end_access(connection: AsyncConnection, consignee_id: str, now: datetime) -> int:
    no_key = hash_key(secrets.token_hex(32))
    return await erasures.end_access(connection, consignee_id, no_key=no_key, now=now)


async def _access(_: Platform, connection: AsyncConnection, consignee_id: str, now: datetime) -> Turn:
    return Turn(count=await _end_access(connection, consignee_id, now))


async def _places(_: Platform, connection: AsyncConnection, consignee_id: str, now: datetime) -> Turn:
    """One place each time, in the order in which places are locked."""
    heirs = await household.list_heirs(connection, consignee_id)
    is_held = False
    for place_id in await _list_own(connection, consignee_id):
        if place_id in heirs:
            await give_up(connection, place_id, consignee_id=consignee_id, heir_id=heirs[place_id], now=now)
            return Turn(count=1, is_more=True)
        outcome = await _close(connection, place_id, consignee_id, now)
        if outcome is True:
            return Turn(count=1, is_more=True)
        is_held |= outcome is None
    return Turn(count=0, is_held=is_held)


async def _close(connection: AsyncConnection, place_id: str, consignee_id: str, now: datetime) -> bool | None:
    """Nothing is opened there any more, and nobody shares it; False: so it was. None: a visit there must end first.

    What is to come there goes to its fallback either way, but for the stop that is being delivered.
    """
    point = await consignees.find_access_point(connection, place_id, is_locked=True)
    if point is None or point.consignee_id != consignee_id:
        return False
    live = await visits.find_live_visit(connection, place_id)
    incident = Incident.CONSIGNEE_CONSENT_ENDED
    but = None if live is None else live.stop_id
    for stop in await stops.rule_out_stops(connection, place_id, incident=incident, now=now, but=but):
        facts = {"incident": incident.value, "fallback": stop.fallback}
        await notifying.tell_of_stop(connection, NoticeEvent.RULED_OUT, stop, now, facts)
    if live is not None:
        return None
    shared = len(await household.list_people(connection, place_id)) > 1
    if not point.is_consent_given and not shared:
        return False
    await links.set_consent(connection, place_id, is_given=False)
    await give_up(connection, place_id, consignee_id=consignee_id, heir_id=None, now=now)
    await deeds.insert_deed(
        connection,
        access_point_id=place_id,
        stop_id=None,
        who=f"consignee:{consignee_id}",
        what=Deed.PLACE_CLOSED,
        at=now,
    )
    return True


async def _households(_: Platform, connection: AsyncConnection, consignee_id: str, now: datetime) -> Turn:
    for place in await household.list_held_places(connection, consignee_id):
        if place.role == Role.MEMBER:
            await leave(connection, place.id, consignee_id=consignee_id, now=now)
            return Turn(count=1, is_more=True)
    return Turn(count=0)


async def _accounts(_: Platform, connection: AsyncConnection, consignee_id: str, now: datetime) -> Turn:
    is_held = False
    for account in await maker_accounts.list_accounts(connection, consignee_id):
        if account.state is AccountState.ENDED:
            continue
        is_usable = account.state in (AccountState.LIVE, AccountState.LOST)
        if is_usable and not await maker_accounts.is_in_use(connection, account.id):
            await unlinking.unlink(connection, account.id, consignee_id=consignee_id, now=now)
            return Turn(count=1, is_more=True)
        is_held = True
    return Turn(count=0, is_held=is_held)


async def _channels(_: Platform, connection: AsyncConnection, consignee_id: str, now: datetime) -> Turn:
    count = await erasures.end_channels(connection, consignee_id, now=now, limit=ROWS_AT_ONCE)
    is_left = await erasures.has_notices(connection, consignee_id)
    return Turn(count=count, is_more=is_left and count > 0, is_held=is_left)


async def _name(_: Platform, connection: AsyncConnection, consignee_id: str, __: datetime) -> Turn:
    name = (await household.list_names(connection, [consignee_id])).get(consignee_id, GONE)
    if name == GONE:
        return Turn(count=await erasures.forget_name(connection, consignee_id))
    names = {name, first_name(name)}
    count = await erasures.take_out_name(connection, consignee_id, sorted(names), limit=ROWS_AT_ONCE)
    if count:
        return Turn(count=count, is_more=True)
    return Turn(count=await erasures.forget_name(connection, consignee_id))


async def _recordings(_: Platform, connection: AsyncConnection, consignee_id: str, now: datetime) -> Turn:
    places = await _list_own(connection, consignee_id)
    count = 0
    found = await erasures.list_recorded(connection, places, now, limit=VISITS_AT_ONCE)
    for visit_id in found:
        who = f"consignee:{consignee_id}"
        count += await retention.erase_if_free(connection, visit_id, who=who, now=now) or 0
    is_left = await erasures.has_recorded(connection, places)
    return Turn(count=count, is_more=is_left and count > 0, is_held=is_left)


async def _visits(_: Platform, connection: AsyncConnection, consignee_id: str, now: datetime) -> Turn:
    places = await _list_own(connection, consignee_id)
    count = await erasures.forget_visits(connection, places, now, limit=VISITS_AT_ONCE)
    is_left = await erasures.has_private(connection, places)
    return Turn(count=count, is_more=is_left and count > 0, is_held=is_left)


async def _words(_: Platform, connection: AsyncConnection, consignee_id: str, __: datetime) -> Turn:
    places = await _list_own(connection, consignee_id)
    count = await erasures.forget_words(connection, consignee_id, places)
    return Turn(count=count, is_held=await erasures.has_open_claims(connection, consignee_id, places))


async def _addresses(
    platform: Platform, connection: AsyncConnection, consignee_id: str, now: datetime
) -> Turn:
    places, count, is_held = await _list_own(connection, consignee_id), 0, False
    for place_id in places:
        point = await consignees.find_access_point(connection, place_id, is_locked=True)
        if point is None or point.consignee_id != consignee_id:
            continue
        if point.is_consent_given or await erasures.is_address_needed(connection, place_id, now):
            is_held = True
            continue
        for camera in await cameras.list_cameras(connection, place_id):
            await cameras.remove_camera(connection, camera.id, now, platform.vault.seal({}, camera.id))
        count += await erasures.forget_place(connection, place_id, now)
    return Turn(count=count, is_held=is_held or await erasures.has_findings(connection, places))


STEPS: Mapping[Step, Callable[[Platform, AsyncConnection, str, datetime], Awaitable[Turn]]] = (
    MappingProxyType(
        {
            Step.ACCESS: _access,
            Step.PLACES: _places,
            Step.HOUSEHOLDS: _households,
            Step.ACCOUNTS: _accounts,
            Step.CHANNELS: _channels,
            Step.NAME: _name,
            Step.RECORDINGS: _recordings,
            Step.VISITS: _visits,
            Step.WORDS: _words,
            Step.ADDRESSES: _addresses,
        }
    )
)
