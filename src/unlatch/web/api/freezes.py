"""Freezes that reach further than one place: no openings by a courier, through a cloud, in an area, or at all."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from unlatch.domain.freeze import MAX_RADIUS_M, Scope
from unlatch.flow import freezing
from unlatch.flow.freezing import Circle
from unlatch.store import freezes
from unlatch.store.freezes import FreezeRow
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.problems import Trouble
from unlatch.web.shapes import Identifier, Limit, Moment
from unlatch.web.signing_in import Reader

TABLE = EndpointTable(
    "freezes", "For the platform's own people: nothing opens by a courier, a cloud, in an area, or at all."
)
OPERATOR = (Reader.OPERATOR,)
_LINE = r"^[^\u0000-\u001f\u007f]*$"


class Area(Struct, kw_only=True, forbid_unknown_fields=True):
    """A circle: every address within it."""

    latitude: Annotated[float, Meta(ge=-90, le=90, description="Degrees, WGS 84")]
    longitude: Annotated[float, Meta(ge=-180, le=180, description="Degrees, WGS 84")]
    radius_m: Annotated[float, Meta(ge=1, le=MAX_RADIUS_M, description="Metres")]


class FreezeBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to freeze, and why."""

    scope: Scope
    why: Annotated[str, Meta(min_length=3, max_length=500, pattern=_LINE)]
    subject: Annotated[
        str,
        Meta(
            max_length=80,
            pattern=_LINE,
            description="A courier's id, a maker's name, what the area is called",
        ),
    ] = ""
    area: Area | None = None


class FreezeShown(Struct, kw_only=True):
    """One freeze; in force while `thawed_at` is null."""

    id: Identifier
    scope: Scope
    subject: str
    area: Area | None
    why: str
    frozen_by: str
    frozen_at: Moment
    thawed_by: str | None
    thawed_at: Moment | None


class Freezes(Struct, kw_only=True):
    """Those in force first, then the newest."""

    freezes: list[FreezeShown]


class FreezesQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """How many."""

    limit: Limit = 50


def show_freeze(row: FreezeRow) -> FreezeShown:
    """As an operator reads it."""
    area = None
    if row.latitude is not None and row.longitude is not None and row.radius_m is not None:
        area = Area(latitude=row.latitude, longitude=row.longitude, radius_m=row.radius_m)
    return FreezeShown(
        id=row.id,
        scope=Scope(row.scope),
        subject=row.subject,
        area=area,
        why=row.why,
        frozen_by=row.frozen_by,
        frozen_at=row.frozen_at,
        thawed_by=row.thawed_by,
        thawed_at=row.thawed_at,
    )


@TABLE.add(
    "GET", "/v1/operator/freezes", readers=OPERATOR, summary="Freezes", query=FreezesQuery, gives=Freezes
)
async def list_freezes(asked: Asked[None]) -> Freezes:
    """What is frozen beyond single places, and what was."""
    async with asked.platform.database.connection() as connection:
        rows = await freezes.list_freezes(connection, limit=asked.query.limit)
    return Freezes(freezes=[show_freeze(row) for row in rows])


@TABLE.add(
    "POST",
    "/v1/operator/freezes",
    readers=OPERATOR,
    summary="Freeze a courier, a cloud, an area or everything",
    takes=FreezeBody,
    gives=FreezeShown,
    status=201,
    is_closing=True,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.CONFLICT,),
)
async def freeze(asked: Asked[FreezeBody]) -> FreezeShown:
    """Nothing is opened there any more, and what is open is locked. The same once more stops anew what is under way."""
    body = asked.body
    circle = None
    if body.area is not None:
        circle = Circle(
            latitude=body.area.latitude, longitude=body.area.longitude, radius_m=body.area.radius_m
        )
    row = await freezing.freeze(
        asked.platform,
        asked.connection,
        scope=body.scope,
        subject=body.subject,
        circle=circle,
        why=body.why,
        operator_id=asked.asker.id,
        now=asked.platform.clock.now(),
    )
    return show_freeze(row)


@TABLE.add(
    "POST",
    "/v1/operator/freezes/{freeze_id}/thaw",
    readers=OPERATOR,
    widens=True,
    summary="End such a freeze",
    gives=FreezeShown,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND,),
)
async def thaw(asked: Asked[None]) -> FreezeShown:
    """Scans are decided again as before. Opens nothing by itself; ended already, it changes nothing."""
    row = await freezing.thaw(
        asked.connection,
        asked.path["freeze_id"],
        operator_id=asked.asker.id,
        now=asked.platform.clock.now(),
    )
    return show_freeze(row)
