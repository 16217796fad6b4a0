"""The town's own page, as its JavaScript asks it; and the arithmetic of the streets and couriers that it shows."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.town.conftest import Driver

from unlatch.errors import NotFound
from unlatch.town.camera import CameraFaultKind
from unlatch.town.car import Outcome
from unlatch.town.courier import SPEED_MPS, Courier
from unlatch.town.faults import NOT_OF_HOMES, OF_HOMES, FaultKind
from unlatch.town.scenery import CARS, OWN_CAR, WATCHED_HOMES, furnish
from unlatch.town.stage_scene import Booking, Scene, Target
from unlatch.town.stage_texts import CAMERA_FAULTS, CAR_FAULTS, HOME_FAULTS, WORDS
from unlatch.town.streets import (
    AVENUES_M,
    HEIGHT_M,
    HOMES,
    OWN_HOME,
    STREETS_M,
    WIDTH_M,
    Way,
    draw,
    drive_round,
    locate,
    walk,
)

LOT = random.Random(2018)
NOW = datetime(2018, 4, 24, 12, tzinfo=UTC)


def scene(vin: str) -> Scene:
    """A scene whose platform is not there: nobody listens at that port."""
    return Scene(
        server_url="http://127.0.0.1:9",
        mails={"consignee": "ann@town.example"},
        courier="Bo",
        enrol_code="CODE",
        label="340123456789012345",
        vin=vin,
        booking=Booking(carrier_key="key", consignee_id="csg", courier_id="cou", places={Target.CAR: "acp"}),
    )


async def look(driver: Driver) -> dict[str, Any]:
    answer = await driver.http.get("/stage/map")
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


@pytest.fixture
async def vin(driver: Driver) -> str:
    """Of the car that is delivered to, with a scene."""
    (car,) = await driver.town.add_cars([OWN_CAR.draw(LOT)])
    await driver.town.set_stage(scene(car.vin))
    return car.vin


# ---- streets and couriers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", [(0.0, 0.0), (WIDTH_M, HEIGHT_M), (302.0, 115.0)])
def test_the_map_and_the_earth_say_the_same(point: tuple[float, float]) -> None:
    assert draw(locate(point)) == pytest.approx(point, abs=1e-6)


def test_a_round_is_driven_again_and_again_and_looks_ahead() -> None:
    way = Way([locate(point) for point in drive_round(300, 270, 120, 390, 220)], is_round=True)
    assert way.length_m == pytest.approx(2 * (130 + 110))
    begin, heading = way.find(0)
    assert draw(begin) == pytest.approx((300, 115), abs=1e-6)
    assert heading == pytest.approx(90)
    north, heading = way.find(95 + 55)
    assert draw(north) == pytest.approx((395, 170), abs=1e-6)
    assert heading % 360 == pytest.approx(0, abs=1e-6)
    assert draw(way.find(3 * way.length_m + 1)[0]) == pytest.approx((301, 115), abs=1e-3)


@pytest.mark.parametrize("end", [(302, 115), (348, 130), (455, 246), (30, 20)])
def test_who_walks_stays_on_the_roads(end: tuple[float, float]) -> None:
    way = walk(locate((150, 170)), locate(end))
    assert way.find(10_000)[0] == way.points[-1]
    for run_m in range(int(way.length_m)):
        east, north = draw(way.find(run_m)[0])
        near_m = min(*(abs(east - one) for one in AVENUES_M), *(abs(north - one) for one in STREETS_M))
        assert near_m < 27, (run_m, east, north)  # a home's door is so far from the middle of its street


def test_a_courier_comes_to_where_they_are_sent_and_goes_on() -> None:
    corners = [locate(point) for point in ((150, 120), (150, 220), (270, 220), (270, 120))]
    courier = Courier(
        name="Bo",
        round=Way(corners, is_round=True),
        begin=locate((225, 120)),
        set_out_at=NOW,
        end=locate((302, 115)),
    )
    there_s = (302 - 225 + 5) / SPEED_MPS
    assert not courier.is_there(NOW + timedelta(seconds=there_s - 1))
    assert courier.is_there(NOW + timedelta(seconds=there_s + 1))
    at = NOW + timedelta(minutes=1)
    courier.send(None, at)
    assert courier.position_at(at) == locate((302, 115))
    assert not courier.is_there(at)
    seen = {courier.position_at(at + timedelta(seconds=10 * number)) for number in range(60)}
    assert set(corners) & seen, "they halt at corners"
    assert len(seen) > 10


# ---- the page's own endpoints -----------------------------------------------------------------------------------


async def test_the_map_shows_everyone_as_they_truly_are(driver: Driver, vin: str) -> None:
    await furnish(driver.town, LOT)
    first = await look(driver)
    assert {home["id"] for home in first["homes"]} == set(HOMES)
    assert {home["id"] for home in first["homes"] if home["camera_id"]} == set(WATCHED_HOMES)
    assert sum(car["is_moving"] for car in first["cars"]) == sum(car.is_driving for car in CARS)
    assert (first["label"], first["target"], first["targets"]) == ("340123456789012345", "car", ["car"])
    assert all(0 < one["east"] < WIDTH_M and 0 < one["north"] < HEIGHT_M for one in first["cars"])
    await driver.clock.sleep(30)
    await driver.town.unlock_with_key(vin)
    await driver.town.open_trunk(vin)
    await driver.town.set_fault(vin, "jammed")
    await driver.town.set_home_fault(OWN_HOME, "hub_gone")
    await driver.town.break_camera(f"{OWN_HOME}-1", "off")
    later = await look(driver)
    own, home = by_id(later["cars"], vin), by_id(later["homes"], OWN_HOME)
    assert (own["is_open"], own["is_locked"], own["faults"]) == (True, False, ["jammed"])
    assert (home["faults"], home["camera_fault"], home["is_watched"]) == (["hub_gone"], "off", False)
    moving = [car["id"] for car in first["cars"] if car["is_moving"]]
    assert all(by_id(first["cars"], one) != by_id(later["cars"], one) for one in moving)
    assert by_id(later["couriers"], "Bo")["is_there"], "the courier has come to the car"
    assert not by_id(later["couriers"], "Kim")["is_sent"]


async def test_a_car_parks_on_its_round_and_goes_on_from_there(driver: Driver, vin: str) -> None:
    await driver.town.drive(vin)
    await driver.clock.sleep(20)
    assert await driver.town.park(vin) is Outcome.DONE
    parked = by_id((await look(driver))["cars"], vin)
    assert (parked["east"], parked["north"]) != tuple(OWN_CAR.round[0])
    await driver.clock.sleep(10)
    assert by_id((await look(driver))["cars"], vin) == parked
    await driver.town.drive(vin)
    await driver.clock.sleep(1)
    on = by_id((await look(driver))["cars"], vin)
    assert abs(on["east"] - parked["east"]) + abs(on["north"] - parked["north"]) < 60
    await driver.town.move(vin, 33.0, -84.0)
    assert (await driver.town.state(vin)).latitude == 33.0


async def test_a_courier_is_sent_and_goes_on(driver: Driver, vin: str) -> None:
    for errand, is_sent in (("to-home", True), ("on", False), ("to-car", True)):
        assert (await driver.http.post(f"/stage/couriers/Kim/{errand}")).status_code == 204
        assert by_id((await look(driver))["couriers"], "Kim")["is_sent"] is is_sent
    for path in ("couriers/Kim/away", "couriers/Nobody/on", "parcels/moon"):
        assert (await driver.http.post(f"/stage/{path}")).status_code == 404


async def test_a_parcel_goes_only_where_it_can(driver: Driver, vin: str) -> None:
    assert (await driver.http.post("/stage/parcels/home")).status_code == 409
    await driver.town.admit_place(Target.HOME, "acp-home")
    assert (await look(driver))["targets"] == ["car", "home"]
    with pytest.raises(NotFound):
        await driver.town._ask("POST", "stage/nothing", type(None))


async def test_without_a_scene_nothing_is_shown(driver: Driver, vin: str) -> None:
    await driver.town.reset()
    for path in ("/stage", "/stage/map", "/stage/enter/consignee"):
        assert (await driver.http.get(path)).status_code == 404
    with pytest.raises(NotFound):
        await driver.town.set_stage(scene(vin))


# ---- what it says -------------------------------------------------------------------------------------------------


def test_every_fault_can_be_pulled_by_hand() -> None:
    assert set(CAR_FAULTS) == set(FaultKind) - OF_HOMES
    assert set(HOME_FAULTS) == set(FaultKind) - NOT_OF_HOMES
    assert set(CAMERA_FAULTS) == set(CameraFaultKind)


async def test_the_page_is_whole_in_both_languages(driver: Driver, vin: str) -> None:
    for language, title in (("en", "A small town"), ("fr", "Une petite ville")):
        page = await driver.http.get(f"/stage?lang={language}")
        assert title in page.text
        assert "$" not in page.text
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert (await driver.http.get(f"/stage/words?lang={language}")).json() == WORDS[language]
    assert all(name in WORDS["fr"] and text for name, text in WORDS["en"].items())


def by_id(marks: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(mark for mark in marks if mark["id"] == name)
