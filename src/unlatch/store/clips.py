"""Finished clips: what of each is known, and the key that makes it readable. Erasing a clip is destroying its key."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import class_row

from unlatch.domain.clip import Part, Place

MOST_OF_VISIT = 64  # clips
MAX_PARTS_BYTES = 64 * 1024 * 1024  # unpacked: the parts of eight cameras' hours would be less


class ClipParts(msgspec.Struct, kw_only=True, frozen=True):
    """What a clip is made of: the parts as they were synced, and where each stands in the clip."""

    parts: tuple[Part, ...]
    places: tuple[Place, ...]


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
    parts: bytes
    made_at: datetime
    keep_until: datetime
    erased_at: datetime | None = None
    erased_by: str | None = None
    removed_at: datetime | None = None

    def content(self) -> ClipParts:
        """Its parts. Raises ValueError where they can't be read."""
        unpacking = zlib.decompressobj()
        content = unpacking.decompress(self.parts, MAX_PARTS_BYTES)
        if unpacking.unconsumed_tail:
            raise ValueError("these are the parts of no clip of ours")
        return msgspec.json.decode(content, type=ClipParts)


def pack_parts(parts: Sequence[Part], places: Sequence[Place]) -> bytes:
    """As a row keeps them."""
    return zlib.compress(msgspec.json.encode(ClipParts(parts=tuple(parts), places=tuple(places))))


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
