"""What the operator's console shows at a glance: visits under way, calls, ends of commands. Each query is bounded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import class_row

_UNDER_WAY = """
    -- Visits that live, and closures that are still watched; the newest first.
    SELECT visit.id, visit.state, visit.tail, visit.incident, visit.begun_at, visit.ended_at, visit.deadline_at,
        visit.secure_by, visit.access_point_id, access_point.kind, access_point.is_frozen,
        courier.first_name AS courier, carrier.name AS carrier, vehicle.maker
    FROM visit
    JOIN access_point ON access_point.id = visit.access_point_id
    JOIN courier ON courier.id = visit.courier_id
    JOIN carrier ON carrier.id = visit.carrier_id
    LEFT JOIN vehicle ON vehicle.access_point_id = visit.access_point_id
    WHERE visit.ended_at IS NULL OR visit.tail IN ('watching', 'alarm', 'blind')
    ORDER BY visit.begun_at DESC, visit.id LIMIT %s
"""
_CALLS = """
    -- Open calls, the most urgent first: what may stand open, then what someone waits for, each by its deadline.
    SELECT call.id, call.visit_id, call.incident, call.opened_at, call.times, visit.state, visit.tail, visit.secure_by,
        visit.access_point_id, access_point.kind, courier.first_name AS courier, carrier.name AS carrier,
        (visit.state = 'unsecured' OR visit.tail IN ('alarm', 'blind')) AS is_open_perhaps,
        visit.state IN ('unsecured', 'review') OR visit.tail IN ('alarm', 'blind') AS is_unsettled
    FROM call
    JOIN visit ON visit.id = call.visit_id
    JOIN access_point ON access_point.id = visit.access_point_id
    JOIN courier ON courier.id = visit.courier_id
    JOIN carrier ON carrier.id = visit.carrier_id
    WHERE call.kind = 'operator' AND call.closed_at IS NULL
    ORDER BY is_open_perhaps DESC, is_unsettled DESC, visit.secure_by NULLS LAST, call.opened_at, call.id LIMIT %s
"""
_CLOUDS = """
    -- How each maker's cloud took our commands since then: what came of them, and how long a word took.
    SELECT vehicle.maker, command.verb, count(*) AS all_of_them,
        count(*) FILTER (WHERE command.state = 'done_says_cloud') AS done,
        count(*) FILTER (WHERE command.state = 'rejected') AS rejected,
        count(*) FILTER (WHERE command.state = 'not_sent') AS not_sent,
        count(*) FILTER (WHERE command.state = 'unknown') AS unknown,
        count(*) FILTER (WHERE command.ended_at IS NULL) AS under_way,
        extract(epoch FROM percentile_cont(0.5) WITHIN GROUP (ORDER BY command.ended_at - command.sent_at)) AS p50_s,
        extract(epoch FROM percentile_cont(0.9) WITHIN GROUP (ORDER BY command.ended_at - command.sent_at)) AS p90_s
    FROM (SELECT * FROM command WHERE created_at > %s ORDER BY created_at DESC LIMIT %s) AS command
    JOIN visit ON visit.id = command.visit_id
    JOIN vehicle ON vehicle.access_point_id = visit.access_point_id
    GROUP BY vehicle.maker, command.verb ORDER BY vehicle.maker, command.verb
"""
_COMMANDS = """
    SELECT id, verb, state, created_at, sent_at, ended_at FROM command
    WHERE visit_id = %s ORDER BY created_at, id LIMIT %s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderWay:
    """A visit that lives, or whose closure is still watched."""

    id: str
    state: str
    tail: str
    incident: str | None
    begun_at: datetime
    ended_at: datetime | None
    deadline_at: datetime | None
    secure_by: datetime | None
    access_point_id: str
    kind: str
    is_frozen: bool
    courier: str
    carrier: str
    maker: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """An open call. `is_unsettled`: it can't be closed before the closure is seen locked, or a ruling is given."""

    id: str
    visit_id: str
    incident: str
    opened_at: datetime
    times: int
    state: str
    tail: str
    secure_by: datetime | None
    access_point_id: str
    kind: str
    courier: str
    carrier: str
    is_open_perhaps: bool
    is_unsettled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudSeen:
    """How one maker's cloud took one kind of command. Spans in seconds, from leaving to the word that ended it."""

    maker: str
    verb: str
    all_of_them: int
    done: int
    rejected: int
    not_sent: int
    unknown: int
    under_way: int
    p50_s: float | None
    p90_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSeen:
    """One command of a visit."""

    id: str
    verb: str
    state: str
    created_at: datetime
    sent_at: datetime | None
    ended_at: datetime | None


async def list_under_way(connection: AsyncConnection, *, limit: int) -> list[UnderWay]:
    """What is under way now, the newest first."""
    async with connection.cursor(row_factory=class_row(UnderWay)) as cursor:
        await cursor.execute(_UNDER_WAY, (limit,))
        return await cursor.fetchall()


async def list_called(connection: AsyncConnection, *, limit: int) -> list[Called]:
    """Who is to be looked after, the most urgent first."""
    async with connection.cursor(row_factory=class_row(Called)) as cursor:
        await cursor.execute(_CALLS, (limit,))
        return await cursor.fetchall()


async def list_clouds(connection: AsyncConnection, since: datetime, *, limit: int) -> list[CloudSeen]:
    """How the makers' clouds answered since then; of the newest `limit` commands."""
    async with connection.cursor(row_factory=class_row(CloudSeen)) as cursor:
        await cursor.execute(_CLOUDS, (since, limit))
        return await cursor.fetchall()


async def list_commands_of_visit(
    connection: AsyncConnection, visit_id: str, *, limit: int
) -> list[CommandSeen]:
    """The commands of one visit, the oldest first."""
    async with connection.cursor(row_factory=class_row(CommandSeen)) as cursor:
        await cursor.execute(_COMMANDS, (visit_id, limit))
        return await cursor.fetchall()
