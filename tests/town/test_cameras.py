"""The town's cameras: the control API, the wire, and one encoder for many viewers."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from datetime import UTC, datetime

import pytest
from tests.town.conftest import Driver

from unlatch.errors import Conflict, NotFound
from unlatch.town.camera import CameraFault, CameraFaultKind, FilmLibrary, TownCamera
from unlatch.town.film import Format, Unit, split_nals
from unlatch.town.hall import Hall, View
from unlatch.town.rtsp import Sender, fragment

SMALL = {"width": 320, "height": 180, "fps": 10, "bitrate": 200_000}


async def rtsp(address: str, method: str = "OPTIONS", *headers: str) -> str:
    """One request, and the head of its answer; empty if there is none."""
    found = re.fullmatch(r"rtsp://([\d.]+):(\d+)/.*", address)
    assert found is not None
    reader, writer = await asyncio.open_connection(found[1], int(found[2]))
    try:
        writer.write("\r\n".join([f"{method} {address} RTSP/1.0", "CSeq: 7", *headers, "", ""]).encode())
        async with asyncio.timeout(5):
            return (await reader.read(2000)).decode()
    finally:
        writer.close()


async def test_a_camera_is_added_shown_broken_and_taken_away(driver: Driver) -> None:
    town = driver.town
    added = await town.add_camera("hall", **SMALL)
    assert added["address"].startswith("rtsp://127.0.0.1:")
    assert added["password"] not in added["address"]
    with pytest.raises(Conflict):
        await town.add_camera("hall", **SMALL)
    assert (await town.show_camera("hall", door_open=1.0))["door_open"] == 1.0
    assert (await town.show_camera("hall", light=-20.0))["door_open"] == 1.0
    assert (await town.play_lamp("hall", [True] * 8, 0.25))["is_lamp_lit"]
    assert (await town.break_camera("hall", "loop", period_s=2))["fault"]["kind"] == "loop"
    assert (await town.mend_camera("hall"))["fault"] is None
    assert [one["camera_id"] for one in (await driver.http.get("/town/cameras")).json()] == ["hall"]
    assert (await driver.http.delete("/town/cameras/hall")).status_code == 204
    with pytest.raises(NotFound):
        await town.camera("hall")
    await town.add_camera("hall", **SMALL)
    await town.reset()
    with pytest.raises(NotFound):
        await town.camera("hall")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("", {"camera_id": "A b"}),
        ("", {"camera_id": "x", "width": 321}),
        ("", {"camera_id": "x", "fps": 0}),
        ("", {"camera_id": "x", "height": 5000}),
        ("", {"camera_id": "x", "unheard": 1}),
        ("/one/fault", {"kind": "unheard"}),
        ("/one/fault", {"kind": "loop", "period_s": 60}),
        ("/one/view", {"door_open": 2}),
        ("/one/lamp", {"chips": [True] * 65}),
    ],
)
async def test_what_does_not_fit_is_refused(driver: Driver, path: str, body: dict[str, object]) -> None:
    await driver.town.add_camera("one", **SMALL)
    assert (await driver.http.post(f"/town/cameras{path}", json=body)).status_code == 400
    assert (await driver.http.post("/town/cameras/none/fault", json={"kind": "off"})).status_code == 404
    assert (await driver.http.put("/town/cameras/one", json={})).status_code == 404


async def test_the_wire_lets_in_who_knows_the_password(driver: Driver) -> None:
    address = (await driver.town.add_camera("hall", **SMALL))["address"]
    assert "RTSP/1.0 200 OK\r\nCSeq: 7\r\nPublic: OPTIONS" in await rtsp(address)
    asked = await rtsp(address, "DESCRIBE")
    assert asked.startswith("RTSP/1.0 401")
    nonce = re.search(r'nonce="(\w+)"', asked)
    assert nonce is not None
    for given in (
        "Basic dW5sYXRjaDp4",
        f'Digest username="unlatch", nonce="{nonce[1]}", uri="x", response="0"',
    ):
        assert (await rtsp(address, "DESCRIBE", f"Authorization: {given}")).startswith("RTSP/1.0 401")
    assert (await rtsp(f"{address}x", "DESCRIBE")).startswith("RTSP/1.0 404")
    assert (await rtsp(address, "PLAY")).startswith("RTSP/1.0 401")
    assert await rtsp(address, "DESCRIBE", "Content-Length: 99999999") == ""
    assert await rtsp(address, "DESCRIBE", "Content-Length: x") == ""
    assert await rtsp(address, "X" * 9_000) == ""
    await driver.town.break_camera("hall", "off")
    with pytest.raises(TimeoutError):
        await rtsp(address)


async def test_those_who_see_the_same_share_one_encoder() -> None:
    library, form = FilmLibrary(), Format(width=320, height=180, fps=10, bitrate=200_000)
    cameras = [TownCamera(f"c{number}", form, library, view=View(), seed=0) for number in range(25)]
    heard: dict[str, list[Unit]] = {camera.camera_id: [] for camera in cameras}
    for camera in cameras:
        camera.watch("one", heard[camera.camera_id].append, lambda: None)

    async def wait(count: int) -> None:
        async with asyncio.timeout(20):
            while min(map(len, heard.values())) < count:
                await asyncio.sleep(0.02)

    await wait(8)
    films = [thread for thread in threading.enumerate() if thread.name == "film"]
    assert len({id(camera._heard) for camera in cameras}) == 1
    assert films
    cameras[3].show(View(door_open=1.0))
    assert cameras[3]._heard is not cameras[4]._heard
    before = len(heard["c3"])
    await wait(before + 5)
    assert heard["c3"][-1].nals != heard["c4"][-1].nals
    cameras[5].strike(CameraFault(kind=CameraFaultKind.LATE, by_s=2.0))
    cameras[6].strike(CameraFault(kind=CameraFaultKind.LOOP, period_s=0.5))
    for name in ("c5", "c6", "c7"):
        heard[name].clear()
    begun_s = time.monotonic()
    await wait(6)
    assert time.monotonic() - begun_s > 1.5
    assert {unit.nals for unit in heard["c6"]}.isdisjoint({unit.nals for unit in heard["c7"]})
    many = [cameras[0].watch(number, lambda unit: None, lambda: None) for number in range(8)]
    assert many == [True] * 7 + [False]
    for camera in cameras:
        for who in list(camera.viewers):
            camera.leave(who)
    assert {camera._heard for camera in cameras} == {None}


def test_what_is_too_long_for_a_packet_is_cut_and_put_together_again() -> None:
    nal = bytes([0x65]) + bytes(range(256)) * 20
    pieces = fragment(nal)
    assert max(map(len, pieces)) <= 1_400
    assert [piece[0] & 31 for piece in pieces] == [28] * len(pieces)
    assert [(piece[1] >> 7, piece[1] >> 6 & 1) for piece in pieces] == [(1, 0), (0, 0), (0, 0), (0, 1)]
    assert bytes([pieces[0][0] & 0xE0 | pieces[0][1] & 31]) + b"".join(piece[2:] for piece in pieces) == nal
    assert fragment(b"\x67short") == [b"\x67short"]
    assert split_nals(b"\0\0\0\1\x67ab\0\0\0\1\x68c\0\0\1\x65d\0") == [b"\x67ab", b"\x68c", b"\x65d\0"]
    sent = Sender().pack(Unit(nals=(b"\x67a", nal), is_key=True, taken_s=1.0), 0.0)
    assert sent[:2] == b"$\x01"  # the first thing is the report with the camera's clock
    assert sent.count(b"$\x00") >= 5


def test_two_pictures_of_a_still_hall_differ_by_noise_alone() -> None:
    hall = Hall(320, 180)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    first, second = (hall.paint(View(noise=2.0), at, 0.0).astype(int) for _ in range(2))
    assert 2.0 < (first - second)[40:180].std() < 3.8
    for size in ((62, 64), (64, 4096), (320, 181)):
        with pytest.raises(ValueError, match="pixels"):
            Hall(*size)
