"""An operator edits a file of the rules: checked first, tried on the places there are, then taken into use.

The files in `UNLATCH_RULES_DIR` stay what counts: an edit writes one of them, whole or not at all, and every process
takes it up as it does an edit by hand. Of each a row is kept, with how the file read before.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from psycopg import AsyncConnection

from unlatch.devices.catalogue import find_makers
from unlatch.domain.booking import Part
from unlatch.domain.eligibility import NOT_TOLD, Offer, Reason, Rules
from unlatch.errors import BadInput, Conflict, NotFound, SettingsError
from unlatch.flow.options import judge_place
from unlatch.flow.platform import Platform
from unlatch.flow.rule_files import (
    COVERAGE,
    MAX_COVERAGE_BYTES,
    MAX_TOML_BYTES,
    PROGRAMMES,
    SHIPPED,
    VEHICLES,
    RuleFiles,
    load_files,
    read_rules,
)
from unlatch.store import rule_edits
from unlatch.store.rule_edits import TriedPlace

TRIED_AT_MOST = 2000  # places, the newest
SHOWN_AT_MOST = 100
_NAME = re.compile(
    rf"{re.escape(VEHICLES)}|{PROGRAMMES}/[a-z0-9][a-z0-9.-]{{0,39}}\.toml|{COVERAGE}/[a-z0-9][a-z0-9.-]{{0,39}}\.geojson"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What an edit changes for one place: offered before or not, and afterwards, with the reasons against it."""

    place_id: str
    carrier_id: str
    programme: str
    coming: int  # deliveries to come there
    was_offered: bool
    is_offered: bool
    reasons: tuple[Reason, ...]  # of after, or of before where it is offered now


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """An edit that can be used, and what it would do."""

    version_before: str
    version_after: str
    tried: int  # places
    is_cut: bool  # there are more places than were tried
    lost: int  # offered before, and not afterwards
    won: int
    coming_lost: int  # deliveries to come at places that are lost: they go on as they were booked
    effects: tuple[Effect, ...]  # the first of them
    programmes_gone: tuple[str, ...]


def list_files(platform: Platform) -> Mapping[str, int]:
    """The files of the rules, by name, and their sizes in bytes. Raises SettingsError."""
    return {name: len(content) for name, content in load_files(platform.rules.folder).contents.items()}


def read_file(platform: Platform, name: str) -> tuple[str, str]:
    """How a file reads (empty: one that may be made), and the version of all of them. Raises NotFound."""
    files = load_files(platform.rules.folder)
    if name not in files.contents and not _NAME.fullmatch(name):
        raise NotFound("there is no such file among the rules")
    return files.contents.get(name, b"").decode(errors="replace"), files.version


async def try_edit(
    platform: Platform, connection: AsyncConnection, *, file: str, text: str, now: datetime
) -> Trial:
    """What this edit would do, tried on the newest places. Raises BadInput naming file, line, field and remedy."""
    files = await asyncio.to_thread(load_files, platform.rules.folder)
    try:
        before = await asyncio.to_thread(read_rules, files, frozenset(find_makers()))
    except SettingsError:  # the latest edit by hand is not in force
        before = await platform.rules.get()
    after = await asyncio.to_thread(_read_edited, files, file, text)
    places = await rule_edits.list_places(connection, now, limit=TRIED_AT_MOST + 1)
    effects = []
    for place in places[:TRIED_AT_MOST]:
        effect = await _compare(platform, connection, before, after, place, now)
        if effect is not None:
            effects.append(effect)
        await asyncio.sleep(0)  # others are served meanwhile
    lost = [one for one in effects if one.was_offered]
    return Trial(
        version_before=files.version,
        version_after=after.version,
        tried=min(len(places), TRIED_AT_MOST),
        is_cut=len(places) > TRIED_AT_MOST,
        lost=len(lost),
        won=len(effects) - len(lost),
        coming_lost=sum(one.coming for one in lost),
        effects=tuple(sorted(effects, key=lambda one: (not one.was_offered, -one.coming))[:SHOWN_AT_MOST]),
        programmes_gone=tuple(sorted(set(before.programmes) - set(after.programmes))),
    )


async def _compare(
    platform: Platform,
    connection: AsyncConnection,
    before: Rules,
    after: Rules,
    place: TriedPlace,
    now: datetime,
) -> Effect | None:
    """None: it stays as it was. What was not told of a parcel or a member stands against no place here."""

    async def judge(rules: Rules) -> Offer:
        programme = rules.get_programme(place.programme)
        return await judge_place(
            platform, connection, rules, programme, place.point, place.vehicle,
            plans=place.plans, parcels=(), now=now,
        )  # fmt: skip

    was, becomes = await judge(before), await judge(after)
    was_offered, is_offered = (NOT_TOLD.issuperset(one.reasons) for one in (was, becomes))
    if was_offered == is_offered:
        return None
    return Effect(
        place_id=place.point.id,
        carrier_id=place.point.carrier_id,
        programme=place.programme,
        coming=place.coming,
        was_offered=was_offered,
        is_offered=is_offered,
        reasons=tuple(one for one in (was if is_offered else becomes).reasons if one not in NOT_TOLD),
    )


def _read_edited(files: RuleFiles, file: str, text: str) -> Rules:
    """The rules with this file as it is to be. Raises BadInput."""
    if not _NAME.fullmatch(file):
        raise BadInput(
            "file",
            f"{VEHICLES}, {PROGRAMMES}/NAME.toml or {COVERAGE}/NAME.geojson, NAME in small letters and digits",
        )
    content = text.replace("\r\n", "\n").encode()
    limit = MAX_TOML_BYTES if file.endswith(".toml") else MAX_COVERAGE_BYTES
    if len(content) > limit:
        raise BadInput("text", f"at most {limit} bytes")
    edited = replace(files, contents={**files.contents, file: content})
    try:
        return read_rules(edited, frozenset(find_makers()))
    except SettingsError as error:
        raise BadInput("text", str(error).replace(f"{files.folder}{os.sep}", "")) from None


async def take_into_use(
    platform: Platform,
    connection: AsyncConnection,
    *,
    file: str,
    text: str,
    version: str,
    why: str,
    operator_id: str,
    now: datetime,
) -> str:
    """Write the file, and write the edit down; the new version. Joins the caller's transaction.

    Raises BadInput where it can't be used, Conflict where the rules are not `version` any more, or may not be written.
    """
    if platform.rules.folder == SHIPPED:
        raise Conflict(
            "the rules in force are those of the release: copy them to a folder of your own and set UNLATCH_RULES_DIR"
        )
    files = await asyncio.to_thread(load_files, platform.rules.folder)
    if files.version != version:
        raise Conflict("the rules have been changed meanwhile: look at this edit once more")
    after = await asyncio.to_thread(_read_edited, files, file, text)
    kept = files.contents.get(file)
    await rule_edits.insert_edit(
        connection,
        file=file,
        before=None if kept is None else kept.decode(errors="replace"),
        after=text.replace("\r\n", "\n"),
        version_before=files.version,
        version_after=after.version,
        why=why,
        who=f"{Part.OPERATOR}:{operator_id}",
        now=now,
    )
    try:
        await asyncio.to_thread(_write, platform.rules.folder / file, text.replace("\r\n", "\n").encode())
    except OSError as error:
        raise Conflict(
            f"{file} could not be written: {error.strerror}; let the server write in its rules' folder"
        ) from None
    return after.version


def _write(path: Path, content: bytes) -> None:
    """Whole, or not at all, and on the disk when it returns."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".new")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
