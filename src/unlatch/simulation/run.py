"""Run worlds: one seed after the other, until so many visits have been made; what was met, and what did not hold."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psycopg

from unlatch.domain.visit import FINAL
from unlatch.errors import DatabaseDown, UnlatchError
from unlatch.flow import carry_out, consent, deadlines, filming, freezing, gate, record, ringing, scan, watch
from unlatch.flow import platform as platform_room
from unlatch.flow.failpoint import Point
from unlatch.flow.fence import raise_fence
from unlatch.flow.platform import Platform
from unlatch.simulation import camera_queries
from unlatch.simulation.checks import Watchman
from unlatch.simulation.homes import (
    HOME_CLOSURES,
    SimulatedRecorderClient,
    add_home,
    camera_at,
    make_datetime,
)
from unlatch.simulation.loop import VirtualLoop
from unlatch.simulation.people import Errand, People, quietly
from unlatch.simulation.store import SimulatedDatabase
from unlatch.simulation.world import (
    BEGIN,
    CLOSURES,
    HERE,
    LATE_EFFECT_S,
    PROCESS,
    SETTINGS,
    OpenVault,
    Process,
    SimulatedCar,
    SimulatedCatalogue,
    World,
)
from unlatch.store import consignees, freezes, jobs
from unlatch.store.cameras import LOST_AFTER

LASTS_AT_MOST_S = 6 * 3600.0
TAKE_OVER_S = 8.0  # a dead worker's jobs go to another
PLACES, WORKERS = 6, 2
HOMES = 0.25  # of the places
TAIL_OVER = frozenset({"none", "over"})
OUR_ERRORS = (UnlatchError, psycopg.Error)

DOES: Mapping[str, Callable[[Platform, str], Awaitable[None]]] = {
    "decide": scan.decide_after_look,
    "ring": ringing.ring,
    "prove": filming.prove_recording,
    "unlock": carry_out.carry_out_command,
    "lock": carry_out.carry_out_command,
}

# The hard cases of the protocol that a world may hold; the full run must meet each at least a hundred times.
HARD_CASES = (
    "crash before_gate", "crash after_gate", "crash after_last_byte", "crash after_answer", "crash after_record",
    "pause before_gate", "pause after_gate", "pause after_last_byte", "pause after_answer", "pause after_record",
    "between gate and first byte: too late, given up", "commit unknown, and done", "commit unknown, and not done",
    "a worker paused past its lease", "an abandoned command is called unknown", "a job handed out twice",
    "readings late and out of order", "cloud says done and nothing moved", "says failed and it moved",
    "unlock takes effect after the visit ended", "block before the gate", "block after the gate",
    "freeze of the place", "freeze of courier", "freeze of cloud", "freeze of everything",
    "jammed: it will not lock", "opened again while locking", "car drives off before it is open",
    "car drives off while open", "courier silent after opening", "two couriers, one access point",
    "camera lost before its proof", "camera lost between proof and gate", "camera lost while the door may be open",
    "camera lost while it is locked", "camera back within the visit", "someone came to the door",
    "one courier, two phones", "clock jumps forth", "clock jumps back", "a failover that lost commits",
    "the resident opens their own car during the visit", "quota used up", "words from a dead spot",
)  # fmt: skip


@dataclass(kw_only=True)
class Outcome:
    """What one world, or many together, gave."""

    worlds: int = 0
    visits: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    unlocks: int = 0
    locks: int = 0
    broken: list[tuple[int, str]] = field(default_factory=list)  # seed, what
    seconds: float = 0.0

    def add(self, other: Outcome) -> None:
        """Take in another's."""
        self.worlds += other.worlds
        self.visits += other.visits
        self.unlocks += other.unlocks
        self.locks += other.locks
        self.ends += other.ends
        self.hits += other.hits
        self.faults += other.faults
        self.broken += other.broken


class Stage:
    """One world with its processes and people."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.watchman = Watchman(world)
        self.people = People(world, self.ask, self.hear, self.ring)
        self.servers: list[Process] = []
        self.workers: list[Process] = []
        self.errands: list[Errand] = []
        # By table: who waits for a commit to it, in the order in which they came. A set has no order that a seed gives.
        self.waiting: dict[str, dict[asyncio.Future[None], None]] = {}
        self.numbers = 0
        self.is_down = False  # the whole installation, while a replica takes over
        world.store.on_commit.append(self._see_commit)

    def _see_commit(self) -> None:
        store = self.world.store
        for table, key in store.commits[-1]:
            if table == "recording" and store.table(table)[key]["state"] == "ending":
                store.cameras[key[1]].is_recording = False
        self.ring(*dict.fromkeys(table for table, _ in store.commits[-1]))

    def ring(self, *tables: str) -> None:
        """Something has changed there."""
        for table in tables:
            for one in self.waiting.pop(table, ()):
                if not one.done():
                    one.set_result(None)

    async def hear(self, tables: Sequence[str], until_s: float | None = None) -> None:
        """Until something is committed to one of these tables, or the time has come."""
        loop = asyncio.get_running_loop()
        heard: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not heard.done():
                heard.set_result(None)

        for table in tables:
            self.waiting.setdefault(table, {})[heard] = None
        alarm = None if until_s is None else loop.call_at(until_s, wake)
        try:
            await heard
        finally:
            if alarm is not None:
                alarm.cancel()
            for table in tables:
                self.waiting.get(table, {}).pop(heard, None)

    # ---- rows ----------------------------------------------------------------------------------------------

    def fill(self) -> None:
        """Places with a car each, couriers with a stop each; sometimes two at one place."""
        store, lot = self.world.store, self.world.lot
        store.table("fence")[1] = {"epoch": 1}
        number = 0
        for place in range(PLACES):
            vin, place_id = f"VIN{place}", f"acc_{place}"
            self.world.cars[vin] = SimulatedCar(vin=vin, closure=lot.choice(CLOSURES))
            store.table("access_point")[place_id] = {
                "id": place_id, "carrier_id": "car_1", "consignee_id": "con_1", "kind": "car",
                "latitude": HERE.latitude, "longitude": HERE.longitude, "range_m": 200.0, "time_zone": "UTC",
                "allows_unseen_lock": True,
                "is_consent_given": True, "blocked_at": None, "consent_ends_at": None, "from_local": None,
                "until_local": None, "is_frozen": False, "created_at": BEGIN, "country": "US", "name": "",
            }  # fmt: skip
            store.table("vehicle")[place_id] = {
                "maker": "simulated",
                "sealed": vin.encode(),
                "closure_key": vin.encode(),
            }
            if lot.random() < HOMES:
                self.world.cars[vin].closure = lot.choice(HOME_CLOSURES)
                add_home(self.world, place_id)
            for _ in range(2 if lot.random() < 0.3 else 1):
                number += 1
                self._add_errand(number, place_id, vin)

    def _add_errand(self, number: int, place_id: str, vin: str) -> None:
        store = self.world.store
        label = _sscc(number)
        errand = Errand(
            stop_id=f"stp_{number}", courier_id=f"cou_{number}", device_id=f"dev_{number}", place_id=place_id,
            label=label, vin=vin,
        )  # fmt: skip
        store.table("courier")[errand.courier_id] = {
            "id": errand.courier_id,
            "carrier_id": "car_1",
            "is_active": True,
        }
        store.table("device")[errand.device_id] = {
            "id": errand.device_id, "courier_id": errand.courier_id, "revoked_at": None
        }  # fmt: skip
        store.table("stop")[errand.stop_id] = {
            "id": errand.stop_id, "carrier_id": "car_1", "courier_id": errand.courier_id, "access_point_id": place_id,
            "state": "open", "ruled_out": None, "window_from": BEGIN - timedelta(hours=1),
            "window_until": BEGIN + timedelta(hours=9),
        }  # fmt: skip
        store.table("parcel")[f"par_{number}"] = {
            "id": f"par_{number}", "stop_id": errand.stop_id, "label_key": f"sscc:{label}", "place": "with_courier",
            "held_by": errand.courier_id,
        }  # fmt: skip
        self.errands.append(errand)

    # ---- processes -----------------------------------------------------------------------------------------

    def start(self, kind: str) -> Process:
        """One more server or worker, which begins anew a while after it has crashed."""
        self.numbers += 1
        process = Process(self.world, f"{kind}-{self.numbers}")
        platform = Platform(
            settings=SETTINGS,
            clock=process.clock,
            database=cast("Any", SimulatedDatabase(process, camera_queries.find)),
            vault=cast("Any", OpenVault()),
            makers=cast("Any", SimulatedCatalogue(process)),
            name=process.name,
            rules=cast("Any", _Rules()),
            dispatcher=cast("Any", None),
            clips=cast("Any", None),
        )
        process.platform = platform  # type: ignore[attr-defined]
        group = self.servers if kind == "server" else self.workers
        group.append(process)
        process.on_crash.append(lambda: self._lost(process, kind))
        if kind == "worker":
            for part in (self._take_jobs, self._watch, self._deadlines, self._recordings):
                process.run(part(process, platform))
        return process

    def _lost(self, process: Process, kind: str) -> None:
        group = self.servers if kind == "server" else self.workers
        group.remove(process)
        self.world.processes.remove(process)
        self.ring("job")
        if not self.is_down:
            self.world.spawn(self._begin_anew(kind))

    async def _begin_anew(self, kind: str) -> None:
        await asyncio.sleep(self.world.lot.uniform(0.5, 20))
        group = self.servers if kind == "server" else self.workers
        if not self.is_down and len(group) < (1 if kind == "server" else WORKERS):
            self.start(kind)

    async def ask(self, what: Callable[[Platform], Awaitable[Any]]) -> Any:
        """Have a server do it; None where it is gone, or its database is."""
        if not self.servers:
            return None
        process = self.servers[0]
        task = process.run(quietly(what(process.platform)))  # type: ignore[attr-defined]
        try:
            answer = await asyncio.shield(task)
        except asyncio.CancelledError:
            if not process.is_alive:
                return None
            raise
        except psycopg.Error:
            return None
        return None if isinstance(answer, DatabaseDown) else answer

    # ---- what a worker does --------------------------------------------------------------------------------

    async def _until(self, process: Process, tables: Sequence[str], due: Callable[[], float | None]) -> None:
        """Until something is due, which a commit to these tables may change; a poll's delay later."""
        while (due_s := due()) is None or due_s > self.world.now_s:
            await self.hear(tables, due_s)
            process.check()
        await asyncio.sleep(self.world.lot.uniform(0.01, 0.12))
        await process.stand()

    async def _keep_on(self, process: Process, do: Callable[[], Awaitable[Any]]) -> None:
        try:
            await do()
        except OUR_ERRORS:
            await asyncio.sleep(0.5)

    async def _take_jobs(self, process: Process, platform: Platform) -> None:
        jobs = self.world.store.table("job")
        while process.is_alive:
            await self._until(process, ("job",), self._due_job_s)
            for number, job in sorted(jobs.items(), key=lambda item: -item[1]["priority"]):
                if (due_s := self._due_of_job_s(job)) is None or due_s > self.world.now_s:
                    continue
                if job["taken_by"] is None:
                    self._take_job(process, platform, number, job)
                else:  # its holder has died: it goes to another
                    jobs[number] = {**job, "taken_by": None, "tries": job["tries"] + 1}
                    del jobs[number]["lost_s"]
                    self.ring("job")

    def _due_of_job_s(self, job: dict[str, Any]) -> float | None:
        holder = job["taken_by"]
        if holder is None:
            return float(job.get("not_before_s", 0.0))
        if holder.is_alive:
            return None
        return float(job.setdefault("lost_s", self.world.now_s) + TAKE_OVER_S)

    def _due_job_s(self) -> float | None:
        dues = (self._due_of_job_s(job) for job in self.world.store.table("job").values())
        return min((one for one in dues if one is not None), default=None)

    def _take_job(self, process: Process, platform: Platform, number: int, job: dict[str, Any]) -> None:
        self.world.store.table("job")[number] = {**job, "taken_by": process}
        if self.world.strikes("job twice"):
            self.world.count("a job handed out twice")
            process.run(self._do_job(process, platform, dict(job), None))
        process.run(self._do_job(process, platform, job, number))

    async def _do_job(
        self, process: Process, platform: Platform, job: dict[str, Any], number: int | None
    ) -> None:
        jobs = self.world.store.table("job")
        try:
            await DOES[job["name"]](platform, job["payload"])
        except OUR_ERRORS:
            if number is not None and number in jobs:
                again_s = self.world.now_s + min(10.0, 0.2 * 2 ** job["tries"])
                jobs[number] = {**job, "taken_by": None, "tries": job["tries"] + 1, "not_before_s": again_s}
                self.ring("job")
            return
        if number is not None:
            jobs.pop(number, None)

    def _due_s(self, process: Process, name: str) -> float | None:
        """When the first is due by this process's own clock, in the world's seconds."""
        moments = [row[name] for row in self.world.store.table("visit").values() if row[name] is not None]
        return None if not moments else self.world.seconds(min(moments)) - process.clock_off_s

    async def _watch(self, process: Process, platform: Platform) -> None:
        while process.is_alive:
            await self._until(process, ("visit",), lambda: self._due_s(process, "next_read_at"))
            await self._keep_on(process, lambda: self._read_due(process, platform))

    async def _read_due(self, process: Process, platform: Platform) -> None:
        for row, place in await watch.claim_due(platform, 64):
            process.run(self._keep_on(process, partial(watch.watch_once, platform, row, place)))

    async def _deadlines(self, process: Process, platform: Platform) -> None:
        """The clock's facts, commands of lost workers, and freezes."""

        def due_s() -> float | None:
            if any(row["swept_at"] is None for row in self.world.store.table("freeze_").values()):
                return 0.0
            dues = (self._due_s(process, "deadline_at"), self._due_lease_s(process))
            return min((one for one in dues if one is not None), default=None)

        while process.is_alive:
            await self._until(process, ("visit", "command", "freeze_"), due_s)
            await self._keep_on(process, lambda: deadlines.record_due(platform, 20))
            lease_s = self._due_lease_s(process)
            if lease_s is not None and lease_s <= self.world.now_s:
                self.world.count("an abandoned command is called unknown")
                await self._keep_on(process, lambda: deadlines.record_abandoned(platform, 20))
            await self._keep_on(process, lambda: freezing.sweep(platform))

    def _due_lease_s(self, process: Process) -> float | None:
        leases = [
            row["lease_until"] for row in self.world.store.table("command").values() if row["state"] == "sent"
        ]
        return None if not leases else self.world.seconds(min(leases)) - process.clock_off_s

    def _due_turn_s(self) -> float | None:
        """When a visit is next to be told that its recording was lost, or is back."""
        world, dues = self.world, []
        for row in world.store.table("recording").values():
            if row["state"] != "recording" or not row["is_witness"]:
                continue
            lost_s = (
                world.store.cameras[row["camera_id"]].lease_until_s(world.now_s) + LOST_AFTER.total_seconds()
            )
            is_lost = lost_s < world.now_s
            if is_lost != row["is_told_lost"]:
                dues.append(world.now_s)
            elif not is_lost and world.store.cameras[row["camera_id"]].lost_since_s is not None:
                dues.append(lost_s + 0.001)
        return min(dues, default=None)

    async def _recordings(self, process: Process, platform: Platform) -> None:
        while process.is_alive:
            await self._until(process, ("recording", "camera"), self._due_turn_s)
            await self._keep_on(process, lambda: filming.tell_turned(platform))

    # ---- great misfortunes ---------------------------------------------------------------------------------

    async def set_clocks(self) -> None:
        """Clocks jump, forth and back."""
        lot = self.world.lot
        while True:
            await asyncio.sleep(lot.uniform(200, 900))
            if self.world.processes and lot.random() < 0.4 * self.world.badness:
                process = lot.choice(self.world.processes)
                before, process.clock_off_s = process.clock_off_s, lot.uniform(-5, 5)
                self.world.count("clock jumps forth" if process.clock_off_s > before else "clock jumps back")
                self.world.faults["clock jump"] += 1
                self.ring("visit", "command")

    async def count_nobody(self) -> None:
        """How long no worker has worked."""
        while True:
            await asyncio.sleep(5.0)
            if not any(one.paused_until_s <= self.world.now_s for one in self.workers):
                self.world.nobody_works_s += 5.0
                self.world.last_fault_s = self.world.now_s

    async def fail_over(self) -> None:
        """The primary dies, and the replica that takes its place lacks the last commits: the fence is raised (S10)."""
        world, lot = self.world, self.world.lot
        await asyncio.sleep(lot.uniform(60, 600))
        already = len(world.emissions)
        if lot.random() < 0.7:  # in the worst moment: an unlock has just left
            for _ in range(3000):
                if any(one.verb == "unlock" for one in world.emissions[already:]):
                    break
                await asyncio.sleep(0.2)
        self.is_down = True
        world.last_fault_s = world.now_s
        for process in [*self.servers, *self.workers]:
            with contextlib.suppress(BaseException):
                process.crash()
        for transaction in list(world.store.open):
            transaction.end()
        lost = world.store.lose(lot.randint(0, 5))
        world.count("a failover that lost commits" if lost else "a failover that lost nothing")
        world.faults["failover"] += 1
        self.watchman.is_lossy = self.watchman.is_lossy or bool(lost)
        await asyncio.sleep(lot.uniform(1, 20))
        server = self.start("server")
        self.is_down = False
        for _ in range(50):
            task = server.run(quietly(raise_fence(server.platform)))  # type: ignore[attr-defined]
            raised = await asyncio.gather(task, return_exceptions=True)
            if not isinstance(raised[0], BaseException) and raised[0] is not None:
                break
            if not server.is_alive:
                server = self.servers[0] if self.servers else self.start("server")
        for _ in range(WORKERS):
            self.start("worker")
        world.last_fault_s = world.now_s
        world.nobody_works_s += 40

    # ---- all of it -----------------------------------------------------------------------------------------

    async def play(self) -> None:
        """From the first courier's coming until every visit and its watch are over."""
        world, lot = self.world, self.world.lot
        self.fill()
        self.start("server")
        for _ in range(WORKERS):
            self.start("worker")
        for work in (self.set_clocks(), self.count_nobody(), self.people.answer_calls()):
            world.spawn(work)
        couriers = [asyncio.ensure_future(self.people.deliver(errand)) for errand in self.errands]
        for errand in self.errands:
            for chance, do in (
                (0.10, self.people.block), (0.06, self.people.freeze), (0.04, self.people.drive_off),
                (0.04, self.people.use_own_car), (0.04, self.people.jam), (0.3, self.people.lose_camera),
            ):  # fmt: skip
                is_home = camera_at(world, errand.place_id) is not None
                if do in (self.people.drive_off, self.people.lose_camera) and is_home is (
                    do == self.people.drive_off
                ):
                    continue
                if lot.random() < chance * world.badness:
                    world.spawn(do(errand))
        if lot.random() < 0.03 * world.badness:
            world.spawn(self.fail_over())
        over_s: float | None = (
            None  # since when all is over: whatever a cloud has still to do comes within LATE_EFFECT_S
        )
        while world.now_s < LASTS_AT_MOST_S and not world.broken:
            await asyncio.sleep(5.0)
            self.watchman.see_emissions()
            if not (all(one.done() for one in couriers) and not self.is_down and self._is_over()):
                over_s = None  # a failover may have taken the end of a watch back
            elif over_s is None:
                over_s = world.now_s
            elif world.now_s - over_s > LATE_EFFECT_S:
                break
        await self._end(couriers)

    async def _end(self, couriers: Sequence[asyncio.Future[None]]) -> None:
        """Nothing more happens; what has come of it?"""
        world = self.world
        for one in couriers:
            one.cancel()
        for failed in await asyncio.gather(*couriers, return_exceptions=True):
            if isinstance(failed, Exception):
                world.broken.append(f"the simulation itself failed: {failed!r}")
        if not world.broken:
            self.watchman.see_the_end(self.people.inside, self.people.lied)
        for task in list(world.tasks):
            task.cancel()
        for process in list(world.processes):
            for task in list(process.tasks):
                task.cancel()
        await asyncio.sleep(0)

    def _is_over(self) -> bool:
        store = self.world.store
        return all(
            row["state"] in FINAL and row["tail"] in TAIL_OVER for row in store.table("visit").values()
        ) and not any(row["state"] in ("intent", "sent") for row in store.table("command").values())

    def story(self) -> str:
        """All that was written down, and all that truly happened, in the order of time."""
        world = self.world
        lines = [
            (
                world.seconds(row["at"]),
                f"{visit_id} {number:>3} {row['name']:<22} {row['who']:<24} {row['body']}",
            )
            for (visit_id, number), row in world.store.table("journal").items()
        ]
        lines += [
            (one.at_s, f"  EMITTED {one.verb} {one.command_id} to {one.vin} by {one.process}")
            for one in world.emissions
        ]
        lines += [
            (
                at_s,
                f"  TRUTH {car.vin} {'locked' if is_locked else 'unlocked'} {'open' if is_open else 'shut'}",
            )
            for car in world.cars.values()
            for at_s, is_locked, is_open in car.history
        ]
        lines += [
            (
                world.seconds(row["opened_at"]),
                f"  CALL {row['kind']} for {row['visit_id']}: {row['incident']}",
            )
            for row in world.store.table("call").values()
        ]
        return "\n".join(f"{at_s:>10.3f}  {text}" for at_s, text in sorted(lines))


class _Rules:
    """No programme wants a photo."""

    def __init__(self) -> None:
        self._rules = SimpleNamespace(programmes={})

    async def get(self) -> Any:
        return self._rules


def _sscc(number: int) -> str:
    digits = f"0034012345{number:07d}"
    total = sum(int(digit) * (3 if at % 2 == 0 else 1) for at, digit in enumerate(reversed(digits)))
    return digits + str(-total % 10)


@contextlib.contextmanager
def _in(stage: Stage) -> Iterator[None]:
    """The flow, with this world's lots, its points of failure and nobody to be told."""
    world, lot = stage.world, stage.world.lot
    ids = iter(range(1, 10_000_000))

    def make_id(kind: str) -> str:
        return f"{kind}_{next(ids)}"

    async def nothing(*_: Any, **__: Any) -> None:
        return None

    async def require(connection: Any, access_point_id: str, *_: Any, **__: Any) -> Any:
        point = await consignees.find_access_point(connection, access_point_id, is_locked=True)
        return SimpleNamespace(point=point)

    def reach(_: Any, point: Point) -> None:
        """A labelled point: a process may die there, or be held."""
        process = PROCESS.get()
        if process is None:
            return
        if world.strikes("crash at a point"):
            world.count(f"crash {point.value}")
            process.crash()
        if world.strikes("pause at a point"):
            process.paused_until_s = world.now_s + lot.choice((0.5, 1.5, 5.0, 140.0))
            world.count(f"pause {point.value}")
            if process.paused_until_s - world.now_s > 130:
                world.count("a worker paused past its lease")

    def ignore(*_: Any, **__: Any) -> None:
        pass

    def complain(what: str, **more: Any) -> None:
        world.broken.append(f"the flow itself failed: {what} {more}")

    patches: list[tuple[Any, str, Any]] = [
        (watch, "log", SimpleNamespace(info=ignore)),
        (carry_out, "log", SimpleNamespace(exception=complain)),
        (carry_out, "reach", reach),
        (gate, "monotonic_s", lambda: world.now_s),
        (platform_room, "monotonic_s", lambda: world.now_s),
        (filming, "monotonic_s", lambda: world.now_s),
        (filming, "RecorderClient", partial(SimulatedRecorderClient, world)),
        (filming, "folder_of", lambda _, recording_id: Path(recording_id)),
        (filming, "make_id", make_id),
        (filming, "log", SimpleNamespace(warning=ignore)),
        (ringing, "log", SimpleNamespace(info=ignore)),
        *((module, "datetime", make_datetime(world)) for module in (filming, record, scan)),
        (record, "make_id", make_id),
        (record, "tell_of_visit", nothing),
        (record, "secrets", SimpleNamespace(token_bytes=lot.randbytes)),
        (scan, "make_id", make_id),
        (freezes, "make_id", make_id),
        (jobs, "AsyncRawCursor", lambda connection: connection.cursor()),
        (consent, "_leave", nothing),
        (consent, "_tell", nothing),
        (consent, "require", require),
        (consent, "ask_for_rechecks", nothing),
        (consent, "household", SimpleNamespace(add_blocker=nothing)),
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in patches]
    try:
        for module, name, value in patches:
            setattr(module, name, value)
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


def run_world(seed: int, *, badness: float = 1.0, tells_story: bool = False) -> tuple[Outcome, str]:
    """One world; what it gave, and its story where something did not hold or it was asked for."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    world = World(seed, badness=badness)
    loop.set_exception_handler(
        lambda _, context: world.broken.append(f"the loop: {context.get('exception')!r}")
    )
    stage: Stage | None = None

    try:
        with contextlib.ExitStack() as stack:

            async def prepared() -> None:
                nonlocal stage
                stage = Stage(world)
                stack.enter_context(_in(stage))
                await stage.play()

            loop.run_until_complete(prepared())
    finally:
        loop.close()
        asyncio.set_event_loop(None)
    assert stage is not None
    store = world.store
    outcome = Outcome(
        worlds=1,
        visits=len(store.table("visit")),
        ends=Counter(str(row["state"]) for row in store.table("visit").values()),
        hits=world.hits,
        faults=world.faults,
        unlocks=sum(one.verb == "unlock" for one in world.emissions),
        locks=sum(one.verb == "lock" for one in world.emissions),
        broken=[(seed, what) for what in world.broken],
    )
    return outcome, stage.story() if world.broken or tells_story else ""


def run(
    seed: int, visits: int, *, badness: float = 1.0, tell: Callable[[Outcome], None] = lambda _: None
) -> tuple[Outcome, str]:
    """Worlds from this seed on, until so many visits were made or one broke: what all gave, the broken one's story."""
    total, begun_s = Outcome(), time.monotonic()
    while total.visits < visits:
        outcome, story = run_world(seed + total.worlds, badness=badness)
        total.add(outcome)
        total.seconds = time.monotonic() - begun_s
        tell(total)
        if outcome.broken:
            return total, story
    return total, ""
