"""Browsers' sessions, passkeys, challenges and links. Only hashes of what opens anything are kept. Times are real."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import class_row

from unlatch.store.channels import ENDS

MOST_SESSIONS = 20  # of one reader; the one that was not seen for longest gives way
MOST_PASSKEYS = 10
SIGNED_OUT = "its browser was signed out"  # why its channel has ended


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """One browser that is signed in."""

    id: str
    reader: str
    reader_id: str
    agent: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    proved_at: datetime
    settles_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PasskeyRow:
    """One passkey."""

    id: str
    reader: str
    reader_id: str
    credential_id: bytes
    public_key: bytes
    sign_count: int
    name: str
    created_at: datetime
    used_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who is signed in, as pages greet them."""

    id: str
    name: str
    language: str
    carrier_id: str | None  # of a consignee


_SESSION = ", ".join(SessionRow.__slots__)
_PASSKEY = ", ".join(PasskeyRow.__slots__)
_FIND = f"""
    -- A session that is still good, its sign of life written down at most once a minute.
    WITH found AS (SELECT {_SESSION} FROM session
                    WHERE token_hash = %(token_hash)s AND ended_at IS NULL AND expires_at > %(now)s),
    seen AS (UPDATE session SET seen_at = %(now)s FROM found
              WHERE session.id = found.id AND found.seen_at < %(now)s - interval '1 minute')
    SELECT {_SESSION} FROM found
"""


def _end_where(which: str) -> bytes:
    """Sign out the browsers that `which` names; nothing is told there any more, and where that was is forgotten."""
    return f"""
        WITH ended AS (UPDATE session SET ended_at = %(now)s WHERE ended_at IS NULL AND {which} RETURNING id)
        UPDATE channel SET {ENDS}
        FROM ended WHERE channel.session_id = ended.id AND channel.state <> 'gone'
    """.encode()


_END = _end_where("id = %(id)s AND reader = %(reader)s AND reader_id = %(reader_id)s")
_END_TOO_MANY = _end_where(
    "id IN (SELECT id FROM session WHERE reader = %(reader)s AND reader_id = %(reader_id)s AND ended_at IS NULL "
    "ORDER BY seen_at DESC OFFSET %(most)s)"
)


async def insert_session(connection: AsyncConnection, row: SessionRow, token_hash: bytes) -> None:
    """Sign a browser in. Of too many, the one that was not seen for longest is signed out."""
    await connection.execute(
        f"INSERT INTO session (token_hash, {_SESSION}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)".encode(),
        (token_hash, *(getattr(row, name) for name in SessionRow.__slots__)),
    )
    await connection.execute(
        _END_TOO_MANY,
        {
            "now": row.created_at,
            "reader": row.reader,
            "reader_id": row.reader_id,
            "most": MOST_SESSIONS,
            "why": SIGNED_OUT,
        },
    )


async def find_session(connection: AsyncConnection, token_hash: bytes, now: datetime) -> SessionRow | None:
    """The session with this token, if it is still good."""
    async with connection.cursor(row_factory=class_row(SessionRow)) as cursor:
        await cursor.execute(_FIND.encode(), {"token_hash": token_hash, "now": now})
        return await cursor.fetchone()


async def find_person(connection: AsyncConnection, reader: str, reader_id: str) -> Person | None:
    """Who that is."""
    table = {
        "consignee": "SELECT id, name, language, carrier_id FROM consignee "
        "WHERE id = %s AND erased_at IS NULL",
        "operator": "SELECT id, name, 'en' AS language, NULL::text AS carrier_id FROM operator WHERE id = %s",
    }[reader]
    async with connection.cursor(row_factory=class_row(Person)) as cursor:
        await cursor.execute(table.encode(), (reader_id,))
        return await cursor.fetchone()


async def list_sessions(
    connection: AsyncConnection, reader: str, reader_id: str, now: datetime
) -> list[SessionRow]:
    """Where a person is signed in, the latest first."""
    async with connection.cursor(row_factory=class_row(SessionRow)) as cursor:
        await cursor.execute(
            f"SELECT {_SESSION} FROM session WHERE reader = %s AND reader_id = %s AND ended_at IS NULL "
            "AND expires_at > %s ORDER BY seen_at DESC LIMIT %s".encode(),
            (reader, reader_id, now, MOST_SESSIONS),
        )
        return await cursor.fetchall()


async def has_sessions(connection: AsyncConnection, reader: str, reader_id: str) -> bool:
    """Whether this person has ever been signed in anywhere."""
    cursor = await connection.execute(
        "SELECT 1 FROM session WHERE reader = %s AND reader_id = %s LIMIT 1", (reader, reader_id)
    )
    return await cursor.fetchone() is not None


async def end_session(
    connection: AsyncConnection, session_id: str, *, reader: str, reader_id: str, now: datetime
) -> None:
    """Sign one browser of this person out. Done already: nothing happens."""
    await connection.execute(
        _END,
        {"now": now, "id": session_id, "reader": reader, "reader_id": reader_id, "why": SIGNED_OUT},
    )


async def set_proved(connection: AsyncConnection, session_id: str, now: datetime) -> None:
    """Its person has shown just now who they are."""
    await connection.execute("UPDATE session SET proved_at = %s WHERE id = %s", (now, session_id))


# ---- passkeys ---------------------------------------------------------------------------------------------


async def insert_passkey(connection: AsyncConnection, row: PasskeyRow) -> None:
    """One more passkey. Raises UniqueViolation where it is there already."""
    await connection.execute(
        f"INSERT INTO passkey ({_PASSKEY}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)".encode(),
        tuple(getattr(row, name) for name in PasskeyRow.__slots__),
    )


async def list_passkeys(connection: AsyncConnection, reader: str, reader_id: str) -> list[PasskeyRow]:
    """A person's passkeys, oldest first."""
    async with connection.cursor(row_factory=class_row(PasskeyRow)) as cursor:
        await cursor.execute(
            f"SELECT {_PASSKEY} FROM passkey WHERE reader = %s AND reader_id = %s AND removed_at IS NULL "
            "ORDER BY id LIMIT %s".encode(),
            (reader, reader_id, MOST_PASSKEYS),
        )
        return await cursor.fetchall()


async def find_passkey(connection: AsyncConnection, credential_id: bytes) -> PasskeyRow | None:
    """The passkey that a browser names."""
    async with connection.cursor(row_factory=class_row(PasskeyRow)) as cursor:
        await cursor.execute(
            f"SELECT {_PASSKEY} FROM passkey WHERE credential_id = %s AND removed_at IS NULL".encode(),
            (credential_id,),
        )
        return await cursor.fetchone()


async def use_passkey(
    connection: AsyncConnection, passkey_id: str, *, sign_count: int, now: datetime
) -> None:
    """It has signed."""
    await connection.execute(
        "UPDATE passkey SET sign_count = %s, used_at = %s WHERE id = %s", (sign_count, now, passkey_id)
    )


async def remove_passkey(
    connection: AsyncConnection, passkey_id: str, *, reader: str, reader_id: str, now: datetime
) -> None:
    """Take one away."""
    await connection.execute(
        "UPDATE passkey SET removed_at = %s WHERE id = %s AND reader = %s AND reader_id = %s AND removed_at IS NULL",
        (now, passkey_id, reader, reader_id),
    )


# ---- challenges and links ---------------------------------------------------------------------------------


async def insert_challenge(
    connection: AsyncConnection, digest: bytes, *, purpose: str, session_id: str | None, expires_at: datetime
) -> None:
    """What a browser is to sign."""
    await connection.execute(
        "INSERT INTO challenge (digest, purpose, session_id, expires_at) VALUES (%s, %s, %s, %s)",
        (digest, purpose, session_id, expires_at),
    )


async def take_challenge(
    connection: AsyncConnection, digest: bytes, *, purpose: str, session_id: str | None, now: datetime
) -> bool:
    """Whether it was asked for; it is used up by that."""
    cursor = await connection.execute(
        "DELETE FROM challenge WHERE digest = %s AND purpose = %s AND session_id IS NOT DISTINCT FROM %s "
        "AND expires_at > %s RETURNING 1",
        (digest, purpose, session_id, now),
    )
    return await cursor.fetchone() is not None


async def insert_link(
    connection: AsyncConnection,
    digest: bytes,
    *,
    reader: str,
    reader_id: str,
    now: datetime,
    expires_at: datetime,
) -> None:
    """A link is on its way."""
    await connection.execute(
        "INSERT INTO sign_in_link (digest, reader, reader_id, created_at, expires_at) VALUES (%s, %s, %s, %s, %s)",
        (digest, reader, reader_id, now, expires_at),
    )


async def count_links(connection: AsyncConnection, reader: str, reader_id: str, since: datetime) -> int:
    """How many links this person was sent since then."""
    cursor = await connection.execute(
        "SELECT count(*) FROM sign_in_link WHERE reader = %s AND reader_id = %s AND created_at > %s",
        (reader, reader_id, since),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def take_link(connection: AsyncConnection, digest: bytes, now: datetime) -> tuple[str, str] | None:
    """Whose link that is; it is used up by that."""
    cursor = await connection.execute(
        "UPDATE sign_in_link SET used_at = %s WHERE digest = %s AND used_at IS NULL AND expires_at > %s "
        "RETURNING reader, reader_id",
        (now, digest, now),
    )
    row = await cursor.fetchone()
    return None if row is None else (row[0], row[1])


async def list_mail_readers(
    connection: AsyncConnection, digest: bytes, limit: int = 5
) -> list[tuple[str, str, str, bytes]]:
    """Readers with a confirmed mail channel of that address: reader, its id, channel, what is sealed."""
    cursor = await connection.execute(
        "SELECT reader, reader_id, id, sealed FROM channel WHERE digest = %s AND kind = 'email' AND state = 'live' "
        "AND reader IN ('consignee', 'operator') ORDER BY id LIMIT %s",
        (digest, limit),
    )
    return [(row[0], row[1], row[2], bytes(row[3])) for row in await cursor.fetchall()]


async def forget_expired(connection: AsyncConnection, now: datetime, *, limit: int) -> int:
    """Delete what can open nothing any more. How much that was."""
    forgotten = 0
    for table, key in (("challenge", "digest"), ("sign_in_link", "digest"), ("session", "id")):
        grace = "interval '30 days'" if table == "session" else "interval '1 day'"
        cursor = await connection.execute(
            f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} "
            f"WHERE expires_at < %s - {grace} ORDER BY expires_at LIMIT %s)".encode(),
            (now, limit),
        )
        forgotten += cursor.rowcount
    return forgotten
