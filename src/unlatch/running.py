"""The parts of the composition root that run for long: server, worker, town. Built here, once per process."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from unlatch.cameras.storage import ClipStore, S3Place, open_store
from unlatch.devices.catalogue import Catalogue
from unlatch.errors import BadInput, DatabaseDown, SettingsError
from unlatch.flow import channels, eligibility, fence, resealing
from unlatch.flow.enrolment import Admitted, admit_carrier, admit_operator
from unlatch.flow.fence import Raised
from unlatch.flow.platform import Platform
from unlatch.flow.recorders import record
from unlatch.flow.rules import Rulebook
from unlatch.flow.worker import work
from unlatch.notices.dispatcher import make_dispatcher
from unlatch.settings import Settings
from unlatch.store.database import connect, open_database, use_server
from unlatch.store.embedded import Embedded
from unlatch.store.migrate import migrate
from unlatch.store.vault import Vault

GRACEFUL_S = 3  # open event streams would hold a server back for ever otherwise
BACKLOG = 2048
LARGEST_MESSAGE_BYTES = 5 * 1024 * 1024  # of a WebSocket; see web/api/camera_feed.py
MAX_NAME_CHARACTERS = 100
REMOVED_WITHIN_S = 20.0


@asynccontextmanager
async def open_platform(settings: Settings, kind: str) -> AsyncIterator[Platform]:
    """Everything a process needs, opened and closed in order. Raises DatabaseDown, UnknownSchema, SettingsError."""
    name = f"{kind}-{os.getpid()}@{socket.gethostname()}"
    vault = Vault(settings.read_secret_key(), *settings.old_secret_keys)
    async with open_database(settings, name=name) as database:
        makers = Catalogue(
            settings.clock(),
            settings.cloud_addresses,
            settings.oauth_clients,
            allows_private_hubs=settings.allows_private_hubs,
        )
        dispatcher = make_dispatcher(settings)
        try:
            yield Platform(
                settings=settings,
                clock=settings.clock(),
                database=database,
                vault=vault,
                makers=makers,
                name=name,
                rules=Rulebook(settings.rules_dir),
                dispatcher=dispatcher,
                clips=open_clips(settings),
            )
        finally:
            await dispatcher.close()
            await makers.close()


def open_clips(settings: Settings) -> ClipStore:
    """Where the clips of homes lie. Raises SettingsError."""
    bucket = settings.clips_bucket
    if bucket is not None:
        return ClipStore(
            open_store(
                S3Place(
                    bucket=bucket.bucket,
                    endpoint=bucket.endpoint,
                    region=bucket.region,
                    access_key_id=bucket.access_key_id,
                    secret_access_key=bucket.secret_access_key,
                )
            )
        )
    folder = settings.clips_dir or settings.data_dir / "clips"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"the folder of the clips {folder} can't be made: {error.strerror}") from error
    return ClipStore(open_store(folder))


def set_up_logging(settings: Settings) -> None:
    """One line of JSON per event, to standard error; nothing secret is ever handed to it."""
    levels = {"debug": 10, "info": 20, "warning": 30, "error": 40}
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(levels[settings.log_level]),
        logger_factory=structlog.PrintLoggerFactory(file=open(2, "w", closefd=False)),  # noqa: SIM115
        cache_logger_on_first_use=True,
    )


async def bring_schema_up(settings: Settings) -> None:
    """Migrate our own PostgreSQL, which nobody else looks after. A server that was set is migrated by its owner."""
    async with use_server(settings) as dsn, connect(dsn, name="migrate") as connection:
        await migrate(connection, tell=lambda _: None)


@contextmanager
def borrow_data_dir(chosen: Path | None, *, is_kept: bool) -> Iterator[Path]:
    """The chosen data folder, or a new one that is removed with its PostgreSQL afterwards, unless it is kept."""
    if chosen is not None:
        yield chosen.expanduser().absolute()
        return
    folder = Path(tempfile.mkdtemp(prefix="unlatch-demo-"))
    if os.geteuid() == 0:
        folder.chmod(0o711)  # PostgreSQL runs as another user, who passes through it
    try:
        yield folder
    finally:
        if not is_kept:
            _remove(folder)


def _remove(folder: Path) -> None:
    """Erase a data folder; its PostgreSQL may still be ending."""
    deadline = time.monotonic() + REMOVED_WITHIN_S
    while time.monotonic() < deadline:
        try:
            Embedded(folder).remove()
            break
        except DatabaseDown:
            time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)


async def admit(settings: Settings, party: str, name: str, programme: str | None = None) -> Admitted:
    """A new `carrier` or `operator` of this name, with its key. Raises BadInput.

    `programme`: by which a carrier books; None: the default one.
    """
    if not (name.strip() and len(name) <= MAX_NAME_CHARACTERS and name.isprintable()):
        raise BadInput("NAME", f"give 1 to {MAX_NAME_CHARACTERS} characters that can be printed")
    if settings.database_url is None:
        await bring_schema_up(settings)
    async with open_platform(settings, "admission") as platform:
        if party == "operator":
            return await admit_operator(platform, name.strip())
        return await admit_carrier(platform, name.strip(), programme)


async def raise_fence(settings: Settings) -> Raised:
    """Raise the fence of this installation. The schema must be this release's: see `unlatch migrate`."""
    async with open_platform(settings, "fence") as platform:
        return await fence.raise_fence(platform)


async def reseal(settings: Settings) -> int:
    """Seal what an old secret key had sealed; how many cars, hubs, accounts, cameras, clips and channels."""
    async with open_platform(settings, "reseal") as platform:
        count = await resealing.reseal_vehicles(platform) + await resealing.reseal_accounts(platform)
        count += await resealing.reseal_cameras(platform) + await resealing.reseal_clips(platform)
        return count + await channels.reseal_channels(platform)


async def run_worker(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; orders that are under way are finished first."""
    if settings.database_url is None:
        await bring_schema_up(settings)
    async with open_platform(settings, "worker") as platform:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        print(f"worker: {platform.name} is at work", flush=True)
        await work(platform, stop)


async def run_recorder(settings: Settings) -> None:
    """Record until SIGTERM or SIGINT: the cameras of homes that this machine holds."""
    if settings.database_url is None:
        await bring_schema_up(settings)
    async with open_platform(settings, "recorder") as platform:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        print(f"recorder: {platform.name} is at work", flush=True)
        await record(platform, stop)


def bind(settings: Settings) -> tuple[socket.socket, Settings]:
    """The server's socket, not listening yet, and the settings with its real port where any free one will do.

    Raises SettingsError where the address can't be had.
    """
    host, port = settings.http_host, settings.http_port
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise SettingsError(
            f"UNLATCH_HTTP_HOST, UNLATCH_HTTP_PORT: {host}:{port}: {error.strerror}"
        ) from error
    public = urlsplit(settings.public_url)
    if port == 0 and public.port == 0:
        port = bound.getsockname()[1]
        address = public._replace(netloc=f"{public.netloc.rpartition(':')[0]}:{port}")
        settings = replace(settings, http_port=port, public_url=address.geturl())
    return bound, settings


async def run_server(settings: Settings) -> None:
    """Serve the API until SIGTERM or SIGINT."""
    import uvicorn  # noqa: PLC0415 - only the server needs it

    from unlatch.web.app import create_app  # noqa: PLC0415

    bound, settings = bind(settings)
    with bound:
        if settings.database_url is None:
            await bring_schema_up(settings)
        async with open_platform(settings, "server") as platform:
            await eligibility.make_ready(platform)
            config = uvicorn.Config(
                create_app(platform),
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=GRACEFUL_S,
                limit_concurrency=2000,
                h11_max_incomplete_event_size=16_384,
                loop="none",
                backlog=BACKLOG,
                ws_max_size=LARGEST_MESSAGE_BYTES,
            )
            bound.listen(BACKLOG)  # from here on a request waits for us and is not turned away
            print(f"server: {settings.public_url}", flush=True)
            await uvicorn.Server(config).serve(sockets=[bound])
