"""A home's hub over real HTTP and WebSocket, as any client of Home Assistant meets it; and what the ledger says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx
import pytest
from tests.town.conftest import Driver, Running
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from unlatch.errors import Conflict, NotFound
from unlatch.town.faults import FaultKind
from unlatch.town.home import HomeDeed
from unlatch.town.home_control import AddedHome
from unlatch.town.truth import count_openings_asked, was_home_secured

pytestmark = pytest.mark.filterwarnings("error")


def key(home: AddedHome) -> dict[str, str]:
    return {"authorization": f"Bearer {home.token}"}


async def state(driver: Driver, home: AddedHome, entity: str | None = None) -> dict[str, Any]:
    answer = await driver.http.get(f"{home.path}/api/states/{entity or home.entity}", headers=key(home))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def call(driver: Driver, home: AddedHome, name: str, entity: str | None = None) -> httpx.Response:
    body = {"entity_id": entity or home.entity}
    return await driver.http.post(f"{home.path}/api/services/{name}", headers=key(home), json=body)


class Talk:
    """A client that signs in, numbers its messages and keeps what it hears."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.number = 0

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            heard: dict[str, Any] = json.loads(await self.socket.recv())
        return heard

    async def ask(self, kind: str, **more: Any) -> dict[str, Any]:
        """Send, and pass over events until the result is there."""
        self.number += 1
        await self.socket.send(json.dumps({"id": self.number, "type": kind, **more}))
        while (heard := await self.hear()).get("type") not in ("result", "pong"):
            pass
        return heard


@asynccontextmanager
async def talking(running: Running, home: AddedHome, token: str | None = None) -> AsyncIterator[Talk]:
    address = f"{running.address.replace('http', 'ws', 1)}{home.path}/api/websocket"
    async with connect(address, proxy=None) as socket:
        talk = Talk(socket)
        assert (await talk.hear())["type"] == "auth_required"
        await socket.send(json.dumps({"type": "auth", "access_token": token or home.token}))
        assert (await talk.hear())["type"] == "auth_ok"
        yield talk


async def test_a_call_blocks_and_tells_the_states_that_it_led_through(driver: Driver) -> None:
    home = await driver.town.add_home("one")
    began_at = driver.clock.now()
    answer = await call(driver, home, "lock/unlock")
    assert (driver.clock.now() - began_at).total_seconds() >= 2.0
    told = answer.json()
    assert [one["state"] for one in told] == ["unlocking", "unlocked"]
    assert len({one["context"]["id"] for one in told}) == 1
    assert told[0]["context"]["user_id"]
    assert set(told[0]) == {
        "entity_id", "state", "attributes", "last_changed", "last_reported", "last_updated", "context"
    }  # fmt: skip
    assert await driver.town.do_at_home("one", HomeDeed.OPEN_DOOR) == "done"
    assert (await state(driver, home, home.contact))["state"] == "on"


async def test_an_empty_answer_means_nothing(driver: Driver) -> None:
    """An unknown entity, an offline lock, a silent lock: 200 and [] alike."""
    unknown, offline, silent = [await driver.town.add_home(name) for name in ("u", "o", "s")]
    await driver.town.set_home_fault("o", FaultKind.OFFLINE)
    await driver.town.set_home_fault("s", FaultKind.ANSWERS_AT_ONCE)
    for home, entity in ((unknown, "lock.nowhere"), (offline, None), (silent, None)):
        answer = await call(driver, home, "lock/unlock", entity)
        assert (answer.status_code, answer.json()) == (200, [])
        assert (await driver.town.home(home.home_id)).is_secured
    assert (await state(driver, offline))["state"] == "unavailable"


async def test_a_jam_comes_in_a_200(driver: Driver) -> None:
    home = await driver.town.add_home("jam")
    await call(driver, home, "lock/unlock")
    await driver.town.set_home_fault("jam", FaultKind.JAMMED, count=1)
    answer = await call(driver, home, "lock/lock")
    assert (answer.status_code, answer.json()[-1]["state"]) == (200, "jammed")
    assert (await call(driver, home, "lock/lock")).json()[-1]["state"] == "locked"


async def test_who_may_not(driver: Driver) -> None:
    home, other = await driver.town.add_home("mine"), await driver.town.add_home("other")
    for headers in ({}, key(other), {"authorization": home.token}):
        answer = await driver.http.post(
            f"{home.path}/api/services/lock/unlock", headers=headers, json={"entity_id": home.entity}
        )
        assert answer.status_code == 401
    assert (await call(driver, home, "lock/explode")).status_code == 400
    missing = await driver.http.get(f"{home.path}/api/states/lock.nowhere", headers=key(home))
    assert missing.status_code == 404
    assert (await driver.http.get("/hub/nobody/api/states", headers=key(home))).status_code == 404
    assert (await driver.town.home("mine")).is_secured
    assert [row.outcome for row in await driver.town.whole_ledger(vin="mine")] == ["401"] * 3 + [
        "400",
        "taken",
    ]


async def test_a_subscription_tells_what_was_and_what_changes_with_its_context(
    driver: Driver, running: Running
) -> None:
    home = await driver.town.add_home("ws")
    async with talking(running, home) as talk:
        assert (await talk.ask("subscribe_entities", entity_ids=[home.entity]))["success"]
        first = (await talk.hear())["event"]["a"]
        assert set(first) == {home.entity}
        assert first[home.entity]["s"] == "locked"
        await talk.socket.send(
            json.dumps(
                {
                    "id": 7,
                    "type": "call_service",
                    "domain": "lock",
                    "service": "unlock",
                    "target": {"entity_id": home.entity},
                }
            )
        )
        heard = [await talk.hear() for _ in range(3)]
        changes = [one["event"]["c"][home.entity]["+"] for one in heard[:2]]
        assert [one["s"] for one in changes] == ["unlocking", "unlocked"]
        own_id = heard[2]["result"]["context"]["id"]
        assert changes[0]["c"]["id"] == own_id
        assert "c" not in changes[1], "the same context is not told again"
        await driver.town.do_at_home("ws", HomeDeed.KEY_LOCK)
        by_hand = (await talk.hear())["event"]["c"][home.entity]["+"]
        assert by_hand["s"] == "locked"


async def test_a_context_lives_for_five_seconds(driver: Driver, running: Running) -> None:
    home = await driver.town.add_home("late", latency_s=8.0)
    async with talking(running, home) as talk:
        await talk.ask("subscribe_events", event_type="state_changed")
        await talk.socket.send(
            json.dumps({"id": 9, "type": "call_service", "domain": "lock", "service": "unlock",
                        "target": {"entity_id": home.entity}})
        )  # fmt: skip
        heard = [await talk.hear() for _ in range(3)]
        states = [one["event"]["data"]["new_state"] for one in heard[:2]]
        own_id = heard[2]["result"]["context"]["id"]
        assert [one["context"]["id"] == own_id for one in states] == [True, False]
        assert states[1]["context"]["user_id"] is None


async def test_what_else_a_client_may_say(driver: Driver, running: Running) -> None:
    home = await driver.town.add_home("say")
    async with talking(running, home) as talk:
        assert (await talk.ask("ping"))["type"] == "pong"
        assert len((await talk.ask("get_states"))["result"]) >= 4
        assert (await talk.ask("shrug"))["error"]["code"] == "unknown_command"
        refused = await talk.ask("call_service", domain="lock", service="explode")
        assert refused["error"]["code"] == "not_found"
        rung = await talk.ask(
            "call_service", domain="button", service="press", target={"entity_id": "button.chime"}
        )
        assert rung["success"]
        await talk.socket.send("no JSON")
        assert (await talk.hear())["error"]["code"] == "invalid_format"
    assert (await driver.town.home("say")).rung == 1


async def test_a_wrong_token_is_shown_the_door(driver: Driver, running: Running) -> None:
    home = await driver.town.add_home("shut")
    address = f"{running.address.replace('http', 'ws', 1)}{home.path}/api/websocket"
    async with connect(address, proxy=None) as socket:
        await socket.recv()
        await socket.send(json.dumps({"type": "auth", "access_token": "guessed"}))
        assert json.loads(await socket.recv())["type"] == "auth_invalid"
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    for elsewhere in ("/hub/nobody/api/websocket", "/veh/x", "/hub"):
        with pytest.raises(InvalidStatus):
            await connect(running.address.replace("http", "ws", 1) + elsewhere, proxy=None)


async def test_wifi_lost_cuts_every_connection(driver: Driver, running: Running) -> None:
    home = await driver.town.add_home("deauth")
    async with talking(running, home) as talk:
        await driver.town.do_at_home("deauth", HomeDeed.WIFI_DOWN)
        with pytest.raises(ConnectionClosed):
            await talk.hear()
    with pytest.raises(httpx.HTTPError):
        await driver.http.get(f"{home.path}/api/", headers=key(home))
    truth = await driver.town.home("deauth")
    assert (truth.is_wifi_up, truth.is_secured) == (False, True)
    await driver.town.do_at_home("deauth", HomeDeed.WIFI_UP)
    assert (await state(driver, home))["state"] == "locked"


async def test_a_hub_that_was_dead_comes_back_with_new_times(driver: Driver) -> None:
    home = await driver.town.add_home("dead")
    before = await state(driver, home)
    await driver.town.set_home_fault("dead", FaultKind.HUB_GONE)
    with pytest.raises(httpx.HTTPError):
        await driver.http.get(f"{home.path}/api/", headers=key(home))
    await driver.town.clear_home_faults("dead")
    after = await state(driver, home)
    assert after["state"] == before["state"]
    assert datetime.fromisoformat(after["last_changed"]) > datetime.fromisoformat(before["last_changed"])


async def test_faults_that_no_home_has_are_refused(driver: Driver) -> None:
    await driver.town.add_home("fine")
    for kind in (FaultKind.ASLEEP, FaultKind.DRIVES_OFF, FaultKind.SUBSCRIPTION_LAPSED):
        with pytest.raises(Conflict):
            await driver.town.set_home_fault("fine", kind)
    car = await driver.add("volvo")
    for kind in (FaultKind.HUB_GONE, FaultKind.ANSWERS_AT_ONCE, FaultKind.LYING_STATE):
        with pytest.raises(Conflict):
            await driver.town.set_fault(car.vin, kind)
    with pytest.raises(NotFound):
        await driver.town.home("nobody")


async def test_the_ledger_agrees_with_what_is_so(driver: Driver) -> None:
    """Openings asked, what happened and when it was secured, from the rows alone; late deeds have their own moment."""
    home = await driver.town.add_home("ledger")
    await driver.town.set_home_fault("ledger", FaultKind.LATE_UNLOCK, first="normal", after_s=60.0, count=1)
    await call(driver, home, "lock/unlock")
    await driver.town.do_at_home("ledger", HomeDeed.OPEN_DOOR)
    await driver.town.do_at_home("ledger", HomeDeed.CLOSE_DOOR)
    await call(driver, home, "lock/lock")
    assert (await driver.town.home("ledger")).is_secured
    rows = await driver.town.whole_ledger(vin="ledger")
    assert count_openings_asked(rows) == 1
    assert was_home_secured(rows, driver.clock.now())
    await driver.clock.sleep(60.0)
    rows = await driver.town.whole_ledger(vin="ledger")
    assert not was_home_secured(rows, driver.clock.now())
    assert not (await driver.town.home("ledger")).is_secured
    late = [row for row in rows if row.why == "late"]
    assert [row.what for row in late] == ["unlock"]
    first = next(row for row in rows if row.what == "unlock" and row.kind == "happening")
    assert late[0].command_id == first.command_id
    assert 55.0 < (late[0].at - first.at).total_seconds() < 62.0


async def test_a_garage_by_the_ledger(driver: Driver) -> None:
    home = await driver.town.add_home("garage", kind="garage")
    await call(driver, home, "cover/open_cover")
    await driver.clock.sleep(15.0)
    assert not was_home_secured(await driver.town.whole_ledger(vin="garage"), driver.clock.now())
    await call(driver, home, "cover/close_cover")
    await driver.clock.sleep(15.0)
    rows = await driver.town.whole_ledger(vin="garage")
    assert was_home_secured(rows, driver.clock.now())
    assert count_openings_asked(rows) == 1
