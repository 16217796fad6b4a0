"""Home Assistant's REST and WebSocket API over the town's homes, each hub at /hub/{home} as at an address of its own.

As homeassistant 2025.4.4 was seen to behave, or its source says:

* GET /api/, /api/config, /api/states, /api/states/{entity} (404 for one unknown).
* POST /api/services/{domain}/{service} with {"entity_id"}: blocks until the call is over (2 s for a lock), then 200
  with the states that were written under its own context: `[]` for an entity that is unknown, unavailable or silent.
  400 for a service unknown, 500 where the integration raised, 401 without a token. A call goes on when its connection
  is cut.
* WebSocket /api/websocket: auth_required, auth, auth_ok | auth_invalid; then numbered messages: subscribe_entities,
  subscribe_events (state_changed), unsubscribe_events, get_states, call_service, ping. A call's result comes when the
  call is over, with its context's id; states under way are told at once.
* Times are the hub's own, written when *it* saw something; the header Date bears its clock.

Assumed: a proxy in front answers 502 when the hub is down behind it, and 429; an integration that hears nothing from
its lock raises after 10 s. The camera: see hub_stream.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

from unlatch.clock import monotonic_s
from unlatch.town.clouds.gate import HELD_S
from unlatch.town.clouds.hub_talk import HubTalk
from unlatch.town.faults import Course, Ending, Fault, FaultKind, Verb, after_s, plan_command
from unlatch.town.home import COVER_S, OF_COVER, OF_LAMP, HomeDeed, HomeRun
from unlatch.town.homes import Dwelling, HallStream, Homes
from unlatch.town.hub_states import (
    CAMERA,
    CHIME,
    LAMP,
    SERVICES,
    Context,
    EntityState,
    Subscriber,
    new_context,
)
from unlatch.town.wire import CUT, CUT_OFF, Answer, Receive, Request, Send

RAISES_AFTER_S = 10.0
PROXY_FAULTS = (FaultKind.OUTAGE, FaultKind.RATE_LIMIT)

WORDS = {
    HomeDeed.UNLOCK: "unlocked",
    HomeDeed.UNLATCH: "unlocked",
    HomeDeed.LOCK: "locked",
    HomeDeed.OPEN_COVER: "open",
    HomeDeed.CLOSE_COVER: "closed",
}


@dataclass(slots=True, kw_only=True)
class ServiceCall:
    """One call that was taken on: when and how its answer comes."""

    dwelling: Dwelling
    service: str
    deed: HomeDeed
    context: Context
    ends_at: datetime
    ending: Ending
    heard: Subscriber  # what is written meanwhile
    is_cut: bool = False


class HomeHubs:
    """Every hub of the town."""

    def __init__(self, homes: Homes) -> None:
        self.homes = homes

    # ---- REST -------------------------------------------------------------------------------------------

    async def serve(self, request: Request) -> Answer:
        """/hub/{home}/api/..."""
        parts, method = request.parts, request.method
        dwelling = self.homes.dwellings.get(parts[1]) if len(parts) > 2 and parts[2] == "api" else None
        if dwelling is None:
            return self._answer(404, {"message": "Not Found"})
        if not self.homes.look(dwelling).can_be_reached:
            return CUT_OFF
        match (method, *parts[3:]):
            case ("GET", "hls", token, *rest):  # who has that token needs no other
                stream = dwelling.stream
                is_known = stream is not None and not stream.is_over and stream.token == token
                return await stream.serve(request, rest) if stream and is_known else Answer(404, None)
            case ("POST", "services", domain, service):
                return await self._service(request, dwelling, domain, service)
            case ("GET", *rest):
                return await self._read(request, dwelling, rest)
        return self._answer(405, {"message": "Method Not Allowed"})

    async def _read(self, request: Request, dwelling: Dwelling, rest: list[str]) -> Answer:
        drawn = self.homes.draw(dwelling, Verb.READ)
        refused = self._refusal(request, dwelling, drawn)
        self.note(dwelling, "states", "taken" if refused is None else _fate(refused), request.trace)
        if refused is not None:
            return refused
        if (slow := drawn.get(FaultKind.SLOW)) is not None:
            clock = self.homes.clock
            await request.stays_until(clock, clock.now() + timedelta(seconds=after_s(slow)))
            self.homes.look(dwelling)
        if FaultKind.SILENT in drawn:
            return await self._hold(request)
        states = dwelling.states.entities
        match rest:
            case [] | [""]:
                return self._answer(200, {"message": "API running."})
            case ["config"]:
                return self._answer(200, {"state": "RUNNING", "version": "2025.4.4", "time_zone": "UTC"})
            case ["states"]:
                return self._answer(200, [state.told() for state in states.values()])
            case ["states", entity_id] if entity_id in states:
                return self._answer(200, states[entity_id].told())
            case ["states", _]:
                return self._answer(404, {"message": "Entity not found."})
            case ["camera_proxy", entity_id] if entity_id == CAMERA:
                stream = self.find_stream(dwelling)
                picture = await stream.picture() if stream is not None else None
                if picture is None:
                    return self._answer(500, "500 Internal Server Error")
                return Answer(200, headers=((b"content-type", b"image/jpeg"),), content=picture)
        return self._answer(404, {"message": "Not Found"})

    async def _service(self, request: Request, dwelling: Dwelling, domain: str, service: str) -> Answer:
        found = SERVICES.get((domain, service))
        drawn = self.homes.draw(dwelling, found[1] if found else Verb.ANY)
        refused = self._refusal(request, dwelling, drawn)
        if refused is None and found is None:
            refused = self._answer(400, "400: Bad Request")
        self.note(dwelling, service, "taken" if refused is None else _fate(refused), request.trace)
        if refused is not None:
            return refused
        entity_id = request.read(dict[str, Any]).get("entity_id")
        context = new_context(dwelling.user_id)
        call = self.take_on(dwelling, (domain, service), entity_id, context, drawn)
        try:
            if call.is_cut:
                return CUT_OFF
            if call.ending is Ending.NEVER:
                return await self._hold(request)
            await request.stays_until(self.homes.clock, call.ends_at)
            if (error := self.end(call)) is not None:
                return self._answer(500, f"500 Internal Server Error: {error}")
            return self._answer(200, [state.told() for state in written_under(call)])
        finally:
            dwelling.states.subscribers.remove(call.heard)

    def _refusal(self, request: Request, dwelling: Dwelling, drawn: dict[FaultKind, Fault]) -> Answer | None:
        if (outage := drawn.get(FaultKind.OUTAGE)) is not None:
            return self._answer(outage.status or 502, "502 Bad Gateway")
        if (cut := drawn.get(FaultKind.CONNECTION_CUT)) is not None and not cut.acts:
            return CUT_OFF
        if (limit := drawn.get(FaultKind.RATE_LIMIT)) is not None:
            return self._answer(429, "429: Too Many Requests", (b"retry-after", b"%d" % after_s(limit)))
        scheme, _, token = request.header(b"authorization").partition(" ")
        consent = drawn.get(FaultKind.CONSENT_WITHDRAWN)
        if consent is not None or scheme != "Bearer" or token != dwelling.token:
            status = consent.status if consent is not None and consent.status else 401
            return self._answer(status, f"{status}: Unauthorized")
        return None

    async def _hold(self, request: Request) -> Answer:
        clock = self.homes.clock
        await request.stays_until(clock, clock.now() + timedelta(seconds=HELD_S))
        return CUT_OFF

    def _answer(self, status: int, body: object, *headers: tuple[bytes, bytes]) -> Answer:
        date = format_datetime(self.homes.clock.now(), usegmt=True).encode("ascii")
        return Answer(status, body, ((b"date", date), *headers))

    def find_stream(self, dwelling: Dwelling) -> HallStream | None:
        """The stream of the first camera in the hall, which begins with the first that asks; None: there is none."""
        if dwelling.stream is not None and dwelling.stream.is_over:
            dwelling.stream = None
        if dwelling.stream is None and dwelling.cameras:
            from unlatch.town.camera import TownCamera  # noqa: PLC0415 - the video library takes its time
            from unlatch.town.clouds.hub_stream import HubStream  # noqa: PLC0415

            camera = dwelling.cameras[0]
            assert isinstance(camera, TownCamera)
            dwelling.stream = HubStream(camera)
        return dwelling.stream

    # ---- what both ways share ---------------------------------------------------------------------------

    def take_on(
        self,
        dwelling: Dwelling,
        name: tuple[str, str],
        entity_id: object,
        context: Context,
        drawn: dict[FaultKind, Fault],
    ) -> ServiceCall:
        """Begin what a service call does. Its answer is due at `ends_at`; the caller takes `heard` off again."""
        (domain, service), (deed, _) = name, SERVICES[name]
        homes, states, now = self.homes, dwelling.states, self.homes.clock.now()
        heard = Subscriber()
        states.subscribers.append(heard)
        call = ServiceCall(
            dwelling=dwelling,
            service=service,
            deed=deed,
            context=context,
            ends_at=now,
            ending=Ending.TRUE,
            heard=heard,
            is_cut=FaultKind.CONNECTION_CUT in drawn,
        )
        if deed is HomeDeed.RING:
            if domain == "notify" or entity_id == CHIME:
                homes.act(dwelling, deed, why=f"by {domain}")
            return call
        ids = entity_id if isinstance(entity_id, list) else [entity_id]
        if deed in OF_LAMP:
            if LAMP in ids and dwelling.home.has_lamp:
                states.lend(LAMP, context, now)
                homes.act(dwelling, deed, why=f"by {domain}")
            return call
        if states.main not in ids or not states.main.startswith(domain) or not dwelling.home.is_radio_on:
            return call  # Home Assistant passes over what it does not know and what is unavailable, and says nothing
        states.is_doubled = FaultKind.DUPLICATE_ANSWERS in drawn
        course = plan_command(drawn, dwelling.latency_s)
        if deed in OF_COVER:
            acts = tuple(max(one, COVER_S) for one in course.acts_after_s)
            course = Course(ends_after_s=course.ends_after_s, ending=course.ending, acts_after_s=acts)
        at_once = drawn.get(FaultKind.ANSWERS_AT_ONCE)
        if at_once is not None:
            acts = (after_s(at_once),) if at_once.acts else ()
            course = Course(ends_after_s=0.0, acts_after_s=acts)
        run = HomeRun(command_id=context.id, deed=deed)
        states.lend(states.main, context, now)
        homes.take_on(dwelling, run, course, tells_way=at_once is None)
        wait_s = RAISES_AFTER_S if course.ending is Ending.TIMES_OUT else course.ends_after_s
        call.ending, call.ends_at = course.ending, now + timedelta(seconds=wait_s)
        return call

    def end(self, call: ServiceCall) -> str | None:
        """The call's answer is due: the code of its error, or None for success."""
        homes, states = self.homes, call.dwelling.states
        homes.look(call.dwelling)
        if call.ending is Ending.SAYS_DONE:
            states.pretend(WORDS[call.deed], call.ends_at)  # when it was due: we may be late
        error = {Ending.SAYS_FAILED: "home_assistant_error", Ending.TIMES_OUT: "home_assistant_error"}.get(
            call.ending
        )
        homes.ledger.add(
            "answer",
            at=homes.clock.now(),
            monotonic_s=monotonic_s(),
            vin=call.dwelling.home.home_id,
            what=call.service,
            outcome=error or "success",
            command_id=call.context.id,
        )
        return error

    def note(self, dwelling: Dwelling, what: str, outcome: str, trace: str) -> None:
        """Write a request into the ledger, with its fate."""
        self.homes.ledger.add(
            "request",
            at=self.homes.clock.now(),
            monotonic_s=monotonic_s(),
            vin=dwelling.home.home_id,
            what=what,
            outcome=outcome,
            trace=trace,
        )

    # ---- WebSocket --------------------------------------------------------------------------------------

    async def serve_websocket(self, scope: Any, parts: list[str], receive: Receive, send: Send) -> None:
        """/hub/{home}/api/websocket"""
        dwelling = self.homes.dwellings.get(parts[1]) if parts[2:] == ["api", "websocket"] else None
        await receive()  # websocket.connect
        if dwelling is None or self._turns_away(dwelling):
            await send({"type": "websocket.close", "code": 1000})  # before it was accepted: HTTP 403
            return
        if not self.homes.look(dwelling).can_be_reached:
            scope["extensions"][CUT]["cut"]()
            return
        trace = Request(scope | {"method": "GET"}, receive, parts, b"").trace
        await HubTalk(self, dwelling, trace, scope["extensions"][CUT]["cut"]).talk(receive, send)

    def _turns_away(self, dwelling: Dwelling) -> bool:
        """Whether the proxy, or a ban of the caller's address, stands before every greeting."""
        consent = self.homes.find_standing(dwelling, FaultKind.CONSENT_WITHDRAWN)
        is_banned = consent is not None and consent.status == 403
        return is_banned or self.homes.find_standing(dwelling, *PROXY_FAULTS) is not None


def written_under(call: ServiceCall) -> list[EntityState]:
    """What the call's own context wrote, in order."""
    return [new for _, new in call.heard.changes if new.context.id == call.context.id]


def _fate(answer: Answer) -> str:
    return "cut" if answer.is_cut else str(answer.status)
