"""What a household does: it enrols the camera in its hall, with a phone and two hands; and it watches who comes.

Real seconds everywhere: a camera is looked at in real time, whatever the town's clock.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from unlatch.errors import UnlatchError
from unlatch.town.client import TownClient
from unlatch.town.desk import Consignee
from unlatch.town.home import HomeDeed

WAIT_S = 90.0
LOOK_EVERY_S = 0.2
OPEN_FOR_S = 5.0  # so long it has to be seen open
CHARACTERS = 8  # HH:MM:SS


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a camera has to show."""

    step: str
    state: str
    text: str


class Next(msgspec.Struct, frozen=True, kw_only=True):
    """What the household does now, or what is waited for."""

    step: str
    phase: str | None


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    """How the enrolment of a camera stands."""

    end: str | None
    steps: list[Step]
    next: Next | None
    methods: list[str]

    def step(self, name: str) -> Step:
        """One of them."""
        return next(step for step in self.steps if step.step == name)


class Enroller:
    """A household before one of its cameras."""

    def __init__(self, consignee: Consignee, town: TownClient, home_id: str, camera_id: str) -> None:
        self._consignee, self._town, self._home_id = consignee, town, home_id
        self._path = f"/v1/me/cameras/{camera_id}/enrolment"

    async def enrol(self, width: int, height: int) -> list[str]:
        """Show that the camera lives and sees the door; by what its picture can be proven from now on.

        Raises UnlatchError where it does not show what it must.
        """
        await self._consignee.post(self._path, None, dict[str, Any])
        await self._until_passed("picture")
        await self._consignee.post(f"{self._path}/clock", {"mark": mark_clock(width, height)}, dict[str, Any])
        await self._until_passed("clock")
        await self._consignee.post(f"{self._path}/door", None, dict[str, Any])
        await self._until(lambda now: _phase_of(now) == "open_it", "open_it")
        await self._do(HomeDeed.KEY_UNLOCK, HomeDeed.OPEN_DOOR)
        await self._until(lambda now: _phase_of(now) == "close_it", "close_it")
        await asyncio.sleep(OPEN_FOR_S)
        await self._do(HomeDeed.CLOSE_DOOR, HomeDeed.KEY_LOCK)
        await self._until_passed("door")
        now = await self._read()
        if now.end != "enrolled":
            raise UnlatchError(f"the camera is not enrolled: {now}")
        return now.methods

    async def _read(self) -> Enrolment:
        return await self._consignee.get(self._path, Enrolment)

    async def _do(self, *deeds: HomeDeed) -> None:
        for deed in deeds:
            await self._town.do_at_home(self._home_id, deed)

    async def _until_passed(self, name: str) -> None:
        now = await self._until(lambda now: now.step(name).state not in ("waiting", "under_way"), name)
        step = now.step(name)
        if step.state != "passed":
            raise UnlatchError(f"the camera of {self._home_id} did not show its {name}: {step.text}")

    async def _until(self, is_so: Callable[[Enrolment], bool], what: str) -> Enrolment:
        deadline_s = asyncio.get_running_loop().time() + WAIT_S
        while not is_so(now := await self._read()):
            if asyncio.get_running_loop().time() > deadline_s:
                raise UnlatchError(f"the enrolment at {self._home_id} never came to {what}: {now}")
            await asyncio.sleep(LOOK_EVERY_S)
        return now


class _Ticket(msgspec.Struct, frozen=True, kw_only=True):
    address: str


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What came of a live picture: fragments of video, and how it was said to stand."""

    size: int
    fragments: int
    first_after_s: float | None
    kinds: frozenset[str]

    @property
    def is_live(self) -> bool:
        """Whether pictures came, and were said to be of now."""
        return self.size > 0 and "live" in self.kinds


async def watch_live(consignee: Consignee, visit_id: str, for_s: float) -> Watched:
    """Watch a visit for some real seconds, as a browser does. Raises UnlatchError where there is nothing to see."""
    from websockets.asyncio.client import connect  # noqa: PLC0415 - only who watches needs it
    from websockets.exceptions import WebSocketException  # noqa: PLC0415

    ticket = await consignee.post(f"/v1/visits/{visit_id}/tickets", {"kind": "live"}, _Ticket)
    begun_s = asyncio.get_running_loop().time()
    size, fragments, first_after_s, kinds = 0, 0, None, set[str]()
    try:
        async with connect(ticket.address, proxy=None, open_timeout=WAIT_S) as socket:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(for_s):
                    async for message in socket:
                        if isinstance(message, str):
                            kinds.add(str(msgspec.json.decode(message, type=dict[str, Any])["kind"]))
                            continue
                        size, fragments = size + len(message), fragments + 1
                        if first_after_s is None:
                            first_after_s = asyncio.get_running_loop().time() - begun_s
    except (OSError, WebSocketException) as error:
        raise UnlatchError(f"the live picture of {visit_id} can't be watched: {error!r}") from error
    return Watched(size=size, fragments=fragments, first_after_s=first_after_s, kinds=frozenset(kinds))


def mark_clock(width: int, height: int) -> dict[str, int]:
    """The rectangle that a finger draws around the clock of the town's cameras."""
    from unlatch.town.hall import clock_place  # noqa: PLC0415 - without the video library until it is needed

    place = clock_place(width, height)
    return {
        "left": place.left,
        "top": place.top,
        "width": place.cell_width * CHARACTERS,
        "height": place.cell_height,
    }


def _phase_of(now: Enrolment) -> str | None:
    return None if now.next is None else now.next.phase
