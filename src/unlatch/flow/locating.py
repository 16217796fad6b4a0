"""Where the car stands or how the door is found, for the courier who is to find it: in the window, near the place, and
only then. At a home the cameras are connected as the courier comes near, so that they can prove themselves at the scan.

Each look and each refused look is a row that the consignee is shown (A3), written in the transaction that reads
what is shown. The first one that is shown means that the courier is arriving, and the household is told. A look at an
old reading asks for a new one, out of the car's read budget.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from psycopg import AsyncConnection

from unlatch.domain.access import Consent, Position, distance_m
from unlatch.domain.home import HomeSettings
from unlatch.domain.incident import Incident
from unlatch.domain.notice import NoticeEvent
from unlatch.domain.reading import Reading
from unlatch.errors import NotFound
from unlatch.flow.filming import WANTED_FOR
from unlatch.flow.notifying import tell_of_stop
from unlatch.flow.platform import Platform
from unlatch.flow.preflight import spend
from unlatch.store import (
    cameras,
    consignees,
    couriers,
    freezes,
    homes,
    jobs,
    looks,
    preflights,
    readings,
    stops,
)
from unlatch.store.consignees import AccessPointRow, VehicleRow
from unlatch.store.ids import make_id
from unlatch.store.looks import LookRow
from unlatch.store.stops import StopRow, StopState

NEAR_M = 1000.0  # of the address
AROUND_WINDOW = timedelta(minutes=30)  # before it begins; after it has ended, nothing is shown
FRESH_FOR = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """How the door of a home is found."""

    settings: HomeSettings
    address: Position
    rings_first: bool  # now: not in its quiet hours


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """What the courier sees, or why not. A position that is not known is None."""

    reasons: tuple[Incident, ...]
    vehicle: VehicleRow | None = None
    door: Door | None = None  # of a home
    reading: Reading | None = None
    is_being_read: bool = False  # a fresh reading was asked for: ask again in a moment


async def locate(
    platform: Platform, *, stop_id: str, courier_id: str, carrier_id: str, position: Position
) -> Located:
    """Show this courier their stop's car or door, or say why not. Raises NotFound where it is not their stop."""
    now = platform.clock.now()
    rules = await platform.rules.get()
    async with platform.database.transaction() as connection:
        stop = await stops.find_stop(connection, stop_id, courier_id=courier_id)
        courier = await couriers.find_courier(connection, courier_id, carrier_id=carrier_id)
        if stop is None or courier is None:
            raise NotFound("there is no such stop")
        point = await consignees.find_access_point(connection, stop.access_point_id)
        vehicle = await consignees.find_vehicle(connection, stop.access_point_id)
        if point is None or vehicle is None:
            raise NotFound("there is no car and no door at this stop")
        settings = await homes.find_home(connection, point.id)
        reasons = _list_reasons(stop, point, position, now)
        frozen = await freezes.find_frozen(connection, point.id, courier_id)
        if frozen is not None:
            reasons = (frozen, *reasons)
        if not courier.is_active:
            reasons = (Incident.COURIER_NOT_ACTIVE, *reasons)
        shown = "position_and_plate" if settings is None else "door_and_directions"
        what = f"refused:{reasons[0]}" if reasons else shown
        await looks.insert_look(
            connection,
            LookRow(
                id=make_id("loo"),
                access_point_id=point.id,
                stop_id=stop.id,
                who=f"courier:{courier_id}",
                what=what,
                at=now,
            ),
        )
        if reasons:
            return Located(reasons=reasons)
        await _say_arriving(connection, stop, courier.first_name, now)
        if settings is not None:
            if now >= stop.window_from:  # else the scan is refused, and nobody need look into that home yet
                await cameras.want(connection, point.id, datetime.now(UTC) + WANTED_FOR)
            return Located(reasons=(), vehicle=vehicle, door=_door_of(point, settings, now))
        reading = await readings.find_reading(connection, point.id)
        is_asked = False
        if reading is None or now - reading.observed_at > FRESH_FOR:
            zone, programme = ZoneInfo(point.time_zone), rules.get_programme(stop.programme)
            spending = await spend(connection, point, vehicle, programme, now, zone)
            is_asked = spending.is_granted
            if is_asked:
                await _ask_for_reading(connection, point.id)
            else:
                is_asked = spending.is_under_way(now, await readings.find_tried_at(connection, point.id))
        return Located(reasons=(), vehicle=vehicle, reading=reading, is_being_read=is_asked)


def _door_of(point: AccessPointRow, settings: HomeSettings, now: datetime) -> Door:
    local = now.astimezone(ZoneInfo(point.time_zone)).time()
    return Door(
        settings=settings,
        address=Position(latitude=point.latitude, longitude=point.longitude),
        rings_first=settings.rings_at(local),
    )


async def _say_arriving(connection: AsyncConnection, stop: StopRow, first_name: str, now: datetime) -> None:
    """The courier is near: told once a plan."""
    if stop.arriving_at is not None:
        return
    if await preflights.set_arriving(connection, stop.id, stop.plan_number, now):
        await tell_of_stop(connection, NoticeEvent.COURIER_ARRIVING, stop, now, {"courier": first_name})


async def _ask_for_reading(connection: AsyncConnection, access_point_id: str) -> None:
    await jobs.enqueue(
        connection,
        jobs.Job.READ_PLACE,
        access_point_id,
        priority=jobs.PRIORITY["read"],
        dedupe_key=f"read {access_point_id}",
    )


def _list_reasons(
    stop: StopRow, point: AccessPointRow, position: Position, now: datetime
) -> tuple[Incident, ...]:
    """Every reason against showing the car now."""
    consent = Consent(
        is_given=point.is_consent_given, blocked_at=point.blocked_at, ends_at=point.consent_ends_at
    )
    address = Position(latitude=point.latitude, longitude=point.longitude)
    far_m = distance_m(position, address)
    wrong = {
        Incident.CARRIER_STOP_ENDED: stop.state not in (StopState.OPEN, StopState.FALLBACK_DUE),
        Incident.COURIER_TOO_EARLY: now < stop.window_from - AROUND_WINDOW,
        Incident.COURIER_TOO_LATE: now >= stop.window_until,
        Incident.CONSIGNEE_BLOCKED: consent.blocked_at is not None,
        Incident.CONSIGNEE_CONSENT_ENDED: consent.blocked_at is None and not consent.is_alive(now),
        Incident.PLATFORM_PLACE_FROZEN: point.is_frozen,
        Incident.COURIER_POSITION_UNKNOWN: position.accuracy_m > NEAR_M,
        Incident.COURIER_TOO_FAR: far_m > NEAR_M,
    }
    ruled_out = [Incident(stop.ruled_out)] if stop.ruled_out else []
    return tuple(dict.fromkeys([*ruled_out, *(incident for incident, is_wrong in wrong.items() if is_wrong)]))
