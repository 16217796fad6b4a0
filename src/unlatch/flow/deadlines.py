"""The clock's facts: a state's time is up, or our patience with an opening is.

Which visit is due is a row (`visit.deadline_at`), so any number of workers share the work and none is missed
while all of them were down: what is overdue is done first when one is back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from unlatch.domain.visit import due_fact
from unlatch.errors import DatabaseDown
from unlatch.flow.carry_out import call_abandoned_unknown
from unlatch.flow.platform import Platform
from unlatch.flow.record import Happening, record_in
from unlatch.store import visits


async def do_each(limit: int, do_next: Callable[[int], Awaitable[bool]]) -> int:
    """Do up to `limit` of what is due, one after the other; how many there were. Also for duties and claims.

    `do_next` is told how many have failed, which it passes over, and says False where none is left. One that fails
    keeps no other waiting; its error is raised once all are done.
    """
    done = 0
    broken: list[Exception] = []
    while done < limit:
        try:
            if not await do_next(len(broken)):
                break
        except DatabaseDown:
            raise
        except Exception as error:  # noqa: BLE001 - raised below
            broken.append(error)
        done += 1
    if broken:
        raise broken[0]
    return done


async def record_due(platform: Platform, limit: int) -> int:
    """Record the clock's fact for up to `limit` visits, the longest overdue first. How many there were.

    One visit that can't be read or recorded keeps no other waiting; its error is raised once all are done.
    """
    return await do_each(limit, lambda failed: _record_next(platform, passing_over=failed))


async def _record_next(platform: Platform, *, passing_over: int) -> bool:
    """Record the clock's fact for one visit; False: none is due."""
    now = platform.clock.now()
    async with platform.database.pipelined_transaction() as connection:
        row = await visits.lock_next_due_visit(connection, now, passing_over=passing_over)
        if row is None:
            return False
        fact = due_fact(row.visit, now)
        assert fact is not None  # its deadline has passed, and its row is locked
        await record_in(connection, row, Happening(fact=fact, who="clock"), now)
    return True


async def record_abandoned(platform: Platform, limit: int) -> int:
    """Call the end of commands unknown whose worker was lost. How many there were."""
    return await call_abandoned_unknown(platform, platform.clock.now(), limit)
