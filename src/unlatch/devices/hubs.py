"""Hubs of homes: each at an address of its own, which a consignee typed. One link per hub, so that a slow one slows no
other; and no address by which a stranger could make us knock at doors of our own house (outward.py).

A name is resolved by us, once for each connection or for `PINNED_S`. TLS still asks for the name. Redirects are not
followed (devices/wire.py).
"""

from __future__ import annotations

import asyncio
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
from unlatch.outward import (
    AddressRefused,
    check_camera_address,
    check_hub_address,
    choose_hosts,
    find_literal,
)

MOST_HUBS = 512  # links kept open by one process
NAMED_WITHIN_S = 5.0  # real: a form does not wait longer for a name server
PINNED_S = 300.0  # real: then the name is asked for again
RESOLVERS = 8  # threads of our own: names that hang must not keep the makers' clouds from being found
CEILINGS = Ceilings(opening=4, reading=8, closing=12)
NOWHERE = "https://hub.invalid"  # RFC 6761: never resolves

Resolve = Callable[[str], Coroutine[Any, Any, Sequence[str]]]


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
        texts = [self._host] if find_literal(self._host) is not None else await self._ask()
        self._found = choose_hosts(texts, allows_private=self._allows_private)
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
        address = self.read(address)
        await self._check_name(address)
        return address

    def read(self, address: str) -> str:
        """The same without asking a name server. Raises BadInput."""
        return check_hub_address(address, allows_private=self._allows_private)

    async def check_camera(self, address: str, schemes: Sequence[str]) -> str:
        """The same for the address of a camera's stream: the recorder goes there. Raises BadInput."""
        address = self.read_camera(address, schemes)
        await self._check_name(address)
        return address

    def read_camera(self, address: str, schemes: Sequence[str]) -> str:
        """The same without asking a name server. Raises BadInput."""
        return check_camera_address(address, schemes, allows_private=self._allows_private)

    async def _check_name(self, address: str) -> None:
        try:
            async with asyncio.timeout(NAMED_WITHIN_S):
                await self._pin(urlsplit(address).hostname or "").find_hosts()
        except AddressRefused:
            raise BadInput("address", "this name leads to an address that may not be used") from None
        except (OSError, TimeoutError):
            raise BadInput("address", "no such name is known now") from None

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
