"""From a recorder to the hub of a home, at an address that a consignee typed: HTTP and one WebSocket, blocking.

What devices/hubs.py does for locks, for the thread of one camera: the name is resolved by us, each of its addresses is
judged (outward.py), and the connection goes to exactly that one; TLS asks for the name; no redirect is followed; every
answer has its largest size and its latest moment. libavformat never connects by itself.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from websockets.exceptions import InvalidHandshake, WebSocketException
from websockets.sync.client import ClientConnection, connect

from unlatch.clock import monotonic_s
from unlatch.errors import BadInput, CameraUnreachable
from unlatch.outward import AddressRefused, check_hub_address, choose_hosts

LARGEST_MESSAGE_BYTES = 64 * 1024
MOST_MESSAGES = 64  # until the answer that we wait for
READ_BYTES = 65_536
SHORTEST_S = 0.01


class HubLine:
    """One hub. Used by one thread; every wait ends at the moment that its caller names (monotonic seconds)."""

    def __init__(self, address: str, *, allows_private: bool) -> None:
        """Raises CameraUnreachable (not_found) where no hub may be there; asks nobody yet."""
        try:
            self._parts = urlsplit(check_hub_address(address, allows_private=allows_private))
        except BadInput as error:
            raise CameraUnreachable(
                f"the hub's address can't be used: {error.remedy}", code="not_found"
            ) from None
        self._allows_private = allows_private
        self._http: HTTPConnection | None = None

    @property
    def path(self) -> str:
        """What stands before every path of this hub."""
        return self._parts.path

    def close(self) -> None:
        """Hang up."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def get(self, path: str, *, most_bytes: int, until_s: float) -> tuple[int, bytes]:
        """Status and body of what stands there. A connection that was closed meanwhile is made anew once.

        Raises CameraUnreachable: silent where nothing came in time.
        """
        is_kept = self._http is not None
        try:
            return self._ask(path, most_bytes, until_s)
        except (HTTPException, OSError) as error:
            self.close()
            if is_kept and not isinstance(error, TimeoutError):
                return self.get(path, most_bytes=most_bytes, until_s=until_s)
            code = "silent" if isinstance(error, TimeoutError) else "cut"
            raise CameraUnreachable(f"the hub does not answer: {code}", code=code) from None

    def ask_over_websocket(
        self, path: str, token: str, question: dict[str, Any], *, until_s: float
    ) -> dict[str, Any]:
        """Sign in at Home Assistant's WebSocket, ask one thing, and hang up; its result. Raises CameraUnreachable."""
        wanted = "ws" + self._parts.geturl().removeprefix("http") + path
        tls: dict[str, Any] = {"ssl": self._context(), "server_hostname": self._host} if self._is_tls else {}
        line = self._connect(until_s, is_raw=True)
        try:
            with connect(
                wanted, sock=line, proxy=None, compression=None, max_size=LARGEST_MESSAGE_BYTES,
                open_timeout=max(SHORTEST_S, until_s - monotonic_s()), close_timeout=0.2, **tls,
            ) as talk:  # fmt: skip
                hear(talk, {"auth_required"}, until_s)
                talk.send(json.dumps({"type": "auth", "access_token": token}))
                if hear(talk, {"auth_ok", "auth_invalid"}, until_s)["type"] == "auth_invalid":
                    raise CameraUnreachable("the hub does not take this token", code="not_let_in")
                talk.send(json.dumps({"id": 1, **question}))
                return hear(talk, {"result"}, until_s)
        except TimeoutError:
            raise CameraUnreachable("the hub does not answer in time", code="unreachable") from None
        except InvalidHandshake:
            raise CameraUnreachable("no hub answers at this address", code="not_found") from None
        except (WebSocketException, OSError):
            raise CameraUnreachable("the hub has hung up", code="unreachable") from None
        finally:
            line.close()

    # ---- below ------------------------------------------------------------------------------------------

    @property
    def _host(self) -> str:
        return self._parts.hostname or ""

    @property
    def _is_tls(self) -> bool:
        return self._parts.scheme == "https"

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def _connect(self, until_s: float, *, is_raw: bool = False) -> socket.socket:
        """A connection to an address that was judged. Raises CameraUnreachable."""
        port = self._parts.port or (443 if self._is_tls else 80)
        try:
            found = socket.getaddrinfo(self._host, port, type=socket.SOCK_STREAM)
            hosts = choose_hosts((str(one[4][0]) for one in found), allows_private=self._allows_private)
        except AddressRefused:
            raise CameraUnreachable("the hub's name leads where no hub may be", code="not_found") from None
        except OSError:
            raise CameraUnreachable("no such name is known now", code="unreachable") from None
        refused = False
        for host in hosts:
            try:
                raw = socket.create_connection((host, port), timeout=max(SHORTEST_S, until_s - monotonic_s()))
            except ConnectionRefusedError:
                refused = True
                continue
            except OSError:
                continue
            if is_raw or not self._is_tls:
                return raw
            try:
                return self._context().wrap_socket(raw, server_hostname=self._host)
            except OSError:
                raw.close()
                raise CameraUnreachable(
                    "the hub shows no certificate that we trust", code="unreachable"
                ) from None
        code = "refused" if refused else "unreachable"
        raise CameraUnreachable("nothing answers at the hub's address", code=code)

    def _ask(self, path: str, most_bytes: int, until_s: float) -> tuple[int, bytes]:
        """Raises HTTPException, OSError, TimeoutError."""
        if self._http is None:
            connection = HTTPConnection(self._host)
            connection.sock = self._connect(until_s)
            self._http = connection
        line = self._http.sock
        line.settimeout(max(SHORTEST_S, until_s - monotonic_s()))
        self._http.request("GET", self.path + path, headers={"host": self._parts.netloc})
        response = self._http.getresponse()
        try:
            body = _read(response, line, most_bytes, until_s)
        finally:
            response.close()  # else it is not known that it was read to its end
        if response.will_close:
            self.close()
        return response.status, body


def _read(response: HTTPResponse, line: socket.socket, most_bytes: int, until_s: float) -> bytes:
    """The body, not longer than allowed and not later."""
    body = bytearray()
    while True:
        line.settimeout(max(SHORTEST_S, until_s - monotonic_s()))
        chunk = response.read1(READ_BYTES)
        if not chunk:
            return bytes(body)
        body += chunk
        if len(body) > most_bytes:
            raise CameraUnreachable("the hub's answer is too large", code="too_large")
        if monotonic_s() > until_s:
            raise TimeoutError


def hear(talk: ClientConnection, kinds: set[str], until_s: float) -> dict[str, Any]:
    """The next message of one of these kinds. Raises CameraUnreachable, TimeoutError."""
    for _ in range(MOST_MESSAGES):
        text = talk.recv(timeout=max(SHORTEST_S, until_s - monotonic_s()))
        with contextlib.suppress(ValueError, RecursionError):
            message = json.loads(text)
            if isinstance(message, dict) and message.get("type") in kinds:
                return message
    raise CameraUnreachable("the hub says something else", code="unreachable")
