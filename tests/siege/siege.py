"""Real processes under siege: couriers deliver while all they lean on is killed, cut, stalled, skewed and filled up.

Everything is real: PostgreSQL, server, two workers and the makers' clouds, each a process of its own. Between them
stand lines (`proxy.py`) that can be cut. PostgreSQL keeps its files on a small disk of its own where this user may
mount one. In the end three ledgers are laid beside each other (`ledgers.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from tests.journeys.front import find_postmaster
from tests.siege.couriers import Crew
from tests.siege.proxy import Lines, Told, use_lines

from unlatch.clock import monotonic_s
from unlatch.domain.access import Position
from unlatch.domain.visit import State
from unlatch.errors import DatabaseDown, UnlatchError
from unlatch.flow.failpoint import Point
from unlatch.settings import read_settings
from unlatch.store.database import Database, use_server
from unlatch.store.vault import Vault
from unlatch.town.api import Caller
from unlatch.town.bench_rows import COURIERS, LATITUDE, LONGITUDE, Registry, consignee_key
from unlatch.town.car import Maker
from unlatch.town.desk import Consignee, OperatorDesk
from unlatch.town.faults import FaultKind, Verb
from unlatch.town.installation import TAKE_OVER_S, Installation, Member
from unlatch.town.ledger import LedgerRow
from unlatch.town.load import Errand
from unlatch.town.phone import CourierPhone

WORKERS = 2
DISK_BYTES = 700 * 1024 * 1024
FILLED_FOR_S = 4.0
SETTLED_WITHIN_S = 240.0
PERSON_WITHIN_S = 400.0  # of the town
WITH_PERSON = frozenset({State.UNSECURED, State.ACCOUNTING, State.REVIEW})
PATIENCE_S = 180.0
Person = TypeVar("Person", bound=Caller)
POINTS = (Point.BEFORE_GATE, Point.AFTER_GATE, Point.AFTER_LAST_BYTE, Point.AFTER_ANSWER, Point.AFTER_RECORD)
SKEWS_S = (-3.0, -1.0, 1.0, 3.0)  # town seconds
# Of each maker's cloud, of each hundred requests that it fits: 3 in all befall a command.
CLOUDS_FAULTS: tuple[tuple[FaultKind, Mapping[str, object]], ...] = (
    (FaultKind.SILENT, {"chance": 0.003, "acts": True, "verb": Verb.UNLOCK}),
    (FaultKind.SILENT, {"chance": 0.003, "verb": Verb.LOCK}),
    (FaultKind.SAYS_DONE_BUT_NOTHING_MOVED, {"chance": 0.004}),
    (FaultKind.SAYS_FAILED_BUT_IT_MOVED, {"chance": 0.004}),
    (FaultKind.LATE_UNLOCK, {"chance": 0.003, "after_s": 60.0}),
    (FaultKind.SLOW, {"chance": 0.004, "after_s": 40.0}),
    (FaultKind.CONNECTION_CUT, {"chance": 0.005}),
    (FaultKind.CONNECTION_CUT, {"chance": 0.003, "acts": True, "verb": Verb.UNLOCK}),
    (FaultKind.OUTAGE, {"chance": 0.005, "status": 503}),
    (FaultKind.RATE_LIMIT, {"chance": 0.002, "after_s": 5.0}),
    (FaultKind.DUPLICATE_ANSWERS, {"chance": 0.02}),
)


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """How much of what."""

    visits: int = 6000
    visits_restored: int = 120
    per_s: float = 6.0
    factor: float = 10.0  # a grant lives for six real seconds, a tail watch for thirty
    seed: int = 0
    blows: Mapping[str, int] = field(
        default_factory=lambda: {
            "server killed": 60,
            "worker killed": 45,
            "worker killed at a point": 45,
            "database killed": 20,
            "line cut": 100,
            "line stalled": 30,
            "clock skewed": 20,
            "disk full": 3,
        }
    )


@dataclass(kw_only=True)
class Siege:
    """One siege of one installation."""

    wishes: Wishes
    installation: Installation
    crew: Crew
    registry: Registry
    database: Database
    lines: Lines
    folder: Path  # of PostgreSQL
    dsn: str  # the straight way to it
    is_own_disk: bool
    tell: Callable[[str], None]
    lot: random.Random
    blows: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    struck: list[tuple[datetime, datetime]] = field(default_factory=list)  # what carries locks; town time
    rows: list[LedgerRow] = field(default_factory=list)  # of the town's ledger
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    # ---- the whole ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Besiege it, until the last visit and the last watch are over."""
        errands = await self.registry.add(self.wishes.visits)
        for maker in Maker:
            for kind, how in CLOUDS_FAULTS:
                await self.installation.town.set_cloud_fault(maker, kind, **how)
        self.tell(f"{len(errands)} errands, at {self.wishes.per_s} a second")
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read_ledger())
            striking = group.create_task(self._strike(len(errands) / self.wishes.per_s))
            await self.deliver(errands, self.wishes.per_s)
            await striking
            self.tell(f"all couriers are home: {self.count_ends()}")
            for maker in Maker:
                await self.installation.town.clear_cloud_faults(maker)
            await self.settle()
            self._over.set()

    async def deliver(self, errands: list[Errand], per_s: float) -> None:
        """Each at its own moment, whatever the platform does."""
        began_s, at_s, tasks = monotonic_s(), 0.0, []
        for number, errand in enumerate(errands):
            at_s += self.lot.expovariate(per_s)
            await asyncio.sleep(max(0.0, began_s + at_s - monotonic_s()))
            tasks.append(asyncio.create_task(self.crew.deliver(errand)))
            if number % 200 == 199:
                self.tell(
                    f"{number + 1} errands begun after {monotonic_s() - began_s:.0f} s; {dict(self.blows)}"
                )
        await asyncio.gather(*tasks)

    def count_ends(self) -> dict[str, int]:
        """How errands ended, for people who watch."""
        return dict(Counter(account.why[:60] or account.place for account in self.crew.accounts))

    async def settle(self) -> None:
        """Until nothing moves any more; what waits for a person is given a while to be seen locked by itself."""
        query = """
            SELECT count(*) FILTER (WHERE NOT is_with_person OR is_sent), count(*) FILTER (WHERE is_with_person)
            FROM visit, LATERAL (
                SELECT state = ANY(%s) OR tail IN ('alarm', 'blind') AS is_with_person, EXISTS (
                    SELECT 1 FROM command
                    WHERE visit_id = visit.id AND verb = 'unlock' AND command.ended_at IS NULL
                ) AS is_sent
            ) AS told
            WHERE visit.ended_at IS NULL OR tail IN ('watching', 'alarm', 'blind') OR is_sent
        """
        began_s, moving, with_person = monotonic_s(), -1, 0
        person_within_s = self.installation.clock.real_s(PERSON_WITHIN_S)
        while moving or (with_person and monotonic_s() < began_s + person_within_s):
            if monotonic_s() > began_s + SETTLED_WITHIN_S:
                break
            await asyncio.sleep(0.5)
            with contextlib.suppress(DatabaseDown):
                async with self.database.connection() as connection:
                    row = await (await connection.execute(query, (sorted(WITH_PERSON),))).fetchone()
                    moving, with_person = row or (-1, 0)
        self.tell(f"{moving} visits have not come to rest, {with_person} are with a person")

    async def _read_ledger(self) -> None:
        """The town keeps a bounded number of rows: they are fetched as they come."""
        while True:
            is_last = self._over.is_set()
            with contextlib.suppress(UnlatchError):
                self.rows += await self.installation.town.whole_ledger(
                    self.rows[-1].number if self.rows else 0
                )
            if is_last:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), 3.0)

    def left_at(self, told: Told) -> dict[str, datetime]:
        """When each command left, at the latest; town time."""
        clock = self.installation.clock
        return {
            command_id: clock.of_real(datetime.fromtimestamp(at_s, UTC))
            for command_id, at_s in told.left_at().items()
        }

    # ---- blows -------------------------------------------------------------------------------------------

    async def _strike(self, span_s: float) -> None:
        """All blows, in an order and at moments drawn by lot, one after the other."""
        kinds = [kind for kind, count in self.wishes.blows.items() for _ in range(count)]
        self.lot.shuffle(kinds)
        began_s = monotonic_s()
        for at_s, kind in zip(sorted(self.lot.uniform(2.0, span_s) for _ in kinds), kinds, strict=True):
            await asyncio.sleep(max(0.0, began_s + at_s - monotonic_s()))
            if kind == "disk full" and not self.is_own_disk:
                continue
            clock = self.installation.clock
            began_at = clock.now()
            await BLOWS[kind](self)
            self.blows[kind] += 1
            if kind != "server killed":
                self.struck.append((began_at, clock.now() + timedelta(seconds=TAKE_OVER_S * clock.factor)))

    async def kill_server(self) -> None:
        """kill -9, and started again at its address."""
        await self.installation.restart_server()

    async def kill_worker(self) -> None:
        """kill -9 at any moment; another takes over."""
        await self._replace(None)

    async def kill_worker_at_point(self) -> None:
        """One that kills itself at a labelled point, as soon as it comes there."""
        point = self.lot.choice(POINTS)
        self.points[point.value] += 1
        await self._replace(point)

    async def skew_worker(self) -> None:
        """One whose clock is wrong by some seconds."""
        await self._replace(None, self.lot.choice(SKEWS_S))

    async def _replace(self, point: Point | None, skew_s: float = 0.0) -> None:
        running = self.installation.running_workers()
        if running:
            await self.installation.kill_worker(self.lot.choice(running))
        if not point:
            await self._start_worker(skew_s=skew_s)
            return
        doomed = await self._start_worker(fail_at=point.value)
        with contextlib.suppress(TimeoutError):
            await doomed.wait_for_end(6.0)
        if doomed.is_running:  # its turn never came
            await self.installation.kill_worker(doomed)
        await self._start_worker()

    async def _start_worker(self, *, fail_at: str | None = None, skew_s: float = 0.0) -> Member:
        """Started at a moment when the database may be down: tried again, as whoever supervises it does."""
        while True:
            try:
                return await self.installation.start_worker(fail_at=fail_at, skew_s=skew_s)
            except UnlatchError:
                self.blows["(a worker had to be started twice)"] += 1

    async def kill_database(self) -> None:
        """kill -9 of PostgreSQL's postmaster: its keeper starts it again, and it recovers."""
        killed = find_postmaster(self.folder)
        if killed is None:
            return
        os.kill(killed, signal.SIGKILL)
        await self._wait_for_database(killed)

    async def _wait_for_database(self, former: int | None) -> None:
        async with asyncio.timeout(90):
            while find_postmaster(self.folder) in (former, None):
                await asyncio.sleep(0.05)
            while True:
                with contextlib.suppress(DatabaseDown):
                    async with self.database.connection() as connection:
                        await connection.execute("SELECT 1")
                        return
                await asyncio.sleep(0.1)

    async def cut_line(self) -> None:
        """Half of what passes through one of the lines is cut."""
        await self.lines.cut(self.lot.choice(self.lines.names), 0.5, self.lot.getrandbits(32))

    async def stall_line(self) -> None:
        """Nothing passes for a while; nothing is closed."""
        await self.lines.stall(self.lot.choice(self.lines.names), self.lot.uniform(0.5, 3.0))

    async def fill_disk(self) -> None:
        """Nothing more can be written where PostgreSQL keeps its files, for some seconds."""
        ballast = self.folder / "ballast"
        await asyncio.to_thread(_fill, ballast)
        await asyncio.sleep(FILLED_FOR_S)
        ballast.unlink()
        await self._wait_for_database(None)


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 20))


BLOWS: Mapping[str, Callable[[Siege], Awaitable[None]]] = {
    "server killed": Siege.kill_server,
    "worker killed": Siege.kill_worker,
    "worker killed at a point": Siege.kill_worker_at_point,
    "database killed": Siege.kill_database,
    "line cut": Siege.cut_line,
    "line stalled": Siege.stall_line,
    "clock skewed": Siege.skew_worker,
    "disk full": Siege.fill_disk,
}


# ---- what is besieged ---------------------------------------------------------------------------------------


@contextmanager
def use_disk(disk_bytes: int = DISK_BYTES) -> Iterator[tuple[Path, bool]]:
    """A folder for PostgreSQL, and whether it is a small disk of its own (root alone may mount one)."""
    with use_plain_folder() as folder:
        image, disk = folder / "disk.img", folder / "disk"
        disk.mkdir(mode=0o711)
        with image.open("wb") as file:
            file.truncate(disk_bytes)
        make = ["mkfs.ext4", "-q", "-F", str(image)]
        mount = ["mount", "-o", "loop", str(image), str(disk)]
        is_mounted = os.geteuid() == 0 and _did(make) and _did(mount)
        try:
            disk.chmod(0o711)
            yield disk, is_mounted
        finally:
            if is_mounted:
                _did(["umount", "-l", str(disk)])


@contextmanager
def use_plain_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own user may pass through, removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="unlatch-siege-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _did(words: list[str]) -> bool:
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@asynccontextmanager
async def besiege(wishes: Wishes, tell: Callable[[str], None]) -> AsyncIterator[Siege]:
    """An installation whose every line can be cut, and people who are out."""
    lot = random.Random(wishes.seed)
    async with AsyncExitStack() as stack:
        if wishes.blows.get("disk full"):
            folder, is_own_disk = stack.enter_context(use_disk())
        else:
            folder, is_own_disk = stack.enter_context(use_plain_folder()), False
        data_dir = stack.enter_context(use_plain_folder())
        dsn = await stack.enter_async_context(use_server(read_settings({"UNLATCH_DATA_DIR": str(folder)})))
        at = conninfo_to_dict(dsn)
        port = at.get("port", 5432)

        lines = await stack.enter_async_context(use_lines())
        await lines.open("database", f"{at['host']}/.s.PGSQL.{port}", path=str(data_dir / f".s.PGSQL.{port}"))
        clouds_url = await lines.open("clouds")
        phones_url = await lines.open("phones")
        installation = Installation(
            data_dir=data_dir,
            factor=wishes.factor,
            workers_at_start=WORKERS,
            seed=wishes.seed,
            database_url=make_conninfo(dsn, host=str(data_dir), port=port),
            more={
                "UNLATCH_CLOUD_ONSTAR": clouds_url,
                "UNLATCH_CLOUD_VOLVO": clouds_url,
                "UNLATCH_PUBLIC_URL": phones_url,
            },
            tell=tell,
        )
        await stack.enter_async_context(installation)
        await lines.aim("clouds", _where(installation.town_url))
        await lines.aim("phones", ("127.0.0.1", installation.port))
        operator_key = await installation.admit_operator("Olga")
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=15.0, trust_env=False, verify=False))
        connection = await stack.enter_async_context(await AsyncConnection.connect(dsn, autocommit=True))
        settings = read_settings({"UNLATCH_DATA_DIR": str(data_dir)})
        registry = Registry(
            connection=connection,
            town=installation.town,
            seal=Vault(settings.read_secret_key()).seal,
            now=installation.clock.now,
        )
        await registry.open()
        # A client each, as in truth: one pool for hundreds of them takes a core for its bookkeeping.
        phones_of = [
            await stack.enter_async_context(
                patient(CourierPhone(phones_url, private_key=one.private_key, token=one.token))
            )
            for one in registry.phones
        ]
        crew = Crew(
            town=installation.town,
            clock=installation.clock,
            operator=patient(OperatorDesk(phones_url, operator_key, http=http)),
            here=Position(latitude=LATITUDE, longitude=LONGITUDE, accuracy_m=5.0),
            lot=random.Random(wishes.seed + 1),
            phone_of=lambda errand: phones_of[errand.number % COURIERS],
            consignee_of=lambda errand: patient(
                Consignee(phones_url, consignee_key(errand.stop_id.partition("_")[2]), http=http)
            ),
        )
        database = Database(dsn, name="siege")
        await database.open()
        stack.push_async_callback(database.close)
        yield Siege(
            wishes=wishes,
            installation=installation,
            crew=crew,
            registry=registry,
            database=database,
            lines=lines,
            folder=folder,
            dsn=dsn,
            is_own_disk=is_own_disk,
            tell=tell,
            lot=lot,
        )


def patient(caller: Person) -> Person:
    """Someone who goes on asking while everything falls down and is built up again."""
    caller.keep_trying_s = PATIENCE_S
    return caller


def _where(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80
