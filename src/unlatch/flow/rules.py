"""The rules in force: read from their folder, taken up anew within seconds when a file changes, without a restart.

An edit that can't be used changes nothing: the rules of before stay in force, the log says so at once, and
`GET /v1/operator/rules` as long as it lasts. A process that starts needs rules that can be used.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

from unlatch.devices.catalogue import find_makers
from unlatch.domain.eligibility import Rules
from unlatch.errors import SettingsError
from unlatch.flow.rule_files import SHIPPED, list_paths, load_files, read_rules

LOOK_EVERY_S = 1.0  # real time

log = logging.getLogger(__name__)

Signature = tuple[tuple[str, int, int, int], ...]


class Rulebook:
    """The rules of one process. Used from one event loop."""

    def __init__(self, folder: Path | None = None, *, look_every_s: float = LOOK_EVERY_S) -> None:
        """`folder` None: the rules that the release ships. Nothing is read yet."""
        self.folder = folder or SHIPPED
        self.trouble: str | None = None  # why the latest edit is not in force
        self._look_every_s = look_every_s
        self._rules: Rules | None = None
        self._signature: Signature | None = None
        self._looked_at_s = 0.0
        self._lock = asyncio.Lock()

    async def get(self) -> Rules:
        """The rules in force. Raises SettingsError where there have never been any."""
        if self._rules is None:
            async with self._lock:
                if self._rules is None:
                    self._signature = _sign(self.folder)
                    self._rules = await asyncio.to_thread(self._load)
                    self._looked_at_s = time.monotonic()
            return self._rules
        if time.monotonic() - self._looked_at_s >= self._look_every_s and not self._lock.locked():
            async with self._lock:
                await self._look()
        return self._rules

    async def _look(self) -> None:
        """Take up what has changed since the last look. One that is cancelled is made up for by the next."""
        before, self._signature = self._signature, None
        signature = None
        try:
            signature = _sign(self.folder)  # taken before reading: a change meanwhile is seen the next time
            if signature != before:
                self._rules, self.trouble = await asyncio.to_thread(self._load), None
                log.warning("rules in force: %s", self._rules.version)
        except SettingsError as error:
            if self.trouble != str(error):
                log.warning("the rules of before stay in force: %s", error)
            self.trouble = str(error)
        self._signature = signature
        self._looked_at_s = time.monotonic()

    def _load(self) -> Rules:
        return read_rules(load_files(self.folder), frozenset(find_makers()))


def _sign(folder: Path) -> Signature:
    """What changes with every edit of a file. Raises SettingsError."""
    try:
        stats = [(path, path.stat()) for path in list_paths(folder)]
    except OSError as error:
        raise SettingsError(f"{error.filename}: {error.strerror}") from error
    return tuple((path.name, stat.st_ino, stat.st_size, stat.st_mtime_ns) for path, stat in stats)
