"""The consignee's places: link a car at its maker, choose it, share it with the household, block it, un-link it."""

from __future__ import annotations

from typing import Any

from litestar import Response

from unlatch.domain.access import PlaceKind
from unlatch.domain.household import Right
from unlatch.domain.linking import AccountState
from unlatch.store import consignees, household
from unlatch.web.api import household as sharing
from unlatch.web.api import linking
from unlatch.web.api.household import HandOverBody, JoinBody, OwningBody, WatchingBody
from unlatch.web.api.linking import NewCarPlace, NewLink
from unlatch.web.pages import consignee_homes
from unlatch.web.pages.consignee import CONSIGNEE, read_body
from unlatch.web.pages.page import Page, Seen, go_to, render

USABLE = (AccountState.LIVE, AccountState.LOST)  # accounts that one may still do something with


def _guard(seen: Seen) -> None:
    """What widens access wants its person to show once more who they are, in a browser that is not new."""
    seen.require_step_up()
    seen.require_settled()


# ---- all places -------------------------------------------------------------------------------------------


async def show_places(seen: Seen) -> Response[Any]:
    """Cars and homes, accounts at makers, and how to add one."""
    accounts = await seen.ask(linking.list_accounts)
    makers = await seen.ask(linking.list_makers)
    async with seen.platform.database.connection() as connection:
        places = await household.list_held_places(connection, seen.me.id)
    return render(
        seen,
        "consignee/places.html",
        places=places,
        accounts=[one for one in accounts.accounts if one.state in USABLE],
        makers=makers.makers,
        labels={one.name: one.label for one in makers.makers},
    )


async def begin_link(seen: Seen) -> Response[Any]:
    """On to the maker's own page: what it will ask is told first, and the browser goes there by itself alone."""
    _guard(seen)
    body = read_body(NewLink, {name: seen.form.get(name) for name in ("maker", "account_id")})
    opened = await seen.ask_in_transaction(linking.begin_link, body=body)
    makers = await seen.ask(linking.list_makers)
    maker = next(one for one in makers.makers if one.name == body.maker)
    return render(seen, "consignee/link.html", maker=maker, address=opened.authorize_url)


async def unlink(seen: Seen) -> Response[Any]:
    """Nothing is opened through this account any more."""
    await seen.ask_in_transaction(linking.unlink_account, account_id=seen.path["account_id"])
    return go_to("/me/places")


async def show_cars(seen: Seen) -> Response[Any]:
    """The cars of an account, one of which becomes a place."""
    cars = await seen.ask(linking.list_cars, account_id=seen.path["account_id"])
    return render(seen, "consignee/cars.html", cars=cars.cars, account_id=seen.path["account_id"])


async def choose_car(seen: Seen) -> Response[Any]:
    """This car, near this address: asking for it is the consent."""
    _guard(seen)
    given = seen.form
    address = {name: given.get(name, "").replace(",", ".") for name in ("latitude", "longitude")}
    body = read_body(
        NewCarPlace,
        {
            "account_id": seen.path["account_id"],
            "address": {name: value for name, value in address.items() if value},
            **{name: given.get(name, "").strip() for name in ("vin", "time_zone", "name", "plate", "colour")},
        },
    )
    place = await seen.ask(linking.choose_car, body=body)
    return go_to(f"/me/places/{place.id}")


async def join(seen: Seen) -> Response[Any]:
    """Into a household, by the code that its owner gave."""
    _guard(seen)
    body = read_body(JoinBody, {"code": seen.form.get("code", "").strip()})
    shared = await seen.ask_in_transaction(sharing.join_household, body=body)
    return go_to(f"/me/places/{shared.access_point_id}")


# ---- one place --------------------------------------------------------------------------------------------


async def show_place(seen: Seen, invitation: str = "") -> Response[Any]:
    """Who shares it, what it is, and what this person may do with it."""
    place_id = seen.path["place_id"]
    shared = await seen.ask(sharing.read_household, access_point_id=place_id)
    rights = set(shared.your_rights)
    invited = []
    if Right.INVITE in rights:
        invited = (await seen.ask(sharing.list_invitations, access_point_id=place_id)).invitations
    async with seen.platform.database.connection() as connection:
        point = await consignees.find_access_point(connection, place_id)
        vehicle = await consignees.find_vehicle(connection, place_id)
    assert point is not None
    parts: dict[str, Any] = {"home": None, "cameras": []}
    if point.kind == PlaceKind.HOME:
        parts = await consignee_homes.read_parts(seen)
    return render(
        seen.at_zone(point.time_zone),
        "consignee/place.html",
        point=point,
        vehicle=vehicle,
        shared=shared,
        rights=rights,
        invited=invited,
        invitation=invitation,
        now=seen.platform.clock.now(),
        **parts,
    )


async def invite(seen: Seen) -> Response[Any]:
    """The code is shown this once."""
    _guard(seen)
    made = await seen.ask_in_transaction(sharing.invite_to_household, access_point_id=seen.path["place_id"])
    return await show_place(seen, made.code)


async def withdraw(seen: Seen) -> Response[Any]:
    """Its code lets nobody in any more."""
    await seen.ask(
        sharing.withdraw_invitation,
        access_point_id=seen.path["place_id"],
        invitation_id=seen.form.get("invitation", "")[:80],
    )
    return _to_place(seen)


async def remove(seen: Seen) -> Response[Any]:
    """Someone is of the household no more."""
    await seen.ask_in_transaction(
        sharing.remove_member,
        access_point_id=seen.path["place_id"],
        consignee_id=seen.form.get("person", "")[:80],
    )
    return _to_place(seen)


async def let_watch(seen: Seen) -> Response[Any]:
    """Someone may see the cameras, or no more."""
    body = read_body(WatchingBody, {"may_watch": seen.form.get("may_watch") == "yes"})
    if body.may_watch:
        _guard(seen)
    await seen.ask_in_transaction(
        sharing.let_member_watch,
        body=body,
        access_point_id=seen.path["place_id"],
        consignee_id=seen.form.get("person", "")[:80],
    )
    return _to_place(seen)


async def hand_over(seen: Seen) -> Response[Any]:
    """Someone else is its owner from now on."""
    _guard(seen)
    body = read_body(HandOverBody, {"consignee_id": seen.form.get("person")})
    await seen.ask_in_transaction(sharing.hand_over_place, body=body, access_point_id=seen.path["place_id"])
    return _to_place(seen)


async def agree_to_take_over(seen: Seen) -> Response[Any]:
    """A member owns it when its owner is erased, or does not."""
    _guard(seen)
    await seen.ask_in_transaction(
        sharing.agree_to_take_over,
        body=OwningBody(agrees=seen.form.get("agrees") == "yes"),
        access_point_id=seen.path["place_id"],
    )
    return _to_place(seen)


async def leave(seen: Seen) -> Response[Any]:
    """Out of the household."""
    await seen.ask_in_transaction(sharing.leave_household, access_point_id=seen.path["place_id"])
    return go_to("/me/places")


def _to_place(seen: Seen) -> Response[Any]:
    return go_to(f"/me/places/{seen.path['place_id']}")


PAGES = (
    Page(method="GET", path="/me/places", show=show_places, readers=CONSIGNEE),
    Page(method="POST", path="/me/link", show=begin_link, readers=CONSIGNEE),
    Page(method="POST", path="/me/join", show=join, readers=CONSIGNEE),
    Page(method="GET", path="/me/accounts/{account_id}", show=show_cars, readers=CONSIGNEE),
    Page(method="POST", path="/me/accounts/{account_id}", show=choose_car, readers=CONSIGNEE),
    Page(method="POST", path="/me/accounts/{account_id}/unlink", show=unlink, readers=CONSIGNEE),
    Page(method="GET", path="/me/places/{place_id}", show=show_place, readers=CONSIGNEE),
    Page(method="POST", path="/me/places/{place_id}/invite", show=invite, readers=CONSIGNEE),
    Page(method="POST", path="/me/places/{place_id}/withdraw", show=withdraw, readers=CONSIGNEE),
    Page(method="POST", path="/me/places/{place_id}/remove", show=remove, readers=CONSIGNEE),
    Page(method="POST", path="/me/places/{place_id}/watching", show=let_watch, readers=CONSIGNEE),
    Page(method="POST", path="/me/places/{place_id}/owner", show=hand_over, readers=CONSIGNEE),
    Page(method="POST", path="/me/places/{place_id}/take-over", show=agree_to_take_over, readers=CONSIGNEE),
    Page(method="POST", path="/me/places/{place_id}/leave", show=leave, readers=CONSIGNEE),
)
