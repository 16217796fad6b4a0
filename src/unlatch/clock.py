"""The one clock of a process: real time, or town time that runs faster so that nobody waits.

The physical world (cars, couriers, deadlines, tail watches) lives on this clock. Cryptographic freshness and
socket time-outs do not: they use real time, since the other side does.

All processes of one installation must agree on `factor` and `anchor_at`; both come from settings.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Town time = anchor_at + (real time - anchor_at) * factor. With factor 1 it is real time."""

    factor: float = 1.0
    anchor_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        """The time now: aware, UTC, monotonic only as far as the machine's own clock is."""
        return self.of_real(datetime.now(UTC))

    def of_real(self, real_at: datetime) -> datetime:
        """What this clock shows, or showed, at a moment of real time."""
        if self.factor == 1.0:
            return real_at
        return self.anchor_at + (real_at - self.anchor_at) * self.factor

    def real_s(self, town_s: float) -> float:
        """How many real seconds pass while `town_s` seconds pass on this clock."""
        return town_s / self.factor

    async def sleep(self, town_s: float) -> None:
        """Sleep for `town_s` seconds of this clock."""
        await asyncio.sleep(max(0.0, self.real_s(town_s)))

    async def sleep_until(self, at: datetime) -> None:
        """Sleep until this clock shows `at`; return at once if that has passed."""
        while (left_s := (at - self.now()) / timedelta(seconds=1)) > 0:
            await self.sleep(left_s)


def monotonic_s() -> float:
    """Seconds that never go back, for measuring a span inside one process (real time)."""
    return time.monotonic()
