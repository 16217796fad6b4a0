"""A clip is an ordinary file with the very frames that were recorded, and each part is found in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import av
import pytest
from tests.cameras.street import FORM, HEIGHT, paint, reel
from tests.cameras.test_recording import record

from unlatch.cameras.boxes import walk
from unlatch.cameras.finishing import finish
from unlatch.cameras.recording import Packer, Take, TakeFile
from unlatch.domain.clip import find_touched
from unlatch.errors import ClipDamaged

GAP_S = 4


@pytest.fixture
def takes(tmp_path: Path) -> tuple[TakeFile, TakeFile]:
    """Two takes of 2.4 and 1.2 seconds, four seconds after one another."""
    first = record(tmp_path, 24)
    second = record(tmp_path, 12, number=2, next_part=first.parts[-1].number + 1)
    return first, replace(second, begun_at=first.begun_at + timedelta(seconds=2.4 + GAP_S))


def test_takes_become_one_clip_that_any_player_can_seek_in(
    takes: tuple[TakeFile, TakeFile], tmp_path: Path
) -> None:
    (clip,) = finish(takes, tmp_path)
    assert clip.path == tmp_path / "clip-1.mp4"
    with clip.path.open("rb") as file:
        kinds = [box.kind for box in walk(file, 0, clip.size)]
    assert kinds.index(b"moov") < kinds.index(b"mdat")  # plays before it is there whole
    assert b"moof" not in kinds
    with av.open(str(clip.path)) as source:
        times = [float(frame.time or 0.0) for frame in source.decode(video=0)]
        source.seek(int(2.4 + GAP_S) * 1_000_000, backward=True)
        assert next(source.decode(video=0)).key_frame
    assert len(times) == 36
    assert times[24] - times[23] == pytest.approx(GAP_S + 0.1, abs=0.05)  # the gap keeps its length
    assert times == sorted(times)
    assert not list(tmp_path.glob("*.partial"))


def test_each_part_is_found_in_the_clip(takes: tuple[TakeFile, TakeFile], tmp_path: Path) -> None:
    (clip,) = finish(takes, tmp_path)
    content = bytearray(clip.path.read_bytes())

    def read(offset: int, size: int) -> bytes:
        return bytes(content[offset : offset + size])

    assert [place.part for place in clip.places] == [part.number for take in takes for part in take.parts]
    assert find_touched(clip.places, read) == ()
    for place in (clip.places[0], clip.places[7], clip.places[-1]):
        content[place.offset + place.size - 1] ^= 1
        assert find_touched(clip.places, read) == (place.part,)
        content[place.offset + place.size - 1] ^= 1


def test_takes_that_begin_before_the_last_has_ended_still_follow_it(
    takes: tuple[TakeFile, TakeFile], tmp_path: Path
) -> None:
    """A new take begins with the frames since a keyframe: by the clock it may begin within the one before."""
    first, second = takes
    (clip,) = finish((first, replace(second, begun_at=first.begun_at)), tmp_path)
    with av.open(str(clip.path)) as source:
        times = [packet.dts for packet in source.demux(video=0) if packet.dts is not None]
    assert len(times) == len(set(times)) == 36
    assert times == sorted(times)


def test_another_format_is_another_clip(takes: tuple[TakeFile, TakeFile], tmp_path: Path) -> None:
    form = replace(FORM, width=160)
    with reel([paint(one)[:, :160].copy() for one in range(12)], tmp_path, form) as (video, frames):
        packer = Packer(video)
        pieces = [piece for coded in frames if (piece := packer.add(coded))]
    take = Take(tmp_path, 3, packer.head, next_part=100)
    for piece in pieces:
        take.add(piece)
    take.close()
    clips = finish((*takes, take.ended()), tmp_path)
    assert [clip.path.name for clip in clips] == ["clip-1.mp4", "clip-2.mp4"]
    with av.open(str(clips[1].path)) as source:
        context = source.streams.video[0].codec_context
        assert (context.width, context.height) == (160, HEIGHT)


def test_a_take_that_was_touched_makes_no_clip(takes: tuple[TakeFile, TakeFile], tmp_path: Path) -> None:
    first, second = takes
    part = second.parts[1]
    content = bytearray(second.path.read_bytes())
    content[part.offset + part.size - 10] ^= 4
    second.path.write_bytes(content)
    with pytest.raises(ClipDamaged) as damage:
        finish((first, second), tmp_path)
    assert damage.value.parts == (part.number,)
    assert not list(tmp_path.glob("clip-*.mp4"))
    second.path.write_bytes(b"")
    with pytest.raises(ClipDamaged):
        finish((first, second), tmp_path)


def test_a_take_that_was_cut_off_is_recovered_first(takes: tuple[TakeFile, TakeFile], tmp_path: Path) -> None:
    first, second = takes
    second.path.write_bytes(second.path.read_bytes() + b"\0\0\0\x20moof")
    cut = replace(second, is_whole=False, parts=second.parts[:3])
    (clip,) = finish((first, cut), tmp_path)
    assert sum(1 for _ in clip.places) == len(first.parts) + len(second.parts)
    assert finish((), tmp_path) == ()
    assert finish((replace(first, parts=()),), tmp_path) == ()
