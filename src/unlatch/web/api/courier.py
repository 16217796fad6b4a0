"""What a courier's phone asks: the round, where the car is, the scan, and the courier's own word."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from unlatch.domain.access import PlaceKind
from unlatch.errors import BadInput
from unlatch.flow.booking import check_moment
from unlatch.store import stops
from unlatch.store.stops import RoundStop, StopState
from unlatch.web.endpoints import Asked, EndpointTable
from unlatch.web.shapes import Cursor, Identifier, Limit, Moment
from unlatch.web.signing_in import Reader

TABLE = EndpointTable("courier", "For a courier's enrolled phone: DPoP.")
COURIER = (Reader.COURIER,)
ROUND_LASTS = timedelta(hours=12)  # a stop is listed for so long after its window has ended


class CourierStop(Struct, kw_only=True):
    """A stop in the courier's list. Where the car stands is asked for separately, when it is near."""

    id: Identifier
    kind: PlaceKind
    consignee_name: str
    window_from: Moment
    window_until: Moment
    fallback: str
    state: StopState
    labels: list[str]


class CourierStops(Struct, kw_only=True):
    """One page of a round."""

    stops: list[CourierStop]
    next: str | None


class StopQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which page."""

    cursor: Cursor | None = None
    limit: Limit = 50


def _show(row: RoundStop) -> CourierStop:
    return CourierStop(
        id=row.stop.id,
        kind=PlaceKind(row.kind),
        consignee_name=row.consignee_name,
        window_from=row.stop.window_from,
        window_until=row.stop.window_until,
        fallback=row.stop.fallback,
        state=StopState(row.stop.state),
        labels=list(row.labels),
    )


def _read_cursor(cursor: str | None) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    moment, _, stop_id = cursor.partition("|")
    try:
        return check_moment("cursor", datetime.fromisoformat(moment)), stop_id
    except ValueError:
        raise BadInput("cursor", "give `next` of the page before") from None


@TABLE.add(
    "GET",
    "/v1/courier/stops",
    readers=COURIER,
    summary="My stops",
    query=StopQuery,
    gives=CourierStops,
)
async def list_my_stops(asked: Asked[None]) -> CourierStops:
    """The courier's stops, the next first; those whose window ended more than 12 hours ago are left out."""
    query: StopQuery = asked.query
    async with asked.platform.database.connection() as connection:
        rows = await stops.list_round(
            connection,
            asked.asker.id,
            since=asked.platform.clock.now() - ROUND_LASTS,
            after=_read_cursor(query.cursor),
            limit=query.limit + 1,
        )
    page = rows[: query.limit]
    last = page[-1].stop if len(rows) > query.limit else None
    return CourierStops(
        stops=[_show(row) for row in page],
        next=None if last is None else f"{last.window_until.isoformat()}|{last.id}",
    )
