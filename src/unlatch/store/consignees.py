"""Consignees and their access points, with the car behind each."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, time
from urllib.parse import urlsplit

from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row

from unlatch.store.household import PLACES
from unlatch.store.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsigneeRow:
    """A consignee, without their key."""

    id: str
    carrier_id: str
    name: str
    language: str
    created_at: datetime
    plans: list[str] = field(default_factory=list)  # memberships, as the carrier told
    erased_at: datetime | None = None  # since then a number without a person


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessPointRow:
    """One lockable place."""

    id: str
    carrier_id: str
    consignee_id: str
    kind: str
    latitude: float  # of the address, degrees
    longitude: float
    range_m: float
    time_zone: str
    allows_unseen_lock: bool
    is_consent_given: bool
    blocked_at: datetime | None
    consent_ends_at: datetime | None
    from_local: time | None
    until_local: time | None
    is_frozen: bool
    created_at: datetime
    country: str = "US"  # of the address, ISO 3166-1
    name: str = ""  # as its household calls it


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleRow:
    """The car behind an access point; `sealed` holds the VIN and the maker's secrets."""

    access_point_id: str
    maker: str
    account_kind: str | None
    sealed: bytes
    closure_key: bytes | None  # `closure_key_of`: the same for every access point of one car
    make: str
    model: str
    model_year: int | None
    colour: str
    plate: str
    picture_url: str | None
    has_service: bool | None = None  # an active subscription of the connected service; None: not told


_POINT_NAMES = AccessPointRow.__slots__
_VEHICLE_NAMES = VehicleRow.__slots__
_POINT_COLUMNS = ", ".join(f"access_point.{name}" for name in _POINT_NAMES)
_FIND_POINT = f"SELECT {_POINT_COLUMNS} FROM access_point WHERE id = %s"
_INSERT_POINT = (
    f"INSERT INTO access_point ({', '.join(_POINT_NAMES)}) "
    f"VALUES ({', '.join(f'%({name})s' for name in _POINT_NAMES)})"
)
_INSERT_VEHICLE = (
    f"INSERT INTO vehicle ({', '.join(_VEHICLE_NAMES)}) "
    f"VALUES ({', '.join(f'%({name})s' for name in _VEHICLE_NAMES)})"
)
_FIND_VEHICLE = f"SELECT {', '.join(_VEHICLE_NAMES)} FROM vehicle WHERE access_point_id = %s"
_PLACES_OF_HOUSEHOLD = f"""
    -- What a consignee owns or shares, of one carrier, with the cars.
    SELECT {_POINT_COLUMNS}, {", ".join(f"vehicle.{name} AS vehicle_{name}" for name in _VEHICLE_NAMES)}
    FROM access_point LEFT JOIN vehicle ON vehicle.access_point_id = access_point.id
    WHERE access_point.carrier_id = %(carrier_id)s AND access_point.id IN ({PLACES})
    ORDER BY access_point.id LIMIT %(limit)s
"""


async def insert_consignee(connection: AsyncConnection, row: ConsigneeRow, key_hash: bytes) -> None:
    """A new consignee."""
    await connection.execute(
        "INSERT INTO consignee (id, carrier_id, name, language, key_hash, created_at, plans) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (row.id, row.carrier_id, row.name, row.language, key_hash, row.created_at, row.plans),
    )


async def find_consignee(
    connection: AsyncConnection, consignee_id: str, *, carrier_id: str
) -> ConsigneeRow | None:
    """A consignee whom this carrier registered."""
    async with connection.cursor(row_factory=class_row(ConsigneeRow)) as cursor:
        await cursor.execute(
            "SELECT id, carrier_id, name, language, created_at, plans, erased_at FROM consignee "
            "WHERE id = %s AND carrier_id = %s",
            (consignee_id, carrier_id),
        )
        return await cursor.fetchone()


async def set_plans(
    connection: AsyncConnection, consignee_id: str, *, carrier_id: str, plans: list[str]
) -> None:
    """What a consignee of this carrier is a member of from now on."""
    await connection.execute(
        "UPDATE consignee SET plans = %s WHERE id = %s AND carrier_id = %s", (plans, consignee_id, carrier_id)
    )


async def insert_access_point(
    connection: AsyncConnection, point: AccessPointRow, vehicle: VehicleRow
) -> None:
    """A new place and the car behind it."""
    await connection.execute(_INSERT_POINT.encode(), {name: getattr(point, name) for name in _POINT_NAMES})
    await connection.execute(
        _INSERT_VEHICLE.encode(), {name: getattr(vehicle, name) for name in _VEHICLE_NAMES}
    )


async def find_access_point(
    connection: AsyncConnection, access_point_id: str, *, is_locked: bool = False
) -> AccessPointRow | None:
    """A place; locked for this transaction if wanted, so that a scan and the gate wait for the change."""
    query = _FIND_POINT + (" FOR NO KEY UPDATE" if is_locked else "")
    async with connection.cursor(row_factory=class_row(AccessPointRow)) as cursor:
        await cursor.execute(query.encode(), (access_point_id,))
        return await cursor.fetchone()


async def find_vehicle(connection: AsyncConnection, access_point_id: str) -> VehicleRow | None:
    """The car behind a place."""
    async with connection.cursor(row_factory=class_row(VehicleRow)) as cursor:
        await cursor.execute(_FIND_VEHICLE.encode(), (access_point_id,))
        return await cursor.fetchone()


def closure_key_of(vault: Vault, maker: str, vin: str, hub: str | None = None) -> bytes:
    """By which two access points are known to have one car, or one door, behind them.

    `hub`: the address of the hub that knows the door by that name: every second home has a `lock.front_door`. A hub
    that is reached by two names is two hubs to us.
    """
    return vault.digest(maker, vin) if hub is None else vault.digest(maker, vin, _place_of(hub))


def _place_of(hub: str) -> str:
    """Where a hub stands, however its address is written."""
    parts = urlsplit(hub)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return f"{(parts.hostname or '').rstrip('.')}:{port}{parts.path.rstrip('/')}"


async def list_sealed(
    connection: AsyncConnection, *, after: str, limit: int
) -> list[tuple[str, str, bytes, bytes | None]]:
    """Place, maker, what is sealed, and the closure's key of each car, from the first place behind `after`."""
    cursor = await connection.execute(
        "SELECT access_point_id, maker, sealed, closure_key FROM vehicle WHERE access_point_id > %s "
        "ORDER BY 1 LIMIT %s",
        (after, limit),
    )
    return [(row[0], row[1], bytes(row[2]), row[3]) for row in await cursor.fetchall()]


async def replace_sealed(
    connection: AsyncConnection, access_point_id: str, *, was: bytes, sealed: bytes, closure_key: bytes
) -> None:
    """Seal a car anew, unless somebody has linked it anew meanwhile."""
    await connection.execute(
        "UPDATE vehicle SET sealed = %s, closure_key = %s WHERE access_point_id = %s AND sealed = %s",
        (sealed, closure_key, access_point_id, was),
    )


async def set_hub(
    connection: AsyncConnection, access_point_id: str, *, sealed: bytes, closure_key: bytes | None
) -> None:
    """Another token, address or name of a home's door. The place's row must be locked."""
    await connection.execute(
        "UPDATE vehicle SET sealed = %s, closure_key = %s WHERE access_point_id = %s",
        (sealed, closure_key, access_point_id),
    )


async def is_under_watch(connection: AsyncConnection, access_point_id: str) -> bool:
    """Whether a visit lives at a place, or the closure is watched after one."""
    cursor = await connection.execute(
        "SELECT EXISTS (SELECT 1 FROM visit WHERE access_point_id = %(id)s AND ended_at IS NULL) OR EXISTS "
        "(SELECT 1 FROM visit WHERE access_point_id = %(id)s AND tail IN ('watching', 'alarm', 'blind'))",
        {"id": access_point_id},
    )
    row = await cursor.fetchone()
    return bool(row and row[0])


async def list_access_points(
    connection: AsyncConnection, consignee_id: str, *, limit: int = 100
) -> list[AccessPointRow]:
    """A consignee's places, oldest first."""
    query = f"SELECT {_POINT_COLUMNS} FROM access_point WHERE consignee_id = %s ORDER BY id LIMIT %s"
    async with connection.cursor(row_factory=class_row(AccessPointRow)) as cursor:
        await cursor.execute(query.encode(), (consignee_id, limit))
        return await cursor.fetchall()


async def list_places_of_household(
    connection: AsyncConnection, consignee_id: str, *, carrier_id: str, limit: int = 100
) -> list[tuple[AccessPointRow, VehicleRow | None]]:
    """The places of this carrier that a consignee owns or shares, oldest first, each with the car behind it."""
    values = {"consignee_id": consignee_id, "carrier_id": carrier_id, "limit": limit}
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_PLACES_OF_HOUSEHOLD.encode(), values)
        rows = await cursor.fetchall()
    return [
        (
            AccessPointRow(**{name: row[name] for name in _POINT_NAMES}),
            VehicleRow(**{name: row[f"vehicle_{name}"] for name in _VEHICLE_NAMES})
            if row["vehicle_access_point_id"] is not None
            else None,
        )
        for row in rows
    ]


async def set_blocked(connection: AsyncConnection, access_point_id: str, at: datetime | None) -> None:
    """Block a place since `at`, or unblock it. Its row must be locked by this transaction."""
    await connection.execute("UPDATE access_point SET blocked_at = %s WHERE id = %s", (at, access_point_id))


async def set_frozen(connection: AsyncConnection, access_point_id: str, *, is_frozen: bool) -> None:
    """Freeze a place, or thaw it. Its row must be locked by this transaction."""
    await connection.execute(
        "UPDATE access_point SET is_frozen = %s WHERE id = %s", (is_frozen, access_point_id)
    )


async def find_live_visit_id(connection: AsyncConnection, access_point_id: str) -> str | None:
    """The visit that is under way at a place."""
    cursor = await connection.execute(
        "SELECT id FROM visit WHERE access_point_id = %s AND ended_at IS NULL", (access_point_id,)
    )
    row = await cursor.fetchone()
    return None if row is None else row[0]
