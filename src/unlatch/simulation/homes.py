"""Cameras of homes as they truly are, and what takes the place of the recorders that hold them.

A recorder says twice a second how its cameras stand: so often, that here rows of cameras and leases are read from the
world itself at the moment of each question. What the flow decides of it, and writes, is the flow's own.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from unlatch.cameras.glances import Judgement, Method, Verdict
from unlatch.cameras.light import Pattern
from unlatch.cameras.proof import LEASE_S, PROOF_FRAMES, PROOF_FRESH_S, Lease, Proof, Refusal
from unlatch.domain.access import Closure
from unlatch.errors import RecordingError
from unlatch.simulation.store import Row, Transaction
from unlatch.simulation.world import BEGIN, LATE_EFFECT_S, PROCESS, World
from unlatch.store.cameras import AGAINST, HEARD_FOR

HOME_CLOSURES = (
    Closure(reads_lock=True, reads_lid=True, late_effect_s=LATE_EFFECT_S, read_every_s=5.0),
    Closure(reads_lock=True, reads_lid=False, late_effect_s=LATE_EFFECT_S, read_every_s=5.0),
)
CONNECTS_WITHIN_S = 5.0
FIRST_BYTE_S = 2.0
FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(eq=False, kw_only=True)
class SimulatedCamera:
    """A camera that sees a door. `how` it is lost: its power is off, its picture stands still, its recorder is dead."""

    id: str
    place_id: str
    connects_s: float  # that its recorder needs
    connected_at_s: float = float("inf")
    wanted_until: datetime = BEGIN
    is_recording: bool = False
    lost_since_s: float | None = None
    how: str = ""
    gaps: list[tuple[float, float]] = field(default_factory=list)  # that are over
    proved_s: list[float] = field(default_factory=list)

    def want(self, until: datetime, now_s: float) -> None:
        """Somebody wants its picture until then: its recorder connects, if it does not hold it yet."""
        if self.wanted_until <= BEGIN + timedelta(seconds=now_s):
            self.connected_at_s = now_s + self.connects_s
        self.wanted_until = max(self.wanted_until, until)

    def lose(self, how: str, now_s: float) -> None:
        """From now on nothing is recorded that would be a witness."""
        self.lost_since_s, self.how = now_s, how

    def come_back(self, now_s: float) -> None:
        """It records again."""
        assert self.lost_since_s is not None
        self.gaps.append((self.lost_since_s, now_s))
        self.lost_since_s, self.how = None, ""

    def lease_until_s(self, now_s: float) -> float:
        """As its recorder tells it at that moment."""
        if not self.is_recording:
            return float("-inf")
        return LEASE_S + (now_s if self.lost_since_s is None else min(now_s, self.lost_since_s))

    def all_gaps(self) -> list[tuple[float, float]]:
        """From when to when nothing was recorded."""
        open_one = [] if self.lost_since_s is None else [(self.lost_since_s, float("inf"))]
        return [*self.gaps, *open_one]

    def bears_witness(self, at_s: float) -> bool:
        """S3: it recorded within its lease before that moment, and had proven it as short before as a gate may wait."""
        is_proven = any(0 <= at_s - made_s <= PROOF_FRESH_S + FIRST_BYTE_S for made_s in self.proved_s)
        is_lost = any(since_s <= at_s - LEASE_S and at_s <= until_s for since_s, until_s in self.all_gaps())
        return is_proven and not is_lost

    def stands(self, now_s: float) -> Row:
        """What its recorder says of it."""
        is_there = self.connected_at_s <= now_s and (
            self.is_recording or self.wanted_until > BEGIN + timedelta(seconds=now_s)
        )
        heard_s = (now_s - 0.3) if self.lost_since_s is None or self.how == "false" else self.lost_since_s
        is_silent = not is_there or self.how == "off"
        return {
            "recorder_id": f"recorder of {self.id}",
            "recorder_socket": None if self.how == "recorder" else f"/recorders/{self.id}",
            "state": "connecting" if is_silent else "recording" if self.is_recording else "armed",
            "verdict": None if is_silent else Verdict.FROZEN if self.how == "false" else Verdict.LIVE,
            "code": "offline" if self.how == "off" else None,
            "heard_at_real": BEGIN + timedelta(seconds=heard_s) if is_there else None,
        }


def add_home(world: World, place_id: str) -> None:
    """What makes a home of a place: someone who may come to the door, and a camera in the hall."""
    store = world.store
    store.table("access_point")[place_id]["kind"] = "home"
    store.table("home")[place_id] = {"access_point_id": place_id, "rings_first": world.lot.random() < 0.5}
    connects_s = world.lot.uniform(0.3, CONNECTS_WITHIN_S)
    camera = SimulatedCamera(id=f"cam_{place_id}", place_id=place_id, connects_s=connects_s)
    store.table("camera")[camera.id] = {
        "id": camera.id, "access_point_id": place_id, "maker": "simulated", "name": "Hall", "sealed": b"",
        "clock": None, "methods": [Method.CLOCK.value], "sees_door": True, "enrolled_at": BEGIN, "check_by": FOREVER,
        "created_at": BEGIN, "removed_at": None, "wanted_until_real": None,
    }  # fmt: skip
    store.cameras[camera.id] = camera


def rows_of_cameras(tx: Transaction, access_point_id: str) -> list[Row]:
    """The cameras of a place, as the tables and their recorders have them."""
    now_s = asyncio.get_running_loop().time()
    return [
        {**row, **tx.store.cameras[row["id"]].stands(now_s)}
        for row in tx.all("camera")
        if row["access_point_id"] == access_point_id
    ]


def witness(tx: Transaction, access_point_id: str) -> Row:
    """What the decision asks of a home's cameras; of a car: nothing."""
    known = rows_of_cameras(tx, access_point_id)
    if not known:
        return {"is_enrolled": None, "is_heard": None, "is_contradicted": None}
    heard_after = BEGIN + timedelta(seconds=asyncio.get_running_loop().time()) - HEARD_FOR
    heard = [
        row for row in known
        if row["state"] in ("armed", "recording") and row["heard_at_real"] > heard_after
    ]  # fmt: skip
    is_against = bool(heard) and all(row["verdict"] in AGAINST for row in heard)
    return {"is_enrolled": True, "is_heard": bool(heard), "is_contradicted": is_against}


def camera_at(world: World, place_id: str) -> SimulatedCamera | None:
    """The camera of a home; None: it is none."""
    return next((one for one in world.store.cameras.values() if one.place_id == place_id), None)


class SimulatedRecorderClient:
    """What the flow takes for `cameras.recorder_client.RecorderClient`; the socket's name is the camera's."""

    def __init__(self, world: World, socket: Path) -> None:
        self.world = world
        self.camera: SimulatedCamera = world.store.cameras[socket.name]

    async def __aenter__(self) -> Self:
        await self._wait(0.001, 0.02)
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def _wait(self, least_s: float, most_s: float) -> None:
        """For its answer. Raises RecordingError where the recorder is dead by then."""
        await asyncio.sleep(self.world.lot.uniform(least_s, most_s))
        process = PROCESS.get()
        assert process is not None
        await process.stand()
        if self.camera.how == "recorder":
            raise RecordingError("the recorder is not there", code="closed")

    async def start(self, *_: object) -> None:
        await self._wait(0.05, 0.4)
        if self.camera.how == "off" or self.camera.connected_at_s > self.world.now_s:
            raise RecordingError("the camera sends nothing", code="offline")
        self.camera.is_recording = True

    async def prove(self, _: str, light: Pattern | None = None) -> Proof | Refusal:
        assert light is None, "a camera whose picture shows a clock is not proven by a light"
        made_s = self.world.now_s
        await self._wait(0.3, 1.5)
        if self.camera.how == "off":
            raise RecordingError("the camera sends nothing more", code="cut")
        if self.camera.how == "false":
            return Refusal(code=Verdict.FROZEN, judgement=Judgement(verdict=Verdict.FROZEN))
        self.camera.proved_s.append(made_s)
        return Proof(
            made_at=self.world.moment(made_s), made_s=made_s, take=1, part=1, frames=PROOF_FRAMES, sha256=bytes(32),
            judgement=Judgement(verdict=Verdict.LIVE, method=Method.CLOCK), clock_apart_s=0.0,
        )  # fmt: skip

    async def state(self, _: str) -> tuple[None, Lease]:
        """As of the moment before it was asked: what was not heard of has not been renewed."""
        until_s = self.camera.lease_until_s(self.world.now_s)
        await self._wait(0.001, 0.02)
        return None, Lease(until_s=until_s)


def make_datetime(world: World) -> Any:
    """The class `datetime`, whose real time is the world's."""

    class WorldTime(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return world.moment(world.now_s).astimezone(tz)

    return WorldTime
