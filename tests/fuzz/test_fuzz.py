"""A slice of the bad input that the evidence has in bulk."""

from __future__ import annotations

import random

import pytest
from tests.fuzz.barcodes import SEEDS, mutate, try_barcodes
from tests.fuzz.positions import chord_m, try_positions

from unlatch.domain import decision, label
from unlatch.domain.access import Position, distance_m
from unlatch.domain.label import LabelFault


def test_barcodes_are_a_label_or_a_fault() -> None:
    told = try_barcodes(7, 20_000)
    assert told["broken"] == []
    assert set(told["taken_for"]) >= {
        str(fault) for fault in (LabelFault.CHECK_DIGIT, LabelFault.FOREIGN, LabelFault.TRUNCATED)
    }
    assert sum(told["taken_for"].values()) == 20_000


def test_accidents_change_what_was_printed() -> None:
    lot = random.Random(1)
    assert sum(mutate(lot, SEEDS[0]) != SEEDS[0] for _ in range(100)) > 95


def test_a_position_opens_nothing_that_another_reckoning_forbids() -> None:
    told = try_positions(7, 4_000)
    assert told["broken"] == []
    assert told["granted"] > 50
    assert told["denied"] > 1_000
    assert told["refused by the shape"] > 100


@pytest.mark.parametrize(("longitude", "other"), [(180.0, -180.0), (179.9999, -179.9999), (0.0, 0.001)])
def test_both_reckonings_cross_the_antimeridian(longitude: float, other: float) -> None:
    one, two = Position(latitude=51.0, longitude=longitude), Position(latitude=51.0, longitude=other)
    assert abs(distance_m(one, two) - chord_m(one, two)) < 0.01


def test_a_reach_that_grows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision, "distance_m", lambda one, other: distance_m(one, other) / 2)
    assert try_positions(7, 2_000)["broken"]


def test_a_label_of_another_parcel_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = label._read_unit

    def read_unit(*args: object) -> object:
        found = honest(*args)  # type: ignore[arg-type]
        if isinstance(found, LabelFault):
            return found
        return type(found)(kind=found.kind, key="sscc:999999999999999999")

    monkeypatch.setattr(label, "_read_unit", read_unit)
    assert try_barcodes(7, 3_000)["broken"]
