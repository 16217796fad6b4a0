"""What a home's hub makes of the camera in its hall: Home Assistant's stream, as low-latency HLS, and a still picture.

As homeassistant 2025.4.4 does it (components/stream: hls.py, core.py, worker.py, const.py; read, not run):

* WebSocket `camera/stream` -> {"url": "/api/hls/{token}/master_playlist.m3u8"}. The token alone lets in; it lasts until
  the stream is stopped, which is 300 s after nobody asked any more.
* Nothing is transcoded. A segment begins with a keyframe and lasts at least 5.9 s; a part is a fragment of 1 s. Five
  segments are kept, three of them in the playlist, with their parts.
* playlist.m3u8 waits with `_HLS_msn` and `_HLS_part` until that part is there: 400 if it is too far ahead, 404 after
  twice a part's length. Without them it waits for the second segment. segment/{n}.{m}.m4s waits likewise for the part
  that was hinted at, and is 416 beyond it.
* A source that ends is connected to again; what follows bears EXT-X-DISCONTINUITY, and has a head of its own.
* GET /api/camera_proxy/{entity}: one picture as JPEG, with the token of the API.

Not here: /api/camera_proxy_stream (MJPEG), since nothing of ours reads it; compression of playlists.
"""

from __future__ import annotations

import asyncio
import io
import secrets
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction

import av
from av.container import OutputContainer
from av.video.stream import VideoStream
from PIL import Image

from unlatch.clock import monotonic_s
from unlatch.town.camera import TownCamera
from unlatch.town.film import RTP_HZ, Unit, decode
from unlatch.town.wire import Answer, Request

PART_S = 1.0
SEGMENT_S = 5.9  # at least; then the next keyframe begins another
MOST_SEGMENTS, SHOWN_SEGMENTS = 5, 3
MOST_AHEAD = 3  # parts
WAITS_S = 2 * PART_S
IDLE_S = 300.0
PICTURE_WITHIN_S = 10.0
AGAIN_S = 1.0  # after a source has ended
PLAYLIST, INIT, SEGMENT = b"application/vnd.apple.mpegurl", b"video/mp4", b"video/iso.segment"
MOVFLAGS = "empty_moov+default_base_moof+frag_keyframe+frag_discont+skip_trailer"
NOT_FOUND = Answer(404, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part: a moof with its mdat."""

    data: bytes
    lasts_s: float
    has_key: bool


@dataclass(slots=True, kw_only=True)
class Stretch:
    """A segment."""

    number: int
    head: bytes
    stream: int  # another one after each time that the source has ended
    begun_at: datetime
    parts: list[Piece] = field(default_factory=list)
    is_whole: bool = False

    @property
    def lasts_s(self) -> float:
        return sum(part.lasts_s for part in self.parts)


class _Sink:
    """Where libavformat writes to."""

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, content: bytes) -> int:
        self.content += content
        return len(content)

    def take(self) -> bytes:
        content = bytes(self.content)
        self.content.clear()
        return content


class _Muxer:
    """Makes fragments of one second of a run of units; the units that are not given out yet are under way."""

    def __init__(self, first: Unit) -> None:
        self._sink = _Sink()
        with av.open(io.BytesIO(_annex_b(first)), "r", format="h264") as template:
            options = {"movflags": MOVFLAGS, "frag_duration": str(int(PART_S * 1_000_000))}
            self._out: OutputContainer = av.open(self._sink, "w", format="mp4", options=options)
            self._stream: VideoStream = self._out.add_stream_from_template(template.streams.video[0])
        self._begun_s = first.taken_s
        self._waiting: deque[Unit] = deque()
        self.head = b""

    def add(self, unit: Unit) -> Piece | None:
        """The part that is complete now that this unit is here."""
        packet = av.Packet(_annex_b(unit))
        packet.pts = packet.dts = round((unit.taken_s - self._begun_s) * RTP_HZ)
        packet.time_base, packet.is_keyframe = Fraction(1, RTP_HZ), unit.is_key
        packet.stream = self._stream
        self._out.mux(packet)
        content = self._sink.take()
        if not self.head:
            self.head, content = content, b""
        self._waiting.append(unit)
        if not content:
            return None
        done = [self._waiting.popleft() for _ in range(len(self._waiting) - 1)]
        return Piece(
            data=content, lasts_s=unit.taken_s - done[0].taken_s, has_key=any(one.is_key for one in done)
        )

    def close(self) -> None:
        """What is under way is lost."""
        self._out.close()


def _annex_b(unit: Unit) -> bytes:
    return b"".join(b"\0\0\0\1" + nal for nal in unit.nals)


class HubStream:
    """The stream of one camera. Used from the town's event loop; runs while somebody asks for it."""

    def __init__(self, camera: TownCamera) -> None:
        self.token = secrets.token_hex()
        self._camera = camera
        self._segments: deque[Stretch] = deque(maxlen=MOST_SEGMENTS)
        self._news = asyncio.Event()
        self._muxer: _Muxer | None = None
        self._number = -1
        self._stream = 0
        self._run: list[Unit] = []  # from the last keyframe on, for a still picture
        self._asked_s = monotonic_s()
        self._task = asyncio.create_task(self._watch())

    @property
    def is_over(self) -> bool:
        """Nobody has asked for long."""
        return self._task.done()

    def close(self) -> None:
        """The end."""
        self._task.cancel()
        self._hang_up()

    # ---- what comes from the camera ---------------------------------------------------------------------

    async def _watch(self) -> None:
        """Connect, and connect again, until nobody asks any more."""
        while monotonic_s() - self._asked_s < IDLE_S:
            if self._muxer is None and not self._run and not self._camera.is_mute:
                self._camera.leave(self)
                self._camera.watch(self, self._hear, self._cut)
            await asyncio.sleep(AGAIN_S)
        self._hang_up()

    def _hang_up(self) -> None:
        self._camera.leave(self)
        self._cut()

    def _cut(self) -> None:
        """The source has ended; HA lets the last segment end there."""
        self._camera.leave(self)
        if self._segments:
            if self._segments[-1].parts:
                self._segments[-1].is_whole = True
            else:
                self._segments.pop()
        if self._muxer is not None:
            self._muxer.close()
            self._stream += 1
        self._muxer, self._run = None, []
        self._tell()

    def _hear(self, unit: Unit) -> None:
        if self._muxer is None:
            if not unit.is_key:
                return
            self._muxer = _Muxer(unit)
            self._number += 1
            self._begin_segment(b"")
        if unit.is_key:
            self._run = []
            self._tell()
        self._run.append(unit)
        piece = self._muxer.add(unit)
        segment = self._segments[-1]
        segment.head = segment.head or self._muxer.head
        if piece is None:
            return
        segment.parts.append(piece)
        if unit.is_key and segment.lasts_s >= SEGMENT_S:
            segment.is_whole = True
            self._number += 1
            self._begin_segment(self._muxer.head)
        self._tell()

    def _begin_segment(self, head: bytes) -> None:
        stretch = Stretch(number=self._number, head=head, stream=self._stream, begun_at=datetime.now(UTC))
        self._segments.append(stretch)

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    # ---- what is asked ----------------------------------------------------------------------------------

    async def serve(self, request: Request, rest: list[str]) -> Answer:
        """/api/hls/{token}/..."""
        self._asked_s = monotonic_s()
        match rest:
            case ["master_playlist.m3u8"]:
                return _give(b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000000\nplaylist.m3u8\n", PLAYLIST)
            case ["playlist.m3u8"]:
                return await self._playlist(request.query)
            case ["init.mp4"] if self._segments and self._segments[0].head:
                return _give(self._segments[0].head, INIT)
            case ["segment", name] if name.endswith(".m4s"):
                number, _, part = name.removesuffix(".m4s").partition(".")
                if number.isdecimal() and (part.isdecimal() or not part):
                    return await self._segment(int(number), int(part) if part else None)
        return NOT_FOUND

    async def picture(self) -> bytes | None:
        """The last picture as JPEG, waited for; None where there is none."""
        until_s = monotonic_s() + PICTURE_WITHIN_S
        while not self._run and await self._wait(until_s - monotonic_s()):
            pass
        pictures = list(decode(self._run))
        if not pictures:
            return None
        frame = av.VideoFrame.from_ndarray(pictures[-1], format="yuv420p")
        out = io.BytesIO()
        Image.fromarray(frame.to_ndarray(format="rgb24")).save(out, "JPEG", quality=85)
        return out.getvalue()

    async def _playlist(self, query: dict[str, str]) -> Answer:
        number, part = query.get("_HLS_msn"), query.get("_HLS_part")
        if (number is None and part is not None) or not (number or "0").isdecimal():
            return Answer(400, None)
        wanted = int(number or 0)
        if wanted > self._number + 2:
            return Answer(400, None)
        wanted_part = -1 if part is None else int(part) if part.isdecimal() else 0
        wanted += part is None
        while wanted > self._number or not self._segments:
            if not await self._wait(WAITS_S if number is not None else None):
                return NOT_FOUND
        last = self._segments[-1]
        if wanted == last.number and wanted_part >= len(last.parts) - 1 + MOST_AHEAD:
            return Answer(400, None)
        while (
            self._segments
            and wanted == self._segments[-1].number
            and wanted_part >= len(self._segments[-1].parts)
        ):
            if not await self._wait(WAITS_S):
                return NOT_FOUND
        return _give(self._written().encode(), PLAYLIST)

    async def _segment(self, number: int, part: int | None) -> Answer:
        found = self._find(number)
        if found is None and (not await self._wait(WAITS_S) or (found := self._find(number)) is None):
            return NOT_FOUND
        if part is None:
            return _give(b"".join(one.data for one in found.parts), SEGMENT)
        if part == len(found.parts):
            await self._wait(WAITS_S)
        return _give(found.parts[part].data, SEGMENT) if part < len(found.parts) else Answer(416, None)

    def _find(self, number: int) -> Stretch | None:
        return next((one for one in self._segments if one.number == number), None)

    async def _wait(self, within_s: float | None) -> bool:
        try:
            async with asyncio.timeout(within_s):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    def _written(self) -> str:
        shown = list(self._segments)[-SHOWN_SEGMENTS - 1 :]
        shown = shown[-SHOWN_SEGMENTS:] if shown[-1].is_whole else shown
        lines = [
            "#EXTM3U",
            "#EXT-X-VERSION:6",
            "#EXT-X-INDEPENDENT-SEGMENTS",
            '#EXT-X-MAP:URI="init.mp4"',
            f"#EXT-X-TARGETDURATION:{SEGMENT_S:.0f}",
            f"#EXT-X-MEDIA-SEQUENCE:{shown[0].number}",
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{shown[0].stream}",
            f"#EXT-X-PART-INF:PART-TARGET={PART_S:.3f}",
            f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={2 * PART_S:.3f}",
            f"#EXT-X-START:TIME-OFFSET=-{2 * PART_S:.3f},PRECISE=YES",
        ]
        stream = shown[0].stream
        for one in shown:
            if one.stream != stream:
                lines.append("#EXT-X-DISCONTINUITY")
            stream = one.stream
            lines += _lines_of(one)
        last = shown[-1]
        hinted = (last.number + 1, 0) if last.is_whole else (last.number, len(last.parts))
        lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="./segment/{hinted[0]}.{hinted[1]}.m4s"')
        return "\n".join(lines) + "\n"


def _lines_of(one: Stretch) -> list[str]:
    lines = [
        f'#EXT-X-PART:DURATION={part.lasts_s:.3f},URI="./segment/{one.number}.{number}.m4s"'
        + (",INDEPENDENT=YES" if part.has_key else "")
        for number, part in enumerate(one.parts)
    ]
    if one.is_whole:
        lines += [
            f"#EXT-X-PROGRAM-DATE-TIME:{one.begun_at:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z",
            f"#EXTINF:{one.lasts_s:.3f},",
            f"./segment/{one.number}.m4s",
        ]
    return lines


def _give(content: bytes, media_type: bytes) -> Answer:
    return Answer(200, headers=((b"content-type", media_type),), content=content)
