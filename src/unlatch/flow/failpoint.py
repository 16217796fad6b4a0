"""Labelled points at which a test may kill this process: off unless UNLATCH_FAIL_AT names one.

The kill is SIGKILL, so nothing is tidied up: what stands then is what the database has.
"""

from __future__ import annotations

import os
import signal
from enum import StrEnum, auto

from unlatch.settings import Settings


class Point(StrEnum):
    BEFORE_GATE = auto()
    AFTER_GATE = auto()  # committed; no byte has left
    AFTER_LAST_BYTE = auto()  # of the unlock's request
    AFTER_ANSWER = auto()  # of the cloud; not recorded
    AFTER_RECORD = auto()  # of the unlock's end
    BEFORE_REFRESH = auto()  # whose token is spent is committed; no byte has left
    AFTER_REFRESH_ANSWER = auto()  # the new tokens are here, and not kept
    AFTER_LETTER = auto()  # a notice was taken on by the other side; not recorded


def reach(settings: Settings, point: Point) -> None:
    """End this process here if that was asked for."""
    if settings.fail_at == point.value:
        os.kill(os.getpid(), signal.SIGKILL)
