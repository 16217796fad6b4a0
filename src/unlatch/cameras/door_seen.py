"""Whether a camera sees a door: its picture must change as the door is opened, and back as it is closed.

When that was is told by the home's own lock or contact sensor, as spans: between the last look that showed it closed
and the first that showed it open. The picture is looked at on a coarse grid, less what the light does to all of it.
The cells that count are those that were quiet before and after, and were otherwise for most of the time while the door
stood open; together they must have turned within a moment of the two spans.

What is not claimed: who steps into the picture as the door opens, stands still, and steps out as it closes is taken
for a door, and so may be the light that it lets in, where that has an edge. How often other things are, is measured
(docs/reference/cameras.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from unlatch.cameras.glances import Glance, Levels

QUIET_S = 4.0  # before it is opened, and after it was closed, that is looked at
LEAST_QUIET_S = 1.5
LEAST_OPEN_S = 2.0
KEEP_EVERY_S = 0.18
MOST_S = 180.0
ASIDE_S = 2.0  # around the spans, that is not asked to be quiet: who opens a door comes to it
EARLY_S = 1.2  # that the picture may turn before the sensor tells
LATE_S = 1.8  # that a camera may be late
CHANGED_LEVELS = 10.0
STEP_LEVELS = 8.0  # from one cell to the next
FITS = 4  # of the light
LEAST_GAIN, MOST_GAIN = 0.3, 3.0
LEAST_CELLS = (
    40  # of 2,304: the outline of a door that takes a seventh of the width and a third of the height
)
MOSTLY = 0.7
SELDOM = 0.2
HALF = 0.5
STANDS_FOR_S = 1.2  # a picture that turned stays so, but for a moment

Cells = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Between these two moments something happened. Monotonic seconds."""

    from_s: float
    until_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorSeen:
    """What the picture showed of it. `code`: why it does not count as seen; None: it does."""

    code: str | None
    cells: int = 0  # that turned with the door, of the grid's 2,304
    opened_apart_s: float | None = None  # the picture's turn from the middle of the span; more: later
    closed_apart_s: float | None = None

    @property
    def is_seen(self) -> bool:
        """Taken for a camera that sees its door."""
        return self.code is None


class DoorLooks:
    """An onlooker: keeps some glances a second while a door is opened and closed."""

    def __init__(self) -> None:
        self._kept: list[tuple[float, Levels]] = []
        self._begun_s: float | None = None

    def see(self, frame: VideoFrame, glance: Glance) -> None:
        """The next frame."""
        kept = self._kept
        if self._begun_s is None:
            self._begun_s = glance.at_s
        is_too_soon = kept and glance.at_s - kept[-1][0] < KEEP_EVERY_S
        if not is_too_soon and glance.at_s - self._begun_s <= MOST_S:
            kept.append((glance.at_s, glance.levels))

    def judge(self, opened: Span, closed: Span | None, *, is_exact: bool = True) -> DoorSeen:
        """See `judge_door`, over what was kept."""
        kept = list(self._kept)
        return judge_door(kept, opened, closed, is_exact=is_exact)


def judge_door(
    kept: list[tuple[float, Levels]], opened: Span, closed: Span | None, *, is_exact: bool = True
) -> DoorSeen:
    """Whether these glances show the door that was opened and closed within these spans.

    Without `is_exact` the spans are those of the bolt: the door was opened and closed at some moment between them.
    """
    if closed is None or closed.from_s <= opened.until_s:
        return DoorSeen(code="open_too_short")
    times = np.array([at_s for at_s, _ in kept])
    quiet_from_s, quiet_until_s = opened.from_s - ASIDE_S, closed.until_s + ASIDE_S
    is_before = (times >= quiet_from_s - QUIET_S) & (times < quiet_from_s)
    is_after = (times > quiet_until_s) & (times <= quiet_until_s + QUIET_S)
    if _span_s(times[is_before]) < LEAST_QUIET_S or _span_s(times[is_after]) < LEAST_QUIET_S:
        return DoorSeen(code="no_picture")
    is_between = (times >= quiet_from_s) & (times <= quiet_until_s)
    is_open = (times >= opened.until_s) & (times <= closed.from_s) if is_exact else is_between
    if _span_s(times[is_open]) < LEAST_OPEN_S:
        return DoorSeen(code="open_too_short")
    cells = np.stack([levels for _, levels in kept])
    has_changed = find_changed(cells, np.median(cells[is_before], axis=0).astype(np.float32))
    is_quiet = has_changed[is_before].mean(axis=0) <= SELDOM
    is_quiet &= has_changed[is_after].mean(axis=0) <= SELDOM
    changed_s = has_changed[is_open].mean(axis=0) * _span_s(times[is_open])
    least_s = MOSTLY * _span_s(times[is_open]) if is_exact else LEAST_OPEN_S
    region = is_quiet & (changed_s >= least_s)
    count = int(region.sum())
    if count < LEAST_CELLS:
        return DoorSeen(code="not_seen", cells=count)
    has_turned = has_changed[:, region].mean(axis=1) >= HALF
    turned = _longest_run(times[is_between], has_turned[is_between])
    if turned is None or turned[1] - turned[0] < LEAST_OPEN_S:
        return DoorSeen(code="not_seen", cells=count)
    return _judge_moments(turned, opened, closed, count, is_exact=is_exact)


def _judge_moments(
    turned: tuple[float, float], opened: Span, closed: Span, count: int, *, is_exact: bool
) -> DoorSeen:
    begun_s, ended_s = turned
    apart = (
        begun_s - (opened.from_s + opened.until_s) / 2,
        ended_s - (closed.from_s + closed.until_s) / 2,
    )
    if is_exact:
        is_then = opened.from_s - EARLY_S < begun_s <= opened.until_s + LATE_S
        is_then &= closed.from_s - EARLY_S <= ended_s < closed.until_s + LATE_S
    else:
        is_then = opened.from_s - EARLY_S < begun_s and ended_s < closed.until_s + LATE_S
    return DoorSeen(
        code=None if is_then else "at_another_time",
        cells=count,
        opened_apart_s=round(apart[0], 2),
        closed_apart_s=round(apart[1], 2),
    )


def _span_s(times: NDArray[np.float64]) -> float:
    return float(times[-1] - times[0]) if len(times) > 1 else 0.0


def find_changed(pictures: Levels, base: Cells) -> NDArray[np.bool_]:
    """For each picture, which of its cells (in one row) are otherwise than in `base` by more than the light.

    Three things at once: a cell is not what the base would be in this picture's light; it has changed in itself,
    which what a camera writes into its picture does not; and it has done so by a step against a cell beside it,
    which no lamp does on a wall.
    """
    count, rows, columns = pictures.shape
    levels = pictures.astype(np.float32).reshape(count, -1)
    flat = base.reshape(-1)
    apart = levels - _in_the_light_of(levels, flat)
    has_changed: NDArray[np.bool_] = (np.abs(apart) > CHANGED_LEVELS) & (
        np.abs(levels - flat) > CHANGED_LEVELS
    )
    has_changed &= (_step_of(apart.reshape(count, rows, columns)) > STEP_LEVELS).reshape(count, -1)
    return has_changed


def _in_the_light_of(levels: Cells, base: Cells) -> Cells:
    """The base as it would be in the light, and by the exposure, of each picture: fitted to its calmer half."""
    gain = np.ones((len(levels), 1), np.float32)
    offset = np.median(levels - base, axis=1, keepdims=True)
    for _ in range(FITS):
        apart = np.abs(levels - (gain * base + offset))
        weight = (apart <= np.median(apart, axis=1, keepdims=True)).astype(np.float32)
        total = weight.sum(axis=1, keepdims=True)
        base_mean = (weight * base).sum(axis=1, keepdims=True) / total
        mean = (weight * levels).sum(axis=1, keepdims=True) / total
        spread = (weight * (base - base_mean) ** 2).sum(axis=1, keepdims=True)
        both = (weight * (base - base_mean) * (levels - mean)).sum(axis=1, keepdims=True)
        gain = np.clip(both / np.maximum(spread, total), LEAST_GAIN, MOST_GAIN)
        offset = mean - gain * base_mean
    fitted: Cells = gain * base + offset
    return fitted


def _step_of(apart: Cells) -> Cells:
    """The largest step from each cell to one of the four beside it."""
    steps = np.zeros_like(apart)
    down, right = np.abs(np.diff(apart, axis=1)), np.abs(np.diff(apart, axis=2))
    np.maximum(steps[:, 1:], down, out=steps[:, 1:])
    np.maximum(steps[:, :-1], down, out=steps[:, :-1])
    np.maximum(steps[:, :, 1:], right, out=steps[:, :, 1:])
    np.maximum(steps[:, :, :-1], right, out=steps[:, :, :-1])
    return steps


def _longest_run(times: NDArray[np.float64], has_turned: NDArray[np.bool_]) -> tuple[float, float] | None:
    """From when until when it was so for longest; a moment's interruption does not count."""
    runs: list[tuple[float, float]] = []
    for at_s, is_so in zip(times.tolist(), has_turned.tolist(), strict=True):
        if not is_so:
            continue
        if runs and at_s - runs[-1][1] <= STANDS_FOR_S:
            runs[-1] = (runs[-1][0], at_s)
        else:
            runs.append((at_s, at_s))
    return max(runs, key=lambda run: run[1] - run[0], default=None)
