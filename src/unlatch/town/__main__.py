"""`python -m unlatch.town`: the town alone, in this process."""

from __future__ import annotations

import argparse
from datetime import datetime

from unlatch.clock import Clock
from unlatch.town.app import run_town


def read_arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The command line. --time-anchor must be aware, such as 2026-01-01T00:00:00+00:00."""
    parser = argparse.ArgumentParser(
        prog="python -m unlatch.town", description="simulated cars and their clouds"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090, help="0 takes a free one")
    parser.add_argument("--smtp-port", type=int, default=0, help="of the mail server; 0 takes a free one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--time-factor", type=float, default=1.0, help="town seconds per real second")
    parser.add_argument("--time-anchor", type=datetime.fromisoformat, default=Clock().anchor_at)
    arguments = parser.parse_args(words)
    if arguments.time_factor <= 0:
        parser.error("--time-factor must be above 0")
    if arguments.time_anchor.tzinfo is None:
        parser.error("--time-anchor must name its offset, such as 2026-01-01T00:00:00+00:00")
    return arguments


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    arguments = read_arguments()
    clock = Clock(factor=arguments.time_factor, anchor_at=arguments.time_anchor)
    run_town(
        clock,
        seed=arguments.seed,
        host=arguments.host,
        port=arguments.port,
        smtp_port=arguments.smtp_port,
    )


if __name__ == "__main__":
    main()
