"""An ordinary courier on a round: does what the phone says, stop by stop, and writes down what came of each.

Whatever is killed meanwhile, the courier goes on: asks again, scans again, and in the end takes the fallback.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum, auto

from unlatch.clock import Clock, monotonic_s
from unlatch.domain.incident import NextStep
from unlatch.errors import UnlatchError
from unlatch.town.api import Problem, Visit
from unlatch.town.car import WENT_WELL
from unlatch.town.client import TownClient
from unlatch.town.day_plan import Errand
from unlatch.town.phone import CourierPhone

SETS_OUT_BEFORE_S = 360.0  # town: from the stop before
LOOK_EVERY_S = 0.12  # real
VISIT_WITHIN_S = 90.0  # real: a visit that is not over by then never will
LOCATED_WITHIN_S = 15.0
SCANS_MOST = 6  # at one stop
PAUSE_S = 0.4  # real, before scanning again
DELIVERED = frozenset({"delivered", "delivered_lock_not_seen", "ruled_delivered"})
MAY_SCAN_AGAIN = frozenset({NextStep.TRY_AGAIN_SOON, NextStep.WAIT, NextStep.FINISH_OTHER_VISIT})
AGAIN_AFTER_TROUBLE = 2  # scans after a visit that ended without the parcel inside


class End(StrEnum):
    """How a stop ended, as its courier knows it."""

    DELIVERED = auto()
    FALLBACK = auto()
    LOST = auto()  # it never came to an end: a broken promise


@dataclass(slots=True, kw_only=True)
class Lived:
    """One stop as its courier lived it."""

    errand: Errand
    stop_id: str = ""
    place_id: str = ""
    consignee_key: str = ""
    was_sent: bool = False  # set out for the car
    has_located: bool = False
    visit_ids: list[str] = field(default_factory=list)
    delivered_by: str = ""  # the visit
    end: End = End.LOST
    fallback: str = ""  # what was done instead
    told: list[str] = field(default_factory=list)  # reasons for which it was not opened, in order
    warned: bool = False  # its consignee was told that something stands in the way
    mended: bool = False


@dataclass(kw_only=True)
class Round:
    """One courier's day."""

    phone: CourierPhone
    town: TownClient
    clock: Clock
    stops: list[Lived]

    async def run(self) -> None:
        """Live it, from the first stop to the last."""
        for lived in sorted(self.stops, key=lambda one: one.errand.expected_at):
            await self.clock.sleep_until(lived.errand.expected_at - timedelta(seconds=SETS_OUT_BEFORE_S))
            try:
                await self.visit(lived)
            except (UnlatchError, TimeoutError) as error:
                lived.told.append(f"broken: {error}")

    async def visit(self, lived: Lived) -> None:
        """One stop, whatever comes of it. Raises UnlatchError, TimeoutError where it comes to no end."""
        if await self._is_open(lived) and await self._set_out(lived):
            await self.clock.sleep_until(lived.errand.expected_at)
            if await self._is_open(lived) and await self._find_car(lived):
                await self._deliver(lived)
        if lived.end is not End.DELIVERED:
            await self._take_fallback(lived)

    async def _is_open(self, lived: Lived) -> bool:
        """What the phone's list says of the stop: whether to go to the car at all."""
        stop = await self.phone.find_stop(lived.stop_id)
        if stop.reason is not None:
            lived.told.append(stop.reason)
        return stop.goes_to_place

    async def _set_out(self, lived: Lived) -> bool:
        try:
            await self.phone.set_out(lived.stop_id)
        except Problem as problem:
            lived.told += problem.reasons or [problem.detail]
            return False
        lived.was_sent = True
        return True

    async def _find_car(self, lived: Lived) -> bool:
        """Walk up to it; the phone shows where it stands."""
        deadline_s = monotonic_s() + LOCATED_WITHIN_S
        while True:
            try:
                found = await self.phone.locate(lived.stop_id, lived.errand.parked_at)
            except Problem as problem:
                lived.told += problem.reasons or [problem.detail]
                return False
            lived.has_located = True
            if found.position is not None or monotonic_s() > deadline_s:
                return True
            await asyncio.sleep(LOOK_EVERY_S)

    async def _deliver(self, lived: Lived) -> None:
        troubled = 0
        for _ in range(SCANS_MOST):
            try:
                visit = await self.phone.scan_text(
                    lived.stop_id, f"(00){lived.errand.label}", lived.errand.parked_at
                )
            except Problem as problem:
                lived.told += problem.reasons or [problem.detail]
                await asyncio.sleep(PAUSE_S)
                continue
            if visit.id not in lived.visit_ids:
                lived.visit_ids.append(visit.id)
            visit = await self._attend(lived, visit)
            if visit.state in DELIVERED:
                lived.end, lived.delivered_by = End.DELIVERED, visit.id
                return
            lived.told += [reason.code for reason in visit.reasons] or [visit.incident or visit.state]
            troubled += visit.state != "refused"
            if visit.next_step not in MAY_SCAN_AGAIN and troubled > AGAIN_AFTER_TROUBLE:
                return
            if visit.state == "refused" and visit.next_step not in MAY_SCAN_AGAIN:
                return
            await asyncio.sleep(PAUSE_S)

    async def _attend(self, lived: Lived, visit: Visit) -> Visit:
        """Do what the phone says until the visit is over."""
        is_inside = False
        vin = lived.errand.vin
        deadline_s = monotonic_s() + VISIT_WITHIN_S
        while visit.is_live:
            if monotonic_s() > deadline_s:
                raise TimeoutError(f"visit {visit.id} is still {visit.state}")
            step = NextStep(visit.next_step)
            if step is NextStep.TRY_HANDLE and await self.town.can_open_trunk(vin):
                await self.phone.opened(visit.id)
                step = NextStep.PUT_PARCEL_IN
            if step is NextStep.PUT_PARCEL_IN:
                is_inside = True
                await self.phone.deposited(visit.id)
            is_to_close = step in (
                NextStep.PUT_PARCEL_IN,
                NextStep.CLOSE_LID,
                NextStep.CLOSE_FIRMLY_AND_PULL,
                NextStep.STAY_UNTIL_OPERATOR_CALLS,
            )
            if is_to_close and await self.town.close_trunk(vin) in WENT_WELL:
                await self.phone.closed(visit.id)
            elif step is NextStep.PULL_HANDLE:
                await self.phone.pulled_handle(visit.id)
            elif step is NextStep.SAY_WHERE_PARCEL_IS:
                await (self.phone.deposited(visit.id) if is_inside else self.phone.could_not(visit.id))
            await asyncio.sleep(LOOK_EVERY_S)
            visit = await self.phone.my_visit(visit.id)
        return visit

    async def _take_fallback(self, lived: Lived) -> None:
        stop = await self.phone.find_stop(lived.stop_id)
        done = stop.fallbacks[0]
        await self.phone.report_fallback(lived.stop_id, done, told="no. 14, with a neighbour")
        lived.end, lived.fallback = End.FALLBACK, done
