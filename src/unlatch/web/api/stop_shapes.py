"""A booking as its carrier, its household and an operator see it, and the answer to a wish."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct
from psycopg import AsyncConnection

from unlatch.domain.booking import (
    PARTS,
    Effect,
    Part,
    Stage,
    StopState,
    Wish,
    latest_end,
    outcome_of,
    stage_of,
)
from unlatch.domain.booking_wording import outcome_text, stage_text
from unlatch.domain.incident import Incident
from unlatch.domain.wording import Language as Words
from unlatch.domain.wording import text_of
from unlatch.errors import NotFound
from unlatch.flow.wishes import Changed, Wisher
from unlatch.store import consignees, deeds, fallbacks, household, stops, visits
from unlatch.store.deeds import DeedRow
from unlatch.store.fallbacks import EndRow
from unlatch.store.stops import StopRow
from unlatch.web.api.options import show_offer_reasons
from unlatch.web.endpoints import Asked
from unlatch.web.problems import ProblemError, ReasonShown, Trouble
from unlatch.web.reading_room import language_of
from unlatch.web.shapes import FallbackStep, Identifier, Moment, ParcelShown, show_parcel, show_plan
from unlatch.web.signing_in import Asker, Reader
from unlatch.web.visit_shapes import VisitShown, show_visit, text_reader

DEEDS_OF_STOP = 100
_PARTS = {
    Reader.CARRIER: Part.CARRIER,
    Reader.CONSIGNEE: Part.CONSIGNEE,
    Reader.OPERATOR: Part.OPERATOR,
    Reader.COURIER: Part.COURIER,
}


class EndShown(Struct, kw_only=True):
    """Where a parcel went that was not put into its place."""

    parcel_id: Identifier
    fallback: Annotated[str, Meta(description="A step of the plan, or held: by a named person")]
    told: Annotated[str, Meta(description="With whom, or where exactly, as was said")]
    could_not: Annotated[list[str], Meta(description="The steps before it that were tried in vain")]
    who: Annotated[
        str, Meta(description="Who said so; only operators see more than the part", examples=["courier"])
    ]
    photo: Annotated[str | None, Meta(description="The SHA-256 of its photo, if there is one")]
    at: Moment


class DeedShown(Struct, kw_only=True):
    """What a person did to a stop or its place."""

    who: Annotated[str, Meta(description="Only operators see more than the part", examples=["consignee"])]
    what: Annotated[str, Meta(examples=["redirect"])]
    at: Moment


class StopInFull(Struct, kw_only=True):
    """A booking: its plan, how far it has come, and what was done to it."""

    id: Identifier
    courier_id: Annotated[
        Identifier | None, Meta(description="Null: on no round yet, or not for this reader")
    ]
    access_point_id: Identifier
    shipment_id: Identifier
    window_from: Moment
    window_until: Moment
    expected_at: Moment | None
    extendable_until: Annotated[
        Moment | None, Meta(description="How far the household may extend the window; null: not any more")
    ]
    fallback: str
    fallback_plan: Annotated[
        list[FallbackStep], Meta(description="Step after step, if the place is not opened")
    ]
    programme: str | None
    rules_version: str | None
    plan_number: Annotated[int, Meta(description="Counts its plans")]
    tries: Annotated[int, Meta(description="How many days in a row it is tried, this one too")]
    again_of: Annotated[Identifier | None, Meta(description="The stop of the try before")]
    next_stop_id: Annotated[
        Identifier | None, Meta(description="The stop of the next try, once there is one")
    ]
    state: StopState
    stage: Annotated[Stage, Meta(description="How far it has come; see the table of bookings")]
    stage_text: str
    may: Annotated[list[Wish], Meta(description="What this reader may still have done to it")]
    ruled_out: Annotated[Incident | None, Meta(description="Why the place is not to be opened for it")]
    ruled_out_text: str | None
    ruled_out_at: Moment | None
    heading_at: Moment | None
    arriving_at: Moment | None
    parcels: list[ParcelShown]
    ends: list[EndShown]
    deeds: Annotated[list[DeedShown], Meta(description="The oldest first")]
    created_at: Moment


class WishAnswered(Struct, kw_only=True):
    """What became of a wish, and the stop afterwards. A wish that is refused is a problem with its reason."""

    effect: Effect
    text: Annotated[str, Meta(description="For the one who wished, in their language")]
    stopped_visit: VisitShown | None
    stop: StopInFull


def wisher_of(asked: Asked[Any]) -> Wisher:
    """The asker, as the flow knows them."""
    return Wisher(part=_PARTS[asked.asker.reader], id=asked.asker.id)


async def get_stop_for(connection: AsyncConnection, asker: Asker, stop_id: str) -> StopRow:
    """A stop that this asker may see. Raises NotFound, whether there is none or it is another's."""
    stop = await stops.find_stop(connection, stop_id)
    if stop is not None:
        if asker.reader is Reader.OPERATOR:
            return stop
        if asker.reader is Reader.CARRIER and stop.carrier_id == asker.id:
            return stop
        if asker.reader is Reader.COURIER and stop.courier_id == asker.id:
            return stop
        if asker.reader is Reader.CONSIGNEE and await household.is_of_household(
            connection, stop.access_point_id, asker.id
        ):
            return stop
    raise NotFound("there is no such stop")


async def show_in_full(asked: Asked[Any], connection: AsyncConnection, stop: StopRow) -> StopInFull:
    """The stop with all that hangs on it, for this asker."""
    reader, spoken = asked.asker.reader, Words(language_of(asked))
    point = await consignees.find_access_point(connection, stop.access_point_id)
    assert point is not None
    live = await visits.find_live_visit_state(connection, stop.id)
    ruled_out = Incident(stop.ruled_out) if stop.ruled_out else None
    stage = stage_of(
        StopState(stop.state),
        has_courier=stop.courier_id is not None,
        is_heading=stop.heading_at is not None,
        ruled_out=ruled_out,
        visit=live,
    )
    may = [wish for wish in Wish if PARTS[wish] is _PARTS[reader] and not outcome_of(wish, stage).is_refused]
    end = latest_end(stop.window_from, stop.window_until, point.time_zone)
    can_extend = (
        not outcome_of(Wish.EXTEND, stage).is_refused
        and stop.extended_at is None
        and asked.platform.clock.now() < stop.window_until < end
    )
    if not can_extend and Wish.EXTEND in may:
        may.remove(Wish.EXTEND)
    return StopInFull(
        id=stop.id,
        courier_id=None if reader is Reader.CONSIGNEE else stop.courier_id,
        access_point_id=stop.access_point_id,
        shipment_id=stop.shipment_id,
        window_from=stop.window_from,
        window_until=stop.window_until,
        expected_at=stop.expected_at,
        extendable_until=end if can_extend else None,
        fallback=stop.fallback,
        fallback_plan=show_plan(stop, spoken),
        programme=stop.programme,
        rules_version=stop.rules_version,
        plan_number=stop.plan_number,
        tries=stop.tries,
        again_of=stop.again_of,
        next_stop_id=await stops.find_next_stop(connection, stop.id),
        state=StopState(stop.state),
        stage=stage,
        stage_text=stage_text(stage, spoken),
        may=may,
        ruled_out=ruled_out,
        ruled_out_text=None if ruled_out is None else text_of(ruled_out, text_reader(reader), spoken),
        ruled_out_at=stop.ruled_out_at,
        heading_at=stop.heading_at,
        arriving_at=stop.arriving_at,
        parcels=[show_parcel(row) for row in await stops.list_parcels(connection, stop_id=stop.id)],
        ends=[_show_end(row, reader) for row in await fallbacks.list_ends(connection, stop.id)],
        deeds=[
            _show_deed(row, reader)
            for row in await deeds.list_deeds_of_stop(connection, stop.id, limit=DEEDS_OF_STOP)
        ],
        created_at=stop.created_at,
    )


def _show_who(who: str, reader: Reader) -> str:
    return who if reader is Reader.OPERATOR else who.partition(":")[0]


def _show_end(row: EndRow, reader: Reader) -> EndShown:
    return EndShown(
        parcel_id=row.parcel_id,
        fallback=row.fallback,
        told=row.told,
        could_not=row.could_not,
        who=_show_who(row.who, reader),
        photo=None if row.photo is None else bytes(row.photo).hex(),
        at=row.at,
    )


def _show_deed(row: DeedRow, reader: Reader) -> DeedShown:
    return DeedShown(who=_show_who(row.who, reader), what=row.what, at=row.at)


async def show_changed(asked: Asked[Any], connection: AsyncConnection, changed: Changed) -> WishAnswered:
    """The answer to a wish. Raises ProblemError where it is refused: then nothing was changed."""
    language = language_of(asked)
    outcome, stopped = changed.outcome, changed.stopped
    text = outcome_text(changed.wish, outcome, Words(language))
    if changed.offer is not None:
        raise ProblemError(
            Trouble.NOT_OFFERED, text, reasons=show_offer_reasons(changed.offer, Words(language))
        )
    if outcome.refusal is not None:
        reason = ReasonShown(code=outcome.refusal, text=text)
        raise ProblemError(Trouble.CONFLICT, text, reasons=[reason])
    return WishAnswered(
        effect=outcome.effect,
        text=text,
        stopped_visit=None if stopped is None else show_visit(stopped, asked.asker.reader, language),
        stop=await show_in_full(asked, connection, changed.stop),
    )
