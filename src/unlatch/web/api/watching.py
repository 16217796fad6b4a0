"""What a page or a player asks that was let in by a ticket: everything lies below `/v1/watching/{ticket}`.

Nobody signs in here: the ticket says who it is. It is looked up, and the right behind it, at every request.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from litestar import Response
from msgspec import Meta, Struct
from psycopg import AsyncConnection

from unlatch.domain.viewing_texts import looked_text
from unlatch.domain.wording import Language as SpokenLanguage
from unlatch.errors import NotFound
from unlatch.flow import viewing
from unlatch.flow.viewing import NewTicket, Watcher, find_player
from unlatch.store import household, looks
from unlatch.store import viewing as rows
from unlatch.store.looks import LookRow
from unlatch.store.viewing import TicketKind
from unlatch.store.visits import VisitRow
from unlatch.web.api.consignee import Doer, show_doer
from unlatch.web.api.viewing import (
    ClipQuery,
    ClipShown,
    FilmedCamera,
    TicketMade,
    show_cameras,
    show_clip,
    show_ticket,
)
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.live import TooManyViewers
from unlatch.web.problems import ProblemError, Trouble
from unlatch.web.ranges import find_range
from unlatch.web.shapes import Identifier, Language, Moment, say_language
from unlatch.web.signing_in import Reader
from unlatch.web.source import Source
from unlatch.web.visit_shapes import show_visit

TABLE = EndpointTable(
    "watching",
    "For a page or a player that holds a ticket: it stands in the address, so keep these addresses to yourself.",
)
MOST_LOOKS = 50
RELOAD_WITHIN_S = 8.0  # a playlist is waited for
FIRST_WITHIN_S = 4.0
AHEAD = 2  # segments that may be asked for before they are there
TAKE_BYTES = 4 * 1024 * 1024  # of one answer
PLAYLIST = "application/vnd.apple.mpegurl"


class PageTicket(Struct, kw_only=True, forbid_unknown_fields=True):
    """A ticket for the page, as it stands behind the `#` of its address."""

    visit_id: Identifier
    ticket: Identifier


class LookedAt(Struct, kw_only=True):
    """Someone has watched."""

    doer: Doer
    text: Annotated[str, Meta(description="In your language: watched live, watched the clip")]
    at: Moment


class Watching(Struct, kw_only=True):
    """All that the page shows of a visit."""

    visit_id: Identifier
    state_text: str
    is_live: bool
    cameras: list[FilmedCamera]
    clips: list[ClipShown]
    looks: Annotated[list[LookedAt], Meta(description="Who has watched, newest first")]


class PlaylistQuery(
    Struct, kw_only=True, rename={"msn": "_HLS_msn", "part": "_HLS_part", "skip": "_HLS_skip"}
):
    """What a player waits for (draft-pantos-hls-rfc8216bis, 6.2.5.2)."""

    msn: Annotated[int, Meta(ge=0, le=10_000_000, description="This segment")] | None = None
    part: Annotated[int, Meta(ge=0, le=10_000, description="This part of it")] | None = None
    skip: Annotated[str, Meta(max_length=10, description="Not made use of")] | None = None


async def _find_watcher(asked: Asked[Any]) -> Watcher:
    async with asked.platform.database.connection() as connection:
        return await find_player(connection, asked.path["ticket"])


async def _make_ticket(connection: AsyncConnection, kind: TicketKind, watcher: Watcher) -> NewTicket:
    """Another ticket for whoever has one; it rests on the same session or key."""
    return await viewing.make_ticket(
        connection, kind, who=watcher.who, visit=watcher.visit, session_id=watcher.session_id
    )


def _language_of(asked: Asked[Any], watcher: Watcher) -> Language:
    return say_language(asked.request.headers.get("accept-language"), watcher.language)


@TABLE.add(
    "POST",
    "/v1/watching",
    readers=(),
    summary="Open the page with its ticket",
    takes=PageTicket,
    gives=TicketMade,
    status=201,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND, Trouble.NOT_ALLOWED, Trouble.CONFLICT),
)
async def open_watch_page(asked: Asked[PageTicket]) -> TicketMade:
    """A page's ticket, which is good once, becomes a player's, which is good for an hour."""
    connection, visit_id = asked.connection, asked.body.visit_id
    watcher = await viewing.use_ticket(connection, asked.body.ticket, TicketKind.PAGE, visit_id)
    made = await _make_ticket(connection, TicketKind.PLAYER, watcher)
    return show_ticket(made, visit_id, asked.platform.settings.public_url)


@TABLE.add(
    "GET",
    "/v1/watching/{ticket}",
    readers=(),
    summary="What there is to watch",
    gives=Watching,
    troubles=(Trouble.NOT_FOUND,),
)
async def read_watching(asked: Asked[None]) -> Watching:
    """How the visit stands, its cameras, its clips, and who has watched (`Accept-Language`: en, fr)."""
    async with asked.platform.database.connection() as connection:
        watcher = await find_player(connection, asked.path["ticket"])
        visit = watcher.visit
        language = _language_of(asked, watcher)
        filmed = await rows.list_filmed(connection, visit.id)
        kept = await rows.list_kept_clips(connection, visit.id)
        wanted = {f"{how}:{one.camera_id}" for one in filmed for how in ("live", "live_ended")}
        wanted |= {f"clip:{clip.id}" for clip in kept}
        looked = [
            look
            for look in await looks.list_newest_looks_of_stop(connection, visit.stop_id, limit=4 * MOST_LOOKS)
            if look.what in wanted and look.at >= visit.begun_at
        ][:MOST_LOOKS]
        names = await household.list_names(connection, {look.who.partition(":")[2] for look in looked})
    watcher_id = watcher.who.partition(":")[2]
    return Watching(
        visit_id=visit.id,
        state_text=_state_text(visit, language),
        is_live=visit.visit.is_live,
        cameras=show_cameras(filmed, visit),
        clips=[show_clip(clip) for clip in kept],
        looks=[_show_look(look, watcher_id, names, language) for look in looked],
    )


def _state_text(visit: VisitRow, language: Language) -> str:
    return show_visit(visit, Reader.CONSIGNEE, language).state_text


def _show_look(look: LookRow, watcher_id: str, names: dict[str, str], language: Language) -> LookedAt:
    kind = look.what.partition(":")[0]
    return LookedAt(
        doer=show_doer(look.who, watcher_id, names, language),
        text=looked_text(kind, SpokenLanguage(language)),
        at=look.at,
    )


@TABLE.add(
    "POST",
    "/v1/watching/{ticket}/live",
    readers=(),
    summary="Get a ticket for one live stream",
    gives=TicketMade,
    status=201,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND, Trouble.NOT_ALLOWED, Trouble.CONFLICT),
)
async def make_live_ticket(asked: Asked[None]) -> TicketMade:
    """For each time that a page opens its stream."""
    watcher = await find_player(asked.connection, asked.path["ticket"])
    made = await _make_ticket(asked.connection, TicketKind.LIVE, watcher)
    return show_ticket(made, watcher.visit.id, asked.platform.settings.public_url)


# ---- Low-Latency HLS --------------------------------------------------------------------------------------------


async def _find_source(asked: Asked[Any]) -> Source:
    """What the player plays, its look written down. Raises NotFound, ProblemError."""
    async with asked.platform.database.connection() as connection:
        watcher = await find_player(connection, asked.path["ticket"])
        filmed = await viewing.find_filmed(connection, watcher.visit, asked.path["camera_id"])
    if filmed is None:
        ended = asked.cinema.live.find_ended(asked.path["ticket"], asked.path["camera_id"])
        if ended is None:
            raise NotFound("there is no such live picture")
        return ended
    try:
        return await asked.cinema.live.note_player(asked.path["ticket"], watcher, filmed)
    except TooManyViewers:
        raise ProblemError(Trouble.TOO_MANY, "too many watch", headers={"Retry-After": "5"}) from None


@TABLE.add(
    "GET",
    "/v1/watching/{ticket}/cameras/{camera_id}/live.m3u8",
    readers=(),
    summary="The playlist of a live picture",
    query=PlaylistQuery,
    media_type=PLAYLIST,
    troubles=(Trouble.NOT_FOUND, Trouble.TOO_MANY),
)
async def read_playlist(asked: Asked[None]) -> Response[Any]:
    """Low-Latency HLS: parts of a segment, blocking reload, a discontinuity at each take."""
    source, query = await _find_source(asked), asked.query
    if query.part is not None and query.msn is None:
        raise ProblemError(Trouble.BAD_INPUT, "_HLS_part: give _HLS_msn as well")
    shelf = source.shelf
    if query.msn is not None and not shelf.is_empty and query.msn > shelf.last_number + AHEAD:
        raise ProblemError(Trouble.BAD_INPUT, "_HLS_msn: that is too far ahead")
    is_there = await source.await_shelf(
        lambda: shelf.has(query.msn, query.part) if query.msn is not None else not shelf.is_empty,
        RELOAD_WITHIN_S if query.msn is not None else FIRST_WITHIN_S,
    )
    if not is_there and not source.is_over:
        raise ProblemError(Trouble.UNAVAILABLE, "no picture comes", headers={"Retry-After": "1"})
    return Response(shelf.write(is_over=source.is_over), media_type=PLAYLIST)


@TABLE.add(
    "GET",
    "/v1/watching/{ticket}/cameras/{camera_id}/takes/{take_id}/media.mp4",
    readers=(),
    summary="A range of a live picture's take",
    media_type="video/mp4",
    troubles=(Trouble.NOT_FOUND, Trouble.OUT_OF_RANGE, Trouble.TOO_MANY),
)
async def read_take(asked: Asked[None]) -> Response[Any]:
    """As the playlist names them: give `Range`."""
    source = await _find_source(asked)
    number = asked.path["take_id"].removeprefix("take_")
    if not number.isdecimal():
        raise NotFound("there is no such take")
    head, size = source.shelf.heads.get(int(number)), source.shelf.sizes.get(int(number), 0)
    if head is None:
        raise NotFound("there is no such take")
    wanted = find_range(asked.request.headers.get("range", "bytes=0-"), size, at_most=TAKE_BYTES)
    if wanted is None:
        raise ProblemError(Trouble.BAD_INPUT, "Range: give one range of bytes")
    return Response(
        await asked.cinema.read_take(head.path, wanted),
        status_code=HTTPStatus.PARTIAL_CONTENT,
        media_type="video/mp4",
        headers={"accept-ranges": "bytes", "content-range": wanted.header(size)},
    )


# ---- clips ------------------------------------------------------------------------------------------------------


@TABLE.add(
    "GET",
    "/v1/watching/{ticket}/clips/{clip_id}",
    readers=(),
    summary="Play a clip",
    query=ClipQuery,
    media_type="video/mp4",
    troubles=(Trouble.NOT_FOUND, Trouble.OUT_OF_RANGE, Trouble.TOO_MANY, Trouble.DAMAGED),
)
async def play_clip(asked: Asked[None]) -> Response[Any]:
    """As with a key: ranges, an error that names a damaged part, a look that is written down."""
    watcher = await _find_watcher(asked)
    return await asked.cinema.give_clip(
        watcher, asked.path["clip_id"], asked.request, is_download=asked.query.download
    )


@TABLE.add(
    "HEAD",
    "/v1/watching/{ticket}/clips/{clip_id}",
    readers=(),
    summary="Ask for a clip's size",
    media_type="video/mp4",
    troubles=(Trouble.NOT_FOUND,),
)
async def head_clip(asked: Asked[None]) -> Response[Any]:
    """Its length and its digest. This is no look."""
    return await asked.cinema.head_clip(await _find_watcher(asked), asked.path["clip_id"])


@TABLE.add(
    "GET",
    "/v1/watching/{ticket}/clips/{clip_id}/poster",
    readers=(),
    summary="See one picture of a clip",
    media_type="image/jpeg",
    troubles=(Trouble.NOT_FOUND,),
)
async def read_poster(asked: Asked[None]) -> Response[Any]:
    """Its first picture. A look like the clip itself."""
    watcher = await _find_watcher(asked)
    poster = await viewing.read_poster(asked.platform, watcher, asked.path["clip_id"])
    return Response(poster, media_type="image/jpeg")
