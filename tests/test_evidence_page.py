"""The page of evidence is what its figures say, and the figures are of a run in which all held."""

from __future__ import annotations

import json

from tests.evidence import KEPT, LAYERS, PAGE, SECTIONS, add_up, make_page

from unlatch.simulation.run import HARD_CASES


def test_the_page_is_made_from_the_figures_beside_it() -> None:
    figures = json.loads(KEPT.read_text(encoding="utf-8"))
    assert PAGE.read_text(encoding="utf-8") == make_page(figures), (
        "run PYTHONPATH=src:. python -m tests.evidence --page"
    )


def test_everything_held_and_nothing_that_was_to_be_met_was_left_out() -> None:
    layers = json.loads(KEPT.read_text(encoding="utf-8"))["layers"]
    assert {name for name, layer in layers.items() if not layer["held"]} == set()
    simulated = layers["simulation"]["figures"]
    assert set(simulated["hard_cases"]) == set(HARD_CASES)
    assert {name: count for name, count in simulated["hard_cases"].items() if count < 100} == {}
    assert [line["name"] for line in layers["mutants"]["figures"] if not line["killed_by"]] == []


def test_each_layer_has_a_section() -> None:
    assert set(SECTIONS) == set(LAYERS)


def test_counts_of_two_simulations_are_added() -> None:
    one = {
        "seed": 1, "badness": 1.0, "broken": ["x"], "worlds": 1, "visits": 2, "unlocks": 3, "locks": 4, "seconds": 5.0,
        "faults": {"a": 1}, "hard_cases": {"b": 2}, "ends": {"delivered": 1},
    }  # fmt: skip
    other = {**one, "seed": 2, "broken": [], "seconds": 4.0, "ends": {"refused": 2}}
    whole = add_up([one, other])
    assert (whole["seeds"], whole["visits"], whole["broken"], whole["seconds"]) == ([1, 2], 4, ["x"], 5.0)
    assert whole["ends"] == {"delivered": 1, "refused": 2}
