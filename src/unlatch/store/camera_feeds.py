"""Which browser films for a camera: a link that is good once, and the key that it was traded for. Hashes alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import class_row


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedCamera:
    """The camera that a browser films for."""

    id: str
    name: str


_OF_A_CAMERA = "FROM camera WHERE camera.id = camera_feed.camera_id AND camera.removed_at IS NULL"


async def save_link(
    connection: AsyncConnection, camera_id: str, *, link_hash: bytes, until_real: datetime
) -> None:
    """A new link; the one before is good no more. The browser that films goes on until another opens it."""
    await connection.execute(
        """
        INSERT INTO camera_feed (camera_id, link_hash, link_until_real) VALUES (%s, %s, %s)
        ON CONFLICT (camera_id) DO UPDATE
            SET link_hash = excluded.link_hash, link_until_real = excluded.link_until_real
        """,
        (camera_id, link_hash, until_real),
    )


async def use_link(
    connection: AsyncConnection, *, link_hash: bytes, key_hash: bytes, real_now: datetime
) -> FeedCamera | None:
    """Trade a link for a key, once: of two browsers at the same moment the second finds it used."""
    async with connection.cursor(row_factory=class_row(FeedCamera)) as cursor:
        query = f"""
            UPDATE camera_feed SET link_hash = NULL, link_until_real = NULL, key_hash = %(key_hash)s,
                bound_at_real = %(real_now)s
            {_OF_A_CAMERA} AND camera_feed.link_hash = %(link_hash)s AND link_until_real > %(real_now)s
            RETURNING camera.id, camera.name
        """
        values = {"link_hash": link_hash, "key_hash": key_hash, "real_now": real_now}
        await cursor.execute(query.encode(), values)
        return await cursor.fetchone()


async def find_by_key(connection: AsyncConnection, key_hash: bytes) -> FeedCamera | None:
    """The camera that the browser with this key films for; None where it may no more, or the camera was removed."""
    async with connection.cursor(row_factory=class_row(FeedCamera)) as cursor:
        await cursor.execute(
            "SELECT camera.id, camera.name FROM camera JOIN camera_feed ON camera_feed.camera_id = camera.id "
            "WHERE camera_feed.key_hash = %s AND camera.removed_at IS NULL",
            (key_hash,),
        )
        return await cursor.fetchone()
