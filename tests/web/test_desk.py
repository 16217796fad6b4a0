"""What an operator asks of the desk, where it can't be asked: found by tests/fuzz, each with its seed."""

from __future__ import annotations

import httpx
import pytest
from tests.web.conftest import Caller
from tests.web.test_consignee_pages import Browser
from tests.web.test_pages import sign_in


@pytest.mark.parametrize("name", ["of", "before"])
@pytest.mark.parametrize(
    "text", ["\x00", "a\x1fb", "2026-11-22T10:00:00+00:00,\x00", "2026-11-22T10:00:00+00:00,cou_\x7f"]
)
async def test_a_control_character_is_no_part_of_a_name(operator: Caller, name: str, text: str) -> None:
    """Seed 20261127, case 5184: a NUL in `of` went to PostgreSQL, which can't keep one: a fault of ours, 500."""
    answer = await operator.get("/v1/operator/couriers", params={name: text})
    assert (answer.status_code, answer.json()["type"]) == (400, "/v1/docs#problem-bad_input")


async def test_a_name_of_any_letters_is_asked_for(operator: Caller) -> None:
    answer = await operator.get("/v1/operator/couriers", params={"of": "Zoë  O'Néill %_", "before": ""})
    assert (answer.status_code, answer.json()["couriers"]) == (200, [])


PAGES = (
    "/console/couriers?of=%00",
    "/console/audit?of=%00",
    "/console/visits/%00",
    "/console/visits/vis_1%00",
)


async def test_a_page_refuses_a_nul_too(http: httpx.AsyncClient, operator: Caller) -> None:
    """By reading, after case 5184: the console's pages handed it on to PostgreSQL, past the shape of the API."""
    browser = Browser(http, await sign_in(http, operator.key), "en")
    for path in PAGES:
        assert (await http.get(path, headers=browser.headers)).status_code in (400, 404), path
    for path in ("/console/visits/vis_1/close", "/console/visits/vis_1/rule"):
        sent = await browser.send(path, call="cal_\x00", ruling="\x00", why="\x00")
        assert sent.status_code in (400, 404, 422), path


@pytest.mark.parametrize("word", ["\xe9", "\xff" * 40, ""])
async def test_a_form_s_word_of_other_letters_is_refused(
    http: httpx.AsyncClient, operator: Caller, word: str
) -> None:
    """By reading, after case 5184: comparing it raised a TypeError, a fault of ours."""
    browser = Browser(http, await sign_in(http, operator.key), "en")
    sent = await browser.send("/console/visits/vis_1/freeze", csrf=word)
    assert sent.status_code == 403, sent.text
    headers = {**browser.headers, "X-Unlatch-Csrf": word.encode("latin-1"), "Idempotency-Key": "k"}
    asked = await http.post("/v1/operator/freezes", json={}, headers=headers)  # type: ignore[arg-type]
    assert asked.status_code == 403, asked.text
