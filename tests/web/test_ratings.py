"""Ratings: once a person and visit, changeable for a week, and a courier finds nobody out."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.web.conftest import Caller, Tenant, make_tenant
from tests.web.people import add_consignee, add_member, deliver, fetch, move_visit
from tests.web.test_visits import save_reading, scan

from unlatch.flow.platform import Platform


def path(visit_id: str) -> str:
    return f"/v1/me/visits/{visit_id}/rating"


async def test_each_person_rates_once_and_may_change_it_and_the_carrier_reads_no_names(
    platform: Platform, tenant: Tenant, operator: Caller
) -> None:
    ben = await add_member(tenant)
    visit_id = await deliver(platform, tenant)
    await tenant.consignee.make(path(visit_id), {"stars": 2, "words": "late"})
    changed = await tenant.consignee.make(path(visit_id), {"stars": 3})
    assert (changed["stars"], changed["words"]) == (3, "")
    await ben.make(path(visit_id), {"stars": 5, "words": "très bien"})
    for reader in (tenant.carrier, operator):
        answer = await reader.get(f"/v1/visits/{visit_id}/ratings")
        assert [(one["stars"], one["words"]) for one in answer.json()["ratings"]] == [
            (3, ""),
            (5, "très bien"),
        ]
        assert all(set(one) == {"stars", "words", "at"} for one in answer.json()["ratings"])
        assert ben.id not in answer.text
    deeds = (await tenant.consignee.get("/v1/me/timeline")).json()["deeds"]
    rated = [(one["who"]["text"], one["stop_id"]) for one in deeds if one["what"] == "rated"]
    assert rated == [("Ben", None), ("you", None)], "one deed each, and none that the carrier reads"


async def test_a_week_after_it_was_given_a_rating_stays(platform: Platform, tenant: Tenant) -> None:
    visit_id = await deliver(platform, tenant)
    await tenant.consignee.make(path(visit_id), {"stars": 2})
    query = "UPDATE rating SET created_at = created_at - make_interval(secs => %s) RETURNING 1"
    await fetch(platform, query, 7 * 86_400 - 600)
    await tenant.consignee.make(path(visit_id), {"stars": 4})
    await fetch(platform, query, 601)
    assert (await tenant.consignee.post(path(visit_id), {"stars": 1})).status_code == 409
    assert (await fetch(platform, "SELECT stars FROM rating")) == [(4,)]


async def test_a_visit_is_rated_within_thirty_days_of_its_end_and_not_before_it(
    platform: Platform, tenant: Tenant
) -> None:
    await save_reading(platform, tenant.access_point_id)
    live = (await scan(tenant))["id"]
    assert (await tenant.consignee.post(path(live), {"stars": 5})).status_code == 409
    await tenant.consignee.make(f"/v1/me/access_points/{tenant.access_point_id}/block")
    await move_visit(platform, live, 29.99)
    assert (await tenant.consignee.post(path(live), {"stars": 5})).status_code == 200, "a refused one as well"
    await fetch(platform, "DELETE FROM rating RETURNING 1")
    await move_visit(platform, live, 0.02)
    assert (await tenant.consignee.post(path(live), {"stars": 5})).status_code == 409


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"stars": 0}, "stars"),
        ({"stars": 6}, "stars"),
        ({"stars": "5"}, "stars"),
        ({}, "stars"),
        ({"stars": 5, "words": "x" * 501}, "words"),
        ({"stars": 5, "words": "a\x00b"}, "words"),
        ({"stars": 5, "courier_id": "cou_1"}, "courier_id"),
    ],
)
async def test_bad_input_is_refused_by_its_field(
    platform: Platform, tenant: Tenant, body: dict[str, Any], field: str
) -> None:
    answer = await tenant.consignee.post(path("vis_1"), body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)


async def test_the_sums_of_a_courier_are_told_once_there_are_enough_of_enough_people(
    platform: Platform, tenant: Tenant
) -> None:
    visit_id = await deliver(platform, tenant)
    people = [tenant.consignee, *[await add_consignee(tenant.carrier, f"P {number}") for number in range(5)]]

    async def sums() -> list[dict[str, Any]]:
        of_carrier = await tenant.carrier.get(f"/v1/couriers/{tenant.courier.id}/ratings")
        own = await tenant.courier.get("/v1/courier/ratings")
        assert of_carrier.json() == own.json()
        return [own.json()]

    nothing = {
        "courier_id": tenant.courier.id,
        "is_enough": False,
        "count": None,
        "mean": None,
        "histogram": None,
    }
    async with platform.database.connection() as connection:
        await connection.execute("ALTER TABLE rating DROP CONSTRAINT rating_pkey")
    for person, stars in ((0, 5), (1, 4), (1, 4), (1, 1)):
        await add_rating(platform, visit_id, people[person].id, tenant.courier.id, stars)
    assert await sums() == [nothing], "four"
    await add_rating(platform, visit_id, people[1].id, tenant.courier.id, 5)
    assert await sums() == [nothing], "five, of two people"
    await add_rating(platform, visit_id, people[2].id, tenant.courier.id, 5, days_ago=90.1)
    assert await sums() == [nothing], "the third is too long ago"
    await add_rating(platform, visit_id, people[2].id, tenant.courier.id, 2, days_ago=89.9)
    [enough] = await sums()
    assert (enough["count"], enough["mean"], enough["histogram"]) == (6, 3.5, [1, 1, 0, 2, 2])


async def add_rating(
    platform: Platform, visit_id: str, person_id: str, courier_id: str, stars: int, days_ago: float = 0
) -> None:
    await fetch(
        platform,
        "INSERT INTO rating SELECT %s, %s, %s, %s, '', now() - make_interval(secs => %s), now() RETURNING 1",
        visit_id,
        person_id,
        courier_id,
        stars,
        days_ago * 86_400,
    )


async def test_nobody_else_rates_or_reads(
    platform: Platform, tenant: Tenant, http: httpx.AsyncClient
) -> None:
    other = await make_tenant(platform, http, "Other Post")
    visit_id = await deliver(platform, tenant)
    assert (await other.consignee.post(path(visit_id), {"stars": 1})).status_code == 404
    assert (await tenant.consignee.post(path("vis_none"), {"stars": 1})).status_code == 404
    assert (await other.carrier.get(f"/v1/visits/{visit_id}/ratings")).status_code == 404
    assert (await other.carrier.get(f"/v1/couriers/{tenant.courier.id}/ratings")).status_code == 404
    for reader in (tenant.courier, tenant.consignee):
        assert (await reader.get(f"/v1/visits/{visit_id}/ratings")).status_code == 403
    assert (await tenant.carrier.post(path(visit_id), {"stars": 1})).status_code == 403
