"""Overload sheds openings, never closings (L5); one broken car is not a broken cloud."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from tests.devices.canned import listening, read_request
from tests.devices.trying import TOKEN

from unlatch.clock import Clock
from unlatch.devices.base import Car, Sending, Verb
from unlatch.devices.capacity import Breaker, Budgets, Ceilings, Purpose, Room
from unlatch.devices.link import Heard, Link
from unlatch.errors import CommandNotSent, DeviceError


class Now:
    """A clock moved by hand, seconds."""

    def __init__(self) -> None:
        self.at_s = 1000.0

    def __call__(self) -> float:
        return self.at_s


def car(number: int) -> Car:
    return Car(maker="any", vin=f"VIN{number}", secrets={"access_token": TOKEN})


async def test_a_slow_cloud_sheds_openings_and_carries_closings() -> None:
    """Openings fill their room while the cloud holds everything; then a lock and a reading still go out."""
    held, locked = asyncio.Semaphore(0), asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, _ = await read_request(reader)
        if line == "POST /lock":
            locked.set()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            return
        held.release()
        await reader.read()

    async with listening(hold) as base:
        ceilings = Ceilings(opening=2, reading=3, closing=4)
        link = Link(name="any", address=base, clock=Clock(), ceilings=ceilings)

        async def send(number: int, verb: Verb) -> Heard:
            async with link.command(car(number), verb):
                return await link.post(
                    car(number), verb, f"/{verb}", headers={}, sending=Sending(), answer_within_s=60.0
                )

        openings = [asyncio.ensure_future(send(number, Verb.UNLOCK)) for number in range(2)]
        for _ in openings:
            await held.acquire()
        assert link.find_obstacle(car(9)) == "busy"
        with pytest.raises(CommandNotSent) as shed:
            await send(9, Verb.UNLOCK)
        assert shed.value.code == "busy"
        assert (await send(9, Verb.LOCK)).status == 200
        assert locked.is_set()
        await link.close()
        ends = await asyncio.gather(*openings, return_exceptions=True)
        assert all(isinstance(end, DeviceError) and end.may_have_happened for end in ends)
        assert link.room.taken == 0


async def test_those_who_wait_are_let_in_closings_first() -> None:
    room = Room(Ceilings(opening=1, reading=1, closing=1))
    await room.enter(Purpose.OPENING)
    order: list[str] = []

    async def enter(name: str, purpose: Purpose) -> None:
        await room.enter(purpose)
        order.append(name)

    waiting = [
        asyncio.ensure_future(enter("reading", Purpose.READING)),
        asyncio.ensure_future(enter("given up", Purpose.CLOSING)),
        asyncio.ensure_future(enter("closing", Purpose.CLOSING)),
    ]
    await asyncio.sleep(0)
    waiting[1].cancel()
    for _ in range(3):
        await asyncio.sleep(0)
    for _ in range(2):
        room.leave()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert order == ["closing", "reading"]
    room.leave()
    assert room.taken == 0
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_place_given_to_one_who_gave_up_is_given_back() -> None:
    room = Room(Ceilings(opening=1, reading=1, closing=1))
    await room.enter(Purpose.CLOSING)
    waiting = asyncio.ensure_future(room.enter(Purpose.CLOSING))
    await asyncio.sleep(0)
    room.leave()  # hands the place over
    waiting.cancel()  # before it could be taken
    await asyncio.gather(waiting, return_exceptions=True)
    assert room.taken == 0


def test_one_broken_car_is_not_a_broken_cloud() -> None:
    now = Now()
    breaker = Breaker(now)
    for _ in range(50):
        breaker.failed("one car", has_connected=True)
    assert not breaker.is_open()
    for number in range(Breaker.FAILING_CARS - 1):
        assert not breaker.is_open()
        breaker.failed(f"car {number}", has_connected=True)
    assert breaker.is_open()


def test_the_breaker_rests_lets_one_try_and_is_healed_by_any_answer() -> None:
    now = Now()
    breaker = Breaker(now)
    for _ in range(Breaker.FAILED_CONNECTIONS):
        breaker.failed("car", has_connected=False)
    assert breaker.is_open()
    now.at_s += Breaker.REST_S
    assert not breaker.is_open()
    breaker.try_one()
    assert breaker.is_open(), "the next one waits for the first one's end"
    now.at_s += Breaker.REST_S
    breaker.failed("car", has_connected=False)
    assert breaker.is_open()
    breaker.succeeded()
    assert not breaker.is_open()
    breaker.failed("car", has_connected=False)
    assert not breaker.is_open()


def test_a_budget_keeps_three_and_comes_back_with_the_minute() -> None:
    now = Now()
    budgets = Budgets(now, 10)
    for _ in range(7):
        assert budgets.wait_s("a") == 0
        budgets.spend("a")
        now.at_s += 1
    assert budgets.wait_s("a") == pytest.approx(53.0)
    assert budgets.wait_s("b") == 0
    now.at_s += 53.0
    assert budgets.wait_s("a") == 0
    budgets.refused("a", for_s=30.0)
    assert budgets.wait_s("a") == pytest.approx(30.0)


def test_budgets_forget_cars_without_end() -> None:
    now = Now()
    budgets = Budgets(now, 10)
    for number in range(Budgets.MOST_CARS):
        budgets.spend(str(number))
    now.at_s += Budgets.MINUTE_S
    budgets.spend("one more")
    assert len(budgets._cars) == 1


async def test_an_outage_sheds_the_opening_and_tries_the_lock() -> None:
    link = Link(name="any", address="http://127.0.0.1:1", clock=Clock())

    async def end_of(verb: Verb) -> str:
        with pytest.raises(CommandNotSent) as caught:
            async with link.command(car(1), verb):
                await link.post(car(1), verb, "/", headers={}, sending=Sending(), answer_within_s=1.0)
        return caught.value.code

    assert [await end_of(Verb.UNLOCK) for _ in range(4)] == ["vendor_down"] * 3 + ["outage"]
    assert await end_of(Verb.LOCK) == "vendor_down"
    await link.close()


@pytest.mark.parametrize(
    ("word", "wait_s"),
    [("30", 30.0), ("999999999999", None), ("-5", None), ("soon", None), ("", None), ("99999999", 86_400.0)],
)
def test_retry_after(word: str, wait_s: float | None) -> None:
    link = Link(name="any", address="http://127.0.0.1:1", clock=Clock())
    heard = Heard(status=429, headers={"retry-after": word}, json=None)
    error = link.refusal(car(1), Verb.UNLOCK, heard)
    assert isinstance(error, CommandNotSent)
    assert error.retry_after_s == wait_s
    assert link.find_obstacle(car(1)) == "quota"


def test_retry_after_as_a_date() -> None:
    link = Link(name="any", address="http://127.0.0.1:1", clock=Clock())
    at = datetime.now(UTC) + timedelta(seconds=100)
    heard = Heard(status=429, headers={"retry-after": at.strftime("%a, %d %b %Y %H:%M:%S GMT")}, json=None)
    error = link.refusal(car(1), Verb.UNLOCK, heard)
    assert error is not None
    assert error.retry_after_s == pytest.approx(100, abs=2)


def test_what_is_heard_is_never_taken_on_trust() -> None:
    heard = Heard(
        status=200, headers={}, json={"a": [1, {"b": "word"}], "n": True, "t": "2026-13-45", "l": "x" * 101}
    )
    assert heard.find("a", 1, "b") == "word"
    assert heard.find("a", 7, "b") is None
    assert heard.find("a", "b") is None
    assert heard.find("a", 1, "b", "c") is None
    assert heard.find_number("n") is None
    assert heard.find_number("a", 0) == 1.0
    assert heard.find_time("t") is None
    assert heard.find_word("l") is None
    assert "word" not in repr(heard)


async def test_room_that_filled_after_the_command_was_let_in_sheds_it_too() -> None:
    link = Link(name="any", address="http://127.0.0.1:1", clock=Clock(), ceilings=Ceilings(opening=1))
    with pytest.raises(CommandNotSent) as caught:
        async with link.command(car(1), Verb.UNLOCK):
            await link.room.enter(Purpose.READING)
            await link.post(car(1), Verb.UNLOCK, "/", headers={}, sending=Sending(), answer_within_s=1.0)
    assert caught.value.code == "busy"
    assert link.room.taken == 1
    await link.close()
