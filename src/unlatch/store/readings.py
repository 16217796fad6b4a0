"""The last reading of each closure, and why the last try to read it failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from unlatch.domain.access import Position
from unlatch.domain.incident import Incident
from unlatch.domain.reading import Reading

_SAVE = """
    -- A newer look at the closure; an older one changes nothing of what it showed (S7), but it was an answer: why the
    -- try before it had failed is over. What the device did not tell this time is not known now: least of all where it
    -- stands (S9). What stands inside a home is of the moment at which its hub was asked, whenever its door last moved.
    INSERT INTO reading AS kept (access_point_id, observed_at, is_locked, is_open, is_moving, latitude, longitude,
        accuracy_m, is_bolted_inside, is_alarm_armed, is_pet_loose, refused, tried_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, NULL, %s)
    ON CONFLICT (access_point_id) DO UPDATE SET
        (observed_at, is_locked, is_open, is_moving, latitude, longitude, accuracy_m) = (
            SELECT excluded.observed_at, excluded.is_locked, excluded.is_open, excluded.is_moving,
                excluded.latitude, excluded.longitude, excluded.accuracy_m
            WHERE kept.observed_at IS NULL OR kept.observed_at < excluded.observed_at
            UNION ALL
            SELECT kept.observed_at, kept.is_locked, kept.is_open, kept.is_moving,
                kept.latitude, kept.longitude, kept.accuracy_m
            WHERE kept.observed_at >= excluded.observed_at),
        is_bolted_inside = excluded.is_bolted_inside, is_alarm_armed = excluded.is_alarm_armed,
        is_pet_loose = excluded.is_pet_loose,
        refused = NULL, tried_at = greatest(kept.tried_at, excluded.tried_at)
"""
_SAVE_REFUSAL = """
    INSERT INTO reading (access_point_id, refused, tried_at) VALUES (%s, %s, %s)
    ON CONFLICT (access_point_id) DO UPDATE SET refused = excluded.refused, tried_at = excluded.tried_at
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAccount:
    """The owner's account through which a car is reached, as it stood when the place was read."""

    id: str
    is_open: bool  # False: ended or lost
    sealed: bytes | None
    generation: int
    access_expires_at: datetime
    refresh_at: datetime
    scopes: tuple[str, ...]  # what its owner agreed to, in the maker's words


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What is needed to ask an access point's device."""

    access_point_id: str
    maker: str
    account_kind: str | None
    sealed: bytes
    account: OpenAccount | None = None  # None: the carrier gave the car's own tokens


# A car with its account, for whoever asks it: in the one statement that reads the rest, behind a JOIN of vehicle.
PLACE_COLUMNS = """
    vehicle.maker, vehicle.account_kind, vehicle.sealed, vehicle.account_id, maker_account.state AS account_state,
    maker_account.sealed AS account_sealed, maker_account.generation AS account_generation,
    maker_account.access_expires_at AS account_expires_at, maker_account.refresh_at AS account_refresh_at,
    maker_account.scopes AS account_scopes
"""
JOIN_ACCOUNT = "LEFT JOIN maker_account ON maker_account.id = vehicle.account_id"


def place_of(row: dict[str, Any]) -> Place:
    """The place in a row that has `access_point_id` and `PLACE_COLUMNS`."""
    account = None
    if row["account_id"] is not None:
        sealed = row["account_sealed"]
        account = OpenAccount(
            id=row["account_id"],
            is_open=row["account_state"] in ("live", "ending") and sealed is not None,
            sealed=None if sealed is None else bytes(sealed),
            generation=row["account_generation"],
            access_expires_at=row["account_expires_at"],
            refresh_at=row["account_refresh_at"],
            scopes=tuple(row["account_scopes"]),
        )
    return Place(
        access_point_id=row["access_point_id"],
        maker=row["maker"],
        account_kind=row["account_kind"],
        sealed=bytes(row["sealed"]),
        account=account,
    )


def reading_of(row: dict[str, Any]) -> Reading | None:
    """The reading in a row of the table, or in one that was joined with it; None where nothing was ever read."""
    if row["observed_at"] is None:
        return None
    position = None
    if row["latitude"] is not None:
        position = Position(
            latitude=row["latitude"], longitude=row["longitude"], accuracy_m=row["accuracy_m"] or 0.0
        )
    return Reading(
        observed_at=row["observed_at"],
        is_locked=row["is_locked"],
        is_open=row["is_open"],
        is_moving=row["is_moving"],
        position=position,
        is_bolted_inside=row["is_bolted_inside"],
        is_alarm_armed=row["is_alarm_armed"],
        is_pet_loose=row["is_pet_loose"],
    )


async def save_reading(
    connection: AsyncConnection, access_point_id: str, reading: Reading, now: datetime
) -> None:
    """Keep the newest look."""
    position = reading.position
    values = (
        access_point_id,
        reading.observed_at,
        reading.is_locked,
        reading.is_open,
        reading.is_moving,
        position.latitude if position else None,
        position.longitude if position else None,
        position.accuracy_m if position else None,
        reading.is_bolted_inside,
        reading.is_alarm_armed,
        reading.is_pet_loose,
        now,
    )
    await connection.execute(_SAVE, values)


async def save_refusal(
    connection: AsyncConnection, access_point_id: str, refused: Incident, now: datetime
) -> None:
    """Keep why the device could not be read."""
    await connection.execute(_SAVE_REFUSAL, (access_point_id, refused, now))


async def forget_reading(connection: AsyncConnection, access_point_id: str) -> None:
    """What is known of it was told by another hub, or of another door."""
    await connection.execute("DELETE FROM reading WHERE access_point_id = %s", (access_point_id,))


async def find_reading(connection: AsyncConnection, access_point_id: str) -> Reading | None:
    """The newest look at this closure."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute("SELECT * FROM reading WHERE access_point_id = %s", (access_point_id,))
        row = await cursor.fetchone()
    return reading_of(row) if row else None


async def find_tried_at(connection: AsyncConnection, access_point_id: str) -> datetime | None:
    """When this closure was last asked, whether it told or refused."""
    cursor = await connection.execute(
        "SELECT tried_at FROM reading WHERE access_point_id = %s", (access_point_id,)
    )
    row = await cursor.fetchone()
    return None if row is None else row[0]


async def find_place(connection: AsyncConnection, access_point_id: str) -> Place | None:
    """How to ask this access point's device; None: it has none."""
    return (await find_places(connection, [access_point_id])).get(access_point_id)


async def find_places(connection: AsyncConnection, access_point_ids: Sequence[str]) -> dict[str, Place]:
    """How to ask these access points' devices, by their ids; those that have none are left out."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            f"SELECT access_point_id, {PLACE_COLUMNS} FROM vehicle {JOIN_ACCOUNT} "
            "WHERE access_point_id = ANY(%s)".encode(),
            (list(access_point_ids),),
        )
        rows = await cursor.fetchall()
    return {row["access_point_id"]: place_of(row) for row in rows}
