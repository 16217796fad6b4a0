"""The cars and homes that stand and drive in the town of `unlatch demo`, beside the one car that is delivered to."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unlatch.town.car import Maker
from unlatch.town.client import TownClient
from unlatch.town.control import Move, NewCar
from unlatch.town.home_control import AddedHome
from unlatch.town.papers import make_vin
from unlatch.town.streets import HOMES, OWN_HOME, Point, drive_round, locate

VINS = {Maker.VOLVO: "YV1A22RK", Maker.ONSTAR: "1G1ZD5ST"}
WIDTH, HEIGHT = 320, 180  # of their pictures
PICTURE = {"width": WIDTH, "height": HEIGHT, "fps": 10, "bitrate": 300_000, "keyframe_s": 1.0}
WATCHED_HOMES = (OWN_HOME, "elm-8", "oak-5", "mill-1")  # a camera hangs in the hall


@dataclass(frozen=True, kw_only=True)
class TownCar:
    """A car of the town: its papers, and the round that it drives from where it is parked."""

    maker: Maker
    papers: dict[str, Any]
    round: Sequence[Point]
    is_driving: bool = False

    def draw(self, lot: random.Random) -> NewCar:
        """Parked where its round begins, with a VIN of its own."""
        parked_at, *corners = map(locate, self.round)
        return NewCar(
            maker=self.maker,
            vin=make_vin(VINS[self.maker], lot),
            latitude=parked_at.latitude,
            longitude=parked_at.longitude,
            route=[Move(latitude=one.latitude, longitude=one.longitude) for one in corners],
            **self.papers,
        )


OWN_CAR = TownCar(
    maker=Maker.VOLVO,
    papers={"make": "Volvo", "model": "XC60", "model_year": 2021, "colour": "blue", "plate": "KEY 2018"},
    round=drive_round(302, 270, 120, 390, 220),
)
CARS = (
    TownCar(
        maker=Maker.ONSTAR,
        papers={"make": "Chevrolet", "model": "Malibu", "model_year": 2019, "colour": "red", "plate": "RTD 4821"},
        round=drive_round(60, 30, 20, 510, 320),
        is_driving=True,
    ),
    TownCar(
        maker=Maker.VOLVO,
        papers={"make": "Volvo", "model": "V60", "model_year": 2020, "colour": "grey", "plate": "ELM 1120"},
        round=drive_round(200, 150, 20, 270, 320),
        is_driving=True,
    ),
    TownCar(
        maker=Maker.ONSTAR,
        papers={"make": "Chevrolet", "model": "Bolt", "model_year": 2022, "colour": "white", "plate": "VLT 2600"},
        round=drive_round(225, 150, 220, 270, 320),
    ),
    TownCar(
        maker=Maker.VOLVO,
        papers={"make": "Volvo", "model": "XC40", "model_year": 2021, "colour": "black", "plate": "OAK 7306"},
        round=drive_round(440, 390, 20, 510, 120),
    ),
)  # fmt: skip


async def furnish(town: TownClient, lot: random.Random) -> tuple[AddedHome, dict[str, Any]]:
    """Put them there, and let those drive that drive; Ann's home and the camera in its hall."""
    added = await town.add_cars([car.draw(lot) for car in CARS])
    for car, one in zip(CARS, added, strict=True):
        if car.is_driving:
            await town.drive(one.vin)
    furnished = {
        home_id: await town.furnish_home(home_id, cameras=home_id in WATCHED_HOMES, picture=PICTURE)
        for home_id in HOMES
    }
    home, (camera,) = furnished[OWN_HOME]
    return home, camera
