"""What the household asks to watch a visit: its cameras, its clips, and tickets for browsers and players."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Response
from msgspec import Meta, Struct
from psycopg import AsyncConnection

from unlatch.flow import viewing
from unlatch.flow.viewing import NewTicket, Watcher, require_watch
from unlatch.store import viewing as rows
from unlatch.store.viewing import Filmed, KeptClip, TicketKind
from unlatch.store.visits import VisitRow
from unlatch.web.endpoints import Asked, EndpointTable, Repeat
from unlatch.web.live_socket import LIVE_PATH
from unlatch.web.problems import Trouble
from unlatch.web.reading_room import get_visit_for, language_of
from unlatch.web.shapes import Identifier, Moment
from unlatch.web.signing_in import Reader

TABLE = EndpointTable(
    "viewing",
    "For those of a household whom the owner lets watch: live pictures and clips of a home's visits. Each look is "
    "written down, and the household is shown it.",
)
HOUSEHOLD = (Reader.CONSIGNEE,)
WATCHERS = (
    Reader.CONSIGNEE,
    Reader.CARRIER,
    Reader.OPERATOR,
)  # whether they may is for flow/viewing.may_watch to say


class FilmedCamera(Struct, kw_only=True):
    """A camera that films, or has filmed, this visit."""

    id: Identifier
    name: str
    is_live: Annotated[bool, Meta(description="It records now, and can be watched")]
    is_witness: Annotated[bool, Meta(description="Its proof opened the door")]


class VisitCameras(Struct, kw_only=True):
    """The cameras of a visit; one whose proof opened the door comes first."""

    cameras: list[FilmedCamera]


class ClipShown(Struct, kw_only=True):
    """A finished recording of one camera."""

    id: Identifier
    camera_id: Identifier
    camera_name: str
    number: Annotated[int, Meta(description="1, unless the camera's format changed on the way")]
    made_at: Moment
    length_s: float
    size: Annotated[int, Meta(description="Bytes")]
    keep_until: Moment
    erased_at: Moment | None


class VisitClips(Struct, kw_only=True):
    """The clips of a visit, camera by camera."""

    clips: list[ClipShown]


class ClipQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """How the clip is wanted."""

    download: Annotated[bool, Meta(description="As a file to be kept")] = False


class TicketBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """What the ticket is to open."""

    kind: Annotated[
        TicketKind,
        Meta(
            description="page: our page, once, within 5 minutes; live: one live stream, once, within 30 seconds; "
            "player: playlists and clips, for an hour"
        ),
    ]


class TicketMade(Struct, kw_only=True):
    """A ticket. It is bound to you, your key or browser, and this visit, and ends at once with your right to watch."""

    ticket: Annotated[str, Meta(description="Shown this once")]
    kind: TicketKind
    address: Annotated[str, Meta(description="What it opens, the ticket in it")]
    expires_at: Moment


def show_cameras(filmed: list[Filmed], visit: VisitRow) -> list[FilmedCamera]:
    """The cameras of a visit; none can be watched live once it has ended."""
    return [
        FilmedCamera(
            id=one.camera_id,
            name=one.camera_name,
            is_live=one.is_under_way and visit.visit.is_live,
            is_witness=one.is_witness,
        )
        for one in filmed
    ]


def show_clip(clip: KeptClip) -> ClipShown:
    """What is told of a clip."""
    return ClipShown(
        id=clip.id,
        camera_id=clip.camera_id,
        camera_name=clip.camera_name,
        number=clip.number,
        made_at=clip.made_at,
        length_s=clip.length_ms / 1000,
        size=clip.size,
        keep_until=clip.keep_until,
        erased_at=clip.erased_at,
    )


def show_ticket(ticket: NewTicket, visit_id: str, public_url: str) -> TicketMade:
    """A ticket with the address that it opens."""
    live = f"ws{public_url.removeprefix('http')}{LIVE_PATH.format(visit_id=visit_id)}?ticket={ticket.secret}"
    addresses = {
        TicketKind.PAGE: f"{public_url}/watch/{visit_id}#{ticket.secret}",
        TicketKind.LIVE: live,
        TicketKind.PLAYER: f"{public_url}/v1/watching/{ticket.secret}",
    }
    return TicketMade(
        ticket=ticket.secret, kind=ticket.kind, address=addresses[ticket.kind], expires_at=ticket.until
    )


async def _get_watched(connection: AsyncConnection, asked: Asked[Any]) -> Watcher:
    """Who asks, of a visit that they may watch. Raises NotFound, NotAllowed."""
    visit = await get_visit_for(connection, asked.asker, asked.path["visit_id"])
    await require_watch(connection, asked.asker.who, visit, now=asked.platform.clock.now())
    return Watcher(who=asked.asker.who, visit=visit, language=language_of(asked))


@TABLE.add(
    "GET",
    "/v1/visits/{visit_id}/cameras",
    readers=HOUSEHOLD,
    summary="Which cameras film a visit",
    gives=VisitCameras,
    troubles=(Trouble.NOT_FOUND,),
)
async def list_visit_cameras(asked: Asked[None]) -> VisitCameras:
    """Those that record this visit, or have. A live picture is there while the visit lives."""
    async with asked.platform.database.connection() as connection:
        watcher = await _get_watched(connection, asked)
        filmed = await rows.list_filmed(connection, watcher.visit.id)
    return VisitCameras(cameras=show_cameras(filmed, watcher.visit))


@TABLE.add(
    "POST",
    "/v1/visits/{visit_id}/tickets",
    readers=HOUSEHOLD,
    summary="Get a ticket to watch a visit",
    takes=TicketBody,
    gives=TicketMade,
    status=201,
    repeat=Repeat.IN_TRANSACTION,
    troubles=(Trouble.NOT_FOUND, Trouble.CONFLICT),
    examples=({"kind": "page"}, {"kind": "live"}, {"kind": "player"}),
)
async def make_watch_ticket(asked: Asked[TicketBody]) -> TicketMade:
    """For what can't send a key: our page, a WebSocket, a player. The live stream is fragmented MP4 over a WebSocket
    (`&camera=` chooses one); a player finds `/cameras/{camera_id}/live.m3u8` (Low-Latency HLS) and `/clips/{clip_id}`
    below its address. See the manual's page on watching.
    """
    connection = asked.connection
    visit = await get_visit_for(connection, asked.asker, asked.path["visit_id"])
    session = asked.asker.session
    made = await viewing.make_ticket(
        connection,
        asked.body.kind,
        who=asked.asker.who,
        visit=visit,
        session_id=None if session is None else session.id,
    )
    return show_ticket(made, visit.id, asked.platform.settings.public_url)


@TABLE.add(
    "GET",
    "/v1/visits/{visit_id}/clips",
    readers=WATCHERS,
    summary="List the clips of a visit",
    gives=VisitClips,
    troubles=(Trouble.NOT_FOUND,),
)
async def list_visit_clips(asked: Asked[None]) -> VisitClips:
    """What was kept of it, and until when; of an erased clip, when it was."""
    async with asked.platform.database.connection() as connection:
        watcher = await _get_watched(connection, asked)
        kept = await rows.list_kept_clips(connection, watcher.visit.id)
    return VisitClips(clips=[show_clip(clip) for clip in kept])


@TABLE.add(
    "GET",
    "/v1/visits/{visit_id}/clips/{clip_id}",
    readers=WATCHERS,
    summary="Watch a clip",
    query=ClipQuery,
    media_type="video/mp4",
    troubles=(Trouble.NOT_FOUND, Trouble.OUT_OF_RANGE, Trouble.TOO_MANY, Trouble.DAMAGED),
)
async def read_visit_clip(asked: Asked[None]) -> Response[Any]:
    """An ordinary MP4. With `Range` (and `If-Range`) a part of it, at most 2 MiB an answer. A part that is not what was
    recorded is named, never shown. One look a clip, person and ten minutes is written down.
    """
    async with asked.platform.database.connection() as connection:
        watcher = await _get_watched(connection, asked)
    return await asked.cinema.give_clip(
        watcher, asked.path["clip_id"], asked.request, is_download=asked.query.download
    )


@TABLE.add(
    "HEAD",
    "/v1/visits/{visit_id}/clips/{clip_id}",
    readers=WATCHERS,
    summary="Ask for a clip's size and digest",
    media_type="video/mp4",
    troubles=(Trouble.NOT_FOUND,),
)
async def head_visit_clip(asked: Asked[None]) -> Response[Any]:
    """Its length and, as `ETag`, its SHA-256. This is no look."""
    async with asked.platform.database.connection() as connection:
        watcher = await _get_watched(connection, asked)
    return await asked.cinema.head_clip(watcher, asked.path["clip_id"])


@TABLE.add(
    "GET",
    "/v1/visits/{visit_id}/clips/{clip_id}/poster",
    readers=WATCHERS,
    summary="See one picture of a clip",
    media_type="image/jpeg",
    troubles=(Trouble.NOT_FOUND,),
)
async def read_visit_poster(asked: Asked[None]) -> Response[Any]:
    """Its first picture. A look like the clip itself."""
    async with asked.platform.database.connection() as connection:
        watcher = await _get_watched(connection, asked)
    poster = await viewing.read_poster(asked.platform, watcher, asked.path["clip_id"])
    return Response(poster, media_type="image/jpeg")
