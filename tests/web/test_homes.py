"""A home is registered with its hub and its cameras; its household says what a courier must mind."""

from __future__ import annotations

from typing import Any

import pytest
from tests.web.conftest import ADDRESS, Caller, Tenant, new_access_point
from tests.web.homes import (
    CAMERA,
    HUB,
    HUB_TOKEN,
    add_home,
    add_home_stop,
    new_home,
    read_door,
    sscc,
    witness,
)
from tests.web.people import add_consignee, fetch, invite

from unlatch.devices.hubs import Hubs
from unlatch.flow.platform import Platform


def home_path(place_id: str) -> str:
    return f"/v1/me/access_points/{place_id}"


async def test_a_home_is_registered_sealed_and_shown_without_what_opens_it(
    tenant: Tenant, platform: Platform
) -> None:
    made = await add_home(tenant)
    assert made["kind"] == "home"
    assert made["vehicle"] is None
    assert made["home"] == {
        "maker": "home_assistant",
        "form": "door",
        "rings_first": True,
        "quiet_from": None,
        "quiet_until": None,
        "is_pet_loose": False,
        "directions": "The green door\nbehind the fountain",
        "picture_url": None,
        "assurance": "seen",
        "is_linked": True,
        "cameras": 1,
        "has_witness": False,
    }
    shown = await tenant.carrier.get(f"/v1/access_points/{made['id']}")
    assert shown.json() == made
    listed = await tenant.consignee.get(f"{home_path(made['id'])}/cameras")
    for secret in (HUB, HUB_TOKEN, "lock.front_door", "8.8.4.4", "camera-password", "ann"):
        assert secret not in shown.text + listed.text.replace("Channel", "")
    (sealed,) = await fetch(platform, "SELECT sealed FROM vehicle WHERE access_point_id = %s", made["id"])
    assert platform.vault.open_mapping(bytes(sealed[0]), made["id"]) == {
        "vin": "lock.front_door",
        "address": HUB,
        "access_token": HUB_TOKEN,
        "contact": "binary_sensor.front_door",
    }
    ((camera_id, sealed_camera),) = await fetch(platform, "SELECT id, sealed FROM camera")
    assert platform.vault.open_mapping(bytes(sealed_camera), camera_id) == {
        "address": "rtsp://8.8.4.4:554/Stream?channel=1",
        "user": "ann",
        "password": "camera-password",
    }


async def test_a_car_says_that_it_is_no_home(tenant: Tenant) -> None:
    shown = (await tenant.carrier.get(f"/v1/access_points/{tenant.access_point_id}")).json()
    assert shown["home"] is None
    assert shown["vehicle"]["make"] == "Chevrolet"
    for path in ("home", "cameras"):
        answer = await tenant.consignee.get(f"{home_path(tenant.access_point_id)}/{path}")
        assert answer.status_code == 404
    answer = await tenant.consignee.post(f"{home_path(tenant.access_point_id)}/cameras", CAMERA)
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("secrets", "entity", "assurance"),
    [
        ({}, "lock.front_door", "bolt_alone"),
        ({"contact": "binary_sensor.door"}, "lock.front_door", "seen"),
        ({}, "cover.garage", "lid_alone"),
    ],
)
async def test_how_well_a_door_can_show_that_it_is_locked_is_said(
    tenant: Tenant, secrets: dict[str, str], entity: str, assurance: str
) -> None:
    home = {"entity": entity, "secrets": {"address": HUB, "access_token": "t", **secrets}}
    assert (await add_home(tenant, home=home))["home"]["assurance"] == assurance


def secrets_with(**changes: str | None) -> dict[str, str]:
    secrets = {"address": HUB, "access_token": HUB_TOKEN, **changes}
    return {name: value for name, value in secrets.items() if value is not None}


@pytest.mark.parametrize(
    ("field", "home"),
    [
        ("home.maker", {"maker": "onstar"}),
        ("home.entity", {"entity": "light.kitchen"}),
        ("home.entity", {"entity": "lock.front_door\n"}),
        ("home.secrets.address", {"secrets": secrets_with(address=None)}),
        ("home.secrets.address", {"secrets": secrets_with(address="http://8.8.8.8:8123")}),
        ("home.secrets.address", {"secrets": secrets_with(address="https://169.254.169.254")}),
        ("home.secrets.address", {"secrets": secrets_with(address="https://127.0.0.1:8123")}),
        ("home.secrets.address", {"secrets": secrets_with(address="https://10.0.0.7")}),
        ("home.secrets.address", {"secrets": secrets_with(address="https://hub.invalid")}),
        ("home.secrets.access_token", {"secrets": secrets_with(access_token=None)}),
        ("home.secrets.contact", {"secrets": secrets_with(contact="lock.front_door")}),
        ("home.secrets.opening", {"secrets": secrets_with(opening="wide")}),
        ("home.secrets.pin", {"secrets": secrets_with(pin="1234")}),
        ("home.quiet_from", {"quiet_from": "20:00:00"}),
        ("home.quiet_until", {"quiet_from": "20:00:00", "quiet_until": "20:00:00"}),
        ("home.form", {"form": "window"}),
        ("home.directions", {"directions": "\u0000"}),
        ("home.cameras[0].maker", {"cameras": [{**CAMERA, "maker": "polaroid"}]}),
        ("home.cameras[0].address", {"cameras": [{"maker": "rtsp", "name": "Hall"}]}),
        ("home.cameras[0].address", {"cameras": [{**CAMERA, "address": "rtsp://127.0.0.1/stream"}]}),
        ("home.cameras[0].address", {"cameras": [{**CAMERA, "address": "rtsp://169.254.169.254/"}]}),
        ("home.cameras[0].address", {"cameras": [{**CAMERA, "address": "file:///etc/passwd"}]}),
        ("home.cameras[0].address", {"cameras": [{**CAMERA, "address": "rtsp://ann:x@8.8.4.4/"}]}),
        ("home.cameras[1].address", {"cameras": [CAMERA, {**CAMERA, "address": "rtsp://camera.invalid/"}]}),
        ("home.cameras[0].secrets.pin", {"cameras": [{**CAMERA, "secrets": {"pin": "1"}}]}),
        ("home.cameras", {"cameras": [CAMERA] * 9}),
    ],
)
async def test_a_home_that_can_not_be_is_refused_by_field(
    tenant: Tenant, platform: Platform, field: str, home: dict[str, Any]
) -> None:
    answer = await tenant.carrier.post("/v1/access_points", new_home(tenant.consignee.id, home=home))
    assert answer.status_code == 400, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert await fetch(platform, "SELECT 1 FROM home") == []


async def test_a_place_is_a_car_or_a_home_and_says_which(tenant: Tenant) -> None:
    vehicle = new_access_point(tenant.consignee.id)["vehicle"]
    for field, changes in (
        ("vehicle", {"vehicle": vehicle}),
        ("home", {"kind": "car", "vehicle": vehicle}),
        ("home", {"home": None}),
    ):
        body = {**new_home(tenant.consignee.id), **changes}
        answer = await tenant.carrier.post("/v1/access_points", body)
        assert answer.status_code == 400
        assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_two_homes_with_a_front_door_are_two_closures_and_one_home_is_one(
    tenant: Tenant, platform: Platform
) -> None:
    """S2, S6: what must be one at a time is the door; every second hub calls its own `lock.front_door`."""
    first = await add_home(tenant)
    again = await add_home(
        tenant, home={"secrets": secrets_with(address=f"{HUB.upper()}/", access_token="other")}
    )
    next_door = await add_home(tenant, home={"secrets": secrets_with(address="https://8.8.8.9:8123")})
    other_door = await add_home(tenant, home={"entity": "lock.back_door"})
    rows = await fetch(platform, "SELECT access_point_id, closure_key FROM vehicle")
    keys = {place_id: bytes(key) for place_id, key in rows}
    assert keys[first["id"]] == keys[again["id"]]
    assert len({keys[one["id"]] for one in (first, next_door, other_door)}) == 3


async def test_a_repeat_is_answered_though_the_name_is_known_no_more(
    tenant: Tenant, platform: Platform
) -> None:
    """The name server is asked before the transaction: what was done already is told all the same."""
    known = ["8.8.8.8"]

    async def resolve(_: str) -> list[str]:
        return known

    platform.makers.hubs = Hubs(platform.clock, allows_private=False, resolve=resolve)
    home = {"secrets": secrets_with(address="https://home.example:8123")}
    body = new_home(tenant.consignee.id, home=home)
    first = await tenant.carrier.post("/v1/access_points", body, key="one")
    assert first.status_code == 201, first.text
    known[:] = ["10.0.0.7"]
    repeated = await tenant.carrier.post("/v1/access_points", body, key="one")
    assert (repeated.status_code, repeated.json()) == (201, first.json())
    assert repeated.headers["idempotency-replayed"] == "true"
    other = await tenant.carrier.post("/v1/access_points", body, key="two")
    assert [error["field"] for error in other.json()["errors"]] == ["home.secrets.address"]


# ---- what its household says


async def test_any_of_the_household_says_what_a_courier_must_mind(tenant: Tenant, platform: Platform) -> None:
    place_id = (await add_home(tenant))["id"]
    path = f"{home_path(place_id)}/home"
    changed = await tenant.consignee.make(
        path, {"is_pet_loose": True, "quiet_from": "20:00:00", "quiet_until": "07:30:00"}
    )
    assert (changed["is_pet_loose"], changed["quiet_from"], changed["quiet_until"]) == (
        True,
        "20:00:00",
        "07:30:00",
    )
    assert changed["directions"] == "The green door\nbehind the fountain", "what is left out stays"
    assert (await tenant.consignee.get(path)).json() == changed
    ended = await tenant.consignee.make(path, {"quiet_from": None, "quiet_until": None, "form": "garage"})
    assert (ended["quiet_from"], ended["form"], ended["is_pet_loose"]) == (None, "garage", True)
    half = await tenant.consignee.post(path, {"quiet_from": "20:00:00"})
    assert half.json()["errors"][0]["field"] == "quiet_from"
    assert (await tenant.consignee.post(path, {"entity": "lock.other"})).status_code == 400
    deeds = await fetch(platform, "SELECT body FROM deed WHERE what = 'home_set' ORDER BY id")
    assert [body for (body,) in deeds] == [
        {"changed": "is_pet_loose, quiet_from, quiet_until"},
        {"changed": "form, quiet_from, quiet_until"},
    ]
    timeline = (await tenant.consignee.get("/v1/me/timeline")).json()
    assert timeline["deeds"][0]["text"] == "What a courier must mind at this home was changed."


async def test_saying_the_same_again_is_no_deed(tenant: Tenant, platform: Platform) -> None:
    place_id = (await add_home(tenant))["id"]
    await tenant.consignee.make(f"{home_path(place_id)}/home", {"is_pet_loose": False})
    assert await fetch(platform, "SELECT 1 FROM deed WHERE what = 'home_set'") == []


# ---- is it offered?


async def test_a_home_is_offered_once_its_camera_is_enrolled_and_until_its_check_is_overdue(
    tenant: Tenant, platform: Platform
) -> None:
    place_id = (await add_home(tenant))["id"]

    async def ask(language: str = "en") -> tuple[str, list[str], str]:
        asked = {"consignee_id": tenant.consignee.id}
        answer = await tenant.carrier.post("/v1/options", asked, **{"Accept-Language": language})
        (option,) = [one for one in answer.json()["options"] if one["access_point_id"] == place_id]
        assert option["kind"] == "home"
        return option["verdict"], [one["code"] for one in option["reasons"]], option["assurance"]

    assert await ask() == ("not_offered", ["home_camera_not_enrolled"], "seen")
    await witness(platform, place_id)
    assert await ask() == ("offered", [], "seen")
    assert (await tenant.consignee.get(f"{home_path(place_id)}/home")).json()["has_witness"] is True
    await fetch(platform, "UPDATE camera SET check_by = now() RETURNING 1")
    assert await ask() == ("not_offered", ["home_camera_check_overdue"], "seen")
    shipment = {
        "consignee_id": tenant.consignee.id,
        "reference": "r",
        "parcels": [{"label": {"text": sscc(777)}}],
    }
    made = await tenant.carrier.make("/v1/shipments", shipment)
    stop = {
        "access_point_id": place_id,
        "shipment_id": made["id"],
        "window_from": "2099-11-23T10:00:00Z",
        "window_until": "2099-11-23T12:00:00Z",
        "fallback": "depot",
    }
    refused = await tenant.carrier.post("/v1/stops", stop, **{"Accept-Language": "fr"})
    assert (refused.status_code, [one["code"] for one in refused.json()["reasons"]]) == (
        409,
        ["home_camera_check_overdue"],
    )
    assert "contrôle mensuel" in refused.json()["detail"]


# ---- its hub, linked anew


async def test_a_new_token_keeps_the_cameras_that_were_shown_to_see_the_door(
    tenant: Tenant, platform: Platform
) -> None:
    place_id = (await add_home(tenant))["id"]
    await witness(platform, place_id)
    await read_door(platform, place_id)
    path = f"{home_path(place_id)}/hub"
    secrets = {"address": f"{HUB}/", "access_token": "another-token", "contact": "binary_sensor.front_door"}
    linked = await tenant.consignee.make(path, {"secrets": secrets})
    assert linked["has_witness"] is True
    ((sealed, key),) = await fetch(
        platform, "SELECT sealed, closure_key FROM vehicle WHERE access_point_id = %s", place_id
    )
    assert platform.vault.open_mapping(bytes(sealed), place_id) == {
        "vin": "lock.front_door", "address": HUB, "access_token": "another-token", "contact": "binary_sensor.front_door"
    }  # fmt: skip
    assert await fetch(platform, "SELECT 1 FROM reading") == [], "what was known was told by another"
    same = await add_home(tenant)
    ((key_of_same,),) = await fetch(
        platform, "SELECT closure_key FROM vehicle WHERE access_point_id = %s", same["id"]
    )
    assert key == key_of_same
    assert await fetch(platform, "SELECT what FROM deed WHERE access_point_id = %s", place_id) == [
        ("hub_linked_again",)
    ]


@pytest.mark.parametrize(
    "change",
    [
        {
            "entity": "lock.back_door",
            "secrets": {"address": HUB, "access_token": "t", "contact": "binary_sensor.x"},
        },
        {
            "secrets": {
                "address": "https://8.8.8.9",
                "access_token": "t",
                "contact": "binary_sensor.front_door",
            }
        },
        {"secrets": {"address": HUB, "access_token": "t"}},
    ],
)
async def test_what_may_be_another_door_is_to_be_seen_anew(
    tenant: Tenant, platform: Platform, change: dict[str, Any]
) -> None:
    place_id = (await add_home(tenant))["id"]
    await witness(platform, place_id)
    linked = await tenant.consignee.make(f"{home_path(place_id)}/hub", change)
    assert linked["has_witness"] is False


async def test_the_hub_is_linked_anew_by_the_owner_with_what_it_needs_and_in_peace(
    tenant: Tenant, platform: Platform
) -> None:
    place_id = (await add_home(tenant))["id"]
    path = f"{home_path(place_id)}/hub"
    for field, body in (
        ("secrets.access_token", {"secrets": {"address": HUB}}),
        ("secrets.address", {"secrets": {"address": "https://10.0.0.7", "access_token": "t"}}),
        ("secrets.address", {"secrets": {"address": "https://hub.invalid", "access_token": "t"}}),
        ("entity", {"entity": "light.hall", "secrets": {"address": HUB, "access_token": "t"}}),
    ):
        answer = await tenant.consignee.post(path, body)
        assert [error["field"] for error in answer.json()["errors"]] == [field]
    good = {"secrets": {"address": HUB, "access_token": "t"}}
    member = await join(tenant, place_id)
    assert (await member.post(path, good)).status_code == 403
    await witness(platform, place_id)
    home = await add_home_stop(platform, tenant, place_id)
    visit = await home.scan(platform)
    assert (await tenant.consignee.post(path, good)).status_code == 409
    await tenant.courier.make(f"/v1/courier/visits/{visit['id']}/could_not", {"reason": "door_not_found"})
    await fetch(platform, "UPDATE visit SET tail = 'watching' RETURNING 1")
    assert (await tenant.consignee.post(path, good)).status_code == 409
    await fetch(platform, "UPDATE visit SET tail = 'over' RETURNING 1")
    assert (await tenant.consignee.post(path, good)).status_code == 200


# ---- un-linked


async def test_what_opens_an_unlinked_home_is_destroyed_and_its_history_stays(
    tenant: Tenant, platform: Platform
) -> None:
    place_id = (await add_home(tenant))["id"]
    camera_id = await witness(platform, place_id)
    await read_door(platform, place_id)
    member = await join(tenant, place_id)
    path = f"{home_path(place_id)}/home/unlink"
    assert (await member.post(path)).status_code == 403
    assert (
        await tenant.consignee.post(f"{home_path(tenant.access_point_id)}/home/unlink")
    ).status_code == 404
    shown = await tenant.consignee.make(path)
    assert (shown["is_linked"], shown["cameras"], shown["has_witness"]) == (False, 0, False)
    ((sealed, consent),) = await fetch(
        platform,
        "SELECT sealed, is_consent_given FROM vehicle JOIN access_point ON id = access_point_id WHERE id = %s",
        place_id,
    )
    assert platform.vault.open_mapping(bytes(sealed), place_id) == {"vin": "lock.front_door"}
    assert consent is False
    ((sealed,),) = await fetch(platform, "SELECT sealed FROM camera WHERE id = %s", camera_id)
    assert platform.vault.open_mapping(bytes(sealed), camera_id) == {}
    assert await fetch(platform, "SELECT 1 FROM reading WHERE access_point_id = %s", place_id) == []
    asked = await tenant.carrier.make("/v1/options", {"consignee_id": tenant.consignee.id})
    (option,) = [one for one in asked["options"] if one["access_point_id"] == place_id]
    assert option["verdict"] == "not_offered"
    assert (await tenant.carrier.get(f"/v1/access_points/{place_id}")).json()["home"]["is_linked"] is False
    added = await tenant.consignee.post(f"{home_path(place_id)}/cameras", CAMERA)
    assert (added.status_code, added.json()["detail"]) == (
        409, "this home is un-linked: link its hub again first"
    )  # fmt: skip
    deed = (await member.get("/v1/me/timeline")).json()["deeds"][0]
    assert (deed["what"], deed["text"]) == (
        "home_unlinked", "The home was unlinked: what opened its door and cameras was erased."
    )  # fmt: skip
    await tenant.consignee.make(path)  # said twice: nothing more
    assert len(await fetch(platform, "SELECT 1 FROM deed WHERE what = 'home_unlinked'")) == 1
    again = {"secrets": {"address": HUB, "access_token": "another"}}
    assert (await tenant.consignee.make(f"{home_path(place_id)}/hub", again))["is_linked"] is True
    await tenant.consignee.make(f"{home_path(place_id)}/cameras", CAMERA)
    await witness(platform, place_id)
    asked = await tenant.carrier.make("/v1/options", {"consignee_id": tenant.consignee.id})
    (option,) = [one for one in asked["options"] if one["access_point_id"] == place_id]
    assert option["verdict"] == "offered"


async def test_a_home_is_unlinked_in_peace_alone(tenant: Tenant, platform: Platform) -> None:
    """After it nothing could be locked there: not while something may be open, or is still to be brought."""
    place_id = (await add_home(tenant))["id"]
    path = f"{home_path(place_id)}/home/unlink"
    await witness(platform, place_id)
    home = await add_home_stop(platform, tenant, place_id)
    refused = await tenant.consignee.post(path, **{"Accept-Language": "fr"})
    assert (refused.status_code, refused.json()["detail"], refused.json()["text"]) == (
        409,
        "1 deliveries are to come here: redirect them, then un-link this home",
        "1 livraisons sont à venir ici : redirigez-les, puis déliez ce domicile",
    )
    visit = await home.scan(platform)
    under_way = "a visit is under way, or was a moment ago: un-link this home when its watch is over"
    assert (await tenant.consignee.post(path)).json()["detail"] == under_way
    await tenant.courier.make(f"/v1/courier/visits/{visit['id']}/could_not", {"reason": "door_not_found"})
    await fetch(platform, "UPDATE visit SET tail = 'watching' RETURNING 1")
    assert (await tenant.consignee.post(path)).json()["detail"] == under_way
    assert (await fetch(platform, "SELECT 1 FROM deed WHERE what = 'home_unlinked'")) == []
    await fetch(platform, "UPDATE visit SET tail = 'over' RETURNING 1")
    await tenant.consignee.make(f"/v1/me/stops/{home.stop_id}/redirect", {"fallback": "depot"})
    assert (await tenant.consignee.make(path))["is_linked"] is False


async def join(tenant: Tenant, place_id: str) -> Caller:
    """A member of a home's household."""
    member = await add_consignee(tenant.carrier, "Ben Brother")
    code = await invite(tenant.consignee, place_id)
    await member.make("/v1/me/households/join", {"code": code})
    return member


async def test_a_consignee_makes_their_own_home_a_place(tenant: Tenant, platform: Platform) -> None:
    home = new_home(tenant.consignee.id)["home"]
    body = {"home": home, "address": ADDRESS, "time_zone": "America/Los_Angeles", "name": "Our front door"}
    made = await tenant.consignee.make("/v1/me/homes", body)
    assert (made["kind"], made["name"], made["is_consent_given"]) == ("home", "Our front door", True)
    assert made["home"]["cameras"] == 1
    timeline = (await tenant.consignee.get("/v1/me/timeline")).json()
    assert made["id"] in [place["id"] for place in timeline["places"]]
    await witness(platform, made["id"])
    asked = await tenant.carrier.make("/v1/options", {"consignee_id": tenant.consignee.id})
    assert ("offered", made["id"]) in [(one["verdict"], one["access_point_id"]) for one in asked["options"]]
    for field, home_changes in (
        ("home.secrets.address", {"secrets": {"address": "https://10.0.0.7", "access_token": "t"}}),
        ("home.cameras[0].address", {"cameras": [{**CAMERA, "address": "rtsp://camera.invalid/"}]}),
    ):
        refused = await tenant.consignee.post("/v1/me/homes", {**body, "home": {**home, **home_changes}})
        assert [error["field"] for error in refused.json()["errors"]] == [field]


# ---- its cameras


async def test_cameras_come_and_go_and_what_opens_them_is_destroyed(
    tenant: Tenant, platform: Platform
) -> None:
    place_id = (await add_home(tenant))["id"]
    path = f"{home_path(place_id)}/cameras"
    added = await tenant.consignee.make(path, {**CAMERA, "name": "Garden"})
    assert (added["name"], added["is_witness"], added["methods"], added["check_by"]) == (
        "Garden",
        False,
        [],
        None,
    )
    listed = (await tenant.consignee.get(path)).json()["cameras"]
    assert [one["name"] for one in listed] == ["Hall", "Garden"]
    removed = await tenant.consignee.delete(f"{path}/{added['id']}")
    assert removed.json() == {"id": added["id"], "is_removed": True}
    assert (await tenant.consignee.delete(f"{path}/{added['id']}")).status_code == 404
    assert [one["name"] for one in (await tenant.consignee.get(path)).json()["cameras"]] == ["Hall"]
    ((sealed,),) = await fetch(platform, "SELECT sealed FROM camera WHERE id = %s", added["id"])
    assert platform.vault.open_mapping(bytes(sealed), added["id"]) == {}
    deeds = await fetch(platform, "SELECT what, body FROM deed WHERE what LIKE 'camera%%' ORDER BY id")
    assert deeds == [("camera_added", {"camera": "Garden"}), ("camera_removed", {"camera": "Garden"})]


async def test_a_home_has_so_many_cameras_and_no_more(tenant: Tenant) -> None:
    place_id = (await add_home(tenant))["id"]
    path = f"{home_path(place_id)}/cameras"
    for number in range(7):
        await tenant.consignee.make(path, {**CAMERA, "name": f"Camera {number}"})
    assert (await tenant.consignee.post(path, CAMERA)).status_code == 409


async def test_a_camera_is_refused_by_its_own_fields(tenant: Tenant) -> None:
    place_id = (await add_home(tenant))["id"]
    path = f"{home_path(place_id)}/cameras"
    for field, changes in (
        ("address", {"address": "rtsp://10.1.2.3/stream"}),
        ("address", {"address": "rtsp://camera.invalid/stream"}),
        ("address", {"address": None}),
        ("maker", {"maker": "onstar"}),
        ("secrets.pin", {"secrets": {"pin": "1"}}),
    ):
        answer = await tenant.consignee.post(path, {**CAMERA, **changes})
        assert answer.status_code == 400, answer.text
        assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_no_camera_is_removed_while_a_visit_lives(tenant: Tenant, platform: Platform) -> None:
    """It may be the one by whose proof the door was opened."""
    place_id = (await add_home(tenant))["id"]
    camera_id = await witness(platform, place_id)
    home = await add_home_stop(platform, tenant, place_id)
    visit = await home.scan(platform)
    assert visit["state"] == "ringing", visit
    path = f"{home_path(place_id)}/cameras/{camera_id}"
    refused = await tenant.consignee.delete(path)
    assert refused.status_code == 409
    assert "under way" in refused.json()["detail"]
    await tenant.courier.make(f"/v1/courier/visits/{visit['id']}/could_not", {"reason": "other"})
    assert (await tenant.consignee.delete(path)).status_code == 200


async def test_a_home_is_nothing_to_strangers(tenant: Tenant, platform: Platform) -> None:
    place_id = (await add_home(tenant))["id"]
    stranger = await make_tenant_of_another(platform, tenant)
    for answer in (
        await stranger.get(f"{home_path(place_id)}/home"),
        await stranger.post(f"{home_path(place_id)}/home", {"is_pet_loose": True}),
        await stranger.get(f"{home_path(place_id)}/cameras"),
        await stranger.post(f"{home_path(place_id)}/cameras", CAMERA),
    ):
        assert answer.status_code == 404


async def make_tenant_of_another(platform: Platform, tenant: Tenant) -> Caller:
    made = await tenant.carrier.make("/v1/consignees", {"name": "Sam Stranger", "language": "en"})
    return Caller(http=tenant.carrier.http, key=made["key"], id=made["id"])
