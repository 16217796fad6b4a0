"""Both clouds over real HTTP: their happy paths, and each fault as a connector meets it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.town.conftest import Driver

from unlatch.clock import Clock
from unlatch.town.app import create_town
from unlatch.town.car import Outcome
from unlatch.town.faults import OF_HOMES, FaultKind

ONSTAR_MOVED = ("unlock_trunk", "done")
VOLVO_MOVED = ("unlock", "done")


async def test_onstar_newer_account(driver: Driver) -> None:
    car = await driver.add("onstar")
    told = await driver.onstar_end(car, "unlockTrunk")
    assert told["status"] == "SUCCESS"
    assert set(told) == {"requestId", "requestTime", "completionTime", "status", "url", "error"}
    assert await driver.town.open_trunk(car.vin) is Outcome.DONE
    assert (await driver.onstar_end(car, "lockTrunk"))["error"]["code"] == "ONS-301"
    trunk = (await driver.twin(car))["closures"]["trunk"]
    assert (trunk["lockState"], trunk["lidState"]) == ("UNLOCKED", "OPEN")
    assert await driver.town.close_trunk(car.vin) is Outcome.DONE
    assert (await driver.onstar_end(car, "lockTrunk"))["status"] == "SUCCESS"
    twin = await driver.twin(car)
    assert twin["closures"]["trunk"]["lockState"] == twin["closures"]["doors"]["lockState"] == "LOCKED"
    assert (await driver.town.state(car.vin)).is_secured


async def test_onstar_older_account(driver: Driver) -> None:
    car = await driver.add("onstar", is_older_account=True, latitude=40.5, longitude=-80.25)
    refused = await driver.ask("POST", f"/veh/cmd/v3/unlockTrunk/{car.vin}", car, {})
    assert refused.status_code == 400
    assert "not supported" in refused.json()["message"]
    twin = await driver.ask("GET", f"/veh/datadelivery/digitaltwin/v1/vehicles/{car.vin}", car)
    assert twin.status_code == 404
    base = f"/api/v1/account/vehicles/{car.vin}/commands"
    told: dict[str, Any] = {}
    for command in ("unlockTrunk", "location"):
        told = (await driver.ask("POST", f"{base}/{command}", car, {})).json()["commandResponse"]
        assert (told["status"], told["type"]) == ("inProgress", command)
        while told["status"] == "inProgress":
            await driver.clock.sleep(2)
            told = (await driver.ask("GET", told["url"], car)).json()["commandResponse"]
        assert told["status"] == "success"
    assert told["body"]["location"] == {"lat": "40.5000000", "long": "-80.2500000"}
    assert await driver.town.open_trunk(car.vin) is Outcome.DONE


async def test_volvo_pulled_in_time(driver: Driver) -> None:
    car = await driver.add("volvo")
    told = await driver.volvo(car, "unlock")
    assert (told["invokeStatus"], told["readyToUnlock"], told["readyToUnlockUntil"]) == (
        "COMPLETED",
        True,
        120,
    )
    assert await driver.town.open_trunk(car.vin) is Outcome.DONE
    doors = await driver.doors(car)
    assert (doors["centralLock"]["value"], doors["tailGate"]["value"]) == ("UNLOCKED", "OPEN")
    assert (await driver.volvo(car, "lock"))["invokeStatus"] == "UNABLE_TO_LOCK_DOOR_OPEN"
    await driver.town.close_trunk(car.vin)
    assert (await driver.volvo(car, "lock"))["invokeStatus"] == "COMPLETED"
    assert (await driver.doors(car))["centralLock"]["value"] == "LOCKED"


async def test_volvo_not_pulled_in_time(driver: Driver) -> None:
    car = await driver.add("volvo", armed_s=20)
    assert (await driver.volvo(car, "unlock"))["readyToUnlockUntil"] == 20
    await driver.clock.sleep(25)
    assert await driver.town.open_trunk(car.vin) is Outcome.IS_LOCKED
    assert ("relocked", "done") in await driver.happenings(car)


async def test_volvos_ten_a_minute() -> None:
    transport = httpx.ASGITransport(create_town(Clock()))
    async with httpx.AsyncClient(transport=transport, base_url="http://town") as http:
        new = {"maker": "volvo", "vin": "YV1RS592X92000001", "latency_s": 0}
        car = (await http.post("/town/cars", json=new)).json()
        path = f"/connected-vehicle/v2/vehicles/{car['vin']}/commands/flash"
        keys = {"authorization": f"Bearer {car['token']}", "vcc-api-key": "any"}
        answers = [await http.post(path, headers=keys) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429]
    assert 50 <= int(answers[-1].headers["retry-after"]) <= 60


async def test_volvo_reads(driver: Driver) -> None:
    car = await driver.add("volvo", latitude=57.7, longitude=11.97)
    base = f"/connected-vehicle/v2/vehicles/{car.vin}"
    place = (await driver.ask("GET", f"/location/v1/vehicles/{car.vin}/location", car)).json()["data"]
    assert place["geometry"] == {"type": "Point", "coordinates": [11.97, 57.7, 0.0]}
    commands = (await driver.ask("GET", f"{base}/commands", car)).json()["data"]
    assert {"LOCK", "UNLOCK"} <= {one["command"] for one in commands}
    await driver.town.drive(car.vin)
    assert (await driver.ask("GET", f"{base}/engine-status", car)).json()["data"]["engineStatus"][
        "value"
    ] == "RUNNING"
    reason = (await driver.ask("GET", f"{base}/command-accessibility", car)).json()["data"][
        "unavailableReason"
    ]
    assert reason["value"] == "CAR_IN_USE"
    assert (await driver.volvo(car, "unlock"))["invokeStatus"] == "NOT_ALLOWED_WRONG_USAGE_MODE"


@pytest.mark.parametrize("maker", ["onstar", "volvo"])
async def test_only_the_owners_token_opens(driver: Driver, maker: str) -> None:
    car, other = await driver.add(maker), await driver.add(maker)
    path = (
        f"/veh/cmd/v3/unlockTrunk/{car.vin}"
        if maker == "onstar"
        else f"/connected-vehicle/v2/vehicles/{car.vin}/commands/unlock"
    )
    assert (await driver.ask("POST", path, other)).status_code == 404
    assert (await driver.http.post(path, headers={"vcc-api-key": "any"})).status_code == 401
    assert (
        await driver.http.post(path, headers={"authorization": "Bearer x", "vcc-api-key": "a"})
    ).status_code == 401
    if maker == "volvo":
        assert (
            await driver.http.post(path, headers={"authorization": f"Bearer {car.token}"})
        ).status_code == 401
    assert await driver.town.open_trunk(car.vin) is Outcome.IS_LOCKED


# fault, its parameters, OnStar's last word, Volvo's word, whether the trunk is free afterwards
LIES: list[tuple[str, dict[str, Any], str, str, bool]] = [
    ("asleep", {}, "FAILURE", "VEHICLE_IN_SLEEP", False),
    ("offline", {}, "FAILURE", "CONNECTION_FAILURE", False),
    ("slow", {}, "SUCCESS", "COMPLETED", True),
    ("says_done_but_nothing_moved", {"count": 1}, "SUCCESS", "COMPLETED", False),
    ("says_failed_but_it_moved", {"count": 1}, "FAILURE", "REJECTED", True),
    ("late_unlock", {"after_s": 900}, "IN_PROGRESS", "TIMEOUT", False),
    ("late_unlock", {"after_s": 900, "first": "normal"}, "SUCCESS", "COMPLETED", True),
]


@pytest.mark.parametrize(("fault", "how", "onstar_word", "volvo_word", "is_free"), LIES)
async def test_what_the_cloud_says_and_what_is_so(
    driver: Driver, fault: str, how: dict[str, Any], onstar_word: str, volvo_word: str, is_free: bool
) -> None:
    chevrolet, volvo = await driver.add("onstar"), await driver.add("volvo")
    for car in (chevrolet, volvo):
        await driver.town.set_fault(car.vin, fault, **how)
    began_at = driver.clock.now()
    assert (await driver.onstar_end(chevrolet, "unlockTrunk", 120))["status"] == onstar_word
    waited_s = (driver.clock.now() - began_at).total_seconds()
    assert waited_s >= 94 or fault != "slow"
    assert (await driver.town.state(chevrolet.vin)).is_trunk_locked is not is_free
    assert (await driver.volvo(volvo, "unlock"))["invokeStatus"] == volvo_word
    assert (await driver.town.state(volvo.vin)).is_trunk_locked is not is_free


@pytest.mark.parametrize("first", ["nothing", "normal"])
async def test_a_late_unlock_comes_after_the_lock(driver: Driver, first: str) -> None:
    car = await driver.add("onstar")
    await driver.town.set_fault(car.vin, FaultKind.LATE_UNLOCK, after_s=180, first=first, count=1)
    began = await driver.onstar(car, "unlockTrunk")
    taken_at = driver.clock.now()
    await driver.clock.sleep(10)
    assert (await driver.town.state(car.vin)).is_trunk_locked is (first == "nothing")
    assert (await driver.onstar_end(car, "lockTrunk"))["status"] == "SUCCESS"
    assert (await driver.town.state(car.vin)).is_secured
    await driver.clock.sleep_until(taken_at + timedelta(seconds=182))
    assert not (await driver.town.state(car.vin)).is_trunk_locked
    assert (await driver.twin(car))["closures"]["trunk"]["lockState"] == "UNLOCKED"
    moved = [row for row in await driver.town.whole_ledger(vin=car.vin) if row.what == "unlock_trunk"]
    assert {row.command_id for row in moved} == {began["requestId"]}
    assert len(moved) == (1 if first == "nothing" else 2)
    taken = next(row for row in await driver.town.whole_ledger(vin=car.vin) if row.what == "unlockTrunk")
    assert (moved[-1].at - taken.at).total_seconds() == pytest.approx(180, abs=1)
    late_s = (moved[-1].monotonic_s - taken.monotonic_s) * driver.clock.factor
    assert late_s == pytest.approx(180, abs=6)


async def test_jammed_and_springing_open(driver: Driver) -> None:
    chevrolet, volvo = await driver.add("onstar"), await driver.add("volvo")
    await driver.onstar_end(chevrolet, "unlockTrunk")
    await driver.town.set_fault(chevrolet.vin, FaultKind.JAMMED, count=1)
    assert (await driver.onstar_end(chevrolet, "lockTrunk"))["error"]["code"] == "ONS-302"
    assert (await driver.onstar_end(chevrolet, "lockTrunk"))["status"] == "SUCCESS"
    await driver.volvo(volvo, "unlock")
    await driver.town.open_trunk(volvo.vin)
    await driver.town.set_fault(volvo.vin, FaultKind.WILL_NOT_CLOSE)
    assert await driver.town.close_trunk(volvo.vin) is Outcome.WILL_NOT_CLOSE
    assert (await driver.volvo(volvo, "lock"))["invokeStatus"] == "UNABLE_TO_LOCK_DOOR_OPEN"
    await driver.town.clear_faults(volvo.vin)
    assert await driver.town.close_trunk(volvo.vin) is Outcome.DONE
    await driver.town.set_fault(volvo.vin, FaultKind.JAMMED)
    assert (await driver.volvo(volvo, "lock"))["invokeStatus"] == "CAR_ERROR"
    assert (await driver.doors(volvo))["centralLock"]["value"] == "UNLOCKED"


@pytest.mark.parametrize("trigger", ["now", "unlocked", "opened"])
async def test_drives_off(driver: Driver, trigger: str) -> None:
    car = await driver.add("onstar")
    await driver.town.set_fault(car.vin, FaultKind.DRIVES_OFF, trigger=trigger, after_s=0)
    if trigger != "now":
        assert not (await driver.town.state(car.vin)).is_moving
        await driver.onstar_end(car, "unlockTrunk")
    if trigger == "opened":
        assert not (await driver.town.state(car.vin)).is_moving
        await driver.town.open_trunk(car.vin)
    assert (await driver.twin(car))["velocity"]["spdInKph"] > 0


@pytest.mark.parametrize(
    ("fault", "how", "status"),
    [
        ("rate_limit", {"after_s": 7}, 429),
        ("consent_withdrawn", {}, 401),
        ("consent_withdrawn", {"status": 403}, 403),
        ("subscription_lapsed", {}, 403),
        ("outage", {}, 503),
        ("outage", {"status": 500}, 500),
    ],
)
async def test_refusals(driver: Driver, fault: str, how: dict[str, Any], status: int) -> None:
    for maker, path in (
        ("onstar", "/veh/cmd/v3/unlockTrunk/{}"),
        ("volvo", "/connected-vehicle/v2/vehicles/{}/commands/unlock"),
    ):
        car = await driver.add(maker)
        await driver.town.set_fault(car.vin, fault, count=1, **how)
        answer = await driver.ask("POST", path.format(car.vin), car, {})
        assert answer.status_code == status
        assert answer.headers.get("retry-after") == ("7" if status == 429 else None)
        assert await driver.town.open_trunk(car.vin) is Outcome.IS_LOCKED
        rows = await driver.town.whole_ledger(vin=car.vin)
        assert next(row for row in rows if row.kind == "request").outcome == str(status)
        assert (await driver.ask("POST", path.format(car.vin), car, {})).status_code == 200


@pytest.mark.parametrize("acts", [False, True])
async def test_the_connection_is_cut(driver: Driver, acts: bool) -> None:
    for maker, path in (
        ("onstar", "/veh/cmd/v3/unlockTrunk/{}"),
        ("volvo", "/connected-vehicle/v2/vehicles/{}/commands/unlock"),
    ):
        car = await driver.add(maker)
        await driver.town.set_fault(car.vin, FaultKind.CONNECTION_CUT, verb="unlock", acts=acts, count=1)
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await driver.ask("POST", path.format(car.vin), car, {})
        await driver.clock.sleep(10)
        assert (await driver.town.state(car.vin)).is_trunk_locked is not acts


@pytest.mark.parametrize("acts", [False, True])
async def test_silent(driver: Driver, acts: bool) -> None:
    chevrolet, volvo = await driver.add("onstar"), await driver.add("volvo")
    for car in (chevrolet, volvo):
        await driver.town.set_fault(car.vin, FaultKind.SILENT, acts=acts)
    assert (await driver.onstar_end(chevrolet, "unlockTrunk", 100))["status"] == "IN_PROGRESS"
    path = f"/connected-vehicle/v2/vehicles/{volvo.vin}/commands/unlock"
    with pytest.raises(httpx.ReadTimeout):
        await driver.http.post(path, headers=driver.keys(volvo), timeout=0.3)
    for car in (chevrolet, volvo):
        assert (await driver.town.state(car.vin)).is_trunk_locked is not acts
    await driver.town.set_fault(chevrolet.vin, FaultKind.SILENT, hangs=True)
    await driver.town.clear_faults(chevrolet.vin)
    await driver.town.set_fault(chevrolet.vin, FaultKind.SILENT, hangs=True)
    with pytest.raises(httpx.ReadTimeout):
        await driver.http.post(
            f"/veh/cmd/v3/lockTrunk/{chevrolet.vin}", headers=driver.keys(chevrolet), timeout=0.3
        )


async def test_answers_that_flip(driver: Driver) -> None:
    chevrolet, volvo = await driver.add("onstar"), await driver.add("volvo")
    for car in (chevrolet, volvo):
        await driver.town.set_fault(car.vin, FaultKind.DUPLICATE_ANSWERS)
    told = await driver.onstar_end(chevrolet, "unlockTrunk")
    words = [(await driver.ask("GET", told["url"], chevrolet)).json()["status"] for _ in range(4)]
    assert words == ["IN_PROGRESS", "SUCCESS", "IN_PROGRESS", "SUCCESS"]
    assert [one for one in await driver.happenings(chevrolet) if one == ONSTAR_MOVED] == [ONSTAR_MOVED]
    await driver.volvo(volvo, "unlock")
    one, other = await driver.doors(volvo), await driver.doors(volvo)
    assert (one["centralLock"]["value"], other["centralLock"]["value"]) == ("UNLOCKED", "LOCKED")
    assert other["centralLock"]["timestamp"] < one["centralLock"]["timestamp"]


async def test_a_sleeping_cars_readings_are_old(driver: Driver) -> None:
    car = await driver.add("volvo")
    await driver.town.set_fault(car.vin, FaultKind.ASLEEP)
    first = await driver.doors(car)
    await driver.clock.sleep(30)
    assert await driver.doors(car) == first
    await driver.town.clear_faults(car.vin, FaultKind.ASLEEP)
    assert (await driver.doors(car))["centralLock"]["timestamp"] > first["centralLock"]["timestamp"]


def test_every_fault_has_been_tried_here() -> None:
    source = Path(__file__).read_text()
    assert [
        kind
        for kind in FaultKind
        if kind not in OF_HOMES  # see test_home_hub.py
        and f'"{kind}"' not in source
        and f"FaultKind.{kind.name}" not in source
    ] == []


async def test_chance_follows_the_seed(driver: Driver) -> None:
    async def fates() -> list[int]:
        car = await driver.town.add_car("onstar", "1G1ZB5ST7GF999999")
        await driver.town.set_fault(car.vin, FaultKind.OUTAGE, chance=0.5)
        path = f"/veh/cmd/v3/alert/{car.vin}"
        return [(await driver.ask("POST", path, car, {})).status_code for _ in range(20)]

    once = await fates()
    await driver.town.reset()
    assert await fates() == once
    assert set(once) == {200, 503}


async def test_an_outage_of_a_whole_cloud_leaves_the_other_alone(driver: Driver) -> None:
    chevrolet, volvo = await driver.add("onstar"), await driver.add("volvo")
    await driver.town.set_cloud_fault("onstar", FaultKind.OUTAGE)
    assert (
        await driver.ask("POST", f"/veh/cmd/v3/unlockTrunk/{chevrolet.vin}", chevrolet, {})
    ).status_code == 503
    assert (await driver.volvo(volvo, "unlock"))["invokeStatus"] == "COMPLETED"
    await driver.town.clear_cloud_faults("onstar")
    assert (await driver.onstar(chevrolet, "unlockTrunk"))["status"] == "IN_PROGRESS"
