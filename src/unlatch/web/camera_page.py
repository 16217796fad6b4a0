"""The page on which a browser films for a camera: one button, one picture, one line that says how it stands."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from typing import Any

from litestar import Request, Response
from litestar.handlers import HTTPRouteHandler

from unlatch.domain.camera_page_texts import camera_page_texts
from unlatch.domain.wording import Language
from unlatch.flow.platform import Platform
from unlatch.web.page import FOCUS_STYLE
from unlatch.web.shapes import say_language

SCRIPT_PATH = "/static/camera_feed.js"
_STYLE = """
:root { color-scheme: light dark; }
body { font: 18px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 1rem auto; padding: 0 1rem; }
video { width: 100%; max-height: 60vh; background: #000; border-radius: .5rem; }
button { font: inherit; font-size: 1.25rem; padding: 1rem; width: 100%; border-radius: .5rem; }
#state { font-size: 1.25rem; font-weight: 600; padding: .75rem; border-radius: .5rem; border: 2px solid; }
#state[data-state=filming] { background: #b00020; color: #fff; border-color: #b00020; }
[hidden] { display: none; }
"""


def make_camera_page(language: Language) -> bytes:
    """The page, complete; its script is a file of its own."""
    texts = camera_page_texts(language)
    words = json.dumps(texts, ensure_ascii=False).replace("<", "\\u003c")
    page = f"""<!doctype html><html lang="{language}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">
<title>{escape(texts["title"])}</title><style>{_STYLE}{FOCUS_STYLE}</style></head><body><main>
<h1 id="name">{escape(texts["title"])}</h1>
<p>{escape(texts["intro"])} {escape(texts["privacy"])}</p>
<p id="state" role="status" data-state="idle" hidden></p>
<button id="begin" type="button">{escape(texts["begin"])}</button>
<video id="picture" muted playsinline autoplay hidden></video>
</main><script type="application/json" id="words">{words}</script>
<script type="module" src="{SCRIPT_PATH}"></script></body></html>
"""
    return page.encode()


def make_camera_routes(platform: Platform) -> list[HTTPRouteHandler]:
    """The page and its script."""
    socket_origin = "ws" + platform.settings.public_url.removeprefix("http")
    headers = {
        # 'self' is not taken for WebSockets by every browser of some years ago.
        "content-security-policy": f"default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; "
        f"connect-src 'self' {socket_origin}; media-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; "
        "form-action 'none'",
        "permissions-policy": "camera=(self), screen-wake-lock=(self), microphone=(), geolocation=()",
        "vary": "accept-language",
    }
    pages = {language: make_camera_page(language) for language in Language}
    script = (files("unlatch.web") / "static" / "camera_feed.js").read_bytes()

    async def film(request: Request[Any, Any, Any]) -> Response[bytes]:
        language = Language(say_language(request.headers.get("accept-language")))
        return Response(pages[language], media_type="text/html; charset=utf-8", headers=headers)

    async def give_script() -> Response[bytes]:
        return Response(
            script, media_type="text/javascript; charset=utf-8", headers={"cache-control": "max-age=300"}
        )

    return [
        HTTPRouteHandler("/camera", http_method="GET", status_code=200, name="camera_page")(film),
        HTTPRouteHandler(SCRIPT_PATH, http_method="GET", status_code=200, name="camera_script")(give_script),
    ]
