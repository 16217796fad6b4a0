"""Whether a picture lives: what the last two seconds say, and what they can't say.

A *glance* is what is kept of one decoded frame: its grey levels on a coarse grid, a digest of its coded bytes, and what
its clock shows. The verdict over a window of glances is one of these:

| verdict | what was seen |
|---|---|
| live | its clock goes with ours; or a light pattern of ours was seen; or something moves and nothing repeats |
| frozen | the very same coded picture again, or a clock that stands |
| looping | a picture, or a run of pictures, that was there before, or a clock that went back |
| clock_wrong | a clock that goes, more than five seconds from ours: late, or set wrong |
| stalled | no picture for two seconds |
| too_dark_to_tell, too_still_to_tell | it may live, and may as well be a photograph: nothing in it tells |

A re-encoded frozen picture differs from itself as much as a still live one does (measured), so `too_still_to_tell` is
an honest end: such a camera needs a clock in its picture, or a lamp that we can play.
"""

from __future__ import annotations

import zlib
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum, auto
from itertools import takewhile

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from unlatch.cameras.shown_clock import ClockReader

WINDOW_S = 2.0
SILENT_S = 2.0
LEAST_SPAN_S = 1.5  # of a window that shows that something lives
KEPT_S = 30.0  # of glances, to find what was there before
MAX_GLANCES = 600
GRID = (64, 36)
DARK_MEAN, DARK_SPREAD = 34.0, 6.0
MOVED_LEVELS = 7.0  # more than coding and noise do to the mean of a grid's cell
MOVED_CELLS = 40  # of 2,304: the digits of a clock that was not learnt are fewer, and they do repeat
REPEAT_BYTES = 400  # a coded frame that says "as before" is short, and may be the same twice
REPEATED = 0.08  # likeness to what was before, from which on it is no chance
LEAST_RUN = 10  # pictures of a window, to compare them with those before
LEAST_LAG = 4  # pictures
LEAST_STILL = 300  # cells
LEAST_NOISE = 0.15  # grey levels of a cell's mean
MOST_NOISE = 2.0  # grey levels of a cell's mean
CLOCK_APART_S = 5.0
CLOCK_STANDS_S = 2.3
CLOCK_BACK_S = 1.5

Levels = NDArray[np.uint8]


class Verdict(StrEnum):
    """What the window says; see the module's table."""

    LIVE = auto()
    FROZEN = auto()
    LOOPING = auto()
    CLOCK_WRONG = auto()
    STALLED = auto()
    TOO_DARK_TO_TELL = auto()
    TOO_STILL_TO_TELL = auto()


AGAINST = frozenset({Verdict.FROZEN, Verdict.LOOPING, Verdict.CLOCK_WRONG, Verdict.STALLED})


class Method(StrEnum):
    """What a verdict of LIVE rests on, the strongest first."""

    LIGHT = auto()  # our own pattern, drawn by lot, was seen
    CLOCK = auto()  # the picture's clock goes with ours
    MOTION = auto()  # something moved that had not moved so before


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What is kept of one frame."""

    at_s: float  # monotonic: when it was here
    levels: Levels
    digest: int  # of the coded bytes; 0: too short to tell anything
    shown_s: int | None = None  # seconds of the day, by the picture's own clock and in its zone
    wall_at: datetime | None = None  # our own clock at `at_s`

    @property
    def mean(self) -> float:
        """Grey level."""
        return float(self.levels.mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict and what it rests on. `clock_apart_s`: how far the picture's clock is from ours."""

    verdict: Verdict
    method: Method | None = None
    clock_apart_s: float | None = None

    @property
    def is_live(self) -> bool:
        """Proven."""
        return self.verdict is Verdict.LIVE

    @property
    def is_against(self) -> bool:
        """Proven not to be: an alarm."""
        return self.verdict in AGAINST


def digest_of(coded: bytes) -> int:
    """A digest by which a coded frame is known again; 0 for one so short that it may come twice."""
    return zlib.crc32(coded) or 1 if len(coded) >= REPEAT_BYTES else 0


def glance_of(
    frame: VideoFrame,
    digest: int,
    at_s: float,
    reader: ClockReader | None = None,
    scaler: VideoReformatter | None = None,
) -> Glance:
    """Take a glance at a decoded frame. A `scaler` that is kept for the next one makes it four times as cheap.

    In one thread: left to itself the library wakes one for each processor, which costs more than the scaling.
    """
    small = (scaler or VideoReformatter()).reformat(
        frame, width=GRID[0], height=GRID[1], format="gray", interpolation=Interpolation.AREA, threads=1
    )
    levels = small.to_ndarray().astype(np.uint8, copy=False)
    shown_s = reader.read(plane_of(frame)) if reader is not None else None
    return Glance(at_s=at_s, levels=levels, digest=digest, shown_s=shown_s, wall_at=datetime.now(UTC))


def plane_of(frame: VideoFrame) -> Levels:
    """The frame's grey levels, without a copy where it is planar."""
    if not frame.format.name.startswith(("yuv4", "yuvj4", "gray")) or frame.format.name.endswith(
        ("le", "be")
    ):
        frame = frame.reformat(format="gray")
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    levels: Levels = rows[: frame.height, : frame.width]
    return levels


class Rolling:
    """The glances of the last seconds of one camera, over all its sessions, and the verdict on them."""

    def __init__(self, reader: ClockReader | None = None) -> None:
        self.reader = reader
        self._begun_s = float("-inf")
        self._lit = (float("-inf"), float("-inf"))
        self._glances: deque[Glance] = deque(maxlen=MAX_GLANCES)

    def begin(self, at_s: float) -> None:
        """Another session begins. What was seen before still shows what repeats, but not that the picture lives."""
        self._begun_s = at_s

    def expect_light(self, from_s: float, until_s: float) -> None:
        """A lamp of ours plays in that time: what moves then is its light, and shows neither life nor a loop."""
        self._lit = (from_s, until_s)

    def add(self, glance: Glance) -> None:
        """The next glance."""
        self._glances.append(glance)
        while glance.at_s - self._glances[0].at_s > KEPT_S:
            self._glances.popleft()

    def clear(self) -> None:
        """Forget them all: the camera was moved, or its format changed."""
        self._glances.clear()

    def glances(self, since_s: float = float("-inf")) -> list[Glance]:
        """Those from `since_s` on. For any thread: copied at once, since the camera's own thread adds meanwhile."""
        return [glance for glance in list(self._glances) if glance.at_s >= since_s]

    def has_seen(self, digest: int) -> bool:
        """Whether a frame of these very bytes was glanced at before."""
        return bool(digest) and any(glance.digest == digest for glance in self._glances)

    def judge(self, now_s: float, heard_s: float | None = None) -> Judgement:
        """The verdict on the window that ends now. A light pattern is judged by `light.py`.

        `heard_s`: when the last frame came, if not every frame is decoded.
        """
        kept = list(self._glances)
        if not kept or now_s - max(kept[-1].at_s, heard_s or 0.0) > SILENT_S:
            return Judgement(verdict=Verdict.STALLED)
        own = [glance for glance in kept if glance.at_s >= self._begun_s]
        window = [glance for glance in own if glance.at_s > kept[-1].at_s - WINDOW_S]
        if len(window) < 3:  # keyframes alone are decoded: three of them, then
            window = own[-3:]
        if (repeated := find_repeated_bytes(kept)) is not None:
            return Judgement(verdict=repeated)
        if self.reader is not None:
            judged = judge_clock(kept, self.reader.zone_s, self._begun_s)
            if judged is not None:
                return judged
        if len(window) < 3 or window[-1].at_s - window[0].at_s < LEAST_SPAN_S:
            return Judgement(verdict=Verdict.TOO_STILL_TO_TELL)
        if all(glance.mean < DARK_MEAN and glance.levels.std() < DARK_SPREAD for glance in window):
            return Judgement(verdict=Verdict.TOO_DARK_TO_TELL)
        is_lit = window[-1].at_s >= self._lit[0] and window[0].at_s <= self._lit[1]
        if is_lit or not has_moved(window):
            return Judgement(verdict=Verdict.TOO_STILL_TO_TELL)
        if likeness_to_before(window, kept) >= REPEATED:
            return Judgement(verdict=Verdict.LOOPING)
        return Judgement(verdict=Verdict.LIVE, method=Method.MOTION)


def find_repeated_bytes(glances: list[Glance]) -> Verdict | None:
    """FROZEN or LOOPING if the last second brought a coded frame that was there before; a live sensor never does."""
    seen: dict[int, int] = {}
    begin_s = glances[-1].at_s - 1.0
    again: list[int] = []
    for number, glance in enumerate(glances):
        if not glance.digest:
            continue
        before = seen.get(glance.digest)
        if before is not None and glance.at_s >= begin_s:
            again.append(number - before)
        seen[glance.digest] = number
    if not again:
        return None
    window = [glance for glance in glances if glance.at_s > glances[-1].at_s - WINDOW_S]
    return Verdict.LOOPING if min(again) > 1 and has_moved(window) else Verdict.FROZEN


def judge_clock(glances: list[Glance], zone_s: int, begun_s: float = float("-inf")) -> Judgement | None:
    """What the picture's clock says; None where it can't be read, or not for long enough since `begun_s`."""
    recent = [glance for glance in glances if glance.at_s > glances[-1].at_s - 3 * WINDOW_S]
    recent = recent if len(recent) > 3 else glances[-4:]  # keyframes alone
    readable = [glance for glance in recent if glance.shown_s is not None and glance.wall_at is not None]
    if len(readable) < 3 or len(readable) * 2 < len(recent):
        return None
    aparts = [apart_of(glance, zone_s) for glance in readable]
    last = aparts[-1]
    if max(aparts) - last > CLOCK_BACK_S:  # behind where it was: it stood, or went back
        newest = readable[-1].shown_s
        stood = list(takewhile(lambda glance: glance.shown_s == newest, reversed(readable)))
        is_standing = stood[0].at_s - stood[-1].at_s > CLOCK_STANDS_S
        return Judgement(verdict=Verdict.FROZEN if is_standing else Verdict.LOOPING, clock_apart_s=last)
    readable = [glance for glance in readable if glance.at_s >= begun_s]
    span_s = readable[-1].at_s - readable[0].at_s if readable else 0.0
    if span_s < LEAST_SPAN_S:
        return None
    if readable[0].shown_s == readable[-1].shown_s and span_s > CLOCK_STANDS_S:
        return Judgement(verdict=Verdict.FROZEN, clock_apart_s=last)
    if abs(last) > CLOCK_APART_S:
        return Judgement(verdict=Verdict.CLOCK_WRONG, clock_apart_s=last)
    if readable[0].shown_s == readable[-1].shown_s:
        return None
    return Judgement(verdict=Verdict.LIVE, method=Method.CLOCK, clock_apart_s=last)


def apart_of(glance: Glance, zone_s: int) -> float:
    """How far the picture's clock is ahead of ours, in seconds, from -12 hours to 12. It shows whole seconds."""
    assert glance.shown_s is not None
    assert glance.wall_at is not None
    at = glance.wall_at
    ours_s = at.hour * 3600 + at.minute * 60 + at.second + at.microsecond / 1e6 + zone_s
    return (glance.shown_s + 0.5 - ours_s + 43_200) % 86_400 - 43_200


def moved_cells(window: list[Glance]) -> NDArray[np.bool_]:
    """The cells that changed by more than noise and coding do, and otherwise than all of them (the light)."""
    stack = np.stack([glance.levels for glance in window]).astype(np.int16)
    stack -= np.median(stack, axis=(1, 2), keepdims=True).astype(np.int16)
    change = np.abs(stack - np.median(stack, axis=0).astype(np.int16)).max(axis=0)
    moved: NDArray[np.bool_] = change > MOVED_LEVELS
    return moved


def median_of_rows(levels: NDArray[np.int16]) -> NDArray[np.float32]:
    """The median of each row, as a column; of whole numbers it costs a third of what `np.median` takes."""
    half = levels.shape[1] // 2
    middle = [half] if levels.shape[1] % 2 else [half - 1, half]
    found: NDArray[np.float32] = np.partition(levels, middle, axis=1)[:, middle].mean(
        axis=1, dtype=np.float32
    )
    return found[:, None]


def has_moved(window: list[Glance]) -> bool:
    """Whether enough of the grid changed."""
    return int(moved_cells(window).sum()) >= MOVED_CELLS


def likeness_to_before(window: list[Glance], kept: list[Glance]) -> float:
    """How much the window's noise is that of a run of pictures before it, at the lag where it is most; -1 to 1.

    The noise of a sensor never comes twice. It is what changes from one picture to the next in cells that do not move,
    less what changes in all of them (the light). How far live pictures and loops lie apart is measured in
    docs/reference/cameras.md.
    """
    count = len(window)
    if count < LEAST_RUN or len(kept) < count + LEAST_LAG:
        return 0.0
    still = ~moved_cells(window)
    if int(still.sum()) < LEAST_STILL:
        return 0.0
    levels = np.stack([glance.levels[still] for glance in kept]).astype(np.int16)
    steps = np.diff(levels, axis=0)
    noise = steps.astype(np.float32) - median_of_rows(steps)
    np.clip(noise, -MOST_NOISE, MOST_NOISE, out=noise)  # a digit or an edge beside must not outweigh it
    run = noise[-(count - 1) :]
    products = noise @ run.T
    energy = np.concatenate([[0.0], np.cumsum((noise**2).sum(axis=1))])
    own = float((run**2).sum())
    if own < LEAST_NOISE**2 * run.size:
        return 0.0  # so clean a picture that only its coding is left, which does come twice
    alike: list[float] = []
    for first in range(len(noise) - len(run) - LEAST_LAG + 1):
        before = float(energy[first + len(run)] - energy[first])
        product = float(np.trace(products[first : first + len(run)]))
        alike.append(product / (before * own) ** 0.5 if before > 0 else 0.0)
    # What flickers or drifts is alike at many lags; what repeats, at its period alone.
    return max(0.0, max(alike) - float(np.percentile(alike, 80)))
