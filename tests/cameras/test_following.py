"""A recording is read while it grows: whole fragments alone, in any size of bite, over cuts and takes."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import av
import pytest
from tests.cameras.street import paint, reel

from unlatch.cameras.boxes import walk
from unlatch.cameras.following import Following, News, Passage, TakeHead
from unlatch.cameras.recording import Packer, Take
from unlatch.errors import RecordingError


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str]:
    """The bytes of a take of thirty frames, three of them keyframes, and its name."""
    folder = tmp_path_factory.mktemp("film")
    with reel([paint(number) for number in range(30)], folder) as (video, frames):
        packer = Packer(video)
        pieces = [piece for coded in frames if (piece := packer.add(coded))]
        take = Take(folder, 1, packer.head, next_part=1)
        for piece in pieces:
            take.add(piece)
        take.close()
    return take.path.read_bytes(), take.path.name


def read_all(following: Following) -> News:
    """Until it is caught up, as one."""
    heads: list[TakeHead] = []
    passages: list[Passage] = []
    while True:
        news = following.read()
        heads += news.heads
        passages += news.passages
        if news.is_caught_up:
            return News(heads=tuple(heads), passages=tuple(passages), written_at=news.written_at)


def test_whatever_the_size_of_the_bites_the_same_fragments_are_found(
    film: tuple[bytes, str], tmp_path: Path
) -> None:
    content, name = film
    (tmp_path / name).write_bytes(content)
    whole = read_all(Following(tmp_path))
    (head,) = whole.heads
    assert (head.take, head.timescale) == (1, 1_200_000)
    assert head.codec == "avc1.42c00c"
    assert [passage.is_key for passage in whole.passages].count(True) == 3
    assert whole.passages[0].is_key
    assert whole.passages[-1].end_s == pytest.approx(3.0, abs=0.02)
    for before, after in zip(whole.passages, whole.passages[1:], strict=False):
        assert before.offset + before.size == after.offset
        assert before.end_s == pytest.approx(after.begin_s, abs=0.001)
    for bite in (1, 7, 4096):
        folder = tmp_path / f"bites-{bite}"
        folder.mkdir()
        following = Following(folder)
        found: list[Passage] = []
        loaded, at = b"", 0
        step = bite if bite > 7 else len(content) // 100
        with (folder / name).open("ab", buffering=0) as file:
            while at < len(content):
                file.write(content[at : at + step + bite])
                at += step + bite
                news = read_all(following)
                found += news.passages
                loaded += b"".join(following.load(news.passages))
        following.close()
        assert found == list(whole.passages)
        assert loaded == content[len(head.content) :]


def test_several_frames_in_one_fragment_are_one_passage(film: tuple[bytes, str], tmp_path: Path) -> None:
    """As a muxer of another kind writes them."""
    content, name = film
    source_path = tmp_path / "source.mp4"
    source_path.write_bytes(content)
    sink = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    with (
        av.open(str(source_path), "r", format="mp4") as source,
        av.open(sink, "w", format="mp4", options=options) as out,
    ):
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    folder = tmp_path / "takes"
    folder.mkdir()
    (folder / name).write_bytes(sink.getvalue())
    passages = read_all(Following(folder)).passages
    assert len(passages) == 3
    assert all(passage.is_key for passage in passages)
    assert [round(passage.end_s - passage.begin_s, 1) for passage in passages] == [1.0, 1.0, 1.0]


def test_a_new_take_is_begun_once_the_one_before_is_read(film: tuple[bytes, str], tmp_path: Path) -> None:
    content, name = film
    following = Following(tmp_path)
    assert following.read() == News()
    (tmp_path / name).write_bytes(content)
    (tmp_path / name.replace("take-0001", "take-0002")).write_bytes(content)
    first = following.read()
    assert {passage.take for passage in first.passages} == {1}
    assert not first.is_caught_up
    assert len(following.load(first.passages)) == len(first.passages)
    second = following.read()
    assert {passage.take for passage in second.passages} == {2}
    assert [head.take for head in second.heads] == [2]
    assert second.is_caught_up
    assert following.load(first.passages) == []  # of a file that is closed
    following.close()
    following.close()


def test_what_is_cut_off_or_gone_is_not_made_up(film: tuple[bytes, str], tmp_path: Path) -> None:
    content, name = film
    path = tmp_path / "takes" / name
    path.parent.mkdir()
    path.write_bytes(content)
    following = Following(path.parent)
    passages = following.read().passages
    with path.open("r+b") as file:
        file.truncate(passages[10].offset + 5)
    assert len(following.load(passages)) == 10
    assert following.read().passages == ()
    path.unlink()
    path.parent.rmdir()
    assert following.read().passages == ()


def test_a_fragment_that_lies_about_its_frames_is_refused(film: tuple[bytes, str], tmp_path: Path) -> None:
    content, name = film
    file = io.BytesIO(content)
    moof = next(box for box in walk(file, 0, len(content)) if box.kind == b"moof")
    at = content.index(b"trun", moof.offset) + 8
    spoilt = content[:at] + struct.pack(">I", 2**31) + content[at + 4 :]
    (tmp_path / name).write_bytes(spoilt)
    with pytest.raises(RecordingError) as refused:
        Following(tmp_path).read()
    assert refused.value.code == "damaged"
