"""A whole installation on this machine: town, PostgreSQL, server, workers and recorders, each a process of its own.

For the demo, the journeys and the bench. Everything lies in one data folder; what each process says goes to
`logs/` in it. Nothing outlives whoever started it, not even after kill -9 (see `tied`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import unlatch
from unlatch.clock import Clock
from unlatch.errors import SettingsError, UnlatchError
from unlatch.settings import PREFIX
from unlatch.town import tied
from unlatch.town.car import Maker
from unlatch.town.client import TownClient

FACTOR = 30.0
READY_WITHIN_S = 120.0  # the first start of PostgreSQL on a slow machine; real seconds
END_WITHIN_S = 20.0  # then it is killed
COMMAND_WITHIN_S = 60.0
TAKE_OVER_S = 2.0
LOG_LINES_SHOWN = 12
LOG_BYTES_SHOWN = 8_000
MAX_LINE_BYTES = 1 << 20
CLOCK_FILE = "clock.json"
LOGS = "logs"
PORTS = (20_000, 32_000)  # below those that outgoing connections are given


class NotRunning(UnlatchError):
    """A process of the installation did not start or has ended; the message holds the end of its log."""


@dataclass(kw_only=True)
class Member:
    """One process of the installation."""

    name: str
    process: asyncio.subprocess.Process
    log: Path
    said: asyncio.Future[str]  # its first line, which says that it is ready
    reading: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.process.returncode is None

    async def wait_for_end(self, timeout_s: float = END_WITHIN_S) -> int:
        """Its exit code, negative for a signal. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            return await self.process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; one that has ended gets none."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it and wait until it has; what does not end is killed."""
        self.send(number)
        try:
            return await self.wait_for_end()
        except TimeoutError:
            self.send(signal.SIGKILL)
            return await self.wait_for_end()

    def read_log_end(self) -> str:
        """The last lines of its log."""
        return read_end(self.log)


def read_end(path: Path) -> str:
    """The last lines of a log."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_BYTES_SHOWN))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(f"  {line[:500]}" for line in lines[-LOG_LINES_SHOWN:])


def oauth_client(maker: Maker) -> tuple[str, str, str]:
    """How an installation is registered at a maker of its town: id, secret, and the key of the application."""
    return "unlatch", f"secret-at-{maker}", f"key-{maker}"


def make_data_dir(data_dir: Path) -> None:
    """The data folder and its logs, if they are not there yet. Raises SettingsError."""
    try:
        # As root, PostgreSQL runs as another user, who must pass through but not look around.
        data_dir.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        (data_dir / LOGS).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"the data folder {data_dir} can't be used: {error.strerror}") from error


def choose_clock(data_dir: Path, factor: float) -> Clock:
    """The town's clock of this data folder. It never runs back, whatever the factor of an earlier run was.

    Raises SettingsError where that can't be had.
    """
    path, now = data_dir / CLOCK_FILE, datetime.now(UTC)
    clock = Clock(factor=factor, anchor_at=now)
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        clock = Clock(factor=kept["factor"], anchor_at=datetime.fromisoformat(kept["anchor_at"]))
        ahead = clock.now() - now
        if clock.factor != factor and ahead > timedelta(seconds=1):
            if factor <= 1:
                raise SettingsError(
                    f"the time in {data_dir} is {ahead} ahead of ours: take a factor above 1, or another folder"
                )
            clock = Clock(factor=factor, anchor_at=now - ahead / (factor - 1))
        elif clock.factor != factor:
            clock = Clock(factor=factor, anchor_at=now)
    path.write_text(json.dumps({"factor": clock.factor, "anchor_at": clock.anchor_at.isoformat()}))
    return clock


def find_port() -> int:
    """A free port that the system gives to nobody by itself: a server that was killed gets it again."""
    while True:
        port = random.randrange(*PORTS)
        with socket.socket() as trial, contextlib.suppress(OSError):
            trial.bind(("127.0.0.1", port))
            return port


@dataclass(kw_only=True)
class Installation:
    """`async with Installation(data_dir=folder) as installation:` starts all of it and ends it.

    `tell` hears one line per step of the start. `more` are further UNLATCH_* settings for every process.
    With `database_url` that server is used, and migrated first; otherwise a PostgreSQL in the data folder.
    """

    data_dir: Path
    factor: float = FACTOR
    workers_at_start: int = 1
    recorders_at_start: int = 0  # for homes: each takes the cameras of 32
    seed: int = 0
    take_over_s: float = TAKE_OVER_S
    database_url: str | None = None
    more: Mapping[str, str] = field(default_factory=dict)
    tell: Callable[[str], None] = lambda _: None
    clock: Clock = field(init=False)
    town: TownClient = field(init=False)
    town_url: str = field(init=False, default="")
    smtp_url: str = field(init=False, default="")
    server_url: str = field(init=False, default="")
    server: Member = field(init=False)
    workers: list[Member] = field(init=False, default_factory=list)  # those that were started, dead or alive
    recorders: list[Member] = field(init=False, default_factory=list)  # the same
    _members: list[Member] = field(init=False, default_factory=list)
    port: int = field(init=False, default_factory=find_port)
    _names: int = field(init=False, default=0)

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self.end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.end()

    async def _start(self) -> None:
        self.data_dir = self.data_dir.absolute()
        make_data_dir(self.data_dir)
        self.clock = choose_clock(self.data_dir, self.factor)
        self.tell("starting the town: cars, and their makers' clouds")
        town = await self._launch("town", "town", "--port=0", f"--seed={self.seed}")
        self.town_url = await self._wait_until_ready(town)
        self.town = TownClient(self.town_url)
        self.smtp_url = await self.town.smtp_url()
        if self.database_url is not None:
            self.tell("bringing the database's schema up")
            await self.run("migrate")
            self.tell("starting server and workers")
        else:
            is_there = (self.data_dir / "postgresql").exists()
            first = "starting PostgreSQL" if is_there else "making a PostgreSQL of its own (once)"
            self.tell(f"{first}, server and workers")
        self.server = await self._launch("server", "serve")
        self.workers += [await self._launch_worker() for _ in range(self.workers_at_start)]
        self.recorders += [await self._launch_recorder() for _ in range(self.recorders_at_start)]
        self.server_url = await self._wait_until_ready(self.server)
        for maker in Maker:  # so that owners can link their cars themselves
            client_id, secret, _ = oauth_client(maker)
            await self.town.add_oauth_client(maker, client_id, secret, f"{self.server_url}/v1/links/callback")
        for member in (*self.workers, *self.recorders):
            await self._wait_until_ready(member)

    async def end(self) -> None:
        """End every process, and wait until each has ended."""
        if hasattr(self, "town"):
            await self.town.close()
        await asyncio.gather(*(member.end() for member in self._members if member.is_running))
        readings = [member.reading for member in self._members if member.reading is not None]
        await asyncio.gather(*readings, return_exceptions=True)

    # ---- processes --------------------------------------------------------------------------------------

    async def start_worker(self, *, fail_at: str | None = None, skew_s: float = 0.0) -> Member:
        """One more worker, ready; `fail_at` names a point of `flow/failpoint.py` at which it kills itself.

        `skew_s`: so many town seconds its clock is ahead of everyone's.
        """
        worker = await self._launch_worker(fail_at, skew_s)
        self.workers.append(worker)
        await self._wait_until_ready(worker)
        return worker

    async def kill_worker(
        self, worker: Member | None = None, number: signal.Signals = signal.SIGKILL
    ) -> Member:
        """Kill this worker, or the first that runs, and wait until it has ended."""
        worker = worker or next((one for one in self.workers if one.is_running), None)
        if worker is None:
            raise NotRunning("no worker is running")
        worker.send(number)
        await worker.wait_for_end()
        return worker

    def running_workers(self) -> list[Member]:
        """The workers that have not ended."""
        return [worker for worker in self.workers if worker.is_running]

    async def start_recorder(self) -> Member:
        """One more recorder of homes' cameras, ready."""
        recorder = await self._launch_recorder()
        self.recorders.append(recorder)
        await self._wait_until_ready(recorder)
        return recorder

    async def restart_server(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End the server and start it again, at the same address."""
        if self.server.is_running:
            await self.server.end(number)
        self.server = await self._launch("server", "serve")
        await self._wait_until_ready(self.server)

    async def kill_all(self) -> None:
        """Kill -9 of server and workers, at one moment."""
        killed = [self.server, *self.running_workers()]
        for member in killed:
            member.send(signal.SIGKILL)
        await asyncio.gather(*(member.wait_for_end() for member in killed))

    def list_dead(self) -> list[Member]:
        """Processes that have ended; whoever did not end one should ask why it did."""
        return [member for member in self._members if not member.is_running]

    def environment(self) -> dict[str, str]:
        """What every process of this installation is given; this shell's own UNLATCH_* are left out."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        sources = str(Path(unlatch.__file__ or tied.__file__).parents[1])
        given = {
            "PYTHONPATH": os.pathsep.join(filter(None, (sources, kept.get("PYTHONPATH")))),
            "PYTHONUNBUFFERED": "1",
            "UNLATCH_DATA_DIR": str(self.data_dir),
            "UNLATCH_TIME_FACTOR": repr(self.clock.factor),
            "UNLATCH_TIME_ANCHOR": self.clock.anchor_at.isoformat(),
            "UNLATCH_TAKE_OVER_S": repr(self.take_over_s),
            "UNLATCH_HTTP_PORT": str(self.port),
            "UNLATCH_LOG_LEVEL": "info",
        }
        if self.town_url:
            given |= {"UNLATCH_CLOUD_ONSTAR": self.town_url, "UNLATCH_CLOUD_VOLVO": self.town_url}
            given["UNLATCH_FRAMED_BY"] = self.town_url  # its own page shows the apps in frames
            for maker in Maker:
                for part, value in zip(("ID", "SECRET", "KEY"), oauth_client(maker), strict=True):
                    given[f"UNLATCH_OAUTH_{maker.upper()}_{part}"] = value
        if self.smtp_url:
            given |= {
                "UNLATCH_SMTP_URL": self.smtp_url,
                "UNLATCH_MAIL_FROM": "Unlatch <deliveries@unlatch.example>",
                "UNLATCH_VAPID_SUBJECT": "mailto:deliveries@unlatch.example",
                "UNLATCH_ALLOW_PRIVATE_WEBHOOKS": "yes",
            }
        given["UNLATCH_PRIVATE_HUBS"] = "yes"  # the town's hubs are on this machine
        if self.database_url is not None:
            given["UNLATCH_DATABASE_URL"] = self.database_url
        return {**kept, **given, **self.more}

    async def run(self, *words: str, timeout_s: float = COMMAND_WITHIN_S) -> str:
        """Run `unlatch WORDS` in this installation; what it prints. Raises NotRunning if it fails."""
        code, printed, complaint = await self.try_to_run(*words, timeout_s=timeout_s)
        if code != 0:
            raise NotRunning(f"`unlatch {' '.join(words)}` ended with {code}:\n{printed}{complaint}")
        return printed

    async def try_to_run(self, *words: str, timeout_s: float = COMMAND_WITHIN_S) -> tuple[int, str, str]:
        """Run `unlatch WORDS` in this installation: its exit code, what it prints, what it complains about."""
        process = await asyncio.create_subprocess_exec(
            *self._command(words),
            env=self.environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(timeout_s):
                printed, complaint = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return process.returncode or 0, printed.decode(errors="replace"), complaint.decode(errors="replace")

    async def admit_carrier(self, name: str) -> str:
        """A new carrier's key."""
        return (await self.run("carrier", "add", name)).strip()

    async def admit_operator(self, name: str) -> str:
        """A new operator's key."""
        return (await self.run("operator", "add", name)).strip()

    def _command(self, words: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", tied.__name__, str(os.getpid()), *words]

    async def _launch_worker(self, fail_at: str | None = None, skew_s: float = 0.0) -> Member:
        self._names += 1
        more = {} if fail_at is None else {"UNLATCH_FAIL_AT": fail_at}
        if skew_s:
            anchor_at = self.clock.anchor_at - timedelta(seconds=skew_s / (self.clock.factor - 1))
            more["UNLATCH_TIME_ANCHOR"] = anchor_at.isoformat()
        return await self._launch(f"worker-{self._names}", "work", more=more)

    async def _launch_recorder(self) -> Member:
        self._names += 1
        return await self._launch(f"recorder-{self._names}", "record")

    async def _launch(self, name: str, *words: str, more: Mapping[str, str] | None = None) -> Member:
        log = self.data_dir / LOGS / f"{name}.log"
        with log.open("ab") as complaints:
            process = await asyncio.create_subprocess_exec(
                *self._command(words),
                env={**self.environment(), **(more or {})},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=complaints,
                start_new_session=True,  # ctrl-C is for us: we end them in order
                limit=MAX_LINE_BYTES,
            )
        member = Member(name=name, process=process, log=log, said=asyncio.get_running_loop().create_future())
        self._members.append(member)
        member.reading = asyncio.create_task(_read_lines(member))
        return member

    async def _wait_until_ready(self, member: Member) -> str:
        """What it says after the colon of its first line: its address or its name."""
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                line = await asyncio.shield(member.said)
        except TimeoutError:
            raise NotRunning(
                f"{member.name} was not ready within {READY_WITHIN_S:.0f} s; {member.log} ends:\n"
                f"{member.read_log_end()}"
            ) from None
        return line.partition(": ")[2].strip()


async def _read_lines(member: Member) -> None:
    """Write what it prints to its log, and hear its first line."""
    assert member.process.stdout is not None
    with member.log.open("ab") as log:
        while line := await member.process.stdout.readline():
            log.write(line)
            log.flush()
            if not member.said.done():
                member.said.set_result(line.decode(errors="replace"))
    code = await member.process.wait()
    if not member.said.done():
        member.said.set_exception(
            NotRunning(f"{member.name} ended with {code}; {member.log} ends:\n{member.read_log_end()}")
        )
        member.said.exception()  # nobody may be waiting for it
