"""`unlatch demo`: seven deliveries in a simulated town, each with its timeline, its proof, and the truth beside it.

The demo is a test as well: what must hold is held against what the town knows, and a line BROKEN fails it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec

from unlatch.domain.access import Position
from unlatch.errors import UnlatchError
from unlatch.town.api import Problem
from unlatch.town.car import Maker
from unlatch.town.desk import CarrierDesk, Consignee, OperatorDesk
from unlatch.town.installation import LOGS, Installation, make_data_dir
from unlatch.town.labels import photograph, print_label
from unlatch.town.narrator import Narrator
from unlatch.town.papers import make_sscc, make_vin
from unlatch.town.rules import make_rules
from unlatch.town.stories import PLOTS, Cast, Ending, Plot
from unlatch.town.stories_before import STORIES, Before, Scene
from unlatch.town.timeline import Verified
from unlatch.town.truth import count_unlocks_asked, was_secured

FACTOR = 20.0
LARGEST_FACTOR = 40.0
SENDER = "Parcel Post\n12 Harbour Road\nSavannah GA 31401"
ADDRESS = Position(latitude=33.7490, longitude=-84.3880)
BLOCK_M = 0.0009  # degrees of latitude: about 100 m
CHECKS = ("5 min", "2 min")  # before the courier is expected: nearer than usual, so that nobody need wait
BADNESS = 0.4  # of a photo: from 0, a good one, to 1, what a person would take again
LABELS, PROOFS = "labels", "proofs"
KEY_FILE = "public.key"  # beside the proofs: what `unlatch verify --key` takes
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STORY_WITHIN_S = 240.0  # real
VERIFY_WITHIN_S = 60.0


def read_demo_factor(text: str) -> float:
    """How fast the town's time runs; an argument's type. Above 40 the people at the doors can't keep up."""
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 1 <= factor <= LARGEST_FACTOR:
        raise argparse.ArgumentTypeError(f"give a number from 1 to {LARGEST_FACTOR:g}")
    return factor


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What was asked for on the command line."""

    letters: Sequence[str]
    factor: float = FACTOR
    is_once: bool = False
    is_removed: bool = False  # the data folder, at the end


@dataclass(kw_only=True)
class Demo:
    """The demo on a running installation."""

    installation: Installation
    narrator: Narrator
    carrier: CarrierDesk
    operator: OperatorDesk
    public_key: str
    lot: random.Random

    @property
    def folder(self) -> Path:
        return self.installation.data_dir

    async def cast(self, plot: Plot) -> Cast:
        """Register everyone of a story, park the car, print the label."""
        installation, lot = self.installation, self.lot
        spot = Position(
            latitude=ADDRESS.latitude + lot.uniform(-1, 1) * BLOCK_M / 2,
            longitude=ADDRESS.longitude + lot.uniform(-1, 1) * BLOCK_M / 2,
            accuracy_m=6,
        )
        vin = make_vin("YV1A22RK" if plot.maker is Maker.VOLVO else "1G1ZD5ST", lot)
        number = make_sscc(lot)
        car = await installation.town.add_car(
            plot.maker, vin, latitude=spot.latitude, longitude=spot.longitude, **plot.car
        )
        consignee = await self.carrier.register_consignee(plot.consignee)
        place = await self.carrier.register_car(
            consignee.id,
            car,
            ADDRESS,
            account_kind="newer" if plot.maker is Maker.ONSTAR else None,
            **plot.car,
        )
        phone = await self.carrier.equip_courier(plot.courier)
        shipment = await self.carrier.announce_shipment(
            consignee.id, f"demo {plot.letter}", [f"(00){number}"]
        )
        now = installation.clock.now()
        stop = await self.carrier.plan_stop(
            courier_id=phone.courier_id,
            access_point_id=place.id,
            shipment_id=shipment.id,
            window=(now - timedelta(hours=1), now + timedelta(hours=3)),
            fallback=plot.fallback,
        )
        photo = await asyncio.to_thread(self._photograph, plot, number, lot.randrange(1 << 30))
        return Cast(
            plot=plot,
            narrator=self.narrator,
            clock=installation.clock,
            town=installation.town,
            carrier=self.carrier,
            operator=self.operator,
            consignee=Consignee(installation.server_url, consignee.key),
            phone=phone,
            place_id=place.id,
            stop_id=stop.id,
            vin=vin,
            here=spot,
            photo=photo,
        )

    def _photograph(self, plot: Plot, number: str, seed: int) -> bytes:
        """Print the label, and photograph it as a courier does."""
        recipient = f"{plot.consignee}\n{plot.car['colour']} {plot.car['make']} {plot.car['model']}\nAtlanta"
        label = print_label(f"sscc:{number}", sender=SENDER, recipient=recipient, carriage=plot.carriage)
        photo = photograph(label, seed=seed, badness=BADNESS)
        (self.folder / LABELS / f"{plot.letter}.png").write_bytes(label)
        (self.folder / LABELS / f"{plot.letter}-photo.jpg").write_bytes(photo)
        return photo

    async def tell(self, cast: Cast) -> list[str]:
        """Play a story and show its end; the names of what did not hold."""
        plot = cast.plot
        self.narrator.title(f"({plot.letter}) {plot.title}")
        try:
            async with asyncio.timeout(STORY_WITHIN_S):
                ending = await plot.play(cast)
                checks = [*await self._check(cast, ending), *await self._prove(cast, ending)]
        except (UnlatchError, TimeoutError) as error:
            self.narrator.check(f"the story came to its end: {error}", holds=False)
            return [f"({plot.letter}) the story did not come to its end: {error}"]
        for text, holds in checks:
            self.narrator.check(text, holds=holds)
        return [f"({plot.letter}) {text}" for text, holds in checks if not holds]

    async def tell_before(self, before: Before, carrier: CarrierDesk) -> list[str]:
        """Play one of the stories that begin with the booking; the names of what did not hold."""
        self.narrator.title(f"({before.letter}) {before.title}")
        scene = Scene(
            letter=before.letter,
            narrator=self.narrator,
            clock=self.installation.clock,
            town=self.installation.town,
            carrier=carrier,
            address=ADDRESS,
            lot=self.lot,
        )
        try:
            async with asyncio.timeout(STORY_WITHIN_S):
                checks = await before.play(scene)
        except (UnlatchError, TimeoutError) as error:
            checks = [(f"the story came to its end: {error}", False)]
        for text, holds in checks:
            self.narrator.check(text, holds=holds)
        return [f"({before.letter}) {text}" for text, holds in checks if not holds]

    async def _check(self, cast: Cast, ending: Ending) -> list[tuple[str, bool]]:
        """What must hold, by the town's own truth."""
        visit = await self.carrier.visit(ending.visit_id)
        stop = await self.carrier.stop(cast.stop_id)
        truth = await cast.town.state(cast.vin)
        rows = await cast.town.whole_ledger(vin=cast.vin)
        asked = count_unlocks_asked(rows)
        places = {parcel.place for parcel in stop.parcels}
        ended_at = visit.ended_at or self.installation.clock.now()
        return [
            (f"the visit ended as {ending.state}", visit.state == ending.state),
            (f"the parcel is in one place: {ending.place}", places == {ending.place}),
            (_say_asked(ending.unlocks), asked == ending.unlocks),
            ("the trunk was closed and locked when the visit ended", was_secured(rows, ended_at)),
            ("the trunk is closed and locked now", truth.is_secured),
            *ending.more,
        ]

    async def _prove(self, cast: Cast, ending: Ending) -> list[tuple[str, bool]]:
        """Export the proof, verify it offline, and again with one byte changed."""
        proof = self.folder / PROOFS / f"{cast.plot.letter}.unlatch-proof"
        changed = proof.with_name(f"{cast.plot.letter}-changed.unlatch-proof")
        content = await ending.exporter.export_proof(ending.visit_id)
        other, what = change_a_byte(content, self.lot)
        proof.write_bytes(content)
        changed.write_bytes(other)
        key = ("--key", str(proof.with_name(KEY_FILE)))
        (code, printed, complaint), (changed_code, changed_printed, _) = await asyncio.gather(
            self.installation.try_to_run("verify", *key, "--json", str(proof), timeout_s=VERIFY_WITHIN_S),
            self.installation.try_to_run("verify", *key, str(changed), timeout_s=VERIFY_WITHIN_S),
        )
        if not printed:
            raise UnlatchError(f"unlatch verify ended with {code}: {complaint[:500]}")
        verdict = msgspec.json.decode(printed, type=Verified).files[0]
        for row in verdict.timeline:
            self.narrator.line(f"    {row}")
        self.narrator.line(
            f"  unlatch verify {proof.name}, exported by {ending.exporter_name}: "
            f"{'good' if verdict.is_good else 'BAD'}, {verdict.entries} rows",
            "faint",
        )
        faults = [line.strip() for line in changed_printed.splitlines()[1:] if line.startswith("  line ")]
        fault = faults[0] if faults else "nothing"
        self.narrator.line(f"  unlatch verify {changed.name}, {what}:", "faint")
        self.narrator.line(f"    {fault}", "faint")
        return [
            ("unlatch verify finds the proof good", code == 0),
            ("unlatch verify finds the changed byte", changed_code == 1 and bool(faults)),
        ]


def make_folders(data_dir: Path) -> None:
    """Where labels and proofs are put."""
    for folder in (LABELS, PROOFS):
        (data_dir / folder).mkdir(mode=0o700, exist_ok=True)


def _say_asked(unlocks: int) -> str:
    return "the cloud was asked to unlock once" if unlocks else "the cloud was never asked to unlock"


def change_a_byte(content: bytes, lot: random.Random) -> tuple[bytes, str]:
    """The proof with a digit changed in one of its middle lines, and which one that is."""
    lines = content.splitlines(keepends=True)
    number = len(lines) // 2
    begins = sum(map(len, lines[:number]))
    digits = [at for at, byte in enumerate(lines[number]) if chr(byte).isdigit()]
    at = begins + lot.choice(digits)
    other = ord("0") + (content[at] - ord("0") + 1) % 10
    what = f"byte {at} of {len(content)} changed from {chr(content[at])} to {chr(other)}"
    return content[:at] + bytes([other]) + content[at + 1 :], what


async def run_demo(data_dir: Path, wishes: Wishes) -> int:
    """Play the demo in this folder; the exit code."""
    stop = asyncio.Event()
    loop, playing = asyncio.get_running_loop(), asyncio.current_task()
    assert playing is not None
    for number in ENDING:
        loop.add_signal_handler(number, playing.cancel)
    narrator = Narrator()
    make_data_dir(data_dir)
    more = {"UNLATCH_RULES_DIR": str(make_rules(data_dir, CHECKS))}
    installation = Installation(data_dir=data_dir, factor=wishes.factor, tell=narrator.step, more=more)
    try:
        async with installation:
            broken = await _play(installation, narrator, wishes)
            if not wishes.is_once:
                for number in ENDING:
                    loop.add_signal_handler(number, stop.set)
                narrator.line("It stays up until ctrl-C.")
                await stop.wait()
            narrator.step("ending every process")
    except asyncio.CancelledError:
        narrator.line("interrupted", "bad")
        return 130
    return 1 if broken else 0


async def _play(installation: Installation, narrator: Narrator, wishes: Wishes) -> list[str]:
    """Set the stage, tell each story, and sum up: what did not hold."""
    narrator.step("registering a carrier and an operator")
    carrier_key, operator_key, merchant_key = await asyncio.gather(
        installation.admit_carrier("Parcel Post"),
        installation.admit_operator("Olga"),
        installation.run("carrier", "add", "Merchant of 2018", "--programme", "launch-2018"),
    )
    narrator.clock = installation.clock
    make_folders(installation.data_dir)
    async with (
        CarrierDesk(installation.server_url, carrier_key) as carrier,
        OperatorDesk(installation.server_url, operator_key) as operator,
        contextlib.AsyncExitStack() as stack,
    ):
        demo = Demo(
            installation=installation,
            narrator=narrator,
            carrier=carrier,
            operator=operator,
            public_key=(await carrier.read_proof_key()).public_key,
            lot=random.Random(),
        )
        await _clear_desk(operator)
        (demo.folder / PROOFS / KEY_FILE).write_text(f"{demo.public_key}\n", encoding="ascii")
        narrator.step("registering consignees, cars, couriers and their phones; printing labels")
        plots = [plot for plot in PLOTS if plot.letter in wishes.letters]
        casts = await asyncio.gather(*(demo.cast(plot) for plot in plots))
        for cast in casts:
            await stack.enter_async_context(cast.consignee)
            await stack.enter_async_context(cast.phone)
        narrator.step(f"ready; one second here is {installation.clock.factor:g} seconds in the town")
        began_s = time.monotonic()
        broken = [line for cast in casts for line in await demo.tell(cast)]
        merchant = await stack.enter_async_context(CarrierDesk(installation.server_url, merchant_key.strip()))
        befores = [one for one in STORIES if one.letter in wishes.letters]
        broken += [line for one in befores for line in await demo.tell_before(one, merchant)]
        broken += [f"{member.name} has ended by itself: {member.log}" for member in installation.list_dead()]
        _sum_up(demo, broken, len(casts) + len(befores), time.monotonic() - began_s)
        if wishes.is_removed:
            narrator.line("  The folder is removed at the end; --keep or --data-dir DIR keeps it.")
    return broken


async def _clear_desk(operator: OperatorDesk) -> None:
    """Answer the calls of an earlier demo in the same folder: its cars are gone, and can't be read any more."""
    for call in await operator.calls():
        with contextlib.suppress(Problem):
            await operator.rule(call.visit_id, "delivered", "the town of an earlier demo is gone")
        with contextlib.suppress(Problem):
            await operator.close_call(call.id)


def _sum_up(demo: Demo, broken: list[str], count: int, played_s: float) -> None:
    narrator, installation = demo.narrator, demo.installation
    narrator.title("In the end")
    stories = "1 story" if count == 1 else f"{count} stories"
    narrator.line(
        f"  {stories} in {played_s:.1f} s: {'everything held' if not broken else 'NOT everything held'}"
    )
    for line in broken:
        narrator.line(f"  BROKEN  {line}", "bad")
    for name, where in (
        ("API", f"{installation.server_url}/v1/docs"),
        ("town", f"{installation.town_url}/town/cars"),
        ("labels", demo.folder / LABELS),
        ("proofs", demo.folder / PROOFS),
        ("logs", demo.folder / LOGS),
    ):
        narrator.line(f"  {name:<8}{where}")
