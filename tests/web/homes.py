"""Homes for tests of the API: registered as a carrier does, with a camera that is said to see the door."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from tests.web.conftest import ADDRESS, Tenant

from unlatch.domain.reading import Reading
from unlatch.flow.platform import Platform
from unlatch.store import cameras, readings
from unlatch.store.cameras import Said

HUB = "https://8.8.8.8:8123"  # a public address, so that no name server is asked; nobody goes there
HUB_TOKEN = "hub-token-0042"
CAMERA = {
    "maker": "rtsp",
    "name": "Hall",
    "address": "rtsp://8.8.4.4:554/Stream?channel=1",
    "secrets": {"user": "ann", "password": "camera-password"},
}


def new_home(consignee_id: str, home: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A home to register."""
    return {
        "consignee_id": consignee_id,
        "kind": "home",
        "address": ADDRESS,
        "time_zone": "America/Los_Angeles",
        "is_consent_given": True,
        "home": {
            "maker": "home_assistant",
            "entity": "lock.front_door",
            "secrets": {"address": HUB, "access_token": HUB_TOKEN, "contact": "binary_sensor.front_door"},
            "directions": "The green door\nbehind the fountain",
            "cameras": [CAMERA],
            **(home or {}),
        },
        **changes,
    }


async def add_home(tenant: Tenant, **changes: Any) -> dict[str, Any]:
    return await tenant.carrier.make("/v1/access_points", new_home(tenant.consignee.id, **changes))


NUMBERS = count(1)


async def enrol_quickly(platform: Platform, camera_id: str) -> None:
    """A camera as enrolment leaves it: it shows a clock, and the door is seen."""
    now = platform.clock.now()
    async with platform.database.connection() as connection:
        await cameras.set_enrolment(
            connection,
            camera_id,
            methods=["clock"],
            sees_door=True,
            clock=None,
            enrolled_at=now,
            check_by=now + timedelta(days=31),
        )


async def hear(platform: Platform, camera_id: str, *, state: str = "armed", verdict: str = "live") -> None:
    """A recorder (that there is none of) says how the camera stands."""
    real_now = datetime.now(UTC)
    async with platform.database.connection() as connection:
        await cameras.save_recorder(
            connection, "rec_test", socket="/nowhere", room=32, alive_until_real=real_now + timedelta(hours=1)
        )
        await connection.execute("UPDATE camera SET recorder_id = 'rec_test' WHERE id = %s", (camera_id,))
        said = Said(
            camera_id=camera_id,
            state=state,
            verdict=verdict,
            code=None,
            heard_at_real=real_now,
            lease_until_real=None,
        )
        await cameras.say(connection, "rec_test", [said])


async def witness(platform: Platform, place_id: str) -> str:
    """The first camera of a home, enrolled and heard just now; its id."""
    async with platform.database.connection() as connection:
        row = (await cameras.list_cameras(connection, place_id))[0]
    await enrol_quickly(platform, row.id)
    await hear(platform, row.id)
    return row.id


async def read_door(platform: Platform, place_id: str, **changes: Any) -> None:
    """What the hub says of the door: closed and locked, a moment ago."""
    now = platform.clock.now()
    reading = Reading(**{"observed_at": now, "is_locked": True, "is_open": False, **changes})
    async with platform.database.connection() as connection:
        await readings.save_reading(connection, place_id, reading, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeStop:
    """One stop at a home, with a parcel of its own."""

    tenant: Tenant
    place_id: str
    stop_id: str
    parcel: str

    async def scan(self, platform: Platform, **told: Any) -> dict[str, Any]:
        """The courier scans at the door, which says: closed and locked, a moment ago; or as `told`."""
        await read_door(platform, self.place_id, **told)
        return await self.tenant.courier.make(
            f"/v1/courier/stops/{self.stop_id}/scan",
            {"label": {"text": f"(00){self.parcel}"}, "position": {**ADDRESS, "accuracy_m": 8}},
        )


def sscc(number: int) -> str:
    """A good SSCC with this serial number."""
    digits = f"0034012399{number:07d}"
    total = sum(int(digit) * (3 if at % 2 == 0 else 1) for at, digit in enumerate(reversed(digits)))
    return digits + str(-total % 10)


async def add_home_stop(platform: Platform, tenant: Tenant, place_id: str) -> HomeStop:
    """A stop at a home for the tenant's courier, whose window has begun."""
    parcel, now = sscc(next(NUMBERS)), platform.clock.now()
    shipment = await tenant.carrier.make(
        "/v1/shipments",
        {
            "consignee_id": tenant.consignee.id,
            "reference": "for the home",
            "parcels": [{"label": {"text": f"(00){parcel}"}}],
        },
    )
    stop = await tenant.carrier.make(
        "/v1/stops",
        {
            "courier_id": tenant.courier.id,
            "access_point_id": place_id,
            "shipment_id": shipment["id"],
            "window_from": (now - timedelta(hours=1)).isoformat(),
            "window_until": (now + timedelta(hours=3)).isoformat(),
            "fallback": "neighbour",
        },
    )
    return HomeStop(tenant=tenant, place_id=place_id, stop_id=stop["id"], parcel=parcel)
