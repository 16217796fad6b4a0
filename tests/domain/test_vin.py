"""What a VIN tells, and what it leaves open."""

from __future__ import annotations

import random
import tomllib

import pytest
from tests.domain.vins import break_check_digit, check_digit, make_vin
from vininfo.dicts import WMI

from unlatch.domain.vin import VinFault, read_vin
from unlatch.flow.rule_files import SHIPPED, VEHICLES

CHEVROLET_2015 = make_vin("1G1", "F")


def test_published_examples() -> None:
    """Two VINs whose check digits are printed in the literature on them: X stands for ten."""
    assert check_digit("1M8GDM9AXKP042788") == "X"
    assert check_digit("11111111111111111") == "1"
    assert read_vin("1M8GDM9AXKP042788").fault is None
    assert read_vin("11111111111111111").fault is None


def test_maker_and_year() -> None:
    reading = read_vin(CHEVROLET_2015)
    assert (reading.fault, reading.maker, reading.years) == (None, "Chevrolet", (2015,))
    assert read_vin(f" {CHEVROLET_2015.lower()} ") == reading


@pytest.mark.parametrize(
    "text", ["", "1", CHEVROLET_2015[:-1], CHEVROLET_2015 + "1", "I" + CHEVROLET_2015[1:], "1G1BC5AT0FF10000\u0661",
             CHEVROLET_2015[:-1] + "O", CHEVROLET_2015[:-1] + "Q", "\u00df" * 9, "1G1BC5AT0FF10000 "],
)  # fmt: skip
def test_what_is_no_vin(text: str) -> None:
    reading = read_vin(text)
    assert reading.fault is VinFault.NOT_WELL_FORMED
    assert reading.maker is None
    assert reading.years == ()


def test_the_check_digit_binds_in_north_america_alone() -> None:
    assert read_vin(break_check_digit(CHEVROLET_2015)).fault is VinFault.CHECK_DIGIT_WRONG
    for start in ("YV4", "KL7", "JH4", "W04"):
        assert read_vin(break_check_digit(make_vin(start, "F"))).fault is None
    assert read_vin(break_check_digit(make_vin("7JR", "J"))).fault is VinFault.CHECK_DIGIT_WRONG
    assert read_vin(break_check_digit(make_vin("7A1", "J"))).fault is None  # New Zealand


@pytest.mark.parametrize(
    ("start", "seventh", "letter", "years"),
    [("1G1", "A", "E", (2014,)), ("1G1", "A", "F", (2015,)), ("1G1", "5", "F", (1985,)), ("1G1", "A", "9", (2039,)),
     ("YV4", "A", "F", (1985, 2015)), ("YV4", "A", "A", (1980, 2010)), ("1G1", "A", "U", ()), ("1G1", "A", "0", ())],
)  # fmt: skip
def test_the_year_and_its_ambiguity(start: str, seventh: str, letter: str, years: tuple[int, ...]) -> None:
    assert read_vin(make_vin(start, letter, seventh=seventh)).years == years


def test_no_text_makes_it_raise() -> None:
    lots = random.Random(20261122)
    letters = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"
    starts = [str(key) for key in WMI if not set(key) & set("IOQ")]
    for _ in range(5000):
        start = lots.choice(starts)
        reading = read_vin(start + "".join(lots.choices(letters, k=17 - len(start))))
        assert reading.fault is not VinFault.NOT_WELL_FORMED


def test_every_name_in_the_shipped_rules_is_one_that_a_vin_can_have() -> None:
    known = {value if isinstance(value, str) else value.manufacturer for value in WMI.values()}
    for make in tomllib.loads((SHIPPED / VEHICLES).read_text())["make"]:
        assert {*make["vin_makers"], *make["vin_groups"]} <= known, make["name"]
        assert make["vin_makers"]
