"""What may be forgotten is forgotten: answers kept for repeats, proofs that have expired, the engine's own notes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from unlatch.flow.platform import Platform
from unlatch.store import idempotency, jobs, maker_accounts, proofs, viewing

AT_ONCE = 1000
LINKS_KEPT_FOR = timedelta(days=1)


async def forget(platform: Platform) -> int:
    """Delete up to a bounded number of rows whose time is up. How many there were."""
    now = datetime.now(UTC)  # all live by real time, as the other side's clock does
    async with platform.database.connection() as connection:
        forgotten = await proofs.forget_expired_proofs(connection, now, limit=AT_ONCE)
        forgotten += await idempotency.forget_old_answers(connection, now, limit=AT_ONCE)
        forgotten += await maker_accounts.forget_old_requests(connection, now - LINKS_KEPT_FOR, limit=AT_ONCE)
        forgotten += await viewing.forget_old_tickets(connection, now, limit=AT_ONCE)
        forgotten += await jobs.forget_log(connection, now, limit=AT_ONCE)
    return forgotten
