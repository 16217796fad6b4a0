"""Who may speak to one cloud now: room that closings never share, a breaker, and each car's budget.

Overload sheds openings, never closings (protocol L5): an opening finds no room first and is refused at once;
a reading waits for room; a lock waits only when the room that nobody else may use is full of locks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum, auto


class Purpose(StrEnum):
    """What a request is for. Openings are shed first, closings never."""

    OPENING = auto()
    READING = auto()
    CLOSING = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """How many requests may be under way to one cloud from this process when one of each purpose starts."""

    opening: int = 192
    reading: int = 256
    closing: int = 320


class Room:
    """Requests under way, counted; those that may wait are let in by rank, then in order."""

    def __init__(self, ceilings: Ceilings) -> None:
        self._ceilings = {
            Purpose.OPENING: ceilings.opening,
            Purpose.READING: ceilings.reading,
            Purpose.CLOSING: ceilings.closing,
        }
        self._waiting: dict[Purpose, deque[asyncio.Future[None]]] = {
            Purpose.CLOSING: deque(),
            Purpose.READING: deque(),
        }
        self.taken = 0

    def has_room(self, purpose: Purpose) -> bool:
        """Whether one more of this purpose may start now."""
        return self.taken < self._ceilings[purpose]

    async def enter(self, purpose: Purpose) -> None:
        """Take a place, waiting for it; an opening must ask `has_room` first and never waits."""
        if self.has_room(purpose):
            self.taken += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[purpose].append(turn)
        try:
            await turn  # whoever leaves takes the place for us
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        """Give a place back; the next that waits gets it."""
        self.taken -= 1
        for purpose, turns in self._waiting.items():
            while turns and self.has_room(purpose):
                turn = turns.popleft()
                if not turn.done():
                    self.taken += 1
                    turn.set_result(None)
                    return


class Breaker:
    """Sheds openings while a cloud fails; readings and closings go on, and heal it.

    One broken car is not a broken cloud: failures that may be the car's own (no answer, a 5xx) count once per
    car. Three connections in a row that could not be made are the cloud's own.
    """

    FAILING_CARS = 5
    FAILED_CONNECTIONS = 3
    REST_S = 15.0  # town seconds until one opening may try

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._failing: set[str] = set()
        self._failed_connections = 0
        self._open_until_s: float | None = None

    def succeeded(self) -> None:
        """The cloud answered sensibly."""
        self._failing.clear()
        self._failed_connections = 0
        self._open_until_s = None

    def failed(self, car: str, *, has_connected: bool) -> None:
        """The cloud did not, for a request about `car`."""
        if has_connected:
            if len(self._failing) < self.FAILING_CARS:
                self._failing.add(car)
        else:
            self._failed_connections += 1
        has_failing_cars = len(self._failing) >= self.FAILING_CARS
        is_unreachable = self._failed_connections >= self.FAILED_CONNECTIONS
        if (has_failing_cars or is_unreachable) and not self.is_open():
            self._open_until_s = self._now_s() + self.REST_S

    def is_open(self) -> bool:
        """Whether openings are shed now."""
        return self._open_until_s is not None and self._now_s() < self._open_until_s

    def try_one(self) -> None:
        """An opening passes after the rest: others wait for its end, or for another rest."""
        if self._open_until_s is not None:
            self._open_until_s = self._now_s() + self.REST_S


@dataclass(slots=True)
class _Spent:
    times_s: deque[float] = field(default_factory=deque)
    refused_until_s: float = 0.0


class Budgets:
    """Commands of the last minute per car, and what the cloud's 429 told us to wait for. Town seconds."""

    KEPT_FOR_CLOSINGS = 3
    MINUTE_S = 60.0
    MOST_CARS = 10_000

    def __init__(self, now_s: Callable[[], float], commands_a_minute: int | None) -> None:
        self._now_s = now_s
        self._most = None if commands_a_minute is None else commands_a_minute - self.KEPT_FOR_CLOSINGS
        self._cars: dict[str, _Spent] = {}

    def wait_s(self, car: str) -> float:
        """How long until an opening of this car may leave; 0 is now. Closings never ask."""
        spent = self._cars.get(car)
        if spent is None:
            return 0.0
        now_s = self._now_s()
        self._forget(spent, now_s)
        wait_s = max(0.0, spent.refused_until_s - now_s)
        if self._most is not None and len(spent.times_s) >= self._most:
            wait_s = max(wait_s, spent.times_s[-self._most] + self.MINUTE_S - now_s)
        return wait_s

    def spend(self, car: str) -> None:
        """A command of this car leaves now."""
        if self._most is not None:
            self._spent(car).times_s.append(self._now_s())

    def refused(self, car: str, *, for_s: float) -> None:
        """The cloud said: too many."""
        self._spent(car).refused_until_s = self._now_s() + for_s

    def _spent(self, car: str) -> _Spent:
        if len(self._cars) >= self.MOST_CARS and car not in self._cars:
            self._drop_stale()
        return self._cars.setdefault(car, _Spent())

    def _drop_stale(self) -> None:
        now_s = self._now_s()
        for spent in self._cars.values():
            self._forget(spent, now_s)
        self._cars = {
            car: spent for car, spent in self._cars.items() if spent.times_s or spent.refused_until_s > now_s
        }

    def _forget(self, spent: _Spent, now_s: float) -> None:
        while spent.times_s and spent.times_s[0] <= now_s - self.MINUTE_S:
            spent.times_s.popleft()
