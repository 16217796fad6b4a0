"""The bundle of evidence of a claim, made in the transaction that opens it: nothing can be forgotten in between.

It holds what all sides may see: no position, no plate, no rating. What is withheld in it stays in the journal, which
an open claim holds (`store/aftermath.is_held`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from hashlib import sha256

from psycopg import AsyncConnection

from unlatch.domain.canonical import canonical
from unlatch.domain.evidence import (
    COUNTED,
    LARGEST_EVIDENCE_BYTES,
    Counted,
    make_evidence,
    write_counted,
)
from unlatch.domain.proof import text_of_time
from unlatch.errors import StoreError
from unlatch.flow.exporting import find_signer, read_story, seal_story
from unlatch.flow.platform import Platform
from unlatch.store import aftermath, deeds, fallbacks, looks, visits
from unlatch.store.aftermath import ClaimRow
from unlatch.store.visits import VisitRow

MOST_VISITS = 50
MOST_DEEDS = 1000
MOST_LOOKS = 1000
ROOM_BYTES = LARGEST_EVIDENCE_BYTES - 2**20  # the rest is for the manifest and the archive itself


class EvidenceBroken(StoreError):
    """A bundle is not as it was when it was made."""


async def attach_evidence(platform: Platform, connection: AsyncConnection, claim: ClaimRow) -> bool:
    """Make the next bundle of this claim and keep it; whether all its visits are over by now."""
    rows, all_visits = await _list_visits(connection, claim)
    files = await _list_files(connection, claim, tries=Counted(here=len(rows), all=all_visits))
    room = ROOM_BYTES - sum(map(len, files.values()))
    told: list[str] = []
    left_out: list[str] = []
    for row in rows:  # the newest first: they have the best claim to the room
        story = await read_story(connection, row, may_see_private=False)
        proof = await asyncio.to_thread(seal_story, platform, story, made_for=f"claim:{claim.id}")
        if len(proof) > room and story.documents:
            story = story.without_documents()
            proof = await asyncio.to_thread(seal_story, platform, story, made_for=f"claim:{claim.id}")
        if len(proof) > room:
            left_out.append(row.id)
            continue
        room -= len(proof)
        told.append(row.id)
        files[f"visits/{row.id}.unlatch-proof"] = proof
    made_at = platform.clock.now()
    content = await asyncio.to_thread(
        make_evidence,
        claim_id=claim.id,
        made_at=made_at,
        files=files,
        visits=told,
        left_out=left_out,
        signer=find_signer(platform),
    )
    before = await aftermath.list_evidence(connection, [claim.id])
    await aftermath.insert_evidence(
        connection,
        claim.id,
        len(before) + 1,
        sha256=sha256(content).digest(),
        content=content,
        made_at=made_at,
    )
    return all(_is_over(row) for row in rows)


async def get_evidence(
    connection: AsyncConnection, claim_id: str, number: int | None
) -> tuple[int, bytes] | None:
    """A bundle, by number or the latest. Raises EvidenceBroken where it is not as it was made."""
    found = await aftermath.find_evidence(connection, claim_id, number)
    if found is None:
        return None
    number, digest, content = found
    if sha256(content).digest() != digest:
        raise EvidenceBroken(f"bundle {number} of {claim_id} was changed")
    return number, content


def _is_over(row: VisitRow) -> bool:
    return row.ended_at is not None and row.visit.tail in aftermath.TAILS_THAT_ARE_OVER


async def _list_visits(connection: AsyncConnection, claim: ClaimRow) -> tuple[list[VisitRow], int]:
    """Those that it is about, the newest first, and how many there are in all."""
    if claim.visit_id is not None:
        return [await visits.get_visit(connection, claim.visit_id)], 1
    rows = await visits.list_visits_of_stop(connection, claim.stop_id, MOST_VISITS)
    return rows, await visits.count_visits_of_stop(connection, claim.stop_id)


async def _list_files(connection: AsyncConnection, claim: ClaimRow, *, tries: Counted) -> dict[str, bytes]:
    """All but the proofs. Of what there is too much of, the newest is in it, and how much there was is told."""
    stop_id = claim.stop_id
    done = await deeds.list_deeds_of_stop(connection, stop_id, limit=MOST_DEEDS)
    seen = await looks.list_looks_of_stop(connection, stop_id, limit=MOST_LOOKS)
    counted = {
        "deeds": Counted(here=len(done), all=await deeds.count_deeds_of_stop(connection, stop_id)),
        "looks": Counted(here=len(seen), all=await looks.count_looks_of_stop(connection, stop_id)),
        "visits": tries,
    }
    photos = await aftermath.list_claim_photos(connection, claim.id)
    ends = await fallbacks.list_ends(connection, claim.stop_id)
    told: Mapping[str, object] = {
        "claim.json": {
            "claim_id": claim.id,
            "kind": claim.kind,
            "opened_at": text_of_time(claim.opened_at),
            "photos": [photo.sha256.hex() for photo in photos],
            "stop_id": claim.stop_id,
            "visit_id": claim.visit_id,
            "words": claim.words,
        },
        "deeds.json": [
            {"at": text_of_time(row.at), "body": _as_told(row.body), "what": row.what, "who": row.who}
            for row in done
        ],
        "fallbacks.json": [
            {
                "at": text_of_time(row.at),
                "could_not": row.could_not,
                "fallback": row.fallback,
                "parcel_id": row.parcel_id,
                "photo": None if row.photo is None else row.photo.hex(),
                "told": row.told,
                "who": row.who,
            }
            for row in ends
        ],
        "looks.json": [{"at": text_of_time(row.at), "what": row.what, "who": row.who} for row in seen],
    }
    files = {name: canonical(content) for name, content in told.items()}
    files[COUNTED] = write_counted(counted)
    for digest in {row.photo for row in ends if row.photo is not None}:
        if (found := await fallbacks.find_photo(connection, claim.stop_id, digest)) is not None:
            files[f"fallbacks/{digest.hex()}.jpeg"] = found[1]
    return files | {f"photos/{photo.sha256.hex()}.jpeg": bytes(photo.content) for photo in photos}


def _as_told(value: object) -> object:
    """A deed's body as canonical JSON can hold it: a number with a fraction as its text."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Mapping):
        return {name: _as_told(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_as_told(one) for one in value]
    return value
