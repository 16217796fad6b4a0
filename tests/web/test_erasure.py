"""A person is erased as a whole: nothing that names them is left anywhere, what is held goes later, chains hold."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.web.conftest import ADDRESS, PLATE, Caller, Tenant, make_tenant
from tests.web.enrolling import wait_for
from tests.web.erased import (
    FIRST,
    KNOWN,
    MAIL,
    NAME,
    WORDS,
    WORDY,
    be_erased,
    end_accounts,
    find_everywhere,
    go_on,
    list_unknown,
    live_a_little,
    read_receipt,
    seal_ways,
)
from tests.web.people import add_consignee, add_member, deliver, fetch, invite
from tests.web.recorded import Recorded
from tests.web.test_claims import open_claim
from tests.web.test_consignee_pages import Browser, settle
from tests.web.test_deliveries import begin_soon
from tests.web.test_pages import sign_in
from tests.web.test_retention import http, recorded
from tests.web.test_visits import save_reading, scan, tell

from unlatch.domain.erasure import Held, Step
from unlatch.domain.visit import Fact
from unlatch.flow import erasing, unlinking
from unlatch.flow.exporting import find_signer
from unlatch.flow.platform import Platform
from unlatch.flow.worker import work
from unlatch.store import erasures, sessions
from unlatch.store.database import Database
from unlatch.verify import main as verify_files

__all__ = ["http", "recorded"]  # fixtures, found by their names


# ---- all of it


async def test_nothing_that_names_the_person_is_left_anywhere(recorded: Recorded, tenant: Tenant) -> None:
    visit_id = await live_a_little(recorded, tenant)
    before = await find_everywhere(recorded.platform)
    assert [needle for needle, places in before.items() if not places] == [], "or nothing would be shown"
    assert before[WORDS] >= WORDY
    assert before[FIRST] >= {"consignee.name", "notice.facts", "idempotency.answer"}
    assert before[PLATE] == {"vehicle.plate"}
    assert before[MAIL] == {"channel.sealed", "channel.shown", "dispatch.why"}
    receipt = await be_erased(tenant.consignee)
    assert (await tenant.consignee.get("/v1/me/timeline")).status_code == 401
    await go_on(recorded.platform)
    after = await find_everywhere(recorded.platform)
    assert {needle: places for needle, places in after.items() if places} == {}
    shown = await read_receipt(tenant, receipt)
    assert shown["held"] == []
    assert shown["ended_at"] is not None
    done = {one["step"]: one["count"] for one in shown["erased"]}
    assert [step for step in Step if not done[step] and step is not Step.HOUSEHOLDS] == []
    assert FIRST not in json.dumps(shown)
    (kept,) = await recorded.list_kept(visit_id)
    assert (kept.has_key, kept.has_poster, recorded.files()) == (False, False, [])


async def test_the_public_chain_still_verifies(
    recorded: Recorded, tenant: Tenant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    visit_id = await live_a_little(recorded, tenant)
    lines = "SELECT number, name, who, body, hash FROM journal WHERE visit_id = %s ORDER BY number"
    before = await fetch(recorded.platform, lines, visit_id)
    await be_erased(tenant.consignee)
    await go_on(recorded.platform)
    after = await fetch(recorded.platform, lines, visit_id)
    assert after[: len(before)] == before
    proof = tmp_path / "after.unlatch-proof"
    proof.write_bytes((await tenant.carrier.get(f"/v1/visits/{visit_id}/proof")).content)
    key = find_signer(recorded.platform).public_key.hex()
    assert verify_files([str(proof), "--key", key]) == 0, capsys.readouterr().out
    assert "erased" in capsys.readouterr().out
    assert await fetch(recorded.platform, "SELECT count(*) FROM look") == [(1,)], "looks stay as rows"


async def test_no_way_in_is_left(platform: Platform, tenant: Tenant) -> None:
    me, client = tenant.consignee, tenant.carrier.http
    visit_id = await deliver(platform, tenant)
    await sign_in(client, me.key)
    values = {"me": me.id, "visit": visit_id, "one": b"1"}
    async with platform.database.connection() as connection:
        for statement in (
            (
                "INSERT INTO passkey (id, reader, reader_id, credential_id, public_key, sign_count, name, created_at) "
                "VALUES ('pas_1', 'consignee', %(me)s, %(one)s, %(one)s, 0, 'mine', now())"
            ),
            (
                "INSERT INTO sign_in_link (digest, reader, reader_id, created_at, expires_at) "
                "VALUES (%(one)s, 'consignee', %(me)s, now(), now() + interval '1 hour')"
            ),
            (
                "INSERT INTO ticket (digest, kind, visit_id, consignee_id, key_hash, until_real) "
                "VALUES (%(one)s, 'page', %(visit)s, %(me)s, %(one)s, now() + interval '1 hour')"
            ),
            (
                "INSERT INTO link_request (id, state_hash, consignee_id, maker, created_at, expires_at) "
                "VALUES ('lnk_1', %(one)s, %(me)s, 'volvo', now(), now() + interval '1 hour')"
            ),
            (
                "INSERT INTO challenge (digest, purpose, session_id, expires_at) "
                "SELECT %(one)s, 'step_up', id, now() + interval '1 hour' FROM session"
            ),
            (
                "INSERT INTO notice_preference (consignee_id, quiet_from, quiet_until, time_zone) "
                "VALUES (%(me)s, '22:00', '07:00', 'UTC')"
            ),
        ):
            await connection.execute(statement.encode(), values)
    await me.make(f"/v1/me/access_points/{tenant.access_point_id}/block")
    assert (await client.get("/v1/me/timeline")).status_code == 200
    await be_erased(me)
    assert (await client.get("/v1/me/timeline")).status_code == 401, "in its own transaction"
    await fetch(platform, "UPDATE erasure SET next_at_real = now() RETURNING 1")
    await erasing.go_on(platform)
    for table in (
        "session",
        "passkey",
        "sign_in_link",
        "ticket",
        "link_request",
        "challenge",
        "notice_preference",
    ):
        assert await fetch(platform, f"SELECT count(*) FROM {table}") == [(0,)], table
    who = f"consignee:{me.id}"
    assert await fetch(platform, "SELECT count(*) FROM idempotency WHERE principal = %s", who) == [(0,)]
    # Who gets in by a link that was on its way at that moment is nobody.
    async with platform.database.connection() as connection:
        assert await sessions.find_person(connection, "consignee", me.id) is None


class Killed(BaseException):
    """As SIGKILL: nothing is tidied up, and nobody catches it."""


async def test_killed_before_each_transaction_it_goes_on_where_it_was(
    recorded: Recorded, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    await live_a_little(recorded, tenant)
    receipt = await be_erased(tenant.consignee)
    begin, left, kills = Database.transaction, 0, 0

    @asynccontextmanager
    async def mortal(self: Database) -> AsyncIterator[Any]:
        nonlocal left
        if left == 0:
            raise Killed
        left -= 1
        async with begin(self) as connection:
            yield connection
            if left == 0 and kills % 2:
                raise Killed  # within it: nothing of it stands

    monkeypatch.setattr(Database, "transaction", mortal)
    while True:
        left = kills
        await fetch(recorded.platform, "UPDATE erasure SET next_at_real = now() - interval '1 s' RETURNING 1")
        try:
            await erasing.go_on(recorded.platform)
            if (await fetch(recorded.platform, "SELECT ended_at FROM erasure"))[0][0] is not None:
                break
        except Killed:
            kills += 1
            assert kills < 100
        await end_accounts(recorded.platform)
    monkeypatch.undo()
    assert kills > len(Step), "at least once between each two"
    await go_on(recorded.platform)
    after = await find_everywhere(recorded.platform)
    assert {needle: places for needle, places in after.items() if places} == {}
    assert (await read_receipt(tenant, receipt))["held"] == []
    closed = await fetch(recorded.platform, "SELECT count(*) FROM deed WHERE what = 'place_closed'")
    assert closed == [(1,)], "what was done is not done twice"


async def test_two_workers_at_once_do_it_once(recorded: Recorded, tenant: Tenant) -> None:
    await live_a_little(recorded, tenant)
    await be_erased(tenant.consignee)
    assert sum(await asyncio.gather(*(erasing.go_on(recorded.platform) for _ in range(3)))) == 1
    await go_on(recorded.platform)
    closed = await fetch(recorded.platform, "SELECT count(*) FROM deed WHERE what = 'place_closed'")
    assert closed == [(1,)]


async def test_a_worker_does_it_by_itself(platform: Platform, tenant: Tenant) -> None:
    await fetch(platform, "UPDATE stop SET state = 'cancelled' RETURNING 1")
    receipt = await be_erased(tenant.consignee)
    stop = asyncio.Event()
    working = asyncio.create_task(work(platform, stop))

    async def has_ended() -> bool:
        return (await read_receipt(tenant, receipt))["ended_at"] is not None

    try:
        await wait_for(has_ended)
    finally:
        stop.set()
        await working
    assert await fetch(platform, "SELECT count(*) FROM vehicle") == [(0,)]


# ---- what is held


async def test_a_visit_under_way_holds_and_then_it_goes_on(platform: Platform, tenant: Tenant) -> None:
    await save_reading(platform, tenant.access_point_id)
    visit_id = (await scan(tenant))["id"]
    await tell(platform, visit_id, Fact.GATE_PASSED, Fact.UNLOCK_SAID_DONE)
    plan = (await tenant.consignee.get("/v1/me/erasure")).json()
    assert [(one["why"], one["id"]) for one in plan["held"] if one["why"] == "visit"] == [("visit", visit_id)]
    assert plan["needs_confirmation"] is False, "it is being delivered"
    receipt = await be_erased(tenant.consignee)
    await go_on(platform)
    assert Held.VISIT in {one["why"] for one in (await read_receipt(tenant, receipt))["held"]}
    place = "SELECT is_consent_given, latitude FROM access_point WHERE id = %s"
    assert await fetch(platform, place, tenant.access_point_id) == [(True, ADDRESS["latitude"])]
    assert await fetch(platform, "SELECT plate FROM vehicle") == [(PLATE,)], "it must be locked"
    assert await fetch(platform, "SELECT name FROM consignee") == [("",)], "what nothing needs is gone"

    for word in ("opened", "deposited", "closed"):
        await tenant.courier.make(f"/v1/courier/visits/{visit_id}/{word}", {})
    await tell(platform, visit_id, Fact.SEEN_LOCKED)
    await go_on(platform)
    assert await fetch(platform, "SELECT plate FROM vehicle") == [(PLATE,)], "it is watched"
    await fetch(platform, "UPDATE visit SET tail = 'over', deadline_at = NULL RETURNING 1")
    await go_on(platform)
    assert await fetch(platform, "SELECT plate FROM vehicle") == []
    assert await fetch(platform, place, tenant.access_point_id) == [(False, 0.0)]
    assert (await read_receipt(tenant, receipt))["ended_at"] is not None


async def test_a_delivery_to_come_is_sent_to_its_fallback_if_that_is_confirmed(
    platform: Platform, tenant: Tenant
) -> None:
    await begin_soon(platform, tenant)
    plan = (await tenant.consignee.get("/v1/me/erasure", headers={"accept-language": "fr"})).json()
    assert [one["stop_id"] for one in plan["to_come"]] == [tenant.stop_id]
    assert plan["needs_confirmation"] is True
    assert "Votre nom" in json.dumps(plan)
    answer = await tenant.consignee.post("/v1/me/erasure", {"receipt": erasing.make_receipt()})
    assert answer.status_code == 409
    assert "deliveries are to come" in answer.text
    assert await fetch(platform, "SELECT count(*) FROM erasure") == [(0,)]
    receipt = await be_erased(tenant.consignee, away=True)
    await go_on(platform)
    assert await fetch(platform, "SELECT ruled_out, state FROM stop") == [("consignee_consent_ended", "open")]
    (held,) = (await read_receipt(tenant, receipt))["held"]
    assert (held["why"], held["id"]) == (Held.DELIVERY, tenant.stop_id)
    assert (await fetch(platform, "SELECT latitude FROM access_point"))[0][0] != 0, "the courier needs it"
    await fetch(platform, "UPDATE stop SET state = 'fallback_done' RETURNING 1")
    await go_on(platform)
    assert await fetch(platform, "SELECT latitude FROM access_point") == [(0.0,)]
    assert (await read_receipt(tenant, receipt))["ended_at"] is not None


async def test_an_open_claim_and_the_operator_s_hold_keep_what_they_are_about(
    recorded: Recorded, tenant: Tenant, operator: Caller
) -> None:
    platform = recorded.platform
    visit_id = await recorded.deliver(tenant)
    claim = await open_claim(tenant.consignee, visit_id, words=WORDS)
    await operator.make(
        f"/v1/operator/visits/{visit_id}/hold", {"reason": "the police asks for it", "days": 9}
    )
    receipt = await be_erased(tenant.consignee)
    await go_on(platform)
    held = (await read_receipt(tenant, receipt))["held"]
    assert {one["why"] for one in held} == {Held.CLAIM, Held.HOLD}
    assert [one["until"] is not None for one in held if one["why"] == Held.HOLD] == [True]
    words = "SELECT words FROM claim WHERE id = %s"
    assert await fetch(platform, words, claim["id"]) == [(WORDS,)]
    assert recorded.files() != []
    await fetch(platform, "UPDATE claim SET state = 'withdrawn', due_at = NULL, ended_at = now() RETURNING 1")
    await go_on(platform)
    assert await fetch(platform, words, claim["id"]) == [("",)]
    assert await fetch(platform, "SELECT count(*) FROM evidence") == [(0,)]
    assert recorded.files() != [], "the hold"
    await fetch(platform, "UPDATE clip_hold SET until = now() - interval '1 day' RETURNING 1")
    await go_on(platform)
    assert recorded.files() == []
    assert (await read_receipt(tenant, receipt))["ended_at"] is not None


# ---- the others


async def test_who_has_agreed_to_that_keeps_the_place_as_its_owner(
    recorded: Recorded, tenant: Tenant
) -> None:
    platform, place = recorded.platform, tenant.access_point_id
    await fetch(platform, "UPDATE consignee SET name = %s RETURNING 1", NAME)
    ben = await add_member(tenant)
    path = f"/v1/me/access_points/{place}"
    assert (await tenant.consignee.post(f"{path}/take_over", {"agrees": True})).status_code == 403
    for agrees in (True, False, True):
        await ben.make(f"{path}/take_over", {"agrees": agrees})
    visit_id = await recorded.deliver(tenant)
    plan = (await tenant.consignee.get("/v1/me/erasure")).json()
    assert [(one["becomes"], one["heir"]) for one in plan["places"]] == [("handed_over", "Ben")]
    assert plan["to_come"] == plan["held"] == []
    await be_erased(tenant.consignee)
    await go_on(platform)
    shared = (await ben.get(f"{path}/household")).json()
    assert [(one["id"], one["role"]) for one in shared["people"]] == [(ben.id, "owner")]
    assert await fetch(platform, "SELECT is_consent_given FROM access_point") == [(True,)]
    assert await fetch(platform, "SELECT plate FROM vehicle") == [(PLATE,)]
    assert recorded.files() != [], "the recordings are the household's"
    assert (await ben.get(f"/v1/visits/{visit_id}/proof")).status_code == 200
    found = await find_everywhere(platform)
    assert found[FIRST] == set()
    assert [
        one["text"] for one in (await ben.get("/v1/me/notices")).json()["notices"] if FIRST in str(one)
    ] == []


async def test_a_place_that_was_reached_through_their_account_is_linked_anew_by_its_new_owner(
    platform: Platform, tenant: Tenant
) -> None:
    ben = await add_member(tenant)
    await ben.make(f"/v1/me/access_points/{tenant.access_point_id}/take_over", {"agrees": True})
    now = platform.clock.now()
    async with platform.database.transaction() as connection:
        await seal_ways(platform.vault, connection, tenant.consignee.id, tenant.access_point_id, now)
        await connection.execute("UPDATE vehicle SET account_id = 'acc_1'")
    await be_erased(tenant.consignee)
    await go_on(platform)
    await unlinking.end_links(platform)
    assert await fetch(platform, "SELECT state, sealed FROM maker_account") == [("ended", None)]
    assert await fetch(platform, "SELECT consignee_id, is_consent_given FROM access_point") == [
        (ben.id, False)
    ]
    assert await fetch(platform, "SELECT account_id, plate FROM vehicle") == [(None, PLATE)]
    assert await fetch(platform, "SELECT ruled_out FROM stop") == [("device_consent_lost",)]
    assert (await fetch(platform, "SELECT ended_at IS NOT NULL FROM erasure")) == [(True,)]


async def test_the_places_of_others_are_left_and_stay_theirs(platform: Platform, tenant: Tenant) -> None:
    ada = tenant.consignee
    zeb = await add_consignee(tenant.carrier, NAME)
    await zeb.make("/v1/me/households/join", {"code": await invite(ada, tenant.access_point_id)})
    await zeb.make(f"/v1/me/access_points/{tenant.access_point_id}/block")
    assert (await find_everywhere(platform))[FIRST] > {"notice.facts"}
    plan = (await zeb.get("/v1/me/erasure")).json()
    assert [one["becomes"] for one in plan["places"]] == ["left"]
    await be_erased(zeb)
    await go_on(platform)
    assert (await find_everywhere(platform))[FIRST] == set()
    path = f"/v1/me/access_points/{tenant.access_point_id}"
    people = (await ada.get(f"{path}/household")).json()["people"]
    assert [one["id"] for one in people] == [ada.id]
    assert (await ada.post(f"{path}/unblock")).status_code == 200
    assert await fetch(platform, "SELECT is_consent_given FROM access_point") == [(True,)]
    texts = json.dumps((await ada.get("/v1/me/notices")).json())
    assert "Someone has left your household" in texts


async def test_another_s_things_are_not_touched(recorded: Recorded, tenant: Tenant, http: Any) -> None:
    platform = recorded.platform
    other = await make_tenant(platform, http, "Other Post")
    await deliver(platform, other)
    rows = (
        "SELECT to_jsonb(vehicle) FROM vehicle WHERE access_point_id = %s",
        "SELECT to_jsonb(access_point) FROM access_point WHERE id = %s",
        "SELECT count(*) FROM journal_private JOIN visit ON visit.id = visit_id WHERE access_point_id = %s",
        "SELECT count(*) FROM notice WHERE access_point_id = %s",
        "SELECT to_jsonb(reading) FROM reading WHERE access_point_id = %s",
    )
    before = [await fetch(platform, query, other.access_point_id) for query in rows]
    await be_erased(tenant.consignee, away=True)
    await go_on(platform)
    assert [await fetch(platform, query, other.access_point_id) for query in rows] == before


async def test_nothing_new_is_registered_for_someone_who_is_erased(
    platform: Platform, tenant: Tenant
) -> None:
    await be_erased(tenant.consignee, away=True)
    made = {
        "consignee_id": tenant.consignee.id,
        "reference": "8",
        "parcels": [{"label": {"text": "ORDER-0008-XY"}}],
    }
    assert (await tenant.carrier.post("/v1/shipments", made)).status_code == 404
    assert (await tenant.carrier.get(f"/v1/consignees/{tenant.consignee.id}")).status_code == 404
    await fetch(platform, "UPDATE stop SET state = 'cancelled' RETURNING 1")
    await go_on(platform)
    assert (await tenant.carrier.post("/v1/shipments", made)).status_code == 404
    assert (await tenant.carrier.get(f"/v1/access_points/{tenant.access_point_id}")).status_code == 404


# ---- the pages and the receipt


async def test_on_a_page_it_is_seen_said_and_receipted(platform: Platform, tenant: Tenant) -> None:
    client = tenant.carrier.http
    browser = Browser(client, await sign_in(client, tenant.consignee.key), "en")
    await begin_soon(platform, tenant)
    page = await browser.read("/me/data")
    assert "See what would happen if you were erased" in page
    assert f"/me/deliveries/{tenant.stop_id}" in page
    where = told_of(page)
    assert where != told_of(await browser.read("/me/data")), "a name is told once"
    await fetch(platform, "UPDATE session SET settles_at = now() + interval '1 day' RETURNING 1")
    assert (await browser.send(where, sure="yes", away="yes")).status_code == 409, "too new"
    await settle(platform)
    assert (await browser.send(where, away="yes")).status_code == 400
    assert (await browser.send(where, sure="yes")).status_code == 409
    await fetch(platform, "UPDATE session SET proved_at = proved_at - interval '1 hour' RETURNING 1")
    answer = await browser.send(where, sure="yes", away="yes")
    assert answer.headers["location"].startswith("/step-up")
    await fetch(platform, "UPDATE session SET proved_at = now() RETURNING 1")
    answer = await browser.send(where, sure="yes", away="yes")
    assert (answer.status_code, answer.headers["location"]) == (303, where)
    again = await browser.send(
        where, sure="yes", away="yes"
    )  # its answer was lost, and the browser sends it again
    assert (again.status_code, "You are being erased" in again.text) == (200, True)
    assert (await browser.send(told_of(page), sure="yes")).status_code == 200
    page = await browser.read(where)
    assert f"http://unlatch.test{where}" in page
    assert "You are being erased" in page
    assert "its courier needs the address" in page
    assert (await client.get("/me")).headers["location"].startswith("/sign-in")
    await fetch(platform, "UPDATE stop SET state = 'cancelled' RETURNING 1")
    await go_on(platform)
    client.cookies.clear()
    french = (await client.get(where, headers={"accept-language": "fr"})).text
    assert "Vous êtes effacé ici" in french
    assert "Vos connexions" in french
    await fetch(platform, "UPDATE erasure SET link_until_real = now() - interval '1 s' RETURNING 1")
    assert (await client.get(where)).status_code == 404
    assert (await client.get("/erased/erd_0")).status_code == 404
    assert (await browser.send("/erased/erd_0", sure="yes")).status_code == 404


def told_of(page: str) -> str:
    """The receipt's address, as the page tells it beside the form that is sent there."""
    found = re.search(r'action="(/erased/erd_[0-9a-f]{48})"', page)
    assert found is not None
    assert f"http://unlatch.test{found[1]}<" in page
    return found[1]


async def test_who_loses_the_answer_has_the_receipt(platform: Platform, tenant: Tenant) -> None:
    """They can't ask again: they are nobody by then. They have named the receipt before."""
    http, receipt = tenant.carrier.http, erasing.make_receipt()
    word, key = {"receipt": receipt, "sends_deliveries_away": True}, "the-one-key"
    before = await http.get(f"/v1/erasures/{receipt}")
    assert before.status_code == 404, "nothing was erased"
    await tenant.consignee.post("/v1/me/erasure", word, key=key)  # the answer is lost
    assert (await tenant.consignee.post("/v1/me/erasure", word, key=key)).status_code == 401
    assert (await read_receipt(tenant, receipt))["erased"][0]["count"] >= 1
    assert receipt not in str(await fetch(platform, "SELECT * FROM erasure"))


async def test_a_receipt_has_a_name_that_nobody_guesses_and_that_is_not_another_s(
    platform: Platform, tenant: Tenant
) -> None:
    taken = await be_erased(await add_member(tenant))
    for name in ("", "erd_1", "era_" + "0" * 48, "erd_" + "0" * 48 + "\n", "erd_" + "G" * 48, None):
        answer = await tenant.consignee.post("/v1/me/erasure", {"receipt": name})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "receipt"), name
    answer = await tenant.consignee.post(
        "/v1/me/erasure", {"receipt": taken, "sends_deliveries_away": True}, **{"Accept-Language": "fr"}
    )
    assert (answer.status_code, answer.json()["detail"]) == (
        409, "this was asked for already, or another receipt is called so: read it, or give a new name"
    )  # fmt: skip
    assert "donnez un autre nom" in answer.json()["text"]
    assert (await tenant.consignee.get("/v1/me/timeline")).status_code == 200, "and nobody is erased by that"


async def test_a_member_agrees_on_the_place_s_page(tenant: Tenant, platform: Platform) -> None:
    ben, place = await add_member(tenant, language="fr"), f"/me/places/{tenant.access_point_id}"
    client = tenant.carrier.http
    browser = Browser(client, await sign_in(client, ben.key), "fr")
    await settle(platform)
    assert "sauf si un membre a accepté" in await browser.read(place)
    for agrees in ("yes", "no"):
        await browser.do(f"{place}/take-over", agrees=agrees)
        heirs = await fetch(platform, "SELECT takes_over_at IS NOT NULL FROM member")
        assert heirs == [(agrees == "yes",)]
    deeds = await fetch(platform, "SELECT what FROM deed WHERE what LIKE 'take_over%%' ORDER BY at")
    assert deeds == [("take_over_agreed",), ("take_over_declined",)]


async def test_a_receipt_says_nothing_to_who_has_no_link_and_the_link_is_not_kept(
    platform: Platform, tenant: Tenant
) -> None:
    receipt = await be_erased(tenant.consignee, away=True)
    await go_on(platform)
    for (table,) in await fetch(
        platform, "SELECT relname FROM pg_class WHERE relname LIKE 'erasure%%' AND relkind = 'r'"
    ):
        assert receipt not in str(await fetch(platform, f"SELECT * FROM {table}"))
    assert (await tenant.carrier.http.get("/v1/erasures/erd_00")).status_code == 404
    while platform.turnstile.lets_through():
        pass
    assert (await tenant.carrier.http.get(f"/v1/erasures/{receipt}")).status_code == 429


async def test_words_are_all_that_append_only_rows_may_lose(recorded: Recorded, tenant: Tenant) -> None:
    await live_a_little(recorded, tenant)
    for statement in (
        "UPDATE claim_step SET words = 'another' RETURNING 1",
        "UPDATE claim_step SET words = '', who = 'clock' RETURNING 1",
        "UPDATE deed SET who = 'clock' RETURNING 1",
        "UPDATE deed SET body = '{}' WHERE body <> '{}' AND NOT body ? 'camera' RETURNING 1",
        'UPDATE deed SET body = body || \'{"camera": "x"}\' RETURNING 1',
        "DELETE FROM deed RETURNING 1",
        "DELETE FROM claim_step RETURNING 1",
    ):
        with pytest.raises(Exception, match="append-only"):
            await fetch(recorded.platform, statement.replace("%", "%%"))


# ---- new tables


async def test_every_column_by_which_a_row_belongs_to_someone_is_known(platform: Platform) -> None:
    assert await list_unknown(platform) == set()
    source = inspect.getsource(erasures)
    stay = {  # rows that stay, and name nobody
        "call", "command", "grant_", "journal", "look", "rule_edit", "shipment", "parcel", "visit_parcel", "invitation",
        "member", "erasure", "stop", "maker_account", "clip", "recording",
    }  # fmt: skip
    tables = {one.partition(".")[0] for one in KNOWN}
    assert [
        one for one in sorted(tables - stay) if f" {one} " not in source and f" {one}\n" not in source
    ] == []


@pytest.mark.parametrize(
    "columns",
    [
        "consignee_id text",
        "whose text REFERENCES consignee",
        "at_place text REFERENCES access_point",
        "note text",
    ],
)
async def test_a_new_table_is_noticed(platform: Platform, columns: str) -> None:
    async with platform.database.connection() as connection:
        await connection.execute(f"CREATE TABLE diary (id text, {columns})".encode())
    assert any(one.startswith("diary") for one in await list_unknown(platform))
