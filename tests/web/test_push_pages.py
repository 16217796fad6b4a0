"""A browser as a way to be told: its channel on the page of notices, a test, the end of it, and the worker."""

from __future__ import annotations

import re

import httpx
import pytest
from tests.web.conftest import Tenant, make_tenant
from tests.web.test_consignee_pages import Browser, settle
from tests.web.test_notices import E, confirmed_mail, platform, send_all, tell_of, tenant, town, town_url
from tests.web.test_pages import sign_in

from unlatch.flow.platform import Platform
from unlatch.town.client import TownClient
from unlatch.town.post_office import PostFaultKind, Subscription, Way

__all__ = ["platform", "tenant", "town", "town_url"]  # fixtures, found by their names


@pytest.fixture
async def browser(platform: Platform, http: httpx.AsyncClient, tenant: Tenant) -> Browser:
    made = Browser(http, await sign_in(http, tenant.consignee.key), "en")
    await settle(platform)
    return made


async def subscribe(browser: Browser, town: TownClient) -> Subscription:
    """As `push.js` does with what the browser's push service has given it."""
    found = re.search(r'data-push="([\w-]+)"', await browser.read("/me/notices"))
    assert found is not None
    made = await town.subscribe(found[1])
    await browser.do(
        "/me/notices/browser", endpoint=made.endpoint, p256dh=made.keys.p256dh, auth=made.keys.auth
    )
    return made


def channels_of(page: str) -> list[str]:
    return re.findall(r'action="/me/notices/end".*?name="channel" value="(\w+)"', page)


async def test_a_browser_is_told_where_a_tap_leads(
    platform: Platform, tenant: Tenant, browser: Browser, town: TownClient
) -> None:
    made = await subscribe(browser, town)
    page = await browser.read("/me/notices")
    (channel_id,) = channels_of(page)
    assert f'data-here="{channel_id}"' in page
    assert "This browser" in page
    await tell_of(platform, tenant, E.BOOKED, "stp_1/1")
    await send_all(platform)
    (letter,) = (await town.pushed(made.id)).letters
    assert letter.data["stop_id"] == tenant.stop_id


async def test_a_test_arrives_at_once_and_is_told_on_the_page(browser: Browser, town: TownClient) -> None:
    made = await subscribe(browser, town)
    (channel_id,) = channels_of(await browser.read("/me/notices"))
    assert "A test was sent there." in await browser.do("/me/notices/test", channel=channel_id)
    await browser.do("/me/notices/test", channel=channel_id)
    first, second = (await town.pushed(made.id)).letters
    assert (first.subject, first.event, first.data["stop_id"]) == ("A test of Unlatch", "test", None)
    assert first.once_id != second.once_id, "each test shows"


@pytest.mark.parametrize(
    ("kind", "why", "left"),
    [
        (PostFaultKind.REJECT, "the push service answers 503", 1),
        (PostFaultKind.GONE, "the browser has ended its subscription", 0),
    ],
)
async def test_a_test_that_does_not_arrive_says_why(
    browser: Browser, town: TownClient, kind: PostFaultKind, why: str, left: int
) -> None:
    await subscribe(browser, town)
    (channel_id,) = channels_of(await browser.read("/me/notices"))
    await town.set_post_fault(Way.PUSH, kind)
    answer = await browser.send("/me/notices/test", channel=channel_id)
    assert answer.status_code == 409
    assert f"the test could not be sent there: {why}" in answer.text
    assert len(channels_of(await browser.read("/me/notices"))) == left


async def test_a_test_goes_to_one_s_own_live_channels_and_not_too_often(
    platform: Platform, http: httpx.AsyncClient, tenant: Tenant, town: TownClient
) -> None:
    mine = await confirmed_mail(tenant, town)
    path = f"/v1/me/channels/{mine['id']}/test"
    other = await make_tenant(platform, http, "Other Post")
    assert (await other.consignee.post(path)).status_code == 404
    waiting = await tenant.consignee.make("/v1/me/channels", {"kind": "email", "to": "bo@example.org"})
    refused = await tenant.consignee.post(f"/v1/me/channels/{waiting['id']}/test")
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "send back the code that was sent there first",
    )
    answers = [(await tenant.consignee.post(path)).status_code for _ in range(10)]
    assert answers == [200] * 9 + [429]
    assert len((await town.mail("ann@example.org")).letters) == 1 + 9
    assert (await town.mail("bo@example.org")).received == 1, "its code alone"


async def test_a_browser_that_begins_anew_takes_its_own_place(
    tenant: Tenant, browser: Browser, town: TownClient
) -> None:
    await confirmed_mail(tenant, town)
    await subscribe(browser, town)
    before = channels_of(await browser.read("/me/notices"))
    await subscribe(browser, town)
    after = channels_of(await browser.read("/me/notices"))
    assert len(after) == len(before) == 2
    assert after[0] == before[0]
    assert after[1] != before[1]


@pytest.mark.parametrize("comes_back", [False, True])
@pytest.mark.parametrize("signs_out_from", ["here", "another browser"])
async def test_a_browser_that_is_signed_out_is_not_told_any_more(
    platform: Platform,
    http: httpx.AsyncClient,
    tenant: Tenant,
    browser: Browser,
    town: TownClient,
    *,
    comes_back: bool,
    signs_out_from: str,
) -> None:
    """Wherever that was done, and though it has signed in again since it began to be told."""
    made = await subscribe(browser, town)
    if comes_back:
        browser.csrf = await sign_in(http, tenant.consignee.key)
    session_id = await latest_session(platform)
    if signs_out_from == "another browser":
        http.cookies.clear()
        browser.csrf = await sign_in(http, tenant.consignee.key)
        assert (await latest_session(platform)) != session_id
    await browser.send("/sign-out", session=session_id)
    await tell_of(platform, tenant, E.BOOKED, "stp_1/1")
    await send_all(platform)
    assert (await town.pushed(made.id)).received == 0
    assert (await tenant.consignee.get("/v1/me/channels")).json() == {"channels": []}


async def latest_session(platform: Platform) -> str:
    async with platform.database.connection() as connection:
        cursor = await connection.execute("SELECT id FROM session ORDER BY created_at DESC LIMIT 1")
        row = await cursor.fetchone()
    assert row is not None
    return str(row[0])


async def test_the_next_person_in_this_browser_neither_ends_nor_sees_the_channel_of_the_last(
    platform: Platform, http: httpx.AsyncClient, tenant: Tenant, browser: Browser, town: TownClient
) -> None:
    await subscribe(browser, town)
    kept = channels_of(await browser.read("/me/notices"))
    other = await make_tenant(platform, http, "Other Post")
    browser.csrf = await sign_in(http, other.consignee.key)
    assert 'data-here=""' in await browser.read("/me/notices")
    await browser.send("/sign-out")
    listed = (await tenant.consignee.get("/v1/me/channels")).json()["channels"]
    assert [one["id"] for one in listed] == kept


async def test_a_new_browser_widens_nothing_and_nonsense_is_named(
    platform: Platform, browser: Browser, town: TownClient
) -> None:
    answer = await browser.send("/me/notices/browser", endpoint="https://push.example/1")
    assert answer.status_code == 400
    assert "p256dh" in answer.text
    async with platform.database.connection() as connection:
        await connection.execute("UPDATE session SET settles_at = now() + interval '1 day'")
    assert (await browser.send("/me/notices/browser")).status_code == 409


async def test_the_worker_and_the_manifest_need_no_sign_in_and_no_one_else_s_server(
    http: httpx.AsyncClient,
) -> None:
    worker = await http.get("/me/worker.js")
    assert worker.status_code == 200
    assert worker.headers["service-worker-allowed"] == "/me"
    assert worker.headers["cache-control"] == "no-cache"
    assert "http" not in worker.text
    manifest = (await http.get("/me/app.webmanifest", headers={"accept-language": "fr"})).json()
    assert manifest["start_url"] == "/me"
    assert manifest["name"] == "Unlatch : vos livraisons"
    for icon in manifest["icons"]:
        assert (await http.get(icon["src"])).headers["content-type"] == "image/png"
    assert re.search(r'const ICON = "(/static/[^"]+)"', worker.text)


async def test_an_installation_without_web_push_does_not_offer_it(
    platform: Platform, browser: Browser
) -> None:
    assert "data-push=" in await browser.read("/me/notices")
    platform.dispatcher.push_key = None
    assert "data-push=" not in await browser.read("/me/notices")
