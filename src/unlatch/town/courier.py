"""A courier of the town, as seen from above: on a round, or sent to a place. Pure: the time is given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from unlatch.domain.access import Position
from unlatch.town.streets import Way, walk

SPEED_MPS = 10.0  # a van that looks for numbers
HALT_S = 6.0  # at each corner of a round


@dataclass(slots=True, kw_only=True)
class Courier:
    """One courier. Sent nowhere (`end` None), they ride to their round, and then round and round."""

    name: str
    round: Way
    begin: Position
    set_out_at: datetime
    end: Position | None = None

    def position_at(self, at: datetime) -> Position:
        """Where they are."""
        gone_s = max(0.0, (at - self.set_out_at).total_seconds())
        way = walk(self.begin, self.end or self.round.points[0])
        there_s = way.length_m / SPEED_MPS
        if self.end is not None or gone_s < there_s:
            return way.find(gone_s * SPEED_MPS)[0]
        return self.round.find(self._run_m(gone_s - there_s))[0]

    def is_there(self, at: datetime) -> bool:
        """Whether they have come to where they were sent."""
        return self.end is not None and self.position_at(at) == self.end

    def send(self, end: Position | None, now: datetime) -> None:
        """To that place, or on with the round."""
        self.begin, self.end, self.set_out_at = self.position_at(now), end, now

    def _run_m(self, gone_s: float) -> float:
        """How far along the round, since they halt after each leg."""
        legs = self.round.legs
        left_s = gone_s % sum(length_m / SPEED_MPS + HALT_S for _, _, length_m in legs)
        run_m = 0.0
        for _, _, length_m in legs:
            run_m += min(length_m, left_s * SPEED_MPS)
            left_s -= length_m / SPEED_MPS + HALT_S
            if left_s <= 0:
                break
        return run_m
