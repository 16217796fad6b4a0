"""A worker: takes orders from the job engine, watches closures, and tells the clock's facts.

Any number of workers may run on any number of machines against one database. Each order is carried out by one:
the engine hands it to one worker, and takes it back when that worker shows no sign of life. That an unlock is
never sent twice does not rest on the engine but on the gate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from psycopg import Error as PsycopgError

from unlatch.errors import UnlatchError
from unlatch.flow import (
    anchoring,
    claims,
    deadlines,
    due,
    enrolling,
    enrolling_steps,
    erasing,
    filming,
    forgetting,
    freezing,
    posting,
    preflight,
    refreshing,
    retention,
    ringing,
    scan,
    unlinking,
    watch,
)
from unlatch.flow.carry_out import carry_out_command, read_place
from unlatch.flow.platform import Platform
from unlatch.store import readings
from unlatch.store.database import connect
from unlatch.store.jobs import Job, JobEngine, make_engine, register
from unlatch.store.readings import Place
from unlatch.store.visits import VisitRow

log = structlog.get_logger(__name__)

POLL_S = 0.1  # real seconds between looks at the rows that are due, while none is
DUTIES_POLL_S = 0.25
RECORDINGS_POLL_S = 0.5
READS_AT_ONCE = 64
DUE_AT_ONCE = 100
ASK_FOR_JOBS_S = 0.04  # real seconds between questions for jobs; what came in between is taken at once
BATCH = 20
RESTART_AFTER_S = 0.5
ANCHOR_EVERY_S = 60.0  # real seconds (A1)
FORGET_EVERY_S = 60.0
CHECKS_EVERY_S = 5.0
TOKENS_EVERY_S = 1.0
CLAIMS_EVERY_S = 2.0
CLAIMS_AT_ONCE = 20


async def work(platform: Platform, stop: asyncio.Event) -> None:
    """Work until `stop` is set. A worker outlives its database, and each of its parts the failure of any other.

    A full disk for the anchors, one row that can't be read: nothing of that may cut off a lock that is on its way.
    """
    closings = platform.for_closings()
    parts: dict[str, Callable[[], Awaitable[None]]] = {
        "jobs": lambda: _take_jobs(platform, stop),
        "watch": lambda: _watch(platform, stop),
        "deadlines": lambda: _repeat(stop, POLL_S, lambda: deadlines.record_due(closings, DUE_AT_ONCE)),
        "recordings": lambda: _repeat(stop, RECORDINGS_POLL_S, lambda: filming.tell_turned(closings)),
        "duties": lambda: _repeat(stop, DUTIES_POLL_S, lambda: due.do_due(platform, DUE_AT_ONCE)),
        "freezes": lambda: _repeat(stop, POLL_S, lambda: freezing.sweep(closings), freezing.SWEPT_AT_ONCE),
        "abandoned": lambda: _repeat(stop, 1.0, lambda: deadlines.record_abandoned(closings, DUE_AT_ONCE)),
        "anchors": lambda: _repeat(
            stop, ANCHOR_EVERY_S, lambda: anchoring.anchor_heads(platform), anchoring.HEADS_AT_ONCE
        ),
        "tokens": lambda: _repeat(
            stop, TOKENS_EVERY_S, lambda: refreshing.refresh_due(closings), refreshing.DUE_AT_ONCE
        ),
        "unlinked": lambda: _repeat(
            stop, TOKENS_EVERY_S, lambda: refreshing.end_unlinked(platform), refreshing.DUE_AT_ONCE
        ),
        "handed over": lambda: _repeat(
            stop, TOKENS_EVERY_S, lambda: unlinking.end_links(platform), unlinking.LINKS_AT_ONCE
        ),
        "posting": lambda: _repeat(
            stop,
            posting.POST_EVERY_S,
            lambda: posting.post(platform, posting.POST_AT_ONCE),
            posting.POST_AT_ONCE,
        ),
        "dispatches": lambda: posting.dispatch(platform, stop),
        "forgetting": lambda: _repeat(
            stop, FORGET_EVERY_S, lambda: forgetting.forget(platform), forgetting.AT_ONCE
        ),
        "retention": lambda: _repeat(
            stop, retention.ERASE_EVERY_S, lambda: retention.erase_due(platform), retention.AT_ONCE
        ),
        "removals": lambda: _repeat(
            stop, retention.REMOVE_EVERY_S, lambda: retention.remove_erased(platform), retention.AT_ONCE
        ),
        "erasures": lambda: _repeat(
            stop, erasing.GO_ON_EVERY_S, lambda: erasing.go_on(platform), erasing.AT_ONCE
        ),
        "checks": lambda: _repeat(stop, CHECKS_EVERY_S, lambda: enrolling.tell_checks(platform)),
        "claims": lambda: _repeat(
            stop, CLAIMS_EVERY_S, lambda: claims.run_out_due(platform, CLAIMS_AT_ONCE), CLAIMS_AT_ONCE
        ),
        "evidence": lambda: _repeat(
            stop, CLAIMS_EVERY_S, lambda: claims.complete_evidence(platform, CLAIMS_AT_ONCE), CLAIMS_AT_ONCE
        ),
    }
    async with asyncio.TaskGroup() as group:
        for name, run in parts.items():
            group.create_task(_keep_going(stop, name, run))


async def _keep_going(stop: asyncio.Event, name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run one part until `stop` is set; what breaks is logged and begun anew."""
    while not stop.is_set():
        try:
            await run()
        except Exception as error:  # noqa: BLE001 - whatever broke, the worker must go on
            log.warning("a part of the worker begins anew", part=name, why=repr(error)[:200])
            await _pause(stop, RESTART_AFTER_S)


async def _take_jobs(platform: Platform, stop: asyncio.Event) -> None:
    dsn, name = platform.database.dsn, platform.name
    async with (
        connect(dsn, name=f"{name} asking", statement_timeout_s=0) as asking,
        connect(dsn, name=f"{name} listening", statement_timeout_s=0) as listening,
    ):
        manager = await make_engine(asking, listening)
        register(manager, Job.UNLOCK, lambda payload: carry_out_command(platform, payload))
        register(manager, Job.LOCK, lambda payload: carry_out_command(platform.for_closings(), payload))
        register(manager, Job.DECIDE, lambda payload: scan.decide_after_look(platform, payload))
        register(manager, Job.RING, lambda payload: ringing.ring(platform, payload))
        register(manager, Job.ENROL, lambda payload: enrolling_steps.carry_out_step(platform, payload))
        register(manager, Job.PROVE, lambda payload: filming.prove_recording(platform, payload))
        register(manager, Job.READ_PLACE, lambda payload: _read_place(platform, payload))
        register(manager, Job.PREFLIGHT, lambda payload: preflight.carry_out_preflight(platform, payload))
        ending = asyncio.create_task(_end_with(stop, manager))
        try:
            # No limit on jobs at once: unlocks that wait for their cloud would keep locks from starting (L5). Each
            # link sheds openings when it is full, before their gate, and keeps room for closings.
            await manager.run(
                dequeue_timeout=timedelta(seconds=ASK_FOR_JOBS_S),
                batch_size=BATCH,
                heartbeat_timeout=timedelta(seconds=platform.settings.take_over_s),
                # Jobs are asked for, never heard of. The engine's first probe of its listener may be sent before it
                # listens: it would then end after 10 s, and take no lock until the slowest command has ended.
                shutdown_on_listener_failure=False,
            )
        finally:
            ending.cancel()
    if not stop.is_set():
        raise ConnectionError("the job engine has lost its connection")


async def _end_with(stop: asyncio.Event, manager: JobEngine) -> None:
    await stop.wait()
    manager.shutdown.set()


async def _read_place(platform: Platform, access_point_id: str) -> None:
    async with platform.database.connection() as connection:
        place = await readings.find_place(connection, access_point_id)
    if place is not None:
        await read_place(platform, place)


async def _watch(platform: Platform, stop: asyncio.Event) -> None:
    """Keep as many readings under way as are due, up to the limit."""
    under_way: set[asyncio.Task[None]] = set()
    try:
        while not stop.is_set():
            free = READS_AT_ONCE - len(under_way)
            due = await watch.claim_due(platform, free) if free else []
            for row, place in due:
                task = asyncio.create_task(_watch_once(platform, row, place))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            if len(due) < free or not free:
                await _pause(stop, POLL_S)
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _watch_once(platform: Platform, row: VisitRow, place: Place) -> None:
    try:
        await watch.watch_once(platform, row, place)
    except (UnlatchError, PsycopgError) as error:  # its claim ends by itself, and it is read again
        log.warning("a watched closure was not read", visit=row.id, why=type(error).__name__)


async def _repeat(
    stop: asyncio.Event, every_s: float, run: Callable[[], Awaitable[int]], full_load: int = DUE_AT_ONCE
) -> None:
    """Run again at once while there is a full load of work, else after `every_s` real seconds."""
    while not stop.is_set():
        done = await run()
        if done < full_load:
            await _pause(stop, every_s)


async def _pause(stop: asyncio.Event, real_s: float) -> None:
    """Wait, but no longer than until `stop`."""
    try:
        async with asyncio.timeout(real_s):
            await stop.wait()
    except TimeoutError:
        return
