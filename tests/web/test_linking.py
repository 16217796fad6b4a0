"""A consignee links their car through the API and their browser: all ends, all refusals, nobody else's."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from tests.devices.simulated import TownAt, running_town
from tests.web.conftest import ADDRESS, PUBLIC_URL, Caller, Tenant, make_platform, make_tenant
from tests.web.people import add_consignee, invite

from unlatch.devices.catalogue import Catalogue
from unlatch.flow import refreshing
from unlatch.flow.platform import Platform
from unlatch.settings import OAuthClient
from unlatch.store.database import Database
from unlatch.town.client import TownClient
from unlatch.town.faults import FaultKind, Verb

CLIENTS = {
    "volvo": OAuthClient(client_id="unlatch", client_secret="s", api_key="key"),
    "onstar": OAuthClient(client_id="unlatch", client_secret="s"),
}
VOLVO, CHEVROLET = "YV1RS592XM2000001", "1G1FY6S02N4100001"
CALLBACK = f"{PUBLIC_URL}/v1/links/callback"


@pytest.fixture(scope="module")
def town_at() -> Iterator[TownAt]:
    with running_town() as town:
        yield town


@pytest.fixture
async def town(town_at: TownAt) -> AsyncIterator[TownClient]:
    async with TownClient(town_at.address) as client:
        await client.reset()
        for maker, known in CLIENTS.items():
            await client.add_oauth_client(maker, known.client_id, known.client_secret, CALLBACK)
        await client.add_car("volvo", VOLVO, account_id="ada", model="XC60", model_year=2021, colour="red")
        await client.add_car(
            "onstar", CHEVROLET, account_id="ada", make="Chevrolet", model="Bolt", model_year=2022
        )
        yield client


@pytest.fixture
async def platform(database: Database, town: TownClient, town_at: TownAt) -> AsyncIterator[Platform]:
    plain = make_platform(database)
    await plain.makers.close()
    makers = Catalogue(town_at.clock, dict.fromkeys(CLIENTS, town_at.address), CLIENTS)
    settings = replace(plain.settings, oauth_clients=CLIENTS)
    yield replace(plain, settings=settings, makers=makers, clock=town_at.clock)
    await makers.close()


@dataclass(kw_only=True)
class Browser:
    """The owner's."""

    http: httpx.AsyncClient
    town: TownClient

    async def go(self, authorize_url: str, account: str = "ada", decision: str = "approve") -> httpx.Response:
        """To the maker and back; what we show then."""
        back = await self.town.approve(authorize_url, account, decision=decision)
        assert back.startswith(CALLBACK)
        return await self.http.get(back)

    async def confirm(self, page: httpx.Response) -> httpx.Response:
        """Follow the page's one link."""
        found = re.search(r'href="([^"]+)"', page.text)
        assert found is not None, page.text
        return await self.http.get(f"{CALLBACK}{html.unescape(found[1])}")


@pytest.fixture
def browser(http: httpx.AsyncClient, town: TownClient) -> Browser:
    return Browser(http=http, town=town)


def shows(page: httpx.Response, name: str) -> bool:
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    return f'<main id="{name}">' in page.text


async def begin(who: Caller, maker: str = "volvo", **more: Any) -> str:
    made = await who.make("/v1/me/accounts", {"maker": maker, **more})
    return str(made["authorize_url"])


async def link(who: Caller, browser: Browser, maker: str = "volvo") -> str:
    """An account, linked; its id."""
    page = await browser.confirm(await browser.go(await begin(who, maker)))
    assert shows(page, "linked"), page.text
    return str((await who.get("/v1/me/accounts")).json()["accounts"][0]["id"])


def new_place(account_id: str, vin: str = VOLVO, **changes: Any) -> dict[str, Any]:
    return {
        "account_id": account_id,
        "vin": vin,
        "address": ADDRESS,
        "time_zone": "America/Los_Angeles",
        "name": "at work",
        "plate": "BXK7J42",
        **changes,
    }


async def test_which_makers_and_what_they_will_ask(http: httpx.AsyncClient, platform: Platform) -> None:
    shown = (await http.get("/v1/makers")).json()["makers"]
    assert [one["name"] for one in shown] == ["onstar", "volvo"]
    asked = {one["power"]: one["text"] for one in shown[1]["asks_for"]}
    assert asked["open"] == "open the trunk for a delivery"
    french = (await http.get("/v1/makers", headers={"accept-language": "fr"})).json()["makers"]
    assert french[0]["asks_for"][2]["text"] == "ouvrir le coffre pour une livraison"


@pytest.mark.parametrize(
    ("maker", "vin", "make"), [("volvo", VOLVO, "Volvo"), ("onstar", CHEVROLET, "Chevrolet")]
)
async def test_the_whole_way(
    tenant: Tenant, browser: Browser, platform: Platform, maker: str, vin: str, make: str
) -> None:
    page = await browser.go(await begin(tenant.consignee, maker))
    assert shows(page, "ask")
    assert "Ada Consignee" in page.text
    assert "Parcel Post" in page.text
    assert (await tenant.consignee.get("/v1/me/accounts")).json() == {"accounts": []}, (
        "not before they say yes"
    )
    done = await browser.confirm(page)
    assert shows(done, "linked")
    assert done.headers["cache-control"] == "no-store"
    assert done.headers["referrer-policy"] == "no-referrer"
    (account,) = (await tenant.consignee.get("/v1/me/accounts")).json()["accounts"]
    assert account["state"] == "live"
    assert {"open", "lock", "read_lock"} <= {one["power"] for one in account["allows"]}
    (car,) = (await tenant.consignee.get(f"/v1/me/accounts/{account['id']}/cars")).json()["cars"]
    assert (car["vin"], car["make"], car["has_service"]) == (vin, make, True)
    assert {"open", "lock"} <= {one["power"] for one in car["can"]}
    place = await tenant.consignee.make("/v1/me/access_points", new_place(account["id"], vin))
    assert (place["consignee_id"], place["vehicle"]["make"]) == (tenant.consignee.id, make)
    kept = await tenant.carrier.get(f"/v1/access_points/{place['id']}")
    assert kept.status_code == 200
    async with platform.database.connection() as connection:
        cursor = await connection.execute(
            "SELECT has_service, 'open' = ANY(powers), account_id, account_kind FROM vehicle "
            "WHERE access_point_id = %s",
            (place["id"],),
        )
        kind = "newer" if maker == "onstar" else None
        assert await cursor.fetchone() == (True, True, account["id"], kind)


async def test_a_link_is_used_once_and_by_who_has_its_state(tenant: Tenant, browser: Browser) -> None:
    page = await browser.go(await begin(tenant.consignee))
    assert shows(await browser.confirm(page), "linked")
    assert shows(await browser.confirm(page), "stale")
    assert len((await tenant.consignee.get("/v1/me/accounts")).json()["accounts"]) == 1
    for query in ("", "?code=x", "?state=guessed&code=x&confirm=yes", "?state=guessed&error=access_denied"):
        answer = await browser.http.get(f"{CALLBACK}{query}")
        assert shows(answer, "stale")
    too_long = await browser.http.get(f"{CALLBACK}?code={'x' * 3000}")
    assert too_long.headers["content-type"] == "application/problem+json"


async def test_a_link_is_good_for_ten_minutes(tenant: Tenant, browser: Browser, platform: Platform) -> None:
    page = await browser.go(await begin(tenant.consignee))
    async with platform.database.connection() as connection:
        await connection.execute("UPDATE link_request SET expires_at = now()")
    assert shows(await browser.confirm(page), "stale")


async def test_an_owner_who_says_no_is_told_so_and_the_link_is_used_up(
    tenant: Tenant, browser: Browser
) -> None:
    url = await begin(tenant.consignee)
    denied = await browser.go(url, decision="deny")
    assert shows(denied, "denied")
    assert shows(await browser.go(url), "stale")


@pytest.mark.parametrize("spoil", ["code", "iss"])
async def test_another_s_code_and_another_s_issuer_are_refused(
    tenant: Tenant, browser: Browser, spoil: str
) -> None:
    back = await browser.town.approve(await begin(tenant.consignee), "ada")
    told = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
    told |= {"confirm": "yes", spoil: "https://evil.example" if spoil == "iss" else "stolen"}
    answer = await browser.http.get(CALLBACK, params=told)
    assert shows(answer, "failed")
    assert "evil" not in answer.text
    assert (await tenant.consignee.get("/v1/me/accounts")).json()["accounts"] == []


async def test_a_maker_that_is_down_links_nothing(tenant: Tenant, browser: Browser) -> None:
    page = await browser.go(await begin(tenant.consignee))
    await browser.town.set_cloud_fault("volvo", FaultKind.OUTAGE, verb=Verb.TOKEN, count=1)
    assert shows(await browser.confirm(page), "failed")
    assert (await tenant.consignee.get("/v1/me/accounts")).json()["accounts"] == []


async def test_beginning_too_often(tenant: Tenant) -> None:
    for _ in range(20):
        await begin(tenant.consignee)
    answer = await tenant.consignee.post("/v1/me/accounts", {"maker": "volvo"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "600")


async def test_many_links_begun_at_once_are_counted_too(tenant: Tenant) -> None:
    begun = [tenant.consignee.post("/v1/me/accounts", {"maker": "volvo"}) for _ in range(40)]
    answers = [one.status_code for one in await asyncio.gather(*begun)]
    assert (answers.count(201), answers.count(429)) == (20, 20)


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("vin", {"vin": CHEVROLET}),
        ("vin", {"vin": "SHORT"}),
        ("time_zone", {"time_zone": "Europe/Nowhere"}),
        ("address.latitude", {"address": {"latitude": 91, "longitude": 0}}),
        ("name", {"name": ""}),
        ("plate", {"plate": "x" * 17}),
        ("country", {"country": "usa"}),
        ("range_m", {"range_m": 1}),
        ("account_id", {"account_id": "../x"}),
        ("secrets", {"secrets": {}}),
    ],
)
async def test_a_choice_that_can_t_be_names_its_field(
    tenant: Tenant, browser: Browser, field: str, changes: dict[str, Any]
) -> None:
    account_id = await link(tenant.consignee, browser)
    answer = await tenant.consignee.post("/v1/me/access_points", {**new_place(account_id), **changes})
    assert answer.status_code == 400, answer.text
    assert [one["field"] for one in answer.json()["errors"]] == [field]


async def test_one_choice_makes_one_place_though_its_server_died_before_it_answered(
    tenant: Tenant, browser: Browser, platform: Platform
) -> None:
    account_id = await link(tenant.consignee, browser)
    made = await tenant.consignee.make("/v1/me/access_points", new_place(account_id))
    again = await tenant.consignee.make("/v1/me/access_points", new_place(account_id))
    assert again["id"] == made["id"]
    other = await tenant.consignee.make("/v1/me/access_points", new_place(account_id, name="at home"))
    assert other["id"] != made["id"], "one car may stand at several places"
    query = "SELECT count(*) FROM deed WHERE what = 'linked'"
    async with platform.database.connection() as connection:
        assert await (await connection.execute(query)).fetchone() == (2,)


async def test_an_owner_s_places_are_as_many_as_their_lists_show(
    tenant: Tenant, browser: Browser, platform: Platform
) -> None:
    """Un-linking, options and the timeline look at each of them."""
    account_id = await link(tenant.consignee, browser)
    async with platform.database.connection() as connection:
        cursor = await connection.execute(
            "SELECT * FROM access_point WHERE id = %s", (tenant.access_point_id,)
        )
        names = [column.name for column in cursor.description or () if column.name != "id"]
        more = f"INSERT INTO access_point (id, {', '.join(names)}) SELECT 'acc_more_' || number, {', '.join(names)} "
        more += "FROM access_point, generate_series(1, 99) number WHERE id = %s"
        await connection.execute(more.encode(), (tenant.access_point_id,))
    answer = await tenant.consignee.post("/v1/me/access_points", new_place(account_id))
    assert answer.status_code == 409, answer.text


@pytest.mark.parametrize(
    ("vin", "papers", "word"),
    [
        ("1G1FY6S00N4100002", {"make": "Chevrolet", "model_year": 2022}, "check digit"),
        (CHEVROLET, {"make": "Volvo", "model_year": 2022}, "Volvo"),
        (CHEVROLET, {"make": "Chevrolet", "model_year": 2019}, "2019"),
    ],
)
async def test_a_number_that_contradicts_the_account(
    tenant: Tenant, browser: Browser, vin: str, papers: dict[str, Any], word: str
) -> None:
    await browser.town.add_car("onstar", vin, account_id="ada", **papers)
    account_id = await link(tenant.consignee, browser, "onstar")
    answer = await tenant.consignee.post("/v1/me/access_points", new_place(account_id, vin))
    assert answer.status_code == 400, answer.text
    (error,) = answer.json()["errors"]
    assert error["field"] == "vin"
    assert word in error["remedy"]


async def test_a_lapsed_subscription_is_read_back(tenant: Tenant, browser: Browser) -> None:
    await browser.town.set_fault(VOLVO, FaultKind.SUBSCRIPTION_LAPSED)
    account_id = await link(tenant.consignee, browser)
    (car,) = (await tenant.consignee.get(f"/v1/me/accounts/{account_id}/cars")).json()["cars"]
    assert (car["vin"], car["has_service"], car["can"]) == (VOLVO, False, None)


async def test_the_cars_while_the_maker_is_down(tenant: Tenant, browser: Browser) -> None:
    account_id = await link(tenant.consignee, browser)
    await browser.town.set_cloud_fault("volvo", FaultKind.OUTAGE)
    answer = await tenant.consignee.get(f"/v1/me/accounts/{account_id}/cars")
    assert (answer.status_code, answer.json()["type"]) == (409, "/v1/docs#problem-conflict")


async def test_what_is_another_s_is_not_there(
    tenant: Tenant, browser: Browser, platform: Platform, http: httpx.AsyncClient
) -> None:
    account_id = await link(tenant.consignee, browser)
    place = await tenant.consignee.make("/v1/me/access_points", new_place(account_id))
    stranger = (await make_tenant(platform, http, "Other Post")).consignee
    own = await link(stranger, browser)
    answers = [
        await stranger.get(f"/v1/me/accounts/{account_id}/cars"),
        await stranger.post(f"/v1/me/accounts/{account_id}/unlink"),
        await stranger.post("/v1/me/accounts", {"maker": "volvo", "account_id": account_id}),
        await stranger.post("/v1/me/access_points", new_place(account_id)),
        await stranger.post(f"/v1/me/access_points/{place['id']}/relink", {"account_id": own}),
        await stranger.post(f"/v1/me/access_points/{place['id']}/relink", {"account_id": account_id}),
        await tenant.consignee.post(f"/v1/me/access_points/{place['id']}/relink", {"account_id": own}),
    ]
    assert [one.status_code for one in answers] == [404] * 7
    assert len((await stranger.get("/v1/me/accounts")).json()["accounts"]) == 1


async def test_unlink_and_link_again(tenant: Tenant, browser: Browser, platform: Platform) -> None:
    account_id = await link(tenant.consignee, browser)
    place = await tenant.consignee.make("/v1/me/access_points", new_place(account_id))
    shown = await tenant.consignee.make(f"/v1/me/accounts/{account_id}/unlink")
    assert (shown["state"], shown["is_revoked"]) == ("ending", False)
    await refreshing.end_unlinked(platform)
    (ended,) = (await tenant.consignee.get("/v1/me/accounts")).json()["accounts"]
    assert (ended["state"], ended["is_revoked"]) == ("ended", True)
    assert (await tenant.consignee.get(f"/v1/me/accounts/{account_id}/cars")).status_code == 409
    again = await tenant.consignee.post("/v1/me/access_points", new_place(account_id))
    assert again.status_code == 409
    refused = await tenant.consignee.post("/v1/me/accounts", {"maker": "volvo", "account_id": account_id})
    assert refused.status_code == 409
    seen = (await tenant.carrier.get(f"/v1/access_points/{place['id']}")).json()
    assert not seen["is_consent_given"]
    onstar = await link(tenant.consignee, browser, "onstar")
    wrong = await tenant.consignee.post(f"/v1/me/access_points/{place['id']}/relink", {"account_id": onstar})
    assert wrong.status_code == 409
    newest = await link(tenant.consignee, browser)
    linked = await tenant.consignee.make(f"/v1/me/access_points/{place['id']}/relink", {"account_id": newest})
    assert linked == {"access_point_id": place["id"], "account_id": newest}
    seen = (await tenant.carrier.get(f"/v1/access_points/{place['id']}")).json()
    assert seen["is_consent_given"]


async def test_an_owner_who_allows_less(tenant: Tenant, browser: Browser) -> None:
    """A maker may let them leave out a scope: the account is linked, but no place for parcels."""
    url = (await begin(tenant.consignee)).replace("conve%3Aunlock+", "")
    assert "unlock" not in url
    assert shows(await browser.confirm(await browser.go(url)), "linked")
    (account,) = (await tenant.consignee.get("/v1/me/accounts")).json()["accounts"]
    assert "open" not in {one["power"] for one in account["allows"]}
    answer = await tenant.consignee.post("/v1/me/access_points", new_place(account["id"]))
    assert answer.status_code == 409
    assert "agree" in answer.json()["detail"]


async def test_whoever_reads_their_cars_again_and_again_must_wait_and_no_one_else(
    tenant: Tenant, browser: Browser, platform: Platform, http: httpx.AsyncClient
) -> None:
    """Each read is a request to the maker, whose patience with us is everybody's."""
    account_id = await link(tenant.consignee, browser)
    other = (await make_tenant(platform, http, "Other Post")).consignee
    own = await link(other, browser)
    path = f"/v1/me/accounts/{account_id}/cars"
    answers = await asyncio.gather(*(tenant.consignee.get(path) for _ in range(30)))
    statuses = [one.status_code for one in answers]
    assert (statuses.count(200), statuses.count(429)) == (10, 20)
    late = next(one for one in answers if one.status_code == 429)
    assert late.headers["retry-after"] == "10"
    choice = await tenant.consignee.post("/v1/me/access_points", new_place(account_id))
    assert choice.status_code == 429, "which asks the maker too"
    assert (await other.get(f"/v1/me/accounts/{own}/cars")).status_code == 200


async def test_links_that_were_begun_at_once_end_in_no_more_accounts_than_may_be(
    tenant: Tenant, browser: Browser, platform: Platform
) -> None:
    """Room for one more, and three were begun: one is linked, and what the others gave us is given back."""
    account_id = await link(tenant.consignee, browser)
    for number in range(18):
        await fill(platform, account_id, f"mak_more{number}")
    pages = [await browser.go(await begin(tenant.consignee)) for _ in range(3)]
    shown = await asyncio.gather(*(browser.confirm(page) for page in pages))
    assert sorted(next(name for name in ("linked", "too_many") if shows(one, name)) for one in shown) == [
        "linked",
        "too_many",
        "too_many",
    ]
    assert len((await tenant.consignee.get("/v1/me/accounts")).json()["accounts"]) == 20
    assert await browser.town.withdraw("volvo", "ada") == 2, "consents that nobody had given back"


async def test_a_household_reads_until_when_the_link_of_its_car_goes_on(
    tenant: Tenant, browser: Browser, platform: Platform
) -> None:
    account_id = await link(tenant.consignee, browser)
    place = await tenant.consignee.make("/v1/me/access_points", new_place(account_id))
    path = f"/v1/me/access_points/{place['id']}"
    ben = await add_consignee(tenant.carrier, "Ben Brother")
    await ben.make("/v1/me/households/join", {"code": await invite(tenant.consignee, place["id"])})
    assert (await ben.get(f"{path}/household")).json()["link_ends_at"] is None
    handed = await tenant.consignee.make(f"{path}/owner", {"consignee_id": ben.id})
    ends_at = datetime.fromisoformat(handed["link_ends_at"])
    assert timedelta(days=6, hours=23) < ends_at - platform.clock.now() <= timedelta(days=7)
    own = await link(ben, browser)
    await ben.make(f"{path}/relink", {"account_id": own})
    assert (await ben.get(f"{path}/household")).json()["link_ends_at"] is None


async def fill(platform: Platform, account_id: str, copy_id: str) -> None:
    """One more account like this one."""
    async with platform.database.connection() as connection:
        cursor = await connection.execute(
            "SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns "
            "WHERE table_name = 'maker_account' AND column_name <> 'id'"
        )
        row = await cursor.fetchone()
        assert row is not None
        await connection.execute(
            f"INSERT INTO maker_account (id, {row[0]}) SELECT %s, {row[0]} FROM maker_account WHERE id = %s".encode(),
            (copy_id, account_id),
        )
