"""The wire of the town's cameras: an RTSP server (RFC 2326) that sends H.264 over RTP (RFC 6184) in its one TCP link.

As cameras do it: digest authentication (RFC 2617, MD5), interleaved transport alone, packets of at most 1,400 bytes,
and once a second a sender report (RTCP, RFC 3550) that says what the camera's own clock shows.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import random
import re
import secrets
import struct
import time

from unlatch.town.camera import TownCamera
from unlatch.town.film import RTP_HZ, Unit

MAX_HEAD_BYTES = 8_192
MAX_BODY_BYTES = 8_192
MAX_WAITING_BYTES = 4_000_000  # for a viewer that does not read; then it is cut
PAYLOAD_BYTES = 1_400
REPORT_EVERY_S = 1.0
IDLE_S = 90.0  # a viewer that says nothing (PLAY asks for a sign of life each minute) and reads nothing
NTP_OFFSET_S = 2_208_988_800  # 1900 to 1970
FU_A = 28
REALM = "camera"
METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER"


def fragment(nal: bytes) -> list[bytes]:
    """The payloads of one NAL unit: itself, or pieces of it (FU-A)."""
    if len(nal) <= PAYLOAD_BYTES:
        return [nal]
    indicator, kind = nal[0] & 0xE0 | FU_A, nal[0] & 0x1F
    step = PAYLOAD_BYTES - 2
    starts = range(1, len(nal), step)
    return [
        bytes((indicator, (at == 1) << 7 | (at + step >= len(nal)) << 6 | kind)) + nal[at : at + step]
        for at in starts
    ]


class Sender:
    """The RTP of one viewer: numbers, times and reports."""

    def __init__(self) -> None:
        self._ssrc = random.getrandbits(32)
        self._number = random.getrandbits(16)
        self._base = random.getrandbits(32)
        self._packets = self._octets = 0
        self._reported_s = float("-inf")

    def pack(self, unit: Unit, clock_offset_s: float) -> bytes:
        """Interleaved frames (channel 0 RTP, 1 RTCP) of one unit."""
        ticks = (self._base + int(unit.taken_s * RTP_HZ)) & 0xFFFFFFFF
        pieces: list[bytes] = []
        if unit.taken_s - self._reported_s >= REPORT_EVERY_S:
            self._reported_s = unit.taken_s
            pieces.append(self._report(unit, ticks, clock_offset_s))
        payloads = [payload for nal in unit.nals for payload in fragment(nal)]
        last = len(payloads) - 1
        for number, payload in enumerate(payloads):
            mark = 0x80 if number == last else 0
            pieces.append(
                struct.pack(
                    ">cBHBBHII", b"$", 0, 12 + len(payload), 0x80, 96 | mark, self._number, ticks, self._ssrc
                )
            )
            pieces.append(payload)
            self._number = (self._number + 1) & 0xFFFF
            self._octets += len(payload)
        self._packets += len(payloads)
        return b"".join(pieces)

    def _report(self, unit: Unit, ticks: int, clock_offset_s: float) -> bytes:
        taken_at_s = time.time() - (time.monotonic() - unit.taken_s) + clock_offset_s + NTP_OFFSET_S
        whole = int(taken_at_s)
        body = struct.pack(
            ">BBHIIIIII", 0x80, 200, 6, self._ssrc, whole & 0xFFFFFFFF, int((taken_at_s - whole) * 2**32),
            ticks, self._packets & 0xFFFFFFFF, self._octets & 0xFFFFFFFF,
        )  # fmt: skip
        return struct.pack(">cBH", b"$", 1, len(body)) + body


class Ask:
    """One request: method, address, headers in small letters."""

    __slots__ = ("address", "headers", "method")

    def __init__(self, head: bytes) -> None:
        first, *rest = head.decode("latin-1").split("\r\n")
        self.method, self.address, _version = first.split(" ", 2)
        pairs = (line.partition(":") for line in rest if ":" in line)
        self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}

    @property
    def camera_id(self) -> str:
        """The first part of the path."""
        return re.sub(r"^rtsps?://[^/]*/?", "", self.address).split("/")[0].partition("?")[0]


class RtspServer:
    """All cameras at one port, each at a path of its own: rtsp://host:port/<camera id>."""

    def __init__(self, cameras: dict[str, TownCamera]) -> None:
        self.cameras = cameras
        self.port = 0
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen, once."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, host, port, limit=MAX_HEAD_BYTES)
            self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more, and hang up on everyone."""
        if self._server is not None:
            self._server.close()
            self._server = None
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.current_task()
        assert link is not None
        self._links.add(link)
        conversation = Conversation(self.cameras, reader, writer)
        try:
            with contextlib.suppress(
                asyncio.IncompleteReadError,
                asyncio.LimitOverrunError,
                ConnectionError,
                ValueError,
                TimeoutError,
            ):
                await conversation.talk()
        except asyncio.CancelledError:
            pass  # only `close` does so; asyncio's streams would report it as an error of ours
        finally:
            conversation.end()
            self._links.discard(link)


class Conversation:
    """One viewer's link, from its first request to its end."""

    def __init__(
        self, cameras: dict[str, TownCamera], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._cameras, self._reader, self._writer = cameras, reader, writer
        self._nonce = secrets.token_hex(16)
        self._session = secrets.token_hex(8)
        self._sender = Sender()
        self._camera: TownCamera | None = None
        self._is_set_up = self._has_key = False

    async def talk(self) -> None:
        """Until the viewer hangs up, tears down, or speaks no RTSP (ValueError)."""
        while True:
            async with asyncio.timeout(IDLE_S):
                first = await self._reader.readexactly(1)
                if first == b"$":  # its own reports
                    _, length = struct.unpack(">BH", await self._reader.readexactly(3))
                    await self._reader.readexactly(length)
                    continue
                ask = Ask(first + (await self._reader.readuntil(b"\r\n\r\n"))[:-4])
                length = int(ask.headers.get("content-length", "0"))
                if not 0 <= length <= MAX_BODY_BYTES:
                    raise ValueError("too long")
                await self._reader.readexactly(length)
            camera = self._cameras.get(ask.camera_id)
            if camera is not None and camera.is_mute:
                await asyncio.sleep(IDLE_S)  # nobody is there to answer
                return
            self._answer(ask, camera)
            if ask.method == "TEARDOWN":
                await self._writer.drain()
                return

    def end(self) -> None:
        """Take leave of the camera."""
        if self._camera is not None:
            self._camera.leave(self)
        self._writer.close()

    def cut(self) -> None:
        """As a pulled plug does."""
        self._writer.transport.abort()

    def hear(self, unit: Unit) -> None:
        """Send one unit, from the first keyframe on."""
        self._has_key = self._has_key or unit.is_key
        if not self._has_key or self._camera is None or self._writer.is_closing():
            return
        if self._writer.transport.get_write_buffer_size() > MAX_WAITING_BYTES:
            self.cut()
            return
        self._writer.write(self._sender.pack(unit, self._camera.clock_offset_s))

    def _answer(self, ask: Ask, camera: TownCamera | None) -> None:
        match ask.method:
            case "OPTIONS":
                self._say(ask, 200, f"Public: {METHODS}")
            case _ if camera is None:
                self._say(ask, 404)
            case _ if not self._is_let_in(ask, camera):
                self._say(ask, 401, f'WWW-Authenticate: Digest realm="{REALM}", nonce="{self._nonce}"')
            case "DESCRIBE":
                self._say(
                    ask,
                    200,
                    f"Content-Base: {ask.address}/",
                    "Content-Type: application/sdp",
                    body=sdp(camera),
                )
            case "SETUP" if "TCP" in (wanted := ask.headers.get("transport", "")):
                channels = re.search(r"interleaved=(\d{1,3}-\d{1,3})", wanted)
                self._is_set_up = True
                self._say(
                    ask, 200, f"Session: {self._session};timeout=60",
                    f"Transport: RTP/AVP/TCP;unicast;interleaved={channels[1] if channels else '0-1'}",
                )  # fmt: skip
            case "SETUP":
                self._say(ask, 461)
            case "PLAY" if self._is_set_up:
                if self._camera is None:
                    if not camera.watch(self, self.hear, self.cut):
                        self._say(ask, 453)
                        return
                    self._camera = camera
                self._say(ask, 200, f"Session: {self._session}", "Range: npt=0.000-")
            case "PLAY" | "PAUSE":
                self._say(ask, 455)
            case "GET_PARAMETER" | "TEARDOWN":
                self._say(ask, 200, f"Session: {self._session}")
            case _:
                self._say(ask, 501)

    def _say(self, ask: Ask, status: int, *headers: str, body: bytes = b"") -> None:
        words = {200: "OK", 401: "Unauthorized", 404: "Not Found", 453: "Not Enough Bandwidth",
                 455: "Method Not Valid in This State", 461: "Unsupported Transport",
                 501: "Not Implemented"}[status]  # fmt: skip
        number = re.sub(r"[^0-9]", "", ask.headers.get("cseq", "0"))[:10]
        head = [f"RTSP/1.0 {status} {words}", f"CSeq: {number}", *headers, f"Content-Length: {len(body)}"]
        self._writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)

    def _is_let_in(self, ask: Ask, camera: TownCamera) -> bool:
        """Digest: whoever knows the password, for this request, with the nonce of this link."""
        given = ask.headers.get("authorization", "")
        if not given.startswith("Digest "):
            return False
        said = dict(re.findall(r'(\w+)="?([^",]*)"?', given))
        if said.get("username") != camera.user or said.get("nonce") != self._nonce:
            return False
        secret = _md5(f"{camera.user}:{REALM}:{camera.password}")
        asked = _md5(f"{ask.method}:{said.get('uri', '')}")
        wanted = _md5(f"{secret}:{self._nonce}:{asked}")
        return hmac.compare_digest(wanted, said.get("response", ""))


def sdp(camera: TownCamera) -> bytes:
    """What the camera sends (RFC 4566, RFC 6184)."""
    sps, pps = camera.parameter_sets
    sets = ",".join(base64.b64encode(one).decode() for one in (sps, pps))
    lines = (
        "v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=camera", "t=0 0", "m=video 0 RTP/AVP 96", "c=IN IP4 0.0.0.0",
        f"a=rtpmap:96 H264/{RTP_HZ}",
        f"a=fmtp:96 packetization-mode=1; profile-level-id={sps[1:4].hex()}; sprop-parameter-sets={sets}",
        f"a=framerate:{camera.form.fps}", "a=control:track0",
    )  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n"


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
