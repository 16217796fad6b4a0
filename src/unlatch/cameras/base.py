"""The contract between Unlatch and a camera.

A session gives coded frames as they come, each with the moment at which it was here and, if the camera tells it, with
what the camera's own clock showed when it took the picture. Nothing is decoded and nothing is transcoded on the way.

A session that can't be had, or ends, raises `CameraUnreachable`. The code of an error is one of these words: not_found,
not_let_in, refused, unreachable (before the first frame); cut, silent (after it); no_video, codec, too_large
(what it sends is of no use to us); too_slow (it comes seconds late); full, disk (ours); too_long (a take); damaged;
busy, closed (the recorder).

No address, user or password of a camera stands in any message: libraries write them into theirs, so theirs are never
passed on.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self

from av.video.codeccontext import VideoCodecContext
from PIL import Image

from unlatch.errors import CameraUnreachable

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

SILENT_S = 2.0  # without a frame: the camera counts as lost
OPEN_S = 5.0
SNAPSHOT_S = 8.0
MAX_FRAME_BYTES = 4 * 1024 * 1024
MAX_WIDTH, MAX_HEIGHT = 1920, 1088
CODECS = frozenset({"h264"})  # what every browser plays


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A linked camera. Its text never shows where it is or what opens it."""

    maker: str
    address: str = field(repr=False)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)  # see the maker's form_fields
    allows_private: bool = False  # it may be in a private network: the setting UNLATCH_PRIVATE_HUBS


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """One thing that a camera's link must carry for this maker, kept in `Camera.secrets` under `name`."""

    name: str
    is_secret: bool = True
    is_needed: bool = False
    max_length: int = 256
    pattern: str | None = None  # what the whole value must match; None: any printable text
    meaning: str = ""  # for whoever fills in the form, where the name alone does not say it

    @property
    def is_required(self) -> bool:
        """As `devices/base.py` calls it."""
        return self.is_needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """One coded frame as it came."""

    packet: Packet[VideoStream]
    received_s: float  # clock.monotonic_s()
    taken_at: datetime | None  # by the camera's own clock; None: it does not tell


class Session(ABC):
    """One open connection to a camera, used by one thread."""

    video: VideoStream
    can_wait: ClassVar[bool] = False  # what has come is held by the kernel, and read as fast as one wants

    @abstractmethod
    def read(self) -> Iterator[Coded]:
        """Frames in the order in which they are decoded, from a keyframe on; ends only by raising CameraUnreachable."""

    @abstractmethod
    def close(self) -> None:
        """Hang up. May be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class CameraMaker(ABC):
    """One kind of camera. Subclasses live one per file in `makers/`."""

    name: ClassVar[str]  # the word in rows and addresses: "rtsp"
    label: ClassVar[str]  # as people know it
    form_fields: ClassVar[tuple[FormField, ...]]
    schemes: ClassVar[tuple[str, ...]] = ()  # of the address that is typed, the best first; empty: none is
    bunch_s: ClassVar[float] = 0.0  # its frames come in bunches that last so long: a proof waits for one more

    @abstractmethod
    def open(self, camera: Camera) -> Session:
        """Connect, within OPEN_S; blocks. Raises CameraUnreachable."""

    def snapshot(self, camera: Camera) -> bytes:
        """One picture as JPEG, without metadata, within SNAPSHOT_S; blocks. Raises CameraUnreachable."""
        with self.open(camera) as session:
            decoder = decoder_of(session.video)
            for coded in session.read():
                for frame in decoder.decode(coded.packet):
                    out = io.BytesIO()
                    Image.fromarray(frame.to_ndarray(format="rgb24")).save(out, "JPEG", quality=85)
                    return out.getvalue()
        raise AssertionError("a session ends by raising")


def video_of(container: InputContainer) -> VideoStream:
    """The stream of a container that we can record. Raises CameraUnreachable, with the remedy."""
    if not container.streams.video:
        raise CameraUnreachable("the camera sends no video", code="no_video")
    video = container.streams.video[0]
    context = video.codec_context
    if context.name not in CODECS:
        raise CameraUnreachable(f"the camera sends {context.name}: set it to H.264", code="codec")
    if not (context.width and context.height):  # someone is there, and sends nothing
        raise CameraUnreachable("the camera sends no picture", code="unreachable")
    if context.width > MAX_WIDTH or context.height > MAX_HEIGHT:
        raise CameraUnreachable(
            f"the camera's picture is {context.width} by {context.height}: "
            f"set it to at most {MAX_WIDTH} by {MAX_HEIGHT}",
            code="too_large",
        )
    return video


def decoder_of(video: VideoStream) -> VideoCodecContext:
    """A decoder for that stream, in one thread (that of whoever calls it)."""
    decoder = VideoCodecContext.create(video.codec_context.name, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.extradata = video.codec_context.extradata
    decoder.thread_count = 1
    return decoder
