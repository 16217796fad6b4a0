"""The physics of a home: a table of deeds, and rules that no sequence of deeds breaks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unlatch.town.car import Outcome
from unlatch.town.home import BY_HUB, LASTS_S, Home, HomeDeed, HomeKind, HomeRun

BEGAN_AT = datetime(2026, 4, 24, 9, 0, tzinfo=UTC)
D, R = HomeDeed, Outcome
DOOR, GARAGE = HomeKind.DOOR, HomeKind.GARAGE


def at(seconds: float) -> datetime:
    return BEGAN_AT + timedelta(seconds=seconds)


def stood(kind: HomeKind, **papers: Any) -> Home:
    return Home(home_id="h", kind=kind, born_at=BEGAN_AT, **papers)


TABLE: list[tuple[str, Home, list[tuple[float, HomeDeed, Outcome]], dict[str, object]]] = [
    ("a bolted door stays shut", stood(DOOR), [(1, D.OPEN_DOOR, R.IS_LOCKED)], {"is_open": False}),
    (
        "unlocked, opened, closed, locked",
        stood(DOOR),
        [(1, D.UNLOCK, R.DONE), (2, D.OPEN_DOOR, R.DONE), (3, D.CLOSE_DOOR, R.DONE), (4, D.LOCK, R.DONE)],
        {"is_secured": True},
    ),
    (
        "closed is not locked until told",
        stood(DOOR),
        [(1, D.UNLOCK, R.DONE), (2, D.OPEN_DOOR, R.DONE), (3, D.CLOSE_DOOR, R.DONE)],
        {"is_secured": False, "is_open": False},
    ),
    (
        "a bolt in the air keeps the door from closing",
        stood(DOOR),
        [
            (1, D.UNLOCK, R.DONE),
            (2, D.OPEN_DOOR, R.DONE),
            (3, D.LOCK, R.DONE),
            (4, D.CLOSE_DOOR, R.WILL_NOT_CLOSE),
        ],
        {"is_thrown": True, "is_open": True, "is_secured": False},
    ),
    (
        "a second bolt holds what the first has let go",
        stood(DOOR, has_second_bolt=True),
        [(1, D.THROW_SECOND_BOLT, R.DONE), (2, D.UNLOCK, R.DONE), (3, D.OPEN_DOOR, R.IS_LOCKED)],
        {"is_open": False},
    ),
    (
        "a latch that is pulled lets the door spring open",
        stood(DOOR),
        [(1, D.UNLATCH, R.DONE), (2, D.OPEN_DOOR, R.ALREADY)],
        {"is_open": True},
    ),
    (
        "a latch behind a second bolt",
        stood(DOOR, is_second_thrown=True),
        [(1, D.UNLATCH, R.DONE)],
        {"is_open": False},
    ),
    ("no second bolt", stood(DOOR), [(1, D.THROW_SECOND_BOLT, R.UNSUPPORTED)], {"is_second_thrown": False}),
    (
        "a jam",
        stood(DOOR, jams_left=1),
        [(1, D.UNLOCK, R.DONE), (2, D.LOCK, R.JAMMED), (3, D.LOCK, R.DONE)],
        {"is_jammed": False, "is_secured": True},
    ),
    (
        "the key knows no jam of the motor",
        stood(DOOR, jams_left=None),
        [(1, D.KEY_UNLOCK, R.DONE), (2, D.KEY_LOCK, R.DONE), (3, D.KEY_LOCK, R.ALREADY)],
        {"is_secured": True},
    ),
    (
        "it locks by itself, closed",
        stood(DOOR, locks_itself_after_s=30.0),
        [(1, D.UNLOCK, R.DONE), (32, D.OPEN_DOOR, R.IS_LOCKED)],
        {"is_secured": True},
    ),
    (
        "open, it does not lock by itself, and closed it counts anew",
        stood(DOOR, locks_itself_after_s=30.0),
        [
            (1, D.UNLOCK, R.DONE),
            (10, D.OPEN_DOOR, R.DONE),
            (100, D.CLOSE_DOOR, R.DONE),
            (120, D.OPEN_DOOR, R.DONE),
        ],
        {"is_thrown": False},
    ),
    (
        "a garage is opened and closed by its motor alone",
        stood(GARAGE),
        [
            (1, D.OPEN_DOOR, R.IS_LOCKED),
            (2, D.OPEN_COVER, R.DONE),
            (3, D.CLOSE_DOOR, R.WILL_NOT_CLOSE),
            (4, D.CLOSE_COVER, R.DONE),
            (5, D.CLOSE_COVER, R.ALREADY),
        ],
        {"is_secured": True},
    ),
    (
        "a garage that meets something",
        stood(GARAGE, will_not_close_left=1),
        [(1, D.KEY_UNLOCK, R.DONE), (2, D.CLOSE_COVER, R.WILL_NOT_CLOSE), (3, D.KEY_LOCK, R.DONE)],
        {"is_secured": True},
    ),
    ("a door has no cover", stood(DOOR), [(1, D.OPEN_COVER, R.UNSUPPORTED)], {"is_open": False}),
    (
        "an armed alarm rings when the door opens",
        stood(DOOR),
        [(1, D.ARM_ALARM, R.DONE), (2, D.UNLOCK, R.DONE), (3, D.OPEN_DOOR, R.DONE)],
        {"is_alarm_ringing": True},
    ),
    (
        "the bell rings as often as it is pressed",
        stood(DOOR),
        [(1, D.RING, R.DONE), (2, D.RING, R.DONE)],
        {"rung": 2},
    ),
]


@pytest.mark.parametrize(("name", "home", "deeds", "so"), TABLE, ids=[row[0] for row in TABLE])
def test_deeds(
    name: str, home: Home, deeds: list[tuple[float, HomeDeed, Outcome]], so: dict[str, object]
) -> None:
    for seconds, deed, expected in deeds:
        assert home.do(deed, at(seconds))[0] is expected, (seconds, deed)
    assert {word: getattr(home, word) for word in so} == so


def command(home: Home, deed: HomeDeed, begins_s: float, ends_s: float) -> HomeRun:
    run = HomeRun(command_id=f"c{begins_s}", deed=deed)
    assert home.plan(deed, at(begins_s), at(ends_s), run, "")
    return run


def test_a_movement_takes_its_time_and_tells_its_run() -> None:
    home = stood(DOOR)
    run = command(home, D.UNLOCK, 1, 3)
    home.advance(at(2))
    assert (home.moving, home.is_thrown, run.outcome) == (D.UNLOCK, True, None)
    (happened,) = home.advance(at(9))
    assert (happened.at, happened.command_id, run.outcome) == (at(3), "c1", R.DONE)
    assert (home.moving, home.is_thrown) == (None, False)


def test_what_the_radio_does_not_bring_does_not_happen() -> None:
    home = stood(DOOR)
    run = command(home, D.UNLOCK, 1, 3)
    home.is_radio_on = False
    home.advance(at(5))
    assert (run.outcome, home.is_thrown, home.moving) == (R.OFFLINE, True, None)
    assert home.do(D.KEY_UNLOCK, at(6))[0] is R.DONE, "hands need no radio"


def test_a_garage_is_open_as_soon_as_it_moves_and_secured_only_when_it_has_come_down() -> None:
    home = stood(GARAGE)
    command(home, D.OPEN_COVER, 1, 13)
    home.advance(at(2))
    assert home.is_open
    home.advance(at(20))
    command(home, D.CLOSE_COVER, 21, 33)
    home.advance(at(30))
    assert (home.is_open, home.is_secured) == (True, False)
    home.advance(at(34))
    assert home.is_secured


STEPS = st.lists(
    st.tuples(
        st.floats(min_value=-30, max_value=100),
        st.sampled_from(list(HomeDeed)),
        st.sampled_from(["do", "command", "radio", "jam", "stuck", "well"]),
    ),
    max_size=40,
)


@given(
    kind=st.sampled_from(list(HomeKind)), locks_itself=st.booleans(), has_second=st.booleans(), steps=STEPS
)
@settings(max_examples=150, deadline=None)
def test_no_sequence_breaks_the_physics(
    kind: HomeKind, locks_itself: bool, has_second: bool, steps: list[tuple[float, HomeDeed, str]]
) -> None:
    home = stood(kind, locks_itself_after_s=30.0 if locks_itself else None, has_second_bolt=has_second)
    now = BEGAN_AT
    for seconds, deed, how in steps:
        now += timedelta(seconds=seconds)
        before_at = home.now
        home.advance(now)
        is_held = home.is_thrown or home.is_second_thrown
        was_open = home.is_open
        if how == "do":
            outcome, happened = home.do(deed, now)
            if deed is D.OPEN_DOOR and outcome is R.DONE:
                assert not is_held
            if deed is D.CLOSE_DOOR and outcome is R.DONE:
                assert was_open
                assert not is_held, "a door does not close over a thrown bolt"
            assert [one.at for one in happened] == sorted(one.at for one in happened)
        elif how == "command" and deed in BY_HUB:
            home.plan(
                deed, now, now + timedelta(seconds=LASTS_S[deed]), HomeRun(command_id="c", deed=deed), ""
            )
        elif how == "radio":
            home.is_radio_on = not home.is_radio_on
        elif how in ("jam", "stuck", "well"):
            home.jams_left = None if how == "jam" else 0
            home.will_not_close_left = None if how == "stuck" else 0
        assert home.now >= before_at
        assert home.changed_at <= home.now
        assert not (home.is_secured and home.is_open)
        assert kind is not GARAGE or not home.is_thrown
        assert has_second or not home.is_second_thrown
