"""Draws the town's own page: its streets, and a panel of hands and faults for each kind of mark."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from string import Template

from unlatch.town.stage_scene import Scene
from unlatch.town.stage_texts import (
    CAMERA_FAULTS,
    CAR_FAULTS,
    CAR_HANDS,
    CAR_STEPS,
    ERRANDS,
    HOME_FAULTS,
    HOME_HANDS,
    HOME_STEPS,
    TEXTS,
    Pair,
    choose,
)
from unlatch.town.streets import AVENUES_M, HEIGHT_M, OWN_HOME, STREET_NAMES, STREETS_M, WIDTH_M

QUIET_FROM = 2  # buttons from the third on are what one presses rarely


def draw_page(scene: Scene, language: str) -> str:
    """The whole page, in that language."""
    texts = choose(TEXTS, language)
    page = Template(files("unlatch").joinpath("town/stage_page/stage.html").read_text(encoding="utf-8"))
    draw = partial(_draw_buttons, language=language)
    faults = partial(_draw_boxes, language=language)
    return page.substitute(
        texts,
        language=language,
        server=scene.server_url,
        code=scene.enrol_code,
        vin=scene.vin,
        home=OWN_HOME,
        who=scene.courier,
        width=f"{WIDTH_M:g}",
        height=f"{HEIGHT_M:g}",
        streets=_draw_streets(),
        car_hands=draw(CAR_HANDS),
        home_hands=draw(HOME_HANDS),
        errands=draw(ERRANDS),
        car_faults=faults(CAR_FAULTS),
        home_faults=faults(HOME_FAULTS),
        the_camera_faults=faults(CAMERA_FAULTS),
        car_steps=_draw_steps(CAR_STEPS[language]),
        home_steps=_draw_steps(HOME_STEPS[language]),
    )


def _draw_streets() -> str:
    """Lines of SVG: avenues and streets, and what these are called."""
    lines = [f'<path class="road" d="M{east:g} 0V{HEIGHT_M:g}"/>' for east in AVENUES_M]
    lines += [f'<path class="road" d="M0 {HEIGHT_M - north:g}H{WIDTH_M:g}"/>' for north in STREETS_M]
    lines += [
        f'<text class="street" x="{AVENUES_M[0] + 16:g}" y="{HEIGHT_M - north + 3:g}">{name}</text>'
        for name, north in zip(STREET_NAMES, STREETS_M, strict=True)
    ]
    return "".join(lines)


def _draw_buttons(deeds: Mapping[str, Pair], *, language: str) -> str:
    return "".join(
        f'<button class="button{" button-quiet" if number >= QUIET_FROM else ""}" data-do="{name}" disabled>'
        f"{text}</button>"
        for number, (name, text) in enumerate(choose(deeds, language).items())
    )


def _draw_boxes(faults: Mapping[str, Pair], *, language: str) -> str:
    return "".join(
        f'<label class="check"><input type="checkbox" value="{kind}" disabled>{text}</label>'
        for kind, text in choose(faults, language).items()
    )


def _draw_steps(steps: Mapping[str, tuple[str, str]]) -> str:
    return "".join(
        f'<li data-step="{name}"><strong>{title}</strong><span>{text}</span></li>'
        for name, (title, text) in steps.items()
    )
