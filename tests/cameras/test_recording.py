"""A take is whole up to its last part, whatever ends it, and shows each touch."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from datetime import UTC, datetime
from pathlib import Path

import av
import pytest
from tests.cameras.street import FPS, HEIGHT, WIDTH, paint, reel

from unlatch.cameras.base import Coded
from unlatch.cameras.boxes import read_outline
from unlatch.cameras.recording import Packer, Take, TakeFile, list_take_paths, recover, with_lengths
from unlatch.domain.canonical import canonical
from unlatch.domain.clip import FIRST_LINK, Part, find_touched, last_link, link_of, parts_between
from unlatch.errors import ClipDamaged, RecordingError

FRAMES = 24


def record(folder: Path, count: int = FRAMES, number: int = 1, next_part: int = 1, seed: int = 0) -> TakeFile:
    """A take of so many frames."""
    with reel([paint(one, seed=seed) for one in range(count)], folder) as (video, frames):
        packer = Packer(video)
        pieces = [piece for coded in frames if (piece := packer.add(coded))]
        assert packer.dropped == 0
    take = Take(folder, number, packer.head, next_part=next_part)
    for piece in pieces:
        take.add(piece)
    take.close()
    return take.ended()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> TakeFile:
    return record(tmp_path_factory.mktemp("kept"))


def copy(take: TakeFile, folder: Path, content: bytes) -> Path:
    path = folder / take.path.name
    path.write_bytes(content)
    return path


def test_parts_cover_the_file_and_hash_what_stands_there(kept: TakeFile) -> None:
    content = kept.path.read_bytes()
    assert kept.path.stat().st_mode & 0o777 == 0o600
    assert [part.number for part in kept.parts] == list(range(1, len(kept.parts) + 1))
    at = 0
    outline = read_outline(io.BytesIO(content), len(content))
    fragments = list(outline.fragments)
    for part in kept.parts:
        assert part.offset == at
        at += part.size
        assert hashlib.sha256(content[part.offset : at]).digest() == part.sha256
        fragment = fragments.pop(0)
        frames = content[fragment.data_offset : fragment.data_offset + fragment.data_size]
        assert fragment.frames == part.frames
        assert hashlib.sha256(frames).digest() == part.frames_sha256
        assert part.last_ms - part.first_ms < 200
    assert not fragments
    assert at == len(content) == outline.end
    assert sum(part.frames for part in kept.parts) == FRAMES
    assert kept.parts[-1].last_ms == (FRAMES - 1) * 1000 // FPS


def test_the_file_plays_while_it_grows(kept: TakeFile) -> None:
    content = kept.path.read_bytes()
    for count in (1, 4, len(kept.parts)):
        end = kept.parts[count - 1].offset + kept.parts[count - 1].size
        with av.open(io.BytesIO(content[:end]), "r") as source:
            frames = list(source.decode(video=0))
        assert len(frames) == sum(part.frames for part in kept.parts[:count])
        assert frames[0].width == WIDTH


def test_each_keyframe_begins_a_part_and_frames_that_are_late_fill_none(tmp_path: Path) -> None:
    """One gap in the stream must not make each frame after it a part of its own."""
    with reel([paint(one) for one in range(20)], tmp_path) as (video, frames):
        for number, coded in enumerate(frames):
            late = 4 if number > 12 else 0
            coded.packet.dts = coded.packet.pts = round((number + late) / FPS / coded.packet.time_base)
        packer = Packer(video)
        pieces = [piece for coded in frames if (piece := packer.add(coded))]
    take = Take(tmp_path, 1, packer.head, next_part=1)
    parts = [part for piece in pieces for part in take.add(piece)]
    parts += take.close()
    firsts = {part.first_ms for part in parts}
    keys = [number for number, piece in enumerate(pieces) if piece.is_key]
    assert keys == [0, 10]
    assert {0, 1000} <= firsts
    assert [part.frames for part in parts] == [2] * 5 + [2, 1, 1, 2, 2, 2]
    outline = read_outline(io.BytesIO(take.path.read_bytes()), take.size)
    assert [one.frames for one in outline.fragments] == [part.frames for part in parts]


def two_directions(folder: Path) -> Path:
    """A file whose frames are shown in another order than they are decoded, with their lengths before them."""
    path = folder / "source.mp4"
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"bf": "2", "g": "8", "threads": "1"}
        for number in range(20):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(paint(number), format="yuv420p")))
        out.mux(stream.encode(None))
    return path


def test_a_player_reads_what_was_written(tmp_path: Path) -> None:
    """Frame by frame, with their times and their order, from a source whose frames bear lengths already."""
    source = two_directions(tmp_path)
    with av.open(str(source)) as container:
        video = container.streams.video[0]
        packer = Packer(video)
        sent: list[tuple[bytes, bool, float, float]] = []
        take = Take(tmp_path, 1, packer.head, next_part=1)
        for packet in container.demux(video):
            if packet.size:
                assert packet.dts is not None
                assert packet.pts is not None
                decoded_s, shown_s = (float(one * packet.time_base) for one in (packet.dts, packet.pts))
                sent.append((bytes(packet), packet.is_keyframe, decoded_s, shown_s))
                piece = packer.add(Coded(packet=packet, received_s=0.0, taken_at=None))
                assert piece is not None
                take.add(piece)
        take.close()
    with av.open(str(take.path)) as written:
        got = [
            (bytes(one), one.is_keyframe, float(one.dts * one.time_base), float(one.pts * one.time_base))
            for one in written.demux(video=0)
            if one.dts is not None and one.pts is not None and one.size
        ]
        assert [one[:2] for one in got] == [one[:2] for one in sent]
        for before, after in zip(sent, got, strict=True):
            assert after[2] - got[0][2] == pytest.approx(before[2] - sent[0][2], abs=1e-4)
            assert after[3] - after[2] == pytest.approx(before[3] - before[2], abs=1e-4)
    assert any(after[3] > after[2] for after in got)


@pytest.mark.parametrize(
    ("coded", "units"),
    [
        (b"\0\0\0\1ab", [b"ab"]),
        (b"\0\0\1ab\0\0\1c", [b"ab", b"c"]),
        (b"\0\0\0\1ab\0\0\0\0\1\0\0\1c\0\0\3\1", [b"ab", b"c\0\0\3\1"]),
        (b"\0\0\1ab\0\0\1", [b"ab"]),
        (b"ab\0\0\1c", [b"ab", b"c"]),
        (b"ab", [b"ab"]),
        (b"", []),
    ],
)
def test_start_codes_become_lengths(coded: bytes, units: list[bytes]) -> None:
    assert with_lengths(coded) == b"".join(len(unit).to_bytes(4) + unit for unit in units)


def test_nothing_is_transcoded(tmp_path: Path) -> None:
    with reel([paint(one) for one in range(8)], tmp_path) as (video, frames):
        sent = [bytes(coded.packet) for coded in frames]
        packer = Packer(video)
        pieces = [piece for coded in frames if (piece := packer.add(coded))]
    assert len(pieces) == 8
    for before, piece in zip(sent, pieces, strict=True):  # start codes have become lengths, and that is all
        picture = before.rpartition(b"\0\0\1")[2]
        assert piece.frame.endswith(len(picture).to_bytes(4) + picture)


def test_what_a_crash_leaves_is_cut_to_what_is_whole(kept: TakeFile, tmp_path: Path) -> None:
    """At each byte of the last fragments: nothing whole is lost, nothing else stays."""
    content = kept.path.read_bytes()
    outline = read_outline(io.BytesIO(content), len(content))
    ends = [fragment.offset + fragment.size for fragment in outline.fragments]
    begin = ends[-4]
    for cut in [*range(begin, len(content), 97), *ends[-3:], *(end - 1 for end in ends[-3:]), begin + 1]:
        path = copy(kept, tmp_path, content[:cut])
        told = [part for part in kept.parts if part.offset + part.size <= begin]
        recovered = recover(path, told)
        whole = max(end for end in ends if end <= cut)
        assert path.stat().st_size == whole
        assert recovered.lost_bytes == cut - whole
        assert recovered.take.parts[: len(told)] == tuple(told)
        assert sum(part.frames for part in recovered.take.parts) == sum(
            fragment.frames for fragment in outline.fragments[: ends.index(whole) + 1]
        )
        again = recover(path, recovered.take.parts)
        assert (again.lost_bytes, again.found) == (0, ())


def test_without_any_knowledge_the_parts_are_found_anew(kept: TakeFile, tmp_path: Path) -> None:
    path = copy(kept, tmp_path, kept.path.read_bytes())
    found = recover(path).found
    assert [one.frames_sha256 for one in found] == [one.frames_sha256 for one in kept.parts]
    assert [(one.first_ms, one.last_ms) for one in found] == [
        (one.first_ms, one.last_ms) for one in kept.parts
    ]
    assert {one.written_at for one in found} == {None}
    assert list_take_paths(tmp_path) == [path]
    assert recover(path, (), next_part=7).take.begun_at == kept.begun_at


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"\0\0\0\x10ftypisom", os.urandom(4000)])
def test_a_file_without_anything_whole_has_no_part(kept: TakeFile, tmp_path: Path, content: bytes) -> None:
    recovered = recover(copy(kept, tmp_path, content))
    assert recovered.take.parts == ()
    assert recovered.take.path.stat().st_size == 0


def test_lengths_that_lie_end_the_walk(kept: TakeFile, tmp_path: Path) -> None:
    content = bytearray(kept.path.read_bytes())
    last = kept.parts[-1].offset
    content[last : last + 4] = b"\xff\xff\xff\xff"
    recovered = recover(copy(kept, tmp_path, bytes(content)), kept.parts[:-1])
    assert recovered.found == ()
    content[last : last + 4] = b"\0\0\0\0"
    assert recover(copy(kept, tmp_path, bytes(content)), kept.parts[:-1]).found == ()


def test_a_fragment_that_lists_what_it_does_not_hold_ends_the_walk(kept: TakeFile) -> None:
    content = kept.path.read_bytes()
    third = kept.parts[2].offset
    count = content.index(b"trun", third) + 8
    size = content.index(b"trun", third) + 20  # of the first frame, after its duration
    for at, forged in ((count, 0), (count, 1), (count, 3), (count, 2**32 - 1), (size, 0), (size, 2**31)):
        bad = content[:at] + forged.to_bytes(4) + content[at + 4 :]
        outline = read_outline(io.BytesIO(bad), len(bad))
        assert len(outline.fragments) == 2, forged
        assert outline.end == third


def test_one_flipped_bit_names_the_part(kept: TakeFile, tmp_path: Path) -> None:
    content = bytearray(kept.path.read_bytes())
    third = kept.parts[2]
    content[third.offset + third.size // 2] ^= 0x10
    path = copy(kept, tmp_path, bytes(content))
    with pytest.raises(ClipDamaged, match="part 3 of take 1") as damage:
        recover(path, kept.parts)
    assert damage.value.parts == (3,)
    assert find_touched(kept.parts, lambda offset, size: bytes(content[offset : offset + size])) == (3,)
    assert parts_between(kept.parts, third.offset, third.offset + 1) == (3,)
    assert parts_between(kept.parts, third.offset - 1, third.offset + third.size + 1) == (2, 3, 4)


def test_a_told_part_that_is_gone_is_damage_and_no_crash(kept: TakeFile, tmp_path: Path) -> None:
    end = kept.parts[4].offset
    with pytest.raises(ClipDamaged) as damage:
        recover(copy(kept, tmp_path, kept.path.read_bytes()[:end]), kept.parts[:6])
    assert damage.value.parts == (5, 6)


def test_the_chain_changes_with_any_part(kept: TakeFile) -> None:
    whole = last_link(kept.parts)
    assert whole == link_of(last_link(kept.parts[:-1]), kept.parts[-1])
    assert last_link(()) == FIRST_LINK
    others = [last_link(kept.parts[:number] + kept.parts[number + 1 :]) for number in range(len(kept.parts))]
    swapped = last_link((kept.parts[1], kept.parts[0], *kept.parts[2:]))
    assert len({whole, swapped, *others}) == len(others) + 2


def test_frames_that_go_back_in_time_are_dropped(tmp_path: Path) -> None:
    with reel([paint(one) for one in range(12)], tmp_path) as (video, frames):
        frames[5].packet.dts = frames[5].packet.pts = frames[2].packet.dts
        frames[6].packet.dts = frames[6].packet.pts = frames[4].packet.dts
        packer = Packer(video)
        pieces = [piece for coded in frames if (piece := packer.add(coded))]
    assert packer.dropped == 2
    assert len(pieces) == 10
    times = [piece.decode_time for piece in pieces]
    assert times == sorted(set(times))


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, "full"), (errno.EIO, "disk")])
def test_a_disk_that_refuses_ends_the_take_and_keeps_what_was_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    with reel([paint(one) for one in range(12)], tmp_path) as (video, frames):
        packer = Packer(video)
        pieces = [piece for coded in frames if (piece := packer.add(coded))]
    take = Take(tmp_path, 1, packer.head, next_part=1)
    told = [part for piece in pieces[:6] for part in take.add(piece)]

    def refuse(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", refuse)
        with pytest.raises(RecordingError) as refused:
            for piece in pieces[6:]:
                take.add(piece)
    assert refused.value.code == code
    assert take.close() == ()
    ended = take.ended()
    assert (ended.parts, ended.is_whole) == (tuple(told), False)
    recovered = recover(ended.path, ended.parts)
    assert recovered.take.parts[: len(told)] == tuple(told)
    assert recovered.take.is_whole


def test_parts_that_are_synced_together_are_written_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a kill loses no more than if each were synced; they are told, though, only when they are on the disk."""
    with reel([paint(one) for one in range(9)], tmp_path) as (video, frames):
        packer = Packer(video)
        pieces = [piece for coded in frames if (piece := packer.add(coded))]
    take = Take(tmp_path, 1, packer.head, next_part=1)
    synced: list[int] = []
    real = os.fdatasync

    def sync(descriptor: int) -> None:
        real(descriptor)
        synced.append(take.size)

    monkeypatch.setattr(os, "fdatasync", sync)
    told = [take.add(piece, together=2) for piece in pieces]
    assert [len(parts) for parts in told] == [0, 0, 0, 2, 0, 0, 0, 2, 0]
    assert len(synced) == 2
    (last,) = take.close()
    assert (last.number, last.frames, len(synced)) == (5, 1, 3)
    assert take.parts == [*told[3], *told[7], last]
    other = Take(tmp_path, 2, packer.head, next_part=1)
    for piece in pieces[:2]:
        assert other.add(piece, together=2) == ()
    assert [part.frames for part in recover(other.path).found] == [2]  # as after a kill: written, never told
    assert other.add(pieces[2]) != ()  # whoever is in a hurry waits for no other


def test_a_take_does_not_take_the_name_of_another(tmp_path: Path) -> None:
    with pytest.raises(RecordingError):
        Take(tmp_path / "nowhere", 1, b"", next_part=1)
    with pytest.raises(RecordingError):
        Take(tmp_path, 1001, b"", next_part=1)
    with pytest.raises(RecordingError):
        recover(tmp_path / "passwd")


def test_a_link_is_that_of_the_canonical_content() -> None:
    """It is written out by hand, for speed: a proof is verified by the canonical form."""
    for at in (None, datetime(2026, 11, 26, 5, 4, 3, 20, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)):
        part = Part(
            take=3, number=412, offset=90_123, size=77, sha256=b"\x00" * 31 + b"\xff", frames=3,
            frames_sha256=b"\x10" * 32, first_ms=0, last_ms=2**33, written_at=at,
        )  # fmt: skip
        assert link_of(FIRST_LINK, part) == hashlib.sha256(FIRST_LINK + canonical(part.content())).digest()
