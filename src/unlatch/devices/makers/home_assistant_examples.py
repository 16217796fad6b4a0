"""What Home Assistant says, and what it means: the EXAMPLES of makers/home_assistant.py, which would not fit there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from unlatch.devices.base import End, Example, Reply, Verb
from unlatch.devices.entities import ERRORS
from unlatch.domain.reading import Reading
from unlatch.errors import CommandRejected, CommandUnknown, DeviceError

_REST_PAGE = "developers.home-assistant.io/docs/api/rest"
_SOCKET_PAGE = "developers.home-assistant.io/docs/api/websocket"
_RAN = "homeassistant 2025.4.4, run"
_SOURCE = "homeassistant 2025.4, websocket_api/commands.py"
_AT = "2026-11-22T10:00:00+00:00"
_LOCK, _SECOND = "lock.front_door", "lock.night_bolt"
_BOLT, _ALARM = "binary_sensor.night_bolt", "alarm_control_panel.home"
_COVER, _CONTACT = "cover.garage_door", "binary_sensor.front_door"
_OUR, _OTHER = "01JOURS", "01JOTHER"


def _event(word: str, context_id: str | dict[str, str] = _OUR, entity: str = _LOCK) -> object:
    return {
        "id": 1,
        "type": "event",
        "event": {"c": {entity: {"+": {"s": word, "c": context_id, "lc": 1.0}}}},
    }


def _result(code: str | None = None) -> object:
    if code is not None:
        return {"id": 2, "type": "result", "success": False, "error": {"code": code, "message": ""}}
    context = {"id": _OUR, "parent_id": None, "user_id": "u1"}
    return {"id": 2, "type": "result", "success": True, "result": {"context": context}}


def _said(
    title: str,
    verb: Verb,
    *messages: object,
    end: End = End.DONE,
    code: str | None = None,
    states: Mapping[str, object] | None = None,
    source: str = _RAN,
    **told: str,
) -> Example:
    """A command over the WebSocket, to a door whose entities stood as `states` says (else locked)."""
    states = states if states is not None else {_LOCK: _stood("locked")}
    replies = (
        Reply(to="GET /api/websocket", status=101, body=[{"type": "auth_required"}]),
        Reply(to="WS auth", body=[{"type": "auth_ok"}]),
        Reply(
            to="WS subscribe_entities",
            body=[
                {"id": 1, "type": "result", "success": True},
                {"id": 1, "type": "event", "event": {"a": states}},
            ],
        ),
        Reply(to="WS call_service", body=list(messages)),
    )
    name = next(iter(states), _LOCK)
    return Example(
        title=title, verb=verb, replies=replies, end=end, code=code, name=name, told=told, source=source
    )


def _stood(word: str, **attributes: object) -> object:
    return {"s": word, "a": attributes, "c": _OTHER, "lc": 0.0}


def _called(
    title: str, verb: Verb, body: object, end: End, code: str | None = None, status: int = 200
) -> Example:
    """A command over REST, since the hub's proxy lets no WebSocket through."""
    replies = (
        Reply(to="GET /api/websocket", status=404, body={"message": "Not found"}),
        Reply(to="GET /api/states/", body=_state("unlocked" if verb is Verb.LOCK else "locked")),
        Reply(to="POST /api/services/lock/", status=status, body=body),
    )
    return Example(title=title, verb=verb, replies=replies, end=end, code=code, name=_LOCK, source=_RAN)


def _state(word: str, entity: str = _LOCK, at: str = _AT, **attributes: object) -> dict[str, object]:
    context = {"id": _OUR, "parent_id": None, "user_id": None}
    times = {"last_changed": at, "last_updated": at, "last_reported": at}
    return {"entity_id": entity, "state": word, "attributes": attributes, "context": context, **times}


def _looked(title: str, reading: Reading, *states: dict[str, object], **told: str) -> Example:
    replies = tuple(Reply(to=f"GET /api/states/{state['entity_id']}", body=state) for state in states)
    return Example(
        title=title,
        verb=Verb.READ,
        replies=replies,
        reading=reading,
        name=str(states[0]["entity_id"]),
        told=told,
        source=_REST_PAGE,
    )


def _seen(is_locked: bool | None, is_open: bool | None = None, at: str = _AT) -> Reading:
    return Reading(observed_at=datetime.fromisoformat(at), is_locked=is_locked, is_open=is_open)


def _inside(title: str, entity: str, word: str, form_name: str, **inside: Any) -> Example:
    """A look at a locked door and at one thing that stands inside."""
    states = (_state("locked"), _state(word, entity, _LATER))
    told = {form_name: entity}
    looked = _looked(title, replace(_seen(True), **inside), *states, **told)
    return replace(looked, wants_position=True)


_ENDS: dict[type[DeviceError], End] = {CommandUnknown: End.UNKNOWN, CommandRejected: End.REJECTED}
_LATER = "2026-11-22T10:05:00+00:00"
_U, _L = Verb.UNLOCK, Verb.LOCK
_SHUT = {_COVER: _stood("closed", supported_features=3)}

EXAMPLES: tuple[Example, ...] = (
    _said("unlocked under our own context", _U, _event("unlocking"), _event("unlocked"), _result()),
    _said("the answer first, the state later", _U, _result(), _event("unlocked")),
    _said(
        "later than a context lives, after a beginning of ours",
        _U,
        _event("unlocking"),
        _result(),
        _event("unlocked", _OTHER),
    ),
    _said("locked under our own context", _L, _event("locking"), _event("locked"), _result()),
    _said("success alone says nothing", _U, _result(), end=End.UNKNOWN, code="pending"),
    _said(
        "unlocked, but not by us", _U, _result(), _event("unlocked", _OTHER), end=End.UNKNOWN, code="pending"
    ),
    _said(
        "after a beginning of ours, but another's doing",
        _U,
        _event("unlocking"),
        _event("unlocked", {"id": _OTHER, "user_id": "u2"}),
        _result(),
        end=End.UNKNOWN,
        code="pending",
    ),
    _said("a silence", _U, _event("unlocking"), end=End.UNKNOWN, code="timeout"),
    _said("a movement that never ends", _U, _event("unlocking"), _result(), end=End.UNKNOWN, code="pending"),
    _said(
        "jammed while locking",
        _L,
        _event("locking"),
        _event("jammed"),
        _result(),
        end=End.REJECTED,
        code="jammed",
    ),
    _said(
        "jammed while unlocking: half way, perhaps",
        _U,
        _event("jammed"),
        _result(),
        end=End.UNKNOWN,
        code="jammed",
    ),
    _said(
        "locking, and back again",
        _L,
        _event("locking"),
        _event("unlocked"),
        _result(),
        end=End.REJECTED,
        code="jammed",
    ),
    _said(
        "gone while unlocking",
        _U,
        _event("unlocking"),
        _event("unavailable"),
        _result(),
        end=End.UNKNOWN,
        code="offline",
    ),
    *(
        _said(
            f"the result's error {word}",
            _U,
            _result(word),
            end=_ENDS.get(kind, End.NOT_SENT),
            code=code,
            source=_SOURCE,
        )
        for word, (kind, code) in ERRORS.items()
    ),
    _said("an error nobody knows", _U, _result("shrug"), end=End.UNKNOWN, code="unknown"),
    _said(
        "offline before: nothing is sent",
        _U,
        end=End.NOT_SENT,
        code="offline",
        states={_LOCK: _stood("unavailable")},
    ),
    _said(
        "a state not known before: no unlock",
        _U,
        end=End.NOT_SENT,
        code="offline",
        states={_LOCK: _stood("unknown")},
    ),
    _said("no such entity: nothing is sent", _U, end=End.NOT_SENT, code="not_supported", states={}),
    _said(
        "the second bolt is thrown: someone is at home",
        _U,
        end=End.NOT_SENT,
        code="unsafe_state",
        states={_LOCK: _stood("locked"), _SECOND: _stood("locked")},
        second_bolt=_SECOND,
    ),
    _said(
        "a bolt is not thrown while the door stands open",
        _L,
        end=End.NOT_SENT,
        code="door_open",
        states={_LOCK: _stood("unlocked"), _CONTACT: _stood("on")},
        contact=_CONTACT,
    ),
    _said(
        "the latch is pulled where the lock can",
        _U,
        _event("opening"),
        _event("open"),
        _result(),
        states={_LOCK: _stood("locked", supported_features=1)},
        opening="latch",
    ),
    _said(
        "the latch is wanted, and the lock can't",
        _U,
        end=End.NOT_SENT,
        code="not_supported",
        states={_LOCK: _stood("locked", supported_features=0)},
        opening="latch",
    ),
    _said(
        "a garage door opens",
        _U,
        _event("opening", entity=_COVER),
        _result(),
        _event("open", _OTHER, entity=_COVER),
        states=_SHUT,
    ),
    _said(
        "a garage door that is open already: nothing is sent",
        _U,
        end=End.NOT_SENT,
        code="door_open",
        states={_COVER: _stood("open", supported_features=3)},
    ),
    _said(
        "a garage door that moves: nothing is sent",
        _U,
        end=End.NOT_SENT,
        code="unsafe_state",
        states={_COVER: _stood("closing", supported_features=3)},
    ),
    _said(
        "a garage door whose state is assumed: nothing is sent",
        _U,
        end=End.NOT_SENT,
        code="not_supported",
        states={_COVER: _stood("closed", supported_features=3, assumed_state=True)},
    ),
    _said(
        "a garage door that meets something and goes up again",
        _L,
        _event("closing", entity=_COVER),
        _event("open", entity=_COVER),
        _result(),
        end=End.REJECTED,
        code="jammed",
        states={_COVER: _stood("open", supported_features=3)},
    ),
    Example(
        title="the token is refused",
        verb=_U,
        replies=(
            Reply(to="GET /api/websocket", status=101, body=[{"type": "auth_required"}]),
            Reply(to="WS auth", body=[{"type": "auth_invalid", "message": "Invalid access token"}]),
        ),
        end=End.NOT_SENT,
        code="auth_expired",
        name=_LOCK,
        source=_SOCKET_PAGE,
    ),
    _called("the body tells the states", _U, [_state("unlocking"), _state("unlocked")], End.DONE),
    _called("a 200 with [] says nothing", _U, [], End.UNKNOWN, "pending"),
    _called("a 200 about another entity", _U, [_state("on", "light.hall")], End.UNKNOWN, "pending"),
    _called("jammed comes in a 200", _L, [_state("locking"), _state("jammed")], End.REJECTED, "jammed"),
    _called("unavailable in a 200", _L, [_state("unavailable")], End.UNKNOWN, "offline"),
    _called("the integration failed", _U, "500 Internal Server Error", End.UNKNOWN, "vendor_down", 500),
    _called("no such service", _U, "400: Bad Request", End.NOT_SENT, "bad_request", 400),
    _called("no token", _U, "401: Unauthorized", End.NOT_SENT, "auth_expired", 401),
    _called("banned", _U, "403: Forbidden", End.NOT_SENT, "consent_missing", 403),
    _called("an object, not a list", _U, {"message": "?"}, End.UNKNOWN, "unexpected_answer"),
    _looked("bolt alone", _seen(True), _state("locked")),
    _looked(
        "locked and closed: as old as the lock's last change",
        _seen(True, False),
        {**_state("locked"), "last_updated": _LATER, "last_reported": _LATER},
        _state("off", _CONTACT, _LATER),
        contact=_CONTACT,
    ),
    _looked(
        "locked in the air: the door stands open",
        _seen(True, True, _LATER),
        _state("locked"),
        _state("on", _CONTACT, _LATER),
        contact=_CONTACT,
    ),
    _looked(
        "a contact sensor that is gone is not told",
        _seen(True),
        _state("locked"),
        _state("unavailable", _CONTACT),
        contact=_CONTACT,
    ),
    *(
        _looked(f"{word} is not locked", _seen(False), _state(word))
        for word in ("unlocked", "unlocking", "locking", "open", "opening", "jammed")
    ),
    *(
        _looked(f"{word} is not told", _seen(None), _state(word))
        for word in ("unavailable", "unknown", "shrug")
    ),
    _looked("an assumed state is not told", _seen(None), _state("locked", assumed_state=True)),
    _looked("a closed garage door stands for locked", _seen(True, False), _state("closed", _COVER)),
    *(
        _looked(f"a garage door {word} is open", _seen(False, True), _state(word, _COVER))
        for word in ("open", "opening", "closing")
    ),
    *(
        _inside(f"second bolt {word}", _SECOND, word, "second_bolt", is_bolted_inside=is_so)
        for word, is_so in (("locked", True), ("unlocked", False), ("jammed", None), ("unavailable", None))
    ),
    _inside("a second bolt's sensor: off is locked", _BOLT, "off", "second_bolt", is_bolted_inside=True),
    _inside("a second bolt's sensor: on is unlocked", _BOLT, "on", "second_bolt", is_bolted_inside=False),
    *(
        _inside(f"alarm {word}", _ALARM, word, "alarm", is_alarm_armed=is_so)
        for word, is_so in (
            ("disarmed", False),
            ("armed_away", True),
            ("armed_home", True),
            ("armed_night", True),
            ("armed_vacation", True),
            ("armed_custom_bypass", True),
            ("arming", True),
            ("pending", True),
            ("triggered", True),
            ("disarming", True),
            ("unknown", None),
        )
    ),
    *(
        _inside(f"animal: {entity} is {word}", entity, word, "pet", is_pet_loose=is_so)
        for entity, word, is_so in (
            ("binary_sensor.pet_flap", "on", True),
            ("binary_sensor.pet_flap", "off", False),
            ("input_boolean.dog_is_loose", "on", True),
            ("input_boolean.dog_is_loose", "unavailable", None),
        )
    ),
    *(
        Example(
            title=f"a {bell.partition('.')[0]} as bell",
            verb=Verb.RING,
            replies=(Reply(to=f"POST /api/services/{service}", body=[]),),
            name=_LOCK,
            told={"bell": bell},
            source=_REST_PAGE,
        )
        for bell, service in (
            ("button.chime", "button/press"),
            ("input_button.chime", "input_button/press"),
            ("script.ding_dong", "script/turn_on"),
            ("switch.gong", "switch/turn_on"),
        )
    ),
    Example(
        title="no bell",
        verb=Verb.RING,
        replies=(),
        end=End.NOT_SENT,
        code="not_supported",
        name=_LOCK,
        source=_REST_PAGE,
    ),
    Example(
        title="a bell whose service is gone",
        verb=Verb.RING,
        replies=(Reply(to="POST /api/services/button/press", status=400, body="400: Bad Request"),),
        end=End.NOT_SENT,
        code="bad_request",
        name=_LOCK,
        told={"bell": "button.chime"},
        source=_RAN,
    ),
    Example(
        title="no such entity",
        verb=Verb.READ,
        replies=(Reply(to="GET /api/states/", status=404, body={"message": "Entity not found."}),),
        end=End.NOT_SENT,
        code="not_supported",
        name=_LOCK,
        source=_REST_PAGE,
    ),
)
