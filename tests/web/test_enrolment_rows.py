"""Enrolment as rows: whose it is, when it ends, how often it may be begun, and when its check is due."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.web.conftest import Caller, Tenant
from tests.web.homes import add_home, add_home_stop, enrol_quickly
from tests.web.people import add_consignee, add_member, fetch

from unlatch.cameras.glances import Method
from unlatch.domain.camera_enrolment import MOST_A_DAY
from unlatch.flow import challenging, enrolling
from unlatch.flow.platform import Platform


async def add_camera(tenant: Tenant) -> str:
    """A camera that nobody can reach; its id."""
    home = await add_home(tenant)
    listed = await tenant.consignee.get(f"/v1/me/access_points/{home['id']}/cameras")
    camera_id: str = listed.json()["cameras"][0]["id"]
    return camera_id


def path_of(camera_id: str) -> str:
    return f"/v1/me/cameras/{camera_id}/enrolment"


async def test_it_is_for_the_household_alone(tenant: Tenant, platform: Platform) -> None:
    camera_id = await add_camera(tenant)
    path = path_of(camera_id)
    made = await tenant.consignee.make(path)
    stranger = await add_consignee(tenant.carrier, "A Stranger")
    for caller in (stranger, tenant.consignee):
        known = 404 if caller is stranger else 409
        assert (await caller.post(f"{path}/door")).status_code == known
        assert (await caller.post(f"{path}/light")).status_code == known
        assert (await caller.post(f"{path}/clock", {"mark": None})).status_code == known
        assert (await caller.get(f"{path}/picture")).status_code == 404
    assert (await stranger.post(path)).status_code == 404
    assert (await stranger.get(path)).status_code == 404
    for caller in (tenant.carrier, tenant.courier):
        assert (await caller.get(path)).status_code in (401, 403)
    assert (await tenant.consignee.post(path_of("cam_none"))).status_code == 404
    assert (await tenant.consignee.make(path))["id"] == made["id"], "what is under way goes on"
    member = await join_home(tenant, platform, camera_id)
    assert (await member.get(path)).json()["id"] == made["id"]


async def join_home(tenant: Tenant, platform: Platform, camera_id: str) -> Caller:
    member = await add_member(tenant)
    ((place_id,),) = await fetch(platform, "SELECT access_point_id FROM camera WHERE id = %s", camera_id)
    await fetch(
        platform,
        "INSERT INTO member (access_point_id, consignee_id, joined_at) VALUES (%s, %s, now()) RETURNING 1",
        place_id,
        member.id,
    )
    return member


async def test_after_ten_minutes_it_is_begun_anew(tenant: Tenant, platform: Platform) -> None:
    camera_id = await add_camera(tenant)
    path = path_of(camera_id)
    made = await tenant.consignee.make(path)
    until = datetime.fromisoformat(made["until"])
    assert timedelta(minutes=9) < until - datetime.now(UTC) <= timedelta(minutes=10)
    await fetch(
        platform,
        "UPDATE enrolment SET until_real = now() - interval '1 second', picture = '\\x00' RETURNING 1",
    )
    shown = (await tenant.consignee.get(path)).json()
    assert (shown["end"], shown["next"], shown["text"]) == (
        "expired",
        None,
        "The time for this was over: begin again.",
    )
    assert (await tenant.consignee.post(f"{path}/door")).status_code == 409
    assert await enrolling.tell_checks(platform) == 1
    assert await fetch(platform, "SELECT outcome, picture FROM enrolment") == [("expired", None)]
    again = await tenant.consignee.make(path)
    assert again["id"] != made["id"]
    await fetch(platform, "UPDATE enrolment SET ended_at = ended_at - interval '31 days' RETURNING 1")
    assert await enrolling.tell_checks(platform) == 1
    assert await fetch(platform, "SELECT id FROM enrolment") == [(again["id"],)]


async def test_what_is_asked_for_is_limited(tenant: Tenant, platform: Platform) -> None:
    camera_id = await add_camera(tenant)
    path = path_of(camera_id)
    await tenant.consignee.make(path)
    for number in range(MOST_A_DAY):
        await fetch(
            platform,
            "INSERT INTO enrolment (id, camera_id, access_point_id, begun_by, begun_at, until_real, ended_at, outcome) "
            "SELECT %s, camera_id, access_point_id, begun_by, begun_at, until_real, begun_at, 'expired' "
            "FROM enrolment LIMIT 1 RETURNING 1",
            f"enr_{number}",
        )
    await fetch(platform, "UPDATE enrolment SET until_real = now(), begun_at = now() RETURNING 1")
    refused = await tenant.consignee.post(path)
    assert refused.status_code == 409
    assert "too often" in refused.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"mark": {"left": -1, "top": 0, "width": 90, "height": 10}},
        {"mark": {"left": 0, "top": 0, "width": 0, "height": 10}},
        {"mark": {"left": 0, "top": 0, "width": 90}},
        {"mark": None, "more": 1},
    ],
)
async def test_a_mark_that_is_none_is_refused(tenant: Tenant, body: dict[str, Any]) -> None:
    path = path_of(await add_camera(tenant))
    await tenant.consignee.make(path)
    assert (await tenant.consignee.post(f"{path}/clock", body)).status_code == 400


async def test_no_camera_is_enrolled_while_a_visit_lives(tenant: Tenant, platform: Platform) -> None:
    camera_id = await add_camera(tenant)
    ((place_id,),) = await fetch(platform, "SELECT access_point_id FROM camera")
    await enrol_quickly(platform, camera_id)
    stop = await add_home_stop(platform, tenant, place_id)
    await stop.scan(platform)
    refused = await tenant.consignee.post(path_of(camera_id))
    assert refused.status_code == 409
    assert "visit" in refused.json()["detail"]


async def test_a_check_is_told_a_week_ahead_and_at_its_end_each_once(
    tenant: Tenant, platform: Platform
) -> None:
    camera_id = await add_camera(tenant)
    await enrol_quickly(platform, camera_id)

    async def told() -> list[tuple[str, str]]:
        assert await enrolling.tell_checks(platform) in (0, 1)
        rows = await fetch(
            platform,
            "SELECT event, facts->>'camera' FROM notice WHERE event LIKE 'camera_%%' ORDER BY created_at",
        )
        return [(row[0], row[1]) for row in rows]

    async def check_in(span: str) -> None:
        await fetch(platform, f"UPDATE camera SET check_by = now() + interval '{span}' RETURNING 1")

    assert await told() == []
    await check_in("8 days")
    assert await told() == []
    await check_in("6 days")
    assert await told() == await told() == [("camera_check_due", "Hall")]
    await check_in("-1 second")
    due_and_over = [("camera_check_due", "Hall"), ("camera_check_over", "Hall")]
    assert await told() == await told() == due_and_over
    await enrol_quickly(platform, camera_id)
    assert await told() == due_and_over
    await check_in("1 day")
    assert await told() == [*due_and_over, ("camera_check_due", "Hall")], "and a month later again"


async def test_motion_counts_by_day_alone(tenant: Tenant, platform: Platform) -> None:
    await add_camera(tenant)
    ((place_id,),) = await fetch(platform, "SELECT access_point_id FROM camera")
    now = datetime.now(UTC)
    noon = 15 * (12 - (now.hour + now.minute / 60))  # the longitude at which it is noon
    for longitude, is_day in ((noon, True), ((noon + 360) % 360 - 180, False)):
        await fetch(
            platform, "UPDATE access_point SET latitude = 0, longitude = %s WHERE id = %s RETURNING 1",
            (longitude + 180) % 360 - 180, place_id,
        )  # fmt: skip
        counting = await challenging.list_counting(platform, place_id)
        assert (Method.MOTION in counting) is is_day
        assert {Method.CLOCK, Method.LIGHT} <= counting


async def test_two_at_once_begin_one_enrolment(tenant: Tenant, platform: Platform) -> None:
    path = path_of(await add_camera(tenant))
    answers = await asyncio.gather(*(tenant.consignee.post(path) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(await fetch(platform, "SELECT 1 FROM enrolment")) == 1
