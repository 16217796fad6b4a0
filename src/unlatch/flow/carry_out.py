"""Carry out orders: a command to a cloud, a look for a decision. Its end returns as a fact.

A command ends in one of four ways, and each says what is known about the world: done (says the cloud), rejected,
not sent, unknown. None of them moves the door; only a reading does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog
from psycopg import AsyncConnection

from unlatch.devices.base import Answer, Car, Maker, Sending
from unlatch.domain.incident import Incident
from unlatch.domain.proof import Kind, text_of_time
from unlatch.domain.reading import Reading
from unlatch.domain.visit import FIRST_BYTE_WITHIN_S, Fact
from unlatch.errors import (
    CommandNotSent,
    CommandRejected,
    ConsentLost,
    DatabaseDown,
    DeviceAsleep,
    DeviceError,
)
from unlatch.flow.failpoint import Point, reach
from unlatch.flow.filming import find_hold
from unlatch.flow.gate import COMMAND_LEASE_S, pass_gate
from unlatch.flow.platform import Platform
from unlatch.flow.record import Happening, record_in
from unlatch.flow.refreshing import ask, freshen
from unlatch.store import commands, readings, visits
from unlatch.store.commands import CommandRow, CommandState
from unlatch.store.readings import Place

log = structlog.get_logger(__name__)

IN_FLIGHT_S = 0.5  # real seconds until a lock that waits for another looks again
UNLOCK_FACTS = {
    CommandState.DONE_SAYS_CLOUD: Fact.UNLOCK_SAID_DONE,
    CommandState.REJECTED: Fact.UNLOCK_REJECTED,
    CommandState.NOT_SENT: Fact.UNLOCK_NOT_SENT,
    CommandState.UNKNOWN: Fact.UNLOCK_UNKNOWN,
}


async def carry_out_command(platform: Platform, command_id: str) -> None:
    """Carry out one command. Safe to call again at any time, by any worker."""
    async with platform.database.connection() as connection:
        command = await commands.find_command(connection, command_id)
    if command is None:
        return
    if command.verb == "unlock":
        # Before the gate: behind it the bytes leave once, whatever the maker says of their token.
        maker, car = platform.car_at(await freshen(platform, command.place, is_for_unlock=True))
        await _unlock(platform, command, maker, car)
    else:
        await _lock(platform, command)


async def _unlock(platform: Platform, command: CommandRow, maker: Maker, car: Car) -> None:
    reach(platform.settings, Point.BEFORE_GATE)
    hold = await find_hold(platform, command.visit_id) if command.is_recorded else None
    passage = await pass_gate(platform, command.id, platform.find_obstacle(maker, car), hold=hold)
    if passage is None:
        return
    reach(platform.settings, Point.AFTER_GATE)
    sending = Sending(
        trace_id=command.id,
        first_byte_by_s=passage.first_byte_by_s,
        on_sent=lambda: reach(platform.settings, Point.AFTER_LAST_BYTE),
    )
    state, body = await _send(maker.unlock, car, sending)
    reach(platform.settings, Point.AFTER_ANSWER)
    await end_command(platform, command.id, command.visit_id, "unlock", state, f"cloud:{maker.name}", body)
    reach(platform.settings, Point.AFTER_RECORD)


async def _lock(platform: Platform, command: CommandRow) -> None:
    """Locking twice does no harm, so a lock whose worker was lost is simply sent again."""
    if command.state not in (CommandState.INTENT, CommandState.SENT):
        return
    await _let_unlock_leave(platform, command.visit_id)
    async with platform.database.pipelined_transaction() as connection:
        row = await visits.lock_visit(connection, command.visit_id)
        await _set_lock_sent(platform, connection, command)
        await visits.set_last_command(connection, row.id, platform.clock.now())
    maker, car = platform.car_at(command.place)

    async def lock(_: Car, sending: Sending) -> Answer:
        """With a new token, where the maker takes the old one no more: a lock may be sent again."""
        return await ask(platform, command.place, lambda maker, car: maker.lock(car, sending))

    state, body = await _send(lock, car, Sending(trace_id=command.id))
    while body.get("code") == "in_flight":
        # Another lock of ours is on its way to this car. It may have acted before the opening that this one answers,
        # so this one follows it, unless nobody wants it any more.
        await asyncio.sleep(IN_FLIGHT_S)
        async with platform.database.connection() as connection:
            row = await visits.get_visit(connection, command.visit_id)
            if not row.visit.wants_lock:
                await commands.end_command(connection, command.id, state, platform.clock.now())
                return
            await _set_lock_sent(platform, connection, command)
        state, body = await _send(lock, car, Sending(trace_id=command.id))
    await end_command(platform, command.id, command.visit_id, "lock", state, f"cloud:{maker.name}", body)


async def _set_lock_sent(platform: Platform, connection: AsyncConnection, command: CommandRow) -> None:
    """From now on the lock may leave, and is this worker's."""
    now = platform.clock.now()
    lease_until = now + timedelta(seconds=COMMAND_LEASE_S)
    await commands.set_sent(connection, command.id, platform.name, now, lease_until)


async def _let_unlock_leave(platform: Platform, visit_id: str) -> None:
    """A lock must not overtake the unlock it answers: wait until that has left, or never will (S4).

    An unlock whose gate has passed leaves within FIRST_BYTE_WITHIN_S or not at all, whoever carries it out.
    """
    async with platform.database.connection() as connection:
        sent_at = await commands.find_unlock_under_way(connection, visit_id)
    if sent_at is None:
        return
    passed_s = platform.clock.real_s((platform.clock.now() - sent_at).total_seconds())
    # Never longer than from now on, though a clock may have gone back since then.
    await asyncio.sleep(min(max(0.0, FIRST_BYTE_WITHIN_S - passed_s), FIRST_BYTE_WITHIN_S))


async def _send(
    verb: Callable[[Car, Sending], Awaitable[Answer]], car: Car, sending: Sending
) -> tuple[CommandState, dict[str, str]]:
    """Send one command; how it ended, and what may be said of it in the journal."""
    try:
        answer = await verb(car, sending)
    except CommandRejected as error:
        return CommandState.REJECTED, {"code": error.code}
    except CommandNotSent as error:
        return CommandState.NOT_SENT, {"code": error.code}
    except DeviceError as error:
        return CommandState.UNKNOWN, {"code": error.code}
    except Exception as error:
        # A fault of ours after the gate: nobody can swear that nothing has left.
        log.exception("a command failed in a way that no connector should", error=type(error).__name__)
        return CommandState.UNKNOWN, {"code": "platform_error"}
    body = {"evidence": answer.evidence.value}
    if answer.reference is not None:
        body["reference"] = answer.reference
    if answer.handle_until is not None:
        body["handle_until"] = text_of_time(answer.handle_until)
    return CommandState.DONE_SAYS_CLOUD, body


async def end_command(
    platform: Platform,
    command_id: str,
    visit_id: str,
    verb: str,
    state: CommandState,
    who: str,
    body: dict[str, str],
) -> None:
    """Record how a command ended, as a fact of its visit."""
    if verb == "unlock":
        fact = UNLOCK_FACTS[state]
    else:
        fact = Fact.LOCK_SAID_DONE if state is CommandState.DONE_SAYS_CLOUD else Fact.LOCK_FAILED
    now = platform.clock.now()
    async with platform.database.pipelined_transaction() as connection:
        row = await visits.lock_visit(connection, visit_id)
        await commands.end_command(connection, command_id, state, now)
        happening = Happening(
            fact=fact, who=who, kind=Kind.OUTCOME, body={**body, "command": command_id, "end": state.value}
        )
        await record_in(connection, row, happening, now)


async def read_place(platform: Platform, place: Place, *, is_ahead: bool = False) -> Incident | None:
    """Read a closure and keep what it says; why not, where that failed.

    `is_ahead` of a visit: the cloud is also asked whether the car would take a command, where it tells that.
    """

    async def look(maker: Maker, car: Car) -> Reading:
        reading = await maker.read(car, wants_position=True)
        if is_ahead:
            await maker.probe(car)
        return reading

    try:
        reading = await ask(platform, place, look)
    except DeviceError as error:
        refused = incident_of_error(error)
        async with platform.database.connection() as connection:
            await readings.save_refusal(connection, place.access_point_id, refused, platform.clock.now())
        return refused
    async with platform.database.connection() as connection:
        await readings.save_reading(connection, place.access_point_id, reading, platform.clock.now())
    return None


def incident_of_error(error: DeviceError) -> Incident:
    """Which incident it is that a device could not be read or reached."""
    if isinstance(error, DeviceAsleep):
        return Incident.DEVICE_ASLEEP
    if isinstance(error, ConsentLost):
        is_lapsed = error.code == "subscription"
        return Incident.DEVICE_SUBSCRIPTION_LAPSED if is_lapsed else Incident.DEVICE_CONSENT_LOST
    if error.code in ("rate_limited", "quota"):
        return Incident.DEVICE_QUOTA_USED_UP
    if error.code in ("outage", "busy", "vendor_down"):
        return Incident.DEVICE_CLOUD_OUTAGE
    return Incident.DEVICE_NO_READING


async def call_abandoned_unknown(platform: Platform, now: datetime, limit: int) -> int:
    """Commands whose worker never told their end: nobody can swear, so the end is unknown. How many there were.

    One whose visit can't be read or recorded keeps no other waiting; its error is raised once all are done.
    """
    broken: list[Exception] = []
    async with platform.database.connection() as connection:
        abandoned = await commands.list_abandoned(connection, now, limit)
    for command_id, visit_id, verb in abandoned:
        body = {"code": "worker_lost"}
        state = CommandState.UNKNOWN
        try:
            await end_command(platform, command_id, visit_id, verb, state, f"worker:{platform.name}", body)
        except DatabaseDown:
            raise
        except Exception as error:  # noqa: BLE001 - raised below
            broken.append(error)
    if broken:
        raise broken[0]
    return len(abandoned)
