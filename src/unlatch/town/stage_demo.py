"""The stage of `unlatch demo`: an installation at real pace with one delivery prepared, for a person's own hands."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from unlatch.domain.access import Position
from unlatch.town.car import Maker
from unlatch.town.desk import CarrierDesk, Consignee, OperatorDesk
from unlatch.town.installation import Installation
from unlatch.town.papers import make_sscc, make_vin
from unlatch.town.stage import Scene

HERE = Position(latitude=33.749, longitude=-84.388, accuracy_m=5)
CAR: dict[str, Any] = {
    "make": "Volvo",
    "model": "XC60",
    "model_year": 2021,
    "colour": "blue",
    "plate": "KEY 2018",
}
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
    data_dir: Path, tell: Callable[[str], None] = lambda _: None, **how: Any
) -> AsyncIterator[OpenStage]:
    """Start it, with everyone registered, a parcel on its way and the page ready. `how`: of the Installation."""
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
            vin, number = make_vin("YV1A22RK", lot), make_sscc(lot)
            car = await town.add_car(
                Maker.VOLVO, vin, latitude=HERE.latitude, longitude=HERE.longitude, **CAR
            )
            place = await carrier.register_car(made.id, car, HERE, account_kind=None, **CAR)
            courier = await carrier.register_courier("Bo")
            shipment = await carrier.announce_shipment(made.id, "order 2018", [f"(00){number}"])
            now = installation.clock.now()
            stop = await carrier.plan_stop(
                courier_id=courier.id,
                access_point_id=place.id,
                shipment_id=shipment.id,
                window=(now - timedelta(minutes=30), now + timedelta(hours=3, minutes=30)),
                fallback="to_door",
            )
            scene = Scene(
                server_url=url,
                mails=MAILS,
                enrol_code=await carrier.invite_phone(courier.id),
                label=number,
                maker=Maker.VOLVO,
                vin=vin,
                car=f"{CAR['colour']} {CAR['make']} {CAR['model']}, {CAR['plate']}",
                latitude=HERE.latitude,
                longitude=HERE.longitude,
            )
            await town.set_stage(scene)
            yield OpenStage(
                installation=installation,
                address=f"{installation.town_url}/stage",
                scene=scene,
                stop_id=stop.id,
            )
