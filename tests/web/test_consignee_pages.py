"""The consignee's pages over HTTP: what comes, what may be done about it, and who may not."""

from __future__ import annotations

import httpx
import pytest
from tests.web.conftest import CAR_TOKEN, PLATE, VIN, Tenant, make_tenant
from tests.web.test_deliveries import begin_soon, run_due
from tests.web.test_pages import OURS, sign_in
from tests.web.test_visits import save_reading, scan

from unlatch.flow.platform import Platform


class Browser:
    """One who is signed in, and the word that their forms bear."""

    def __init__(self, http: httpx.AsyncClient, csrf: str, language: str) -> None:
        self.http, self.csrf = http, csrf
        self.headers = {**OURS, "accept-language": language}

    async def read(self, path: str) -> str:
        answer = await self.http.get(path, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def send(self, path: str, **fields: str) -> httpx.Response:
        return await self.http.post(path, data={"csrf": self.csrf, **fields}, headers=self.headers)

    async def page(self, path: str, **fields: str) -> str:
        """Press a button that answers with a page of its own."""
        answer = await self.send(path, **fields)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def do(self, path: str, **fields: str) -> str:
        """Press a button; the page that one is led to."""
        answer = await self.send(path, **fields)
        assert answer.status_code == 303, answer.text
        return await self.read(answer.headers["location"])


async def settle(platform: Platform) -> None:
    """As if this browser had been signed in for days."""
    async with platform.database.connection() as connection:
        await connection.execute("UPDATE session SET settles_at = settles_at - interval '3 days'")


@pytest.fixture
async def browser(platform: Platform, http: httpx.AsyncClient, tenant: Tenant) -> Browser:
    made = Browser(http, await sign_in(http, tenant.consignee.key), "en")
    await settle(platform)
    return made


@pytest.mark.parametrize("path", ["/me", "/me/places", "/me/notices", "/me/history"])
async def test_without_signing_in_nothing_is_shown(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/sign-in?to={path}")


async def test_today_shows_what_comes_and_a_block_is_one_tap(
    platform: Platform, tenant: Tenant, browser: Browser
) -> None:
    await begin_soon(platform, tenant)
    page = await browser.read("/me")
    assert f"/me/deliveries/{tenant.stop_id}" in page
    assert "1 parcel" in page
    assert "Not checked yet" in page
    page = await browser.do(f"/me/places/{tenant.access_point_id}/block", to="/me")
    assert "Blocked: nothing opens there." in page
    page = await browser.do(f"/me/places/{tenant.access_point_id}/unblock", to="/me")
    assert "Blocked: nothing opens there." not in page


async def test_unblocking_widens_and_therefore_asks_who_it_is(
    platform: Platform, tenant: Tenant, browser: Browser
) -> None:
    await browser.do(f"/me/places/{tenant.access_point_id}/block", to="/me/places")
    async with platform.database.connection() as connection:
        await connection.execute("UPDATE session SET settles_at = now() + interval '1 day'")
    answer = await browser.send(f"/me/places/{tenant.access_point_id}/unblock")
    assert answer.status_code == 409
    await settle(platform)
    async with platform.database.connection() as connection:
        await connection.execute("UPDATE session SET proved_at = proved_at - interval '1 hour'")
    answer = await browser.send(f"/me/places/{tenant.access_point_id}/unblock")
    assert answer.headers["location"].startswith("/step-up")
    assert "Blocked: nothing opens there." in await browser.read("/me/places")


async def test_a_delivery_can_be_checked_redirected_and_kept(
    platform: Platform, tenant: Tenant, browser: Browser
) -> None:
    await begin_soon(platform, tenant)
    path = f"/me/deliveries/{tenant.stop_id}"
    page = await browser.read(path)
    assert "Am I in range?" in page
    assert "America/Los_Angeles" in page
    await save_reading(platform, tenant.access_point_id)
    await browser.do(f"{path}/check")
    await run_due(platform)
    assert "In range" in await browser.read(path)
    page = await browser.do(f"{path}/redirect", way="neighbour")
    assert "Bring it here after all" in page
    page = await browser.do(f"{path}/keep")
    assert "Bring it here after all" not in page
    assert "Send it another way" in page
    answer = await browser.send(f"{path}/redirect", way="the moon")
    assert answer.status_code == 400
    assert "fallback" in answer.text


async def test_a_stranger_s_delivery_place_and_account_are_not_there(
    platform: Platform, http: httpx.AsyncClient, tenant: Tenant, browser: Browser
) -> None:
    other = await make_tenant(platform, http, "Other Post")
    for path in (
        f"/me/deliveries/{other.stop_id}",
        f"/me/places/{other.access_point_id}",
        "/me/accounts/acc_0",
    ):
        answer = await http.get(path)
        assert answer.status_code == 404, path
    for path in (
        f"/me/deliveries/{other.stop_id}/redirect", f"/me/deliveries/{other.stop_id}/check",
        f"/me/places/{other.access_point_id}/block", f"/me/places/{other.access_point_id}/invite",
    ):  # fmt: skip
        answer = await browser.send(path, way="depot")
        assert answer.status_code in (403, 404), path


async def test_after_a_visit_its_story_is_there_and_it_is_rated_and_claimed(
    platform: Platform, http: httpx.AsyncClient, tenant: Tenant, browser: Browser
) -> None:
    await save_reading(platform, tenant.access_point_id)
    visit = await scan(tenant)
    path = f"/me/deliveries/{tenant.stop_id}"
    page = await browser.read(path)
    assert f'data-follow="/v1/visits/{visit["id"]}/events"' in page
    assert "don't move the car" in page
    assert PLATE not in page
    page = await browser.do(f"/me/places/{tenant.access_point_id}/block", to=path)
    assert "Blocked: nothing opens there." in page
    assert f"/v1/visits/{visit['id']}/proof" in page
    page = await browser.do(f"{path}/rate", visit_id=visit["id"], stars="4", words="fine")
    answer = await browser.send(f"{path}/rate", visit_id=visit["id"], stars="9")
    assert answer.status_code in (400, 422)
    assert "stars" in answer.text
    history = await browser.read("/me/history")
    assert path in history


async def test_a_household_is_invited_joined_and_left(
    platform: Platform, http: httpx.AsyncClient, tenant: Tenant, browser: Browser
) -> None:
    place = f"/me/places/{tenant.access_point_id}"
    answer = await browser.send(f"{place}/invite")
    assert answer.status_code == 200
    code = answer.text.partition('<p class="mono lead">')[2].partition("<")[0]
    assert len(code) >= 20
    made = await tenant.carrier.make("/v1/consignees", {"name": "Bob Housemate", "language": "fr"})
    http.cookies.clear()
    bob = Browser(http, await sign_in(http, made["key"]), "fr")
    await settle(platform)
    page = await bob.do("/me/join", code=code)
    assert "Quitter ce foyer" in page
    page = await bob.do(f"{place}/leave")
    assert "Vous n'avez pas encore de lieu" in page


async def test_quiet_hours_are_set_and_a_bad_field_is_named(tenant: Tenant, browser: Browser) -> None:
    answer = await browser.send("/me/notices/mail", to="ada@example.org")
    assert answer.status_code == 409  # this server sends no mail, and says so
    page = await browser.do("/me/notices/quiet", begins="22:00", ends="07:00", time_zone="Europe/Paris")
    assert 'value="22:00"' in page
    answer = await browser.send("/me/notices/quiet", begins="22:00", ends="07:00", time_zone="Mars/Base")
    assert answer.status_code in (400, 422)
    assert "time_zone" in answer.text
    page = await browser.do("/me/notices/quiet", begins="", ends="", time_zone="")
    assert 'value="22:00"' not in page


@pytest.mark.parametrize("path", ["/me", "/me/places", "/me/notices", "/me/history"])
async def test_each_page_speaks_french(tenant: Tenant, http: httpx.AsyncClient, path: str) -> None:
    made = await tenant.carrier.make("/v1/consignees", {"name": "Zoé", "language": "fr"})
    page = await Browser(http, await sign_in(http, made["key"]), "fr").read(path)
    assert '<html lang="fr">' in page
    assert "Aujourd'hui" in page


async def test_anyone_may_ask_whether_it_would_work(http: httpx.AsyncClient) -> None:
    page = (await http.get("/check")).text
    assert 'value="Volvo"' in page
    asked = {"postcode": "98109", "make": "Volvo", "model_year": "2018", "service": "yes", "plan": "prime"}
    answer = await http.get("/check", params=asked)
    assert answer.status_code == 200
    assert 'data-verdict="offered"' in answer.text
    assert (
        'data-verdict="not_offered"'
        in (await http.get("/check", params={**asked, "model_year": "2014"})).text
    )
    assert (
        'data-verdict="depends"'
        in (await http.get("/check", params={**asked, "service": "", "plan": ""})).text
    )
    french = await http.get(
        "/check", params={**asked, "model_year": "2014"}, headers={"accept-language": "fr"}
    )
    assert "Pas encore, car" in french.text
    for wrong, field in (
        ({"model_year": "soon"}, "model_year"),
        ({"postcode": "<b>"}, "postcode"),
        ({"postcode": ""}, ""),
    ):
        answer = await http.get("/check", params={**asked, **wrong})
        assert answer.status_code == 400, wrong
        assert field in answer.text
        assert "<b>" not in answer.text


async def test_all_that_is_kept_is_one_file_for_who_shows_who_they_are(
    platform: Platform, tenant: Tenant, browser: Browser
) -> None:
    await browser.do(f"/me/places/{tenant.access_point_id}/block", to="/me")
    assert "All that is kept of you" in await browser.read("/me/data")
    answer = await browser.send("/me/data")
    assert answer.status_code == 200, answer.text
    assert "attachment" in answer.headers["content-disposition"]
    data = answer.json()
    assert data["person"]["name"] == "Ada Consignee"
    assert [one["id"] for one in data["places"]] == [tenant.access_point_id]
    assert [one["stop_id"] for one in data["deliveries_to_come"]] == [tenant.stop_id]
    assert any(deed["what"] == "blocked" for page in data["timeline"] for deed in page["deeds"])
    assert data["left_out"] == []
    for secret in (CAR_TOKEN, VIN, tenant.consignee.key):
        assert secret not in answer.text
    async with platform.database.connection() as connection:
        await connection.execute("UPDATE session SET proved_at = proved_at - interval '1 hour'")
    assert (await browser.send("/me/data")).headers["location"].startswith("/step-up")
