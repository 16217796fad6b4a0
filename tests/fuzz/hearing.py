"""What answers say, heard a second time and in another way than the makers' code hears them.

Good news has to stand, word for word, where that maker says it, in an answer of the 200s that is whole and says no name
twice. So have the end of a command, and that a command was surely not done. Anything less may be believed of bad news.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from tests.fuzz.garbling import Said
from tests.fuzz.recorded import TWIN, V1, VOLVO, VOLVO_AT, Recorded

from unlatch.devices.base import Answer, Car, LinkedCar, Verb
from unlatch.devices.body import read_time
from unlatch.devices.oauth import Tokens
from unlatch.domain.linking import Power
from unlatch.domain.reading import Reading
from unlatch.errors import CommandRejected, CommandUnknown, ConsentLost, DeviceError

Says = Callable[[Any], bool]
GOOD: Mapping[str, bool] = {
    "is_locked": True, "is_open": False, "is_moving": False, "is_bolted_inside": False, "is_alarm_armed": False,
    "is_pet_loose": False,
}  # fmt: skip
TRUNK = ("telemetry", "data", "closures", "trunk")
DONE = {
    "volvo": {"COMPLETED", "DELIVERED"},
    "onstar": {"success", "completed", "complete"},
    Verb.UNLOCK: {"unlocked", "open"},
    Verb.LOCK: {"locked", "closed"},
}
UNDER_WAY = {
    "volvo": set(),
    "onstar": {"inprogress", "in_progress"},
    Verb.UNLOCK: {"unlocking", "opening"},
    Verb.LOCK: {"locking", "closing"},
}
REFUSALS = {
    "volvo": {
        "REJECTED", "VEHICLE_IN_SLEEP", "CAR_IN_SLEEP_MODE", "UNLOCK_TIME_FRAME_PASSED", "UNABLE_TO_LOCK_DOOR_OPEN",
        "NOT_SUPPORTED", "NOT_ALLOWED_PRIVACY_ENABLED", "NOT_ALLOWED_WRONG_USAGE_MODE",
    },
    "onstar": {"failure", "failed", "error"},
    "home_assistant": {"not_found", "invalid_format", "unauthorized", "service_validation_error"},
}  # fmt: skip


def find(value: Any, *path: str | int) -> Any:
    """What stands at `path`, or None."""
    for step in path:
        try:
            value = value[step]
        except (LookupError, TypeError):
            return None
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name comes twice")
    return dict(pairs)


def _refuse(word: str) -> None:
    raise ValueError(word)


def read(said: Said) -> Any:
    """The value of an answer's text; None where it is no JSON."""
    try:
        return json.loads(said.raw.decode(), object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _told(said: Iterable[Said], *starts: str) -> list[Any]:
    return [read(one) for one in said if one.line.startswith(starts) and 200 <= one.status < 300]


def judge(
    recorded: Recorded, car: Car, said: list[Said], value: Any, error: DeviceError | None, now: datetime
) -> list[str]:
    """What was believed and had not been said."""
    name, verb = recorded.kind.name, recorded.verb
    match value:
        case Reading():
            return _judge_reading(name, car, said, value, now)
        case Answer() if not _is_done(name, verb, car, said):
            return ["done, and nobody said so"]
        case Tokens():
            given = [read(one) for one in said if one.status == 200]
            is_given = any(find(one, "access_token") == value.access_token for one in given)
            return [] if is_given else ["tokens that were not given"]
        case list():
            return _judge_cars(value, said)
    if verb in ("exchange", "refresh") and said and error is not None:
        return _judge_desk(said, error)
    was_sent = any(one.line.startswith(("POST", "WS call_service")) for one in said)
    is_sure = was_sent and verb in (Verb.UNLOCK, Verb.LOCK) and not isinstance(error, CommandUnknown | None)
    if is_sure and not _is_refused(name, verb, car, said, error):
        return [f"surely not done ({error!r}), and nobody said so"]
    return []


# ---- readings -------------------------------------------------------------------------------------------------------


def _is(*path: str | int, words: tuple[Any, ...]) -> Says:
    return lambda value: find(value, *path) in words


def _is_zero(*path: str) -> Says:
    def says(value: Any) -> bool:
        speed = find(value, *path)
        return not isinstance(speed, bool) and speed is not None and float(speed) == 0

    return says


def _state(entity: str, *words: str) -> Says:
    def says(value: Any) -> bool:
        attributes = find(value, "attributes")
        is_own = find(value, "entity_id") == entity and isinstance(attributes, dict)
        is_seen = find(attributes, "assumed_state") is None or find(attributes, "assumed_state") is False
        return is_own and is_seen and find(value, "state") in words

    return says


def _sources(name: str, car: Car) -> dict[str, tuple[str, Says]]:
    """By field of a reading: which request is answered so, and what says the good news."""
    if name == "volvo":
        doors, engine = f"GET {VOLVO}/{car.vin}/doors", f"GET {VOLVO}/{car.vin}/engine-status"
        return {
            "is_locked": (doors, _is("data", "centralLock", "value", words=("LOCKED",))),
            "is_open": (doors, _is("data", "tailGate", "value", words=("CLOSED",))),
            "is_moving": (engine, _is("data", "engineStatus", "value", words=("STOPPED",))),
        }
    if name == "onstar":
        speed = _is_zero("telemetry", "data", "velocity", "spdInKph")
        if car.account_kind != "newer":
            return {"is_moving": ("", _is_zero("commandResponse", "body", "speed", "value"))}
        twin = f"GET {TWIN}/{car.vin}"
        return {
            "is_locked": (twin, _is(*TRUNK, "lockState", words=("LOCKED",))),
            "is_open": (twin, _is(*TRUNK, "lidState", words=("CLOSED",))),
            "is_moving": (twin, speed),
        }
    given = {name: car.secrets.get(name, "") for name in ("contact", "second_bolt", "alarm", "pet")}
    is_cover, bolt = car.vin.startswith("cover."), given["second_bolt"]
    words = {
        "is_locked": (car.vin, "closed" if is_cover else "locked"),
        "is_open": (car.vin, "closed") if is_cover else (given["contact"], "off"),
        "is_bolted_inside": (bolt, "unlocked" if bolt.startswith("lock.") else "on"),
        "is_alarm_armed": (given["alarm"], "disarmed"),
        "is_pet_loose": (given["pet"], "off"),
    }
    return {
        field: (f"GET /api/states/{entity}", _state(entity, word)) for field, (entity, word) in words.items()
    }


TIMES = {
    "volvo": ("data", "centralLock", "timestamp"),
    "onstar": (*TRUNK, "ts"),
    "home_assistant": ("last_changed",),
}
PLACES = (
    ("data", "geometry", "coordinates", 1), ("data", "geometry", "coordinates", 0),
    ("telemetry", "data", "position", "lat"), ("telemetry", "data", "position", "lng"),
    ("commandResponse", "body", "location", "lat"), ("commandResponse", "body", "location", "long"),
)  # fmt: skip


def _judge_reading(name: str, car: Car, said: list[Said], reading: Reading, now: datetime) -> list[str]:
    wrong = [] if reading.observed_at <= now else ["observed in times to come"]
    sources = _sources(name, car)
    for field, good in GOOD.items():
        if getattr(reading, field) is not good:
            continue
        start, says = sources.get(field, ("nothing", lambda _: False))
        telling = [value for value in _told(said, start) if says(value)]
        if not telling:
            wrong.append(f"{field} is {good}, and nobody said so")
        elif field == "is_locked" and not reading.is_open:
            times = [read_time(str(find(value, *TIMES[name]))) for value in telling]
            if not any(at is not None and reading.observed_at <= at for at in times):
                wrong.append(f"locked at {reading.observed_at}, and it was said of {times}")
    if (place := reading.position) is not None:
        starts = (f"GET {VOLVO_AT}/", f"GET {TWIN}/", f"POST {V1}/", f"GET {V1}/")
        told = {str(find(value, *path)) for value in _told(said, *starts) for path in PLACES}
        numbers = {float(text) for text in told if text.lstrip("-")[:1].isdigit()}
        if not {place.latitude, place.longitude} <= numbers:
            wrong.append(f"at {place}, and nobody said so")
    return wrong


# ---- commands -------------------------------------------------------------------------------------------------------


def _words(name: str, value: Any) -> set[str]:
    """What an answer to a command calls its end."""
    if name == "volvo":
        return {str(find(value, "data", "invokeStatus"))}
    paths = (("status",), ("commandResponse", "status"), ("commandResponse", "body", "status"))
    return {str(find(value, *path)).lower() for path in paths}


def _states(car: Car, said: list[Said]) -> list[tuple[str, str | None]]:
    """The states of a door that a hub told, each with the context it came of."""
    listed = [one for value in _told(said, "POST") if isinstance(value, list) for one in value]
    own = [one for one in listed if find(one, "entity_id") == car.vin]
    states = [(str(find(one, "state")), find(one, "context", "id")) for one in own]
    word: Any = None
    for value in _told(said, "WS"):
        for told in (find(value, "event", "a", car.vin), find(value, "event", "c", car.vin, "+")):
            if isinstance(told, dict):
                word, context = told.get("s", word), told.get("c")  # a word that is left out has not changed
                states.append((str(word), find(context, "id") if isinstance(context, dict) else context))
    return states


def _results(said: list[Said]) -> list[Any]:
    return [
        value for value in _told(said, "WS") if find(value, "type") == "result" and find(value, "id") == 2
    ]


def _is_done(name: str, verb: str, car: Car, said: list[Said]) -> bool:
    if name == "home_assistant":
        states = _states(car, said)
        own = [
            find(value, "result", "context", "id")
            for value in _results(said)
            if find(value, "success") is True
        ]
        by_rest = any(value for value in _told(said, "POST") if isinstance(value, list))
        begun = [word for word, context in states if by_rest or (context is not None and context in own)]
        ended = {word for word, _ in states} & DONE[verb]
        return bool(ended) and any(word in DONE[verb] | UNDER_WAY[verb] for word in begun)
    wanted = DONE[name] | (UNDER_WAY[name] if verb == Verb.FLASH else set())
    done = [value for value in _told(said, "POST", f"GET {V1}", "GET /") if _words(name, value) & wanted]
    return any(verb != Verb.UNLOCK or find(value, "data", "readyToUnlock") is not False for value in done)


def _is_refusing(status: int) -> bool:
    return (400 <= status < 500 and status not in (408, 422, 425)) or status == 501


def _is_refused(name: str, verb: str, car: Car, said: list[Said], error: DeviceError | None) -> bool:
    """Whether the cloud itself said that it did not take the command on, and nothing else in the same breath."""
    for one in said:
        value = read(one)
        if name == "home_assistant":
            is_refused = _is_refusing(one.status) and not isinstance(value, list)
        else:
            words = _words(name, value)
            is_refused = _is_refusing(one.status) or bool(words & REFUSALS[name])
            is_refused = is_refused and not words & (DONE[name] | UNDER_WAY[name])
        if one.line.startswith(("POST", "GET /veh/cmd", f"GET {V1}/")) and is_refused:
            return True
    if name == "home_assistant" and verb == Verb.LOCK and isinstance(error, CommandRejected):
        return any(word not in DONE[verb] | UNDER_WAY[verb] for word, _ in _states(car, said))
    failures = [value for value in _results(said) if find(value, "success") is False]
    return any(str(find(value, "error", "code")) in REFUSALS["home_assistant"] for value in failures)


# ---- accounts -------------------------------------------------------------------------------------------------------


def _texts(value: Any) -> set[str]:
    """Every text in it, however deep."""
    texts, left = set(), [value]
    while left:
        match left.pop():
            case dict() as one:
                left += one.values()
            case list() as one:
                left += one
            case str() as one:
                texts.add(one)
    return texts


def _judge_cars(cars: list[LinkedCar], said: list[Said]) -> list[str]:
    texts = set().union(*(_texts(value) for value in _told(said, "GET")))
    wrong = [f"{car.vin} was not listed" for car in cars if car.vin not in texts]
    for car in cars:
        if Power.OPEN in (car.powers or ()) and not texts & {"UNLOCK", "unlockTrunk"}:
            wrong.append("it can be opened, and nobody said so")
        if car.account_kind == "newer" and not _told(said, f"GET {TWIN}"):
            wrong.append("a newer account, and nobody said so")
    return wrong


def _judge_desk(said: list[Said], error: DeviceError) -> list[str]:
    """A token that may be sent again was surely not used up; one that is dead was called so."""
    words = (
        ("invalid_grant",) if isinstance(error, ConsentLost) else ("invalid_client", "unauthorized_client")
    )
    for one in said:
        value = read(one)
        is_refused = find(value, "error") in words or (
            _is_refusing(one.status) and not isinstance(error, ConsentLost)
        )
        if isinstance(error, CommandUnknown) or (is_refused and find(value, "access_token") is None):
            return []
    return [f"surely not used ({error!r}), and nobody said so"]
