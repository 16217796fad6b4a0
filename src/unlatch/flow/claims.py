"""Claims: one step, one transaction; what a step may be is `domain/claim.py`'s table.

A claim belongs to the household of its place: whoever is of it sees it; whoever opened it pursues it, and so does the
owner, as after a member has left. Deadlines are rows (`claim.due_at`), which any worker takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from psycopg import AsyncConnection

from unlatch.domain.claim import (
    FINAL,
    MOST_BY_ONE,
    OPENED_WITHIN_S,
    ClaimAct,
    ClaimKind,
    act_on,
    open_claim,
)
from unlatch.domain.deed import Deed
from unlatch.domain.household import Right
from unlatch.domain.notice import NoticeEvent
from unlatch.errors import Conflict, DatabaseDown, NotAllowed, NotFound
from unlatch.flow.aftermath import get_visit_of_household
from unlatch.flow.deadlines import do_each
from unlatch.flow.evidence import attach_evidence
from unlatch.flow.household import require
from unlatch.flow.notifying import tell
from unlatch.flow.platform import Platform
from unlatch.flow.words import Photo
from unlatch.store import aftermath, deeds, stops, visits
from unlatch.store.aftermath import ClaimRow, ClaimStepRow
from unlatch.store.ids import make_id
from unlatch.store.lines import PhotoRow
from unlatch.store.stops import StopRow, StopState

log = structlog.get_logger(__name__)

TRY_AGAIN_AFTER = timedelta(minutes=10)  # a bundle that could not be made
MOST_VISITS = 50
_DEEDS = {
    ClaimAct.OPEN: Deed.CLAIMED,
    ClaimAct.ADMIT: Deed.CLAIM_ANSWERED,
    ClaimAct.DENY: Deed.CLAIM_ANSWERED,
    ClaimAct.AGREE: Deed.CLAIM_AGREED,
    ClaimAct.DISPUTE: Deed.CLAIM_DISPUTED,
    ClaimAct.WITHDRAW: Deed.CLAIM_WITHDRAWN,
    ClaimAct.SAY: Deed.CLAIM_WORD,
    ClaimAct.UPHOLD: Deed.CLAIM_RULED,
    ClaimAct.DISMISS: Deed.CLAIM_RULED,
}
_ENDED_STOPS = frozenset({StopState.DELIVERED, StopState.FALLBACK_DONE, StopState.CANCELLED})


async def claim_visit(
    platform: Platform,
    connection: AsyncConnection,
    visit_id: str,
    *,
    consignee_id: str,
    kind: ClaimKind,
    words: str,
    photos: Sequence[Photo],
) -> ClaimRow:
    """A claim about a visit that has ended. Raises NotFound, Conflict."""
    row = await get_visit_of_household(connection, visit_id, consignee_id=consignee_id, right=Right.CLAIM)
    if row.ended_at is None:
        raise Conflict("this visit is still under way: block the place if it must be stopped")
    stop = await stops.find_stop(connection, row.stop_id)
    assert stop is not None  # a visit is of a stop
    claim = _new_claim(stop, consignee_id, kind, words, platform.clock.now())
    claim = replace(claim, visit_id=row.id, courier_id=row.courier_id)
    return await _open(platform, connection, claim, ended_at=row.ended_at, photos=photos)


async def claim_stop(
    platform: Platform,
    connection: AsyncConnection,
    stop_id: str,
    *,
    consignee_id: str,
    kind: ClaimKind,
    words: str,
    photos: Sequence[Photo],
) -> ClaimRow:
    """A claim about a stop as a whole: nobody came, or the fallback went wrong. Raises NotFound, Conflict."""
    stop = await get_stop_of_household(connection, stop_id, consignee_id=consignee_id)
    now = platform.clock.now()
    attempts = await visits.list_visits_of_stop(connection, stop_id, MOST_VISITS)
    if any(row.ended_at is None for row in attempts):
        raise Conflict("a visit is still under way there: block the place if it must be stopped")
    if stop.state not in _ENDED_STOPS and now <= stop.window_until:
        raise Conflict("this stop is not over: it may still be delivered")
    ends = [stop.window_until] if stop.window_until <= now or not attempts else []
    ends += [row.ended_at for row in attempts if row.ended_at is not None]
    if (fallback_at := await aftermath.find_fallback_end(connection, stop_id)) is not None:
        ends.append(fallback_at)
    claim = _new_claim(stop, consignee_id, kind, words, now)
    return await _open(platform, connection, claim, ended_at=max(ends), photos=photos)


async def get_stop_of_household(connection: AsyncConnection, stop_id: str, *, consignee_id: str) -> StopRow:
    """A stop at a place of this person's households, if they may claim about it. Raises NotFound, NotAllowed."""
    stop = await stops.find_stop(connection, stop_id)
    if stop is None:
        raise NotFound("there is no such stop")
    try:
        await require(connection, stop.access_point_id, consignee_id, Right.CLAIM)
    except NotFound:
        raise NotFound("there is no such stop") from None
    return stop


def _new_claim(stop: StopRow, consignee_id: str, kind: ClaimKind, words: str, now: datetime) -> ClaimRow:
    standing = open_claim(now)
    return ClaimRow(
        id=make_id("clm"),
        stop_id=stop.id,
        visit_id=None,
        access_point_id=stop.access_point_id,
        carrier_id=stop.carrier_id,
        courier_id=stop.courier_id,
        consignee_id=consignee_id,
        kind=kind,
        state=standing.state,
        words=words,
        is_accepted=None,
        has_courier_word=False,
        steps=1,
        opened_at=now,
        due_at=standing.due_at,
        ended_at=None,
        is_evidence_whole=True,
    )


async def _open(
    platform: Platform,
    connection: AsyncConnection,
    claim: ClaimRow,
    *,
    ended_at: datetime,
    photos: Sequence[Photo],
) -> ClaimRow:
    if claim.opened_at - ended_at > timedelta(seconds=OPENED_WITHIN_S):
        raise Conflict(f"a claim is opened within {OPENED_WITHIN_S / 86_400:.0f} days")
    so_far = await aftermath.count_claims(
        connection, stop_id=claim.stop_id, visit_id=claim.visit_id, consignee_id=claim.consignee_id
    )
    if so_far >= MOST_BY_ONE:
        raise Conflict(f"{MOST_BY_ONE} claims about this are enough: ask the operator")
    if not await aftermath.insert_claim(connection, claim):
        raise Conflict("you have an open claim of this kind about it")
    for photo in photos:
        kept = PhotoRow(sha256=photo.sha256, media_type=photo.media_type, content=photo.content)
        await aftermath.insert_claim_photo(connection, claim.id, kept)
    who = f"consignee:{claim.consignee_id}"
    await _write(connection, claim, ClaimAct.OPEN, who, claim.words, claim.opened_at)
    is_whole = await attach_evidence(platform, connection, claim)
    if not is_whole:
        claim = replace(claim, is_evidence_whole=False)
        await aftermath.update_claim(connection, claim)
    return claim


async def act(
    connection: AsyncConnection, claim: ClaimRow, act_: ClaimAct, *, who: str, words: str, now: datetime
) -> ClaimRow:
    """One step of a claim that this transaction has locked. Raises Conflict where it can't be taken now."""
    standing = act_on(claim.standing, act_, now)
    if standing is None:
        raise Conflict(f"this can't be done to a claim that is {claim.state}")
    after = replace(
        claim,
        state=standing.state,
        due_at=standing.due_at,
        is_accepted=standing.is_accepted,
        has_courier_word=standing.has_courier_word,
        ended_at=claim.ended_at or (now if standing.state in FINAL else None),
        steps=claim.steps + 1,
    )
    await aftermath.update_claim(connection, after)
    await _write(connection, after, act_, who, words, now)
    return after


async def pursue(
    connection: AsyncConnection,
    claim_id: str,
    act_: ClaimAct,
    *,
    consignee_id: str,
    words: str,
    now: datetime,
) -> ClaimRow:
    """Agree, dispute or withdraw: who opened the claim, or the place's owner. Raises NotFound, NotAllowed, Conflict."""
    claim = await get_claim_of_household(connection, claim_id, consignee_id=consignee_id, is_locked=True)
    if claim.consignee_id != consignee_id:
        try:
            await require(connection, claim.access_point_id, consignee_id, Right.PURSUE_OTHERS_CLAIM)
        except NotAllowed:
            raise NotAllowed("this is for who opened the claim, or the place's owner") from None
    return await act(connection, claim, act_, who=f"consignee:{consignee_id}", words=words, now=now)


async def answer(
    connection: AsyncConnection,
    claim_id: str,
    *,
    carrier_id: str,
    accepts: bool,
    words: str,
    now: datetime,
) -> ClaimRow:
    """The carrier's answer. Raises NotFound, Conflict."""
    claim = await _lock(connection, claim_id)
    if claim.carrier_id != carrier_id:
        raise _no_claim()
    act_ = ClaimAct.ADMIT if accepts else ClaimAct.DENY
    return await act(connection, claim, act_, who=f"carrier:{carrier_id}", words=words, now=now)


async def add_word(
    connection: AsyncConnection, claim_id: str, *, courier_id: str, words: str, now: datetime
) -> ClaimRow:
    """The courier's own word on a claim about a visit of theirs, once. Raises NotFound, Conflict."""
    claim = await _lock(connection, claim_id)
    if claim.courier_id != courier_id:
        raise _no_claim()
    return await act(connection, claim, ClaimAct.SAY, who=f"courier:{courier_id}", words=words, now=now)


async def rule_on(
    connection: AsyncConnection,
    claim_id: str,
    *,
    operator_id: str,
    upholds: bool,
    words: str,
    now: datetime,
) -> ClaimRow:
    """A person's ruling on what was escalated. Raises NotFound, Conflict."""
    claim = await _lock(connection, claim_id)
    act_ = ClaimAct.UPHOLD if upholds else ClaimAct.DISMISS
    return await act(connection, claim, act_, who=f"operator:{operator_id}", words=words, now=now)


async def get_claim_of_household(
    connection: AsyncConnection, claim_id: str, *, consignee_id: str, is_locked: bool = False
) -> ClaimRow:
    """A claim about a place of this person's households. Raises NotFound."""
    claim = await aftermath.find_claim(connection, claim_id, is_locked=is_locked)
    if claim is None:
        raise _no_claim()
    try:
        await require(connection, claim.access_point_id, consignee_id, Right.SEE)
    except NotFound:
        raise _no_claim() from None
    return claim


async def _lock(connection: AsyncConnection, claim_id: str) -> ClaimRow:
    claim = await aftermath.find_claim(connection, claim_id, is_locked=True)
    if claim is None:
        raise _no_claim()
    return claim


def _no_claim() -> NotFound:
    return NotFound("there is no such claim")


async def _write(
    connection: AsyncConnection, claim: ClaimRow, act_: ClaimAct, who: str, words: str, now: datetime
) -> None:
    """The step, the deed where a person did it, and who is told."""
    step = ClaimStepRow(
        claim_id=claim.id, number=claim.steps, at=now, who=who, what=act_, state=claim.state, words=words
    )
    await aftermath.insert_claim_step(connection, step)
    if (what := _DEEDS.get(act_)) is not None:
        await deeds.insert_deed(
            connection,
            access_point_id=claim.access_point_id,
            stop_id=claim.stop_id,
            who=who,
            what=what,
            body={"claim_id": claim.id, "state": claim.state},
            at=now,
        )
    await tell(
        connection,
        NoticeEvent.CLAIM_OPENED if act_ is ClaimAct.OPEN else NoticeEvent.CLAIM_CHANGED,
        place_id=claim.access_point_id,
        key=f"{claim.id}/{claim.steps}",
        now=now,
        stop_id=claim.stop_id,
        visit_id=claim.visit_id,
        facts={"claim": claim.id, "state": claim.state},
    )


async def run_out_due(platform: Platform, limit: int) -> int:
    """Take the step of the clock for up to `limit` claims, the longest overdue first. How many there were.

    One that can't be read or saved keeps no other waiting; its error is raised once all are done.
    """
    return await do_each(limit, lambda failed: _run_out_next(platform, passing_over=failed))


async def _run_out_next(platform: Platform, *, passing_over: int) -> bool:
    now = platform.clock.now()
    async with platform.database.transaction() as connection:
        claim = await aftermath.lock_next_due_claim(connection, now, passing_over=passing_over)
        if claim is None:
            return False
        await act(connection, claim, ClaimAct.RUN_OUT, who="clock", words="", now=now)
    return True


async def complete_evidence(platform: Platform, limit: int) -> int:
    """Make the second bundle of up to `limit` claims whose visits are over by now. How many there were.

    A bundle that can't be made is tried again later, after the others.
    """
    done = 0
    while done < limit and await _complete_next(platform):
        done += 1
    return done


async def _complete_next(platform: Platform) -> bool:
    now = platform.clock.now()
    claim: ClaimRow | None = None
    try:
        async with platform.database.transaction() as connection:
            claim = await aftermath.lock_next_without_end(connection, tried_before=now - TRY_AGAIN_AFTER)
            if claim is None:
                return False
            is_whole = await attach_evidence(platform, connection, claim)
            claim = replace(claim, is_evidence_whole=is_whole)
            await act(connection, claim, ClaimAct.ADD_EVIDENCE, who="clock", words="", now=now)
    except DatabaseDown:
        raise
    except Exception as error:
        if claim is None:
            raise
        log.warning("a claim's evidence was not completed", claim=claim.id, why=type(error).__name__)
        async with platform.database.transaction() as connection:
            await aftermath.set_evidence_tried(connection, claim.id, now)
    return True
