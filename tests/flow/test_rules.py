"""The files of the rules: what they say, what a mistake is answered with, and that an edit is taken up."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import time
import tomllib
from datetime import time as time_of_day
from pathlib import Path
from typing import Any

import pytest

from unlatch.domain.access import Assurance, PlaceKind, Position
from unlatch.domain.eligibility import Area, ParcelLimits
from unlatch.errors import SettingsError
from unlatch.flow import postcodes
from unlatch.flow.coverage import Coverage, read_areas
from unlatch.flow.rule_files import COVERAGE, PROGRAMMES, SHIPPED, VEHICLES, find_line, load_files, read_rules
from unlatch.flow.rules import Rulebook
from unlatch.flow.turnstile import Turnstile

CONNECTORS = frozenset({"onstar", "volvo"})
PROGRAMME = f"{PROGRAMMES}/launch-2018.toml"
AREAS = f"{COVERAGE}/launch-2018.geojson"
ROOT = Path(__file__).parents[2]
CONFIRMED = {
    "Atlanta", "Boston", "Chicago", "Cleveland", "Dallas", "Denver", "Los Angeles", "Salt Lake City", "San Francisco",
    "Houston", "Seattle-Tacoma",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(SHIPPED, tmp_path / "rules")
    return tmp_path / "rules"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, (old, text.count(old))
    path.write_text(text.replace(old, new))


def at(latitude: float, longitude: float) -> Position:
    return Position(latitude=latitude, longitude=longitude)


def cover(*polygons: Any, name: str = "here", kind: str = "Polygon") -> Coverage:
    """A coverage of these polygons, each an area of its own."""
    features = [
        {
            "type": "Feature",
            "properties": {
                "name": f"{name}{number}",
                "country": "US",
                "is_confirmed": False,
                "source": "a test",
            },
            "geometry": {"type": kind, "coordinates": polygon},
        }
        for number, polygon in enumerate(polygons)
    ]
    return Coverage(read_areas(json.dumps({"type": "FeatureCollection", "features": features}).encode()))


def square(west: float, south: float, east: float, north: float) -> list[list[list[float]]]:
    return [[[west, south], [east, south], [east, north], [west, north], [west, south]]]


def name_at(coverage: Coverage, latitude: float, longitude: float) -> str | None:
    area = coverage.find_area(at(latitude, longitude))
    return area.name if area else None


# ---- what is shipped


def test_the_shipped_programme_is_that_of_2018() -> None:
    rules = read_rules(load_files(SHIPPED), CONNECTORS)
    programme = rules.programmes["launch-2018"]
    assert (programme.window_s, programme.range_m) == (4 * 3600, 200)
    assert programme.places == {PlaceKind.CAR}
    assert programme.home_locks == {Assurance.SEEN}, "which is what counts where nothing is said"
    assert (float(programme.parcel.max_weight_g or 0), programme.parcel.max_value_cents) == (
        22679.6185,
        130_000,
    )
    assert {rule.make for rule in rules.vehicles.values()} == {
        "Chevrolet", "Buick", "GMC", "Cadillac", "Volvo", "Ford", "Lincoln", "Honda", "Acura"
    }  # fmt: skip
    assert (programme.areas, programme.takes_any_vehicle) == (frozenset({"launch-2018"}), False)
    assert programme.windows == (time_of_day(8), time_of_day(12), time_of_day(16))
    assert (programme.morning_at, programme.preflight_before_s, programme.reads_a_day) == (
        time_of_day(8), (3600, 1800), 24
    )  # fmt: skip
    assert rules.version == read_rules(load_files(SHIPPED), CONNECTORS).version


def test_the_shipped_default_is_open_to_all() -> None:
    programme = read_rules(load_files(SHIPPED), CONNECTORS).get_programme(None)
    assert programme.name == "open"
    assert (programme.areas, programme.countries, programme.plans) == (None, frozenset(), frozenset())
    assert (programme.takes_any_vehicle, programme.takes_unseen_lock) == (True, True)
    assert programme.places == {PlaceKind.CAR, PlaceKind.HOME}
    assert programme.home_locks == {Assurance.SEEN, Assurance.LID_ALONE, Assurance.BOLT_ALONE}
    assert (programme.window_s, programme.windows) == (24 * 3600, ())
    assert programme.parcel == ParcelLimits(takes_other_sellers=True, takes_undeclared=True)


def test_a_programme_that_is_not_there_is_the_default_one() -> None:
    rules = read_rules(load_files(SHIPPED), CONNECTORS)
    for name in (None, "", "gone"):
        assert rules.get_programme(name) is rules.programmes["open"]
    assert rules.get_programme("launch-2018") is rules.programmes["launch-2018"]


def test_the_shipped_areas_are_37_and_say_which_are_confirmed() -> None:
    content = (SHIPPED / AREAS).read_bytes()
    areas = [area for area, _ in read_areas(content)]
    assert len(areas) == len({area.name for area in areas}) == 37
    assert {area.name for area in areas if area.is_confirmed} == CONFIRMED
    for area in areas:
        assert ("assumption" in area.source) is not area.is_confirmed
    assert len(content) < 1_500_000
    listed = tomllib.loads((ROOT / "scripts" / "coverage.toml").read_text())["area"]
    shown = {
        each["properties"]["name"]: each["properties"]["counties"] for each in json.loads(content)["features"]
    }
    assert shown == {each["name"]: each["counties"] for each in listed}


@pytest.mark.parametrize(
    ("postcode", "area"),
    [("30303", "Atlanta"), ("02108", "Boston"), ("60601", "Chicago"), ("44114", "Cleveland"), ("75201", "Dallas"),
     ("80202", "Denver"), ("77002", "Houston"), ("90012", "Los Angeles"), ("84101", "Salt Lake City"),
     ("94103", "San Francisco"), ("98109", "Seattle-Tacoma"), ("98402-1234", "Seattle-Tacoma"), ("78701", "Austin"),
     ("21201", "Baltimore"), ("28202", "Charlotte"), ("45202", "Cincinnati"), ("43215", "Columbus"),
     ("48226", "Detroit"), ("93721", "Fresno"), ("46204", "Indianapolis"), ("64106", "Kansas City"),
     ("33131", "Miami"), ("53202", "Milwaukee"), ("55401", "Minneapolis-St Paul"), ("37203", "Nashville"),
     ("32801", "Orlando"), ("19103", "Philadelphia"), ("85004", "Phoenix"), ("15222", "Pittsburgh"),
     ("97204", "Portland"), ("27601", "Raleigh"), ("95814", "Sacramento"), ("78205", "San Antonio"),
     ("92101", "San Diego"), ("95113", "San Jose"), ("63101", "St Louis"), ("33602", "Tampa"),
     ("20001", "Washington DC"), ("10001", None), ("32202", None), ("89101", None), ("96813", None), ("00000", "?"),
     ("9810", "?"), ("98109-12", "?"), ("ABCDE", "?")],
)  # fmt: skip
def test_postcodes_in_the_middle_of_the_areas(postcode: str, area: str | None) -> None:
    position = postcodes.find_position("US", postcode)
    assert (position is None) == (area == "?")
    if position is not None:
        found = read_rules(load_files(SHIPPED), CONNECTORS).find_area(position) if area else None
        assert (found and found.name) == area


def test_a_postcode_of_another_country_is_not_taken_for_a_zip_code() -> None:
    assert postcodes.find_position("FR", "75001") is None


def test_an_area_is_found_in_microseconds() -> None:
    find_area = read_rules(load_files(SHIPPED), CONNECTORS).find_area
    took_ns = []
    for step in range(5000):
        position = at(25 + step * 24 / 5000, -124 + step * 7 % 54)
        began_ns = time.perf_counter_ns()
        find_area(position)
        took_ns.append(time.perf_counter_ns() - began_ns)
    median_us = statistics.median(took_ns) / 1000
    print(f"area of a position: median {median_us:.1f} us")
    assert median_us < 200


# ---- edges


def test_an_edge_and_a_corner_belong_to_the_area() -> None:
    here = cover(square(-100, 40, -99, 41))
    for latitude, longitude in ((40, -100), (41, -99), (40.5, -100), (40.5, -99), (40, -99.5), (41, -99.5)):
        assert name_at(here, latitude, longitude) == "here0"
    for latitude, longitude in ((40.5, -100.0000001), (39.9999999, -99.5), (41.0000001, -99), (40.5, 99.5)):
        assert name_at(here, latitude, longitude) is None


def test_where_two_areas_meet_the_first_one_wins_and_a_hole_is_no_part() -> None:
    both = cover(square(-100, 40, -99, 41), square(-99, 40, -98, 41))
    assert [name_at(both, 40.5, longitude) for longitude in (-99.5, -99, -98.5)] == [
        "here0",
        "here0",
        "here1",
    ]
    ring = cover([*square(-100, 40, -97, 43), *square(-99, 41, -98, 42)])
    assert [name_at(ring, 41.5, longitude) for longitude in (-99.5, -99, -98.5)] == ["here0", "here0", None]


def test_the_antimeridian() -> None:
    fiji = cover([square(179, -18, 180, -16), square(-180, -18, -179, -16)], kind="MultiPolygon")
    for longitude in (179.0, 179.9999999, 180, -180, -179.9999999, -179):
        assert name_at(fiji, -17, longitude) == "here0"
    assert name_at(fiji, -17, 178.9) is None
    assert name_at(fiji, -17, -178.9) is None
    one_side = cover(square(179, -18, 180, -16))
    assert name_at(one_side, -17, 180) == name_at(one_side, -17, -180) == "here0"
    other_side = cover(square(-180, -18, -179, -16))
    assert name_at(other_side, -17, 180) == name_at(other_side, -17, -180) == "here0"
    pole = cover(square(-180, 89, 0, 90), square(0, 89, 180, 90))
    assert name_at(pole, 90, 12.3) == "here1"


# ---- mistakes


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        (
            PROGRAMME,
            'range = "200 m"',
            'range = "two blocks"',
            [": range", 'write it like "200 m"'],
        ),
        (PROGRAMME, 'window = "4 h"', 'window = "4 d"', [": window", "one of s, min, h"]),
        (PROGRAMME, 'window = "4 h"', 'window = "25 h"', [": window", "at most 24 h"]),
        (PROGRAMME, 'max_weight = "50 lb"', "max_weight = 50", [": parcel.max_weight"]),
        (PROGRAMME, 'max_weight = "50 lb"', 'max_weight = "0 lb"', [": parcel.max_weight", "more than 0"]),
        (PROGRAMME, '"1300.00 USD"', '"1,300 USD"', [": parcel.max_value"]),
        (PROGRAMME, 'places = ["car"]', 'places = ["boat"]', [": places", "boat"]),
        (PROGRAMME, 'vehicles = "listed"', 'vehicles = "some"', [": vehicles", "some"]),
        (PROGRAMME, '["launch-2018"]', '["launch-2018", "moon"]', [": areas[1]", "one of launch-2018"]),
        (PROGRAMME, 'areas = ["launch-2018"]', "areas = []", [": areas"]),
        (PROGRAMME, '"08:00", "12:00"', '"08:00", "noon"', [": windows[1]", 'write it like "08:00"']),
        (PROGRAMME, '"08:00", "12:00"', '"24:00", "12:00"', [": windows[0]", 'write it like "08:00"']),
        (PROGRAMME, '"08:00", "12:00"', '"08:00", "08:00"', [": windows[1]", "08:00 stands there already"]),
        (
            PROGRAMME,
            '"08:00", "12:00"',
            '"08:00", "11:59"',
            [": windows[1]", "11:59 begins before", "of 08:00"],
        ),
        (
            PROGRAMME,
            '"12:00", "16:00"',
            '"12:00", "04:01"',
            [": windows[0]", "08:00 begins before", "of 04:01"],
        ),
        (PROGRAMME, 'window = "4 h"', 'window = "241 min"', ["windows[1]", "12:00 begins before"]),
        (PROGRAMME, 'morning = "08:00"', 'morning = "8 o clock"', [": morning", 'write it like "08:00"']),
        (PROGRAMME, '"60 min", "30 min"', '"60 min", "soon"', [": preflight[1]", 'write it like "4 h"']),
        (PROGRAMME, '"60 min", "30 min"', '"60 min", "1 h"', [": preflight[1]", "1 h stands there already"]),
        (PROGRAMME, '"60 min", "30 min"', '"0 min", "1 h"', [": preflight[0]", "more than 0"]),
        (PROGRAMME, '"60 min", "30 min"', '"60 min", "25 h"', [": preflight[1]", "at most 24 h"]),
        (PROGRAMME, "reads_a_day = 24", "reads_a_day = -1", [": reads_a_day"]),
        (PROGRAMME, "reads_a_day = 24", "clip_days = 0", [": clip_days"]),
        (PROGRAMME, "reads_a_day = 24", "clip_days = 3651", [": clip_days"]),
        (PROGRAMME, 'photos = "none"', 'photos = "some"', [": photos"]),
        (f"{PROGRAMMES}/open.toml", 'window = "24 h"', 'window = "1 d"', [": window"]),
        (PROGRAMME, 'countries = ["US"]', 'countries = ["usa"]', [": countries"]),
        (
            PROGRAMME,
            "takes_signature = false",
            "take_signature = false",
            ["parcel.take_signature", "unknown field"],
        ),
        (PROGRAMME, 'plans = ["prime"]', "# no plans", ["launch-2018.toml", "plans", "missing"]),
        (PROGRAMME, 'plans = ["prime"]', "plans = [", ["launch-2018.toml", "line"]),
        (
            VEHICLES,
            'aliases = ["Chevy"]\nfrom_year = 2015',
            "from_year = '2015'",
            [": make[0].from_year"],
        ),
        (
            VEHICLES,
            'name = "Volvo"\nfrom_year = 2015',
            'name = "Volvo"\nfrom_year = 15',
            [": make[4].from_year"],
        ),
        (
            VEHICLES,
            'connector = "volvo"',
            'connector = "saab"',
            [": make[4].connector", "one of onstar, volvo"],
        ),
        (VEHICLES, 'name = "Lincoln"', 'name = "FORD"', ["make[6].name", "FORD stands there already"]),
        (AREAS, '"name":"Boston"', '"name":"Austin"', ["coverage", "two areas are called Austin"]),
        (AREAS, '"name":"Boston"', '"name":17', ["launch-2018.geojson: features[3].properties.name"]),
        (
            AREAS,
            '{"type":"FeatureCollection",',
            '{"type":"FeatureCollection"',
            ["launch-2018.geojson", "JSON"],
        ),
    ],
)
def test_a_mistake_is_told_with_file_line_and_field(
    folder: Path, name: str, old: str, new: str, told: list[str]
) -> None:
    edit(folder / name, old, new)
    line = 1 + (folder / name).read_text().partition(new)[0].count("\n") + new.count("\n")
    with pytest.raises(SettingsError) as error:
        read_rules(load_files(folder), CONNECTORS)
    place = f":{line}" if told[0].startswith(": ") else ""
    for words in (*told, f"{folder / name if 'two areas' not in str(error.value) else folder}{place}"):
        assert words in str(error.value), error.value


def test_the_line_of_a_field() -> None:
    text = "a = 1\n[b]\nc = 2\n[[d]]\ne = 1\n[[d]]\ne = 2\n"
    fields = ("a", "b.c", "b.missing", "d[0].e", "d[1].e", "d[1].missing", "d[1].e[3].f", "nowhere")
    assert [find_line(text, field) for field in fields] == [1, 3, 2, 5, 7, 6, 7, 1]


@pytest.mark.parametrize(
    ("begins", "length", "is_taken"),
    [('["00:00", "04:00"]', "4 h", True), ('["20:00", "00:00"]', "4 h", True), ('["20:01", "00:00"]', "4 h", False),
     ('["20:00"]', "24 h", True), ('["23:59", "03:59"]', "4 h", True), ('["23:59", "03:58"]', "4 h", False),
     ("[]", "24 h", True), ('["00:00", "12:00"]', "12 h", True), ('["00:00", "12:01"]', "12 h", False)],
)  # fmt: skip
def test_windows_overlap_across_midnight_too(folder: Path, begins: str, length: str, is_taken: bool) -> None:
    edit(folder / PROGRAMME, '["08:00", "12:00", "16:00"]', begins)
    edit(folder / PROGRAMME, 'window = "4 h"', f'window = "{length}"')
    if is_taken:
        windows = read_rules(load_files(folder), CONNECTORS).programmes["launch-2018"].windows
        assert list(windows) == sorted(windows)
        return
    with pytest.raises(SettingsError, match=r"windows\[\d\]: \d\d:\d\d begins before the window of"):
        read_rules(load_files(folder), CONNECTORS)


def test_what_times_and_checks_are_left_out_has_a_usual_value(folder: Path) -> None:
    path = folder / PROGRAMME
    kept = [
        line
        for line in path.read_text().splitlines()
        if not line.startswith(("windows ", "morning", "preflight", "reads_a_day", "areas"))
    ]
    path.write_text("\n".join(kept))
    programme = read_rules(load_files(folder), CONNECTORS).programmes["launch-2018"]
    assert (programme.windows, programme.areas) == ((), None)
    assert (programme.morning_at, programme.preflight_before_s, programme.reads_a_day) == (
        time_of_day(8), (3600, 1800), 24
    )  # fmt: skip


def test_a_programme_is_named_after_its_file_and_its_neighbours_are_left_alone(folder: Path) -> None:
    before = read_rules(load_files(folder), CONNECTORS)
    shutil.copy(folder / PROGRAMME, folder / PROGRAMMES / "mine.toml")
    edit(folder / PROGRAMMES / "mine.toml", "50 lb", "40 lb")
    after = read_rules(load_files(folder), CONNECTORS)
    assert set(after.programmes) == {"launch-2018", "open", "mine"}
    assert after.programmes["launch-2018"] == before.programmes["launch-2018"]
    assert after.version != before.version  # one version over all files
    shutil.copy(folder / PROGRAMME, folder / PROGRAMMES / "Mine again.toml")
    with pytest.raises(SettingsError, match=r"Mine again\.toml: name it with"):
        read_rules(load_files(folder), CONNECTORS)


def test_the_default_must_be_there_and_the_folder_of_before_is_told_how_to_move(folder: Path) -> None:
    (folder / PROGRAMMES / "open.toml").rename(folder / "kept")
    with pytest.raises(SettingsError, match=r"programmes: open\.toml must be there"):
        load_files(folder)
    (folder / "kept").rename(folder / PROGRAMMES / "open.toml")
    (folder / "programme.toml").write_text('name = "mine"\n')
    with pytest.raises(SettingsError, match=r"programme\.toml: move it to programmes/NAME\.toml"):
        load_files(folder)


def test_an_area_is_that_of_the_files_that_the_programme_names(folder: Path) -> None:
    feature = {
        "type": "Feature",
        "properties": {"name": "Mine", "country": "US", "is_confirmed": False, "source": "a test"},
        "geometry": {"type": "Polygon", "coordinates": square(-85, 33, -84, 34)},
    }
    (folder / COVERAGE / "a-mine.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "features": [feature]})
    )
    find_area = read_rules(load_files(folder), CONNECTORS).find_area
    atlanta = at(33.749, -84.388)
    found = [
        find_area(atlanta, coverages)
        for coverages in (None, frozenset({"a-mine"}), frozenset({"launch-2018"}), frozenset({"other"}))
    ]
    assert [area and area.name for area in found] == ["Mine", "Mine", "Atlanta", None]


@pytest.mark.parametrize(
    ("polygon", "told"),
    [
        (square(-100, 40, 100, 41), "antimeridian"),
        (square(-200, 40, -190, 41), "no longitude and latitude"),
        (square(40, -100, 41, -99), "no longitude and latitude"),
        ([[[0, 0], [1, 0], [1, 1], [0, 1]]], "with which it begins"),
        ([[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]], "Self-intersection"),
    ],
)
def test_an_area_that_cannot_be_used_is_named(polygon: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told) as error:
        cover(square(0, 0, 1, 1), polygon)
    assert "features[1] (here1)" in getattr(error.value, "path", "")


def test_files_that_are_missing_or_too_large(folder: Path) -> None:
    (folder / PROGRAMME).write_bytes(b"#" * 300_000)
    with pytest.raises(SettingsError, match=r"launch-2018\.toml: is larger than"):
        load_files(folder)
    (folder / PROGRAMME).unlink()
    (folder / VEHICLES).unlink()
    with pytest.raises(SettingsError, match=r"vehicles\.toml: No such file"):
        load_files(folder)
    shutil.rmtree(folder / COVERAGE)
    with pytest.raises(SettingsError, match="coverage: must hold"):
        load_files(folder)


# ---- reloading


async def test_an_edit_is_taken_up_and_a_broken_one_keeps_what_was(folder: Path) -> None:
    book = Rulebook(folder, look_every_s=0)
    first = await book.get()
    assert await book.get() is first
    edit(folder / PROGRAMME, "50 lb", "40 lb")
    second = await book.get()
    assert second.version != first.version
    weights = [rules.programmes["launch-2018"].parcel.max_weight_g for rules in (first, second)]
    assert weights[0] is not None
    assert weights[1] == weights[0] * 4 / 5
    edit(folder / PROGRAMME, "40 lb", "40 stones")
    assert await book.get() is second
    assert book.trouble is not None
    assert "parcel.max_weight" in book.trouble
    edit(folder / PROGRAMME, "40 stones", "50 lb")
    assert (await book.get()).version == first.version
    assert book.trouble is None


async def test_an_edit_is_not_lost_with_the_request_that_was_taking_it_up(folder: Path) -> None:
    book = Rulebook(folder, look_every_s=0)
    first = await book.get()
    edit(folder / PROGRAMME, "50 lb", "40 lb")
    asking = asyncio.ensure_future(book.get())
    await asyncio.sleep(0)  # it is reading now
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (await book.get()).version != first.version


async def test_a_folder_that_goes_away_and_comes_back_unchanged(folder: Path) -> None:
    book = Rulebook(folder, look_every_s=0)
    first = await book.get()
    away = folder.with_name("away")
    folder.rename(away)  # noqa: ASYNC240
    assert await book.get() is first
    assert book.trouble is not None
    away.rename(folder)
    assert (await book.get()).version == first.version
    assert book.trouble is None


async def test_a_new_file_of_areas_counts_and_many_may_ask_at_once(folder: Path) -> None:
    book = Rulebook(folder, look_every_s=0)
    assert len({(await one).version for one in [asyncio.ensure_future(book.get()) for _ in range(20)]}) == 1
    nowhere = at(44.5, -99.5)
    assert (await book.get()).find_area(nowhere) is None
    feature = {
        "type": "Feature",
        "properties": {"name": "Pierre", "country": "US", "is_confirmed": False, "source": "a test"},
        "geometry": {"type": "Polygon", "coordinates": square(-100, 44, -99, 45)},
    }
    draft = folder / "draft"
    draft.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    os.replace(draft, folder / COVERAGE / "more.geojson")  # noqa: PTH105
    area = (await book.get()).find_area(nowhere)
    assert area == Area(name="Pierre", country="US", is_confirmed=False, source="a test", coverage="more")


async def test_a_process_does_not_start_with_broken_rules(folder: Path) -> None:
    (folder / VEHICLES).write_text("make = []")
    with pytest.raises(SettingsError, match=r"vehicles\.toml:1: make"):
        await Rulebook(folder).get()


def test_the_turnstile_lets_so_many_through_and_no_more() -> None:
    turnstile = Turnstile(a_second=0.001, at_once=3)
    assert [turnstile.lets_through() for _ in range(5)] == [True, True, True, False, False]
