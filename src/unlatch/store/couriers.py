"""Couriers and their phones. A phone is enrolled once, by a code, with a key of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import class_row

_DEVICE = """
    SELECT device.id, device.courier_id, device.enrolled_at, device.revoked_at, device.created_at
    FROM device JOIN courier ON courier.id = device.courier_id
    WHERE device.id = %s AND courier.carrier_id = %s
"""
_ENROL = """
    -- A code opens once: of two phones at once, the second finds no code any more.
    UPDATE device SET thumbprint = %(thumbprint)s, token_hash = %(token_hash)s, enrolled_at = %(at)s,
        code_hash = NULL, code_expires_at = NULL
    FROM courier
    WHERE device.code_hash = %(code_hash)s AND device.code_expires_at > %(real_now)s
      AND device.revoked_at IS NULL AND courier.id = device.courier_id
    RETURNING device.id, device.courier_id, courier.first_name
"""
_NAME_CARD = """
    SELECT courier.first_name, carrier.name AS carrier_name
    FROM courier JOIN carrier ON carrier.id = courier.carrier_id
    WHERE courier.id = %s AND courier.is_active AND NOT EXISTS (
        SELECT 1 FROM freeze_ WHERE scope = 'courier' AND subject = courier.id AND thawed_at IS NULL)
"""
_REVOKE = """
    UPDATE device SET revoked_at = coalesce(revoked_at, %s), code_hash = NULL, code_expires_at = NULL
    FROM courier WHERE device.id = %s AND courier.id = device.courier_id AND courier.carrier_id = %s
    RETURNING device.id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CourierRow:
    """A courier; all that a consignee ever sees is the first name."""

    id: str
    carrier_id: str
    first_name: str
    is_active: bool
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRow:
    """A phone, as its carrier sees it."""

    id: str
    courier_id: str
    created_at: datetime
    enrolled_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NameCard:
    """All that a bystander is told of a courier."""

    first_name: str
    carrier_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """The phone that a code has just enrolled."""

    id: str
    courier_id: str
    first_name: str


async def insert_courier(connection: AsyncConnection, row: CourierRow) -> None:
    """A new courier."""
    await connection.execute(
        "INSERT INTO courier (id, carrier_id, first_name, is_active, created_at) VALUES (%s, %s, %s, %s, %s)",
        (row.id, row.carrier_id, row.first_name, row.is_active, row.created_at),
    )


async def find_courier(connection: AsyncConnection, courier_id: str, *, carrier_id: str) -> CourierRow | None:
    """A courier of this carrier."""
    async with connection.cursor(row_factory=class_row(CourierRow)) as cursor:
        await cursor.execute(
            "SELECT * FROM courier WHERE id = %s AND carrier_id = %s", (courier_id, carrier_id)
        )
        return await cursor.fetchone()


async def find_carrier_of(connection: AsyncConnection, courier_id: str) -> str | None:
    """Whose courier that is; None: there is no such courier."""
    cursor = await connection.execute("SELECT carrier_id FROM courier WHERE id = %s", (courier_id,))
    row = await cursor.fetchone()
    return row[0] if row else None


async def find_name_card(connection: AsyncConnection, courier_id: str) -> NameCard | None:
    """Who a courier is to people in the street; None where they deliver no more."""
    async with connection.cursor(row_factory=class_row(NameCard)) as cursor:
        await cursor.execute(_NAME_CARD, (courier_id,))
        return await cursor.fetchone()


async def set_courier_active(
    connection: AsyncConnection, courier_id: str, *, carrier_id: str, is_active: bool
) -> None:
    """An inactive courier's scans are refused from now on."""
    await connection.execute(
        "UPDATE courier SET is_active = %s WHERE id = %s AND carrier_id = %s",
        (is_active, courier_id, carrier_id),
    )


async def insert_device(
    connection: AsyncConnection,
    device_id: str,
    *,
    courier_id: str,
    code_hash: bytes,
    code_expires_at: datetime,
    at: datetime,
) -> None:
    """A phone that may be enrolled with a code until `code_expires_at` (real time)."""
    await connection.execute(
        "INSERT INTO device (id, courier_id, code_hash, code_expires_at, created_at) "
        "VALUES (%s, %s, %s, %s, %s)",
        (device_id, courier_id, code_hash, code_expires_at, at),
    )


async def enrol_device(
    connection: AsyncConnection,
    *,
    code_hash: bytes,
    thumbprint: str,
    token_hash: bytes,
    at: datetime,
    real_now: datetime,
) -> Enrolled | None:
    """Bind the phone of this code to its key and token; None where the code is not (or no longer) good."""
    values = {
        "code_hash": code_hash,
        "thumbprint": thumbprint,
        "token_hash": token_hash,
        "at": at,
        "real_now": real_now,
    }
    async with connection.cursor(row_factory=class_row(Enrolled)) as cursor:
        await cursor.execute(_ENROL, values)
        return await cursor.fetchone()


async def find_device(connection: AsyncConnection, device_id: str, *, carrier_id: str) -> DeviceRow | None:
    """A phone of one of this carrier's couriers."""
    async with connection.cursor(row_factory=class_row(DeviceRow)) as cursor:
        await cursor.execute(_DEVICE, (device_id, carrier_id))
        return await cursor.fetchone()


async def revoke_device(
    connection: AsyncConnection, device_id: str, *, carrier_id: str, at: datetime
) -> bool:
    """End a phone's access at once and for good; False where this carrier has no such phone."""
    cursor = await connection.execute(_REVOKE, (at, device_id, carrier_id))
    return await cursor.fetchone() is not None
