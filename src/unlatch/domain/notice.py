"""What people are told, whom, and how urgently. The texts stand in `notice_texts.py`.

A notice is one event for one reader, told once. It never holds a plate or a position: it goes through mail servers,
push services and telephone networks that are not ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum, auto


class NoticeReader(StrEnum):
    """Who is told."""

    CONSIGNEE = auto()  # everyone of the place's household
    CARRIER = auto()  # its back end, by webhook
    OPERATOR = auto()  # whoever is on duty


class ChannelKind(StrEnum):
    """By which way a notice leaves."""

    EMAIL = auto()
    WEBPUSH = auto()  # to a browser or an installed web app
    SMS = auto()  # through the gateway that the operator has set
    OTHER = auto()  # an address of Apprise, of a kind that the operator allows
    WEBHOOK = auto()  # signed, to a back end


class ChannelState(StrEnum):
    """unconfirmed -> live -> gone; unconfirmed -> gone."""

    UNCONFIRMED = auto()  # a code was sent there and has not come back
    LIVE = auto()
    GONE = auto()  # taken away, or the other side says that it is no more


class DispatchState(StrEnum):
    """due -> taken -> sent | failed | dropped | due (tried again later)."""

    DUE = auto()
    TAKEN = auto()  # a worker is sending it; after its lease another takes over
    SENT = auto()  # the other side has taken it on
    FAILED = auto()  # given up
    DROPPED = auto()  # pointless by now, or not wanted any more


class NoticeGroup(StrEnum):
    """What a consignee can turn on and off for each of their channels. ALARM can't be turned off everywhere."""

    BOOKING = auto()  # booked, changed, cancelled
    DAY = auto()  # the morning's notice, what pre-flight found
    COURIER = auto()  # on the way, arriving
    RESULT = auto()  # unlocked, delivered, or not and where it is
    HOUSEHOLD = auto()  # who joined, who blocked, a link that was lost, a claim
    ALARM = auto()  # a person must look now


class NoticeEvent(StrEnum):
    """What happened, in the past tense or as a thing to know."""

    BOOKED = auto()
    BOOKING_CHANGED = auto()  # another window, or another place
    BOOKING_CANCELLED = auto()
    REDIRECTED = auto()  # goes to a fallback, as someone of the household wished
    MORNING_OF_DELIVERY = auto()  # the window, and where to park
    PREFLIGHT_FAILED = auto()  # something stands in the way, and can be mended in time
    PREFLIGHT_MENDED = auto()  # all is well now
    RULED_OUT = auto()  # too late to mend: the fallback is taken
    COURIER_ON_THE_WAY = auto()  # please don't move the car
    COURIER_ARRIVING = auto()
    UNLOCKED = auto()
    DELIVERED = auto()  # and seen locked
    DELIVERED_LOCK_NOT_SEEN = auto()
    HANDED_OVER = auto()  # to someone at the door
    RULED_DELIVERED = auto()  # a person found out that the parcel is inside
    NOT_DELIVERED = auto()  # why, and what happens to the parcel
    NOT_DELIVERED_LOCK_NOT_SEEN = auto()  # the same at a closure that was opened and whose lock can't be read
    FALLBACK_DONE = auto()  # where the parcel is now
    NOBODY_CAME = auto()  # the window is over
    RECORDING_LOST = auto()  # while a home may stand open
    NOT_SECURED = auto()  # not seen locked: look at your car
    OPENED_AFTERWARDS = auto()  # seen unlocked or open after the visit
    BLOCKED = auto()  # by someone of the household, or frozen by an operator
    UNBLOCKED = auto()
    MEMBER_JOINED = auto()
    MEMBER_LEFT = auto()
    OWNER_CHANGED = auto()  # the place was handed to one of its members
    CAMERA_CHECK_DUE = auto()  # within a week: enrol it again
    CAMERA_CHECK_OVER = auto()  # it opens no door any more
    ACCOUNT_LOST = auto()  # the maker no longer lets us in: link the car again
    LINK_ENDING = auto()  # the place has another owner, who is to link its car
    LINK_ENDED = auto()  # and has not
    ACCOUNT_NARROWED = auto()  # linked again, but no longer so that we may open and lock
    CALLED = auto()  # a person of the platform's is asked to look at a visit
    CLAIM_OPENED = auto()
    CLAIM_CHANGED = auto()
    CLIP_GLASS_BROKEN = auto()  # someone on staff sees a recording without the household's consent


E, G, R = NoticeEvent, NoticeGroup, NoticeReader

GROUPS: Mapping[NoticeEvent, NoticeGroup] = {
    E.BOOKED: G.BOOKING,
    E.BOOKING_CHANGED: G.BOOKING,
    E.BOOKING_CANCELLED: G.BOOKING,
    E.REDIRECTED: G.BOOKING,
    E.MORNING_OF_DELIVERY: G.DAY,
    E.PREFLIGHT_FAILED: G.DAY,
    E.PREFLIGHT_MENDED: G.DAY,
    E.RULED_OUT: G.DAY,
    E.COURIER_ON_THE_WAY: G.COURIER,
    E.COURIER_ARRIVING: G.COURIER,
    E.UNLOCKED: G.RESULT,
    E.DELIVERED: G.RESULT,
    E.DELIVERED_LOCK_NOT_SEEN: G.ALARM,
    E.HANDED_OVER: G.RESULT,
    E.RULED_DELIVERED: G.RESULT,
    E.NOT_DELIVERED: G.RESULT,
    E.NOT_DELIVERED_LOCK_NOT_SEEN: G.ALARM,
    E.FALLBACK_DONE: G.RESULT,
    E.NOBODY_CAME: G.RESULT,
    E.RECORDING_LOST: G.ALARM,
    E.NOT_SECURED: G.ALARM,
    E.OPENED_AFTERWARDS: G.ALARM,
    E.BLOCKED: G.HOUSEHOLD,
    E.UNBLOCKED: G.HOUSEHOLD,
    E.MEMBER_JOINED: G.HOUSEHOLD,
    E.MEMBER_LEFT: G.HOUSEHOLD,
    E.OWNER_CHANGED: G.HOUSEHOLD,
    E.CAMERA_CHECK_DUE: G.HOUSEHOLD,
    E.CAMERA_CHECK_OVER: G.HOUSEHOLD,
    E.ACCOUNT_LOST: G.HOUSEHOLD,
    E.LINK_ENDING: G.HOUSEHOLD,
    E.LINK_ENDED: G.HOUSEHOLD,
    E.ACCOUNT_NARROWED: G.HOUSEHOLD,
    E.CALLED: G.ALARM,
    E.CLAIM_OPENED: G.HOUSEHOLD,
    E.CLAIM_CHANGED: G.HOUSEHOLD,
    E.CLIP_GLASS_BROKEN: G.ALARM,
}

_CONSIGNEE = frozenset({R.CONSIGNEE})
_CONSIGNEE_AND_CARRIER = frozenset({R.CONSIGNEE, R.CARRIER})
_ALL = frozenset(NoticeReader)

READERS: Mapping[NoticeEvent, frozenset[NoticeReader]] = {
    E.BOOKED: _CONSIGNEE_AND_CARRIER,
    E.BOOKING_CHANGED: _CONSIGNEE_AND_CARRIER,
    E.BOOKING_CANCELLED: _CONSIGNEE_AND_CARRIER,
    E.REDIRECTED: _CONSIGNEE_AND_CARRIER,
    E.MORNING_OF_DELIVERY: _CONSIGNEE,
    E.PREFLIGHT_FAILED: _CONSIGNEE,
    E.PREFLIGHT_MENDED: _CONSIGNEE_AND_CARRIER,  # the carrier's van may drive there after all
    E.RULED_OUT: _CONSIGNEE_AND_CARRIER,
    E.COURIER_ON_THE_WAY: _CONSIGNEE,
    E.COURIER_ARRIVING: _CONSIGNEE,
    E.UNLOCKED: _CONSIGNEE,
    E.DELIVERED: _CONSIGNEE_AND_CARRIER,
    E.DELIVERED_LOCK_NOT_SEEN: _CONSIGNEE_AND_CARRIER,
    E.HANDED_OVER: _CONSIGNEE_AND_CARRIER,
    E.RULED_DELIVERED: _CONSIGNEE_AND_CARRIER,
    E.NOT_DELIVERED: _CONSIGNEE_AND_CARRIER,
    E.NOT_DELIVERED_LOCK_NOT_SEEN: _CONSIGNEE_AND_CARRIER,
    E.FALLBACK_DONE: _CONSIGNEE_AND_CARRIER,
    E.NOBODY_CAME: _CONSIGNEE_AND_CARRIER,
    E.RECORDING_LOST: _ALL,
    E.NOT_SECURED: _ALL,
    E.OPENED_AFTERWARDS: _ALL,
    E.BLOCKED: _CONSIGNEE,
    E.UNBLOCKED: _CONSIGNEE,
    E.MEMBER_JOINED: _CONSIGNEE,
    E.MEMBER_LEFT: _CONSIGNEE,
    E.OWNER_CHANGED: _CONSIGNEE,
    E.CAMERA_CHECK_DUE: _CONSIGNEE,
    E.CAMERA_CHECK_OVER: _CONSIGNEE,
    E.ACCOUNT_LOST: _CONSIGNEE,
    E.LINK_ENDING: _CONSIGNEE,
    E.LINK_ENDED: _CONSIGNEE,
    E.ACCOUNT_NARROWED: _CONSIGNEE,
    E.CALLED: frozenset({R.OPERATOR}),
    E.CLAIM_OPENED: _CONSIGNEE_AND_CARRIER,
    E.CLAIM_CHANGED: _CONSIGNEE_AND_CARRIER,
    E.CLIP_GLASS_BROKEN: _CONSIGNEE,
}


def is_urgent(event: NoticeEvent) -> bool:
    """Whether it is told at night too, and on every channel."""
    return GROUPS[event] is NoticeGroup.ALARM
