"""GM's mobile API as OnStar's unofficial clients know it (OnStarJS 2.14, pyonstar), as deliveries need it.

Known from those clients:

* POST /veh/cmd/v3/{lock|unlock|lockTrunk|unlockTrunk|alert|cancelAlert}/{VIN}, body
  {"unlockTrunkRequest": {"delay": 0}} (minutes), answers {"requestId", "requestTime", "status":
  "IN_PROGRESS", "url", "error"}; the url is polled by GET until its status is another one.
* Vehicles that v3 does not serve answer 400; there POST /api/v1/account/vehicles/{VIN}/commands/{command}
  answers {"commandResponse": {"requestTime", "status": "inProgress", "url", "type", "body"}}, polled
  likewise at .../requests/{id}. A failure carries body.error, such as ONS-216 "Unable to establish packet
  session to the vehicle".
* GET /veh/datadelivery/digitaltwin/v1/vehicles/{VIN}?sms=true|false&region=na: telemetry.data.position
  {lat, lng}, .velocity {spdInKph, dir}, .session.updatePending; sms=true asks the car for a new report.
* unlockTrunk frees the trunk alone and does not open it; all doors stay locked. lockTrunk does not close
  it.

Assumed, since nothing public says it: telemetry.data.closures (lock and lid of the trunk, doors) and
every `ts`; that accounts of the older kind get 400 from v3, 404 from the digital twin, and their position
by the v1 command `location` (body.location {lat, long}, body.speed, body.direction); the v3 status
address; the scopes of a token, and what the list of an account tells of a car; the code words for
asleep, lid open, jammed and in motion; that lockTrunk on an open lid is a failure; that an awake car's
values are at most 5 s old; error bodies of 4xx and 5xx.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from unlatch.clock import monotonic_s
from unlatch.town.car import WENT_WELL, Deed, Maker, Outcome, Report, Run
from unlatch.town.clouds.gate import Gate, Visitor
from unlatch.town.faults import Ending, FaultKind, Verb, plan_command
from unlatch.town.wire import CUT_OFF, Answer, Request
from unlatch.town.world import Citizen, Town

MAX_COMMANDS = 100_000  # remembered; the oldest is forgotten first (404)
REFRESH_S = 1.0  # from sms=true to the car's new report
REFRESH_GIVEN_UP_S = 60.0
MAX_DELAY_MINUTES = 60

COMMANDS: dict[str, tuple[Deed, Verb]] = {
    "lock": (Deed.LOCK, Verb.LOCK),
    "unlock": (Deed.UNLOCK, Verb.UNLOCK),
    "lockTrunk": (Deed.LOCK_TRUNK, Verb.LOCK),
    "unlockTrunk": (Deed.UNLOCK_TRUNK, Verb.UNLOCK),
    "alert": (Deed.ALERT, Verb.ALERT),
    "cancelAlert": (Deed.ALERT, Verb.ALERT),
}
SCOPES: dict[str, tuple[str, ...]] = {  # assumed
    "lockTrunk": ("trunk:lock",),
    "unlockTrunk": ("trunk:unlock",),
    "lock": ("doors",),
    "unlock": ("doors",),
    "alert": ("vehicle:alert",),
    "cancelAlert": ("vehicle:alert",),
    "location": ("vehicle:location",),
    "digitaltwin": ("vehicle:status", "vehicle:location"),
    "vehicles": ("vehicles",),
}
V1_NAMES = {"lockDoor": "lock", "unlockDoor": "unlock"}  # v1 calls two of them otherwise
ERROR_OF = {
    Outcome.OFFLINE: ("ONS-216", "Unable to establish packet session to the vehicle"),
    Outcome.ASLEEP: ("ONS-217", "Vehicle is in sleep mode"),
    Outcome.LID_OPEN: ("ONS-301", "Trunk or door is open"),
    Outcome.JAMMED: ("ONS-302", "Latch did not reach its end position"),
    Outcome.IN_MOTION: ("ONS-303", "Vehicle is in motion"),
}
SOME_ERROR = ("ONS-400", "Command failed")


@dataclass(slots=True, kw_only=True)
class Command:
    """One command that was taken on."""

    vin: str
    name: str
    run: Run
    asked_at: datetime
    ends_at: datetime
    ending: Ending
    is_v1: bool
    is_doubled: bool
    asked_since_end: int = 0
    is_told: bool = False


def say(status: int, word: str, description: str) -> object:
    """GM's error body (assumed)."""
    return {"status": status, "error": word, "message": description}


def stamp(at: datetime) -> str:
    """A time as GM writes it: ISO 8601, milliseconds, Z."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


class OnStarCloud:
    """GM's mobile API over the town's cars."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.gate = Gate(town, Maker.ONSTAR, say)
        self.commands: OrderedDict[str, Command] = OrderedDict()

    async def serve(self, request: Request) -> Answer:
        """/veh/..."""
        parts, method = request.parts, request.method
        if parts[1:3] == ["cmd", "v3"] and len(parts) == 5 and method == "POST":
            return await self._command(request, parts[4], parts[3], is_v1=False)
        if parts[1:4] == ["cmd", "v3", "requests"] and len(parts) == 6 and method == "GET":
            return await self._status(request, parts[4], parts[5])
        if (
            parts[1:5] == ["datadelivery", "digitaltwin", "v1", "vehicles"]
            and len(parts) == 6
            and method == "GET"
        ):
            return await self._twin(request, parts[5])
        raise self.gate.refuse(404, "NOT_FOUND", "no such resource")

    async def serve_v1(self, request: Request) -> Answer:
        """/api/v1/account/vehicles/{VIN}/..."""
        parts, method = request.parts, request.method
        if parts[1:4] == ["v1", "account", "vehicles"]:
            if len(parts) == 4 and method == "GET":
                account = self.gate.account_of(request, SCOPES["vehicles"])
                cars = [papers_of(self.town.citizens[vin]) for vin in sorted(account.vins)]
                return Answer(200, {"vehicles": {"vehicle": cars}})
            if len(parts) == 7 and parts[5] == "commands" and method == "POST":
                name = V1_NAMES.get(parts[6], parts[6])
                return await self._command(request, parts[4], name, is_v1=True)
            if len(parts) == 7 and parts[5] == "requests" and method == "GET":
                return await self._status(request, parts[4], parts[6])
        raise self.gate.refuse(404, "NOT_FOUND", "no such resource")

    # ---- commands ---------------------------------------------------------------------------------------

    async def _command(self, request: Request, vin: str, name: str, *, is_v1: bool) -> Answer:
        if is_v1 and name == "location":
            deed, verb = Deed.LOCATE, Verb.READ
        elif name in COMMANDS:
            deed, verb = COMMANDS[name]
        else:
            raise self.gate.refuse(404, "NOT_FOUND", "no such command")
        body = request.read(dict[str, object])
        further = None if is_v1 else self._check_newer
        visitor = self.gate.let_in(request, vin, verb, what=name, scopes=SCOPES[name], further=further)
        command_id, command = self._take_on(visitor, name, deed, delay_s(body), is_v1=is_v1)
        if FaultKind.CONNECTION_CUT in visitor.drawn:
            return CUT_OFF
        if (silent := visitor.drawn.get(FaultKind.SILENT)) is not None and silent.hangs:
            return await self.gate.hold(request)
        return Answer(200, self._shape(request, command_id, command, "IN_PROGRESS"))

    def _check_newer(self, visitor: Visitor) -> None:
        if visitor.citizen.is_older_account:
            raise self.gate.refuse(400, "Bad Request", "the command is not supported for this vehicle")

    def _take_on(
        self, visitor: Visitor, name: str, deed: Deed, later_s: float, *, is_v1: bool
    ) -> tuple[str, Command]:
        now = self.town.clock.now()
        command_id = secrets.token_hex(8)
        course = plan_command(visitor.drawn, visitor.citizen.latency_s + later_s)
        run = Run(command_id=command_id, deed=deed)
        command = Command(
            vin=visitor.citizen.car.vin,
            name=name,
            run=run,
            asked_at=now,
            ends_at=now + timedelta(seconds=course.ends_after_s),
            ending=course.ending,
            is_v1=is_v1,
            is_doubled=course.is_doubled,
        )
        self.commands[command_id] = command
        if len(self.commands) > MAX_COMMANDS:
            self.commands.popitem(last=False)
        self.town.take_on(visitor.citizen, run, course, now)
        return command_id, command

    async def _status(self, request: Request, vin: str, command_id: str) -> Answer:
        visitor = self.gate.let_in(request, vin, Verb.READ, what="status")
        command = self.commands.get(command_id)
        if command is None or command.vin != vin:
            raise self.gate.refuse(404, "NOT_FOUND", "no such request")
        held = await self.gate.held(request, visitor)
        if held is not None:
            return held
        word = self._word(visitor.citizen, command)
        if word != "IN_PROGRESS" and not command.is_told:
            command.is_told = True
            self.town.ledger.add(
                "answer",
                at=self.town.clock.now(),
                monotonic_s=monotonic_s(),
                vin=vin,
                what=command.name,
                outcome=word,
                command_id=command_id,
            )
        return Answer(200, self._shape(request, command_id, command, word))

    def _word(self, citizen: Citizen, command: Command) -> str:
        """The status word now. Doubled answers go success, in progress, success."""
        self.town.look(citizen)
        if command.ending in (Ending.NEVER, Ending.TIMES_OUT) or self.town.clock.now() < command.ends_at:
            return "IN_PROGRESS"
        command.asked_since_end += 1
        if command.is_doubled and command.asked_since_end % 2 == 0:
            return "IN_PROGRESS"
        if command.ending is Ending.TRUE:
            return "SUCCESS" if command.run.outcome in WENT_WELL else "FAILURE"
        return "SUCCESS" if command.ending is Ending.SAYS_DONE else "FAILURE"

    def _shape(self, request: Request, command_id: str, command: Command, word: str) -> object:
        """The command as v3 or v1 shows it."""
        error = None
        if word == "FAILURE":
            outcome = command.run.outcome if command.ending is Ending.TRUE else None
            code, description = ERROR_OF.get(outcome, SOME_ERROR) if outcome is not None else SOME_ERROR
            error = {"code": code, "description": description}
        times = {"requestTime": stamp(command.asked_at)}
        if word != "IN_PROGRESS":
            times["completionTime"] = stamp(command.ends_at)
        if not command.is_v1:
            url = f"{request.address}/veh/cmd/v3/requests/{command.vin}/{command_id}"
            return {"requestId": command_id, **times, "status": word, "url": url, "error": error}
        url = f"{request.address}/api/v1/account/vehicles/{command.vin}/requests/{command_id}"
        v1_word = {"IN_PROGRESS": "inProgress", "SUCCESS": "success", "FAILURE": "failure"}[word]
        body: object = {"error": error} if error is not None else None
        if word == "SUCCESS" and command.name == "location":
            body = location_of(self.town.look(self.town.citizens[command.vin]).report())
        shape: dict[str, object] = {**times, "url": url, "status": v1_word, "type": command.name}
        if body is not None:
            shape["body"] = body
        return {"commandResponse": shape}

    # ---- readings ---------------------------------------------------------------------------------------

    def _check_has_twin(self, visitor: Visitor) -> None:
        if visitor.citizen.is_older_account:
            raise self.gate.refuse(404, "NOT_FOUND", "not supported for this vehicle")

    async def _twin(self, request: Request, vin: str) -> Answer:
        visitor = self.gate.let_in(
            request,
            vin,
            Verb.READ,
            what="digitaltwin",
            scopes=SCOPES["digitaltwin"],
            further=self._check_has_twin,
        )
        citizen = visitor.citizen
        held = await self.gate.held(request, visitor)
        if held is not None:
            return held
        now = self.town.clock.now()
        car = self.town.look(citizen)
        pending = "COMPLETE"
        if request.query.get("sms") == "true":
            citizen.asked_report_at = now
        if citizen.asked_report_at is not None:
            waited_s = (now - citizen.asked_report_at).total_seconds()
            if car.can_be_reached:
                pending = "PENDING" if waited_s < REFRESH_S else "COMPLETE"
                if waited_s >= REFRESH_S:
                    car.heard_at = max(car.heard_at, citizen.asked_report_at + timedelta(seconds=REFRESH_S))
            else:
                pending = "PENDING" if waited_s < REFRESH_GIVEN_UP_S else "FAILED"
        return Answer(200, {"telemetry": {"data": twin_of(car.report(), pending)}})


def papers_of(citizen: Citizen) -> object:
    """A car in the list of an account. Field names as the unofficial clients print them; the values are assumed."""
    is_lapsed = any(one.fault.kind is FaultKind.SUBSCRIPTION_LAPSED for one in citizen.faults)
    return {
        "vin": citizen.car.vin,
        "make": citizen.make,
        "model": citizen.model,
        "year": str(citizen.model_year),
        "color": citizen.colour,
        "onstarStatus": "INACTIVE" if is_lapsed else "ACTIVE",
        "commands": {"command": [{"name": name} for name in (*COMMANDS, "location")]},
    }


def delay_s(body: dict[str, object]) -> float:
    """The body's delay, as town seconds; anything else than a number of minutes is none."""
    for value in body.values():
        if isinstance(value, dict):
            delay = value.get("delay")
            if isinstance(delay, int) and 0 <= delay <= MAX_DELAY_MINUTES:
                return delay * 60.0
    return 0.0


def location_of(report: Report) -> object:
    """The body of the v1 command `location`: texts, as GM gives them."""
    return {
        "location": {"lat": f"{report.position.latitude:.7f}", "long": f"{report.position.longitude:.7f}"},
        "direction": {"value": f"{report.heading_degrees:.0f}", "unit": "DEG"},
        "speed": {"value": f"{report.speed_kph:.1f}", "unit": "KPH"},
        "timestamp": stamp(report.at),
    }


def twin_of(report: Report, pending: str) -> object:
    """telemetry.data of the digital twin."""
    ts = stamp(report.at)
    return {
        "position": {
            "lat": round(report.position.latitude, 7),
            "lng": round(report.position.longitude, 7),
            "accuracyInMeters": report.position.accuracy_m,
            "ts": ts,
        },
        "velocity": {"spdInKph": report.speed_kph, "dir": round(report.heading_degrees), "ts": ts},
        "closures": {
            "trunk": {
                "lockState": "LOCKED" if report.is_trunk_locked else "UNLOCKED",
                "lidState": "OPEN" if report.is_lid_open else "CLOSED",
                "ts": ts,
            },
            "doors": {
                "lockState": "LOCKED" if report.are_doors_locked else "UNLOCKED",
                "openState": "OPEN" if report.is_door_open else "CLOSED",
                "ts": ts,
            },
        },
        "session": {"updatePending": pending, "ts": ts},
    }
