"""What a camera of the town sees: a hall with a door, a lamp and a clock in the corner, and the noise of a sensor.

Pictures are planar YUV 4:2:0, as an encoder wants them. The noise is honest: each picture takes it from another
place of a plane larger than itself, with another sign and turn, so that no two pictures have the same one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

BLACK, WHITE = 16, 235  # of the video range
NOISE_MARGIN = 64
# Five by seven dots, a row a number, as a character display has them.
GLYPHS = {
    "0": (14, 17, 19, 21, 25, 17, 14), "1": (4, 12, 4, 4, 4, 4, 14), "2": (14, 17, 1, 2, 4, 8, 31),
    "3": (31, 2, 4, 2, 1, 17, 14), "4": (2, 6, 10, 18, 31, 2, 2), "5": (31, 16, 30, 1, 1, 17, 14),
    "6": (6, 8, 16, 30, 17, 17, 14), "7": (31, 1, 2, 4, 8, 8, 8), "8": (14, 17, 17, 14, 17, 17, 14),
    "9": (14, 17, 17, 15, 1, 2, 12), ":": (0, 4, 4, 0, 4, 4, 0),
}  # fmt: skip
CELL_DOTS = (6, 8)  # of one character, with its margins: columns, rows
CLOCK_TEXT = "%H:%M:%S"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is before the camera, and how it sees it."""

    door_open: float = 0.0  # 0 closed, 1 wide open
    is_lamp_on: bool = False
    light: float = 0.0  # grey levels more or less than by day; -150 is night
    noise: float = 2.0  # standard deviation of the sensor, grey levels
    has_clock: bool = True
    is_moving: bool = False  # a curtain in the wind
    walker: float | None = (
        None  # someone on the way through the hall: 0 comes in at the left, 1 is gone at the right
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockPlace:
    """Where the clock stands in the picture, in pixels: eight characters of equal cells, HH:MM:SS."""

    left: int
    top: int
    cell_width: int
    cell_height: int


def clock_place(width: int, height: int) -> ClockPlace:
    """In the corner, as large as the picture bears."""
    scale = max(1, min(width // 160, height // 90))
    return ClockPlace(
        left=4 * scale, top=4 * scale, cell_width=CELL_DOTS[0] * scale, cell_height=CELL_DOTS[1] * scale
    )


class Hall:
    """One hall; each seed is furnished otherwise."""

    def __init__(self, width: int, height: int, seed: int = 0, *, film: int = 0) -> None:
        """`film`: of this hall, counted. Each has noise of its own: a sensor does not begin anew."""
        if width % 4 or height % 4 or not (64 <= width <= 1920 and 64 <= height <= 1088):
            raise ValueError("a picture has 64 to 1920 by 64 to 1088 pixels, both divisible by four")
        self.width, self.height = width, height
        chance = np.random.default_rng(seed)
        self._chance = np.random.default_rng([seed + 1, film])
        self._wall = self._furnish(chance)
        margin = (height + NOISE_MARGIN, width + NOISE_MARGIN)
        self._noise = np.clip(chance.normal(0.0, 16.0, margin), -127, 127).astype(np.int8)  # scaled by 16
        rows, columns = np.mgrid[0:height, 0:width]
        far = np.hypot(rows / height - 0.2, columns / width - 0.5)
        self._lamp = (45.0 * np.exp(-3.0 * far**2)).astype(np.int16)

    def _furnish(self, chance: np.random.Generator) -> NDArray[np.int16]:
        rows = np.linspace(70, 150, self.height)[:, None]
        wall = rows + 18 * np.sin(np.linspace(0, 9 + chance.uniform(0, 6), self.width))[None, :]
        for _ in range(6):  # pictures on the wall, a chest, a coat
            top, left = chance.uniform(0.2, 0.7) * self.height, chance.uniform(0.0, 0.5) * self.width
            tall, wide = chance.uniform(0.08, 0.25, 2) * (self.height, self.width)
            wall[int(top) : int(top + tall), int(left) : int(left + wide)] += chance.uniform(-45, 45)
        return np.asarray(np.clip(wall, 30, 190), np.int16)

    def paint(self, view: View, shown_at: datetime, phase_s: float) -> Picture:
        """The picture now. `shown_at` is what its clock shows; `phase_s` moves what moves."""
        level = self._wall.copy()
        self._paint_door(level, view, phase_s)
        if view.is_moving:
            # Two swings that never meet again: a curtain is no clockwork.
            swing = 0.08 * np.sin(2.1 * phase_s) + 0.05 * np.sin(2.1 * 1.618 * phase_s)
            middle = int(self.width * (0.3 + swing))
            level[self.height // 3 : self.height * 4 // 5, middle : middle + self.width // 12] -= 40
        if view.walker is not None:
            self._paint_walker(level, view.walker, phase_s)
        if view.light:
            level += np.int16(view.light)
            np.clip(level, BLACK + 2, WHITE, out=level)  # a dark hall still has its sensor's floor
        if view.is_lamp_on:
            level += self._lamp
        if view.noise:
            level += self._grain(view.noise)
        picture = np.full((self.height * 3 // 2, self.width), 128, np.uint8)
        picture[: self.height] = np.clip(level, BLACK, WHITE)
        if view.has_clock:
            self._paint_clock(picture, shown_at.strftime(CLOCK_TEXT))
        return picture

    def grain(self, picture: Picture, noise: float) -> Picture:
        """The same picture with another noise: what a camera would see of a photograph held before it."""
        grained = picture.copy()
        level = picture[: self.height].astype(np.int16) + self._grain(noise)
        grained[: self.height] = np.clip(level, BLACK, WHITE)
        return grained

    def _grain(self, noise: float) -> NDArray[np.int16]:
        top, left = self._chance.integers(0, NOISE_MARGIN, 2)
        grain = self._noise[top : top + self.height, left : left + self.width]
        turn = self._chance.integers(0, 4)
        grain = grain[:: 1 if turn & 1 else -1, :: 1 if turn & 2 else -1]
        factor = round(noise * 16) * (1 if self._chance.random() < 0.5 else -1)
        scaled: NDArray[np.int16] = (grain.astype(np.int16) * np.int16(factor) + np.int16(128)) >> 8
        return scaled

    def _paint_door(self, level: NDArray[np.int16], view: View, phase_s: float) -> None:
        top, bottom = self.height // 5, self.height - self.height // 12
        left, right = self.width * 3 // 5, self.width * 9 // 10
        level[top:bottom, left:right] = 60
        level[(top + bottom) // 2 :, right - (right - left) // 8][: self.height // 40 + 1] = 200  # its handle
        if view.door_open > 0:
            edge = left + int((right - left) * min(1.0, view.door_open))
            level[top:bottom, left:edge] = 215  # the street
            if edge - left > 8:  # and who stands there
                sway = int((edge - left) * (0.4 + 0.15 * np.sin(3.0 * phase_s)))
                level[top + (bottom - top) // 5 : bottom, left + sway : left + sway + self.width // 16] = 50

    def _paint_walker(self, level: NDArray[np.int16], walker: float, phase_s: float) -> None:
        wide = self.width // 10
        left = int(-wide + walker * (self.width + wide))
        top = self.height // 4 + int(self.height * 0.01 * np.sin(9.0 * phase_s))  # nobody glides
        for begin, end, grey in ((0.0, 0.2, 150), (0.2, 0.6, 45), (0.6, 1.0, 95)):  # head, coat, legs
            tall = self.height * 0.96 - top
            rows = slice(int(top + begin * tall), int(top + end * tall))
            level[rows, max(0, left) : max(0, left + wide)] = grey

    def _paint_clock(self, picture: Picture, text: str) -> None:
        place = clock_place(self.width, self.height)
        scale = place.cell_width // CELL_DOTS[0]
        for number, character in enumerate(text):
            left = place.left + number * place.cell_width
            cell = picture[place.top : place.top + place.cell_height, left : left + place.cell_width]
            cell[:] = BLACK
            dots = np.array(
                [[row >> (4 - column) & 1 for column in range(5)] for row in GLYPHS[character]], np.uint8
            )
            cell[: 7 * scale, : 5 * scale][dots.repeat(scale, 0).repeat(scale, 1) == 1] = WHITE


def opened(view: View, door_open: float) -> View:
    """The same with its door so far open."""
    return replace(view, door_open=door_open)
