"""Those who speak to Unlatch with a key: a carrier's back end, a consignee's app, an operator's console."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import httpx
import msgspec

from unlatch.domain.access import Position
from unlatch.errors import UnlatchError
from unlatch.town.api import Caller, Line, Reason, Visit
from unlatch.town.client import TownClient
from unlatch.town.control import AddedCar
from unlatch.town.home_control import AddedHome
from unlatch.town.phone import CourierPhone, position_of


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was registered; `key` is a consignee's, shown once."""

    id: str
    key: str = ""


class _Invitation(msgspec.Struct, frozen=True, kw_only=True):
    code: str


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """A parcel, and the one place where it is."""

    id: str
    label: str
    place: str


class PlannedStop(msgspec.Struct, frozen=True, kw_only=True):
    """A stop as its carrier sees it."""

    id: str
    state: str
    fallback: str
    parcels: list[Parcel]


class TimelineVisit(msgspec.Struct, frozen=True, kw_only=True):
    """A visit and its journal, as its consignee reads it."""

    visit: Visit
    lines: list[Line]


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """Someone saw, or asked to see, where the car is."""

    who: str
    what: str
    at: datetime


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """What happened at a consignee's places, newest first."""

    visits: list[TimelineVisit]
    looks: list[Look]


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """Someone is asked to look."""

    id: str
    visit_id: str
    state: str
    incident: str
    text: str
    opened_at: datetime
    times: int


class _Calls(msgspec.Struct, frozen=True, kw_only=True):
    calls: list[Call]


class ProofKey(msgspec.Struct, frozen=True, kw_only=True):
    """The public key that proofs are signed with, in hexadecimal."""

    key_id: str
    public_key: str


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """The answer for one place."""

    access_point_id: str
    verdict: str
    reasons: list[Reason]


class _Options(msgspec.Struct, frozen=True, kw_only=True):
    options: list[Option]


class Obstacle(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the way of a delivery, and what to do about it."""

    code: str
    text: str
    remedy: str
    remedy_text: str


class InRange(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the car is parked in range of the address."""

    parking: str
    text: str
    distance_m: float | None


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of a delivery's car."""

    standing: str
    obstacles: list[Obstacle]
    range: InRange


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A coming delivery, as its household sees it."""

    stop_id: str
    standing: str
    ruled_out: Reason | None
    check: Checked | None


class _Deliveries(msgspec.Struct, frozen=True, kw_only=True):
    deliveries: list[Delivery]


class HomeCamera(msgspec.Struct, frozen=True, kw_only=True):
    """A camera of a home, as its household sees it."""

    id: str
    name: str
    is_witness: bool


class _HomeCameras(msgspec.Struct, frozen=True, kw_only=True):
    cameras: list[HomeCamera]


class _Dispatches(msgspec.Struct, frozen=True, kw_only=True):
    dispatches: list[dict[str, Any]]


class CarrierDesk(Caller):
    """A carrier's back end."""

    async def register_consignee(self, name: str, language: str = "en", *, plans: Sequence[str] = ()) -> Made:
        body = {"name": name, "language": language, "plans": list(plans)}
        return await self.post("/v1/consignees", body, Made)

    async def register_car(
        self,
        consignee_id: str,
        car: AddedCar,
        address: Position,
        *,
        account_kind: str | None,
        time_zone: str = "America/New_York",
        **papers: Any,
    ) -> Made:
        """A consignee's place: their car near that address; `papers` are make, model, colour, plate and year."""
        secrets = {"access_token": car.token} | ({"api_key": car.api_key} if car.api_key else {})
        vehicle = {
            "maker": car.maker.value,
            "account_kind": account_kind,
            "vin": car.vin,
            "secrets": secrets,
            **papers,
        }
        body = {
            "consignee_id": consignee_id,
            "address": position_of(address),
            "time_zone": time_zone,
            "is_consent_given": True,
            "vehicle": vehicle,
        }
        return await self.post("/v1/access_points", body, Made)

    async def register_home(
        self,
        consignee_id: str,
        home: AddedHome,
        hub_url: str,
        cameras: Sequence[Mapping[str, Any]],
        address: Position,
        *,
        time_zone: str = "America/New_York",
        **settings: Any,
    ) -> Made:
        """A consignee's home, its hub and cameras as the town gave them; `settings`: rings_first, directions ..."""
        secrets = {"address": hub_url + home.path, "access_token": home.token}
        secrets |= {"contact": home.contact} if home.contact else {}
        secrets |= {"second_bolt": home.second_bolt} if home.second_bolt else {}
        body = {
            "consignee_id": consignee_id,
            "kind": "home",
            "address": position_of(address),
            "time_zone": time_zone,
            "is_consent_given": True,
            "home": {
                "maker": "home_assistant",
                "entity": home.entity,
                "secrets": secrets,
                "cameras": [
                    {
                        "maker": "rtsp",
                        "name": one["camera_id"],
                        "address": one["address"],
                        "secrets": {"user": one["user"], "password": one["password"]},
                    }
                    for one in cameras
                ],
                **settings,
            },
        }
        return await self.post("/v1/access_points", body, Made)

    async def register_courier(self, first_name: str) -> Made:
        return await self.post("/v1/couriers", {"first_name": first_name}, Made)

    async def invite_phone(self, courier_id: str) -> str:
        """The code that enrols one phone."""
        return (await self.post(f"/v1/couriers/{courier_id}/devices", None, _Invitation)).code

    async def equip_courier(self, first_name: str, *, http: httpx.AsyncClient | None = None) -> CourierPhone:
        """A new courier with an enrolled phone."""
        courier = await self.register_courier(first_name)
        phone = CourierPhone(self.base_url, http=http)
        await phone.enrol(await self.invite_phone(courier.id))
        return phone

    async def announce_shipment(
        self, consignee_id: str, reference: str, labels: list[str], **parcel: Any
    ) -> Made:
        """A shipment of parcels with these labels, as they are typed; `parcel`: what each of them is."""
        parcels = [{"label": {"text": label}, **parcel} for label in labels]
        body = {"consignee_id": consignee_id, "reference": reference, "parcels": parcels}
        return await self.post("/v1/shipments", body, Made)

    async def plan_stop(
        self,
        *,
        courier_id: str,
        access_point_id: str,
        shipment_id: str,
        window: tuple[datetime, datetime],
        fallback: str,
        **more: Any,
    ) -> PlannedStop:
        """`more`: further fields, as docs/reference/api.md names them."""
        body = {
            "courier_id": courier_id,
            "access_point_id": access_point_id,
            "shipment_id": shipment_id,
            "window_from": window[0],
            "window_until": window[1],
            "fallback": fallback,
            **more,
        }
        return await self.post("/v1/stops", body, PlannedStop)

    async def options(self, shipment_id: str) -> list[Option]:
        """Which of the consignee's places take these parcels, and why not the others."""
        return (await self.post("/v1/options", {"shipment_id": shipment_id}, _Options)).options

    async def stop(self, stop_id: str) -> PlannedStop:
        """How it stands, and where its parcels are."""
        return await self.get(f"/v1/stops/{stop_id}", PlannedStop)

    async def read_proof_key(self) -> ProofKey:
        return await self.get("/v1/proof_key", ProofKey)


async def _open_mailbox(caller: Caller, town: TownClient, address: str, path: str) -> None:
    channel = await caller.post(path, {"kind": "email", "to": address}, Made)
    code = await town.wait_for_code(address)
    await caller.post(f"{path}/{channel.id}/confirm", {"code": code}, dict[str, Any])


class Consignee(Caller):
    """A consignee's app."""

    async def open_mailbox(self, town: TownClient, address: str) -> None:
        """Choose to be told by mail, and give back the code that comes by it."""
        await _open_mailbox(self, town, address, "/v1/me/channels")

    async def check(self, stop_id: str) -> Checked:
        """Is all well for this delivery, as far as the car tells now?"""
        return await self.post(f"/v1/me/stops/{stop_id}/check", None, Checked)

    async def delivery(self, stop_id: str) -> Delivery:
        """A coming delivery; UnlatchError where it is not among them."""
        for delivery in (await self.get("/v1/me/deliveries?limit=50", _Deliveries)).deliveries:
            if delivery.stop_id == stop_id:
                return delivery
        raise UnlatchError(f"{stop_id} is not among what is to come")

    async def cameras(self, access_point_id: str) -> list[HomeCamera]:
        """Those of a home."""
        return (await self.get(f"/v1/me/access_points/{access_point_id}/cameras", _HomeCameras)).cameras

    async def timeline(self) -> Timeline:
        return await self.get("/v1/me/timeline", Timeline)

    async def block(self, access_point_id: str) -> dict[str, Any]:
        """Nothing is opened from now on; the visit that this stopped, if any."""
        return await self.post(f"/v1/me/access_points/{access_point_id}/block", None, dict[str, Any])

    async def unblock(self, access_point_id: str) -> dict[str, Any]:
        return await self.post(f"/v1/me/access_points/{access_point_id}/unblock", None, dict[str, Any])


class OperatorDesk(Caller):
    """One of the platform's own people. There is no unlock here (S8)."""

    async def open_mailbox(self, town: TownClient, address: str) -> None:
        """Choose to be called by mail, and give back the code that comes by it."""
        await _open_mailbox(self, town, address, "/v1/operator/channels")

    async def count_dispatches(self, state: str) -> int:
        """How many notices are under way (`due`), or could not be sent (`failed`); at most 100 are counted."""
        page = await self.get(f"/v1/operator/dispatches?state={state}&limit=100", _Dispatches)
        return len(page.dispatches)

    async def calls(self) -> list[Call]:
        """Open calls, the longest open first."""
        return (await self.get("/v1/operator/calls?limit=100", _Calls)).calls

    async def close_call(self, call_id: str) -> None:
        """What this call was about is over; Problem where it is not."""
        await self.post(f"/v1/operator/calls/{call_id}/close", None, dict[str, Any])

    async def rule(self, visit_id: str, ruling: str, why: str) -> Visit:
        """Say where the parcel is: `delivered` or `undelivered`."""
        return await self.post(f"/v1/operator/visits/{visit_id}/rule", {"ruling": ruling, "why": why}, Visit)
