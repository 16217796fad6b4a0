"""The makers that this release knows: every file in `makers/`, found by walking the folder."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping

from unlatch.clock import Clock
from unlatch.devices import makers
from unlatch.devices.base import Car, Maker
from unlatch.devices.hubs import Hubs
from unlatch.devices.link import Link
from unlatch.devices.oauth import Desk
from unlatch.errors import NotFound
from unlatch.settings import OAuthClient


def find_makers() -> dict[str, type[Maker]]:
    """Every maker by name: one file in `makers/`, or in a folder that `makers.__path__` was extended by."""
    found: dict[str, type[Maker]] = {}
    for module_info in pkgutil.iter_modules(makers.__path__):
        module = importlib.import_module(f"{makers.__name__}.{module_info.name}")
        for kind in vars(module).values():
            is_own = inspect.isclass(kind) and kind.__module__ == module.__name__
            if is_own and issubclass(kind, Maker) and not inspect.isabstract(kind):
                if kind.name in found:
                    raise ValueError(f"two makers are called {kind.name}")
                found[kind.name] = kind
    return found


class Catalogue:
    """The makers, each with its own link to its own cloud. One per process, used from one event loop."""

    def __init__(
        self,
        clock: Clock,
        addresses: Mapping[str, str] | None = None,
        clients: Mapping[str, OAuthClient] | None = None,
        *,
        allows_private_hubs: bool = False,
    ) -> None:
        """`addresses` replaces the makers' live clouds, by name, and their authorization servers with them.

        `clients` is how we are registered at the makers. Raises `NotFound` for a name unknown. A maker whose places
        have a hub each is no cloud's: its address can't be replaced.
        """
        kinds = find_makers()
        addresses, clients = addresses or {}, clients or {}
        self.hubs = Hubs(clock, allows_private=allows_private_hubs)
        with_cloud = {name for name, kind in kinds.items() if not kind.has_own_hub}
        if unknown := (set(addresses) | set(clients)) - with_cloud:
            raise NotFound(f"no maker is called {', '.join(sorted(unknown))}")
        self.makers: dict[str, Maker] = {
            name: kind(
                Link(
                    name=name,
                    address=addresses.get(name, kind.default_address),
                    clock=clock,
                    commands_a_minute=kind.commands_a_minute,
                )
            )
            for name, kind in kinds.items()
        }
        self.desks: dict[str, Desk] = {  # of the makers at which owners can link their cars here
            name: Desk(
                name=name,
                authorization=kind.authorization,
                address=addresses.get(name, kind.authorization.address or kind.default_address),
                client=clients[name],
                clock=clock,
            )
            for name, kind in kinds.items()
            if kind.authorization is not None and name in clients
        }

    def maker(self, name: str) -> Maker:
        """The maker of that name; raises `NotFound`."""
        try:
            return self.makers[name]
        except KeyError:
            raise NotFound(f"no maker is called {name}") from None

    def maker_of(self, car: Car) -> Maker:
        """The maker that reaches this car or door: the cloud's one, or the one of its own hub. Raises `NotFound`."""
        maker = self.maker(car.maker)
        return self.hubs.maker_at(type(maker), car.secrets.get("address", "")) if maker.has_own_hub else maker

    async def close(self) -> None:
        """Close the connections to every cloud and hub."""
        await self.hubs.close()
        for maker in self.makers.values():
            await maker.link.close()
        for desk in self.desks.values():
            await desk.close()
