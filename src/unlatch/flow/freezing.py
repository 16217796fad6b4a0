"""An operator's freeze that reaches further than one place: a courier, a maker's cloud, an area, or everything.

While it is in force the decision refuses and the gate stays shut; locks, reads and blocks go on. The gate holds a
lock shared that a freeze takes alone, so of the two the first to commit counts. What had passed the gate before is
stopped by a worker right after, as a block would: it locks. A thaw opens nothing; stops that it had ruled out are
looked at again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from psycopg import AsyncConnection

from unlatch.domain.booking import Part
from unlatch.domain.freeze import MAX_IN_FORCE, MAX_RADIUS_M, Scope
from unlatch.domain.incident import Incident
from unlatch.domain.visit import Fact
from unlatch.errors import BadInput, Conflict, DatabaseDown, NotFound
from unlatch.flow.duties import ask_for_check
from unlatch.flow.platform import Platform
from unlatch.flow.record import Happening, record_in
from unlatch.store import consignees, couriers, freezes, stops, visits
from unlatch.store.duties import DutyKind
from unlatch.store.freezes import FreezeRow

SWEPT_AT_ONCE = 20
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Circle:
    """An area: every address within `radius_m` of its middle. Degrees, metres."""

    latitude: float
    longitude: float
    radius_m: float


async def freeze(
    platform: Platform,
    connection: AsyncConnection,
    *,
    scope: Scope,
    subject: str,
    circle: Circle | None,
    why: str,
    operator_id: str,
    now: datetime,
) -> FreezeRow:
    """Put it in force. What is frozen already stays as it is, and is swept again. Joins the caller's transaction.

    Raises BadInput where there is no such courier or maker, or an area without a circle; Conflict where there are too
    many.
    """
    if scope is Scope.CLOUD and subject not in platform.makers.makers:
        raise BadInput(
            "subject", f"there is no maker {subject}; one of {', '.join(sorted(platform.makers.makers))}"
        )
    if scope is Scope.COURIER and await couriers.find_carrier_of(connection, subject) is None:
        raise BadInput("subject", "there is no such courier")
    if (scope is Scope.AREA) != (circle is not None):
        raise BadInput("area", "give a circle with an area, and with nothing else")
    if circle is not None and not 0 < circle.radius_m <= MAX_RADIUS_M:
        raise BadInput("area.radius_m", f"from 1 to {MAX_RADIUS_M:.0f} metres")
    await freezes.lock_alone(connection)
    known = await freezes.find_in_force(connection, scope, subject)
    if known is not None:
        if circle is not None and circle != _circle_of(known):
            raise Conflict(
                "an area of this name is frozen already: give this one another name, or thaw that one first"
            )
        await freezes.ask_for_sweep(connection, known.id)
        return known
    if await freezes.count_in_force(connection) >= MAX_IN_FORCE:
        raise Conflict(f"{MAX_IN_FORCE} freezes are in force already: thaw some, or freeze more with one")
    return await freezes.insert_freeze(
        connection,
        scope=scope,
        subject=subject,
        latitude=None if circle is None else circle.latitude,
        longitude=None if circle is None else circle.longitude,
        radius_m=None if circle is None else circle.radius_m,
        why=why,
        who=f"{Part.OPERATOR}:{operator_id}",
        now=now,
    )


async def thaw(connection: AsyncConnection, freeze_id: str, *, operator_id: str, now: datetime) -> FreezeRow:
    """End it. Opens nothing by itself; ended already, it changes nothing. Raises NotFound."""
    row = await freezes.find_freeze(connection, freeze_id)
    if row is None:
        raise NotFound("there is no such freeze")
    if row.thawed_at is None:
        await freezes.end_freeze(connection, freeze_id, f"{Part.OPERATOR}:{operator_id}", now)
        row = await freezes.find_freeze(connection, freeze_id)
        assert row is not None
    return row


async def sweep(closings: Platform) -> int:
    """Follow up what was frozen or thawed: stop what is under way there, look again at what it had ruled out.

    How many there were. Safe to do again and by several workers: a visit that has ended or locks already changes
    nothing. One visit that can't be recorded keeps no other waiting; then the freeze is swept again.
    """
    async with closings.database.connection() as connection:
        rows = await freezes.list_to_sweep(connection, limit=SWEPT_AT_ONCE)
    broken: list[Exception] = []
    for row in rows:
        failed = await _stop_visits(closings, row) if row.stopped_at is None else []
        if row.thawed_at is not None:
            failed += await _ask_again(closings, row)
        broken += failed
        if not failed:
            async with closings.database.connection() as connection:
                await freezes.set_swept(connection, row, closings.clock.now())
    if broken:
        raise broken[0]
    return len(rows)


async def _each(
    closings: Platform, items: Sequence[T], do: Callable[[AsyncConnection, T], Awaitable[None]]
) -> list[Exception]:
    """Do it for each in a transaction of its own; what went wrong."""
    broken: list[Exception] = []
    for item in items:
        try:
            async with closings.database.transaction() as connection:
                await do(connection, item)
        except DatabaseDown:
            raise
        except Exception as error:  # noqa: BLE001 - raised once all are done
            broken.append(error)
    return broken


async def _stop_visits(closings: Platform, row: FreezeRow) -> list[Exception]:
    """As a block of each place would: before the gate it ends, after it a lock is ordered."""
    incident = (
        Incident.PLATFORM_COURIER_FROZEN if row.scope == Scope.COURIER else Incident.PLATFORM_FROZEN_WIDELY
    )
    happening = Happening(
        fact=Fact.BLOCKED, who=row.frozen_by, incident=incident, body={"freeze": row.id, "scope": row.scope}
    )

    async def stop(connection: AsyncConnection, live: tuple[str, str]) -> None:
        visit_id, access_point_id = live
        await consignees.find_access_point(connection, access_point_id, is_locked=True)
        visit = await visits.lock_visit(connection, visit_id)
        if visit.visit.is_live:
            await record_in(connection, visit, happening, closings.clock.now())

    async with closings.database.connection() as connection:
        live = await freezes.list_live_visits(connection, row.id)
    return await _each(closings, live, stop)


async def _ask_again(closings: Platform, row: FreezeRow) -> list[Exception]:
    """Pre-flight had ruled these stops out: may they be driven to now?"""
    now = closings.clock.now()

    async def ask(connection: AsyncConnection, stop_id: str) -> None:
        stop = await stops.find_stop(connection, stop_id)
        if stop is not None and stop.ruled_out == Incident.PLATFORM_FROZEN_WIDELY:
            await ask_for_check(connection, stop, DutyKind.RECHECK, now)

    async with closings.database.connection() as connection:
        ruled_out = await freezes.list_ruled_out(connection, row.id, now)
    return await _each(closings, ruled_out, ask)


def _circle_of(row: FreezeRow) -> Circle | None:
    if row.latitude is None or row.longitude is None or row.radius_m is None:
        return None
    return Circle(latitude=row.latitude, longitude=row.longitude, radius_m=row.radius_m)
