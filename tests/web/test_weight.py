"""What the first view of each app weighs: the page and all that it loads, compressed, but for maps and the scanner."""

from __future__ import annotations

import gzip
import re
from posixpath import dirname, join, normpath

import httpx
import pytest
from tests.web.conftest import Tenant
from tests.web.test_pages import sign_in

from unlatch.flow.enrolment import admit_operator
from unlatch.flow.platform import Platform

MOST_BYTES = 100_000
LOADS = re.compile(r'(?:src|href)="(/static/[^"]+\.(?:js|css))"')
IMPORTS = re.compile(r"""(?:from|import)\s*\(?\s*["'](\.{0,2}/[^"']+\.js)["']""")
LATER = re.compile(r"leaflet|barcode-detector|zxing|uplot")


async def weigh(http: httpx.AsyncClient, path: str) -> dict[str, int]:
    """Compressed bytes of the page and of each file that it loads at once."""
    page = await http.get(path)
    assert page.status_code == 200, path
    weights, wanted = {path: len(gzip.compress(page.content))}, LOADS.findall(page.text)
    while wanted:
        address = wanted.pop()
        if address in weights or LATER.search(address):
            continue
        answer = await http.get(address)
        assert answer.status_code == 200, address
        weights[address] = len(gzip.compress(answer.content))
        if address.endswith(".js"):
            wanted += [normpath(join(dirname(address), one)) for one in IMPORTS.findall(answer.text)]
    return weights


@pytest.mark.parametrize("path", ["/", "/sign-in", "/check", "/me", "/me/notices", "/console", "/courier"])
async def test_the_first_view_is_light(
    http: httpx.AsyncClient, platform: Platform, tenant: Tenant, path: str
) -> None:
    if path.startswith("/me"):
        await sign_in(http, tenant.consignee.key)
    if path == "/console":
        await sign_in(http, (await admit_operator(platform, "Olga")).key)
    weights = await weigh(http, path)
    assert sum(weights.values()) < MOST_BYTES, weights
    assert any(address.endswith(".css") for address in weights)
    assert path != "/courier" or len(weights) > 10, "what its modules import is loaded too"
