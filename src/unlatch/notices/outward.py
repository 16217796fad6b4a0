"""POST to an address that somebody else has chosen, without becoming their way into our network.

A consignee's browser names its push service, a carrier its webhook. So: https alone, no redirects, no answer longer
than a few kilobytes is read, and a name is resolved by us and connected to by number, so that what was checked is what
is spoken to. Addresses that are not of the public Internet are refused, unless the operator allows them (the simulated
town lives on the loopback): then http is allowed too.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpcore

from unlatch.notices.base import NotDelivered

ANSWER_WITHIN_S = 10.0
CONNECT_WITHIN_S = 5.0
MAX_ANSWER_BYTES = 4096
MAX_URL = 2048
CONNECTIONS_MAX = 64
KEPT_ALIVE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, its body cut."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def find_fault(url: str, *, may_be_private: bool) -> str | None:
    """What is wrong with an address, before any name is resolved; None: nothing that can be seen."""
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        return f"give an address of at most {MAX_URL} ASCII characters"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "this is no address"
    if parts.scheme != "https" and not (may_be_private and parts.scheme == "http"):
        return "give an address that begins with https://"
    if not parts.hostname or "@" in parts.netloc or parts.fragment or port == 0:
        return "give an address like https://example.org/path, without a name, a password or a fragment"
    if may_be_private:
        return None
    try:
        is_public = ipaddress.ip_address(parts.hostname.strip("[]")).is_global
    except ValueError:
        is_public = "." in parts.hostname and not parts.hostname.endswith(
            (".local", ".internal", ".localhost")
        )
    return None if is_public else "give an address of the public Internet"


def is_public(address: str) -> bool:
    """Whether this IP address is one of the public Internet, an IPv4 one inside an IPv6 one included."""
    try:
        found: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found.sixtofour or found
        if isinstance(found, ipaddress.IPv6Address) and (found.teredo or found not in _UNICAST):
            return False
    return found.is_global and not found.is_multicast


# All that IANA has given out as global unicast. Outside it stand the ways to an IPv4 address (RFC 6052, 8215, 7915)
# and the site-local addresses of before, which the standard library takes for global.
_UNICAST = ipaddress.IPv6Network("2000::/3")


class _CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Resolves a name once, refuses what is not public, and connects to the number that was checked."""

    def __init__(self, *, may_be_private: bool) -> None:
        self._inner: httpcore.AsyncNetworkBackend = httpcore.AnyIOBackend()
        self._may_be_private = may_be_private

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):  # the latter at a name with an empty or too long part
            raise httpcore.ConnectError("the name is not known") from None
        numbers = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        # One that is not public among them is enough: it is a way into our network that waits for its turn.
        if not numbers or not (self._may_be_private or all(is_public(number) for number in numbers)):
            raise httpcore.UnsupportedProtocol("the address is not one of the public Internet")
        return await self._inner.connect_tcp(numbers[0], port, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise httpcore.UnsupportedProtocol("no sockets of this machine")

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


class Outward:
    """A pool of connections to addresses that others have chosen. Used from one event loop."""

    def __init__(self, *, may_be_private: bool) -> None:
        self.may_be_private = may_be_private
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=CONNECTIONS_MAX,
            max_keepalive_connections=CONNECTIONS_MAX // 2,
            keepalive_expiry=KEPT_ALIVE_S,
            network_backend=_CheckedNetwork(may_be_private=may_be_private),
        )

    async def post(self, url: str, *, headers: Mapping[str, str], content: bytes) -> Answer:
        """One POST, once. Raises `NotDelivered` where there is no answer."""
        fault = find_fault(url, may_be_private=self.may_be_private)
        if fault is not None:
            raise NotDelivered(f"the address can't be used: {fault}", may_be_retried=False)
        times = {"connect": CONNECT_WITHIN_S, "read": ANSWER_WITHIN_S, "write": ANSWER_WITHIN_S, "pool": 1.0}
        try:
            async with (
                asyncio.timeout(ANSWER_WITHIN_S),
                self._pool.stream(
                    "POST", url, headers=[*headers.items()], content=content, extensions={"timeout": times}
                ) as response,
            ):
                return Answer(
                    status=response.status,
                    headers={
                        name.decode("latin-1").lower(): value.decode("latin-1")
                        for name, value in response.headers
                    },
                    body=await _read(response),
                )
        except httpcore.UnsupportedProtocol:
            raise NotDelivered(
                "the address is not one of the public Internet", may_be_retried=False
            ) from None
        except (TimeoutError, httpcore.TimeoutException):
            raise NotDelivered("no answer in time") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError):
            raise NotDelivered("no connection, or it was cut") from None

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


async def _read(response: httpcore.Response) -> bytes:
    """The beginning of the body; what is longer is left where it is."""
    body = b""
    async for chunk in response.aiter_stream():
        body += chunk
        if len(body) >= MAX_ANSWER_BYTES:
            break
    return body[:MAX_ANSWER_BYTES]
