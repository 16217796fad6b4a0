"""Options and booking over HTTP: by the carrier's programme, each refusal with its reasons."""

from __future__ import annotations

import asyncio
import shutil
import statistics
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from datetime import time as datetime_time
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import psycopg
import pytest
from tests.domain.vins import break_check_digit, make_vin
from tests.web.conftest import ADDRESS, PUBLIC_URL, Caller, Tenant, make_tenant, new_access_point

from unlatch.domain.proof import text_of_time
from unlatch.errors import BadInput
from unlatch.flow.enrolment import admit_carrier
from unlatch.flow.platform import Platform
from unlatch.flow.programmes import MOST_NAMED, set_programme
from unlatch.flow.rule_files import PROGRAMMES, SHIPPED
from unlatch.flow.rules import Rulebook
from unlatch.main import main
from unlatch.web.app import create_app

NUMBERS = count(1)
PARCEL: dict[str, Any] = {
    "weight": "12.5 lb",
    "dimensions": "20 x 12 x 8 in",
    "value": "49.90 USD",
    "needs_signature": False,
    "is_sold_by_merchant": True,
    "is_dangerous": False,
}
LOS_ANGELES = ZoneInfo("America/Los_Angeles")


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A carrier that books by the rules of 2018, with one consignee and one car that they take."""

    carrier: Caller
    consignee_id: str
    place_id: str
    platform: Platform

    async def announce(self, *parcels: dict[str, Any]) -> str:
        """A shipment of these parcels; its id."""
        given = [{"label": {"text": f"TBA{next(NUMBERS):012}"}, **parcel} for parcel in parcels or (PARCEL,)]
        body = {"consignee_id": self.consignee_id, "reference": "order", "parcels": given}
        made = await self.carrier.make("/v1/shipments", body)
        return str(made["id"])

    async def stop(self, **changes: Any) -> dict[str, Any]:
        """A stop that can be booked."""
        stop = {
            "access_point_id": self.place_id,
            "window": {"date": f"{self.in_days(2)}", "from": "16:00:00"},
            "fallback": "depot",
            **changes,
        }
        return {"shipment_id": await self.announce(), **stop} if "shipment_id" not in stop else stop

    def in_days(self, days: int) -> Any:
        return (self.platform.clock.now().astimezone(LOS_ANGELES) + timedelta(days=days)).date()

    async def options(self, body: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
        asked = body or {"consignee_id": self.consignee_id, "parcels": [PARCEL]}
        answer = await self.carrier.post("/v1/options", asked, **headers)
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    async def place(self, vehicle: dict[str, Any] | None = None, **changes: Any) -> str:
        body = new_access_point(self.consignee_id, **changes)
        body["vehicle"] |= {"vin": make_vin("1G1", "J"), "model_year": 2018, "has_service": True}
        body["vehicle"] |= vehicle or {}
        return str((await self.carrier.make("/v1/access_points", body))["id"])


@pytest.fixture
async def launch(platform: Platform, http: httpx.AsyncClient) -> Launch:
    admitted = await admit_carrier(platform, "Amazing", "launch-2018")
    carrier = Caller(http=http, key=admitted.key, id=admitted.id)
    consignee = await carrier.make("/v1/consignees", {"name": "Ada", "plans": ["prime"]})
    empty = Launch(carrier=carrier, consignee_id=consignee["id"], place_id="", platform=platform)
    return replace(empty, place_id=await empty.place(name="Ada's Bolt"))


def codes(option: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in option["reasons"]]


async def refused(carrier: Caller, stop: dict[str, Any], status: int, word: str) -> list[str]:
    """The reasons, or the fields, for which this stop is refused; nothing is left of it."""
    answer = await carrier.post("/v1/stops", stop)
    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert problem["type"].endswith(f"#problem-{word}")
    if "errors" in problem:
        return [error["field"] for error in problem["errors"]]
    return [reason["code"] for reason in problem.get("reasons", [])]


# ---- who one is


async def test_a_carrier_reads_who_it_is_and_by_what_it_books(
    launch: Launch, tenant: Tenant, platform: Platform
) -> None:
    version = (await platform.rules.get()).version
    shown = (await launch.carrier.get("/v1/carrier")).json()
    assert shown == {
        "id": launch.carrier.id, "name": "Amazing", "programme": "launch-2018", "rules_version": version
    }  # fmt: skip
    assert (await tenant.carrier.get("/v1/carrier")).json()["programme"] == "open"
    assert (await tenant.consignee.get("/v1/carrier")).status_code == 403
    with pytest.raises(BadInput, match="programme: must be one of launch-2018, open"):
        await admit_carrier(platform, "Nobody", "launch-2019")


def test_the_command_line_admits_a_carrier_to_a_programme(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNLATCH_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("UNLATCH_DATABASE_URL", database_url)
    assert main(["carrier", "add", "Amazing", "--programme", "launch-2019"]) == 1
    assert "one of launch-2018, open" in capsys.readouterr().err
    assert main(["carrier", "add", "Amazing", "--programme", "launch-2018"]) == 0
    assert capsys.readouterr().out.startswith("unlatch_carrier_")
    with pytest.raises(SystemExit):
        main(["operator", "add", "Olga", "--programme", "open"])


# ---- another programme, later


async def book_openly(launch: Launch, carrier: Caller, plans: list[str], **parcel: Any) -> str:
    """A stop of a carrier that books by the open programme; its id."""
    consignee = await carrier.make("/v1/consignees", {"name": "Bo", "plans": plans})
    vehicle = {"vin": make_vin("1G1", "J"), "model_year": 2018, "has_service": True}
    body = new_access_point(consignee["id"])
    body["vehicle"] |= vehicle
    place = await carrier.make("/v1/access_points", body)
    parcels = [{"label": {"text": f"TBA{next(NUMBERS):012}"}, **PARCEL, **parcel}]
    shipment = await carrier.make(
        "/v1/shipments", {"consignee_id": consignee["id"], "reference": "order", "parcels": parcels}
    )
    four = datetime.combine(launch.in_days(2), datetime_time(16), tzinfo=LOS_ANGELES)
    stop = {
        "access_point_id": place["id"],
        "shipment_id": shipment["id"],
        "window_from": four.isoformat(),
        "window_until": (four + timedelta(hours=4)).isoformat(),
        "fallback": "depot",
    }
    return str((await carrier.make("/v1/stops", stop))["id"])


async def test_a_carrier_gets_another_programme_where_no_open_booking_forbids_it(
    launch: Launch, platform: Platform, http: httpx.AsyncClient
) -> None:
    admitted = await admit_carrier(platform, "Parcel Post")
    carrier = Caller(http=http, key=admitted.key, id=admitted.id)
    fits = await book_openly(launch, carrier, ["prime"])
    found = await set_programme(platform, carrier.id, "launch-2018")
    assert (found.was, found.forbidding) == ("open", ())
    assert (await carrier.get("/v1/carrier")).json()["programme"] == "launch-2018"
    assert (await carrier.get(f"/v1/stops/{fits}")).json()["programme"] == "open", "booked is booked"
    assert (await set_programme(platform, carrier.id, "launch-2018")).was == "launch-2018"


async def test_open_bookings_that_the_other_programme_does_not_offer_are_named_and_nothing_is_changed(
    launch: Launch, platform: Platform, http: httpx.AsyncClient
) -> None:
    admitted = await admit_carrier(platform, "Parcel Post")
    carrier = Caller(http=http, key=admitted.key, id=admitted.id)
    await book_openly(launch, carrier, ["prime"])
    no_member = await book_openly(launch, carrier, [])
    found = await set_programme(platform, carrier.id, "launch-2018")
    assert [one.stop_id for one in found.forbidding] == [no_member]
    assert found.forbidding[0].reasons == ("member_plan_missing",)
    assert (await carrier.get("/v1/carrier")).json()["programme"] == "open"
    at_noon = await book_openly(launch, carrier, ["prime"])
    await move_window(platform, at_noon, hours=-1)
    found = await set_programme(platform, carrier.id, "launch-2018")
    assert {one.stop_id: one.reasons for one in found.forbidding}[at_noon] == ("window",)
    # What has ended forbids nothing.
    for stop_id in (no_member, at_noon):
        await carrier.make(f"/v1/stops/{stop_id}/cancel")
    assert (await set_programme(platform, carrier.id, "launch-2018")).forbidding == ()


async def test_as_many_are_named_as_a_person_reads(launch: Launch, platform: Platform) -> None:
    for _ in range(3):
        await launch.carrier.make("/v1/stops", await launch.stop())
    async with platform.database.connection() as connection:
        await connection.execute("UPDATE consignee SET plans = '{}'")
        await connection.execute("UPDATE carrier SET programme = 'open'")
        await connection.execute(
            "INSERT INTO stop (id, carrier_id, access_point_id, shipment_id, window_from, window_until, fallback, "
            "state, created_at) SELECT 'stp_' || number, carrier_id, access_point_id, shipment_id, window_from, "
            "window_until, fallback, 'open', created_at "
            "FROM generate_series(1, 300) number, (SELECT * FROM stop LIMIT 1) one"
        )
    found = await set_programme(platform, launch.carrier.id, "launch-2018")
    assert len(found.forbidding) == MOST_NAMED


async def move_window(platform: Platform, stop_id: str, *, hours: int) -> None:
    async with platform.database.connection() as connection:
        await connection.execute(
            "UPDATE stop SET window_from = window_from + make_interval(hours => %s), "
            "window_until = window_until + make_interval(hours => %s) WHERE id = %s",
            (hours, hours, stop_id),
        )


def test_the_command_line_changes_a_carrier_s_programme_or_says_why_not(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNLATCH_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("UNLATCH_DATABASE_URL", database_url)
    assert main(["carrier", "add", "Parcel Post"]) == 0
    carrier_id = capsys.readouterr().err.split()[1].rstrip(":")
    assert main(["carrier", "set-programme", carrier_id, "--programme", "launch-2019"]) == 1
    assert "one of launch-2018, open" in capsys.readouterr().err
    assert main(["carrier", "set-programme", "car_nobody", "--programme", "launch-2018"]) == 1
    assert "no such carrier" in capsys.readouterr().err
    assert main(["carrier", "set-programme", carrier_id]) == 1
    assert "--programme" in capsys.readouterr().err
    assert main(["carrier", "set-programme", carrier_id, "--programme", "launch-2018"]) == 0
    assert "books by launch-2018 from now on (was open)" in capsys.readouterr().out
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO consignee SELECT 'con_1', id, 'Ann', 'en', 'k', now() FROM carrier WHERE id = %s",
            (carrier_id,),
        )
        connection.execute(
            "INSERT INTO access_point (id, carrier_id, consignee_id, kind, latitude, longitude, range_m, time_zone, "
            "allows_unseen_lock, is_consent_given, created_at) VALUES ('acc_1', %s, 'con_1', 'car', 47.62, -122.34, "
            "200, 'America/Los_Angeles', true, true, now())",
            (carrier_id,),
        )
        connection.execute("INSERT INTO shipment VALUES ('shp_1', %s, 'con_1', 'x', now())", (carrier_id,))
        connection.execute(
            "INSERT INTO stop (id, carrier_id, access_point_id, shipment_id, window_from, window_until, fallback, "
            "state, created_at) VALUES ('stp_1', %s, 'acc_1', 'shp_1', now(), now() + interval '1 day', 'depot', "
            "'open', now())",
            (carrier_id,),
        )
        connection.execute("UPDATE carrier SET programme = 'open'")
    assert main(["carrier", "set-programme", carrier_id, "--programme", "launch-2018"]) == 1
    told = capsys.readouterr()
    assert "stp_1" in told.out
    assert "nothing was changed" in told.err
    with pytest.raises(SystemExit):
        main(["operator", "set-programme", "ope_1"])


async def test_a_consignee_s_plans_are_set_by_their_own_carrier(launch: Launch, tenant: Tenant) -> None:
    path = f"/v1/consignees/{launch.consignee_id}"
    assert (await launch.carrier.get(path)).json()["plans"] == ["prime"]
    assert (await launch.carrier.make(f"{path}/plans", {"plans": []}))["plans"] == []
    (option,) = (await launch.options())["options"]
    assert codes(option) == ["member_plan_missing"]
    changed = await launch.carrier.make(f"{path}/plans", {"plans": ["gold", "prime", "gold"]})
    assert changed["plans"] == ["gold", "prime"]
    (option,) = (await launch.options())["options"]
    assert option["verdict"] == "offered"
    assert (await tenant.carrier.post(f"{path}/plans", {"plans": []})).status_code == 404
    for plans in (None, "prime", [""], ["x" * 41], ["p"] * 21, ["a\u0000"]):
        answer = await launch.carrier.post(f"{path}/plans", {"plans": plans})
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"].startswith("plans")


# ---- what is told of parcels, places and cars


async def test_a_parcel_is_kept_exactly_and_shown_in_metric_units(launch: Launch) -> None:
    shipment_id = await launch.announce(
        {**PARCEL, "weight": "50 lb", "dimensions": "26 x 21 x 16 in"},
        {"weight": "22.68 kg", "dimensions": "66 x 53.3 x 40.6 cm", "value": "5 EUR", "is_dangerous": True},
        {},
    )
    parcels = (await launch.carrier.get(f"/v1/shipments/{shipment_id}")).json()["parcels"]
    measured = [(one["weight_g"], one["dimensions_mm"], one["value"]) for one in parcels]
    assert measured == [
        (22679.6185, [660.4, 533.4, 406.4], "49.90 USD"),
        (22680.0, [660.0, 533.0, 406.0], "5.00 EUR"),
        (None, None, None),
    ]
    told = [(one["needs_signature"], one["is_sold_by_merchant"], one["is_dangerous"]) for one in parcels]
    assert told == [(False, True, False), (None, None, True), (None, None, None)]
    async with launch.platform.database.connection() as connection:
        cursor = await connection.execute("SELECT weight_g::text FROM parcel ORDER BY weight_g LIMIT 1")
        row = await cursor.fetchone()
    assert row == ("22679.61850",)


async def test_a_parcel_that_cannot_be_read_is_named(launch: Launch) -> None:
    for changes, field in (
        ({"weight": "50"}, "parcels[1].weight"),
        ({"weight": "50 stones"}, "parcels[1].weight"),
        ({"dimensions": "26 x 21 in"}, "parcels[1].dimensions"),
        ({"value": "49.90"}, "parcels[1].value"),
        ({"value": "49.999 USD"}, "parcels[1].value"),
        ({"weight": "1; DROP"}, "parcels[1].weight"),
        ({"is_dangerous": "no"}, "parcels[1].is_dangerous"),
        ({"colour": "red"}, "parcels[1].colour"),
    ):
        given: list[dict[str, Any]] = [{"label": {"text": f"TBA99999999{number:04}"}} for number in range(2)]
        given[1] |= changes
        body = {"consignee_id": launch.consignee_id, "reference": "x", "parcels": given}
        answer = await launch.carrier.post("/v1/shipments", body)
        assert answer.status_code == 400, answer.text
        assert answer.json()["errors"][0]["field"] == field
        asked = await launch.carrier.post(
            "/v1/options", {"consignee_id": launch.consignee_id, "parcels": [PARCEL, {**PARCEL, **changes}]}
        )
        assert asked.status_code == 400
        assert asked.json()["errors"][0]["field"] == field


async def test_a_place_has_a_name_and_a_country_and_its_car_a_service(launch: Launch) -> None:
    place_id = await launch.place({"has_service": None}, name="Le coffre", country="CA")
    shown = (await launch.carrier.get(f"/v1/access_points/{place_id}")).json()
    assert (shown["name"], shown["country"], shown["vehicle"]["has_service"]) == ("Le coffre", "CA", None)
    for changes, field in (
        ({"country": "usa"}, "country"),
        ({"country": "us"}, "country"),
        ({"name": "x" * 61}, "name"),
        ({"name": "a\u0007"}, "name"),
    ):
        answer = await launch.carrier.post(
            "/v1/access_points", new_access_point(launch.consignee_id, **changes)
        )
        assert answer.json()["errors"][0]["field"] == field


# ---- options


async def test_every_place_is_offered_or_not_with_every_reason(launch: Launch, platform: Platform) -> None:
    too_old = await launch.place({"vin": make_vin("1G1", "E"), "model_year": 2014})
    far_off = await launch.place({"has_service": None}, address={"latitude": 44, "longitude": -100})
    unseen = await launch.place(
        {"account_kind": "classic", "has_service": False}, allows_unseen_lock=True, range_m=500
    )
    typing_error = await launch.place({"vin": break_check_digit(make_vin("YV4", "J")), "make": "Chevrolet"})
    shown = await launch.options()
    assert (shown["programme"], shown["rules_version"], shown["longest_window_s"]) == (
        "launch-2018", (await platform.rules.get()).version, 14400
    )  # fmt: skip
    by_place = {one["access_point_id"]: one for one in shown["options"]}
    assert {place: (one["verdict"], codes(one)) for place, one in by_place.items()} == {
        launch.place_id: ("offered", []),
        too_old: ("not_offered", ["vehicle_too_old"]),
        far_off: ("not_offered", ["address_area_not_served", "vehicle_service_not_told"]),
        unseen: (
            "not_offered",
            ["place_range_too_wide", "vehicle_service_missing", "vehicle_lock_not_readable"],
        ),
        typing_error: ("not_offered", ["vin_of_other_make"]),
    }
    first = by_place[launch.place_id]
    assert (first["name"], first["kind"], first["time_zone"]) == ("Ada's Bolt", "car", "America/Los_Angeles")
    assert first["area"] == {"name": "Seattle-Tacoma", "is_confirmed": True}
    assert {place: (one["assurance"], len(one["windows"])) for place, one in by_place.items()} == {
        launch.place_id: ("seen", 12), too_old: ("seen", 0), far_off: ("seen", 0), unseen: ("said", 0),
        typing_error: ("seen", 0),
    }  # fmt: skip


async def test_what_was_not_told_makes_it_depend(launch: Launch) -> None:
    body = {"consignee_id": launch.consignee_id, "parcels": [{}]}
    (option,) = (await launch.options(body))["options"]
    assert (option["verdict"], option["windows"]) == ("depends", [])
    assert codes(option) == ["parcel_not_measured", "parcel_value_not_told", "parcel_not_declared"]
    (french,) = (await launch.options(body, **{"Accept-Language": "fr"}))["options"]
    assert french["reasons"][1]["text"] == "Il faut la valeur du colis."
    (in_general,) = (await launch.options({"consignee_id": launch.consignee_id}))["options"]
    assert in_general["verdict"] == "offered"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"weight": "50.0 lb"}, []), ({"weight": "50.1 lb"}, ["parcel_too_heavy"]), ({"weight": "22.67 kg"}, []),
        ({"weight": "22.68 kg"}, ["parcel_too_heavy"]), ({"dimensions": "26 x 16 x 21 in"}, []),
        ({"dimensions": "26.1 x 16 x 21 in"}, ["parcel_too_large"]), ({"dimensions": "660.4 x 406.4 x 533.4 mm"}, []),
        ({"dimensions": "66.1 x 40 x 53 cm"}, ["parcel_too_large"]), ({"value": "1300.00 USD"}, []),
        ({"value": "1300.01 USD"}, ["parcel_too_valuable"]), ({"value": "1 CAD"}, ["parcel_other_currency"]),
        ({"needs_signature": True}, ["parcel_needs_signature"]),
        ({"is_sold_by_merchant": False}, ["parcel_of_other_seller"]), ({"is_dangerous": True}, ["parcel_dangerous"]),
    ],
)  # fmt: skip
async def test_the_edges_in_both_units_when_asked_and_when_booked(
    launch: Launch, changes: dict[str, Any], expected: list[str]
) -> None:
    parcel = {**PARCEL, **changes}
    (option,) = (await launch.options({"consignee_id": launch.consignee_id, "parcels": [parcel]}))["options"]
    assert codes(option) == expected
    shipment_id = await launch.announce(parcel)
    (option,) = (await launch.options({"shipment_id": shipment_id}))["options"]
    assert codes(option) == expected
    stop = await launch.stop(shipment_id=shipment_id)
    if expected:
        assert await refused(launch.carrier, stop, 409, "not_offered") == expected
    else:
        assert (await launch.carrier.post("/v1/stops", stop)).status_code == 201


async def test_several_parcels_name_which_of_them_it_is_about(launch: Launch) -> None:
    heavy = {**PARCEL, "weight": "60 lb"}
    shipment_id = await launch.announce(PARCEL, heavy, {**heavy, "is_dangerous": True})
    for body in (
        {"shipment_id": shipment_id},
        {
            "consignee_id": launch.consignee_id,
            "parcels": [PARCEL, heavy, {**heavy, "is_dangerous": True}],
        },
    ):
        (option,) = (await launch.options(body))["options"]
        assert [(one["code"], one["parcels"]) for one in option["reasons"]] == [
            ("parcel_too_heavy", [1, 2]), ("parcel_dangerous", [2])
        ]  # fmt: skip
    (option,) = (await launch.options({"consignee_id": launch.consignee_id, "parcels": [heavy, heavy]}))[
        "options"
    ]
    assert option["reasons"] == [{"code": "parcel_too_heavy", "text": "The parcel is too heavy."}]


async def test_what_is_asked_wrongly_is_named_and_what_is_another_s_is_not_found(
    launch: Launch, tenant: Tenant
) -> None:
    own = {"consignee_id": launch.consignee_id}
    for body, field in (
        ({}, "shipment_id"),
        ({**own, "shipment_id": tenant.shipment_id}, "shipment_id"),
        ({"shipment_id": tenant.shipment_id, "parcels": [{}]}, "parcels"),
        ({"consignee_id": "x"}, "consignee_id"),
        ({**own, "parcels": [{}] * 51}, "parcels"),
        ({**own, "parcels": [{"size": 1}]}, "parcels[0].size"),
        ({**own, "when": "soon"}, "when"),
    ):
        answer = await launch.carrier.post("/v1/options", body)
        assert answer.status_code == 400, answer.text
        assert answer.json()["errors"][0]["field"] == field
    for body in ({"consignee_id": tenant.consignee.id}, {"shipment_id": tenant.shipment_id}):
        assert (await launch.carrier.post("/v1/options", body)).status_code == 404
    for asker in (tenant.consignee, tenant.courier):
        assert (await asker.post("/v1/options", own)).status_code == 403


async def test_the_windows_that_are_offered_can_be_booked_each(launch: Launch) -> None:
    (option,) = (await launch.options())["options"]
    now = launch.platform.clock.now()
    begun = [datetime.fromisoformat(window["window_from"]) for window in option["windows"]]
    assert begun == sorted(begun)
    assert begun[0] > now
    assert {window["from"] for window in option["windows"]} == {"08:00:00", "12:00:00", "16:00:00"}
    for number, window in enumerate(option["windows"][:4]):
        assert window["window_from"].endswith(("-08:00", "-07:00"))
        assert window["window_from"].startswith(f"{window['date']}T{window['from']}")
        assert f"T{window['until']}" in window["window_until"]
        given = (
            {"window": {"date": window["date"], "from": window["from"]}}
            if number % 2
            else {
                "window": None,
                "window_from": window["window_from"],
                "window_until": window["window_until"],
            }
        )
        stop = await launch.carrier.make("/v1/stops", await launch.stop(**given))
        for name in ("window_from", "window_until"):
            assert datetime.fromisoformat(stop[name]) == datetime.fromisoformat(window[name])


async def test_a_household_s_places_are_options_and_those_of_others_are_not(
    launch: Launch, platform: Platform
) -> None:
    other = await launch.carrier.make("/v1/consignees", {"name": "Bob", "plans": ["prime"]})
    asked = {"consignee_id": other["id"], "parcels": [PARCEL]}
    assert (await launch.options(asked))["options"] == []
    label = {"label": {"text": "TBA777777777777"}, **PARCEL}
    shipment = await launch.carrier.make(
        "/v1/shipments", {"consignee_id": other["id"], "reference": "x", "parcels": [label]}
    )
    stop = await launch.stop(shipment_id=shipment["id"])
    assert await refused(launch.carrier, stop, 400, "bad_input") == ["access_point_id"]
    async with platform.database.connection() as connection:
        await connection.execute(
            "INSERT INTO member VALUES (%s, %s, now(), NULL)", (launch.place_id, other["id"])
        )
    (option,) = (await launch.options(asked))["options"]
    assert (option["access_point_id"], option["verdict"]) == (launch.place_id, "offered")
    assert (await launch.carrier.post("/v1/stops", stop)).status_code == 201
    async with platform.database.connection() as connection:
        await connection.execute("UPDATE member SET left_at = now()")
    assert (await launch.options(asked))["options"] == []


async def test_options_are_quick(launch: Launch) -> None:
    """Three places, three parcels, by the stricter programme: the whole request, and the answer in its own time."""
    for _ in range(2):
        await launch.place()
    body = {"consignee_id": launch.consignee_id, "parcels": [PARCEL] * 3}
    took_ms = []
    for _ in range(30):
        began = time.perf_counter()
        assert len((await launch.options(body))["options"]) == 3
        took_ms.append((time.perf_counter() - began) * 1000)
    print(f"options of 3 places: median {statistics.median(took_ms):.1f} ms")
    assert statistics.median(took_ms) < 200


# ---- booking


async def test_a_stop_is_booked_without_a_courier_and_keeps_what_it_was_booked_by(
    launch: Launch, platform: Platform
) -> None:
    made = await launch.carrier.make(
        "/v1/stops", await launch.stop(fallback="neighbour", later_fallbacks=["to_door"])
    )
    stop = (await launch.carrier.get(f"/v1/stops/{made['id']}")).json()
    assert {name: stop[name] for name in made if name in stop} == {
        name: value for name, value in made.items() if name in stop
    }
    assert (stop["courier_id"], stop["state"], stop["expected_at"]) == (None, "open", None)
    plan = [step["fallback"] for step in stop["fallback_plan"]]
    assert (stop["fallback"], plan) == ("neighbour", ["neighbour", "to_door", "depot"])
    assert (stop["programme"], stop["rules_version"]) == (
        "launch-2018",
        (await platform.rules.get()).version,
    )
    assert [parcel["stop_id"] for parcel in stop["parcels"]] == [stop["id"]]
    begins = datetime.fromisoformat(stop["window_from"]).astimezone(LOS_ANGELES)
    assert (begins.date(), f"{begins:%H:%M}") == (launch.in_days(2), "16:00")


async def test_a_booking_is_written_down_and_told_once(launch: Launch, platform: Platform) -> None:
    body = await launch.stop()
    answers = [await launch.carrier.post("/v1/stops", body, key="the-same") for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    stop = answers[0].json()
    async with platform.database.connection() as connection:
        cursor = await connection.execute("SELECT who, what, stop_id, access_point_id, body FROM deed")
        deeds = await cursor.fetchall()
        cursor = await connection.execute(
            "SELECT reader, reader_id, event, key, facts FROM notice ORDER BY reader"
        )
        notices = await cursor.fetchall()
    window = {
        name: text_of_time(datetime.fromisoformat(stop[name])) for name in ("window_from", "window_until")
    }
    assert deeds == [
        (f"carrier:{launch.carrier.id}", "booked", stop["id"], launch.place_id, {**window, "fallbacks": ["depot"]})
    ]  # fmt: skip
    facts = {**window, "fallback": "depot", "carrier": "Amazing", "place": "Ada's Bolt"}
    assert notices == [
        ("carrier", launch.carrier.id, "booked", f"{stop['id']}/1", facts),
        ("consignee", launch.consignee_id, "booked", f"{stop['id']}/1", facts),
    ]


async def test_nothing_is_left_of_a_booking_that_was_refused(launch: Launch, platform: Platform) -> None:
    shipment_id = await launch.announce({**PARCEL, "weight": None})
    stop = await launch.stop(shipment_id=shipment_id)
    answer = await launch.carrier.post("/v1/stops", stop, **{"Accept-Language": "fr"})
    assert answer.status_code == 409
    assert answer.json()["detail"] == "Il faut le poids du colis et ses trois dimensions."
    assert [reason["code"] for reason in answer.json()["reasons"]] == ["parcel_not_measured"]
    async with platform.database.connection() as connection:
        cursor = await connection.execute(
            "SELECT (SELECT count(*) FROM stop), (SELECT count(*) FROM deed), (SELECT count(*) FROM notice), "
            "(SELECT count(*) FROM parcel WHERE stop_id IS NOT NULL)"
        )
        assert await cursor.fetchone() == (0, 0, 0, 0)


async def test_a_window_is_refused_by_field(launch: Launch) -> None:
    day = launch.in_days(2)
    no_window = {"window": None}
    begins = datetime.combine(day, datetime.min.time(), LOS_ANGELES)

    def instants(start: str, end: str) -> dict[str, Any]:
        def say(text: str) -> str:
            hours, minutes, seconds = (int(part) for part in text.split(":"))
            return begins.replace(hour=hours, minute=minutes, second=seconds).isoformat()

        return {**no_window, "window_from": say(start), "window_until": say(end)}

    for changes, field in (
        (no_window, "window"),
        ({**no_window, "window_from": begins.isoformat()}, "window"),
        (instants("16:00:00", "20:00:01"), "window_until"),
        (instants("16:00:01", "19:00:00"), "window_from"),
        (instants("17:00:00", "18:00:00"), "window_from"),
        (instants("16:00:00", "16:00:00"), "window_until"),
        ({**instants("16:00:00", "20:00:00"), "window": {"date": f"{day}", "from": "16:00:00"}}, "window"),
        ({"window": {"date": f"{day}", "from": "16:30:00"}}, "window.from"),
        ({"window": {"date": f"{day}", "from": "16:00:00Z"}}, "window.from"),
        ({"window": {"date": f"{day}"}}, "window.from"),
        ({"window": {"date": "2026-02-30", "from": "16:00:00"}}, "window.date"),
        ({"window": {"date": "0001-01-01", "from": "16:00:00"}}, "window.date"),
        ({"window": {"date": "9999-12-31", "from": "16:00:00"}}, "window.date"),
        ({"window": {"date": f"{launch.in_days(-2)}", "from": "16:00:00"}}, "window.date"),
        ({**no_window, "window_from": "2020-01-06T16:00:00-08:00", "window_until": "2020-01-06T20:00:00-08:00"},
         "window_until"),
    ):  # fmt: skip
        assert await refused(launch.carrier, await launch.stop(**changes), 400, "bad_input") == [field], (
            changes
        )
    for changes in (instants("16:00:00", "20:00:00"), instants("12:00:00", "13:00:00")):
        assert (await launch.carrier.post("/v1/stops", await launch.stop(**changes))).status_code == 201


async def test_a_time_that_the_clock_leaves_out_is_refused(tenant: Tenant) -> None:
    shipment = {
        "consignee_id": tenant.consignee.id, "reference": "x", "parcels": [{"label": {"text": "TBA888888888888"}}]
    }  # fmt: skip
    stop = {
        "access_point_id": tenant.access_point_id,
        "shipment_id": (await tenant.carrier.make("/v1/shipments", shipment))["id"],
        "fallback": "depot",
        "window": {"date": "2099-03-08", "from": "02:30:00"},
    }
    answer = await tenant.carrier.post("/v1/stops", stop)
    assert answer.status_code == 400
    assert answer.json()["errors"] == [
        {
            "field": "window.from",
            "remedy": "the clock in America/Los_Angeles leaves this time out on that day",
        }
    ]
    stop["window"] = {"date": "2099-03-08", "from": "03:00:00"}
    made = await tenant.carrier.make(
        "/v1/stops", stop
    )  # a day long, as the open programme has it: of 24 hours
    assert made["window_from"] == "2099-03-08T10:00:00Z"
    assert made["window_until"] == "2099-03-09T10:00:00Z"


async def test_when_the_courier_is_expected_lies_in_the_window(launch: Launch) -> None:
    first = datetime.combine(launch.in_days(2), datetime.min.time(), LOS_ANGELES).replace(hour=16)
    last = first + timedelta(hours=4)
    for expected_at, is_taken in (
        (first - timedelta(seconds=1), False), (first, True), (last - timedelta(seconds=1), True), (last, False)
    ):  # fmt: skip
        stop = await launch.stop(expected_at=expected_at.isoformat())
        if is_taken:
            made = await launch.carrier.make("/v1/stops", stop)
            assert datetime.fromisoformat(made["expected_at"]) == expected_at
        else:
            assert await refused(launch.carrier, stop, 400, "bad_input") == ["expected_at"]


@pytest.mark.parametrize(
    ("first", "later", "expected"),
    [
        ("depot", [], []), ("tomorrow", [], []), ("to_door", [], ["depot"]), ("neighbour", ["tomorrow"], ["tomorrow"]),
        ("neighbour", ["to_door", "pickup_point"], ["to_door", "pickup_point", "depot"]),
        ("depot", ["to_door"], None), ("tomorrow", ["neighbour", "depot"], ["neighbour", "depot"]),
        ("to_door", ["depot", "neighbour"], None),
        ("neighbour", ["neighbour"], None), ("to_door", ["depot", "depot"], None), ("to_door", ["roof"], None),
        ("to_door", ["depot"] * 6, None),
    ],
)  # fmt: skip
async def test_a_plan_of_fallbacks_ends_with_one_that_can_be_done(
    launch: Launch, first: str, later: list[str], expected: list[str] | None
) -> None:
    stop = await launch.stop(fallback=first, later_fallbacks=later)
    if expected is None:
        (field,) = await refused(launch.carrier, stop, 400, "bad_input")
        assert field.startswith("later_fallbacks")
        return
    assert (await launch.carrier.make("/v1/stops", stop))["later_fallbacks"] == expected


async def test_what_is_another_s_is_not_found(launch: Launch, tenant: Tenant) -> None:
    for changes in (
        {"access_point_id": tenant.access_point_id},
        {"shipment_id": tenant.shipment_id},
        {"courier_id": tenant.courier.id},
        {"access_point_id": "acc_0"},
    ):
        stop = await launch.stop(**changes)
        assert await refused(launch.carrier, stop, 404, "not_found") == []


async def test_two_bookings_at_once_of_one_shipment_make_one_stop(launch: Launch, platform: Platform) -> None:
    places = [launch.place_id, await launch.place(), await launch.place()]
    for _ in range(5):
        shipment_id = await launch.announce(PARCEL, PARCEL)
        stops = [await launch.stop(shipment_id=shipment_id, access_point_id=place) for place in places]
        answers = await asyncio.gather(*(launch.carrier.post("/v1/stops", stop) for stop in stops))
        assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
        async with platform.database.connection() as connection:
            cursor = await connection.execute(
                "SELECT count(*), count(DISTINCT parcel.stop_id) FROM stop "
                "LEFT JOIN parcel ON parcel.stop_id = stop.id WHERE stop.shipment_id = %s",
                (shipment_id,),
            )
            assert await cursor.fetchone() == (2, 1)


async def test_booking_waits_for_who_holds_the_place(launch: Launch, platform: Platform) -> None:
    """As a scan, a block and the gate do: commit order on the place's row decides."""
    stop = await launch.stop()
    async with platform.database.transaction() as connection:
        await connection.execute(
            "SELECT 1 FROM access_point WHERE id = %s FOR NO KEY UPDATE", (launch.place_id,)
        )
        booking = asyncio.ensure_future(launch.carrier.post("/v1/stops", stop))
        await _until_someone_waits(platform)
        await connection.execute("UPDATE access_point SET country = 'CA' WHERE id = %s", (launch.place_id,))
    answer = await booking
    assert answer.status_code == 409, answer.text
    assert [reason["code"] for reason in answer.json()["reasons"]] == ["address_country_not_served"]


async def _until_someone_waits(platform: Platform) -> None:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(10), platform.database.connection() as connection:
        while await (await connection.execute(query)).fetchone() == (0,):
            await asyncio.sleep(0.01)


async def test_an_open_carrier_books_what_it_always_did(platform: Platform, http: httpx.AsyncClient) -> None:
    tenant = await make_tenant(platform, http, "Anyone's Post")
    stop = (await tenant.carrier.get(f"/v1/stops/{tenant.stop_id}")).json()
    plan = [step["fallback"] for step in stop["fallback_plan"]]
    assert (stop["programme"], plan) == ("open", ["neighbour", "depot"])
    shown = await tenant.carrier.make("/v1/options", {"shipment_id": tenant.shipment_id})
    (option,) = shown["options"]
    assert (option["verdict"], option["windows"], shown["longest_window_s"]) == ("offered", [], 86400)
    unseen = new_access_point(tenant.consignee.id, address={**ADDRESS, "latitude": -33.9, "longitude": 18.4})
    unseen["vehicle"]["account_kind"] = "classic"
    await tenant.carrier.make("/v1/access_points", unseen)
    await tenant.carrier.make("/v1/access_points", {**unseen, "allows_unseen_lock": True})
    options = (await tenant.carrier.make("/v1/options", {"shipment_id": tenant.shipment_id}))["options"]
    assert [(codes(one), one["assurance"]) for one in options] == [
        ([], "seen"), (["place_lock_not_allowed"], "said"), ([], "said")
    ]  # fmt: skip


async def test_an_edit_of_the_rules_decides_the_next_booking_and_leaves_the_last(
    launch: Launch, platform: Platform, tmp_path: Path
) -> None:
    shutil.copytree(SHIPPED, tmp_path / "rules")
    edited = replace(platform, rules=Rulebook(tmp_path / "rules", look_every_s=0))
    transport = httpx.ASGITransport(app=create_app(edited), raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        carrier = replace(launch.carrier, http=http)
        first = await carrier.make("/v1/stops", await launch.stop())
        path = tmp_path / "rules" / PROGRAMMES / "launch-2018.toml"
        path.write_text(path.read_text().replace('"50 lb"', '"12 lb"'))
        assert await refused(carrier, await launch.stop(), 409, "not_offered") == ["parcel_too_heavy"]
        kept = (await carrier.get(f"/v1/stops/{first['id']}")).json()
        assert (kept["state"], kept["rules_version"]) == ("open", first["rules_version"])
        path.unlink()
        # Its programme has gone: it does not fall back to laxer rules.
        assert await refused(carrier, await launch.stop(), 409, "conflict") == []
        asked = await carrier.post("/v1/options", {"consignee_id": launch.consignee_id})
        assert asked.status_code == 409
        assert (await carrier.get("/v1/carrier")).json()["rules_version"] is None


async def test_a_courier_who_was_stopped_is_given_no_stop(tenant: Tenant) -> None:
    await tenant.carrier.make(f"/v1/couriers/{tenant.courier.id}/deactivate")
    shipment = await tenant.carrier.make(
        "/v1/shipments",
        {
            "consignee_id": tenant.consignee.id,
            "reference": "order 8",
            "parcels": [{"label": {"text": "1Z5R89390357567127"}}],
        },
    )
    body = {
        "courier_id": tenant.courier.id,
        "access_point_id": tenant.access_point_id,
        "shipment_id": shipment["id"],
        "window_from": "2099-11-23T10:00:00Z",
        "window_until": "2099-11-23T12:00:00Z",
        "fallback": "depot",
    }
    answer = await tenant.carrier.post("/v1/stops", body)
    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"field": "courier_id", "remedy": "this courier is not active"}]
