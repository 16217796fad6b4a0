"""What people are told, over which channels, and when they want to be left alone."""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import available_timezones

from msgspec import Meta, Struct

from unlatch.domain.notice import ChannelKind, NoticeEvent, NoticeReader
from unlatch.domain.wording import Language
from unlatch.errors import Conflict
from unlatch.flow import channels as flow_channels
from unlatch.flow.channels import Wish
from unlatch.notices.dispatcher import MISSING
from unlatch.store import channels, dispatches, notices
from unlatch.store.channels import PreferenceRow
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.notice_shapes import (
    EARLIEST,
    Channels,
    ChannelShown,
    DispatchShown,
    Groups,
    GroupsOff,
    HourOfDay,
    Notices,
    NoticesQuery,
    Zone,
    make_cursor,
    read_cursor,
    read_page,
    show_channel,
    show_dispatch,
)
from unlatch.web.problems import Trouble, bad_input
from unlatch.web.reading_room import language_of
from unlatch.web.shapes import Cursor, Identifier, Limit, Moment
from unlatch.web.signing_in import Reader

TABLE = EndpointTable(
    "notices", "What people are told, and how. Bearer with the key of a consignee, a carrier or an operator."
)
CONSIGNEE, CARRIER, OPERATOR = (Reader.CONSIGNEE,), (Reader.CARRIER,), (Reader.OPERATOR,)
DESK = "desk"  # what all operators read
Url = Annotated[str, Meta(min_length=1, max_length=2048)]
Key = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_=-]*$")]
Code = Annotated[str, Meta(pattern=r"^[0-9]{6}$", max_length=6, examples=["042713"])]


class PushKeysGiven(Struct, kw_only=True, forbid_unknown_fields=True):
    """The keys of a browser's push subscription, in base64url."""

    p256dh: Key
    auth: Key


class NewChannel(Struct, kw_only=True, forbid_unknown_fields=True):
    """A way to be told. Give what its kind needs and leave the rest out."""

    kind: ChannelKind
    to: (
        Annotated[str, Meta(min_length=1, max_length=254, description="email: the address; sms: the number")]
        | None
    ) = None
    url: Annotated[Url | None, Meta(description="webhook: where to POST; other: an address of Apprise")] = (
        None
    )
    endpoint: Annotated[Url | None, Meta(description="webpush: of the subscription")] = None
    keys: Annotated[PushKeysGiven | None, Meta(description="webpush: of the subscription")] = None
    groups_off: Groups = []


class NewHook(Struct, kw_only=True, forbid_unknown_fields=True):
    """Where a carrier's back end is told, signed as Standard Webhooks says."""

    url: Url
    groups_off: Groups = []


class ChannelEnded(Struct, kw_only=True):
    """Nothing is sent there any more."""

    id: Identifier
    is_ended: bool


class CodeGiven(Struct, kw_only=True, forbid_unknown_fields=True):
    """The six digits that were sent there."""

    code: Code


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


class PushKey(Struct, kw_only=True):
    """What a browser subscribes with (`applicationServerKey`)."""

    public_key: Annotated[str, Meta(description="A point of P-256, in base64url")]


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


@TABLE.add("GET", "/v1/me/channels", readers=CONSIGNEE, summary="My channels", gives=Channels)
async def list_my_channels(asked: Asked[None]) -> Channels:
    """The ways by which you are told."""
    return await _list_channels(asked)


@TABLE.add(
    "POST",
    "/v1/me/channels",
    readers=CONSIGNEE,
    summary="Add a channel",
    takes=NewChannel,
    gives=ChannelShown,
    status=201,
    repeat=Repeat.CLAIMED,
    troubles=(Trouble.CONFLICT,),
    examples=({"kind": "email", "to": "ann@example.org"},),
)
async def add_my_channel(asked: Asked[NewChannel]) -> ChannelShown:
    """A new way to be told. Mail, text messages and other channels are sent a code first: send it back within ten
    minutes. At most ten channels, and twenty new ones a day.
    """
    body = asked.body
    given = {
        "to": body.to,
        "url": body.url,
        "endpoint": body.endpoint,
        "p256dh": body.keys.p256dh if body.keys else None,
        "auth": body.keys.auth if body.keys else None,
    }
    address = {name: value for name, value in given.items() if value is not None}
    _refuse_what_does_not_belong(body)
    wish = Wish(
        reader=NoticeReader.CONSIGNEE.value,
        reader_id=asked.asker.id,
        kind=body.kind,
        address=address,
        groups_off=body.groups_off,
        language=Language(language_of(asked)),
    )
    made = await flow_channels.add_channel(asked.platform, wish)
    return show_channel(made.row, made.secret)


_NEEDS = {
    ChannelKind.EMAIL: {"to"},
    ChannelKind.SMS: {"to"},
    ChannelKind.OTHER: {"url"},
    ChannelKind.WEBHOOK: {"url"},
    ChannelKind.WEBPUSH: {"endpoint", "keys"},
}


def _refuse_what_does_not_belong(body: NewChannel) -> None:
    """Each kind needs its own fields, and no others."""
    for name in ("to", "url", "endpoint", "keys"):
        is_given, is_needed = getattr(body, name) is not None, name in _NEEDS[body.kind]
        if is_given != is_needed:
            remedy = (
                f"is required for {body.kind}"
                if is_needed
                else f"does not belong to {body.kind}: leave it out"
            )
            raise bad_input(name, remedy)


@TABLE.add(
    "POST",
    "/v1/me/channels/{channel_id}/confirm",
    readers=CONSIGNEE,
    summary="Confirm a channel",
    takes=CodeGiven,
    gives=ChannelShown,
    repeat=Repeat.BY_NATURE,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
)
async def confirm_my_channel(asked: Asked[CodeGiven]) -> ChannelShown:
    """Send back the code that was sent there. Five tries, within ten minutes."""
    row = await flow_channels.confirm_channel(
        asked.platform,
        asked.path["channel_id"],
        reader=NoticeReader.CONSIGNEE.value,
        reader_id=asked.asker.id,
        code=asked.body.code,
    )
    return show_channel(row)


@TABLE.add(
    "POST",
    "/v1/me/channels/{channel_id}/groups",
    readers=CONSIGNEE,
    summary="Choose what a channel is told",
    takes=GroupsOff,
    gives=ChannelShown,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND,),
)
async def choose_my_groups(asked: Asked[GroupsOff]) -> ChannelShown:
    """What is not to be told there. Alarms always are."""
    return await _choose_groups(asked)


@TABLE.add(
    "DELETE",
    "/v1/me/channels/{channel_id}",
    readers=CONSIGNEE,
    summary="Take a channel away",
    gives=ChannelEnded,
    troubles=(Trouble.NOT_FOUND,),
)
async def end_my_channel(asked: Asked[None]) -> ChannelEnded:
    """Nothing is sent there any more, and its address is forgotten."""
    return await _end_channel(asked)


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


@TABLE.add(
    "GET",
    "/v1/push_key",
    readers=CONSIGNEE,
    summary="The key for web push",
    gives=PushKey,
    troubles=(Trouble.CONFLICT,),
)
async def read_push_key(asked: Asked[None]) -> PushKey:
    """With this key a browser subscribes; the subscription then makes a channel of the kind webpush."""
    key = asked.platform.dispatcher.push_key
    if key is None:
        raise Conflict(MISSING[ChannelKind.WEBPUSH])
    return PushKey(public_key=key)


# ---------------------------------------------------------------- a carrier's notices


@TABLE.add("GET", "/v1/notices", readers=CARRIER, summary="Notices", query=NoticesQuery, gives=Notices)
async def list_notices(asked: Asked[None]) -> Notices:
    """All that was told to your back end, whether or not it has webhooks."""
    async with asked.platform.database.connection() as connection:
        return await read_page(
            connection, NoticeReader.CARRIER, asked.asker.id, asked.query, language_of(asked)
        )


@TABLE.add("GET", "/v1/channels", readers=CARRIER, summary="Webhooks", gives=Channels)
async def list_channels(asked: Asked[None]) -> Channels:
    """Where your back end is told."""
    return await _list_channels(asked)


@TABLE.add(
    "POST",
    "/v1/channels",
    readers=CARRIER,
    summary="Add a webhook",
    takes=NewHook,
    gives=ChannelShown,
    status=201,
    repeat=Repeat.CLAIMED,
    troubles=(Trouble.CONFLICT,),
    examples=({"url": "https://example.org/unlatch"},),
)
async def add_channel(asked: Asked[NewHook]) -> ChannelShown:
    """Where your back end is told from now on, by signed POSTs (Standard Webhooks). The answer holds the secret, once.
    Any answer but 2xx is tried again for about three hours; 410 ends the webhook.
    """
    wish = Wish(
        reader=NoticeReader.CARRIER.value,
        reader_id=asked.asker.id,
        kind=ChannelKind.WEBHOOK,
        address={"url": asked.body.url},
        groups_off=asked.body.groups_off,
        language=Language.ENGLISH,
    )
    made = await flow_channels.add_channel(asked.platform, wish)
    return show_channel(made.row, made.secret)


@TABLE.add(
    "POST",
    "/v1/channels/{channel_id}/groups",
    readers=CARRIER,
    summary="Choose what a webhook is told",
    takes=GroupsOff,
    gives=ChannelShown,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND,),
)
async def choose_groups(asked: Asked[GroupsOff]) -> ChannelShown:
    """What is not to be told there. Alarms always are."""
    return await _choose_groups(asked)


@TABLE.add(
    "DELETE",
    "/v1/channels/{channel_id}",
    readers=CARRIER,
    summary="Take a webhook away",
    gives=ChannelEnded,
    troubles=(Trouble.NOT_FOUND,),
)
async def end_channel(asked: Asked[None]) -> ChannelEnded:
    """Nothing is sent there any more, and its address is forgotten."""
    return await _end_channel(asked)


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


# ---------------------------------------------------------------- what both sides do alike


async def _list_channels(asked: Asked[None]) -> Channels:
    async with asked.platform.database.connection() as connection:
        rows = await channels.list_channels(connection, asked.asker.reader.value, asked.asker.id)
    return Channels(channels=[show_channel(row) for row in rows])


async def _choose_groups(asked: Asked[GroupsOff]) -> ChannelShown:
    row = await flow_channels.set_groups_off(
        asked.connection,
        asked.path["channel_id"],
        reader=asked.asker.reader.value,
        reader_id=asked.asker.id,
        groups_off=asked.body.groups_off,
    )
    return show_channel(row)


async def _end_channel(asked: Asked[None]) -> ChannelEnded:
    channel_id = asked.path["channel_id"]
    async with asked.platform.database.connection() as connection:
        await flow_channels.end_channel(
            connection,
            channel_id,
            reader=asked.asker.reader.value,
            reader_id=asked.asker.id,
            now=asked.platform.clock.now(),
        )
    return ChannelEnded(id=channel_id, is_ended=True)
