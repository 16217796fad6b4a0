"""What a consignee asks: what happened at my places, and stop."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from psycopg import AsyncConnection

from unlatch.domain.deed import deed_text, doer_text
from unlatch.domain.household import Role
from unlatch.domain.note import Note
from unlatch.domain.wording import Language as SpokenLanguage
from unlatch.errors import BadInput
from unlatch.flow import consent
from unlatch.flow.household import first_name
from unlatch.flow.registering import check_moment
from unlatch.store import happenings, household, lines, visits
from unlatch.store.deeds import DeedRow
from unlatch.store.happenings import HappeningRow
from unlatch.store.household import HeldPlaceRow
from unlatch.store.looks import LookRow
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


class Place(Struct, kw_only=True):
    """A place of yours, or one that you share."""

    id: Identifier
    name: Annotated[str, Meta(description="As its household calls it; may be empty")]
    role: Annotated[Role, Meta(description="What you are to it")]
    is_blocked: bool
    blocked_at: Moment | None
    is_frozen: bool


class Doer(Struct, kw_only=True):
    """Who did it."""

    part: Annotated[str, Meta(examples=["consignee", "carrier", "courier", "operator"])]
    is_you: bool
    text: Annotated[str, Meta(description="In your language: you, a first name, or the part")]


class TimelineDeed(Struct, kw_only=True):
    """What a person did to the place, or to a delivery to it."""

    id: Identifier
    access_point_id: Identifier
    stop_id: Identifier | None
    who: Doer
    what: Annotated[str, Meta(examples=["blocked"])]
    text: Annotated[str, Meta(description="In your language, without who did it")]
    body: dict[str, Any]
    at: Moment


class Look(Struct, kw_only=True):
    """Someone saw, or asked to see, where your car is, or what your camera saw."""

    id: Identifier
    access_point_id: Identifier
    stop_id: Identifier | None
    who: Annotated[str, Meta(description="By part")]
    doer: Doer
    what: Annotated[
        str,
        Meta(examples=["position_and_plate", "refused:courier_too_early", "evidence", "live:cam_0192f4c8"]),
    ]
    at: Moment


class TimelineVisit(Struct, kw_only=True):
    """A visit and its journal."""

    visit: VisitShown
    lines: list[LineShown]


class TimelineEntry(Struct, kw_only=True):
    """One thing that happened; it is told in full in the list of its kind."""

    kind: Literal["visit", "deed", "look"]
    id: Identifier
    at: Moment


class Timeline(Struct, kw_only=True):
    """What happened at your places, newest first."""

    places: list[Place]
    entries: Annotated[list[TimelineEntry], Meta(description="All of this page, newest first")]
    visits: list[TimelineVisit]
    deeds: Annotated[list[TimelineDeed], Meta(description="What people did: who, and what")]
    looks: list[Look]
    next: str | None


class TimelineQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which page."""

    cursor: Cursor | None = None
    limit: Annotated[int, Meta(ge=1, le=50, description="At most so many entries on one page")] = 20


class Blocked(Struct, kw_only=True):
    """The place, and the visit that was stopped, if one was under way."""

    access_point_id: Identifier
    is_blocked: bool
    stopped_visit: VisitShown | None


def _show_place(row: HeldPlaceRow) -> Place:
    return Place(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        is_blocked=row.blocked_at is not None,
        blocked_at=row.blocked_at,
        is_frozen=row.is_frozen,
    )


def show_doer(who: str, asker_id: str, names: Mapping[str, str], language: Language) -> Doer:
    """Someone as a person of a household reads of them; `names`: of the household."""
    part, _, name = who.partition(":")
    is_you = part == Reader.CONSIGNEE and name == asker_id
    if is_you:
        text = doer_text("you", SpokenLanguage(language))
    elif part == Reader.CONSIGNEE and name in names:
        text = first_name(names[name])
    else:
        text = doer_text(part, SpokenLanguage(language))
    return Doer(part=part, is_you=is_you, text=text)


def _show_deed(row: DeedRow, asker_id: str, names: Mapping[str, str], language: Language) -> TimelineDeed:
    return TimelineDeed(
        id=row.id,
        access_point_id=row.access_point_id,
        stop_id=row.stop_id,
        who=show_doer(row.who, asker_id, names, language),
        what=row.what,
        text=deed_text(row.what, SpokenLanguage(language)),
        body=row.body,
        at=row.at,
    )


def _show_look(row: LookRow, asker_id: str, names: Mapping[str, str], language: Language) -> Look:
    return Look(
        id=row.id,
        access_point_id=row.access_point_id,
        stop_id=row.stop_id,
        who=row.who.partition(":")[0],
        doer=show_doer(row.who, asker_id, names, language),
        what=row.what,
        at=row.at,
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
    """What happened at your places, and at those that you share: every visit with the lines of its journal (but for the
    links of a recording, one every two seconds), every deed of a person with who did it, every look at where your car
    or your door is. One list (`entries`), newest first.
    """
    language, query, asker_id = language_of(asked), asked.query, asked.asker.id
    async with asked.platform.database.connection() as connection:
        places = await household.list_held_places(connection, asker_id)
        found = await happenings.list_happenings(
            connection, asker_id, before=_read_cursor(query.cursor), limit=query.limit + 1
        )
        page = found[: query.limit]
        ids = {kind: [row.id for row in page if row.kind == kind] for kind in ("visit", "deed", "look")}
        shown = await _list_visits(connection, ids["visit"], language)
        deeds = await happenings.list_deeds_by_id(connection, ids["deed"])
        looks = await happenings.list_looks_by_id(connection, ids["look"])
        doers = [row.who for row in deeds.values()] + [row.who for row in looks.values()]
        whose = {who.partition(":")[2] for who in doers}
        names = await household.list_names(connection, whose)
    return Timeline(
        places=[_show_place(place) for place in places],
        entries=[_show_entry(row) for row in page],
        visits=shown,
        deeds=[_show_deed(deeds[one], asker_id, names, language) for one in ids["deed"]],
        looks=[_show_look(looks[one], asker_id, names, language) for one in ids["look"]],
        next=f"{page[-1].at.isoformat()}|{page[-1].id}" if len(found) > query.limit else None,
    )


def _show_entry(row: HappeningRow) -> TimelineEntry:
    return TimelineEntry(kind=row.kind, id=row.id, at=row.at)  # type: ignore[arg-type]


def _read_cursor(cursor: str | None) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    moment, _, last_id = cursor.partition("|")
    try:
        return check_moment("cursor", datetime.fromisoformat(moment)), last_id
    except ValueError:
        raise BadInput("cursor", "give `next` of the page before") from None


async def _list_visits(
    connection: AsyncConnection, visit_ids: list[str], language: Language
) -> list[TimelineVisit]:
    found = await lines.list_new_lines(
        connection, dict.fromkeys(visit_ids, 0), limit=LINES_OF_PAGE, without=[Note.RECORDING_LINK]
    )
    shown = []
    for visit_id in visit_ids:
        row = await visits.get_visit(connection, visit_id)
        reasons = await find_reasons(connection, row)
        shown.append(
            TimelineVisit(
                visit=show_visit(row, Reader.CONSIGNEE, language, reasons),
                lines=[
                    show_line(line, Reader.CONSIGNEE, language) for line in found if line.visit_id == visit_id
                ],
            )
        )
    return shown


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
    widens=True,
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
