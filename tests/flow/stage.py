"""A stage for the flow: a real town, a real database, a worker in this process, and rows to play with."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from unlatch.devices.catalogue import Catalogue
from unlatch.domain.access import Position
from unlatch.domain.label import Symbol
from unlatch.domain.reading import Reading
from unlatch.domain.visit import Fact, State
from unlatch.flow.platform import Platform
from unlatch.flow.scan import ScanRequest, ScanResult, request_visit
from unlatch.flow.words import Word, record_word
from unlatch.flow.worker import work
from unlatch.settings import Settings
from unlatch.store import journal, readings, visits
from unlatch.store.database import Database
from unlatch.store.vault import Vault
from unlatch.store.visits import VisitRow
from unlatch.town.client import TownClient

FACTOR = 30.0
HERE = Position(latitude=33.749, longitude=-84.388, accuracy_m=5)
NUMBERS = count(1)


@dataclass(kw_only=True)
class Stop:
    """One stop with its car, courier and parcel."""

    stop_id: str
    courier_id: str
    device_id: str
    place_id: str
    vin: str
    label: str


@dataclass(kw_only=True)
class Stage:
    """What a test of the flow plays with."""

    platform: Platform
    town: TownClient
    town_url: str
    stops: list[Stop] = field(default_factory=list)

    async def add_stop(self, maker: str = "onstar", **papers: Any) -> Stop:
        """A parked car, its consignee's place, and a courier with one parcel for it."""
        number = next(NUMBERS)
        vin = f"1G1ZD5ST0JF{number:06d}"
        car = await self.town.add_car(maker, vin, **papers)
        now = self.platform.clock.now()
        place_id = f"acc_{number}"
        secrets = {"vin": vin, "access_token": car.token}
        if maker == "volvo":
            secrets["api_key"] = car.api_key
        kind = None
        if maker == "onstar":
            kind = "classic" if papers.get("is_older_account") else "newer"
        stop = Stop(
            stop_id=f"stp_{number}",
            courier_id=f"cou_{number}",
            device_id=f"dev_{number}",
            place_id=place_id,
            vin=vin,
            label=sscc(number),
        )
        values = {
            "n": str(number),
            "key": number.to_bytes(32),
            "now": now,
            "before": now - timedelta(hours=1),
            "after": now + timedelta(hours=3),
            "maker": maker,
            "kind": kind,
            "sealed": self.platform.vault.seal(secrets, place_id),
            "label_key": f"sscc:{stop.label}",
        }
        async with self.platform.database.transaction() as connection:
            for statement in _ROWS:
                await connection.execute(statement.rstrip(";").encode(), values)
        self.stops.append(stop)
        return stop

    async def scan(self, stop: Stop, *, position: Position | None = HERE) -> ScanResult:
        """The courier scans the parcel beside the car."""
        return await request_visit(
            self.platform,
            ScanRequest(
                stop_id=stop.stop_id,
                courier_id=stop.courier_id,
                device_id=stop.device_id,
                symbols=[Symbol(data=f"00{stop.label}", symbology_identifier="]C1")],
                position=position,
            ),
        )

    async def begin(self, stop: Stop) -> str:
        """Scan, and give the visit's id."""
        result = await self.scan(stop)
        assert result.row is not None, result
        return result.row.id

    async def say(self, stop: Stop, visit_id: str, fact: Fact) -> VisitRow:
        """The courier's word."""
        word = Word(fact=fact, visit_id=visit_id, courier_id=stop.courier_id)
        return await record_word(self.platform, word)

    async def get(self, visit_id: str) -> VisitRow:
        """The visit as it stands."""
        async with self.platform.database.connection() as connection:
            return await visits.get_visit(connection, visit_id)

    async def until(self, visit_id: str, is_so: Callable[[VisitRow], bool], real_s: float = 30) -> VisitRow:
        """Wait for a condition of the visit; fails with its journal if it does not come."""
        deadline = asyncio.get_running_loop().time() + real_s
        while not is_so(row := await self.get(visit_id)):
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"never came; the visit is {row.visit}\n{await self.story(visit_id)}")
            await asyncio.sleep(0.02)
        return row

    async def until_state(self, visit_id: str, *states: State, real_s: float = 30) -> VisitRow:
        """Wait for one of these states."""
        return await self.until(visit_id, lambda row: row.visit.state in states, real_s)

    async def story(self, visit_id: str) -> str:
        """The journal, for a person."""
        async with self.platform.database.connection() as connection:
            entries = await journal.list_entries(connection, visit_id)
        return "\n".join(
            f"{kept.entry.at:%H:%M:%S.%f} {kept.entry.name:22} {kept.entry.who:28} {kept.entry.body}"
            for kept in entries
        )

    async def see_locked(self, stop: Stop) -> None:
        """A fresh reading: it stands where the courier is, locked."""
        now = self.platform.clock.now()
        reading = Reading(observed_at=now, is_locked=True, is_open=False, is_moving=False, position=HERE)
        async with self.platform.database.connection() as connection:
            await readings.save_reading(connection, stop.place_id, reading, now)

    async def grant(self, maker: str = "onstar") -> tuple[Stop, str, str]:
        """A stop, its visit with a live grant, and the unlock that waits at the gate; where nobody works."""
        stop = await self.add_stop(maker)
        await self.see_locked(stop)
        visit_id = await self.begin(stop)
        async with self.platform.database.connection() as connection:
            cursor = await connection.execute("SELECT id FROM command WHERE visit_id = %s", (visit_id,))
            found = await cursor.fetchone()
        assert found is not None
        return stop, visit_id, found[0]

    async def deliver(self, stop: Stop) -> str:
        """All goes well: the visit's id."""
        visit_id = await self.begin(stop)
        await self.until_state(visit_id, State.READY, State.UNLOCKED)
        assert await self.town.can_open_trunk(stop.vin)
        await self.say(stop, visit_id, Fact.COURIER_OPENED)
        await self.say(stop, visit_id, Fact.COURIER_DEPOSITED)
        await self.town.close_trunk(stop.vin)
        await self.say(stop, visit_id, Fact.COURIER_CLOSED)
        return visit_id


def sscc(number: int) -> str:
    """A good SSCC with this serial number."""
    digits = f"0034012345{number:07d}"
    total = sum(int(digit) * (3 if at % 2 == 0 else 1) for at, digit in enumerate(reversed(digits)))
    return digits + str(-total % 10)


_ROWS = Path(__file__).with_name("stage.sql").read_text(encoding="utf-8").strip().split(";\n")


@asynccontextmanager
async def run_town(factor: float, anchor_at: datetime) -> AsyncIterator[str]:
    """A town in a process of its own; its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "unlatch.town",
        "--port=0",
        f"--time-factor={factor}",
        f"--time-anchor={anchor_at.isoformat()}",
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        assert line.startswith("town: "), line
        yield line.removeprefix("town: ").strip()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@asynccontextmanager
async def open_stage(
    database: Database, data_dir: Path, *, factor: float = FACTOR, has_worker: bool = True
) -> AsyncIterator[Stage]:
    """A stage with one worker at work in this process, or with none: then nothing happens by itself."""
    anchor_at = datetime.now(UTC)
    settings = Settings(data_dir=data_dir, time_factor=factor, time_anchor_at=anchor_at, take_over_s=2)
    async with run_town(factor, anchor_at) as url, TownClient(url) as town:
        makers = Catalogue(settings.clock(), {"onstar": url, "volvo": url}, allows_private_hubs=True)
        platform = Platform(
            settings=settings,
            clock=settings.clock(),
            database=database,
            vault=Vault(b"k" * 32),
            makers=makers,
            name="test-worker",
        )
        stop = asyncio.Event()
        working = asyncio.create_task(work(platform, stop)) if has_worker else None
        try:
            yield Stage(platform=platform, town=town, town_url=url)
        finally:
            stop.set()
            if working is not None:
                await working
            await makers.close()
