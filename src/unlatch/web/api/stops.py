"""What may be done to a booking: by its carrier, by the household of its place, by an operator."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any

from msgspec import Meta, Struct

from unlatch.domain.access import Fallback
from unlatch.errors import BadInput, NotFound
from unlatch.flow import fallback, rebooking
from unlatch.flow.fallback import Settlement
from unlatch.flow.options import WindowGiven
from unlatch.flow.rebooking import NewPlan
from unlatch.flow.registering import EARLIEST, LATEST, check_moment
from unlatch.store import fallbacks
from unlatch.web.api.carrier_shapes import WindowAsked
from unlatch.web.api.courier_shapes import Told
from unlatch.web.api.stop_shapes import (
    StopInFull,
    WishAnswered,
    get_stop_for,
    show_changed,
    show_in_full,
    wisher_of,
)
from unlatch.web.endpoints import Asked, EndpointTable, Repeat, Response
from unlatch.web.problems import Trouble
from unlatch.web.shapes import Identifier, Moment, Name
from unlatch.web.signing_in import Reader

TABLE = EndpointTable("booking", "What may be done to a booking, by whom, at which stage.")
CARRIER, CONSIGNEE, OPERATOR = (Reader.CARRIER,), (Reader.CONSIGNEE,), (Reader.OPERATOR,)
KEPT = Repeat.IN_TRANSACTION
TROUBLES = (Trouble.NOT_FOUND, Trouble.CONFLICT)
PLACE_TROUBLES = (*TROUBLES, Trouble.NOT_OFFERED)
# What several endpoints have in common.
_read_in_full = partial(
    TABLE.add,
    "GET",
    gives=StopInFull,
    troubles=(Trouble.NOT_FOUND,),
)
_wish = partial(
    TABLE.add,
    "POST",
    gives=WishAnswered,
    repeat=KEPT,
)


class Replan(Struct, kw_only=True, forbid_unknown_fields=True):
    """What changes of the plan. What is left out stays as it is. A window is given in one of two ways."""

    window: WindowAsked | None = None
    window_from: Moment | None = None
    window_until: Moment | None = None
    access_point_id: Annotated[
        Identifier | None, Meta(description="Another place of those to whom the parcels go")
    ] = None
    courier_id: Identifier | None = None
    expected_at: Annotated[Moment | None, Meta(description="When the courier is expected, in the window")] = (
        None
    )


class Assignment(Struct, kw_only=True, forbid_unknown_fields=True):
    """Who drives there."""

    courier_id: Identifier


class Redirection(Struct, kw_only=True, forbid_unknown_fields=True):
    """Where the parcel is to go: one of the other ways, or another place of yours."""

    fallback: Fallback | None = None
    access_point_id: Identifier | None = None


class Extension(Struct, kw_only=True, forbid_unknown_fields=True):
    """Until when the courier may come."""

    until: Annotated[Moment, Meta(description="At most 4 hours more, and never past 23:00 there")]


class StopSettlement(Struct, kw_only=True, forbid_unknown_fields=True):
    """Where the parcels are, as a person found out: one of the ways, or who holds them."""

    why: Annotated[Told, Meta(min_length=1, description="How it is known, and where exactly they are")]
    done: Fallback | None = None
    held_by: Annotated[Name, Meta(description="The person who holds them")] | None = None


def _moment(field: str, at: datetime | None) -> datetime | None:
    return None if at is None else check_moment(field, at)


def _read_window(body: Replan) -> WindowGiven | None:
    if body.window is not None:
        if body.window_from is not None or body.window_until is not None:
            raise BadInput("window", "give either window, or both window_from and window_until")
        if not EARLIEST.year <= body.window.day.year < LATEST.year:
            raise BadInput("window.date", "give a day between the years 2000 and 2200")
        return WindowGiven(day=body.window.day, begins=body.window.begins)
    if body.window_from is None and body.window_until is None:
        return None
    return WindowGiven(
        window_from=_moment("window_from", body.window_from),
        window_until=_moment("window_until", body.window_until),
    )


async def _read(asked: Asked[None]) -> StopInFull:
    async with asked.platform.database.connection() as connection:
        stop = await get_stop_for(connection, asked.asker, asked.path["stop_id"])
        return await show_in_full(asked, connection, stop)


@_read_in_full(
    "/v1/stops/{stop_id}",
    readers=CARRIER,
    summary="Read a stop",
)
async def read_stop(asked: Asked[None]) -> StopInFull:
    """A stop of yours: its plan, how far it has come, where its parcels are, and what was done to it."""
    return await _read(asked)


@_read_in_full(
    "/v1/me/stops/{stop_id}",
    readers=CONSIGNEE,
    summary="Read a delivery of mine",
)
async def read_my_stop(asked: Asked[None]) -> StopInFull:
    """A delivery to a place of your household, and what you may still do about it."""
    return await _read(asked)


@_read_in_full(
    "/v1/operator/stops/{stop_id}",
    readers=OPERATOR,
    summary="Read any stop",
)
async def read_any_stop(asked: Asked[None]) -> StopInFull:
    """A stop of any carrier, with who did what to it."""
    return await _read(asked)


@_wish(
    "/v1/stops/{stop_id}/replan",
    readers=CARRIER,
    summary="Plan a stop anew",
    takes=Replan,
    troubles=PLACE_TROUBLES,
    examples=({"window_from": "2026-11-24T16:00:00Z", "window_until": "2026-11-24T20:00:00Z"},),
)
async def replan_stop(asked: Asked[Replan]) -> WishAnswered:
    """Another window, place or courier, as long as no courier stands at the place and it has not ended. What was
    found of the old plan is void; the household is told.
    """
    body = asked.body
    plan = NewPlan(
        window=_read_window(body),
        access_point_id=body.access_point_id,
        courier_id=body.courier_id,
        expected_at=_moment("expected_at", body.expected_at),
    )
    changed = await rebooking.replan(
        asked.platform, asked.connection, asked.path["stop_id"], wisher_of(asked), plan
    )
    return await show_changed(asked, asked.connection, changed)


@_wish(
    "/v1/stops/{stop_id}/cancel",
    readers=CARRIER,
    summary="Cancel a stop",
    troubles=TROUBLES,
)
async def cancel_stop(asked: Asked[None]) -> WishAnswered:
    """Takes the stop back with every parcel that was not delivered. A courier who has scanned already is stopped, as
    long as no unlock has left.
    """
    changed = await rebooking.cancel(
        asked.platform, asked.connection, asked.path["stop_id"], wisher_of(asked)
    )
    return await show_changed(asked, asked.connection, changed)


@_wish(
    "/v1/stops/{stop_id}/assign",
    readers=CARRIER,
    summary="Give a stop to a courier",
    takes=Assignment,
    troubles=TROUBLES,
)
async def assign_stop(asked: Asked[Assignment]) -> WishAnswered:
    """Gives a booked stop its courier, or hands it over to another one with the parcels that were on board; not while
    a visit is under way.
    """
    changed = await rebooking.hand_over(
        asked.platform, asked.connection, asked.path["stop_id"], wisher_of(asked), asked.body.courier_id
    )
    return await show_changed(asked, asked.connection, changed)


@_wish(
    "/v1/me/stops/{stop_id}/redirect",
    readers=CONSIGNEE,
    summary="Send a delivery another way",
    takes=Redirection,
    troubles=PLACE_TROUBLES,
    examples=({"fallback": "neighbour"},),
)
async def redirect_stop(asked: Asked[Redirection]) -> WishAnswered:
    """Your place is not opened for it, and the courier is shown the way that you choose; or it comes to another place
    of yours, in the same window. Until an unlock has left, that stops even a courier who has scanned already.
    """
    changed = await rebooking.redirect(
        asked.platform,
        asked.connection,
        asked.path["stop_id"],
        wisher_of(asked),
        fallback=asked.body.fallback,
        access_point_id=asked.body.access_point_id,
    )
    return await show_changed(asked, asked.connection, changed)


@_wish(
    "/v1/me/stops/{stop_id}/keep",
    readers=CONSIGNEE,
    summary="Take a redirect back",
    troubles=TROUBLES,
)
async def keep_stop(asked: Asked[None]) -> WishAnswered:
    """It comes to your place after all, as long as the window lasts and the courier has not gone the other way yet."""
    changed = await rebooking.keep(asked.platform, asked.connection, asked.path["stop_id"], wisher_of(asked))
    return await show_changed(asked, asked.connection, changed)


@_wish(
    "/v1/me/stops/{stop_id}/extend",
    readers=CONSIGNEE,
    summary="Let the courier come later",
    takes=Extension,
    troubles=TROUBLES,
    examples=({"until": "2026-11-24T22:00:00Z"},),
)
async def extend_stop(asked: Asked[Extension]) -> WishAnswered:
    """Moves the end of the window: once a plan, by at most 4 hours, and never past 23:00 by the clock of the address;
    `extendable_until` of the stop says how far.
    """
    changed = await rebooking.extend(
        asked.platform,
        asked.connection,
        asked.path["stop_id"],
        wisher_of(asked),
        check_moment("until", asked.body.until),
    )
    return await show_changed(asked, asked.connection, changed)


@_wish(
    "/v1/operator/stops/{stop_id}/fallback",
    readers=OPERATOR,
    summary="Say where the parcels of a stop are",
    takes=StopSettlement,
    troubles=TROUBLES,
    examples=({"held_by": "Olga at the desk", "why": "the courier's van broke down"},),
)
async def settle_stop(asked: Asked[StopSettlement]) -> WishAnswered:
    """Ends a stop whose courier never said where its parcels are: one of the ways, or a person who holds them."""
    body = asked.body
    given = Settlement(done=body.done, held_by=body.held_by, told=body.why)
    changed = await fallback.settle(
        asked.platform, asked.connection, asked.path["stop_id"], wisher_of(asked), given
    )
    return await show_changed(asked, asked.connection, changed)


@TABLE.add(
    "GET",
    "/v1/stops/{stop_id}/photos/{sha256}",
    readers=(Reader.CARRIER, Reader.CONSIGNEE, Reader.OPERATOR, Reader.COURIER),
    summary="See the photo of a fallback",
    media_type="image/jpeg",
    troubles=(Trouble.NOT_FOUND,),
)
async def read_fallback_photo(asked: Asked[None]) -> Response[Any]:
    """The photo of where a parcel was left, by the SHA-256 that its end names."""
    async with asked.platform.database.connection() as connection:
        stop = await get_stop_for(connection, asked.asker, asked.path["stop_id"])
        found = await fallbacks.find_photo(connection, stop.id, bytes.fromhex(asked.path["sha256"]))
    if found is None:
        raise NotFound("there is no such photo")
    media_type, content = found
    return Response(content, media_type=media_type)
