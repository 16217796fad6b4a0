"""Pre-flight: each check at its edge and alone, what follows from it, and the page that shows them."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from math import pi
from pathlib import Path
from typing import Any

import pytest

from unlatch.domain import preflight
from unlatch.domain.access import EARTH_RADIUS_M, Closure, Consent, PlaceKind, Position
from unlatch.domain.decision import BY_PEOPLE
from unlatch.domain.incident import Incident
from unlatch.domain.parking import Parking
from unlatch.domain.preflight import (
    ANSWERS,
    ANSWERS_AT_HOME,
    CHECKS,
    IN_OUR_ROWS,
    NOT_ASKED,
    Mender,
    Picture,
    Preflight,
    Remedy,
    answer_to,
    ask,
    is_by_preflight,
)
from unlatch.domain.preflight_texts import (
    REASON_TEXTS,
    REASON_TEXTS_AT_HOME,
    REMEDY_TEXTS,
    reason_text,
    remedy_text,
)
from unlatch.domain.reading import Reading
from unlatch.domain.wording import Language
from unlatch.flow.duties import RULES

I = Incident  # noqa: E741
NOW = datetime(2026, 11, 26, 15, 0, tzinfo=UTC)
OF_CARS = {I.DEVICE_SUBSCRIPTION_LAPSED, I.DEVICE_POSITION_UNKNOWN}
ADDRESS = Position(latitude=41.88, longitude=-87.63)
SECOND = timedelta(seconds=1)
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "preflight.md"


def north(metres: float, accuracy_m: float = 0.0) -> Position:
    latitude = ADDRESS.latitude + metres / EARTH_RADIUS_M * 180 / pi
    return Position(latitude=latitude, longitude=ADDRESS.longitude, accuracy_m=accuracy_m)


def reading(**changes: Any) -> Reading:
    good = Reading(
        observed_at=NOW - 5 * SECOND, is_locked=True, is_open=False, is_moving=False, position=ADDRESS
    )
    return replace(good, **changes)


def situation(**changes: Any) -> Preflight:
    """All is well."""
    good = Preflight(
        now=NOW,
        comes_at=NOW + timedelta(minutes=30),
        local_times=(time(9, 30), time(10), time(13, 25)),
        consent=Consent(is_given=True),
        is_frozen=False,
        is_frozen_widely=False,
        closure=Closure(reads_lock=True, reads_lid=True),
        allows_unseen_lock=False,
        obstacle=None,
        address=ADDRESS,
        range_m=200.0,
        reading=reading(),
        refused=None,
        is_looked_at=True,
    )
    return replace(good, **changes)


# A home where all is well: locked since this morning, as its hub has just said.
HOME: dict[str, Any] = {
    "kind": PlaceKind.HOME,
    "reading": reading(observed_at=NOW - timedelta(hours=8), is_moving=None, position=None),
    "heard_at": NOW - 5 * SECOND,
    "is_camera_enrolled": True,
    "picture": Picture.LIVING,
}


def at_home(**changes: Any) -> dict[str, Any]:
    """A home with a reading of its hub's."""
    return {**HOME, "reading": replace(HOME["reading"], **changes)}


# Ways for each incident to be the only reason.
ALONE: list[tuple[Incident, dict[str, Any]]] = [
    (I.CONSIGNEE_BLOCKED, {"consent": Consent(is_given=True, blocked_at=NOW)}),
    (I.CONSIGNEE_CONSENT_ENDED, {"consent": Consent(is_given=False)}),
    (I.CONSIGNEE_CONSENT_ENDED, {"consent": Consent(is_given=True, ends_at=NOW + timedelta(minutes=30))}),
    (I.CONSIGNEE_HOUR_NOT_ALLOWED, {
        "consent": Consent(is_given=True, from_local=time(14), until_local=time(9)),
    }),
    (I.PLATFORM_PLACE_FROZEN, {"is_frozen": True}),
    (I.PLATFORM_FROZEN_WIDELY, {"is_frozen_widely": True}),
    (I.DEVICE_CONSENT_LOST, {"closure": None, "reading": None}),
    (I.DEVICE_CONSENT_LOST, {"refused": I.DEVICE_CONSENT_LOST}),
    (I.DEVICE_LOCK_NOT_READABLE, {"closure": Closure(reads_lock=False, reads_lid=True)}),
    (I.DEVICE_CLOUD_OUTAGE, {"obstacle": I.DEVICE_CLOUD_OUTAGE}),
    (I.DEVICE_CLOUD_OUTAGE, {"refused": I.DEVICE_CLOUD_OUTAGE}),
    (I.DEVICE_QUOTA_USED_UP, {"obstacle": I.DEVICE_QUOTA_USED_UP}),
    (I.DEVICE_CONSENT_LOST, {"obstacle": I.DEVICE_CONSENT_LOST}),  # its owner lets us open it no more
    (I.DEVICE_QUOTA_USED_UP, {"refused": I.DEVICE_QUOTA_USED_UP}),
    (I.DEVICE_SUBSCRIPTION_LAPSED, {"refused": I.DEVICE_SUBSCRIPTION_LAPSED}),
    (I.DEVICE_ASLEEP, {"refused": I.DEVICE_ASLEEP}),
    (I.DEVICE_NO_READING, {"reading": None}),
    (I.DEVICE_NO_READING, {"refused": I.DEVICE_NO_READING}),
    (I.DEVICE_NO_READING, {"reading": reading(observed_at=NOW - 601 * SECOND)}),
    (I.DEVICE_NO_READING, {"reading": reading(is_moving=None)}),
    (I.DEVICE_NO_READING, {"reading": reading(is_locked=None)}),
    (I.DEVICE_NO_READING, {"reading": reading(is_open=None)}),
    (I.CONSIGNEE_CAR_MOVING, {"reading": reading(is_moving=True)}),
    (I.DEVICE_POSITION_UNKNOWN, {"reading": reading(position=None)}),
    (I.CONSIGNEE_CAR_OUT_OF_RANGE, {"reading": reading(position=north(201))}),
    (I.CONSIGNEE_CAR_OUT_OF_RANGE, {"reading": reading(position=north(199, 5))}),
    (I.DEVICE_OPEN_ON_ARRIVAL, {"reading": reading(is_open=True)}),
    (I.DEVICE_UNLOCKED_ON_ARRIVAL, {"reading": reading(is_locked=False)}),
    (I.CONSIGNEE_SECOND_BOLT, at_home(is_bolted_inside=True)),
    (I.CONSIGNEE_ALARM_ARMED, at_home(is_alarm_armed=True)),
    (I.CONSIGNEE_PET_LOOSE, at_home(is_pet_loose=True)),
    (I.CONSIGNEE_PET_LOOSE, {**HOME, "is_pet_loose": True}),
    (I.DEVICE_CAMERA_NOT_ENROLLED, {**HOME, "is_camera_enrolled": False}),
    (I.DEVICE_CAMERA_NOT_ENROLLED, {**HOME, "is_camera_enrolled": False, "picture": Picture.MISSING}),
    (I.DEVICE_CAMERA_OFFLINE, {**HOME, "picture": Picture.MISSING}),
    (I.DEVICE_CAMERA_NOT_PROVEN, {**HOME, "picture": Picture.FALSE}),
    (I.DEVICE_NO_READING, {**HOME, "heard_at": NOW - 601 * SECOND}),
    (I.DEVICE_NO_READING, {**HOME, "heard_at": None}),
    (I.DEVICE_NO_READING, at_home(is_locked=None)),
    (I.DEVICE_OPEN_ON_ARRIVAL, at_home(is_open=True)),
    (I.DEVICE_UNLOCKED_ON_ARRIVAL, at_home(is_locked=False)),
    (I.DEVICE_CLOUD_OUTAGE, {**HOME, "refused": I.DEVICE_CLOUD_OUTAGE}),
    (I.DEVICE_CONSENT_LOST, {**HOME, "refused": I.DEVICE_CONSENT_LOST}),
    (I.DEVICE_ASLEEP, {**HOME, "refused": I.DEVICE_ASLEEP}),
]  # fmt: skip

WELL: list[dict[str, Any]] = [
    {},
    {"reading": reading(position=north(199))},
    {"reading": reading(position=north(150, 49))},
    {"reading": reading(observed_at=NOW - 600 * SECOND)},
    {"consent": Consent(is_given=True, ends_at=NOW + timedelta(minutes=30, seconds=1))},
    {"consent": Consent(is_given=True, from_local=time(13, 20), until_local=time(13, 30))},
    {"local_times": (), "consent": Consent(is_given=True, from_local=time(1), until_local=time(2))},
    {
        "closure": Closure(reads_lock=False, reads_lid=False),
        "allows_unseen_lock": True,
        "reading": reading(is_locked=None, is_open=None),
    },
    {"obstacle": I.PLATFORM_PLACE_BUSY},  # another command to this car: over in a moment
    {"is_looked_at": False, "reading": reading(observed_at=NOW - 1800 * SECOND)},
    HOME,
    {**HOME, "heard_at": NOW - 600 * SECOND},
    {**HOME, "picture": None},  # not looked at
    # What is told of a home says nothing of a car.
    {
        "reading": reading(is_bolted_inside=True, is_alarm_armed=True, is_pet_loose=True),
        "is_pet_loose": True,
        "picture": Picture.FALSE,
    },
]


@pytest.mark.parametrize("changes", WELL, ids=str)
def test_all_is_well(changes: dict[str, Any]) -> None:
    found = ask(situation(**changes))
    assert found.is_well
    assert found.is_seen
    assert found.find_ruling(is_last=True) is None
    assert found.again_after_s is None


@pytest.mark.parametrize(("incident", "changes"), ALONE, ids=str)
def test_each_check_alone_gives_exactly_its_incident(incident: Incident, changes: dict[str, Any]) -> None:
    found = ask(situation(**changes))
    assert found.reasons == (incident,)
    assert found.is_seen
    kind = changes.get("kind", PlaceKind.CAR)
    assert found.remedies() == {incident: preflight.remedy_for(incident, found.parking, kind)}


def test_each_check_of_the_table_is_reached_by_one_of_these() -> None:
    reached = {name for _, changes in ALONE for name, check in CHECKS.items() if check(situation(**changes))}
    assert reached == set(CHECKS)
    assert {incident for incident, _ in ALONE} == set(ANSWERS) == set(REASON_TEXTS)
    assert set(ANSWERS) > IN_OUR_ROWS


def test_everything_at_once_is_listed_in_the_order_of_the_checks() -> None:
    found = ask(
        situation(
            consent=Consent(is_given=False, blocked_at=NOW, from_local=time(1), until_local=time(2)),
            is_frozen=True,
            closure=Closure(reads_lock=False, reads_lid=True),
            obstacle=I.DEVICE_CLOUD_OUTAGE,
            reading=reading(is_moving=True, is_open=True, is_locked=False, position=north(300)),
        )
    )
    assert found.reasons == (
        I.CONSIGNEE_BLOCKED,
        I.CONSIGNEE_CONSENT_ENDED,
        I.CONSIGNEE_HOUR_NOT_ALLOWED,
        I.PLATFORM_PLACE_FROZEN,
        I.DEVICE_LOCK_NOT_READABLE,
        I.DEVICE_CLOUD_OUTAGE,
        I.CONSIGNEE_CAR_MOVING,
        I.CONSIGNEE_CAR_OUT_OF_RANGE,
        I.DEVICE_OPEN_ON_ARRIVAL,
        I.DEVICE_UNLOCKED_ON_ARRIVAL,
    )


@pytest.mark.parametrize("age_s", [1801, 90_000])
def test_what_was_not_seen_for_our_own_sake_is_no_reason_and_is_said(age_s: float) -> None:
    """The read budget is used up: an old reading says nothing, good or bad."""
    bad = reading(observed_at=NOW - age_s * SECOND, is_open=True, is_moving=True, position=north(900))
    for last in (bad, None):
        found = ask(situation(is_looked_at=False, reading=last))
        assert found.is_well
        assert not found.is_seen
        assert (found.parking, found.distance_m) == (Parking.UNKNOWN, None)
    # What stands in our own rows, and what the device itself refused a while ago, is known all the same.
    assert ask(situation(is_looked_at=False, reading=None, is_frozen=True)).reasons == (
        I.PLATFORM_PLACE_FROZEN,
    )
    asleep = ask(situation(is_looked_at=False, reading=bad, refused=I.DEVICE_ASLEEP))
    assert asleep.reasons == (I.DEVICE_ASLEEP,)
    assert asleep.is_seen


def test_a_recent_reading_counts_where_the_budget_allows_no_new_one() -> None:
    half_an_hour_ago = reading(observed_at=NOW - 1799 * SECOND, position=north(300))
    found = ask(situation(is_looked_at=False, reading=half_an_hour_ago))
    assert found.reasons == (I.CONSIGNEE_CAR_OUT_OF_RANGE,)
    assert (found.parking, found.distance_m) == (Parking.OUT_OF_RANGE, 300.0)


def test_a_reading_from_the_future_is_none() -> None:
    assert ask(situation(reading=reading(observed_at=NOW + 601 * SECOND))).reasons == (I.DEVICE_NO_READING,)


@pytest.mark.parametrize(("incident", "changes"), ALONE, ids=str)
def test_what_it_rules_out_and_when(incident: Incident, changes: dict[str, Any]) -> None:
    found = ask(situation(**changes))
    answer = answer_to(incident, found.kind)
    at_once = incident if answer.mender is Mender.NOBODY else None
    assert found.find_ruling(is_last=False) is at_once
    assert found.find_ruling(is_last=True) is (incident if answer.rules_out else None)
    assert found.again_after_s == answer.again_after_s


def test_only_what_nobody_can_mend_rules_out_at_the_first_check() -> None:
    assert {one for one, answer in ANSWERS.items() if answer.mender is Mender.NOBODY} == {
        I.DEVICE_LOCK_NOT_READABLE
    }
    assert {one for one, answer in ANSWERS.items() if not answer.rules_out} == {I.DEVICE_QUOTA_USED_UP}


def test_what_may_pass_waits_only_where_nothing_lasting_stands_beside_it() -> None:
    moving, far = reading(is_moving=True), reading(is_moving=True, position=north(300))
    assert ask(situation(reading=moving)).again_after_s == 300.0
    assert ask(situation(reading=moving, obstacle=I.DEVICE_CLOUD_OUTAGE)).again_after_s == 300.0
    assert ask(situation(reading=far)).again_after_s is None


def test_one_who_parks_near_under_a_roof_is_sent_into_the_open_and_not_nearer() -> None:
    unsure = ask(situation(reading=reading(position=north(150, 80))))
    assert unsure.remedies() == {I.CONSIGNEE_CAR_OUT_OF_RANGE: Remedy.PARK_IN_THE_OPEN}
    far = ask(situation(reading=reading(position=north(900, 80))))
    assert far.remedies() == {I.CONSIGNEE_CAR_OUT_OF_RANGE: Remedy.MOVE_CAR_NEARER}


def test_what_people_decided_is_not_for_preflight_to_change() -> None:
    assert [one for one in Incident if not is_by_preflight(one)] == [
        one for one in Incident if one in BY_PEOPLE
    ]
    assert is_by_preflight(None)


def test_every_remedy_and_reason_has_its_text_in_both_languages() -> None:
    assert set(REMEDY_TEXTS) == set(Remedy)
    answers = [*ANSWERS.values(), *ANSWERS_AT_HOME.values()]
    assert {answer.remedy for answer in answers} | {Remedy.PARK_IN_THE_OPEN} == set(Remedy)
    assert set(ANSWERS_AT_HOME) | set(REASON_TEXTS_AT_HOME) < set(ANSWERS)
    texts = [remedy_text(remedy, language) for remedy in Remedy for language in Language]
    texts += [reason_text(reason, language) for reason in ANSWERS for language in Language]
    texts += [
        reason_text(reason, language, PlaceKind.HOME)
        for reason in REASON_TEXTS_AT_HOME
        for language in Language
    ]
    assert len(set(texts)) == len(texts)
    for reason in ANSWERS:  # nobody is told of a car who has none
        if not reason.startswith("consignee_car") and reason not in OF_CARS:
            told = reason_text(reason, Language.ENGLISH, PlaceKind.HOME)
            told += remedy_text(
                preflight.remedy_for(reason, Parking.UNKNOWN, PlaceKind.HOME), Language.ENGLISH
            )
            assert not re.search(r"\bcar\b", told), told
    assert all(text.endswith(".") for text in texts)


def render_page() -> str:
    """docs/reference/preflight.md, from the tables."""
    of_check: dict[str, list[str]] = {name: [] for name in CHECKS}
    for _, changes in ALONE:
        for name, check in CHECKS.items():
            reason = check(situation(**changes))
            if reason is not None and f"`{reason}`" not in of_check[name]:
                of_check[name].append(f"`{reason}`")
    answers = [
        f"| `{reason}` | {reason_text(reason, Language.ENGLISH)} | `{answer.remedy}` | {answer.mender} | "
        f"{_again(answer.again_after_s)} | {_when(answer)} | {answer.why} |"
        for reason, answer in ANSWERS.items()
    ]
    at_home = [
        f"| `{reason}` | {reason_text(reason, Language.ENGLISH, PlaceKind.HOME)} | `{answer.remedy}` | "
        f"{answer.mender} | {_again(answer.again_after_s)} | {_when(answer)} | {answer.why} |"
        for reason, answer in ANSWERS_AT_HOME.items()
    ]
    lines = [
        "# The day of a delivery",
        "",
        "<!-- Written by tests/domain/test_preflight.py from flow/duties.py and domain/preflight.py. To renew it, run",
        "     PYTHONPATH=src:. python -m tests.domain.test_preflight -->",
        "",
        "What is due for a stop, what pre-flight asks, and what follows from what it finds.",
        "",
        "## Duties",
        "",
        "Each is done at most once a plan of a stop, by whichever worker takes it. Missed while none was running,",
        "it is done late, or dropped where it is too late for it.",
        "",
        "| duty | due | dropped from | why |",
        "|---|---|---|---|",
        *(f"| `{kind}` | {rule.due_text} | {rule.drop_text} | {rule.why} |" for kind, rule in RULES.items()),
        "",
        "## Checks",
        "",
        "Every check is asked, and every one that fails is listed.",
        "",
        "| check | what its failure is called |",
        "|---|---|",
        *(f"| {name} | {', '.join(reasons)} |" for name, reasons in of_check.items()),
        "",
        "## What follows",
        "",
        "At the first check the household is told what fails and what to do. At the last one, when the courier sets",
        "out, and whenever somebody of the household asks after that, it rules the place out: the stop goes to its",
        "fallback, and the courier's list says so. A better finding takes that back until the fallback is done. What",
        "people have decided (cancelled, redirected) pre-flight never changes. What may pass by itself is looked at",
        f"again, {preflight.TRIES} times in all, before it counts. What a household was told outlives the plan: the",
        "same fault is not told again within two hours, however often the stop is planned anew; that it is mended is.",
        "",
        "| reason | the consignee reads | remedy | who can mend it | looked at again | rules out | why |",
        "|---|---|---|---|---|---|---|",
        *answers,
        "",
        "`consignee_car_out_of_range` of a car that is near but can't tell where exactly has the remedy",
        "`park_in_the_open`.",
        "",
        "At a home these differ:",
        "",
        "| reason | the consignee reads | remedy | who can mend it | looked at again | rules out | why |",
        "|---|---|---|---|---|---|---|",
        *at_home,
        "",
        "A home's cameras are connected for a moment with each look, and let go again. A hub tells since when the door",
        "stands as it does, be it since yesterday: what it says counts by when it was asked.",
        "",
        "## The read budget",
        "",
        "Each reading costs a parked car some of its battery. Outside of visits a car is read at most `reads_a_day`",
        "times a day of its address (the programme says how often) and at most once a minute, whoever asks: a check,",
        "the household, or the courier who looks for the car. Stops at one place share a look for 5 minutes. Where the",
        f"budget is used up, a reading of the last {preflight.USABLE_FOR_S / 60:g} minutes counts; an older one says",
        "nothing, and the finding says `not_seen`: no reason to rule a place out, since the scan makes a look of its",
        "own.",
        "",
        "## Deliberately not asked",
        "",
        "| what | why not |",
        "|---|---|",
        *(f"| {what} | {why} |" for what, why in NOT_ASKED.items()),
        "",
    ]
    return "\n".join(lines)


def _again(again_after_s: float | None) -> str:
    return "" if again_after_s is None else f"after {again_after_s:g} s"


def _when(answer: preflight.Answer) -> str:
    if answer.mender is Mender.NOBODY:
        return "at once"
    return "at the last check" if answer.rules_out else "never"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == render_page(), "run: PYTHONPATH=src:. python -m tests.domain.test_preflight"


if __name__ == "__main__":
    PAGE.write_text(render_page())
