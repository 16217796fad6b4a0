"""The operator's console over HTTP: what it shows, what it rules, and that nothing of it unlocks (S8)."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime

import httpx
import pytest
from tests.web.conftest import ADDRESS, PLATE, Caller, Tenant
from tests.web.test_consignee_pages import Browser, settle
from tests.web.test_pages import OURS, sign_in
from tests.web.test_visits import save_reading, scan, tell

from unlatch.domain.incident import Incident
from unlatch.domain.visit import Fact, State
from unlatch.flow.platform import Platform
from unlatch.store import calls
from unlatch.store.console import _BY_PERSON, UnderWay
from unlatch.web import board
from unlatch.web.board import Board
from unlatch.web.pages import console, console_audit


@pytest.fixture
async def browser(platform: Platform, http: httpx.AsyncClient, operator: Caller) -> Browser:
    made = Browser(http, await sign_in(http, operator.key), "en")
    await settle(platform)
    return made


@pytest.fixture
async def visit_id(platform: Platform, tenant: Tenant) -> str:
    await save_reading(platform, tenant.access_point_id)
    visit_id: str = (await scan(tenant))["id"]
    return visit_id


async def call_for(
    platform: Platform, visit_id: str, incident: Incident = Incident.DEVICE_NOT_OPENED
) -> None:
    async with platform.database.transaction() as connection:
        await calls.open_call(
            connection,
            "cal_1",
            visit_id=visit_id,
            kind="operator",
            incident=incident,
            now=platform.clock.now(),
        )


def test_each_state_stands_in_one_phase() -> None:
    assert sorted(state for phase in console.PHASES for state in phase) == sorted(State)


@pytest.mark.parametrize(
    "path",
    [
        "/console",
        "/console/live",
        "/console/clouds",
        "/console/visits/vis_0",
        "/console/freezes",
        "/console/couriers",
        "/console/audit",
    ],
)
async def test_it_is_an_operator_s_alone(http: httpx.AsyncClient, tenant: Tenant, path: str) -> None:
    assert (await http.get(path)).headers["location"] == f"/sign-in?to={path}"
    await sign_in(http, tenant.consignee.key)
    assert (await http.get(path)).status_code == 303


async def test_calls_come_first_and_what_is_under_way_names_no_address(
    platform: Platform, tenant: Tenant, visit_id: str, browser: Browser
) -> None:
    page = await browser.read("/console")
    assert "Nobody is to be looked after." in page
    assert f"/console/visits/{visit_id}" in page
    for secret in (PLATE, str(ADDRESS["latitude"]), "Ada Consignee"):
        assert secret not in page
    await call_for(platform, visit_id)
    page = await browser.read("/console")
    assert "Nobody is to be looked after." not in page
    assert page.index("Calls for help") < page.index("Under way")


async def test_a_visit_is_shown_whole_and_a_call_about_it_is_closed(
    platform: Platform, tenant: Tenant, visit_id: str, browser: Browser
) -> None:
    await call_for(platform, visit_id)
    page = await browser.read(f"/console/visits/{visit_id}")
    assert page.count('aria-current="step"') == 1
    assert "requested" in page
    page = await browser.do(f"/console/visits/{visit_id}/close", call="cal_1")
    assert "I have looked" not in page
    assert "Nobody is to be looked after." in await browser.read("/console")


async def test_a_freeze_is_one_press_and_its_end_asks_who_it_is(
    platform: Platform, tenant: Tenant, visit_id: str, browser: Browser
) -> None:
    path = f"/console/visits/{visit_id}"
    page = await browser.do(f"{path}/freeze")
    assert "End the freeze of this place" in page
    assert page.count("state-been") >= 1  # the way that it took before it was stopped
    async with platform.database.connection() as connection:
        await connection.execute("UPDATE session SET proved_at = proved_at - interval '1 hour'")
    answer = await browser.send(f"{path}/thaw")
    assert answer.headers["location"].startswith("/console/step-up")
    async with platform.database.connection() as connection:
        await connection.execute("UPDATE session SET proved_at = now()")
    assert "Freeze this place" in await browser.do(f"{path}/thaw")


async def test_a_ruling_is_refused_where_nothing_waits_for_one_and_needs_its_why(
    tenant: Tenant, visit_id: str, browser: Browser
) -> None:
    path = f"/console/visits/{visit_id}/rule"
    assert (await browser.send(path, ruling="delivered", why="seen")).status_code == 409
    answer = await browser.send(path, ruling="delivered", why="")
    assert answer.status_code in (400, 422)
    assert "why" in answer.text
    assert (await browser.send(path, ruling="unlock", why="x")).status_code in (400, 422)


async def test_nothing_of_the_console_unlocks(
    platform: Platform, http: httpx.AsyncClient, tenant: Tenant, browser: Browser
) -> None:
    """S8: no address of it names an unlock, no form leads to one, and pressing all leaves no command."""
    assert not [page.path for page in console.PAGES if "unlock" in page.path]
    visit_id = (await scan(tenant))["id"]  # nothing was read of the car: it waits
    page = await browser.read(f"/console/visits/{visit_id}")
    actions = set(re.findall(r'action="([^"]+)"', page))
    assert actions
    for action in actions - {"/language"}:
        await http.post(action, data={"csrf": browser.csrf}, headers=OURS)
    async with platform.database.connection() as connection:
        cursor = await connection.execute("SELECT count(*) FROM command WHERE verb = 'unlock'")
        assert await cursor.fetchone() == (0,)


async def test_clouds_are_shown_with_what_came_of_their_commands(
    platform: Platform, tenant: Tenant, visit_id: str, browser: Browser
) -> None:
    assert "No command has left" not in await browser.read("/console/clouds")
    page = await browser.read("/console/clouds")
    assert "Unlock" in page


@pytest.mark.parametrize(
    "path", ["/console", "/console/clouds", "/console/freezes", "/console/couriers", "/console/audit"]
)
async def test_it_speaks_french(http: httpx.AsyncClient, operator: Caller, path: str) -> None:
    await sign_in(http, operator.key)
    await http.post("/language", data={"language": "fr", "to": path}, headers=OURS)
    assert "En direct" in await Browser(http, "", "fr").read(path)


async def test_who_did_what_is_looked_up_page_after_page(
    platform: Platform, tenant: Tenant, visit_id: str, browser: Browser
) -> None:
    for _ in range(console_audit.SHOWN // 2 + 3):
        await tenant.consignee.make(f"/v1/me/access_points/{tenant.access_point_id}/block")
        await tenant.consignee.make(f"/v1/me/access_points/{tenant.access_point_id}/unblock")
    page = await browser.read(f"/console/audit?of={tenant.access_point_id}")
    assert page.count("<time ") == console_audit.SHOWN
    assert PLATE not in page
    earlier = re.search(r'href="(/console/audit[^"]+before=[^"]+)"', page)
    assert earlier is not None
    rest = await browser.read(earlier[1].replace("&amp;", "&"))
    assert f"/console/visits/{visit_id}" in rest
    page = await browser.read(f"/console/audit?of={tenant.stop_id}")
    assert f"/console/visits/{visit_id}" in page
    for unknown in ("acc_0", "stp_0", "xyz_1", "'; --"):
        answer = await browser.http.get("/console/audit", params={"of": unknown})
        assert answer.status_code == 404, unknown
    answer = await browser.http.get("/console/audit", params={"of": visit_id})
    assert answer.headers["location"] == f"/console/visits/{visit_id}"


# ---- freezes, couriers, by person, live ---------------------------------------------------------------------


async def test_a_freeze_is_put_in_force_and_ended_and_stands_among_what_was_done(
    platform: Platform, tenant: Tenant, browser: Browser, operator: Caller
) -> None:
    page = await browser.do(
        "/console/freezes", scope="cloud", subject="onstar", why="it opens the wrong cars"
    )
    assert "it opens the wrong cars" in page
    visit = await scan(tenant)
    assert visit["state"] == "refused"
    assert "platform_frozen_widely" in str(visit)
    found = re.search(r'action="(/console/freezes/[^"]+/thaw)"', page)
    assert found is not None
    async with platform.database.connection() as connection:
        await connection.execute("UPDATE session SET proved_at = proved_at - interval '1 hour'")
    answer = await browser.send(found[1])
    assert answer.headers["location"].startswith("/console/step-up")
    async with platform.database.connection() as connection:
        await connection.execute("UPDATE session SET proved_at = now()")
    assert "Nothing is frozen beyond single places." in await browser.do(found[1])
    me = (await operator.get("/v1/operator/freezes")).json()["freezes"][0]["frozen_by"]
    page = await browser.read(f"/console/audit?of={me.partition(':')[2]}")
    assert "it opens the wrong cars" in page
    assert "A freeze was ended" in page


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        (
            {
                "scope": "area",
                "subject": "x",
                "why": "abc",
                "latitude": "91",
                "longitude": "0",
                "radius_m": "5",
            },
            "latitude",
        ),
        ({"scope": "area", "subject": "x", "why": "abc", "latitude": "1"}, "longitude"),
        ({"scope": "courier", "subject": "cou_0", "why": "abc"}, "courier"),
        ({"scope": "cloud", "subject": "dacia", "why": "abc"}, "maker"),
        ({"scope": "cloud", "subject": "onstar", "why": ""}, "why"),
        ({"scope": "moon", "why": "abc"}, "scope"),
    ],
)
async def test_what_can_not_be_frozen_is_told_by_name(
    browser: Browser, fields: dict[str, str], names: str
) -> None:
    answer = await browser.send("/console/freezes", **fields)
    assert answer.status_code in (400, 422), answer.text
    assert names in answer.text


async def test_couriers_are_looked_up_and_a_phone_is_revoked(
    platform: Platform, tenant: Tenant, visit_id: str, browser: Browser
) -> None:
    async with platform.database.connection() as connection:
        cursor = await connection.execute("SELECT id, first_name, carrier_id FROM courier LIMIT 1")
        row = await cursor.fetchone()
        assert row is not None
        cursor = await connection.execute("SELECT id FROM device WHERE courier_id = %s", (row[0],))
        device = await cursor.fetchone()
    assert device is not None
    page = ""
    for asked in (row[0], row[1], row[1].upper(), row[2], ""):
        page = await browser.read(f"/console/couriers?of={asked}")
        assert row[0] in page, asked
        assert device[0] in page
    assert f"/console/visits/{visit_id}" in page
    for asked in ("cou_0", "car_0", "Nobody"):
        assert row[0] not in await browser.read(f"/console/couriers?of={asked}")
    page = await browser.do(f"/console/couriers/{row[0]}/revoke", device=device[0])
    assert "revoked" in page
    assert (await scan_of(tenant)).status_code == 401
    assert (await browser.send("/console/couriers/cou_0/revoke", device=device[0])).status_code == 404
    assert (await browser.send(f"/console/couriers/{row[0]}/revoke", device="dev_0")).status_code == 404


async def scan_of(tenant: Tenant) -> httpx.Response:
    return await tenant.courier.get("/v1/courier/stops")


async def test_couriers_come_page_after_page(platform: Platform, tenant: Tenant, browser: Browser) -> None:
    async with platform.database.connection() as connection:
        await connection.execute(
            "INSERT INTO courier (id, carrier_id, first_name, is_active, created_at) "
            "SELECT 'cou_more' || number, carrier_id, 'Cy', true, now() - number * interval '1 minute' "
            "FROM courier, generate_series(1, 40) number WHERE id NOT LIKE 'cou_more%'"
        )
    seen: set[str] = set()
    path = "/console/couriers?of=Cy"
    for _ in range(2):
        page = await browser.read(path)
        seen |= set(re.findall(r"cou_more\d+", page))
        following = re.search(r'href="(/console/couriers[^"]+before=[^"]+)"', page)
        path = following[1].replace("&amp;", "&") if following else ""
    assert len(seen) == 40
    assert path == ""


async def test_what_a_person_did_is_looked_up_within_a_time(
    tenant: Tenant, visit_id: str, browser: Browser
) -> None:
    await tenant.consignee.make(f"/v1/me/access_points/{tenant.access_point_id}/block")
    page = await browser.read(f"/console/audit?of={tenant.consignee.id}")
    assert "This place was blocked." in page
    assert tenant.access_point_id in page
    assert "This place was blocked." not in await browser.read(
        f"/console/audit?of={tenant.consignee.id}&until=2020-01-01"
    )
    assert "This place was blocked." not in await browser.read(
        f"/console/audit?of={tenant.consignee.id}&since=2999-01-01"
    )
    page = await browser.read(f"/console/audit?of={tenant.courier.id}&since=nonsense")
    assert f"/console/visits/{visit_id}" in page


def seen_visit(visit_id: str, state: str) -> UnderWay:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return UnderWay(
        id=visit_id, state=state, tail="none", incident=None, begun_at=at, ended_at=None, deadline_at=None,
        secure_by=None, access_point_id="acc_1", kind="car", is_frozen=False, courier="Cy", carrier="C", maker=None,
    )  # fmt: skip


def test_the_board_tells_what_has_changed_and_no_more() -> None:
    one, other = seen_visit("vis_1", "open"), seen_visit("vis_2", "open")
    before = board.Seen(visits={"vis_2": other, "vis_1": one}, calls=[])
    first = board.difference(None, before)
    assert [each.id for each in first.changed] == ["vis_1", "vis_2"]  # the oldest first
    assert first.calls == []
    assert board.difference(before, before).is_empty
    now = board.Seen(visits={"vis_2": seen_visit("vis_2", "closed")}, calls=[])
    found = board.difference(before, now)
    assert ([each.id for each in found.changed], found.gone, found.calls) == (["vis_2"], ["vis_1"], None)


async def test_the_live_board_comes_as_events(
    platform: Platform, tenant: Tenant, visit_id: str, browser: Browser
) -> None:
    told = Board(platform.database)
    events = told.follow()
    first = await anext(events)
    while first is None:
        first = await anext(events)
    assert [one.id for one in first.changed] == [visit_id]
    async with platform.database.connection() as connection:
        await connection.execute("UPDATE visit SET incident = 'courier_gave_up' WHERE id = %s", (visit_id,))
    async for change in events:
        if change is not None:
            break
    assert change is not None
    assert (change.changed[0].incident, change.gone, change.calls) == ("courier_gave_up", [], None)
    await call_for(platform, visit_id)
    async for change in events:
        if change is not None:
            break
    assert change is not None
    assert change.calls is not None
    assert [one.id for one in change.calls] == ["cal_1"]
    await told.close()


async def test_the_map_tells_those_who_were_looked_at_and_no_other(
    platform: Platform, tenant: Tenant, visit_id: str, browser: Browser
) -> None:
    page = await browser.read("/console/map")
    assert str(ADDRESS["latitude"]) not in page
    for _ in range(2):
        points = (await browser.send("/console/map/points")).json()
        assert [one["id"] for one in points] == [visit_id]
    assert (await browser.send("/console/map/points", visit="vis_0")).json() == []
    async with platform.database.connection() as connection:
        cursor = await connection.execute("SELECT access_point_id FROM look WHERE what = 'map'")
        assert await cursor.fetchall() == [(tenant.access_point_id,)]
    assert (
        await browser.http.post("/console/map/points", headers=OURS)
    ).status_code == 403  # without its word


async def test_the_hours_of_a_cloud_are_drawn_from_its_commands(
    platform: Platform, tenant: Tenant, visit_id: str, browser: Browser
) -> None:
    page = await browser.read("/console/clouds")
    assert "data-chart=" in page
    assert "&#34;hours&#34;:[" in page


async def rule(platform: Platform, operator: Caller, visit_id: str, ruling: str) -> None:
    """An opening that was not seen locked, the call about it, and what an operator rules on it."""
    await tell(platform, visit_id, Fact.GATE_PASSED, Fact.UNLOCK_SAID_DONE, Fact.PATIENCE_RAN_OUT)
    await operator.make(f"/v1/operator/visits/{visit_id}/rule", {"ruling": ruling, "why": "the courier rang"})


@pytest.mark.parametrize(
    ("language", "ruled", "closed"),
    [
        ("en", "A ruling: With the courier: not delivered", "A call was closed: Not seen locked in time."),
        (
            "fr",
            "Une décision : Chez le livreur : non livré",
            "Un appel a été clos : Verrouillage non constaté",
        ),
    ],
)
async def test_what_an_operator_ruled_and_closed_is_found_by_their_id(
    platform: Platform, http: httpx.AsyncClient, operator: Caller, tenant: Tenant, visit_id: str,
    language: str, ruled: str, closed: str,
) -> None:  # fmt: skip
    await rule(platform, operator, visit_id, "undelivered")
    await sign_in(http, operator.key)
    await http.post("/language", data={"language": language, "to": "/console"}, headers=OURS)
    browser = Browser(http, "", language)
    page = html.unescape(await browser.read(f"/console/audit?of={operator.id}"))
    assert ruled in page
    assert closed in page
    assert page.count(f'href="/console/visits/{visit_id}"') == 2
    assert tenant.access_point_id in page
    assert "the courier rang" not in page, "what a person wrote stands in the journal alone"
    later = f"/console/audit?of={operator.id}&since=2999-01-01"
    assert ruled not in html.unescape(await browser.read(later))
    assert visit_id not in await browser.read("/console/audit?of=ope_0")
    assert ruled not in html.unescape(await browser.read(f"/console/audit?of={tenant.courier.id}"))


async def test_what_was_done_at_one_moment_is_not_torn_apart_by_a_page(
    platform: Platform, operator: Caller, tenant: Tenant, visit_id: str, browser: Browser
) -> None:
    await rule(platform, operator, visit_id, "delivered")
    # So many newer ones that the page would end between the ruling and the call that it closed.
    async with platform.database.connection() as connection:
        await connection.execute(
            "INSERT INTO look (id, access_point_id, who, what, at) SELECT 'loo_more' || number, %s, %s, 'map', "
            "now() + interval '1 minute' FROM generate_series(1, %s) number",
            (tenant.access_point_id, f"operator:{operator.id}", console_audit.SHOWN - 1),
        )
    page = await browser.read(f"/console/audit?of={operator.id}")
    assert page.count("<time ") == console_audit.SHOWN - 1
    earlier = re.search(r'href="(/console/audit[^"]+before=[^"]+)"', page)
    assert earlier is not None
    rest = await browser.read(earlier[1].replace("&amp;", "&"))
    assert rest.count("<time ") == 2
    assert "A ruling" in rest
    assert "A call was closed" in rest


async def test_what_a_person_did_is_found_by_an_index_for_each_part(platform: Platform) -> None:
    values = {"who": "operator:ope_1", "courier": "", "since": console_audit.FIRST, "before": console_audit.LAST,
              "limit": 51}  # fmt: skip
    async with platform.database.transaction() as connection:
        await connection.execute("SET LOCAL enable_seqscan = off")
        cursor = await connection.execute(f"EXPLAIN {_BY_PERSON}".encode(), values)
        plan = "\n".join(str(row[0]) for row in await cursor.fetchall())
    for index in ("deed_by_person", "look_by_person", "ruling_by_person", "call_by_closer"):
        assert index in plan, plan
