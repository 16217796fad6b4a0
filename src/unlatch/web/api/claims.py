"""Claims, for all sides: open one, answer, dispute, rule; and the evidence that hangs on it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from litestar import Response
from psycopg import AsyncConnection

from unlatch.domain.claim import ClaimAct, ClaimState
from unlatch.errors import BadInput, NotFound
from unlatch.flow import claims
from unlatch.flow.evidence import get_evidence
from unlatch.flow.words import Photo
from unlatch.store import aftermath, looks
from unlatch.store.aftermath import ClaimRow
from unlatch.store.ids import make_id
from unlatch.store.looks import LookRow
from unlatch.web.api.claim_shapes import (
    MAX_BODY_WITH_PHOTOS_BYTES,
    AnswerBody,
    ClaimBody,
    ClaimRuling,
    Claims,
    ClaimShown,
    ClaimsQuery,
    ClaimWordBody,
    EvidenceQuery,
    show_claims,
)
from unlatch.web.darkroom import DarkroomFull
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.problems import ProblemError, Trouble
from unlatch.web.reading_room import get_claim_for, get_visit_for, language_of
from unlatch.web.signing_in import Reader

TABLE = EndpointTable(
    "claims", "What went wrong, and how it is settled: the household, the carrier, that courier, operators."
)
CONSIGNEE = (Reader.CONSIGNEE,)
EVERYONE = (Reader.CARRIER, Reader.COURIER, Reader.CONSIGNEE, Reader.OPERATOR)
LAST = "~"  # behind every identifier
CLAIM_EXAMPLE = {"kind": "parcel_damaged", "words": "The box was crushed, and what is in it is broken."}
# What several endpoints have in common.
_opening = partial(
    TABLE.add,
    "POST",
    readers=CONSIGNEE,
    takes=ClaimBody,
    gives=ClaimShown,
    status=201,
    repeat=Repeat.CLAIMED,
    max_body_bytes=MAX_BODY_WITH_PHOTOS_BYTES,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT, Trouble.TOO_MANY),
)
_step = partial(
    TABLE.add,
    "POST",
    gives=ClaimShown,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
)
_listed = partial(
    TABLE.add,
    "GET",
    query=ClaimsQuery,
    gives=Claims,
)
_read = partial(
    TABLE.add,
    "GET",
    readers=EVERYONE,
    troubles=(Trouble.NOT_FOUND,),
)


async def _show(asked: Asked[Any], connection: AsyncConnection, row: ClaimRow) -> ClaimShown:
    return (await show_claims(connection, [row], asked.asker, language_of(asked)))[0]


async def _make_photos(asked: Asked[ClaimBody]) -> list[Photo]:
    made = []
    for number, given in enumerate(asked.body.photos):
        try:
            made.append(await asked.darkroom.make_photo(given))
        except BadInput as error:
            raise BadInput(f"photos[{number}]", error.remedy) from error
        except DarkroomFull:
            raise ProblemError(
                Trouble.TOO_MANY, "too many photos wait: send it again", headers={"Retry-After": "2"}
            ) from None
    return made


async def _list(asked: Asked[None], rows: Sequence[ClaimRow], connection: AsyncConnection) -> Claims:
    page = list(rows[: asked.query.limit])
    return Claims(
        claims=await show_claims(connection, page, asked.asker, language_of(asked)),
        next=page[-1].id if len(rows) > asked.query.limit else None,
    )


@_opening(
    "/v1/me/visits/{visit_id}/claims",
    summary="Open a claim about a visit",
    examples=(CLAIM_EXAMPLE,),
)
async def claim_visit(asked: Asked[ClaimBody]) -> ClaimShown:
    """Within 30 days of the visit's end. Its proof and what belongs to it are sealed into a bundle of evidence at
    once, which nobody can weaken later. The carrier has seven days to answer; then a person rules. You may have one
    open claim of each kind. Photos are made anew from their pixels.
    """
    visit_id = asked.path["visit_id"]
    async with asked.platform.database.connection() as connection:
        await get_visit_for(connection, asked.asker, visit_id)
    photos = await _make_photos(asked)
    async with asked.platform.database.transaction() as connection:
        row = await claims.claim_visit(
            asked.platform,
            connection,
            visit_id,
            consignee_id=asked.asker.id,
            kind=asked.body.kind,
            words=asked.body.words,
            photos=photos,
        )
        return await _show(asked, connection, row)


@_opening(
    "/v1/me/stops/{stop_id}/claims",
    summary="Open a claim about a delivery as a whole",
    examples=({"kind": "parcel_missing", "words": "The neighbour has no parcel for me."},),
)
async def claim_stop(asked: Asked[ClaimBody]) -> ClaimShown:
    """The same where nobody came, or where the fallback went wrong: within 30 days of the end of the stop. Its
    evidence holds the proof of each attempt there was.
    """
    stop_id = asked.path["stop_id"]
    async with asked.platform.database.connection() as connection:  # before any photo of theirs is decoded
        await claims.get_stop_of_household(connection, stop_id, consignee_id=asked.asker.id)
    photos = await _make_photos(asked)
    async with asked.platform.database.transaction() as connection:
        row = await claims.claim_stop(
            asked.platform,
            connection,
            stop_id,
            consignee_id=asked.asker.id,
            kind=asked.body.kind,
            words=asked.body.words,
            photos=photos,
        )
        return await _show(asked, connection, row)


@_listed(
    "/v1/me/claims",
    readers=CONSIGNEE,
    summary="My claims",
)
async def list_my_claims(asked: Asked[None]) -> Claims:
    """The claims of the households that you are of, newest first."""
    query: ClaimsQuery = asked.query
    async with asked.platform.database.connection() as connection:
        rows = await aftermath.list_claims(
            connection,
            consignee_id=asked.asker.id,
            state=query.state,
            before=query.cursor or LAST,
            limit=query.limit + 1,
        )
        return await _list(asked, rows, connection)


@_listed(
    "/v1/claims",
    readers=(Reader.CARRIER, Reader.OPERATOR),
    summary="List claims",
)
async def list_claims(asked: Asked[None]) -> Claims:
    """For a carrier: those about its stops, newest first. For an operator: all; with `state=escalated`, those that wait
    for a ruling, the longest waiting first, on one page.
    """
    query: ClaimsQuery = asked.query
    is_carrier = asked.asker.reader is Reader.CARRIER
    async with asked.platform.database.connection() as connection:
        if not is_carrier and query.state is ClaimState.ESCALATED:
            waiting = await aftermath.list_escalated(connection, limit=query.limit)
            return await _list(asked, waiting, connection)
        rows = await aftermath.list_claims(
            connection,
            carrier_id=asked.asker.id if is_carrier else None,
            state=query.state,
            before=query.cursor or LAST,
            limit=query.limit + 1,
        )
        return await _list(asked, rows, connection)


@_listed(
    "/v1/courier/claims",
    readers=(Reader.COURIER,),
    summary="Claims about my visits",
)
async def list_claims_about_me(asked: Asked[None]) -> Claims:
    """What is claimed about the courier's own visits, newest first."""
    query: ClaimsQuery = asked.query
    async with asked.platform.database.connection() as connection:
        rows = await aftermath.list_claims(
            connection,
            courier_id=asked.asker.id,
            state=query.state,
            before=query.cursor or LAST,
            limit=query.limit + 1,
        )
        return await _list(asked, rows, connection)


@_read(
    "/v1/claims/{claim_id}",
    summary="Read a claim",
    gives=ClaimShown,
)
async def read_claim(asked: Asked[None]) -> ClaimShown:
    """How a claim stands, what was done to it by whom, and what you may do now."""
    async with asked.platform.database.connection() as connection:
        row = await get_claim_for(connection, asked.asker, asked.path["claim_id"])
        return await _show(asked, connection, row)


@_read(
    "/v1/claims/{claim_id}/photos/{sha256}",
    summary="See a photo of a claim",
    media_type="image/jpeg",
)
async def read_claim_photo(asked: Asked[None]) -> Response[Any]:
    """A photo of the claimant, by its SHA-256."""
    wanted = asked.path["sha256"]
    async with asked.platform.database.connection() as connection:
        row = await get_claim_for(connection, asked.asker, asked.path["claim_id"])
        for photo in await aftermath.list_claim_photos(connection, row.id):
            if bytes(photo.sha256).hex() == wanted:
                return Response(bytes(photo.content), media_type=photo.media_type)
    raise NotFound("there is no such photo")


@_read(
    "/v1/claims/{claim_id}/evidence",
    summary="Download the evidence of a claim",
    query=EvidenceQuery,
    media_type="application/zip",
)
async def download_evidence(asked: Asked[None]) -> Response[Any]:
    """The bundle (`unlatch-evidence/1`) as it was sealed, which `unlatch verify` checks offline: the proof of each
    visit, deeds, looks, fallbacks, the claimant's photos. The same for all sides. Each download is a look that the
    household is shown.
    """
    async with asked.platform.database.transaction() as connection:
        row = await get_claim_for(connection, asked.asker, asked.path["claim_id"])
        found = await get_evidence(connection, row.id, asked.query.number)
        if found is None:
            raise NotFound("there is no such bundle")
        number, content = found
        await looks.insert_look(
            connection,
            LookRow(
                id=make_id("loo"),
                access_point_id=row.access_point_id,
                stop_id=row.stop_id,
                who=asked.asker.who,
                what="evidence",
                at=asked.platform.clock.now(),
            ),
        )
    return Response(
        content,
        media_type="application/zip",
        headers={"content-disposition": f'attachment; filename="{row.id}-{number}.unlatch-evidence.zip"'},
    )


@_step(
    "/v1/me/claims/{claim_id}/agree",
    readers=CONSIGNEE,
    summary="Agree to the answer",
)
async def agree_to_answer(asked: Asked[None]) -> ClaimShown:
    """The claim is settled: for who opened it, or the place's owner."""
    return await _pursue(asked, ClaimAct.AGREE)


@_step(
    "/v1/me/claims/{claim_id}/dispute",
    readers=CONSIGNEE,
    summary="Dispute the answer",
    takes=ClaimWordBody,
    examples=({"words": "The photo shows another car."},),
)
async def dispute_answer(asked: Asked[ClaimWordBody]) -> ClaimShown:
    """The carrier has three days to accept after all; then a person rules."""
    return await _pursue(asked, ClaimAct.DISPUTE, asked.body.words)


@_step(
    "/v1/me/claims/{claim_id}/withdraw",
    readers=CONSIGNEE,
    summary="Withdraw a claim",
)
async def withdraw_claim(asked: Asked[None]) -> ClaimShown:
    """The end of it, in every state that is not final. Its evidence stays."""
    return await _pursue(asked, ClaimAct.WITHDRAW)


async def _pursue(asked: Asked[Any], act: ClaimAct, words: str = "") -> ClaimShown:
    row = await claims.pursue(
        asked.connection,
        asked.path["claim_id"],
        act,
        consignee_id=asked.asker.id,
        words=words,
        now=asked.platform.clock.now(),
    )
    return await _show(asked, asked.connection, row)


@_step(
    "/v1/claims/{claim_id}/answer",
    readers=(Reader.CARRIER,),
    summary="Answer a claim",
    takes=AnswerBody,
    examples=({"accepts": True, "words": "We are sorry, and pay for it."},),
)
async def answer_claim(asked: Asked[AnswerBody]) -> ClaimShown:
    """The carrier's answer, within seven days. To what was disputed it may accept after all; to deny that again asks
    for a person's ruling.
    """
    row = await claims.answer(
        asked.connection,
        asked.path["claim_id"],
        carrier_id=asked.asker.id,
        accepts=asked.body.accepts,
        words=asked.body.words,
        now=asked.platform.clock.now(),
    )
    return await _show(asked, asked.connection, row)


@_step(
    "/v1/courier/claims/{claim_id}/word",
    readers=(Reader.COURIER,),
    summary="Say how it was",
    takes=ClaimWordBody,
    examples=({"words": "The dent was there before: see my first photo."},),
)
async def say_how_it_was(asked: Asked[ClaimWordBody]) -> ClaimShown:
    """The courier's own word on a claim about a visit of theirs, once, while the claim is open. All sides read it."""
    row = await claims.add_word(
        asked.connection,
        asked.path["claim_id"],
        courier_id=asked.asker.id,
        words=asked.body.words,
        now=asked.platform.clock.now(),
    )
    return await _show(asked, asked.connection, row)


@_step(
    "/v1/operator/claims/{claim_id}/rule",
    readers=(Reader.OPERATOR,),
    summary="Rule on a claim",
    takes=ClaimRuling,
    examples=({"upholds": True, "words": "The journal shows that it was left open."},),
)
async def rule_on_claim(asked: Asked[ClaimRuling]) -> ClaimShown:
    """A person's ruling on what was escalated. It is final."""
    row = await claims.rule_on(
        asked.connection,
        asked.path["claim_id"],
        operator_id=asked.asker.id,
        upholds=asked.body.upholds,
        words=asked.body.words,
        now=asked.platform.clock.now(),
    )
    return await _show(asked, asked.connection, row)
