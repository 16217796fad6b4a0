"""What the operator's console shows at a glance: visits under way, calls, ends of commands. Each query is bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import class_row

from unlatch.store.couriers import DeviceRow
from unlatch.store.ids import make_id

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
        (visit.state IN ('unsecured', 'review') OR (visit.state = 'handle_check' AND visit.is_called)
            OR visit.tail IN ('alarm', 'blind')) AS is_unsettled
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

_COURIERS = """
    SELECT courier.id, courier.first_name, courier.is_active, courier.created_at, courier.carrier_id,
        carrier.name AS carrier,
        (SELECT visit.id FROM visit WHERE visit.courier_id = courier.id AND visit.ended_at IS NULL) AS live_visit,
        (SELECT freeze_.id FROM freeze_
         WHERE scope = 'courier' AND subject = courier.id AND thawed_at IS NULL) AS freeze
    FROM courier JOIN carrier ON carrier.id = courier.carrier_id
    WHERE {which} AND (courier.created_at, courier.id) < (%(before)s, %(before_id)s)
    ORDER BY courier.created_at DESC, courier.id DESC LIMIT %(limit)s
"""
# By what couriers are looked up: each has an index of its own.
_WHICH_COURIERS = {
    "id": "courier.id = %(of)s",
    "carrier": "courier.carrier_id = %(of)s",
    "name": "lower(courier.first_name) = lower(%(of)s)",
    "all": "%(of)s = ''",
}
_DEVICES = """
    -- The newest phones of each courier.
    SELECT device.id, device.courier_id, device.created_at, device.enrolled_at, device.revoked_at
    FROM unnest(%(couriers)s::text[]) AS courier_id CROSS JOIN LATERAL (
        SELECT * FROM device WHERE device.courier_id = courier_id.courier_id ORDER BY created_at DESC LIMIT %(limit)s
    ) AS device ORDER BY device.created_at DESC
"""

_BY_PERSON = """
    -- What one person did: deeds, looks, visits, rulings, closed calls and freezes, the newest first; each part bounded
    -- by itself. A call to the desk alone: those to a household are closed by the protocol.
    SELECT * FROM (
        (SELECT 'deed' AS kind, at, what, access_point_id AS place, body ->> 'visit' AS visit FROM deed
         WHERE who = %(who)s AND at >= %(since)s AND at < %(before)s ORDER BY at DESC LIMIT %(limit)s)
        UNION ALL
        (SELECT 'look', at, what, access_point_id, NULL FROM look
         WHERE who = %(who)s AND at >= %(since)s AND at < %(before)s ORDER BY at DESC LIMIT %(limit)s)
        UNION ALL
        (SELECT 'visit', begun_at, state, access_point_id, id FROM visit
         WHERE courier_id = %(courier)s AND begun_at >= %(since)s AND begun_at < %(before)s
         ORDER BY begun_at DESC LIMIT %(limit)s)
        UNION ALL
        (SELECT 'ruling', journal.at, journal.name, visit.access_point_id, visit.id
         FROM journal JOIN visit ON visit.id = journal.visit_id
         WHERE journal.who = %(who)s AND journal.name IN ('ruled_delivered', 'ruled_undelivered')
             AND journal.at >= %(since)s AND journal.at < %(before)s ORDER BY journal.at DESC LIMIT %(limit)s)
        UNION ALL
        (SELECT 'call', call.closed_at, call.incident, visit.access_point_id, visit.id
         FROM call JOIN visit ON visit.id = call.visit_id
         WHERE call.closed_by = %(who)s AND call.kind = 'operator' AND call.closed_at >= %(since)s
             AND call.closed_at < %(before)s ORDER BY call.closed_at DESC LIMIT %(limit)s)
        UNION ALL
        (SELECT 'frozen', frozen_at, scope || ' ' || subject || ': ' || why, NULL, NULL FROM freeze_
         WHERE frozen_by = %(who)s AND frozen_at >= %(since)s AND frozen_at < %(before)s
         ORDER BY frozen_at DESC LIMIT %(limit)s)
        UNION ALL
        (SELECT 'thawed', thawed_at, scope || ' ' || subject, NULL, NULL FROM freeze_
         WHERE thawed_by = %(who)s AND thawed_at >= %(since)s AND thawed_at < %(before)s
         ORDER BY thawed_at DESC LIMIT %(limit)s)
    ) AS done ORDER BY at DESC LIMIT %(limit)s
"""

_POINTS = """
    -- Where visits under way are: the address, and the car as it was last read. Positions: each look at them is a row.
    SELECT visit.id, visit.access_point_id, visit.stop_id, visit.state, visit.tail, access_point.kind,
        access_point.latitude, access_point.longitude, access_point.range_m, reading.latitude AS car_latitude,
        reading.longitude AS car_longitude, reading.accuracy_m AS car_accuracy_m, reading.observed_at,
        courier.first_name AS courier,
        (visit.state IN ('unsecured', 'review') OR visit.tail IN ('alarm', 'blind')) AS is_called
    FROM visit
    JOIN access_point ON access_point.id = visit.access_point_id
    JOIN courier ON courier.id = visit.courier_id
    LEFT JOIN reading ON reading.access_point_id = visit.access_point_id
    WHERE (visit.ended_at IS NULL OR visit.tail IN ('watching', 'alarm', 'blind'))
        AND (%(visit_id)s = '' OR visit.id = %(visit_id)s)
    ORDER BY visit.begun_at DESC, visit.id LIMIT %(limit)s
"""
_NOTE_LOOKS = """
    -- One look for each place that this person has not looked at within the last while.
    INSERT INTO look (id, access_point_id, stop_id, who, what, at)
    SELECT seen.id, seen.place, seen.stop, %(who)s, 'map', %(now)s
    FROM unnest(%(ids)s::text[], %(places)s::text[], %(stops)s::text[]) AS seen (id, place, stop)
    WHERE NOT EXISTS (SELECT 1 FROM look WHERE look.who = %(who)s AND look.at > %(since)s
        AND look.access_point_id = seen.place AND look.what = 'map')
"""
_HOURS = """
    -- How each maker's cloud answered, hour by hour. Spans in seconds.
    SELECT vehicle.maker, date_trunc('hour', command.created_at) AS hour, count(*) AS all_of_them,
        count(*) FILTER (WHERE command.state = 'done_says_cloud') AS done,
        count(*) FILTER (WHERE command.state = 'unknown') AS unknown,
        extract(epoch FROM percentile_cont(0.5) WITHIN GROUP (ORDER BY command.ended_at - command.sent_at)) AS p50_s,
        extract(epoch FROM percentile_cont(0.9) WITHIN GROUP (ORDER BY command.ended_at - command.sent_at)) AS p90_s
    FROM (SELECT * FROM command WHERE created_at > %s ORDER BY created_at DESC LIMIT %s) AS command
    JOIN visit ON visit.id = command.visit_id
    JOIN vehicle ON vehicle.access_point_id = visit.access_point_id
    GROUP BY vehicle.maker, hour ORDER BY vehicle.maker, hour
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Where one visit under way is. Degrees, metres. The car's own position is None where it was never told."""

    id: str
    access_point_id: str
    stop_id: str
    state: str
    tail: str
    kind: str
    latitude: float
    longitude: float
    range_m: float
    car_latitude: float | None
    car_longitude: float | None
    car_accuracy_m: float | None
    observed_at: datetime | None
    courier: str
    is_called: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudHour:
    """One hour of one maker's cloud."""

    maker: str
    hour: datetime
    all_of_them: int
    done: int
    unknown: int
    p50_s: float | None
    p90_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """One thing that a person did. `kind`: deed | look | visit | ruling | call | frozen | thawed."""

    kind: str
    at: datetime
    what: str
    place: str | None
    visit: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CourierSeen:
    """A courier as the desk sees them. `freeze`: the freeze that is in force for them."""

    id: str
    first_name: str
    is_active: bool
    created_at: datetime
    carrier_id: str
    carrier: str
    live_visit: str | None
    freeze: str | None


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


async def list_couriers(
    connection: AsyncConnection, of: str, *, before: tuple[datetime, str], limit: int
) -> list[CourierSeen]:
    """Couriers, the newest first. `of`: an id, a carrier's id or a first name; empty: all."""
    by = (
        "all" if not of else "id" if of.startswith("cou_") else "carrier" if of.startswith("car_") else "name"
    )
    values = {"of": of, "before": before[0], "before_id": before[1], "limit": limit}
    async with connection.cursor(row_factory=class_row(CourierSeen)) as cursor:
        await cursor.execute(_COURIERS.format(which=_WHICH_COURIERS[by]).encode(), values)
        return await cursor.fetchall()


async def list_done_by(
    connection: AsyncConnection, who: str, *, since: datetime, before: datetime, limit: int
) -> list[Done]:
    """What a person ("courier:cou_1", "operator:ope_1", "consignee:con_1") did, newest first."""
    part, _, person_id = who.partition(":")
    values = {"who": who, "courier": person_id if part == "courier" else "", "since": since, "before": before}
    async with connection.cursor(row_factory=class_row(Done)) as cursor:
        await cursor.execute(_BY_PERSON, {**values, "limit": limit})
        return await cursor.fetchall()


async def list_devices(
    connection: AsyncConnection, courier_ids: Sequence[str], *, limit: int
) -> dict[str, list[DeviceRow]]:
    """The phones of these couriers, so many of each, the newest first."""
    found: dict[str, list[DeviceRow]] = {}
    async with connection.cursor(row_factory=class_row(DeviceRow)) as cursor:
        await cursor.execute(_DEVICES, {"couriers": list(courier_ids), "limit": limit})
        for row in await cursor.fetchall():
            found.setdefault(row.courier_id, []).append(row)
    return found


async def show_points(
    connection: AsyncConnection, who: str, visit_id: str, *, now: datetime, since: datetime, limit: int
) -> list[Point]:
    """Where what is under way is (or the one visit), with this person's looks written down in the same transaction."""
    async with connection.cursor(row_factory=class_row(Point)) as cursor:
        await cursor.execute(_POINTS, {"visit_id": visit_id, "limit": limit})
        points = await cursor.fetchall()
    by_place = {one.access_point_id: one for one in points}
    await connection.execute(
        _NOTE_LOOKS,
        {
            "ids": [make_id("loo") for _ in by_place],
            "places": list(by_place),
            "stops": [one.stop_id for one in by_place.values()],
            "who": who,
            "now": now,
            "since": since,
        },
    )
    return points


async def list_cloud_hours(connection: AsyncConnection, since: datetime, *, limit: int) -> list[CloudHour]:
    """Hour by hour since then, of at most so many of the newest commands."""
    async with connection.cursor(row_factory=class_row(CloudHour)) as cursor:
        await cursor.execute(_HOURS, (since, limit))
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
