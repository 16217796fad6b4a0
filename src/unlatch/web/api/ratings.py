"""How a visit was found: each person's word, for the carrier; of a courier, what is left when nobody is found out."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct
from psycopg import AsyncConnection

from unlatch.flow import aftermath
from unlatch.flow.aftermath import CourierRatings
from unlatch.store import aftermath as store
from unlatch.store.aftermath import RatingRow
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.problems import Trouble
from unlatch.web.reading_room import get_visit_for
from unlatch.web.shapes import Identifier, Moment
from unlatch.web.signing_in import Reader

TABLE = EndpointTable("ratings", "How people found a visit, and what is told of it.")
MANY_LINES = r"^[^\u0000-\u0008\u000b-\u001f\u007f]*$"

Stars = Annotated[int, Meta(ge=1, le=5)]


class RatingBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """How you found it."""

    stars: Stars
    words: Annotated[str, Meta(max_length=500, pattern=MANY_LINES, description="If you like")] = ""


class RatingMade(Struct, kw_only=True):
    """Your rating, as it stands."""

    visit_id: Identifier
    stars: Stars
    words: str
    changed_at: Moment
    changeable_until: Moment


class RatingShown(Struct, kw_only=True):
    """One rating. Whose it is, is not told."""

    stars: Stars
    words: str
    at: Moment


class Ratings(Struct, kw_only=True):
    """The ratings of a visit, the first first."""

    ratings: list[RatingShown]


class CourierRatingsShown(Struct, kw_only=True):
    """The ratings of a courier in the last 90 days. Null while they are too few: nobody is to be found out."""

    courier_id: Identifier
    is_enough: Annotated[bool, Meta(description="At least 5 ratings, by at least 3 people")]
    count: int | None
    mean: Annotated[float | None, Meta(description="Stars, to a hundredth")]
    histogram: Annotated[list[int] | None, Meta(description="How many of 1, 2, 3, 4 and 5 stars")]


def _show_rating(row: RatingRow) -> RatingShown:
    return RatingShown(stars=row.stars, words=row.words, at=row.changed_at)


def _show_sums(courier_id: str, sums: CourierRatings) -> CourierRatingsShown:
    return CourierRatingsShown(
        courier_id=courier_id,
        is_enough=sums.is_enough,
        count=sums.count,
        mean=None if sums.mean_hundredths is None else sums.mean_hundredths / 100,
        histogram=None if sums.histogram is None else list(sums.histogram),
    )


@TABLE.add(
    "POST",
    "/v1/me/visits/{visit_id}/rating",
    readers=(Reader.CONSIGNEE,),
    summary="Rate a visit",
    takes=RatingBody,
    gives=RatingMade,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
    examples=({"stars": 5, "words": "Quick, and the trunk was closed."},),
)
async def rate_visit(asked: Asked[RatingBody]) -> RatingMade:
    """How you found a visit that has ended: once for each person of the household, within 30 days; you may change it
    for 7 days. The carrier reads it without your name, the courier only in sums.
    """
    row = await aftermath.rate(
        asked.connection,
        asked.path["visit_id"],
        consignee_id=asked.asker.id,
        stars=asked.body.stars,
        words=asked.body.words,
        now=asked.platform.clock.now(),
    )
    return RatingMade(
        visit_id=row.visit_id,
        stars=row.stars,
        words=row.words,
        changed_at=row.changed_at,
        changeable_until=row.created_at + aftermath.CHANGEABLE_FOR,
    )


@TABLE.add(
    "GET",
    "/v1/visits/{visit_id}/ratings",
    readers=(Reader.CARRIER, Reader.OPERATOR),
    summary="Read the ratings of a visit",
    gives=Ratings,
    troubles=(Trouble.NOT_FOUND,),
)
async def list_ratings(asked: Asked[None]) -> Ratings:
    """How the people of the household found a visit; not who of them."""
    async with asked.platform.database.connection() as connection:
        row = await get_visit_for(connection, asked.asker, asked.path["visit_id"])
        rows = await store.list_ratings(connection, row.id)
    return Ratings(ratings=[_show_rating(one) for one in rows])


async def _sum_up(asked: Asked[None], connection: AsyncConnection, courier_id: str) -> CourierRatingsShown:
    sums = await aftermath.sum_up(
        connection,
        courier_id,
        carrier_id=asked.asker.carrier_id or "",
        now=asked.platform.clock.now(),
    )
    return _show_sums(courier_id, sums)


@TABLE.add(
    "GET",
    "/v1/couriers/{courier_id}/ratings",
    readers=(Reader.CARRIER,),
    summary="Sum up a courier's ratings",
    gives=CourierRatingsShown,
    troubles=(Trouble.NOT_FOUND,),
)
async def sum_up_courier(asked: Asked[None]) -> CourierRatingsShown:
    """Count, mean and histogram of the last 90 days, once there are enough."""
    async with asked.platform.database.connection() as connection:
        return await _sum_up(asked, connection, asked.path["courier_id"])


@TABLE.add(
    "GET",
    "/v1/courier/ratings",
    readers=(Reader.COURIER,),
    summary="My ratings",
    gives=CourierRatingsShown,
)
async def sum_up_mine(asked: Asked[None]) -> CourierRatingsShown:
    """Count, mean and histogram of the last 90 days, once there are enough."""
    async with asked.platform.database.connection() as connection:
        return await _sum_up(asked, connection, asked.asker.id)
