"""A proof reads back what is being written: what was touched, cut or is of another take is never taken for it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tests.cameras.street import paint, reel, wait_until

from unlatch.cameras.board import Board
from unlatch.cameras.glances import Judgement, Method, Verdict, glance_of
from unlatch.cameras.proof import Material, Proof, ReadBack, Refusal, Run, make_proof
from unlatch.cameras.recording import Packer, Take
from unlatch.clock import monotonic_s
from unlatch.domain.clip import Part

FRAMES = 20
LIVE = Judgement(verdict=Verdict.LIVE, method=Method.CLOCK)


class Written:
    """A take of two runs of ten frames each."""

    def __init__(self, folder: Path) -> None:
        with reel([paint(one) for one in range(FRAMES)], folder) as (video, frames):
            packer = Packer(video)
            pieces = [piece for coded in frames if (piece := packer.add(coded))]
        self.take = Take(folder, 1, packer.head, next_part=7)
        self.parts = [part for piece in pieces for part in self.take.add(piece)]
        self.take.close()
        self.path = self.take.path

    def run(self, number: int = 0) -> Run:
        """The first or the second."""
        part = self.parts[5 * number]
        return Run(
            path=self.path, take=1, begin=part.offset or self.take.head_size, part=part.number,
            head=self.parts[0], head_size=self.take.head_size,
        )  # fmt: skip

    def read(self, number: int = 0) -> ReadBack:
        run = self.run(number)
        read = ReadBack(run, iter([part for part in self.parts if part.number >= run.part]))
        read.decode()
        return read

    def touch(self, at: int) -> None:
        content = bytearray(self.path.read_bytes())
        content[at] ^= 1
        self.path.write_bytes(content)


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path)


def prove(read: ReadBack, written: Written, **other: object) -> Proof | Refusal:
    material = Material(take=1, part=written.parts[-1].number, glances=(), clock_apart_s=None)
    return make_proof(read, replace(material, **other), LIVE, datetime.now(UTC), monotonic_s())  # type: ignore[arg-type]


@pytest.mark.parametrize(("number", "frames"), [(0, 20), (1, 10)])
def test_a_run_is_read_hashed_and_decoded(written: Written, number: int, frames: int) -> None:
    read, run = written.read(number), written.run(number)
    assert (read.failure, read.count, len(read.frames)) == ("", frames, 3)
    content = written.path.read_bytes()
    proof = prove(read, written)
    assert isinstance(proof, Proof)
    assert proof.sha256 == hashlib.sha256(content[: run.head_size] + content[run.begin :]).digest()
    assert (proof.frames, proof.part) == (frames, written.parts[-1].number)
    glances = tuple(glance_of(frame, 0, 0.0) for frame in read.frames)
    assert isinstance(prove(read, written, glances=glances), Proof)
    other = replace(glances[1], levels=glances[1].levels ^ np.uint8(8))
    refused = prove(read, written, glances=(glances[0], other, glances[2]))
    assert isinstance(refused, Refusal)
    assert refused.code == "other_on_disk"


def test_one_flipped_bit_is_no_proof(written: Written) -> None:
    for at in (5, written.parts[6].offset + 200, written.parts[9].offset + written.parts[9].size - 1):
        written.touch(at)
        refused = prove(written.read(1), written)
        assert isinstance(refused, Refusal), at
        assert refused.code == "not_on_disk"
        written.touch(at)
    assert isinstance(prove(written.read(1), written), Proof)
    written.path.unlink()
    assert written.read(1).failure == "not_on_disk"


def test_what_ends_before_what_was_asked_for_is_no_proof(written: Written) -> None:
    run = written.run(1)
    read = ReadBack(run, iter(written.parts[5:8]))
    read.decode()
    assert read.failure == ""
    refused = prove(read, written)
    assert isinstance(refused, Refusal)
    assert refused.code == "other_on_disk"
    nothing = ReadBack(run, iter(()))
    nothing.decode()
    assert (nothing.failure, nothing.count) == ("", 0)


def test_pictures_that_can_t_be_decoded_are_no_proof(written: Written) -> None:
    """The hash is right, and what was hashed is no film."""
    content = written.path.read_bytes().replace(b"moov", b"free", 1)
    written.path.write_bytes(content)
    first = written.parts[0]
    forged = replace(first, sha256=hashlib.sha256(content[: first.size]).digest())
    read = ReadBack(replace(written.run(), head=forged), iter([forged, *written.parts[1:]]))
    read.decode()
    assert read.failure == "other_on_disk"


class Waiting:
    """A board on which parts appear, and a thread that waits for them."""

    def __init__(self, run: Run, first_part: int, wait_s: float = 20.0) -> None:
        self.board = Board("one", None, lambda _: None)
        self.board.first_part = first_part
        with self.board.changed:
            self.board.run = run
        self.got: list[Part] = []
        self.parts: Iterator[Part] = self.board.wait_for_parts(run, monotonic_s() + wait_s)
        self.thread = threading.Thread(target=lambda: self.got.extend(self.parts), daemon=True)
        self.thread.start()

    def tell(self, *parts: Part, **wanted: object) -> None:
        with self.board.changed:
            for name, value in wanted.items():
                setattr(self.board, name, value)
            for part in parts:
                self.board.told([part])

    def ended(self) -> list[int]:
        self.thread.join(10)
        assert not self.thread.is_alive()
        return [part.number for part in self.got]


def test_parts_are_waited_for_up_to_what_was_asked_for(written: Written) -> None:
    waiting = Waiting(written.run(1), 7)
    waiting.tell(*written.parts[:7])
    wait_until(lambda: len(waiting.got) == 2)
    material = Material(take=1, part=14, glances=(), clock_apart_s=None)
    waiting.tell(written.parts[7], material=material)
    waiting.tell(*written.parts[8:])
    assert waiting.ended() == [12, 13, 14]


def test_a_take_that_ends_is_read_to_its_end_and_no_further(written: Written) -> None:
    waiting = Waiting(written.run(), 7)
    waiting.tell(*written.parts[:3], run=None)
    assert waiting.ended() == [7, 8, 9]
    waiting = Waiting(written.run(), 7)
    waiting.tell(*written.parts[:2], replace(written.parts[2], take=2))
    assert waiting.ended() == [7, 8]
    assert Waiting(written.run(), 7, wait_s=0.05).ended() == []
