"""A courier who does what the platform says, and the ways in which couriers, cars and residents depart from it.

`Door` is how a test reaches the platform: in process (tests/flow) or as a phone does, over HTTP (tests/journeys).
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from unlatch.clock import Clock
from unlatch.domain.incident import Incident, NextStep
from unlatch.domain.visit import FINAL, Fact, State, Tail
from unlatch.town.car import WENT_WELL
from unlatch.town.client import TownClient

LOOK_EVERY_S = 0.05  # real
TRY_AGAIN_S = 0.25  # real: between tries of a handle or a lid
OVER_WITHIN_S = 60.0  # real: a visit that has not ended by then never will


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A visit as its courier sees it. `state` None: there is no visit, only a refusal."""

    state: State
    next_step: NextStep
    incident: Incident | None
    tail: Tail
    at: datetime

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    @property
    def is_over(self) -> bool:
        """The visit and its tail."""
        return self.is_final and self.tail in (Tail.NONE, Tail.OVER)


class Door(ABC):
    """One stop at one car, as its courier and its consignee reach it."""

    vin: str
    place_id: str
    town: TownClient
    clock: Clock

    @abstractmethod
    async def scan(self) -> str:
        """Scan the label; the visit's id. Raises AssertionError where none came of it."""

    @abstractmethod
    async def say(self, fact: Fact) -> None:
        """The courier's word."""

    @abstractmethod
    async def look(self) -> Seen:
        """How the visit stands."""

    @abstractmethod
    async def block(self) -> None:
        """The consignee blocks."""

    @abstractmethod
    async def rule(self, fact: Fact) -> None:
        """An operator rules."""


Moment = Callable[["Play"], Awaitable[None]]


@dataclass(kw_only=True)
class Play:
    """One visit, played. `at` maps a state to what someone does when the visit is first seen in it."""

    door: Door
    at: dict[State, Moment] = field(default_factory=dict)
    pulls_handle: bool = True  # opens, when told that it may be open
    seen: list[Seen] = field(default_factory=list)  # each change of state, incident or next step
    is_inside: bool = False  # the parcel, in truth
    has_ruled: bool = False
    is_gone: bool = False  # the courier has stopped taking part

    @property
    def town(self) -> TownClient:
        return self.door.town

    @property
    def vin(self) -> str:
        return self.door.vin

    @property
    def last(self) -> Seen:
        return self.seen[-1]

    @property
    def incidents(self) -> list[Incident]:
        """Each that was named, in order."""
        return list(dict.fromkeys(one.incident for one in self.seen if one.incident is not None))

    @property
    def states(self) -> list[State]:
        return [one.state for one in self.seen]

    @property
    def next_steps(self) -> list[NextStep]:
        return list(dict.fromkeys(one.next_step for one in self.seen))

    async def look(self) -> Seen:
        seen = await self.door.look()
        key = (seen.state, seen.incident, seen.next_step, seen.tail)
        if not self.seen or key != (
            self.last.state,
            self.last.incident,
            self.last.next_step,
            self.last.tail,
        ):
            self.seen.append(seen)
        return seen

    async def until(self, is_so: Callable[[Seen], bool], real_s: float = OVER_WITHIN_S) -> Seen:
        """Wait for a condition; the courier does nothing meanwhile."""
        deadline_s = asyncio.get_running_loop().time() + real_s
        while not is_so(seen := await self.look()):
            if asyncio.get_running_loop().time() > deadline_s:
                raise AssertionError(
                    f"never came; {self.door.vin} was {[one.state.value for one in self.seen]}"
                )
            await asyncio.sleep(LOOK_EVERY_S)
        return seen

    async def until_state(self, *states: State) -> Seen:
        return await self.until(lambda seen: seen.state in states)

    async def run(self, real_s: float = OVER_WITHIN_S) -> Seen:
        """Scan, and do what the platform says until the visit has ended; then wait for the end of its tail."""
        await self.door.scan()
        await self.go_on(real_s)
        return await self.until(lambda seen: seen.is_over, real_s)

    async def go_on(self, real_s: float = OVER_WITHIN_S) -> Seen:
        """Do what the platform says until the visit has ended."""
        deadline_s = asyncio.get_running_loop().time() + real_s
        while not (seen := await self.step()).is_final:
            if asyncio.get_running_loop().time() > deadline_s:
                raise AssertionError(f"never ended; {self.vin} was {[one.state.value for one in self.seen]}")
        return seen

    async def step(self) -> Seen:
        """Look, and do what is to be done now, unless it has ended; what was seen."""
        seen = await self.look()
        if seen.is_final:
            return seen
        moment = self.at.pop(seen.state, None)
        if moment is not None:
            await moment(self)
        elif not await self._do(seen):
            await asyncio.sleep(LOOK_EVERY_S)
        return seen

    async def _do(self, seen: Seen) -> bool:
        """The next step; False where there was nothing to do but wait."""
        if seen.state is State.REVIEW and not self.has_ruled:
            self.has_ruled = True
            await self.door.rule(Fact.RULED_DELIVERED if self.is_inside else Fact.RULED_UNDELIVERED)
            return True
        if self.is_gone:
            return False
        match seen.next_step:
            case NextStep.TRY_HANDLE:
                return await self._try_handle()
            case NextStep.PUT_PARCEL_IN:
                return await self.put_in_and_close()
            case NextStep.CLOSE_LID | NextStep.CLOSE_FIRMLY_AND_PULL | NextStep.STEP_OUT_AND_CLOSE:
                return await self._close()
            case NextStep.PULL_HANDLE:
                return await self._pull()
            case NextStep.SAY_WHERE_PARCEL_IS:
                await self.door.say(Fact.COURIER_DEPOSITED if self.is_inside else Fact.COURIER_GAVE_UP)
                return True
        return False

    async def pull(self) -> bool:
        """Try the handle; whether it is open now."""
        return await self.town.can_open_trunk(self.vin)

    async def shut(self) -> bool:
        """Close it; whether it stays so."""
        return await self.town.close_trunk(self.vin) in WENT_WELL

    async def _try_handle(self) -> bool:
        if not self.pulls_handle:
            return False
        if not await self.pull():
            await asyncio.sleep(TRY_AGAIN_S)
            return False
        await self.door.say(Fact.COURIER_OPENED)
        return True

    async def put_in_and_close(self) -> bool:
        """Parcel in, lid down, and say so."""
        if self.is_inside:
            return await self._close()
        self.is_inside = True
        await self.door.say(Fact.COURIER_DEPOSITED)
        return await self._close()

    async def _close(self) -> bool:
        if not await self.shut():
            await asyncio.sleep(TRY_AGAIN_S)
            return False
        await self.door.say(Fact.COURIER_CLOSED)
        return True

    async def _pull(self) -> bool:
        if await self.pull():
            await self.shut()
            await self.door.say(Fact.COURIER_OPENED)
            await self.door.say(Fact.COURIER_CLOSED)
        else:
            await self.door.say(Fact.COURIER_PULLED_HANDLE)
        return True
