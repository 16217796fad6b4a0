"""A town on a free port, in a thread of its own, whose clock runs 120 times faster than ours."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from unlatch.clock import Clock
from unlatch.town.app import create_server, create_town, listen
from unlatch.town.client import TownClient
from unlatch.town.control import AddedCar

FACTOR = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    address: str
    clock: Clock


@dataclass(slots=True, kw_only=True)
class Driver:
    """Speaks to the clouds as a connector does."""

    town: TownClient
    http: httpx.AsyncClient
    clock: Clock
    number: int = 0

    async def add(self, maker: str, **papers: Any) -> AddedCar:
        self.number += 1
        start = "1G1ZB5ST7GF" if maker == "onstar" else "YV1RS592X92"
        return await self.town.add_car(maker, f"{start}{self.number:06d}", **papers)

    @staticmethod
    def keys(car: AddedCar) -> dict[str, str]:
        return {"authorization": f"Bearer {car.token}", "vcc-api-key": "any"}

    async def ask(self, method: str, path: str, car: AddedCar, body: Any = None) -> httpx.Response:
        return await self.http.request(method, path, headers=self.keys(car), json=body)

    async def onstar(self, car: AddedCar, command: str) -> dict[str, Any]:
        """Send a command; the answer to the request."""
        answer = await self.ask(
            "POST", f"/veh/cmd/v3/{command}/{car.vin}", car, {f"{command}Request": {"delay": 0}}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def onstar_end(self, car: AddedCar, command: str, within_s: float = 150.0) -> dict[str, Any]:
        """Send a command and poll it to its end, or until `within_s` of town time have passed."""
        told = await self.onstar(car, command)
        began_at = self.clock.now()
        while told["status"] == "IN_PROGRESS" and (self.clock.now() - began_at).total_seconds() < within_s:
            await self.clock.sleep(2.0)
            told = (await self.ask("GET", told["url"], car)).json()
        return told

    async def volvo(self, car: AddedCar, command: str) -> dict[str, Any]:
        """Send a command; its one answer."""
        answer = await self.ask(
            "POST", f"/connected-vehicle/v2/vehicles/{car.vin}/commands/{command}", car, {}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]  # type: ignore[no-any-return]

    async def doors(self, car: AddedCar) -> dict[str, Any]:
        answer = await self.ask("GET", f"/connected-vehicle/v2/vehicles/{car.vin}/doors", car)
        return answer.json()["data"]  # type: ignore[no-any-return]

    async def twin(self, car: AddedCar) -> dict[str, Any]:
        path = f"/veh/datadelivery/digitaltwin/v1/vehicles/{car.vin}?sms=false&region=na"
        return (await self.ask("GET", path, car)).json()["telemetry"]["data"]  # type: ignore[no-any-return]

    async def happenings(self, car: AddedCar) -> list[tuple[str, str]]:
        rows = await self.town.whole_ledger(vin=car.vin)
        return [(row.what, row.outcome) for row in rows if row.kind == "happening"]


@pytest.fixture(scope="session")
def running() -> Iterator[Running]:
    clock = Clock(factor=FACTOR, anchor_at=datetime.now(UTC))
    listening = listen("127.0.0.1", 0)
    server = create_server(create_town(clock, seed=7))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:  # bound is not yet listening
        assert thread.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield Running(address=f"http://127.0.0.1:{listening.getsockname()[1]}", clock=clock)
    server.should_exit = True
    thread.join(5)
    assert not thread.is_alive()
    listening.close()


@pytest.fixture
async def driver(running: Running) -> AsyncIterator[Driver]:
    async with (
        TownClient(running.address) as town,
        httpx.AsyncClient(base_url=running.address, timeout=10, trust_env=False, verify=False) as http,
    ):
        await town.reset()
        yield Driver(town=town, http=http, clock=running.clock)
        await town.reset()
