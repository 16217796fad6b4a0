"""The bench: a tiny run in which nothing is lost, and the parts that turn what was read into figures."""

from __future__ import annotations

import random
from pathlib import Path

import psycopg
import pytest
from psycopg import AsyncConnection

from unlatch.settings import read_settings
from unlatch.store.vault import Vault
from unlatch.town.bench import FACTOR, QUICK, Bench, make_scripts
from unlatch.town.bench_meters import quantiles
from unlatch.town.bench_profile import summarise
from unlatch.town.bench_report import find_losses, make_page, make_table
from unlatch.town.bench_rows import LATITUDE, LONGITUDE, Registry
from unlatch.town.installation import Installation
from unlatch.town.limit import NoLimit, Said, quote, split_transactions
from unlatch.town.load import Client, Errand, Outcome, Phone, Round


async def test_a_tiny_run_delivers_all_and_its_ledgers_agree(database_url: str, tmp_path: Path) -> None:
    vault = Vault(read_settings({"UNLATCH_DATA_DIR": str(tmp_path)}).read_secret_key())

    installation = Installation(data_dir=tmp_path, factor=FACTOR, database_url=database_url)
    async with (
        await AsyncConnection.connect(database_url, autocommit=True) as connection,
        installation,
    ):
        registry = Registry(
            connection=connection, town=installation.town, seal=vault.seal, now=installation.clock.now
        )
        couriers = Round(
            server=Client(installation.server_url),
            town=Client(installation.town_url),
            latitude=LATITUDE,
            longitude=LONGITUDE,
        )
        bench = Bench(
            plan=QUICK,
            installation=installation,
            connection=connection,
            registry=registry,
            round=couriers,
            tell=lambda _: None,
            chance=random.Random(1),
        )
        await bench.open()
        assert all(bench.pids().values())
        step = await bench.step(6.0, 1.0)
        assert step.offered > 1
        assert (step.delivered, dict(step.losses)) == (step.offered, {})
        assert 0 < step.scan_to_command_s["p50"] <= step.scan_to_command_s["max"] < step.visit_s["max"]
        counted = await bench.check_journals()
        assert find_losses({"nothing_lost": counted}) == []
        assert counted["delivered"] == counted["unlocks_at_the_clouds"] == step.offered
        stranger = Phone("unlatch_phone_" + "f" * 64)
        unsigned = Errand(number=0, stop_id="stp_none", vin="", label="", phone=stranger)
        (lost,) = await couriers.run([unsigned], [0.0])
        assert not lost.is_delivered
        assert lost.why.startswith("401")
        couriers.server.close()
        couriers.town.close()


def test_a_quantile_is_a_value_that_was_seen() -> None:
    assert quantiles([]) == {}
    assert quantiles([float(number) for number in range(1, 101)]) == {
        "p50": 50.0,
        "p90": 90.0,
        "p99": 99.0,
        "max": 100.0,
    }
    assert quantiles([2.0]) == {"p50": 2.0, "p90": 2.0, "p99": 2.0, "max": 2.0}


def test_what_was_lost_is_named() -> None:
    counted = {
        "delivered": 3,
        "delivered_to_couriers": 3,
        "parcels_in_place": 2,
        "gates_passed": 3,
        "unlocks": 3,
        "unlocks_at_the_clouds": 4,
    }
    assert len(find_losses({"nothing_lost": counted})) == 2


def test_samples_are_shared_out_by_room_and_by_our_innermost_function() -> None:
    found = summarise(
        "run (asyncio/runners.py:1);record (unlatch/flow/record.py:80);send (psycopg/cursor.py:9) 3\n"
        "run (asyncio/runners.py:1);step (unlatch/domain/visit.py:7) 1\n"
        "run (asyncio/runners.py:1);select (selectors.py:1) 100\n"
    )
    assert found["samples"] == 4
    assert found["by_room"] == {"psycopg": 75.0, "unlatch/domain": 25.0}
    assert found["of_ours"] == {"flow/record.py:record": 75.0, "domain/visit.py:step": 25.0}


def said(session: str, sql: str, **values: str | None) -> Said:
    return Said(session=session, sql=sql, values={int(name[1:]): value for name, value in values.items()})


VISIT = "vis_" + "0" * 23 + "123456789"
ERRAND = Errand(
    number=7, stop_id="stp_100000007", vin="", label="0034", phone=Phone("unlatch_phone_" + "0" * 64)
)
JOBS = [
    said(
        "w",
        "UPDATE pgqueuer SET taken = $1 WHERE id IN (SELECT id FOR UPDATE SKIP LOCKED) RETURNING id",
        v1="20",
    ),
    said("w", "DELETE FROM pgqueuer WHERE id = ANY($1::bigint[])", v1="{5,6}"),
    said("w", "UPDATE visit SET next_read_at = $1 WHERE id IN (SELECT id FOR UPDATE SKIP LOCKED)", v1="t"),
]


def test_the_script_of_a_visit_holds_its_transactions_with_other_numbers() -> None:
    log = [
        said("a", "BEGIN"),
        said("b", "SELECT 1"),
        said("a", "INSERT INTO visit VALUES ($1, $2, $3)", v1=VISIT, v2="it's 12:30", v3=None),
        said("a", "INSERT INTO pgqueuer VALUES ($1)", v1="x"),
        said("a", "COMMIT"),
        said("b", "SELECT $1", v1="stp_100000007"),
        said("b", "SELECT $1", v1="stp_100000007"),
        *JOBS,
    ]
    outcome = Outcome(errand=ERRAND, intended_s=0.0, visit_id=VISIT)
    (script,) = make_scripts([outcome], log)
    lines = script.text().splitlines()[2:]
    assert lines == [
        "BEGIN;",
        f"INSERT INTO visit VALUES (('{VISIT[:-9]}' || :n || ''), E'it''s 12\\07230', NULL);",
        "INSERT INTO pgqueuer VALUES ('x');",
        "COMMIT;",
        "UPDATE pgqueuer SET taken = '1' WHERE id IN (SELECT id FOR UPDATE SKIP LOCKED) RETURNING id \\aset job_",
        "DELETE FROM pgqueuer WHERE id = ANY(ARRAY[:job_id]::bigint[]::bigint[]);",
        "SELECT ('stp_' || :n || '');",
    ]
    assert script.transactions == 4


def test_a_log_without_jobs_gives_no_limit() -> None:
    (script,) = make_scripts(
        [Outcome(errand=ERRAND, intended_s=0.0, visit_id=VISIT)], [said("a", "SELECT 1")]
    )
    with pytest.raises(NoLimit):
        script.text()


def test_interleaved_sessions_are_told_apart() -> None:
    log = [
        said("a", "BEGIN"),
        said("b", "BEGIN"),
        said("a", "SELECT 1"),
        said("b", "COMMIT"),
        said("a", "COMMIT"),
    ]
    assert [[one.sql for one in several] for several in split_transactions(log)] == [
        ["BEGIN", "COMMIT"],
        ["BEGIN", "SELECT 1", "COMMIT"],
    ]


@pytest.mark.parametrize("text", ["", "it's", "12:30:59", "\\x00ff", "a\\b:c'd"])
def test_a_quoted_value_is_read_back_as_it_was_and_holds_no_colon(text: str, database_url: str) -> None:
    quoted = quote(text)
    assert ":" not in quoted
    with psycopg.connect(database_url) as connection:
        row = connection.execute(f"SELECT {quoted}".encode()).fetchone()
    assert row == (text,)


def test_the_page_and_the_table_tell_the_figures() -> None:
    quantile = {"p50": 0.1, "p90": 0.2, "p99": 0.3, "max": 0.4}
    step = {
        "offered_per_s": 10.0,
        "offered": 10,
        "delivered": 10,
        "visits_per_s": 9.5,
        "scan_to_command_s": quantile,
        "visit_s": quantile,
        "losses": {},
        "load_average": 1.0,
    }
    database = dict.fromkeys(
        (
            "transactions",
            "statements",
            "wal_bytes",
            "journal_entries",
            "journal_bytes",
            "journal_private_bytes",
        ),
        1.0,
    )
    spent = {"database": database, "processor_s": {"server": 0.01, "worker": 0.02}}
    about = {
        "date": "2026-11-22",
        "cores": 2,
        "processor": "a processor",
        "system": "Linux 6",
        "versions": {"Python": "3.11"},
        "is_quick": True,
        "workers": 1,
        "factor": 30.0,
        "latency_s": 1.0,
    }
    result = {
        "about": about,
        "steps": [step],
        "measured": {"is_good": True, "step": step, "per_visit": spent, "top_statements": []},
        "limit": {"visits_per_s": 50.0, "statements_per_visit": 90.0},
        "visits_per_s": 9.5,
        "ratio": 0.19,
        "idle_per_s": spent,
        "load_average_before": 1.0,
        "load_average_after": 2.0,
        "profile": {"server": {"missing": "py-spy is not installed"}},
    }
    assert "0.19 (aim 0.3)" in make_table(result)
    assert "nothing lost" in make_table(result)
    page = make_page(result)
    assert "2 cores" in page
    assert "ratio" in page
    assert "py-spy is not installed" in page
