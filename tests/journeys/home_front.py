"""Homes as a test meets them: a door and its cameras in the town, a stop there, and a courier who does what is said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests import invariants
from tests.cameras.street import FPS, HEIGHT, WIDTH, clock_reader
from tests.journeys.front import HERE, NUMBERS, Front, PhoneDoor, open_front, sscc
from tests.journeys.playing import Play

from unlatch.cameras.recording import list_take_paths
from unlatch.store import cameras
from unlatch.store.cameras import CameraRow
from unlatch.town.car import WENT_WELL
from unlatch.town.desk import Consignee
from unlatch.town.home import HomeDeed
from unlatch.town.phone import CourierPhone

FACTOR = 3.0  # town seconds in a real one: cameras, leases and proofs know no other than real time
PICTURE = {"width": WIDTH, "height": HEIGHT, "fps": FPS, "bitrate": 300_000, "keyframe_s": 1.0}
ARMED_WITHIN_S = 20.0
LOOK_EVERY_S = 0.05
MONTH = timedelta(days=31)


class HomeDoor(PhoneDoor):
    """A stop at a home. `vin` is the home's name in the town: its ledger knows no other."""

    town_camera_ids: Sequence[str] = ()  # as the town calls them
    camera_ids: Sequence[str] = ()  # as the platform does, in the same order

    async def check(self) -> list[invariants.Told]:
        """Every invariant of the visits at this home, as far as they have come."""
        return await invariants.check_place(
            self.front.database,
            self.town,
            place_id=self.place_id,
            vin=self.vin,
            factor=self.clock.factor,
            is_home=True,
        )

    async def tell(self) -> invariants.Told:
        """The visit as the platform has it, unchecked."""
        async with self.front.database.connection() as connection:
            return await invariants.read_told(connection, self.visit_id)

    async def list_cameras(self) -> list[CameraRow]:
        """As the platform knows them now."""
        async with self.front.database.connection() as connection:
            return await cameras.list_cameras(connection, self.place_id)

    async def arm(self, within_s: float = ARMED_WITHIN_S) -> None:
        """As the courier's coming near does: its cameras are connected, and show that they live."""
        until_real = datetime.now(UTC) + timedelta(minutes=10)
        async with self.front.database.connection() as connection:
            await cameras.want(connection, self.place_id, until_real)
        async with asyncio.timeout(within_s):
            while not all(
                row.state == "armed" and row.verdict == "live" for row in await self.list_cameras()
            ):
                await asyncio.sleep(LOOK_EVERY_S)

    async def strike(self, kind: str, *, number: int = 0, **how: Any) -> None:
        """Break one of its cameras."""
        await self.town.break_camera(self.town_camera_ids[number], kind, **how)

    async def mend(self, *, number: int = 0) -> None:
        await self.town.mend_camera(self.town_camera_ids[number])

    @staticmethod
    def list_takes(recording: cameras.RecordingRow) -> list[Path]:
        """The files that it is being written to."""
        return list_take_paths(Path(recording.folder))

    async def list_recordings(self) -> list[cameras.RecordingRow]:
        async with self.front.database.connection() as connection:
            return await cameras.list_recordings(connection, self.visit_id)


@dataclass(kw_only=True)
class HomePlay(Play):
    """One visit at a home, played by a courier who does what the platform says."""

    door: HomeDoor
    notes: dict[str, Any] = field(default_factory=dict)  # what a test wants to remember

    async def pull(self) -> bool:
        return await self.town.do_at_home(self.vin, HomeDeed.OPEN_DOOR) in WENT_WELL

    async def shut(self) -> bool:
        return await self.town.do_at_home(self.vin, HomeDeed.CLOSE_DOOR) in WENT_WELL


@asynccontextmanager
async def open_home_front(
    data_dir: Path, database_url: str, *, factor: float = FACTOR, **how: Any
) -> AsyncIterator[Front]:
    """An installation with a recorder."""
    async with open_front(data_dir, database_url, factor=factor, **{"recorders_at_start": 1, **how}) as front:
        yield front


@asynccontextmanager
async def open_home(
    front: Front,
    *,
    cameras: int = 1,
    rings_first: bool = True,
    has_contact: bool = True,
    picture: Mapping[str, Any] | None = None,
    methods: Sequence[str] = ("clock",),
    phone: CourierPhone | None = None,
    directions: str = "",
    **papers: Any,
) -> AsyncIterator[HomeDoor]:
    """A stop with a parcel at a locked home. `phone`: of this courier; `papers`: further fields of
    `home_control.NewHome`.
    """
    number = next(NUMBERS)
    home, added = await front.town.furnish_home(
        f"home-{number}",
        cameras=cameras,
        picture={**PICTURE, **(picture or {})},
        has_contact=has_contact,
        **papers,
    )
    made = await front.carrier.register_consignee("Ann Lee")
    place = await front.carrier.register_home(
        made.id,
        home,
        front.installation.town_url,
        added,
        HERE,
        rings_first=rings_first,
        directions=directions,
    )
    camera_ids = await enrol_at_once(front, place.id, methods)
    phone = phone or await front.equip_phone()
    label = sscc(number)
    shipment = await front.carrier.announce_shipment(made.id, f"order {number}", [label])
    now = front.clock.now()
    stop = await front.carrier.plan_stop(
        courier_id=phone.courier_id,
        access_point_id=place.id,
        shipment_id=shipment.id,
        window=(now - timedelta(hours=1), now + timedelta(hours=4)),
        fallback="neighbour",
    )
    door = HomeDoor(front, vin=home.home_id, place_id=place.id, stop_id=stop.id, label=label)
    door.phone, door.consignee = phone, Consignee(front.carrier.base_url, made.key)
    door.camera_ids = camera_ids
    door.town_camera_ids = [one["camera_id"] for one in added]
    try:
        yield door
    finally:
        await door.close()


async def enrol_at_once(front: Front, place_id: str, methods: Sequence[str]) -> list[str]:
    """Its cameras as enrolment leaves them: each was shown to see the door, and its clock was learnt. Their ids."""
    now = front.clock.now()
    async with front.database.connection() as connection:
        rows = await cameras.list_cameras(connection, place_id)
        for row in rows:
            await cameras.set_enrolment(
                connection,
                row.id,
                methods=methods,
                sees_door=True,
                clock=clock_reader().content() if "clock" in methods else None,
                enrolled_at=now,
                check_by=now + MONTH,
            )
    return [row.id for row in rows]
