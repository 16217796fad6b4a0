"""What a visit tells, whom, and when: nothing before the gate on the good path, and no more than there is to say."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from psycopg.rows import dict_row
from tests.flow.stage import Stage, open_stage

from unlatch.domain.access import Closure, Position
from unlatch.domain.decision import BY_PEOPLE
from unlatch.domain.incident import NEXT_STEPS_AFTER_REFUSAL, Incident
from unlatch.domain.notice import NoticeEvent, NoticeReader
from unlatch.domain.notice_texts import write_notice
from unlatch.domain.visit import FINAL, Fact, State, Tail, Visit
from unlatch.domain.wording import Language
from unlatch.flow.telling import list_tellings, tell_of_visit
from unlatch.store.database import Database
from unlatch.store.visits import VisitRow
from unlatch.town.faults import FaultKind

NOW = datetime(2026, 11, 26, 22, 3, 7, tzinfo=UTC)
E = NoticeEvent
CLOSURE = Closure(reads_lock=True, reads_lid=True)


def told(before: Visit, after: Visit, **changes: Any) -> list[NoticeEvent]:
    return [one.event for one in list_tellings(before, row(after, **changes), NOW)]


def row(visit: Visit, **changes: Any) -> VisitRow:
    values: dict[str, Any] = {
        "id": "vis_1", "stop_id": "stp_1", "access_point_id": "acc_1", "courier_id": "cou_1", "carrier_id": "car_1",
        "closure_key": None, "visit": visit, "incident": None, "begun_at": NOW, "ended_at": None,
        "last_observed_at": None, "last_command_at": None, "next_read_at": None, "journal_number": 7,
        "journal_hash": None, "journal_at": NOW, **changes,
    }  # fmt: skip
    return VisitRow(**values)


def visit(state: State, **changes: Any) -> Visit:
    return Visit(closure=CLOSURE, is_recorded=False, state=state, **changes)


def test_every_end_is_told_and_nothing_on_the_way_to_the_gate_is() -> None:
    ends = {end: told(visit(State.LOCKING), visit(end)) for end in FINAL}
    assert ends == {
        State.REFUSED: [E.NOT_DELIVERED],
        State.HANDED_OVER: [E.HANDED_OVER],
        State.DELIVERED: [E.DELIVERED],
        State.DELIVERED_LOCK_NOT_SEEN: [E.DELIVERED_LOCK_NOT_SEEN],
        State.UNDELIVERED: [E.NOT_DELIVERED],
        State.UNDELIVERED_LOCK_NOT_SEEN: [E.NOT_DELIVERED_LOCK_NOT_SEEN],
        State.RULED_DELIVERED: [E.RULED_DELIVERED],
        State.RULED_UNDELIVERED: [E.NOT_DELIVERED],
    }
    path = [State.REQUESTED, State.GRANTED, State.UNLOCKING, State.READY]
    assert [told(visit(one), visit(next_)) for one, next_ in pairwise(path)] == [[]] * 3


def test_an_opening_is_told_once() -> None:
    assert told(visit(State.READY), visit(State.UNLOCKED)) == [E.UNLOCKED]
    assert told(visit(State.IN_DOUBT), visit(State.OPEN, has_opened=True)) == [E.UNLOCKED]
    assert told(visit(State.UNLOCKED), visit(State.OPEN, has_opened=True)) == []
    assert told(visit(State.LOCKING, has_opened=True), visit(State.OPEN, has_opened=True)) == []


def test_alarms_are_told_on_entering_them_and_again_when_they_come_back() -> None:
    unsecured = visit(State.UNSECURED)
    assert told(visit(State.LOCKING_AGAIN), unsecured) == [E.NOT_SECURED]
    assert told(unsecured, replace(unsecured, deadline_at=NOW)) == [], (
        "its clock ran out: called again, not told"
    )
    first, second = (
        list_tellings(visit(State.HANDLE_CHECK), row(unsecured, journal_number=number), NOW)
        for number in (7, 9)
    )
    assert first[0].key != second[0].key
    ended = visit(State.DELIVERED, tail=Tail.WATCHING)
    for tail in (Tail.ALARM, Tail.BLIND):
        assert told(ended, replace(ended, tail=tail)) == [E.OPENED_AFTERWARDS]
        assert told(replace(ended, tail=tail), replace(ended, tail=tail, deadline_at=NOW)) == []
    assert told(replace(ended, tail=Tail.ALARM), replace(ended, tail=Tail.OVER)) == []


@pytest.mark.parametrize("incident", Incident)
def test_a_refusal_that_the_courier_can_mend_or_that_people_had_decided_is_not_told(
    incident: Incident,
) -> None:
    is_told = incident not in NEXT_STEPS_AFTER_REFUSAL and incident not in BY_PEOPLE
    expected = [E.NOT_DELIVERED] if is_told else []
    assert told(visit(State.REQUESTED), visit(State.REFUSED), incident=incident) == expected


def test_delivered_bears_the_time_at_which_the_lock_was_seen_not_that_of_the_last_word() -> None:
    seen_at = NOW - timedelta(minutes=2)
    (telling,) = list_tellings(
        visit(State.ACCOUNTING), row(visit(State.DELIVERED), last_observed_at=seen_at), NOW
    )
    assert telling.facts == {"at": seen_at.isoformat()}


# ---------------------------------------------------------------- with a real town


@pytest.fixture
async def stage(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(database, tmp_path) as stage:
        yield stage


async def notices(stage: Stage, reader: str = "consignee") -> list[dict[str, Any]]:
    async with (
        stage.platform.database.connection() as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        query = "SELECT * FROM notice WHERE reader = %s ORDER BY created_at, event"
        await cursor.execute(query, (reader,))
        return await cursor.fetchall()


async def test_a_delivery_tells_of_its_opening_and_of_its_end_to_the_second(stage: Stage) -> None:
    stop = await stage.add_stop()
    visit_id = await stage.deliver(stop)
    await stage.until_state(visit_id, State.DELIVERED)
    await stage.until(visit_id, lambda row: row.visit.tail is Tail.OVER)
    rows = await notices(stage)
    assert [one["event"] for one in rows] == [E.UNLOCKED, E.DELIVERED]
    assert {one["visit_id"] for one in rows} == {visit_id}
    delivered = rows[-1]
    assert delivered["facts"]["courier"] == "Bo"
    seen_at = datetime.fromisoformat(delivered["facts"]["at"])
    assert rows[0]["created_at"] <= seen_at <= delivered["created_at"]
    words = write_notice(E.DELIVERED, NoticeReader.CONSIGNEE, Language.ENGLISH, delivered["facts"], UTC)
    assert f"{seen_at:%H:%M:%S}" in words.body
    assert [one["event"] for one in await notices(stage, "carrier")] == [E.DELIVERED]
    assert await notices(stage, "operator") == []


async def test_no_notice_of_a_journey_holds_a_plate_a_position_or_a_vin(stage: Stage) -> None:
    """A delivery, a refusal and an alarm: every fact of every notice, and every text of it."""
    stop, far = await stage.add_stop(), await stage.add_stop()
    visit_id = await stage.deliver(stop)
    await stage.until_state(visit_id, State.DELIVERED)
    await stage.town.move(far.vin, 34.0, -84.0)
    await stage.scan(far, position=Position(latitude=34.0, longitude=-84.0, accuracy_m=5))
    await stage.until(visit_id, lambda row: row.visit.tail is Tail.OVER)
    rows = [*await notices(stage), *await notices(stage, "carrier"), *await notices(stage, "operator")]
    assert len(rows) >= 3
    for one in rows:
        text = json.dumps(one["facts"])
        for language in Language:
            words = write_notice(
                NoticeEvent(one["event"]), NoticeReader(one["reader"]), language, one["facts"], UTC
            )
            text += words.subject + words.body
        for secret in ("ABC 123", "33.7", "-84", "34.0", stop.vin, far.vin):
            assert secret not in text, one


async def test_the_same_refusal_of_one_plan_is_told_once_and_of_the_next_plan_again(
    database: Database, tmp_path: Path
) -> None:
    async with open_stage(database, tmp_path, has_worker=False) as stage:
        stop = await stage.add_stop()
        async with database.connection() as connection:
            await connection.execute("UPDATE access_point SET blocked_at = now()")
        for _ in range(3):
            assert Incident.CONSIGNEE_BLOCKED in (await stage.scan(stop)).reasons
        (one,) = await notices(stage)
        assert one["event"] == E.NOT_DELIVERED
        assert one["facts"]["incident"] == "consignee_blocked"
        assert one["facts"]["fallback"] == "to_door"
        async with database.connection() as connection:
            await connection.execute("UPDATE stop SET plan_number = 2, state = 'open'")
        await stage.scan(stop)
        assert len(await notices(stage)) == 2


async def test_an_alarm_reaches_the_household_the_carrier_and_the_desk(stage: Stage) -> None:
    stop = await stage.add_stop()
    await stage.town.set_fault(stop.vin, FaultKind.JAMMED)
    visit_id = await stage.begin(stop)
    await stage.until_state(visit_id, State.READY, State.UNLOCKED)
    assert await stage.town.can_open_trunk(stop.vin)
    await stage.say(stop, visit_id, Fact.COURIER_OPENED)
    await stage.say(stop, visit_id, Fact.COURIER_DEPOSITED)
    await stage.town.close_trunk(stop.vin)
    await stage.say(stop, visit_id, Fact.COURIER_CLOSED)
    await stage.until_state(visit_id, State.UNSECURED)
    for reader in NoticeReader:
        assert E.NOT_SECURED in [one["event"] for one in await notices(stage, reader.value)]


async def test_what_was_not_committed_was_not_told(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notice is part of the fact's own transaction: as if the machine had stopped just before its commit."""
    async with open_stage(database, tmp_path, has_worker=False) as stage:
        stop = await stage.add_stop()
        async with database.connection() as connection:
            await connection.execute("UPDATE access_point SET blocked_at = now()")

        async def tell_and_break_down(*given: Any) -> None:
            await tell_of_visit(*given)
            raise RuntimeError

        with monkeypatch.context() as patch:
            patch.setattr("unlatch.flow.record.tell_of_visit", tell_and_break_down)
            with pytest.raises(RuntimeError):
                await stage.scan(stop)
        assert await notices(stage) == []
        await stage.scan(stop)
        assert len(await notices(stage)) == 1
