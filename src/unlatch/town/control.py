"""/town: the hands in the simulated town. Adds cars, sets faults, opens and closes trunks, tells the truth.

No token: the town listens on the loopback only, and says so when it is told otherwise. Every body is
JSON, at most 64 KiB; lists of cars are paged. See `client.TownClient` for the same in Python.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import msgspec

from unlatch.town.car import Car, Deed, Maker, Outcome
from unlatch.town.faults import Fault, FaultKind
from unlatch.town.grants import MAX_CLIENTS, Client, Grants
from unlatch.town.home_control import HomeControl
from unlatch.town.ledger import MAX_PAGE
from unlatch.town.post_office import PostOffice
from unlatch.town.stage import Stage
from unlatch.town.streets import Way
from unlatch.town.wire import Answer, Refused, Request
from unlatch.town.world import DEFAULT_LATENCY_S, MAX_CARS, Citizen, Town, place

if TYPE_CHECKING:
    from unlatch.town.camera_control import CameraControl

Word = Annotated[str, msgspec.Meta(max_length=64)]
Vin = Annotated[str, msgspec.Meta(pattern="^[A-HJ-NPR-Z0-9]{17}$")]
MAX_LIST = 1_000


class Move(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Set the car down elsewhere, parked."""

    latitude: Annotated[float, msgspec.Meta(ge=-89, le=89)]
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)]


class NewCar(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A car to add. `latency_s`: from command to act and answer, town seconds (8 OnStar, 2 Volvo)."""

    maker: Maker
    vin: Vin
    account_id: Word | None = None  # several cars may share one; None: an account of its own
    is_older_account: bool = False
    make: Word = ""
    model: Word = ""
    model_year: Annotated[int, msgspec.Meta(ge=1980, le=2100)] = 2018
    colour: Word = "black"
    plate: Word = ""
    latitude: Annotated[float, msgspec.Meta(ge=-89, le=89)] = 33.749
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)] = -84.388
    route: Annotated[list[Move], msgspec.Meta(max_length=32)] = []  # corners of its round; none: straight on
    latency_s: Annotated[float, msgspec.Meta(ge=0, le=600)] | None = None
    armed_s: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 120.0
    is_armed_seen: bool = True


class AddedCar(msgspec.Struct, kw_only=True, frozen=True):
    """What a connector needs to reach the car."""

    vin: str
    maker: Maker
    account_id: str
    token: str
    api_key: str  # Volvo's vcc-api-key; empty for OnStar


class Truth(msgspec.Struct, kw_only=True, frozen=True):
    """What is physically so, whatever a cloud may say. `version` is the ledger's last number."""

    vin: str
    maker: Maker
    at: datetime
    is_trunk_locked: bool
    is_lid_open: bool
    are_doors_locked: bool
    is_door_open: bool
    armed_until: datetime | None
    is_asleep: bool
    is_online: bool
    is_moving: bool
    latitude: float
    longitude: float
    changed_at: datetime
    next_at: datetime | None
    faults: list[Fault]
    version: int

    @property
    def is_secured(self) -> bool:
        """Closed and locked."""
        return self.is_trunk_locked and not self.is_lid_open


class Done(msgspec.Struct, kw_only=True, frozen=True):
    """How a deed by hand ended, and what is so now."""

    outcome: Outcome
    state: Truth


class NewClient(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An application to make known to a maker; one of the same name is replaced."""

    client_id: Word
    client_secret: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    redirect_uris: Annotated[list[Annotated[str, msgspec.Meta(max_length=500)]], msgspec.Meta(max_length=10)]


class NewHabits(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How a maker's tokens behave from now on, town seconds. A grace of 0: no second use at all."""

    access_for_s: Annotated[float, msgspec.Meta(ge=1, le=31_536_000)] | None = None
    refresh_for_s: Annotated[float, msgspec.Meta(ge=1, le=315_360_000)] | None = None
    reuse_grace_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)] | None = None


class Hand(StrEnum):
    """What hands can do, as the last part of the path."""

    OPEN_TRUNK = "open-trunk"  # pull the handle and lift the lid
    CLOSE_TRUNK = "close-trunk"
    OPEN_DOOR = "open-door"
    CLOSE_DOOR = "close-door"
    KEY_LOCK = "key-lock"
    KEY_UNLOCK = "key-unlock"
    DRIVE = "drive"
    PARK = "park"


DEED_OF = {
    Hand.OPEN_TRUNK: Deed.OPEN_TRUNK,
    Hand.CLOSE_TRUNK: Deed.CLOSE_TRUNK,
    Hand.OPEN_DOOR: Deed.OPEN_DOOR,
    Hand.CLOSE_DOOR: Deed.CLOSE_DOOR,
    Hand.KEY_LOCK: Deed.KEY_LOCK,
    Hand.KEY_UNLOCK: Deed.KEY_UNLOCK,
    Hand.DRIVE: Deed.DRIVE,
    Hand.PARK: Deed.PARK,
}
FAILED = frozenset(
    {Outcome.IS_LOCKED, Outcome.LID_OPEN, Outcome.JAMMED, Outcome.WILL_NOT_CLOSE, Outcome.IN_MOTION}
)


def no_such(what: str) -> Refused:
    return Refused(Answer(404, {"error": f"no such {what}"}))


def whole(text: str | None, default: int) -> int:
    """A whole number of a query, 0 or more."""
    try:
        return max(0, int(text)) if text is not None else default
    except ValueError:
        raise Refused(Answer(400, {"error": "not a whole number"})) from None


class Control:
    """The endpoints under /town."""

    def __init__(self, town: Town, post_office: PostOffice, stage: Stage) -> None:
        self.town = town
        self.post_office = post_office
        self.stage = stage
        self.homes = HomeControl(town.homes)
        self._camera_control: CameraControl | None = None

    async def serve(self, request: Request) -> Answer:
        """Find the endpoint: the path's parts after /town, and the method."""
        match (request.method, *request.parts[1:]):
            case ("GET", "health"):
                return Answer(200, self._health())
            case ("POST", "reset"):
                self.town.reset()
                self.post_office.reset()
                if self._camera_control is not None:
                    self._camera_control.reset()
                return Answer(204)
            case (_, "cameras", *rest):
                return await self._cameras().serve(request, rest)
            case ("POST", "stage", *rest):
                return self.stage.control(request, rest)
            case ("GET", "ledger"):
                return self._ledger(request)
            case ("POST", "cars"):
                return self._add(request.read(NewCar))
            case ("POST", "cars", "many"):
                added = [self._add(one).body for one in request.read(list[NewCar])]
                return Answer(201, added)
            case ("GET", "cars"):
                return self._list(request)
            case (_, "cars", vin, *rest):
                return self._car(request, self._get(vin), rest)
            case (_, "homes", *rest):
                return self.homes.serve(request, rest)
            case (_, "clouds", maker, "faults"):
                return self._cloud(request, maker)
            case (method, "clouds", maker, "oauth", *rest) if maker in Maker.__members__.values():
                return self._oauth(request, method, self.town.grants[Maker(maker)], rest)
            case (_, "mail" | "push" | "hooks" | "post", *_):
                return self.post_office.control(request)
        raise no_such("resource")

    def _health(self) -> dict[str, object]:
        return {
            "at": self.town.clock.now(),
            "cars": len(self.town.citizens),
            "smtp_url": self.post_office.smtp_url,
        }

    async def close(self) -> None:
        """The end of the town: its cameras' server ends with it."""
        if self._camera_control is not None:
            await self._camera_control.close()

    def _cameras(self) -> CameraControl:
        """The cameras' own part. A town without cameras is not made to wait for the video library."""
        if self._camera_control is None:
            from unlatch.town.camera_control import CameraControl  # noqa: PLC0415

            self._camera_control = CameraControl(self.town.homes)
        return self._camera_control

    def _get(self, vin: str) -> Citizen:
        citizen = self.town.citizens.get(vin)
        if citizen is None:
            raise no_such("car")
        return citizen

    def _car(self, request: Request, citizen: Citizen, rest: list[str]) -> Answer:
        match (request.method, *rest):
            case ("GET",):
                return Answer(200, self._truth(citizen))
            case ("POST", "faults"):
                if not self.town.set_fault(citizen, request.read(Fault)):
                    raise Refused(Answer(409, {"error": "too many faults on this car"}))
                return Answer(200, self._truth(citizen))
            case ("DELETE", "faults"):
                self.town.clear_faults(citizen)
                return Answer(200, self._truth(citizen))
            case ("DELETE", "faults", kind) if kind in FaultKind.__members__.values():
                self.town.clear_faults(citizen, FaultKind(kind))
                return Answer(200, self._truth(citizen))
            case ("POST", "move"):
                return self._move(citizen, request.read(Move))
            case ("POST", hand) if hand in DEED_OF:
                outcome = self.town.act(citizen, DEED_OF[Hand(hand)], why="by hand")
                status = 409 if outcome in FAILED else 200
                return Answer(status, Done(outcome=outcome, state=self._truth(citizen)))
        raise no_such("resource")

    def _add(self, new: NewCar) -> Answer:
        if len(self.town.citizens) >= MAX_CARS:
            raise Refused(Answer(409, {"error": "the town is full"}))
        account = self.town.open_account(new.maker, new.account_id)
        parked_at = place(new.latitude, new.longitude)
        corners = [place(corner.latitude, corner.longitude) for corner in new.route]
        car = Car(
            vin=new.vin,
            maker=new.maker,
            parked_at=parked_at,
            route=Way((parked_at, *corners), is_round=True) if corners else None,
            born_at=self.town.clock.now(),
            armed_s=new.armed_s,
            is_armed_seen=new.is_armed_seen,
        )
        citizen = Citizen(
            car=car,
            account=account,
            is_older_account=new.is_older_account and new.maker is Maker.ONSTAR,
            make=new.make,
            model=new.model,
            model_year=new.model_year,
            colour=new.colour,
            plate=new.plate,
            latency_s=DEFAULT_LATENCY_S[new.maker] if new.latency_s is None else new.latency_s,
            chance=self.town.chance_of(new.vin),
        )
        self.town.settle(citizen)
        added = AddedCar(
            vin=new.vin,
            maker=new.maker,
            account_id=account.account_id,
            token=account.token,
            api_key=account.api_key,
        )
        return Answer(201, added)

    def _list(self, request: Request) -> Answer:
        query = request.query
        start, limit = whole(query.get("start"), 0), min(whole(query.get("limit"), 100), MAX_LIST)
        vins = list(self.town.citizens)[start : start + limit]
        return Answer(200, [self._truth(self.town.citizens[vin]) for vin in vins])

    def _move(self, citizen: Citizen, move: Move) -> Answer:
        car = self.town.look(citizen)
        car.put_down(self.town.clock.now(), place(move.latitude, move.longitude))
        return Answer(200, self._truth(citizen))

    def _ledger(self, request: Request) -> Answer:
        query = request.query
        self.town.look_at_all()
        since = whole(query.get("since"), 0)
        return Answer(
            200, self.town.ledger.page(since, whole(query.get("limit"), MAX_PAGE), query.get("vin"))
        )

    def _cloud(self, request: Request, maker: str) -> Answer:
        if maker not in Maker.__members__.values():
            raise no_such("cloud")
        if request.method == "DELETE":
            self.town.cloud_faults[Maker(maker)].clear()
            return Answer(204)
        if request.method != "POST":
            raise no_such("resource")
        if not self.town.set_cloud_fault(Maker(maker), request.read(Fault)):
            raise Refused(Answer(409, {"error": "not a fault of a cloud, or too many"}))
        return Answer(204)

    def _oauth(self, request: Request, method: str, grants: Grants, rest: list[str]) -> Answer:
        match (method, *rest):
            case ("GET",):
                return Answer(200, dict(grants.counts))
            case ("POST",):
                asked, habits = request.read(NewHabits), grants.habits
                habits.access_for_s = asked.access_for_s or habits.access_for_s
                habits.refresh_for_s = asked.refresh_for_s or habits.refresh_for_s
                if asked.reuse_grace_s is not None:
                    habits.reuse_grace_s = asked.reuse_grace_s or None
                return Answer(204)
            case ("POST", "clients"):
                new = request.read(NewClient)
                if len(grants.clients) >= MAX_CLIENTS and new.client_id not in grants.clients:
                    raise Refused(Answer(409, {"error": "too many applications"}))
                grants.clients[new.client_id] = Client(
                    client_id=new.client_id,
                    client_secret=new.client_secret,
                    redirect_uris=tuple(new.redirect_uris),
                )
                return Answer(204)
            case ("POST", "accounts", account_id, "withdraw"):
                return Answer(200, {"consents": grants.withdraw(account_id)})
        raise no_such("resource")

    def _truth(self, citizen: Citizen) -> Truth:
        car = self.town.look(citizen)
        position = car.position_at(car.now)
        return Truth(
            vin=car.vin,
            maker=car.maker,
            at=car.now,
            is_trunk_locked=car.is_trunk_locked,
            is_lid_open=car.is_lid_open,
            are_doors_locked=car.are_doors_locked,
            is_door_open=car.is_door_open,
            armed_until=car.armed_until,
            is_asleep=car.is_asleep,
            is_online=car.is_online,
            is_moving=car.is_moving,
            latitude=position.latitude,
            longitude=position.longitude,
            changed_at=car.changed_at,
            next_at=car.next_at,
            faults=[one.fault for one in citizen.faults],
            version=self.town.ledger.number,
        )
