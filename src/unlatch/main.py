"""The composition root and the command line: `unlatch migrate`, and whatever COMMANDS lists beside it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from unlatch.errors import UnlatchError
from unlatch.settings import read_settings

Arguments = argparse.Namespace
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One word after `unlatch`. Its functions import what they need themselves, so that each starts fast.

    `run` returns the exit code; an UnlatchError that it raises is printed as one line, for exit code 1.
    """

    name: str
    summary: str
    run: Callable[[Arguments], int]
    add_arguments: Callable[[argparse.ArgumentParser], None] | None = None


def migrate(arguments: Arguments) -> int:
    """Bring the database's schema up to this release, or say how it stands to it."""
    import asyncio

    from unlatch.store.database import connect, use_server
    from unlatch.store.migrate import migrate, read_schema_state

    async def run() -> int:
        settings = read_settings(os.environ)
        async with use_server(settings) as dsn, connect(dsn, name="migrate") as connection:
            if not arguments.status:
                count = await migrate(connection)
                print(f"{count} applied" if count else "nothing to apply: the schema is that of this release")
                return 0
            state = await read_schema_state(connection)
            for name in state.applied:
                print(f"applied  {name}")
            for name in state.pending:
                print(f"pending  {name}")
            if refusal := state.refusal():
                print(refusal)
            return EXIT_FAILED if refusal or state.pending else 0

    return asyncio.run(run())


def add_migrate_arguments(parser: argparse.ArgumentParser) -> None:
    """What `unlatch migrate` takes."""
    parser.add_argument("--status", action="store_true", help="show what is applied; change nothing")


def verify(arguments: Arguments) -> int:
    """Check exported proofs; needs neither settings nor a database."""
    import unlatch.verify

    return unlatch.verify.run(arguments)


def add_verify_arguments(parser: argparse.ArgumentParser) -> None:
    """What `unlatch verify` takes."""
    import unlatch.verify

    unlatch.verify.add_arguments(parser)


def check_protocol(arguments: Arguments) -> int:
    """Where one breaks an invariant, the shortest way there is told. Needs neither settings nor a database."""
    import unlatch.model.checking

    return unlatch.model.checking.run(arguments)


def add_check_protocol_arguments(parser: argparse.ArgumentParser) -> None:
    """What `unlatch check-protocol` takes."""
    import unlatch.model.checking

    unlatch.model.checking.add_arguments(parser)


def serve(_: Arguments) -> int:
    """Run the HTTP API."""
    return _run_for_long("run_server")


def work(_: Arguments) -> int:
    """Run one worker."""
    return _run_for_long("run_worker")


def record(_: Arguments) -> int:
    """Run one recorder."""
    return _run_for_long("run_recorder")


def _run_for_long(name: str) -> int:
    import uvloop

    from unlatch import running

    settings = read_settings(os.environ)
    running.set_up_logging(settings)
    uvloop.run(getattr(running, name)(settings))
    return 0


def town(arguments: Arguments) -> int:
    """Run the simulated town, on the clock of this installation."""
    from unlatch.town.app import run_town

    clock = read_settings(os.environ).clock()
    run_town(
        clock,
        seed=arguments.seed,
        host=arguments.host,
        port=arguments.port,
        smtp_port=arguments.smtp_port,
    )
    return 0


def add_town_arguments(parser: argparse.ArgumentParser) -> None:
    """What `unlatch town` takes."""
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090, help="0 takes a free one")
    parser.add_argument(
        "--smtp-port", type=int, default=0, help="of its mail server; 0, the default, for any free one"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the faults that are drawn by lot")


def demo(arguments: Arguments) -> int:
    """Play the demo in a simulated town."""
    import asyncio

    from unlatch import running
    from unlatch.town.demo import LETTERS, Wishes, run_demo

    wishes = Wishes(
        letters=arguments.story or LETTERS,
        factor=arguments.time_factor,
        is_once=arguments.once,
        is_removed=arguments.data_dir is None and not arguments.keep,
    )
    with running.borrow_data_dir(arguments.data_dir, is_kept=arguments.keep) as data_dir:
        return asyncio.run(run_demo(data_dir, wishes))


def add_demo_arguments(parser: argparse.ArgumentParser) -> None:
    """What `unlatch demo` takes."""
    from unlatch.town.demo import FACTOR, LETTERS, read_demo_factor

    parser.add_argument("--once", action="store_true", help="end by itself after the stories")
    parser.add_argument(
        "--story", action="append", choices=list(LETTERS), help="this story alone; may be repeated"
    )
    parser.add_argument(
        "--time-factor",
        type=read_demo_factor,
        default=FACTOR,
        metavar="N",
        help=f"town seconds in a real second at the cars, 1 to 40; {FACTOR:g} if not given",
    )
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="kept; a temporary folder if not given")
    parser.add_argument("--keep", action="store_true", help="keep the temporary folder")


def add_party(arguments: Arguments) -> int:
    """Admit a carrier or an operator, and print its key: it can't be shown again."""
    import asyncio

    from unlatch import running

    party: str = arguments.command
    programme = getattr(arguments, "programme", None)  # of a carrier alone
    admitted = asyncio.run(running.admit(read_settings(os.environ), party, arguments.party_name, programme))
    print(f"{party} {admitted.id}: its key is shown this once", file=sys.stderr)
    print(admitted.key)
    return 0


def carrier(arguments: Arguments) -> int:
    """Admit a carrier, and print its key: it can't be shown again. Or change by what an admitted one books, unless one
    of its open bookings would not be offered by the other programme: those are named, and nothing is changed.
    """
    import asyncio

    from unlatch import running
    from unlatch.errors import BadInput

    if arguments.what == "add":
        return add_party(arguments)
    if arguments.programme is None:
        raise BadInput("--programme", "say by which programme the carrier is to book")
    carrier_id, programme = arguments.party_name, arguments.programme
    found = asyncio.run(running.set_programme(read_settings(os.environ), carrier_id, programme))
    for one in found.forbidding:
        print(f"forbids it  {one.stop_id}  {', '.join(one.reasons)}")
    if found.forbidding:
        print(f"open bookings would not be offered by {programme}: nothing was changed", file=sys.stderr)
        return EXIT_FAILED
    print(f"{carrier_id} books by {programme} from now on (was {found.was})")
    return 0


def add_party_arguments(parser: argparse.ArgumentParser) -> None:
    """What `unlatch operator` takes."""
    parser.add_argument("what", choices=["add"])
    parser.add_argument("party_name", metavar="NAME", help="at most 100 characters")


def add_carrier_arguments(parser: argparse.ArgumentParser) -> None:
    """What `unlatch carrier` takes."""
    parser.add_argument("what", choices=["add", "set-programme"])
    parser.add_argument(
        "party_name",
        metavar="NAME",
        help="to add: at most 100 characters; to set the programme: the carrier's id, as it was printed",
    )
    parser.add_argument(
        "--programme",
        metavar="NAME",
        help="by which rules it books, a file of programmes/ in the rules; open if not given",
    )


def fence(_: Arguments) -> int:
    """Raise the fence after a restore, and name the places that somebody should look at."""
    import asyncio

    from unlatch import running

    raised = asyncio.run(running.raise_fence(read_settings(os.environ)))
    for row in raised.shut:
        print(f"shut  {row.id}  {row.access_point_id}")
    print(f"the fence is at {raised.epoch}; {len(raised.shut)} visits were shut before their gate")
    return 0


def add_fence_arguments(parser: argparse.ArgumentParser) -> None:
    """What `unlatch fence` takes."""
    parser.add_argument("what", choices=["raise"])


def reseal(_: Arguments) -> int:
    """Seal what an older secret key had sealed with the present one."""
    import asyncio

    from unlatch import running

    count = asyncio.run(running.reseal(read_settings(os.environ)))
    print(f"{count} values sealed anew" if count else "nothing to do: all is sealed with the present key")
    return 0


def bench(arguments: Arguments) -> int:
    """Measure how many visits this machine carries; everything in a folder of its own, removed afterwards."""
    import json
    import shutil
    from pathlib import Path

    import uvloop

    from unlatch.store.database import use_server
    from unlatch.store.vault import Vault
    from unlatch.town.bench import QUICK, Plan, make_folder, run_bench
    from unlatch.town.bench_report import find_losses, make_page, make_table
    from unlatch.town.bench_rows import Seal

    folder = make_folder()
    settings = read_settings({"UNLATCH_DATA_DIR": str(folder)})

    def make_seal() -> Seal:
        return Vault(settings.read_secret_key()).seal

    async def run() -> dict[str, object]:
        async with use_server(settings) as dsn:
            plan = QUICK if arguments.quick else Plan()
            return await run_bench(plan, data_dir=folder, dsn=dsn, make_seal=make_seal, tell=print)

    try:
        result = uvloop.run(run())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    Path(arguments.json).parent.mkdir(parents=True, exist_ok=True)
    Path(arguments.json).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if arguments.page:
        Path(arguments.page).write_text(make_page(result), encoding="utf-8")
    print(make_table(result))
    losses = find_losses(result)
    for loss in losses:
        print(f"does not add up: {loss}", file=sys.stderr)
    return EXIT_FAILED if losses else 0


def add_bench_arguments(parser: argparse.ArgumentParser) -> None:
    """What `unlatch bench` takes."""
    parser.add_argument("--quick", action="store_true", help="one to two minutes instead of four to six")
    parser.add_argument(
        "--json",
        default="var/bench.json",
        metavar="FILE",
        help="where the result goes; var/bench.json if not given",
    )
    parser.add_argument("--page", metavar="FILE", help="also write the manual's page from the result")


def simulate(arguments: Arguments) -> int:
    """Run simulated worlds from a seed on; the first in which something does not hold is told as a story."""
    import json
    import time
    from pathlib import Path

    from unlatch.simulation.run import HARD_CASES, Outcome, run

    told_s = time.monotonic()

    def tell(outcome: Outcome) -> None:
        nonlocal told_s
        if time.monotonic() - told_s >= 2:
            told_s = time.monotonic()
            rate = outcome.visits / max(outcome.seconds, 0.001)
            faults = sum(outcome.faults.values())
            print(
                f"{outcome.visits:>9,} visits, {faults:,} faults, {rate:.0f} a second",
                file=sys.stderr,
                flush=True,
            )

    outcome, story = run(arguments.seed, arguments.visits, badness=arguments.badness, tell=tell)
    figures = {
        "seed": arguments.seed,
        "badness": arguments.badness,
        "worlds": outcome.worlds,
        "visits": outcome.visits,
        "unlocks": outcome.unlocks,
        "locks": outcome.locks,
        "seconds": round(outcome.seconds, 1),
        "faults": dict(sorted(outcome.faults.items())),
        "hard_cases": {name: outcome.hits.get(name, 0) for name in HARD_CASES},
        "ends": dict(sorted(outcome.ends.items())),
        "broken": [f"seed {seed}: {what}" for seed, what in outcome.broken],
    }
    if arguments.json:
        Path(arguments.json).parent.mkdir(parents=True, exist_ok=True)
        Path(arguments.json).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    for name, count in (outcome.hits if arguments.verbose else {}).items():
        print(f"{count:>9,}  {name}")
    faults = sum(outcome.faults.values())
    print(
        f"{outcome.visits:,} visits in {outcome.worlds:,} worlds, {faults:,} faults, {outcome.unlocks:,} unlocks left"
    )
    if not outcome.broken:
        print("nothing has broken")
        return 0
    print(story)
    for seed, what in outcome.broken:
        print(
            f"BROKEN  {what}\n        again: unlatch simulate --seed {seed} --visits 1 --badness {arguments.badness}"
        )
    return EXIT_FAILED


def add_simulate_arguments(parser: argparse.ArgumentParser) -> None:
    """What `unlatch simulate` takes."""
    parser.add_argument(
        "--seed", type=int, default=1, help="of the first world; the next has the next number"
    )
    parser.add_argument(
        "--visits", type=int, default=1000, help="how many to make at least; 1000 if not given"
    )
    parser.add_argument(
        "--badness",
        type=float,
        default=1.0,
        help="multiplies the chance of every misfortune; 0: nothing goes wrong",
    )
    parser.add_argument("--json", metavar="FILE", help="where the counts go")
    parser.add_argument("--verbose", action="store_true", help="also print how often each hard case was met")


def day(arguments: Arguments) -> int:
    """Live a whole day of deliveries while processes are killed; what did not hold fails it."""
    import asyncio
    import json
    import time

    from unlatch import running
    from unlatch.town.day_run import DayWishes, run_day

    began_s = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began_s:6.1f} s  {text}", flush=True)

    wishes = DayWishes(
        stops=arguments.stops, kills=arguments.kills, seed=arguments.seed, is_short=arguments.short
    )
    with running.borrow_data_dir(arguments.data_dir, is_kept=arguments.keep) as data_dir:
        figures = asyncio.run(run_day(data_dir, wishes, tell))
    path = Path(arguments.json)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    for line in figures["broken"]:
        print(f"BROKEN  {line}", file=sys.stderr)
    print(json.dumps({name: value for name, value in figures.items() if name != "broken"}))
    print("everything held" if not figures["broken"] else f"{len(figures['broken'])} promises were broken")
    return EXIT_FAILED if figures["broken"] else 0


def add_day_arguments(parser: argparse.ArgumentParser) -> None:
    """What `unlatch day` takes."""
    parser.add_argument("--stops", type=int, default=2000, help="deliveries of the day; 2000 if not given")
    parser.add_argument("--kills", type=int, default=10, help="kill -9 of server and workers by turns; 10")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn by lot")
    parser.add_argument("--short", action="store_true", help="the same within an hour of town time")
    parser.add_argument(
        "--json", default="var/day.json", metavar="FILE", help="where the figures go; var/day.json"
    )
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="kept; a temporary folder if not given")
    parser.add_argument("--keep", action="store_true", help="keep the temporary folder")


COMMANDS = (
    Command(
        name="demo",
        summary="play thirteen deliveries in a simulated town, then stay up; needs nothing else",
        run=demo,
        add_arguments=add_demo_arguments,
    ),
    Command(name="serve", summary="run the HTTP API", run=serve),
    Command(name="work", summary="run a worker: commands, watch, deadlines; as many as you like", run=work),
    Command(name="record", summary="run a recorder of homes' cameras: at most 32 of them each", run=record),
    Command(
        name="town",
        summary="run the simulated town: cars and their makers' clouds",
        run=town,
        add_arguments=add_town_arguments,
    ),
    Command(
        name="bench",
        summary="measure how many visits this machine carries, in a simulated town",
        run=bench,
        add_arguments=add_bench_arguments,
    ),
    Command(
        name="day",
        summary="live a day of deliveries in a simulated town while its processes are killed, and check it",
        run=day,
        add_arguments=add_day_arguments,
    ),
    Command(
        name="carrier",
        summary="add a carrier; prints the key of its back end, once. Or change its programme",
        run=carrier,
        add_arguments=add_carrier_arguments,
    ),
    Command(
        name="operator",
        summary="add one of the platform's own people; prints their key, once",
        run=add_party,
        add_arguments=add_party_arguments,
    ),
    Command(
        name="migrate",
        summary="bring the database's schema up to this release; may be repeated at any time",
        run=migrate,
        add_arguments=add_migrate_arguments,
    ),
    Command(
        name="fence",
        summary="after a restore: raise the fence, so that no grant from before it opens anything",
        run=fence,
        add_arguments=add_fence_arguments,
    ),
    Command(
        name="reseal",
        summary="after a change of the secret key: seal all that an older one had sealed",
        run=reseal,
    ),
    Command(
        name="simulate",
        summary="try the visit flow in a simulated world, against crashes, lost commits, lying clouds and late people",
        run=simulate,
        add_arguments=add_simulate_arguments,
    ),
    Command(
        name="verify",
        summary="check exported proofs of delivery, offline",
        run=verify,
        add_arguments=add_verify_arguments,
    ),
    Command(
        name="check-protocol",
        summary="search every situation that the visit protocol can come into, in six models",
        run=check_protocol,
        add_arguments=add_check_protocol_arguments,
    ),
)


def _find_version() -> str:
    try:
        return version("unlatch")
    except PackageNotFoundError:  # run from its source, not installed
        return "from source"


def build_parser(chosen: str | None, commands: Sequence[Command] = COMMANDS) -> argparse.ArgumentParser:
    """The parser of the whole command line; only the chosen command is asked for its arguments."""
    parser = argparse.ArgumentParser(
        prog="unlatch",
        description="Delivers parcels into locked places.",
        epilog="Settings are read from UNLATCH_* variables: see docs/reference/settings.md.",
    )
    parser.add_argument("--version", action="version", version=f"unlatch {_find_version()}")
    choices = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in commands:
        choice = choices.add_parser(command.name, help=command.summary, description=command.summary)
        choice.set_defaults(run=command.run)
        if command.add_arguments and command.name == chosen:
            command.add_arguments(choice)
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; the console script `unlatch`."""
    words = sys.argv[1:] if words is None else words
    arguments = build_parser(words[0] if words else None).parse_args(words)
    try:
        run: Callable[[Arguments], int] = arguments.run
        return run(arguments)
    except UnlatchError as error:
        print(f"unlatch {arguments.command}: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone (`unlatch ... | head`). Nothing more can be said to them.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
