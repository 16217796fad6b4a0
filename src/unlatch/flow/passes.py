"""Who outside the household may see what was recorded of a visit: nobody, but by a pass.

A pass is given by the household's owner, for a time, to the operator's staff or to the carrier of the visit, and may be
ended at any moment. Or one of the staff gives it to themselves ("break-glass"): in their own name, with a reason, for
half an hour; the journal keeps it, and everyone of the household is told at once.

Whoever shows a clip or a live picture asks `may_staff_watch` or `may_carrier_watch`, at each request and, while a
stream runs, again at least every ten seconds.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from psycopg import AsyncConnection

from unlatch.domain.deed import Deed
from unlatch.domain.household import Right
from unlatch.domain.notice import NoticeEvent
from unlatch.domain.proof import Kind, text_of_time
from unlatch.errors import BadInput, Conflict, NotFound
from unlatch.flow.aftermath import get_visit_of_household
from unlatch.flow.notifying import tell
from unlatch.flow.record import Line
from unlatch.flow.retention import write_lines
from unlatch.store import deeds, passes, retention, visits
from unlatch.store.ids import make_id
from unlatch.store.passes import PassRow
from unlatch.store.visits import VisitRow

CONSENT, BREAK_GLASS = "consent", "break_glass"
OPERATOR, CARRIER = "operator", "carrier"
CONSENT_HOURS_MOST = 14 * 24
GLASS_LASTS = timedelta(minutes=30)
SHORTEST_REASON = 20  # characters, a run of white space counting as one
BREAKS_A_DAY_MOST = 20  # of one operator


async def may_staff_watch(
    connection: AsyncConnection, operator_id: str, visit_id: str, now: datetime
) -> bool:
    """Whether this operator may see the recordings of this visit now. The one place that says so."""
    return await passes.may_staff(connection, operator_id=operator_id, visit_id=visit_id, now=now)


async def may_carrier_watch(
    connection: AsyncConnection, carrier_id: str, visit_id: str, now: datetime
) -> bool:
    """The same for the carrier of the visit: by the consignee's consent alone."""
    return await passes.may_carrier(connection, carrier_id=carrier_id, visit_id=visit_id, now=now)


async def give(
    connection: AsyncConnection,
    visit_id: str,
    *,
    consignee_id: str,
    reader: str,
    hours: int,
    reason: str,
    now: datetime,
) -> PassRow:
    """Let the staff or the carrier see a visit's recordings for so long; an earlier consent for them ends.

    Raises NotFound, NotAllowed, Conflict.
    """
    await get_visit_of_household(connection, visit_id, consignee_id=consignee_id, right=Right.SHARE_CLIPS)
    row = await visits.lock_visit(connection, visit_id)
    await _check_recorded(connection, visit_id)
    who = f"consignee:{consignee_id}"
    ended = await passes.end_passes(connection, visit_id, now, reader=reader)
    given = PassRow(
        id=make_id("pas"),
        visit_id=visit_id,
        reader=reader,
        operator_id=None,
        how=CONSENT,
        who=who,
        reason=reason,
        at=now,
        until=now + timedelta(hours=min(hours, CONSENT_HOURS_MOST)),
        ended_at=None,
    )
    await passes.insert_pass(connection, given)
    lines = [_line("clip_pass_ended", who, {"pass": pass_id}) for pass_id in ended]
    body = {"pass": given.id, "for": reader, "until": text_of_time(given.until)}
    row = await write_lines(connection, row, [*lines, _line("clip_pass_given", who, body)], now)
    await _leave_deed(connection, row, who, Deed.PASS_GIVEN, now)
    return given


async def end(connection: AsyncConnection, pass_id: str, *, consignee_id: str, now: datetime) -> PassRow:
    """End a pass now, a broken glass too. One that has ended stays so. Raises NotFound, NotAllowed."""
    known = await passes.find_pass(connection, pass_id)
    if known is None:
        raise NotFound("there is no such pass")
    try:
        await get_visit_of_household(
            connection, known.visit_id, consignee_id=consignee_id, right=Right.SHARE_CLIPS
        )
    except NotFound:
        raise NotFound("there is no such pass") from None
    row = await visits.lock_visit(connection, known.visit_id)
    who = f"consignee:{consignee_id}"
    if await passes.end_passes(connection, row.id, now, pass_id=pass_id):
        row = await write_lines(connection, row, [_line("clip_pass_ended", who, {"pass": pass_id})], now)
        await _leave_deed(connection, row, who, Deed.PASS_ENDED, now)
    after = await passes.find_pass(connection, pass_id)
    assert after is not None
    return after


async def break_glass(
    connection: AsyncConnection, visit_id: str, *, operator_id: str, reason: str, now: datetime
) -> PassRow:
    """See a visit's recordings without consent, for half an hour: in one's own name, and the household is told at once.

    Raises NotFound, BadInput (a reason that is none), Conflict (nothing recorded, broken already, too often).
    """
    if len(" ".join(reason.split())) < SHORTEST_REASON:
        raise BadInput("reason", f"say why, in at least {SHORTEST_REASON} characters: the household reads it")
    name = await passes.lock_operator(connection, operator_id)
    row = await visits.lock_visit(connection, visit_id)
    await _check_recorded(connection, visit_id)
    if await passes.find_broken_glass(connection, operator_id=operator_id, visit_id=visit_id, now=now):
        raise Conflict("you have broken the glass of this visit already: it lasts for half an hour")
    if await passes.count_broken_glass(connection, operator_id, now - timedelta(days=1)) >= BREAKS_A_DAY_MOST:
        raise Conflict(f"{BREAKS_A_DAY_MOST} times a day are enough: ask the household, or another operator")
    who = f"operator:{operator_id}"
    taken = PassRow(
        id=make_id("pas"),
        visit_id=visit_id,
        reader=OPERATOR,
        operator_id=operator_id,
        how=BREAK_GLASS,
        who=who,
        reason=reason,
        at=now,
        until=now + GLASS_LASTS,
        ended_at=None,
    )
    await passes.insert_pass(connection, taken)
    # What a person writes may name people: it stands beside the chain, and can be forgotten.
    body = {"pass": taken.id, "until": text_of_time(taken.until)}
    line = Line(name="clip_glass_broken", who=who, kind=Kind.NOTE, body=body, private={"reason": reason})
    row = await write_lines(connection, row, [line], now)
    await _leave_deed(connection, row, who, Deed.GLASS_BROKEN, now)
    await tell(
        connection,
        NoticeEvent.CLIP_GLASS_BROKEN,
        place_id=row.access_point_id,
        key=taken.id,
        now=now,
        stop_id=row.stop_id,
        visit_id=row.id,
        facts={"who": name, "at": text_of_time(now), "until": text_of_time(taken.until)},
    )
    return taken


async def _check_recorded(connection: AsyncConnection, visit_id: str) -> None:
    known, left = await retention.count_recordings(connection, visit_id)
    if not left:
        raise Conflict(
            "what was recorded of this visit is erased" if known else "nothing was recorded of this visit"
        )


def _line(name: str, who: str, body: dict[str, str]) -> Line:
    return Line(name=name, who=who, kind=Kind.NOTE, body=body)


async def _leave_deed(
    connection: AsyncConnection, row: VisitRow, who: str, what: Deed, now: datetime
) -> None:
    await deeds.insert_deed(
        connection,
        access_point_id=row.access_point_id,
        stop_id=row.stop_id,
        who=who,
        what=what,
        body={"visit_id": row.id},
        at=now,
    )
