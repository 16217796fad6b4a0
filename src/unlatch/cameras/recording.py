"""Recording: what a camera sends goes to the disk as it came, in parts that are synced and hashed.

Nothing is transcoded. A take is one append-only, fragmented MP4: after the head, one fragment a part; a keyframe begins
a part. Whatever ends the process, what is whole up to the last synced part is a file that plays, and `recover` cuts off
what is not. How long the last frame of a part is shown is not known when it is written: as long as the one before it,
it says, and the next part says when it really ended.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import av
from av.packet import Packet
from av.video.stream import VideoStream

from unlatch.cameras.base import Coded
from unlatch.cameras.boxes import Fragment, Outline, fragment_head, read_outline
from unlatch.domain.clip import PART_MS, Part, find_touched
from unlatch.errors import CameraUnreachable, ClipDamaged, RecordingError

MOVFLAGS = "empty_moov+default_base_moof+skip_trailer"
START_CODE = re.compile(b"\0\0\1")  # twice as fast as `bytes.find`
LENGTHS_FOLLOW = 1  # the first byte of codec data whose frames have lengths in place of start codes
MAX_TAKE_BYTES = 2 * 1024**3
MAX_TAKE_MS = 3_600_000
MAX_TAKES = 1_000  # of one recording
TAKE_NAME = re.compile(r"take-(\d{4})-(\d{8}T\d{12})Z\.mp4")
FULL = 0.9  # of a part's length


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One coded frame as an MP4 file holds it. Times are the track's ticks since the first frame of the session."""

    frame: bytes
    is_key: bool
    decode_time: int
    shift: int  # how much later it is shown
    received_s: float  # monotonic


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeFile:
    """A take that has ended."""

    path: Path
    number: int
    begun_at: datetime
    parts: tuple[Part, ...]
    is_whole: bool = True  # False: it may end with what was never synced, and has to be recovered first


class Packer:
    """Makes pieces of one session's frames. Frames that do not come after the last are dropped."""

    def __init__(self, video: VideoStream) -> None:
        codec_data = video.codec_context.extradata
        if not codec_data:
            raise CameraUnreachable("the camera does not say how its frames are coded", code="no_video")
        self._has_lengths = codec_data[0] == LENGTHS_FOLLOW
        self.head = _head_of(video)
        base = video.time_base
        assert base is not None
        self._ticks, self._per = base.numerator * timescale_of(self.head), base.denominator
        self._tick_s = base.numerator / base.denominator
        self._first: int | None = None
        self._last: int | None = None
        self.dropped = 0

    def add(self, coded: Coded) -> Piece | None:
        """The next frame; None if it is dropped."""
        packet = coded.packet
        decode, shown = packet.dts, packet.pts
        assert decode is not None
        if self._last is not None and decode <= self._last:
            self.dropped += 1
            return None
        if self._first is None:
            self._first = decode
        self._last = decode
        time = (decode - self._first) * self._ticks // self._per
        return Piece(
            frame=bytes(packet) if self._has_lengths else with_lengths(packet),
            is_key=packet.is_keyframe,
            decode_time=time,
            shift=0 if shown is None else (shown - decode) * self._ticks // self._per,
            received_s=coded.received_s,
        )

    def seconds_of(self, packet: Packet[VideoStream]) -> float:
        """When it is decoded, by the camera's own count."""
        return (packet.dts or 0) * self._tick_s


def with_lengths(coded: Any) -> bytes:
    """The units of a coded frame, each with its length before it, where start codes were (H.264, annex B)."""
    content = memoryview(coded)
    pieces: list[bytes | memoryview] = []
    begin = 0
    for code in START_CODE.finditer(content):
        end = code.start()
        while (
            end > begin and not content[end - 1]
        ):  # the fourth zero of a long start code is none of the unit's
            end -= 1
        if end > begin:
            pieces += ((end - begin).to_bytes(4), content[begin:end])
        begin = code.end()
    if begin < len(content):
        pieces += ((len(content) - begin).to_bytes(4), content[begin:])
    return b"".join(pieces)


def timescale_of(head: bytes) -> int:
    """Ticks a second of the track whose ftyp and moov that is."""
    return read_outline(io.BytesIO(head), len(head)).timescale


def _head_of(video: VideoStream) -> bytes:
    """The ftyp and moov of a file of such frames."""
    sink = io.BytesIO()
    # The stub knows files by name alone; the library takes whatever can write.
    with av.open(sink, "w", format="mp4", options={"movflags": MOVFLAGS}) as out:
        out.add_stream_from_template(video)
        out.start_encoding()
    return sink.getvalue()


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
        self.head_size = self.run_begin = len(head)  # where the last run of frames from a keyframe on begins
        self.is_whole = True
        self._next_part = next_part
        self._pieces: list[Piece] = []
        self._written: list[Part] = []  # and not synced yet
        self._head = head
        self._timescale = timescale_of(head)
        self._part_ticks = PART_MS * self._timescale // 1000
        self._first: int | None = None  # of the take, ticks
        self._last: int | None = None  # the last frame
        self._step = 1  # between the last two
        with _disk():
            self._file = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
            sync_folder(folder)

    def add(self, piece: Piece, *, together: int = 1) -> tuple[Part, ...]:
        """Take a frame in; the parts that it ends: the one before, which it is no longer of, and its own, now full.

        A part is written at once, but told only when it is synced: with up to `together` - 1 others.
        """
        time = piece.decode_time
        if self._last is not None:
            self._step = min(time - self._last, self._part_ticks)
        self._last = time
        if self._pieces and (piece.is_key or time - self._pieces[0].decode_time >= self._part_ticks):
            self._write(time)
        self._pieces.append(piece)
        # A part that the next frame would all but fill waits for none: a camera's frames are not that even.
        if time + self._step - self._pieces[0].decode_time >= self._part_ticks * FULL:
            self._write(time + self._step)
        return self._settle() if len(self._written) >= together else ()

    def sync(self) -> tuple[Part, ...]:
        """Write what there is, wait until it is on the disk, and say what it was."""
        if self._pieces:
            self._write(self._pieces[-1].decode_time + self._step)
        return self._settle()

    def _write(self, until: int) -> None:
        """Make a part of the frames that wait, the last of which is shown until then."""
        if not self.is_whole:
            return
        pieces, self._pieces = self._pieces, []
        if self._first is None:
            self._first = pieces[0].decode_time
        times = [*(piece.decode_time for piece in pieces), until]
        frames = [piece.frame for piece in pieces]
        head = self._head + fragment_head(
            len(self.parts) + len(self._written) + 1,
            times[0],
            durations=[after - before for before, after in pairwise(times)],
            sizes=list(map(len, frames)),
            shifts=[piece.shift for piece in pieces],
            is_key=pieces[0].is_key,
        )
        content = b"".join((head, *frames))
        first_ms, last_ms = self._ms(pieces[0]), self._ms(pieces[-1])
        if self.size + len(content) > MAX_TAKE_BYTES or last_ms > MAX_TAKE_MS:
            raise RecordingError("a take has at most an hour and two gigabytes", code="too_long")
        self.is_whole = False  # until it is known: a part that failed may stand there in half
        with _disk():
            write_whole(self._file, content)
        self.is_whole = True
        if pieces[0].is_key:
            self.run_begin = self.size + len(self._head)
        self._written.append(
            Part(
                take=self.number,
                number=self._next_part,
                offset=self.size,
                size=len(content),
                sha256=hashlib.sha256(content).digest(),
                frames=len(pieces),
                frames_sha256=hashlib.sha256(memoryview(content)[len(head) :]).digest(),
                first_ms=first_ms,
                last_ms=last_ms,
                written_at=datetime.now(UTC),
            )
        )
        self._head = b""
        self._next_part += 1
        self.size += len(content)

    def _settle(self) -> tuple[Part, ...]:
        """Wait until what was written is on the disk."""
        if not self._written or not self.is_whole:
            return ()
        self.is_whole = False
        with _disk():
            os.fdatasync(self._file)
        self.is_whole = True
        settled, self._written = tuple(self._written), []
        self.parts += settled
        return settled

    def _ms(self, piece: Piece) -> int:
        """Of the take."""
        assert self._first is not None
        return round((piece.decode_time - self._first) * 1000 / self._timescale)

    def close(self) -> tuple[Part, ...]:
        """The last parts, if any were waiting."""
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
        first_number = known[-1].number + 1 if known else next_part
        found = [
            _hash_fragment(file, fragment, outline, take=number, number=part)
            for part, fragment in enumerate(tail, start=first_number)
        ]
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


def _hash_fragment(file: BinaryIO, fragment: Fragment, outline: Outline, *, take: int, number: int) -> Part:
    """The part that a fragment was; the first one holds the file's head, too."""
    first = outline.fragments[0]
    offset = 0 if fragment is first else fragment.offset
    size = fragment.offset + fragment.size - offset

    def ms(time: int) -> int:
        return round((time - first.first_time) * 1000 / outline.timescale)

    return Part(
        take=take,
        number=number,
        offset=offset,
        size=size,
        sha256=hashlib.sha256(_read(file, offset, size)).digest(),
        frames=fragment.frames,
        frames_sha256=hashlib.sha256(_read(file, fragment.data_offset, fragment.data_size)).digest(),
        first_ms=ms(fragment.first_time),
        last_ms=ms(fragment.last_time),
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
