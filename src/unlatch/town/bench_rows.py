"""What the bench delivers: cars in the town, and couriers, places and stops in the database.

Rows are written by SQL and not through the API: thousands of registrations would take longer than what is to
be measured. Each visit has a car, an account, a place, a stop and a parcel of its own, so that no limit per
account binds and no tail of an earlier visit stands in the way. Couriers and their phones are used again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from unlatch.town.car import Maker
from unlatch.town.client import TownClient
from unlatch.town.control import AddedCar, NewCar
from unlatch.town.load import Errand, Phone

Seal = Callable[[Mapping[str, str], str], bytes]  # the secrets of a car, for the row of that id

LATITUDE, LONGITUDE = 33.749, -84.388
COURIERS = 400
CARS_AT_ONCE = 200
CARRIER = "car_bench"
LATENCY_S = 1.0  # town seconds from a command to its act: short, since the cars are not what is measured


def number_text(number: int) -> str:
    """Nine digits, so that the limit's script can put other numbers in their place."""
    return f"{100_000_000 + number}"


def consignee_key(text: str) -> str:
    """Of whoever gets the errand of that number."""
    return f"unlatch_consignee_{text}"


def sscc(number: int) -> str:
    """A good SSCC with this serial number."""
    digits = f"0034012345{number:07d}"
    total = sum(int(digit) * (3 if at % 2 == 0 else 1) for at, digit in enumerate(reversed(digits)))
    return digits + str(-total % 10)


@dataclass(kw_only=True)
class Registry:
    """Registers what is to be delivered, some thousands at a time."""

    connection: AsyncConnection
    town: TownClient
    seal: Seal
    now: Callable[[], datetime]
    phones: list[Phone] = field(default_factory=list)
    registered: int = COURIERS  # numbers below are those of couriers

    async def open(self) -> None:
        """One carrier, its couriers and their phones."""
        now = self.now()
        self.phones = [Phone(f"unlatch_phone_{number:064x}") for number in range(COURIERS)]
        await self._copy(
            "carrier", "id, name, key_hash, created_at", [(CARRIER, "Bench", _hash(CARRIER), now)]
        )
        for one, phone in enumerate(self.phones):
            await self._add_couriers([number_text(one)], [_hash(phone.token)], phone.thumbprint)

    async def add_alone(self, maker: Maker) -> Errand:
        """One errand whose courier has no other: to be logged, and to be repeated with other numbers."""
        number = self.registered
        text = number_text(number)
        phone = Phone(f"unlatch_phone_{number:064x}")
        await self._add_couriers([text], [_hash(phone.token)], phone.thumbprint)
        self.registered += 1
        cars = await self.town.add_cars([self._car(maker, self._vin(number))])
        await self._add_rows([number], [maker], [cars[0]], [f"cou_{text}"], [f"sscc:{sscc(number)}"])
        return self._errand(number, phone)

    async def add_repeats(self, count: int, like: Sequence[Errand]) -> int:
        """Rows alone, for the limit: errands that differ from those in their numbers. The first number's text."""
        first = self.registered
        self.registered += count
        numbers = range(first, first + count)
        texts = [number_text(number) for number in numbers]
        tokens = [_hash(one.phone.token).hex()[:-9] for one in like]
        await self._add_couriers(texts, [], "")
        for at, token in enumerate(tokens):
            hashes = [bytes.fromhex(token + text) for text in texts]
            await self._add_devices(texts, hashes, like[at].phone.thumbprint, kind=f"dev{at or ''}")
        await self._add_rows(
            list(numbers),
            [Maker.ONSTAR] * count,
            [None] * count,
            [f"cou_{text}" for text in texts],
            [f"sscc:{sscc(like[0].number)}{text}" for text in texts],
        )
        for at, one in enumerate(like[1:], start=1):
            await self._add_parcels(texts, f"pa{at}", [f"sscc:{sscc(one.number)}{text}" for text in texts])
        return 100_000_000 + first

    async def add(self, count: int) -> list[Errand]:
        """So many new errands, the makers in turn."""
        numbers = range(self.registered, self.registered + count)
        self.registered += count
        makers = [(Maker.ONSTAR, Maker.VOLVO)[number % 2] for number in numbers]
        cars: list[AddedCar | None] = []
        for start in range(0, count, CARS_AT_ONCE):
            several = slice(start, start + CARS_AT_ONCE)
            new = [
                self._car(maker, self._vin(number))
                for maker, number in zip(makers[several], numbers[several], strict=True)
            ]
            cars += await self.town.add_cars(new)
        couriers = [f"cou_{number_text(number % COURIERS)}" for number in numbers]
        labels = [f"sscc:{sscc(number)}" for number in numbers]
        await self._add_rows(list(numbers), makers, cars, couriers, labels)
        return [self._errand(number, self.phones[number % COURIERS]) for number in numbers]

    @staticmethod
    def _vin(number: int) -> str:
        return f"1G1ZD5ST0JF{number:06d}"

    @staticmethod
    def _car(maker: Maker, vin: str) -> NewCar:
        return NewCar(maker=maker, vin=vin, latitude=LATITUDE, longitude=LONGITUDE, latency_s=LATENCY_S)

    def _errand(self, number: int, phone: Phone) -> Errand:
        return Errand(
            number=number,
            stop_id=f"stp_{number_text(number)}",
            vin=self._vin(number),
            label=sscc(number),
            phone=phone,
        )

    async def _add_rows(
        self,
        numbers: Sequence[int],
        makers: Sequence[Maker],
        cars: Sequence[AddedCar | None],
        couriers: Sequence[str],
        labels: Sequence[str],
    ) -> None:
        now = self.now()
        window = (now - timedelta(hours=1), now + timedelta(hours=24))
        texts = [number_text(number) for number in numbers]
        await self._copy(
            "consignee",
            "id, carrier_id, name, language, key_hash, created_at",
            [(f"con_{text}", CARRIER, "Ann Lee", "en", _hash(consignee_key(text)), now) for text in texts],
        )
        await self._copy(
            "access_point",
            "id, carrier_id, consignee_id, kind, latitude, longitude, range_m, time_zone, allows_unseen_lock, "
            "is_consent_given, created_at",
            [
                (f"acc_{text}", CARRIER, f"con_{text}", "car", LATITUDE, LONGITUDE, 200.0, "America/New_York",
                 False, True, now)
                for text in texts
            ],
        )  # fmt: skip
        vehicles = []
        for number, text, maker, car in zip(numbers, texts, makers, cars, strict=True):
            secrets = {"vin": self._vin(number), "access_token": car.token if car else ""}
            if maker is Maker.VOLVO:
                secrets["api_key"] = car.api_key if car else ""
            sealed = self.seal(secrets, f"acc_{text}")
            kind = "newer" if maker is Maker.ONSTAR else None
            vehicles.append((f"acc_{text}", maker.value, kind, sealed, "Make", "Model", "blue", "ABC 123"))
        await self._copy(
            "vehicle", "access_point_id, maker, account_kind, sealed, make, model, colour, plate", vehicles
        )
        await self._copy(
            "shipment",
            "id, carrier_id, consignee_id, reference, created_at",
            [(f"shp_{text}", CARRIER, f"con_{text}", "bench", now) for text in texts],
        )
        await self._copy(
            "stop",
            "id, carrier_id, courier_id, access_point_id, shipment_id, window_from, window_until, fallback, "
            "state, created_at",
            [
                (
                    f"stp_{text}",
                    CARRIER,
                    courier,
                    f"acc_{text}",
                    f"shp_{text}",
                    *window,
                    "to_door",
                    "open",
                    now,
                )
                for text, courier in zip(texts, couriers, strict=True)
            ],
        )
        await self._add_parcels(texts, "par", labels)

    async def _add_parcels(self, texts: Sequence[str], kind: str, labels: Sequence[str]) -> None:
        now = self.now()
        await self._copy(
            "parcel",
            "id, carrier_id, shipment_id, stop_id, label_key, place, created_at",
            [
                (f"{kind}_{text}", CARRIER, f"shp_{text}", f"stp_{text}", label, "with_courier", now)
                for text, label in zip(texts, labels, strict=True)
            ],
        )

    async def _add_couriers(self, texts: Sequence[str], hashes: Sequence[bytes], thumbprint: str) -> None:
        now = self.now()
        await self._copy(
            "courier",
            "id, carrier_id, first_name, created_at",
            [(f"cou_{text}", CARRIER, "Bo", now) for text in texts],
        )
        if hashes:
            await self._add_devices(texts, hashes, thumbprint)

    async def _add_devices(
        self, texts: Sequence[str], hashes: Sequence[bytes], thumbprint: str, *, kind: str = "dev"
    ) -> None:
        now = self.now()
        await self._copy(
            "device",
            "id, courier_id, thumbprint, token_hash, created_at, enrolled_at",
            [
                (f"{kind}_{text}", f"cou_{text}", thumbprint, token_hash, now, now)
                for text, token_hash in zip(texts, hashes, strict=True)
            ],
        )

    async def _copy(self, table: str, columns: str, rows: Sequence[tuple[Any, ...]]) -> None:
        async with self.connection.cursor() as cursor:
            query = f"COPY {table} ({columns}) FROM STDIN"
            async with cursor.copy(query.encode()) as copy:
                for row in rows:
                    await copy.write_row(row)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
