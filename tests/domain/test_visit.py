"""The visit protocol, told as short stories, and asked for its promises with any facts at any time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unlatch.domain.access import Closure
from unlatch.domain.reading import Sight
from unlatch.domain.visit import (
    DEADLINES_S,
    FIRST_BYTE_WITHIN_S,
    LIVE,
    ORDERS,
    SECURE_WITHIN_S,
    TAIL_DEADLINES_S,
    TAIL_TRANSITIONS,
    TRANSITIONS,
    Fact,
    Order,
    State,
    Tail,
    Visit,
    begin,
    due_fact,
    fact_of_sight,
    step,
)

F, O, S, T = Fact, Order, State, Tail  # noqa: E741
NOON = datetime(2026, 4, 24, 12, 0, tzinfo=UTC)
STRONG = Closure(reads_lock=True, reads_lid=True)
WEAK = Closure(reads_lock=False, reads_lid=True)


@dataclass
class Story:
    """One visit, told fact by fact, a second apart unless said otherwise."""

    closure: Closure = STRONG
    is_recorded: bool = False
    now: datetime = NOON
    orders: list[Order] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.visit, orders = begin(self.closure, is_recorded=self.is_recorded, now=self.now)
        self.orders.extend(orders)

    def tell(self, *facts: Fact) -> Story:
        for fact in facts:
            self.now += timedelta(seconds=1)
            self.visit, orders = step(self.visit, fact, self.now)
            self.orders.extend(orders)
        return self

    def wait(self) -> Story:
        """Until the clock has something to say, and it says it."""
        assert self.visit.deadline_at is not None
        self.now = max(self.now, self.visit.deadline_at)
        fact = due_fact(self.visit, self.now)
        assert fact is not None
        self.visit, orders = step(self.visit, fact, self.now)
        self.orders.extend(orders)
        return self

    def is_in(self, state: State) -> bool:
        return self.visit.state is state


def opened(closure: Closure = STRONG) -> Story:
    story = Story(closure).tell(F.GRANTED, F.GATE_PASSED, F.UNLOCK_SAID_DONE)
    return story.tell(F.SEEN_CLOSED, F.COURIER_OPENED) if closure.reads_lock else story.tell(F.COURIER_OPENED)


# --- all well --------------------------------------------------------------------------------------------------


def test_delivered() -> None:
    story = opened().tell(F.COURIER_DEPOSITED, F.COURIER_CLOSED, F.LOCK_SAID_DONE)
    assert story.is_in(S.LOCKING), "a command's answer moves nothing"
    story.tell(F.SEEN_LOCKED)
    assert story.is_in(S.DELIVERED)
    assert story.orders == [O.LOOK, O.UNLOCK, O.WATCH, O.LOCK, O.ISSUE_PROOF]
    assert story.visit.tail is T.WATCHING
    story.tell(F.SEEN_LOCKED_FOR_GOOD)
    assert (story.visit.tail, story.visit.deadline_at) == (T.OVER, None)


def test_home_is_unlocked_only_after_its_camera_has_proven_that_it_records() -> None:
    story = Story(is_recorded=True).tell(F.GRANTED)
    assert story.is_in(S.PROVING)
    assert story.orders == [O.LOOK, O.PROVE_RECORDING]
    story.tell(F.RECORDING_PROVEN)
    assert story.orders[-1] is O.UNLOCK


def test_lock_that_cannot_be_read_ends_under_a_weaker_name() -> None:
    story = opened(WEAK).tell(F.COURIER_DEPOSITED, F.COURIER_CLOSED, F.LOCK_SAID_DONE)
    assert story.is_in(S.HANDLE_CHECK)
    story.tell(F.COURIER_PULLED_HANDLE)
    assert story.is_in(S.DELIVERED_LOCK_NOT_SEEN)
    assert O.CALL_CONSIGNEE in story.orders


# --- hard cases ------------------------------------------------------------------------------------------------

TO_DOOR = (F.GRANTED,)
AWAY = (*TO_DOOR, F.GATE_PASSED)
STORIES: dict[str, tuple[tuple[Fact, ...], State]] = {
    "denied": ((F.DENIED,), S.REFUSED),
    "blocked before the decision": ((F.BLOCKED,), S.REFUSED),
    "blocked before the gate": ((*TO_DOOR, F.BLOCKED), S.REFUSED),
    "the gate stays shut": ((*TO_DOOR, F.GATE_SHUT), S.REFUSED),
    "the resident opens first": ((*TO_DOOR, F.SEEN_OPEN), S.REFUSED),
    "drives off between decision and unlock": ((*TO_DOOR, F.DROVE_OFF), S.REFUSED),
    "surely not sent after the gate": ((*AWAY, F.UNLOCK_NOT_SENT), S.UNDELIVERED),
    "the cloud says failed": ((*AWAY, F.UNLOCK_REJECTED), S.IN_DOUBT),
    "the cloud says failed, and it moved": ((*AWAY, F.UNLOCK_REJECTED, F.SEEN_CLOSED), S.UNLOCKED),
    "its worker died": ((*AWAY, F.UNLOCK_UNKNOWN), S.IN_DOUBT),
    "the answer comes after its worker was given up": (
        (*AWAY, F.UNLOCK_UNKNOWN, F.UNLOCK_SAID_DONE),
        S.READY,
    ),
    "done, and nothing moved": ((*AWAY, F.UNLOCK_SAID_DONE, F.SEEN_LOCKED), S.READY),
    "answers doubled": ((*AWAY, F.UNLOCK_SAID_DONE, F.UNLOCK_SAID_DONE), S.READY),
    "gives up before it opens": ((*AWAY, F.COURIER_GAVE_UP), S.LOCKING),
    "gives up with it open": ((*AWAY, F.SEEN_OPEN, F.COURIER_GAVE_UP, F.SEEN_LOCKED), S.UNDELIVERED),
    "blocked while the unlock is on its way": ((*AWAY, F.BLOCKED), S.LOCKING),
    "blocked while open": ((*AWAY, F.SEEN_OPEN, F.BLOCKED), S.LOCKING),
    "drives off while open": ((*AWAY, F.SEEN_OPEN, F.DROVE_OFF), S.UNSECURED),
    "opened again while locking": ((*AWAY, F.SEEN_OPEN, F.COURIER_CLOSED, F.SEEN_OPEN), S.OPEN),
    "jammed": ((*AWAY, F.SEEN_OPEN, F.COURIER_CLOSED, F.LOCK_FAILED), S.STUCK),
    "jammed twice": (
        (*AWAY, F.SEEN_OPEN, F.COURIER_CLOSED, F.LOCK_FAILED, F.COURIER_CLOSED, F.LOCK_FAILED),
        S.UNSECURED,
    ),
    "locked, and nobody says where the parcel is": ((*AWAY, F.SEEN_OPEN, F.SEEN_LOCKED), S.ACCOUNTING),
    "relocked, and the phone was in a dead spot": ((*AWAY, F.SEEN_CLOSED, F.SEEN_LOCKED), S.ACCOUNTING),
    "the word comes late": ((*AWAY, F.SEEN_OPEN, F.SEEN_LOCKED, F.COURIER_DEPOSITED), S.DELIVERED),
    "the late word is the first news of an opening": (
        (*AWAY, F.SEEN_CLOSED, F.SEEN_LOCKED, F.COURIER_DEPOSITED),
        S.LOCKING,
    ),
    "an operator rules": ((*AWAY, F.PATIENCE_RAN_OUT, F.RULED_DELIVERED), S.RULED_DELIVERED),
}


@pytest.mark.parametrize("name", STORIES)
def test_story(name: str) -> None:
    facts, end = STORIES[name]
    assert Story().tell(*facts).visit.state is end


@pytest.mark.parametrize("name", [name for name, (_, end) in STORIES.items() if end is S.REFUSED])
def test_nothing_leaves_after_a_refusal(name: str) -> None:
    story = Story().tell(*STORIES[name][0])
    story.tell(*Fact)
    assert story.is_in(S.REFUSED)
    assert story.visit.tail is T.NONE
    assert O.LOCK not in story.orders


def test_an_opening_that_nobody_follows_up_is_locked_and_then_called_for() -> None:
    story = Story().tell(F.GRANTED, F.GATE_PASSED)
    gate_at = story.now
    while O.CALL_OPERATOR not in story.orders:
        story.wait()
    assert O.LOCK in story.orders
    assert story.now - gate_at <= timedelta(seconds=SECURE_WITHIN_S)


def test_recording_lost_is_an_alarm_and_stays_on_the_record() -> None:
    story = Story(is_recorded=True).tell(F.GRANTED, F.RECORDING_PROVEN, F.GATE_PASSED, F.SEEN_OPEN)
    story.tell(F.COURIER_DEPOSITED, F.RECORDING_LOST)
    assert story.is_in(S.UNSECURED)
    assert story.orders[-3:] == [O.LOCK, O.CALL_OPERATOR, O.CALL_CONSIGNEE]
    story.tell(F.SEEN_LOCKED)
    assert story.is_in(S.DELIVERED)
    assert not story.visit.is_clean


def test_late_unlock_after_the_visit_is_locked_and_called_for() -> None:
    story = opened().tell(F.COURIER_DEPOSITED, F.SEEN_LOCKED)
    story.orders.clear()
    story.tell(F.SEEN_CLOSED)
    assert story.visit.tail is T.ALARM
    assert story.orders == [O.LOCK, O.CALL_CONSIGNEE, O.CALL_OPERATOR]


def test_late_unlock_that_nobody_can_see_is_called_for_in_time() -> None:
    story = Story().tell(F.GRANTED, F.GATE_PASSED)
    gate_at = story.now
    story.tell(F.SEEN_OPEN, F.COURIER_DEPOSITED, F.SEEN_LOCKED)
    story.orders.clear()
    story.wait()
    assert story.visit.tail is T.BLIND
    assert story.orders == [O.LOCK, O.CALL_CONSIGNEE, O.CALL_OPERATOR]
    assert story.now - gate_at <= timedelta(seconds=SECURE_WITHIN_S)


def test_late_unlock_of_a_closure_that_nobody_can_read_is_locked_away() -> None:
    """The consignee was asked to look when the visit ended; what may have opened since then is locked unseen."""
    story = opened(WEAK).tell(
        F.COURIER_DEPOSITED, F.COURIER_CLOSED, F.LOCK_SAID_DONE, F.COURIER_PULLED_HANDLE
    )
    assert (story.visit.state, story.visit.tail) == (S.DELIVERED_LOCK_NOT_SEEN, T.WATCHING)
    late_until = story.visit.late_until
    story.orders.clear()
    story.wait()
    assert (story.visit.tail, story.orders) == (T.OVER, [O.LOCK])
    assert late_until is not None
    assert story.now >= late_until


def test_ruling_ends_a_tail_in_which_nothing_late_can_come_and_no_other() -> None:
    story = opened().tell(F.COURIER_DEPOSITED, F.SEEN_LOCKED, F.SEEN_OPEN, F.RULED_DELIVERED)
    tails = [story.visit.tail]
    assert story.visit.late_until is not None
    story.now = story.visit.late_until
    tails.append(story.tell(F.SEEN_OPEN).visit.tail)
    tails.append(story.tell(F.RULED_DELIVERED).visit.tail)
    assert tails == [T.WATCHING, T.ALARM, T.OVER]


def test_a_new_opening_after_locked_has_a_patience_of_its_own() -> None:
    story = Story().tell(*AWAY, F.PATIENCE_RAN_OUT, F.SEEN_OPEN, F.SEEN_LOCKED)
    assert (story.visit.state, story.visit.secure_by, story.visit.is_called) == (S.ACCOUNTING, None, False)
    story.tell(F.SEEN_OPEN)
    assert story.visit.secure_by == story.now + timedelta(seconds=SECURE_WITHIN_S)
    assert not story.visit.is_called


# --- what a reading is -----------------------------------------------------------------------------------------


def test_locked_from_before_the_reported_opening_says_nothing() -> None:
    story = Story().tell(*AWAY, F.COURIER_OPENED)
    assert fact_of_sight(story.visit, Sight.LOCKED, story.now) is None
    assert fact_of_sight(story.visit, Sight.LOCKED, story.now + timedelta(seconds=1)) is F.SEEN_LOCKED
    assert fact_of_sight(story.visit, Sight.OPEN, story.now - timedelta(seconds=9)) is F.SEEN_OPEN


def test_locked_from_before_the_ordered_lock_says_nothing() -> None:
    story = Story().tell(*AWAY, F.BLOCKED)
    assert fact_of_sight(story.visit, Sight.LOCKED, story.now) is None


def test_locked_is_for_good_only_once_a_late_unlock_is_impossible() -> None:
    story = Story().tell(F.GRANTED, F.GATE_PASSED)
    gate_at = story.now
    story.tell(F.SEEN_OPEN, F.COURIER_DEPOSITED, F.SEEN_LOCKED)
    late_until = gate_at + timedelta(seconds=FIRST_BYTE_WITHIN_S + STRONG.late_effect_s)
    assert story.visit.late_until == late_until, "the cloud's time counts from the first byte"
    before = late_until - timedelta(seconds=1)
    assert fact_of_sight(story.visit, Sight.LOCKED, before) is F.SEEN_LOCKED
    assert fact_of_sight(story.visit, Sight.LOCKED, late_until) is F.SEEN_LOCKED_FOR_GOOD


# --- the table -------------------------------------------------------------------------------------------------


def test_what_may_wait_has_a_deadline_and_an_answer_to_it() -> None:
    assert set(TRANSITIONS) == LIVE == set(DEADLINES_S)
    assert set(TAIL_TRANSITIONS) == set(TAIL_DEADLINES_S)
    for state in LIVE:
        assert F.CLOCK_RAN_OUT in TRANSITIONS[state], state
    for tail in TAIL_TRANSITIONS:
        assert F.CLOCK_RAN_OUT in TAIL_TRANSITIONS[tail], tail


def test_unlock_is_ordered_in_one_state_which_no_unlock_leads_back_to() -> None:
    assert [state for state, orders in ORDERS.items() if O.UNLOCK in orders] == [S.GRANTED]
    entering = {state for state, arrows in TRANSITIONS.items() if S.GRANTED in arrows.values()}
    assert entering == {S.PROVING}


@pytest.mark.parametrize("state", State)
def test_a_fact_that_is_not_listed_changes_nothing(state: State) -> None:
    visit = Visit(closure=STRONG, is_recorded=False, state=state, deadline_at=NOON)
    for fact in set(Fact) - set(TRANSITIONS.get(state, {})):
        assert step(visit, fact, NOON) == (visit, ()), fact


def walk(facts: Iterable[Fact | None], closure: Closure, *, is_recorded: bool) -> Iterable[Story]:
    """A visit that meets any facts; None: time passes until the clock has something to say."""
    story = Story(closure, is_recorded)
    for fact in facts:
        if fact is not None:
            story.tell(fact)
        elif story.visit.deadline_at is not None:
            story.wait()
        yield story


# Facts that a visit meets on its way come first, so that many walks get past the gate.
BEGINNINGS = st.sampled_from([(F.GRANTED, F.GATE_PASSED), (F.GRANTED, F.RECORDING_PROVEN, F.GATE_PASSED), ()])
WALKS = st.tuples(BEGINNINGS, st.lists(st.one_of(st.none(), st.sampled_from(Fact)), max_size=25))
CLOSURES = st.sampled_from([STRONG, WEAK, replace(STRONG, reads_lid=False), replace(WEAK, reads_lid=False)])


@settings(max_examples=300, deadline=None)
@given(walk_of=WALKS, closure=CLOSURES, is_recorded=st.booleans())
def test_orders_depend_on_the_state_entered_alone(
    walk_of: tuple[tuple[Fact, ...], list[Fact | None]], closure: Closure, is_recorded: bool
) -> None:
    seen = 1  # the first look
    for story in walk((*walk_of[0], *walk_of[1]), closure, is_recorded=is_recorded):
        new, seen = story.orders[seen:], len(story.orders)
        if new and story.visit.tail is T.NONE:
            wanted = ORDERS[story.visit.state]
            assert [order for order in wanted if order in new] == new
            assert set(wanted) - set(new) <= (set() if is_recorded else {O.PROVE_RECORDING, O.STOP_RECORDING})


@settings(max_examples=300, deadline=None)
@given(walk_of=WALKS, closure=CLOSURES, is_recorded=st.booleans())
def test_an_opening_is_seen_locked_or_called_for_in_time(
    walk_of: tuple[tuple[Fact, ...], list[Fact | None]], closure: Closure, is_recorded: bool
) -> None:
    facts = [fact for fact in (*walk_of[0], *walk_of[1]) if fact is not F.PATIENCE_RAN_OUT]
    began_at: datetime | None = None
    for story in walk(facts, closure, is_recorded=is_recorded):
        visit = story.visit
        if not visit.is_live or visit.secure_by is None or visit.is_called:
            began_at = None
            continue
        began_at = began_at or story.now
        assert visit.deadline_at is not None
        assert visit.deadline_at <= visit.secure_by <= began_at + timedelta(seconds=SECURE_WITHIN_S)


@settings(max_examples=300, deadline=None)
@given(walk_of=WALKS, closure=CLOSURES, is_recorded=st.booleans())
def test_a_visit_left_alone_ends_or_calls_an_operator(
    walk_of: tuple[tuple[Fact, ...], list[Fact | None]], closure: Closure, is_recorded: bool
) -> None:
    story = Story(closure, is_recorded)
    for story in walk((*walk_of[0], *walk_of[1]), closure, is_recorded=is_recorded):  # noqa: B007
        pass
    story.orders.clear()
    for _ in range(15):
        if story.visit.deadline_at is None or O.CALL_OPERATOR in story.orders:
            return
        story.wait()
    pytest.fail(f"{story.visit} goes on and on in silence")


@settings(max_examples=300, deadline=None)
@given(walk_of=WALKS, closure=CLOSURES, is_recorded=st.booleans())
def test_unlock_is_ordered_once_and_an_end_is_for_good(
    walk_of: tuple[tuple[Fact, ...], list[Fact | None]], closure: Closure, is_recorded: bool
) -> None:
    end: State | None = None
    for story in walk((*walk_of[0], *walk_of[1]), closure, is_recorded=is_recorded):
        assert story.orders.count(O.UNLOCK) <= 1
        assert end is None or story.is_in(end)
        end = story.visit.state if not story.visit.is_live else None
        if end in (S.DELIVERED, S.DELIVERED_LOCK_NOT_SEEN):
            assert (end is S.DELIVERED) is closure.reads_lock


def test_a_person_rules_where_nobody_has_said_where_the_parcel_is() -> None:
    story = Story().tell(
        F.GRANTED, F.GATE_PASSED, F.UNLOCK_SAID_DONE, F.SEEN_OPEN, F.SEEN_CLOSED, F.SEEN_LOCKED
    )
    assert story.is_in(S.ACCOUNTING)
    assert story.tell(F.RULED_DELIVERED).is_in(S.RULED_DELIVERED)


def test_where_the_courier_has_gone_a_person_rules_on_a_handle_that_nobody_pulls() -> None:
    """Found by the simulation (seed 3): lock again, ask for the handle again, for ever, with ten seconds to rule in."""
    story = Story(closure=WEAK).tell(
        F.GRANTED, F.GATE_PASSED, F.UNLOCK_SAID_DONE, F.COURIER_OPENED, F.COURIER_DEPOSITED, F.COURIER_CLOSED,
        F.LOCK_SAID_DONE,
    )  # fmt: skip
    assert story.is_in(S.HANDLE_CHECK)
    assert not story.visit.waits_for_person
    assert story.tell(F.RULED_DELIVERED).is_in(
        S.HANDLE_CHECK
    )  # nobody was called: the courier is asked first
    story.tell(F.CLOCK_RAN_OUT, F.LOCK_SAID_DONE)
    assert story.is_in(S.HANDLE_CHECK)
    assert story.visit.waits_for_person
    assert story.tell(F.RULED_DELIVERED).is_in(S.RULED_DELIVERED)
    assert story.visit.tail is T.WATCHING
