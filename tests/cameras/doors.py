"""Films of a hall while its door is opened and closed, and of all that is no such thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

import av
from tests.cameras.street import moment

from unlatch.cameras.door_seen import DoorSeen, Span, judge_door
from unlatch.cameras.glances import Levels, glance_of
from unlatch.town.film import Coder, Format
from unlatch.town.hall import Hall, View

FPS = 5
FORM = Format(width=192, height=108, fps=FPS, bitrate=120_000, keyframe_s=2.0)
OPENED_S, CLOSED_S, ALL_S = 9.0, 16.0, 25.0
SWING_S = 0.8
POLL_S = 1.0  # the sensor is asked so often
HALLS: dict[int, Hall] = {}
ViewAt = Callable[[float], View]


def shoot(view_at: ViewAt, *, seed: int = 0) -> list[tuple[float, Levels]]:
    """Paint, code, decode, look."""
    hall = HALLS.setdefault(seed, Hall(FORM.width, FORM.height, seed))
    coder, decoder = Coder(FORM), av.CodecContext.create("h264", "r")
    kept: list[tuple[float, Levels]] = []
    for number in range(round(ALL_S * FPS)):
        at_s = number / FPS
        unit = coder.encode(hall.paint(view_at(at_s), moment(number, FPS), at_s), at_s)
        coded = b"".join(b"\0\0\0\1" + nal for nal in unit.nals)
        kept += [(at_s, glance_of(frame, 0, at_s).levels) for frame in decoder.decode(av.Packet(coded))]
    return kept


def told(at_s: float, chance: Random | None = None, *, late_s: float = 0.3) -> Span:
    """Between which two looks at the sensor that was, which tells a little late."""
    phase = chance.random() * POLL_S if chance is not None else 0.4
    from_s = at_s + late_s - phase
    return Span(from_s=from_s, until_s=from_s + POLL_S + 0.1)


def judge(kept: list[tuple[float, Levels]], chance: Random | None = None) -> DoorSeen:
    return judge_door(kept, told(OPENED_S, chance), told(CLOSED_S, chance))


def door(wide: float = 1.0, *, behind_s: float = 0.0, view: View | None = None) -> ViewAt:
    """A door that is opened so wide and closed again, seen by a camera that is so late."""
    still = view or View()

    def view_at(at_s: float) -> View:
        after = at_s - behind_s
        opening = min(1.0, max(0.0, (after - OPENED_S) / SWING_S))
        closing = min(1.0, max(0.0, (after - CLOSED_S) / SWING_S))
        return replace(still, door_open=wide * max(0.0, opening - closing))

    return view_at


def with_walker(view_at: ViewAt, from_s: float, until_s: float) -> ViewAt:
    """Someone walks through the hall in that time."""

    def walked(at_s: float) -> View:
        share = (at_s - from_s) / (until_s - from_s)
        return replace(view_at(at_s), walker=share if 0 <= share <= 1 else None)

    return walked


def with_light(view_at: ViewAt, from_s: float, until_s: float, levels: float) -> ViewAt:
    """It is lighter or darker in that time."""

    def lit(at_s: float) -> View:
        view = view_at(at_s)
        return replace(view, light=view.light + (levels if from_s <= at_s < until_s else 0))

    return lit


def with_lamp(view_at: ViewAt, from_s: float, until_s: float) -> ViewAt:
    """A lamp of the hall is on in that time."""
    return lambda at_s: replace(view_at(at_s), is_lamp_on=from_s <= at_s < until_s)


def shut(view: View | None = None) -> ViewAt:
    """A camera that does not see the door."""
    still = view or View()
    return lambda _: still


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of film."""

    shows_door: bool
    view_at: ViewAt


KINDS: dict[str, Kind] = {
    "wide open": Kind(shows_door=True, view_at=door()),
    "half open": Kind(shows_door=True, view_at=door(0.5)),
    "ajar by a fourth": Kind(shows_door=True, view_at=door(0.25)),
    "in a dim hall": Kind(shows_door=True, view_at=door(view=View(light=-50))),
    "in the dark, the street alight": Kind(shows_door=True, view_at=door(view=View(light=-110))),
    "a camera 1 s late": Kind(shows_door=True, view_at=door(behind_s=1.0)),
    "a noisy camera": Kind(shows_door=True, view_at=door(view=View(noise=6.0))),
    "a curtain moves": Kind(shows_door=True, view_at=door(view=View(is_moving=True))),
    "who opens comes through the hall": Kind(
        shows_door=True, view_at=with_walker(door(), OPENED_S - 3.0, OPENED_S)
    ),
    "who closes walks off through the hall": Kind(
        shows_door=True, view_at=with_walker(door(), CLOSED_S + 0.5, CLOSED_S + 3.5)
    ),
    "the lamp goes on with it": Kind(shows_door=True, view_at=with_lamp(door(), OPENED_S + 0.5, ALL_S)),
    "the hall grows lighter with it": Kind(
        shows_door=True, view_at=with_light(door(), OPENED_S, CLOSED_S, 25.0)
    ),
    "nothing": Kind(shows_door=False, view_at=shut()),
    "nothing but a curtain": Kind(shows_door=False, view_at=shut(View(is_moving=True))),
    "someone walks by": Kind(shows_door=False, view_at=with_walker(shut(), OPENED_S, OPENED_S + 4.0)),
    "someone walks by slowly": Kind(shows_door=False, view_at=with_walker(shut(), OPENED_S, CLOSED_S)),
    "someone comes and goes": Kind(
        shows_door=False,
        view_at=with_walker(
            with_walker(shut(), OPENED_S - 1.0, OPENED_S + 1.5), CLOSED_S - 1.5, CLOSED_S + 1.0
        ),
    ),
    "the hall grows lighter meanwhile": Kind(
        shows_door=False, view_at=with_light(shut(), OPENED_S, CLOSED_S, 40.0)
    ),
    "the hall grows darker meanwhile": Kind(
        shows_door=False, view_at=with_light(shut(), OPENED_S, CLOSED_S, -40.0)
    ),
    "another door, four seconds before": Kind(
        shows_door=False, view_at=lambda at_s: door()(at_s + 4.0)
    ),
    "another door, four seconds after": Kind(
        shows_door=False, view_at=lambda at_s: door()(at_s - 4.0)
    ),
    "a lamp is on meanwhile": Kind(shows_door=False, view_at=with_lamp(shut(), OPENED_S, CLOSED_S)),
}  # fmt: skip
