"""Many at the gate at once: several processes try each grant over and over, and each opens once or not at all.

    python -m tests.siege.contention OUT.json [GRANTS] [ATTEMPTS]

The real gate over real PostgreSQL. Grants are made by real scans, a batch at a time, so that each is young.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop
from tests.flow.stage import Stage, open_stage
from tests.siege.siege import use_plain_folder

from unlatch.clock import monotonic_s
from unlatch.flow.gate import pass_gate
from unlatch.running import open_platform
from unlatch.settings import read_settings
from unlatch.store.database import Database, connect, use_server
from unlatch.store.migrate import migrate

GRANTS, ATTEMPTS = 2_000, 32
PROCESSES = 4
BATCH = 100
AT_ONCE = 24  # in one process


# ---- one of those who attack ----------------------------------------------------------------------------------------


async def attack(data_dir: str, dsn: str) -> None:
    """Read a line of commands, try each so and so often in any order, write which were passed; until the last line."""
    settings = read_settings({"UNLATCH_DATA_DIR": data_dir, "UNLATCH_DATABASE_URL": dsn})
    loop = asyncio.get_running_loop()
    async with open_platform(settings, "attacker") as platform:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(command_id: str) -> str | None:
            async with gate:
                return command_id if await pass_gate(platform, command_id, None) is not None else None

        while line := await loop.run_in_executor(None, sys.stdin.readline):
            wanted = json.loads(line)
            attempts = wanted["ids"] * wanted["each"]
            random.Random(wanted["seed"]).shuffle(attempts)
            passed = await asyncio.gather(*map(one, attempts))
            print(json.dumps([one for one in passed if one is not None]), flush=True)


# ---- the run --------------------------------------------------------------------------------------------------------


async def contend(grants: int, attempts: int, tell: bool = True) -> dict[str, Any]:
    """All of it; the figures, with what broke as sentences."""
    began_s = monotonic_s()
    with use_plain_folder() as folder:
        settings = read_settings({"UNLATCH_DATA_DIR": str(folder)})
        async with use_server(settings) as dsn:
            async with connect(dsn, name="contention") as connection:
                await migrate(connection, tell=lambda _: None)
            database = Database(dsn, name="contention")
            await database.open()
            attackers = [await _start(folder, dsn) for _ in range(PROCESSES)]
            passed: Counter[str] = Counter()
            try:
                async with open_stage(database, folder, factor=1, has_worker=False) as stage:
                    for at in range(0, grants, BATCH):
                        ids = [(await stage.grant())[2] for _ in range(min(BATCH, grants - at))]
                        passed.update(await _let_loose(attackers, ids, attempts // PROCESSES, at))
                        if tell:
                            print(
                                f"{at + len(ids)} grants, {passed.total()} passages",
                                file=sys.stderr,
                                flush=True,
                            )
                    told = await _compare(stage, passed, grants, attempts)
            finally:
                for attacker in attackers:
                    attacker.stdin.close() if attacker.stdin else None
                    await attacker.wait()
                await database.close()
    return {**told, "seconds": round(monotonic_s() - began_s)}


async def _start(folder: Path, dsn: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.siege.contention", "attack", str(folder), dsn),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 22,
    )


async def _let_loose(
    attackers: Sequence[asyncio.subprocess.Process], ids: list[str], each: int, seed: int
) -> list[str]:
    """All of them at the same grants, at once; each passage that one of them had."""
    for number, attacker in enumerate(attackers):
        assert attacker.stdin is not None
        attacker.stdin.write(json.dumps({"ids": ids, "each": each, "seed": seed + number}).encode() + b"\n")
    passed: list[str] = []
    for attacker in attackers:
        assert attacker.stdout is not None
        passed += json.loads(await attacker.stdout.readline())
    return passed


async def _compare(stage: Stage, passed: Counter[str], grants: int, attempts: int) -> dict[str, Any]:
    query = """
        SELECT (SELECT count(*) FROM grant_), (SELECT count(*) FROM grant_ WHERE state = 'used'),
            (SELECT count(*) FROM command WHERE verb = 'unlock' AND state = 'sent'),
            (SELECT count(*) FROM journal WHERE name = 'gate_passed')
    """
    async with stage.platform.database.connection() as connection:
        row = await (await connection.execute(query)).fetchone()
    assert row is not None
    made, used, sent, journaled = row
    broken = [f"{one} was passed {count} times" for one, count in passed.items() if count > 1]
    if not len(passed) == used == sent == journaled:
        broken.append(
            f"{len(passed)} passages, {used} grants used, {sent} commands sent, {journaled} gates journaled"
        )
    if made != grants or not passed:
        broken.append(f"{made} grants were made, {len(passed)} passed")
    return {
        "grants": made,
        "attempts": grants * attempts,
        "processes": PROCESSES,
        "passed": len(passed),
        "shut": made - used,
        "broken": broken,
    }


def main(words: list[str]) -> int:
    """The command line."""
    if words[0] == "attack":
        uvloop.run(attack(*words[1:]))
        return 0
    grants, attempts = (int(word) for word in words[1:]) if len(words) == 3 else (GRANTS, ATTEMPTS)
    told = uvloop.run(contend(grants, attempts))
    Path(words[0]).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(
        "\n".join(told["broken"]) or f"{told['attempts']} attempts, {told['passed']} passages",
        file=sys.stderr,
    )
    return 1 if told["broken"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
