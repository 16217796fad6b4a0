"""The timeline: who did what, for each in their language, as one list in pages."""

from __future__ import annotations

import httpx
from tests.web.conftest import Tenant, make_tenant, new_access_point
from tests.web.people import add_member, deliver, fetch
from tests.web.test_household import place_path

from unlatch.flow.platform import Platform


async def test_the_timeline_says_who_did_what_to_each_in_their_language(
    platform: Platform, tenant: Tenant
) -> None:
    ben = await add_member(tenant, "Ben Brother", language="fr")
    await tenant.consignee.make(f"{place_path(tenant)}/invitations")
    invited = (
        "An invitation to share this place was made.",
        "Une invitation à partager ce lieu a été créée.",
    )
    joined = ("This place has one more member.", "Ce lieu compte un membre de plus.")
    readers = ((tenant.consignee, 0, ("you", "Ben", "you")), (ben, 1, ("Ada", "vous", "Ada")))
    for caller, language, doers in readers:
        deeds = (await caller.get("/v1/me/timeline")).json()["deeds"]
        told = [(one["who"]["text"], one["text"]) for one in deeds if one["what"] in ("invited", "joined")]
        texts = (invited[language], joined[language], invited[language])
        assert told == list(zip(doers, texts, strict=True))
    assert "code" not in (await ben.get("/v1/me/timeline")).text
    await ben.make(f"{place_path(tenant)}/leave")
    deeds = (await tenant.consignee.get("/v1/me/timeline")).json()["deeds"]
    assert (deeds[0]["what"], deeds[0]["who"]["text"]) == ("left", "Ben")


async def test_the_timeline_is_one_list_newest_first_in_pages(platform: Platform, tenant: Tenant) -> None:
    await deliver(platform, tenant)
    for name in ("Ben", "Cid", "Dan"):
        await add_member(tenant, name)
    await fetch(
        platform,
        "INSERT INTO look SELECT 'loo_' || n, %s, NULL, 'courier:cou_1', 'position_and_plate', "
        "now() - make_interval(secs => n) FROM generate_series(1, 5) n RETURNING 1",
        tenant.access_point_id,
    )
    whole = (await tenant.consignee.get("/v1/me/timeline", params={"limit": 50})).json()
    assert {one["kind"] for one in whole["entries"]} == {"visit", "deed", "look"}
    assert whole["next"] is None
    order = [(one["at"], one["id"]) for one in whole["entries"]]
    assert order == sorted(order, reverse=True)
    paged, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await tenant.consignee.get("/v1/me/timeline", params=query)).json()
        told = [*(one["visit"] for one in page["visits"]), *page["deeds"], *page["looks"]]
        assert {one["id"] for one in told} == {one["id"] for one in page["entries"]}
        paged += page["entries"]
        if (cursor := page["next"]) is None:
            break
    assert paged == whole["entries"]
    for junk in ("x", "9999-99-99T00:00:00Z|vis_1"):
        answer = await tenant.consignee.get("/v1/me/timeline", params={"cursor": junk})
        assert answer.status_code == 400, junk


async def test_each_sees_the_places_that_are_theirs_or_shared_and_no_other(
    platform: Platform, tenant: Tenant, http: httpx.AsyncClient
) -> None:
    other = await make_tenant(platform, http, "Other Post")
    ben = await add_member(tenant)
    own = await tenant.carrier.make("/v1/access_points", new_access_point(ben.id))
    places = (await ben.get("/v1/me/timeline")).json()["places"]
    assert {(one["id"], one["role"]) for one in places} == {
        (tenant.access_point_id, "member"),
        (own["id"], "owner"),
    }
    assert (await ben.get(f"/v1/me/access_points/{other.access_point_id}/household")).status_code == 404
