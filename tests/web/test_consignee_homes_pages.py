"""The consignee's pages of homes over HTTP: linked, set, watched by cameras that are enrolled before a real town."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path

import httpx
import pytest
from tests.web.conftest import PUBLIC_URL, Tenant, make_tenant
from tests.web.enrolling import PICTURE, Hall, Street, add_hall, at_work, open_street
from tests.web.homes import HUB, HUB_TOKEN, add_home, enrol_quickly
from tests.web.people import fetch, invite
from tests.web.test_consignee_pages import Browser, settle
from tests.web.test_pages import sign_in

from unlatch.flow.platform import Platform
from unlatch.store.database import Database
from unlatch.web.app import create_app

NEW = {
    "name": "Our front door",
    "address": HUB,
    "access_token": HUB_TOKEN,
    "contact": "binary_sensor.front_door",
    "entity": "lock.front_door",
    "form": "door",
    "latitude": "47.6205",
    "longitude": "-122,3493",  # as a phone in France types it
    "time_zone": "America/Los_Angeles",
}
HUB_AGAIN = {"address": HUB, "access_token": "another-token"}
RTSP = {
    "maker": "rtsp", "name": "Hall", "address": "rtsp://8.8.4.4:554/Stream?channel=1",
    "user": "ann", "password": "camera-password",
}  # fmt: skip


@pytest.fixture
async def browser(platform: Platform, http: httpx.AsyncClient, tenant: Tenant) -> Browser:
    made = Browser(http, await sign_in(http, tenant.consignee.key), "en")
    await settle(platform)
    return made


async def french(platform: Platform, http: httpx.AsyncClient, tenant: Tenant) -> Browser:
    """The same person, on a page that was set to French."""
    csrf = await sign_in(http, tenant.consignee.key)
    await settle(platform)
    http.cookies.set("unlatch_language", "fr")
    return Browser(http, csrf, "fr")


def error_at(page: str, name: str) -> str:
    """What is said at this field."""
    found = re.search(rf'<span class="error" id="wrong-{name}">(.*?)</span>', page)
    assert found is not None, page
    assert re.search(rf'name="{name}"[^>]*aria-describedby="wrong-{name}"', page), name
    return unescape(found[1])


def main_of(page: str) -> str:
    return unescape(page.partition("<main")[2])


async def link(browser: Browser, **changes: str) -> str:
    """Link a home; the path of its place."""
    answer = await browser.send("/me/homes/new", **{**NEW, **changes})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


# ---- linking -----------------------------------------------------------------------------------------------


async def test_a_home_is_linked_and_what_opens_it_is_never_shown(
    platform: Platform, tenant: Tenant, browser: Browser
) -> None:
    assert 'href="/me/homes/new"' in await browser.read("/me/places")
    form = await browser.read("/me/homes/new")
    for name in NEW:
        assert f'name="{name}"' in form, name
    path = await link(browser)
    page = await browser.read(path)
    assert "Our front door" in page
    assert "No parcel comes in here yet" in page
    assert "Seen locked, and seen closed" in page
    for secret in (HUB, HUB_TOKEN, "lock.front_door"):
        assert secret not in page
    (sealed,) = await fetch(platform, "SELECT sealed FROM vehicle WHERE access_point_id = %s", path[-36:])
    assert platform.vault.open_mapping(bytes(sealed[0]), path[-36:])["access_token"] == HUB_TOKEN
    shown = (await tenant.carrier.get(f"/v1/access_points/{path[-36:]}")).json()
    assert (shown["address"]["latitude"], shown["address"]["longitude"]) == (47.6205, -122.3493)
    assert "Your home" not in await browser.read("/me/places")


WRONG = [
    ("address", "ftp://hub.example", "Give the address of the hub", "Donnez l'adresse de la centrale"),
    ("address", "https://10.0.0.7:8123", "This network address may not", "Cette adresse réseau"),
    ("address", "https://localhost:8123", "UNLATCH_PRIVATE_HUBS", "demande le réglage"),
    ("address", "http://8.8.8.8:8123", "must not travel in the open", "ne doit pas circuler en clair"),
    ("address", "https://no-such-name.invalid", "No such name is known", "Ce nom n'est pas connu"),
    ("address", "", "The address is needed.", "L'adresse est nécessaire."),
    ("access_token", "", "The token is needed", "Le jeton est nécessaire"),
    ("access_token", "tökén", "Give printable ASCII", "Donnez des caractères ASCII"),
    ("entity", "light.hall", "Give its name in the hub", "Donnez son nom dans la centrale"),
    ("entity", "", "Give its name in the hub", "Donnez son nom dans la centrale"),
    ("contact", "lock.x", "binary_sensor.front_door", "Donnez un nom comme"),
    ("second_bolt", "light.x", "lock.second_bolt", "Donnez un nom comme"),
    ("alarm", "light.x", "alarm_control_panel.home", "Donnez un nom comme"),
    ("pet", "light.x", "binary_sensor.dog", "Donnez un nom comme"),
    ("bell", "light.x", "button.bell", "Donnez un nom comme"),
    ("lamp", "lock.x", "light.hall", "Donnez un nom comme"),
    ("opening", "ajar", "Choose one of the two.", "Choisissez l'un des deux."),
    ("locks_itself_after_s", "soon", "Give seconds", "Donnez des secondes"),
    ("latitude", "north", "Give degrees", "Donnez des degrés"),
    ("longitude", "200", "Give degrees", "Donnez des degrés"),
    ("time_zone", "Mars/Base", "Give a name like America", "Donnez un nom comme America"),
    ("name", "", "Give a name of at most", "Donnez un nom de 100"),
    ("from_local", "10:00", "Give both hours, or neither.", "Donnez les deux heures"),
    ("until_local", "late", "Give an hour", "Donnez une heure"),
    ("picture_url", "http://x.example", "begins with https://", "qui commence par https://"),
]


async def test_what_can_not_be_used_is_named_at_its_field_in_both_languages(
    platform: Platform, http: httpx.AsyncClient, tenant: Tenant, browser: Browser
) -> None:
    for language in ("en", "fr"):
        http.cookies.set("unlatch_language", language)
        for name, value, *said in WRONG:
            answer = await browser.send("/me/homes/new", **{**NEW, name: value})
            assert answer.status_code == 400, (name, value)
            assert said[language == "fr"] in error_at(answer.text, name)
            assert f'value="{NEW["time_zone"]}"' in answer.text or name == "time_zone", (
                "what was typed is kept"
            )
            assert HUB_TOKEN not in answer.text, "but no secret is sent back"
    assert (
        "<details open>"
        in (await browser.send("/me/homes/new", **{**NEW, "name": "", "bell": "button.bell"})).text
    )
    answer = await browser.send("/me/homes/new", **{**NEW, "form": "window"})
    assert "<details>" in answer.text
    assert "Choisissez l'un des deux." in main_of(answer.text), "what has no line of its own stands above"
    assert await fetch(platform, "SELECT 1 FROM access_point WHERE kind = 'home'") == []


async def shown_long_ago(platform: Platform) -> None:
    async with platform.database.connection() as connection:
        await connection.execute("UPDATE session SET proved_at = proved_at - interval '1 hour'")


async def test_whoever_links_shows_first_who_they_are_and_comes_back_to_the_form(
    platform: Platform, tenant: Tenant, browser: Browser
) -> None:
    made = await add_home(tenant)
    place = f"/me/places/{made['id']}"
    camera_id = (await tenant.consignee.get(f"/v1/me/access_points/{made['id']}/cameras")).json()["cameras"][
        0
    ]["id"]
    await shown_long_ago(platform)
    for path in ("/me/homes/new", f"{place}/home", f"{place}/hub", f"{place}/cameras/new"):
        answer = await browser.http.get(path, headers={"referer": "http://unlatch.test/me/places"})
        assert (answer.status_code, answer.headers["location"]) == (303, f"/step-up?to={path}")
        assert (await browser.send(path, **NEW)).headers["location"].startswith("/step-up")
    answer = await browser.send(f"{place}/cameras/{camera_id}/feed")
    assert answer.headers["location"].startswith("/step-up")
    async with platform.database.connection() as connection:
        await connection.execute(
            "UPDATE session SET proved_at = now(), settles_at = now() + interval '1 day'"
        )
    for path in ("/me/homes/new", f"{place}/home", f"{place}/hub", f"{place}/cameras/new"):
        assert (await browser.send(path, **NEW)).status_code == 409
    assert len(await fetch(platform, "SELECT 1 FROM access_point WHERE kind = 'home'")) == 1


async def test_another_s_home_is_not_there(
    platform: Platform, http: httpx.AsyncClient, tenant: Tenant, browser: Browser
) -> None:
    made = await add_home(tenant)
    other = await tenant.carrier.make("/v1/consignees", {"name": "Eve", "language": "en"})
    http.cookies.clear()
    eve = Browser(http, await sign_in(http, other["key"]), "en")
    await settle(platform)
    ((camera_id,),) = await fetch(platform, "SELECT id FROM camera")
    place = f"/me/places/{made['id']}"
    for path in ("home", "hub", "cameras/new", f"cameras/{camera_id}"):
        answer = await http.get(f"{place}/{path}")
        assert answer.status_code == 404, path
        assert "front" not in main_of(answer.text)
    for path in ("home", "hub", "cameras/new", *(f"cameras/{camera_id}/{one}" for one in ("enrolment", "light", "clock",
                 "door", "feed", "remove"))):  # fmt: skip
        assert (await eve.send(f"{place}/{path}", **HUB_AGAIN, maker="browser", name="x")).status_code in (
            400, 404), path  # fmt: skip
    assert await fetch(platform, "SELECT count(*) FROM camera WHERE removed_at IS NULL") == [(1,)]
    assert await fetch(platform, "SELECT 1 FROM enrolment") == []
    car = f"/me/places/{tenant.access_point_id}"
    for path in ("home", "hub", "cameras/new"):
        assert (await http.get(f"{car}/{path}")).status_code == 404


# ---- what a courier must mind ------------------------------------------------------------------------------


async def test_settings_are_changed_and_kept_whole(
    platform: Platform, tenant: Tenant, browser: Browser
) -> None:
    place = await link(browser)
    form = await browser.read(f"{place}/home")
    assert re.search(r'name="rings_first" value="yes" checked', form)
    page = await browser.do(
        f"{place}/home", is_pet_loose="yes", quiet_from="21:00", quiet_until="07:30",
        directions="Behind\r\nthe <fountain>", form="garage",
    )  # fmt: skip
    assert "could run out: nothing is opened" in page
    assert "nobody rings" in page
    assert "21:00 to 07:30" in page
    assert "Behind\nthe &lt;fountain&gt;" in page
    home = (await tenant.consignee.get(f"/v1/me/access_points/{place[-36:]}/home")).json()
    assert (home["rings_first"], home["is_pet_loose"], home["form"]) == (False, True, "garage")
    assert 'value="21:00"' in await browser.read(f"{place}/home")
    page = await browser.do(
        f"{place}/home", rings_first="yes", quiet_from="", quiet_until="", directions="", form="door"
    )
    home = (await tenant.consignee.get(f"/v1/me/access_points/{place[-36:]}/home")).json()
    assert (home["quiet_from"], home["quiet_until"], home["directions"]) == (None, None, "")
    assert "none that could run out" in page


async def test_settings_that_can_not_be_are_named_at_their_field(
    platform: Platform, browser: Browser
) -> None:
    place = await link(browser)
    wrong: list[tuple[dict[str, str], str, str]] = [
        ({"quiet_from": "21:00"}, "quiet_from", "Give both hours, or neither."),
        ({"quiet_until": "21:00"}, "quiet_from", "Give both hours, or neither."),
        ({"quiet_from": "21:00", "quiet_until": "21:00"}, "quiet_until", "The two hours are the same."),
        ({"quiet_from": "late", "quiet_until": "07:00"}, "quiet_from", "Give an hour"),
        ({"directions": "x" * 501}, "directions", "At most 500 characters."),
    ]
    for fields, name, said in wrong:
        answer = await browser.send(f"{place}/home", form="door", is_pet_loose="yes", **fields)
        assert answer.status_code == 400, fields
        assert said in error_at(answer.text, name)
        assert re.search(r'name="is_pet_loose" value="yes" checked', answer.text), "what was ticked stays so"
    assert await fetch(platform, "SELECT is_pet_loose FROM home") == [(False,)]


async def test_a_hub_is_linked_again_and_its_cameras_are_to_be_enrolled_again(
    platform: Platform, tenant: Tenant, browser: Browser
) -> None:
    made = await add_home(tenant)
    ((camera_id,),) = await fetch(platform, "SELECT id FROM camera")
    await enrol_quickly(platform, camera_id)
    place = f"/me/places/{made['id']}"
    assert "A witness until" in await browser.read(place)
    assert "Your home" in await browser.read("/me/places"), "whoever registered it has given it no name"
    answer = await browser.send(f"{place}/hub", **{**HUB_AGAIN, "access_token": ""})
    assert "The token is needed" in error_at(answer.text, "access_token")
    same = {**HUB_AGAIN, "contact": "binary_sensor.front_door"}
    assert "A witness until" in await browser.do(f"{place}/hub", **same), "only the token is another"
    page = await browser.do(f"{place}/hub", **HUB_AGAIN, entity="lock.back_door")
    assert "Not yet shown to see the door" in page
    assert "Only the bolt is seen" in page, "no contact sensor was given this time"
    ((sealed,),) = await fetch(platform, "SELECT sealed FROM vehicle WHERE access_point_id = %s", made["id"])
    assert platform.vault.open_mapping(bytes(sealed), made["id"]) == {
        "vin": "lock.back_door", "address": HUB, "access_token": "another-token",
    }  # fmt: skip


async def test_a_member_sets_the_home_and_links_no_hub(
    platform: Platform, http: httpx.AsyncClient, tenant: Tenant, browser: Browser
) -> None:
    place = await link(browser)
    code = await invite(tenant.consignee, place[-36:])
    member = await tenant.carrier.make("/v1/consignees", {"name": "Ben", "language": "en"})
    http.cookies.clear()
    ben = Browser(http, await sign_in(http, member["key"]), "en")
    await settle(platform)
    page = await ben.do("/me/join", code=code)
    assert f'href="{place}/home"' in page
    assert f'href="{place}/hub"' not in page
    assert "could run out" in await ben.do(f"{place}/home", is_pet_loose="yes", form="door")
    assert (await ben.send(f"{place}/hub", **HUB_AGAIN)).status_code == 403
    refused = await http.get(f"{place}/hub")
    assert refused.status_code == 403
    assert "Only its owner may link the hub of a home." in main_of(refused.text)


# ---- cameras -----------------------------------------------------------------------------------------------


async def test_a_camera_that_can_not_be_is_refused_at_its_field(
    platform: Platform, http: httpx.AsyncClient, tenant: Tenant
) -> None:
    wrong: list[tuple[dict[str, str], str, str]] = [
        ({"name": ""}, "name", "Donnez un nom de 100"),
        ({"address": ""}, "address", "L'adresse est nécessaire."),
        ({"address": "https://8.8.8.8/x"}, "address", "Donnez l'adresse de son flux, comme rtsps://"),
        ({"address": "rtsp://ann:pw@8.8.8.8/x"}, "address", "dans leurs propres champs"),
        ({"address": "rtsp://10.0.0.7/x"}, "address", "Cette adresse réseau"),
        ({"address": "rtsp://localhost/x"}, "address", "une caméra sur cette machine".capitalize()),
        ({"address": "rtsp://no-such-name.invalid/x"}, "address", "Ce nom n'est pas connu"),
        ({"user": "x" * 257}, "user", "256 caractères au plus."),
        ({"password": "é"}, "password", "Donnez des caractères ASCII"),
        ({"maker": "home_assistant", "address": "http://8.8.8.8", "access_token": "t", "entity": "camera.hall"},
         "address", "ne doit pas circuler en clair"),
        ({"maker": "home_assistant", "address": HUB, "access_token": "", "entity": "camera.hall"},
         "access_token", "Le jeton est nécessaire"),
        ({"maker": "home_assistant", "address": HUB, "access_token": "t", "entity": "lock.x"},
         "entity", "Donnez son nom dans la centrale"),
    ]  # fmt: skip
    browser = await french(platform, http, tenant)
    place = await link(browser)
    for changes, name, said in wrong:
        answer = await browser.send(f"{place}/cameras/new", **{**RTSP, **changes})
        assert answer.status_code == 400, changes
        assert said in error_at(answer.text, name)
        assert "camera-password" not in answer.text
    assert await fetch(platform, "SELECT 1 FROM camera") == []


async def test_a_camera_of_no_kind_is_asked_for_its_kind(platform: Platform, browser: Browser) -> None:
    place = await link(browser)
    page = await browser.read(f"{place}/cameras/new")
    for maker in ("rtsp", "home_assistant", "browser"):
        assert f"?maker={maker}" in page
    answer = await browser.send(f"{place}/cameras/new", maker="eye", name="Hall")
    assert answer.status_code == 400
    assert "Choose one of the kinds." in main_of(answer.text)


async def test_cameras_stand_with_their_state_in_words_and_go(
    platform: Platform, tenant: Tenant, browser: Browser
) -> None:
    place = await link(browser)
    page = await browser.do(f"{place}/cameras/new", **RTSP)
    assert "Not yet shown to see the door" in page
    assert "Enrol it now" in page
    ((camera_id,),) = await fetch(platform, "SELECT id FROM camera")
    await enrol_quickly(platform, camera_id)
    for path in (place, f"{place}/cameras/{camera_id}"):
        page = await browser.read(path)
        assert "A witness until" in page
        assert "No parcel comes in here yet" not in page
    assert "shown by: the time that it shows." in page
    async with platform.database.connection() as connection:
        await connection.execute("UPDATE camera SET check_by = now() - interval '1 day'")
    page = await browser.read(place)
    assert "Its check is overdue: enrol it again" in page
    assert "No parcel comes in here yet" in page
    for secret in ("8.8.4.4", "camera-password"):
        assert secret not in await browser.read(f"{place}/cameras/{camera_id}")
    page = await browser.do(f"{place}/cameras/{camera_id}/remove")
    assert "Hall" not in main_of(page)
    assert (await browser.http.get(f"{place}/cameras/{camera_id}")).status_code == 404


async def test_a_ninth_camera_is_refused_above_its_form(platform: Platform, browser: Browser) -> None:
    place = await link(browser)
    for number in range(8):
        await browser.do(f"{place}/cameras/new", maker="browser", name=f"Phone {number}")
    answer = await browser.send(f"{place}/cameras/new", maker="browser", name="Phone 9")
    assert answer.status_code == 409
    assert "This home has 8 cameras, and takes no more" in main_of(answer.text)
    assert 'value="Phone 9"' in answer.text


async def test_a_link_lets_an_old_phone_film_and_is_shown_once(platform: Platform, browser: Browser) -> None:
    place = await link(browser)
    await browser.do(f"{place}/cameras/new", maker="browser", name="Phone")
    ((camera_id,),) = await fetch(platform, "SELECT id FROM camera")
    path = f"{place}/cameras/{camera_id}"
    assert "/camera#" not in await browser.read(path)
    page = await browser.page(f"{path}/feed")
    assert re.search(r"http://unlatch\.test/camera#unlatch_link_\w+", page)
    assert 'src="data:image/svg+xml' in page
    assert "/camera#" not in await browser.read(path)
    await browser.do(f"{place}/cameras/new", **RTSP)
    ((other,),) = await fetch(platform, "SELECT id FROM camera WHERE maker = 'rtsp'")
    assert f"cameras/{other}/feed" not in await browser.read(f"{place}/cameras/{other}")
    assert (await browser.send(f"{place}/cameras/{other}/feed")).status_code == 409


async def test_the_api_by_a_cookie_lets_no_phone_film_unless_one_has_shown_who_one_is(
    platform: Platform, browser: Browser
) -> None:
    """Whoever opens the link is the camera from then on: what it films may have a door opened."""
    place = await link(browser)
    await browser.do(f"{place}/cameras/new", maker="browser", name="Phone")
    ((camera_id,),) = await fetch(platform, "SELECT id FROM camera")
    path = f"/v1/me/access_points/{place[-36:]}/cameras/{camera_id}/feed_link"
    headers = {**browser.headers, "x-unlatch-csrf": browser.csrf}
    asked = await browser.http.post(path, headers={**headers, "idempotency-key": "1"})
    assert asked.status_code == 201, asked.text
    await shown_long_ago(platform)
    asked = await browser.http.post(path, headers={**headers, "idempotency-key": "2"})
    assert asked.status_code == 403, asked.text


async def test_what_an_enrolment_can_not_do_now_is_said_on_its_page(
    platform: Platform, http: httpx.AsyncClient, tenant: Tenant
) -> None:
    browser = await french(platform, http, tenant)
    place = await link(browser)
    page = await browser.do(f"{place}/cameras/new", **RTSP)
    ((camera_id,),) = await fetch(platform, "SELECT id FROM camera")
    path = f"{place}/cameras/{camera_id}"
    answer = await browser.send(f"{path}/door")
    assert answer.status_code == 409
    assert "Aucun enregistrement de cette caméra n'est en cours" in main_of(answer.text)
    page = await browser.do(f"{path}/enrolment")
    assert "Nous nous connectons à la caméra." in main_of(page)
    assert 'id="enrolment" data-renew="1"' in page
    answer = await browser.send(f"{path}/light")
    assert "L'image de la caméra n'est pas encore là" in main_of(answer.text)
    answer = await browser.send(f"{path}/clock", left="x", top="", width="-1", height="")
    assert answer.status_code == 400
    assert "Entourez heures, minutes et secondes" in main_of(answer.text)
    async with platform.database.connection() as connection:
        await connection.execute("UPDATE enrolment SET until_real = now() - interval '1 minute'")
    page = main_of(await browser.read(path))
    assert "Le temps imparti est écoulé" in page
    assert "L'enregistrer maintenant" in page


@pytest.mark.parametrize("language", ["en", "fr"])
async def test_each_page_of_homes_speaks_its_language(
    platform: Platform, http: httpx.AsyncClient, tenant: Tenant, language: str
) -> None:
    browser = await french(platform, http, tenant)
    if language == "en":
        http.cookies.set("unlatch_language", "en")
    place = await link(browser)
    await browser.do(f"{place}/cameras/new", **RTSP)
    ((camera_id,),) = await fetch(platform, "SELECT id FROM camera")
    words: dict[str, tuple[str, str]] = {
        "/me/homes/new": ("Link my home", "Lier mon domicile"),
        place: ("What a courier must mind", "Ce à quoi un livreur doit veiller"),
        f"{place}/home": ("How to find the door", "Comment trouver la porte"),
        f"{place}/hub": ("Give all of it again", "Redonnez tout"),
        f"{place}/cameras/new": ("Which kind?", "De quelle sorte ?"),
        f"{place}/cameras/new?maker=rtsp": ("Address of its stream", "Adresse de son flux"),
        f"{place}/cameras/{camera_id}": ("Enrol it now", "L'enregistrer maintenant"),
    }
    for path, (english, in_french) in words.items():
        page = main_of(await browser.read(path))
        assert (english if language == "en" else in_french) in page, path
        assert (in_french if language == "en" else english) not in page, path


# ---- enrolled to the end, before a real camera -------------------------------------------------------------


@asynccontextmanager
async def household(street: Street) -> AsyncIterator[tuple[Browser, Tenant]]:
    """Someone with a browser at a platform whose town is real."""
    transport = httpx.ASGITransport(app=create_app(street.platform), raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        tenant = await make_tenant(street.platform, http)
        browser = Browser(http, await sign_in(http, tenant.consignee.key), "en")
        await settle(street.platform)
        yield browser, tenant


@pytest.mark.timeout(240)
async def test_a_home_is_linked_and_its_camera_enrolled_to_the_end(
    database: Database, tmp_path: Path
) -> None:
    async with open_street(database, tmp_path) as street, household(street) as (browser, tenant):
        home = await street.town.add_home("home-1", has_lamp=True)
        assert home.contact is not None
        assert home.lamp is not None
        hub = {"address": street.town.base_url + home.path, "access_token": home.token}
        place = await link(browser, **hub, entity=home.entity, contact=home.contact, lamp=home.lamp)
        seen = await street.town.add_camera("home-1-hall", **PICTURE, home_id="home-1")
        given = {"address": seen["address"], "user": seen["user"], "password": "wrong"}
        await browser.do(f"{place}/cameras/new", maker="rtsp", name="Hall", **given)
        ((wrong_id,),) = await fetch(street.platform, "SELECT id FROM camera")
        async with at_work(street.platform):
            # What went wrong, with its remedy, and how to go on.
            path = f"{place}/cameras/{wrong_id}"
            page = await browser.do(f"{path}/enrolment")
            page = await until(browser, path, "The camera does not take this user and password.")
            assert "Remove it here, and add it with the right ones." in page
            assert f'action="{path}/enrolment"' in page
            await browser.do(f"{path}/remove")
            given["password"] = seen["password"]
            await browser.do(f"{place}/cameras/new", maker="rtsp", name="Hall", **given)
            ((camera_id,),) = await fetch(street.platform, "SELECT id FROM camera WHERE removed_at IS NULL")
            path = f"{place}/cameras/{camera_id}"
            await browser.do(f"{path}/enrolment")
            page = await until(browser, path, "Play the lamp")
            assert 'data-renew="5"' in page, "it waits for them"
            page = await browser.do(f"{path}/light")
            assert "The lamp plays a pattern" in page
            assert 'data-renew="1"' in page
            await until(browser, path, "I am ready")
            page = await browser.do(f"{path}/door")
            assert "We look at the door." in page or "Keep the door closed for a moment" in page
            hall = Hall(
                street=street,
                owner=tenant.consignee,
                home_id="home-1",
                place_id=place[-36:],
                camera_id=camera_id,
            )
            await hall.turn_door()
            page = await until(browser, path, "This camera is enrolled.")
        assert "A witness until" in page
        assert "shown by: a lamp of the home that plays a pattern." in page
        assert "No parcel comes in here yet" not in await browser.read(place)
        shown = (await tenant.consignee.get(f"/v1/me/access_points/{place[-36:]}/home")).json()
        assert shown["has_witness"] is True


@pytest.mark.timeout(240)
async def test_the_time_is_marked_on_the_picture_where_no_lamp_is(database: Database, tmp_path: Path) -> None:
    async with open_street(database, tmp_path) as street, household(street) as (browser, tenant):
        hall = await add_hall(street, tenant, has_lamp=False)
        path = f"/me/places/{hall.place_id}/cameras/{hall.camera_id}"
        async with at_work(street.platform):
            await browser.do(f"{path}/enrolment")
            page = await until(browser, path, "This is the time")
            assert f'src="/v1/me/cameras/{hall.camera_id}/enrolment/picture"' in page
            assert 'width="320" height="180"' in page
            picture = await browser.http.get(f"/v1/me/cameras/{hall.camera_id}/enrolment/picture")
            assert picture.headers["content-type"] == "image/jpeg"
            answer = await browser.send(f"{path}/clock", left="300", top="100", width="96", height="16")
            assert answer.status_code == 400
            assert "Mark a part of the picture that was shown" in main_of(answer.text)
            page = await browser.do(f"{path}/clock", none="yes")
            assert "Nothing in this picture shows that it lives." in page
            assert "This is the time" in page, "they may turn it on, and mark it all the same"


async def until(browser: Browser, path: str, said: str, within_s: float = 60) -> str:
    """Read it again and again, as the page does by itself, until it says so."""
    page = ""
    try:
        async with asyncio.timeout(within_s):
            while said not in (page := main_of(await browser.read(path))):
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"never {said!r}: {page}") from None
    return page


# ---- un-linked ---------------------------------------------------------------------------------------------


async def test_a_home_is_unlinked_on_its_page_once_that_is_meant(
    platform: Platform, http: httpx.AsyncClient, tenant: Tenant
) -> None:
    place_id = (await add_home(tenant))["id"]
    place = f"/me/places/{place_id}"
    browser = await french(platform, http, tenant)
    page = await browser.read(place)
    assert f'action="{place}/unlink"' in page
    assert "Délier ce domicile" in page
    refused = await browser.send(f"{place}/unlink")
    assert (refused.status_code, "dites que vous êtes sûr" in unescape(refused.text)) == (400, True)
    async with platform.database.connection() as connection:
        await connection.execute("UPDATE session SET proved_at = proved_at - interval '1 hour'")
    answer = await browser.send(f"{place}/unlink", sure="yes")
    assert answer.headers["location"].startswith("/step-up"), "who is not shown once more takes nothing away"
    json_headers = {**browser.headers, "x-unlatch-csrf": browser.csrf, "idempotency-key": "key-1"}
    answer = await http.post(f"/v1/me/access_points/{place_id}/home/unlink", headers=json_headers)
    assert answer.status_code == 403, "nor by the cookie and the API"
    browser = await french(platform, http, tenant)
    await fetch(platform, "UPDATE session SET settles_at = settles_at + interval '2 days' RETURNING 1")
    page = await browser.do(f"{place}/unlink", sure="yes")
    assert "Ce domicile est délié" in unescape(page), "a browser that is new may take away"
    assert f'href="{place}/hub"' in page
    for gone in (f"{place}/unlink", f"{place}/cameras/new", "Aucun colis n'entre encore"):
        assert gone not in unescape(page)
    assert "Ce domicile est délié" not in await browser.read("/me/places")
