"""The entities of a hub that speaks Home Assistant's WebSocket: their states, whose doing each is, and what those that
follow a command say of it. The facts stand in the maker's file (makers/home_assistant.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from unlatch.clock import monotonic_s
from unlatch.devices.base import End, Sending
from unlatch.devices.body import read_json
from unlatch.devices.websocket import WebSocket
from unlatch.devices.wire import Cut, WireError
from unlatch.errors import (
    CommandNotSent,
    CommandRejected,
    CommandUnknown,
    ConsentLost,
    DeviceError,
    DeviceUnsupported,
)

MISSING = frozenset({"unavailable", "unknown"})

# error.code of a WebSocket's result -> what is known of the world, and our word for the cause.
ERRORS: dict[str, tuple[type[DeviceError], str]] = {
    "not_found": (DeviceUnsupported, "not_supported"),  # no such service: the integration is gone
    "invalid_format": (CommandNotSent, "bad_request"),
    "unauthorized": (ConsentLost, "consent_missing"),  # this user may not control this entity
    "service_validation_error": (CommandRejected, "rejected"),  # such as a code that the lock wants
    "home_assistant_error": (CommandUnknown, "car_error"),  # the integration gave up: how far it came is open
    "unknown_error": (CommandUnknown, "unknown"),
    "timeout": (CommandUnknown, "timeout"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One service, the states that it leads through, and those that it leads to."""

    domain: str
    service: str
    under_way: frozenset[str]
    goals: frozenset[str]
    is_closing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One state of one entity, and whose doing it was."""

    word: str = "unknown"
    context_id: str | None = None
    user_id: str | None = None
    parent_id: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, told: object) -> State:
        """A state as REST tells it, which is never without attributes; what can't be read is unknown."""
        if not isinstance(told, dict) or not isinstance(told.get("attributes"), dict):
            return cls()
        return cls().overlaid({"s": told.get("state"), "a": told["attributes"], "c": told.get("context")})

    def overlaid(self, told: object) -> State:
        """With what a compressed state tells: s the word, a attributes, c the context (or its id alone).

        What is left out has not changed; a word that is no text is not known.
        """
        if not isinstance(told, dict):
            return self
        word, context, attributes = told.get("s", self.word), told.get("c"), told.get("a")
        context = {"id": context} if isinstance(context, str) else context
        state = self
        if isinstance(context, dict):
            given_id = context.get("id", state.context_id)
            state = replace(
                state,
                context_id=given_id if isinstance(given_id, str) else None,
                user_id=_someone(context.get("user_id", state.user_id)),
                parent_id=_someone(context.get("parent_id", state.parent_id)),
            )
        if isinstance(attributes, dict):
            state = replace(state, attributes={**state.attributes, **attributes})
        return replace(state, word=word if isinstance(word, str) else "unknown")

    @property
    def is_nobodys(self) -> bool:
        """Neither a user's nor an automation's: the device tells by itself."""
        return self.user_id is None and self.parent_id is None

    @property
    def is_assumed(self) -> bool:
        assumed = self.attributes.get("assumed_state")  # what is neither of the two is no good news
        return assumed is not None and assumed is not False

    def can(self, bit: int) -> bool:
        features = self.attributes.get("supported_features")
        return isinstance(features, int) and bool(features & bit)


def _someone(value: object) -> str | None:
    """Who stands in a context; what is no text is still someone."""
    return value if value is None or isinstance(value, str) else "?"


def judge(step: Step, path: list[State], own_id: str) -> tuple[End | None, str | None, bool]:
    """What a door's states after a command say of it: the end (None: not yet), its code, whether a movement began."""
    has_begun = False
    for state in path:
        is_ours = state.context_id == own_id
        if state.word in MISSING:
            return End.UNKNOWN, "offline", has_begun
        if not (is_ours or (has_begun and state.is_nobodys)):
            continue
        if state.word in step.goals:
            return End.DONE, None, has_begun
        if state.word in step.under_way:
            has_begun = True
        elif has_begun or state.word == "jammed":
            # It went back, or got stuck. Of a closing that is all that matters; an opening may have come half the way.
            return (End.REJECTED if step.is_closing else End.UNKNOWN), "jammed", has_begun
    return None, None, has_begun


class Talk:
    """What is said on one WebSocket: signing in, the states of one door's entities, one command and its states."""

    COMMAND_ID = 2

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self.states: dict[str, State] = {}
        self.path: list[State] = []  # of the door itself, since the command
        self.own_id: str | None = None
        self.error_code: str | None = None
        self.watched: str | None = None

    async def begin(self, token: str, entities: list[str], until_s: float) -> bool:
        """Sign in and learn how the entities stand; False when the token is refused. Raises `WireError`."""
        await self._hear("auth_required", until_s)
        self._say({"type": "auth", "access_token": token})
        if (await self._hear("auth_ok", until_s, "auth_invalid"))["type"] == "auth_invalid":
            return False
        self._say({"id": 1, "type": "subscribe_entities", "entity_ids": entities})
        while (message := await self._hear("event", until_s, "result"))["type"] != "event":
            if message.get("success") is not True:
                raise WireError(Cut.GARBAGE, has_left=False)
        self._note(message)
        return True

    def command(self, step: Step, entity: str, sending: Sending) -> None:
        """Hand the command's bytes to the socket. Raises `WireError`: none has left."""
        self.watched = entity
        call = {
            "id": self.COMMAND_ID,
            "type": "call_service",
            "domain": step.domain,
            "service": step.service,
            "target": {"entity_id": entity},
        }
        self.socket.send(
            msgspec.json.encode(call), first_byte_by_s=sending.first_byte_by_s, on_sent=sending.on_sent
        )

    async def hear_more(self, within_s: float) -> bool:
        """Take in one more message; True if it was the command's answer. Raises `WireError`."""
        message = await self.hear(within_s)
        if message.get("type") != "result" or message.get("id") != self.COMMAND_ID:
            return False
        self.own_id = _word(message, "result", "context", "id")
        if message.get("success") is not True:
            is_refused = message.get("success") is False  # else it says neither
            self.error_code = (_word(message, "error", "code") if is_refused else None) or "unknown_error"
        return True

    async def hear(self, within_s: float) -> dict[str, Any]:
        """The next message; a state that it tells is noted. Raises `WireError`: NO_ANSWER where none came in time."""
        message = _decoded(await self.socket.receive(within_s))
        self._note(message)
        return message

    def _say(self, message: object) -> None:
        self.socket.send(msgspec.json.encode(message))

    async def _hear(self, kind: str, until_s: float, other: str | None = None) -> dict[str, Any]:
        while True:
            message = _decoded(await self.socket.receive(until_s - monotonic_s()))
            if message.get("type") in (kind, other):
                return message

    def _note(self, message: dict[str, Any]) -> None:
        """Lay an event of the subscription over what is known: a: all of an entity, c: what changed, r: it is gone."""
        event = message.get("event")
        if message.get("type") != "event" or message.get("id") != 1 or not isinstance(event, dict):
            return
        for entity, told in _items(event.get("a")):
            self._enter(entity, State().overlaid(told))
        for entity, told in _items(event.get("c")):
            self._enter(entity, self.states.get(entity, State()).overlaid(told.get("+")))
        gone = event.get("r")
        for entity in gone if isinstance(gone, list) else ():
            self._enter(str(entity), State(word="unavailable"))

    def _enter(self, entity: str, state: State) -> None:
        self.states[entity] = state
        if entity == self.watched:
            self.path.append(state)


def _decoded(text: bytes) -> dict[str, Any]:
    message = read_json(text)
    if not isinstance(message, dict):
        raise WireError(Cut.GARBAGE, has_left=True)
    return message


def _items(value: object) -> list[tuple[str, dict[str, Any]]]:
    pairs = value.items() if isinstance(value, dict) else ()
    return [(str(key), told) for key, told in pairs if isinstance(told, dict)]


def _word(message: object, *path: str) -> str | None:
    for step in path:
        message = message.get(step) if isinstance(message, dict) else None
    return message if isinstance(message, str) and 0 < len(message) <= 100 else None
