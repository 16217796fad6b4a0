"""A place with a linked car gets another owner: whose account opens it, for how long, and who is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.flow.link_stage import Linked, LinkStage, open_link_stage

from unlatch.domain.household import LINK_LASTS_S
from unlatch.domain.incident import Incident
from unlatch.domain.linking import AccountState, LinkPage
from unlatch.domain.visit import Fact, State
from unlatch.flow import choosing, household, unlinking
from unlatch.flow.carry_out import read_place
from unlatch.store.database import Database

BEN = "con_ben"


@pytest.fixture
async def links(database: Database, tmp_path: Path) -> AsyncIterator[LinkStage]:
    async with open_link_stage(database, tmp_path) as links:
        yield links


@pytest.fixture
async def working(database: Database, tmp_path: Path) -> AsyncIterator[LinkStage]:
    """With a worker."""
    async with open_link_stage(database, tmp_path, has_worker=True) as links:
        yield links


async def add_ben(links: LinkStage, linked: Linked) -> None:
    """Someone whom the same carrier knows, and a member of the household."""
    await links.change(
        "INSERT INTO consignee SELECT %s, carrier_id, 'Ben Brother', 'en', 'b', created_at FROM consignee "
        "WHERE id = %s",
        BEN,
        linked.consignee_id,
    )
    await links.change(
        "INSERT INTO member (access_point_id, consignee_id, joined_at) VALUES (%s, %s, now())",
        linked.stop.place_id,
        BEN,
    )


async def hand(links: LinkStage, linked: Linked, giver: str, taker: str) -> None:
    async with links.platform.database.transaction() as connection:
        await household.hand_over(
            connection,
            linked.stop.place_id,
            member_id=taker,
            consignee_id=giver,
            now=links.platform.clock.now(),
        )


async def link_of(links: LinkStage, linked: Linked) -> dict[str, object]:
    (row,) = await links.ask(
        "SELECT account_id, link_ends_at, is_consent_given FROM vehicle JOIN access_point ON id = access_point_id "
        "WHERE id = %s",
        linked.stop.place_id,
    )
    return row


async def let_it_end(links: LinkStage) -> int:
    await links.change("UPDATE vehicle SET link_ends_at = %s", links.platform.clock.now())
    return await unlinking.end_links(links.platform)


async def test_after_a_hand_over_the_link_goes_on_for_a_while_and_everyone_is_told_until_when(
    working: LinkStage,
) -> None:
    linked = await working.link()
    await add_ben(working, linked)
    before = working.platform.clock.now()
    await hand(working, linked, linked.consignee_id, BEN)
    row = await link_of(working, linked)
    ends_at = row["link_ends_at"]
    assert row["account_id"] == linked.account_id
    assert timedelta(0) <= ends_at - before - timedelta(seconds=LINK_LASTS_S) < timedelta(minutes=5)  # type: ignore[operator]
    told = await working.notices("link_ending")
    assert {one["reader_id"] for one in told} == {linked.consignee_id, BEN}
    assert told[0]["facts"]["who"] == "Ben"
    assert await unlinking.end_links(working.platform) == 0
    visit_id = await working.stage.deliver(linked.stop)
    await working.stage.until_state(visit_id, State.DELIVERED)


async def test_the_new_owner_links_the_car_through_an_account_of_their_own(links: LinkStage) -> None:
    linked = await links.link()
    await add_ben(links, linked)
    await hand(links, linked, linked.consignee_id, BEN)
    assert await links.say_yes(BEN, "volvo", linked.town_account_id) is LinkPage.LINKED
    (own,) = await links.accounts(BEN)
    await choosing.relink(
        links.platform,
        linked.stop.place_id,
        account_id=own.id,
        consignee_id=BEN,
        now=links.platform.clock.now(),
    )
    assert await link_of(links, linked) == {
        "account_id": own.id, "link_ends_at": None, "is_consent_given": True,
    }  # fmt: skip
    assert await unlinking.end_links(links.platform) == 0
    # What the former owner does with their account is nothing to the place any more.
    async with links.platform.database.transaction() as connection:
        await unlinking.unlink(
            connection, linked.account_id, consignee_id=linked.consignee_id, now=links.platform.clock.now()
        )
    assert (await link_of(links, linked))["is_consent_given"]
    assert await read_place(links.platform, await links.place(linked)) is None


async def test_a_link_that_nobody_has_taken_over_ends_with_its_stops_and_is_told(links: LinkStage) -> None:
    linked = await links.link()
    await add_ben(links, linked)
    await hand(links, linked, linked.consignee_id, BEN)
    assert await let_it_end(links) == 1
    assert await link_of(links, linked) == {
        "account_id": None, "link_ends_at": None, "is_consent_given": False,
    }  # fmt: skip
    assert (await links.ask("SELECT ruled_out FROM stop"))[0]["ruled_out"] == Incident.DEVICE_CONSENT_LOST
    assert {one["reader_id"] for one in await links.notices("link_ended")} == {linked.consignee_id, BEN}
    assert (await links.ask("SELECT who FROM deed WHERE what = 'unlinked'")) == [{"who": "clock"}]
    assert (await links.account(linked.account_id)).state is AccountState.LIVE, "the account itself is theirs"
    # Nobody is asked by it any more, and no one's account answers for the car.
    assert await read_place(links.platform, await links.place(linked)) is Incident.DEVICE_CONSENT_LOST
    scanned = await links.stage.scan(linked.stop)
    assert Incident.CONSIGNEE_CONSENT_ENDED in scanned.reasons
    assert await unlinking.end_links(links.platform) == 0
    # Linked by its owner it is a place again.
    assert await links.say_yes(BEN, "volvo", linked.town_account_id) is LinkPage.LINKED
    (own,) = await links.accounts(BEN)
    await choosing.relink(
        links.platform,
        linked.stop.place_id,
        account_id=own.id,
        consignee_id=BEN,
        now=links.platform.clock.now(),
    )
    assert await read_place(links.platform, await links.place(linked)) is None


async def test_a_link_does_not_end_under_a_visit_or_its_watch(working: LinkStage) -> None:
    linked = await working.link()
    await add_ben(working, linked)
    await hand(working, linked, linked.consignee_id, BEN)
    visit_id = await working.stage.begin(linked.stop)
    await working.stage.until_state(visit_id, State.READY, State.UNLOCKED)
    assert await let_it_end(working) == 0
    assert await working.stage.town.can_open_trunk(linked.stop.vin)
    for word in (Fact.COURIER_OPENED, Fact.COURIER_DEPOSITED):
        await working.stage.say(linked.stop, visit_id, word)
    await working.stage.town.close_trunk(linked.stop.vin)
    await working.stage.say(linked.stop, visit_id, Fact.COURIER_CLOSED)
    await working.stage.until_state(visit_id, State.DELIVERED)
    assert (await link_of(working, linked))["account_id"] == linked.account_id, "its watch goes on"
    await working.stage.until(
        visit_id, lambda row: row.ended_at is not None and not row.visit.is_watched, real_s=60
    )
    while (await link_of(working, linked))["account_id"] is not None:  # the worker ends it, or this
        await unlinking.end_links(working.platform)


async def test_handed_back_to_whose_account_it_is_the_link_stays(links: LinkStage) -> None:
    linked = await links.link()
    await add_ben(links, linked)
    await hand(links, linked, linked.consignee_id, BEN)
    await hand(links, linked, BEN, linked.consignee_id)
    assert (await link_of(links, linked))["link_ends_at"] is None
    assert len({one["key"] for one in await links.notices("link_ending")}) == 1


async def test_handed_on_twice_it_ends_no_later(links: LinkStage) -> None:
    linked = await links.link()
    await add_ben(links, linked)
    await links.change(
        "INSERT INTO consignee SELECT 'con_cid', carrier_id, 'Cid', 'en', 'c', created_at FROM consignee WHERE id = %s",
        BEN,
    )
    await links.change(
        "INSERT INTO member (access_point_id, consignee_id, joined_at) VALUES (%s, 'con_cid', now())",
        linked.stop.place_id,
    )
    await hand(links, linked, linked.consignee_id, BEN)
    first = (await link_of(links, linked))["link_ends_at"]
    await hand(links, linked, BEN, "con_cid")
    assert (await link_of(links, linked))["link_ends_at"] == first


@pytest.mark.parametrize("way", ["leaves", "is removed"])
async def test_whoever_goes_takes_their_account_along(links: LinkStage, way: str) -> None:
    linked = await links.link()
    await add_ben(links, linked)
    await hand(links, linked, linked.consignee_id, BEN)
    now, place_id = links.platform.clock.now(), linked.stop.place_id
    async with links.platform.database.transaction() as connection:
        if way == "leaves":
            await household.leave(connection, place_id, consignee_id=linked.consignee_id, now=now)
        else:
            await household.remove(
                connection, place_id, member_id=linked.consignee_id, consignee_id=BEN, now=now
            )
    assert await unlinking.end_links(links.platform) == 1
    assert {one["reader_id"] for one in await links.notices("link_ended")} == {BEN}


async def test_a_member_who_goes_takes_nothing_along_that_is_not_theirs(links: LinkStage) -> None:
    linked = await links.link()
    await add_ben(links, linked)
    async with links.platform.database.transaction() as connection:
        await household.leave(
            connection, linked.stop.place_id, consignee_id=BEN, now=links.platform.clock.now()
        )
    assert (await link_of(links, linked))["link_ends_at"] is None


async def test_a_car_with_its_carrier_s_tokens_is_handed_over_as_it_is(links: LinkStage) -> None:
    linked = await links.link()
    await add_ben(links, linked)
    await links.change("UPDATE vehicle SET account_id = NULL")
    await hand(links, linked, linked.consignee_id, BEN)
    assert (await link_of(links, linked))["link_ends_at"] is None
    assert await links.notices("link_ending") == []
