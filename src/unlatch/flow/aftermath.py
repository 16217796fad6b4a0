"""How the people of a household found a visit. A courier never learns who said what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import AsyncConnection

from unlatch.domain.deed import Deed
from unlatch.domain.household import Right
from unlatch.errors import Conflict, NotFound
from unlatch.flow.enrolment import get_courier
from unlatch.flow.household import require
from unlatch.store import aftermath, deeds, visits
from unlatch.store.aftermath import RatingRow
from unlatch.store.visits import VisitRow

RATED_WITHIN = timedelta(days=30)  # of the visit's end
CHANGEABLE_FOR = timedelta(days=7)
COUNTED_FOR = timedelta(days=90)
# So that no single person is found out by what is told of all.
FEWEST_RATINGS = 5
FEWEST_PEOPLE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CourierRatings:
    """What is told of a courier's ratings; nothing at all while they are too few."""

    is_enough: bool
    count: int | None
    mean_hundredths: int | None  # of a star
    histogram: tuple[int, int, int, int, int] | None  # 1 star to 5 stars


async def get_visit_of_household(
    connection: AsyncConnection, visit_id: str, *, consignee_id: str, right: Right
) -> VisitRow:
    """A visit at a place of this person's households. Raises NotFound, NotAllowed."""
    row = await visits.get_visit(connection, visit_id)
    try:
        await require(connection, row.access_point_id, consignee_id, right)
    except NotFound:
        raise NotFound("there is no such visit") from None
    return row


async def rate(
    connection: AsyncConnection,
    visit_id: str,
    *,
    consignee_id: str,
    stars: int,
    words: str,
    now: datetime,
) -> RatingRow:
    """How this person found a visit; said again within a week, the latest counts. Raises NotFound, Conflict."""
    row = await get_visit_of_household(connection, visit_id, consignee_id=consignee_id, right=Right.RATE)
    if row.ended_at is None:
        raise Conflict("this visit is still under way")
    changeable_since = now - CHANGEABLE_FOR
    if now - row.ended_at > RATED_WITHIN:
        raise Conflict(f"a visit is rated within {RATED_WITHIN.days} days of its end")
    rating = await aftermath.save_rating(
        connection,
        visit_id=visit_id,
        consignee_id=consignee_id,
        courier_id=row.courier_id,
        stars=stars,
        words=words,
        now=now,
        changeable_since=changeable_since,
    )
    if rating is None:
        raise Conflict(f"a rating is changed within {CHANGEABLE_FOR.days} days")
    if rating.created_at == rating.changed_at:
        # Of the place, not of the stop: what is of a stop is shown to its carrier, by name of its doer.
        await deeds.insert_deed(
            connection,
            access_point_id=row.access_point_id,
            stop_id=None,
            who=f"consignee:{consignee_id}",
            what=Deed.RATED,
            body={"visit_id": visit_id},
            at=now,
        )
    return rating


async def sum_up(
    connection: AsyncConnection, courier_id: str, *, carrier_id: str, now: datetime
) -> CourierRatings:
    """A courier's ratings of the last 90 days, once there are enough of enough people. Raises NotFound."""
    await get_courier(connection, courier_id, carrier_id=carrier_id)
    sums = await aftermath.sum_ratings(connection, courier_id, now - COUNTED_FOR)
    if sums.count < FEWEST_RATINGS or sums.people < FEWEST_PEOPLE:
        return CourierRatings(is_enough=False, count=None, mean_hundredths=None, histogram=None)
    total = sum(number * count for number, count in enumerate(sums.stars, start=1))
    return CourierRatings(
        is_enough=True,
        count=sums.count,
        mean_hundredths=(200 * total + sums.count) // (2 * sums.count),
        histogram=sums.stars,
    )
