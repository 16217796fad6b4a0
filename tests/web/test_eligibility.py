"""The eligibility checker over HTTP, by someone without an account."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from tests.web.conftest import PUBLIC_URL, Caller

from unlatch.flow.eligibility import make_ready
from unlatch.flow.platform import Platform
from unlatch.flow.rule_files import PROGRAMMES, SHIPPED
from unlatch.flow.rules import Rulebook
from unlatch.flow.turnstile import Turnstile
from unlatch.web.app import create_app

CAR = {"make": "Chevrolet", "model_year": 2018, "has_service": True, "account_kind": "newer"}
PARCEL = {
    "weight": "50 lb",
    "dimensions": "16 x 26 x 21 in",
    "value": "1300 USD",
    "needs_signature": False,
    "is_sold_by_merchant": True,
    "is_dangerous": False,
}
ASKED: dict[str, Any] = {"postcode": "98109", "plan": "prime", "vehicle": CAR, "parcel": PARCEL}


async def ask(http: httpx.AsyncClient, body: dict[str, Any], **headers: str) -> httpx.Response:
    return await http.post("/v1/eligibility", json=body, headers={"Idempotency-Key": str(uuid4()), **headers})


async def codes(http: httpx.AsyncClient, **changes: Any) -> tuple[str, list[str]]:
    answer = await ask(http, {**ASKED, **changes})
    assert answer.status_code == 200, answer.text
    return answer.json()["verdict"], [reason["code"] for reason in answer.json()["reasons"]]


async def test_anyone_is_told_that_it_is_offered(http: httpx.AsyncClient, platform: Platform) -> None:
    answer = await ask(http, ASKED)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "verdict": "offered",
        "reasons": [],
        "area": {"name": "Seattle-Tacoma", "is_confirmed": True},
        "is_by_postcode": True,
        "make": "Chevrolet",
        "service": "OnStar",
        "programme": "launch-2018",
        "rules_version": (await platform.rules.get()).version,
    }


async def test_every_reason_is_told_and_worded_in_the_language_asked_for(http: httpx.AsyncClient) -> None:
    body = {
        "position": {"latitude": 44, "longitude": -100},
        "plan": "none",
        "vehicle": {**CAR, "model_year": 2014, "has_service": False},
        "parcel": {**PARCEL, "weight": "50.1 lb"},
    }
    answer = (await ask(http, body)).json()
    assert (answer["verdict"], answer["area"], answer["is_by_postcode"]) == ("not_offered", None, False)
    assert {reason["code"] for reason in answer["reasons"]} == {
        "member_plan_missing", "address_area_not_served", "parcel_too_heavy", "vehicle_too_old",
        "vehicle_service_missing",
    }  # fmt: skip
    french = (await ask(http, body, **{"Accept-Language": "fr-CA,en;q=0.5"})).json()
    texts = {reason["code"]: reason["text"] for reason in french["reasons"]}
    assert texts["parcel_too_heavy"] == "Le colis est trop lourd."


async def test_what_is_not_told_is_asked_for(http: httpx.AsyncClient) -> None:
    answer = (
        await ask(http, {"postcode": "98109", "vehicle": {"make": "Chevrolet", "model_year": 2018}})
    ).json()
    assert answer["verdict"] == "depends"
    assert {reason["code"] for reason in answer["reasons"]} == {
        "member_plan_not_told", "vehicle_service_not_told", "vehicle_lock_not_told"
    }  # fmt: skip
    volvo = {"make": "Volvo", "model_year": 2015, "has_service": True}
    assert await codes(http, vehicle=volvo) == ("offered", [])  # its lock can always be read


async def test_the_lock_as_the_account_kind_shows_it(http: httpx.AsyncClient) -> None:
    unseen = {**CAR, "account_kind": "classic"}
    assert await codes(http, vehicle=unseen) == ("not_offered", ["vehicle_lock_not_readable"])
    assert await codes(http, vehicle={**CAR, "make": "Ford", "account_kind": None}) == (
        "not_offered",
        ["vehicle_not_connected"],
    )
    wrong = await ask(http, {**ASKED, "vehicle": {**CAR, "account_kind": "golden"}})
    assert wrong.status_code == 400
    assert wrong.json()["errors"] == [
        {"field": "vehicle.account_kind", "remedy": "must be one of classic, newer"}
    ]


async def test_single_reasons(http: httpx.AsyncClient) -> None:
    for changes, expected in (
        ({"postcode": "00000"}, ["address_position_unknown"]),
        ({"country": "FR", "postcode": "75001"}, ["address_country_not_served", "address_position_unknown"]),
        ({"vehicle": {**CAR, "vin": "1G1"}}, ["vin_not_well_formed"]),
        ({"vehicle": {**CAR, "vin": "1g1zb5st7jf100003"}}, ["vin_check_digit_wrong"]),
        ({"parcel": {**PARCEL, "weight": "22.68 kg"}}, ["parcel_too_heavy"]),
        ({"parcel": {**PARCEL, "dimensions": "661 x 10 x 10 mm"}}, ["parcel_too_large"]),
        ({"parcel": {**PARCEL, "value": "1300.01 USD"}}, ["parcel_too_valuable"]),
    ):
        assert await codes(http, **changes) == ("not_offered", expected)


async def test_another_programme_can_be_asked_by(http: httpx.AsyncClient) -> None:
    swede = {"country": "DE", "postcode": None, "position": {"latitude": 50.7, "longitude": 12.5}, "plan": None,
               "vehicle": {"make": "Volvo", "model_year": 1985}, "parcel": {"weight": "1000 kg"}}  # fmt: skip
    assert await codes(http, **swede, programme="open") == ("offered", [])
    verdict, reasons = await codes(http, **swede, programme="launch-2018")
    assert verdict == "not_offered"
    assert reasons == (await codes(http, **swede))[1]
    answer = await ask(http, {**ASKED, "programme": "mine"})
    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"field": "programme", "remedy": "must be one of launch-2018, open"}]


async def test_what_cannot_be_used_is_named(http: httpx.AsyncClient) -> None:
    for changes, field in (
        ({"postcode": None}, "postcode"),
        ({"country": "usa"}, "country"),
        ({"vehicle": {"model_year": 1800}}, "vehicle.model_year"),
        ({"vehicle": {**CAR, "vin": "1" * 18}}, "vehicle.vin"),
        ({"vehicle": {**CAR, "plate": "BXK7J42"}}, "vehicle.plate"),
        ({"parcel": {**PARCEL, "weight": "50"}}, "parcel.weight"),
        ({"parcel": {**PARCEL, "dimensions": "26 x 21 in"}}, "parcel.dimensions"),
        ({"parcel": {**PARCEL, "value": "1300 dollars"}}, "parcel.value"),
    ):
        answer = await ask(http, {**ASKED, **changes})
        assert answer.status_code == 400, answer.text
        assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_too_large_a_question_and_too_many(platform: Platform) -> None:
    crowded = replace(platform, turnstile=Turnstile(a_second=0.001, at_once=2))
    transport = httpx.ASGITransport(app=create_app(crowded), raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        assert (await ask(http, {**ASKED, "padding": "x" * 5000})).status_code == 413
        answers = [await ask(http, ASKED) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers["retry-after"] == "1"


async def test_an_operator_sees_which_rules_are_in_force(
    platform: Platform, operator: Caller, tmp_path: Path
) -> None:
    shutil.copytree(SHIPPED, tmp_path / "rules")
    edited = replace(platform, rules=Rulebook(tmp_path / "rules", look_every_s=0))
    await make_ready(edited)
    transport = httpx.ASGITransport(app=create_app(edited), raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        asker = replace(operator, http=http)
        before = (await asker.get("/v1/operator/rules")).json()
        assert before == {
            "version": (await platform.rules.get()).version,
            "programmes": ["launch-2018", "open"],
            "trouble": None,
        }
        (tmp_path / "rules" / PROGRAMMES / "open.toml").write_text('window = "4 h"\n')
        after = (await asker.get("/v1/operator/rules")).json()
        assert after["version"] == before["version"]
        assert "open.toml" in after["trouble"]
        assert (await http.get("/v1/operator/rules")).status_code == 401
