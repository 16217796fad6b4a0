"""What the API does when rows are held, records are misused, and two things end at once."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import Any

import httpx
import pytest
from PIL import Image
from tests.web.conftest import PARCEL, Caller, Tenant, enrol, make_platform, make_tenant
from tests.web.test_visits import save_reading, scan_body, tell

from unlatch.domain.access import Fallback
from unlatch.domain.booking import Part
from unlatch.domain.visit import Fact, State
from unlatch.flow.fallback import FallbackGiven, take_fallback
from unlatch.flow.platform import Platform
from unlatch.flow.record import Happening, record_in
from unlatch.flow.wishes import Wisher
from unlatch.store import visits
from unlatch.store.database import Database
from unlatch.web.app import create_app
from unlatch.web.problems import Trouble

OTHER_PARCEL = "340123450000000024"


@pytest.fixture
async def visit_id(platform: Platform, tenant: Tenant) -> str:
    """A visit that was granted."""
    await save_reading(platform, tenant.access_point_id)
    visit = await tenant.courier.make(f"/v1/courier/stops/{tenant.stop_id}/scan", scan_body())
    assert visit["state"] == "granted", visit
    return str(visit["id"])


async def ask(platform: Platform, query: str, *values: object) -> list[tuple[Any, ...]]:
    async with platform.database.connection() as connection:
        cursor = await connection.execute(query.encode(), values)
        return list(await cursor.fetchall())


async def test_a_row_that_is_held_for_too_long_is_no_fault_of_the_request(
    database_url: str, platform: Platform, tenant: Tenant
) -> None:
    hasty = Database(database_url, name="hasty", statement_timeout_s=0.3)
    await hasty.open()
    app = create_app(make_platform(hasty))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://unlatch.test") as http,
        platform.database.transaction() as connection,
    ):
        query = "SELECT 1 FROM access_point WHERE id = %s FOR NO KEY UPDATE"
        await connection.execute(query, (tenant.access_point_id,))
        consignee = Caller(http=http, key=tenant.consignee.key)
        answer = await consignee.post(f"/v1/me/access_points/{tenant.access_point_id}/block")
    await hasty.close()
    assert answer.status_code == 503, answer.text
    assert answer.json()["type"].endswith(f"problem-{Trouble.UNAVAILABLE}")
    assert answer.headers["retry-after"]


async def test_a_fallback_and_the_end_of_its_visit_do_not_block_each_other(
    platform: Platform, tenant: Tenant, visit_id: str
) -> None:
    """Both touch visit, parcels and stop: in the same order, or PostgreSQL ends one of them."""

    async def end() -> str:
        async with platform.database.transaction() as connection:
            courier = Wisher(part=Part.COURIER, id=tenant.courier.id)
            given = FallbackGiven(done=Fallback.DEPOT)
            changed = await take_fallback(platform, connection, tenant.stop_id, courier, given)
            return changed.stop.state

    async with platform.database.transaction() as connection:
        row = await visits.lock_visit(connection, visit_id)
        ending = asyncio.create_task(end())
        while await ask(platform, "SELECT count(*) FROM pg_locks WHERE NOT granted") == [(0,)]:
            await asyncio.sleep(0.01)
        await record_in(
            connection, row, Happening(fact=Fact.CLOCK_RAN_OUT, who="clock"), platform.clock.now()
        )
    assert await ending == "fallback_done"
    assert (await ask(platform, "SELECT place FROM parcel")) == [("returned",)]


async def test_an_operator_who_exports_positions_has_looked_at_them(
    platform: Platform, tenant: Tenant, visit_id: str, operator: Caller
) -> None:
    assert (await tenant.carrier.get(f"/v1/visits/{visit_id}/proof")).status_code == 200
    assert (await tenant.consignee.get("/v1/me/timeline")).json()["looks"] == []
    proof = await operator.get(f"/v1/visits/{visit_id}/proof")
    assert b"latitude_e6" in proof.content
    looks = (await tenant.consignee.get("/v1/me/timeline")).json()["looks"]
    assert [(look["who"], look["what"]) for look in looks] == [("operator", "proof_with_positions")]


async def test_another_courier_s_refused_scan_moves_no_parcel(
    platform: Platform, tenant: Tenant, http: httpx.AsyncClient
) -> None:
    await save_reading(platform, tenant.access_point_id)
    other = await tenant.carrier.make("/v1/couriers", {"first_name": "Mal"})
    caller, _ = await enrol(http, tenant.carrier, other["id"])
    before = await ask(platform, "SELECT place, held_by FROM parcel")
    visit = await caller.make(f"/v1/courier/stops/{tenant.stop_id}/scan", scan_body())
    assert visit["state"] == State.REFUSED
    assert await ask(platform, "SELECT place, held_by FROM parcel") == before
    assert await ask(platform, "SELECT state FROM stop") == [("open",)]


def photo_of(colour: int) -> str:
    kept = io.BytesIO()
    Image.new("RGB", (32, 32), (colour, colour, 0)).save(kept, "PNG")
    return base64.b64encode(kept.getvalue()).decode()


async def test_a_visit_holds_so_many_photos_and_no_more(
    platform: Platform, tenant: Tenant, visit_id: str
) -> None:
    """A proof holds them all: without an end to them, one phone could fill a server's memory."""
    await tell(platform, visit_id, Fact.GATE_PASSED, Fact.UNLOCK_SAID_DONE)
    path = f"/v1/courier/visits/{visit_id}/deposited"
    answers = [await tenant.courier.post(path, {"photo": photo_of(9 * one)}) for one in range(12)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [409] * 2
    assert (await tenant.courier.post(path, {"photo": photo_of(0)})).status_code == 200, "said twice"
    assert (await tenant.courier.post(path, {})).status_code == 200, "the word itself counts"


async def test_a_second_parcel_of_a_visit_stands_in_its_journal(
    platform: Platform, http: httpx.AsyncClient
) -> None:
    tenant = await make_tenant(platform, http)
    await ask_to_add_parcel(platform)
    await save_reading(platform, tenant.access_point_id)
    path = f"/v1/courier/stops/{tenant.stop_id}/scan"
    first = await tenant.courier.make(path, scan_body())
    for _ in range(2):  # the same again is nothing new
        again = await tenant.courier.make(path, scan_body(label={"text": f"(00){OTHER_PARCEL}"}))
        assert again["id"] == first["id"]
    scanned = await ask(platform, "SELECT body->>'label' FROM journal WHERE name = 'scanned' ORDER BY number")
    assert scanned == [(f"sscc:{PARCEL}",), (f"sscc:{OTHER_PARCEL}",)]
    await tell(platform, first["id"], Fact.GATE_PASSED, Fact.UNLOCK_SAID_DONE, Fact.COURIER_OPENED)
    await tenant.courier.make(f"/v1/courier/visits/{first['id']}/deposited", {})
    await tell(platform, first["id"], Fact.COURIER_CLOSED, Fact.SEEN_LOCKED)
    assert await ask(platform, "SELECT DISTINCT place FROM parcel") == [("in_place",)]


async def ask_to_add_parcel(platform: Platform) -> None:
    """A second parcel on the only stop there is."""
    async with platform.database.connection() as connection:
        await connection.execute(
            "INSERT INTO parcel SELECT 'par_second', carrier_id, shipment_id, stop_id, %s, place, held_by, created_at "
            "FROM parcel",
            (f"sscc:{OTHER_PARCEL}",),
        )


async def test_a_block_gets_through_though_scans_hold_every_connection(
    database_url: str, platform: Platform, tenant: Tenant
) -> None:
    full = Database(database_url, name="full", connections_max=1)
    await full.open()
    app = create_app(make_platform(full))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://unlatch.test") as http,
        full.connection(),
        asyncio.timeout(5),
    ):
        consignee = Caller(http=http, key=tenant.consignee.key)
        answer = await consignee.post(f"/v1/me/access_points/{tenant.access_point_id}/block")
    await full.close()
    assert answer.status_code == 200, answer.text
