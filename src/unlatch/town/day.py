"""A whole day of deliveries in the town, over real HTTP, while processes are killed: does the promise hold?

Everyone lives it as in the field: the carrier books, consignees are told by mail and mend what stands in the way (or
don't), couriers go where their phones send them. Meanwhile server and workers are killed with SIGKILL and started
again. In the end three accounts are laid beside each other (`day_check.py`): what couriers lived, what the platform
says, and what was in the mailboxes.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import httpx

from unlatch.clock import Clock, monotonic_s
from unlatch.errors import UnlatchError
from unlatch.town.car import Maker
from unlatch.town.client import TownClient
from unlatch.town.control import AddedCar, NewCar
from unlatch.town.day_plan import FAR_OFF_M, Errand, Shift, Trouble, draw_errands, step_aside
from unlatch.town.desk import CarrierDesk, Consignee, Made, OperatorDesk
from unlatch.town.faults import FaultKind
from unlatch.town.installation import Installation
from unlatch.town.phone import CourierPhone
from unlatch.town.post_office import Arrived
from unlatch.town.rounds import Lived, Round

AT_ONCE = 24
CARS_AT_ONCE = 150
KILL_PAUSE_S = 4.0  # real, at least, between two kills
LOOK_AT_MAIL_S = 1.0  # real
READS_MAIL_BEFORE = timedelta(minutes=65)  # of the courier's coming: earlier there is nothing to mend
CALM_LOOKS = 3  # a second apart, without anything under way
SETTLED_WITHIN_S = 240.0  # real: what was not told by then never will be
CARS: Mapping[Maker, Mapping[str, Any]] = {
    Maker.ONSTAR: {"make": "Chevrolet", "model": "Malibu"},
    Maker.VOLVO: {"make": "Volvo", "model": "XC60"},
}
FAULTS: Mapping[Trouble, FaultKind] = {
    Trouble.ASLEEP: FaultKind.ASLEEP,
    Trouble.OFFLINE: FaultKind.OFFLINE,
    Trouble.CONSENT_WITHDRAWN: FaultKind.CONSENT_WITHDRAWN,
    Trouble.SUBSCRIPTION_LAPSED: FaultKind.SUBSCRIPTION_LAPSED,
}

Item = TypeVar("Item")


@dataclass(kw_only=True)
class Day:
    """One day, lived on a running installation."""

    installation: Installation
    carrier: CarrierDesk
    operator: OperatorDesk
    shift: Shift
    kills: int
    window_of: Callable[[Errand], dict[str, Any]]  # what a stop says of its window
    tell: Callable[[str], None] = lambda _: None
    lived: list[Lived] = field(default_factory=list)
    killed: Counter[str] = field(default_factory=Counter)
    mails: dict[int, list[Arrived]] = field(default_factory=dict)  # of each errand's consignee
    _phones: dict[int, CourierPhone] = field(default_factory=dict)
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def town(self) -> TownClient:
        return self.installation.town

    @property
    def clock(self) -> Clock:
        return self.installation.clock

    async def live(self) -> None:
        """From the bookings to the last mail."""
        errands = draw_errands(self.shift)
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=60, keepalive_expiry=5)
        async with httpx.AsyncClient(timeout=20, trust_env=False, limits=limits) as http:
            try:
                await self._book(errands, http)
                await self._go_out()
            finally:
                self._over.set()

    # ---- before -----------------------------------------------------------------------------------------

    async def _book(self, errands: Sequence[Errand], http: httpx.AsyncClient) -> None:
        began_s = monotonic_s()
        numbers = sorted({errand.courier for errand in errands})
        await _each(numbers, lambda number: self._equip(number, http))
        cars: dict[str, AddedCar] = {}
        for at in range(0, len(errands), CARS_AT_ONCE):
            wanted = [_car_of(errand) for errand in errands[at : at + CARS_AT_ONCE]]
            cars |= {car.vin: car for car in await self.town.add_cars(wanted)}
        self.tell(f"{len(numbers)} couriers and {len(cars)} cars; booking {len(errands)} stops")
        self.lived = [Lived(errand=errand) for errand in errands]
        await _each(self.lived, lambda lived: self._register(lived, cars[lived.errand.vin], http))
        took_s = monotonic_s() - began_s
        self.tell(f"booked {len(errands)} stops in {took_s:.0f} s; town time is {self.clock.now():%H:%M} UTC")

    async def _equip(self, number: int, http: httpx.AsyncClient) -> None:
        self._phones[number] = await self.carrier.equip_courier(f"Courier {number}", http=http)

    async def _register(self, lived: Lived, car: AddedCar, http: httpx.AsyncClient) -> None:
        """A consignee with a car, a mailbox and a delivery to come."""
        errand, carrier = lived.errand, self.carrier
        made = await carrier.register_consignee(f"Consignee {errand.number}", plans=["prime"])
        lived.consignee_key = made.key
        place = await carrier.register_car(
            made.id,
            car,
            errand.address,
            account_kind="newer" if errand.maker is Maker.ONSTAR else None,
            time_zone=errand.time_zone,
            model_year=2018,
            colour="blue",
            plate=f"T {errand.number:04d}",
            has_service=True,
            **CARS[errand.maker],
        )
        lived.place_id = place.id
        await Consignee(carrier.base_url, made.key, http=http).open_mailbox(self.town, errand.mail)
        shipment = await carrier.announce_shipment(
            made.id, f"order {errand.number}", [f"(00){errand.label}"], **PARCEL
        )
        stop = await carrier.post(
            "/v1/stops",
            {
                "courier_id": self._phones[errand.courier].courier_id,
                "access_point_id": place.id,
                "shipment_id": shipment.id,
                "expected_at": errand.expected_at,
                "fallback": "neighbour",
                "later_fallbacks": ["depot"],
                **self.window_of(errand),
            },
            Made,
        )
        lived.stop_id = stop.id
        if errand.trouble is not None:
            await self._afflict(errand, errand.trouble)

    async def _afflict(self, errand: Errand, trouble: Trouble) -> None:
        vin = errand.vin
        if trouble is Trouble.TOO_FAR:
            far = step_aside(errand.address, FAR_OFF_M, 90)
            await self.town.move(vin, far.latitude, far.longitude)
        elif trouble is Trouble.LEFT_UNLOCKED:
            await self.town.unlock_with_key(vin)
        elif trouble is Trouble.LEFT_OPEN:
            await self.town.unlock_with_key(vin)
            await self.town.open_trunk(vin)
        else:
            await self.town.set_fault(vin, FAULTS[trouble])

    async def _mend(self, errand: Errand) -> None:
        vin, trouble = errand.vin, errand.trouble
        if trouble is Trouble.TOO_FAR:
            await self.town.move(vin, errand.parked_at.latitude, errand.parked_at.longitude)
        elif trouble in (Trouble.LEFT_UNLOCKED, Trouble.LEFT_OPEN):
            await self.town.close_trunk(vin)
            await self.town.lock_with_key(vin)
        elif trouble is not None:
            await self.town.clear_faults(vin, FAULTS[trouble])

    # ---- the day ----------------------------------------------------------------------------------------

    async def _go_out(self) -> None:
        rounds = [
            Round(
                phone=phone,
                town=self.town,
                clock=self.clock,
                stops=[lived for lived in self.lived if lived.errand.courier == number],
            )
            for number, phone in self._phones.items()
        ]
        async with asyncio.TaskGroup() as group:
            side = [group.create_task(self._read_mail()), group.create_task(self._kill())]
            await asyncio.gather(*(one.run() for one in rounds))
            ended = Counter(lived.end.value for lived in self.lived)
            self.tell(f"the last courier is home: {dict(ended)}; waiting for the last mails")
            self._over.set()
            await asyncio.gather(*side)
        await self._settle()

    async def _read_mail(self) -> None:
        """Consignees read what they are told; those who can mend what stands in the way do so."""
        waiting = [lived for lived in self.lived if lived.errand.trouble is not None]
        while waiting and not self._over.is_set():
            now = self.clock.now()
            for lived in list(waiting):
                if now < lived.errand.expected_at - READS_MAIL_BEFORE:
                    continue
                letters = (await self.town.mail(lived.errand.mail)).letters
                if any(letter.event == "preflight_failed" for letter in letters):
                    waiting.remove(lived)
                    lived.warned = True
                    if lived.errand.is_mended:
                        await self._mend(lived.errand)
                        lived.mended = True
                elif now > lived.errand.expected_at:
                    waiting.remove(lived)
            await _pause(self._over, LOOK_AT_MAIL_S)

    async def _kill(self) -> None:
        """Kill server and workers by turns, at moments drawn by lot while couriers are out."""
        if not self.kills:
            return
        lot = random.Random(self.shift.seed + 1)
        first = min(lived.errand.expected_at for lived in self.lived) - timedelta(minutes=70)
        last = max(lived.errand.expected_at for lived in self.lived)
        span_s = (last - first).total_seconds()
        moments = sorted(first + timedelta(seconds=lot.uniform(0, span_s)) for _ in range(self.kills))
        for number, moment in enumerate(moments):
            while self.clock.now() < moment and not self._over.is_set():
                await _pause(
                    self._over, min(1.0, self.clock.real_s((moment - self.clock.now()).total_seconds()))
                )
            if number % 2:
                await self.installation.kill_worker(lot.choice(self.installation.running_workers()))
                await self.installation.start_worker()
                self.killed["worker"] += 1
            else:
                await self.installation.restart_server()
                self.killed["server"] += 1
            self.tell(f"{self.clock.now():%H:%M:%S} UTC: kill -9, {dict(self.killed)}")
            await _pause(self._over, KILL_PAUSE_S)

    async def _settle(self) -> None:
        """Until nothing is on its way to anyone any more; then every mailbox is read."""
        deadline_s = monotonic_s() + SETTLED_WITHIN_S
        calm = 0
        while calm < CALM_LOOKS:
            if monotonic_s() > deadline_s:
                raise UnlatchError("notices were still on their way after the day")
            calm = 0 if await self.operator.count_dispatches("due") else calm + 1
            await asyncio.sleep(1.0)

        async def read(lived: Lived) -> None:
            self.mails[lived.errand.number] = (await self.town.mail(lived.errand.mail)).letters

        await _each(self.lived, read)


PARCEL: Mapping[str, Any] = {
    "weight": "12.5 lb",
    "dimensions": "16 x 12 x 9 in",
    "value": "79.90 USD",
    "needs_signature": False,
    "is_sold_by_merchant": True,
    "is_dangerous": False,
}


def _car_of(errand: Errand) -> NewCar:
    return NewCar(
        maker=errand.maker,
        vin=errand.vin,
        make=CARS[errand.maker]["make"],
        model=CARS[errand.maker]["model"],
        plate=f"T {errand.number:04d}",
        latitude=errand.parked_at.latitude,
        longitude=errand.parked_at.longitude,
    )


async def _each(items: Iterable[Item], do: Callable[[Item], Awaitable[None]]) -> None:
    """Do it for each, a bounded number at once."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(item: Item) -> None:
        async with gate:
            await do(item)

    async with asyncio.TaskGroup() as group:
        for item in items:
            group.create_task(one(item))


async def _pause(over: asyncio.Event, real_s: float) -> None:
    """Wait, but no longer than until the day is over."""
    try:
        async with asyncio.timeout(max(0.01, real_s)):
            await over.wait()
    except TimeoutError:
        return
