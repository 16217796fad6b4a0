"""A browser films for a camera: who may, what is not taken from it, and Debian's Chromium from its page to a proof."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from playwright.async_api import Browser, Page, async_playwright, expect
from tests.cameras.feeding import fragments
from tests.web.conftest import Tenant, make_platform, make_tenant
from tests.web.homes import new_home
from tests.web.people import fetch
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from unlatch.cameras.glances import Verdict
from unlatch.cameras.proof import Proof
from unlatch.cameras.recorder_client import RecorderClient
from unlatch.cameras.recorder_process import READY
from unlatch.domain.camera_page_texts import CAMERA_PAGE_TEXTS, camera_page_texts
from unlatch.domain.wording import Language
from unlatch.flow import camera_feeds
from unlatch.flow.camera_feeds import Feeds, TooManyFeeds
from unlatch.flow.filming import camera_of
from unlatch.flow.platform import Platform
from unlatch.running import LARGEST_MESSAGE_BYTES
from unlatch.store import cameras
from unlatch.store.database import Database
from unlatch.web.api import camera_feed
from unlatch.web.app import create_app

WORDS = camera_page_texts(Language.ENGLISH)
PATIENCE_S = 20
CHROMIUM = shutil.which("chromium") or "chromium: run scripts/browser"
MP4 = "video/mp4;codecs=avc1.42E01F"


@dataclass(frozen=True, kw_only=True)
class Served:
    """A real server, a home with a browser as camera, and its household."""

    platform: Platform
    address: str
    tenant: Tenant
    place_id: str
    camera_id: str

    @property
    def path(self) -> str:
        return f"/v1/me/access_points/{self.place_id}/cameras/{self.camera_id}/feed_link"

    async def make_link(self) -> str:
        """What stands behind the # of a new link."""
        made = await self.tenant.consignee.make(self.path)
        address, _, link = str(made["url"]).partition("#")
        assert address == f"{self.address}/camera"
        return link

    @asynccontextmanager
    async def talking(self) -> AsyncIterator[ClientConnection]:
        address = f"{self.address.replace('http', 'ws', 1)}/v1/camera-feed"
        async with connect(address, proxy=None, max_size=None) as talk:
            yield talk


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    platform = make_platform(database, address)
    platform = replace(platform, settings=replace(platform.settings, data_dir=tmp_path))
    config = uvicorn.Config(
        create_app(platform), log_config=None, timeout_graceful_shutdown=1, ws_max_size=LARGEST_MESSAGE_BYTES
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=PATIENCE_S) as client:
        tenant = await make_tenant(platform, client)
        home = new_home(tenant.consignee.id, {"cameras": [{"maker": "browser", "name": "Old phone"}]})
        place = await tenant.carrier.make("/v1/access_points", home)
        async with database.connection() as connection:
            (row,) = await cameras.list_cameras(connection, place["id"])
        yield Served(
            platform=platform, address=address, tenant=tenant, place_id=place["id"], camera_id=row.id
        )
    server.should_exit = True
    await task
    await platform.makers.close()


async def hear(talk: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        heard: dict[str, Any] = json.loads(await talk.recv())
    return heard


async def say(talk: ClientConnection, **words: str) -> None:
    await talk.send(json.dumps(words))


async def enter(talk: ClientConnection, credential: str) -> dict[str, Any]:
    await say(talk, say="hello", credential=credential)
    return await hear(talk)


async def closed_with(talk: ClientConnection) -> int | None:
    """The code that it is closed with; whatever is said before is passed over."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await talk.recv()
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd is not None else None


@contextmanager
def recorder_process(folder: Path) -> Iterator[Path]:
    """A recorder beside the server, as `unlatch record` starts it."""
    path = folder / "recorder.sock"
    words = [sys.executable, "-m", "unlatch.cameras.recorder_process", "--socket", str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == READY
            yield path
        finally:
            process.terminate()


@asynccontextmanager
async def recording(served: Served, folder: Path) -> AsyncIterator[RecorderClient]:
    """The camera, armed and recording in a process of its own."""
    async with served.platform.database.connection() as connection:
        row = await cameras.find_camera(connection, served.camera_id)
    assert row is not None
    with recorder_process(folder) as path:
        async with RecorderClient(path) as recorder:
            await recorder.arm(row.id, camera_of(served.platform, row))
            await recorder.start(row.id, folder / "takes")
            yield recorder


async def until_live(recorder: RecorderClient, camera_id: str) -> None:
    async with asyncio.timeout(40):
        while (await recorder.state(camera_id))[0].verdict is not Verdict.LIVE:
            await asyncio.sleep(0.1)


# ---- who may ----------------------------------------------------------------------------------------------


async def test_a_link_is_good_once_and_the_key_it_is_traded_for_from_then_on(served: Served) -> None:
    link = await served.make_link()
    async with served.talking() as talk:
        welcome = await enter(talk, link)
        assert welcome["say"] == "welcome"
        assert welcome["name"] == "Old phone"
        key = welcome["key"]
    async with served.talking() as again:
        await say(again, say="hello", credential=link)
        assert await closed_with(again) == camera_feed.NOT_LET_IN
    async with served.talking() as back:
        assert await enter(back, key) == {"say": "welcome", "name": "Old phone"}
    rows = await fetch(served.platform, "SELECT link_hash, key_hash FROM camera_feed")
    assert rows[0][0] is None
    assert key.encode() not in bytes(rows[0][1])
    deeds = await fetch(served.platform, "SELECT what, body FROM deed WHERE what = 'feed_offered'")
    assert deeds == [("feed_offered", {"camera": "Old phone"})]


async def test_a_link_ends_with_its_time_and_with_the_next_one(served: Served) -> None:
    first, second = await served.make_link(), await served.make_link()
    async with served.talking() as talk:
        await say(talk, say="hello", credential=first)
        assert await closed_with(talk) == camera_feed.NOT_LET_IN
    async with served.platform.database.connection() as connection:
        await connection.execute("UPDATE camera_feed SET link_until_real = now() - interval '1 second'")
    async with served.talking() as talk:
        await say(talk, say="hello", credential=second)
        assert await closed_with(talk) == camera_feed.NOT_LET_IN


async def test_only_the_household_makes_one_and_only_for_a_browser(served: Served) -> None:
    other = await make_tenant(served.platform, served.tenant.carrier.http, "Other Post")
    assert (await other.consignee.post(served.path)).status_code == 404
    assert (await served.tenant.carrier.post(served.path)).status_code == 403
    added = await served.tenant.consignee.make(
        f"/v1/me/access_points/{served.place_id}/cameras",
        {"maker": "rtsp", "name": "Hall", "address": "rtsps://8.8.8.8/stream"},
    )
    refused = await served.tenant.consignee.post(served.path.replace(served.camera_id, added["id"]))
    assert refused.status_code == 409
    missing = await served.tenant.consignee.post(served.path.replace(served.camera_id, "cam_nobody"))
    assert missing.status_code == 404


async def test_whoever_may_film_no_more_is_cut_off(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_feed, "CHECK_EVERY_S", 0.2)
    async with served.talking() as first, served.talking() as second:
        await enter(first, await served.make_link())
        link = await served.make_link()
        welcome = await enter(second, link)
        assert await closed_with(first) == camera_feed.REPLACED
        answer = await served.tenant.consignee.delete(served.path.removesuffix("/feed_link"))
        assert answer.status_code == 200, answer.text
        assert await closed_with(second) == camera_feed.NOT_LET_IN
    async with served.talking() as talk:
        await say(talk, say="hello", credential=welcome["key"])
        assert await closed_with(talk) == camera_feed.NOT_LET_IN


def test_one_server_hears_so_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_feeds, "MOST_FEEDS", 2)
    feeds = Feeds(tmp_path)
    first, _ = feeds.enter("cam_1"), feeds.enter("cam_2")
    with pytest.raises(TooManyFeeds):
        feeds.enter("cam_3")
    again = feeds.enter("cam_1")
    assert first.replaced.is_set()
    feeds.leave("cam_1", first)  # late: the camera is another's now
    with pytest.raises(TooManyFeeds):
        feeds.enter("cam_3")
    feeds.leave("cam_1", again)
    feeds.enter("cam_3")


async def test_each_kind_of_camera_asks_for_what_it_needs(served: Served) -> None:
    path = f"/v1/me/access_points/{served.place_id}/cameras"
    hub = {
        "maker": "home_assistant",
        "name": "Hall",
        "address": "https://8.8.8.8:8123",
        "secrets": {"access_token": "hub-token-0042", "entity": "camera.hall"},
    }
    added = await served.tenant.consignee.post(path, hub)
    assert added.status_code == 201, added.text
    assert "hub-token-0042" not in added.text
    for wrong in (
        {"address": "http://8.8.8.8:8123"},
        {"address": None},
        {"secrets": {"access_token": "t", "entity": "lock.front_door"}},
        {"secrets": {"entity": "camera.hall"}},
        {"maker": "browser", "secrets": {}},  # it has no address
    ):
        answer = await served.tenant.consignee.post(path, {**hub, **wrong})
        assert answer.status_code == 400, (wrong, answer.text)


# ---- what is not taken ------------------------------------------------------------------------------------


async def test_what_is_no_hello_is_not_understood(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    for message in (
        "",
        "no json",
        '{"say": "begin"}',
        '{"say": "shout"}',
        '{"x": 1}',
        "x" * 5_000,
        b"picture",
    ):
        async with served.talking() as talk:
            await talk.send(message)
            assert await closed_with(talk) == camera_feed.NOT_UNDERSTOOD
    async with served.talking() as talk:
        await say(talk, say="hello", credential="unlatch_feed_nobody")
        assert await closed_with(talk) == camera_feed.NOT_LET_IN
    monkeypatch.setattr(camera_feed, "HELLO_WITHIN_S", 0.1)
    async with served.talking() as silent:
        assert await closed_with(silent) == camera_feed.IDLE


async def test_another_kind_of_film_too_much_and_silence_end_it(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served.talking() as talk:
        key = (await enter(talk, await served.make_link()))["key"]
        await say(talk, say="begin", mime="video/webm;codecs=vp9")
        assert await closed_with(talk) == camera_feed.WRONG_KIND
    async with served.talking() as talk:
        await enter(talk, key)
        await talk.send(b"x" * (camera_feed.MOST_CHUNK + 1))
        assert await closed_with(talk) == camera_feed.TOO_MUCH
    async with served.talking() as talk:
        await enter(talk, key)
        for _ in range(4):
            await talk.send(b"x" * (3 * 1024 * 1024))
        assert await closed_with(talk) == camera_feed.TOO_MUCH
    monkeypatch.setattr(camera_feed, "IDLE_S", 0.3)
    async with served.talking() as talk:
        await enter(talk, key)
        assert await closed_with(talk) == camera_feed.IDLE


async def test_it_films_while_a_recorder_wants_it_and_rests_otherwise(served: Served, tmp_path: Path) -> None:
    head, *pieces = fragments(6)
    async with served.talking() as talk:
        key = (await enter(talk, await served.make_link()))["key"]
        async with recording(served, tmp_path) as recorder:
            assert await hear(talk) == {"say": "film"}
            await talk.send(b"of the film before")  # not begun yet: it leads nowhere
            await say(talk, say="begin", mime=MP4)
            for piece in (head, *pieces):
                await talk.send(piece)
            async with asyncio.timeout(PATIENCE_S):
                while not (await recorder.state(served.camera_id))[0].parts:
                    await asyncio.sleep(0.05)
            async with served.talking() as newer:
                await enter(newer, key)
                assert await closed_with(talk) == camera_feed.REPLACED
                assert await hear(newer) == {"say": "film"}
                await recorder.disarm(served.camera_id)
                assert await hear(newer) == {"say": "rest"}


# ---- a real browser ---------------------------------------------------------------------------------------


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
            ],
        )
        yield browser
        await browser.close()


async def opened(browser: Browser, address: str, **how: Any) -> Page:
    """The page in a browser that has never been there; what its script complains of fails the test."""
    context = await browser.new_context(**how)
    page = await context.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"the page's script: {error}"))
    await page.goto(address)
    return page


async def shows(page: Page, state: str) -> None:
    await expect(page.locator("#state")).to_have_text(WORDS[state], timeout=PATIENCE_S * 1000)


async def test_from_the_page_to_a_proof(served: Served, browser: Browser, tmp_path: Path) -> None:
    link = await served.make_link()
    page = await opened(
        browser, f"{served.address}/camera#{link}", locale="en-US", viewport={"width": 360, "height": 640}
    )
    if await page.locator("#begin").is_visible():  # a browser that lets it film unasked begins by itself
        await page.locator("#begin").click()
    await shows(page, "ready")
    assert link not in page.url
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    assert await page.locator("h1").inner_text() == "Old phone"
    async with recording(served, tmp_path) as recorder:
        await shows(page, "filming")
        await until_live(recorder, served.camera_id)
        proof = await recorder.prove(served.camera_id)
        assert isinstance(proof, Proof), proof
        state, lease = await recorder.state(served.camera_id)
        assert lease.left_s(proof.made_s) >= 0
        await page.reload()  # as after a power cut: nobody is there, and the browser knows its key
        async with asyncio.timeout(PATIENCE_S):
            while (await recorder.state(served.camera_id))[0].take < 2:
                await asyncio.sleep(0.1)
        takes = await recorder.disarm(served.camera_id)
    assert len(takes) == 2
    assert all(take.is_whole for take in takes)
    assert sum(part.frames for part in takes[0].parts) > 20
    assert state.parts > 5
    await shows(page, "ready")
    stranger = await opened(browser, f"{served.address}/camera#{link}")
    if await stranger.locator("#begin").is_visible():
        await stranger.locator("#begin").click()
    await shows(stranger, "not_let_in")


async def test_a_browser_that_can_not_is_told_so_in_its_language(served: Served, browser: Browser) -> None:
    context = await browser.new_context(locale="fr-FR")
    page = await context.new_page()
    await page.goto(f"{served.address}/camera")
    french = camera_page_texts(Language.FRENCH)
    await expect(page.locator("#state")).to_have_text(french["no_link"])
    await page.add_init_script("MediaRecorder.isTypeSupported = (kind) => kind.startsWith('video/webm')")
    await page.goto(f"{served.address}/camera?again#unlatch_link_x")
    await expect(page.locator("#state")).to_have_text(french["cannot"])
    await expect(page.locator("#begin")).to_be_hidden()


async def test_the_page_may_do_what_it_needs_and_nothing_else(served: Served) -> None:
    answer = await served.tenant.carrier.http.get("/camera", headers={"accept-language": "fr"})
    policy = answer.headers.get_list("content-security-policy")
    assert len(policy) == 1
    assert "script-src 'self';" in policy[0]
    assert "unsafe-inline" not in policy[0].partition("script-src")[2].partition(";")[0]
    assert f"ws://{served.address.partition('//')[2]}" in policy[0]
    assert CAMERA_PAGE_TEXTS["begin"][1] in answer.text
    script = await served.tenant.carrier.http.get("/static/camera_feed.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert script.headers["content-security-policy"].startswith("default-src 'none'")
