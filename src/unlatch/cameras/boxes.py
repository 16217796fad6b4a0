"""The boxes of an MP4 file (ISO/IEC 14496-12), as far as a recording needs them: fragments, written and found again.

A fragment is a moof with its mdat; here it holds the frames of one part. libavformat could write it, but gives a frame
out when the next one has come, and for each frame alone costs as much as all the rest of a recording (measured).

Nothing that is read is trusted: a box that reaches beyond its file, or is shorter than its own head, ends the walk, and
so does a fragment whose frames are not those that it lists.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

HEAD_BYTES = 8
MAX_META_BYTES = 1024 * 1024  # a moov or moof of ours has some hundred bytes
DEFAULT_TIMESCALE = 90_000
TRACK = 1  # libavformat's number of the only one

# Of tfhd and trun: which fields follow.
HAS_DEFAULT_FLAGS, BASE_IS_MOOF = 0x20, 0x020000
HAS_DATA_OFFSET, HAS_FIRST_FLAGS = 0x1, 0x4
HAS_DURATION, HAS_SIZE, HAS_FLAGS, HAS_SHIFT = 0x100, 0x200, 0x400, 0x800
KEY_FRAME, OTHER_FRAME = 0x02000000, 0x01010000  # depends on no other; on another, and no place to begin at


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
    """A moof with its mdat in a file, and when its first and its last frame are to be decoded (ticks of the track)."""

    offset: int
    size: int
    data_offset: int
    data_size: int
    frames: int
    first_time: int
    last_time: int


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


# moof with mfhd, traf with tfhd and tfdt, and the head of trun, whose fields and rows follow.
FRAGMENT = struct.Struct(">I4s I4sII I4s I4sIII I4sIQ I4sIII")


def fragment_head(
    number: int,
    decode_time: int,
    *,
    durations: Sequence[int],
    sizes: Sequence[int],
    shifts: Sequence[int],
    is_key: bool,
) -> bytes:
    """A moof and the head of its mdat; the frames follow. Times are ticks of the track.

    `shifts`: how much later than it is decoded each is shown. `is_key`: the first is a keyframe; no other may be.
    """
    flags, first_flags = HAS_DATA_OFFSET | HAS_DURATION | HAS_SIZE, b""
    if is_key:
        flags, first_flags = flags | HAS_FIRST_FLAGS, KEY_FRAME.to_bytes(4)
    if any(shifts):
        flags |= HAS_SHIFT
        rows = b"".join(map(struct.Struct(">IIi").pack, durations, sizes, shifts))
    else:
        rows = b"".join(map(struct.Struct(">II").pack, durations, sizes))
    rest = first_flags + rows
    run_size = 20 + len(rest)
    moof_size = FRAGMENT.size + len(rest)
    head = FRAGMENT.pack(
        moof_size, b"moof",
        16, b"mfhd", 0, number,
        48 + run_size, b"traf",
        20, b"tfhd", HAS_DEFAULT_FLAGS | BASE_IS_MOOF, TRACK, OTHER_FRAME,
        20, b"tfdt", 1 << 24, decode_time,
        run_size, b"trun", 1 << 24 | flags, len(sizes), moof_size + HEAD_BYTES,
    )  # fmt: skip
    return b"".join((head, rest, struct.pack(">I4s", HEAD_BYTES + sum(sizes), b"mdat")))


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
                fragment = _fragment_of(file, moof, box)
                if fragment is None:
                    break
                fragments.append(fragment)
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


def _fragment_of(file: BinaryIO, moof: Box, mdat: Box) -> Fragment | None:
    """None where the frames that the moof lists are not what the mdat holds."""
    tfdt = _read_content(file, find_box(file, moof, b"traf", b"tfdt"))
    trun = _read_content(file, find_box(file, moof, b"traf", b"trun"))
    if len(tfdt) < 8 or len(trun) < 8:
        return None
    if tfdt[0] == 1 and len(tfdt) < 12:
        return None
    (first_time,) = struct.unpack_from(">Q" if tfdt[0] == 1 else ">I", tfdt, 4)
    flags, count = int.from_bytes(trun[1:4]), int.from_bytes(trun[4:8])
    at = 8 + 4 * bool(flags & HAS_DATA_OFFSET) + 4 * bool(flags & HAS_FIRST_FLAGS)
    fields = [one for one in (HAS_DURATION, HAS_SIZE, HAS_FLAGS, HAS_SHIFT) if flags & one]
    if fields[:2] != [HAS_DURATION, HAS_SIZE] or not count or len(trun) != at + 4 * count * len(fields):
        return None
    numbers = struct.unpack_from(f">{count * len(fields)}I", trun, at)
    durations, sizes = numbers[:: len(fields)], numbers[1 :: len(fields)]
    if sum(sizes) != mdat.size - mdat.head:
        return None
    return Fragment(
        offset=moof.offset,
        size=mdat.end - moof.offset,
        data_offset=mdat.offset + mdat.head,
        data_size=mdat.size - mdat.head,
        frames=count,
        first_time=first_time,
        last_time=first_time + sum(durations[:-1]),
    )


def _read_content(file: BinaryIO, box: Box | None) -> bytes:
    """What stands in a box of a moof, whose length was looked at."""
    if box is None:
        return b""
    file.seek(box.offset + box.head)
    return file.read(box.size - box.head)
