"""How long the recordings of a visit are kept, what holds them, and how they are erased."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from unlatch.flow import retention as flow
from unlatch.flow.retention import ClipKept, Retained
from unlatch.store.retention import ClipHoldRow, TakesRow
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.problems import Trouble
from unlatch.web.reading_room import get_visit_for
from unlatch.web.shapes import Identifier, Moment
from unlatch.web.signing_in import Reader

TABLE = EndpointTable("retention", "How long recordings are kept, and that what is erased is gone.")
OPERATOR = (Reader.OPERATOR,)
_MANY_LINES = r"^[^\u0000-\u0008\u000b-\u001f\u007f]*$"


class ClipKeptShown(Struct, kw_only=True):
    """A clip, and what shows that it is gone once it is erased."""

    id: Identifier
    sha256: str
    made_at: Moment
    keep_until: Annotated[Moment, Meta(description="Erased then by itself, unless something holds it")]
    erased_at: Moment | None
    erased_by: Annotated[str | None, Meta(description="clock or consignee")]
    removed_at: Annotated[Moment | None, Meta(description="When its file was seen to be gone")]
    is_key_gone: Annotated[bool, Meta(description="Looked up now: without it nobody can read the file")]
    is_file_gone: Annotated[bool | None, Meta(description="Looked up now; null: the store does not answer")]
    is_proven_erased: bool


class TakesShown(Struct, kw_only=True):
    """A recording that is no clip, not yet or never: it lies on the disk of its recorder."""

    id: Identifier
    state: str
    begun_at: Moment
    erased_at: Moment | None
    erased_by: Annotated[str | None, Meta(description="clock or consignee")]
    is_gone: Annotated[bool, Meta(description="Its recorder has seen that nothing of it is left")]


class HoldShown(Struct, kw_only=True):
    """The operator keeps it for longer. Nobody sees more by it."""

    reason: str
    at: Moment
    until: Moment


class RetainedShown(Struct, kw_only=True):
    """All that was recorded of a visit, and what became of it."""

    visit_id: Identifier
    clips: list[ClipKeptShown]
    takes: list[TakesShown]
    is_held_by_claim: bool
    hold: HoldShown | None
    does_chain_hold: Annotated[bool, Meta(description="Of the journal and the clips' parts, erased or not")]


class Erased(Struct, kw_only=True):
    """What was erased."""

    visit_id: Identifier
    erased: Annotated[int, Meta(description="How many clips and recordings; 0: nothing was left")]


class HoldBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Why it must be kept for longer, and for how many days at most."""

    reason: Annotated[
        str,
        Meta(
            min_length=flow.SHORTEST_REASON,
            max_length=500,
            pattern=_MANY_LINES,
            description="The household reads it",
        ),
    ]
    days: Annotated[int, Meta(ge=1, le=flow.HOLD_DAYS_MOST)] = 90


class Released(Struct, kw_only=True):
    """The hold has ended."""

    visit_id: Identifier
    is_held: bool


def _part(who: str | None) -> str | None:
    return None if who is None else who.partition(":")[0]


def _show_clip(kept: ClipKept) -> ClipKeptShown:
    row = kept.row
    return ClipKeptShown(
        id=row.id,
        sha256=bytes(row.sha256).hex(),
        made_at=row.made_at,
        keep_until=row.keep_until,
        erased_at=row.erased_at,
        erased_by=_part(row.erased_by),
        removed_at=row.removed_at,
        is_key_gone=kept.is_key_gone,
        is_file_gone=kept.is_file_gone,
        is_proven_erased=kept.is_proven_erased,
    )


def _show_takes(row: TakesRow) -> TakesShown:
    return TakesShown(
        id=row.id,
        state=row.state,
        begun_at=row.begun_at,
        erased_at=row.erased_at,
        erased_by=_part(row.erased_by),
        is_gone=row.swept_at is not None,
    )


def _show_hold(row: ClipHoldRow) -> HoldShown:
    return HoldShown(reason=row.reason, at=row.at, until=row.until)


def _show(visit_id: str, retained: Retained) -> RetainedShown:
    return RetainedShown(
        visit_id=visit_id,
        clips=[_show_clip(kept) for kept in retained.clips],
        takes=[_show_takes(row) for row in retained.takes],
        is_held_by_claim=retained.is_claimed,
        hold=None if retained.hold is None else _show_hold(retained.hold),
        does_chain_hold=retained.does_chain_hold,
    )


@TABLE.add(
    "GET",
    "/v1/visits/{visit_id}/retention",
    readers=(Reader.CONSIGNEE, Reader.OPERATOR),
    summary="Read how long a visit's recordings are kept",
    gives=RetainedShown,
    troubles=(Trouble.NOT_FOUND,),
)
async def read_retention(asked: Asked[None]) -> RetainedShown:
    """Until when each clip is kept, what holds it, and of an erased one that it is gone: its key and its file are
    looked for now, and the chain is reckoned anew. Shows no picture.
    """
    async with asked.platform.database.connection() as connection:
        visit = await get_visit_for(connection, asked.asker, asked.path["visit_id"])
    return _show(visit.id, await flow.read_retained(asked.platform, visit.id))


@TABLE.add(
    "POST",
    "/v1/me/visits/{visit_id}/clips/erase",
    readers=(Reader.CONSIGNEE,),
    summary="Erase a visit's recordings now",
    gives=Erased,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
)
async def erase_clips(asked: Asked[None]) -> Erased:
    """For the place's owner, once the visit has ended. Their keys are destroyed with this request, so that nobody can
    read them from then on; their files follow within seconds. It can't be undone. Refused, with why, while an open
    claim or the operator holds them.
    """
    visit_id = asked.path["visit_id"]
    count = await flow.erase_at_once(
        asked.connection, visit_id, consignee_id=asked.asker.id, now=asked.platform.clock.now()
    )
    return Erased(visit_id=visit_id, erased=count)


@TABLE.add(
    "POST",
    "/v1/operator/visits/{visit_id}/hold",
    readers=OPERATOR,
    summary="Keep a visit's recordings for longer",
    takes=HoldBody,
    gives=HoldShown,
    status=201,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
    examples=({"reason": "The police have asked for it: file 26-1103.", "days": 60},),
)
async def hold_clips(asked: Asked[HoldBody]) -> HoldShown:
    """Nothing of this visit is erased until then, or until it is released; the household reads the reason. Nobody
    sees a recording by it.
    """
    row = await flow.hold(
        asked.connection,
        asked.path["visit_id"],
        operator_id=asked.asker.id,
        reason=asked.body.reason,
        days=asked.body.days,
        now=asked.platform.clock.now(),
    )
    return _show_hold(row)


@TABLE.add(
    "POST",
    "/v1/operator/visits/{visit_id}/release",
    readers=OPERATOR,
    summary="End a hold",
    gives=Released,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND,),
)
async def release_clips(asked: Asked[None]) -> Released:
    """What is overdue is erased within a minute."""
    visit_id = asked.path["visit_id"]
    await flow.release(asked.connection, visit_id, operator_id=asked.asker.id, now=asked.platform.clock.now())
    return Released(visit_id=visit_id, is_held=False)
