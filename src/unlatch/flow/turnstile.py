"""How much a process answers for nobody in particular: so many a second, a few more at once."""

from __future__ import annotations

import time
from collections import OrderedDict


class Turnstile:
    """Lets through `a_second` on average and `at_once` after a pause. Real time; used from one event loop."""

    def __init__(self, *, a_second: float = 100.0, at_once: float = 200.0) -> None:
        self._a_second = a_second
        self._at_once = at_once
        self._left = at_once
        self._seen_at_s = time.monotonic()

    def lets_through(self) -> bool:
        """Count one more, if there is room for it."""
        now_s = time.monotonic()
        self._left = min(self._at_once, self._left + (now_s - self._seen_at_s) * self._a_second)
        self._seen_at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Turnstiles:
    """A turnstile for each asker. Those who have not come for longest are forgotten: their pause was long enough."""

    def __init__(self, *, a_second: float, at_once: float, most: int = 10_000) -> None:
        self._a_second = a_second
        self._at_once = at_once
        self._most = most
        self._turnstiles: OrderedDict[str, Turnstile] = OrderedDict()

    def lets_through(self, asker: str) -> bool:
        """Count one more of this asker, if there is room for it."""
        turnstile = self._turnstiles.pop(asker, None)
        if turnstile is None:
            turnstile = Turnstile(a_second=self._a_second, at_once=self._at_once)
        self._turnstiles[asker] = turnstile
        while len(self._turnstiles) > self._most:
            self._turnstiles.popitem(last=False)
        return turnstile.lets_through()
