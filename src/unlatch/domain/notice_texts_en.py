"""Notices in English. See `notice_texts.py`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from unlatch.domain.access import Fallback
from unlatch.domain.notice import NoticeEvent, NoticeReader
from unlatch.domain.notice_phrases import Phrases, Template, template

E, R = NoticeEvent, NoticeReader

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_PARK = (
    "Please park your car within {range_m} m of your address, in the open and at street level.",
    "Please park your car near your address, in the open and at street level.",
)
_MIND_HOME = (
    "Please withdraw the second bolt, disarm the alarm, shut animals away from the door, and leave the camera "
    "on."
)
_KEEP_HOME = (
    "Please leave the bolt and the alarm as they are, and animals away from the door, until the parcel is in."
)
_FALLBACK = "The parcel {fallback_goes}."
_SAID_NOT_SEEN = (
    "the maker's service says it is locked and the courier pulled the handle; the lock itself was not seen"
)


def _say_hour(at: datetime, *, is_exact: bool = False) -> str:
    """24 hours; with the zone's name in the one hour a year that comes twice."""
    clock = f"{at:%H:%M:%S}" if is_exact else f"{at:%H:%M}"
    comes_twice = at.replace(fold=0).utcoffset() != at.replace(fold=1).utcoffset()
    return f"{clock} {at.tzname()}" if comes_twice else clock


def _say_day(at: datetime) -> str:
    return f"{DAYS[at.weekday()]} {at.day} {MONTHS[at.month - 1]}"


def say_window(begins: datetime, ends: datetime) -> str:
    """As in "between 16:00 and 20:00 on Thursday 26 November"."""
    if begins.date() == ends.date():
        return f"between {_say_hour(begins)} and {_say_hour(ends)} on {_say_day(begins)}"
    return f"between {_say_hour(begins)} on {_say_day(begins)} and {_say_hour(ends)} on {_say_day(ends)}"


def say_moment(at: datetime, is_exact: bool) -> str:
    """As in "16:00 on Thursday 26 November"."""
    return f"{_say_hour(at, is_exact=is_exact)} on {_say_day(at)}"


TEXTS: Mapping[NoticeEvent, Mapping[NoticeReader, Template]] = {
    E.BOOKED: {
        R.CONSIGNEE: template(
            "A parcel is coming to you",
            (
                "{carrier} brings you a parcel {window}.",
                "Your parcel comes {window}.",
                "A parcel is coming to you.",
            ),
            "It is put into your car or behind your door. You need not be there.",
            "If that can't be done, it {fallback_goes}.",
        ),
        R.CARRIER: template(
            "Booked", ("Booked: {window}.", "A stop is booked."), "Otherwise it {fallback_goes}."
        ),
    },
    E.BOOKING_CHANGED: {
        R.CONSIGNEE: template(
            "Your delivery has changed",
            ("Your parcel now comes {window}.", "Your delivery has changed."),
            "If it can't be put into its place, it {fallback_goes}.",
        ),
        R.CARRIER: template(
            "Booking changed", ("It is now {window}.", "The booking was changed."), _FALLBACK
        ),
    },
    E.BOOKING_CANCELLED: {
        R.CONSIGNEE: template(
            "Your delivery was cancelled",
            ("{carrier} has cancelled the delivery {window}.", "The delivery was cancelled."),
            "Nothing will be opened for it.",
        ),
        R.CARRIER: template("Booking cancelled", "The booking was cancelled.", "Nothing is opened for it."),
    },
    E.REDIRECTED: {
        R.CONSIGNEE: template(
            "Your parcel goes another way",
            (
                "As {who} asked, the parcel {fallback_goes}.",
                "As your household asked, the parcel {fallback_goes}.",
                "As your household asked, the parcel is delivered another way.",
            ),
            "Your car or door stays shut.",
        ),
        R.CARRIER: template(
            "Redirected by the consignee",
            ("The parcel {fallback_goes}.", "The household has redirected the parcel."),
            "The place is not opened for it.",
        ),
    },
    E.MORNING_OF_DELIVERY: {
        R.CONSIGNEE: template(
            ("Parcel today: please park within {range_m} m", "Your parcel comes today"),
            ("Your parcel comes {window}.", "Your parcel comes today."),
            ("{mind}", *_PARK),
            "We check that all is well before the courier sets out.",
        ),
    },
    E.PREFLIGHT_FAILED: {
        R.CONSIGNEE: template(
            "Your delivery needs your help",
            ("{obstacle}", "Something stands in the way of your delivery."),
            ("{advice}", "Please look in the app."),
            "Please do so by {until}.",
            (
                "If it stays so, the parcel {fallback_goes}.",
                "If it stays so, the parcel is delivered another way.",
            ),
        ),
    },
    E.PREFLIGHT_MENDED: {
        R.CONSIGNEE: template(
            "All is well for your delivery",
            "What stood in the way is solved. Thank you.",
            ("Your parcel comes {window}.", "Your parcel comes as planned."),
        ),
        R.CARRIER: template(
            "The place can be opened after all",
            (
                "What stood in the way is solved: deliver as planned, {window}.",
                "What stood in the way is solved.",
            ),
        ),
    },
    E.RULED_OUT: {
        R.CONSIGNEE: template(
            "Your parcel is delivered another way",
            ("{obstacle}", "{incident}", "Something still stands in the way of your delivery."),
            "So no courier will open it today.",
            _FALLBACK,
        ),
        R.CARRIER: template(
            "The place is not opened today",
            ("{incident}", "The place can't be opened for this stop."),
            ("Take the fallback: it {fallback_goes}.", "Take the fallback."),
        ),
    },
    E.COURIER_ON_THE_WAY: {
        R.CONSIGNEE: template(
            ("{courier} is on the way to you", "Your courier is on the way"),
            ("{courier} is bringing your parcel.", "The courier is bringing your parcel."),
            "Expected at about {at}.",
            ("{keep}", "Please don't move the car until the parcel is in it."),
        ),
    },
    E.COURIER_ARRIVING: {
        R.CONSIGNEE: template(
            ("{courier} is nearly there", "Your courier is nearly there"),
            ("{courier} will be there in a moment.", "The courier will be there in a moment."),
            ("{keep}", "Please don't move the car."),
        ),
    },
    E.UNLOCKED: {
        R.CONSIGNEE: template(
            "Opened for your parcel",
            (
                "Your car or door was unlocked for {courier} at {at_exact}.",
                "Your car or door was unlocked for the courier at {at_exact}.",
                "Your car or door was unlocked for the courier.",
            ),
            "We watch it, and tell you how it ends.",
        ),
    },
    E.DELIVERED: {
        R.CONSIGNEE: template(
            "Delivered and locked",
            ("{courier} has put your parcel in.", "Your parcel is in."),
            ("It was seen locked at {at_exact}.", "It was seen locked."),
        ),
        R.CARRIER: template(
            "Delivered and locked",
            ("Delivered by {courier}.", "Delivered."),
            ("The place was seen locked at {at_exact}.", "The place was seen locked."),
        ),
    },
    E.DELIVERED_LOCK_NOT_SEEN: {
        R.CONSIGNEE: template(
            "Delivered: please check the lock",
            ("{courier} has put your parcel in.", "Your parcel is in."),
            f"Of the lock we know this much: {_SAID_NOT_SEEN}.",
            "Please look whether it is shut.",
        ),
        R.CARRIER: template(
            "Delivered, lock not seen",
            ("Delivered by {courier}.", "Delivered."),
            f"Of the lock: {_SAID_NOT_SEEN}.",
        ),
    },
    E.HANDED_OVER: {
        R.CONSIGNEE: template(
            "Handed over at your door",
            (
                "{courier} has handed your parcel to someone who came to the door.",
                "Your parcel was handed to someone who came to the door.",
            ),
            "Nothing was opened by us.",
        ),
        R.CARRIER: template(
            "Handed over at the door",
            ("Handed over by {courier}.", "Handed over."),
            "Someone at home came to the door; nothing was opened.",
        ),
    },
    E.RULED_DELIVERED: {
        R.CONSIGNEE: template(
            "Your parcel is delivered",
            "We have looked into it: your parcel is inside.",
            "Please look whether your car or door is shut.",
        ),
        R.CARRIER: template(
            "Ruled: delivered", "An operator has found out that the parcel is in its place, and has ruled so."
        ),
    },
    E.NOT_DELIVERED: {
        R.CONSIGNEE: template(
            "Your parcel could not be put in",
            ("{incident}", "Your parcel could not be put into its place."),
            _FALLBACK,
        ),
        R.CARRIER: template(
            "Not delivered", ("{incident}", "The parcel was not put into its place."), _FALLBACK
        ),
    },
    E.NOT_DELIVERED_LOCK_NOT_SEEN: {
        R.CONSIGNEE: template(
            "Not delivered: please check the lock",
            ("{incident}", "Your parcel could not be put into its place."),
            f"Of the lock we know this much: {_SAID_NOT_SEEN}.",
            "Please look whether it is shut.",
            _FALLBACK,
        ),
        R.CARRIER: template(
            "Not delivered, lock not seen",
            ("{incident}", "The parcel was not put into its place."),
            f"Of the lock: {_SAID_NOT_SEEN}.",
            _FALLBACK,
        ),
    },
    E.FALLBACK_DONE: {
        R.CONSIGNEE: template(
            "Where your parcel is now",
            ("Your parcel {fallback_went}.", "Your parcel was delivered another way."),
            ("{courier} says: {told}", "The courier says: {told}"),
        ),
        R.CARRIER: template(
            "Fallback carried out",
            ("The parcel {fallback_went}.", "The fallback was carried out."),
            ("{courier} says: {told}", "The courier says: {told}"),
        ),
    },
    E.NOBODY_CAME: {
        R.CONSIGNEE: template(
            "No courier came",
            ("No courier came {window}. We are sorry.", "No courier came in time. We are sorry."),
            _FALLBACK,
        ),
        R.CARRIER: template(
            "No courier came",
            (
                "No courier asked to open the place {window}.",
                "The window is over, and no courier asked to open.",
            ),
            _FALLBACK,
        ),
    },
    E.RECORDING_LOST: {
        R.CONSIGNEE: template(
            "The recording has stopped",
            "Your camera was lost while the courier was at your door.",
            "The courier is told to step out and to close the door, and our people have been called.",
        ),
        R.CARRIER: template(
            "The recording has stopped",
            "The camera of a home was lost during a visit.",
            "The courier is told to step out; an operator has been called.",
        ),
        R.OPERATOR: template(
            "Recording lost: call now",
            "The camera of a home was lost while its door may be open.",
            "Call the courier and the consignee.",
        ),
    },
    E.NOT_SECURED: {
        R.CONSIGNEE: template(
            "Please look at your car or door now",
            "It has not been seen locked after the courier's visit.",
            "We are trying to lock it, and our people have been called. Please check it yourself if you can.",
        ),
        R.CARRIER: template(
            "Not seen locked",
            "A place that was opened has not been seen locked in time.",
            "The courier is asked to stay there; an operator has been called.",
        ),
        R.OPERATOR: template(
            "Not seen locked: call now",
            ("{incident}", "A place that was opened has not been seen locked in time."),
            "Call the courier and the consignee.",
        ),
    },
    E.OPENED_AFTERWARDS: {
        R.CONSIGNEE: template(
            "Please check your car or door",
            (
                "{incident}",
                "Your car or door may be open. We ordered the lock. Please check it.",
            ),
        ),
        R.CARRIER: template(
            "Open, or unreadable, after the visit",
            ("{incident}", "The place may be open after the visit."),
        ),
        R.OPERATOR: template(
            "Open, or unreadable, after the visit: call now",
            ("{incident}", "The place may be open after the visit. The lock was ordered."),
            "Call the consignee.",
        ),
    },
    E.BLOCKED: {
        R.CONSIGNEE: template(
            "Deliveries are blocked",
            (
                "{who} has blocked deliveries to {place}.",
                "{who} has blocked deliveries to your car or door.",
                "Deliveries to {place} are blocked.",
                "Deliveries to your car or door are blocked.",
            ),
            "Nothing is opened there until that is ended.",
        ),
    },
    E.UNBLOCKED: {
        R.CONSIGNEE: template(
            "Deliveries are allowed again",
            (
                "{who} allows deliveries to {place} again.",
                "{who} allows deliveries to your car or door again.",
                "Deliveries to {place} are allowed again.",
                "Deliveries to your car or door are allowed again.",
            ),
        ),
    },
    E.MEMBER_JOINED: {
        R.CONSIGNEE: template(
            ("{who} has joined your household", "Someone has joined your household"),
            (
                "{who} shares {place} now.",
                "{who} shares your place now.",
                "Someone shares your place now.",
            ),
            "They see its deliveries, and can block them.",
        ),
    },
    E.MEMBER_LEFT: {
        R.CONSIGNEE: template(
            ("{who} has left your household", "Someone has left your household"),
            (
                "{who} does not share {place} any more.",
                "{who} does not share your place any more.",
                "Someone does not share your place any more.",
            ),
        ),
    },
    E.OWNER_CHANGED: {
        R.CONSIGNEE: template(
            ("{place} has another owner", "Your shared place has another owner"),
            ("{who} is its owner now.", "One of its members is its owner now."),
            "The owner says who shares it.",
        ),
    },
    E.CAMERA_CHECK_DUE: {
        R.CONSIGNEE: template(
            "Please check your camera",
            (
                "Your camera {camera} is to be checked by {until}.",
                "Your camera {camera} is to be checked within a week.",
                "A camera of yours is to be checked within a week.",
            ),
            "It takes a few minutes: open the door once before it, as when you set it up.",
            "Without that it opens no door any more.",
        ),
    },
    E.CAMERA_CHECK_OVER: {
        R.CONSIGNEE: template(
            "Your camera was not checked",
            (
                "Your camera {camera} was not checked in time, and opens no door any more.",
                "A camera of yours was not checked in time, and opens no door any more.",
            ),
            "Unless another one sees the door, nothing is delivered there until you have checked it.",
        ),
    },
    E.ACCOUNT_LOST: {
        R.CONSIGNEE: template(
            "Please link your car again",
            (
                "The maker of {place} no longer lets us in.",
                "The maker of your car no longer lets us in.",
            ),
            "Until you have linked it again, no parcel can be put into it.",
        ),
    },
    E.LINK_ENDING: {
        R.CONSIGNEE: template(
            ("{place} has a new owner: link its car", "A new owner: please link the car"),
            (
                "{who} is to link the car through an account of their own.",
                "The new owner is to link the car through an account of their own.",
            ),
            "Until {until} it is still reached through the account of before, and deliveries go on.",
        ),
    },
    E.LINK_ENDED: {
        R.CONSIGNEE: template(
            "Please link your car again",
            (
                "The account through which {place} was reached belongs to its owner of before.",
                "The account through which your car was reached belongs to the owner of before.",
            ),
            "Until the new owner has linked the car, no parcel can be put into it.",
        ),
    },
    E.ACCOUNT_NARROWED: {
        R.CONSIGNEE: template(
            "Please link your car again",
            (
                "The link to {place} no longer lets us open and lock it.",
                "The link to your car no longer lets us open and lock it.",
            ),
            "Link it again and agree to both: until then no parcel can be put into it.",
        ),
    },
    E.CALLED: {
        R.OPERATOR: template(
            "A call for help",
            ("{incident}", "A visit wants a person to look."),
            "It stands among the open calls.",
        ),
    },
    E.CLAIM_OPENED: {
        R.CONSIGNEE: template(
            "A claim was opened",
            ("{who} has opened a claim about a delivery.", "A claim about a delivery was opened."),
            "Its number is {claim}.",
            "What was recorded is attached to it, for both sides to see.",
        ),
        R.CARRIER: template(
            "A claim was opened",
            ("A consignee has opened the claim {claim}.", "A consignee has opened a claim."),
            "What was recorded is attached to it.",
        ),
    },
    E.CLAIM_CHANGED: {
        R.CONSIGNEE: template(
            "There is news of your claim",
            ("Your claim is {state}.", "There is news of your claim."),
            "Its number is {claim}.",
        ),
        R.CARRIER: template(
            "There is news of a claim",
            (
                "The claim {claim} is {state}.",
                "The claim {claim} has changed.",
                "A claim has changed.",
            ),
        ),
    },
    E.CLIP_GLASS_BROKEN: {
        R.CONSIGNEE: template(
            "Someone may see a recording of your door",
            (
                "{who}, who works for the operator, may see the recording of a visit to you until {until}.",
                "Someone who works for the operator may see the recording of a visit to you until {until}.",
                "Someone who works for the operator may see the recording of a visit to you for half an hour.",
            ),
            "You were not asked first. The reason stands in the app, and so does each look.",
        ),
    },
}

PHRASES = Phrases(
    texts=TEXTS,
    confirmation=template(
        "Your code for Unlatch: {code}",
        "Type {code} in the app to be told of your deliveries here.",
        "It is good for ten minutes. If you did not ask for it, nothing happens.",
    ),
    trial=template("A test of Unlatch", "This way works: you are told of your deliveries here."),
    fallback_goes={
        Fallback.TO_DOOR: ("is left at your door", "is left at the door of the address"),
        Fallback.NEIGHBOUR: ("goes to a neighbour", "goes to a neighbour"),
        Fallback.PICKUP_POINT: ("goes to a pick-up point", "goes to a pick-up point"),
        Fallback.TOMORROW: ("comes again the next day", "is tried again the next day"),
        Fallback.DEPOT: ("goes back to the depot", "goes back to the depot"),
    },
    fallback_went={
        Fallback.TO_DOOR: ("was left at your door", "was left at the door of the address"),
        Fallback.NEIGHBOUR: ("was handed to a neighbour", "was handed to a neighbour"),
        Fallback.PICKUP_POINT: ("was taken to a pick-up point", "was taken to a pick-up point"),
        Fallback.TOMORROW: ("comes again the next day", "is tried again the next day"),
        Fallback.DEPOT: ("was taken back to the depot", "was taken back to the depot"),
    },
    mind_home=_MIND_HOME,
    keep_home=_KEEP_HOME,
    claim_states={
        "open": "open",
        "answered": "answered",
        "disputed": "disputed",
        "escalated": "before our people, who decide",
        "settled": "settled",
        "dismissed": "dismissed",
        "withdrawn": "withdrawn",
    },
    say_window=say_window,
    say_moment=say_moment,
    say_quoted=lambda told: f"“{told}”",
)
