"""The courier's app: a shell in the phone's language, what makes it installable, and the page behind a shown card.

Everything else is asked of the API by the phone itself, with its own key (`static/courier/`).
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from litestar import Response

from unlatch.domain.incident import NextStep
from unlatch.domain.wording import Language, text_of
from unlatch.domain.wording import Reader as TextReader
from unlatch.flow.bystander import find_card
from unlatch.web.api.courier_shapes import CouldNot
from unlatch.web.pages import assets
from unlatch.web.pages.page import Page, Seen, policy, render

FOLDER = "courier"
WORKER = f"{FOLDER}/worker.js"
COMPILED = "'wasm-unsafe-eval'"  # the scanner, which this page alone may run
SCANNER = ("vendor/barcode-detector.js", "vendor/zxing_reader.wasm")
MAP = ("vendor/leaflet.js", "vendor/leaflet.css")
NOT_STORED = {"cache-control": "no-cache"}
WORD_MAX = 100  # characters of a card's link; ours have fifty


def list_shell() -> list[str]:
    """Where everything is fetched that the app needs without a network."""
    own = [assets.address_in_folder(name) for name in assets.list_folder(FOLDER) if name != WORKER]
    return [
        *own,
        *(assets.address_of(name) for name in ("unlatch.css", "unlatch.js", "icon.svg", *SCANNER, *MAP)),
    ]


async def show_app(seen: Seen) -> Response[Any]:
    """The shell. It holds nobody's data."""
    spoken = Language(seen.speech.language)
    return render(
        seen,
        "courier/app.html",
        headers=NOT_STORED,
        script=COMPILED,
        public_url=seen.platform.settings.public_url,
        steps={step: text_of(step, TextReader.COURIER, spoken) for step in NextStep},
        reasons=list(CouldNot),
        file=assets.address_in_folder,
    )


async def show_clock(seen: Seen) -> Response[Any]:
    """The installation's time, by which a phone counts down, and corrects its own clock for its proofs."""
    clock = seen.platform.clock
    told = {
        "real_at_s": datetime.now(UTC).timestamp(),
        "now_s": clock.now().timestamp(),
        "factor": clock.factor,
    }
    return Response(json.dumps(told).encode(), media_type="application/json")


async def show_manifest(seen: Seen) -> Response[Any]:
    """What makes the app installable."""
    icons = [
        {"src": assets.address_in_folder(f"{FOLDER}/icon-{size}.png"), "sizes": f"{size}x{size}", "type": "image/png",
         "purpose": purpose}
        for size in (192, 512) for purpose in ("any", "maskable")
    ]  # fmt: skip
    manifest = {
        "id": "/courier",
        "start_url": "/courier",
        "scope": "/courier",
        "name": seen.say("Unlatch for couriers"),
        "short_name": "Unlatch",
        "lang": seen.speech.language,
        "display": "standalone",
        "orientation": "portrait",
        "background_color": "#f6f7f5",
        "theme_color": "#0b5d4e",
        "icons": icons,
    }
    content = json.dumps(manifest, ensure_ascii=False).encode()
    return Response(content, media_type="application/manifest+json", headers=NOT_STORED)


async def give_worker(_: Seen) -> Response[Any]:
    """The service worker, which knows by name every file of this release."""
    shell = list_shell()
    worker = assets.find_asset(WORKER)
    assert worker is not None
    version = hashlib.sha256("\n".join([*shell, worker.digest]).encode()).hexdigest()[:12]
    head = f"const VERSION = {json.dumps(version)};\nconst SHELL = {json.dumps(shell)};\n"
    headers = {**policy(), **NOT_STORED, "service-worker-allowed": "/courier"}
    return Response(
        head.encode() + worker.content, media_type="text/javascript; charset=utf-8", headers=headers
    )


async def show_who(seen: Seen) -> Response[Any]:
    """What a bystander reads who has scanned a courier's card: who that is, and nothing about anyone else."""
    word, card = seen.path["word"], None
    if len(word) <= WORD_MAX:
        async with seen.platform.database.connection() as connection:
            card = await find_card(seen.platform, connection, word)
    return render(
        seen, "courier/who.html", status=404 if card is None else 200, card=card, now=datetime.now(UTC)
    )


PAGES = (
    Page(method="GET", path="/courier", show=show_app),
    Page(method="GET", path="/courier/clock", show=show_clock),
    Page(method="GET", path="/courier/app.webmanifest", show=show_manifest),
    Page(method="GET", path="/courier/worker.js", show=give_worker),
    Page(method="GET", path="/who/{word}", show=show_who),
)
