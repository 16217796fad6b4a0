"""Finished clips: what of each is known, and the key that makes it readable. Erasing a clip is destroying its key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import class_row

from unlatch.domain.clip_parts import ClipParts, read_clip_parts

MOST_OF_VISIT = 64  # clips


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRow:
    """A clip. `sealed_key` and `poster` are None once it is erased."""

    id: str
    recording_id: str
    visit_id: str
    number: int
    sealed_key: bytes | None
    size: int
    sha256: bytes
    length_ms: int
    poster: bytes | None
    parts: bytes  # the document of `domain/clip_parts.py`
    made_at: datetime
    keep_until: datetime
    erased_at: datetime | None = None
    erased_by: str | None = None
    removed_at: datetime | None = None

    def content(self) -> ClipParts:
        """Its parts. Raises ValueError where they can't be read."""
        return read_clip_parts(self.parts)


_NAMES = ClipRow.__slots__
_COLUMNS = ", ".join(f"clip.{name}" for name in _NAMES)


async def insert_clip(connection: AsyncConnection, row: ClipRow) -> None:
    """Keep a clip; the same one again, from a worker that was interrupted, is kept once."""
    query = (
        f"INSERT INTO clip ({', '.join(_NAMES)}) VALUES ({', '.join(f'%({name})s' for name in _NAMES)}) "
        "ON CONFLICT (recording_id, number) DO NOTHING"
    )
    await connection.execute(query.encode(), {name: getattr(row, name) for name in _NAMES})


async def find_clip(connection: AsyncConnection, clip_id: str) -> ClipRow | None:
    """One clip, erased or not."""
    async with connection.cursor(row_factory=class_row(ClipRow)) as cursor:
        await cursor.execute(f"SELECT {_COLUMNS} FROM clip WHERE id = %s".encode(), (clip_id,))
        return await cursor.fetchone()


async def list_clips(connection: AsyncConnection, visit_id: str) -> list[ClipRow]:
    """The clips of a visit, camera by camera."""
    async with connection.cursor(row_factory=class_row(ClipRow)) as cursor:
        query = f"SELECT {_COLUMNS} FROM clip WHERE visit_id = %s ORDER BY recording_id, number LIMIT %s"
        await cursor.execute(query.encode(), (visit_id, MOST_OF_VISIT))
        return await cursor.fetchall()


async def list_documents(connection: AsyncConnection, visit_id: str) -> list[tuple[str, bytes]]:
    """Clip and document of the parts of each, erased or not: without keys and posters, which no proof holds."""
    cursor = await connection.execute(
        "SELECT id, parts FROM clip WHERE visit_id = %s ORDER BY recording_id, number LIMIT %s",
        (visit_id, MOST_OF_VISIT),
    )
    return [(clip_id, bytes(parts)) for clip_id, parts in await cursor.fetchall()]


def poster_row(clip_id: str) -> str:
    """What the picture of a clip is sealed for: not the same as its key."""
    return f"{clip_id}/poster"


async def list_sealed(
    connection: AsyncConnection, *, after: str, limit: int
) -> list[tuple[str, bytes, bytes | None]]:
    """Key and picture of each clip that is not erased, from the first behind `after`."""
    cursor = await connection.execute(
        "SELECT id, sealed_key, poster FROM clip WHERE id > %s AND sealed_key IS NOT NULL ORDER BY 1 LIMIT %s",
        (after, limit),
    )
    rows = await cursor.fetchall()
    return [(row[0], bytes(row[1]), None if row[2] is None else bytes(row[2])) for row in rows]


async def replace_sealed(
    connection: AsyncConnection, clip_id: str, *, was: bytes, sealed_key: bytes, poster: bytes | None
) -> None:
    """Seal a clip anew, unless it was erased meanwhile."""
    await connection.execute(
        "UPDATE clip SET sealed_key = %s, poster = %s WHERE id = %s AND sealed_key = %s",
        (sealed_key, poster, clip_id, was),
    )
