"""Pre-flight: what would keep this place from being opened in a while, who can mend it, and how.

Asked 60 and 30 minutes ahead, when a courier sets out, and whenever the consignee wants to know. A table of named
checks over a `Preflight`, as the decision at the scan is one over a `Situation`; each that fails is listed. What it
finds is a forecast: the scan asks everything again.

At the first check what fails is told to the consignee, who has time to mend it; only what nobody can mend in time
rules the place out at once. At the last one it is ruled out, so that no courier walks there in vain. What may pass by
itself is looked at again before it counts. What was not seen for our own sake (the read budget) is no reason.

Deliberately **not** asked here, and why: see `NOT_ASKED`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum, auto

from unlatch.domain.access import Closure, Consent, PlaceKind, Position
from unlatch.domain.decision import BY_PEOPLE
from unlatch.domain.incident import Incident
from unlatch.domain.parking import Parking, parking_of, shown_distance_m
from unlatch.domain.reading import Reading

FRESH_FOR_S = 600.0  # what a car said of itself that long ago still counts
USABLE_FOR_S = 1800.0  # and that long where its read budget is used up
TRIES = 3  # of what may pass by itself, before it counts

NOT_ASKED: Mapping[str, str] = {
    "an earlier unlock may still act": "its watch lasts minutes, and is over long before this stop's courier comes",
    "another visit lives at the place": "likewise; the scan asks for it",
    "the courier and the phone": "another courier may bring it; the scan asks who does",
    "the parcel": "asked at booking, and by its label at the scan",
    "membership and coverage": "decided at booking; a lapse on the day must not strand a parcel",
    "a proof of recording": "the camera of a home is connected and looked at; it proves itself right before the unlock",
}


class Remedy(StrEnum):
    """What can be done about it."""

    UNBLOCK = auto()
    GIVE_CONSENT = auto()
    WIDEN_HOURS = auto()
    MOVE_CAR_NEARER = auto()
    PARK_IN_THE_OPEN = auto()
    WAIT_FOR_PARKING = auto()
    CLOSE_AND_LOCK = auto()
    START_CAR_ONCE = auto()
    LINK_AGAIN = auto()
    RENEW_SUBSCRIPTION = auto()
    CLOSE_AND_LOCK_DOOR = auto()
    WITHDRAW_SECOND_BOLT = auto()
    DISARM_ALARM = auto()
    SHUT_PET_AWAY = auto()
    PLUG_IN_CAMERA = auto()
    CHECK_CAMERA = auto()
    ENROL_CAMERA = auto()
    LOOK_AT_HUB = auto()
    LINK_HUB_AGAIN = auto()
    NOTHING_WE_ARE_ON_IT = auto()
    NOTHING_IN_TIME = auto()


class Mender(StrEnum):
    """Who can mend it."""

    CONSIGNEE = auto()
    CARRIER = auto()
    OPERATOR = auto()  # the platform's own people, and whoever they call at the maker's
    NOBODY = auto()  # in time


class Picture(StrEnum):
    """What the cameras of a home that may be witnesses show."""

    LIVING = auto()  # one of them is heard, and nothing speaks against it
    MISSING = auto()  # none can be reached, or sends anything
    FALSE = auto()  # what comes stands still, repeats or is late


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """All that pre-flight may look at, as one transaction saw it. None: not told."""

    now: datetime
    comes_at: datetime  # when the courier is expected; not before now
    local_times: tuple[time, ...]  # by the address's clock, at which the courier may still come
    consent: Consent
    is_frozen: bool
    is_frozen_widely: bool  # by what reaches further than this place
    closure: Closure | None  # None: no car is linked there any more
    allows_unseen_lock: bool
    obstacle: Incident | None  # why a command would not leave now, as far as this process knows
    address: Position
    range_m: float
    reading: Reading | None
    refused: Incident | None  # why the last try to read failed; None: it did not
    is_looked_at: bool  # the car was asked lately; False: its read budget did not allow it
    kind: PlaceKind = PlaceKind.CAR
    # homes alone
    heard_at: datetime | None = None  # when the hub last told how the door stands, be it the same as before
    is_pet_loose: bool = False  # its household says so
    is_camera_enrolled: bool = False  # one is a witness, and will still be when the courier comes
    picture: Picture | None = None  # None: not looked at

    @property
    def told_at(self) -> datetime | None:
        """When what is known of it was so: a car says when it saw itself, a hub is believed when it is asked."""
        if self.kind is PlaceKind.HOME:
            return self.heard_at
        return None if self.reading is None else self.reading.observed_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What follows from a reason: its remedy, who can mend it, and whether the last check rules the place out by it."""

    remedy: Remedy
    mender: Mender
    rules_out: bool = True
    again_after_s: float | None = (
        None  # it may pass by itself: looked at again, TRIES in all, before it counts
    )
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one pre-flight found: all is well where `reasons` is empty, as far as it `is_seen`."""

    reasons: tuple[Incident, ...]
    parking: Parking
    distance_m: float | None  # from the address, as it may be shown
    observed_at: datetime | None  # when the car saw itself so
    is_seen: bool  # False: nothing usable is known of the car, since its read budget is used up
    kind: PlaceKind = PlaceKind.CAR

    @property
    def is_well(self) -> bool:
        return not self.reasons

    def remedies(self) -> dict[Incident, Remedy]:
        """What to do for each reason."""
        return {reason: remedy_for(reason, self.parking, self.kind) for reason in self.reasons}

    def find_ruling(self, *, is_last: bool) -> Incident | None:
        """By which reason the place is ruled out now, if by any."""
        for reason in self.reasons:
            answer = answer_to(reason, self.kind)
            if answer.mender is Mender.NOBODY or (is_last and answer.rules_out):
                return reason
        return None

    @property
    def again_after_s(self) -> float | None:
        """How long to wait before it is looked at again, where all that fails may pass by itself."""
        waits = [answer_to(reason, self.kind).again_after_s for reason in self.reasons]
        known = [wait for wait in waits if wait is not None]
        return max(known) if known and len(known) == len(waits) else None


Check = Callable[[Preflight], Incident | None]
I, R, M = Incident, Remedy, Mender  # noqa: E741


def find_usable(preflight: Preflight) -> Reading | None:
    """The reading that may be judged: young enough, and not one that the device has refused to renew."""
    reading = preflight.reading
    if reading is None or preflight.told_at is None or preflight.refused is not None:
        return None
    usable_for_s = FRESH_FOR_S if preflight.is_looked_at else USABLE_FOR_S
    age = preflight.now - preflight.told_at
    return reading if abs(age) <= timedelta(seconds=usable_for_s) else None


def _blocked(preflight: Preflight) -> Incident | None:
    return I.CONSIGNEE_BLOCKED if preflight.consent.blocked_at is not None else None


def _consent(preflight: Preflight) -> Incident | None:
    """As it will be when the courier comes."""
    consent = preflight.consent
    is_alive = consent.is_given and (consent.ends_at is None or preflight.comes_at < consent.ends_at)
    return None if is_alive else I.CONSIGNEE_CONSENT_ENDED


def _hours(preflight: Preflight) -> Incident | None:
    """One moment of the window is enough: the courier may come then."""
    times = preflight.local_times
    meets = not times or any(preflight.consent.has_hour(local) for local in times)
    return None if meets else I.CONSIGNEE_HOUR_NOT_ALLOWED


def _frozen(preflight: Preflight) -> Incident | None:
    return I.PLATFORM_PLACE_FROZEN if preflight.is_frozen else None


def _frozen_widely(preflight: Preflight) -> Incident | None:
    return I.PLATFORM_FROZEN_WIDELY if preflight.is_frozen_widely else None


def _linked(preflight: Preflight) -> Incident | None:
    """There is a car, and its owner lets us open it."""
    is_lost = preflight.closure is None or preflight.obstacle is I.DEVICE_CONSENT_LOST
    return I.DEVICE_CONSENT_LOST if is_lost else None


def _lock_readable(preflight: Preflight) -> Incident | None:
    closure = preflight.closure
    if closure is None or closure.reads_lock or preflight.allows_unseen_lock:
        return None
    return I.DEVICE_LOCK_NOT_READABLE


def _obstacle(name: Incident) -> Check:
    return lambda preflight: name if preflight.obstacle is name else None


def _answers(preflight: Preflight) -> Incident | None:
    """It answered, and what it said of itself is young enough."""
    if preflight.closure is None:
        return None  # named by another check
    if preflight.refused is not None:
        return preflight.refused
    if find_usable(preflight) is not None or not preflight.is_looked_at:
        return None
    return I.DEVICE_NO_READING


def _of_reading(check: Callable[[Preflight, Reading], Incident | None]) -> Check:
    """A check of what the car says; where nothing usable is known, another check names that."""

    def run(preflight: Preflight) -> Incident | None:
        reading = find_usable(preflight)
        return None if reading is None else check(preflight, reading)

    return run


def _of_car(check: Callable[[Reading], bool], name: Incident) -> Check:
    """A check that is asked of cars alone."""

    def run(preflight: Preflight, reading: Reading) -> Incident | None:
        return name if preflight.kind is PlaceKind.CAR and check(reading) else None

    return _of_reading(run)


def _of_home(check: Callable[[Preflight], bool], name: Incident) -> Check:
    """A check that is asked of homes alone."""

    def run(preflight: Preflight) -> Incident | None:
        return name if preflight.kind is PlaceKind.HOME and check(preflight) else None

    return run


def _inside(name: str) -> Callable[[Preflight], bool]:
    """Whether the hub says so of what is inside; what it does not tell is not so."""

    def is_so(preflight: Preflight) -> bool:
        return bool(getattr(find_usable(preflight), name, False))

    return is_so


def _range(preflight: Preflight, reading: Reading) -> Incident | None:
    if preflight.kind is PlaceKind.HOME:
        return None
    parking = parking_of(reading.position, preflight.address, preflight.range_m)
    is_wrong = parking in (Parking.OUT_OF_RANGE, Parking.UNSURE)
    return I.CONSIGNEE_CAR_OUT_OF_RANGE if is_wrong else None


def _tells_all(preflight: Preflight, reading: Reading) -> Incident | None:
    """What the scan will want to be told: whether it is parked, and of the closure whatever it can tell."""
    closure = preflight.closure
    is_silent = (preflight.kind is PlaceKind.CAR and reading.is_moving is None) or (
        closure is not None
        and (
            (closure.reads_lock and reading.is_locked is None)
            or (closure.reads_lid and reading.is_open is None)
        )
    )
    return I.DEVICE_NO_READING if is_silent else None


CHECKS: Mapping[str, Check] = {
    "place is not blocked": _blocked,
    "consent lasts": _consent,
    "hours meet the window": _hours,
    "place is not frozen": _frozen,
    "nothing wider is frozen": _frozen_widely,
    "car or hub is linked": _linked,
    "lock can be seen": _lock_readable,
    "cloud is up": _obstacle(I.DEVICE_CLOUD_OUTAGE),
    "quota is left": _obstacle(I.DEVICE_QUOTA_USED_UP),
    "car or hub answers": _answers,
    "car is parked": _of_car(lambda reading: bool(reading.is_moving), I.CONSIGNEE_CAR_MOVING),
    "car tells where it is": _of_car(lambda reading: reading.position is None, I.DEVICE_POSITION_UNKNOWN),
    "car is in range of the address": _of_reading(_range),
    "closure is closed": _of_reading(
        lambda _, reading: I.DEVICE_OPEN_ON_ARRIVAL if reading.is_open else None
    ),
    "closure is locked": _of_reading(
        lambda _, reading: I.DEVICE_UNLOCKED_ON_ARRIVAL if reading.is_locked is False else None
    ),
    "car or hub tells all that the scan asks": _of_reading(_tells_all),
    "door is not bolted from inside": _of_home(_inside("is_bolted_inside"), I.CONSIGNEE_SECOND_BOLT),
    "alarm is not armed": _of_home(_inside("is_alarm_armed"), I.CONSIGNEE_ALARM_ARMED),
    "no animal can run out": _of_home(
        lambda home: home.is_pet_loose or _inside("is_pet_loose")(home), I.CONSIGNEE_PET_LOOSE
    ),
    "a camera was shown to see the door": _of_home(
        lambda home: not home.is_camera_enrolled, I.DEVICE_CAMERA_NOT_ENROLLED
    ),
    "camera sends pictures": _of_home(
        lambda home: home.is_camera_enrolled and home.picture is Picture.MISSING, I.DEVICE_CAMERA_OFFLINE
    ),
    "camera's pictures live": _of_home(
        lambda home: home.is_camera_enrolled and home.picture is Picture.FALSE, I.DEVICE_CAMERA_NOT_PROVEN
    ),
}

_SAME = "the scan would refuse by it"
ANSWERS: Mapping[Incident, Answer] = {
    I.CONSIGNEE_BLOCKED: Answer(remedy=R.UNBLOCK, mender=M.CONSIGNEE, why="nothing is opened while it is blocked"),
    I.CONSIGNEE_CONSENT_ENDED: Answer(remedy=R.GIVE_CONSENT, mender=M.CARRIER, why=_SAME),
    I.CONSIGNEE_HOUR_NOT_ALLOWED: Answer(remedy=R.WIDEN_HOURS, mender=M.CONSIGNEE, why=_SAME),
    I.PLATFORM_PLACE_FROZEN: Answer(remedy=R.NOTHING_WE_ARE_ON_IT, mender=M.OPERATOR, why=_SAME),
    I.PLATFORM_FROZEN_WIDELY: Answer(remedy=R.NOTHING_WE_ARE_ON_IT, mender=M.OPERATOR, why=_SAME),
    I.DEVICE_LOCK_NOT_READABLE: Answer(
        remedy=R.NOTHING_IN_TIME, mender=M.NOBODY, why="neither the car nor the programme changes in an hour"
    ),
    I.DEVICE_CLOUD_OUTAGE: Answer(
        remedy=R.NOTHING_WE_ARE_ON_IT, mender=M.OPERATOR, again_after_s=90.0, why="most outages last seconds"
    ),
    I.DEVICE_QUOTA_USED_UP: Answer(
        remedy=R.NOTHING_WE_ARE_ON_IT, mender=M.OPERATOR, rules_out=False, again_after_s=90.0,
        why="a quota is of minutes and is whole again when the courier comes",
    ),
    I.DEVICE_CONSENT_LOST: Answer(remedy=R.LINK_AGAIN, mender=M.CONSIGNEE, why=_SAME),
    I.DEVICE_SUBSCRIPTION_LAPSED: Answer(remedy=R.RENEW_SUBSCRIPTION, mender=M.CONSIGNEE, why=_SAME),
    I.DEVICE_ASLEEP: Answer(
        remedy=R.START_CAR_ONCE, mender=M.CONSIGNEE, why="waking it again and again drains its battery"
    ),
    I.DEVICE_NO_READING: Answer(
        remedy=R.START_CAR_ONCE, mender=M.CONSIGNEE, again_after_s=90.0,
        why="some cars tell what they were asked for only the next time",
    ),
    I.CONSIGNEE_CAR_MOVING: Answer(
        remedy=R.WAIT_FOR_PARKING, mender=M.CONSIGNEE, again_after_s=300.0, why="it may be coming home"
    ),
    I.DEVICE_POSITION_UNKNOWN: Answer(remedy=R.PARK_IN_THE_OPEN, mender=M.CONSIGNEE, why=_SAME),
    I.CONSIGNEE_CAR_OUT_OF_RANGE: Answer(remedy=R.MOVE_CAR_NEARER, mender=M.CONSIGNEE, why=_SAME),
    I.DEVICE_OPEN_ON_ARRIVAL: Answer(remedy=R.CLOSE_AND_LOCK, mender=M.CONSIGNEE, why=_SAME),
    I.DEVICE_UNLOCKED_ON_ARRIVAL: Answer(remedy=R.CLOSE_AND_LOCK, mender=M.CONSIGNEE, why=_SAME),
    I.CONSIGNEE_SECOND_BOLT: Answer(remedy=R.WITHDRAW_SECOND_BOLT, mender=M.CONSIGNEE, why=_SAME),
    I.CONSIGNEE_ALARM_ARMED: Answer(remedy=R.DISARM_ALARM, mender=M.CONSIGNEE, why=_SAME),
    I.CONSIGNEE_PET_LOOSE: Answer(remedy=R.SHUT_PET_AWAY, mender=M.CONSIGNEE, why=_SAME),
    I.DEVICE_CAMERA_NOT_ENROLLED: Answer(remedy=R.ENROL_CAMERA, mender=M.CONSIGNEE, why=_SAME),
    I.DEVICE_CAMERA_OFFLINE: Answer(
        remedy=R.PLUG_IN_CAMERA, mender=M.CONSIGNEE, again_after_s=90.0, why="it may be starting anew"
    ),
    I.DEVICE_CAMERA_NOT_PROVEN: Answer(
        remedy=R.CHECK_CAMERA, mender=M.CONSIGNEE, again_after_s=90.0, why="some catch up by themselves"
    ),
}  # fmt: skip

# Where it is another's to mend, or in another way, at a home.
ANSWERS_AT_HOME: Mapping[Incident, Answer] = {
    I.DEVICE_CLOUD_OUTAGE: Answer(
        remedy=R.LOOK_AT_HUB,
        mender=M.CONSIGNEE,
        again_after_s=90.0,
        why="its own hub, or the way to it, is down",
    ),
    I.DEVICE_CONSENT_LOST: Answer(remedy=R.LINK_HUB_AGAIN, mender=M.CONSIGNEE, why=_SAME),
    I.DEVICE_ASLEEP: Answer(
        remedy=R.LOOK_AT_HUB,
        mender=M.CONSIGNEE,
        again_after_s=90.0,
        why="the lock, or its hub, does not answer",
    ),
    I.DEVICE_NO_READING: Answer(
        remedy=R.LOOK_AT_HUB,
        mender=M.CONSIGNEE,
        again_after_s=90.0,
        why="the lock, or its hub, does not answer",
    ),
    I.DEVICE_OPEN_ON_ARRIVAL: Answer(
        remedy=R.CLOSE_AND_LOCK_DOOR,
        mender=M.CONSIGNEE,
        again_after_s=300.0,
        why="someone may be on their way out",
    ),
    I.DEVICE_UNLOCKED_ON_ARRIVAL: Answer(
        remedy=R.CLOSE_AND_LOCK_DOOR,
        mender=M.CONSIGNEE,
        again_after_s=300.0,
        why="someone may be on their way out",
    ),
}

# Found in our own rows: known without a look at the car.
IN_OUR_ROWS = frozenset(
    {
        I.CONSIGNEE_BLOCKED,
        I.CONSIGNEE_CONSENT_ENDED,
        I.CONSIGNEE_HOUR_NOT_ALLOWED,
        I.PLATFORM_PLACE_FROZEN,
        I.PLATFORM_FROZEN_WIDELY,
        I.DEVICE_LOCK_NOT_READABLE,
    }
)


def answer_to(reason: Incident, kind: PlaceKind) -> Answer:
    """What follows from it at such a place."""
    at_home = ANSWERS_AT_HOME.get(reason) if kind is PlaceKind.HOME else None
    return at_home or ANSWERS[reason]


def remedy_for(reason: Incident, parking: Parking, kind: PlaceKind = PlaceKind.CAR) -> Remedy:
    """What to do about it. One who parks in range, but under a roof, is not sent nearer."""
    if reason is I.CONSIGNEE_CAR_OUT_OF_RANGE and parking is Parking.UNSURE:
        return Remedy.PARK_IN_THE_OPEN
    return answer_to(reason, kind).remedy


def is_by_preflight(ruled_out: Incident | None) -> bool:
    """Whether pre-flight may change what a stop is ruled out by. What people have decided it never does."""
    return ruled_out is None or ruled_out not in BY_PEOPLE


def ask(preflight: Preflight) -> Finding:
    """Run every check; no early end, so that all reasons are known."""
    reasons = [reason for check in CHECKS.values() if (reason := check(preflight)) is not None]
    reading = find_usable(preflight)
    position = reading.position if reading is not None else None
    return Finding(
        reasons=tuple(dict.fromkeys(reasons)),
        parking=parking_of(position, preflight.address, preflight.range_m),
        distance_m=shown_distance_m(position, preflight.address),
        observed_at=None if preflight.reading is None else preflight.told_at,
        kind=preflight.kind,
        is_seen=reading is not None or preflight.refused is not None or preflight.is_looked_at,
    )
