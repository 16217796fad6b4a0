"""What is Home Assistant's own: evidence and context ids, both ways of a command, what a restart and a lying hub do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.devices.canned import canned_cloud
from tests.devices.simulated import LinkedHome, TownAt, link_home, running_town
from tests.devices.trying import build, try_verb

from unlatch.clock import Clock, monotonic_s
from unlatch.devices.base import Answer, Car, End, Evidence, Reply, Sending, Verb
from unlatch.devices.catalogue import find_makers
from unlatch.devices.entities import State, judge
from unlatch.devices.makers.home_assistant import CLOSE_COVER, LOCK_BOLT, OPEN_COVER, UNLOCK_BOLT
from unlatch.domain.access import Assurance
from unlatch.domain.reading import Sight, sight_of
from unlatch.errors import CommandNotSent, CommandUnknown, DeviceUnsupported
from unlatch.town.client import TownClient
from unlatch.town.faults import FaultKind
from unlatch.town.home import HomeDeed

KIND = find_makers()["home_assistant"]
LOCKED = {"entity_id": "lock.front_door", "state": "locked", "attributes": {}}


@pytest.fixture(scope="module")
def town() -> Iterator[TownAt]:
    with running_town() as running:
        yield running


@pytest.fixture
async def client(town: TownAt) -> AsyncIterator[TownClient]:
    async with TownClient(town.address) as client:
        yield client


@pytest.fixture
async def homes(town: TownAt, client: TownClient) -> AsyncIterator[Any]:
    linked: list[LinkedHome] = []

    async def add(**papers: Any) -> LinkedHome:
        linked.append(await link_home(KIND, town, client, **papers))
        return linked[-1]

    yield add
    for one in linked:
        await one.maker.link.close()


OURS, NOBODYS = State(context_id="ours", user_id="u"), State(context_id="other")
ANOTHERS, AUTOMATIONS = replace(NOBODYS, user_id="someone"), replace(NOBODYS, parent_id="p")


def path(*steps: tuple[State, str]) -> list[State]:
    return [replace(state, word=word) for state, word in steps]


JUDGED = [
    ("nothing yet", UNLOCK_BOLT, path(), (None, None, False)),
    ("ours", UNLOCK_BOLT, path((OURS, "unlocked")), (End.DONE, None, False)),
    ("begun by us", UNLOCK_BOLT, path((OURS, "unlocking")), (None, None, True)),
    ("begun by us, ended later", UNLOCK_BOLT, path((OURS, "unlocking"), (NOBODYS, "unlocked")), (End.DONE, None, True)),
    ("begun by nobody", UNLOCK_BOLT, path((NOBODYS, "unlocking"), (NOBODYS, "unlocked")), (None, None, False)),
    ("ended by another", UNLOCK_BOLT, path((OURS, "unlocking"), (ANOTHERS, "unlocked")), (None, None, True)),
    ("ended by a rule", UNLOCK_BOLT, path((OURS, "unlocking"), (AUTOMATIONS, "unlocked")), (None, None, True)),
    ("locked by hand before us", UNLOCK_BOLT, path((ANOTHERS, "locked"), (OURS, "unlocked")), (End.DONE, None, False)),
    ("gone", UNLOCK_BOLT, path((NOBODYS, "unavailable")), (End.UNKNOWN, "offline", False)),
    ("stuck", LOCK_BOLT, path((OURS, "locking"), (NOBODYS, "jammed")), (End.REJECTED, "jammed", True)),
    ("stuck, and not by us", LOCK_BOLT, path((NOBODYS, "jammed")), (None, None, False)),
    ("stuck half open", UNLOCK_BOLT, path((OURS, "jammed")), (End.UNKNOWN, "jammed", False)),
    ("back again", LOCK_BOLT, path((OURS, "locking"), (OURS, "unlocked")), (End.REJECTED, "jammed", True)),
    ("opened, shut again", UNLOCK_BOLT, path((OURS, "unlocking"), (NOBODYS, "locked")), (End.UNKNOWN, "jammed", True)),
    ("a cover up", OPEN_COVER, path((OURS, "opening"), (NOBODYS, "open")), (End.DONE, None, True)),
    ("a cover back up", CLOSE_COVER, path((OURS, "closing"), (NOBODYS, "opening")), (End.REJECTED, "jammed", True)),
    ("a battery's news", LOCK_BOLT, path((NOBODYS, "unlocked"), (OURS, "locked")), (End.DONE, None, False)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "step", "states", "said"), JUDGED, ids=[row[0] for row in JUDGED])
def test_what_states_say_of_a_command(name: str, step: Any, states: list[State], said: object) -> None:
    assert judge(step, states, "ours") == said


async def test_a_done_is_the_devices_word_and_names_the_hubs_own_record(homes: Any) -> None:
    linked = await homes()
    answer = await linked.maker.unlock(linked.car, Sending())
    assert answer.evidence is Evidence.DEVICE_SAYS
    (command_id,) = {row.command_id for row in await linked.rows() if row.kind == "happening"}
    assert answer.reference == command_id, "the hub's own name for it"
    assert (await linked.maker.lock(linked.car, Sending())).evidence is Evidence.DEVICE_SAYS


async def test_what_is_assumed_is_the_hubs_word_and_no_reading(homes: Any) -> None:
    linked = await homes(is_assumed=True)
    answer = await linked.maker.unlock(linked.car, Sending())
    assert answer.evidence is Evidence.CLOUD_SAYS
    reading = await linked.maker.read(linked.car)
    assert (reading.is_locked, reading.is_open) == (None, False)


INSIDE = [
    (HomeDeed.THROW_SECOND_BOLT, "is_bolted_inside", HomeDeed.WITHDRAW_SECOND_BOLT),
    (HomeDeed.ARM_ALARM, "is_alarm_armed", HomeDeed.DISARM_ALARM),
    (HomeDeed.LET_PET_OUT, "is_pet_loose", HomeDeed.SHUT_PET_AWAY),
]


@pytest.mark.parametrize(("deed", "name", "undo"), INSIDE, ids=[row[1] for row in INSIDE])
async def test_what_stands_inside_is_told_when_it_is_wanted_and_the_door_is_as_old_as_it_is(
    homes: Any, client: TownClient, deed: HomeDeed, name: str, undo: HomeDeed
) -> None:
    linked = await homes(has_second_bolt=True, has_pet=True)
    before = await linked.maker.read(linked.car, wants_position=True)
    assert [getattr(before, one) for _, one, _ in INSIDE] == [False, False, False]
    await client.do_at_home(linked.home_id, deed)
    reading = await linked.maker.read(linked.car, wants_position=True)
    assert getattr(reading, name) is True
    assert (reading.is_locked, reading.observed_at) == (True, before.observed_at), "the door has not moved"
    assert getattr(await linked.maker.read(linked.car), name) is None, "the watch does not ask"
    await client.do_at_home(linked.home_id, undo)
    assert getattr(await linked.maker.read(linked.car, wants_position=True), name) is False


async def test_what_stands_inside_and_can_not_be_had_is_not_told(homes: Any) -> None:
    linked = await homes()
    gone = {"alarm": "alarm_control_panel.gone", "pet": "binary_sensor.gone", "second_bolt": "lock.gone"}
    car = replace(linked.car, secrets={**linked.car.secrets, **gone})
    reading = await linked.maker.read(car, wants_position=True)
    assert (reading.is_locked, reading.is_alarm_armed, reading.is_pet_loose, reading.is_bolted_inside) == (
        True, None, None, None
    )  # fmt: skip


async def test_the_bell_is_rung_once_for_each_wish(homes: Any, client: TownClient) -> None:
    linked = await homes()
    await linked.maker.ring(linked.car)
    await linked.maker.ring(linked.car)
    assert (await client.home(linked.home_id)).rung == 2
    deaf = replace(linked.car, secrets={**linked.car.secrets, "bell": ""})
    with pytest.raises(DeviceUnsupported):
        await linked.maker.ring(deaf)


async def test_the_silent_lock_tells_late_or_never(homes: Any) -> None:
    for acts, after_s, end in ((True, 0.4, End.DONE), (True, 30.0, End.UNKNOWN), (False, 0.4, End.UNKNOWN)):
        linked = await homes()
        await linked.set_fault(FaultKind.ANSWERS_AT_ONCE, acts=acts, after_s=after_s)
        tried = await try_verb(linked.maker, linked.car, Verb.UNLOCK)
        assert tried.end is end
        await linked.clock.sleep(after_s + 1.0)
        assert await linked.deeds_done("unlock") == int(acts)
        assert (await linked.maker.read(linked.car)).is_locked is not acts


async def test_a_thrown_second_bolt_means_that_someone_is_at_home(homes: Any) -> None:
    linked = await homes(has_second_bolt=True)
    await linked.client.do_at_home(linked.home_id, HomeDeed.THROW_SECOND_BOLT)
    tried = await try_verb(linked.maker, linked.car, Verb.UNLOCK)
    assert (tried.end, tried.code, tried.times_sent) == (End.NOT_SENT, "unsafe_state", 0)
    assert await linked.commands_asked() == []
    await linked.client.do_at_home(linked.home_id, HomeDeed.WITHDRAW_SECOND_BOLT)
    assert (await try_verb(linked.maker, linked.car, Verb.UNLOCK)).end is End.DONE


async def test_no_bolt_is_thrown_into_the_air(homes: Any) -> None:
    linked = await homes()
    await linked.free_by_hand()
    assert await linked.can_open()
    tried = await try_verb(linked.maker, linked.car, Verb.LOCK)
    assert (tried.end, tried.code) == (End.NOT_SENT, "door_open")
    await linked.close()
    assert (await try_verb(linked.maker, linked.car, Verb.LOCK)).end is End.DONE
    assert await linked.is_secured()


async def test_a_bolt_alone_may_be_thrown_while_the_door_stands_open_and_says_how_weak_that_is(
    homes: Any,
) -> None:
    linked = await homes(has_contact=False)
    closure = linked.maker.closure(linked.car)
    assert closure.assurance is Assurance.BOLT_ALONE
    await linked.free_by_hand()
    assert await linked.can_open()
    assert (await try_verb(linked.maker, linked.car, Verb.LOCK)).end is End.DONE
    reading = await linked.maker.read(linked.car)
    assert sight_of(reading, closure, last_used_at=None, last_command_at=None) is Sight.LOCKED
    assert not await linked.is_secured(), "which is why the assurance has another name"


def test_each_closure_says_how_well_it_can_show_that_it_is_locked() -> None:
    maker = build(KIND, "http://127.0.0.1:9", Clock())
    secrets = {"address": "", "access_token": "t"}
    told = {
        Assurance.SEEN: Car(maker=KIND.name, vin="lock.x", secrets=secrets | {"contact": "binary_sensor.x"}),
        Assurance.BOLT_ALONE: Car(maker=KIND.name, vin="lock.x", secrets=secrets),
        Assurance.LID_ALONE: Car(maker=KIND.name, vin="cover.x", secrets=secrets),
    }
    assert {maker.closure(car).assurance for car in told.values()} == set(told)
    assert all(maker.closure(car).assurance is assurance for assurance, car in told.items())
    itself = replace(told[Assurance.SEEN], secrets=secrets | {"locks_itself_after_s": "30"})
    assert maker.closure(itself).locks_itself_after_s == 30.0


async def test_the_latch_is_pulled_only_where_the_place_wants_it(homes: Any) -> None:
    bolt, latch = await homes(), await homes(opening="latch")
    for linked in (bolt, latch):
        assert (await try_verb(linked.maker, linked.car, Verb.UNLOCK)).end is End.DONE
    assert await bolt.commands_asked() == ["unlock"]
    assert await latch.commands_asked() == ["open"]
    assert not (await bolt.client.home(bolt.home_id)).is_open
    assert (await latch.client.home(latch.home_id)).is_open


async def test_a_garage_that_moves_or_is_open_is_sent_nothing(homes: Any) -> None:
    linked = await homes(kind="garage")
    assert (await try_verb(linked.maker, linked.car, Verb.UNLOCK)).end is End.DONE
    tried = await try_verb(linked.maker, linked.car, Verb.UNLOCK)
    assert (tried.end, tried.code) == (End.NOT_SENT, "door_open")
    assert await linked.commands_asked() == ["open_cover"]


async def test_a_garage_that_meets_something_goes_up_again(homes: Any) -> None:
    linked = await homes(kind="garage")
    await linked.maker.unlock(linked.car, Sending())
    await linked.set_fault(FaultKind.WILL_NOT_CLOSE, count=1)
    tried = await try_verb(linked.maker, linked.car, Verb.LOCK)
    assert (tried.end, tried.code) == (End.REJECTED, "jammed")
    assert (await linked.maker.read(linked.car)).is_open is True
    assert (await try_verb(linked.maker, linked.car, Verb.LOCK)).end is End.DONE
    assert await linked.is_secured()


async def test_a_lock_that_locks_itself_is_seen_locked(homes: Any) -> None:
    linked = await homes(locks_itself_after_s=30.0)
    answer = await linked.maker.unlock(linked.car, Sending())
    assert (await linked.maker.read(linked.car)).is_locked is False
    await linked.clock.sleep(40.0)
    reading = await linked.maker.read(linked.car)
    assert reading.is_locked
    assert reading.observed_at > answer.answered_at
    assert [row.what for row in await linked.rows() if row.what == "relocked"] == ["relocked"]


async def test_polls_and_batteries_make_no_old_news_fresh(homes: Any) -> None:
    """The hub lies that it is locked, and writes that down again and again: it is as old as its last change."""
    linked = await homes()
    closure = linked.maker.closure(linked.car)
    await linked.set_fault(FaultKind.LYING_STATE)
    sent_at = linked.clock.now()
    assert (await try_verb(linked.maker, linked.car, Verb.UNLOCK)).end is End.UNKNOWN
    assert not await linked.is_secured()
    await linked.client.report_home(linked.home_id)
    reading = await linked.maker.read(linked.car)
    assert reading.is_locked
    assert reading.observed_at < sent_at
    assert sight_of(reading, closure, last_used_at=None, last_command_at=sent_at) is Sight.NOTHING


async def test_a_restart_makes_old_news_look_fresh_and_the_manual_says_so(homes: Any) -> None:
    """The one trap that the API gives no way out of: if this ever fails, the docstring of the maker must change."""
    linked = await homes()
    await linked.set_fault(FaultKind.LYING_STATE)
    sent_at = linked.clock.now()
    await try_verb(linked.maker, linked.car, Verb.UNLOCK)
    await linked.client.restart_hub(linked.home_id)
    reading = await linked.maker.read(linked.car)
    assert reading.is_locked
    assert reading.observed_at > sent_at
    import unlatch.devices.makers.home_assistant as file

    assert "A restart sets them anew" in (file.__doc__ or "")


@pytest.mark.parametrize("ahead_s", [300.0, -300.0, 0.5])
async def test_a_hub_whose_clock_is_ahead_makes_no_old_news_fresh(ahead_s: float) -> None:
    """By the header Date its clock is known; one that is behind only makes news older than they are."""
    from email.utils import format_datetime

    clock = Clock()
    changed_at = clock.now() - timedelta(seconds=60)  # truly
    shown_at = changed_at + timedelta(seconds=ahead_s)
    date = format_datetime(clock.now() + timedelta(seconds=ahead_s), usegmt=True)
    state = {**LOCKED, "last_changed": shown_at.isoformat()}
    async with canned_cloud([Reply(to="GET /", body=state, headers={"date": date})]) as cloud:
        maker = build(KIND, cloud.base, clock)
        car = Car(maker=KIND.name, vin="lock.front_door", secrets={"access_token": "t"})
        reading = await maker.read(car)
        await maker.link.close()
    assert reading.observed_at - changed_at < timedelta(seconds=3)


async def test_wifi_lost_tells_nothing_and_back_again_it_tells_the_truth(homes: Any) -> None:
    linked = await homes()
    await linked.maker.unlock(linked.car, Sending())
    await linked.client.do_at_home(linked.home_id, HomeDeed.WIFI_DOWN)
    for verb, end in ((Verb.READ, End.NOT_SENT), (Verb.LOCK, End.UNKNOWN), (Verb.UNLOCK, End.NOT_SENT)):
        assert (await try_verb(linked.maker, linked.car, verb)).end is end
    assert await linked.deeds_done("lock") == 0
    await linked.client.do_at_home(linked.home_id, HomeDeed.WIFI_UP)
    assert (await linked.maker.read(linked.car)).is_locked is False


async def test_a_hub_that_goes_down_in_the_middle_leaves_the_end_unknown(homes: Any) -> None:
    linked = await homes(latency_s=25.0)
    sent = asyncio.Event()
    sending = Sending(on_sent=sent.set)
    unlock: asyncio.Task[Answer] = asyncio.ensure_future(linked.maker.unlock(linked.car, sending))
    await sent.wait()
    await linked.client.do_at_home(linked.home_id, HomeDeed.WIFI_DOWN)
    with pytest.raises(CommandUnknown):
        await unlock
    await linked.clock.sleep(30.0)
    assert await linked.deeds_done("unlock") == 1, "a call goes on when its connection is gone"


async def test_past_half_of_its_time_the_other_way_is_taken_and_past_all_of_it_none(homes: Any) -> None:
    """A WebSocket that is opened and says nothing must not use up the time until the first byte must have left."""
    replies = [
        Reply(to="GET /api/websocket", status=101, body=[]),
        Reply(to="GET /api/states/", body=LOCKED),
        Reply(
            to="POST /api/services/lock/unlock",
            body=[{**LOCKED, "state": "unlocked", "context": {"id": "x"}}],
        ),
    ]
    car = Car(maker=KIND.name, vin="lock.front_door", secrets={"access_token": "t"})
    async with canned_cloud(replies) as cloud:
        maker = build(KIND, cloud.base, Clock())
        answer = await maker.unlock(car, Sending(first_byte_by_s=monotonic_s() + 1.0))
        assert answer.evidence is Evidence.CLOUD_SAYS
        assert cloud.asked[-1].startswith("POST ")
        asked = len(cloud.asked)
        with pytest.raises(CommandNotSent) as caught:
            await maker.unlock(car, Sending(first_byte_by_s=monotonic_s() - 0.01))
        assert caught.value.code == "too_late"
        assert not any(line.startswith(("POST", "WS")) for line in cloud.asked[asked:])
        await maker.link.close()


FORMS = [
    ("vin", "lock.front door"), ("vin", "light.hall"), ("vin", "lock.x/../../y"), ("vin", "lock.X"), ("vin", ""),
    ("alarm", "lock.x"), ("pet", "lock.x"), ("bell", "light.hall"),
    ("contact", "lock.x"), ("contact", "binary_sensor.x?"), ("second_bolt", "cover.x"), ("opening", "wide"),
    ("locks_itself_after_s", "-1"), ("locks_itself_after_s", "soon"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), FORMS)
async def test_what_can_be_no_door_is_sent_nothing(name: str, value: str) -> None:
    async with canned_cloud([]) as cloud:
        maker = build(KIND, cloud.base, Clock())
        secrets = {"access_token": "t", **({name: value} if name != "vin" else {})}
        car = Car(maker=KIND.name, vin=value if name == "vin" else "lock.x", secrets=secrets)
        maker.closure(car)  # says something, whatever the form holds
        for verb in (Verb.UNLOCK, Verb.LOCK, Verb.READ):
            tried = await try_verb(maker, car, verb)
            assert (tried.end, tried.code) == (End.NOT_SENT, "bad_request")
        assert cloud.asked == []
        await maker.link.close()
