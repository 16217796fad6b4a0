"""Shipments, their parcels, and the stops of a round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from unlatch.domain import booking
from unlatch.domain.parcel import ParcelPlace

StopState = booking.StopState  # the word is the domain's; rows are read with it


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipmentRow:
    """What goes to one consignee together."""

    id: str
    carrier_id: str
    consignee_id: str
    reference: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelRow:
    """One parcel; `label_key` is what its label says, as domain/label.py reads it."""

    id: str
    carrier_id: str
    shipment_id: str
    stop_id: str | None
    label_key: str
    place: ParcelPlace
    held_by: str | None
    created_at: datetime
    # What the carrier told of it; None: not told.
    weight_g: Decimal | None = None
    sides_mm: list[Decimal] | None = None
    value_cents: int | None = None
    currency: str | None = None
    needs_signature: bool | None = None
    is_sold_by_merchant: bool | None = None
    is_dangerous: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRow:
    """A booking, and once it has a courier, one stop of their round."""

    id: str
    carrier_id: str
    courier_id: str | None  # None: booked, not on a round yet
    access_point_id: str
    shipment_id: str
    window_from: datetime
    window_until: datetime
    fallback: str  # the first of its plan
    state: StopState
    created_at: datetime
    programme: str | None = None
    rules_version: str | None = None  # by which the place was offered
    expected_at: datetime | None = None  # when the courier is expected; None: as the window begins
    later_fallbacks: list[str] = field(
        default_factory=list
    )  # if `fallback` can't be carried out, in this order
    plan_number: int = 1  # counts its plans: what follows from an older one is void
    ruled_out: str | None = None  # incident: why the place is not to be opened for this stop
    ruled_out_at: datetime | None = None
    heading_at: datetime | None = None  # the courier has set out for it
    arriving_at: datetime | None = None  # the courier is near
    extended_at: datetime | None = None  # the household's one extension of this plan
    planned_until: datetime | None = None  # the window's end before that; None: it was not extended
    before_redirect: dict[str, Any] | None = None  # what the household's redirect has replaced
    again_of: str | None = None  # "again tomorrow": the stop before this one
    tries: int = 1  # how many days in a row, this one too


_PARCEL_NAMES = ParcelRow.__slots__
_PARCEL = ", ".join(_PARCEL_NAMES)
_OF_STOP = (
    "stop_id = %(id)s OR id IN (SELECT parcel_id FROM fallback_end WHERE fallback_end.stop_id = %(id)s)"
)
_STOP_NAMES = StopRow.__slots__
_STOP = ", ".join(_STOP_NAMES)
_INSERT = f"INSERT INTO stop ({_STOP}) VALUES ({', '.join(f'%({name})s' for name in _STOP_NAMES)})"
_LOAD_PARCELS = """
    -- The parcels of the shipment go on this stop, unless they are done or on another one that has not ended: whoever
    -- carries out its fallback has them in hand.
    UPDATE parcel SET stop_id = %(stop_id)s
    WHERE shipment_id = %(shipment_id)s AND place IN ('with_carrier', 'with_courier')
      AND NOT EXISTS (SELECT 1 FROM stop other WHERE other.id = parcel.stop_id
                      AND other.state IN ('open', 'fallback_due'))
    RETURNING id
"""
_LOAD_LEFT = """
    -- What was left of a stop goes on the next one.
    UPDATE parcel SET stop_id = %(stop_id)s WHERE stop_id = %(again_of)s AND place = 'with_carrier'
"""
# What a change of a booking may change.
_CHANGING = (
    "courier_id", "access_point_id", "window_from", "window_until", "fallback", "state", "expected_at",
    "later_fallbacks", "plan_number", "ruled_out", "ruled_out_at", "heading_at", "arriving_at", "extended_at",
    "planned_until", "before_redirect", "programme", "rules_version",
)  # fmt: skip
_UPDATE = f"UPDATE stop SET {', '.join(f'{name} = %({name})s' for name in _CHANGING)} WHERE id = %(id)s"
_ROUND = f"""
    -- A courier's stops whose window ends after `since`, the next first, each with how its latest visit stands.
    SELECT {", ".join("stop." + name for name in _STOP_NAMES)},
        access_point.kind, consignee.name AS consignee_name,
        (SELECT array_agg(label_key ORDER BY parcel.id) FROM parcel WHERE parcel.stop_id = stop.id) AS labels,
        latest.state AS visit_state, latest.incident AS visit_incident,
        (latest.id IS NOT NULL AND latest.ended_at IS NULL) AS is_visit_live
    FROM stop
    JOIN access_point ON access_point.id = stop.access_point_id
    JOIN consignee ON consignee.id = access_point.consignee_id
    LEFT JOIN LATERAL (SELECT id, state, incident, ended_at FROM visit
        WHERE visit.stop_id = stop.id AND visit.courier_id = stop.courier_id
        ORDER BY begun_at DESC, id DESC LIMIT 1) latest ON true
    WHERE stop.courier_id = %(courier_id)s AND window_until > %(since)s
      AND (window_until, stop.id) > (%(after_until)s, %(after_id)s)
    ORDER BY window_until, stop.id LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundStop:
    """A stop as its courier sees it in the list: nothing about the car yet."""

    stop: StopRow
    kind: str
    consignee_name: str
    labels: tuple[str, ...]
    visit_state: str | None  # of this courier's latest visit there
    visit_incident: str | None
    is_visit_live: bool


async def insert_shipment(
    connection: AsyncConnection, shipment: ShipmentRow, parcels: Sequence[ParcelRow]
) -> None:
    """A shipment and its parcels. Raises psycopg's UniqueViolation where the carrier has such a label."""
    await connection.execute(
        "INSERT INTO shipment (id, carrier_id, consignee_id, reference, created_at) "
        "VALUES (%s, %s, %s, %s, %s)",
        (shipment.id, shipment.carrier_id, shipment.consignee_id, shipment.reference, shipment.created_at),
    )
    async with connection.cursor() as cursor:
        await cursor.executemany(
            f"INSERT INTO parcel ({_PARCEL}) VALUES ({', '.join(f'%({name})s' for name in _PARCEL_NAMES)})".encode(),
            [{name: getattr(parcel, name) for name in _PARCEL_NAMES} for parcel in parcels],
        )


async def find_shipment(
    connection: AsyncConnection, shipment_id: str, *, carrier_id: str, is_locked: bool = False
) -> ShipmentRow | None:
    """A shipment of this carrier; locked for this transaction if wanted, so that its parcels go on one stop alone."""
    query = "SELECT * FROM shipment WHERE id = %s AND carrier_id = %s" + (
        " FOR NO KEY UPDATE" if is_locked else ""
    )
    async with connection.cursor(row_factory=class_row(ShipmentRow)) as cursor:
        await cursor.execute(query.encode(), (shipment_id, carrier_id))
        return await cursor.fetchone()


async def list_parcels(
    connection: AsyncConnection, *, shipment_id: str | None = None, stop_id: str | None = None
) -> list[ParcelRow]:
    """The parcels of a shipment, or those of a stop, what has gone on from there to another try among them."""
    where = "shipment_id = %(id)s" if shipment_id is not None else _OF_STOP
    async with connection.cursor(row_factory=class_row(ParcelRow)) as cursor:
        await cursor.execute(
            f"SELECT {_PARCEL} FROM parcel WHERE {where} ORDER BY id LIMIT 1000".encode(),
            {"id": shipment_id if shipment_id is not None else stop_id},
        )
        return await cursor.fetchall()


async def insert_stop(connection: AsyncConnection, row: StopRow) -> int:
    """A stop, with the parcels of its shipment on it; how many those are."""
    await connection.execute(_INSERT.encode(), _values(row, _STOP_NAMES))
    cursor = await connection.execute(_LOAD_PARCELS, {"stop_id": row.id, "shipment_id": row.shipment_id})
    return len(await cursor.fetchall())


async def find_stop(
    connection: AsyncConnection,
    stop_id: str,
    *,
    carrier_id: str | None = None,
    courier_id: str | None = None,
    is_locked: bool = False,
) -> StopRow | None:
    """A stop of this carrier, or of this courier."""
    query = (
        f"SELECT {_STOP} FROM stop WHERE id = %s AND (%s::text IS NULL OR carrier_id = %s) "
        f"AND (%s::text IS NULL OR courier_id = %s) {'FOR NO KEY UPDATE' if is_locked else ''}"
    )
    async with connection.cursor(row_factory=class_row(StopRow)) as cursor:
        await cursor.execute(query.encode(), (stop_id, carrier_id, carrier_id, courier_id, courier_id))
        return await cursor.fetchone()


async def list_round(
    connection: AsyncConnection,
    courier_id: str,
    *,
    since: datetime,
    after: tuple[datetime, str] | None,
    limit: int,
) -> list[RoundStop]:
    """A courier's stops whose window has not ended before `since`, in order, after the one named."""
    after_until, after_id = after or (since, "")
    values: dict[str, Any] = {
        "courier_id": courier_id,
        "since": since,
        "after_until": after_until,
        "after_id": after_id,
        "limit": limit,
    }
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_ROUND.encode(), values)
        rows = await cursor.fetchall()
    return [
        RoundStop(
            stop=StopRow(**{name: row[name] for name in _STOP_NAMES}),
            kind=row["kind"],
            consignee_name=row["consignee_name"],
            labels=tuple(row["labels"] or ()),
            visit_state=row["visit_state"],
            visit_incident=row["visit_incident"],
            is_visit_live=row["is_visit_live"],
        )
        for row in rows
    ]


async def list_open_of_carrier(
    connection: AsyncConnection, carrier_id: str, *, after: tuple[datetime, str], limit: int
) -> list[StopRow]:
    """A carrier's bookings that have not ended, by the end of their windows, from the first one behind `after`."""
    query = (
        f"SELECT {_STOP} FROM stop WHERE carrier_id = %s AND state = 'open' "
        "AND (window_until, id) > (%s, %s) ORDER BY window_until, id LIMIT %s"
    )
    async with connection.cursor(row_factory=class_row(StopRow)) as cursor:
        await cursor.execute(query.encode(), (carrier_id, *after, limit))
        return await cursor.fetchall()


async def insert_next_stop(connection: AsyncConnection, row: StopRow) -> None:
    """The stop of another try, with what was left of the one before it (`again_of`, whose row must be locked)."""
    await connection.execute(_INSERT.encode(), _values(row, _STOP_NAMES))
    await connection.execute(_LOAD_LEFT, {"stop_id": row.id, "again_of": row.again_of})


async def update_stop(connection: AsyncConnection, row: StopRow) -> None:
    """Save what a change of the booking has changed. The stop's row must be locked by this transaction."""
    await connection.execute(_UPDATE.encode(), _values(row, ("id", *_CHANGING)))


async def find_next_stop(connection: AsyncConnection, stop_id: str) -> str | None:
    """The stop that another try of this one has led to."""
    cursor = await connection.execute(
        "SELECT id FROM stop WHERE again_of = %s ORDER BY id LIMIT 1", (stop_id,)
    )
    row = await cursor.fetchone()
    return None if row is None else row[0]


def _values(row: StopRow, names: Sequence[str]) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in names}
    if values.get("before_redirect") is not None:
        values["before_redirect"] = Jsonb(values["before_redirect"])
    return values


_RULE_OUT = f"""
    -- The stops that were still to come there: none of them opens it any more.
    UPDATE stop SET ruled_out = %s, ruled_out_at = %s
    WHERE access_point_id = %s AND state IN ('open', 'fallback_due') AND window_until > %s AND ruled_out IS NULL
        AND id IS DISTINCT FROM %s
    RETURNING {_STOP}
"""


async def rule_out_stops(
    connection: AsyncConnection, access_point_id: str, *, incident: str, now: datetime, but: str | None = None
) -> list[StopRow]:
    """Rule out every stop to come at a place, which must be locked; those that were not ruled out before.

    `but`: this one goes on.
    """
    async with connection.cursor(row_factory=class_row(StopRow)) as cursor:
        await cursor.execute(_RULE_OUT.encode(), (incident, now, access_point_id, now, but))
        return await cursor.fetchall()
