"""The real decision, asked of a situation at the door where all is well but for what a model changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import time, timedelta
from typing import Any

from unlatch.domain import decision
from unlatch.domain.access import Closure, Consent, PlaceKind, Position
from unlatch.domain.decision import Situation
from unlatch.domain.reading import Reading
from unlatch.model.situation import NOW, SECOND

_HERE = Position(latitude=0.0, longitude=0.0, accuracy_m=1.0)
_WELL = Situation(
    now=NOW,
    local_time=time(12, 0),
    is_courier_active=True,
    is_courier_of_stop=True,
    is_device_revoked=False,
    is_courier_busy=False,
    courier_position=_HERE,
    is_parcel_known=True,
    is_parcel_of_stop=True,
    is_parcel_with_carrier=True,
    is_stop_open=True,
    ruled_out=None,
    window_from=NOW - timedelta(hours=1),
    window_until=NOW + timedelta(hours=1),
    kind=PlaceKind.CAR,
    closure=Closure(reads_lock=True, reads_lid=True),
    address=_HERE,
    range_m=200.0,
    consent=Consent(is_given=True),
    allows_unseen_lock=False,
    is_place_busy=False,
    is_place_watched=False,
    is_place_frozen=False,
    reading=Reading(observed_at=NOW - SECOND, is_locked=True, is_open=False, is_moving=False, position=_HERE),
)


def judge(**changes: Any) -> bool:
    """Whether the real table of checks grants it."""
    return decision.decide(replace(_WELL, **changes)).is_granted
