"""Notices and channels as their readers see them."""

from __future__ import annotations

from datetime import UTC, datetime, time, tzinfo
from typing import Annotated
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct
from psycopg import AsyncConnection

from unlatch.domain.notice import (
    GROUPS,
    ChannelKind,
    ChannelState,
    DispatchState,
    NoticeEvent,
    NoticeGroup,
    NoticeReader,
    is_urgent,
)
from unlatch.domain.notice_texts import write_notice
from unlatch.domain.wording import Language
from unlatch.store import dispatches, notices
from unlatch.store.channels import ChannelRow
from unlatch.store.dispatches import DispatchRow
from unlatch.store.notices import NoticeRow
from unlatch.web.problems import bad_input
from unlatch.web.shapes import Cursor, Identifier, Limit, Moment

LATEST = (datetime(9999, 1, 1, tzinfo=UTC), "~")  # behind every row
EARLIEST = (datetime(1, 1, 2, tzinfo=UTC), "")
Groups = Annotated[list[NoticeGroup], Meta(max_length=10, description="What is not to be told there")]
HourOfDay = Annotated[time, Meta(tz=False, description="Of the wall clock", examples=["22:00:00"])]
Zone = Annotated[str, Meta(min_length=1, max_length=64, examples=["America/New_York"])]


class DispatchShown(Struct, kw_only=True):
    """How a notice fares on one channel."""

    channel_id: Identifier
    kind: ChannelKind
    shown: Annotated[str, Meta(description="The channel's address, masked", examples=["a•••@example.org"])]
    state: DispatchState
    tries: int
    next_at: Annotated[Moment | None, Meta(description="When it is tried, or tried again")]
    sent_at: Annotated[Moment | None, Meta(description="When the other side took it on")]
    why: Annotated[str | None, Meta(description="Why it is late, failed or was dropped")]


class NoticeShown(Struct, kw_only=True):
    """One event, worded for its reader. Never a plate or a position."""

    id: Identifier
    event: NoticeEvent
    group: NoticeGroup
    is_urgent: bool
    subject: str
    body: str
    access_point_id: Identifier | None
    stop_id: Identifier | None
    visit_id: Identifier | None
    told_at: Moment
    seen_at: Moment | None
    dispatches: Annotated[list[DispatchShown], Meta(description="Over which channels it went, and how")]


class Notices(Struct, kw_only=True):
    """Newest first."""

    notices: list[NoticeShown]
    unseen: Annotated[int, Meta(description="How many were not seen, at most 100")]
    next: str | None


class NoticesQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which page."""

    cursor: Cursor | None = None
    limit: Limit = 50


class ChannelShown(Struct, kw_only=True):
    """A way to be told."""

    id: Identifier
    kind: ChannelKind
    shown: Annotated[str, Meta(description="Its address, masked", examples=["a•••@example.org"])]
    state: Annotated[ChannelState, Meta(description="Unconfirmed: send back the code that was sent there")]
    groups_off: list[NoticeGroup]
    failures: Annotated[int, Meta(description="In a row")]
    created_at: Moment
    secret: Annotated[str | None, Meta(description="Of a webhook, with its creation alone: keep it")] = None


class Channels(Struct, kw_only=True):
    """Oldest first."""

    channels: list[ChannelShown]


class GroupsOff(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is not to be told on a channel. Alarms always are."""

    groups_off: Groups


def show_channel(row: ChannelRow, secret: str | None = None) -> ChannelShown:
    """The channel of a row."""
    return ChannelShown(
        id=row.id,
        kind=ChannelKind(row.kind),
        shown=row.shown,
        state=ChannelState(row.state),
        groups_off=[NoticeGroup(group) for group in row.groups_off],
        failures=row.failures,
        created_at=row.created_at,
        secret=secret,
    )


def show_dispatch(row: DispatchRow) -> DispatchShown:
    """The dispatch of a row."""
    return DispatchShown(
        channel_id=row.channel_id,
        kind=ChannelKind(row.kind),
        shown=row.shown,
        state=DispatchState(row.state),
        tries=row.tries,
        next_at=row.next_at,
        sent_at=row.sent_at,
        why=row.why,
    )


def show_notice(row: NoticeRow, language: str, sent: list[DispatchRow]) -> NoticeShown:
    """The notice of a row, worded."""
    event = NoticeEvent(row.event)
    zone: tzinfo = ZoneInfo(row.place_zone) if row.place_zone else UTC
    words = write_notice(event, NoticeReader(row.reader), Language(language), row.facts, zone)
    return NoticeShown(
        id=row.id,
        event=event,
        group=GROUPS[event],
        is_urgent=is_urgent(event),
        subject=words.subject,
        body=words.body,
        access_point_id=row.access_point_id,
        stop_id=row.stop_id,
        visit_id=row.visit_id,
        told_at=row.created_at,
        seen_at=row.seen_at,
        dispatches=[show_dispatch(one) for one in sent],
    )


async def read_page(
    connection: AsyncConnection, reader: NoticeReader, reader_id: str, query: NoticesQuery, language: str
) -> Notices:
    """A page of this reader's notices, each with its dispatches."""
    rows = await notices.list_notices(
        connection, reader.value, reader_id, before=read_cursor(query.cursor), limit=query.limit + 1
    )
    page = rows[: query.limit]
    sent = await dispatches.list_dispatches(connection, [row.id for row in page]) if page else []
    unseen = await notices.count_unseen(connection, reader.value, reader_id, most=100)
    return Notices(
        notices=[
            show_notice(row, language, [one for one in sent if one.notice_id == row.id]) for row in page
        ],
        unseen=unseen,
        next=make_cursor(page[-1].created_at, page[-1].id) if len(rows) > query.limit else None,
    )


def make_cursor(at: datetime, identifier: str) -> str:
    """Where the next page begins: behind this row."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat()}Z|{identifier}"


def read_cursor(cursor: str | None, *, first: tuple[datetime, str] = LATEST) -> tuple[datetime, str]:
    """The row behind which the page begins. Raises a problem where it is no cursor of ours."""
    if cursor is None:
        return first
    text, _, identifier = cursor.partition("|")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise bad_input("cursor", "give `next` of the page before") from None
    if at.tzinfo is None:
        raise bad_input("cursor", "give `next` of the page before")
    return at, identifier
