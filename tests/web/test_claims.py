"""Claims over HTTP: all sides, each step, whose they are, races, and the evidence that anyone can check."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from tests.web.conftest import Caller, Tenant, make_tenant
from tests.web.people import add_consignee, add_member, deliver, fetch, move_visit
from tests.web.test_visits import save_reading, scan

from unlatch.domain.claim import MOST_BY_ONE, ClaimKind
from unlatch.flow import claims as flow
from unlatch.flow.exporting import find_signer
from unlatch.flow.platform import Platform
from unlatch.verify import verify_bundle

BROKEN = {"kind": "parcel_damaged", "words": "The box was crushed.\nSee the photo."}


@pytest.fixture
async def visit_id(platform: Platform, tenant: Tenant) -> str:
    return await deliver(platform, tenant)


async def open_claim(asker: Caller, visit_id: str, **changes: Any) -> dict[str, Any]:
    return await asker.make(f"/v1/me/visits/{visit_id}/claims", {**BROKEN, **changes})


async def pass_time(platform: Platform, claim_id: str, days: float) -> None:
    """As if the claim's next step had been due that many days earlier."""
    query = "UPDATE claim SET due_at = due_at - make_interval(secs => %s) WHERE id = %s RETURNING 1"
    await fetch(platform, query, days * 86_400, claim_id)


# ---- the way of a claim


async def test_a_claim_is_opened_answered_and_agreed_to(
    platform: Platform, tenant: Tenant, visit_id: str, operator: Caller
) -> None:
    made = await open_claim(tenant.consignee, visit_id)
    assert (made["state"], made["visit_id"], made["claimant"]) == ("open", visit_id, "Ada Consignee")
    assert made["may"] == ["withdraw"]
    assert made["kind_text"] == "The parcel is damaged."
    for reader, acts in (
        (tenant.carrier, ["admit", "deny"]),
        (tenant.courier, ["say"]),
        (operator, []),
        (tenant.consignee, ["withdraw"]),
    ):
        shown = (await reader.get(f"/v1/claims/{made['id']}")).json()
        assert (shown["may"], shown["claimant"]) == (acts, "Ada Consignee")
    answer = await tenant.carrier.make(
        f"/v1/claims/{made['id']}/answer", {"accepts": True, "words": "We pay."}
    )
    assert (answer["state"], answer["is_accepted"]) == ("answered", True)
    agreed = await tenant.consignee.make(f"/v1/me/claims/{made['id']}/agree")
    assert (agreed["state"], agreed["may"], agreed["due_at"]) == ("settled", [], None)
    assert [(one["number"], one["who"], one["what"], one["words"]) for one in agreed["steps"]] == [
        (1, "you", "open", BROKEN["words"]),
        (2, "the carrier", "admit", "We pay."),
        (3, "you", "agree", ""),
    ]
    told = await fetch(
        platform, "SELECT reader, event, facts->>'state' FROM notice WHERE event LIKE 'claim%%' ORDER BY 1, 3"
    )
    assert told == [
        (reader, event, state)
        for reader in ("carrier", "consignee")
        for event, state in (
            ("claim_changed", "answered"),
            ("claim_opened", "open"),
            ("claim_changed", "settled"),
        )
    ]
    deeds = (await tenant.consignee.get("/v1/me/timeline")).json()["deeds"]
    assert [one["what"] for one in deeds][:3] == ["claim_agreed", "claim_answered", "claimed"]


async def test_what_is_disputed_is_ruled_by_a_person(
    platform: Platform, tenant: Tenant, visit_id: str, operator: Caller
) -> None:
    claim_id = (await open_claim(tenant.consignee, visit_id))["id"]
    answer, rule = f"/v1/claims/{claim_id}/answer", f"/v1/operator/claims/{claim_id}/rule"
    ruling = {"upholds": False, "words": "The photo of the deposit shows it whole."}
    assert (await operator.post(rule, ruling)).status_code == 409, "nothing is escalated yet"
    await tenant.carrier.make(answer, {"accepts": False, "words": "It was whole."})
    assert (await tenant.carrier.post(answer, {"accepts": False, "words": "again"})).status_code == 409
    disputed = await tenant.consignee.make(f"/v1/me/claims/{claim_id}/dispute", {"words": "It was not."})
    assert disputed["state"] == "disputed"
    escalated = await tenant.carrier.make(answer, {"accepts": False, "words": "It was."})
    assert (escalated["state"], escalated["may"]) == ("escalated", ["admit"])
    waiting = (await operator.get("/v1/claims", params={"state": "escalated"})).json()["claims"]
    assert [one["id"] for one in waiting] == [claim_id]
    ruled = await operator.make(rule, ruling)
    assert (ruled["state"], ruled["ended_at"] is not None) == ("dismissed", True)
    assert (await operator.post(rule, ruling)).status_code == 409
    assert (await operator.get("/v1/claims", params={"state": "escalated"})).json()["claims"] == []


async def test_the_courier_who_is_blamed_has_a_word_and_sees_no_more_of_whom(
    platform: Platform, tenant: Tenant, visit_id: str
) -> None:
    ben = await add_member(tenant)
    claim_id = (await open_claim(ben, visit_id))["id"]
    listed = (await tenant.courier.get("/v1/courier/claims")).json()["claims"]
    assert [(one["id"], one["claimant"]) for one in listed] == [(claim_id, "Ada Consignee")]
    assert listed[0]["steps"][0]["who"] == "the consignee"
    assert "Ben" not in json.dumps(listed)
    path = f"/v1/courier/claims/{claim_id}/word"
    said = await tenant.courier.make(path, {"words": "The dent was there before."})
    assert (said["state"], said["may"], said["steps"][-1]["who"]) == ("open", [], "you")
    assert (await tenant.courier.post(path, {"words": "and another thing"})).status_code == 409
    shown = (await tenant.carrier.get(f"/v1/claims/{claim_id}")).json()
    assert shown["steps"][-1]["words"] == "The dent was there before."


async def test_a_claim_is_read_in_french(platform: Platform, tenant: Tenant, visit_id: str) -> None:
    claim_id = (await open_claim(tenant.consignee, visit_id))["id"]
    for asker, who in ((tenant.consignee, "vous"), (tenant.carrier, "le destinataire")):
        shown = (await asker.get(f"/v1/claims/{claim_id}", headers={"Accept-Language": "fr"})).json()
        assert shown["kind_text"] == "Le colis est endommagé."
        assert shown["state_text"] == "Le transporteur a sept jours pour répondre."
        assert (shown["steps"][0]["who"], shown["steps"][0]["text"]) == (who, "La réclamation a été ouverte.")


# ---- when, how many, by whom


async def test_a_claim_is_opened_within_thirty_days_and_not_while_the_visit_lives(
    platform: Platform, tenant: Tenant
) -> None:
    await save_reading(platform, tenant.access_point_id)
    live = (await scan(tenant))["id"]
    assert (await tenant.consignee.post(f"/v1/me/visits/{live}/claims", BROKEN)).status_code == 409
    assert (await tenant.consignee.post(f"/v1/me/stops/{tenant.stop_id}/claims", BROKEN)).status_code == 409
    await tenant.consignee.make(f"/v1/me/access_points/{tenant.access_point_id}/block")
    await move_visit(platform, live, 29.99)
    claim_id = (await open_claim(tenant.consignee, live))["id"]
    await tenant.consignee.make(f"/v1/me/claims/{claim_id}/withdraw")
    await move_visit(platform, live, 0.02)
    assert (await tenant.consignee.post(f"/v1/me/visits/{live}/claims", BROKEN)).status_code == 409


async def test_a_stop_that_nobody_visited_is_claimed_once_it_is_over(
    platform: Platform, tenant: Tenant
) -> None:
    path = f"/v1/me/stops/{tenant.stop_id}/claims"
    assert (await tenant.consignee.post(path, BROKEN)).status_code == 409, "it may still be delivered"
    move = "UPDATE stop SET window_from = window_from - {0}, window_until = window_until - {0} RETURNING 1"
    await fetch(platform, move.format("interval '1 day'"))
    made = await tenant.consignee.make(path, {"kind": "parcel_missing", "words": "Nobody came."})
    assert (made["visit_id"], made["stop_id"]) == (None, tenant.stop_id)
    bundle = await tenant.consignee.get(f"/v1/claims/{made['id']}/evidence")
    verdict = verify_bundle(bundle.content, public_key=find_signer(platform).public_key)
    assert (verdict.is_good, dict(verdict.proofs)) == (True, {})
    await fetch(platform, move.format("interval '30 days'"))
    assert (await tenant.consignee.post(path, BROKEN)).status_code == 409, "too late"


@pytest.mark.parametrize("stop_id", ["", "stp_1"])
async def test_no_photo_is_decoded_for_a_stop_that_is_not_theirs(tenant: Tenant, stop_id: str) -> None:
    """Decoding is what costs: the darkroom has two places for everyone's proofs."""
    stranger = await add_consignee(tenant.carrier, "Sam Stranger")
    path = f"/v1/me/stops/{stop_id or tenant.stop_id}/claims"
    answer = await stranger.post(path, {**BROKEN, "photos": ["AAAA"]})
    assert answer.status_code == 404, answer.text


async def test_one_open_claim_of_each_kind_a_person_and_ten_in_all(
    platform: Platform, tenant: Tenant, visit_id: str
) -> None:
    ben = await add_member(tenant)
    path = f"/v1/me/visits/{visit_id}/claims"
    answers = await asyncio.gather(*(tenant.consignee.post(path, BROKEN) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409], "at once"
    assert (await ben.post(path, BROKEN)).status_code == 201, "another person"
    made = [one.json() for one in answers if one.status_code == 201]
    for kind in list(ClaimKind)[:1] * (MOST_BY_ONE - 1):
        made.append(await open_claim(tenant.consignee, visit_id, kind=kind))
        await tenant.consignee.make(f"/v1/me/claims/{made[-1]['id']}/withdraw")
    assert len(made) == MOST_BY_ONE
    assert (await tenant.consignee.post(path, {**BROKEN, "kind": "other"})).status_code == 409


async def test_a_repeated_request_opens_no_second_claim(
    platform: Platform, tenant: Tenant, visit_id: str
) -> None:
    path = f"/v1/me/visits/{visit_id}/claims"
    first = await tenant.consignee.post(path, BROKEN, key="one")
    again = await tenant.consignee.post(path, BROKEN, key="one")
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert len(await fetch(platform, "SELECT 1 FROM claim")) == 1


async def test_the_owner_pursues_what_a_member_opened_and_the_member_no_more_once_gone(
    platform: Platform, tenant: Tenant, visit_id: str
) -> None:
    ben, cid = await add_member(tenant), await add_member(tenant, "Cid")
    claim_id = (await open_claim(ben, visit_id))["id"]
    assert (await cid.get(f"/v1/claims/{claim_id}")).json()["may"] == []
    assert (await cid.post(f"/v1/me/claims/{claim_id}/withdraw")).status_code == 403
    await tenant.consignee.make(f"/v1/me/access_points/{tenant.access_point_id}/members/{ben.id}/remove")
    assert (await ben.get(f"/v1/claims/{claim_id}")).status_code == 404
    assert (await ben.post(f"/v1/me/claims/{claim_id}/withdraw")).status_code == 404
    assert (await ben.get("/v1/me/claims")).json()["claims"] == []
    shown = (await tenant.consignee.get(f"/v1/claims/{claim_id}")).json()
    assert (shown["may"], shown["steps"][0]["who"]) == (["withdraw"], "someone who has left")
    assert (await tenant.consignee.make(f"/v1/me/claims/{claim_id}/withdraw"))["state"] == "withdrawn"


async def test_of_an_answer_and_a_withdrawal_at_once_the_table_is_kept(
    platform: Platform, tenant: Tenant, visit_id: str
) -> None:
    for _ in range(5):
        claim_id = (await open_claim(tenant.consignee, visit_id))["id"]
        answered, withdrawn = await asyncio.gather(
            tenant.carrier.post(f"/v1/claims/{claim_id}/answer", {"accepts": False, "words": "no"}),
            tenant.consignee.post(f"/v1/me/claims/{claim_id}/withdraw"),
        )
        shown = (await tenant.carrier.get(f"/v1/claims/{claim_id}")).json()
        assert (withdrawn.status_code, shown["state"]) == (200, "withdrawn"), (
            "it may be withdrawn in any state"
        )
        acts = [one["what"] for one in shown["steps"]]
        expected = ["open", "deny", "withdraw"] if answered.status_code == 200 else ["open", "withdraw"]
        assert acts == expected
        assert [one["number"] for one in shown["steps"]] == list(range(1, len(acts) + 1))


# ---- whose they are


async def test_another_tenant_s_claims_are_not_there(
    platform: Platform, tenant: Tenant, visit_id: str, http: httpx.AsyncClient
) -> None:
    other = await make_tenant(platform, http, "Other Post")
    stranger = await add_consignee(tenant.carrier, "Sam Stranger")
    colleague = await make_colleague(http, tenant)
    claim_id = (await open_claim(tenant.consignee, visit_id))["id"]
    digest = "0" * 64
    words = {"words": "x"}
    for asker in (other.carrier, other.courier, other.consignee, stranger, colleague):
        for path in ("", "/evidence", f"/photos/{digest}"):
            assert (await asker.get(f"/v1/claims/{claim_id}{path}")).status_code == 404
    posts = [
        (other.carrier, f"/v1/claims/{claim_id}/answer", {"accepts": True, **words}),
        (other.courier, f"/v1/courier/claims/{claim_id}/word", words),
        (colleague, f"/v1/courier/claims/{claim_id}/word", words),
        (other.consignee, f"/v1/me/claims/{claim_id}/dispute", words),
        (stranger, f"/v1/me/claims/{claim_id}/withdraw", None),
        (stranger, f"/v1/me/claims/{claim_id}/agree", None),
        (stranger, f"/v1/me/visits/{visit_id}/claims", BROKEN),
        (other.consignee, f"/v1/me/stops/{tenant.stop_id}/claims", BROKEN),
    ]
    for asker, path, body in posts:
        assert (await asker.post(path, body)).status_code == 404, path
    for asker, path in (
        (other.carrier, "/v1/claims"),
        (other.courier, "/v1/courier/claims"),
        (colleague, "/v1/courier/claims"),
        (stranger, "/v1/me/claims"),
    ):
        assert (await asker.get(path)).json() == {"claims": [], "next": None}
    assert (await tenant.carrier.get(f"/v1/claims/{claim_id}")).json()["steps"][1:] == []


async def make_colleague(http: httpx.AsyncClient, tenant: Tenant) -> Caller:
    from tests.web.conftest import enrol

    courier = await tenant.carrier.make("/v1/couriers", {"first_name": "Carl"})
    return (await enrol(http, tenant.carrier, courier["id"]))[0]


async def test_lists_come_in_pages_newest_first(platform: Platform, tenant: Tenant, visit_id: str) -> None:
    made = [(await open_claim(tenant.consignee, visit_id, kind=kind))["id"] for kind in ClaimKind]
    await tenant.consignee.make(f"/v1/me/claims/{made[0]}/withdraw")
    for asker, path in ((tenant.consignee, "/v1/me/claims"), (tenant.carrier, "/v1/claims")):
        found, cursor = [], None
        while True:
            query: dict[str, Any] = {"limit": 4} | ({"cursor": cursor} if cursor else {})
            page = (await asker.get(path, params=query)).json()
            found += [one["id"] for one in page["claims"]]
            if (cursor := page["next"]) is None:
                break
        assert found == made[::-1]
        open_ones = (await asker.get(path, params={"state": "open"})).json()["claims"]
        assert [one["id"] for one in open_ones] == made[:0:-1]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "theft", "words": "x"}, "kind"),
        ({"words": "x"}, "kind"),
        ({"kind": "other"}, "words"),
        ({"kind": "other", "words": ""}, "words"),
        ({"kind": "other", "words": "x" * 2001}, "words"),
        ({"kind": "other", "words": "\x00"}, "words"),
        ({"kind": "other", "words": "x", "photos": [""] * 6}, "photos"),
        ({"kind": "other", "words": "x", "photos": ["%"]}, "photos[0]"),
        ({"kind": "other", "words": "x", "photos": ["AAAA"]}, "photos[0]"),
        ({"kind": "other", "words": "x", "carrier_id": "car_1"}, "carrier_id"),
    ],
)
async def test_bad_input_is_refused_by_its_field(
    platform: Platform, tenant: Tenant, visit_id: str, body: dict[str, Any], field: str
) -> None:
    answer = await tenant.consignee.post(f"/v1/me/visits/{visit_id}/claims", body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field), answer.text
    assert await fetch(platform, "SELECT 1 FROM claim") == []


# ---- time


async def test_what_is_not_answered_is_escalated_once_with_two_workers(
    platform: Platform, tenant: Tenant, visit_id: str
) -> None:
    ids = [(await open_claim(tenant.consignee, visit_id, kind=kind))["id"] for kind in ClaimKind]
    for claim_id in ids[1:]:
        await pass_time(platform, claim_id, 7)
    done = await asyncio.gather(*(flow.run_out_due(platform, 100) for _ in range(4)))
    assert sum(done) == len(ids) - 1
    assert await flow.run_out_due(platform, 100) == 0
    shown = (await tenant.carrier.get("/v1/claims")).json()["claims"]
    assert [one["state"] for one in shown] == ["escalated"] * (len(ids) - 1) + ["open"]
    assert all(len(one["steps"]) == 2 for one in shown[:-1])
    told = await fetch(
        platform, "SELECT count(*) FROM notice WHERE event = 'claim_changed' AND reader = 'carrier'"
    )
    assert told == [(len(ids) - 1,)]
    for claim_id in ids[1:]:
        await pass_time(platform, claim_id, 30)
    assert await flow.run_out_due(platform, 100) == 0, "a person rules, however long it takes"


async def test_an_answer_that_nobody_speaks_against_counts_as_settled(
    platform: Platform, tenant: Tenant, visit_id: str
) -> None:
    claim_id = (await open_claim(tenant.consignee, visit_id))["id"]
    await tenant.carrier.make(f"/v1/claims/{claim_id}/answer", {"accepts": False, "words": "no"})
    await pass_time(platform, claim_id, 13.9)
    assert await flow.run_out_due(platform, 100) == 0
    await pass_time(platform, claim_id, 0.1)
    assert await flow.run_out_due(platform, 100) == 1
    shown = (await tenant.consignee.get(f"/v1/claims/{claim_id}")).json()
    assert (shown["state"], shown["steps"][-1]["who"]) == ("settled", "the clock")
