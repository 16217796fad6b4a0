"""The cameras of the town, and every fault that they are known for.

A camera has a picture (`hall`, `film`) and viewers (`rtsp`). A fault changes what it sends, not what it is: the
shared film goes on beside it. Cameras live in real time, whatever the town's clock: a film can't be hurried.

What a fault does:

| kind | the stream |
|---|---|
| stall | stays open, and nothing comes any more |
| drop | is cut; whoever connects again is served |
| freeze | one picture for ever: its very bytes, or encoded anew, or that with fresh noise |
| loop | the last seconds again and again: their very bytes, or encoded anew |
| late | comes `by_s` seconds later |
| clock_shift | the camera's clock goes wrong by `by_s` seconds, in the picture and in its reports |
| light_change | the hall becomes lighter or darker by `by_levels` |
| off | no power: whoever knocks hears nothing |

Beside its fault, a camera may have lost its network (`has_network`): a de-auth takes it away together with its hub.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum, auto
from typing import Annotated

import msgspec

from unlatch.clock import monotonic_s
from unlatch.town.film import Film, Format, Shot, Unit, decode, shoot
from unlatch.town.hall import Hall, Picture, View

MAX_CAMERAS = 128
MAX_VIEWERS = 8  # of one camera, as such cameras have it
LAMP_CHIP_S = 0.25
OLD_S = 60.0  # a loop of pictures that nobody saw at the time
MAX_LAMP_CHIPS = 64
Hear = Callable[[Unit], None]
Seconds = Annotated[float, msgspec.Meta(ge=-86_400, le=86_400)]


class CameraFaultKind(StrEnum):
    """What is wrong with a camera; see the module's table."""

    STALL = auto()
    DROP = auto()
    FREEZE = auto()
    LOOP = auto()
    LATE = auto()
    CLOCK_SHIFT = auto()
    LIGHT_CHANGE = auto()
    OFF = auto()


class CameraFault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault; fields that a kind does not use are not looked at."""

    kind: CameraFaultKind
    by_s: Seconds = 8.0  # late (0 to 10), clock_shift
    by_levels: Annotated[float, msgspec.Meta(ge=-250, le=250)] = -150.0  # light_change
    period_s: Annotated[float, msgspec.Meta(ge=0.5, le=10)] = 4.0  # loop
    is_encoded_anew: bool = False  # freeze, loop
    is_noisy: bool = False  # freeze, encoded anew: with a sensor's fresh noise

    @property
    def is_of_the_picture(self) -> bool:
        """Whether it needs a film of the camera's own."""
        of_film = (CameraFaultKind.CLOCK_SHIFT, CameraFaultKind.LIGHT_CHANGE)
        return self.kind in of_film or (
            self.is_encoded_anew and self.kind in (CameraFaultKind.FREEZE, CameraFaultKind.LOOP)
        )


@dataclass(slots=True)
class Lamp:
    """A lamp in the hall, which may play a pattern: on and off, a chip at a time."""

    is_on: bool = False
    chips: tuple[bool, ...] = ()
    chip_s: float = LAMP_CHIP_S
    begun_s: float = 0.0

    def is_lit(self, now_s: float) -> bool:
        """Whether it shines now."""
        number = int((now_s - self.begun_s) / self.chip_s)
        return self.chips[number] if 0 <= number < len(self.chips) else self.is_on


class FilmLibrary:
    """Films that several cameras share: one for each format, hall and view."""

    def __init__(self) -> None:
        self._films: dict[tuple[Format, int, View], Film] = {}

    def film(self, form: Format, seed: int, view: View) -> Film:
        """The one film of that."""
        key = (form, seed, view)
        if key not in self._films:
            hall = Hall(form.width, form.height, seed)
            self._films[key] = Film(form, shoot(hall, lambda: view))
        return self._films[key]

    def clear(self) -> None:
        """Forget them; those that are watched play on until nobody watches."""
        self._films.clear()


@dataclass(slots=True)
class Bending:
    """What a fault of the stream needs to remember."""

    loop: list[Unit] = field(default_factory=list)
    turn: int = 0
    delayed: deque[Unit] = field(default_factory=deque)
    still: Unit | None = None


class TownCamera:
    """One camera. Used from the town's event loop; units come from a film's thread and are handed over to it."""

    def __init__(
        self, camera_id: str, form: Format, library: FilmLibrary, *, view: View, seed: int, password: str = ""
    ) -> None:
        self.camera_id, self.form, self.seed = camera_id, form, seed
        self.user, self.password = "unlatch", password or secrets.token_urlsafe(12)
        self.view, self.lamp = view, Lamp()
        self.fault: CameraFault | None = None
        self.has_network = True
        self._hall = (False, False)  # as its home told it: door open, lamp on
        self.viewers: dict[object, Hear] = {}
        self.cut: dict[object, Callable[[], None]] = {}
        self._plain_view = view
        self._library = library
        self._bending = Bending()
        self._films = 0  # of its own, so far
        self._film = library.film(form, seed, view)
        self._heard: Film | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    # ---- who watches ------------------------------------------------------------------------------------

    @property
    def parameter_sets(self) -> tuple[bytes, bytes]:
        """SPS and PPS."""
        return self._film.sps, self._film.pps

    @property
    def fault_kind(self) -> str:
        """What is wrong with it; empty: nothing."""
        return self.fault.kind.value if self.fault is not None else ""

    @property
    def is_watched(self) -> bool:
        """Whether somebody takes its picture now."""
        return bool(self.viewers)

    @property
    def is_mute(self) -> bool:
        """Without power or network: whoever knocks hears nothing."""
        is_off = self.fault is not None and self.fault.kind is CameraFaultKind.OFF
        return is_off or not self.has_network

    @property
    def clock_offset_s(self) -> float:
        """How far the camera's own clock is from the true time."""
        fault = self.fault
        return fault.by_s if fault is not None and fault.kind is CameraFaultKind.CLOCK_SHIFT else 0.0

    def watch(self, who: object, hear: Hear, cut: Callable[[], None]) -> bool:
        """Send every unit to `hear`, from a keyframe on; False when it has as many viewers as it bears."""
        if len(self.viewers) >= MAX_VIEWERS:
            return False
        self._loop = asyncio.get_running_loop()
        self.viewers[who], self.cut[who] = hear, cut
        self._tune(is_anew=True)
        return True

    def leave(self, who: object) -> None:
        """One viewer less."""
        self.viewers.pop(who, None)
        self.cut.pop(who, None)
        if not self.viewers and self._heard is not None:
            self._heard.leave(self)
            self._heard = None

    # ---- what is before it ------------------------------------------------------------------------------

    def look(self) -> View:
        """What is before it now, by its own fault and lamp."""
        fault, view = self.fault, self.view
        if fault is not None and fault.kind is CameraFaultKind.LIGHT_CHANGE:
            view = replace(view, light=view.light + fault.by_levels)
        return replace(view, is_lamp_on=self.lamp.is_lit(monotonic_s()))

    def show(self, view: View) -> None:
        """Change what is before it."""
        self.view = view
        self._tune()

    def show_hall(self, *, is_open: bool, is_lamp_on: bool) -> None:
        """What became of the home's door and lamp. What did not change stays as it was set by hand."""
        before, self._hall = self._hall, (is_open, is_lamp_on)
        if before[1] is not is_lamp_on:
            self.play(Lamp(is_on=is_lamp_on, begun_s=monotonic_s()))  # dated: it stays this camera's own film
        if before[0] is not is_open:
            self.show(replace(self.view, door_open=float(is_open)))

    def set_network(self, *, is_up: bool) -> None:
        """Whether what it sends arrives anywhere."""
        self.has_network = is_up

    def play(self, lamp: Lamp) -> None:
        """Give the hall's lamp another state or pattern."""
        self.lamp = lamp
        self._tune()

    def strike(self, fault: CameraFault | None) -> None:
        """Set the fault in place of the one before; None mends everything."""
        kept = self._heard.kept() if self._heard is not None else []
        self.fault, self._bending = fault, Bending()
        if fault is not None:
            match fault.kind:
                case CameraFaultKind.DROP | CameraFaultKind.OFF:
                    for cut in list(self.cut.values()):
                        cut()
                case CameraFaultKind.LOOP:
                    count = round(fault.period_s * self.form.fps)
                    first = next(
                        (n for n in range(max(0, len(kept) - count), -1, -1) if kept and kept[n].is_key), 0
                    )
                    self._bending.loop = kept[first:]
                    if not self._bending.loop:  # nobody watched: then it shows again what was before it
                        self.fault = msgspec.structs.replace(fault, is_encoded_anew=True)
                case CameraFaultKind.FREEZE:
                    self._bending.still = next((unit for unit in reversed(kept) if unit.is_key), None)
        self._tune(is_anew=True)

    def _tune(self, *, is_anew: bool = False) -> None:
        """Listen to the film that fits: the shared one, or one of this camera's own."""
        film = self._film
        is_plain = self.view == self._plain_view and self.lamp == Lamp()
        if (self.fault is not None and self.fault.is_of_the_picture) or not is_plain:
            is_ours = self._heard is not None and self._heard is not self._film
            if is_ours and not is_anew:
                return  # it looks at the view anew for each picture
            film = Film(self.form, self._own_shot())
        if not self.viewers:
            return
        if self._heard is not None and self._heard is not film:
            self._heard.leave(self)
        self._heard = film
        loop = self._loop
        assert loop is not None

        def hand_over(unit: Unit) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._send, film, unit)

        film.listen(self, hand_over)

    def _own_shot(self) -> Shot:
        self._films += 1
        hall = Hall(self.form.width, self.form.height, self.seed, film=self._films)
        live = shoot(hall, self.look, self.clock_offset_s)
        fault = self.fault
        if fault is None or fault.kind not in (CameraFaultKind.FREEZE, CameraFaultKind.LOOP):
            return live
        begun_s = monotonic_s()
        if fault.kind is CameraFaultKind.FREEZE:
            still = live(begun_s)
            return lambda _: hall.grain(still, self.view.noise) if fault.is_noisy else still
        count = max(1, round(fault.period_s * self.form.fps))
        at = datetime.now(UTC) - timedelta(seconds=OLD_S)
        run = list(decode(self._bending.loop)) or [
            hall.paint(
                self.look(),
                at + timedelta(seconds=number / self.form.fps),
                begun_s - (count - number) / self.form.fps,
            )
            for number in range(count)
        ]

        def again(taken_s: float) -> Picture:
            return run[int((taken_s - begun_s) * self.form.fps) % len(run)]

        return again

    # ---- what is sent -----------------------------------------------------------------------------------

    def _send(self, film: Film, unit: Unit) -> None:
        if film is not self._heard or not self.has_network:
            return  # of the film before, or into the void
        for bent in self._bend(unit):
            for hear in list(self.viewers.values()):
                hear(bent)

    def _bend(self, unit: Unit) -> list[Unit]:
        """What leaves instead of `unit`, by the fault."""
        fault, bending = self.fault, self._bending
        if fault is None or fault.is_of_the_picture:
            return [unit]
        match fault.kind:
            case CameraFaultKind.STALL | CameraFaultKind.OFF:
                return []
            case CameraFaultKind.FREEZE:
                if bending.still is None and unit.is_key:
                    bending.still = unit
                return [unit if bending.still is None else replace(bending.still, taken_s=unit.taken_s)]
            case CameraFaultKind.LOOP if bending.loop:
                again = bending.loop[bending.turn % len(bending.loop)]
                bending.turn += 1
                return [replace(again, taken_s=unit.taken_s)]
            case CameraFaultKind.LATE:
                bending.delayed.append(unit)
                due_s = monotonic_s() - min(10.0, max(0.0, fault.by_s))
                late = []
                while bending.delayed and bending.delayed[0].taken_s <= due_s:
                    late.append(bending.delayed.popleft())
                return late
        return [unit]
