"""Windows by the clock on the wall, on every kind of day, against a search through each minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from unlatch.domain.window import (
    Window,
    WindowFault,
    WindowSpan,
    check_span,
    find_end,
    find_instant,
    find_span,
    list_windows,
    read_clock,
)

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ODD = (
    "Europe/Paris",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Europe/Dublin",
    "Asia/Kathmandu",
    "Africa/Casablanca",
)
OF_US = sorted(
    name
    for name in available_timezones()
    if name.startswith(("US/", "America/Indiana/", "America/Kentucky/", "America/North_Dakota/"))
    or name
    in (
        "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles", "America/Phoenix",
        "America/Anchorage", "America/Boise", "America/Detroit", "America/Menominee", "America/Adak", "America/Juneau",
        "America/Metlakatla", "America/Nome", "America/Sitka", "America/Yakutat", "Pacific/Honolulu",
        "America/Puerto_Rico", "Pacific/Guam", "Pacific/Pago_Pago",
    )
)  # fmt: skip
NEW_YORK, PARIS, APIA = ZoneInfo("America/New_York"), ZoneInfo("Europe/Paris"), ZoneInfo("Pacific/Apia")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def span_of(day: str, begins: str, hours: float, zone: ZoneInfo) -> WindowSpan | WindowFault:
    window = Window(day=date.fromisoformat(day), begins=time.fromisoformat(begins), length_s=hours * 3600)
    return find_span(window, zone)


@pytest.mark.parametrize(
    ("zone", "day", "begins", "hours", "expected"),
    [
        # 16:00 to 20:00 on a usual day, on that of 23 hours and on that of 25
        ("America/New_York", "2026-11-27", "16:00", 4, ("2026-11-27T21:00Z", "2026-11-28T01:00Z")),
        ("America/New_York", "2026-03-08", "16:00", 4, ("2026-03-08T20:00Z", "2026-03-09T00:00Z")),
        ("America/New_York", "2026-11-01", "16:00", 4, ("2026-11-01T21:00Z", "2026-11-02T01:00Z")),
        # across the change itself: 3 and 5 real hours
        ("America/New_York", "2026-03-08", "00:00", 4, ("2026-03-08T05:00Z", "2026-03-08T08:00Z")),
        ("America/New_York", "2026-11-01", "00:00", 4, ("2026-11-01T04:00Z", "2026-11-01T09:00Z")),
        ("America/New_York", "2026-03-08", "00:00", 24, ("2026-03-08T05:00Z", "2026-03-09T04:00Z")),
        ("America/New_York", "2026-11-01", "00:00", 24, ("2026-11-01T04:00Z", "2026-11-02T05:00Z")),
        # a beginning that is left out, to the minute
        ("America/New_York", "2026-03-08", "01:59", 4, ("2026-03-08T06:59Z", "2026-03-08T09:59Z")),
        ("America/New_York", "2026-03-08", "02:00", 4, None),
        ("America/New_York", "2026-03-08", "02:59", 4, None),
        ("America/New_York", "2026-03-08", "03:00", 4, ("2026-03-08T07:00Z", "2026-03-08T11:00Z")),
        # an end that is left out is the jump itself
        ("America/New_York", "2026-03-08", "00:30", 2, ("2026-03-08T05:30Z", "2026-03-08T07:00Z")),
        # a beginning, and an end, that come twice mean the first
        ("America/New_York", "2026-11-01", "01:30", 4, ("2026-11-01T05:30Z", "2026-11-01T10:30Z")),
        ("America/New_York", "2026-11-01", "00:30", 1, ("2026-11-01T04:30Z", "2026-11-01T05:30Z")),
        ("America/New_York", "2026-11-01", "01:30", 0.5, ("2026-11-01T05:30Z", "2026-11-01T07:00Z")),
        ("Europe/Paris", "2026-03-29", "02:30", 1, None),
        ("Europe/Paris", "2026-10-25", "02:30", 1, ("2026-10-25T00:30Z", "2026-10-25T02:30Z")),
        # half an hour
        ("Australia/Lord_Howe", "2026-10-04", "02:00", 4, None),
        ("Australia/Lord_Howe", "2026-10-04", "02:29", 4, None),
        ("Australia/Lord_Howe", "2026-10-04", "02:30", 4, ("2026-10-03T15:30Z", "2026-10-03T19:30Z")),
        ("Australia/Lord_Howe", "2026-04-05", "01:00", 4, ("2026-04-04T14:00Z", "2026-04-04T18:30Z")),
        # the day that Samoa left out
        ("Pacific/Apia", "2011-12-29", "16:00", 4, ("2011-12-30T02:00Z", "2011-12-30T06:00Z")),
        ("Pacific/Apia", "2011-12-29", "22:00", 4, ("2011-12-30T08:00Z", "2011-12-30T10:00Z")),
        ("Pacific/Apia", "2011-12-30", "00:00", 4, None),
        ("Pacific/Apia", "2011-12-30", "16:00", 4, None),
        ("Pacific/Apia", "2011-12-31", "00:00", 4, ("2011-12-30T10:00Z", "2011-12-30T14:00Z")),
    ],
)  # fmt: skip
def test_the_clock_on_the_wall(
    zone: str, day: str, begins: str, hours: float, expected: tuple[str, str] | None
) -> None:
    span = span_of(day, begins, hours, ZoneInfo(zone))
    if expected is None:
        assert span is WindowFault.TIME_LEFT_OUT
    else:
        assert span == WindowSpan(from_at=at(expected[0]), until_at=at(expected[1]))


@pytest.mark.parametrize(("day", "seconds"), [("2026-11-27", 4), ("2026-03-08", 3), ("2026-11-01", 5)])
def test_the_first_and_the_last_second_of_a_window(day: str, seconds: int) -> None:
    span = span_of(day, "00:00", 4, NEW_YORK)
    assert isinstance(span, WindowSpan)
    assert span.until_at - span.from_at == seconds * HOUR
    assert [span.has(span.from_at + off) for off in (-SECOND, timedelta(0), SECOND)] == [False, True, True]
    assert [span.has(span.until_at + off) for off in (-SECOND, timedelta(0))] == [True, False]
    assert f"{read_clock(span.until_at - SECOND, NEW_YORK):%H:%M:%S}" == "03:59:59"


# ---- against a search through each minute


@cache
def days_of_change(zone: str) -> tuple[date, ...]:
    """The days from 2005 to 2037 on which its offset changes, and the days beside them."""
    key, found, day = ZoneInfo(zone), set(), datetime(2005, 1, 1, tzinfo=UTC)
    while day.year < 2038:
        if day.astimezone(key).utcoffset() != (day + DAY).astimezone(key).utcoffset():
            found |= {day.date() + number * DAY for number in (-1, 0, 1, 2)}
        day += DAY
    return tuple(sorted(found)) or (date(2026, 11, 27),)


def search(local: datetime, zone: ZoneInfo, *, may_pass: bool) -> datetime | None:
    """The first minute in which the clock shows `local`; `may_pass`: or more than that."""
    minute = local.replace(tzinfo=UTC) - 27 * HOUR
    for _ in range(54 * 60):
        clock = read_clock(minute, zone)
        if clock == local or (may_pass and clock > local):
            return minute
        minute += MINUTE
    return None


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, date, int, int]:
    zone = draw(st.sampled_from([*OF_US, *ODD]))
    changing = st.sampled_from(days_of_change(zone))
    day = draw(st.one_of(changing, changing, st.dates(date(2005, 1, 1), date(2037, 12, 31))))
    return zone, day, draw(st.integers(0, 24 * 60 - 1)), draw(st.integers(1, 24 * 60))


@given(cases())
@example(("Pacific/Apia", date(2011, 12, 30), 720, 240))
@example(("Pacific/Apia", date(2011, 12, 29), 1439, 1440))
@example(("Australia/Lord_Howe", date(2026, 10, 4), 120, 30))
@example(("Australia/Lord_Howe", date(2026, 4, 5), 119, 1))
def test_every_window_is_what_a_search_through_each_minute_finds(case: tuple[str, date, int, int]) -> None:
    name, day, begins_min, length_min = case
    zone = ZoneInfo(name)
    window = Window(day=day, begins=time(*divmod(begins_min, 60)), length_s=length_min * 60)
    span = find_span(window, zone)
    expected = search(window.local_from, zone, may_pass=False)
    if expected is None:
        assert span is WindowFault.TIME_LEFT_OUT
        return
    assert isinstance(span, WindowSpan)
    assert span.from_at == expected
    # An end that comes twice is the first; one that is left out is the jump: the first time that is not before it.
    assert span.until_at == search(window.local_until, zone, may_pass=True)
    assert span.from_at < span.until_at
    assert span.has(span.from_at)
    assert not span.has(span.from_at - SECOND)
    assert span.has(span.until_at - SECOND)
    assert not span.has(span.until_at)
    assert read_clock(span.until_at - SECOND, zone) < window.local_until
    # What is offered may be booked as instants too, and a second more may not.
    begins = (window.begins,)
    assert check_span(span, begins, window.length_s, zone) is None
    longer = WindowSpan(from_at=span.from_at, until_at=span.until_at + SECOND)
    assert check_span(longer, begins, window.length_s, zone) is WindowFault.TOO_LONG
    later = WindowSpan(from_at=span.from_at + SECOND, until_at=span.until_at + SECOND)
    assert check_span(later, begins, window.length_s, zone) is WindowFault.BEGINS_OTHERWISE


@given(cases())
def test_the_first_moment_of_a_time_is_found(case: tuple[str, date, int, int]) -> None:
    name, day, minutes, _ = case
    zone, local = ZoneInfo(name), datetime.combine(day, time(*divmod(minutes, 60)))
    assert find_instant(local, zone) == search(local, zone, may_pass=False)
    assert find_end(local, zone) == search(local, zone, may_pass=True)


# ---- windows to choose from


def test_the_next_windows_leave_out_what_the_clock_leaves_out() -> None:
    begins = (time(2, 30), time(16))
    found = list_windows(begins, 4 * 3600, NEW_YORK, after=at("2026-03-07T12:00:00-05:00"), limit=4)
    assert [(f"{window.day}", f"{window.begins:%H:%M}") for window, _ in found] == [
        ("2026-03-07", "16:00"), ("2026-03-08", "16:00"), ("2026-03-09", "02:30"), ("2026-03-09", "16:00")
    ]  # fmt: skip
    assert [span.from_at for _, span in found] == sorted(span.from_at for _, span in found)


def test_a_window_that_has_begun_is_none_of_the_next() -> None:
    begins = (time(16), time(8))
    for now, first in (("15:59:59", "16:00"), ("16:00:00", "08:00"), ("16:00:01", "08:00")):
        ((window, _),) = list_windows(begins, 3600, PARIS, after=at(f"2026-11-27T{now}+01:00"), limit=1)
        assert f"{window.begins:%H:%M}" == first
    assert list_windows((), 3600, PARIS, after=at("2026-11-27T00:00:00Z"), limit=5) == []
    skipped = list_windows((time(8),), 3600, APIA, after=at("2011-12-29T12:00:00-10:00"), limit=1)
    assert skipped[0][0].day == date(2011, 12, 31)


def test_a_window_as_instants() -> None:
    begins, length_s = (time(8), time(16)), 4 * 3600

    def check(start: str, until: str, when: tuple[time, ...] = begins) -> WindowFault | None:
        return check_span(WindowSpan(from_at=at(start), until_at=at(until)), when, length_s, NEW_YORK)

    assert check("2026-11-27T16:00:00-05:00", "2026-11-27T20:00:00-05:00") is None
    assert check("2026-11-27T16:00:00-05:00", "2026-11-27T18:00:00-05:00") is None
    assert check("2026-11-27T21:00:00Z", "2026-11-28T01:00:01Z") is WindowFault.TOO_LONG
    assert check("2026-11-27T16:00:01-05:00", "2026-11-27T17:00:00-05:00") is WindowFault.BEGINS_OTHERWISE
    assert check("2026-11-27T16:00:00Z", "2026-11-27T17:00:00Z") is WindowFault.BEGINS_OTHERWISE
    assert check("2026-11-27T03:17:00-05:00", "2026-11-27T07:17:00-05:00", ()) is None
    assert check("2026-11-27T03:17:00-05:00", "2026-11-27T07:17:01-05:00", ()) is WindowFault.TOO_LONG
    # on the days of change, at any time: by the clock or by the stop-watch, whichever is longer
    assert check("2026-03-08T00:00:00-05:00", "2026-03-08T05:00:00-04:00", ()) is None
    assert check("2026-03-08T00:00:00-05:00", "2026-03-08T05:00:01-04:00", ()) is WindowFault.TOO_LONG
    assert check("2026-11-01T00:00:00-04:00", "2026-11-01T04:00:00-05:00", ()) is None
    assert check("2026-11-01T00:00:00-04:00", "2026-11-01T04:00:01-05:00", ()) is WindowFault.TOO_LONG
    # the second time that it is 01:30 is none of the programme's, which means the first
    assert check("2026-11-01T01:30:00-04:00", "2026-11-01T02:00:00-05:00", (time(1, 30),)) is None
    second = check("2026-11-01T01:30:00-05:00", "2026-11-01T02:00:00-05:00", (time(1, 30),))
    assert second is WindowFault.BEGINS_OTHERWISE
