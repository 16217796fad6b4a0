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
from unlatch.devices.hubs import CEILINGS
from unlatch.devices.link import Link
from unlatch.town.app import create_server, create_town, listen
from unlatch.town.car import Maker as TownMaker
from unlatch.town.client import TownClient
from unlatch.town.faults import FaultKind
from unlatch.town.home import HomeDeed
from unlatch.town.ledger import LedgerRow

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
    return kind.name in set(TownMaker) or kind.has_own_hub


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

    @property
    def row_name(self) -> str:
        """By what the town's ledger calls it."""
        return self.car.vin

    async def set_fault(self, kind: FaultKind, **how: Any) -> None:
        await self.client.set_fault(self.car.vin, kind, **how)

    async def can_open(self) -> bool:
        """Pull at it; True if it is open now."""
        return await self.client.can_open_trunk(self.car.vin)

    async def close(self) -> None:
        await self.client.close_trunk(self.car.vin)

    async def free_by_hand(self) -> None:
        await self.client.unlock_with_key(self.car.vin)

    async def is_secured(self) -> bool:
        """Physically closed and locked."""
        return (await self.client.state(self.car.vin)).is_secured

    async def rows(self) -> list[LedgerRow]:
        return (await self.client.ledger(vin=self.row_name)).rows

    async def commands_asked(self) -> list[str]:
        """The commands that the cloud got, in order (readings and status looks left out)."""
        looks = {"status", "doors", "engine-status", "location", "digitaltwin", "states", "auth"}
        return [row.what for row in await self.rows() if row.kind == "request" and row.what not in looks]

    async def deeds_done(self, word: str) -> int:
        """How often it physically did what a command asked, `word` being lock or unlock."""
        names = {
            "lock": {"lock", "lock_trunk", "close_cover"},
            "unlock": {"unlock", "unlock_trunk", "unlatch", "open_cover"},
        }[word]
        done = {"done", "already"}
        rows = await self.rows()
        return sum(1 for row in rows if row.kind == "happening" and row.what in names and row.outcome in done)


@dataclass(frozen=True, kw_only=True)
class LinkedHome(Linked):
    """A home in the town and the maker that reaches it through its hub."""

    home_id: str

    @property
    def row_name(self) -> str:
        return self.home_id

    async def set_fault(self, kind: FaultKind, **how: Any) -> None:
        await self.client.set_home_fault(self.home_id, kind, **how)

    async def can_open(self) -> bool:
        await self.client.do_at_home(self.home_id, HomeDeed.OPEN_DOOR)
        return (await self.client.home(self.home_id)).is_open

    async def close(self) -> None:
        await self.client.do_at_home(self.home_id, HomeDeed.CLOSE_DOOR)

    async def free_by_hand(self) -> None:
        await self.client.do_at_home(self.home_id, HomeDeed.KEY_UNLOCK)

    async def is_secured(self) -> bool:
        return (await self.client.home(self.home_id)).is_secured


async def link_car(kind: type[Maker], town: TownAt, client: TownClient, /, **papers: Any) -> Linked:
    """Add a car to the town and link it. `account_kind` chooses among the maker's kinds."""
    account_kind = papers.pop("account_kind", None)
    if kind.has_own_hub:
        return await link_home(kind, town, client, **papers)
    vin = new_vin()
    added = await client.add_car(kind.name, vin, is_older_account=account_kind == "classic", **papers)
    link = Link(
        name=kind.name, address=town.address, clock=town.clock, commands_a_minute=kind.commands_a_minute
    )
    told = {"access_token": added.token, "api_key": added.api_key}
    secrets = {field.name: told[field.name] for field in kind.form_fields}
    car = Car(maker=kind.name, vin=vin, secrets=secrets, account_kind=account_kind)
    return Linked(maker=kind(link), car=car, client=client, clock=town.clock)


async def link_home(
    kind: type[Maker], town: TownAt, client: TownClient, /, *, opening: str = "bolt", **papers: Any
) -> LinkedHome:
    """Add a home to the town and link its door."""
    home_id = f"home-{next(NUMBERS)}"
    added = await client.add_home(home_id, **papers)
    address = f"{town.address}{added.path}"
    secrets = {"address": address, "access_token": added.token, "opening": opening}
    sensors = {"contact": added.contact, "second_bolt": added.second_bolt}
    sensors |= {"alarm": added.alarm, "pet": added.pet, "bell": added.bell}
    secrets |= {name: entity for name, entity in sensors.items() if entity is not None}
    link = Link(name=kind.name, address=address, clock=town.clock, ceilings=CEILINGS)
    car = Car(maker=kind.name, vin=added.entity, secrets=secrets)
    return LinkedHome(maker=kind(link), car=car, client=client, clock=town.clock, home_id=home_id)
