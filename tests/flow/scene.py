"""Bookings to play with on a real database, without a town: the facts of the door are told by the test itself."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from psycopg.rows import dict_row
from tests.web.conftest import make_platform

from unlatch.domain.access import Fallback, Position
from unlatch.domain.booking import Part, Stage, StopState
from unlatch.domain.incident import Incident
from unlatch.domain.label import Symbol
from unlatch.domain.reading import Reading
from unlatch.domain.visit import Fact, State
from unlatch.flow import fallback, rebooking
from unlatch.flow.fallback import FallbackGiven
from unlatch.flow.platform import Platform
from unlatch.flow.record import Happening, record
from unlatch.flow.scan import ScanRequest, request_visit
from unlatch.flow.wishes import Wisher, lock_booking
from unlatch.store import readings, stops, visits
from unlatch.store.database import Database
from unlatch.store.stops import StopRow
from unlatch.store.visits import VisitRow

HERE = Position(latitude=33.749, longitude=-84.388, accuracy_m=5)
OPENED = (Fact.GATE_PASSED, Fact.UNLOCK_SAID_DONE, Fact.SEEN_OPEN)
DELIVERED = (*OPENED, Fact.COURIER_DEPOSITED, Fact.SEEN_CLOSED, Fact.COURIER_CLOSED, Fact.SEEN_LOCKED)
NUMBERS = count(1)
_ROWS = Path(__file__).with_name("stage.sql").read_text(encoding="utf-8").strip().split(";\n")
_MORE = Path(__file__).with_name("scene.sql").read_text(encoding="utf-8").strip().split(";\n")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One booking and everyone around it."""

    platform: Platform
    n: int
    label: str
    more_labels: list[str] = field(default_factory=list)

    @property
    def stop_id(self) -> str:
        return f"stp_{self.n}"

    @property
    def place_id(self) -> str:
        return f"acc_{self.n}"

    @property
    def other_place_id(self) -> str:
        return f"acb_{self.n}"

    @property
    def courier_id(self) -> str:
        return f"cou_{self.n}"

    @property
    def other_courier_id(self) -> str:
        return f"cob_{self.n}"

    @property
    def carrier(self) -> Wisher:
        return Wisher(part=Part.CARRIER, id=f"car_{self.n}")

    @property
    def consignee(self) -> Wisher:
        return Wisher(part=Part.CONSIGNEE, id=f"con_{self.n}")

    @property
    def member(self) -> Wisher:
        return Wisher(part=Part.CONSIGNEE, id=f"com_{self.n}")

    @property
    def stranger(self) -> Wisher:
        return Wisher(part=Part.CONSIGNEE, id=f"cos_{self.n}")

    @property
    def courier(self) -> Wisher:
        return Wisher(part=Part.COURIER, id=self.courier_id)

    @property
    def operator(self) -> Wisher:
        return Wisher(part=Part.OPERATOR, id="ope_1")

    @property
    def database(self) -> Database:
        return self.platform.database

    @property
    def now(self) -> datetime:
        return self.platform.clock.now()

    async def ask(self, query: str, *values: Any) -> list[dict[str, Any]]:
        async with (
            self.database.connection() as connection,
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            await cursor.execute(query.encode(), values)
            return await cursor.fetchall() if cursor.description else []

    async def stop(self) -> StopRow:
        async with self.database.connection() as connection:
            row = await stops.find_stop(connection, self.stop_id)
        assert row is not None
        return replace(row, state=StopState(row.state))

    async def stage(self) -> Stage:
        async with self.database.transaction() as connection:
            return (await lock_booking(connection, self.stop_id, self.operator)).stage

    async def set_stop(self, **values: Any) -> None:
        names = ", ".join(f"{name} = %s" for name in values)
        await self.ask(f"UPDATE stop SET {names} WHERE id = %s", *values.values(), self.stop_id)

    async def scan(
        self, label: str | None = None, courier_id: str | None = None, position: Position = HERE
    ) -> VisitRow:
        """The courier scans beside the car, which says: closed and locked, just now."""
        now = self.now
        reading = Reading(observed_at=now, is_locked=True, is_open=False, is_moving=False, position=HERE)
        stop = await self.stop()
        async with self.database.connection() as connection:
            await readings.save_reading(connection, stop.access_point_id, reading, now)
        result = await request_visit(
            self.platform,
            ScanRequest(
                stop_id=self.stop_id,
                courier_id=courier_id or self.courier_id,
                device_id=f"dev_{self.n}",
                symbols=[Symbol(data=f"00{label or self.label}", symbology_identifier="]C1")],
                position=position,
            ),
        )
        assert result.row is not None, result
        return result.row

    async def begin(self) -> VisitRow:
        """A visit with a live grant, its unlock before the gate."""
        row = await self.scan()
        assert row.visit.state is State.GRANTED, row
        return row

    async def tell(self, visit_id: str, *facts: Fact) -> VisitRow:
        row = None
        for fact in facts:
            row = await record(self.platform, visit_id, Happening(fact=fact, who="test"))
        assert row is not None
        return row

    async def get_visit(self, visit_id: str) -> VisitRow:
        async with self.database.connection() as connection:
            return await visits.get_visit(connection, visit_id)

    async def unlock_id(self, visit_id: str) -> str:
        rows = await self.ask("SELECT id FROM command WHERE visit_id = %s AND verb = 'unlock'", visit_id)
        found: str = rows[0]["id"]
        return found

    async def bring_to(self, stage: Stage) -> str | None:
        """Bring a planned booking to this stage; the visit that lives, if one does."""
        visit_id = None
        if stage is Stage.BOOKED:
            await self.set_stop(courier_id=None)
            await self.ask(
                "UPDATE parcel SET place = 'with_carrier', held_by = NULL WHERE stop_id = %s", self.stop_id
            )
        elif stage is Stage.UNDER_WAY:
            await self.set_stop(heading_at=self.now)
        elif stage is Stage.RULED_OUT:
            await self.set_stop(ruled_out=Incident.CONSIGNEE_CAR_OUT_OF_RANGE, ruled_out_at=self.now)
        elif stage in (Stage.BEFORE_GATE, Stage.OPEN_NOW, Stage.DELIVERED, Stage.FALLBACK_DUE):
            visit_id = (await self.begin()).id
            if stage is Stage.OPEN_NOW:
                await self.tell(visit_id, *OPENED)
            elif stage is Stage.DELIVERED:
                await self.tell(visit_id, *DELIVERED)
            elif stage is Stage.FALLBACK_DUE:
                await self.tell(visit_id, Fact.COURIER_GAVE_UP)
        elif stage is Stage.REDIRECTED:
            async with self.database.transaction() as connection:
                await rebooking.redirect(
                    self.platform, connection, self.stop_id, self.consignee, fallback=Fallback.NEIGHBOUR
                )
        elif stage is Stage.FALLBACK_DONE:
            async with self.database.transaction() as connection:
                given = FallbackGiven(done=Fallback.DEPOT)
                await fallback.take_fallback(self.platform, connection, self.stop_id, self.courier, given)
        elif stage is Stage.CANCELLED:
            async with self.database.transaction() as connection:
                await rebooking.cancel(self.platform, connection, self.stop_id, self.carrier)
        assert await self.stage() is stage
        return visit_id if stage in (Stage.BEFORE_GATE, Stage.OPEN_NOW) else None

    async def snapshot(self) -> dict[str, Any]:
        """All rows of this scene that a wish may change."""
        at_places = "access_point_id = ANY(%s)"
        of_visits = f"visit_id IN (SELECT id FROM visit WHERE {at_places})"
        tables = {
            "stop": at_places,
            "deed": at_places,
            "notice": at_places,
            "visit": at_places,
            "access_point": "id = ANY(%s)",
            "parcel": f"stop_id IN (SELECT id FROM stop WHERE {at_places})",
            "fallback_end": f"stop_id IN (SELECT id FROM stop WHERE {at_places})",
            "command": of_visits,
            "journal": of_visits,
        }
        places = [self.place_id, self.other_place_id]
        return {
            table: await self.ask(f"SELECT * FROM {table} WHERE {where} ORDER BY 1, 2", places)
            for table, where in tables.items()
        }


def sscc(number: int) -> str:
    """A good SSCC with this serial number."""
    digits = f"0034012345{number:07d}"
    total = sum(int(digit) * (3 if at % 2 == 0 else 1) for at, digit in enumerate(reversed(digits)))
    return digits + str(-total % 10)


def noon_zone(now: datetime) -> str:
    """A time zone in which it is about noon: no test depends on the hour at which it runs."""
    ahead = 12 - now.hour
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"


async def open_scene(database: Database, *, parcels: int = 1) -> Scene:
    """A planned booking: its window began an hour ago and lasts for three more. Close `platform.makers` afterwards."""
    platform = make_platform(database)
    n = next(NUMBERS)
    now = platform.clock.now()
    secrets = {"vin": f"1G1ZD5ST0JF{n:06d}", "access_token": "car-token"}
    label = sscc(n)
    values = {
        "n": str(n),
        "key": n.to_bytes(32),
        "key_m": (n + 1_000_000).to_bytes(32),
        "key_s": (n + 2_000_000).to_bytes(32),
        "now": now,
        "before": now - timedelta(hours=1),
        "after": now + timedelta(hours=3),
        "maker": "onstar",
        "kind": "newer",
        "sealed": platform.vault.seal(secrets, f"acc_{n}"),
        "sealed_b": platform.vault.seal({**secrets, "vin": f"1G1ZD5ST0JG{n:06d}"}, f"acb_{n}"),
        "label_key": f"sscc:{label}",
        "zone": noon_zone(now),
    }
    async with database.transaction() as connection:
        for statement in (*_ROWS, *_MORE):
            await connection.execute(statement.rstrip(";").encode(), values)
        labels = []
        for number in range(1, parcels):
            more = sscc(500_000 + n * 100 + number)
            labels.append(more)
            await connection.execute(
                "INSERT INTO parcel (id, carrier_id, shipment_id, stop_id, label_key, place, held_by, created_at) "
                "SELECT id || '_' || %s::text, carrier_id, shipment_id, stop_id, %s, place, held_by, created_at "
                "FROM parcel WHERE id = %s",
                (str(number), f"sscc:{more}", f"par_{n}"),
            )
    return Scene(platform=platform, n=n, label=label, more_labels=labels)
