"""Home Assistant: the door or garage of a home, through the hub that stands in it.

Documentation: developers.home-assistant.io/docs/api/rest and .../api/websocket; what it leaves open was read in the
source of homeassistant 2025.4 and measured there. Authorization: a long-lived access token of a user made for Unlatch.

| | |
|---|---|
| commands | WebSocket /api/websocket: auth, subscribe_entities (the door's own entities alone), call_service lock.unlock, lock.open, lock.lock, cover.open_cover, cover.close_cover. Where the WebSocket can't be had in time, before anything was sent: POST /api/services/{domain}/{service} |
| what a command's answer says | nothing: success, and a 200 with `[]`, come for an unknown entity, an offline lock and a silent MQTT lock alike. What counts is the door's state under the command's own context id |
| a context id | links a state to a command for 5 s only. An end that comes later counts where its beginning (`unlocking`) was ours and its own context names neither user nor automation |
| latency | the answer comes when the integration's call returns: 2.0 s measured with the demo lock, 4-11 ms with MQTT, no limit known. We wait 30 s for it, 6 s for a first sign of movement after it, 45 s for a movement's end |
| expiry | of a command: none documented. A call goes on when the connection is cut; a broker may hold a message for a lock. `late_effect_s` = 300 is assumed |
| reads | GET /api/states/{entity}: lock or cover, and contact sensor; ahead of an unlock also second bolt, alarm and animal (devices/inside.py). No position: a home stays where it is |
| rings | POST /api/services/button/press and its like. What the answer says of the bell: nothing |
| `unavailable`, `unknown` | not told. A lock with `assumed_state` tells what was sent to it, not what it is: not told either |
| times | are when *Home Assistant* saw it. A restart sets them anew, also for a state restored from its own disk: right after a restart *locked* may be old news with a new time, and nothing in the API tells. *Locked* is as old as `last_changed`: `last_updated` also moves with the battery, `last_reported` with every poll of a cache |
| limits | none; a token refused several times may ban our address (403) |

The door is `lock.x`, or for a garage `cover.x`. Without a contact sensor a bolt may be thrown while the door stands open:
*bolt alone*, a weaker assurance. A cover has no lock that could be read: closed stands for locked, *lid alone*. It is opened
by its own opening; one that moves or is open already is not sent anything that a one-button opener could take for the
other way. A second bolt that is thrown means that someone shut the door from inside: the unlock is not sent.
"""  # noqa: E501 - a table's row is one line

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from unlatch.clock import monotonic_s
from unlatch.devices import inside
from unlatch.devices.base import (
    Answer,
    Car,
    End,
    Evidence,
    FormField,
    Maker,
    Sending,
    Verb,
)
from unlatch.devices.body import read_http_date
from unlatch.devices.entities import ERRORS, MISSING, State, Step, Talk, judge
from unlatch.devices.lamp import play_lamp
from unlatch.devices.link import Heard, quoted
from unlatch.devices.makers.home_assistant_examples import EXAMPLES
from unlatch.devices.wire import Cut, WireError
from unlatch.domain.access import Closure
from unlatch.domain.reading import Reading
from unlatch.errors import (
    CommandNotSent,
    CommandRejected,
    CommandUnknown,
    ConsentLost,
    DeviceError,
    DeviceUnsupported,
)

READY_WITHIN_S = 1.5  # real: until the WebSocket could take the command; then the other way is taken
READY_SHARE = 0.6  # of what is left until the first byte must have left
ANSWER_WITHIN_S = 30.0
RUNG_WITHIN_S = 10.0
QUIET_S = 6.0  # a context lives for 5 s: what begins later could not be told from another's doing
MOVES_WITHIN_S = 45.0  # the slowest garage door
AHEAD_S = 2.0  # a hub's clock that is ahead of ours by more is set right

OBJECT = inside.OBJECT
DOOR = re.compile(rf"(?:lock|cover)\.{OBJECT}")
NOT_LOCKED = ("unlocked", "unlocking", "locking", "open", "opening", "jammed")
LOCKS = {"locked": True, **dict.fromkeys(NOT_LOCKED, False)}
LIDS = {"closed": False, "open": True, "opening": True, "closing": True}
CONTACTS = {"on": True, "off": False}
LATCH_BIT = 1  # of supported_features
COVER_BITS = {Verb.UNLOCK: 1, Verb.LOCK: 2}

UNLOCK_BOLT = Step(
    domain="lock", service="unlock", under_way=frozenset({"unlocking"}), goals=frozenset({"unlocked", "open"})
)
OPEN_LATCH = replace(UNLOCK_BOLT, service="open", under_way=frozenset({"unlocking", "opening"}))
LOCK_BOLT = Step(
    domain="lock",
    service="lock",
    under_way=frozenset({"locking"}),
    goals=frozenset({"locked"}),
    is_closing=True,
)
OPEN_COVER = Step(
    domain="cover", service="open_cover", under_way=frozenset({"opening"}), goals=frozenset({"open"})
)
CLOSE_COVER = Step(
    domain="cover",
    service="close_cover",
    under_way=frozenset({"closing"}),
    goals=frozenset({"closed"}),
    is_closing=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Which entities of the hub are one door, and how it is to be opened."""

    entity: str
    contact: str | None
    second_bolt: str | None
    opens_latch: bool
    locks_itself_after_s: float | None

    @property
    def is_cover(self) -> bool:
        return self.entity.startswith("cover.")

    @classmethod
    def of(cls, car: Car) -> Door:
        """The door of a link's form; what is left out is not there."""
        given = car.secrets
        after_s = given.get("locks_itself_after_s", "")
        return cls(
            entity=car.vin,
            contact=given.get("contact") or None,
            second_bolt=given.get("second_bolt") or None,
            opens_latch=given.get("opening") == "latch",
            locks_itself_after_s=float(after_s) if after_s.isdecimal() else None,
        )

    @property
    def entities(self) -> list[str]:
        return [one for one in (self.entity, self.contact, self.second_bolt) if one is not None]

    def step(self, verb: Verb) -> Step:
        """The service to call for `verb`."""
        if self.is_cover:
            return OPEN_COVER if verb is Verb.UNLOCK else CLOSE_COVER
        if verb is Verb.UNLOCK:
            return OPEN_LATCH if self.opens_latch else UNLOCK_BOLT
        return LOCK_BOLT


class _NoTalk(Exception):
    """No WebSocket was to be had in time; nothing of the command has left."""


class HomeAssistant(Maker):
    """Home Assistant: one for each hub."""

    name = "home_assistant"
    label = "Home Assistant"
    default_address = "https://hub.invalid"  # each home has its own
    has_own_hub = True
    name_pattern = DOOR.pattern
    form_fields = (
        FormField(name="address", is_secret=False, max_length=200, meaning="https://home.example:8123"),
        FormField(
            name="access_token", meaning="a long-lived token of a user who may control this door alone"
        ),
        FormField(name="contact", is_secret=False, is_required=False, pattern=rf"binary_sensor\.{OBJECT}"),
        *inside.FORM_FIELDS,
        FormField(
            name="opening",
            is_secret=False,
            is_required=False,
            pattern="bolt|latch",
            meaning="latch: the lock also pulls the latch, so that the door springs open",
        ),
        FormField(
            name="locks_itself_after_s",
            is_secret=False,
            is_required=False,
            pattern="[1-9][0-9]{0,3}",
            meaning="seconds after which the lock locks by itself, if it does",
        ),
        FormField(
            name="lamp",
            is_secret=False,
            is_required=False,
            pattern=rf"light\.{OBJECT}",
            meaning="a lamp that the home's camera sees: it plays a pattern to show that the picture lives",
        ),
    )

    def closure(self, car: Car) -> Closure:
        """A cover's lid stands for its lock; without a contact sensor only the bolt is seen."""
        door = Door.of(car)
        return Closure(
            reads_lock=True,
            reads_lid=door.is_cover or door.contact is not None,
            locks_itself_after_s=door.locks_itself_after_s,
            late_effect_s=300.0,
            read_every_s=2.0,
            lid_is_lock=door.is_cover,
        )

    async def unlock(self, car: Car, sending: Sending) -> Answer:
        """Withdraw the bolt (and the latch, where that is wanted), or open the cover."""
        return await self._command(car, Verb.UNLOCK, sending)

    async def lock(self, car: Car, sending: Sending) -> Answer:
        """Throw the bolt or close the cover. Not while the contact sensor tells an open door: it would be stuck."""
        return await self._command(car, Verb.LOCK, sending)

    async def play(self, car: Car, chips: Sequence[bool], chip_s: float) -> float:
        """By light.turn_on and turn_off, a turn of the pattern each; see `devices/lamp.py`."""
        self._door(car, Verb.PLAY)
        if (lamp := car.secrets.get("lamp")) is None:
            return await super().play(car, chips, chip_s)
        token = car.secrets.get("access_token", "")
        return await play_lamp(self.link, car, lamp, token, chips=chips, chip_s=chip_s)

    async def ring(self, car: Car) -> None:
        """By the service of its kind of bell. That it was taken on says nothing of whether anyone has heard it."""
        self._door(car, Verb.RING)
        if not (bell := car.secrets.get(inside.BELL)):
            return await super().ring(car)
        service, entity = inside.bell_service(bell)
        heard = await self.link.post(
            car,
            Verb.RING,
            f"/api/services/{service}",
            headers=self._headers(car),
            json={"entity_id": entity},
            sending=Sending(),
            answer_within_s=RUNG_WITHIN_S,
        )
        if (refused := self.link.refusal(car, Verb.RING, heard)) is not None:
            raise refused
        return None

    async def read(self, car: Car, *, wants_position: bool = False) -> Reading:
        """The door and its contact sensor; if more is wanted, what stands inside. A home stands where it stands."""
        door = self._door(car, Verb.READ)
        if wants_position:
            at_door, told = await asyncio.gather(self._read_door(car, door), self._read_inside(car))
            reading: Reading = replace(at_door, **told)
            return reading
        return await self._read_door(car, door)

    async def _read_door(self, car: Car, door: Door) -> Reading:
        main, contact = await asyncio.gather(self._get(car, door.entity), self._find(car, door.contact))
        state = State.of(main.json)
        word = "" if state.is_assumed else state.word
        is_ajar = CONTACTS.get(State.of(contact.json).word) if contact is not None else None
        if door.is_cover:
            is_locked = None if word not in LIDS else word == "closed"
            is_open = True if LIDS.get(word) or is_ajar else LIDS.get(word)
        else:
            is_locked, is_open = LOCKS.get(word), is_ajar
        changed_at = main.find_time("last_changed")
        if changed_at is None:
            raise self.link.unknown(Verb.READ, "unexpected_answer")
        times = [changed_at]
        if not (is_locked and is_open is not True):  # bad news is as new as its newest part
            names = ("last_changed", "last_updated", "last_reported")
            told = [heard.find_time(name) for heard in (main, contact) if heard for name in names]
            times = [at for at in told if at is not None]
        now = self.link.clock.now()
        try:
            observed_at = max(times) - timedelta(seconds=_ahead_s(main, now))
        except OverflowError:  # older than time: its clock is not to be reckoned with
            raise self.link.unknown(Verb.READ, "unexpected_answer") from None
        return Reading(observed_at=min(observed_at, now), is_locked=is_locked, is_open=is_open)

    async def _read_inside(self, car: Car) -> dict[str, Any]:
        """The fields of a reading that are about the inside. What can't be had is not told."""
        names = [name for name in inside.ENTITIES if car.secrets.get(name)]
        found = await asyncio.gather(*(self._find(car, car.secrets[name]) for name in names))
        states = {
            name: State.of(heard.json) for name, heard in zip(names, found, strict=True) if heard is not None
        }
        return dict(inside.told_inside(car.secrets, states))

    async def _command(self, car: Car, verb: Verb, sending: Sending) -> Answer:
        door = self._door(car, verb)
        async with self.link.command(car, verb):
            try:
                async with self._talk(car, verb, door, sending) as talk:
                    return await self._by_websocket(car, verb, door, talk, sending)
            except _NoTalk:
                return await self._by_rest(car, verb, door, sending)

    @asynccontextmanager
    async def _talk(self, car: Car, verb: Verb, door: Door, sending: Sending) -> AsyncIterator[Talk]:
        """A WebSocket that is ready for the command; raises `_NoTalk` where none is to be had in time."""
        within_s = READY_WITHIN_S
        if sending.first_byte_by_s is not None:
            within_s = min(within_s, READY_SHARE * (sending.first_byte_by_s - monotonic_s()))
        if within_s <= 0:
            raise _NoTalk
        until_s = monotonic_s() + within_s
        async with AsyncExitStack() as stack:
            try:
                opening = self.link.conversation(
                    car, verb, "/api/websocket", within_s=within_s, trace_id=sending.trace_id
                )
                talk = Talk(await stack.enter_async_context(opening))
                token = car.secrets.get("access_token", "")
                is_welcome = await talk.begin(token, door.entities, until_s)
            except WireError:
                raise _NoTalk from None
            if not is_welcome:
                raise ConsentLost(self.link.text(verb, "auth_expired"), code="auth_expired")
            yield talk

    async def _by_websocket(self, car: Car, verb: Verb, door: Door, talk: Talk, sending: Sending) -> Answer:
        self._check(verb, door, talk.states)
        step = door.step(verb)
        try:
            self.link.budgets.spend(car.vin)
            talk.command(step, door.entity, sending)
            return await self._follow(verb, step, talk)
        except WireError as error:
            raise self.link.lost(car, verb, error) from None

    async def _follow(self, verb: Verb, step: Step, talk: Talk) -> Answer:
        """Listen until the door's own states tell the end, or patience does."""
        until_s = monotonic_s() + self.link.real_wait_s(ANSWER_WITHIN_S)
        was_moving = False
        while True:
            try:
                is_answer = await talk.hear_more(until_s - monotonic_s())
            except WireError as error:
                if error.cut is Cut.NO_ANSWER and talk.own_id is not None:
                    raise self.link.unknown(verb, "pending") from None  # taken on, and no end seen of it
                raise
            if talk.error_code is not None:
                kind, code = ERRORS.get(talk.error_code, (CommandUnknown, "unknown"))
                raise kind(self.link.text(verb, code), code=code)
            if talk.own_id is None:
                continue
            end, why, is_moving = judge(step, talk.path, talk.own_id)
            if end is not None:
                is_assumed = talk.states[talk.watched or ""].is_assumed
                evidence = Evidence.CLOUD_SAYS if is_assumed else Evidence.DEVICE_SAYS
                return self._ended(verb, end, why, evidence, talk.own_id)
            if is_moving and not was_moving:
                until_s, was_moving = monotonic_s() + self.link.real_wait_s(MOVES_WITHIN_S), True
            elif is_answer and not is_moving:
                until_s = monotonic_s() + self.link.real_wait_s(QUIET_S)

    async def _by_rest(self, car: Car, verb: Verb, door: Door, sending: Sending) -> Answer:
        """The other way: the body tells the states that the call itself led through; an empty one tells nothing."""
        step = door.step(verb)
        states: dict[str, State] | None = None
        try:
            states = {one: State.of((await self._get(car, one)).json) for one in door.entities}
        except CommandNotSent as error:
            if verb is Verb.UNLOCK or isinstance(error, ConsentLost | DeviceUnsupported):
                raise
        except DeviceError as error:  # of the look; nothing of the command has left
            if verb is Verb.UNLOCK:
                raise self.link.not_sent(verb, error.code) from None
        if states is not None:  # a closing is not given up because a look failed
            self._check(verb, door, states)
        heard = await self.link.post(
            car,
            verb,
            f"/api/services/{step.domain}/{step.service}",
            headers=self._headers(car),
            json={"entity_id": door.entity},
            sending=sending,
            answer_within_s=ANSWER_WITHIN_S,
        )
        if heard.status >= 300 and isinstance(heard.json, list):
            raise self.link.unknown(verb, "contradiction")  # refused by its status, and yet it tells states
        if (refused := self.link.refusal(car, verb, heard)) is not None:
            raise refused
        if not isinstance(heard.json, list):
            raise self.link.unknown(verb, "unexpected_answer")
        told = [one for one in heard.json if isinstance(one, dict) and one.get("entity_id") == door.entity]
        path = [State.of(one) for one in told]
        own_id = (
            path[0].context_id if path else None
        ) or ""  # Home Assistant lists the call's own states alone
        end, why, _ = judge(step, path, own_id)
        return self._ended(verb, end, why, Evidence.CLOUD_SAYS, own_id)

    def _check(self, verb: Verb, door: Door, states: dict[str, State]) -> None:
        """Why the command must not be sent to a door that stands so; raises a `CommandNotSent`."""
        is_opening = verb is Verb.UNLOCK
        state = states.get(door.entity)
        contact = states.get(door.contact or "", State())
        needed = COVER_BITS[verb] if door.is_cover else LATCH_BIT if is_opening and door.opens_latch else 0
        if state is None or (needed and not state.can(needed)) or (door.is_cover and state.is_assumed):
            raise DeviceUnsupported(self.link.text(verb, "not_supported"), code="not_supported")
        if state.word == "unavailable" or (is_opening and state.word in MISSING):
            raise self.link.not_sent(verb, "offline")
        if door.is_cover and is_opening and state.word != "closed":
            raise self.link.not_sent(verb, "door_open" if state.word == "open" else "unsafe_state")
        if is_opening and inside.is_bolted(door.second_bolt, states.get(door.second_bolt or "", State())):
            raise self.link.not_sent(verb, "unsafe_state")  # shut from inside: someone is at home
        if not is_opening and not door.is_cover and CONTACTS.get(contact.word):
            raise self.link.not_sent(verb, "door_open")  # a bolt thrown now would keep it from closing

    def _ended(
        self, verb: Verb, end: End | None, why: str | None, evidence: Evidence, context_id: str
    ) -> Answer:
        if end is End.DONE:
            return Answer(
                evidence=evidence, answered_at=self.link.clock.now(), reference=context_id[:64] or None
            )
        if end is End.REJECTED:
            raise CommandRejected(self.link.text(verb, why or "rejected"), code=why or "rejected")
        raise self.link.unknown(verb, why or "pending")

    def _door(self, car: Car, verb: Verb) -> Door:
        """Raises `CommandNotSent` where the form holds what can be no entity of a door."""
        if not DOOR.fullmatch(car.vin):
            raise self.link.not_sent(verb, "bad_request")
        for one in self.form_fields:
            given = car.secrets.get(one.name)
            if given and one.pattern and not re.fullmatch(one.pattern, given):
                raise self.link.not_sent(verb, "bad_request")
        return Door.of(car)

    async def _get(self, car: Car, entity: str) -> Heard:
        heard = await self.link.get(car, f"/api/states/{quoted(entity)}", headers=self._headers(car))
        if (error := self.link.refusal(car, Verb.READ, heard)) is not None:
            raise error
        if heard.find("entity_id") != entity:
            raise self.link.unknown(Verb.READ, "unexpected_answer")  # another door's (S7), or nobody's
        return heard

    async def _find(self, car: Car, entity: str | None) -> Heard | None:
        try:
            return await self._get(car, entity) if entity is not None else None
        except DeviceError:
            return None  # without it the bolt is still worth reading

    def _headers(self, car: Car) -> dict[str, str]:
        return {"authorization": f"Bearer {car.secrets.get('access_token', '')}"}


def _ahead_s(heard: Heard, now: datetime) -> float:
    """By how much the hub's clock is ahead of ours: else old news of it would look fresh."""
    at = read_http_date(heard.headers.get("date", ""))
    ahead_s = 0.0 if at is None else (at - now).total_seconds()
    return ahead_s if ahead_s > AHEAD_S else 0.0


HomeAssistant.examples = EXAMPLES
