"""What every wish for a booking has in common: who may, which rows are locked in which order, and what it leaves.

The place's row is locked first, as by a scan, a block and the gate; then the visit that lives there, then the stop. The
change, its deed and its notices are one transaction, the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from unlatch.domain.booking import Outcome, Part, Stage, StopState, Wish, stage_of
from unlatch.domain.eligibility import Offer
from unlatch.domain.incident import Incident
from unlatch.domain.notice import NoticeEvent
from unlatch.errors import Conflict, NotFound
from unlatch.flow import notifying
from unlatch.store import consignees, household, stops, visits
from unlatch.store.consignees import AccessPointRow
from unlatch.store.stops import StopRow
from unlatch.store.visits import VisitRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Wisher:
    """Who wishes something. A carrier may for its own stops, a consignee for those at a place of theirs."""

    part: Part
    id: str

    @property
    def who(self) -> str:
        return f"{self.part}:{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """A stop with its place and the visit that lives at it, all of them locked by this transaction."""

    point: AccessPointRow
    stop: StopRow
    live: VisitRow | None
    other: AccessPointRow | None = None  # the place that it is to go to, locked as well

    @property
    def stage(self) -> Stage:
        return stage_of(
            StopState(self.stop.state),
            has_courier=self.stop.courier_id is not None,
            is_heading=self.stop.heading_at is not None,
            ruled_out=Incident(self.stop.ruled_out) if self.stop.ruled_out else None,
            visit=None if self.live is None else self.live.visit.state,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What became of a wish, and the stop afterwards."""

    wish: Wish
    outcome: Outcome
    stop: StopRow
    stopped: VisitRow | None = None  # the visit that was stopped for it
    offer: Offer | None = None  # where the place is not offered: why


async def lock_booking(
    connection: AsyncConnection, stop_id: str, wisher: Wisher, *, other_place_id: str | None = None
) -> Booking:
    """Lock the place (and the other one), the visit, the stop, in this order. Raises NotFound, Conflict.

    Two places are locked in the order of their names, so that two who swap places don't wait for each other.
    """
    seen = await stops.find_stop(connection, stop_id)
    if seen is None:
        raise NotFound("there is no such stop")
    wanted = {seen.access_point_id, *((other_place_id,) if other_place_id else ())}
    points = {
        place_id: await consignees.find_access_point(connection, place_id, is_locked=True)
        for place_id in sorted(wanted)
    }
    live = await visits.find_live_visit(connection, seen.access_point_id)
    stop = await stops.find_stop(connection, stop_id, is_locked=True)
    point = points[seen.access_point_id]
    assert stop is not None  # rows of stops and places are never deleted
    assert point is not None
    if not await _may(connection, stop, wisher):
        raise NotFound("there is no such stop")
    if stop.access_point_id != seen.access_point_id:
        raise Conflict("this stop has just been moved to another place: look again")
    if live is not None and live.stop_id != stop_id:
        live = None
    other = None
    if other_place_id is not None and other_place_id != point.id:
        other = points[other_place_id]
        if other is None or other.carrier_id != stop.carrier_id:
            raise NotFound("there is no such access point")
    return Booking(point=point, stop=stop, live=live, other=other)


async def _may(connection: AsyncConnection, stop: StopRow, wisher: Wisher) -> bool:
    if wisher.part is Part.CARRIER:
        return stop.carrier_id == wisher.id
    if wisher.part is Part.COURIER:
        return stop.courier_id == wisher.id
    if wisher.part is Part.CONSIGNEE:
        return await household.is_of_household(connection, stop.access_point_id, wisher.id)
    return True


def next_plan(stop: StopRow) -> StopRow:
    """What follows from the plan before is void, and no courier is on the way by this one yet."""
    return replace(stop, plan_number=stop.plan_number + 1, heading_at=None, arriving_at=None)


async def find_name(connection: AsyncConnection, wisher: Wisher, point: AccessPointRow) -> str | None:
    """What a person of the household is called; None: it is no person."""
    if wisher.part is not Part.CONSIGNEE:
        return None
    person = await consignees.find_consignee(connection, wisher.id, carrier_id=point.carrier_id)
    return None if person is None else person.name


async def tell(
    connection: AsyncConnection,
    event: NoticeEvent,
    stop: StopRow,
    now: datetime,
    *,
    facts: Mapping[str, Any] | None = None,
    old_place_id: str | None = None,
) -> None:
    """Once a plan; where the stop has moved, the household of the place that it has left is told too."""
    for place_id in dict.fromkeys((stop.access_point_id, old_place_id or stop.access_point_id)):
        told = {"fallback": stop.fallback, **(facts or {})}
        await notifying.tell_of_stop(connection, event, stop, now, told, place_id=place_id)
