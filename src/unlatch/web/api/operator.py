"""What an operator asks. There is no unlock here, and there never will be (S8)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from unlatch.domain.incident import Incident
from unlatch.domain.visit import Fact, State
from unlatch.domain.wording import Language, text_of
from unlatch.domain.wording import Reader as TextReader
from unlatch.flow import consent, ruling
from unlatch.store import lines
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.problems import Trouble
from unlatch.web.reading_room import language_of
from unlatch.web.shapes import Identifier, Limit, Moment
from unlatch.web.signing_in import Reader
from unlatch.web.visit_shapes import VisitShown, show_visit

TABLE = EndpointTable("operator", "For the platform's own people: Bearer with an operator's key. No unlock.")
OPERATOR = (Reader.OPERATOR,)


class Call(Struct, kw_only=True):
    """Someone is asked to look."""

    id: Identifier
    visit_id: Identifier
    access_point_id: Identifier
    courier_id: Identifier
    state: State
    incident: Incident
    text: str
    opened_at: Moment
    times: Annotated[int, Meta(description="How often it was repeated")]


class Calls(Struct, kw_only=True):
    """Open calls, the longest open first."""

    calls: list[Call]


class CallsQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """How many."""

    limit: Limit = 50


class CallClosed(Struct, kw_only=True):
    """The call is answered."""

    id: Identifier
    is_closed: bool


class Ruling(Struct, kw_only=True, forbid_unknown_fields=True):
    """Where the parcel is, as a person found out."""

    ruling: Literal["delivered", "undelivered"]
    why: Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[^\u0000-\u0008\u000b-\u001f\u007f]*$")]


class Frozen(Struct, kw_only=True):
    """The place, and the visit that was stopped, if one was under way."""

    access_point_id: Identifier
    is_frozen: bool
    stopped_visit: VisitShown | None


@TABLE.add("GET", "/v1/operator/calls", readers=OPERATOR, summary="Calls", query=CallsQuery, gives=Calls)
async def list_calls(asked: Asked[None]) -> Calls:
    """Who is to be looked after, the longest waiting first."""
    language = Language(language_of(asked))
    async with asked.platform.database.connection() as connection:
        rows = await lines.list_open_calls(connection, kind="operator", limit=asked.query.limit)
    return Calls(
        calls=[
            Call(
                id=row.id,
                visit_id=row.visit_id,
                access_point_id=row.access_point_id,
                courier_id=row.courier_id,
                state=State(row.state),
                incident=Incident(row.incident),
                text=text_of(Incident(row.incident), TextReader.OPERATOR, language),
                opened_at=row.opened_at,
                times=row.times,
            )
            for row in rows
        ]
    )


@TABLE.add(
    "POST",
    "/v1/operator/calls/{call_id}/close",
    readers=OPERATOR,
    summary="Close a call",
    gives=CallClosed,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
)
async def close_call(asked: Asked[None]) -> CallClosed:
    """A person has looked, and what they were called for is over. Refused while the place was not seen locked, or
    while a ruling is waited for.
    """
    call_id = asked.path["call_id"]
    await ruling.close_call(
        asked.connection, call_id, operator_id=asked.asker.id, now=asked.platform.clock.now()
    )
    return CallClosed(id=call_id, is_closed=True)


@TABLE.add(
    "POST",
    "/v1/operator/visits/{visit_id}/rule",
    readers=OPERATOR,
    widens=True,
    summary="Rule where the parcel is",
    takes=Ruling,
    gives=VisitShown,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
)
async def rule_visit(asked: Asked[Ruling]) -> VisitShown:
    """Ends a visit that waits for a person's word, and closes its calls. Opens and locks nothing."""
    fact = Fact.RULED_DELIVERED if asked.body.ruling == "delivered" else Fact.RULED_UNDELIVERED
    row = await ruling.rule(
        asked.connection,
        asked.path["visit_id"],
        fact=fact,
        operator_id=asked.asker.id,
        why=asked.body.why,
        now=asked.platform.clock.now(),
    )
    return show_visit(row, Reader.OPERATOR, language_of(asked))


@TABLE.add(
    "POST",
    "/v1/operator/access_points/{access_point_id}/freeze",
    readers=OPERATOR,
    summary="Freeze a place",
    gives=Frozen,
    is_closing=True,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND,),
)
async def freeze_place(asked: Asked[None]) -> Frozen:
    """Nothing is opened there any more. A visit that is under way is stopped: what is open is locked."""
    access_point_id = asked.path["access_point_id"]
    row = await consent.freeze(
        asked.connection,
        access_point_id,
        operator_id=asked.asker.id,
        now=asked.platform.clock.now(),
    )
    stopped = None if row is None else show_visit(row, Reader.OPERATOR, language_of(asked))
    return Frozen(access_point_id=access_point_id, is_frozen=True, stopped_visit=stopped)


@TABLE.add(
    "POST",
    "/v1/operator/access_points/{access_point_id}/unfreeze",
    readers=OPERATOR,
    widens=True,
    summary="End a freeze",
    gives=Frozen,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND,),
)
async def unfreeze_place(asked: Asked[None]) -> Frozen:
    """Scans at this place are decided again as any other's. Opens nothing by itself."""
    access_point_id = asked.path["access_point_id"]
    await consent.thaw(
        asked.connection,
        access_point_id,
        operator_id=asked.asker.id,
        now=asked.platform.clock.now(),
    )
    return Frozen(access_point_id=access_point_id, is_frozen=False, stopped_visit=None)
