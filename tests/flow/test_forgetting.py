"""No table of ours or of the job engine grows for ever by what nobody will ask for again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tests.flow.stage import open_stage

from unlatch.flow.forgetting import forget
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
