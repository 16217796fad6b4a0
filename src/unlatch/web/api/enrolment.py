"""What a household asks while it enrols a camera: begin, mark the clock, play the lamp, open the door once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import Response
from msgspec import Meta, Struct

from unlatch.cameras.clock_marking import Mark
from unlatch.domain.camera_enrolment import (
    EnrolmentEnd,
    EnrolmentStep,
    Hindrance,
    Phase,
    StepState,
    find_next,
    hindrance_of,
)
from unlatch.domain.camera_enrolment_texts import (
    end_text,
    hindrance_text,
    next_text,
    state_text,
)
from unlatch.domain.wording import Language
from unlatch.flow import enrolling
from unlatch.flow.enrolling import Progress
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.problems import Trouble
from unlatch.web.reading_room import language_of
from unlatch.web.shapes import Identifier, Moment
from unlatch.web.signing_in import Reader

TABLE = EndpointTable(
    "enrolment",
    "For the household of a home: a camera shows that it lives and sees the door. Bearer with a consignee's key.",
)
CONSIGNEE = (Reader.CONSIGNEE,)
CAMERA = "/v1/me/cameras/{camera_id}/enrolment"
TROUBLES = (Trouble.NOT_FOUND, Trouble.CONFLICT)
Pixels = Annotated[float, Meta(ge=0, le=4096)]


class StepShown(Struct, kw_only=True):
    """One step, and how it stands."""

    step: EnrolmentStep
    state: StepState
    text: Annotated[str, Meta(description="In your language: how it stands, or why it failed and what to do")]
    code: Annotated[Hindrance | None, Meta(description="With failed: why")]
    shown: Annotated[dict[str, Any] | None, Meta(description="What was measured")]


class NextShown(Struct, kw_only=True):
    """What you do now, or what is waited for."""

    step: EnrolmentStep
    phase: Annotated[Phase | None, Meta(description="Of the door, while it is looked at")]
    is_yours: Annotated[bool, Meta(description="Whether it waits for you; else ask again in a second")]
    text: Annotated[str, Meta(description="In your language")]


class PictureSize(Struct, kw_only=True):
    """Of the picture on which the clock is marked, in pixels."""

    width: int
    height: int


class EnrolmentShown(Struct, kw_only=True):
    """An enrolment: what was shown, and what comes next."""

    id: Identifier
    camera_id: Identifier
    begun_at: Moment
    until: Annotated[Moment, Meta(description="Then it is over, and is begun anew. Real time")]
    end: Annotated[EnrolmentEnd | None, Meta(description="Null: under way")]
    text: Annotated[str | None, Meta(description="In your language: how it ended")]
    steps: list[StepShown]
    next: Annotated[NextShown | None, Meta(description="Null: it has ended")]
    picture: Annotated[PictureSize | None, Meta(description="Null: none is here, or none any more")]
    is_witness: Annotated[bool, Meta(description="Whether the camera's proof may open the door now")]
    methods: Annotated[list[str], Meta(examples=[["light", "clock"]])]
    check_by: Annotated[Moment | None, Meta(description="By then it is to be enrolled again")]


class MarkGiven(Struct, kw_only=True, forbid_unknown_fields=True):
    """A rectangle around hours, minutes and seconds, in pixels of the picture that was shown."""

    left: Pixels
    top: Pixels
    width: Annotated[float, Meta(gt=0, le=4096)]
    height: Annotated[float, Meta(gt=0, le=4096)]


class ClockBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Where the clock stands."""

    mark: Annotated[MarkGiven | None, Meta(description="Null: the picture shows no time")]


def _show(progress: Progress, asked: Asked[Any]) -> EnrolmentShown:
    row, language = progress.enrolment, Language(language_of(asked))
    is_under_way = row.is_under_way(datetime.now(UTC))
    end = None
    if not is_under_way:
        end = EnrolmentEnd.EXPIRED if row.outcome is None else EnrolmentEnd(row.outcome)
    size = None
    if is_under_way and row.picture is not None:
        assert row.shown_width is not None
        assert row.shown_height is not None
        size = PictureSize(width=row.shown_width, height=row.shown_height)
    camera = progress.camera
    return EnrolmentShown(
        id=row.id,
        camera_id=row.camera_id,
        begun_at=row.begun_at,
        until=row.until_real,
        end=end,
        text=None if end is None else end_text(end, language),
        steps=[_show_step(progress, step, language) for step in EnrolmentStep],
        next=_show_next(progress, language) if is_under_way else None,
        picture=size,
        is_witness=camera.is_witness(asked.platform.clock.now()),
        methods=list(camera.methods),
        check_by=camera.check_by,
    )


def _show_step(progress: Progress, step: EnrolmentStep, language: Language) -> StepShown:
    row = progress.steps[step]
    state = StepState(row.state)
    hindrance = hindrance_of(step, row.code or "") if state is StepState.FAILED else None
    text = state_text(state, language) if hindrance is None else hindrance_text(hindrance, language)
    shown = None if row.shown is None else dict(row.shown)
    return StepShown(step=step, state=state, text=text, code=hindrance, shown=shown)


def _show_next(progress: Progress, language: Language) -> NextShown | None:
    states = progress.states
    step = find_next(states, has_moved=progress.enrolment.has_moved)
    if step is None:
        return None
    phase = progress.steps[step].phase
    return NextShown(
        step=step,
        phase=None if phase is None else Phase(phase),
        is_yours=states[step] is not StepState.UNDER_WAY,
        text=next_text(step, states[step], None if phase is None else Phase(phase), language),
    )


@TABLE.add(
    "POST",
    CAMERA,
    readers=CONSIGNEE,
    summary="Enrol a camera, or check it again",
    gives=EnrolmentShown,
    status=201,
    repeat=Repeat.IN_TRANSACTION,
    troubles=TROUBLES,
)
async def begin_enrolment(asked: Asked[None]) -> EnrolmentShown:
    """Connects to the camera. Ask how it stands each second, and do what `next` says. What was shown is kept for ten
    minutes: the same again goes on with it. Until it is enough, the camera stays what it was.
    """
    progress = await enrolling.begin(
        asked.platform,
        asked.connection,
        asked.path["camera_id"],
        consignee_id=asked.asker.id,
        now=asked.platform.clock.now(),
    )
    return _show(progress, asked)


@TABLE.add(
    "GET",
    CAMERA,
    readers=CONSIGNEE,
    summary="How the enrolment of a camera stands",
    gives=EnrolmentShown,
    troubles=(Trouble.NOT_FOUND,),
)
async def read_enrolment(asked: Asked[None]) -> EnrolmentShown:
    """The latest one, for everyone of the household."""
    async with asked.platform.database.connection() as connection:
        progress = await enrolling.show(connection, asked.path["camera_id"], consignee_id=asked.asker.id)
    return _show(progress, asked)


@TABLE.add(
    "GET",
    f"{CAMERA}/picture",
    readers=CONSIGNEE,
    summary="The picture on which to mark the clock",
    media_type="image/jpeg",
    troubles=(Trouble.NOT_FOUND,),
)
async def read_enrolment_picture(asked: Asked[None]) -> Response[bytes]:
    """One picture of your home, for whoever enrols the camera, while that is under way. That you have looked at it is
    shown in the timeline.
    """
    async with asked.platform.database.transaction() as connection:
        picture = await enrolling.look_at_picture(
            asked.platform,
            connection,
            asked.path["camera_id"],
            consignee_id=asked.asker.id,
            now=asked.platform.clock.now(),
        )
    return Response(picture, media_type="image/jpeg")


@TABLE.add(
    "POST",
    f"{CAMERA}/clock",
    readers=CONSIGNEE,
    summary="Mark the clock in the picture",
    takes=ClockBody,
    gives=EnrolmentShown,
    repeat=Repeat.IN_TRANSACTION,
    troubles=TROUBLES,
    examples=({"mark": {"left": 12, "top": 10, "width": 190, "height": 24}}, {"mark": None}),
)
async def mark_clock(asked: Asked[ClockBody]) -> EnrolmentShown:
    """It is learnt within half a minute: leave the camera as it is. The mark need not be exact."""
    given = asked.body.mark
    mark = None
    if given is not None:
        mark = Mark(left=given.left, top=given.top, width=given.width, height=given.height)
    progress = await enrolling.mark_clock(
        asked.connection,
        asked.path["camera_id"],
        mark,
        consignee_id=asked.asker.id,
        now=asked.platform.clock.now(),
    )
    return _show(progress, asked)


@TABLE.add(
    "POST",
    f"{CAMERA}/light",
    readers=CONSIGNEE,
    summary="Play the lamp before the camera",
    gives=EnrolmentShown,
    repeat=Repeat.IN_TRANSACTION,
    troubles=TROUBLES,
)
async def play_light(asked: Asked[None]) -> EnrolmentShown:
    """A lamp of the home goes on and off for some seconds, by a pattern that nobody knows beforehand. Later the same
    shows, before the door is opened, that the picture lives.
    """
    progress = await enrolling.play_light(
        asked.connection,
        asked.path["camera_id"],
        consignee_id=asked.asker.id,
        now=asked.platform.clock.now(),
    )
    return _show(progress, asked)


@TABLE.add(
    "POST",
    f"{CAMERA}/door",
    readers=CONSIGNEE,
    summary="Open the door before the camera",
    gives=EnrolmentShown,
    repeat=Repeat.IN_TRANSACTION,
    troubles=TROUBLES,
)
async def open_door_once(asked: Asked[None]) -> EnrolmentShown:
    """You are ready: do what `next` says. The door is opened by your own hand and closed again; its contact sensor or
    lock tells when.
    """
    progress = await enrolling.watch_door(
        asked.connection,
        asked.path["camera_id"],
        consignee_id=asked.asker.id,
        now=asked.platform.clock.now(),
    )
    return _show(progress, asked)
