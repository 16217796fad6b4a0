"""Couriers and their phones, as an operator sees them, of any carrier; and the end of a phone's access."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta, Struct

from unlatch.errors import BadInput, NotFound
from unlatch.flow import enrolment
from unlatch.store import console, couriers
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.problems import Trouble
from unlatch.web.shapes import PRINTABLE, Identifier, Limit, Moment
from unlatch.web.signing_in import Reader

TABLE = EndpointTable("desk", "For the platform's own people: couriers and their phones, of any carrier.")
OPERATOR = (Reader.OPERATOR,)
DEVICES_OF_EACH = 10
LAST = datetime(9999, 12, 31, tzinfo=UTC)


class DeskDevice(Struct, kw_only=True):
    """A phone. Enrolled while `enrolled_at` is told and `revoked_at` is not."""

    id: Identifier
    created_at: Moment
    enrolled_at: Moment | None
    revoked_at: Moment | None


class DeskCourier(Struct, kw_only=True):
    """A courier, with their newest phones, their visit under way and the freeze that is in force for them."""

    id: Identifier
    first_name: str
    carrier_id: Identifier
    carrier: str
    is_active: bool
    created_at: Moment
    live_visit_id: Identifier | None
    freeze_id: Identifier | None
    devices: list[DeskDevice]


class DeskCouriers(Struct, kw_only=True):
    """The newest first. `next`: give it as `before` for those that follow; null: there are none."""

    couriers: list[DeskCourier]
    next: str | None


class DeskQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which, and how many."""

    of: Annotated[
        str,
        Meta(
            max_length=80,
            pattern=PRINTABLE,
            description="A courier's id, a carrier's id, or a first name; left out: all",
        ),
    ] = ""
    before: Annotated[str, Meta(max_length=120, pattern=PRINTABLE)] | None = None
    limit: Limit = 50


class DeviceRevoked(Struct, kw_only=True):
    """The phone opens and reads nothing any more."""

    id: Identifier
    is_revoked: bool


@TABLE.add(
    "GET", "/v1/operator/couriers", readers=OPERATOR, summary="Couriers", query=DeskQuery, gives=DeskCouriers
)
async def list_couriers(asked: Asked[None]) -> DeskCouriers:
    """Couriers of all carriers, or those of an id, a carrier or a name."""
    query = asked.query
    limit: int = query.limit
    async with asked.platform.database.connection() as connection:
        rows = await console.list_couriers(
            connection, query.of.strip(), before=_read_before(query.before), limit=limit + 1
        )
        devices = await console.list_devices(connection, [row.id for row in rows], limit=DEVICES_OF_EACH)
    shown = rows[:limit]
    return DeskCouriers(
        couriers=[
            DeskCourier(
                id=row.id,
                first_name=row.first_name,
                carrier_id=row.carrier_id,
                carrier=row.carrier,
                is_active=row.is_active,
                created_at=row.created_at,
                live_visit_id=row.live_visit,
                freeze_id=row.freeze,
                devices=[
                    DeskDevice(
                        id=one.id,
                        created_at=one.created_at,
                        enrolled_at=one.enrolled_at,
                        revoked_at=one.revoked_at,
                    )
                    for one in devices.get(row.id, [])
                ],
            )
            for row in shown
        ],
        next=f"{shown[-1].created_at.isoformat()},{shown[-1].id}" if len(rows) > limit else None,
    )


def _read_before(given: str | None) -> tuple[datetime, str]:
    if not given:
        return LAST, ""
    at, _, courier_id = given.partition(",")
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadInput("before", "give the `next` of the answer before")
    return moment, courier_id


@TABLE.add(
    "POST",
    "/v1/operator/couriers/{courier_id}/devices/{device_id}/revoke",
    readers=OPERATOR,
    summary="Revoke a courier's phone",
    gives=DeviceRevoked,
    is_closing=True,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND,),
)
async def revoke_device(asked: Asked[None]) -> DeviceRevoked:
    """At once and for good: its next request is refused, and no gate is passed for it. Again is no error."""
    carrier_id = await couriers.find_carrier_of(asked.connection, asked.path["courier_id"])
    if carrier_id is None:
        raise NotFound("there is no such courier")
    await enrolment.revoke_phone(
        asked.connection, asked.path["device_id"], carrier_id=carrier_id, now=asked.platform.clock.now()
    )
    return DeviceRevoked(id=asked.path["device_id"], is_revoked=True)
