"""What the bench reads off: processor time by process, PostgreSQL's own counts, latencies."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")

_COUNTS = """
    -- Round trips are at most as many as statements: what is sent in a pipeline shares them.
    SELECT (SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database())
            AS transactions,
        (SELECT sum(calls) FROM pg_stat_statements) AS statements,
        (SELECT sum(total_exec_time + total_plan_time) / 1000 FROM pg_stat_statements) AS statements_s,
        pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') AS wal_bytes,
        (SELECT count(*) FROM journal) AS journal_entries,
        (SELECT sum(pg_column_size(journal.*)) FROM journal) AS journal_bytes,
        (SELECT sum(pg_column_size(journal_private.*)) FROM journal_private) AS journal_private_bytes
"""
_TOP = """
    SELECT query, calls, total_exec_time + total_plan_time AS total_ms, rows, wal_bytes
    FROM pg_stat_statements ORDER BY total_ms DESC LIMIT %s
"""
_FLUSH = "SELECT pg_stat_force_next_flush()"


def read_processor_s(pid: int, *, with_children: bool = False) -> float:
    """User and system seconds of a process; with those of its children, dead and alive. 0 where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    spent = sum(int(value) for value in fields[11 : 15 if with_children else 13]) / TICKS_A_SECOND
    if with_children:
        spent += sum(read_processor_s(child) for child in list_children(pid))
    return spent


def list_children(pid: int) -> list[int]:
    """The processes that this one has started and that live."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(word) for word in text.split()]


def read_own_processor_s() -> float:
    """Of this process: the load generator."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def find_children(word: str) -> list[int]:
    """Our own children in whose command line this word stands alone."""
    found = []
    for pid in list_children(os.getpid()):
        with contextlib.suppress(OSError):
            if word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                found.append(pid)
    return found


def read_parent(pid: int) -> int:
    """The process that started this one."""
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])


def read_processor_name() -> str:
    """As the system names it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return "an unnamed processor"


def find_filesystem(folder: Path) -> str:
    """The kind of file system that this folder lies on; empty where that is not told."""
    best = ("", "")
    with contextlib.suppress(OSError):
        for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
            _, point, kind, *_ = line.split()
            if folder.resolve().is_relative_to(point) and len(point) >= len(best[0]):
                best = (point, kind)
    return best[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Everything at one moment."""

    database: Mapping[str, float]
    processor_s: Mapping[str, float]

    def since(self, before: Counts, per: float) -> dict[str, dict[str, float]]:
        """What was spent in between, divided by so many visits or seconds."""
        database, processor_s = before.database, before.processor_s
        return {
            "database": {
                name: round((value - database[name]) / per, 2) for name, value in self.database.items()
            },
            "processor_s": {
                name: round((value - processor_s.get(name, 0.0)) / per, 5)
                for name, value in self.processor_s.items()
            },
        }


async def read_counts(connection: AsyncConnection, pids: Mapping[str, Sequence[int]]) -> Counts:
    """Count everything; `pids` are the processes by their names, PostgreSQL's postmaster as "postgresql"."""
    await connection.execute(_FLUSH)
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_COUNTS)
        row: dict[str, Any] = await cursor.fetchone() or {}
    processor_s = {
        name: sum(read_processor_s(pid, with_children=name == "postgresql") for pid in several)
        for name, several in pids.items()
    }
    processor_s["generator"] = read_own_processor_s()
    return Counts(database={name: float(value or 0) for name, value in row.items()}, processor_s=processor_s)


async def list_top_statements(
    connection: AsyncConnection, visits: int, limit: int = 15
) -> list[dict[str, Any]]:
    """The statements that took longest since pg_stat_statements was reset."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_TOP, (limit,))
        rows = await cursor.fetchall()
    return [
        {
            "statement": " ".join(str(row["query"]).split())[:160],
            "calls_per_visit": round(row["calls"] / visits, 3),
            "ms_per_visit": round(row["total_ms"] / visits, 4),
            "wal_bytes_per_visit": round(float(row["wal_bytes"]) / visits),
        }
        for row in rows
    ]


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p90, p99 and the largest, in seconds; the nearest rank, so that each is a value that was seen."""
    if not values:
        return {}
    ordered = sorted(values)
    ranks = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {
        name: round(ordered[max(0, -(-int(rank * 1000) * len(ordered) // 1000) - 1)], 4)
        for name, rank in ranks.items()
    }
