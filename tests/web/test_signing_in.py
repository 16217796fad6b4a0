"""Who may ask what: every endpoint for every kind of asker; stolen tokens, replayed and forged proofs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.web.conftest import PUBLIC_URL, Caller, Tenant
from tests.web.phone import Phone

from unlatch.flow.platform import Platform
from unlatch.web.app import TABLES
from unlatch.web.endpoints import Endpoint
from unlatch.web.signing_in import Reader

ENDPOINTS = [endpoint for table in TABLES for endpoint in table.endpoints]
NOBODY_S_ID = "xxx_" + "0" * 32


def path_of(endpoint: Endpoint) -> str:
    path = endpoint.path.replace("{sha256}", "0" * 64)
    for name in endpoint.path_names:
        path = path.replace("{" + name + "}", NOBODY_S_ID)
    return path


async def ask(caller: Caller, endpoint: Endpoint) -> httpx.Response:
    path = path_of(endpoint)
    headers = {**caller.headers(endpoint.method, path), "Idempotency-Key": str(uuid4())}
    body = {"content": b"{}", "headers": {**headers, "Content-Type": "application/json"}}
    return await caller.http.request(endpoint.method, path, **body)  # type: ignore[arg-type]


async def test_each_endpoint_answers_those_it_is_for_and_nobody_else(
    tenant: Tenant, operator: Caller, http: httpx.AsyncClient
) -> None:
    callers = {
        Reader.CARRIER: tenant.carrier,
        Reader.CONSIGNEE: tenant.consignee,
        Reader.COURIER: tenant.courier,
        Reader.OPERATOR: operator,
    }
    nobody = Caller(http=http)
    for endpoint in ENDPOINTS:
        if not endpoint.readers:
            # open to anyone; an empty body is a POST's own trouble
            answer = await ask(nobody, endpoint)
            well = 200 if endpoint.method == "GET" else 400
            expected = 404 if endpoint.path_names else well  # a ticket of nobody's
            assert answer.status_code == expected, endpoint.name
            continue
        answer = await ask(nobody, endpoint)
        assert answer.status_code == 401, endpoint.name
        assert "DPoP" in answer.headers["www-authenticate"]
        for reader, caller in callers.items():
            answer = await ask(caller, endpoint)
            may_ask = reader in endpoint.readers or (
                # an enrolled phone has a key too: it may enrol once more, with a code
                reader is Reader.COURIER and Reader.NEWCOMER in endpoint.readers
            )
            if may_ask:
                assert answer.status_code in (200, 400, 404, 409), (endpoint.name, reader, answer.text)
            else:
                expected = 401 if Reader.NEWCOMER in endpoint.readers else 403
                assert answer.status_code == expected, (endpoint.name, reader, answer.text)


STOPS = "/v1/courier/stops"


async def stops_with(http: httpx.AsyncClient, **headers: str) -> httpx.Response:
    return await http.get(STOPS, headers={name.replace("_", "-"): value for name, value in headers.items()})


def refused(answer: httpx.Response, error: str) -> None:
    assert answer.status_code == 401, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert f'error="{error}"' in answer.headers["www-authenticate"]


async def test_a_stolen_token_is_worth_nothing(tenant: Tenant, http: httpx.AsyncClient) -> None:
    token = tenant.courier.token
    refused(await stops_with(http, authorization=f"Bearer {token}"), "invalid_token")
    refused(await stops_with(http, authorization=f"DPoP {token}"), "invalid_dpop_proof")
    thief = Phone().proof("GET", PUBLIC_URL + STOPS, token)
    refused(await stops_with(http, authorization=f"DPoP {token}", dpop=thief), "invalid_token")
    assert tenant.courier.phone is not None
    stolen_proof = tenant.courier.phone.proof("GET", PUBLIC_URL + STOPS, token)
    refused(
        await http.delete(
            f"/v1/devices/{tenant.device_id}",
            headers={"authorization": f"DPoP {token}", "dpop": stolen_proof},
        ),
        "invalid_dpop_proof",
    )
    assert (await tenant.courier.get(STOPS)).status_code == 200


async def test_a_proof_is_good_once(tenant: Tenant, http: httpx.AsyncClient) -> None:
    assert tenant.courier.phone is not None
    token = tenant.courier.token
    headers = {
        "authorization": f"DPoP {token}",
        "dpop": tenant.courier.phone.proof("GET", PUBLIC_URL + STOPS, token),
    }
    assert (await http.get(STOPS, headers=headers)).status_code == 200
    refused(await http.get(STOPS, headers=headers), "invalid_dpop_proof")


async def test_another_s_failed_attempt_does_not_use_up_a_proof(
    tenant: Tenant, http: httpx.AsyncClient
) -> None:
    """Else anyone who saw a proof with another token could take it from its owner."""
    assert tenant.courier.phone is not None
    phone, token = tenant.courier.phone, tenant.courier.token
    wrong = await http.get(
        STOPS,
        headers={
            "authorization": "DPoP unlatch_phone_" + "0" * 64,
            "dpop": phone.proof("GET", PUBLIC_URL + STOPS, "unlatch_phone_" + "0" * 64, jti="same"),
        },
    )
    refused(wrong, "invalid_token")
    proof = phone.proof("GET", PUBLIC_URL + STOPS, token, jti="same")
    assert (await stops_with(http, authorization=f"DPoP {token}", dpop=proof)).status_code == 200


async def test_an_enrolment_s_proof_is_good_once(tenant: Tenant, http: httpx.AsyncClient) -> None:
    proof = Phone().proof("POST", PUBLIC_URL + "/v1/devices/enrol")
    headers = {"dpop": proof, "idempotency-key": "k"}
    first = await http.post("/v1/devices/enrol", headers=headers, json={"code": "AAAAA"})
    assert first.status_code == 400
    again = await http.post("/v1/devices/enrol", headers=headers, json={"code": "AAAAA"})
    refused(again, "invalid_dpop_proof")


@pytest.mark.parametrize(
    "headers",
    [
        lambda t: {"authorization": ""},
        lambda t: {"authorization": "Bearer"},
        lambda t: {"authorization": "Basic " + t.carrier.key},
        lambda t: {"authorization": "Bearer " + t.carrier.key + "0"},
        lambda t: {"authorization": "Bearer " + t.carrier.key[:-1]},
        lambda t: {"authorization": "Bearer " + t.carrier.key.replace("carrier", "operator")},
        lambda t: {"authorization": "Bearer " + t.carrier.key.upper()},
        lambda t: {
            "authorization": "DPoP " + t.carrier.key,
            "dpop": Phone().proof("GET", PUBLIC_URL + STOPS),
        },
        lambda t: {"authorization": "Bearer " + "k" * 600},
    ],
)
async def test_what_is_not_a_key_is_refused(
    tenant: Tenant, http: httpx.AsyncClient, headers: Callable[[Tenant], dict[str, str]]
) -> None:
    assert (await http.get(STOPS, headers=headers(tenant))).status_code == 401


async def test_only_hashes_of_keys_and_tokens_are_kept(
    tenant: Tenant, operator: Caller, platform: Platform
) -> None:
    secrets = [tenant.carrier.key, tenant.consignee.key, tenant.courier.token, operator.key]
    async with platform.database.connection() as connection:
        cursor = await connection.execute(
            "SELECT string_agg(row::text, ' ') FROM ("
            "SELECT carrier::text AS row FROM carrier UNION ALL SELECT operator::text FROM operator "
            "UNION ALL SELECT consignee::text FROM consignee UNION ALL SELECT device::text FROM device "
            "UNION ALL SELECT encode(answer, 'escape') FROM idempotency) AS rows"
        )
        row = await cursor.fetchone()
    assert row is not None
    assert tenant.courier.id in row[0]
    for secret in secrets:
        assert secret not in row[0]


async def test_a_wrong_public_address_refuses_every_phone(tenant: Tenant, http: httpx.AsyncClient) -> None:
    elsewhere = replace(tenant.courier, http=httpx.AsyncClient(base_url="http://evil.test"))
    headers: dict[str, Any] = elsewhere.headers("GET", STOPS)
    refused(await http.get(STOPS, headers=headers), "invalid_dpop_proof")
    await elsewhere.http.aclose()
