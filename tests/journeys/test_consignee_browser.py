"""A consignee's phone in a real browser: a car linked, a delivery watched live and rated, a block in each state.

With PICTURES=yes the pictures of docs/pictures/consignee are made anew by the way.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import Route, expect
from tests.journeys.front import HERE, Front, PhoneDoor, open_front, sscc
from tests.journeys.playing import Play
from tests.journeys.screens import PATIENCE_MS, Screen, open_screen

from unlatch.domain.visit import State
from unlatch.town.desk import Consignee

VIN = "YV1RS592XM2000001"
SHOWN = ("today", "live", "delivered", "places", "choose", "aujourdhui", "en-direct")
# GRANTED, READY and CLOSED are over before a finger could tap: for those there are tests/flow and the models.
BLOCKED_IN = (State.REQUESTED, State.UNLOCKING, State.UNLOCKED, State.OPEN, State.LOCKING)
WORDS = {
    "en-US": {
        "given": "I was given a key", "key": "Key", "by_key": "Sign in with the key", "link": "Link my car",
        "on": "Go on at the maker", "me": "Yes, that is me: link it", "back": "Back to my places",
        "choose": "Choose a car", "here": "Where I am now", "plate": "Plate", "agree": "I agree: deliver into this car",
        "range": "Am I in range?", "in_range": "In range", "way": "is on the way.",
        "still": "Please don't move the car.",
        "see": "See and change", "story": "What happened, to the second", "how": "How was it?",
        "send": "Send",
        "proof": "Keep the proof", "block": "Block: nobody opens it", "blocked": "Blocked: nothing opens there.",
        "again": "Let deliveries in again", "nothing": "Nothing is on its way to you.",
        "notices": "How you are told", "mail": "Your e-mail address", "tell": "Tell me by mail",
        "six": "The six digits that were sent there", "confirm": "Confirm", "waits": "waits for its code",
        "history": "What happened", "would": "See what would happen if you were erased",
        "keep": "Keep this link before you go on", "erase": "Erase me", "erasing": "You are being erased",
    },
    "fr-FR": {
        "given": "On m'a donné une clé", "key": "Clé", "by_key": "Se connecter avec la clé", "link": "Lier ma voiture",
        "on": "Continuer chez le constructeur", "me": "Oui, c'est moi : relier", "back": "Retour à mes lieux",
        "choose": "Choisir une voiture", "here": "Là où je suis", "plate": "Plaque",
        "agree": "J'accepte : livrez dans cette voiture",
        "range": "Suis-je à portée ?", "in_range": "À portée", "way": "est en route.",
        "still": "Ne déplacez pas la voiture, s'il vous plaît.",
        "see": "Voir et modifier", "story": "Ce qui s'est passé, à la seconde près",
        "how": "Comment cela s'est-il passé ?",
        "send": "Envoyer", "proof": "Garder la preuve", "block": "Bloquer : personne n'ouvre",
        "blocked": "Bloqué : rien ne s'y ouvre.", "again": "Autoriser à nouveau les livraisons",
        "nothing": "Rien n'est en route pour vous.",
        "notices": "Comment vous êtes prévenu", "mail": "Votre adresse e-mail", "tell": "Me prévenir par e-mail",
        "six": "Les six chiffres qui y ont été envoyés", "confirm": "Confirmer", "waits": "attend son code",
        "history": "Ce qui s'est passé", "would": "Voir ce qui se passerait si vous étiez effacé",
        "keep": "Gardez ce lien avant de continuer", "erase": "M'effacer", "erasing": "Votre effacement est en cours",
    },
}  # fmt: skip


@pytest.fixture
async def front(database_url: str, tmp_path: Path) -> AsyncIterator[Front]:
    async with open_front(tmp_path, database_url, factor=2.0) as front:
        yield front


def open_phone(locale: str) -> AbstractAsyncContextManager[Screen]:
    """The consignee's own, beside the car."""
    return open_screen(
        locale=locale, pictures="consignee", shown=SHOWN, permissions=["geolocation"], has_touch=True, is_mobile=True,
        timezone_id="America/New_York", geolocation={"latitude": HERE.latitude, "longitude": HERE.longitude},
    )  # fmt: skip


async def sign_in(screen: Screen, front: Front, key: str, words: dict[str, str], to: str = "/me") -> None:
    await screen.page.goto(f"{front.installation.server_url}/sign-in?to={to}")
    await screen.page.get_by_text(words["given"]).click()
    await screen.page.get_by_label(words["key"], exact=True).fill(key)
    await screen.press(words["by_key"])


async def says(screen: Screen, text: str) -> None:
    await expect(screen.page.locator("main")).to_contain_text(text, timeout=PATIENCE_MS)


async def book(front: Front, consignee_id: str, place_id: str, key: str) -> PhoneDoor:
    """A stop there with a parcel, and its courier."""
    phone = await front.equip_phone("Bo")
    label = sscc(77)
    shipment = await front.carrier.announce_shipment(consignee_id, "order 77", [label])
    now = front.clock.now()
    stop = await front.carrier.plan_stop(
        courier_id=phone.courier_id, access_point_id=place_id, shipment_id=shipment.id,
        window=(now - timedelta(minutes=5), now + timedelta(hours=4)), fallback="to_door",
    )  # fmt: skip
    door = PhoneDoor(front, vin=VIN, place_id=place_id, stop_id=stop.id, label=label)
    door.phone, door.consignee = phone, Consignee(front.carrier.base_url, key)
    return door


@pytest.mark.parametrize("locale", ["en-US", "fr-FR"])
async def test_from_linking_the_car_to_the_rating(front: Front, locale: str) -> None:
    words, is_english = WORDS[locale], locale == "en-US"
    await front.town.add_car("volvo", VIN, account_id="ada", make="Volvo", model="XC60", model_year=2021)
    made = await front.carrier.register_consignee("Ada", locale[:2])
    async with open_phone(locale) as screen:
        page = screen.page
        await sign_in(screen, front, made.key, words)
        await screen.look("nothing-yet")
        await screen.press(words["link"])
        await screen.look("places")
        await page.locator("button[name=maker][value=volvo]").click()
        await says(screen, words["on"])
        await screen.look("link")
        await screen.press(words["on"])
        await page.locator("input[name=account]").fill("ada")
        await page.locator("button[value=approve]").click()
        await screen.press(words["me"])
        await screen.look("linked")
        await screen.press(words["back"])
        await screen.press(words["choose"])
        await says(screen, VIN[-6:])
        await screen.press(words["here"])
        await expect(page.locator("input[name=latitude]")).to_have_value("33.74900")
        await page.get_by_label(words["plate"]).fill("ABC 123")
        await screen.look("choose" if is_english else "choisir")
        await screen.press(words["agree"])
        await expect(page).to_have_url(re.compile("/me/places/acc_"))
        await screen.look("place")
        door = await book(front, made.id, page.url.rpartition("/")[2], made.key)

        await page.goto(f"{front.installation.server_url}/me")
        await screen.press(words["range"])
        await says(screen, words["in_range"])
        await page.goto(f"{front.installation.server_url}/me")
        await screen.look("today" if is_english else "aujourdhui")
        await door.phone.set_out(door.stop_id)
        await says(screen, words["way"])  # by itself
        await screen.press(words["see"])

        async def watch(play: Play) -> None:
            await says(screen, words["still"])
            await expect(page.locator(".step .is-live")).to_be_visible(timeout=PATIENCE_MS)
            await screen.look("live" if is_english else "en-direct")

        play = Play(door=door, at={State.OPEN: watch})
        await door.scan()
        await play.go_on()
        assert play.last.state is State.DELIVERED
        await expect(page.get_by_role("link", name=words["proof"])).to_be_visible()
        where = await page.get_by_role("link", name=words["proof"]).get_attribute("href")
        proof = await page.request.get(f"{front.installation.server_url}{where}")
        assert proof.ok
        await page.reload()
        await says(screen, words["story"])
        await screen.look("delivered" if is_english else "livré")
        await page.get_by_text(words["how"]).first.click()
        await page.get_by_label("5", exact=True).check()
        await screen.press(words["send"])
        await says(screen, words["story"])
        async with front.database.connection() as connection:
            cursor = await connection.execute("SELECT stars FROM rating")
            assert await cursor.fetchall() == [(5,)]
        await page.goto(f"{front.installation.server_url}/me/history")
        await says(screen, words["history"])
        await screen.look("history")
        await door.close()


@pytest.mark.timeout(240)  # three visits
async def test_a_block_is_one_tap_whatever_is_under_way(front: Front) -> None:
    for state in (None, State.UNLOCKING, State.OPEN):
        await block_in(front, state, "en-US")


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("locale", list(WORDS))
async def test_a_block_is_one_tap_in_each_state(front: Front, locale: str) -> None:
    for state in (None, *BLOCKED_IN):
        await block_in(front, state, locale)


async def block_in(front: Front, state: State | None, locale: str) -> None:
    words = WORDS[locale]
    async with front.open_door("onstar") as door, open_phone(locale) as screen:
        await sign_in(screen, front, door.consignee.key, words)
        await screen.page.get_by_role("button", name=locale[:2].upper(), exact=True).click()
        await screen.press(words["see"])

        async def block(play: Play) -> None:
            if state is not None:
                await says(screen, words["still"])
            await screen.press(words["block"])
            await says(screen, words["blocked"])

        if state is None:
            await block(Play(door=door))
            await screen.look("blocked")
            await screen.press(words["again"])
            await says(screen, words["block"])
        else:
            play = Play(door=door, at={state: block})
            await door.scan()
            await play.go_on()
            assert state in play.states
            assert play.last.state in (State.DELIVERED, State.UNDELIVERED, State.REFUSED)
            truth = await front.town.state(door.vin)
            assert truth.is_trunk_locked
            assert not truth.is_lid_open
            await screen.page.reload()
            await screen.look("after-the-block")
            await door.check()


async def test_mail_is_confirmed_by_its_code(front: Front) -> None:
    for locale in WORDS:
        await confirm_mail(front, locale)


async def confirm_mail(front: Front, locale: str) -> None:
    words = WORDS[locale]
    made = await front.carrier.register_consignee("Ada", locale[:2])
    async with open_phone(locale) as screen:
        page = screen.page
        await sign_in(screen, front, made.key, words, "/me/notices")
        await says(screen, words["notices"])
        await page.get_by_label(words["mail"]).fill(f"ada-{locale.lower()}@example.org")
        await screen.press(words["tell"])
        await says(screen, words["waits"])
        await screen.look("notices")
        await page.get_by_label(words["six"]).fill(
            await front.town.wait_for_code(f"ada-{locale.lower()}@example.org")
        )
        await screen.press(words["confirm"])
        await expect(page.get_by_text(words["waits"])).to_be_hidden()


@pytest.mark.parametrize("locale", ["en-US", "fr-FR"])
async def test_who_is_erased_has_the_receipt_though_the_answer_is_lost(front: Front, locale: str) -> None:
    words = WORDS[locale]
    async with front.open_door("onstar") as door, open_phone(locale) as screen:
        page = screen.page
        await sign_in(screen, front, door.consignee.key, words, "/me/data")
        await settle(front)
        await page.get_by_role("button", name=locale[:2].upper(), exact=True).click()
        await page.get_by_text(words["would"]).click()
        await says(screen, words["keep"])
        await screen.look("erasure" if locale == "en-US" else "effacement")
        where = await page.locator("form[action^='/erased/']").get_attribute("action")
        await page.locator("input[name=away]").check()
        await page.locator("input[name=sure]").check()

        async def lose(route: Route) -> None:
            """The server has it, and its answer is lost on the way."""
            await route.fetch(max_redirects=0)
            await route.abort()

        await page.route(f"**{where}", lose, times=1)
        await screen.press(words["erase"])
        await expect(page).to_have_url(re.compile("^chrome-error:"))
        await page.goto(f"{front.installation.server_url}{where}")
        await says(screen, words["erasing"])
        await screen.look("receipt" if locale == "en-US" else "reçu")
        await page.goto(f"{front.installation.server_url}/me")
        await expect(page.get_by_text(words["given"])).to_be_visible()


async def settle(front: Front) -> None:
    """This browser has been here for long enough."""
    async with front.database.connection() as connection:
        await connection.execute("UPDATE session SET settles_at = created_at")


async def test_a_server_that_is_gone_is_told_within_three_seconds(front: Front) -> None:
    words = WORDS["en-US"]
    async with front.open_door("onstar") as door, open_phone("en-US") as screen:
        await sign_in(screen, front, door.consignee.key, words)

        async def cut(play: Play) -> None:
            await says(screen, words["still"])
            await screen.context.set_offline(True)
            await expect(screen.page.locator("#lost")).to_be_visible(timeout=3000)
            await screen.context.set_offline(False)
            await expect(screen.page.locator("#lost")).to_be_hidden()

        await screen.press(words["see"])
        await door.scan()
        await Play(door=door, at={State.OPEN: cut}).go_on()
        await expect(screen.page.get_by_role("link", name=words["proof"])).to_be_visible()
