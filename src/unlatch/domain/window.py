"""The window of a delivery: so many hours of one day, by the clock on the wall at the address.

16:00 to 20:00 is so on every day of the year, be it of 23, 24 or 25 hours. Clocks are put forward and back, and so:

- A window can't begin at a time that the clock leaves out that day. It is refused, and not offered.
- Where a time comes twice, a window begins and ends the first time.
- One that ends at a time that is left out ends at the moment at which the clock jumps over it.

A moment lies in a window from its first instant on, and before its end: 20:00:00 itself is outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum, auto
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
MAX_DAYS_AHEAD = 14  # that are looked through for coming windows


class WindowFault(StrEnum):
    """What is wrong with a window."""

    TIME_LEFT_OUT = auto()  # the clock jumps over its beginning that day
    BEGINS_OTHERWISE = auto()  # not at one of the programme's times
    TOO_LONG = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Hours of one day by the address's clock."""

    day: date
    begins: time  # without a time zone
    length_s: float

    @property
    def local_from(self) -> datetime:
        """What the clock shows as it begins."""
        return datetime.combine(self.day, self.begins)

    @property
    def local_until(self) -> datetime:
        """What the clock shows as it ends."""
        return self.local_from + timedelta(seconds=self.length_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSpan:
    """A window as instants, in UTC."""

    from_at: datetime
    until_at: datetime

    def has(self, at: datetime) -> bool:
        """Whether this moment lies in it."""
        return self.from_at <= at < self.until_at


def read_clock(at: datetime, zone: ZoneInfo) -> datetime:
    """What the clock on the wall shows at this moment, without a time zone."""
    return at.astimezone(zone).replace(tzinfo=None, fold=0)


def find_instant(local: datetime, zone: ZoneInfo) -> datetime | None:
    """The first moment at which the clock shows `local`, in UTC; None where it never does."""
    at = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    return at if read_clock(at, zone) == local else None


def find_end(local: datetime, zone: ZoneInfo) -> datetime:
    """The first moment at which the clock shows `local`, or would have if it had not jumped over it; in UTC."""
    at = find_instant(local, zone)
    if at is not None:
        return at
    # A time that is left out, read with the offset of after the jump, lies before it, and the other way round.
    before = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    after = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if read_clock(middle, zone) >= local:
            after = middle
        else:
            before = middle
    return after


def find_span(window: Window, zone: ZoneInfo) -> WindowSpan | WindowFault:
    """The window as instants; TIME_LEFT_OUT where it has no beginning."""
    from_at = find_instant(window.local_from, zone)
    if from_at is None:
        return WindowFault.TIME_LEFT_OUT
    return WindowSpan(from_at=from_at, until_at=find_end(window.local_until, zone))


def list_windows(
    begins: Sequence[time], length_s: float, zone: ZoneInfo, *, after: datetime, limit: int
) -> list[tuple[Window, WindowSpan]]:
    """The next windows that begin after this moment, in order."""
    found: list[tuple[Window, WindowSpan]] = []
    for window, span in _walk(sorted(begins), length_s, zone, read_clock(after, zone).date()):
        if len(found) == limit:
            break
        if span.from_at > after:
            found.append((window, span))
    return found


def _walk(
    begins: Sequence[time], length_s: float, zone: ZoneInfo, first: date
) -> Iterator[tuple[Window, WindowSpan]]:
    for number in range(MAX_DAYS_AHEAD + 1):
        for each in begins:
            window = Window(day=first + number * DAY, begins=each, length_s=length_s)
            span = find_span(window, zone)
            if isinstance(span, WindowSpan):
                yield window, span


def check_span(
    span: WindowSpan, begins: Sequence[time], length_s: float, zone: ZoneInfo
) -> WindowFault | None:
    """What stands against a window that was given as instants; `begins` empty: it may begin at any time.

    Where windows begin at set times, the clock on the wall tells how long one may be. Where they don't, it may be so
    long by the clock on the wall or by a stop-watch, whichever is longer: on the day of 23 hours a day is 24 all the
    same.
    """
    local = read_clock(span.from_at, zone)
    window = Window(day=local.date(), begins=local.time(), length_s=length_s)
    usual = find_span(window, zone)
    if begins:
        if local.time() not in begins or not isinstance(usual, WindowSpan) or usual.from_at != span.from_at:
            return WindowFault.BEGINS_OTHERWISE
        return WindowFault.TOO_LONG if span.until_at > usual.until_at else None
    latest = max(find_end(window.local_until, zone), span.from_at + timedelta(seconds=length_s))
    return WindowFault.TOO_LONG if span.until_at > latest else None
