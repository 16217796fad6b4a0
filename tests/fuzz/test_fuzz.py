"""A slice of the bad input that the evidence has in bulk."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from tests.devices.trying import VIN, car_of
from tests.fuzz.answers import draw, try_answers
from tests.fuzz.barcodes import SEEDS, mutate, try_barcodes
from tests.fuzz.endpoints import try_endpoints
from tests.fuzz.garbling import Said
from tests.fuzz.hearing import judge
from tests.fuzz.positions import chord_m, try_positions
from tests.fuzz.recorded import RECORDED
from tests.web.conftest import make_platform

from unlatch.devices.base import Answer, Evidence, LinkedCar
from unlatch.devices.oauth import Tokens
from unlatch.domain import decision, label
from unlatch.domain.access import Position, distance_m
from unlatch.domain.label import LabelFault
from unlatch.domain.reading import Reading
from unlatch.errors import CommandNotSent
from unlatch.store.database import Database

AT = datetime(2026, 11, 22, 10, tzinfo=UTC)


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


def test_nothing_is_believed_of_a_spoilt_answer_that_it_does_not_say() -> None:
    told = try_answers(7, 600)
    assert told["broken"] == []
    assert set(told["taken_for"]) >= {"done", "not_sent", "rejected", "seen locked", "unknown"}
    assert sum(told["taken_for"].values()) == 600


def test_a_case_is_the_same_however_often_it_is_drawn() -> None:
    assert [draw(7, number) for number in range(300)] == [draw(7, number) for number in range(300)]


def test_what_nobody_said_is_found() -> None:
    said = [Said("POST /", 200, b"{}"), Said("WS call_service", 200, b"{}"), Said("GET /", 404, b"{}")]
    good = Reading(observed_at=AT, is_locked=True, is_open=False, is_moving=False)
    done = Answer(evidence=Evidence.CLOUD_SAYS, answered_at=AT)
    tokens = Tokens(access_token="a1", refresh_token=None, expires_in_s=1.0, scopes=None)
    believed = {
        "unlock": done,
        "lock": done,
        "read": good,
        "list_cars": [LinkedCar(vin=VIN)],
        "refresh": tokens,
    }
    not_sent = CommandNotSent("", code="offline")
    tried = [one for one in RECORDED if one.verb in believed]
    for one in tried:
        car = car_of(one.kind, one.example.account_kind, one.example)
        assert judge(one, car, said, believed[one.verb], None, AT), one.title
        if one.verb in ("unlock", "lock", "refresh"):
            assert judge(one, car, said[:2], None, not_sent, AT), one.title
    assert len(tried) > 100


async def test_endpoints_answer_as_their_document_says(database: Database) -> None:
    platform = make_platform(database)
    told = await try_endpoints(platform, 7, 18, every=60)
    assert told["broken"] == []
    assert (told["operations"], told["count"] > 40, "400" in told["taken_for"]) == (3, True, True)
    await platform.makers.close()
