"""What a request with an idempotency key was answered, so that a repeat gets the same answer.

Two ways, by what the request does:

*In its transaction*: the answer is a row of the transaction that did the work. Nothing can be done without
its answer being kept, and a crash leaves neither. Two at once are told apart by an advisory lock.

*Claimed*: for work that has transactions of its own. The key is claimed first (status NULL) and the answer is
written afterwards, both without waiting for the disk. The claim holds the identifier for what the work will
make. One whose server died is free again after CLAIM_LASTS_S, one whose work broke is so at once, and whoever takes
it over gets that identifier: it can't be made twice. All else of the work must stand being done twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import AsyncConnection

CLAIM_LASTS_S = 30.0
KEPT_FOR_S = 86_400.0

_FIND = """
    SELECT pg_try_advisory_xact_lock(hashtextextended(%(principal)s || ' ' || %(key)s, 0)),
        kept.request_hash, kept.status, kept.answer
    FROM (VALUES (1)) AS one (row) LEFT JOIN idempotency kept
        ON kept.principal = %(principal)s AND kept.key = %(key)s
"""
_CLAIM = """
    -- A key that is new, or whose claim was left by a dead server, is ours; else the row that is there.
    WITH claimed AS (
        INSERT INTO idempotency AS kept (principal, key, request_hash, at, makes)
        VALUES (%(principal)s, %(key)s, %(request_hash)s, %(real_now)s, %(makes)s)
        ON CONFLICT (principal, key) DO UPDATE SET at = excluded.at, makes = coalesce(kept.makes, excluded.makes)
        WHERE kept.status IS NULL AND kept.at < %(stale_before)s AND kept.request_hash = excluded.request_hash
        RETURNING makes
    )
    SELECT (SELECT makes FROM claimed), kept.request_hash, kept.status, kept.answer,
        set_config('synchronous_commit', 'off', true)
    FROM (VALUES (1)) AS one (row) LEFT JOIN idempotency kept
        ON kept.principal = %(principal)s AND kept.key = %(key)s
"""
# A key that is still ours.
_OURS = "principal = %(principal)s AND key = %(key)s AND status IS NULL AND at = %(at)s"
_FINISH = f"""
    WITH no_wait AS (SELECT set_config('synchronous_commit', 'off', true))
    UPDATE idempotency SET status = %(status)s, answer = %(answer)s FROM no_wait
    WHERE {_OURS}
"""
_DROP = f"DELETE FROM idempotency WHERE {_OURS}"
_LEAVE = f"UPDATE idempotency SET at = at - make_interval(secs => %(lasts_s)s) WHERE {_OURS}"
_MADE = """
    UPDATE idempotency SET makes = %(made)s WHERE principal = %(principal)s AND key = %(key)s AND status IS NULL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedKey:
    """A key that is ours, until it is finished, dropped or left, or someone takes it over (then `at` is another).

    `makes`: the identifier for what its request makes, the same whoever carries it out.
    """

    principal: str
    key: str
    at: datetime
    makes: str
    is_taken_over: bool  # someone has tried before, and nobody knows how far they came

    @property
    def row(self) -> dict[str, str | datetime]:
        """What its statements ask for."""
        return {"principal": self.principal, "key": self.key, "at": self.at}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """What is known of a key. `status` None: under way elsewhere."""

    request_hash: bytes | None  # None: under way elsewhere, and not yet known what it asks
    status: int | None
    answer: bytes | None


async def find_answer(connection: AsyncConnection, principal: str, key: str) -> KeptAnswer | None:
    """What this key was answered; None: nothing yet, and it is ours until this transaction ends."""
    cursor = await connection.execute(_FIND, {"principal": principal, "key": key})
    row = await cursor.fetchone()
    assert row is not None
    is_ours, request_hash, status, answer = row
    if request_hash is None and is_ours:
        return None
    return KeptAnswer(request_hash=request_hash, status=status, answer=answer)


async def insert_answer(
    connection: AsyncConnection,
    principal: str,
    key: str,
    *,
    request_hash: bytes,
    status: int,
    answer: bytes,
    real_now: datetime,
) -> None:
    """Keep an answer in the transaction that did the work."""
    await connection.execute(
        "INSERT INTO idempotency (principal, key, request_hash, status, answer, at) "
        "VALUES (%s, %s, %s, %s, %s, %s)",
        (principal, key, request_hash, status, answer, real_now),
    )


async def claim_key(
    connection: AsyncConnection,
    principal: str,
    key: str,
    *,
    request_hash: bytes,
    makes: str,
    real_now: datetime,
) -> KeptAnswer | ClaimedKey:
    """Claim a key before the work, in a transaction of its own; or what it was answered before.

    `makes`: the identifier for what the work makes, unless one was chosen before.
    """
    values = {
        "principal": principal,
        "key": key,
        "request_hash": request_hash,
        "makes": makes,
        "real_now": real_now,
        "stale_before": real_now - timedelta(seconds=CLAIM_LASTS_S),
    }
    cursor = await connection.execute(_CLAIM, values)
    row = await cursor.fetchone()
    assert row is not None
    ours, kept_hash, status, answer, _ = row
    if ours is not None:
        return ClaimedKey(principal=principal, key=key, at=real_now, makes=ours, is_taken_over=ours != makes)
    return KeptAnswer(request_hash=kept_hash, status=status, answer=answer)


async def finish_claim(
    connection: AsyncConnection, claimed: ClaimedKey, *, status: int, answer: bytes
) -> None:
    """Keep the answer of a claimed key."""
    await connection.execute(_FINISH.encode(), {**claimed.row, "status": status, "answer": answer})


async def drop_claim(connection: AsyncConnection, claimed: ClaimedKey) -> None:
    """The work came to nothing: the key may be used again at once, for anything."""
    await connection.execute(_DROP.encode(), claimed.row)


async def leave_claim(connection: AsyncConnection, claimed: ClaimedKey) -> None:
    """The work broke, and nobody knows what it has made: the same request may take it over at once."""
    await connection.execute(_LEAVE.encode(), {**claimed.row, "lasts_s": CLAIM_LASTS_S})


async def note_made(connection: AsyncConnection, claimed: ClaimedKey, made: str) -> None:
    """What the request wants is there already, under this identifier; in the transaction that saw it."""
    await connection.execute(_MADE, {**claimed.row, "made": made})


async def forget_old_answers(connection: AsyncConnection, real_now: datetime, *, limit: int = 10_000) -> int:
    """Delete what is older than a day; how many were deleted."""
    cursor = await connection.execute(
        "DELETE FROM idempotency WHERE (principal, key) IN "
        "(SELECT principal, key FROM idempotency WHERE at < %s LIMIT %s)",
        (real_now - timedelta(seconds=KEPT_FOR_S), limit),
    )
    return cursor.rowcount
