"""Enrolment of a camera: its clock learnt from a careless mark, its door seen, our light seen, over real RTSP."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import av
import pytest
from PIL import Image
from tests.cameras.street import FACE, FORM, FPS, HEIGHT, Street, moment, paint, wait_until
from tests.cameras.test_recorder import recorder_process

from unlatch.cameras.board import CameraState
from unlatch.cameras.clock_marking import MOST_LOOKS, ClockLooks, Mark
from unlatch.cameras.door_seen import Span
from unlatch.cameras.glances import Glance, Method, Verdict, glance_of
from unlatch.cameras.light import draw_pattern
from unlatch.cameras.proof import Proof, Refusal, judge_by_light
from unlatch.cameras.recorder import Recorder
from unlatch.cameras.recorder_client import RecorderClient
from unlatch.cameras.shown_clock import CHARACTERS, NoClock
from unlatch.clock import monotonic_s
from unlatch.errors import CameraUnreachable, NotFound
from unlatch.town.camera import CameraFaultKind, Lamp
from unlatch.town.film import Coder
from unlatch.town.hall import View

EXACT = Mark(left=FACE.left, top=FACE.top, width=FACE.cell_width * CHARACTERS, height=FACE.cell_height)
STILL = View()
CAREFUL_S = 30.0


def looks_of(mark: Mark, view: View = STILL, *, seconds: float = 22.0, behind_s: float = 0.0) -> ClockLooks:
    """What is kept of a film, coded and decoded."""
    looks = ClockLooks(mark)
    coder, decoder = Coder(FORM), av.CodecContext.create("h264", "r")
    for number in range(round(seconds * FPS)):
        unit = coder.encode(paint(number, view, behind_s=behind_s), number / FPS)
        coded = b"".join(b"\0\0\0\1" + nal for nal in unit.nals)
        for frame in decoder.decode(av.Packet(coded)):
            glance = replace(glance_of(frame, 0, number / FPS), wall_at=moment(number))
            looks.see(frame, glance)
    return looks


@pytest.mark.parametrize(
    ("left", "top", "wider", "taller"),
    [(0, 0, 0, 0), (2.4, 0, 0, 0), (-3, 1, 0, 0), (0, -2, 5, 2), (2, 2, -4, 0), (-1, 0, 8, 3)],
)
def test_a_careless_mark_is_good_enough(left: float, top: float, wider: float, taller: float) -> None:
    mark = Mark(
        left=EXACT.left + left, top=EXACT.top + top, width=EXACT.width + wider, height=EXACT.height + taller
    )
    reader = looks_of(mark).learn()
    for number in (3, 700, 4_321, 86_000):
        at = moment(number)
        assert reader.read(paint(number)[:HEIGHT]) == at.hour * 3600 + at.minute * 60 + at.second
    assert reader.zone_s == 0


@pytest.mark.parametrize(
    ("mark", "view", "seconds", "behind_s", "code"),
    [
        (EXACT, View(has_clock=False), 22, 0.0, "no_writing"),
        (replace(EXACT, left=200, top=100), STILL, 22, 0.0, "not_ticking"),
        (EXACT, STILL, 7, 0.0, "not_ticking"),
        (EXACT, STILL, 0, 0.0, "too_short"),
        (EXACT, STILL, 22, 45.0, "clock_wrong"),
        (replace(EXACT, width=5), STILL, 0, 0.0, "mark_out_of_size"),
        (replace(EXACT, width=1020, height=120), STILL, 0, 0.0, "mark_out_of_size"),
    ],
    ids=["no clock", "elsewhere", "too short", "nothing seen", "45 s late", "too small", "too large"],
)
def test_what_is_no_good_clock_says_why(
    mark: Mark, view: View, seconds: float, behind_s: float, code: str
) -> None:
    with pytest.raises(NoClock) as told:
        looks_of(mark, view, seconds=seconds, behind_s=behind_s).learn()
    assert told.value.code == code


def test_what_is_kept_of_a_clock_is_bounded() -> None:
    looks = looks_of(EXACT, seconds=1.0)
    kept = len(looks._cuts)
    assert kept == FPS
    frame = av.VideoFrame.from_ndarray(paint(0), format="yuv420p")
    levels = glance_of(frame, 0, 0.0).levels
    for number in range(5_000):
        looks.see(frame, Glance(at_s=2 + number / 25, levels=levels, digest=0))
    assert len(looks._cuts) == MOST_LOOKS


# ---- over real RTSP -------------------------------------------------------------------------------------------


def armed(recorder: Recorder, name: str) -> bool:
    return recorder.status(name).state is CameraState.ARMED


def test_a_picture_for_its_household(street: Street, recorder: Recorder) -> None:
    name = street.add(width=1280, height=720)
    recorder.arm(name, street.link(name))
    wait_until(lambda: armed(recorder, name), CAREFUL_S)
    taken = recorder.snapshot(name)
    assert (taken.width, taken.height, taken.full_width, taken.full_height) == (960, 540, 1280, 720)
    image = Image.open(io.BytesIO(taken.jpeg))
    assert (image.format, image.size) == ("JPEG", (960, 540))
    assert not image.getexif()
    assert len(taken.jpeg) <= 200 * 1024
    street.strike(name, CameraFaultKind.OFF)
    wait_until(lambda: not armed(recorder, name), CAREFUL_S)
    with pytest.raises(CameraUnreachable):
        recorder.snapshot(name)
    with pytest.raises(NotFound):
        recorder.snapshot("nobody")


async def test_a_clock_is_learnt_in_the_process_that_records(street: Street, tmp_path: Path) -> None:
    """From the mark to a proof by the clock: what was learnt is what the recorder goes by at once."""
    name, bare = street.add(), street.add(has_clock=False)
    with recorder_process(tmp_path) as (_, socket):
        async with RecorderClient(socket) as client:
            for one in (name, bare):
                await client.arm(one, street.link(one))
                await until(lambda one=one: is_armed(client, one))  # type: ignore[misc]
            state, _ = await client.state(name)
            assert state.verdict is Verdict.TOO_STILL_TO_TELL
            mark = replace(EXACT, left=EXACT.left + 2)
            learnt, failed = await asyncio.gather(client.learn(name, mark), client.learn(bare, mark))
            assert learnt.code is None
            assert learnt.reader is not None
            assert learnt.reader.face == FACE
            assert (failed.reader, failed.code) == (None, "no_writing")
            await client.start(name, tmp_path / "takes")
            async with asyncio.timeout(CAREFUL_S):
                while not isinstance(proof := await client.prove(name), Proof):
                    await asyncio.sleep(0.1)
            assert proof.judgement.method is Method.CLOCK
            state, _ = await client.state(bare)
            assert state.verdict is Verdict.TOO_STILL_TO_TELL


async def test_a_camera_that_is_lost_while_it_is_learnt(street: Street, tmp_path: Path) -> None:
    name = street.add()
    with recorder_process(tmp_path) as (_, socket):
        async with RecorderClient(socket) as client:
            await client.arm(name, street.link(name))
            await until(lambda: is_armed(client, name))
            learning = asyncio.create_task(client.learn(name, EXACT))
            await asyncio.sleep(0)
            street.strike(name, CameraFaultKind.OFF)
            assert (await learning).code == "no_picture"


async def until(is_so: Callable[[], Awaitable[bool]], within_s: float = CAREFUL_S) -> None:
    async with asyncio.timeout(within_s):
        while not await is_so():
            await asyncio.sleep(0.05)


async def is_armed(client: RecorderClient, name: str) -> bool:
    with suppress(NotFound):
        state, _ = await client.state(name)
        return state.state is CameraState.ARMED
    return False


@pytest.mark.parametrize("sees_door", [True, False])
async def test_a_door_is_opened_before_the_camera(street: Street, tmp_path: Path, *, sees_door: bool) -> None:
    name = street.add(is_moving=True, has_clock=False)
    camera = street.town_camera(name)
    with recorder_process(tmp_path) as (_, socket):
        async with RecorderClient(socket) as client:
            with pytest.raises(NotFound):
                await client.watch_door(name)
            await client.arm(name, street.link(name))
            await until(lambda: is_armed(client, name))
            await client.watch_door(name)
            spans = []
            await asyncio.sleep(4.5)  # what is quiet before is part of what is measured
            for is_open in (True, False):
                from_s = monotonic_s()
                if sees_door:
                    street.do(
                        lambda _, is_open=is_open: camera.show_hall(is_open=is_open, is_lamp_on=False)  # type: ignore[misc]
                    )
                await asyncio.sleep(0.7)
                spans.append(Span(from_s=from_s, until_s=monotonic_s()))
                await asyncio.sleep(4.5)
            seen = await client.judge_door(name, *spans)
            assert seen.is_seen is sees_door, seen
            with pytest.raises(NotFound):  # judged once
                await client.judge_door(name, *spans)


async def test_a_still_hall_is_proven_by_our_light_alone(street: Street, tmp_path: Path) -> None:
    name = street.add(has_clock=False, light=-30.0)
    camera = street.town_camera(name)
    with recorder_process(tmp_path) as (_, socket):
        async with RecorderClient(socket) as client:
            await client.arm(name, street.link(name))
            await until(lambda: is_armed(client, name))
            await client.start(name, tmp_path / "takes")
            await until(lambda: is_leased(client, name))
            pattern = draw_pattern(monotonic_s())
            await client.expect_light(name, pattern.ended_s - pattern.begun_s)
            street.do(
                lambda _: camera.play(Lamp(chips=pattern.chips, chip_s=pattern.chip_s, begun_s=monotonic_s()))
            )
            while monotonic_s() < pattern.ended_s:
                state, lease = await client.state(name)
                assert state.verdict is Verdict.TOO_STILL_TO_TELL, "our own light is no alarm"
                assert lease.is_live(monotonic_s())
                await asyncio.sleep(0.1)
            seen = await client.look_for(name, pattern)
            assert seen.is_ours, seen
            proof = await client.prove(name, pattern)
            assert isinstance(proof, Proof), proof
            assert proof.judgement.method is Method.LIGHT
            other = replace(pattern, chips=tuple(not chip for chip in pattern.chips))
            refused = await client.prove(name, other)
            assert isinstance(refused, Refusal)
            assert refused.code == Verdict.TOO_STILL_TO_TELL
            old = replace(pattern, begun_s=pattern.begun_s - 30)
            assert isinstance(await client.prove(name, old), Refusal)
            assert isinstance(await client.prove(name), Refusal)


async def is_leased(client: RecorderClient, name: str) -> bool:
    state, lease = await client.state(name)
    return state.verdict is Verdict.TOO_STILL_TO_TELL and lease.is_live(monotonic_s())


def test_light_does_not_outweigh_what_is_known_to_be_false() -> None:
    from tests.cameras.test_glances import NO_CLOCK, glances_of, lit

    from unlatch.cameras.glances import AGAINST, Judgement

    pattern = draw_pattern(1.0)
    glances = glances_of(lit(pattern, NO_CLOCK, seconds=7.0))
    now_s = pattern.ended_s + 1.0
    still = Judgement(verdict=Verdict.TOO_STILL_TO_TELL)
    assert judge_by_light(still, pattern, glances, now_s).method is Method.LIGHT
    assert judge_by_light(still, pattern, glances, pattern.ended_s - 0.1) == still
    assert judge_by_light(still, pattern, glances, pattern.ended_s + 5.1) == still
    assert judge_by_light(still, replace(pattern, begun_s=1.9), glances, now_s) == still
    for verdict in AGAINST:
        against = Judgement(verdict=verdict)
        assert judge_by_light(against, pattern, glances, now_s) == against
