"""A recording's takes become clips: ordinary MP4 files with the same coded frames, that any player can seek in.

A gap keeps its length: the picture before it stands until the next take begins. Takes whose format differs (someone
has set the camera anew) go into a clip each.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.video.stream import VideoStream
from PIL import Image

from unlatch.cameras.recording import TakeFile, recover, sync_folder
from unlatch.domain.clip import Place, find_touched
from unlatch.errors import ClipDamaged

POSTER_SIZE = (640, 360)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A finished file, and where each part of its takes stands in it."""

    path: Path
    size: int
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What is told of a finished clip: its digest, its length, and one picture of it as JPEG."""

    sha256: bytes
    length_ms: int
    poster: bytes


def describe(path: Path) -> Described:
    """Look at a finished clip: its first keyframe is its poster. Raises ClipDamaged."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    try:
        with av.open(str(path), "r", format="mp4") as source:
            length_ms = (source.duration or 0) // 1000  # libav counts microseconds
            frame = next(source.decode(source.streams.video[0]))
    except (av.FFmpegError, StopIteration):
        raise ClipDamaged("the clip can't be read", parts=()) from None
    picture = Image.fromarray(frame.to_ndarray(format="rgb24"))
    picture.thumbnail(POSTER_SIZE)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=80)
    return Described(sha256=digest, length_ms=length_ms, poster=out.getvalue())


def finish(takes: Sequence[TakeFile], folder: Path) -> tuple[Clip, ...]:
    """Clips `clip-1.mp4` ... in `folder`, whole or not there. Takes without a frame are left out.

    Raises ClipDamaged where a clip would not hold what was recorded.
    """
    groups: list[list[TakeFile]] = []
    formats: list[tuple[object, ...]] = []
    for given in takes:
        take = given if given.is_whole else recover(given.path, given.parts).take
        if not take.parts:
            continue
        form = _format_of(take)
        if not groups or formats[-1] != form:
            groups.append([])
            formats.append(form)
        groups[-1].append(take)
    return tuple(_join(group, folder / f"clip-{number}.mp4") for number, group in enumerate(groups, start=1))


def _format_of(take: TakeFile) -> tuple[object, ...]:
    try:
        with av.open(str(take.path), "r", format="mp4") as source:
            context = source.streams.video[0].codec_context
            return context.name, context.width, context.height, context.extradata
    except av.FFmpegError:
        numbers = tuple(part.number for part in take.parts)
        raise ClipDamaged(f"take {take.number} can't be read", parts=numbers[:1]) from None


def _join(takes: Sequence[TakeFile], path: Path) -> Clip:
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with av.open(str(partial), "w", format="mp4", options={"movflags": "faststart"}) as out:
        stream: VideoStream | None = None
        last: Fraction | None = None  # seconds of the clip, of the last frame
        for take in takes:
            begin = Fraction((take.begun_at - takes[0].begun_at).total_seconds()).limit_denominator(1000)
            with av.open(str(take.path), "r", format="mp4") as source:
                video = source.streams.video[0]
                if stream is None:
                    stream = out.add_stream_from_template(video)
                last = _copy(source.demux(video), out, stream, begin, last)
    places = _find_places(partial, takes)
    descriptor = os.open(partial, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    partial.rename(path)
    sync_folder(path.parent)
    return Clip(path=path, size=path.stat().st_size, places=places)


def _copy(
    packets: object, out: OutputContainer, stream: VideoStream, begin: Fraction, last: Fraction | None
) -> Fraction | None:
    """Copy one take's frames, from `begin` on but behind `last`; the time of the last one."""
    shift: int | None = None
    for packet in packets:  # type: ignore[attr-defined]
        if packet.dts is None or not packet.size:
            continue
        if shift is None:
            least = 0 if last is None else int(last / packet.time_base) + 1
            shift = max(int(begin / packet.time_base), least) - packet.dts
        packet.dts += shift
        packet.pts = packet.dts if packet.pts is None else packet.pts + shift
        last = packet.dts * packet.time_base
        packet.stream = stream
        out.mux(packet)
    return last


def _shown_ms(packet: av.Packet[VideoStream]) -> int:
    """When a frame of the clip is shown, in milliseconds of the clip."""
    at = packet.dts if packet.pts is None else packet.pts
    return 0 if at is None or packet.time_base is None else max(0, round(at * packet.time_base * 1000))


def _find_places(path: Path, takes: Sequence[TakeFile]) -> tuple[Place, ...]:
    """Where each part's frames stand: one behind the other, since there is one track. Raises ClipDamaged."""
    with av.open(str(path), "r", format="mp4") as source:
        packets = source.demux(source.streams.video[0])
        frames = [(packet.pos, packet.size, _shown_ms(packet)) for packet in packets if packet.size]
    parts = [part for take in takes for part in take.parts]
    if len(frames) != sum(part.frames for part in parts):
        raise ClipDamaged("the clip does not hold every frame", parts=())
    places, at = [], 0
    for part in parts:
        own = frames[at : at + part.frames]
        at += part.frames
        size = sum(length for _, length, _ in own)
        assert own[0][0] is not None
        places.append(
            Place(
                part=part.number,
                offset=own[0][0],
                size=size,
                frames_sha256=part.frames_sha256,
                first_ms=min(shown_ms for _, _, shown_ms in own),
            )
        )
    with path.open("rb") as file:

        def read(offset: int, size: int) -> bytes:
            file.seek(offset)
            return file.read(size)

        if touched := find_touched(places, read):
            raise ClipDamaged(f"part {touched[0]} is not what was recorded", parts=touched)
    return tuple(places)
