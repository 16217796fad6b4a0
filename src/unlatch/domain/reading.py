"""What a device says about itself, and which fact of the visit that is.

Only a reading moves the door: a command's answer never does. S7: a reading older than the last one used
changes nothing. S5: *locked* counts only when it was observed after our last command to that closure.
Bad news (open, unlocked) is believed at once, whoever brings it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, auto

from unlatch.domain.access import Closure, Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One look of a device at itself. None: the device did not tell.

    `observed_at` is when the *device* saw it, as its cloud reports it; never when we asked.
    """

    observed_at: datetime
    is_locked: bool | None = None
    is_open: bool | None = None
    is_moving: bool | None = None
    is_bolted_inside: bool | None = None  # homes: a second bolt is thrown, so someone shut it from inside
    is_alarm_armed: bool | None = None  # homes
    is_pet_loose: bool | None = None  # homes: an animal could run out
    position: Position | None = None


class Sight(StrEnum):
    """What a reading shows of a closure."""

    LOCKED = auto()  # closed and locked, observed after our last command
    CLOSED = auto()  # closed, not locked
    OPEN = auto()
    NOTHING = auto()  # too old, not told, or not to be trusted as good news


def sight_of(
    reading: Reading, closure: Closure, *, last_used_at: datetime | None, last_command_at: datetime | None
) -> Sight:
    """What `reading` shows, given when the last used reading was observed and when our last command left."""
    if last_used_at is not None and reading.observed_at <= last_used_at:
        return Sight.NOTHING
    if reading.is_open:
        return Sight.OPEN
    if not closure.reads_lock or reading.is_locked is None:
        return Sight.NOTHING
    if not reading.is_locked:
        return Sight.CLOSED
    if closure.reads_lid and reading.is_open is None:
        return Sight.NOTHING  # could tell whether it is open, and did not: no good news
    if last_command_at is not None and reading.observed_at <= last_command_at:
        return Sight.NOTHING
    return Sight.LOCKED
