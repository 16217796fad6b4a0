"""The simulated town as a real HTTP server in a thread of its own, and cars in it as our connectors see them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from unlatch.clock import Clock
from unlatch.devices.base import Car, Maker
from unlatch.devices.link import Link
from unlatch.town.app import create_server, create_town, listen
from unlatch.town.car import Maker as TownMaker
from unlatch.town.client import TownClient

FACTOR = 100.0  # 100 s of the town are one second
NUMBERS = count(1)


@dataclass(frozen=True, kw_only=True)
class TownAt:
    """Where a town listens, and its clock."""

    address: str
    clock: Clock


@contextmanager
def running_town() -> Iterator[TownAt]:
    """A town on a free port, until the block ends."""
    clock = Clock(factor=FACTOR)
    listening = listen("127.0.0.1", 0)
    server = create_server(create_town(clock))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined,method-assign,unused-ignore]
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
    thread.start()
    while not server.started and thread.is_alive():  # bound is not yet listening
        time.sleep(0.01)
    try:
        yield TownAt(address=f"http://127.0.0.1:{listening.getsockname()[1]}", clock=clock)
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()
        assert not thread.is_alive()


def has_simulated_cloud(kind: type[Maker]) -> bool:
    """Whether the town plays this maker."""
    return kind.name in set(TownMaker)


def new_vin() -> str:
    """A VIN no other car of this process has."""
    return f"1G1ZD5ST0JF{next(NUMBERS):06d}"


@dataclass(frozen=True, kw_only=True)
class Linked:
    """A car in the town and the maker that reaches it, with a link of its own."""

    maker: Maker
    car: Car
    client: TownClient
    clock: Clock

    async def commands_asked(self) -> list[str]:
        """The commands that the cloud got for this car, in order (readings and status looks left out)."""
        page = await self.client.ledger(vin=self.car.vin)
        looks = {"status", "doors", "engine-status", "location", "digitaltwin"}
        return [row.what for row in page.rows if row.kind == "request" and row.what not in looks]

    async def deeds_done(self, word: str) -> int:
        """How often the car physically did what a command asked, `word` being lock or unlock."""
        page = await self.client.ledger(vin=self.car.vin)
        names = {"lock": {"lock", "lock_trunk"}, "unlock": {"unlock", "unlock_trunk"}}[word]
        done = {"done", "already"}
        return sum(
            1 for row in page.rows if row.kind == "happening" and row.what in names and row.outcome in done
        )


async def link_car(kind: type[Maker], town: TownAt, client: TownClient, **papers: Any) -> Linked:
    """Add a car to the town and link it. `account_kind` chooses among the maker's kinds."""
    account_kind = papers.pop("account_kind", None)
    vin = new_vin()
    added = await client.add_car(kind.name, vin, is_older_account=account_kind == "classic", **papers)
    link = Link(
        name=kind.name, address=town.address, clock=town.clock, commands_a_minute=kind.commands_a_minute
    )
    told = {"access_token": added.token, "api_key": added.api_key}
    secrets = {field.name: told[field.name] for field in kind.form_fields}
    car = Car(maker=kind.name, vin=vin, secrets=secrets, account_kind=account_kind)
    return Linked(maker=kind(link), car=car, client=client, clock=town.clock)
