"""What comes from a browser, from its first box to a take. (The browser itself: tests/web/test_camera_feed.py.)"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from tests.cameras.feeding import PER_FRAGMENT, feeding, fragments
from tests.cameras.street import FPS, wait_until
from tests.cameras.test_armed import SLOW_S

from unlatch.cameras.base import Camera, Coded
from unlatch.cameras.board import CameraState
from unlatch.cameras.catalogue import get_camera_maker
from unlatch.cameras.fed import DELAYS_KEPT_S, LIMITS, Boxes, Dating, FedSession, Source
from unlatch.cameras.feed_socket import FeedLine, FeedSource, feed_path
from unlatch.cameras.finishing import finish
from unlatch.cameras.glances import Verdict
from unlatch.cameras.proof import Proof
from unlatch.cameras.recorder import Recorder
from unlatch.clock import monotonic_s
from unlatch.domain.clip import find_touched
from unlatch.errors import CameraUnreachable
from unlatch.town.film import Format
from unlatch.town.hall import View


class Given(Source):
    """All there is, in pieces of a few bytes; then it is cut."""

    def __init__(self, content: bytes, step: int = 1000) -> None:
        self.content, self.at, self.step, self.is_closed = content, 0, step, False

    def read(self, size: int) -> bytes:
        if self.at >= len(self.content):
            raise CameraUnreachable("all was given", code="silent")
        piece = self.content[self.at : self.at + min(size, self.step)]
        self.at += len(piece)
        return piece

    def close(self) -> None:
        self.is_closed = True


def all_of(session: FedSession) -> tuple[list[Coded], str]:
    """Its frames, and the code that it ended with."""
    frames: list[Coded] = []
    with pytest.raises(CameraUnreachable) as ended, session:
        frames.extend(session.read())
    return frames, ended.value.code


def code_of(content: bytes) -> str:
    """Why nothing comes of it."""
    source = Given(content)
    with pytest.raises(CameraUnreachable) as caught:
        FedSession(source)
    assert source.is_closed
    return caught.value.code


# ---- boxes and dates --------------------------------------------------------------------------------------


def test_fragments_of_several_frames_come_frame_by_frame_however_they_are_cut() -> None:
    content = b"".join(fragments(3))
    for step in (1, 7, 1000, 1_000_000):
        source = Given(content, step)
        frames, code = all_of(FedSession(source))
        assert len(frames) == 3 * PER_FRAGMENT
        assert [frame.packet.is_keyframe for frame in frames[::PER_FRAGMENT]] == [True] * 3
        assert code == "silent", "the source's own word for its end"
        assert source.is_closed


def test_only_a_fragmented_mp4_passes() -> None:
    head, first, *_ = fragments(2)
    ftyp = head[: int.from_bytes(head[:4])]
    assert code_of(b"\x1a\x45\xdf\xa3" + b"webm" * 100) == "codec"
    assert code_of(first + head) == "codec", "the head comes first"
    assert code_of(ftyp + first) == "codec", "no frame before the head"
    assert code_of(ftyp + b"\0\0\0\x10uuid" + b"x" * 8) == "codec"
    assert code_of(ftyp + b"\0\0\0\x04moov") == "codec"
    assert code_of(ftyp + b"\0\0\0\0mdat" + b"x" * 50) == "codec", "a box without an end"
    assert code_of(b"") == "silent"
    _, code = all_of(FedSession(Given(head + first + head)))
    assert code == "codec", "another head is another session"


@pytest.mark.parametrize("kind", sorted(LIMITS))
def test_every_box_has_a_limit(kind: bytes) -> None:
    boxes = Boxes()
    if kind != b"ftyp":
        boxes.take(b"\0\0\0\x08ftyp")
    if kind in (b"moof", b"mdat"):
        boxes.take(b"\0\0\0\x08moov")
    with pytest.raises(CameraUnreachable) as caught:
        boxes.take((LIMITS[kind] + 1).to_bytes(4) + kind)
    assert caught.value.code == "too_large"
    long = Boxes()
    with pytest.raises(CameraUnreachable):
        long.take(b"\0\0\0\1ftyp" + (1 << 40).to_bytes(8))


def test_another_codec_and_too_large_a_picture_are_refused_with_their_reason() -> None:
    assert code_of(b"".join(fragments(2, codec="mpeg4"))) == "codec"
    large = Format(width=2048, height=1152, fps=10)
    assert code_of(b"".join(fragments(1, form=large))) == "too_large"


def test_frames_of_a_bunch_are_dated_by_the_time_between_them() -> None:
    dating = Dating()
    shown = [number * 0.1 for number in range(50)]
    here = [
        (number // 5 + 1) * 0.5 + 10 for number in range(50)
    ]  # five at once, when the last of them is done
    dates = [dating.date(one, now) for one, now in zip(shown, here, strict=True)]
    assert all(date <= now for date, now in zip(dates, here, strict=True)), "never later than it was here"
    assert dates[:5] == pytest.approx([10.5] * 5), "nothing is known yet"
    assert [b - a for a, b in pairwise(dates[5:])] == pytest.approx([0.1] * 44)
    assert dates[-1] == pytest.approx(here[-1])


def test_a_delay_that_has_grown_for_good_is_believed_in_the_end_and_time_never_runs_back() -> None:
    dating = Dating()
    before = [dating.date(number * 0.1, 10 + number * 0.1) for number in range(20)]
    count = int(DELAYS_KEPT_S / 0.1) + 20
    after = [dating.date((20 + number) * 0.1, 13.5 + number * 0.1) for number in range(count)]
    assert after[0] == pytest.approx(12.0), "as old as it is"
    assert after[-1] == pytest.approx(13.5 + (count - 1) * 0.1), "late, and here"
    both = [*before, *after]
    assert both == sorted(both)


# ---- the socket -------------------------------------------------------------------------------------------


@contextmanager
def knocking(path: Path, began_ns: int) -> Iterator[socket.socket]:
    """A feed that says hello, once somebody listens there: a socket is in its folder before it listens."""
    feed = socket.socket(socket.AF_UNIX)
    with feed:
        wait_until(lambda: feed.connect_ex(os.fsencode(path)) == 0)
        feed.sendall(began_ns.to_bytes(8))
        feed.settimeout(5)
        yield feed


def in_thread(what: threading.Thread) -> threading.Thread:
    what.start()
    return what


def test_a_feed_that_begins_later_takes_the_place_of_one_before(tmp_path: Path) -> None:
    path = feed_path(tmp_path, "cam_1")
    sources: list[FeedSource] = []
    opening = in_thread(threading.Thread(target=lambda: sources.append(FeedSource(path))))
    with knocking(path, 2_000) as first:
        opening.join(5)
        (source,) = sources
        first.sendall(b"picture")
        assert source.read(100) == b"picture"
        assert oct(path.stat().st_mode & 0o777) == "0o700"
        assert oct(path.parent.stat().st_mode & 0o777) == "0o700"
        with knocking(path, 1_000) as older:
            first.sendall(b"more")
            assert source.read(100) == b"more"
            assert older.recv(1) == b"=", "an older one is turned away"
        with knocking(path, 3_000) as newer:
            with pytest.raises(CameraUnreachable) as ended:
                source.read(100)
            assert ended.value.code == "cut"
            assert first.recv(1) == b"=", "told not to come back"
            assert newer.recv(1) == b"", "hung up on, and comes back"
        source.close()
        source.close()
    assert not path.exists()


def test_nobody_comes_or_says_no_hello_or_hangs_up(tmp_path: Path) -> None:
    path = feed_path(tmp_path, "cam_1")
    with pytest.raises(CameraUnreachable) as nobody:
        FeedSource(path, within_s=0.2)
    assert nobody.value.code == "unreachable"
    assert not path.exists()
    sources: list[FeedSource] = []
    opening = in_thread(threading.Thread(target=lambda: sources.append(FeedSource(path))))
    rude = socket.socket(socket.AF_UNIX)
    wait_until(lambda: rude.connect_ex(os.fsencode(path)) == 0)
    rude.sendall(b"short")
    rude.close()
    with knocking(path, 1):
        opening.join(5)
    with sources[0]._selector, pytest.raises(CameraUnreachable) as cut:
        sources[0].read(10)
    assert cut.value.code == "cut"
    sources[0].close()


def test_a_silent_feed_is_told_as_such_and_one_without_a_head_as_nobody(tmp_path: Path) -> None:
    path = feed_path(tmp_path, "cam_1")
    for is_opened, code in ((True, "silent"), (False, "unreachable")):
        sources: list[FeedSource] = []
        opening = in_thread(threading.Thread(target=lambda: sources.append(FeedSource(path, within_s=1.5))))  # noqa: B023
        with knocking(path, 1):
            opening.join(5)
            if is_opened:
                sources[0].opened()
            begun_s = time.monotonic()
            with pytest.raises(CameraUnreachable) as silent:
                sources[0].read(10)
            assert silent.value.code == code
            assert time.monotonic() - begun_s < 3
            sources[0].close()


async def test_the_servers_end_sees_who_listens_and_how_it_ends(tmp_path: Path) -> None:
    deep = tmp_path / ("a-long-name-of-a-folder-" * 4) / ("of-data-" * 8)  # longer than the kernel takes
    path = feed_path(deep, "cam_1")
    assert len(os.fsencode(path)) > 107
    assert await FeedLine.find(path, 1) is None
    opening = asyncio.create_task(asyncio.to_thread(FeedSource, path))
    while (line := await FeedLine.find(path, 5)) is None:
        await asyncio.sleep(0.01)
    source = await opening
    assert await line.write(b"picture")
    assert await asyncio.to_thread(source.read, 100) == b"picture"
    another = await FeedLine.find(path, 6)
    assert another is not None
    with pytest.raises(CameraUnreachable):
        await asyncio.to_thread(source.read, 100)
    assert await line.ended() is True
    assert await another.ended() is False
    assert not await line.write(b"more")
    for one in (line, another):
        await one.close()
    source.close()


# ---- a recorder that records it ---------------------------------------------------------------------------


def test_a_take_a_verdict_and_a_proof_of_what_was_fed(recorder: Recorder, tmp_path: Path) -> None:
    path = feed_path(tmp_path, "cam_1")
    pieces = fragments(40, view=View(is_moving=True, has_clock=False))
    with feeding(path, pieces):
        recorder.arm("cam_1", Camera(maker="browser", address=str(path)))
        recorder.start("cam_1", tmp_path / "takes")
        wait_until(lambda: recorder.status("cam_1").judgement.verdict is Verdict.LIVE, SLOW_S)
        proof = recorder.prove("cam_1")
        assert isinstance(proof, Proof), proof
        assert recorder.status("cam_1").lease.is_live(monotonic_s())
        (take,) = recorder.stop("cam_1")
    assert take.is_whole
    assert sum(part.frames for part in take.parts) >= 2 * FPS
    (clip,) = finish([take], tmp_path)
    assert (
        find_touched(clip.places, lambda offset, size: clip.path.read_bytes()[offset : offset + size]) == ()
    )


def test_a_feed_that_ends_is_a_gap_and_the_next_one_a_take_of_its_own(
    recorder: Recorder, tmp_path: Path
) -> None:
    path = feed_path(tmp_path, "cam_1")
    with feeding(path, fragments(4)):  # two seconds, then it hangs up and begins anew
        recorder.arm("cam_1", Camera(maker="browser", address=str(path)))
        recorder.start("cam_1", tmp_path / "takes")
        wait_until(lambda: recorder.status("cam_1").take >= 2, SLOW_S)
        status = recorder.status("cam_1")
        takes = recorder.stop("cam_1")
    assert len(takes) >= 2
    assert status.gaps[0].after_take in (0, 1)
    assert any(gap.code == "cut" for gap in status.gaps)
    wait_until(lambda: recorder.status("cam_1").state is CameraState.LOST, SLOW_S)


def test_a_camera_that_has_no_feed_yet_says_so() -> None:
    maker = get_camera_maker("browser")
    assert maker.form_fields == ()
    with pytest.raises(CameraUnreachable) as caught:
        maker.open(Camera(maker="browser", address=""))
    assert caught.value.code == "not_found"
