"""What pre-flight looks at and what it found; and what follows from it for a stop."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row

from unlatch.domain.access import Closure, Consent, PlaceKind, Position
from unlatch.domain.incident import Incident
from unlatch.domain.preflight import Picture, Preflight
from unlatch.domain.reading import Reading
from unlatch.store.consignees import AccessPointRow, VehicleRow
from unlatch.store.freezes import frozen_widely
from unlatch.store.readings import JOIN_ACCOUNT, PLACE_COLUMNS, Place, place_of, reading_of
from unlatch.store.stops import StopRow

LOCAL_STEP = timedelta(minutes=5)  # an hour that is allowed for less than this is of no use to a courier
_TABLES = (  # name here, name in the database, columns
    ("stop", "stop", StopRow.__slots__),
    ("point", "access_point", AccessPointRow.__slots__),
    ("vehicle", "vehicle", VehicleRow.__slots__),
)
_CASE = f"""
    -- All that pre-flight looks at.
    SELECT {", ".join(f"{table}.{name} AS {short}_{name}" for short, table, names in _TABLES for name in names)},
        reading.observed_at, reading.is_locked, reading.is_open, reading.is_moving, reading.latitude,
        reading.longitude, reading.accuracy_m, reading.is_bolted_inside, reading.is_alarm_armed,
        reading.is_pet_loose, reading.refused, reading.tried_at,
        stop.access_point_id, {PLACE_COLUMNS}, home.is_pet_loose AS is_pet_said_loose,
        (SELECT max(check_by) FROM camera WHERE camera.access_point_id = home.access_point_id
            AND removed_at IS NULL AND sees_door AND methods <> '{{}}') AS witness_until,
        {frozen_widely("NULL")} AS frozen_widely,
        EXISTS (SELECT 1 FROM visit WHERE visit.stop_id = stop.id AND visit.ended_at IS NULL) AS is_visited
    FROM stop
    JOIN access_point ON access_point.id = stop.access_point_id
    LEFT JOIN vehicle ON vehicle.access_point_id = stop.access_point_id
    {JOIN_ACCOUNT}
    LEFT JOIN reading ON reading.access_point_id = stop.access_point_id
    LEFT JOIN home ON home.access_point_id = stop.access_point_id
    WHERE stop.id = %(stop_id)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A stop with its place, its car and what is known of it."""

    stop: StopRow
    point: AccessPointRow
    vehicle: VehicleRow | None
    place: Place | None  # how to ask the car; None: there is none
    reading: Reading | None
    refused: Incident | None  # why the last try to read failed
    tried_at: datetime | None
    is_visited: bool  # a visit of this stop lives
    is_frozen_widely: bool  # its maker's cloud, its area or everything is
    # homes alone
    is_pet_loose: bool = False  # its household says so
    witness_until: datetime | None = None  # until when a camera may be a witness; None: there is none

    @property
    def kind(self) -> PlaceKind:
        return PlaceKind(self.point.kind)

    def is_witnessed(self, at: datetime) -> bool:
        """Whether a camera of this home may be a witness then."""
        return self.witness_until is not None and self.witness_until > at

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.point.time_zone)

    @property
    def address(self) -> Position:
        return Position(latitude=self.point.latitude, longitude=self.point.longitude)

    def situation(
        self,
        *,
        now: datetime,
        closure: Closure | None,
        obstacle: Incident | None,
        refused: Incident | None,
        is_looked_at: bool,
        picture: Picture | None = None,
    ) -> Preflight:
        """What pre-flight is asked about."""
        stop, point = self.stop, self.point
        comes_at = max(now, stop.expected_at or stop.window_from)
        return Preflight(
            now=now,
            comes_at=comes_at,
            local_times=_local_times(max(now, stop.window_from), stop.window_until, self.zone),
            consent=Consent(
                is_given=point.is_consent_given,
                blocked_at=point.blocked_at,
                ends_at=point.consent_ends_at,
                from_local=point.from_local,
                until_local=point.until_local,
            ),
            is_frozen=point.is_frozen,
            is_frozen_widely=self.is_frozen_widely,
            closure=closure,
            allows_unseen_lock=point.allows_unseen_lock,
            obstacle=obstacle,
            address=self.address,
            range_m=point.range_m,
            reading=self.reading,
            refused=refused,
            is_looked_at=is_looked_at,
            kind=self.kind,
            heard_at=self.tried_at if self.refused is None else None,
            is_pet_loose=self.is_pet_loose,
            is_camera_enrolled=self.is_witnessed(comes_at),
            picture=picture,
        )


def _local_times(begin: datetime, end: datetime, zone: ZoneInfo) -> tuple[time, ...]:
    steps = max(0, -(-(end - begin) // LOCAL_STEP))
    return tuple((begin + step * LOCAL_STEP).astimezone(zone).time() for step in range(steps))


async def find_case(connection: AsyncConnection, stop_id: str) -> Case | None:
    """A stop with all that pre-flight looks at; None: no such stop."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_CASE.encode(), {"stop_id": stop_id})
        row = await cursor.fetchone()
    if row is None:
        return None
    refused = row["refused"]
    return Case(
        stop=StopRow(**_cut(row, "stop", StopRow)),
        point=AccessPointRow(**_cut(row, "point", AccessPointRow)),
        vehicle=None if row["vehicle_maker"] is None else VehicleRow(**_cut(row, "vehicle", VehicleRow)),
        place=None if row["vehicle_maker"] is None else place_of(row),
        reading=reading_of(row),
        refused=Incident(refused) if refused else None,
        tried_at=row["tried_at"],
        is_visited=row["is_visited"],
        is_frozen_widely=row["frozen_widely"] is not None,
        is_pet_loose=bool(row["is_pet_said_loose"]),
        witness_until=row["witness_until"],
    )


def _cut(row: dict[str, Any], prefix: str, kind: Any) -> dict[str, Any]:
    return {name: row[f"{prefix}_{name}"] for name in kind.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightRow:
    """What one pre-flight found. `reasons` empty: all was well, as far as it `is_seen`."""

    stop_id: str
    plan_number: int
    kind: str
    at: datetime
    reasons: list[str]
    is_seen: bool
    parking: str
    distance_m: float | None
    observed_at: datetime | None
    is_alarming: bool  # the household was told that something stands in the way, and nothing better since
    rules_version: str
    access_point_id: str | None  # None: of one that an earlier release wrote


_NAMES = PreflightRow.__slots__
_COLUMNS = ", ".join(_NAMES)
_KEEP = f"""
    -- The latest of its kind.
    INSERT INTO preflight ({_COLUMNS}) VALUES ({", ".join(f"%({name})s" for name in _NAMES)})
    ON CONFLICT (stop_id, plan_number, kind) DO UPDATE SET
        {", ".join(f"{name} = excluded.{name}" for name in _NAMES[3:])}
"""
_FORGET = """
    -- The oldest findings, unless somebody has an open claim about their stop.
    DELETE FROM preflight WHERE (stop_id, plan_number, kind) IN (
        SELECT stop_id, plan_number, kind FROM preflight
        WHERE at < %(before)s
          AND NOT EXISTS (SELECT 1 FROM claim WHERE claim.stop_id = preflight.stop_id AND claim.ended_at IS NULL)
        ORDER BY at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
"""


async def keep(connection: AsyncConnection, row: PreflightRow) -> None:
    """Keep what was found."""
    await connection.execute(_KEEP.encode(), {name: getattr(row, name) for name in _NAMES})


async def find_latest(connection: AsyncConnection, stop_id: str, plan_number: int) -> PreflightRow | None:
    """What was found last for this plan of a stop."""
    query = (
        f"SELECT {_COLUMNS} FROM preflight WHERE stop_id = %s AND plan_number = %s ORDER BY at DESC LIMIT 1"
    )
    async with connection.cursor(row_factory=class_row(PreflightRow)) as cursor:
        await cursor.execute(query.encode(), (stop_id, plan_number))
        return await cursor.fetchone()


async def find_told(
    connection: AsyncConnection, stop_id: str, plan_number: int, access_point_id: str
) -> PreflightRow | None:
    """What was found last of this place for the stop, by whichever of its plans: the household remembers it."""
    query = (
        f"SELECT {_COLUMNS} FROM preflight WHERE stop_id = %s AND (access_point_id = %s "
        "OR (access_point_id IS NULL AND plan_number = %s)) ORDER BY plan_number DESC, at DESC LIMIT 1"
    )
    async with connection.cursor(row_factory=class_row(PreflightRow)) as cursor:
        await cursor.execute(query.encode(), (stop_id, access_point_id, plan_number))
        return await cursor.fetchone()


async def list_kinds(connection: AsyncConnection, stop_id: str, plan_number: int) -> list[PreflightRow]:
    """The latest finding of each kind, the oldest first."""
    query = f"SELECT {_COLUMNS} FROM preflight WHERE stop_id = %s AND plan_number = %s ORDER BY at"
    async with connection.cursor(row_factory=class_row(PreflightRow)) as cursor:
        await cursor.execute(query.encode(), (stop_id, plan_number))
        return await cursor.fetchall()


async def forget_old(connection: AsyncConnection, before: datetime, *, limit: int) -> int:
    """Delete what was found before then; how many findings."""
    cursor = await connection.execute(_FORGET, {"before": before, "limit": limit})
    return cursor.rowcount


# ---- what follows for the stop


async def set_ruling(
    connection: AsyncConnection, stop_id: str, ruled_out: Incident | None, now: datetime
) -> None:
    """Rule a stop's place out, or no longer. Place and stop must be locked."""
    await connection.execute(
        "UPDATE stop SET ruled_out = %s, ruled_out_at = %s WHERE id = %s",
        (ruled_out, None if ruled_out is None else now, stop_id),
    )


async def set_heading(
    connection: AsyncConnection, stop_id: str, now: datetime, expected_at: datetime | None
) -> None:
    """The courier has set out for it. Place and stop must be locked."""
    await connection.execute(
        "UPDATE stop SET heading_at = coalesce(heading_at, %s), expected_at = coalesce(%s, expected_at) WHERE id = %s",
        (now, expected_at, stop_id),
    )


async def set_arriving(connection: AsyncConnection, stop_id: str, plan_number: int, now: datetime) -> bool:
    """The courier of this plan is near; False: that was so before, or the plan has changed."""
    cursor = await connection.execute(
        "UPDATE stop SET arriving_at = %s WHERE id = %s AND plan_number = %s AND arriving_at IS NULL RETURNING id",
        (now, stop_id, plan_number),
    )
    return await cursor.fetchone() is not None


_RULED_OUT_AT_PLACE = """
    -- Open stops at a place that are ruled out, whose window is not over.
    SELECT id FROM stop WHERE access_point_id = %s AND state = 'open' AND ruled_out IS NOT NULL AND window_until > %s
    ORDER BY window_until LIMIT 100
"""


async def list_ruled_out(connection: AsyncConnection, access_point_id: str, now: datetime) -> list[str]:
    """The ids of a place's coming stops that are ruled out."""
    cursor = await connection.execute(_RULED_OUT_AT_PLACE, (access_point_id, now))
    return [row[0] for row in await cursor.fetchall()]
