"""A home with a camera in its hall, a worker and a recorder at work, and a household with a phone and two hands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.cameras.street import FACE, FORM
from tests.flow.stage import run_town
from tests.web.conftest import PUBLIC_URL, Caller, Tenant
from tests.web.homes import new_home

from unlatch.clock import Clock
from unlatch.devices.catalogue import Catalogue
from unlatch.flow.platform import Platform
from unlatch.flow.recorders import record
from unlatch.flow.worker import work
from unlatch.settings import Settings
from unlatch.store.database import Database
from unlatch.store.vault import Vault
from unlatch.town.client import TownClient
from unlatch.town.home import HomeDeed

PICTURE = {
    "width": FORM.width, "height": FORM.height, "fps": FORM.fps, "bitrate": FORM.bitrate, "keyframe_s": 1.0,
}  # fmt: skip
MARK = {"left": FACE.left + 1, "top": FACE.top, "width": FACE.cell_width * 8 + 3, "height": FACE.cell_height}
PATIENT_S = 60.0


@dataclass(kw_only=True)
class Street:
    """What a test of enrolment plays with."""

    platform: Platform
    town: TownClient


@asynccontextmanager
async def open_street(database: Database, data_dir: Path) -> AsyncIterator[Street]:
    """A town at the pace of real time, and a platform whose recordings lie in `data_dir`."""
    anchor_at = datetime.now(UTC)
    async with run_town(1.0, anchor_at) as url, TownClient(url) as town:
        settings = Settings(
            data_dir=data_dir, public_url=PUBLIC_URL, secret_key=b"k" * 32, allows_private_hubs=True
        )
        makers = Catalogue(Clock(), {"onstar": url, "volvo": url}, allows_private_hubs=True)
        platform = Platform(
            settings=settings,
            clock=Clock(),
            database=database,
            vault=Vault(b"k" * 32),
            makers=makers,
            name="test-worker",
        )
        yield Street(platform=platform, town=town)
        await makers.close()


@asynccontextmanager
async def at_work(platform: Platform) -> AsyncIterator[None]:
    """A worker and a recorder, until the test is over."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(work(platform, stop)), asyncio.create_task(record(platform, stop))]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


@dataclass(kw_only=True)
class Hall:
    """One home and the camera in its hall, as its household has them before it."""

    street: Street
    owner: Caller
    home_id: str
    place_id: str
    camera_id: str

    @property
    def path(self) -> str:
        return f"/v1/me/cameras/{self.camera_id}/enrolment"

    async def begin(self) -> dict[str, Any]:
        return await self.owner.make(self.path)

    async def read(self) -> dict[str, Any]:
        answer = await self.owner.get(self.path)
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    async def until(
        self, is_so: Callable[[dict[str, Any]], bool], within_s: float = PATIENT_S
    ) -> dict[str, Any]:
        """Ask again and again, as an app does."""
        shown: dict[str, Any] = {}
        try:
            async with asyncio.timeout(within_s):
                while not is_so(shown := await self.read()):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"it never came to that: {shown}") from None
        return shown

    async def until_ended(self, step: str, within_s: float = PATIENT_S) -> dict[str, Any]:
        """The step, once it is under way no more."""
        shown = await self.until(lambda shown: step_of(shown, step)["state"] != "under_way", within_s)
        return step_of(shown, step)

    async def do(self, deed: HomeDeed) -> None:
        await self.street.town.do_at_home(self.home_id, deed)

    async def open_and_close(self, *, open_for_s: float = 5.0) -> dict[str, Any]:
        """Do as the phone says: from *ready* to the end of the step."""
        await self.owner.make(f"{self.path}/door")
        await self.turn_door(open_for_s=open_for_s)
        return await self.until_ended("door")

    async def turn_door(self, *, open_for_s: float = 5.0) -> None:
        """Open the door and close it, each when it is said."""
        await self.until(lambda shown: phase_of(shown) == "open_it")
        await self.do(HomeDeed.KEY_UNLOCK)
        await self.do(HomeDeed.OPEN_DOOR)
        await self.until(lambda shown: phase_of(shown) == "close_it")
        await asyncio.sleep(open_for_s)
        await self.do(HomeDeed.CLOSE_DOOR)
        await self.do(HomeDeed.KEY_LOCK)


def step_of(shown: dict[str, Any], step: str) -> dict[str, Any]:
    (found,) = [one for one in shown["steps"] if one["step"] == step]
    return dict(found)


def phase_of(shown: dict[str, Any]) -> str | None:
    return shown["next"] and shown["next"]["phase"]  # type: ignore[no-any-return]


async def add_hall(
    street: Street,
    tenant: Tenant,
    *,
    home_id: str = "home-1",
    has_contact: bool = True,
    has_lamp: bool = True,
    sees_door: bool = True,
    password: str | None = None,
    rings_first: bool = True,
    **picture: Any,
) -> Hall:
    """Register a home of the town with the camera in its hall. `picture`: fields of the town's `NewCamera`."""
    home = await street.town.add_home(home_id, has_contact=has_contact, has_lamp=has_lamp)
    hung = {"home_id": home_id} if sees_door else {}
    camera = await street.town.add_camera(f"{home_id}-hall", **{**PICTURE, **hung, **picture})
    secrets = {"address": f"{street.town.base_url}{home.path}", "access_token": home.token}
    secrets |= {"contact": home.contact} if home.contact else {}
    secrets |= {"lamp": home.lamp} if home.lamp else {}
    given = {
        "maker": "rtsp",
        "name": "Hall",
        "address": camera["address"],
        "secrets": {"user": camera["user"], "password": password or camera["password"]},
    }
    asked = {"entity": home.entity, "secrets": secrets, "cameras": [given], "rings_first": rings_first}
    made = await tenant.carrier.make("/v1/access_points", new_home(tenant.consignee.id, asked))
    listed = await tenant.consignee.get(f"/v1/me/access_points/{made['id']}/cameras")
    return Hall(
        street=street,
        owner=tenant.consignee,
        home_id=home_id,
        place_id=made["id"],
        camera_id=listed.json()["cameras"][0]["id"],
    )


async def wait_for(is_so: Callable[[], Awaitable[bool]], within_s: float = PATIENT_S) -> None:
    """Wait for it."""
    async with asyncio.timeout(within_s):
        while not await is_so():
            await asyncio.sleep(0.1)
