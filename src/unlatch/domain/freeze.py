"""What an operator can freeze beyond one place: nothing opens there any more, and locks always go on."""

from __future__ import annotations

from enum import StrEnum, auto


class Scope(StrEnum):
    """How far a freeze reaches."""

    COURIER = auto()  # whatever this courier asks for
    CLOUD = auto()  # whatever would be opened through this maker's cloud
    AREA = auto()  # every place whose address lies within so many metres
    EVERYTHING = auto()


MAX_RADIUS_M = 200_000.0
MAX_IN_FORCE = 200  # each scan and each gate looks through them
