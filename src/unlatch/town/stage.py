"""The town's own page: one delivery to play by hand, the car beside the three apps in frames.

    POST /town/stage {...Scene}          what is played; by whoever runs the town
    GET  /stage?lang=                     the page, in English or French
    GET  /stage/scene                     the scene, and what is physically so of its car
    GET  /stage/enter/{consignee|operator}  on to a fresh link to sign in, as it came by mail

The platform knows nothing of this. It lets its pages stand in frames only where UNLATCH_FRAMED_BY names this town.
"""

from __future__ import annotations

import asyncio
import re
from importlib.resources import files
from string import Template
from typing import Annotated

import httpx
import msgspec

from unlatch.town.car import Maker
from unlatch.town.post_office import PostOffice, Way
from unlatch.town.stage_texts import STEPS, TEXTS
from unlatch.town.wire import Answer, Refused, Request

HTML = b"text/html; charset=utf-8"
LINK = re.compile(r"https?://\S+/sign-in/link#\S+")
MAIL_WITHIN_S = 15.0
Text = Annotated[str, msgspec.Meta(max_length=300)]
FILES = {
    "stage.css": ("town/stage_page/stage.css", b"text/css; charset=utf-8"),
    "stage.js": ("town/stage_page/stage.js", b"text/javascript; charset=utf-8"),
    "unlatch.css": ("web/static/unlatch.css", b"text/css; charset=utf-8"),
    "icon.svg": ("web/static/icon.svg", b"image/svg+xml"),
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-src 'self' {server}; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)


class Scene(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What is played: where the platform answers, who may sign in by which mail, the phone's code, parcel and car."""

    server_url: Text
    mails: dict[Annotated[str, msgspec.Meta(max_length=20)], Text]  # consignee, operator
    enrol_code: Text
    label: Text  # what is typed for it
    maker: Maker
    vin: Text
    car: Text  # as people call it
    latitude: float  # where the courier stands
    longitude: float


class Stage:
    """The page and what it asks for."""

    def __init__(self, post_office: PostOffice) -> None:
        self.post_office = post_office
        self.scene: Scene | None = None

    def take(self, request: Request) -> Answer:
        """Another scene is played from now on."""
        self.scene = request.read(Scene)
        return Answer(204)

    async def serve(self, request: Request) -> Answer:
        """Find the endpoint: the path's parts after /stage."""
        match (request.method, *request.parts[1:]):
            case ("GET",):
                return self._page(request)
            case ("GET", "scene"):
                return Answer(200, self._get_scene())
            case ("GET", "enter", who) if who in self._get_scene().mails:
                return await self._enter(who)
            case ("GET", name) if name in FILES:
                path, media_type = FILES[name]
                content = files("unlatch").joinpath(path).read_bytes()
                return Answer(200, content=content, headers=((b"content-type", media_type),))
        raise Refused(Answer(404, {"error": "no such resource"}))

    def _get_scene(self) -> Scene:
        if self.scene is None:
            raise Refused(Answer(404, {"error": "nothing is played here: unlatch demo sets a scene"}))
        return self.scene

    def _page(self, request: Request) -> Answer:
        scene = self._get_scene()
        wanted = request.query.get("lang") or request.header(b"accept-language")[:2]
        language = "fr" if wanted == "fr" else "en"
        template = Template(
            files("unlatch").joinpath("town/stage_page/stage.html").read_text(encoding="utf-8")
        )
        steps = "".join(
            f'<li data-step="{name}"><strong>{title}</strong><span>{text}</span></li>'
            for name, (title, text) in STEPS[language].items()
        )
        page = template.substitute(
            TEXTS[language],
            language=language,
            steps=steps,
            server=scene.server_url,
            code=scene.enrol_code,
            label_number=scene.label,
            car=scene.car,
        )
        headers = (
            (b"content-type", HTML),
            (b"content-security-policy", POLICY.format(server=scene.server_url).encode()),
            (b"cache-control", b"no-store"),
        )
        return Answer(200, content=page.encode(), headers=headers)

    async def _enter(self, who: str) -> Answer:
        """Ask the platform for a link, as anyone may, and take it out of the town's mailbox."""
        scene = self._get_scene()
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
