"""Hubs: where a name may lead, and that one slow hub slows no other. (Addresses: tests/test_outward.py.)"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence

import pytest
from tests.devices.canned import canned_cloud, listening, read_request
from tests.devices.trying import try_verb

from unlatch.clock import Clock
from unlatch.devices.base import Car, End, Reply, Sending, Verb
from unlatch.devices.catalogue import Catalogue, find_makers
from unlatch.devices.hubs import NOWHERE, Hubs, Pin
from unlatch.errors import BadInput, NotFound
from unlatch.outward import AddressRefused

KIND = find_makers()["home_assistant"]
STATE = {
    "entity_id": "lock.front_door",
    "state": "locked",
    "attributes": {},
    "last_changed": "2026-11-22T10:00:00+00:00",
}


def door(address: str, entity: str = "lock.front_door") -> Car:
    return Car(maker=KIND.name, vin=entity, secrets={"address": address, "access_token": "t"})


def answers(*lists: list[str]) -> tuple[Callable[[str], object], list[str]]:
    """A name server that answers so, one list after the other; the last again."""
    asked: list[str] = []

    async def resolve(host: str) -> Sequence[str]:
        asked.append(host)
        return lists[min(len(asked), len(lists)) - 1]

    return resolve, asked


async def test_a_name_that_leads_inside_is_refused_even_beside_a_good_address() -> None:
    for found in (
        ["10.0.0.1"],
        ["93.184.216.34", "127.0.0.1"],
        ["169.254.169.254"],
        ["::1"],
        [],
        ["nonsense"],
    ):
        resolve, _ = answers(found)
        pin = Pin("home.example", allows_private=False, resolve=resolve)  # type: ignore[arg-type]
        with pytest.raises(AddressRefused):
            await pin.find_hosts()
        hubs = Hubs(Clock(), allows_private=False, resolve=resolve)  # type: ignore[arg-type]
        with pytest.raises(BadInput, match="may not be used"):
            await hubs.check("https://home.example")
        await hubs.close()


async def test_a_name_that_changes_its_mind_gains_nothing() -> None:
    """Rebinding: what was judged is what is used; asked anew, it is judged anew."""
    resolve, asked = answers(["93.184.216.34"], ["127.0.0.1"])
    pin = Pin("home.example", allows_private=False, resolve=resolve)  # type: ignore[arg-type]
    assert await pin.find_hosts() == await pin.find_hosts() == ("93.184.216.34",)
    assert len(asked) == 1
    pin.forget()
    with pytest.raises(AddressRefused):
        await pin.find_hosts()


async def test_the_connection_goes_where_the_name_was_resolved_to_and_a_lost_hub_is_looked_for_again() -> (
    None
):
    replies = [Reply(to="GET /api/states/", body=STATE)]
    async with canned_cloud(replies) as first, canned_cloud(replies) as second:
        port = first.base.rpartition(":")[2]
        resolve, asked = answers(["127.0.0.2"], ["127.0.0.1"])  # nobody listens at the first
        hubs = Hubs(Clock(factor=1000.0), allows_private=True, resolve=resolve)  # type: ignore[arg-type]
        maker = hubs.maker_at(KIND, f"http://localhost:{port}")
        tried = await try_verb(maker, door(""), Verb.READ)
        assert tried.reading is not None, "a second try of the same reading asks for the name anew"
        assert asked == ["localhost", "localhost"]
        assert second.asked == []
        await hubs.close()


async def test_an_address_that_may_not_be_used_sends_nothing() -> None:
    async with canned_cloud([]) as cloud:
        catalogue = Catalogue(Clock(factor=1000.0))  # without the setting, loopback is refused
        maker = catalogue.maker_of(door(cloud.base))
        assert maker.link.wire.origin == NOWHERE
        tried = await try_verb(maker, door(cloud.base), Verb.UNLOCK)
        assert (tried.end, tried.code, tried.times_sent) == (End.NOT_SENT, "vendor_down", 0)
        assert cloud.asked == []
        await catalogue.close()


async def test_a_hub_has_one_link_and_other_makers_keep_theirs() -> None:
    catalogue = Catalogue(Clock(), allows_private_hubs=True)
    one = catalogue.maker_of(door("https://one.example"))
    assert catalogue.maker_of(door("https://ONE.example/", "lock.back_door")) is one
    assert catalogue.maker_of(door("https://two.example")) is not one
    volvo = Car(maker="volvo", vin="V", secrets={"address": "https://one.example"})
    assert catalogue.maker_of(volvo) is catalogue.maker("volvo")
    with pytest.raises(NotFound):
        catalogue.maker_of(Car(maker="nobody", vin="V", secrets={}))
    with pytest.raises(NotFound):
        Catalogue(Clock(), {"home_assistant": "https://all.example"})
    await catalogue.close()


async def test_so_many_links_and_none_that_is_at_work_is_put_away() -> None:
    hubs = Hubs(Clock(), allows_private=False, most=3)
    first = hubs.maker_at(KIND, "https://h0.example")
    async with first.link.command(door(""), Verb.LOCK):
        for number in range(1, 8):
            hubs.maker_at(KIND, f"https://h{number}.example")
        assert hubs.maker_at(KIND, "https://h0.example") is first
        assert len(hubs) <= 4
    last = hubs.maker_at(KIND, "https://h9.example")
    assert len(hubs) == 3
    assert hubs.maker_at(KIND, "https://h9.example") is last
    await hubs.close()


async def test_a_slow_hub_slows_no_other() -> None:
    """One holds everything that it is asked, full up to its room; the other answers as ever."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await reader.read()

    async with listening(hold) as slow, canned_cloud([Reply(to="GET /api/states/", body=STATE)]) as quick:
        catalogue = Catalogue(Clock(), allows_private_hubs=True)
        held = [
            asyncio.ensure_future(
                catalogue.maker_of(door(slow)).unlock(door(slow, f"lock.door_{number}"), Sending())
            )
            for number in range(10)
        ]
        while catalogue.maker_of(door(slow)).find_obstacle(door(slow)) != "busy":
            await asyncio.sleep(0.001)
        started_s = time.monotonic()
        assert catalogue.maker_of(door(quick.base)).find_obstacle(door(quick.base)) is None
        assert (await try_verb(catalogue.maker_of(door(quick.base)), door(""), Verb.READ)).end is End.DONE
        assert time.monotonic() - started_s < 1.0
        for one in held:
            one.cancel()
        await asyncio.gather(*held, return_exceptions=True)
        await catalogue.close()


async def test_a_name_that_hangs_holds_one_thread_and_no_other_name() -> None:
    go_on, asked = threading.Event(), []

    async def resolve(host: str) -> Sequence[str]:
        asked.append(host)
        if host == "slow.example":
            await asyncio.get_running_loop().run_in_executor(None, go_on.wait)
        return ["93.184.216.34"]

    pin = Pin("slow.example", allows_private=False, resolve=resolve)
    waiting = [asyncio.ensure_future(pin.find_hosts()) for _ in range(50)]
    await asyncio.sleep(0)
    other = Pin("quick.example", allows_private=False, resolve=resolve)
    assert await other.find_hosts() == ("93.184.216.34",)
    waiting[0].cancel()  # one that gives up takes no other's answer away
    go_on.set()
    found = await asyncio.gather(*waiting[1:])
    assert set(found) == {("93.184.216.34",)}
    assert asked.count("slow.example") == 1


async def test_a_form_is_told_of_a_name_nobody_knows() -> None:
    async def resolve(host: str) -> Sequence[str]:
        raise OSError

    hubs = Hubs(Clock(), allows_private=False, resolve=resolve)
    with pytest.raises(BadInput, match="no such name"):
        await hubs.check("https://nobody.example")
    await hubs.close()
    resolve_well, _ = answers(["93.184.216.34"])
    hubs = Hubs(Clock(), allows_private=False, resolve=resolve_well)  # type: ignore[arg-type]
    assert await hubs.check("https://Home.example/") == "https://home.example"
    await hubs.close()
