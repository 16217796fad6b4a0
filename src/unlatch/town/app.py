"""The town as one ASGI application, and as a server of its own.

A table of first path parts leads to the clouds and to the control API; both clouds live at the root of one
address, as their paths don't meet. Run it alone with `python -m unlatch.town --port 8090`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from typing import Any

import uvicorn

from unlatch.clock import Clock
from unlatch.town.car import Maker
from unlatch.town.clouds.home_hub import HomeHubs
from unlatch.town.clouds.oauth import AuthorizationServer
from unlatch.town.clouds.onstar import OnStarCloud
from unlatch.town.clouds.volvo import VolvoCloud
from unlatch.town.control import Control
from unlatch.town.post_office import PostOffice
from unlatch.town.stage import Stage
from unlatch.town.wire import (
    Answer,
    CuttingProtocol,
    CuttingWebSocket,
    Endpoint,
    Receive,
    Refused,
    Request,
    Send,
    cut,
    read_body,
    send_answer,
    split,
)
from unlatch.town.world import Town

NOT_FOUND = Answer(404, {"error": {"message": "NOT_FOUND", "description": "no such resource"}})
TOO_LONG = Answer(413, {"error": {"message": "PAYLOAD_TOO_LARGE", "description": "at most 64 KiB"}})
SHUT_DOWN_S = 1  # then whatever is still held is dropped


class TownApp:
    """The ASGI application; `town` is open to whoever runs it in the same process."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.post_office = PostOffice(town.clock)
        self.stage = Stage(town, self.post_office)
        self.control = Control(town, self.post_office, self.stage)
        onstar, volvo = OnStarCloud(town), VolvoCloud(town)
        self._hubs = HomeHubs(town.homes)
        self._endpoints: dict[str, Endpoint] = {
            "veh": onstar.serve,
            "api": onstar.serve_v1,
            "connected-vehicle": volvo.serve,
            "location": volvo.serve_location,
            "as": AuthorizationServer(town, Maker.VOLVO).serve,
            "sec": AuthorizationServer(town, Maker.ONSTAR).serve,
            "push": self.post_office.serve_push,
            "hooks": self.post_office.serve_hook,
            "town": self.control.serve,
            "hub": self._hubs.serve,
            "stage": self.stage.serve,
        }

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
            return
        if scope["type"] == "websocket":
            await self._talk(scope, receive, send)
            return
        body = await read_body(receive)
        parts = split(scope)
        if body is None or parts is None:
            await send_answer(send, TOO_LONG)
            return
        endpoint = self._endpoints.get(parts[0])
        if endpoint is None:
            await send_answer(send, NOT_FOUND)
            return
        try:
            answer = await endpoint(Request(scope, receive, parts, body))
        except Refused as refused:
            answer = refused.answer
        if answer.is_cut:
            await cut(scope, receive, send)
        else:
            await send_answer(send, answer)

    async def _talk(self, scope: Any, receive: Receive, send: Send) -> None:
        """A WebSocket: hubs of homes alone have one. Any other is refused before it is accepted."""
        parts = split(scope)
        if parts is None or parts[0] != "hub" or len(parts) < 2:
            await receive()
            await send({"type": "websocket.close", "code": 1000})
            return
        await self._hubs.serve_websocket(scope, parts, receive, send)


async def answer_lifespan(receive: Receive, send: Send) -> None:
    """Nothing to start or stop."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def create_town(clock: Clock | None = None, seed: int = 0) -> TownApp:
    """The town on that clock. The same seed strikes with the same faults."""
    return TownApp(Town(clock or Clock(), seed))


class TownServer(uvicorn.Server):
    """A uvicorn that says when it listens, with the town's mail server beside it."""

    def __init__(
        self, config: uvicorn.Config, app: TownApp, said_when_ready: str, for_mail: socket.socket | None
    ) -> None:
        super().__init__(config)
        self._app = app
        self._said_when_ready = said_when_ready
        self._for_mail = for_mail
        self._mail: asyncio.Server | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self._for_mail is not None:
            self._mail = await self._app.post_office.listen_for_mail(self._for_mail)
        await super().startup(sockets)
        if self._said_when_ready:
            print(self._said_when_ready, flush=True)
            if self._mail is not None:
                print(f"mail: {self._app.post_office.smtp_url}", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._mail is not None:
            self._mail.close()
        await self._app.control.close()
        await super().shutdown(sockets)


def create_server(
    app: TownApp, said_when_ready: str = "", *, for_mail: socket.socket | None = None
) -> TownServer:
    """A server that can cut connections and does not wait for held requests when it is told to end."""
    config = uvicorn.Config(
        app,
        http=CuttingProtocol,
        loop="uvloop",
        lifespan="off",
        log_level="critical",
        access_log=False,
        ws=CuttingWebSocket,
        server_header=False,
        date_header=False,
        backlog=4096,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=SHUT_DOWN_S,
    )
    return TownServer(config, app, said_when_ready, for_mail)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    return listening


def run_town(
    clock: Clock, *, seed: int = 0, host: str = "127.0.0.1", port: int = 8090, smtp_port: int = 0
) -> None:
    """Serve the town until SIGTERM or SIGINT. Prints its address as soon as it listens, then its mail server's."""
    if host not in ("127.0.0.1", "::1", "localhost"):
        print("town: anyone who reaches this address may open its cars", file=sys.stderr)
    listening = listen(host, port)
    name, bound = listening.getsockname()[:2]
    address = f"http://{f'[{name}]' if ':' in name else name}:{bound}"
    with listen(host, smtp_port) as for_mail, contextlib.suppress(KeyboardInterrupt):
        server = create_server(
            create_town(clock, seed), said_when_ready=f"town: {address}", for_mail=for_mail
        )
        server.run(sockets=[listening])
