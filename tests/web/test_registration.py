"""A carrier registers and books; what is wrong is refused with field and remedy."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.web.conftest import CAR_TOKEN, PARCEL, PLATE, VIN, Caller, Tenant, enrol, new_access_point
from tests.web.phone import Phone

from unlatch.flow.platform import Platform


async def test_a_carrier_registers_all_that_a_delivery_needs(tenant: Tenant) -> None:
    stop = (await tenant.carrier.get(f"/v1/stops/{tenant.stop_id}")).json()
    assert stop["state"] == "open"
    assert [(parcel["label"], parcel["place"]) for parcel in stop["parcels"]] == [
        (f"sscc:{PARCEL}", "with_carrier")
    ]
    listed = (await tenant.courier.get("/v1/courier/stops")).json()
    assert [one["id"] for one in listed["stops"]] == [tenant.stop_id]
    assert listed["next"] is None


async def test_secrets_and_plate_are_sealed_and_never_shown_again(tenant: Tenant, platform: Platform) -> None:
    shown = (await tenant.carrier.get(f"/v1/access_points/{tenant.access_point_id}")).text
    for secret in (VIN, CAR_TOKEN, PLATE):
        assert secret not in shown
    async with platform.database.connection() as connection:
        cursor = await connection.execute("SELECT sealed FROM vehicle")
        row = await cursor.fetchone()
    assert row is not None
    assert platform.vault.open_mapping(row[0], tenant.access_point_id) == {
        "vin": VIN,
        "access_token": CAR_TOKEN,
    }


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("vehicle.maker", {"maker": "trabant"}),
        ("vehicle.secrets.access_token", {"secrets": {}}),
        ("vehicle.secrets.password", {"secrets": {"access_token": "x", "password": "y"}}),
        ("vehicle.secrets.access_token", {"secrets": {"access_token": "\u0000"}}),
        ("vehicle.account_kind", {"account_kind": "golden"}),
        ("vehicle.vin", {"vin": "1G1FY6S00N410000I"}),
        ("vehicle.plate", {"plate": "A\u0000B"}),
        ("vehicle.wheels", {"wheels": 4}),
    ],
)
async def test_a_car_that_does_not_fit_its_maker_is_refused_by_field(
    tenant: Tenant, field: str, changes: dict[str, Any]
) -> None:
    body = new_access_point(tenant.consignee.id)
    body["vehicle"] |= changes
    answer = await tenant.carrier.post("/v1/access_points", body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("time_zone", {"time_zone": "../../etc/passwd"}),
        ("from_local", {"from_local": "08:00:00"}),
        ("from_local", {"from_local": "08:00:00+01:00", "until_local": "10:00:00"}),
        ("consent_ends_at", {"consent_ends_at": "0001-01-01T00:00:00+14:00"}),
        ("address.latitude", {"address": {"latitude": 91, "longitude": 0}}),
        ("vehicle", {"kind": "home"}),
        ("vehicle", {"vehicle": None}),
        ("kind", {"kind": "boat"}),
        ("is_consent_given", {"is_consent_given": None}),
    ],
)
async def test_a_place_that_can_not_be_is_refused_by_field(
    tenant: Tenant, field: str, changes: dict[str, Any]
) -> None:
    answer = await tenant.carrier.post("/v1/access_points", new_access_point(tenant.consignee.id, **changes))
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_a_label_is_known_once_and_a_damaged_one_is_named(tenant: Tenant) -> None:
    def shipment(*labels: str) -> dict[str, Any]:
        parcels = [{"label": {"text": label}} for label in labels]
        return {"consignee_id": tenant.consignee.id, "reference": "again", "parcels": parcels}

    again = await tenant.carrier.post("/v1/shipments", shipment(PARCEL))
    assert again.status_code == 409
    damaged = await tenant.carrier.post(
        "/v1/shipments", shipment("1Z5R89390357567127", "(00)340123450000000018")
    )
    assert damaged.json()["errors"][0]["field"] == "parcels[1].label"
    assert "does not add up" in damaged.json()["errors"][0]["remedy"]
    twice = await tenant.carrier.post("/v1/shipments", shipment("1Z5R89390357567127", "1z5r89390357567127"))
    assert twice.json()["errors"][0]["field"] == "parcels"


async def test_a_stop_needs_parcels_that_are_free_and_a_window(tenant: Tenant) -> None:
    stop = {
        "courier_id": tenant.courier.id,
        "access_point_id": tenant.access_point_id,
        "shipment_id": tenant.shipment_id,
        "window_from": "2099-11-23T10:00:00Z",
        "window_until": "2099-11-23T12:00:00Z",
        "fallback": "depot",
    }
    assert (await tenant.carrier.post("/v1/stops", stop)).status_code == 409
    for changes, field in (
        ({"window_until": "2099-11-23T09:00:00Z"}, "window_until"),
        ({"window_until": "2099-11-25T09:00:00Z"}, "window_until"),
        ({"window_from": "2099-11-23T10:00:00"}, "window_from"),
        ({"window_from": "9999-12-31T23:59:59-14:00"}, "window_from"),
        ({"fallback": "roof"}, "fallback"),
    ):
        answer = await tenant.carrier.post("/v1/stops", {**stop, **changes})
        assert answer.status_code == 400, answer.text
        assert answer.json()["errors"][0]["field"] == field


async def test_a_code_enrols_one_phone_once(tenant: Tenant, http: httpx.AsyncClient) -> None:
    invited = await tenant.carrier.make(f"/v1/couriers/{tenant.courier.id}/devices")
    code = {"code": invited["code"].lower()}
    assert (
        await Caller(http=http, phone=Phone("Ed25519")).post("/v1/devices/enrol", code)
    ).status_code == 201
    answer = await Caller(http=http, phone=Phone()).post("/v1/devices/enrol", code)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "code"


async def test_an_old_code_enrols_nobody(tenant: Tenant, http: httpx.AsyncClient, platform: Platform) -> None:
    invited = await tenant.carrier.make(f"/v1/couriers/{tenant.courier.id}/devices")
    async with platform.database.connection() as connection:
        await connection.execute("UPDATE device SET code_expires_at = now() - interval '1 second'")
    answer = await Caller(http=http, phone=Phone()).post("/v1/devices/enrol", {"code": invited["code"]})
    assert answer.status_code == 400


async def test_a_revoked_phone_is_out_at_once_and_its_code_too(
    tenant: Tenant, http: httpx.AsyncClient
) -> None:
    other, device_id = await enrol(http, tenant.carrier, tenant.courier.id)
    invited = await tenant.carrier.make(f"/v1/couriers/{tenant.courier.id}/devices")
    for device in (device_id, device_id, invited["device_id"]):
        assert (await tenant.carrier.delete(f"/v1/devices/{device}")).status_code == 200
    assert (await other.get("/v1/courier/stops")).status_code == 401
    assert (await tenant.courier.get("/v1/courier/stops")).status_code == 200
    enrolled = await Caller(http=http, phone=Phone()).post("/v1/devices/enrol", {"code": invited["code"]})
    assert enrolled.status_code == 400


async def test_a_courier_can_be_stopped_and_let_go_on(tenant: Tenant) -> None:
    path = f"/v1/couriers/{tenant.courier.id}"
    assert (await tenant.carrier.make(f"{path}/deactivate"))["is_active"] is False
    assert (await tenant.carrier.get(path)).json()["is_active"] is False
    assert (await tenant.carrier.make(f"{path}/activate"))["is_active"] is True


async def test_stops_come_in_pages(tenant: Tenant) -> None:
    listed = (await tenant.courier.get("/v1/courier/stops?limit=1")).json()
    assert len(listed["stops"]) == 1
    for query in ("limit=0", "limit=101", "limit=x", "cursor=%00", "cursor=x", "page=2", "limit=1&limit=2"):
        assert (await tenant.courier.get(f"/v1/courier/stops?{query}")).status_code == 400


async def test_one_car_has_one_closure_key_whichever_place_it_stands_behind(
    tenant: Tenant, platform: Platform
) -> None:
    """Home and work, or two carriers: what must be one at a time is the car (S2, S6)."""
    await tenant.carrier.make("/v1/access_points", new_access_point(tenant.consignee.id))
    another = new_access_point(tenant.consignee.id)
    another["vehicle"]["vin"] = "1G1ZD5ST0JF000001"
    await tenant.carrier.make("/v1/access_points", another)
    async with platform.database.connection() as connection:
        cursor = await connection.execute("SELECT closure_key, count(*) FROM vehicle GROUP BY 1 ORDER BY 2")
        rows = await cursor.fetchall()
    assert [number for _, number in rows] == [1, 2]
    assert all(key is not None for key, _ in rows)
