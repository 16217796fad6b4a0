"""Home Assistant's camera: whatever camera the hub of a home shows, through the hub.

Documentation: developers.home-assistant.io/docs/api/websocket and .../core/entity/camera; what it leaves open was read in
the source of homeassistant 2025.4.4 (components/camera, components/stream), not run. Authorization: a long-lived access
token of a user made for Unlatch; the entity of the camera is a field of the form.

| | |
|---|---|
| the way | WebSocket `camera/stream` -> the path of a playlist, whose token alone lets in; then low-latency HLS: fragmented MP4, not transcoded (components/stream). `camera_proxy_stream` is MJPEG, which we don't record |
| what it needs | a camera with a stream source (most are RTSP) that sends H.264; the integration `stream` with `ll_hls`, which is its default. Without it whole segments come, two seconds late and more: refused, `too_slow` |
| a part | lasts one second by default, so frames come in bunches of one second, and a proof takes up to a second longer |
| delay | a part's second and what the hub's own buffer adds: one to two seconds, assumed. A camera's clock is judged with it |
| beginning | the first part after the stream was asked for takes as long as the hub needs to connect; from the second try on it runs, since the hub keeps it for 300 s |
| a break | the hub connects to its camera again, and says so in the playlist: a new session here, and a gap |
| a clock | the camera's own is not told. The playlist's times are the hub's, when it heard a segment's beginning |

The address is judged as that of a lock's hub is, and libavformat connects to nothing (cameras/hub_line.py).
"""  # noqa: E501 - a table's row is one line

from __future__ import annotations

import re

from unlatch.cameras.base import OPEN_S, Camera, CameraMaker, FormField, Session
from unlatch.cameras.fed import FedSession
from unlatch.cameras.hls import HlsSource
from unlatch.cameras.hub_line import HubLine
from unlatch.clock import monotonic_s
from unlatch.errors import CameraUnreachable

ENTITY = re.compile(r"camera\.[a-z0-9_]{1,190}")
PLAYLIST = re.compile(r"(/api/hls/[0-9a-f]{16,128})/(?:master_)?playlist\.m3u8")


class HomeAssistantCamera(CameraMaker):
    """A camera behind the hub of its home. `Camera.address` is the hub's."""

    name = "home_assistant"
    label = "Home Assistant"
    schemes = ("https", "http")
    bunch_s = 1.0
    form_fields = (
        FormField(
            name="access_token",
            is_needed=True,
            max_length=1024,
            meaning="a long-lived token of a user who may see this camera alone",
        ),
        FormField(name="entity", is_secret=False, is_needed=True, pattern=ENTITY.pattern),
    )

    def open(self, camera: Camera) -> Session:
        until_s = monotonic_s() + OPEN_S
        entity = camera.secrets.get("entity", "")
        if not ENTITY.fullmatch(entity):
            raise CameraUnreachable("give the entity of the camera, like camera.hall", code="not_found")
        line = HubLine(camera.address, allows_private=camera.allows_private)
        try:
            result = line.ask_over_websocket(
                "/api/websocket",
                camera.secrets.get("access_token", ""),
                {"type": "camera/stream", "entity_id": entity, "format": "hls"},
                until_s=until_s,
            )
            return FedSession(HlsSource(line, _folder_of(result), until_s))
        except BaseException:
            line.close()
            raise


def _folder_of(result: dict[str, object]) -> str:
    """Where the stream is, on the same hub. Raises CameraUnreachable."""
    if result.get("success") is not True:
        error = result.get("error")
        code = error.get("code") if isinstance(error, dict) else None
        if code == "unauthorized":
            raise CameraUnreachable("this user of the hub may not see the camera", code="not_let_in")
        raise CameraUnreachable("the hub has no stream of this camera", code="not_found")
    told = result.get("result")
    url = told.get("url") if isinstance(told, dict) else None
    found = PLAYLIST.fullmatch(url) if isinstance(url, str) else None
    if found is None:
        raise CameraUnreachable("the hub leads elsewhere with its stream", code="not_found")
    return found[1]
