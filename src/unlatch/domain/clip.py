"""What a recording is made of, and how anyone tells that a part of it was touched.

A *take* is what one session with a camera gave, without a gap: one file that only grows. It is synced and hashed in
*parts* of a fifth of a second. A dropped session ends the take, the next one begins another, and what lies between is
a *gap*. A *clip* is the takes of one visit joined to one ordinary file; it holds the very same coded pictures, so
that each part can be found in it, by `frames_sha256`.

The parts are chained: each link is the SHA-256 of the link before and of the part, canonically written. Whoever
knows the last link knows them all; a visit's journal holds links, and is itself chained.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from unlatch.domain.proof import text_of_time

PART_MS = 200
FIRST_LINK = bytes(32)
Read = Callable[[int, int], bytes]  # offset, size


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A fifth of a second of a take: whole fragments, synced to the disk before anyone was told.

    Times are milliseconds of the take, by its frames. `written_at` is None for a part that was found after a crash.
    """

    take: int
    number: int  # 1, 2, 3 ... through all takes of a recording
    offset: int  # in the take's file
    size: int
    sha256: bytes
    frames: int
    frames_sha256: bytes  # of the coded pictures alone, one behind the other
    first_ms: int
    last_ms: int
    written_at: datetime | None

    def content(self) -> Mapping[str, object]:
        """As a journal holds it."""
        return {
            "first_ms": self.first_ms,
            "frames": self.frames,
            "frames_sha256": self.frames_sha256.hex(),
            "last_ms": self.last_ms,
            "number": self.number,
            "offset": self.offset,
            "sha256": self.sha256.hex(),
            "size": self.size,
            "take": self.take,
            "written_at": None if self.written_at is None else text_of_time(self.written_at),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a part's coded pictures stand in the clip; their SHA-256 is the part's `frames_sha256`."""

    part: int
    offset: int
    size: int
    frames_sha256: bytes
    first_ms: int | None = None  # when its first picture is shown in the clip; None: nobody has looked


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Time that no take covers, and why."""

    after_take: int
    begun_at: datetime
    ended_at: datetime | None  # None: it goes on
    code: str

    def length_s(self, now: datetime) -> float:
        """Seconds, until now if it goes on."""
        return ((self.ended_at or now) - self.begun_at).total_seconds()


def link_of(before: bytes, part: Part) -> bytes:
    """The link that follows `before` (FIRST_LINK at the beginning): SHA-256 of it and of the part's canonical content.

    Written out, since a recorder of 32 cameras does this 160 times a second; a test holds it against `canonical`.
    """
    written_at = "null" if part.written_at is None else f'"{text_of_time(part.written_at)}"'
    content = (
        f'{{"first_ms":{part.first_ms},"frames":{part.frames},"frames_sha256":"{part.frames_sha256.hex()}",'
        f'"last_ms":{part.last_ms},"number":{part.number},"offset":{part.offset},"sha256":"{part.sha256.hex()}",'
        f'"size":{part.size},"take":{part.take},"written_at":{written_at}}}'
    )
    return hashlib.sha256(before + content.encode()).digest()


def last_link(parts: Iterable[Part], before: bytes = FIRST_LINK) -> bytes:
    """The last link of a run of parts."""
    for part in parts:
        before = link_of(before, part)
    return before


def find_touched(places: Sequence[Part] | Sequence[Place], read: Read) -> tuple[int, ...]:
    """The numbers of the parts that are not what they were, in a take's file or in a clip; read piece by piece."""
    touched: list[int] = []
    for place in places:
        content = read(place.offset, place.size)
        if isinstance(place, Part):
            is_whole = hashlib.sha256(content).digest() == place.sha256
            number = place.number
        else:
            is_whole = hashlib.sha256(content).digest() == place.frames_sha256
            number = place.part
        if not is_whole:
            touched.append(number)
    return tuple(touched)


def parts_between(places: Iterable[Part | Place], begin: int, end: int) -> tuple[int, ...]:
    """The numbers of the parts that have a byte from `begin` (included) to `end` (excluded)."""
    return tuple(
        place.number if isinstance(place, Part) else place.part
        for place in places
        if place.offset < end and place.offset + place.size > begin
    )
