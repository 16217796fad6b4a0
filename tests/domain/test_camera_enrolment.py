"""Enrolment of a camera: what comes next, when it is enough, and that every word of it has its text."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import product

import pytest

from unlatch.domain.camera_enrolment import (
    EnrolmentEnd,
    EnrolmentStep,
    Hindrance,
    Phase,
    StepState,
    find_next,
    hindrance_of,
    is_enough,
    list_methods,
)
from unlatch.domain.camera_enrolment_texts import (
    END_TEXTS,
    HINDRANCE_TEXTS,
    NEXT_TEXTS,
    NO_WAY,
    PHASE_TEXTS,
    STATE_TEXTS,
    end_text,
    hindrance_text,
    next_text,
    state_text,
)
from unlatch.domain.daylight import is_day, sun_elevation_deg
from unlatch.domain.wording import Language

S, T = EnrolmentStep, StepState
ALL = [
    dict(zip(EnrolmentStep, states, strict=True))
    for states in product((T.PASSED, T.WAITING), T, T, (T.WAITING, T.PASSED, T.FAILED))
]


@pytest.mark.parametrize("has_moved", [True, False])
def test_whoever_does_what_is_next_comes_to_the_end(*, has_moved: bool) -> None:
    for begun in ALL:
        states, done = dict(begun), 0
        while (step := find_next(states, has_moved=has_moved)) is not None:
            assert states[step] is not T.PASSED
            if states[step] is T.NOT_THERE:
                assert step is S.CLOCK, "it may be turned on in the camera; a lamp is not asked for"
            states[step] = T.PASSED
            done += 1
            assert done <= len(EnrolmentStep)
        assert is_enough(states, has_moved=has_moved), begun


def test_nothing_is_asked_for_twice() -> None:
    """Each step that fails leads somewhere, and what is under way is waited for."""
    for states in ALL:
        step = find_next(states, has_moved=False)
        under_way = [one for one in EnrolmentStep if states[one] is T.UNDER_WAY]
        assert not under_way or step is under_way[0]


def test_motion_is_the_weakest_and_never_beside_a_clock() -> None:
    door = {S.PICTURE: T.PASSED, S.DOOR: T.PASSED}
    for clock, light in product(T, T):
        states = {**door, S.CLOCK: clock, S.LIGHT: light}
        methods = list_methods(states, has_moved=True)
        assert ("clock" in methods) is (clock is T.PASSED)
        assert ("light" in methods) is (light is T.PASSED)
        if methods == ["motion"]:
            assert clock in (T.FAILED, T.NOT_THERE), "not before someone has said that there is no clock"
        assert "motion" not in methods or methods == ["motion"]
        assert list_methods(states, has_moved=False) == [one for one in methods if one != "motion"]
        assert is_enough(states, has_moved=True) is bool(methods)
        assert not is_enough({**states, S.DOOR: T.FAILED}, has_moved=True)


def test_every_word_of_cameras_and_recorders_has_its_hindrance() -> None:
    camera = [
        "not_found",
        "not_let_in",
        "refused",
        "unreachable",
        "cut",
        "silent",
        "no_video",
        "codec",
        "too_large",
    ]
    for step, code in product(EnrolmentStep, [*camera, "busy", "closed", "no_recorder", "no_picture"]):
        assert hindrance_of(step, code) is not Hindrance.BROKEN, code
    of_clock = ["no_writing", "not_ticking", "too_short", "no_time", "clock_wrong", "mark_out_of_size"]
    of_door = [
        "not_read",
        "open_already",
        "not_opened",
        "not_closed",
        "open_too_short",
        "not_seen",
        "at_another_time",
    ]
    for step, codes in ((S.CLOCK, of_clock), (S.DOOR, of_door), (S.LIGHT, ["not_reached", "not_seen"])):
        assert Hindrance.BROKEN not in {hindrance_of(step, code) for code in codes}
    assert hindrance_of(S.LIGHT, "not_seen") is not hindrance_of(S.DOOR, "not_seen")
    assert hindrance_of(S.DOOR, "unheard_of") is Hindrance.BROKEN


@pytest.mark.parametrize("language", Language)
def test_every_text_is_there_and_reads_well(language: Language) -> None:
    texts = [hindrance_text(one, language) for one in Hindrance]
    texts += [end_text(one, language) for one in EnrolmentEnd]
    texts += [next_text(step, state, None, language) for step, state in product(EnrolmentStep, StepState)]
    texts += [next_text(S.DOOR, T.UNDER_WAY, phase, language) for phase in Phase]
    for text in texts:
        assert re.search(r"^[A-ZÀÉ].*\.$", text), text
        assert "  " not in text
        assert len(text) <= 220, text
        assert language is Language.ENGLISH or not re.search(
            r"[^\s«»][:;?!]", text.replace("HH:MM:SS", "")
        ), text
        assert not re.search(r"\b(tu|ton|ta|tes|toi|lease|verdict|RTSP|token)\b", text), text
    assert len({state_text(one, language) for one in StepState}) == len(StepState)
    assert next_text(S.CLOCK, T.NOT_THERE, None, language) != next_text(S.CLOCK, T.WAITING, None, language)


def test_the_tables_of_texts_are_complete_and_the_languages_differ() -> None:
    assert set(NEXT_TEXTS) == set(product(EnrolmentStep, (True, False)))
    for table, words in (
        (PHASE_TEXTS, Phase), (END_TEXTS, EnrolmentEnd), (STATE_TEXTS, StepState), (HINDRANCE_TEXTS, Hindrance),
    ):  # fmt: skip
        assert set(table) == set(words)
        assert all(english != french for english, french in table.values())
    assert NO_WAY[0] != NO_WAY[1]


# ---- the sun ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("latitude", "longitude", "at", "elevation_deg"),
    [
        # NOAA's solar calculator, without refraction.
        (40.0, -105.0, datetime(2026, 6, 21, 19, 0, tzinfo=UTC), 73.4),
        (0.0, 0.0, datetime(2026, 3, 20, 12, 7, tzinfo=UTC), 89.9),
        (51.48, 0.0, datetime(2026, 12, 21, 12, 0, tzinfo=UTC), 15.1),
        (-33.87, 151.21, datetime(2026, 1, 1, 2, 0, tzinfo=UTC), 79.1),
        (47.62, -122.35, datetime(2026, 11, 26, 8, 0, tzinfo=UTC), -63.2),
    ],
)
def test_how_high_the_sun_stands(
    latitude: float, longitude: float, at: datetime, elevation_deg: float
) -> None:
    assert sun_elevation_deg(latitude, longitude, at) == pytest.approx(elevation_deg, abs=0.5)


def test_day_and_night() -> None:
    """Seattle, 26 November: the sun rises at 7:30 and sets at 16:23, Pacific time (UTC - 8)."""
    seattle = (47.62, -122.35)
    for hour, minute, expected in ((15, 0, False), (15, 20, False), (15, 50, True), (23, 50, True)):
        assert is_day(*seattle, datetime(2026, 11, 26, hour, minute, tzinfo=UTC)) is expected
    assert not is_day(*seattle, datetime(2026, 11, 27, 0, 40, tzinfo=UTC))
    assert is_day(69.65, 18.96, datetime(2026, 6, 21, 23, 0, tzinfo=UTC)), "the midnight sun of Tromso"
    assert not is_day(69.65, 18.96, datetime(2026, 12, 21, 11, 0, tzinfo=UTC)), "and its polar night"
