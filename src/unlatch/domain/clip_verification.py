"""Is this file the clip that a proof names? And if it is not: which part of it was touched?

A clip is what it was if its SHA-256 is the one in the journal. If it is another, each part's coded pictures are
looked for where they stood, so that whoever touched the clip is shown to the fifth of a second. A head that was
touched (the boxes around the pictures) is told from a touched picture; bytes that were put in or taken out are found
by how far the last part has moved.

Reads the clip piece by piece: it may have four gigabytes. Pure: whoever calls opens the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from hashlib import sha256

from unlatch.domain.clip import PART_MS, Part, Place, Read
from unlatch.domain.clip_chain import KeptClip

MOST_RUNS = 100
PIECE_BYTES = 2**20
SAMPLES = 8  # places by which a clip is known again that is not what it was


class ClipState(StrEnum):
    """What was found."""

    WHOLE = auto()  # to the last bit as it was kept
    TOUCHED = auto()
    UNKNOWN = auto()  # a file that is no clip of these proofs
    NOT_GIVEN = auto()  # a clip of these proofs of which there is no file
    ERASED = auto()  # the same, and there can be none any more


@dataclass(frozen=True, slots=True, kw_only=True)
class TouchedRun:
    """Parts one behind the other in one take. Times are those of the clip."""

    take: int
    first_part: int
    last_part: int
    from_ms: int | None
    until_ms: int | None

    def text(self) -> str:
        """As in "part 17 of take 1, 3.2 s to 3.4 s"."""
        which = f"part {self.first_part}"
        if self.last_part != self.first_part:
            which = f"parts {self.first_part} to {self.last_part}"
        when = ""
        if self.from_ms is not None and self.until_ms is not None:
            when = f", {_seconds(self.from_ms)} s to {_seconds(self.until_ms)} s"
        return f"{which} of take {self.take}{when}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFinding:
    """One clip, or one file: what was found of it."""

    state: ClipState
    clip: KeptClip | None  # None: the file is no clip of these proofs
    file: str | None  # None: no file was given for it
    visit_id: str | None
    touched: tuple[TouchedRun, ...] = ()
    what: str = ""  # what else there is to say, in plain words

    @property
    def is_good(self) -> bool:
        return self.state not in (ClipState.TOUCHED, ClipState.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenClip:
    """A file that someone says is a clip."""

    name: str
    size: int
    sha256: str  # hexadecimal
    read: Read


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    visit_id: str
    clip: KeptClip


def match_clips(
    kept: Sequence[tuple[str, KeptClip]], given: Sequence[GivenClip], *, is_asked: bool
) -> tuple[ClipFinding, ...]:
    """What there is to say of each clip of these proofs (visit and clip), and of each file that was given.

    `is_asked`: whether files were asked about at all; if not, no clip is missed.
    """
    wanted = [_Wanted(visit_id=visit_id, clip=clip) for visit_id, clip in kept]
    findings: list[ClipFinding] = []
    left: list[_Wanted] = []
    files = list(given)
    for one in wanted:
        same = [file for file in files if file.sha256 == one.clip.sha256 and file.size == one.clip.size]
        files = [file for file in files if file not in same]
        findings += [_whole(one, file) for file in same]
        if not same:
            left.append(one)
    for file in files:
        likeliest = _find_likeliest(left, file) or _find_likeliest(wanted, file)
        if likeliest is None:
            what = "it is no clip of these proofs, and holds no picture of one"
            findings.append(
                ClipFinding(state=ClipState.UNKNOWN, clip=None, file=file.name, visit_id=None, what=what)
            )
            continue
        left = [one for one in left if one is not likeliest]
        findings.append(_compare(likeliest, file))
    return (*findings, *(_not_given(one, is_asked=is_asked) for one in left))


def _whole(wanted: _Wanted, file: GivenClip) -> ClipFinding:
    what = "every bit is as it was kept"
    if wanted.clip.erased_at is not None:
        what += "; the platform's own copy has been erased since"
    return ClipFinding(
        state=ClipState.WHOLE, clip=wanted.clip, file=file.name, visit_id=wanted.visit_id, what=what
    )


def _not_given(wanted: _Wanted, *, is_asked: bool) -> ClipFinding:
    clip = wanted.clip
    state, what = ClipState.NOT_GIVEN, "no file was given for it" if is_asked else ""
    if clip.erased_at is not None:
        state, what = (
            ClipState.ERASED,
            f"erased at {clip.erased_at:%Y-%m-%d %H:%M:%S} (UTC) by {clip.erased_by}",
        )
    return ClipFinding(state=state, clip=clip, file=None, visit_id=wanted.visit_id, what=what)


def _find_likeliest(wanted: Sequence[_Wanted], file: GivenClip) -> _Wanted | None:
    """The clip of which this file still holds most pictures; one of the same size, if it holds none of any."""
    best: tuple[int, _Wanted] | None = None
    for one in wanted:
        places = one.clip.content.places if one.clip.content is not None else ()
        shift = file.size - one.clip.size
        step = max(1, len(places) // SAMPLES)
        sampled = places[::step][: SAMPLES + 1]
        count = sum(_is_there(file, place, 0) or _is_there(file, place, shift) for place in sampled)
        if count and (best is None or count > best[0]):
            best = count, one
    if best is not None:
        return best[1]
    return next((one for one in wanted if one.clip.size == file.size), None)


def _compare(wanted: _Wanted, file: GivenClip) -> ClipFinding:
    """This file is not what it was: where?"""
    clip = wanted.clip
    moved_by = file.size - clip.size
    if clip.content is None:
        runs, what = [], "it is not what it was; its parts are not in the proof, so that none can be named"
    else:
        numbers, has_moved = _find_touched(clip.content.places, file, moved_by)
        runs = _join(numbers, clip.content.parts, clip.content.places)
        what = _describe(bool(numbers), moved_by, has_moved=has_moved)
        if len(runs) > MOST_RUNS:
            what = f"and {len(runs) - MOST_RUNS} other places; {what}".removesuffix("; ")
    return ClipFinding(
        state=ClipState.TOUCHED,
        clip=clip,
        file=file.name,
        visit_id=wanted.visit_id,
        touched=tuple(runs[:MOST_RUNS]),
        what=what,
    )


def _find_touched(places: Sequence[Place], file: GivenClip, moved_by: int) -> tuple[set[int], bool]:
    """The parts whose pictures stand neither where they stood nor `moved_by` bytes on; and whether any has moved."""
    touched: set[int] = set()
    has_moved = False
    for place in places:
        if _is_there(file, place, 0):
            continue
        if moved_by and _is_there(file, place, moved_by):
            has_moved = True
            continue
        touched.add(place.part)
    return touched, has_moved


def _is_there(file: GivenClip, place: Place, moved_by: int) -> bool:
    offset = place.offset + moved_by
    if offset < 0 or offset + place.size > file.size:
        return False
    digest = sha256()
    for at in range(
        offset, offset + place.size, PIECE_BYTES
    ):  # whoever wrote the proof may have written any size
        digest.update(file.read(at, min(PIECE_BYTES, offset + place.size - at)))
    return digest.digest() == place.frames_sha256


def _describe(has_touched: bool, moved_by: int, *, has_moved: bool) -> str:
    told = []
    if moved_by < 0:
        told.append(f"{-moved_by} bytes are missing")
    elif moved_by > 0:
        told.append(f"{moved_by} bytes were put in")
    if has_moved:
        told.append("pictures behind them have moved by as much")
    if not has_touched:
        told.append(
            "every picture is as it was recorded: it was touched outside of them (its head, or between them)"
        )
    return "; ".join(told)


def _join(numbers: set[int], parts: Sequence[Part], places: Sequence[Place]) -> list[TouchedRun]:
    """Parts of one take that follow each other, as one."""
    runs: list[TouchedRun] = []
    for part, place in zip(parts, places, strict=True):
        if part.number not in numbers:
            continue
        run = _run_of(part, place)
        if runs and runs[-1].take == run.take and runs[-1].last_part + 1 == run.first_part:
            before = runs.pop()
            run = TouchedRun(
                take=run.take,
                first_part=before.first_part,
                last_part=run.last_part,
                from_ms=before.from_ms,
                until_ms=run.until_ms,
            )
        runs.append(run)
    return runs


def _run_of(part: Part, place: Place) -> TouchedRun:
    """One part. Its last picture stands as long as the ones before it in the part; alone, for a part's length."""
    lasts_ms = PART_MS
    if part.frames > 1:
        lasts_ms = round((part.last_ms - part.first_ms) * part.frames / (part.frames - 1))
    until_ms = None if place.first_ms is None else place.first_ms + lasts_ms
    return TouchedRun(
        take=part.take,
        first_part=part.number,
        last_part=part.number,
        from_ms=place.first_ms,
        until_ms=until_ms,
    )


def _seconds(ms: int) -> str:
    """Tenths where that is exact, else thousandths."""
    return f"{ms / 1000:.1f}" if ms % 100 == 0 else f"{ms / 1000:.3f}"
