"""What a reading shows: good news only when fresh, told and readable; bad news at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlatch.domain.access import Closure
from unlatch.domain.reading import Reading, Sight, sight_of

NOW = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)
STRONG = Closure(reads_lock=True, reads_lid=True)
MICROSECOND = timedelta(microseconds=1)

moments = st.none() | st.integers(-5, 5).map(lambda seconds: NOW + timedelta(seconds=seconds))
answers = st.none() | st.booleans()
closures = st.builds(Closure, reads_lock=st.booleans(), reads_lid=st.booleans())
readings = st.builds(
    Reading,
    observed_at=st.integers(-5, 5).map(lambda seconds: NOW + timedelta(seconds=seconds)),
    is_locked=answers,
    is_open=answers,
    is_moving=answers,
)


@given(readings, closures, moments, moments)
def test_locked_is_seen_only_if_fresh_told_and_readable(
    reading: Reading, closure: Closure, last_used_at: datetime | None, last_command_at: datetime | None
) -> None:
    sight = sight_of(reading, closure, last_used_at=last_used_at, last_command_at=last_command_at)
    is_new = last_used_at is None or reading.observed_at > last_used_at
    is_after = last_command_at is None or reading.observed_at > last_command_at
    is_shut = reading.is_open is False or (reading.is_open is None and not closure.reads_lid)
    good = is_new and is_after and closure.reads_lock and reading.is_locked is True and is_shut
    assert (sight is Sight.LOCKED) is good


@given(readings, closures, moments, moments)
def test_open_is_believed_at_once_and_only_if_told(
    reading: Reading, closure: Closure, last_used_at: datetime | None, last_command_at: datetime | None
) -> None:
    sight = sight_of(reading, closure, last_used_at=last_used_at, last_command_at=last_command_at)
    is_new = last_used_at is None or reading.observed_at > last_used_at
    assert (sight is Sight.OPEN) is (is_new and reading.is_open is True)


@given(readings, closures, moments, moments)
def test_an_older_or_equal_reading_changes_nothing(
    reading: Reading, closure: Closure, last_used_at: datetime | None, last_command_at: datetime | None
) -> None:
    if last_used_at is not None and reading.observed_at <= last_used_at:
        found = sight_of(reading, closure, last_used_at=last_used_at, last_command_at=last_command_at)
        assert found is Sight.NOTHING


@pytest.mark.parametrize(
    ("command_at", "sight"),
    [
        (None, Sight.LOCKED),
        (NOW - MICROSECOND, Sight.LOCKED),
        (NOW, Sight.NOTHING),
        (NOW + MICROSECOND, Sight.NOTHING),
    ],
)
def test_locked_counts_only_after_our_last_command(command_at: datetime | None, sight: Sight) -> None:
    reading = Reading(observed_at=NOW, is_locked=True, is_open=False)
    assert sight_of(reading, STRONG, last_used_at=None, last_command_at=command_at) is sight


@pytest.mark.parametrize(
    ("is_locked", "is_open"), [*product((False, None, True), (True,)), (False, False), (False, None)]
)
def test_bad_news_counts_even_from_before_our_last_command(
    is_locked: bool | None, is_open: bool | None
) -> None:
    reading = Reading(observed_at=NOW, is_locked=is_locked, is_open=is_open)
    found = sight_of(reading, STRONG, last_used_at=None, last_command_at=NOW + timedelta(hours=1))
    assert found is (Sight.OPEN if is_open else Sight.CLOSED)


@given(readings, moments, moments)
def test_a_closure_whose_lock_cannot_be_read_shows_open_or_nothing(
    reading: Reading, last_used_at: datetime | None, last_command_at: datetime | None
) -> None:
    weak = Closure(reads_lock=False, reads_lid=True)
    found = sight_of(reading, weak, last_used_at=last_used_at, last_command_at=last_command_at)
    assert found in (Sight.OPEN, Sight.NOTHING)
