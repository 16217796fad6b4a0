"""The town itself: its cars, accounts, faults and ledger, on one clock. Knows nothing of HTTP.

A car is looked at lazily: whoever asks first does what was due (`Car.advance`), and the ledger gets every
happening with the moment it belongs to.
"""

from __future__ import annotations

import random
import secrets
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from unlatch.clock import Clock, monotonic_s
from unlatch.domain.access import Position
from unlatch.town.car import Car, Deed, Happening, Maker, Outcome, Planned, Run
from unlatch.town.faults import (
    OF_HOMES,
    OF_THE_CAR,
    Course,
    Fault,
    FaultKind,
    Standing,
    Trigger,
    Verb,
    after_s,
    draw,
)
from unlatch.town.grants import Grants
from unlatch.town.homes import Homes
from unlatch.town.ledger import Ledger

MAX_CARS = 200_000
MAX_FAULTS = 32  # on one car, and on one cloud
DEFAULT_LATENCY_S = {Maker.ONSTAR: 8.0, Maker.VOLVO: 2.0}
VOLVO_INVOCATIONS_PER_MINUTE = 10


@dataclass(slots=True, kw_only=True)
class Account:
    """A consignee's account at a maker: a bearer token and the cars it reaches."""

    account_id: str
    maker: Maker
    token: str
    api_key: str
    vins: set[str] = field(default_factory=set)
    invoked_at: deque[datetime] = field(default_factory=lambda: deque(maxlen=VOLVO_INVOCATIONS_PER_MINUTE))


@dataclass(slots=True, kw_only=True)
class Citizen:
    """A car with its papers: whose account, how the maker treats it, which faults are set."""

    car: Car
    account: Account
    is_older_account: bool
    make: str
    model: str
    model_year: int
    colour: str
    plate: str
    latency_s: float
    chance: random.Random
    faults: list[Standing] = field(default_factory=list)
    asked_report_at: datetime | None = None
    reads: int = 0


class Town:
    """All of it. One per process; every method is synchronous and quick."""

    def __init__(self, clock: Clock, seed: int = 0) -> None:
        self.clock = clock
        self.seed = seed
        self.ledger = Ledger()
        self.citizens: dict[str, Citizen] = {}
        self.accounts: dict[str, Account] = {}
        self.by_token: dict[str, Account] = {}
        self.cloud_faults: dict[Maker, list[Standing]] = {maker: [] for maker in Maker}
        self.grants: dict[Maker, Grants] = {maker: Grants(clock=clock) for maker in Maker}
        self.chance = random.Random(seed)
        self.homes = Homes(clock, self.ledger, seed)
        self._waiting: set[str] = set()

    # ---- cars and accounts ------------------------------------------------------------------------------

    def reset(self) -> None:
        """An empty town; the ledger's numbers go on."""
        self.citizens.clear()
        self.accounts.clear()
        self.by_token.clear()
        self._waiting.clear()
        self.homes.reset()
        self.ledger.clear()
        for standing in self.cloud_faults.values():
            standing.clear()
        for grants in self.grants.values():
            grants.reset()

    def open_account(self, maker: Maker, account_id: str | None) -> Account:
        """The account of that name at that maker, or a new one."""
        key = f"{maker}:{account_id}" if account_id else f"{maker}:{secrets.token_hex(8)}"
        account = self.accounts.get(key)
        if account is None:
            account = Account(
                account_id=key.partition(":")[2],
                maker=maker,
                token=secrets.token_urlsafe(24),
                api_key=f"key-{maker}" if maker is Maker.VOLVO else "",
            )
            self.accounts[key] = self.by_token[account.token] = account
        return account

    def settle(self, citizen: Citizen) -> None:
        """Give a car to the town; one of the same VIN is replaced."""
        vin = citizen.car.vin
        former = self.citizens.get(vin)
        if former is not None:
            former.account.vins.discard(vin)
        self._waiting.discard(vin)
        citizen.account.vins.add(vin)
        self.citizens[vin] = citizen

    def chance_of(self, vin: str) -> random.Random:
        """A source of chance of one car: the same seed and VIN always give the same faults."""
        return random.Random(f"{self.seed}:{vin}")

    # ---- time -------------------------------------------------------------------------------------------

    def look(self, citizen: Citizen) -> Car:
        """The car as it is now, with everything done that was due."""
        now = self.clock.now()
        self._write(citizen.car, citizen.car.advance(now))
        return citizen.car

    def look_at_all(self) -> None:
        """Do everything that is due anywhere."""
        for vin in list(self._waiting):
            citizen = self.citizens.get(vin)
            if citizen is None:
                self._waiting.discard(vin)
            else:
                self.look(citizen)
        self.homes.look_at_all()

    def act(self, citizen: Citizen, deed: Deed, *, why: str = "") -> Outcome:
        """Do a deed by hand, now."""
        outcome, happened = citizen.car.do(deed, self.clock.now(), why=why)
        self._write(citizen.car, happened)
        return outcome

    def take_on(self, citizen: Citizen, run: Run, course: Course, asked_at: datetime) -> None:
        """Put a command's effects on the car's time line; only the first one tells the command's outcome.

        All delays count from `asked_at`, as its end does: else a cloud would tell the end before the car has acted.
        """
        for number, delay_s in enumerate(course.acts_after_s):
            planned = Planned(
                at=asked_at + timedelta(seconds=delay_s),
                deed=run.deed,
                run=run if number == 0 else Run(command_id=run.command_id, deed=run.deed),
                why="late" if number > 0 else "",
            )
            citizen.car.plan(planned)
        self._write(citizen.car, citizen.car.advance(self.clock.now()))

    def _write(self, car: Car, happened: list[Happening]) -> None:
        for one in happened:
            late_s = self.clock.real_s(max(0.0, (car.now - one.at).total_seconds()))
            self.ledger.add(
                "happening",
                at=one.at,
                monotonic_s=monotonic_s() - late_s,
                vin=car.vin,
                what=one.what,
                outcome=one.outcome.value,
                command_id=one.command_id,
                why=one.why,
            )
        if car.ahead:
            self._waiting.add(car.vin)
        else:
            self._waiting.discard(car.vin)

    # ---- faults -----------------------------------------------------------------------------------------

    def set_fault(self, citizen: Citizen, fault: Fault) -> bool:
        """Set a fault on one car; False when it has too many, or cars have no such fault. Some bite at once."""
        if len(citizen.faults) >= MAX_FAULTS or fault.kind in OF_HOMES:
            return False
        if fault.kind in OF_THE_CAR:
            self._afflict(citizen, fault)
        citizen.faults.append(Standing(fault=fault, left=fault.count))
        return True

    def set_cloud_fault(self, maker: Maker, fault: Fault) -> bool:
        """Set a fault on a whole cloud; not one of a car's body."""
        if fault.kind in OF_THE_CAR | OF_HOMES or len(self.cloud_faults[maker]) >= MAX_FAULTS:
            return False
        self.cloud_faults[maker].append(Standing(fault=fault, left=fault.count))
        return True

    def clear_faults(self, citizen: Citizen, kind: FaultKind | None = None) -> None:
        """Mend everything, or one kind. What a late unlock has put on the time line stays there."""
        citizen.faults = [one for one in citizen.faults if kind is not None and one.fault.kind is not kind]
        car, now = self.look(citizen), self.clock.now()
        if kind in (None, FaultKind.ASLEEP):
            car.set_modem(now, is_asleep=False)
        if kind in (None, FaultKind.OFFLINE):
            car.set_modem(now, is_online=True)
        if kind in (None, FaultKind.JAMMED):
            car.jams_left = 0
        if kind in (None, FaultKind.WILL_NOT_CLOSE):
            car.will_not_close_left = 0
        if kind in (None, FaultKind.DRIVES_OFF):
            car.drives_after = None

    def _afflict(self, citizen: Citizen, fault: Fault) -> None:
        car, now = self.look(citizen), self.clock.now()
        match fault.kind:
            case FaultKind.ASLEEP:
                car.set_modem(now, is_asleep=True)
            case FaultKind.OFFLINE:
                car.set_modem(now, is_online=False)
            case FaultKind.JAMMED:
                car.jams_left = fault.count
            case FaultKind.WILL_NOT_CLOSE:
                car.will_not_close_left = fault.count
            case FaultKind.DRIVES_OFF if fault.trigger is Trigger.NOW:
                due_at = now + timedelta(seconds=after_s(fault))
                car.plan(Planned(at=due_at, deed=Deed.DRIVE, why="drives off"))
                self._write(car, car.advance(now))
            case FaultKind.DRIVES_OFF:
                unlocks = Deed.UNLOCK if car.maker is Maker.VOLVO else Deed.UNLOCK_TRUNK
                car.drives_after = unlocks if fault.trigger is Trigger.UNLOCKED else Deed.OPEN_TRUNK
                car.drives_after_s = after_s(fault)

    def draw(self, maker: Maker, citizen: Citizen | None, verb: Verb) -> dict[FaultKind, Fault]:
        """The faults that strike this request; each draw is counted."""
        drawn: dict[FaultKind, Fault] = {}
        standing = self.cloud_faults[maker]
        if standing:
            draw(standing, verb, self.chance, drawn)
        if citizen is not None and citizen.faults:
            draw(citizen.faults, verb, citizen.chance, drawn)
        return drawn

    # ---- Volvo's limit ----------------------------------------------------------------------------------

    def invocation_wait_s(self, account: Account) -> float:
        """0 when the account may invoke a command now (and it is counted), else how long it has to wait."""
        now, invoked_at = self.clock.now(), account.invoked_at
        if len(invoked_at) == invoked_at.maxlen:
            wait_s = 60.0 - (now - invoked_at[0]).total_seconds()
            if wait_s > 0:
                return wait_s
        invoked_at.append(now)
        return 0.0


def place(latitude: float, longitude: float, accuracy_m: float = 5.0) -> Position:
    """A position with the accuracy of a car's own receiver, metres."""
    return Position(latitude=latitude, longitude=longitude, accuracy_m=accuracy_m)
