"""A consignee's browser is told while no page is looked at: asked on a tap, shown by the worker, led to the delivery.

Chromium's own push service is somebody else's: the town's stands in its place, and `PushManager` answers with a
subscription there. What that service was handed is given to the worker by the debugging protocol.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import CDPSession, Page, Worker, expect
from tests.journeys.front import Front, open_front
from tests.journeys.screens import PATIENCE_MS, Screen
from tests.journeys.test_consignee_browser import WORDS, open_phone, sign_in

from unlatch.town.post_office import Arrived

TELL_ME = "Tell me in this browser"
KEPT = "localStorage.getItem('subscription')"
# The browser's side of a subscription at the town's push service.
SUBSCRIPTIONS = """
  let made = null, asked = 0;
  const request = Notification.requestPermission.bind(Notification);
  Notification.requestPermission = () => { asked += 1; return request(); };
  window.countAsked = () => asked;
  const kept = () => JSON.parse(localStorage.getItem("subscription"));
  const unsubscribe = async () => localStorage.removeItem("subscription");
  const give = (one) => one && { toJSON: () => one, unsubscribe };
  PushManager.prototype.getSubscription = async () => give(kept());
  PushManager.prototype.subscribe = async ({ userVisibleOnly, applicationServerKey }) => {
    if (!userVisibleOnly) throw new Error("may not be silent");
    localStorage.setItem("subscription", JSON.stringify(await window.subscribeInTown(applicationServerKey)));
    return give(kept());
  };
"""
SHOWN = """
  async () => (await self.registration.getNotifications())
    .map(({ title, body, tag, lang, data }) => ({ title, body, tag, lang, ...data }))
"""
# Chromium forgets a notification that is asked for while it is on its way to the screen, so nobody asks before.
COUNT_SHOWN = """
  () => {
    const show = self.registration.showNotification.bind(self.registration);
    self.countShown = 0;
    self.registration.showNotification = async (...one) => { await show(...one); self.countShown += 1; };
  }
"""
# A person's tap can't be had without a desktop: the worker hears of it as the browser would tell.
TAP = """
  async (tag) => {
    const [notification] = await self.registration.getNotifications({ tag });
    const tap = new NotificationEvent("notificationclick", { notification });
    let done, led;
    tap.waitUntil = (work) => { done = work; };
    self.clients.openWindow = async (address) => { led = address; };
    self.dispatchEvent(tap);
    await done;
    return led;
  }
"""


@pytest.fixture
async def front(database_url: str, tmp_path: Path) -> AsyncIterator[Front]:
    async with open_front(tmp_path, database_url, factor=2.0) as front:
        yield front


class Pushes:
    """What the town's push service was handed for this browser, given to its worker."""

    def __init__(self, front: Front, screen: Screen) -> None:
        self.front, self.screen = front, screen
        self.subscription_id = ""
        self.registrations: asyncio.Queue[str] = asyncio.Queue()
        self.session: CDPSession

    async def begin(self) -> None:
        await self.screen.context.expose_function("subscribeInTown", self._subscribe)
        await self.screen.context.add_init_script(f"(() => {{ {SUBSCRIPTIONS} }})()")
        self.session = await self.screen.context.new_cdp_session(self.screen.page)
        self.session.on("ServiceWorker.workerRegistrationUpdated", self._hear)
        await self.session.send("ServiceWorker.enable")

    def _hear(self, told: dict[str, Any]) -> None:
        for one in told["registrations"]:
            if one["scopeURL"].endswith("/me"):
                self.registrations.put_nowait(one["registrationId"])

    async def _subscribe(self, key: str) -> dict[str, Any]:
        made = await self.front.town.subscribe(key)
        self.subscription_id = made.id
        return {"endpoint": made.endpoint, "keys": {"p256dh": made.keys.p256dh, "auth": made.keys.auth}}

    async def wait_for(self, event: str) -> Arrived:
        async with asyncio.timeout(20):
            while True:
                for letter in (await self.front.town.pushed(self.subscription_id)).letters:
                    if letter.event == event:
                        return letter
                await asyncio.sleep(0.05)

    async def deliver(self, letter: Arrived) -> None:
        registration = await asyncio.wait_for(self.registrations.get(), 20)
        self.registrations.put_nowait(registration)
        await self.session.send(
            "ServiceWorker.deliverPushMessage",
            {
                "origin": self.front.installation.server_url,
                "registrationId": registration,
                "data": json.dumps(letter.data),
            },
        )


async def shown_by(worker: Worker, pushed: int) -> list[dict[str, str]]:
    """What stands on the screen once so many pushes were shown."""
    async with asyncio.timeout(20):
        while await worker.evaluate("self.countShown") < pushed:
            await asyncio.sleep(0.05)
    return list(await worker.evaluate(SHOWN))


async def says_of_browser(page: Page, words: str) -> None:
    await expect(page.locator("form[data-push]")).to_contain_text(
        words, timeout=PATIENCE_MS, use_inner_text=True
    )


async def test_a_browser_is_told_of_its_delivery_and_says_when_it_is_not(front: Front) -> None:
    async with open_phone("en-US") as screen, front.open_door("onstar") as door:
        page, pushes = screen.page, Pushes(front, screen)
        await pushes.begin()
        await sign_in(screen, front, door.consignee.key, WORDS["en-US"], "/me/notices")
        await says_of_browser(page, "You have forbidden this page to show notices.")
        await expect(page.get_by_role("button", name=TELL_ME)).to_be_hidden()
        await screen.context.grant_permissions(["geolocation", "notifications"])
        await page.reload()
        await says_of_browser(page, "Your browser asks you first.")
        assert await page.evaluate("countAsked()") == 0, "it asks on a tap alone"
        await screen.look("notices-of-a-browser")
        async with screen.context.expect_event("serviceworker") as coming:
            await screen.press(TELL_ME)
        worker = await coming.value
        await expect(page.locator("form[data-push]")).to_be_hidden()
        await page.get_by_role("button", name="Send a test to 127.0.0.1").click()
        await expect(page.get_by_text("A test was sent there.")).to_be_visible()
        await screen.look("a-browser-is-told")

        await door.phone.set_out(door.stop_id)
        told, test = await pushes.wait_for("courier_on_the_way"), await pushes.wait_for("test")
        await worker.evaluate(COUNT_SHOWN)
        for letter in (told, told, test):
            await pushes.deliver(letter)
        shown = await shown_by(worker, 3)
        assert sorted(one["tag"] for one in shown) == sorted((told.once_id, test.once_id)), (
            "a repeat is no other"
        )
        where = f"{front.installation.server_url}/me/deliveries/{door.stop_id}"
        assert await worker.evaluate(TAP, told.once_id) == where
        (left,) = await worker.evaluate(SHOWN)
        assert (left["title"], left["lang"], left["address"]) == ("A test of Unlatch", "en", "/me/notices")
        await page.goto(where)
        await expect(page.locator("main")).to_contain_text(told.subject.partition(" ")[0])

        await page.goto(f"{front.installation.server_url}/me/notices")
        await page.get_by_role("button", name="Take away 127.0.0.1").click()
        await says_of_browser(page, "Your browser asks you first.")
        assert await page.evaluate(KEPT) is None
        await lose(page, screen)


async def lose(page: Page, screen: Screen) -> None:
    """A subscription that is gone, a push service that does not answer, and a browser that has none."""
    await screen.press(TELL_ME)
    await expect(page.get_by_text("This browser", exact=True)).to_be_visible()
    await page.evaluate("localStorage.removeItem('subscription')")
    await page.reload()
    await says_of_browser(page, "This browser shows no notices any more.")
    await screen.press(TELL_ME)
    await expect(page.locator("form[data-push]")).to_be_hidden()
    await expect(page.get_by_text("This browser", exact=True)).to_have_count(1)
    await screen.context.add_init_script("PushManager.prototype.subscribe = async () => { throw 0; }")
    await page.evaluate("localStorage.removeItem('subscription')")
    await page.reload()
    await screen.press(TELL_ME)
    await says_of_browser(page, "Your browser could not sign up for notices.")
    await screen.context.add_init_script("delete window.PushManager")
    await page.reload()
    await says_of_browser(page, "This browser can't show notices while the page is closed.")
