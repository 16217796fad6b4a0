"""The town's own page: deliveries to play by hand on a map of the town, beside the three apps in frames.

    POST /town/stage {...Scene}             what is played; by whoever runs the town
    POST /town/stage/places/{car|home}      one more access point that parcels may go to
    GET  /stage?lang=                       the page, in English or French
    GET  /stage/words?lang=                 what its JavaScript says
    GET  /stage/map                         where everyone is now, and what hands would find
    POST /stage/parcels/{car|home}?lang=    another parcel, and the courier sets out with it
    POST /stage/couriers/{name}/{to-car|to-home|on}
    GET  /stage/enter/{consignee|operator}  on to a fresh link to sign in, as it came by mail

The platform knows nothing of this. It lets its pages stand in frames only where UNLATCH_FRAMED_BY names this town.
"""

from __future__ import annotations

import asyncio
import re
from importlib.resources import files

import httpx

from unlatch.errors import UnlatchError
from unlatch.town.post_office import PostOffice, Way
from unlatch.town.stage_drawing import draw_page
from unlatch.town.stage_map import TownMap, mark_cars, mark_couriers, mark_homes
from unlatch.town.stage_scene import NewPlace, Play, Scene, Target
from unlatch.town.stage_texts import WORDS
from unlatch.town.wire import Answer, Refused, Request
from unlatch.town.world import Town

HTML = b"text/html; charset=utf-8"
SCRIPT = b"text/javascript; charset=utf-8"
LINK = re.compile(r"https?://\S+/sign-in/link#\S+")
MAIL_WITHIN_S = 15.0
BOOKED_WITHIN_S = 15.0
ERRANDS = {"to-car": Target.CAR, "to-home": Target.HOME, "on": None}
FILES = {
    "stage.css": ("town/stage_page/stage.css", b"text/css; charset=utf-8"),
    "stage.js": ("town/stage_page/stage.js", SCRIPT),
    "map.js": ("town/stage_page/map.js", SCRIPT),
    "unlatch.css": ("web/static/unlatch.css", b"text/css; charset=utf-8"),
    "icon.svg": ("web/static/icon.svg", b"image/svg+xml"),
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-src 'self' {server}; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
NO_SUCH = Answer(404, {"error": "no such resource"})


class Stage:
    """The page and what it asks for."""

    def __init__(self, town: Town, post_office: PostOffice) -> None:
        self.town = town
        self.post_office = post_office
        self.play: Play | None = None

    def control(self, request: Request, rest: list[str]) -> Answer:
        """By whoever runs the town; `rest`: the path's parts after /town/stage."""
        match rest:
            case []:
                scene = request.read(Scene)
                if scene.vin not in self.town.citizens:
                    raise Refused(Answer(404, {"error": "no such car"}))
                self.play = Play(scene, self.town)
            case ["places", target]:
                self._get_play().places[_target(target)] = request.read(NewPlace).access_point_id
            case _:
                raise Refused(NO_SUCH)
        return Answer(204)

    async def serve(self, request: Request) -> Answer:
        """Find the endpoint: the path's parts after /stage."""
        match (request.method, *request.parts[1:]):
            case ("GET",):
                return self._page(request)
            case ("GET", "words"):
                return Answer(200, WORDS[_language(request)])
            case ("GET", "map"):
                return Answer(200, self._map())
            case ("POST", "parcels", target):
                return await self._book(_language(request), _target(target))
            case ("POST", "couriers", name, errand) if (
                name in self._get_play().couriers and errand in ERRANDS
            ):
                self._get_play().send(name, ERRANDS[errand])
                return Answer(204)
            case ("GET", "enter", who) if who in self._get_play().scene.mails:
                return await self._enter(who)
            case ("GET", name) if name in FILES:
                path, media_type = FILES[name]
                content = files("unlatch").joinpath(path).read_bytes()
                return Answer(200, content=content, headers=((b"content-type", media_type),))
        raise Refused(NO_SUCH)

    def _get_play(self) -> Play:
        if self.play is None or self.play.scene.vin not in self.town.citizens:
            raise Refused(Answer(404, {"error": "nothing is played here: unlatch demo sets a scene"}))
        return self.play

    def _page(self, request: Request) -> Answer:
        scene = self._get_play().scene
        headers = (
            (b"content-type", HTML),
            (b"content-security-policy", POLICY.format(server=scene.server_url).encode()),
            (b"cache-control", b"no-store"),
        )
        return Answer(200, content=draw_page(scene, _language(request)).encode(), headers=headers)

    def _map(self) -> TownMap:
        play = self._get_play()
        return TownMap(
            cars=mark_cars(self.town),
            homes=mark_homes(self.town),
            couriers=mark_couriers(play.couriers.values(), self.town.clock.now()),
            label=play.label,
            target=play.target,
            targets=list(play.places),
        )

    async def _book(self, language: str, target: Target) -> Answer:
        """Ask the platform as any carrier does; where it refuses, say why in its words."""
        # These know the town's control API, which knows this page.
        from unlatch.town.desk import CarrierDesk  # noqa: PLC0415
        from unlatch.town.stage_booking import book_parcel  # noqa: PLC0415

        play = self._get_play()
        booking = play.scene.booking
        if target not in play.places:
            raise Refused(Answer(409, {"error": "no parcel can go there yet"}))
        async with httpx.AsyncClient(
            trust_env=False, timeout=BOOKED_WITHIN_S, headers={"accept-language": language}
        ) as http:
            carrier = CarrierDesk(play.scene.server_url, booking.carrier_key, http=http)
            carrier.keep_trying_s = BOOKED_WITHIN_S
            try:
                label = await book_parcel(
                    carrier,
                    consignee_id=booking.consignee_id,
                    courier_id=booking.courier_id,
                    place_id=play.places[target],
                    now=self.town.clock.now(),
                )
            except UnlatchError as error:
                raise Refused(Answer(409, {"error": str(error)})) from None
        play.bring(label, target)
        return Answer(201, {"label": label})

    async def _enter(self, who: str) -> Answer:
        """Ask the platform for a link, as anyone may, and take it out of the town's mailbox."""
        scene = self._get_play().scene
        mail = scene.mails[who]
        seen = {letter.once_id for letter in self.post_office.shelves[Way.MAIL].find(mail).letters}
        async with httpx.AsyncClient(trust_env=False, timeout=MAIL_WITHIN_S) as http:
            asked = await http.post(
                f"{scene.server_url}/sign-in/mail", data={"mail": mail}, headers={"origin": scene.server_url}
            )
        if asked.status_code != 200:
            raise Refused(Answer(502, {"error": f"no link was sent: {asked.status_code}"}))
        async with asyncio.timeout(MAIL_WITHIN_S):
            while True:
                for letter in self.post_office.shelves[Way.MAIL].find(mail).letters:
                    found = LINK.search(letter.body)
                    if found is not None and letter.once_id not in seen:
                        return Answer(303, headers=((b"location", found[0].encode()),))
                await asyncio.sleep(0.05)


def _target(text: str) -> Target:
    if text not in Target.__members__.values():
        raise Refused(NO_SUCH)
    return Target(text)


def _language(request: Request) -> str:
    wanted = request.query.get("lang") or request.header(b"accept-language")[:2]
    return "fr" if wanted == "fr" else "en"
