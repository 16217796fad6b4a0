"""A visit that a real recorder films with a town camera, and a real server that shows it: for whoever watches."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from litestar import Litestar
from psycopg.rows import dict_row
from tests.cameras.street import Street
from tests.web.conftest import Caller, Tenant, make_platform, make_tenant
from tests.web.test_visits import save_reading, scan, tell
from websockets.asyncio.client import ClientConnection, connect

from unlatch.cameras.recorder_client import RecorderClient
from unlatch.cameras.storage import ClipStore, open_store
from unlatch.domain.visit import Fact
from unlatch.flow import filming
from unlatch.flow.platform import Platform
from unlatch.flow.recorders import record
from unlatch.store import cameras, visits
from unlatch.store.cameras import CameraRow
from unlatch.store.database import Database
from unlatch.store.ids import make_id
from unlatch.web.app import create_app

PATIENCE_S = 30


@dataclass(kw_only=True)
class Theatre:
    """Everything around one visit that is filmed."""

    platform: Platform
    app: Litestar
    tenant: Tenant
    street: Street
    visit_id: str
    names: dict[str, str] = field(default_factory=dict)  # of the town's cameras, by the ids of ours

    @property
    def owner(self) -> Caller:
        return self.tenant.consignee

    @property
    def camera_id(self) -> str:
        return next(iter(self.names))

    async def ask(self, query: str, *values: Any) -> list[dict[str, Any]]:
        database = self.platform.database
        async with database.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(query.encode(), values)
            return await cursor.fetchall() if cursor.description else []

    async def until(
        self, is_so: Callable[[], Awaitable[Any]], what: str, within_s: float = PATIENCE_S
    ) -> Any:
        """Wait for it."""
        async with asyncio.timeout(within_s):
            while not (found := await is_so()):
                await asyncio.sleep(0.02)
        assert found, what
        return found

    # ---- cameras ----------------------------------------------------------------------------------------------

    async def add_camera(self, **film: Any) -> str:
        """A camera of the place, wanted from now on and heard."""
        name, camera_id = self.street.add(is_moving=True, **film), make_id("cam")
        linked = self.street.link(name)
        now = self.platform.clock.now()
        row = CameraRow(
            id=camera_id,
            access_point_id=self.tenant.access_point_id,
            maker="rtsp",
            name="Hall",
            sealed=self.platform.vault.seal({**linked.secrets, "address": linked.address}, camera_id),
            clock=None,
            methods=["motion"],
            sees_door=True,
            enrolled_at=now,
            check_by=now + timedelta(days=30),
            created_at=now,
            removed_at=None,
        )
        self.names[camera_id] = name
        async with self.platform.database.connection() as connection:
            await cameras.insert_camera(connection, row)
            await cameras.want_camera(connection, camera_id, datetime.now(UTC) + timedelta(minutes=10))
        query = "SELECT 1 FROM camera WHERE id = %s AND state = 'armed'"
        await self.until(lambda: self.ask(query, camera_id), "the camera is armed")
        return camera_id

    async def film(self, camera_id: str) -> None:
        """Let it record this visit, as the order to prove it does."""
        async with self.platform.database.connection() as connection:
            row = await visits.get_visit(connection, self.visit_id)
            held = await cameras.list_held(connection, row.access_point_id, datetime.now(UTC))
        one = next(one for one in held if one.camera.id == camera_id)
        assert one.socket is not None
        async with RecorderClient(Path(one.socket)) as recorder:
            await filming._begin(self.platform, recorder, row, one.camera)

    async def end(self) -> None:
        """The visit ends, and so does what is filmed of it."""
        await self.ask("UPDATE visit SET is_recorded = true WHERE id = %s", self.visit_id)
        await tell(self.platform, self.visit_id, Fact.GATE_PASSED, Fact.UNLOCK_NOT_SENT)

    async def clips(self, count: int = 1) -> list[dict[str, Any]]:
        """The finished clips, as their household is shown them."""

        async def listed() -> Any:
            answer = await self.owner.get(f"/v1/visits/{self.visit_id}/clips")
            assert answer.status_code == 200, answer.text
            found = answer.json()["clips"]
            return found if len(found) >= count else None

        found: list[dict[str, Any]] = await self.until(listed, "the clips are there")
        return found

    # ---- those who watch --------------------------------------------------------------------------------------

    async def ticket(self, kind: str, caller: Caller | None = None) -> dict[str, Any]:
        return await (caller or self.owner).make(f"/v1/visits/{self.visit_id}/tickets", {"kind": kind})

    @asynccontextmanager
    async def watch(self, caller: Caller | None = None, **options: Any) -> AsyncIterator[Stream]:
        """A live stream."""
        address = (await self.ticket("live", caller))["address"]
        async with connect(f"{address}&camera={self.camera_id}", proxy=None, **options) as link:
            yield Stream(link)

    async def looks(self, what: str) -> list[dict[str, Any]]:
        return await self.ask("SELECT * FROM look WHERE what = %s ORDER BY at, id", what)


@dataclass
class Stream:
    """One viewer's link."""

    link: ClientConnection
    said: list[dict[str, Any]] = field(default_factory=list)
    content: bytearray = field(default_factory=bytearray)  # since the last run began

    async def read(self) -> dict[str, Any] | bytes:
        async with asyncio.timeout(PATIENCE_S):
            message = await self.link.recv()
        if isinstance(message, bytes):
            self.content += message
            return message
        told: dict[str, Any] = json.loads(message)
        if told["kind"] == "run":
            self.content.clear()
        self.said.append(told)
        return told

    async def until(self, kind: str, **fields: Any) -> dict[str, Any]:
        """What is said next of this kind."""
        while True:
            told = await self.read()
            if isinstance(told, dict) and told["kind"] == kind and fields.items() <= told.items():
                return told

    async def picture(self, at_least: int) -> bytes:
        """So many bytes of the present run."""
        while len(self.content) < at_least:
            await self.read()
        return bytes(self.content)


@asynccontextmanager
async def serve(platform: Platform, listener: socket.socket) -> AsyncIterator[Litestar]:
    """A real server, set up as `unlatch serve` sets it up."""
    app = create_app(platform)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=1,
            ws_per_message_deflate=False,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield app
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def open_theatre(database: Database, folder: Path, street: Street) -> AsyncIterator[Theatre]:
    """A visit that was granted, a recorder at work, a server; no camera yet."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        plain = make_platform(database, address)
        platform = replace(
            plain,
            settings=replace(plain.settings, data_dir=folder, allows_private_hubs=True),
            clips=ClipStore(open_store(folder / "clips")),
        )
        stop = asyncio.Event()
        recording = asyncio.create_task(record(platform, stop))
        try:
            async with (
                serve(platform, listener) as app,
                httpx.AsyncClient(base_url=address, trust_env=False, timeout=PATIENCE_S) as http,
            ):
                tenant = await make_tenant(platform, http)
                await save_reading(platform, tenant.access_point_id)
                visit = await scan(tenant)
                assert visit["state"] == "granted", visit
                yield Theatre(platform=platform, app=app, tenant=tenant, street=street, visit_id=visit["id"])
        finally:
            stop.set()
            await recording
            await platform.makers.close()
