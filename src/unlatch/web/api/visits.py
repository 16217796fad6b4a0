"""What everyone entitled asks about a visit: how it stands, its journal as it grows, its proof."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Response
from litestar.response import Stream
from msgspec import Meta, Struct

from unlatch.domain.proof import key_id_of
from unlatch.errors import NotFound
from unlatch.flow.exporting import export_visit, find_signer
from unlatch.store import lines, visits
from unlatch.web.endpoints import Asked, EndpointTable
from unlatch.web.problems import ProblemError, Trouble
from unlatch.web.reading_room import get_visit_for, language_of
from unlatch.web.shapes import Limit
from unlatch.web.signing_in import Reader
from unlatch.web.streaming import TooManyStreams
from unlatch.web.visit_shapes import VisitShown, find_reasons, show_visit

TABLE = EndpointTable(
    "visits", "For everyone entitled: the carrier, that courier, that consignee's household, operators."
)
EVERYONE = (Reader.CARRIER, Reader.COURIER, Reader.CONSIGNEE, Reader.OPERATOR)
NO_PROXY_BUFFER = {"cache-control": "no-store", "x-accel-buffering": "no"}


class Visits(Struct, kw_only=True):
    """Attempts at a stop, newest first."""

    visits: list[VisitShown]


class VisitsQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """How many."""

    limit: Limit = 50


class ProofKey(Struct, kw_only=True):
    """The public key that this installation's proofs are signed with."""

    algorithm: str
    key_id: str
    public_key: Annotated[str, Meta(description="Hexadecimal")]


@TABLE.add(
    "GET",
    "/v1/visits/{visit_id}",
    readers=EVERYONE,
    summary="Read a visit",
    gives=VisitShown,
    troubles=(Trouble.NOT_FOUND,),
)
async def read_visit(asked: Asked[None]) -> VisitShown:
    """How a visit stands, and what the courier does next, worded for who asks (`Accept-Language`: en, fr)."""
    async with asked.platform.database.connection() as connection:
        row = await get_visit_for(connection, asked.asker, asked.path["visit_id"])
        reasons = await find_reasons(connection, row)
    return show_visit(row, asked.asker.reader, language_of(asked), reasons)


@TABLE.add(
    "GET",
    "/v1/stops/{stop_id}/visits",
    readers=(Reader.CARRIER, Reader.OPERATOR),
    summary="List the visits of a stop",
    query=VisitsQuery,
    gives=Visits,
    troubles=(Trouble.NOT_FOUND,),
)
async def list_visits(asked: Asked[None]) -> Visits:
    """The attempts at a stop, newest first."""
    asker, language = asked.asker, language_of(asked)
    async with asked.platform.database.connection() as connection:
        rows = await visits.list_visits_of_stop(connection, asked.path["stop_id"], asked.query.limit)
        if asker.reader is Reader.CARRIER:
            rows = [row for row in rows if row.carrier_id == asker.id]
        shown = [show_visit(row, asker.reader, language, await find_reasons(connection, row)) for row in rows]
    return Visits(visits=shown)


@TABLE.add(
    "GET",
    "/v1/visits/{visit_id}/proof",
    readers=(Reader.CARRIER, Reader.CONSIGNEE, Reader.OPERATOR, Reader.COURIER),
    summary="Export the proof of a visit",
    media_type="application/x-ndjson",
    troubles=(Trouble.NOT_FOUND,),
)
async def export_proof(asked: Asked[None]) -> Response[Any]:
    """The whole journal with its photos as a file (`unlatch-proof/1`) that `unlatch verify` checks offline. What
    this reader may not see is withheld, and the chain of hashes still holds.
    """
    async with asked.platform.database.connection() as connection:
        row = await get_visit_for(connection, asked.asker, asked.path["visit_id"])
    content = await export_visit(
        asked.platform,
        row,
        made_for=asked.asker.who,
        may_see_private=asked.asker.reader is Reader.OPERATOR,
    )
    return Response(
        content,
        media_type="application/x-ndjson",
        headers={"content-disposition": f'attachment; filename="{row.id}.unlatch-proof"'},
    )


@TABLE.add(
    "GET",
    "/v1/visits/{visit_id}/photos/{sha256}",
    readers=EVERYONE,
    summary="See a photo of a visit",
    media_type="image/jpeg",
    troubles=(Trouble.NOT_FOUND,),
)
async def read_photo(asked: Asked[None]) -> Response[Any]:
    """A photo, by the SHA-256 under which the journal names it."""
    wanted = asked.path["sha256"]
    async with asked.platform.database.connection() as connection:
        row = await get_visit_for(connection, asked.asker, asked.path["visit_id"])
        for photo in await lines.list_photos(connection, row.id):
            if bytes(photo.sha256).hex() == wanted:
                return Response(bytes(photo.content), media_type=photo.media_type)
    raise NotFound("there is no such photo")


@TABLE.add(
    "GET",
    "/v1/visits/{visit_id}/events",
    readers=EVERYONE,
    summary="Follow a visit",
    media_type="text/event-stream",
    troubles=(Trouble.NOT_FOUND, Trouble.TOO_MANY),
)
async def follow_visit(asked: Asked[None]) -> Stream:
    """The journal as server-sent events, each a `LineShown` with the line's number as its id. After a cut, send
    `Last-Event-ID` to go on where it ended. A comment each second says that the line is alive; it is cut
    after five minutes, so that whoever listens signs in again. The event `over`
    ends it, once the visit and the watch after it are over.
    """
    given = asked.request.headers.get("last-event-id", "0")
    if not (given.isascii() and given.isdigit() and len(given) <= 9):
        raise ProblemError(Trouble.BAD_INPUT, "Last-Event-ID: give the id of the last event that was read")
    async with asked.platform.database.connection() as connection:
        row = await get_visit_for(connection, asked.asker, asked.path["visit_id"])
    try:
        events = asked.hub.follow(
            row.id,
            after=int(given),
            reader=asked.asker.reader,
            language=language_of(asked),
            consignee_id=asked.asker.id if asked.asker.reader is Reader.CONSIGNEE else None,
        )
    except TooManyStreams:
        raise ProblemError(
            Trouble.TOO_MANY, "too many streams are open", headers={"Retry-After": "5"}
        ) from None
    return Stream(events, media_type="text/event-stream", headers=NO_PROXY_BUFFER)


@TABLE.add("GET", "/v1/proof_key", readers=(), summary="Read the key of the proofs", gives=ProofKey)
async def read_proof_key(asked: Asked[None]) -> ProofKey:
    """Give this key to `unlatch verify`, so that a file sealed by someone else is found out."""
    signer = find_signer(asked.platform)
    return ProofKey(
        algorithm="Ed25519", key_id=key_id_of(signer.public_key), public_key=signer.public_key.hex()
    )
