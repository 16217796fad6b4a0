"""The page of the visit protocol is drawn from the running table, and is current."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product
from pathlib import Path

from unlatch.domain.access import Closure
from unlatch.domain.drawing import MEANINGS, TAIL_MEANINGS, draw_page, draw_states, draw_tail
from unlatch.domain.visit import TRANSITIONS, Fact, State, Tail, Visit, Whereabouts, step

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "visit.md"


def test_the_page_is_current() -> None:
    renew = "PYTHONPATH=src:. python -m tests.domain.test_drawing"
    assert PAGE.read_text(encoding="utf-8") == draw_page(), f"docs/reference/visit.md is stale: run {renew}"


def test_every_state_and_tail_is_explained() -> None:
    assert set(MEANINGS) == set(State)
    assert set(TAIL_MEANINGS) == set(Tail)


def test_every_state_is_in_the_diagram() -> None:
    lines = draw_states().splitlines()
    for state in State:
        assert any(f"--> {state}" in line for line in lines), f"nothing leads to {state}"
        assert any(line.strip().startswith(f"{state} -->") for line in lines), (
            f"nothing leads on from {state}"
        )


def test_an_arrow_taken_away_is_missing_in_the_diagram() -> None:
    arrow = "open --> open_long: clock_ran_out"
    assert arrow in draw_states()
    table = TRANSITIONS[State.OPEN]
    assert isinstance(table, dict)
    kept = dict(table)
    try:
        table.clear()
        assert arrow not in draw_states()
    finally:
        table.update(kept)


def test_what_settled_leads_to_is_what_the_protocol_does() -> None:
    drawn = {
        line.split()[2].rstrip(":")
        for line in draw_states().splitlines()
        if line.strip().startswith("settled -->")
    }
    reached = set()
    for can_see, has_opened, parcel, (state, fact) in product(
        (True, False),
        (True, False),
        Whereabouts,
        ((State.ACCOUNTING, Fact.COURIER_DEPOSITED), (State.UNSECURED, Fact.SEEN_LOCKED)),
    ):
        closure = Closure(reads_lock=can_see, reads_lid=True)
        visit = Visit(
            closure=closure, is_recorded=False, state=state, has_opened=has_opened, whereabouts=parcel
        )
        reached.add(step(visit, fact, datetime(2026, 1, 1, tzinfo=UTC))[0].state.value)
    assert drawn == reached


def test_the_tail_ends() -> None:
    assert draw_tail().endswith("over --> [*]")


if __name__ == "__main__":
    PAGE.write_text(draw_page(), encoding="utf-8")
