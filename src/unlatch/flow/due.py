"""What is due is done: by any number of workers, each duty at most once, whatever is killed at whatever moment.

The longest overdue come first. A duty that needs the car is handed to the job engine in the transaction that takes it,
and ends with its finding (`flow/preflight.py`); one that is rows alone is done in the transaction that ends it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from psycopg import AsyncConnection

from unlatch.domain.access import PlaceKind
from unlatch.domain.notice import NoticeEvent
from unlatch.flow.deadlines import do_each
from unlatch.flow.duties import OF_CAR, OF_ROWS, lock_stop, why_void
from unlatch.flow.notifying import tell_of_stop
from unlatch.flow.platform import Platform
from unlatch.flow.window_over import end_of_window
from unlatch.store import consignees, duties, jobs, visits
from unlatch.store.duties import DutyKind, DutyState
from unlatch.store.jobs import Job
from unlatch.store.stops import StopRow

AGAIN = timedelta(minutes=1)  # a window that is over while a visit lives is looked at again
TAKEN_FOR = timedelta(minutes=3)  # a taken duty whose job never ends is taken again after this ...
TAKEN_FOR_REAL_S = (
    30.0  # ... and never earlier than after so many real seconds, however fast the town's clock runs
)


async def do_due(platform: Platform, limit: int) -> int:
    """Drop what is too late, hand over what needs the car, do the rest. How many there were.

    One duty that can't be done keeps no other waiting; its error is raised once all are done.
    """
    now = platform.clock.now()
    async with platform.database.transaction() as connection:
        count = await duties.drop_late(connection, now, limit=limit)
        taken = await duties.take_due(
            connection, now, kinds=OF_CAR, again_at=now + _taken_for(platform), limit=limit
        )
        for duty in taken:
            await jobs.enqueue(
                connection,
                Job.PREFLIGHT,
                duty.text,
                priority=jobs.PRIORITY["read"],
                dedupe_key=f"preflight {duty.text}",
            )
    done = await do_each(limit, lambda failed: _do_next(platform, passing_over=failed))
    return count + len(taken) + done


def _taken_for(platform: Platform) -> timedelta:
    town_s_a_real_s = 1 / platform.clock.real_s(1)
    return max(TAKEN_FOR, timedelta(seconds=TAKEN_FOR_REAL_S * town_s_a_real_s))


async def _do_next(platform: Platform, *, passing_over: int) -> bool:
    """Do one duty that is rows alone; False: none is due."""
    now = platform.clock.now()
    async with platform.database.transaction() as connection:
        duty = await duties.lock_next(connection, now, kinds=OF_ROWS, passing_over=passing_over)
        if duty is None:
            return False
        # Nobody who holds the place's row ever waits for a duty of this kind, so that this order can't lock up.
        stop = await lock_stop(connection, duty.stop_id)
        reason = why_void(duty, stop)
        if reason is None and duty.drop_at is not None and now >= duty.drop_at:
            reason = "too_late"
        if reason is not None:
            await duties.end(connection, duty, DutyState.DROPPED, reason, now)
        elif duty.kind == DutyKind.MORNING_NOTICE:
            await _tell_morning(connection, stop, now)
            await duties.end(connection, duty, DutyState.DONE, "told", now)
        elif await _has_live_visit(connection, stop):
            await duties.postpone(connection, duty, now + AGAIN, tries=0)
        else:
            was_open = await end_of_window(connection, stop.id, now)
            await duties.end(connection, duty, DutyState.DONE, "over" if was_open else "nothing_to_do", now)
    return True


async def _has_live_visit(connection: AsyncConnection, stop: StopRow) -> bool:
    live = await consignees.find_live_visit_id(connection, stop.access_point_id)
    return live is not None and (await visits.get_visit(connection, live)).stop_id == stop.id


async def _tell_morning(connection: AsyncConnection, stop: StopRow, now: datetime) -> None:
    point = await consignees.find_access_point(connection, stop.access_point_id)
    assert point is not None
    is_home = point.kind == PlaceKind.HOME  # it stands where its address is
    facts = {} if is_home else {"range_m": point.range_m}
    await tell_of_stop(connection, NoticeEvent.MORNING_OF_DELIVERY, stop, now, facts)
