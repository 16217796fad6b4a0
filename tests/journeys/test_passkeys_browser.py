"""Signing in by a browser: a key, a passkey of a real (virtual) authenticator, a link that came by mail, once more."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import expect
from tests.journeys.front import Front, open_front
from tests.journeys.screens import Screen, open_screen

from unlatch.town.desk import Consignee

# A passkey belongs to a name: an address of numbers has none.
NAMED = {"UNLATCH_HTTP_PORT": "0", "UNLATCH_PUBLIC_URL": "http://localhost:0"}
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}
WORDS = {
    "en-US": {
        "given": "I was given a key", "key": "Key", "by_key": "Sign in with the key", "here": "Where you are signed in",
        "name": "Name of the new passkey", "add": "Add a passkey", "out": "Sign out",
        "away": "Take away", "use": "Use my passkey", "mail": "Your e-mail address", "link": "Send me a link",
        "on_its_way": "a link is on its way", "go_on": "Go on",
    },
    "fr-FR": {
        "given": "On m'a donné une clé", "key": "Clé", "by_key": "Se connecter avec la clé",
        "here": "Où vous êtes connecté",
        "name": "Nom de la nouvelle clé d'accès", "add": "Ajouter une clé d'accès", "out": "Se déconnecter",
        "away": "Retirer", "use": "Utiliser ma clé d'accès",
        "mail": "Votre adresse e-mail", "link": "M'envoyer un lien", "on_its_way": "un lien est en route",
        "go_on": "Continuer",
    },
}  # fmt: skip


@pytest.fixture
async def front(database_url: str, tmp_path: Path) -> AsyncIterator[Front]:
    async with open_front(tmp_path, database_url, factor=2.0, workers_at_start=1, more=NAMED) as front:
        yield front


async def be_unproved(front: Front) -> None:
    """As if an hour had gone by since anyone showed who they are."""
    async with front.database.connection() as connection:
        await connection.execute("UPDATE session SET proved_at = proved_at - interval '1 hour'")


async def find_link(front: Front, address: str) -> str:
    """The link in the newest mail, once it is there."""
    async with asyncio.timeout(20):
        while True:
            for letter in reversed((await front.town.mail(address)).letters):
                if found := re.search(r"http://\S+/sign-in/link#\S+", letter.body):
                    return found[0]
            await asyncio.sleep(0.1)


async def open_sign_in(screen: Screen, front: Front, path: str = "/sign-in?to=/devices") -> None:
    await screen.page.goto(f"{front.installation.server_url}{path}")


@pytest.mark.parametrize("locale", ["en-US", "fr-FR"])
async def test_a_passkey_lets_in_shows_once_more_and_a_mail_lets_in_too(front: Front, locale: str) -> None:
    words = WORDS[locale]
    made = await front.carrier.register_consignee("Ann Lee", locale[:2])
    address = f"ann-{locale}@example.org".lower()
    async with Consignee(front.carrier.base_url, made.key) as consignee:
        await consignee.open_mailbox(front.town, address)
    async with open_screen(locale=locale) as screen:
        page = screen.page
        session = await screen.context.new_cdp_session(page)
        await session.send("WebAuthn.enable")
        made_there = await session.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
        await open_sign_in(screen, front)
        await screen.look("sign-in")
        await page.get_by_text(words["given"]).click()
        await page.get_by_label(words["key"], exact=True).fill(made.key)
        await screen.press(words["by_key"])
        await expect(page.get_by_role("heading", name=words["here"])).to_be_visible()

        await page.get_by_label(words["name"]).fill("Pocket")
        await screen.press(words["add"])
        await expect(page.get_by_text("Pocket")).to_be_visible()
        await screen.look("devices")
        await screen.press(words["out"])
        await expect(page).to_have_url(f"{front.installation.server_url}/")
        assert await screen.context.cookies() == []

        await open_sign_in(screen, front)
        # Offered in the field of the address (conditional UI): this authenticator's person takes it at once.
        await expect(page.get_by_text("Pocket")).to_be_visible()

        # What widens, or takes a way in away, wants to see them once more, and then leads back.
        await be_unproved(front)
        await screen.press(words["away"])
        await expect(page.get_by_role("button", name=words["use"])).to_be_visible()
        await screen.look("step-up")
        await screen.press(words["use"])
        await expect(page.get_by_role("heading", name=words["here"])).to_be_visible()
        await screen.press(words["away"])
        await expect(page.get_by_text("Pocket")).to_be_hidden()
        await session.send("WebAuthn.removeVirtualAuthenticator", made_there)

        await screen.press(words["out"])
        await open_sign_in(screen, front)
        await page.get_by_label(words["mail"]).fill(address)
        await screen.press(words["link"])
        await expect(page.get_by_role("status").filter(has_text=words["on_its_way"])).to_be_visible()
        link = await find_link(front, address)
        await page.goto(link)
        await screen.look("link")
        assert "#" not in page.url  # it is not in the history either
        await screen.press(words["go_on"])
        await page.wait_for_url("**/me")
        await page.goto(f"{front.installation.server_url}/devices")
        await expect(page.get_by_role("heading", name=words["here"])).to_be_visible()
        # The link is used up.
        async with httpx.AsyncClient() as http:
            answer = await http.post(
                f"{front.installation.server_url}/sign-in/link", data={"token": link.partition("#")[2]}
            )
        assert answer.status_code == 403
