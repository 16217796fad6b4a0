"""Ways to reach people: their channels, what they want to be told there, and their quiet hours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time

from psycopg import AsyncConnection
from psycopg.rows import class_row


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRow:
    """One way to reach one reader; `sealed` holds the address, and a webhook's secret.

    `reader`: consignee | carrier | operator. The desk's notices go to the channels of every operator.
    """

    id: str
    reader: str
    reader_id: str
    kind: str
    sealed: bytes
    digest: bytes
    shown: str
    state: str
    groups_off: list[str]
    code_digest: bytes | None
    code_expires_at: datetime | None
    code_tries: int
    failures: int
    created_at: datetime
    why_gone: str | None = None
    language: str | None = None  # None: its reader's own, else English


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferenceRow:
    """When a consignee wants to be left alone."""

    quiet_from: time
    quiet_until: time
    time_zone: str


_NAMES = ChannelRow.__slots__
_COLUMNS = ", ".join(_NAMES)
_INSERT = f"INSERT INTO channel ({_COLUMNS}) VALUES ({', '.join(f'%({name})s' for name in _NAMES)})"
_COUNT_TRY = """
    -- Each try counts, and is over before the code is compared: trying many at once gains nothing.
    UPDATE channel SET code_tries = code_tries + 1
    WHERE id = %s AND reader = %s AND reader_id = %s AND state <> 'gone'
    RETURNING """ + ", ".join(_NAMES)  # fmt: skip


# What ends a channel, whoever ends it: its address is forgotten. `now`, `why`.
ENDS = "state = 'gone', sealed = '', code_digest = NULL, gone_at = %(now)s, why_gone = %(why)s"
_END = f"""
    UPDATE channel SET {ENDS} WHERE id = %(id)s AND state <> 'gone'
        AND (%(reader)s::text IS NULL OR (reader = %(reader)s AND reader_id = %(reader_id)s)) RETURNING id
"""


async def insert_channel(connection: AsyncConnection, row: ChannelRow) -> None:
    """A new channel. Raises psycopg's UniqueViolation (channel_once) where its reader has it already."""
    await connection.execute(_INSERT.encode(), {name: getattr(row, name) for name in _NAMES})


async def lock_reader(connection: AsyncConnection, reader: str, reader_id: str) -> None:
    """Make this reader's changes of their channels wait for each other, until the end of this transaction."""
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 110))", (f"{reader}:{reader_id}",)
    )


async def count_channels(
    connection: AsyncConnection, reader: str, reader_id: str, *, made_since: datetime
) -> tuple[int, int]:
    """How many this reader has, and how many were made since then, those that are gone among them."""
    cursor = await connection.execute(
        "SELECT count(*) FILTER (WHERE state <> 'gone'), count(*) FILTER (WHERE created_at >= %s) "
        "FROM channel WHERE reader = %s AND reader_id = %s",
        (made_since, reader, reader_id),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


async def list_channels(
    connection: AsyncConnection, reader: str, reader_id: str, *, limit: int = 100
) -> list[ChannelRow]:
    """A reader's channels that are not gone, oldest first."""
    query = (
        f"SELECT {_COLUMNS} FROM channel WHERE reader = %s AND reader_id = %s AND state <> 'gone' "
        "ORDER BY created_at, id LIMIT %s"
    )
    async with connection.cursor(row_factory=class_row(ChannelRow)) as cursor:
        await cursor.execute(query.encode(), (reader, reader_id, limit))
        return await cursor.fetchall()


async def count_try(
    connection: AsyncConnection, channel_id: str, reader: str, reader_id: str
) -> ChannelRow | None:
    """Somebody tries a code at a channel of this reader: the channel, the try counted."""
    async with connection.cursor(row_factory=class_row(ChannelRow)) as cursor:
        await cursor.execute(_COUNT_TRY.encode(), (channel_id, reader, reader_id))
        return await cursor.fetchone()


async def set_live(connection: AsyncConnection, channel_id: str) -> None:
    """The code came back: it is theirs."""
    await connection.execute(
        "UPDATE channel SET state = 'live', code_digest = NULL, code_expires_at = NULL "
        "WHERE id = %s AND state = 'unconfirmed'",
        (channel_id,),
    )


async def set_groups_off(
    connection: AsyncConnection, channel_id: str, reader: str, reader_id: str, groups_off: Sequence[str]
) -> ChannelRow | None:
    """What is not to be told there; the channel, or None where this reader has none such."""
    query = (
        "UPDATE channel SET groups_off = %s WHERE id = %s AND reader = %s AND reader_id = %s AND state <> 'gone' "
        f"RETURNING {_COLUMNS}"
    )
    async with connection.cursor(row_factory=class_row(ChannelRow)) as cursor:
        await cursor.execute(query.encode(), (list(groups_off), channel_id, reader, reader_id))
        return await cursor.fetchone()


async def follow_session(
    connection: AsyncConnection, channel_id: str, session_id: str, reader: str, reader_id: str
) -> None:
    """The channel of a browser ends with this session from now on, if it is this reader's."""
    await connection.execute(
        "UPDATE channel SET session_id = %s WHERE id = %s AND reader = %s AND reader_id = %s",
        (session_id, channel_id, reader, reader_id),
    )


async def end_channel(
    connection: AsyncConnection,
    channel_id: str,
    *,
    why: str,
    now: datetime,
    of: tuple[str, str] | None = None,
) -> bool:
    """Nothing is sent there any more, and its address is forgotten. `of`: only if it is this reader's."""
    reader, reader_id = of or (None, None)
    values = {"id": channel_id, "now": now, "why": why, "reader": reader, "reader_id": reader_id}
    cursor = await connection.execute(_END.encode(), values)
    return await cursor.fetchone() is not None


async def find_preference(connection: AsyncConnection, consignee_id: str) -> PreferenceRow | None:
    """A consignee's quiet hours, if they want any."""
    async with connection.cursor(row_factory=class_row(PreferenceRow)) as cursor:
        await cursor.execute(
            "SELECT quiet_from, quiet_until, time_zone FROM notice_preference WHERE consignee_id = %s",
            (consignee_id,),
        )
        return await cursor.fetchone()


async def set_preference(connection: AsyncConnection, consignee_id: str, row: PreferenceRow | None) -> None:
    """A consignee's quiet hours, or none."""
    if row is None:
        await connection.execute("DELETE FROM notice_preference WHERE consignee_id = %s", (consignee_id,))
        return
    await connection.execute(
        "INSERT INTO notice_preference (consignee_id, quiet_from, quiet_until, time_zone) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT (consignee_id) DO UPDATE SET quiet_from = excluded.quiet_from, "
        "quiet_until = excluded.quiet_until, time_zone = excluded.time_zone",
        (consignee_id, row.quiet_from, row.quiet_until, row.time_zone),
    )


async def list_sealed(connection: AsyncConnection, *, after: str, limit: int) -> list[tuple[str, str, bytes]]:
    """Id, kind and what is sealed of each channel that is not gone, from the first one behind `after`."""
    cursor = await connection.execute(
        "SELECT id, kind, sealed FROM channel WHERE state <> 'gone' AND id > %s ORDER BY id LIMIT %s",
        (after, limit),
    )
    return [(row[0], row[1], bytes(row[2])) for row in await cursor.fetchall()]


async def replace_sealed(
    connection: AsyncConnection, channel_id: str, *, was: bytes, sealed: bytes, digest: bytes
) -> None:
    """Seal a channel anew, unless it has changed meanwhile."""
    await connection.execute(
        "UPDATE channel SET sealed = %s, digest = %s WHERE id = %s AND sealed = %s",
        (sealed, digest, channel_id, was),
    )
