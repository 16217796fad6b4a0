"""Style sheets, scripts, pictures: served from the package, named by their content, kept by browsers for ever.

A page names an asset through `address_of`, which puts a digest of its content into the name: a new release is fetched,
an old one is never mixed with it. Nothing is fetched from anywhere else.
"""

from __future__ import annotations

import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

from litestar import Request, Response
from litestar.handlers import HTTPRouteHandler

from unlatch.web.problems import ProblemError, Trouble

STATIC = "static"
FOR_EVER = "public, max-age=31536000, immutable"
TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".wasm": "application/wasm",
         ".webmanifest": "application/manifest+json", ".svg": "image/svg+xml", ".woff2": "font/woff2"}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file."""

    content: bytes
    media_type: str
    digest: str


@cache
def _assets() -> dict[str, Asset]:
    """Every file of `static/`, by its path there. Read once: some hundred kilobytes."""
    root = Path(str(resources.files("unlatch.web"))) / STATIC
    found: dict[str, Asset] = {}
    for path in sorted(root.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            guessed = (
                TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            )
            media_type = f"{guessed}; charset=utf-8" if guessed.startswith("text/") else guessed
            digest = hashlib.sha256(content).hexdigest()[:12]
            found[path.relative_to(root).as_posix()] = Asset(
                content=content, media_type=media_type, digest=digest
            )
    return found


def address_of(name: str) -> str:
    """Where an asset is fetched. Raises KeyError where there is none of that name."""
    return f"/static/{_assets()[name].digest}/{name}"


@cache
def digest_of_folder(folder: str) -> str:
    """One digest for all files below a folder of `static/`. Raises KeyError where there are none."""
    digests = [f"{name} {asset.digest}" for name, asset in _assets().items() if name.startswith(f"{folder}/")]
    if not digests:
        raise KeyError(folder)
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:12]


def address_in_folder(name: str) -> str:
    """Where a file is fetched whose neighbours name each other by relative paths: all of one release, or none."""
    find = _assets()[name]  # a name that is not there is a mistake here, not a 404 there
    assert find.content
    return f"/static/{digest_of_folder(name.partition('/')[0])}/{name}"


def list_folder(folder: str) -> list[str]:
    """The names of all files below a folder."""
    return [name for name in _assets() if name.startswith(f"{folder}/")]


def find_asset(name: str) -> Asset | None:
    """One file by its path in `static/`."""
    return _assets().get(name)


async def give_asset(digest: str, path: str) -> Response[bytes]:
    """Answer a request for an asset. One of another release is given as it is now, and not kept."""
    name = PurePosixPath(path.lstrip("/")).as_posix()
    asset = find_asset(name)
    if asset is None:
        raise ProblemError(Trouble.NOT_FOUND)
    folder, slash, _ = name.partition("/")
    is_of_now = digest == asset.digest or (slash and digest == digest_of_folder(folder))
    caching = FOR_EVER if is_of_now else "no-store"
    return Response(asset.content, media_type=asset.media_type, headers={"cache-control": caching})


def make_handler() -> HTTPRouteHandler:
    """The route of all assets."""

    async def static(request: Request[Any, Any, Any]) -> Response[bytes]:
        return await give_asset(request.path_params["digest"], str(request.path_params["path"]))

    return HTTPRouteHandler("/static/{digest:str}/{path:path}", http_method="GET", status_code=200)(static)
