"""By which ways consignees, carriers' back ends and operators are told. What they are told: `web/api/notices.py`."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from msgspec import Meta, Struct

from unlatch.domain.notice import ChannelKind
from unlatch.domain.wording import Language
from unlatch.errors import Conflict
from unlatch.flow import channels as flow_channels
from unlatch.flow.channels import Wish
from unlatch.notices.dispatcher import MISSING
from unlatch.store import channels
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.notice_shapes import Channels, ChannelShown, Groups, GroupsOff, show_channel
from unlatch.web.problems import ProblemError, Trouble, bad_input
from unlatch.web.reading_room import language_of
from unlatch.web.shapes import Identifier
from unlatch.web.signing_in import Reader

TABLE = EndpointTable(
    "channels", "By which ways you are told. Bearer with the key of a consignee, a carrier or an operator."
)
CONSIGNEE, CARRIER, OPERATOR = (Reader.CONSIGNEE,), (Reader.CARRIER,), (Reader.OPERATOR,)
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


class PushKey(Struct, kw_only=True):
    """What a browser subscribes with (`applicationServerKey`)."""

    public_key: Annotated[str, Meta(description="A point of P-256, in base64url")]


# What the endpoints of one kind have in common, whoever asks.
_listed = partial(TABLE.add, "GET", gives=Channels)
_added = partial(
    TABLE.add,
    "POST",
    gives=ChannelShown,
    status=201,
    repeat=Repeat.CLAIMED,
    troubles=(Trouble.CONFLICT,),
)
_confirmed = partial(
    TABLE.add,
    "POST",
    summary="Confirm a channel",
    takes=CodeGiven,
    gives=ChannelShown,
    repeat=Repeat.BY_NATURE,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
)
_chosen = partial(
    TABLE.add,
    "POST",
    takes=GroupsOff,
    gives=ChannelShown,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND,),
)
_ended = partial(TABLE.add, "DELETE", gives=ChannelEnded, troubles=(Trouble.NOT_FOUND,))


# ---- a consignee's


@_listed("/v1/me/channels", readers=CONSIGNEE, summary="My channels")
async def list_my_channels(asked: Asked[None]) -> Channels:
    """The ways by which you are told."""
    return await _list(asked)


@_added(
    "/v1/me/channels",
    readers=CONSIGNEE,
    widens=True,
    summary="Add a channel",
    takes=NewChannel,
    examples=({"kind": "email", "to": "ann@example.org"},),
)
async def add_my_channel(asked: Asked[NewChannel]) -> ChannelShown:
    """A new way to be told. Mail, text messages and other channels are sent a code first: send it back within ten
    minutes. At most ten channels, and twenty new ones a day.
    """
    return await _add(asked)


@_confirmed("/v1/me/channels/{channel_id}/confirm", readers=CONSIGNEE)
async def confirm_my_channel(asked: Asked[CodeGiven]) -> ChannelShown:
    """Send back the code that was sent there. Five tries, within ten minutes."""
    return await _confirm(asked)


@_chosen("/v1/me/channels/{channel_id}/groups", readers=CONSIGNEE, summary="Choose what a channel is told")
async def choose_my_groups(asked: Asked[GroupsOff]) -> ChannelShown:
    """What is not to be told there. Alarms always are."""
    return await _choose(asked)


@TABLE.add(
    "POST",
    "/v1/me/channels/{channel_id}/test",
    readers=CONSIGNEE,
    summary="Try a channel",
    gives=ChannelShown,
    repeat=Repeat.CLAIMED,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT, Trouble.TOO_MANY),
)
async def try_my_channel(asked: Asked[None]) -> ChannelShown:
    """Send a test there at once; 409 says why it did not get there. After ten tests, one a minute."""
    if not asked.platform.joining.lets_through(f"test {asked.asker.id}"):
        raise ProblemError(
            Trouble.TOO_MANY, "too many tests: try again in a minute", headers={"Retry-After": "60"}
        )
    row = await flow_channels.try_channel(
        asked.platform,
        asked.path["channel_id"],
        reader=asked.asker.reader.value,
        reader_id=asked.asker.id,
        language=Language(language_of(asked)),
    )
    return show_channel(row)


@_ended("/v1/me/channels/{channel_id}", readers=CONSIGNEE, summary="Take a channel away")
async def end_my_channel(asked: Asked[None]) -> ChannelEnded:
    """Nothing is sent there any more, and its address is forgotten."""
    return await _end(asked)


@TABLE.add(
    "GET",
    "/v1/push_key",
    readers=(*CONSIGNEE, *OPERATOR),
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


# ---- a carrier's


@_listed("/v1/channels", readers=CARRIER, summary="Webhooks")
async def list_channels(asked: Asked[None]) -> Channels:
    """Where your back end is told."""
    return await _list(asked)


@_added(
    "/v1/channels",
    readers=CARRIER,
    summary="Add a webhook",
    takes=NewHook,
    examples=({"url": "https://example.org/unlatch"},),
)
async def add_channel(asked: Asked[NewHook]) -> ChannelShown:
    """Where your back end is told from now on, by signed POSTs (Standard Webhooks). The answer holds the secret, once.
    Any answer but 2xx is tried again for about three hours; 410 ends the webhook.
    """
    wish = Wish(
        reader=Reader.CARRIER.value,
        reader_id=asked.asker.id,
        kind=ChannelKind.WEBHOOK,
        address={"url": asked.body.url},
        groups_off=asked.body.groups_off,
        language=Language.ENGLISH,
    )
    made = await flow_channels.add_channel(asked.platform, wish)
    return show_channel(made.row, made.secret)


@_chosen("/v1/channels/{channel_id}/groups", readers=CARRIER, summary="Choose what a webhook is told")
async def choose_groups(asked: Asked[GroupsOff]) -> ChannelShown:
    """What is not to be told there. Alarms always are."""
    return await _choose(asked)


@_ended("/v1/channels/{channel_id}", readers=CARRIER, summary="Take a webhook away")
async def end_channel(asked: Asked[None]) -> ChannelEnded:
    """Nothing is sent there any more, and its address is forgotten."""
    return await _end(asked)


# ---- an operator's


@_listed("/v1/operator/channels", readers=OPERATOR, summary="My channels, as an operator")
async def list_operator_channels(asked: Asked[None]) -> Channels:
    """The ways by which you are told of calls for help. Other operators have their own."""
    return await _list(asked)


@_added(
    "/v1/operator/channels",
    readers=OPERATOR,
    widens=True,
    summary="Add a channel for calls",
    takes=NewChannel,
    examples=({"kind": "email", "to": "olga@example.org"},),
)
async def add_operator_channel(asked: Asked[NewChannel]) -> ChannelShown:
    """Every call for help is told there: once when it is opened, and again when it comes to be about something else.
    In the language that you ask in, at any hour. Codes, kinds and limits are those of consignees.
    """
    return await _add(asked)


@_confirmed("/v1/operator/channels/{channel_id}/confirm", readers=OPERATOR)
async def confirm_operator_channel(asked: Asked[CodeGiven]) -> ChannelShown:
    """Send back the code that was sent there. Five tries, within ten minutes."""
    return await _confirm(asked)


@_ended("/v1/operator/channels/{channel_id}", readers=OPERATOR, summary="Take a channel for calls away")
async def end_operator_channel(asked: Asked[None]) -> ChannelEnded:
    """Nothing is sent there any more, and its address is forgotten."""
    return await _end(asked)


# ---- what all sides do alike


async def _list(asked: Asked[None]) -> Channels:
    async with asked.platform.database.connection() as connection:
        rows = await channels.list_channels(connection, asked.asker.reader.value, asked.asker.id)
    return Channels(channels=[show_channel(row) for row in rows])


async def _add(asked: Asked[NewChannel]) -> ChannelShown:
    body = asked.body
    given = {
        "to": body.to,
        "url": body.url,
        "endpoint": body.endpoint,
        "p256dh": body.keys.p256dh if body.keys else None,
        "auth": body.keys.auth if body.keys else None,
    }
    _refuse_what_does_not_belong(body)
    wish = Wish(
        reader=asked.asker.reader.value,
        reader_id=asked.asker.id,
        kind=body.kind,
        address={name: value for name, value in given.items() if value is not None},
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


async def _confirm(asked: Asked[CodeGiven]) -> ChannelShown:
    row = await flow_channels.confirm_channel(
        asked.platform,
        asked.path["channel_id"],
        reader=asked.asker.reader.value,
        reader_id=asked.asker.id,
        code=asked.body.code,
    )
    return show_channel(row)


async def _choose(asked: Asked[GroupsOff]) -> ChannelShown:
    row = await flow_channels.set_groups_off(
        asked.connection,
        asked.path["channel_id"],
        reader=asked.asker.reader.value,
        reader_id=asked.asker.id,
        groups_off=asked.body.groups_off,
    )
    return show_channel(row)


async def _end(asked: Asked[None]) -> ChannelEnded:
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
