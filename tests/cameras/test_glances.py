"""What the last two seconds say of a picture, over frames that were really coded: live ones, and false ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import av
import numpy as np
import pytest
from tests.cameras.street import FACE, FORM, FPS, HEIGHT, clock_reader, hall, moment, paint

from unlatch.cameras.glances import Glance, Judgement, Method, Rolling, Verdict, digest_of, glance_of
from unlatch.cameras.light import Pattern, draw_pattern, look_for
from unlatch.cameras.shown_clock import ClockFace, ClockReader, NoClock, learn
from unlatch.town.film import Coder, decode
from unlatch.town.hall import Picture, View

LIVE_S, ALL_S = 3.0, 10.0
STILL, MOVING = View(), View(is_moving=True)
NO_CLOCK = View(has_clock=False)
NO_CLOCK_MOVING = View(has_clock=False, is_moving=True)


def glances_of(pictures: list[Picture], reader: ClockReader | None = None, fps: int = FPS) -> list[Glance]:
    """Code, decode, look."""
    coder, decoder = Coder(replace(FORM, fps=fps)), av.CodecContext.create("h264", "r")
    glances: list[Glance] = []
    for number, picture in enumerate(pictures):
        unit = coder.encode(picture, number / fps)
        coded = b"".join(b"\0\0\0\1" + nal for nal in unit.nals)
        for frame in decoder.decode(av.Packet(coded)):
            glance = glance_of(frame, digest_of(coded), number / fps, reader)
            glances.append(replace(glance, wall_at=moment(number, fps)))
    return glances


def verdicts(
    pictures: list[Picture], reader: ClockReader | None = None, since_s: float = 6.0
) -> set[Judgement]:
    """All judgements from then on."""
    rolling = Rolling(reader)
    found = set()
    for glance in glances_of(pictures, reader):
        rolling.add(glance)
        if glance.at_s >= since_s:
            found.add(replace(rolling.judge(glance.at_s + 0.01), clock_apart_s=None))
    return found


def film(view: View, seconds: float = ALL_S, behind_s: float = 0.0) -> list[Picture]:
    return [paint(number, view, behind_s=behind_s) for number in range(round(seconds * FPS))]


def frozen(view: View, *, is_noisy: bool) -> list[Picture]:
    """Live for three seconds; then one picture, coded anew."""
    pictures = film(view, LIVE_S)
    still = pictures[-1]
    more = range(round((ALL_S - LIVE_S) * FPS))
    return pictures + [hall().grain(still, view.noise) if is_noisy else still for _ in more]


def looped(view: View, period_s: float = 4.0) -> list[Picture]:
    """The first seconds again and again, coded anew."""
    pictures = film(view, period_s)
    return [pictures[number % len(pictures)] for number in range(round(ALL_S * FPS))]


LIVE_BY_CLOCK = Judgement(verdict=Verdict.LIVE, method=Method.CLOCK)
LIVE_BY_MOTION = Judgement(verdict=Verdict.LIVE, method=Method.MOTION)


def only(*verdicts: Verdict) -> set[Judgement]:
    return {Judgement(verdict=verdict) for verdict in verdicts}


@pytest.mark.parametrize(
    ("pictures", "expected"),
    [
        (lambda: film(STILL), {LIVE_BY_CLOCK}),
        (lambda: film(MOVING), {LIVE_BY_CLOCK}),
        (lambda: film(STILL, behind_s=3.0), {LIVE_BY_CLOCK}),
        (lambda: film(STILL, behind_s=-3.0), {LIVE_BY_CLOCK}),
        (lambda: film(STILL, behind_s=8.0), only(Verdict.CLOCK_WRONG)),
        (lambda: film(STILL, behind_s=-8.0), only(Verdict.CLOCK_WRONG)),
        (lambda: frozen(STILL, is_noisy=False), only(Verdict.FROZEN)),
        (lambda: frozen(STILL, is_noisy=True), only(Verdict.FROZEN)),
        (lambda: looped(MOVING), only(Verdict.LOOPING)),
        (lambda: film(replace(STILL, light=-150, has_clock=False)), only(Verdict.TOO_DARK_TO_TELL)),
    ],
    ids=["still", "moving", "3 s late", "3 s early", "8 s late", "8 s early", "frozen", "frozen with noise", "looped",
         "dark"],
)  # fmt: skip
def test_with_a_clock_that_was_learnt(
    pictures: Callable[[], list[Picture]], expected: set[Judgement]
) -> None:
    assert verdicts(pictures(), clock_reader()) == expected


def test_a_loop_of_a_still_hall_is_known_for_false_by_its_clock() -> None:
    """Whether as looping or as frozen hangs on where the last second falls: both are against it."""
    found = verdicts(looped(STILL), clock_reader())
    assert found
    assert found <= only(Verdict.LOOPING, Verdict.FROZEN)


@pytest.mark.parametrize(
    ("pictures", "expected"),
    [
        (lambda: film(NO_CLOCK_MOVING), {LIVE_BY_MOTION}),
        (lambda: film(NO_CLOCK), only(Verdict.TOO_STILL_TO_TELL)),
        (lambda: film(STILL), only(Verdict.TOO_STILL_TO_TELL)),  # a clock that was not learnt is no motion
        (lambda: frozen(NO_CLOCK, is_noisy=True), only(Verdict.TOO_STILL_TO_TELL)),
        (lambda: looped(NO_CLOCK_MOVING), only(Verdict.LOOPING)),
        (lambda: looped(NO_CLOCK_MOVING, 2.5), only(Verdict.LOOPING)),
    ],
    ids=["moving", "still", "clock", "frozen with noise", "looped", "looped shortly"],
)
def test_without_a_clock(pictures: Callable[[], list[Picture]], expected: set[Judgement]) -> None:
    """What can't be told is said so: it is neither live nor an alarm."""
    assert verdicts(pictures(), since_s=7.0) == expected


def test_a_still_hall_that_loops_is_never_taken_for_live() -> None:
    """Where its coded frames come again, it is even told apart; else nobody can."""
    found = {one.verdict for one in verdicts(looped(NO_CLOCK), since_s=7.0)}
    assert found <= {Verdict.TOO_STILL_TO_TELL, Verdict.FROZEN}


@pytest.mark.parametrize("seed", range(2))
def test_a_curtain_in_the_wind_is_never_taken_for_a_loop(seed: int) -> None:
    pictures = [paint(number, NO_CLOCK_MOVING, seed=seed) for number in range(250, 400)]
    assert {one.verdict for one in verdicts(pictures, since_s=3.0)} == {Verdict.LIVE}


def test_the_very_same_coded_frame_again_is_told_at_once() -> None:
    glances = glances_of(film(NO_CLOCK_MOVING, 6.0))
    rolling = Rolling()
    for glance in glances:
        rolling.add(glance)
    last = glances[-1]
    rolling.add(replace(last, at_s=last.at_s + 0.1))
    assert rolling.judge(last.at_s + 0.1).verdict is Verdict.FROZEN
    looping = Rolling()
    for number, glance in enumerate([*glances, *glances[20:50]]):
        looping.add(replace(glance, at_s=number / FPS))
    assert looping.judge(9.0).verdict is Verdict.LOOPING
    assert digest_of(b"short") == 0


def test_no_picture_for_two_seconds_is_stalled() -> None:
    rolling = Rolling()
    assert rolling.judge(0.0).verdict is Verdict.STALLED
    glances = glances_of(film(NO_CLOCK_MOVING, 4.0))
    for glance in glances:
        rolling.add(glance)
    end_s = glances[-1].at_s
    assert rolling.judge(end_s + 1.9).is_live
    assert rolling.judge(end_s + 2.1).verdict is Verdict.STALLED
    assert rolling.judge(end_s + 2.1, heard_s=end_s + 2.0).verdict is not Verdict.STALLED  # keyframes alone


def test_a_new_session_has_to_show_for_itself_that_it_lives() -> None:
    """Who cuts the link and serves a photograph must not profit from what moved before."""
    pictures = film(NO_CLOCK_MOVING, 4.0)
    glances = glances_of([*pictures, *[hall().grain(pictures[5], 2.0)] * 12])
    rolling = Rolling()
    for number, glance in enumerate(glances):
        if number == len(pictures):
            assert rolling.judge(glance.at_s).is_live
            rolling.begin(glance.at_s)
        rolling.add(glance)
        if number >= len(pictures):
            assert not rolling.judge(glance.at_s).is_live


def test_keyframes_alone_still_show_a_clock_that_stands() -> None:
    reader = clock_reader()
    for pictures, expected in ((film(STILL), Verdict.LIVE), (frozen(STILL, is_noisy=True), Verdict.FROZEN)):
        rolling = Rolling(reader)
        for glance in glances_of(pictures, reader)[::20]:
            rolling.add(glance)
        assert rolling.judge(ALL_S).verdict is expected


def test_what_is_kept_is_bounded() -> None:
    rolling = Rolling()
    levels = np.zeros((36, 64), np.uint8)
    for number in range(5_000):
        rolling.add(Glance(at_s=number / 100, levels=levels, digest=0))
    assert len(rolling.glances()) <= 600


# ---- the clock --------------------------------------------------------------------------------------------


def coded_looks(pictures: list[Picture]) -> list[tuple[Picture, int]]:
    coder = Coder(FORM)
    units = [coder.encode(picture, 0.0) for picture in pictures]
    return [(picture[:HEIGHT], number) for number, picture in enumerate(decode(units))]


def test_the_clock_is_read_to_the_second_by_day_and_by_night() -> None:
    reader = clock_reader()
    for view in (STILL, replace(STILL, light=-100), replace(STILL, light=60, noise=6.0)):
        for picture, number in coded_looks([paint(one * 7, view) for one in range(60)]):
            at = moment(number * 7)
            assert reader.read(picture) == at.hour * 3600 + at.minute * 60 + at.second


def test_what_is_no_time_is_not_read() -> None:
    reader = clock_reader()
    assert reader.read(paint(0, NO_CLOCK)[:HEIGHT]) is None
    covered = paint(0)[:HEIGHT].copy()
    covered[FACE.top + 4 : FACE.top + 10, FACE.left : FACE.left + 60] = 120
    assert reader.read(covered) is None
    assert reader.read(np.zeros((4, 4), np.uint8)) is None


def test_a_clock_keeps_what_it_learnt_as_a_row() -> None:
    content = clock_reader().content()
    reader = ClockReader.of_content(content)
    assert reader.read(paint(123)[:HEIGHT]) == clock_reader().read(paint(123)[:HEIGHT])
    assert sum(len(digit) for digit in content["digits"]) < 5_000
    for broken in ({}, {**content, "digits": content["digits"][:9]}, {**content, "face": [0, 0, 1, 1]}):
        with pytest.raises(ValueError):  # noqa: PT011
            ClockReader.of_content(broken)


def test_the_zone_is_learnt() -> None:
    looks = [
        (picture, moment(number + 2 * 3600 * FPS))
        for picture, number in coded_looks([paint(one) for one in range(215)])
    ]
    assert learn(FACE, looks).zone_s == -7200


@pytest.mark.parametrize(
    ("face", "view", "seconds"),
    [
        (FACE, NO_CLOCK, 22),
        (FACE, STILL, 8),
        (ClockFace(left=150, top=60, cell_width=12, cell_height=16), MOVING, 22),
        (ClockFace(left=FACE.left + 12, top=FACE.top, cell_width=12, cell_height=16), STILL, 22),
        (ClockFace(left=300, top=170, cell_width=12, cell_height=16), STILL, 22),
    ],
    ids=["no clock", "too short", "elsewhere", "one digit beside", "outside"],
)
def test_what_is_no_clock_is_not_learnt(face: ClockFace, view: View, seconds: int) -> None:
    pictures = [paint(number, view) for number in range(seconds * FPS)]
    with pytest.raises(NoClock):
        learn(face, [(picture[:HEIGHT], moment(number)) for number, picture in enumerate(pictures)])


# ---- the light --------------------------------------------------------------------------------------------


def lit(pattern: Pattern, view: View, *, delay_s: float = 0.3, seconds: float = 8.0) -> list[Picture]:
    """A hall whose lamp plays the pattern, a little late."""
    pictures = []
    for number in range(round(seconds * FPS)):
        at = int((number / FPS - pattern.begun_s - delay_s) // pattern.chip_s)
        is_lit = 0 <= at < len(pattern.chips) and pattern.chips[at]
        pictures.append(paint(number, replace(view, is_lamp_on=is_lit)))
    return pictures


@pytest.mark.parametrize(
    "view", [STILL, MOVING, replace(NO_CLOCK, light=-150)], ids=["still", "moving", "dark"]
)
@pytest.mark.parametrize("delay_s", [0.0, 0.4, 1.1])
def test_our_own_light_is_seen(view: View, delay_s: float) -> None:
    pattern = draw_pattern(2.0)
    seen = look_for(pattern, glances_of(lit(pattern, view, delay_s=delay_s)))
    assert seen.is_ours, seen
    assert seen.delay_s == pytest.approx(delay_s, abs=0.2)


@pytest.mark.parametrize("view", [STILL, MOVING, NO_CLOCK])
def test_without_our_light_nothing_is_seen(view: View) -> None:
    for _ in range(20):
        assert not look_for(draw_pattern(2.0), glances_of_once(view)).is_ours


_ONCE: dict[View, list[Glance]] = {}


def glances_of_once(view: View) -> list[Glance]:
    if view not in _ONCE:
        _ONCE[view] = glances_of(film(view, 8.0))
    return _ONCE[view]


def test_another_pattern_is_not_taken_for_ours() -> None:
    played = Pattern(
        chips=(True, False, True, True, False, False, True, False, True, True, False, False), begun_s=2.0
    )
    glances = glances_of(lit(played, STILL))
    assert look_for(played, glances).is_ours
    taken = sum(look_for(draw_pattern(2.0, 12), glances).is_ours for _ in range(300))
    assert taken <= 12  # 4 %: with its delay unknown, a pattern of twelve has that many cousins


def test_a_pattern_is_drawn_by_lot() -> None:
    drawn = {draw_pattern(0.0).chips for _ in range(60)}
    assert len(drawn) > 40
    assert {(len(chips), sum(chips)) for chips in drawn} == {(16, 8)}
    for chips in (5, 7, 4):
        with pytest.raises(ValueError, match="chips"):
            draw_pattern(0.0, chips)
