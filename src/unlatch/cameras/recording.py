"""Recording: what a camera sends goes to the disk as it came, in parts that are synced and hashed.

Nothing is transcoded. A take is one append-only, fragmented MP4: after the head, one moof and mdat a frame. Whatever
ends the process, what is whole up to the last synced part is a file that plays, and `recover` cuts off what is not.
Two frames are always under way: the muxer gives a frame out when the next one has come, since only then its duration
is known.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import av
from av.video.stream import VideoStream

from unlatch.cameras.base import Coded
from unlatch.cameras.boxes import Fragment, read_outline, walk
from unlatch.domain.clip import PART_MS, Part, find_touched
from unlatch.errors import ClipDamaged, RecordingError

MOVFLAGS = "frag_every_frame+empty_moov+default_base_moof+skip_trailer"
MAX_TAKE_BYTES = 2 * 1024**3
MAX_TAKE_MS = 3_600_000
MAX_TAKES = 1_000  # of one recording
TAKE_NAME = re.compile(r"take-(\d{4})-(\d{8}T\d{12})Z\.mp4")
READ_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One frame as a fragment (moof and mdat)."""

    data: bytes
    frame: bytes  # the coded frame alone, as it stands in the mdat
    is_key: bool
    decode_ms: int  # since the first frame of the session
    received_s: float  # monotonic


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeFile:
    """A take that has ended."""

    path: Path
    number: int
    begun_at: datetime
    parts: tuple[Part, ...]
    is_whole: bool = True  # False: it may end with what was never synced, and has to be recovered first


class Fragmenter:
    """Makes fragments of one session's frames, one frame late. Frames that do not come after the last are dropped."""

    def __init__(self, video: VideoStream) -> None:
        self._sink = _Sink()
        # The stub knows files by name alone; the library takes whatever can write.
        self._out = av.open(self._sink, "w", format="mp4", options={"movflags": MOVFLAGS})
        self._stream = self._out.add_stream_from_template(video)
        self._waiting: deque[tuple[bool, int, float]] = deque()
        self._first: int | None = None
        self._last: int | None = None
        self.dropped = 0
        self.head = b""

    def add(self, coded: Coded) -> list[Piece]:
        """The fragments that are complete now. The packet is used up: decode it before."""
        packet = coded.packet
        assert packet.dts is not None
        if self._last is not None and packet.dts <= self._last:
            self.dropped += 1
            return []
        self._first = packet.dts if self._first is None else self._first
        self._last = packet.dts
        since = (packet.dts - self._first) * packet.time_base
        self._waiting.append((packet.is_keyframe, round(since * 1000), coded.received_s))
        packet.stream = self._stream
        self._out.mux(packet)
        return self._take_out()

    def close(self) -> list[Piece]:
        """The last frame. What can't be flushed any more is lost."""
        with contextlib.suppress(av.FFmpegError):
            self._out.close()
        return self._take_out()

    def _take_out(self) -> list[Piece]:
        content = self._sink.take()
        if not content:
            return []
        file, pieces, moof_at = io.BytesIO(content), [], 0
        for box in walk(file, 0, len(content)):
            match box.kind:
                case b"ftyp" | b"moov":
                    self.head += content[box.offset : box.end]
                case b"moof":
                    moof_at = box.offset
                case b"mdat":
                    is_key, decode_ms, received_s = self._waiting.popleft()
                    pieces.append(
                        Piece(
                            data=content[moof_at : box.end],
                            frame=content[box.offset + box.head : box.end],
                            is_key=is_key,
                            decode_ms=decode_ms,
                            received_s=received_s,
                        )
                    )
        return pieces


class _Sink:
    """Where libavformat writes to: a file that can't be sought in."""

    def __init__(self) -> None:
        self._content = bytearray()

    def write(self, content: bytes) -> int:
        self._content += content
        return len(content)

    def take(self) -> bytes:
        content = bytes(self._content)
        self._content.clear()
        return content


class Take:
    """A take that is being written. Raises RecordingError (full, disk, too_long); then it is over."""

    def __init__(self, folder: Path, number: int, head: bytes, *, next_part: int) -> None:
        """`head`: ftyp and moov. The file is there, and known to its folder, when this returns."""
        if not 1 <= number <= MAX_TAKES:
            raise RecordingError(f"at most {MAX_TAKES} takes make a recording", code="too_long")
        self.number = number
        self.begun_at = datetime.now(UTC)
        self.path = folder / f"take-{number:04d}-{self.begun_at:%Y%m%dT%H%M%S%f}Z.mp4"
        self.parts: list[Part] = []
        self.size = 0
        self.head_size = len(head)
        self.run_begin = self.run_before = len(
            head
        )  # where the last two runs of frames from a keyframe on begin
        self.is_whole = True
        self._next_part = next_part
        self._pieces: list[Piece] = []
        self._head = head
        self._first_ms: int | None = None
        self._last_ms = 0
        with _disk():
            self._file = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
            sync_folder(folder)

    def add(self, piece: Piece) -> Part | None:
        """Take a frame in; the part that is full by it."""
        if self._first_ms is None:
            self._first_ms = self._last_ms = piece.decode_ms
        step_ms, self._last_ms = piece.decode_ms - self._last_ms, piece.decode_ms
        self._pieces.append(piece)
        is_full = (
            piece.decode_ms + step_ms - self._pieces[0].decode_ms >= PART_MS
        )  # it lasts as long as the last one
        return self.sync() if is_full else None

    def sync(self) -> Part | None:
        """Write what there is, wait until it is on the disk, and say what it was."""
        if not self._pieces or self._first_ms is None or not self.is_whole:
            return None
        first_ms, last_ms = self._pieces[0].decode_ms, self._pieces[-1].decode_ms
        content = b"".join((self._head, *(piece.data for piece in self._pieces)))
        frames = b"".join(piece.frame for piece in self._pieces)
        if self.size + len(content) > MAX_TAKE_BYTES or last_ms - self._first_ms > MAX_TAKE_MS:
            raise RecordingError("a take has at most an hour and two gigabytes", code="too_long")
        self.is_whole = False  # until it is known: a part that failed may stand there in half
        with _disk():
            write_whole(self._file, content)
            os.fdatasync(self._file)
        self.is_whole = True
        at = self.size + len(self._head)
        for piece in self._pieces:
            if piece.is_key:
                self.run_before, self.run_begin = self.run_begin, at
            at += len(piece.data)
        part = Part(
            take=self.number,
            number=self._next_part,
            offset=self.size,
            size=len(content),
            sha256=hashlib.sha256(content).digest(),
            frames=len(self._pieces),
            frames_sha256=hashlib.sha256(frames).digest(),
            first_ms=first_ms - self._first_ms,
            last_ms=last_ms - self._first_ms,
            written_at=datetime.now(UTC),
        )
        self._head = b""
        self._pieces.clear()
        self._next_part += 1
        self.size += len(content)
        self.parts.append(part)
        return part

    def close(self) -> Part | None:
        """The last part, if frames were waiting."""
        try:
            return self.sync()
        finally:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def ended(self) -> TakeFile:
        """What it came to."""
        return TakeFile(
            path=self.path,
            number=self.number,
            begun_at=self.begun_at,
            parts=tuple(self.parts),
            is_whole=self.is_whole,
        )


# ---- after a crash ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """A take after a crash: its parts, those that were known and those that were found, and what was cut off."""

    take: TakeFile
    found: tuple[Part, ...]
    lost_bytes: int


def recover(path: Path, known: Sequence[Part] = (), *, next_part: int = 1) -> Recovered:
    """Cut a take's file to what is whole, and hash what nobody was told of.

    `known`: the parts of this take that were told before the crash, in order; where there are none, numbers begin with
    `next_part`. Raises ClipDamaged (with the parts' numbers) where one of these is not what it was: a crash does not
    do that.
    """
    name = TAKE_NAME.fullmatch(path.name)
    if name is None:
        raise RecordingError("this is no take's file", code="damaged")
    number = int(name[1])
    begun_at = datetime.strptime(name[2], "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC)
    size = path.stat().st_size
    with _disk(), path.open("r+b") as file:
        outline = read_outline(file, size)
        if known and (touched := find_touched(known, lambda offset, length: _read(file, offset, length))):
            raise ClipDamaged(f"part {touched[0]} of take {number} is not what it was", parts=touched)
        told_to = known[-1].offset + known[-1].size if known else 0
        tail = [fragment for fragment in outline.fragments if fragment.offset >= told_to]
        end = max(outline.end if outline.fragments else 0, told_to)
        first_time = outline.fragments[0].decode_time if outline.fragments else 0
        found: list[Part] = []
        for group in _group(tail, outline.timescale):
            offset = found[-1].offset + found[-1].size if found else told_to
            found.append(
                _hash_group(
                    file, group, offset=offset, take=number, timescale=outline.timescale, first_time=first_time,
                    number=(known[-1].number + 1 if known else next_part) + len(found),
                )
            )  # fmt: skip
        file.truncate(end)
        os.fsync(file.fileno())
    take = TakeFile(path=path, number=number, begun_at=begun_at, parts=(*known, *found))
    return Recovered(take=take, found=tuple(found), lost_bytes=size - end)


def number_of(path: Path) -> int:
    """The number of the take in that file. Raises RecordingError."""
    name = TAKE_NAME.fullmatch(path.name)
    if name is None:
        raise RecordingError("this is no take's file", code="damaged")
    return int(name[1])


def list_take_paths(folder: Path) -> list[Path]:
    """The files of a recording's takes, in order."""
    return sorted(path for path in folder.iterdir() if TAKE_NAME.fullmatch(path.name))


def _group(fragments: Sequence[Fragment], timescale: int) -> list[list[Fragment]]:
    """Runs of a part's length."""
    groups: list[list[Fragment]] = []
    for fragment in fragments:
        is_full = groups and (fragment.decode_time - groups[-1][0].decode_time) * 1000 >= PART_MS * timescale
        if not groups or is_full:
            groups.append([])
        groups[-1].append(fragment)
    return groups


def _hash_group(
    file: BinaryIO,
    group: Sequence[Fragment],
    *,
    offset: int,
    take: int,
    number: int,
    timescale: int,
    first_time: int,
) -> Part:
    size = group[-1].offset + group[-1].size - offset
    frames = hashlib.sha256()
    for fragment in group:
        frames.update(_read(file, fragment.data_offset, fragment.data_size))
    return Part(
        take=take,
        number=number,
        offset=offset,
        size=size,
        sha256=hashlib.sha256(_read(file, offset, size)).digest(),
        frames=len(group),
        frames_sha256=frames.digest(),
        first_ms=round((group[0].decode_time - first_time) * 1000 / timescale),
        last_ms=round((group[-1].decode_time - first_time) * 1000 / timescale),
        written_at=None,
    )


# ---- the disk ---------------------------------------------------------------------------------------------


def write_whole(file: int, content: bytes) -> None:
    """Write it all, however many calls that takes."""
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


class _Disk(contextlib.AbstractContextManager[None]):
    """What the disk refuses, in our words."""

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, OSError) and not isinstance(error, av.FFmpegError):
            code = "full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "disk"
            raise RecordingError(
                f"the recording can't be written: {os.strerror(error.errno or 0)}", code=code
            ) from error


_disk = _Disk
