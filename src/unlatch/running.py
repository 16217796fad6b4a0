"""The parts of the composition root that run for long: server, worker, town. Built here, once per process."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from unlatch.devices.catalogue import Catalogue
from unlatch.flow.platform import Platform
from unlatch.flow.worker import work
from unlatch.settings import Settings
from unlatch.store.database import connect, open_database, use_server
from unlatch.store.migrate import migrate
from unlatch.store.vault import Vault

GRACEFUL_S = 3  # open event streams would hold a server back for ever otherwise


@asynccontextmanager
async def open_platform(settings: Settings, kind: str) -> AsyncIterator[Platform]:
    """Everything a process needs, opened and closed in order. Raises DatabaseDown, UnknownSchema, SettingsError."""
    name = f"{kind}-{os.getpid()}@{socket.gethostname()}"
    vault = Vault(settings.read_secret_key())
    async with open_database(settings, name=name) as database:
        makers = Catalogue(settings.clock(), settings.cloud_addresses)
        try:
            yield Platform(
                settings=settings,
                clock=settings.clock(),
                database=database,
                vault=vault,
                makers=makers,
                name=name,
            )
        finally:
            await makers.close()


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


async def run_server(settings: Settings) -> None:
    """Serve the API until SIGTERM or SIGINT."""
    import uvicorn  # noqa: PLC0415 - only the server needs it

    from unlatch.web.app import create_app  # noqa: PLC0415

    if settings.database_url is None:
        await bring_schema_up(settings)
    async with open_platform(settings, "server") as platform:
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(platform),
                host=settings.http_host,
                port=settings.http_port,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=GRACEFUL_S,
                limit_concurrency=2000,
                h11_max_incomplete_event_size=16_384,
                loop="none",
            )
        )
        print(f"server: {settings.public_url}", flush=True)
        await server.serve()
