"""Who did what: by a stop, a place or a person, the deeds, the looks and the visits, newest first, page after page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from litestar import Response

from unlatch.domain.deed import deed_text
from unlatch.domain.incident import Incident
from unlatch.domain.visit import Fact, State
from unlatch.store import consignees, console, deeds, looks, stops, visits
from unlatch.web.answering import ID
from unlatch.web.pages.consignee import look_text
from unlatch.web.pages.console import OPERATOR, spoken_of, worded
from unlatch.web.pages.page import Page, Seen, go_to, render

SHOWN = 50  # entries on a page
FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the answer."""

    at: datetime
    text: str
    who: str
    visit_id: str = ""
    place_id: str = ""  # where the answer is not about one place


RULED = {
    Fact.RULED_DELIVERED: "Inside: delivered",
    Fact.RULED_UNDELIVERED: "With the courier: not delivered",
}
PERSONS = {"con_": "consignee", "cou_": "courier", "ope_": "operator", "car_": "carrier"}


async def show_audit(seen: Seen) -> Response[Any]:
    """The question, and what is known of what it names. It shows no address, plate or position: no look is written."""
    params = seen.request.query_params
    asked = params.get("of", "").strip()[:80]
    since = _day(params.get("since", "")) or FIRST
    until = _day(params.get("until", ""))
    before = _moment(params.get("before", "")) or (LAST if until is None else until + timedelta(days=1))
    found: list[Entry] = []
    is_unknown = False
    if asked.startswith("vis_") and ID.fullmatch(asked):
        return go_to(f"/console/visits/{asked}")
    if asked[:4] in PERSONS and ID.fullmatch(asked):
        found = await _list_of_person(seen, f"{PERSONS[asked[:4]]}:{asked}", since, before)
    elif asked:
        place_id, stop_id = await _find_place(seen, asked)
        is_unknown = place_id is None and stop_id is None
        if not is_unknown:
            seen, found = await _list(seen, place_id, stop_id, before)
            found = [one for one in found if one.at >= since]
    page, earlier = _cut(found)
    return render(
        seen,
        "console/audit.html",
        status=404 if is_unknown else 200,
        asked=asked,
        since=params.get("since", "")[:10],
        until=params.get("until", "")[:10],
        is_unknown=is_unknown,
        entries=page,
        next=earlier,
    )


def _cut(found: list[Entry]) -> tuple[list[Entry], str | None]:
    """What one page shows, and before when the next one begins. What was done at one moment stands on one page."""
    if len(found) <= SHOWN:
        return found, None
    page = [one for one in found[:SHOWN] if one.at > found[SHOWN].at] or found[:SHOWN]
    return page, page[-1].at.isoformat()


async def _list_of_person(seen: Seen, who: str, since: datetime, before: datetime) -> list[Entry]:
    """Whatever they did, wherever: an id that nobody bears has done nothing."""
    async with seen.platform.database.connection() as connection:
        done = await console.list_done_by(connection, who, since=since, before=before, limit=SHOWN + 1)
    texts = {
        "deed": lambda what: deed_text(what, spoken_of(seen)),
        "look": lambda what: look_text(seen, what),
        "visit": lambda what: worded(seen, State(what)),
        "ruling": lambda what: seen.say("A ruling: %(what)s", what=seen.say(RULED[Fact(what)])),
        "call": lambda what: seen.say("A call was closed: %(what)s", what=worded(seen, Incident(what))),
        "frozen": lambda what: seen.say("Frozen: %(what)s", what=what),
        "thawed": lambda what: seen.say("A freeze was ended: %(what)s", what=what),
    }
    return [
        Entry(
            at=one.at,
            text=texts[one.kind](one.what),
            who=who,
            visit_id=one.visit or "",
            place_id=one.place or "",
        )
        for one in done
    ]


def _day(given: str) -> datetime | None:
    """Where that day begins, in UTC; None: it is none."""
    try:
        return datetime.combine(date.fromisoformat(given), time(), tzinfo=UTC)
    except ValueError:
        return None


def _moment(given: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


async def _find_place(seen: Seen, asked: str) -> tuple[str | None, str | None]:
    """The place, or the stop, of this id; neither where there is none."""
    if not ID.fullmatch(asked):
        return None, None
    async with seen.platform.database.connection() as connection:
        if asked.startswith("acc_") and await consignees.find_access_point(connection, asked) is not None:
            return asked, None
        if asked.startswith("stp_") and await stops.find_stop(connection, asked) is not None:
            return None, asked
    return None, None


async def _list(
    seen: Seen, place_id: str | None, stop_id: str | None, before: datetime
) -> tuple[Seen, list[Entry]]:
    """One more than a page shows, newest first; times of the place."""
    limit = SHOWN + 1
    async with seen.platform.database.connection() as connection:
        if place_id is None:
            assert stop_id is not None
            stop = await stops.find_stop(connection, stop_id)
            assert stop is not None
            place_id = stop.access_point_id
        point = await consignees.find_access_point(connection, place_id)
        assert point is not None
        done = await deeds.list_deeds(connection, place_id, before=before, limit=limit)
        looked = await looks.list_looks(connection, place_id, before=before, limit=limit)
        went = await visits.list_visits_of_place(connection, place_id, limit)
    found = [
        Entry(at=one.at, text=deed_text(one.what, spoken_of(seen)), who=one.who)
        for one in done
        if stop_id in (None, one.stop_id)
    ]
    found += [
        Entry(at=one.at, text=look_text(seen, one.what), who=one.who)
        for one in looked
        if stop_id in (None, one.stop_id)
    ]
    found += [
        Entry(
            at=one.begun_at,
            text=worded(seen, one.visit.state),
            who=f"courier:{one.courier_id}",
            visit_id=one.id,
        )
        for one in went
        if stop_id in (None, one.stop_id) and one.begun_at < before
    ]
    return seen.at_zone(point.time_zone), sorted(found, key=lambda one: one.at, reverse=True)


PAGES = (Page(method="GET", path="/console/audit", show=show_audit, readers=OPERATOR),)
