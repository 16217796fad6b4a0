"""A household enrols its camera: over the API, with a worker, a recorder process, a hub and a camera that are real."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.web.conftest import Tenant
from tests.web.enrolling import MARK, Hall, Street, add_hall, at_work, open_street, step_of, wait_for
from tests.web.homes import add_home_stop, read_door
from tests.web.people import fetch

from unlatch.flow.platform import Platform
from unlatch.store import cameras
from unlatch.store.database import Database

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
async def street(database: Database, tmp_path: Path) -> AsyncIterator[Street]:
    async with open_street(database, tmp_path) as street:
        yield street


@pytest.fixture
async def platform(street: Street) -> Platform:
    return street.platform


@asynccontextmanager
async def pictured(hall: Hall) -> AsyncIterator[dict[str, Any]]:
    """An enrolment whose picture is there."""
    async with at_work(hall.street.platform):
        begun = await hall.begin()
        assert step_of(begun, "picture")["state"] == "under_way"
        assert (await hall.until_ended("picture"))["state"] == "passed"
        yield await hall.read()


async def test_a_camera_becomes_a_witness_by_clock_light_and_door(
    street: Street, tenant: Tenant, platform: Platform
) -> None:
    hall = await add_hall(street, tenant)
    assert (await tenant.consignee.get(hall.path)).status_code == 404
    async with pictured(hall) as begun:
        assert (begun["end"], begun["is_witness"], begun["methods"]) == (None, False, [])
        assert begun["picture"] == {"width": 320, "height": 180}
        assert (begun["next"]["step"], begun["next"]["is_yours"]) == ("light", True)
        picture = await tenant.consignee.get(f"{hall.path}/picture")
        assert picture.headers["content-type"] == "image/jpeg"
        assert picture.headers["cache-control"] == "no-store"
        assert Image.open(io.BytesIO(picture.content)).size == (320, 180)
        looks = await fetch(platform, "SELECT who, what FROM look")
        assert looks == [(f"consignee:{tenant.consignee.id}", "camera_picture")], "each look is a row"
        await tenant.consignee.make(f"{hall.path}/light")
        light = await hall.until_ended("light")
        assert light["state"] == "passed", light
        assert light["shown"]["likeness"] >= 0.8
        marked = await tenant.consignee.make(f"{hall.path}/clock", {"mark": MARK})
        assert marked["next"] == {
            "step": "clock", "phase": None, "is_yours": False,
            "text": "We learn to read the time. Leave the camera as it is for half a minute.",
        }  # fmt: skip
        again = await tenant.consignee.post(f"{hall.path}/door")
        assert again.status_code == 409, "one step at a time"
        clock = await hall.until_ended("clock")
        assert clock["state"] == "passed", clock
        shown = await hall.read()
        assert (shown["next"]["step"], shown["is_witness"]) == ("door", False)
        door = await hall.open_and_close()
        assert door["state"] == "passed", door
        assert door["shown"]["told_by"] == "contact"
    shown = await hall.read()
    assert (shown["end"], shown["is_witness"], shown["next"]) == ("enrolled", True, None)
    assert shown["methods"] == ["light", "clock"]
    check_by = datetime.fromisoformat(shown["check_by"])
    assert abs(check_by - datetime.now(UTC) - timedelta(days=31)) < timedelta(minutes=5)
    async with platform.database.connection() as connection:
        row = await cameras.find_camera(connection, hall.camera_id)
    assert row is not None
    assert row.clock is not None
    assert row.is_witness(platform.clock.now())
    (deed,) = await fetch(platform, "SELECT what, body FROM deed WHERE what LIKE 'camera_enrolled'")
    assert deed[1] == {"camera": "Hall", "methods": ["light", "clock"]}
    ((kept,),) = await fetch(platform, "SELECT picture FROM enrolment")
    assert kept is None, "the picture of the home is gone with the end"
    assert (await tenant.consignee.get(f"{hall.path}/picture")).status_code == 404


async def test_a_camera_that_sees_another_door_is_no_witness(street: Street, tenant: Tenant) -> None:
    hall = await add_hall(street, tenant, sees_door=False, has_lamp=False, is_moving=True)
    async with pictured(hall) as begun:
        assert step_of(begun, "light")["state"] == "not_there"
        assert (await tenant.consignee.post(f"{hall.path}/light")).status_code == 409
        outside = {"left": 300, "top": 100, "width": 96, "height": 16}
        assert (await tenant.consignee.post(f"{hall.path}/clock", {"mark": outside})).status_code == 400
        told = await tenant.consignee.make(f"{hall.path}/clock", {"mark": None})
        assert step_of(told, "clock")["state"] == "not_there"
        door = await hall.open_and_close()
        assert (door["state"], door["code"]) == ("failed", "door_not_seen")
        assert "Turn the camera" in door["text"]
        french = await tenant.consignee.get(hall.path, headers={"Accept-Language": "fr"})
        assert "Tournez la caméra" in step_of(french.json(), "door")["text"]
        shown = await hall.read()
        assert (shown["end"], shown["is_witness"]) == (None, False)


async def test_a_door_without_a_contact_sensor_is_told_by_its_bolt(street: Street, tenant: Tenant) -> None:
    hall = await add_hall(street, tenant, has_contact=False)
    async with pictured(hall):
        door = await hall.open_and_close()
        assert door["state"] == "passed", door
        assert door["shown"]["told_by"] == "bolt"


@pytest.mark.parametrize(
    ("fault", "code"),
    [("password", "camera_not_let_in"), ("off", "camera_not_found"), ("freeze", "picture_not_live")],
)
async def test_a_camera_that_is_not_reached_says_what_to_do(
    street: Street, tenant: Tenant, fault: str, code: str
) -> None:
    hall = await add_hall(street, tenant, password="wrong" if fault == "password" else None)
    if fault != "password":
        await street.town.break_camera(f"{hall.home_id}-hall", fault)
    async with at_work(street.platform):
        await hall.begin()
        picture = await hall.until_ended("picture")
        assert (picture["state"], picture["code"]) == ("failed", code)
        shown = await hall.read()
        assert (shown["next"]["step"], shown["next"]["is_yours"]) == ("picture", True)
        refused = await tenant.consignee.post(f"{hall.path}/door")
        assert refused.status_code == 409
        if fault != "password":
            await street.town.mend_camera(f"{hall.home_id}-hall")
            again = await hall.begin()
            assert again["id"] == shown["id"], "the same enrolment goes on"
            assert (await hall.until_ended("picture"))["state"] == "passed"


# ---- before a door ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("methods", [["light"], ["clock"]])
async def test_a_still_hall_is_opened_by_light_where_enrolment_has_shown_it(
    street: Street, tenant: Tenant, platform: Platform, methods: list[str]
) -> None:
    """The picture shows no clock and nothing moves: the lamp proves it, but for a camera that was enrolled so alone."""
    hall = await add_hall(street, tenant, has_clock=False, rings_first=False)
    now = platform.clock.now()
    async with platform.database.connection() as connection:
        await cameras.set_enrolment(
            connection, hall.camera_id, methods=methods, sees_door=True, clock=None, enrolled_at=now,
            check_by=now + timedelta(days=1),
        )  # fmt: skip
        await cameras.want(connection, hall.place_id, datetime.now(UTC) + timedelta(minutes=5))
    async with at_work(platform):
        await wait_for(lambda: says_armed(platform, hall))
        stop = await add_home_stop(platform, tenant, hall.place_id)
        await read_door(platform, hall.place_id)
        made = await stop.scan(platform)
        name = "recording_proven" if methods == ["light"] else "recording_not_proven"
        await wait_for(lambda: is_told(platform, made["id"], name))
        ((body,),) = await fetch(
            platform, "SELECT body FROM journal WHERE visit_id = %s AND name = %s", made["id"], name
        )
        if methods == ["light"]:
            assert body["method"] == "light"
            await wait_for(lambda: is_unlocked(hall))
        else:
            assert set(body["cameras"].values()) <= {"too_still_to_tell"}
            assert (await street.town.home(hall.home_id)).is_secured


async def says_armed(platform: Platform, hall: Hall) -> bool:
    rows = await fetch(platform, "SELECT state, verdict FROM camera WHERE id = %s", hall.camera_id)
    return rows == [("armed", "too_still_to_tell")]


async def is_told(platform: Platform, visit_id: str, name: str) -> bool:
    return bool(
        await fetch(platform, "SELECT 1 FROM journal WHERE visit_id = %s AND name = %s", visit_id, name)
    )


async def is_unlocked(hall: Hall) -> bool:
    return not (await hall.street.town.home(hall.home_id)).is_thrown
