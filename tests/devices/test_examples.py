"""Every maker's EXAMPLES, served over real HTTP, mean what the maker's file says they mean."""

from __future__ import annotations

import pytest
from tests.devices.trying import check_example

from unlatch.devices.base import Example, Maker, Verb
from unlatch.devices.catalogue import find_makers

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
