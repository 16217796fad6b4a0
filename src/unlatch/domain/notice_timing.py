"""When a notice may leave: not in the quiet hours unless it is urgent, and not at all once it is pointless."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any

from unlatch.domain.booking import StopState
from unlatch.domain.notice import NoticeEvent, is_urgent

E = NoticeEvent

# After so long nobody has any use for it. What is not named here is worth telling however late.
POINTLESS_AFTER_S: Mapping[NoticeEvent, int] = {
    E.COURIER_ON_THE_WAY: 2 * 3600,
    E.COURIER_ARRIVING: 3600,
    E.PREFLIGHT_FAILED: 2 * 3600,  # by then it was mended or ruled out, which is told by itself
    E.PREFLIGHT_MENDED: 2 * 3600,
    E.UNLOCKED: 2 * 3600,  # how the visit ended is told by itself
}
# Once the window is over there is nothing to park for, to mend or to wait for.
POINTLESS_AFTER_WINDOW = frozenset(
    {
        E.MORNING_OF_DELIVERY,
        E.PREFLIGHT_FAILED,
        E.PREFLIGHT_MENDED,
        E.COURIER_ON_THE_WAY,
        E.COURIER_ARRIVING,
    }
)
# What swings back and forth at one place: only how it stands now is worth telling, so a newer one takes an older one's
# place. After so many changes within the time, the next one waits, and is told as it stands by then.
SWINGS = frozenset({E.BLOCKED, E.UNBLOCKED})
CHANGES_TOLD_AT_ONCE = 4
CHANGES_WITHIN_S = 3600
CHANGES_WAIT_S = 600
# What a booking is, and what its day brings: told late, it may contradict what has been told since.
OF_PLAN = frozenset({E.BOOKED, E.BOOKING_CHANGED, E.REDIRECTED})
OF_DAY = frozenset(
    {
        E.MORNING_OF_DELIVERY,
        E.PREFLIGHT_FAILED,
        E.PREFLIGHT_MENDED,
        E.RULED_OUT,
        E.COURIER_ON_THE_WAY,
        E.COURIER_ARRIVING,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StopNow:
    """How a stop stands when a letter about it is about to leave."""

    state: StopState
    access_point_id: str
    window_from: datetime
    window_until: datetime
    fallback: str
    ruled_out: str | None
    heading_at: datetime | None
    arriving_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """From when until when a person wants to be left alone, every day, by the clock of `zone`. May span midnight."""

    from_local: time
    until_local: time
    zone: tzinfo

    def find_end(self, at: datetime) -> datetime | None:
        """When the quiet hours that hold `at` end; None: none do. From 22:00 until 22:00 is never quiet.

        Read off the wall clock, so on the two days a year when it jumps they are an hour longer or shorter. An end that
        the clock passes over in spring (2:30) comes as long after the jump (3:30).
        """
        local = at.astimezone(self.zone)
        wall = local.time()
        if self.from_local < self.until_local:
            is_quiet, days = self.from_local <= wall < self.until_local, 0
        else:
            is_quiet = self.from_local != self.until_local and (
                wall >= self.from_local or wall < self.until_local
            )
            days = 1 if wall >= self.from_local else 0
        if not is_quiet:
            return None
        ends = datetime.combine(local.date() + timedelta(days=days), self.until_local, tzinfo=self.zone)
        ends_at = ends.astimezone(UTC)
        # In autumn an hour comes twice: the quiet hours end when their end comes for the first time that lies ahead.
        return ends_at if ends_at > at else ends.replace(fold=1).astimezone(UTC)


def is_pointless(event: NoticeEvent, facts: Mapping[str, Any], *, told_at: datetime, at: datetime) -> bool:
    """Whether to tell this `at` that moment would help nobody any more."""
    after_s = POINTLESS_AFTER_S.get(event)
    if after_s is not None and at - told_at > timedelta(seconds=after_s):
        return True
    if event not in POINTLESS_AFTER_WINDOW:
        return False
    until = read_moment(facts.get("window_until"))
    return until is not None and at >= until


def is_overtaken(
    event: NoticeEvent, facts: Mapping[str, Any], stop: StopNow, *, place_id: str | None, told_at: datetime
) -> bool:
    """Whether what was told of a stop is not so any more: the booking has changed since, and that is told by itself.

    An extension overtakes nothing of the day: where to park, and who is on the way, is as it was.
    """
    if event in OF_PLAN:
        if stop.state == StopState.CANCELLED or not _is_in_window(facts, stop, "window_from", "window_until"):
            return True
        is_redirect = event is E.REDIRECTED
        return is_redirect and (stop.ruled_out is None or facts.get("fallback") != stop.fallback)
    if event not in OF_DAY:
        return False
    if stop.state == StopState.CANCELLED or place_id != stop.access_point_id:
        return True
    if not _is_in_window(facts, stop, "window_from"):
        return True
    if event is E.RULED_OUT:
        return stop.ruled_out is None
    if stop.state != StopState.OPEN or stop.ruled_out is not None:
        return True
    set_at = {E.COURIER_ON_THE_WAY: stop.heading_at, E.COURIER_ARRIVING: stop.arriving_at}
    if event not in set_at:
        return False
    since = set_at[event]
    return since is None or told_at < since  # of a courier who has it no more


def _is_in_window(facts: Mapping[str, Any], stop: StopNow, *names: str) -> bool:
    """Whether these moments of the stop are as they were told, to the second. Untold ones contradict nothing."""
    told = {name: read_moment(facts.get(name)) for name in names}
    return all(
        at is None or at.replace(microsecond=0) == getattr(stop, name).replace(microsecond=0)
        for name, at in told.items()
    )


def leaves_at(event: NoticeEvent, quiet: QuietHours | None, at: datetime) -> datetime:
    """When what is due `at` may leave."""
    if quiet is None or is_urgent(event):
        return at
    return quiet.find_end(at) or at


def read_moment(given: Any) -> datetime | None:
    """A moment among the facts (RFC 3339 with an offset); None where it is none."""
    if not isinstance(given, str):
        return None
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None
