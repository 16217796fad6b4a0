"""Our port to the job engine (pgqueuer): hand over work inside our own transaction.

The engine carries work to *some* worker, at least once. That an order is done once is the business of our rows
(`flow/gate.py`, `flow/carry_out.py`), never of the engine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from enum import StrEnum

import structlog
from pgqueuer.adapters.drivers.psycopg import PsycopgDriver
from pgqueuer.adapters.persistence.qb import QueryQueueBuilder
from pgqueuer.core.qm import QueueManager
from pgqueuer.errors import RetryRequested
from pgqueuer.models import Job as QueuedJob
from pgqueuer.models import TracebackRecord
from pgqueuer.queries import Queries
from pgqueuer.types import JOB_STATUS
from psycopg import AsyncConnection, AsyncRawCursor

log = structlog.get_logger(__name__)

AGAIN_AFTER_S = 0.2  # real seconds until a job that failed is tried again; doubled with each attempt
AGAIN_WITHIN_S = 5.0


class JobDriver(PsycopgDriver):
    """The engine's connection, split in two: one asks, one listens.

    With one connection for both, a question waits until the listening gives way, which it does once a second:
    that second would lie between the scan and the unlock.
    """

    def __init__(self, querying: AsyncConnection, listening: AsyncConnection) -> None:
        super().__init__(listening)
        self._asking = PsycopgDriver(querying)

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        """Rows of a query."""
        return await self._asking.fetch(query, *args)

    async def execute(self, query: str, *args: object) -> str:
        """The status of a statement."""
        return await self._asking.execute(query, *args)


class JobEngine(QueueManager):
    """The engine, asking for jobs at a steady pace instead of being told of each (the trigger is off).

    A NOTIFY in the transaction of a scan would hold a lock over the whole database until its commit is on the
    disk. One question takes all jobs that came since the last one, so that a busy worker asks less per job.
    """

    async def _effective_dequeue_timeout(self, dequeue_timeout: timedelta) -> timedelta:
        """Without the engine's three questions about how long it may sleep: it asks again that soon anyway."""
        return dequeue_timeout


class JobQueries(Queries):
    """The engine's statements; of a job's ends it notes one alone, that it was done.

    For the engine a job has also ended that failed while its next attempt could not be noted (a disk that is full), or
    whose worker was stopped. Such a row stays with its worker, whose sign of life is missing from then on, and is taken
    over like that of a worker that died: whether an order is still wanted is for its row to say.
    """

    async def log_jobs(self, job_status: list[tuple[QueuedJob, JOB_STATUS, TracebackRecord | None]]) -> None:
        """Delete the jobs that are done."""
        if done := [one for one in job_status if one[1] == "successful"]:
            await super().log_jobs(done)


async def make_engine(asking: AsyncConnection, listening: AsyncConnection) -> JobEngine:
    """The engine on two connections of its own.

    What it notes of jobs (taken, ended) does not wait for the disk: if a crash of PostgreSQL forgets it, a job is
    done again, which every job stands. That a job exists commits with the fact that orders it, and is waited for.
    """
    await asking.execute("SET synchronous_commit = off")
    return JobEngine(JobQueries(JobDriver(asking, listening)))


class Job(StrEnum):
    """What a worker can be asked to do; the payload is an id."""

    UNLOCK = "unlock"  # carry out the command of that id
    LOCK = "lock"  # the same, with connections of its own
    DECIDE = "decide"  # look at the closure of that visit, then decide
    RING = "ring"  # the bell of that visit's home
    PROVE = "prove"  # have a camera prove that it records that visit
    ENROL = "enrol"  # a step of an enrolment: its id, the step, its turn
    READ_PLACE = "read_place"  # read the closure of that access point
    PREFLIGHT = "preflight"  # the duty of that stop, plan and kind, which needs the car


def register(engine: JobEngine, job: Job, run: Callable[[str], Awaitable[None]]) -> None:
    """Have the engine carry out such jobs by `run`, which is given the payload.

    A job that fails is tried again, by any worker, for ever: `run` itself returns once nobody wants its order any more.
    """

    @engine.entrypoint(job.value, accepts_context=False)
    async def _(queued: QueuedJob) -> None:
        try:
            await run((queued.payload or b"").decode())
        except Exception as error:
            after_s = min(AGAIN_AFTER_S * 2 ** min(queued.attempts, 10), AGAIN_WITHIN_S)
            log.warning(
                "a job is tried again", job=job.value, attempts=queued.attempts, why=repr(error)[:200]
            )
            raise RetryRequested(delay=timedelta(seconds=after_s), reason=type(error).__name__) from error


PRIORITY = {"lock": 100, "unlock": 50, "read": 10}  # L5: closings first
_ENQUEUE = QueryQueueBuilder().build_enqueue_query("skip").encode()


async def enqueue(
    connection: AsyncConnection, job: Job, payload: str, *, priority: int, dedupe_key: str | None = None
) -> None:
    """Hand a job over with the present transaction: it exists if and only if that commits.

    With a `dedupe_key`, nothing happens while a job of the same key waits or runs.
    """
    cursor = AsyncRawCursor(connection)
    await cursor.execute(
        _ENQUEUE,
        ([priority], [job.value], [payload.encode()], [timedelta(0)], [dedupe_key], [None]),
    )


LOG_KEPT_FOR = timedelta(days=7)
_FORGET = """
    -- What the engine notes of every job it has seen, three rows each and a row of statistics a second. Old enough,
    -- and by number, since the oldest have the lowest.
    WITH old_log AS (
        DELETE FROM pgqueuer_log WHERE created < %(before)s
            AND id IN (SELECT id FROM pgqueuer_log ORDER BY id LIMIT %(limit)s) RETURNING 1
    ), old_statistics AS (
        DELETE FROM pgqueuer_statistics WHERE created < %(before)s
            AND id IN (SELECT id FROM pgqueuer_statistics ORDER BY id LIMIT %(limit)s) RETURNING 1
    )
    SELECT (SELECT count(*) FROM old_log) + (SELECT count(*) FROM old_statistics)
"""


async def forget_log(connection: AsyncConnection, real_now: datetime, *, limit: int = 10_000) -> int:
    """Delete what the engine noted more than a week ago; how much that was. Jobs themselves are left alone."""
    cursor = await connection.execute(_FORGET, {"before": real_now - LOG_KEPT_FOR, "limit": limit})
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])
