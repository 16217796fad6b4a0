"""The makers' authorization servers over real HTTP: the shapes of RFC 6749, 7636, 7009 and 9207, and each refusal."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from tests.town.conftest import Driver

from unlatch.town.car import Maker
from unlatch.town.clouds.oauth import PATHS
from unlatch.town.control import AddedCar
from unlatch.town.faults import FaultKind, Verb

VERIFIER = "a-verifier-of-forty-three-characters-or-more"
BACK = "https://unlatch.example/v1/links/callback"
MAKERS = ["volvo", "onstar"]
CLIENT = ("unlatch", "s3cret: with signs &")


def challenge(verifier: str = VERIFIER) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def authorize(driver: Driver, maker: str, **changes: str) -> str:
    asked = {
        "response_type": "code",
        "client_id": CLIENT[0],
        "redirect_uri": BACK,
        "scope": " ".join(sorted(PATHS[Maker(maker)].scopes)),
        "state": "a state",
        "code_challenge": challenge(),
        "code_challenge_method": "S256",
        **changes,
    }
    return f"{driver.town.base_url}{PATHS[Maker(maker)].authorize}?{urlencode(asked)}"


def told(location: str) -> dict[str, str]:
    assert location.startswith(f"{BACK}?")
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


async def token(driver: Driver, maker: str, **fields: str) -> httpx.Response:
    """With HTTP Basic, unless the fields name the client."""
    sent: dict[str, Any] = {} if "client_id" in fields else {"auth": CLIENT}
    return await driver.http.post(PATHS[Maker(maker)].token, data=fields, **sent)


async def exchange(driver: Driver, maker: str, code: str, **changes: str) -> httpx.Response:
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": BACK,
        "code_verifier": VERIFIER,
    }
    return await token(driver, maker, **{**fields, **changes})


async def refresh(driver: Driver, maker: str, text: str, **more: str) -> httpx.Response:
    return await token(driver, maker, grant_type="refresh_token", refresh_token=text, **more)


async def start(driver: Driver, maker: str, **papers: Any) -> tuple[AddedCar, str]:
    """A car, and the code of its owner's yes."""
    await driver.town.add_oauth_client(maker, *CLIENT, BACK)
    car = await driver.add(maker, **papers)
    scopes = papers.pop("scopes", None)
    url = authorize(driver, maker, **({"scope": scopes} if scopes else {}))
    return car, told(await driver.town.approve(url, car.account_id))["code"]


async def tokens(driver: Driver, maker: str, **papers: Any) -> tuple[AddedCar, dict[str, Any]]:
    car, code = await start(driver, maker, **papers)
    answer = await exchange(driver, maker, code)
    assert answer.status_code == 200, answer.text
    return car, answer.json()


async def list_cars(driver: Driver, maker: str, access: str) -> httpx.Response:
    path = {"volvo": "/connected-vehicle/v2/vehicles", "onstar": "/api/v1/account/vehicles"}[maker]
    return await driver.http.get(path, headers={"authorization": f"Bearer {access}", "vcc-api-key": "k"})


def refused(answer: httpx.Response, word: str, status: int = 400) -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, word), answer.text
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("maker", MAKERS)
async def test_the_whole_way(driver: Driver, maker: str) -> None:
    await driver.town.add_oauth_client(maker, *CLIENT, BACK)
    car = await driver.add(maker)
    url = authorize(driver, maker)
    page = await driver.http.get(url)
    assert page.headers["content-type"].startswith("text/html")
    assert all(scope in page.text for scope in PATHS[Maker(maker)].scopes)
    back = told(await driver.town.approve(url, car.account_id))
    assert back["state"] == "a state"
    assert back["iss"] == driver.town.base_url
    answer = await exchange(driver, maker, back["code"])
    given = answer.json()
    assert set(given) == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}
    assert given["token_type"] == "Bearer"
    assert answer.headers["cache-control"] == "no-store"
    assert (await list_cars(driver, maker, given["access_token"])).status_code == 200
    assert (await list_cars(driver, maker, car.token)).status_code == 200, (
        "tokens by hand are as good as before"
    )
    assert (await list_cars(driver, maker, "another")).status_code == 401


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "everything"}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
    ],
)
async def test_a_wrong_question_is_led_back_with_its_error(
    driver: Driver, changes: dict[str, str], error: str
) -> None:
    await driver.town.add_oauth_client("volvo", *CLIENT, BACK)
    answer = await driver.http.get(authorize(driver, "volvo", **changes))
    assert answer.status_code == 302
    back = told(answer.headers["location"])
    assert (back["error"], back["state"]) == (error, "a state")


@pytest.mark.parametrize(
    "changes", [{"client_id": "nobody"}, {"redirect_uri": f"{BACK}/"}, {"redirect_uri": ""}]
)
async def test_a_stranger_is_led_nowhere(driver: Driver, changes: dict[str, str]) -> None:
    await driver.town.add_oauth_client("volvo", *CLIENT, BACK)
    answer = await driver.http.get(authorize(driver, "volvo", **changes))
    assert (answer.status_code, "location" in answer.headers) == (400, False)


async def test_an_owner_who_says_no(driver: Driver) -> None:
    await driver.town.add_oauth_client("volvo", *CLIENT, BACK)
    car = await driver.add("volvo")
    back = told(await driver.town.approve(authorize(driver, "volvo"), car.account_id, decision="deny"))
    assert (back["error"], back["state"]) == ("access_denied", "a state")


@pytest.mark.parametrize(
    "changes",
    [{"redirect_uri": f"{BACK}?"}, {"code_verifier": "b" * 43}, {"code": "another"}],
)
async def test_a_code_is_good_for_who_asked_alone_and_once(driver: Driver, changes: dict[str, str]) -> None:
    _, code = await start(driver, "volvo")
    asked = {"code": code, **changes}
    refused(await exchange(driver, "volvo", **asked), "invalid_grant")
    if "code" not in changes:
        refused(await exchange(driver, "volvo", code), "invalid_grant")


async def test_a_code_that_comes_twice_ends_what_it_gave(driver: Driver) -> None:
    _, code = await start(driver, "volvo")
    access = (await exchange(driver, "volvo", code)).json()["access_token"]
    assert (await list_cars(driver, "volvo", access)).status_code == 200
    refused(await exchange(driver, "volvo", code), "invalid_grant")
    assert (await list_cars(driver, "volvo", access)).status_code == 401


async def test_who_asks_for_tokens(driver: Driver) -> None:
    _, given = await tokens(driver, "onstar")
    text = given["refresh_token"]
    path = PATHS[Maker.ONSTAR].token
    fields = {"grant_type": "refresh_token", "refresh_token": text}
    refused(await driver.http.post(path, data=fields), "invalid_client", 401)
    wrong = await driver.http.post(path, data=fields, auth=(CLIENT[0], "wrong"))
    refused(wrong, "invalid_client", 401)
    assert wrong.headers["www-authenticate"].startswith("Basic")
    both = await driver.http.post(path, data={**fields, "client_secret": CLIENT[1]}, auth=CLIENT)
    refused(both, "invalid_request")
    assert (await driver.http.post(path, json=fields, auth=CLIENT)).status_code == 400
    refused(await token(driver, "onstar", grant_type="password"), "unsupported_grant_type")
    refused(await token(driver, "onstar", grant_type="refresh_token"), "invalid_request")
    in_body = {"client_id": CLIENT[0], "client_secret": CLIENT[1]}
    assert (await refresh(driver, "onstar", text, **in_body)).status_code == 200


async def test_another_application_s_token_is_unknown(driver: Driver) -> None:
    _, given = await tokens(driver, "volvo")
    await driver.town.add_oauth_client("volvo", "other", "x", BACK)
    fields = {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}
    refused(
        await driver.http.post(PATHS[Maker.VOLVO].token, data=fields, auth=("other", "x")), "invalid_grant"
    )
    assert (await refresh(driver, "volvo", given["refresh_token"])).status_code == 200


async def test_a_refresh_token_is_good_once_and_once_more_within_the_grace(driver: Driver) -> None:
    await driver.town.set_habits("volvo", reuse_grace_s=3600)
    _, given = await tokens(driver, "volvo")
    first, second = [await refresh(driver, "volvo", given["refresh_token"]) for _ in range(2)]
    newest = await refresh(driver, "volvo", second.json()["refresh_token"])
    assert newest.status_code == 200
    assert (await list_cars(driver, "volvo", newest.json()["access_token"])).status_code == 200
    refused(await refresh(driver, "volvo", first.json()["refresh_token"]), "invalid_grant")
    assert (await list_cars(driver, "volvo", newest.json()["access_token"])).status_code == 401, (
        "the whole family"
    )


async def test_a_second_use_after_the_grace_ends_the_family(driver: Driver) -> None:
    await driver.town.set_habits("volvo", reuse_grace_s=30)
    _, given = await tokens(driver, "volvo")
    access = (await refresh(driver, "volvo", given["refresh_token"])).json()["access_token"]
    await driver.clock.sleep(31)
    refused(await refresh(driver, "volvo", given["refresh_token"]), "invalid_grant")
    assert (await list_cars(driver, "volvo", access)).status_code == 401
    assert (await driver.town.count_oauth("volvo"))["reuses"] >= 1


async def test_tokens_end_by_the_town_s_clock(driver: Driver) -> None:
    await driver.town.set_habits("volvo", access_for_s=40, refresh_for_s=80)
    try:
        _, given = await tokens(driver, "volvo")
        assert given["expires_in"] == 40
        assert (await list_cars(driver, "volvo", given["access_token"])).status_code == 200
        await driver.clock.sleep(41)
        assert (await list_cars(driver, "volvo", given["access_token"])).status_code == 401
        await driver.clock.sleep(41)
        refused(await refresh(driver, "volvo", given["refresh_token"]), "invalid_grant")
    finally:
        await driver.town.set_habits("volvo", access_for_s=1800, refresh_for_s=604_800)


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
async def test_revoking_ends_all_of_it(driver: Driver, which: str) -> None:
    _, given = await tokens(driver, "volvo")
    path = PATHS[Maker.VOLVO].revoke
    assert (await driver.http.post(path, data={"token": "unknown"}, auth=CLIENT)).status_code == 200
    assert (await driver.http.post(path, data={"token": given[which]})).status_code == 401
    assert (await driver.http.post(path, data={"token": given[which]}, auth=CLIENT)).status_code == 200
    assert (await list_cars(driver, "volvo", given["access_token"])).status_code == 401
    refused(await refresh(driver, "volvo", given["refresh_token"]), "invalid_grant")


async def test_the_owner_takes_it_back_at_the_maker(driver: Driver) -> None:
    car, given = await tokens(driver, "onstar")
    assert await driver.town.withdraw("onstar", car.account_id) == 1
    assert await driver.town.withdraw("onstar", car.account_id) == 0
    assert (await list_cars(driver, "onstar", given["access_token"])).status_code == 401
    refused(await refresh(driver, "onstar", given["refresh_token"]), "invalid_grant")


@pytest.mark.parametrize(
    ("scope", "method", "path"),
    [
        ("conve:unlock", "POST", "/connected-vehicle/v2/vehicles/{vin}/commands/unlock"),
        ("conve:lock", "POST", "/connected-vehicle/v2/vehicles/{vin}/commands/lock"),
        ("conve:honk_flash", "POST", "/connected-vehicle/v2/vehicles/{vin}/commands/flash"),
        ("conve:lock_status", "GET", "/connected-vehicle/v2/vehicles/{vin}/doors"),
        ("conve:engine_status", "GET", "/connected-vehicle/v2/vehicles/{vin}/engine-status"),
        ("conve:commands", "GET", "/connected-vehicle/v2/vehicles/{vin}/commands"),
        ("conve:vehicle_relation", "GET", "/connected-vehicle/v2/vehicles"),
        ("location:read", "GET", "/location/v1/vehicles/{vin}/location"),
        ("trunk:unlock", "POST", "/veh/cmd/v3/unlockTrunk/{vin}"),
        ("trunk:lock", "POST", "/veh/cmd/v3/lockTrunk/{vin}"),
        ("vehicle:location", "GET", "/veh/datadelivery/digitaltwin/v1/vehicles/{vin}"),
        ("vehicles", "GET", "/api/v1/account/vehicles"),
    ],
)
async def test_a_token_does_what_its_scopes_say_and_no_more(
    driver: Driver, scope: str, method: str, path: str
) -> None:
    maker = "volvo" if "conve" in scope or scope == "location:read" else "onstar"
    await driver.town.add_oauth_client(maker, *CLIENT, BACK)
    car = await driver.add(maker)
    for scopes, status in ((PATHS[Maker(maker)].scopes, 200), (PATHS[Maker(maker)].scopes - {scope}, 403)):
        url = authorize(driver, maker, scope=" ".join(sorted(scopes)))
        code = told(await driver.town.approve(url, car.account_id))["code"]
        access = (await exchange(driver, maker, code)).json()["access_token"]
        answer = await driver.http.request(
            method,
            path.replace("{vin}", car.vin),
            headers={"authorization": f"Bearer {access}", "vcc-api-key": "k"},
            json={} if method == "POST" else None,
        )
        assert answer.status_code == status, answer.text
        assert (status == 200) or scope in answer.text


async def test_faults_of_the_token_endpoint(driver: Driver) -> None:
    _, given = await tokens(driver, "volvo")
    town = driver.town
    await town.set_cloud_fault("volvo", FaultKind.OUTAGE, verb=Verb.TOKEN, count=1)
    assert (await refresh(driver, "volvo", given["refresh_token"])).status_code == 503
    await town.set_cloud_fault("volvo", FaultKind.RATE_LIMIT, verb=Verb.TOKEN, count=1, after_s=9)
    assert (await refresh(driver, "volvo", given["refresh_token"])).headers["retry-after"] == "9"
    before = (await town.count_oauth("volvo")).get("refreshes", 0)
    for acts in (False, True):
        await town.set_cloud_fault("volvo", FaultKind.CONNECTION_CUT, verb=Verb.TOKEN, count=1, acts=acts)
        with pytest.raises(httpx.RemoteProtocolError):
            await refresh(driver, "volvo", given["refresh_token"])
        assert (await town.count_oauth("volvo")).get("refreshes", 0) - before == acts
