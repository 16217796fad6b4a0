"""Every maker's EXAMPLES, served over real HTTP, mean what the maker's file says they mean."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.devices.canned import canned_cloud
from tests.devices.trying import build, car_of, check_example

from unlatch.clock import Clock
from unlatch.devices import base, link
from unlatch.devices.base import Example, Maker, Verb
from unlatch.devices.catalogue import find_makers
from unlatch.domain.visit import FIRST_BYTE_WITHIN_S, SECURE_WITHIN_S, TAIL_DEADLINES_S, Tail

CASES = [(kind, example) for kind in find_makers().values() for example in kind.examples]


@pytest.mark.parametrize(("kind", "example"), CASES, ids=[f"{k.name}: {e.title}" for k, e in CASES])
async def test_an_example_means_what_it_says(kind: type[Maker], example: Example) -> None:
    await check_example(kind, example)


@pytest.mark.parametrize("kind", find_makers().values(), ids=list(find_makers()))
def test_a_maker_is_told_completely(kind: type[Maker]) -> None:
    assert kind.__module__.rpartition(".")[2] == kind.name, "a maker's file bears its name"
    assert kind.label
    assert kind.default_address.startswith("https://")
    assert kind.form_fields
    assert {example.verb for example in kind.examples} >= {Verb.UNLOCK, Verb.LOCK, Verb.READ}
    assert all(example.source for example in kind.examples)
    assert all(example.account_kind in (None, *kind.account_kinds) for example in kind.examples)
    titles = [example.title for example in kind.examples]
    assert len(titles) == len(set(titles))


@pytest.mark.parametrize("kind", find_makers().values(), ids=list(find_makers()))
async def test_people_are_called_in_time_even_where_only_the_tail_can_tell(kind: type[Maker]) -> None:
    """L1: a maker that may act later than this needs a tail with shorter patience (domain/visit.py)."""
    maker = build(kind, "http://127.0.0.1:9", Clock())
    for account_kind in (None, *kind.account_kinds):
        late_s = maker.closure(car_of(kind, account_kind)).late_effect_s
        assert FIRST_BYTE_WITHIN_S + late_s + TAIL_DEADLINES_S[Tail.WATCHING] <= SECURE_WITHIN_S
    await maker.link.close()


@pytest.mark.parametrize("kind", find_makers().values(), ids=list(find_makers()))
async def test_a_cloud_whose_clock_is_ahead_makes_no_old_news_fresh(kind: type[Maker]) -> None:
    """Every time in the maker's own reading, moved a thousand years ahead, is taken for now."""
    example = next(one for one in kind.examples if one.reading is not None and one.reading.is_locked)
    ahead = [
        replace(reply, body=json.dumps(reply.body).replace('"2026-', '"3026-')) for reply in example.replies
    ]
    async with canned_cloud(ahead) as cloud:
        maker = build(kind, cloud.base, Clock(factor=1000.0))
        reading = await maker.read(car_of(kind, example.account_kind, example))
        assert reading.observed_at <= maker.link.clock.now()
        assert reading.is_locked is True
        await maker.link.close()


def test_every_code_is_one_of_the_contracts_words() -> None:
    told = (base.__doc__ or "").partition("one of these words:")[2]
    codes = {code for kind in find_makers().values() for code in (e.code for e in kind.examples) if code}
    codes |= set(link.CODES_OF_CUT.values()) | set(link._CAUSES_OF_403.values())
    assert codes <= {word.strip("(),;. \n") for word in told.split()}
