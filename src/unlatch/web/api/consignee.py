"""What a consignee asks: what happened at my places, and stop."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct
from psycopg import AsyncConnection

from unlatch.flow import consent
from unlatch.store import consignees, lines, looks, visits
from unlatch.store.consignees import AccessPointRow
from unlatch.store.visits import VisitRow
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.problems import Trouble
from unlatch.web.reading_room import language_of
from unlatch.web.shapes import Cursor, Identifier, Language, Moment
from unlatch.web.signing_in import Reader
from unlatch.web.visit_shapes import LineShown, VisitShown, find_reasons, show_line, show_visit

TABLE = EndpointTable("consignee", "For a consignee's app: Bearer with the consignee's key.")
CONSIGNEE = (Reader.CONSIGNEE,)
LINES_OF_PAGE = 2000
LOOKS_OF_PLACE = 100
LAST = "~"  # behind every identifier


class Place(Struct, kw_only=True):
    """A place of yours."""

    id: Identifier
    is_blocked: bool
    blocked_at: Moment | None
    is_frozen: bool


class Look(Struct, kw_only=True):
    """Someone saw, or asked to see, where your car is."""

    access_point_id: Identifier
    stop_id: Identifier | None
    who: str
    what: Annotated[str, Meta(examples=["position_and_plate", "refused:courier_too_early"])]
    at: Moment


class TimelineVisit(Struct, kw_only=True):
    """A visit and its journal."""

    visit: VisitShown
    lines: list[LineShown]


class Timeline(Struct, kw_only=True):
    """What happened at your places, newest first."""

    places: list[Place]
    visits: list[TimelineVisit]
    looks: Annotated[list[Look], Meta(description="With the first page: the newest at each place")]
    next: str | None


class TimelineQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which page."""

    cursor: Cursor | None = None
    limit: Annotated[int, Meta(ge=1, le=50, description="At most so many visits on one page")] = 20


class Blocked(Struct, kw_only=True):
    """The place, and the visit that was stopped, if one was under way."""

    access_point_id: Identifier
    is_blocked: bool
    stopped_visit: VisitShown | None


def _show_place(point: AccessPointRow) -> Place:
    return Place(
        id=point.id,
        is_blocked=point.blocked_at is not None,
        blocked_at=point.blocked_at,
        is_frozen=point.is_frozen,
    )


def _show_stopped(row: VisitRow | None, language: Language) -> VisitShown | None:
    return None if row is None else show_visit(row, Reader.CONSIGNEE, language)


@TABLE.add(
    "GET",
    "/v1/me/timeline",
    readers=CONSIGNEE,
    summary="My timeline",
    query=TimelineQuery,
    gives=Timeline,
)
async def read_timeline(asked: Asked[None]) -> Timeline:
    """Every visit at your places with each line of its journal, worded, and every look at where your car is."""
    language, query = language_of(asked), asked.query
    async with asked.platform.database.connection() as connection:
        points = await consignees.list_access_points(connection, asked.asker.id)
        ids = await lines.list_visit_ids_of_consignee(
            connection, asked.asker.id, before=query.cursor or LAST, limit=query.limit + 1
        )
        page = ids[: query.limit]
        found = await lines.list_new_lines(connection, dict.fromkeys(page, 0), limit=LINES_OF_PAGE)
        shown = []
        for visit_id in page:
            row = await visits.get_visit(connection, visit_id)
            reasons = await find_reasons(connection, row)
            shown.append(
                TimelineVisit(
                    visit=show_visit(row, Reader.CONSIGNEE, language, reasons),
                    lines=[
                        show_line(line, Reader.CONSIGNEE, language)
                        for line in found
                        if line.visit_id == visit_id
                    ],
                )
            )
        seen = [] if query.cursor else await _list_looks(asked, connection, points)
    return Timeline(
        places=[_show_place(point) for point in points],
        visits=shown,
        looks=seen,
        next=page[-1] if len(ids) > query.limit else None,
    )


async def _list_looks(
    asked: Asked[None], connection: AsyncConnection, points: list[AccessPointRow]
) -> list[Look]:
    before = asked.platform.clock.now()
    rows = [
        row
        for point in points
        for row in await looks.list_looks(connection, point.id, before=before, limit=LOOKS_OF_PLACE)
    ]
    return [
        Look(
            access_point_id=row.access_point_id,
            stop_id=row.stop_id,
            who=row.who.partition(":")[0],
            what=row.what,
            at=row.at,
        )
        for row in rows
    ]


@TABLE.add(
    "POST",
    "/v1/me/access_points/{access_point_id}/block",
    readers=CONSIGNEE,
    summary="Block a place",
    gives=Blocked,
    is_closing=True,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND,),
)
async def block_place(asked: Asked[None]) -> Blocked:
    """Nothing is opened there from this moment on. A visit that is under way is stopped: what is open is locked."""
    access_point_id = asked.path["access_point_id"]
    row = await consent.block(
        asked.connection,
        access_point_id,
        consignee_id=asked.asker.id,
        now=asked.platform.clock.now(),
    )
    return Blocked(
        access_point_id=access_point_id,
        is_blocked=True,
        stopped_visit=_show_stopped(row, language_of(asked)),
    )


@TABLE.add(
    "POST",
    "/v1/me/access_points/{access_point_id}/unblock",
    readers=CONSIGNEE,
    summary="Unblock a place",
    gives=Blocked,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND,),
)
async def unblock_place(asked: Asked[None]) -> Blocked:
    """Deliveries may open it again, as agreed before."""
    access_point_id = asked.path["access_point_id"]
    await consent.unblock(
        asked.connection,
        access_point_id,
        consignee_id=asked.asker.id,
        now=asked.platform.clock.now(),
    )
    return Blocked(access_point_id=access_point_id, is_blocked=False, stopped_visit=None)
