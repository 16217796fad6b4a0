"""A browser as camera: any old phone, a tablet on a shelf, a laptop. It films on the page /camera of this installation.

Documentation: W3C MediaStream Recording; ISO/IEC 14496-12 (fragmented MP4). Seen with Chromium 150 of Debian:

| | |
|---|---|
| what comes | H.264 in a fragmented MP4 by MediaRecorder (`video/mp4;codecs=avc1...`), through a WebSocket of ours and a socket of this machine (cameras/feed_socket.py). A browser that can't make it is told so on the page, and never gets here |
| a fragment | lasts from one keyframe to the next, and is given out when that comes. `videoKeyFrameIntervalDuration` of 500 ms is kept, more or less (0.5 to 0.6 s); without it one fragment lasted six seconds and more |
| frames | as many as the browser thinks fit, at uneven distances; those of a fragment come at once |
| a clock | no: what a page would paint into the picture says nothing of the camera. A clock on the wall does |
| when it films | while a recorder listens. Otherwise the page shows its own picture to whoever sets it up, and sends nothing |

Assumed: Safari (iOS 14.3 and later makes H.264 in MP4) keeps to one second a fragment, as it does not know the option.
"""  # noqa: E501 - a table's row is one line

from __future__ import annotations

from pathlib import Path

from unlatch.cameras.base import Camera, CameraMaker, Session
from unlatch.cameras.fed import FedSession
from unlatch.cameras.feed_socket import FeedSource
from unlatch.errors import CameraUnreachable


class BrowserCamera(CameraMaker):
    """A page that films. `Camera.address` is the socket of its feed (`feed_socket.feed_path`)."""

    name = "browser"
    label = "A browser (any old phone)"
    form_fields = ()
    bunch_s = 0.5

    def open(self, camera: Camera) -> Session:
        path = Path(camera.address)
        if not path.is_absolute():
            raise CameraUnreachable("a browser's camera has no feed yet", code="not_found")
        return FedSession(FeedSource(path))
