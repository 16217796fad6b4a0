"""Enrolment of a camera, as its household asks for it: begin, mark the clock, play the lamp, open the door.

Each wish puts one step under way and hands it to a worker, beside the recorder that holds the camera
(`enrolling_steps.py`). What was shown is kept step by step, so that whoever comes back within ten minutes goes on where
they were. As soon as it is enough, the camera is a witness, and its next check is due in a month.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg import AsyncConnection

from unlatch.cameras.clock_marking import Mark
from unlatch.domain.camera_enrolment import (
    CHECK_AFTER_DAYS,
    LASTS_S,
    MOST_A_DAY,
    MOST_TURNS,
    TELL_AHEAD_DAYS,
    EnrolmentEnd,
    EnrolmentStep,
    StepState,
    is_enough,
    list_methods,
)
from unlatch.domain.deed import Deed
from unlatch.domain.household import Right
from unlatch.domain.notice import NoticeEvent
from unlatch.domain.proof import text_of_time
from unlatch.errors import BadInput, Conflict, NotFound
from unlatch.flow import household
from unlatch.flow.challenging import has_lamp
from unlatch.flow.notifying import tell
from unlatch.flow.platform import Platform
from unlatch.store import cameras, consignees, deeds, enrolments, jobs, looks, readings
from unlatch.store.cameras import CameraRow
from unlatch.store.enrolments import CheckRow, EnrolmentRow, StepRow
from unlatch.store.ids import make_id
from unlatch.store.looks import LookRow

CHECKS_AT_ONCE = 100
KEPT_FOR = timedelta(days=30)
PICTURE = "camera_picture"  # what was looked at, in the rows of looks
Steps = Mapping[EnrolmentStep, StepRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """An enrolment with its steps."""

    camera: CameraRow
    enrolment: EnrolmentRow
    steps: Steps

    @property
    def states(self) -> dict[EnrolmentStep, StepState]:
        """How each step stands."""
        return states_of(self.steps)


def states_of(steps: Steps) -> dict[EnrolmentStep, StepState]:
    """How each step stands."""
    return {step: StepState(row.state) for step, row in steps.items()}


# ---- what the household asks --------------------------------------------------------------------------------


async def begin(
    platform: Platform, connection: AsyncConnection, camera_id: str, *, consignee_id: str, now: datetime
) -> Progress:
    """Begin, or go on with what is under way. Raises NotFound, NotAllowed, Conflict.

    Not while a visit lives: the courier may be the one who opens the door, and it is being recorded.
    """
    camera = await _get_camera(connection, camera_id, consignee_id, Right.SET_CAMERAS, is_locked=True)
    real_now = datetime.now(UTC)
    if await consignees.find_live_visit_id(connection, camera.access_point_id) is not None:
        raise Conflict("a visit is under way: a camera can be enrolled when it has ended")
    found = await enrolments.find_latest(connection, camera_id, is_locked=True)
    if found is not None and found.is_under_way(real_now):
        steps = await enrolments.list_steps(connection, found.id)
        if steps[EnrolmentStep.PICTURE].state == StepState.FAILED:
            await _put_under_way(connection, found, steps, EnrolmentStep.PICTURE, now)
        return await _progress(connection, camera, found)
    if found is not None:
        await enrolments.end_enrolment(connection, found.id, EnrolmentEnd.EXPIRED, now)
    begun = await enrolments.count_begun(connection, camera.access_point_id, now - timedelta(days=1))
    if begun >= MOST_A_DAY:
        raise Conflict("cameras were enrolled here too often today: try again tomorrow")
    row = EnrolmentRow(
        id=make_id("enr"),
        camera_id=camera.id,
        access_point_id=camera.access_point_id,
        begun_by=consignee_id,
        begun_at=now,
        until_real=real_now + timedelta(seconds=LASTS_S),
    )
    await enrolments.insert_enrolment(connection, row, await _first_states(platform, connection, camera))
    await cameras.want_camera(connection, camera.id, row.until_real)
    steps = await enrolments.list_steps(connection, row.id)
    await _put_under_way(connection, row, steps, EnrolmentStep.PICTURE, now)
    return await _progress(connection, camera, row)


async def _first_states(
    platform: Platform, connection: AsyncConnection, camera: CameraRow
) -> dict[EnrolmentStep, StepState]:
    place = await readings.find_place(connection, camera.access_point_id)
    states = dict.fromkeys(EnrolmentStep, StepState.WAITING)
    if place is None or not has_lamp(platform, place):
        states[EnrolmentStep.LIGHT] = StepState.NOT_THERE
    return states


async def mark_clock(
    connection: AsyncConnection, camera_id: str, mark: Mark | None, *, consignee_id: str, now: datetime
) -> Progress:
    """Learn the clock in this rectangle of the picture that was shown; None: it shows none. Raises as `begin`."""
    camera, enrolment, steps = await _get_under_way(connection, camera_id, consignee_id)
    if mark is None:
        if steps[EnrolmentStep.CLOCK].state == StepState.PASSED:
            raise Conflict("the camera's clock was learnt already")
        await enrolments.end_step(connection, enrolment.id, EnrolmentStep.CLOCK, StepState.NOT_THERE, now)
        await settle(connection, enrolment, now)
        return await _progress(connection, camera, enrolment)
    own = _scale(enrolment, mark)
    content = {"left": own.left, "top": own.top, "width": own.width, "height": own.height}
    await _put_under_way(connection, enrolment, steps, EnrolmentStep.CLOCK, now, content)
    return await _progress(connection, camera, enrolment)


def _scale(enrolment: EnrolmentRow, mark: Mark) -> Mark:
    """The rectangle in the camera's own pixels. Raises BadInput where it leaves the picture that was shown."""
    assert enrolment.shown_width is not None  # its picture was seen
    assert enrolment.full_width is not None
    assert enrolment.shown_height is not None
    if mark.left + mark.width > enrolment.shown_width or mark.top + mark.height > enrolment.shown_height:
        raise BadInput("width", "mark a part of the picture that was shown")
    scale = enrolment.full_width / enrolment.shown_width
    return Mark(
        left=mark.left * scale, top=mark.top * scale, width=mark.width * scale, height=mark.height * scale
    )


async def play_light(
    connection: AsyncConnection, camera_id: str, *, consignee_id: str, now: datetime
) -> Progress:
    """Play the lamp, and look for it. Raises as `begin`, and Conflict where the home has told of no lamp."""
    camera, enrolment, steps = await _get_under_way(connection, camera_id, consignee_id)
    if steps[EnrolmentStep.LIGHT].state == StepState.NOT_THERE:
        raise Conflict("this home has told of no lamp that its hub can play")
    await _put_under_way(connection, enrolment, steps, EnrolmentStep.LIGHT, now)
    return await _progress(connection, camera, enrolment)


async def watch_door(
    connection: AsyncConnection, camera_id: str, *, consignee_id: str, now: datetime
) -> Progress:
    """The household is ready to open the door once. Raises as `begin`."""
    camera, enrolment, steps = await _get_under_way(connection, camera_id, consignee_id)
    await _put_under_way(connection, enrolment, steps, EnrolmentStep.DOOR, now)
    return await _progress(connection, camera, enrolment)


async def show(connection: AsyncConnection, camera_id: str, *, consignee_id: str) -> Progress:
    """The latest enrolment of a camera. Raises NotFound."""
    camera = await _get_camera(connection, camera_id, consignee_id, Right.SEE)
    found = await enrolments.find_latest(connection, camera_id)
    if found is None:
        raise NotFound("this camera was never enrolled")
    return await _progress(connection, camera, found)


async def look_at_picture(
    platform: Platform, connection: AsyncConnection, camera_id: str, *, consignee_id: str, now: datetime
) -> bytes:
    """The picture of the enrolment that is under way, as JPEG; the look is a row (A3). Raises NotFound, SealBroken."""
    await _get_camera(connection, camera_id, consignee_id, Right.SET_CAMERAS)
    found = await enrolments.find_latest(connection, camera_id)
    if found is None or found.picture is None or not found.is_under_way(datetime.now(UTC)):
        raise NotFound("there is no picture to be seen")
    await looks.insert_look(
        connection,
        LookRow(
            id=make_id("loo"),
            access_point_id=found.access_point_id,
            stop_id=None,
            who=f"consignee:{consignee_id}",
            what=PICTURE,
            at=now,
        ),
    )
    return platform.vault.open(found.picture, found.id)


async def _get_camera(
    connection: AsyncConnection,
    camera_id: str,
    consignee_id: str,
    right: Right,
    *,
    is_locked: bool = False,
) -> CameraRow:
    """A camera of this person's household; nobody else learns that there is one."""
    camera = await cameras.find_camera(connection, camera_id)
    if camera is None:
        raise NotFound("there is no such camera")
    try:
        await household.require(connection, camera.access_point_id, consignee_id, right, is_locked=is_locked)
    except NotFound:
        raise NotFound("there is no such camera") from None
    return camera


async def _get_under_way(
    connection: AsyncConnection, camera_id: str, consignee_id: str
) -> tuple[CameraRow, EnrolmentRow, Steps]:
    """The enrolment whose next step may be asked for, locked. Raises NotFound, NotAllowed, Conflict."""
    camera = await _get_camera(connection, camera_id, consignee_id, Right.SET_CAMERAS, is_locked=True)
    found = await enrolments.find_latest(connection, camera_id, is_locked=True)
    if found is None or not found.is_under_way(datetime.now(UTC)):
        raise Conflict("no enrolment of this camera is under way: begin one")
    steps = await enrolments.list_steps(connection, found.id)
    if steps[EnrolmentStep.PICTURE].state != StepState.PASSED:
        raise Conflict("the camera's picture is not here yet: wait for it, or begin again")
    if StepState.UNDER_WAY in states_of(steps).values():
        raise Conflict("another step is under way: wait for its end")
    return camera, found, steps


async def _put_under_way(
    connection: AsyncConnection,
    enrolment: EnrolmentRow,
    steps: Steps,
    step: EnrolmentStep,
    now: datetime,
    mark: Mapping[str, float] | None = None,
) -> None:
    if steps[step].turn >= MOST_TURNS:
        raise Conflict("this was tried too often: begin again in some minutes")
    turn = await enrolments.begin_step(connection, enrolment.id, step, now, mark)
    payload = f"{enrolment.id} {step.value} {turn}"
    await jobs.enqueue(
        connection, jobs.Job.ENROL, payload, priority=jobs.PRIORITY["read"], dedupe_key=f"enrol {payload}"
    )


async def _progress(connection: AsyncConnection, camera: CameraRow, enrolment: EnrolmentRow) -> Progress:
    """As it stands now."""
    found = await enrolments.find_enrolment(connection, enrolment.id)
    row = await cameras.find_camera(connection, camera.id)
    assert found is not None
    return Progress(
        camera=row or camera, enrolment=found, steps=await enrolments.list_steps(connection, enrolment.id)
    )


# ---- when it is enough --------------------------------------------------------------------------------------


async def settle(connection: AsyncConnection, enrolment: EnrolmentRow, now: datetime) -> bool:
    """Make the camera a witness, if enough was shown. The enrolment must be locked. Whether it is one now."""
    row = await enrolments.find_enrolment(connection, enrolment.id)
    assert row is not None
    states = states_of(await enrolments.list_steps(connection, row.id))
    if row.ended_at is not None or not is_enough(states, has_moved=row.has_moved):
        return False
    methods = list_methods(states, has_moved=row.has_moved)
    await cameras.set_enrolment(
        connection,
        row.camera_id,
        methods=methods,
        sees_door=True,
        clock=row.clock if states[EnrolmentStep.CLOCK] is StepState.PASSED else None,
        enrolled_at=now,
        check_by=now + timedelta(days=CHECK_AFTER_DAYS),
    )
    await enrolments.end_enrolment(connection, row.id, EnrolmentEnd.ENROLLED, now)
    camera = await cameras.find_camera(connection, row.camera_id)
    await deeds.insert_deed(
        connection,
        access_point_id=row.access_point_id,
        stop_id=None,
        who=f"consignee:{row.begun_by}",
        what=Deed.CAMERA_ENROLLED,
        body={"camera": "" if camera is None else camera.name, "methods": methods},
        at=now,
    )
    return True


# ---- every month ----------------------------------------------------------------------------------------------


async def tell_checks(platform: Platform, limit: int = CHECKS_AT_ONCE) -> int:
    """Tell households whose camera is to be checked within a week, and those whose check is overdue; each once.

    Ends what was begun and left, too, and forgets what ended long ago. How much there was.
    """
    now, done = platform.clock.now(), 0
    for event, is_over, before in (
        (NoticeEvent.CAMERA_CHECK_OVER, True, now),
        (NoticeEvent.CAMERA_CHECK_DUE, False, now + timedelta(days=TELL_AHEAD_DAYS)),
    ):
        async with platform.database.transaction() as connection:
            due = await enrolments.take_checks_due(connection, before, is_over=is_over, limit=limit)
            for row in due:
                await _tell_check(connection, event, row, now)
        done += len(due)
    async with platform.database.connection() as connection:
        done += await enrolments.end_expired(connection, now, datetime.now(UTC), limit)
        done += await enrolments.forget_ended(connection, now - KEPT_FOR, limit)
    return done


async def _tell_check(connection: AsyncConnection, event: NoticeEvent, row: CheckRow, now: datetime) -> None:
    await tell(
        connection,
        event,
        place_id=row.access_point_id,
        key=f"{row.camera_id}/{row.check_by.isoformat()}",
        now=now,
        facts={"camera": row.name, "until": text_of_time(row.check_by)},
    )
