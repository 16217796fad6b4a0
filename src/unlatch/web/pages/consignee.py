"""The consignee's app: what comes today, one delivery to the second, and what they may do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec
from litestar import Response
from psycopg import AsyncConnection

from unlatch.domain.access import Fallback, PlaceKind
from unlatch.domain.claim import ClaimKind
from unlatch.domain.claim_texts import kind_text
from unlatch.domain.deed import deed_text
from unlatch.domain.note import Note
from unlatch.domain.wording import Language
from unlatch.errors import BadInput
from unlatch.store import consignees, deeds, household, lines, looks, visits
from unlatch.web.answering import problem_of_validation
from unlatch.web.api import claims, consignee, deliveries, ratings, retention, stops, viewing
from unlatch.web.api.claim_shapes import ClaimBody
from unlatch.web.api.consignee import TimelineQuery, show_doer
from unlatch.web.api.deliveries import DeliveryQuery
from unlatch.web.api.ratings import RatingBody
from unlatch.web.api.stop_shapes import get_stop_for
from unlatch.web.api.stops import Extension, Redirection
from unlatch.web.api.viewing import TicketBody
from unlatch.web.pages.page import Page, Seen, asker_of, go_to, render
from unlatch.web.reading_room import get_visit_for
from unlatch.web.shapes import Language as Spoken
from unlatch.web.signing_in import Reader
from unlatch.web.visit_shapes import LineShown, find_reasons, show_line, show_visit

CONSIGNEE = frozenset({"consignee"})
VISITS_SHOWN = 5
LINES_SHOWN = 400
THINGS_SHOWN = 100  # looks and deeds of one delivery

Body = TypeVar("Body", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One line of a delivery's story."""

    at: datetime
    text: str
    who: str = ""
    more: str = ""
    photo: str = ""  # where it is to be seen
    is_bad: bool = False


def read_body(shape: type[Body], fields: Mapping[str, Any]) -> Body:
    """A body of the API, of a form's fields; those left empty are left out. Raises ProblemError naming the field."""
    given = {name: value for name, value in fields.items() if value not in ("", None)}
    try:
        return msgspec.convert(given, shape, strict=False)
    except msgspec.ValidationError as error:
        raise problem_of_validation(error) from None


def spoken_of(seen: Seen) -> Language:
    """The page's language, as the domain names it."""
    return Language(seen.speech.language)


def _literal(seen: Seen) -> Spoken:
    return "fr" if seen.speech.language == "fr" else "en"


async def at_home(seen: Seen) -> Seen:
    """The same with the times of their first place: for pages about all of them."""
    async with seen.platform.database.connection() as connection:
        places = await household.list_held_places(connection, seen.me.id)
    return seen.at_zone(places[0].time_zone) if places else seen


# ---- today ------------------------------------------------------------------------------------------------


async def show_today(seen: Seen) -> Response[Any]:
    """What is to come, with what stands in the way of it; and a place to block in one tap."""
    coming = await seen.ask(deliveries.list_my_deliveries, query=DeliveryQuery())
    async with seen.platform.database.connection() as connection:
        places = await household.list_held_places(connection, seen.me.id)
        under_way = await visits.list_live_visits_of_stops(
            connection, [one.stop_id for one in coming.deliveries]
        )
    return render(
        seen,
        "consignee/today.html",
        deliveries=coming.deliveries,
        more=coming.next,
        places={place.id: place for place in places},
        live={row.stop_id: show_visit(row, Reader.CONSIGNEE, _literal(seen)) for row in under_way},
        zoned=seen.at_zone,
        now=seen.platform.clock.now(),
    )


# ---- one delivery -----------------------------------------------------------------------------------------


async def show_delivery(seen: Seen) -> Response[Any]:
    """The whole story of a delivery: plan, visits, who looked, what may be done about it now."""
    stop = await seen.ask(stops.read_my_stop, stop_id=seen.path["stop_id"])
    async with seen.platform.database.connection() as connection:
        point = await consignees.find_access_point(connection, stop.access_point_id)
        assert point is not None
        seen = seen.at_zone(point.time_zone)
        vehicle = await consignees.find_vehicle(connection, point.id)
        shown = [
            show_visit(row, Reader.CONSIGNEE, _literal(seen), await find_reasons(connection, row))
            for row in await visits.list_visits_of_stop(connection, stop.id, VISITS_SHOWN)
        ]
        story = await _tell(seen, connection, stop.id, [visit.id for visit in shown])
        places = [
            place
            for place in await household.list_held_places(connection, seen.me.id)
            if place.id != point.id and not place.blocked_at
        ]
    coming = await seen.ask(deliveries.list_my_deliveries, query=DeliveryQuery(limit=50))
    delivery = next((one for one in coming.deliveries if one.stop_id == stop.id), None)
    return render(
        seen,
        "consignee/delivery.html",
        stop=stop,
        point=point,
        vehicle=vehicle,
        delivery=delivery,
        visits=shown,
        story=story,
        places=places,
        ways=_list_ways(seen),
        claim_kinds=[(kind, kind_text(kind, spoken_of(seen))) for kind in ClaimKind],
        extensions=_list_extensions(seen, stop.window_until, stop.extendable_until),
        is_home=point.kind == PlaceKind.HOME,
        now=seen.platform.clock.now(),
    )


def _list_ways(seen: Seen) -> list[tuple[Fallback, str]]:
    return [
        (Fallback.NEIGHBOUR, seen.say("To a neighbour")),
        (Fallback.PICKUP_POINT, seen.say("To a pick-up point")),
        (Fallback.TO_DOOR, seen.say("To the door")),
        (Fallback.TOMORROW, seen.say("Tomorrow")),
        (Fallback.DEPOT, seen.say("Keep it at the depot")),
    ]


def _list_extensions(seen: Seen, until: datetime, latest: datetime | None) -> list[tuple[str, str]]:
    """Later ends of the window that one may choose, each half an hour."""
    found: list[tuple[str, str]] = []
    at = until
    while latest is not None and at < latest and len(found) < 8:
        at = min(at + timedelta(minutes=30), latest)
        found.append((at.isoformat(), seen.speech.time(at)))
    return found


async def _tell(
    seen: Seen, connection: AsyncConnection, stop_id: str, visit_ids: list[str]
) -> list[Happening]:
    """All that happened to a delivery, to the second, the newest first."""
    language = _literal(seen)
    kept = await lines.list_new_lines(
        connection, dict.fromkeys(visit_ids, 0), limit=LINES_SHOWN, without=[Note.RECORDING_LINK]
    )
    told = [_tell_line(show_line(row, Reader.CONSIGNEE, language)) for row in kept]
    done = await deeds.list_deeds_of_stop(connection, stop_id, limit=THINGS_SHOWN)
    looked = await looks.list_newest_looks_of_stop(connection, stop_id, limit=THINGS_SHOWN)
    whose = {who.partition(":")[2] for who in [row.who for row in done] + [row.who for row in looked]}
    names = await household.list_names(connection, whose)
    for deed in done:
        who = show_doer(deed.who, seen.me.id, names, language)
        told.append(Happening(at=deed.at, text=deed_text(deed.what, spoken_of(seen)), who=who.text))
    for look in looked:
        who = show_doer(look.who, seen.me.id, names, language)
        told.append(Happening(at=look.at, text=look_text(seen, look.what), who=who.text))
    return sorted(told, key=lambda one: one.at, reverse=True)


def _tell_line(line: LineShown) -> Happening:
    return Happening(
        at=line.at,
        text=line.text,
        more=line.incident_text or "",
        is_bad=line.incident is not None,
        photo=f"/v1/visits/{line.visit_id}/photos/{line.photo}" if line.photo else "",
    )


def look_text(seen: Seen, what: str) -> str:
    """What someone looked at, in words."""
    kind, _, _ = what.partition(":")
    texts = {
        "position_and_plate": seen.say("Looked where the car is, and at its plate"),
        "door": seen.say("Looked where the door is"),
        "map": seen.say("Looked where it is, on a map"),
        "refused": seen.say("Asked where it is, and was not told"),
        "evidence": seen.say("Looked at the evidence"),
        "live": seen.say("Watched live"),
        "clip": seen.say("Watched the recording"),
    }
    return texts.get(kind, seen.say("Looked at it"))


def _back(seen: Seen) -> Response[Any]:
    return go_to(f"/me/deliveries/{seen.path['stop_id']}")


async def check_now(seen: Seen) -> Response[Any]:
    """Look at the car or the home now."""
    await seen.ask(deliveries.check_delivery, stop_id=seen.path["stop_id"])
    return _back(seen)


async def redirect(seen: Seen) -> Response[Any]:
    """Send it another way: `way` names a fallback, or a place of theirs."""
    way = seen.form.get("way", "")
    field = "access_point_id" if way.startswith("acc_") else "fallback"
    body = read_body(Redirection, {field: way})
    await seen.ask_in_transaction(stops.redirect_stop, body=body, stop_id=seen.path["stop_id"])
    return _back(seen)


async def keep(seen: Seen) -> Response[Any]:
    """Take the redirect back."""
    await seen.ask_in_transaction(stops.keep_stop, stop_id=seen.path["stop_id"])
    return _back(seen)


async def extend(seen: Seen) -> Response[Any]:
    """Let the courier come later."""
    body = read_body(Extension, {"until": seen.form.get("until")})
    await seen.ask_in_transaction(stops.extend_stop, body=body, stop_id=seen.path["stop_id"])
    return _back(seen)


async def rate(seen: Seen) -> Response[Any]:
    """Stars, and words if one likes."""
    body = read_body(RatingBody, {name: seen.form.get(name) for name in ("stars", "words")})
    await seen.ask_in_transaction(ratings.rate_visit, body=body, visit_id=await _visit_of_stop(seen))
    return _back(seen)


async def claim(seen: Seen) -> Response[Any]:
    """Something was wrong: about the newest visit, or the delivery where there was none."""
    body = read_body(ClaimBody, {name: seen.form.get(name) for name in ("kind", "words")})
    if seen.form.get("visit_id"):
        await seen.ask(claims.claim_visit, body=body, visit_id=await _visit_of_stop(seen))
    else:
        await seen.ask(claims.claim_stop, body=body, stop_id=seen.path["stop_id"])
    return _back(seen)


async def watch(seen: Seen) -> Response[Any]:
    """On to the page that shows the cameras of a visit, live and later."""
    body = read_body(TicketBody, {"kind": "page"})
    made = await seen.ask_in_transaction(
        viewing.make_watch_ticket, body=body, visit_id=await _visit_of_stop(seen)
    )
    return go_to(made.address.removeprefix(seen.platform.settings.public_url))


async def erase(seen: Seen) -> Response[Any]:
    """The recordings of a visit, for good: their keys are destroyed at once."""
    seen.require_step_up()
    visit_id = await _visit_of_stop(seen)
    await seen.ask_in_transaction(retention.erase_clips, visit_id=visit_id)
    return _back(seen)


async def _visit_of_stop(seen: Seen) -> str:
    """The visit that a form names, if it is one of this delivery. Raises BadInput, NotFound."""
    visit_id = seen.form.get("visit_id", "")[:80]
    assert seen.session is not None
    async with seen.platform.database.connection() as connection:
        asker = asker_of(seen.session, seen.me)
        await get_stop_for(connection, asker, seen.path["stop_id"])
        row = await get_visit_for(connection, asker, visit_id)
    if row.stop_id != seen.path["stop_id"]:
        raise BadInput("visit_id", seen.say("name a visit of this delivery"))
    return visit_id


# ---- blocking ---------------------------------------------------------------------------------------------


async def block(seen: Seen) -> Response[Any]:
    """One tap, without a question: nothing is opened there from now on."""
    await seen.ask_in_transaction(consignee.block_place, access_point_id=seen.path["place_id"])
    return go_to(_where_from(seen))


async def unblock(seen: Seen) -> Response[Any]:
    """Widens access: shown once more who they are, in a browser that is not new."""
    seen.require_step_up()
    seen.require_settled()
    await seen.ask_in_transaction(consignee.unblock_place, access_point_id=seen.path["place_id"])
    return go_to(_where_from(seen))


def _where_from(seen: Seen) -> str:
    """Where the button stood: today, a delivery, the places."""
    wanted = seen.form.get("to", "")
    stop_id = wanted.removeprefix("/me/deliveries/")
    if wanted != stop_id and stop_id.replace("_", "").isalnum() and len(stop_id) < 80:
        return wanted
    return wanted if wanted in ("/me", "/me/places") else "/me"


# ---- history ----------------------------------------------------------------------------------------------


async def show_history(seen: Seen) -> Response[Any]:
    """What happened at their places, newest first, page after page."""
    cursor = seen.request.query_params.get("cursor")
    query = TimelineQuery(cursor=cursor[:200] if cursor else None, limit=30)
    timeline = await seen.ask(consignee.read_timeline, query=query)
    seen = await at_home(seen)
    names = {place.id: place.name for place in timeline.places}
    kept: dict[str, Any] = {one.visit.id: one.visit for one in timeline.visits}
    kept |= {one.id: one for one in (*timeline.deeds, *timeline.looks)}
    entries = [(entry, kept[entry.id]) for entry in timeline.entries if entry.id in kept]
    return render(
        seen,
        "consignee/history.html",
        entries=entries,
        names=names,
        next=timeline.next,
        look_text=lambda what: look_text(seen, what),
    )


PAGES = (
    Page(method="GET", path="/me", show=show_today, readers=CONSIGNEE),
    Page(method="GET", path="/me/history", show=show_history, readers=CONSIGNEE),
    Page(method="GET", path="/me/deliveries/{stop_id}", show=show_delivery, readers=CONSIGNEE),
    Page(method="POST", path="/me/deliveries/{stop_id}/check", show=check_now, readers=CONSIGNEE),
    Page(method="POST", path="/me/deliveries/{stop_id}/redirect", show=redirect, readers=CONSIGNEE),
    Page(method="POST", path="/me/deliveries/{stop_id}/keep", show=keep, readers=CONSIGNEE),
    Page(method="POST", path="/me/deliveries/{stop_id}/extend", show=extend, readers=CONSIGNEE),
    Page(method="POST", path="/me/deliveries/{stop_id}/rate", show=rate, readers=CONSIGNEE),
    Page(method="POST", path="/me/deliveries/{stop_id}/claim", show=claim, readers=CONSIGNEE),
    Page(method="POST", path="/me/deliveries/{stop_id}/watch", show=watch, readers=CONSIGNEE),
    Page(method="POST", path="/me/deliveries/{stop_id}/erase", show=erase, readers=CONSIGNEE),
    Page(method="POST", path="/me/places/{place_id}/block", show=block, readers=CONSIGNEE),
    Page(method="POST", path="/me/places/{place_id}/unblock", show=unblock, readers=CONSIGNEE),
)
