"""Who outside the household may see what was recorded of a visit: given, ended, taken, listed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from unlatch.flow import passes as flow
from unlatch.store import passes
from unlatch.store.passes import PassRow
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.problems import Trouble
from unlatch.web.reading_room import get_visit_for
from unlatch.web.shapes import PRINTABLE, Identifier, Moment
from unlatch.web.signing_in import Reader

TABLE = EndpointTable("clip passes", "Nobody outside the household sees a recording, but by a pass.")
_MANY_LINES = r"^[^\u0000-\u0008\u000b-\u001f\u007f]*$"


class PassBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Whom you let see the recordings of this visit, and for how long."""

    reader: Annotated[
        Literal["operator", "carrier"],
        Meta(description="`operator`: the operator's staff; `carrier`: the carrier of this visit"),
    ]
    hours: Annotated[int, Meta(ge=1, le=flow.CONSENT_HOURS_MOST)] = 72
    reason: Annotated[str, Meta(max_length=200, pattern=PRINTABLE, description="What for, if you like")] = ""


class GlassBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Why you must see it without having been let."""

    reason: Annotated[
        str,
        Meta(
            min_length=flow.SHORTEST_REASON,
            max_length=500,
            pattern=_MANY_LINES,
            description="The household reads it",
        ),
    ]


class PassShown(Struct, kw_only=True):
    """A pass, as everyone whom it concerns sees it."""

    id: Identifier
    visit_id: Identifier
    reader: Annotated[str, Meta(description="operator or carrier: for whom it is")]
    operator_id: Annotated[Identifier | None, Meta(description="For this one alone; null: for all of them")]
    how: Annotated[str, Meta(description="consent or break_glass")]
    given_by: Annotated[str, Meta(description="consignee or operator")]
    reason: str
    at: Moment
    until: Moment
    ended_at: Annotated[Moment | None, Meta(description="Ended before its time")]
    is_live: bool


class Passes(Struct, kw_only=True):
    """Passes, the latest first."""

    passes: list[PassShown]


def _show(row: PassRow, now: datetime) -> PassShown:
    return PassShown(
        id=row.id,
        visit_id=row.visit_id,
        reader=row.reader,
        operator_id=row.operator_id,
        how=row.how,
        given_by=row.who.partition(":")[0],
        reason=row.reason,
        at=row.at,
        until=row.until,
        ended_at=row.ended_at,
        is_live=row.is_live(now),
    )


@TABLE.add(
    "POST",
    "/v1/me/visits/{visit_id}/clip_passes",
    readers=(Reader.CONSIGNEE,),
    widens=True,
    summary="Let someone see the recordings of a visit",
    takes=PassBody,
    gives=PassShown,
    status=201,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
    examples=({"reader": "carrier", "hours": 48, "reason": "for my claim"},),
)
async def give_pass(asked: Asked[PassBody]) -> PassShown:
    """For the place's owner: lets the operator's staff, or the carrier of this visit, see its recordings for so many
    hours. An earlier pass for the same reader ends with it. End it at any moment; each look is shown to you.
    """
    now = asked.platform.clock.now()
    row = await flow.give(
        asked.connection,
        asked.path["visit_id"],
        consignee_id=asked.asker.id,
        reader=asked.body.reader,
        hours=asked.body.hours,
        reason=asked.body.reason,
        now=now,
    )
    return _show(row, now)


@TABLE.add(
    "POST",
    "/v1/me/clip_passes/{pass_id}/end",
    readers=(Reader.CONSIGNEE,),
    summary="End a pass",
    gives=PassShown,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND,),
)
async def end_pass(asked: Asked[None]) -> PassShown:
    """For the place's owner: from this commit on it lets nobody see anything; a stream that runs by it ends within ten
    seconds. A broken glass can be ended too.
    """
    now = asked.platform.clock.now()
    row = await flow.end(asked.connection, asked.path["pass_id"], consignee_id=asked.asker.id, now=now)
    return _show(row, now)


@TABLE.add(
    "GET",
    "/v1/visits/{visit_id}/clip_passes",
    readers=(Reader.CONSIGNEE, Reader.CARRIER, Reader.OPERATOR),
    summary="List the passes of a visit",
    gives=Passes,
    troubles=(Trouble.NOT_FOUND,),
)
async def list_passes(asked: Asked[None]) -> Passes:
    """Who may see, or might have seen, its recordings, and by whose word; the latest first. A carrier reads its own."""
    now = asked.platform.clock.now()
    async with asked.platform.database.connection() as connection:
        visit = await get_visit_for(connection, asked.asker, asked.path["visit_id"])
        rows = await passes.list_passes(connection, visit.id)
    if asked.asker.reader is Reader.CARRIER:
        rows = [row for row in rows if row.reader == flow.CARRIER]
    return Passes(passes=[_show(row, now) for row in rows])


@TABLE.add(
    "POST",
    "/v1/operator/visits/{visit_id}/break_glass",
    readers=(Reader.OPERATOR,),
    widens=True,
    summary="See a visit's recordings without consent",
    takes=GlassBody,
    gives=PassShown,
    status=201,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
    examples=({"reason": "The neighbour reports an open door and a child inside."},),
)
async def break_glass(asked: Asked[GlassBody]) -> PassShown:
    """For an emergency. In your own name and for half an hour. The reason goes into the journal, and everyone of the
    household is told at once, by every channel that they have.
    """
    now = asked.platform.clock.now()
    row = await flow.break_glass(
        asked.connection,
        asked.path["visit_id"],
        operator_id=asked.asker.id,
        reason=asked.body.reason,
        now=now,
    )
    return _show(row, now)
