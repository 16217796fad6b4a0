"""GM OnStar (Chevrolet, Buick, GMC, Cadillac): the mobile API, request first and poll its status afterwards.

No public contract exists: for a product this needs GM's partner programme. Known from the npm package onstarjs2
2.14 (github.com/BigThunderSR/OnStarJS) and the PyPI package pyonstar. Authorization: the owner's bearer token.

| | |
|---|---|
| commands | POST /veh/cmd/v3/{unlockTrunk,lockTrunk,alert}/{vin} -> IN_PROGRESS and a status address; classic accounts: POST /api/v1/account/vehicles/{vin}/commands/... |
| unlockTrunk | frees the trunk alone, all doors stay locked; lockTrunk locks it and does not close it |
| reads | newer accounts: the digital twin (position, and lock and lid, whose field names are assumed); classic ones: position alone, by the command `location` |
| limits | not documented; 429 with Retry-After; polling readings often invites it |
| latency | about 20 s a command; 94 s seen. We poll every 6 s for 100 s, then the end is unknown |
| expiry | of a command: not documented. `late_effect_s` = 300 is three times the longest answer seen |
"""  # noqa: E501 - a table's row is one line

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

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
from unlatch.devices.body import read_number
from unlatch.devices.link import Heard, Link, quoted
from unlatch.domain.access import Closure, Position
from unlatch.domain.linking import Power
from unlatch.domain.reading import Reading
from unlatch.errors import CommandRejected, DeviceError, DeviceUnsupported

COMMANDS_V3 = "/veh/cmd/v3/"
VEHICLES_V1 = "/api/v1/account/vehicles/"
TWIN = "/veh/datadelivery/digitaltwin/v1/vehicles/"
ANSWER_WITHIN_S = 30.0  # the request only takes the command on
POLL_EVERY_S = 6.0
PATIENCE_S = 100.0
POSITION_ACCURACY_M = 10.0  # assumed: none is told
MOST_CARS_REMEMBERED = 100_000
NEWER = "newer"
CLASSIC = "classic"

DONE_WORDS = frozenset({"success", "completed", "complete"})
FAILED_WORDS = frozenset({"failure", "failed", "error"})
PENDING_WORDS = frozenset({"inprogress", "in_progress"})

# error.code of a failure -> our word. ONS-216 is seen in the wild; the others are assumed.
FAILURES = {
    "ONS-216": "offline",
    "ONS-217": "asleep",
    "ONS-301": "door_open",
    "ONS-302": "jammed",
    "ONS-303": "unsafe_state",
}
POWERS = {
    "unlockTrunk": Power.OPEN,
    "lockTrunk": Power.LOCK,
    "alert": Power.FLASH,
    "location": Power.READ_POSITION,
}
MOST_CARS = 20
LOCKS = {"LOCKED": True, "UNLOCKED": False}
LIDS = {"CLOSED": False, "OPEN": True}
PLAIN_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)  # as v1 writes one; Python takes more for a number

REQUESTS: dict[str, object] = {
    "unlockTrunk": {"unlockTrunkRequest": {"delay": 0}},
    "lockTrunk": {"lockTrunkRequest": {"delay": 0}},
    "alert": {"alertRequest": {"action": ["Flash"], "delay": 0, "duration": 1, "override": ["DoorOpen"]}},
    "location": {},
}


class OnStar(Maker):
    """OnStar."""

    name = "onstar"
    label = "OnStar"
    default_address = "https://na-mobile-api.gm.com"
    form_fields = (FormField(name="access_token"),)
    account_kinds = (CLASSIC, NEWER)
    # All of it assumed but the token's path: GM opens its accounts to partners by contract.
    authorization = Authorization(
        authorize_path="/sec/authz/v3/oauth/authorize",
        token_path="/sec/authz/v3/oauth/token",  # noqa: S106 - a path
        revoke_path="/sec/authz/v3/oauth/revoke",
        client_sends=ClientSends.POST,
        scopes={
            "vehicles": (Power.SEE_CARS, Power.SEE_WHAT_IT_CAN),
            "trunk:unlock": (Power.OPEN,),
            "trunk:lock": (Power.LOCK,),
            "vehicle:status": (Power.READ_LOCK, Power.READ_ENGINE),
            "vehicle:location": (Power.READ_POSITION,),
            "vehicle:alert": (Power.FLASH,),
        },
        rotates=True,
        reuse_grace_s=None,
        refresh_for_s=None,
        source="assumed; the token's path: github.com/BigThunderSR/OnStarJS",
    )

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self._old_cars: set[str] = set()  # newer accounts whose cars v3 has refused

    def closure(self, car: Car) -> Closure:
        """Newer accounts read lock and lid; on the others locked is never seen, only said."""
        is_newer = car.account_kind == NEWER
        return Closure(
            reads_lock=is_newer,
            reads_lid=is_newer,
            locks_itself_after_s=None,
            late_effect_s=300.0,
            read_every_s=10.0 if is_newer else 60.0,
        )

    async def unlock(self, car: Car, sending: Sending) -> Answer:
        """Free the trunk alone."""
        return await self._command(car, Verb.UNLOCK, "unlockTrunk", sending)

    async def lock(self, car: Car, sending: Sending) -> Answer:
        """Lock the trunk."""
        return await self._command(car, Verb.LOCK, "lockTrunk", sending)

    async def flash(self, car: Car) -> Answer:
        """Flash the lamps. Taken on is enough: a courier who waits sees the rest, and the car stays free."""
        return await self._command(car, Verb.FLASH, "alert", Sending())

    async def read(self, car: Car, *, wants_position: bool = False) -> Reading:
        """Newer accounts: the digital twin. Classic ones tell their position only, and take long over it.

        `sms=true` also asks the car for a new report, which the next reading finds: this one does not wait.
        """
        if car.account_kind != NEWER:
            return await self._read_classic(car, wants_position)
        target = f"{TWIN}{quoted(car.vin)}?sms=true&region=na"
        heard = await self.link.get(car, target, headers=self._headers(car))
        return self._reading(self._taken_on(car, Verb.READ, heard))

    async def list_cars(self, secrets: Mapping[str, str]) -> list[LinkedCar]:
        """At most `MOST_CARS`. Which kind of account it is, the digital twin tells: the classic ones have none."""
        account = Car(maker=self.name, vin="", secrets=secrets)
        target = f"{VEHICLES_V1.rstrip('/')}?includeCommands=true&includeEntitlements=true"
        heard = await self.link.get(account, target, headers=self._headers(account))
        listed = self._taken_on(account, Verb.READ, heard).find("vehicles", "vehicle")
        if not isinstance(listed, list):
            raise self.link.unknown(Verb.READ, "unexpected_answer")
        cars = []
        for number in range(min(len(listed), MOST_CARS)):
            vin = heard.find_word("vehicles", "vehicle", number, "vin")
            if vin is not None:
                cars.append(
                    await self._describe(Car(maker=self.name, vin=vin, secrets=secrets), heard, number)
                )
        return cars

    async def _describe(self, car: Car, heard: Heard, number: int) -> LinkedCar:
        told = ("vehicles", "vehicle", number)
        twin = await self.link.get(
            car, f"{TWIN}{quoted(car.vin)}?sms=false&region=na", headers=self._headers(car)
        )
        if twin.status not in (200, 403, 404):
            self._taken_on(car, Verb.READ, twin)
        is_newer = twin.status == 200
        listed = heard.find(*told, "commands", "command")
        words = {
            heard.find_word(*told, "commands", "command", index, "name")
            for index in range(len(listed) if isinstance(listed, list) else 0)
        }
        powers = {power for word, power in POWERS.items() if word in words}
        year = _number(heard.find(*told, "year"))
        status = heard.find_word(*told, "onstarStatus")
        return LinkedCar(
            vin=car.vin,
            make=heard.find_word(*told, "make"),
            model=heard.find_word(*told, "model"),
            model_year=int(year) if year is not None and 1980 <= year <= 2100 else None,
            colour=heard.find_word(*told, "color"),
            account_kind=NEWER if is_newer else CLASSIC,
            powers=frozenset(powers | ({Power.READ_LOCK} if is_newer else set())) if words else None,
            has_service=None if status is None else status.upper() == "ACTIVE",
        )

    async def _read_classic(self, car: Car, wants_position: bool) -> Reading:
        if not wants_position:
            raise DeviceUnsupported(self.link.text(Verb.READ, "not_supported"), code="not_supported")
        target = f"{VEHICLES_V1}{quoted(car.vin)}/commands/location"
        heard = await self._send(car, Verb.READ, target, "location", Sending())
        try:
            heard = await self._follow(car, Verb.READ, self._taken_on(car, Verb.READ, heard))
        except CommandRejected as error:
            raise self.link.not_sent(Verb.READ, error.code) from None
        told = ("commandResponse", "body")
        observed_at = heard.find_time(*told, "timestamp")
        if observed_at is None:
            raise self.link.unknown(Verb.READ, "unexpected_answer")
        return Reading(
            observed_at=min(observed_at, self.link.clock.now()),
            is_moving=_is_moving(_number(heard.find(*told, "speed", "value"))),
            position=_position(
                _number(heard.find(*told, "location", "lat")), _number(heard.find(*told, "location", "long"))
            ),
        )

    async def _command(self, car: Car, verb: Verb, command: str, sending: Sending) -> Answer:
        async with self.link.command(car, verb):
            heard = await self._post(car, verb, command, sending)
            if verb is Verb.FLASH and _word(heard) in PENDING_WORDS:
                return self._answer(heard)
            return self._answer(await self._follow(car, verb, heard))

    async def _post(self, car: Car, verb: Verb, command: str, sending: Sending) -> Heard:
        """Hand the command over: to the older API for classic accounts, and where the newer one says so.

        A lock is repeated there at once. An unlock's bytes leave once for each grant (protocol S2), so it
        ends as surely not done, and the next one takes the right way.
        """
        if car.account_kind == NEWER and car.vin not in self._old_cars:
            target = f"{COMMANDS_V3}{command}/{quoted(car.vin)}"
            heard = await self._send(car, verb, target, command, sending)
            if not _needs_v1(heard):
                return self._taken_on(car, verb, heard)
            self._remember(car.vin)
            if verb is Verb.UNLOCK:
                raise self.link.not_sent(verb, "older_api", retry_after_s=0.0)
        target = f"{VEHICLES_V1}{quoted(car.vin)}/commands/{command}"
        return self._taken_on(car, verb, await self._send(car, verb, target, command, sending))

    async def _send(self, car: Car, verb: Verb, target: str, command: str, sending: Sending) -> Heard:
        heard = await self.link.post(
            car,
            verb,
            target,
            headers=self._headers(car),
            json=REQUESTS[command],
            sending=sending,
            answer_within_s=ANSWER_WITHIN_S,
        )
        if heard.status >= 300 and _word(heard) in DONE_WORDS | PENDING_WORDS:
            raise self.link.unknown(verb, "contradiction")  # refused by its status, and taken on by its word
        return heard

    def _taken_on(self, car: Car, verb: Verb, heard: Heard) -> Heard:
        if (error := self.link.refusal(car, verb, heard)) is not None:
            raise error
        return heard

    async def _follow(self, car: Car, verb: Verb, heard: Heard) -> Heard:
        """Poll until the cloud says done; raises its other ends, and ours when patience ends."""
        clock = self.link.clock
        patient_until = clock.now() + timedelta(seconds=PATIENCE_S)
        while True:
            word = _word(heard)
            if word in DONE_WORDS:
                return heard
            if word in FAILED_WORDS:
                code = FAILURES.get(_find(heard, "error", "code") or "", "rejected")
                raise CommandRejected(self.link.text(verb, code), code=code)
            target = self.link.find_own_target(_find(heard, "url"))
            if word not in PENDING_WORDS or target is None:
                raise self.link.unknown(verb, "unexpected_answer")
            later = None
            while later is None:
                if clock.now() + timedelta(seconds=POLL_EVERY_S) > patient_until:
                    raise self.link.unknown(verb, "timeout")
                await clock.sleep(POLL_EVERY_S)
                later = await self._poll(car, verb, target)
            heard = later

    async def _poll(self, car: Car, verb: Verb, target: str) -> Heard | None:
        """One look at the status; None: this look failed, a later one may not.

        The command is long under way: no failure here says more of it than that we can't know.
        """
        try:
            heard = await self.link.get(car, target, headers=self._headers(car))
        except DeviceError:
            return None
        if heard.status in (401, 403, 404):
            raise self.link.unknown(verb, "auth_expired" if heard.status == 401 else "unexpected_answer")
        return heard if heard.status == 200 else None

    def _answer(self, heard: Heard) -> Answer:
        return Answer(
            evidence=Evidence.CLOUD_SAYS,  # whether the car confirmed is not told
            answered_at=self.link.clock.now(),
            reference=_find(heard, "requestId"),
        )

    def _reading(self, heard: Heard) -> Reading:
        told = ("telemetry", "data")
        trunk = (*told, "closures", "trunk")
        seen_at = heard.find_time(*trunk, "ts")
        observed_at = seen_at or heard.find_time(*told, "session", "ts")
        if observed_at is None:
            raise self.link.unknown(Verb.READ, "unexpected_answer")
        is_locked = LOCKS.get(heard.find_word(*trunk, "lockState") or "")
        is_open = LIDS.get(heard.find_word(*trunk, "lidState") or "")
        return Reading(
            observed_at=min(observed_at, self.link.clock.now()),  # a clock ahead must not make old news fresh
            # Good news has a time of its own: the session's tells when the cloud last heard of anything.
            is_locked=None if is_locked is True and seen_at is None else is_locked,
            is_open=None if is_open is False and seen_at is None else is_open,
            is_moving=_is_moving(heard.find_number(*told, "velocity", "spdInKph")),
            position=_position(
                heard.find_number(*told, "position", "lat"), heard.find_number(*told, "position", "lng")
            ),
        )

    def _headers(self, car: Car) -> dict[str, str]:
        return {"authorization": f"Bearer {car.secrets.get('access_token', '')}"}

    def _remember(self, vin: str) -> None:
        if len(self._old_cars) >= MOST_CARS_REMEMBERED:
            self._old_cars.clear()
        self._old_cars.add(vin)


def _find(heard: Heard, *path: str) -> str | None:
    """A word of a command's answer, in the shape of v3 or of v1 (whose errors lie in `body`)."""
    if heard.find("commandResponse") is None:
        return heard.find_word(*path)
    return heard.find_word("commandResponse", *path) or heard.find_word("commandResponse", "body", *path)


def _word(heard: Heard) -> str:
    return (_find(heard, "status") or "").lower()


def _needs_v1(heard: Heard) -> bool:
    """The newer API has refused with 400, the older client's sign to turn to v1."""
    return heard.status == 400


def _number(value: object) -> float | None:
    """A number, which v1 writes as a text."""
    if isinstance(value, str):
        value = float(value) if len(value) < 32 and PLAIN_NUMBER.fullmatch(value) else None
    return read_number(value)


def _is_moving(speed_kph: float | None) -> bool | None:
    """A speed below zero is none: it does not say parked."""
    return None if speed_kph is None or speed_kph < 0 else speed_kph > 0


def _position(latitude: float | None, longitude: float | None) -> Position | None:
    if latitude is None or longitude is None:
        return None
    try:
        return Position(latitude=latitude, longitude=longitude, accuracy_m=POSITION_ACCURACY_M)
    except ValueError:
        return None


_CLIENT = "github.com/BigThunderSR/OnStarJS src/RequestService.ts"
_STATUS = "{base}/veh/cmd/v3/requests/1"
_STATUS_V1 = "{base}/api/v1/account/vehicles/1/requests/1"
_TAKEN_ON = {
    "requestId": "r1",
    "requestTime": "2026-11-22T10:00:00.000Z",
    "status": "IN_PROGRESS",
    "url": _STATUS,
}
_TAKEN_ON_V1 = {"commandResponse": {"status": "inProgress", "url": _STATUS_V1, "type": "unlockTrunk"}}
_NOT_SERVED = Reply(to="POST /veh/cmd/v3/", status=400, body={"message": "not supported for this vehicle"})


def _polled(title: str, end: End, code: str | None, *later: object) -> Example:
    replies = (
        Reply(to="POST /veh/cmd/v3/unlockTrunk/", body=_TAKEN_ON),
        *(Reply(to="GET /veh/cmd/v3/requests/1", body=body) for body in later),
    )
    return Example(
        title=title, verb=Verb.UNLOCK, replies=replies, end=end, code=code, account_kind=NEWER, source=_CLIENT
    )


def _status(word: str, error_code: str | None = None) -> dict[str, object]:
    return {**_TAKEN_ON, "status": word, "error": {"code": error_code} if error_code else None}


def _twin(lock: str, lid: str) -> Reply:
    data = {
        "closures": {"trunk": {"lockState": lock, "lidState": lid, "ts": "2026-11-22T10:00:00.000Z"}},
        "position": {"lat": 33.749, "lng": -84.388},
        "velocity": {"spdInKph": 0},
        "session": {"updatePending": "PENDING", "ts": "2026-11-22T10:00:01.000Z"},
    }
    return Reply(to="GET /veh/datadelivery/digitaltwin/v1/vehicles/", body={"telemetry": {"data": data}})


_SEEN_AT = datetime(2026, 11, 22, 10, tzinfo=UTC)
_PLACE = Position(latitude=33.749, longitude=-84.388, accuracy_m=POSITION_ACCURACY_M)

OnStar.examples = (
    *(_polled(f"polled {word}", End.DONE, None, _TAKEN_ON, _status(word)) for word in sorted(DONE_WORDS)),
    *(
        _polled(f"polled {word}", End.REJECTED, "rejected", _status(word.upper()))
        for word in sorted(FAILED_WORDS)
    ),
    *(
        _polled(f"failed with {error}", End.REJECTED, code, _status("FAILURE", error))
        for error, code in FAILURES.items()
    ),
    _polled("never more than in progress", End.UNKNOWN, "timeout", _TAKEN_ON),
    _polled("a word nobody knows", End.UNKNOWN, "unexpected_answer", _status("SHRUG")),
    _polled(
        "a status address elsewhere is not asked",
        End.UNKNOWN,
        "unexpected_answer",
        {**_TAKEN_ON, "url": "http://elsewhere.invalid/requests/1"},
    ),
    Example(
        title="a newer account that v3 does not serve: an unlock is not repeated",
        verb=Verb.UNLOCK,
        replies=(_NOT_SERVED,),
        end=End.NOT_SENT,
        code="older_api",
        account_kind=NEWER,
        source=_CLIENT,
    ),
    Example(
        title="a newer account that v3 does not serve: a lock is repeated on v1",
        verb=Verb.LOCK,
        replies=(
            _NOT_SERVED,
            Reply(to="POST /api/v1/account/vehicles/", body=_TAKEN_ON_V1),
            Reply(
                to="GET /api/v1/account/vehicles/1/requests/1",
                body={"commandResponse": {"status": "success"}},
            ),
        ),
        account_kind=NEWER,
        source=_CLIENT,
    ),
    Example(
        title="a classic account takes v1 at once",
        verb=Verb.UNLOCK,
        replies=(
            Reply(to="POST /api/v1/account/vehicles/", body=_TAKEN_ON_V1),
            Reply(
                to="GET /api/v1/account/vehicles/1/requests/1",
                body={"commandResponse": {"status": "failure", "body": {"error": {"code": "ONS-216"}}}},
            ),
        ),
        end=End.REJECTED,
        code="offline",
        account_kind=CLASSIC,
        source=_CLIENT,
    ),
    Example(
        title="the flash is taken on",
        verb=Verb.FLASH,
        replies=(Reply(to="POST /veh/cmd/v3/alert/", body=_TAKEN_ON),),
        account_kind=NEWER,
        source=_CLIENT,
    ),
    Example(
        title="locked and closed",
        verb=Verb.READ,
        replies=(_twin("LOCKED", "CLOSED"),),
        reading=Reading(
            observed_at=_SEEN_AT, is_locked=True, is_open=False, is_moving=False, position=_PLACE
        ),
        account_kind=NEWER,
        source="assumed: no public text names the fields of the closures",
    ),
    Example(
        title="words nobody knows are not told",
        verb=Verb.READ,
        replies=(_twin("MAYBE", "AJARISH"),),
        reading=Reading(observed_at=_SEEN_AT, is_moving=False, position=_PLACE),
        account_kind=NEWER,
        source="ours",
    ),
    Example(
        title="a classic account tells no lock",
        verb=Verb.READ,
        replies=(),
        end=End.NOT_SENT,
        code="not_supported",
        account_kind=CLASSIC,
        source="github.com/BigThunderSR/OnStarJS issues 230 and 262",
    ),
)
