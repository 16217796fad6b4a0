"""The physics of a car: a table of deeds, and rules that no sequence of deeds breaks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unlatch.domain.access import distance_m
from unlatch.town.car import Car, Deed, Happening, Maker, Outcome, Planned, Run
from unlatch.town.world import place

BEGAN_AT = datetime(2026, 4, 24, 9, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGAN_AT + timedelta(seconds=seconds)


def parked(maker: Maker) -> Car:
    return Car(vin="V", maker=maker, parked_at=place(33.749, -84.388), born_at=BEGAN_AT)


CHEVROLET, VOLVO, D = Maker.ONSTAR, Maker.VOLVO, Deed

TABLE: list[tuple[str, Maker, list[tuple[float, Deed, Outcome]], dict[str, object]]] = [
    ("a locked lid stays shut", CHEVROLET, [(1, D.OPEN_TRUNK, Outcome.IS_LOCKED)], {"is_lid_open": False}),
    (
        "OnStar frees the trunk alone",
        CHEVROLET,
        [
            (1, D.UNLOCK_TRUNK, Outcome.DONE),
            (2, D.OPEN_TRUNK, Outcome.DONE),
            (3, D.OPEN_DOOR, Outcome.IS_LOCKED),
        ],
        {"is_lid_open": True, "are_doors_locked": True, "is_trunk_locked": False},
    ),
    (
        "OnStar: a closed lid is not locked until told",
        CHEVROLET,
        [
            (1, D.UNLOCK_TRUNK, Outcome.DONE),
            (2, D.OPEN_TRUNK, Outcome.DONE),
            (3, D.CLOSE_TRUNK, Outcome.DONE),
        ],
        {"is_lid_open": False, "is_trunk_locked": False},
    ),
    (
        "OnStar: an open lid can't be locked",
        CHEVROLET,
        [
            (1, D.UNLOCK_TRUNK, Outcome.DONE),
            (2, D.OPEN_TRUNK, Outcome.DONE),
            (3, D.LOCK_TRUNK, Outcome.LID_OPEN),
        ],
        {"is_lid_open": True, "is_trunk_locked": False},
    ),
    (
        "OnStar stays free however long",
        CHEVROLET,
        [(1, D.UNLOCK_TRUNK, Outcome.DONE), (4000, D.OPEN_TRUNK, Outcome.DONE)],
        {"is_lid_open": True},
    ),
    (
        "OnStar: lockTrunk leaves the doors as they are",
        CHEVROLET,
        [(1, D.KEY_UNLOCK, Outcome.DONE), (2, D.LOCK_TRUNK, Outcome.DONE)],
        {"is_trunk_locked": True, "are_doors_locked": False},
    ),
    (
        "Volvo: the handle pulled in time opens everything",
        VOLVO,
        [(1, D.UNLOCK, Outcome.DONE), (100, D.OPEN_TRUNK, Outcome.DONE), (101, D.OPEN_DOOR, Outcome.DONE)],
        {"is_lid_open": True, "are_doors_locked": False, "armed_until": None},
    ),
    (
        "Volvo: the handle not pulled in time",
        VOLVO,
        [(1, D.UNLOCK, Outcome.DONE), (122, D.OPEN_TRUNK, Outcome.IS_LOCKED)],
        {"is_trunk_locked": True, "armed_until": None},
    ),
    (
        "Volvo: armed, the doors stay locked",
        VOLVO,
        [(1, D.UNLOCK, Outcome.DONE), (2, D.OPEN_DOOR, Outcome.IS_LOCKED)],
        {"is_trunk_locked": False},
    ),
    (
        "Volvo: a second unlock begins the window anew",
        VOLVO,
        [(1, D.UNLOCK, Outcome.DONE), (100, D.UNLOCK, Outcome.DONE), (200, D.OPEN_TRUNK, Outcome.DONE)],
        {"is_lid_open": True},
    ),
    (
        "Volvo: locked within the window",
        VOLVO,
        [(1, D.UNLOCK, Outcome.DONE), (5, D.LOCK, Outcome.DONE), (6, D.OPEN_TRUNK, Outcome.IS_LOCKED)],
        {"is_trunk_locked": True},
    ),
    (
        "Volvo knows no trunk command",
        VOLVO,
        [(1, D.UNLOCK_TRUNK, Outcome.UNSUPPORTED)],
        {"is_trunk_locked": True},
    ),
    (
        "a moving car is not unlocked",
        CHEVROLET,
        [(1, D.DRIVE, Outcome.DONE), (2, D.UNLOCK_TRUNK, Outcome.IN_MOTION), (3, D.PARK, Outcome.DONE)],
        {"is_trunk_locked": True},
    ),
]


@pytest.mark.parametrize(("name", "maker", "deeds", "so"), TABLE, ids=[row[0] for row in TABLE])
def test_deeds(
    name: str, maker: Maker, deeds: list[tuple[float, Deed, Outcome]], so: dict[str, object]
) -> None:
    car = parked(maker)
    for seconds, deed, expected in deeds:
        outcome, _ = car.do(deed, at(seconds))
        assert outcome is expected, (seconds, deed)
    assert {word: getattr(car, word) for word in so} == so


def test_relocking_happens_at_its_own_moment() -> None:
    car = parked(VOLVO)
    car.do(Deed.UNLOCK, at(1))
    happened = car.advance(at(500))
    assert [(one.what, one.at) for one in happened] == [("relocked", at(121))]
    assert car.changed_at == at(121)


def test_a_late_deed_happens_at_its_own_moment_and_tells_its_run() -> None:
    car = parked(CHEVROLET)
    run = Run(command_id="c", deed=Deed.UNLOCK_TRUNK)
    car.plan(Planned(at=at(120), deed=Deed.UNLOCK_TRUNK, run=run))
    assert car.advance(at(119)) == []
    (happened,) = car.advance(at(300))
    assert (happened.at, happened.command_id, happened.outcome) == (at(120), "c", Outcome.DONE)
    assert run.outcome is Outcome.DONE


def test_a_jam_lasts_as_often_as_said() -> None:
    car = parked(CHEVROLET)
    car.do(Deed.UNLOCK_TRUNK, at(1))
    car.jams_left = 2
    outcomes = [car.do(Deed.LOCK_TRUNK, at(second))[0] for second in (2, 3, 4)]
    assert outcomes == [Outcome.JAMMED, Outcome.JAMMED, Outcome.DONE]


def test_a_silent_car_is_read_as_it_was_last() -> None:
    car = parked(CHEVROLET)
    car.set_modem(at(10), is_online=False)
    told_at = car.report().at
    car.do(Deed.KEY_UNLOCK, at(20))
    assert car.report().is_trunk_locked
    assert car.report().at == told_at
    car.set_modem(at(60), is_online=True)
    assert not car.report().is_trunk_locked
    assert car.report().at > at(50)


def test_it_drives_off_and_is_found_elsewhere() -> None:
    car = parked(CHEVROLET)
    car.drives_after, car.drives_after_s = Deed.UNLOCK_TRUNK, 10.0
    car.do(Deed.UNLOCK_TRUNK, at(1))
    car.advance(at(10.9))
    assert not car.is_moving
    car.advance(at(101))
    assert car.is_moving
    assert distance_m(car.position_at(at(101)), car.parked_at) == pytest.approx(
        1000, rel=0.01
    )  # 90 s at 40 km/h


def test_time_never_runs_back() -> None:
    car = parked(VOLVO)
    car.do(Deed.UNLOCK, at(100))
    car.do(Deed.OPEN_TRUNK, at(50))
    assert car.now == at(100)
    assert car.changed_at == at(100)


STEPS = st.lists(
    st.tuples(
        st.floats(min_value=-30, max_value=200),
        st.sampled_from(list(Deed)),
        st.sampled_from(["do", "late", "sleep", "wake", "jam", "jam not"]),
    ),
    max_size=40,
)


@given(maker=st.sampled_from(list(Maker)), steps=STEPS)
@settings(max_examples=300, deadline=None)
def test_no_sequence_breaks_the_physics(maker: Maker, steps: list[tuple[float, Deed, str]]) -> None:
    car, now = parked(maker), BEGAN_AT
    for seconds, deed, how in steps:
        now += timedelta(seconds=seconds)
        before_at, was_locked, was_open = car.now, car.is_trunk_locked, car.is_lid_open
        happened: list[Happening] = []
        match how:
            case "do":
                outcome, happened = car.do(deed, now)
                if deed is Deed.OPEN_TRUNK and outcome is Outcome.DONE:
                    assert not was_open or any(one.what == "close_trunk" for one in happened)
                    freed = {"unlock", "unlock_trunk", "key_unlock"}
                    assert not was_locked or any(one.what in freed for one in happened)
            case "late":
                car.plan(Planned(at=now + timedelta(seconds=45), deed=deed))
            case "sleep" | "wake":
                car.set_modem(now, is_asleep=how == "sleep")
            case _:
                car.jams_left = None if how == "jam" else 0
        assert not (car.is_lid_open and car.is_trunk_locked)
        assert not (car.is_lid_open and car.armed_until is not None)
        assert not (car.armed_until is not None and car.is_trunk_locked)
        assert car.armed_until is None or (maker is Maker.VOLVO and car.armed_until >= car.now)
        assert car.now >= before_at
        assert car.changed_at <= car.now
        assert car.report().at <= car.now
        assert [one.at for one in happened] == sorted(one.at for one in happened)
