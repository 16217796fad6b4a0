"""The table of what may be done to a booking: whole, worded, and the page that shows it. Each cell is played on a real
database in tests/flow/test_rebooking.py.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlatch.domain.access import Fallback
from unlatch.domain.booking import (
    EXTEND_AT_MOST,
    LATEST_LOCAL,
    PARTS,
    TABLE,
    Advice,
    Effect,
    Outcome,
    Part,
    Refusal,
    Stage,
    StopState,
    Wish,
    advise,
    latest_end,
    outcome_of,
    refuse,
    same_window_later,
    stage_of,
)
from unlatch.domain.booking_wording import advice_text, outcome_text, refusal_text, stage_text
from unlatch.domain.fallback import TRIES_MAX, plan_of, redirected_plan, step_text
from unlatch.domain.incident import Incident
from unlatch.domain.visit import BEFORE_GATE, LIVE, State
from unlatch.domain.wording import Language

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "booking.md"
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
ENDED = {Stage.DELIVERED, Stage.FALLBACK_DONE, Stage.CANCELLED}
CELLS = list(product(Wish, Stage))
ZONES = ("America/New_York", "America/Phoenix", "Europe/Paris", "Australia/Lord_Howe", "Pacific/Apia")
OF_A_PLACE = {Wish.BLOCK, Wish.UNBLOCK, Wish.FREEZE, Wish.THAW}


def test_every_cell_is_there() -> None:
    assert set(TABLE) == set(Wish) == set(PARTS)
    for wish in Wish:
        assert set(TABLE[wish]) == set(Stage), wish


@pytest.mark.parametrize(("wish", "stage"), CELLS)
def test_a_cell_says_why_not_and_only_then(wish: Wish, stage: Stage) -> None:
    outcome = outcome_of(wish, stage)
    assert (outcome.refusal is not None) == (outcome.effect is Effect.NOT_ANY_MORE)
    for language in Language:
        assert outcome_text(wish, outcome, language).strip()


def test_before_the_gate_the_consignee_and_the_carrier_may_stop_it_and_after_it_only_a_block_counts() -> None:
    """S4: before the gate nothing leaves; after it what is open is locked, and nothing is sent elsewhere."""
    assert {wish for wish in Wish if outcome_of(wish, Stage.BEFORE_GATE).effect is Effect.STOPS_VISIT} == {
        Wish.CANCEL, Wish.REDIRECT, Wish.BLOCK, Wish.FREEZE,
    }  # fmt: skip
    assert {wish for wish in Wish if outcome_of(wish, Stage.OPEN_NOW).effect is Effect.LOCKS_VISIT} == {
        Wish.BLOCK, Wish.FREEZE,
    }  # fmt: skip
    done = {wish for wish in Wish if outcome_of(wish, Stage.OPEN_NOW).effect is Effect.DONE}
    assert done == {Wish.UNBLOCK, Wish.THAW}


def test_nothing_stops_a_visit_where_none_lives() -> None:
    for wish, stage in CELLS:
        if stage not in (Stage.BEFORE_GATE, Stage.OPEN_NOW):
            assert outcome_of(wish, stage).effect not in (Effect.STOPS_VISIT, Effect.LOCKS_VISIT), (
                wish,
                stage,
            )


def test_a_booking_that_has_ended_stays_so() -> None:
    for wish, stage in CELLS:
        if stage in ENDED and wish not in OF_A_PLACE:
            outcome = outcome_of(wish, stage)
            assert outcome.is_refused or outcome.effect is Effect.CHANGES_NOTHING, (wish, stage)


def test_a_carrier_does_not_overrule_the_household() -> None:
    assert outcome_of(Wish.REPLAN, Stage.REDIRECTED) == refuse(Refusal.HOUSEHOLD_REDIRECTED)


def test_every_refusal_of_the_table_is_used_and_worded() -> None:
    used = {outcome.refusal for cells in TABLE.values() for outcome in cells.values()} - {None}
    assert set(Refusal) - used == {Refusal.WINDOW_OVER, Refusal.EXTENDED_ALREADY, Refusal.NOT_OFFERED}
    for language in Language:
        assert all(refusal_text(refusal, language) for refusal in Refusal)
        assert all(stage_text(stage, language) for stage in Stage)
        assert all(advice_text(advice, language) for advice in Advice)
        assert all(step_text(step, language) for step in Fallback)
    assert refusal_text(Refusal.WINDOW_OVER, Language.ENGLISH) != refusal_text(
        Refusal.WINDOW_OVER, Language.FRENCH
    )


STAGES = [
    (StopState.OPEN, {"has_courier": False}, Stage.BOOKED),
    (StopState.OPEN, {}, Stage.PLANNED),
    (StopState.OPEN, {"is_heading": True}, Stage.UNDER_WAY),
    (StopState.OPEN, {"is_heading": True, "visit": State.REQUESTED}, Stage.BEFORE_GATE),
    (StopState.OPEN, {"visit": State.PROVING}, Stage.BEFORE_GATE),
    (StopState.FALLBACK_DUE, {"visit": State.GRANTED}, Stage.BEFORE_GATE),
    (StopState.OPEN, {"visit": State.UNLOCKING}, Stage.OPEN_NOW),
    (StopState.OPEN, {"visit": State.REVIEW}, Stage.OPEN_NOW),
    (StopState.OPEN, {"ruled_out": Incident.DEVICE_ASLEEP}, Stage.RULED_OUT),
    (StopState.OPEN, {"ruled_out": Incident.DEVICE_ASLEEP, "has_courier": False}, Stage.RULED_OUT),
    (StopState.OPEN, {"ruled_out": Incident.DEVICE_ASLEEP, "visit": State.OPEN}, Stage.OPEN_NOW),
    (StopState.FALLBACK_DUE, {"ruled_out": Incident.CONSIGNEE_REDIRECTED}, Stage.REDIRECTED),
    (StopState.FALLBACK_DUE, {"ruled_out": Incident.CARRIER_NOBODY_CAME}, Stage.FALLBACK_DUE),
    (StopState.FALLBACK_DUE, {}, Stage.FALLBACK_DUE),
    (StopState.DELIVERED, {"ruled_out": Incident.DEVICE_ASLEEP}, Stage.DELIVERED),
    (StopState.FALLBACK_DONE, {"ruled_out": Incident.CONSIGNEE_REDIRECTED}, Stage.FALLBACK_DONE),
    (StopState.CANCELLED, {"ruled_out": Incident.CARRIER_CANCELLED}, Stage.CANCELLED),
]


@pytest.mark.parametrize(("state", "more", "stage"), STAGES)
def test_the_stage_follows_from_the_row_and_the_visit(
    state: StopState, more: dict[str, object], stage: Stage
) -> None:
    known = {"has_courier": True, "is_heading": False, "ruled_out": None, "visit": None, **more}
    assert stage_of(state, **known) is stage  # type: ignore[arg-type]


@pytest.mark.parametrize("visit", sorted(LIVE))
def test_a_living_visit_is_before_its_gate_or_after_it(visit: State) -> None:
    stage = stage_of(StopState.OPEN, has_courier=True, is_heading=False, ruled_out=None, visit=visit)
    assert (stage is Stage.BEFORE_GATE) == (visit in BEFORE_GATE)


ADVICE = [
    (Stage.PLANNED, None, None, Advice.GO_TO_PLACE),
    (Stage.UNDER_WAY, None, None, Advice.GO_TO_PLACE),
    (Stage.OPEN_NOW, None, (State.OPEN, None), Advice.FINISH_VISIT),
    (Stage.RULED_OUT, Incident.DEVICE_ASLEEP, None, Advice.TAKE_FALLBACK),
    (Stage.REDIRECTED, Incident.CONSIGNEE_REDIRECTED, None, Advice.TAKE_FALLBACK),
    (Stage.FALLBACK_DUE, None, (State.UNDELIVERED, Incident.COURIER_GAVE_UP), Advice.TAKE_FALLBACK),
    (Stage.FALLBACK_DUE, None, (State.REFUSED, Incident.CONSIGNEE_CAR_OUT_OF_RANGE), Advice.TAKE_FALLBACK),
    (Stage.FALLBACK_DUE, None, (State.REFUSED, Incident.COURIER_TOO_EARLY), Advice.GO_TO_PLACE),
    (Stage.FALLBACK_DUE, None, (State.REFUSED, Incident.COURIER_TOO_FAR), Advice.GO_TO_PLACE),
    (Stage.FALLBACK_DUE, Incident.CARRIER_NOBODY_CAME, (State.REFUSED, Incident.COURIER_TOO_FAR),
     Advice.TAKE_FALLBACK),
    (Stage.CANCELLED, Incident.CARRIER_CANCELLED, None, Advice.BRING_BACK),
    (Stage.DELIVERED, None, None, Advice.NOTHING_MORE),
]  # fmt: skip


@pytest.mark.parametrize(("stage", "ruled_out", "last_visit", "advice"), ADVICE)
def test_the_courier_is_sent_only_where_it_can_still_succeed(
    stage: Stage,
    ruled_out: Incident | None,
    last_visit: tuple[State, Incident | None] | None,
    advice: Advice,
) -> None:
    assert advise(stage, ruled_out=ruled_out, last_visit=last_visit) is advice


def at(text: str, zone: str = "America/New_York") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


EXTENSIONS = [
    ("2026-11-23T08:00", "2026-11-23T12:00", "2026-11-23T16:00"),
    ("2026-11-23T16:00", "2026-11-23T20:00", "2026-11-23T23:00"),
    ("2026-11-23T19:00", "2026-11-23T23:00", "2026-11-23T23:00"),
    ("2026-11-23T20:00", "2026-11-24T00:30", "2026-11-24T00:30"),  # ends later already: not extended, not cut
    ("2026-11-23T20:00", "2026-11-23T22:59", "2026-11-23T23:00"),
]


@pytest.mark.parametrize(("begins", "ends", "latest"), EXTENSIONS)
def test_how_far_a_window_may_be_extended(begins: str, ends: str, latest: str) -> None:
    assert latest_end(at(begins), at(ends), "America/New_York") == at(latest)


AGAIN = [
    ("2026-11-23T16:00", "2026-11-23T20:00", "2026-11-23T19:00", "2026-11-24T16:00", "2026-11-24T20:00"),
    # the clocks go back on 1 November, and forward on 8 March: the wall clock counts
    ("2026-10-31T16:00", "2026-10-31T20:00", "2026-10-31T19:00", "2026-11-01T16:00", "2026-11-01T20:00"),
    ("2027-03-13T08:00", "2027-03-13T12:00", "2027-03-13T12:00", "2027-03-14T08:00", "2027-03-14T12:00"),
    # said late: the next window that is not over
    ("2026-11-23T16:00", "2026-11-23T20:00", "2026-11-25T09:00", "2026-11-25T16:00", "2026-11-25T20:00"),
    ("2026-11-23T16:00", "2026-11-23T20:00", "2026-11-25T21:00", "2026-11-26T16:00", "2026-11-26T20:00"),
    # across midnight
    ("2026-11-23T22:00", "2026-11-24T01:00", "2026-11-24T00:30", "2026-11-24T22:00", "2026-11-25T01:00"),
]


@pytest.mark.parametrize(("begins", "ends", "now", "next_from", "next_until"), AGAIN)
def test_again_tomorrow_is_the_same_window_by_the_wall_clock(
    begins: str, ends: str, now: str, next_from: str, next_until: str
) -> None:
    found = same_window_later(at(begins), at(ends), "America/New_York", now=at(now))
    assert found == (at(next_from), at(next_until))


@given(
    begins=st.integers(0, 2 * 365 * 24 * 60).map(lambda minute: FIRST + timedelta(minutes=minute)),
    minutes=st.integers(1, 24 * 60),
    late=st.integers(0, 10 * 24 * 60),
    zone=st.sampled_from(ZONES),
)
def test_again_is_always_a_window_to_come(begins: datetime, minutes: int, late: int, zone: str) -> None:
    ends, now = begins + timedelta(minutes=minutes), begins + timedelta(minutes=late)
    next_from, next_until = same_window_later(begins, ends, zone, now=now)
    assert begins < next_from < next_until
    assert next_until > now
    assert next_from.tzinfo is UTC


PLANS = [
    ("to_door", (), 1, "to_door depot"),
    ("neighbour", ("to_door", "tomorrow"), 1, "neighbour to_door tomorrow"),
    ("neighbour", ("to_door", "tomorrow"), 3, "neighbour to_door depot"),
    ("tomorrow", (), 2, "tomorrow"),
    ("tomorrow", (), 3, "depot"),
    ("depot", (), 1, "depot"),
    ("depot", ("to_door",), 1, "depot"),
    ("neighbour", ("tomorrow", "depot"), 3, "neighbour depot"),
    ("to_door", ("to_door", "depot"), 1, "to_door depot"),
]


@pytest.mark.parametrize(("first", "later", "tries", "plan"), PLANS)
def test_a_plan_ends_with_what_is_always_possible(
    first: str, later: tuple[str, ...], tries: int, plan: str
) -> None:
    assert plan_of(first, later, tries=tries) == tuple(Fallback(one) for one in plan.split())


def test_a_redirect_puts_the_choice_in_front() -> None:
    plan = plan_of("to_door", ("tomorrow",))
    assert redirected_plan(Fallback.NEIGHBOUR, plan) == (
        Fallback.NEIGHBOUR, Fallback.TO_DOOR, Fallback.TOMORROW,
    )  # fmt: skip
    assert redirected_plan(Fallback.TO_DOOR, plan) == plan
    # what is always possible is what they get, and nothing else
    assert redirected_plan(Fallback.TOMORROW, plan) == (Fallback.TOMORROW,)
    assert redirected_plan(Fallback.DEPOT, plan) == (Fallback.DEPOT,)
    with pytest.raises(ValueError, match="3 days"):
        redirected_plan(Fallback.TOMORROW, plan, tries=TRIES_MAX)


@given(
    first=st.sampled_from(Fallback),
    later=st.lists(st.sampled_from(Fallback)),
    tries=st.integers(1, 5),
    chosen=st.sampled_from(Fallback),
)
def test_no_plan_repeats_a_step_or_ends_in_the_air(
    first: Fallback, later: list[Fallback], tries: int, chosen: Fallback
) -> None:
    plan = plan_of(first, later, tries=tries)
    assert len(set(plan)) == len(plan) > 0
    assert plan[-1] in (Fallback.TOMORROW, Fallback.DEPOT)
    if tries >= TRIES_MAX:
        assert Fallback.TOMORROW not in plan
    assert plan_of(plan[0], plan[1:], tries=tries) == plan
    if tries < TRIES_MAX or chosen is not Fallback.TOMORROW:
        changed = redirected_plan(chosen, plan, tries=tries)
        assert changed[0] is chosen
        assert changed[-1] in (Fallback.TOMORROW, Fallback.DEPOT)


LIMITS = f"""\
- A window is extended once a plan, by at most {EXTEND_AT_MOST.seconds // 3600} hours, and never past \
{LATEST_LOCAL:%H:%M} by the clock of the address.
- "Again tomorrow" is tried at most {TRIES_MAX} days in a row; then the parcel goes to the depot. Its window is
  the one that was planned, without what the household had extended it by.
- What a household has sent another way can be taken back (`keep`) while the window lasts and the courier has not
  carried it out; a carrier can't overrule it.
- Each change counts the plan up (`plan_number`), but for a hand-over of which the household need not know. What was
  due for an older plan is void.
""".splitlines()


def _cell(outcome: Outcome) -> str:
    if outcome.refusal is not None:
        return f"no: `{outcome.refusal}`"
    return {
        Effect.DONE: "done",
        Effect.STOPS_VISIT: "done, **stops the visit**",
        Effect.LOCKS_VISIT: "done, **what is open is locked**",
        Effect.CHANGES_NOTHING: "changes nothing",
    }[outcome.effect]


def render_page() -> str:
    """docs/reference/booking.md, from the tables."""
    english, french = Language.ENGLISH, Language.FRENCH
    lines = [
        "# What may be done to a booking",
        "",
        "<!-- Written by tests/domain/test_booking.py from domain/booking.py. To renew it, run",
        "     PYTHONPATH=src:. python -m tests.domain.test_booking -->",
        "",
        "A booking is a stop from the moment it is booked until it has ended. What becomes of a wish depends on whose",
        "it is and on the stage; each wish is one transaction that locks the place first, as a scan and the gate do:",
        "the order in which they commit decides every race. Said again, a wish changes nothing and answers the same.",
        "",
        "## Stages",
        "",
        "| stage | English | French |",
        "|---|---|---|",
        *(f"| `{stage}` | {stage_text(stage, english)} | {stage_text(stage, french)} |" for stage in Stage),
        "",
    ]
    for part in Part:
        wishes = [wish for wish in Wish if PARTS[wish] is part]
        lines += [
            f"## Wishes of the {part}",
            "",
            f"| stage | {' | '.join(f'`{wish}`' for wish in wishes)} |",
            f"|---|{'---|' * len(wishes)}",
            *(
                f"| `{stage}` | {' | '.join(_cell(outcome_of(wish, stage)) for wish in wishes)} |"
                for stage in Stage
            ),
            "",
        ]
    lines += [
        "## Why not",
        "",
        "The last three hang on the clock, on earlier wishes and on the rules, not on the stage.",
        "",
        "| reason | English | French |",
        "|---|---|---|",
        *(f"| `{one}` | {refusal_text(one, english)} | {refusal_text(one, french)} |" for one in Refusal),
        "",
        "## Limits",
        "",
        *LIMITS,
        "",
        "## The fallback, step by step",
        "",
        "A plan ends with a step that is always possible. The courier reports the step that was carried out; those",
        "before it count as tried.",
        "",
        "| step | English | French |",
        "|---|---|---|",
        *(f"| `{step}` | {step_text(step, english)} | {step_text(step, french)} |" for step in Fallback),
        "",
        "## What the courier's list advises",
        "",
        "| advice | English | French |",
        "|---|---|---|",
        *(f"| `{one}` | {advice_text(one, english)} | {advice_text(one, french)} |" for one in Advice),
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == render_page(), "run: PYTHONPATH=src:. python -m tests.domain.test_booking"


if __name__ == "__main__":
    PAGE.write_text(render_page())
