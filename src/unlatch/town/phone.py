"""A courier's phone: a key that never leaves it, a signature under each request (DPoP, RFC 9449)."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from base64 import b64encode, urlsafe_b64encode
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from unlatch.domain.access import Position
from unlatch.errors import UnlatchError
from unlatch.town.api import Caller, Visit

COORDINATE_BYTES = 32


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """A stop of the courier's round."""

    id: str
    consignee_name: str
    window_from: datetime
    window_until: datetime
    fallback: str
    fallback_plan: list[dict[str, str]]  # each with its `fallback` and the text for the courier
    state: str
    advice: str
    advice_text: str
    reason: str | None
    labels: list[str]

    @property
    def goes_to_place(self) -> bool:
        """Whether the courier is sent to the car."""
        return self.advice == "go_to_place"

    @property
    def fallbacks(self) -> list[str]:
        """What to do instead, in order."""
        return [step["fallback"] for step in self.fallback_plan]


class _Stops(msgspec.Struct, frozen=True, kw_only=True):
    stops: list[Stop]
    next: str | None


class FoundCar(msgspec.Struct, frozen=True, kw_only=True):
    """What the courier may look for."""

    make: str
    model: str
    colour: str
    plate: str
    position: dict[str, Any] | None
    is_being_read: bool


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """How a home's door is found."""

    form_text: str
    directions: str
    rings_first: bool


class FoundDoor(msgspec.Struct, frozen=True, kw_only=True):
    """What the courier may look for at a home."""

    door: Door


class _Enrolled(msgspec.Struct, frozen=True, kw_only=True):
    device_id: str
    courier_id: str
    first_name: str
    token: str


class CourierPhone(Caller):
    """One phone. `enrol` it with a carrier's code before anything else, or give it the key and token that it has."""

    def __init__(
        self,
        base_url: str,
        *,
        http: httpx.AsyncClient | None = None,
        private_key: ec.EllipticCurvePrivateKey | None = None,
        token: str = "",
    ) -> None:
        super().__init__(base_url, token, http=http)
        self._private_key = private_key or ec.generate_private_key(ec.SECP256R1())
        numbers = self._private_key.public_key().public_numbers()
        x, y = (_encode(number.to_bytes(COORDINATE_BYTES)) for number in (numbers.x, numbers.y))
        self.public_key = {"kty": "EC", "crv": "P-256", "x": x, "y": y}
        self.first_name = ""
        self.courier_id = ""
        self.device_id = ""

    async def enrol(self, code: str) -> None:
        """Trade a one-time code for a token that works with this phone's key alone."""
        enrolled = await self.post("/v1/devices/enrol", {"code": code}, _Enrolled)
        self.key, self.first_name = enrolled.token, enrolled.first_name
        self.courier_id, self.device_id = enrolled.courier_id, enrolled.device_id

    def sign(self, method: str, path: str) -> dict[str, str]:
        """The proof for one request, and the token that it belongs to."""
        claims: dict[str, Any] = {
            "htm": method,
            "htu": self.base_url + path,
            "iat": int(time.time()),  # real time: this is about keys, not about cars
            "jti": secrets.token_urlsafe(16),
        }
        if self.key:
            claims["ath"] = _encode(hashlib.sha256(self.key.encode()).digest())
        head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.public_key}
        signed = f"{_encode(json.dumps(head).encode())}.{_encode(json.dumps(claims).encode())}"
        r, s = decode_dss_signature(self._private_key.sign(signed.encode(), ec.ECDSA(SHA256())))
        proof = f"{signed}.{_encode(r.to_bytes(COORDINATE_BYTES) + s.to_bytes(COORDINATE_BYTES))}"
        return {"DPoP": proof, **({"Authorization": f"DPoP {self.key}"} if self.key else {})}

    # ---- the round --------------------------------------------------------------------------------------

    async def stops(self) -> list[Stop]:
        """The whole round."""
        page = await self.get("/v1/courier/stops", _Stops)
        found = page.stops
        while page.next is not None:
            page = await self.get(f"/v1/courier/stops?cursor={quote(page.next)}", _Stops)
            found += page.stops
        return found

    async def find_stop(self, stop_id: str) -> Stop:
        """One stop of the round; UnlatchError where it is not on it."""
        found = next((stop for stop in await self.stops() if stop.id == stop_id), None)
        if found is None:
            raise UnlatchError(f"{stop_id} is not on this courier's round")
        return found

    async def set_out(self, stop_id: str) -> dict[str, Any]:
        """Head for this stop now; Problem where the courier is not to go there."""
        return await self.post(f"/v1/courier/stops/{stop_id}/heading", {}, dict[str, Any])

    async def locate(self, stop_id: str, position: Position) -> FoundCar:
        """Where the car stands and what it looks like; Problem where that may not be seen."""
        return await self.post(
            f"/v1/courier/stops/{stop_id}/locate", {"position": position_of(position)}, FoundCar
        )

    async def find_door(self, stop_id: str, position: Position) -> Door:
        """How a home's door is found; its cameras are connected by that. Problem where it may not be seen."""
        body = {"position": position_of(position)}
        return (await self.post(f"/v1/courier/stops/{stop_id}/locate", body, FoundDoor)).door

    async def scan_photo(self, stop_id: str, photo: bytes, position: Position | None) -> Visit:
        """Ask for the place to be opened, with a picture of the label."""
        return await self._scan(stop_id, {"photo": b64encode(photo).decode()}, position)

    async def scan_text(self, stop_id: str, text: str, position: Position | None) -> Visit:
        """The same with the label's number, typed."""
        return await self._scan(stop_id, {"label": {"text": text}}, position)

    async def _scan(self, stop_id: str, body: dict[str, Any], position: Position | None) -> Visit:
        if position is not None:
            body["position"] = position_of(position)
        return await self.post(f"/v1/courier/stops/{stop_id}/scan", body, Visit)

    async def report_fallback(
        self, stop_id: str, done: str, *, told: str = "with the next house on the left"
    ) -> dict[str, Any]:
        """Say where the parcel is now; what became of it."""
        body = {"done": done, "told": told}
        return await self.post(f"/v1/courier/stops/{stop_id}/fallback", body, dict[str, Any])

    # ---- the courier's word -----------------------------------------------------------------------------

    async def rang(self, visit_id: str) -> Visit:
        """At a home, before anything opens."""
        return await self._say(visit_id, "rang", {})

    async def met_someone(self, visit_id: str) -> Visit:
        """Someone came to the door."""
        return await self._say(visit_id, "met_someone", {})

    async def handed_over(self, visit_id: str) -> Visit:
        """They took the parcel."""
        return await self._say(visit_id, "handed_over", {})

    async def opened(self, visit_id: str) -> Visit:
        return await self._say(visit_id, "opened", {})

    async def deposited(self, visit_id: str, photo: bytes | None = None) -> Visit:
        """The parcel is inside; with a picture of it."""
        body = {} if photo is None else {"photo": b64encode(photo).decode()}
        return await self._say(visit_id, "deposited", body)

    async def closed(self, visit_id: str) -> Visit:
        return await self._say(visit_id, "closed", {})

    async def pulled_handle(self, visit_id: str) -> Visit:
        """It is locked: the handle was pulled."""
        return await self._say(visit_id, "pulled_handle", {})

    async def could_not(self, visit_id: str, reason: str = "other") -> Visit:
        """The parcel stays with the courier."""
        return await self._say(visit_id, "could_not", {"reason": reason})

    async def my_visit(self, visit_id: str) -> Visit:
        """How it stands, and what to do next."""
        return await self.get(f"/v1/courier/visits/{visit_id}", Visit)

    async def _say(self, visit_id: str, what: str, body: dict[str, Any]) -> Visit:
        return await self.post(f"/v1/courier/visits/{visit_id}/{what}", body, Visit)


def position_of(position: Position) -> dict[str, float]:
    """A position as the API takes it."""
    return {
        "latitude": position.latitude,
        "longitude": position.longitude,
        "accuracy_m": position.accuracy_m,
    }


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
