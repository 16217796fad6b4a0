"""Notices, channels and preferences by HTTP: what each reader sees, what is refused, and whose is whose."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.flow.post import post_settings
from tests.web.conftest import PUBLIC_URL, Caller, Tenant, make_platform, make_tenant
from tests.web.test_visits import save_reading, scan

from unlatch.clock import Clock
from unlatch.domain.incident import Incident
from unlatch.domain.notice import NoticeEvent
from unlatch.domain.wording import Language, text_of
from unlatch.domain.wording import Reader as TextReader
from unlatch.flow import posting
from unlatch.flow.enrolment import admit_operator
from unlatch.flow.notifying import tell
from unlatch.flow.platform import Platform
from unlatch.notices.dispatcher import Dispatcher, make_dispatcher
from unlatch.store import calls
from unlatch.store.database import Database
from unlatch.store.ids import make_id
from unlatch.town.app import create_server, create_town, listen
from unlatch.town.client import TownClient
from unlatch.town.post_office import PostFaultKind, Way
from unlatch.web.app import create_app

E = NoticeEvent


@pytest.fixture(scope="module")
def town_url() -> Iterator[str]:
    listening, for_mail = listen("127.0.0.1", 0), listen("127.0.0.1", 0)
    server = create_server(create_town(Clock()), for_mail=for_mail)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(5)
    listening.close()
    for_mail.close()


@pytest.fixture
async def town(town_url: str) -> AsyncIterator[TownClient]:
    async with TownClient(town_url) as town:
        await town.reset()
        yield town


@pytest.fixture
async def platform(database: Database, town: TownClient, tmp_path: Path) -> AsyncIterator[Platform]:
    bare = make_platform(database)
    settings = post_settings(replace(bare.settings, data_dir=tmp_path), await town.smtp_url())
    dispatcher = make_dispatcher(settings)
    yield replace(bare, dispatcher=dispatcher)
    await dispatcher.close()
    await bare.makers.close()


async def forget_bookings(platform: Platform) -> None:
    """Whoever is made with a stop has been told that it was booked."""
    async with platform.database.connection() as connection:
        await connection.execute("DELETE FROM notice")


@pytest.fixture
async def tenant(platform: Platform, http: httpx.AsyncClient) -> Tenant:
    tenant = await make_tenant(platform, http)
    await forget_bookings(platform)
    return tenant


async def tell_of(platform: Platform, tenant: Tenant, event: NoticeEvent, key: str, **facts: Any) -> None:
    async with platform.database.transaction() as connection:
        await tell(
            connection,
            event,
            place_id=tenant.access_point_id,
            key=key,
            now=platform.clock.now(),
            stop_id=tenant.stop_id,
            facts=facts,
        )


async def send_all(platform: Platform) -> None:
    await posting.post(platform, 200)
    office = posting.Office(platform=platform)
    while await office.take_on():
        await asyncio.gather(*office.under_way)
    await office.close()


async def confirmed_mail(tenant: Tenant, town: TownClient, to: str = "ann@example.org") -> dict[str, Any]:
    made = await tenant.consignee.make("/v1/me/channels", {"kind": "email", "to": to})
    code = (await town.mail(to)).letters[-1].subject[-6:]
    return await tenant.consignee.make(f"/v1/me/channels/{made['id']}/confirm", {"code": code})


async def test_a_mailbox_is_confirmed_told_seen_and_taken_away(
    platform: Platform, tenant: Tenant, town: TownClient
) -> None:
    made = await tenant.consignee.make("/v1/me/channels", {"kind": "email", "to": "Ann@Example.org"})
    assert (made["state"], made["shown"], made["secret"]) == ("unconfirmed", "A•••@example.org", None)
    code = (await town.mail("ann@example.org")).letters[0].subject[-6:]
    path = f"/v1/me/channels/{made['id']}"
    wrong = await tenant.consignee.post(f"{path}/confirm", {"code": f"{(int(code) + 1) % 1000000:06d}"})
    assert wrong.status_code == 400
    assert wrong.json()["errors"][0]["field"] == "code"
    live = await tenant.consignee.make(f"{path}/confirm", {"code": code})
    assert live["state"] == "live"
    assert (await tenant.consignee.make(f"{path}/confirm", {"code": code}))["state"] == "live"

    await tell_of(platform, tenant, E.DELIVERED, "vis_1", courier="Cleo", at="2026-11-26T22:03:07Z")
    await send_all(platform)
    shown = (await tenant.consignee.get("/v1/me/notices")).json()
    assert shown["unseen"] == 1
    notice = shown["notices"][0]
    assert notice["subject"] == "Delivered and locked"
    assert "seen locked at 14:03:07 on Thursday 26 November" in notice["body"], "by the clock of the address"
    (sent,) = notice["dispatches"]
    assert (sent["kind"], sent["shown"], sent["state"], sent["tries"]) == (
        "email",
        "A•••@example.org",
        "sent",
        1,
    )
    assert sent["sent_at"] is not None
    french = (await tenant.consignee.get("/v1/me/notices", headers={"Accept-Language": "fr"})).json()
    assert french["notices"][0]["subject"] == "Livré et verrouillé"
    assert (await town.mail("ann@example.org")).letters[-1].body == notice["body"]

    seen = await tenant.consignee.make("/v1/me/notices/seen", {"until": notice["told_at"]})
    assert seen == {"unseen": 0}
    assert (await tenant.consignee.get("/v1/me/notices")).json()["notices"][0]["seen_at"] is not None

    assert (await tenant.consignee.delete(path)).json() == {"id": made["id"], "is_ended": True}
    assert (await tenant.consignee.delete(path)).status_code == 404
    assert (await tenant.consignee.get("/v1/me/channels")).json() == {"channels": []}


async def test_a_browser_a_webhook_and_another_channel(
    platform: Platform, tenant: Tenant, town: TownClient
) -> None:
    key = (await tenant.consignee.get("/v1/push_key")).json()["public_key"]
    browser = await town.subscribe(key)
    await tenant.consignee.make(
        "/v1/me/channels",
        {
            "kind": "webpush",
            "endpoint": browser.endpoint,
            "keys": {"p256dh": browser.keys.p256dh, "auth": browser.keys.auth},
        },
    )
    hook, other = await town.open_hook(), await town.open_hook()
    made = await tenant.carrier.make("/v1/channels", {"url": hook.url})
    assert made["secret"].startswith("whsec_")
    await town.set_hook_secret(hook.id, made["secret"])
    listed = (await tenant.carrier.get("/v1/channels")).json()["channels"]
    assert [(one["id"], one["secret"]) for one in listed] == [(made["id"], None)]
    wish = {"kind": "other", "url": other.url.replace("http", "json")}
    unconfirmed = await tenant.consignee.make("/v1/me/channels", wish)
    assert (unconfirmed["state"], unconfirmed["shown"]) == ("unconfirmed", "json://•••")
    code = (await town.hooked(other.id)).letters[0].subject[-6:]
    await tenant.consignee.make(f"/v1/me/channels/{unconfirmed['id']}/confirm", {"code": code})
    await tell_of(platform, tenant, E.BOOKED, "stp_1/1")
    await send_all(platform)
    assert (await town.pushed(browser.id)).letters[0].subject == "A parcel is coming to you"
    assert (await town.hooked(hook.id)).letters[0].data["type"] == "booked"
    assert (await town.hooked(other.id)).letters[-1].subject == "A parcel is coming to you"
    told = (await tenant.carrier.get("/v1/notices")).json()["notices"]
    assert [(one["event"], one["dispatches"][0]["state"]) for one in told] == [("booked", "sent")]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "email"}, "to"),
        ({"kind": "email", "to": "ann"}, "to"),
        ({"kind": "email", "to": "ann@example.org\r\nBcc: b@c.d"}, "to"),
        ({"kind": "email", "to": "ann@example.org", "url": "https://x.example"}, "url"),
        ({"kind": "email", "to": "ann@example.org", "groups_off": ["alarm"]}, "groups_off"),
        ({"kind": "email", "to": "ann@example.org", "groups_off": ["unheard"]}, "groups_off[0]"),
        ({"kind": "other", "url": "slack://a/b/c"}, "url"),
        ({"kind": "webhook", "url": "ftp://x.example"}, "url"),
        ({"kind": "webhook", "to": "x@y.example"}, "to"),
        ({"kind": "webpush", "endpoint": "https://x.example"}, "keys"),
        ({"kind": "webpush", "endpoint": "x", "keys": {"p256dh": "AA", "auth": "AA"}}, "endpoint"),
        (
            {"kind": "webpush", "endpoint": "https://x.example", "keys": {"p256dh": "AA", "auth": "AA"}},
            "keys",
        ),
        ({"kind": "pigeon"}, "kind"),
        ({"kind": "email", "to": "a@b.example", "colour": "red"}, "colour"),
    ],
)
async def test_a_channel_that_can_not_be_is_refused_with_its_field(
    tenant: Tenant, body: dict[str, Any], field: str
) -> None:
    answer = await tenant.consignee.post("/v1/me/channels", body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["field"] == field


async def test_a_kind_that_is_not_set_up_says_so(platform: Platform, tenant: Tenant) -> None:
    refused = await tenant.consignee.post("/v1/me/channels", {"kind": "sms", "to": "+14155550123"})
    assert refused.status_code == 409
    assert "UNLATCH_SMS_URL" in refused.json()["detail"]


async def test_without_any_setting_nothing_can_be_chosen(database: Database) -> None:
    bare = make_platform(database)
    assert isinstance(bare.dispatcher, Dispatcher)
    transport = httpx.ASGITransport(app=create_app(bare), raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        tenant = await make_tenant(bare, http)
        assert (await tenant.consignee.get("/v1/push_key")).status_code == 409
        answer = await tenant.consignee.post("/v1/me/channels", {"kind": "email", "to": "a@b.example"})
        assert answer.status_code == 409
    await bare.makers.close()


async def test_the_same_request_sent_twice_makes_one_channel_and_one_code(
    tenant: Tenant, town: TownClient
) -> None:
    wish = {"kind": "email", "to": "ann@example.org"}
    first, second = [await tenant.consignee.post("/v1/me/channels", wish, key="once") for _ in range(2)]
    assert first.json() == second.json()
    assert (await town.mail("ann@example.org")).received == 1
    assert (await tenant.consignee.post("/v1/me/channels", wish)).status_code == 409


async def test_what_is_anothers_is_not_there(
    platform: Platform, http: httpx.AsyncClient, tenant: Tenant, town: TownClient
) -> None:
    other = await make_tenant(platform, http, "Other Post")
    await forget_bookings(platform)
    mine = await confirmed_mail(tenant, town)
    hook = await tenant.carrier.make("/v1/channels", {"url": (await town.open_hook()).url})
    await tell_of(platform, tenant, E.BOOKED, "stp_1/1")
    for caller, path in (
        (other.consignee, f"/v1/me/channels/{mine['id']}"),
        (other.carrier, f"/v1/channels/{hook['id']}"),
        (tenant.carrier, f"/v1/channels/{mine['id']}"),
        (tenant.consignee, f"/v1/me/channels/{hook['id']}"),
    ):
        assert (await caller.delete(path)).status_code == 404
        assert (await caller.post(f"{path}/groups", {"groups_off": ["day"]})).status_code == 404
    confirm = await other.consignee.post(f"/v1/me/channels/{mine['id']}/confirm", {"code": "000000"})
    assert confirm.status_code == 404
    assert (await other.consignee.get("/v1/me/notices")).json()["notices"] == []
    assert (await other.carrier.get("/v1/notices")).json()["notices"] == []
    assert (await other.consignee.get("/v1/me/channels")).json()["channels"] == []
    assert len((await tenant.consignee.get("/v1/me/notices")).json()["notices"]) == 1
    for caller, path in (
        (tenant.carrier, "/v1/me/notices"),
        (tenant.consignee, "/v1/notices"),
        (tenant.consignee, "/v1/operator/notices"),
        (tenant.carrier, "/v1/operator/dispatches"),
    ):
        assert (await caller.get(path)).status_code == 403


async def test_groups_are_chosen_for_each_channel(tenant: Tenant, town: TownClient) -> None:
    mine = await confirmed_mail(tenant, town)
    path = f"/v1/me/channels/{mine['id']}/groups"
    chosen = await tenant.consignee.make(path, {"groups_off": ["day", "courier", "day"]})
    assert chosen["groups_off"] == ["courier", "day"]
    assert (await tenant.consignee.post(path, {"groups_off": ["alarm"]})).status_code == 400
    assert (await tenant.consignee.make(path, {"groups_off": []}))["groups_off"] == []


async def test_quiet_hours_are_set_read_and_ended(tenant: Tenant) -> None:
    path = "/v1/me/preferences"
    assert (await tenant.consignee.get(path)).json() == {"quiet_hours": None}
    hours = {"begins": "22:00:00", "ends": "07:00:00", "time_zone": "Europe/Paris"}
    assert await tenant.consignee.make(path, {"quiet_hours": hours}) == {"quiet_hours": hours}
    assert (await tenant.consignee.get(path)).json() == {"quiet_hours": hours}
    for changes, field in (
        ({"time_zone": "Mars/Olympus"}, "quiet_hours.time_zone"),
        ({"ends": "22:00:00"}, "quiet_hours.ends"),
        ({"begins": "25:00:00"}, "quiet_hours.begins"),
    ):
        answer = await tenant.consignee.post(path, {"quiet_hours": {**hours, **changes}})
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == field
    assert await tenant.consignee.make(path, {"quiet_hours": None}) == {"quiet_hours": None}
    assert (await tenant.consignee.get(path)).json() == {"quiet_hours": None}


async def test_notices_are_paged_without_loss_and_without_repeat(platform: Platform, tenant: Tenant) -> None:
    async with platform.database.transaction() as connection:
        now = platform.clock.now()  # all of one moment: the id decides
        for number in range(7):
            await tell(connection, E.BOOKED, place_id=tenant.access_point_id, key=f"stp_{number}", now=now)
    found: list[str] = []
    path = "/v1/me/notices?limit=3"
    while True:
        page = (await tenant.consignee.get(path)).json()
        found += [one["id"] for one in page["notices"]]
        if page["next"] is None:
            break
        path = f"/v1/me/notices?limit=3&cursor={page['next']}"
    assert len(found) == len(set(found)) == 7
    for cursor in ("yesterday", "2026-01-01T00:00:00|not_1", "|"):
        answer = await tenant.consignee.get(f"/v1/me/notices?cursor={cursor}")
        assert answer.status_code == 400, cursor


async def add_operator(
    platform: Platform, http: httpx.AsyncClient, town: TownClient, name: str, language: str = "en"
) -> tuple[Caller, str, str]:
    """One of the platform's own people, who is told by mail; the address, and the channel."""
    operator = Caller(http=http, key=(await admit_operator(platform, name)).key)
    to = f"{name.lower()}@example.org"
    wanted = {"kind": "email", "to": to}
    made = (await operator.post("/v1/operator/channels", wanted, **{"accept-language": language})).json()
    assert made["state"] == "unconfirmed"
    code = (await town.mail(to)).letters[-1].subject[-6:]
    live = await operator.make(f"/v1/operator/channels/{made['id']}/confirm", {"code": code})
    assert live["state"] == "live"
    return operator, to, made["id"]


async def call(platform: Platform, visit_id: str, incident: Incident, kind: str = "operator") -> None:
    async with platform.database.transaction() as connection:
        await calls.open_call(
            connection,
            make_id("cal"),
            visit_id=visit_id,
            kind=kind,
            incident=incident,
            now=platform.clock.now(),
        )


async def test_a_call_for_help_is_told_to_every_operator_once_and_again_when_it_grows(
    platform: Platform, http: httpx.AsyncClient, tenant: Tenant, town: TownClient
) -> None:
    _, olga, _ = await add_operator(platform, http, town, "Olga")
    _, ondine, _ = await add_operator(platform, http, town, "Ondine", "fr")
    await save_reading(platform, tenant.access_point_id)
    visit_id = (await scan(tenant))["id"]
    await forget_bookings(platform)
    for _ in range(3):
        await call(platform, visit_id, Incident.DEVICE_NOT_SEEN_LOCKED)
        await send_all(platform)
    await call(platform, visit_id, Incident.DEVICE_NOT_SEEN_LOCKED, kind="consignee")
    await send_all(platform)
    for to in (olga, ondine):
        assert len((await town.mail(to)).letters) == 2, "the code, and the call"
    english, french = [(await town.mail(to)).letters[-1] for to in (olga, ondine)]
    assert english.subject == "A call for help"
    assert text_of(Incident.DEVICE_NOT_SEEN_LOCKED, TextReader.OPERATOR, Language.ENGLISH) in english.body
    assert french.subject == "Un appel à l'aide"
    await call(platform, visit_id, Incident.DEVICE_LATE_UNLOCK)
    await call(platform, visit_id, Incident.DEVICE_LATE_UNLOCK)
    await send_all(platform)
    assert len((await town.mail(olga)).letters) == 3


async def test_what_the_desk_reads_and_is_no_call_sends_nobody_a_letter(
    platform: Platform, http: httpx.AsyncClient, tenant: Tenant, town: TownClient
) -> None:
    """Each alarm of a visit comes with a call: one letter is enough."""
    operator, olga, _ = await add_operator(platform, http, town, "Olga")
    await tell_of(platform, tenant, E.NOT_SECURED, "vis_1", incident="device_not_seen_locked")
    await send_all(platform)
    assert len((await town.mail(olga)).letters) == 1
    assert [one["event"] for one in (await operator.get("/v1/operator/notices")).json()["notices"]] == [
        "not_secured"
    ]


async def test_an_operator_has_a_browser_a_webhook_and_an_end_to_both(
    platform: Platform, http: httpx.AsyncClient, tenant: Tenant, town: TownClient
) -> None:
    operator, _, mailbox = await add_operator(platform, http, town, "Olga")
    other, _, _ = await add_operator(platform, http, town, "Ondine")
    key = (await operator.get("/v1/push_key")).json()["public_key"]
    browser = await town.subscribe(key)
    keys = {"p256dh": browser.keys.p256dh, "auth": browser.keys.auth}
    await operator.make(
        "/v1/operator/channels", {"kind": "webpush", "endpoint": browser.endpoint, "keys": keys}
    )
    hook = await town.open_hook()
    made = await operator.make("/v1/operator/channels", {"kind": "webhook", "url": hook.url})
    await town.set_hook_secret(hook.id, made["secret"])
    assert len((await operator.get("/v1/operator/channels")).json()["channels"]) == 3
    assert len((await other.get("/v1/operator/channels")).json()["channels"]) == 1
    assert (await other.delete(f"/v1/operator/channels/{mailbox}")).status_code == 404, "each has their own"
    assert (await tenant.consignee.get("/v1/operator/channels")).status_code == 403
    await save_reading(platform, tenant.access_point_id)
    visit_id = (await scan(tenant))["id"]
    await call(platform, visit_id, Incident.DEVICE_NOT_SEEN_LOCKED)
    await send_all(platform)
    assert (await town.pushed(browser.id)).letters[0].event == "called"
    assert (await town.hooked(hook.id)).letters[0].data["data"]["visit_id"] == visit_id
    assert (await operator.delete(f"/v1/operator/channels/{made['id']}")).status_code == 200
    await call(platform, visit_id, Incident.DEVICE_LATE_UNLOCK)
    await send_all(platform)
    assert (await town.hooked(hook.id)).received == 1
    assert (await town.pushed(browser.id)).received == 2


async def test_an_operator_reads_the_desks_alarms_and_what_could_not_be_sent(
    platform: Platform, http: httpx.AsyncClient, tenant: Tenant, town: TownClient
) -> None:
    operator = Caller(http=http, key=(await admit_operator(platform, "Olga")).key)
    await confirmed_mail(tenant, town)
    await town.set_post_fault(Way.MAIL, PostFaultKind.REJECT, status=554)
    await tell_of(platform, tenant, E.NOT_SECURED, "vis_1", incident="device_not_seen_locked")
    await tell_of(platform, tenant, E.BOOKED, "stp_1/1")
    await send_all(platform)
    desk = (await operator.get("/v1/operator/notices")).json()["notices"]
    assert [one["event"] for one in desk] == ["not_secured"]
    assert "Call the courier and the consignee" in desk[0]["body"]
    found: list[dict[str, Any]] = []
    path = "/v1/operator/dispatches?state=failed&limit=1"
    while True:
        page = (await operator.get(path)).json()
        found += page["dispatches"]
        if page["next"] is None:
            break
        path = f"/v1/operator/dispatches?state=failed&limit=1&cursor={page['next']}"
    assert {one["event"] for one in found} == {"booked", "not_secured"}
    assert {one["dispatch"]["why"] for one in found} == {"the mail server answers 554"}
    assert all("ann@" not in str(one) for one in found)
    assert (await operator.get("/v1/operator/dispatches?state=due")).json()["dispatches"] == []
