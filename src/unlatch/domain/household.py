"""Who of a household may do what with a shared place: one table, every cell of which has its test."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum, auto
from types import MappingProxyType

MOST_MEMBERS = 10  # beside the owner
MOST_OPEN_INVITATIONS = 5
INVITATION_LASTS_S = 86_400.0  # real time
LINK_LASTS_S = (
    7 * 86_400.0
)  # after a hand-over: so long the former owner's account still reaches the place's car


class Role(StrEnum):
    """What a person is to a place."""

    OWNER = auto()  # one: whoever it was registered for, or was handed it
    MEMBER = auto()  # let in by the owner's invitation


class Right(StrEnum):
    """What a person may do with a place."""

    SEE = auto()
    CHECK_RANGE = auto()
    BLOCK = auto()
    UNBLOCK = auto()
    UNBLOCK_OTHERS = auto()
    EXTEND = auto()
    REDIRECT = auto()
    RATE = auto()
    CLAIM = auto()
    PURSUE_OTHERS_CLAIM = auto()
    LEAVE = auto()
    INVITE = auto()
    REMOVE = auto()
    HAND_OVER = auto()
    LINK = auto()
    WATCH = auto()
    LET_WATCH = auto()
    ERASE_CLIPS = auto()
    SHARE_CLIPS = auto()
    SET_HOME = auto()
    SET_CAMERAS = auto()
    TAKE_OVER = auto()


_BOTH = frozenset({Role.OWNER, Role.MEMBER})
_OWNER = frozenset({Role.OWNER})
_MEMBER = frozenset({Role.MEMBER})

RIGHTS: Mapping[Right, frozenset[Role]] = MappingProxyType(
    {
        Right.SEE: _BOTH,
        Right.CHECK_RANGE: _BOTH,
        Right.BLOCK: _BOTH,
        Right.UNBLOCK: _BOTH,
        Right.UNBLOCK_OTHERS: _OWNER,
        Right.EXTEND: _BOTH,
        Right.REDIRECT: _BOTH,
        Right.RATE: _BOTH,
        Right.CLAIM: _BOTH,
        Right.PURSUE_OTHERS_CLAIM: _OWNER,
        Right.LEAVE: _MEMBER,
        Right.INVITE: _OWNER,
        Right.REMOVE: _OWNER,
        Right.HAND_OVER: _OWNER,
        Right.LINK: _OWNER,
        Right.WATCH: _OWNER,
        Right.LET_WATCH: _OWNER,
        Right.ERASE_CLIPS: _OWNER,
        Right.SHARE_CLIPS: _OWNER,
        Right.SET_HOME: _BOTH,
        Right.SET_CAMERAS: _BOTH,
        Right.TAKE_OVER: _MEMBER,
    }
)
MEANINGS: Mapping[Right, str] = MappingProxyType(
    {
        Right.SEE: "see its deliveries, visits, their journals as they grow, photos, proofs, claims and the timeline",
        Right.CHECK_RANGE: "ask whether the car is in range now",
        Right.BLOCK: "block it: nothing is opened from then on, and what is open is locked",
        Right.UNBLOCK: "end a block that is theirs alone",
        Right.UNBLOCK_OTHERS: "end a block that someone else of the household has put on it",
        Right.EXTEND: "extend the window of a delivery",
        Right.REDIRECT: "send a delivery to its fallback",
        Right.RATE: "rate a visit, once",
        Right.CLAIM: "open a claim, and pursue or withdraw their own",
        Right.PURSUE_OTHERS_CLAIM: "agree to, dispute or withdraw a claim that someone else of them has opened",
        Right.LEAVE: "leave the household",
        Right.INVITE: "invite someone, see the open invitations, withdraw one",
        Right.REMOVE: "remove a member",
        Right.HAND_OVER: "hand the ownership to a member whom the same carrier knows",
        Right.WATCH: "watch a visit live and its clips later; a member too, while the owner lets them",
        Right.LET_WATCH: "let a member watch, or no more",
        Right.LINK: "link the car, or the hub of a home, anew, or unlink car or home",
        Right.SET_HOME: "say what a courier must mind at a home: rings first, quiet hours, an animal, directions",
        Right.SET_CAMERAS: "add a camera of a home, enrol it, remove it",
        Right.ERASE_CLIPS: "erase the clips of a visit at once",
        Right.TAKE_OVER: "agree to be its owner when the owner is erased as a person, and take that back",
        Right.SHARE_CLIPS: "let the operator's staff or the carrier see the clips of a visit, and end that",
    }
)


def may(role: Role, right: Right) -> bool:
    """Whether this role has this right."""
    return role in RIGHTS[right]


def may_watch(role: Role, *, is_let: bool) -> bool:
    """Whether someone of the household may see what its cameras see. `is_let`: the owner lets this member."""
    return may(role, Right.WATCH) or is_let
