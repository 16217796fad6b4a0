"""A visit as each reader may see it, worded for them."""

from __future__ import annotations

from enum import StrEnum, auto
from typing import Annotated, Any

from msgspec import Meta, Struct
from psycopg import AsyncConnection

from unlatch.domain.access import Assurance
from unlatch.domain.incident import Incident, NextStep, next_step_of
from unlatch.domain.note import note_text
from unlatch.domain.proof import Kind
from unlatch.domain.visit import BEFORE_GATE, Fact, State, Tail, Visit, Whereabouts
from unlatch.domain.wording import Language, text_of
from unlatch.domain.wording import Reader as TextReader
from unlatch.store import journal, stops
from unlatch.store.lines import LineRow
from unlatch.store.visits import VisitRow
from unlatch.web.problems import ReasonShown
from unlatch.web.shapes import FallbackStep, Identifier, Moment, show_plan
from unlatch.web.signing_in import Reader

FIRST_ENTRIES = 20  # a refusal stands among the first entries of its visit
_TEXT_READERS = {Reader.COURIER: TextReader.COURIER, Reader.CONSIGNEE: TextReader.CONSIGNEE}
_SHOWN_WHOLE = frozenset({Reader.CARRIER, Reader.OPERATOR})


class Recorded(StrEnum):
    """What a home's cameras have shown of a visit."""

    NONE = auto()  # nothing: a car, or no camera has proven yet, or ever, that it records
    PROVEN = auto()  # one has, before anything was opened, and was not lost
    LOST = auto()  # it was lost for a while, or still is, while the door may have stood open


class VisitShown(Struct, kw_only=True):
    """One attempt to deliver, as it stands."""

    id: Identifier
    stop_id: Identifier
    state: Annotated[State, Meta(description="See the state diagram of the visit protocol")]
    state_text: Annotated[str, Meta(description="For the reader, in their language")]
    is_live: bool
    next_step: Annotated[NextStep, Meta(description="What the courier does now")]
    next_step_text: str
    incident: Annotated[Incident | None, Meta(description="The latest thing that went wrong, if any")]
    incident_text: str | None
    reasons: Annotated[list[ReasonShown], Meta(description="Of a refusal, all of them")]
    has_opened: bool
    is_recorded: Annotated[
        bool, Meta(description="At a home: nothing opens unless a camera proves that it records")
    ]
    recording: Recorded
    is_clean: Annotated[
        bool, Meta(description="False: the recording had a gap while the door may have stood open")
    ]
    assurance: Annotated[Assurance, Meta(description="How well the closure can show that it is locked")]
    whereabouts: Annotated[Whereabouts, Meta(description="Of the parcel, by the courier's latest word")]
    tail: Annotated[Tail, Meta(description="The watch over the closure after the visit has ended")]
    begun_at: Moment
    deadline_at: Moment | None
    ended_at: Moment | None
    fallback_plan: Annotated[
        list[FallbackStep] | None,
        Meta(description="For the courier of a visit that did not deliver: what to do instead, in order"),
    ] = None
    photo_due: Annotated[
        bool, Meta(description="For the courier who has just said `closed`: say it again, with a photo of it")
    ] = False


class LineShown(Struct, kw_only=True, omit_defaults=True):
    """One line of a visit's journal."""

    visit_id: Identifier
    number: int
    at: Moment
    kind: str
    name: str
    who: Annotated[str, Meta(description="Who said so; couriers and consignees see the part alone")]
    text: Annotated[str, Meta(description="For the reader, in their language")]
    state: str | None = None
    incident: str | None = None
    incident_text: str | None = None
    photo: Annotated[str | None, Meta(description="The SHA-256 of the photo that came with it")] = None
    body: dict[str, Any] | None = None  # for carriers and operators: as it is chained


def text_reader(reader: Reader) -> TextReader:
    """Whose texts this reader reads; a carrier reads the operator's."""
    return _TEXT_READERS.get(reader, TextReader.OPERATOR)


def show_reasons(reasons: list[Incident], reader: Reader, language: str) -> list[ReasonShown]:
    """Each reason, worded."""
    return [
        ReasonShown(code=reason, text=text_of(reason, text_reader(reader), Language(language)))
        for reason in reasons
    ]


def show_visit(
    row: VisitRow, reader: Reader, language: str, reasons: list[Incident] | None = None
) -> VisitShown:
    """The visit of a row, worded."""
    spoken, words = Language(language), text_reader(reader)
    visit, incident = row.visit, row.incident
    next_step = next_step_of(visit.state, incident)
    return VisitShown(
        id=row.id,
        stop_id=row.stop_id,
        state=visit.state,
        state_text=text_of(visit.state, words, spoken),
        is_live=visit.is_live,
        next_step=next_step,
        next_step_text=text_of(next_step, words, spoken),
        incident=incident,
        incident_text=None if incident is None else text_of(incident, words, spoken),
        reasons=show_reasons(
            reasons or ([incident] if _is_refused(row) and incident else []), reader, language
        ),
        has_opened=visit.has_opened,
        is_recorded=visit.is_recorded,
        recording=recorded(visit),
        is_clean=visit.is_clean,
        assurance=visit.closure.assurance,
        whereabouts=visit.whereabouts,
        tail=visit.tail,
        begun_at=row.begun_at,
        deadline_at=visit.deadline_at,
        ended_at=row.ended_at,
    )


def recorded(visit: Visit) -> Recorded:
    """What a home's cameras have shown of it. Only a proof leads to a grant, and only a grant further."""
    if not visit.is_recorded:
        return Recorded.NONE
    if not visit.is_clean and visit.state is not State.REFUSED:
        return Recorded.LOST
    never_opened = visit.state in (*BEFORE_GATE, State.REFUSED, State.HANDED_OVER)
    return Recorded.NONE if never_opened and visit.state is not State.GRANTED else Recorded.PROVEN


def _is_refused(row: VisitRow) -> bool:
    return row.visit.state is State.REFUSED


async def find_reasons(connection: AsyncConnection, row: VisitRow) -> list[Incident]:
    """All reasons of a refusal, which the journal keeps."""
    if not _is_refused(row):
        return []
    for kept in await journal.list_entries(connection, row.id, limit=FIRST_ENTRIES):
        if kept.entry.name == Fact.DENIED:
            return [Incident(reason) for reason in kept.entry.body.get("reasons", ())]
    return []


async def find_plan(connection: AsyncConnection, row: VisitRow, language: str) -> list[FallbackStep] | None:
    """The fallback of the stop, once the visit has ended without a delivery; None: there is no need of one."""
    if row.visit.is_live or next_step_of(row.visit.state, row.incident) is NextStep.GO_ON:
        return None
    stop = await stops.find_stop(connection, row.stop_id)
    return None if stop is None else show_plan(stop, language)


def _text_of_line(line: LineRow, words: TextReader, language: Language) -> str:
    try:
        return text_of(Fact(line.name), words, language)
    except ValueError:
        return note_text(line.name, words, language) or text_of(Kind(line.kind), words, language)


def show_line(line: LineRow, reader: Reader, language: str) -> LineShown:
    """A line, worded. What stands beside the chain (positions, phones) is in none of them."""
    spoken, words = Language(language), text_reader(reader)
    is_whole = reader in _SHOWN_WHOLE
    part, _, name = line.who.partition(":")
    incident = line.body.get("incident")
    return LineShown(
        visit_id=line.visit_id,
        number=line.number,
        at=line.at,
        kind=line.kind,
        name=line.name,
        who=line.who if is_whole or part == "cloud" or not name else part,
        text=_text_of_line(line, words, spoken),
        state=line.body.get("state"),
        incident=incident,
        incident_text=text_of(Incident(incident), words, spoken) if incident else None,
        photo=line.body.get("photo"),
        body=line.body if is_whole else None,
    )
