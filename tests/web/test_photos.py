"""Photos of the parcel inside and of what was closed: wanted by the programme or not, and never in a lock's way."""

from __future__ import annotations

import base64
import hashlib
import io
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from tests.web.conftest import PUBLIC_URL, Tenant
from tests.web.people import fetch
from tests.web.test_visits import picture_of, save_reading, scan, tell

from unlatch.domain.photo import PhotoRule, is_photo_wanted
from unlatch.domain.verification import verify
from unlatch.domain.visit import Fact, State
from unlatch.flow.exporting import find_signer
from unlatch.flow.platform import Platform
from unlatch.flow.rule_files import SHIPPED
from unlatch.flow.rules import Rulebook
from unlatch.verify import is_signature_good
from unlatch.web.app import create_app


def written(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.fixture
def rules_dir(tmp_path: Path) -> Path:
    """The shipped rules, with a programme of each kind."""
    folder = tmp_path / "rules"
    shutil.copytree(SHIPPED, folder)
    shipped = (folder / "programmes" / "open.toml").read_text(encoding="utf-8")
    for rule in PhotoRule:
        text = shipped.replace('photos = "none"', f'photos = "{rule}"')
        (folder / "programmes" / f"{rule.replace('_', '-')}.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
async def http(platform: Platform, rules_dir: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(replace(platform, rules=Rulebook(rules_dir)))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as client:
        yield client


async def unlock(platform: Platform, tenant: Tenant, rule: PhotoRule) -> str:
    """A visit by this programme, its trunk unlocked and opened."""
    await fetch(platform, "UPDATE stop SET programme = %s RETURNING 1", rule.replace("_", "-"))
    await save_reading(platform, tenant.access_point_id)
    visit_id: str = (await scan(tenant))["id"]
    await tell(platform, visit_id, Fact.GATE_PASSED, Fact.UNLOCK_SAID_DONE)
    await tenant.courier.make(f"/v1/courier/visits/{visit_id}/opened", {})
    return visit_id


async def say(tenant: Tenant, visit_id: str, word: str, **body: Any) -> httpx.Response:
    return await tenant.courier.post(f"/v1/courier/visits/{visit_id}/{word}", body)


async def words_of(platform: Platform, visit_id: str, word: str) -> list[dict[str, Any]]:
    rows = await fetch(
        platform, "SELECT body FROM journal WHERE visit_id = %s AND name = %s ORDER BY number", visit_id, word
    )
    return [{name: row[0][name] for name in row[0] if "photo" in name} for row in rows]


def test_what_is_wanted_is_a_table() -> None:
    wanted = {(rule, word) for rule in PhotoRule for word in Fact if is_photo_wanted(rule, word)}
    assert wanted == {
        (PhotoRule.DEPOSIT, Fact.COURIER_DEPOSITED),
        (PhotoRule.DEPOSIT_AND_CLOSED, Fact.COURIER_DEPOSITED),
        (PhotoRule.DEPOSIT_AND_CLOSED, Fact.COURIER_CLOSED),
    }


async def test_the_courier_reads_beforehand_which_photos_are_wanted(
    platform: Platform, tenant: Tenant
) -> None:
    for rule in PhotoRule:
        await fetch(platform, "UPDATE stop SET programme = %s RETURNING 1", rule.replace("_", "-"))
        (stop,) = (await tenant.courier.get("/v1/courier/stops")).json()["stops"]
        assert stop["photos"] == rule


async def test_where_none_is_wanted_either_may_be_taken(platform: Platform, tenant: Tenant) -> None:
    visit_id = await unlock(platform, tenant, PhotoRule.NONE)
    assert (await say(tenant, visit_id, "deposited")).status_code == 200
    closed = await say(tenant, visit_id, "closed")
    assert (closed.status_code, closed.json()["photo_due"]) == (200, False)
    assert (await say(tenant, visit_id, "closed", photo=written(picture_of("shut")))).status_code == 200
    told = await words_of(platform, visit_id, "courier_closed")
    assert [sorted(one) for one in told] == [[], [], ["photo"]], "the word first, then what came with it"


async def test_a_deposit_is_not_taken_without_the_photo_that_is_wanted_or_why_there_is_none(
    platform: Platform, tenant: Tenant
) -> None:
    visit_id = await unlock(platform, tenant, PhotoRule.DEPOSIT)
    refused = await say(tenant, visit_id, "deposited")
    assert (refused.status_code, "a photo" in refused.json()["detail"]) == (409, True)
    assert await words_of(platform, visit_id, "courier_deposited") == []
    assert (await say(tenant, visit_id, "deposited", no_photo="lazy")).status_code == 400
    photo = written(picture_of("inside"))
    both = await say(tenant, visit_id, "deposited", no_photo="too_dark", photo=photo)
    assert both.status_code == 400
    assert (await say(tenant, visit_id, "deposited", no_photo="too_dark")).json()["whereabouts"] == "inside"
    assert (await say(tenant, visit_id, "deposited")).status_code == 200, (
        "said once, it need not be said again"
    )
    assert (await say(tenant, visit_id, "deposited", photo=photo)).status_code == 200, "it may still follow"
    told = await words_of(platform, visit_id, "courier_deposited")
    assert told[0] == {"no_photo": "too_dark"}
    assert [sorted(one) for one in told] == [["no_photo"], [], ["photo"]]
    closed = await say(tenant, visit_id, "closed")
    assert closed.json()["photo_due"] is False, "one of what was closed is not wanted here"


async def test_a_closing_locks_whether_or_not_there_is_a_photo(platform: Platform, tenant: Tenant) -> None:
    visit_id = await unlock(platform, tenant, PhotoRule.DEPOSIT_AND_CLOSED)
    assert (await say(tenant, visit_id, "deposited", photo=written(picture_of("inside")))).status_code == 200
    closed = await say(tenant, visit_id, "closed")
    assert closed.status_code == 200
    assert (closed.json()["state"], closed.json()["photo_due"]) == (State.LOCKING, True)
    assert await words_of(platform, visit_id, "courier_closed") == [{"photo_due": True}]
    again = await say(tenant, visit_id, "closed", photo=written(picture_of("shut")))
    assert (again.status_code, again.json()["photo_due"]) == (200, False)
    later = await say(tenant, visit_id, "closed")
    assert later.json()["photo_due"] is False
    told = await words_of(platform, visit_id, "courier_closed")
    assert [sorted(one) for one in told[:3]] == [["photo_due"], ["photo_due"], ["photo"]]


async def test_a_photo_of_what_is_closed_that_can_not_be_taken_has_locked_all_the_same(
    platform: Platform, tenant: Tenant
) -> None:
    visit_id = await unlock(platform, tenant, PhotoRule.DEPOSIT_AND_CLOSED)
    await say(tenant, visit_id, "deposited", no_photo="camera_broken")
    refused = await say(tenant, visit_id, "closed", photo=written(b"no picture"))
    assert refused.status_code == 400
    shown = (await tenant.courier.get(f"/v1/courier/visits/{visit_id}")).json()
    assert shown["state"] == State.LOCKING
    assert await words_of(platform, visit_id, "courier_closed") == [{"photo_due": True}]
    excused = await say(tenant, visit_id, "closed", no_photo="too_dark")
    assert excused.json()["photo_due"] is False


async def test_a_visit_that_has_its_ten_photos_locks_and_takes_no_more(
    platform: Platform, tenant: Tenant
) -> None:
    visit_id = await unlock(platform, tenant, PhotoRule.NONE)
    for number in range(10):
        photo = written(picture_of(f"inside {number}", 100))
        assert (await say(tenant, visit_id, "deposited", photo=photo)).status_code == 200
    refused = await say(tenant, visit_id, "closed", photo=written(picture_of("shut", 100)))
    assert refused.status_code == 409
    assert (await tenant.courier.get(f"/v1/courier/visits/{visit_id}")).json()["state"] == State.LOCKING


async def test_both_photos_stand_in_the_proof_without_position_or_device(
    platform: Platform, tenant: Tenant
) -> None:
    visit_id = await unlock(platform, tenant, PhotoRule.DEPOSIT_AND_CLOSED)
    taken = Image.new("RGB", (400, 300), "grey")
    marked = Image.Exif()
    marked[0x010F] = "A Phone Maker"
    marked.get_ifd(0x8825)[1] = "N"
    kept = io.BytesIO()
    taken.save(kept, "JPEG", exif=marked)
    assert b"A Phone Maker" in kept.getvalue()
    for word, photo in (("deposited", picture_of("inside")), ("closed", kept.getvalue())):
        assert (await say(tenant, visit_id, word, photo=written(photo))).status_code == 200
    lines = (await tenant.consignee.get("/v1/me/timeline")).json()
    assert lines["visits"]
    content = (await tenant.consignee.get(f"/v1/visits/{visit_id}/proof")).content
    verdict = verify(
        content, public_key=find_signer(platform).public_key, is_signature_good=is_signature_good
    )
    assert verdict.is_good
    photos = {row.entry.name: row.entry.body["photo"] for row in verdict.rows if "photo" in row.entry.body}
    assert set(photos) == {"courier_deposited", "courier_closed"}
    shown = await tenant.consignee.get(f"/v1/visits/{visit_id}/photos/{photos['courier_closed']}")
    assert hashlib.sha256(shown.content).hexdigest() == photos["courier_closed"]
    assert written(shown.content).encode() in content
    with Image.open(io.BytesIO(shown.content)) as picture:
        assert dict(picture.getexif()) == {}
    assert b"Phone Maker" not in shown.content
