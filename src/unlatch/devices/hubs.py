"""Hubs of homes: each at an address of its own, which a consignee typed. One link per hub, so that a slow one slows no
other; and no address by which a stranger could make us knock at doors of our own house (SSRF).

| an address | may be used |
|---|---|
| of the public internet, by https | always |
| of this machine (loopback), by http or https | only with the setting UNLATCH_PRIVATE_HUBS |
| of a private network, by https | only with that setting |
| link-local, where clouds keep their machines' secrets (169.254.169.254 and its like), multicast, reserved | never |

A name is resolved by us, once for each connection or for `PINNED_S`; every address that it has must be allowed, and the
connection goes to exactly that address: a name that changes its mind between the check and the connection gains
nothing. TLS still asks for the name. Redirects are not followed (devices/wire.py).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from unlatch.clock import Clock
from unlatch.devices.base import Maker
from unlatch.devices.capacity import Ceilings
from unlatch.devices.link import Link
from unlatch.errors import BadInput

MOST_HUBS = 512  # links kept open by one process
PINNED_S = 300.0  # real: then the name is asked for again
MOST_ADDRESSES = 4  # of one name, that are tried
LONGEST_ADDRESS = 200
RESOLVERS = 8  # threads of our own: names that hang must not keep the makers' clouds from being found
CEILINGS = Ceilings(opening=4, reading=8, closing=12)
NOWHERE = "https://hub.invalid"  # RFC 6761: never resolves

# Where machines of clouds are told their secrets, though they look like addresses of a private network.
METADATA = frozenset(map(ipaddress.ip_address, ("169.254.169.254", "100.100.100.200", "fd00:ec2::254")))
TRANSLATED = ipaddress.ip_network("64:ff9b::/96")  # NAT64: an IPv4 address in the last four bytes
TRANSLATED_HERE = ipaddress.ip_network(
    "64:ff9b:1::/48"
)  # RFC 8215: translated by a rule that only its network knows
SHARED = ipaddress.ip_network(
    "100.64.0.0/10"
)  # RFC 6598: between a provider and its customers; also Tailscale
INNER = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str], Coroutine[Any, Any, Sequence[str]]]


class AddressRefused(OSError):
    """A name leads where no hub may be."""


def check_hub_address(text: str, *, allows_private: bool) -> str:
    """The address as it is kept: "https://host[:port][/prefix]". Raises BadInput; asks no name server."""
    remedy = "give the address of the hub, like https://home.example:8123"
    if len(text) > LONGEST_ADDRESS or not text.isascii() or not text.isprintable() or " " in text:
        raise BadInput("address", remedy)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise BadInput("address", remedy) from None
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise BadInput("address", remedy)
    if "@" in parts.netloc or port == 0 or "%" in host or "\\" in text or ".." in parts.path:
        raise BadInput("address", remedy)
    given = _find_literal(host)
    if given is None and not _is_name(host):
        raise BadInput("address", remedy)
    if given is not None and not is_allowed(given, allows_private=allows_private):
        raise BadInput("address", "this network address may not be used")
    is_own_machine = host == "localhost" or (given is not None and given.is_loopback)
    if is_own_machine and not allows_private:
        raise BadInput("address", "a hub on this machine needs the setting UNLATCH_PRIVATE_HUBS")
    if parts.scheme == "http" and not is_own_machine:
        raise BadInput("address", "give an address by https: the token must not travel in the open")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def is_allowed(address: Address, *, allows_private: bool) -> bool:
    """Whether a hub may be there. Addresses that carry another one within are judged by that one."""
    if isinstance(address, ipaddress.IPv6Address):
        if (inner := _find_inner(address)) is not None:
            return is_allowed(inner, allows_private=allows_private)
        if address.teredo is not None or address.is_site_local or address in TRANSLATED_HERE:
            return False
    if address in METADATA or address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    if address.is_global:
        return True
    if address.is_loopback:
        return allows_private
    # RFC 1918 and RFC 4193 are what homes use; the rest of "private" is for documents, benchmarks and tests.
    return allows_private and any(
        address.version == network.version and address in network for network in (*INNER, SHARED)
    )


def _find_inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address in TRANSLATED:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _find_literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_name(host: str) -> bool:
    """A name of letters, digits and hyphens. The last label is no number: "127.1" and "0x7f000001" are addresses."""
    labels = host.rstrip(".").split(".")
    is_plain = all(
        0 < len(label) <= 63 and label.replace("-", "a").replace("_", "a").isalnum() for label in labels
    )
    return is_plain and not labels[-1][0].isdigit()


class Pin:
    """The addresses of one hub: resolved by us, each of them allowed, kept for `PINNED_S`."""

    def __init__(self, host: str, *, allows_private: bool, resolve: Resolve) -> None:
        self._host = host
        self._allows_private = allows_private
        self._resolve = resolve
        self._found: tuple[str, ...] = ()
        self._until_s = 0.0
        self._asking: asyncio.Task[Sequence[str]] | None = None

    async def find_hosts(self) -> Sequence[str]:
        """Numeric addresses. Raises `AddressRefused`, or OSError where the name does not resolve."""
        if self._found and time.monotonic() < self._until_s:
            return self._found
        self._found = ()
        texts = [self._host] if _find_literal(self._host) is not None else await self._ask()
        if not texts:
            raise AddressRefused("the name has no address")
        for text in texts:
            address = _find_literal(text.partition("%")[0])
            if address is None or not is_allowed(address, allows_private=self._allows_private):
                raise AddressRefused("the name leads where no hub may be")
        self._found = tuple(dict.fromkeys(texts))[:MOST_ADDRESSES]
        self._until_s = time.monotonic() + PINNED_S
        return self._found

    def forget(self) -> None:
        """Nobody answered there: a home's address changes, so the name is asked for again."""
        self._found = ()

    async def _ask(self) -> Sequence[str]:
        """One question for everyone who waits: a name that hangs holds one thread, however often it is wanted."""
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._resolve(self._host))
            self._asking.add_done_callback(self._answered)
        return await asyncio.shield(self._asking)

    def _answered(self, asking: asyncio.Task[Sequence[str]]) -> None:
        self._asking = None
        if not asking.cancelled():
            asking.exception()  # those who waited have got it; nobody may be left


class Hubs:
    """Makers of homes, one for each hub, each with its own link: connections, room, breaker, budget.

    At most `MOST_HUBS` are kept; the longest unused is put away first. One with something under way is never put
    away, so that a closing keeps what it needs: what is under way is limited by whoever carries it out.
    """

    def __init__(
        self, clock: Clock, *, allows_private: bool, most: int = MOST_HUBS, resolve: Resolve | None = None
    ) -> None:
        self._clock = clock
        self._allows_private = allows_private
        self._most = most
        self._threads = ThreadPoolExecutor(RESOLVERS, thread_name_prefix="hub-name")
        self._resolve = resolve or self._ask_name_server
        self._open: OrderedDict[tuple[str, str], Maker] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def maker_at(self, kind: type[Maker], address: str) -> Maker:
        """The maker that speaks to the hub there. One whose address may not be used leads nowhere."""
        try:
            address = check_hub_address(address, allows_private=self._allows_private)
        except BadInput:
            address = NOWHERE
        key = (kind.name, address)
        if key not in self._open:
            self._open[key] = self._link(kind, address)
        self._open.move_to_end(key)
        self._put_away()
        return self._open[key]

    async def check(self, address: str) -> str:
        """For a form: the address as it is kept, its name resolved and allowed. Raises BadInput."""
        address = check_hub_address(address, allows_private=self._allows_private)
        try:
            async with asyncio.timeout(5.0):
                await self._pin(urlsplit(address).hostname or "").find_hosts()
        except AddressRefused:
            raise BadInput("address", "this name leads to an address that may not be used") from None
        except (OSError, TimeoutError):
            raise BadInput("address", "no such name is known now") from None
        return address

    async def close(self) -> None:
        """Close the connections to every hub."""
        for maker in list(self._open.values()):
            await maker.link.close()
        self._open.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _link(self, kind: type[Maker], address: str) -> Maker:
        link = Link(
            name=kind.name,
            address=address,
            clock=self._clock,
            commands_a_minute=kind.commands_a_minute,
            ceilings=CEILINGS,
            finder=self._pin(urlsplit(address).hostname or ""),
        )
        return kind(link)

    def _pin(self, host: str) -> Pin:
        return Pin(host, allows_private=self._allows_private, resolve=self._resolve)

    def _put_away(self) -> None:
        for key, maker in list(self._open.items())[: -self._most]:
            if maker.link.is_idle:
                maker.link.wire.drop_idle()
                del self._open[key]

    async def _ask_name_server(self, host: str) -> Sequence[str]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        )
        return [str(one[4][0]) for one in found]
