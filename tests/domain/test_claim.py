"""The table of claims: every state and act, what nobody may do, and that no claim waits for ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from unlatch.domain.claim import (
    CLAIM_LASTS_S,
    CLAIM_TURNS,
    FINAL,
    PARTIES,
    ClaimAct,
    ClaimKind,
    ClaimParty,
    ClaimStanding,
    ClaimState,
    act_on,
    list_acts,
    open_claim,
)
from unlatch.domain.claim_texts import ACT_TEXTS, KIND_TEXTS, STATE_TEXTS, act_text, kind_text, state_text
from unlatch.domain.wording import Language

NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)
LATER = NOW + timedelta(days=400)
S, A = ClaimState, ClaimAct
# Written out once more, by hand: (state, act) -> state. All else is refused.
EXPECTED = {
    (S.OPEN, A.ADMIT): S.ANSWERED,
    (S.OPEN, A.DENY): S.ANSWERED,
    (S.OPEN, A.WITHDRAW): S.WITHDRAWN,
    (S.OPEN, A.RUN_OUT): S.ESCALATED,
    (S.ANSWERED, A.AGREE): S.SETTLED,
    (S.ANSWERED, A.DISPUTE): S.DISPUTED,
    (S.ANSWERED, A.WITHDRAW): S.WITHDRAWN,
    (S.ANSWERED, A.RUN_OUT): S.SETTLED,
    (S.DISPUTED, A.ADMIT): S.SETTLED,
    (S.DISPUTED, A.DENY): S.ESCALATED,
    (S.DISPUTED, A.WITHDRAW): S.WITHDRAWN,
    (S.DISPUTED, A.RUN_OUT): S.ESCALATED,
    (S.ESCALATED, A.ADMIT): S.SETTLED,
    (S.ESCALATED, A.UPHOLD): S.SETTLED,
    (S.ESCALATED, A.DISMISS): S.DISMISSED,
    (S.ESCALATED, A.WITHDRAW): S.WITHDRAWN,
}
TURNING = [act for act in ClaimAct if act not in (A.SAY, A.ADD_EVIDENCE)]


def standing(state: ClaimState, **changes: bool) -> ClaimStanding:
    return ClaimStanding(state=state, due_at=None if state in FINAL else NOW, **changes)


@pytest.mark.parametrize("act", TURNING)
@pytest.mark.parametrize("state", ClaimState)
def test_every_state_and_act(state: ClaimState, act: ClaimAct) -> None:
    after = act_on(standing(state), act, LATER)
    assert (None if after is None else after.state) == EXPECTED.get((state, act))
    if after is not None:
        assert (after.due_at is None) == (after.state in FINAL)


@pytest.mark.parametrize("state", ClaimState)
def test_the_courier_s_word_turns_nothing_and_is_said_once_while_it_is_open(state: ClaimState) -> None:
    said = act_on(standing(state), A.SAY, NOW)
    if state in FINAL:
        assert said is None
        return
    assert said is not None
    assert (said.state, said.has_courier_word, said.due_at) == (state, True, NOW)
    assert act_on(said, A.SAY, NOW) is None
    for act in CLAIM_TURNS[state]:
        after = act_on(said, act, LATER)
        assert after is not None
        assert after.has_courier_word, "a later step must not forget it"


@pytest.mark.parametrize("state", [S.OPEN, S.ANSWERED, S.DISPUTED])
def test_time_is_up_at_the_moment_it_is_due_and_not_before(state: ClaimState) -> None:
    assert act_on(standing(state), A.RUN_OUT, NOW - timedelta(microseconds=1)) is None
    assert act_on(standing(state), A.RUN_OUT, NOW) is not None


def test_the_carrier_has_seven_days_and_three_for_what_is_disputed() -> None:
    claim = open_claim(NOW)
    assert claim.due_at == NOW + timedelta(days=7)
    denied = act_on(claim, A.DENY, NOW)
    assert denied is not None
    assert (denied.is_accepted, denied.due_at) == (False, NOW + timedelta(days=14))
    disputed = act_on(denied, A.DISPUTE, NOW)
    assert disputed is not None
    assert (disputed.is_accepted, disputed.due_at) == (False, NOW + timedelta(days=3))
    admitted = act_on(disputed, A.ADMIT, NOW)
    assert admitted is not None
    assert (admitted.is_accepted, admitted.due_at) == (True, None)


def test_no_claim_goes_on_for_ever() -> None:
    """Whatever is done to it, a claim has ended after at most five turns; each open state has its time."""

    def longest(state: ClaimState, way: tuple[ClaimState, ...]) -> int:
        assert state not in way, f"a circle: {way} and {state} again"
        return max((1 + longest(after, (*way, state)) for after in CLAIM_TURNS[state].values()), default=0)

    assert longest(S.OPEN, ()) == 4
    assert set(CLAIM_LASTS_S) == set(ClaimState) - FINAL
    assert {state for state, turns in CLAIM_TURNS.items() if not turns} == FINAL


def test_every_act_is_of_one_party_and_is_offered_exactly_where_it_works() -> None:
    assert set(PARTIES) == set(ClaimAct)
    for state in ClaimState:
        for has_word in (False, True):
            before = standing(state, has_courier_word=has_word)
            for act in ClaimAct:
                if act is A.ADD_EVIDENCE:
                    continue
                is_offered = act in list_acts(before, PARTIES[act])
                assert is_offered == (act_on(before, act, LATER) is not None), (state, act)
                others = [party for party in ClaimParty if party is not PARTIES[act]]
                assert [party for party in others if act in list_acts(before, party)] == []


def test_everything_has_its_text_in_both_languages() -> None:
    assert set(KIND_TEXTS) == set(ClaimKind)
    assert set(STATE_TEXTS) == set(ClaimState)
    assert set(ACT_TEXTS) == set(ClaimAct)
    for texts in (*KIND_TEXTS.values(), *STATE_TEXTS.values(), *ACT_TEXTS.values()):
        assert len(set(texts)) == 2
        assert all(text.endswith(".") for text in texts)
    assert kind_text(ClaimKind.OTHER, Language.FRENCH) == "Autre chose n'allait pas."
    assert state_text(S.SETTLED, Language.ENGLISH) == "It is settled."
    assert act_text(A.SAY, Language.FRENCH).startswith("Le livreur")
