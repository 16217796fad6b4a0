"""The page on which a household watches a visit, and its scripts: nothing inline, nothing of a third party."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from litestar import Request, Response
from litestar.handlers import HTTPRouteHandler

from unlatch.domain.viewing_texts import PAGE_TEXTS, page_text
from unlatch.domain.wording import Language
from unlatch.flow.platform import Platform
from unlatch.web.answering import ID
from unlatch.web.problems import ProblemError, Trouble
from unlatch.web.shapes import say_language

STATIC: Mapping[str, str] = MappingProxyType(
    {
        "live.js": "text/javascript; charset=utf-8",
        "watch.js": "text/javascript; charset=utf-8",
        "watch.css": "text/css; charset=utf-8",
    }
)
_KEPT = {"cache-control": "no-cache"}  # asked for anew after each release


def make_policy(public_url: str) -> str:
    """What the page may load. `connect-src 'self'` does not mean WebSockets in every browser: they are named."""
    place = urlsplit(public_url)
    socket = f"{'wss' if place.scheme == 'https' else 'ws'}://{place.netloc}"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
        f"connect-src 'self' {socket}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def make_routes(platform: Platform) -> list[HTTPRouteHandler]:
    """The page at /watch/{visit_id}, and what it loads."""
    policy = make_policy(platform.settings.public_url)

    async def watch_page(request: Request[Any, Any, Any]) -> Response[bytes]:
        visit_id: str = request.path_params["visit_id"]
        if not ID.fullmatch(visit_id):
            raise ProblemError(Trouble.NOT_FOUND)
        language = Language(say_language(request.headers.get("accept-language")))
        return Response(
            make_page(visit_id, language),
            media_type="text/html; charset=utf-8",
            headers={"content-security-policy": policy, "vary": "accept-language"},
        )

    def fixed(name: str) -> HTTPRouteHandler:
        content = files("unlatch.web").joinpath("static", name).read_bytes()

        async def give() -> Response[bytes]:
            return Response(content, media_type=STATIC[name], headers=_KEPT)

        return HTTPRouteHandler(f"/static/{name}", http_method="GET", status_code=200, name=name)(give)

    page = HTTPRouteHandler("/watch/{visit_id:str}", http_method="GET", status_code=200, name="watch_page")
    return [page(watch_page), *(fixed(name) for name in STATIC)]


def make_page(visit_id: str, language: Language) -> bytes:
    """The page, in one language. It holds nothing of the visit: whoever has no ticket sees this and no more."""
    texts = {name: page_text(name, language) for name in PAGE_TEXTS}

    def said(name: str) -> str:
        return escape(texts[name])

    return f"""<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{said("title")}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/static/watch.css">
<script type="module" src="/static/watch.js"></script>
</head>
<body data-visit="{escape(visit_id)}" data-texts="{escape(json.dumps(texts, ensure_ascii=False))}">
<main>
<h1>{said("title")}</h1>
<p id="state" role="status"></p>
<noscript><p>{said("no-script")}</p></noscript>
<section id="live" aria-label="{said("live")}" hidden>
<div id="screen" class="is-stale">
<video id="picture" muted playsinline autoplay disablepictureinpicture></video>
<p id="badge" hidden>{said("live")}</p>
<p id="banner" role="alert">{said("no-picture")}</p>
</div>
<div id="cameras" role="group" hidden></div>
</section>
<p id="message" role="status" hidden></p>
<section id="recordings" hidden>
<h2>{said("clips")}</h2>
<video id="clip" controls playsinline preload="metadata" hidden></video>
<ul id="clips"></ul>
</section>
<section id="watched" hidden>
<h2>{said("looks")}</h2>
<ul id="looks"></ul>
</section>
</main>
</body>
</html>
""".encode()
