"""Any camera that speaks RTSP with H.264, as every camera of the ONVIF profiles S and T does.

Documentation: RFC 2326 (RTSP), RFC 6184 (H.264 over RTP), RFC 3550 (reports with the camera's clock). Read through
PyAV (libavformat 62), over one TCP link; user and password by digest or basic authentication.

What libavformat does that nobody would guess, each seen here and tried by the tests:

- A link that is cut ends the loop over packets without an exception.
- A time-out strikes after twice its value: the read is begun again once. One second is given for two, and whoever
  uses a session keeps a timer of its own beside it.
- Without options it looks at three seconds of the stream before the first packet; with `fflags=nobuffer` it then
  throws these away, keyframe and all. With `probesize=32` it opens in two frames and loses none.
- The first packet has no time at all; later ones count from it.
- Every packet comes one frame late, since the parser waits for the next one to know its end.
- Its messages hold the address with user and password.

The address was typed by a stranger (outward.py): its name is resolved by us, each of its addresses is judged, and
libavformat is given the first of them, so that a name that changes its mind leads nowhere else. What it can't be kept
from is to follow a camera's own redirect (RTSP 3xx): a host of ours that this leads to is asked for RTSP.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

import av
from av.container import InputContainer
from av.error import ConnectionRefusedError as Refused
from av.error import (
    FFmpegError,
    HTTPForbiddenError,
    HTTPNotFoundError,
    HTTPUnauthorizedError,
)

from unlatch.cameras.base import (
    MAX_FRAME_BYTES,
    OPEN_S,
    SILENT_S,
    Camera,
    CameraMaker,
    Coded,
    FormField,
    Session,
    video_of,
)
from unlatch.clock import monotonic_s
from unlatch.errors import CameraUnreachable
from unlatch.outward import AddressRefused, choose_hosts, find_literal

OPTIONS = {
    "rtsp_transport": "tcp",
    "timeout": str(round(SILENT_S * 500_000)),  # microseconds
    "probesize": "32",
    "analyzeduration": "0",
    "allowed_media_types": "video",
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_ADDRESS = 2048
CLOCK_EVERY_S = 0.5  # the camera says anew what its clock shows; between, that goes as ours does


class RtspCamera(CameraMaker):
    """RTSP over TCP."""

    name = "rtsp"
    label = "RTSP (any ONVIF camera)"
    schemes = ("rtsps", "rtsp")
    form_fields = (
        FormField(name="user", is_secret=False),
        FormField(name="password"),
    )

    def open(self, camera: Camera) -> Session:
        address = _address_of(camera)
        try:
            container = av.open(address, "r", options=dict(OPTIONS), timeout=(OPEN_S, None))
        except FFmpegError as error:
            raise _unreachable(error) from None
        try:
            return RtspSession(container)
        except BaseException:
            container.close()
            raise


class RtspSession(Session):
    """One RTSP session."""

    can_wait = True

    def __init__(self, container: InputContainer) -> None:
        self._container = container
        self.video = video_of(container)

    def read(self) -> Iterator[Coded]:
        has_key, told_s = False, float("-inf")
        try:
            for packet in self._container.demux(self.video):
                if packet.size > MAX_FRAME_BYTES:
                    raise CameraUnreachable("the camera's frames are too large", code="too_large")
                has_key = has_key or packet.is_keyframe
                if not packet.size or not has_key:
                    continue
                if packet.pts is None:
                    packet.pts = packet.dts if packet.dts is not None else 0
                if packet.dts is None:
                    packet.dts = packet.pts
                received_s, taken_at = monotonic_s(), None
                if received_s - told_s >= CLOCK_EVERY_S and packet.has_sidedata("prft"):
                    told_s = received_s
                    (since_epoch_us,) = struct.unpack_from("=q", bytes(packet.get_sidedata("prft")))
                    taken_at = EPOCH + timedelta(microseconds=since_epoch_us)
                yield Coded(packet=packet, received_s=received_s, taken_at=taken_at)
        except FFmpegError as error:
            is_silent = isinstance(error, (av.error.ExitError, av.error.TimeoutError))
            code = "silent" if is_silent else "cut"
            raise CameraUnreachable(f"the camera's stream ended: {code}", code=code) from None
        raise CameraUnreachable("the camera's stream ended: cut", code="cut")

    def close(self) -> None:
        with contextlib.suppress(FFmpegError):
            self._container.close()


def _address_of(camera: Camera) -> str:
    """The address with user and password, as libavformat wants them, its host by number. Raises CameraUnreachable."""
    parts = SplitResult("", "", "", "", "")
    is_good = False
    with contextlib.suppress(ValueError):
        parts = urlsplit(camera.address)
        is_good = parts.scheme in ("rtsp", "rtsps") and bool(parts.hostname) and parts.port != 0
    if not is_good or len(camera.address) > MAX_ADDRESS or not camera.address.isprintable():
        raise CameraUnreachable("give an address like rtsp://camera.example:554/stream", code="not_found")
    host, port = _find_host(parts.hostname or "", camera.allows_private), parts.port
    place = f"[{host}]" if ":" in host else host
    place = place if port is None else f"{place}:{port}"
    if user := camera.secrets.get("user"):
        place = f"{quote(user, safe='')}:{quote(camera.secrets.get('password', ''), safe='')}@{place}"
    return urlunsplit(parts._replace(netloc=place))


def _find_host(name: str, allows_private: bool) -> str:
    """Where the name leads, if we may go there. Blocks. Raises CameraUnreachable."""
    try:
        if find_literal(name) is not None:
            return choose_hosts([name], allows_private=allows_private)[0]
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        return choose_hosts((str(one[4][0]) for one in found), allows_private=allows_private)[0]
    except AddressRefused:
        raise CameraUnreachable("the camera's address leads where none may be", code="not_found") from None
    except (OSError, UnicodeError):
        raise CameraUnreachable("the camera's name is not known now", code="unreachable") from None


def _unreachable(error: FFmpegError) -> CameraUnreachable:
    """What is known now, in our words."""
    match error:
        case HTTPUnauthorizedError() | HTTPForbiddenError():
            return CameraUnreachable("the camera does not take this user and password", code="not_let_in")
        case HTTPNotFoundError():
            return CameraUnreachable("the camera has no stream at this path", code="not_found")
        case Refused():
            return CameraUnreachable("nothing listens at the camera's address", code="refused")
    return CameraUnreachable("the camera does not answer", code="unreachable")
