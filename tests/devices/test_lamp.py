"""A lamp of the home plays a pattern: through the hub, on time, seen by the home's camera, and as it was afterwards."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from itertools import groupby, pairwise
from typing import Any

import pytest
from tests.devices.simulated import LinkedHome, TownAt, link_home, running_town

from unlatch.cameras.base import Camera, decoder_of
from unlatch.cameras.catalogue import get_camera_maker
from unlatch.cameras.glances import Glance, glance_of
from unlatch.cameras.light import draw_pattern, look_for
from unlatch.clock import monotonic_s
from unlatch.devices.base import Car
from unlatch.devices.catalogue import find_makers
from unlatch.errors import CommandNotSent, CommandUnknown, ConsentLost, DeviceError, DeviceUnsupported
from unlatch.town.client import TownClient
from unlatch.town.faults import FaultKind
from unlatch.town.home import HomeDeed

KIND = find_makers()["home_assistant"]
CHIPS = [True, False, False, True, True, False, True, False]
CHIP_S = 0.15


@pytest.fixture(scope="module")
def town() -> Iterator[TownAt]:
    with running_town() as running:
        yield running


@pytest.fixture
async def client(town: TownAt) -> AsyncIterator[TownClient]:
    async with TownClient(town.address) as client:
        yield client


@pytest.fixture
async def homes(town: TownAt, client: TownClient) -> AsyncIterator[Any]:
    linked: list[LinkedHome] = []

    async def add(lamp: str | None = "light.hall", **papers: Any) -> LinkedHome:
        one = await link_home(KIND, town, client, **{"has_lamp": True, **papers})
        secrets = dict(one.car.secrets) | ({"lamp": lamp} if lamp is not None else {})
        linked.append(replace(one, car=replace(one.car, secrets=secrets)))
        return linked[-1]

    yield add
    for one in linked:
        await one.maker.link.close()


async def turns(linked: LinkedHome) -> list[tuple[bool, float]]:
    """What the lamp did: on or off, and when (monotonic)."""
    names = {HomeDeed.LAMP_ON.value: True, HomeDeed.LAMP_OFF.value: False}
    rows = await linked.rows()
    return [
        (names[row.what], row.monotonic_s) for row in rows if row.kind == "happening" and row.what in names
    ]


async def test_each_turn_comes_on_time_and_the_lamp_is_as_it_was(homes: Any, client: TownClient) -> None:
    linked: LinkedHome = await homes()
    await client.do_at_home(linked.home_id, HomeDeed.LAMP_ON)
    before_s = monotonic_s()
    begun_s = await linked.maker.play(linked.car, CHIPS, CHIP_S)
    ended_s = monotonic_s()
    assert before_s <= begun_s
    assert ended_s - begun_s >= len(CHIPS) * CHIP_S
    assert (await client.home(linked.home_id)).is_lamp_on, "on again, as before"
    played = (await turns(linked))[1:-1]
    runs = [(is_on, len(list(group))) for is_on, group in groupby(CHIPS)]
    assert [is_on for is_on, _ in played] == [is_on for is_on, _ in runs]
    for (_, length), ((_, from_s), (_, to_s)) in zip(runs, pairwise(played), strict=False):
        assert abs(to_s - from_s - length * CHIP_S) < CHIP_S / 2


async def test_the_camera_in_the_hall_sees_the_pattern_and_no_other(homes: Any, client: TownClient) -> None:
    linked: LinkedHome = await homes()
    form = {"width": 320, "height": 180, "fps": 10, "keyframe_s": 1.0, "has_clock": False}
    told = await client.add_camera("hall-1", home_id=linked.home_id, **form)
    camera = Camera(
        maker="rtsp",
        address=told["address"],
        secrets={"user": told["user"], "password": told["password"]},
        allows_private=True,
    )
    pattern = draw_pattern(0.0)
    glances: list[Glance] = []
    is_over = threading.Event()

    def film() -> None:
        with get_camera_maker("rtsp").open(camera) as session:
            decoder = decoder_of(session.video)
            for coded in session.read():
                frames = decoder.decode(coded.packet)
                glances.extend(glance_of(frame, 0, coded.received_s) for frame in frames)
                if is_over.is_set() and coded.received_s > pattern.ended_s:
                    return

    filming = threading.Thread(target=film)
    filming.start()
    try:
        begun_s = await linked.maker.play(linked.car, pattern.chips, pattern.chip_s)
        pattern = replace(pattern, begun_s=begun_s)
    finally:
        is_over.set()
        filming.join(20)
    assert look_for(pattern, glances).is_ours
    turned = replace(pattern, chips=tuple(not chip for chip in pattern.chips))
    assert not look_for(turned, glances).is_ours


async def test_opening_the_door_moves_it_in_the_picture(homes: Any, client: TownClient) -> None:
    linked: LinkedHome = await homes()
    await client.add_camera("hall-2", home_id=linked.home_id)
    await linked.free_by_hand()
    assert not (await client.camera("hall-2"))["door_open"]
    await client.do_at_home(linked.home_id, HomeDeed.OPEN_DOOR)
    assert (await client.camera("hall-2"))["door_open"] == 1.0
    await client.do_at_home(linked.home_id, HomeDeed.CLOSE_DOOR)
    assert not (await client.camera("hall-2"))["door_open"]


async def refused(linked: LinkedHome, car: Car | None = None, **how: Any) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        await linked.maker.play(car or linked.car, how.get("chips", CHIPS), how.get("chip_s", CHIP_S))
    assert linked.car.secrets["access_token"] not in str(caught.value)
    return caught.value


async def test_without_a_lamp_there_is_nothing_to_play(homes: Any) -> None:
    for linked in (await homes(lamp=None), await homes(has_lamp=False), await homes(lamp="light.nowhere")):
        assert isinstance(await refused(linked), DeviceUnsupported)
        assert await turns(linked) == []


async def test_a_pattern_or_a_form_that_can_be_none_sends_nothing(homes: Any) -> None:
    linked: LinkedHome = await homes()
    strange = replace(linked.car, secrets={**linked.car.secrets, "lamp": "lock.front_door"})
    for error in (
        await refused(linked, strange),
        await refused(linked, chips=[]),
        await refused(linked, chips=[True] * 65),
        await refused(linked, chip_s=0.01),
        await refused(linked, chip_s=60.0),
    ):
        assert (type(error), error.code) == (CommandNotSent, "bad_request")
    assert await turns(linked) == []


async def test_a_hub_that_lets_nobody_in_or_hangs_up(homes: Any, client: TownClient) -> None:
    linked: LinkedHome = await homes()
    stranger = replace(linked.car, secrets={**linked.car.secrets, "access_token": "no-token"})
    assert isinstance(await refused(linked, stranger), ConsentLost)
    await client.set_home_fault(linked.home_id, FaultKind.CONNECTION_CUT, acts=False, count=1)
    error = await refused(linked)
    assert isinstance(error, CommandUnknown | CommandNotSent)
    assert error.code == "connection_cut"
    assert await linked.maker.play(linked.car, CHIPS[:2], CHIP_S) > 0, "mended"
