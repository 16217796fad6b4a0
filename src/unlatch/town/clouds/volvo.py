"""Volvo Cars' Connected Vehicle API v2 and Location API v1, as far as deliveries need them.

Documented (developer.volvocars.com, public clients of it):

* POST
  /connected-vehicle/v2/vehicles/{vin}/commands/{lock|lock-reduced-guard|unlock|honk|flash|honk-flash}:
  one synchronous answer {"data": {"vin", "invokeStatus", "message"}}, for unlock also readyToUnlock and
  readyToUnlockUntil (seconds). There is no status address. No body is needed.
* GET .../vehicles, .../vehicles/{vin}, .../doors, .../engine-status, .../commands,
  .../command-accessibility, and /location/v1/vehicles/{vin}/location (GeoJSON).
* Headers `authorization: Bearer` and `vcc-api-key`; errors {"error": {"message", "description"}}; 401,
  403, 404, 409, 422, 429, 5xx; the words of invokeStatus; unavailableReason NO_INTERNET,
  POWER_SAVING_MODE, CAR_IN_USE.
* Unlock frees the trunk's handle only, for two minutes. Ten invocations a minute for a user.

Assumed, since nothing public says it: an armed handle reads as centralLock UNLOCKED (a car can be set to
read LOCKED: `is_armed_seen`); a jammed lock answers CAR_ERROR; an awake car's values are at most 5 s old;
a sleeping or unreachable car answers within 1 s and is read as it was last; a command that is never heard
of again ends as TIMEOUT after 30 s.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from unlatch.clock import monotonic_s
from unlatch.town.car import Car, Deed, Maker, Outcome, Report, Run
from unlatch.town.clouds.gate import Gate, Visitor
from unlatch.town.faults import Ending, FaultKind, Verb, plan_command
from unlatch.town.wire import CUT_OFF, Answer, Request
from unlatch.town.world import Citizen, Town

SCOPES: dict[str, tuple[str, ...]] = {
    "details": ("conve:vehicle_relation",),
    "doors": ("conve:doors_status", "conve:lock_status"),
    "engine-status": ("conve:engine_status",),
    "commands": ("conve:commands",),
    "command-accessibility": ("conve:command_accessibility",),
    "location": ("location:read",),
    "lock": ("conve:lock",),
    "lock-reduced-guard": ("conve:lock",),
    "unlock": ("conve:unlock",),
    "honk": ("conve:honk_flash",),
    "flash": ("conve:honk_flash",),
    "honk-flash": ("conve:honk_flash",),
}
UNREACHABLE_S = 1.0
TIMEOUT_S = 30.0

COMMANDS: dict[str, tuple[Deed, Verb]] = {
    "lock": (Deed.LOCK, Verb.LOCK),
    "lock-reduced-guard": (Deed.LOCK, Verb.LOCK),
    "unlock": (Deed.UNLOCK, Verb.UNLOCK),
    "honk": (Deed.ALERT, Verb.ALERT),
    "flash": (Deed.ALERT, Verb.ALERT),
    "honk-flash": (Deed.ALERT, Verb.ALERT),
}
NAMES = {
    "lock": "LOCK",
    "lock-reduced-guard": "LOCK_REDUCED_GUARD",
    "unlock": "UNLOCK",
    "honk": "HONK",
    "flash": "FLASH",
    "honk-flash": "HONK_AND_FLASH",
}
STATUS_OF = {
    Outcome.DONE: "COMPLETED",
    Outcome.ALREADY: "COMPLETED",
    Outcome.LID_OPEN: "UNABLE_TO_LOCK_DOOR_OPEN",
    Outcome.JAMMED: "CAR_ERROR",
    Outcome.IN_MOTION: "NOT_ALLOWED_WRONG_USAGE_MODE",
    Outcome.ASLEEP: "VEHICLE_IN_SLEEP",
    Outcome.OFFLINE: "CONNECTION_FAILURE",
    Outcome.UNSUPPORTED: "NOT_SUPPORTED",
}


def say(_status: int, word: str, description: str) -> object:
    """Volvo's error body: the status is not repeated in it."""
    return {"error": {"message": word, "description": description}}


def stamp(at: datetime) -> str:
    """A timestamp as Volvo writes it: ISO 8601, milliseconds, Z."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


class VolvoCloud:
    """Volvo's two addresses over the town's cars."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.gate = Gate(town, Maker.VOLVO, say)
        self.reads = {
            "": self._details,
            "doors": self._doors,
            "engine-status": self._engine,
            "commands": self._commands,
            "command-accessibility": self._accessibility,
        }

    async def serve(self, request: Request) -> Answer:
        """/connected-vehicle/v2/vehicles..."""
        parts, method = request.parts, request.method
        if len(parts) < 3 or parts[1] != "v2" or parts[2] != "vehicles":
            raise self.gate.refuse(404, "NOT_FOUND", "no such resource")
        self._check_key(request)
        if len(parts) == 3 and method == "GET":
            account = self.gate.account_of(request, SCOPES["details"])
            return Answer(200, {"data": [{"vin": vin} for vin in sorted(account.vins)]})
        if len(parts) == 6 and parts[4] == "commands" and method == "POST":
            return await self._command(request, parts[3], parts[5])
        read = self.reads.get(parts[4] if len(parts) > 4 else "")
        if len(parts) not in (4, 5) or read is None or method != "GET":
            raise self.gate.refuse(404, "NOT_FOUND", "no such resource")
        name = parts[4] if len(parts) > 4 else "details"
        visitor = self.gate.let_in(request, parts[3], Verb.READ, what=name, scopes=SCOPES[name])
        held = await self.gate.held(request, visitor)
        return held or Answer(200, {"data": read(visitor)})

    async def serve_location(self, request: Request) -> Answer:
        """/location/v1/vehicles/{vin}/location"""
        parts = request.parts
        if (
            len(parts) != 5
            or parts[1:3] != ["v1", "vehicles"]
            or parts[4] != "location"
            or request.method != "GET"
        ):
            raise self.gate.refuse(404, "NOT_FOUND", "no such resource")
        self._check_key(request)
        visitor = self.gate.let_in(request, parts[3], Verb.READ, what="location", scopes=SCOPES["location"])
        held = await self.gate.held(request, visitor)
        if held is not None:
            return held
        report = self.town.look(visitor.citizen).report()
        feature = {
            "type": "Feature",
            "properties": {"timestamp": stamp(report.at), "heading": str(round(report.heading_degrees))},
            "geometry": {
                "type": "Point",
                "coordinates": [round(report.position.longitude, 7), round(report.position.latitude, 7), 0.0],
            },
        }
        return Answer(200, {"data": feature})

    def _check_key(self, request: Request) -> None:
        if not request.header(b"vcc-api-key"):
            raise self.gate.refuse(401, "UNAUTHORIZED", "the vcc-api-key header is missing")

    # ---- commands ---------------------------------------------------------------------------------------

    async def _command(self, request: Request, vin: str, name: str) -> Answer:
        if name not in COMMANDS:
            raise self.gate.refuse(404, "NOT_FOUND", f"command {name[:40]} is not supported")
        deed, verb = COMMANDS[name]
        visitor = self.gate.let_in(
            request, vin, verb, what=name, scopes=SCOPES[name], further=self._check_limit
        )
        asked_at = self.town.clock.now()
        citizen = visitor.citizen
        car = self.town.look(citizen)
        latency_s = citizen.latency_s if car.can_be_reached else min(UNREACHABLE_S, citizen.latency_s)
        course = plan_command(visitor.drawn, latency_s)
        run = Run(command_id="", deed=deed)
        self.town.take_on(citizen, run, course, asked_at)
        if FaultKind.CONNECTION_CUT in visitor.drawn:
            return CUT_OFF
        if course.ending is Ending.NEVER:
            return await self.gate.hold(request)
        wait_s = TIMEOUT_S if course.ending is Ending.TIMES_OUT else course.ends_after_s
        if not await request.stays_until(self.town.clock, asked_at + timedelta(seconds=wait_s)):
            return CUT_OFF
        return self._tell(citizen, run, name, course.ending)

    def _check_limit(self, visitor: Visitor) -> None:
        if (wait_s := self.town.invocation_wait_s(visitor.account)) > 0:
            raise self.gate.too_many(wait_s)

    def _tell(self, citizen: Citizen, run: Run, name: str, ending: Ending) -> Answer:
        car = self.town.look(citizen)
        if ending is Ending.SAYS_DONE:
            status = "COMPLETED"
        elif ending is Ending.SAYS_FAILED:
            status = "REJECTED"
        elif ending is Ending.TIMES_OUT or run.outcome is None:
            status = "TIMEOUT"
        else:
            status = STATUS_OF.get(run.outcome, "UNKNOWN")
        self.town.ledger.add(
            "answer",
            at=self.town.clock.now(),
            monotonic_s=monotonic_s(),
            vin=car.vin,
            what=name,
            outcome=status,
        )
        data: dict[str, object] = {"vin": car.vin, "invokeStatus": status, "message": ""}
        if name == "unlock":
            data["readyToUnlock"] = status == "COMPLETED"
            data["readyToUnlockUntil"] = round(car.armed_s) if status == "COMPLETED" else 0
        return Answer(200, {"data": data})

    # ---- readings ---------------------------------------------------------------------------------------

    def _doors(self, visitor: Visitor) -> object:
        citizen = visitor.citizen
        car = self.town.look(citizen)
        report = car.report()
        citizen.reads += 1
        if FaultKind.DUPLICATE_ANSWERS in visitor.drawn and citizen.reads % 2 == 0:
            report = car.before
        return doors_of(report)

    def _details(self, visitor: Visitor) -> object:
        citizen = visitor.citizen
        return {
            "vin": citizen.car.vin,
            "modelYear": citizen.model_year,
            "gearbox": "AUTOMATIC",
            "fuelType": "PETROL/ELECTRIC",
            "externalColour": citizen.colour,
            "descriptions": {"model": citizen.model, "upholstery": "", "steering": "LEFT"},
        }

    def _engine(self, visitor: Visitor) -> object:
        report = self.town.look(visitor.citizen).report()
        value = "RUNNING" if report.speed_kph > 0 else "STOPPED"
        return {"engineStatus": {"value": value, "timestamp": stamp(report.at)}}

    def _commands(self, visitor: Visitor) -> object:
        vin = visitor.citizen.car.vin
        href = f"/connected-vehicle/v2/vehicles/{vin}/commands/"
        return [{"command": word, "href": href + name} for name, word in NAMES.items()]

    def _accessibility(self, visitor: Visitor) -> object:
        car = self.town.look(visitor.citizen)
        at = stamp(self.town.clock.now())
        reason = unavailable_reason(car)
        if reason is None:
            return {"availabilityStatus": {"value": "AVAILABLE", "timestamp": at}}
        return {
            "availabilityStatus": {"value": "UNAVAILABLE", "timestamp": at, "unavailableReason": reason},
            "unavailableReason": {"value": reason, "timestamp": at},
        }


def unavailable_reason(car: Car) -> str | None:
    """Why a car takes no command, in Volvo's words."""
    if not car.is_online:
        return "NO_INTERNET"
    if car.is_asleep:
        return "POWER_SAVING_MODE"
    return "CAR_IN_USE" if car.is_moving else None


def doors_of(report: Report) -> object:
    """The answer of /doors, each value with the moment the car told it."""
    at = stamp(report.at)
    door = {"value": "OPEN" if report.is_door_open else "CLOSED", "timestamp": at}
    shut = {"value": "CLOSED", "timestamp": at}
    is_locked = report.is_trunk_locked and report.are_doors_locked
    return {
        "centralLock": {"value": "LOCKED" if is_locked else "UNLOCKED", "timestamp": at},
        "frontLeftDoor": door,
        "frontRightDoor": shut,
        "rearLeftDoor": shut,
        "rearRightDoor": shut,
        "hood": shut,
        "tailGate": {"value": "OPEN" if report.is_lid_open else "CLOSED", "timestamp": at},
        "tankLid": shut,
    }
