"""Homes: registered with their hub, what their household says of them, and their cameras.

A home's door stands in `vehicle`, as a car's cloud does: what is sealed there is the door's name at its hub (as `vin`),
the hub's address and its token. Where a name leads is asked before any transaction begins (`check_addresses`); what is
kept is checked again, without a name server, in the transaction that keeps it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from unlatch.cameras.base import CameraMaker
from unlatch.cameras.catalogue import find_camera_makers
from unlatch.devices.base import Car, Maker
from unlatch.domain.access import Assurance, Closure
from unlatch.domain.deed import Deed
from unlatch.domain.home import HomeSettings
from unlatch.domain.household import Right
from unlatch.errors import BadInput, Conflict, NotFound
from unlatch.flow.duties import ask_for_rechecks
from unlatch.flow.forms import check_form
from unlatch.flow.household import require
from unlatch.flow.platform import Platform
from unlatch.store import cameras, consignees, deeds, homes, links, readings
from unlatch.store.cameras import MOST_CAMERAS, CameraRow
from unlatch.store.consignees import VehicleRow
from unlatch.store.ids import make_id

HUB_ADDRESS = "address"  # of a maker's form: where the hub is
WHICH_DOOR = ("vin", HUB_ADDRESS, "contact")  # what a camera was shown to see


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraGiven:
    """A camera to add."""

    maker: str
    name: str
    address: str | None
    secrets: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeGiven:
    """A home to register: its door at its hub, what opens the hub to us, and what a courier must mind."""

    maker: str
    entity: str
    secrets: Mapping[str, str]
    settings: HomeSettings
    picture_url: str | None
    cameras: Sequence[CameraGiven]


# ---- what was given


async def check_addresses(platform: Platform, home: HomeGiven | None, given: Sequence[CameraGiven]) -> None:
    """Whether the names that were typed lead where we may go. Asks name servers, all at once. Raises BadInput."""
    hubs = platform.makers.hubs
    asked = []
    if home is not None and home.secrets.get(HUB_ADDRESS):
        asked.append(_at(f"home.secrets.{HUB_ADDRESS}", hubs.check(home.secrets[HUB_ADDRESS])))
    path = "address" if home is None else "home.cameras[{}].address"
    for number, camera in enumerate(given):
        kind = find_camera_makers().get(camera.maker)
        if kind is not None and kind.schemes and camera.address is not None:
            asked.append(_at(path.format(number), hubs.check_camera(camera.address, kind.schemes)))
    await asyncio.gather(*asked)


async def check_hub(platform: Platform, secrets: Mapping[str, str]) -> None:
    """The same for the hub of a home that is linked anew."""
    if secrets.get(HUB_ADDRESS):
        await _at(f"secrets.{HUB_ADDRESS}", platform.makers.hubs.check(secrets[HUB_ADDRESS]))


async def _at(field: str, checking: Any) -> None:
    try:
        await checking
    except BadInput as error:
        raise BadInput(field, error.remedy) from None


def find_hub(platform: Platform, maker: str, secrets: Mapping[str, str]) -> str | None:
    """The address of the hub behind a link; None: its maker has a cloud."""
    kind = platform.makers.makers.get(maker)
    return secrets.get(HUB_ADDRESS) if kind is not None and kind.has_own_hub else None


def _find_maker(platform: Platform, name: str) -> Maker:
    known = {one: maker for one, maker in platform.makers.makers.items() if maker.has_own_hub}
    if name not in known:
        raise BadInput("home.maker", f"give one of {', '.join(sorted(known))}")
    return known[name]


def check_settings(settings: HomeSettings, *, path: str) -> None:
    """Raises BadInput where its quiet hours have one end only, or none."""
    if (settings.quiet_from is None) != (settings.quiet_until is None):
        raise BadInput(f"{path}quiet_from", "give both quiet_from and quiet_until, or neither")
    if settings.quiet_from is not None and settings.quiet_from == settings.quiet_until:
        raise BadInput(
            f"{path}quiet_until", "must differ from quiet_from: say with rings_first that nobody rings"
        )


def _check_camera(platform: Platform, given: CameraGiven, *, path: str) -> dict[str, str]:
    """What is sealed of a camera. Raises BadInput for the first thing that does not fit its maker."""
    kinds = find_camera_makers()
    kind: CameraMaker | None = kinds.get(given.maker)
    if kind is None:
        raise BadInput(f"{path}maker", f"give one of {', '.join(sorted(kinds))}")
    check_form(kind.label, kind.form_fields, given.secrets, path=f"{path}secrets")
    sealed = dict(given.secrets)
    if not kind.schemes:
        if given.address is not None:
            raise BadInput(f"{path}address", f"{kind.label} has none: leave it out")
        return sealed
    if given.address is None:
        raise BadInput(f"{path}address", f"{kind.label} needs it")
    try:
        sealed["address"] = platform.makers.hubs.read_camera(given.address, kind.schemes)
    except BadInput as error:
        raise BadInput(f"{path}address", error.remedy) from None
    return sealed


# ---- registering


def make_hub(platform: Platform, access_point_id: str, given: HomeGiven) -> VehicleRow:
    """The row of the hub behind a home, its secrets sealed. Raises BadInput, for a camera that does not fit too."""
    secrets = _check_hub(platform, given.maker, given.entity, given.secrets, path="home.")
    check_settings(given.settings, path="home.")
    for number, camera in enumerate(given.cameras):
        _check_camera(platform, camera, path=f"home.cameras[{number}].")
    return VehicleRow(
        access_point_id=access_point_id,
        maker=given.maker,
        account_kind=None,
        sealed=platform.vault.seal(secrets, access_point_id),
        closure_key=_key_of(platform, given.maker, secrets),
        make="",
        model="",
        model_year=None,
        colour="",
        plate="",
        picture_url=given.picture_url,
    )


def _check_hub(
    platform: Platform, maker_name: str, entity: str, given: Mapping[str, str], *, path: str
) -> dict[str, str]:
    """What is sealed of a hub. Raises BadInput for the first thing that does not fit its maker."""
    maker = _find_maker(platform, maker_name)
    if maker.name_pattern is not None and not re.fullmatch(maker.name_pattern, entity):
        raise BadInput(f"{path}entity", f"must match {maker.name_pattern}")
    check_form(maker.label, maker.form_fields, given, path=f"{path}secrets")
    sealed = {"vin": entity, **given}
    try:
        sealed[HUB_ADDRESS] = platform.makers.hubs.read(sealed[HUB_ADDRESS])
    except BadInput as error:
        raise BadInput(f"{path}secrets.{HUB_ADDRESS}", error.remedy) from None
    return sealed


def _key_of(platform: Platform, maker: str, sealed: Mapping[str, str]) -> bytes:
    return consignees.closure_key_of(platform.vault, maker, sealed["vin"], sealed[HUB_ADDRESS])


async def insert_home(
    platform: Platform, connection: AsyncConnection, access_point_id: str, given: HomeGiven, now: datetime
) -> None:
    """What makes an access point a home, behind the row of its hub."""
    await homes.insert_home(connection, access_point_id, given.settings)
    for camera in given.cameras:
        await _insert_camera(platform, connection, access_point_id, camera, now, path="home.cameras.")


async def _insert_camera(
    platform: Platform,
    connection: AsyncConnection,
    access_point_id: str,
    given: CameraGiven,
    now: datetime,
    *,
    path: str = "",
) -> CameraRow:
    camera_id = make_id("cam")
    row = CameraRow(
        id=camera_id,
        access_point_id=access_point_id,
        maker=given.maker,
        name=given.name,
        sealed=platform.vault.seal(_check_camera(platform, given, path=path), camera_id),
        clock=None,
        methods=[],
        sees_door=False,
        enrolled_at=None,
        check_by=None,
        created_at=now,
        removed_at=None,
    )
    await cameras.insert_camera(connection, row)
    return row


# ---- how it stands


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeView:
    """A home as it is shown: nothing of it opens anything."""

    hub: VehicleRow
    settings: HomeSettings
    assurance: Assurance
    cameras: Sequence[CameraRow]
    is_linked: bool


def closure_of(platform: Platform, hub: VehicleRow) -> Closure:
    """What the door behind this row can tell; asks nobody. Raises SealBroken, NotFound."""
    secrets = platform.vault.open_mapping(hub.sealed, hub.access_point_id)
    door = Car(maker=hub.maker, vin=secrets.pop("vin"), secrets=secrets, account_kind=hub.account_kind)
    return platform.makers.maker(hub.maker).closure(door)


async def view_home(platform: Platform, connection: AsyncConnection, hub: VehicleRow) -> HomeView | None:
    """The home at an access point; None: it is a car's."""
    settings = await homes.find_home(connection, hub.access_point_id)
    if settings is None:
        return None
    return HomeView(
        hub=hub,
        settings=settings,
        assurance=closure_of(platform, hub).assurance,
        cameras=await cameras.list_cameras(connection, hub.access_point_id),
        is_linked=is_linked(platform, hub),
    )


def is_linked(platform: Platform, hub: VehicleRow) -> bool:
    """Whether we know where this home's hub is; not after un-linking (`flow/unlinking.py`)."""
    return HUB_ADDRESS in platform.vault.open_mapping(hub.sealed, hub.access_point_id)


# ---- what its household changes


async def get_home(
    connection: AsyncConnection,
    access_point_id: str,
    consignee_id: str,
    right: Right,
    *,
    is_locked: bool = False,
) -> HomeSettings:
    """A home of this person's household. Raises NotFound, also where the place is a car, and NotAllowed."""
    await require(connection, access_point_id, consignee_id, right, is_locked=is_locked)
    settings = await homes.find_home(connection, access_point_id)
    if settings is None:
        raise NotFound("this place is no home")
    return settings


async def change_home(
    connection: AsyncConnection,
    access_point_id: str,
    *,
    consignee_id: str,
    changes: Mapping[str, Any],
    now: datetime,
) -> HomeSettings:
    """Say anew what a courier must mind. `changes`: fields of HomeSettings. Raises NotFound, NotAllowed, BadInput."""
    before = await get_home(connection, access_point_id, consignee_id, Right.SET_HOME, is_locked=True)
    after = replace(before, **changes)
    check_settings(after, path="")
    if after == before:
        return before
    await homes.set_home(connection, access_point_id, after)
    changed = sorted(name for name in changes if getattr(before, name) != getattr(after, name))
    await _write(
        connection, access_point_id, consignee_id, Deed.HOME_SET, {"changed": ", ".join(changed)}, now
    )
    await ask_for_rechecks(connection, access_point_id, now)
    return after


async def link_hub_again(
    platform: Platform,
    connection: AsyncConnection,
    access_point_id: str,
    *,
    consignee_id: str,
    entity: str | None,
    secrets: Mapping[str, str],
    now: datetime,
) -> VehicleRow:
    """A new token, or another address or name of the door. Raises NotFound, NotAllowed, BadInput, Conflict.

    A door that is called otherwise, or told of by another sensor, may be another door: its cameras must show anew that
    they see it. Not while a visit lives or its closure is watched: what was opened there must still be found (S2).
    Where un-linking had ended the consent, this is consent given again.
    """
    await get_home(connection, access_point_id, consignee_id, Right.LINK, is_locked=True)
    hub = await consignees.find_vehicle(connection, access_point_id)
    assert hub is not None  # a home has one
    if await consignees.is_under_watch(connection, access_point_id):
        raise Conflict("a visit is under way, or was a moment ago: link the hub again when its watch is over")
    before = platform.vault.open_mapping(hub.sealed, access_point_id)
    after = _check_hub(platform, hub.maker, entity or before["vin"], secrets, path="")
    changed = replace(
        hub,
        sealed=platform.vault.seal(after, access_point_id),
        closure_key=_key_of(platform, hub.maker, after),
    )
    await consignees.set_hub(
        connection, access_point_id, sealed=changed.sealed, closure_key=changed.closure_key
    )
    if HUB_ADDRESS not in before:
        await links.set_consent(connection, access_point_id, is_given=True)
    if any(before.get(name) != after.get(name) for name in WHICH_DOOR):
        await cameras.forget_enrolments(connection, access_point_id)
    await readings.forget_reading(connection, access_point_id)
    await _write(connection, access_point_id, consignee_id, Deed.HUB_LINKED_AGAIN, {}, now)
    await ask_for_rechecks(connection, access_point_id, now)
    return changed


async def list_cameras(
    connection: AsyncConnection, access_point_id: str, *, consignee_id: str
) -> list[CameraRow]:
    """The cameras of a home, oldest first. Raises NotFound, NotAllowed."""
    await get_home(connection, access_point_id, consignee_id, Right.SEE)
    return await cameras.list_cameras(connection, access_point_id)


async def add_camera(
    platform: Platform,
    connection: AsyncConnection,
    access_point_id: str,
    given: CameraGiven,
    *,
    consignee_id: str,
    now: datetime,
) -> CameraRow:
    """One more camera, no witness until it is enrolled. Raises NotFound, NotAllowed, BadInput, Conflict."""
    await get_home(connection, access_point_id, consignee_id, Right.SET_CAMERAS, is_locked=True)
    hub = await consignees.find_vehicle(connection, access_point_id)
    if hub is None or not is_linked(platform, hub):
        raise Conflict("this home is un-linked: link its hub again first")
    if len(await cameras.list_cameras(connection, access_point_id)) >= MOST_CAMERAS:
        raise Conflict(f"this home has {MOST_CAMERAS} cameras, and takes no more")
    row = await _insert_camera(platform, connection, access_point_id, given, now)
    await _write(connection, access_point_id, consignee_id, Deed.CAMERA_ADDED, {"camera": row.name}, now)
    return row


async def remove_camera(
    platform: Platform,
    connection: AsyncConnection,
    access_point_id: str,
    camera_id: str,
    *,
    consignee_id: str,
    now: datetime,
) -> None:
    """A camera goes, and what opens it is destroyed; its clips stay. Raises NotFound, NotAllowed, Conflict.

    Not while a visit lives there: it may be the one by whose proof the door was opened.
    """
    await get_home(connection, access_point_id, consignee_id, Right.SET_CAMERAS, is_locked=True)
    row = await cameras.find_camera(connection, camera_id)
    if row is None or row.access_point_id != access_point_id:
        raise NotFound("there is no such camera")
    if await consignees.find_live_visit_id(connection, access_point_id) is not None:
        raise Conflict("a visit is under way: a camera can be removed when it has ended")
    await cameras.remove_camera(connection, camera_id, now, platform.vault.seal({}, camera_id))
    await _write(connection, access_point_id, consignee_id, Deed.CAMERA_REMOVED, {"camera": row.name}, now)


async def _write(
    connection: AsyncConnection,
    access_point_id: str,
    consignee_id: str,
    what: Deed,
    body: Mapping[str, str],
    now: datetime,
) -> None:
    await deeds.insert_deed(
        connection,
        access_point_id=access_point_id,
        stop_id=None,
        who=f"consignee:{consignee_id}",
        what=what,
        body=body,
        at=now,
    )
