"""No table of ours or of the job engine grows for ever by what nobody will ask for again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.flow.day import consignee_of, query
from tests.flow.stage import Stage, Stop, open_stage

from unlatch.flow import forgetting
from unlatch.flow.forgetting import forget
from unlatch.store import duties, notices, preflights
from unlatch.store.database import Database


async def test_the_engine_s_notes_of_old_jobs_are_forgotten_and_those_of_today_kept(
    database: Database, tmp_path: Path
) -> None:
    async with open_stage(database, tmp_path, has_worker=False) as stage, database.connection() as connection:
        for days, job_id in ((8, 1), (0, 2)):
            at = {"ago": timedelta(days=days), "id": job_id}
            await connection.execute(
                "INSERT INTO pgqueuer_log (created, job_id, status, priority, entrypoint) "
                "VALUES (now() - %(ago)s, %(id)s, 'successful', 1, 'command')",
                at,
            )
            await connection.execute(
                "INSERT INTO pgqueuer_statistics (created, count, status, priority, entrypoint) "
                "VALUES (now() - %(ago)s, %(id)s, 'successful', 1, 'command')",
                at,
            )
        assert await forget(stage.platform) == 2
        cursor = await connection.execute("SELECT job_id FROM pgqueuer_log")
        assert await cursor.fetchall() == [(2,)]
        cursor = await connection.execute("SELECT count FROM pgqueuer_statistics")
        assert await cursor.fetchall() == [(2,)]


async def test_a_used_proof_is_kept_as_long_as_a_server_with_a_slow_clock_would_take_it(
    database: Database, tmp_path: Path
) -> None:
    async with open_stage(database, tmp_path, has_worker=False) as stage, database.connection() as connection:
        for minutes in (1, 10):
            await connection.execute(
                "INSERT INTO used_proof VALUES (%s, now() - %s)",
                (minutes.to_bytes(), timedelta(minutes=minutes)),
            )
        assert await forget(stage.platform) == 1
        cursor = await connection.execute("SELECT digest FROM used_proof")
        assert await cursor.fetchall() == [((1).to_bytes(),)]


# ---- what people were told, and what the day found


async def count(stage: Stage, table: str) -> int:
    return int((await query(stage, f"SELECT count(*) FROM {table}"))[0]["count"])


async def fill(stage: Stage, stop: Stop, *, days: int, number: int, state: str = "sent") -> None:
    """Notices with their dispatches, findings and duties, so many days old."""
    await query(
        stage,
        """
        WITH fresh AS (
            INSERT INTO notice (id, reader, reader_id, event, key, access_point_id, stop_id, facts, created_at,
                posted_at)
            SELECT 'not_' || %(days)s || '_' || number, 'consignee', 'con_1', 'booked', %(days)s || '/' || number,
                %(place)s, %(stop)s, '{}', %(at)s, %(at)s FROM generate_series(1, %(number)s) number
            RETURNING id)
        INSERT INTO dispatch (notice_id, channel_id, kind, state, created_at)
        SELECT id, 'chn_1', 'webpush', %(state)s, %(at)s FROM fresh
        """,
        parameters(stage, stop, days, number) | {"state": state},
    )
    await query(
        stage,
        """
        INSERT INTO preflight (stop_id, plan_number, kind, at, reasons, is_seen, parking, is_alarming, rules_version)
        SELECT %(stop)s, 1000 * %(days)s + number, 'asked', %(at)s, '{}', true, 'in_range', false, 'r'
        FROM generate_series(1, %(number)s) number
        """,
        parameters(stage, stop, days, number),
    )
    await query(
        stage,
        """
        INSERT INTO duty (stop_id, plan_number, kind, due_at, next_at, state, ended_at)
        SELECT %(stop)s, 1000 * %(days)s + number, 'recheck', %(at)s, %(at)s, 'done', %(at)s
        FROM generate_series(1, %(number)s) number
        """,
        parameters(stage, stop, days, number),
    )


def parameters(stage: Stage, stop: Stop, days: int, number: int) -> dict[str, Any]:
    at = stage.platform.clock.now() - timedelta(days=days)
    return {"days": days, "number": number, "at": at, "place": stop.place_id, "stop": stop.stop_id}


@pytest.fixture
async def stage(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(database, tmp_path, has_worker=False) as stage:
        await query(
            stage,
            "INSERT INTO channel (id, reader, reader_id, kind, sealed, digest, shown, state, created_at) "
            "VALUES ('chn_1', 'consignee', 'con_1', 'webpush', '', '', '', 'live', now())",
        )
        yield stage


async def test_notices_findings_and_duties_are_forgotten_by_their_age(stage: Stage) -> None:
    stop = await stage.add_stop()
    kept = stage.platform.settings
    for days in (kept.findings_kept_days, kept.notices_kept_days):
        await fill(stage, stop, days=days + 1, number=3)
        await fill(stage, stop, days=days - 1, number=2)
    assert kept.findings_kept_days < kept.notices_kept_days
    assert await forget(stage.platform) == 3 + 2 * (3 + 3 + 2)
    assert [await count(stage, name) for name in ("notice", "dispatch")] == [7, 7]
    assert [await count(stage, name) for name in ("preflight", "duty")] == [2, 2]
    assert await forget(stage.platform) == 0


async def test_how_long_is_the_operator_s_to_say(stage: Stage) -> None:
    stop = await stage.add_stop()
    await fill(stage, stop, days=8, number=2)
    assert await forget(stage.platform) == 0
    settings = replace(stage.platform.settings, notices_kept_days=7, findings_kept_days=7)
    assert await forget(replace(stage.platform, settings=settings)) == 6


async def test_what_is_yet_to_be_told_or_done_is_kept_however_old(stage: Stage) -> None:
    stop = await stage.add_stop()
    await fill(stage, stop, days=400, number=1, state="due")
    await query(stage, "UPDATE duty SET state = 'due', ended_at = NULL")
    await query(
        stage,
        "INSERT INTO notice (id, reader, reader_id, event, key, facts, created_at) "
        "VALUES ('not_new', 'carrier', 'car_1', 'booked', 'x', '{}', now() - interval '400 days')",
    )
    await query(stage, "DELETE FROM preflight")
    assert await forget(stage.platform) == 0
    assert [await count(stage, name) for name in ("notice", "dispatch", "duty")] == [2, 1, 1]


async def test_an_open_claim_holds_what_was_told_and_found_of_its_stop(stage: Stage) -> None:
    stop, other = await stage.add_stop(), await stage.add_stop()
    await fill(stage, stop, days=400, number=2)
    await query(
        stage,
        "INSERT INTO claim (id, stop_id, access_point_id, carrier_id, consignee_id, kind, words, state, opened_at, "
        "steps, is_evidence_whole) SELECT 'clm_1', id, access_point_id, carrier_id, %s, 'other', '', 'open', now(), 1, "
        "true FROM stop WHERE id = %s",
        [consignee_of(stop), stop.stop_id],
    )
    await fill(stage, other, days=300, number=2)
    assert await forget(stage.platform) == 6
    assert {row["stop_id"] for row in await query(stage, "SELECT stop_id FROM notice")} == {stop.stop_id}
    await query(stage, "UPDATE claim SET ended_at = now()")
    assert await forget(stage.platform) == 6


async def test_one_turn_is_bounded_and_two_workers_share_the_rest(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = await stage.add_stop()
    await fill(stage, stop, days=400, number=50)
    monkeypatch.setattr(forgetting, "AT_ONCE", 20)
    assert await forget(stage.platform) == 60
    assert sum(await asyncio.gather(*(forget(stage.platform) for _ in range(4)))) <= 90
    while await forget(stage.platform):
        pass
    assert [await count(stage, name) for name in ("notice", "dispatch", "preflight", "duty")] == [0] * 4


async def test_what_is_old_is_found_by_an_index(stage: Stage) -> None:
    stop = await stage.add_stop()
    await fill(stage, stop, days=1, number=20_000)
    await fill(stage, stop, days=400, number=50)
    await query(stage, "ANALYZE notice, preflight, duty, dispatch")
    values = {"before": stage.platform.clock.now() - timedelta(days=90), "limit": 20}
    for statement, index in (
        (notices._FORGET, "notice_by_age"),
        (preflights._FORGET, "preflight_by_age"),
        (duties._FORGET, "duty_ended"),
    ):
        plan = await query(stage, f"EXPLAIN {statement}", values)
        assert index in str(plan), plan
