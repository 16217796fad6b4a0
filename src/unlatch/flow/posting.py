"""Notices leave: from rows to dispatches, and from dispatches to the outside, each tried again until it is taken on.

    notice (posted_at NULL) -> post() -> a dispatch for each channel that wants it -> dispatch() -> sender

Everything is a row, so any number of workers share the work and what one leaves undone another does. A dispatch is
claimed for a while (real seconds, since sockets live by them); a worker that dies lets that time run out. So a letter
is sent at least once, and bears an id by which a repeat is known as the same (`notices/base.py`). When it is due, and
when it is tried again, goes by the platform's clock, as the day that it tells of does.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

import structlog

from unlatch.domain.notice import (
    GROUPS,
    ChannelKind,
    DispatchState,
    NoticeEvent,
    NoticeGroup,
    NoticeReader,
    is_urgent,
)
from unlatch.domain.notice_texts import write_notice
from unlatch.domain.notice_timing import (
    CHANGES_TOLD_AT_ONCE,
    CHANGES_WAIT_S,
    CHANGES_WITHIN_S,
    SWINGS,
    QuietHours,
    is_overtaken,
    is_pointless,
    leaves_at,
)
from unlatch.domain.wording import Language
from unlatch.errors import DatabaseDown, SealBroken
from unlatch.flow.failpoint import Point, reach
from unlatch.flow.platform import Platform
from unlatch.notices.base import Letter, NotDelivered
from unlatch.notices.dispatcher import AT_ONCE
from unlatch.store import channels, dispatches
from unlatch.store.dispatches import NewDispatch, TakenRow, UnpostedRow

log = structlog.get_logger(__name__)

POST_AT_ONCE = 200
POST_EVERY_S = 0.25  # real seconds between looks while there is nothing
BACKOFF_S = (10, 60, 300, 1800, 7200)  # after the first try that failed, the second ...; then it is given up
REST_S = 5.0  # of a channel after a failure; twice as long after each further one in a row
LONGEST_REST_S = 300.0
SEND_WITHIN_S = 15.0  # real; every sender has a shorter limit of its own
SOON_S = 1.0
URGENT_AHEAD_S = 3600  # an alarm stands in the queue as if it had waited so long already
A_CHANNEL_AT_ONCE = 4
# Of one reader's channels of one kind together: a quarter of what a process sends, however many channels they have.
A_READER_AT_ONCE = {kind.value: max(1, most // 4) for kind, most in AT_ONCE.items()}
GOES_ON_FOR_S = 3.0  # real: what is on its way when the worker is told to end may still end well
POINTLESS = "it would help nobody any more"
OVERTAKEN = "a newer notice tells how it stands"


# ---------------------------------------------------------------- from notices to dispatches


async def post(platform: Platform, limit: int) -> int:
    """Make the dispatches of up to `limit` notices, the oldest first. How many notices there were."""
    now = platform.clock.now()
    async with platform.database.transaction() as connection:
        rows = await dispatches.list_unposted(
            connection,
            limit,
            swings=SWINGS,
            within_s=CHANGES_WITHIN_S,
            most_changes=CHANGES_TOLD_AT_ONCE,
        )
        notice_ids = list(dict.fromkeys(row.notice_id for row in rows))
        if notice_ids:
            planned = [one for row in rows if (one := plan_dispatch(row, now)) is not None]
            await dispatches.insert_dispatches(connection, notice_ids, planned, now)
            swinging = {row.notice_id for row in rows if row.event in SWINGS and not row.is_overtaken}
            newest = [one for one in planned if one.notice_id in swinging]
            if newest:
                await dispatches.drop_overtaken(
                    connection, newest, swings=SWINGS, within_s=CHANGES_WITHIN_S, why=OVERTAKEN
                )
    return len(notice_ids)


def plan_dispatch(row: UnpostedRow, now: datetime) -> NewDispatch | None:
    """What is to happen with this notice on this channel; None: it is not wanted there. No I/O."""
    if row.channel_id is None or row.kind is None:
        return None
    event = NoticeEvent(row.event)
    if GROUPS[event] is not NoticeGroup.ALARM and GROUPS[event].value in (row.groups_off or ()):
        return None
    quiet = _quiet_hours(row.quiet_from, row.quiet_until, row.time_zone)
    is_too_often = row.changes >= CHANGES_TOLD_AT_ONCE
    not_before = (row.waits_until or now + timedelta(seconds=CHANGES_WAIT_S)) if is_too_often else now
    at = leaves_at(event, quiet, max(now, not_before))
    dropped = OVERTAKEN if row.is_overtaken else None
    if is_pointless(event, row.facts, told_at=row.created_at, at=at):
        dropped = POINTLESS
    if dropped is not None:
        return NewDispatch(
            notice_id=row.notice_id,
            channel_id=row.channel_id,
            kind=row.kind,
            state=DispatchState.DROPPED,
            next_at=None,
            why=dropped,
        )
    why = None
    if at > now:
        why = "waits, as it changes often" if at == not_before else "waits for the end of the quiet hours"
    if is_urgent(event):
        at -= timedelta(seconds=URGENT_AHEAD_S)
    return NewDispatch(
        notice_id=row.notice_id,
        channel_id=row.channel_id,
        kind=row.kind,
        state=DispatchState.DUE,
        next_at=at,
        why=why,
    )


def _quiet_hours(begins: time | None, ends: time | None, zone: str | None) -> QuietHours | None:
    if begins is None or ends is None or zone is None:
        return None
    return QuietHours(from_local=begins, until_local=ends, zone=ZoneInfo(zone))


# ---------------------------------------------------------------- from dispatches to the outside


async def dispatch(platform: Platform, stop: asyncio.Event) -> None:
    """Send what is due until `stop` is set, of each kind as much at once as it may have."""
    office = Office(platform=platform)
    try:
        while not stop.is_set():
            if not await office.take_on():
                await office.pause(stop)
    finally:
        await office.close()


@dataclass(kw_only=True)
class Office:
    """The letters that this process has on their way."""

    platform: Platform
    under_way: dict[asyncio.Task[None], TakenRow] = field(default_factory=dict)

    async def take_on(self) -> bool:
        """Claim what is due and there is room for. Whether there may be more."""
        used = Counter(taken.kind for taken in self.under_way.values())
        free = {
            kind.value: most - used[kind.value] for kind, most in AT_ONCE.items() if most > used[kind.value]
        }
        if not free:
            return False
        clock = self.platform.clock
        now = clock.now()
        # Whoever holds a letter ends its try within that time, and shows a sign of life, or another takes over.
        lease_s = (SEND_WITHIN_S + self.platform.settings.take_over_s) * clock.factor
        async with self.platform.database.connection() as connection:
            found = await dispatches.claim_due(
                connection,
                free=free,
                under_way=self.under_way.values(),
                a_channel=A_CHANNEL_AT_ONCE,
                a_reader=A_READER_AT_ONCE,
                now=now,
                soon=now + timedelta(seconds=SOON_S),
                lease=now + timedelta(seconds=lease_s),
            )
        for taken in found:
            task = asyncio.create_task(_send_one(self.platform, taken))
            self.under_way[task] = taken
            task.add_done_callback(self._forget)
        return bool(found)

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self.under_way[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its time runs out, and it is tried again.
            log.warning("a letter's end was not recorded", why=type(error).__name__)

    async def pause(self, stop: asyncio.Event) -> None:
        """Until `stop`, for a moment, or, where all is full, until there is room."""
        waiting = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({waiting}, timeout=POST_EVERY_S)
        finally:
            waiting.cancel()

    async def close(self) -> None:
        """Give what is on its way a moment; the rest is sent again, by whoever takes over."""
        if self.under_way:
            await asyncio.wait(set(self.under_way), timeout=GOES_ON_FOR_S)
        for task in set(self.under_way):
            task.cancel()
        await asyncio.gather(*self.under_way, return_exceptions=True)


async def _send_one(platform: Platform, taken: TakenRow) -> None:
    """Send one letter and write down how that ended."""
    event, now = NoticeEvent(taken.event), platform.clock.now()
    if is_pointless(event, taken.facts, told_at=taken.created_at, at=now):
        await _finish(platform, taken, DispatchState.DROPPED, why=POINTLESS, was_tried=False)
        return
    if _is_overtaken(event, taken):
        await _finish(platform, taken, DispatchState.DROPPED, why=OVERTAKEN, was_tried=False)
        return
    quiet = _quiet_hours(taken.quiet_from, taken.quiet_until, taken.time_zone)
    if (later := leaves_at(event, quiet, now)) > now:
        # It was tried before the quiet hours, or waited until they had begun.
        why = "waits for the end of the quiet hours"
        await _finish(platform, taken, DispatchState.DUE, next_at=later, why=why, was_tried=False)
        return
    try:
        address = platform.vault.open_mapping(taken.sealed, taken.channel_id)
        async with asyncio.timeout(SEND_WITHIN_S):
            await platform.dispatcher.send(ChannelKind(taken.kind), address, write_letter(taken))
    except NotDelivered as failure:
        await _record_failure(platform, taken, failure)
    except SealBroken:
        await _record_failure(
            platform, taken, NotDelivered("its address can't be opened", may_be_retried=False)
        )
    except TimeoutError:
        await _record_failure(platform, taken, NotDelivered("it took too long"))
    except DatabaseDown:
        raise
    except Exception as error:  # noqa: BLE001 - a sender's fault is this letter's alone
        log.warning("a sender is broken", kind=taken.kind, why=type(error).__name__)
        await _record_failure(platform, taken, NotDelivered(f"our sender is broken ({type(error).__name__})"))
    else:
        reach(platform.settings, Point.AFTER_LETTER)
        await _finish(platform, taken, DispatchState.SENT)


def _is_overtaken(event: NoticeEvent, taken: TakenRow) -> bool:
    """Whether the booking is another one by now. A carrier's back end is told all: it goes by the timestamps."""
    if taken.reader != NoticeReader.CONSIGNEE or taken.stop is None:
        return False
    return is_overtaken(
        event, taken.facts, taken.stop, place_id=taken.access_point_id, told_at=taken.created_at
    )


def write_letter(taken: TakenRow) -> Letter:
    """What this channel is told, worded. No I/O."""
    event, language = NoticeEvent(taken.event), Language(taken.language)
    zone: tzinfo = ZoneInfo(taken.place_zone) if taken.place_zone else UTC
    words = write_notice(event, NoticeReader(taken.reader), language, taken.facts, zone)
    ids = {
        "access_point_id": taken.access_point_id,
        "stop_id": taken.stop_id,
        "visit_id": taken.visit_id,
    }
    return Letter(
        notice_id=taken.notice_id,
        channel_id=taken.channel_id,
        event=event.value,
        is_urgent=is_urgent(event),
        language=language,
        subject=words.subject,
        body=words.body,
        told_at=taken.created_at,
        data={**{name: value for name, value in ids.items() if value}, "facts": taken.facts},
    )


async def _record_failure(platform: Platform, taken: TakenRow, failure: NotDelivered) -> None:
    now = platform.clock.now()
    if failure.is_gone:
        async with platform.database.transaction() as connection:
            await dispatches.finish_dispatch(
                connection, taken, state=DispatchState.FAILED, now=now, why=failure.why
            )
            await channels.end_channel(connection, taken.channel_id, why=failure.why, now=now)
        return
    if not failure.may_be_retried or taken.tries > len(BACKOFF_S):
        await _finish(
            platform, taken, DispatchState.FAILED, why=failure.why, has_failed=failure.may_be_retried
        )
        return
    next_at = now + timedelta(seconds=BACKOFF_S[taken.tries - 1])
    await _finish(platform, taken, DispatchState.DUE, next_at=next_at, why=failure.why, has_failed=True)


async def _finish(
    platform: Platform,
    taken: TakenRow,
    state: DispatchState,
    *,
    next_at: datetime | None = None,
    why: str | None = None,
    has_failed: bool = False,
    was_tried: bool = True,
) -> None:
    async with platform.database.connection() as connection:
        await dispatches.finish_dispatch(
            connection,
            taken,
            state=state,
            now=platform.clock.now(),
            next_at=next_at,
            why=why,
            has_failed=has_failed,
            was_tried=was_tried,
            rest_s=REST_S,
            longest_rest_s=LONGEST_REST_S,
        )
