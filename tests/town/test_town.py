"""The control API, the ledger, and the town as a program of its own."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from tests.town.conftest import Driver

from unlatch.clock import Clock
from unlatch.errors import Conflict, NotFound, UnlatchError
from unlatch.town.car import Car, Deed, Maker, Outcome, Run
from unlatch.town.client import TownClient
from unlatch.town.control import NewCar
from unlatch.town.faults import FaultKind, plan_command
from unlatch.town.ledger import Ledger
from unlatch.town.world import Citizen, Town, place


async def test_hands(driver: Driver) -> None:
    car = await driver.add("onstar")
    town = driver.town
    assert await town.open_trunk(car.vin) is Outcome.IS_LOCKED
    assert (await driver.http.post(f"/town/cars/{car.vin}/open-trunk")).status_code == 409
    assert await town.unlock_with_key(car.vin) is Outcome.DONE
    assert await town.can_open_trunk(car.vin)
    assert await town.lock_with_key(car.vin) is Outcome.LID_OPEN
    assert await town.close_trunk(car.vin) is Outcome.DONE
    assert await town.lock_with_key(car.vin) is Outcome.DONE
    assert (await town.state(car.vin)).is_secured
    moved = await town.move(car.vin, 40.0, -75.0)
    assert (moved.latitude, moved.longitude) == (40.0, -75.0)
    assert await town.drive(car.vin) is Outcome.DONE
    await driver.clock.sleep(20)
    assert await town.park(car.vin) is Outcome.DONE
    assert (await town.state(car.vin)).longitude > -75.0


async def test_what_does_not_fit_is_refused(driver: Driver) -> None:
    car = await driver.add("onstar")
    with pytest.raises(NotFound):
        await driver.town.state("1G1ZB5ST7GF000000")
    with pytest.raises(UnlatchError):
        await driver.town.add_car("onstar", "too short")
    for _ in range(32):
        await driver.town.set_fault(car.vin, FaultKind.OUTAGE, count=1)
    with pytest.raises(Conflict):
        await driver.town.set_fault(car.vin, FaultKind.OUTAGE)
    for method, path, content, status in [
        ("POST", "/town/cars", b"{", 400),
        ("POST", "/town/cars", b'{"maker":"lada","vin":"1G1ZB5ST7GF123456"}', 400),
        ("POST", f"/town/cars/{car.vin}/faults", b'{"kind":"outage","chance":2}', 400),
        ("POST", "/town/cars", b"x" * 70_000, 413),
        ("GET", "/town/" + "a/" * 40, b"", 413),
        ("GET", "/town/ledger?since=x", b"", 400),
        ("GET", "/", b"", 404),
        ("DELETE", f"/town/cars/{car.vin}/faults/unheard", b"", 404),
    ]:
        assert (await driver.http.request(method, path, content=content)).status_code == status, path


async def test_many_cars_and_one_account(driver: Driver) -> None:
    new = [NewCar(maker="volvo", vin=f"YV1RS592X92{n:06d}", account_id="family") for n in range(3)]  # type: ignore[arg-type]
    added = await driver.town.add_cars(new)
    assert len({car.token for car in added}) == 1
    listed = (await driver.ask("GET", "/connected-vehicle/v2/vehicles", added[0])).json()["data"]
    assert [one["vin"] for one in listed] == [car.vin for car in added]
    assert [one.vin for one in await driver.town.list_cars(start=1, limit=1)] == [added[1].vin]


async def test_the_ledger_tells_a_delivery_in_order(driver: Driver) -> None:
    car = await driver.add("volvo")
    since = (await driver.town.state(car.vin)).version
    headers = {**driver.keys(car), "x-request-id": "visit-1"}
    await driver.http.post(f"/connected-vehicle/v2/vehicles/{car.vin}/commands/unlock", headers=headers)
    await driver.town.open_trunk(car.vin)
    await driver.town.close_trunk(car.vin)
    await driver.volvo(car, "lock")
    rows = await driver.town.whole_ledger(since, car.vin)
    assert [(row.kind, row.what, row.outcome) for row in rows] == [
        ("request", "unlock", "taken"),
        ("happening", "unlock", "done"),
        ("answer", "unlock", "COMPLETED"),
        ("happening", "open_trunk", "done"),
        ("happening", "close_trunk", "done"),
        ("request", "lock", "taken"),
        ("happening", "lock", "done"),
        ("answer", "lock", "COMPLETED"),
    ]
    assert rows[0].trace == "visit-1"
    assert [row.at for row in rows] == sorted(row.at for row in rows)
    assert [row.monotonic_s for row in rows] == sorted(row.monotonic_s for row in rows)


async def test_a_reader_of_the_ledger_sees_what_nobody_else_looked_at(driver: Driver) -> None:
    car = await driver.add("volvo", armed_s=10)
    await driver.volvo(car, "unlock")
    await driver.clock.sleep(15)
    rows = (await driver.town.ledger(vin=car.vin)).rows
    assert rows[-1].what == "relocked"


def test_a_bounded_ledger_says_what_it_dropped() -> None:
    ledger, at = Ledger(max_rows=3), datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(1, 6):
        ledger.add("happening", at=at, monotonic_s=0, vin="V" if number % 2 else "W", what=str(number))
    torn = ledger.page(0)
    assert ([row.number for row in torn.rows], torn.is_torn, torn.cursor) == ([3, 4, 5], True, 5)
    assert not ledger.page(2).is_torn
    assert [row.number for row in ledger.page(2, limit=1).rows] == [3]
    assert [row.number for row in ledger.page(2, vin="W").rows] == [4]
    assert ledger.page(5).rows == []
    ledger.clear()
    ledger.add("happening", at=at, monotonic_s=0, vin="V", what="6")
    assert [row.number for row in ledger.page(5).rows] == [6]


def test_the_program_ends_at_once_with_a_request_held() -> None:
    anchor = datetime.now(UTC).isoformat()
    words = [
        sys.executable,
        "-m",
        "unlatch.town",
        "--port",
        "0",
        "--time-factor",
        "30",
        "--time-anchor",
        anchor,
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            address = program.stdout.readline().removeprefix("town: ").strip()
            asyncio.run(hold_a_request(address, program))
        finally:
            program.kill()


async def hold_a_request(address: str, program: subprocess.Popen[str]) -> None:
    async with (
        TownClient(address) as town,
        httpx.AsyncClient(base_url=address, trust_env=False, verify=False) as http,
    ):
        car = await town.add_car("volvo", "YV1RS592X92000001")
        await town.set_fault(car.vin, FaultKind.SILENT)
        keys = {"authorization": f"Bearer {car.token}", "vcc-api-key": "any"}
        path = f"/connected-vehicle/v2/vehicles/{car.vin}/commands/unlock"
        held = asyncio.ensure_future(http.post(path, headers=keys))
        while not (await town.ledger(vin=car.vin)).rows:
            pass
        began_s = time.monotonic()
        program.send_signal(signal.SIGTERM)
        await asyncio.to_thread(program.wait, 5)
        assert time.monotonic() - began_s < 3
        with pytest.raises(httpx.TransportError):
            await held


def test_a_command_has_acted_when_its_end_is_told() -> None:
    """Whatever time passes between the request and the car's time line: else a done command is told as failed."""
    clock = Clock(factor=1000.0, anchor_at=datetime.now(UTC))
    town = Town(clock)
    vin = "1G1ZD5ST0JF000001"
    asked_at = clock.now()
    citizen = Citizen(
        car=Car(vin=vin, maker=Maker.VOLVO, parked_at=place(33.7, -84.4), born_at=asked_at),
        account=town.open_account(Maker.VOLVO, None),
        is_older_account=False,
        make="",
        model="",
        model_year=2018,
        colour="",
        plate="",
        latency_s=2.0,
        chance=town.chance_of(vin),
    )
    town.settle(citizen)
    while clock.now() < asked_at + timedelta(seconds=1):  # a slow machine: 1 ms of real time
        pass
    run = Run(command_id="1", deed=Deed.UNLOCK)
    town.take_on(citizen, run, plan_command({}, citizen.latency_s), asked_at)
    citizen.car.advance(asked_at + timedelta(seconds=citizen.latency_s))
    assert run.outcome is Outcome.DONE
