"""Homes on the stage: a door with its hub, a camera in its hall over real RTSP, and a recorder at work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.cameras.street import HEIGHT, WIDTH, clock_reader
from tests.flow.stage import FACTOR, Stage, Stop, open_stage

from unlatch.cameras.storage import ClipStore, open_store
from unlatch.devices.catalogue import Catalogue
from unlatch.flow.recorders import record
from unlatch.flow.worker import work
from unlatch.store import cameras
from unlatch.store.cameras import CameraRow
from unlatch.store.database import Database

FACTOR_OF_HOMES = 2.0  # cameras live in real time: a town that runs much faster leaves them no time
_HOME = """
    INSERT INTO home (access_point_id, form, rings_first) VALUES (%(place_id)s, 'door', %(rings_first)s)
"""


@dataclass(kw_only=True)
class Dwelling:
    """A stop at a home."""

    stop: Stop
    home_id: str
    camera_id: str  # the row's, and the town's


async def add_home(
    stage: Stage,
    *,
    rings_first: bool = False,
    has_clock: bool = True,
    is_enrolled: bool = True,
    **papers: Any,
) -> Dwelling:
    """A home with its camera, which is enrolled as a witness, and a courier with a parcel for it."""
    stop = await stage.add_stop("onstar")  # its car goes: the place is a home
    number = stop.stop_id.partition("_")[2]
    home_id, camera_id = f"home-{number}", f"cam-{number}"
    added = await stage.town.add_home(home_id, **papers)
    seen = await stage.town.add_camera(
        camera_id, width=WIDTH, height=HEIGHT, fps=10, bitrate=300_000, keyframe_s=1.0, has_clock=has_clock
    )
    secrets = {"vin": added.entity, "address": f"{stage.town_url}{added.path}", "access_token": added.token}
    if added.contact is not None:
        secrets["contact"] = added.contact
    now, vault = stage.platform.clock.now(), stage.platform.vault
    address = {key: seen[key] for key in ("address", "user", "password")}
    row = CameraRow(
        id=camera_id,
        access_point_id=stop.place_id,
        maker="rtsp",
        name="hall",
        sealed=vault.seal(address, camera_id),
        clock=clock_reader().content() if has_clock else None,
        methods=(["clock"] if has_clock else ["motion"]) if is_enrolled else [],
        sees_door=is_enrolled,
        enrolled_at=now if is_enrolled else None,
        check_by=now + timedelta(days=31) if is_enrolled else None,
        created_at=now,
        removed_at=None,
    )
    async with stage.platform.database.transaction() as connection:
        await connection.execute("UPDATE access_point SET kind = 'home' WHERE id = %s", (stop.place_id,))
        await connection.execute(
            "UPDATE vehicle SET maker = 'home_assistant', account_kind = NULL, sealed = %s WHERE access_point_id = %s",
            (vault.seal(secrets, stop.place_id), stop.place_id),
        )
        await connection.execute(_HOME, {"place_id": stop.place_id, "rings_first": rings_first})
        await cameras.insert_camera(connection, row)
    return Dwelling(stop=stop, home_id=home_id, camera_id=camera_id)


@asynccontextmanager
async def open_street(
    database: Database, data_dir: Path, *, factor: float = FACTOR_OF_HOMES
) -> AsyncIterator[Stage]:
    """A stage with a worker and a recorder at work in this process."""
    assert factor < FACTOR
    async with open_stage(database, data_dir, factor=factor, has_worker=False) as stage:
        settings = replace(stage.platform.settings, allows_private_hubs=True)
        makers = Catalogue(settings.clock(), {}, allows_private_hubs=True)
        clips = ClipStore(open_store(data_dir / "clips"))
        stage.platform = replace(stage.platform, settings=settings, makers=makers, clips=clips)
        stop = asyncio.Event()
        tasks = [
            asyncio.create_task(work(stage.platform, stop)),
            asyncio.create_task(record(stage.platform, stop)),
        ]
        try:
            yield stage
        finally:
            stop.set()
            await asyncio.gather(*tasks)
            await makers.close()
