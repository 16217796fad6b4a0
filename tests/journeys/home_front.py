"""Homes as a test meets them: a door and its cameras in the town, a stop there, and a courier who does what is said."""

from __future__ import annotations

import asyncio
import re
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

from unlatch.settings import Settings
from unlatch.store import cameras, consignees
from unlatch.store.cameras import CameraRow
from unlatch.store.consignees import AccessPointRow, VehicleRow
from unlatch.store.ids import make_id
from unlatch.store.vault import Vault
from unlatch.town.car import WENT_WELL
from unlatch.town.desk import Consignee
from unlatch.town.home import HomeDeed
from unlatch.town.home_control import AddedHome
from unlatch.town.rules import make_rules

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
    """An installation with a recorder, whose rules offer homes."""
    rules = make_rules(data_dir, ("60 min", "30 min"))
    for path in (rules / "programmes").glob("*.toml"):
        text = path.read_text(encoding="utf-8")
        path.write_text(
            re.sub(r"^places = .*$", 'places = ["car", "home"]', text, flags=re.MULTILINE), encoding="utf-8"
        )
    more = {"UNLATCH_RULES_DIR": str(rules)}
    async with open_front(
        data_dir, database_url, factor=factor, more=more, **{"recorders_at_start": 1, **how}
    ) as front:
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
    **papers: Any,
) -> AsyncIterator[HomeDoor]:
    """A stop with a parcel at a locked home. `papers`: further fields of `home_control.NewHome`."""
    number = next(NUMBERS)
    home, added = await front.town.furnish_home(
        f"home-{number}",
        cameras=cameras,
        picture={**PICTURE, **(picture or {})},
        has_contact=has_contact,
        **papers,
    )
    made = await front.carrier.register_consignee("Ann Lee")
    place_id, camera_ids = await register(front, made.id, home, added, rings_first, methods)
    phone = await front.equip_phone()
    label = sscc(number)
    shipment = await front.carrier.announce_shipment(made.id, f"order {number}", [label])
    now = front.clock.now()
    stop = await front.carrier.plan_stop(
        courier_id=phone.courier_id,
        access_point_id=place_id,
        shipment_id=shipment.id,
        window=(now - timedelta(hours=1), now + timedelta(hours=4)),
        fallback="neighbour",
    )
    door = HomeDoor(front, vin=home.home_id, place_id=place_id, stop_id=stop.id, label=label)
    door.phone, door.consignee = phone, Consignee(front.carrier.base_url, made.key)
    door.camera_ids = camera_ids
    door.town_camera_ids = [one["camera_id"] for one in added]
    try:
        yield door
    finally:
        await door.close()


async def register(
    front: Front,
    consignee_id: str,
    home: AddedHome,
    added: Sequence[dict[str, Any]],
    rings_first: bool,
    methods: Sequence[str],
) -> tuple[str, list[str]]:
    """The rows of a home and of its cameras, each shown to see the door and to be proven so."""
    now = front.clock.now()
    vault = Vault(Settings(data_dir=front.installation.data_dir).read_secret_key())
    point_id = make_id("acc")
    address = f"{front.installation.town_url}{home.path}"
    secrets = {"vin": home.entity, "address": address, "access_token": home.token}
    if home.contact is not None:
        secrets["contact"] = home.contact
    point = AccessPointRow(
        id=point_id, carrier_id=await _carrier_of(front, consignee_id), consignee_id=consignee_id, kind="home",
        latitude=HERE.latitude, longitude=HERE.longitude, range_m=200.0, time_zone="America/New_York",
        allows_unseen_lock=False, is_consent_given=True, blocked_at=None, consent_ends_at=None, from_local=None,
        until_local=None, is_frozen=False, created_at=now,
    )  # fmt: skip
    vehicle = VehicleRow(
        access_point_id=point_id, maker="home_assistant", account_kind=None, sealed=vault.seal(secrets, point_id),
        closure_key=vault.digest("home_assistant", f"{address} {home.entity}"), make="", model="",
        model_year=None, colour="", plate="", picture_url=None,
    )  # fmt: skip
    camera_ids = []
    async with front.database.transaction() as connection:
        await consignees.insert_access_point(connection, point, vehicle)
        await connection.execute(
            "INSERT INTO home (access_point_id, form, rings_first) VALUES (%s, 'door', %s)",
            (point_id, rings_first),
        )
        for one in added:
            camera_id = make_id("cam")
            sealed = {"address": one["address"], "user": one["user"], "password": one["password"]}
            await cameras.insert_camera(
                connection,
                CameraRow(
                    id=camera_id, access_point_id=point_id, maker="rtsp", name="hall",
                    sealed=vault.seal(sealed, camera_id), clock=clock_reader().content(), methods=list(methods),
                    sees_door=True, enrolled_at=now, check_by=now + MONTH, created_at=now, removed_at=None,
                ),
            )  # fmt: skip
            camera_ids.append(camera_id)
    return point_id, camera_ids


async def _carrier_of(front: Front, consignee_id: str) -> str:
    async with front.database.connection() as connection:
        cursor = await connection.execute("SELECT carrier_id FROM consignee WHERE id = %s", (consignee_id,))
        row = await cursor.fetchone()
    assert row is not None
    return str(row[0])
