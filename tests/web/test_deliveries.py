"""A household's coming deliveries and the check of its car; the courier who sets out. Over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from tests.web.conftest import PLATE, Caller, Tenant, enrol, make_tenant, new_access_point
from tests.web.test_visits import NEAR, save_reading

from unlatch.domain.access import Position
from unlatch.flow.due import do_due
from unlatch.flow.duties import plan_duties
from unlatch.flow.platform import Platform
from unlatch.flow.preflight import carry_out_preflight
from unlatch.store import consignees, stops

FAR = Position(latitude=47.63, longitude=-122.3493, accuracy_m=5)


async def run_due(platform: Platform) -> None:
    """What a worker would do."""
    await do_due(platform, 100)
    async with platform.database.connection() as connection:
        cursor = await connection.execute(
            "DELETE FROM pgqueuer WHERE entrypoint = 'preflight' RETURNING payload"
        )
        for (payload,) in await cursor.fetchall():
            await carry_out_preflight(platform, bytes(payload).decode())


async def begin_soon(platform: Platform, tenant: Tenant) -> None:
    """As if the stop had been booked yesterday for a window that begins in 20 minutes."""
    now = platform.clock.now()
    rules = await platform.rules.get()
    async with platform.database.transaction() as connection:
        await connection.execute(
            "UPDATE stop SET window_from = %s, plan_number = 2 WHERE id = %s",
            (now + timedelta(minutes=20), tenant.stop_id),
        )
        stop = await stops.find_stop(connection, tenant.stop_id)
        point = await consignees.find_access_point(connection, tenant.access_point_id)
        assert stop is not None
        assert point is not None
        programme = rules.get_programme(None)
        await plan_duties(connection, stop, point, programme, now - timedelta(hours=4))


async def list_deliveries(caller: Caller, **more: Any) -> list[dict[str, Any]]:
    answer = await caller.get("/v1/me/deliveries", **more)
    assert answer.status_code == 200, answer.text
    shown: list[dict[str, Any]] = answer.json()["deliveries"]
    return shown


async def list_events(platform: Platform) -> list[str]:
    async with platform.database.connection() as connection:
        cursor = await connection.execute(
            "SELECT event FROM notice WHERE reader = 'consignee' ORDER BY created_at"
        )
        return [
            event for (event,) in await cursor.fetchall() if event not in ("booked", "morning_of_delivery")
        ]


async def test_a_coming_delivery_is_shown_by_the_clock_of_its_address(
    platform: Platform, tenant: Tenant
) -> None:
    await begin_soon(platform, tenant)
    (shown,) = await list_deliveries(tenant.consignee)
    assert shown["stop_id"] == tenant.stop_id
    assert shown["window"]["time_zone"] == "America/Los_Angeles"
    assert len(shown["window"]["from_local"]) == len(shown["window"]["until_local"]) == 5
    assert (shown["parcels"], shown["standing"], shown["check"]) == (1, "not_checked", None)
    assert shown["fallbacks"][0] == "neighbour"
    assert (shown["courier_first_name"], shown["heading_at"]) == (None, None)
    assert shown["next_check_at"] is not None


async def test_what_preflight_found_is_shown_with_what_to_do(platform: Platform, tenant: Tenant) -> None:
    await begin_soon(platform, tenant)
    await save_reading(platform, tenant.access_point_id, position=FAR, is_locked=False)
    await run_due(platform)
    (shown,) = await list_deliveries(tenant.consignee)
    assert shown["standing"] == "ruled_out"
    assert shown["ruled_out"]["code"] == "consignee_car_out_of_range"
    assert [(one["code"], one["remedy"], one["mended_by"]) for one in shown["check"]["obstacles"]] == [
        ("consignee_car_out_of_range", "move_car_nearer", "consignee"),
        ("device_unlocked_on_arrival", "close_and_lock", "consignee"),
    ]
    assert (shown["check"]["range"]["parking"], shown["check"]["range"]["distance_m"]) == (
        "out_of_range",
        1060.0,
    )
    assert "courier" not in shown["ruled_out"]["text"].lower()
    french = await list_deliveries(tenant.consignee, headers={"Accept-Language": "fr"})
    assert french[0]["check"]["obstacles"][0]["remedy_text"].startswith("Garez-vous plus près")
    assert french[0]["check"]["range"]["text"] == "Votre voiture est trop loin."
    assert "47.63" not in str(shown)
    assert PLATE not in str(shown)


async def test_a_check_mends_and_the_courier_sees_it_at_once(platform: Platform, tenant: Tenant) -> None:
    check, heading = f"/v1/me/stops/{tenant.stop_id}/check", f"/v1/courier/stops/{tenant.stop_id}/heading"
    await begin_soon(platform, tenant)
    await save_reading(platform, tenant.access_point_id, position=FAR)
    await run_due(platform)
    refused = await tenant.courier.make(heading, {})
    assert refused["advice"] == "take_fallback"
    assert [reason["code"] for reason in refused["reasons"]] == ["consignee_car_out_of_range"]
    assert refused["fallbacks"][0] == "neighbour"
    assert refused["heading_at"] is None
    located = await tenant.courier.post(f"/v1/courier/stops/{tenant.stop_id}/locate", {"position": NEAR})
    assert located.status_code == 403
    assert [reason["code"] for reason in located.json()["reasons"]] == ["consignee_car_out_of_range"]
    assert PLATE not in located.text

    await save_reading(platform, tenant.access_point_id)  # parked anew
    well = await tenant.consignee.make(check)
    assert (well["standing"], well["obstacles"]) == ("well", [])
    assert (well["range"]["parking"], well["range"]["distance_m"]) == ("in_range", 0.0)
    assert well["range"]["text"] == "Your car is in range."
    away = await tenant.courier.make(heading, {})
    assert (away["advice"], away["reasons"]) == ("go_to_place", [])
    (shown,) = await list_deliveries(tenant.consignee)
    assert (shown["standing"], shown["courier_first_name"]) == ("well", "Cleo")
    assert await list_events(platform) == ["ruled_out", "preflight_mended", "courier_on_the_way"]


async def test_setting_out_once_more_is_the_same_and_a_repeat_is_answered_alike(
    platform: Platform, tenant: Tenant
) -> None:
    path = f"/v1/courier/stops/{tenant.stop_id}/heading"
    expected_at = (platform.clock.now() + timedelta(minutes=20)).isoformat()
    first = await tenant.courier.post(path, {"expected_at": expected_at}, key="one")
    repeat = await tenant.courier.post(path, {"expected_at": expected_at}, key="one")
    again = await tenant.courier.post(path, {}, key="two")
    assert first.json() == repeat.json()
    assert repeat.headers["Idempotency-Replayed"] == "true"
    assert again.json()["heading_at"] == first.json()["heading_at"]
    assert again.json()["expected_at"] == first.json()["expected_at"]
    (shown,) = await list_deliveries(tenant.consignee)
    assert shown["expected_at"] == first.json()["expected_at"]
    assert await list_events(platform) == ["courier_on_the_way"]
    async with platform.database.connection() as connection:
        cursor = await connection.execute("SELECT count(*) FROM duty WHERE kind = 'heading'")
        assert await cursor.fetchone() == (1,)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"expected_at": "2026-11-26T10:00:00"}, "expected_at"),
        ({"expected_at": "soon"}, "expected_at"),
        ({"expected_at": "1901-01-01T00:00:00Z"}, "expected_at"),
        ({"expected_at": "2020-01-01T00:00:00Z"}, "expected_at"),
        ({"expected_at": "2150-01-01T00:00:00Z"}, "expected_at"),
        ({"position": NEAR}, "position"),
    ],
)
async def test_what_can_not_be_expected(tenant: Tenant, body: dict[str, Any], field: str) -> None:
    answer = await tenant.courier.post(f"/v1/courier/stops/{tenant.stop_id}/heading", body)
    assert answer.status_code == 400, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("query", "field"), [("limit=0", "limit"), ("limit=51", "limit"), ("cursor=x", "cursor")]
)
async def test_pages_that_can_not_be(tenant: Tenant, query: str, field: str) -> None:
    answer = await tenant.consignee.get(f"/v1/me/deliveries?{query}")
    assert answer.status_code == 400, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_deliveries_come_page_by_page(platform: Platform, tenant: Tenant) -> None:
    async with platform.database.connection() as connection:
        await connection.execute(
            "INSERT INTO stop SELECT (jsonb_populate_record(stop, jsonb_build_object('id', 'stp_x' || number, "
            "'window_from', window_from + number * interval '1 day', "
            "'window_until', window_until + number * interval '1 day'))).* FROM stop, generate_series(1, 4) number"
        )
    seen, cursor = [], ""
    while True:
        page = (await tenant.consignee.get(f"/v1/me/deliveries?limit=2{cursor}")).json()
        seen += [one["stop_id"] for one in page["deliveries"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next'].replace('+', '%2B')}"
    assert seen == [tenant.stop_id, "stp_x1", "stp_x2", "stp_x3", "stp_x4"]


async def test_what_is_another_s_is_not_there(
    platform: Platform, http: httpx.AsyncClient, tenant: Tenant
) -> None:
    other = await make_tenant(platform, http, "Other Post")
    assert [one["stop_id"] for one in await list_deliveries(other.consignee)] == [other.stop_id]
    assert (await other.consignee.post(f"/v1/me/stops/{tenant.stop_id}/check")).status_code == 404
    path = f"/v1/courier/stops/{tenant.stop_id}/heading"
    assert (await other.courier.post(path, {})).status_code == 404
    colleague = await tenant.carrier.make("/v1/couriers", {"first_name": "Dov"})
    caller, _ = await enrol(http, tenant.carrier, colleague["id"])
    assert (await caller.post(path, {})).status_code == 404
    assert (await tenant.consignee.post(path, {})).status_code in (401, 403)


async def test_one_who_shares_the_place_sees_and_checks_it_until_they_leave(
    platform: Platform, http: httpx.AsyncClient, tenant: Tenant
) -> None:
    friend = await tenant.carrier.make("/v1/consignees", {"name": "Max Friend", "language": "en"})
    caller = Caller(http=http, key=friend["key"], id=friend["id"])
    assert await list_deliveries(caller) == []
    async with platform.database.connection() as connection:
        await connection.execute(
            "INSERT INTO member VALUES (%s, %s, now(), NULL)", (tenant.access_point_id, friend["id"])
        )
    assert [one["stop_id"] for one in await list_deliveries(caller)] == [tenant.stop_id]
    await save_reading(platform, tenant.access_point_id)
    assert (await caller.make(f"/v1/me/stops/{tenant.stop_id}/check"))["standing"] == "well"
    async with platform.database.connection() as connection:
        await connection.execute("UPDATE member SET left_at = now()")
    assert await list_deliveries(caller) == []
    assert (await caller.post(f"/v1/me/stops/{tenant.stop_id}/check")).status_code == 404


async def test_a_delivery_that_has_ended_is_neither_shown_nor_checked(
    platform: Platform, tenant: Tenant
) -> None:
    async with platform.database.connection() as connection:
        await connection.execute("UPDATE stop SET state = 'delivered'")
    assert await list_deliveries(tenant.consignee) == []
    assert (await tenant.consignee.post(f"/v1/me/stops/{tenant.stop_id}/check")).status_code == 409


async def test_a_cloud_that_is_not_there_is_said_and_rules_nothing_out_by_one_look(tenant: Tenant) -> None:
    """This tenant's maker can't be reached."""
    check = await tenant.consignee.make(f"/v1/me/stops/{tenant.stop_id}/check")
    assert check["standing"] == "failing"
    assert [(one["code"], one["remedy"]) for one in check["obstacles"]] == [
        ("device_cloud_outage", "nothing_we_are_on_it")
    ]
    assert check["range"]["parking"] == "unknown"
    (shown,) = await list_deliveries(tenant.consignee)
    assert shown["standing"] == "not_checked"


async def test_a_booking_plans_its_day(platform: Platform, tenant: Tenant) -> None:
    point = await tenant.carrier.make("/v1/access_points", new_access_point(tenant.consignee.id))
    shipment = await tenant.carrier.make(
        "/v1/shipments",
        {
            "consignee_id": tenant.consignee.id,
            "reference": "order 8",
            "parcels": [{"label": {"text": "(00)340123450000000024"}}],
        },
    )
    now = platform.clock.now()
    stop = await tenant.carrier.make(
        "/v1/stops",
        {
            "access_point_id": point["id"],
            "shipment_id": shipment["id"],
            "window_from": (now + timedelta(days=2)).isoformat(),
            "window_until": (now + timedelta(days=2, hours=4)).isoformat(),
            "expected_at": (now + timedelta(days=2, hours=2)).isoformat(),
            "fallback": "to_door",
        },
    )
    async with platform.database.connection() as connection:
        cursor = await connection.execute(
            "SELECT kind, due_at - %s FROM duty WHERE stop_id = %s ORDER BY due_at",
            (now + timedelta(days=2), stop["id"]),
        )
        rows = await cursor.fetchall()
    assert [kind for kind, _ in rows] == ["morning_notice", "preflight_1", "preflight_2", "window_over"]
    assert [at for _, at in rows][1:] == [timedelta(hours=1), timedelta(hours=1.5), timedelta(hours=4)]
