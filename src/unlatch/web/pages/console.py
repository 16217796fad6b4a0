"""The operator's console: who is to be looked after, what is under way, one visit whole. Nothing here unlocks (S8)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from litestar import Response
from litestar.response import Stream

from unlatch.domain.incident import Incident
from unlatch.domain.visit import FINAL, State, Tail
from unlatch.domain.wording import Language, text_of
from unlatch.domain.wording import Reader as TextReader
from unlatch.store import consignees, console, lines
from unlatch.store.console import CloudHour
from unlatch.web.api import operator as desk
from unlatch.web.api import passes, visits
from unlatch.web.api.operator import Ruling
from unlatch.web.api.passes import GlassBody
from unlatch.web.api.visits import NO_PROXY_BUFFER
from unlatch.web.board import CALLS_SHOWN, VISITS_SHOWN, TooManyWatchers
from unlatch.web.pages.consignee import read_body
from unlatch.web.pages.page import Page, Seen, asker_of, environment, go_to, render
from unlatch.web.problems import ProblemError, Trouble
from unlatch.web.reading_room import get_visit_for
from unlatch.web.signing_in import Reader
from unlatch.web.visit_shapes import show_line

OPERATOR = frozenset({"operator"})
LINES_SHOWN = 600
COMMANDS_SHOWN = 50
COMMANDS_COUNTED = 20_000
LOOK_LASTS = timedelta(minutes=30)  # an operator who goes on looking at the map has looked once
# The protocol's states as a person reads them, from the scan to the end. Each stands in one phase.
PHASES: tuple[tuple[State, ...], ...] = (
    (State.REQUESTED, State.RINGING, State.ANSWERED, State.PROVING, State.GRANTED),
    (State.UNLOCKING, State.IN_DOUBT, State.READY, State.UNLOCKED),
    (State.OPEN, State.OPEN_LONG, State.CLOSED),
    (State.LOCKING, State.STUCK, State.LOCKING_AGAIN, State.HANDLE_CHECK, State.UNSECURED),
    (State.ACCOUNTING, State.REVIEW),
    tuple(state for state in State if state in FINAL),
)


def spoken_of(seen: Seen) -> Language:
    """The page's language, as the domain names it."""
    return Language(seen.speech.language)


def worded(seen: Seen, word: State | Incident) -> str:
    """A state or an incident, as operators read it."""
    return text_of(word, TextReader.OPERATOR, spoken_of(seen))


def real_moment(seen: Seen, at: datetime | None) -> str:
    """When that comes by the browser's own clock (a town's clock may run faster than it)."""
    if at is None:
        return ""
    clock = seen.platform.clock
    left_s = clock.real_s((at - clock.now()) / timedelta(seconds=1))
    return (datetime.now(at.tzinfo) + timedelta(seconds=left_s)).isoformat(timespec="seconds")


# ---- live -------------------------------------------------------------------------------------------------


async def show_live(seen: Seen) -> Response[Any]:
    """Calls, the most urgent first, each with a clock; and all that is under way."""
    async with seen.platform.database.connection() as connection:
        calls = await console.list_called(connection, limit=CALLS_SHOWN)
        under_way = await console.list_under_way(connection, limit=VISITS_SHOWN)
    return render(
        seen,
        "console/live.html",
        calls=calls,
        visits=under_way,
        is_cut=len(under_way) == VISITS_SHOWN,
        **_texts(seen),
    )


def _texts(seen: Seen) -> dict[str, Any]:
    """What the parts of the live page are worded with."""
    return {
        "state_text": lambda state: worded(seen, State(state)),
        "incident_text": lambda incident: worded(seen, Incident(incident)),
        "tail_text": lambda tail: _tail_text(seen, Tail(tail)),
        "moment": lambda at: real_moment(seen, at),
    }


async def follow_live(seen: Seen) -> Response[Any]:
    """The same as events: all that is under way, then each row that changes, drawn."""
    try:
        changes = seen.hub.board.follow()
    except TooManyWatchers:
        raise ProblemError(
            Trouble.TOO_MANY, "too many consoles follow", headers={"Retry-After": "5"}
        ) from None
    template = environment(seen.speech.language).get_template("console/live_parts.html")
    parts: Any = await asyncio.to_thread(lambda: template.make_module(_texts(seen)))

    async def tell() -> AsyncIterator[bytes]:
        is_first = True
        async for change in changes:
            if change is None:
                yield b": alive\n\n"
                continue
            told = {
                "all": is_first,
                "rows": {one.id: str(parts.row(one)) for one in change.changed},
                "gone": change.gone,
                "calls": None if change.calls is None else str(parts.calls_list(change.calls)),
                "called": None if change.calls is None else len(change.calls),
                "count": f"{change.count}{'+' if change.count == VISITS_SHOWN else ''}",
            }
            is_first = False
            yield b"event: board\ndata: " + msgspec.json.encode(told) + b"\n\n"

    return Stream(tell(), media_type="text/event-stream", headers=NO_PROXY_BUFFER)


def _tail_text(seen: Seen, tail: Tail) -> str:
    return {
        Tail.WATCHING: seen.say("watched after its end"),
        Tail.ALARM: seen.say("alarm after its end"),
        Tail.BLIND: seen.say("not seen after its end"),
    }.get(tail, "")


# ---- one visit --------------------------------------------------------------------------------------------


async def show_visit_page(seen: Seen) -> Response[Any]:
    """One visit whole: where it stands in the protocol, how it came there, what may be ruled."""
    visit = await seen.ask(visits.read_visit, visit_id=seen.path["visit_id"])
    assert seen.session is not None
    async with seen.platform.database.connection() as connection:
        row = await get_visit_for(connection, asker_of(seen.session, seen.me), visit.id)
        kept = await lines.list_new_lines(connection, {row.id: 0}, limit=LINES_SHOWN)
        commands = await console.list_commands_of_visit(connection, row.id, limit=COMMANDS_SHOWN)
        calls = [
            one for one in await console.list_called(connection, limit=CALLS_SHOWN) if one.visit_id == row.id
        ]
        point = await consignees.find_access_point(connection, row.access_point_id)
    assert point is not None
    seen = seen.at_zone(point.time_zone)
    journal = [show_line(one, Reader.OPERATOR, seen.speech.language) for one in kept]
    return render(
        seen,
        "console/visit.html",
        visit=visit,
        row=row,
        point=point,
        journal=journal,
        commands=commands,
        calls=calls,
        phases=_draw(seen, [line.state for line in journal if line.state], visit.state),
        command_text=lambda state: _command_text(seen, state),
        tail_text=_tail_text(seen, visit.tail),
        may_rule=row.visit.waits_for_person,
        incident_text=lambda incident: worded(seen, Incident(incident)),
        secure_by=real_moment(seen, row.visit.secure_by),
        deadline=real_moment(seen, visit.deadline_at),
    )


def _draw(seen: Seen, way: list[str], now: State) -> list[tuple[str, list[dict[str, Any]]]]:
    """The protocol's diagram: each phase with its states, those that were gone through numbered."""
    names = (
        seen.say("Asking"), seen.say("Unlocking"), seen.say("Open"), seen.say("Locking"),
        seen.say("Where is the parcel?"), seen.say("The end"),
    )  # fmt: skip
    first = {state: number for number, state in reversed(list(enumerate(dict.fromkeys(way), 1)))}
    return [
        (
            name,
            [
                {
                    "name": state.value,
                    "text": worded(seen, state),
                    "number": first.get(state.value),
                    "is_now": state is now,
                }
                for state in states
            ],
        )
        for name, states in zip(names, PHASES, strict=True)
    ]


def _command_text(seen: Seen, state: str) -> str:
    return {
        "intent": seen.say("waits for its gate"),
        "sent": seen.say("left, no word yet"),
        "done_says_cloud": seen.say("done, says the cloud"),
        "rejected": seen.say("refused by the cloud"),
        "not_sent": seen.say("never left"),
        "unknown": seen.say("no word: may have happened"),
    }.get(state, state)


def _back(seen: Seen) -> Response[Any]:
    return go_to(f"/console/visits/{seen.path['visit_id']}")


async def rule(seen: Seen) -> Response[Any]:
    """Where the parcel is, as a person found out."""
    seen.require_step_up()
    body = read_body(Ruling, {name: seen.form.get(name, "").strip() for name in ("ruling", "why")})
    await seen.ask_in_transaction(desk.rule_visit, body=body, visit_id=seen.path["visit_id"])
    return _back(seen)


async def close_call(seen: Seen) -> Response[Any]:
    """A person has looked, and it is over."""
    await seen.ask_in_transaction(desk.close_call, call_id=seen.form.get("call", "")[:80])
    return _back(seen)


async def freeze(seen: Seen) -> Response[Any]:
    """Nothing opens at this place any more; in one press, as it only closes."""
    await seen.ask_in_transaction(desk.freeze_place, access_point_id=await _place_of(seen))
    return _back(seen)


async def thaw(seen: Seen) -> Response[Any]:
    """Widens: shown once more who they are, in a browser that is not new."""
    seen.require_step_up()
    seen.require_settled()
    await seen.ask_in_transaction(desk.unfreeze_place, access_point_id=await _place_of(seen))
    return _back(seen)


async def break_glass(seen: Seen) -> Response[Any]:
    """See the recordings without having been let: the household is told, with the reason."""
    seen.require_step_up()
    seen.require_settled()
    body = read_body(GlassBody, {"reason": seen.form.get("reason", "").strip()})
    await seen.ask_in_transaction(passes.break_glass, body=body, visit_id=seen.path["visit_id"])
    return _back(seen)


async def _place_of(seen: Seen) -> str:
    assert seen.session is not None
    async with seen.platform.database.connection() as connection:
        row = await get_visit_for(connection, asker_of(seen.session, seen.me), seen.path["visit_id"])
    return row.access_point_id


# ---- clouds -----------------------------------------------------------------------------------------------


async def show_clouds(seen: Seen) -> Response[Any]:
    """How each maker's cloud took our commands within the last day."""
    since = seen.platform.clock.now() - timedelta(days=1)
    async with seen.platform.database.connection() as connection:
        rows = await console.list_clouds(connection, since, limit=COMMANDS_COUNTED)
        hours = await console.list_cloud_hours(connection, since, limit=COMMANDS_COUNTED)
    labels = {name: maker.label for name, maker in seen.platform.makers.makers.items()}
    by_maker: dict[str, list[CloudHour]] = {}
    for one in hours:
        by_maker.setdefault(one.maker, []).append(one)
    charts = [(labels.get(maker, maker), _chart(found)) for maker, found in by_maker.items()]
    return render(
        seen, "console/clouds.html", rows=rows, labels=labels, counted=COMMANDS_COUNTED, charts=charts
    )


def _chart(hours: Sequence[CloudHour]) -> str:
    """What the page's script draws: hours as seconds since 1970, spans in seconds, ends in per cent."""
    drawn = {
        "hours": [round(one.hour.timestamp()) for one in hours],
        "p50": [one.p50_s for one in hours],
        "p90": [one.p90_s for one in hours],
        "done": [round(100 * one.done / one.all_of_them, 1) for one in hours],
        "unknown": [round(100 * one.unknown / one.all_of_them, 1) for one in hours],
    }
    return msgspec.json.encode(drawn).decode()


# ---- the map ----------------------------------------------------------------------------------------------


async def show_map(seen: Seen) -> Response[Any]:
    """A map that shows nothing yet: where people's cars and homes are is asked for, and told to them."""
    visit_id = seen.request.query_params.get("visit", "")[:80]
    return render(seen, "console/map.html", visit_id=visit_id)


async def give_points(seen: Seen) -> Response[Any]:
    """Where what is under way is. Each place that this person has not looked at lately gets a look (A3)."""
    now = seen.platform.clock.now()
    async with seen.platform.database.transaction() as connection:
        points = await console.show_points(
            connection,
            f"operator:{seen.me.id}",
            seen.form.get("visit", "")[:80],
            now=now,
            since=now - LOOK_LASTS,
            limit=VISITS_SHOWN,
        )
    told = [
        {
            "id": one.id,
            "text": f"{worded(seen, State(one.state))} · {one.courier}",
            "tone": "bad" if one.is_called else "quiet" if State(one.state) in FINAL else "good",
            "place": [one.latitude, one.longitude],
            "range_m": one.range_m if one.kind == "car" else 0,
            "car": None if one.car_latitude is None else [one.car_latitude, one.car_longitude],
            "accuracy_m": one.car_accuracy_m or 0,
            "seen": "" if one.observed_at is None else seen.speech.ago(one.observed_at, now),
        }
        for one in points
    ]
    return Response(
        msgspec.json.encode(told), media_type="application/json", headers={"cache-control": "no-store"}
    )


PAGES = (
    Page(method="GET", path="/console", show=show_live, readers=OPERATOR),
    Page(method="GET", path="/console/live", show=follow_live, readers=OPERATOR),
    Page(method="GET", path="/console/map", show=show_map, readers=OPERATOR),
    Page(method="POST", path="/console/map/points", show=give_points, readers=OPERATOR),
    Page(method="GET", path="/console/clouds", show=show_clouds, readers=OPERATOR),
    Page(method="GET", path="/console/visits/{visit_id}", show=show_visit_page, readers=OPERATOR),
    Page(method="POST", path="/console/visits/{visit_id}/rule", show=rule, readers=OPERATOR),
    Page(method="POST", path="/console/visits/{visit_id}/close", show=close_call, readers=OPERATOR),
    Page(method="POST", path="/console/visits/{visit_id}/freeze", show=freeze, readers=OPERATOR),
    Page(method="POST", path="/console/visits/{visit_id}/thaw", show=thaw, readers=OPERATOR),
    Page(method="POST", path="/console/visits/{visit_id}/glass", show=break_glass, readers=OPERATOR),
)
