"""Home Assistant's camera: from the town's hub over real HTTP and WebSocket to a take; and hubs that do not behave."""

from __future__ import annotations

import asyncio
import io
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from tests.cameras.feeding import fragments
from tests.cameras.street import wait_until
from tests.cameras.test_armed import SLOW_S
from tests.devices.simulated import TownAt, running_town
from websockets.sync.server import ServerConnection, serve

from unlatch.cameras.base import Camera, Coded
from unlatch.cameras.board import CameraState
from unlatch.cameras.catalogue import get_camera_maker
from unlatch.cameras.glances import Verdict
from unlatch.cameras.hls import HlsSource, PartOfStream, read_playlist
from unlatch.cameras.hub_line import HubLine
from unlatch.cameras.proof import Proof, Refusal
from unlatch.cameras.recorder import Recorder
from unlatch.clock import monotonic_s
from unlatch.errors import CameraUnreachable
from unlatch.town.client import TownClient
from unlatch.town.faults import FaultKind

MAKER = get_camera_maker("home_assistant")
FORM = {"width": 320, "height": 180, "fps": 10, "bitrate": 300_000, "keyframe_s": 1.0, "is_moving": True}
NUMBERS = count(1)


@pytest.fixture(scope="module")
def town() -> Iterator[TownAt]:
    with running_town() as running:
        yield running


@pytest.fixture
async def client(town: TownAt) -> AsyncIterator[TownClient]:
    async with TownClient(town.address) as client:
        yield client


async def link_camera(town: TownAt, client: TownClient, **fields: Any) -> tuple[str, Camera]:
    """A home with a camera in its hall; the camera's name, and how it is linked through the hub."""
    name = f"hall-{next(NUMBERS)}"
    home = await client.add_home(name)
    await client.add_camera(name, home_id=name, **{**FORM, **fields})
    secrets = {"access_token": home.token, "entity": home.camera}
    address = f"{town.address}{home.path}"
    return name, Camera(maker=MAKER.name, address=address, secrets=secrets, allows_private=True)


def code_of(camera: Camera) -> str:
    """Why it can't be had; and nothing of what opens it stands there."""
    with pytest.raises(CameraUnreachable) as caught:
        MAKER.open(camera).close()
    for secret in (camera.address, *camera.secrets.values()):
        assert not secret or secret not in str(caught.value)
    return caught.value.code


def watch(camera: Camera, frames: int) -> list[Coded]:
    """The first frames of a session; a hub that has only begun to connect is asked again, as the recorder does."""
    seen: list[Coded] = []
    until_s = monotonic_s() + SLOW_S
    while True:
        try:
            with MAKER.open(camera) as session:
                for coded in session.read():
                    seen.append(coded)
                    if len(seen) == frames:
                        return seen
        except CameraUnreachable:
            if monotonic_s() > until_s:
                raise
            seen.clear()


# ---- through the town's hub -------------------------------------------------------------------------------


async def test_frames_come_as_the_camera_coded_them_a_second_at_a_time(
    town: TownAt, client: TownClient
) -> None:
    _, camera = await link_camera(town, client)
    frames = watch(camera, 45)
    assert frames[0].packet.is_keyframe
    shown = [float(one.packet.dts * one.packet.time_base) for one in frames if one.packet.dts is not None]
    assert all(0.05 < b - a < 0.5 for a, b in pairwise(shown))
    received = [one.received_s for one in frames]
    assert received == sorted(received)
    assert monotonic_s() - received[-1] < 5


async def test_a_take_a_verdict_and_a_proof_through_a_hub(
    town: TownAt, client: TownClient, recorder: Recorder, tmp_path: Path
) -> None:
    name, camera = await link_camera(town, client)
    recorder.arm(name, camera)
    recorder.start(name, tmp_path)
    wait_until(lambda: recorder.status(name).judgement.verdict is Verdict.LIVE, SLOW_S)
    proof: Proof | Refusal = Refusal(code="not asked yet")
    for _ in range(3):  # on a busy machine the picture may be called still for a moment
        proof = recorder.prove(name)
        if isinstance(proof, Proof):
            break
    assert isinstance(proof, Proof), proof
    lost_s = monotonic_s()
    await client.break_camera(name, "stall")
    wait_until(lambda: recorder.status(name).state is CameraState.LOST, 10)
    assert monotonic_s() - lost_s < 6
    await client.mend_camera(name)
    wait_until(lambda: recorder.status(name).take >= 2, SLOW_S)
    takes = recorder.stop(name)
    assert len(takes) >= 2
    assert takes[0].parts


async def test_a_hub_that_connects_to_its_camera_again_is_a_break(town: TownAt, client: TownClient) -> None:
    name, camera = await link_camera(town, client)
    watch(camera, 5)
    codes: list[str] = []
    begun: list[Coded] = []

    def follow() -> None:
        try:
            with MAKER.open(camera) as session:
                begun.extend(session.read())
        except CameraUnreachable as error:
            codes.append(error.code)

    following = threading.Thread(target=follow)
    following.start()
    await asyncio.to_thread(wait_until, lambda: begun, SLOW_S)
    await client.break_camera(name, "drop")
    following.join(SLOW_S)
    assert codes
    assert codes[0] in ("cut", "silent")
    assert watch(camera, 5), "and is there again"


async def test_who_is_not_let_in_and_what_is_not_there(town: TownAt, client: TownClient) -> None:
    name, camera = await link_camera(town, client)
    told = dict(camera.secrets)
    assert code_of(replace(camera, secrets={**told, "access_token": "no-token"})) == "not_let_in"
    assert code_of(replace(camera, secrets={**told, "entity": "camera.nowhere"})) == "not_found"
    assert code_of(replace(camera, secrets={**told, "entity": "../../lock.x"})) == "not_found"
    assert code_of(replace(camera, address=f"{town.address}/hub/nobody")) == "not_found"
    await client.set_home_fault(name, FaultKind.HUB_GONE)
    assert code_of(camera) in ("unreachable", "not_found")
    nobody = replace(camera, address="http://127.0.0.1:9")
    assert code_of(nobody) == "refused"
    bare = await client.add_home(f"{name}-bare")
    without = Camera(
        maker=MAKER.name, address=f"{town.address}{bare.path}", allows_private=True,
        secrets={"access_token": bare.token, "entity": bare.camera},
    )  # fmt: skip
    assert code_of(without) == "not_found"


async def test_the_hub_gives_a_still_picture_to_who_has_its_token(town: TownAt, client: TownClient) -> None:
    _, camera = await link_camera(town, client)
    address = f"{camera.address}/api/camera_proxy/{camera.secrets['entity']}"
    key = {"authorization": f"Bearer {camera.secrets['access_token']}"}
    async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
        assert (await http.get(address)).status_code == 401
        answer = await http.get(address, headers=key)
        assert answer.status_code == 200, answer.text
        assert Image.open(io.BytesIO(answer.content)).size == (320, 180)
        playlist = await http.get(f"{camera.address}/api/hls/{'0' * 64}/playlist.m3u8", headers=key)
        assert playlist.status_code == 404


# ---- addresses --------------------------------------------------------------------------------------------


def test_an_address_where_no_hub_may_be_is_never_knocked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def connect(address: object, timeout: float) -> None:
        asked.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    known = {
        "inner.example": ["10.0.0.1"],
        "both.example": ["93.184.216.34", "127.0.0.1"],
        "fine.example": ["93.184.216.34"],
    }

    def resolve(host: str, port: int, **_: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        return [(0, 0, 0, "", (one, port)) for one in known[host]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    secrets = {"access_token": "a-token", "entity": "camera.hall"}
    for address in (
        "http://127.0.0.1:8123", "https://192.168.1.2", "https://169.254.169.254", "file:///etc/passwd", "https://x.1",
        "https://inner.example", "https://both.example", "http://fine.example",
    ):  # fmt: skip
        assert code_of(Camera(maker=MAKER.name, address=address, secrets=secrets)) == "not_found"
        assert asked == [], address
    assert (
        code_of(Camera(maker=MAKER.name, address="https://fine.example:8123", secrets=secrets)) == "refused"
    )
    assert asked == [("93.184.216.34", 8123)], "to the very address that was judged"


# ---- a hub that does not behave ---------------------------------------------------------------------------


HEAD, *PARTS = fragments(4)


class Hub(BaseHTTPRequestHandler):
    """Answers what `answers` holds for a path without its query; counts what was asked."""

    answers: dict[str, tuple[int, bytes]] = {}  # noqa: RUF012 - set by each test
    asked: list[str] = []  # noqa: RUF012
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status, body = self.answers.get(self.path.partition("?")[0], (404, b""))
        if status == 0:
            time.sleep(5)
            return
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("location", "http://127.0.0.1:9/elsewhere")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        pass


@contextmanager
def hub(**answers: tuple[int, bytes] | bytes) -> Iterator[HlsSource]:
    """The stream at such a hub. `playlist`, `init`, and the parts as `p1_0`."""
    names = {"playlist": "playlist.m3u8", "init": "init.mp4"}
    Hub.answers, Hub.asked = {}, []
    for name, given in answers.items():
        path = names.get(name) or f"segment/{name[1:].replace('_', '.')}.m4s"
        Hub.answers[f"/api/hls/aa/{path}"] = given if isinstance(given, tuple) else (200, given)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    line = HubLine(f"http://127.0.0.1:{server.server_address[1]}", allows_private=True)
    try:
        yield HlsSource(line, "/api/hls/aa", monotonic_s() + 2.0)
    finally:
        line.close()
        server.shutdown()
        server.server_close()
        thread.join(10)


def playlist(*parts: str, is_quick: bool = True) -> bytes:
    """A playlist with these parts: "1.0k" with a keyframe, "!2.0" after a break."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:6", '#EXT-X-MAP:URI="init.mp4"', "#EXT-X-DISCONTINUITY-SEQUENCE:0"]
    lines += ["#EXT-X-PART-INF:PART-TARGET=1.000"] if is_quick else []
    for part in parts:
        if part.startswith("!"):
            lines.append("#EXT-X-DISCONTINUITY")
        name, key = part.strip("!k"), ",INDEPENDENT=YES" if part.endswith("k") else ""
        lines.append(f'#EXT-X-PART:DURATION=1.000,URI="./segment/{name}.m4s"{key}')
    return "\n".join([*lines, '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="./segment/9.9.m4s"', ""]).encode()


def drain(source: HlsSource, pieces: int) -> tuple[list[bytes], str]:
    """What it gives, whole, and why it ended."""
    got: list[bytes] = []
    with pytest.raises(CameraUnreachable) as ended:
        got.extend(source.read(10**9) for _ in range(pieces))
    return got, ended.value.code


def test_it_begins_with_the_newest_keyframe_and_asks_for_what_comes_next() -> None:
    with hub(
        playlist=playlist("1.0k", "1.1", "2.0k", "2.1"), init=HEAD, p2_0=PARTS[0], p2_1=PARTS[1]
    ) as source:
        assert [source.read(10**9) for _ in range(3)] == [HEAD, PARTS[0], PARTS[1]]
        source.opened()
        Hub.answers["/api/hls/aa/playlist.m3u8"] = (200, playlist("2.1", "3.0k"))
        Hub.answers["/api/hls/aa/segment/3.0.m4s"] = (200, PARTS[2])
        assert source.read(5) == PARTS[2][:5]
        assert source.read(10**9) == PARTS[2][5:]
    assert [one.partition("?")[2] for one in Hub.asked if "playlist" in one] == [
        "_HLS_msn=0&_HLS_part=0", "_HLS_msn=2&_HLS_part=2"
    ]  # fmt: skip


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no playlist": ({"playlist": b"<html>"}, "codec"),
    "whole segments alone": ({"playlist": playlist("1.0k", is_quick=False)}, "too_slow"),
    "nothing yet": ({"playlist": playlist()}, "unreachable"),
    "no head": ({"playlist": playlist("1.0k")}, "unreachable"),
    "sent elsewhere": ({"playlist": (302, b"")}, "unreachable"),
    "in trouble": ({"playlist": (500, b"oops")}, "unreachable"),
    "too much": ({"playlist": b"#EXTM3U\n" + b"#" * 70_000}, "too_large"),
    "too large a head": ({"playlist": playlist("1.0k"), "init": b"x" * 300_000}, "too_large"),
    "holds us": ({"playlist": (0, b"")}, "unreachable"),
    "broken off": ({"playlist": playlist("1.0k", "!2.0k"), "init": HEAD, "p2_0": PARTS[0]}, "unreachable"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_hub_that_does_not_behave(name: str) -> None:
    answers, code = REFUSED[name]
    with hub(**answers) as source:
        _, why = drain(source, 3)
    assert why == code


@pytest.mark.parametrize(
    ("after", "code"), [("!2.0k", "cut"), ("1.3", "cut"), ("3.0k", "cut"), ("1.0k", "silent")]
)
def test_a_break_a_hole_and_a_standstill(after: str, code: str) -> None:
    with hub(playlist=playlist("1.0k"), init=HEAD, p1_0=PARTS[0]) as source:
        assert [source.read(10**9) for _ in range(2)] == [HEAD, PARTS[0]]
        source.opened()
        Hub.answers["/api/hls/aa/playlist.m3u8"] = (200, playlist(after))
        asked = len(Hub.asked)
        got, why = drain(source, 1)
    assert (got, why) == ([], code)
    assert len(Hub.asked) - asked < 60, "not asked without pause"


def test_what_a_playlist_says() -> None:
    parts = read_playlist(playlist("7.0k", "7.1", "!8.0k").decode())
    assert parts == (
        PartOfStream(segment=7, number=0, has_key=True),
        PartOfStream(segment=7, number=1),
        PartOfStream(segment=8, number=0, has_key=True, is_broken_off=True),
    )
    foreign = '#EXTM3U\n#EXT-X-PART-INF:PART-TARGET=1\n#EXT-X-PART:DURATION=1,URI="http://127.0.0.1/segment/1.0.m4s"\n'
    assert read_playlist(foreign) == (), "a part is where the playlist is, and nowhere else"
    assert parts[2].follows(parts[1])
    assert not parts[1].follows(parts[2])


@pytest.mark.parametrize("says", ["nonsense", '{"type": "chat"}', '{"type": "auth_required"}', "x" * 100_000])
def test_a_websocket_that_says_something_else(says: str) -> None:
    def talk(connection: ServerConnection) -> None:
        while True:
            connection.send(says)

    with serve(talk, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        begun_s = monotonic_s()
        secrets = {"access_token": "a-token", "entity": "camera.hall"}
        code = code_of(Camera(maker=MAKER.name, address=address, secrets=secrets, allows_private=True))
        assert code == "unreachable"
        assert monotonic_s() - begun_s < 7
        server.shutdown()
