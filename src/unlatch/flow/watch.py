"""The watch: reads closures while their visits live, and their tails afterwards.

Which closure is due is a row (`visit.next_read_at`); claiming it moves the next reading on, so that any number
of workers share the work, and one that dies delays a reading and loses none.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from unlatch.domain.access import distance_m
from unlatch.domain.proof import Kind, text_of_time
from unlatch.domain.reading import Reading, Sight, sight_of
from unlatch.domain.visit import Fact, Tail, fact_of_sight
from unlatch.errors import DeviceError
from unlatch.flow.carry_out import incident_of_error
from unlatch.flow.platform import Platform
from unlatch.flow.record import Happening, change_of, save_change, tail_look_s
from unlatch.flow.refreshing import ask
from unlatch.flow.scan import position_body
from unlatch.store import readings, visits
from unlatch.store.readings import Place
from unlatch.store.visits import VisitRow

log = structlog.get_logger(__name__)

LEFT_ITS_PLACE_M = 100.0  # farther than this (and both accuracies) from where it stood: it drove off
LAST_LOOK_S = 15.0  # how often to look once a late unlock is no longer possible, until locked is seen
CLOCKS_APART_S = 2.0  # a cloud may tell whole seconds, and its clock may be behind ours
POSITION_EVERY_S = 30.0  # while a visit lives: has the car driven off?
CLAIM_FOR_S = 60.0  # a claimed reading that is never made is made again after this


async def claim_due(platform: Platform, limit: int) -> list[tuple[VisitRow, Place]]:
    """Up to `limit` visits whose closure this worker is to read now, and how to ask it."""
    now = platform.clock.now()
    again_at = now + timedelta(seconds=CLAIM_FOR_S)
    async with platform.database.connection() as connection:
        rows = await visits.claim_reads(connection, now, again_at, limit)
        places = await readings.find_places(connection, [row.access_point_id for row in rows]) if rows else {}
    return [(row, places[row.access_point_id]) for row in rows if row.access_point_id in places]


async def watch_once(platform: Platform, row: VisitRow, place: Place) -> None:
    """Read one closure, record what it says, and set when to look again."""
    wants_position = _wants_position(row, platform.clock.now())
    try:
        reading = await ask(
            platform, place, lambda maker, car: maker.read(car, wants_position=wants_position)
        )
    except DeviceError as error:
        log.info("a watched closure could not be read", visit=row.id, why=incident_of_error(error).value)
        await _look_again(platform, row)
        return
    await record_reading(platform, row.id, reading, f"cloud:{place.maker}")


def _wants_position(row: VisitRow, now: datetime) -> bool:
    """Now and then only: for some makers a position is a request of its own, and their limits are narrow."""
    if not row.visit.is_live:
        return False
    since_s = (now - row.begun_at).total_seconds()
    return since_s % POSITION_EVERY_S < row.visit.closure.read_every_s


async def record_reading(platform: Platform, visit_id: str, reading: Reading, who: str) -> VisitRow:
    """Record what a device says of its closure: which fact it is, the domain tells (S5, S7)."""
    now = platform.clock.now()
    async with platform.database.pipelined_transaction() as connection:
        row = await visits.lock_visit(connection, visit_id)
        parked = None
        if row.visit.is_live and reading.position is not None:  # without one there is nothing to compare
            parked = await readings.find_reading(connection, row.access_point_id)
        sight = sight_of(
            reading,
            row.visit.closure,
            last_used_at=row.last_observed_at,
            last_command_at=row.last_command_at,
        )
        observed_at = row.last_observed_at if sight is Sight.NOTHING else reading.observed_at
        # First what it shows of the closure, then whether the car has left: each is a fact of the visit that the one
        # before has led to. Seen locked, it may leave; seen open, its leaving is an alarm.
        is_news = row.last_observed_at is None or reading.observed_at > row.last_observed_at
        seen = fact_of_sight(row.visit, sight, reading.observed_at)
        has_left = is_news and row.visit.is_live and _has_left(reading, parked)
        for fact in (seen, Fact.DROVE_OFF if has_left else None):
            change = None if fact is None else change_of(row, _happening(fact, reading, who), now)
            if change is not None:
                row = change.after
                await save_change(connection, change, now)
        row = row.after(
            last_observed_at=observed_at,  # used, even where it changed nothing: an older one says nothing now (S7)
            next_read_at=_next_look_at(row, now),
        )
        await visits.update_visit(connection, row)
        return row


def _happening(fact: Fact, reading: Reading, who: str) -> Happening:
    return Happening(
        fact=fact,
        who=who,
        kind=Kind.READING,
        body={"observed_at": text_of_time(reading.observed_at)},
        private=None if reading.position is None else {"position": position_body(reading.position)},
        observed_at=reading.observed_at,
    )


def _has_left(reading: Reading, parked: Reading | None) -> bool:
    if reading.is_moving:
        return True
    if reading.position is None or parked is None or parked.position is None:
        return False
    slack_m = reading.position.accuracy_m + parked.position.accuracy_m
    return distance_m(reading.position, parked.position) > LEFT_ITS_PLACE_M + slack_m


def _next_look_at(row: VisitRow, now: datetime) -> datetime | None:
    """When to look again. A live visit at the pace its cloud bears; a tail seldom, and once when it may end."""
    visit = row.visit
    if not visit.is_watched:
        return None
    if visit.is_live or visit.tail is Tail.ALARM:
        return now + timedelta(seconds=visit.closure.read_every_s)
    if visit.late_until is None or now >= visit.late_until:
        return now + timedelta(seconds=LAST_LOOK_S)
    tail_at = now + timedelta(seconds=tail_look_s(visit))
    return min(tail_at, visit.late_until + timedelta(seconds=CLOCKS_APART_S))


async def _look_again(platform: Platform, row: VisitRow) -> None:
    """The reading failed: look again at the visit's own pace."""
    async with platform.database.connection() as connection:
        await visits.set_next_read(connection, row.id, _next_look_at(row, platform.clock.now()))
