"""The running platform as a test meets it: real processes, phones over HTTP, and the rows behind them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from tests import invariants
from tests.conftest import drop_database
from tests.journeys.playing import Door, Play, Seen

from unlatch.clock import Clock
from unlatch.domain.access import Position
from unlatch.domain.incident import Incident, NextStep
from unlatch.domain.reading import Reading
from unlatch.domain.visit import Fact, State, Tail
from unlatch.errors import DatabaseDown, UnlatchError
from unlatch.store import readings
from unlatch.store.database import Database
from unlatch.store.embedded import Embedded
from unlatch.town.api import Visit
from unlatch.town.client import TownClient
from unlatch.town.desk import CarrierDesk, Consignee, Made, OperatorDesk
from unlatch.town.installation import Installation
from unlatch.town.phone import CourierPhone, position_of

HERE = Position(latitude=33.749, longitude=-84.388, accuracy_m=5)
NUMBERS = count(1)
PAPERS = {"make": "Chevrolet", "model": "Malibu", "model_year": 2018, "colour": "blue", "plate": "ABC 123"}


@contextmanager
def fresh_database(server: Embedded, template: str, name: str) -> Iterator[str]:
    """A migrated database for a whole module; how to reach it."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        of_template = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(of_template.format(sql.Identifier(name), sql.Identifier(template)))
        yield make_conninfo(server.dsn(), dbname=name)
        drop_database(connection, name)


def sscc(number: int) -> str:
    """A good SSCC with this serial number."""
    digits = f"0034012345{number:07d}"
    total = sum(int(digit) * (3 if at % 2 == 0 else 1) for at, digit in enumerate(reversed(digits)))
    return digits + str(-total % 10)


class PhoneDoor(Door):
    """A stop as its courier's phone, its consignee's app and an operator's console reach it."""

    def __init__(self, front: Front, *, vin: str, place_id: str, stop_id: str, label: str) -> None:
        self.front = front
        self.vin, self.place_id, self.stop_id, self.label = vin, place_id, stop_id, label
        self.town: TownClient = front.town
        self.clock: Clock = front.clock
        self.phone: CourierPhone
        self.consignee: Consignee
        self.visit_id = ""
        self._seen: Visit | None = None
        self._is_news = True
        self._following: asyncio.Task[None] | None = None

    async def scan(self) -> str:
        visit = await self.phone.scan_text(self.stop_id, f"(00){self.label}", HERE)
        self.visit_id, self._seen, self._is_news = visit.id, visit, True
        await self._leave_stream()
        self._following = asyncio.create_task(self._follow())
        return visit.id

    async def _follow(self) -> None:
        with contextlib.suppress(UnlatchError):
            async for _ in self.phone.follow(self.visit_id):
                self._is_news = True
        self._is_news = True

    async def say(self, fact: Fact) -> None:
        await words_of(self.phone)[fact](self.visit_id)
        self._is_news = True

    async def look(self) -> Seen:
        """Asked again only where the stream has told something."""
        if self._is_news or self._seen is None:
            self._is_news = False
            self._seen = await self.phone.my_visit(self.visit_id)
        return seen_of(self._seen, self.clock)

    async def block(self) -> None:
        await self.consignee.block(self.place_id)

    async def rule(self, fact: Fact) -> None:
        ruling = {Fact.RULED_DELIVERED: "delivered", Fact.RULED_UNDELIVERED: "undelivered"}[fact]
        await self.front.operator.rule(self.visit_id, ruling, "spoke with the courier")

    async def _leave_stream(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    async def close(self) -> None:
        await self._leave_stream()
        await self.phone.close()
        await self.consignee.close()

    async def check(self) -> list[invariants.Told]:
        """Every invariant of the visits at this place, once the last command has ended."""
        query = """
            SELECT count(*) FROM command JOIN visit ON visit.id = visit_id
            WHERE access_point_id = %s AND visit.ended_at IS NOT NULL AND tail IN ('none', 'over')
                AND command.ended_at IS NULL
        """
        async with asyncio.timeout(20), self.front.database.connection() as connection:
            while await (await connection.execute(query, (self.place_id,))).fetchone() != (0,):
                await asyncio.sleep(0.05)
        return await invariants.check_place(
            self.front.database,
            self.town,
            place_id=self.place_id,
            vin=self.vin,
            factor=self.clock.factor,
        )

    async def tell_reading(self) -> None:
        """The car was read a moment ago: the next scan is decided at once."""
        now = self.clock.now()
        reading = Reading(observed_at=now, is_locked=True, is_open=False, is_moving=False, position=HERE)
        async with self.front.database.connection() as connection:
            await readings.save_reading(connection, self.place_id, reading, now)

    async def where_parcel_is(self) -> str:
        """As the carrier is told."""
        (parcel,) = (await self.front.carrier.stop(self.stop_id)).parcels
        return parcel.place


def seen_of(visit: Visit, clock: Clock) -> Seen:
    """The API's words as ours."""
    return Seen(
        state=State(visit.state),
        next_step=NextStep(visit.next_step),
        incident=Incident(visit.incident) if visit.incident else None,
        tail=Tail(visit.tail),
        at=clock.now(),
    )


@dataclass(kw_only=True)
class Front:
    """One installation and those who speak to it."""

    installation: Installation
    carrier: CarrierDesk
    operator: OperatorDesk
    database: Database

    @property
    def town(self) -> TownClient:
        return self.installation.town

    @property
    def clock(self) -> Clock:
        return self.installation.clock

    async def equip_phone(self, name: str = "Bo") -> CourierPhone:
        """A new courier with an enrolled phone."""
        return await self.carrier.equip_courier(name)

    @asynccontextmanager
    async def open_door(
        self, maker: str, *, phone: CourierPhone | None = None, beside: PhoneDoor | None = None, **papers: Any
    ) -> AsyncIterator[PhoneDoor]:
        """A stop with a parcel at a parked car. `phone`: of this courier; `beside`: another stop at that car."""
        number = next(NUMBERS)
        if beside is None:
            consignee, place_id, vin = await self._park(maker, number, papers)
        else:
            consignee, place_id, vin = beside.consignee, beside.place_id, beside.vin
        phone = phone or await self.equip_phone()
        label = sscc(number)
        consignee_id = await self._consignee_of(place_id)
        shipment = await self.carrier.announce_shipment(consignee_id, f"order {number}", [label])
        now = self.clock.now()
        stop = await self.carrier.plan_stop(
            courier_id=phone.courier_id,
            access_point_id=place_id,
            shipment_id=shipment.id,
            window=(now - timedelta(hours=1), now + timedelta(hours=4)),
            fallback="to_door",
        )
        door = PhoneDoor(self, vin=vin, place_id=place_id, stop_id=stop.id, label=label)
        door.phone, door.consignee = phone, consignee
        try:
            yield door
        finally:
            await door.close()

    async def _park(self, maker: str, number: int, papers: dict[str, Any]) -> tuple[Consignee, str, str]:
        is_classic = maker == "classic"
        vin = f"1G1ZD5ST0JF{number:06d}"
        car = await self.town.add_car(
            "volvo" if maker == "volvo" else "onstar", vin, is_older_account=is_classic, **papers
        )
        made = await self.carrier.register_consignee("Ann Lee")
        kind = None if maker == "volvo" else ("classic" if is_classic else "newer")
        secrets = {"access_token": car.token} | ({"api_key": car.api_key} if car.api_key else {})
        body = {
            "consignee_id": made.id,
            "address": position_of(HERE),
            "time_zone": "America/New_York",
            "is_consent_given": True,
            "allows_unseen_lock": is_classic,
            "vehicle": {
                "maker": car.maker.value,
                "account_kind": kind,
                "vin": vin,
                "secrets": secrets,
                **PAPERS,
            },
        }
        place = await self.carrier.post("/v1/access_points", body, Made)
        return Consignee(self.carrier.base_url, made.key), place.id, vin

    async def _consignee_of(self, place_id: str) -> str:
        async with self.database.connection() as connection:
            cursor = await connection.execute(
                "SELECT consignee_id FROM access_point WHERE id = %s", (place_id,)
            )
            row = await cursor.fetchone()
        assert row is not None
        return str(row[0])

    @asynccontextmanager
    async def hold_place(self, place_id: str) -> AsyncIterator[None]:
        """Keep the place's row locked, as a scan or a block does for a moment."""
        async with self.database.transaction() as connection:
            query = "SELECT 1 FROM access_point WHERE id = %s FOR NO KEY UPDATE"
            await connection.execute(query, (place_id,))
            yield

    async def wait_for_lock(self) -> None:
        """Until someone waits for a row that is locked."""
        query = """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'
        """
        async with asyncio.timeout(20), self.database.connection() as connection:
            while await (await connection.execute(query)).fetchone() == (0,):
                await asyncio.sleep(0.01)

    async def wait_for_database(self) -> None:
        """Until it is back: connections of before are found broken at their first use."""
        async with asyncio.timeout(30):
            while True:
                try:
                    async with self.database.connection() as connection:
                        await connection.execute("SELECT 1")
                        return
                except DatabaseDown:
                    await asyncio.sleep(0.1)

    async def check_all(self, *, may_begin_anew: bool = False) -> None:
        """What must hold of the whole, once nothing is under way; and that no process has complained.

        `may_begin_anew`: something was killed or paused that workers lean on.
        """
        await invariants.check_everywhere(self.database)
        for log in sorted((self.installation.data_dir / "logs").iterdir()):
            for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
                is_wrong = "Traceback" in line or '"level": "error"' in line
                if is_wrong or ("begins anew" in line and not may_begin_anew):
                    raise AssertionError(f"{log.name}: {line[:2000]}")


@asynccontextmanager
async def open_front(
    data_dir: Path, database_url: str, *, is_database_own: bool = False, **how: Any
) -> AsyncIterator[Front]:
    """Start an installation, and those who speak to it. `is_database_own`: it keeps a PostgreSQL itself, there."""
    given = None if is_database_own else database_url
    async with Installation(data_dir=data_dir, database_url=given, **how) as installation:
        carrier_key = await installation.admit_carrier("Carrier")
        operator_key = await installation.admit_operator("Olga")
        database = Database(database_url, name="test")
        await database.open()
        url = installation.server_url
        try:
            async with CarrierDesk(url, carrier_key) as carrier, OperatorDesk(url, operator_key) as operator:
                yield Front(installation=installation, carrier=carrier, operator=operator, database=database)
        finally:
            await database.close()


def find_postmaster(folder: Path) -> int | None:
    """Its process; None while it is being started."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int((folder / "postgresql" / "data" / "postmaster.pid").read_text().split()[0])
    return None


def words_of(phone: CourierPhone) -> dict[Fact, Callable[[str], Awaitable[Visit]]]:
    """What a courier may say of a visit, each as their phone says it."""
    return {
        Fact.COURIER_OPENED: phone.opened,
        Fact.COURIER_DEPOSITED: phone.deposited,
        Fact.COURIER_CLOSED: phone.closed,
        Fact.COURIER_PULLED_HANDLE: phone.pulled_handle,
        Fact.COURIER_GAVE_UP: phone.could_not,
    }


async def play_through(door: PhoneDoor, **how: Any) -> Play:
    """An ordinary courier's visit, from the scan to the end of its tail."""
    play = Play(door=door, **how)
    await play.run()
    return play
