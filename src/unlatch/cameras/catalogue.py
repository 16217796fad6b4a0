"""The kinds of camera that this release knows: every file in `makers/`, found by walking the folder."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from unlatch.cameras import makers
from unlatch.cameras.base import CameraMaker
from unlatch.errors import NotFound


def find_camera_makers() -> dict[str, CameraMaker]:
    """Every kind by name: one file in `makers/`, or in a folder that `makers.__path__` was extended by."""
    found: dict[str, CameraMaker] = {}
    for module_info in pkgutil.iter_modules(makers.__path__):
        module = importlib.import_module(f"{makers.__name__}.{module_info.name}")
        for kind in vars(module).values():
            is_own = inspect.isclass(kind) and kind.__module__ == module.__name__
            if is_own and issubclass(kind, CameraMaker) and not inspect.isabstract(kind):
                if kind.name in found:
                    raise ValueError(f"two kinds of camera are called {kind.name}")
                found[kind.name] = kind()
    return found


def get_camera_maker(name: str) -> CameraMaker:
    """The kind of that name; raises `NotFound`."""
    try:
        return find_camera_makers()[name]
    except KeyError:
        raise NotFound(f"no kind of camera is called {name}") from None
