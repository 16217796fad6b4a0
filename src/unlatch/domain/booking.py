"""What may be done to a booking, by whom, at which stage: one table, (wish, stage) -> outcome.

A *booking* is a stop from the moment it is booked until it has ended. Its *stage* follows from its own row and from
the visit that lives at it, if one does. A *wish* is what a person wants done to it. The carrier may change a booking
as long as nothing has been opened; the household may always stop an opening, and after the gate still have it locked
(S4).

Pure: `flow/rebooking.py` locks the rows, asks this table, and does what it says. The texts stand in
`booking_wording.py`; `docs/reference/booking.md` is made from both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum, auto
from types import MappingProxyType
from zoneinfo import ZoneInfo

from unlatch.domain.incident import Incident, NextStep, next_step_of
from unlatch.domain.visit import BEFORE_GATE, State

EXTEND_AT_MOST = timedelta(hours=4)  # beyond the window's end, once a plan
LATEST_LOCAL = time(23, 0)  # no window is extended beyond this, by the address's clock


class StopState(StrEnum):
    """What the stop's row says. The arrows stand in the migration 2026-11-26-0040_bookings.sql."""

    OPEN = auto()
    DELIVERED = auto()
    FALLBACK_DUE = auto()  # the place did not open: scan again, or take the fallback
    FALLBACK_DONE = auto()
    CANCELLED = auto()  # by the carrier


class Stage(StrEnum):
    """How far a booking has come."""

    BOOKED = auto()  # no courier yet
    PLANNED = auto()  # on a courier's round
    UNDER_WAY = auto()  # the courier has set out for it
    BEFORE_GATE = auto()  # a visit lives, and nothing has left for the place
    OPEN_NOW = auto()  # a visit lives after its gate: the place may be open
    RULED_OUT = auto()  # pre-flight: the place is not to be opened
    REDIRECTED = auto()  # the household wants it delivered another way
    FALLBACK_DUE = auto()  # a visit has failed, or nobody came
    DELIVERED = auto()
    FALLBACK_DONE = auto()
    CANCELLED = auto()


class Part(StrEnum):
    """Whose wish it is."""

    CARRIER = auto()
    CONSIGNEE = auto()  # anyone of the place's household
    OPERATOR = auto()
    COURIER = auto()


class Wish(StrEnum):
    """What a person wants done to a booking. Once done, its deed bears the word of `DEEDS`."""

    REPLAN = auto()  # another window, place or courier
    CANCEL = auto()
    HAND_OVER = auto()  # to another courier, or to the first one
    REDIRECT = auto()  # another way, or another place of the household
    KEEP = auto()  # the redirect is taken back
    EXTEND = auto()  # a later end of the window
    BLOCK = auto()
    UNBLOCK = auto()
    FREEZE = auto()
    THAW = auto()
    SETTLE = auto()  # an operator says where the parcels are, for a courier who never did
    TAKE_FALLBACK = auto()


class Effect(StrEnum):
    """What becomes of a wish."""

    DONE = auto()
    STOPS_VISIT = auto()  # done, and the living visit ends before anything is opened
    LOCKS_VISIT = auto()  # done, and what the living visit has opened is locked
    CHANGES_NOTHING = auto()  # it is so already, or there is nothing to take back
    NOT_ANY_MORE = auto()  # refused, with a reason


class Refusal(StrEnum):
    """Why a wish is not fulfilled any more, or not now."""

    NOT_ON_A_ROUND = auto()
    VISIT_UNDER_WAY = auto()
    OPENED_ALREADY = auto()
    HOUSEHOLD_REDIRECTED = auto()
    DELIVERED_ALREADY = auto()
    FALLBACK_TAKEN = auto()
    CANCELLED_ALREADY = auto()
    # Found by the flow, beside the table: these hang on the clock, on earlier wishes and on the rules.
    WINDOW_OVER = auto()
    EXTENDED_ALREADY = auto()
    NOT_OFFERED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One cell of the table. `refusal` stands with NOT_ANY_MORE, and only there."""

    effect: Effect
    refusal: Refusal | None = None

    @property
    def is_refused(self) -> bool:
        return self.effect is Effect.NOT_ANY_MORE


def refuse(refusal: Refusal) -> Outcome:
    """Not any more, because."""
    return Outcome(effect=Effect.NOT_ANY_MORE, refusal=refusal)


S, W, E, R = Stage, Wish, Effect, Refusal
DONE, STOPS = Outcome(effect=E.DONE), Outcome(effect=E.STOPS_VISIT)
LOCKS, NOTHING = Outcome(effect=E.LOCKS_VISIT), Outcome(effect=E.CHANGES_NOTHING)

PARTS: Mapping[Wish, Part] = MappingProxyType(
    {
        W.REPLAN: Part.CARRIER,
        W.CANCEL: Part.CARRIER,
        W.HAND_OVER: Part.CARRIER,
        W.REDIRECT: Part.CONSIGNEE,
        W.KEEP: Part.CONSIGNEE,
        W.EXTEND: Part.CONSIGNEE,
        W.BLOCK: Part.CONSIGNEE,
        W.UNBLOCK: Part.CONSIGNEE,
        W.FREEZE: Part.OPERATOR,
        W.THAW: Part.OPERATOR,
        W.SETTLE: Part.OPERATOR,
        W.TAKE_FALLBACK: Part.COURIER,
    }
)

# How a wish that was fulfilled stands among the deeds of its place and stop.
DEEDS: Mapping[Wish, str] = MappingProxyType(
    {
        W.REPLAN: "replanned",
        W.CANCEL: "cancelled",
        W.HAND_OVER: "handed_over",
        W.REDIRECT: "redirected",
        W.KEEP: "kept",
        W.EXTEND: "extended",
        W.BLOCK: "blocked",
        W.UNBLOCK: "unblocked",
        W.FREEZE: "frozen",
        W.THAW: "thawed",
        W.SETTLE: "fallback_done",
        W.TAKE_FALLBACK: "fallback_done",
    }
)

Cells = Mapping[Stage, Outcome]
# A booking that has ended stays as it has ended.
_ENDED: Cells = {
    S.DELIVERED: refuse(R.DELIVERED_ALREADY),
    S.FALLBACK_DONE: refuse(R.FALLBACK_TAKEN),
    S.CANCELLED: refuse(R.CANCELLED_ALREADY),
}
_NO_VISIT = (S.BOOKED, S.PLANNED, S.UNDER_WAY, S.RULED_OUT, S.REDIRECTED, S.FALLBACK_DUE)
_FREE: Cells = {**dict.fromkeys(_NO_VISIT, DONE), **_ENDED}
# A courier stands at the place: what would send them elsewhere waits until their visit is over.
_NOT_DURING_VISIT: Cells = {
    S.BEFORE_GATE: refuse(R.VISIT_UNDER_WAY),
    S.OPEN_NOW: refuse(R.VISIT_UNDER_WAY),
}
# Before the gate nothing has left, and nothing leaves any more; after it, the parcel may lie inside already.
_UNTIL_GATE: Cells = {S.BEFORE_GATE: STOPS, S.OPEN_NOW: refuse(R.OPENED_ALREADY)}
# A word over the place itself, whatever becomes of one booking: it holds for every later one too (S4).
_STOP_OPENING: Cells = {**dict.fromkeys(S, DONE), S.BEFORE_GATE: STOPS, S.OPEN_NOW: LOCKS}
_ALLOW_OPENING: Cells = dict.fromkeys(S, DONE)

TABLE: Mapping[Wish, Cells] = MappingProxyType(
    {
        # What the household has sent another way, the carrier does not send back to the place.
        W.REPLAN: {**_FREE, **_NOT_DURING_VISIT, S.REDIRECTED: refuse(R.HOUSEHOLD_REDIRECTED)},
        W.CANCEL: {**_FREE, **_UNTIL_GATE, S.CANCELLED: NOTHING},
        W.HAND_OVER: {**_FREE, **_NOT_DURING_VISIT},
        W.REDIRECT: {**_FREE, **_UNTIL_GATE},
        W.KEEP: {**dict.fromkeys(S, NOTHING), **_ENDED, S.REDIRECTED: DONE},
        W.EXTEND: {**_FREE, **_NOT_DURING_VISIT, S.REDIRECTED: refuse(R.HOUSEHOLD_REDIRECTED)},
        W.BLOCK: _STOP_OPENING,
        W.UNBLOCK: _ALLOW_OPENING,
        W.FREEZE: _STOP_OPENING,
        W.THAW: _ALLOW_OPENING,
        W.SETTLE: {**_FREE, **_NOT_DURING_VISIT, S.BOOKED: refuse(R.NOT_ON_A_ROUND)},
        W.TAKE_FALLBACK: {**_FREE, **_NOT_DURING_VISIT, S.BOOKED: refuse(R.NOT_ON_A_ROUND)},
    }
)


def stage_of(
    state: StopState,
    *,
    has_courier: bool,
    is_heading: bool,
    ruled_out: Incident | None,
    visit: State | None,
) -> Stage:
    """The stage of a booking. `visit`: the state of the visit that lives at this very stop; None: none does."""
    if state in _ENDED_STATES:
        return _ENDED_STATES[state]
    if visit is not None:
        return S.BEFORE_GATE if visit in BEFORE_GATE else S.OPEN_NOW
    if ruled_out is Incident.CONSIGNEE_REDIRECTED:
        return S.REDIRECTED
    if state is StopState.FALLBACK_DUE:
        return S.FALLBACK_DUE
    if ruled_out is not None:
        return S.RULED_OUT
    if not has_courier:
        return S.BOOKED
    return S.UNDER_WAY if is_heading else S.PLANNED


_ENDED_STATES: Mapping[StopState, Stage] = {
    StopState.DELIVERED: S.DELIVERED,
    StopState.FALLBACK_DONE: S.FALLBACK_DONE,
    StopState.CANCELLED: S.CANCELLED,
}


def outcome_of(wish: Wish, stage: Stage) -> Outcome:
    """What becomes of this wish at this stage."""
    return TABLE[wish][stage]


class Advice(StrEnum):
    """What the courier's list says of a stop."""

    GO_TO_PLACE = auto()
    FINISH_VISIT = auto()
    TAKE_FALLBACK = auto()
    BRING_BACK = auto()  # cancelled: whatever of it is in the van goes back to the carrier
    NOTHING_MORE = auto()


_ADVICE: Mapping[Stage, Advice] = {
    S.BOOKED: Advice.GO_TO_PLACE,
    S.PLANNED: Advice.GO_TO_PLACE,
    S.UNDER_WAY: Advice.GO_TO_PLACE,
    S.BEFORE_GATE: Advice.FINISH_VISIT,
    S.OPEN_NOW: Advice.FINISH_VISIT,
    S.RULED_OUT: Advice.TAKE_FALLBACK,
    S.REDIRECTED: Advice.TAKE_FALLBACK,
    S.FALLBACK_DUE: Advice.TAKE_FALLBACK,
    S.DELIVERED: Advice.NOTHING_MORE,
    S.FALLBACK_DONE: Advice.NOTHING_MORE,
    S.CANCELLED: Advice.BRING_BACK,
}
# A refusal that the courier can mend by themselves, at this stop, is no reason to give the place up.
_CAN_MEND = frozenset(
    {
        NextStep.GO_NEARER,
        NextStep.COME_BACK_IN_WINDOW,
        NextStep.TRY_AGAIN_SOON,
        NextStep.FINISH_OTHER_VISIT,
    }
)


def may_try_again(state: State, incident: Incident | None) -> bool:
    """Whether the place is not given up by a visit that ended so: its courier asks again in a moment."""
    return next_step_of(state, incident) in _CAN_MEND


def advise(
    stage: Stage, *, ruled_out: Incident | None, last_visit: tuple[State, Incident | None] | None
) -> Advice:
    """What the courier does at this stop. `last_visit`: state and incident of the latest visit of the stop."""
    if (
        stage is S.FALLBACK_DUE
        and ruled_out is None
        and last_visit is not None
        and may_try_again(*last_visit)
    ):
        return Advice.GO_TO_PLACE
    return _ADVICE[stage]


def latest_end(window_from: datetime, window_until: datetime, time_zone: str) -> datetime:
    """How far a household may extend a window: 4 hours, and never past 23:00 of the day on which it begins."""
    zone = ZoneInfo(time_zone)
    evening = datetime.combine(window_from.astimezone(zone).date(), LATEST_LOCAL, tzinfo=zone)
    return max(window_until, min(window_until + EXTEND_AT_MOST, evening.astimezone(UTC)))


def same_window_later(
    window_from: datetime, window_until: datetime, time_zone: str, *, now: datetime
) -> tuple[datetime, datetime]:
    """The same window by the address's clock on the next day; on a later one, if it would be over by `now`.

    By the wall clock: 16:00 to 20:00 stays so across a change of the clocks. A time that does not exist on that day
    is taken as much later as the clocks were put forward.
    """
    zone = ZoneInfo(time_zone)
    begins, ends = window_from.astimezone(zone), window_until.astimezone(zone)
    days = max(1, (now.astimezone(zone).date() - begins.date()).days)
    while True:
        later_from = _at_wall(begins, days, zone)
        later_until = _at_wall(ends, days, zone)
        if later_until <= later_from:  # it began in an hour that was left out
            later_until = later_from + (window_until - window_from)
        if later_until > now:
            return later_from, later_until
        days += 1


def _at_wall(moment: datetime, days: int, zone: ZoneInfo) -> datetime:
    local = datetime.combine(moment.date() + timedelta(days=days), moment.time(), tzinfo=zone)
    return local.astimezone(UTC)
