"""A server without a socket, on a real PostgreSQL, and those who ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.web.phone import Phone

from unlatch.clock import Clock
from unlatch.devices.catalogue import Catalogue
from unlatch.flow.enrolment import admit_carrier, admit_operator
from unlatch.flow.platform import Platform
from unlatch.settings import Settings
from unlatch.store.database import Database
from unlatch.store.vault import Vault
from unlatch.web.app import create_app

PUBLIC_URL = "http://unlatch.test"
VIN = "1G1FY6S00N4100001"
PLATE = "BXK7J42"
CAR_TOKEN = "car-token-0042"
ADDRESS = {"latitude": 47.6205, "longitude": -122.3493}
PARCEL = "340123450000000017"


def make_platform(database: Database, public_url: str = PUBLIC_URL) -> Platform:
    clock = Clock()
    return Platform(
        settings=Settings(data_dir=Path("/nowhere"), public_url=public_url, secret_key=b"k" * 32),
        clock=clock,
        database=database,
        vault=Vault(b"k" * 32),
        makers=Catalogue(clock, {"onstar": "http://127.0.0.1:9", "volvo": "http://127.0.0.1:9"}),
    )


@pytest.fixture
async def platform(database: Database) -> AsyncIterator[Platform]:
    platform = make_platform(database)
    yield platform
    await platform.makers.close()


@pytest.fixture
async def http(platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    """Asks the application directly, as nobody in particular."""
    transport = httpx.ASGITransport(app=create_app(platform), raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as client:
        yield client


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One who asks, with what they sign in with."""

    http: httpx.AsyncClient
    key: str = ""
    phone: Phone | None = None
    token: str = ""
    id: str = ""

    def headers(self, method: str, path: str) -> dict[str, str]:
        if self.phone is None:
            return {"Authorization": f"Bearer {self.key}"} if self.key else {}
        address = str(self.http.base_url).rstrip("/") + path.partition("?")[0]
        if not self.token:
            return {"DPoP": self.phone.proof(method, address)}
        return {
            "Authorization": f"DPoP {self.token}",
            "DPoP": self.phone.proof(method, address, self.token),
        }

    async def get(self, path: str, **more: Any) -> httpx.Response:
        headers = {**self.headers("GET", path), **more.pop("headers", {})}
        return await self.http.get(path, headers=headers, **more)

    async def delete(self, path: str) -> httpx.Response:
        return await self.http.delete(path, headers=self.headers("DELETE", path))

    async def post(
        self, path: str, body: Any = None, *, key: str | None = None, **headers: str
    ) -> httpx.Response:
        sent = {**self.headers("POST", path), "Idempotency-Key": key or str(uuid4()), **headers}
        if body is None:
            return await self.http.post(path, headers=sent)
        return await self.http.post(path, headers=sent, json=body)

    async def make(self, path: str, body: Any = None) -> dict[str, Any]:
        answer = await self.post(path, body)
        assert answer.status_code in (200, 201), answer.text
        made: dict[str, Any] = answer.json()
        return made


def new_access_point(consignee_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "consignee_id": consignee_id,
        "address": ADDRESS,
        "time_zone": "America/Los_Angeles",
        "is_consent_given": True,
        "vehicle": {
            "maker": "onstar",
            "account_kind": "newer",
            "vin": VIN,
            "secrets": {"access_token": CAR_TOKEN},
            "make": "Chevrolet",
            "model": "Bolt",
            "model_year": 2022,
            "colour": "blue",
            "plate": PLATE,
        },
        **changes,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A carrier with one of everything, ready to deliver."""

    carrier: Caller
    consignee: Caller
    courier: Caller
    access_point_id: str
    shipment_id: str
    stop_id: str
    device_id: str


async def enrol(http: httpx.AsyncClient, carrier: Caller, courier_id: str) -> tuple[Caller, str]:
    phone = Phone()
    invited = await carrier.make(f"/v1/couriers/{courier_id}/devices")
    enrolled = await Caller(http=http, phone=phone).make("/v1/devices/enrol", {"code": invited["code"]})
    caller = Caller(http=http, phone=phone, token=enrolled["token"], id=courier_id)
    return caller, enrolled["device_id"]


async def make_tenant(
    platform: Platform, http: httpx.AsyncClient, name: str = "Parcel Post", vin: str = VIN
) -> Tenant:
    admitted = await admit_carrier(platform, name)
    carrier = Caller(http=http, key=admitted.key, id=admitted.id)
    consignee = await carrier.make("/v1/consignees", {"name": "Ada Consignee", "language": "en"})
    given = new_access_point(consignee["id"])
    given["vehicle"]["vin"] = vin
    point = await carrier.make("/v1/access_points", given)
    courier = await carrier.make("/v1/couriers", {"first_name": "Cleo"})
    caller, device_id = await enrol(http, carrier, courier["id"])
    shipment = await carrier.make(
        "/v1/shipments",
        {
            "consignee_id": consignee["id"],
            "reference": "order 7",
            "parcels": [{"label": {"text": f"(00){PARCEL}"}}],
        },
    )
    now = platform.clock.now()
    stop = await carrier.make(
        "/v1/stops",
        {
            "courier_id": courier["id"],
            "access_point_id": point["id"],
            "shipment_id": shipment["id"],
            "window_from": (now - timedelta(hours=1)).isoformat(),
            "window_until": (now + timedelta(hours=3)).isoformat(),
            "fallback": "neighbour",
        },
    )
    return Tenant(
        carrier=carrier,
        consignee=Caller(http=http, key=consignee["key"], id=consignee["id"]),
        courier=caller,
        access_point_id=point["id"],
        shipment_id=shipment["id"],
        stop_id=stop["id"],
        device_id=device_id,
    )


@pytest.fixture
async def tenant(platform: Platform, http: httpx.AsyncClient) -> Tenant:
    return await make_tenant(platform, http)


@pytest.fixture
async def operator(platform: Platform, http: httpx.AsyncClient) -> Caller:
    admitted = await admit_operator(platform, "Olga")
    return Caller(http=http, key=admitted.key, id=admitted.id)
