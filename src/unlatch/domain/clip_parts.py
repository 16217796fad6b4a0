"""The parts of a clip as one document, which its proof carries: `unlatch-clip/1`.

Which parts the clip is made of, as they were synced, and where the pictures of each stand in it. Canonical JSON
(RFC 8785), compressed with zlib:

    {"format":"unlatch-clip/1","parts":[[take, number, offset, size, sha256, frames, frames_sha256, first_ms, last_ms,
        written_at | null, offset in the clip, size in the clip, first_ms in the clip], ...]}

The journal's line `clip_kept` bears the SHA-256 of the document as it is kept, so that nobody can exchange it. It
holds no picture and outlives the clip: the chain can still be checked when the clip is erased.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from unlatch.domain.canonical import NotCanonical, canonical, read_canonical
from unlatch.domain.clip import Part, Place
from unlatch.domain.proof import text_of_time, time_of_text

CLIP_PARTS_FORMAT = "unlatch-clip/1"
CLIP_PARTS_TYPE = "application/vnd.unlatch.clip-parts+zlib"  # its media type among the attachments of a proof
MOST_PARTS = 200_000  # more than eleven hours
MAX_UNPACKED_BYTES = 64 * 2**20
_DIGEST = re.compile("[0-9a-f]{64}").fullmatch
_FIELDS = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipParts:
    """What a clip is made of: the parts as they were synced, and where each stands in the clip, in the same order."""

    parts: tuple[Part, ...]
    places: tuple[Place, ...]


def write_clip_parts(parts: Sequence[Part], places: Sequence[Place]) -> bytes:
    """The document. Raises ValueError where parts and places are not of one another, or are too many."""
    if [part.number for part in parts] != [place.part for place in places] or len(parts) > MOST_PARTS:
        raise ValueError("each part of a clip has one place in it, in the same order")
    rows = [_row(part, place) for part, place in zip(parts, places, strict=True)]
    return zlib.compress(canonical({"format": CLIP_PARTS_FORMAT, "parts": rows}), 9)


def _row(part: Part, place: Place) -> list[object]:
    if place.frames_sha256 != part.frames_sha256:
        raise ValueError(f"part {part.number} has other pictures in the clip")
    return [
        part.take,
        part.number,
        part.offset,
        part.size,
        part.sha256.hex(),
        part.frames,
        part.frames_sha256.hex(),
        part.first_ms,
        part.last_ms,
        None if part.written_at is None else text_of_time(part.written_at),
        place.offset,
        place.size,
        place.first_ms,
    ]


def read_clip_parts(document: bytes) -> ClipParts:
    """The opposite of `write_clip_parts`. Raises ValueError at anything that is not exactly such a document."""
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(document, MAX_UNPACKED_BYTES)
    except zlib.error:
        raise ValueError("not compressed with zlib") from None
    if unpacking.unconsumed_tail or unpacking.unused_data or not unpacking.eof:
        raise ValueError("cut off, too large, or followed by something else")
    try:
        content = read_canonical(text)
    except NotCanonical as wrong:
        raise ValueError(str(wrong)) from None
    if not isinstance(content, dict) or set(content) != {"format", "parts"}:
        raise ValueError("not the parts of a clip")
    rows = content["parts"]
    if content["format"] != CLIP_PARTS_FORMAT or not isinstance(rows, list) or len(rows) > MOST_PARTS:
        raise ValueError(f"not {CLIP_PARTS_FORMAT}, or of more than {MOST_PARTS} parts")
    read = [_read_row(row) for row in rows]
    return ClipParts(parts=tuple(part for part, _ in read), places=tuple(place for _, place in read))


def _read_row(row: Any) -> tuple[Part, Place]:
    if not isinstance(row, list) or len(row) != _FIELDS:
        raise ValueError("a part has other fields than it must have")
    (
        take, number, offset, size, digest, frames, frames_digest, first_ms, last_ms, written_at, clip_offset,
        clip_size, clip_ms,
    ) = row  # fmt: skip
    numbers = (take, number, offset, size, frames, first_ms, last_ms, clip_offset, clip_size)
    if not all(_is_number(one) for one in (*numbers, *([] if clip_ms is None else [clip_ms]))):
        raise ValueError("a field of a part is no number")
    if not all(isinstance(one, str) and _DIGEST(one) for one in (digest, frames_digest)):
        raise ValueError("a digest of a part is not 64 hexadecimal digits")
    part = Part(
        take=take,
        number=number,
        offset=offset,
        size=size,
        sha256=bytes.fromhex(digest),
        frames=frames,
        frames_sha256=bytes.fromhex(frames_digest),
        first_ms=first_ms,
        last_ms=last_ms,
        written_at=_read_time(written_at),
    )
    place = Place(
        part=number, offset=clip_offset, size=clip_size, frames_sha256=part.frames_sha256, first_ms=clip_ms
    )
    return part, place


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _read_time(text: object) -> datetime | None:
    return None if text is None else time_of_text(str(text))
