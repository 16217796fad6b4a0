"""Enrolments of cameras: what is under way, step by step, and which monthly checks are due."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from unlatch.domain.camera_enrolment import EnrolmentEnd, EnrolmentStep, StepState


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentRow:
    """One enrolment. `picture` is sealed for its id."""

    id: str
    camera_id: str
    access_point_id: str
    begun_by: str
    begun_at: datetime
    until_real: datetime
    ended_at: datetime | None = None
    outcome: str | None = None
    picture: bytes | None = None
    shown_width: int | None = None
    shown_height: int | None = None
    full_width: int | None = None
    full_height: int | None = None
    clock: Mapping[str, Any] | None = None
    has_moved: bool = False

    def is_under_way(self, real_now: datetime) -> bool:
        """Whether its steps may still be done."""
        return self.ended_at is None and real_now < self.until_real


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """One step of an enrolment."""

    enrolment_id: str
    step: str
    state: str
    turn: int
    phase: str | None
    code: str | None
    mark: Mapping[str, float] | None
    shown: Mapping[str, Any] | None
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRow:
    """A camera whose monthly check is due soon, or is overdue."""

    camera_id: str
    access_point_id: str
    name: str
    check_by: datetime


_NAMES = EnrolmentRow.__slots__
_COLUMNS = ", ".join(_NAMES)
_STEP_COLUMNS = ", ".join(StepRow.__slots__)


async def insert_enrolment(
    connection: AsyncConnection, row: EnrolmentRow, states: Mapping[EnrolmentStep, StepState]
) -> None:
    """Begin one, with its steps."""
    names = ("id", "camera_id", "access_point_id", "begun_by", "begun_at", "until_real", "clock")
    values = {name: getattr(row, name) for name in names}
    values["clock"] = None if row.clock is None else Jsonb(dict(row.clock))
    query = (
        f"INSERT INTO enrolment ({', '.join(names)}) VALUES ({', '.join(f'%({name})s' for name in names)})"
    )
    await connection.execute(query.encode(), values)
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO enrolment_step (enrolment_id, step, state, changed_at) VALUES (%s, %s, %s, %s)",
            [(row.id, step.value, state.value, row.begun_at) for step, state in states.items()],
        )


async def find_enrolment(
    connection: AsyncConnection, enrolment_id: str, *, is_locked: bool = False
) -> EnrolmentRow | None:
    """One enrolment."""
    query = f"SELECT {_COLUMNS} FROM enrolment WHERE id = %s" + (" FOR NO KEY UPDATE" if is_locked else "")
    async with connection.cursor(row_factory=class_row(EnrolmentRow)) as cursor:
        await cursor.execute(query.encode(), (enrolment_id,))
        return await cursor.fetchone()


async def find_latest(
    connection: AsyncConnection, camera_id: str, *, is_locked: bool = False
) -> EnrolmentRow | None:
    """The latest enrolment of a camera."""
    query = f"SELECT {_COLUMNS} FROM enrolment WHERE camera_id = %s ORDER BY begun_at DESC, id DESC LIMIT 1"
    async with connection.cursor(row_factory=class_row(EnrolmentRow)) as cursor:
        await cursor.execute((query + (" FOR NO KEY UPDATE" if is_locked else "")).encode(), (camera_id,))
        return await cursor.fetchone()


async def list_steps(connection: AsyncConnection, enrolment_id: str) -> dict[EnrolmentStep, StepRow]:
    """The steps of an enrolment."""
    async with connection.cursor(row_factory=class_row(StepRow)) as cursor:
        query = f"SELECT {_STEP_COLUMNS} FROM enrolment_step WHERE enrolment_id = %s"
        await cursor.execute(query.encode(), (enrolment_id,))
        found = {EnrolmentStep(row.step): row for row in await cursor.fetchall()}
    return {step: found[step] for step in EnrolmentStep if step in found}


async def count_begun(connection: AsyncConnection, access_point_id: str, after: datetime) -> int:
    """How many were begun at a place since then."""
    cursor = await connection.execute(
        "SELECT count(*) FROM enrolment WHERE access_point_id = %s AND begun_at > %s",
        (access_point_id, after),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def begin_step(
    connection: AsyncConnection,
    enrolment_id: str,
    step: EnrolmentStep,
    now: datetime,
    mark: Mapping[str, float] | None = None,
) -> int:
    """The next turn of a step is under way; its number. The enrolment must be locked."""
    cursor = await connection.execute(
        "UPDATE enrolment_step SET state = 'under_way', turn = turn + 1, phase = NULL, code = NULL, shown = NULL, "
        "mark = %s, changed_at = %s WHERE enrolment_id = %s AND step = %s RETURNING turn",
        (None if mark is None else Jsonb(dict(mark)), now, enrolment_id, step.value),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def set_phase(
    connection: AsyncConnection, enrolment_id: str, step: EnrolmentStep, turn: int, phase: str
) -> bool:
    """What is to be done now; False where another turn is under way, or none."""
    cursor = await connection.execute(
        "UPDATE enrolment_step SET phase = %s WHERE enrolment_id = %s AND step = %s AND turn = %s "
        "AND state = 'under_way'",
        (phase, enrolment_id, step.value, turn),
    )
    return cursor.rowcount > 0


async def end_step(
    connection: AsyncConnection,
    enrolment_id: str,
    step: EnrolmentStep,
    state: StepState,
    now: datetime,
    *,
    code: str | None = None,
    shown: Mapping[str, Any] | None = None,
) -> None:
    """How a step has ended. The enrolment must be locked."""
    await connection.execute(
        "UPDATE enrolment_step SET state = %s, phase = NULL, code = %s, shown = %s, changed_at = %s "
        "WHERE enrolment_id = %s AND step = %s",
        (state.value, code, None if shown is None else Jsonb(dict(shown)), now, enrolment_id, step.value),
    )


async def keep_picture(
    connection: AsyncConnection,
    enrolment_id: str,
    *,
    picture: bytes,
    shown: tuple[int, int],
    full: tuple[int, int],
    has_moved: bool,
) -> None:
    """The picture on which the clock is marked; `shown` and `full`: widths and heights."""
    await connection.execute(
        "UPDATE enrolment SET picture = %s, shown_width = %s, shown_height = %s, full_width = %s, full_height = %s, "
        "has_moved = %s WHERE id = %s AND ended_at IS NULL",
        (picture, *shown, *full, has_moved, enrolment_id),
    )


async def keep_clock(connection: AsyncConnection, enrolment_id: str, clock: Mapping[str, Any]) -> None:
    """What was learnt of its clock."""
    await connection.execute(
        "UPDATE enrolment SET clock = %s WHERE id = %s", (Jsonb(dict(clock)), enrolment_id)
    )


async def end_enrolment(
    connection: AsyncConnection, enrolment_id: str, outcome: EnrolmentEnd, now: datetime
) -> None:
    """It is over, and its picture is gone."""
    await connection.execute(
        "UPDATE enrolment SET ended_at = %s, outcome = %s, picture = NULL WHERE id = %s AND ended_at IS NULL",
        (now, outcome.value, enrolment_id),
    )


_END_EXPIRED = """
    -- Those whose time is over, and their pictures.
    UPDATE enrolment SET ended_at = %(now)s, outcome = 'expired', picture = NULL WHERE id IN (
        SELECT id FROM enrolment WHERE ended_at IS NULL AND until_real < %(real_now)s
        ORDER BY until_real LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED)
"""


async def end_expired(connection: AsyncConnection, now: datetime, real_now: datetime, limit: int) -> int:
    """End those whose time is over; how many there were."""
    values = {"now": now, "real_now": real_now, "limit": limit}
    return (await connection.execute(_END_EXPIRED, values)).rowcount


async def forget_ended(connection: AsyncConnection, before: datetime, limit: int) -> int:
    """Delete those that ended before then; how many there were."""
    cursor = await connection.execute(
        "DELETE FROM enrolment WHERE id IN (SELECT id FROM enrolment WHERE ended_at < %s ORDER BY ended_at LIMIT %s)",
        (before, limit),
    )
    return cursor.rowcount


# ---- the monthly check ------------------------------------------------------------------------------------

_TURN_CHECKS = """
    -- Cameras whose check is due within a week (told once), and those whose check is overdue (told once).
    UPDATE camera SET check_told = %(told)s WHERE id IN (
        SELECT id FROM camera WHERE removed_at IS NULL AND check_by < %(before)s AND check_told = ANY(%(untold)s)
            AND check_told <> 'over'
        ORDER BY check_by LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED)
    RETURNING id AS camera_id, access_point_id, name, check_by
"""


async def take_checks_due(
    connection: AsyncConnection, before: datetime, *, is_over: bool, limit: int
) -> list[CheckRow]:
    """Cameras to be checked before then, of which nobody was told yet; they count as told with this transaction."""
    values = {
        "told": "over" if is_over else "due",
        "untold": ["nothing", "due"] if is_over else ["nothing"],
        "before": before,
        "limit": limit,
    }
    async with connection.cursor(row_factory=class_row(CheckRow)) as cursor:
        await cursor.execute(_TURN_CHECKS, values)
        return await cursor.fetchall()
