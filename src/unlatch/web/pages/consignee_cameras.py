"""One camera of a home: added, enrolled step by step, filmed for by an old phone, and removed."""

from __future__ import annotations

from typing import Any

import segno
from litestar import Response

from unlatch.cameras.catalogue import find_camera_makers
from unlatch.domain.camera_enrolment import EnrolmentStep
from unlatch.errors import BadInput, NotFound
from unlatch.web.api import camera_feed, enrolment, homes
from unlatch.web.api import household as sharing
from unlatch.web.api.camera_feed import FeedLink
from unlatch.web.api.enrolment import ClockBody, EnrolmentShown
from unlatch.web.api.home_shapes import CameraShown, NewCamera
from unlatch.web.endpoints import Run
from unlatch.web.pages.consignee import CONSIGNEE, read_body
from unlatch.web.pages.consignee_homes import get_point, given_of, guard
from unlatch.web.pages.home_forms import REFUSALS, Refusal, camera_lines, refusal_of
from unlatch.web.pages.page import Page, Seen, go_to, render

MARK = ("left", "top", "width", "height")
RENEWED_S, RENEWED_QUIETLY_S = 1, 5  # while we are at work; while we wait for someone

# ---- a new one ----------------------------------------------------------------------------------------------


async def show_new_camera(seen: Seen, refusal: Refusal | None = None) -> Response[Any]:
    """First of which kind it is, then what that kind asks for."""
    await seen.ask(homes.read_home, access_point_id=seen.path["place_id"])
    guard(seen)
    kinds = find_camera_makers()
    kind = kinds.get(seen.form.get("maker") or seen.request.query_params.get("maker", "")[:40])
    hints = {
        "rtsp": seen.say("Most network cameras. It is reached at an address that its maker names."),
        "home_assistant": seen.say("One that your hub knows already."),
        "browser": seen.say(
            "A phone that you no longer use: it stays where it sees the door, and is plugged in."
        ),
    }
    labels = {"browser": seen.say("An old phone"), "rtsp": seen.say("A network camera (RTSP, ONVIF)")}
    return render(
        seen,
        "consignee/camera_new.html",
        status=refusal.status if refusal else 200,
        point=await get_point(seen),
        kinds=[
            (name, labels.get(name, one.label), hints.get(name, "")) for name, one in sorted(kinds.items())
        ],
        maker=kind.name if kind else "",
        label=labels.get(kind.name, kind.label) if kind else "",
        lines=camera_lines(seen, kind.form_fields, kind.schemes) if kind else [],
        given=seen.form,
        wrong=refusal or Refusal(),
    )


async def add_camera(seen: Seen) -> Response[Any]:
    """It opens no door until it is enrolled: its own page says how."""
    guard(seen)
    maker = seen.form.get("maker", "")
    kind = find_camera_makers().get(maker)
    try:
        if kind is None:
            raise BadInput("maker", "choose one of the kinds")
        typed = given_of(seen, camera_lines(seen, kind.form_fields, kind.schemes))
        own: dict[str, Any] = {name: typed.pop(name) for name in ("name", "address") if name in typed}
        body = read_body(NewCamera, {"maker": maker, **own, "secrets": typed})
        await seen.ask(homes.check_camera, body=body)
        made = await seen.ask_in_transaction(
            homes.add_camera, body=body, access_point_id=seen.path["place_id"]
        )
    except REFUSALS as error:
        return await show_new_camera(seen, refusal_of(seen, error))
    return go_to(f"/me/places/{seen.path['place_id']}/cameras/{made.id}")


# ---- its page -----------------------------------------------------------------------------------------------


async def show_camera(
    seen: Seen, *, link: FeedLink | None = None, refusal: Refusal | None = None
) -> Response[Any]:
    """How it stands, what its enrolment wants now, and what else may be done with it."""
    place_id = seen.path["place_id"]
    shown = await _find_enrolment(seen)
    camera = await _find_camera(seen)  # after it: what has just ended has made it a witness
    point = await get_point(seen)
    shared = await seen.ask(sharing.read_household, access_point_id=place_id)
    return render(
        seen.at_zone(point.time_zone),
        "consignee/camera.html",
        status=refusal.status if refusal else 200,
        point=point,
        camera=camera,
        now=seen.platform.clock.now(),
        may_set="set_cameras" in shared.your_rights,
        methods=_say_methods(seen, camera),
        enrolment=shown,
        steps=_step_names(seen),
        renew_s=RENEWED_QUIETLY_S
        if shown is None or shown.next is None or shown.next.is_yours
        else RENEWED_S,
        link=link,
        picture=segno.make_qr(link.url, error="m").svg_data_uri(scale=4) if link else "",
        is_phone=camera.maker == "browser",
        wrong=refusal or Refusal(),
    )


async def _find_camera(seen: Seen) -> CameraShown:
    """Raises NotFound, also for a camera of another home."""
    listed = await seen.ask(homes.list_cameras, access_point_id=seen.path["place_id"])
    found = next((one for one in listed.cameras if one.id == seen.path["camera_id"]), None)
    if found is None:
        raise NotFound("there is no such camera")
    return found  # type: ignore[no-any-return]


async def _find_enrolment(seen: Seen) -> EnrolmentShown | None:
    """The latest; None: it was never enrolled."""
    try:
        return await seen.ask(enrolment.read_enrolment, camera_id=seen.path["camera_id"])  # type: ignore[no-any-return]
    except NotFound:
        return None


def _step_names(seen: Seen) -> dict[EnrolmentStep, str]:
    return {
        EnrolmentStep.PICTURE: seen.say("Its picture is here"),
        EnrolmentStep.LIGHT: seen.say("A lamp is seen to play"),
        EnrolmentStep.CLOCK: seen.say("The time in its picture is read"),
        EnrolmentStep.DOOR: seen.say("The door is seen to open"),
    }


def _say_methods(seen: Seen, camera: CameraShown) -> list[str]:
    words = {
        "light": seen.say("a lamp of the home that plays a pattern"),
        "clock": seen.say("the time that it shows"),
        "motion": seen.say("movement, by day alone"),
    }
    return [words.get(one, one) for one in camera.methods]


# ---- its enrolment ------------------------------------------------------------------------------------------


async def begin(seen: Seen) -> Response[Any]:
    """Begin, or go on with what is under way."""
    return await _step(seen, enrolment.begin_enrolment)


async def play_light(seen: Seen) -> Response[Any]:
    """The lamp goes on and off."""
    return await _step(seen, enrolment.play_light)


async def open_door(seen: Seen) -> Response[Any]:
    """They are ready to open the door once."""
    return await _step(seen, enrolment.open_door_once)


async def mark_clock(seen: Seen) -> Response[Any]:
    """The rectangle around the time, in pixels of the picture; or that it shows none."""
    mark = None
    if seen.form.get("none") != "yes":
        mark = {name: value for name in MARK if (value := seen.form.get(name, "").strip()[:20])}
    return await _step(seen, enrolment.mark_clock, {"mark": mark})


async def _step(seen: Seen, run: Run, given: dict[str, Any] | None = None) -> Response[Any]:
    camera = await _find_camera(seen)
    try:
        body = None
        if given is not None:
            body = read_body(ClockBody, given) if given["mark"] is not None else ClockBody(mark=None)
        await seen.ask_in_transaction(run, body=body, camera_id=camera.id)
    except REFUSALS as error:
        return await show_camera(seen, refusal=refusal_of(seen, error))
    return go_to(_path(seen))


def _path(seen: Seen) -> str:
    return f"/me/places/{seen.path['place_id']}/cameras/{seen.path['camera_id']}"


# ---- what else ----------------------------------------------------------------------------------------------


async def let_phone_film(seen: Seen) -> Response[Any]:
    """The link for the phone that is to film: shown this once."""
    guard(seen)
    try:
        link = await seen.ask_in_transaction(
            camera_feed.make_feed_link,
            access_point_id=seen.path["place_id"],
            camera_id=seen.path["camera_id"],
        )
    except REFUSALS as error:
        return await show_camera(seen, refusal=refusal_of(seen, error))
    return await show_camera(seen, link=link)


async def remove(seen: Seen) -> Response[Any]:
    """What opens it is destroyed; its clips stay."""
    try:
        await seen.ask(
            homes.remove_camera,
            access_point_id=seen.path["place_id"],
            camera_id=seen.path["camera_id"],
        )
    except REFUSALS as error:
        return await show_camera(seen, refusal=refusal_of(seen, error))
    return go_to(f"/me/places/{seen.path['place_id']}")


CAMERAS = "/me/places/{place_id}/cameras"
CAMERA = f"{CAMERAS}/{{camera_id}}"
PAGES = (
    Page(method="GET", path=f"{CAMERAS}/new", show=show_new_camera, readers=CONSIGNEE),
    Page(method="POST", path=f"{CAMERAS}/new", show=add_camera, readers=CONSIGNEE),
    Page(method="GET", path=CAMERA, show=show_camera, readers=CONSIGNEE),
    Page(method="POST", path=f"{CAMERA}/enrolment", show=begin, readers=CONSIGNEE),
    Page(method="POST", path=f"{CAMERA}/light", show=play_light, readers=CONSIGNEE),
    Page(method="POST", path=f"{CAMERA}/clock", show=mark_clock, readers=CONSIGNEE),
    Page(method="POST", path=f"{CAMERA}/door", show=open_door, readers=CONSIGNEE),
    Page(method="POST", path=f"{CAMERA}/feed", show=let_phone_film, readers=CONSIGNEE),
    Page(method="POST", path=f"{CAMERA}/remove", show=remove, readers=CONSIGNEE),
)
