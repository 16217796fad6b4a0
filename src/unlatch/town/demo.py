"""`unlatch demo`: thirteen deliveries in a simulated town, each with its timeline, its proof, and the truth beside it.

Homes have a town of their own beside the cars' (`home_demo`). The demo is a test as well: what must hold is held
against what the town knows, and a line BROKEN fails it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import time
import webbrowser
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from unlatch.domain.access import Position
from unlatch.errors import UnlatchError
from unlatch.town.api import Problem
from unlatch.town.car import Maker
from unlatch.town.desk import CarrierDesk, Consignee, OperatorDesk
from unlatch.town.home_demo import HomeDemo
from unlatch.town.installation import LOGS, Installation, make_data_dir
from unlatch.town.labels import photograph, print_label
from unlatch.town.narrator import Narrator
from unlatch.town.papers import make_sscc, make_vin
from unlatch.town.proving import LABELS, PROOFS, keep_proof_key, make_folders, prove
from unlatch.town.rules import make_rules
from unlatch.town.stage_demo import open_stage
from unlatch.town.stories import PLOTS, Cast, Ending, Plot
from unlatch.town.stories_before import STORIES, Before, Scene
from unlatch.town.stories_home import HOME_PLOTS
from unlatch.town.truth import count_unlocks_asked, was_secured

FACTOR = 20.0
LARGEST_FACTOR = 40.0
SENDER = "Parcel Post\n12 Harbour Road\nSavannah GA 31401"
ADDRESS = Position(latitude=33.7490, longitude=-84.3880)
BLOCK_M = 0.0009  # degrees of latitude: about 100 m
CHECKS = ("5 min", "2 min")  # before the courier is expected: nearer than usual, so that nobody need wait
BADNESS = 0.4  # of a photo: from 0, a good one, to 1, what a person would take again
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STORY_WITHIN_S = 240.0  # real
LETTERS = "".join(one.letter for one in (*PLOTS, *STORIES, *HOME_PLOTS))


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
                checks = await self._check(cast, ending)
                checks += await prove(
                    self.installation,
                    self.narrator,
                    visit_id=ending.visit_id,
                    exporter=ending.exporter,
                    exporter_name=ending.exporter_name,
                    proof=self.folder / PROOFS / f"{plot.letter}.unlatch-proof",
                    lot=self.lot,
                )
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


def _say_asked(unlocks: int) -> str:
    return "the cloud was asked to unlock once" if unlocks else "the cloud was never asked to unlock"


async def run_demo(data_dir: Path, wishes: Wishes) -> int:
    """Play the demo in this folder; the exit code."""
    stop = asyncio.Event()
    loop, playing = asyncio.get_running_loop(), asyncio.current_task()
    assert playing is not None
    for number in ENDING:
        loop.add_signal_handler(number, playing.cancel)
    narrator = Narrator()
    make_data_dir(data_dir)
    summary = Summary()
    try:
        async with contextlib.AsyncExitStack() as stack:
            if not wishes.is_once:
                await _set_stage(data_dir, narrator, stack, summary)
            homes = await stack.enter_async_context(_homes_beside(data_dir, narrator, wishes))
            if any(one.letter in wishes.letters for one in (*PLOTS, *STORIES)):
                await _play(data_dir, narrator, wishes, stack, summary)
            if homes is not None:
                await _tell_homes(homes, narrator, summary)
            _sum_up(narrator, summary)
            if wishes.is_removed:
                narrator.line("  The folder is removed at the end; --keep or --data-dir DIR keeps it.")
            if not wishes.is_once:
                for number in ENDING:
                    loop.add_signal_handler(number, stop.set)
                narrator.line(
                    "It stays up until ctrl-C: play the next delivery yourself, at the address of `page`."
                )
                await stop.wait()
            narrator.step("ending every process")
    except asyncio.CancelledError:
        narrator.line("interrupted", "bad")
        return 130
    return 1 if summary.broken else 0


async def _set_stage(
    data_dir: Path, narrator: Narrator, stack: contextlib.AsyncExitStack, summary: Summary
) -> None:
    """The town's own page, at real pace, for whoever watches; opened where there is a desktop."""
    narrator.step("setting the stage: a delivery that waits for your own hands")
    stage = await stack.enter_async_context(open_stage(data_dir / "stage", narrator.step))
    summary.places.append(("page", stage.address))
    narrator.line(f"  Open {stage.address} : the town, the three apps, and what to do next.")
    await asyncio.to_thread(_open_browser, stage.address)


def _open_browser(address: str) -> None:
    """A graphical browser alone: one of text would take the terminal."""
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        with contextlib.suppress(webbrowser.Error, OSError):
            webbrowser.open(address)


@dataclass(kw_only=True)
class Summary:
    """What is said in the end."""

    count: int = 0
    broken: list[str] = field(default_factory=list)
    places: list[tuple[str, str]] = field(default_factory=list)  # where to look further


async def _play(
    data_dir: Path, narrator: Narrator, wishes: Wishes, stack: contextlib.AsyncExitStack, summary: Summary
) -> None:
    """The stories at cars: set the stage, and tell each of them. What was started ends with the stack."""
    more = {"UNLATCH_RULES_DIR": str(make_rules(data_dir, CHECKS))}
    installation = Installation(data_dir=data_dir, factor=wishes.factor, tell=narrator.step, more=more)
    await stack.enter_async_context(installation)
    narrator.step("registering a carrier and an operator")
    carrier_key, operator_key, merchant_key = await asyncio.gather(
        installation.admit_carrier("Parcel Post"),
        installation.admit_operator("Olga"),
        installation.run("carrier", "add", "Merchant of 2018", "--programme", "launch-2018"),
    )
    narrator.clock = installation.clock
    make_folders(data_dir)
    carrier = await stack.enter_async_context(CarrierDesk(installation.server_url, carrier_key))
    operator = await stack.enter_async_context(OperatorDesk(installation.server_url, operator_key))
    merchant = await stack.enter_async_context(CarrierDesk(installation.server_url, merchant_key.strip()))
    demo = Demo(
        installation=installation, narrator=narrator, carrier=carrier, operator=operator, lot=random.Random()
    )
    await _clear_desk(operator)
    keep_proof_key(data_dir, (await carrier.read_proof_key()).public_key)
    narrator.step("registering consignees, cars, couriers and their phones; printing labels")
    plots = [plot for plot in PLOTS if plot.letter in wishes.letters]
    casts = await asyncio.gather(*(demo.cast(plot) for plot in plots))
    for cast in casts:
        await stack.enter_async_context(cast.consignee)
        await stack.enter_async_context(cast.phone)
    narrator.step(f"ready; one second here is {installation.clock.factor:g} seconds in the town")
    befores = [one for one in STORIES if one.letter in wishes.letters]
    broken = [line for cast in casts for line in await demo.tell(cast)]
    broken += [line for one in befores for line in await demo.tell_before(one, merchant)]
    broken += [f"{member.name} has ended by itself: {member.log}" for member in installation.list_dead()]
    summary.count += len(casts) + len(befores)
    summary.broken += broken
    summary.places += [
        ("API", f"{installation.server_url}/v1/docs"),
        ("town", f"{installation.town_url}/town/cars"),
        ("labels", str(data_dir / LABELS)),
        ("proofs", str(data_dir / PROOFS)),
        ("logs", str(data_dir / LOGS)),
    ]


@contextlib.asynccontextmanager
async def _homes_beside(data_dir: Path, narrator: Narrator, wishes: Wishes) -> AsyncIterator[HomeDemo | None]:
    """The homes' stories, which are played beside the cars' and told afterwards; None: none is wished for."""
    letters = [plot.letter for plot in HOME_PLOTS if plot.letter in wishes.letters]
    if not letters:
        yield None
        return
    narrator.step("starting the homes' own town beside it, at the pace of their cameras")
    homes = HomeDemo(data_dir=data_dir, letters=letters, is_coloured=bool(narrator.is_coloured))
    homes.begin()
    try:
        yield homes
    finally:
        await homes.end()


async def _tell_homes(homes: HomeDemo, narrator: Narrator, summary: Summary) -> None:
    """One after the other, as each is over."""
    for story in await homes.list_stories():
        told = await story
        narrator.out.write(told.said.getvalue())
        narrator.out.flush()
        summary.count += 1
        summary.broken += told.broken
    installation = homes.installation
    summary.broken += homes.list_dead()
    summary.places += [
        ("homes", f"{installation.server_url}/v1/docs, {installation.town_url}/town/homes"),
        ("", str(installation.data_dir)),
    ]


async def _clear_desk(operator: OperatorDesk) -> None:
    """Answer the calls of an earlier demo in the same folder: its cars are gone, and can't be read any more."""
    for call in await operator.calls():
        with contextlib.suppress(Problem):
            await operator.rule(call.visit_id, "delivered", "the town of an earlier demo is gone")
        with contextlib.suppress(Problem):
            await operator.close_call(call.id)


def _sum_up(narrator: Narrator, summary: Summary) -> None:
    narrator.title("In the end")
    stories = "1 story" if summary.count == 1 else f"{summary.count} stories"
    took_s = time.monotonic() - narrator.began_s
    narrator.line(
        f"  {stories} in {took_s:.1f} s: {'everything held' if not summary.broken else 'NOT everything held'}"
    )
    for line in summary.broken:
        narrator.line(f"  BROKEN  {line}", "bad")
    for name, where in summary.places:
        narrator.line(f"  {name:<8}{where}")
