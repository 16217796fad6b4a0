"""Enrolment of a camera: which steps there are, what comes next, and when it is enough. The texts stand beside.

A camera may be a witness once two things were shown: how its picture can be proven to live (it shows a clock, or a lamp
of the home that we can play; or, weakest and by day alone, it moves), and that the door is seen in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum, auto

LASTS_S = 600.0  # real time
CHECK_AFTER_DAYS = 31
TELL_AHEAD_DAYS = 7
MOST_TURNS = 20  # of one step
MOST_A_DAY = 40  # enrolments at one place


class EnrolmentStep(StrEnum):
    """One thing to be shown."""

    PICTURE = auto()  # the camera is reached, and its picture is shown to the household
    CLOCK = auto()  # it shows the time, which is learnt
    LIGHT = auto()  # a lamp of the home is seen to play a pattern
    DOOR = auto()  # the door is opened once and closed, and that is seen


class StepState(StrEnum):
    """waiting -> under_way -> passed | failed; failed -> under_way; waiting -> not_there."""

    WAITING = auto()  # for the household
    UNDER_WAY = auto()
    PASSED = auto()
    FAILED = auto()  # may be tried again
    NOT_THERE = auto()  # this home has no lamp of ours, this picture no clock


class Phase(StrEnum):
    """Of the door, while it is looked at: what is to be done now."""

    KEEP_CLOSED = auto()
    OPEN_IT = auto()
    CLOSE_IT = auto()
    STEP_AWAY = auto()


class EnrolmentEnd(StrEnum):
    """How an enrolment has ended."""

    ENROLLED = auto()
    EXPIRED = auto()
    GIVEN_UP = auto()  # the camera was removed meanwhile


class Hindrance(StrEnum):
    """Why a step has failed. For each there is a text that says what to do."""

    CAMERA_NOT_FOUND = auto()
    CAMERA_NOT_LET_IN = auto()
    CAMERA_SILENT = auto()
    CAMERA_NO_VIDEO = auto()
    CAMERA_TOO_LARGE = auto()
    NO_RECORDER = auto()
    PICTURE_LOST = auto()
    PICTURE_NOT_LIVE = auto()
    CLOCK_NO_WRITING = auto()
    CLOCK_NOT_TICKING = auto()
    CLOCK_NOT_READ = auto()
    CLOCK_WRONG = auto()
    CLOCK_MARK_OUT_OF_SIZE = auto()
    LIGHT_NOT_REACHED = auto()
    LIGHT_NOT_SEEN = auto()
    DOOR_NOT_READ = auto()
    DOOR_OPEN_ALREADY = auto()
    DOOR_NOT_OPENED = auto()
    DOOR_NOT_CLOSED = auto()
    DOOR_OPEN_TOO_SHORT = auto()
    DOOR_NOT_SEEN = auto()
    DOOR_AT_ANOTHER_TIME = auto()
    BROKEN = auto()


H = Hindrance
# The words of cameras and recorders (cameras/base.py, shown_clock.py, door_seen.py), by step.
_OF_CAMERA = {
    "not_found": H.CAMERA_NOT_FOUND,
    "refused": H.CAMERA_NOT_FOUND,
    "unreachable": H.CAMERA_NOT_FOUND,
    "not_let_in": H.CAMERA_NOT_LET_IN,
    "cut": H.CAMERA_SILENT,
    "silent": H.CAMERA_SILENT,
    "no_video": H.CAMERA_NO_VIDEO,
    "codec": H.CAMERA_NO_VIDEO,
    "too_large": H.CAMERA_TOO_LARGE,
    "busy": H.NO_RECORDER,
    "closed": H.NO_RECORDER,
    "no_recorder": H.NO_RECORDER,
    "no_picture": H.PICTURE_LOST,
    "not_live": H.PICTURE_NOT_LIVE,
}
_OF_STEP: Mapping[EnrolmentStep, Mapping[str, Hindrance]] = {
    EnrolmentStep.PICTURE: {},
    EnrolmentStep.CLOCK: {
        "no_writing": H.CLOCK_NO_WRITING,
        "not_ticking": H.CLOCK_NOT_TICKING,
        "too_short": H.PICTURE_LOST,
        "no_time": H.CLOCK_NOT_READ,
        "clock_wrong": H.CLOCK_WRONG,
        "mark_out_of_size": H.CLOCK_MARK_OUT_OF_SIZE,
    },
    EnrolmentStep.LIGHT: {"not_reached": H.LIGHT_NOT_REACHED, "not_seen": H.LIGHT_NOT_SEEN},
    EnrolmentStep.DOOR: {
        "not_read": H.DOOR_NOT_READ,
        "open_already": H.DOOR_OPEN_ALREADY,
        "not_opened": H.DOOR_NOT_OPENED,
        "not_closed": H.DOOR_NOT_CLOSED,
        "open_too_short": H.DOOR_OPEN_TOO_SHORT,
        "not_seen": H.DOOR_NOT_SEEN,
        "at_another_time": H.DOOR_AT_ANOTHER_TIME,
    },
}
_DONE_WITH = frozenset({StepState.FAILED, StepState.NOT_THERE})


def hindrance_of(step: EnrolmentStep, code: str) -> Hindrance:
    """What a word of a camera or a recorder means for who stands at the door."""
    return _OF_STEP[step].get(code) or _OF_CAMERA.get(code, H.BROKEN)


def find_next(steps: Mapping[EnrolmentStep, StepState], *, has_moved: bool) -> EnrolmentStep | None:
    """What the household does next, or waits for; None: all is shown."""
    under_way = [step for step in EnrolmentStep if steps[step] is StepState.UNDER_WAY]
    if under_way:
        return under_way[0]
    clock, light = steps[EnrolmentStep.CLOCK], steps[EnrolmentStep.LIGHT]
    if steps[EnrolmentStep.PICTURE] is not StepState.PASSED:
        return EnrolmentStep.PICTURE
    if light is StepState.WAITING:
        return EnrolmentStep.LIGHT  # one tap, and the strongest
    has_shown = StepState.PASSED in (clock, light)
    if not has_shown and (clock is StepState.WAITING or not has_moved):
        may_be_lit = light is StepState.FAILED and clock is StepState.NOT_THERE
        return EnrolmentStep.LIGHT if may_be_lit else EnrolmentStep.CLOCK
    return None if steps[EnrolmentStep.DOOR] is StepState.PASSED else EnrolmentStep.DOOR


def list_methods(steps: Mapping[EnrolmentStep, StepState], *, has_moved: bool) -> list[str]:
    """By which its picture can be proven, in the words of `cameras.glances.Method`.

    Motion alone where nothing stronger is: beside a clock it would be the way around it.
    """
    shown = [
        word
        for word, step in (("light", EnrolmentStep.LIGHT), ("clock", EnrolmentStep.CLOCK))
        if steps[step] is StepState.PASSED
    ]
    is_motion_all = has_moved and steps[EnrolmentStep.CLOCK] in _DONE_WITH
    return shown or (["motion"] if is_motion_all else [])


def is_enough(steps: Mapping[EnrolmentStep, StepState], *, has_moved: bool) -> bool:
    """Whether such a camera may be a witness."""
    return steps[EnrolmentStep.DOOR] is StepState.PASSED and bool(list_methods(steps, has_moved=has_moved))
