"""The world: cars as they truly are, clouds that lose, delay and lie, processes that pause, crash and begin anew."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from unlatch.clock import Clock
from unlatch.devices.base import Answer, Car, Evidence, Sending
from unlatch.domain.access import Closure, Position
from unlatch.domain.reading import Reading
from unlatch.errors import (
    CommandNotSent,
    CommandRejected,
    CommandUnknown,
    DeviceAsleep,
    DeviceError,
    DeviceUnsupported,
)
from unlatch.settings import Settings
from unlatch.simulation.store import Store

BEGIN = datetime(2026, 3, 2, 9, tzinfo=UTC)
HERE = Position(latitude=33.749, longitude=-84.388, accuracy_m=5)
AWAY = Position(latitude=33.78, longitude=-84.388, accuracy_m=5)
LATE_EFFECT_S = 300.0
ANSWER_WITHIN_S = 100.0
CLOSURES = (
    Closure(reads_lock=True, reads_lid=True, late_effect_s=LATE_EFFECT_S, read_every_s=10.0),
    Closure(reads_lock=True, reads_lid=True, late_effect_s=LATE_EFFECT_S, read_every_s=20.0),
    Closure(reads_lock=True, reads_lid=False, late_effect_s=LATE_EFFECT_S, read_every_s=10.0),
    Closure(reads_lock=False, reads_lid=True, late_effect_s=LATE_EFFECT_S, read_every_s=10.0),
)

# How often each misfortune strikes where it may; a world multiplies all by one number.
CHANCES: dict[str, float] = {
    "connection lost": 0.0012,
    "commit unknown": 0.0012,
    "crash": 0.0002,
    "pause": 0.0002,
    "crash at a point": 0.02,
    "pause at a point": 0.02,
    "read fails": 0.04,
    "read is old": 0.05,
    "answer lost": 0.05,
    "says failed, moved": 0.02,
    "says done, did not move": 0.03,
    "takes effect late": 0.03,
    "rejected": 0.03,
    "not taken on": 0.03,
    "quota used up": 0.01,
    "job twice": 0.01,
}
OF_PROCESSES = frozenset(
    {"connection lost", "commit unknown", "crash", "pause", "crash at a point", "pause at a point", "quota used up",
     "not taken on"}
)  # fmt: skip


class Crashed(BaseException):
    """This process is no more. Nothing in the product catches it."""


@dataclass(eq=False)
class SimulatedCar:
    """What is physically so, and what was."""

    vin: str
    closure: Closure
    is_locked: bool = True
    is_open: bool = False
    is_away: bool = False
    is_jammed: bool = False  # it will not lock
    is_by_us: bool = False  # it stands unlocked because of an unlock of ours
    history: list[tuple[float, bool, bool]] = field(default_factory=list)  # since when, locked, open

    def note(self, at_s: float) -> None:
        self.history.append((at_s, self.is_locked, self.is_open))

    def at(self, at_s: float) -> tuple[bool, bool]:
        """Locked and open, at that moment."""
        found = (True, False)
        for since_s, is_locked, is_open in self.history:
            if since_s > at_s:
                break
            found = (is_locked, is_open)
        return found


@dataclass(frozen=True, kw_only=True)
class Emission:
    """Bytes of a command that were handed to a socket."""

    at_s: float
    command_id: str
    verb: str
    vin: str
    process: str


class World:
    """One seed's world."""

    def __init__(self, seed: int, *, badness: float = 1.0) -> None:
        self.seed = seed
        self.lot = random.Random(seed)
        self.badness = badness
        self.store = Store()
        self.cars: dict[str, SimulatedCar] = {}
        self.emissions: list[Emission] = []
        self.sent_at_s: dict[str, float] = {}  # the gate's commit, by command
        self.hits: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.processes: list[Process] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.blocked_at_s: list[tuple[float, str]] = []
        self.nobody_works_s = 0.0  # while no worker lives: nothing can be kept then
        self.broken: list[str] = []
        self.last_fault_s = -1e9  # of a process or its connections: then nothing can be expected on time

    # ---- time ----------------------------------------------------------------------------------------------

    @property
    def now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def moment(self, at_s: float) -> datetime:
        return BEGIN + timedelta(seconds=at_s)

    def seconds(self, at: datetime) -> float:
        return (at - BEGIN).total_seconds()

    # ---- bad luck ------------------------------------------------------------------------------------------

    def strikes(self, name: str) -> bool:
        """Whether this misfortune strikes now."""
        if self.lot.random() >= CHANCES[name] * self.badness:
            return False
        self.faults[name] += 1
        if name in OF_PROCESSES:
            self.last_fault_s = self.now_s
        return True

    def count(self, name: str) -> None:
        """A hard case was met."""
        self.hits[name] += 1

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Something of the world that no process's crash ends."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.broken.append(f"the simulation itself failed: {error!r}")

    # ---- cars ----------------------------------------------------------------------------------------------

    def move(self, car: SimulatedCar, *, locked: bool | None = None, opened: bool | None = None) -> None:
        """Change what is so. A lid that is open is not locked; a jammed one never is."""
        if opened is not None:
            car.is_open = opened
        if locked is not None:
            car.is_locked = locked
        if car.is_open:
            car.is_locked = False
        if car.is_locked:
            car.is_by_us = False
        car.note(self.now_s)


class SimulatedClock(Clock):
    """A process's own clock, which may be wrong and may be set."""

    process: Process

    def now(self) -> datetime:
        return self.process.world.moment(self.process.world.now_s + self.process.clock_off_s)

    async def sleep(self, town_s: float) -> None:
        await asyncio.sleep(max(0.0, town_s))


class Process:
    """A server or a worker: its tasks end with it, and its connections."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.is_alive = True
        self.paused_until_s = 0.0
        self.clock_off_s = 0.0
        self.tasks: dict[asyncio.Task[Any], None] = {}  # in the order in which they began
        self.on_crash: list[Callable[[], None]] = []
        clock = SimulatedClock()
        object.__setattr__(clock, "process", self)
        self.clock: Clock = clock
        world.processes.append(self)

    def check(self) -> None:
        if not self.is_alive:
            raise Crashed

    def has_luck_against(self, name: str) -> bool:
        """Whether that misfortune strikes this process now (the name says what it has luck, or none, against)."""
        return self.world.strikes(name)

    async def breathe(self) -> None:
        """A moment in which others go on, this process may crash, and a paused one stands still."""
        self.check()
        await asyncio.sleep(self.world.lot.uniform(0.0005, 0.006))
        await self.stand()
        if self.world.strikes("crash"):
            self.crash()
        if self.world.strikes("pause"):
            await self.pause(self.world.lot.choice((0.5, 3.0, 12.0, 140.0)))
        self.check()

    async def stand(self) -> None:
        while self.is_alive and self.paused_until_s > self.world.now_s:
            await asyncio.sleep(self.paused_until_s - self.world.now_s)
        self.check()

    async def pause(self, for_s: float) -> None:
        self.paused_until_s = max(self.paused_until_s, self.world.now_s + for_s)
        if for_s > COMMAND_LEASE_S:
            self.world.count("a worker paused past its lease")
        await self.stand()

    def crash(self) -> None:
        """Nothing of it goes on. Raises Crashed in the task that calls."""
        if not self.is_alive:
            raise Crashed
        self.is_alive = False
        current = asyncio.current_task()
        for task in list(self.tasks):
            if task is not current:
                task.cancel()
        for tell in self.on_crash:
            tell()
        raise Crashed

    def run(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task of this process."""
        task = asyncio.get_running_loop().create_task(self._guard(work))
        self.tasks[task] = None
        task.add_done_callback(lambda done: self.tasks.pop(done, None))
        return task

    async def _guard(self, work: Coroutine[Any, Any, Any]) -> Any:
        PROCESS.set(self)
        try:
            return await work
        except Crashed:
            return None


COMMAND_LEASE_S = 130.0
PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)  # whose task this is


class SimulatedMaker:
    """A cloud. What it was asked it does by itself, whatever becomes of the one who asked."""

    name = "simulated"
    label = "Simulated"
    authorization = None
    has_own_hub = False

    def __init__(self, process: Process) -> None:
        self.process, self.world = process, process.world

    def closure(self, car: Car) -> Closure:
        return self.world.cars[car.vin].closure

    def find_obstacle(self, car: Car) -> str | None:
        if self.world.strikes("quota used up"):
            self.world.count("quota used up")
            return "quota"
        return None

    async def probe(self, car: Car) -> None:
        """It tells nothing."""

    async def unlock(self, car: Car, sending: Sending) -> Answer:
        return await self._command("unlock", self.world.cars[car.vin], sending)

    async def lock(self, car: Car, sending: Sending) -> Answer:
        return await self._command("lock", self.world.cars[car.vin], sending)

    async def _command(self, verb: str, car: SimulatedCar, sending: Sending) -> Answer:
        world, lot = self.world, self.world.lot
        is_slow = lot.random() < 0.02 * min(1.0, world.badness)
        if is_slow:
            world.last_fault_s = world.now_s + 4
        await asyncio.sleep(lot.uniform(0.5, 4) if is_slow else lot.uniform(0.001, 0.2))
        await self.process.stand()
        if sending.first_byte_by_s is not None and world.now_s > sending.first_byte_by_s:
            world.count("between gate and first byte: too late, given up")
            raise CommandNotSent("too late", code="too_late")
        if world.strikes("not taken on"):
            raise CommandNotSent("rate limited", code="rate_limited")
        assert sending.trace_id is not None
        world.emissions.append(
            Emission(
                at_s=world.now_s,
                command_id=sending.trace_id,
                verb=verb,
                vin=car.vin,
                process=self.process.name,
            )
        )
        if sending.on_sent is not None:
            sending.on_sent()
        answered: asyncio.Future[DeviceError | None] = asyncio.get_running_loop().create_future()
        world.spawn(self._carry_out(verb, car, answered))
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                error = await asyncio.shield(answered)
        except TimeoutError:
            error = CommandUnknown("no answer", code="timeout")
        await self.process.stand()
        if error is not None:
            raise error
        return Answer(
            evidence=Evidence.CLOUD_SAYS,
            answered_at=self.process.clock.now(),
            reference=sending.trace_id[-8:],
        )

    async def _carry_out(
        self, verb: str, car: SimulatedCar, answered: asyncio.Future[DeviceError | None]
    ) -> None:
        """In the cloud and in the car."""
        world, lot = self.world, self.world.lot
        end: DeviceError | None = None
        effect_after_s, moves = lot.uniform(1, 15), True
        if world.strikes("rejected"):
            end, moves = CommandRejected("refused", code="car_error"), False
        elif world.strikes("says failed, moved"):
            end = CommandRejected("failed", code="car_error")
            world.count("says failed and it moved")
        elif world.strikes("says done, did not move"):
            moves = False
            world.count("cloud says done and nothing moved")
        elif world.strikes("takes effect late"):
            end = CommandUnknown("pending", code="pending")
            effect_after_s = lot.uniform(20, LATE_EFFECT_S - 10)
        elif world.strikes("answer lost"):
            end = CommandUnknown("cut", code="connection_cut")
            if lot.random() < 0.3:
                moves = False
        answer_after_s = lot.uniform(0.5, 14) if end is None else lot.uniform(0.5, 95)
        if end is None and verb == "lock" and car.is_open:
            end, moves = CommandRejected("the lid is open", code="door_open"), False
        if answer_after_s < effect_after_s:
            await asyncio.sleep(answer_after_s)
            self._answer(answered, end)
            await asyncio.sleep(effect_after_s - answer_after_s)
            self._take_effect(verb, car, moves=moves)
        else:
            await asyncio.sleep(effect_after_s)
            self._take_effect(verb, car, moves=moves)
            await asyncio.sleep(answer_after_s - effect_after_s)
            self._answer(answered, end)

    @staticmethod
    def _answer(answered: asyncio.Future[DeviceError | None], end: DeviceError | None) -> None:
        if not answered.done():
            answered.set_result(end)

    def _take_effect(self, verb: str, car: SimulatedCar, *, moves: bool) -> None:
        if not moves:
            return
        if verb == "unlock":
            vin = car.vin.encode()
            rows = self.world.store.tables
            if not any(
                rows["vehicle"][row["access_point_id"]]["sealed"] == vin and row["ended_at"] is None
                for row in rows.get("visit", {}).values()
            ):
                self.world.count("unlock takes effect after the visit ended")
            self.world.move(car, locked=False)
            car.is_by_us = True
        elif car.is_jammed:
            self.world.count("jammed: it will not lock")
        elif not car.is_open:
            self.world.move(car, locked=True)

    async def ring(self, car: Car) -> None:
        """Some homes have a bell, some have none."""
        await asyncio.sleep(self.world.lot.uniform(0.05, 0.5))
        await self.process.stand()
        if self.world.lot.random() < 0.5:
            raise DeviceUnsupported("there is no bell", code="not_supported")

    async def read(self, car: Car, *, wants_position: bool = False) -> Reading:
        world, lot = self.world, self.world.lot
        there = world.cars[car.vin]
        await asyncio.sleep(lot.uniform(0.2, 4))
        await self.process.stand()
        if world.strikes("read fails"):
            raise lot.choice((
                DeviceAsleep("asleep", code="asleep"), CommandNotSent("out", code="outage"),
                CommandUnknown("no answer", code="timeout"),
            ))  # fmt: skip
        seen_s = world.now_s - lot.uniform(0, 0.5)
        if world.strikes("read is old"):
            world.count("readings late and out of order")
            seen_s -= lot.uniform(1, 40)
        is_locked, is_open = there.at(seen_s)
        await asyncio.sleep(lot.uniform(0.1, 3))
        await self.process.stand()
        closure = there.closure
        return Reading(
            observed_at=world.moment(max(0.0, seen_s)),
            is_locked=is_locked and not is_open if closure.reads_lock else None,
            is_open=is_open if closure.reads_lid else None,
            is_moving=there.is_away,
            position=(AWAY if there.is_away else HERE) if wants_position else None,
        )


class SimulatedCatalogue:
    """What the flow takes for `devices.catalogue.Catalogue`: one maker."""

    def __init__(self, process: Process) -> None:
        self._maker = SimulatedMaker(process)
        self.makers = {"simulated": self._maker}
        self.desks: dict[str, Any] = {}

    def maker(self, _: str) -> SimulatedMaker:
        return self._maker

    def maker_of(self, _: Car) -> SimulatedMaker:
        return self._maker


class OpenVault:
    """What the flow takes for the vault: nothing is sealed here."""

    def open_mapping(self, sealed: bytes, _: str) -> dict[str, str]:
        return {"vin": sealed.decode(), "access_token": "t"}


SETTINGS = cast("Settings", None)  # nothing of the simulated flow asks for one
