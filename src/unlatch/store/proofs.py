"""Who asks with a phone: token, key and the proof's single use, checked in one round trip.

A proof that was used is remembered until it has expired, for all servers of the installation. That row is
committed with `synchronous_commit` off: every server sees it at once, and only a crash of PostgreSQL itself
may lose the last half second of such rows, which a thief who also read the wire could then use again. For
that, no request of a courier waits for a disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import AsyncConnection
from psycopg.rows import class_row

CLOCKS_APART = timedelta(minutes=5)  # of the worker that forgets a proof and a server that may still take it

_FIND_PHONE = """
    WITH phone AS (
        SELECT device.id AS device_id, courier_id, carrier_id, thumbprint, is_active
        FROM device JOIN courier ON courier.id = device.courier_id
        WHERE token_hash = %(token_hash)s AND revoked_at IS NULL
    ), used AS (
        INSERT INTO used_proof (digest, expires_at)
        SELECT %(digest)s, %(expires_at)s FROM phone WHERE thumbprint = %(thumbprint)s
        ON CONFLICT DO NOTHING RETURNING 1
    )
    SELECT phone.*, EXISTS (SELECT 1 FROM used) AS is_first_use, set_config('synchronous_commit', 'off', true)
    FROM phone
"""
_USE = """
    WITH used AS (
        INSERT INTO used_proof (digest, expires_at) VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING 1
    )
    SELECT EXISTS (SELECT 1 FROM used)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneRow:
    """The phone whose token was given."""

    device_id: str
    courier_id: str
    carrier_id: str
    thumbprint: str
    is_active: bool
    is_first_use: bool  # False: the key is another's, or the proof was used before
    set_config: str  # of the statement, means nothing to the caller


async def find_phone(
    connection: AsyncConnection, *, token_hash: bytes, thumbprint: str, digest: bytes, expires_at: datetime
) -> PhoneRow | None:
    """The phone of this token, its proof used up if it is of the phone's own key. None: no such token."""
    values = {
        "token_hash": token_hash,
        "thumbprint": thumbprint,
        "digest": digest,
        "expires_at": expires_at,
    }
    async with connection.cursor(row_factory=class_row(PhoneRow)) as cursor:
        await cursor.execute(_FIND_PHONE, values)
        return await cursor.fetchone()


async def use_proof(connection: AsyncConnection, digest: bytes, expires_at: datetime) -> bool:
    """Use up a proof that came without a token (enrolment); False where it was used before."""
    cursor = await connection.execute(_USE, (digest, expires_at))
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


async def forget_expired_proofs(
    connection: AsyncConnection, real_now: datetime, *, limit: int = 10_000
) -> int:
    """Delete what can't be replayed any more, on any server whose clock is about right; how many were deleted."""
    cursor = await connection.execute(
        "DELETE FROM used_proof WHERE digest IN "
        "(SELECT digest FROM used_proof WHERE expires_at < %s LIMIT %s)",
        (real_now - CLOCKS_APART, limit),
    )
    return cursor.rowcount
