"""The tables of incidents and next steps are complete: no bad turn without a name, no state without a step."""

from __future__ import annotations

import ast
import inspect

import pytest

from unlatch.domain import decision, incident
from unlatch.domain.incident import (
    NEXT_STEPS,
    NEXT_STEPS_AFTER_REFUSAL,
    Incident,
    NextStep,
    incident_of,
    incident_of_tail,
    next_step_of,
)
from unlatch.domain.visit import TAIL_ORDERS, TRANSITIONS, Fact, Order, State, Tail, Turn

BAD_ENDS = {State.REFUSED, State.UNSECURED, State.STUCK, State.IN_DOUBT}
ALARMS = {Fact.DROVE_OFF, Fact.RECORDING_LOST, Fact.PATIENCE_RAN_OUT, Fact.LOCK_FAILED, Fact.BLOCKED}
BY_DECISION = {Fact.DENIED}  # its reasons are the incidents
REPEATED = {Fact.COURIER_CLOSED, Fact.COURIER_OPENED}  # in a state that had its incident on entering
TURNS = [(state, fact, target) for state, facts in TRANSITIONS.items() for fact, target in facts.items()]


@pytest.mark.parametrize("state", State)
def test_each_state_has_a_next_step(state: State) -> None:
    assert isinstance(NEXT_STEPS[state], NextStep)
    assert next_step_of(state, None) is NEXT_STEPS[state]


@pytest.mark.parametrize("found", Incident)
def test_each_refusal_has_a_next_step_and_no_other_state_looks_at_it(found: Incident) -> None:
    expected = NEXT_STEPS_AFTER_REFUSAL.get(found, NextStep.TAKE_FALLBACK)
    assert next_step_of(State.REFUSED, found) is expected
    assert next_step_of(State.OPEN, found) is NextStep.PUT_PARCEL_IN


def test_each_next_step_is_used() -> None:
    assert {*NEXT_STEPS.values(), *NEXT_STEPS_AFTER_REFUSAL.values(), NextStep.TAKE_FALLBACK} == set(
        NextStep
    ) - {next_step_of(State.UNSECURED, Incident.DEVICE_RECORDING_LOST)}


@pytest.mark.parametrize(
    ("state", "fact"),
    [(state, fact) for state, fact, target in TURNS if target in BAD_ENDS and state != target],
)
def test_each_turn_to_a_bad_end_has_an_incident(state: State, fact: Fact) -> None:
    if fact not in BY_DECISION | REPEATED:
        assert incident_of(state, fact) is not None, f"{state} + {fact} has no name"


@pytest.mark.parametrize(("state", "fact"), [(state, fact) for state, fact, _ in TURNS if fact in ALARMS])
def test_each_alarm_has_an_incident_in_every_state(state: State, fact: Fact) -> None:
    assert incident_of(state, fact) is not None


@pytest.mark.parametrize(
    ("state", "fact"),
    [
        (state, fact)
        for state, fact, target in TURNS
        if target in (State.UNDELIVERED, State.UNDELIVERED_LOCK_NOT_SEEN)
    ],
)
def test_each_direct_turn_to_undelivered_has_an_incident(state: State, fact: Fact) -> None:
    assert incident_of(state, fact) is not None


@pytest.mark.parametrize(
    ("state", "fact"),
    [
        (State.REQUESTED, Fact.GRANTED),
        (State.GRANTED, Fact.GATE_PASSED),
        (State.UNLOCKING, Fact.UNLOCK_SAID_DONE),
        (State.READY, Fact.SEEN_CLOSED),
        (State.UNLOCKED, Fact.SEEN_OPEN),
        (State.OPEN, Fact.COURIER_DEPOSITED),
        (State.OPEN, Fact.SEEN_CLOSED),
        (State.CLOSED, Fact.CLOCK_RAN_OUT),
        (State.LOCKING, Fact.SEEN_LOCKED),
        (State.HANDLE_CHECK, Fact.COURIER_PULLED_HANDLE),
    ],
)
def test_the_happy_way_has_no_incident(state: State, fact: Fact) -> None:
    assert fact in TRANSITIONS[state]
    assert incident_of(state, fact) is None


@pytest.mark.parametrize("tail", Tail)
def test_a_tail_that_calls_someone_has_an_incident(tail: Tail) -> None:
    calls = Order.CALL_OPERATOR in TAIL_ORDERS.get(tail, ())
    assert (incident_of_tail(tail) is not None) is calls


def test_each_incident_can_happen() -> None:
    """Each is found by a check, a turn, a tail, a raised fence, a freeze, or told by the device that can't be read."""
    tree = ast.parse(inspect.getsource(decision))
    by_check = {
        Incident[node.attr]
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "I"
    }
    by_turn = {incident_of(state, fact) for state, fact, _ in TURNS}
    by_tail = {incident_of_tail(tail) for tail in Tail}
    by_device = {
        Incident.DEVICE_ASLEEP,
        Incident.DEVICE_CONSENT_LOST,
        Incident.DEVICE_SUBSCRIPTION_LAPSED,
    }
    by_fence = {Incident.PLATFORM_RESTORED}
    by_freeze = {Incident.PLATFORM_COURIER_FROZEN, Incident.PLATFORM_FROZEN_WIDELY}  # the row says which
    assert set(Incident) <= by_check | by_turn | by_tail | by_device | by_fence | by_freeze


def test_each_pair_of_the_table_is_a_turn_of_the_protocol() -> None:
    """An incident for a pair that the protocol does not know is never told to anyone."""
    pairs = {(state, fact) for state, fact, _ in TURNS}
    assert set(incident._BY_STATE_AND_FACT) <= pairs


def test_the_culprit_stands_in_front() -> None:
    for found in Incident:
        assert found.split("_")[0] in {"courier", "consignee", "device", "carrier", "platform"}


def test_targets_are_states_or_turns() -> None:
    assert {type(target) for _, _, target in TURNS} == {State, Turn}
