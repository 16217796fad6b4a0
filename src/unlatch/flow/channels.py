"""A reader's channels: taken on, shown to be theirs by a code that is sent there, tried, taken away.

A push subscription and a webhook need no code: the one comes from the reader's own browser, the other proves with each
signature who writes. Mail, text messages and other channels could be somebody else's: they are told nothing but the
code until it has come back. How many codes one reader can have sent is limited, as each goes to a stranger maybe.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation

from unlatch.domain.notice import ChannelKind, ChannelState, NoticeGroup, NoticeReader
from unlatch.domain.notice_texts import Words, write_confirmation, write_trial
from unlatch.domain.wording import Language
from unlatch.errors import BadInput, Conflict, NotFound
from unlatch.flow.platform import Platform
from unlatch.notices import outward
from unlatch.notices.base import Letter, NotDelivered
from unlatch.notices.dispatcher import MISSING
from unlatch.notices.senders import sms, webpush
from unlatch.notices.senders.webhook import make_secret
from unlatch.store import channels
from unlatch.store.channels import ChannelRow
from unlatch.store.ids import make_id
from unlatch.store.vault import Vault

CHANNELS_MAX = 10  # of one reader at once
MADE_A_DAY_MAX = 20  # of one reader, those that are gone among them
CODE_DIGITS = 6
CODE_LIVES = timedelta(minutes=10)
TRIES_MAX = 5
SEND_WITHIN_S = 12.0
AT_ONCE = 500
NEED_CODE = frozenset({ChannelKind.EMAIL, ChannelKind.SMS, ChannelKind.OTHER})
# One address as RFC 5321 writes it without quotes; what is behind it shows with the code.
_MAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
MAX_MAIL = 254


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A channel that a reader wants. `address`: what the kind needs, as `read_address` says."""

    reader: str  # consignee | carrier | operator
    reader_id: str
    kind: ChannelKind
    address: Mapping[str, str]
    groups_off: Sequence[NoticeGroup]
    language: Language


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The new channel; a webhook's secret is shown this once."""

    row: ChannelRow
    secret: str | None


async def add_channel(platform: Platform, wish: Wish) -> Made:
    """Take a channel on, and send its code where one is needed. Raises BadInput, Conflict."""
    if platform.dispatcher.find(wish.kind) is None:
        raise Conflict(MISSING[wish.kind])
    address, shown = read_address(
        wish.kind,
        wish.address,
        may_be_private=platform.dispatcher.may_be_private,
        allowed=platform.dispatcher.allowed,
    )
    secret = make_secret() if wish.kind is ChannelKind.WEBHOOK else None
    code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}" if wish.kind in NEED_CODE else None
    channel_id, real_now = make_id("chn"), datetime.now(UTC)
    row = ChannelRow(
        id=channel_id,
        reader=wish.reader,
        reader_id=wish.reader_id,
        kind=wish.kind.value,
        sealed=platform.vault.seal({**address, **({"secret": secret} if secret else {})}, channel_id),
        digest=digest_of(platform.vault, wish.kind, address),
        shown=shown,
        state=ChannelState.UNCONFIRMED if code else ChannelState.LIVE,
        groups_off=clean_groups(wish.groups_off),
        code_digest=_digest_code(platform.vault, channel_id, code) if code else None,
        code_expires_at=real_now + CODE_LIVES if code else None,
        code_tries=0,
        failures=0,
        created_at=real_now,
        language=wish.language if wish.reader == NoticeReader.OPERATOR else None,
    )
    await _insert(platform, row, real_now)
    if code is not None:
        await _send_code(platform, wish, address, row, code)
    return Made(row=row, secret=secret)


async def _insert(platform: Platform, row: ChannelRow, real_now: datetime) -> None:
    try:
        async with platform.database.transaction() as connection:
            await channels.lock_reader(connection, row.reader, row.reader_id)
            there, made = await channels.count_channels(
                connection, row.reader, row.reader_id, made_since=real_now - timedelta(days=1)
            )
            if there >= CHANNELS_MAX:
                raise Conflict(f"at most {CHANNELS_MAX} channels: take one away first")
            if made >= MADE_A_DAY_MAX:
                raise Conflict(f"at most {MADE_A_DAY_MAX} new channels a day: try again tomorrow")
            await channels.insert_channel(connection, row)
    except UniqueViolation:
        raise Conflict("you have this channel already: take it away first, for a new code") from None


async def _send_code(
    platform: Platform, wish: Wish, address: Mapping[str, str], row: ChannelRow, code: str
) -> None:
    """Send the code there at once: who has mistyped the address learns it now. What fails leaves no channel behind."""
    words, now = write_confirmation(wish.language, code), platform.clock.now()
    letter = _write_letter(row, row.id, "confirmation", wish.language, words, now)
    if (failure := await _send_now(platform, row, address, letter)) is not None:
        async with platform.database.connection() as connection:
            await channels.end_channel(connection, row.id, why=failure.why, now=now)
        raise BadInput("address", f"the code could not be sent there: {failure.why}")


async def try_channel(
    platform: Platform, channel_id: str, *, reader: str, reader_id: str, language: Language
) -> ChannelRow:
    """Send a test there at once. Raises NotFound, and Conflict that says why it was not taken on.

    What the other side calls gone ends here as it does with any notice.
    """
    async with platform.database.connection() as connection:
        found = await channels.list_channels(connection, reader, reader_id)
    row = next((one for one in found if one.id == channel_id), None)
    if row is None:
        raise NotFound("there is no such channel")
    if row.state != ChannelState.LIVE:
        raise Conflict("send back the code that was sent there first")
    now = platform.clock.now()
    letter = _write_letter(row, make_id("not"), "test", language, write_trial(language), now)
    failure = await _send_now(platform, row, platform.vault.open_mapping(row.sealed, row.id), letter)
    if failure is None:
        return row
    if failure.is_gone:
        async with platform.database.connection() as connection:
            await channels.end_channel(connection, row.id, why=failure.why, now=now)
    raise Conflict(f"the test could not be sent there: {failure.why}")


def _write_letter(
    row: ChannelRow, notice_id: str, event: str, language: Language, words: Words, now: datetime
) -> Letter:
    """A letter about the channel itself, which no notice stands behind."""
    return Letter(
        notice_id=notice_id,
        channel_id=row.id,
        event=event,
        is_urgent=False,
        language=language,
        subject=words.subject,
        body=words.body,
        told_at=now,
    )


async def _send_now(
    platform: Platform, row: ChannelRow, address: Mapping[str, str], letter: Letter
) -> NotDelivered | None:
    """Why it was not taken on, while its reader waits; None: it was."""
    try:
        async with asyncio.timeout(SEND_WITHIN_S):
            await platform.dispatcher.send(ChannelKind(row.kind), address, letter)
    except NotDelivered as failure:
        return failure
    except TimeoutError:
        return NotDelivered("it took too long")
    return None


async def confirm_channel(
    platform: Platform, channel_id: str, *, reader: str, reader_id: str, code: str
) -> ChannelRow:
    """The code came back: the channel is live. Raises NotFound, Conflict, BadInput.

    Each try is counted in a transaction of its own, before the code is looked at.
    """
    real_now = datetime.now(UTC)
    async with platform.database.connection() as connection:
        row = await channels.count_try(connection, channel_id, reader, reader_id)
        if row is None:
            raise NotFound("there is no such channel")
        if row.state == ChannelState.LIVE:
            return row
        if row.code_tries > TRIES_MAX or row.code_expires_at is None or real_now >= row.code_expires_at:
            raise Conflict("this code is used up: take the channel away and add it anew")
        given = _digest_code(platform.vault, channel_id, code)
        if row.code_digest is None or not hmac.compare_digest(given, row.code_digest):
            raise BadInput("code", "this is not the code that was sent there")
        await channels.set_live(connection, channel_id)
        found = await channels.list_channels(connection, reader, reader_id)
    return next((one for one in found if one.id == channel_id), row)


async def set_groups_off(
    connection: AsyncConnection,
    channel_id: str,
    *,
    reader: str,
    reader_id: str,
    groups_off: Sequence[NoticeGroup],
) -> ChannelRow:
    """What is not to be told there. Alarms always are. Raises NotFound."""
    row = await channels.set_groups_off(connection, channel_id, reader, reader_id, clean_groups(groups_off))
    if row is None:
        raise NotFound("there is no such channel")
    return row


async def end_channel(
    connection: AsyncConnection, channel_id: str, *, reader: str, reader_id: str, now: datetime
) -> None:
    """Its owner takes a channel away. Raises NotFound."""
    of = (reader, reader_id)
    if not await channels.end_channel(connection, channel_id, why="taken away", now=now, of=of):
        raise NotFound("there is no such channel")


def clean_groups(groups_off: Sequence[NoticeGroup]) -> list[str]:
    """Each group once. Raises BadInput for one that can't be turned off."""
    if NoticeGroup.ALARM in groups_off:
        raise BadInput("groups_off", "alarms can't be turned off: leave `alarm` out")
    return sorted({group.value for group in groups_off})


def read_address(
    kind: ChannelKind, given: Mapping[str, str], *, may_be_private: bool, allowed: Collection[str]
) -> tuple[dict[str, str], str]:
    """What is sealed of an address, and how it is shown. Raises BadInput. No I/O."""
    if kind is ChannelKind.EMAIL:
        return _read_mail(given.get("to", "").strip())
    if kind is ChannelKind.SMS:
        number = re.sub(r"[ ()./-]", "", given.get("to", ""))
        if not sms.NUMBER.fullmatch(number):
            raise BadInput("to", "give the number with its country, like +14155550123")
        return {"to": number}, f"{number[:3]}•••{number[-2:]}"
    if kind is ChannelKind.OTHER:
        url = given.get("url", "").strip()
        if (fault := sms.find_fault(url, allowed)) is not None:
            raise BadInput("url", fault)
        return {"url": url}, f"{url.partition('://')[0].lower()}://•••"
    name = "endpoint" if kind is ChannelKind.WEBPUSH else "url"
    url = given.get(name, "").strip()
    if (fault := outward.find_fault(url, may_be_private=may_be_private)) is not None:
        raise BadInput(name, fault)
    host = urlsplit(url).hostname or ""
    if kind is ChannelKind.WEBHOOK:
        return {"url": url}, host
    keys = {key: given.get(key, "").strip().rstrip("=") for key in ("p256dh", "auth")}
    try:
        webpush.read_keys(keys)
    except NotDelivered:
        raise BadInput("keys", "give p256dh and auth as the browser's subscription has them") from None
    return {"endpoint": url, **keys}, host


def _read_mail(to: str) -> tuple[dict[str, str], str]:
    name, _, domain = to.rpartition("@")
    is_good = len(to) <= MAX_MAIL and _MAIL.fullmatch(to) and ".." not in to and not name.startswith(".")
    if not is_good or name.endswith("."):
        raise BadInput("to", "give one address like ann@example.org")
    return {"to": f"{name}@{domain.lower()}"}, f"{name[0]}•••@{domain.lower()}"


def digest_of(vault: Vault, kind: ChannelKind, address: Mapping[str, str]) -> bytes:
    """By which the same address of the same kind is known again."""
    told = address.get("endpoint") or address.get("url") or address["to"].lower()
    return vault.digest("channel", kind.value, told)


def _digest_code(vault: Vault, channel_id: str, code: str) -> bytes:
    """Keyed, as six digits are soon tried through."""
    return vault.digest("channel code", channel_id, code)


async def reseal_channels(platform: Platform) -> int:
    """Seal addresses with the newest key; how many. As `flow/resealing.py` does for cars."""
    vault, after, resealed = platform.vault, "", 0
    while True:
        async with platform.database.transaction() as connection:
            rows = await channels.list_sealed(connection, after=after, limit=AT_ONCE)
            for channel_id, kind, sealed in rows:
                if vault.needs_resealing(sealed):
                    address = vault.open_mapping(sealed, channel_id)
                    await channels.replace_sealed(
                        connection,
                        channel_id,
                        was=sealed,
                        sealed=vault.seal(address, channel_id),
                        digest=digest_of(vault, ChannelKind(kind), address),
                    )
                    resealed += 1
        if len(rows) < AT_ONCE:
            return resealed
        after = rows[-1][0]
