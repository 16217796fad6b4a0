"""What all pages share: signing in and out, forms of our own alone, languages, assets."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from tests.web.conftest import PUBLIC_URL, Tenant

from unlatch.flow.enrolment import admit_operator
from unlatch.flow.platform import Platform
from unlatch.web.app import TABLES
from unlatch.web.pages.assets import address_of
from unlatch.web.pages.entrance import name_agent, safe_path
from unlatch.web.pages.language import translations

WEB = Path(__file__).parents[2] / "src" / "unlatch" / "web"
OURS = {"origin": PUBLIC_URL}


def word(page: str) -> str:
    found = re.search(r'<meta name="csrf" content="([0-9a-f]*)">', page)
    assert found is not None
    return found[1]


async def sign_in(http: httpx.AsyncClient, key: str) -> str:
    """Sign a browser in; the word that its forms bear."""
    answer = await http.post("/sign-in/key", data={"key": key}, headers=OURS)
    assert answer.status_code == 303, answer.text
    return word((await http.get("/devices")).text)


@pytest.mark.parametrize("path", ["/", "/sign-in", "/sign-in/link"])
@pytest.mark.parametrize("language", ["en", "fr"])
async def test_a_page_speaks_the_browser_s_language_and_loads_nothing_from_elsewhere(
    http: httpx.AsyncClient, path: str, language: str
) -> None:
    answer = await http.get(path, headers={"accept-language": f"{language}-XX,de;q=0.5"})
    assert answer.status_code == 200
    assert f'<html lang="{language}">' in answer.text
    policy = answer.headers.get_list("content-security-policy")
    assert len(policy) == 1
    assert "unsafe" not in policy[0]
    assert "http" not in policy[0]
    addresses = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert addresses
    for address in addresses:
        assert address.startswith(("/", "#")), address
        if address.startswith("/static/"):
            asset = await http.get(address)
            assert asset.status_code == 200
            assert "immutable" in asset.headers["cache-control"]


async def test_who_is_not_signed_in_is_sent_to_the_door_and_back(
    http: httpx.AsyncClient, tenant: Tenant
) -> None:
    answer = await http.get("/devices")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?to=/devices")
    answer = await http.post(
        "/sign-in/key", data={"key": tenant.consignee.key, "to": "/devices"}, headers=OURS
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/devices")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    assert "Where you are signed in" in (await http.get("/devices")).text


async def test_a_wrong_key_lets_nobody_in_and_many_tries_are_slowed_down(http: httpx.AsyncClient) -> None:
    seen = {
        (await http.post("/sign-in/key", data={"key": f"unlatch_consignee_{n}"}, headers=OURS)).status_code
        for n in range(15)
    }
    assert seen == {403, 429}
    assert "set-cookie" not in (await http.get("/")).headers


async def test_a_form_of_another_site_changes_nothing(http: httpx.AsyncClient, tenant: Tenant) -> None:
    csrf = await sign_in(http, tenant.consignee.key)
    for headers, given in (
        ({"origin": "https://elsewhere.test"}, csrf),
        (OURS, "0" * 64),
        (OURS, ""),
        ({"sec-fetch-site": "cross-site"}, csrf),
    ):
        answer = await http.post("/sign-out", data={"csrf": given}, headers=headers)
        assert answer.status_code == 403, headers
    assert (await http.get("/devices")).status_code == 200
    answer = await http.post("/sign-out", data={"csrf": csrf}, headers=OURS)
    assert answer.status_code == 303
    assert (await http.get("/devices")).status_code == 303


async def test_another_browser_can_be_signed_out_and_a_stranger_s_can_not(
    http: httpx.AsyncClient, platform: Platform, tenant: Tenant
) -> None:
    await sign_in(http, tenant.consignee.key)
    async with platform.database.connection() as connection:
        cursor = await connection.execute("SELECT id FROM session")
        (first,) = [row[0] for row in await cursor.fetchall()]
    http.cookies.clear()
    operator = await admit_operator(platform, "Olga")
    csrf = await sign_in(http, operator.key)
    await http.post("/sign-out", data={"csrf": csrf, "session": first}, headers=OURS)
    http.cookies.clear()
    csrf = await sign_in(http, tenant.consignee.key)
    assert (await http.get("/devices")).text.count("Sign out") == 2  # the stranger has ended nothing
    await http.post("/sign-out", data={"csrf": csrf, "session": first}, headers=OURS)
    assert (await http.get("/devices")).text.count("Sign out") == 1


async def test_the_api_takes_a_session_with_its_word_and_only_from_our_pages(
    http: httpx.AsyncClient, tenant: Tenant
) -> None:
    csrf = await sign_in(http, tenant.consignee.key)
    assert (await http.get("/v1/me/timeline")).status_code == 200
    assert (await http.get("/v1/courier/stops")).status_code == 403  # a courier's
    path = f"/v1/me/access_points/{tenant.access_point_id}/block"
    assert (await http.post(path, headers=OURS)).status_code == 403
    assert (await http.post(path, headers={**OURS, "x-unlatch-csrf": csrf})).status_code in (200, 400)


async def test_a_language_that_was_chosen_is_kept(http: httpx.AsyncClient) -> None:
    answer = await http.post("/language", data={"language": "fr", "to": "//evil.test/x"}, headers=OURS)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert '<html lang="fr">' in (await http.get("/", headers={"accept-language": "en"})).text
    assert (await http.post("/language", data={"language": "xx"}, headers=OURS)).status_code == 400


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("/me", "/me"),
        ("//evil", "/"),
        ("https://evil/me", "/"),
        ("/a?b=c", "/a"),
        ("/\\evil", "/"),
        (None, "/"),
    ],
)
def test_one_is_never_sent_to_another_site(wanted: str | None, expected: str) -> None:
    assert safe_path(wanted, "/") == expected


def test_a_browser_is_named_as_people_call_it() -> None:
    agent = "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0 Mobile Safari/537.36"
    assert name_agent(agent) == "Chrome / Android"
    assert name_agent("") == "? / ?"


def texts_of_pages() -> set[str]:
    """Every text that a page may say."""
    methods = [("pages/**.py", "python"), ("**.py", "python"), ("templates/**.html", "jinja2")]
    keywords = {"say": None, "_": None, "gettext": None, "ngettext": (1, 2), "text": None}
    found: set[str] = set()
    for _, _, message, _, _ in extract_from_dir(
        str(WEB),
        methods,
        {"templates/**.html": {"newstyle_gettext": "true", "trim_blocks": "true"}},
        keywords,
    ):
        found.add(message[0] if isinstance(message, tuple) else message)
    return found


def test_every_text_of_a_page_is_there_in_french() -> None:
    french = translations("fr")
    missing = sorted(text for text in texts_of_pages() if text and french.gettext(text) == text)
    same_in_both = {"Unlatch", "Latitude", "Longitude", "Programme", "Programmes", "urgent"}
    assert [text for text in missing if text not in same_in_both] == []


def test_vendored_files_are_those_of_the_list() -> None:
    import hashlib
    import tomllib

    folder = WEB / "static" / "vendor"
    listed = tomllib.loads((folder / "vendor.toml").read_text(encoding="utf-8"))["package"]
    files = {file["to"]: file["sha256"] for package in listed for file in package["file"]}
    on_disk = {path.name for path in folder.iterdir()} - {"vendor.toml"}
    assert on_disk == set(files)
    for name, digest in files.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    assert address_of("vendor/htmx.min.js").startswith("/static/")


async def test_someone_may_be_a_consignee_and_an_operator_in_one_browser(
    http: httpx.AsyncClient, platform: Platform, tenant: Tenant
) -> None:
    csrf = await sign_in(http, tenant.consignee.key)
    answer = await http.get("/sign-in", params={"to": "/console"})
    assert answer.status_code == 200  # not sent back and forth for ever
    operator = await admit_operator(platform, "Olga")
    assert (await http.post("/sign-in/key", data={"key": operator.key}, headers=OURS)).status_code == 303
    theirs = await http.get("/console/devices")
    assert "Olga" in theirs.text
    assert 'action="/console/sign-out"' in theirs.text
    assert "Olga" not in (await http.get("/devices")).text
    assert (await http.get("/v1/me/timeline")).status_code == 200
    assert (await http.get("/v1/operator/calls")).status_code == 200
    # A form of the one is none of the other.
    refused = await http.post("/console/sign-out", data={"csrf": csrf}, headers=OURS)
    assert refused.status_code == 403
    ended = await http.post("/console/sign-out", data={"csrf": word(theirs.text)}, headers=OURS)
    assert ended.status_code == 303
    assert (await http.get("/v1/operator/calls")).status_code == 403  # the consignee who is left may not
    assert (await http.get("/v1/me/timeline")).status_code == 200


async def test_a_page_is_framed_by_whom_the_installation_names(
    http: httpx.AsyncClient, platform: Platform
) -> None:
    assert "frame-ancestors 'none'" in (await http.get("/")).headers["content-security-policy"]
    object.__setattr__(platform, "settings", replace(platform.settings, framed_by="http://127.0.0.1:8701"))
    assert (
        "frame-ancestors http://127.0.0.1:8701;" in (await http.get("/")).headers["content-security-policy"]
    )


WIDENS = {
    "unblock_place", "begin_link", "choose_car", "relink_place", "join_household", "invite_to_household",
    "let_member_watch", "hand_over_place", "unfreeze_place", "rule_visit", "break_glass", "give_pass",
    "add_my_channel", "add_operator_channel", "register_own_home", "link_hub_again", "change_home", "add_camera",
    "thaw", "make_feed_link", "erase_me", "agree_to_take_over",
}  # fmt: skip


def test_each_endpoint_that_widens_is_known() -> None:
    """Who may open, see or sign in. One that is added here is looked at by a person."""
    assert {one.name for table in TABLES for one in table.endpoints if one.widens} == WIDENS


@pytest.mark.parametrize("column", ["proved_at - interval '1 hour'", "settles_at + interval '2 days'"])
async def test_the_api_by_a_cookie_is_no_way_around_showing_once_more_who_one_is(
    platform: Platform, http: httpx.AsyncClient, tenant: Tenant, column: str
) -> None:
    csrf = await sign_in(http, tenant.consignee.key)
    path = f"/v1/me/access_points/{tenant.access_point_id}"
    headers = {**OURS, "x-unlatch-csrf": csrf}
    keyed = [{**headers, "idempotency-key": f"key-{number}"} for number in range(3)]
    assert (await http.post(f"{path}/block", headers=keyed[0])).status_code == 200
    async with platform.database.connection() as connection:
        await connection.execute(f"UPDATE session SET {column.partition(' ')[0]} = {column}".encode())
    answer = await http.post(f"{path}/unblock", headers=keyed[1])
    assert answer.status_code == 403, answer.text
    assert (await tenant.consignee.post(f"{path}/unblock")).status_code == 200  # who holds the key itself


def test_no_two_files_say_a_text_differently() -> None:
    """They are read as one: the later would win, in all apps."""
    said: dict[object, set[object]] = {}
    for path in sorted((WEB.parent / "locale" / "fr").glob("*.po")):
        with path.open("rb") as file:
            for message in read_po(file):
                key = message.id if isinstance(message.id, str) else message.id[0]
                if key:
                    said.setdefault(key, set()).add(message.string)
    assert [key for key, texts in said.items() if len(texts) > 1] == []


@pytest.mark.parametrize(
    "path", ["/me/places/%00", "/me/deliveries/a%0Ab", "/me/accounts/%00", "/me/places/%00/home"]
)
async def test_an_address_that_can_name_nothing_is_not_found(
    http: httpx.AsyncClient, tenant: Tenant, path: str
) -> None:
    """PostgreSQL takes no NUL: it was an error of ours, and logged as one."""
    await sign_in(http, tenant.consignee.key)
    answer = await http.get(path)
    assert answer.status_code == 404, answer.text
    assert answer.headers["content-type"].startswith("text/html")


async def test_a_field_that_no_form_of_ours_sends_is_refused(http: httpx.AsyncClient, tenant: Tenant) -> None:
    csrf = await sign_in(http, tenant.consignee.key)
    for path, field in (("/me/notices/end", "channel"), ("/sign-out", "session")):
        answer = await http.post(path, data={"csrf": csrf, field: "a\x00b"}, headers=OURS)
        assert answer.status_code == 400, answer.text
