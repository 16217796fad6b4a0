"""Couriers, residents, and the operator who is called: what people do at a car, well or badly."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from unlatch.domain.freeze import Scope
from unlatch.domain.incident import Incident, NextStep, next_step_of
from unlatch.domain.label import Symbol
from unlatch.domain.visit import BEFORE_GATE, LIVE, WANT_LOCK, Fact, State
from unlatch.errors import UnlatchError
from unlatch.flow import consent, freezing, ruling
from unlatch.flow.platform import Platform
from unlatch.flow.scan import ScanRequest, ScanResult, request_visit
from unlatch.flow.words import Word, record_word
from unlatch.simulation.homes import camera_at
from unlatch.simulation.store import Row
from unlatch.simulation.world import HERE, SimulatedCar, World
from unlatch.store.visits import visit_row

GIVES_UP_AFTER_S = 3600.0
LOCKS = WANT_LOCK | {State.ACCOUNTING, State.REVIEW}
MANNERS = (
    ("well", 60), ("silent while open", 6), ("walks off, lid down", 4), ("is slow", 6), ("lies: closed", 4),
    ("gives up", 5), ("scans with two phones", 5), ("dead spot", 6), ("opens again while locking", 4),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Errand:
    """One courier's stop."""

    stop_id: str
    courier_id: str
    device_id: str
    place_id: str
    label: str
    vin: str


def when_lost(state: State) -> str:
    """At which step of a home's visit its camera was lost, as its hard case is named."""
    if state is State.GRANTED:
        return "between proof and gate"
    if state in BEFORE_GATE:
        return "before its proof"
    return "while it is locked" if state in LOCKS else "while the door may be open"


class People:
    """Everyone of one world. `ask`: have a server do something; None where it is gone, or the database is.

    `hear`: until something is committed to these tables, or the time has come. `ring`: something has changed there.
    """

    def __init__(
        self,
        world: World,
        ask: Callable[[Callable[[Platform], Awaitable[Any]]], Awaitable[Any]],
        hear: Callable[[tuple[str, ...], float], Awaitable[None]],
        ring: Callable[[str], None],
    ) -> None:
        self.world, self._ask, self._hear, self.ring = world, ask, hear, ring
        self.inside: set[str] = set()  # labels of parcels that truly lie in a car
        self.lied: set[str] = set()  # labels of which a courier said what is not so

    async def ask(self, what: Callable[[Platform], Awaitable[Any]], tries: int = 6) -> Any:
        """The same until it is answered, as a phone does. Errors of ours that say why not are an answer."""
        for _ in range(tries):
            answer = await self._ask(what)
            if answer is not None:
                return answer
            await asyncio.sleep(self.world.lot.uniform(0.5, 4))
        return None

    def visit(self, visit_id: str) -> Row | None:
        return self.world.store.table("visit").get(visit_id)

    # ---- couriers ------------------------------------------------------------------------------------------

    async def deliver(self, errand: Errand) -> None:
        """Come, scan, and do what the phone says, after one's own manner."""
        world, lot = self.world, self.world.lot
        await asyncio.sleep(lot.uniform(0, 600))
        manner = lot.choices([name for name, _ in MANNERS], [weight for _, weight in MANNERS])[0]
        for _ in range(4):
            result = await self.scan(errand)
            if manner == "scans with two phones":
                world.count("one courier, two phones")
                results = await asyncio.gather(self.scan(errand), self.scan(errand))
                result = results[0] or results[1] or result
            if result is None or result.row is None:
                await asyncio.sleep(lot.uniform(5, 60))
                continue
            visit_id = result.row.id
            await self.walk(errand, visit_id, manner)
            row = self.visit(visit_id)
            incident = Incident(row["incident"]) if row is not None and row["incident"] else None
            is_refused = row is not None and row["state"] == State.REFUSED
            if is_refused and incident is Incident.PLATFORM_PLACE_BUSY:
                world.count("two couriers, one access point")
            if not is_refused or next_step_of(State.REFUSED, incident) is not NextStep.TRY_AGAIN_SOON:
                return
            await asyncio.sleep(lot.uniform(20, 300))

    async def scan(self, errand: Errand) -> ScanResult | None:
        request = ScanRequest(
            stop_id=errand.stop_id,
            courier_id=errand.courier_id,
            device_id=errand.device_id,
            symbols=[Symbol(data=f"00{errand.label}", symbology_identifier="]C1")],
            position=HERE,
        )
        answer: ScanResult | None = await self.ask(lambda platform: request_visit(platform, request))
        return answer if isinstance(answer, ScanResult) else None

    async def say(self, errand: Errand, visit_id: str, fact: Fact, manner: str = "well") -> None:
        word = Word(
            fact=fact, visit_id=visit_id, courier_id=errand.courier_id,
            reason="does_not_fit" if fact is Fact.COURIER_GAVE_UP else None,
        )  # fmt: skip
        if manner == "dead spot":
            self.world.count("words from a dead spot")
            await asyncio.sleep(self.world.lot.uniform(20, 240))
        await self.ask(lambda platform: record_word(platform, word))

    async def walk(self, errand: Errand, visit_id: str, manner: str) -> None:
        """At the car, until the visit is over or the courier has gone."""
        world, lot, car = self.world, self.world.lot, self.world.cars[errand.vin]
        begun_s = world.now_s
        while world.now_s - begun_s < GIVES_UP_AFTER_S:
            await asyncio.sleep(lot.uniform(2, 8))
            row = self.visit(visit_id)
            if row is None or State(row["state"]) not in LIVE:
                return
            step = next_step_of(State(row["state"]), None)
            if manner == "gives up" and lot.random() < 0.2:
                await self.say(errand, visit_id, Fact.COURIER_GAVE_UP)
                manner = "well"
            elif step is NextStep.TRY_HANDLE and not car.is_locked and not car.is_away:
                if not await self._put_in(errand, visit_id, car, manner):
                    return
            elif step in (NextStep.PUT_PARCEL_IN, NextStep.CLOSE_LID, NextStep.CLOSE_FIRMLY_AND_PULL):
                if car.is_open or errand.label not in self.inside:
                    if not await self._put_in(errand, visit_id, car, manner):
                        return
                else:
                    await self.say(errand, visit_id, Fact.COURIER_CLOSED)
            elif step is NextStep.RING_AND_WAIT:
                someone_comes = lot.random() < 0.1
                await self.say(
                    errand, visit_id, Fact.COURIER_MET_SOMEONE if someone_comes else Fact.COURIER_RANG
                )
            elif step is NextStep.HAND_OVER:
                world.count("someone came to the door")
                await self.say(errand, visit_id, Fact.COURIER_HANDED_OVER)
            elif step is NextStep.PULL_HANDLE:
                await self._pull(errand, visit_id, car)
            elif step is NextStep.SAY_WHERE_PARCEL_IS:
                is_in = errand.label in self.inside
                await self.say(errand, visit_id, Fact.COURIER_DEPOSITED if is_in else Fact.COURIER_GAVE_UP)
            elif (
                manner == "opens again while locking" and row["state"] == State.LOCKING and not car.is_locked
            ):
                world.count("opened again while locking")
                world.move(car, opened=True)
                await asyncio.sleep(lot.uniform(5, 40))
                world.move(car, opened=False)
                manner = "well"

    async def _put_in(self, errand: Errand, visit_id: str, car: SimulatedCar, manner: str) -> bool:
        """Open, put the parcel in, close, and say so; False: the courier has gone."""
        world, lot = self.world, self.world.lot
        if not car.is_open:
            if car.is_locked:
                return True
            world.move(car, opened=True)
            if lot.random() < 0.85:
                await self.say(errand, visit_id, Fact.COURIER_OPENED, manner)
        if manner == "silent while open":
            world.count("courier silent after opening")
            return False
        await asyncio.sleep(lot.uniform(3, 40) if manner != "is slow" else lot.uniform(150, 500))
        if car.is_open:
            self.inside.add(errand.label)
            await self.say(errand, visit_id, Fact.COURIER_DEPOSITED, manner)
        if manner == "lies: closed":
            await self.say(errand, visit_id, Fact.COURIER_CLOSED)
            await asyncio.sleep(lot.uniform(10, 200))
        await asyncio.sleep(lot.uniform(1, 15))
        world.move(car, opened=False)
        if manner == "walks off, lid down":
            return False
        await self.say(errand, visit_id, Fact.COURIER_CLOSED, manner)
        return True

    async def _pull(self, errand: Errand, visit_id: str, car: SimulatedCar) -> None:
        if car.is_locked:
            await self.say(errand, visit_id, Fact.COURIER_PULLED_HANDLE)
            return
        self.world.move(car, opened=True)
        await self.say(errand, visit_id, Fact.COURIER_OPENED)
        self.world.move(car, opened=False)
        await self.say(errand, visit_id, Fact.COURIER_CLOSED)

    # ---- the household -------------------------------------------------------------------------------------

    async def block(self, errand: Errand) -> None:
        """Block at some moment of the visit, sometimes in the very moment of the gate."""
        world, lot = self.world, self.world.lot
        wanted = lot.choice(
            (State.REQUESTED, State.GRANTED, State.UNLOCKING, State.READY, State.OPEN, State.LOCKING, None)
        )
        await self._wait_for(errand.place_id, wanted)
        await asyncio.sleep(lot.choice((0.0, 0.001, 0.01, 0.1, 2.0)))
        live = self._live_at(errand.place_id)
        world.count(
            f"block {'before the gate' if live is None or State(live['state']) in BEFORE_GATE else 'after the gate'}"
        )

        async def do(platform: Platform) -> bool:
            async with platform.database.transaction() as connection:
                await consent.block(
                    connection, errand.place_id, consignee_id="con_1", now=platform.clock.now()
                )
            return True

        await self.ask(do)

    async def freeze(self, errand: Errand) -> None:
        """An operator freezes the place, the courier, the cloud or all of it."""
        world, lot = self.world, self.world.lot
        await self._wait_for(errand.place_id, lot.choice((State.GRANTED, State.UNLOCKING, State.OPEN, None)))
        await asyncio.sleep(lot.choice((0.0, 0.003, 0.05, 1.0)))
        scope = lot.choice((None, Scope.COURIER, Scope.CLOUD, Scope.EVERYTHING))
        world.count(f"freeze of {scope or 'the place'}")
        subject = {Scope.COURIER: errand.courier_id, Scope.CLOUD: "simulated"}.get(scope or Scope.AREA, "")

        async def do(platform: Platform) -> str:
            async with platform.database.transaction() as connection:
                now = platform.clock.now()
                if scope is None:
                    await consent.freeze(connection, errand.place_id, operator_id="ope_1", now=now)
                    return "place"
                row = await freezing.freeze(
                    platform, connection, scope=scope, subject=subject, circle=None, why="simulated",
                    operator_id="ope_1", now=now,
                )  # fmt: skip
                return row.id

        frozen = await self.ask(do)
        await asyncio.sleep(lot.uniform(60, 600))

        async def end(platform: Platform) -> bool:
            async with platform.database.transaction() as connection:
                now = platform.clock.now()
                if scope is None:
                    await consent.thaw(connection, errand.place_id, operator_id="ope_1", now=now)
                else:
                    await freezing.thaw(connection, frozen, operator_id="ope_1", now=now)
            return True

        if isinstance(frozen, str):
            await self.ask(end)

    async def drive_off(self, errand: Errand) -> None:
        """The car leaves: between the decision and the unlock, or while it is open; it comes back locked as it was."""
        world, lot, car = self.world, self.world.lot, self.world.cars[errand.vin]
        wanted = lot.choice((State.GRANTED, State.UNLOCKING, State.READY, State.OPEN))
        if not await self._wait_for(errand.place_id, wanted):
            return
        world.count("car drives off while open" if car.is_open else "car drives off before it is open")
        car.is_away = True
        await asyncio.sleep(lot.uniform(60, 400))
        car.is_away = False
        world.move(car, opened=False)

    async def use_own_car(self, errand: Errand) -> None:
        """The resident opens their own car during the visit, and locks it again with the key."""
        world, lot, car = self.world, self.world.lot, self.world.cars[errand.vin]
        if not await self._wait_for(
            errand.place_id, lot.choice((State.GRANTED, State.READY, State.LOCKING, None))
        ):
            return
        world.count("the resident opens their own car during the visit")
        world.move(car, locked=False, opened=lot.random() < 0.5)
        await asyncio.sleep(lot.uniform(5, 90))
        world.move(car, opened=False)
        world.move(car, locked=True)

    async def jam(self, errand: Errand) -> None:
        """It will not lock, until someone has seen to it."""
        car = self.world.cars[errand.vin]
        car.is_jammed = True
        await asyncio.sleep(self.world.lot.uniform(300, 2400))
        car.is_jammed = False

    async def lose_camera(self, errand: Errand) -> None:
        """The camera of a home loses its power, shows a picture that stands still, or its recorder dies."""
        world, lot, camera = self.world, self.world.lot, camera_at(self.world, errand.place_id)
        assert camera is not None
        wanted = lot.choice(
            (
                State.REQUESTED,
                State.PROVING,
                State.GRANTED,
                State.UNLOCKING,
                State.READY,
                State.OPEN,
                State.LOCKING,
            )
        )
        if not await self._wait_for(errand.place_id, wanted):
            return
        await asyncio.sleep(lot.choice((0.0, 0.003, 0.05, 1.0)))
        live = self._live_at(errand.place_id)
        if live is None or camera.lost_since_s is not None:
            return
        world.count(f"camera lost {when_lost(State(live['state']))}")
        world.faults["camera lost"] += 1
        camera.lose(lot.choice(("off", "false", "recorder")), world.now_s)
        self.ring("camera")
        await asyncio.sleep(lot.choice((1.0, 5.0, 20.0, 300.0)))
        camera.come_back(world.now_s)
        self.ring("camera")
        after = self._live_at(errand.place_id)
        if after is not None and after["id"] == live["id"]:
            world.count("camera back within the visit")

    def _live_at(self, place_id: str) -> Row | None:
        for row in self.world.store.table("visit").values():
            if row["access_point_id"] == place_id and row["ended_at"] is None:
                return row
        return None

    async def _wait_for(self, place_id: str, state: State | None) -> bool:
        """Until a visit there stands so; False: it never did."""
        lot = self.world.lot
        if state is None:
            await asyncio.sleep(lot.uniform(0, 1200))
            return True
        until_s = self.world.now_s + 1500
        while self.world.now_s < until_s:
            row = self._live_at(place_id)
            if row is not None and row["state"] == state:
                return True
            await self._hear(("visit",), until_s)
        return False

    # ---- the operator --------------------------------------------------------------------------------------

    async def answer_calls(self) -> None:
        """Someone goes to the car, shuts and locks it, and rules or closes the call."""
        world, lot = self.world, self.world.lot
        while True:
            await asyncio.sleep(lot.uniform(20, 60))
            for call in list(world.store.table("call").values()):
                if call["closed_at"] is not None or call["kind"] != "operator" or lot.random() < 0.4:
                    continue
                row = self.visit(call["visit_id"])
                if row is not None:
                    await self._look_after(call, row)

    async def _look_after(self, call: Row, row: Row) -> None:
        world, lot = self.world, self.world.lot
        vin = world.store.table("vehicle")[row["access_point_id"]]["sealed"].decode()
        car = world.cars[vin]
        if lot.random() < 0.8 and not car.is_away:
            car.is_jammed = False
            world.move(car, opened=False)
            world.move(car, locked=True)
        if not car.is_locked:
            return  # nobody rules on what they have not seen to
        scanned = [
            one["parcel_id"]
            for one in world.store.table("visit_parcel").values()
            if one["visit_id"] == row["id"]
        ]
        parcel = world.store.table("parcel").get(scanned[0]) if scanned else None
        is_in = parcel is not None and parcel["label_key"].removeprefix("sscc:") in self.inside
        fact = Fact.RULED_DELIVERED if is_in else Fact.RULED_UNDELIVERED

        async def do(platform: Platform) -> bool:
            async with platform.database.transaction() as connection:
                now = platform.clock.now()
                fresh = self.visit(row["id"]) or row
                if visit_row(fresh).visit.waits_for_person:
                    if world.now_s - world.seconds(call["opened_at"]) > lot.uniform(100, 1500):
                        await ruling.rule(
                            connection, row["id"], fact=fact, operator_id="ope_1", why="seen", now=now
                        )
                else:
                    await ruling.close_call(connection, call["id"], operator_id="ope_1", now=now)
            return True

        await self.ask(do, tries=2)


async def quietly(work: Awaitable[Any]) -> Any:
    """What our own errors say is an answer, and no fault of the world."""
    try:
        return await work
    except UnlatchError as error:
        return error
