"""One WebSocket of a home's hub: signing in, subscriptions, service calls (see home_hub.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from unlatch.town.faults import Ending, FaultKind
from unlatch.town.homes import Dwelling
from unlatch.town.hub_states import CAMERA, MAX_SUBSCRIBERS, SERVICES, Change, Subscriber, new_context
from unlatch.town.wire import MAX_BODY, Receive, Send

if TYPE_CHECKING:
    from unlatch.town.clouds.home_hub import HomeHubs

MAX_SUBSCRIPTIONS = 32
MAX_CALLS = 16  # under way on one connection
VERSION = "2025.4.4"


class HubTalk:
    """What is said on one connection."""

    def __init__(self, hubs: HomeHubs, dwelling: Dwelling, trace: str, cut: Callable[[], None]) -> None:
        self.hubs = hubs
        self.dwelling = dwelling
        self.trace = trace
        self._cut = cut
        self._is_cut = False
        self._listening = Subscriber()
        self._subscriptions: dict[int, frozenset[str] | None] = {}  # None: every state_changed, told whole
        self._calls: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()

    async def talk(self, receive: Receive, send: Send) -> None:
        """Until the other side hangs up, or the hub is gone."""
        subscribers = self.dwelling.states.subscribers
        if len(subscribers) >= MAX_SUBSCRIBERS:
            await send({"type": "websocket.close", "code": 1013})
            return
        self._send = send
        await send({"type": "websocket.accept"})
        subscribers.append(self._listening)
        try:
            if await self._sign_in(receive):
                await self._listen(receive)
        except OSError:
            pass  # hung up while we spoke
        finally:
            subscribers.remove(self._listening)
            for call in self._calls:
                call.cancel()

    async def _sign_in(self, receive: Receive) -> bool:
        await self._say({"type": "auth_required", "ha_version": VERSION})
        message = _decoded(await receive())
        homes = self.hubs.homes
        is_withdrawn = homes.find_standing(self.dwelling, FaultKind.CONSENT_WITHDRAWN) is not None
        is_known = message is not None and message.get("access_token") == self.dwelling.token
        if not is_known or is_withdrawn:
            self.hubs.note(self.dwelling, "auth", "401", self.trace)
            await self._say({"type": "auth_invalid", "message": "Invalid access token or password"})
            await self._send({"type": "websocket.close", "code": 1000})
            return False
        await self._say({"type": "auth_ok", "ha_version": VERSION})
        return True

    async def _listen(self, receive: Receive) -> None:
        """Wait for a message, a change, or the next thing on the home's time line."""
        homes, clock = self.hubs.homes, self.hubs.homes.clock
        receiving = asyncio.ensure_future(receive())
        try:
            while not self._is_cut:
                next_at = homes.look(self.dwelling).next_at
                if not self.dwelling.home.can_be_reached or self._listening.is_overrun:
                    self._hang_up()
                    return
                await self._tell_changes()
                self._listening.news.clear()
                news = asyncio.ensure_future(self._listening.news.wait())
                left_s = None
                if next_at is not None:
                    left_s = max(0.0, clock.real_s((next_at - clock.now()).total_seconds())) + 0.0005
                await asyncio.wait({receiving, news}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
                if receiving.done():
                    event = receiving.result()
                    if event["type"] == "websocket.disconnect":
                        return
                    await self._hear(event)
                    receiving = asyncio.ensure_future(receive())
        finally:
            receiving.cancel()

    async def _hear(self, event: Any) -> None:
        message = _decoded(event)
        number = message.get("id") if message is not None else None
        if message is None or not isinstance(number, int):
            await self._say({"type": "result", "success": False, "error": {"code": "invalid_format"}})
            return
        match message.get("type"):
            case "ping":
                await self._say({"id": number, "type": "pong"})
            case "get_states":
                states = [state.told() for state in self.dwelling.states.entities.values()]
                await self._result(number, states)
            case "subscribe_entities" | "subscribe_events" if len(self._subscriptions) < MAX_SUBSCRIPTIONS:
                await self._subscribe(number, message)
            case "unsubscribe_events":
                self._subscriptions.pop(int(message.get("subscription") or 0), None)
                await self._result(number, None)
            case "call_service":
                await self._call(number, message)
            case "camera/stream":
                await self._show_camera(number, message)
            case _:
                await self._failed(number, "unknown_command")

    async def _subscribe(self, number: int, message: dict[str, Any]) -> None:
        await self._tell_changes()  # what was before is no news to this one
        wanted = message.get("entity_ids")
        is_of_entities = message["type"] == "subscribe_entities"
        states = self.dwelling.states.entities
        ids = frozenset(str(one) for one in wanted) if isinstance(wanted, list) else frozenset(states)
        self._subscriptions[number] = ids if is_of_entities else None
        await self._result(number, None)
        if is_of_entities:
            told = {one: state.compressed() for one, state in states.items() if one in ids}
            await self._say({"id": number, "type": "event", "event": {"a": told}})

    async def _show_camera(self, number: int, message: dict[str, Any]) -> None:
        """Where the picture is to be had; a way that needs no token but that in it."""
        stream = self.hubs.find_stream(self.dwelling) if message.get("entity_id") == CAMERA else None
        if message.get("format", "hls") != "hls":
            await self._failed(number, "invalid_format")
        elif stream is None:
            await self._failed(number, "start_stream_failed")
        else:
            await self._result(number, {"url": f"/api/hls/{stream.token}/master_playlist.m3u8"})

    async def _call(self, number: int, message: dict[str, Any]) -> None:
        name = (str(message.get("domain")), str(message.get("service")))
        if name not in SERVICES:
            self.hubs.note(self.dwelling, name[1][:40], "400", self.trace)
            await self._failed(number, "not_found")
            return
        drawn = self.hubs.homes.draw(self.dwelling, SERVICES[name][1])
        cut = drawn.get(FaultKind.CONNECTION_CUT)
        if (cut is not None and not cut.acts) or FaultKind.OUTAGE in drawn or len(self._calls) >= MAX_CALLS:
            self.hubs.note(self.dwelling, name[1], "cut", self.trace)
            self._hang_up()
            return
        if FaultKind.CONSENT_WITHDRAWN in drawn:
            self.hubs.note(self.dwelling, name[1], "401", self.trace)
            await self._failed(number, "unauthorized")
            return
        self.hubs.note(self.dwelling, name[1], "taken", self.trace)
        target = message.get("target") or message.get("service_data") or {}
        entity_id = target.get("entity_id") if isinstance(target, dict) else None
        context = new_context(self.dwelling.user_id)
        call = self.hubs.take_on(self.dwelling, name, entity_id, context, drawn)
        self.dwelling.states.subscribers.remove(call.heard)
        if call.is_cut:
            self._hang_up()
            return

        async def answer() -> None:
            if call.ending is Ending.NEVER:
                return
            await self.hubs.homes.clock.sleep_until(call.ends_at)
            error = self.hubs.end(call)
            await self._tell_changes()
            if error is None:
                await self._result(number, {"context": context.told(), "response": None})
            else:
                await self._failed(number, error)

        task = asyncio.ensure_future(answer())
        self._calls.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._hang_up()  # nobody was there any more to hear the answer

    async def _tell_changes(self) -> None:
        async with self._lock:
            while self._listening.changes:
                change = self._listening.changes.popleft()
                for number, ids in list(self._subscriptions.items()):
                    if ids is None or change[1].entity_id in ids:
                        await self._say(_event(number, change, is_whole=ids is None))

    async def _result(self, number: int, result: object) -> None:
        await self._say({"id": number, "type": "result", "success": True, "result": result})

    async def _failed(self, number: int, code: str) -> None:
        error = {"code": code, "message": code.replace("_", " ")}
        await self._say({"id": number, "type": "result", "success": False, "error": error})

    async def _say(self, message: object) -> None:
        await self._send({"type": "websocket.send", "text": msgspec.json.encode(message).decode()})

    def _hang_up(self) -> None:
        self._is_cut = True
        self._cut()
        self._listening.news.set()


def _decoded(event: Any) -> dict[str, Any] | None:
    text = event.get("text") if event["type"] == "websocket.receive" else None
    if not isinstance(text, str) or len(text) > MAX_BODY:
        return None
    try:
        message = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    return message if isinstance(message, dict) else None


def _event(number: int, change: Change, *, is_whole: bool) -> object:
    old, new = change
    if is_whole:
        data = {
            "entity_id": new.entity_id,
            "old_state": None if old is None else old.told(),
            "new_state": new.told(),
        }
        return {"id": number, "type": "event", "event": {"event_type": "state_changed", "data": data}}
    if old is None:
        return {"id": number, "type": "event", "event": {"a": {new.entity_id: new.compressed()}}}
    return {"id": number, "type": "event", "event": {"c": {new.entity_id: new.difference(old)}}}
