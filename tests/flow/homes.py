"""Homes for tests of the flow: a door in the town with its hub, and a camera whose recorder is the test itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from tests.flow.day import query
from tests.flow.stage import Stage, Stop

from unlatch.domain.home import Form, HomeSettings
from unlatch.flow import homes
from unlatch.flow.homes import CameraGiven, HomeGiven
from unlatch.store import cameras
from unlatch.store.cameras import Said

NUMBERS = count(1)
RECORDER = "rec_test"


@dataclass(kw_only=True)
class HomeStop(Stop):
    """One stop at a home."""

    home_id: str
    camera_id: str


async def add_home_stop(stage: Stage, *, is_enrolled: bool = True, **papers: Any) -> HomeStop:
    """A closed, locked home in the town, with one parcel for it and a camera that may be a witness."""
    stop = await stage.add_stop()
    home_id = f"flow-home-{next(NUMBERS)}"
    added = await stage.town.add_home(home_id, **papers)
    address = stage.platform.makers.hubs.read(f"{stage.town_url}{added.path}")
    told = {"contact": added.contact, "second_bolt": added.second_bolt, "alarm": added.alarm}
    told |= {"pet": added.pet, "bell": added.bell}
    secrets = {name: entity for name, entity in told.items() if entity is not None}
    given = HomeGiven(
        maker="home_assistant",
        entity=added.entity,
        secrets={"address": address, "access_token": added.token, **secrets},
        settings=HomeSettings(form=Form.DOOR, directions="The green door"),
        picture_url=None,
        cameras=[CameraGiven(maker="rtsp", name="Hall", address="rtsp://127.0.0.1:9/hall", secrets={})],
    )
    hub, now = homes.make_hub(stage.platform, stop.place_id, given), stage.platform.clock.now()
    async with stage.platform.database.transaction() as connection:
        await connection.execute("UPDATE access_point SET kind = 'home' WHERE id = %s", (stop.place_id,))
        await connection.execute(
            "UPDATE vehicle SET maker = %s, account_kind = NULL, sealed = %s, closure_key = %s, make = '', model = '', "
            "colour = '', plate = '' WHERE access_point_id = %s",
            (hub.maker, hub.sealed, hub.closure_key, stop.place_id),
        )
        await homes.insert_home(stage.platform, connection, stop.place_id, given, now)
        (camera,) = await cameras.list_cameras(connection, stop.place_id)
        if is_enrolled:
            await cameras.set_enrolment(
                connection,
                camera.id,
                methods=["clock"],
                sees_door=True,
                clock=None,
                enrolled_at=now,
                check_by=now + timedelta(days=31),
            )
    values = {name: getattr(stop, name) for name in Stop.__dataclass_fields__}
    return HomeStop(**values, home_id=home_id, camera_id=camera.id)


@asynccontextmanager
async def speaking(stage: Stage, stop: HomeStop, verdict: str | None = "live") -> AsyncIterator[None]:
    """A recorder that connects the camera when it is wanted, and tells twice a second what its picture shows."""
    await say(stage, stop, verdict)
    telling = asyncio.create_task(_tell(stage, stop, verdict))
    try:
        yield
    finally:
        telling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await telling


async def _tell(stage: Stage, stop: HomeStop, verdict: str | None) -> None:
    while True:
        await asyncio.sleep(0.5)
        await say(stage, stop, verdict)


async def say(stage: Stage, stop: HomeStop, verdict: str | None) -> None:
    """What a recorder says of a camera that somebody wants; of another it says nothing."""
    real_now = datetime.now(UTC)
    async with stage.platform.database.transaction() as connection:
        await cameras.save_recorder(
            connection, RECORDER, socket="/nowhere", room=32, alive_until_real=real_now + timedelta(hours=1)
        )
        await cameras.claim_cameras(connection, RECORDER, held=[], room=32, real_now=real_now)
        said = Said(
            camera_id=stop.camera_id,
            state="armed",
            verdict=verdict,
            code=None,
            heard_at_real=real_now,
            lease_until_real=None,
        )
        await cameras.say(connection, RECORDER, [said])


async def is_wanted(stage: Stage, stop: HomeStop) -> bool:
    rows = await query(
        stage, "SELECT wanted_until_real > now() AS wanted FROM camera WHERE id = %s", [stop.camera_id]
    )
    return bool(rows[0]["wanted"])
