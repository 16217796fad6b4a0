"""The proof that a camera records, before a door is unlocked, and the lease under which the door may be open.

A *proof*: three frames that came after it was asked for are on the disk (synced), were read back from there, have the
hash that was told, decode to what was seen live; and the verdict of the last two seconds is LIVE. Where one of
these fails, the answer is a `Refusal` with a word for it; that is a value, not an error.

The *lease* lasts two seconds, and each part that is synced renews it, unless the verdict is against the picture.
Whoever opens a door asks for it as of the moment *before* they asked: what they did not hear of has not been renewed.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.video.frame import VideoFrame

from unlatch.cameras.glances import Glance, Judgement, Method, Verdict, glance_of
from unlatch.cameras.light import Pattern, look_for
from unlatch.domain.clip import Part

LEASE_S = 2.0
PROOF_FRAMES = 3
PROOF_WAITS_S = 2.0
PROOF_FRESH_S = 5.0  # S3: what may lie between the proof and the gate
CLOCKS_APART_S = 5.0  # S3
LIGHT_FRESH_S = 5.0  # what may lie between the end of a light pattern and the proof that rests on it
SAME_LEVELS = 1  # grey levels of a cell, between what was seen live and what was read back
NO_PROBE = {"probesize": "32", "analyzeduration": "0"}  # the head says it all
MAX_RUN_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Until when a camera counts as recording. Monotonic seconds of whoever holds it."""

    until_s: float = float("-inf")

    def is_live(self, now_s: float) -> bool:
        """Whether it still holds."""
        return now_s < self.until_s

    def left_s(self, now_s: float) -> float:
        """Seconds that are left, 0 if none."""
        return max(0.0, self.until_s - now_s)

    def renewed(self, synced_s: float, judgement: Judgement) -> Lease:
        """After a part was synced: two seconds from then on, unless the picture is known not to live."""
        return self if judgement.is_against else Lease(until_s=max(self.until_s, synced_s + LEASE_S))


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """That a camera recorded, and was seen to live. `made_s`: monotonic; `sha256`: of what was read back."""

    made_at: datetime
    made_s: float
    take: int
    part: int
    frames: int
    sha256: bytes
    judgement: Judgement
    clock_apart_s: float | None  # the camera's own clock, by its reports, less ours; None: it does not tell

    def is_fresh(self, now_s: float) -> bool:
        """Whether a gate may still rest on it."""
        return 0 <= now_s - self.made_s <= PROOF_FRESH_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why there is no proof: a `Verdict`, or not_recording, no_frame, not_on_disk, other_on_disk or clock_wrong."""

    code: str
    judgement: Judgement | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Frames from a keyframe on, in the take that is being written: they grow while they are read back."""

    path: Path
    take: int
    begin: int  # in the take's file
    part: int  # the number of the first part of it
    head: Part  # with the file's head: the take's first
    head_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What was asked for is on the disk: it ends with that part of that take."""

    take: int
    part: int
    glances: tuple[Glance, ...]  # of the last frames, as they were seen live; may be none
    clock_apart_s: float | None


class ReadBack:
    """A run read back from the disk, hashed and decoded while it grows: what is left to do at its end is little."""

    def __init__(self, run: Run, parts: Iterator[Part]) -> None:
        """`parts`: those of the run, in order; may wait for each."""
        self._run, self._parts = run, parts
        self._rest = b""  # read, and not yet asked for by the decoder
        self._size = 0
        self._sha256 = hashlib.sha256()
        self.failure = ""  # a code of `Refusal`
        self.last_part = 0
        self.count = 0  # frames
        self.frames: deque[VideoFrame] = deque(maxlen=PROOF_FRAMES)  # the last of them

    @property
    def sha256(self) -> bytes:
        """Of the head and the run, as they were read."""
        return self._sha256.digest()

    def decode(self) -> None:
        """Read and decode, until there are no more parts or something is not as it should be."""
        try:
            with av.open(self, "r", format="mp4", options=NO_PROBE) as source:
                source.streams.video[0].codec_context.thread_count = 1
                for frame in source.decode(source.streams.video[0]):
                    self.frames.append(frame)
                    self.count += 1
        except (av.FFmpegError, IndexError):
            if self.last_part:  # without any part it was no file, and nobody is to blame
                self.failure = self.failure or "other_on_disk"

    def read(self, size: int) -> bytes:
        """As libavformat reads a file that can't be sought in: some bytes, or none at the end."""
        if not self._rest:
            self._rest = self._read_more()
        given, self._rest = self._rest[:size], self._rest[size:]
        return given

    def _read_more(self) -> bytes:
        """The next part; none where there is none, or where it is not what was hashed."""
        part = None if self.failure else next(self._parts, None)
        if part is None:
            return b""
        try:
            content = b""
            with self._run.path.open("rb") as file:
                if not self.last_part:
                    content = _read_part(file, self._run.head)[: self._run.head_size]
                read = _read_part(file, part)
                content += read[max(0, self._run.begin - part.offset) :]
        except (OSError, _Touched):
            self.failure = "not_on_disk"
            return b""
        self._size += len(content)
        if self._size > MAX_RUN_BYTES:
            self.failure = "not_on_disk"
            return b""
        self.last_part = part.number
        self._sha256.update(content)
        return content


class _Touched(Exception):
    """What stands there is not what was hashed."""


def _read_part(file: BinaryIO, part: Part) -> bytes:
    file.seek(part.offset)
    content = file.read(part.size)
    if hashlib.sha256(content).digest() != part.sha256:
        raise _Touched
    return content


def is_same(frames: Collection[VideoFrame], glances: Sequence[Glance]) -> bool:
    """Whether the last frames of the run are what was seen live."""
    if len(frames) < len(glances):
        return False
    pairs = zip(list(frames)[len(frames) - len(glances) :], glances, strict=True)
    return all(
        int(np.abs(glance_of(frame, 0, 0.0).levels.astype(np.int16) - glance.levels).max()) <= SAME_LEVELS
        for frame, glance in pairs
    )


def judge_by_light(
    judgement: Judgement, pattern: Pattern, glances: Sequence[Glance], now_s: float
) -> Judgement:
    """LIVE by our light, where nothing is known against the picture and it shows the pattern that was just played."""
    is_fresh = 0 <= now_s - pattern.ended_s <= LIGHT_FRESH_S
    if judgement.is_against or not is_fresh or not look_for(pattern, list(glances)).is_ours:
        return judgement
    return Judgement(verdict=Verdict.LIVE, method=Method.LIGHT, clock_apart_s=judgement.clock_apart_s)


def make_proof(
    read: ReadBack, material: Material, judgement: Judgement, made_at: datetime, made_s: float
) -> Proof | Refusal:
    """Compare what was read back with what was seen, and judge."""
    if read.failure:
        return Refusal(code=read.failure, judgement=judgement)
    is_all = read.last_part == material.part and read.count >= PROOF_FRAMES
    if not is_all or not is_same(read.frames, material.glances):
        return Refusal(code="other_on_disk", judgement=judgement)
    if material.clock_apart_s is not None and abs(material.clock_apart_s) > CLOCKS_APART_S:
        return Refusal(code=Verdict.CLOCK_WRONG, judgement=judgement)
    if not judgement.is_live:
        return Refusal(code=judgement.verdict, judgement=judgement)
    return Proof(
        made_at=made_at,
        made_s=made_s,
        take=material.take,
        part=material.part,
        frames=read.count,
        sha256=read.sha256,
        judgement=judgement,
        clock_apart_s=material.clock_apart_s,
    )
