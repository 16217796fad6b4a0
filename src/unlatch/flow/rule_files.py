"""The files of the rules, read and checked: programmes/*.toml, vehicles.toml, coverage/*.geojson.

A mistake raises SettingsError naming file, line or path, field and remedy. The first one found is told.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from unlatch.domain.access import Assurance, PlaceKind
from unlatch.domain.amount import (
    read_box_mm,
    read_duration_s,
    read_length_mm,
    read_money,
    read_time_of_day,
    read_weight_g,
)
from unlatch.domain.eligibility import (
    DEFAULT_PROGRAMME,
    ParcelLimits,
    Programme,
    Rules,
    VehicleRule,
    fold,
)
from unlatch.domain.photo import PhotoRule
from unlatch.errors import SettingsError

SHIPPED = Path(__file__).parents[1] / "data"
PROGRAMMES, VEHICLES, COVERAGE = "programmes", "vehicles.toml", "coverage"
PROGRAMME_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,39}")
OLD_PROGRAMME = "programme.toml"  # before there were several: its name stood in it
MAX_TOML_BYTES = 256 * 1024
MAX_COVERAGE_BYTES = 16 * 1024 * 1024
MAX_FILES = 64  # of programmes, and of coverage
VERSION_CHARACTERS = 12
DAY_S = 24 * 3600
MAX_WINDOW_S = DAY_S
MAX_READS_A_DAY = 1000
MAX_RANGE_M = 5_000
MAX_CLIP_DAYS = 3650

Word = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[^\u0000-\u001f\u007f]*$")]
Words = Annotated[list[Word], Meta(max_length=100)]
Year = Annotated[int, Meta(ge=1980, le=2100)]
Shape = TypeVar("Shape", bound=Struct)
Value = TypeVar("Value")


class ParcelTable(Struct, kw_only=True, forbid_unknown_fields=True):
    """[parcel] of a programme."""

    max_weight: Word | None = None
    max_dimensions: Word | None = None
    max_value: Word | None = None
    takes_signature: bool
    takes_other_sellers: bool
    takes_dangerous_goods: bool
    takes_undeclared: bool = False


class ProgrammeTable(Struct, kw_only=True, forbid_unknown_fields=True):
    """A file of programmes/."""

    countries: Annotated[list[Annotated[str, Meta(pattern="^[A-Z]{2}$")]], Meta(max_length=250)]
    areas: Annotated[list[Word], Meta(min_length=1, max_length=MAX_FILES)] | None = None
    plans: Words
    places: Annotated[list[PlaceKind], Meta(min_length=1, max_length=10)]
    vehicles: Literal["listed", "any"]
    window: Word
    windows: Annotated[list[Word], Meta(max_length=48)] = []
    range: Word
    takes_unseen_lock: bool
    home_locks: Annotated[tuple[Assurance, ...], Meta(min_length=1, max_length=10)] = (Assurance.SEEN,)
    morning: Word = "08:00"
    preflight: Annotated[tuple[Word, ...], Meta(max_length=6)] = ("60 min", "30 min")
    reads_a_day: Annotated[int, Meta(ge=0, le=MAX_READS_A_DAY)] = 24
    clip_days: Annotated[int, Meta(ge=1, le=MAX_CLIP_DAYS)] | None = None
    photos: PhotoRule = PhotoRule.NONE
    parcel: ParcelTable


class MakeTable(Struct, kw_only=True, forbid_unknown_fields=True):
    """One [[make]] of vehicles.toml."""

    name: Word
    aliases: Words = []
    from_year: Year
    until_year: Year | None = None
    service: Word
    connector: Word | None = None
    vin_makers: Words
    vin_groups: Words


class VehiclesTable(Struct, kw_only=True, forbid_unknown_fields=True):
    """vehicles.toml."""

    make: Annotated[list[MakeTable], Meta(min_length=1, max_length=500)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFiles:
    """The bytes of all files, by their name within the folder, and the version that they make."""

    folder: Path
    contents: Mapping[str, bytes]

    @property
    def version(self) -> str:
        """The same for the same bytes under the same names, on every machine."""
        digest = hashlib.sha256()
        for name, content in sorted(self.contents.items()):
            digest.update(f"{name}\n{len(content)}\n".encode() + content)
        return digest.hexdigest()[:VERSION_CHARACTERS]


def list_paths(folder: Path) -> list[Path]:
    """The files that the rules are read from. Raises SettingsError."""
    if (folder / OLD_PROGRAMME).exists():
        raise SettingsError(
            f"{folder / OLD_PROGRAMME}: move it to {PROGRAMMES}/NAME.toml, where NAME is what stood in its field name, "
            f"and complete it as the shipped ones are; {PROGRAMMES}/{DEFAULT_PROGRAMME}.toml must be there too"
        )
    programmes = _list_folder(folder / PROGRAMMES, "toml")
    if folder / PROGRAMMES / f"{DEFAULT_PROGRAMME}.toml" not in programmes:
        raise SettingsError(
            f"{folder / PROGRAMMES}: {DEFAULT_PROGRAMME}.toml must be there, as carriers without another book by it"
        )
    return [*programmes, folder / VEHICLES, *_list_folder(folder / COVERAGE, "geojson")]


def _list_folder(folder: Path, suffix: str) -> list[Path]:
    try:
        paths = sorted(folder.glob(f"*.{suffix}"))
    except OSError as error:
        raise SettingsError(f"{folder}: {error.strerror}") from error
    if not 1 <= len(paths) <= MAX_FILES:
        raise SettingsError(f"{folder}: must hold 1 to {MAX_FILES} files *.{suffix}")
    return paths


def load_files(folder: Path) -> RuleFiles:
    """Read all files, none of them checked yet. Raises SettingsError."""
    contents = {}
    for path in list_paths(folder):
        limit = MAX_TOML_BYTES if path.suffix == ".toml" else MAX_COVERAGE_BYTES
        try:
            with path.open("rb") as file:
                content = file.read(limit + 1)
        except OSError as error:
            raise SettingsError(f"{path}: {error.strerror}") from error
        if len(content) > limit:
            raise SettingsError(f"{path}: is larger than {limit} bytes")
        contents[path.relative_to(folder).as_posix()] = content
    return RuleFiles(folder=folder, contents=contents)


def read_rules(files: RuleFiles, connectors: frozenset[str]) -> Rules:
    """The rules of these files. `connectors` are the makers that this release can reach. Raises SettingsError."""
    areas = frozenset(_stem(name) for name in files.contents if name.startswith(f"{COVERAGE}/"))
    programmes = [
        _read_programme(_Toml(files, name), _stem(name), areas)
        for name in sorted(files.contents)
        if name.startswith(f"{PROGRAMMES}/")
    ]
    return Rules(
        version=files.version,
        programmes=MappingProxyType({programme.name: programme for programme in programmes}),
        vehicles=_read_vehicles(_Toml(files, VEHICLES), connectors),
        find_area=_read_coverage(files).find_area,
    )


def _stem(name: str) -> str:
    """What a file is called in the rules: "coverage/launch-2018.geojson" is "launch-2018"."""
    return name.partition("/")[2].rpartition(".")[0]


class _Toml:
    """One file of TOML, and how a mistake in it is told."""

    def __init__(self, files: RuleFiles, name: str) -> None:
        self.path = files.folder / name
        try:
            self.text = files.contents[name].decode()
        except UnicodeDecodeError as error:
            raise SettingsError(f"{self.path}: must be in UTF-8 (byte {error.start})") from None

    def read(self, shape: type[Shape]) -> Shape:
        """The file in that shape."""
        try:
            return msgspec.convert(tomllib.loads(self.text), shape)
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{self.path}: {error}") from None
        except RecursionError:
            raise SettingsError(f"{self.path}: is too deeply nested") from None
        except msgspec.ValidationError as error:
            message, _, place = str(error).partition(" - at `$")
            named = re.search(r"field `(.*?)`", message)
            inner = f".{named[1]}" if named else ""
            raise self.wrong(f"{place.rstrip('`')}{inner}".lstrip("."), message.replace("`", "")) from None

    def wrong(self, field: str, remedy: str) -> SettingsError:
        """The error for this field ("make[2].from_year")."""
        line = find_line(self.text, field)
        return SettingsError(f"{self.path}:{line}: {field}: {remedy}")

    def convert(self, field: str, text: str, read: Callable[[str], Value]) -> Value:
        """A text with a unit."""
        try:
            return read(text)
        except ValueError as error:
            raise self.wrong(field, str(error)) from None


def find_line(text: str, field: str) -> int:
    """The line of a field ("make[2].from_year") in a file of TOML; of its table where the field itself is missing."""
    counts: dict[str, int] = {}
    table, best = "", 1
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if head := re.match(r"\[\[\s*([\w.-]+)\s*\]\]", stripped):
            table = f"{head[1]}[{counts.get(head[1], 0)}]"
            counts[head[1]] = counts.get(head[1], 0) + 1
        elif head := re.match(r"\[\s*([\w.-]+)\s*\]", stripped):
            table = head[1]
        if head and (field == table or field.startswith(f"{table}.")):
            best = number
        key = re.match(r"([\w-]+)\s*=", stripped)
        whole = ".".join(filter(None, (table, key[1] if key else "")))
        if key and (field == whole or field.startswith((f"{whole}.", f"{whole}["))):
            return number
    return best


def _read_programme(toml: _Toml, name: str, areas: frozenset[str]) -> Programme:
    """`areas` are the coverage's files, by name."""
    if not PROGRAMME_NAME.fullmatch(name):
        raise SettingsError(f"{toml.path}: name it with at most 40 small letters, digits, dots and hyphens")
    given = toml.read(ProgrammeTable)
    window_s = toml.convert("window", given.window, read_duration_s)
    if not 0 < window_s <= MAX_WINDOW_S:
        raise toml.wrong("window", "must be more than 0 and at most 24 h")
    range_m = toml.convert("range", given.range, read_length_mm) / 1000
    if not 0 < range_m <= MAX_RANGE_M:
        raise toml.wrong("range", f"must be more than 0 and at most {MAX_RANGE_M} m")
    for index, area in enumerate(given.areas or ()):
        if area not in areas:
            known = ", ".join(sorted(areas))
            raise toml.wrong(f"areas[{index}]", f"there is no {COVERAGE}/{area}.geojson: give one of {known}")
    return Programme(
        name=name,
        countries=frozenset(given.countries),
        areas=None if given.areas is None else frozenset(given.areas),
        plans=frozenset(given.plans),
        places=frozenset(given.places),
        takes_any_vehicle=given.vehicles == "any",
        window_s=float(window_s),
        windows=_read_windows(toml, given.windows, float(window_s)),
        range_m=float(range_m),
        takes_unseen_lock=given.takes_unseen_lock,
        home_locks=frozenset(given.home_locks),
        morning_at=toml.convert("morning", given.morning, read_time_of_day),
        preflight_before_s=_read_preflight(toml, given.preflight),
        reads_a_day=given.reads_a_day,
        clip_days=given.clip_days,
        photos=given.photos,
        parcel=_read_limits(toml, given.parcel),
    )


def _read_windows(toml: _Toml, texts: list[str], window_s: float) -> tuple[time, ...]:
    """When windows begin, earliest first. None may begin before the one before it has ended, be it of yesterday."""
    starts: dict[time, int] = {}
    for index, text in enumerate(texts):
        begins = toml.convert(f"windows[{index}]", text, read_time_of_day)
        if begins in starts:
            raise toml.wrong(f"windows[{index}]", f"{text} stands there already")
        starts[begins] = index
    ordered = sorted(starts)
    seconds = [begins.hour * 3600 + begins.minute * 60 for begins in ordered]
    round_the_clock = [*seconds, seconds[0] + DAY_S] if seconds else []
    for number, (one, other) in enumerate(pairwise(round_the_clock)):
        if one + window_s > other:
            late = ordered[(number + 1) % len(ordered)]
            told = f"{late:%H:%M} begins before the window of {ordered[number]:%H:%M} has ended"
            raise toml.wrong(f"windows[{starts[late]}]", told)
    return tuple(ordered)


def _read_preflight(toml: _Toml, texts: Sequence[str]) -> tuple[float, ...]:
    """How long ahead, the longest first."""
    found: list[float] = []
    for index, text in enumerate(texts):
        ahead_s = float(toml.convert(f"preflight[{index}]", text, read_duration_s))
        if not 0 < ahead_s <= DAY_S:
            raise toml.wrong(f"preflight[{index}]", "must be more than 0 and at most 24 h")
        if ahead_s in found:
            raise toml.wrong(f"preflight[{index}]", f"{text} stands there already")
        found.append(ahead_s)
    return tuple(sorted(found, reverse=True))


def _read_limits(toml: _Toml, given: ParcelTable) -> ParcelLimits:
    weight = given.max_weight and toml.convert("parcel.max_weight", given.max_weight, read_weight_g)
    sides = given.max_dimensions and toml.convert("parcel.max_dimensions", given.max_dimensions, read_box_mm)
    value = given.max_value and toml.convert("parcel.max_value", given.max_value, read_money)
    for field, is_nothing in (("max_weight", weight == 0), ("max_dimensions", sides and 0 in sides)):
        if is_nothing:
            raise toml.wrong(f"parcel.{field}", "must be more than 0")
    return ParcelLimits(
        max_weight_g=weight or None,
        max_sides_mm=sides or None,
        max_value_cents=value[0] if value else None,
        currency=value[1] if value else None,
        takes_signature=given.takes_signature,
        takes_other_sellers=given.takes_other_sellers,
        takes_dangerous_goods=given.takes_dangerous_goods,
        takes_undeclared=given.takes_undeclared,
    )


def _read_vehicles(toml: _Toml, connectors: frozenset[str]) -> Mapping[str, VehicleRule]:
    rules: dict[str, VehicleRule] = {}
    for index, given in enumerate(toml.read(VehiclesTable).make):
        field = f"make[{index}]"
        if given.connector is not None and given.connector not in connectors:
            known = ", ".join(sorted(connectors))
            raise toml.wrong(f"{field}.connector", f"must be one of {known}, or be left out")
        if given.until_year is not None and given.until_year < given.from_year:
            raise toml.wrong(f"{field}.until_year", "must not be before from_year")
        rule = VehicleRule(
            make=given.name,
            from_year=given.from_year,
            until_year=given.until_year,
            service=given.service,
            connector=given.connector,
            vin_makers=frozenset(given.vin_makers),
            vin_groups=frozenset(given.vin_groups),
        )
        for key, name in (("name", given.name), *(("aliases", alias) for alias in given.aliases)):
            if not fold(name) or fold(name) in rules:
                raise toml.wrong(f"{field}.{key}", f"{name} stands there already, or has no letter")
            rules[fold(name)] = rule
    return MappingProxyType(rules)


def _read_coverage(files: RuleFiles) -> Any:
    # numpy and shapely take long to load, and the server alone asks for areas
    from unlatch.flow.coverage import AreaWrong, Coverage, read_areas  # noqa: PLC0415

    areas = []
    for name in sorted(name for name in files.contents if name.startswith(f"{COVERAGE}/")):
        path = files.folder / name
        try:
            areas += read_areas(files.contents[name], _stem(name))
        except AreaWrong as error:
            raise SettingsError(f"{path}: {error.path}: {error}") from None
        except msgspec.ValidationError as error:
            message, _, place = str(error).partition(" - at `$")
            field = place.rstrip("`").lstrip(".") or "the whole file"
            raise SettingsError(f"{path}: {field}: {message.replace('`', '')}") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SettingsError(f"{path}: is no well-formed JSON ({error})") from None
    named = [area.name for area, _ in areas]
    if twice := next((name for name in named if named.count(name) > 1), None):
        raise SettingsError(f"{files.folder / COVERAGE}: two areas are called {twice}")
    return Coverage(areas)
