"""What a courier's phone asks: the round, where the car is, the scan, and the courier's own word."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import msgspec

from unlatch.domain.access import PlaceKind
from unlatch.domain.booking import Advice, StopState, advise, stage_of
from unlatch.domain.booking_wording import advice_text
from unlatch.domain.eligibility import Rules
from unlatch.domain.home import form_text
from unlatch.domain.incident import Incident, NextStep
from unlatch.domain.label import FAULT_TEXTS, LabelFault, Symbol
from unlatch.domain.photo import NoPhoto
from unlatch.domain.visit import Fact, State
from unlatch.domain.wording import Language as Words
from unlatch.domain.wording import Reader as TextReader
from unlatch.domain.wording import text_of
from unlatch.errors import BadInput, LabelUnreadable, NotFound
from unlatch.flow.fallback import FallbackGiven, take_fallback
from unlatch.flow.locating import Door, locate
from unlatch.flow.registering import check_moment
from unlatch.flow.scan import ScanRequest, request_visit
from unlatch.flow.words import Photo, Word, is_photo_due, is_photo_ever_wanted, record_word
from unlatch.store import stops
from unlatch.store.stops import RoundStop
from unlatch.store.visits import VisitRow
from unlatch.web.api.courier_shapes import (
    MAX_BODY_WITH_PHOTO_BYTES,
    CouldNotBody,
    CourierStop,
    CourierStops,
    DoorShown,
    FallbackBody,
    HandedOverBody,
    LocateBody,
    PhotoBody,
    PlaceLocated,
    ScanBody,
    StopQuery,
    WordBody,
)
from unlatch.web.api.stop_shapes import WishAnswered, show_changed, wisher_of
from unlatch.web.darkroom import DarkroomFull
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.problems import ProblemError, ReasonShown, Trouble
from unlatch.web.reading_room import get_visit_for, language_of
from unlatch.web.shapes import Language, PositionShown, show_plan
from unlatch.web.signing_in import Reader
from unlatch.web.visit_shapes import VisitShown, find_plan, find_reasons, show_reasons, show_visit

TABLE = EndpointTable("courier", "For a courier's enrolled phone: DPoP.")
COURIER = (Reader.COURIER,)
ROUND_LASTS = timedelta(hours=12)  # a stop is listed for so long after its window has ended
POSITION_EXAMPLE = {"latitude": 47.6205, "longitude": -122.3493, "accuracy_m": 8}


def _show(row: RoundStop, language: Language, rules: Rules) -> CourierStop:
    stop = row.stop
    ruled_out = Incident(stop.ruled_out) if stop.ruled_out else None
    latest = State(row.visit_state) if row.visit_state else None
    incident = Incident(row.visit_incident) if row.visit_incident else None
    stage = stage_of(
        StopState(stop.state),
        has_courier=True,
        is_heading=stop.heading_at is not None,
        ruled_out=ruled_out,
        visit=latest if row.is_visit_live else None,
    )
    advice = advise(stage, ruled_out=ruled_out, last_visit=None if latest is None else (latest, incident))
    reason = None
    if advice in (Advice.TAKE_FALLBACK, Advice.BRING_BACK):
        reason = ruled_out or incident
    spoken = Words(language)
    return CourierStop(
        id=stop.id,
        kind=PlaceKind(row.kind),
        consignee_name=row.consignee_name,
        window_from=stop.window_from,
        window_until=stop.window_until,
        fallback=stop.fallback,
        fallback_plan=show_plan(stop, language),
        state=StopState(stop.state),
        stage=stage,
        advice=advice,
        advice_text=advice_text(advice, spoken),
        reason=reason,
        reason_text=None if reason is None else text_of(reason, TextReader.COURIER, spoken),
        labels=list(row.labels),
        photos=rules.get_programme(stop.programme).photos,
    )


async def _show_visit(asked: Asked[Any], row: VisitRow, reasons: list[Incident] | None = None) -> VisitShown:
    """The visit for its courier; once it has ended without a delivery, with what to do instead."""
    language = language_of(asked)
    shown = show_visit(row, Reader.COURIER, language, reasons)
    if shown.is_live or shown.next_step is NextStep.GO_ON:
        return shown
    async with asked.platform.database.connection() as connection:
        plan = await find_plan(connection, row, language)
    return msgspec.structs.replace(shown, fallback_plan=plan)


async def _read_visit(asked: Asked[Any], visit_id: str) -> VisitShown:
    """This courier's visit as it stands, with every reason. Raises NotFound."""
    async with asked.platform.database.connection() as connection:
        row = await get_visit_for(connection, asked.asker, visit_id)
        reasons = await find_reasons(connection, row)
    return await _show_visit(asked, row, reasons)


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
    """The courier's stops, the next first; those whose window ended more than 12 hours ago are left out. Each says
    what to do there now: go to the place, or take the fallback and why.
    """
    query: StopQuery = asked.query
    rules = await asked.platform.rules.get()
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
        stops=[_show(row, language_of(asked), rules) for row in page],
        next=None if last is None else f"{last.window_until.isoformat()}|{last.id}",
    )


@TABLE.add(
    "POST",
    "/v1/courier/stops/{stop_id}/locate",
    readers=COURIER,
    summary="Find the car, or the door",
    takes=LocateBody,
    gives=PlaceLocated,
    repeat=Repeat.BY_NATURE,
    troubles=(Trouble.NOT_FOUND, Trouble.REFUSED),
    examples=({"position": POSITION_EXAMPLE},),
)
async def locate_car(asked: Asked[LocateBody]) -> PlaceLocated:
    """Shows where the car stands and what it looks like, or how the door of a home is found: from 30 minutes before
    the window until its end, and within 1000 m of the address. Each look, and each refused one, is written down and
    shown to the consignee; a repeat is another look. Asked at a home within the window, its cameras are connected.
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
    if located.door is not None:
        return _show_door(located.door, vehicle.picture_url, language_of(asked))
    position = reading.position if reading is not None else None
    return PlaceLocated(
        kind=PlaceKind.CAR,
        door=None,
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


def _show_door(door: Door, picture_url: str | None, language: Language) -> PlaceLocated:
    return PlaceLocated(
        kind=PlaceKind.HOME,
        make=None,
        model=None,
        colour=None,
        plate=None,
        door=DoorShown(
            form=door.settings.form,
            form_text=form_text(door.settings.form, Words(language)),
            directions=door.settings.directions,
            rings_first=door.rings_first,
        ),
        picture_url=picture_url,
        position=PositionShown(latitude=door.address.latitude, longitude=door.address.longitude),
        observed_at=None,
        is_being_read=False,
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
    makes="vis",
    max_body_bytes=MAX_BODY_WITH_PHOTO_BYTES,
    troubles=(Trouble.NOT_FOUND, Trouble.LABEL_UNREADABLE, Trouble.TOO_MANY),
    examples=({"label": {"text": "(00)340123450000000017"}, "position": POSITION_EXAMPLE},),
)
async def scan_parcel(asked: Asked[ScanBody]) -> VisitShown:
    """The request to open. The answer is the visit: granted and on its way, waiting for a reading of the car, or
    `refused` with every reason and what to do next. Scanning again while the visit lives gives the same visit; so does
    the same request with its key, if its answer was lost, though the visit may be over by then.
    """
    body, language = asked.body, language_of(asked)
    if (body.label is None) == (body.photo is None):
        raise BadInput("label", "give either label or photo")
    if asked.claimed is not None and asked.claimed.is_taken_over:
        with suppress(NotFound):  # it began none
            return await _read_visit(asked, asked.claimed.makes)
    result = await request_visit(
        asked.platform,
        ScanRequest(
            stop_id=asked.path["stop_id"],
            courier_id=asked.asker.id,
            device_id=asked.asker.device_id or "",
            symbols=await _read_symbols(asked),
            position=None if body.position is None else body.position.position(),
            phone_at=_read_phone_time(body.phone_at),
            claimed=asked.claimed,
        ),
    )
    if result.fault is not None:
        raise _unreadable(result.fault, language)
    if result.row is None:
        shown = show_reasons(list(result.reasons), Reader.COURIER, language)
        raise ProblemError(Trouble.CONFLICT, reasons=shown)
    if not result.row.visit.is_live and not result.reasons:  # over before this request came again
        return await _read_visit(asked, result.row.id)
    return await _show_visit(asked, result.row, list(result.reasons))


async def _say(
    asked: Asked[Any],
    fact: Fact,
    *,
    photo: Photo | None = None,
    no_photo: NoPhoto | None = None,
    reason: str | None = None,
) -> VisitShown:
    row = await record_word(
        asked.platform,
        Word(
            fact=fact,
            visit_id=asked.path["visit_id"],
            courier_id=asked.asker.id,
            photo=photo,
            no_photo=no_photo,
            reason=reason,
            phone_at=_read_phone_time(asked.body.phone_at),
        ),
    )
    return await _show_visit(asked, row)


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
    takes=PhotoBody,
    gives=VisitShown,
    repeat=Repeat.BY_NATURE,
    max_body_bytes=MAX_BODY_WITH_PHOTO_BYTES,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT, Trouble.TOO_MANY),
)
async def say_deposited(asked: Asked[PhotoBody]) -> VisitShown:
    """The courier's word that the parcel is inside, with a photo. The photo is made anew from its pixels, so that
    neither position nor device stay in it; the journal keeps its SHA-256. A visit has at most 10. Where the stop wants
    one (`photos` of the stop) and there is none, say in `no_photo` why; without either this is refused.
    """
    photo = await _make_photo(asked, asked.body.photo, asked.body.no_photo)
    return await _say(asked, Fact.COURIER_DEPOSITED, photo=photo, no_photo=asked.body.no_photo)


async def _make_photo(asked: Asked[Any], given: bytes | None, excuse: NoPhoto | None = None) -> Photo | None:
    """The photo as it is kept, of a visit that is this courier's. Raises NotFound, BadInput, ProblemError."""
    if given is None:
        return None
    if excuse is not None:
        raise BadInput("no_photo", "leave it out: there is a photo")
    async with asked.platform.database.connection() as connection:
        await get_visit_for(connection, asked.asker, asked.path["visit_id"])
    try:
        return await asked.darkroom.make_photo(given)
    except DarkroomFull:
        raise _busy() from None


@TABLE.add(
    "POST",
    "/v1/courier/visits/{visit_id}/rang",
    readers=COURIER,
    summary="I have rung or knocked",
    takes=WordBody,
    gives=VisitShown,
    repeat=Repeat.BY_NATURE,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
)
async def say_rang(asked: Asked[WordBody]) -> VisitShown:
    """At a home, before its door is opened. The wait runs on: it began with the visit's `ringing`."""
    return await _say(asked, Fact.COURIER_RANG)


@TABLE.add(
    "POST",
    "/v1/courier/visits/{visit_id}/met_someone",
    readers=COURIER,
    summary="Someone came to the door",
    takes=WordBody,
    gives=VisitShown,
    repeat=Repeat.BY_NATURE,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
)
async def say_met_someone(asked: Asked[WordBody]) -> VisitShown:
    """Nothing of ours opens that door any more: hand the parcel over, and say so. A conflict once the door is
    opened.
    """
    return await _say(asked, Fact.COURIER_MET_SOMEONE)


@TABLE.add(
    "POST",
    "/v1/courier/visits/{visit_id}/handed_over",
    readers=COURIER,
    summary="I have handed the parcel over",
    takes=HandedOverBody,
    gives=VisitShown,
    repeat=Repeat.BY_NATURE,
    max_body_bytes=MAX_BODY_WITH_PHOTO_BYTES,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT, Trouble.TOO_MANY),
)
async def say_handed_over(asked: Asked[HandedOverBody]) -> VisitShown:
    """Whoever came to the door of a home has taken the parcel: the visit ends so, and nothing was opened. With a photo,
    if there is one. A conflict once the door is opened.
    """
    return await _say(asked, Fact.COURIER_HANDED_OVER, photo=await _make_photo(asked, asked.body.photo))


@TABLE.add(
    "POST",
    "/v1/courier/visits/{visit_id}/closed",
    readers=COURIER,
    summary="I have closed it",
    takes=PhotoBody,
    gives=VisitShown,
    is_closing=True,
    repeat=Repeat.BY_NATURE,
    max_body_bytes=MAX_BODY_WITH_PHOTO_BYTES,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT, Trouble.TOO_MANY),
)
async def say_closed(asked: Asked[PhotoBody]) -> VisitShown:
    """The courier's word that it is closed: the platform locks, and waits to see it locked. It does so before it looks
    at a photo. Best say it without one first, and again with the photo of what is closed: a large request takes long.
    `photo_due` in the answer says that this stop wants one.
    """
    body = asked.body
    shown = await _say(asked, Fact.COURIER_CLOSED, no_photo=None if body.photo else body.no_photo)
    if body.photo is not None:
        photo = await _make_photo(asked, body.photo, body.no_photo)
        return await _say(asked, Fact.COURIER_CLOSED, photo=photo)
    rules = await asked.platform.rules.get()
    if not is_photo_ever_wanted(rules, Fact.COURIER_CLOSED):
        return shown
    async with asked.platform.database.connection() as connection:
        row = await get_visit_for(connection, asked.asker, asked.path["visit_id"])
        is_due = await is_photo_due(connection, rules, row, Fact.COURIER_CLOSED)
    return msgspec.structs.replace(shown, photo_due=is_due)


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
    return await _read_visit(asked, asked.path["visit_id"])


@TABLE.add(
    "POST",
    "/v1/courier/stops/{stop_id}/fallback",
    readers=COURIER,
    summary="The fallback is done",
    takes=FallbackBody,
    gives=WishAnswered,
    repeat=Repeat.BY_NATURE,
    max_body_bytes=MAX_BODY_WITH_PHOTO_BYTES,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT, Trouble.TOO_MANY),
    examples=({"done": "neighbour", "told": "with Mr Noor, no. 14", "could_not": ["to_door"]},),
)
async def say_fallback_done(asked: Asked[FallbackBody]) -> WishAnswered:
    """Says which step of the plan was carried out, and where the parcels are now that were not delivered: left
    (`to_door`, `neighbour`, `pickup_point`), or taken back (`tomorrow`, `depot`). Ends the stop. With `tomorrow`, the
    answer names the stop of the next try, which is booked already. The photo is made anew from its pixels.
    """
    body, wisher = asked.body, wisher_of(asked)
    photo = None
    if body.photo is not None:
        async with asked.platform.database.connection() as connection:
            if await stops.find_stop(connection, asked.path["stop_id"], courier_id=asked.asker.id) is None:
                raise NotFound("there is no such stop")
        try:
            photo = await asked.darkroom.make_photo(body.photo)
        except DarkroomFull:
            raise _busy() from None
    given = FallbackGiven(done=body.done, told=body.told, could_not=body.could_not, photo=photo)
    async with asked.platform.database.transaction() as connection:
        changed = await take_fallback(asked.platform, connection, asked.path["stop_id"], wisher, given)
        return await show_changed(asked, connection, changed)
