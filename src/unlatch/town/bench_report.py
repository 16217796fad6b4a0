"""What the bench has found, for a terminal and as the page `docs/reference/performance.md`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Result = Mapping[str, Any]
AIM_PER_S, AIM_RATIO = 60, 0.3

_PAGE_HEAD = """\
# Performance

<!-- Written by `scripts/bench --page docs/reference/performance.md` from its own result. -->

How many visits one machine carries, from the courier's scan to the lock that was *seen*, and where the time
goes. `scripts/bench` measures it again (four to six minutes; `--quick`: one to two).

**Read the ratios, not the figures.** All figures are of one run on one machine, which other work may have shared
at that time (see the load average), and hold against each other alone. What hardly depends on who else was
there is what one visit takes: statements, transactions, bytes, processor seconds.
"""
_HOW = """\
## How it is measured

- Real: server, worker, PostgreSQL (fsync, full_page_writes, synchronous_commit on; on a disk) and the makers'
  clouds over HTTP, each a process of its own, all on this machine, with the load generator beside them.
- Simulated: the cars. Half are OnStar's newer kind, half Volvo's. A command takes {latency_s:g} s of town time, the
  town runs {factor:g} times faster than real time, so that the bench measures the platform and not the cars, and
  so that the tail watch of 300 s after each visit is over, and counted, within 10 s. Each visit has an account of
  its own: no limit per account binds.
- A courier: scan (text label) -> follow the visit's stream until it may be opened -> pull the handle in the town
  -> opened -> deposited (without a photo) -> close -> closed -> wait on the stream for `delivered`. Each request has a
  fresh DPoP proof. No reading is fresh at the scan, so each visit begins with a look at the car.
- Open loop: visits begin at random moments that do not wait for the platform, and latencies count from the
  *intended* moment. The rate rises until a visit is lost or the 99th percentile from scan to command (its
  receipt by the cloud, by the town's ledger) is over 2 s; the best rate runs once more and is counted.
- Registered by SQL beforehand, not through the API: consignees, cars, stops and couriers.
- The limit: before the load, one visit of each maker is logged by PostgreSQL, statement by statement; `pgbench`
  then runs these statements with other identifiers, in the same transactions, alone on the same server. What
  processes ask again and again whether there is work is left out there, and counts as ours.
"""


def _rows(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell).replace("|", "/") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _code(shares: Mapping[str, float]) -> list[tuple[str, float]]:
    return [(f"`{name}`", share) for name, share in shares.items()]


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


def _judge(measured: Result) -> str:
    """Whether the long step held what the short ones promised."""
    step = measured["step"]
    lost = step["offered"] - step["delivered"]
    if measured["is_good"]:
        return "nothing lost, commands within 2 s"
    return f"{lost} of {step['offered']} lost, commands p99 {step['scan_to_command_s'].get('p99', 0.0):.1f} s: not held"


def summarise(result: Result) -> list[tuple[str, str]]:
    """The figures that matter, in words."""
    measured = result["measured"]
    step, visit = measured["step"], measured["per_visit"]
    database, processor_s = visit["database"], visit["processor_s"]
    latency = step["scan_to_command_s"]
    total_s = sum(processor_s.values())
    shares = ", ".join(f"{name} {1000 * spent:.1f}" for name, spent in processor_s.items())
    idle = result["idle_per_s"]
    idle_ms = 1000 * sum(idle["processor_s"].values())
    return [
        (
            "finished visits per second",
            f"{result['visits_per_s']:.1f} (aim {AIM_PER_S}); {_judge(measured)}",
        ),
        ("the limit: the same statements by pgbench", f"{result['limit']['visits_per_s']:.1f} visits/s"),
        ("ratio", f"{result['ratio']:.2f} (aim {AIM_RATIO})"),
        ("scan to command", ", ".join(f"{name} {_ms(value)}" for name, value in latency.items())),
        ("whole visit", ", ".join(f"{name} {_ms(value)}" for name, value in step["visit_s"].items())),
        ("transactions per visit", f"{database['transactions']:.1f}"),
        (
            "statements per visit (at most so many round trips)",
            f"{database['statements']:.1f}; the limit's script {result['limit']['statements_per_visit']:.0f}",
        ),
        ("WAL per visit", f"{database['wal_bytes'] / 1000:.1f} kB"),
        (
            "journal per visit",
            (
                f"{database['journal_entries']:.1f} entries, {database['journal_bytes']:.0f} bytes, beside "
                f"them {database['journal_private_bytes']:.0f} that may be forgotten"
            ),
        ),
        ("processor per visit", f"{1000 * total_s:.1f} ms: {shares}"),
        (
            "idle, per second",
            f"{idle_ms:.0f} ms of processor, {idle['database']['statements']:.0f} statements",
        ),
        (
            "load average before and after",
            f"{result['load_average_before']:.1f}, {result['load_average_after']:.1f}",
        ),
    ]


def find_losses(result: Result) -> list[str]:
    """What does not add up; empty where nothing was lost."""
    counted = result["nothing_lost"]
    delivered = counted["delivered"]
    equal = ("delivered_to_couriers", "parcels_in_place")
    wrong = [f"{name} {counted[name]}, delivered {delivered}" for name in equal if counted[name] != delivered]
    if (
        counted["unlocks_at_the_clouds"] != counted["unlocks"]
        or counted["gates_passed"] != counted["unlocks"]
    ):
        wrong.append(f"unlocks {counted}")
    return wrong


def make_table(result: Result) -> str:
    """For a terminal."""
    lines = [f"{name:52} {value}" for name, value in summarise(result)]
    for name, found in (result.get("profile") or {}).items():
        lines += ["", f"{name}, share of its busy samples by room, percent:"]
        lines += [f"  {share:5.1f}  {room}" for room, share in found.get("by_room", {}).items()]
        if "missing" in found:
            lines.append(f"  {found['missing']}")
    lines += ["", "statements by time: ms per visit, calls per visit"]
    for one in result["measured"]["top_statements"]:
        lines.append(f"  {one['ms_per_visit']:7.3f} {one['calls_per_visit']:7.2f}  {one['statement'][:88]}")
    return "\n".join(lines) + "\n"


def make_page(result: Result) -> str:
    """The page of the manual."""
    about = result["about"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    parts = [
        _PAGE_HEAD,
        (
            f"Run on {about['date']}: {about['cores']} cores, {about['processor']}, {about['system']}; {versions}; "
            f"{about['workers']} worker; {'quick' if about['is_quick'] else 'full'}.\n"
        ),
        "## Figures\n",
        _rows(("what", "of this run"), summarise(result)),
        "## The steps\n",
        _rows(
            ("offered/s", "delivered", "finished/s", "scan to command p50", "p90", "p99", "whole visit p50"),
            [
                (
                    f"{step['offered_per_s']:.1f}",
                    f"{step['delivered']} of {step['offered']}",
                    f"{step['visits_per_s']:.1f}",
                    *(_ms(step["scan_to_command_s"].get(name, 0.0)) for name in ("p50", "p90", "p99")),
                    _ms(step["visit_s"].get("p50", 0.0)),
                )
                for step in result["steps"]
            ],
        ),
        "## Where the time goes\n",
        "In PostgreSQL, by its own count (time in execution, waiting for locks included):\n",
        _rows(
            ("ms/visit", "calls/visit", "WAL bytes/visit", "statement"),
            [
                (
                    f"{one['ms_per_visit']:.2f}",
                    f"{one['calls_per_visit']:.2f}",
                    one["wal_bytes_per_visit"],
                    f"`{one['statement'][:96]}`",
                )
                for one in result["measured"]["top_statements"]
            ],
        ),
    ]
    for name, found in (result.get("profile") or {}).items():
        parts.append(f"In the {name}, percent of {found.get('samples', 0)} busy samples (py-spy):\n")
        if "missing" in found:
            parts.append(f"{found['missing']}\n")
            continue
        parts.append(_rows(("room, innermost", "%"), found["by_room"].items()))
        parts.append(
            _rows(
                ("our innermost function", "%"),
                [(f"`{one}`", share) for one, share in found["of_ours"].items()],
            )
        )
    parts.append(_HOW.format(latency_s=about["latency_s"], factor=about["factor"]))
    return "\n".join(parts)
