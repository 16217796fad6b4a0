"""The clock that a camera writes into its picture: learnt once, read ever after.

Cameras write the time in fonts of their own, so the digits are learnt from the camera itself: someone marks where
HH:MM:SS stands, and while twenty seconds pass its last digit shows all ten in turn. Which is which follows from the
digit before it: when that changes, the last one is a zero. No font, language or maker needs to be known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.uint8]
Shape = NDArray[np.float32]

CHARACTERS = 8
TENS, UNITS = 6, 7  # the seconds' digits
DIGITS_AT = (0, 1, 3, 4, 6, 7)
LEAST_LIKENESS = 0.8
LEAST_AHEAD = 0.06  # of the next best digit
SAME = 0.9  # two looks at one digit
LEAST_CONTRAST = 12.0  # grey levels
ZONE_STEP_S = 900
MAX_CELL = 128


class NoClock(ValueError):
    """What was marked shows no clock that goes; the message says what was missed, `code` the same in one word."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFace:
    """Where HH:MM:SS stands in the picture: eight characters of equal cells, pixels."""

    left: int
    top: int
    cell_width: int
    cell_height: int

    def __post_init__(self) -> None:
        is_small = 3 <= self.cell_width <= MAX_CELL and 5 <= self.cell_height <= MAX_CELL
        if not is_small or self.left < 0 or self.top < 0:
            raise ValueError(f"a clock's character has 3 by 5 to {MAX_CELL} by {MAX_CELL} pixels")

    def cut(self, levels: Levels, number: int) -> Shape | None:
        """One character, without its brightness and contrast. None: outside, or without any."""
        left = self.left + number * self.cell_width
        cell = levels[self.top : self.top + self.cell_height, left : left + self.cell_width].astype(
            np.float32
        )
        if cell.shape != (self.cell_height, self.cell_width):
            return None
        spread = float(cell.std())
        return None if spread < LEAST_CONTRAST else (cell - cell.mean()) / spread


@dataclass(frozen=True, slots=True, eq=False)
class ClockReader:
    """Reads one camera's clock. `zone_s`: how far its zone is from UTC, as it was when it was learnt."""

    face: ClockFace
    digits: tuple[Shape, ...]
    zone_s: int = 0

    def read(self, levels: Levels) -> int | None:
        """Seconds of the day, or None if it can't be read for sure."""
        found = [self._digit(self.face.cut(levels, number)) for number in DIGITS_AT]
        if any(digit is None for digit in found):
            return None
        h, hh, m, mm, s, ss = (digit for digit in found if digit is not None)
        hours, minutes, seconds = h * 10 + hh, m * 10 + mm, s * 10 + ss
        if hours > 23 or minutes > 59 or seconds > 59:
            return None
        return hours * 3600 + minutes * 60 + seconds

    def _digit(self, shape: Shape | None) -> int | None:
        if shape is None:
            return None
        likeness = [float((shape * digit).mean()) for digit in self.digits]
        second, best = sorted(likeness)[-2:]
        return likeness.index(best) if best >= LEAST_LIKENESS and best - second >= LEAST_AHEAD else None

    def content(self) -> dict[str, Any]:
        """As a row keeps it."""
        face = self.face
        return {
            "face": [face.left, face.top, face.cell_width, face.cell_height],
            "digits": [np.round(digit * 32).astype(int).flatten().tolist() for digit in self.digits],
            "zone_s": self.zone_s,
        }

    @classmethod
    def of_content(cls, content: dict[str, Any]) -> ClockReader:
        """What `content` gave. Raises ValueError."""
        try:
            left, top, width, height = content["face"]
            face = ClockFace(left=left, top=top, cell_width=width, cell_height=height)
            digits = tuple(
                (np.array(flat, np.float32).reshape(height, width) / 32).astype(np.float32)
                for flat in content["digits"]
            )
            zone_s = int(content["zone_s"])
        except (KeyError, TypeError) as error:
            raise ValueError("this is no clock that was learnt") from error
        if len(digits) != 10:
            raise ValueError("a clock has ten digits")
        return cls(face, digits, zone_s)


def learn(face: ClockFace, looks: Iterable[tuple[Levels, datetime]]) -> ClockReader:
    """Learn a clock from some twenty seconds of pictures, each with our time. Raises NoClock."""
    runs: list[list[Shape]] = []  # of the last digit, each while it stood
    is_turn: list[bool] = []  # whether the digit before it changed as the run began
    tens: Shape | None = None
    last: tuple[Levels, datetime] | None = None
    for levels, at in looks:
        last = (levels, at)
        unit, ten = face.cut(levels, UNITS), face.cut(levels, TENS)
        if unit is None or ten is None:
            raise NoClock("there is no writing where the clock was marked", code="no_writing")
        has_turned = tens is not None and _likeness(ten, tens) < SAME
        if not runs or _likeness(unit, runs[-1][0]) < SAME:
            runs.append([])
            is_turn.append(has_turned)
        elif has_turned and len(runs[-1]) == 1:
            is_turn[-1] = True  # coded pictures may change one digit a picture before the other
        runs[-1].append(unit)
        tens = ten
    turns = [number for number, has_turned in enumerate(is_turn) if has_turned]
    if last is None or len(runs) < 12 or not turns:
        raise NoClock(
            "what was marked did not change each second, as the end of HH:MM:SS does", code="not_ticking"
        )
    if any((turn - turns[0]) % 10 for turn in turns):
        raise NoClock("what was marked does not count to ten", code="not_ticking")
    shapes: list[Sequence[Shape]] = [[] for _ in range(10)]
    for number, run in enumerate(runs[1:-1], start=1):  # the first and the last may be cut
        shapes[(number - turns[0]) % 10] = [*shapes[(number - turns[0]) % 10], *run]
    if not all(shapes):
        raise NoClock("not every digit was shown: it takes twenty seconds", code="too_short")
    digits = tuple(np.mean(np.stack(each), axis=0).astype(np.float32) for each in shapes)
    reader = ClockReader(face, digits)
    shown_s = reader.read(last[0])
    if shown_s is None:
        raise NoClock("the digits could be told apart, but make no time of day", code="no_time")
    at = last[1]
    apart_s = shown_s - (at.hour * 3600 + at.minute * 60 + at.second)
    return ClockReader(face, digits, round(apart_s / ZONE_STEP_S) * ZONE_STEP_S)


def _likeness(one: Shape, other: Shape) -> float:
    return float((one * other).mean())
