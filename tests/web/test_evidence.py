"""The evidence of a claim: sealed when it is opened, the same for all sides, checked offline, completed once."""

from __future__ import annotations

import asyncio
import base64
import json
from hashlib import sha256
from pathlib import Path

import psycopg
import pytest
from tests.web.conftest import Caller, Tenant
from tests.web.people import deliver, fetch
from tests.web.test_claims import BROKEN, open_claim
from tests.web.test_visits import picture_of, save_reading, scan

from unlatch.domain.claim import ClaimKind
from unlatch.domain.evidence import unpack
from unlatch.flow import claims as flow
from unlatch.flow.exporting import find_signer
from unlatch.flow.platform import Platform
from unlatch.store import aftermath
from unlatch.verify import main as verify_files
from unlatch.verify import verify_bundle


@pytest.fixture
async def visit_id(platform: Platform, tenant: Tenant) -> str:
    return await deliver(platform, tenant)


async def test_the_evidence_is_checked_offline_and_one_flipped_byte_is_named(
    platform: Platform, tenant: Tenant, visit_id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = picture_of("x", 50)
    await tenant.consignee.make(f"/v1/me/visits/{visit_id}/rating", {"stars": 1, "words": "awful"})
    made = await open_claim(tenant.consignee, visit_id, photos=[base64.b64encode(photo).decode()] * 2)
    assert len(made["photos"]) == 1, "the same photo twice is kept once"
    answer = await tenant.carrier.get(f"/v1/claims/{made['id']}/evidence")
    assert answer.headers["content-type"] == "application/zip"
    content = answer.content
    assert [one["bytes"] for one in made["evidence"]] == [len(content)]
    key = find_signer(platform).public_key
    assert verify_bundle(content, public_key=key).is_good
    files = dict(unpack(content))
    assert json.loads(files["claim.json"])["words"] == BROKEN["words"]
    assert "claimed" in [one["what"] for one in json.loads(files["deeds.json"])]
    assert not any(b"awful" in one for one in files.values()), "a rating is no evidence"
    name = f"visits/{visit_id}.unlatch-proof"
    assert b'"withheld"' in files[name], "no position in it"
    shown = await tenant.courier.get(f"/v1/claims/{made['id']}/photos/{made['photos'][0]}")
    assert shown.content == files[f"photos/{made['photos'][0]}.jpeg"]

    path = tmp_path / "evidence.zip"
    path.write_bytes(content)
    assert verify_files([str(path), "--key", key.hex()]) == 0
    printed = capsys.readouterr().out
    assert f"{path}: good" in printed
    assert f"evidence of claim {made['id']}, 8 files" in printed
    assert f"{path}/{name}: good" in printed
    at = content.index(b"courier_deposited")
    path.write_bytes(content[:at] + b"X" + content[at + 1 :])
    assert verify_files([str(path), "--key", key.hex()]) == 1
    printed = capsys.readouterr().out
    assert f"{path}: BAD" in printed
    assert f"{name}: this file was changed" in printed
    assert f"{name}: line " in printed
    path.write_bytes(content.replace(b"The box was crushed", b"The box was perfect"))
    assert verify_files([str(path), "--json"]) == 1
    [bundle] = json.loads(capsys.readouterr().out)["bundles"]
    assert bundle["faults"] == [{"name": "claim.json", "what": "this file was changed"}]


async def test_each_download_is_a_look_that_the_household_is_shown(
    platform: Platform, tenant: Tenant, visit_id: str, operator: Caller
) -> None:
    claim_id = (await open_claim(tenant.consignee, visit_id))["id"]
    contents = set()
    for asker in (tenant.carrier, tenant.courier, operator, tenant.consignee):
        contents.add((await asker.get(f"/v1/claims/{claim_id}/evidence")).content)
    assert len(contents) == 1, "the same for all sides"
    looks = (await tenant.consignee.get("/v1/me/timeline")).json()["looks"]
    assert [(one["what"], one["doer"]["text"]) for one in looks] == [
        ("evidence", text) for text in ("you", "the operator", "the courier", "the carrier")
    ]
    assert (
        await tenant.carrier.get(f"/v1/claims/{claim_id}/evidence", params={"number": 2})
    ).status_code == 404
    looks = (await tenant.consignee.get("/v1/me/timeline")).json()["looks"]
    assert len(looks) == 4, "what was not given was not seen"


async def test_evidence_that_was_changed_in_the_database_is_not_given_out(
    platform: Platform, tenant: Tenant, visit_id: str
) -> None:
    claim_id = (await open_claim(tenant.consignee, visit_id))["id"]
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        await fetch(platform, "UPDATE evidence SET content = '' RETURNING 1")
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        await fetch(platform, "UPDATE claim_step SET words = 'other words' RETURNING 1")
    async with platform.database.connection() as connection:
        await connection.execute("ALTER TABLE evidence DISABLE TRIGGER evidence_is_not_changed")
        await connection.execute("UPDATE evidence SET content = set_byte(content, 500, 0)")
    assert (await tenant.carrier.get(f"/v1/claims/{claim_id}/evidence")).status_code == 500
    assert await fetch(platform, "SELECT 1 FROM look WHERE what = 'evidence'") == []


async def test_forgetting_afterwards_does_not_weaken_the_evidence(
    platform: Platform, tenant: Tenant, visit_id: str
) -> None:
    claim_id = (await open_claim(tenant.consignee, visit_id))["id"]
    before = (await tenant.carrier.get(f"/v1/claims/{claim_id}/evidence")).content
    await fetch(platform, "DELETE FROM journal_private RETURNING 1")
    await fetch(platform, "DELETE FROM photo RETURNING 1")
    after = (await tenant.carrier.get(f"/v1/claims/{claim_id}/evidence")).content
    assert before == after
    assert verify_bundle(after, public_key=find_signer(platform).public_key).is_good


async def test_a_visit_that_is_watched_still_gets_a_second_bundle_when_it_is_over(
    platform: Platform, tenant: Tenant
) -> None:
    visit_id = await deliver(platform, tenant, is_over=False)
    assert await fetch(platform, "SELECT tail FROM visit") != [("over",)]
    claim_id = (await open_claim(tenant.consignee, visit_id))["id"]
    assert await flow.complete_evidence(platform, 10) == 0, "it is watched still"
    await fetch(platform, "UPDATE visit SET tail = 'over' RETURNING 1")
    done = await asyncio.gather(*(flow.complete_evidence(platform, 10) for _ in range(3)))
    assert sum(done) == 1, "once, however many workers there are"
    shown = (await tenant.carrier.get(f"/v1/claims/{claim_id}")).json()
    assert [one["number"] for one in shown["evidence"]] == [1, 2]
    assert (shown["state"], shown["steps"][-1]["what"]) == ("open", "add_evidence")
    for number in (1, 2):
        bundle = await tenant.carrier.get(f"/v1/claims/{claim_id}/evidence", params={"number": number})
        assert verify_bundle(bundle.content).is_good


async def test_a_bundle_that_can_not_be_made_keeps_no_other_waiting(
    platform: Platform, tenant: Tenant
) -> None:
    visit_id = await deliver(platform, tenant, is_over=False)
    kinds = (ClaimKind.OTHER, ClaimKind.PARCEL_DAMAGED)
    ids = [(await open_claim(tenant.consignee, visit_id, kind=kind))["id"] for kind in kinds]
    await fetch(platform, "UPDATE visit SET tail = 'over' RETURNING 1")
    # The first one's next step is there already: its own can't be written.
    await fetch(
        platform, "INSERT INTO claim_step SELECT %s, 2, now(), 'clock', 'x', 'open', '' RETURNING 1", ids[0]
    )
    await flow.complete_evidence(platform, 10)
    numbers = await fetch(platform, "SELECT claim_id, count(*) FROM evidence GROUP BY 1 ORDER BY 1")
    assert numbers == [(ids[0], 1), (ids[1], 2)]
    assert await flow.complete_evidence(platform, 10) == 0, "the first is tried again later"


async def test_the_evidence_of_a_stop_holds_every_attempt_and_where_the_parcel_went(
    platform: Platform, tenant: Tenant
) -> None:
    await save_reading(platform, tenant.access_point_id, is_open=True)
    first, second = [(await scan(tenant))["id"] for _ in range(2)]
    assert first != second
    photo = base64.b64encode(picture_of("x", 50)).decode()
    await tenant.courier.make(
        f"/v1/courier/stops/{tenant.stop_id}/fallback",
        {"done": "neighbour", "told": "with Mr Poe, no 7", "photo": photo},
    )
    made = await tenant.consignee.make(
        f"/v1/me/stops/{tenant.stop_id}/claims", {"kind": "parcel_missing", "words": "No parcel there."}
    )
    content = (await tenant.consignee.get(f"/v1/claims/{made['id']}/evidence")).content
    files = dict(unpack(content))
    assert {f"visits/{one}.unlatch-proof" for one in (first, second)} <= set(files)
    [end] = json.loads(files["fallbacks.json"])
    assert (end["fallback"], end["told"]) == ("neighbour", "with Mr Poe, no 7")
    assert end["who"] == f"courier:{tenant.courier.id}"
    assert sha256(files[f"fallbacks/{end['photo']}.jpeg"]).hexdigest() == end["photo"]
    assert "fallback_done" in [one["what"] for one in json.loads(files["deeds.json"])]
    assert verify_bundle(content).is_good


async def test_of_more_than_a_bundle_holds_the_newest_are_in_it_and_all_are_counted(
    platform: Platform, tenant: Tenant, visit_id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await fetch(
        platform,
        "INSERT INTO deed (id, access_point_id, stop_id, who, what, body, at) SELECT 'dee_' || number, %s, %s, "
        "'courier:cou_1', 'heading', '{}', now() + number * interval '1 second' FROM generate_series(1, 1007) number "
        "RETURNING 1",
        tenant.access_point_id,
        tenant.stop_id,
    )
    await fetch(
        platform,
        "INSERT INTO look (id, access_point_id, stop_id, who, what, at) SELECT 'loo_' || number, %s, %s, "
        "'courier:cou_1', 'look ' || number, now() + number * interval '1 second' FROM generate_series(1, 1003) number "
        "RETURNING 1",
        tenant.access_point_id,
        tenant.stop_id,
    )
    ((deeds,),) = await fetch(platform, "SELECT count(*) FROM deed WHERE stop_id = %s", tenant.stop_id)
    claim_id = (await open_claim(tenant.consignee, visit_id))["id"]
    content = (await tenant.carrier.get(f"/v1/claims/{claim_id}/evidence")).content
    files = dict(unpack(content))
    told = json.loads(files["looks.json"])
    assert [one["what"] for one in told] == [f"look {number}" for number in range(4, 1004)]
    assert json.loads(files["counted.json"]) == {
        "deeds": {"all": deeds + 1, "here": 1000},  # the claim itself is a deed
        "looks": {"all": 1003, "here": 1000},
        "visits": {"all": 1, "here": 1},
    }
    path = tmp_path / "evidence.zip"
    path.write_bytes(content)
    assert verify_files([str(path)]) == 0
    printed = capsys.readouterr().out
    assert f"of {deeds + 1} deeds the newest 1000" in printed
    assert "of 1003 looks the newest 1000" in printed
    assert " visits the newest" not in printed
    assert verify_files([str(path), "--json"]) == 0
    [bundle] = json.loads(capsys.readouterr().out)["bundles"]
    assert bundle["counted"]["looks"] == {"all": 1003, "here": 1000}


async def test_what_is_claimed_is_held_until_the_claim_has_ended(
    platform: Platform, tenant: Tenant, visit_id: str
) -> None:
    async def is_held() -> bool:
        async with platform.database.connection() as connection:
            return await aftermath.is_held(connection, visit_id)

    assert not await is_held()
    claim_id = (await open_claim(tenant.consignee, visit_id))["id"]
    assert await is_held()
    await tenant.consignee.make(f"/v1/me/claims/{claim_id}/withdraw")
    assert not await is_held()
    stop_claim = await tenant.consignee.make(f"/v1/me/stops/{tenant.stop_id}/claims", BROKEN)
    assert await is_held(), "a claim about the stop holds its visits"
    await tenant.consignee.make(f"/v1/me/claims/{stop_claim['id']}/withdraw")
    assert not await is_held()
