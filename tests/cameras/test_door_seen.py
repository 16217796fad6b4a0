"""A door is seen where the picture turns with it, and nothing else that turns is taken for one."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from tests.cameras.doors import ALL_S, CLOSED_S, KINDS, OPENED_S, door, judge, shoot, shut, told

from unlatch.cameras.door_seen import LEAST_CELLS, MOST_S, DoorLooks, DoorSeen, Span, judge_door
from unlatch.cameras.glances import Glance, Levels

Kept = list[tuple[float, Levels]]


@pytest.fixture(scope="module")
def opened() -> Kept:
    return shoot(door())


@pytest.mark.parametrize("name", KINDS)
def test_a_door_is_seen_and_nothing_else_is(name: str) -> None:
    kind = KINDS[name]
    kept = shoot(kind.view_at)
    for number in range(3):  # wherever the looks at the sensor fall
        seen = judge(kept, Random(number))
        assert seen.is_seen is kind.shows_door, seen


def test_the_same_picture_is_no_proof_of_another_moment(opened: Kept) -> None:
    """Who opens the door at ten to, and tells us that it was now, has shown nothing."""
    codes = {
        judge_door(opened, told(OPENED_S + by_s), told(CLOSED_S + by_s)).code
        for by_s in (-2.6, 2.6, -3.5, 3.5)
    }
    assert codes <= {"at_another_time", "not_seen"}
    assert judge_door(opened, told(OPENED_S), told(CLOSED_S)).is_seen


@pytest.mark.parametrize(
    ("spans", "code"),
    [
        ((told(OPENED_S), None), "open_too_short"),
        ((told(OPENED_S), told(OPENED_S)), "open_too_short"),
        ((told(OPENED_S), told(OPENED_S + 2.5)), "open_too_short"),
        ((told(1.0), told(CLOSED_S)), "no_picture"),
        ((told(OPENED_S), told(ALL_S - 1.0)), "no_picture"),
    ],
    ids=["never closed", "at once", "a moment", "no time before", "no time after"],
)
def test_what_can_not_be_judged_says_why(opened: Kept, spans: tuple[Span, Span | None], code: str) -> None:
    assert judge_door(opened, *spans).code == code
    assert judge_door([], *spans).code in {code, "no_picture"}


def test_a_bolt_alone_tells_between_which_moments(opened: Kept) -> None:
    """Unlocked some seconds before it is opened, locked some seconds after: then the picture tells when."""
    bolt = (told(OPENED_S - 2.5), told(CLOSED_S + 3.0))
    assert not judge_door(opened, *bolt).is_seen
    seen = judge_door(opened, *bolt, is_exact=False)
    assert seen.is_seen, seen
    for name in ("nothing", "someone walks by", "someone walks by slowly", "a lamp is on meanwhile"):
        assert not judge_door(shoot(KINDS[name].view_at), *bolt, is_exact=False).is_seen, name


def test_a_small_thing_is_no_door() -> None:
    kept: Kept = []
    for at_s, levels in shoot(shut()):
        changed = levels.copy()
        if OPENED_S <= at_s < CLOSED_S:
            changed[10:13, 30:32] = 230
        kept.append((at_s, changed))
    seen = judge(kept)
    assert seen.code == "not_seen"
    assert 6 <= seen.cells < LEAST_CELLS


def test_what_is_kept_is_bounded() -> None:
    looks, levels = DoorLooks(), np.zeros((36, 64), np.uint8)
    for number in range(round((MOST_S + 60) * 30)):
        looks.see(None, Glance(at_s=number / 30, levels=levels, digest=0))  # type: ignore[arg-type]
    assert len(looks._kept) <= MOST_S / 0.18 + 1
    assert looks.judge(told(20.0), told(30.0)) == DoorSeen(code="not_seen", cells=0)
