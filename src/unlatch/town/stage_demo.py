"""The stage of `unlatch demo`: a town at real pace with one delivery prepared, for a person's own hands."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unlatch.errors import UnlatchError
from unlatch.town.desk import CarrierDesk, Consignee, OperatorDesk
from unlatch.town.home_control import AddedHome
from unlatch.town.household import Enroller
from unlatch.town.installation import Installation
from unlatch.town.papers import make_sscc
from unlatch.town.scenery import HEIGHT, OWN_CAR, WIDTH, furnish
from unlatch.town.stage_booking import BEGAN_BEFORE, ENDS_AFTER
from unlatch.town.stage_scene import Booking, Scene, Target
from unlatch.town.streets import OWN_DOOR, OWN_HOME, locate

MAILS = {"consignee": "ann@town.example", "operator": "olga@town.example"}


@dataclass(frozen=True, kw_only=True)
class OpenStage:
    """A stage that waits for hands."""

    installation: Installation
    address: str  # of the page
    scene: Scene
    stop_id: str


@contextlib.asynccontextmanager
async def open_stage(
    data_dir: Path, tell: Callable[[str], None] = lambda _: None, *, has_home: bool = True, **how: Any
) -> AsyncIterator[OpenStage]:
    """Start it, with everyone registered, a parcel on its way and the page ready. `how`: of the Installation.

    With `has_home`, Ann's home is registered meanwhile: its camera has to show first that it lives and sees the door.
    """
    lot = random.Random()
    async with Installation(data_dir=data_dir, factor=1.0, tell=tell, **how) as installation:
        carrier_key = await installation.admit_carrier("Parcel Post")
        operator_key = await installation.admit_operator("Olga")
        url, town = installation.server_url, installation.town
        async with CarrierDesk(url, carrier_key) as carrier, OperatorDesk(url, operator_key) as operator:
            made = await carrier.register_consignee("Ann Lee")
            async with Consignee(url, made.key) as consignee:
                await consignee.open_mailbox(town, MAILS["consignee"])
                await operator.open_mailbox(town, MAILS["operator"])
                home, camera = await furnish(town, lot)
                scene, stop_id = await _prepare(installation, carrier, carrier_key, made.id, lot)
                await town.set_stage(scene)
                settling = [
                    asyncio.create_task(
                        _settle_home(installation, carrier, consignee, made.id, home, camera, tell)
                    )
                    for _ in range(has_home)
                ]
                try:
                    yield OpenStage(
                        installation=installation,
                        address=f"{installation.town_url}/stage",
                        scene=scene,
                        stop_id=stop_id,
                    )
                finally:
                    for task in settling:
                        task.cancel()
                    await asyncio.gather(*settling, return_exceptions=True)


async def _prepare(
    installation: Installation, carrier: CarrierDesk, carrier_key: str, consignee_id: str, lot: random.Random
) -> tuple[Scene, str]:
    """Ann's car, Bo's round, and a parcel on it: the scene, and its stop."""
    new, number = OWN_CAR.draw(lot), make_sscc(lot)
    (car,) = await installation.town.add_cars([new])
    here = locate(OWN_CAR.round[0])
    place = await carrier.register_car(consignee_id, car, here, account_kind=None, **OWN_CAR.papers)
    courier = await carrier.register_courier("Bo")
    shipment = await carrier.announce_shipment(consignee_id, "order 2018", [f"(00){number}"])
    now = installation.clock.now()
    stop = await carrier.plan_stop(
        courier_id=courier.id,
        access_point_id=place.id,
        shipment_id=shipment.id,
        window=(now - BEGAN_BEFORE, now + ENDS_AFTER),
        fallback="to_door",
    )
    scene = Scene(
        server_url=installation.server_url,
        mails=MAILS,
        courier="Bo",
        enrol_code=await carrier.invite_phone(courier.id),
        label=number,
        vin=new.vin,
        booking=Booking(
            carrier_key=carrier_key,
            consignee_id=consignee_id,
            courier_id=courier.id,
            places={Target.CAR: place.id},
        ),
    )
    return scene, stop.id


async def _settle_home(
    installation: Installation,
    carrier: CarrierDesk,
    consignee: Consignee,
    consignee_id: str,
    home: AddedHome,
    camera: dict[str, Any],
    tell: Callable[[str], None],
) -> None:
    """Register Ann's home, and enrol its camera as a household does; then parcels may go there."""
    town = installation.town
    try:
        await installation.start_recorder()
        place = await carrier.register_home(
            consignee_id, home, installation.town_url, [camera], locate(OWN_DOOR)
        )
        (own,) = await consignee.cameras(place.id)
        await Enroller(consignee, town, OWN_HOME, own.id).enrol(WIDTH, HEIGHT)
        await town.admit_place(Target.HOME, place.id)
    except UnlatchError as error:
        tell(f"on the stage, parcels go to the car alone: {error}")
