"""Learn a clock from where a person marked it: nobody's finger is as exact as the cells of a clock must be.

What was marked is kept from every frame, with a margin, while twenty seconds pass. Then the faces that lie near the
marking are tried, and the one is taken that reads the most of those frames as one clock that goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from statistics import median

from av.video.frame import VideoFrame

from unlatch.cameras.glances import CLOCK_APART_S, Glance, apart_of, plane_of
from unlatch.cameras.shown_clock import (
    CHARACTERS,
    ClockFace,
    ClockReader,
    Levels,
    NoClock,
    learn,
)

LEARN_S = 21.0  # every digit of the seconds twice, and the begun one
LOOK_EVERY_S = 0.09
MOST_LOOKS = 400
READ_AT_LEAST = 0.8  # of the looks, by a face that is taken
LOOKS_READ = 40
STEADY_S = 1.2  # two looks at one clock that goes: it shows whole seconds
LEAST_ASIDE = 3  # pixels; or two fifths of a cell
LEARN_EVERY = 2  # looks: half of them are enough to tell the faces apart
MOST_WIDER = 1
MOST_PIXELS = 100_000  # of what is kept of a frame: some twenty megabytes in all


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A rectangle around HH:MM:SS, in pixels of the camera's own picture."""

    left: float
    top: float
    width: float
    height: float

    def face(self) -> ClockFace:
        """The face as it was marked. Raises NoClock where no clock could be."""
        try:
            return ClockFace(
                left=max(0, round(self.left)),
                top=max(0, round(self.top)),
                cell_width=round(self.width / CHARACTERS),
                cell_height=round(self.height),
            )
        except ValueError as error:
            raise NoClock(str(error), code="mark_out_of_size") from error

    def faces(self) -> Iterator[ClockFace]:
        """The face as it was marked, and those near it, the nearest first."""
        marked = self.face()
        most = _most_aside(marked.cell_width)
        step = max(1, marked.cell_width // 16)
        aside = [0, *range(step, most + 1, step), *range(-step, -most - 1, -step)]
        near = [
            (abs(left) + 2 * abs(wider) + abs(top), left, top, wider)
            for wider in range(-MOST_WIDER, MOST_WIDER + 1)
            for left in aside
            for top in (0, -2, 2)
        ]
        for _, left, top, wider in sorted(near):
            # The middle stays where it was marked, whatever the width.
            new_left = marked.left + left - wider * CHARACTERS // 2
            try:
                yield replace(
                    marked, left=new_left, top=marked.top + top, cell_width=marked.cell_width + wider
                )
            except ValueError:
                continue


def _most_aside(cell_width: int) -> int:
    return max(LEAST_ASIDE, cell_width * 2 // 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What was kept of a frame: the marked part with its margin."""

    levels: Levels
    at_s: float
    at: datetime


class ClockLooks:
    """An onlooker: keeps what was marked of every frame. Written by the camera's thread, read by another."""

    def __init__(self, mark: Mark) -> None:
        """Raises NoClock where no clock could be."""
        face = mark.face()
        margin = _most_aside(face.cell_width) + CHARACTERS * MOST_WIDER
        self._top, self._left = max(0, face.top - margin), max(0, face.left - margin)
        self._bottom = face.top + face.cell_height + margin
        self._right = face.left + face.cell_width * CHARACTERS + margin
        if (self._bottom - self._top) * (self._right - self._left) > MOST_PIXELS:
            raise NoClock("what was marked is larger than any clock", code="mark_out_of_size")
        self._mark = mark
        self._cuts: list[Cut] = []

    def see(self, frame: VideoFrame, glance: Glance) -> None:
        """The next frame."""
        cuts = self._cuts
        is_too_soon = cuts and glance.at_s - cuts[-1].at_s < LOOK_EVERY_S
        if is_too_soon or len(cuts) >= MOST_LOOKS:
            return
        levels = plane_of(frame)[self._top : self._bottom, self._left : self._right].copy()
        cuts.append(Cut(levels=levels, at_s=glance.at_s, at=glance.wall_at or datetime.now(UTC)))

    @property
    def span_s(self) -> float:
        """How long it has looked."""
        cuts = self._cuts
        return cuts[-1].at_s - cuts[0].at_s if cuts else 0.0

    def learn(self) -> ClockReader:
        """The clock. Raises NoClock; of several faces that fail, the marked one says why."""
        cuts = list(self._cuts)[::LEARN_EVERY]
        if not cuts:
            raise NoClock("no frame was seen", code="too_short")
        first: NoClock | None = None
        best: tuple[float, ClockReader] | None = None
        for face in self._mark.faces():
            if face.left < self._left or face.top < self._top:
                continue
            inner = replace(face, left=face.left - self._left, top=face.top - self._top)
            try:
                reader = learn(inner, ((cut.levels, cut.at) for cut in cuts))
                share, apart_s = _read_share(reader, cuts)
            except NoClock as error:
                first = first or error
                continue
            reader = replace(reader, face=face, zone_s=_zone_of(apart_s))
            if best is None or share > best[0]:
                best = (share, reader)
            if share >= 1.0:
                break
        if best is None:
            raise first or NoClock("no clock could be there", code="no_writing")
        if best[0] < READ_AT_LEAST:
            raise NoClock("the time could be read now and then alone", code="no_time")
        return best[1]


def _read_share(reader: ClockReader, cuts: list[Cut]) -> tuple[float, float]:
    """How many of some looks this reads as one clock that goes, and how far that is ahead of ours in UTC, seconds."""
    some = cuts[:: max(1, len(cuts) // LOOKS_READ)]
    aparts = []
    for cut in some:
        shown_s = reader.read(cut.levels)
        if shown_s is not None:
            glance = Glance(at_s=cut.at_s, levels=cut.levels, digest=0, shown_s=shown_s, wall_at=cut.at)
            aparts.append(apart_of(glance, 0))
    if not aparts:
        raise NoClock("the digits could be told apart, but make no time of day", code="no_time")
    middle = median(aparts)
    return sum(abs(apart - middle) <= STEADY_S for apart in aparts) / len(some), middle


def _zone_of(apart_s: float) -> int:
    """The zone by which the clock goes with ours. Raises NoClock where it goes with no zone's."""
    zone_s = round(apart_s / 900) * 900
    if abs(apart_s - zone_s) > CLOCK_APART_S:
        raise NoClock(f"the clock is {apart_s - zone_s:+.0f} s from the time", code="clock_wrong")
    return zone_s
