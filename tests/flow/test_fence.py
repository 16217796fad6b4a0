"""After a restore nothing from before it opens anything (S10); what an old key has sealed is sealed anew."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row
from tests.flow.stage import Stage, Stop, open_stage
from tests.programs import run_program

from unlatch.domain.incident import Incident
from unlatch.domain.visit import BEFORE_GATE, State, Tail
from unlatch.errors import SealBroken
from unlatch.flow.carry_out import carry_out_command
from unlatch.flow.fence import raise_fence
from unlatch.flow.gate import pass_gate
from unlatch.flow.platform import Platform
from unlatch.flow.resealing import reseal_vehicles
from unlatch.main import main
from unlatch.settings import read_settings
from unlatch.store import fence, readings
from unlatch.store.database import Database
from unlatch.store.embedded import Embedded
from unlatch.store.vault import Vault

KEY, NEW_KEY = b"k" * 32, b"n" * 32


@pytest.fixture
async def stage(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    """A town and a database, and nobody at work: what was ordered waits."""
    async with open_stage(database, tmp_path, factor=5.0, has_worker=False) as stage:
        yield stage


async def grant(stage: Stage, maker: str = "onstar") -> tuple[Stop, str]:
    """A visit that was granted and whose unlock waits for a worker."""
    stop, visit_id, _ = await stage.grant(maker)
    assert (await stage.get(visit_id)).visit.state is State.GRANTED
    return stop, visit_id


async def ask(stage: Stage, query: str, *values: object) -> list[dict[str, Any]]:
    async with (
        stage.platform.database.connection() as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        await cursor.execute(query.encode(), values)
        return await cursor.fetchall()


async def find_unlock(stage: Stage, visit_id: str) -> dict[str, Any]:
    rows = await ask(stage, "SELECT * FROM command WHERE visit_id = %s AND verb = 'unlock'", visit_id)
    assert len(rows) == 1
    return rows[0]


async def test_a_grant_of_the_present_epoch_passes_the_gate(stage: Stage) -> None:
    _, visit_id = await grant(stage)
    unlock = await find_unlock(stage, visit_id)
    assert await pass_gate(stage.platform, unlock["id"], None) is not None
    assert (await stage.get(visit_id)).visit.state is State.UNLOCKING


async def test_a_grant_of_an_older_epoch_can_not_pass_the_gate(stage: Stage) -> None:
    """The number alone is enough: as for a scan that took the old number while the fence rose."""
    _, visit_id = await grant(stage)
    unlock = await find_unlock(stage, visit_id)
    async with stage.platform.database.transaction() as connection:
        await fence.raise_epoch(connection)
    assert await pass_gate(stage.platform, unlock["id"], None) is None
    assert (await stage.get(visit_id)).visit.state is State.REFUSED
    assert (await find_unlock(stage, visit_id))["state"] == "not_sent"


async def test_a_raised_fence_shuts_what_waits_and_calls_people(stage: Stage) -> None:
    stop, visit_id = await grant(stage)
    looking = await stage.begin(await stage.add_stop())  # nothing was read yet
    assert (await stage.get(looking)).visit.state is State.REQUESTED
    raised = await raise_fence(stage.platform)
    assert raised.epoch == 2
    assert {row.id for row in raised.shut} == {visit_id, looking}
    for shut in (visit_id, looking):
        row = await stage.get(shut)
        assert (row.visit.state, row.incident) == (State.REFUSED, Incident.PLATFORM_RESTORED)
        last = (await ask(stage, "SELECT body FROM journal WHERE visit_id = %s ORDER BY number", shut))[-1]
        assert last["body"]["epoch"] == 2
        assert last["body"]["incident"] == "platform_restored"
        called = await ask(stage, "SELECT kind FROM call WHERE visit_id = %s ORDER BY kind", shut)
        assert [row["kind"] for row in called] == ["consignee", "operator"]
    assert [row["state"] for row in await ask(stage, "SELECT state FROM grant_")] == ["dead"]
    unlock = await find_unlock(stage, visit_id)
    assert unlock["state"] == "unknown"
    assert await pass_gate(stage.platform, unlock["id"], None) is None
    held = await ask(stage, "SELECT place, held_by FROM parcel WHERE stop_id = %s", stop.stop_id)
    assert held == [{"place": "with_courier", "held_by": stop.courier_id}]


async def test_what_may_have_left_before_the_restore_is_watched_and_nothing_else_opens_there_meanwhile(
    stage: Stage,
) -> None:
    """Found by the simulation (seed 121): the end of such an unlock was sworn to, and its place was free at once."""
    stop, visit_id = await grant(stage)
    await raise_fence(stage.platform)
    row = await stage.get(visit_id)
    assert row.visit.tail is Tail.WATCHING
    assert row.visit.late_until is not None
    assert row.visit.late_until > stage.platform.clock.now() + timedelta(seconds=200)
    assert row.next_read_at is not None
    again = await stage.scan(stop)
    assert Incident.PLATFORM_PLACE_STILL_WATCHED in again.reasons


@pytest.mark.parametrize("state", sorted(BEFORE_GATE))
async def test_a_raised_fence_shuts_whatever_waits_before_its_gate(stage: Stage, state: State) -> None:
    _, visit_id = await grant(stage)
    await ask(
        stage, "UPDATE visit SET state = %s, is_recorded = true WHERE id = %s RETURNING 1", state, visit_id
    )
    raised = await raise_fence(stage.platform)
    assert {row.id for row in raised.shut} == {visit_id}
    assert (await stage.get(visit_id)).visit.state is State.REFUSED


async def test_what_has_passed_its_gate_goes_on_and_a_second_raise_finds_nothing(stage: Stage) -> None:
    _, visit_id = await grant(stage)
    await pass_gate(stage.platform, (await find_unlock(stage, visit_id))["id"], None)
    for epoch in (2, 3):
        raised = await raise_fence(stage.platform)
        assert (raised.epoch, raised.shut) == (epoch, ())
    assert (await stage.get(visit_id)).visit.state is State.UNLOCKING
    assert [row["state"] for row in await ask(stage, "SELECT state FROM grant_")] == ["used"]


async def test_a_scan_after_the_raise_is_granted_and_passes(stage: Stage) -> None:
    await raise_fence(stage.platform)
    _, visit_id = await grant(stage)
    assert await pass_gate(stage.platform, (await find_unlock(stage, visit_id))["id"], None) is not None


@asynccontextmanager
async def back_in_time(stage: Stage, server: Embedded, dump: Path) -> AsyncIterator[Platform]:
    """The platform on a database that was restored as docs/howto/restore-a-backup.md says."""
    name = f"restored_{stage.platform.database.dsn.partition('dbname=')[2].split()[0]}"
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        await run_program(
            "pg_restore", "--exit-on-error", "--no-owner", f"--dbname={server.dsn(name)}", str(dump)
        )
        database = Database(server.dsn(name), name="restored")
        await database.open()
        try:
            yield replace(stage.platform, database=database)
        finally:
            await database.close()
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.mark.parametrize(("is_raised", "unlocks"), [(False, 2), (True, 1)])
async def test_after_a_restore_the_raised_fence_alone_keeps_an_unlock_from_leaving_again(
    stage: Stage, server: Embedded, tmp_path: Path, is_raised: bool, unlocks: int
) -> None:
    """The backup holds a live grant; its unlock left right after. Without the fence it would leave again."""
    stop, visit_id = await grant(stage, "volvo")
    unlock = await find_unlock(stage, visit_id)
    dump = tmp_path / "dump"
    await run_program("pg_dump", "--format=custom", f"--file={dump}", stage.platform.database.dsn)
    await carry_out_command(stage.platform, unlock["id"])
    async with back_in_time(stage, server, dump) as platform:
        if is_raised:
            assert [row.id for row in (await raise_fence(platform)).shut] == [visit_id]
        await carry_out_command(platform, unlock["id"])
    ledger = await stage.town.whole_ledger(vin=stop.vin)
    assert len([row for row in ledger if row.kind == "request" and row.what == "unlock"]) == unlocks


def test_the_command_raises_the_fence(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNLATCH_DATABASE_URL", database_url)
    monkeypatch.setenv("UNLATCH_DATA_DIR", str(tmp_path))
    assert main(["fence", "raise"]) == 0
    assert capsys.readouterr().out == "the fence is at 2; 0 visits were shut before their gate\n"


async def test_what_an_old_key_sealed_is_sealed_anew(stage: Stage) -> None:
    stops = [await stage.add_stop() for _ in range(3)]
    both = replace(stage.platform, vault=Vault(NEW_KEY, KEY))
    assert await reseal_vehicles(both) == 3
    assert await reseal_vehicles(both) == 0
    async with both.database.connection() as connection:
        place = await readings.find_place(connection, stops[0].place_id)
    assert place is not None
    _, car = replace(both, vault=Vault(NEW_KEY)).car_at(place)
    assert car.vin == stops[0].vin
    with pytest.raises(SealBroken):
        stage.platform.car_at(place)
    with pytest.raises(SealBroken):
        await reseal_vehicles(stage.platform)


def test_old_keys_are_read_and_never_shown() -> None:
    texts = [base64.b64encode(key).decode() for key in (NEW_KEY, KEY)]
    settings = read_settings({"UNLATCH_DATA_DIR": "/somewhere", "UNLATCH_SECRET_KEY_OLD": ",".join(texts)})
    assert settings.old_secret_keys == (NEW_KEY, KEY)
    assert "nnnn" not in repr(settings)


def test_the_command_seals_anew(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNLATCH_DATABASE_URL", database_url)
    monkeypatch.setenv("UNLATCH_DATA_DIR", str(tmp_path))
    assert main(["reseal"]) == 0
    assert capsys.readouterr().out == "nothing to do: all is sealed with the present key\n"
