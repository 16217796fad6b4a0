"""The faults, as stories: what is done to car, cloud and courier, and how the visit must end.

Every kind of `town/faults.py` at every maker where it means something, and what people do. Each story is played by a
courier who does what the platform says (`playing.py`), at a car of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tests.journeys.playing import Moment, Play

from unlatch.domain.incident import Incident, NextStep
from unlatch.domain.visit import Fact, State, Tail
from unlatch.town.faults import FaultKind, First, Trigger, Verb

I: TypeAlias = Incident  # noqa: E741
N: TypeAlias = NextStep
S: TypeAlias = State
F: TypeAlias = FaultKind

Before = Callable[[Play], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Story:
    """One fault. `incident`: one that is named at some time of the visit; `next_step`: one that the courier is told."""

    name: str
    maker: str  # onstar (newer account), classic (older account), volvo
    ends: frozenset[S]
    incident: I | None
    next_step: N
    is_inside: bool  # where the parcel is, in truth
    is_called: bool | None = False  # an operator was called; None: that depends on when the car is read
    before: Before | None = None  # the scan
    at: Mapping[S, Moment] = field(default_factory=dict)
    pulls_handle: bool = True
    tail: Tail | None = None  # one that was seen after the end
    perhaps: frozenset[I] = frozenset()  # named or not: that depends on when the car is read


def all_of(*moments: Moment) -> Moment:
    async def do(play: Play) -> None:
        for moment in moments:
            await moment(play)

    return do


def fault(kind: F, **how: Any) -> Moment:
    async def do(play: Play) -> None:
        await play.town.set_fault(play.vin, kind, **how)

    return do


def mend(kind: F | None = None) -> Moment:
    async def do(play: Play) -> None:
        await play.town.clear_faults(play.vin, kind)

    return do


def wait(town_s: float) -> Moment:
    async def do(play: Play) -> None:
        await play.door.clock.sleep(town_s)

    return do


def says(*facts: Fact) -> Moment:
    async def do(play: Play) -> None:
        for fact in facts:
            await play.door.say(fact)

    return do


async def block(play: Play) -> None:
    await play.door.block()


async def shut_lid(play: Play) -> None:
    await play.town.close_trunk(play.vin)


async def park(play: Play) -> None:
    await play.town.park(play.vin)


async def unlock_with_key(play: Play) -> None:
    await play.town.unlock_with_key(play.vin)


async def lock_with_key(play: Play) -> None:
    await play.town.lock_with_key(play.vin)


async def open_as_resident(play: Play) -> None:
    await play.town.unlock_with_key(play.vin)
    await play.town.open_trunk(play.vin)


async def put_in(play: Play) -> None:
    play.is_inside = True
    await play.door.say(Fact.COURIER_DEPOSITED)


async def lie_closed(play: Play) -> None:
    """The parcel is inside, the lid still up, and the courier says closed."""
    play.is_inside = True
    await play.door.say(Fact.COURIER_DEPOSITED)
    await play.door.say(Fact.COURIER_CLOSED)


async def lie_opened(play: Play) -> None:
    """Says that it is open and the parcel inside, without having touched the car."""
    play.is_inside = True
    await says(Fact.COURIER_OPENED, Fact.COURIER_DEPOSITED, Fact.COURIER_CLOSED)(play)


async def leave(play: Play) -> None:
    play.is_gone = True


async def rules(play: Play) -> None:
    """An operator who was called, and has spoken with someone at the car."""
    await play.door.rule(Fact.RULED_DELIVERED if play.is_inside else Fact.RULED_UNDELIVERED)


async def come_back_and_finish(play: Play) -> None:
    """The courier is back: parcel in, lid down."""
    play.is_gone = False
    await play.put_in_and_close()


async def close_quietly(play: Play) -> None:
    """What a passer-by does."""
    play.is_inside = True
    await play.town.close_trunk(play.vin)


BOTH = ("onstar", "volvo")
ALL = ("onstar", "classic", "volvo")
DELIVERED = frozenset({S.DELIVERED})
UNDELIVERED = frozenset({S.UNDELIVERED})
REFUSED = frozenset({S.REFUSED})


def well(maker: str, name: str, incident: I | None, next_step: N, **more: Any) -> Story:
    """In the end the parcel is inside and the closure was seen locked."""
    ends = frozenset({S.DELIVERED_LOCK_NOT_SEEN}) if maker == "classic" else DELIVERED
    return Story(
        name=name, maker=maker, ends=ends, incident=incident, next_step=next_step, is_inside=True, **more
    )


def in_vain(maker: str, name: str, incident: I, next_step: N, **more: Any) -> Story:
    """In the end the courier has the parcel, and the closure was seen locked."""
    ends = frozenset({S.UNDELIVERED_LOCK_NOT_SEEN}) if maker == "classic" else UNDELIVERED
    return Story(
        name=name, maker=maker, ends=ends, incident=incident, next_step=next_step, is_inside=False, **more
    )


def refused(maker: str, name: str, incident: I, next_step: N = N.TAKE_FALLBACK, **more: Any) -> Story:
    """Nothing was sent."""
    return Story(
        name=name, maker=maker, ends=REFUSED, incident=incident, next_step=next_step, is_inside=False, **more
    )


def untouched(maker: str, name: str, **more: Any) -> Story:
    """The gate was passed, and the cloud did not take the unlock on: the closure was never touched."""
    return Story(
        name=name,
        maker=maker,
        ends=UNDELIVERED,
        incident=I.DEVICE_COMMAND_NOT_SENT,
        next_step=N.TAKE_FALLBACK,
        is_inside=False,
        **more,
    )


def _before_the_scan(maker: str) -> list[Story]:
    can_read = maker != "classic"
    stories = [
        refused(maker, "withdrawn 401", I.DEVICE_CONSENT_LOST, before=fault(F.CONSENT_WITHDRAWN, status=401)),
        refused(maker, "withdrawn 403", I.DEVICE_CONSENT_LOST, before=fault(F.CONSENT_WITHDRAWN, status=403)),
        refused(
            maker, "subscription lapsed", I.DEVICE_SUBSCRIPTION_LAPSED, before=fault(F.SUBSCRIPTION_LAPSED)
        ),
        refused(maker, "outage", I.DEVICE_CLOUD_OUTAGE, before=fault(F.OUTAGE)),
        refused(maker, "rate limit", I.DEVICE_QUOTA_USED_UP, N.TRY_AGAIN_SOON, before=fault(F.RATE_LIMIT)),
        refused(maker, "cut reading", I.DEVICE_NO_READING, before=fault(F.CONNECTION_CUT, verb=Verb.READ)),
        refused(maker, "silent reading", I.DEVICE_NO_READING, before=fault(F.SILENT, verb=Verb.READ)),
        refused(maker, "on the move", I.CONSIGNEE_CAR_MOVING, before=fault(F.DRIVES_OFF)),
        refused(
            maker,
            "drove off before the scan",
            I.CONSIGNEE_CAR_OUT_OF_RANGE,
            before=all_of(fault(F.DRIVES_OFF), wait(40), park),
        ),
    ]
    if can_read:
        stories += [
            refused(maker, "long asleep", I.DEVICE_NO_READING, before=all_of(fault(F.ASLEEP), wait(125))),
            refused(maker, "long offline", I.DEVICE_NO_READING, before=all_of(fault(F.OFFLINE), wait(125))),
            refused(maker, "resident unlocked it", I.DEVICE_UNLOCKED_ON_ARRIVAL, before=unlock_with_key),
            refused(maker, "resident opened it", I.DEVICE_OPEN_ON_ARRIVAL, before=open_as_resident),
        ]
    return stories


def _unlock(maker: str) -> list[Story]:
    """What goes wrong with the unlock."""
    nothing_moved = I.DEVICE_NOT_OPENED
    stories = [
        well(maker, "all well", None, N.GO_ON),
        well(maker, "slow unlock", None, N.GO_ON, before=fault(F.SLOW, verb=Verb.UNLOCK)),
        well(maker, "duplicate answers", None, N.GO_ON, before=fault(F.DUPLICATE_ANSWERS)),
        in_vain(
            maker,
            "says done, nothing moved",
            nothing_moved,
            N.TAKE_FALLBACK,
            before=fault(F.SAYS_DONE_BUT_NOTHING_MOVED, verb=Verb.UNLOCK),
        ),
        well(
            maker,
            "says failed, it moved",
            I.DEVICE_UNLOCK_FAILED if maker == "classic" else None,
            N.TRY_HANDLE,
            perhaps=frozenset({I.DEVICE_UNLOCK_FAILED}),  # not where it was seen unlocked before that answer
            before=fault(F.SAYS_FAILED_BUT_IT_MOVED, verb=Verb.UNLOCK),
        ),
        in_vain(
            maker,
            "silent unlock",
            I.DEVICE_UNLOCK_UNKNOWN,
            N.TAKE_FALLBACK,
            before=fault(F.SILENT, verb=Verb.UNLOCK),
        ),
        well(
            maker,
            "silent unlock that acts",
            I.DEVICE_UNLOCK_UNKNOWN if maker == "classic" else None,  # where it is not seen
            N.TRY_HANDLE,
            before=fault(F.SILENT, verb=Verb.UNLOCK, acts=True),
        ),
        in_vain(
            maker,
            "cut before it was taken",
            I.DEVICE_UNLOCK_UNKNOWN,
            N.TAKE_FALLBACK,
            before=fault(F.CONNECTION_CUT, verb=Verb.UNLOCK),
        ),
        well(
            maker,
            "cut after it was taken",
            I.DEVICE_UNLOCK_UNKNOWN,
            N.TRY_HANDLE,
            before=fault(F.CONNECTION_CUT, verb=Verb.UNLOCK, acts=True),
        ),
        in_vain(
            maker,
            "outage at the unlock",
            I.DEVICE_UNLOCK_UNKNOWN,
            N.TAKE_FALLBACK,
            before=fault(F.OUTAGE, verb=Verb.UNLOCK),
        ),
        untouched(
            maker,
            "rate limit at the unlock",
            before=fault(F.RATE_LIMIT, verb=Verb.UNLOCK),
        ),
        untouched(
            maker,
            "withdrawn at the unlock",
            before=fault(F.CONSENT_WITHDRAWN, verb=Verb.UNLOCK),
        ),
        untouched(
            maker,
            "subscription lapsed at the unlock",
            before=fault(F.SUBSCRIPTION_LAPSED, verb=Verb.UNLOCK),
        ),
    ]
    if maker != "classic":
        stories += _late(maker)
    if maker == "onstar":
        stories += [
            in_vain(
                maker,
                "silent from the request on",
                I.DEVICE_UNLOCK_UNKNOWN,
                N.TAKE_FALLBACK,
                before=fault(F.SILENT, verb=Verb.UNLOCK, hangs=True),
            ),
        ]
    if maker == "volvo":
        stories += [
            in_vain(
                maker,
                "handle not pulled",
                I.DEVICE_RELOCKED_UNOPENED,
                N.SAY_WHERE_PARCEL_IS,
                pulls_handle=False,
            ),
            untouched(maker, "asleep at the unlock", before=fault(F.ASLEEP)),
        ]
    else:
        stories += [
            in_vain(maker, "handle not pulled", nothing_moved, N.SAY_WHERE_PARCEL_IS, pulls_handle=False),
        ]
    return stories


def _late(maker: str) -> list[Story]:
    return [
        in_vain(
            maker,
            "late unlock after the visit",
            I.DEVICE_LATE_UNLOCK,
            N.TAKE_FALLBACK,
            before=fault(F.LATE_UNLOCK, after_s=230.0),
            is_called=True,
            tail=Tail.ALARM,
        ),
        well(
            maker,
            "unlocked again after the visit",
            I.DEVICE_LATE_UNLOCK,
            N.GO_ON,
            before=fault(F.LATE_UNLOCK, after_s=230.0, first=First.NORMAL),
            is_called=True,
            tail=Tail.ALARM,
        ),
        well(
            maker,
            "late unlock during the visit",
            I.DEVICE_UNLOCK_UNKNOWN,
            N.TRY_HANDLE,
            before=fault(F.LATE_UNLOCK, after_s=125.0 if maker == "onstar" else 50.0),
        ),
    ]


def _lock(maker: str) -> list[Story]:
    """What goes wrong with the lock, while the closure may be open."""
    failed = I.DEVICE_LOCK_FAILED
    once = {"verb": Verb.LOCK, "count": 1}

    def lock_fails(name: str, kind: F, **how: Any) -> Story:
        """The first lock fails, the second does not."""
        return well(maker, name, failed, N.CLOSE_FIRMLY_AND_PULL, at={S.OPEN: fault(kind, **{**once, **how})})

    def nothing_works(name: str, kind: F, **how: Any) -> Story:
        """Neither lock works; the operator who is called has it mended."""
        mended = all_of(wait(20), mend(kind))
        return well(
            maker,
            name,
            failed,
            N.STAY_UNTIL_OPERATOR_CALLS,
            at={S.OPEN: fault(kind, **how), S.UNSECURED: mended},
            is_called=True,
        )

    stories = [
        lock_fails("jammed once", F.JAMMED, verb=Verb.ANY),
        lock_fails("rate limit at the lock", F.RATE_LIMIT),
        lock_fails("outage at the lock", F.OUTAGE),
        lock_fails("cut before the lock was taken", F.CONNECTION_CUT),
        lock_fails("withdrawn at the lock", F.CONSENT_WITHDRAWN),
        nothing_works("jammed", F.JAMMED),
        nothing_works("withdrawn while open", F.CONSENT_WITHDRAWN),
        nothing_works("subscription lapsed while open", F.SUBSCRIPTION_LAPSED),
        nothing_works("outage while open", F.OUTAGE),
        nothing_works("offline while open", F.OFFLINE),
        nothing_works("asleep while open", F.ASLEEP),
        well(
            maker,
            "will not close twice",
            None,
            N.PUT_PARCEL_IN,
            before=fault(F.WILL_NOT_CLOSE, count=2),
        ),
        well(
            maker,
            "will not close",
            I.COURIER_SILENT_WHILE_OPEN,
            N.STAY_UNTIL_OPERATOR_CALLS,
            before=fault(F.WILL_NOT_CLOSE),
            at={
                S.UNSECURED: all_of(wait(20), mend(F.WILL_NOT_CLOSE), shut_lid, says(Fact.COURIER_CLOSED)),
            },
            is_called=True,
        ),
        well(maker, "slow lock", None, N.GO_ON, before=fault(F.SLOW, verb=Verb.LOCK, after_s=60.0)),
    ]
    if maker != "classic":
        stories += [
            lock_fails("lock says done, nothing moved", F.SAYS_DONE_BUT_NOTHING_MOVED),
            lock_fails("silent lock", F.SILENT),
            well(
                maker,
                "lock says failed, it moved",
                None,
                N.GO_ON,
                at={S.OPEN: fault(F.SAYS_FAILED_BUT_IT_MOVED, verb=Verb.LOCK, count=1)},
                perhaps=frozenset({failed}),
            ),
            lock_fails("cut after the lock was taken", F.CONNECTION_CUT, acts=True),
            well(
                maker,
                "rate limit on readings while open",
                None,
                N.GO_ON,
                at={S.OPEN: fault(F.RATE_LIMIT, verb=Verb.READ, count=8, after_s=5.0)},
            ),
        ]
    else:
        stories += [
            well(
                maker,
                "lock says done, nothing moved",
                None,
                N.PULL_HANDLE,
                before=fault(F.SAYS_DONE_BUT_NOTHING_MOVED, verb=Verb.LOCK, count=1),
            ),
        ]
    return stories


def _people(maker: str) -> list[Story]:
    """What couriers, consignees and residents do."""
    blocked, gave_up = I.CONSIGNEE_BLOCKED, I.COURIER_GAVE_UP
    drove = I.CONSIGNEE_DROVE_OFF
    drives = fault(F.DRIVES_OFF, trigger=Trigger.UNLOCKED)
    long_unlock = fault(
        F.SLOW, verb=Verb.UNLOCK, after_s=60.0
    )  # so that there is time to do something meanwhile
    long_lock = fault(F.SLOW, verb=Verb.LOCK, after_s=60.0)
    never_unlocked = fault(F.SAYS_DONE_BUT_NOTHING_MOVED, verb=Verb.UNLOCK)
    drives_open = fault(F.DRIVES_OFF, trigger=Trigger.OPENED, after_s=60.0)
    take_out = all_of(shut_lid, says(Fact.COURIER_GAVE_UP, Fact.COURIER_CLOSED))
    silent = I.COURIER_SILENT_WHILE_OPEN
    stay = N.STAY_UNTIL_OPERATOR_CALLS
    stories = [
        in_vain(
            maker,
            "blocked while unlocking",
            blocked,
            N.TAKE_FALLBACK,
            before=long_unlock,
            at={S.UNLOCKING: block},
            is_called=None,  # where the unlock takes effect after the lock, the tail watch finds it
        ),
        well(maker, "blocked while open", blocked, N.GO_ON, at={S.OPEN: all_of(block, put_in, shut_lid)}),
        well(maker, "blocked while locking", blocked, N.GO_ON, before=long_lock, at={S.LOCKING: block}),
        in_vain(
            maker,
            "gives up while unlocking",
            gave_up,
            N.TAKE_FALLBACK,
            before=long_unlock,
            at={S.UNLOCKING: says(Fact.COURIER_GAVE_UP)},
            is_called=None,
        ),
        in_vain(maker, "gives up while open", gave_up, N.TAKE_FALLBACK, at={S.OPEN: take_out}),
        well(
            maker,
            "silent once open",
            silent,
            stay,
            at={S.OPEN: leave, S.UNSECURED: come_back_and_finish},
            is_called=True,
        ),
        Story(
            name="gone for good, and a passer-by closes",
            maker=maker,
            ends=frozenset({S.RULED_DELIVERED}),
            incident=silent,
            next_step=stay,
            is_inside=True,
            is_called=True,
            at={
                S.OPEN: leave,
                S.UNSECURED: all_of(close_quietly, rules) if maker == "classic" else close_quietly,
            },
        ),
        in_vain(
            maker,
            "blocked when ready",
            blocked,
            N.TAKE_FALLBACK,
            before=never_unlocked,
            at={S.READY: block},
        ),
        in_vain(
            maker,
            "gives up when ready",
            gave_up,
            N.TAKE_FALLBACK,
            before=never_unlocked,
            at={S.READY: says(Fact.COURIER_GAVE_UP)},
        ),
        well(
            maker,
            "lies: opened though locked",
            None,
            N.GO_ON,
            before=never_unlocked,
            at={S.READY: lie_opened},
        ),
        well(
            maker,
            "lies: closed though open",
            I.DEVICE_LOCK_FAILED if maker == "classic" else None,  # where the open lid is not seen
            N.GO_ON,
            at={S.OPEN: lie_closed},
            perhaps=frozenset(
                {I.DEVICE_LOCK_FAILED}
            ),  # where the cloud refuses before a reading has shown it
        ),
    ]
    if maker != "classic":
        stories += [
            in_vain(maker, "drives off once unlocked", drove, N.TAKE_FALLBACK, before=drives, is_called=None),
            well(
                maker,
                "drives off while open",
                drove,
                stay,
                before=drives_open,
                at={S.OPEN: all_of(put_in, leave), S.UNSECURED: all_of(wait(30), park, shut_lid)},
                is_called=True,
            ),
            well(
                maker,
                "resident opens while locking",
                None,
                N.GO_ON,
                before=long_lock,
                at={S.LOCKING: all_of(open_as_resident, wait(30), shut_lid, lock_with_key)},
            ),
        ]
    return stories


# Of the older account: what its weaker sight changes. The rest is the same cloud as the newer one's.
_CLASSIC = frozenset(
    {
        "outage",
        "on the move",
        "all well",
        "says done, nothing moved",
        "says failed, it moved",
        "silent unlock",
        "silent unlock that acts",
        "withdrawn at the unlock",
        "handle not pulled",
        "jammed once",
        "jammed",
        "offline while open",
        "lock says done, nothing moved",
        "blocked while unlocking",
        "gives up while open",
        "gone for good, and a passer-by closes",
        "lies: opened though locked",
        "lies: closed though open",
    }
)
# What does not depend on the maker is played at one of them.
_NOT_VOLVO = frozenset(
    {
        "withdrawn 401",
        "subscription lapsed",
        "silent reading",
        "drove off before the scan",
        "long offline",
        "resident opened it",
        "subscription lapsed at the unlock",
        "outage at the unlock",
        "outage at the lock",
        "cut before the lock was taken",
        "withdrawn at the lock",
        "subscription lapsed while open",
        "outage while open",
        "asleep while open",
        "gives up while open",
        "gives up when ready",
        "gone for good, and a passer-by closes",
        "lies: closed though open",
    }
)
STORIES = tuple(
    story
    for maker in ALL
    for story in (
        *_before_the_scan(maker),
        *_unlock(maker),
        *_lock(maker),
        *_people(maker),
    )
    if (maker != "classic" or story.name in _CLASSIC) and (maker != "volvo" or story.name not in _NOT_VOLVO)
)
