"""What can go wrong, whose it is, who is called, and what the courier does next.

The culprit stands in front: `courier_`, `consignee_`, `device_`, `carrier_`, `platform_`. The texts for each
reader in English and French stand in `wording.py`; a test keeps them complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum, auto

from unlatch.domain.visit import Fact, State, Tail


class Incident(StrEnum):
    # A scan that does not open (found by the decision).
    COURIER_NOT_ACTIVE = auto()
    COURIER_NOT_ON_ROUTE = auto()
    COURIER_DEVICE_REVOKED = auto()
    COURIER_BUSY_ELSEWHERE = auto()  # another visit of this courier still lives
    COURIER_TOO_FAR = auto()
    COURIER_POSITION_UNKNOWN = auto()
    COURIER_TOO_EARLY = auto()
    COURIER_TOO_LATE = auto()
    CARRIER_PARCEL_UNKNOWN = auto()
    CARRIER_PARCEL_OF_OTHER_STOP = auto()
    CARRIER_PARCEL_DONE_ALREADY = auto()
    CARRIER_STOP_ENDED = auto()
    CARRIER_CANCELLED = auto()
    CARRIER_NOBODY_CAME = auto()  # the window is over, and no courier asked to open
    CONSIGNEE_REDIRECTED = auto()  # the household has sent it another way
    CONSIGNEE_BLOCKED = auto()
    CONSIGNEE_CONSENT_ENDED = auto()
    CONSIGNEE_HOUR_NOT_ALLOWED = auto()
    CONSIGNEE_CAR_OUT_OF_RANGE = auto()
    CONSIGNEE_CAR_MOVING = auto()
    DEVICE_OPEN_ON_ARRIVAL = auto()
    DEVICE_UNLOCKED_ON_ARRIVAL = auto()
    DEVICE_POSITION_UNKNOWN = auto()
    DEVICE_NO_READING = auto()  # nothing fresh could be read in time
    DEVICE_ASLEEP = auto()
    DEVICE_CONSENT_LOST = auto()  # the maker no longer lets us in
    DEVICE_SUBSCRIPTION_LAPSED = auto()  # of the car's connected service
    DEVICE_CLOUD_OUTAGE = auto()
    DEVICE_QUOTA_USED_UP = auto()
    DEVICE_LOCK_NOT_READABLE = auto()  # weaker assurance, and the programme does not allow it
    DEVICE_CAMERA_NOT_PROVEN = auto()
    DEVICE_CAMERA_OFFLINE = auto()  # it can't be reached, or sends nothing
    DEVICE_CAMERA_NOT_ENROLLED = (
        auto()
    )  # no camera of the place was shown to see the door, or the check is overdue
    CONSIGNEE_SECOND_BOLT = auto()  # shut from inside
    CONSIGNEE_ALARM_ARMED = auto()
    CONSIGNEE_PET_LOOSE = auto()
    PLATFORM_PLACE_BUSY = auto()  # another live visit at this access point
    PLATFORM_PLACE_STILL_WATCHED = auto()  # an earlier unlock may still take effect (S2)
    PLATFORM_PLACE_FROZEN = auto()
    PLATFORM_COURIER_FROZEN = auto()  # an operator lets this courier open nothing for now
    PLATFORM_FROZEN_WIDELY = auto()  # a maker's cloud, an area or everything is frozen by an operator
    # Between the scan and the unlock.
    COURIER_GAVE_UP = auto()
    PLATFORM_TOO_SLOW = auto()  # the grant or the decision ran out of time
    PLATFORM_RESTORED = auto()  # the fence was raised: what was recorded last may be lost (S10)
    DEVICE_COMMAND_NOT_SENT = auto()
    CONSIGNEE_AT_HOME = auto()  # someone came to the door
    CONSIGNEE_OPENED_FIRST = auto()  # the resident opened or unlocked it before us
    CONSIGNEE_DROVE_OFF = auto()
    # After the unlock may have left.
    DEVICE_UNLOCK_FAILED = auto()  # the cloud says it failed
    DEVICE_UNLOCK_UNKNOWN = auto()  # nobody knows whether it happened
    DEVICE_NOT_OPENED = auto()  # said unlocked, never opened
    DEVICE_RELOCKED_UNOPENED = auto()
    DEVICE_LOCK_FAILED = auto()
    DEVICE_NOT_SEEN_LOCKED = auto()
    DEVICE_RECORDING_LOST = auto()
    DEVICE_LATE_UNLOCK = auto()  # seen unlocked or open after the visit had ended
    DEVICE_UNREADABLE_AFTERWARDS = auto()
    COURIER_SILENT_WHILE_OPEN = auto()
    COURIER_PARCEL_UNACCOUNTED = auto()
    PLATFORM_RULED = auto()


class NextStep(StrEnum):
    """What the courier does now."""

    WAIT = auto()
    TRY_HANDLE = auto()
    PUT_PARCEL_IN = auto()
    CLOSE_LID = auto()
    CLOSE_FIRMLY_AND_PULL = auto()
    PULL_HANDLE = auto()
    SAY_WHERE_PARCEL_IS = auto()
    RING_AND_WAIT = auto()
    HAND_OVER = auto()  # to whoever came to the door
    STEP_OUT_AND_CLOSE = auto()
    STAY_UNTIL_OPERATOR_CALLS = auto()
    GO_ON = auto()  # to the next stop
    GO_NEARER = auto()
    COME_BACK_IN_WINDOW = auto()
    SCAN_RIGHT_PARCEL = auto()
    FINISH_OTHER_VISIT = auto()
    TRY_AGAIN_SOON = auto()
    TAKE_FALLBACK = auto()
    ASK_CARRIER = auto()


I, S, F, N = Incident, State, Fact, NextStep  # noqa: E741

# While the visit lives (and when it ended well), the state alone says what comes next.
NEXT_STEPS: Mapping[State, NextStep] = {
    S.REQUESTED: N.WAIT,
    S.RINGING: N.RING_AND_WAIT,
    S.ANSWERED: N.HAND_OVER,
    S.PROVING: N.WAIT,
    S.GRANTED: N.WAIT,
    S.UNLOCKING: N.WAIT,
    S.IN_DOUBT: N.TRY_HANDLE,
    S.READY: N.TRY_HANDLE,
    S.UNLOCKED: N.TRY_HANDLE,
    S.OPEN: N.PUT_PARCEL_IN,
    S.OPEN_LONG: N.CLOSE_LID,
    S.CLOSED: N.WAIT,
    S.LOCKING: N.WAIT,
    S.STUCK: N.CLOSE_FIRMLY_AND_PULL,
    S.LOCKING_AGAIN: N.WAIT,
    S.HANDLE_CHECK: N.PULL_HANDLE,
    S.UNSECURED: N.STAY_UNTIL_OPERATOR_CALLS,
    S.ACCOUNTING: N.SAY_WHERE_PARCEL_IS,
    S.REVIEW: N.SAY_WHERE_PARCEL_IS,
    S.REFUSED: N.TAKE_FALLBACK,
    S.HANDED_OVER: N.GO_ON,
    S.DELIVERED: N.GO_ON,
    S.DELIVERED_LOCK_NOT_SEEN: N.GO_ON,
    S.UNDELIVERED: N.TAKE_FALLBACK,
    S.UNDELIVERED_LOCK_NOT_SEEN: N.TAKE_FALLBACK,
    S.RULED_DELIVERED: N.GO_ON,
    S.RULED_UNDELIVERED: N.TAKE_FALLBACK,
}

# A refusal that the courier can mend says so; every other one takes the fallback.
NEXT_STEPS_AFTER_REFUSAL: Mapping[Incident, NextStep] = {
    I.COURIER_TOO_FAR: N.GO_NEARER,
    I.COURIER_POSITION_UNKNOWN: N.TRY_AGAIN_SOON,
    I.COURIER_TOO_EARLY: N.COME_BACK_IN_WINDOW,
    I.COURIER_BUSY_ELSEWHERE: N.FINISH_OTHER_VISIT,
    I.COURIER_NOT_ACTIVE: N.ASK_CARRIER,
    I.COURIER_NOT_ON_ROUTE: N.ASK_CARRIER,
    I.COURIER_DEVICE_REVOKED: N.ASK_CARRIER,
    I.CARRIER_PARCEL_UNKNOWN: N.SCAN_RIGHT_PARCEL,
    I.CARRIER_PARCEL_OF_OTHER_STOP: N.SCAN_RIGHT_PARCEL,
    I.CARRIER_PARCEL_DONE_ALREADY: N.ASK_CARRIER,
    I.CARRIER_STOP_ENDED: N.ASK_CARRIER,
    I.CARRIER_CANCELLED: N.ASK_CARRIER,
    I.PLATFORM_PLACE_BUSY: N.TRY_AGAIN_SOON,
    I.PLATFORM_COURIER_FROZEN: N.ASK_CARRIER,
    I.PLATFORM_TOO_SLOW: N.TRY_AGAIN_SOON,
    I.DEVICE_COMMAND_NOT_SENT: N.TRY_AGAIN_SOON,
    I.DEVICE_QUOTA_USED_UP: N.TRY_AGAIN_SOON,
}

# Which incident it is when `fact` ends or turns the visit in `state`. First by both, then by the fact.
_BY_STATE_AND_FACT: Mapping[tuple[State, Fact], Incident | None] = {
    (S.REQUESTED, F.CLOCK_RAN_OUT): I.DEVICE_NO_READING,
    (S.PROVING, F.CLOCK_RAN_OUT): I.DEVICE_CAMERA_NOT_PROVEN,
    (S.PROVING, F.RECORDING_LOST): I.DEVICE_CAMERA_NOT_PROVEN,
    (S.RINGING, F.CLOCK_RAN_OUT): None,  # nobody came: go on
    (S.RINGING, F.RECORDING_LOST): I.DEVICE_CAMERA_NOT_PROVEN,
    **{
        (state, fact): I.CONSIGNEE_AT_HOME
        for state in (S.RINGING, S.PROVING)
        for fact in (F.SEEN_OPEN, F.SEEN_CLOSED)
    },
    (S.ANSWERED, F.CLOCK_RAN_OUT): I.CONSIGNEE_AT_HOME,
    (S.GRANTED, F.CLOCK_RAN_OUT): I.PLATFORM_TOO_SLOW,
    (S.GRANTED, F.GATE_SHUT): I.PLATFORM_TOO_SLOW,
    (S.GRANTED, F.SEEN_OPEN): I.CONSIGNEE_OPENED_FIRST,
    (S.GRANTED, F.SEEN_CLOSED): I.CONSIGNEE_OPENED_FIRST,
    (S.UNLOCKING, F.CLOCK_RAN_OUT): I.DEVICE_UNLOCK_UNKNOWN,
    (S.READY, F.CLOCK_RAN_OUT): I.DEVICE_NOT_OPENED,
    (S.UNLOCKED, F.CLOCK_RAN_OUT): I.DEVICE_NOT_OPENED,
    (S.UNLOCKED, F.SEEN_LOCKED): I.DEVICE_RELOCKED_UNOPENED,
    (S.OPEN_LONG, F.CLOCK_RAN_OUT): I.COURIER_SILENT_WHILE_OPEN,
    (S.LOCKING, F.CLOCK_RAN_OUT): I.DEVICE_LOCK_FAILED,
    (S.LOCKING_AGAIN, F.CLOCK_RAN_OUT): I.DEVICE_NOT_SEEN_LOCKED,
    (S.HANDLE_CHECK, F.CLOCK_RAN_OUT): I.DEVICE_NOT_SEEN_LOCKED,
    (S.ACCOUNTING, F.CLOCK_RAN_OUT): I.COURIER_PARCEL_UNACCOUNTED,
}
_BY_FACT: Mapping[Fact, Incident] = {
    F.RECORDING_NOT_PROVEN: I.DEVICE_CAMERA_NOT_PROVEN,
    F.RECORDING_LOST: I.DEVICE_RECORDING_LOST,
    F.COURIER_MET_SOMEONE: I.CONSIGNEE_AT_HOME,
    F.UNLOCK_NOT_SENT: I.DEVICE_COMMAND_NOT_SENT,
    F.UNLOCK_REJECTED: I.DEVICE_UNLOCK_FAILED,
    F.UNLOCK_UNKNOWN: I.DEVICE_UNLOCK_UNKNOWN,
    F.LOCK_FAILED: I.DEVICE_LOCK_FAILED,
    F.DROVE_OFF: I.CONSIGNEE_DROVE_OFF,
    F.COURIER_GAVE_UP: I.COURIER_GAVE_UP,
    F.BLOCKED: I.CONSIGNEE_BLOCKED,
    F.RESTORED: I.PLATFORM_RESTORED,
    F.PATIENCE_RAN_OUT: I.DEVICE_NOT_SEEN_LOCKED,
    F.RULED_DELIVERED: I.PLATFORM_RULED,
    F.RULED_UNDELIVERED: I.PLATFORM_RULED,
}


def incident_of(before: State, fact: Fact) -> Incident | None:
    """The incident that `fact` means for a visit in `before`; None where all is as it should be."""
    if before in (S.ACCOUNTING, S.REVIEW) and fact is F.COURIER_GAVE_UP:
        return None  # an answer to our question; what went wrong was named before
    if (before, fact) in _BY_STATE_AND_FACT:
        return _BY_STATE_AND_FACT[before, fact]
    return _BY_FACT.get(fact)


def incident_of_tail(after: Tail) -> Incident | None:
    """The incident that entering this tail means."""
    return {Tail.ALARM: I.DEVICE_LATE_UNLOCK, Tail.BLIND: I.DEVICE_UNREADABLE_AFTERWARDS}.get(after)


def next_step_of(state: State, incident: Incident | None) -> NextStep:
    """What the courier does now."""
    if state is S.REFUSED and incident is not None:
        return NEXT_STEPS_AFTER_REFUSAL.get(incident, N.TAKE_FALLBACK)
    if state is S.UNSECURED and incident is I.DEVICE_RECORDING_LOST:
        return N.STEP_OUT_AND_CLOSE
    return NEXT_STEPS[state]
