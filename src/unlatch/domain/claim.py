"""A claim: what somebody says went wrong, and how that is settled. One table; no I/O, no clock.

    OPEN ──answer──► ANSWERED ──agree, time up──► SETTLED
      │                 └─dispute─► DISPUTED ──admit──► SETTLED
      │ time up                        │ deny, time up
      └────────────► ESCALATED ◄───────┘
                        └─ the operator upholds ► SETTLED, dismisses ► DISMISSED; the carrier admits ► SETTLED

Whoever opened it may withdraw it in every state that is not final. Each such state has a time by which its next step
is due; what is escalated waits for a person, and an overdue one stands first in the operator's list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum, auto
from types import MappingProxyType

MOST_WORDS = 2000  # characters
MOST_PHOTOS = 5
OPENED_WITHIN_S = 30 * 86_400.0  # of the end of the visit, or of the stop
MOST_BY_ONE = 10  # claims of one person about one visit or stop, open or not


class ClaimKind(StrEnum):
    """What was wrong."""

    PARCEL_MISSING = auto()
    PARCEL_DAMAGED = auto()
    WRONG_PARCEL = auto()
    PLACE_DAMAGED = auto()
    PLACE_LEFT_OPEN = auto()
    OTHER = auto()


class ClaimState(StrEnum):
    """How a claim stands."""

    OPEN = auto()
    ANSWERED = auto()
    DISPUTED = auto()
    ESCALATED = auto()
    SETTLED = auto()
    DISMISSED = auto()
    WITHDRAWN = auto()


class ClaimAct(StrEnum):
    """What somebody does to a claim."""

    OPEN = auto()
    ADMIT = auto()
    DENY = auto()
    AGREE = auto()
    DISPUTE = auto()
    WITHDRAW = auto()
    SAY = auto()  # the courier's own word; turns nothing
    UPHOLD = auto()
    DISMISS = auto()
    RUN_OUT = auto()  # the time of this state is up
    ADD_EVIDENCE = auto()  # the watch over the visit has ended: a second bundle


class ClaimParty(StrEnum):
    """Who may do it."""

    CLAIMANT = auto()  # who opened it, or the place's owner
    CARRIER = auto()
    COURIER = auto()
    OPERATOR = auto()
    CLOCK = auto()


S, A, P = ClaimState, ClaimAct, ClaimParty

FINAL = frozenset({S.SETTLED, S.DISMISSED, S.WITHDRAWN})
PARTIES: Mapping[ClaimAct, ClaimParty] = MappingProxyType(
    {
        A.OPEN: P.CLAIMANT,
        A.ADMIT: P.CARRIER,
        A.DENY: P.CARRIER,
        A.AGREE: P.CLAIMANT,
        A.DISPUTE: P.CLAIMANT,
        A.WITHDRAW: P.CLAIMANT,
        A.SAY: P.COURIER,
        A.UPHOLD: P.OPERATOR,
        A.DISMISS: P.OPERATOR,
        A.RUN_OUT: P.CLOCK,
        A.ADD_EVIDENCE: P.CLOCK,
    }
)
# Which act leads where; what is not listed is refused.
CLAIM_TURNS: Mapping[ClaimState, Mapping[ClaimAct, ClaimState]] = MappingProxyType(
    {
        S.OPEN: {A.ADMIT: S.ANSWERED, A.DENY: S.ANSWERED, A.WITHDRAW: S.WITHDRAWN, A.RUN_OUT: S.ESCALATED},
        S.ANSWERED: {
            A.AGREE: S.SETTLED,
            A.DISPUTE: S.DISPUTED,
            A.WITHDRAW: S.WITHDRAWN,
            A.RUN_OUT: S.SETTLED,
        },
        S.DISPUTED: {
            A.ADMIT: S.SETTLED,
            A.DENY: S.ESCALATED,
            A.WITHDRAW: S.WITHDRAWN,
            A.RUN_OUT: S.ESCALATED,
        },
        S.ESCALATED: {
            A.ADMIT: S.SETTLED,
            A.UPHOLD: S.SETTLED,
            A.DISMISS: S.DISMISSED,
            A.WITHDRAW: S.WITHDRAWN,
        },
        S.SETTLED: {},
        S.DISMISSED: {},
        S.WITHDRAWN: {},
    }
)
# How long each state may wait for its next step. ESCALATED waits for a person: its time only puts it first.
CLAIM_LASTS_S: Mapping[ClaimState, float] = MappingProxyType(
    {
        S.OPEN: 7 * 86_400.0,
        S.ANSWERED: 14 * 86_400.0,
        S.DISPUTED: 3 * 86_400.0,
        S.ESCALATED: 7 * 86_400.0,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimStanding:
    """What the table knows of a claim."""

    state: ClaimState
    due_at: datetime | None  # None: it has ended
    is_accepted: bool | None = None  # by the carrier's latest answer
    has_courier_word: bool = False


def open_claim(now: datetime) -> ClaimStanding:
    """A new claim."""
    return ClaimStanding(state=S.OPEN, due_at=_due_at(S.OPEN, now))


def act_on(standing: ClaimStanding, act: ClaimAct, now: datetime) -> ClaimStanding | None:
    """The claim after this act; None: this can't be done to it now."""
    if act is A.ADD_EVIDENCE:
        return standing  # it comes when it comes, and turns nothing
    if act is A.SAY:
        return replace(standing, has_courier_word=True) if _may_say(standing, act) else None
    state = CLAIM_TURNS[standing.state].get(act)
    if state is None or (act is A.RUN_OUT and (standing.due_at is None or standing.due_at > now)):
        return None
    is_accepted = {A.ADMIT: True, A.DENY: False}.get(act, standing.is_accepted)
    return replace(standing, state=state, due_at=_due_at(state, now), is_accepted=is_accepted)


def list_acts(standing: ClaimStanding, party: ClaimParty) -> list[ClaimAct]:
    """What this party may do to the claim now."""
    return [
        act
        for act in ClaimAct
        if PARTIES[act] is party and (act in CLAIM_TURNS[standing.state] or _may_say(standing, act))
    ]


def _may_say(standing: ClaimStanding, act: ClaimAct) -> bool:
    """Whether this act, which turns nothing, may be done now."""
    return act is A.SAY and standing.state not in FINAL and not standing.has_courier_word


def _due_at(state: ClaimState, now: datetime) -> datetime | None:
    return None if state in FINAL else now + timedelta(seconds=CLAIM_LASTS_S[state])
