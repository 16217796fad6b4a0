"""Six deliveries of the demo at homes: behind each door a camera that has to prove that it records."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from unlatch.clock import Clock
from unlatch.domain.access import Position
from unlatch.errors import UnlatchError
from unlatch.town.api import Line, Visit
from unlatch.town.car import WENT_WELL
from unlatch.town.client import TownClient
from unlatch.town.desk import Call, CarrierDesk, Consignee, OperatorDesk
from unlatch.town.home import HomeDeed
from unlatch.town.household import Watched, watch_live
from unlatch.town.ledger import LedgerRow
from unlatch.town.narrator import Narrator
from unlatch.town.phone import CourierPhone
from unlatch.town.stories import Ending, StoryBroken
from unlatch.town.truth import is_opening_asked

WAIT_S = 90.0  # real: what has not come by then never will
LOOK_EVERY_S = 0.05
ALARM_WITHIN_S = 10.0  # real: from a camera's loss until people are called, while the door may stand open
KEPT_WITHIN_S = 60.0
LOOP_S = 5.0
INSIDE_S = 2.0  # real
LOCKS_ITSELF_AFTER_S = 30.0
FALLBACK = "neighbour"


@dataclass(frozen=True, kw_only=True)
class HomePlot:
    """One story before it is cast."""

    letter: str
    title: str
    consignee: str
    courier: str
    directions: str
    play: Callable[[HomeCast], Awaitable[Ending]]
    locks_itself_after_s: float | None = None


@dataclass(kw_only=True)
class HomeCast:
    """Everyone and everything of one story."""

    plot: HomePlot
    narrator: Narrator
    clock: Clock
    town: TownClient
    carrier: CarrierDesk
    operator: OperatorDesk
    consignee: Consignee
    phone: CourierPhone
    home_id: str
    town_camera_id: str
    place_id: str
    stop_id: str
    label: str
    here: Position
    mail: str
    read: list[str] = field(default_factory=list)

    def say(self, who: str, text: str) -> None:
        self.narrator.say(who, text)

    # ---- the courier ------------------------------------------------------------------------------------

    async def walk_up(self) -> None:
        """Set out, and find the door: by that its camera is connected."""
        await self.phone.set_out(self.stop_id)
        door = await self.phone.find_door(self.stop_id, self.here)
        self.say("courier", f"looks for {door.form_text.lower()}: {door.directions}")

    async def until_watched(self) -> None:
        """The camera in the hall has someone who looks through it."""
        await self._until(self._is_watched, "the camera was never connected")
        self.say("camera", "is connected, since the courier is near")

    async def _is_watched(self) -> bool:
        return bool((await self.town.camera(self.town_camera_id))["viewers"])

    async def scan(self) -> Visit:
        visit = await self.phone.scan_text(self.stop_id, f"(00){self.label}", self.here)
        self.say("courier", "scans the label at the door")
        return visit

    async def until(self, visit: Visit, *states: str) -> Visit:
        """Wait for a state, and show what the courier's phone says then."""
        try:
            await self.phone.wait_for(visit.id, *states, timeout_s=WAIT_S)
        except TimeoutError as error:
            raise StoryBroken(str(error)) from None
        now = await self.phone.my_visit(visit.id)
        self.say("phone", f"{now.state_text}. {now.next_step_text}".replace("?.", "?"))
        return now

    async def ring(self, visit: Visit) -> None:
        await self.until(visit, "ringing")
        await self.town.do_at_home(self.home_id, HomeDeed.RING)
        await self.phone.rang(visit.id)
        self.say("courier", "rings, and waits")

    async def see_proof(self, visit: Visit) -> Line:
        """The proof of recording, as the visit's journal holds it."""
        proof = await self.find_line(visit, "recording_proven")
        body = proof.body or {}
        apart = (
            f"; its clock is {abs(body['clock_apart_ms'])} ms from ours" if "clock_apart_ms" in body else ""
        )
        self.say(
            "camera",
            f"proves that it records: {body['frames']} pictures read back from the disk, "
            f"live by its {body['method']}{apart}",
        )
        return proof

    async def open_door(self, visit: Visit) -> None:
        await self.until(visit, "ready", "unlocked")
        await self._until(
            lambda: self._did(HomeDeed.OPEN_DOOR), "the door never opened"
        )  # the bolt takes its two seconds
        self.say("courier", "opens the door, before the camera")
        await self.phone.opened(visit.id)

    async def watch(self, visit: Visit) -> Watched:
        """The household looks on while the courier is in."""
        try:
            watched = await watch_live(self.consignee, visit.id, INSIDE_S)
        except UnlatchError as error:
            raise StoryBroken(str(error)) from None
        first = (
            "nothing" if watched.first_after_s is None else f"the first after {watched.first_after_s:.1f} s"
        )
        self.say(
            "consignee",
            f"watches live: {watched.size / 1000:.0f} kB in {watched.fragments} fragments, {first}",
        )
        return watched

    async def put_in(self, visit: Visit) -> None:
        await self.phone.deposited(visit.id)
        self.say("courier", "puts the parcel down in the hall")

    async def close_door(self, visit: Visit, how: str = "steps out and closes the door") -> None:
        if not await self._did(HomeDeed.CLOSE_DOOR):
            raise StoryBroken("the door does not close")
        self.say("courier", how)
        await self.phone.closed(visit.id)

    async def take_fallback(self) -> None:
        await self.phone.report_fallback(self.stop_id, FALLBACK)
        self.say("courier", "leaves the parcel at a neighbour's instead")

    async def _did(self, deed: HomeDeed) -> bool:
        return await self.town.do_at_home(self.home_id, deed) in WENT_WELL

    # ---- others -----------------------------------------------------------------------------------------

    async def strike(self, kind: str, text: str, **how: object) -> None:
        """Something befalls the camera."""
        await self.town.break_camera(self.town_camera_id, kind, **how)
        self.say("camera", text)

    async def find_line(self, visit: Visit, name: str, within_s: float = WAIT_S) -> Line:
        """A line of the journal, once it is there."""
        try:
            return await self.carrier.find_line(visit.id, name, timeout_s=within_s)
        except TimeoutError as error:
            raise StoryBroken(str(error)) from None

    async def replay(self, visit: Visit, clip: Mapping[str, Any]) -> str:
        """The household watches the clip; the SHA-256 of what it was shown."""
        shown = await self.consignee.ask("GET", f"/v1/visits/{visit.id}/clips/{clip['clip']}")
        self.say("consignee", f"watches the clip: {len(shown) / 1000:.0f} kB")
        return hashlib.sha256(shown).hexdigest()

    async def find_call(self, visit: Visit) -> Call:
        """The operator's call about this visit."""
        found: list[Call] = []

        async def is_called() -> bool:
            found[:] = [call for call in await self.operator.calls() if call.visit_id == visit.id]
            return bool(found)

        await self._until(is_called, "no operator was called")
        self.say("operator", f"is called: {found[0].text}")
        return found[0]

    async def read_mail(self, event: str) -> str:
        """Wait for this mail of the household, and read it out; what it says."""
        said: list[str] = []

        async def has_come() -> bool:
            letters = (await self.town.mail(self.mail)).letters
            said[:] = [f"{one.subject}. {one.body}" for one in letters if one.event == event]
            return bool(said)

        await self._until(has_come, f"the mail {event} never came")
        self.say("mail", " ".join(said[-1].split()))
        self.read.append(event)
        return said[-1]

    async def _until(self, is_so: Callable[[], Awaitable[bool]], complaint: str) -> None:
        deadline_s = asyncio.get_running_loop().time() + WAIT_S
        while not await is_so():
            if asyncio.get_running_loop().time() > deadline_s:
                raise StoryBroken(complaint)
            await asyncio.sleep(LOOK_EVERY_S)

    async def refused(self, visit: Visit, *, more: Sequence[tuple[str, bool]] = ()) -> Ending:
        """Nothing was opened: the phone says why, and the fallback is taken."""
        now = await self.phone.my_visit(visit.id)
        for reason in now.reasons:
            self.say("phone", f"no: {reason.text}")
        await self.take_fallback()
        return Ending(
            visit_id=visit.id,
            exporter=self.consignee,
            exporter_name="the consignee",
            state="refused",
            place="at_fallback",
            unlocks=0,
            more=[("no camera had proven that it records", now.recording == "none"), *more],
        )


def opened_after_proof(rows: Sequence[LedgerRow], proof: Line | None) -> bool:
    """Whether each opening that the hub was asked for came after the proof; without one there is none."""
    return all(proof is not None and row.at >= proof.at for row in rows if is_opening_asked(row))


async def play_home_all_well(cast: HomeCast) -> Ending:
    """Nobody is in: the camera proves itself, the courier goes in and out before it, the clip is kept."""
    await cast.walk_up()
    await cast.until_watched()
    visit = await cast.scan()
    await cast.ring(visit)
    proof = await cast.see_proof(visit)
    await cast.open_door(visit)
    seen = (await cast.town.camera(cast.town_camera_id))["door_open"]
    watched = await cast.watch(visit)
    await cast.put_in(visit)
    await cast.close_door(visit)
    await cast.until(visit, "delivered")
    clip = (await cast.find_line(visit, "clip_kept", KEPT_WITHIN_S)).body or {}
    cast.say(
        "camera", f"the clip is kept: {clip['length_ms'] / 1000:.1f} s, {clip['parts']} parts in a chain"
    )
    delivered = await cast.read_mail("delivered")
    now = await cast.phone.my_visit(visit.id)
    rows = await cast.town.whole_ledger(vin=cast.home_id)
    return Ending(
        visit_id=visit.id,
        exporter=cast.consignee,
        exporter_name="the consignee",
        more=[
            (
                "the lock was asked only once a camera had proven that it records",
                opened_after_proof(rows, proof),
            ),
            ("the camera saw the door open", seen == 1),
            ("the household saw it live", watched.is_live),
            ("the clip is the one that the journal names", await cast.replay(visit, clip) == clip["sha256"]),
            ("the recording has no gap", now.is_clean and now.recording == "proven"),
            ("delivered is said with the time at which it was seen locked", "locked" in delivered),
        ],
    )


async def play_camera_off(cast: HomeCast) -> Ending:
    """Someone has pulled the camera's plug."""
    await cast.walk_up()
    await cast.until_watched()
    await cast.strike("off", "its plug is pulled")
    visit = await cast.scan()
    await cast.until(visit, "refused")
    now = await cast.phone.my_visit(visit.id)
    return await cast.refused(visit, more=[("the camera is named as the reason", _names_camera(now))])


async def play_frozen(cast: HomeCast) -> Ending:
    """While the courier rings, the picture stands: encoded anew, with fresh noise. Its clock stands too."""
    await cast.walk_up()
    await cast.until_watched()
    visit = await cast.scan()
    await cast.ring(visit)
    await cast.strike(
        "freeze",
        "shows one picture for ever, encoded anew and with fresh noise",
        is_encoded_anew=True,
        is_noisy=True,
    )
    await cast.until(visit, "refused")
    now = await cast.phone.my_visit(visit.id)
    return await cast.refused(visit, more=[("the camera is named as the reason", _names_camera(now))])


async def play_looping(cast: HomeCast) -> Ending:
    """While the courier walks up, somebody plays the last seconds again and again."""
    await cast.walk_up()
    await cast.until_watched()
    await asyncio.sleep(LOOP_S)  # real, as cameras are: of these the loop is made
    await cast.strike("loop", "shows its last seconds again and again", is_encoded_anew=True)
    visit = await cast.scan()
    await cast.until(visit, "refused")
    now = await cast.phone.my_visit(visit.id)
    return await cast.refused(visit, more=[("the camera is named as the reason", _names_camera(now))])


def _names_camera(visit: Visit) -> bool:
    named = {visit.incident, *(reason.code for reason in visit.reasons)}
    return bool(named & {"device_camera_offline", "device_camera_not_proven"})


async def play_cut_off(cast: HomeCast) -> Ending:
    """The trick of 2017: at the moment of leaving, hub and camera are knocked off the Wi-Fi together."""
    await cast.walk_up()
    await cast.until_watched()
    visit = await cast.scan()
    await cast.ring(visit)
    await cast.open_door(visit)
    await cast.put_in(visit)
    await cast.town.do_at_home(cast.home_id, HomeDeed.WIFI_DOWN)
    begun_s = asyncio.get_running_loop().time()
    cast.say("home", "hub and camera lose their network")
    await cast.close_door(visit, "closes the door")
    held = await cast.until(visit, "unsecured")
    called_s = asyncio.get_running_loop().time() - begun_s
    call = await cast.find_call(visit)
    await cast.read_mail("recording_lost")
    await cast.find_line(visit, "recording_lost")
    await cast.clock.sleep(LOCKS_ITSELF_AFTER_S)
    truth, blind = await cast.town.home(cast.home_id), await cast.phone.my_visit(visit.id)
    if truth.is_secured:
        cast.say("door", "has locked itself; nobody can see that, so nobody says it")
    await cast.town.do_at_home(cast.home_id, HomeDeed.WIFI_UP)
    cast.say("home", "is back")
    await cast.until(visit, "delivered")
    await cast.read_mail("delivered")
    await cast.operator.close_call(call.id)
    cast.say("operator", "closes the call")
    now = await cast.phone.my_visit(visit.id)
    return Ending(
        visit_id=visit.id,
        exporter=cast.operator,
        exporter_name="the operator",
        more=[
            (f"people were called {called_s:.1f} s after the loss", called_s <= ALARM_WITHIN_S),
            ("the courier was told to stay or to step out", held.next_step in STAYS),
            ("it did not end as locked while nobody could see that", blind.state == "unsecured"),
            ("the true state was read when the hub was back, and told", "delivered" in cast.read),
            ("the recording is not called whole", not now.is_clean and now.recording == "lost"),
        ],
    )


STAYS = frozenset({"step_out_and_close", "stay_until_operator_calls", "close_firmly_and_pull"})


async def play_someone_comes(cast: HomeCast) -> Ending:
    """Somebody is in after all."""
    await cast.walk_up()
    await cast.until_watched()
    visit = await cast.scan()
    await cast.ring(visit)
    await cast.town.do_at_home(cast.home_id, HomeDeed.COME_HOME)
    cast.say("consignee", "comes to the door")
    await cast.phone.met_someone(visit.id)
    await cast.until(visit, "answered")
    await cast.phone.handed_over(visit.id)
    cast.say("courier", "hands the parcel over")
    await cast.until(visit, "handed_over")
    await cast.read_mail("handed_over")
    return Ending(
        visit_id=visit.id,
        exporter=cast.carrier,
        exporter_name="the carrier",
        state="handed_over",
        place="handed_over",
        unlocks=0,
    )


HOME_PLOTS = (
    HomePlot(
        letter="h",
        title="A home, nobody in: opened before a camera that proves it records",
        consignee="Hugo",
        courier="Ida",
        directions="The green door behind the fountain",
        play=play_home_all_well,
    ),
    HomePlot(
        letter="i",
        title="A home whose camera is off",
        consignee="Inga",
        courier="Juri",
        directions="Second floor, left",
        play=play_camera_off,
    ),
    HomePlot(
        letter="j",
        title="A home whose camera shows one picture for ever",
        consignee="Jana",
        courier="Kofi",
        directions="The yellow house",
        play=play_frozen,
    ),
    HomePlot(
        letter="k",
        title="A home whose camera shows old pictures again and again",
        consignee="Karim",
        courier="Lena",
        directions="Through the yard",
        play=play_looping,
    ),
    HomePlot(
        letter="l",
        title="A home that is knocked off the network as the courier leaves",
        consignee="Luisa",
        courier="Mats",
        directions="The red door",
        play=play_cut_off,
        locks_itself_after_s=LOCKS_ITSELF_AFTER_S,
    ),
    HomePlot(
        letter="m",
        title="A home where someone comes to the door",
        consignee="Milan",
        courier="Nora",
        directions="Ring twice",
        play=play_someone_comes,
    ),
)
