"""The WebSocket of a live picture: let in by a ticket, told why it ends by the code that it is closed with."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from litestar import WebSocket
from litestar.handlers import WebsocketRouteHandler

from unlatch.errors import NotFound
from unlatch.flow.platform import Platform
from unlatch.flow.viewing import Watcher, find_filmed, use_ticket
from unlatch.store.viewing import Filmed, TicketKind
from unlatch.web.answering import ID
from unlatch.web.live import NOT_NOW, End, LiveHub, TooManyViewers

log = logging.getLogger(__name__)

LIVE_PATH = "/v1/visits/{visit_id}/live"
CLOSE_WITHIN_S = 1.0
REFUSED = 1008  # before it is accepted: HTTP 403, whatever is wrong with the ticket
NOTHING_LIVE = 4404
TOO_MANY = 4429
CODES: Mapping[End, int] = MappingProxyType(
    {
        End.OVER: 1000,
        End.LEFT: 1000,
        End.SLOW: 4408,
        End.NOT_ALLOWED: 4403,
        End.UNCHECKED: 1013,
        End.CLOSING: 1012,
    }
)


def make_live_route(platform: Platform, hub: LiveHub) -> WebsocketRouteHandler:
    """The route. Nothing of a request is logged: its address holds the ticket."""

    async def live(socket: WebSocket[Any, Any, Any]) -> None:
        visit_id: str = socket.path_params["visit_id"]
        ticket, camera_id = socket.query_params.get("ticket", ""), socket.query_params.get("camera")
        try:
            watcher, filmed = await _let_in(platform, ticket, visit_id, camera_id)
        except (NotFound, *NOT_NOW):
            await _close(socket, REFUSED)
            return
        await socket.accept()
        if filmed is None:
            await _close(socket, NOTHING_LIVE)
            return
        try:
            await _close(socket, CODES[await _show(hub, socket, watcher, filmed)])
        except TooManyViewers:
            await _close(socket, TOO_MANY)
        except NOT_NOW as error:
            log.warning("a live picture could not be shown: %s", type(error).__name__)
            await _close(socket, CODES[End.UNCHECKED])

    path = LIVE_PATH.replace("}", ":str}")
    return WebsocketRouteHandler(path, name="watch_live")(live)


async def _let_in(
    platform: Platform, ticket: str, visit_id: str, camera_id: str | None
) -> tuple[Watcher, Filmed | None]:
    """Who this is, and what they are shown. Raises NotFound."""
    named = (ticket, visit_id) if camera_id is None else (ticket, visit_id, camera_id)
    if not all(ID.fullmatch(one) for one in named):
        raise NotFound("there is no such live picture")
    async with platform.database.connection() as connection:
        watcher = await use_ticket(connection, ticket, TicketKind.LIVE, visit_id)
        return watcher, await find_filmed(connection, watcher.visit, camera_id)


async def _show(hub: LiveHub, socket: WebSocket[Any, Any, Any], watcher: Watcher, filmed: Filmed) -> End:
    async def say(text: str) -> None:
        await socket.send({"type": "websocket.send", "text": text, "bytes": None})

    async def send(data: bytes) -> None:
        await socket.send({"type": "websocket.send", "bytes": data, "text": None})

    async def leave() -> None:
        # Nothing is asked of a viewer: a disconnect ends it, and so does whatever they send.
        await socket.receive()

    leaving = asyncio.create_task(leave())
    try:
        return await hub.show(watcher, filmed, say, send, leaving)
    finally:
        leaving.cancel()
        await asyncio.wait((leaving,))


async def _close(socket: WebSocket[Any, Any, Any], code: int) -> None:
    """Say that it is over, to one who may have gone already."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(CLOSE_WITHIN_S):
            await socket.send({"type": "websocket.close", "code": code, "reason": ""})
