"""A recording while it grows: which takes it has, where their fragments stand, and which of them begin with a keyframe.

Read by whoever shows a live picture, on the recorder's machine. Nothing is told to the recorder and nothing is asked of
it: its files alone are read, which only grow. A fragment counts once it stands there whole; that it is not synced yet
does not matter to one who only looks.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from unlatch.cameras.boxes import DEFAULT_TIMESCALE, HEAD_BYTES, MAX_META_BYTES, Box, find_box, walk
from unlatch.cameras.recording import TAKE_NAME, list_take_paths
from unlatch.errors import RecordingError

MAX_FRAGMENT_BYTES = 8 * 1024 * 1024
FRAGMENTS_AT_ONCE = 1_000
MOST_FRAMES = 10_000  # of a fragment
NOT_A_KEY = 0x0001_0000  # of a sample's flags: "sample_is_non_sync_sample"
VISUAL_ENTRY_BYTES = 78  # before the boxes within a visual sample entry


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeHead:
    """What a player needs before the first fragment of a take."""

    take: int
    path: Path
    begun_at: datetime
    content: bytes  # ftyp and moov
    timescale: int  # ticks a second
    codec: str  # as RFC 6381 names it: avc1.64001f


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One whole fragment of a take: a frame or more. Times in seconds of the take's own clock."""

    take: int
    offset: int
    size: int
    is_key: bool  # it begins with a keyframe
    begin_s: float
    end_s: float  # as far as its frames say how long they last


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What has come to a recording since it was last read."""

    heads: tuple[TakeHead, ...] = ()
    passages: tuple[Passage, ...] = ()
    written_at: datetime | None = None  # when the newest file was written to last, by its own date
    is_caught_up: bool = True  # False: there is more, read again at once


class Following:
    """Follows one recording's folder. Blocks at the disk; used by one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = -1
        self._head: TakeHead | None = None
        self._defaults = (0, 0)  # duration and flags of a frame that says neither
        self._path: Path | None = None
        self._at = 0

    def read(self) -> News:
        """What is new. A folder that is gone, or not there yet, has nothing. Raises RecordingError (disk, damaged)."""
        heads: list[TakeHead] = []
        passages: list[Passage] = []
        written_at: datetime | None = None
        try:
            while len(passages) < FRAGMENTS_AT_ONCE:
                # Looked for before the file is read to its end: a take that has a successor grows no more.
                after = self._find_next()
                if self._file >= 0:
                    size, written_at = self._look_at_file()
                    if self._head is None and (head := self._read_head(size)) is not None:
                        heads.append(head)
                    passages += self._read_passages(size, FRAGMENTS_AT_ONCE - len(passages))
                    if len(passages) >= FRAGMENTS_AT_ONCE:
                        break
                if after is None:
                    return News(heads=tuple(heads), passages=tuple(passages), written_at=written_at)
                if passages:
                    break  # to be loaded before the next file is opened
                self._open(after)
        except FileNotFoundError:
            return News(heads=tuple(heads), passages=tuple(passages), written_at=written_at)
        except OSError as error:
            raise RecordingError("the recording can't be read", code="disk") from error
        return News(heads=tuple(heads), passages=tuple(passages), written_at=written_at, is_caught_up=False)

    def load(self, passages: Sequence[Passage]) -> list[bytes]:
        """The bytes of passages of the take that is open; of those that can't be had any more, nothing."""
        found: list[bytes] = []
        if self._head is None:
            return found
        for passage in passages:
            if passage.take != self._head.take:
                continue
            content = os.pread(self._file, passage.size, passage.offset)
            if len(content) != passage.size:
                break  # cut off by a recovery: what follows is gone too
            found.append(content)
        return found

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        if self._file >= 0:
            os.close(self._file)
        self._file, self._head = -1, None

    def _find_next(self) -> Path | None:
        """The take after the one that is open."""
        paths = list_take_paths(self._folder)
        return next((path for path in paths if self._path is None or path.name > self._path.name), None)

    def _open(self, path: Path) -> None:
        self.close()
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._path, self._at = path, 0

    def _look_at_file(self) -> tuple[int, datetime]:
        state = os.fstat(self._file)
        return state.st_size, datetime.fromtimestamp(state.st_mtime, UTC)

    def _read_head(self, size: int) -> TakeHead | None:
        """What stands before the first fragment (ftyp, moov), once it is whole."""
        assert self._path is not None
        name = TAKE_NAME.fullmatch(self._path.name)
        assert name is not None  # that is how it was found
        with os.fdopen(os.dup(self._file), "rb") as file:
            boxes = []
            for box in walk(file, 0, min(size, MAX_META_BYTES)):
                boxes.append(box)
                if box.kind == b"moov":
                    break
            if not boxes or boxes[-1].kind != b"moov":
                return None
            content = os.pread(self._file, boxes[-1].end, 0)
        kept = io.BytesIO(content)
        moov = next(box for box in walk(kept, 0, len(content)) if box.kind == b"moov")
        self._defaults = _defaults_of(kept, moov)
        self._at = len(content)
        self._head = TakeHead(
            take=int(name[1]),
            path=self._path,
            begun_at=datetime.strptime(name[2], "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC),
            content=content,
            timescale=_timescale_of(kept, moov),
            codec=_codec_of(kept, moov),
        )
        return self._head

    def _read_passages(self, size: int, most: int) -> list[Passage]:
        """The whole fragments from where we are, at most so many."""
        found: list[Passage] = []
        if self._head is None:
            return found
        while len(found) < most:
            moof = self._box_at(self._at, size)
            if moof is None or moof.kind != b"moof" or moof.size > MAX_META_BYTES:
                break
            mdat = self._box_at(moof.end, size)
            if mdat is None or mdat.kind != b"mdat" or mdat.end - moof.offset > MAX_FRAGMENT_BYTES:
                break
            begin, duration, is_key = _read_moof(os.pread(self._file, moof.size, moof.offset), self._defaults)
            found.append(
                Passage(
                    take=self._head.take,
                    offset=moof.offset,
                    size=mdat.end - moof.offset,
                    is_key=is_key,
                    begin_s=begin / self._head.timescale,
                    end_s=(begin + duration) / self._head.timescale,
                )
            )
            self._at = mdat.end
        return found

    def _box_at(self, offset: int, size: int) -> Box | None:
        """The box that begins there, if all of it is there."""
        head = os.pread(self._file, 16, offset)
        if len(head) < HEAD_BYTES:
            return None
        length, kind = struct.unpack_from(">I4s", head)
        own = HEAD_BYTES
        if length == 1 and len(head) == 16:
            (length,) = struct.unpack_from(">Q", head, HEAD_BYTES)
            own = 16
        if length < own or offset + length > size:
            return None
        return Box(kind=kind, offset=offset, size=length, head=own)


def _content_of(file: io.BytesIO, within: Box, *path: bytes) -> bytes:
    """What stands in the box at that path, without its head; nothing if there is none."""
    box = find_box(file, within, *path)
    if box is None:
        return b""
    file.seek(box.offset + box.head)
    return file.read(box.size - box.head)


def _timescale_of(file: io.BytesIO, moov: Box) -> int:
    content = _content_of(file, moov, b"trak", b"mdia", b"mdhd")
    at = 20 if content[:1] == b"\x01" else 12
    (timescale,) = struct.unpack_from(">I", content, at) if len(content) >= at + 4 else (0,)
    return timescale or DEFAULT_TIMESCALE


def _defaults_of(file: io.BytesIO, moov: Box) -> tuple[int, int]:
    """Duration and flags of frames whose fragment says neither (trex)."""
    content = _content_of(file, moov, b"mvex", b"trex")
    if len(content) < 24:
        return 0, 0
    duration, _size, flags = struct.unpack_from(">III", content, 12)
    return duration, flags


def _codec_of(file: io.BytesIO, moov: Box) -> str:
    """What a browser is asked whether it can play it. Only H.264 is recorded (cameras/base.py)."""
    description = _content_of(file, moov, b"trak", b"mdia", b"minf", b"stbl", b"stsd")
    inner = io.BytesIO(description)
    for entry in walk(inner, 8, len(description)):  # behind version, flags and the count
        begin = entry.offset + entry.head + VISUAL_ENTRY_BYTES
        for box in walk(inner, begin, entry.end):
            if box.kind == b"avcC" and box.size >= box.head + 4:
                profile = description[box.offset + box.head + 1 : box.offset + box.head + 4]
                return f"avc1.{profile.hex()}"
    raise RecordingError("the take does not say how its frames are coded", code="damaged")


def _read_moof(content: bytes, defaults: tuple[int, int]) -> tuple[int, int, bool]:
    """When its first frame is decoded, how long all last (ticks), and whether it begins with a keyframe."""
    file = io.BytesIO(content)
    moof = next(walk(file, 0, len(content)), None)
    try:
        if moof is None:
            raise RecordingError("a fragment is not whole", code="damaged")
        duration, flags = _read_defaults(_content_of(file, moof, b"traf", b"tfhd"), defaults)
        times = _content_of(file, moof, b"traf", b"tfdt")
        wide = times[:1] == b"\x01"
        (begin,) = struct.unpack_from(">Q" if wide else ">I", times, 4)
        run = _content_of(file, moof, b"traf", b"trun")
        lasts, first_flags = _read_run(run, duration, flags)
    except struct.error:
        raise RecordingError("a fragment does not say what it holds", code="damaged") from None
    return begin, lasts, not first_flags & NOT_A_KEY


def _read_defaults(header: bytes, defaults: tuple[int, int]) -> tuple[int, int]:
    """Duration and flags of this fragment's frames, where its track header (tfhd) gives other ones."""
    duration, flags = defaults
    present = int.from_bytes(header[1:4])
    at = 8 + (8 if present & 0x1 else 0) + (4 if present & 0x2 else 0)
    if present & 0x8:
        (duration,) = struct.unpack_from(">I", header, at)
        at += 4
    if present & 0x10:
        at += 4
    if present & 0x20:
        (flags,) = struct.unpack_from(">I", header, at)
    return duration, flags


def _read_run(run: bytes, duration: int, flags: int) -> tuple[int, int]:
    """How long the frames of a run (trun) last together, and the flags of the first."""
    present = int.from_bytes(run[1:4])
    (count,) = struct.unpack_from(">I", run, 4)
    at = 8 + (4 if present & 0x1 else 0)
    if present & 0x4:
        (flags,) = struct.unpack_from(">I", run, at)
        at += 4
    fields = [one for one in (0x100, 0x200, 0x400, 0x800) if present & one]
    step = 4 * len(fields)
    if count > MOST_FRAMES or count * step > len(run) - at:
        raise struct.error("more frames than there is room for")
    if present & 0x400 and not present & 0x4 and count:
        (flags,) = struct.unpack_from(">I", run, at + 4 * fields.index(0x400))
    if not present & 0x100:
        return count * duration, flags
    return sum(struct.unpack_from(">I", run, at + number * step)[0] for number in range(count)), flags
