"""The courier's round: find, scan, say; the consignee's block; the operator's ruling; the proof."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
import zxingcpp
from PIL import Image
from tests.web.conftest import ADDRESS, PARCEL, PLATE, Caller, Tenant, make_tenant
from tests.web.test_answering import lose_answer

from unlatch.domain.access import Position
from unlatch.domain.reading import Reading
from unlatch.domain.verification import verify
from unlatch.domain.visit import Fact
from unlatch.flow.exporting import find_signer
from unlatch.flow.platform import Platform
from unlatch.flow.record import Happening, record
from unlatch.store import readings
from unlatch.verify import is_signature_good

NEAR = {**ADDRESS, "accuracy_m": 5}


async def save_reading(platform: Platform, access_point_id: str, **changes: Any) -> None:
    """The car says: parked at the address, closed and locked, just now."""
    now = platform.clock.now()
    reading = Reading(
        observed_at=now,
        is_locked=True,
        is_open=False,
        is_moving=False,
        position=Position(latitude=ADDRESS["latitude"], longitude=ADDRESS["longitude"], accuracy_m=5),
    )
    async with platform.database.connection() as connection:
        await readings.save_reading(connection, access_point_id, replace(reading, **changes), now)


async def tell(platform: Platform, visit_id: str, *facts: Fact) -> None:
    """What the worker would record: gate, cloud and readings."""
    for fact in facts:
        await record(platform, visit_id, Happening(fact=fact, who="cloud:onstar"))


def scan_body(**changes: Any) -> dict[str, Any]:
    return {"label": {"text": f"(00){PARCEL}"}, "position": NEAR, **changes}


async def scan(tenant: Tenant, **changes: Any) -> dict[str, Any]:
    return await tenant.courier.make(f"/v1/courier/stops/{tenant.stop_id}/scan", scan_body(**changes))


@pytest.fixture
async def visit_id(platform: Platform, tenant: Tenant) -> str:
    """A visit that was granted."""
    await save_reading(platform, tenant.access_point_id)
    visit = await scan(tenant)
    assert visit["state"] == "granted", visit
    visit_id: str = visit["id"]
    return visit_id


def picture_of(text: str, side: int = 600) -> bytes:
    barcode = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.Code128)
    drawn = Image.fromarray(zxingcpp.write_barcode_to_image(barcode, scale=4))
    page = Image.new("RGB", (max(side, drawn.width + 80), max(side, drawn.height + 80)), "white")
    page.paste(drawn, (40, 40))
    kept = io.BytesIO()
    page.save(kept, "PNG")
    return kept.getvalue()


async def test_a_whole_visit_by_the_courier_s_own_word(
    platform: Platform, tenant: Tenant, visit_id: str
) -> None:
    async def say(word: str, **body: Any) -> dict[str, Any]:
        return await tenant.courier.make(f"/v1/courier/visits/{visit_id}/{word}", body)

    await tell(platform, visit_id, Fact.GATE_PASSED, Fact.UNLOCK_SAID_DONE)
    assert (await say("opened"))["next_step"] == "put_parcel_in"
    assert (await say("deposited"))["whereabouts"] == "inside"
    assert (await say("closed"))["state"] == "locking"
    await tell(platform, visit_id, Fact.SEEN_LOCKED)
    done = (await tenant.courier.get(f"/v1/courier/visits/{visit_id}")).json()
    assert (done["state"], done["next_step"], done["is_live"]) == ("delivered", "go_on", False)
    stop = (await tenant.carrier.get(f"/v1/stops/{tenant.stop_id}")).json()
    assert (stop["state"], stop["parcels"][0]["place"]) == ("delivered", "in_place")


async def test_a_word_said_twice_changes_nothing_more(
    platform: Platform, tenant: Tenant, visit_id: str
) -> None:
    await tell(platform, visit_id, Fact.GATE_PASSED, Fact.UNLOCK_SAID_DONE)
    path = f"/v1/courier/visits/{visit_id}/opened"
    first = await tenant.courier.post(path, {}, key="one")
    again = await tenant.courier.post(path, {}, key="one")
    assert first.json() == again.json()


async def test_a_repeated_scan_gets_the_same_answer_and_no_second_visit(
    platform: Platform, tenant: Tenant
) -> None:
    path = f"/v1/courier/stops/{tenant.stop_id}/scan"
    refused = await tenant.courier.post(path, scan_body(position=None), key="one")
    again = await tenant.courier.post(path, scan_body(position=None), key="one")
    assert refused.status_code == again.status_code == 201
    assert refused.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    other = await tenant.courier.post(path, scan_body(), key="one")
    assert (other.status_code, other.json()["type"]) == (422, "/v1/docs#problem-key_reused")
    visits = (await tenant.carrier.get(f"/v1/stops/{tenant.stop_id}/visits")).json()["visits"]
    assert [visit["id"] for visit in visits] == [refused.json()["id"]]


async def test_many_scans_at_once_give_one_grant(platform: Platform, tenant: Tenant) -> None:
    await save_reading(platform, tenant.access_point_id)
    answers = await asyncio.gather(*(scan(tenant) for _ in range(40)))
    assert len({answer["id"] for answer in answers}) == 1
    async with platform.database.connection() as connection:
        cursor = await connection.execute("SELECT count(*) FROM grant_")
        assert await cursor.fetchone() == (1,)


async def test_a_refusal_names_every_reason_in_the_reader_s_language(
    platform: Platform, tenant: Tenant
) -> None:
    await save_reading(platform, tenant.access_point_id, is_open=True)
    path = f"/v1/courier/stops/{tenant.stop_id}/scan"
    far = {**NEAR, "latitude": 47.7}
    answer = await tenant.courier.post(
        path, scan_body(position=far), **{"Accept-Language": "fr-CA, en;q=0.5"}
    )
    visit = answer.json()
    assert visit["state"] == "refused"
    assert {reason["code"] for reason in visit["reasons"]} >= {"courier_too_far", "device_open_on_arrival"}
    shown = (await tenant.carrier.get(f"/v1/visits/{visit['id']}")).json()
    assert {reason["code"] for reason in shown["reasons"]} == {reason["code"] for reason in visit["reasons"]}
    english = (await tenant.courier.get(f"/v1/visits/{visit['id']}")).json()
    assert english["next_step_text"] != visit["next_step_text"]


async def test_a_photo_of_the_label_is_as_good_as_its_number(platform: Platform, tenant: Tenant) -> None:
    await save_reading(platform, tenant.access_point_id)
    photo = base64.b64encode(picture_of("1Z5R89390357567127")).decode()
    path = f"/v1/courier/stops/{tenant.stop_id}/scan"
    refused = await tenant.courier.post(path, {"photo": photo, "position": NEAR})
    assert "carrier_parcel_unknown" in {reason["code"] for reason in refused.json()["reasons"]}
    empty = base64.b64encode(picture_of("hello")).decode()
    unread = await tenant.courier.post(path, {"photo": empty, "position": NEAR})
    assert (unread.status_code, unread.json()["type"]) == (422, "/v1/docs#problem-label_unreadable")
    for wrong in ({"photo": "AAAA"}, {"photo": photo, "label": {"text": PARCEL}}, {}):
        answer = await tenant.courier.post(path, {"position": NEAR, **wrong})
        assert answer.status_code == 400, answer.text


def photo_with_secrets() -> bytes:
    picture = Image.effect_noise((2400, 1800), 80).convert("RGB")
    exif = picture.getexif()
    exif[0x010F] = "SecretPhone"
    kept = io.BytesIO()
    picture.save(kept, "JPEG", exif=exif, comment=b"secret comment", quality=95)
    return kept.getvalue()


async def test_a_photo_is_made_anew_kept_small_and_shown_to_its_own_readers(
    platform: Platform, tenant: Tenant, visit_id: str
) -> None:
    await tell(platform, visit_id, Fact.GATE_PASSED, Fact.UNLOCK_SAID_DONE)
    given = photo_with_secrets()
    assert b"SecretPhone" in given
    assert b"secret comment" in given
    body = {"photo": base64.b64encode(given).decode()}
    await tenant.courier.make(f"/v1/courier/visits/{visit_id}/deposited", body)
    lines = (await tenant.consignee.get("/v1/me/timeline")).json()["visits"][0]["lines"]
    assert "courier_deposited" in [line["name"] for line in lines]
    async with platform.database.connection() as connection:
        cursor = await connection.execute("SELECT encode(sha256, 'hex'), content FROM photo")
        row = await cursor.fetchone()
    assert row is not None
    digest, content = row
    assert len(content) <= 1_000_000
    assert b"Secret" not in content
    assert b"secret" not in content
    shown = await tenant.consignee.get(f"/v1/visits/{visit_id}/photos/{digest}")
    assert (shown.status_code, shown.headers["content-type"]) == (200, "image/jpeg")
    assert shown.content == content
    assert (await tenant.consignee.get(f"/v1/visits/{visit_id}/photos/{'0' * 64}")).status_code == 404


async def test_the_car_is_shown_in_the_window_and_near_alone_and_each_look_is_a_row(
    platform: Platform, tenant: Tenant
) -> None:
    path = f"/v1/courier/stops/{tenant.stop_id}/locate"
    await save_reading(platform, tenant.access_point_id)
    seen = await tenant.courier.post(path, {"position": NEAR})
    assert seen.status_code == 200
    assert seen.json()["plate"] == PLATE
    assert seen.json()["position"]["latitude"] == ADDRESS["latitude"]
    assert seen.json()["is_being_read"] is False
    far = await tenant.courier.post(path, {"position": {**NEAR, "latitude": 47.64}})
    assert far.status_code == 403
    assert [reason["code"] for reason in far.json()["reasons"]] == ["courier_too_far"]
    assert PLATE not in far.text
    async with platform.database.connection() as connection:
        await connection.execute("UPDATE stop SET window_from = window_from + interval '2 hours'")
    early = await tenant.courier.post(path, {"position": NEAR})
    assert [reason["code"] for reason in early.json()["reasons"]] == ["courier_too_early"]
    looks = (await tenant.consignee.get("/v1/me/timeline")).json()["looks"]
    assert [(look["who"], look["what"]) for look in looks] == [
        ("courier", "refused:courier_too_early"),
        ("courier", "refused:courier_too_far"),
        ("courier", "position_and_plate"),
    ]


async def test_an_old_reading_is_asked_for_again_once(platform: Platform, tenant: Tenant) -> None:
    old_at = platform.clock.now() - timedelta(minutes=5)
    await save_reading(platform, tenant.access_point_id, observed_at=old_at)
    path = f"/v1/courier/stops/{tenant.stop_id}/locate"
    for _ in range(3):
        assert (await tenant.courier.post(path, {"position": NEAR})).json()["is_being_read"] is True
    async with platform.database.connection() as connection:
        cursor = await connection.execute("SELECT count(*) FROM pgqueuer WHERE entrypoint = 'read_place'")
        assert await cursor.fetchone() == (1,)


async def test_a_block_stops_the_visit_and_every_later_scan(
    platform: Platform, tenant: Tenant, visit_id: str
) -> None:
    place = f"/v1/me/access_points/{tenant.access_point_id}"
    blocked = await tenant.consignee.make(f"{place}/block")
    assert blocked["stopped_visit"]["state"] == "refused"
    assert (await tenant.courier.get(f"/v1/visits/{visit_id}")).json()["incident"] == "consignee_blocked"
    again = await scan(tenant)
    assert "consignee_blocked" in {reason["code"] for reason in again["reasons"]}
    assert (await tenant.consignee.get("/v1/me/timeline")).json()["places"][0]["is_blocked"] is True
    assert (await tenant.consignee.make(f"{place}/unblock"))["is_blocked"] is False
    assert (await scan(tenant))["state"] == "granted"


async def test_a_scan_that_joined_a_visit_finds_it_though_it_is_over_when_its_answer_was_lost(
    platform: Platform, tenant: Tenant, visit_id: str
) -> None:
    path = f"/v1/courier/stops/{tenant.stop_id}/scan"
    assert (await tenant.courier.post(path, scan_body(), key="two")).json()["id"] == visit_id
    await lose_answer(platform, "two")
    await tenant.consignee.make(f"/v1/me/access_points/{tenant.access_point_id}/block")
    again = (await tenant.courier.post(path, scan_body(), key="two")).json()
    assert (again["id"], again["is_live"], again["incident"]) == (visit_id, False, "consignee_blocked")


async def test_a_block_after_the_gate_locks(platform: Platform, tenant: Tenant, visit_id: str) -> None:
    await tell(platform, visit_id, Fact.GATE_PASSED, Fact.UNLOCK_SAID_DONE)
    blocked = await tenant.consignee.make(f"/v1/me/access_points/{tenant.access_point_id}/block")
    assert blocked["stopped_visit"]["state"] == "locking"
    async with platform.database.connection() as connection:
        cursor = await connection.execute("SELECT count(*) FROM command WHERE verb = 'lock'")
        assert await cursor.fetchone() == (1,)


async def test_an_operator_rules_freezes_and_can_not_unlock(
    platform: Platform, tenant: Tenant, visit_id: str, operator: Caller
) -> None:
    rule = f"/v1/operator/visits/{visit_id}/rule"
    verdict = {"ruling": "undelivered", "why": "the courier rang: it is with her"}
    assert (await operator.post(rule, verdict)).status_code == 409
    await tell(platform, visit_id, Fact.GATE_PASSED, Fact.UNLOCK_SAID_DONE, Fact.PATIENCE_RAN_OUT)
    calls = (await operator.get("/v1/operator/calls")).json()["calls"]
    assert [(call["visit_id"], call["incident"]) for call in calls] == [(visit_id, "device_not_seen_locked")]
    assert (await operator.make(rule, verdict))["state"] == "ruled_undelivered"
    assert (await operator.get("/v1/operator/calls")).json()["calls"] == []
    place = f"/v1/operator/access_points/{tenant.access_point_id}"
    assert (await operator.make(f"{place}/freeze"))["is_frozen"] is True
    refused = await scan(tenant)
    assert "platform_place_frozen" in {reason["code"] for reason in refused["reasons"]}
    assert (await operator.make(f"{place}/unfreeze"))["is_frozen"] is False


async def test_a_call_is_closed_once_its_trunk_was_seen_locked_and_not_before(
    platform: Platform, tenant: Tenant, visit_id: str, operator: Caller
) -> None:
    await tell(platform, visit_id, Fact.GATE_PASSED, Fact.UNLOCK_SAID_DONE, Fact.PATIENCE_RAN_OUT)
    call = (await operator.get("/v1/operator/calls")).json()["calls"][0]
    close = f"/v1/operator/calls/{call['id']}/close"
    assert (await tenant.carrier.post(close)).status_code == 403
    too_early = await operator.post(close)
    assert (too_early.status_code, too_early.json()["type"]) == (409, "/v1/docs#problem-conflict")
    await tell(platform, visit_id, Fact.COURIER_DEPOSITED, Fact.SEEN_LOCKED)
    assert [one["id"] for one in (await operator.get("/v1/operator/calls")).json()["calls"]] == [call["id"]]
    for _ in range(2):
        assert await operator.make(close) == {"id": call["id"], "is_closed": True}
    assert (await operator.get("/v1/operator/calls")).json()["calls"] == []
    assert (await operator.post("/v1/operator/calls/cal_none/close")).status_code == 404
    await tell(platform, visit_id, Fact.SEEN_CLOSED)  # a late unlock: a new call
    again = (await operator.get("/v1/operator/calls")).json()["calls"]
    assert [(one["incident"], one["id"] != call["id"]) for one in again] == [("device_late_unlock", True)]
    assert (await operator.post(f"/v1/operator/calls/{again[0]['id']}/close")).status_code == 409


async def test_a_fallback_ends_the_stop_but_not_while_a_visit_lives(
    platform: Platform, tenant: Tenant, visit_id: str
) -> None:
    path = f"/v1/courier/stops/{tenant.stop_id}/fallback"
    with_whom = {"done": "neighbour", "told": "with Mr Noor, no. 14"}
    assert (await tenant.courier.post(path, with_whom)).status_code == 409
    gave_up = await tenant.courier.make(
        f"/v1/courier/visits/{visit_id}/could_not", {"reason": "parcel_does_not_fit"}
    )
    assert gave_up["next_step"] == "take_fallback"
    assert [step["fallback"] for step in gave_up["fallback_plan"]] == ["neighbour", "depot"]
    stop = (await tenant.courier.make(path, with_whom))["stop"]
    assert (stop["state"], stop["parcels"][0]["place"]) == ("fallback_done", "at_fallback")
    assert (await tenant.courier.post(path, {"done": "depot"})).status_code == 409


async def test_every_entitled_reader_exports_a_proof_that_holds(
    platform: Platform, tenant: Tenant, visit_id: str, operator: Caller
) -> None:
    await tell(platform, visit_id, Fact.GATE_PASSED, Fact.UNLOCK_SAID_DONE)
    photo = base64.b64encode(photo_with_secrets()).decode()
    await tenant.courier.make(f"/v1/courier/visits/{visit_id}/deposited", {"photo": photo})
    public_key = bytes.fromhex((await tenant.courier.http.get("/v1/proof_key")).json()["public_key"])
    assert public_key == find_signer(platform).public_key
    for reader, sees_position in ((tenant.carrier, False), (tenant.consignee, False), (operator, True)):
        proof = (await reader.get(f"/v1/visits/{visit_id}/proof")).content
        verdict = verify(proof, public_key=public_key, is_signature_good=is_signature_good)
        assert verdict.faults == (), verdict
        assert verdict.is_signed_by_known_key
        assert (b"latitude_e6" in proof) is sees_position


async def test_another_tenant_s_things_are_not_there(
    platform: Platform, tenant: Tenant, visit_id: str, http: httpx.AsyncClient
) -> None:
    other = await make_tenant(platform, http, "Other Post")
    gone: list[Callable[[], Any]] = [
        lambda: other.carrier.get(f"/v1/visits/{visit_id}"),
        lambda: other.courier.get(f"/v1/courier/visits/{visit_id}"),
        lambda: other.consignee.get(f"/v1/visits/{visit_id}"),
        lambda: other.consignee.get(f"/v1/visits/{visit_id}/proof"),
        lambda: other.courier.get(f"/v1/visits/{visit_id}/events"),
        lambda: other.courier.post(f"/v1/courier/visits/{visit_id}/opened", {}),
        lambda: other.courier.post(f"/v1/courier/stops/{tenant.stop_id}/scan", scan_body()),
        lambda: other.courier.post(f"/v1/courier/stops/{tenant.stop_id}/locate", {"position": NEAR}),
        lambda: other.courier.post(f"/v1/courier/stops/{tenant.stop_id}/fallback", {"done": "depot"}),
        lambda: other.consignee.post(f"/v1/me/access_points/{tenant.access_point_id}/block"),
        lambda: other.consignee.post(f"/v1/me/access_points/{tenant.access_point_id}/unblock"),
        lambda: other.carrier.get(f"/v1/stops/{tenant.stop_id}"),
        lambda: other.carrier.get(f"/v1/access_points/{tenant.access_point_id}"),
        lambda: other.carrier.get(f"/v1/consignees/{tenant.consignee.id}"),
        lambda: other.carrier.get(f"/v1/couriers/{tenant.courier.id}"),
        lambda: other.carrier.get(f"/v1/shipments/{tenant.shipment_id}"),
        lambda: other.carrier.post(f"/v1/couriers/{tenant.courier.id}/devices"),
        lambda: other.carrier.post(f"/v1/couriers/{tenant.courier.id}/deactivate"),
        lambda: other.carrier.delete(f"/v1/devices/{tenant.device_id}"),
    ]
    for ask in gone:
        answer = await ask()
        assert answer.status_code == 404, (answer.request.url, answer.text)
    visits = (await other.carrier.get(f"/v1/stops/{tenant.stop_id}/visits")).json()
    assert visits == {"visits": []}
    assert (await other.consignee.get("/v1/me/timeline")).json()["visits"] == []
    assert (await tenant.courier.get(f"/v1/visits/{visit_id}")).json()["state"] == "granted"
