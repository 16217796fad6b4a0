"""What the protocol does at homes alone: someone is asked first, and a lock follows the closing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from unlatch.domain.access import Closure
from unlatch.domain.visit import DEADLINES_S, Fact, Order, State, Visit, begin, step

F, O, S = Fact, Order, State  # noqa: E741
NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)
DOOR = Closure(reads_lock=True, reads_lid=True)


def play(*facts: Fact, rings_first: bool = True) -> tuple[Visit, tuple[Order, ...]]:
    """A home's visit after these facts, and the orders of the last one."""
    visit, orders = begin(DOOR, is_recorded=True, rings_first=rings_first, now=NOW)
    for fact in facts:
        visit, orders = step(visit, fact, NOW)
    return visit, orders


def test_the_courier_rings_and_only_then_the_camera_is_asked() -> None:
    visit, orders = play(F.GRANTED)
    assert (visit.state, orders) == (S.RINGING, (O.RING,))
    assert visit.is_watched  # someone may come and open
    visit, orders = play(F.GRANTED, F.COURIER_RANG, F.CLOCK_RAN_OUT)
    assert (visit.state, orders) == (S.PROVING, (O.PROVE_RECORDING,))


def test_a_home_that_wants_no_ring_is_not_rung_at() -> None:
    assert play(F.GRANTED, rings_first=False)[0].state is S.PROVING
    visit, _ = begin(DOOR, is_recorded=False, rings_first=True, now=NOW)  # a car has no bell
    assert step(visit, F.GRANTED, NOW)[0].state is S.GRANTED


@pytest.mark.parametrize("came", [F.COURIER_MET_SOMEONE, F.SEEN_OPEN, F.SEEN_CLOSED])
def test_where_someone_comes_nothing_of_ours_opens(came: Fact) -> None:
    visit, orders = play(F.GRANTED, came)
    assert (visit.state, orders) == (S.ANSWERED, (O.STOP_RECORDING,))
    visit, orders = play(F.GRANTED, came, F.RECORDING_PROVEN, F.COURIER_HANDED_OVER)
    assert (visit.state, orders) == (S.HANDED_OVER, (O.STOP_RECORDING, O.ISSUE_PROOF))
    assert play(F.GRANTED, came, F.COURIER_GAVE_UP)[0].state is S.REFUSED


def test_ring_proof_and_gate_fit_into_the_life_of_a_decision() -> None:
    assert DEADLINES_S[S.RINGING] + DEADLINES_S[S.PROVING] < 60
    visit, _ = play(F.GRANTED)
    assert step(visit, F.CLOCK_RAN_OUT, NOW + timedelta(seconds=20))[0].decided_at == NOW


OPENED = (F.GRANTED, F.CLOCK_RAN_OUT, F.RECORDING_PROVEN, F.GATE_PASSED, F.SEEN_OPEN)


def test_a_lock_that_was_ordered_while_it_stood_open_follows_the_closing() -> None:
    visit, orders = play(*OPENED, F.RECORDING_LOST)
    assert (visit.state, visit.is_clean) == (S.UNSECURED, False)
    assert orders == (O.LOCK, O.CALL_OPERATOR, O.CALL_CONSIGNEE)
    visit, orders = step(visit, F.SEEN_CLOSED, NOW)
    assert (visit.state, orders) == (S.UNSECURED, (O.LOCK, O.CALL_OPERATOR, O.CALL_CONSIGNEE))
    assert step(visit, F.SEEN_CLOSED, NOW) == (visit, ())  # once for each closing, not for each reading
    visit, _ = step(visit, F.SEEN_OPEN, NOW)
    assert O.LOCK in step(visit, F.SEEN_CLOSED, NOW)[1]
