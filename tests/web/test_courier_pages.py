"""The courier's app as it comes from the server, and the card behind its QR code. The app itself runs in
tests/journeys/test_courier_browser.py.
"""

from __future__ import annotations

import gzip
import json
import re
from datetime import UTC, datetime

import httpx
import pytest
from tests.web.conftest import PUBLIC_URL, Tenant

from unlatch.domain.incident import NextStep
from unlatch.flow import bystander
from unlatch.flow.platform import Platform
from unlatch.web.api.courier_shapes import CouldNot
from unlatch.web.pages.assets import address_in_folder, find_asset, list_folder

FIRST_VIEW_BYTES = 100_000
LATER = ("vendor/",)  # map and scanner come when they are needed


@pytest.mark.parametrize("language", ["en", "fr"])
async def test_the_shell_holds_every_step_and_reason_in_the_phone_s_language(
    http: httpx.AsyncClient, language: str
) -> None:
    answer = await http.get("/courier", headers={"accept-language": language})
    assert answer.status_code == 200
    assert f'<html lang="{language}">' in answer.text
    for step in NextStep:
        assert f'data-text="step_{step}"' in answer.text
    for reason in CouldNot:
        assert f'data-reason="{reason}"' in answer.text
    assert ("I don't feel safe" in answer.text.replace("&#39;", "'")) == (language == "en")
    policy = answer.headers["content-security-policy"]
    assert "'wasm-unsafe-eval'" in policy
    assert "unsafe-inline" not in policy
    assert "style=" not in answer.text
    assert "wasm" not in (await http.get("/")).headers["content-security-policy"]


async def test_the_worker_names_files_that_are_there_and_are_kept(http: httpx.AsyncClient) -> None:
    answer = await http.get("/courier/worker.js")
    assert answer.headers["service-worker-allowed"] == "/courier"
    assert answer.headers["cache-control"] == "no-cache"
    assert "connect-src 'self'" in answer.headers["content-security-policy"]
    found = re.search(r"const SHELL = (\[.*?\]);", answer.text)
    assert found is not None
    shell = json.loads(found[1])
    for address in shell:
        file = await http.get(address)
        assert file.status_code == 200, address
        assert "immutable" in file.headers["cache-control"], address
    page = (await http.get("/courier")).text
    for address in re.findall(r'(?:src|href|content)="(/static/[^"]+)"', page):
        assert address in shell, address


async def test_the_manifest_can_be_installed(http: httpx.AsyncClient) -> None:
    answer = await http.get("/courier/app.webmanifest", headers={"accept-language": "fr"})
    manifest = answer.json()
    assert (manifest["start_url"], manifest["display"], manifest["lang"]) == ("/courier", "standalone", "fr")
    assert {icon["sizes"] for icon in manifest["icons"]} == {"192x192", "512x512"}
    for icon in manifest["icons"]:
        assert (await http.get(icon["src"])).content.startswith(b"\x89PNG")


async def test_the_first_view_is_small(http: httpx.AsyncClient) -> None:
    page = await http.get("/courier")
    names = [name for name in list_folder("courier") if not name.endswith((".png", "worker.js"))]
    contents = [page.content]
    for name in [*names, "unlatch.css", "unlatch.js", "icon.svg"]:
        asset = find_asset(name)
        assert asset is not None
        contents.append(asset.content)
    assert sum(len(gzip.compress(content)) for content in contents) < FIRST_VIEW_BYTES


async def test_a_module_of_another_release_is_never_kept(http: httpx.AsyncClient) -> None:
    address = address_in_folder("courier/app.js")
    assert "immutable" in (await http.get(address)).headers["cache-control"]
    other = await http.get(f"/static/{'0' * 12}/courier/app.js")
    assert (other.status_code, other.headers["cache-control"]) == (200, "no-store")


async def test_the_clock_is_the_installation_s(http: httpx.AsyncClient, platform: Platform) -> None:
    told = (await http.get("/courier/clock")).json()
    assert abs(told["now_s"] - platform.clock.now().timestamp()) < 30
    assert told["factor"] == platform.clock.factor


async def test_a_bystander_learns_who_the_courier_is_and_nothing_else(
    http: httpx.AsyncClient, tenant: Tenant
) -> None:
    card = (await tenant.courier.get("/v1/courier/card")).json()
    assert (card["first_name"], card["carrier_name"]) == ("Cleo", "Parcel Post")
    assert card["picture"].startswith("data:image/svg+xml")
    assert card["address"].startswith(f"{PUBLIC_URL}/who/")
    page = await http.get(card["address"])
    assert page.status_code == 200
    assert "Cleo delivers parcels for Parcel Post." in page.text
    for secret in ("Ada", "BXK7J42", tenant.stop_id, tenant.courier.id, "47.6"):
        assert secret not in page.text
    assert "Cleo livre des colis" in (await http.get(card["address"], headers={"accept-language": "fr"})).text


async def test_a_card_ends_and_can_not_be_made_by_others(
    http: httpx.AsyncClient, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = (await tenant.courier.get("/v1/courier/card")).json()
    good = card["address"].removeprefix(PUBLIC_URL)
    assert 500 < (datetime.fromisoformat(card["good_until"]) - datetime.now(UTC)).total_seconds() <= 600
    changed = good[:-1] + ("A" if good[-1] != "A" else "B")
    other = good[:12] + ("A" if good[12] != "A" else "B") + good[13:]
    for path in (changed, other, "/who/x", "/who/" + "a" * 99, "/who/" + "é" * 20, good + "A"):
        answer = await http.get(path)
        assert answer.status_code == 404, path
        assert "Cleo" not in answer.text
    assert (await tenant.carrier.get("/v1/courier/card")).status_code == 403
    await tenant.carrier.make(f"/v1/couriers/{tenant.courier.id}/deactivate")
    assert (await http.get(good)).status_code == 404
    await tenant.carrier.make(f"/v1/couriers/{tenant.courier.id}/activate")
    monkeypatch.setattr(bystander, "CARD_LASTS_S", -1.0)
    old = (await tenant.courier.get("/v1/courier/card")).json()
    assert (await http.get(old["address"])).status_code == 404
