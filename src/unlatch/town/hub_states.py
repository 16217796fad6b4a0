"""What a home's hub believes: its entities, with the times at which it saw them and the context of whoever did it.

As Home Assistant does it (homeassistant 2025.4: core.py, helpers/entity.py, websocket_api/messages.py): a service call
lends its context to the entity for `CONTEXT_S`; whatever is written later has a new one that names nobody. A restart
gives every state a new time.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from unlatch.town.faults import Verb
from unlatch.town.home import Home, HomeDeed, HomeKind

CONTEXT_S = 5.0
MAX_SUBSCRIBERS = 64
MAX_WAITING = 256  # messages to one subscriber that have not been sent yet

LOCK, SECOND_BOLT, COVER = "lock.front_door", "lock.night_bolt", "cover.garage_door"
CONTACTS = {HomeKind.DOOR: "binary_sensor.front_door", HomeKind.GARAGE: "binary_sensor.garage_door"}
ALARM, PERSON, CAMERA, CHIME = "alarm_control_panel.home", "person.resident", "camera.hall", "button.chime"
LAMP, PET = "light.hall", "binary_sensor.pet_is_loose"
WAYS = {
    HomeDeed.UNLOCK: "unlocking",
    HomeDeed.UNLATCH: "opening",
    HomeDeed.LOCK: "locking",
    HomeDeed.OPEN_COVER: "opening",
    HomeDeed.CLOSE_COVER: "closing",
}


SERVICES: dict[tuple[str, str], tuple[HomeDeed, Verb]] = {
    ("lock", "unlock"): (HomeDeed.UNLOCK, Verb.UNLOCK),
    ("lock", "open"): (HomeDeed.UNLATCH, Verb.UNLOCK),
    ("lock", "lock"): (HomeDeed.LOCK, Verb.LOCK),
    ("cover", "open_cover"): (HomeDeed.OPEN_COVER, Verb.UNLOCK),
    ("cover", "close_cover"): (HomeDeed.CLOSE_COVER, Verb.LOCK),
    ("button", "press"): (HomeDeed.RING, Verb.ALERT),
    ("notify", "notify"): (HomeDeed.RING, Verb.ALERT),
    ("light", "turn_on"): (HomeDeed.LAMP_ON, Verb.ALERT),
    ("light", "turn_off"): (HomeDeed.LAMP_OFF, Verb.ALERT),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Whose doing a state is."""

    id: str
    user_id: str | None = None
    parent_id: str | None = None

    def told(self) -> dict[str, str | None]:
        return {"id": self.id, "parent_id": self.parent_id, "user_id": self.user_id}


def new_context(user_id: str | None = None) -> Context:
    """A context that was never there before."""
    return Context(id=secrets.token_hex(13).upper(), user_id=user_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityState:
    """One state of one entity, as the hub keeps it."""

    entity_id: str
    word: str
    attributes: Mapping[str, Any]
    context: Context
    last_changed: datetime
    last_updated: datetime
    last_reported: datetime

    def told(self) -> dict[str, Any]:
        """As REST tells it."""
        return {
            "entity_id": self.entity_id,
            "state": self.word,
            "attributes": self.attributes,
            "last_changed": self.last_changed.isoformat(),
            "last_reported": self.last_reported.isoformat(),
            "last_updated": self.last_updated.isoformat(),
            "context": self.context.told(),
        }

    def compressed(self) -> dict[str, Any]:
        """As subscribe_entities tells a whole entity."""
        is_nobodys = self.context.user_id is None and self.context.parent_id is None
        told: dict[str, Any] = {
            "s": self.word,
            "a": self.attributes,
            "c": self.context.id if is_nobodys else self.context.told(),
            "lc": self.last_changed.timestamp(),
        }
        if self.last_updated != self.last_changed:
            told["lu"] = self.last_updated.timestamp()
        return told

    def difference(self, old: EntityState) -> dict[str, Any]:
        """As subscribe_entities tells a change."""
        added: dict[str, Any] = {}
        if self.word != old.word:
            added["s"] = self.word
        if self.last_changed != old.last_changed:
            added["lc"] = self.last_changed.timestamp()
        elif self.last_updated != old.last_updated:
            added["lu"] = self.last_updated.timestamp()
        now, before = self.context.told(), old.context.told()
        changed = {key: value for key, value in now.items() if value != before[key]}
        if changed:
            added["c"] = changed["id"] if set(changed) == {"id"} else changed
        new = {key: value for key, value in self.attributes.items() if old.attributes.get(key) != value}
        return {"+": added | ({"a": new} if new else {})}


Change = tuple[EntityState | None, EntityState]  # before (None: it was not there) and after


@dataclass(eq=False, slots=True)
class Subscriber:
    """One who listens. A change too many cuts it off, as Home Assistant does."""

    changes: deque[Change] = field(default_factory=deque)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    is_overrun: bool = False

    def tell(self, change: Change | None) -> None:
        """A change, or (None) that the home's time line is another now."""
        if len(self.changes) >= MAX_WAITING:
            self.is_overrun = True
        elif change is not None:
            self.changes.append(change)
        self.news.set()


class HubStates:
    """The entities of one hub."""

    def __init__(self, home: Home, at: datetime) -> None:
        self.home = home
        self.subscribers: list[Subscriber] = []
        self.is_assumed = False  # the lock's state is what was sent to it
        self.is_doubled = False  # each change is told twice
        self.is_frozen = False
        self._lent: dict[str, tuple[Context, datetime]] = {}
        self.entities: dict[str, EntityState] = {}
        for entity_id, word in self._words().items():
            self.entities[entity_id] = self._new(entity_id, word, at)

    @property
    def main(self) -> str:
        """The entity that is opened and closed."""
        return COVER if self.home.kind is HomeKind.GARAGE else LOCK

    @property
    def contact(self) -> str:
        """The sensor that tells whether it is open."""
        return CONTACTS[self.home.kind]

    @property
    def second_bolt(self) -> str:
        """The bolt that is thrown from inside."""
        return SECOND_BOLT

    def lend(self, entity_id: str, context: Context, at: datetime) -> None:
        """A service was called for this entity."""
        self._lent[entity_id] = (context, at)

    def pretend(self, word: str, at: datetime) -> None:
        """Show this of the main entity, whatever is so, until the hub looks again."""
        self._write(self.main, word, at)

    def refresh(self, at: datetime) -> None:
        """Take over what is so now."""
        if not self.is_frozen:
            for entity_id, word in self._words().items():
                self._write(entity_id, word, at)

    def report(self, at: datetime) -> None:
        """The integration tells again what it told before: only `last_reported` moves."""
        for entity_id, state in self.entities.items():
            self.entities[entity_id] = replace(state, last_reported=at)

    def restart(self, at: datetime) -> None:
        """Home Assistant starts anew: what it restores bears the time of the start."""
        self._lent.clear()
        for entity_id, state in list(self.entities.items()):
            self.entities[entity_id] = self._new(entity_id, state.word, at)

    def wake(self) -> None:
        """The home's time line has changed: whoever waits for the next event waits anew."""
        for subscriber in self.subscribers:
            subscriber.tell(None)

    def _words(self) -> dict[str, str]:
        home, words = self.home, {}
        if home.kind is HomeKind.GARAGE:
            way = WAYS.get(home.moving) if home.moving is not None else None
            words[COVER] = way or ("open" if home.is_open else "closed")
        else:
            way = WAYS.get(home.moving) if home.moving is not None and home.tells_way else None
            word = "jammed" if home.is_jammed else "locked" if home.is_thrown else "unlocked"
            words[LOCK] = way or word
        if not home.is_radio_on:
            words = dict.fromkeys(words, "unavailable")
        if home.has_contact:
            words[self.contact] = "on" if home.is_open else "off"
        if home.has_second_bolt:
            words[SECOND_BOLT] = "locked" if home.is_second_thrown else "unlocked"
        if home.has_pet:
            words[PET] = "on" if home.is_pet_loose else "off"
        if home.has_lamp:
            words[LAMP] = "on" if home.is_lamp_on else "off"
        alarm = "armed_away" if home.is_alarm_armed else "disarmed"
        words[ALARM] = "triggered" if home.is_alarm_ringing else alarm
        words[PERSON] = "home" if home.is_someone_in else "not_home"
        words[CAMERA] = "idle"
        return words

    def _attributes(self, entity_id: str) -> dict[str, Any]:
        attributes: dict[str, Any] = {"friendly_name": entity_id.partition(".")[2].replace("_", " ").title()}
        if entity_id == LOCK:
            attributes["supported_features"] = 1
        if entity_id == COVER:
            attributes |= {"supported_features": 3, "device_class": "garage"}
        if entity_id == self.main and self.is_assumed:
            attributes["assumed_state"] = True
        return attributes

    def _new(self, entity_id: str, word: str, at: datetime) -> EntityState:
        return EntityState(
            entity_id=entity_id,
            word=word,
            attributes=self._attributes(entity_id),
            context=new_context(),
            last_changed=at,
            last_updated=at,
            last_reported=at,
        )

    def _context(self, entity_id: str, at: datetime) -> Context:
        context, lent_at = self._lent.get(entity_id, (None, at))
        if context is not None and at - lent_at <= timedelta(seconds=CONTEXT_S):
            return context
        self._lent.pop(entity_id, None)
        return new_context()

    def _write(self, entity_id: str, word: str, at: datetime) -> None:
        old = self.entities.get(entity_id)
        attributes = self._attributes(entity_id)
        if old is not None and (old.word, old.attributes) == (word, attributes):
            return
        new = replace(self._new(entity_id, word, at), context=self._context(entity_id, at))
        if old is not None and old.word == word:
            new = replace(new, last_changed=old.last_changed)
        self.entities[entity_id] = new
        for _ in range(2 if self.is_doubled else 1):
            for subscriber in self.subscribers:
                subscriber.tell((old, new))
