"""Every refusal is a problem document; a request is done once; nothing secret is logged."""

from __future__ import annotations

import asyncio
import logging
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from psycopg.errors import TransactionTimeout
from tests.web.conftest import CAR_TOKEN, PLATE, VIN, Caller, Tenant, make_tenant

from unlatch.errors import DatabaseDown
from unlatch.flow.platform import Platform
from unlatch.store import idempotency
from unlatch.store.idempotency import ClaimedKey
from unlatch.web import app as web_app
from unlatch.web.answering import problem_of_validation
from unlatch.web.app import _find_problem
from unlatch.web.problems import TROUBLES, Trouble
from unlatch.web.shapes import say_language

CONSIGNEE = {"name": "Ada"}
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def check_problem(answer: httpx.Response, status: int, trouble: Trouble) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["type"] == f"/v1/docs#problem-{trouble}"
    assert problem["status"] == status
    assert problem["title"]
    return problem


@pytest.mark.parametrize("path", ["/nothing", "/v1/nothing", "/v1/visits", "/v1/stops/x/y/z", "/v2/stops"])
async def test_what_is_nowhere_is_a_problem_too(http: httpx.AsyncClient, path: str) -> None:
    check_problem(await http.get(path), 404, Trouble.NOT_FOUND)


@pytest.mark.parametrize("value", ["x", "%00", "..%2f..", "stp_" + "0" * 60, "stp_%C3%A9", "STP_1"])
async def test_what_is_no_identifier_names_nothing(tenant: Tenant, value: str) -> None:
    check_problem(await tenant.carrier.get(f"/v1/stops/{value}"), 404, Trouble.NOT_FOUND)


async def test_a_method_that_is_not_there_says_which_are(tenant: Tenant) -> None:
    answer = await tenant.carrier.delete(f"/v1/stops/{tenant.stop_id}")
    check_problem(answer, 405, Trouble.METHOD_NOT_ALLOWED)
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"[" * 60_000,
        b'{"name":' * 8000,
        b'{"name":"\xff"}',
        b'{"name":"\\ud800"}',
        b'{"name":"a\\u0000b"}',
        b'{"name":NaN}',
        b'{"name":1e999}',
        b'{"name":"Ada","age":3}',
        b'{"name":""}',
        b'{"name":"' + b"a" * 101 + b'"}',
        b'\xef\xbb\xbf{"name":"Ada"}',
    ],
)
async def test_a_body_that_can_not_be_read_is_the_sender_s_fault(tenant: Tenant, content: bytes) -> None:
    headers = {
        **tenant.carrier.headers("POST", ""),
        "idempotency-key": "k",
        "content-type": "application/json",
    }
    answer = await tenant.carrier.http.post("/v1/consignees", content=content, headers=headers)
    problem = check_problem(answer, 400, Trouble.BAD_INPUT)
    assert problem["errors"][0]["field"]
    assert problem["errors"][0]["remedy"]


async def test_size_type_and_key_are_checked(tenant: Tenant) -> None:
    def send(content: bytes, **headers: str) -> Any:
        sent = {
            **tenant.carrier.headers("POST", ""),
            "idempotency-key": "k",
            "content-type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return tenant.carrier.http.post("/v1/consignees", content=content, headers=sent)

    check_problem(await send(b'{"name":"' + b"a" * 65_536 + b'"}'), 413, Trouble.TOO_LARGE)
    for media_type in ("text/plain", "application/x-msgpack", "", "application/json+x"):
        answer = await send(b'{"name":"Ada"}', content_type=media_type)
        check_problem(answer, 415, Trouble.WRONG_MEDIA_TYPE)
    for key in ("", " ", "k" * 256, "a b"):
        problem = check_problem(await send(b'{"name":"Ada"}', idempotency_key=key), 400, Trouble.BAD_INPUT)
        assert problem["errors"][0]["field"] == "Idempotency-Key"
    answer = await send(b'{"name":"Ada"}', content_type="Application/JSON; charset=utf-8")
    assert answer.status_code == 201


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    a: int


class Outer(msgspec.Struct):
    inner: list[Inner]


def test_the_field_is_named_with_its_place() -> None:
    def field_of(content: bytes) -> str:
        with pytest.raises(msgspec.ValidationError) as caught:
            msgspec.json.decode(content, type=Outer)
        errors = problem_of_validation(caught.value).errors
        assert errors is not None
        return errors[0].field

    assert field_of(b'{"inner":[{"a":"x"}]}') == "inner[0].a"
    assert field_of(b'{"inner":[{}]}') == "inner[0].a"
    assert field_of(b'{"inner":[{"a":1,"b":2}]}') == "inner[0].b"
    assert field_of(b"[]") == "body"


async def test_the_same_key_gives_the_same_answer_and_no_second_work(
    tenant: Tenant, platform: Platform
) -> None:
    async def count() -> Any:
        async with platform.database.connection() as connection:
            cursor = await connection.execute("SELECT count(*) FROM consignee")
            return await cursor.fetchone()

    before = await count()
    first = await tenant.carrier.post("/v1/consignees", CONSIGNEE, key="one")
    again = await tenant.carrier.post("/v1/consignees", CONSIGNEE, key="one")
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert again.headers["idempotency-replayed"] == "true"
    assert await count() == (before[0] + 1,)
    other = await tenant.carrier.post("/v1/consignees", {"name": "Bob"}, key="one")
    check_problem(other, 422, Trouble.KEY_REUSED)
    elsewhere = await tenant.carrier.post("/v1/couriers", {"first_name": "Ada"}, key="one")
    check_problem(elsewhere, 422, Trouble.KEY_REUSED)


async def test_a_key_belongs_to_who_used_it(
    platform: Platform, tenant: Tenant, http: httpx.AsyncClient
) -> None:
    other = await make_tenant(platform, http, "Other Post")
    mine = await tenant.carrier.post("/v1/consignees", CONSIGNEE, key="one")
    theirs = await other.carrier.post("/v1/consignees", CONSIGNEE, key="one")
    assert mine.json()["id"] != theirs.json()["id"]


async def test_many_at_once_with_one_key_do_it_once(tenant: Tenant, platform: Platform) -> None:
    answers = await asyncio.gather(
        *(tenant.carrier.post("/v1/consignees", CONSIGNEE, key="one") for _ in range(20))
    )
    made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    assert len(made) == 1
    for answer in answers:
        if answer.status_code != 201:
            check_problem(answer, 409, Trouble.UNDER_WAY)
            assert answer.headers["retry-after"] == "1"


async def test_what_was_refused_is_not_kept(tenant: Tenant) -> None:
    path = f"/v1/couriers/{'cou_' + '0' * 32}/devices"
    assert (await tenant.carrier.post(path, key="one")).status_code == 404
    assert (await tenant.carrier.post("/v1/consignees", CONSIGNEE, key="one")).status_code == 201


async def lose_answer(platform: Platform, key: str, *, s_ago: float = idempotency.CLAIM_LASTS_S + 1) -> None:
    """As a server leaves it that dies between its work and its answer."""
    async with platform.database.connection() as connection:
        await connection.execute(
            "UPDATE idempotency SET status = NULL, answer = NULL, at = at - make_interval(secs => %s) WHERE key = %s",
            (s_ago, key),
        )


async def test_a_claim_that_a_server_of_the_last_release_left_is_free_again(
    tenant: Tenant, platform: Platform
) -> None:
    """Such a claim names nothing that it makes."""
    path = f"/v1/courier/stops/{tenant.stop_id}/scan"
    body = {"label": {"text": "TBA123456789012"}}
    await tenant.courier.post(path, body, key="one")
    await lose_answer(platform, "one")
    async with platform.database.connection() as connection:
        await connection.execute("UPDATE idempotency SET makes = NULL")
    assert (await tenant.courier.post(path, body, key="one")).status_code == 201


async def test_a_slow_server_takes_nothing_from_whom_has_taken_over(platform: Platform) -> None:
    """The first is refused while the second is at work: the key stays the second's."""
    async with platform.database.connection() as connection:
        first, second = [
            await idempotency.claim_key(
                connection, "courier:one", "one", request_hash=b"1", makes=makes, real_now=at
            )
            for makes, at in (("vis_1", LONG_AGO), ("vis_2", LONG_AGO + timedelta(minutes=1)))
        ]
        assert isinstance(first, ClaimedKey)
        assert isinstance(second, ClaimedKey)
        assert (second.makes, second.is_taken_over) == ("vis_1", True)
        await idempotency.drop_claim(connection, first)
        await idempotency.finish_claim(connection, first, status=201, answer=b"first")
        await idempotency.finish_claim(connection, second, status=201, answer=b"second")
        kept = await idempotency.find_answer(connection, "courier:one", "one")
        assert kept is not None
        assert kept.answer == b"second"


async def test_a_claim_that_a_dead_server_left_is_free_again_and_makes_nothing_twice(
    tenant: Tenant, platform: Platform
) -> None:
    """The claim stands as a server leaves it that dies between claim and answer."""
    path = f"/v1/courier/stops/{tenant.stop_id}/scan"
    body = {"label": {"text": "TBA123456789012"}}
    first = await tenant.courier.post(path, body, key="one")
    await lose_answer(platform, "one", s_ago=0)
    check_problem(await tenant.courier.post(path, body, key="one"), 409, Trouble.UNDER_WAY)
    await lose_answer(platform, "one")
    again = await tenant.courier.post(path, body, key="one")
    assert again.status_code == first.status_code == 201
    assert again.json() == first.json()
    assert not again.json()["is_live"]
    assert len(again.json()["reasons"]) > 1
    path = f"/v1/stops/{tenant.stop_id}/visits"
    assert len((await tenant.carrier.get(path)).json()["visits"]) == 1


async def test_what_broke_behind_its_work_is_asked_for_again_at_once_and_makes_nothing_twice(
    tenant: Tenant, platform: Platform
) -> None:
    """The visit is made and refused, and its answer can't be written: it reads a column that is not there."""
    path = f"/v1/courier/stops/{tenant.stop_id}/scan"
    body = {"label": {"text": "TBA123456789012"}}
    async with platform.database.connection() as connection:
        await connection.execute("ALTER TABLE stop RENAME later_fallbacks TO gone")
    check_problem(await tenant.courier.post(path, body, key="one"), 500, Trouble.BROKEN)
    async with platform.database.connection() as connection:
        await connection.execute("ALTER TABLE stop RENAME gone TO later_fallbacks")
    told = (await tenant.carrier.get(f"/v1/stops/{tenant.stop_id}/visits")).json()["visits"]
    again = await tenant.courier.post(path, body, key="one")
    assert again.status_code == 201
    assert [again.json()["id"]] == [one["id"] for one in told]
    check_problem(
        await tenant.courier.post(path, {**body, "position": None}, key="one"), 422, Trouble.KEY_REUSED
    )


async def test_a_scan_that_failed_gives_its_key_back(tenant: Tenant) -> None:
    path = f"/v1/courier/stops/{tenant.stop_id}/scan"
    failed = await tenant.courier.post(path, {"label": {"text": "nonsense"}}, key="one")
    check_problem(failed, 422, Trouble.LABEL_UNREADABLE)
    assert (
        await tenant.courier.post(path, {"label": {"text": "TBA123456789012"}}, key="one")
    ).status_code == 201


async def test_every_answer_bears_the_headers(http: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/v1/docs", "/nothing", "/v1/stops/stp_1"):
        headers = (await http.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "cache-control" in headers
        assert "server" not in headers


async def test_the_page_needs_nothing_from_elsewhere(http: httpx.AsyncClient) -> None:
    for path in ("/v1/docs",):  # the other pages: tests/web/test_pages.py
        page = (await http.get(path)).text
        assert not re.search(r"<(script|link|img|iframe)|@import|url\(", page)
        assert set(re.findall(r"(?:src|href)='([^#'][^']*)'", page)) == {"/v1/openapi.json"}
        for trouble in TROUBLES:
            assert f"id='problem-{trouble}'" in page


async def test_health_and_readiness(
    http: httpx.AsyncClient, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await http.get("/healthz")).json() == {"is_live": True}
    assert (await http.get("/readyz")).json() == {"is_ready": True}
    async with platform.database.connection() as connection:
        await connection.execute(
            "INSERT INTO migration (name, sha256, took_ms) VALUES ('2099-01-01-0000_x', '', 0)"
        )
    check_problem(await http.get("/readyz"), 503, Trouble.UNAVAILABLE)
    assert (await http.get("/healthz")).status_code == 200


def test_a_database_that_is_down_is_no_fault_of_the_request() -> None:
    problem = web_app._find_problem(DatabaseDown("host=secret"))
    assert problem.trouble is Trouble.UNAVAILABLE
    assert "secret" not in str(problem.detail)


async def test_nothing_secret_is_ever_logged(
    platform: Platform,
    http: httpx.AsyncClient,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with caplog.at_level(logging.DEBUG):
        for name in ("httpx", "httpcore"):  # the client, which is not ours
            logging.getLogger(name).setLevel(logging.WARNING)
        tenant = await make_tenant(platform, http)
        async with platform.database.connection() as connection:
            await connection.execute("ALTER TABLE look RENAME TO look_gone")
        broken = await tenant.courier.post(
            f"/v1/courier/stops/{tenant.stop_id}/locate",
            {"position": {"latitude": 47.6205, "longitude": -122.3493}},
        )
        check_problem(broken, 500, Trouble.BROKEN)
        await Caller(http=http, key="unlatch_carrier_nobody").get("/v1/courier/stops")
    said = caplog.text + "".join(capsys.readouterr())
    assert "locate_car failed: UndefinedTable at" in said
    for secret in (
        VIN,
        PLATE,
        CAR_TOKEN,
        tenant.carrier.key,
        tenant.courier.token,
        tenant.consignee.key,
        "47.6205",
    ):
        assert secret not in said


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        (None, "en"),
        ("fr", "fr"),
        ("fr-CA,en;q=0.8", "fr"),
        ("en;q=0.5, fr;q=0.7", "fr"),
        ("de", "en"),
        ("fr;q=0", "en"),
        ("fr;q=nan", "en"),
        ("*;;;q=x,é", "en"),
    ],
)
def test_the_language_is_the_reader_s(accepted: str | None, language: str) -> None:
    assert say_language(accepted) == language


def test_a_transaction_that_took_too_long_may_be_asked_for_again() -> None:
    assert _find_problem(TransactionTimeout("held up")).trouble is Trouble.UNAVAILABLE
