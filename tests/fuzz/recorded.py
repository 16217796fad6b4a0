"""What clouds answered once: every maker's EXAMPLES, and what the town's say besides of tokens, cars and positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.devices.trying import VIN, end_of

from unlatch.devices.base import Example, Maker, Reply, Verb
from unlatch.devices.catalogue import find_makers
from unlatch.domain.reading import Reading
from unlatch.errors import DeviceError

AT = "2026-11-22T10:00:00.000Z"
MAKERS = find_makers()
VOLVO, VOLVO_AT = "/connected-vehicle/v2/vehicles", "/location/v1/vehicles"
V1, TWIN = "/api/v1/account/vehicles", "/veh/datadelivery/digitaltwin/v1/vehicles"
LAMP = "light.hall"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Answers to one question. `verb`: one of the contract's, or probe, list_cars, exchange, refresh, revoke."""

    kind: type[Maker]
    verb: str
    example: Example

    @property
    def title(self) -> str:
        return f"{self.kind.name} {self.verb}: {self.example.title}"

    def name_of(self, value: Any, error: DeviceError | None) -> str:
        """What came of it, in a word or two."""
        if error is not None:
            return str(end_of(error))
        if isinstance(value, Reading):
            return "seen locked" if value.is_locked else "another reading"
        return "done" if self.verb in tuple(Verb) else f"an answer to {self.verb}"


def _more(
    maker: str, verb: str, *replies: Reply, title: str = "as the town says it", **told: Any
) -> Recorded:
    example = Example(title=title, verb=Verb.READ, replies=replies, source="the town", **told)
    return Recorded(kind=MAKERS[maker], verb=verb, example=example)


def _get(path: str, body: Any, status: int = 200) -> Reply:
    return Reply(to=f"GET {path}", body=body, status=status)


def _valued(**told: str) -> Any:
    return {"data": {name: {"value": value, "timestamp": AT} for name, value in told.items()}}


_TOKENS = {
    "access_token": "a1",
    "refresh_token": "r1",
    "token_type": "Bearer",
    "expires_in": 300,
    "scope": "openid x",
}
_POINT = {
    "type": "Feature",
    "properties": {"timestamp": AT},
    "geometry": {"coordinates": [-122.3, 47.6, 0.0]},
}
_PAPERS = {
    "vin": VIN, "make": "Chevrolet", "model": "Bolt", "year": "2022", "color": "blue", "onstarStatus": "ACTIVE",
    "commands": {"command": [{"name": name} for name in ("unlockTrunk", "lockTrunk", "alert", "location")]},
}  # fmt: skip
_TWIN = {
    "closures": {"trunk": {"lockState": "UNLOCKED", "lidState": "OPEN", "ts": AT}},
    "session": {"ts": AT},
}
_LOCATED = {
    "location": {"lat": "33.749", "long": "-84.388"},
    "speed": {"value": "0.0", "unit": "KPH"},
    "timestamp": AT,
}
_UNDER_WAY = {"commandResponse": {"status": "inProgress", "url": f"{{base}}{V1}/1/requests/1"}}


def _desk(maker: str) -> list[Recorded]:
    authorization = MAKERS[maker].authorization
    assert authorization is not None
    token, revoke = f"POST {authorization.token_path}", f"POST {authorization.revoke_path}"
    return [
        *(_more(maker, verb, Reply(to=token, body=_TOKENS)) for verb in ("exchange", "refresh")),
        *(
            _more(maker, verb, Reply(to=token, body={"error": word}, status=400), title=word)
            for verb in ("exchange", "refresh")
            for word in ("invalid_grant", "invalid_client", "invalid_request")
        ),
        _more(maker, "revoke", Reply(to=revoke, body=None)),
    ]


_LAMP_STOOD = {"id": 1, "type": "event", "event": {"a": {LAMP: {"s": "on", "a": {}, "c": "01J", "lc": 0.0}}}}
RECORDED = [
    *(
        Recorded(kind=kind, verb=example.verb, example=example)
        for kind in MAKERS.values()
        for example in kind.examples
    ),
    *_desk("volvo"),
    *_desk("onstar"),
    _more(
        "volvo",
        Verb.READ,
        _get(f"{VOLVO}/{VIN}/doors", _valued(centralLock="LOCKED", tailGate="CLOSED")),
        _get(f"{VOLVO}/{VIN}/engine-status", _valued(engineStatus="STOPPED")),
        _get(f"{VOLVO_AT}/{VIN}/location", {"data": _POINT}),
        wants_position=True,
    ),
    _more(
        "volvo",
        "probe",
        _get(
            f"{VOLVO}/{VIN}/command-accessibility",
            {
                "data": {
                    "availabilityStatus": {"value": "UNAVAILABLE", "unavailableReason": "POWER_SAVING_MODE"}
                }
            },
        ),
    ),
    _more(
        "volvo",
        "list_cars",
        _get(
            f"{VOLVO}/{VIN}/commands",
            {"data": [{"command": "LOCK"}, {"command": "UNLOCK"}, {"command": "FLASH"}]},
        ),
        _get(
            f"{VOLVO}/{VIN}",
            {"data": {"modelYear": 2023, "externalColour": "grey", "descriptions": {"model": "V60"}}},
        ),
        _get(VOLVO, {"data": [{"vin": VIN}]}),
    ),
    _more(
        "onstar",
        Verb.READ,
        Reply(to=f"POST {V1}/", body=_UNDER_WAY),
        _get(f"{V1}/1/requests/1", _UNDER_WAY),
        _get(f"{V1}/1/requests/1", {"commandResponse": {"status": "success", "body": _LOCATED}}),
        account_kind="classic",
        wants_position=True,
    ),
    *(
        _more("onstar", "list_cars", _get(TWIN, told, status), _get(V1, {"vehicles": {"vehicle": [_PAPERS]}}))
        for told, status in (({"telemetry": {"data": _TWIN}}, 200), ({}, 404))
    ),
    _more(
        "home_assistant",
        Verb.PLAY,
        Reply(to="GET /api/websocket", status=101, body=[{"type": "auth_required"}]),
        Reply(to="WS auth", body=[{"type": "auth_ok"}]),
        Reply(to="WS subscribe_entities", body=[{"id": 1, "type": "result", "success": True}, _LAMP_STOOD]),
        Reply(
            to="WS call_service",
            body=[{"id": 2, "type": "result", "success": True, "result": {"context": {}}}],
        ),
        name="lock.front_door",
        told={"lamp": LAMP},
    ),
]
