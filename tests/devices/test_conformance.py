"""Every maker against its simulated cloud over real HTTP: each end of a command, beside what the car really did.

What must hold under every fault of the town, for every maker:

* not sent: the car did not do it, then or later;
* rejected: likewise, unless the cloud lies (says failed but it moved);
* done: the car did it, unless the cloud lies (says done but nothing moved);
* a command's bytes leave at most once; and no message shows a VIN, a secret or an address.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.devices.simulated import Linked, TownAt, has_simulated_cloud, link_car, running_town
from tests.devices.trying import Tried, check_redacted, try_verb

from unlatch.clock import monotonic_s
from unlatch.devices.base import Answer, End, Maker, Sending, Verb
from unlatch.devices.catalogue import find_makers
from unlatch.domain.access import distance_m
from unlatch.domain.reading import Sight, sight_of
from unlatch.errors import CommandNotSent, DeviceAsleep, DeviceUnsupported
from unlatch.town.client import TownClient
from unlatch.town.faults import FaultKind, First
from unlatch.town.world import place

KINDS: list[tuple[type[Maker], dict[str, Any]]] = [
    (kind, {"account_kind": account_kind})
    for kind in find_makers().values()
    if has_simulated_cloud(kind) and not kind.has_own_hub
    for account_kind in (kind.account_kinds or (None,))
]
DOORS: dict[str, dict[str, Any]] = {
    "door": {},
    "garage": {"kind": "garage"},
    "bolt_alone": {"has_contact": False},
}
HOMES = [(kind, papers) for kind in find_makers().values() if kind.has_own_hub for papers in DOORS.values()]
NAMES = [f"{kind.name}-{papers['account_kind'] or 'any'}" for kind, papers in KINDS]
NAMES += [f"{kind.name}-{name}" for kind in find_makers().values() if kind.has_own_hub for name in DOORS]
KINDS += HOMES
SETTLED_AFTER_S = 240.0  # town: after the latest late unlock that these faults make


@dataclass(frozen=True, kw_only=True)
class Case:
    """A fault, a verb, and the end that each maker's command must then have."""

    fault: FaultKind | None
    verb: Verb = Verb.UNLOCK
    how: dict[str, Any] = field(default_factory=dict)
    ends: dict[str, tuple[End, str | None]]


def both(end: End, code: str | None = None) -> dict[str, tuple[End, str | None]]:
    return {"onstar": (end, code), "volvo": (end, code)}


def each(onstar: tuple[End, str | None], volvo: tuple[End, str | None]) -> dict[str, tuple[End, str | None]]:
    return {"onstar": onstar, "volvo": volvo}


def home(end: End, code: str | None = None) -> dict[str, tuple[End, str | None]]:
    return {"home_assistant": (end, code)}


def everyone(end: End, code: str | None = None) -> dict[str, tuple[End, str | None]]:
    return both(end, code) | home(end, code)


DONE, UNKNOWN = End.DONE, End.UNKNOWN
REJECTED, NOT_SENT = End.REJECTED, End.NOT_SENT
ASLEEP = each((REJECTED, "asleep"), (NOT_SENT, "asleep"))
OFFLINE = each((REJECTED, "offline"), (UNKNOWN, "offline"))
MOVING = both(REJECTED, "unsafe_state")

CASES = [
    Case(fault=None, ends=everyone(DONE)),
    Case(fault=None, verb=Verb.LOCK, ends=everyone(DONE)),
    Case(fault=FaultKind.ASLEEP, ends=ASLEEP),
    Case(fault=FaultKind.ASLEEP, verb=Verb.LOCK, ends=ASLEEP),
    Case(fault=FaultKind.OFFLINE, ends=OFFLINE | home(NOT_SENT, "offline")),
    Case(fault=FaultKind.OFFLINE, verb=Verb.LOCK, ends=OFFLINE | home(NOT_SENT, "offline")),
    Case(fault=FaultKind.SLOW, how={"after_s": 50.0}, ends=both(DONE)),
    Case(fault=FaultKind.SLOW, how={"after_s": 20.0}, ends=home(DONE)),  # later than a context lives
    Case(fault=FaultKind.SLOW, how={"after_s": 200.0}, ends=home(UNKNOWN, "timeout")),
    Case(fault=FaultKind.SILENT, ends=everyone(UNKNOWN, "timeout")),
    Case(fault=FaultKind.SILENT, how={"acts": True}, ends=everyone(UNKNOWN, "timeout")),
    Case(fault=FaultKind.SILENT, how={"acts": True, "status": 500}, ends=both(UNKNOWN, "timeout")),
    Case(fault=FaultKind.SILENT, verb=Verb.LOCK, ends=everyone(UNKNOWN, "timeout")),
    Case(fault=FaultKind.SAYS_DONE_BUT_NOTHING_MOVED, ends=everyone(DONE)),
    Case(
        fault=FaultKind.SAYS_DONE_BUT_NOTHING_MOVED,
        verb=Verb.LOCK,
        ends=both(DONE) | home(UNKNOWN, "pending"),  # it showed locked before: nothing changed
    ),
    Case(
        fault=FaultKind.SAYS_FAILED_BUT_IT_MOVED,
        ends=both(REJECTED, "rejected") | home(UNKNOWN, "car_error"),
    ),
    Case(
        fault=FaultKind.SAYS_FAILED_BUT_IT_MOVED,
        verb=Verb.LOCK,
        ends=both(REJECTED, "rejected") | home(UNKNOWN, "car_error"),
    ),
    Case(fault=FaultKind.LATE_UNLOCK, ends=both(UNKNOWN, "timeout") | home(UNKNOWN, "car_error")),
    Case(fault=FaultKind.LATE_UNLOCK, how={"first": First.NORMAL}, ends=everyone(DONE)),
    Case(
        fault=FaultKind.JAMMED,
        verb=Verb.LOCK,
        ends=each((REJECTED, "jammed"), (UNKNOWN, "car_error")),
    ),
    Case(fault=FaultKind.WILL_NOT_CLOSE, ends=everyone(DONE)),
    Case(fault=FaultKind.DRIVES_OFF, ends=MOVING),
    Case(fault=FaultKind.RATE_LIMIT, ends=everyone(NOT_SENT, "rate_limited")),
    Case(fault=FaultKind.RATE_LIMIT, verb=Verb.LOCK, ends=everyone(NOT_SENT, "rate_limited")),
    Case(fault=FaultKind.CONSENT_WITHDRAWN, ends=everyone(NOT_SENT, "auth_expired")),
    Case(fault=FaultKind.CONSENT_WITHDRAWN, how={"status": 403}, ends=everyone(NOT_SENT, "consent_missing")),
    Case(fault=FaultKind.SUBSCRIPTION_LAPSED, ends=both(NOT_SENT, "subscription")),
    Case(fault=FaultKind.DUPLICATE_ANSWERS, ends=everyone(DONE)),
    Case(fault=FaultKind.OUTAGE, ends=both(UNKNOWN, "vendor_down") | home(NOT_SENT, "vendor_down")),
    Case(fault=FaultKind.OUTAGE, verb=Verb.LOCK, how={"status": 500}, ends=everyone(UNKNOWN, "vendor_down")),
    Case(fault=FaultKind.CONNECTION_CUT, ends=everyone(UNKNOWN, "connection_cut")),
    Case(fault=FaultKind.CONNECTION_CUT, how={"acts": True}, ends=everyone(UNKNOWN, "connection_cut")),
    Case(fault=FaultKind.CONNECTION_CUT, verb=Verb.LOCK, ends=everyone(UNKNOWN, "connection_cut")),
    Case(fault=FaultKind.ANSWERS_AT_ONCE, ends=home(UNKNOWN, "pending")),
    Case(fault=FaultKind.ANSWERS_AT_ONCE, verb=Verb.LOCK, ends=home(UNKNOWN, "pending")),
    Case(fault=FaultKind.HUB_GONE, ends=home(NOT_SENT, "connection_cut")),
    Case(fault=FaultKind.HUB_GONE, verb=Verb.LOCK, ends=home(UNKNOWN, "connection_cut")),
    Case(fault=FaultKind.LYING_STATE, ends=home(UNKNOWN, "pending")),
]


@pytest.fixture(scope="module")
def town() -> Iterator[TownAt]:
    with running_town() as running:
        yield running


@pytest.fixture
async def client(town: TownAt) -> AsyncIterator[TownClient]:
    async with TownClient(town.address) as client:
        yield client


@pytest.fixture(params=KINDS, ids=NAMES)
async def linked(request: pytest.FixtureRequest, town: TownAt, client: TownClient) -> AsyncIterator[Linked]:
    kind, papers = request.param
    linked = await link_car(kind, town, client, **papers)
    yield linked
    await linked.maker.link.close()


def test_every_fault_of_the_town_is_tried() -> None:
    assert {case.fault for case in CASES} == {None, *FaultKind}


async def run_case(case: Case, linked: Linked) -> list[str]:
    """Try one case; returns what does not hold."""
    word = "unlock" if case.verb is Verb.UNLOCK else "lock"
    if case.fault is not None:
        await linked.set_fault(case.fault, **case.how)
    tried = await try_verb(linked.maker, linked.car, case.verb)
    if tried.error is not None:
        check_redacted(tried.error, linked.car, linked.client.base_url)
    await linked.clock.sleep(SETTLED_AFTER_S if tried.end is not End.DONE else 1.0)
    asked, done = await linked.commands_asked(), await linked.deeds_done(word)
    await linked.maker.link.close()
    return [
        f"{case.fault} {case.verb} {case.how}: {fault}"
        for fault in what_is_wrong(case, tried, asked, done, linked.maker.name)
    ]


def what_is_wrong(case: Case, tried: Tried, asked: list[str], done: int, maker: str) -> Iterator[str]:
    if (tried.end, tried.code) != case.ends[maker]:
        yield f"ended as {tried.end} {tried.code}, not as {case.ends[maker]}"
    if len(asked) > 1 or tried.times_sent > 1:
        yield f"left more than once: {asked}"
    if tried.end is not End.NOT_SENT and tried.times_sent != 1:
        yield "its last byte was not told"
    if tried.end is End.NOT_SENT and done:
        yield "was called not sent, and happened"
    if tried.end is End.REJECTED and done and case.fault is not FaultKind.SAYS_FAILED_BUT_IT_MOVED:
        yield "was called rejected, and happened"
    if tried.end is End.DONE and not done and case.fault is not FaultKind.SAYS_DONE_BUT_NOTHING_MOVED:
        yield "was called done, and did not happen"


@pytest.mark.parametrize(("kind", "papers"), KINDS, ids=NAMES)
async def test_each_fault_ends_as_what_is_known_of_the_world(
    kind: type[Maker], papers: dict[str, Any], town: TownAt, client: TownClient
) -> None:
    """All at once, each on a car and a link of its own: the waits of the town overlap."""
    cases = [case for case in CASES if kind.name in case.ends]
    cars = [await link_car(kind, town, client, **papers) for _ in cases]
    wrong = await asyncio.gather(*(run_case(case, one) for case, one in zip(cases, cars, strict=True)))
    assert [line for lines in wrong for line in lines] == []


async def test_the_whole_way_from_locked_to_seen_locked(linked: Linked) -> None:
    maker, car, clock = linked.maker, linked.car, linked.clock
    closure = maker.closure(car)
    answer = await maker.unlock(car, Sending(first_byte_by_s=monotonic_s() + 2.0))
    if closure.locks_itself_after_s is not None:
        assert answer.handle_until is not None
        assert 0 < (answer.handle_until - answer.answered_at).total_seconds() <= closure.locks_itself_after_s
    assert await linked.can_open()
    await linked.close()
    locked_at = clock.now()
    await maker.lock(car, Sending())
    assert await linked.is_secured()
    if not closure.reads_lock:
        with pytest.raises(DeviceUnsupported):
            await maker.read(car)
        return
    sight, tries = Sight.NOTHING, 0
    while sight is not Sight.LOCKED and tries < 10:
        reading = await maker.read(car)
        sight = sight_of(reading, closure, last_used_at=None, last_command_at=locked_at)
        tries += 1
        await clock.sleep(closure.read_every_s)
    assert sight is Sight.LOCKED


async def test_readings_tell_what_is_so(linked: Linked) -> None:
    maker, car, clock = linked.maker, linked.car, linked.clock
    closure = maker.closure(car)
    reading = await maker.read(car, wants_position=not closure.reads_lock)
    if not closure.reads_lock:
        assert (reading.is_locked, reading.is_open) == (None, None)
        return
    assert (reading.is_locked, reading.is_open) == (True, False if closure.reads_lid else None)
    assert reading.observed_at <= clock.now()
    await linked.free_by_hand()
    assert await linked.can_open()
    opened = await maker.read(car)
    seen = sight_of(opened, closure, last_used_at=reading.observed_at, last_command_at=None)
    assert seen is (Sight.OPEN if closure.reads_lid else Sight.CLOSED)
    if closure.lid_is_lock:
        return  # closing it is locking it
    await linked.close()
    closed = await maker.read(car)
    if closure.reads_lid:  # else nothing has changed that could be told
        seen = sight_of(closed, closure, last_used_at=opened.observed_at, last_command_at=None)
        assert seen is Sight.CLOSED


async def test_a_car_tells_where_it_is_and_a_home_does_not(linked: Linked) -> None:
    maker, car = linked.maker, linked.car
    reading = await maker.read(car, wants_position=True)
    if maker.has_own_hub:
        assert (reading.position, reading.is_moving) == (None, None)
        return
    assert reading.position is not None
    assert distance_m(reading.position, place(33.749, -84.388)) < 5
    assert reading.position.accuracy_m > 0, "nobody's position is perfect"
    assert reading.is_moving is False
    assert reading.observed_at <= linked.clock.now()
    await linked.client.drive(car.vin)
    assert (await maker.read(car, wants_position=True)).is_moving is True


async def test_a_sleeping_car_is_read_as_old_as_it_is(linked: Linked) -> None:
    if not linked.maker.closure(linked.car).reads_lock or linked.maker.has_own_hub:
        return  # nothing to read: see the classic account's other tests; a hub tells `unavailable`
    await linked.set_fault(FaultKind.ASLEEP)
    asleep_at = linked.clock.now()
    await linked.clock.sleep(60.0)
    assert (await linked.maker.read(linked.car)).observed_at <= asleep_at


async def test_a_lock_passes_an_unlock_and_no_unlock_passes_anything(linked: Linked) -> None:
    """S4: a block must be on the wire at once, though the unlock before it has no end yet."""
    maker, car = linked.maker, linked.car
    await linked.set_fault(FaultKind.SILENT, verb="unlock")
    left = asyncio.Event()
    unlock: asyncio.Task[Answer] = asyncio.ensure_future(maker.unlock(car, Sending(on_sent=left.set)))
    await left.wait()
    with pytest.raises(CommandNotSent) as second:
        await maker.unlock(car, Sending())
    assert (second.value.code, maker.find_obstacle(car)) == ("in_flight", "in_flight")
    locked = asyncio.Event()
    lock: asyncio.Task[Answer] = asyncio.ensure_future(maker.lock(car, Sending(on_sent=locked.set)))
    async with asyncio.timeout(1.0):
        await locked.wait()
    with pytest.raises(CommandNotSent) as third:
        await maker.lock(car, Sending())
    assert third.value.code == "in_flight"
    await lock
    unlock.cancel()
    await asyncio.gather(unlock, return_exceptions=True)
    assert await linked.commands_asked() in (
        ["unlock", "lock"],
        ["unlockTrunk", "lockTrunk"],
        ["open_cover", "close_cover"],
    )


async def test_past_its_time_no_unlock_reaches_the_cloud(linked: Linked) -> None:
    with pytest.raises(CommandNotSent) as caught:
        await linked.maker.unlock(linked.car, Sending(first_byte_by_s=monotonic_s() - 0.01))
    assert caught.value.code == "too_late"
    assert await linked.commands_asked() == []


async def test_a_trace_can_be_found_in_the_clouds_own_record(linked: Linked) -> None:
    await linked.maker.unlock(linked.car, Sending(trace_id="command-7"))
    opening = ("unlock", "open_cover")
    rows = [row for row in await linked.rows() if row.kind == "request" and row.what.startswith(opening)]
    assert [row.trace for row in rows] == ["command-7"]


async def test_a_flash_needs_no_patience(linked: Linked) -> None:
    if linked.maker.has_own_hub:
        with pytest.raises(DeviceUnsupported):
            await linked.maker.flash(linked.car)
        return
    await linked.maker.flash(linked.car)
    assert linked.maker.find_obstacle(linked.car) is None


async def test_volvos_minute_keeps_three_commands_for_closings(town: TownAt, client: TownClient) -> None:
    linked = await link_car(find_makers()["volvo"], town, client, latency_s=0.0)
    maker, car = linked.maker, linked.car
    ends = [await try_verb(maker, car, Verb.UNLOCK) for _ in range(8)]
    assert [tried.end for tried in ends] == [End.DONE] * 7 + [End.NOT_SENT]
    refused = ends[-1].error
    assert refused is not None
    assert refused.code == "quota"
    assert refused.retry_after_s is not None
    assert 0 < refused.retry_after_s <= 60
    assert maker.find_obstacle(car) == "quota"
    locks = [(await try_verb(maker, car, Verb.LOCK)).end for _ in range(3)]
    assert locks == [End.DONE] * 3
    eleventh = await try_verb(maker, car, Verb.LOCK)
    assert (eleventh.end, eleventh.code) == (
        End.NOT_SENT,
        "rate_limited",
    )  # by the cloud: closings are not shed
    await linked.clock.sleep(61.0)
    assert maker.find_obstacle(car) is None
    await maker.link.close()


@pytest.mark.parametrize(
    ("fault", "code"), [(FaultKind.ASLEEP, "asleep"), (FaultKind.OFFLINE, "offline")], ids=str
)
async def test_volvo_tells_ahead_whether_a_car_would_take_a_command(
    town: TownAt, client: TownClient, fault: FaultKind, code: str
) -> None:
    linked = await link_car(find_makers()["volvo"], town, client, latency_s=0.0)
    await linked.maker.probe(linked.car)
    await client.set_fault(linked.car.vin, fault)
    with pytest.raises(CommandNotSent) as caught:
        await linked.maker.probe(linked.car)
    assert (caught.value.code, isinstance(caught.value, DeviceAsleep)) == (code, code == "asleep")
    await client.clear_faults(linked.car.vin)
    await client.drive(linked.car.vin)
    await linked.maker.probe(linked.car)  # in use: its engine says so
    await linked.maker.link.close()
