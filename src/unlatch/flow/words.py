"""The courier's own word: opened, deposited, closed, pulled the handle, could not; and the photo that goes with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from unlatch.domain.eligibility import Rules
from unlatch.domain.photo import NoPhoto, is_photo_wanted
from unlatch.domain.proof import text_of_time
from unlatch.domain.visit import BEFORE_GATE, LIVE, TRANSITIONS, Fact, State
from unlatch.errors import Conflict, NotFound
from unlatch.flow.platform import Platform
from unlatch.flow.record import Happening, record_in
from unlatch.store import journal, stops, visits
from unlatch.store.visits import VisitRow

MAX_PHOTOS = 10  # of a visit: its proof holds them all
WORDS = frozenset(
    {
        Fact.COURIER_OPENED,
        Fact.COURIER_DEPOSITED,
        Fact.COURIER_CLOSED,
        Fact.COURIER_PULLED_HANDLE,
        Fact.COURIER_GAVE_UP,
        Fact.COURIER_RANG,
        Fact.COURIER_MET_SOMEONE,
        Fact.COURIER_HANDED_OVER,
    }
)
# Words of a home's door, and the states in which each can be said. Elsewhere it would be taken for more than it is: who
# believes that a parcel was handed over must not be left believing so where that counts for nothing.
AT_THE_DOOR: Mapping[Fact, frozenset[State]] = {
    Fact.COURIER_RANG: BEFORE_GATE,
    **{
        fact: frozenset(state for state in LIVE if fact in TRANSITIONS[state]) | {end}
        for fact, end in (
            (Fact.COURIER_MET_SOMEONE, State.ANSWERED),
            (Fact.COURIER_HANDED_OVER, State.HANDED_OVER),
        )
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """A photo that the courier took, re-encoded by us: no position, no device name in it."""

    sha256: bytes
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What a courier says about the visit that is theirs."""

    fact: Fact
    visit_id: str
    courier_id: str
    photo: Photo | None = None
    reason: str | None = None  # of COURIER_GAVE_UP: a word from a list, never free text
    no_photo: NoPhoto | None = None  # why there is none where one is wanted
    phone_at: datetime | None = None  # when it happened by the phone's clock: written down, never believed


async def record_word(platform: Platform, word: Word) -> VisitRow:
    """Record the courier's word; the visit afterwards.

    Raises NotFound where it is not this courier's visit, and Conflict where it has as many photos as it may have, where
    what is said of a home's door can't be said any more, or where *deposited* comes without the photo that is wanted.
    *Closed* is taken in any case: it locks.
    """
    if word.fact not in WORDS:
        raise ValueError(f"{word.fact} is not a courier's word")
    rules = await platform.rules.get()
    now = platform.clock.now()
    body: dict[str, Any] = {}
    if word.photo is not None:
        body["photo"] = word.photo.sha256.hex()
    if word.no_photo is not None:
        body["no_photo"] = word.no_photo.value
    if word.reason is not None:
        body["reason"] = word.reason
    if word.phone_at is not None:
        body["phone_at"] = text_of_time(word.phone_at)
    async with platform.database.pipelined_transaction() as connection:
        row = await visits.lock_visit(connection, word.visit_id)
        if row.courier_id != word.courier_id:
            raise NotFound("there is no such visit")
        _check_door(row, word.fact)
        if word.photo is not None:
            photo = word.photo
            if await visits.count_other_photos(connection, row.id, photo.sha256) >= MAX_PHOTOS:
                raise Conflict(f"this visit has {MAX_PHOTOS} photos already: say it without one")
            await visits.insert_photo(
                connection,
                row.id,
                sha256=photo.sha256,
                media_type=photo.media_type,
                content=photo.content,
                at=now,
            )
        elif word.no_photo is None and await is_photo_due(connection, rules, row, word.fact):
            if word.fact is Fact.COURIER_DEPOSITED:
                raise Conflict(
                    "a photo of the parcel inside is wanted: take one, or say in no_photo why there is none"
                )
            body["photo_due"] = True
        happening = Happening(fact=word.fact, who=f"courier:{word.courier_id}", body=body)
        return await record_in(connection, row, happening, now)


def is_photo_ever_wanted(rules: Rules, fact: Fact) -> bool:
    """Whether any programme wants a photo with this word: if none does, no visit need be asked about it."""
    return any(is_photo_wanted(programme.photos, fact) for programme in rules.programmes.values())


async def is_photo_due(connection: AsyncConnection, rules: Rules, row: VisitRow, fact: Fact) -> bool:
    """Whether the programme of this visit wants a photo with this word, and none was taken or excused yet."""
    if not is_photo_ever_wanted(rules, fact):
        return False
    stop = await stops.find_stop(connection, row.stop_id)
    programme = rules.get_programme(None if stop is None else stop.programme)
    if not is_photo_wanted(programme.photos, fact):
        return False
    return not await journal.is_photo_told(connection, row.id, fact.value)


def _check_door(row: VisitRow, fact: Fact) -> None:
    known = AT_THE_DOOR.get(fact)
    if known is None or (row.visit.is_recorded and row.visit.state in known):
        return
    if not row.visit.is_recorded:
        raise Conflict("this is said at homes alone")
    if row.visit.is_live:
        raise Conflict(
            "the door is ours to open by now: put the parcel in and close it, or say that you could not"
        )
    raise Conflict("this visit has ended")
