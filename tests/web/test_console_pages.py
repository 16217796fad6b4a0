"""The operator's console over HTTP: what it shows, what it rules, and that nothing of it unlocks (S8)."""

from __future__ import annotations

import re

import httpx
import pytest
from tests.web.conftest import ADDRESS, PLATE, Caller, Tenant
from tests.web.test_consignee_pages import Browser, settle
from tests.web.test_pages import OURS, sign_in
from tests.web.test_visits import save_reading, scan

from unlatch.domain.incident import Incident
from unlatch.domain.visit import State
from unlatch.flow.platform import Platform
from unlatch.store import calls
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


@pytest.mark.parametrize("path", ["/console", "/console/clouds", "/console/visits/vis_0"])
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


@pytest.mark.parametrize("path", ["/console", "/console/clouds"])
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
    for unknown in ("acc_0", "stp_0", "con_1", "'; --"):
        answer = await browser.http.get("/console/audit", params={"of": unknown})
        assert answer.status_code == 404, unknown
    answer = await browser.http.get("/console/audit", params={"of": visit_id})
    assert answer.headers["location"] == f"/console/visits/{visit_id}"
