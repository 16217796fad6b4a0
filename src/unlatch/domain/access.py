"""Where a parcel may be put: the access point, its closure, and the consignee's consent.

An *access point* is one lockable place of one consignee: here, the trunk of one car near one address.
Its *closure* is what opens and locks: what can be read of it and how its maker's cloud behaves, as far as the
visit protocol must know. A closure whose lock can't be read gives a weaker assurance, and says so (S5).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from enum import StrEnum, auto
from math import asin, cos, radians, sin, sqrt

EARTH_RADIUS_M = 6_371_008.8  # mean radius, IUGG
DEFAULT_RANGE_M = 200.0  # two blocks, as in 2018


class PlaceKind(StrEnum):
    CAR = auto()  # the trunk of a parked car
    HOME = auto()  # a door or a garage door; opened only before a camera that proves it records


class Fallback(StrEnum):
    """Where the parcel goes when the place can't be opened."""

    TO_DOOR = auto()  # left at the door of the address
    NEIGHBOUR = auto()
    PICKUP_POINT = auto()
    TOMORROW = auto()  # tried again the next day
    DEPOT = auto()  # back to the depot


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A point on the Earth (WGS 84, degrees) and the radius it is sure within, metres."""

    latitude: float
    longitude: float
    accuracy_m: float = 0.0

    def __post_init__(self) -> None:
        if not -90 <= self.latitude <= 90 or not -180 <= self.longitude <= 180:
            raise ValueError("latitude must lie in -90..90 and longitude in -180..180 degrees")
        if not 0 <= self.accuracy_m < EARTH_RADIUS_M:
            raise ValueError("accuracy_m must be a radius in metres, 0 or more")


def distance_m(one: Position, other: Position) -> float:
    """Great-circle distance in metres (haversine; correct across the antimeridian and at the poles)."""
    rise = sin(radians(other.latitude - one.latitude) / 2) ** 2
    turn = sin(radians(other.longitude - one.longitude) / 2) ** 2
    half = rise + cos(radians(one.latitude)) * cos(radians(other.latitude)) * turn
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(half)))


class Assurance(StrEnum):
    """How well a closure can show that it is locked; the best first."""

    SEEN = auto()  # its lock and its lid are read
    LID_ALONE = (
        auto()
    )  # it has no lock of its own: a lid that is seen closed is held by what moves it (a garage door)
    BOLT_ALONE = auto()  # its lock is read, its lid is not: a bolt may be thrown while the door stands open
    SAID = auto()  # neither: someone's word


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """What a closure can tell, and how its cloud behaves. Declared by the connector, kept with the visit."""

    reads_lock: bool  # False: locked can never be *seen*; weaker assurance (S5)
    reads_lid: bool  # False: open and closed come from the courier's word alone
    locks_itself_after_s: float | None = None  # unlocked but not opened: relocks by itself
    late_effect_s: float = 300.0  # a command whose end is unknown can't take effect after this long
    read_every_s: float = 5.0  # how often the watch may read while a visit lives
    lid_is_lock: bool = False  # `is_locked` of its readings is drawn from the lid

    @property
    def assurance(self) -> Assurance:
        """How well it can show that it is locked."""
        if not self.reads_lock:
            return Assurance.SAID
        if self.lid_is_lock:
            return Assurance.LID_ALONE
        return Assurance.SEEN if self.reads_lid else Assurance.BOLT_ALONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """The consignee's permission to open this place. Blocking is immediate and needs no reason."""

    is_given: bool
    blocked_at: datetime | None = None
    ends_at: datetime | None = None
    from_local: time | None = None  # daily hours in the address's own time zone; None: all day
    until_local: time | None = None

    def is_alive(self, now: datetime) -> bool:
        """Given, not ended, not blocked."""
        return self.is_given and self.blocked_at is None and (self.ends_at is None or now < self.ends_at)

    def has_hour(self, local: time) -> bool:
        """Whether `local` lies in the daily hours (which may run across midnight)."""
        if self.from_local is None or self.until_local is None:
            return True
        if self.from_local <= self.until_local:
            return self.from_local <= local < self.until_local
        return local >= self.from_local or local < self.until_local
