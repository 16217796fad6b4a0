"""Volvo Cars (Volvo On Call): Connected Vehicle API v2 and Location API v1.

Documentation: developer.volvocars.com/apis/connected-vehicle/v2/endpoints/commands and .../doors-windows-locks.
Authorization: OAuth 2 bearer token of the owner, and the application's key in `vcc-api-key`. Code flow with PKCE at
volvoid.eu.volvocars.com (developer.volvocars.com/apis/docs/authorisation); access tokens live some minutes (300 s
seen); a refresh token is good once and lives 7 days unused. Whether a used one has a grace is not documented.

| | |
|---|---|
| commands | POST .../vehicles/{vin}/commands/{unlock,lock,flash}: one synchronous answer, no body, no status address |
| unlock | frees the trunk's handle alone, for at most 120 s; opening the lid then unlocks every door; unused, the car locks itself again (UNLOCK_TIME_FRAME_PASSED) |
| lock | refused while a door or the lid is open (UNABLE_TO_LOCK_DOOR_OPEN) |
| reads | doors and central lock, each value with its own time; engine; position |
| limits | 10 commands a minute for a user; 100 reads a minute and 10,000 requests a day for the application (reported by integrators) |
| latency | 1-5 s when awake; a synchronous answer may be held: we wait 100 s. Asleep after 3-5 unused days; nothing wakes it |
| expiry | of a command: not documented. `late_effect_s` = 300 assumes our wait, then twice the handle's window |

Not documented: whether `centralLock` reads UNLOCKED while only the handle is free. If it reads LOCKED, a fresh
reading of locked *before* `Answer.handle_until` is no proof that the handle is caught: order a lock first.
"""  # noqa: E501 - a table's row is one line

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

from unlatch.devices.base import (
    Answer,
    Authorization,
    Car,
    ClientSends,
    End,
    Evidence,
    Example,
    FormField,
    LinkedCar,
    Maker,
    Reply,
    Sending,
    Verb,
)
from unlatch.devices.link import Heard, quoted
from unlatch.domain.access import Closure, Position
from unlatch.domain.linking import Power
from unlatch.domain.reading import Reading
from unlatch.errors import (
    CommandNotSent,
    CommandRejected,
    CommandUnknown,
    ConsentLost,
    DeviceAsleep,
    DeviceError,
    DeviceUnsupported,
)

VEHICLES = "/connected-vehicle/v2/vehicles/"
LOCATIONS = "/location/v1/vehicles/"
ANSWER_WITHIN_S = 100.0
HANDLE_FREE_S = 120.0
POSITION_ACCURACY_M = 10.0  # assumed: the API tells none, a parked car under open sky is at least this good

DONE = {
    "COMPLETED": Evidence.DEVICE_SAYS,
    "DELIVERED": Evidence.CLOUD_SAYS,  # brought to the car, whose own word is missing
}

# invokeStatus -> what is known of the world, and our word for the cause. SUCCESS, WAITING, RUNNING and SENT
# are words of an asynchronous age: none says that the car acted. CONNECTION_FAILURE, the time-outs, EXPIRED
# and CAR_ERROR leave open how far the command came.
NOT_DONE: dict[str, tuple[type[DeviceError], str]] = {
    "SUCCESS": (CommandUnknown, "pending"),
    "WAITING": (CommandUnknown, "pending"),
    "RUNNING": (CommandUnknown, "pending"),
    "SENT": (CommandUnknown, "pending"),
    "REJECTED": (CommandRejected, "rejected"),
    "UNKNOWN": (CommandUnknown, "unknown"),
    "TIMEOUT": (CommandUnknown, "timeout"),
    "CONNECTION_FAILURE": (CommandUnknown, "offline"),
    "VEHICLE_IN_SLEEP": (DeviceAsleep, "asleep"),
    "CAR_IN_SLEEP_MODE": (DeviceAsleep, "asleep"),
    "UNLOCK_TIME_FRAME_PASSED": (CommandRejected, "window_passed"),
    "UNABLE_TO_LOCK_DOOR_OPEN": (CommandRejected, "door_open"),
    "EXPIRED": (CommandUnknown, "timeout"),
    "NOT_SUPPORTED": (DeviceUnsupported, "not_supported"),
    "DELIVERY_TIMEOUT": (CommandUnknown, "timeout"),
    "CAR_TIMEOUT": (CommandUnknown, "timeout"),
    "CAR_ERROR": (CommandUnknown, "car_error"),
    "NOT_ALLOWED_PRIVACY_ENABLED": (ConsentLost, "privacy_mode"),
    "NOT_ALLOWED_WRONG_USAGE_MODE": (CommandRejected, "unsafe_state"),
    "INVOCATION_SPECIFIC_ERROR": (CommandUnknown, "car_error"),
}

POWERS = {"LOCK": Power.LOCK, "UNLOCK": Power.OPEN, "FLASH": Power.FLASH}
MAKE = "Volvo"
MOST_CARS = 20
# unavailableReason of command-accessibility. CAR_IN_USE says no more than the engine does.
UNAVAILABLE: dict[str, tuple[type[CommandNotSent], str]] = {
    "POWER_SAVING_MODE": (DeviceAsleep, "asleep"),
    "NO_INTERNET": (CommandNotSent, "offline"),
}
LOCKS = {"LOCKED": True, "UNLOCKED": False}
LIDS = {"CLOSED": False, "OPEN": True, "AJAR": True}


class Volvo(Maker):
    """Volvo On Call."""

    name = "volvo"
    label = "Volvo On Call"
    default_address = "https://api.volvocars.com"
    form_fields = (FormField(name="access_token"), FormField(name="api_key"))
    commands_a_minute = 10
    authorization = Authorization(
        address="https://volvoid.eu.volvocars.com",
        authorize_path="/as/authorization.oauth2",
        token_path="/as/token.oauth2",  # noqa: S106 - a path
        revoke_path="/as/revoke_token.oauth2",  # assumed: not on the page, but its server has one there
        client_sends=ClientSends.BASIC,
        scopes={
            "openid": (),
            "conve:vehicle_relation": (Power.SEE_CARS,),
            "conve:commands": (Power.SEE_WHAT_IT_CAN,),
            "conve:command_accessibility": (Power.SEE_WHAT_IT_CAN,),
            "conve:doors_status": (Power.READ_LOCK,),
            "conve:lock_status": (Power.READ_LOCK,),
            "conve:engine_status": (Power.READ_ENGINE,),
            "conve:lock": (Power.LOCK,),
            "conve:unlock": (Power.OPEN,),
            "conve:honk_flash": (Power.FLASH,),
            "location:read": (Power.READ_POSITION,),
        },
        rotates=True,
        reuse_grace_s=None,
        refresh_for_s=7 * 86_400.0,
        source="developer.volvocars.com/apis/docs/authorisation",
        needs_api_key=True,
    )

    def closure(self, car: Car) -> Closure:
        """Lock and lid can be read; an unused unlock ends by itself."""
        return Closure(
            reads_lock=True,
            reads_lid=True,
            locks_itself_after_s=HANDLE_FREE_S,
            late_effect_s=300.0,
            read_every_s=5.0,
        )

    async def unlock(self, car: Car, sending: Sending) -> Answer:
        """Free the trunk's handle."""
        heard = await self._command(car, Verb.UNLOCK, "unlock", sending)
        answer = self._answer(heard, Verb.UNLOCK)
        if heard.find("data", "readyToUnlock") is False:
            raise self.link.unknown(Verb.UNLOCK, "contradiction")  # done, yet the handle is not free
        return Answer(
            evidence=answer.evidence,
            answered_at=answer.answered_at,
            handle_until=self._handle_until(heard, answer.answered_at),
        )

    async def lock(self, car: Car, sending: Sending) -> Answer:
        """Lock everything."""
        return self._answer(await self._command(car, Verb.LOCK, "lock", sending), Verb.LOCK)

    async def flash(self, car: Car) -> Answer:
        """Flash the turn lamps."""
        return self._answer(await self._command(car, Verb.FLASH, "flash", Sending()), Verb.FLASH)

    async def probe(self, car: Car) -> None:
        """Whether it would take a command. A scope of its own: without it, nothing is said."""
        heard = await self._find(car, f"{VEHICLES}{quoted(car.vin)}/command-accessibility")
        told = ("data", "availabilityStatus")
        if heard is None or heard.find_word(*told, "value") != "UNAVAILABLE":
            return
        kind, code = UNAVAILABLE.get(heard.find_word(*told, "unavailableReason") or "", (None, ""))
        if kind is not None:
            raise kind(self.link.text(Verb.READ, code), code=code)

    async def read(self, car: Car, *, wants_position: bool = False) -> Reading:
        """Doors; with the position also the engine, which tells whether the car is parked."""
        if not wants_position:
            return self._reading(await self._get(car, f"{VEHICLES}{quoted(car.vin)}/doors"))
        doors, engine, location = await asyncio.gather(
            self._get(car, f"{VEHICLES}{quoted(car.vin)}/doors"),
            self._find(car, f"{VEHICLES}{quoted(car.vin)}/engine-status"),
            self._find(car, f"{LOCATIONS}{quoted(car.vin)}/location"),
        )
        return self._reading(doors, engine, location)

    async def list_cars(self, secrets: Mapping[str, str]) -> list[LinkedCar]:
        """At most `MOST_CARS`; of a car that tells nothing of itself only the VIN is known."""
        account = Car(maker=self.name, vin="", secrets=secrets)
        heard = await self._get(account, VEHICLES.rstrip("/"))
        listed = heard.find("data")
        if not isinstance(listed, list):
            raise self.link.unknown(Verb.READ, "unexpected_answer")
        vins = [vin for number in range(len(listed)) if (vin := heard.find_word("data", number, "vin"))]
        return [
            await self._describe(Car(maker=self.name, vin=vin, secrets=secrets)) for vin in vins[:MOST_CARS]
        ]

    async def _describe(self, car: Car) -> LinkedCar:
        target = f"{VEHICLES}{quoted(car.vin)}"
        # Nothing public says how a lapsed subscription reads; the prose of a 403 may name it.
        try:
            commands, has_service = await self._get(car, f"{target}/commands"), True
        except ConsentLost as error:
            return LinkedCar(
                vin=car.vin, make=MAKE, has_service=False if error.code == "subscription" else None
            )
        details = await self._find(car, target)
        listed = commands.find("data")
        words = [
            commands.find_word("data", number, "command")
            for number in range(len(listed) if isinstance(listed, list) else 0)
        ]
        year = details.find_number("data", "modelYear") if details is not None else None
        return LinkedCar(
            vin=car.vin,
            make=MAKE,
            model=details.find_word("data", "descriptions", "model") if details is not None else None,
            model_year=int(year) if year is not None and 1980 <= year <= 2100 else None,
            colour=details.find_word("data", "externalColour") if details is not None else None,
            # doors can always be read; the engine and the position have scopes of their own
            powers=frozenset({POWERS[word] for word in words if word in POWERS} | {Power.READ_LOCK}),
            has_service=has_service,
        )

    async def _command(self, car: Car, verb: Verb, command: str, sending: Sending) -> Heard:
        async with self.link.command(car, verb):
            heard = await self.link.post(
                car,
                verb,
                f"{VEHICLES}{quoted(car.vin)}/commands/{command}",
                headers=self._headers(car),
                sending=sending,
                answer_within_s=ANSWER_WITHIN_S,
            )
        word = heard.find_word("data", "invokeStatus")
        if heard.status == 422 and word is not None:
            return heard  # the table tells more than the status
        if heard.status >= 300 and (word in DONE or NOT_DONE.get(word or "", (None,))[0] is CommandUnknown):
            raise self.link.unknown(verb, "contradiction")  # refused by its status, and taken on by its word
        if (error := self.link.refusal(car, verb, heard)) is not None:
            raise error
        return heard

    def _answer(self, heard: Heard, verb: Verb) -> Answer:
        word = heard.find_word("data", "invokeStatus")
        if word in DONE and heard.status == 200:
            return Answer(evidence=DONE[word], answered_at=self.link.clock.now())
        kind, code = NOT_DONE.get(word or "", (CommandUnknown, "unexpected_answer"))
        raise kind(self.link.text(verb, code), code=code)

    def _handle_until(self, heard: Heard, answered_at: datetime) -> datetime | None:
        until_s = heard.find_number("data", "readyToUnlockUntil")
        if until_s is None or until_s <= 0:
            return None
        if until_s > 1e9:  # an epoch: the page says "seconds" and shows no example
            until_s -= answered_at.timestamp()
        return answered_at + timedelta(seconds=min(max(until_s, 0.0), HANDLE_FREE_S))

    async def _get(self, car: Car, target: str) -> Heard:
        heard = await self.link.get(car, target, headers=self._headers(car))
        if (error := self.link.refusal(car, Verb.READ, heard)) is not None:
            raise error
        return heard

    async def _find(self, car: Car, target: str) -> Heard | None:
        try:
            return await self._get(car, target)
        except DeviceError:
            return None  # a scope of its own: without it, the lock is still worth reading

    def _reading(self, doors: Heard, engine: Heard | None = None, location: Heard | None = None) -> Reading:
        now = self.link.clock.now()
        lock_at = doors.find_time("data", "centralLock", "timestamp")
        lid_at = doors.find_time("data", "tailGate", "timestamp")
        is_locked = LOCKS.get(doors.find_word("data", "centralLock", "value") or "")
        is_open = LIDS.get(doors.find_word("data", "tailGate", "value") or "")
        if lock_at is None and lid_at is None:
            raise self.link.unknown(Verb.READ, "unexpected_answer")
        times = [at for at in (lock_at, lid_at) if at is not None]
        # Good news is as old as the lock's own time; bad news is believed from its newest part on.
        is_good = is_locked is True and is_open is not True
        observed_at = (lock_at or min(times)) if is_good else max(times)
        return Reading(
            observed_at=min(observed_at, now),  # a cloud's clock that is ahead must not make old news fresh
            is_locked=is_locked if lock_at is not None else None,
            is_open=None if is_open is False and lid_at is None else is_open,
            is_moving=_is_moving(engine),
            position=_position(location),
        )

    def _headers(self, car: Car) -> dict[str, str]:
        return {
            "authorization": f"Bearer {car.secrets.get('access_token', '')}",
            "vcc-api-key": car.secrets.get("api_key", ""),
        }


def _is_moving(engine: Heard | None) -> bool | None:
    """A running engine counts as moving: someone is in the car, and it is not parked."""
    word = engine.find_word("data", "engineStatus", "value") if engine is not None else None
    return {"RUNNING": True, "STOPPED": False}.get(word or "")


def _position(location: Heard | None) -> Position | None:
    if location is None:
        return None
    longitude = location.find_number("data", "geometry", "coordinates", 0)
    latitude = location.find_number("data", "geometry", "coordinates", 1)
    if latitude is None or longitude is None:
        return None
    try:
        return Position(latitude=latitude, longitude=longitude, accuracy_m=POSITION_ACCURACY_M)
    except ValueError:
        return None


def _command_example(title: str, verb: Verb, data: object, end: End, code: str | None = None) -> Example:
    reply = Reply(to=f"POST {VEHICLES}", body={"data": data})
    return Example(title=title, verb=verb, replies=(reply,), end=end, code=code, source=_COMMANDS_PAGE)


_COMMANDS_PAGE = "developer.volvocars.com/apis/connected-vehicle/v2/endpoints/commands"
_DOORS_PAGE = "developer.volvocars.com/apis/connected-vehicle/v2/endpoints/doors-windows-locks"
_ENDS: dict[type[DeviceError], End] = {CommandUnknown: End.UNKNOWN, CommandRejected: End.REJECTED}


def _doors(lock: str, lid: str, lock_at: str, lid_at: str) -> Reply:
    body = {
        "data": {
            "centralLock": {"value": lock, "timestamp": lock_at},
            "tailGate": {"value": lid, "timestamp": lid_at},
        }
    }
    return Reply(to=f"GET {VEHICLES}", body=body)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


Volvo.examples = (
    *(
        _command_example(
            f"lock answered {word}",
            Verb.LOCK,
            {"vin": "YV1", "invokeStatus": word, "message": ""},
            _ENDS.get(kind, End.NOT_SENT),
            code,
        )
        for word, (kind, code) in NOT_DONE.items()
    ),
    _command_example(
        "unlock: the handle is free",
        Verb.UNLOCK,
        {"invokeStatus": "COMPLETED", "readyToUnlock": True, "readyToUnlockUntil": 120},
        End.DONE,
    ),
    _command_example(
        "unlock: done, and yet not ready",
        Verb.UNLOCK,
        {"invokeStatus": "COMPLETED", "readyToUnlock": False},
        End.UNKNOWN,
        "contradiction",
    ),
    _command_example("lock: brought to the car", Verb.LOCK, {"invokeStatus": "DELIVERED"}, End.DONE),
    _command_example("flash", Verb.FLASH, {"invokeStatus": "COMPLETED"}, End.DONE),
    _command_example(
        "a word nobody knows", Verb.UNLOCK, {"invokeStatus": "SHRUG"}, End.UNKNOWN, "unexpected_answer"
    ),
    Example(
        title="locked and closed: as old as the lock's time",
        verb=Verb.READ,
        replies=(_doors("LOCKED", "CLOSED", "2026-11-22T10:00:00.000Z", "2026-11-22T10:05:00Z"),),
        reading=Reading(observed_at=_at("2026-11-22T10:00:00+00:00"), is_locked=True, is_open=False),
        source=_DOORS_PAGE,
    ),
    Example(
        title="open: as new as its newest part",
        verb=Verb.READ,
        replies=(_doors("UNLOCKED", "AJAR", "2026-11-22T10:00:00Z", "2026-11-22T10:05:00Z"),),
        reading=Reading(observed_at=_at("2026-11-22T10:05:00+00:00"), is_locked=False, is_open=True),
        source=_DOORS_PAGE,
    ),
    Example(
        title="a lid that is not told",
        verb=Verb.READ,
        replies=(_doors("LOCKED", "UNSPECIFIED", "2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z"),),
        reading=Reading(observed_at=_at("2026-11-22T10:00:00+00:00"), is_locked=True, is_open=None),
        source=_DOORS_PAGE,
    ),
    Example(
        title="the token has ended",
        verb=Verb.UNLOCK,
        replies=(Reply(to=f"POST {VEHICLES}", status=401, body={"error": {"message": "UNAUTHORIZED"}}),),
        end=End.NOT_SENT,
        code="auth_expired",
        source=_COMMANDS_PAGE,
    ),
    Example(
        title="eleven commands in a minute",
        verb=Verb.LOCK,
        replies=(
            Reply(to=f"POST {VEHICLES}", status=429, body={"error": {}}, headers={"retry-after": "30"}),
        ),
        end=End.NOT_SENT,
        code="rate_limited",
        source="github.com/thomasddn/ha-volvo-cars/issues/56",
    ),
    Example(
        title="the gateway gave up",
        verb=Verb.UNLOCK,
        replies=(Reply(to=f"POST {VEHICLES}", status=504, body="<html>"),),
        end=End.UNKNOWN,
        code="vendor_down",
        source=_COMMANDS_PAGE,
    ),
)
