"""A browser for tests that are not about one: films without a wire, as fragments of several frames, over its socket."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from tests.cameras.street import FORM, FPS, paint

from unlatch.cameras.feed_socket import FeedLine
from unlatch.town.film import Format
from unlatch.town.hall import View

PER_FRAGMENT = 5  # frames: half a second


def fragments(
    count: int, *, form: Format = FORM, codec: str = "libx264", view: View | None = None
) -> list[bytes]:
    """The head, then `count` fragments of several frames each, as a browser makes them: each from a keyframe on."""
    out = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    with av.open(out, "w", format="mp4", options=options) as container:
        stream = container.add_stream(codec, rate=form.fps)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = form.width, form.height, "yuv420p"
        stream.time_base = Fraction(1, 90_000)
        if codec == "libx264":
            stream.options = {
                "preset": "ultrafast",
                "tune": "zerolatency",
                "g": str(PER_FRAGMENT),
                "keyint_min": "1",
            }
        for number in range(count * PER_FRAGMENT):
            picture = (
                paint(number, view)
                if form is FORM
                else np.full((form.height * 3 // 2, form.width), 99, np.uint8)
            )
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, form.fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return split(out.getvalue())


def split(content: bytes) -> list[bytes]:
    """The head (ftyp and moov), then each moof with its mdat."""
    pieces, at, begin = [], 0, 0
    while at < len(content):
        size, kind = int.from_bytes(content[at : at + 4]), content[at + 4 : at + 8]
        at += size
        if kind in (b"moov", b"mdat"):
            pieces.append(content[begin:at])
            begin = at
    return pieces


@contextmanager
def feeding(
    path: Path, pieces: list[bytes], *, pace_s: float = PER_FRAGMENT / FPS
) -> Iterator[threading.Event]:
    """Sends these to whoever listens there, each as it would come; again from the first for whoever listens next."""
    is_over = threading.Event()

    async def send() -> None:
        while not is_over.is_set():
            line = await FeedLine.find(path, time.time_ns())
            if line is None:
                await asyncio.sleep(0.02)
                continue
            try:
                for piece in pieces:
                    if is_over.is_set() or not await line.write(piece):
                        break
                    await asyncio.sleep(pace_s if piece[4:8] == b"moof" else 0)
            finally:
                await line.close()

    thread = threading.Thread(target=lambda: asyncio.run(send()))
    thread.start()
    try:
        yield is_over
    finally:
        is_over.set()
        thread.join(10)
