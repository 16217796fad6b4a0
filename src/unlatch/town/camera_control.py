"""/town/cameras: adds cameras, opens doors before them, plays lamps, and sets their faults.

| | |
|---|---|
| POST /town/cameras | add one (`NewCamera`) -> its address, user and password |
| GET /town/cameras | all of them |
| GET, DELETE /town/cameras/{id} | one |
| POST /town/cameras/{id}/view | change what is before it (`NewView`) |
| POST /town/cameras/{id}/lamp | a lamp, and a pattern for it (`NewLamp`) |
| POST, DELETE /town/cameras/{id}/fault | break it (`CameraFault`), mend it |
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import msgspec

from unlatch.clock import monotonic_s
from unlatch.town.camera import (
    LAMP_CHIP_S,
    MAX_CAMERAS,
    MAX_LAMP_CHIPS,
    CameraFault,
    FilmLibrary,
    Lamp,
    TownCamera,
)
from unlatch.town.film import Format
from unlatch.town.hall import View
from unlatch.town.home_control import HomeId
from unlatch.town.homes import Homes
from unlatch.town.rtsp import RtspServer
from unlatch.town.wire import Answer, Refused, Request

Side = Annotated[int, msgspec.Meta(ge=64, le=1920, multiple_of=4)]
Height = Annotated[int, msgspec.Meta(ge=64, le=1088, multiple_of=4)]


class NewCamera(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A camera to add. Cameras of one format, seed and view share one encoder while nothing happens to them."""

    camera_id: Annotated[str, msgspec.Meta(pattern="^[a-z0-9-]{1,32}$")]
    width: Side = 640
    height: Height = 360
    fps: Annotated[int, msgspec.Meta(ge=1, le=30)] = 15
    bitrate: Annotated[int, msgspec.Meta(ge=50_000, le=8_000_000)] = 600_000
    keyframe_s: Annotated[float, msgspec.Meta(ge=0.2, le=10)] = 2.0
    seed: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    has_clock: bool = True
    is_moving: bool = False
    light: Annotated[float, msgspec.Meta(ge=-250, le=250)] = 0.0
    noise: Annotated[float, msgspec.Meta(ge=0, le=20)] = 2.0
    home_id: HomeId | None = None  # in whose hall it hangs: then it sees that home's door


class CameraState(msgspec.Struct, kw_only=True, frozen=True):
    """A camera as the town knows it."""

    camera_id: str
    address: str  # without user and password
    user: str
    password: str
    viewers: int
    door_open: float
    is_lamp_lit: bool
    has_network: bool
    fault: CameraFault | None


class NewView(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is before it; what is left out stays."""

    door_open: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    is_moving: bool | None = None
    light: Annotated[float, msgspec.Meta(ge=-250, le=250)] | None = None
    walker: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None


class NewLamp(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A lamp: a pattern from now on, and the state after it."""

    is_on: bool = False
    chips: Annotated[list[bool], msgspec.Meta(max_length=MAX_LAMP_CHIPS)] = []
    chip_s: Annotated[float, msgspec.Meta(ge=0.05, le=2)] = LAMP_CHIP_S


class CameraControl:
    """The endpoints under /town/cameras, and the cameras behind them."""

    def __init__(self, homes: Homes | None = None) -> None:
        """`homes`: in whose halls cameras may hang."""
        self.homes = homes
        self.cameras: dict[str, TownCamera] = {}
        self.library = FilmLibrary()
        self.server = RtspServer(self.cameras)

    async def serve(self, request: Request, rest: list[str]) -> Answer:
        """`rest`: the path's parts after /town/cameras."""
        match (request.method, *rest):
            case ("POST",):
                return await self._add(request.read(NewCamera))
            case ("GET",):
                return Answer(200, [self._state(camera) for camera in self.cameras.values()])
        camera = self.cameras.get(rest[0]) if rest else None
        if camera is None:
            raise Refused(Answer(404, {"error": "no such camera"}))
        match (request.method, *rest[1:]):
            case ("GET",):
                pass
            case ("DELETE",):
                self._remove(camera)
                return Answer(204)
            case ("POST", "view"):
                self._show(camera, request.read(NewView))
            case ("POST", "lamp"):
                new = request.read(NewLamp)
                camera.play(
                    Lamp(new.is_on, tuple(new.chips), new.chip_s, monotonic_s() if new.chips else 0.0)
                )
            case ("POST", "fault"):
                camera.strike(request.read(CameraFault))
            case ("DELETE", "fault"):
                camera.strike(None)
            case _:
                raise Refused(Answer(404, {"error": "no such resource"}))
        return Answer(200, self._state(camera))

    def reset(self) -> None:
        """No camera any more."""
        for camera in list(self.cameras.values()):
            self._remove(camera)
        self.library.clear()

    async def close(self) -> None:
        """The end of the town."""
        self.reset()
        await self.server.close()

    async def _add(self, new: NewCamera) -> Answer:
        if len(self.cameras) >= MAX_CAMERAS:
            raise Refused(Answer(409, {"error": "the town has no room for another camera"}))
        if new.camera_id in self.cameras:
            raise Refused(Answer(409, {"error": "there is a camera of that name"}))
        dwelling = None
        if new.home_id is not None:
            dwelling = self.homes.dwellings.get(new.home_id) if self.homes is not None else None
            if dwelling is None:
                raise Refused(Answer(404, {"error": "no such home"}))
        await self.server.start()
        form = Format(
            width=new.width, height=new.height, fps=new.fps, bitrate=new.bitrate, keyframe_s=new.keyframe_s
        )
        view = View(has_clock=new.has_clock, is_moving=new.is_moving, light=new.light, noise=new.noise)
        camera = TownCamera(new.camera_id, form, self.library, view=view, seed=new.seed)
        self.cameras[new.camera_id] = camera
        if self.homes is not None and dwelling is not None:
            self.homes.hang(dwelling, camera)
        return Answer(201, self._state(camera))

    def _remove(self, camera: TownCamera) -> None:
        self.cameras.pop(camera.camera_id, None)
        if self.homes is not None:
            self.homes.take_down(camera)
        for cut in list(camera.cut.values()):
            cut()

    def _show(self, camera: TownCamera, new: NewView) -> None:
        given = {name: value for name in new.__struct_fields__ if (value := getattr(new, name)) is not None}
        camera.show(replace(camera.view, **given))

    def _state(self, camera: TownCamera) -> CameraState:
        return CameraState(
            camera_id=camera.camera_id,
            address=f"rtsp://127.0.0.1:{self.server.port}/{camera.camera_id}",
            user=camera.user,
            password=camera.password,
            viewers=len(camera.viewers),
            door_open=camera.view.door_open,
            is_lamp_lit=camera.lamp.is_lit(monotonic_s()),
            has_network=camera.has_network,
            fault=camera.fault,
        )
