"""Which visits an asker may see: a carrier its own, a courier theirs, a consignee those at places they share."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

from unlatch.errors import NotFound
from unlatch.store import aftermath, household, visits
from unlatch.store.aftermath import ClaimRow
from unlatch.store.visits import VisitRow
from unlatch.web.endpoints import Asked
from unlatch.web.shapes import Language, say_language
from unlatch.web.signing_in import Asker, Reader


async def get_visit_for(connection: AsyncConnection, asker: Asker, visit_id: str) -> VisitRow:
    """A visit that this asker may see. Raises NotFound, whether there is none or it is another's."""
    row = await visits.get_visit(connection, visit_id)
    if asker.reader is Reader.OPERATOR:
        return row
    if asker.reader is Reader.CARRIER and row.carrier_id == asker.id:
        return row
    if asker.reader is Reader.COURIER and row.courier_id == asker.id:
        return row
    if asker.reader is Reader.CONSIGNEE and await household.is_of_household(
        connection, row.access_point_id, asker.id
    ):
        return row
    raise NotFound("there is no such visit")


def language_of(asked: Asked[Any]) -> Language:
    """The language that this asker reads: a page's, else as the request prefers, else as they were registered."""
    if asked.language is not None:
        return asked.language
    return say_language(asked.request.headers.get("accept-language"), asked.asker.language or "en")


async def get_claim_for(connection: AsyncConnection, asker: Asker, claim_id: str) -> ClaimRow:
    """A claim that this asker may see, as with visits. Raises NotFound."""
    row = await aftermath.find_claim(connection, claim_id)
    if row is not None:
        is_theirs = {
            Reader.OPERATOR: True,
            Reader.CARRIER: row.carrier_id == asker.id,
            Reader.COURIER: row.courier_id == asker.id,
        }.get(asker.reader, False)
        if asker.reader is Reader.CONSIGNEE:
            is_theirs = await household.is_of_household(connection, row.access_point_id, asker.id)
        if is_theirs:
            return row
    raise NotFound("there is no such claim")
