"""A PostgreSQL of our own in a data folder, for whoever has no server: started by the first who needs it.

Every process that uses the data folder calls `Embedded(data_dir).start()` and gets the same server; when the
last of them has stopped, or died in whatever way, the server ends. `keeper` tells how. A server that crashes
is started again within half a second, and its users connect anew.

It listens on a unix socket alone and lets in nobody but the user of this machine who started it (peer
authentication): there is no password to keep.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg.conninfo import make_conninfo

import unlatch
from unlatch.errors import DatabaseDown
from unlatch.store import keeper

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = keeper.STOP_TIMEOUT_S + 15.0
POLL_S = 0.01
LOG_LIMIT_BYTES = 10_000_000
LOG_LINES_SHOWN = 8
STARTING_LOCK = "postgresql.starting.lock"
DATABASE = "unlatch"


class Embedded:
    """One use of the PostgreSQL in `data_dir`. From `start` to `stop` the server is there; both may block."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.absolute()
        self._users_lock: int | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> str:
        """Start the server or join it; returns how to connect. Raises `DatabaseDown` with the log's end."""
        if self._users_lock is not None:
            return self.dsn()
        deadline = time.monotonic() + START_TIMEOUT_S
        try:
            # 0711 lets the user that PostgreSQL runs as, where we are root, pass through but not look around.
            self.data_dir.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
            users_lock = keeper.open_lock(self.data_dir / keeper.USERS_LOCK)
        except OSError as error:
            raise DatabaseDown(f"the data folder {self.data_dir} can't be used: {error}") from error
        try:
            self._wait_for_lock(users_lock, fcntl.LOCK_SH, deadline)
            with self._only_one_starts(deadline):
                self._start_or_join(deadline)
        except BaseException:
            os.close(users_lock)
            raise
        self._users_lock = users_lock
        return self.dsn()

    def stop(self) -> None:
        """Leave the server; if nobody else uses it, wait until it has ended."""
        if self._users_lock is None:
            return
        os.close(self._users_lock)
        self._users_lock = None
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while self._is_kept() and not self._is_used():
            if time.monotonic() > deadline:
                raise self._down(f"PostgreSQL did not end within {STOP_TIMEOUT_S:.0f} s")
            time.sleep(POLL_S)

    def dsn(self, database: str = DATABASE, user: str = DATABASE) -> str:
        """How to connect; the user `postgres` may do everything."""
        folder = (self.data_dir / keeper.SOCKET_FILE).read_text(encoding="utf-8").strip()
        return make_conninfo("", host=folder, dbname=database, user=user)

    def remove(self) -> None:
        """Erase the cluster with everything in it; nobody may be using it. For demos and tests."""
        with self._only_one_starts(time.monotonic() + START_TIMEOUT_S):
            if self._is_kept():
                raise DatabaseDown(f"the database in {self.data_dir} is in use")
            location = self.data_dir / keeper.LOCATION_FILE
            home = Path(location.read_text(encoding="utf-8").strip()) if location.exists() else None
            shutil.rmtree(home or self.data_dir / keeper.HOME_FOLDER, ignore_errors=True)
            location.unlink(missing_ok=True)

    def _start_or_join(self, deadline: float) -> None:
        """Wait until a server answers and has our database; start its keeper, once, where there is none.

        A keeper that was there a moment ago may have been dying.
        """
        is_started = False
        while True:
            if not self._is_kept():
                if is_started:
                    raise self._down("PostgreSQL did not start")
                self._start_keeper()
                is_started = True
            try:
                self._see_that_database_exists()
                break
            except (OSError, psycopg.OperationalError) as error:
                if time.monotonic() > deadline:
                    raise self._down(f"PostgreSQL did not answer within {START_TIMEOUT_S:.0f} s") from error
            time.sleep(POLL_S)

    def _start_keeper(self) -> None:
        """Start the keeper; when this returns one holds its lock, ours or another."""
        sources = str(Path(unlatch.__file__).parents[1])
        path = os.pathsep.join(filter(None, (sources, os.environ.get("PYTHONPATH"))))
        with self._open_log() as log:
            try:
                done = subprocess.run(
                    [sys.executable, "-m", keeper.__name__, self.data_dir],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, "PYTHONPATH": path},
                    cwd="/",
                    start_new_session=True,  # ctrl-C is for us, not for the database
                    check=False,
                    timeout=START_TIMEOUT_S,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise self._down(f"PostgreSQL's keeper did not start: {error}") from error
        if done.returncode not in (0, keeper.EXIT_ALREADY_KEPT):
            raise self._down("PostgreSQL's keeper did not start")

    def _see_that_database_exists(self) -> None:
        superuser_dsn = self.dsn("postgres", "postgres")
        with psycopg.connect(superuser_dsn, autocommit=True, connect_timeout=5) as server:
            if server.execute("SELECT FROM pg_roles WHERE rolname = 'unlatch'").rowcount == 0:
                server.execute("CREATE ROLE unlatch LOGIN CREATEDB")
            if server.execute("SELECT FROM pg_database WHERE datname = 'unlatch'").rowcount == 0:
                server.execute("CREATE DATABASE unlatch OWNER unlatch")

    @contextmanager
    def _only_one_starts(self, deadline: float) -> Iterator[None]:
        """Of several processes that start at once, one does it and the others wait."""
        lock = keeper.open_lock(self.data_dir / STARTING_LOCK)
        try:
            self._wait_for_lock(lock, fcntl.LOCK_EX, deadline)
            yield
        finally:
            os.close(lock)

    def _wait_for_lock(self, lock: int, way: int, deadline: float) -> None:
        while not _take(lock, way):
            if time.monotonic() > deadline:
                raise self._down(f"another process has held {self.data_dir} for {START_TIMEOUT_S:.0f} s")
            time.sleep(POLL_S)

    def _is_kept(self) -> bool:
        """Whether a keeper lives, ending or not."""
        return not self._can_take(keeper.KEEPER_LOCK, fcntl.LOCK_SH)

    def _is_used(self) -> bool:
        """Whether anyone uses the server, told apart from its keeper's ending it."""
        is_locked = not self._can_take(keeper.USERS_LOCK, fcntl.LOCK_EX)
        return is_locked and self._can_take(keeper.USERS_LOCK, fcntl.LOCK_SH)

    def _can_take(self, name: str, way: int) -> bool:
        lock = keeper.open_lock(self.data_dir / name)
        try:
            return _take(lock, way)
        finally:
            os.close(lock)

    @contextmanager
    def _open_log(self) -> Iterator[int]:
        """The log to append to; a long one is put aside, and the one before that forgotten."""
        path = self.data_dir / keeper.LOG_FILE
        if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
            path.rename(path.with_suffix(".log.1"))
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            if os.geteuid() == 0:
                owner = self.data_dir.stat()
                os.fchown(log, owner.st_uid, owner.st_gid)
            yield log
        finally:
            os.close(log)

    def _down(self, message: str) -> DatabaseDown:
        """The error with what the log says last."""
        path = self.data_dir / keeper.LOG_FILE
        try:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - 8000))
                lines = file.read().decode(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        except OSError:
            lines = []
        return DatabaseDown("\n  ".join([f"{message}. {path} ends:" if lines else message, *lines]))


def _take(lock: int, way: int) -> bool:
    try:
        fcntl.flock(lock, way | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
