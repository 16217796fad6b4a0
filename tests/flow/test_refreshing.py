"""Each refresh token is spent once, and a crash between its use and its keeping loses nothing the maker still gives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from tests.flow.link_stage import CLIENTS, LinkStage, open_link_stage
from tests.flow.stage import Stage

from unlatch.devices.catalogue import Catalogue
from unlatch.domain.access import PlaceKind
from unlatch.domain.incident import Incident
from unlatch.domain.linking import AccountState, LinkPage
from unlatch.domain.visit import Fact, State
from unlatch.errors import SealBroken
from unlatch.flow import choosing, linking, refreshing, unlinking
from unlatch.flow.carry_out import read_place
from unlatch.flow.preflight import check_now
from unlatch.flow.resealing import reseal_accounts
from unlatch.store import maker_accounts, preflights
from unlatch.store.database import Database
from unlatch.store.vault import Vault
from unlatch.town.faults import FaultKind, Verb

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
async def links(database: Database, tmp_path: Path) -> AsyncIterator[LinkStage]:
    """Nobody at work: each test says when."""
    async with open_link_stage(database, tmp_path) as links:
        yield links


@pytest.fixture
async def working(database: Database, tmp_path: Path) -> AsyncIterator[LinkStage]:
    """With a worker."""
    async with open_link_stage(database, tmp_path, has_worker=True) as links:
        yield links


@pytest.mark.parametrize("maker", ["volvo", "onstar"])
async def test_a_linked_car_is_delivered_into_while_its_tokens_change(working: LinkStage, maker: str) -> None:
    stage: Stage = working.stage
    await stage.town.set_habits(maker, access_for_s=60)
    linked = await working.link(maker)
    visit_id = await stage.deliver(linked.stop)
    await stage.until_state(visit_id, State.DELIVERED)
    await stage.until(
        visit_id, lambda row: not row.visit.is_watched
    )  # its tail is longer than a token's life
    assert (await stage.town.state(linked.stop.vin)).is_secured
    account = await working.account(linked.account_id)
    counts = await stage.town.count_oauth(maker)
    assert account.generation > 1
    assert counts["refreshes"] == account.generation - 1
    assert counts.get("reuses", 0) == 0


async def test_twenty_who_want_a_token_make_one_refresh(links: LinkStage) -> None:
    linked = await links.link()
    await links.stage.town.set_habits("volvo", access_for_s=1)
    await links.refresh_now(linked)
    await links.stage.town.set_habits("volvo", access_for_s=3600)
    place = await links.place(linked)
    assert place.account is not None
    platforms = []
    for number in range(20):
        makers = Catalogue(links.platform.clock, dict.fromkeys(CLIENTS, links.stage.town_url), CLIENTS)
        platforms.append(replace(links.platform, makers=makers, name=f"worker-{number}"))
    await links.platform.clock.sleep(2)
    before = (await links.stage.town.count_oauth("volvo")).get("refreshes", 0)
    generation = (await links.account(linked.account_id)).generation
    try:
        fresh = await asyncio.gather(*(refreshing.freshen(one, place) for one in platforms))
    finally:
        for one in platforms:
            await one.makers.close()
    counts = await links.stage.town.count_oauth("volvo")
    assert counts["refreshes"] - before == 1
    assert {one.account.generation for one in fresh if one.account} == {generation + 1}
    tokens = {
        one.car_at(place)[1].secrets["access_token"] for one, place in zip(platforms, fresh, strict=True)
    }
    assert len(tokens) == 1


async def test_a_token_that_is_good_costs_no_statement(
    links: LinkStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = await links.place(await links.link())

    def refuse(_: Database) -> None:
        raise AssertionError("the hot path asked the database")

    monkeypatch.setattr(Database, "connection", refuse)
    assert await refreshing.freshen(links.platform, place, is_for_unlock=True) is place


async def test_a_refused_token_is_renewed_and_the_car_asked_again(links: LinkStage) -> None:
    """Ours seems good for long; the maker takes it no more."""
    await links.stage.town.set_habits("volvo", access_for_s=1)
    linked = await links.link()
    await links.stage.town.set_habits("volvo", access_for_s=3600)
    await links.change(
        "UPDATE maker_account SET access_expires_at = %s, refresh_at = %s",
        *[links.platform.clock.now() + timedelta(hours=1)] * 2,
    )
    await links.platform.clock.sleep(3)
    generation = (await links.account(linked.account_id)).generation
    assert await read_place(links.platform, await links.place(linked)) is None
    assert (await links.account(linked.account_id)).generation == generation + 1


async def test_what_the_owner_did_not_allow_is_no_reason_to_refresh(links: LinkStage) -> None:
    linked = await links.link()
    await links.stage.town.set_fault(linked.stop.vin, FaultKind.CONSENT_WITHDRAWN, status=403)
    assert await read_place(links.platform, await links.place(linked)) is Incident.DEVICE_CONSENT_LOST
    assert (await links.stage.town.count_oauth("volvo")).get("refreshes", 0) == 0


async def test_an_answer_that_was_lost_is_asked_for_again_within_the_grace(links: LinkStage) -> None:
    linked = await links.link()
    await links.stage.town.set_habits("volvo", reuse_grace_s=3600)
    await links.stage.town.set_cloud_fault(
        "volvo", FaultKind.CONNECTION_CUT, verb=Verb.TOKEN, acts=True, count=1
    )
    await links.refresh_now(linked)
    lost = await links.account(linked.account_id)
    assert (lost.generation, lost.state, lost.held_by) == (1, AccountState.LIVE, None)
    assert lost.spent_at is not None
    await links.refresh_now(linked)
    kept = await links.account(linked.account_id)
    assert (kept.generation, kept.spent_at) == (2, None)
    counts = await links.stage.town.count_oauth("volvo")
    assert (counts["refreshes"], counts["reuses_in_grace"]) == (2, 1)
    assert await read_place(links.platform, await links.place(linked)) is None
    await links.refresh_now(linked)
    assert (await links.account(linked.account_id)).generation == 3, "the newest pair is the one that counts"


async def test_what_surely_did_not_reach_the_maker_leaves_no_trace(links: LinkStage) -> None:
    linked = await links.link()
    await links.stage.town.set_cloud_fault("volvo", FaultKind.RATE_LIMIT, verb=Verb.TOKEN, count=1)
    await links.refresh_now(linked)
    row = await links.account(linked.account_id)
    assert (row.generation, row.spent_at, row.held_by) == (1, None, None)
    assert row.again_at is not None
    assert row.again_at > datetime.now(UTC)


async def test_a_wrong_client_secret_loses_no_account(links: LinkStage) -> None:
    """It is our mistake: the owner need not link again."""
    linked = await links.link()
    await links.stage.town.add_oauth_client("volvo", "unlatch", "another", f"http://x{linking.CALLBACK}")
    await links.refresh_now(linked)
    row = await links.account(linked.account_id)
    assert (row.state, row.generation, row.spent_at) == (AccountState.LIVE, 1, None)


async def test_after_the_grace_the_account_is_lost_told_once_and_linked_again_at_one_tap(
    links: LinkStage,
) -> None:
    linked = await links.link()
    await links.stage.town.set_habits("volvo", reuse_grace_s=0)
    await links.stage.town.set_cloud_fault(
        "volvo", FaultKind.CONNECTION_CUT, verb=Verb.TOKEN, acts=True, count=1
    )
    for _ in range(3):
        await links.refresh_now(linked)
    row = await links.account(linked.account_id)
    assert (row.state, row.sealed) == (AccountState.LOST, None)
    told = await links.notices("account_lost")
    assert [one["reader_id"] for one in told] == [linked.consignee_id]
    requests = len(await links.stage.town.whole_ledger(vin=linked.stop.vin))
    assert await read_place(links.platform, await links.place(linked)) is Incident.DEVICE_CONSENT_LOST
    assert len(await links.stage.town.whole_ledger(vin=linked.stop.vin)) == requests, "nothing was asked"
    page = await links.say_yes(linked.consignee_id, "volvo", linked.town_account_id, linked.account_id)
    assert page is LinkPage.LINKED
    assert (await links.account(linked.account_id)).state is AccountState.LIVE
    assert await read_place(links.platform, await links.place(linked)) is None


async def test_a_lost_account_without_a_place_tells_its_owner(links: LinkStage) -> None:
    """Linked, and the car not chosen yet: nobody's household hears of it, and its owner waits in vain."""
    stop = await links.stage.add_stop("volvo", account_id="ada")
    owner = stop.place_id.replace("acc_", "con_")
    assert await links.say_yes(owner, "volvo", "ada") is LinkPage.LINKED
    (account,) = await links.accounts(owner)
    assert await links.stage.town.withdraw("volvo", "ada") == 1
    for _ in range(2):
        await links.change("UPDATE maker_account SET keep_alive_at = now(), again_at = NULL")
        await refreshing.refresh_due(links.platform)
    assert (await links.account(account.id)).state is AccountState.LOST
    (told,) = await links.notices("account_lost")
    assert (told["reader"], told["reader_id"], told["access_point_id"]) == ("consignee", owner, None)


async def test_a_request_that_never_left_is_made_up_for_however_late(links: LinkStage) -> None:
    """Nobody can know that it never left; the maker's word does, grace or not."""
    linked = await links.link()
    await links.stage.town.set_habits("volvo", reuse_grace_s=0)
    await links.change("UPDATE maker_account SET spent_at = %s", LONG_AGO)
    await links.refresh_now(linked)
    row = await links.account(linked.account_id)
    assert (row.state, row.generation) == (AccountState.LIVE, 2)


async def test_while_a_visit_needs_the_token_nobody_risks_it(links: LinkStage) -> None:
    """A second use after the grace ends the whole consent: then even the lock could not be sent any more."""
    linked = await links.link()
    await links.stage.town.set_habits("volvo", reuse_grace_s=0)
    await links.change("UPDATE maker_account SET spent_at = %s", LONG_AGO)
    await read_place(links.platform, await links.place(linked))
    await links.stage.begin(linked.stop)
    await links.refresh_now(linked)
    row = await links.account(linked.account_id)
    assert (row.generation, row.spent_at, row.held_by) == (1, LONG_AGO, None)
    assert (await links.stage.town.count_oauth("volvo")).get("refreshes", 0) == 0
    await links.change("UPDATE maker_account SET access_expires_at = %s", LONG_AGO)
    await links.refresh_now(linked)
    assert (await links.account(linked.account_id)).generation == 2, "there was nothing left to lose"


async def test_who_was_overtaken_keeps_nothing(links: LinkStage) -> None:
    linked = await links.link()
    now, real_now = links.platform.clock.now(), datetime.now(UTC)

    async def hold(holder: str, at: datetime) -> bool:
        async with links.platform.database.connection() as connection:
            row = await maker_accounts.hold(
                connection,
                linked.account_id,
                generation=1,
                holder=holder,
                now=now,
                real_now=at,
                held_for_s=5,
                is_spending=True,
            )
        return row is not None

    assert await hold("slow", real_now)
    assert not await hold("early", real_now + timedelta(seconds=4))
    assert await hold("quick", real_now + timedelta(seconds=6))
    desk = links.platform.makers.desks["volvo"]
    async with links.platform.database.connection() as connection:
        row = await maker_accounts.find_account(connection, linked.account_id)
        assert row is not None
        assert row.sealed is not None
        assert row.spent_at == now
        tokens = maker_accounts.SealedTokens(
            sealed=row.sealed, access_expires_at=now, refresh_at=now, keep_alive_at=None
        )
        account_id = linked.account_id
        assert not await maker_accounts.keep_tokens(connection, account_id, holder="slow", tokens=tokens)
        assert not await maker_accounts.lose(connection, account_id, holder="slow", now=now)
        assert await maker_accounts.keep_tokens(connection, account_id, holder="quick", tokens=tokens)
    assert desk.authorization.rotates


async def test_only_what_is_needed_soon_is_refreshed(links: LinkStage) -> None:
    await links.stage.town.set_habits("volvo", access_for_s=60)
    linked = await links.link()
    await links.change(
        "UPDATE stop SET window_from = now() + interval '9 days', window_until = now() + interval '10 days'"
    )
    await links.change("UPDATE maker_account SET refresh_at = %s", LONG_AGO)
    assert await refreshing.refresh_due(links.platform) == 0
    now = links.platform.clock.now()
    await links.change(
        "UPDATE stop SET window_from = %s, window_until = %s",
        now + refreshing.AHEAD / 2,
        now + timedelta(days=1),
    )
    assert await refreshing.refresh_due(links.platform) == 1
    assert (await links.account(linked.account_id)).generation == 2


# ---- un-linking


async def unlink(links: LinkStage, account_id: str, consignee_id: str) -> str:
    async with links.platform.database.transaction() as connection:
        row = await unlinking.unlink(
            connection, account_id, consignee_id=consignee_id, now=links.platform.clock.now()
        )
    return row.state


async def test_unlinking_in_the_middle_of_a_visit_locks_first_and_revokes_then(working: LinkStage) -> None:
    linked = await working.link("volvo")
    stage = working.stage
    visit_id = await stage.begin(linked.stop)
    await stage.until_state(visit_id, State.READY, State.UNLOCKED)
    assert await stage.town.can_open_trunk(linked.stop.vin)
    await stage.town.close_trunk(linked.stop.vin)
    assert await unlink(working, linked.account_id, linked.consignee_id) == AccountState.ENDING
    assert (await stage.town.count_oauth("volvo")).get("revocations", 0) == 0, "the lock needs the token"
    await stage.say(linked.stop, visit_id, Fact.COURIER_GAVE_UP)
    row = await stage.until(visit_id, lambda row: not row.visit.is_live and not row.visit.is_watched)
    assert (await stage.town.state(linked.stop.vin)).is_secured, await stage.story(row.id)
    ended = await working.until_state(linked.account_id, AccountState.ENDED)
    assert (ended.sealed, ended.is_revoked) == (None, True)
    assert (await stage.town.count_oauth("volvo"))["revocations"] == 1
    (stop,) = await working.ask("SELECT ruled_out FROM stop")
    assert stop["ruled_out"] == Incident.DEVICE_CONSENT_LOST
    assert {one["reader"] for one in await working.notices("ruled_out")} == {"consignee", "carrier"}
    (point,) = await working.ask("SELECT is_consent_given FROM access_point")
    assert not point["is_consent_given"]
    assert [one["what"] for one in await working.ask("SELECT what FROM deed ORDER BY at")] == [
        "linked_again",
        "unlinked",
    ]
    assert await unlink(working, linked.account_id, linked.consignee_id) == AccountState.ENDED, "twice"
    refused = (await stage.scan(linked.stop)).row
    assert refused is None or refused.visit.state is State.REFUSED


async def test_a_maker_that_does_not_answer_is_told_later_and_at_last_given_up(links: LinkStage) -> None:
    linked = await links.link()
    await links.stage.town.set_cloud_fault("volvo", FaultKind.OUTAGE, verb=Verb.TOKEN)
    await unlink(links, linked.account_id, linked.consignee_id)
    await refreshing.end_unlinked(links.platform)
    row = await links.account(linked.account_id)
    assert (row.state, row.held_by) == (AccountState.ENDING, None)
    assert await refreshing.end_unlinked(links.platform) == 0, "not again at once"
    await links.stage.town.clear_cloud_faults("volvo")
    await links.change("UPDATE maker_account SET again_at = NULL")
    await refreshing.end_unlinked(links.platform)
    row = await links.account(linked.account_id)
    assert (row.state, row.is_revoked, row.sealed) == (AccountState.ENDED, True, None)

    other = await links.link()
    await links.stage.town.set_cloud_fault("volvo", FaultKind.OUTAGE, verb=Verb.TOKEN)
    await unlink(links, other.account_id, other.consignee_id)
    await links.change("UPDATE maker_account SET unlinked_at = %s WHERE id = %s", LONG_AGO, other.account_id)
    await refreshing.end_unlinked(links.platform)
    row = await links.account(other.account_id)
    assert (row.state, row.is_revoked, row.sealed) == (AccountState.ENDED, False, None)


async def test_linking_the_place_again_is_consent_again(links: LinkStage) -> None:
    linked = await links.link()
    await unlink(links, linked.account_id, linked.consignee_id)
    await refreshing.end_unlinked(links.platform)
    assert await links.say_yes(linked.consignee_id, "volvo", linked.town_account_id) is LinkPage.LINKED
    newest = (await links.accounts(linked.consignee_id))[0]
    await choosing.relink(
        links.platform,
        linked.stop.place_id,
        account_id=newest.id,
        consignee_id=linked.consignee_id,
        now=links.platform.clock.now(),
    )
    (point,) = await links.ask("SELECT is_consent_given, kind FROM access_point")
    assert point == {"is_consent_given": True, "kind": PlaceKind.CAR}
    assert await read_place(links.platform, await links.place(linked)) is None


async def test_stops_that_unlinking_ruled_out_are_looked_at_again_once_linked_anew(links: LinkStage) -> None:
    linked = await links.link()
    await unlink(links, linked.account_id, linked.consignee_id)
    assert await links.say_yes(linked.consignee_id, "volvo", linked.town_account_id) is LinkPage.LINKED
    newest = (await links.accounts(linked.consignee_id))[0]
    await choosing.relink(
        links.platform,
        linked.stop.place_id,
        account_id=newest.id,
        consignee_id=linked.consignee_id,
        now=links.platform.clock.now(),
    )
    assert await links.ask("SELECT state FROM duty WHERE kind = 'recheck'") == [{"state": "due"}]


async def test_stops_that_a_lost_account_ruled_out_are_looked_at_again_once_it_is_back(
    links: LinkStage,
) -> None:
    linked = await links.link()
    await links.change("UPDATE maker_account SET state = 'lost', sealed = NULL, lost_at = now()")
    await links.change(
        "UPDATE stop SET ruled_out = %s, ruled_out_at = now()", Incident.DEVICE_CONSENT_LOST.value
    )
    page = await links.say_yes(linked.consignee_id, "volvo", linked.town_account_id, linked.account_id)
    assert page is LinkPage.LINKED
    assert await links.ask("SELECT state FROM duty WHERE kind = 'recheck'") == [{"state": "due"}]


async def test_another_account_is_no_way_to_link_again(links: LinkStage) -> None:
    linked, stranger = await links.link(), await links.link()
    page = await links.say_yes(linked.consignee_id, "volvo", stranger.town_account_id, linked.account_id)
    assert page is LinkPage.OTHER_ACCOUNT
    assert (await links.account(linked.account_id)).generation == 1
    assert (await links.stage.town.count_oauth("volvo"))["revocations"] == 1, "what has no use is given back"
    assert await read_place(links.platform, await links.place(linked)) is None


# ---- linked again, with less


async def test_who_agrees_to_less_than_before_is_told_and_no_courier_is_sent_there(links: LinkStage) -> None:
    linked = await links.link()
    stop = linked.stop
    await links.change("UPDATE maker_account SET state = 'lost', sealed = NULL, lost_at = now()")
    page = await links.say_yes(
        linked.consignee_id, "volvo", linked.town_account_id, linked.account_id, without="conve:unlock"
    )
    assert page is LinkPage.NARROWED
    assert (await links.account(linked.account_id)).state is AccountState.LIVE
    (notice,) = await links.notices("account_narrowed")
    assert (notice["reader_id"], notice["access_point_id"]) == (linked.consignee_id, stop.place_id)
    checked = await check_now(links.platform, stop_id=stop.stop_id, consignee_id=linked.consignee_id)
    assert checked.finding.reasons == (Incident.DEVICE_CONSENT_LOST,)
    (row,) = await links.ask("SELECT ruled_out FROM stop")
    assert row["ruled_out"] == Incident.DEVICE_CONSENT_LOST
    # Agreed to everything again, it is as before.
    page = await links.say_yes(linked.consignee_id, "volvo", linked.town_account_id, linked.account_id)
    assert page is LinkPage.LINKED
    assert len(await links.notices("account_narrowed")) == 1
    await links.change("DELETE FROM read_budget")
    checked = await check_now(links.platform, stop_id=stop.stop_id, consignee_id=linked.consignee_id)
    assert checked.finding.reasons == ()


async def test_a_scan_is_refused_where_the_owner_does_not_let_us_open_any_more(links: LinkStage) -> None:
    """Where no pre-flight has looked since."""
    linked = await links.link()
    page = await links.say_yes(
        linked.consignee_id, "volvo", linked.town_account_id, linked.account_id, without="conve:unlock"
    )
    assert page is LinkPage.NARROWED
    assert await read_place(links.platform, await links.place(linked)) is None, "what is allowed is done"
    scanned = await links.stage.scan(linked.stop)
    assert scanned.reasons == (Incident.DEVICE_CONSENT_LOST,)


async def test_what_is_open_is_locked_though_its_owner_does_not_let_us_open_any_more(
    working: LinkStage,
) -> None:
    linked = await working.link()
    visit_id = await working.stage.begin(linked.stop)
    await working.stage.until_state(visit_id, State.READY, State.UNLOCKED)
    page = await working.say_yes(
        linked.consignee_id, "volvo", linked.town_account_id, linked.account_id, without="conve:unlock"
    )
    assert page is LinkPage.NARROWED
    assert await working.stage.town.can_open_trunk(linked.stop.vin)
    for word in (Fact.COURIER_OPENED, Fact.COURIER_DEPOSITED):
        await working.stage.say(linked.stop, visit_id, word)
    await working.stage.town.close_trunk(linked.stop.vin)
    await working.stage.say(linked.stop, visit_id, Fact.COURIER_CLOSED)
    await working.stage.until_state(visit_id, State.DELIVERED)


# ---- secrets


async def test_no_token_code_or_verifier_stands_in_a_row_or_a_log(
    working: LinkStage, capfd: pytest.CaptureFixture[str]
) -> None:
    linked = await working.link("volvo")
    await working.refresh_now(linked)
    await working.stage.town.set_cloud_fault("volvo", FaultKind.OUTAGE, verb=Verb.TOKEN, count=1)
    await working.refresh_now(linked)
    async with working.platform.database.transaction() as connection:
        begun = await linking.begin(
            working.platform, connection, consignee_id=linked.consignee_id, maker="volvo"
        )
    state = begun.authorize_url.partition("state=")[2].partition("&")[0]
    row = await working.account(linked.account_id)
    assert row.sealed is not None
    tokens = working.platform.vault.open_mapping(row.sealed, row.id)
    (request,) = await working.ask("SELECT id, sealed FROM link_request WHERE used_at IS NULL")
    verifier = working.platform.vault.open_mapping(bytes(request["sealed"]), request["id"])["verifier"]
    secrets = [*tokens.values(), state, verifier, CLIENTS["volvo"].client_secret]
    kept = dump(working.platform.database.dsn)
    written = "".join(capfd.readouterr())
    for text in (kept, written, repr(begun), repr(working.platform), repr(row)):
        assert [secret for secret in secrets if secret in text] == []
    assert linked.account_id in kept


def dump(dsn: str) -> str:
    """Every row of every table, as text."""
    found = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (name,) in tables:
            for row in connection.execute(f'SELECT * FROM "{name}"'.encode()).fetchall():
                found += [
                    value.decode("latin-1") if isinstance(value, bytes) else str(value) for value in row
                ]
    return "\n".join(found)


async def test_what_an_old_key_sealed_of_an_account_is_sealed_anew(links: LinkStage) -> None:
    linked = await links.link()
    both = replace(links.platform, vault=Vault(b"n" * 32, b"k" * 32))
    assert await reseal_accounts(both) == 1
    assert await reseal_accounts(both) == 0
    row = await links.account(linked.account_id)
    assert row.sealed is not None
    assert set(Vault(b"n" * 32).open_mapping(row.sealed, row.id)) == {"access_token", "refresh_token"}
    with pytest.raises(SealBroken):
        links.platform.vault.open_mapping(row.sealed, row.id)
    with pytest.raises(SealBroken):
        both.vault.open_mapping(row.sealed, "mak_another")


async def test_pre_flight_asks_through_the_owner_s_account_too(links: LinkStage) -> None:
    linked = await links.link()
    async with links.platform.database.connection() as connection:
        case = await preflights.find_case(connection, linked.stop.stop_id)
    assert case is not None
    assert case.place == await links.place(linked)
    assert await read_place(links.platform, case.place) is None
