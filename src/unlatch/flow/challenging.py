"""The challenge by light, and whether what a camera was proven by counts for it.

A lamp of the home plays a pattern that was drawn by lot, and the pictures have to show it. Every recorder that holds a
camera there is told beforehand: what a lamp of ours moves is neither life nor a loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from unlatch.cameras.glances import Method, Verdict
from unlatch.cameras.light import CHIP_S, MAX_DELAY_S, Pattern, draw_pattern
from unlatch.cameras.proof import Proof, Refusal
from unlatch.cameras.recorder_client import RecorderClient
from unlatch.clock import monotonic_s
from unlatch.devices.base import Car, Maker
from unlatch.domain.daylight import is_day
from unlatch.errors import DeviceError, NotFound, RecordingError
from unlatch.flow.platform import Platform
from unlatch.flow.refreshing import ask
from unlatch.store import cameras, consignees, readings
from unlatch.store.cameras import CameraRow, Held
from unlatch.store.readings import Place

log = structlog.get_logger(__name__)

LAMP = "lamp"  # of a hub's form: the lamp that the cameras see
AROUND_S = 6.0  # that playing takes beside the chips: the hub is reached, the lamp is slow and is set back
TAKES_S = 9.0  # real: to play a pattern, see it, and prove by it
PATIENCE_S = 2.0  # real: by then a clock has been read for long enough
NOT_ENROLLED_SO = "method_not_enrolled"
CAN_T_TELL = frozenset({Verdict.TOO_STILL_TO_TELL, Verdict.TOO_DARK_TO_TELL, NOT_ENROLLED_SO})


def has_lamp(platform: Platform, place: Place) -> bool:
    """Whether the home has told of a lamp. Raises SealBroken."""
    _, hub = platform.car_at(place)
    return bool(hub.secrets.get(LAMP))


async def play_pattern(platform: Platform, access_point_id: str) -> Pattern:
    """Play a pattern at a home, and wait until its slowest lamp and camera have shown it.

    Raises DeviceError where it was not, or not wholly, played; NotFound where the place has no hub.
    """
    async with platform.database.connection() as connection:
        place = await readings.find_place(connection, access_point_id)
        held = await cameras.list_held(connection, access_point_id, datetime.now(UTC))
    if place is None:
        raise NotFound("this place has no hub")
    pattern = draw_pattern(0.0)
    await _warn(held, len(pattern.chips) * CHIP_S + AROUND_S)

    async def play(maker: Maker, hub: Car) -> float:
        return await maker.play(hub, pattern.chips, CHIP_S)

    pattern = replace(pattern, begun_s=await ask(platform, place, play))
    await asyncio.sleep(max(0.0, pattern.ended_s - monotonic_s()))
    return pattern


async def find_light(platform: Platform, access_point_id: str) -> Pattern | None:
    """The same; None where no lamp was played."""
    try:
        return await play_pattern(platform, access_point_id)
    except (DeviceError, NotFound) as error:
        code = error.code if isinstance(error, DeviceError) else "no_hub"
        log.warning("a lamp was not played", place=access_point_id, why=code)
        return None


async def _warn(held: Sequence[Held], for_s: float) -> None:
    """Tell the recorders of a place that a lamp will play. One that does not answer has nothing to excuse."""

    async def warn(one: Held) -> None:
        if one.socket is None:
            return
        with suppress(RecordingError, NotFound):
            async with RecorderClient(Path(one.socket)) as recorder:
                await recorder.expect_light(one.camera.id, for_s)

    await asyncio.gather(*(warn(one) for one in held))


assert MAX_DELAY_S < AROUND_S  # the slowest lamp is excused to its end


# ---- what counts --------------------------------------------------------------------------------------------


async def list_counting(platform: Platform, access_point_id: str) -> frozenset[Method]:
    """The methods that may count at a place now: motion by day alone."""
    async with platform.database.connection() as connection:
        point = await consignees.find_access_point(connection, access_point_id)
    if point is not None and is_day(point.latitude, point.longitude, platform.clock.now()):
        return frozenset(Method)
    return frozenset(Method) - {Method.MOTION}


def check(answer: Proof | Refusal, camera: CameraRow, counting: Collection[Method]) -> Proof | Refusal:
    """The answer, if it rests on what enrolment has shown of this camera; else a refusal.

    A camera that shows a clock is not proven by motion: who covers the clock would have found the way around it.
    """
    if isinstance(answer, Refusal):
        return answer
    method = answer.judgement.method
    if method is not None and method in counting and method.value in camera.methods:
        return answer
    return Refusal(code=NOT_ENROLLED_SO, judgement=answer.judgement)


def may_be_lit(held: Held, codes: Mapping[str, str], waited_s: float) -> bool:
    """Whether a light of ours could prove what this camera could not: nothing is known against its picture.

    One that has another way, too, is given a moment for it: a lamp is not played for want of patience.
    """
    is_due = held.camera.methods == [Method.LIGHT.value] or waited_s >= PATIENCE_S
    return is_due and Method.LIGHT.value in held.camera.methods and codes.get(held.camera.id) in CAN_T_TELL


async def prove_again(platform: Platform, recorder: RecorderClient, camera: CameraRow) -> Proof | Refusal:
    """A proof of this moment, by light where it can't be had otherwise. Raises RecordingError, NotFound."""
    counting = await list_counting(platform, camera.access_point_id)
    answer = check(await recorder.prove(camera.id), camera, counting)
    if not isinstance(answer, Refusal) or answer.code not in CAN_T_TELL:
        return answer
    if Method.LIGHT.value not in camera.methods:
        return answer
    light = await find_light(platform, camera.access_point_id)
    return answer if light is None else check(await recorder.prove(camera.id, light), camera, counting)
