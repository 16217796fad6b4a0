"""What people are told, how it fared, and when they want to be left alone. Their channels: `web/api/channels.py`."""

from __future__ import annotations

from typing import Literal
from zoneinfo import available_timezones

from msgspec import Struct

from unlatch.domain.notice import NoticeEvent, NoticeReader
from unlatch.store import channels, dispatches, notices
from unlatch.store.channels import PreferenceRow
from unlatch.store.notices import DESK
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.notice_shapes import (
    EARLIEST,
    DispatchShown,
    HourOfDay,
    Notices,
    NoticesQuery,
    Zone,
    make_cursor,
    read_cursor,
    read_page,
    show_dispatch,
)
from unlatch.web.problems import bad_input
from unlatch.web.reading_room import language_of
from unlatch.web.shapes import Cursor, Identifier, Limit, Moment
from unlatch.web.signing_in import Reader

TABLE = EndpointTable(
    "notices", "What people are told. Bearer with the key of a consignee, a carrier or an operator."
)
CONSIGNEE, CARRIER, OPERATOR = (Reader.CONSIGNEE,), (Reader.CARRIER,), (Reader.OPERATOR,)


class Seen(Struct, kw_only=True, forbid_unknown_fields=True):
    """All that was told until then."""

    until: Moment


class SeenShown(Struct, kw_only=True):
    """How many are left."""

    unseen: int


class QuietHours(Struct, kw_only=True, forbid_unknown_fields=True):
    """When you want to be left alone, every day, across midnight if `from` is later. Alarms come all the same."""

    begins: HourOfDay
    ends: HourOfDay
    time_zone: Zone


class Preferences(Struct, kw_only=True, forbid_unknown_fields=True):
    """How you want to be told. Null: no quiet hours."""

    quiet_hours: QuietHours | None


class DispatchOfNotice(Struct, kw_only=True):
    """A dispatch, and what it is of."""

    notice_id: Identifier
    event: NoticeEvent
    reader: NoticeReader
    created_at: Moment
    dispatch: DispatchShown


class Dispatches(Struct, kw_only=True):
    """What was given up, newest first; or what waits, the longest waiting first."""

    dispatches: list[DispatchOfNotice]
    next: str | None


class DispatchesQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which of them."""

    state: Literal["failed", "due"] = "failed"
    cursor: Cursor | None = None
    limit: Limit = 50


# ---------------------------------------------------------------- a consignee's notices


@TABLE.add(
    "GET", "/v1/me/notices", readers=CONSIGNEE, summary="My notices", query=NoticesQuery, gives=Notices
)
async def list_my_notices(asked: Asked[None]) -> Notices:
    """All that you were told, worded, with the channels that each went over."""
    async with asked.platform.database.connection() as connection:
        return await read_page(
            connection, NoticeReader.CONSIGNEE, asked.asker.id, asked.query, language_of(asked)
        )


@TABLE.add(
    "POST",
    "/v1/me/notices/seen",
    readers=CONSIGNEE,
    summary="Mark my notices as seen",
    takes=Seen,
    gives=SeenShown,
    repeat=Repeat.BY_NATURE,
)
async def mark_seen(asked: Asked[Seen]) -> SeenShown:
    """What was told until then is not new any more."""
    reader, now = NoticeReader.CONSIGNEE.value, asked.platform.clock.now()
    async with asked.platform.database.connection() as connection:
        await notices.set_seen(connection, reader, asked.asker.id, until=asked.body.until, now=now)
        return SeenShown(unseen=await notices.count_unseen(connection, reader, asked.asker.id, most=100))


@TABLE.add("GET", "/v1/me/preferences", readers=CONSIGNEE, summary="My preferences", gives=Preferences)
async def read_preferences(asked: Asked[None]) -> Preferences:
    """When you want to be left alone."""
    async with asked.platform.database.connection() as connection:
        row = await channels.find_preference(connection, asked.asker.id)
    if row is None:
        return Preferences(quiet_hours=None)
    return Preferences(
        quiet_hours=QuietHours(begins=row.quiet_from, ends=row.quiet_until, time_zone=row.time_zone)
    )


@TABLE.add(
    "POST",
    "/v1/me/preferences",
    readers=CONSIGNEE,
    summary="Set my preferences",
    takes=Preferences,
    gives=Preferences,
    repeat=Repeat.IN_TRANSACTION,
    examples=({"quiet_hours": {"begins": "22:00:00", "ends": "07:00:00", "time_zone": "America/New_York"}},),
)
async def set_preferences(asked: Asked[Preferences]) -> Preferences:
    """Set your quiet hours, or end them with null. What is not urgent waits until they end, or is dropped if it would
    help nobody by then.
    """
    hours, row = asked.body.quiet_hours, None
    if hours is not None:
        if hours.time_zone not in available_timezones():
            raise bad_input("quiet_hours.time_zone", "give an IANA time zone, like America/New_York")
        if hours.begins == hours.ends:
            raise bad_input("quiet_hours.ends", "give another hour than `begins`")
        row = PreferenceRow(quiet_from=hours.begins, quiet_until=hours.ends, time_zone=hours.time_zone)
    await channels.set_preference(asked.connection, asked.asker.id, row)
    return asked.body


# ---------------------------------------------------------------- a carrier's notices


@TABLE.add("GET", "/v1/notices", readers=CARRIER, summary="Notices", query=NoticesQuery, gives=Notices)
async def list_notices(asked: Asked[None]) -> Notices:
    """All that was told to your back end, whether or not it has webhooks."""
    async with asked.platform.database.connection() as connection:
        return await read_page(
            connection, NoticeReader.CARRIER, asked.asker.id, asked.query, language_of(asked)
        )


# ---------------------------------------------------------------- an operator's notices


@TABLE.add(
    "GET",
    "/v1/operator/notices",
    readers=OPERATOR,
    summary="The desk's notices",
    query=NoticesQuery,
    gives=Notices,
)
async def list_desk_notices(asked: Asked[None]) -> Notices:
    """The alarms that the desk was told of. Who is to be called stands among the calls."""
    async with asked.platform.database.connection() as connection:
        return await read_page(connection, NoticeReader.OPERATOR, DESK, asked.query, language_of(asked))


@TABLE.add(
    "GET",
    "/v1/operator/dispatches",
    readers=OPERATOR,
    summary="What could not be sent",
    query=DispatchesQuery,
    gives=Dispatches,
)
async def list_dispatches(asked: Asked[None]) -> Dispatches:
    """Notices that were given up on a channel, or that wait, each with why. Addresses are masked."""
    query = asked.query
    async with asked.platform.database.connection() as connection:
        if query.state == "failed":
            rows = await dispatches.list_failed(
                connection, before=read_cursor(query.cursor), limit=query.limit + 1
            )
        else:
            rows = await dispatches.list_under_way(
                connection, after=read_cursor(query.cursor, first=EARLIEST), limit=query.limit + 1
            )
    page = rows[: query.limit]
    next_page = None
    if len(rows) > query.limit:
        at = page[-1].created_at if query.state == "failed" else page[-1].next_at
        assert at is not None
        next_page = make_cursor(at, f"{page[-1].notice_id}:{page[-1].channel_id}")
    return Dispatches(
        dispatches=[
            DispatchOfNotice(
                notice_id=row.notice_id,
                event=NoticeEvent(row.event),
                reader=NoticeReader(row.reader),
                created_at=row.created_at,
                dispatch=show_dispatch(row),
            )
            for row in page
        ],
        next=next_page,
    )
