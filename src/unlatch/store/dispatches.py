"""Dispatches: one notice on its way over one channel, claimed by one worker at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row

from unlatch.domain.booking import StopState
from unlatch.domain.notice import DispatchState
from unlatch.domain.notice_timing import StopNow


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpostedRow:
    """A notice that has no dispatches yet, with one of its reader's live channels (None: there is none)."""

    notice_id: str
    event: str
    facts: dict[str, Any]
    created_at: datetime
    channel_id: str | None
    kind: str | None
    groups_off: list[str] | None
    quiet_from: time | None
    quiet_until: time | None
    time_zone: str | None  # of the quiet hours
    # Of what swings (domain/notice_timing.py), at the same place and for the same reader:
    is_overtaken: bool  # a newer notice tells how it stands
    changes: int  # that were told of lately, as far as counted
    waits_until: datetime | None  # when the older one leaves that waits on this channel


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDispatch:
    """One notice that is to go over one channel, or is not and why."""

    notice_id: str
    channel_id: str
    kind: str
    state: DispatchState
    next_at: datetime | None
    why: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenRow:
    """A dispatch that this worker has claimed, with all that is needed to send it."""

    notice_id: str
    channel_id: str
    kind: str
    tries: int  # this one among them; by it a worker that was late knows that another has taken over
    sealed: bytes
    reader: str
    reader_id: str
    language: str
    event: str
    facts: dict[str, Any]
    created_at: datetime
    access_point_id: str | None
    stop_id: str | None
    visit_id: str | None
    place_zone: str | None
    quiet_from: time | None
    quiet_until: time | None
    time_zone: str | None
    stop: StopNow | None  # that it is about


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchRow:
    """How a notice fares on one channel."""

    notice_id: str
    channel_id: str
    kind: str
    shown: str
    state: str
    tries: int
    next_at: datetime | None
    why: str | None
    sent_at: datetime | None
    created_at: datetime
    event: str
    reader: str


_UNPOSTED = """
    -- The oldest notices without dispatches, locked, each with every live channel of its reader.
    WITH fresh AS MATERIALIZED (
        SELECT id, reader, reader_id, event, access_point_id, facts, created_at FROM notice
        WHERE posted_at IS NULL ORDER BY created_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
    )
    SELECT fresh.id AS notice_id, fresh.event, fresh.facts, fresh.created_at, channel.id AS channel_id, channel.kind,
        groups_off, quiet_from, quiet_until, time_zone, coalesce(is_overtaken, false) AS is_overtaken,
        coalesce(changes, 0) AS changes, waits_until
    FROM fresh
    LEFT JOIN channel ON channel.reader = fresh.reader AND channel.reader_id = fresh.reader_id
        AND channel.state = 'live'
    LEFT JOIN notice_preference ON fresh.reader = 'consignee' AND consignee_id = fresh.reader_id
    LEFT JOIN LATERAL (
        SELECT EXISTS (
            SELECT 1 FROM notice other
            WHERE other.reader = fresh.reader AND other.reader_id = fresh.reader_id
                AND other.access_point_id = fresh.access_point_id AND other.event = ANY(%(swings)s)
                AND (other.created_at, other.id) > (fresh.created_at, fresh.id)
        ) AS is_overtaken, (
            SELECT count(*) FROM (
                SELECT 1 FROM notice other
                WHERE other.reader = fresh.reader AND other.reader_id = fresh.reader_id
                    AND other.access_point_id = fresh.access_point_id AND other.event = ANY(%(swings)s)
                    AND (other.created_at, other.id) < (fresh.created_at, fresh.id)
                    AND other.created_at > fresh.created_at - %(within_s)s * interval '1 second'
                LIMIT %(most_changes)s) few
        ) AS changes
    ) swing ON fresh.event = ANY(%(swings)s)
    LEFT JOIN LATERAL (
        SELECT min(next_at) AS waits_until
        FROM notice other JOIN dispatch ON dispatch.notice_id = other.id AND dispatch.channel_id = channel.id
        WHERE other.reader = fresh.reader AND other.reader_id = fresh.reader_id
            AND other.access_point_id = fresh.access_point_id AND other.event = ANY(%(swings)s)
            AND (other.created_at, other.id) < (fresh.created_at, fresh.id)
            AND other.created_at > fresh.created_at - %(within_s)s * interval '1 second'
            AND dispatch.state = 'due'
    ) waiting ON NOT is_overtaken AND changes >= %(most_changes)s
    ORDER BY fresh.created_at, fresh.id
"""
_INSERT = """
    INSERT INTO dispatch (notice_id, channel_id, kind, state, next_at, why, created_at)
    SELECT notice_id, channel_id, kind, state, next_at, why, %(now)s
    FROM unnest(%(notices)s::text[], %(channels)s::text[], %(kinds)s::text[], %(states)s::text[],
        %(next)s::timestamptz[], %(whys)s::text[])
        AS new (notice_id, channel_id, kind, state, next_at, why)
    ON CONFLICT DO NOTHING
"""
_OVERTAKE = """
    -- What waits on these channels of the same place's older changes: these notices tell how it stands now.
    UPDATE dispatch SET state = 'dropped', next_at = NULL, why = %(why)s
    FROM unnest(%(notices)s::text[], %(channels)s::text[]) AS new (notice_id, channel_id)
    JOIN notice newer ON newer.id = new.notice_id
    JOIN notice older ON older.reader = newer.reader AND older.reader_id = newer.reader_id
        AND older.access_point_id = newer.access_point_id AND older.event = ANY(%(swings)s)
        AND (older.created_at, older.id) < (newer.created_at, newer.id)
        AND older.created_at > newer.created_at - %(within_s)s * interval '1 second'
    WHERE dispatch.notice_id = older.id AND dispatch.channel_id = new.channel_id AND dispatch.state = 'due'
"""
_CLAIM = f"""
    -- What is due, the longest waiting first, for each kind as many as there is room for. What was taken by a worker
    -- that has let its time run out is due again. A channel that rests, or has enough on its way, and a reader whose
    -- channels together have, let others pass: their dispatches are put off, each once, so that looking stays cheap
    -- however many there are.
    WITH slot AS (
        SELECT * FROM unnest(%(kinds)s::text[], %(free)s::int[], %(a_reader)s::int[]) AS slot (kind, free, a_reader)
    ),
    candidate AS MATERIALIZED (
        SELECT slot.free, slot.a_reader, found.* FROM slot CROSS JOIN LATERAL (
            SELECT notice_id, channel_id, next_at, dispatch.kind FROM dispatch
            WHERE dispatch.kind = slot.kind AND state IN ('due', 'taken') AND next_at <= %(now)s
            ORDER BY next_at LIMIT 64 FOR NO KEY UPDATE SKIP LOCKED
        ) found
    ),
    of_channel AS (
        SELECT candidate.*, rests_until, channel.kind || ' ' || channel.reader || ' ' || channel.reader_id AS reader,
            CASE
            WHEN channel.state <> 'live' THEN 'gone'
            WHEN rests_until > %(now)s THEN 'rests'
            WHEN row_number() OVER (PARTITION BY channel_id ORDER BY next_at, notice_id) + coalesce(busy.letters, 0)
                > %(a_channel)s THEN 'busy'
            ELSE 'take' END AS verdict
        FROM candidate JOIN channel ON channel.id = candidate.channel_id
        LEFT JOIN unnest(%(busy)s::text[], %(letters)s::int[]) AS busy (id, letters) ON busy.id = channel_id
    ),
    judged AS (
        SELECT notice_id, channel_id, next_at, kind, free, rests_until, CASE
            WHEN verdict = 'take' AND coalesce(busy.letters, 0) + row_number()
                OVER (PARTITION BY reader, verdict ORDER BY next_at, notice_id, channel_id) > a_reader THEN 'busy'
            ELSE verdict END AS verdict
        FROM of_channel
        LEFT JOIN unnest(%(busy_readers)s::text[], %(reader_letters)s::int[]) AS busy (id, letters)
            ON busy.id = reader
    ),
    counted AS (
        SELECT judged.*, row_number() OVER (PARTITION BY kind, verdict ORDER BY next_at) AS place FROM judged
    ),
    moved AS (
        UPDATE dispatch SET
            state = CASE verdict WHEN 'gone' THEN 'dropped' WHEN 'take' THEN 'taken' ELSE 'due' END,
            next_at = CASE verdict WHEN 'gone' THEN NULL WHEN 'rests' THEN rests_until
                WHEN 'busy' THEN %(soon)s ELSE %(lease)s END,
            tries = tries + CASE verdict WHEN 'take' THEN 1 ELSE 0 END,
            why = CASE verdict WHEN 'gone' THEN 'the channel is gone' ELSE why END
        FROM counted
        WHERE dispatch.notice_id = counted.notice_id AND dispatch.channel_id = counted.channel_id
            AND (verdict <> 'take' OR place <= free)
        RETURNING dispatch.notice_id, dispatch.channel_id, dispatch.kind, tries, verdict
    )
    SELECT moved.notice_id, moved.channel_id, moved.kind, moved.tries, sealed, notice.reader, notice.reader_id,
        coalesce(consignee.language, 'en') AS language, event, facts, notice.created_at, notice.access_point_id,
        stop_id, visit_id, access_point.time_zone AS place_zone, quiet_from, quiet_until, notice_preference.time_zone,
        {", ".join(f"stop.{name} AS now_{name}" for name in StopNow.__slots__)}
    FROM moved
    JOIN notice ON notice.id = moved.notice_id
    JOIN channel ON channel.id = moved.channel_id
    LEFT JOIN consignee ON notice.reader = 'consignee' AND consignee.id = notice.reader_id
    LEFT JOIN access_point ON access_point.id = notice.access_point_id
    LEFT JOIN stop ON stop.id = notice.stop_id
    LEFT JOIN notice_preference ON notice.reader = 'consignee' AND notice_preference.consignee_id = notice.reader_id
    WHERE verdict = 'take'
"""
_FINISH = """
    -- How a try ended. A worker whose time had run out, and whose dispatch another has taken, changes nothing. The
    -- channel's failures in a row are counted, and after one it rests a while.
    WITH finished AS (
        UPDATE dispatch SET state = %(state)s, next_at = %(next_at)s, why = %(why)s, sent_at = %(sent_at)s,
            tries = tries - %(given_back)s
        WHERE notice_id = %(notice_id)s AND channel_id = %(channel_id)s AND state = 'taken' AND tries = %(tries)s
        RETURNING channel_id
    )
    UPDATE channel SET failures = CASE WHEN %(has_failed)s THEN failures + 1 ELSE 0 END,
        rests_until = CASE WHEN %(has_failed)s THEN
            %(now)s + least(%(rest_s)s * 2 ^ least(failures, 10), %(longest_rest_s)s) * interval '1 second' END
    FROM finished WHERE channel.id = finished.channel_id
        AND (%(has_failed)s OR (%(is_sent)s AND failures > 0))
"""
_SHOWN = """
    SELECT notice_id, channel_id, dispatch.kind, shown, dispatch.state, tries, next_at, why, sent_at,
        dispatch.created_at, event, notice.reader
    FROM dispatch JOIN channel ON channel.id = channel_id JOIN notice ON notice.id = notice_id
"""


async def list_unposted(
    connection: AsyncConnection, limit: int, *, swings: Collection[str], within_s: int, most_changes: int
) -> list[UnpostedRow]:
    """Up to `limit` notices without dispatches, locked by this transaction; a row for each channel.

    Of a notice whose event is among `swings`, the changes within the time before it are counted up to `most_changes`.
    """
    values = {"limit": limit, "swings": list(swings), "within_s": within_s, "most_changes": most_changes}
    async with connection.cursor(row_factory=class_row(UnpostedRow)) as cursor:
        await cursor.execute(_UNPOSTED, values)
        return await cursor.fetchall()


async def insert_dispatches(
    connection: AsyncConnection, notice_ids: Sequence[str], new: Sequence[NewDispatch], now: datetime
) -> None:
    """These notices have their dispatches; both commit together."""
    if new:
        values = {
            "notices": [one.notice_id for one in new],
            "channels": [one.channel_id for one in new],
            "kinds": [one.kind for one in new],
            "states": [one.state.value for one in new],
            "next": [one.next_at for one in new],
            "whys": [one.why for one in new],
            "now": now,
        }
        await connection.execute(_INSERT, values)
    await connection.execute("UPDATE notice SET posted_at = %s WHERE id = ANY(%s)", (now, list(notice_ids)))


async def drop_overtaken(
    connection: AsyncConnection,
    new: Sequence[NewDispatch],
    *,
    swings: Collection[str],
    within_s: int,
    why: str,
) -> None:
    """What waits of older changes is not told any more on the channels of these newer ones."""
    values = {
        "notices": [one.notice_id for one in new],
        "channels": [one.channel_id for one in new],
        "swings": list(swings),
        "within_s": within_s,
        "why": why,
    }
    await connection.execute(_OVERTAKE, values)


async def claim_due(
    connection: AsyncConnection,
    *,
    free: Mapping[str, int],
    under_way: Iterable[TakenRow],
    a_channel: int,
    a_reader: Mapping[str, int],
    now: datetime,
    soon: datetime,
    lease: datetime,
) -> list[TakenRow]:
    """Take dispatches that are due, until `lease`. `free`: how many of each kind.

    `under_way`: what leaves from this process, of at most `a_channel` for one channel, and for all channels of one kind
    of one reader at most `a_reader` of that kind; what has to wait for them waits until `soon`.
    """
    under_way = list(under_way)
    channels = Counter(taken.channel_id for taken in under_way)
    readers = Counter(f"{taken.kind} {taken.reader} {taken.reader_id}" for taken in under_way)
    values = {
        "kinds": list(free),
        "free": list(free.values()),
        "a_reader": [a_reader[kind] for kind in free],
        "busy": list(channels),
        "letters": list(channels.values()),
        "busy_readers": list(readers),
        "reader_letters": list(readers.values()),
        "a_channel": a_channel,
        "now": now,
        "soon": soon,
        "lease": lease,
    }
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_CLAIM.encode(), values)
        return [_taken(row) for row in await cursor.fetchall()]


def _taken(row: dict[str, Any]) -> TakenRow:
    now = {name: row.pop(f"now_{name}") for name in StopNow.__slots__}
    stop = None if now["state"] is None else StopNow(**{**now, "state": StopState(now["state"])})
    return TakenRow(**row, stop=stop)


async def finish_dispatch(
    connection: AsyncConnection,
    taken: TakenRow,
    *,
    state: DispatchState,
    now: datetime,
    next_at: datetime | None = None,
    why: str | None = None,
    has_failed: bool = False,
    was_tried: bool = True,
    rest_s: float = 0.0,
    longest_rest_s: float = 0.0,
) -> None:
    """How a try ended. `has_failed`: its channel could not be reached, and rests."""
    values = {
        "notice_id": taken.notice_id,
        "channel_id": taken.channel_id,
        "tries": taken.tries,
        "state": state.value,
        "next_at": next_at,
        "why": why,
        "sent_at": now if state is DispatchState.SENT else None,
        "given_back": 0 if was_tried else 1,
        "has_failed": has_failed,
        "is_sent": state is DispatchState.SENT,
        "rest_s": rest_s,
        "longest_rest_s": longest_rest_s,
        "now": now,
    }
    await connection.execute(_FINISH, values)


async def list_dispatches(connection: AsyncConnection, notice_ids: Sequence[str]) -> list[DispatchRow]:
    """How these notices fare on each of their channels."""
    async with connection.cursor(row_factory=class_row(DispatchRow)) as cursor:
        query = f"{_SHOWN} WHERE notice_id = ANY(%s) ORDER BY dispatch.created_at, channel_id LIMIT 5000"
        await cursor.execute(query.encode(), (list(notice_ids),))
        return await cursor.fetchall()


async def list_failed(
    connection: AsyncConnection, *, before: tuple[datetime, str], limit: int
) -> list[DispatchRow]:
    """What was given up, newest first, from the first one behind `before` (moment, and notice and channel)."""
    async with connection.cursor(row_factory=class_row(DispatchRow)) as cursor:
        query = (
            f"{_SHOWN} WHERE dispatch.state = 'failed' AND dispatch.created_at <= %s "
            "AND (dispatch.created_at, notice_id || ':' || channel_id) < (%s, %s) "
            "ORDER BY dispatch.created_at DESC, notice_id || ':' || channel_id DESC LIMIT %s"
        )
        await cursor.execute(query.encode(), (before[0], *before, limit))
        return await cursor.fetchall()


async def list_under_way(
    connection: AsyncConnection, *, after: tuple[datetime, str], limit: int
) -> list[DispatchRow]:
    """What waits or is being sent, what is due first first, from the first one behind `after`."""
    async with connection.cursor(row_factory=class_row(DispatchRow)) as cursor:
        query = (
            f"{_SHOWN} WHERE dispatch.state IN ('due', 'taken') "
            "AND (next_at, notice_id || ':' || channel_id) > (%s, %s) "
            "ORDER BY next_at, notice_id || ':' || channel_id LIMIT %s"
        )
        await cursor.execute(query.encode(), (*after, limit))
        return await cursor.fetchall()
