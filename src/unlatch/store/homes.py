"""What a household says of its home, beside the access point and the hub behind it (`vehicle`)."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from unlatch.domain.home import Form, HomeSettings

_NAMES = HomeSettings.__slots__
_INSERT = (
    f"INSERT INTO home (access_point_id, {', '.join(_NAMES)}) "
    f"VALUES (%(access_point_id)s, {', '.join(f'%({name})s' for name in _NAMES)})"
)
_UPDATE = (
    f"UPDATE home SET {', '.join(f'{name} = %({name})s' for name in _NAMES)} "
    "WHERE access_point_id = %(access_point_id)s"
)
_FIND = f"SELECT access_point_id, {', '.join(_NAMES)} FROM home WHERE access_point_id = ANY(%s)"


def _values(access_point_id: str, settings: HomeSettings) -> dict[str, Any]:
    return {"access_point_id": access_point_id, **{name: getattr(settings, name) for name in _NAMES}}


async def insert_home(connection: AsyncConnection, access_point_id: str, settings: HomeSettings) -> None:
    """An access point that is a home."""
    await connection.execute(_INSERT.encode(), _values(access_point_id, settings))


async def set_home(connection: AsyncConnection, access_point_id: str, settings: HomeSettings) -> None:
    """What is said of it from now on. The place's row must be locked."""
    await connection.execute(_UPDATE.encode(), _values(access_point_id, settings))


async def find_home(connection: AsyncConnection, access_point_id: str) -> HomeSettings | None:
    """What is said of a home; None: it is none."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_FIND.encode(), ([access_point_id],))
        row = await cursor.fetchone()
    if row is None:
        return None
    return HomeSettings(**{**{name: row[name] for name in _NAMES}, "form": Form(row["form"])})
