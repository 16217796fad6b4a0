"""The proof that a camera records, before a door is unlocked, and the lease under which the door may be open.

A *proof*: three frames that came after it was asked for are on the disk (synced), were read back from there, have the
hash that was told, decode to what was seen live; and the verdict of the last two seconds is LIVE. Where one of
these fails, the answer is a `Refusal` with a word for it; that is a value, not an error.

The *lease* lasts two seconds, and each part that is synced renews it, unless the verdict is against the picture.
Whoever opens a door asks for it as of the moment *before* they asked: what they did not hear of has not been renewed.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame

from unlatch.cameras.glances import Glance, Judgement, Method, Verdict, glance_of
from unlatch.cameras.light import Pattern, look_for
from unlatch.domain.clip import Part, find_touched

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
class Material:
    """What a proof is made of: a run of frames from a keyframe on, as it should stand on the disk."""

    path: Path
    take: int
    head_size: int
    begin: int  # of the run; its end is that of the last part
    parts: tuple[Part, ...]  # those that have a byte of the run
    glances: tuple[Glance, ...]  # of the run's last frames, as they were seen live; may be fewer, or none
    clock_apart_s: float | None


def read_back(material: Material) -> bytes | None:
    """The head and the run as they stand on the disk; None where they are not what was hashed."""
    end = material.parts[-1].offset + material.parts[-1].size
    if end - material.begin > MAX_RUN_BYTES:
        return None
    try:
        with material.path.open("rb") as file:

            def read(offset: int, size: int) -> bytes:
                file.seek(offset)
                return file.read(size)

            if find_touched(material.parts, read):
                return None
            return read(0, material.head_size) + read(material.begin, end - material.begin)
    except OSError:
        return None


def decode_run(content: bytes) -> list[VideoFrame]:
    """The frames of a head and a run; none where it can't be decoded."""
    try:
        with av.open(io.BytesIO(content), "r", format="mp4", options=NO_PROBE) as source:
            source.streams.video[0].codec_context.thread_count = 1
            return list(source.decode(source.streams.video[0]))
    except av.FFmpegError:
        return []


def is_same(frames: Sequence[VideoFrame], glances: Sequence[Glance]) -> bool:
    """Whether the last frames of the run are what was seen live."""
    if len(frames) < len(glances):
        return False
    pairs = zip(frames[len(frames) - len(glances) :], glances, strict=True)
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


def make_proof(material: Material, judgement: Judgement, made_at: datetime, made_s: float) -> Proof | Refusal:
    """Read back, decode, compare, judge."""
    content = read_back(material)
    if content is None:
        return Refusal(code="not_on_disk", judgement=judgement)
    frames = decode_run(content)
    if len(frames) < PROOF_FRAMES or not is_same(frames, material.glances):
        return Refusal(code="other_on_disk", judgement=judgement)
    if material.clock_apart_s is not None and abs(material.clock_apart_s) > CLOCKS_APART_S:
        return Refusal(code=Verdict.CLOCK_WRONG, judgement=judgement)
    if not judgement.is_live:
        return Refusal(code=judgement.verdict, judgement=judgement)
    return Proof(
        made_at=made_at,
        made_s=made_s,
        take=material.take,
        part=material.parts[-1].number,
        frames=len(frames),
        sha256=hashlib.sha256(content).digest(),
        judgement=judgement,
        clock_apart_s=material.clock_apart_s,
    )
