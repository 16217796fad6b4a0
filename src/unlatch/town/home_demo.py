"""The homes' part of `unlatch demo`: an installation of its own beside the cars', since cameras know no fast time.

Its stories are played at once, each told to a narrator of its own, and told on one after the other.
"""

from __future__ import annotations

import asyncio
import io
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from unlatch.domain.access import Position
from unlatch.errors import UnlatchError
from unlatch.town.desk import CarrierDesk, Consignee, OperatorDesk
from unlatch.town.household import Enroller
from unlatch.town.installation import Installation, make_data_dir
from unlatch.town.narrator import Narrator
from unlatch.town.papers import make_sscc
from unlatch.town.proving import PROOFS, keep_proof_key, make_folders, prove, prove_clip
from unlatch.town.stories import Ending
from unlatch.town.stories_home import FALLBACK, HOME_PLOTS, HomeCast, HomePlot
from unlatch.town.truth import count_openings_asked, was_home_secured

FACTOR = (
    3.0  # town seconds in a real one: a proof has five real seconds, and a courier who rings waits for seven
)
FOLDER = "homes"  # in the demo's data folder
ADDRESS = Position(latitude=33.7701, longitude=-84.3870)
WIDTH, HEIGHT = 320, 180
PICTURE = {"width": WIDTH, "height": HEIGHT, "fps": 10, "bitrate": 300_000, "keyframe_s": 1.0}
STORY_WITHIN_S = 240.0  # real
WINDOW = timedelta(hours=3)


@dataclass(kw_only=True)
class Told:
    """One story, once it is over: what was said of it, and what did not hold."""

    plot: HomePlot
    said: io.StringIO
    broken: list[str]


@dataclass(kw_only=True)
class HomeDemo:
    """The stories of these letters, from `begin` to `end`."""

    data_dir: Path
    letters: Sequence[str]
    is_coloured: bool
    lot: random.Random = field(default_factory=random.Random)
    installation: Installation = field(init=False)
    _stack: AsyncExitStack = field(init=False, default_factory=AsyncExitStack)
    _opening: asyncio.Task[list[asyncio.Task[Told]]] | None = field(init=False, default=None)

    def begin(self) -> None:
        """Set the stage and play, in the background."""
        self._opening = asyncio.create_task(self._open())

    async def list_stories(self) -> list[asyncio.Task[Told]]:
        """Every story, under way or over. Raises UnlatchError where the stage could not be set."""
        assert self._opening is not None
        return await self._opening

    async def end(self) -> None:
        """End whatever was started."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        await self._stack.aclose()

    @property
    def plots(self) -> list[HomePlot]:
        return [plot for plot in HOME_PLOTS if plot.letter in self.letters]

    async def _open(self) -> list[asyncio.Task[Told]]:
        folder = self.data_dir / FOLDER
        make_data_dir(folder)
        self.installation = installation = Installation(data_dir=folder, factor=FACTOR, recorders_at_start=1)
        await self._stack.enter_async_context(installation)
        carrier_key = await installation.admit_carrier("Parcel Post")
        operator_key = await installation.admit_operator("Olga")
        url = installation.server_url
        carrier = await self._stack.enter_async_context(CarrierDesk(url, carrier_key))
        operator = await self._stack.enter_async_context(OperatorDesk(url, operator_key))
        make_folders(installation.data_dir)
        keep_proof_key(installation.data_dir, (await carrier.read_proof_key()).public_key)
        tasks = [asyncio.create_task(self._tell(plot, carrier, operator)) for plot in self.plots]
        self._stack.push_async_callback(_end, tasks)
        return tasks

    def list_dead(self) -> list[str]:
        """Processes that have ended by themselves."""
        return [
            f"{member.name} has ended by itself: {member.log}" for member in self.installation.list_dead()
        ]

    async def _tell(self, plot: HomePlot, carrier: CarrierDesk, operator: OperatorDesk) -> Told:
        """Cast and play one story, and hold it against what must be so."""
        said = io.StringIO()
        narrator = Narrator(out=said, clock=self.installation.clock, is_coloured=self.is_coloured)
        narrator.title(f"({plot.letter}) {plot.title}")
        try:
            async with asyncio.timeout(STORY_WITHIN_S):
                cast = await self._cast(plot, narrator, carrier, operator)
                ending = await plot.play(cast)
                checks = await self._check(cast, ending)
                proof = self.installation.data_dir / PROOFS / f"{plot.letter}.unlatch-proof"
                checks += await prove(
                    self.installation,
                    narrator,
                    visit_id=ending.visit_id,
                    exporter=ending.exporter,
                    exporter_name=ending.exporter_name,
                    proof=proof,
                    lot=self.lot,
                )
                if ending.clip:
                    checks += await prove_clip(
                        self.installation, narrator, clip=ending.clip, proof=proof, lot=self.lot
                    )
        except (UnlatchError, TimeoutError) as error:
            checks = [(f"the story came to its end: {error!r}", False)]
        for text, holds in checks:
            narrator.check(text, holds=holds)
        broken = [f"({plot.letter}) {text}" for text, holds in checks if not holds]
        return Told(plot=plot, said=said, broken=broken)

    async def _cast(
        self, plot: HomePlot, narrator: Narrator, carrier: CarrierDesk, operator: OperatorDesk
    ) -> HomeCast:
        """A household whose camera is enrolled, a courier, and a parcel for it."""
        installation, town = self.installation, self.installation.town
        home_id = f"home-{plot.letter}-{self.lot.randrange(1 << 24):06x}"
        home, (camera,) = await town.furnish_home(
            home_id, picture=PICTURE, locks_itself_after_s=plot.locks_itself_after_s
        )
        made = await carrier.register_consignee(plot.consignee)
        consignee = await self._stack.enter_async_context(Consignee(installation.server_url, made.key))
        mail = f"{plot.consignee.lower()}@town.example"
        await consignee.open_mailbox(town, mail)
        place = await carrier.register_home(
            made.id, home, installation.town_url, [camera], ADDRESS, directions=plot.directions
        )
        (own,) = await consignee.cameras(place.id)
        methods = await Enroller(consignee, town, home_id, own.id).enrol(WIDTH, HEIGHT)
        narrator.say("consignee", f"has enrolled the camera in the hall: live by its {', '.join(methods)}")
        phone = await self._stack.enter_async_context(await carrier.equip_courier(plot.courier))
        label = make_sscc(self.lot)
        shipment = await carrier.announce_shipment(made.id, f"demo {plot.letter}", [f"(00){label}"])
        now = installation.clock.now()
        stop = await carrier.plan_stop(
            courier_id=phone.courier_id,
            access_point_id=place.id,
            shipment_id=shipment.id,
            window=(now - timedelta(minutes=5), now + WINDOW),
            fallback=FALLBACK,
        )
        return HomeCast(
            plot=plot,
            narrator=narrator,
            clock=installation.clock,
            town=town,
            carrier=carrier,
            operator=operator,
            consignee=consignee,
            phone=phone,
            home_id=home_id,
            town_camera_id=camera["camera_id"],
            place_id=place.id,
            stop_id=stop.id,
            label=label,
            here=ADDRESS,
            mail=mail,
        )

    async def _check(self, cast: HomeCast, ending: Ending) -> list[tuple[str, bool]]:
        """What must hold, by the town's own truth."""
        visit = await cast.carrier.visit(ending.visit_id)
        stop = await cast.carrier.stop(cast.stop_id)
        rows = await cast.town.whole_ledger(vin=cast.home_id)
        truth = await cast.town.home(cast.home_id)
        asked = count_openings_asked(rows)
        said = "the lock was asked to open once" if ending.unlocks else "the lock was never asked to open"
        ended_at = visit.ended_at or self.installation.clock.now()
        return [
            (f"the visit ended as {ending.state}", visit.state == ending.state),
            (
                f"the parcel is in one place: {ending.place}",
                {one.place for one in stop.parcels} == {ending.place},
            ),
            (said, asked == ending.unlocks),
            ("the door was closed and locked when the visit ended", was_home_secured(rows, ended_at)),
            ("the door is closed and locked now", truth.is_secured),
            *ending.more,
        ]


async def _end(tasks: Sequence[asyncio.Task[Told]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
