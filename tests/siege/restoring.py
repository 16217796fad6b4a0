"""A backup taken while couriers are out is restored while they are out: as `docs/howto/restore-a-backup.md` says.

What was written after the backup is lost, and no equation brings it back. What must hold all the same: nothing from
before opens anything afterwards, whoever's unlock may have left is watched or called about, and couriers go on.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from tests.programs import run_program
from tests.siege.couriers import Account
from tests.siege.ledgers import UNLOCKS, Verdict, compare
from tests.siege.siege import WORKERS, Siege, Wishes, besiege

from unlatch.clock import monotonic_s

BEGUN_WITHIN_S = 16.0  # real: all of them
LOST_S = 3.0  # real: between the backup and the loss of the database


@dataclass(frozen=True, kw_only=True)
class Restored:
    """When, by the town's clock."""

    backed_up_at: datetime
    lost_at: datetime
    shut: tuple[str, ...]  # visits that the fence has shut


def sum_up(siege: Siege, verdict: Verdict) -> dict[str, Any]:
    """The figures of one siege."""
    counts = siege.crew.counts
    return {
        "seed": siege.wishes.seed,
        "errands": len(siege.crew.accounts),
        "blows": dict(sorted(siege.blows.items())),
        "points": dict(sorted(siege.points.items())),
        "met by couriers": dict(sorted(counts.items())),
        "ledgers": verdict.figures,
        "broken": verdict.broken,
    }


async def run(wishes: Wishes, tell: Callable[[str], None]) -> dict[str, Any]:
    """One siege and one restore, to their figures."""
    began_s = monotonic_s()
    async with besiege(wishes, tell) as siege:
        await siege.run()
        tell("comparing the ledgers")
        told = sum_up(siege, await compare(siege))
        tell("a backup is restored while couriers are out")
        restored = await restore_in_mid_visit(siege, wishes.visits_restored)
        return {
            **told,
            "restored": restored.figures,
            "broken": told["broken"] + restored.broken,
            "seconds": round(monotonic_s() - began_s),
        }


async def restore_in_mid_visit(siege: Siege, count: int) -> Verdict:
    """Deliver `count` errands; in the middle of it lose the database, and put an older one in its place."""
    before = len(siege.crew.accounts)
    async with await psycopg.AsyncConnection.connect(siege.dsn, autocommit=True) as connection:
        siege.registry.connection = connection  # that of before did not outlive the siege
        errands = await siege.registry.add(count)
    async with asyncio.TaskGroup() as group:
        out = group.create_task(siege.deliver(errands, count / BEGUN_WITHIN_S))
        await asyncio.sleep(BEGUN_WITHIN_S / 3)
        restored = await _restore(siege)
        await out
    await siege.settle()
    rows = await siege.installation.town.whole_ledger(siege.rows[-1].number if siege.rows else 0)
    siege.rows += rows
    return await _judge(siege, siege.crew.accounts[before:], restored)


async def _restore(siege: Siege) -> Restored:
    clock, installation = siege.installation.clock, siege.installation
    dump = installation.data_dir / "unlatch.dump"
    backed_up_at = clock.now()
    await run_program("pg_dump", "--format=custom", f"--file={dump}", siege.dsn)
    await asyncio.sleep(LOST_S)
    await installation.kill_all()
    await asyncio.to_thread(_make_empty, siege.dsn)
    await run_program("pg_restore", "--exit-on-error", "--no-owner", f"--dbname={siege.dsn}", str(dump))
    await installation.run("migrate")
    raised = await installation.run("fence", "raise")
    lost_at = clock.now()  # all are dead until now, and what they had on the wire has arrived
    await installation.restart_server()
    for _ in range(WORKERS):
        await installation.start_worker()
    shut = tuple(line.split()[1] for line in raised.splitlines() if line.startswith("shut"))
    siege.tell(f"restored: {raised.splitlines()[-1]}")
    return Restored(backed_up_at=backed_up_at, lost_at=lost_at, shut=shut)


def _make_empty(dsn: str) -> None:
    name = str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])
    with psycopg.connect(
        make_conninfo(dsn, dbname="postgres", user="postgres"), autocommit=True
    ) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(name)))


async def _judge(siege: Siege, accounts: list[Account], restored: Restored) -> Verdict:
    verdict = Verdict()
    places = [account.errand.stop_id.replace("stp_", "acc_") for account in accounts]
    vins = {account.errand.vin for account in accounts}
    async with siege.database.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:

        async def read(query: str) -> list[dict[str, Any]]:
            await cursor.execute(query.encode(), (places,))
            return await cursor.fetchall()

        of_places = "(SELECT id FROM visit WHERE access_point_id = ANY(%s))"
        visits = {one["id"]: one for one in await read("SELECT * FROM visit WHERE access_point_id = ANY(%s)")}
        commands = {
            one["id"]: one
            for one in await read(f"SELECT * FROM command WHERE verb = 'unlock' AND visit_id IN {of_places}")
        }
        gates = {
            one["visit_id"]: one["at"]
            for one in await read(
                f"SELECT * FROM journal WHERE name = 'gate_passed' AND visit_id IN {of_places}"
            )
        }
        calls = Counter(
            (one["visit_id"], one["kind"])
            for one in await read(
                f"SELECT * FROM call WHERE visit_id IN {of_places}"  # it may have come to be about something worse
            )
        )
        called = {
            one["access_point_id"]
            for one in await read(
                "SELECT access_point_id FROM call JOIN visit ON visit.id = visit_id "
                "WHERE call.kind = 'operator' AND access_point_id = ANY(%s)"
            )
        }
    gone = {one for account in accounts for one in account.visit_ids} - set(visits)
    asked = [row for row in siege.rows if row.kind == "request" and row.what in UNLOCKS and row.vin in vins]
    after = [row for row in asked if row.at > restored.lost_at]
    verdict.figures |= {
        "errands": len(accounts),
        "visits that were lost": len(gone),
        "visits that the fence has shut": len(restored.shut),
        "of them with an unlock that had left": len(
            {commands[row.trace]["visit_id"] for row in asked if row.trace in commands} & set(restored.shut)
        ),
        "unlocks at clouds before": len(asked) - len(after),
        "unlocks at clouds after": len(after),
        "delivered": sum(account.place == "in_place" for account in accounts),
    }
    verdict.need_none(
        "unlocks at a cloud twice",
        [one for one, count in Counter(row.trace for row in asked).items() if count > 1],
    )
    verdict.need_none(
        "unlocks that left afterwards without a gate of afterwards",
        [
            row.trace
            for row in after
            if row.trace not in commands
            or gates.get(commands[row.trace]["visit_id"], restored.lost_at) <= restored.lost_at
        ],
    )
    verdict.need_none(
        "shut by the fence, and nobody was called",
        [
            one
            for one in restored.shut
            if one in visits and not (calls[one, "operator"] and calls[one, "consignee"])
        ],
    )
    verdict.need_none(
        "errands without an end", [f"{one.errand.stop_id} {one.why}" for one in accounts if one.why]
    )
    open_cars = []
    for account in accounts:
        truth = await siege.installation.town.state(account.errand.vin)
        place = account.errand.stop_id.replace("stp_", "acc_")
        if not truth.is_secured and place not in called and not gone & set(account.visit_ids):
            open_cars.append(account.errand.vin)
    verdict.need_none("cars that are open, known, and nobody called", open_cars)
    return verdict
