"""Nobody outside the household sees a recording but by a pass: given for a time, ended at will, or by broken glass."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.web.conftest import Caller, Tenant, make_tenant
from tests.web.people import add_member, deliver, fetch
from tests.web.recorded import Recorded, open_recorded

from unlatch.flow.enrolment import admit_operator
from unlatch.flow.passes import BREAKS_A_DAY_MOST, may_carrier_watch, may_staff_watch
from unlatch.flow.platform import Platform

REASON = "The neighbour reports an open door and a child inside."


@pytest.fixture
async def recorded(platform: Platform, tmp_path: Path) -> AsyncIterator[Recorded]:
    async with open_recorded(platform, tmp_path) as recorded:
        yield recorded


@pytest.fixture
async def visit_id(recorded: Recorded, tenant: Tenant) -> str:
    return await recorded.deliver(tenant)


async def may(platform: Platform, operator: Caller, visit_id: str, *, in_s: float = 0) -> bool:
    now = platform.clock.now() + timedelta(seconds=in_s)
    async with platform.database.connection() as connection:
        return await may_staff_watch(connection, operator.id, visit_id, now)


async def may_carrier(platform: Platform, carrier: Caller, visit_id: str) -> bool:
    async with platform.database.connection() as connection:
        return await may_carrier_watch(connection, carrier.id, visit_id, platform.clock.now())


async def give(asker: Caller, visit_id: str, **body: Any) -> dict[str, Any]:
    return await asker.make(f"/v1/me/visits/{visit_id}/clip_passes", {"reader": "operator", **body})


async def shown(asker: Caller, visit_id: str) -> list[dict[str, Any]]:
    answer = await asker.get(f"/v1/visits/{visit_id}/clip_passes")
    assert answer.status_code == 200, answer.text
    passes: list[dict[str, Any]] = answer.json()["passes"]
    return passes


async def second_operator(platform: Platform, http: Any) -> Caller:
    admitted = await admit_operator(platform, "Otto")
    return Caller(http=http, key=admitted.key, id=admitted.id)


# ---- consent


async def test_without_a_pass_nobody_on_staff_may_watch(
    platform: Platform, tenant: Tenant, operator: Caller, visit_id: str
) -> None:
    assert not await may(platform, operator, visit_id)
    assert not await may_carrier(platform, tenant.carrier, visit_id)
    assert await shown(tenant.consignee, visit_id) == []


async def test_the_owner_lets_the_staff_see_for_a_time_and_ends_it_at_any_moment(
    platform: Platform, tenant: Tenant, operator: Caller, visit_id: str
) -> None:
    given = await give(tenant.consignee, visit_id, hours=2, reason="please look")
    assert (given["how"], given["given_by"], given["is_live"]) == ("consent", "consignee", True)
    assert await may(platform, operator, visit_id)
    assert await may(platform, operator, visit_id, in_s=7190)
    assert not await may(platform, operator, visit_id, in_s=7210)
    assert not await may_carrier(platform, tenant.carrier, visit_id), "the staff is not the carrier"
    ended = await tenant.consignee.make(f"/v1/me/clip_passes/{given['id']}/end")
    assert (ended["is_live"], ended["ended_at"] is not None) == (False, True)
    assert not await may(platform, operator, visit_id)
    again = await tenant.consignee.make(f"/v1/me/clip_passes/{given['id']}/end")
    assert again["ended_at"] == ended["ended_at"]
    lines = await fetch(
        platform, "SELECT name, who FROM journal WHERE name LIKE 'clip_pass%%' ORDER BY number"
    )
    who = f"consignee:{tenant.consignee.id}"
    assert lines == [("clip_pass_given", who), ("clip_pass_ended", who)]
    deeds = [one["what"] for one in (await tenant.consignee.get("/v1/me/timeline")).json()["deeds"]]
    assert deeds.count("pass_given") == deeds.count("pass_ended") == 1


async def test_a_carrier_sees_by_consent_alone_and_only_its_own_visit(
    platform: Platform, http: Any, tenant: Tenant, operator: Caller, visit_id: str
) -> None:
    other = await make_tenant(platform, http, "Other Post")
    await give(tenant.consignee, visit_id, reader="carrier", hours=1)
    assert await may_carrier(platform, tenant.carrier, visit_id)
    assert not await may_carrier(platform, other.carrier, visit_id)
    assert not await may(platform, operator, visit_id)
    assert len(await shown(tenant.carrier, visit_id)) == 1
    assert (await other.carrier.get(f"/v1/visits/{visit_id}/clip_passes")).status_code == 404


async def test_a_later_pass_for_the_same_reader_replaces_the_earlier_one(
    platform: Platform, tenant: Tenant, operator: Caller, visit_id: str
) -> None:
    long = await give(tenant.consignee, visit_id, hours=300)
    carrier = await give(tenant.consignee, visit_id, reader="carrier")
    short = await give(tenant.consignee, visit_id, hours=1)
    live = [one["id"] for one in await shown(operator, visit_id) if one["is_live"]]
    assert set(live) == {carrier["id"], short["id"]}
    assert long["id"] not in live
    assert not await may(platform, operator, visit_id, in_s=3700)


async def test_a_pass_is_of_one_visit_and_given_by_the_owner_alone(
    platform: Platform, recorded: Recorded, tenant: Tenant, operator: Caller, visit_id: str
) -> None:
    given = await give(tenant.consignee, visit_id)
    other = await recorded.deliver(tenant)
    assert not await may(platform, operator, other)
    member = await add_member(tenant)
    path = f"/v1/me/visits/{visit_id}/clip_passes"
    assert (await member.post(path, {"reader": "operator"})).status_code == 403
    assert (await member.post(f"/v1/me/clip_passes/{given['id']}/end")).status_code == 403
    assert len(await shown(member, visit_id)) == 1
    for wrong in (
        {"reader": "courier"},
        {"reader": "operator", "hours": 337},
        {"reader": "operator", "hours": 0},
    ):
        assert (await tenant.consignee.post(path, wrong)).status_code == 400
    stranger = await tenant.carrier.make("/v1/consignees", {"name": "Zoe", "language": "en"})
    asker = Caller(http=tenant.carrier.http, key=stranger["key"], id=stranger["id"])
    assert (await asker.post(path, {"reader": "operator"})).status_code == 404
    assert (await asker.post(f"/v1/me/clip_passes/{given['id']}/end")).status_code == 404
    assert (await tenant.consignee.post("/v1/me/clip_passes/pas_none/end")).status_code == 404
    assert (await tenant.courier.get(f"/v1/visits/{visit_id}/clip_passes")).status_code == 403


async def test_what_was_never_recorded_or_is_erased_needs_no_pass(
    recorded: Recorded, tenant: Tenant, operator: Caller, visit_id: str
) -> None:
    bare = await deliver(recorded.platform, tenant)
    answer = await tenant.consignee.post(f"/v1/me/visits/{bare}/clip_passes", {"reader": "operator"})
    assert (answer.status_code, answer.json()["detail"]) == (409, "nothing was recorded of this visit")
    await tenant.consignee.make(f"/v1/me/visits/{visit_id}/clips/erase")
    for asker, path, body in (
        (tenant.consignee, f"/v1/me/visits/{visit_id}/clip_passes", {"reader": "operator"}),
        (operator, f"/v1/operator/visits/{visit_id}/break_glass", {"reason": REASON}),
    ):
        answer = await asker.post(path, body)
        assert (answer.status_code, answer.json()["detail"]) == (
            409,
            "what was recorded of this visit is erased",
        )


# ---- broken glass


async def break_glass(operator: Caller, visit_id: str, reason: str = REASON) -> Any:
    return await operator.post(f"/v1/operator/visits/{visit_id}/break_glass", {"reason": reason})


async def test_broken_glass_lets_one_operator_in_for_half_an_hour(
    platform: Platform, http: Any, tenant: Tenant, operator: Caller, visit_id: str
) -> None:
    other = await second_operator(platform, http)
    answer = await break_glass(operator, visit_id)
    assert answer.status_code == 201
    taken = answer.json()
    assert (taken["how"], taken["given_by"], taken["operator_id"]) == ("break_glass", "operator", operator.id)
    assert await may(platform, operator, visit_id)
    assert await may(platform, operator, visit_id, in_s=1790)
    assert not await may(platform, operator, visit_id, in_s=1810)
    assert not await may(platform, other, visit_id), "it is theirs alone"
    assert not await may_carrier(platform, tenant.carrier, visit_id)
    (seen,) = await shown(tenant.consignee, visit_id)
    assert seen["reason"] == REASON
    assert await shown(tenant.carrier, visit_id) == []
    await tenant.consignee.make(f"/v1/me/clip_passes/{taken['id']}/end")
    assert not await may(platform, operator, visit_id), "the owner ends that too"


async def test_the_household_is_told_at_once_and_the_journal_keeps_it(
    platform: Platform, tenant: Tenant, operator: Caller, visit_id: str
) -> None:
    member = await add_member(tenant)
    await break_glass(operator, visit_id)
    told = await fetch(
        platform,
        "SELECT reader_id, facts->>'who' FROM notice WHERE event = 'clip_glass_broken' ORDER BY 1",
    )
    assert told == [(one, "Olga") for one in sorted((tenant.consignee.id, member.id))]
    (line,) = await fetch(
        platform,
        "SELECT who, journal.body::text, journal_private.body FROM journal JOIN journal_private "
        "USING (visit_id, number) WHERE name = 'clip_glass_broken'",
    )
    assert line[0] == f"operator:{operator.id}"
    assert REASON not in line[1]
    assert line[2] == {"reason": REASON}
    deeds = (await member.get("/v1/me/timeline")).json()["deeds"]
    assert [(one["what"], one["who"]["text"]) for one in deeds if "glass" in one["what"]] == [
        ("glass_broken", "the operator")
    ]


async def test_a_reason_that_is_none_breaks_nothing(
    platform: Platform, tenant: Tenant, operator: Caller, visit_id: str
) -> None:
    for reason in (
        "",
        "x" * 19,
        "a" + " " * 30 + "b",
        "\n" * 25,
        "y" * 501,
        "a reason with a \u0000 in it, surely",
    ):
        assert (await break_glass(operator, visit_id, reason)).status_code == 400, reason
    for asker in (tenant.carrier, tenant.consignee, tenant.courier):
        assert (await break_glass(asker, visit_id)).status_code == 403
    assert (await break_glass(operator, "vis_none")).status_code == 404
    assert await fetch(platform, "SELECT 1 FROM clip_pass") == []
    assert await fetch(platform, "SELECT 1 FROM notice WHERE event = 'clip_glass_broken'") == []


async def test_it_is_broken_once_at_a_time_and_not_too_often(
    platform: Platform, recorded: Recorded, http: Any, tenant: Tenant, operator: Caller, visit_id: str
) -> None:
    answers = await asyncio.gather(*(break_glass(operator, visit_id) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert len(await fetch(platform, "SELECT 1 FROM clip_pass")) == 1
    await fetch(
        platform,
        "INSERT INTO clip_pass (id, visit_id, operator_id, how, who, reason, at, until) "
        "SELECT 'pas_' || n, %s, %s, 'break_glass', 'x', 'x', now(), now() FROM generate_series(2, %s) n RETURNING 1",
        visit_id,
        operator.id,
        BREAKS_A_DAY_MOST,
    )
    await fetch(platform, "UPDATE clip_pass SET until = now() RETURNING 1")
    answer = await break_glass(operator, visit_id)
    assert (answer.status_code, "a day are enough" in answer.json()["detail"]) == (409, True)
    await fetch(platform, "DELETE FROM clip_pass WHERE id = 'pas_2' RETURNING 1")
    visits = [visit_id, await recorded.deliver(tenant), await recorded.deliver(tenant)]
    answers = await asyncio.gather(*(break_glass(operator, one) for one in visits))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409], "at other visits too"
    assert (await break_glass(await second_operator(platform, http), visit_id)).status_code == 201


async def test_who_has_a_pass_is_shown_the_clip_and_who_has_none_is_not(
    platform: Platform, http: Any, tenant: Tenant, visit_id: str
) -> None:
    operator = await second_operator(platform, http)
    path = f"/v1/visits/{visit_id}/clips"
    assert (await operator.get(path)).status_code == 403
    assert (await tenant.carrier.get(path)).status_code == 403
    await give(tenant.consignee, visit_id)
    assert (await operator.get(path)).status_code == 200
    assert (await tenant.carrier.get(path)).status_code == 403  # the pass is for the staff
    await give(tenant.consignee, visit_id, reader="carrier")
    assert (await tenant.carrier.get(path)).status_code == 200
