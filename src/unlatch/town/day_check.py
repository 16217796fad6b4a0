"""Was the promise kept? The day's accounts laid beside each other; each difference is a sentence.

- No courier was sent to a car that pre-flight had ruled out, and no unlock left for it.
- Every consignee got each notice exactly once, and each that what happened called for.
- Each parcel is in one place, where its courier left it; every car that was closed in the morning is closed and locked.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
import msgspec

from unlatch.domain.notice_timing import OF_DAY
from unlatch.town.api import Caller
from unlatch.town.client import TownClient
from unlatch.town.day import Day
from unlatch.town.day_plan import Trouble
from unlatch.town.desk import Parcel
from unlatch.town.post_office import Arrived
from unlatch.town.rounds import End, Lived
from unlatch.town.truth import count_unlocks_asked

AT_ONCE = 24
PLACES = {
    "neighbour": "at_fallback",
    "to_door": "at_fallback",
    "pickup_point": "at_fallback",
    "depot": "returned",
}
LEFT_SO = frozenset(
    {Trouble.LEFT_OPEN, Trouble.LEFT_UNLOCKED}
)  # by their owners: the platform never touches them
# Of one stop, these may come again: each attempt that failed is one of its own.
MAY_REPEAT = frozenset({"not_delivered", "not_secured", "opened_afterwards"})
CODE = "confirmation"  # what came before anything was booked


class StopSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What we read of a stop, as its carrier sees it."""

    state: str
    ruled_out: str | None
    ruled_out_at: datetime | None
    heading_at: datetime | None
    parcels: list[Parcel]


class NoticeSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What we read of a notice."""

    id: str
    event: str
    dispatches: list[dict[str, Any]]


class Notices(msgspec.Struct, frozen=True, kw_only=True):
    """One page of notices."""

    notices: list[NoticeSeen]


@dataclass(kw_only=True)
class Verdict:
    """What was found."""

    broken: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def need(self, *, holds: bool, text: str) -> None:
        """Write down what does not hold."""
        if not holds:
            self.broken.append(text)


async def check_day(day: Day) -> Verdict:
    """Everything, of every stop."""
    verdict = Verdict()
    gate = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(timeout=20, trust_env=False) as http:

        async def one(lived: Lived) -> None:
            async with gate:
                await _check_stop(day, lived, http, verdict)

        async with asyncio.TaskGroup() as group:
            for lived in day.lived:
                group.create_task(one(lived))
    verdict.need(
        holds=await day.operator.count_dispatches("failed") == 0, text="a notice could not be sent at all"
    )
    verdict.broken.sort()
    return verdict


async def _check_stop(day: Day, lived: Lived, http: httpx.AsyncClient, verdict: Verdict) -> None:
    number = f"stop {lived.errand.number} ({lived.errand.trouble or 'no trouble'}, {lived.end})"
    stop = await day.carrier.get(f"/v1/stops/{lived.stop_id}", StopSeen)
    verdict.counts[lived.end] += 1
    verdict.counts["ruled_out"] += stop.ruled_out is not None
    verdict.counts["troubled"] += lived.errand.trouble is not None
    verdict.counts["mended"] += lived.mended
    verdict.counts["sent"] += lived.was_sent
    verdict.counts["visits"] += len(lived.visit_ids)
    _check_sent(number, lived, stop, verdict)
    await _check_car(number, day.town, lived, stop, verdict)
    _check_parcel(number, lived, stop, verdict)
    consignee = Caller(day.carrier.base_url, lived.consignee_key, http=http)
    page = await consignee.get("/v1/me/notices?limit=100", Notices)
    _check_notices(number, lived, page.notices, day.mails.get(lived.errand.number, []), verdict)


def _check_sent(number: str, lived: Lived, stop: StopSeen, verdict: Verdict) -> None:
    verdict.need(holds=lived.end is not End.LOST, text=f"{number}: never came to an end: {lived.told}")
    is_after = (
        stop.ruled_out_at is not None and stop.heading_at is not None and stop.heading_at >= stop.ruled_out_at
    )
    verdict.need(holds=not is_after, text=f"{number}: the courier was sent after {stop.ruled_out}")
    if lived.errand.trouble is None or lived.mended:
        is_well = lived.end is End.DELIVERED or lived.was_sent
        verdict.need(holds=is_well, text=f"{number}: nobody was sent to a car that was well: {lived.told}")
    else:
        verdict.need(
            holds=not lived.was_sent, text=f"{number}: sent to a car that was not well: {lived.told}"
        )


async def _check_car(number: str, town: TownClient, lived: Lived, stop: StopSeen, verdict: Verdict) -> None:
    rows = await town.whole_ledger(vin=lived.errand.vin)
    asked = count_unlocks_asked(rows)
    verdict.counts["unlocks"] += asked
    if stop.ruled_out is not None and not lived.was_sent:
        verdict.need(holds=asked == 0, text=f"{number}: {asked} unlocks were asked for a ruled-out car")
    if lived.errand.trouble not in LEFT_SO or lived.mended:
        truth = await town.state(lived.errand.vin)
        verdict.need(holds=truth.is_secured, text=f"{number}: the car is not closed and locked")


def _check_parcel(number: str, lived: Lived, stop: StopSeen, verdict: Verdict) -> None:
    wanted = "in_place" if lived.end is End.DELIVERED else PLACES.get(lived.fallback, "?")
    places = [parcel.place for parcel in stop.parcels]
    verdict.need(holds=places == [wanted], text=f"{number}: the parcel is {places}, not {wanted}")
    state = "delivered" if lived.end is End.DELIVERED else "fallback_done"
    verdict.need(holds=stop.state == state, text=f"{number}: the stop is {stop.state}, not {state}")


def _check_notices(
    number: str, lived: Lived, told: Sequence[NoticeSeen], letters: Sequence[Arrived], verdict: Verdict
) -> None:
    """Each notice is in the mailbox once; each that was called for is there; none comes again.

    But for what things overtook while its letter waited for a process that was killed: that says so of itself.
    """
    came = Counter(letter.event for letter in letters if letter.event and letter.event != CODE)
    overtaken = Counter(notice.event for notice in told if _was_overtaken(notice))
    noted = Counter(notice.event for notice in told) - overtaken
    verdict.counts["overtaken"] += overtaken.total()
    verdict.counts["notices"] += noted.total()
    verdict.counts["repeats_on_the_wire"] += sum(letter.times - 1 for letter in letters)
    verdict.need(holds=came == noted, text=f"{number}: told {dict(noted)}, but the mailbox has {dict(came)}")
    again = {event: count for event, count in came.items() if count > 1 and event not in MAY_REPEAT}
    verdict.need(holds=not again, text=f"{number}: told again: {again}")
    missing = [event for event in _list_called_for(lived) if not came[event] and not overtaken[event]]
    verdict.need(holds=not missing, text=f"{number}: never told: {missing}")
    false = [event for event in _list_never(lived) if came[event]]
    verdict.need(holds=not false, text=f"{number}: told what was not so: {false}")


def _was_overtaken(notice: NoticeSeen) -> bool:
    """Only what tells of the day can be: how it ended is told however late."""
    is_of_the_day = notice.event in OF_DAY
    return (
        is_of_the_day
        and bool(notice.dispatches)
        and all(one["state"] == "dropped" for one in notice.dispatches)
    )


def _list_called_for(lived: Lived) -> list[str]:
    """What this stop's consignee had to be told."""
    events: Mapping[str, bool] = {
        "booked": True,
        "morning_of_delivery": True,
        "courier_on_the_way": lived.was_sent,
        "courier_arriving": lived.has_located,
        "unlocked": lived.end is End.DELIVERED,
        "delivered": lived.end is End.DELIVERED,
        "fallback_done": lived.end is End.FALLBACK,
        "preflight_failed": lived.mended,
        "preflight_mended": lived.mended,
        "ruled_out": lived.errand.trouble is not None and not lived.mended,
    }
    return [event for event, is_due in events.items() if is_due]


def _list_never(lived: Lived) -> list[str]:
    """What would have been a lie."""
    events: Mapping[str, bool] = {
        "delivered": lived.end is not End.DELIVERED,
        "fallback_done": lived.end is End.DELIVERED,
        "courier_on_the_way": not lived.was_sent,
        "ruled_out": lived.errand.trouble is None,
        "preflight_failed": lived.errand.trouble is None,
        "booking_cancelled": True,
    }
    return [event for event, is_false in events.items() if is_false]
