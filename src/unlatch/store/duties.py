"""Duties: what is due for a stop at a moment, as rows that any worker takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, auto

from psycopg import AsyncConnection
from psycopg.rows import class_row


class DutyKind(StrEnum):
    """What is to be done. Which of them may be late, and how late, stands in `flow/duties.py`."""

    MORNING_NOTICE = auto()
    PREFLIGHT_1 = auto()  # the consignee has time to mend what it finds
    PREFLIGHT_2 = auto()  # the last one: it rules the place out
    HEADING = auto()  # the courier sets out, and the last finding is old
    RECHECK = auto()  # something that had ruled the place out may be over
    WINDOW_OVER = auto()


class DutyState(StrEnum):
    DUE = auto()
    TAKEN = auto()  # a job looks at the car
    DONE = auto()
    DROPPED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyRow:
    """One duty."""

    stop_id: str
    plan_number: int
    kind: DutyKind
    due_at: datetime
    drop_at: datetime | None
    next_at: datetime
    state: DutyState = DutyState.DUE
    tries: int = 0
    outcome: str | None = None
    ended_at: datetime | None = None

    @property
    def text(self) -> str:
        """As the payload of a job."""
        return f"{self.stop_id} {self.plan_number} {self.kind}"


_COLUMNS = ", ".join(DutyRow.__slots__)
_KEY = "stop_id = %(stop_id)s AND plan_number = %(plan_number)s AND kind = %(kind)s"
_PLAN = """
    -- Planned once a plan, however often it is planned.
    INSERT INTO duty (stop_id, plan_number, kind, due_at, drop_at, next_at)
    VALUES (%(stop_id)s, %(plan_number)s, %(kind)s, %(due_at)s, %(drop_at)s, %(next_at)s)
    ON CONFLICT (stop_id, plan_number, kind) DO NOTHING
"""
_ASK_AGAIN = """
    -- Due now, for the first time or once more. One that is waiting or under way already will do.
    INSERT INTO duty AS kept (stop_id, plan_number, kind, due_at, drop_at, next_at)
    VALUES (%(stop_id)s, %(plan_number)s, %(kind)s, %(due_at)s, %(drop_at)s, %(next_at)s)
    ON CONFLICT (stop_id, plan_number, kind) DO UPDATE SET due_at = excluded.due_at, drop_at = excluded.drop_at,
        next_at = excluded.next_at, state = 'due', tries = 0, outcome = NULL, ended_at = NULL
    WHERE kept.state IN ('done', 'dropped')
"""
_DROP_LATE = """
    -- Too late for these.
    UPDATE duty SET state = 'dropped', outcome = 'too_late', ended_at = %(now)s
    WHERE (stop_id, plan_number, kind) IN (
        SELECT stop_id, plan_number, kind FROM duty
        WHERE state IN ('due', 'taken') AND next_at <= %(now)s AND drop_at <= %(now)s
        ORDER BY next_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED)
    RETURNING 1
"""
_TAKE = f"""
    -- The longest overdue first. Taking one moves it on: if its worker dies, another takes it again.
    WITH mine AS MATERIALIZED (
        SELECT stop_id, plan_number, kind FROM duty
        WHERE state IN ('due', 'taken') AND next_at <= %(now)s AND kind = ANY(%(kinds)s)
        ORDER BY next_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE duty SET state = 'taken', next_at = %(again_at)s
    FROM mine WHERE duty.stop_id = mine.stop_id AND duty.plan_number = mine.plan_number AND duty.kind = mine.kind
    RETURNING {", ".join("duty." + name for name in DutyRow.__slots__)}
"""
_LOCK_NEXT = f"""
    SELECT {_COLUMNS} FROM duty
    WHERE state IN ('due', 'taken') AND next_at <= %(now)s AND kind = ANY(%(kinds)s)
    ORDER BY next_at LIMIT 1 OFFSET %(passing_over)s FOR NO KEY UPDATE SKIP LOCKED
"""
_END = f"""
    UPDATE duty SET state = %(state)s, outcome = %(outcome)s, ended_at = %(now)s
    WHERE {_KEY} AND state IN ('due', 'taken')
"""
_POSTPONE = f"""
    UPDATE duty SET state = 'due', next_at = %(next_at)s, tries = tries + %(tries)s
    WHERE {_KEY} AND state IN ('due', 'taken')
"""
_FORGET = """
    -- The oldest that have ended, unless somebody has an open claim about their stop.
    DELETE FROM duty WHERE (stop_id, plan_number, kind) IN (
        SELECT stop_id, plan_number, kind FROM duty
        WHERE ended_at < %(before)s
          AND NOT EXISTS (SELECT 1 FROM claim WHERE claim.stop_id = duty.stop_id AND claim.ended_at IS NULL)
        ORDER BY ended_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
"""


def _key(duty: DutyRow) -> dict[str, object]:
    return {"stop_id": duty.stop_id, "plan_number": duty.plan_number, "kind": duty.kind}


async def plan(connection: AsyncConnection, rows: Sequence[DutyRow]) -> None:
    """Write down what is due for one plan of a stop. The same again changes nothing."""
    async with connection.cursor() as cursor:
        await cursor.executemany(_PLAN, [_values(row) for row in rows])


async def ask_again(connection: AsyncConnection, row: DutyRow) -> None:
    """Have it done now, once more if it was done before."""
    await connection.execute(_ASK_AGAIN, _values(row))


def _values(row: DutyRow) -> dict[str, object]:
    return {**_key(row), "due_at": row.due_at, "drop_at": row.drop_at, "next_at": row.next_at}


async def drop_late(connection: AsyncConnection, now: datetime, *, limit: int) -> int:
    """Drop what nobody has taken in time; how many there were."""
    cursor = await connection.execute(_DROP_LATE, {"now": now, "limit": limit})
    return len(await cursor.fetchall())


async def take_due(
    connection: AsyncConnection, now: datetime, *, kinds: Sequence[DutyKind], again_at: datetime, limit: int
) -> list[DutyRow]:
    """Take up to `limit` duties for jobs of their own."""
    values = {"now": now, "kinds": [str(kind) for kind in kinds], "again_at": again_at, "limit": limit}
    async with connection.cursor(row_factory=class_row(DutyRow)) as cursor:
        await cursor.execute(_TAKE.encode(), values)
        return await cursor.fetchall()


async def lock_next(
    connection: AsyncConnection, now: datetime, *, kinds: Sequence[DutyKind], passing_over: int
) -> DutyRow | None:
    """The longest overdue that nobody else has in hand, locked. `passing_over`: the caller has failed with as many."""
    values = {"now": now, "kinds": [str(kind) for kind in kinds], "passing_over": passing_over}
    async with connection.cursor(row_factory=class_row(DutyRow)) as cursor:
        await cursor.execute(_LOCK_NEXT.encode(), values)
        return await cursor.fetchone()


async def find(
    connection: AsyncConnection, stop_id: str, plan_number: int, kind: DutyKind, *, is_locked: bool = False
) -> DutyRow | None:
    """One duty."""
    query = f"SELECT {_COLUMNS} FROM duty WHERE {_KEY} {'FOR NO KEY UPDATE' if is_locked else ''}"
    async with connection.cursor(row_factory=class_row(DutyRow)) as cursor:
        await cursor.execute(query.encode(), {"stop_id": stop_id, "plan_number": plan_number, "kind": kind})
        return await cursor.fetchone()


async def list_of_stop(connection: AsyncConnection, stop_id: str, plan_number: int) -> list[DutyRow]:
    """All duties of one plan, the first due first."""
    query = f"SELECT {_COLUMNS} FROM duty WHERE stop_id = %s AND plan_number = %s ORDER BY due_at, kind"
    async with connection.cursor(row_factory=class_row(DutyRow)) as cursor:
        await cursor.execute(query.encode(), (stop_id, plan_number))
        return await cursor.fetchall()


async def end(
    connection: AsyncConnection, duty: DutyRow, state: DutyState, outcome: str, now: datetime
) -> None:
    """It is done, or dropped. What has ended before stays as it ended."""
    await connection.execute(_END.encode(), {**_key(duty), "state": state, "outcome": outcome, "now": now})


async def postpone(connection: AsyncConnection, duty: DutyRow, next_at: datetime, *, tries: int) -> None:
    """Have it taken again at `next_at`; `tries` (0 or 1) counts towards its last one."""
    await connection.execute(_POSTPONE.encode(), {**_key(duty), "next_at": next_at, "tries": tries})


async def forget_old(connection: AsyncConnection, before: datetime, *, limit: int) -> int:
    """Delete what had ended before then; how many duties."""
    cursor = await connection.execute(_FORGET, {"before": before, "limit": limit})
    return cursor.rowcount
