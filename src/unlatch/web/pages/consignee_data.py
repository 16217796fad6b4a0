"""All that is kept of a consignee, as one file: by the API's own functions, so that it holds what they may see."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Response

from unlatch.flow.erasing import make_receipt
from unlatch.store import household, sessions
from unlatch.web.api import channels, claims, consignee, deliveries, erasure, linking, notices
from unlatch.web.api import household as sharing
from unlatch.web.api.claim_shapes import ClaimsQuery
from unlatch.web.api.consignee import TimelineQuery
from unlatch.web.api.deliveries import DeliveryQuery
from unlatch.web.endpoints import Run
from unlatch.web.notice_shapes import NoticesQuery
from unlatch.web.pages.consignee import CONSIGNEE
from unlatch.web.pages.page import Page, Seen, render

MOST_PAGES = 200  # of each list; what is older than that is said to be left out


async def show_data(seen: Seen) -> Response[Any]:
    """What is kept, in words, and the file; and what would happen if all of it were erased."""
    path = erasure.receipt_path(make_receipt())
    return render(
        seen,
        "consignee/data.html",
        plan=await seen.ask(erasure.read_erasure_plan),
        receipt_path=path,
        receipt_url=f"{seen.platform.settings.public_url}{path}",
    )


async def download_data(seen: Seen) -> Response[Any]:
    """The file: names, places, accounts without their secrets, deliveries, each look and deed, notices, claims."""
    seen.require_step_up()
    cut: list[str] = []
    async with seen.platform.database.connection() as connection:
        places = await household.list_held_places(connection, seen.me.id)
        signed_in = await sessions.list_sessions(connection, "consignee", seen.me.id, datetime.now(UTC))
        passkeys = await sessions.list_passkeys(connection, "consignee", seen.me.id)
    shared = [await seen.ask(sharing.read_household, access_point_id=place.id) for place in places]
    data = {
        "format": "unlatch-data/1",
        "made_at": seen.platform.clock.now(),
        "person": {"id": seen.me.id, "name": seen.me.name, "language": seen.me.language},
        "places": [msgspec.to_builtins(place, str_keys=True) for place in places],
        "households": shared,
        "accounts": (await seen.ask(linking.list_accounts)).accounts,
        "channels": (await seen.ask(channels.list_my_channels)).channels,
        "preferences": await seen.ask(notices.read_preferences),
        "browsers": [
            {"agent": one.agent, "signed_in_at": one.created_at, "seen_at": one.seen_at} for one in signed_in
        ],
        "passkeys": [one.name for one in passkeys],
        "deliveries_to_come": await _read_all(
            seen, deliveries.list_my_deliveries, DeliveryQuery(limit=50), "deliveries", cut
        ),
        "timeline": await _read_all(seen, consignee.read_timeline, TimelineQuery(limit=50), "entries", cut),
        "notices": await _read_all(seen, notices.list_my_notices, NoticesQuery(limit=50), "notices", cut),
        "claims": await _read_all(seen, claims.list_my_claims, ClaimsQuery(), "claims", cut),
        "left_out": cut,  # lists that were longer than one file holds
    }
    content = msgspec.json.format(msgspec.json.encode(data), indent=1)
    return Response(
        content,
        media_type="application/json",
        headers={
            "content-disposition": 'attachment; filename="unlatch-data.json"',
            "cache-control": "no-store",
        },
    )


async def _read_all(seen: Seen, run: Run, query: Any, name: str, cut: list[str]) -> list[Any]:
    """Every page of a list. Of the timeline the pages whole: visits, deeds and looks stand beside its entries."""
    pages: list[Any] = []
    for _ in range(MOST_PAGES):
        page = await seen.ask(run, query=query)
        pages += [page] if name == "entries" else getattr(page, name)
        following = getattr(page, "next", None)
        if following is None:
            return pages
        query = msgspec.structs.replace(query, cursor=following)
    cut.append(name)
    return pages


PAGES = (
    Page(method="GET", path="/me/data", show=show_data, readers=CONSIGNEE),
    Page(method="POST", path="/me/data", show=download_data, readers=CONSIGNEE),
)
