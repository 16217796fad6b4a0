"""Five deliveries of the demo at the car, as the people of the town live them, over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from unlatch.clock import Clock
from unlatch.domain.access import Position
from unlatch.errors import UnlatchError
from unlatch.town.api import Caller, Problem, Visit
from unlatch.town.car import WENT_WELL, Maker
from unlatch.town.client import TownClient
from unlatch.town.desk import Call, CarrierDesk, Consignee, OperatorDesk
from unlatch.town.faults import FaultKind, First
from unlatch.town.labels import Carriage
from unlatch.town.narrator import Narrator
from unlatch.town.phone import CourierPhone
from unlatch.town.truth import RELOCKED, list_late

WAIT_S = 60.0  # real: what has not come by then never will
LOOK_EVERY_S = 0.05
LATE_UNLOCK_AFTER_S = 160.0  # town: behind the command, so some two minutes behind the visit
HELD_INCIDENTS = frozenset({"device_lock_failed", "device_not_seen_locked"})
FALLBACK_WORDS = {"neighbour": "at a neighbour's", "pickup_point": "at the pick-up point"}


class StoryBroken(UnlatchError):
    """Something that the story needs did not come; the message says what."""


@dataclass(frozen=True, kw_only=True)
class Plot:
    """One story before it is cast."""

    letter: str
    title: str
    maker: Maker
    car: dict[str, Any]  # make, model, colour, plate, model_year
    consignee: str
    courier: str
    fallback: str
    carriage: Carriage
    play: Callable[[Cast], Awaitable[Ending]]


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a story ended, and how it had to."""

    visit_id: str
    exporter: Caller  # whose proof is exported
    exporter_name: str
    state: str = "delivered"
    place: str = "in_place"
    unlocks: int = 1
    clip: bytes = b""  # of a home's visit, as its household was shown it
    more: list[tuple[str, bool]] = field(default_factory=list)


@dataclass(kw_only=True)
class Cast:
    """Everyone and everything of one story."""

    plot: Plot
    narrator: Narrator
    clock: Clock
    town: TownClient
    carrier: CarrierDesk
    operator: OperatorDesk
    consignee: Consignee
    phone: CourierPhone
    place_id: str
    stop_id: str
    vin: str
    here: Position  # where the car stands
    photo: bytes

    def say(self, who: str, text: str) -> None:
        self.narrator.say(who, text)

    # ---- the courier ------------------------------------------------------------------------------------

    async def find_car(self) -> None:
        """Ask where the car is, until it has told."""
        deadline = asyncio.get_running_loop().time() + WAIT_S
        while (found := await self.phone.locate(self.stop_id, self.here)).position is None:
            if asyncio.get_running_loop().time() > deadline:
                raise StoryBroken("the car never told where it is")
            await asyncio.sleep(LOOK_EVERY_S)
        self.say("courier", f"looks for the {found.colour} {found.make} {found.model}, plate {found.plate}")

    async def scan(self, position: Position | None = None) -> Visit:
        """Photograph the label beside the car."""
        visit = await self.phone.scan_photo(self.stop_id, self.photo, position or self.here)
        self.say(
            "courier", "photographs the label beside the car" if position is None else "scans on the way"
        )
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

    async def open_trunk(self, visit: Visit) -> None:
        """Pull the handle, until it gives."""
        deadline = asyncio.get_running_loop().time() + WAIT_S
        while not await self.town.can_open_trunk(self.vin):
            if asyncio.get_running_loop().time() > deadline:
                raise StoryBroken("the trunk never opened")
            await asyncio.sleep(LOOK_EVERY_S)
        self.say("courier", "pulls the handle: the trunk opens")
        await self.phone.opened(visit.id)

    async def put_in(self, visit: Visit) -> None:
        await self.phone.deposited(visit.id, self.photo)
        self.say("courier", "puts the parcel in and takes a picture")

    async def close_trunk(self, visit: Visit, how: str = "closes the lid") -> None:
        if await self.town.close_trunk(self.vin) not in WENT_WELL:
            raise StoryBroken("the lid does not close")
        self.say("courier", how)
        await self.phone.closed(visit.id)

    async def deliver(self, visit: Visit) -> Visit:
        """From the scan to the next stop, all well."""
        await self.until(visit, "ready", "unlocked")
        await self.open_trunk(visit)
        await self.put_in(visit)
        await self.close_trunk(visit)
        return await self.until(visit, "delivered")

    async def take_fallback(self) -> None:
        """Carry out the fallback of the stop, and say so."""
        done = self.plot.fallback
        await self.phone.report_fallback(self.stop_id, done)
        self.say("courier", f"leaves the parcel {FALLBACK_WORDS[done]} instead")

    # ---- others -----------------------------------------------------------------------------------------

    async def find_call(self, visit: Visit) -> Call:
        """The operator's call about this visit."""
        deadline = asyncio.get_running_loop().time() + WAIT_S
        while asyncio.get_running_loop().time() < deadline:
            for call in await self.operator.calls():
                if call.visit_id == visit.id:
                    self.say("operator", f"is called: {call.text}")
                    return call
            await asyncio.sleep(LOOK_EVERY_S)
        raise StoryBroken("no operator was called")

    async def close_call(self, call: Call) -> bool:
        """Close the call; whether it is off the list."""
        await self.operator.close_call(call.id)
        self.say("operator", "closes the call")
        return all(one.id != call.id for one in await self.operator.calls())

    async def until_tail(self, visit: Visit, *tails: str) -> Visit:
        """Wait for a state of the watch after the visit."""
        deadline = asyncio.get_running_loop().time() + WAIT_S
        while (now := await self.carrier.visit(visit.id)).tail not in tails:
            if asyncio.get_running_loop().time() > deadline:
                raise StoryBroken(f"the watch after the visit never came to {' or '.join(tails)}: {now.tail}")
            await asyncio.sleep(LOOK_EVERY_S)
        return now


async def play_all_well(cast: Cast) -> Ending:
    """A Chevrolet through OnStar."""
    await cast.find_car()
    visit = await cast.deliver(await cast.scan())
    timeline = await cast.consignee.timeline()
    looks = [look for look in timeline.looks if look.who == "courier" and look.what == "position_and_plate"]
    told = sum(len(one.lines) for one in timeline.visits)
    cast.say(
        "consignee", f"reads {told} lines in the timeline, and {len(looks)} looks at where the car stands"
    )
    return Ending(
        visit_id=visit.id,
        exporter=cast.consignee,
        exporter_name="the consignee",
        more=[("who looked where the car stands is shown to the consignee", bool(looks))],
    )


async def play_handle_not_pulled(cast: Cast) -> Ending:
    """A Volvo's unlock only frees the handle, for two minutes."""
    await cast.find_car()
    visit = await cast.scan()
    await cast.until(visit, "ready", "unlocked")
    cast.say("courier", "is called away and does not pull the handle")
    await cast.until(visit, "accounting")
    rows = await cast.town.whole_ledger(vin=cast.vin)
    relocked = [row for row in rows if row.what == RELOCKED]
    if relocked:
        cast.say("car", f"has locked itself again at {relocked[0].at:%H:%M:%S}: {relocked[0].why}")
    await cast.phone.could_not(visit.id, "handle_did_not_open")
    cast.say("courier", "says: could not, the handle did not open")
    await cast.until(visit, "undelivered")
    await cast.take_fallback()
    return Ending(
        visit_id=visit.id,
        exporter=cast.carrier,
        exporter_name="the carrier",
        state="undelivered",
        place="at_fallback",
        more=[("the car locked itself, once", len(relocked) == 1)],
    )


async def play_will_not_lock(cast: Cast) -> Ending:
    """A jammed trunk: the courier is held until it was seen locked."""
    await cast.find_car()
    visit = await cast.scan()
    await cast.until(visit, "ready", "unlocked")
    await cast.open_trunk(visit)
    await cast.put_in(visit)
    await cast.town.set_fault(cast.vin, FaultKind.JAMMED)
    cast.say("car", "its lock jams")
    await cast.close_trunk(visit)
    await cast.until(visit, "stuck")
    await cast.close_trunk(visit, "closes it firmly, and pulls the handle")
    held = await cast.until(visit, "unsecured")
    call = await cast.find_call(visit)
    await cast.town.clear_faults(cast.vin, FaultKind.JAMMED)
    cast.say("mechanic", "sent by the operator, frees the lock")
    await cast.close_trunk(visit, "closes it once more")
    await cast.until(visit, "delivered")
    is_closed = await cast.close_call(call)
    return Ending(
        visit_id=visit.id,
        exporter=cast.operator,
        exporter_name="the operator",
        more=[
            ("the courier was held beside the car", held.next_step == "stay_until_operator_calls"),
            ("an operator was called, and is no more", call.incident in HELD_INCIDENTS and is_closed),
        ],
    )


async def play_blocked(cast: Cast) -> Ending:
    """The consignee blocks while the courier walks."""
    await cast.find_car()
    await cast.consignee.block(cast.place_id)
    cast.say("consignee", "blocks the car: nothing may be opened from now on")
    far = Position(latitude=cast.here.latitude + 0.0015, longitude=cast.here.longitude, accuracy_m=8)
    visit = await cast.scan(far)
    for reason in visit.reasons:
        cast.say("phone", f"no: {reason.text}")
    cast.say("phone", visit.next_step_text)
    try:
        await cast.phone.locate(cast.stop_id, cast.here)
    except Problem as problem:
        is_hidden = problem.reasons == ["consignee_blocked"]
        cast.say("phone", "where the car stands is no longer shown either")
    else:
        is_hidden = False
    await cast.take_fallback()
    codes = {reason.code for reason in visit.reasons}
    return Ending(
        visit_id=visit.id,
        exporter=cast.consignee,
        exporter_name="the consignee",
        state="refused",
        place="at_fallback",
        unlocks=0,
        more=[
            ("every reason is named", codes == {"consignee_blocked", "courier_too_far"}),
            ("the car's place is hidden from the courier", is_hidden),
        ],
    )


async def play_late_unlock(cast: Cast) -> Ending:
    """The unlock takes effect once more, minutes after the visit; only the watch after it can see that."""
    await cast.town.set_fault(
        cast.vin, FaultKind.LATE_UNLOCK, first=First.NORMAL, after_s=LATE_UNLOCK_AFTER_S
    )
    await cast.find_car()
    visit = await cast.deliver(await cast.scan())
    cast.say("courier", "is gone; the watch over the trunk goes on")
    await cast.until_tail(visit, "alarm")
    late = list_late(await cast.town.whole_ledger(vin=cast.vin))
    assert visit.ended_at is not None
    after_s = (late[0].at - visit.ended_at).total_seconds() if late else 0.0
    if late:
        cast.say(
            "car", f"unlocked by itself at {late[0].at:%H:%M:%S}, {after_s:.0f} s after the visit: seen now"
        )
    call = await cast.find_call(visit)
    timeline = await cast.consignee.timeline()
    is_told = any(one.visit.incident == "device_late_unlock" for one in timeline.visits)
    if is_told:
        cast.say("consignee", "is called as well, and reads it in the timeline")
    after = await cast.until_tail(visit, "watching", "over")
    cast.say("car", "is seen locked again")
    await cast.close_call(call)
    if after.tail != "over":
        await cast.until_tail(visit, "over")
    cast.say("operator", "the watch is over: no late unlock can come any more")
    return Ending(
        visit_id=visit.id,
        exporter=cast.carrier,
        exporter_name="the carrier",
        more=[
            (f"the late unlock came after the visit ({after_s:.0f} s)", after_s > 0),
            ("operator and consignee were called", call.incident == "device_late_unlock" and is_told),
        ],
    )


PLOTS = (
    Plot(
        letter="a",
        title="A Chevrolet through OnStar, all well",
        maker=Maker.ONSTAR,
        car={
            "make": "Chevrolet",
            "model": "Malibu",
            "colour": "blue",
            "plate": "RTD 4821",
            "model_year": 2018,
        },
        consignee="Ada",
        courier="Cleo",
        fallback="neighbour",
        carriage=Carriage.BARCODE,
        play=play_all_well,
    ),
    Plot(
        letter="b",
        title="A Volvo whose handle is not pulled in time",
        maker=Maker.VOLVO,
        car={"make": "Volvo", "model": "XC60", "colour": "white", "plate": "PKM 7730", "model_year": 2018},
        consignee="Björn",
        courier="Dario",
        fallback="pickup_point",
        carriage=Carriage.DIGITAL_LINK,
        play=play_handle_not_pulled,
    ),
    Plot(
        letter="c",
        title="A trunk that will not lock",
        maker=Maker.ONSTAR,
        car={"make": "Buick", "model": "LaCrosse", "colour": "grey", "plate": "CBX 1196", "model_year": 2018},
        consignee="Chidi",
        courier="Esther",
        fallback="neighbour",
        carriage=Carriage.BOTH,
        play=play_will_not_lock,
    ),
    Plot(
        letter="d",
        title="A consignee who blocks while the courier walks",
        maker=Maker.ONSTAR,
        car={"make": "GMC", "model": "Acadia", "colour": "red", "plate": "HJW 2054", "model_year": 2018},
        consignee="Dana",
        courier="Farid",
        fallback="neighbour",
        carriage=Carriage.BARCODE,
        play=play_blocked,
    ),
    Plot(
        letter="e",
        title="A late unlock, minutes after the visit",
        maker=Maker.ONSTAR,
        car={
            "make": "Cadillac",
            "model": "CT6",
            "colour": "black",
            "plate": "WQE 6617",
            "model_year": 2018,
        },
        consignee="Emile",
        courier="Grace",
        fallback="neighbour",
        carriage=Carriage.DIGITAL_LINK,
        play=play_late_unlock,
    ),
)
