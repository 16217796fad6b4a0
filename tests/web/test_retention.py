"""Clips live as long as their programme says, are held by claims and operators, and an erasure proves itself."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.web.conftest import PUBLIC_URL, Caller, Tenant
from tests.web.people import add_member, deliver, fetch
from tests.web.recorded import RECORDER, Recorded, open_recorded
from tests.web.test_claims import open_claim
from tests.web.test_visits import save_reading, scan

from unlatch.cameras.storage import ClipStore, open_store
from unlatch.errors import ClipDamaged, RecordingError
from unlatch.flow import retention
from unlatch.flow.exporting import find_signer
from unlatch.flow.keeping import recover_left
from unlatch.flow.platform import Platform
from unlatch.flow.rule_files import SHIPPED
from unlatch.flow.rules import Rulebook
from unlatch.store import clips
from unlatch.store.cameras import RecordingState
from unlatch.verify import main as verify_files
from unlatch.web.app import create_app

REASON = "The police have asked for it: file 26-1103."


@pytest.fixture
async def recorded(platform: Platform, tmp_path: Path) -> AsyncIterator[Recorded]:
    async with open_recorded(platform, tmp_path) as recorded:
        yield recorded


@pytest.fixture
async def http(recorded: Recorded) -> AsyncIterator[httpx.AsyncClient]:
    """The application of the platform whose clips lie in a folder."""
    transport = httpx.ASGITransport(app=create_app(recorded.platform), raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as client:
        yield client


async def read(asker: Caller, visit_id: str) -> dict[str, Any]:
    answer = await asker.get(f"/v1/visits/{visit_id}/retention")
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def erase(asker: Caller, visit_id: str) -> tuple[int, dict[str, Any]]:
    answer = await asker.post(f"/v1/me/visits/{visit_id}/clips/erase")
    return answer.status_code, answer.json()


# ---- how long


async def test_a_clip_is_kept_as_long_as_its_programme_says(recorded: Recorded, tenant: Tenant) -> None:
    """Else as the setting says; the programme is the one that the stop was booked by."""
    folder = recorded.folder / "rules"
    shutil.copytree(SHIPPED, folder)
    programme = folder / "programmes" / "open.toml"
    text = programme.read_text(encoding="utf-8")
    seven = text.replace("reads_a_day = 24", "reads_a_day = 24\nclip_days = 7")
    programme.with_name("short.toml").write_text(seven, encoding="utf-8")
    platform = replace(
        recorded.platform,
        rules=Rulebook(folder),
        settings=replace(recorded.platform.settings, clip_days=12),
    )
    own = replace(recorded, platform=platform)
    visit_id = await own.deliver(tenant)
    (kept,) = await own.list_kept(visit_id)
    assert kept.keep_until - kept.made_at == timedelta(days=12)
    await fetch(platform, "UPDATE stop SET programme = 'short' RETURNING 1")
    await own.finish(await own.begin(tenant, visit_id))
    assert sorted((one.keep_until - one.made_at).days for one in await own.list_kept(visit_id)) == [7, 12]
    await fetch(platform, "UPDATE stop SET programme = 'no longer there' RETURNING 1")
    await own.finish(await own.begin(tenant, visit_id))
    assert sorted((one.keep_until - one.made_at).days for one in await own.list_kept(visit_id)) == [7, 12, 12]


async def test_what_is_due_is_erased_and_proves_it(
    recorded: Recorded, tenant: Tenant, operator: Caller, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    visit_id = await recorded.deliver(tenant)
    (kept,) = await recorded.list_kept(visit_id)
    async with recorded.platform.database.connection() as connection:
        row = await clips.find_clip(connection, kept.id)
    assert row is not None
    assert row.sealed_key is not None
    key = recorded.platform.vault.open(row.sealed_key, row.id)
    store = recorded.platform.clips
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(store.read(kept.id, key, 0, row.size))
    before = await read(tenant.consignee, visit_id)
    assert before["does_chain_hold"] is True
    (shown,) = before["clips"]
    assert (shown["erased_at"], shown["is_key_gone"], shown["is_file_gone"]) == (None, False, False)
    assert await retention.erase_due(recorded.platform) == 0, "it is not due"
    assert recorded.files() == [f"{kept.id}.clip"]

    await recorded.age(visit_id, 31)
    done = await asyncio.gather(*(retention.erase_due(recorded.platform) for _ in range(3)))
    assert sum(done) == 1, "once, however many workers there are"
    assert await recorded.lines(visit_id, "clip_kept", "clip_erased") == [
        ("clip_kept", (await recorded.lines(visit_id, "clip_kept"))[0][1]),
        ("clip_erased", "clock"),
    ]
    (shown,) = (await read(operator, visit_id))["clips"]
    assert (shown["erased_by"], shown["is_key_gone"], shown["is_file_gone"]) == ("clock", True, False)
    assert shown["is_proven_erased"] is False, "its file still lies there, though nobody can read it"
    with pytest.raises(ClipDamaged):
        store.read(kept.id, bytes(32), 0, 100)

    assert await retention.remove_erased(recorded.platform) == 1
    assert recorded.files() == []
    assert await retention.remove_erased(recorded.platform) == 0
    after = await read(tenant.consignee, visit_id)
    (shown,) = after["clips"]
    assert shown["is_proven_erased"] is True
    assert shown["removed_at"] is not None
    assert after["does_chain_hold"] is True
    rows = await fetch(recorded.platform, "SELECT sealed_key, poster, parts IS NOT NULL FROM clip")
    assert rows == [(None, None, True)]

    # The exported proof says so too, offline; whoever kept a copy can still show that it is the clip.
    proof = tmp_path / "visit.proof"
    proof.write_bytes((await tenant.carrier.get(f"/v1/visits/{visit_id}/proof")).content)
    key_text = find_signer(recorded.platform).public_key.hex()
    assert verify_files([str(proof), "--key", key_text, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["clips"]
    assert (found["state"], found["erased_by"], found["clip_id"]) == ("erased", "clock", kept.id)
    assert verify_files([str(proof), "--key", key_text, "--clip", str(clip), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["clips"][0]["state"] == "whole"
    content = bytearray(clip.read_bytes())
    content[len(content) // 2] ^= 1
    clip.write_bytes(content)
    assert verify_files([str(proof), "--key", key_text, "--clip", str(clip), "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["clips"]
    assert len(found["touched"]) == 1


async def test_a_chain_that_was_touched_is_told(recorded: Recorded, tenant: Tenant) -> None:
    visit_id = await recorded.deliver(tenant)
    async with recorded.platform.database.connection() as connection:
        await connection.execute("ALTER TABLE journal DISABLE TRIGGER journal_is_append_only")
    await fetch(
        recorded.platform,
        "UPDATE journal SET body = jsonb_set(body, '{size}', '1') WHERE name = 'clip_kept' RETURNING 1",
    )
    assert (await read(tenant.consignee, visit_id))["does_chain_hold"] is False


async def test_a_file_that_can_not_be_removed_is_tried_again_and_keeps_no_other(
    recorded: Recorded, tenant: Tenant
) -> None:
    stuck, other = await recorded.deliver(tenant), await deliver(recorded.platform, tenant)
    await recorded.finish(await recorded.begin(tenant, other))
    for visit_id in (stuck, other):
        assert (await erase(tenant.consignee, visit_id))[0] == 200
    (clip,) = await recorded.list_kept(stuck)
    path = next(recorded.folder.rglob(f"{clip.id}.clip"))
    path.unlink()
    path.mkdir()  # the store refuses
    (path / "in the way").touch()
    assert await retention.remove_erased(recorded.platform) == 2
    assert recorded.files() == ["in the way"]
    removed = await fetch(
        recorded.platform, "SELECT removed_at IS NOT NULL FROM clip ORDER BY id = %s", clip.id
    )
    assert removed[0] == (True,)
    assert await retention.remove_erased(recorded.platform) == 0, "not at once"
    shutil.rmtree(path)
    await fetch(
        recorded.platform, "UPDATE clip SET remove_again_at_real = now() WHERE removed_at IS NULL RETURNING 1"
    )
    await retention.remove_erased(recorded.platform)
    assert await fetch(recorded.platform, "SELECT count(*) FROM clip WHERE removed_at IS NULL") == [(0,)]


async def test_a_store_that_does_not_answer_is_no_proof(recorded: Recorded, tenant: Tenant) -> None:
    visit_id = await recorded.deliver(tenant)
    await erase(tenant.consignee, visit_id)

    class Away(ClipStore):
        def exists(self, clip_id: str) -> bool:
            raise RecordingError("the store of clips does not answer", code="disk")

    away = replace(recorded.platform, clips=Away(open_store(None)))
    assert await retention.remove_erased(away) == 1
    (kept,) = (await retention.read_retained(away, visit_id)).clips
    assert (kept.is_key_gone, kept.is_file_gone, kept.is_proven_erased) == (True, None, False)
    assert kept.row.removed_at is None


async def test_a_store_that_keeps_what_it_says_it_deleted_is_not_believed(
    recorded: Recorded, tenant: Tenant
) -> None:
    """As a bucket with versions, or a lock of its own."""
    visit_id = await recorded.deliver(tenant)
    await erase(tenant.consignee, visit_id)

    class Stubborn(ClipStore):
        def forget(self, clip_id: str) -> None:
            pass

    stubborn = replace(recorded.platform, clips=Stubborn(open_store(recorded.folder / "clips")))
    assert await retention.remove_erased(stubborn) == 1
    (shown,) = (await read(tenant.consignee, visit_id))["clips"]
    assert (shown["is_key_gone"], shown["is_file_gone"], shown["removed_at"]) == (True, False, None)


# ---- what holds


async def test_an_open_claim_holds_the_clips_of_its_visit(recorded: Recorded, tenant: Tenant) -> None:
    visit_id = await recorded.deliver(tenant)
    claim_id = (await open_claim(tenant.consignee, visit_id))["id"]
    await recorded.age(visit_id, 31)
    assert await retention.erase_due(recorded.platform) == 0
    status, problem = await erase(tenant.consignee, visit_id)
    assert status == 409
    assert "an open claim holds" in str(problem["detail"])
    assert (await read(tenant.consignee, visit_id))["is_held_by_claim"] is True
    await tenant.consignee.make(f"/v1/me/claims/{claim_id}/withdraw")
    assert await retention.erase_due(recorded.platform) == 1
    assert [who for _, who in await recorded.lines(visit_id, "clip_erased")] == ["clock"]


async def test_a_claim_about_the_stop_holds_too_and_of_two_at_once_one_comes_first(
    recorded: Recorded, tenant: Tenant
) -> None:
    """A claim and an erasure at the same moment: never both an open claim and, after it, an erased clip."""
    visit_id = await recorded.deliver(tenant)
    answers, claimed = await asyncio.gather(
        asyncio.gather(*(erase(tenant.consignee, visit_id) for _ in range(3))),
        tenant.consignee.post(
            f"/v1/me/stops/{tenant.stop_id}/claims", {"kind": "other", "words": "what is this?"}
        ),
    )
    assert claimed.status_code == 201
    opened = (await fetch(recorded.platform, "SELECT opened_at FROM claim"))[0][0]
    erased = await fetch(recorded.platform, "SELECT count(*) FROM clip WHERE erased_at IS NOT NULL")
    statuses = sorted(status for status, _ in answers)
    assert opened is not None
    assert statuses in ([200, 200, 200], [200, 200, 409], [200, 409, 409], [409, 409, 409])
    assert (erased == [(0,)]) == (statuses == [409, 409, 409])
    assert (await erase(tenant.consignee, visit_id))[0] == 409


async def test_an_erasure_waits_for_a_claim_that_is_being_opened(recorded: Recorded, tenant: Tenant) -> None:
    visit_id = await recorded.deliver(tenant)
    async with recorded.platform.database.transaction() as connection:
        await connection.execute(
            "INSERT INTO claim (id, stop_id, visit_id, access_point_id, carrier_id, courier_id, consignee_id, kind, "
            "state, words, steps, opened_at, is_evidence_whole) SELECT 'clm_x', stop_id, id, access_point_id, "
            "carrier_id, courier_id, %s, 'other', 'open', '', 1, now(), true FROM visit WHERE id = %s",
            (tenant.consignee.id, visit_id),
        )
        erasing = asyncio.create_task(erase(tenant.consignee, visit_id))
        while not (
            await fetch(
                recorded.platform,
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%FROM stop%%'",
            )
        ):
            assert not erasing.done(), "it did not wait"
            await asyncio.sleep(0.01)
    status, _ = await erasing
    assert status == 409
    assert (await recorded.list_kept(visit_id))[0].has_key


async def test_an_operator_holds_with_a_reason_that_the_household_reads(
    recorded: Recorded, tenant: Tenant, operator: Caller
) -> None:
    visit_id = await recorded.deliver(tenant)
    path = f"/v1/operator/visits/{visit_id}"
    assert (await operator.post(f"{path}/hold", {"reason": "because"})).status_code == 400
    held = await operator.make(f"{path}/hold", {"reason": REASON, "days": 60})
    assert (await operator.post(f"{path}/hold", {"reason": REASON})).status_code == 409
    shown = await read(tenant.consignee, visit_id)
    assert shown["hold"] == held
    await recorded.age(visit_id, 31)
    assert await retention.erase_due(recorded.platform) == 0
    status, problem = await erase(tenant.consignee, visit_id)
    assert status == 409
    assert REASON in str(problem["detail"])
    timeline = (await tenant.consignee.get("/v1/me/timeline")).json()
    assert "clips_held" in [one["what"] for one in timeline["deeds"]]
    (line,) = await fetch(
        recorded.platform,
        "SELECT journal.body, journal_private.body FROM journal JOIN journal_private USING (visit_id, number) "
        "WHERE name = 'clip_hold_begun'",
    )
    assert line[1] == {"reason": REASON}
    assert "reason" not in line[0], "it may name people: it stands beside the chain"
    assert (await tenant.carrier.post(f"{path}/release")).status_code == 403
    await operator.make(f"{path}/release")
    assert (await operator.post(f"{path}/release")).status_code == 404
    assert await retention.erase_due(recorded.platform) == 1
    assert (await operator.post(f"{path}/hold", {"reason": REASON})).status_code == 409, "nothing is left"


async def test_a_hold_lapses_by_itself_and_may_be_made_again(
    recorded: Recorded, tenant: Tenant, operator: Caller
) -> None:
    visit_id = await recorded.deliver(tenant)
    path = f"/v1/operator/visits/{visit_id}/hold"
    await operator.make(path, {"reason": REASON, "days": 1})
    await fetch(
        recorded.platform, "UPDATE clip_hold SET at = at - interval '2 days', until = now() RETURNING 1"
    )
    assert (await read(operator, visit_id))["hold"] is None
    await operator.make(path, {"reason": REASON, "days": 1})
    await fetch(recorded.platform, "UPDATE clip_hold SET until = now() WHERE ended_at IS NULL RETURNING 1")
    await recorded.age(visit_id, 31)
    assert await retention.erase_due(recorded.platform) == 1


async def test_what_is_held_keeps_nothing_else_from_being_erased(
    recorded: Recorded, tenant: Tenant, operator: Caller
) -> None:
    held = await recorded.deliver(tenant)
    other = await recorded.deliver(tenant)
    await operator.make(f"/v1/operator/visits/{held}/hold", {"reason": REASON})
    await recorded.age(held, 40)
    await recorded.age(other, 31)
    assert await retention.erase_due(recorded.platform, 1) == 1
    assert (await recorded.list_kept(held))[0].has_key
    assert not (await recorded.list_kept(other))[0].has_key


# ---- at once


async def test_the_owner_erases_at_once_and_nobody_else(
    recorded: Recorded, tenant: Tenant, operator: Caller
) -> None:
    visit_id = await recorded.deliver(tenant)
    member = await add_member(tenant)
    for asker, status in ((member, 403), (operator, 403), (tenant.carrier, 403)):
        assert (await erase(asker, visit_id))[0] == status
    stranger = await tenant.carrier.make("/v1/consignees", {"name": "Zoe", "language": "en"})
    assert (await erase(Caller(http=tenant.carrier.http, key=stranger["key"]), visit_id))[0] == 404
    assert (await erase(tenant.consignee, "vis_none"))[0] == 404
    assert (await recorded.list_kept(visit_id))[0].has_key
    assert await erase(tenant.consignee, visit_id) == (200, {"visit_id": visit_id, "erased": 1})
    assert await erase(tenant.consignee, visit_id) == (200, {"visit_id": visit_id, "erased": 0})
    assert await recorded.lines(visit_id, "clip_erased") == [
        ("clip_erased", f"consignee:{tenant.consignee.id}")
    ]
    deeds = [one["what"] for one in (await member.get("/v1/me/timeline")).json()["deeds"]]
    assert deeds.count("clips_erased") == 1
    (shown,) = (await read(member, visit_id))["clips"]
    assert shown["erased_by"] == "consignee", "nobody's id is told"
    assert (await read_status(tenant.carrier, visit_id)) == 403
    assert (await read_status(tenant.courier, visit_id)) == 403


async def read_status(asker: Caller, visit_id: str) -> int:
    return (await asker.get(f"/v1/visits/{visit_id}/retention")).status_code


async def test_nothing_is_erased_while_the_visit_is_under_way(recorded: Recorded, tenant: Tenant) -> None:
    await save_reading(recorded.platform, tenant.access_point_id)
    visit_id = (await scan(tenant))["id"]
    status, problem = await erase(tenant.consignee, visit_id)
    assert status == 409
    assert "under way" in str(problem["detail"])


# ---- what lies on a recorder's disk


async def test_a_recording_that_is_no_clip_yet_becomes_none(recorded: Recorded, tenant: Tenant) -> None:
    visit_id = await deliver(recorded.platform, tenant)
    recording = await recorded.begin(tenant, visit_id)
    assert recorded.left_on_disk(recording) == [".jsonl", ".mp4"]
    assert (await erase(tenant.consignee, visit_id))[1]["erased"] == 1
    assert await retention.sweep(recorded.platform, RECORDER) == 0, "its recorder may be writing still"
    (takes,) = (await read(tenant.consignee, visit_id))["takes"]
    assert (takes["state"], takes["erased_by"], takes["is_gone"]) == ("ending", "consignee", False)
    assert (await recorded.finish(await recorded.get(recording.id))).state is RecordingState.ERASED
    assert recorded.files() == []
    assert await retention.sweep(recorded.platform, "rcr_other") == 0, "another machine's disk"
    assert await retention.sweep(recorded.platform, RECORDER) == 1
    assert recorded.left_on_disk(recording) == []
    assert await retention.sweep(recorded.platform, RECORDER) == 0
    (takes,) = (await read(tenant.consignee, visit_id))["takes"]
    assert (takes["state"], takes["is_gone"]) == ("erased", True)
    assert [name for name, _ in await recorded.lines(visit_id, "takes_erased", "clip_kept")] == [
        "takes_erased"
    ]


async def test_one_that_was_erased_while_its_clip_was_made_has_a_clip_without_a_key(
    recorded: Recorded, tenant: Tenant
) -> None:
    visit_id = await deliver(recorded.platform, tenant)
    recording = await recorded.begin(tenant, visit_id)
    await erase(tenant.consignee, visit_id)
    done = await recorded.finish(recording)  # as its keeper knew it before
    assert done.state is RecordingState.KEPT
    (kept,) = await recorded.list_kept(visit_id)
    assert (kept.has_key, kept.has_poster) == (False, False)
    assert kept.erased_by == f"consignee:{tenant.consignee.id}"
    assert len(recorded.files()) == 1
    assert await retention.remove_erased(recorded.platform) == 1
    assert recorded.files() == []
    assert [
        name for name, _ in await recorded.lines(visit_id, "takes_erased", "clip_kept", "clip_erased")
    ] == [
        "takes_erased",
        "clip_kept",
        "clip_erased",
    ]
    assert (await read(tenant.consignee, visit_id))["does_chain_hold"] is True


async def test_takes_that_no_clip_can_be_made_of_go_when_their_time_is_up(
    recorded: Recorded, tenant: Tenant
) -> None:
    visit_id = await deliver(recorded.platform, tenant)
    recording = await recorded.begin(tenant, visit_id)
    recorded.damage(recording)
    await fetch(recorded.platform, "UPDATE recording SET tries = 7 RETURNING 1")
    failed = await recorded.finish(await recorded.get(recording.id))
    assert failed.state is RecordingState.FAILED
    await recorded.age(visit_id, 29)
    assert await retention.erase_due(recorded.platform) == 0
    assert await retention.sweep(recorded.platform, RECORDER) == 0, "a person may want to look"
    await recorded.age(visit_id, 2)
    done = await asyncio.gather(*(retention.erase_due(recorded.platform) for _ in range(3)))
    assert sum(done) >= 1  # one that comes just after finds the visit free, and nothing left to erase
    assert await retention.sweep(recorded.platform, RECORDER) == 1
    assert recorded.left_on_disk(recording) == []
    assert await recorded.lines(visit_id, "takes_erased") == [("takes_erased", "clock")]


async def test_what_was_left_behind_after_a_clip_was_kept_is_swept(
    recorded: Recorded, tenant: Tenant
) -> None:
    visit_id = await deliver(recorded.platform, tenant)
    recording = await recorded.begin(tenant, visit_id)
    copy = recorded.folder / "copy"
    shutil.copytree(recording.folder, copy)
    await recorded.finish(recording)
    shutil.copytree(copy, recording.folder)  # as if the process had died before it removed them
    assert await recover_left(recorded.platform, RECORDER) == {}
    assert await retention.sweep(recorded.platform, RECORDER) == 1
    assert recorded.left_on_disk(recording) == []
    await fetch(
        recorded.platform,
        "UPDATE recording SET swept_at = NULL, folder = %s RETURNING 1",
        str(recorded.folder),
    )
    assert await retention.sweep(recorded.platform, RECORDER) == 0
    assert recorded.folder.exists(), "no folder but a recording's own is ever removed"
