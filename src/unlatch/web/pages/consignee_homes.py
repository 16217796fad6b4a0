"""The consignee's homes: linked behind their hub, what a courier must mind there, and their cameras.

A camera has a page of its own (`consignee_cameras.py`), where it is enrolled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Response
from msgspec import structs

from unlatch.domain.access import Assurance
from unlatch.domain.home import Form, form_text
from unlatch.domain.household import Right
from unlatch.errors import BadInput, NotAllowed
from unlatch.store import consignees
from unlatch.store.consignees import AccessPointRow
from unlatch.web.api import homes
from unlatch.web.api import household as sharing
from unlatch.web.api.home_shapes import HomeChange, HomeShown, NewHubLink, NewOwnHome
from unlatch.web.pages.consignee import CONSIGNEE, read_body, spoken_of
from unlatch.web.pages.consignee_notices import read_hour
from unlatch.web.pages.home_forms import REFUSALS, Line, Refusal, door_line, hour_lines, hub_lines, refusal_of
from unlatch.web.pages.page import Page, Seen, go_to, render

HUB = "home_assistant"  # the one maker of hubs so far
SHOWN_FIRST = ("address", "access_token", "contact")  # of a hub's form; the rest is for who has it
MOST_CHARACTERS = 5000  # of one field


def guard(seen: Seen) -> None:
    """What widens access wants its person to show once more who they are, in a browser that is not new.

    Asked before its form is shown, too: nobody is to type a token twice.
    """
    seen.require_step_up()
    seen.require_settled()


async def get_point(seen: Seen) -> AccessPointRow:
    """The place of this page's address, of which this person may see something: asked for before."""
    async with seen.platform.database.connection() as connection:
        point = await consignees.find_access_point(connection, seen.path["place_id"])
    assert point is not None
    return point


def given_of(seen: Seen, lines: list[Line]) -> dict[str, str]:
    """What was typed into these lines; what was left empty is left out."""
    given = {line.name: seen.form.get(line.name, "").strip()[:MOST_CHARACTERS] for line in lines}
    return {name: value for name, value in given.items() if value}


def _lines(seen: Seen) -> list[Line]:
    return hub_lines(seen, seen.platform.makers.makers[HUB].form_fields)


def _split(lines: list[Line]) -> tuple[list[Line], list[Line]]:
    """Those that everyone sees, and those that stand behind a word."""
    return (
        [one for one in lines if one.name in SHOWN_FIRST],
        [one for one in lines if one.name not in SHOWN_FIRST],
    )


def _is_any_given(seen: Seen, lines: list[Line]) -> bool:
    """Whether something was typed there: what was sent back is not hidden."""
    return any(seen.form.get(line.name) for line in lines)


def _forms(seen: Seen) -> list[tuple[Form, str]]:
    return [(form, form_text(form, spoken_of(seen))) for form in Form]


# ---- a new one ----------------------------------------------------------------------------------------------


async def show_new_home(seen: Seen, refusal: Refusal | None = None) -> Response[Any]:
    """The form, and what was wrong with it."""
    guard(seen)
    first, more = _split(_lines(seen))
    more += hour_lines(seen)
    return render(
        seen,
        "consignee/home_new.html",
        status=refusal.status if refusal else 200,
        lines=[door_line(seen, is_required=True), *first],
        more=more,
        is_open=_is_any_given(seen, more),
        forms=_forms(seen),
        given=seen.form,
        wrong=refusal or Refusal(),
    )


async def link_home(seen: Seen) -> Response[Any]:
    """This door, behind this hub: asking for it is the consent."""
    guard(seen)
    try:
        body = _read_new_home(seen)
        await seen.ask(homes.check_own_home, body=body)
        place = await seen.ask_in_transaction(homes.register_own_home, body=body)
    except REFUSALS as error:
        return await show_new_home(seen, refusal_of(seen, error))
    return go_to(f"/me/places/{place.id}")


def _read_new_home(seen: Seen) -> NewOwnHome:
    typed = {name: seen.form.get(name, "").strip() for name in ("entity", "form", "picture_url")}
    home = {name: value for name, value in typed.items() if value}
    degrees = {name: seen.form.get(name, "").strip().replace(",", ".") for name in ("latitude", "longitude")}
    hours = {name: seen.form.get(name, "").strip() for name in ("from_local", "until_local")}
    return read_body(
        NewOwnHome,
        {
            "home": {"maker": HUB, **home, "secrets": given_of(seen, _lines(seen))},
            "address": {name: value for name, value in degrees.items() if value},
            "time_zone": seen.form.get("time_zone", "").strip(),
            "name": seen.form.get("name", "").strip(),
            **{name: read_hour(value) for name, value in hours.items() if value},
        },
    )


# ---- what a courier must mind -------------------------------------------------------------------------------


async def show_settings(seen: Seen, refusal: Refusal | None = None) -> Response[Any]:
    """As they are, to be changed."""
    home: HomeShown = await seen.ask(homes.read_home, access_point_id=seen.path["place_id"])
    guard(seen)
    return render(
        seen,
        "consignee/home_settings.html",
        status=refusal.status if refusal else 200,
        point=await get_point(seen),
        home=home,
        forms=_forms(seen),
        given=seen.form if refusal else _typed(home),
        wrong=refusal or Refusal(),
    )


def _typed(home: HomeShown) -> Mapping[str, str]:
    """The settings as the form bears them."""
    quiet = {name: getattr(home, name) for name in ("quiet_from", "quiet_until")}
    ticked = {name: "yes" for name in ("rings_first", "is_pet_loose") if getattr(home, name)}
    hours = {name: at.isoformat(timespec="minutes") for name, at in quiet.items() if at is not None}
    return {"form": home.form, "directions": home.directions, **ticked, **hours}


async def change_settings(seen: Seen) -> Response[Any]:
    """From the next scan on."""
    guard(seen)
    try:
        await seen.ask_in_transaction(
            homes.change_home, body=_read_settings(seen), access_point_id=seen.path["place_id"]
        )
    except REFUSALS as error:
        return await show_settings(seen, refusal_of(seen, error))
    return go_to(f"/me/places/{seen.path['place_id']}")


def _read_settings(seen: Seen) -> HomeChange:
    """All of them: an empty hour ends the quiet hours, an empty box is a no."""
    hours = {name: seen.form.get(name, "").strip() for name in ("quiet_from", "quiet_until")}
    ticked = {name: seen.form.get(name) == "yes" for name in ("rings_first", "is_pet_loose")}
    body = read_body(
        HomeChange,
        {
            "form": seen.form.get("form"),
            **ticked,
            **{name: at and read_hour(at) for name, at in hours.items()},
        },
    )
    directions = seen.form.get("directions", "").strip().replace("\r\n", "\n")
    checked = read_body(HomeChange, {"directions": directions}) if directions else HomeChange(directions="")
    ended: dict[str, Any] = {name: None for name, at in hours.items() if not at}
    return structs.replace(body, directions=checked.directions, **ended)


# ---- its hub, again -----------------------------------------------------------------------------------------


async def show_hub(seen: Seen, refusal: Refusal | None = None) -> Response[Any]:
    """The form for a hub that is linked anew: all of it, as nothing of it is ever shown again."""
    await seen.ask(homes.read_home, access_point_id=seen.path["place_id"])
    shared = await seen.ask(sharing.read_household, access_point_id=seen.path["place_id"])
    if Right.LINK not in shared.your_rights:
        raise NotAllowed(seen.say("Only its owner may link the hub of a home."))
    guard(seen)
    first, more = _split(_lines(seen))
    return render(
        seen,
        "consignee/home_hub.html",
        status=refusal.status if refusal else 200,
        point=await get_point(seen),
        lines=[*first, door_line(seen, is_required=False)],
        more=more,
        is_open=_is_any_given(seen, more),
        given=seen.form,
        wrong=refusal or Refusal(),
    )


async def link_hub(seen: Seen) -> Response[Any]:
    """A new token, another address, or another name of the door."""
    guard(seen)
    try:
        fields = {"secrets": given_of(seen, _lines(seen)), "entity": seen.form.get("entity", "").strip()}
        body = read_body(NewHubLink, fields)
        await seen.ask(homes.check_hub, body=body)
        await seen.ask_in_transaction(homes.link_hub_again, body=body, access_point_id=seen.path["place_id"])
    except REFUSALS as error:
        return await show_hub(seen, refusal_of(seen, error))
    return go_to(f"/me/places/{seen.path['place_id']}")


# ---- un-linked ----------------------------------------------------------------------------------------------


async def unlink(seen: Seen) -> Response[Any]:
    """No parcel comes in any more. A new browser may do it too: it takes away, and gives nobody anything."""
    seen.require_step_up()
    if seen.form.get("sure") != "yes":
        raise BadInput("sure", seen.say("say that you are sure: hub and cameras are to be set up anew then"))
    await seen.ask_in_transaction(homes.unlink_home, access_point_id=seen.path["place_id"])
    return go_to(f"/me/places/{seen.path['place_id']}")


# ---- on the page of its place -------------------------------------------------------------------------------


async def read_parts(seen: Seen) -> dict[str, Any]:
    """What the page of a place shows of a home."""
    home: HomeShown = await seen.ask(homes.read_home, access_point_id=seen.path["place_id"])
    cameras = (await seen.ask(homes.list_cameras, access_point_id=seen.path["place_id"])).cameras
    assurances = {
        Assurance.SEEN: seen.say("Seen locked, and seen closed"),
        Assurance.BOLT_ALONE: seen.say("Only the bolt is seen: no sensor tells whether the door is closed"),
        Assurance.LID_ALONE: seen.say("Seen closed: a garage door has no lock that could be read"),
    }
    return {
        "home": home,
        "cameras": cameras,
        "opens": form_text(home.form, spoken_of(seen)),
        "assured": assurances.get(home.assurance, home.assurance),
    }


PAGES = (
    Page(method="GET", path="/me/homes/new", show=show_new_home, readers=CONSIGNEE),
    Page(method="POST", path="/me/homes/new", show=link_home, readers=CONSIGNEE),
    Page(method="GET", path="/me/places/{place_id}/home", show=show_settings, readers=CONSIGNEE),
    Page(method="POST", path="/me/places/{place_id}/home", show=change_settings, readers=CONSIGNEE),
    Page(method="GET", path="/me/places/{place_id}/hub", show=show_hub, readers=CONSIGNEE),
    Page(method="POST", path="/me/places/{place_id}/hub", show=link_hub, readers=CONSIGNEE),
    Page(method="POST", path="/me/places/{place_id}/unlink", show=unlink, readers=CONSIGNEE),
)
