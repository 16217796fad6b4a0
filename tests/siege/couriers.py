"""Couriers under siege: each does what the phone says and asks again until there is an answer, and keeps an account.

The account is the first of the three ledgers: which scans were taken on, and which words the platform said it has.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.journeys.front import seen_of, words_of
from tests.journeys.playing import Door, Play, Seen

from unlatch.clock import Clock, monotonic_s
from unlatch.domain.access import Position
from unlatch.domain.incident import NextStep
from unlatch.domain.visit import Fact, State
from unlatch.errors import UnlatchError
from unlatch.town.api import Problem, Visit
from unlatch.town.car import WENT_WELL
from unlatch.town.client import TownClient
from unlatch.town.desk import Consignee, OperatorDesk
from unlatch.town.faults import FaultKind
from unlatch.town.load import Errand
from unlatch.town.phone import CourierPhone

LOOK_EVERY_S = 10.0  # of the town
SCANS_MOST = 5  # at one stop
PAUSE_S = 1.0  # real, before scanning again
VISIT_WITHIN_S = 150.0  # real: longer than any deadline of a visit, and than what is killed meanwhile
DELIVERED = frozenset({State.DELIVERED, State.DELIVERED_LOCK_NOT_SEEN, State.RULED_DELIVERED})
SCANS_AGAIN = frozenset({NextStep.TRY_AGAIN_SOON, NextStep.WAIT, NextStep.FINISH_OTHER_VISIT})
# What befalls one car in thirty, by hand or by itself; the rest of the faults are the clouds'.
CARS_TROUBLE: tuple[tuple[FaultKind, dict[str, object]], ...] = (
    (FaultKind.JAMMED, {"count": 2}),
    (FaultKind.JAMMED, {}),
    (FaultKind.WILL_NOT_CLOSE, {"count": 1}),
    (FaultKind.DRIVES_OFF, {"trigger": "unlocked", "after_s": 4.0}),
    (FaultKind.OFFLINE, {}),
    (FaultKind.LATE_UNLOCK, {"count": 1, "after_s": 100.0, "first": "normal"}),
)
TROUBLED = 1 / 30
BLOCKED = 1 / 50  # of the visits, at some moment


@dataclass(slots=True, kw_only=True)
class Account:
    """One errand as its courier lived it."""

    errand: Errand
    visit_ids: list[str] = field(default_factory=list)  # each scan that was taken on
    told: list[tuple[str, Fact]] = field(
        default_factory=list
    )  # of which visit, and what the platform has acknowledged
    lost: list[str] = field(default_factory=list)  # visits that a restore has taken away
    is_inside: bool = False  # the parcel, in truth
    state: str = ""  # of the last visit
    place: str = ""  # where the courier says the parcel is: in_place, at_fallback
    trouble: str = ""
    why: str = ""  # it came to no end


class _Gone(Exception):
    """The platform knows nothing of this visit: it was put back to an earlier moment."""


class SiegeDoor(Door):
    """One stop, reached through a line that is cut, at a server that is killed."""

    def __init__(self, crew: Crew, account: Account, phone: CourierPhone) -> None:
        self.crew, self.account, self.phone = crew, account, phone
        self.vin, self.place_id = account.errand.vin, account.errand.stop_id.replace("stp_", "acc_")
        self.town, self.clock = crew.town, crew.clock
        self.visit: Visit | None = None
        self._looked_s = 0.0

    async def scan(self) -> str:
        visit = await self.phone.scan_text(
            self.account.errand.stop_id, f"(00){self.account.errand.label}", self.crew.here
        )
        if visit.id not in self.account.visit_ids:
            self.account.visit_ids.append(visit.id)
        self.visit, self._looked_s = visit, monotonic_s()
        return visit.id

    async def say(self, fact: Fact) -> None:
        assert self.visit is not None
        try:
            self.visit = await words_of(self.phone)[fact](self.visit.id)
        except Problem as problem:
            self._notice(problem)
            self.crew.counts[f"word refused: {problem.trouble}"] += 1
        else:
            self.account.told.append((self.visit.id, fact))
        self._looked_s = monotonic_s()

    async def look(self) -> Seen:
        assert self.visit is not None
        look_at_s = self._looked_s + self.clock.real_s(LOOK_EVERY_S)
        await asyncio.sleep(max(0.0, look_at_s - monotonic_s()))
        try:
            self.visit = await self.phone.my_visit(self.visit.id)
        except Problem as problem:
            self._notice(problem)
            raise
        self._looked_s = monotonic_s()
        return seen_of(self.visit, self.clock)

    def _notice(self, problem: Problem) -> None:
        if problem.status == 404:
            raise _Gone from problem

    async def block(self) -> None:
        await self.crew.consignee_of(self.account.errand).block(self.place_id)

    async def rule(self, fact: Fact) -> None:
        assert self.visit is not None
        ruling = {Fact.RULED_DELIVERED: "delivered", Fact.RULED_UNDELIVERED: "undelivered"}[fact]
        try:
            await self.crew.operator.rule(self.visit.id, ruling, "spoke with the courier")
        except Problem as problem:
            self._notice(problem)
            self.crew.counts[f"ruling refused: {problem.trouble}"] += 1


@dataclass(kw_only=True)
class Crew:
    """Everyone who is out."""

    town: TownClient
    clock: Clock
    operator: OperatorDesk
    here: Position
    lot: random.Random
    phone_of: Callable[[Errand], CourierPhone]
    consignee_of: Callable[[Errand], Consignee]
    accounts: list[Account] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    _busy: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def deliver(self, errand: Errand) -> Account:
        """One errand, whatever comes of it. A courier has one at a time."""
        account = Account(errand=errand)
        self.accounts.append(account)
        phone = self.phone_of(errand)
        async with self._busy.setdefault(phone.key, asyncio.Lock()):
            try:
                await self._afflict(account)
                await self._try(account, phone)
            except (UnlatchError, AssertionError, TimeoutError) as error:
                account.why = f"{type(error).__name__}: {error}"[:300]
        return account

    async def _afflict(self, account: Account) -> None:
        if self.lot.random() < TROUBLED:
            kind, how = self.lot.choice(CARS_TROUBLE)
            account.trouble = kind.value
            await self.town.set_fault(account.errand.vin, kind, **how)
            self.counts[f"car {kind.value}"] += 1

    async def _try(self, account: Account, phone: CourierPhone) -> None:
        door = SiegeDoor(self, account, phone)
        for _ in range(SCANS_MOST):
            if account.is_inside:
                break
            try:
                await door.scan()
            except Problem as problem:
                self.counts[f"scan refused: {problem.trouble}"] += 1
                await asyncio.sleep(PAUSE_S)
                continue
            if await self._attend(account, door) in DELIVERED:
                account.place = "in_place"
                return
            if account.is_inside:
                break
            assert door.visit is not None
            if NextStep(door.visit.next_step) not in SCANS_AGAIN:
                break
            await asyncio.sleep(PAUSE_S)
        if account.is_inside:  # a restore took the visit away while the parcel lay inside: people settle that
            account.place = "in_place"
            return
        await phone.report_fallback(account.errand.stop_id, "to_door")
        account.place = "at_fallback"

    async def _attend(self, account: Account, door: SiegeDoor) -> State | None:
        """Until the visit has ended; None if the platform forgot it."""
        play = Play(door=door)
        is_blocked = self.lot.random() < BLOCKED
        blocks_after_s = self.lot.uniform(0.0, 2.0)
        deadline_s = monotonic_s() + VISIT_WITHIN_S
        began_s = monotonic_s()
        try:
            while True:
                seen = await play.step()
                account.state, account.is_inside = seen.state.value, play.is_inside
                if seen.is_final:
                    return seen.state
                if monotonic_s() > deadline_s:
                    raise TimeoutError(f"{door.visit and door.visit.id} is still {seen.state}")
                if is_blocked and monotonic_s() > began_s + blocks_after_s:
                    is_blocked = False
                    self.counts["blocked"] += 1
                    await door.block()
                if seen.next_step is NextStep.STAY_UNTIL_OPERATOR_CALLS:
                    await self._help(account.errand.vin)
        except _Gone:
            assert door.visit is not None
            account.lost.append(door.visit.id)
            account.is_inside = play.is_inside
            await self._help(account.errand.vin)
            return None

    async def _help(self, vin: str) -> None:
        """The resident was called, comes with the key, and locks."""
        await self.town.clear_faults(vin)
        if await self.town.close_trunk(vin) in WENT_WELL:
            await self.town.lock_with_key(vin)
            self.counts["locked by its key"] += 1
