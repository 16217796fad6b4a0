"""Byte by byte: what is known of a command's end, whatever the other side of the socket does.

The other side is a real TCP server that misbehaves. The maker is Volvo, whose command is one request.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import pytest
from tests.devices.canned import Serve, listening, read_request
from tests.devices.trying import build, car_of, check_redacted, try_verb

from unlatch.clock import Clock, monotonic_s
from unlatch.devices.base import Answer, End, Maker, Sending, Verb
from unlatch.devices.catalogue import find_makers
from unlatch.devices.wire import LARGEST_ANSWER_BYTES, Wire
from unlatch.errors import CommandNotSent, CommandUnknown, DeviceError

VOLVO = find_makers()["volvo"]
GOOD = b'{"data":{"invokeStatus":"COMPLETED"}}'
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(GOOD), GOOD)
CLOCK = Clock(factor=200.0)  # 100 s of the town are 0.5 s


class Server:
    """Reads one request, says `answer`, and closes; counts what it was asked."""

    def __init__(self, answer: bytes, *, stays: bool = False) -> None:
        self.answer = answer
        self.stays = stays
        self.asked: list[str] = []
        self.raw: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, raw = await read_request(reader)
        self.asked.append(line)
        self.raw.append(raw)
        writer.write(self.answer)
        await writer.drain()
        if self.stays:
            await reader.read()  # until the client hangs up


async def end_of_lock(serve: Serve) -> tuple[End, str | None, int]:
    async with listening(serve) as base:
        maker = build(VOLVO, base, CLOCK)
        tried = await try_verb(maker, car_of(maker), Verb.LOCK)
        await maker.link.close()
        if tried.error is not None:
            check_redacted(tried.error, car_of(maker), base)
    return tried.end, tried.code, tried.times_sent


BROKEN = {
    "closed before a byte": (b"", "connection_cut"),
    "half a head": (WHOLE[:20], "connection_cut"),
    "half a body": (WHOLE[:-5], "connection_cut"),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "unexpected_answer"),
    "two lengths": (
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 9\r\n\r\n{}",
        "unexpected_answer",
    ),
    "upgraded": (b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", "unexpected_answer"),
    "no JSON": (b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>", "unexpected_answer"),
    "JSON of another shape": (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n[[]]", "unexpected_answer"),
    "nested too deep": (
        b"HTTP/1.1 200 OK\r\ncontent-length: 90000\r\n\r\n" + b"[" * 90_000,
        "unexpected_answer",
    ),
    "huge body": (
        b"HTTP/1.1 200 OK\r\ncontent-length: 9999999\r\n\r\n" + b" " * LARGEST_ANSWER_BYTES,
        "unexpected_answer",
    ),
    "huge head": (b"HTTP/1.1 200 OK\r\nx: " + b"y" * LARGEST_ANSWER_BYTES, "unexpected_answer"),
    "redirect": (
        b"HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
        "unexpected_answer",
    ),
    "gateway": (b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n", "vendor_down"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_after_the_first_byte_the_end_is_unknown_and_nothing_is_repeated(name: str) -> None:
    answer, code = BROKEN[name]
    server = Server(answer)
    assert await end_of_lock(server) == (End.UNKNOWN, code, 1)
    assert len(server.asked) == 1


async def test_silence_ends_as_unknown() -> None:
    server = Server(b"", stays=True)
    assert await end_of_lock(server) == (End.UNKNOWN, "timeout", 1)
    assert len(server.asked) == 1


async def test_an_answer_that_trickles_is_not_waited_for_forever() -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n")
        while not reader.at_eof():
            writer.write(b" ")
            await asyncio.sleep(0.02)

    started_s = time.monotonic()
    assert await end_of_lock(trickle) == (End.UNKNOWN, "timeout", 1)
    assert time.monotonic() - started_s < 3.0


@pytest.mark.parametrize(
    "answer",
    [
        WHOLE,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD),
        b"HTTP/1.1 200 OK\r\n\r\n" + GOOD,  # ended by closing
        b"HTTP/1.0 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(GOOD), GOOD),
        b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE,
    ],
    ids=["length", "chunks", "until closed", "1.0", "continue first"],
)
async def test_whole_answers_are_understood(answer: bytes) -> None:
    assert await end_of_lock(Server(answer)) == (End.DONE, None, 1)


async def test_no_connection_is_surely_not_sent() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"  # bound, not listening: refused
        maker = build(VOLVO, address, CLOCK)
        tried = await try_verb(maker, car_of(maker), Verb.LOCK)
        await maker.link.close()
    assert (tried.end, tried.code, tried.times_sent) == (End.NOT_SENT, "vendor_down", 0)


async def test_a_connection_that_is_never_accepted_costs_no_more_than_the_first_bytes_time() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        full = [socket.socket() for _ in range(4)]  # fill the queue of connections that nobody accepts
        for one in full:
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
        maker = build(VOLVO, f"http://127.0.0.1:{deaf.getsockname()[1]}", CLOCK)
        started_s = monotonic_s()
        with pytest.raises(CommandNotSent) as caught:
            await maker.unlock(car_of(maker), Sending(first_byte_by_s=started_s + 0.3))
        assert caught.value.code == "vendor_down"
        assert monotonic_s() - started_s < 2.0
        await maker.link.close()
        for one in full:
            one.close()


@pytest.fixture
async def good() -> AsyncIterator[tuple[Maker, list[str]]]:
    """A maker whose cloud keeps its connections and does everything."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            asked.append((await read_request(reader))[0])
            writer.write(WHOLE)

    async with listening(serve) as base:
        maker = build(VOLVO, base, CLOCK)
        yield maker, asked
        await maker.link.close()


async def test_past_its_time_no_byte_leaves_on_a_new_or_a_kept_connection(
    good: tuple[Maker, list[str]],
) -> None:
    maker, asked = good
    for _ in range(2):
        before = len(asked)
        with pytest.raises(CommandNotSent) as caught:
            await maker.unlock(car_of(maker), Sending(first_byte_by_s=monotonic_s() - 0.001))
        assert caught.value.code == "too_late"
        await maker.lock(car_of(maker), Sending())  # and this leaves a connection behind
        assert len(asked) == before + 1


async def test_the_last_byte_is_told_before_the_answer(good: tuple[Maker, list[str]]) -> None:
    maker, _ = good
    order: list[str] = []
    await maker.lock(car_of(maker), Sending(on_sent=lambda: order.append("sent")))
    order.append("answered")
    assert order == ["sent", "answered"]


async def test_a_connection_closed_while_idle_is_not_written_into() -> None:
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await read_request(reader))[0])
        writer.write(WHOLE)  # and then close, though the answer did not say so

    async with listening(serve) as base:
        maker = build(VOLVO, base, CLOCK)
        for _ in range(5):
            tried = await try_verb(maker, car_of(maker), Verb.LOCK)
            assert tried.end is End.DONE
        await maker.link.close()
    assert len(asked) == 5


async def test_a_reading_is_tried_once_more_and_a_redirect_is_not_followed() -> None:
    dead = Server(b"")
    async with listening(dead) as base:
        maker = build(VOLVO, base, CLOCK)
        tried = await try_verb(maker, car_of(maker), Verb.READ)
        await maker.link.close()
    assert (tried.end, tried.code, len(dead.asked)) == (End.NOT_SENT, "connection_cut", 2)

    stranger = Server(WHOLE)
    async with listening(stranger) as elsewhere:
        moved = Server(b"HTTP/1.1 302 Go\r\nlocation: %s/\r\ncontent-length: 0\r\n\r\n" % elsewhere.encode())
        async with listening(moved) as base:
            maker = build(VOLVO, base, CLOCK)
            assert (await try_verb(maker, car_of(maker), Verb.READ)).code == "unexpected_answer"
            await maker.link.close()
    assert stranger.asked == []


async def test_a_token_that_is_no_header_is_never_sent(good: tuple[Maker, list[str]]) -> None:
    maker, asked = good
    car = car_of(maker)
    for evil in ("a\r\nx: y", "ä", "a\x00"):
        spoilt = type(car)(maker=car.maker, vin=car.vin, secrets={"access_token": evil, "api_key": "k"})
        with pytest.raises(CommandNotSent) as caught:
            await maker.lock(spoilt, Sending())
        assert caught.value.code == "bad_request"
    assert asked == []


async def test_a_vin_can_not_leave_its_place_in_the_path(good: tuple[Maker, list[str]]) -> None:
    maker, asked = good
    car = car_of(maker)
    odd = type(car)(maker=car.maker, vin="../../x?y#z", secrets=car.secrets)
    await maker.lock(odd, Sending())
    assert asked[0].endswith("/vehicles/..%2F..%2Fx%3Fy%23z/commands/lock")


async def test_closing_the_link_ends_what_is_under_way_as_unknown() -> None:
    server = Server(b"", stays=True)
    async with listening(server) as base:
        maker = build(VOLVO, base, CLOCK)
        left = asyncio.Event()
        command: asyncio.Task[Answer] = asyncio.ensure_future(
            maker.lock(car_of(maker), Sending(on_sent=left.set))
        )
        await left.wait()
        await maker.link.close()
        with pytest.raises(CommandUnknown):
            await command


async def test_a_cancelled_command_leaves_neither_connection_nor_car_behind() -> None:
    server = Server(b"", stays=True)
    async with listening(server) as base:
        maker = build(VOLVO, base, CLOCK)
        left = asyncio.Event()
        command = asyncio.ensure_future(maker.unlock(car_of(maker), Sending(on_sent=left.set)))
        await left.wait()
        assert maker.find_obstacle(car_of(maker)) == "in_flight"
        command.cancel()
        with pytest.raises(asyncio.CancelledError):
            await command
        assert maker.find_obstacle(car_of(maker)) is None
        assert maker.link.room.taken == 0
        await maker.link.close()


@pytest.mark.parametrize(
    "address", ["ftp://x", "https://", "https://user:word@x", "https://x?y=z", "//x", "https://x#y"]
)
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ValueError, match="must look like"):
        Wire(address)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://api.example/base/veh/1?a=b", "/veh/1?a=b"),
        ("/base/veh/1", "/veh/1"),
        ("https://api.example.evil/base/veh/1", None),
        ("http://api.example/base/veh/1", None),
        ("https://x@api.example/base/veh/1", None),
        ("//evil/base/veh", None),
        ("https://api.example//evil/veh", None),
        ("/other/veh", None),
        ("veh", None),
        ("https://api.example/base/" + "x" * 3000, None),
        (None, None),
    ],
)
def test_the_token_goes_nowhere_else(url: str | None, target: str | None) -> None:
    maker = build(VOLVO, "https://api.example/base", CLOCK)
    assert maker.link.find_own_target(url) == target


def test_every_refusal_by_status_belongs_to_one_end() -> None:
    from unlatch.devices.link import Heard

    maker = build(VOLVO, "http://127.0.0.1:1", CLOCK)
    ends = {}
    for status in range(200, 600):
        heard = Heard(status=status, headers={}, json=None)
        error = maker.link.refusal(car_of(maker), Verb.UNLOCK, heard)
        ends[status] = None if error is None else (type(error).__name__, error.may_have_happened)
        assert error is None or isinstance(error, DeviceError)
    assert ends[204] is None
    assert ends[307] == ends[408] == ends[422] == ends[500] == ends[599] == ("CommandUnknown", True)
    assert ends[401] == ends[403] == ("ConsentLost", False)
    assert ends[404] == ("DeviceUnsupported", False)
    assert ends[409] == ("CommandRejected", False)
    assert ends[400] == ends[413] == ends[429] == ("CommandNotSent", False)
