"""The decision: each check at its edge, alone and together, and the page that shows them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from unlatch.domain import decision
from unlatch.domain.access import EARTH_RADIUS_M, Closure, Consent, PlaceKind, Position
from unlatch.domain.decision import CHECKS, NOT_CHECKED, Situation, decide, must_look_first
from unlatch.domain.incident import Incident, NextStep, next_step_of
from unlatch.domain.reading import Reading
from unlatch.domain.visit import State

I = Incident  # noqa: E741
NOW = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)
ADDRESS = Position(latitude=41.88, longitude=-87.63)
SECOND = timedelta(seconds=1)
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "decision.md"


def north(metres: float, accuracy_m: float = 0.0) -> Position:
    """A point so far north of the address."""
    degrees = metres / EARTH_RADIUS_M * 180 / 3.141592653589793
    return Position(latitude=ADDRESS.latitude + degrees, longitude=ADDRESS.longitude, accuracy_m=accuracy_m)


def reading(**changes: Any) -> Reading:
    good = Reading(
        observed_at=NOW - 5 * SECOND, is_locked=True, is_open=False, is_moving=False, position=ADDRESS
    )
    return replace(good, **changes)


def situation(**changes: Any) -> Situation:
    """All is well."""
    good = Situation(
        now=NOW,
        local_time=time(9, 0),
        is_courier_active=True,
        is_courier_of_stop=True,
        is_device_revoked=False,
        is_courier_busy=False,
        courier_position=ADDRESS,
        is_parcel_known=True,
        is_parcel_of_stop=True,
        is_parcel_with_carrier=True,
        is_stop_open=True,
        ruled_out=None,
        window_from=NOW - timedelta(hours=2),
        window_until=NOW + timedelta(hours=2),
        kind=PlaceKind.CAR,
        closure=Closure(reads_lock=True, reads_lid=True),
        address=ADDRESS,
        range_m=200.0,
        consent=Consent(is_given=True),
        allows_unseen_lock=False,
        is_place_busy=False,
        is_place_watched=False,
        is_place_frozen=False,
        reading=reading(),
    )
    return replace(good, **changes)


AT_HOMES = (
    I.DEVICE_CAMERA_NOT_PROVEN, I.DEVICE_CAMERA_OFFLINE, I.DEVICE_CAMERA_NOT_ENROLLED, I.CONSIGNEE_SECOND_BOLT,
    I.CONSIGNEE_ALARM_ARMED, I.CONSIGNEE_PET_LOOSE,
)  # fmt: skip
HOME: dict[str, Any] = {
    "kind": PlaceKind.HOME,
    "heard_at": NOW - 5 * SECOND,
    "is_camera_enrolled": True,
    "is_camera_heard": True,
}
# One way for each incident to be the only reason.
ALONE: dict[Incident, dict[str, Any]] = {
    I.COURIER_NOT_ACTIVE: {"is_courier_active": False},
    I.COURIER_NOT_ON_ROUTE: {"is_courier_of_stop": False},
    I.COURIER_DEVICE_REVOKED: {"is_device_revoked": True},
    I.COURIER_BUSY_ELSEWHERE: {"is_courier_busy": True},
    I.COURIER_TOO_FAR: {"courier_position": north(51)},
    I.COURIER_POSITION_UNKNOWN: {"courier_position": None},
    I.COURIER_TOO_EARLY: {"window_from": NOW + SECOND},
    I.COURIER_TOO_LATE: {"window_until": NOW},
    I.CARRIER_PARCEL_UNKNOWN: {
        "is_parcel_known": False, "is_parcel_of_stop": False, "is_parcel_with_carrier": False,
    },
    I.CARRIER_PARCEL_OF_OTHER_STOP: {"is_parcel_of_stop": False},
    I.CARRIER_PARCEL_DONE_ALREADY: {"is_parcel_with_carrier": False},
    I.CARRIER_STOP_ENDED: {"is_stop_open": False},
    I.CARRIER_CANCELLED: {"ruled_out": I.CARRIER_CANCELLED},
    I.CARRIER_NOBODY_CAME: {"ruled_out": I.CARRIER_NOBODY_CAME},
    I.CONSIGNEE_REDIRECTED: {"ruled_out": I.CONSIGNEE_REDIRECTED},
    I.CONSIGNEE_BLOCKED: {"consent": Consent(is_given=True, blocked_at=NOW)},
    I.CONSIGNEE_CONSENT_ENDED: {"consent": Consent(is_given=True, ends_at=NOW)},
    I.CONSIGNEE_HOUR_NOT_ALLOWED: {
        "consent": Consent(is_given=True, from_local=time(10), until_local=time(18)),
    },
    I.CONSIGNEE_CAR_OUT_OF_RANGE: {
        "reading": reading(position=north(201)), "courier_position": north(201),
    },
    I.CONSIGNEE_CAR_MOVING: {"reading": reading(is_moving=True)},
    I.DEVICE_OPEN_ON_ARRIVAL: {"reading": reading(is_open=True)},
    I.DEVICE_UNLOCKED_ON_ARRIVAL: {"reading": reading(is_locked=False)},
    I.DEVICE_POSITION_UNKNOWN: {"reading": reading(position=None)},
    I.DEVICE_NO_READING: {"reading": reading(observed_at=NOW - 121 * SECOND)},
    I.DEVICE_ASLEEP: {
        "reading": reading(observed_at=NOW - 121 * SECOND), "is_reading_refused": I.DEVICE_ASLEEP,
    },
    I.DEVICE_CONSENT_LOST: {"is_opening_agreed": False},
    I.DEVICE_SUBSCRIPTION_LAPSED: {
        "reading": reading(observed_at=NOW - 121 * SECOND), "is_reading_refused": I.DEVICE_SUBSCRIPTION_LAPSED,
    },
    I.DEVICE_CLOUD_OUTAGE: {"is_cloud_down": True},
    I.DEVICE_QUOTA_USED_UP: {"is_quota_used_up": True},
    I.DEVICE_LOCK_NOT_READABLE: {
        "closure": Closure(reads_lock=False, reads_lid=True), "reading": reading(is_locked=None),
    },
    I.DEVICE_CAMERA_NOT_PROVEN: {**HOME, "is_camera_contradicted": True},
    I.DEVICE_CAMERA_OFFLINE: {**HOME, "is_camera_heard": False},
    I.DEVICE_CAMERA_NOT_ENROLLED: {**HOME, "is_camera_enrolled": False},
    I.CONSIGNEE_SECOND_BOLT: {**HOME, "reading": reading(is_bolted_inside=True)},
    I.CONSIGNEE_ALARM_ARMED: {**HOME, "reading": reading(is_alarm_armed=True)},
    I.CONSIGNEE_PET_LOOSE: {**HOME, "is_pet_loose": True},
    I.PLATFORM_PLACE_BUSY: {"is_place_busy": True},
    I.PLATFORM_PLACE_STILL_WATCHED: {"is_place_watched": True},
    I.PLATFORM_PLACE_FROZEN: {"is_place_frozen": True},
    I.PLATFORM_COURIER_FROZEN: {"frozen": I.PLATFORM_COURIER_FROZEN},
    I.PLATFORM_FROZEN_WIDELY: {"frozen": I.PLATFORM_FROZEN_WIDELY},
}  # fmt: skip


def reasons(**changes: Any) -> tuple[Incident, ...]:
    return decide(situation(**changes)).reasons


def test_a_car_that_does_not_say_whether_it_moves_is_not_opened() -> None:
    assert reasons(reading=reading(is_moving=None)) == (I.DEVICE_NO_READING,)


def test_all_well_is_granted_and_says_what_was_checked() -> None:
    found = decide(situation())
    assert found.is_granted
    assert found.checks == tuple(CHECKS)
    assert found.policy_version == decision.POLICY_VERSION


@pytest.mark.parametrize("incident", ALONE)
def test_each_check_alone_gives_exactly_its_incident(incident: Incident) -> None:
    found = decide(situation(**ALONE[incident]))
    assert not found.is_granted
    assert found.reasons == (incident,)


def test_each_check_of_the_table_is_reached_by_one_of_these() -> None:
    reached = {
        name
        for changes in ALONE.values()
        for name, check in CHECKS.items()
        if check(situation(**changes)) is not None
    }
    assert reached == set(CHECKS)


def test_the_incidents_of_a_scan_are_those_of_the_decision() -> None:
    """Those before COURIER_GAVE_UP in the list: exactly they can be found by a check."""
    of_scan = list(Incident)[: list(Incident).index(I.COURIER_GAVE_UP)]
    assert set(of_scan) == set(ALONE)


def test_everything_at_once_is_listed_at_once() -> None:
    found = reasons(
        is_courier_active=False, is_courier_of_stop=False, is_device_revoked=True, is_courier_busy=True,
        courier_position=north(1000, 101), is_parcel_of_stop=False, is_parcel_with_carrier=False,
        is_stop_open=False, ruled_out=I.CONSIGNEE_REDIRECTED, window_from=NOW + SECOND, window_until=NOW,
        consent=Consent(is_given=True, blocked_at=NOW, from_local=time(10), until_local=time(11)),
        closure=Closure(reads_lock=False, reads_lid=True), is_place_busy=True, is_place_watched=True,
        is_place_frozen=True, frozen=I.PLATFORM_COURIER_FROZEN, is_cloud_down=True, is_quota_used_up=True,
        reading=reading(observed_at=NOW - 500 * SECOND, is_open=True, is_moving=True, position=north(300)),
    )  # fmt: skip
    never_together = {
        I.CARRIER_PARCEL_UNKNOWN, I.CONSIGNEE_CONSENT_ENDED, I.DEVICE_UNLOCKED_ON_ARRIVAL,
        I.DEVICE_POSITION_UNKNOWN, I.DEVICE_ASLEEP, I.DEVICE_CONSENT_LOST, *AT_HOMES,
        I.DEVICE_SUBSCRIPTION_LAPSED, I.CARRIER_CANCELLED, I.CARRIER_NOBODY_CAME, I.PLATFORM_FROZEN_WIDELY,
    }  # fmt: skip
    assert set(found) == set(ALONE) - never_together
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (NOW - timedelta(hours=2, microseconds=1), I.COURIER_TOO_EARLY),
        (NOW - timedelta(hours=2), None),
        (NOW + timedelta(hours=2, microseconds=-1), None),
        (NOW + timedelta(hours=2), I.COURIER_TOO_LATE),
    ],
)
def test_the_window_holds_from_its_first_to_before_its_last_moment(
    now: datetime, reason: Incident | None
) -> None:
    assert reasons(now=now, reading=reading(observed_at=now)) == ((reason,) if reason else ())


@pytest.mark.parametrize(
    ("distance_m", "accuracy_m", "is_in_range"),
    [(199, 0, True), (201, 0, False), (150, 49, True), (150, 51, False), (0, 199, True), (0, 201, False)],
)
def test_the_car_is_in_range_even_at_the_far_end_of_its_accuracy(
    distance_m: float, accuracy_m: float, is_in_range: bool
) -> None:
    car = north(distance_m, accuracy_m)
    found = reasons(reading=reading(position=car), courier_position=north(distance_m))
    assert found == (() if is_in_range else (I.CONSIGNEE_CAR_OUT_OF_RANGE,))


@pytest.mark.parametrize(
    ("distance_m", "phone_m", "car_m", "found"),
    [
        (49, 0, 0, ()),
        (51, 0, 0, (I.COURIER_TOO_FAR,)),
        (79, 20, 10, ()),
        (81, 20, 10, (I.COURIER_TOO_FAR,)),
        (149, 100, 0, ()),
        (151, 100, 0, (I.COURIER_TOO_FAR,)),
        (0, 100, 0, ()),
        (0, 101, 0, (I.COURIER_POSITION_UNKNOWN,)),
        (151, 0, 120, (I.COURIER_TOO_FAR,)),  # a car's accuracy counts for 100 m at most
    ],
)
def test_the_courier_is_beside_it_given_both_accuracies(
    distance_m: float, phone_m: float, car_m: float, found: tuple[Incident, ...]
) -> None:
    car = Position(latitude=ADDRESS.latitude, longitude=ADDRESS.longitude, accuracy_m=car_m)
    assert reasons(courier_position=north(distance_m, phone_m), reading=reading(position=car)) == found


@pytest.mark.parametrize(
    ("age_s", "is_fresh"), [(0, True), (120, True), (120.001, False), (-120, True), (-121, False)]
)
def test_a_reading_counts_for_two_minutes(age_s: float, is_fresh: bool) -> None:
    found = reasons(reading=reading(observed_at=NOW - timedelta(seconds=age_s)))
    assert found == (() if is_fresh else (I.DEVICE_NO_READING,))


@pytest.mark.parametrize("reads_lock", [True, False])
@pytest.mark.parametrize("reads_lid", [True, False])
@pytest.mark.parametrize("is_locked", [True, False, None])
@pytest.mark.parametrize("is_open", [True, False, None])
def test_what_can_be_read_must_have_been_told(
    reads_lock: bool, reads_lid: bool, is_locked: bool | None, is_open: bool | None
) -> None:
    found = reasons(
        closure=Closure(reads_lock=reads_lock, reads_lid=reads_lid),
        allows_unseen_lock=True,
        reading=reading(is_locked=is_locked, is_open=is_open),
    )
    if is_open:
        expected: tuple[Incident, ...] = (I.DEVICE_OPEN_ON_ARRIVAL,)
    elif is_locked is False:
        expected = (I.DEVICE_UNLOCKED_ON_ARRIVAL,)
    elif (reads_lock and is_locked is None) or (reads_lid and is_open is None):
        expected = (I.DEVICE_NO_READING,)
    else:
        expected = ()
    assert found == expected


def test_a_home_asks_for_a_camera_and_for_no_position_of_its_own() -> None:
    home = {**HOME, "reading": reading(position=None)}
    assert reasons(**home) == ()
    # What is told of a home says nothing of a car.
    of_homes = {"is_bolted_inside": True, "is_alarm_armed": True, "is_pet_loose": True}
    assert reasons(reading=reading(**of_homes), is_pet_loose=True, is_camera_contradicted=True) == ()
    assert reasons(**home, courier_position=north(51)) == (I.COURIER_TOO_FAR,)


def test_a_door_that_was_locked_yesterday_is_locked_where_its_hub_says_so_now() -> None:
    """A hub tells since when a door stands so; a car, when it looked at itself."""
    long_ago = reading(observed_at=NOW - timedelta(hours=20))
    assert reasons(**{**HOME, "reading": long_ago}) == ()
    assert reasons(**{**HOME, "reading": long_ago, "heard_at": NOW - 120 * SECOND}) == ()
    for heard_at in (NOW - 121 * SECOND, NOW + 121 * SECOND, None):
        assert reasons(**{**HOME, "reading": long_ago, "heard_at": heard_at}) == (I.DEVICE_NO_READING,)
    assert reasons(reading=long_ago, heard_at=NOW) == (I.DEVICE_NO_READING,), "a car is not believed so"


def test_no_reading_at_all_gives_its_reason_and_what_follows_from_it() -> None:
    assert reasons(reading=None) == (I.DEVICE_NO_READING, I.DEVICE_POSITION_UNKNOWN)
    assert reasons(reading=None, is_reading_refused=I.DEVICE_ASLEEP) == (
        I.DEVICE_ASLEEP,
        I.DEVICE_POSITION_UNKNOWN,
    )


OLD = NOW - 121 * SECOND


@pytest.mark.parametrize(
    ("changes", "must"),
    [
        ({"reading": None}, True),
        ({"reading": reading(observed_at=OLD)}, True),
        ({"reading": reading(observed_at=OLD, is_open=True, is_moving=True, position=north(900))}, True),
        ({"reading": reading(observed_at=OLD, is_locked=False)}, True),
        ({"reading": reading(is_open=True)}, False),  # fresh: it is open
        ({"reading": reading(position=None)}, False),  # fresh: it does not tell
        ({"reading": None, "ruled_out": I.DEVICE_NO_READING}, False),  # ruled out stays ruled out
        ({"reading": None, "ruled_out": I.DEVICE_ASLEEP, "is_reading_refused": I.DEVICE_ASLEEP}, False),
        ({"reading": None, "is_stop_open": False}, False),  # a look would change nothing
        ({"reading": reading(observed_at=OLD), "is_place_watched": True}, False),
        ({"reading": reading(observed_at=OLD), "courier_position": None}, False),
        ({}, False),
        ({**HOME, "is_camera_heard": False}, True),  # not connected yet: it is awaited
        ({**HOME, "is_camera_heard": False, "reading": reading(is_open=True)}, False),
        (
            {**HOME, "is_camera_heard": False, "heard_at": OLD, "reading": reading(is_bolted_inside=True)},
            True,
        ),
        ({**HOME, "heard_at": None}, True),
        ({**HOME, "heard_at": OLD}, True),
        ({**HOME, "reading": reading(observed_at=OLD)}, False),  # locked since long ago, as was told just now
        ({**HOME, "is_camera_contradicted": True}, False),  # it is connected, and its picture stands
    ],
)
def test_a_look_is_worth_it_only_if_a_new_reading_can_change_the_answer(
    changes: dict[str, Any], must: bool
) -> None:
    now = situation(**changes)
    assert must_look_first(now, decide(now)) is must


@pytest.mark.parametrize("incident", ALONE)
def test_each_refusal_has_a_next_step(incident: Incident) -> None:
    assert isinstance(next_step_of(State.REFUSED, incident), NextStep)


def render_page() -> str:
    """docs/reference/decision.md, from the tables."""
    limits = [
        ("The courier's phone to the car, besides both accuracies", decision.REACH_M, "m"),
        ("The worst accuracy of a phone that counts", decision.WORST_ACCURACY_M, "m"),
        ("The oldest reading that counts", decision.READING_MAX_AGE_S, "s"),
        ("How long a grant may wait for its gate", decision.GRANT_MAX_AGE_S, "s"),
    ]
    failing: dict[str, list[Incident]] = {name: [] for name in CHECKS}
    for changes in (*ALONE.values(), {"reading": None}, {"consent": Consent(is_given=False)}):
        for name, check in CHECKS.items():
            reason = check(situation(**changes))
            if reason is not None and reason not in failing[name]:
                failing[name].append(reason)
    lines = [
        "# The decision",
        "",
        "<!-- Written by tests/domain/test_decision.py from domain/decision.py. To renew it, run",
        "     PYTHONPATH=src:. python -m tests.domain.test_decision -->",
        "",
        f"May this scan open this closure now? Policy `{decision.POLICY_VERSION}`. Every check runs, and every",
        "one that fails is listed. Granted is only what fails none.",
        "",
        "| check | what its failure is called |",
        "|---|---|",
        *(f"| {name} | {', '.join(f'`{reason}`' for reason in failing[name])} |" for name in CHECKS),
        "",
        "## Limits",
        "",
        "| what | limit |",
        "|---|---|",
        *(f"| {what} | {value:g} {unit} |" for what, value, unit in limits),
        "",
        "## Deliberately not checked",
        "",
        "| what | why not |",
        "|---|---|",
        *(f"| {what} | {why} |" for what, why in NOT_CHECKED.items()),
        "",
    ]
    return "\n".join(lines)


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == render_page(), "run: PYTHONPATH=src:. python -m tests.domain.test_decision"


if __name__ == "__main__":
    PAGE.write_text(render_page())
