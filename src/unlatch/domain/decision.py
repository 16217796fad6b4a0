"""The decision: may this scan open this closure now? Granted, or denied with every reason.

A table of named checks. Each looks at the `Situation` alone, and each that fails is listed, so that whoever
reads the refusal need not come back for the next reason. A grant bears the version of this policy.

Deliberately **not** checked here, and why: see `NOT_CHECKED`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from types import MappingProxyType

from unlatch.domain.access import Closure, Consent, PlaceKind, Position, distance_m
from unlatch.domain.incident import Incident
from unlatch.domain.parking import Parking, parking_of
from unlatch.domain.reading import Reading

POLICY_VERSION = "2026-11-27"
REACH_M = 50.0  # how near the courier's phone must be to the car, besides both accuracies
WORST_ACCURACY_M = 100.0  # a phone that knows less than this about where it is, knows nothing
READING_MAX_AGE_S = 120.0
GRANT_MAX_AGE_S = 60.0  # S1

NOT_CHECKED: Mapping[str, str] = MappingProxyType(
    {
        "weight, size and value of the parcel": "decided at booking; a scan can't measure them",
        "membership and coverage": "decided at booking; a lapse on the day must not strand a parcel",
        "the courier's face": "the phone's own lock does that; we bind the device's key",
        "the order of the stops": "a courier may go round a road block",
        "the phone's clock": "our own clock decides; the phone's is only written down",
        "whether the parcel fits": "only the courier can see that, and says so with could-not",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that the decision may look at, as one transaction saw it. None: not known."""

    now: datetime
    local_time: time  # now, in the time zone of the address
    # courier and device
    is_courier_active: bool
    is_courier_of_stop: bool
    is_device_revoked: bool
    is_courier_busy: bool  # another visit of this courier lives
    courier_position: Position | None
    # parcel and stop
    is_parcel_known: bool
    is_parcel_of_stop: bool
    is_parcel_with_carrier: bool  # neither delivered nor at its fallback
    is_stop_open: bool
    ruled_out: Incident | None  # why the place is not to be opened for this stop, as was found out before
    window_from: datetime
    window_until: datetime
    # place
    kind: PlaceKind
    closure: Closure
    address: Position
    range_m: float
    consent: Consent
    allows_unseen_lock: bool  # the programme takes closures whose lock can't be read
    is_place_busy: bool  # another visit lives at this access point
    is_place_watched: bool  # an earlier unlock may still take effect (S2)
    is_place_frozen: bool
    frozen: Incident | None = (
        None  # by what reaches further than this place: a courier, a cloud, an area, everything
    )
    # device and its cloud
    reading: Reading | None
    is_reading_refused: Incident | None = None  # why the last try to read failed
    is_cloud_down: bool = False
    is_quota_used_up: bool = False
    is_opening_agreed: bool = True  # the owner of the account lets us open and lock
    # homes alone
    heard_at: datetime | None = None  # when the hub last told how the door stands, be it the same as before
    is_pet_loose: bool = False  # the consignee said so
    is_camera_enrolled: bool = False  # one was shown to see the door, and its monthly check is not overdue
    is_camera_heard: bool = False  # it is connected and sends pictures
    is_camera_contradicted: bool = False  # what it sends stands still, repeats or is late


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Granted where `reasons` is empty."""

    reasons: tuple[Incident, ...]
    checks: tuple[str, ...]  # names of the checks that ran
    policy_version: str = POLICY_VERSION

    @property
    def is_granted(self) -> bool:
        return not self.reasons


Check = Callable[[Situation], Incident | None]
I = Incident  # noqa: E741


def _fails(name: Incident, is_wrong: Callable[[Situation], bool]) -> Check:
    def check(situation: Situation) -> Incident | None:
        return name if is_wrong(situation) else None

    return check


def _of_home(name: Incident, is_wrong: Callable[[Situation], bool]) -> Check:
    """A check that is asked at homes alone."""
    return _fails(name, lambda situation: situation.kind is PlaceKind.HOME and is_wrong(situation))


def is_reading_fresh(situation: Situation) -> bool:
    """A reading that the decision may rest on: at most READING_MAX_AGE_S old, and not from the future.

    A car tells when it saw itself so. A home's hub tells since when the door stands so, which may be since yesterday:
    there it counts when the hub was asked. After a command of ours that would not do (S5); this is before any.
    """
    reading, now = situation.reading, situation.now
    if reading is None:
        return False
    at = situation.heard_at if situation.kind is PlaceKind.HOME else reading.observed_at
    return at is not None and abs(now - at) <= timedelta(seconds=READING_MAX_AGE_S)


def _reading(situation: Situation) -> Incident | None:
    if is_reading_fresh(situation):
        return None
    return situation.is_reading_refused or I.DEVICE_NO_READING


def _car_position(situation: Situation) -> Position | None:
    if situation.kind is PlaceKind.HOME:
        return situation.address
    return situation.reading.position if situation.reading else None


def _position(situation: Situation) -> Incident | None:
    return I.DEVICE_POSITION_UNKNOWN if _car_position(situation) is None else None


def _range(situation: Situation) -> Incident | None:
    """The car's own position is the truth (S9): even at the far end of its accuracy it must be in range."""
    if situation.kind is PlaceKind.HOME:
        return None
    parking = parking_of(_car_position(situation), situation.address, situation.range_m)
    is_wrong = parking in (Parking.OUT_OF_RANGE, Parking.UNSURE)  # unknown is named by another check
    return I.CONSIGNEE_CAR_OUT_OF_RANGE if is_wrong else None


def _phone(situation: Situation) -> Incident | None:
    phone = situation.courier_position
    if phone is None or phone.accuracy_m > WORST_ACCURACY_M:
        return I.COURIER_POSITION_UNKNOWN
    return None


def _reach(situation: Situation) -> Incident | None:
    """Both must agree (S9): near enough, given what phone and car may each be wrong by."""
    phone, car = situation.courier_position, _car_position(situation)
    if phone is None or car is None:
        return None  # named by another check
    limit_m = REACH_M + min(phone.accuracy_m, WORST_ACCURACY_M) + min(car.accuracy_m, WORST_ACCURACY_M)
    return I.COURIER_TOO_FAR if distance_m(phone, car) > limit_m else None


def _closure(situation: Situation) -> Incident | None:
    """Seen closed and locked. What can't be read is not guessed: the weaker assurance has its own check."""
    reading = situation.reading
    if reading is None:
        return None
    if reading.is_open:
        return I.DEVICE_OPEN_ON_ARRIVAL
    if reading.is_locked is False:
        return I.DEVICE_UNLOCKED_ON_ARRIVAL
    told_all = (reading.is_locked or not situation.closure.reads_lock) and (
        reading.is_open is False or not situation.closure.reads_lid
    )
    return None if told_all else I.DEVICE_NO_READING


def _moving(situation: Situation) -> Incident | None:
    """Parked is a thing to be told, not to be guessed: a car that does not say so is not opened."""
    reading = situation.reading
    if reading is None or situation.kind is PlaceKind.HOME:
        return None
    if reading.is_moving is None:
        return I.DEVICE_NO_READING
    return I.CONSIGNEE_CAR_MOVING if reading.is_moving else None


def _consent(situation: Situation) -> Incident | None:
    if situation.consent.blocked_at is not None:
        return I.CONSIGNEE_BLOCKED
    return None if situation.consent.is_alive(situation.now) else I.CONSIGNEE_CONSENT_ENDED


# What people have decided about a stop before its scan; what pre-flight has found of the place, the checks below find.
BY_PEOPLE = frozenset({I.CARRIER_CANCELLED, I.CARRIER_NOBODY_CAME, I.CONSIGNEE_REDIRECTED})

CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "courier is active": _fails(I.COURIER_NOT_ACTIVE, lambda s: not s.is_courier_active),
        "courier drives this route": _fails(I.COURIER_NOT_ON_ROUTE, lambda s: not s.is_courier_of_stop),
        "device is enrolled": _fails(I.COURIER_DEVICE_REVOKED, lambda s: s.is_device_revoked),
        "courier has no other visit": _fails(I.COURIER_BUSY_ELSEWHERE, lambda s: s.is_courier_busy),
        "parcel is known": _fails(I.CARRIER_PARCEL_UNKNOWN, lambda s: not s.is_parcel_known),
        "parcel is for this stop": _fails(
            I.CARRIER_PARCEL_OF_OTHER_STOP, lambda s: s.is_parcel_known and not s.is_parcel_of_stop
        ),
        "parcel is still to deliver": _fails(
            I.CARRIER_PARCEL_DONE_ALREADY, lambda s: s.is_parcel_known and not s.is_parcel_with_carrier
        ),
        "stop is open": _fails(I.CARRIER_STOP_ENDED, lambda s: not s.is_stop_open),
        "stop was not ruled out": lambda s: s.ruled_out,
        "window has begun": _fails(I.COURIER_TOO_EARLY, lambda s: s.now < s.window_from),
        "window has not passed": _fails(I.COURIER_TOO_LATE, lambda s: s.now >= s.window_until),
        "consent is alive": _consent,
        "hour is allowed": _fails(
            I.CONSIGNEE_HOUR_NOT_ALLOWED, lambda s: not s.consent.has_hour(s.local_time)
        ),
        "place is free": _fails(I.PLATFORM_PLACE_BUSY, lambda s: s.is_place_busy),
        "no earlier unlock may still act": _fails(
            I.PLATFORM_PLACE_STILL_WATCHED, lambda s: s.is_place_watched
        ),
        "place is not frozen": _fails(I.PLATFORM_PLACE_FROZEN, lambda s: s.is_place_frozen),
        "nothing wider is frozen": lambda s: s.frozen,
        "lock can be seen": _fails(
            I.DEVICE_LOCK_NOT_READABLE, lambda s: not s.closure.reads_lock and not s.allows_unseen_lock
        ),
        "reading is fresh": _reading,
        "closure is closed and locked": _closure,
        "car is parked": _moving,
        "car tells where it is": _position,
        "car is in range of the address": _range,
        "courier's position is known": _phone,
        "courier is beside it": _reach,
        "cloud is up": _fails(I.DEVICE_CLOUD_OUTAGE, lambda s: s.is_cloud_down),
        "quota is left": _fails(I.DEVICE_QUOTA_USED_UP, lambda s: s.is_quota_used_up),
        "owner lets us open and lock": _fails(I.DEVICE_CONSENT_LOST, lambda s: not s.is_opening_agreed),
        "door is not bolted from inside": _of_home(
            I.CONSIGNEE_SECOND_BOLT, lambda s: bool(s.reading and s.reading.is_bolted_inside)
        ),
        "alarm is not armed": _of_home(
            I.CONSIGNEE_ALARM_ARMED, lambda s: bool(s.reading and s.reading.is_alarm_armed)
        ),
        "no animal can run out": _of_home(
            I.CONSIGNEE_PET_LOOSE, lambda s: s.is_pet_loose or bool(s.reading and s.reading.is_pet_loose)
        ),
        "a camera was shown to see the door": _of_home(
            I.DEVICE_CAMERA_NOT_ENROLLED, lambda s: not s.is_camera_enrolled
        ),
        "camera sends pictures": _of_home(
            I.DEVICE_CAMERA_OFFLINE, lambda s: s.is_camera_enrolled and not s.is_camera_heard
        ),
        "camera's pictures live": _of_home(I.DEVICE_CAMERA_NOT_PROVEN, lambda s: s.is_camera_contradicted),
    }
)

# What a new reading can still change. If only these fail for want of a reading, it is worth to look first.
_BY_READING = frozenset({I.DEVICE_NO_READING, I.DEVICE_POSITION_UNKNOWN, I.DEVICE_CAMERA_OFFLINE})


def decide(situation: Situation) -> Decision:
    """Run every check. Microseconds; no early end, so that all reasons are known."""
    reasons = [reason for check in CHECKS.values() if (reason := check(situation)) is not None]
    return Decision(reasons=tuple(dict.fromkeys(reasons)), checks=tuple(CHECKS))


def must_look_first(situation: Situation, decision: Decision) -> bool:
    """Whether the reading is too old to decide on, or no camera connected yet, and nothing else stands against it."""
    is_camera_awaited = I.DEVICE_CAMERA_OFFLINE in decision.reasons
    is_fresh = is_reading_fresh(situation)
    if (is_fresh and not is_camera_awaited) or situation.ruled_out is not None:
        return False
    by_reading = _BY_READING | {situation.is_reading_refused}
    by_old_reading: frozenset[Incident] | set[Incident] = {
        I.DEVICE_OPEN_ON_ARRIVAL,
        I.DEVICE_UNLOCKED_ON_ARRIVAL,
        I.CONSIGNEE_CAR_MOVING,
        I.CONSIGNEE_CAR_OUT_OF_RANGE,
        I.COURIER_TOO_FAR,
        I.CONSIGNEE_SECOND_BOLT,
        I.CONSIGNEE_ALARM_ARMED,
        I.CONSIGNEE_PET_LOOSE,
    }
    by_old_reading = frozenset() if is_fresh else by_old_reading
    return all(reason in by_reading or reason in by_old_reading for reason in decision.reasons)
