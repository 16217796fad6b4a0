"""Bookings over HTTP: what each reader sees and may, in their language; bad input by its field; other tenants."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.web.conftest import VIN, Caller, Tenant, make_tenant, new_access_point
from tests.web.test_visits import NEAR, photo_with_secrets, save_reading, scan, scan_body, tell

from unlatch.domain.visit import Fact
from unlatch.flow.platform import Platform
from unlatch.web.app import TABLES

HOUR = timedelta(hours=1)
WITH_WHOM = {"done": "neighbour", "told": "with Mr Noor, no. 14"}


async def ask(platform: Platform, query: str, *values: Any) -> list[Any]:
    async with platform.database.connection() as connection:
        cursor = await connection.execute(query.encode(), values)
        return await cursor.fetchall() if cursor.description else []


def path(tenant: Tenant, what: str = "", prefix: str = "/v1/stops") -> str:
    return f"{prefix}/{tenant.stop_id}{'/' if what else ''}{what}"


async def make_other_place(tenant: Tenant) -> str:
    body = new_access_point(tenant.consignee.id)
    body["vehicle"]["vin"] = VIN[:-1] + "2"
    made: str = (await tenant.carrier.make("/v1/access_points", body))["id"]
    return made


async def make_courier(tenant: Tenant) -> str:
    made: str = (await tenant.carrier.make("/v1/couriers", {"first_name": "Dot"}))["id"]
    return made


async def test_a_carrier_reads_its_booking_in_full(tenant: Tenant) -> None:
    stop = (await tenant.carrier.get(path(tenant))).json()
    assert (stop["stage"], stop["stage_text"]) == ("planned", "On a courier's round.")
    assert [step["fallback"] for step in stop["fallback_plan"]] == ["neighbour", "depot"]
    assert stop["fallback_plan"][0]["text"] == "Give it to a neighbour, and say to whom."
    assert stop["may"] == ["replan", "cancel", "hand_over"]
    assert (stop["ruled_out"], stop["ends"], stop["plan_number"]) == (None, [], 1)
    assert [parcel["place"] for parcel in stop["parcels"]] == ["with_carrier"]
    assert [(deed["who"], deed["what"]) for deed in stop["deeds"]] == [("carrier", "booked")]


async def test_a_plan_is_made_anew_and_said_twice_it_is_one(tenant: Tenant, platform: Platform) -> None:
    begins = platform.clock.now().replace(microsecond=0) + HOUR
    body = {
        "window_from": begins.isoformat(),
        "window_until": (begins + 2 * HOUR).isoformat(),
        "courier_id": await make_courier(tenant),
        "access_point_id": await make_other_place(tenant),
        "expected_at": (begins + HOUR).isoformat(),
    }
    done = await tenant.carrier.post(path(tenant, "replan"), body, key="k-1")
    assert done.status_code == 200, done.text
    answer = done.json()
    assert (answer["effect"], answer["stop"]["plan_number"]) == ("done", 2)
    assert answer["stop"]["access_point_id"] == body["access_point_id"]
    assert datetime.fromisoformat(answer["stop"]["window_from"]) == begins
    again = await tenant.carrier.post(path(tenant, "replan"), body, key="k-1")
    assert again.json() == answer
    fresh = (await tenant.carrier.make(path(tenant, "replan"), body))["effect"]
    assert fresh == "changes_nothing"
    by_day = {"window": {"date": (begins + timedelta(days=2)).date().isoformat(), "from": "10:00:00"}}
    named = await tenant.carrier.make(path(tenant, "replan"), by_day)
    assert named["stop"]["plan_number"] == 3


async def test_a_stop_is_given_to_another_courier_who_then_has_it(tenant: Tenant) -> None:
    courier_id = await make_courier(tenant)
    given = await tenant.carrier.make(path(tenant, "assign"), {"courier_id": courier_id})
    assert given["stop"]["courier_id"] == courier_id
    assert (await tenant.courier.get("/v1/courier/stops")).json()["stops"] == []
    answer = await tenant.courier.post(f"/v1/courier/stops/{tenant.stop_id}/fallback", WITH_WHOM)
    assert answer.status_code == 404


async def test_a_cancellation_before_the_gate_stops_the_courier_at_the_door(
    tenant: Tenant, platform: Platform
) -> None:
    await save_reading(platform, tenant.access_point_id)
    visit = await scan(tenant)
    assert visit["fallback_plan"] is None
    done = await tenant.carrier.make(path(tenant, "cancel"))
    assert (done["effect"], done["stopped_visit"]["id"]) == ("stops_visit", visit["id"])
    assert done["stop"]["state"] == "cancelled"
    seen = (await tenant.courier.get(f"/v1/courier/visits/{visit['id']}")).json()
    assert (seen["state"], seen["incident"], seen["next_step"]) == (
        "refused",
        "carrier_cancelled",
        "ask_carrier",
    )
    listed = (await tenant.courier.get("/v1/courier/stops")).json()["stops"][0]
    assert (listed["advice"], listed["reason"]) == ("bring_back", "carrier_cancelled")
    for what, body in (
        ("replan", {"courier_id": await make_courier(tenant)}),
        ("assign", {"courier_id": "cou_1"}),
    ):
        refused = await tenant.carrier.post(path(tenant, what), body)
        assert refused.status_code == 409
        assert refused.json()["reasons"][0]["code"] == "cancelled_already"
    assert (await tenant.carrier.make(path(tenant, "cancel")))["effect"] == "changes_nothing"


@pytest.mark.parametrize(("language", "word"), [("en", "too late"), ("fr", "trop tard")])
async def test_what_is_refused_says_why_in_the_reader_s_language(
    tenant: Tenant, platform: Platform, language: str, word: str
) -> None:
    await save_reading(platform, tenant.access_point_id)
    visit = await scan(tenant)
    await tell(platform, visit["id"], Fact.GATE_PASSED)
    wishes: list[tuple[Caller, str, Any]] = [
        (tenant.carrier, path(tenant, "cancel"), None),
        (tenant.consignee, path(tenant, "redirect", "/v1/me/stops"), {"fallback": "depot"}),
    ]
    for caller, address, body in wishes:
        answer = await caller.post(address, body, **{"Accept-Language": language})
        assert answer.status_code == 409, answer.text
        problem = answer.json()
        assert problem["reasons"][0]["code"] == "opened_already"
        assert word in problem["detail"]
    assert (await tenant.carrier.get(path(tenant))).json()["stage"] == "open_now"


async def test_a_household_redirects_keeps_and_extends(tenant: Tenant, platform: Platform) -> None:
    mine = path(tenant, prefix="/v1/me/stops")
    seen = (await tenant.consignee.get(mine)).json()
    assert seen["courier_id"] is None
    assert {"redirect", "keep", "block", "unblock"} <= set(seen["may"])
    done = await tenant.consignee.make(f"{mine}/redirect", {"fallback": "pickup_point"})
    assert (done["effect"], done["stop"]["stage"]) == ("done", "redirected")
    assert done["stop"]["ruled_out_text"] == "This parcel goes the other way that your household has chosen."
    listed = (await tenant.courier.get("/v1/courier/stops")).json()["stops"][0]
    assert (listed["advice"], listed["reason"]) == ("take_fallback", "consignee_redirected")
    assert [step["fallback"] for step in listed["fallback_plan"]] == ["pickup_point", "neighbour", "depot"]
    assert "recipient" in listed["reason_text"] or "consignee" in listed["reason_text"]
    refused = await tenant.carrier.post(path(tenant, "replan"), {"courier_id": await make_courier(tenant)})
    assert refused.json()["reasons"][0]["code"] == "household_redirected"
    kept = await tenant.consignee.make(f"{mine}/keep")
    assert (kept["effect"], kept["stop"]["stage"], kept["stop"]["fallback"]) == (
        "done",
        "planned",
        "neighbour",
    )
    there = await make_other_place(tenant)
    moved = await tenant.consignee.make(f"{mine}/redirect", {"access_point_id": there})
    assert (moved["stop"]["access_point_id"], moved["stop"]["stage"]) == (there, "planned")
    whats = [deed["what"] for deed in moved["stop"]["deeds"]]
    assert whats == ["booked", "redirected", "kept", "redirected"]


async def test_an_extension_is_told_how_far_it_may_go(tenant: Tenant, platform: Platform) -> None:
    mine = path(tenant, prefix="/v1/me/stops")
    hour = platform.clock.now().hour
    zone = f"Etc/GMT{hour - 12:+d}" if hour != 12 else "Etc/GMT"  # about noon there
    await ask(platform, "UPDATE access_point SET time_zone = %s", zone)
    until = (await tenant.consignee.get(mine)).json()["extendable_until"]
    assert until is not None
    bad = await tenant.consignee.post(
        f"{mine}/extend", {"until": (datetime.fromisoformat(until) + HOUR).isoformat()}
    )
    assert (bad.status_code, bad.json()["errors"][0]["field"]) == (400, "until")
    done = await tenant.consignee.make(f"{mine}/extend", {"until": until})
    assert (done["stop"]["window_until"], done["stop"]["extendable_until"]) == (until, None)
    assert "extend" not in done["stop"]["may"]
    refused = await tenant.consignee.post(
        f"{mine}/extend", {"until": (datetime.fromisoformat(until) + HOUR).isoformat()}
    )
    assert refused.json()["reasons"][0]["code"] == "extended_already"


async def test_the_plan_is_shown_at_once_at_a_refusal(tenant: Tenant, platform: Platform) -> None:
    await save_reading(platform, tenant.access_point_id, is_locked=False)
    refused = await scan(tenant)
    assert (refused["state"], refused["next_step"]) == ("refused", "take_fallback")
    assert [step["fallback"] for step in refused["fallback_plan"]] == ["neighbour", "depot"]
    french = await tenant.courier.post(
        f"/v1/courier/stops/{tenant.stop_id}/scan", scan_body(), **{"Accept-Language": "fr"}
    )
    assert french.json()["fallback_plan"][0]["text"].startswith("Remettez-le à un voisin")
    listed = (await tenant.courier.get("/v1/courier/stops")).json()["stops"][0]
    assert (listed["stage"], listed["advice"]) == ("fallback_due", "take_fallback")
    assert listed["reason"] == "device_unlocked_on_arrival"


async def test_a_courier_who_was_only_too_far_is_sent_nearer_not_away(
    tenant: Tenant, platform: Platform
) -> None:
    await save_reading(platform, tenant.access_point_id)
    far = {**NEAR, "latitude": NEAR["latitude"] + 0.002}
    refused = await scan(tenant, position=far)
    assert refused["next_step"] == "go_nearer"
    listed = (await tenant.courier.get("/v1/courier/stops")).json()["stops"][0]
    assert (listed["advice"], listed["reason"]) == ("go_to_place", None)
    assert (await scan(tenant))["state"] == "granted"


async def test_a_fallback_ends_with_words_and_a_photo_that_those_concerned_see(
    tenant: Tenant, platform: Platform, operator: Caller, http: httpx.AsyncClient
) -> None:
    address = f"/v1/courier/stops/{tenant.stop_id}/fallback"
    photo = base64.b64encode(photo_with_secrets()).decode()
    done = await tenant.courier.make(address, {**WITH_WHOM, "photo": photo})
    assert done["effect"] == "done"
    end = done["stop"]["ends"][0]
    assert (end["fallback"], end["told"], end["who"]) == ("neighbour", "with Mr Noor, no. 14", "courier")
    assert (await tenant.courier.make(address, {**WITH_WHOM, "photo": photo}))["effect"] == "changes_nothing"
    shown = path(tenant, f"photos/{end['photo']}")
    for reader in (tenant.carrier, tenant.consignee, tenant.courier, operator):
        picture = await reader.get(shown)
        assert picture.headers["content-type"] == "image/jpeg"
        assert hashlib.sha256(picture.content).hexdigest() == end["photo"]
        assert b"Exif" not in picture.content
    other = await make_tenant(platform, http, "Other Post")
    for stranger in (other.carrier, other.consignee, other.courier):
        assert (await stranger.get(shown)).status_code == 404
    assert (await tenant.carrier.get(path(tenant, f"photos/{'0' * 64}"))).status_code == 404
    whole = (await operator.get(path(tenant, prefix="/v1/operator/stops"))).json()
    assert whole["ends"][0]["who"] == f"courier:{tenant.courier.id}"


async def test_again_tomorrow_names_its_next_stop(tenant: Tenant, platform: Platform) -> None:
    await ask(platform, "UPDATE stop SET later_fallbacks = '{tomorrow}'")
    done = await tenant.courier.make(f"/v1/courier/stops/{tenant.stop_id}/fallback", {"done": "tomorrow"})
    following = done["stop"]["next_stop_id"]
    assert following
    again = (await tenant.carrier.get(f"/v1/stops/{following}")).json()
    assert (again["stage"], again["tries"], again["again_of"]) == ("booked", 2, tenant.stop_id)
    assert [parcel["stop_id"] for parcel in done["stop"]["parcels"]] == [following]
    assert again["may"] == ["replan", "cancel", "hand_over"]


async def test_an_operator_ends_what_a_courier_never_did(tenant: Tenant, operator: Caller) -> None:
    address = path(tenant, "fallback", "/v1/operator/stops")
    done = await operator.make(address, {"held_by": "Olga at the desk", "why": "the van broke down"})
    assert done["stop"]["state"] == "fallback_done"
    assert [parcel["place"] for parcel in done["stop"]["parcels"]] == ["held"]
    refused = await operator.post(address, {"done": "depot", "why": "it is there"})
    assert refused.json()["reasons"][0]["code"] == "fallback_taken"


BAD: list[tuple[str, str, dict[str, Any], str]] = [
    ("carrier", "replan", {"window_from": "2026-11-24T16:00:00Z"}, "window"),
    ("carrier", "replan", {"window_from": "1999-01-01T00:00:00Z", "window_until": "1999-01-01T02:00:00Z"},
     "window_from"),
    ("carrier", "replan", {"window": {"date": "1999-01-01", "from": "08:00:00"}}, "window.date"),
    ("carrier", "replan", {"window": {"date": "2030-01-01", "from": "08:00:00"},
                           "window_from": "2030-01-01T00:00:00Z"}, "window"),
    ("carrier", "replan", {"window": {"date": "2030-01-01"}}, "window.from"),
    ("carrier", "replan", {"courier_id": 7}, "courier_id"),
    ("carrier", "replan", {"surprise": 1}, "surprise"),
    ("carrier", "assign", {}, "courier_id"),
    ("consignee", "redirect", {}, "fallback"),
    ("consignee", "redirect", {"fallback": "roof"}, "fallback"),
    ("consignee", "extend", {}, "until"),
    ("consignee", "extend", {"until": "2026-11-24T16:00:00"}, "until"),
    ("consignee", "extend", {"until": "0001-01-01T00:00:00Z"}, "until"),
    ("operator", "fallback", {"why": "x"}, "done"),
    ("operator", "fallback", {"done": "depot"}, "why"),
    ("operator", "fallback", {"done": "depot", "why": ""}, "why"),
    ("operator", "fallback", {"held_by": "a" * 101, "why": "x"}, "held_by"),
    ("courier", "fallback", {"done": "roof"}, "done"),
    ("courier", "fallback", {"done": "pickup_point", "told": "x"}, "done"),
    ("courier", "fallback", {"done": "neighbour"}, "told"),
    ("courier", "fallback", {"done": "neighbour", "told": "x" * 201}, "told"),
    ("courier", "fallback", {"done": "neighbour", "told": "\x00"}, "told"),
    ("courier", "fallback", {**WITH_WHOM, "could_not": ["depot"]}, "could_not"),
    ("courier", "fallback", {**WITH_WHOM, "could_not": ["depot"] * 6}, "could_not"),
    ("courier", "fallback", {**WITH_WHOM, "photo": "bm8gcGljdHVyZQ=="}, "photo"),
]  # fmt: skip
PREFIXES = {
    "carrier": "/v1/stops",
    "consignee": "/v1/me/stops",
    "operator": "/v1/operator/stops",
    "courier": "/v1/courier/stops",
}


async def test_bad_input_is_refused_by_its_field(
    tenant: Tenant, operator: Caller, platform: Platform
) -> None:
    callers = {
        "carrier": tenant.carrier,
        "consignee": tenant.consignee,
        "operator": operator,
        "courier": tenant.courier,
    }
    before = await ask(platform, "SELECT * FROM stop")
    for reader, what, body, field in BAD:
        answer = await callers[reader].post(path(tenant, what, PREFIXES[reader]), body)
        assert answer.status_code == 400, (reader, what, body, answer.text)
        assert answer.json()["errors"][0]["field"] == field, (reader, what, body, answer.text)
    assert await ask(platform, "SELECT * FROM stop") == before


async def test_another_tenant_s_bookings_are_not_there(
    tenant: Tenant, platform: Platform, http: httpx.AsyncClient
) -> None:
    other = await make_tenant(platform, http, "Other Post")
    mine = path(tenant, prefix="/v1/me/stops")
    until = (platform.clock.now() + 4 * HOUR).isoformat()
    gone: list[Callable[[], Any]] = [
        lambda: other.carrier.get(path(tenant)),
        lambda: other.carrier.post(path(tenant, "replan"), {"courier_id": other.courier.id}),
        lambda: other.carrier.post(path(tenant, "cancel")),
        lambda: other.carrier.post(path(tenant, "assign"), {"courier_id": other.courier.id}),
        lambda: tenant.carrier.post(path(tenant, "assign"), {"courier_id": other.courier.id}),
        lambda: tenant.carrier.post(path(tenant, "replan"), {"access_point_id": other.access_point_id}),
        lambda: other.consignee.get(mine),
        lambda: other.consignee.post(f"{mine}/redirect", {"fallback": "depot"}),
        lambda: other.consignee.post(f"{mine}/keep"),
        lambda: other.consignee.post(f"{mine}/extend", {"until": until}),
        lambda: tenant.consignee.post(f"{mine}/redirect", {"access_point_id": other.access_point_id}),
        lambda: other.courier.post(f"/v1/courier/stops/{tenant.stop_id}/fallback", WITH_WHOM),
    ]
    for one in gone:
        answer = await one()
        assert answer.status_code == 404, (answer.request.url, answer.text)
    stop = (await tenant.carrier.get(path(tenant))).json()
    assert (stop["plan_number"], stop["stage"]) == (1, "planned")


async def test_a_reader_of_another_kind_may_not(tenant: Tenant, operator: Caller) -> None:
    ours = {
        endpoint.path: endpoint for table in TABLES for endpoint in table.endpoints if table.tag == "booking"
    }
    assert len(ours) >= 11
    wrong = [
        (tenant.consignee, path(tenant, "cancel")),
        (operator, path(tenant, "cancel")),
        (tenant.carrier, path(tenant, "keep", "/v1/me/stops")),
        (tenant.carrier, path(tenant, "fallback", "/v1/operator/stops")),
    ]
    for caller, address in wrong:
        assert (await caller.post(address)).status_code == 403, address
