"""Cameras of homes, the recorders that hold them, and what is recorded of a visit.

What cameras and recorders tell of themselves is in real time: a lease of two seconds knows no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum, auto
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

MOST_CAMERAS = 8  # of one place
HEARD_FOR = timedelta(seconds=3)  # a camera whose last frame is older is not heard
LOST_AFTER = timedelta(
    seconds=4
)  # behind the end of the last lease: an alarm some 6 s after the last good part (S3)
AGAINST = ("frozen", "looping", "clock_wrong", "stalled")

# Behind "LEFT JOIN LATERAL": what is known of the cameras of a home that may be witnesses.
WITNESS = f"""
    SELECT count(*) > 0 AS is_enrolled, coalesce(bool_or(is_heard), false) AS is_heard,
        coalesce(bool_or(is_heard), false) AND NOT bool_or(is_heard AND NOT is_against) AS is_contradicted
    FROM (SELECT camera.state IN ('armed', 'recording')
                AND heard_at_real > %(real_now)s - interval '{HEARD_FOR.seconds} seconds' AS is_heard,
            coalesce(verdict IN {AGAINST}, false) AS is_against
        FROM camera WHERE camera.access_point_id = home.access_point_id AND removed_at IS NULL
            AND sees_door AND methods <> '{{}}' AND check_by > %(now)s) AS each_camera
"""


class RecordingState(StrEnum):
    """wanted -> recording -> ending -> kept | empty | failed | erased; failed -> erased"""

    WANTED = auto()
    RECORDING = auto()
    ENDING = auto()
    KEPT = auto()
    EMPTY = auto()  # not one frame came
    FAILED = auto()  # its takes can't be made a clip of: a person has to look
    ERASED = auto()  # before it was a clip


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraRow:
    """A camera of a home. `sealed` holds its address and secrets."""

    id: str
    access_point_id: str
    maker: str
    name: str
    sealed: bytes
    clock: Mapping[str, Any] | None
    methods: list[str]
    sees_door: bool
    enrolled_at: datetime | None
    check_by: datetime | None
    created_at: datetime
    removed_at: datetime | None
    wanted_until_real: datetime | None = None
    recorder_id: str | None = None
    state: str = "off"
    verdict: str | None = None
    code: str | None = None
    heard_at_real: datetime | None = None

    def is_witness(self, now: datetime) -> bool:
        """Whether its proof may open a door: enrolled, sees the door, and its monthly check is not overdue."""
        is_checked = self.check_by is not None and self.check_by > now
        return self.removed_at is None and self.sees_door and bool(self.methods) and is_checked


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A camera of a place and the recorder that holds it."""

    camera: CameraRow
    socket: str | None  # None: no living recorder holds it


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRow:
    """What one camera records of one visit."""

    id: str
    visit_id: str
    camera_id: str
    recorder_id: str | None
    state: RecordingState
    folder: str
    is_witness: bool
    proved_at_real: datetime | None
    lease_until_real: datetime | None
    lost_at_real: datetime | None
    is_told_lost: bool
    parts: int
    link: bytes | None
    begun_at: datetime
    ended_at: datetime | None
    tries: int
    again_at_real: datetime | None
    erased_at: datetime | None = None  # no clip is to be made of it any more
    erased_by: str | None = None


_CAMERA_NAMES = CameraRow.__slots__
_CAMERA_COLUMNS = ", ".join(f"camera.{name}" for name in _CAMERA_NAMES)
_RECORDING_NAMES = RecordingRow.__slots__
_RECORDING_COLUMNS = ", ".join(f"recording.{name}" for name in _RECORDING_NAMES)


def _camera(row: dict[str, Any]) -> CameraRow:
    return CameraRow(**{name: row[name] for name in _CAMERA_NAMES})


def _recording(row: dict[str, Any]) -> RecordingRow:
    values = {name: row[name] for name in _RECORDING_NAMES}
    return RecordingRow(**{**values, "state": RecordingState(row["state"])})


# ---- cameras of a place -----------------------------------------------------------------------------------


async def insert_camera(connection: AsyncConnection, row: CameraRow) -> None:
    """Link a camera."""
    names = _CAMERA_NAMES[: _CAMERA_NAMES.index("wanted_until_real")]
    values = {name: getattr(row, name) for name in names}
    values["clock"] = None if row.clock is None else Jsonb(row.clock)
    query = f"INSERT INTO camera ({', '.join(names)}) VALUES ({', '.join(f'%({name})s' for name in names)})"
    await connection.execute(query.encode(), values)


async def find_camera(connection: AsyncConnection, camera_id: str) -> CameraRow | None:
    """A camera that was not removed."""
    async with connection.cursor(row_factory=class_row(CameraRow)) as cursor:
        query = f"SELECT {_CAMERA_COLUMNS} FROM camera WHERE id = %s AND removed_at IS NULL"
        await cursor.execute(query.encode(), (camera_id,))
        return await cursor.fetchone()


async def list_cameras(connection: AsyncConnection, access_point_id: str) -> list[CameraRow]:
    """The cameras of a place, oldest first."""
    async with connection.cursor(row_factory=class_row(CameraRow)) as cursor:
        query = (
            f"SELECT {_CAMERA_COLUMNS} FROM camera WHERE access_point_id = %s AND removed_at IS NULL "
            "ORDER BY id LIMIT %s"
        )
        await cursor.execute(query.encode(), (access_point_id, MOST_CAMERAS))
        return await cursor.fetchall()


async def list_held(connection: AsyncConnection, access_point_id: str, real_now: datetime) -> list[Held]:
    """The cameras of a place, each with the socket of the living recorder that holds it."""
    query = (
        f"SELECT {_CAMERA_COLUMNS}, recorder.socket AS recorder_socket FROM camera "
        "LEFT JOIN recorder ON recorder.id = camera.recorder_id AND recorder.alive_until_real > %s "
        "WHERE access_point_id = %s AND removed_at IS NULL ORDER BY camera.id LIMIT %s"
    )
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query.encode(), (real_now, access_point_id, MOST_CAMERAS))
        return [Held(camera=_camera(row), socket=row["recorder_socket"]) for row in await cursor.fetchall()]


async def want(connection: AsyncConnection, access_point_id: str, until_real: datetime) -> None:
    """Connect the cameras of a place and keep them so until then. A recorder sees it within a quarter of a second."""
    await connection.execute(
        "UPDATE camera SET wanted_until_real = greatest(wanted_until_real, %s) "
        "WHERE access_point_id = %s AND removed_at IS NULL",
        (until_real, access_point_id),
    )


async def want_camera(connection: AsyncConnection, camera_id: str, until_real: datetime) -> None:
    """The same for one camera."""
    await connection.execute(
        "UPDATE camera SET wanted_until_real = greatest(wanted_until_real, %s) WHERE id = %s",
        (until_real, camera_id),
    )


async def let_be(connection: AsyncConnection, access_point_id: str, until_real: datetime) -> None:
    """The cameras of a place are wanted until then and no longer: nobody looks into a home for nothing."""
    await connection.execute(
        "UPDATE camera SET wanted_until_real = least(wanted_until_real, %s) WHERE access_point_id = %s",
        (until_real, access_point_id),
    )


async def set_enrolment(
    connection: AsyncConnection,
    camera_id: str,
    *,
    methods: Sequence[str],
    sees_door: bool,
    clock: Mapping[str, Any] | None,
    enrolled_at: datetime,
    check_by: datetime,
) -> None:
    """What enrolment, or its monthly check, has shown."""
    await connection.execute(
        "UPDATE camera SET methods = %s, sees_door = %s, clock = %s, enrolled_at = %s, check_by = %s, "
        "check_told = 'nothing' WHERE id = %s",
        (list(methods), sees_door, None if clock is None else Jsonb(clock), enrolled_at, check_by, camera_id),
    )


async def forget_enrolments(connection: AsyncConnection, access_point_id: str) -> None:
    """The door is another: no camera there was shown to see it. The place's row must be locked."""
    await connection.execute(
        "UPDATE camera SET methods = '{}', sees_door = false, enrolled_at = NULL, check_by = NULL "
        "WHERE access_point_id = %s AND removed_at IS NULL",
        (access_point_id,),
    )


async def remove_camera(connection: AsyncConnection, camera_id: str, now: datetime, sealed: bytes) -> None:
    """Un-link a camera: what opens it is overwritten (with `sealed`, which holds nothing)."""
    await connection.execute(
        "UPDATE camera SET removed_at = %s, sealed = %s, clock = NULL, wanted_until_real = NULL, recorder_id = NULL, "
        "state = 'off' WHERE id = %s AND removed_at IS NULL",
        (now, sealed, camera_id),
    )


async def list_sealed(connection: AsyncConnection, *, after: str, limit: int) -> list[tuple[str, bytes]]:
    """What opens each camera, removed ones too, from the first behind `after`."""
    cursor = await connection.execute(
        "SELECT id, sealed FROM camera WHERE id > %s ORDER BY 1 LIMIT %s", (after, limit)
    )
    return [(row[0], bytes(row[1])) for row in await cursor.fetchall()]


async def replace_sealed(connection: AsyncConnection, camera_id: str, *, was: bytes, sealed: bytes) -> None:
    """Seal a camera anew, unless somebody has changed it meanwhile."""
    await connection.execute(
        "UPDATE camera SET sealed = %s WHERE id = %s AND sealed = %s", (sealed, camera_id, was)
    )


# ---- recorders --------------------------------------------------------------------------------------------


async def save_recorder(
    connection: AsyncConnection, recorder_id: str, *, socket: str, room: int, alive_until_real: datetime
) -> None:
    """This recorder lives, until then."""
    await connection.execute(
        "INSERT INTO recorder (id, socket, room, alive_until_real) VALUES (%s, %s, %s, %s) ON CONFLICT (id) DO UPDATE "
        "SET socket = excluded.socket, room = excluded.room, alive_until_real = excluded.alive_until_real",
        (recorder_id, socket, room, alive_until_real),
    )


_CLAIM = f"""
    -- Cameras that are wanted, or record a visit, and are held by no living recorder, as many as there is room for.
    UPDATE camera SET recorder_id = %(recorder_id)s, state = 'connecting', verdict = NULL, code = NULL
    WHERE id IN (
        SELECT camera.id FROM camera LEFT JOIN recorder ON recorder.id = camera.recorder_id
        WHERE removed_at IS NULL
            AND (wanted_until_real > %(real_now)s OR EXISTS (SELECT FROM recording
                WHERE recording.camera_id = camera.id AND recording.state = 'recording'))
            AND (recorder.id IS NULL OR recorder.id = %(recorder_id)s OR recorder.alive_until_real < %(real_now)s)
            AND NOT camera.id = ANY(%(held)s)
        ORDER BY wanted_until_real DESC LIMIT %(room)s FOR NO KEY UPDATE OF camera SKIP LOCKED)
    RETURNING {_CAMERA_COLUMNS}
"""


async def claim_cameras(
    connection: AsyncConnection, recorder_id: str, *, held: Sequence[str], room: int, real_now: datetime
) -> list[CameraRow]:
    """Cameras that this recorder is to connect to now."""
    values = {"recorder_id": recorder_id, "held": list(held), "room": room, "real_now": real_now}
    async with connection.cursor(row_factory=class_row(CameraRow)) as cursor:
        await cursor.execute(_CLAIM.encode(), values)
        return await cursor.fetchall()


async def list_kept(
    connection: AsyncConnection, recorder_id: str, held: Sequence[str], real_now: datetime
) -> list[str]:
    """Which of the cameras that this recorder holds are its own and still wanted."""
    cursor = await connection.execute(
        "SELECT id FROM camera WHERE id = ANY(%s) AND recorder_id = %s AND removed_at IS NULL "
        "AND wanted_until_real > %s",
        (list(held), recorder_id, real_now),
    )
    return [row[0] for row in await cursor.fetchall()]


async def let_go(connection: AsyncConnection, recorder_id: str, camera_ids: Sequence[str]) -> None:
    """This recorder holds these cameras no more."""
    await connection.execute(
        "UPDATE camera SET recorder_id = NULL, state = 'off', verdict = NULL, code = NULL "
        "WHERE id = ANY(%s) AND recorder_id = %s",
        (list(camera_ids), recorder_id),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a recorder says of one camera."""

    camera_id: str
    state: str
    verdict: str | None
    code: str | None
    heard_at_real: datetime | None
    lease_until_real: datetime | None  # None: it holds none, and has held none since then at the latest


_SAY = """
    -- How the cameras of a recorder stand, twice a second. It waits neither for the disk nor for a row that another
    -- transaction has: it is said again, and would stand in the way of one that takes these rows in another order. A
    -- lease that has ended keeps its end, however often it is said: an alarm counts from there.
    WITH no_wait AS (SELECT set_config('synchronous_commit', 'off', true)), said AS (
        SELECT * FROM unnest(%(ids)s::text[], %(states)s::text[], %(verdicts)s::text[], %(codes)s::text[],
            %(heard)s::timestamptz[], %(leases)s::timestamptz[])
            AS said(id, state, verdict, code, heard_at_real, lease_until_real)
    ), free_recordings AS (
        SELECT id, camera_id FROM recording
        WHERE camera_id = ANY(%(ids)s) AND state = 'recording' AND recorder_id = %(recorder_id)s
        FOR NO KEY UPDATE SKIP LOCKED
    ), leases AS (
        UPDATE recording SET lease_until_real =
            coalesce(said.lease_until_real, least(recording.lease_until_real, %(asked_at)s))
        FROM said, free_recordings WHERE recording.id = free_recordings.id AND free_recordings.camera_id = said.id
    ), free_cameras AS (
        SELECT id FROM camera WHERE id = ANY(%(ids)s) AND recorder_id = %(recorder_id)s
        FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE camera SET state = said.state, verdict = said.verdict, code = said.code,
        heard_at_real = coalesce(said.heard_at_real, camera.heard_at_real)
    FROM said, free_cameras, no_wait WHERE camera.id = free_cameras.id AND camera.id = said.id
"""


async def say(
    connection: AsyncConnection, recorder_id: str, said: Sequence[Said], *, asked_at: datetime | None = None
) -> None:
    """Write down how these cameras stood when they were asked, and the leases of what they record."""
    values = {
        "asked_at": asked_at or datetime.now(UTC),
        "recorder_id": recorder_id,
        "ids": [one.camera_id for one in said],
        "states": [one.state for one in said],
        "verdicts": [one.verdict for one in said],
        "codes": [one.code for one in said],
        "heard": [one.heard_at_real for one in said],
        "leases": [one.lease_until_real for one in said],
    }
    await connection.execute(_SAY, values)


# ---- recordings -------------------------------------------------------------------------------------------


async def want_recording(
    connection: AsyncConnection,
    recording_id: str,
    *,
    visit_id: str,
    held: CameraRow,
    folder: str,
    now: datetime,
) -> RecordingRow:
    """Let a camera record a visit; the row that is there already, if it does."""
    query = f"""
        INSERT INTO recording (id, visit_id, camera_id, recorder_id, state, folder, begun_at)
        VALUES (%s, %s, %s, %s, 'wanted', %s, %s)
        -- One that is under way goes to another recorder only with its takes: see `adopt_recordings`.
        ON CONFLICT (visit_id, camera_id) DO UPDATE SET recorder_id =
            CASE recording.state WHEN 'wanted' THEN excluded.recorder_id ELSE recording.recorder_id END
        RETURNING {_RECORDING_COLUMNS}
    """
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query.encode(), (recording_id, visit_id, held.id, held.recorder_id, folder, now))
        row = await cursor.fetchone()
    assert row is not None
    return _recording(row)


async def set_recording(connection: AsyncConnection, recording_id: str) -> None:
    """It records now."""
    await connection.execute(
        "UPDATE recording SET state = 'recording' WHERE id = %s AND state = 'wanted'", (recording_id,)
    )


async def set_proved(
    connection: AsyncConnection, recording_id: str, *, proved_at_real: datetime, lease_until_real: datetime
) -> None:
    """Its proof may open the door from now on."""
    await connection.execute(
        "UPDATE recording SET is_witness = true, proved_at_real = %s, lease_until_real = %s WHERE id = %s",
        (proved_at_real, lease_until_real, recording_id),
    )


async def find_recording(connection: AsyncConnection, recording_id: str) -> RecordingRow | None:
    """One recording."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        query = f"SELECT {_RECORDING_COLUMNS} FROM recording WHERE id = %s"
        await cursor.execute(query.encode(), (recording_id,))
        row = await cursor.fetchone()
    return None if row is None else _recording(row)


async def list_recordings(connection: AsyncConnection, visit_id: str) -> list[RecordingRow]:
    """All that was recorded of a visit."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        query = f"SELECT {_RECORDING_COLUMNS} FROM recording WHERE visit_id = %s ORDER BY id LIMIT %s"
        await cursor.execute(query.encode(), (visit_id, MOST_CAMERAS))
        return [_recording(row) for row in await cursor.fetchall()]


async def end_recordings(connection: AsyncConnection, visit_id: str, now: datetime) -> None:
    """The visit is over: its recordings end, and become clips."""
    await connection.execute(
        "UPDATE recording SET state = 'ending', ended_at = %s WHERE visit_id = %s AND state IN ('wanted', 'recording')",
        (now, visit_id),
    )


async def list_under_way(connection: AsyncConnection, recorder_id: str) -> list[RecordingRow]:
    """What this recorder has begun and not finished, the oldest first."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        query = (
            f"SELECT {_RECORDING_COLUMNS} FROM recording WHERE recorder_id = %s "
            "AND state IN ('wanted', 'recording', 'ending') ORDER BY id LIMIT 500"
        )
        await cursor.execute(query.encode(), (recorder_id,))
        return [_recording(row) for row in await cursor.fetchall()]


async def note_link(connection: AsyncConnection, recording_id: str, *, parts: int, link: bytes) -> None:
    """So far its chain stands in the journal."""
    await connection.execute(
        "UPDATE recording SET parts = %s, link = %s WHERE id = %s AND parts < %s",
        (parts, link, recording_id, parts),
    )


async def end_recording(
    connection: AsyncConnection,
    recording_id: str,
    state: RecordingState,
    *,
    again_at_real: datetime | None = None,
) -> None:
    """It has become a clip, or can't; or it is tried again then."""
    await connection.execute(
        "UPDATE recording SET state = %s, tries = tries + 1, again_at_real = %s WHERE id = %s AND state = 'ending'",
        (state, again_at_real, recording_id),
    )


_LOST = """
    -- Visits whose every witness has let its lease run out some time ago, of which they were not told yet; and those
    -- that were told of a loss and have a witness again. The visit itself says whether it matters.
    SELECT visit_id, max(lease_until_real) < %(lost_before)s AS is_lost, bool_or(is_told_lost) AS is_told
    FROM recording WHERE state = 'recording' AND is_witness
    GROUP BY visit_id
    HAVING (max(lease_until_real) < %(lost_before)s) <> bool_or(is_told_lost)
    ORDER BY max(lease_until_real) LIMIT %(limit)s
"""


async def list_turned(connection: AsyncConnection, real_now: datetime, limit: int) -> list[tuple[str, bool]]:
    """Visits whose recording was lost, or is back: each with whether it is lost."""
    cursor = await connection.execute(_LOST, {"lost_before": real_now - LOST_AFTER, "limit": limit})
    return [(row[0], row[1]) for row in await cursor.fetchall()]


async def turn_lost(connection: AsyncConnection, visit_id: str, *, is_lost: bool, real_now: datetime) -> bool:
    """Note that a visit is being told of it, once; the visit must be locked. Whether it still is so."""
    cursor = await connection.execute(
        """
        UPDATE recording SET is_told_lost = %(is_lost)s,
            lost_at_real = CASE WHEN %(is_lost)s THEN lease_until_real ELSE NULL END
        WHERE visit_id = %(visit_id)s AND state = 'recording' AND is_witness AND is_told_lost <> %(is_lost)s
            AND (SELECT max(lease_until_real) < %(lost_before)s FROM recording every
                WHERE every.visit_id = %(visit_id)s AND every.state = 'recording' AND every.is_witness) = %(is_lost)s
        RETURNING 1
        """,
        {"visit_id": visit_id, "is_lost": is_lost, "lost_before": real_now - LOST_AFTER},
    )
    return await cursor.fetchone() is not None  # in a pipeline the count of rows is not known yet
