"""What a consignee was told, over which ways they are told, and when they are left alone."""

from __future__ import annotations

from datetime import time
from typing import Any

from litestar import Response

from unlatch.web.api import channels, notices
from unlatch.web.api.channels import CodeGiven, NewChannel
from unlatch.web.api.notices import Preferences, QuietHours
from unlatch.web.api.notices import Seen as SeenUntil
from unlatch.web.notice_shapes import NoticesQuery
from unlatch.web.pages.consignee import CONSIGNEE, at_home, read_body
from unlatch.web.pages.consignee_push import NOTICES as HERE
from unlatch.web.pages.consignee_push import find_here
from unlatch.web.pages.page import Page, Seen, go_to, render


async def show_notices(seen: Seen) -> Response[Any]:
    """The newest first; what is shown counts as seen."""
    cursor = seen.request.query_params.get("cursor")
    query = NoticesQuery(cursor=cursor[:200] if cursor else None, limit=30)
    told = await seen.ask(notices.list_my_notices, query=query)
    ways = await seen.ask(channels.list_my_channels)
    here = find_here(seen)
    preferences = await seen.ask(notices.read_preferences)
    if told.notices and cursor is None and told.unseen:
        await seen.ask(notices.mark_seen, body=SeenUntil(until=told.notices[0].told_at))
    return render(
        await at_home(seen),
        "consignee/notices.html",
        notices=told.notices,
        next=told.next,
        channels=ways.channels,
        here=next((one.id for one in ways.channels if one.id == here), ""),
        push_key=seen.platform.dispatcher.push_key,
        tested=seen.request.query_params.get("tested"),
        quiet=preferences.quiet_hours,
    )


async def add_mail(seen: Seen) -> Response[Any]:
    """A code goes there first. As a link to sign in may go there too, this widens."""
    seen.require_step_up()
    seen.require_settled()
    body = read_body(NewChannel, {"kind": "email", "to": seen.form.get("to", "").strip()})
    await seen.ask(channels.add_my_channel, body=body)
    return go_to(HERE)


async def confirm(seen: Seen) -> Response[Any]:
    """With the code that was sent there."""
    body = read_body(CodeGiven, {"code": seen.form.get("code", "").strip()})
    await seen.ask(channels.confirm_my_channel, body=body, channel_id=seen.form.get("channel", "")[:80])
    return go_to(HERE)


async def test(seen: Seen) -> Response[Any]:
    """A test goes there at once."""
    channel = await seen.ask(channels.try_my_channel, channel_id=seen.form.get("channel", "")[:80])
    return go_to(f"{HERE}?tested={channel.id}")


async def end(seen: Seen) -> Response[Any]:
    """Nothing is sent there any more."""
    await seen.ask(channels.end_my_channel, channel_id=seen.form.get("channel", "")[:80])
    return go_to(HERE)


async def set_quiet_hours(seen: Seen) -> Response[Any]:
    """When they want to be left alone; alarms come all the same. Both empty: never."""
    given = {name: seen.form.get(name, "").strip() for name in ("begins", "ends", "time_zone")}
    hours = None
    if given["begins"] or given["ends"]:
        hours = read_body(
            QuietHours, {**given, "begins": read_hour(given["begins"]), "ends": read_hour(given["ends"])}
        )
    await seen.ask_in_transaction(notices.set_preferences, body=Preferences(quiet_hours=hours))
    return go_to(HERE)


def read_hour(given: str) -> str:
    """As browsers give it (22:00), with its seconds."""
    try:
        return time.fromisoformat(given).isoformat(timespec="seconds")
    except ValueError:
        return given


PAGES = (
    Page(method="GET", path=HERE, show=show_notices, readers=CONSIGNEE),
    Page(method="POST", path=f"{HERE}/mail", show=add_mail, readers=CONSIGNEE),
    Page(method="POST", path=f"{HERE}/confirm", show=confirm, readers=CONSIGNEE),
    Page(method="POST", path=f"{HERE}/test", show=test, readers=CONSIGNEE),
    Page(method="POST", path=f"{HERE}/end", show=end, readers=CONSIGNEE),
    Page(method="POST", path=f"{HERE}/quiet", show=set_quiet_hours, readers=CONSIGNEE),
)
