"""The homes of the town, each with its hub: their faults and what they did, on one clock. Knows nothing of HTTP."""

from __future__ import annotations

import random
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from unlatch.clock import Clock, monotonic_s
from unlatch.town.car import Happening, Outcome
from unlatch.town.faults import (
    NOT_OF_HOMES,
    OF_THE_HOME,
    Course,
    Ending,
    Fault,
    FaultKind,
    First,
    Standing,
    Verb,
    after_s,
    draw,
)
from unlatch.town.home import BOLT_S, LASTS_S, Home, HomeDeed, HomeRun
from unlatch.town.hub_states import HubStates
from unlatch.town.ledger import Ledger

if TYPE_CHECKING:
    from unlatch.town.wire import Answer, Request

MAX_HOMES = 20_000
MAX_HUNG = 8  # cameras in one hall
MAX_FAULTS = 32


class HallCamera(Protocol):
    """A camera in the hall of a home: it sees the door and the lamp."""

    camera_id: str

    @property
    def fault_kind(self) -> str: ...

    @property
    def is_watched(self) -> bool: ...

    def show_hall(self, *, is_open: bool, is_lamp_on: bool) -> None: ...

    def set_network(self, *, is_up: bool) -> None: ...


class HallStream(Protocol):
    """What its hub makes of the first camera in its hall."""

    token: str

    @property
    def is_over(self) -> bool: ...

    async def picture(self) -> bytes | None: ...

    async def serve(self, request: Request, rest: list[str]) -> Answer: ...

    def close(self) -> None: ...


@dataclass(slots=True, kw_only=True)
class Dwelling:
    """A home with its hub: what the hub believes, the token it takes, which faults are set."""

    home: Home
    states: HubStates
    token: str
    user_id: str
    latency_s: float
    chance: random.Random
    faults: list[Standing] = field(default_factory=list)
    cameras: list[HallCamera] = field(default_factory=list)  # that hang in its hall; its hub shows the first
    stream: HallStream | None = None  # while somebody watches that


class Homes:
    """All homes of a town. Every method is synchronous and quick."""

    def __init__(self, clock: Clock, ledger: Ledger, seed: int = 0) -> None:
        self.clock = clock
        self.ledger = ledger
        self.seed = seed
        self.dwellings: dict[str, Dwelling] = {}
        self._waiting: set[str] = set()

    def reset(self) -> None:
        """No homes."""
        for dwelling in self.dwellings.values():
            if dwelling.stream is not None:
                dwelling.stream.close()
        self.dwellings.clear()
        self._waiting.clear()

    def settle(self, home: Home, latency_s: float) -> Dwelling:
        """Give a home to the town; one of the same name is replaced."""
        dwelling = Dwelling(
            home=home,
            states=HubStates(home, home.born_at),
            token=secrets.token_urlsafe(24),
            user_id=secrets.token_hex(16),
            latency_s=latency_s,
            chance=random.Random(f"{self.seed}:{home.home_id}"),
        )
        self.dwellings[home.home_id] = dwelling
        return dwelling

    # ---- what its cameras see -----------------------------------------------------------------------------

    def hang(self, dwelling: Dwelling, camera: HallCamera) -> None:
        """A camera in its hall. The oldest goes where there are too many."""
        dwelling.cameras = [*dwelling.cameras, camera][-MAX_HUNG:]
        camera.show_hall(is_open=dwelling.home.is_open, is_lamp_on=dwelling.home.is_lamp_on)
        camera.set_network(is_up=dwelling.home.is_wifi_up)

    def take_down(self, camera: HallCamera) -> None:
        """It hangs nowhere any more."""
        for dwelling in self.dwellings.values():
            if camera in dwelling.cameras:
                dwelling.cameras.remove(camera)
                if dwelling.stream is not None:
                    dwelling.stream.close()
                    dwelling.stream = None

    def _show(self, dwelling: Dwelling) -> None:
        """What has become of the door and the lamp is seen in the hall; without its network, nobody sees the hall."""
        home = dwelling.home
        for camera in dwelling.cameras:
            camera.show_hall(is_open=home.is_open, is_lamp_on=home.is_lamp_on)
            camera.set_network(is_up=home.is_wifi_up)

    # ---- time -------------------------------------------------------------------------------------------

    def look(self, dwelling: Dwelling) -> Home:
        """The home as it is now. What was due is done moment by moment, so that the hub sees each when it happens."""
        home, now = dwelling.home, self.clock.now()
        while (next_at := home.next_at) is not None and next_at <= now:
            self._write(home, home.advance(next_at))
            dwelling.states.refresh(next_at)
            self._show(dwelling)
        home.advance(now)
        self._show(dwelling)
        return home

    def look_at_all(self) -> None:
        """Do everything that is due anywhere."""
        for home_id in list(self._waiting):
            if (dwelling := self.dwellings.get(home_id)) is not None:
                self.look(dwelling)
            else:
                self._waiting.discard(home_id)

    def act(self, dwelling: Dwelling, deed: HomeDeed, *, why: str = "") -> Outcome:
        """Do a deed by hand, now."""
        home = self.look(dwelling)
        outcome, happened = home.do(deed, self.clock.now(), why=why)
        self._write(home, happened)
        dwelling.states.refresh(home.now)
        dwelling.states.wake()
        self._show(dwelling)
        return outcome

    def take_on(self, dwelling: Dwelling, run: HomeRun, course: Course, *, tells_way: bool = True) -> None:
        """Put a command's effects on the home's time line; only the first tells the command's outcome.

        The first moves from now on, what is late begins as long before it acts as it takes. Without `tells_way` nobody
        sees it move.
        """
        home, now = self.look(dwelling), self.clock.now()
        for number, delay_s in enumerate(course.acts_after_s):
            ends_at = now + timedelta(seconds=delay_s)
            begins_at = ends_at
            if tells_way:
                is_at_once = number == 0 and course.ending is not Ending.TIMES_OUT
                begins_at = now if is_at_once else max(now, ends_at - timedelta(seconds=LASTS_S[run.deed]))
            one = run if number == 0 else HomeRun(command_id=run.command_id, deed=run.deed)
            home.plan(run.deed, begins_at, ends_at, one, "late" if number > 0 else "")
        self._waiting.add(home.home_id)
        self.look(dwelling)
        dwelling.states.wake()

    def _write(self, home: Home, happened: list[Happening]) -> None:
        for one in happened:
            late_s = self.clock.real_s(max(0.0, (self.clock.now() - one.at).total_seconds()))
            self.ledger.add(
                "happening",
                at=one.at,
                monotonic_s=monotonic_s() - late_s,
                vin=home.home_id,
                what=one.what,
                outcome=one.outcome.value,
                command_id=one.command_id,
                why=one.why,
            )
        if home.ahead:
            self._waiting.add(home.home_id)
        else:
            self._waiting.discard(home.home_id)

    # ---- faults -----------------------------------------------------------------------------------------

    def set_fault(self, dwelling: Dwelling, fault: Fault) -> bool:
        """Set a fault on one home; False when it has too many, or homes have no such fault. Some bite at once."""
        if len(dwelling.faults) >= MAX_FAULTS or fault.kind in NOT_OF_HOMES:
            return False
        if fault.kind is FaultKind.LATE_UNLOCK and fault.first is First.NORMAL and after_s(fault) < BOLT_S:
            return False
        self.look(dwelling)
        if fault.kind in OF_THE_HOME:
            self._set_body(dwelling, fault.kind, is_well=False, count=fault.count)
        dwelling.faults.append(Standing(fault=fault, left=fault.count))
        return True

    def clear_faults(self, dwelling: Dwelling, kind: FaultKind | None = None) -> None:
        """Mend everything, or one kind. What a late unlock has put on the time line stays there."""
        dwelling.faults = [one for one in dwelling.faults if kind is not None and one.fault.kind is not kind]
        self.look(dwelling)
        for one in OF_THE_HOME if kind is None else {kind} & OF_THE_HOME:
            self._set_body(dwelling, one, is_well=True, count=0)

    def draw(self, dwelling: Dwelling, verb: Verb) -> dict[FaultKind, Fault]:
        """The faults that strike this request; each draw is counted."""
        drawn: dict[FaultKind, Fault] = {}
        draw(dwelling.faults, verb, dwelling.chance, drawn)
        return drawn

    def find_standing(self, dwelling: Dwelling, *kinds: FaultKind) -> Fault | None:
        """A fault of these kinds that strikes whatever is asked; not counted, since a greeting is no request."""
        for one in dwelling.faults:
            if one.fault.kind in kinds and one.fault.verb is Verb.ANY and one.left is None:
                return one.fault
        return None

    def _set_body(self, dwelling: Dwelling, kind: FaultKind, *, is_well: bool, count: int | None) -> None:
        home = dwelling.home
        match kind:
            case FaultKind.OFFLINE:
                home.is_radio_on = is_well
            case FaultKind.HUB_GONE:
                if is_well and not home.is_hub_up:
                    dwelling.states.restart(self.clock.now())
                home.is_hub_up = is_well
            case FaultKind.LYING_STATE:
                dwelling.states.is_frozen = not is_well
            case FaultKind.JAMMED:
                home.jams_left = count
                home.is_jammed = home.is_jammed and not is_well
            case FaultKind.WILL_NOT_CLOSE:
                home.will_not_close_left = count
        dwelling.states.refresh(self.clock.now())
        dwelling.states.wake()
