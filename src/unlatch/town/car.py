"""The physics of one simulated car. Pure: the time is given, nothing is random, nothing is sent.

A car has a trunk (latch and lid), doors, a place, a speed, a modem that sleeps or loses its network, and
a time line of deeds that lie ahead. `advance(now)` does what is due, in order, and returns what happened.

Both makers' mechanics, as far as they differ:

* OnStar: `UNLOCK_TRUNK` frees the trunk alone and it stays free until locked; the doors stay locked.
  `LOCK_TRUNK` fails on an open lid, since the latch has nothing to catch.
* Volvo: `UNLOCK` only frees the trunk's handle for a window (120 s). Pulling it opens the lid and unlocks
  every door; if nobody pulls, the car locks itself again. `LOCK` on an open lid or door is refused.

What never happens, whatever is done (tests/town/test_car.py): an open lid that is locked; a lid that
opens while it is locked; an armed handle on an open lid; time that runs back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum, auto
from math import cos, radians, sin

from unlatch.domain.access import EARTH_RADIUS_M, Position
from unlatch.town.streets import Way

ARMED_S = 120.0  # Volvo: the trunk's handle stays free this long
REPORT_EVERY_S = 5.0  # an awake car with reception tells its cloud at least this often
MAX_AHEAD = 64  # deeds on one car's time line


class Maker(StrEnum):
    ONSTAR = auto()
    VOLVO = auto()


class Deed(StrEnum):
    """What may be done to a car, by its cloud or by hands."""

    UNLOCK_TRUNK = auto()  # cloud: the trunk alone (OnStar)
    LOCK_TRUNK = auto()
    UNLOCK = auto()  # cloud: all doors (OnStar); arms the trunk's handle (Volvo)
    LOCK = auto()  # cloud: everything
    ALERT = auto()  # cloud: horn and lights
    LOCATE = auto()  # cloud: tell where you are
    OPEN_TRUNK = auto()  # hands: pull the handle and lift the lid
    CLOSE_TRUNK = auto()  # hands: push the lid down
    KEY_LOCK = auto()  # hands: the owner's own key
    KEY_UNLOCK = auto()
    OPEN_DOOR = auto()
    CLOSE_DOOR = auto()
    DRIVE = auto()
    PARK = auto()


class Outcome(StrEnum):
    """How a deed ended, physically."""

    DONE = auto()
    ALREADY = auto()  # it was so before
    IS_LOCKED = auto()  # the lid or a door can't be opened
    LID_OPEN = auto()  # an open lid or door can't be locked
    JAMMED = auto()
    WILL_NOT_CLOSE = auto()
    IN_MOTION = auto()
    ASLEEP = auto()
    OFFLINE = auto()
    UNSUPPORTED = auto()


WENT_WELL = frozenset({Outcome.DONE, Outcome.ALREADY})
BY_CLOUD = frozenset({Deed.UNLOCK_TRUNK, Deed.LOCK_TRUNK, Deed.UNLOCK, Deed.LOCK, Deed.ALERT, Deed.LOCATE})
LOCKING = frozenset({Deed.LOCK_TRUNK, Deed.LOCK})
UNLOCKING = frozenset({Deed.UNLOCK_TRUNK, Deed.UNLOCK})


@dataclass(slots=True, kw_only=True)
class Run:
    """One command on its way: what the cloud will know of its end. `outcome` is None until the car acted."""

    command_id: str
    deed: Deed
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A deed on the time line."""

    at: datetime
    deed: Deed
    run: Run | None = None
    why: str = ""
    is_silent: bool = False  # the time line's own doing: not a command's


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that physically happened, or was tried in vain."""

    at: datetime
    what: str
    outcome: Outcome
    command_id: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a car last told its cloud about itself."""

    at: datetime
    is_trunk_locked: bool
    is_lid_open: bool
    are_doors_locked: bool
    is_door_open: bool
    position: Position
    heading_degrees: float
    speed_kph: float


@dataclass(slots=True, kw_only=True)
class Car:
    """One car. All times are the town's. Change it through `do` and `plan` only."""

    vin: str
    maker: Maker
    parked_at: Position
    born_at: datetime
    is_trunk_locked: bool = True
    is_lid_open: bool = False
    are_doors_locked: bool = True
    is_door_open: bool = False
    armed_until: datetime | None = None
    is_armed_seen: bool = True  # whether readings call an armed handle unlocked (not documented by Volvo)
    armed_s: float = ARMED_S
    is_asleep: bool = False
    is_online: bool = True
    jams_left: int | None = 0  # lock commands that will do nothing; None: until mended
    will_not_close_left: int | None = 0
    speed_kph: float = 0.0
    heading_degrees: float = 90.0
    route: Way | None = None  # the round that it drives, from where it was parked first; None: straight on
    driven_m: float = 0.0  # of its round, when it was parked last
    drives_after: Deed | None = None  # drives off by itself once this was done
    drives_after_s: float = 0.0
    now: datetime = field(init=False)
    changed_at: datetime = field(init=False)
    heard_at: datetime = field(init=False)  # when the cloud last asked for a report and got it
    moved_at: datetime = field(init=False)
    told: Report = field(init=False)  # as last told when it fell asleep or lost its network
    before: Report = field(init=False)  # as told before the last change: what a stale copy still says
    ahead: list[Planned] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.now = self.changed_at = self.heard_at = self.moved_at = self.born_at
        self.told = self.before = self._report(self.born_at)

    # ---- what is so -------------------------------------------------------------------------------------

    @property
    def is_moving(self) -> bool:
        return self.speed_kph > 0

    @property
    def can_be_reached(self) -> bool:
        return self.is_online and not self.is_asleep

    @property
    def next_at(self) -> datetime | None:
        """When the next deed of the time line is due."""
        return self.ahead[0].at if self.ahead else None

    def position_at(self, at: datetime) -> Position:
        """Where the car is: on its round, or straight on since it moved off (flat earth: good for a few km)."""
        if not self.is_moving:
            return self.parked_at
        run_m = self._run_m(at)
        if self.route is not None:
            return self.route.find(run_m)[0]
        north = run_m * cos(radians(self.heading_degrees)) / EARTH_RADIUS_M
        east = run_m * sin(radians(self.heading_degrees)) / EARTH_RADIUS_M
        slope = max(0.01, cos(radians(self.parked_at.latitude)))
        latitude = max(-89.9, min(89.9, self.parked_at.latitude + north * 57.29577951308232))
        longitude = (self.parked_at.longitude + east * 57.29577951308232 / slope + 180) % 360 - 180
        return Position(latitude=latitude, longitude=longitude, accuracy_m=self.parked_at.accuracy_m)

    def heading_at(self, at: datetime) -> float:
        """Where its front looks, degrees from the north."""
        return self.heading_degrees if self.route is None else self.route.find(self._run_m(at))[1]

    def _run_m(self, at: datetime) -> float:
        """How far it has come on its round, or since it moved off."""
        return self.driven_m + self.speed_kph / 3.6 * max(0.0, (at - self.moved_at).total_seconds())

    def report(self) -> Report:
        """What the cloud knows of the car now: fresh to `REPORT_EVERY_S`, or as before it fell silent."""
        if not self.can_be_reached:
            return self.told
        beat_s = self.now.timestamp() // REPORT_EVERY_S * REPORT_EVERY_S
        beat_at = datetime.fromtimestamp(beat_s, self.now.tzinfo)
        return self._report(max(self.changed_at, self.heard_at, beat_at))

    def _report(self, at: datetime) -> Report:
        is_armed = self.armed_until is not None
        return Report(
            at=at,
            is_trunk_locked=self.is_trunk_locked or (is_armed and not self.is_armed_seen),
            is_lid_open=self.is_lid_open,
            are_doors_locked=self.are_doors_locked,
            is_door_open=self.is_door_open,
            position=self.position_at(at),
            heading_degrees=self.heading_at(at),
            speed_kph=self.speed_kph,
        )

    # ---- what is done -----------------------------------------------------------------------------------

    def plan(self, planned: Planned) -> bool:
        """Put a deed on the time line; False when it is full (the car's own relocking always fits)."""
        if len(self.ahead) >= MAX_AHEAD and not planned.is_silent:
            return False
        self.ahead.append(planned)
        self.ahead.sort(key=lambda one: one.at)
        return True

    def advance(self, now: datetime) -> list[Happening]:
        """Do everything that was due up to `now`. A clock that jumps back changes nothing."""
        happened: list[Happening] = []
        while self.ahead and self.ahead[0].at <= now:
            planned = self.ahead.pop(0)
            if planned.is_silent and planned.at != self.armed_until:
                continue  # the window it was meant for is gone
            happened += self._do(planned, max(planned.at, self.now))
        self.now = max(now, self.now)
        return happened

    def do(self, deed: Deed, now: datetime, *, why: str = "") -> tuple[Outcome, list[Happening]]:
        """Do `deed` now, after whatever was due before."""
        happened = self.advance(now)
        run = Run(command_id="", deed=deed)
        happened += self._do(Planned(at=self.now, deed=deed, run=run, why=why), self.now)
        assert run.outcome is not None
        return run.outcome, happened

    def set_modem(
        self, now: datetime, *, is_asleep: bool | None = None, is_online: bool | None = None
    ) -> None:
        """Let the modem sleep, wake, lose or find its network; silent, it keeps what it told last."""
        self.advance(now)
        if self.can_be_reached:
            self.told = self.report()
        self.is_asleep = self.is_asleep if is_asleep is None else is_asleep
        self.is_online = self.is_online if is_online is None else is_online

    def put_down(self, now: datetime, position: Position) -> None:
        """Set the car down elsewhere, parked."""
        self.advance(now)
        self._change(now)
        self.parked_at, self.speed_kph, self.route, self.driven_m = position, 0.0, None, 0.0

    def _do(self, planned: Planned, at: datetime) -> list[Happening]:
        if planned.is_silent:
            self._change(at)
            self.armed_until, self.is_trunk_locked = None, True
            return [
                Happening(
                    at=at, what="relocked", outcome=Outcome.DONE, why="the handle was not pulled in time"
                )
            ]
        deed, self.now = planned.deed, at
        outcome = self._refusal(deed) if deed in BY_CLOUD else None
        if outcome is None:
            outcome = self._carry_out(deed, at)
        if planned.run is not None:
            planned.run.outcome = outcome
        command_id = planned.run.command_id if planned.run else ""
        happened = [
            Happening(at=at, what=deed.value, outcome=outcome, command_id=command_id, why=planned.why)
        ]
        if outcome in WENT_WELL and deed is self.drives_after:
            self.drives_after = None
            due_at = at + timedelta(seconds=self.drives_after_s)
            self.plan(Planned(at=due_at, deed=Deed.DRIVE, why="drives off"))
        return happened

    def _carry_out(self, deed: Deed, at: datetime) -> Outcome:
        match deed:
            case Deed.UNLOCK_TRUNK:
                return self._free_trunk(at)
            case Deed.LOCK_TRUNK:
                return self._lock_trunk(at)
            case Deed.UNLOCK:
                return self._unlock(at)
            case Deed.LOCK | Deed.KEY_LOCK:
                return self._lock(at)
            case Deed.OPEN_TRUNK:
                return self._open_trunk(at)
            case Deed.CLOSE_TRUNK:
                return self._close_trunk(at)
            case Deed.KEY_UNLOCK:
                return self._key_unlock(at)
            case Deed.OPEN_DOOR:
                return self._open_door(at)
            case Deed.CLOSE_DOOR:
                return self._close_door(at)
            case Deed.DRIVE:
                return self._drive(at)
            case Deed.PARK:
                return self._park(at)
            case Deed.ALERT | Deed.LOCATE:
                return Outcome.DONE

    def _refusal(self, deed: Deed) -> Outcome | None:
        """Why the car can't take a command from its cloud."""
        if not self.is_online:
            return Outcome.OFFLINE
        if self.is_asleep:
            return Outcome.ASLEEP
        if self.maker is Maker.VOLVO and deed in (Deed.UNLOCK_TRUNK, Deed.LOCK_TRUNK):
            return Outcome.UNSUPPORTED
        if self.is_moving and deed not in (Deed.LOCATE, Deed.LOCK, Deed.LOCK_TRUNK):
            return Outcome.IN_MOTION
        return None

    def _change(self, at: datetime) -> None:
        """Remember what was told before, since something changes now."""
        if self.can_be_reached:
            self.before = self._report(self.changed_at)
        self.now = self.changed_at = max(at, self.changed_at)

    def _spend(self, left: int | None) -> tuple[bool, int | None]:
        return (left is None or left > 0), (None if left is None else max(0, left - 1))

    def _free_trunk(self, at: datetime) -> Outcome:
        was_free = not self.is_trunk_locked
        self._change(at)
        self.is_trunk_locked = False
        return Outcome.ALREADY if was_free else Outcome.DONE

    def _unlock(self, at: datetime) -> Outcome:
        if self.maker is Maker.VOLVO:
            return self._arm(at)
        self._change(at)
        self.is_trunk_locked = self.are_doors_locked = False
        return Outcome.DONE

    def _arm(self, at: datetime) -> Outcome:
        """Volvo: free the handle for the window. A trunk that is free or open for good stays as it is."""
        if not self.is_trunk_locked and self.armed_until is None:
            return Outcome.ALREADY
        self._change(at)
        self.is_trunk_locked = False
        self.armed_until = at + timedelta(seconds=self.armed_s)
        self.plan(Planned(at=self.armed_until, deed=Deed.LOCK, is_silent=True))
        return Outcome.DONE

    def _lock(self, at: datetime) -> Outcome:
        is_jammed, self.jams_left = self._spend(self.jams_left)
        self._change(at)  # also a lock that fails is reported with a new time
        if self.is_lid_open or (self.maker is Maker.VOLVO and self.is_door_open):
            return Outcome.LID_OPEN
        if is_jammed:
            return Outcome.JAMMED
        was_locked = self.is_trunk_locked and self.are_doors_locked
        self.is_trunk_locked, self.armed_until = True, None
        self.are_doors_locked = not self.is_door_open
        return Outcome.ALREADY if was_locked else Outcome.DONE

    def _lock_trunk(self, at: datetime) -> Outcome:
        doors = self.are_doors_locked
        outcome = self._lock(at)
        self.are_doors_locked = doors
        return outcome

    def _open_trunk(self, at: datetime) -> Outcome:
        if self.is_lid_open:
            return Outcome.ALREADY
        if self.is_moving:
            return Outcome.IN_MOTION
        if self.is_trunk_locked:
            return Outcome.IS_LOCKED
        self._change(at)
        if self.armed_until is not None:
            self.armed_until, self.are_doors_locked = None, False
        self.is_lid_open = True
        return Outcome.DONE

    def _close_trunk(self, at: datetime) -> Outcome:
        if not self.is_lid_open:
            return Outcome.ALREADY
        will_not, self.will_not_close_left = self._spend(self.will_not_close_left)
        if will_not:
            return Outcome.WILL_NOT_CLOSE
        self._change(at)
        self.is_lid_open = False
        return Outcome.DONE

    def _key_unlock(self, at: datetime) -> Outcome:
        self._change(at)
        self.is_trunk_locked, self.are_doors_locked, self.armed_until = False, False, None
        return Outcome.DONE

    def _open_door(self, at: datetime) -> Outcome:
        if self.are_doors_locked:
            return Outcome.IS_LOCKED
        self._change(at)
        self.is_door_open = True
        return Outcome.DONE

    def _close_door(self, at: datetime) -> Outcome:
        self._change(at)
        self.is_door_open = False
        return Outcome.DONE

    def _drive(self, at: datetime) -> Outcome:
        if self.is_moving:
            return Outcome.ALREADY
        self._change(at)
        self.moved_at, self.speed_kph, self.is_asleep = at, 40.0, False
        return Outcome.DONE

    def _park(self, at: datetime) -> Outcome:
        if not self.is_moving:
            return Outcome.ALREADY
        self._change(at)
        self.parked_at, self.driven_m = self.position_at(at), self._run_m(at) if self.route else 0.0
        self.speed_kph = 0.0
        return Outcome.DONE
