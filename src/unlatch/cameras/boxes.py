"""The boxes of an MP4 file (ISO/IEC 14496-12), as far as a recording needs them: where fragments begin and end.

Nothing here trusts a length: a box that reaches beyond its file, or is shorter than its own head, ends the walk.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

HEAD_BYTES = 8
MAX_META_BYTES = 1024 * 1024  # a moov or moof of ours has some hundred bytes
DEFAULT_TIMESCALE = 90_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One box: its kind, where it begins, how long it is with its head, and how long that is."""

    kind: bytes
    offset: int
    size: int
    head: int

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.offset + self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """A moof with its mdat in a file, and when its frame is to be decoded (ticks of the track)."""

    offset: int
    size: int
    data_offset: int
    data_size: int
    decode_time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What a take's file holds: up to `end` it is whole."""

    head_size: int  # ftyp and moov; 0: not even these are whole
    fragments: tuple[Fragment, ...]
    timescale: int

    @property
    def end(self) -> int:
        """The first byte that belongs to nothing whole."""
        return self.fragments[-1].offset + self.fragments[-1].size if self.fragments else self.head_size


def walk(file: BinaryIO, begin: int, end: int) -> Iterator[Box]:
    """The whole boxes from `begin` to `end`, in order; stops before the first that is not whole."""
    while end - begin >= HEAD_BYTES:
        file.seek(begin)
        head = file.read(16)
        if len(head) < HEAD_BYTES:
            return
        size, kind = struct.unpack_from(">I4s", head)
        length = HEAD_BYTES
        if size == 1 and len(head) == 16:
            (size,) = struct.unpack_from(">Q", head, HEAD_BYTES)
            length = 16
        if size < length or begin + size > end:
            return
        yield Box(kind=kind, offset=begin, size=size, head=length)
        begin += size


def find_box(file: BinaryIO, within: Box, *path: bytes) -> Box | None:
    """The first box at that path inside `within`."""
    for kind in path:
        inner = walk(file, within.offset + within.head, within.end)
        found = next((box for box in inner if box.kind == kind), None)
        if found is None:
            return None
        within = found
    return within


def read_outline(file: BinaryIO, size: int) -> Outline:
    """The fragments of a take's file of that size that are whole: ftyp, moov, then moof and mdat in turn."""
    head_size, timescale = 0, DEFAULT_TIMESCALE
    fragments: list[Fragment] = []
    moof: Box | None = None
    for box in walk(file, 0, size):
        match box.kind:
            case b"ftyp" if not box.offset:
                pass
            case b"moov" if not head_size and box.size <= MAX_META_BYTES:
                head_size, timescale = box.end, _timescale_of(file, box)
            case b"moof" if head_size and moof is None and box.size <= MAX_META_BYTES:
                moof = box
            case b"mdat" if moof is not None:
                fragments.append(
                    Fragment(
                        offset=moof.offset,
                        size=box.end - moof.offset,
                        data_offset=box.offset + box.head,
                        data_size=box.size - box.head,
                        decode_time=_decode_time_of(file, moof),
                    )
                )
                moof = None
            case _:
                break  # nothing that we write: what follows can't be trusted
    return Outline(head_size=head_size, fragments=tuple(fragments), timescale=timescale)


def _timescale_of(file: BinaryIO, moov: Box) -> int:
    box = find_box(file, moov, b"trak", b"mdia", b"mdhd")
    if box is None:
        return DEFAULT_TIMESCALE
    file.seek(box.offset + box.head)
    content = file.read(24)
    at = 20 if content[:1] == b"\x01" else 12
    (timescale,) = struct.unpack_from(">I", content, at) if len(content) >= at + 4 else (0,)
    return timescale or DEFAULT_TIMESCALE


def _decode_time_of(file: BinaryIO, moof: Box) -> int:
    box = find_box(file, moof, b"traf", b"tfdt")
    if box is None:
        return 0
    file.seek(box.offset + box.head)
    content = file.read(12)
    if content[:1] == b"\x01" and len(content) == 12:
        return int(struct.unpack_from(">Q", content, 4)[0])
    return int(struct.unpack_from(">I", content, 4)[0]) if len(content) >= 8 else 0
