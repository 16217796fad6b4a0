"""/town/homes: the hands at the town's homes. Adds homes, sets faults, opens and closes doors, tells the truth."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from unlatch.town.car import Outcome
from unlatch.town.faults import Fault, FaultKind
from unlatch.town.home import BY_HUB, Home, HomeDeed, HomeKind
from unlatch.town.homes import MAX_HOMES, Dwelling, Homes
from unlatch.town.hub_states import ALARM, CAMERA, CHIME, LAMP, PET
from unlatch.town.wire import Answer, Refused, Request

HomeId = Annotated[str, msgspec.Meta(pattern="^[a-z0-9-]{1,40}$")]
MAX_LIST = 1_000
HANDS = {deed.value.replace("_", "-"): deed for deed in HomeDeed if deed not in BY_HUB}
FAILED = frozenset({Outcome.IS_LOCKED, Outcome.WILL_NOT_CLOSE, Outcome.UNSUPPORTED})


class NewHome(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A home to add. `latency_s`: how long its lock takes, town seconds."""

    home_id: HomeId
    kind: HomeKind = HomeKind.DOOR
    has_contact: bool = True
    has_second_bolt: bool = False
    tells_way: bool = True
    is_assumed: bool = False  # its lock's state is what was sent to it
    has_pet: bool = False
    has_lamp: bool = False
    locks_itself_after_s: Annotated[float, msgspec.Meta(ge=1, le=9_999)] | None = None
    latency_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 2.0


class AddedHome(msgspec.Struct, kw_only=True, frozen=True):
    """What a connector needs to reach the home: the path of its hub, a token, the names of its entities."""

    home_id: str
    path: str
    token: str
    entity: str
    contact: str | None
    second_bolt: str | None
    alarm: str
    pet: str | None
    bell: str
    lamp: str | None
    camera: str  # shows what the first camera in its hall sees, if one hangs there


class HomeTruth(msgspec.Struct, kw_only=True, frozen=True):
    """What is physically so, whatever a hub may say. `version` is the ledger's last number."""

    home_id: str
    kind: HomeKind
    at: datetime
    is_secured: bool
    is_thrown: bool
    is_open: bool
    is_second_thrown: bool
    is_jammed: bool
    moving: HomeDeed | None
    is_radio_on: bool
    is_hub_up: bool
    is_wifi_up: bool
    is_alarm_armed: bool
    is_alarm_ringing: bool
    is_someone_in: bool
    has_pet: bool
    is_pet_loose: bool
    is_lamp_on: bool
    rung: int
    changed_at: datetime
    next_at: datetime | None
    faults: list[Fault]
    version: int


class HomeDone(msgspec.Struct, kw_only=True, frozen=True):
    """How a deed by hand ended, and what is so now."""

    outcome: Outcome
    state: HomeTruth


def _no_such(what: str) -> Refused:
    return Refused(Answer(404, {"error": f"no such {what}"}))


class HomeControl:
    """The endpoints under /town/homes."""

    def __init__(self, homes: Homes) -> None:
        self.homes = homes

    def serve(self, request: Request, rest: list[str]) -> Answer:
        """`rest` are the path's parts after /town/homes."""
        match (request.method, *rest):
            case ("POST",):
                return self._add(request.read(NewHome))
            case ("GET",):
                found = list(self.homes.dwellings.values())[:MAX_LIST]
                return Answer(200, [self._truth(one) for one in found])
            case (method, home_id, *more):
                dwelling = self.homes.dwellings.get(home_id)
                if dwelling is None:
                    raise _no_such("home")
                return self._one(request, method, dwelling, more)
        raise _no_such("resource")

    def _one(self, request: Request, method: str, dwelling: Dwelling, more: list[str]) -> Answer:
        match (method, *more):
            case ("GET",):
                return Answer(200, self._truth(dwelling))
            case ("POST", "faults"):
                if not self.homes.set_fault(dwelling, request.read(Fault)):
                    raise Refused(Answer(409, {"error": "not a fault of a home, or too many"}))
                return Answer(200, self._truth(dwelling))
            case ("DELETE", "faults"):
                self.homes.clear_faults(dwelling)
                return Answer(200, self._truth(dwelling))
            case ("DELETE", "faults", kind) if kind in FaultKind.__members__.values():
                self.homes.clear_faults(dwelling, FaultKind(kind))
                return Answer(200, self._truth(dwelling))
            case ("POST", hand) if hand in HANDS:
                outcome = self.homes.act(dwelling, HANDS[hand], why="by hand")
                status = 409 if outcome in FAILED else 200
                return Answer(status, HomeDone(outcome=outcome, state=self._truth(dwelling)))
            case ("POST", "restart-hub"):
                dwelling.states.restart(self.homes.clock.now())
                return Answer(200, self._truth(dwelling))
            case ("POST", "report"):
                dwelling.states.report(self.homes.clock.now())
                return Answer(200, self._truth(dwelling))
        raise _no_such("resource")

    def _add(self, new: NewHome) -> Answer:
        if len(self.homes.dwellings) >= MAX_HOMES:
            raise Refused(Answer(409, {"error": "the town is full"}))
        home = Home(
            home_id=new.home_id,
            kind=new.kind,
            born_at=self.homes.clock.now(),
            has_contact=new.has_contact,
            has_second_bolt=new.has_second_bolt,
            tells_way=new.tells_way,
            has_pet=new.has_pet,
            has_lamp=new.has_lamp,
            locks_itself_after_s=new.locks_itself_after_s,
        )
        dwelling = self.homes.settle(home, new.latency_s)
        dwelling.states.is_assumed = new.is_assumed
        dwelling.states.refresh(home.now)
        states = dwelling.states
        added = AddedHome(
            home_id=new.home_id,
            path=f"/hub/{new.home_id}",
            token=dwelling.token,
            entity=states.main,
            contact=states.contact if home.has_contact else None,
            second_bolt=states.second_bolt if home.has_second_bolt else None,
            alarm=ALARM,
            pet=PET if home.has_pet else None,
            bell=CHIME,
            lamp=LAMP if home.has_lamp else None,
            camera=CAMERA,
        )
        return Answer(201, added)

    def _truth(self, dwelling: Dwelling) -> HomeTruth:
        home = self.homes.look(dwelling)
        return HomeTruth(
            home_id=home.home_id,
            kind=home.kind,
            at=home.now,
            is_secured=home.is_secured,
            is_thrown=home.is_thrown,
            is_open=home.is_open,
            is_second_thrown=home.is_second_thrown,
            is_jammed=home.is_jammed,
            moving=home.moving,
            is_radio_on=home.is_radio_on,
            is_hub_up=home.is_hub_up,
            is_wifi_up=home.is_wifi_up,
            is_alarm_armed=home.is_alarm_armed,
            is_alarm_ringing=home.is_alarm_ringing,
            is_someone_in=home.is_someone_in,
            has_pet=home.has_pet,
            is_pet_loose=home.is_pet_loose,
            is_lamp_on=home.is_lamp_on,
            rung=home.rung,
            changed_at=home.changed_at,
            next_at=home.next_at,
            faults=[one.fault for one in dwelling.faults],
            version=self.homes.ledger.number,
        )
