"""What a courier's phone asks: the round, where the car is, the scan, and the courier's own word."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from unlatch.domain.access import PlaceKind
from unlatch.domain.label import FAULT_TEXTS, LabelFault, Symbol
from unlatch.domain.visit import Fact
from unlatch.errors import BadInput, LabelUnreadable
from unlatch.flow import booking
from unlatch.flow.locating import locate
from unlatch.flow.registering import check_moment
from unlatch.flow.scan import ScanRequest, request_visit
from unlatch.flow.words import Photo, Word, record_word
from unlatch.store import stops
from unlatch.store.stops import RoundStop, StopState
from unlatch.web.api.courier_shapes import (
    MAX_BODY_WITH_PHOTO_BYTES,
    CarShown,
    CouldNotBody,
    CourierStop,
    CourierStops,
    DepositedBody,
    FallbackBody,
    LocateBody,
    ScanBody,
    StopQuery,
    WordBody,
)
from unlatch.web.darkroom import DarkroomFull
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.problems import ProblemError, ReasonShown, Trouble
from unlatch.web.reading_room import get_visit_for, language_of
from unlatch.web.shapes import Language, PositionShown, StopShown, show_stop
from unlatch.web.signing_in import Reader
from unlatch.web.visit_shapes import VisitShown, find_reasons, show_reasons, show_visit

TABLE = EndpointTable("courier", "For a courier's enrolled phone: DPoP.")
COURIER = (Reader.COURIER,)
ROUND_LASTS = timedelta(hours=12)  # a stop is listed for so long after its window has ended
POSITION_EXAMPLE = {"latitude": 47.6205, "longitude": -122.3493, "accuracy_m": 8}


def _show(row: RoundStop) -> CourierStop:
    return CourierStop(
        id=row.stop.id,
        kind=PlaceKind(row.kind),
        consignee_name=row.consignee_name,
        window_from=row.stop.window_from,
        window_until=row.stop.window_until,
        fallback=row.stop.fallback,
        state=StopState(row.stop.state),
        labels=list(row.labels),
    )


def _read_cursor(cursor: str | None) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    moment, _, stop_id = cursor.partition("|")
    try:
        return check_moment("cursor", datetime.fromisoformat(moment)), stop_id
    except ValueError:
        raise BadInput("cursor", "give `next` of the page before") from None


def _read_phone_time(phone_at: datetime | None) -> datetime | None:
    return None if phone_at is None else check_moment("phone_at", phone_at)


@TABLE.add(
    "GET",
    "/v1/courier/stops",
    readers=COURIER,
    summary="My stops",
    query=StopQuery,
    gives=CourierStops,
)
async def list_my_stops(asked: Asked[None]) -> CourierStops:
    """The courier's stops, the next first; those whose window ended more than 12 hours ago are left out."""
    query: StopQuery = asked.query
    async with asked.platform.database.connection() as connection:
        rows = await stops.list_round(
            connection,
            asked.asker.id,
            since=asked.platform.clock.now() - ROUND_LASTS,
            after=_read_cursor(query.cursor),
            limit=query.limit + 1,
        )
    page = rows[: query.limit]
    last = page[-1].stop if len(rows) > query.limit else None
    return CourierStops(
        stops=[_show(row) for row in page],
        next=None if last is None else f"{last.window_until.isoformat()}|{last.id}",
    )


@TABLE.add(
    "POST",
    "/v1/courier/stops/{stop_id}/locate",
    readers=COURIER,
    summary="Find the car",
    takes=LocateBody,
    gives=CarShown,
    repeat=Repeat.BY_NATURE,
    troubles=(Trouble.NOT_FOUND, Trouble.REFUSED),
    examples=({"position": POSITION_EXAMPLE},),
)
async def locate_car(asked: Asked[LocateBody]) -> CarShown:
    """Shows where the car stands and what it looks like: from 30 minutes before the window until its end, and
    within 1000 m of the address. Each look, and each refused one, is written down and shown to the consignee; a
    repeat is another look.
    """
    asker = asked.asker
    located = await locate(
        asked.platform,
        stop_id=asked.path["stop_id"],
        courier_id=asker.id,
        carrier_id=asker.carrier_id or "",
        position=asked.body.position.position(),
    )
    if located.reasons:
        shown = show_reasons(list(located.reasons), Reader.COURIER, language_of(asked))
        raise ProblemError(Trouble.REFUSED, shown[0].text, reasons=shown)
    assert located.vehicle is not None
    vehicle, reading = located.vehicle, located.reading
    position = reading.position if reading is not None else None
    return CarShown(
        make=vehicle.make,
        model=vehicle.model,
        colour=vehicle.colour,
        plate=vehicle.plate,
        picture_url=vehicle.picture_url,
        position=None
        if position is None
        else PositionShown(
            latitude=position.latitude, longitude=position.longitude, accuracy_m=position.accuracy_m
        ),
        observed_at=reading.observed_at if reading is not None else None,
        is_being_read=located.is_being_read,
    )


async def _read_symbols(asked: Asked[ScanBody]) -> list[Symbol]:
    body = asked.body
    if body.label is not None:
        label = body.label
        return [Symbol(data=label.text, symbology_identifier=label.symbology_identifier)]
    assert body.photo is not None
    try:
        return await asked.darkroom.read_symbols(body.photo)
    except LabelUnreadable as error:
        raise BadInput("photo", str(error)) from error
    except DarkroomFull:
        raise _busy() from None


def _busy() -> ProblemError:
    return ProblemError(Trouble.TOO_MANY, "too many photos wait: send it again", headers={"Retry-After": "2"})


def _unreadable(fault: LabelFault, language: Language) -> ProblemError:
    words = FAULT_TEXTS[fault]
    text, remedy = (words.text_fr, words.remedy_fr) if language == "fr" else (words.text_en, words.remedy_en)
    reason = ReasonShown(code=f"label_{fault}", text=f"{text} {remedy}")
    return ProblemError(Trouble.LABEL_UNREADABLE, reason.text, reasons=[reason])


@TABLE.add(
    "POST",
    "/v1/courier/stops/{stop_id}/scan",
    readers=COURIER,
    summary="Scan a parcel: ask for the place to be opened",
    takes=ScanBody,
    gives=VisitShown,
    status=201,
    repeat=Repeat.CLAIMED,
    max_body_bytes=MAX_BODY_WITH_PHOTO_BYTES,
    troubles=(Trouble.NOT_FOUND, Trouble.LABEL_UNREADABLE, Trouble.TOO_MANY),
    examples=({"label": {"text": "(00)340123450000000017"}, "position": POSITION_EXAMPLE},),
)
async def scan_parcel(asked: Asked[ScanBody]) -> VisitShown:
    """The request to open. The answer is the visit: granted and on its way, waiting for a reading of the car, or
    `refused` with every reason and what to do next. Scanning again while the visit lives gives the same visit.
    """
    body, language = asked.body, language_of(asked)
    if (body.label is None) == (body.photo is None):
        raise BadInput("label", "give either label or photo")
    result = await request_visit(
        asked.platform,
        ScanRequest(
            stop_id=asked.path["stop_id"],
            courier_id=asked.asker.id,
            device_id=asked.asker.device_id or "",
            symbols=await _read_symbols(asked),
            position=None if body.position is None else body.position.position(),
            phone_at=_read_phone_time(body.phone_at),
        ),
    )
    if result.fault is not None:
        raise _unreadable(result.fault, language)
    if result.row is None:
        shown = show_reasons(list(result.reasons), Reader.COURIER, language)
        raise ProblemError(Trouble.CONFLICT, reasons=shown)
    return show_visit(result.row, Reader.COURIER, language, list(result.reasons))


async def _say(
    asked: Asked[Any], fact: Fact, *, photo: Photo | None = None, reason: str | None = None
) -> VisitShown:
    row = await record_word(
        asked.platform,
        Word(
            fact=fact,
            visit_id=asked.path["visit_id"],
            courier_id=asked.asker.id,
            photo=photo,
            reason=reason,
            phone_at=_read_phone_time(asked.body.phone_at),
        ),
    )
    return show_visit(row, Reader.COURIER, language_of(asked))


@TABLE.add(
    "POST",
    "/v1/courier/visits/{visit_id}/opened",
    readers=COURIER,
    summary="I have opened it",
    takes=WordBody,
    gives=VisitShown,
    repeat=Repeat.BY_NATURE,
    troubles=(Trouble.NOT_FOUND,),
)
async def say_opened(asked: Asked[WordBody]) -> VisitShown:
    """The courier's word that it is open. Said twice, nothing more happens."""
    return await _say(asked, Fact.COURIER_OPENED)


@TABLE.add(
    "POST",
    "/v1/courier/visits/{visit_id}/deposited",
    readers=COURIER,
    summary="The parcel is inside",
    takes=DepositedBody,
    gives=VisitShown,
    repeat=Repeat.BY_NATURE,
    max_body_bytes=MAX_BODY_WITH_PHOTO_BYTES,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT, Trouble.TOO_MANY),
)
async def say_deposited(asked: Asked[DepositedBody]) -> VisitShown:
    """The courier's word that the parcel is inside, with a photo if there is one. The photo is made anew from its
    pixels, so that neither position nor device stay in it; the journal keeps its SHA-256. A visit has at most 10.
    """
    photo = None
    if asked.body.photo is not None:
        async with asked.platform.database.connection() as connection:
            await get_visit_for(connection, asked.asker, asked.path["visit_id"])
        try:
            photo = await asked.darkroom.make_photo(asked.body.photo)
        except DarkroomFull:
            raise _busy() from None
    return await _say(asked, Fact.COURIER_DEPOSITED, photo=photo)


@TABLE.add(
    "POST",
    "/v1/courier/visits/{visit_id}/closed",
    readers=COURIER,
    summary="I have closed it",
    takes=WordBody,
    gives=VisitShown,
    is_closing=True,
    repeat=Repeat.BY_NATURE,
    troubles=(Trouble.NOT_FOUND,),
)
async def say_closed(asked: Asked[WordBody]) -> VisitShown:
    """The courier's word that it is closed: the platform locks, and waits to see it locked."""
    return await _say(asked, Fact.COURIER_CLOSED)


@TABLE.add(
    "POST",
    "/v1/courier/visits/{visit_id}/pulled_handle",
    readers=COURIER,
    summary="I have pulled the handle, and it is locked",
    takes=WordBody,
    gives=VisitShown,
    is_closing=True,
    repeat=Repeat.BY_NATURE,
    troubles=(Trouble.NOT_FOUND,),
)
async def say_pulled_handle(asked: Asked[WordBody]) -> VisitShown:
    """The courier's word where the car can't tell that it is locked: a weaker assurance, and named so."""
    return await _say(asked, Fact.COURIER_PULLED_HANDLE)


@TABLE.add(
    "POST",
    "/v1/courier/visits/{visit_id}/could_not",
    readers=COURIER,
    summary="I could not",
    takes=CouldNotBody,
    gives=VisitShown,
    is_closing=True,
    repeat=Repeat.BY_NATURE,
    troubles=(Trouble.NOT_FOUND,),
)
async def say_could_not(asked: Asked[CouldNotBody]) -> VisitShown:
    """The parcel stays with the courier. What is open or unlocked is locked first, then the fallback is due."""
    return await _say(asked, Fact.COURIER_GAVE_UP, reason=asked.body.reason)


@TABLE.add(
    "GET",
    "/v1/courier/visits/{visit_id}",
    readers=COURIER,
    summary="How my visit stands",
    gives=VisitShown,
    troubles=(Trouble.NOT_FOUND,),
)
async def read_my_visit(asked: Asked[None]) -> VisitShown:
    """The visit and what to do next. Follow `/v1/visits/{visit_id}/events` to hear it at once."""
    async with asked.platform.database.connection() as connection:
        row = await get_visit_for(connection, asked.asker, asked.path["visit_id"])
        reasons = await find_reasons(connection, row)
    return show_visit(row, Reader.COURIER, language_of(asked), reasons)


@TABLE.add(
    "POST",
    "/v1/courier/stops/{stop_id}/fallback",
    readers=COURIER,
    summary="The fallback is done",
    takes=FallbackBody,
    gives=StopShown,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
)
async def say_fallback_done(asked: Asked[FallbackBody]) -> StopShown:
    """Says where what was not delivered is now: left (`to_door`, `neighbour`, `pickup_point`), or taken back
    (`tomorrow`, `depot`). Ends the stop.
    """
    row, parcels = await booking.end_with_fallback(
        asked.connection, asked.path["stop_id"], courier_id=asked.asker.id, done=asked.body.done
    )
    return show_stop(row, parcels)
