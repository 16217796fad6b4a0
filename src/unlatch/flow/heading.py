"""The courier sets out for one stop: "please don't move the car", "leave the alarm off". Refused where the place is not
to be opened.

Whether to go is answered by what is known at this moment, with the place's row held, so that a block that commits first
is seen. Where the last finding is old the car is looked at once more; what that finds reaches the courier's list.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import AsyncConnection

from unlatch.domain.access import PlaceKind
from unlatch.domain.incident import Incident
from unlatch.domain.notice import NoticeEvent
from unlatch.domain.proof import text_of_time
from unlatch.errors import BadInput, NotFound
from unlatch.flow.duties import ask_for_check, lock_stop
from unlatch.flow.notifying import tell_of_stop
from unlatch.store import couriers, freezes, preflights, stops
from unlatch.store.couriers import CourierRow
from unlatch.store.duties import DutyKind
from unlatch.store.preflights import Case
from unlatch.store.stops import StopState

SETS_OUT_BEFORE = timedelta(
    hours=1
)  # the window begins; earlier, nobody is asked to leave the car where it is
FINDING_LASTS = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """Go where `reasons` is empty; else the first of `fallbacks` that can be carried out."""

    reasons: tuple[Incident, ...]
    fallbacks: tuple[str, ...]
    heading_at: datetime | None
    expected_at: datetime | None
    is_being_checked: bool  # the car is looked at once more: follow the list


async def set_out(
    connection: AsyncConnection,
    *,
    stop_id: str,
    courier_id: str,
    carrier_id: str,
    expected_at: datetime | None,
    now: datetime,
) -> Heading:
    """This courier sets out for their stop, or is told why not. Joins the caller's transaction.

    Raises NotFound where it is not their stop, BadInput where `expected_at` can't be.
    """
    courier = await couriers.find_courier(connection, courier_id, carrier_id=carrier_id)
    if courier is None or await stops.find_stop(connection, stop_id, courier_id=courier_id) is None:
        raise NotFound("there is no such stop")
    stop = await lock_stop(connection, stop_id)
    case = await preflights.find_case(connection, stop_id)
    if stop.courier_id != courier_id or case is None:  # handed over meanwhile
        raise NotFound("there is no such stop")
    if expected_at is not None and not now <= expected_at < max(
        stop.window_until, now + timedelta(seconds=1)
    ):
        raise BadInput("expected_at", "give a moment from now on and before the window ends")
    fallbacks = (stop.fallback, *stop.later_fallbacks)
    frozen = await freezes.find_frozen(connection, stop.access_point_id, courier_id)
    reasons = _list_reasons(case, courier, frozen, now)
    if reasons:
        return Heading(
            reasons=reasons,
            fallbacks=fallbacks,
            heading_at=stop.heading_at,
            expected_at=stop.expected_at,
            is_being_checked=False,
        )
    await preflights.set_heading(connection, stop_id, now, expected_at)
    if stop.heading_at is None:
        await _tell(connection, case, courier.first_name, expected_at, now)
    latest = await preflights.find_latest(connection, stop_id, stop.plan_number)
    is_old = latest is None or not latest.is_seen or now - latest.at > FINDING_LASTS
    is_being_checked = (
        is_old
        and stop.state == StopState.OPEN
        and await ask_for_check(connection, stop, DutyKind.HEADING, now)
    )
    return Heading(
        reasons=(),
        fallbacks=fallbacks,
        heading_at=stop.heading_at or now,
        expected_at=expected_at or stop.expected_at,
        is_being_checked=is_being_checked,
    )


def _list_reasons(
    case: Case, courier: CourierRow, frozen: Incident | None, now: datetime
) -> tuple[Incident, ...]:
    """Every reason against setting out now."""
    stop, point = case.stop, case.point
    has_ended = point.consent_ends_at is not None and now >= point.consent_ends_at
    wrong = {
        Incident.COURIER_NOT_ACTIVE: not courier.is_active,
        Incident.CARRIER_STOP_ENDED: stop.state not in (StopState.OPEN, StopState.FALLBACK_DUE),
        Incident.COURIER_TOO_EARLY: now < stop.window_from - SETS_OUT_BEFORE,
        Incident.COURIER_TOO_LATE: now >= stop.window_until,
        Incident.CONSIGNEE_BLOCKED: point.blocked_at is not None,
        Incident.CONSIGNEE_CONSENT_ENDED: not point.is_consent_given or has_ended,
        Incident.PLATFORM_PLACE_FROZEN: point.is_frozen,
        Incident.CONSIGNEE_PET_LOOSE: case.is_pet_loose,
        Incident.DEVICE_CAMERA_NOT_ENROLLED: case.kind is PlaceKind.HOME and not case.is_witnessed(now),
    }
    known = [*([Incident(stop.ruled_out)] if stop.ruled_out else []), *([frozen] if frozen else [])]
    return tuple(dict.fromkeys([*known, *(incident for incident, is_wrong in wrong.items() if is_wrong)]))


async def _tell(
    connection: AsyncConnection, case: Case, first_name: str, expected_at: datetime | None, now: datetime
) -> None:
    facts = {"courier": first_name}
    if expected_at is not None:
        facts["at"] = text_of_time(expected_at)
    await tell_of_stop(connection, NoticeEvent.COURIER_ON_THE_WAY, case.stop, now, facts)
