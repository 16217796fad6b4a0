"""What is to come: a household's deliveries and the check of its car, and the courier who sets out for it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from enum import StrEnum, auto
from typing import Annotated
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

from unlatch.domain.access import Fallback, PlaceKind
from unlatch.domain.incident import Incident
from unlatch.domain.parking import Parking, parking_text
from unlatch.domain.preflight import ANSWERS, Mender, Remedy, answer_to, is_by_preflight, remedy_for
from unlatch.domain.preflight_texts import reason_text, remedy_text
from unlatch.domain.wording import Language, text_of
from unlatch.domain.wording import Reader as TextReader
from unlatch.errors import BadInput
from unlatch.flow.heading import set_out
from unlatch.flow.preflight import check_now
from unlatch.flow.registering import EARLIEST, check_moment
from unlatch.store.deliveries import DeliveryRow, list_coming
from unlatch.store.preflights import PreflightRow
from unlatch.store.stops import StopRow, StopState
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.problems import ReasonShown, Trouble
from unlatch.web.reading_room import language_of
from unlatch.web.shapes import Cursor, Identifier, Moment
from unlatch.web.signing_in import Reader
from unlatch.web.visit_shapes import show_reasons

TABLE = EndpointTable("day", "The day of a delivery: what is to come, and whether all is well for it.")
CONSIGNEE = (Reader.CONSIGNEE,)
COURIER = (Reader.COURIER,)
CLOCK_TEXT = "%H:%M"


class Standing(StrEnum):
    """How a coming delivery stands."""

    NOT_CHECKED = auto()
    WELL = auto()
    NOT_SEEN = auto()  # nothing is known of the car: it was read too often today
    FAILING = auto()  # something stands in the way, and can be mended
    RULED_OUT = auto()  # the fallback is taken, unless it is mended before the courier has


class ObstacleShown(Struct, kw_only=True):
    """One thing that stands in the way, and what to do about it."""

    code: Annotated[str, Meta(examples=["consignee_car_out_of_range"])]
    text: str
    remedy: Remedy
    remedy_text: str
    mended_by: Mender


class RangeShown(Struct, kw_only=True):
    """Whether the car is parked in range of the address."""

    parking: Parking
    text: Annotated[str, Meta(description="For the reader, in their language")]
    distance_m: Annotated[float | None, Meta(description="From the address, to ten metres; null: not known")]
    range_m: float
    observed_at: Annotated[Moment | None, Meta(description="When the car itself saw where it was")]
    is_being_read: Annotated[bool, Meta(description="A fresh reading was asked for: ask again in a moment")]


class FindingShown(Struct, kw_only=True):
    """What stands in the way of this delivery now."""

    stop_id: Identifier
    standing: Standing
    obstacles: list[ObstacleShown]
    range: Annotated[RangeShown | None, Meta(description="Null: a home stands where its address is")]
    observed_at: Annotated[
        Moment | None,
        Meta(description="When the car saw itself so, or the hub of the home told how it stands"),
    ]
    is_being_read: Annotated[bool, Meta(description="A fresh reading was asked for: ask again in a moment")]
    checked_at: Moment


class LocalWindow(Struct, kw_only=True):
    """The window by the clock on the wall at the address."""

    date: date
    from_local: Annotated[str, Meta(examples=["16:00"])]
    until_local: Annotated[str, Meta(examples=["20:00"])]
    time_zone: str


class Delivery(Struct, kw_only=True):
    """A coming delivery."""

    stop_id: Identifier
    access_point_id: Identifier
    kind: PlaceKind
    window_from: Moment
    window_until: Moment
    window: LocalWindow
    parcels: int
    state: StopState
    standing: Standing
    ruled_out: Annotated[ReasonShown | None, Meta(description="Why it does not go to the place")]
    check: Annotated[FindingShown | None, Meta(description="What was found last; null: nothing yet")]
    next_check_at: Annotated[Moment | None, Meta(description="When the platform looks by itself")]
    fallbacks: Annotated[list[Fallback], Meta(description="Where it goes instead, in this order")]
    courier_first_name: Annotated[str | None, Meta(description="Once they are on their way")]
    expected_at: Moment | None
    heading_at: Annotated[Moment | None, Meta(description="Since when the courier is on the way")]
    arriving_at: Moment | None


class Deliveries(Struct, kw_only=True):
    """One page of what is to come."""

    deliveries: list[Delivery]
    next: str | None


class DeliveryQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which page."""

    cursor: Cursor | None = None
    limit: Annotated[int, Meta(ge=1, le=50, description="At most so many on one page")] = 20


class HeadingBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """The courier sets out now."""

    expected_at: Annotated[Moment | None, Meta(description="When you expect to be there")] = None


class Advice(StrEnum):
    """Where the courier goes."""

    GO_TO_PLACE = auto()
    TAKE_FALLBACK = auto()


class HeadingShown(Struct, kw_only=True):
    """Whether to go there, and if not, why not and what to do instead."""

    stop_id: Identifier
    advice: Advice
    reasons: list[ReasonShown]
    fallbacks: Annotated[list[Fallback], Meta(description="What to do instead, in this order")]
    heading_at: Moment | None
    expected_at: Moment | None
    is_being_checked: Annotated[bool, Meta(description="The car is looked at once more: follow your list")]


def _standing_of(stop: StopRow, found: PreflightRow | None) -> Standing:
    if stop.ruled_out is not None:
        return Standing.RULED_OUT
    if found is None:
        return Standing.NOT_CHECKED
    if found.reasons:
        return Standing.FAILING
    return Standing.WELL if found.is_seen else Standing.NOT_SEEN


def _show_obstacles(
    reasons: list[Incident], parking: Parking, kind: PlaceKind, language: Language
) -> list[ObstacleShown]:
    shown = []
    for reason in reasons:
        remedy = remedy_for(reason, parking, kind)
        shown.append(
            ObstacleShown(
                code=reason,
                text=reason_text(reason, language, kind),
                remedy=remedy,
                remedy_text=remedy_text(remedy, language),
                mended_by=answer_to(reason, kind).mender,
            )
        )
    return shown


def _show_found(row: DeliveryRow, language: Language) -> FindingShown | None:
    found = row.found
    if found is None:
        return None
    parking = Parking(found.parking)
    return FindingShown(
        stop_id=row.stop.id,
        standing=_standing_of(row.stop, found),
        obstacles=_show_obstacles(
            [Incident(reason) for reason in found.reasons], parking, row.kind, language
        ),
        range=None
        if row.kind is PlaceKind.HOME
        else RangeShown(
            parking=parking,
            text=parking_text(parking, language),
            distance_m=found.distance_m,
            range_m=row.range_m,
            observed_at=found.observed_at,
            is_being_read=False,
        ),
        observed_at=found.observed_at,
        is_being_read=False,
        checked_at=found.at,
    )


def _show_window(stop: StopRow, time_zone: str) -> LocalWindow:
    zone = ZoneInfo(time_zone)
    begin, end = stop.window_from.astimezone(zone), stop.window_until.astimezone(zone)
    return LocalWindow(
        date=begin.date(),
        from_local=begin.strftime(CLOCK_TEXT),
        until_local=end.strftime(CLOCK_TEXT),
        time_zone=time_zone,
    )


def _show_ruling(stop: StopRow, kind: PlaceKind, language: Language) -> ReasonShown | None:
    if stop.ruled_out is None:
        return None
    reason = Incident(stop.ruled_out)
    is_ours = is_by_preflight(reason) and reason in ANSWERS
    text = reason_text(reason, language, kind) if is_ours else text_of(reason, TextReader.CONSIGNEE, language)
    return ReasonShown(code=reason, text=text)


def _show_delivery(row: DeliveryRow, language: Language) -> Delivery:
    stop = row.stop
    return Delivery(
        stop_id=stop.id,
        access_point_id=stop.access_point_id,
        kind=row.kind,
        window_from=stop.window_from,
        window_until=stop.window_until,
        window=_show_window(stop, row.time_zone),
        parcels=row.parcel_count,
        state=StopState(stop.state),
        standing=_standing_of(stop, row.found),
        ruled_out=_show_ruling(stop, row.kind, language),
        check=_show_found(row, language),
        next_check_at=row.next_check_at,
        fallbacks=[Fallback(step) for step in (stop.fallback, *stop.later_fallbacks)],
        courier_first_name=row.courier_first_name,
        expected_at=stop.expected_at,
        heading_at=stop.heading_at,
        arriving_at=stop.arriving_at,
    )


def _read_cursor(cursor: str | None) -> tuple[datetime, str]:
    if cursor is None:
        return EARLIEST, ""
    moment, _, stop_id = cursor.partition("|")
    try:
        at = datetime.fromisoformat(moment)
        return check_moment("cursor", at if at.tzinfo else at.replace(tzinfo=UTC)), stop_id
    except ValueError:
        raise BadInput("cursor", "give `next` of the page before") from None


@TABLE.add(
    "GET",
    "/v1/me/deliveries",
    readers=CONSIGNEE,
    summary="My coming deliveries",
    query=DeliveryQuery,
    gives=Deliveries,
)
async def list_my_deliveries(asked: Asked[None]) -> Deliveries:
    """What is still to come to the places that you own or share, the next first: its window, what was found of your
    car or home, what to do about it, and where the parcel goes otherwise. The courier's first name once they are on
    the way.
    """
    query, language = asked.query, Language(language_of(asked))
    async with asked.platform.database.connection() as connection:
        rows = await list_coming(
            connection, asked.asker.id, after=_read_cursor(query.cursor), limit=query.limit + 1
        )
    page = rows[: query.limit]
    last = page[-1].stop if len(rows) > query.limit else None
    return Deliveries(
        deliveries=[_show_delivery(row, language) for row in page],
        next=None if last is None else f"{last.window_from.isoformat()}|{last.id}",
    )


@TABLE.add(
    "POST",
    "/v1/me/stops/{stop_id}/check",
    readers=CONSIGNEE,
    summary="Is all well for this delivery?",
    gives=FindingShown,
    repeat=Repeat.BY_NATURE,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
)
async def check_delivery(asked: Asked[None]) -> FindingShown:
    """Looks at your car, or at the door and the camera of your home, now and says what stands in the way of this
    delivery and what to do about it. What is mended before the courier has taken the fallback brings the parcel there
    after all. A car is read at most once a minute, and so often a day as the programme says, so that its battery
    lasts: else the last reading is shown, with its time.
    """
    checked = await check_now(asked.platform, stop_id=asked.path["stop_id"], consignee_id=asked.asker.id)
    finding, case, language = checked.finding, checked.case, Language(language_of(asked))
    if case.stop.ruled_out is not None:
        standing = Standing.RULED_OUT
    elif finding.reasons:
        standing = Standing.FAILING
    else:
        standing = Standing.WELL if finding.is_seen else Standing.NOT_SEEN
    return FindingShown(
        stop_id=case.stop.id,
        standing=standing,
        obstacles=_show_obstacles(list(finding.reasons), finding.parking, case.kind, language),
        range=None
        if case.kind is PlaceKind.HOME
        else RangeShown(
            parking=finding.parking,
            text=parking_text(finding.parking, language),
            distance_m=finding.distance_m,
            range_m=case.point.range_m,
            observed_at=finding.observed_at,
            is_being_read=checked.is_being_read,
        ),
        observed_at=finding.observed_at,
        is_being_read=checked.is_being_read,
        checked_at=asked.platform.clock.now(),
    )


@TABLE.add(
    "POST",
    "/v1/courier/stops/{stop_id}/heading",
    readers=COURIER,
    summary="I set out for this one now",
    takes=HeadingBody,
    gives=HeadingShown,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND,),
    examples=({"expected_at": "2026-11-26T15:40:00Z"},),
)
async def set_out_for_stop(asked: Asked[HeadingBody]) -> HeadingShown:
    """Asks the household not to move the car, once. `take_fallback` if the place is not to be opened, with every reason
    and what to do instead: don't go there. Where the last look at the car is old it is looked at once more, and what
    that finds stands in your list.
    """
    expected_at = asked.body.expected_at
    heading = await set_out(
        asked.connection,
        stop_id=asked.path["stop_id"],
        courier_id=asked.asker.id,
        carrier_id=asked.asker.carrier_id or "",
        expected_at=None if expected_at is None else check_moment("expected_at", expected_at),
        now=asked.platform.clock.now(),
    )
    return HeadingShown(
        stop_id=asked.path["stop_id"],
        advice=Advice.TAKE_FALLBACK if heading.reasons else Advice.GO_TO_PLACE,
        reasons=show_reasons(list(heading.reasons), Reader.COURIER, language_of(asked)),
        fallbacks=[Fallback(step) for step in heading.fallbacks],
        heading_at=heading.heading_at,
        expected_at=heading.expected_at,
        is_being_checked=heading.is_being_checked,
    )
