"""What may be forgotten is forgotten: answers kept for repeats, proofs that have expired, the engine's own notes, and
by their age what people were told and what the day of a stop found.

What is yet to be told or done stays, however old it is, and an open claim holds what was told and found of its stop.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from unlatch.flow.platform import Platform
from unlatch.store import duties, idempotency, jobs, maker_accounts, notices, preflights, proofs, sessions

AT_ONCE = 1000
LINKS_KEPT_FOR = timedelta(days=1)


async def forget(platform: Platform) -> int:
    """Delete up to a bounded number of rows whose time is up. How many there were."""
    real_now = datetime.now(UTC)  # for what guards a door, as the other side's clock does
    now, settings = platform.clock.now(), platform.settings
    told_before = now - timedelta(days=settings.notices_kept_days)
    found_before = now - timedelta(days=settings.findings_kept_days)
    async with platform.database.connection() as connection:
        forgotten = await proofs.forget_expired_proofs(connection, real_now, limit=AT_ONCE)
        forgotten += await idempotency.forget_old_answers(connection, real_now, limit=AT_ONCE)
        forgotten += await maker_accounts.forget_old_requests(
            connection, real_now - LINKS_KEPT_FOR, limit=AT_ONCE
        )
        forgotten += await sessions.forget_expired(connection, real_now, limit=AT_ONCE)
        forgotten += await jobs.forget_log(connection, real_now, limit=AT_ONCE)
        forgotten += await notices.forget_old(connection, told_before, limit=AT_ONCE)
        forgotten += await preflights.forget_old(connection, found_before, limit=AT_ONCE)
        forgotten += await duties.forget_old(connection, found_before, limit=AT_ONCE)
    return forgotten
