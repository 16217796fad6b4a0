"""The physics of one simulated home. Pure: the time is given, nothing is random, nothing is sent.

A home has a front door (bolt, lid that one walks through, perhaps a second bolt that is thrown from inside) or a garage
door (a cover that its motor moves and holds), a radio between its lock and its hub, a hub, a Wi-Fi, a bell, an alarm,
perhaps a pet and someone in. `advance(until)` does what is due, in order, and returns what happened.

A bolt takes `BOLT_S`, a garage door `COVER_S`. Unlike a car's latch, a bolt can be thrown while the door stands open:
then the door can't be closed, and a hub without a contact sensor calls that *locked*.

What never happens, whatever is done (tests/town/test_home.py): a door that opens while a bolt holds it; a door that
closes over a thrown bolt; time that runs back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum, auto

from unlatch.town.car import Happening, Outcome

BOLT_S = 2.0
COVER_S = 12.0
MAX_AHEAD = 64  # deeds on one home's time line


class HomeKind(StrEnum):
    DOOR = auto()
    GARAGE = auto()


class HomeDeed(StrEnum):
    """What may be done to a home, by its hub or by hands."""

    UNLOCK = auto()  # hub: withdraw the bolt
    UNLATCH = auto()  # hub: also pull the latch, and the door springs open
    LOCK = auto()
    OPEN_COVER = auto()
    CLOSE_COVER = auto()
    RING = auto()  # hub or hands: the bell
    OPEN_DOOR = auto()  # hands, from outside
    CLOSE_DOOR = auto()
    KEY_LOCK = auto()  # hands: the thumb turn, or the garage's own button
    KEY_UNLOCK = auto()
    THROW_SECOND_BOLT = auto()  # someone at home
    WITHDRAW_SECOND_BOLT = auto()
    ARM_ALARM = auto()
    DISARM_ALARM = auto()
    COME_HOME = auto()
    LEAVE_HOME = auto()
    LET_PET_OUT = auto()  # of its room: it could run out of the door
    SHUT_PET_AWAY = auto()
    LAMP_ON = auto()  # hub or hands: the lamp in the hall
    LAMP_OFF = auto()
    WIFI_DOWN = auto()  # hub and camera lose their network together, as a de-auth makes them
    WIFI_UP = auto()


BY_HUB = frozenset(
    {HomeDeed.UNLOCK, HomeDeed.UNLATCH, HomeDeed.LOCK, HomeDeed.OPEN_COVER, HomeDeed.CLOSE_COVER}
)
OF_LAMP = frozenset({HomeDeed.LAMP_ON, HomeDeed.LAMP_OFF})
OF_COVER = frozenset({HomeDeed.OPEN_COVER, HomeDeed.CLOSE_COVER})
LASTS_S = {deed: COVER_S if deed in OF_COVER else BOLT_S for deed in BY_HUB}


@dataclass(slots=True, kw_only=True)
class HomeRun:
    """One command on its way. `outcome` is None until the home has acted."""

    command_id: str
    deed: HomeDeed
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HomePlanned:
    """A deed on the time line; `begins` sets it moving, its end carries it out."""

    at: datetime
    deed: HomeDeed
    run: HomeRun | None = None
    why: str = ""
    begins: bool = False
    is_own: bool = False  # the lock's own doing, after `locks_itself_after_s`


@dataclass(slots=True, kw_only=True)
class Home:
    """One home. All times are the town's. Change it through `do`, `plan` and `set_body` only."""

    home_id: str
    kind: HomeKind
    born_at: datetime
    has_contact: bool = True
    has_second_bolt: bool = False
    tells_way: bool = True  # whether its hub is told that a bolt is under way
    locks_itself_after_s: float | None = None
    has_pet: bool = False
    is_pet_loose: bool = False
    has_lamp: bool = False  # in the hall, that its hub can turn on and off
    is_thrown: bool = True
    is_open: bool = False
    is_second_thrown: bool = False
    is_jammed: bool = False
    moving: HomeDeed | None = None
    is_radio_on: bool = True  # between lock and hub
    is_hub_up: bool = True
    is_wifi_up: bool = True
    is_alarm_armed: bool = False
    is_alarm_ringing: bool = False
    is_someone_in: bool = False
    is_lamp_on: bool = False
    rung: int = 0
    jams_left: int | None = 0  # lock commands that get stuck; None: until mended
    will_not_close_left: int | None = 0
    now: datetime = field(init=False)
    changed_at: datetime = field(init=False)
    ahead: list[HomePlanned] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.now = self.changed_at = self.born_at
        if self.kind is HomeKind.GARAGE:
            self.is_thrown = False

    @property
    def is_secured(self) -> bool:
        """Closed, and held: by its bolt, or by the motor that closed it."""
        if self.kind is HomeKind.GARAGE:
            return not self.is_open and self.moving is None
        return self.is_thrown and not self.is_open

    @property
    def can_be_reached(self) -> bool:
        """Whether its hub answers."""
        return self.is_hub_up and self.is_wifi_up

    @property
    def next_at(self) -> datetime | None:
        """When the next thing of the time line is due."""
        return self.ahead[0].at if self.ahead else None

    def plan(self, deed: HomeDeed, begins_at: datetime, ends_at: datetime, run: HomeRun, why: str) -> bool:
        """Put a movement on the time line; False when that is full."""
        if len(self.ahead) >= MAX_AHEAD:
            return False
        self._put(HomePlanned(at=begins_at, deed=deed, run=run, why=why, begins=True))
        self._put(HomePlanned(at=ends_at, deed=deed, run=run, why=why))
        return True

    def advance(self, until: datetime) -> list[Happening]:
        """Do everything that was due up to `until`. A clock that jumps back changes nothing."""
        happened: list[Happening] = []
        while self.ahead and self.ahead[0].at <= until:
            planned = self.ahead.pop(0)
            happened += self._do(planned, max(planned.at, self.now))
        self.now = max(until, self.now)
        return happened

    def do(self, deed: HomeDeed, now: datetime, *, why: str = "") -> tuple[Outcome, list[Happening]]:
        """Do `deed` now, after whatever was due before."""
        happened = self.advance(now)
        run = HomeRun(command_id="", deed=deed)
        happened += self._do(HomePlanned(at=self.now, deed=deed, run=run, why=why), self.now)
        assert run.outcome is not None
        return run.outcome, happened

    def _put(self, planned: HomePlanned) -> None:
        self.ahead.append(planned)
        self.ahead.sort(key=lambda one: one.at)

    def _do(self, planned: HomePlanned, at: datetime) -> list[Happening]:
        self.now = at
        deed, is_hubs = planned.deed, planned.run is not None and bool(planned.run.command_id)
        if planned.begins:
            self._begin(deed, at)
            return []
        if planned.is_own:
            return self._lock_itself(at)
        if self.moving is deed:
            self.moving = None
        outcome = Outcome.OFFLINE if is_hubs and not self.is_radio_on else self._carry_out(deed)
        self.changed_at = at
        if planned.run is not None:
            planned.run.outcome = outcome
        command_id = planned.run.command_id if planned.run is not None else ""
        happened = [
            Happening(at=at, what=deed.value, outcome=outcome, command_id=command_id, why=planned.why)
        ]
        self._mind_itself(at)
        return happened

    def _begin(self, deed: HomeDeed, at: datetime) -> None:
        if not self.is_radio_on:
            return
        if deed is HomeDeed.OPEN_COVER:
            self.is_open = True
        self.moving, self.is_jammed, self.changed_at = deed, False, at

    def _lock_itself(self, at: datetime) -> list[Happening]:
        if self.is_thrown or self.is_open or self.moving is not None:
            return []
        self.is_thrown, self.changed_at = True, at
        return [Happening(at=at, what="relocked", outcome=Outcome.DONE, why="it locks by itself")]

    def _mind_itself(self, at: datetime) -> None:
        """Closed and not locked: a lock that locks by itself starts counting anew."""
        if self.locks_itself_after_s is None or self.kind is HomeKind.GARAGE:
            return
        self.ahead = [one for one in self.ahead if not one.is_own]
        if not self.is_thrown and not self.is_open:
            due_at = at + timedelta(seconds=self.locks_itself_after_s)
            self._put(HomePlanned(at=due_at, deed=HomeDeed.LOCK, is_own=True))

    def _carry_out(self, deed: HomeDeed) -> Outcome:
        match deed:
            case HomeDeed.UNLOCK | HomeDeed.KEY_UNLOCK:
                return self._unlock()
            case HomeDeed.UNLATCH:
                return self._unlatch()
            case HomeDeed.LOCK | HomeDeed.KEY_LOCK:
                return self._lock(is_by_hand=deed is HomeDeed.KEY_LOCK)
            case HomeDeed.OPEN_COVER | HomeDeed.CLOSE_COVER:
                return self._move_cover(deed)
            case HomeDeed.OPEN_DOOR:
                return self._open_door()
            case HomeDeed.CLOSE_DOOR:
                return self._close_door()
            case HomeDeed.RING:
                self.rung += 1
                return Outcome.DONE
            case HomeDeed.THROW_SECOND_BOLT | HomeDeed.WITHDRAW_SECOND_BOLT:
                return self._turn_second_bolt(is_thrown=deed is HomeDeed.THROW_SECOND_BOLT)
            case HomeDeed.ARM_ALARM | HomeDeed.DISARM_ALARM:
                self.is_alarm_armed = deed is HomeDeed.ARM_ALARM
                self.is_alarm_ringing = False
            case HomeDeed.LET_PET_OUT | HomeDeed.SHUT_PET_AWAY:
                return self._move_pet(is_loose=deed is HomeDeed.LET_PET_OUT)
            case HomeDeed.COME_HOME | HomeDeed.LEAVE_HOME:
                self.is_someone_in = deed is HomeDeed.COME_HOME
            case HomeDeed.LAMP_ON | HomeDeed.LAMP_OFF if not self.has_lamp:
                return Outcome.UNSUPPORTED
            case HomeDeed.LAMP_ON | HomeDeed.LAMP_OFF:
                self.is_lamp_on = deed is HomeDeed.LAMP_ON
            case HomeDeed.WIFI_DOWN | HomeDeed.WIFI_UP:
                self.is_wifi_up = deed is HomeDeed.WIFI_UP
        return Outcome.DONE

    def _unlock(self) -> Outcome:
        if self.kind is HomeKind.GARAGE:
            return self._move_cover(HomeDeed.OPEN_COVER)
        was_thrown, self.is_thrown, self.is_jammed = self.is_thrown, False, False
        return Outcome.DONE if was_thrown else Outcome.ALREADY

    def _unlatch(self) -> Outcome:
        outcome = self._unlock()
        if not self.is_second_thrown:
            self._swing_open()
        return outcome

    def _lock(self, *, is_by_hand: bool) -> Outcome:
        if self.kind is HomeKind.GARAGE:
            return self._move_cover(HomeDeed.CLOSE_COVER)
        if not is_by_hand:
            is_jammed, self.jams_left = _spend(self.jams_left)
            if is_jammed:
                self.is_jammed = True
                return Outcome.JAMMED
        was_thrown, self.is_thrown, self.is_jammed = self.is_thrown, True, False
        return Outcome.ALREADY if was_thrown else Outcome.DONE

    def _move_cover(self, deed: HomeDeed) -> Outcome:
        if self.kind is not HomeKind.GARAGE:
            return Outcome.UNSUPPORTED
        if deed is HomeDeed.OPEN_COVER:
            self._swing_open()
            return Outcome.DONE
        if not self.is_open:
            return Outcome.ALREADY
        will_not, self.will_not_close_left = _spend(self.will_not_close_left)
        if will_not:
            return Outcome.WILL_NOT_CLOSE
        self.is_open = False
        return Outcome.DONE

    def _open_door(self) -> Outcome:
        if self.is_open:
            return Outcome.ALREADY
        if self.is_thrown or self.is_second_thrown or self.kind is HomeKind.GARAGE:
            return Outcome.IS_LOCKED
        self._swing_open()
        return Outcome.DONE

    def _close_door(self) -> Outcome:
        if not self.is_open:
            return Outcome.ALREADY
        if self.kind is HomeKind.GARAGE or self.is_thrown or self.is_second_thrown:
            return Outcome.WILL_NOT_CLOSE  # a motor holds it, or a bolt is in the way
        will_not, self.will_not_close_left = _spend(self.will_not_close_left)
        if will_not:
            return Outcome.WILL_NOT_CLOSE
        self.is_open = False
        return Outcome.DONE

    def _turn_second_bolt(self, *, is_thrown: bool) -> Outcome:
        if not self.has_second_bolt:
            return Outcome.UNSUPPORTED
        was, self.is_second_thrown = self.is_second_thrown, is_thrown
        return Outcome.ALREADY if was is is_thrown else Outcome.DONE

    def _move_pet(self, *, is_loose: bool) -> Outcome:
        if not self.has_pet:
            return Outcome.UNSUPPORTED
        self.is_pet_loose = is_loose
        return Outcome.DONE

    def _swing_open(self) -> None:
        self.is_open = True
        self.is_alarm_ringing = self.is_alarm_ringing or self.is_alarm_armed


def _spend(left: int | None) -> tuple[bool, int | None]:
    return (left is None or left > 0), (None if left is None else max(0, left - 1))
