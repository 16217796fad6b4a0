"""A home's visit as its courier and its household see it: found, rung at, handed over, recorded."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from tests.web.conftest import ADDRESS, Tenant
from tests.web.homes import HomeStop, add_home, add_home_stop, hear, read_door, witness
from tests.web.people import fetch
from tests.web.test_visits import picture_of, tell

from unlatch.domain.visit import Fact
from unlatch.flow.platform import Platform

NEAR = {**ADDRESS, "accuracy_m": 8}
FAR = {"latitude": ADDRESS["latitude"] + 0.05, "longitude": ADDRESS["longitude"], "accuracy_m": 8}
PROVEN = (Fact.CLOCK_RAN_OUT, Fact.RECORDING_PROVEN)
OPENED = (*PROVEN, Fact.GATE_PASSED, Fact.UNLOCK_SAID_DONE, Fact.SEEN_OPEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A home with a witness, and a stop there."""

    tenant: Tenant
    platform: Platform
    stop: HomeStop
    camera_id: str

    async def scan(self) -> dict[str, Any]:
        return await self.stop.scan(self.platform)

    async def say(self, visit_id: str, word: str, body: dict[str, Any] | None = None) -> Any:
        return await self.tenant.courier.post(f"/v1/courier/visits/{visit_id}/{word}", body or {})

    async def locate(self, position: dict[str, Any] = NEAR, language: str = "en") -> Any:
        path = f"/v1/courier/stops/{self.stop.stop_id}/locate"
        headers = {"Accept-Language": language}
        return await self.tenant.courier.post(path, {"position": position}, **headers)

    async def is_wanted(self) -> bool:
        rows = await fetch(self.platform, "SELECT wanted_until_real > now() FROM camera")
        return any(one for (one,) in rows)


@pytest.fixture
async def home(platform: Platform, tenant: Tenant) -> Home:
    place_id = (await add_home(tenant))["id"]
    camera_id = await witness(platform, place_id)
    stop = await add_home_stop(platform, tenant, place_id)
    return Home(tenant=tenant, platform=platform, stop=stop, camera_id=camera_id)


# ---- how the door is found


async def test_the_courier_is_shown_the_door_near_and_in_the_window_and_the_camera_is_connected(
    home: Home,
) -> None:
    assert not await home.is_wanted()
    shown = (await home.locate()).json()
    assert shown == {
        "kind": "home",
        "make": None,
        "model": None,
        "colour": None,
        "plate": None,
        "door": {
            "form": "door",
            "form_text": "A door",
            "directions": "The green door\nbehind the fountain",
            "rings_first": True,
        },
        "picture_url": None,
        "position": {**ADDRESS, "accuracy_m": None},
        "observed_at": None,
        "is_being_read": False,
    }
    assert await home.is_wanted(), "armed as the courier comes near"
    french = (await home.locate(language="fr")).json()
    assert french["door"]["form_text"] == "Une porte"
    told = await fetch(
        home.platform, "SELECT event, facts->>'kind' FROM notice WHERE event = 'courier_arriving'"
    )
    assert told == [("courier_arriving", "home")]


@pytest.mark.parametrize("late", [False, True])
async def test_far_from_it_or_outside_of_the_window_nothing_is_shown_and_each_try_is_a_look(
    home: Home, late: bool
) -> None:
    if late:
        past = home.platform.clock.now() - timedelta(minutes=1)
        await fetch(home.platform, "UPDATE stop SET window_until = %s RETURNING 1", past)
    refused = await home.locate(NEAR if late else FAR)
    assert refused.status_code == 403
    reason = "courier_too_late" if late else "courier_too_far"
    assert [one["code"] for one in refused.json()["reasons"]] == [reason]
    assert "fountain" not in refused.text
    assert not await home.is_wanted(), "nobody looks into that home"
    (look,) = (await home.tenant.consignee.get("/v1/me/timeline")).json()["looks"]
    assert (look["what"], look["who"]) == (f"refused:{reason}", "courier")


async def test_each_look_is_a_row_that_the_household_reads(home: Home) -> None:
    await home.locate()
    (look,) = (await home.tenant.consignee.get("/v1/me/timeline")).json()["looks"]
    assert (look["what"], look["stop_id"]) == ("door_and_directions", home.stop.stop_id)


async def test_before_the_window_the_door_is_shown_and_no_camera_is_connected(home: Home) -> None:
    soon = home.platform.clock.now() + timedelta(minutes=20)
    await fetch(
        home.platform, "UPDATE stop SET window_from = %s WHERE id = %s RETURNING 1", soon, home.stop.stop_id
    )
    assert (await home.locate()).json()["door"]["form"] == "door"
    assert not await home.is_wanted()


async def test_in_quiet_hours_nobody_rings(home: Home) -> None:
    path = f"/v1/me/access_points/{home.stop.place_id}/home"
    await home.tenant.consignee.make(path, {"quiet_from": "00:00:00", "quiet_until": "23:59:59.999"})
    assert (await home.locate()).json()["door"]["rings_first"] is False
    assert (await home.scan())["state"] == "proving"


async def test_nobody_sets_out_for_a_home_with_an_animal_loose_or_without_a_witness(home: Home) -> None:
    heading = f"/v1/courier/stops/{home.stop.stop_id}/heading"
    assert (await home.tenant.courier.make(heading, {}))["advice"] == "go_to_place"
    await home.tenant.consignee.make(
        f"/v1/me/access_points/{home.stop.place_id}/home", {"is_pet_loose": True}
    )
    await fetch(home.platform, "UPDATE camera SET check_by = now() RETURNING 1")
    shown = await home.tenant.courier.make(heading, {})
    assert shown["advice"] == "take_fallback"
    assert [one["code"] for one in shown["reasons"]] == ["consignee_pet_loose", "device_camera_not_enrolled"]


# ---- what is said at the door


async def test_someone_comes_to_the_door_and_takes_the_parcel(home: Home) -> None:
    visit = await home.scan()
    assert (visit["state"], visit["next_step"]) == ("ringing", "ring_and_wait")
    assert (await home.say(visit["id"], "rang")).json()["state"] == "ringing"
    met = (await home.say(visit["id"], "met_someone")).json()
    assert (met["state"], met["next_step"], met["incident"]) == ("answered", "hand_over", "consignee_at_home")
    assert (await home.say(visit["id"], "met_someone")).json()["state"] == "answered", "said twice"
    photo = base64.b64encode(picture_of("handed")).decode()
    over = (await home.say(visit["id"], "handed_over", {"photo": photo})).json()
    assert (over["state"], over["is_live"], over["next_step"], over["has_opened"]) == (
        "handed_over", False, "go_on", False
    )  # fmt: skip
    assert (over["is_recorded"], over["recording"], over["is_clean"]) == (True, "none", True)
    again = await home.say(visit["id"], "handed_over")
    assert (again.status_code, again.json()["state"]) == (200, "handed_over")
    stop = (await home.tenant.carrier.get(f"/v1/stops/{home.stop.stop_id}")).json()
    assert (stop["state"], [one["place"] for one in stop["parcels"]]) == ("delivered", ["handed_over"])
    assert await fetch(home.platform, "SELECT 1 FROM command") == []
    photos = await fetch(home.platform, "SELECT visit_id FROM photo")
    assert photos == [(visit["id"],)]
    told = await fetch(home.platform, "SELECT reader FROM notice WHERE event = 'handed_over' ORDER BY 1")
    assert told == [("carrier",), ("consignee",)]


async def test_handed_over_may_be_said_at_once(home: Home) -> None:
    visit = await home.scan()
    assert (await home.say(visit["id"], "handed_over")).json()["state"] == "handed_over"


@pytest.mark.parametrize("word", ["rang", "met_someone", "handed_over"])
async def test_once_the_door_is_opened_words_of_before_are_refused_and_change_nothing(
    home: Home, word: str
) -> None:
    visit = await home.scan()
    await tell(home.platform, visit["id"], *OPENED)
    before = await fetch(home.platform, "SELECT state, journal_number FROM visit")
    refused = await home.say(visit["id"], word)
    assert refused.status_code == 409
    assert "put the parcel in" in refused.json()["detail"]
    assert await fetch(home.platform, "SELECT state, journal_number FROM visit") == before
    await home.say(visit["id"], "could_not", {"reason": "someone_refused"})
    await home.say(visit["id"], "closed")
    await tell(home.platform, visit["id"], Fact.SEEN_LOCKED)
    ended = await home.say(visit["id"], word)
    assert (ended.status_code, ended.json()["detail"]) == (409, "this visit has ended")


async def test_at_a_car_nobody_is_met(home: Home, tenant: Tenant, platform: Platform) -> None:
    from tests.web.test_visits import save_reading, scan

    await save_reading(platform, tenant.access_point_id)
    visit = await scan(tenant)
    assert (visit["is_recorded"], visit["recording"], visit["assurance"]) == (False, "none", "seen")
    for word in ("rang", "met_someone", "handed_over"):
        refused = await home.say(visit["id"], word)
        assert (refused.status_code, refused.json()["detail"]) == (409, "this is said at homes alone")


async def test_a_visit_of_another_is_none_of_theirs(home: Home) -> None:
    refused = await home.say("vis_none", "handed_over")
    assert refused.status_code == 404


# ---- the recording, as it is shown


async def read(home: Home, visit_id: str) -> tuple[str, bool]:
    shown = (await home.tenant.consignee.get(f"/v1/visits/{visit_id}")).json()
    assert shown["is_recorded"] is True
    assert shown["assurance"] == "seen"
    return shown["recording"], shown["is_clean"]


async def test_a_visit_says_whether_it_was_recorded_and_without_a_gap(home: Home) -> None:
    visit_id = (await home.scan())["id"]
    assert await read(home, visit_id) == ("none", True)
    await tell(home.platform, visit_id, *PROVEN)
    assert await read(home, visit_id) == ("proven", True)
    await tell(home.platform, visit_id, Fact.GATE_PASSED, Fact.UNLOCK_SAID_DONE, Fact.SEEN_OPEN)
    assert await read(home, visit_id) == ("proven", True)
    await tell(home.platform, visit_id, Fact.RECORDING_LOST)
    assert await read(home, visit_id) == ("lost", False)
    await home.say(visit_id, "deposited")
    await tell(home.platform, visit_id, Fact.SEEN_CLOSED, Fact.SEEN_LOCKED)
    shown = (await home.tenant.courier.get(f"/v1/courier/visits/{visit_id}")).json()
    assert (shown["state"], shown["recording"], shown["is_clean"]) == ("delivered", "lost", False)


async def test_a_refusal_before_the_gate_has_recorded_nothing(home: Home) -> None:
    visit_id = (await home.scan())["id"]
    await tell(home.platform, visit_id, Fact.CLOCK_RAN_OUT, Fact.RECORDING_NOT_PROVEN)
    assert await read(home, visit_id) == ("none", True)


async def test_a_frozen_picture_is_refused_at_the_scan_with_its_reason(home: Home) -> None:
    await hear(home.platform, home.camera_id, verdict="frozen")
    refused = await home.scan()
    assert (refused["state"], [one["code"] for one in refused["reasons"]]) == (
        "refused",
        ["device_camera_not_proven"],
    )


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"is_bolted_inside": True}, "consignee_second_bolt"),
        ({"is_alarm_armed": True}, "consignee_alarm_armed"),
        ({"is_pet_loose": True}, "consignee_pet_loose"),
    ],
)
async def test_what_the_hub_tells_of_the_inside_refuses_the_scan(
    home: Home, told: dict[str, Any], code: str
) -> None:
    yesterday = home.platform.clock.now() - timedelta(hours=20)
    await read_door(home.platform, home.stop.place_id, observed_at=yesterday)
    refused = await home.stop.scan(home.platform, observed_at=yesterday, **told)
    assert [one["code"] for one in refused["reasons"]] == [code], "told of a door that has not moved since"


async def test_a_door_that_is_locked_since_yesterday_is_opened_for_a_courier(home: Home) -> None:
    yesterday = home.platform.clock.now() - timedelta(hours=20)
    visit = await home.stop.scan(home.platform, observed_at=yesterday)
    assert visit["state"] == "ringing", visit


async def test_the_timeline_words_what_a_recorder_tells_and_leaves_its_links_out(home: Home) -> None:
    from unlatch.domain.proof import Kind
    from unlatch.flow.record import Line, chain
    from unlatch.store import journal, visits

    visit_id = (await home.scan())["id"]
    async with home.platform.database.transaction() as connection:
        for name in ("recording_begun", "recording_link", "picture_doubted", "recording_link", "clip_kept"):
            row = await visits.lock_visit(connection, visit_id)
            line = Line(name=name, who=f"camera:{home.camera_id}", kind=Kind.NOTE, body={})
            row, (entry, private) = chain(row, line, home.platform.clock.now())
            await visits.update_visit(connection, row)
            await journal.append_entry(connection, entry, private)
    timeline = (await home.tenant.consignee.get("/v1/me/timeline")).json()
    texts = {line["name"]: line["text"] for line in timeline["visits"][0]["lines"]}
    assert texts["recording_begun"] == "Your camera began to record"
    assert texts["clip_kept"] == "The recording was kept as a clip, encrypted: you can watch it"
    assert texts["scanned"] == "The courier scanned the label of your parcel"
    assert "recording_link" not in texts
    assert "Note" not in texts.values()
