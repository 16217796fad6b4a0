"""The console's freezes: what is closed beyond one place, and couriers with their phones."""

from __future__ import annotations

from typing import Any

from litestar import Response

from unlatch.domain.freeze import Scope
from unlatch.web.api import desk, freezes
from unlatch.web.api.desk import DeskQuery
from unlatch.web.api.freezes import FreezeBody, FreezesQuery
from unlatch.web.pages.consignee import read_body
from unlatch.web.pages.console import OPERATOR
from unlatch.web.pages.page import Page, Seen, go_to, render

SHOWN = 100
COURIERS_SHOWN = 30


async def show_freezes(seen: Seen) -> Response[Any]:
    """What is frozen, what was, and the forms for more."""
    found = await seen.ask(freezes.list_freezes, query=FreezesQuery(limit=SHOWN))
    labels = {name: maker.label for name, maker in seen.platform.makers.makers.items()}
    return render(
        seen,
        "console/freezes.html",
        in_force=[one for one in found.freezes if one.thawed_at is None],
        ended=[one for one in found.freezes if one.thawed_at is not None],
        labels=labels,
        scope_text=lambda scope: scope_text(seen, scope),
        asked=seen.request.query_params,
    )


def scope_text(seen: Seen, scope: Scope) -> str:
    """What is frozen, as a person reads it."""
    return {
        Scope.COURIER: seen.say("a courier"),
        Scope.CLOUD: seen.say("a maker's cloud"),
        Scope.AREA: seen.say("an area"),
        Scope.EVERYTHING: seen.say("everything"),
    }[scope]


async def freeze(seen: Seen) -> Response[Any]:
    """It only closes: in one press, without showing once more who it is."""
    form = {name: value.strip() for name, value in seen.form.items()}
    fields: dict[str, Any] = {name: form.get(name, "") for name in ("scope", "subject", "why")}
    if fields["scope"] == Scope.AREA:
        fields["area"] = {name: form.get(name, "") for name in ("latitude", "longitude", "radius_m")}
    await seen.ask_in_transaction(freezes.freeze, body=read_body(FreezeBody, fields))
    return go_to("/console/freezes")


async def thaw(seen: Seen) -> Response[Any]:
    """Widens: shown once more who they are, in a browser that is not new."""
    seen.require_step_up()
    seen.require_settled()
    await seen.ask_in_transaction(freezes.thaw, freeze_id=seen.path["freeze_id"])
    return go_to("/console/freezes")


async def show_couriers(seen: Seen) -> Response[Any]:
    """Couriers with their phones, the newest first, or those that were asked for."""
    params = seen.request.query_params
    asked = params.get("of", "").strip()[:80]
    query = DeskQuery(of=asked, before=params.get("before", "")[:120] or None, limit=COURIERS_SHOWN)
    found = await seen.ask(desk.list_couriers, query=query)
    return render(seen, "console/couriers.html", asked=asked, couriers=found.couriers, next=found.next)


async def revoke(seen: Seen) -> Response[Any]:
    """A phone that was lost or stolen opens nothing any more."""
    courier_id = seen.path["courier_id"]
    await seen.ask_in_transaction(
        desk.revoke_device, courier_id=courier_id, device_id=seen.form.get("device", "")[:80]
    )
    return go_to(f"/console/couriers?of={courier_id}")


PAGES = (
    Page(method="GET", path="/console/freezes", show=show_freezes, readers=OPERATOR),
    Page(method="POST", path="/console/freezes", show=freeze, readers=OPERATOR),
    Page(method="POST", path="/console/freezes/{freeze_id}/thaw", show=thaw, readers=OPERATOR),
    Page(method="GET", path="/console/couriers", show=show_couriers, readers=OPERATOR),
    Page(method="POST", path="/console/couriers/{courier_id}/revoke", show=revoke, readers=OPERATOR),
)
