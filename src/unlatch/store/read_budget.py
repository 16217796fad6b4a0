"""The read budget: how often a car may be read outside of visits, so that no check drains its battery."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from psycopg import AsyncConnection

from unlatch.store.consignees import VehicleRow

APART = timedelta(seconds=60)  # between two readings of one car
TAKES_AT_MOST = timedelta(
    minutes=3
)  # a reading: OnStar's classic accounts have been seen to need a minute and a half
_SPEND = """
    -- One more reading of the day, if there is one left and the last one is long enough ago. Of any number at once, one
    -- gets it. A car at two addresses may have two days at a time: only a later day begins anew. A clock that was set
    -- back by more than a minute does not stop the readings.
    INSERT INTO read_budget AS kept (car, day, spent, last_at) VALUES (%(car)s, %(day)s, 1, %(now)s)
    ON CONFLICT (car) DO UPDATE SET
        spent = CASE WHEN excluded.day > kept.day THEN 1 ELSE kept.spent + 1 END,
        day = greatest(kept.day, excluded.day), last_at = excluded.last_at
    WHERE abs(extract(epoch FROM excluded.last_at - kept.last_at)) >= %(apart_s)s
      AND (excluded.day > kept.day OR kept.spent < %(most)s)
    RETURNING spent
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """Whether a reading may be made now; if not, when the last one was asked for."""

    is_granted: bool
    last_at: datetime | None = None

    def is_under_way(self, now: datetime, tried_at: datetime | None) -> bool:
        """Whether somebody else's reading is still on its way: `tried_at` is when the car last answered, or refused.

        It may have been asked for later than it is here: by a clock that is ahead, or while we waited to ask ourselves.
        """
        if self.is_granted or self.last_at is None or abs(now - self.last_at) >= TAKES_AT_MOST:
            return False
        return tried_at is None or tried_at < self.last_at


def car_of(access_point_id: str, vehicle: VehicleRow | None) -> str:
    """The same for every access point of one car."""
    key = vehicle.closure_key if vehicle is not None else None
    return access_point_id if key is None else bytes(key).hex()


async def spend_reading(
    connection: AsyncConnection, car: str, *, day: date, most: int, now: datetime
) -> Spending:
    """Take one reading from the car's budget of `most` a day, in the caller's transaction."""
    values = {"car": car, "day": day, "most": most, "now": now, "apart_s": APART.total_seconds()}
    if most > 0:
        cursor = await connection.execute(_SPEND, values)
        if await cursor.fetchone() is not None:
            return Spending(is_granted=True)
    cursor = await connection.execute("SELECT last_at FROM read_budget WHERE car = %s", (car,))
    row = await cursor.fetchone()
    return Spending(is_granted=False, last_at=None if row is None else row[0])
