"""Grants and commands: what may leave, what has left, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, auto
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from unlatch.domain.incident import Incident
from unlatch.store.freezes import LOCK_SHARED, frozen_widely
from unlatch.store.readings import JOIN_ACCOUNT, PLACE_COLUMNS, Place, place_of


class CommandState(StrEnum):
    INTENT = auto()  # ordered
    SENT = auto()  # may have left
    DONE_SAYS_CLOUD = auto()
    REJECTED = auto()
    NOT_SENT = auto()  # surely never left, or surely not taken on
    UNKNOWN = auto()  # may have happened


class GrantState(StrEnum):
    LIVE = auto()
    USED = auto()
    DEAD = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRow:
    """One command with what is needed to carry it out."""

    id: str
    visit_id: str
    verb: str
    state: CommandState
    lease_until: datetime | None
    place: Place
    is_recorded: bool  # of a home: its gate rests on a camera


@dataclass(frozen=True, slots=True, kw_only=True)
class GateView:
    """What the gate sees, every row of it locked."""

    command_state: CommandState
    lease_until: datetime | None
    grant_state: GrantState
    granted_at: datetime
    grant_epoch: int
    fence_epoch: int
    is_blocked: bool
    consent_ends_at: datetime | None
    is_frozen: bool
    frozen: Incident | None  # by what reaches further than this place
    is_device_revoked: bool
    is_courier_active: bool
    is_stop_open: bool  # not cancelled, not ended, and still a stop at this very place
    ruled_out: Incident | None  # why the place is not to be opened for this stop
    is_place_watched: (
        bool  # an earlier unlock, maybe by way of another access point, may still take effect (S2)
    )
    visit_id: str


async def insert_grant(
    connection: AsyncConnection, grant_id: str, visit_id: str, policy_version: str, now: datetime
) -> None:
    """A live grant of the present epoch. One per visit: the unique index is the rule."""
    await connection.execute(
        "INSERT INTO grant_ (id, visit_id, state, policy_version, epoch, granted_at) "
        "SELECT %s, %s, 'live', %s, epoch, %s FROM fence",
        (grant_id, visit_id, policy_version, now),
    )


async def end_grant(connection: AsyncConnection, visit_id: str, state: GrantState, now: datetime) -> None:
    """Live -> used | dead. A grant that has ended stays as it is."""
    await connection.execute(
        "UPDATE grant_ SET state = %s, ended_at = %s WHERE visit_id = %s AND state = 'live'",
        (state, now, visit_id),
    )


async def insert_command(
    connection: AsyncConnection,
    command_id: str,
    *,
    visit_id: str,
    verb: str,
    grant_id: str | None,
    now: datetime,
) -> None:
    """Intent: it is ordered, and nobody has begun with it."""
    await connection.execute(
        "INSERT INTO command (id, visit_id, grant_id, verb, state, created_at) "
        "VALUES (%s, %s, %s, %s, 'intent', %s)",
        (command_id, visit_id, grant_id, verb, now),
    )


async def withdraw_unlock(connection: AsyncConnection, visit_id: str, now: datetime) -> None:
    """Intent -> not_sent, for an unlock that must not leave any more."""
    await connection.execute(
        "UPDATE command SET state = 'not_sent', ended_at = %s "
        "WHERE visit_id = %s AND verb = 'unlock' AND state = 'intent'",
        (now, visit_id),
    )


async def doubt_unlock(connection: AsyncConnection, visit_id: str, now: datetime) -> None:
    """Intent -> unknown, after a restore: whether it had left is lost. It never leaves (again)."""
    await connection.execute(
        "UPDATE command SET state = 'unknown', ended_at = %s "
        "WHERE visit_id = %s AND verb = 'unlock' AND state = 'intent'",
        (now, visit_id),
    )


async def find_command(connection: AsyncConnection, command_id: str) -> CommandRow | None:
    """The command with its car, unlocked."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            "SELECT command.id, visit_id, verb, command.state, lease_until, visit.access_point_id, visit.is_recorded, "
            f"{PLACE_COLUMNS} "
            "FROM command JOIN visit ON visit.id = visit_id "
            f"JOIN vehicle ON vehicle.access_point_id = visit.access_point_id {JOIN_ACCOUNT} "
            "WHERE command.id = %s".encode(),
            (command_id,),
        )
        row = await cursor.fetchone()
    if row is None:
        return None
    return CommandRow(
        id=row["id"],
        visit_id=row["visit_id"],
        verb=row["verb"],
        state=CommandState(row["state"]),
        lease_until=row["lease_until"],
        place=place_of(row),
        is_recorded=row["is_recorded"],
    )


_LOCK_GATE = f"""
    -- All that may have changed since the decision, locked; the access point was locked before, and whoever changes
    -- a booking locks it too. Two access points of one car share no row: a visit by the other one may have come and
    -- gone since this one's decision read, and its tail is looked at again.
    SELECT command.state AS command_state, lease_until, grant_.state AS grant_state, granted_at,
        grant_.epoch AS grant_epoch, fence.epoch AS fence_epoch,
        (blocked_at IS NOT NULL OR NOT is_consent_given) AS is_blocked,
        consent_ends_at, is_frozen, courier.is_active AS is_courier_active, visit.id AS visit_id,
        (stop.state IN ('open', 'fallback_due') AND stop.access_point_id = visit.access_point_id) AS is_stop_open,
        stop.ruled_out, {frozen_widely("visit.courier_id")} AS frozen,
        (EXISTS (SELECT 1 FROM visit earlier WHERE earlier.access_point_id = visit.access_point_id
            AND earlier.tail IN ('watching', 'alarm', 'blind'))
         OR EXISTS (SELECT 1 FROM visit earlier WHERE earlier.closure_key = visit.closure_key
            AND earlier.tail IN ('watching', 'alarm', 'blind'))) AS is_place_watched,
        NOT EXISTS (SELECT 1 FROM device WHERE device.courier_id = visit.courier_id
                    AND enrolled_at IS NOT NULL AND revoked_at IS NULL) AS is_device_revoked
    FROM command
    JOIN visit ON visit.id = command.visit_id
    JOIN access_point ON access_point.id = visit.access_point_id
    JOIN stop ON stop.id = visit.stop_id
    JOIN courier ON courier.id = visit.courier_id
    LEFT JOIN vehicle ON vehicle.access_point_id = visit.access_point_id
    JOIN grant_ ON grant_.id = command.grant_id
    CROSS JOIN fence
    WHERE command.id = %(command_id)s
    FOR NO KEY UPDATE OF access_point, visit, grant_, command
"""


async def lock_gate(connection: AsyncConnection, command_id: str) -> GateView | None:
    """Everything the gate checks again, once all of it is locked; None: there is no such unlock."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            "SELECT 1 FROM access_point WHERE id = (SELECT access_point_id FROM visit JOIN command "
            "ON command.visit_id = visit.id WHERE command.id = %s) FOR NO KEY UPDATE",
            (command_id,),
        )
        await cursor.execute(LOCK_SHARED.encode())
        await cursor.execute(_LOCK_GATE.encode(), {"command_id": command_id})
        row: dict[str, Any] | None = await cursor.fetchone()
    if row is None:
        return None
    states = {
        "command_state": CommandState(row["command_state"]),
        "grant_state": GrantState(row["grant_state"]),
        "ruled_out": Incident(row["ruled_out"]) if row["ruled_out"] else None,
        "frozen": Incident(row["frozen"]) if row["frozen"] else None,
    }
    return GateView(**{**row, **states})


async def find_unlock_under_way(connection: AsyncConnection, visit_id: str) -> datetime | None:
    """When the gate passed for an unlock of this visit that has not ended; None: there is no such unlock."""
    cursor = await connection.execute(
        "SELECT sent_at FROM command WHERE visit_id = %s AND verb = 'unlock' AND state = 'sent'", (visit_id,)
    )
    row = await cursor.fetchone()
    return row[0] if row else None


async def set_sent(
    connection: AsyncConnection, command_id: str, worker: str, now: datetime, lease_until: datetime
) -> None:
    """Intent -> sent (a lock may be sent again: sent -> sent by another worker)."""
    await connection.execute(
        "UPDATE command SET state = 'sent', sent_at = coalesce(sent_at, %s), worker = %s, lease_until = %s "
        "WHERE id = %s AND state IN ('intent', 'sent')",
        (now, worker, lease_until, command_id),
    )


async def end_command(
    connection: AsyncConnection, command_id: str, state: CommandState, now: datetime
) -> None:
    """The first end counts: a late second answer changes no row."""
    await connection.execute(
        "UPDATE command SET state = %s, ended_at = %s WHERE id = %s AND state IN ('intent', 'sent')",
        (state, now, command_id),
    )


async def list_abandoned(
    connection: AsyncConnection, now: datetime, limit: int
) -> list[tuple[str, str, str]]:
    """Commands whose worker has not told their end within its lease: id, visit, verb."""
    cursor = await connection.execute(
        "SELECT id, visit_id, verb FROM command WHERE state = 'sent' AND lease_until <= %s "
        "ORDER BY lease_until LIMIT %s",
        (now, limit),
    )
    return [(row[0], row[1], row[2]) for row in await cursor.fetchall()]
