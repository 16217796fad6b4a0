"""A consignee's browser as a way to be told: what makes the app installable, its service worker, and its channel.

A cookie names the channel that was made in this browser, so that the page can say which one it is. It ends with the
session, wherever that is signed out. The rest happens in the browser: `static/push.js`, `static/push_worker.js`.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from litestar import Response
from litestar.datastructures import Cookie

from unlatch.errors import NotFound
from unlatch.store.channels import follow_session
from unlatch.store.sessions import SessionRow
from unlatch.web.api import channels
from unlatch.web.api.channels import NewChannel
from unlatch.web.pages import assets
from unlatch.web.pages.consignee import CONSIGNEE, read_body
from unlatch.web.pages.page import Page, Seen, go_to, policy

NOTICES = "/me/notices"
HERE_COOKIE = "unlatch_push"
HERE_LASTS_S = 400 * 24 * 3600  # browsers keep no cookie for longer
ID_MAX = 80
WORKER = "push_worker.js"
ICON = "courier/icon-{size}.png"
NOT_STORED = {"cache-control": "no-cache"}


def find_here(seen: Seen) -> str | None:
    """The channel that was made in this browser, whoever has made it."""
    return seen.request.cookies.get(HERE_COOKIE, "")[:ID_MAX] or None


async def add_browser(seen: Seen) -> Response[Any]:
    """The browser's own subscription, in the place of the one that it had. As every new channel, this widens."""
    seen.require_step_up()
    seen.require_settled()
    given = {name: seen.form.get(name, "").strip() for name in ("endpoint", "p256dh", "auth")}
    keys = {"p256dh": given["p256dh"], "auth": given["auth"]}
    body = read_body(NewChannel, {"kind": "webpush", "endpoint": given["endpoint"], "keys": keys})
    if (former := find_here(seen)) is not None:
        with suppress(NotFound):
            await seen.ask(channels.end_my_channel, channel_id=former)
    made = await seen.ask(channels.add_my_channel, body=body)
    assert seen.session is not None
    await follow(seen, made.id, seen.session)
    response = go_to(NOTICES)
    response.cookies.append(_name_here(seen, made.id))
    return response


async def follow(seen: Seen, channel_id: str | None, session: SessionRow) -> None:
    """What is told in this browser is told until this session of it is signed out."""
    if channel_id is not None:
        async with seen.platform.database.connection() as connection:
            await follow_session(connection, channel_id, session.id, session.reader, session.reader_id)


def _name_here(seen: Seen, channel_id: str) -> Cookie:
    return Cookie(
        key=HERE_COOKIE,
        value=channel_id,
        path="/",
        max_age=HERE_LASTS_S,
        secure=urlsplit(seen.platform.settings.public_url).scheme == "https",
        httponly=True,
        samesite="lax",
    )


async def give_worker(_: Seen) -> Response[Any]:
    """The service worker, which shows what is pushed."""
    worker = assets.find_asset(WORKER)
    assert worker is not None
    head = f"const ICON = {json.dumps(assets.address_of(ICON.format(size=192)))};\n"
    headers = {**policy(), **NOT_STORED, "service-worker-allowed": "/me"}
    return Response(head.encode() + worker.content, media_type=worker.media_type, headers=headers)


async def show_manifest(seen: Seen) -> Response[Any]:
    """What makes the app installable: an iPhone tells nothing to a page that is not."""
    icons = [
        {"src": assets.address_of(ICON.format(size=size)), "sizes": f"{size}x{size}", "type": "image/png"}
        for size in (192, 512)
    ]  # fmt: skip
    manifest = {
        "id": "/me", "start_url": "/me", "scope": "/", "name": seen.say("Unlatch: your deliveries"),
        "short_name": "Unlatch", "lang": seen.speech.language, "display": "standalone",
        "background_color": "#f6f7f5", "theme_color": "#0b5d4e", "icons": icons,
    }  # fmt: skip
    content = json.dumps(manifest, ensure_ascii=False).encode()
    return Response(content, media_type="application/manifest+json", headers=NOT_STORED)


PAGES = (
    Page(method="POST", path=f"{NOTICES}/browser", show=add_browser, readers=CONSIGNEE),
    Page(method="GET", path="/me/worker.js", show=give_worker),
    Page(method="GET", path="/me/app.webmanifest", show=show_manifest),
)
