"""What is played on the town's own page: the scene as it was set, and what has become of it since."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum, auto
from typing import Annotated

import msgspec

from unlatch.domain.access import Position
from unlatch.town.courier import Courier
from unlatch.town.streets import COURIERS_ROUND, OTHER_COURIER, OTHER_ROUND, OWN_DOOR, Point, Way, locate
from unlatch.town.world import Town

FROM: Point = (225, 120)  # where the courier is when a scene begins: some seconds from the car
Text = Annotated[str, msgspec.Meta(max_length=300)]


class Target(StrEnum):
    """Where a parcel may go, and a courier be sent."""

    CAR = auto()
    HOME = auto()


class Booking(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """With what another parcel is booked: a carrier's key, for whom, on whose round, and to which access points."""

    carrier_key: Text
    consignee_id: Text
    courier_id: Text
    places: dict[Target, Text]


class Scene(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What is played: where the platform answers, who may sign in by which mail, courier, first parcel and car."""

    server_url: Text
    mails: dict[Annotated[str, msgspec.Meta(max_length=20)], Text]  # consignee, operator
    courier: Text
    enrol_code: Text  # of the courier's phone
    label: Text  # what is typed for it
    vin: Text
    booking: Booking


class NewPlace(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """An access point that has become one where parcels may go."""

    access_point_id: Text


class Play:
    """The scene under way: the parcel that is to be delivered now, where parcels may go, where the couriers are."""

    def __init__(self, scene: Scene, town: Town) -> None:
        """The courier sets out with the first parcel."""
        self.scene, self.town = scene, town
        self.places = dict(scene.booking.places)
        now, courier = town.clock.now(), scene.courier
        self.couriers = {
            courier: Courier(
                name=courier, round=draw_round(COURIERS_ROUND), begin=locate(FROM), set_out_at=now
            ),
            OTHER_COURIER: Courier(
                name=OTHER_COURIER,
                round=draw_round(OTHER_ROUND),
                begin=locate(OTHER_ROUND[0]),
                set_out_at=now,
            ),
        }
        self.bring(scene.label, Target.CAR)

    def locate(self, target: Target) -> Position:
        """Where that is now. Raises KeyError where the town has no such car."""
        if target is Target.HOME:
            return locate(OWN_DOOR)
        car = self.town.look(self.town.citizens[self.scene.vin])
        return car.position_at(car.now)

    def send(self, courier: str, target: Target | None) -> None:
        """A courier to that place; None: on with their round. Raises KeyError where there is no such courier."""
        end = None if target is None else self.locate(target)
        self.couriers[courier].send(end, self.town.clock.now())

    def bring(self, label: str, target: Target) -> None:
        """This parcel is the one to be delivered now, and the courier sets out with it."""
        self.label, self.target = label, target
        self.send(self.scene.courier, target)


def draw_round(corners: Sequence[Point]) -> Way:
    return Way([locate(corner) for corner in corners], is_round=True)
