"""Notices leave: each once by its id, tried again, over every channel that wants them, and none too late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.flow.post import Post, open_post
from tests.flow.stage import Stop

from unlatch.domain.access import Fallback
from unlatch.domain.booking import Effect, Part
from unlatch.domain.notice import ChannelKind, DispatchState, NoticeEvent, NoticeGroup
from unlatch.domain.notice_timing import CHANGES_WAIT_S
from unlatch.errors import BadInput, Conflict, NotFound
from unlatch.flow import channels, consent, posting, rebooking
from unlatch.flow.channels import confirm_channel, reseal_channels
from unlatch.flow.notifying import tell_of_stop
from unlatch.flow.options import WindowGiven
from unlatch.flow.rebooking import NewPlan
from unlatch.flow.wishes import Wisher
from unlatch.store import dispatches, preflights, stops
from unlatch.store.channels import list_channels
from unlatch.store.database import Database
from unlatch.store.stops import StopRow
from unlatch.store.vault import Vault
from unlatch.town.post_office import PostFaultKind, Way

E = NoticeEvent


@pytest.fixture
async def post(database: Database, tmp_path: Path) -> AsyncIterator[Post]:
    async with open_post(database, tmp_path) as post:
        yield post


def all_sent(number: int) -> Callable[[list[str]], bool]:
    return lambda states: states == ["sent"] * number


async def test_one_event_goes_over_every_channel_of_everyone_whom_it_concerns(post: Post) -> None:
    stop = await post.stage.add_stop()
    await post.add_mail(stop, "ann@example.org")
    _, browser = await post.add_push(stop)
    _, hook = await post.add_hook(stop)
    await post.tell(stop, E.DELIVERED, "vis_1", courier="Bo", at="2026-11-26T22:03:07Z")
    async with post.sending():
        await post.until_states(all_sent(3))
    mail = (await post.town.mail("ann@example.org")).letters[-1]
    assert mail.subject == "Delivered and locked"
    assert mail.body == "Bo has put your parcel in. It was seen locked at 17:03:07 on Thursday 26 November."
    assert (await post.town.pushed(browser)).letters[0].body == mail.body
    told = (await post.town.hooked(hook)).letters[0]
    assert told.body.startswith("Delivered by Bo.")
    assert told.data["data"]["stop_id"] == stop.stop_id
    assert told.data["data"]["facts"] == {"courier": "Bo", "at": "2026-11-26T22:03:07Z"}


async def test_twenty_tell_the_same_at_once_and_each_reader_hears_it_once(post: Post) -> None:
    stop = await post.stage.add_stop()
    _, browser = await post.add_push(stop)
    await asyncio.gather(*(post.tell(stop, E.BOOKED, "stp_1/1") for _ in range(20)))
    await asyncio.gather(*(post.post() for _ in range(5)))
    async with post.sending(), post.sending(), post.sending():
        await post.until_states(all_sent(1))
    box = await post.town.pushed(browser)
    assert (box.received, len(box.letters)) == (1, 1)


async def test_a_group_that_is_off_is_not_told_there_and_an_alarm_always_is(post: Post) -> None:
    stop = await post.stage.add_stop()
    with pytest.raises(BadInput, match="groups_off"):
        await post.add_push(stop, groups_off=[NoticeGroup.ALARM])
    await post.add_push(stop, groups_off=[group for group in NoticeGroup if group is not NoticeGroup.ALARM])
    for number, event in enumerate(E):
        await post.tell(stop, event, f"key {number}")
    await post.post()
    rows = await post.rows(
        "SELECT event FROM dispatch JOIN notice ON notice.id = notice_id WHERE reader = 'consignee'"
    )
    assert {row["event"] for row in rows} == {
        E.NOT_SECURED, E.OPENED_AFTERWARDS, E.DELIVERED_LOCK_NOT_SEEN, E.NOT_DELIVERED_LOCK_NOT_SEEN, E.RECORDING_LOST,
        E.CLIP_GLASS_BROKEN,
    }  # fmt: skip
    assert await post.rows("SELECT 1 FROM notice WHERE posted_at IS NULL") == []


async def test_what_is_not_confirmed_is_told_nothing_but_its_code(post: Post) -> None:
    stop = await post.stage.add_stop()
    await post.add(stop, ChannelKind.EMAIL, to="stranger@example.org")
    await post.tell(stop, E.DELIVERED, "vis_1")
    await post.post()
    assert await post.states() == []
    (mail,) = (await post.town.mail("stranger@example.org")).letters
    assert "code" in mail.subject.lower()


# ---------------------------------------------------------------- what swings back and forth


async def swing(post: Post, stop: Stop, *, is_blocked: bool) -> None:
    """The owner blocks their place, or ends that."""
    async with post.platform.database.transaction() as connection:
        change = consent.block if is_blocked else consent.unblock
        owner = f"con_{stop.stop_id[4:]}"
        await change(connection, stop.place_id, consignee_id=owner, now=post.platform.clock.now())


async def test_a_place_that_is_blocked_and_unblocked_in_a_loop_is_told_of_now_and_then_and_as_it_stands(
    post: Post,
) -> None:
    stop = await post.stage.add_stop()
    _, browser = await post.add_push(stop)
    for _ in range(15):
        await swing(post, stop, is_blocked=True)
        await post.post()
        await run_once(post)
        await swing(post, stop, is_blocked=False)
        await post.post()
        await run_once(post)
    await swing(post, stop, is_blocked=True)
    await post.post()
    await run_once(post)
    told = (await post.town.pushed(browser)).letters
    assert [letter.event for letter in told] == ["blocked", "unblocked"] * 2
    (waits,) = await post.rows(
        "SELECT event, next_at - dispatch.created_at AS wait FROM dispatch JOIN notice ON id = notice_id "
        "WHERE state = 'due'"
    )
    assert waits["event"] == "blocked"
    # It leaves when the first one that had to wait would have: a loop that goes on keeps nobody in the dark.
    assert timedelta(0) < waits["wait"] < timedelta(seconds=CHANGES_WAIT_S)
    await make_due(post)
    await run_once(post)
    assert (await post.town.pushed(browser)).letters[-1].event == "blocked"
    assert (await post.town.pushed(browser)).received == 5
    assert set(await post.states()) == {"sent", "dropped"}


async def test_of_changes_that_wait_together_only_the_last_is_told(post: Post) -> None:
    """Nobody posted for a while: what has been overtaken is no news."""
    stop = await post.stage.add_stop()
    _, browser = await post.add_push(stop)
    for is_blocked in (True, False, True, False):
        await swing(post, stop, is_blocked=is_blocked)
    await post.post()
    await run_once(post)
    told = (await post.town.pushed(browser)).letters
    assert [letter.event for letter in told] == ["unblocked"]


async def test_however_many_change_it_between_two_posts_what_waits_is_not_put_off(post: Post) -> None:
    stop = await post.stage.add_stop()
    await post.add_push(stop)
    slots = []
    for _ in range(3):
        for _ in range(6):
            await swing(post, stop, is_blocked=True)
            await swing(post, stop, is_blocked=False)
        await post.post()
        slots += await post.rows("SELECT next_at FROM dispatch WHERE state = 'due'")
    assert len(slots) == 3
    assert slots[0] == slots[1] == slots[2]


async def test_what_swings_at_one_place_holds_back_nothing_of_another(post: Post) -> None:
    stop, other = await post.stage.add_stop(), await post.stage.add_stop()
    async with post.platform.database.connection() as connection:
        await connection.execute(
            "UPDATE access_point SET consignee_id = %s WHERE id = %s",
            (f"con_{stop.stop_id[4:]}", other.place_id),
        )
    _, browser = await post.add_push(stop)
    for _ in range(4):
        await swing(post, stop, is_blocked=True)
        await swing(post, stop, is_blocked=False)
        await post.post()
        await run_once(post)
    async with post.platform.database.transaction() as connection:
        await consent.freeze(connection, other.place_id, operator_id="ops_1", now=post.platform.clock.now())
    await post.post()
    await run_once(post)
    assert (await post.town.pushed(browser)).letters[-1].event == "blocked"


# ---------------------------------------------------------------- tried again


async def run_once(post: Post) -> None:
    """All that is due now, once."""
    office = posting.Office(platform=post.platform)
    while await office.take_on():
        await asyncio.gather(*office.under_way)
    await office.close()


def room(letters: int, *kinds: str) -> dict[str, Any]:
    """Of a worker that has nothing on its way. No kind given: for web push."""
    free = dict.fromkeys(kinds or ("webpush",), letters)
    return {"free": free, "under_way": (), "a_channel": 4, "a_reader": dict.fromkeys(free, 4)}


async def make_due(post: Post) -> None:
    async with post.platform.database.connection() as connection:
        await connection.execute(
            "UPDATE dispatch SET next_at = now() - interval '1 second' WHERE state = 'due'"
        )
        await connection.execute("UPDATE channel SET rests_until = NULL")


async def test_what_fails_is_tried_again_later_and_later_and_then_given_up(post: Post) -> None:
    stop = await post.stage.add_stop()
    channel_id, _ = await post.add_push(stop)
    await post.town.set_post_fault(Way.PUSH, PostFaultKind.REJECT, status=503)
    await post.tell(stop, E.DELIVERED, "vis_1")
    await post.post()
    waits = []
    for _ in range(len(posting.BACKOFF_S)):
        await make_due(post)
        began_at = post.platform.clock.now()
        await run_once(post)
        (row,) = await post.rows("SELECT * FROM dispatch")
        assert (row["state"], row["why"]) == ("due", "the push service answers 503")
        waits.append((row["next_at"] - began_at).total_seconds())
    assert [round(wait, -1) for wait in waits] == [float(wait) for wait in posting.BACKOFF_S]
    await make_due(post)
    await run_once(post)
    (row,) = await post.rows("SELECT * FROM dispatch")
    assert (row["state"], row["tries"], row["next_at"]) == ("failed", 6, None)
    (channel,) = await post.rows("SELECT * FROM channel WHERE id = %s", channel_id)
    assert (channel["state"], channel["failures"]) == ("live", 6)
    async with post.platform.database.connection() as connection:
        (failed,) = await dispatches.list_failed(
            connection, before=(datetime(9999, 1, 1, tzinfo=UTC), "~"), limit=10
        )
    assert failed.why == "the push service answers 503"


async def test_what_was_given_up_can_not_be_mended_is_given_up_at_once(post: Post) -> None:
    stop = await post.stage.add_stop()
    await post.add_push(stop)
    await post.town.set_post_fault(Way.PUSH, PostFaultKind.REJECT, status=400)
    await post.tell(stop, E.DELIVERED, "vis_1")
    await post.post()
    await run_once(post)
    (row,) = await post.rows("SELECT * FROM dispatch")
    assert (row["state"], row["tries"]) == ("failed", 1)


async def test_a_channel_that_is_gone_is_ended_and_its_address_forgotten(post: Post) -> None:
    stop = await post.stage.add_stop()
    channel_id, browser = await post.add_push(stop)
    await post.town.set_post_fault(Way.PUSH, PostFaultKind.GONE, to=browser, times=1)
    for number in range(8):
        await post.tell(stop, E.DELIVERED, f"vis_{number}")
    await post.post()
    for _ in range(4):
        await run_once(post)
        await make_due(post)
    (channel,) = await post.rows("SELECT * FROM channel WHERE id = %s", channel_id)
    assert (channel["state"], bytes(channel["sealed"])) == ("gone", b"")
    states = await post.states()
    assert states.count("failed") == 1
    assert set(states) <= {"failed", "dropped", "sent"}
    await post.tell(stop, E.DELIVERED, "vis_9")
    await post.post()
    assert len(await post.states()) == 8, "nothing is sent there any more"


async def test_the_first_success_ends_a_channels_rest(post: Post) -> None:
    stop = await post.stage.add_stop()
    channel_id, browser = await post.add_push(stop)
    await post.town.set_post_fault(Way.PUSH, PostFaultKind.CUT, times=1)
    await post.tell(stop, E.DELIVERED, "vis_1")
    await post.post()
    await run_once(post)
    (channel,) = await post.rows("SELECT * FROM channel WHERE id = %s", channel_id)
    assert channel["failures"] == 1
    assert channel["rests_until"] > post.platform.clock.now()
    await post.tell(stop, E.BOOKED, "stp_1/1")
    await post.post()
    await run_once(post)
    assert (await post.town.pushed(browser)).received == 0, "it rests, whichever notice it is"
    await make_due(post)
    await run_once(post)
    (channel,) = await post.rows("SELECT * FROM channel WHERE id = %s", channel_id)
    assert (channel["failures"], channel["rests_until"]) == (0, None)
    assert (await post.town.pushed(browser)).received == 2


async def test_one_slow_channel_holds_up_no_other(post: Post) -> None:
    """A back end that answers after half a minute, with more to hear than a worker has hands."""
    slow_stop, quick_stop = await post.stage.add_stop(), await post.stage.add_stop()
    _, slow = await post.add_hook(slow_stop)
    await post.town.set_post_fault(Way.HOOK, PostFaultKind.SLOW, to=slow, after_s=4)
    for number in range(60):
        await post.tell(slow_stop, E.DELIVERED, f"vis_{number}")
    await post.post()
    _, quick = await post.add_hook(quick_stop)
    await post.tell(quick_stop, E.DELIVERED, "vis_q")
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    async with post.sending():
        while not (await post.town.hooked(quick)).received:
            assert loop.time() - began_s < 3, "it waits for the slow one"
            await asyncio.sleep(0.02)
        assert (await post.town.hooked(slow)).received <= posting.A_CHANNEL_AT_ONCE


async def test_one_reader_with_many_slow_channels_holds_up_no_other(post: Post) -> None:
    """Ten back ends of one carrier, as many as it may have, each with more to hear than it takes."""
    slow_stop, quick_stop = await post.stage.add_stop(), await post.stage.add_stop()
    slow = [(await post.add_hook(slow_stop))[1] for _ in range(channels.CHANNELS_MAX)]
    for one in slow:
        await post.town.set_post_fault(Way.HOOK, PostFaultKind.SLOW, to=one, after_s=4)
    for number in range(10):
        await post.tell(slow_stop, E.DELIVERED, f"vis_{number}")
    await post.post()
    _, quick = await post.add_hook(quick_stop)
    await post.tell(quick_stop, E.DELIVERED, "vis_q")
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    async with post.sending():
        while not (await post.town.hooked(quick)).received:
            assert loop.time() - began_s < 3, "it waits for the slow ones"
            await asyncio.sleep(0.02)
        received = sum([(await post.town.hooked(one)).received for one in slow])
        assert 0 < received <= posting.A_READER_AT_ONCE[ChannelKind.WEBHOOK]


async def test_what_a_reader_has_too_much_of_is_sent_in_its_turn(post: Post) -> None:
    """Whatever waits for room leaves later, from each of the reader's channels."""
    stop = await post.stage.add_stop()
    hooks = [(await post.add_hook(stop))[1] for _ in range(3)]
    for number in range(12):
        await post.tell(stop, E.DELIVERED, f"vis_{number}")
    async with post.sending():
        await post.until_states(all_sent(36))
    assert [(await post.town.hooked(one)).received for one in hooks] == [12, 12, 12]


async def test_an_alarm_overtakes_what_waits(post: Post) -> None:
    stop = await post.stage.add_stop()
    await post.add_push(stop)
    for number in range(30):
        await post.tell(stop, E.BOOKED, f"stp_{number}")
    await post.post()
    await post.tell(stop, E.NOT_SECURED, "vis_1")
    await post.post()
    now = post.platform.clock.now()
    async with post.platform.database.connection() as connection:
        (first,) = await dispatches.claim_due(connection, **room(1), now=now, soon=now, lease=now)
    assert first.event == E.NOT_SECURED


async def test_what_a_lost_worker_had_in_hand_is_sent_by_another_and_known_as_the_same(post: Post) -> None:
    """The worker died between the other side's answer and its record: the reader has it once by its id."""
    stop = await post.stage.add_stop()
    await post.add_mail(stop, "ann@example.org")
    _, browser = await post.add_push(stop)
    _, hook = await post.add_hook(stop)
    await post.tell(stop, E.DELIVERED, "vis_1")
    await post.post()
    now = post.platform.clock.now()
    async with post.platform.database.connection() as connection:
        lost = await dispatches.claim_due(
            connection,
            **room(5, "email", "webpush", "webhook"),
            now=now,
            soon=now,
            lease=now + timedelta(seconds=0.5),
        )
    assert len(lost) == 3
    for taken in lost:
        kind = ChannelKind(taken.kind)
        address = post.platform.vault.open_mapping(taken.sealed, taken.channel_id)
        await post.platform.dispatcher.send(kind, address, posting.write_letter(taken))
    async with post.sending():
        await post.until_states(all_sent(3))
    boxes = [
        await post.town.mail("ann@example.org"),
        await post.town.pushed(browser),
        await post.town.hooked(hook),
    ]
    assert [(box.letters[-1].times, box.letters[-1].event) for box in boxes[1:]] == [(2, "delivered")] * 2
    assert [len(box.letters) for box in boxes] == [2, 1, 1]  # the mailbox has its code, too
    assert boxes[0].letters[-1].times == 2


async def test_a_worker_that_comes_back_late_changes_nothing(post: Post) -> None:
    stop = await post.stage.add_stop()
    await post.add_push(stop)
    await post.tell(stop, E.DELIVERED, "vis_1")
    await post.post()
    now = post.platform.clock.now()

    async def claim() -> dispatches.TakenRow:
        async with post.platform.database.connection() as connection:
            (taken,) = await dispatches.claim_due(connection, **room(5), now=now, soon=now, lease=now)
        return taken

    late, other = await claim(), await claim()
    assert (late.tries, other.tries) == (1, 2)
    async with post.platform.database.connection() as connection:
        await dispatches.finish_dispatch(
            connection, late, state=DispatchState.FAILED, now=now, why="late", has_failed=True
        )
        assert await post.states() == ["taken"]
        await dispatches.finish_dispatch(connection, other, state=DispatchState.SENT, now=now)
        await dispatches.finish_dispatch(
            connection, late, state=DispatchState.DUE, now=now, next_at=now, has_failed=True
        )
    assert await post.states() == ["sent"]
    (channel,) = await post.rows("SELECT failures FROM channel")
    assert channel["failures"] == 0


# ---------------------------------------------------------------- quiet hours, and too late


async def test_in_quiet_hours_the_urgent_leaves_the_rest_waits_and_what_would_help_nobody_is_dropped(
    post: Post,
) -> None:
    stop = await post.stage.add_stop()
    await post.add_push(stop)
    zone = ZoneInfo("Pacific/Auckland")
    local = post.platform.clock.now().astimezone(zone)
    begins, ends = (local - timedelta(hours=1)).time(), (local + timedelta(hours=5)).time()
    await post.be_quiet(stop, f"{begins:%H:%M}", f"{ends:%H:%M}", "Pacific/Auckland")
    for event in (E.NOT_SECURED, E.DELIVERED, E.COURIER_ARRIVING):
        await post.tell(stop, event, "vis_1")
    await post.post()
    rows = await post.rows(
        "SELECT event, state, next_at, dispatch.why FROM dispatch JOIN notice ON notice.id = notice_id "
        "WHERE reader = 'consignee'"
    )
    found = {row["event"]: row for row in rows}
    assert found[E.NOT_SECURED]["next_at"] < post.platform.clock.now()
    assert found[E.DELIVERED]["state"] == "due"
    ends_at = found[E.DELIVERED]["next_at"].astimezone(zone)
    assert f"{ends_at:%H:%M}" == f"{ends:%H:%M}"
    assert found[E.COURIER_ARRIVING]["state"] == "dropped"
    await run_once(post)
    assert sorted(await post.states()) == ["dropped", "due", "sent"]


async def test_quiet_hours_that_begin_while_it_is_tried_again_hold_it_back(post: Post) -> None:
    stop = await post.stage.add_stop()
    _, browser = await post.add_push(stop)
    await post.tell(stop, E.DELIVERED, "vis_1")
    await post.post()
    local = post.platform.clock.now()
    ends = (local + timedelta(hours=3)).replace(second=0, microsecond=0)
    await post.be_quiet(stop, f"{local - timedelta(hours=1):%H:%M}", f"{ends:%H:%M}", "UTC")
    await run_once(post)
    (row,) = await post.rows("SELECT * FROM dispatch")
    assert (row["state"], row["tries"], row["next_at"]) == ("due", 0, ends)
    assert (await post.town.pushed(browser)).received == 0


async def test_what_has_become_pointless_while_it_waited_is_dropped(post: Post) -> None:
    stop = await post.stage.add_stop()
    _, browser = await post.add_push(stop)
    soon = post.platform.clock.now() + timedelta(seconds=1)
    async with post.platform.database.connection() as connection:
        await connection.execute("UPDATE stop SET window_until = %s", (soon,))
    await post.tell(stop, E.MORNING_OF_DELIVERY, "stp_1/1", window_until=soon.isoformat())
    await post.tell(stop, E.BOOKED, "stp_1/1", window_until=soon.isoformat())
    await post.post()
    assert await post.states() == ["due", "due"]
    while post.platform.clock.now() < soon:
        await asyncio.sleep(0.05)
    await run_once(post)
    assert sorted(await post.states()) == ["dropped", "sent"]
    assert (await post.town.pushed(browser)).received == 1


# ---------------------------------------------------------------- of a plan that is no more


Change = Callable[[Post, Stop], Awaitable[Any]]
DAY = (E.MORNING_OF_DELIVERY, E.PREFLIGHT_FAILED, E.COURIER_ON_THE_WAY, E.COURIER_ARRIVING)


def wisher(stop: Stop, part: Part) -> Wisher:
    return Wisher(part=part, id=f"{part.value[:3]}_{stop.stop_id[4:]}")


def wish(function: Callable[..., Awaitable[Any]], part: Part, **how: Any) -> Change:
    async def change(post: Post, stop: Stop) -> None:
        async with post.platform.database.transaction() as connection:
            changed = await function(post.platform, connection, stop.stop_id, wisher(stop, part), **how)
        assert changed.outcome.effect is Effect.DONE, changed

    return change


async def plan_later(post: Post, stop: Stop) -> None:
    now = post.platform.clock.now()
    window = WindowGiven(window_from=now + timedelta(hours=5), window_until=now + timedelta(hours=9))
    await wish(rebooking.replan, Part.CARRIER, plan=NewPlan(window=window))(post, stop)


async def extend(post: Post, stop: Stop) -> None:
    hours = post.platform.clock.now().hour - 10  # it is ten in the morning there: the evening is far
    zone = f"Etc/GMT{'+' if hours >= 0 else '-'}{abs(hours)}"
    async with post.platform.database.connection() as connection:
        await connection.execute("UPDATE access_point SET time_zone = %s", (zone,))
    until = (await find(post, stop)).window_until + timedelta(minutes=1)
    await wish(rebooking.extend, Part.CONSIGNEE, until=until)(post, stop)


async def find(post: Post, stop: Stop) -> StopRow:
    async with post.platform.database.connection() as connection:
        row = await stops.find_stop(connection, stop.stop_id)
    assert row is not None
    return row


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (wish(rebooking.cancel, Part.CARRIER), {E.BOOKING_CANCELLED}),
        (wish(rebooking.redirect, Part.CONSIGNEE, fallback=Fallback.NEIGHBOUR), {E.BOOKED, E.REDIRECTED}),
        (plan_later, {E.BOOKING_CHANGED}),
        # The courier is still on the way, and where to park is as it was.
        (extend, {E.BOOKING_CHANGED, *DAY}),
    ],
    ids=["cancelled", "redirected", "planned anew", "extended"],
)
async def test_letters_that_waited_while_the_plan_changed_say_nothing_that_is_not_so_any_more(
    post: Post, change: Change, told: set[NoticeEvent]
) -> None:
    stop = await post.stage.add_stop()
    _, browser = await post.add_push(stop)
    _, hook = await post.add_hook(stop)
    now = post.platform.clock.now()
    async with post.platform.database.transaction() as connection:
        await preflights.set_heading(connection, stop.stop_id, now, None)
        await preflights.set_arriving(connection, stop.stop_id, 1, now)
        row = await stops.find_stop(connection, stop.stop_id)
        assert row is not None
        for event in (E.BOOKED, *DAY):
            await tell_of_stop(connection, event, row, now)
    await post.town.set_post_fault(Way.PUSH, PostFaultKind.REJECT, status=503)
    await post.post()
    await run_once(post)
    await change(post, stop)
    await post.post()
    await post.town.clear_post_faults()
    for _ in range(3):  # the channel rests after each that failed
        await make_due(post)
        await run_once(post)
    assert {letter.event for letter in (await post.town.pushed(browser)).letters} == told
    assert set(await post.states()) == {"sent", "dropped"}
    # A back end is told all there was: it goes by the timestamps.
    heard = {letter.event for letter in (await post.town.hooked(hook)).letters}
    assert E.BOOKED in heard


async def test_a_courier_who_has_set_out_anew_is_not_announced_by_the_letter_of_the_one_before(
    post: Post,
) -> None:
    stop = await post.stage.add_stop()
    _, browser = await post.add_push(stop)
    for name in ("Ann", "Bo"):
        async with post.platform.database.transaction() as connection:
            now = post.platform.clock.now()
            await connection.execute("UPDATE stop SET heading_at = NULL, plan_number = plan_number + 1")
            await preflights.set_heading(connection, stop.stop_id, now, None)
            row = await stops.find_stop(connection, stop.stop_id)
            assert row is not None
            await tell_of_stop(connection, E.COURIER_ON_THE_WAY, row, now, {"courier": name})
    await post.post()
    await run_once(post)
    (letter,) = (await post.town.pushed(browser)).letters
    assert letter.subject == "Bo is on the way to you"


# ---------------------------------------------------------------- channels


async def test_a_code_is_tried_five_times_and_then_used_up(post: Post) -> None:
    stop = await post.stage.add_stop()
    made = await post.add(stop, ChannelKind.EMAIL, to="ann@example.org")
    code = (await post.town.mail("ann@example.org")).letters[0].subject[-6:]
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"

    async def confirm(given: str, reader_id: str = made.row.reader_id) -> str:
        row = await confirm_channel(
            post.platform, made.row.id, reader="consignee", reader_id=reader_id, code=given
        )
        return row.state

    with pytest.raises(NotFound):
        await confirm(code, "con_other")
    for _ in range(channels.TRIES_MAX):
        with pytest.raises(BadInput, match="code"):
            await confirm(wrong)
    with pytest.raises(Conflict, match="used up"):
        await confirm(code)


async def test_many_wrong_codes_at_once_are_no_more_tries(post: Post) -> None:
    stop = await post.stage.add_stop()
    made = await post.add(stop, ChannelKind.EMAIL, to="ann@example.org")
    code = int((await post.town.mail("ann@example.org")).letters[0].subject[-6:])

    async def guess(given: int) -> str:
        try:
            await confirm_channel(
                post.platform,
                made.row.id,
                reader="consignee",
                reader_id=made.row.reader_id,
                code=f"{given % 1_000_000:06d}",
            )
        except (BadInput, Conflict) as refused:
            return type(refused).__name__
        return "live"

    answers = await asyncio.gather(*(guess(code + 1 + number) for number in range(30)))
    assert answers.count("BadInput") == channels.TRIES_MAX
    assert "live" not in answers


async def test_a_code_lives_ten_minutes(post: Post) -> None:
    stop = await post.stage.add_stop()
    made = await post.add(stop, ChannelKind.EMAIL, to="ann@example.org")
    code = (await post.town.mail("ann@example.org")).letters[0].subject[-6:]
    async with post.platform.database.connection() as connection:
        await connection.execute("UPDATE channel SET code_expires_at = now()")
    with pytest.raises(Conflict, match="used up"):
        await confirm_channel(
            post.platform, made.row.id, reader="consignee", reader_id=made.row.reader_id, code=code
        )


async def test_an_address_that_can_not_be_reached_is_named_at_once_and_leaves_no_channel(post: Post) -> None:
    stop = await post.stage.add_stop()
    await post.town.set_post_fault(Way.MAIL, PostFaultKind.GONE, to="no@example.org")
    with pytest.raises(BadInput, match="could not be sent there"):
        await post.add(stop, ChannelKind.EMAIL, to="no@example.org")
    async with post.platform.database.connection() as connection:
        assert await list_channels(connection, "consignee", f"con_{stop.stop_id[4:]}") == []


async def test_how_many_channels_and_codes_one_reader_may_have(post: Post) -> None:
    stop = await post.stage.add_stop()
    with pytest.raises(Conflict, match="already"):
        for _ in range(2):
            await post.add(stop, ChannelKind.EMAIL, to="Ann@Example.org")
    results = await asyncio.gather(
        *(post.add(stop, ChannelKind.EMAIL, to=f"a{number}@example.org") for number in range(15)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, Conflict) for one in results) == 15 - (channels.CHANNELS_MAX - 1)
    async with post.platform.database.connection() as connection:
        await connection.execute("UPDATE channel SET state = 'gone'")
    for number in range(channels.MADE_A_DAY_MAX - channels.CHANNELS_MAX):
        await post.add(stop, ChannelKind.EMAIL, to=f"b{number}@example.org")
        async with post.platform.database.connection() as connection:
            await connection.execute("UPDATE channel SET state = 'gone'")
    with pytest.raises(Conflict, match="tomorrow"):
        await post.add(stop, ChannelKind.EMAIL, to="c@example.org")


async def test_addresses_are_sealed_anew_after_a_change_of_key(post: Post) -> None:
    stop = await post.stage.add_stop()
    _, browser = await post.add_push(stop)
    old = post.platform.vault
    object.__setattr__(post.platform, "vault", Vault(b"n" * 32, b"k" * 32))
    assert await reseal_channels(post.platform) == 1
    assert await reseal_channels(post.platform) == 0
    object.__setattr__(post.platform, "vault", Vault(b"n" * 32))
    await post.tell(stop, E.DELIVERED, "vis_1")
    async with post.sending():
        await post.until_states(all_sent(1))
    assert (await post.town.pushed(browser)).received == 1
    object.__setattr__(post.platform, "vault", old)


async def test_a_household_of_five_with_three_channels_each_costs_three_statements(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop: Stop = await post.stage.add_stop()
    others = [await post.stage.add_stop() for _ in range(4)]
    for other in others:
        async with post.platform.database.connection() as connection:
            await connection.execute(
                "INSERT INTO member (access_point_id, consignee_id, joined_at) VALUES (%s, %s, now())",
                (stop.place_id, f"con_{other.stop_id[4:]}"),
            )
    for one in (stop, *others):
        for _ in range(3):
            await post.add_push(one)
    await post.tell(stop, E.BOOKED, "stp_1/1")
    asked: list[str] = []
    original = __import__("psycopg").AsyncCursor.execute

    async def count(self, query, *more, **named):
        asked.append(str(query))
        return await original(self, query, *more, **named)

    monkeypatch.setattr("psycopg.AsyncCursor.execute", count)
    assert await post.post() == 6  # five people, and the carrier
    monkeypatch.undo()
    assert len(asked) == 3, asked
    assert len(await post.states()) == 15
