"""A slice of the siege that the evidence has in full: each blow once or twice, and one backup restored in mid-visit."""

from __future__ import annotations

import pytest
from tests.siege.restoring import run
from tests.siege.siege import Wishes

VISITS, RESTORED = 36, 12
BLOWS = {
    "server killed": 2,
    "worker killed": 1,
    "worker killed at a point": 2,
    "database killed": 1,
    "line cut": 3,
    "line stalled": 1,
    "clock skewed": 1,
}


@pytest.mark.timeout(300)  # twice as long where a person has to settle something
async def test_three_ledgers_agree_after_a_siege_and_a_restore() -> None:
    told = await run(
        Wishes(visits=VISITS, visits_restored=RESTORED, per_s=3.0, factor=20.0, seed=11, blows=BLOWS),
        lambda _: None,
    )
    assert told["broken"] == []
    assert {kind: told["blows"][kind] for kind in BLOWS} == BLOWS
    assert told["errands"] == VISITS
    assert told["ledgers"]["delivered"] > VISITS / 2
    assert told["ledgers"]["unlocks that reached a cloud"] > VISITS / 2
    assert told["restored"]["unlocks at clouds before"] > 0
    assert told["restored"]["unlocks at clouds after"] > 0
